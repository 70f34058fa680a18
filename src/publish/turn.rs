//! What the process whose turn it is does to a dataset: settle what was begun, publish what is done, replace what is there.

use std::{
    collections::BTreeSet,
    panic::resume_unwind,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
};

use chrono::NaiveDate;

use super::{
    Publication, Publisher,
    build::build,
    file::{changed, compare, has_left_nothing, name_of, open, refuse_pruned, sha256},
    look::{Depth, Look, look},
    table::{Settled, Shelf},
};
use crate::{
    dataset::Dataset,
    error::Error,
    journal::{FileRow, Intent, Journal, Lock, StayId},
    parquet::StayRuns,
    read::{
        batch::{Batch, Unreadable},
        decode::Unknown,
    },
    start::Stop,
    store::{FileName, PartFile, Store, Trust, disk::DiskError, lock::StoreLock, table::Claim},
};

/// The right to change the dataset, held by one process at a time: whoever has it finds no intent but those of processes
/// that have ended, and of its own that failed.
#[derive(Debug)]
pub struct Publishing {
    settings: Publisher,
    lock: StoreLock,
    _turn: Lock,
}

impl Publishing {
    /// Of the process whose `turn` it is.
    pub(super) fn new(settings: Publisher, turn: Lock, journal: &Journal) -> Result<Self, Error> {
        let lock = settings.store.lock()?;
        let publishing = Self { settings, lock, _turn: turn };
        publishing.shelf().prepare(journal)?;
        publishing.prepare_listed(journal)?;
        Ok(publishing)
    }

    /// The dataset of samples, to be changed.
    fn shelf(&self) -> Shelf<'_> {
        let Publisher { store, stores, .. } = &self.settings;
        Shelf { dataset: Dataset::Quality, store, lock: &self.lock, stores }
    }

    /// Enters a file that was taken into the journal into the table, if the dataset is one.
    pub fn take_in(&self, journal: &mut Journal, part: PartFile) -> Result<(), Error> {
        let named =
            journal.files_on(part.date)?.into_iter().find(|file| name_of(file).is_ok_and(|name| name == part.name));
        let Some(file) = named.filter(|_| self.settings.store.retention().is_some()) else { return Ok(()) };
        self.shelf().take_in(journal, part, file.id)
    }

    /// How files are built, and where they become visible.
    pub(super) fn settings(&self) -> &Publisher {
        &self.settings
    }

    /// An empty batch, as files are built with.
    pub fn batch(&self) -> Batch {
        Batch::new(self.settings.naive_offset)
    }

    /// Makes sure that what is visible of a date could be replaced.
    pub fn check_replaceable(&self, date: NaiveDate) -> Result<(), Error> {
        Ok(self.lock.check_exchangeable(date)?)
    }

    /// What is visible of a date, by names and sizes.
    pub fn look(&self, journal: &Journal, date: NaiveDate) -> Result<Look, Error> {
        let store = &self.settings.store;
        look(journal, store, date, store.list(date)?, Depth::Names)
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
        let Some(file) = journal.intend(date, Intent::Append, &self.settings.salt())? else { return Ok(None) };
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
        let workers = self.settings.workers.min(dates.len());
        let journals = (0..workers).map(|_| journal.another()).collect::<Result<Vec<_>, _>>()?;
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
        let mut salt = self.settings.salt();
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
        let found = self.settings.store.sha256(file.date, name_of(file)?, Trust::Kept)?;
        Ok(found.is_some_and(|found| file.sha256 != Some(found)))
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
        let visible = self.settings.store.confirm(file.date, name_of(file)?)?;
        let known = published_names(journal, file.date)?;
        let claim = Claim { number: file.id, replaces: file.replaces, is_first: false };
        let Some(part) = visible.filter(|_| !is_another) else {
            if !is_another && self.shelf().is_rewritten(journal, file.date, claim, &known)? {
                return Ok(journal.published(file)?);
            }
            journal.withdraw(file)?;
            return if file.replaces { relearn(journal, &self.settings.store, file.date) } else { Ok(()) };
        };
        let found = self.settings.store.sha256(file.date, part.name, Trust::Kept)?.ok_or_else(|| changed(file))?;
        match file.sha256 {
            Some(built) => {
                match self.shelf().settle(journal, (part, built == found), claim, &known)? {
                    Settled::Published => journal.published(file)?,
                    Settled::Superseded => journal.withdraw(file)?,
                }
                if built == found { Ok(()) } else { Err(changed(file)) }
            }
            // Of an older version, which did not record what it had built.
            None => match compare(journal, file, open(&self.settings.store, file)?) {
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
                if has_left_nothing(&error, &self.settings.store, (file.date, name_of(&file)?)) {
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
        let mut staged = self.lock.stage(name_of(file)?)?;
        let (unreadable, unknown) = build(&self.settings, journal, file, &mut staged, batch)?;
        let sealed = staged.seal()?;
        compare(journal, file, sealed.reopen()?)?;
        journal.built(file, sealed.bytes(), sha256(&file.name, sealed.reopen()?)?)?;
        let known = published_names(journal, file.date)?;
        let claim = Claim { number: file.id, replaces: file.replaces, is_first: true };
        let part = self.shelf().publish(journal, file.date, sealed, claim, &known)?;
        journal.published(file)?;
        Ok((part.bytes, unreadable, unknown))
    }
}

/// The names of the date's published files.
fn published_names(journal: &Journal, date: NaiveDate) -> Result<BTreeSet<FileName>, Error> {
    journal.files_on(date)?.iter().filter(|file| file.published).map(name_of).collect()
}

/// Learns from the published files of a date which stays are in each, where the journal has forgotten it: an older version
/// did while it replaced them.
fn relearn(journal: &mut Journal, dataset: &Store, date: NaiveDate) -> Result<(), Error> {
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
