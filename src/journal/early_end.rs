//! Stays whose samples end early: read to their end while their meeting was young, with less than there may have been.
//!
//! What has landed counts and is published. Once the meeting is no longer young, such a stay is asked for once more, by a second
//! reading: more minutes take the place of fewer, and never the other way round.

use chrono::NaiveDate;
use rusqlite::{OptionalExtension, TransactionBehavior, params};

use super::{
    Journal, JournalError, Lane, MeetingId, NewPage, StayId,
    page::Landing,
    stay::{date_from_row, meeting_no_column, stay_from_row},
};
use crate::stay::Stay;

impl Journal {
    /// Makes the last page of a stay durable whose samples end early: it is done, and will be asked for once more.
    pub fn land_early_end(&mut self, page: &NewPage<'_>, now_s: i64) -> Result<(), JournalError> {
        // A second reading is the once more.
        const ENDS_EARLY: &str = "UPDATE stay SET short = 1 WHERE id = ?1 AND short = 0 AND rereads IS NULL";
        let landing = Landing::of(page)?;
        let transaction = self.db.transaction()?;
        landing.write(&transaction, now_s)?;
        transaction.prepare_cached(ENDS_EARLY)?.execute([page.stay])?;
        Ok(transaction.commit()?)
    }

    /// Asks once more for the stays whose samples ended early and whose meetings ended by `ended_by_s`, in `lane`. They are this
    /// process's own, and so are those that an earlier one has not come to an end with. Returns how many are new.
    pub fn ask_early_ends_again(&mut self, ended_by_s: i64, lane: Lane) -> Result<u64, JournalError> {
        const ASK_ONCE_MORE: &str = "
            INSERT INTO stay (id, meeting_start, meeting_no, join_time, participant, kind, meeting_end, lane, rereads)
            SELECT -id, meeting_start, meeting_no, join_time, participant, kind, meeting_end, ?2, id FROM stay
            WHERE short = 1 AND meeting_end <= ?1 AND state = 1 /* done */
            ON CONFLICT (id) DO NOTHING";
        const ASKED: &str = "UPDATE stay SET short = 2 WHERE short = 1 AND meeting_end <= ?1 AND state = 1 /* done */";
        const OWN: &str = "
            INSERT INTO mine (stay)
            SELECT second.id FROM stay AS second CROSS JOIN stay AS first ON first.id = second.rereads
            WHERE second.rereads IS NOT NULL AND first.short = 2
                AND (second.suspect = 0 /* to be asked */ OR second.state > 0 /* settled */)
            ON CONFLICT DO NOTHING";
        let transaction = self.db.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let asked = transaction.execute(ASK_ONCE_MORE, params![ended_by_s, lane as i64])?;
        transaction.execute(ASKED, [ended_by_s])?;
        transaction.execute(OWN, [])?;
        transaction.commit()?;
        Ok(asked as u64)
    }

    /// The second reading of a stay that ended early has failed: a later run asks for it again.
    pub fn ask_early_end_again(&self, stay: StayId) -> Result<(), JournalError> {
        const AGAIN: &str = "UPDATE stay SET short = 1 WHERE id = ?1 AND short = 2 /* asked */";
        self.db.execute(AGAIN, [stay])?;
        Ok(())
    }

    /// True if stays of the date end early and are still to be asked for once more.
    pub fn has_early_ends(&self, date: NaiveDate) -> Result<bool, JournalError> {
        const HAS_EARLY_ENDS: &str =
            "SELECT EXISTS (SELECT 1 FROM stay INDEXED BY stay_short WHERE short = 1 AND date = ?1)";
        self.exists_on(date, HAS_EARLY_ENDS)
    }

    /// How many stays of each date end early and have not been asked for once more.
    pub fn early_ends_by_date(&self) -> Result<Vec<(NaiveDate, u64)>, JournalError> {
        const BY_DATE: &str = "
            SELECT date, count(*) FROM stay INDEXED BY stay_short WHERE short = 1 GROUP BY date ORDER BY date";
        let mut statement = self.db.prepare_cached(BY_DATE)?;
        let rows = statement.query_map([], |row| Ok((date_from_row(row, 0)?, row.get(1)?)))?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// The stays that end early and would be asked for once more by a run whose young meetings end after `ended_by_s`, and the
    /// requests that they need.
    pub fn early_ends_due(&self, ended_by_s: i64) -> Result<(u64, u64), JournalError> {
        const DUE: &str = "
            SELECT meeting_start, meeting_no, join_time, participant, kind, meeting_end FROM stay
            WHERE short = 1 AND meeting_end <= ?1 AND state = 1 /* done */";
        let mut statement = self.db.prepare_cached(DUE)?;
        let mut rows = statement.query([ended_by_s])?;
        let (mut stays, mut requests) = (0, 0);
        while let Some(row) = rows.next()? {
            stays += 1;
            requests += u64::from(stay_from_row(row, 0)?.pages_max());
        }
        Ok((stays, requests))
    }

    /// The meeting that a stay is of, if it was discovered.
    pub fn meeting_of(&self, stay: &Stay) -> Result<Option<MeetingId>, JournalError> {
        const MEETING_OF: &str = "SELECT id FROM meeting WHERE start_time = ?1 AND number = ?2";
        let key = params![stay.meeting_start_s, meeting_no_column(stay.meeting_no)];
        Ok(self.db.prepare_cached(MEETING_OF)?.query_row(key, |row| row.get(0)).optional()?)
    }
}
