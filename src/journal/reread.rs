//! Second readings: stays that are done are asked for again, beside what has landed of them.
//!
//! A second reading is a row of the queue like any other, asked for, landed and settled as they are, but it is in no
//! partition: until it is complete and adopted, all that is published, verified or rebuilt comes from the first reading.

use chrono::NaiveDate;
use rusqlite::{Connection, OptionalExtension, Row, TransactionBehavior, params};

use super::{
    FileId, Journal, JournalError, Lane, State, StayId, own,
    page::{PAGE_DIGESTS, drop_pages},
    stay::{date_from_row, stay_from_row},
};
use crate::stay::Stay;

/// Forgets a second reading.
const FORGET_STAY: &str = "DELETE FROM stay WHERE id = ?1";

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
    /// Whether the first one was asked for with another end of the meeting.
    pub has_other_end: bool,
}

/// A stay of which nothing has landed.
const BEGIN_ANEW: &str = "UPDATE stay SET pages = 0, samples = 0, restarts = 0 WHERE id = ?1";

impl Journal {
    /// Asks again for all settled stays of the dates from `first` to `last`, and makes them and what is pending of these
    /// dates this process's own, in `lane` at the latest. Where an earlier process has begun to refresh this very span and
    /// has not come to its end, what is left of that is asked for: dates that it has finished stay finished.
    pub fn reread(&mut self, first: NaiveDate, last: NaiveDate, lane: Lane) -> Result<Rereading, JournalError> {
        const OWN_COUNT: &str = "SELECT count(*) FROM mine";
        const REREADS_WITHIN: &str = "
            SELECT count(*) FROM second_reading WHERE date BETWEEN ?1 AND ?2";
        // Stays of these dates that are being read: from their first page again, for one that has landed may be why they are asked
        // for again.
        const REREAD_PARTIAL: &str = "
            SELECT id FROM stay
            WHERE date BETWEEN ?1 AND ?2 AND state = 0 /* pending */ AND pages > 0
                AND date NOT IN (SELECT date FROM refresh WHERE first = ?1 AND last = ?2)";
        // Stays of these dates that have no data are asked for as if they were new.
        const REREAD_OTHERS: &str = "
            UPDATE stay SET state = 0 /* pending */, restarts = 0
            WHERE date BETWEEN ?1 AND ?2 AND state > 1 /* absent, rejected, failed, young */
                AND date NOT IN (SELECT date FROM refresh WHERE first = ?1 AND last = ?2)";
        // A second reading of every done stay of the dates that the refresh ?1..?2 has not begun with.
        const REREAD_BEGIN: &str = "
            INSERT INTO stay (id, meeting_start, meeting_no, join_time, participant, kind, meeting_end, lane, rereads)
            SELECT -id, meeting_start, meeting_no, join_time, participant, kind, meeting_end, ?3, id
            FROM stay AS first
            WHERE date BETWEEN ?1 AND ?2 AND state = 1 /* done */
                AND date NOT IN (SELECT date FROM refresh WHERE first = ?1 AND last = ?2)
                AND NOT EXISTS (SELECT 1 FROM stay AS second WHERE second.rereads = first.id)
            ORDER BY id";
        const REFRESH_BEGIN: &str = "
            INSERT INTO refresh (first, last, date)
            SELECT DISTINCT ?1, ?2, date FROM stay WHERE date BETWEEN ?1 AND ?2
            ON CONFLICT DO NOTHING";
        const REREAD_OWN: &str = "
            INSERT INTO mine (stay)
            SELECT id FROM stay WHERE date BETWEEN ?1 AND ?2 AND state = 0 /* pending */
            UNION ALL
            SELECT id FROM second_reading WHERE date BETWEEN ?1 AND ?2
            ON CONFLICT DO NOTHING";
        // A nightly run must not wait for a backfill's stays that have become its own.
        const REREAD_LANE: &str = "
            UPDATE stay SET lane = min(lane, ?1) WHERE state = 0 /* pending */ AND id IN (SELECT stay FROM mine)";
        let span = [first.to_epoch_days(), last.to_epoch_days()];
        let transaction = self.db.transaction_with_behavior(TransactionBehavior::Immediate)?;
        own::create(&transaction)?;
        let own = || transaction.query_row(OWN_COUNT, [], |row| row.get::<_, u64>(0));
        let own_before = own()?;
        let continued = transaction.query_row(REREADS_WITHIN, span, |row| row.get(0))?;
        let partial = transaction
            .prepare(REREAD_PARTIAL)?
            .query_map(span, |row| row.get(0))?
            .collect::<Result<Vec<StayId>, _>>()?;
        for stay in partial {
            drop_pages(&transaction, stay)?;
            transaction.execute(BEGIN_ANEW, [stay])?;
        }
        transaction.execute(REREAD_OTHERS, span)?;
        transaction.execute(REREAD_BEGIN, params![span[0], span[1], lane as i64])?;
        transaction.execute(REFRESH_BEGIN, span)?;
        transaction.execute(REREAD_OWN, span)?;
        transaction.execute(REREAD_LANE, [lane as i64])?;
        let stays = own()? - own_before;
        transaction.commit()?;
        Ok(Rereading { stays, continued })
    }

    /// The first date after `after`, or of all, that has second readings of this process, all of the date settled.
    pub fn reread_date(&self, after: Option<NaiveDate>) -> Result<Option<NaiveDate>, JournalError> {
        // The first date after ?1 that has second readings of this process, all second readings of the date being settled.
        const REREAD_DATE: &str = "
            SELECT date FROM second_reading
            WHERE date > ?1
            GROUP BY date
            HAVING min(state) > 0 /* settled */ AND max(id IN (SELECT stay FROM mine))
            ORDER BY 1
            LIMIT 1";
        let mut statement = self.db.prepare_cached(REREAD_DATE)?;
        let after = after.map_or(i64::MIN, |date| date.to_epoch_days().into());
        Ok(statement.query_row([after], |row| date_from_row(row, 0)).optional()?)
    }

    /// How many second readings each date has, settled or not.
    pub fn rereads_by_date(&self) -> Result<Vec<(NaiveDate, u64)>, JournalError> {
        const REREADS_BY_DATE: &str = "
            SELECT date, count(*) FROM second_reading GROUP BY date";
        let mut statement = self.db.prepare_cached(REREADS_BY_DATE)?;
        let rows = statement.query_map([], |row| Ok((date_from_row(row, 0)?, row.get(1)?)))?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// True if stays of the date have second readings, settled or not.
    pub fn is_reread(&self, date: NaiveDate) -> Result<bool, JournalError> {
        const IS_REREAD_ON: &str = "
            SELECT EXISTS (SELECT 1 FROM second_reading WHERE date = ?1)";
        self.exists_on(date, IS_REREAD_ON)
    }

    /// The second reading of `date` that comes after the one of the stay `after`; stays are numbered from 1.
    pub fn next_reread(&self, date: NaiveDate, after: StayId) -> Result<Option<Reread>, JournalError> {
        const NEXT_REREAD: &str = "
            SELECT id, first, meeting_start, meeting_no, join_time, participant, kind, meeting_end, state,
                first_samples, samples, reason, log_id, first_file, meeting_end <> first_meeting_end
            FROM second_reading
            WHERE first > ?2 AND date = ?1
            ORDER BY first
            LIMIT 1";
        let mut statement = self.db.prepare_cached(NEXT_REREAD)?;
        let after = params![date.to_epoch_days(), after];
        Ok(statement.query_row(after, reread_from_row).optional()?)
    }

    /// Whether both readings have landed the same pages, byte for byte, whatever is left of them.
    pub fn has_same_pages(&self, reread: &Reread) -> Result<bool, JournalError> {
        let mut statement = self.db.prepare_cached(PAGE_DIGESTS)?;
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
        const GIVE_UP: &str = "
            UPDATE stay SET state = 4 /* failed */, pages = 0, samples = 0, file = NULL, intended = NULL, reason = ?2
            WHERE id = ?1";
        let transaction = self.db.transaction_with_behavior(TransactionBehavior::Immediate)?;
        for reading in [reread.first, reread.id] {
            drop_pages(&transaction, reading)?;
        }
        transaction.execute(FORGET_STAY, [reread.id])?;
        transaction.execute(GIVE_UP, params![reread.first, reason])?;
        Ok(transaction.commit()?)
    }

    /// Forgets a second reading: the first one stays.
    pub fn forget_reread(&mut self, id: StayId) -> Result<(), JournalError> {
        let transaction = self.db.transaction_with_behavior(TransactionBehavior::Immediate)?;
        drop_pages(&transaction, id)?;
        transaction.execute(FORGET_STAY, [id])?;
        Ok(transaction.commit()?)
    }

    /// Forgets the refreshes that have come to their end: the same command begins them anew.
    pub fn end_refreshes(&self) -> Result<(), JournalError> {
        // A refresh has come to its end once none of its dates has second readings.
        const REFRESH_END: &str = "
            DELETE FROM refresh WHERE NOT EXISTS (
                SELECT 1 FROM second_reading WHERE date BETWEEN refresh.first AND refresh.last
            )";
        self.db.execute(REFRESH_END, [])?;
        Ok(())
    }
}

/// Puts a second reading in the place of a first one.
pub(super) fn adopt(db: &Connection, second: StayId, first: StayId) -> Result<(), JournalError> {
    const ADOPT_PAGES: &str = "UPDATE page SET stay = ?2 WHERE stay = ?1";
    const ADOPT_STAY: &str = "
        UPDATE stay
        SET (pages, samples, settled_at, meeting_end) =
            (SELECT pages, samples, settled_at, meeting_end FROM stay WHERE id = ?1)
        WHERE id = ?2";
    drop_pages(db, first)?;
    db.prepare_cached(ADOPT_PAGES)?.execute([second, first])?;
    db.prepare_cached(ADOPT_STAY)?.execute([second, first])?;
    db.prepare_cached(FORGET_STAY)?.execute([second])?;
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
        has_other_end: row.get(14)?,
    })
}
