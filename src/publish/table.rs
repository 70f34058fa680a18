//! Datasets that are tables: made from what is published, entered into date by date, and rid of files that nobody reads any
//! more. And what was a table and is to be files again.
//!
//! The commit to the table comes after the file is visible and before the journal records it as published. Cut in between, the
//! next process finds the intent, enters the file again (the table says whether that is done) and records it.

use std::collections::BTreeSet;

use chrono::NaiveDate;

use crate::{
    dataset::Dataset,
    error::Error,
    journal::Journal,
    parquet::ParquetFileError,
    store::{
        FileName, PartFile, Store,
        disk::DiskError,
        lock::StoreLock,
        staging::Sealed,
        table::{Active, Claim, Entered, Entry, FileStatistics, TableState},
        table_error::TableError,
    },
};

/// One dataset, and the right to change it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Shelf<'a> {
    pub(super) dataset: Dataset,
    pub(super) store: &'a Store,
    pub(super) lock: &'a StoreLock,
    /// The time, in unix seconds.
    pub(super) now_s: i64,
}

impl Shelf<'_> {
    /// Makes sure that the dataset is what it is to be, a table or files, and deletes old files whose time has come.
    ///
    /// # Errors
    ///
    /// [`DiskError::Table`] if there is a log that cannot be gone on with, or none where one should be.
    pub(super) fn prepare(&self, journal: &Journal) -> Result<(), Error> {
        let Some(retention) = self.store.retention() else { return self.leave(journal) };
        self.open(journal)?;
        let retention_s = i64::try_from(retention.as_secs()).unwrap_or(i64::MAX);
        self.sweep(journal, self.now_s.saturating_sub(retention_s))
    }

    /// Finds the table that the journal knows, or makes one.
    fn open(&self, journal: &Journal) -> Result<(), Error> {
        // Maybe one that a killed process made, or that a journal made which is lost.
        let found = if let Some(found) = check(journal, self.store, self.dataset)? {
            self.lock.check_columns()?;
            found
        } else {
            self.lock.create_table(&self.published(journal)?)?;
            self.lock.table_state()?.ok_or_else(|| failed(self.store, TableError::Missing))?
        };
        if journal.table_id(self.dataset)?.is_none() {
            journal.set_table_id(self.dataset, Some(&found.id))?;
        }
        Ok(())
    }

    /// Takes the log away, whatever it says, and makes the table anew. Returns how many files it has.
    pub(super) fn make_anew(&self, journal: &Journal) -> Result<u64, Error> {
        self.lock.remove_log()?;
        journal.set_table_id(self.dataset, None)?;
        self.open(journal)?;
        Ok(self.published(journal)?.len() as u64)
    }

    /// All files that the journal has published and that are there.
    fn published(&self, journal: &Journal) -> Result<Vec<Entry>, Error> {
        let named: Vec<(NaiveDate, String)> = match self.dataset {
            Dataset::Quality => {
                let files = journal.files()?.into_iter().filter(|file| file.published);
                files.map(|file| (file.date, file.name)).collect()
            }
            listed => journal.listed_files(listed, true)?.into_iter().map(|file| (file.date, file.name)).collect(),
        };
        let mut entries = Vec::new();
        for (date, digits) in named {
            let name = name_of(&digits)?;
            if let Some(part) = self.store.confirm(date, name)? {
                entries.push(self.entry(part)?);
            }
        }
        Ok(entries)
    }

    /// What is entered of a file that is visible.
    fn entry(&self, part: PartFile) -> Result<Entry, Error> {
        let PartFile { date, name, bytes } = part;
        let statistics = FileStatistics::read(self.store.open_file(date, name)?);
        let statistics = statistics.map_err(|source| unreadable(name, source.into()))?;
        Ok(Entry { date, name, bytes, statistics, modified_ms: self.now_s.saturating_mul(1000) })
    }

    /// Makes a sealed file visible on a date, and read: in the place of the files `known`, if it is to replace them.
    pub(super) fn publish(
        &self,
        journal: &mut Journal,
        date: NaiveDate,
        part: Sealed,
        claim: Claim,
        known: &BTreeSet<FileName>,
    ) -> Result<PartFile, Error> {
        if self.store.retention().is_none() {
            let put = |part| {
                if claim.replaces { self.lock.replace(date, part, known) } else { self.lock.put_if_absent(date, part) }
            };
            return Ok(put(part)?);
        }
        // What comes from listings has one file for each date: whatever else the table has of it is of an earlier one.
        let claim = Claim { replaces: claim.replaces || self.dataset != Dataset::Quality, ..claim };
        let statistics = FileStatistics::read(part.reopen()?);
        let put = self.lock.put_beside(date, part)?;
        let PartFile { name, bytes, .. } = put;
        let statistics = statistics.map_err(|source| unreadable(name, source.into()))?;
        let entry = Entry { date, name, bytes, statistics, modified_ms: self.now_s.saturating_mul(1000) };
        self.enter(journal, &entry, claim, known)?;
        Ok(put)
    }

    /// Goes on with a file that is visible, after a cut: what it was to replace is not read any more. One that is not as it was
    /// built goes if it has not been entered yet.
    pub(super) fn settle(
        &self,
        journal: &mut Journal,
        (part, is_sound): (PartFile, bool),
        claim: Claim,
        known: &BTreeSet<FileName>,
    ) -> Result<Settled, Error> {
        if self.store.retention().is_none() {
            if claim.replaces {
                self.lock.finish_replace(part.date, part.name, known)?;
            }
            return Ok(Settled::Published);
        }
        if is_sound {
            return self.enter(journal, &self.entry(part)?, claim, known);
        }
        let active = self.lock.table_state()?.unwrap_or_default().on(part.date);
        if active.contains_key(&part.name.to_string()) {
            return Ok(Settled::Published);
        }
        self.lock.delete(part.date, part.name)?;
        Ok(Settled::Superseded)
    }

    /// Enters a published file of which the table does not know, beside what it has of the date.
    ///
    /// # Errors
    ///
    /// [`TableError::Rewritten`] if another program has rewritten the date: its rows may be there.
    pub(super) fn take_in(&self, journal: &mut Journal, part: PartFile, number: i64) -> Result<(), Error> {
        let active = self.lock.table_state()?.unwrap_or_default().on(part.date);
        if active.keys().any(|name| FileName::parse(name).is_none()) {
            return Err(failed(self.store, TableError::Rewritten(part.date)).into());
        }
        let claim = Claim { number, replaces: false, is_first: true };
        self.enter(journal, &self.entry(part)?, claim, &BTreeSet::new()).map(drop)
    }

    fn enter(
        &self,
        journal: &mut Journal,
        entry: &Entry,
        claim: Claim,
        known: &BTreeSet<FileName>,
    ) -> Result<Settled, Error> {
        let place = (self.dataset, entry.date);
        let name = entry.name.to_string();
        match self.lock.enter(entry, claim)? {
            Entered::Superseded => {
                journal.retire(place, [name], None, self.now_s)?;
                Ok(Settled::Superseded)
            }
            Entered::Here { mut removed } => {
                if claim.replaces {
                    removed.extend(known.iter().map(ToString::to_string));
                }
                removed.remove(&name);
                journal.retire(place, removed, Some(&name), self.now_s)?;
                Ok(Settled::Published)
            }
            Entered::Rewritten => Ok(Settled::Published),
        }
    }

    /// Deletes files that have not been read since `upto_s`: those alone that vcq has put, that the journal does not name otherwise
    /// and that the table does not have again.
    fn sweep(&self, journal: &Journal, upto_s: i64) -> Result<(), Error> {
        let old = journal.old_files(self.dataset, upto_s)?;
        if old.is_empty() {
            return Ok(());
        }
        let state = self.lock.table_state()?.unwrap_or_default();
        for file in old {
            // Another program's is its own business.
            let Some(name) = FileName::parse(&file.name) else { continue };
            if state.on(file.date).contains_key(&file.name) || is_named(journal, self.dataset, file.date, name)? {
                continue;
            }
            self.lock.delete(file.date, name)?;
            journal.forget_old(self.dataset, file.date, &file.name)?;
        }
        Ok(())
    }

    /// What was a table is files again, once its log is gone: its old files go too, for nobody can know that they are old.
    fn leave(&self, journal: &Journal) -> Result<(), Error> {
        check(journal, self.store, self.dataset)?;
        if journal.table_id(self.dataset)?.is_none() {
            return Ok(());
        }
        for file in journal.old_files(self.dataset, i64::MAX)? {
            let name = FileName::parse(&file.name);
            let is_named = |name| is_named(journal, self.dataset, file.date, name);
            if let Some(name) =
                name.map(|name| Ok::<_, Error>((!is_named(name)?).then_some(name))).transpose()?.flatten()
            {
                self.lock.delete(file.date, name)?;
            }
            journal.forget_old(self.dataset, file.date, &file.name)?;
        }
        Ok(journal.set_table_id(self.dataset, None)?)
    }
}

/// Makes sure that a dataset's log is the one that the journal knows, if it knows one; `None` if there is no table yet, or none is
/// to be.
///
/// # Errors
///
/// [`DiskError::Table`] if the log cannot be gone on with, is missing, or is another's.
pub(super) fn check(journal: &Journal, store: &Store, dataset: Dataset) -> Result<Option<TableState>, Error> {
    let known = journal.table_id(dataset)?;
    if store.retention().is_none() {
        let is_left = known.is_some() && store.has_log()?;
        return if is_left { Err(failed(store, TableError::NoTable).into()) } else { Ok(None) };
    }
    let found = store.table_state()?;
    let source = match (known, &found) {
        (Some(_), None) => TableError::Missing,
        (Some(known), Some(found)) if known != found.id => TableError::OtherTable { known, found: found.id.clone() },
        _ => return Ok(found),
    };
    Err(failed(store, source).into())
}

/// A table that a run would go on with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FoundTable {
    /// Its id.
    pub id: String,
    /// Whether it is the journal's; otherwise another journal has made it, or another program.
    pub is_known: bool,
    /// How many files it has.
    pub files: usize,
    /// The dataset's columns that it lacks; the run gives them to it.
    pub lacking: Vec<String>,
}

/// Looks for a dataset's table as a run does, and changes nothing; `None` if there is none, or none is to be. The journal may be
/// still to be made.
///
/// # Errors
///
/// [`DiskError::Table`] if a run would stop at it.
pub fn find_table(journal: Option<&Journal>, store: &Store, dataset: Dataset) -> Result<Option<FoundTable>, Error> {
    let (found, known) = match journal {
        Some(journal) => (check(journal, store, dataset)?, journal.table_id(dataset)?),
        None => (store.table_state()?, None),
    };
    let Some(found) = found else { return Ok(None) };
    let lacking = store.lacking_columns()?;
    Ok(Some(FoundTable { is_known: known.is_some(), files: found.file_count(), id: found.id, lacking }))
}

fn failed(store: &Store, source: TableError) -> DiskError {
    DiskError::Table { path: store.log_path(), source }
}

/// What an intent has come to whose file is visible.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Settled {
    /// Its rows are read.
    Published,
    /// They are not: it is of a journal from before, or was damaged.
    Superseded,
}

/// How a date stands in the dataset's table.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Standing {
    /// The table has what is published.
    AsPublished,
    /// Other programs' files have as many rows in its place.
    Rewritten,
    /// It has something else.
    Otherwise(String),
}

impl Standing {
    /// Compares what the table has of a date with what is published: names, and rows in all.
    pub(super) fn of(active: &Active, published: &BTreeSet<FileName>, rows: u64) -> Self {
        let is_published = |name: &String| FileName::parse(name).is_some_and(|name| published.contains(&name));
        if active.len() == published.len() && active.keys().all(is_published) {
            return Self::AsPublished;
        }
        let told: Option<u64> = active.values().copied().sum();
        let is_other = |name: &String| FileName::parse(name).is_none();
        let are_others = active.keys().any(is_other) && active.keys().all(|name| is_other(name) || is_published(name));
        if are_others && told == Some(rows) {
            return Self::Rewritten;
        }
        let (files, expected) = (active.len(), published.len());
        let told = told.map_or_else(|| "unknown".to_owned(), |rows| rows.to_string());
        Self::Otherwise(format!("{files} files with {told} rows, not {expected} with {rows}"))
    }
}

/// Whether the journal has published a file, or is about to.
fn is_named(journal: &Journal, dataset: Dataset, date: NaiveDate, name: FileName) -> Result<bool, Error> {
    let digits = format!("{:016x}", name.digits());
    Ok(match dataset {
        Dataset::Quality => journal.files_on(date)?.iter().any(|file| file.name == digits),
        listed => {
            let files = [journal.listed_file(listed, date, true)?, journal.listed_file(listed, date, false)?];
            files.iter().flatten().any(|file| file.name == digits)
        }
    })
}

fn name_of(digits: &str) -> Result<FileName, Error> {
    let parsed = u64::from_str_radix(digits, 16);
    parsed.map(FileName::new).map_err(|_| Error::Bug(format!("the journal names a file `{digits}`")))
}

fn unreadable(name: FileName, source: ParquetFileError) -> Error {
    Error::Parquet { name: name.to_string(), source }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_date_stands_in_the_table_as_published_or_with_as_many_rows_of_others() {
        let (one, two) = (FileName::new(1), FileName::new(2));
        let published = BTreeSet::from([one, two]);
        let active =
            |files: &[(&str, Option<u64>)]| files.iter().map(|(name, rows)| ((*name).to_owned(), *rows)).collect();
        let (first, second) = (one.to_string(), two.to_string());
        for (files, expected) in [
            (vec![(&*first, Some(3)), (&second, Some(4))], Some(Standing::AsPublished)),
            (vec![(&*first, None), (&second, None)], Some(Standing::AsPublished)),
            (vec![("part-00000-c000.zstd.parquet", Some(7))], Some(Standing::Rewritten)),
            (vec![(&*first, Some(3)), ("part-00000-c000.zstd.parquet", Some(4))], Some(Standing::Rewritten)),
            (vec![("part-00000-c000.zstd.parquet", Some(6))], None),
            (vec![("part-00000-c000.zstd.parquet", None)], None),
            (vec![(&*first, Some(7))], None),
            (vec![], None),
        ] {
            let standing = Standing::of(&active(&files), &published, 7);
            match expected {
                Some(expected) => assert_eq!(standing, expected, "{files:?}"),
                None => assert!(matches!(standing, Standing::Otherwise(_)), "{files:?}: {standing:?}"),
            }
        }
        let unknown = FileName::new(3).to_string();
        let standing = Standing::of(&active(&[(&unknown, Some(7))]), &published, 7);
        assert!(matches!(standing, Standing::Otherwise(_)), "a file of vcq's that the journal does not know");
    }
}
