//! Stays that are asked for after all others, or by nobody: those of an alarm, and those that a manifest takes back.
//!
//! A stay whose answer was one of those that raised an alarm is a suspect: it is asked for by a run whose manifest names
//! it, after all other stays. What was to be asked for beside it is set aside, so that a later run does not begin with it:
//! whoever names it has it back.

use std::collections::BTreeMap;

use rusqlite::{OptionalExtension, Row, params};

use super::{Journal, JournalError, QueuedStay, Staged, State, StayId, stay::queued_from_row};

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
        let mut counts = BTreeMap::new();
        let transaction = self.db.transaction()?;
        for id in ids {
            let state = |row: &Row<'_>| State::from_row(row, 0);
            let settled = transaction.query_row(include_str!("suspect_verdict.sql"), [id], state).optional()?;
            if let Some(state) = settled {
                *counts.entry(state).or_default() += 1;
            }
            let is_empty: bool = transaction.query_row(include_str!("is_done_empty.sql"), [id], |row| row.get(0))?;
            if is_empty {
                transaction.execute(include_str!("drop_bodies.sql"), [id])?;
                transaction.execute(include_str!("restart_pages.sql"), [id])?;
            }
            transaction.execute(include_str!("suspect.sql"), [id])?;
        }
        transaction.commit()?;
        Ok(counts)
    }

    /// Sets aside what is pending and no suspect, a part at a time.
    pub fn set_aside(&mut self, whose: Aside) -> Result<(), JournalError> {
        let (mark, end) = match whose {
            Aside::Own => (include_str!("set_aside_own.sql"), include_str!("set_aside_own_end.sql")),
            Aside::All => (include_str!("set_aside_all.sql"), include_str!("set_aside_all_end.sql")),
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

    /// This process's stays that are absent so far are suspects: no later run asks for them by itself.
    pub fn suspect_young(&self) -> Result<(), JournalError> {
        self.db.execute(include_str!("suspect_young.sql"), [])?;
        Ok(())
    }

    /// Whether most of the stays are this process's own.
    pub fn are_own(&self, ids: &[StayId]) -> Result<bool, JournalError> {
        let mut statement = self.db.prepare_cached(include_str!("is_own.sql"))?;
        let mut own = 0;
        for id in ids {
            own += usize::from(statement.query_row([id], |row| row.get::<_, bool>(0))?);
        }
        Ok(own * 2 > ids.len())
    }

    /// What is this process's own is no longer set aside; its suspects stay what they are.
    pub fn take_back_own(&self) -> Result<(), JournalError> {
        self.db.execute(include_str!("take_back_own.sql"), [])?;
        Ok(())
    }

    /// The first of this process's pending suspects for which `is_taken` is false.
    pub fn next_suspect(&self, is_taken: impl Fn(StayId) -> bool) -> Result<Option<QueuedStay>, JournalError> {
        let mut statement = self.db.prepare_cached(include_str!("next_suspect.sql"))?;
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
        let transaction = self.db.transaction()?;
        for id in ids {
            transaction.prepare_cached(include_str!("unqueue.sql"))?.execute([id])?;
            transaction.prepare_cached(include_str!("unqueue_last.sql"))?.execute([id])?;
        }
        Ok(transaction.commit()?)
    }
}
