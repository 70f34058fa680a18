//! Phase 1: queue → pace → transport → classify → land.
//!
//! One loop owns everything: it picks the next task, of whichever endpoint has a turn, sends, and takes answers in one after
//! the other. Each endpoint has a pace and a memory of its own (`track.rs`); what a page of it comes to is in a file of its own
//! (`quality.rs`), behind the seam in `work.rs`. Requests under way are futures that it polls; they own nothing but their
//! request. So the order of effects is that of the loop, and stopping means to pick nothing more.

pub mod calendar;
pub mod pace;
pub mod retry;

mod anomaly;
mod answer;
mod listing;
mod outage;
mod quality;
mod refusals;
mod token;
mod track;
mod until;
mod work;

use std::{cell::Cell, time::Duration};

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
    token::Tokens,
    track::Tracks,
    work::{Task, Tries},
};
use crate::{
    access::Asker,
    config::Config,
    endpoint::Endpoint,
    error::Error,
    event::{Emit, Event, Wait},
    feishu::{
        answer::{Remedy, Said},
        transport::{Answer, Call, Request, Transport, TransportError},
    },
    journal::{Journal, SlotId},
    start::Start,
};

/// Tasks of an endpoint that wait for their next attempt or page; while there are so many, no further one is begun.
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
    pub asker: &'a Asker,
    /// When to send no more requests.
    pub until: Option<Until>,
    /// Whose work is to be settled.
    pub scope: Scope<'a>,
    /// The endpoints whose work is to be settled; while another process waits, all of them are asked.
    pub endpoints: &'a [Endpoint],
    /// Wall time, jitter and the stop signal.
    pub start: &'a Start,
    /// Where events go.
    pub emit: Emit<'a>,
    /// Told each date whose stays are all settled.
    pub date_ready: &'a dyn Fn(NaiveDate),
    /// Told each date of whose meetings all is known that was asked for.
    pub date_listed: &'a dyn Fn(NaiveDate),
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
    /// It cannot go on for now; the text says why, and when to come back.
    Early(String),
    /// A limit that somebody has set was reached, of time or of the month; the text says which, and when to come back.
    Planned(String),
    /// The answers of an endpoint say so little that somebody should look before further requests are spent.
    Suspicious(Endpoint, Alarm),
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

/// The number of what is asked for, among those of its endpoint.
type WorkId = i64;

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
    outage: Outage,
    /// Answers about what was asked for that the journal did not take.
    unrecorded: u32,
    /// True if the last page was a large one.
    bodies_are_large: bool,
    /// Whether another process waits for this one, and when that was looked at.
    waited_for: Option<(Instant, bool)>,
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
            journal.take_back_own_listings()?;
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
            outage: Outage::default(),
            unrecorded: 0,
            bodies_are_large: false,
            waited_for: None,
            ending: None,
        })
    }

    async fn run(mut self) -> Result<Ended, Error> {
        let worked = self.work().await;
        // Whatever ended it: what is under way is paid for.
        let drained = self.drain().await;
        // A renewal that is under way uses its sign-in up: whoever drops the answer has lost it.
        self.tokens.settle().await;
        let done = match worked.and(drained) {
            Ok(()) => self.journal.write_slots().map_err(Error::from),
            Err(Error::Journal(source)) if self.unrecorded > 0 => {
                Err(Error::Unrecorded { answers: self.unrecorded, source })
            }
            Err(error) => Err(error),
        };
        done.map(|()| self.ending.unwrap_or(Ended::Complete))
    }

    /// Sends and takes in until an end is in sight.
    async fn work(&mut self) -> Result<(), Error> {
        while self.ending.is_none() {
            match self.step()? {
                Step::Send(task) => self.send(*task)?,
                Step::Wait(cause, until) => self.wait(cause, until).await?,
                Step::Finish => self.finish()?,
            }
        }
        Ok(())
    }

    /// The scope's stays are settled, or a limit is reached.
    fn finish(&mut self) -> Result<(), Error> {
        let may_alarm = self.ending.is_none() && matches!(self.terms.scope, Scope::Own);
        if may_alarm && self.terms.config.retry.stop_on_anomaly {
            for endpoint in Endpoint::ALL {
                if let Some(alarm) = self.tracks[endpoint].anomaly.at_the_end() {
                    return self.alarm(endpoint, alarm);
                }
            }
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
        self.next_turn(now)
    }

    /// The task whose turn it is, or what is waited for, soonest of all endpoints. Endpoints share the requests under way and
    /// nothing else: what one waits for holds up no other.
    fn next_turn(&mut self, now: Instant) -> Result<Step, Error> {
        let mut soonest: Option<(Wait, Instant)> = None;
        let serves_all = self.serves_all(now)?;
        let endpoints = self.tracks.longest_silent_first();
        for endpoint in endpoints.into_iter().filter(|endpoint| serves_all || self.terms.endpoints.contains(endpoint)) {
            let track = &mut self.tracks[endpoint];
            if track.idle_at.is_some_and(|at| now.saturating_duration_since(at) < LOOK_AGAIN)
                && track.waiting.is_empty()
            {
                continue;
            }
            let turn = self.tokens.is_ready(now).then(|| track.pace.turn(now));
            let later = match turn {
                Some(Turn::Quota(at)) => Some((Wait::Quota, at)),
                Some(Turn::Gate(at)) if self.outage.is_on() => Some((Wait::Outage, at)),
                Some(Turn::Gate(at)) => Some((Wait::Refusal, at)),
                Some(Turn::Now) | None => None,
            };
            // The journal is asked for work when something can be sent, and where it had none.
            let wait = if track.idle_at.is_none() && later.is_some() {
                later
            } else {
                let picked = self.pick(endpoint, now)?;
                let track = &mut self.tracks[endpoint];
                track.idle_at = picked.is_none().then_some(now);
                match picked {
                    None => track.next_due().map(|due| (Wait::Backoff, due)),
                    Some(task) if turn == Some(Turn::Now) => return Ok(Step::Send(Box::new(task))),
                    Some(task) => {
                        track.put_back(task);
                        if turn.is_none() {
                            return Ok(Step::Wait(Wait::Token, None));
                        }
                        later
                    }
                }
            };
            soonest = soonest.into_iter().chain(wait).min_by_key(|(_, at)| *at);
        }
        Ok(soonest.map_or(Step::Wait(Wait::Answers, None), |(cause, at)| Step::Wait(cause, Some(at))))
    }

    /// Whether endpoints are asked too whose work is none of this run's: a night must not wait until the dates of a year are
    /// listed.
    fn serves_all(&mut self, now: Instant) -> Result<bool, Error> {
        if self.terms.endpoints.len() == Endpoint::ALL.len() {
            return Ok(true);
        }
        let looked = self.waited_for.filter(|(at, _)| now.saturating_duration_since(*at) < LOOK_AGAIN);
        let is_waited_for = match looked {
            Some((_, is_waited_for)) => is_waited_for,
            None => self.journal.is_waited_for()?,
        };
        if looked.is_none() {
            self.waited_for = Some((now, is_waited_for));
        }
        Ok(is_waited_for)
    }

    fn has_work(&mut self) -> Result<bool, Error> {
        if let Scope::Queued(is_wanted) = self.terms.scope {
            return Ok(is_wanted.get());
        }
        for endpoint in self.terms.endpoints {
            if self.is_pending(*endpoint)? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// The task that comes first by its place in the queue of its endpoint: one that waits and is due, or work not begun yet.
    fn pick(&mut self, endpoint: Endpoint, now: Instant) -> Result<Option<Task>, Error> {
        let has_room = self.tracks[endpoint].waiting.len() < WAITING_MAX;
        let fresh = if has_room { self.next_fresh(endpoint)? } else { None };
        let track = &mut self.tracks[endpoint];
        let begin = |work| Some(Task { work, tries: Tries::none(now) });
        Ok(match (track.first_due(now), fresh) {
            (Some(position), Some(fresh)) if fresh.place() < track.waiting[position].work.place() => begin(fresh),
            (Some(position), _) => Some(track.waiting.swap_remove(position)),
            (None, fresh) => fresh.and_then(begin),
        })
    }

    fn send(&mut self, task: Task) -> Result<(), Error> {
        let (now, wall) = (Instant::now(), self.terms.start.now());
        let endpoint = task.work.endpoint();
        let free_after = slot_time(&self.terms.config.api);
        let free_ms = (wall + free_after).timestamp_millis();
        let slot = self.journal.spend(endpoint, wall.timestamp_millis(), free_ms, quota_day(wall))?;
        let track = &mut self.tracks[endpoint];
        track.pace.take(slot, now, now + free_after);
        track.sent_at = Some(now);
        track.taken.insert(task.work.id());
        (self.terms.emit)(Event::Sent { endpoint });
        let (bearer, token_generation) = self.tokens.current();
        let path_and_query = task.work.page_request(self.terms.config);
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
            renewed = self.tokens.renew(), if self.tokens.is_due(began) => { self.token_arrived(renewed?); None }
            () = sleep_until(wake) => None,
        };
        (self.terms.emit)(Event::Waited { cause, time: began.elapsed() });
        arrival.map_or(Ok(()), |arrival| self.take_in(arrival))
    }

    fn token_arrived(&mut self, renewed: Result<bool, Ended>) {
        match renewed {
            Ok(false) => {}
            Ok(true) => {
                (self.terms.emit)(Event::TokenRenewed);
                if let Some(ends) = self.terms.asker.ends() {
                    let (unless_renewed, at_the_latest) = (ends.unless_renewed, ends.at_the_latest);
                    (self.terms.emit)(Event::SignedIn { unless_renewed, at_the_latest });
                }
            }
            Err(ended) => self.end(ended),
        }
    }

    /// Waits for the requests under way, as long as they may take: what is paid for is not thrown away. Whoever is in a
    /// hurry gives the stop signal a second time, which ends the process. An answer that cannot be recorded keeps none of
    /// the others from being; the first error is returned.
    async fn drain(&mut self) -> Result<(), Error> {
        let patience = Instant::now() + slot_time(&self.terms.config.api);
        let mut drained = Ok(());
        loop {
            let arrival = tokio::select! {
                biased;
                arrival = self.in_flight.next() => arrival,
                () = sleep_until(patience) => None,
            };
            match arrival {
                Some(arrival) => drained = drained.and(self.take_in(arrival)),
                None => return drained,
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
            Ended::Early(why) | Ended::Planned(why) => why.clone(),
            Ended::Suspicious(of, alarm) => {
                alarm.why(*of, self.terms.asker.app_id(), self.terms.config.api.user_id_type)
            }
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
            return Ok(Some(Ended::Planned(why)));
        }
        Ok(month_reached(self.journal, self.terms.config, now)?.map(Ended::Planned))
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
