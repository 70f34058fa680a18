//! Datasets that are tables: made from what is published, entered into date by date, and rid of files that nobody reads any
//! more. And what was a table and is to be files again.
//!
//! The commit to the table comes after the file is visible and before the journal records it as published. Cut in between, the
//! next process finds the intent, enters the file again (the table says whether that is done) and records it.

use std::collections::{BTreeMap, BTreeSet};

use chrono::NaiveDate;

use super::{active::Standing, file::parse_name};
use crate::{
    dataset::Dataset,
    error::Error,
    journal::Journal,
    parquet::ParquetFileError,
    printable::Printable,
    store::{
        FileName, PartFile, Store, Stores,
        disk::DiskError,
        lock::StoreLock,
        staging::Sealed,
        table::{Claim, Entered, Entry, FileStatistics, TableState},
        table_error::TableError,
    },
};

/// What has become of a dataset whose table was to be made anew.
#[derive(Debug)]
pub struct Anew {
    /// How many files the new table has; none: the log is sound, and as it was.
    pub files: Option<u64>,
    /// Dates with published files that are not there, and can be built again.
    pub missing: Vec<NaiveDate>,
    /// That it lacks rows which cannot be.
    pub lacking: Option<Error>,
}

/// One dataset, and the right to change it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Shelf<'a> {
    pub(super) dataset: Dataset,
    pub(super) store: &'a Store,
    pub(super) lock: &'a StoreLock,
    /// Tells the time.
    pub(super) stores: &'a Stores,
}

impl Shelf<'_> {
    /// Makes sure that the dataset is what it is to be, a table or files, and deletes old files whose time has come.
    ///
    /// # Errors
    ///
    /// [`DiskError::Table`] if there is a log that cannot be gone on with, or none where one should be.
    pub(super) fn prepare(&self, journal: &Journal) -> Result<(), Error> {
        let Some(retention) = self.store.retention() else { return self.leave(journal) };
        let found = self.open(journal)?;
        let retention_s = i64::try_from(retention.as_secs()).unwrap_or(i64::MAX);
        self.sweep(journal, found, self.stores.now_s().saturating_sub(retention_s))
    }

    /// Finds the table that the journal knows, or makes one.
    fn open(&self, journal: &Journal) -> Result<TableState, Error> {
        let found = if let Some(found) = check(journal, self.store, self.dataset)? {
            self.lock.check_columns()?;
            if journal.table_id(self.dataset)?.is_none() {
                // One that a killed process made, or that a journal made which is lost.
                self.check_taken_over(journal, &found)?;
            }
            found
        } else {
            self.create(journal)?
        };
        self.record(journal, &found)?;
        Ok(found)
    }

    /// Makes the table, of what is published and there.
    fn create(&self, journal: &Journal) -> Result<TableState, Error> {
        self.lock.create_table(&self.visible(journal)?)?;
        Ok(self.lock.table_state()?.ok_or_else(|| failed(self.store, TableError::Missing))?)
    }

    fn record(&self, journal: &Journal, found: &TableState) -> Result<(), Error> {
        if journal.table_id(self.dataset)?.is_none() {
            journal.set_table_id(self.dataset, Some(&found.id))?;
        }
        self.record_version(journal)
    }

    fn record_version(&self, journal: &Journal) -> Result<(), Error> {
        if let Some(version) = self.lock.seen_version()? {
            journal.set_table_version(self.dataset, version)?;
        }
        Ok(())
    }

    /// Makes sure that a table that the journal does not know has what the journal has published: it is not one of before.
    fn check_taken_over(&self, journal: &Journal, found: &TableState) -> Result<(), Error> {
        for (date, (names, rows)) in self.published_by_date(journal)? {
            if let Standing::Otherwise(_) | Standing::Unexplained(_) = Standing::of(&found.on(date), &names, rows) {
                return Err(failed(self.store, TableError::Behind(date)).into());
            }
        }
        Ok(())
    }

    /// Takes a log away that cannot be gone on with, and makes the table anew. A sound one is left as it is, if `is_explained` makes
    /// sure that the journal explains all that it has.
    ///
    /// # Errors
    ///
    /// [`TableError::Lacking`], before anything is done, if published files are not there whose landed pages have been dropped, and
    /// the log can be read: their rows may be in files of other programs, which it alone knows.
    pub(super) fn make_anew(
        &self,
        journal: &Journal,
        is_explained: impl Fn() -> Result<(), Error>,
    ) -> Result<Anew, Error> {
        let can_be_read = matches!(self.lock.table_state(), Ok(Some(_)));
        if can_be_read && self.is_sound(journal, is_explained)? {
            return Ok(Anew { files: None, missing: self.missing(journal, true, true)?, lacking: None });
        }
        let (missing, lost) = (self.missing(journal, false, true)?, self.missing(journal, false, false)?);
        let lacking = lost.first().map(|first| TableError::Lacking { dates: lost.len(), first: *first });
        let lacking = lacking.map(|source| Error::from(failed(self.store, source)));
        let lacking = match lacking {
            Some(lacking) if can_be_read => return Err(lacking),
            lacking => lacking,
        };
        self.lock.remove_log()?;
        journal.set_table_id(self.dataset, None)?;
        let made = self.create(journal)?;
        self.record(journal, &made)?;
        Ok(Anew { files: Some(made.file_count() as u64), missing, lacking })
    }

    /// Whether a run goes on with the log as it is: it is the journal's, and has nothing that the journal does not explain.
    fn is_sound(&self, journal: &Journal, is_explained: impl Fn() -> Result<(), Error>) -> Result<bool, Error> {
        let is_sound = || -> Result<(), Error> {
            if let Some(found) = check(journal, self.store, self.dataset)? {
                self.check_taken_over(journal, &found)?;
            }
            self.store.lacking_columns()?;
            is_explained()
        };
        match is_sound() {
            Ok(()) => Ok(true),
            Err(Error::Mismatch { .. } | Error::Disk(DiskError::Table { .. })) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// The dates of published files that are not there, of those whose landed pages `are_kept`, or of the others. What other
    /// programs have rewritten by a log that `is_kept` need not be there.
    fn missing(&self, journal: &Journal, is_kept: bool, are_kept: bool) -> Result<Vec<NaiveDate>, Error> {
        let state = self.lock.table_state().ok().flatten().filter(|_| is_kept).unwrap_or_default();
        let mut missing = Vec::new();
        for (date, (names, rows)) in self.published_by_date(journal)? {
            let is_rewritten = Standing::of(&state.on(date), &names, rows) == Standing::Rewritten;
            let mut is_there = true;
            for name in names {
                is_there &= self.store.confirm(date, name)?.is_some();
            }
            let is_missing = !is_there && !is_rewritten && is_pruned(journal, self.dataset, date)? != are_kept;
            missing.extend(is_missing.then_some(date));
        }
        Ok(missing)
    }

    /// The names and the rows of what the journal has published of each date.
    fn published_by_date(&self, journal: &Journal) -> Result<BTreeMap<NaiveDate, (BTreeSet<FileName>, u64)>, Error> {
        let mut published: BTreeMap<NaiveDate, (BTreeSet<FileName>, u64)> = BTreeMap::new();
        for (date, name, rows) in self.published(journal)? {
            let (names, sum) = published.entry(date).or_default();
            names.insert(name);
            *sum += rows;
        }
        Ok(published)
    }

    /// All files that the journal has published, with their rows.
    fn published(&self, journal: &Journal) -> Result<Vec<(NaiveDate, FileName, u64)>, Error> {
        let named: Vec<(NaiveDate, String, u64)> = match self.dataset {
            Dataset::Quality => {
                let files = journal.files()?.into_iter().filter(|file| file.published);
                files.map(|file| (file.date, file.name, file.samples)).collect()
            }
            listed => {
                let files = journal.listed_files(listed, true)?.into_iter();
                files.map(|file| (file.date, file.name, file.rows)).collect()
            }
        };
        named.into_iter().map(|(date, digits, rows)| Ok((date, parse_name(&digits)?, rows))).collect()
    }

    /// Those of them that are there.
    fn visible(&self, journal: &Journal) -> Result<Vec<Entry>, Error> {
        let mut entries = Vec::new();
        for (date, name, _) in self.published(journal)? {
            if let Some(part) = self.store.confirm(date, name)? {
                entries.push(self.entry(part)?);
            }
        }
        Ok(entries)
    }

    /// Enters what is published of a date once more, in the place of whatever else the table has of it; nothing is done where that is
    /// all it has, or the dataset is no table.
    pub(super) fn enter_again(&self, journal: &mut Journal, part: PartFile, number: i64) -> Result<(), Error> {
        if self.store.retention().is_none() {
            return Ok(());
        }
        let claim = Claim { number, replaces: true, is_first: true };
        self.enter(journal, &self.entry(part)?, claim, &BTreeSet::new()).map(drop)
    }

    /// What is entered of a file that is visible.
    fn entry(&self, part: PartFile) -> Result<Entry, Error> {
        let PartFile { date, name, bytes } = part;
        let statistics = FileStatistics::read(self.store.open_file(date, name)?);
        let statistics = statistics.map_err(|source| unreadable(name, source.into()))?;
        Ok(Entry { date, name, bytes, statistics, modified_ms: self.stores.now_s().saturating_mul(1000) })
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
        let entry = Entry { date, name, bytes, statistics, modified_ms: self.stores.now_s().saturating_mul(1000) };
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
        let entered = self.lock.enter(entry, claim)?;
        self.record_version(journal)?;
        // After the commit: until then they were read.
        let since_s = self.stores.now_s();
        let replaced = || known.iter().filter(|_| claim.replaces).map(ToString::to_string);
        match entered {
            Entered::Superseded => {
                journal.retire(place, [name], None, since_s)?;
                Ok(Settled::Superseded)
            }
            Entered::Here { mut removed } => {
                removed.extend(replaced());
                removed.remove(&name);
                journal.retire(place, removed, Some(&name), since_s)?;
                Ok(Settled::Published)
            }
            Entered::Rewritten => {
                self.retire_rewritten(journal, place.1, replaced().filter(|other| *other != name))?;
                Ok(Settled::Published)
            }
        }
    }

    /// Retires what an intent was to replace that was entered, and whose date another program has rewritten since.
    fn retire_rewritten(
        &self,
        journal: &mut Journal,
        date: NaiveDate,
        replaced: impl Iterator<Item = String>,
    ) -> Result<(), Error> {
        let active = self.lock.table_state()?.unwrap_or_default().on(date);
        let gone = replaced.filter(|name| !active.contains_key(name));
        Ok(journal.retire((self.dataset, date), gone, None, self.stores.now_s())?)
    }

    /// Whether an intent whose file is not there was entered all the same, and another program has its rows in files of its own by
    /// now; what it was to replace is retired then.
    pub(super) fn is_rewritten(
        &self,
        journal: &mut Journal,
        date: NaiveDate,
        claim: Claim,
        known: &BTreeSet<FileName>,
    ) -> Result<bool, Error> {
        let is_rewritten = self.lock.is_rewritten(date, claim.number)?;
        if is_rewritten {
            self.retire_rewritten(journal, date, known.iter().filter(|_| claim.replaces).map(ToString::to_string))?;
        }
        Ok(is_rewritten)
    }

    /// Deletes files that have not been read since `upto_s`: those alone that vcq has put, that the journal does not name otherwise
    /// and that the table does not have again. Of those that it has again the time begins anew.
    fn sweep(&self, journal: &Journal, found: TableState, upto_s: i64) -> Result<(), Error> {
        let old = journal.old_files(self.dataset, i64::MAX)?;
        // What is to be deleted is asked for once more.
        let is_due = old.iter().any(|file| file.since_s <= upto_s);
        let state = if is_due { self.lock.table_state()?.unwrap_or_default() } else { found };
        for file in old {
            // Another program's is its own business.
            let Some(name) = FileName::parse(&file.name) else { continue };
            if state.has(file.date, &file.name) {
                journal.is_read_again(self.dataset, &file, self.stores.now_s())?;
                continue;
            }
            if file.since_s > upto_s || is_named(journal, self.dataset, file.date, name)? {
                continue;
            }
            self.lock.delete(file.date, name)?;
            journal.forget_old(self.dataset, file.date, &file.name)?;
        }
        Ok(())
    }

    /// What was a table is files again, once its log is gone: its old files go too, for nobody can know that they are old.
    ///
    /// # Errors
    ///
    /// [`TableError::LeftByOthers`] if another program's file is still there: it is not vcq's to delete.
    fn leave(&self, journal: &Journal) -> Result<(), Error> {
        check(journal, self.store, self.dataset)?;
        if journal.table_id(self.dataset)?.is_none() {
            return Ok(());
        }
        for file in journal.old_files(self.dataset, i64::MAX)? {
            match FileName::parse(&file.name) {
                Some(name) if is_named(journal, self.dataset, file.date, name)? => {}
                Some(name) => self.lock.delete(file.date, name)?,
                None => self.check_gone(file.date, &file.name)?,
            }
            journal.forget_old(self.dataset, file.date, &file.name)?;
        }
        Ok(journal.set_table_id(self.dataset, None)?)
    }

    /// Makes sure that another program's file is there no more.
    fn check_gone(&self, date: NaiveDate, name: &str) -> Result<(), Error> {
        let strangers = self.store.list(date)?.strangers;
        match strangers.iter().find(|path| path.file_name().is_some_and(|found| found == name)) {
            Some(path) => {
                let path = Printable(path.display()).to_string();
                Err(failed(self.store, TableError::LeftByOthers(path)).into())
            }
            None => Ok(()),
        }
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
    // Before the log is looked at: another process may be at work.
    let seen = journal.table_version(dataset)?;
    if store.retention().is_none() {
        let is_left = known.is_some() && store.has_log()?;
        return if is_left { Err(failed(store, TableError::NoTable).into()) } else { Ok(None) };
    }
    let found = store.table_state()?;
    let source = match (known, &found) {
        (Some(_), None) => TableError::Missing,
        (Some(known), Some(found)) if known != found.id => TableError::OtherTable { known, found: found.id.clone() },
        (Some(_), Some(found)) if seen.is_some_and(|known| known > found.version) => {
            TableError::Older { known: seen.unwrap_or_default(), found: found.version }
        }
        _ => return Ok(found),
    };
    Err(failed(store, source).into())
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

/// Whether landed pages have been dropped that a date's file is built from.
fn is_pruned(journal: &Journal, dataset: Dataset, date: NaiveDate) -> Result<bool, Error> {
    Ok(match dataset {
        Dataset::Quality => journal.is_pruned(date)?,
        listed => journal.is_listing_pruned(listed, date)?,
    })
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

fn unreadable(name: FileName, source: ParquetFileError) -> Error {
    Error::Parquet { name: name.to_string(), source }
}
