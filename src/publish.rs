//! Phase 2: landed pages → samples → columns → Parquet → published file. A pure function of the landed pages of a date.
//!
//! The intent is recorded first (which stays, which name), then the file is built, synced, opened again and compared with
//! the journal, then it is recorded what was built, then it is made visible, then it is recorded as published. A date has at
//! most one intent, and nothing else is published on the date before it is settled: a file that is there is recorded, and
//! an intent whose file is not there is withdrawn. Until then the journal knows each stay where it was before, so what is
//! withdrawn has never been.

mod active;
mod build;
mod explained;
mod fault;
pub mod file;
pub mod listed;
pub mod look;
mod table;
mod turn;

use std::{
    num::NonZero,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    thread,
};

use chrono::FixedOffset;
use chrono_tz::Tz;

use self::{explained::check_explained, table::Shelf};
pub use self::{
    explained::{FoundTable, find_table},
    table::Anew,
    turn::Publishing,
};
use crate::{
    config::{Config, Discover},
    dataset::Dataset,
    dates::Dates,
    error::Error,
    journal::{FileRow, Journal, Lock},
    parquet::{self, SCHEMA_VERSION},
    read::{batch::Unreadable, decode::Unknown},
    store::{Store, Stores},
};

/// Dates built at the same time: each needs memory for a row group under construction.
const WORKERS_MAX: usize = 2;

/// How part files are built, and where they become visible.
#[derive(Clone, Debug)]
pub struct Publisher {
    store: Store,
    /// Opens those beside it.
    stores: Stores,
    zone: Tz,
    naive_offset: FixedOffset,
    /// The datasets beside it.
    discover: Discover,
    /// How many dates are built at the same time.
    workers: usize,
    /// What a bucket has not answered.
    due: Arc<Mutex<Option<Due>>>,
}

/// What has to be compared with the journal before anything is published.
#[derive(Clone, Copy, Debug)]
struct Due {
    /// The dates that are asked for again.
    refreshed: Option<Dates>,
    /// Whether the datasets of discovery are to be compared too.
    with_lists: bool,
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
    /// A publisher into `store`, and beside it into what `stores` opens, by the configuration's zone and offset.
    pub fn new(store: Store, stores: Stores, config: &Config) -> Self {
        let workers = thread::available_parallelism().map_or(1, NonZero::get).min(WORKERS_MAX);
        Self {
            store,
            stores,
            zone: config.timezone,
            naive_offset: config.api.naive_utc_offset,
            discover: config.discover.clone(),
            workers,
            due: Arc::default(),
        }
    }

    /// A publisher of a configuration's datasets, opened to be changed.
    pub fn of(stores: &Stores, config: &Config) -> Result<Self, Error> {
        Ok(Self::new(stores.open(&config.output)?, stores.clone(), config))
    }

    /// Where they become visible.
    pub fn store(&self) -> &Store {
        &self.store
    }

    /// Makes sure, before a request is spent, that journal and datasets are of each other: that of samples, and `with_lists` those of
    /// discovery; see [`look::check`].
    ///
    /// A bucket that does not answer is the error that is returned, and no failure: what is there is looked at before anything is
    /// published, by [`Publisher::make_up`].
    ///
    /// # Errors
    ///
    /// [`Error::Mismatch`] with what is missing, changed or not known.
    pub fn check(&self, journal: &Journal, refreshed: Option<Dates>, with_lists: bool) -> Result<Option<Error>, Error> {
        let looked = look::check(journal, &self.store, refreshed)
            .and_then(|()| if with_lists { self.check_listed(journal) } else { Ok(()) });
        match looked {
            Err(error) if error.is_away() => {
                *self.due() = Some(Due { refreshed, with_lists });
                Ok(Some(error))
            }
            looked => looked.map(|()| None),
        }
    }

    /// The same, and nothing is created: whether a run would begin.
    pub fn compare(&self, journal: &Journal, with_lists: bool) -> Result<(), Error> {
        look::check(journal, &self.store, None)?;
        if with_lists { self.compare_listed(journal, |place| self.stores.existing(place)) } else { Ok(()) }
    }

    /// Looks at what did not answer when it was to be looked at.
    ///
    /// # Errors
    ///
    /// As [`Publisher::check`], and if it still does not answer.
    pub fn make_up(&self, journal: &Journal) -> Result<(), Error> {
        let due = *self.due();
        let Some(Due { refreshed, with_lists }) = due else { return Ok(()) };
        self.check(journal, refreshed, with_lists)?.map_or(Ok(()), Err)?;
        *self.due() = None;
        Ok(())
    }

    fn due(&self) -> MutexGuard<'_, Option<Due>> {
        self.due.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The right to change the dataset; waits for a process that is publishing or rebuilding.
    pub fn begin(&self, journal: &Journal) -> Result<Publishing, Error> {
        self.with_turn(journal.lock_publishing()?, journal)
    }

    /// The same, or `None` while another process has it.
    pub fn try_begin(&self, journal: &Journal) -> Result<Option<Publishing>, Error> {
        journal.try_lock_publishing()?.map(|turn| self.with_turn(turn, journal)).transpose()
    }

    fn with_turn(&self, turn: Lock, journal: &Journal) -> Result<Publishing, Error> {
        Publishing::new(self.clone(), turn, journal)
    }

    /// Makes the tables of those datasets anew whose log cannot be gone on with, from the files that the journal has published and
    /// that are there, and takes away what log there is; tells what became of each dataset. One that fails holds up no other.
    ///
    /// # Errors
    ///
    /// [`Error::Usage`] if datasets are to be files.
    pub fn make_tables_anew(
        &self,
        journal: &Journal,
        mut told: impl FnMut(Dataset, Result<Anew, Error>),
    ) -> Result<(), Error> {
        let _turn = journal.lock_publishing()?;
        if self.store.retention().is_none() {
            return Err(Error::Usage("--new-table: the configuration says `table = \"files\"`".into()));
        }
        for dataset in Dataset::ALL {
            if let Some(made) = self.make_table_anew(journal, dataset).transpose() {
                told(dataset, made);
            }
        }
        Ok(())
    }

    /// The same of one dataset; `None` of one that is not published.
    fn make_table_anew(&self, journal: &Journal, dataset: Dataset) -> Result<Option<Anew>, Error> {
        let store = match (dataset, self.discover.place(dataset)) {
            (Dataset::Quality, _) => self.store.clone(),
            (_, Some(place)) => self.stores.open(place)?,
            (_, None) => return Ok(None),
        };
        let lock = store.lock()?;
        let of_dataset = Shelf { dataset, store: &store, lock: &lock, stores: &self.stores };
        of_dataset.make_anew(journal, || check_explained(Some(journal), &store, dataset)).map(Some)
    }

    /// Whatever decides a file's bytes besides its stays and their pages.
    fn salt(&self) -> Vec<u8> {
        let version = env!("CARGO_PKG_VERSION");
        let encoder = parquet::encoder();
        format!("vcq {version} schema {SCHEMA_VERSION} {} {}, {encoder}", self.zone, self.naive_offset).into()
    }
}

#[cfg(test)]
mod tests;
