//! Phase 1: queue → pace → transport → classify → land.
//!
//! One loop owns everything: it picks the next stay, waits for a turn, sends, and takes answers in one after the other.
//! Requests under way are futures that it polls; they own nothing but their request. So the order of effects is that
//! of the loop, and stopping means to pick nothing more.

pub mod calendar;
pub mod pace;
pub mod retry;

mod anomaly;
mod answer;
mod outage;
mod quality;
mod task;
mod token;
mod track;
mod until;

use std::{cell::Cell, collections::BTreeSet, time::Duration};

use chrono::{DateTime, NaiveDate, Utc};
use futures_util::{FutureExt, StreamExt, future::LocalBoxFuture, stream::FuturesUnordered};
use rand::{SeedableRng, rngs::StdRng};
use tokio::time::{Instant, sleep_until};

pub use self::{
    anomaly::Alarm,
    track::{refuse_for, refused_for},
    until::Until,
};
use self::{
    calendar::{quota_day, quota_month},
    outage::Outage,
    pace::{Turn, slot_time},
    task::{Task, Work},
    token::Tokens,
    track::Tracks,
};
use crate::{
    config::Config,
    endpoint::Endpoint,
    error::Error,
    event::{Emit, Event, Wait},
    feishu::{
        answer::{Remedy, Said},
        auth::tenant::Credentials,
        transport::{Answer, Call, Request, Transport, TransportError},
    },
    journal::{Journal, SlotId, StayId},
    start::Start,
};

/// Stays that wait for their next attempt or page; while there are so many, no further stay is begun.
const WAITING_MAX: usize = 256;

/// An answer with a longer body than this is a large one: while they come, one request at a time is under way, for each
/// takes its memory. A page of 100 samples has about 0.14 MB.
const LARGE_BODY_BYTES: usize = 1 << 20;

/// The longest sleep: another process may have put a nightly stay in front of the queue meanwhile.
const LOOK_AGAIN: Duration = Duration::from_secs(1);

/// What the loop needs besides its journal.
pub struct Terms<'a> {
    /// The network.
    pub transport: &'a dyn Transport,
    /// Limits and ids.
    pub config: &'a Config,
    /// Who asks.
    pub credentials: &'a Credentials,
    /// When to send no more requests.
    pub until: Option<Until>,
    /// Which stays to fetch for.
    pub scope: Scope<'a>,
    /// Wall time, jitter and the stop signal.
    pub start: &'a Start,
    /// Where events go.
    pub emit: Emit<'a>,
    /// Told each date whose stays are all settled.
    pub date_ready: &'a dyn Fn(NaiveDate),
}

/// Which stays have to be settled before fetching is complete; the queue's order is kept in any case.
#[derive(Clone, Copy, Debug)]
pub enum Scope<'a> {
    /// This process's own.
    Own,
    /// Whatever is queued, for as long as this is true: this process does not know its own stays yet.
    Queued(&'a Cell<bool>),
}

/// How phase 1 ended.
#[derive(Debug)]
pub enum Ended {
    /// All stays of the scope are settled.
    Complete,
    /// The stop signal came.
    Interrupted,
    /// A limit was reached; the text says which, and when to come back.
    Early(String),
    /// The answers say so little that somebody should look before further requests are spent.
    Suspicious(Alarm),
    /// Only a person can mend this.
    Denied(Said, Remedy),
}

/// Asks for every pending stay of the scope, and for those that come before them in the queue.
///
/// Returns when the scope's stays are settled, or when the run has to end before. Whatever ends it, requests under way are
/// waited for as long as they may take, and their answers landed: they are paid for.
///
/// # Errors
///
/// If the journal fails: nothing is sent that could not be recorded.
pub async fn fetch(journal: &mut Journal, terms: &Terms<'_>) -> Result<Ended, Error> {
    Loop::new(journal, terms)?.run().await
}

/// A request under way.
struct Sent {
    task: Task,
    slot: SlotId,
    at: Instant,
    token_generation: u64,
}

type Arrival = (Sent, Result<Answer, TransportError>);

struct Loop<'a> {
    journal: &'a mut Journal,
    terms: &'a Terms<'a>,
    tracks: Tracks,
    tokens: Tokens<'a>,
    jitter: StdRng,
    in_flight: FuturesUnordered<LocalBoxFuture<'a, Arrival>>,
    /// Tasks between two requests.
    waiting: Vec<Task>,
    /// Stays in flight or waiting.
    taken: BTreeSet<StayId>,
    /// This process's stays before this one are settled.
    settled_before: StayId,
    outage: Outage,
    /// True if the last page was a large one.
    bodies_are_large: bool,
    ending: Option<Ended>,
}

/// What the loop does next.
enum Step {
    /// Send this.
    Send(Box<Task>),
    /// Wait for something to happen, until then at most.
    Wait(Wait, Option<Instant>),
    /// All is done.
    Finish,
}

impl<'a> Loop<'a> {
    fn new(journal: &'a mut Journal, terms: &'a Terms<'a>) -> Result<Self, Error> {
        if matches!(terms.scope, Scope::Own) {
            // Another process may have set them aside while this one was waiting.
            journal.take_back_own()?;
        }
        let tracks = Tracks::resume(journal, terms)?;
        let jitter = StdRng::seed_from_u64(terms.start.seed);
        Ok(Self {
            journal,
            terms,
            tracks,
            tokens: Tokens::new(terms),
            jitter,
            in_flight: FuturesUnordered::new(),
            waiting: Vec::new(),
            taken: BTreeSet::new(),
            settled_before: StayId::MIN,
            outage: Outage::default(),
            bodies_are_large: false,
            ending: None,
        })
    }

    async fn run(mut self) -> Result<Ended, Error> {
        while self.ending.is_none() {
            match self.step()? {
                Step::Send(task) => self.send(*task)?,
                Step::Wait(cause, until) => self.wait(cause, until).await?,
                Step::Finish => self.finish()?,
            }
        }
        self.drain().await?;
        self.journal.write_slots()?;
        Ok(self.ending.unwrap_or(Ended::Complete))
    }

    /// The scope's stays are settled, or a limit is reached.
    fn finish(&mut self) -> Result<(), Error> {
        let may_alarm = self.ending.is_none() && matches!(self.terms.scope, Scope::Own);
        let alarm = self.tracks[Endpoint::Quality].anomaly.at_the_end();
        let alarm = alarm.filter(|_| may_alarm && self.terms.config.retry.stop_on_anomaly);
        if let Some(alarm) = alarm {
            return self.alarm(alarm);
        }
        self.end(Ended::Complete);
        Ok(())
    }

    fn step(&mut self) -> Result<Step, Error> {
        let now = Instant::now();
        if !self.has_work()? {
            return Ok(Step::Finish);
        }
        if let Some(ended) = self.limit_reached()? {
            self.end(ended);
            return Ok(Step::Finish);
        }
        let is_one_enough = self.outage.is_on() || self.bodies_are_large;
        let in_flight_max = if is_one_enough { 1 } else { self.terms.config.rate.in_flight_max };
        if self.in_flight.len() >= in_flight_max {
            return Ok(Step::Wait(Wait::Answers, None));
        }
        let mut next = Step::Wait(Wait::Answers, None);
        for endpoint in Endpoint::ALL {
            next = match (next, self.step_of(endpoint, now)?) {
                (_, send @ Step::Send(_)) => return Ok(send),
                (Step::Wait(_, None), wait) => wait,
                (Step::Wait(_, Some(at)), Step::Wait(cause, Some(sooner))) if sooner < at => {
                    Step::Wait(cause, Some(sooner))
                }
                (next, _) => next,
            };
        }
        Ok(next)
    }

    /// What is next of one endpoint: to send, or to wait for something.
    fn step_of(&mut self, endpoint: Endpoint, now: Instant) -> Result<Step, Error> {
        let Some(task) = self.pick(endpoint, now)? else {
            let of_endpoint = self.waiting.iter().filter(|task| task.work.endpoint() == endpoint);
            let due = of_endpoint.map(|task| task.not_before).min();
            let cause = if due.is_some() { Wait::Backoff } else { Wait::Answers };
            return Ok(Step::Wait(cause, due));
        };
        let pace = &mut self.tracks[endpoint].pace;
        let turn = if self.tokens.is_ready(now) { Ok(pace.turn(now)) } else { Err(Wait::Token) };
        let (cause, until) = match turn {
            Ok(Turn::Now) => return Ok(Step::Send(Box::new(task))),
            Ok(Turn::Quota(at)) => (Wait::Quota, Some(at)),
            Ok(Turn::Gate(at)) => (Wait::Refusal, Some(at)),
            Err(cause) => (cause, None),
        };
        self.put_back(task);
        Ok(Step::Wait(cause, until))
    }

    fn has_work(&mut self) -> Result<bool, Error> {
        let own_pending = match self.terms.scope {
            Scope::Queued(is_wanted) => return Ok(is_wanted.get()),
            Scope::Own => match self.journal.own_pending(self.settled_before)? {
                // Another process may have asked again for stays that were settled.
                None => self.journal.own_pending(StayId::MIN)?,
                first_pending => first_pending,
            },
        };
        self.settled_before = own_pending.unwrap_or(self.settled_before);
        Ok(own_pending.is_some())
    }

    /// The endpoint's task that comes first by its place in the queue: one that waits and is due, or one not begun yet.
    fn pick(&mut self, endpoint: Endpoint, now: Instant) -> Result<Option<Task>, Error> {
        let due = self.waiting.iter().enumerate();
        let due = due.filter(|(_, task)| task.work.endpoint() == endpoint && task.not_before <= now);
        let due = due.min_by_key(|(_, task)| task.work.place()).map(|(position, _)| position);
        let fresh = if self.waiting.len() < WAITING_MAX { self.next_fresh(endpoint)? } else { None };
        Ok(match (due, fresh) {
            (Some(position), Some(fresh)) if fresh.place() < self.waiting[position].work.place() => {
                Some(Task::begin(fresh, now))
            }
            (Some(position), _) => Some(self.waiting.swap_remove(position)),
            (None, fresh) => fresh.map(|fresh| Task::begin(fresh, now)),
        })
    }

    /// What comes next of what is not begun yet.
    fn next_fresh(&self, endpoint: Endpoint) -> Result<Option<Work>, Error> {
        match endpoint {
            Endpoint::Quality => Ok(self.next_stay()?.map(Work::Stay)),
        }
    }

    /// A task that was begun goes back to those that wait; one that was not stays in the journal's queue.
    fn put_back(&mut self, task: Task) {
        let Work::Stay(queued) = &task.work;
        if self.taken.contains(&queued.id) {
            self.waiting.push(task);
        }
    }

    fn send(&mut self, task: Task) -> Result<(), Error> {
        let (now, wall) = (Instant::now(), self.terms.start.now());
        let endpoint = task.work.endpoint();
        let free_after = slot_time(&self.terms.config.api);
        let free_ms = (wall + free_after).timestamp_millis();
        let slot = self.journal.spend(endpoint, wall.timestamp_millis(), free_ms, quota_day(wall))?;
        self.tracks[endpoint].pace.take(slot, now, now + free_after);
        let Work::Stay(queued) = &task.work;
        self.taken.insert(queued.id);
        (self.terms.emit)(Event::Sent);
        let (bearer, token_generation) = self.tokens.current();
        let path_and_query = task.work.request(self.terms.config);
        let sending = self.terms.transport.send(Request { path_and_query, call: Call::Get { bearer } });
        let sent = Sent { task, slot, at: now, token_generation };
        self.in_flight.push(sending.map(|answer| (sent, answer)).boxed_local());
        Ok(())
    }

    async fn wait(&mut self, cause: Wait, until: Option<Instant>) -> Result<(), Error> {
        let began = Instant::now();
        (self.terms.emit)(Event::Waiting { cause, at_most: until.map(|until| until.saturating_duration_since(began)) });
        let look_again = began + LOOK_AGAIN;
        let wake = until.map_or(look_again, |until| until.min(look_again));
        let mut stop = self.terms.start.stop.clone();
        let arrival = tokio::select! {
            biased;
            () = stop.requested() => { self.end(Ended::Interrupted); None }
            Some(arrival) = self.in_flight.next() => Some(arrival),
            renewed = self.tokens.renew(), if self.tokens.is_due(began) => { self.token_arrived(renewed); None }
            () = sleep_until(wake) => None,
        };
        (self.terms.emit)(Event::Waited { cause, time: began.elapsed() });
        arrival.map_or(Ok(()), |arrival| self.take_in(arrival))
    }

    fn token_arrived(&mut self, renewed: Result<(), Ended>) {
        match renewed {
            Ok(()) => (self.terms.emit)(Event::TokenRenewed),
            Err(ended) => self.end(ended),
        }
    }

    /// Waits for the requests under way, as long as they may take: what is paid for is not thrown away. Whoever is in a
    /// hurry gives the stop signal a second time, which ends the process.
    async fn drain(&mut self) -> Result<(), Error> {
        let patience = Instant::now() + slot_time(&self.terms.config.api);
        loop {
            let arrival = tokio::select! {
                biased;
                arrival = self.in_flight.next() => arrival,
                () = sleep_until(patience) => None,
            };
            match arrival {
                Some(arrival) => self.take_in(arrival)?,
                None => return Ok(()),
            }
        }
    }

    fn end(&mut self, ended: Ended) {
        let why = match &ended {
            Ended::Complete => {
                self.ending.get_or_insert(ended);
                return;
            }
            Ended::Interrupted => "interrupted".to_owned(),
            Ended::Early(why) => why.clone(),
            Ended::Suspicious(alarm) => alarm.why(&self.terms.credentials.app_id, self.terms.config.api.user_id_type),
            Ended::Denied(said, _) => said.to_string(),
        };
        if self.ending.is_none() {
            (self.terms.emit)(Event::Stopping { why: &why });
            self.ending = Some(ended);
        }
    }

    fn limit_reached(&self) -> Result<Option<Ended>, Error> {
        let now = self.terms.start.now();
        if let Some(until) = self.terms.until.filter(|until| until.is_reached(now)) {
            let until = until.time().with_timezone(&self.terms.config.timezone);
            let why = format!("the time limit ({}) is reached", until.format("%Y-%m-%d %H:%M %Z"));
            return Ok(Some(Ended::Early(why)));
        }
        Ok(month_reached(self.journal, self.terms.config, now)?.map(Ended::Early))
    }
}

/// That the month's limit is reached and when to come back, if it is.
pub fn month_reached(journal: &Journal, config: &Config, now: DateTime<Utc>) -> Result<Option<String>, Error> {
    let Some(limit) = config.rate.requests_per_month else { return Ok(None) };
    let (first, last, next_month) = quota_month(now);
    let spent = journal.spent_between(first, last)?;
    let reached = || {
        format!(
            "the month's limit of {limit} requests is reached ({spent} sent); run again from {next_month} (UTC+8) on"
        )
    };
    Ok((spent >= limit).then(reached))
}
