//! Pruning: landed bodies of published stays and listings are dropped, and their space goes back to the disk.
//!
//! What else is known of a page stays (samples, digest), so that its stay is never asked for again, its file can be
//! verified, and an import can put the body back.

use std::collections::BTreeMap;

use chrono::NaiveDate;
use rusqlite::{TransactionBehavior, params};

use super::{Journal, JournalError, ListingId, StayId, page::DROP_BODIES, stay::date_from_row};

/// Stays, or listings, pruned by one transaction: another process that lands waits no longer than for these.
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
        const KNOWN_DATES: &str = "SELECT DISTINCT date FROM stay WHERE date BETWEEN ?1 AND ?2 ORDER BY 1";
        self.dates(KNOWN_DATES, first, last)
    }

    /// True if bodies of the date's done stays have been dropped and not put back since.
    pub fn is_pruned(&self, date: NaiveDate) -> Result<bool, JournalError> {
        // No page at all, but samples: taken over from a published file.
        const IS_PRUNED_ON: &str = "
            SELECT EXISTS (
                SELECT 1 FROM stay
                WHERE date = ?1 AND state = 1 /* done */ AND (
                    pages = 0
                        AND samples > 0 OR EXISTS (SELECT 1 FROM page WHERE page.stay = stay.id AND page.body IS NULL)
                )
            )";
        self.exists_on(date, IS_PRUNED_ON)
    }

    /// Drops the bodies of the date's done stays that are in files; those of other stays are kept.
    ///
    /// The caller holds the right to publish, and has made sure that the files are there.
    pub fn prune(&mut self, date: NaiveDate) -> Result<Dropped, JournalError> {
        const PRUNABLE: &str = "
            SELECT id FROM stay
            WHERE date = ?1 AND state = 1 /* done */ AND (file IS NOT NULL OR samples = 0) AND id > ?2
            ORDER BY id
            LIMIT ?3";
        const PRUNE_PAGES: &str = "UPDATE page SET body = NULL WHERE stay = ?1 AND body IS NOT NULL";
        let mut dropped = Dropped::default();
        let mut pruned_before: StayId = 0;
        loop {
            let transaction = self.db.transaction_with_behavior(TransactionBehavior::Immediate)?;
            let after = params![date.to_epoch_days(), pruned_before, STAYS_PER_TRANSACTION];
            let stays: Vec<StayId> =
                transaction.prepare_cached(PRUNABLE)?.query_map(after, |row| row.get(0))?.collect::<Result<_, _>>()?;
            let Some(last) = stays.last() else { return Ok(dropped) };
            pruned_before = *last;
            for stay in &stays {
                let pages = transaction.prepare_cached(DROP_BODIES)?.execute([stay])? as u64;
                transaction.prepare_cached(PRUNE_PAGES)?.execute([stay])?;
                dropped.pages += pages;
                dropped.stays += u64::from(pages > 0);
            }
            transaction.commit()?;
        }
    }

    /// The dates before `before` of which anything has been listed, or tried to be.
    pub fn listing_dates_before(&self, before: NaiveDate) -> Result<Vec<NaiveDate>, JournalError> {
        const LISTING_DATES_BEFORE: &str = "
            SELECT date FROM listing WHERE date < ?1 UNION SELECT date FROM meeting WHERE date < ?1 ORDER BY 1";
        let mut statement = self.db.prepare_cached(LISTING_DATES_BEFORE)?;
        let rows = statement.query_map([before.to_epoch_days()], |row| date_from_row(row, 0))?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// True if the date, or a meeting of it, is still to be listed: its last listing is pending, has failed, or was too early.
    pub fn is_listing_queued(&self, date: NaiveDate) -> Result<bool, JournalError> {
        const IS_LISTING_QUEUED: &str = "
            SELECT EXISTS (
                SELECT 1 FROM listing
                WHERE id = (SELECT max(id) FROM listing WHERE date = ?1) AND state IN (0, 4, 5) /* pending, failed, young */
            ) OR EXISTS (
                SELECT 1 FROM meeting JOIN listing ON listing.meeting = meeting.id
                WHERE meeting.date = ?1 AND listing.state IN (0, 4, 5) /* pending, failed, young */
                    AND listing.id = (SELECT max(id) FROM listing AS last WHERE last.meeting = meeting.id)
            )";
        self.exists_on(date, IS_LISTING_QUEUED)
    }

    /// The dates from `first` to `last` of whose listings bodies have been dropped and not put back since: those of the date, those
    /// that have meetings of it, and those of their participants.
    pub fn pruned_listing_dates(&self, first: NaiveDate, last: NaiveDate) -> Result<Vec<NaiveDate>, JournalError> {
        const PRUNED_LISTING_DATES: &str = "
            SELECT listing.date FROM listing JOIN listed_page ON listed_page.listing = listing.id
            WHERE listing.date BETWEEN ?1 AND ?2 AND listed_page.body IS NULL
            UNION
            SELECT meeting.date FROM meeting JOIN sighting ON sighting.meeting = meeting.id
                JOIN listed_page ON listed_page.id = sighting.page
            WHERE meeting.date BETWEEN ?1 AND ?2 AND listed_page.body IS NULL
            UNION
            SELECT meeting.date FROM meeting JOIN listing ON listing.meeting = meeting.id
                JOIN listed_page ON listed_page.listing = listing.id
            WHERE meeting.date BETWEEN ?1 AND ?2 AND listed_page.body IS NULL
            ORDER BY 1";
        self.dates(PRUNED_LISTING_DATES, first, last)
    }

    /// Drops the bodies of all listings that serve these dates alone: a listing serves its own date, or that of its meeting, and the
    /// dates of all meetings that it has. Tells the pages by the date of the listing.
    ///
    /// A listing is dropped as a whole or not at all, so that of a date that is left each listing that has one of its meetings is
    /// whole.
    ///
    /// The caller holds the right to publish, and has made sure that the files are there.
    pub fn prune_listings(&mut self, dates: &[NaiveDate]) -> Result<BTreeMap<NaiveDate, u64>, JournalError> {
        const PRUNABLE: &str = "
            SELECT listing.id, coalesce(listing.date, meeting.date)
            FROM listing LEFT JOIN meeting ON meeting.id = listing.meeting
            WHERE listing.id > ?1 AND listing.state <> 0 /* pending */
                AND coalesce(listing.date, meeting.date) IN (SELECT date FROM prunable_date)
                AND EXISTS (SELECT 1 FROM listed_page WHERE listing = listing.id AND body IS NOT NULL)
                AND NOT EXISTS (
                    SELECT 1 FROM listed_page JOIN sighting ON sighting.page = listed_page.id
                        JOIN meeting AS seen ON seen.id = sighting.meeting
                    WHERE listed_page.listing = listing.id AND seen.date NOT IN (SELECT date FROM prunable_date)
                )
            ORDER BY listing.id
            LIMIT ?2";
        const DROP_LISTED_BODIES: &str =
            "DELETE FROM body WHERE id IN (SELECT body FROM listed_page WHERE listing = ?1 AND body IS NOT NULL)";
        const PRUNE_LISTED_PAGES: &str = "UPDATE listed_page SET body = NULL WHERE listing = ?1 AND body IS NOT NULL";
        self.note_prunable(dates)?;
        let mut dropped = BTreeMap::new();
        let mut pruned_before: ListingId = 0;
        loop {
            let transaction = self.db.transaction_with_behavior(TransactionBehavior::Immediate)?;
            let listings: Vec<(ListingId, NaiveDate)> = transaction
                .prepare_cached(PRUNABLE)?
                .query_map(params![pruned_before, STAYS_PER_TRANSACTION], |row| {
                    Ok((row.get(0)?, date_from_row(row, 1)?))
                })?
                .collect::<Result<_, _>>()?;
            let Some((last, _)) = listings.last() else { break };
            pruned_before = *last;
            for (listing, date) in listings {
                transaction.prepare_cached(DROP_LISTED_BODIES)?.execute([listing])?;
                *dropped.entry(date).or_default() +=
                    transaction.prepare_cached(PRUNE_LISTED_PAGES)?.execute([listing])? as u64;
            }
            transaction.commit()?;
        }
        self.db.execute_batch("DROP TABLE prunable_date")?;
        Ok(dropped)
    }

    fn note_prunable(&self, dates: &[NaiveDate]) -> Result<(), JournalError> {
        const NOTE: &str = "INSERT INTO prunable_date (date) VALUES (?1) ON CONFLICT DO NOTHING";
        self.db.execute_batch("CREATE TEMP TABLE prunable_date (date INTEGER PRIMARY KEY) STRICT")?;
        let transaction = self.db.unchecked_transaction()?;
        for date in dates {
            transaction.prepare(NOTE)?.execute([date.to_epoch_days()])?;
        }
        Ok(transaction.commit()?)
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
