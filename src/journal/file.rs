//! Part files: which stays each holds, from intent to publication.

use chrono::NaiveDate;
use rusqlite::{Connection, Row, ToSql, params};
use sha2::{Digest, Sha256};

use super::{
    Journal, JournalError, StayId,
    page::StayPages,
    stay::{date_from_row, stay_from_row},
};
use crate::stay::Stay;

/// A part file's number in the journal.
pub type FileId = i64;

/// A part file as the journal knows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileRow {
    /// Its number.
    pub id: FileId,
    /// The partition.
    pub date: NaiveDate,
    /// The 16 hex digits of its name.
    pub name: String,
    /// True if it takes the place of all other files of its date.
    pub replaces: bool,
    /// False: meant to be published, and to be built again if it is not there.
    pub published: bool,
    /// Stays in it.
    pub stays: u64,
    /// Samples in it.
    pub samples: u64,
    /// Its size, once published.
    pub bytes: Option<u64>,
    /// SHA-256 of its bytes, once published.
    pub sha256: Option<[u8; 32]>,
}

/// Which stays of a date a new file is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Intent {
    /// The done stays that are in no file yet; what is published stays as it is.
    Append,
    /// All done stays; the file takes the place of all others of the date.
    Replace,
}

impl Journal {
    /// Records that the done stays of `date` are to be published in one file, and gives the file its name; `None` if
    /// there are no such stays.
    ///
    /// The name is a digest of `salt`, the stays and their pages: what decides the file's bytes decides its name.
    pub fn intend(&mut self, date: NaiveDate, intent: Intent, salt: &[u8]) -> Result<Option<FileRow>, JournalError> {
        self.intend_after(date, intent, salt, |_| Ok(true))
    }

    /// The same after a change that is made with it or not at all; `None` too if `change` says that there is none.
    pub(super) fn intend_after(
        &mut self,
        date: NaiveDate,
        intent: Intent,
        salt: &[u8],
        change: impl FnOnce(&Connection) -> Result<bool, JournalError>,
    ) -> Result<Option<FileRow>, JournalError> {
        let replaces = intent == Intent::Replace;
        let days = date.to_epoch_days();
        self.db.execute_batch("BEGIN IMMEDIATE")?;
        let row = match change(&self.db) {
            Ok(true) => self.try_intend(days, replaces, salt),
            Ok(false) => Ok(None),
            Err(error) => Err(error),
        };
        match &row {
            Ok(Some(_)) => self.db.execute_batch("COMMIT")?,
            Ok(None) | Err(_) => self.db.execute_batch("ROLLBACK")?,
        }
        let Some((id, name, stays, samples)) = row? else { return Ok(None) };
        Ok(Some(FileRow { id, date, name, replaces, published: false, stays, samples, bytes: None, sha256: None }))
    }

    fn try_intend(
        &self,
        days: i32,
        replaces: bool,
        salt: &[u8],
    ) -> Result<Option<(FileId, String, u64, u64)>, JournalError> {
        self.db.prepare_cached(include_str!("intend.sql"))?.execute(params![days, replaces])?;
        let id = self.db.last_insert_rowid();
        let assign = if replaces { include_str!("assign_all.sql") } else { include_str!("assign_new.sql") };
        let stays = self.db.prepare_cached(assign)?.execute(params![days, id])? as u64;
        if stays == 0 {
            return Ok(None);
        }
        let (name, samples) = self.name(days, id, salt)?;
        self.db.prepare_cached(include_str!("intended.sql"))?.execute(params![id, name, stays, samples])?;
        Ok(Some((id, name, stays, samples)))
    }

    fn name(&self, days: i32, id: FileId, salt: &[u8]) -> Result<(String, u64), JournalError> {
        let mut hash = Sha256::new_with_prefix(salt);
        let mut samples = 0;
        let mut digests = self.db.prepare_cached(include_str!("page_digests.sql"))?;
        self.each_member_of(days, id, |stay_id, stay, stay_samples| {
            samples += u64::from(stay_samples);
            hash.update(format!("{stay:?}"));
            let mut rows = digests.query([stay_id])?;
            while let Some(row) = rows.next()? {
                hash.update(row.get_ref(2)?.as_blob().map_err(rusqlite::Error::from)?);
            }
            Ok::<_, JournalError>(())
        })?;
        let digest = hash.finalize();
        let first: [u8; 8] = digest[..8].try_into().expect("SHA-256 has 32 bytes");
        Ok((format!("{:016x}", u64::from_be_bytes(first)), samples))
    }

    /// Hands every stay of a file to `each`, in the order of the dataset's rows, with its landed samples.
    pub fn each_member<E: From<JournalError>>(
        &self,
        file: &FileRow,
        each: impl FnMut(StayId, &Stay, u32) -> Result<(), E>,
    ) -> Result<(), E> {
        self.each_member_of(file.date.to_epoch_days(), file.id, each)
    }

    fn each_member_of<E: From<JournalError>>(
        &self,
        days: i32,
        file: FileId,
        each: impl FnMut(StayId, &Stay, u32) -> Result<(), E>,
    ) -> Result<(), E> {
        self.each_stay(include_str!("members.sql"), params![days, file], each)
    }

    /// Hands every stay of `date` that has landed pages to `each`, in the order of the dataset's rows, with its landed
    /// samples.
    pub fn each_landed<E: From<JournalError>>(
        &self,
        date: NaiveDate,
        each: impl FnMut(StayId, &Stay, u32) -> Result<(), E>,
    ) -> Result<(), E> {
        self.each_stay(include_str!("landed_on.sql"), params![date.to_epoch_days()], each)
    }

    fn each_stay<E: From<JournalError>>(
        &self,
        sql: &str,
        params: &[&dyn ToSql],
        mut each: impl FnMut(StayId, &Stay, u32) -> Result<(), E>,
    ) -> Result<(), E> {
        let mut statement = self.db.prepare_cached(sql).map_err(JournalError::from)?;
        let mut rows = statement.query(params).map_err(JournalError::from)?;
        while let Some(row) = rows.next().map_err(JournalError::from)? {
            let (id, stay, samples) = member_from_row(row).map_err(JournalError::from)?;
            each(id, &stay, samples)?;
        }
        Ok(())
    }

    /// A reader of landed bodies, which reuses its buffers from stay to stay.
    pub fn bodies(&self) -> Result<StayPages<'_>, JournalError> {
        Ok(StayPages::new(self.db.prepare_cached(include_str!("page_bodies.sql"))?))
    }

    /// Records that a file is visible. If it replaces its date's files, they are forgotten.
    pub fn published(&mut self, file: &FileRow, bytes: u64, sha256: [u8; 32]) -> Result<(), JournalError> {
        let transaction = self.db.transaction()?;
        transaction.execute(include_str!("published.sql"), params![file.id, bytes, sha256])?;
        if file.replaces {
            transaction.execute(include_str!("forget_replaced.sql"), params![file.date.to_epoch_days(), file.id])?;
        }
        Ok(transaction.commit()?)
    }

    /// All files, published or meant to be, by date and age.
    pub fn files(&self) -> Result<Vec<FileRow>, JournalError> {
        let mut statement = self.db.prepare_cached(include_str!("files.sql"))?;
        let rows = statement.query_map([], file_from_row)?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// The files of one date, published or meant to be, by age.
    pub fn files_on(&self, date: NaiveDate) -> Result<Vec<FileRow>, JournalError> {
        let mut statement = self.db.prepare_cached(include_str!("files_on.sql"))?;
        let rows = statement.query_map([date.to_epoch_days()], file_from_row)?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// The files that are meant to be published, by date and age.
    pub fn intents(&self) -> Result<Vec<FileRow>, JournalError> {
        let mut statement = self.db.prepare_cached(include_str!("intents.sql"))?;
        let rows = statement.query_map([], file_from_row)?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// The dates that have files, published or meant to be.
    pub fn file_dates(&self) -> Result<Vec<NaiveDate>, JournalError> {
        let mut statement = self.db.prepare_cached(include_str!("file_dates.sql"))?;
        let rows = statement.query_map([], |row| date_from_row(row, 0))?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// True if all stays of the date are settled and some of them are in no file yet.
    pub fn is_ready(&self, date: NaiveDate) -> Result<bool, JournalError> {
        Ok(!self.exists_on(date, include_str!("is_pending_on.sql"))?
            && self.exists_on(date, include_str!("is_unpublished_on.sql"))?)
    }

    pub(super) fn exists_on(&self, date: NaiveDate, sql: &str) -> Result<bool, JournalError> {
        Ok(self.db.prepare_cached(sql)?.query_row([date.to_epoch_days()], |row| row.get(0))?)
    }

    /// The dates of this process's stays that are done and in no file yet.
    pub fn own_unpublished(&self) -> Result<Vec<NaiveDate>, JournalError> {
        let mut statement = self.db.prepare_cached(include_str!("own_unpublished.sql"))?;
        let rows = statement.query_map([], |row| date_from_row(row, 0))?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// The dates from `first` to `last` that have landed samples.
    pub fn landed_dates(&self, first: NaiveDate, last: NaiveDate) -> Result<Vec<NaiveDate>, JournalError> {
        self.dates(include_str!("landed_dates.sql"), first, last)
    }

    pub(super) fn dates(&self, sql: &str, first: NaiveDate, last: NaiveDate) -> Result<Vec<NaiveDate>, JournalError> {
        let mut statement = self.db.prepare_cached(sql)?;
        let rows = statement.query_map([first.to_epoch_days(), last.to_epoch_days()], |row| date_from_row(row, 0))?;
        Ok(rows.collect::<Result<_, _>>()?)
    }
}

fn member_from_row(row: &Row<'_>) -> rusqlite::Result<(StayId, Stay, u32)> {
    Ok((row.get(0)?, stay_from_row(row, 1)?, row.get(7)?))
}

fn file_from_row(row: &Row<'_>) -> rusqlite::Result<FileRow> {
    Ok(FileRow {
        id: row.get(0)?,
        date: date_from_row(row, 1)?,
        name: row.get(2)?,
        replaces: row.get(3)?,
        published: row.get(4)?,
        stays: row.get(5)?,
        samples: row.get(6)?,
        bytes: row.get(7)?,
        sha256: row.get(8)?,
    })
}
