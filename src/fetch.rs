//! Phase 1: queue → pace → transport → classify → land.
//!
//! One loop owns everything: it picks the next stay, waits for a turn, sends, and takes answers in one after the other.
//! Requests under way are futures that it polls; they own nothing but their request. So the order of effects is that
//! of the loop, and stopping means to pick nothing more.

pub mod pace;
pub mod retry;

mod token;

use std::{cmp::Ordering, collections::BTreeSet, time::Duration};

use chrono::{DateTime, FixedOffset, NaiveDate, Utc};
use futures_util::{FutureExt, StreamExt, future::LocalBoxFuture, stream::FuturesUnordered};
use rand::{Rng, SeedableRng, rngs::StdRng};
use tokio::time::{Instant, sleep_until};

use self::{
    pace::{HOLD, Pace, Turn},
    token::Tokens,
};
use crate::{
    config::Config,
    error::Error,
    event::{Emit, Event, Wait},
    feishu::{
        api::{NO_PERMISSION_REMEDY, Next, Outcome, Page, Remedy, Said, classify, page_request},
        token::Credentials,
        transport::{Answer, Call, Request, Transport, TransportError},
    },
    journal::{Journal, NewPage, QueuedStay, SlotId, State, StayId, Verdict},
    start::Start,
};

/// Stays that wait for their next attempt or page; while there are so many, no further stay is begun.
const WAITING_MAX: usize = 256;

/// Answers of "no permission" in a row that stop the run.
const NO_PERMISSION_MAX: usize = 5;

/// How long requests under way are waited for once the run is to end.
const DRAIN_MAX: Duration = Duration::from_secs(20);

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
    pub until: Option<DateTime<Utc>>,
    /// Wall time, jitter and the stop signal.
    pub start: &'a Start,
    /// Where events go.
    pub emit: Emit<'a>,
    /// Told each date whose stays are all settled.
    pub date_ready: &'a dyn Fn(NaiveDate),
}

/// How phase 1 ended.
#[derive(Debug)]
pub enum Ended {
    /// All stays of this process are settled.
    Complete,
    /// The stop signal came.
    Interrupted,
    /// A limit was reached; the text says which, and when to come back.
    Early(String),
    /// Only a person can mend this.
    Denied(Said, Remedy),
}

/// Asks for every pending stay of this process, and for those of others that come before them in the queue.
///
/// Returns when this process's stays are settled, or when the run has to end before; requests under way are waited for
/// up to [`DRAIN_MAX`] and their answers landed.
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
    sent_at: Instant,
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
            settled_before: 0,
            no_permission: Vec::new(),
            permitted: false,
            ending: None,
        })
    }

    async fn run(mut self) -> Result<Ended, Error> {
        while self.ending.is_none() {
            match self.step()? {
                Step::Send(task) => self.send(*task)?,
                Step::Wait(cause, until) => self.wait(cause, until).await?,
                Step::Finish => self.ending = Some(Ended::Complete),
            }
        }
        self.drain().await?;
        self.journal.write_slots()?;
        Ok(self.ending.unwrap_or(Ended::Complete))
    }

    fn step(&mut self) -> Result<Step, Error> {
        let now = Instant::now();
        let Some(first_pending) = self.journal.own_pending(self.settled_before)? else { return Ok(Step::Finish) };
        self.settled_before = first_pending;
        if let Some(ended) = self.limit_reached()? {
            self.end(ended);
            return Ok(Step::Finish);
        }
        if self.in_flight.len() >= self.terms.config.rate.in_flight_max {
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

    /// The task that comes first by lane and number: one that waits and is due, or a stay not begun yet.
    fn pick(&mut self, now: Instant) -> Result<Option<Task>, Error> {
        let by_queue = |a: &QueuedStay, b: &QueuedStay| -> Ordering { (a.lane, a.id).cmp(&(b.lane, b.id)) };
        let due = self
            .waiting
            .iter()
            .enumerate()
            .filter(|(_, task)| task.not_before <= now)
            .min_by(|(_, a), (_, b)| by_queue(&a.queued, &b.queued))
            .map(|(position, _)| position);
        let fresh = if self.waiting.len() < WAITING_MAX {
            self.journal.next(self.taken.len() + 1, |id| self.taken.contains(&id))?
        } else {
            None
        };
        Ok(match (due, fresh) {
            (Some(position), Some(fresh)) if by_queue(&fresh, &self.waiting[position].queued).is_lt() => {
                Some(Task::begin(fresh, now))
            }
            (Some(position), _) => Some(self.waiting.swap_remove(position)),
            (None, fresh) => fresh.map(|fresh| Task::begin(fresh, now)),
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
        let free_after = self.terms.config.api.request_timeout + self.terms.config.api.connect_timeout + HOLD;
        let free_ms = (wall + free_after).timestamp_millis();
        let slot = self.journal.spend(wall.timestamp_millis(), free_ms, quota_day(wall))?;
        self.pace.take(slot, now + free_after);
        self.taken.insert(task.queued.id);
        (self.terms.emit)(Event::Sent);
        let (bearer, token_generation) = self.tokens.current();
        let queued = &task.queued;
        let user_id_type = self.terms.config.api.user_id_type;
        let path_and_query = page_request(&queued.stay, user_id_type, queued.page_token.as_deref());
        let sending = self.terms.transport.send(Request { path_and_query, call: Call::Get { bearer } });
        let sent = Sent { task, slot, sent_at: now, token_generation };
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
            renewed = self.tokens.renew(), if cause == Wait::Token => { self.token_arrived(renewed); None }
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

    async fn drain(&mut self) -> Result<(), Error> {
        let deadline = Instant::now() + DRAIN_MAX;
        loop {
            let arrival = tokio::select! {
                biased;
                arrival = self.in_flight.next() => arrival,
                () = sleep_until(deadline) => None,
            };
            match arrival {
                Some(arrival) => self.take_in(arrival)?,
                None => return Ok(()),
            }
        }
    }

    fn end(&mut self, ended: Ended) {
        let why = match &ended {
            Ended::Complete => return,
            Ended::Interrupted => "interrupted".to_owned(),
            Ended::Early(why) => why.clone(),
            Ended::Denied(said, _) => said.to_string(),
        };
        if self.ending.is_none() {
            (self.terms.emit)(Event::Stopping { why: &why });
            self.ending = Some(ended);
        }
    }

    fn limit_reached(&self) -> Result<Option<Ended>, Error> {
        let now = self.terms.start.now();
        if let Some(until) = self.terms.until.filter(|until| *until <= now) {
            let until = until.with_timezone(&self.terms.config.timezone);
            let why = format!("the time limit ({}) is reached", until.format("%Y-%m-%d %H:%M %Z"));
            return Ok(Some(Ended::Early(why)));
        }
        let Some(limit) = self.terms.config.rate.requests_per_month else { return Ok(None) };
        let (first, last, next_month) = quota_month(now);
        let spent = self.journal.spent_between(first, last)?;
        Ok((spent >= limit).then(|| {
            Ended::Early(format!(
                "the month's limit of {limit} requests is reached ({spent} sent); run again from {next_month} (UTC+8) on"
            ))
        }))
    }

    /// One answer: free its slot, decide what it means, and do that.
    fn take_in(&mut self, (sent, answer): Arrival) -> Result<(), Error> {
        let now = Instant::now();
        let wall = self.terms.start.now();
        self.pace.answered(sent.slot, now);
        self.journal.free_slot(sent.slot, (wall + HOLD).timestamp_millis() + 1);
        let outcome = classify(&answer, wall);
        (self.terms.emit)(Event::Answered { outcome: outcome.name(), took: now - sent.sent_at });
        self.note_permission(&outcome);
        let generation = sent.token_generation;
        let task = sent.task;
        match outcome {
            Outcome::Page(page) => match answer {
                Ok(answer) => self.page(task, &page, &answer),
                Err(_) => Ok(()),
            },
            Outcome::Throttled { wait } => self.throttled(task, wait),
            Outcome::MonthUsedUp(said) => self.month_used_up(task, &said),
            Outcome::TokenRefused(said) => self.token_refused(task, generation, said),
            Outcome::Denied(said, remedy) => self.denied(task, said, remedy),
            Outcome::NoPermission(said) => self.no_permission(task, said),
            Outcome::Absent(said) => self.absent(&task, said),
            Outcome::Rejected(said) => self.rejected(task, said),
            Outcome::Transient(said) => self.transient(task, said),
            Outcome::Failed(said) => self.settle(&task, State::Failed, said.text, said.log_id),
        }
    }

    fn page(&mut self, mut task: Task, page: &Page, answer: &Answer) -> Result<(), Error> {
        if let Some(fault) = self.paging_fault(&task.queued, page)? {
            return self.settle(&task, State::Failed, fault, answer.log_id.clone());
        }
        let next_token = match &page.next {
            Next::Token(token) => Some(token.as_str()),
            Next::End | Next::TokenMissing => None,
        };
        let (stay, number, samples) = (task.queued.id, task.queued.pages, page.samples);
        let landed = NewPage { stay, number, samples, next_token, body: &answer.body };
        self.journal.land(&landed, self.terms.start.now().timestamp())?;
        (self.terms.emit)(Event::Landed { samples });
        if let Some(token) = next_token {
            task.queued.pages += 1;
            task.queued.samples += samples;
            task.queued.page_token = Some(token.to_owned());
            task.attempts = 0;
            task.refused_with = None;
            self.again(task, Duration::ZERO);
            return Ok(());
        }
        self.settled(&task, State::Done, None, None)
    }

    /// What is wrong with the paging, if anything: a server that says `has_more` for ever must not eat the quota.
    fn paging_fault(&self, queued: &QueuedStay, page: &Page) -> Result<Option<String>, Error> {
        let token = match &page.next {
            Next::End => return Ok(None),
            Next::TokenMissing => return Ok(Some("`has_more` without a `page_token`".into())),
            Next::Token(token) => token,
        };
        let pages_max = queued.stay.pages_max().saturating_mul(2);
        let fault = if page.samples == 0 {
            Some(format!("`has_more` after an empty page {}", queued.pages))
        } else if self.journal.token_seen(queued.id, token)? {
            Some(format!("page {} repeats an earlier `page_token`", queued.pages))
        } else if queued.pages + 1 >= pages_max {
            Some(format!("`has_more` after {pages_max} pages, twice as many as the stay's length allows"))
        } else {
            None
        };
        Ok(fault)
    }

    fn throttled(&mut self, task: Task, wait: Duration) -> Result<(), Error> {
        self.pace.close_gate(Instant::now() + wait);
        self.journal.set_gate_ms((self.terms.start.now() + wait).timestamp_millis())?;
        (self.terms.emit)(Event::Refused { wait });
        self.again(task, Duration::ZERO);
        Ok(())
    }

    fn month_used_up(&mut self, task: Task, said: &Said) -> Result<(), Error> {
        let (_, _, next_month) = quota_month(self.terms.start.now());
        self.end(Ended::Early(format!("{said}; run again from {next_month} (UTC+8) on")));
        self.again(task, Duration::ZERO);
        Ok(())
    }

    /// The first refusal of a page costs a new token; the second one, with the new token, ends the run.
    fn token_refused(&mut self, mut task: Task, generation: u64, said: Said) -> Result<(), Error> {
        if task.refused_with.is_some_and(|refused| refused < generation) {
            self.end(Ended::Denied(said, token::REFUSED_AGAIN_REMEDY));
        }
        self.tokens.drop_generation(generation);
        task.refused_with = Some(generation);
        self.again(task, Duration::ZERO);
        Ok(())
    }

    fn denied(&mut self, task: Task, said: Said, remedy: Remedy) -> Result<(), Error> {
        self.end(Ended::Denied(said, remedy));
        self.again(task, Duration::ZERO);
        Ok(())
    }

    /// An answer about a stay shows that the app may ask, and ends a row of "no permission".
    fn note_permission(&mut self, outcome: &Outcome) {
        if matches!(outcome, Outcome::Page(_) | Outcome::Absent(_) | Outcome::Rejected(_) | Outcome::Failed(_)) {
            self.permitted = true;
            self.no_permission.clear();
        }
    }

    /// Fails the stay; when it is the first answer of all or the last of a row, it fails none and ends the run.
    fn no_permission(&mut self, task: Task, said: Said) -> Result<(), Error> {
        self.no_permission.push(task.queued.id);
        if self.permitted && self.no_permission.len() < NO_PERMISSION_MAX {
            return self.settle(&task, State::Failed, said.text, said.log_id);
        }
        self.end(Ended::Denied(said, NO_PERMISSION_REMEDY));
        let settled = std::mem::take(&mut self.no_permission);
        self.journal.unsettle(&settled)?;
        (self.terms.emit)(Event::Unsettled { stays: settled.len() as u64 - 1 });
        self.settled_before = 0;
        self.again(task, Duration::ZERO);
        Ok(())
    }

    fn absent(&mut self, task: &Task, said: Said) -> Result<(), Error> {
        let meeting_end = DateTime::from_timestamp(task.queued.stay.meeting_end_s, 0).unwrap_or(DateTime::UNIX_EPOCH);
        let age = self.terms.start.now() - meeting_end;
        let is_young = age.to_std().is_ok_and(|age| age < self.terms.config.absent_retry_for) || age < chrono::TimeDelta::zero();
        let state = if is_young { State::Young } else { State::Absent };
        self.settle(task, state, said.text, said.log_id)
    }

    /// A refused row is final, but a refused page token only means that it has grown too old.
    fn rejected(&mut self, mut task: Task, said: Said) -> Result<(), Error> {
        let queued = &mut task.queued;
        if queued.page_token.is_none() {
            return self.settle(&task, State::Rejected, said.text, said.log_id);
        }
        if queued.restarts > 0 {
            let reason = format!("page token refused a second time: {said}");
            return self.settle(&task, State::Failed, reason, said.log_id);
        }
        self.journal.restart(queued.id)?;
        (queued.pages, queued.samples, queued.page_token) = (0, 0, None);
        queued.restarts += 1;
        (self.terms.emit)(Event::Restarted { stay: &queued.stay });
        self.again(task, Duration::ZERO);
        Ok(())
    }

    fn transient(&mut self, mut task: Task, said: Said) -> Result<(), Error> {
        task.attempts += 1;
        let jitter = self.jitter.random();
        match retry::backoff(task.attempts, self.terms.config.attempts_max, jitter) {
            Some(wait) => {
                (self.terms.emit)(Event::Retry { stay: &task.queued.stay, why: &said.text, wait });
                self.again(task, wait);
                Ok(())
            }
            None => {
                let reason = format!("{} attempts, the last one: {said}", task.attempts);
                self.settle(&task, State::Failed, reason, said.log_id)
            }
        }
    }

    fn again(&mut self, mut task: Task, wait: Duration) {
        task.not_before = Instant::now() + wait;
        self.waiting.push(task);
    }

    fn settle(&mut self, task: &Task, state: State, reason: String, log_id: Option<String>) -> Result<(), Error> {
        let verdict = Verdict { state, reason, log_id };
        self.journal.settle(task.queued.id, &verdict, self.terms.start.now().timestamp())?;
        self.settled(task, state, Some(&verdict.reason), verdict.log_id.as_deref())
    }

    fn settled(
        &mut self,
        task: &Task,
        state: State,
        reason: Option<&str>,
        log_id: Option<&str>,
    ) -> Result<(), Error> {
        self.taken.remove(&task.queued.id);
        (self.terms.emit)(Event::Settled { stay: &task.queued.stay, state, reason, log_id });
        if self.journal.is_ready(task.queued.date)? {
            (self.terms.date_ready)(task.queued.date);
        }
        Ok(())
    }
}

impl Task {
    fn begin(queued: QueuedStay, now: Instant) -> Self {
        Self { queued, attempts: 0, refused_with: None, not_before: now }
    }
}

/// Takes over the slots and the gate that an earlier process left.
///
/// The wall clock may have been set back meanwhile: no slot is believed to be taken for longer than a new one would be.
fn resume_pace(pace: &mut Pace, journal: &Journal, terms: &Terms<'_>) -> Result<(), Error> {
    let (now, wall_ms) = (Instant::now(), terms.start.now().timestamp_millis());
    let longest = terms.config.api.request_timeout + terms.config.api.connect_timeout + HOLD;
    let left = |at_ms: i64| Duration::from_millis(u64::try_from(at_ms - wall_ms).unwrap_or(0));
    for slot in journal.slots()? {
        pace.take(slot.id, now + left(slot.free_ms).min(longest));
    }
    if let Some(gate_ms) = journal.gate_ms()? {
        pace.close_gate(now + left(gate_ms).min(Duration::from_secs(3600)));
    }
    Ok(())
}

/// The API counts months in China's time.
const QUOTA_OFFSET: FixedOffset = FixedOffset::east_opt(8 * 3600).expect("eight hours are an offset");

/// The day of the quota's calendar, as days since 1970-01-01.
pub fn quota_day(now: DateTime<Utc>) -> i32 {
    now.with_timezone(&QUOTA_OFFSET).date_naive().to_epoch_days()
}

/// The first and the last day of the quota's month, as days since 1970-01-01, and the date on which the next begins.
pub fn quota_month(now: DateTime<Utc>) -> (i32, i32, NaiveDate) {
    use chrono::{Datelike, Months};
    let today = now.with_timezone(&QUOTA_OFFSET).date_naive();
    let first = today.with_day(1).expect("every month has a first day");
    let next = first.checked_add_months(Months::new(1)).expect("the calendar goes on after this month");
    (first.to_epoch_days(), next.to_epoch_days() - 1, next)
}
