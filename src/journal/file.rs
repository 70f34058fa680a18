//! Part files: which stays each holds, from intent to publication.

use chrono::NaiveDate;
use rusqlite::{Connection, OptionalExtension, Row, ToSql, TransactionBehavior, params};
use sha2::{Digest, Sha256};

use super::{
    Journal, JournalError, StayId,
    page::{PAGE_DIGESTS, StayPages},
    reread::adopt,
    stay::{date_from_row, stay_from_row},
};
use crate::stay::Stay;

const MEMBERS: &str = "
    SELECT id, meeting_start, meeting_no, join_time, participant, kind, meeting_end, samples
    FROM stay
    WHERE date = ?1 AND state = 1 /* done */ AND file = ?2
    ORDER BY meeting_start, meeting_no, join_time, participant, kind";

// A second reading that is to take the place of a first one stands for it, with its pages.
const INTENDED_MEMBERS: &str = "
    SELECT coalesce(second.id, stay.id), stay.meeting_start, stay.meeting_no, stay.join_time, stay.participant,
        stay.kind, coalesce(second.meeting_end, stay.meeting_end), coalesce(second.samples, stay.samples)
    FROM stay LEFT JOIN stay AS second ON second.rereads = stay.id AND second.intended = ?2
    WHERE stay.date = ?1 AND stay.state = 1 /* done */ AND stay.intended = ?2
    ORDER BY stay.meeting_start, stay.meeting_no, stay.join_time, stay.participant, stay.kind";

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
    /// False: an intent, of which it is not known whether the file is visible.
    pub published: bool,
    /// Stays in it.
    pub stays: u64,
    /// Samples in it.
    pub samples: u64,
    /// Its size, once built.
    pub bytes: Option<u64>,
    /// SHA-256 of its bytes, once built.
    pub sha256: Option<[u8; 32]>,
}

/// What a new file of a date is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Intent<'a> {
    /// The done stays that are in no file yet; what is published stays as it is.
    Append,
    /// All done stays; the file takes the place of all others of the date.
    Replace,
    /// The same, with these second readings in the place of the first ones.
    Adopt(&'a [StayId]),
}

/// Where a done stay with samples is, if it is not in one published file of its date.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Astray {
    /// In no file.
    pub unpublished: u64,
    /// In a file that is not published, or of another date.
    pub misfiled: u64,
}

impl Journal {
    /// Records what is to be published in one file, and gives the file its name; `None` if there are no such stays.
    ///
    /// A stay is known to be where it was until [`Journal::published`] says otherwise: an intent can be
    /// [withdrawn](Journal::withdraw). The name is a digest of `salt`, the stays and their pages: what decides the file's
    /// bytes decides its name.
    ///
    /// # Errors
    ///
    /// If the date has an intent already: it has to be settled first.
    pub fn intend(
        &mut self,
        date: NaiveDate,
        intent: Intent<'_>,
        salt: &[u8],
    ) -> Result<Option<FileRow>, JournalError> {
        let replaces = intent != Intent::Append;
        let transaction = self.db.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let Some((id, name, stays, samples)) = try_intend(&transaction, date.to_epoch_days(), intent, salt)? else {
            return Ok(None);
        };
        transaction.commit()?;
        Ok(Some(FileRow { id, date, name, replaces, published: false, stays, samples, bytes: None, sha256: None }))
    }

    /// Records what an intended file has come to be, before it is made visible.
    pub fn built(&self, file: &FileRow, bytes: u64, sha256: [u8; 32]) -> Result<(), JournalError> {
        const BUILT: &str = "UPDATE file SET bytes = ?2, sha256 = ?3 WHERE id = ?1";
        self.db.prepare_cached(BUILT)?.execute(params![file.id, bytes, sha256])?;
        Ok(())
    }

    /// Records that an intended file is visible: its stays are in it, and if it replaces its date's files, these are
    /// forgotten and second readings have taken the place of the first ones.
    pub fn published(&mut self, file: &FileRow) -> Result<(), JournalError> {
        // What is not in the file that takes the place of all others is in none.
        const HOLD_ALL: &str = "
            UPDATE stay SET file = CASE WHEN intended = ?2 THEN ?2 END, intended = NULL
            WHERE date = ?1 AND state = 1 /* done */ AND (file IS NOT NULL OR intended IS NOT NULL)";
        const FORGET_REPLACED: &str = "DELETE FROM file WHERE date = ?1 AND id <> ?2 AND published = 1";
        const HOLD_NEW: &str = "
            UPDATE stay SET file = intended, intended = NULL
            WHERE date = ?1 AND state = 1 /* done */ AND intended = ?2";
        const PUBLISHED: &str = "UPDATE file SET published = 1 WHERE id = ?1";
        let transaction = self.db.transaction_with_behavior(TransactionBehavior::Immediate)?;
        adopt_rereads(&transaction, file.id)?;
        let members = params![file.date.to_epoch_days(), file.id];
        if file.replaces {
            transaction.execute(HOLD_ALL, members)?;
            transaction.execute(FORGET_REPLACED, members)?;
        } else {
            transaction.execute(HOLD_NEW, members)?;
        }
        transaction.execute(PUBLISHED, [file.id])?;
        Ok(transaction.commit()?)
    }

    /// Forgets an intent whose file is not visible: everything is as if it had not been.
    pub fn withdraw(&mut self, file: &FileRow) -> Result<(), JournalError> {
        const WITHDRAW_STAYS: &str = "
            UPDATE stay SET intended = NULL WHERE date = ?1 AND state = 1 /* done */ AND intended = ?2";
        const WITHDRAW_REREADS: &str = "UPDATE stay SET intended = NULL WHERE rereads IS NOT NULL AND intended = ?1";
        const FORGET_FILE: &str = "DELETE FROM file WHERE id = ?1";
        let transaction = self.db.transaction_with_behavior(TransactionBehavior::Immediate)?;
        transaction.execute(WITHDRAW_STAYS, params![file.date.to_epoch_days(), file.id])?;
        transaction.execute(WITHDRAW_REREADS, [file.id])?;
        transaction.execute(FORGET_FILE, [file.id])?;
        Ok(transaction.commit()?)
    }

    /// Hands every stay of a file to `each`, in the order of the dataset's rows: the number by which its pages are found,
    /// the stay, and its landed samples.
    pub fn each_member<E: From<JournalError>>(
        &self,
        file: &FileRow,
        each: impl FnMut(StayId, &Stay, u32) -> Result<(), E>,
    ) -> Result<(), E> {
        let sql = if file.published { MEMBERS } else { INTENDED_MEMBERS };
        each_stay(&self.db, sql, params![file.date.to_epoch_days(), file.id], each)
    }

    /// Hands every stay of `date` that has landed pages to `each`, in the order of the dataset's rows, with its landed
    /// samples.
    pub fn each_landed<E: From<JournalError>>(
        &self,
        date: NaiveDate,
        each: impl FnMut(StayId, &Stay, u32) -> Result<(), E>,
    ) -> Result<(), E> {
        const LANDED_ON: &str = "
            SELECT id, meeting_start, meeting_no, join_time, participant, kind, meeting_end, samples
            FROM stay
            WHERE date = ?1 AND pages > 0
            ORDER BY meeting_start, meeting_no, join_time, participant, kind";
        each_stay(&self.db, LANDED_ON, params![date.to_epoch_days()], each)
    }

    /// A reader of landed bodies, which reuses its buffers from stay to stay.
    pub fn bodies(&self) -> Result<StayPages<'_>, JournalError> {
        const PAGE_BODIES: &str = "
            SELECT number, samples, zstd FROM page LEFT JOIN body ON body.id = page.body WHERE stay = ?1 ORDER BY number";
        Ok(StayPages::new(self.db.prepare_cached(PAGE_BODIES)?))
    }

    /// Records that a done stay which is known to be in no file is in this one.
    pub fn relearn(&self, file: &FileRow, stay: &Stay) -> Result<(), JournalError> {
        const RELEARN: &str = "UPDATE stay SET file = ?2 WHERE id = ?1 AND state = 1 /* done */ AND file IS NULL";
        if let Some(found) = self.find(stay)? {
            self.db.prepare_cached(RELEARN)?.execute([found.id, file.id])?;
        }
        Ok(())
    }

    /// All files, published or meant to be, by date and age.
    pub fn files(&self) -> Result<Vec<FileRow>, JournalError> {
        const FILES: &str = "
            SELECT id, date, name, replaces, published, stays, samples, bytes, sha256 FROM file ORDER BY date, id";
        let mut statement = self.db.prepare_cached(FILES)?;
        let rows = statement.query_map([], file_from_row)?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// The files of one date, published or meant to be, by age.
    pub fn files_on(&self, date: NaiveDate) -> Result<Vec<FileRow>, JournalError> {
        const FILES_ON: &str = "
            SELECT id, date, name, replaces, published, stays, samples, bytes, sha256 FROM file
            WHERE date = ?1 ORDER BY id";
        let mut statement = self.db.prepare_cached(FILES_ON)?;
        let rows = statement.query_map([date.to_epoch_days()], file_from_row)?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// The files that are meant to be published, by date.
    pub fn intents(&self) -> Result<Vec<FileRow>, JournalError> {
        const INTENTS: &str = "
            SELECT id, date, name, replaces, published, stays, samples, bytes, sha256 FROM file
            WHERE published = 0 ORDER BY date, id";
        let mut statement = self.db.prepare_cached(INTENTS)?;
        let rows = statement.query_map([], file_from_row)?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// The file of a date that is meant to be published, if there is one.
    pub fn intent_on(&self, date: NaiveDate) -> Result<Option<FileRow>, JournalError> {
        const INTENT_ON: &str = "
            SELECT id, date, name, replaces, published, stays, samples, bytes, sha256 FROM file
            WHERE date = ?1 AND published = 0";
        let mut statement = self.db.prepare_cached(INTENT_ON)?;
        Ok(statement.query_row([date.to_epoch_days()], file_from_row).optional()?)
    }

    /// The published files that hold stays of this process, by date and age, whoever published them.
    pub fn own_files(&self) -> Result<Vec<FileRow>, JournalError> {
        const OWN_FILES: &str = "
            SELECT id, date, name, replaces, published, stays, samples, bytes, sha256 FROM file
            WHERE published = 1 AND id IN (SELECT stay.file FROM mine JOIN stay ON stay.id = mine.stay)
            ORDER BY date, id";
        let mut statement = self.db.prepare_cached(OWN_FILES)?;
        let rows = statement.query_map([], file_from_row)?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// How many of the date's done stays with samples are not in one of its published files.
    pub fn astray(&self, date: NaiveDate) -> Result<Astray, JournalError> {
        const UNPUBLISHED_ON: &str = "
            SELECT count(*) FROM stay INDEXED BY stay_unpublished
            WHERE date = ?1 AND state = 1 /* done */ AND samples > 0 AND file IS NULL";
        // Done stays said to be in a file that is not published, or not of their date.
        const MISFILED_ON: &str = "
            SELECT count(*) FROM stay
            WHERE date = ?1 AND state = 1 /* done */ AND file IS NOT NULL
                AND file NOT IN (SELECT id FROM file WHERE date = ?1 AND published = 1)";
        let count = |sql| -> Result<u64, JournalError> {
            Ok(self.db.prepare_cached(sql)?.query_row([date.to_epoch_days()], |row| row.get(0))?)
        };
        let unpublished = count(UNPUBLISHED_ON)?;
        Ok(Astray { unpublished, misfiled: count(MISFILED_ON)? })
    }

    /// How many stays are said to be in a published file.
    pub fn held_by(&self, file: &FileRow) -> Result<u64, JournalError> {
        const HELD_BY: &str = "SELECT count(*) FROM stay WHERE date = ?1 AND state = 1 /* done */ AND file = ?2";
        let mut statement = self.db.prepare_cached(HELD_BY)?;
        Ok(statement.query_row(params![file.date.to_epoch_days(), file.id], |row| row.get(0))?)
    }

    /// The dates that have files, published or meant to be.
    pub fn file_dates(&self) -> Result<Vec<NaiveDate>, JournalError> {
        const FILE_DATES: &str = "SELECT DISTINCT date FROM file ORDER BY 1";
        let mut statement = self.db.prepare_cached(FILE_DATES)?;
        let rows = statement.query_map([], |row| date_from_row(row, 0))?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// True if all stays of the date are settled and some of them are in no file yet.
    pub fn is_ready(&self, date: NaiveDate) -> Result<bool, JournalError> {
        const IS_PENDING_ON: &str = "SELECT EXISTS (SELECT 1 FROM stay WHERE date = ?1 AND state = 0 /* pending */)";
        const IS_UNPUBLISHED_ON: &str = "
            SELECT EXISTS (
                SELECT 1 FROM stay INDEXED BY stay_unpublished
                WHERE date = ?1 AND state = 1 /* done */ AND samples > 0 AND file IS NULL
            )";
        Ok(!self.exists_on(date, IS_PENDING_ON)? && self.exists_on(date, IS_UNPUBLISHED_ON)?)
    }

    pub(super) fn exists_on(&self, date: NaiveDate, sql: &str) -> Result<bool, JournalError> {
        Ok(self.db.prepare_cached(sql)?.query_row([date.to_epoch_days()], |row| row.get(0))?)
    }

    /// The dates that have done stays with samples that are in no file, whoever's they are.
    pub fn unpublished_dates(&self) -> Result<Vec<NaiveDate>, JournalError> {
        const UNPUBLISHED_DATES: &str = "
            SELECT DISTINCT date FROM stay INDEXED BY stay_unpublished
            WHERE state = 1 /* done */ AND samples > 0 AND file IS NULL AND date IS NOT NULL
            ORDER BY 1";
        let mut statement = self.db.prepare_cached(UNPUBLISHED_DATES)?;
        let rows = statement.query_map([], |row| date_from_row(row, 0))?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// True if some of the stays of the date that are in no file yet are this process's own.
    pub fn is_own_unpublished(&self, date: NaiveDate) -> Result<bool, JournalError> {
        const OWN_UNPUBLISHED_ON: &str = "
            SELECT EXISTS (
                SELECT 1 FROM stay INDEXED BY stay_unpublished
                WHERE date = ?1 AND state = 1 /* done */ AND samples > 0 AND file IS NULL
                    AND id IN (SELECT stay FROM mine)
            )";
        self.exists_on(date, OWN_UNPUBLISHED_ON)
    }

    /// The dates from `first` to `last` that have landed samples.
    pub fn landed_dates(&self, first: NaiveDate, last: NaiveDate) -> Result<Vec<NaiveDate>, JournalError> {
        const LANDED_DATES: &str = "
            SELECT DISTINCT date FROM stay
            WHERE state = 1 /* done */ AND samples > 0 AND date BETWEEN ?1 AND ?2
            ORDER BY 1";
        self.dates(LANDED_DATES, first, last)
    }

    pub(super) fn dates(&self, sql: &str, first: NaiveDate, last: NaiveDate) -> Result<Vec<NaiveDate>, JournalError> {
        let mut statement = self.db.prepare_cached(sql)?;
        let rows = statement.query_map([first.to_epoch_days(), last.to_epoch_days()], |row| date_from_row(row, 0))?;
        Ok(rows.collect::<Result<_, _>>()?)
    }
}

/// The new file's number, name, stays and samples.
fn try_intend(
    db: &Connection,
    days: i32,
    intent: Intent<'_>,
    salt: &[u8],
) -> Result<Option<(FileId, String, u64, u64)>, JournalError> {
    const INTEND: &str = "INSERT INTO file (date, name, replaces, stays, samples) VALUES (?1, '', ?2, 0, 0)";
    const ASSIGN_ALL: &str = "UPDATE stay SET intended = ?2 WHERE date = ?1 AND state = 1 /* done */ AND samples > 0";
    const ASSIGN_NEW: &str = "
        UPDATE stay INDEXED BY stay_unpublished SET intended = ?2
        WHERE date = ?1 AND state = 1 /* done */ AND samples > 0 AND file IS NULL";
    const INTEND_REREAD: &str = "UPDATE stay SET intended = ?2 WHERE id = ?1";
    // A first reading without samples is in no file; its second one is to be.
    const ASSIGN_REREAD: &str = "UPDATE stay SET intended = ?2 WHERE id = (SELECT rereads FROM stay WHERE id = ?1)";
    const INTENDED: &str = "UPDATE file SET name = ?2, stays = ?3, samples = ?4 WHERE id = ?1";
    let replaces = intent != Intent::Append;
    db.prepare_cached(INTEND)?.execute(params![days, replaces])?;
    let id = db.last_insert_rowid();
    let assign = if replaces { ASSIGN_ALL } else { ASSIGN_NEW };
    db.prepare_cached(assign)?.execute(params![days, id])?;
    if let Intent::Adopt(rereads) = intent {
        let mut intend_reread = db.prepare_cached(INTEND_REREAD)?;
        let mut assign_reread = db.prepare_cached(ASSIGN_REREAD)?;
        for reread in rereads {
            intend_reread.execute([*reread, id])?;
            assign_reread.execute([*reread, id])?;
        }
    }
    let (name, stays, samples) = name(db, days, id, salt)?;
    if stays == 0 {
        return Ok(None);
    }
    db.prepare_cached(INTENDED)?.execute(params![id, name, stays, samples])?;
    Ok(Some((id, name, stays, samples)))
}

/// The intended file's name, stays and samples.
fn name(db: &Connection, days: i32, id: FileId, salt: &[u8]) -> Result<(String, u64, u64), JournalError> {
    let mut hash = Sha256::new_with_prefix(salt);
    let (mut stays, mut samples) = (0, 0);
    let mut digests = db.prepare_cached(PAGE_DIGESTS)?;
    each_stay(db, INTENDED_MEMBERS, params![days, id], |reading, stay, stay_samples| {
        stays += 1;
        samples += u64::from(stay_samples);
        hash.update(format!("{stay:?}"));
        let mut rows = digests.query([reading])?;
        while let Some(row) = rows.next()? {
            hash.update(row.get_ref(2)?.as_blob().map_err(rusqlite::Error::from)?);
        }
        Ok::<_, JournalError>(())
    })?;
    let digest = hash.finalize();
    let first: [u8; 8] = digest[..8].try_into().expect("SHA-256 has 32 bytes");
    Ok((format!("{:016x}", u64::from_be_bytes(first)), stays, samples))
}

/// Puts the second readings that the file holds in the place of the first ones.
fn adopt_rereads(db: &Connection, file: FileId) -> Result<(), JournalError> {
    const REREADS_IN: &str = "SELECT id, rereads FROM stay WHERE rereads IS NOT NULL AND intended = ?1";
    let rereads = db
        .prepare_cached(REREADS_IN)?
        .query_map([file], |row| Ok((row.get(0)?, row.get(1)?)))?
        .collect::<Result<Vec<(StayId, StayId)>, _>>()?;
    for (second, first) in &rereads {
        adopt(db, *second, *first)?;
    }
    Ok(())
}

fn each_stay<E: From<JournalError>>(
    db: &Connection,
    sql: &str,
    params: &[&dyn ToSql],
    mut each: impl FnMut(StayId, &Stay, u32) -> Result<(), E>,
) -> Result<(), E> {
    let mut statement = db.prepare_cached(sql).map_err(JournalError::from)?;
    let mut rows = statement.query(params).map_err(JournalError::from)?;
    while let Some(row) = rows.next().map_err(JournalError::from)? {
        let (id, stay, samples) = member_from_row(row).map_err(JournalError::from)?;
        each(id, &stay, samples)?;
    }
    Ok(())
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
