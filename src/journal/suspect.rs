//! Stays that are asked for after all others, or by nobody: those of an alarm, and those that a manifest takes back.
//!
//! A stay whose answer was one of those that raised an alarm is a suspect: it is asked for by a run whose manifest names
//! it, after all other stays. What was to be asked for beside it is set aside, so that a later run does not begin with it:
//! whoever names it has it back.

use std::collections::BTreeMap;

use rusqlite::{OptionalExtension, Row, params};

use super::{Journal, JournalError, QueuedStay, Staged, State, StayId, page::drop_pages, stay::queued_from_row};

/// Stays that are set aside by one transaction.
const STAYS_PER_TRANSACTION: usize = 20_000;

/// Whose pending stays are set aside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Aside {
    /// This process's.
    Own,
    /// Everybody's.
    All,
}

/// What became of the stays of manifests that were taken back.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Unqueued {
    /// Distinct stays of the manifests.
    pub stays: u64,
    /// Rows that named a stay a second time.
    pub duplicates: u64,
    /// Taken out of the queue.
    pub dropped: u64,
    /// Landed, in part or as a whole, or settled: they stay.
    pub kept: u64,
    /// Not known to the journal.
    pub unknown: u64,
}

impl Journal {
    /// Takes the verdicts of an alarm's stays back: they are pending, and suspects. A stay that was done without a sample
    /// is read anew. Counts them by how they had ended.
    pub fn unsettle_suspects(&mut self, ids: &[StayId]) -> Result<BTreeMap<State, u64>, JournalError> {
        const SUSPECT_VERDICT: &str = "
            SELECT state FROM stay
            WHERE id = ?1 AND (state > 1 /* absent, rejected, failed, young */ OR state = 1 /* done */ AND samples = 0)";
        const IS_DONE_EMPTY: &str = "SELECT state = 1 /* done */ AND samples = 0 FROM stay WHERE id = ?1";
        // What has been read to its end, and has samples, stays so.
        const SUSPECT: &str = "
            UPDATE stay
            SET state = 0 /* pending */, suspect = 1 /* suspect */, settled_at = NULL, reason = NULL, log_id = NULL,
                pages = CASE WHEN state = 1 /* done */ THEN 0 ELSE pages END
            WHERE id = ?1 AND (state != 1 /* done */ OR samples = 0)";
        let mut counts = BTreeMap::new();
        let transaction = self.db.transaction()?;
        for id in ids {
            let state = |row: &Row<'_>| State::from_row(row, 0);
            let settled = transaction.query_row(SUSPECT_VERDICT, [id], state).optional()?;
            if let Some(state) = settled {
                *counts.entry(state).or_default() += 1;
            }
            let is_empty: bool = transaction.query_row(IS_DONE_EMPTY, [id], |row| row.get(0))?;
            if is_empty {
                drop_pages(&transaction, *id)?;
            }
            transaction.execute(SUSPECT, [id])?;
        }
        transaction.commit()?;
        Ok(counts)
    }

    /// Sets aside what is pending and no suspect, a part at a time.
    pub fn set_aside(&mut self, whose: Aside) -> Result<(), JournalError> {
        const SET_ASIDE_OWN: &str = "
            UPDATE stay SET suspect = 2 /* set aside */
            WHERE id IN (SELECT stay FROM mine WHERE stay BETWEEN ?1 AND ?2) AND state = 0 /* pending */
                AND suspect = 0 /* to be asked */";
        // The last of the next so many of this process's stays from ?1 on.
        const SET_ASIDE_OWN_END: &str = "
            SELECT max(stay) FROM (SELECT stay FROM mine WHERE stay >= ?1 ORDER BY stay LIMIT ?2)";
        const SET_ASIDE_ALL: &str = "
            UPDATE stay SET suspect = 2 /* set aside */
            WHERE id BETWEEN ?1 AND ?2 AND state = 0 /* pending */ AND suspect = 0 /* to be asked */";
        // The last of the next so many stays from ?1 on.
        const SET_ASIDE_ALL_END: &str = "
            SELECT max(id) FROM (SELECT id FROM stay WHERE id >= ?1 ORDER BY id LIMIT ?2)";
        let (mark, end) = match whose {
            Aside::Own => (SET_ASIDE_OWN, SET_ASIDE_OWN_END),
            Aside::All => (SET_ASIDE_ALL, SET_ASIDE_ALL_END),
        };
        let mut first = StayId::MIN;
        loop {
            let transaction = self.db.transaction()?;
            let last = params![first, STAYS_PER_TRANSACTION];
            let last: Option<StayId> = transaction.query_row(end, last, |row| row.get(0))?;
            let Some(last) = last else { return Ok(()) };
            transaction.execute(mark, [first, last])?;
            transaction.commit()?;
            first = last + 1;
        }
    }

    /// Pending stays that a run asks for only if its manifest names them: suspects, and what is set aside.
    pub fn queued_aside(&self) -> Result<u64, JournalError> {
        const QUEUED_ASIDE: &str = "
            SELECT count(*) FROM stay WHERE state = 0 /* pending */ AND suspect > 0 /* suspect, set aside */";
        Ok(self.db.query_row(QUEUED_ASIDE, [], |row| row.get(0))?)
    }

    /// This process's stays that are absent so far are suspects: no later run asks for them by itself.
    pub fn suspect_young(&self) -> Result<(), JournalError> {
        // This process's stays that are absent so far: only a manifest that names them has them asked for again.
        const SUSPECT_YOUNG: &str = "
            UPDATE stay SET suspect = 1 /* suspect */ WHERE state = 5 /* young */ AND id IN (SELECT stay FROM mine)";
        self.db.execute(SUSPECT_YOUNG, [])?;
        Ok(())
    }

    /// Whether most of the stays are this process's own.
    pub fn are_own(&self, ids: &[StayId]) -> Result<bool, JournalError> {
        const IS_OWN: &str = "SELECT EXISTS (SELECT 1 FROM mine WHERE stay = ?1)";
        let mut statement = self.db.prepare_cached(IS_OWN)?;
        let mut own = 0;
        for id in ids {
            own += usize::from(statement.query_row([id], |row| row.get::<_, bool>(0))?);
        }
        Ok(own * 2 > ids.len())
    }

    /// What is this process's own is no longer set aside; its suspects stay what they are.
    pub fn take_back_own(&self) -> Result<(), JournalError> {
        const TAKE_BACK_OWN: &str = "
            UPDATE stay INDEXED BY stay_queue SET suspect = 0 /* to be asked */
            WHERE state = 0 /* pending */ AND suspect = 2 /* set aside */ AND id IN (SELECT stay FROM mine)";
        self.db.execute(TAKE_BACK_OWN, [])?;
        Ok(())
    }

    /// The first of this process's pending suspects for which `is_taken` is false.
    pub fn next_suspect(&self, is_taken: impl Fn(StayId) -> bool) -> Result<Option<QueuedStay>, JournalError> {
        const NEXT_SUSPECT: &str = "
            SELECT stay.id, stay.meeting_start, stay.meeting_no, stay.join_time, stay.participant, stay.kind,
                stay.meeting_end, coalesce(stay.date, (SELECT date FROM stay AS first WHERE first.id = stay.rereads)),
                stay.lane, stay.pages, stay.samples, stay.restarts,
                (SELECT next_token FROM page WHERE page.stay = stay.id AND page.number = stay.pages - 1),
                stay.suspect = 1 /* suspect */, stay.settled_at IS NOT NULL, stay.external
            FROM stay
            WHERE stay.state = 0 /* pending */ AND stay.suspect = 1 /* suspect */
                AND stay.id IN (SELECT stay FROM mine)
            ORDER BY stay.lane, stay.id";
        let mut statement = self.db.prepare_cached(NEXT_SUSPECT)?;
        let mut rows = statement.query([])?;
        while let Some(row) = rows.next()? {
            if !is_taken(row.get(0)?) {
                return Ok(Some(queued_from_row(row)?));
            }
        }
        Ok(None)
    }

    /// Takes the staged stays out of the queue: what is to be asked for, or asked for again, and of which no page has
    /// landed. With `dry` nothing is changed.
    ///
    /// Needs the right to fetch: nobody may be asking for them.
    pub fn unqueue(&mut self, mut staged: Staged, dry: bool) -> Result<Unqueued, JournalError> {
        let mut unqueued = Unqueued::default();
        let mut merged = super::Enqueued::default();
        loop {
            let mut ids = Vec::new();
            while ids.len() < STAYS_PER_TRANSACTION {
                let Some((stay, _)) = staged.next(&mut merged)? else { break };
                unqueued.stays += 1;
                match self.find(stay)? {
                    None => unqueued.unknown += 1,
                    Some(found) if found.is_unread() => ids.push(found.id),
                    Some(_) => unqueued.kept += 1,
                }
            }
            unqueued.duplicates = merged.duplicates;
            if ids.is_empty() {
                return Ok(unqueued);
            }
            unqueued.dropped += ids.len() as u64;
            if !dry {
                self.forget_queued(&ids)?;
            }
        }
    }

    /// A number never names two stays, but SQLite gives that of the last row again: that one is settled and not deleted.
    fn forget_queued(&mut self, ids: &[StayId]) -> Result<(), JournalError> {
        const UNQUEUE: &str = "DELETE FROM stay WHERE id = ?1 AND id < (SELECT max(id) FROM stay)";
        const UNQUEUE_LAST: &str = "
            UPDATE stay SET state = 3 /* rejected */, reason = 'dropped from the queue', log_id = NULL WHERE id = ?1";
        let transaction = self.db.transaction()?;
        for id in ids {
            transaction.prepare_cached(UNQUEUE)?.execute([id])?;
            transaction.prepare_cached(UNQUEUE_LAST)?.execute([id])?;
        }
        Ok(transaction.commit()?)
    }
}
