//! What a dataset's table no longer has: files that wait to be deleted; and which table it is.

use std::collections::BTreeSet;

use chrono::NaiveDate;
use rusqlite::{TransactionBehavior, params};

use super::{Journal, JournalError, stay::date_from_row};
use crate::dataset::Dataset;

/// A file that is no longer read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OldFile {
    /// Its partition.
    pub date: NaiveDate,
    /// Its name.
    pub name: String,
    /// Since when it has not been the table's, in unix seconds; it may have been for longer, never for less long as far as is known.
    pub since_s: i64,
}

impl Journal {
    /// Records that these files of a date are no longer read, from now on, and that `kept` is, whatever it was before: what was
    /// recorded may have been read again since.
    pub fn retire(
        &mut self,
        (dataset, date): (Dataset, NaiveDate),
        names: impl IntoIterator<Item = String>,
        kept: Option<&str>,
        since_s: i64,
    ) -> Result<(), JournalError> {
        const RETIRE: &str = "
            INSERT INTO old_file (dataset, date, name, since) VALUES (?1, ?2, ?3, ?4)
            ON CONFLICT DO UPDATE SET since = excluded.since";
        const KEEP: &str = "DELETE FROM old_file WHERE dataset = ?1 AND date = ?2 AND name = ?3";
        let (dataset, date) = (dataset.number(), date.to_epoch_days());
        let transaction = self.db.transaction_with_behavior(TransactionBehavior::Immediate)?;
        for name in names {
            transaction.execute(RETIRE, params![dataset, date, name, since_s])?;
        }
        if let Some(kept) = kept {
            transaction.execute(KEEP, params![dataset, date, kept])?;
        }
        Ok(transaction.commit()?)
    }

    /// Records that a file is read at this moment that was recorded as one that is not: only from now on is its time counted.
    pub fn is_read_again(&self, dataset: Dataset, old: &OldFile, now_s: i64) -> Result<(), JournalError> {
        const READ_AGAIN: &str = "UPDATE old_file SET since = ?4 WHERE dataset = ?1 AND date = ?2 AND name = ?3";
        let row = params![dataset.number(), old.date.to_epoch_days(), old.name, now_s];
        self.db.prepare_cached(READ_AGAIN)?.execute(row)?;
        Ok(())
    }

    /// Forgets a file that has been deleted, or is read again.
    pub fn forget_old(&self, dataset: Dataset, date: NaiveDate, name: &str) -> Result<(), JournalError> {
        const FORGET: &str = "DELETE FROM old_file WHERE dataset = ?1 AND date = ?2 AND name = ?3";
        self.db.prepare_cached(FORGET)?.execute(params![dataset.number(), date.to_epoch_days(), name])?;
        Ok(())
    }

    /// The files of a date that are no longer read.
    pub fn old_names(&self, dataset: Dataset, date: NaiveDate) -> Result<BTreeSet<String>, JournalError> {
        const OLD_NAMES: &str = "SELECT name FROM old_file WHERE dataset = ?1 AND date = ?2";
        let mut statement = self.db.prepare_cached(OLD_NAMES)?;
        let rows = statement.query_map(params![dataset.number(), date.to_epoch_days()], |row| row.get(0))?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// All files of a dataset that have not been read since `upto_s` or longer, by date.
    pub fn old_files(&self, dataset: Dataset, upto_s: i64) -> Result<Vec<OldFile>, JournalError> {
        const OLD_FILES: &str = "
            SELECT date, name, since FROM old_file WHERE dataset = ?1 AND since <= ?2 ORDER BY date, name";
        let mut statement = self.db.prepare_cached(OLD_FILES)?;
        let rows = statement.query_map(params![dataset.number(), upto_s], |row| {
            Ok(OldFile { date: date_from_row(row, 0)?, name: row.get(1)?, since_s: row.get(2)? })
        })?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// The id of the table that the dataset's files have been entered into; none: they are files alone.
    pub fn table_id(&self, dataset: Dataset) -> Result<Option<String>, JournalError> {
        Ok(self.meta(&table_key(dataset))?.filter(|id| !id.is_empty()))
    }

    /// Records it; none: the dataset is no table any more. Of its versions nothing is known then.
    pub fn set_table_id(&self, dataset: Dataset, id: Option<&str>) -> Result<(), JournalError> {
        self.set_meta(&table_version_key(dataset), "")?;
        self.set_meta(&table_key(dataset), id.unwrap_or_default())
    }

    /// The latest version of the table that was seen; none: none was.
    pub fn table_version(&self, dataset: Dataset) -> Result<Option<u64>, JournalError> {
        Ok(self.meta(&table_version_key(dataset))?.and_then(|version| version.parse().ok()))
    }

    /// Records a version that was seen.
    pub fn set_table_version(&self, dataset: Dataset, version: u64) -> Result<(), JournalError> {
        self.set_meta(&table_version_key(dataset), &version.to_string())
    }
}

fn table_version_key(dataset: Dataset) -> String {
    format!("table_version_{}", dataset.name())
}

fn table_key(dataset: Dataset) -> String {
    format!("table_{}", dataset.name())
}
