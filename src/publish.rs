//! Phase 2: landed pages → samples → columns → Parquet → published file. A pure function of the landed pages of a date.
//!
//! The intent is recorded first (which stays, which name), then the file is built, synced, opened again and compared
//! with the journal, then it is made visible, then it is recorded as published. Cut anywhere, [`Publisher::finish_intents`]
//! finds the intent: a file that is there is recorded, one that is not is built again.

use std::{
    fs::File,
    io,
    num::NonZero,
    panic::resume_unwind,
    sync::atomic::{AtomicUsize, Ordering},
    thread,
};

use chrono::{FixedOffset, NaiveDate};
use chrono_tz::Tz;
use sha2::{Digest, Sha256};

use crate::{
    config::Config,
    dataset::{
        Dataset, FileName,
        publisher::{self, Staged},
    },
    error::Error,
    journal::{FileRow, Intent, Journal, Lock},
    quality::{
        batch::{Batch, Unreadable},
        decode::{Unknown, decode},
        parquet::{self, FileFacts, SCHEMA_VERSION, StayRuns},
    },
};

/// Dates built at the same time: each needs memory for a row group under construction.
const WORKERS_MAX: usize = 2;

/// Builds and publishes part files, while its caller holds the right to change the dataset.
#[derive(Clone, Debug)]
pub struct Publisher {
    dataset: Dataset,
    zone: Tz,
    naive_offset: FixedOffset,
    /// How many dates are built at the same time.
    workers: usize,
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

    /// Publishes the date's done stays that are in no file yet; `None` if there are none.
    pub fn append(
        &self,
        journal: &mut Journal,
        date: NaiveDate,
        _publishing: &Lock,
    ) -> Result<Option<Publication>, Error> {
        let Some(file) = journal.intend(date, Intent::Append, &self.salt())? else { return Ok(None) };
        let mut batch = Batch::new(self.naive_offset);
        Ok(Some(self.build_and_publish(journal, &self.dataset.publisher()?, file, &mut batch)?))
    }

    /// Puts the second readings of the date in the place of the first ones, and publishes all its done stays in one file,
    /// in the place of all its files; `None` if there are no second readings.
    pub fn adopt(
        &self,
        journal: &mut Journal,
        date: NaiveDate,
        _publishing: &Lock,
    ) -> Result<Option<Publication>, Error> {
        let Some(file) = journal.adopt_rereads(date, &self.salt())? else { return Ok(None) };
        let mut batch = Batch::new(self.naive_offset);
        Ok(Some(self.build_and_publish(journal, &self.dataset.publisher()?, file, &mut batch)?))
    }

    /// Publishes all done stays of each date in one file, in the place of all its files, and tells each that is visible.
    ///
    /// The old files stay in staging until the next publication begins, for a reader that has opened their folder must
    /// find what is in it: a rebuild needs room for both.
    ///
    /// # Errors
    ///
    /// [`Error::Pruned`], before anything is replaced, if landed pages of one of the dates have been dropped. Otherwise that
    /// of the first date that could not be replaced, after all others have been tried.
    pub fn replace(
        &self,
        journal: &mut Journal,
        dates: &[NaiveDate],
        _publishing: &Lock,
        mut told: impl FnMut(Publication),
    ) -> Result<(), Error> {
        for date in dates {
            refuse_pruned(journal, *date)?;
        }
        let mut failure = Ok(());
        for result in self.replace_side_by_side(journal, &self.dataset.publisher()?, dates)? {
            failure = failure.and(result.map(|publication| publication.into_iter().for_each(&mut told)));
        }
        failure
    }

    /// Builds several dates at the same time, each as a whole by one thread: the files are the same for any number of
    /// threads. What became of each date, in their order.
    fn replace_side_by_side(
        &self,
        journal: &Journal,
        folder: &publisher::Publisher,
        dates: &[NaiveDate],
    ) -> Result<Vec<Result<Option<Publication>, Error>>, Error> {
        let next = AtomicUsize::new(0);
        let replace_in_turn = |mut journal: Journal| {
            let mut batch = Batch::new(self.naive_offset);
            let mut results = Vec::new();
            while let Some(&date) = dates.get(next.fetch_add(1, Ordering::Relaxed)) {
                results.push((date, self.replace_date(&mut journal, folder, date, &mut batch)));
            }
            results
        };
        let workers = self.workers.min(dates.len());
        let journals = (0..workers).map(|_| journal.again()).collect::<Result<Vec<_>, _>>()?;
        let mut results = thread::scope(|scope| {
            let replace_in_turn = &replace_in_turn;
            let spawn = |journal| scope.spawn(move || replace_in_turn(journal));
            let threads: Vec<_> = journals.into_iter().map(spawn).collect();
            let join =
                |thread: thread::ScopedJoinHandle<'_, _>| thread.join().unwrap_or_else(|panic| resume_unwind(panic));
            threads.into_iter().flat_map(join).collect::<Vec<_>>()
        });
        results.sort_unstable_by_key(|(date, _)| *date);
        Ok(results.into_iter().map(|(_, result)| result).collect())
    }

    fn replace_date(
        &self,
        journal: &mut Journal,
        folder: &publisher::Publisher,
        date: NaiveDate,
        batch: &mut Batch,
    ) -> Result<Option<Publication>, Error> {
        let salt = self.salt_to_replace(journal, date)?;
        let Some(file) = journal.intend(date, Intent::Replace, &salt)? else { return Ok(None) };
        Ok(Some(self.build_and_publish(journal, folder, file, batch)?))
    }

    /// Carries out what an earlier process meant to publish and did not record as published, and tells each file that is
    /// visible now.
    ///
    /// # Errors
    ///
    /// That of the first file that could not be published, after all others have been tried: one date with a damaged page
    /// holds up no other.
    pub fn finish_intents(
        &self,
        journal: &mut Journal,
        _publishing: &Lock,
        mut told: impl FnMut(Publication),
    ) -> Result<(), Error> {
        let mut batch = Batch::new(self.naive_offset);
        let mut failure = Ok(());
        for file in journal.intents()? {
            let finished = self.finish_intent(journal, file, &mut batch);
            failure = failure.and(finished.map(|publication| publication.into_iter().for_each(&mut told)));
        }
        failure
    }

    /// Publishes a file, or records that it is visible already.
    fn finish_intent(
        &self,
        journal: &mut Journal,
        file: FileRow,
        batch: &mut Batch,
    ) -> Result<Option<Publication>, Error> {
        let Some(part) = self.dataset.confirm(file.date, name_of(&file)?)? else {
            return Ok(Some(self.build_and_publish(journal, &self.dataset.publisher()?, file, batch)?));
        };
        let sha256 = sha256(&file, open(&self.dataset, &file)?)?;
        journal.published(&file, part.bytes, sha256)?;
        Ok(None)
    }

    /// Whether a published file is there and no longer has the bytes that were published.
    fn is_damaged(&self, file: &FileRow) -> Result<bool, Error> {
        match open(&self.dataset, file) {
            Ok(visible) => Ok(file.sha256 != Some(sha256(file, visible)?)),
            Err(Error::File { source, .. }) if source.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Whatever decides a file's bytes besides its stays and their pages.
    fn salt(&self) -> Vec<u8> {
        let version = env!("CARGO_PKG_VERSION");
        let encoder = parquet::encoder();
        format!("vcq {version} schema {SCHEMA_VERSION} {} {}, {encoder}", self.zone, self.naive_offset).into()
    }

    /// A damaged file would have the name of the whole one, and a visible name never gets other bytes.
    fn salt_to_replace(&self, journal: &Journal, date: NaiveDate) -> Result<Vec<u8>, Error> {
        let mut salt = self.salt();
        for file in journal.files_on(date)?.iter().filter(|file| file.published) {
            if self.is_damaged(file)? {
                salt.extend(format!(" mends {}", file.id).bytes());
            }
        }
        Ok(salt)
    }

    fn build_and_publish(
        &self,
        journal: &mut Journal,
        folder: &publisher::Publisher,
        file: FileRow,
        batch: &mut Batch,
    ) -> Result<Publication, Error> {
        let name = name_of(&file)?;
        let mut staged = folder.stage(name)?;
        let (unreadable, unknown) = self.build(journal, &file, &mut staged, batch)?;
        let sealed = staged.seal()?;
        compare(journal, &file, sealed.reopen()?)?;
        let sha256 = sha256(&file, sealed.reopen()?)?;
        let bytes = if file.replaces {
            folder.replace(file.date, vec![sealed])?.iter().map(|part| part.bytes).sum()
        } else {
            folder.publish(sealed, file.date)?.bytes
        };
        journal.published(&file, bytes, sha256)?;
        Ok(Publication { name: name.to_string(), file, bytes, unreadable, unknown })
    }

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

/// Makes sure that no landed page of the date has been dropped.
///
/// # Errors
///
/// [`Error::Pruned`] if one has.
pub fn refuse_pruned(journal: &Journal, date: NaiveDate) -> Result<(), Error> {
    if journal.is_pruned(date)? { Err(Error::Pruned(date)) } else { Ok(()) }
}

fn name_of(file: &FileRow) -> Result<FileName, Error> {
    let digits = u64::from_str_radix(&file.name, 16);
    digits.map(FileName::new).map_err(|_| Error::Bug(format!("the journal names a file `{}`", file.name)))
}

/// Opens a file that is visible.
pub fn open(dataset: &Dataset, file: &FileRow) -> Result<File, Error> {
    let path = dataset.path_of(file.date, name_of(file)?);
    File::open(&path).map_err(|source| Error::File { operation: "open", path: path.display().to_string(), source })
}

/// SHA-256 of a file's bytes, which tells `vcq verify` that they are still those that were published.
pub fn sha256(file: &FileRow, mut written: File) -> Result<[u8; 32], Error> {
    let mut hash = Sha256::new();
    let copied = io::copy(&mut written, &mut hash);
    copied.map_err(|source| Error::File { operation: "read", path: file.name.clone(), source })?;
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
