//! Samples of stays: which stay is next, what an answer means for it, and how it lands.

use std::time::Duration;

use chrono::DateTime;

use super::{
    Alarm, Ended, LARGE_BODY_BYTES, Loop, Scope,
    anomaly::Sign,
    task::{Task, Work},
    track::Track,
};
use crate::{
    endpoint::Endpoint,
    error::Error,
    event::Event,
    feishu::{
        answer::{Judgement, Said},
        no_permission_remedy,
        page::{Next, Page},
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

impl Task {
    fn stay(&self) -> &QueuedStay {
        let Work::Stay(queued) = &self.work;
        queued
    }

    fn stay_mut(&mut self) -> &mut QueuedStay {
        let Work::Stay(queued) = &mut self.work;
        queued
    }
}

impl Loop<'_> {
    /// The next stay that is not begun yet; this process's suspects come last, and those of others not at all.
    pub(super) fn next_stay(&self) -> Result<Option<QueuedStay>, Error> {
        let is_taken = |id| self.taken.contains(&id);
        Ok(match (self.journal.next(self.taken.len() + 1, is_taken)?, self.terms.scope) {
            (None, Scope::Own) => self.journal.next_suspect(is_taken)?,
            (fresh, _) => fresh,
        })
    }

    /// What an answer says of the stay.
    pub(super) fn stay_judged(&mut self, task: Task, judgement: Judgement, said: Said) -> Result<(), Error> {
        match judgement {
            Judgement::NoPermission => self.no_permission(task, said),
            Judgement::Absent => self.absent(task, said),
            Judgement::Rejected => self.rejected(task, said, Sign::Unknown),
            Judgement::IdRefused => self.rejected(task, said, Sign::IdRefused),
            Judgement::OffContract => self.off_contract(task, said),
            Judgement::Failed => self.failed(task, said),
        }
    }

    /// Gives a stay up after as many attempts as there may be.
    pub(super) fn stay_given_up(&mut self, task: &Task, said: Said) -> Result<(), Error> {
        self.outage.failed(task.stay().id);
        let reason = format!("{} attempts, the last one: {said}", task.attempts);
        self.settle(task, State::Failed, reason, said.log_id)
    }

    /// What is kept of the endpoint.
    fn quality(&mut self) -> &mut Track {
        &mut self.tracks[Endpoint::Quality]
    }

    /// A page of a stay.
    pub(super) fn stay_page(&mut self, mut task: Task, page: &Page, answer: &Answer) -> Result<(), Error> {
        self.bodies_are_large = answer.body.len() > LARGE_BODY_BYTES;
        if let Some(fault) = self.paging_fault(task.stay(), page)? {
            let Some(task) = self.unless_suspect(task, Sign::OffContract)? else { return Ok(()) };
            let reason = match fault {
                PagingFault::OfPage(reason) => reason,
                PagingFault::OfStay(reason) => {
                    // Whoever asks again reads the stay from its first page.
                    self.journal.restart(task.stay().id)?;
                    reason
                }
            };
            return self.settle(&task, State::Failed, reason, answer.log_id.clone());
        }
        let Next::Token(token) = &page.next else { return self.last_page(task, page, answer) };
        self.land(task.stay(), page, answer)?;
        if page.items > 0 {
            self.quality().anomaly.note(Sign::Known, task.stay().id);
        }
        let queued = task.stay_mut();
        queued.pages += 1;
        queued.samples += page.items;
        queued.page_token = Some(token.clone());
        task.turn_page();
        self.requeue(task, Duration::ZERO);
        Ok(())
    }

    /// The stay is read to its end. One without any sample says little: those of a young meeting may still come, and no
    /// page is kept of it.
    fn last_page(&mut self, mut task: Task, page: &Page, answer: &Answer) -> Result<(), Error> {
        if task.stay().samples + page.items > 0 {
            self.quality().anomaly.note(Sign::Known, task.stay().id);
        } else if self.is_young(task.stay()) {
            if task.stay().pages > 0 {
                self.journal.restart(task.stay().id)?;
            }
            self.quality().anomaly.note_young();
            return self.settle(&task, State::Young, "no samples so far".into(), answer.log_id.clone());
        } else {
            let Some(unsuspected) = self.unless_suspect(task, Sign::Empty)? else { return Ok(()) };
            task = unsuspected;
        }
        self.land(task.stay(), page, answer)?;
        self.settled(&task, State::Done, None, None)
    }

    fn land(&mut self, queued: &QueuedStay, page: &Page, answer: &Answer) -> Result<(), Error> {
        let next_token = match &page.next {
            Next::Token(token) => Some(token.as_str()),
            Next::End | Next::TokenMissing => None,
        };
        let (stay, number, samples) = (queued.id, queued.pages, page.items);
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

    /// Notes what an answer says of the run. If the run stops for what its answers say, and this one says no better, it
    /// decides nothing of its stay; and those of the answers before it are pending again.
    fn unless_suspect(&mut self, task: Task, sign: Sign) -> Result<Option<Task>, Error> {
        let alarm =
            self.quality().anomaly.note(sign, task.stay().id).filter(|_| self.terms.config.retry.stop_on_anomaly);
        if let Some(alarm) = alarm.filter(|_| self.ending.is_none()) {
            self.alarm(alarm)?;
        }
        if sign != Sign::Known && matches!(self.ending, Some(Ended::Suspicious(_))) {
            self.journal.unsettle_suspects(&[task.stay().id])?;
            self.requeue(task, Duration::ZERO);
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
        let suspects = self.quality().anomaly.suspects();
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
            self.requeue(task, Duration::ZERO);
            return Ok(());
        }
        self.quality().no_permission.push(task.stay().id);
        if self.quality().permitted && self.quality().no_permission.len() < NO_PERMISSION_MAX {
            return self.settle(&task, State::Failed, said.text, said.log_id);
        }
        self.end(Ended::Denied(said, no_permission_remedy(Endpoint::Quality)));
        let mut settled = std::mem::take(&mut self.quality().no_permission);
        settled.pop();
        self.unsettle(&settled)?;
        self.requeue(task, Duration::ZERO);
        Ok(())
    }

    /// Takes back that stays failed: what failed them was nothing of theirs.
    pub(super) fn unsettle(&mut self, stays: &[StayId]) -> Result<(), Error> {
        for (state, stays) in self.journal.unsettle(stays)? {
            (self.terms.emit)(Event::Unsettled { state, stays });
        }
        self.settled_before = StayId::MIN;
        Ok(())
    }

    fn absent(&mut self, task: Task, said: Said) -> Result<(), Error> {
        if task.stay().page_token.is_some() {
            return self.start_over(task, said);
        }
        if self.is_young(task.stay()) {
            self.quality().anomaly.note_young();
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
        if task.stay().page_token.is_some() {
            return self.start_over(task, said);
        }
        // Of a stay that was refused before, and is named again, it says nothing new of the run.
        let task = if task.stay().is_asked_again { Some(task) } else { self.unless_suspect(task, sign)? };
        let Some(task) = task else { return Ok(()) };
        self.settle(&task, State::Rejected, said.text, said.log_id)
    }

    /// A row whose first page was there is no wrong row: its page token has only grown too old.
    fn start_over(&mut self, mut task: Task, said: Said) -> Result<(), Error> {
        let queued = task.stay_mut();
        if queued.restarts > 0 {
            let reason = format!("page token refused a second time: {said}");
            return self.settle(&task, State::Failed, reason, said.log_id);
        }
        self.journal.restart(queued.id)?;
        (queued.pages, queued.samples, queued.page_token) = (0, 0, None);
        queued.restarts += 1;
        (self.terms.emit)(Event::Restarted { stay: &queued.stay });
        self.requeue(task, Duration::ZERO);
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

    fn settle(&mut self, task: &Task, state: State, reason: String, log_id: Option<String>) -> Result<(), Error> {
        let verdict = Verdict { state, reason, log_id };
        self.journal.settle(task.stay().id, &verdict, self.terms.start.now().timestamp())?;
        self.settled(task, state, Some(&verdict.reason), verdict.log_id.as_deref())
    }

    fn settled(&mut self, task: &Task, state: State, reason: Option<&str>, log_id: Option<&str>) -> Result<(), Error> {
        self.taken.remove(&task.stay().id);
        (self.terms.emit)(Event::Settled { stay: &task.stay().stay, state, reason, log_id });
        if self.journal.is_ready(task.stay().date)? {
            (self.terms.date_ready)(task.stay().date);
        }
        Ok(())
    }
}
