//! Pruning: landed bodies of published stays are dropped, and their space goes back to the disk.
//!
//! What else is known of a page stays (samples, digest), so that its stay is never asked for again, its file can be
//! verified, and an import can put the body back.

use chrono::NaiveDate;
use rusqlite::{TransactionBehavior, params};

use super::{Journal, JournalError, StayId};

/// Stays pruned by one transaction: another process that lands waits no longer than for these.
const STAYS_PER_TRANSACTION: usize = 500;

/// Database pages given back by one transaction.
const VACUUM_PAGES: usize = 2_000;

/// What was dropped of one date.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Dropped {
    /// Stays whose bodies were dropped.
    pub stays: u64,
    /// Bodies dropped.
    pub pages: u64,
}

impl Journal {
    /// The dates from `first` to `last` that have stays, in whatever state.
    pub fn known_dates(&self, first: NaiveDate, last: NaiveDate) -> Result<Vec<NaiveDate>, JournalError> {
        self.dates(include_str!("known_dates.sql"), first, last)
    }

    /// True if bodies of the date's done stays have been dropped and not put back since.
    pub fn is_pruned(&self, date: NaiveDate) -> Result<bool, JournalError> {
        self.exists_on(date, include_str!("is_pruned_on.sql"))
    }

    /// Drops the bodies of the date's done stays that are in files; those of other stays are kept.
    ///
    /// The caller holds the right to publish, and has made sure that the files are there.
    pub fn prune(&mut self, date: NaiveDate) -> Result<Dropped, JournalError> {
        let mut dropped = Dropped::default();
        let mut pruned_before: StayId = 0;
        loop {
            let transaction = self.db.transaction_with_behavior(TransactionBehavior::Immediate)?;
            let after = params![date.to_epoch_days(), pruned_before, STAYS_PER_TRANSACTION];
            let stays: Vec<StayId> = transaction
                .prepare_cached(include_str!("prunable.sql"))?
                .query_map(after, |row| row.get(0))?
                .collect::<Result<_, _>>()?;
            let Some(last) = stays.last() else { return Ok(dropped) };
            pruned_before = *last;
            for stay in &stays {
                let pages = transaction.prepare_cached(include_str!("drop_bodies.sql"))?.execute([stay])? as u64;
                transaction.prepare_cached(include_str!("prune_pages.sql"))?.execute([stay])?;
                dropped.pages += pages;
                dropped.stays += u64::from(pages > 0);
            }
            transaction.commit()?;
        }
    }

    /// Gives unused space back to the disk, a little at a time, so that other processes go on meanwhile; returns by how
    /// many bytes the database has become smaller, and how many it keeps inside for pages to come.
    ///
    /// A database that was restored from a dump keeps all of them: it is not made to give space back. While another process
    /// reads from an older state, what it may need stays on disk until the next checkpoint.
    pub fn shrink(&self) -> Result<(u64, u64), JournalError> {
        let unused_pages = || self.db.query_row("PRAGMA freelist_count", [], |row| row.get::<_, u64>(0));
        let before = self.bytes()?;
        let mut unused = unused_pages()?;
        while unused > 0 {
            let mut vacuum = self.db.prepare(&format!("PRAGMA incremental_vacuum({VACUUM_PAGES})"))?;
            let mut steps = vacuum.query([])?;
            while steps.next()?.is_some() {}
            let left = unused_pages()?;
            if left >= unused {
                break;
            }
            unused = left;
        }
        self.db.execute_batch("PRAGMA wal_checkpoint(TRUNCATE)")?;
        let page_bytes: u64 = self.db.query_row("PRAGMA page_size", [], |row| row.get(0))?;
        Ok((before.saturating_sub(self.bytes()?), unused * page_bytes))
    }

    fn bytes(&self) -> Result<u64, JournalError> {
        let number = |sql| self.db.query_row(sql, [], |row| row.get::<_, u64>(0));
        Ok(number("PRAGMA page_count")? * number("PRAGMA page_size")?)
    }
}
