//! Second readings: stays that are done are asked for again, beside what has landed of them.
//!
//! A second reading is a row of the queue like any other, asked for, landed and settled as they are, but it is in no
//! partition: until it is complete and adopted, all that is published, verified or rebuilt comes from the first reading.

use chrono::NaiveDate;
use rusqlite::{Connection, OptionalExtension, Row, TransactionBehavior, params};

use super::{
    FileRow, Intent, Journal, JournalError, Lane, State, StayId,
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
}

impl Journal {
    /// Asks again for all settled stays of the dates from `first` to `last`, and makes them and what is pending of these
    /// dates this process's own, in `lane` at the latest. Where an earlier process has begun to ask again for a date and
    /// has not come to an end, what is left of that is asked for.
    pub fn reread(&mut self, first: NaiveDate, last: NaiveDate, lane: Lane) -> Result<Rereading, JournalError> {
        let span = [first.to_epoch_days(), last.to_epoch_days()];
        let transaction = self.db.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let own = || transaction.query_row(include_str!("own_count.sql"), [], |row| row.get::<_, u64>(0));
        let own_before = own()?;
        let continued = transaction.query_row(include_str!("rereads_within.sql"), span, |row| row.get(0))?;
        transaction.execute(include_str!("reread_others.sql"), span)?;
        transaction.execute(include_str!("reread_begin.sql"), params![span[0], span[1], lane as i64])?;
        transaction.execute(include_str!("reread_own.sql"), span)?;
        transaction.execute(include_str!("reread_lane.sql"), [lane as i64])?;
        let stays = own()? - own_before;
        transaction.commit()?;
        Ok(Rereading { stays, continued })
    }

    /// A date that has second readings of this process, all of the date settled.
    pub fn reread_date(&self) -> Result<Option<NaiveDate>, JournalError> {
        let mut statement = self.db.prepare_cached(include_str!("reread_date.sql"))?;
        Ok(statement.query_row([], |row| date_from_row(row, 0)).optional()?)
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

    /// Forgets a second reading: the first one stays.
    pub fn forget_reread(&mut self, id: StayId) -> Result<(), JournalError> {
        let transaction = self.db.transaction_with_behavior(TransactionBehavior::Immediate)?;
        drop_pages(&transaction, id)?;
        transaction.execute(include_str!("forget_stay.sql"), [id])?;
        Ok(transaction.commit()?)
    }

    /// Puts the second readings of `date` in the place of the first ones, and records that all done stays of the date are
    /// to be published anew; `None` if it has none. Its name is made as that of [`Journal::intend`].
    pub fn adopt_rereads(&mut self, date: NaiveDate, salt: &[u8]) -> Result<Option<FileRow>, JournalError> {
        self.intend_after(date, Intent::Replace, salt, |db| {
            let mut rereads = db.prepare_cached(include_str!("rereads_on.sql"))?;
            let rereads = rereads
                .query_map([date.to_epoch_days()], |row| Ok((row.get(0)?, row.get(1)?)))?
                .collect::<Result<Vec<(StayId, StayId)>, _>>()?;
            for (second, first) in &rereads {
                drop_pages(db, *first)?;
                db.prepare_cached(include_str!("adopt_pages.sql"))?.execute([second, first])?;
                db.prepare_cached(include_str!("adopt_stay.sql"))?.execute([second, first])?;
                db.prepare_cached(include_str!("forget_stay.sql"))?.execute([second])?;
            }
            Ok(!rereads.is_empty())
        })
    }
}

fn drop_pages(db: &Connection, stay: StayId) -> Result<(), JournalError> {
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
    })
}
