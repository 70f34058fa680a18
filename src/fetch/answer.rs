//! What the loop does with an answer, of whichever endpoint: one method for each outcome.

use std::time::Duration;

use rand::Rng;
use tokio::time::Instant;

use super::{
    Alarm, Arrival, Ended, LARGE_BODY_BYTES, Loop, Sent, WorkId, anomaly::Sign, calendar::quota_month, outage,
    outage::PROBE_EVERY, pace::HOLD, refuse_for, retry, work::Task,
};
use crate::{
    endpoint::Endpoint,
    error::Error,
    event::Event,
    feishu::{
        answer::{Judgement, Outcome, Remedy, Said},
        meaning, no_permission_remedy,
        transport::{Answer, TransportError},
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
        let outcome = meaning(endpoint, self.terms.asker.bearer(), &answer, wall);
        (self.terms.emit)(Event::Answered { endpoint, outcome: outcome.name(), took: now - sent.at });
        self.note(endpoint, &outcome);
        let is_about_work = matches!(outcome, Outcome::Page(_) | Outcome::Judged(..));
        let done = self.act(sent, outcome, answer);
        self.unrecorded += u32::from(is_about_work && done.is_err());
        done
    }

    fn act(&mut self, sent: Sent, outcome: Outcome, answer: Result<Answer, TransportError>) -> Result<(), Error> {
        let is_known = answer.as_ref().is_err_and(|error| error.is_known);
        let generation = sent.token_generation;
        let task = sent.task;
        match outcome {
            Outcome::Page(page) => {
                let answer = answer.unwrap_or_default();
                self.bodies_are_large = answer.body.len() > LARGE_BODY_BYTES;
                self.page(task, &page, &answer)?;
            }
            Outcome::Throttled { wait } => self.throttled(task, wait)?,
            Outcome::MonthUsedUp(said) => self.month_used_up(task, &said),
            Outcome::TokenRefused(said) => self.token_refused(task, generation, said),
            Outcome::Denied(said, remedy) => self.denied(task, said, remedy),
            Outcome::Transient(said) => self.transient(task, said, sent.at, is_known)?,
            Outcome::Judged(judgement, said) => self.judged(task, judgement, said)?,
        }
        Ok(())
    }

    /// What an answer says of what was asked for.
    fn judged(&mut self, task: Task, judgement: Judgement, said: Said) -> Result<(), Error> {
        match judgement {
            Judgement::NoPermission => self.no_permission(task, said),
            Judgement::Absent => self.absent(task, said),
            Judgement::Rejected => self.rejected(task, said, Sign::Unknown),
            Judgement::IdRefused => self.rejected(task, said, Sign::IdRefused),
            Judgement::OffContract => self.off_contract(task, said),
            Judgement::Failed => self.failed(task, said),
        }
    }

    fn throttled(&mut self, task: Task, wait: Duration) -> Result<(), Error> {
        let now = Instant::now();
        let endpoint = task.work.endpoint();
        let track = &mut self.tracks[endpoint];
        track.pace.close_gate(now + wait);
        refuse_for(self.journal, endpoint, self.terms.start.now(), wait)?;
        (self.terms.emit)(Event::Refused { endpoint, wait });
        let lasted = track.refusals.refusal(now, wait);
        if lasted.is_some() {
            // The API is there, but for somebody else.
            self.outage.answer();
        }
        let lasted = lasted.unwrap_or_default();
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
        self.end(Ended::Planned(format!("{said}; run again from {next_month} (UTC+8) on")));
        self.requeue(task, Duration::ZERO);
    }

    /// The first refusal of a page costs a new token; the second one, with the new token, ends the run.
    fn token_refused(&mut self, mut task: Task, generation: u64, said: Said) {
        if task.tries.refused_with.is_some_and(|refused| refused < generation) {
            self.end(Ended::Denied(said, self.terms.asker.refused_again_remedy()));
        }
        self.tokens.drop_generation(generation);
        task.tries.refused_with = Some(generation);
        self.requeue(task, Duration::ZERO);
    }

    fn denied(&mut self, task: Task, said: Said, remedy: Remedy) {
        self.end(Ended::Denied(said, remedy));
        self.requeue(task, Duration::ZERO);
    }

    /// What an answer shows besides what it says of what was asked for.
    fn note(&mut self, endpoint: Endpoint, outcome: &Outcome) {
        let track = &mut self.tracks[endpoint];
        if !matches!(outcome, Outcome::Transient(_) | Outcome::Throttled { .. }) {
            self.outage.answer();
            track.refusals.answer();
        }
        let is_about_work = matches!(
            outcome,
            Outcome::Page(_)
                | Outcome::Judged(
                    Judgement::Absent | Judgement::Rejected | Judgement::IdRefused | Judgement::Failed,
                    _
                )
        );
        if is_about_work {
            track.is_answered();
        }
    }

    /// Notes what an answer says of the run. True if the run stops for what its answers say, and this one says no better: it
    /// decides nothing of what was asked for, which is to be queued again; and what the answers before it decided is pending
    /// again.
    pub(super) fn is_in_doubt(&mut self, endpoint: Endpoint, id: WorkId, sign: Sign) -> Result<bool, Error> {
        let alarm = self.tracks[endpoint].anomaly.note(sign, id).filter(|_| self.terms.config.retry.stop_on_anomaly);
        if let Some(alarm) = alarm.filter(|_| self.ending.is_none()) {
            self.alarm(endpoint, alarm)?;
        }
        let is_in_doubt = sign != Sign::Known && matches!(self.ending, Some(Ended::Suspicious(..)));
        if is_in_doubt {
            self.unsettle_suspects(endpoint, &[id])?;
        }
        Ok(is_in_doubt)
    }

    /// Ends the run, and sets aside what the answers of the endpoint cast doubt on.
    pub(super) fn alarm(&mut self, endpoint: Endpoint, alarm: Alarm) -> Result<(), Error> {
        self.end(Ended::Suspicious(endpoint, alarm));
        self.set_aside(endpoint, alarm)
    }

    /// Fails what was asked for; when it is the first answer of the endpoint or the last of a row, it fails nothing and ends
    /// the run.
    fn no_permission(&mut self, task: Task, said: Said) -> Result<(), Error> {
        if self.ending.is_none() {
            let endpoint = task.work.endpoint();
            let Some(failed_wrongly) = self.tracks[endpoint].no_permission(task.work.id()) else {
                return self.fail(&task.work, said.text, said.log_id);
            };
            self.end(Ended::Denied(said, no_permission_remedy(endpoint, self.terms.asker.bearer())));
            self.unsettle(endpoint, &failed_wrongly)?;
        }
        self.requeue(task, Duration::ZERO);
        Ok(())
    }

    fn failed(&mut self, task: Task, said: Said) -> Result<(), Error> {
        if self.is_in_doubt(task.work.endpoint(), task.work.id(), Sign::OffContract)? {
            self.requeue(task, Duration::ZERO);
            return Ok(());
        }
        self.fail(&task.work, said.text, said.log_id)
    }

    /// Worth another attempt, for it may have been damaged on its way; but the API is there, so it is no outage.
    fn off_contract(&mut self, task: Task, said: Said) -> Result<(), Error> {
        if self.is_in_doubt(task.work.endpoint(), task.work.id(), Sign::OffContract)? {
            self.requeue(task, Duration::ZERO);
            return Ok(());
        }
        self.attempt_again(task, said)
    }

    fn transient(&mut self, task: Task, said: Said, sent: Instant, is_known: bool) -> Result<(), Error> {
        let now = Instant::now();
        let sign = self.outage.fault(now, sent, is_known);
        if sign == outage::Sign::Begins {
            for endpoint in Endpoint::ALL {
                let failed = self.outage.take_failed(endpoint);
                self.unsettle(endpoint, &failed)?;
            }
        }
        if let Some(lasted) = self.outage.lasted(now) {
            self.sit_out(task, lasted, sign, &said);
            return Ok(());
        }
        self.attempt_again(task, said)
    }

    fn attempt_again(&mut self, mut task: Task, said: Said) -> Result<(), Error> {
        task.tries.attempts += 1;
        let jitter = self.jitter.random();
        let Some(wait) = retry::backoff(task.tries.attempts, self.terms.config.retry.attempts_max, jitter) else {
            self.outage.failed(task.work.endpoint(), task.work.id());
            let reason = format!("{} attempts, the last one: {said}", task.tries.attempts);
            return self.fail(&task.work, reason, said.log_id);
        };
        (self.terms.emit)(Event::Retry { subject: task.work.subject(), why: &said.text, wait });
        self.requeue(task, wait);
        Ok(())
    }

    /// In an outage nothing loses an attempt: everything waits for one request to get through.
    fn sit_out(&mut self, task: Task, lasted: Duration, sign: outage::Sign, said: &Said) {
        if sign != outage::Sign::Nothing {
            (self.terms.emit)(Event::Outage { lasted, why: &said.text });
            self.tracks.close_gates(Instant::now() + PROBE_EVERY);
        }
        if sign == outage::Sign::GoesOn && lasted >= self.terms.config.retry.outage_max {
            let lasted = humantime::format_duration(Duration::from_secs(lasted.as_secs()));
            self.end(Ended::Early(format!("the API has given no useful answer for {lasted} (the last one: {said})")));
        }
        self.requeue(task, Duration::ZERO);
    }

    /// Puts a task back among those that wait, for its next page or attempt.
    pub(super) fn requeue(&mut self, task: impl Into<Task>, wait: Duration) {
        let mut task = task.into();
        task.tries.not_before = Instant::now() + wait;
        let track = &mut self.tracks[task.work.endpoint()];
        track.idle_at = None;
        track.waiting.push(task);
    }
}
