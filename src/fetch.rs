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
mod token;
mod until;

use std::{cell::Cell, cmp::Ordering, collections::BTreeSet, time::Duration};

use chrono::{DateTime, NaiveDate, Utc};
use futures_util::{FutureExt, StreamExt, future::LocalBoxFuture, stream::FuturesUnordered};
use rand::{SeedableRng, rngs::StdRng};
use tokio::time::{Instant, sleep_until};

pub use self::{anomaly::Alarm, until::Until};
use self::{
    anomaly::Anomaly,
    calendar::{quota_day, quota_month},
    outage::Outage,
    pace::{Pace, Turn, slot_time},
    token::Tokens,
};
use crate::{
    config::Config,
    error::Error,
    event::{Emit, Event, Wait},
    feishu::{
        api::{Remedy, Said, THROTTLED_MAX, page_request},
        auth::tenant::Credentials,
        transport::{Answer, Call, Request, Transport, TransportError},
    },
    journal::{Journal, JournalError, QueuedStay, SlotId, StayId},
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

/// A stay that is being read: how far it is, and what went wrong on the way.
struct Task {
    queued: QueuedStay,
    /// Attempts at the current page that ended in a fault.
    attempts: u32,
    /// The token generation with which the current page was refused, if it was.
    refused_with: Option<u64>,
    not_before: Instant,
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
    pace: Pace,
    tokens: Tokens<'a>,
    jitter: StdRng,
    in_flight: FuturesUnordered<LocalBoxFuture<'a, Arrival>>,
    /// Stays between two requests.
    waiting: Vec<Task>,
    /// Stays in flight or waiting.
    taken: BTreeSet<StayId>,
    /// This process's stays before this one are settled.
    settled_before: StayId,
    /// Stays answered with "no permission" since the last answer that was none.
    no_permission: Vec<StayId>,
    /// True once an answer has shown that the app may ask.
    permitted: bool,
    outage: Outage,
    anomaly: Anomaly,
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
        let mut pace = Pace::new(terms.config.rate.requests_per_minute);
        resume_pace(&mut pace, journal, terms)?;
        let jitter = StdRng::seed_from_u64(terms.start.seed);
        Ok(Self {
            journal,
            terms,
            pace,
            tokens: Tokens::new(terms),
            jitter,
            in_flight: FuturesUnordered::new(),
            waiting: Vec::new(),
            taken: BTreeSet::new(),
            settled_before: StayId::MIN,
            no_permission: Vec::new(),
            permitted: false,
            outage: Outage::default(),
            anomaly: Anomaly::default(),
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
        let alarm = self.anomaly.at_the_end().filter(|_| may_alarm && self.terms.config.retry.stop_on_anomaly);
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
        let Some(task) = self.pick(now)? else {
            let due = self.waiting.iter().map(|task| task.not_before).min();
            let cause = if due.is_some() { Wait::Backoff } else { Wait::Answers };
            return Ok(Step::Wait(cause, due));
        };
        let turn = if self.tokens.is_ready(now) { Ok(self.pace.turn(now)) } else { Err(Wait::Token) };
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

    /// The task that comes first by its place in the queue: one that waits and is due, or a stay not begun yet.
    fn pick(&mut self, now: Instant) -> Result<Option<Task>, Error> {
        let by_queue = |a: &QueuedStay, b: &QueuedStay| -> Ordering {
            (a.is_suspect, a.lane, a.id).cmp(&(b.is_suspect, b.lane, b.id))
        };
        let due = self
            .waiting
            .iter()
            .enumerate()
            .filter(|(_, task)| task.not_before <= now)
            .min_by(|(_, a), (_, b)| by_queue(&a.queued, &b.queued))
            .map(|(position, _)| position);
        let fresh = if self.waiting.len() < WAITING_MAX { self.next_fresh()? } else { None };
        Ok(match (due, fresh) {
            (Some(position), Some(fresh)) if by_queue(&fresh, &self.waiting[position].queued).is_lt() => {
                Some(Task::begin(fresh, now))
            }
            (Some(position), _) => Some(self.waiting.swap_remove(position)),
            (None, fresh) => fresh.map(|fresh| Task::begin(fresh, now)),
        })
    }

    /// The next stay that is not begun yet; this process's suspects come last, and those of others not at all.
    fn next_fresh(&self) -> Result<Option<QueuedStay>, Error> {
        let is_taken = |id| self.taken.contains(&id);
        Ok(match (self.journal.next(self.taken.len() + 1, is_taken)?, self.terms.scope) {
            (None, Scope::Own) => self.journal.next_suspect(is_taken)?,
            (fresh, _) => fresh,
        })
    }

    /// A task that was begun goes back to those that wait; a stay that was not stays in the journal's queue.
    fn put_back(&mut self, task: Task) {
        if self.taken.contains(&task.queued.id) {
            self.waiting.push(task);
        }
    }

    fn send(&mut self, task: Task) -> Result<(), Error> {
        let (now, wall) = (Instant::now(), self.terms.start.now());
        let free_after = slot_time(&self.terms.config.api);
        let free_ms = (wall + free_after).timestamp_millis();
        let slot = self.journal.spend(wall.timestamp_millis(), free_ms, quota_day(wall))?;
        self.pace.take(slot, now, now + free_after);
        self.taken.insert(task.queued.id);
        (self.terms.emit)(Event::Sent);
        let (bearer, token_generation) = self.tokens.current();
        let queued = &task.queued;
        let user_id_type = self.terms.config.api.user_id_type;
        let path_and_query = page_request(&queued.stay, user_id_type, queued.page_token.as_deref());
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

impl Task {
    fn begin(queued: QueuedStay, now: Instant) -> Self {
        Self { queued, attempts: 0, refused_with: None, not_before: now }
    }
}

/// How long the API still refuses all requests, at `now` by the wall clock, as far as the journal knows.
///
/// No refusal is longer than [`THROTTLED_MAX`]: one that seems to be was recorded under a clock that was wrong, and says
/// nothing of the time that is left.
pub fn refused_for(journal: &Journal, now: DateTime<Utc>) -> Result<Option<Duration>, JournalError> {
    let left_ms = journal.gate_ms()?.map(|gate_ms| gate_ms.saturating_sub(now.timestamp_millis()));
    let left = left_ms.and_then(|left_ms| u64::try_from(left_ms).ok()).map(Duration::from_millis);
    Ok(left.filter(|left| (Duration::from_millis(1)..=THROTTLED_MAX).contains(left)))
}

/// Records that the API refuses all requests for `wait` from `now` on; a shorter refusal does not end a longer one.
pub fn refuse_for(journal: &Journal, now: DateTime<Utc>, wait: Duration) -> Result<(), JournalError> {
    if refused_for(journal, now)?.is_none_or(|left| left < wait) {
        journal.set_gate_ms((now + wait).timestamp_millis())?;
    }
    Ok(())
}

/// Takes over the slots and the gate that an earlier process left.
///
/// The wall clock may have been set back meanwhile: no slot is believed to be taken for longer than a new one would be, and
/// that once.
fn resume_pace(pace: &mut Pace, journal: &mut Journal, terms: &Terms<'_>) -> Result<(), Error> {
    let (now, wall) = (Instant::now(), terms.start.now());
    let (wall_ms, longest) = (wall.timestamp_millis(), slot_time(&terms.config.api));
    let longest_ms = (wall + longest).timestamp_millis();
    let left = |at_ms: i64| Duration::from_millis(u64::try_from(at_ms - wall_ms).unwrap_or(0));
    let past = |at_ms: i64| Duration::from_millis(u64::try_from(wall_ms - at_ms).unwrap_or(0));
    for slot in journal.slots()? {
        let free_at = now + left(slot.free_ms).min(longest);
        let (sent, free_at) = (now.checked_sub(past(slot.sent_ms)), free_at.checked_sub(past(slot.free_ms)));
        pace.take(slot.id, sent.unwrap_or(now), free_at.unwrap_or(now));
        if slot.free_ms > longest_ms {
            journal.free_slot(slot.id, longest_ms);
        }
    }
    if let Some(left) = refused_for(journal, wall)? {
        pace.close_gate(now + left);
    }
    Ok(())
}
