//! What the loop does with an answer: one method for each outcome.

use std::time::Duration;

use rand::Rng;
use tokio::time::Instant;

use super::{
    Arrival, Ended, Loop,
    calendar::quota_month,
    outage,
    outage::PROBE_EVERY,
    pace::HOLD,
    refuse_for, retry,
    task::{Task, Work},
    token,
};
use crate::{
    endpoint::Endpoint,
    error::Error,
    event::Event,
    feishu::{
        answer::{Judgement, Outcome, Remedy, Said},
        meaning,
        page::Page,
        transport::Answer,
    },
};

impl Loop<'_> {
    /// One answer: free its slot, decide what it means, and do that.
    pub(super) fn take_in(&mut self, (sent, answer): Arrival) -> Result<(), Error> {
        let now = Instant::now();
        let wall = self.terms.start.now();
        let endpoint = sent.task.work.endpoint();
        self.tracks[endpoint].pace.answered(sent.slot, now);
        self.journal.free_slot(sent.slot, (wall + HOLD).timestamp_millis() + 1);
        let outcome = meaning(endpoint, &answer, wall);
        (self.terms.emit)(Event::Answered { outcome: outcome.name(), took: now - sent.at });
        self.note(endpoint, &outcome);
        let is_known = answer.as_ref().is_err_and(|error| error.is_known);
        let generation = sent.token_generation;
        let task = sent.task;
        match outcome {
            Outcome::Page(page) => self.page(task, &page, &answer.unwrap_or_default())?,
            Outcome::Throttled { wait } => self.throttled(task, wait)?,
            Outcome::MonthUsedUp(said) => self.month_used_up(task, &said),
            Outcome::TokenRefused(said) => self.token_refused(task, generation, said),
            Outcome::Denied(said, remedy) => self.denied(task, said, remedy),
            Outcome::Transient(said) => self.transient(task, said, sent.at, is_known)?,
            Outcome::Judged(judgement, said) => self.judged(task, judgement, said)?,
        }
        Ok(())
    }

    fn page(&mut self, task: Task, page: &Page, answer: &Answer) -> Result<(), Error> {
        match task.work {
            Work::Stay(_) => self.stay_page(task, page, answer),
        }
    }

    fn judged(&mut self, task: Task, judgement: Judgement, said: Said) -> Result<(), Error> {
        match task.work {
            Work::Stay(_) => self.stay_judged(task, judgement, said),
        }
    }

    fn given_up(&mut self, task: &Task, said: Said) -> Result<(), Error> {
        match task.work {
            Work::Stay(_) => self.stay_given_up(task, said),
        }
    }

    fn throttled(&mut self, task: Task, wait: Duration) -> Result<(), Error> {
        let (now, endpoint) = (Instant::now(), task.work.endpoint());
        self.tracks[endpoint].pace.close_gate(now + wait);
        refuse_for(self.journal, endpoint, self.terms.start.now(), wait)?;
        (self.terms.emit)(Event::Refused { wait });
        let lasted = self.outage.refusal(now, wait);
        if lasted >= self.terms.config.retry.outage_max {
            let lasted = humantime::format_duration(Duration::from_secs(lasted.as_secs()));
            self.end(Ended::Early(format!(
                "the API has refused all requests for {lasted}: the quota of this app may be used by another program"
            )));
        }
        self.requeue(task, Duration::ZERO);
        Ok(())
    }

    fn month_used_up(&mut self, task: Task, said: &Said) {
        let (_, _, next_month) = quota_month(self.terms.start.now());
        self.end(Ended::Early(format!("{said}; run again from {next_month} (UTC+8) on")));
        self.requeue(task, Duration::ZERO);
    }

    /// The first refusal of a page costs a new token; the second one, with the new token, ends the run.
    fn token_refused(&mut self, mut task: Task, generation: u64, said: Said) {
        if task.refused_with.is_some_and(|refused| refused < generation) {
            self.end(Ended::Denied(said, token::REFUSED_AGAIN_REMEDY));
        }
        self.tokens.drop_generation(generation);
        task.refused_with = Some(generation);
        self.requeue(task, Duration::ZERO);
    }

    fn denied(&mut self, task: Task, said: Said, remedy: Remedy) {
        self.end(Ended::Denied(said, remedy));
        self.requeue(task, Duration::ZERO);
    }

    /// What an answer shows besides what it says of what was asked for.
    fn note(&mut self, endpoint: Endpoint, outcome: &Outcome) {
        if !matches!(outcome, Outcome::Transient(_) | Outcome::Throttled { .. }) {
            self.outage.answer();
        }
        let is_of_task = matches!(
            outcome,
            Outcome::Page(_)
                | Outcome::Judged(
                    Judgement::Absent | Judgement::Rejected | Judgement::IdRefused | Judgement::Failed,
                    _
                )
        );
        if is_of_task {
            // It shows that the app may ask, and ends a row of "no permission".
            let track = &mut self.tracks[endpoint];
            track.permitted = true;
            track.no_permission.clear();
        }
    }

    fn transient(&mut self, task: Task, said: Said, sent: Instant, is_known: bool) -> Result<(), Error> {
        let now = Instant::now();
        let sign = self.outage.fault(now, sent, is_known);
        if sign == outage::Sign::Begins {
            let failed = self.outage.take_failed();
            self.unsettle(&failed)?;
        }
        if let Some(lasted) = self.outage.lasted(now) {
            self.sit_out(task, lasted, sign, &said);
            return Ok(());
        }
        self.attempt_again(task, said)
    }

    pub(super) fn attempt_again(&mut self, mut task: Task, said: Said) -> Result<(), Error> {
        task.attempts += 1;
        let jitter = self.jitter.random();
        let Some(wait) = retry::backoff(task.attempts, self.terms.config.retry.attempts_max, jitter) else {
            return self.given_up(&task, said);
        };
        (self.terms.emit)(Event::Retry { stay: task.work.stay(), why: &said.text, wait });
        self.requeue(task, wait);
        Ok(())
    }

    /// In an outage no stay loses an attempt: everything waits for one request to get through.
    fn sit_out(&mut self, task: Task, lasted: Duration, sign: outage::Sign, said: &Said) {
        if sign == outage::Sign::Begins {
            (self.terms.emit)(Event::Outage { lasted, why: &said.text });
        }
        if sign != outage::Sign::Nothing {
            self.tracks.close_gates(Instant::now() + PROBE_EVERY);
        }
        if sign == outage::Sign::GoesOn && lasted >= self.terms.config.retry.outage_max {
            let lasted = humantime::format_duration(Duration::from_secs(lasted.as_secs()));
            self.end(Ended::Early(format!("the API has given no useful answer for {lasted} (the last one: {said})")));
        }
        self.requeue(task, Duration::ZERO);
    }

    /// Puts a task back among those that wait.
    pub(super) fn requeue(&mut self, mut task: Task, wait: Duration) {
        task.put_off(wait);
        self.waiting.push(task);
    }
}
