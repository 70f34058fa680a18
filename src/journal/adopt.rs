//! Taking published files over that the journal does not know.

use std::collections::BTreeSet;

use chrono::{DateTime, NaiveDate};
use chrono_tz::Tz;
use rusqlite::{TransactionBehavior, params};

use super::{FileId, Journal, JournalError, Lane, page::drop_pages};
use crate::stay::Stay;

/// A visible file that the journal does not know.
#[derive(Clone, Copy, Debug)]
pub struct NewFile {
    /// The partition in which it stands.
    pub date: NaiveDate,
    /// The digits of its name.
    pub digits: u64,
    /// Its size.
    pub bytes: u64,
    /// SHA-256 of its bytes.
    pub sha256: [u8; 32],
}

/// A row of the file table for a file that is visible.
const INSERT_FILE: &str = "INSERT INTO file (date, name, replaces, published, stays, samples, bytes, sha256)
    VALUES (?1, ?2, 0, 1, 0, 0, ?3, ?4)";
/// Where a stay is, and how many samples have landed of it if it is done.
const WHERE_IS: &str = "SELECT file, CASE WHEN state = 1 /* done */ THEN samples END FROM stay WHERE id = ?1";
/// A stay is done, with as many samples as the file has of it; ?4 says whether its pages are kept.
const HOLD: &str = "UPDATE stay
    SET state = 1 /* done */, file = ?2, intended = NULL, samples = ?3, pages = CASE WHEN ?4 THEN pages ELSE 0 END,
        settled_at = coalesce(settled_at, ?5), reason = NULL, log_id = NULL
    WHERE id = ?1";
const COUNTED: &str = "UPDATE file SET stays = ?2, samples = ?3 WHERE id = ?1";
const FORGET_EMPTY: &str = "DELETE FROM file
    WHERE date = ?1 AND published = 1 AND NOT EXISTS (SELECT 1 FROM stay WHERE stay.date = ?1 AND stay.file = file.id)";

impl Journal {
    /// Takes the stays of a visible file into the journal, as done and held by it; all of them or none. Returns how many
    /// there are, with their samples, or why the file is not taken.
    ///
    /// `visible` are the numbers of the date's files that are there: a stay of one of these cannot be in another.
    pub fn take_over<E: From<JournalError>>(
        &mut self,
        file: &NewFile,
        stays: impl Iterator<Item = Result<(Stay, u64), E>>,
        visible: &BTreeSet<FileId>,
        (zone, now_s): (Tz, i64),
    ) -> Result<Result<(u64, u64), String>, E> {
        let journal = &*self;
        let begin = rusqlite::Transaction::new_unchecked(&journal.db, TransactionBehavior::Immediate);
        let transaction = begin.map_err(JournalError::from)?;
        let row = params![file.date.to_epoch_days(), format!("{:016x}", file.digits), file.bytes, file.sha256];
        transaction.execute(INSERT_FILE, row).map_err(JournalError::from)?;
        let id: FileId = transaction.last_insert_rowid();
        let (mut count, mut sum) = (0, 0);
        for stay in stays {
            let (stay, samples) = stay?;
            let date = DateTime::from_timestamp(stay.meeting_start_s, 0).map(|at| at.with_timezone(&zone).date_naive());
            if date != Some(file.date) {
                return Ok(Err(format!("it holds a meeting that does not start on this date in {zone}")));
            }
            if let Some(conflict) = journal.hold(id, &stay, samples, visible, (zone, now_s))? {
                return Ok(Err(conflict));
            }
            count += 1;
            sum += samples;
        }
        transaction.execute(COUNTED, params![id, count, sum]).map_err(JournalError::from)?;
        transaction.commit().map_err(JournalError::from)?;
        Ok(Ok((count, sum)))
    }

    /// Makes one stay done and held by the file `id`; a text says why that cannot be.
    fn hold(
        &self,
        id: FileId,
        stay: &Stay,
        samples: u64,
        visible: &BTreeSet<FileId>,
        (zone, now_s): (Tz, i64),
    ) -> Result<Option<String>, JournalError> {
        let stay_id = match self.find(stay)? {
            Some(found) => found.id,
            None => self.insert(stay, Lane::Backfill, zone)?.ok_or(rusqlite::Error::QueryReturnedNoRows)?,
        };
        let (held_by, landed): (Option<FileId>, Option<u64>) =
            self.db.prepare_cached(WHERE_IS)?.query_row([stay_id], |row| Ok((row.get(0)?, row.get(1)?)))?;
        if held_by.is_some_and(|file| file == id || visible.contains(&file)) {
            return Ok(Some("it holds stays that another visible file holds too".into()));
        }
        let keeps_pages = landed == Some(samples);
        if !keeps_pages {
            drop_pages(&self.db, stay_id)?;
        }
        self.db.prepare_cached(HOLD)?.execute(params![stay_id, id, samples, keeps_pages, now_s])?;
        Ok(None)
    }

    /// Forgets the published files of a date whose stays are all in other ones.
    pub fn forget_empty_files(&self, date: NaiveDate) -> Result<(), JournalError> {
        self.db.execute(FORGET_EMPTY, [date.to_epoch_days()])?;
        Ok(())
    }
}
