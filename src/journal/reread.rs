//! Second readings: stays that are done are asked for again, beside what has landed of them.
//!
//! A second reading is a row of the queue like any other, asked for, landed and settled as they are, but it is in no
//! partition: until it is complete and adopted, all that is published, verified or rebuilt comes from the first reading.

use chrono::NaiveDate;
use rusqlite::{Connection, OptionalExtension, Row, TransactionBehavior, params};

use super::{
    FileId, Journal, JournalError, Lane, State, StayId,
    stay::{date_from_row, stay_from_row},
};
use crate::stay::Stay;

/// Stays that are asked for again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rereading {
    /// All of them that have become this process's own.
    pub stays: u64,
    /// Of these, second readings that an earlier process has begun and not come to an end with.
    pub continued: u64,
}

/// A settled second reading, and what is known from the first one.
#[derive(Clone, Debug)]
pub struct Reread {
    /// The second reading's number.
    pub id: StayId,
    /// The first one's.
    pub first: StayId,
    /// The stay.
    pub stay: Stay,
    /// How the second reading ended.
    pub state: State,
    /// Samples landed by the first one.
    pub first_samples: u64,
    /// Samples landed by the second one.
    pub samples: u64,
    /// What the API said, unless it is done.
    pub reason: Option<String>,
    /// The `X-Tt-Logid` of the answer that said so.
    pub log_id: Option<String>,
    /// The published file that holds the first one.
    pub first_file: Option<FileId>,
}

/// A stay of which nothing has landed.
const BEGIN_ANEW: &str = "UPDATE stay SET pages = 0, samples = 0, restarts = 0 WHERE id = ?1";

impl Journal {
    /// Asks again for all settled stays of the dates from `first` to `last`, and makes them and what is pending of these
    /// dates this process's own, in `lane` at the latest. Where an earlier process has begun to refresh this very span and
    /// has not come to its end, what is left of that is asked for: dates that it has finished stay finished.
    pub fn reread(&mut self, first: NaiveDate, last: NaiveDate, lane: Lane) -> Result<Rereading, JournalError> {
        let span = [first.to_epoch_days(), last.to_epoch_days()];
        let transaction = self.db.transaction_with_behavior(TransactionBehavior::Immediate)?;
        transaction.execute_batch(include_str!("own_table.sql"))?;
        let own = || transaction.query_row(include_str!("own_count.sql"), [], |row| row.get::<_, u64>(0));
        let own_before = own()?;
        let continued = transaction.query_row(include_str!("rereads_within.sql"), span, |row| row.get(0))?;
        let partial = transaction
            .prepare(include_str!("reread_partial.sql"))?
            .query_map(span, |row| row.get(0))?
            .collect::<Result<Vec<StayId>, _>>()?;
        for stay in partial {
            drop_pages(&transaction, stay)?;
            transaction.execute(BEGIN_ANEW, [stay])?;
        }
        transaction.execute(include_str!("reread_others.sql"), span)?;
        transaction.execute(include_str!("reread_begin.sql"), params![span[0], span[1], lane as i64])?;
        transaction.execute(include_str!("refresh_begin.sql"), span)?;
        transaction.execute(include_str!("reread_own.sql"), span)?;
        transaction.execute(include_str!("reread_lane.sql"), [lane as i64])?;
        let stays = own()? - own_before;
        transaction.commit()?;
        Ok(Rereading { stays, continued })
    }

    /// The first date after `after`, or of all, that has second readings of this process, all of the date settled.
    pub fn reread_date(&self, after: Option<NaiveDate>) -> Result<Option<NaiveDate>, JournalError> {
        let mut statement = self.db.prepare_cached(include_str!("reread_date.sql"))?;
        let after = after.map_or(i64::MIN, |date| date.to_epoch_days().into());
        Ok(statement.query_row([after], |row| date_from_row(row, 0)).optional()?)
    }

    /// How many second readings each date has, settled or not.
    pub fn rereads_by_date(&self) -> Result<Vec<(NaiveDate, u64)>, JournalError> {
        let mut statement = self.db.prepare_cached(include_str!("rereads_by_date.sql"))?;
        let rows = statement.query_map([], |row| Ok((date_from_row(row, 0)?, row.get(1)?)))?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// True if stays of the date have second readings, settled or not.
    pub fn is_reread(&self, date: NaiveDate) -> Result<bool, JournalError> {
        self.exists_on(date, include_str!("is_reread_on.sql"))
    }

    /// The second reading of `date` that comes after the one of the stay `after`; stays are numbered from 1.
    pub fn next_reread(&self, date: NaiveDate, after: StayId) -> Result<Option<Reread>, JournalError> {
        let mut statement = self.db.prepare_cached(include_str!("next_reread.sql"))?;
        let after = params![date.to_epoch_days(), after];
        Ok(statement.query_row(after, reread_from_row).optional()?)
    }

    /// Whether both readings have landed the same pages, byte for byte, whatever is left of them.
    pub fn has_same_pages(&self, reread: &Reread) -> Result<bool, JournalError> {
        let mut statement = self.db.prepare_cached(include_str!("page_digests.sql"))?;
        let mut pages = |reading: StayId| -> Result<Vec<(u32, u32, Vec<u8>)>, JournalError> {
            let rows = statement.query_map([reading], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?;
            Ok(rows.collect::<Result<_, _>>()?)
        };
        Ok(pages(reread.first)? == pages(reread.id)?)
    }

    /// Puts the pages of a second reading in the place of those of the first, which are the same, and forgets it: what had
    /// been dropped is there again.
    pub fn restore_from_reread(&mut self, reread: &Reread) -> Result<(), JournalError> {
        let transaction = self.db.transaction_with_behavior(TransactionBehavior::Immediate)?;
        adopt(&transaction, reread.id, reread.first)?;
        Ok(transaction.commit()?)
    }

    /// Forgets a second reading and gives the first one up, of which nothing is left: neither rows nor pages.
    pub fn give_up(&mut self, reread: &Reread, reason: &str) -> Result<(), JournalError> {
        let transaction = self.db.transaction_with_behavior(TransactionBehavior::Immediate)?;
        for reading in [reread.first, reread.id] {
            drop_pages(&transaction, reading)?;
        }
        transaction.execute(include_str!("forget_stay.sql"), [reread.id])?;
        transaction.execute(include_str!("give_up.sql"), params![reread.first, reason])?;
        Ok(transaction.commit()?)
    }

    /// Forgets a second reading: the first one stays.
    pub fn forget_reread(&mut self, id: StayId) -> Result<(), JournalError> {
        let transaction = self.db.transaction_with_behavior(TransactionBehavior::Immediate)?;
        drop_pages(&transaction, id)?;
        transaction.execute(include_str!("forget_stay.sql"), [id])?;
        Ok(transaction.commit()?)
    }

    /// Forgets the refreshes that have come to their end: the same command begins them anew.
    pub fn end_refreshes(&self) -> Result<(), JournalError> {
        self.db.execute(include_str!("refresh_end.sql"), [])?;
        Ok(())
    }
}

/// Puts a second reading in the place of a first one.
pub(super) fn adopt(db: &Connection, second: StayId, first: StayId) -> Result<(), JournalError> {
    drop_pages(db, first)?;
    db.prepare_cached(include_str!("adopt_pages.sql"))?.execute([second, first])?;
    db.prepare_cached(include_str!("adopt_stay.sql"))?.execute([second, first])?;
    db.prepare_cached(include_str!("forget_stay.sql"))?.execute([second])?;
    Ok(())
}

pub(super) fn drop_pages(db: &Connection, stay: StayId) -> Result<(), JournalError> {
    db.prepare_cached(include_str!("drop_bodies.sql"))?.execute([stay])?;
    db.prepare_cached(include_str!("restart_pages.sql"))?.execute([stay])?;
    Ok(())
}

fn reread_from_row(row: &Row<'_>) -> rusqlite::Result<Reread> {
    Ok(Reread {
        id: row.get(0)?,
        first: row.get(1)?,
        stay: stay_from_row(row, 2)?,
        state: State::from_row(row, 8)?,
        first_samples: row.get(9)?,
        samples: row.get(10)?,
        reason: row.get(11)?,
        log_id: row.get(12)?,
        first_file: row.get(13)?,
    })
}
