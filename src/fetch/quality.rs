//! The landing of `participant_quality_list`: what an answer about a stay does to it.

use std::time::Duration;

use chrono::{DateTime, FixedOffset};
use tokio::time::Instant;

use super::{
    Alarm, Loop, Scope,
    anomaly::Sign,
    work::{Task, Tries},
};
use crate::{
    endpoint::Endpoint::Quality,
    error::Error,
    event::{Event, Subject},
    feishu::{
        answer::Said,
        page::{Next, Page},
        transport::Answer,
    },
    journal::{Aside, JournalError, ListedPageId, NewPage, QueuedStay, State, StayId, Verdict},
    limits::EARLY_END_S,
    listings,
    meeting::Meeting,
    read::{
        batch::Batch,
        decode::{Unknown, decode},
    },
    stay::Stay,
    tables::participants::PARTICIPANTS,
};

type StayTask = Task<QueuedStay>;

/// What is wrong with a stay's paging.
enum PagingFault {
    /// What the page says of the next one leads nowhere; the pages before it are sound.
    OfPage(String),
    /// There are more pages than there can be, and which of them should not be there cannot be told.
    OfStay(String),
}

/// The queue.
impl Loop<'_> {
    /// Whether a stay of this process is not settled.
    pub(super) fn is_stay_pending(&mut self) -> Result<bool, Error> {
        let settled_before = &mut self.tracks[Quality].settled_before;
        let first_pending = match self.journal.own_pending(*settled_before)? {
            // Another process may have asked again for stays that were settled, or discovered some.
            None => {
                self.journal.own_discovered()?;
                self.journal.own_discovered_rereads()?;
                self.journal.own_pending(StayId::MIN)?
            }
            first_pending => first_pending,
        };
        *settled_before = first_pending.unwrap_or(*settled_before);
        Ok(first_pending.is_some())
    }

    /// The next stay that is not begun yet; this process's suspects come last, and those of others not at all.
    pub(super) fn next_stay(&self) -> Result<Option<QueuedStay>, Error> {
        let taken = &self.tracks[Quality].taken;
        let is_taken = |id| taken.contains(&id);
        Ok(match (self.journal.next(taken.len() + 1, is_taken)?, self.terms.scope) {
            (None, Scope::Own) => self.journal.next_suspect(is_taken)?,
            (fresh, _) => fresh,
        })
    }
}

/// Pages.
impl Loop<'_> {
    pub(super) fn page_of_stay(&mut self, mut task: StayTask, page: &Page, answer: &Answer) -> Result<(), Error> {
        if let Some(fault) = self.paging_fault(&task.work, page)? {
            if self.is_in_doubt(Quality, task.work.id, Sign::OffContract)? {
                self.requeue(task, Duration::ZERO);
                return Ok(());
            }
            let reason = match fault {
                PagingFault::OfPage(reason) => reason,
                PagingFault::OfStay(reason) => {
                    // Whoever asks again reads the stay from its first page.
                    self.journal.restart(task.work.id)?;
                    reason
                }
            };
            return self.fail_stay(&task.work, reason, answer.log_id.clone());
        }
        let Next::Token(token) = &page.next else { return self.last_page(task, page, answer) };
        self.land(&task.work, page, answer)?;
        if page.items > 0 {
            self.tracks[Quality].anomaly.note(Sign::Known, task.work.id);
        }
        task.work.pages += 1;
        task.work.samples += page.items;
        task.work.page_token = Some(token.clone());
        task.tries = Tries::none(Instant::now());
        self.requeue(task, Duration::ZERO);
        Ok(())
    }

    /// The stay is read to its end. One without any sample says little: those of a young meeting may still come, and no
    /// page is kept of it.
    fn last_page(&mut self, task: StayTask, page: &Page, answer: &Answer) -> Result<(), Error> {
        let stay = &task.work;
        if stay.samples + page.items > 0 {
            self.tracks[Quality].anomaly.note(Sign::Known, stay.id);
        } else if self.is_young(stay) {
            if stay.pages > 0 {
                self.journal.restart(stay.id)?;
            }
            self.tracks[Quality].anomaly.note_young();
            return self.settle(stay, State::Young, "no samples so far".into(), answer.log_id.clone());
        } else if self.is_in_doubt(Quality, stay.id, Sign::Empty)? {
            self.requeue(task, Duration::ZERO);
            return Ok(());
        }
        self.land(stay, page, answer)?;
        self.settled(stay, State::Done, None, None)
    }

    /// Whether the last samples of a stay may still come: its meeting is young, and they end long before it may have ended.
    fn ends_early(&self, stay: &QueuedStay, page: &Page, answer: &Answer) -> Result<bool, Error> {
        if page.next != Next::End || page.items == 0 || !self.is_young(stay) {
            return Ok(false);
        }
        let offset = self.terms.config.api.naive_utc_offset;
        let Some(last_s) = last_sample_s(&answer.body, &stay.stay, offset) else { return Ok(false) };
        let is_early = |end_s: i64| end_s - last_s > EARLY_END_S;
        if !is_early(stay.stay.meeting_end_s) {
            return Ok(false);
        }
        Ok(self.left_at_s(&stay.stay)?.is_none_or(is_early))
    }

    /// When the participant left, where a listing says so.
    fn left_at_s(&self, stay: &Stay) -> Result<Option<i64>, Error> {
        let Some(id) = self.journal.meeting_of(stay)? else { return Ok(None) };
        let meeting = Meeting { start_s: stay.meeting_start_s, no: stay.meeting_no, end_s: Some(stay.meeting_end_s) };
        let (offset, now_s) = (self.terms.config.api.naive_utc_offset, self.terms.start.now().timestamp());
        let mut left_s = None;
        let read = self.journal.each_page_of_participants(id, ListedPageId::MAX, |_, body| {
            let listed = listings::attendances(body, &meeting, offset, now_s, &mut Unknown::default());
            let own = listed.into_iter().flatten().filter(|seen| seen.stay.as_ref() == Some(stay));
            left_s = own.map(|seen| seen.values.cell(&PARTICIPANTS, "leave_time").time_s()).fold(left_s, Option::max);
            Ok::<_, JournalError>(())
        });
        // A page that has been pruned says nothing.
        Ok(read.ok().and(left_s))
    }

    fn land(&mut self, stay: &QueuedStay, page: &Page, answer: &Answer) -> Result<(), Error> {
        let next_token = match &page.next {
            Next::Token(token) => Some(token.as_str()),
            Next::End | Next::TokenMissing => None,
        };
        let samples = page.items;
        let landed = NewPage { stay: stay.id, number: stay.pages, samples, next_token, body: &answer.body };
        let now_s = self.terms.start.now().timestamp();
        if self.ends_early(stay, page, answer)? {
            self.journal.land_early_end(&landed, now_s)?;
        } else {
            self.journal.land(&landed, now_s)?;
        }
        (self.terms.emit)(Event::Landed { samples });
        Ok(())
    }

    /// What is wrong with the paging, if anything: a server that says `has_more` for ever must not eat the quota.
    fn paging_fault(&self, stay: &QueuedStay, page: &Page) -> Result<Option<PagingFault>, Error> {
        let of_page = |reason: String| Ok(Some(PagingFault::OfPage(reason)));
        let token = match &page.next {
            Next::End => return Ok(None),
            Next::TokenMissing => return of_page("`has_more` without a `page_token`".into()),
            Next::Token(token) => token,
        };
        if self.journal.token_seen(stay.id, token)? {
            return of_page(format!("page {} repeats an earlier `page_token`", stay.pages));
        }
        let pages_max = stay.stay.pages_max().saturating_mul(2);
        Ok((stay.pages + 1 >= pages_max).then(|| {
            let reason = format!("`has_more` after {pages_max} pages, twice as many as the stay's length allows");
            PagingFault::OfStay(reason)
        }))
    }
}

/// When the last sample of a page was taken, as far as its times can be read.
fn last_sample_s(body: &[u8], stay: &Stay, naive_offset: FixedOffset) -> Option<i64> {
    let mut batch = Batch::new(naive_offset);
    let mut rows = batch.stay(stay);
    let mut last_us = None;
    let mut take = |batch: &mut Batch| {
        last_us = last_us.max(batch.sample_time_us().values.iter().copied().max());
        batch.clear();
    };
    let decoded = decode(body, &mut Unknown::default(), |sample| {
        rows.push(sample);
        if let Some(full) = rows.full() {
            take(full);
        }
    });
    take(&mut batch);
    decoded.ok().and(last_us).map(|time_us| time_us.div_euclid(1_000_000))
}

/// Verdicts.
impl Loop<'_> {
    pub(super) fn absent_stay(&mut self, task: StayTask, said: Said) -> Result<(), Error> {
        if task.work.page_token.is_some() {
            return self.start_over(task, said);
        }
        if self.is_young(&task.work) {
            self.tracks[Quality].anomaly.note_young();
            return self.settle(&task.work, State::Young, said.text, said.log_id);
        }
        if self.is_in_doubt(Quality, task.work.id, Sign::Unknown)? {
            self.requeue(task, Duration::ZERO);
            return Ok(());
        }
        self.settle(&task.work, State::Absent, said.text, said.log_id)
    }

    /// Whether data of the meeting may still come.
    fn is_young(&self, stay: &QueuedStay) -> bool {
        let meeting_end = DateTime::from_timestamp(stay.stay.meeting_end_s, 0).unwrap_or(DateTime::UNIX_EPOCH);
        let age = self.terms.start.now() - meeting_end;
        // A negative age: the meeting has not even ended.
        age.to_std().map_or(true, |age| age < self.terms.config.absent_retry_for)
    }

    pub(super) fn rejected_stay(&mut self, task: StayTask, said: Said, sign: Sign) -> Result<(), Error> {
        if task.work.page_token.is_some() {
            return self.start_over(task, said);
        }
        // Of a stay that was refused before, and is named again, it says nothing new of the run; no app may use the ids of
        // another tenant.
        let is_expected = task.work.is_asked_again || (task.work.is_external && sign == Sign::IdRefused);
        if !is_expected && self.is_in_doubt(Quality, task.work.id, sign)? {
            self.requeue(task, Duration::ZERO);
            return Ok(());
        }
        self.settle(&task.work, State::Rejected, said.text, said.log_id)
    }

    /// A row whose first page was there is no wrong row: its page token has only grown too old.
    fn start_over(&mut self, mut task: StayTask, said: Said) -> Result<(), Error> {
        let stay = &mut task.work;
        if stay.restarts > 0 {
            let reason = format!("page token refused a second time: {said}");
            return self.fail_stay(stay, reason, said.log_id);
        }
        self.journal.restart(stay.id)?;
        (stay.pages, stay.samples, stay.page_token) = (0, 0, None);
        stay.restarts += 1;
        (self.terms.emit)(Event::Restarted { subject: Subject::Stay(&stay.stay) });
        self.requeue(task, Duration::ZERO);
        Ok(())
    }

    pub(super) fn fail_stay(&mut self, stay: &QueuedStay, reason: String, log_id: Option<String>) -> Result<(), Error> {
        self.settle(stay, State::Failed, reason, log_id)
    }

    fn settle(&mut self, stay: &QueuedStay, state: State, reason: String, log_id: Option<String>) -> Result<(), Error> {
        let verdict = Verdict { state, reason, log_id };
        self.journal.settle(stay.id, &verdict, self.terms.start.now().timestamp())?;
        self.settled(stay, state, Some(&verdict.reason), verdict.log_id.as_deref())
    }

    fn settled(
        &mut self,
        stay: &QueuedStay,
        state: State,
        reason: Option<&str>,
        log_id: Option<&str>,
    ) -> Result<(), Error> {
        self.tracks[Quality].taken.remove(&stay.id);
        (self.terms.emit)(Event::Settled { stay: &stay.stay, state, reason, log_id });
        if self.journal.is_ready(stay.date)? {
            (self.terms.date_ready)(stay.date);
        }
        Ok(())
    }
}

/// What is taken back.
impl Loop<'_> {
    /// Takes back that stays failed.
    pub(super) fn unsettle_stays(&mut self, stays: &[StayId]) -> Result<(), Error> {
        let unsettled = self.journal.unsettle(stays)?;
        self.are_pending_again(unsettled);
        Ok(())
    }

    /// Takes back what was settled by answers that are in doubt.
    pub(super) fn unsettle_suspect_stays(&mut self, stays: &[StayId]) -> Result<(), Error> {
        let unsettled = self.journal.unsettle_suspects(stays)?;
        self.are_pending_again(unsettled);
        Ok(())
    }

    fn are_pending_again(&mut self, unsettled: impl IntoIterator<Item = (State, u64)>) {
        for (state, count) in unsettled {
            (self.terms.emit)(Event::Unsettled { endpoint: Quality, state, count });
        }
        self.tracks[Quality].settled_before = StayId::MIN;
    }

    /// The stays of the bad answers are pending again, for they may be none of theirs; later runs ask neither for them nor
    /// for those that waited beside them, unless their manifest names them.
    pub(super) fn set_stays_aside(&mut self, alarm: Alarm) -> Result<(), Error> {
        if alarm == Alarm::AllYoung {
            return Ok(self.journal.suspect_young()?);
        }
        let suspects = self.tracks[Quality].anomaly.suspects();
        self.unsettle_suspect_stays(&suspects)?;
        let are_own = matches!(self.terms.scope, Scope::Own) && self.journal.are_own(&suspects)?;
        self.journal.set_aside(if are_own { Aside::Own } else { Aside::All })?;
        Ok(())
    }
}
