//! Phase 2: landed pages → samples → columns → Parquet → published file. A pure function of the landed pages of a date.
//!
//! The intent is recorded first (which stays, which name), then the file is built, synced, opened again and compared with
//! the journal, then it is recorded what was built, then it is made visible, then it is recorded as published. A date has at
//! most one intent, and nothing else is published on the date before it is settled: a file that is there is recorded, and
//! an intent whose file is not there is withdrawn. Until then the journal knows each stay where it was before, so what is
//! withdrawn has never been.

pub mod look;

use std::{
    collections::BTreeSet,
    fs::File,
    io,
    num::NonZero,
    panic::resume_unwind,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
};

use chrono::{FixedOffset, NaiveDate};
use chrono_tz::Tz;
use sha2::{Digest, Sha256};

use self::look::{Depth, Look};
use crate::{
    config::Config,
    error::Error,
    journal::{FileRow, Intent, Journal, Lock, StayId},
    parquet::{self, FileFacts, SCHEMA_VERSION, StayRuns},
    read::batch::{Batch, Unreadable},
    read::decode::{Unknown, decode},
    start::Stop,
    store::{
        Dataset, FileName, PartFile,
        disk::DiskError,
        lock::{DatasetLock, Staged},
    },
};

/// Dates built at the same time: each needs memory for a row group under construction.
const WORKERS_MAX: usize = 2;

/// How part files are built, and where they become visible.
#[derive(Clone, Debug)]
pub struct Publisher {
    dataset: Dataset,
    zone: Tz,
    naive_offset: FixedOffset,
    /// How many dates are built at the same time.
    workers: usize,
}

/// The right to change the dataset, held by one process at a time: whoever has it finds no intent but those of processes
/// that have ended, and of its own that failed.
#[derive(Debug)]
pub struct Publishing {
    publisher: Publisher,
    folder: DatasetLock,
    _turn: Lock,
}

/// A file that is visible now.
#[derive(Debug)]
pub struct Publication {
    /// What the journal says of it.
    pub file: FileRow,
    /// Its name.
    pub name: String,
    /// Its size.
    pub bytes: u64,
    /// Texts in it that could not be read.
    pub unreadable: Unreadable,
    /// What the API sent that no column comes from.
    pub unknown: Unknown,
}

impl Publisher {
    /// A publisher into `dataset`, by the configuration's zone and offset.
    pub fn new(dataset: Dataset, config: &Config) -> Self {
        let workers = thread::available_parallelism().map_or(1, NonZero::get).min(WORKERS_MAX);
        Self { dataset, zone: config.timezone, naive_offset: config.api.naive_utc_offset, workers }
    }

    /// The dataset.
    pub fn dataset(&self) -> &Dataset {
        &self.dataset
    }

    /// The right to change the dataset; waits for a process that is publishing or rebuilding.
    pub fn begin(&self, journal: &Journal) -> Result<Publishing, Error> {
        self.with_turn(journal.lock_publishing()?)
    }

    /// The same, or `None` while another process has it.
    pub fn try_begin(&self, journal: &Journal) -> Result<Option<Publishing>, Error> {
        journal.try_lock_publishing()?.map(|turn| self.with_turn(turn)).transpose()
    }

    fn with_turn(&self, turn: Lock) -> Result<Publishing, Error> {
        Ok(Publishing { publisher: self.clone(), folder: self.dataset.lock()?, _turn: turn })
    }

    /// Whatever decides a file's bytes besides its stays and their pages.
    fn salt(&self) -> Vec<u8> {
        let version = env!("CARGO_PKG_VERSION");
        let encoder = parquet::encoder();
        format!("vcq {version} schema {SCHEMA_VERSION} {} {}, {encoder}", self.zone, self.naive_offset).into()
    }
}

impl Publishing {
    /// An empty batch, as files are built with.
    pub fn batch(&self) -> Batch {
        Batch::new(self.publisher.naive_offset)
    }

    /// What is visible of a date, by names and sizes.
    pub fn look(&self, journal: &Journal, date: NaiveDate) -> Result<Look, Error> {
        let dataset = &self.publisher.dataset;
        look::look(journal, dataset, date, dataset.list(date)?, Depth::Names)
    }

    /// Settles every intent that a process has left: what is visible is recorded, what is not is as if it had not been.
    ///
    /// # Errors
    ///
    /// That of the first intent that could not be settled, after all others have been tried.
    pub fn settle_intents(&self, journal: &mut Journal) -> Result<(), Error> {
        let mut failure = Ok(());
        for file in journal.intents()? {
            failure = failure.and(self.settle(journal, &file));
        }
        failure
    }

    /// Publishes the date's done stays that are in no file yet; `None` if there are none.
    pub fn append(&self, journal: &mut Journal, date: NaiveDate) -> Result<Option<Publication>, Error> {
        self.settle_on(journal, date)?;
        let Some(file) = journal.intend(date, Intent::Append, &self.publisher.salt())? else { return Ok(None) };
        let mut batch = self.batch();
        self.build_and_publish(journal, file, &mut batch).map(Some)
    }

    /// Publishes every date whose stays are settled and not all published, whoever brought them, and those of which
    /// `is_due` says that they are to be published as they are; tells what became of each.
    pub fn append_settled(
        &self,
        journal: &mut Journal,
        is_due: impl Fn(&Journal, NaiveDate) -> Result<bool, Error>,
        mut told: impl FnMut(NaiveDate, Result<Publication, Error>),
    ) -> Result<(), Error> {
        for date in journal.unpublished_dates()? {
            if journal.is_ready(date)? || is_due(journal, date)? {
                self.append(journal, date).transpose().into_iter().for_each(|appended| told(date, appended));
            }
        }
        Ok(())
    }

    /// Publishes all done stays of the date in one file, in the place of all its files, with these second readings in the
    /// place of the first ones.
    pub fn adopt(
        &self,
        journal: &mut Journal,
        date: NaiveDate,
        rereads: &[StayId],
    ) -> Result<Option<Publication>, Error> {
        let mut batch = self.batch();
        self.replace_date(journal, date, Intent::Adopt(rereads), &mut batch)
    }

    /// Publishes all done stays of each date in one file, in the place of all its files, and tells what
    /// became of each, as soon as it is known.
    ///
    /// The old files stay in staging until the next process publishes, for a reader that has opened their folder must
    /// find what is in it: a rebuild needs room for both.
    ///
    /// Once the command is told to stop, no further date is begun.
    ///
    /// # Errors
    ///
    /// [`Error::Pruned`], before anything is replaced, if landed pages of one of the dates have been dropped. A date that
    /// cannot be replaced is told, and holds up no other.
    pub fn replace(
        &self,
        journal: &mut Journal,
        dates: &[NaiveDate],
        stop: &Stop,
        told: impl FnMut(NaiveDate, Result<Publication, Error>) + Send,
    ) -> Result<(), Error> {
        for date in dates {
            refuse_pruned(journal, *date)?;
        }
        self.replace_side_by_side(journal, dates, stop, told)
    }

    /// Builds several dates at the same time, each as a whole by one thread: the files are the same for any number of
    /// threads. Tells what became of each date as soon as it is known.
    fn replace_side_by_side(
        &self,
        journal: &Journal,
        dates: &[NaiveDate],
        stop: &Stop,
        told: impl FnMut(NaiveDate, Result<Publication, Error>) + Send,
    ) -> Result<(), Error> {
        let next = AtomicUsize::new(0);
        let told = Mutex::new(told);
        let replace_in_turn = |mut journal: Journal| {
            let mut batch = self.batch();
            while let Some(&date) = dates.get(next.fetch_add(1, Ordering::Relaxed)).filter(|_| !stop.is_requested()) {
                let replaced = self.replace_date(&mut journal, date, Intent::Replace, &mut batch);
                if let Some(replaced) = replaced.transpose() {
                    let mut told = told.lock().unwrap_or_else(PoisonError::into_inner);
                    told(date, replaced);
                }
            }
        };
        let workers = self.publisher.workers.min(dates.len());
        let journals = (0..workers).map(|_| journal.again()).collect::<Result<Vec<_>, _>>()?;
        thread::scope(|scope| {
            let replace_in_turn = &replace_in_turn;
            let spawn = |journal| scope.spawn(move || replace_in_turn(journal));
            let threads: Vec<_> = journals.into_iter().map(spawn).collect();
            for thread in threads {
                thread.join().unwrap_or_else(|panic| resume_unwind(panic));
            }
        });
        Ok(())
    }

    fn replace_date(
        &self,
        journal: &mut Journal,
        date: NaiveDate,
        intent: Intent<'_>,
        batch: &mut Batch,
    ) -> Result<Option<Publication>, Error> {
        self.settle_on(journal, date)?;
        let mut salt = self.publisher.salt();
        // A visible name never gets other bytes: what takes the place of a damaged file has another name.
        for file in journal.files_on(date)? {
            if self.is_damaged(&file)? {
                salt.extend(format!(" mends {}", file.id).bytes());
            }
        }
        let Some(file) = journal.intend(date, intent, &salt)? else { return Ok(None) };
        match self.build_and_publish(journal, file, batch) {
            // The visible file of this name was built wrong.
            Err(Error::Disk(DiskError::Exists { .. })) => {
                for file in journal.files_on(date)? {
                    salt.extend(format!(" mends {}", file.id).bytes());
                }
                let file = journal.intend(date, intent, &salt)?;
                file.map(|file| self.build_and_publish(journal, file, batch)).transpose()
            }
            published => published.map(Some),
        }
    }

    /// Whether a published file is there and no longer has the bytes that were published.
    fn is_damaged(&self, file: &FileRow) -> Result<bool, Error> {
        if !self.publisher.dataset.is_visible(file.date, name_of(file)?)? {
            return Ok(false);
        }
        Ok(file.sha256 != Some(sha256(file, open(&self.publisher.dataset, file)?)?))
    }

    /// Settles the date's intent, if a process has left one.
    fn settle_on(&self, journal: &mut Journal, date: NaiveDate) -> Result<(), Error> {
        journal.intent_on(date)?.map_or(Ok(()), |file| self.settle(journal, &file))
    }

    /// Records that the file is visible, if it is, and forgets that it was to be, if it is not.
    ///
    /// # Errors
    ///
    /// [`Error::Damaged`] if it is visible and not what was built.
    fn settle(&self, journal: &mut Journal, file: &FileRow) -> Result<(), Error> {
        let others = journal.files_on(file.date)?;
        let is_another = others.iter().any(|other| other.published && other.name == file.name && !file.replaces);
        let visible = self.publisher.dataset.confirm(file.date, name_of(file)?)?;
        let Some(part) = visible.filter(|_| !is_another) else {
            journal.withdraw(file)?;
            return if file.replaces { relearn(journal, &self.publisher.dataset, file.date) } else { Ok(()) };
        };
        let found = sha256(file, open(&self.publisher.dataset, file)?)?;
        match file.sha256 {
            Some(built) => {
                journal.published(file)?;
                if built == found { Ok(()) } else { Err(changed(file)) }
            }
            // Of an older version, which did not record what it had built.
            None => match compare(journal, file, open(&self.publisher.dataset, file)?) {
                Ok(()) => {
                    journal.built(file, part.bytes, found)?;
                    Ok(journal.published(file)?)
                }
                Err(error) => {
                    journal.withdraw(file)?;
                    Err(error)
                }
            },
        }
    }

    fn build_and_publish(&self, journal: &mut Journal, file: FileRow, batch: &mut Batch) -> Result<Publication, Error> {
        match self.try_publish(journal, &file, batch) {
            Ok((bytes, unreadable, unknown)) => {
                let name = name_of(&file)?.to_string();
                Ok(Publication { name, file: FileRow { published: true, ..file }, bytes, unreadable, unknown })
            }
            Err(error) => {
                // What is not visible is not going to be: nothing is left of the intent. Where the disk does not say, and
                // where it is visible after all, the next process looks.
                let is_refused = matches!(error, Error::Disk(DiskError::Exists { .. }));
                if is_refused || matches!(self.publisher.dataset.is_visible(file.date, name_of(&file)?), Ok(false)) {
                    drop(journal.withdraw(&file));
                }
                Err(error)
            }
        }
    }

    fn try_publish(
        &self,
        journal: &mut Journal,
        file: &FileRow,
        batch: &mut Batch,
    ) -> Result<(u64, Unreadable, Unknown), Error> {
        let mut staged = self.folder.stage(name_of(file)?)?;
        let (unreadable, unknown) = self.publisher.build(journal, file, &mut staged, batch)?;
        let sealed = staged.seal()?;
        compare(journal, file, sealed.reopen()?)?;
        journal.built(file, sealed.bytes(), sha256(file, sealed.reopen()?)?)?;
        let part = if file.replaces {
            let mut known = BTreeSet::new();
            for replaced in journal.files_on(file.date)?.iter().filter(|file| file.published) {
                known.insert(name_of(replaced)?);
            }
            self.folder.replace(file.date, sealed, &known)?
        } else {
            self.folder.publish(sealed, file.date)?
        };
        journal.published(file)?;
        Ok((part.bytes, unreadable, unknown))
    }
}

impl Publisher {
    /// Fills `staged`. What is left in `batch` by an earlier build that failed is forgotten.
    fn build(
        &self,
        journal: &Journal,
        file: &FileRow,
        staged: &mut Staged,
        batch: &mut Batch,
    ) -> Result<(Unreadable, Unknown), Error> {
        let failed = |source| Error::Parquet { name: file.name.clone(), source };
        let facts = FileFacts {
            date: file.date,
            timezone: self.zone.name(),
            naive_offset: self.naive_offset,
            stays: file.stays,
            samples: file.samples,
        };
        let mut writer = parquet::Writer::new(staged, &facts).map_err(failed)?;
        batch.clear();
        batch.take_unreadable();
        let mut unknown = Unknown::default();
        let mut bodies = journal.bodies()?;
        journal.each_member(file, |id, stay, _| {
            let mut rows = batch.stay(stay);
            bodies.each(id, |_, body| {
                let mut written = Ok(());
                let decoded = decode(body, &mut unknown, |sample| {
                    rows.push(sample);
                    if let Some(batch) = rows.full().filter(|_| written.is_ok()) {
                        written = writer.write(batch).map_err(failed);
                    }
                });
                decoded.map_err(|source| Error::Page { stay: id, source })?;
                written
            })
        })?;
        writer.write(batch).map_err(failed)?;
        writer.finish().map_err(failed)?;
        Ok((batch.take_unreadable(), unknown))
    }
}

/// Learns from the published files of a date which stays are in each, where the journal has forgotten it: an older version
/// did while it replaced them.
fn relearn(journal: &mut Journal, dataset: &Dataset, date: NaiveDate) -> Result<(), Error> {
    for file in journal.files_on(date)?.iter().filter(|file| file.published) {
        if journal.held_by(file)? == file.stays {
            continue;
        }
        let failed = |source| Error::Parquet { name: file.name.clone(), source };
        for run in StayRuns::open(open(dataset, file)?).map_err(failed)? {
            let run = run.map_err(failed)?;
            journal.relearn(file, &run.stay())?;
        }
    }
    Ok(())
}

/// That a published file is not what was built.
pub fn changed(file: &FileRow) -> Error {
    Error::Damaged(format!("`date={}/part-{}.parquet` has been changed", file.date, file.name))
}

/// Makes sure that no landed page of the date has been dropped.
///
/// # Errors
///
/// [`Error::Pruned`] if one has.
pub fn refuse_pruned(journal: &Journal, date: NaiveDate) -> Result<(), Error> {
    if journal.is_pruned(date)? { Err(Error::Pruned(date)) } else { Ok(()) }
}

/// The name that the journal has of a file.
pub fn name_of(file: &FileRow) -> Result<FileName, Error> {
    let digits = u64::from_str_radix(&file.name, 16);
    digits.map(FileName::new).map_err(|_| Error::Bug(format!("the journal names a file `{}`", file.name)))
}

/// Opens a file that is visible.
pub fn open(dataset: &Dataset, file: &FileRow) -> Result<File, Error> {
    open_at(dataset, file.date, name_of(file)?)
}

/// Opens a file that was found.
pub fn open_part(dataset: &Dataset, part: PartFile) -> Result<File, Error> {
    open_at(dataset, part.date, part.name)
}

fn open_at(dataset: &Dataset, date: NaiveDate, name: FileName) -> Result<File, Error> {
    let path = dataset.path_of(date, name);
    File::open(&path).map_err(|source| Error::File { operation: "open", path: path.display().to_string(), source })
}

/// SHA-256 of a file's bytes, which tells `vcq verify` that they are still those that were published.
pub fn sha256(file: &FileRow, written: File) -> Result<[u8; 32], Error> {
    digest(&file.name, written)
}

/// The same of a file that was found.
pub fn sha256_of(dataset: &Dataset, part: PartFile) -> Result<[u8; 32], Error> {
    digest(&part.name.to_string(), open_part(dataset, part)?)
}

fn digest(name: &str, mut written: File) -> Result<[u8; 32], Error> {
    let mut hash = Sha256::new();
    let copied = io::copy(&mut written, &mut hash);
    copied.map_err(|source| Error::File { operation: "read", path: name.to_owned(), source })?;
    Ok(hash.finalize().into())
}

/// Reads a finished file back and compares it, stay by stay, with what the journal has landed.
///
/// # Errors
///
/// [`Error::Damaged`] naming the first difference.
pub fn compare(journal: &Journal, file: &FileRow, written: File) -> Result<(), Error> {
    let damaged = |what: String| Error::Damaged(format!("file `{}` of {}: {what}", file.name, file.date));
    let failed = |source| Error::Parquet { name: file.name.clone(), source };
    let mut runs = StayRuns::open(written).map_err(failed)?;
    journal.each_member(file, |_, stay, samples| {
        let run = runs.next().transpose().map_err(failed)?;
        let same = run.as_ref().is_some_and(|run| run.is(stay) && run.samples == u64::from(samples));
        if same { Ok(()) } else { Err(damaged(format!("expected {samples} samples of {stay:?}, found {run:?}"))) }
    })?;
    match runs.next().transpose().map_err(failed)? {
        None => Ok(()),
        Some(run) => Err(damaged(format!("unexpected {run:?}"))),
    }
}

#[cfg(test)]
mod tests;
