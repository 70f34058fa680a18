//! What the loop does with an answer: one method for each outcome.

use std::time::Duration;

use chrono::DateTime;
use rand::Rng;
use tokio::time::Instant;

use super::{
    Alarm, Arrival, Ended, LARGE_BODY_BYTES, Loop, Scope, Task, anomaly::Sign, calendar::quota_month, outage,
    outage::PROBE_EVERY, pace::HOLD, refuse_for, retry, token,
};
use crate::{
    error::Error,
    event::Event,
    feishu::{
        api::{NO_PERMISSION_REMEDY, Next, Outcome, Page, Remedy, Said, classify},
        transport::Answer,
    },
    journal::{Aside, NewPage, QueuedStay, State, StayId, Verdict},
};

/// Answers of "no permission" in a row that stop the run.
const NO_PERMISSION_MAX: usize = 5;

/// What is wrong with a stay's paging.
enum PagingFault {
    /// What the page says of the next one leads nowhere; the pages before it are sound.
    OfPage(String),
    /// There are more pages than there can be, and which of them should not be there cannot be told.
    OfStay(String),
}

impl Loop<'_> {
    /// One answer: free its slot, decide what it means, and do that.
    pub(super) fn take_in(&mut self, (sent, answer): Arrival) -> Result<(), Error> {
        let now = Instant::now();
        let wall = self.terms.start.now();
        self.pace.answered(sent.slot, now);
        self.journal.free_slot(sent.slot, (wall + HOLD).timestamp_millis() + 1);
        let outcome = classify(&answer, wall);
        (self.terms.emit)(Event::Answered { outcome: outcome.name(), took: now - sent.at });
        self.note(&outcome);
        let is_known = answer.as_ref().is_err_and(|error| error.is_known);
        let generation = sent.token_generation;
        let task = sent.task;
        match outcome {
            Outcome::Page(page) => self.page(task, &page, &answer.unwrap_or_default())?,
            Outcome::Throttled { wait } => self.throttled(task, wait)?,
            Outcome::MonthUsedUp(said) => self.month_used_up(task, &said),
            Outcome::TokenRefused(said) => self.token_refused(task, generation, said),
            Outcome::Denied(said, remedy) => self.denied(task, said, remedy),
            Outcome::NoPermission(said) => self.no_permission(task, said)?,
            Outcome::Absent(said) => self.absent(task, said)?,
            Outcome::Rejected(said) => self.rejected(task, said, Sign::Unknown)?,
            Outcome::IdRefused(said) => self.rejected(task, said, Sign::IdRefused)?,
            Outcome::Transient(said) => self.transient(task, said, sent.at, is_known)?,
            Outcome::OffContract(said) => self.off_contract(task, said)?,
            Outcome::Failed(said) => self.failed(task, said)?,
        }
        Ok(())
    }

    fn page(&mut self, mut task: Task, page: &Page, answer: &Answer) -> Result<(), Error> {
        self.bodies_are_large = answer.body.len() > LARGE_BODY_BYTES;
        if let Some(fault) = self.paging_fault(&task.queued, page)? {
            let Some(task) = self.unless_suspect(task, Sign::OffContract)? else { return Ok(()) };
            let reason = match fault {
                PagingFault::OfPage(reason) => reason,
                PagingFault::OfStay(reason) => {
                    // Whoever asks again reads the stay from its first page.
                    self.journal.restart(task.queued.id)?;
                    reason
                }
            };
            return self.settle(&task, State::Failed, reason, answer.log_id.clone());
        }
        let Next::Token(token) = &page.next else { return self.last_page(task, page, answer) };
        self.land(&task.queued, page, answer)?;
        if page.samples > 0 {
            self.anomaly.note(Sign::Known, task.queued.id);
        }
        task.queued.pages += 1;
        task.queued.samples += page.samples;
        task.queued.page_token = Some(token.clone());
        task.attempts = 0;
        task.refused_with = None;
        self.again(task, Duration::ZERO);
        Ok(())
    }

    /// The stay is read to its end. One without any sample says little: those of a young meeting may still come, and no
    /// page is kept of it.
    fn last_page(&mut self, mut task: Task, page: &Page, answer: &Answer) -> Result<(), Error> {
        if task.queued.samples + page.samples > 0 {
            self.anomaly.note(Sign::Known, task.queued.id);
        } else if self.is_young(&task.queued) {
            if task.queued.pages > 0 {
                self.journal.restart(task.queued.id)?;
            }
            self.anomaly.note_young();
            return self.settle(&task, State::Young, "no samples so far".into(), answer.log_id.clone());
        } else {
            let Some(unsuspected) = self.unless_suspect(task, Sign::Empty)? else { return Ok(()) };
            task = unsuspected;
        }
        self.land(&task.queued, page, answer)?;
        self.settled(&task, State::Done, None, None)
    }

    fn land(&mut self, queued: &QueuedStay, page: &Page, answer: &Answer) -> Result<(), Error> {
        let next_token = match &page.next {
            Next::Token(token) => Some(token.as_str()),
            Next::End | Next::TokenMissing => None,
        };
        let (stay, number, samples) = (queued.id, queued.pages, page.samples);
        let landed = NewPage { stay, number, samples, next_token, body: &answer.body };
        self.journal.land(&landed, self.terms.start.now().timestamp())?;
        (self.terms.emit)(Event::Landed { samples });
        Ok(())
    }

    /// What is wrong with the paging, if anything: a server that says `has_more` for ever must not eat the quota.
    fn paging_fault(&self, queued: &QueuedStay, page: &Page) -> Result<Option<PagingFault>, Error> {
        let of_page = |reason: String| Ok(Some(PagingFault::OfPage(reason)));
        let token = match &page.next {
            Next::End => return Ok(None),
            Next::TokenMissing => return of_page("`has_more` without a `page_token`".into()),
            Next::Token(token) => token,
        };
        if self.journal.token_seen(queued.id, token)? {
            return of_page(format!("page {} repeats an earlier `page_token`", queued.pages));
        }
        let pages_max = queued.stay.pages_max().saturating_mul(2);
        Ok((queued.pages + 1 >= pages_max).then(|| {
            let reason = format!("`has_more` after {pages_max} pages, twice as many as the stay's length allows");
            PagingFault::OfStay(reason)
        }))
    }

    fn throttled(&mut self, task: Task, wait: Duration) -> Result<(), Error> {
        let now = Instant::now();
        self.pace.close_gate(now + wait);
        refuse_for(self.journal, self.terms.start.now(), wait)?;
        (self.terms.emit)(Event::Refused { wait });
        let lasted = self.outage.refusal(now, wait);
        if lasted >= self.terms.config.retry.outage_max {
            let lasted = humantime::format_duration(Duration::from_secs(lasted.as_secs()));
            self.end(Ended::Early(format!(
                "the API has refused all requests for {lasted}: the quota of this app may be used by another program"
            )));
        }
        self.again(task, Duration::ZERO);
        Ok(())
    }

    fn month_used_up(&mut self, task: Task, said: &Said) {
        let (_, _, next_month) = quota_month(self.terms.start.now());
        self.end(Ended::Early(format!("{said}; run again from {next_month} (UTC+8) on")));
        self.again(task, Duration::ZERO);
    }

    /// The first refusal of a page costs a new token; the second one, with the new token, ends the run.
    fn token_refused(&mut self, mut task: Task, generation: u64, said: Said) {
        if task.refused_with.is_some_and(|refused| refused < generation) {
            self.end(Ended::Denied(said, token::REFUSED_AGAIN_REMEDY));
        }
        self.tokens.drop_generation(generation);
        task.refused_with = Some(generation);
        self.again(task, Duration::ZERO);
    }

    fn denied(&mut self, task: Task, said: Said, remedy: Remedy) {
        self.end(Ended::Denied(said, remedy));
        self.again(task, Duration::ZERO);
    }

    /// What an answer shows besides what it says of its stay.
    fn note(&mut self, outcome: &Outcome) {
        if !matches!(outcome, Outcome::Transient(_) | Outcome::Throttled { .. }) {
            self.outage.answer();
        }
        if matches!(
            outcome,
            Outcome::Page(_) | Outcome::Absent(_) | Outcome::Rejected(_) | Outcome::IdRefused(_) | Outcome::Failed(_)
        ) {
            // An answer about a stay shows that the app may ask, and ends a row of "no permission".
            self.permitted = true;
            self.no_permission.clear();
        }
    }

    /// Notes what an answer says of the run. If the run stops for what its answers say, and this one says no better, it
    /// decides nothing of its stay; and those of the answers before it are pending again.
    fn unless_suspect(&mut self, task: Task, sign: Sign) -> Result<Option<Task>, Error> {
        let alarm = self.anomaly.note(sign, task.queued.id).filter(|_| self.terms.config.retry.stop_on_anomaly);
        if let Some(alarm) = alarm.filter(|_| self.ending.is_none()) {
            self.alarm(alarm)?;
        }
        if sign != Sign::Known && matches!(self.ending, Some(Ended::Suspicious(_))) {
            self.journal.unsettle_suspects(&[task.queued.id])?;
            self.again(task, Duration::ZERO);
            return Ok(None);
        }
        Ok(Some(task))
    }

    /// Ends the run. The stays of the bad answers are pending again, for they may be none of theirs; later runs ask neither
    /// for them nor for those that waited beside them, unless their manifest names them.
    pub(super) fn alarm(&mut self, alarm: Alarm) -> Result<(), Error> {
        self.end(Ended::Suspicious(alarm));
        if alarm == Alarm::AllYoung {
            return Ok(self.journal.suspect_young()?);
        }
        let suspects = self.anomaly.suspects();
        self.unsettle_suspects(&suspects)?;
        let are_own = matches!(self.terms.scope, Scope::Own) && self.journal.are_own(&suspects)?;
        self.journal.set_aside(if are_own { Aside::Own } else { Aside::All })?;
        Ok(())
    }

    fn unsettle_suspects(&mut self, stays: &[StayId]) -> Result<(), Error> {
        for (state, stays) in self.journal.unsettle_suspects(stays)? {
            (self.terms.emit)(Event::Unsettled { state, stays });
        }
        self.settled_before = StayId::MIN;
        Ok(())
    }

    /// Fails the stay; when it is the first answer of all or the last of a row, it fails none and ends the run.
    fn no_permission(&mut self, task: Task, said: Said) -> Result<(), Error> {
        if self.ending.is_some() {
            self.again(task, Duration::ZERO);
            return Ok(());
        }
        self.no_permission.push(task.queued.id);
        if self.permitted && self.no_permission.len() < NO_PERMISSION_MAX {
            return self.settle(&task, State::Failed, said.text, said.log_id);
        }
        self.end(Ended::Denied(said, NO_PERMISSION_REMEDY));
        let mut settled = std::mem::take(&mut self.no_permission);
        settled.pop();
        self.unsettle(&settled)?;
        self.again(task, Duration::ZERO);
        Ok(())
    }

    /// Takes back that stays failed: what failed them was nothing of theirs.
    fn unsettle(&mut self, stays: &[StayId]) -> Result<(), Error> {
        for (state, stays) in self.journal.unsettle(stays)? {
            (self.terms.emit)(Event::Unsettled { state, stays });
        }
        self.settled_before = StayId::MIN;
        Ok(())
    }

    fn absent(&mut self, task: Task, said: Said) -> Result<(), Error> {
        if task.queued.page_token.is_some() {
            return self.start_over(task, said);
        }
        if self.is_young(&task.queued) {
            self.anomaly.note_young();
            return self.settle(&task, State::Young, said.text, said.log_id);
        }
        let Some(task) = self.unless_suspect(task, Sign::Unknown)? else { return Ok(()) };
        self.settle(&task, State::Absent, said.text, said.log_id)
    }

    /// Whether data of the meeting may still come.
    fn is_young(&self, queued: &QueuedStay) -> bool {
        let meeting_end = DateTime::from_timestamp(queued.stay.meeting_end_s, 0).unwrap_or(DateTime::UNIX_EPOCH);
        let age = self.terms.start.now() - meeting_end;
        // A negative age: the meeting has not even ended.
        age.to_std().map_or(true, |age| age < self.terms.config.absent_retry_for)
    }

    fn rejected(&mut self, task: Task, said: Said, sign: Sign) -> Result<(), Error> {
        if task.queued.page_token.is_some() {
            return self.start_over(task, said);
        }
        // Of a stay that was refused before, and is named again, it says nothing new of the run.
        let task = if task.queued.is_asked_again { Some(task) } else { self.unless_suspect(task, sign)? };
        let Some(task) = task else { return Ok(()) };
        self.settle(&task, State::Rejected, said.text, said.log_id)
    }

    /// A row whose first page was there is no wrong row: its page token has only grown too old.
    fn start_over(&mut self, mut task: Task, said: Said) -> Result<(), Error> {
        let queued = &mut task.queued;
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

    fn failed(&mut self, task: Task, said: Said) -> Result<(), Error> {
        let Some(task) = self.unless_suspect(task, Sign::OffContract)? else { return Ok(()) };
        self.settle(&task, State::Failed, said.text, said.log_id)
    }

    /// Worth another attempt, for it may have been damaged on its way; but the API is there, so it is no outage.
    fn off_contract(&mut self, task: Task, said: Said) -> Result<(), Error> {
        let Some(task) = self.unless_suspect(task, Sign::OffContract)? else { return Ok(()) };
        self.attempt_again(task, said)
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

    fn attempt_again(&mut self, mut task: Task, said: Said) -> Result<(), Error> {
        task.attempts += 1;
        let jitter = self.jitter.random();
        let Some(wait) = retry::backoff(task.attempts, self.terms.config.retry.attempts_max, jitter) else {
            self.outage.failed(task.queued.id);
            let reason = format!("{} attempts, the last one: {said}", task.attempts);
            return self.settle(&task, State::Failed, reason, said.log_id);
        };
        (self.terms.emit)(Event::Retry { stay: &task.queued.stay, why: &said.text, wait });
        self.again(task, wait);
        Ok(())
    }

    /// In an outage no stay loses an attempt: everything waits for one request to get through.
    fn sit_out(&mut self, task: Task, lasted: Duration, sign: outage::Sign, said: &Said) {
        if sign == outage::Sign::Begins {
            (self.terms.emit)(Event::Outage { lasted, why: &said.text });
        }
        if sign != outage::Sign::Nothing {
            self.pace.close_gate(Instant::now() + PROBE_EVERY);
        }
        if sign == outage::Sign::GoesOn && lasted >= self.terms.config.retry.outage_max {
            let lasted = humantime::format_duration(Duration::from_secs(lasted.as_secs()));
            self.end(Ended::Early(format!("the API has given no useful answer for {lasted} (the last one: {said})")));
        }
        self.again(task, Duration::ZERO);
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

    fn settled(&mut self, task: &Task, state: State, reason: Option<&str>, log_id: Option<&str>) -> Result<(), Error> {
        self.taken.remove(&task.queued.id);
        (self.terms.emit)(Event::Settled { stay: &task.queued.stay, state, reason, log_id });
        if self.journal.is_ready(task.queued.date)? {
            (self.terms.date_ready)(task.queued.date);
        }
        Ok(())
    }
}
