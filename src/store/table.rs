//! The table of a dataset: a Delta log beside its date folders, which says which of its files are read. A date is added or
//! replaced in one step, by a commit; the files that were replaced stay until nobody needs them any more.
//!
//! The log is written by the Delta kernel, which nothing else names. Each commit begins with the question whether there is
//! anything to do, asked of the table as it is: whoever was cut, or heard no answer, asks again and does nothing twice.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use arrow::datatypes::{Schema, SchemaRef};
use chrono::NaiveDate;
use delta_kernel::{
    KernelError, Snapshot, SnapshotRef,
    committer::FileSystemCommitter,
    engine::{arrow_conversion::TryFromArrow as _, arrow_data::ArrowEngineData},
    schema::{DataType, StructField, StructType},
    transaction::{
        CommitResult, UpdateTableOperation, UpdateTableTransactionBuilder, create_table::create_table,
        data_layout::DataLayout,
    },
};

pub(super) use self::log::LOG_FOLDER;
pub use self::statistics::FileStatistics;
use self::{
    active::{ActiveRow, active_rows, without_others},
    engine::{LogEngine, ROOT},
    error::told,
    log::Log,
};
use super::{
    At, FileName,
    disk::{Disk, DiskError},
    folder_name,
    table_error::{COMMITS_MAX, TableError},
};

mod active;
mod engine;
mod error;
mod log;
mod statistics;

/// The column that is in no file: the partition.
const PARTITION_COLUMN: &str = "date";

/// Commits from one checkpoint to the next: a reader opens one and so many commits at most.
const COMMITS_PER_CHECKPOINT: u64 = 10;

/// Who writes, as the log says it.
const ENGINE: &str = concat!("vcq/", env!("CARGO_PKG_VERSION"));

/// The table of a dataset.
#[derive(Debug)]
pub(super) struct Table {
    engine: LogEngine,
    /// The columns of its files.
    columns: SchemaRef,
    /// How long files are kept that are no longer read.
    retention: Duration,
    /// What the log said last.
    seen: Mutex<Option<SnapshotRef>>,
}

/// What is a table's at one moment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TableState {
    /// The table's id, which it was given when it was made.
    pub id: String,
    /// Its version: how many commits it has had, less one.
    pub version: u64,
    dates: BTreeMap<NaiveDate, Active>,
}

/// The files of one date that are a table's, by their names in the date's folder, or by their whole paths where they are not in
/// it.
pub type Active = BTreeMap<String, ActiveFile>;

/// What the log says of a file that is a table's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ActiveFile {
    /// Its path under the dataset, or, where it is elsewhere, its address.
    pub path: String,
    /// Its size, in bytes.
    pub bytes: u64,
    /// Its rows, less those that the log says are deleted; none: the log does not tell.
    pub rows: Option<u64>,
}

impl TableState {
    /// The files of a date.
    pub fn on(&self, date: NaiveDate) -> Active {
        self.dates.get(&date).cloned().unwrap_or_default()
    }

    /// Whether a file of a date is its.
    pub fn has(&self, date: NaiveDate, name: &str) -> bool {
        self.dates.get(&date).is_some_and(|active| active.contains_key(name))
    }

    /// The dates that have files, in order.
    pub fn dates(&self) -> impl Iterator<Item = NaiveDate> {
        self.dates.keys().copied()
    }

    /// How many files it has.
    pub fn file_count(&self) -> usize {
        self.dates.values().map(Active::len).sum()
    }
}

/// A file that is to be a table's.
#[derive(Debug)]
pub struct Entry {
    /// Its partition.
    pub date: NaiveDate,
    /// Its name.
    pub name: FileName,
    /// Its size.
    pub bytes: u64,
    /// What is in it.
    pub statistics: FileStatistics,
    /// When it was made visible, in unix milliseconds, as far as readers are told.
    pub modified_ms: i64,
}

/// On whose behalf a file is entered, and what for.
#[derive(Clone, Copy, Debug)]
pub struct Claim {
    /// The number of the intent: no other of this dataset has it.
    pub number: i64,
    /// Whether it takes the place of all other files of its date, whoever has put them.
    pub replaces: bool,
    /// Whether nobody can have entered it before.
    pub is_first: bool,
}

/// What became of an entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Entered {
    /// It is the table's, as it was to be.
    Here {
        /// What it has taken the place of just now, by the names in [`Active`].
        removed: BTreeSet<String>,
    },
    /// It was, and another program has put its rows into a file of its own since.
    Rewritten,
    /// A later intent of another journal has been entered since: this one is of a journal from before.
    Superseded,
}

impl Table {
    /// The table of the dataset at this place, whose files have these columns.
    pub(super) fn new(
        (at, staging, disk): (At, std::path::PathBuf, Arc<dyn Disk>),
        columns: SchemaRef,
        retention: Duration,
    ) -> Self {
        let engine = LogEngine::new(Log::new(at, staging, disk));
        Self { engine, columns, retention, seen: Mutex::default() }
    }

    /// How long files are kept that are no longer read.
    pub(super) fn retention(&self) -> Duration {
        self.retention
    }

    /// Which files are its, now; `None`, if there is no log.
    pub(super) fn state(&self) -> Result<Option<TableState>, DiskError> {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(snapshot) = self.look(seen.take())? else { return Ok(None) };
        let rows = self.active(&snapshot)?;
        let id = snapshot.table_configuration().metadata().id().to_owned();
        let version = snapshot.version();
        *seen = Some(snapshot);
        let mut state = TableState { id, version, dates: BTreeMap::new() };
        for ActiveRow { date, path, bytes, rows, .. } in rows.into_iter().flat_map(|(_, rows)| rows) {
            let date = date.ok_or_else(|| self.failed(TableError::OtherColumns(format!("`{path}` has no date"))))?;
            let name = name_in_folder(date, path.clone());
            state.dates.entry(date).or_default().insert(name, ActiveFile { path, bytes, rows });
        }
        Ok(Some(state))
    }

    /// Makes the table, with these files.
    ///
    /// # Errors
    ///
    /// [`TableError::Conflicts`] if there is one by now.
    pub(super) fn create(&self, entries: &[Entry]) -> Result<(), DiskError> {
        let transaction = create_table(ROOT.as_str(), Arc::new(self.schema()?), ENGINE, true)
            .with_data_layout(DataLayout::partitioned([PARTITION_COLUMN]))
            .with_table_properties([
                ("delta.dataSkippingStatsColumns", statistics::columns_of(&self.columns).join(",")),
                ("delta.deletedFileRetentionDuration", format!("interval {} seconds", self.retention.as_secs())),
            ])
            .build(&self.engine, Box::new(FileSystemCommitter::new()));
        let mut transaction = transaction.map_err(|error| self.told(error))?;
        if !entries.is_empty() {
            transaction.add_files(self.added(entries)?);
        }
        match transaction.commit(&self.engine).map_err(|error| self.told(error))? {
            CommitResult::Committed(_) => Ok(()),
            CommitResult::Conflicted(_) => Err(self.failed(TableError::Conflicts)),
            CommitResult::Retryable(retryable) => Err(self.told(retryable.error)),
        }
    }

    /// Makes sure that the table has the dataset's columns; one that it lacks it is given.
    ///
    /// # Errors
    ///
    /// [`TableError::OtherColumns`] if a column is of another kind, or the table is not parted by date.
    pub(super) fn check_columns(&self) -> Result<(), DiskError> {
        for _ in 0..COMMITS_MAX {
            let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
            let Some(snapshot) = self.look(seen.take())? else { return Err(self.failed(TableError::Missing)) };
            *seen = Some(Arc::clone(&snapshot));
            let lacking = self.lacking(&snapshot)?;
            if lacking.is_empty() {
                return Ok(());
            }
            let altered = snapshot.update_table(UpdateTableOperation::AlterTable, ENGINE, false);
            let altered = lacking.into_iter().fold(altered, UpdateTableTransactionBuilder::add_column);
            let transaction = altered.build(&self.engine, Box::new(FileSystemCommitter::new()));
            let committed = transaction.and_then(|transaction| transaction.commit(&self.engine));
            match committed.map_err(|error| self.told(error))? {
                CommitResult::Committed(_) => return Ok(()),
                CommitResult::Conflicted(_) => {}
                CommitResult::Retryable(retryable) => return Err(self.told(retryable.error)),
            }
        }
        Err(self.failed(TableError::Conflicts))
    }

    /// Makes sure that the table can be gone on with, and changes nothing. Returns the dataset's columns that it lacks, which
    /// [`Self::check_columns`] would give it.
    ///
    /// # Errors
    ///
    /// Those of [`Self::check_columns`]; [`TableError::Newer`] if the log takes no commits of this version.
    pub(super) fn lacking_columns(&self) -> Result<Vec<String>, DiskError> {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(snapshot) = self.look(seen.take())? else { return Err(self.failed(TableError::Missing)) };
        *seen = Some(Arc::clone(&snapshot));
        let lacking = self.lacking(&snapshot)?;
        // Whether it may be written to, the kernel says when a commit begins; nothing is written before that ends.
        let begun = snapshot.update_table(UpdateTableOperation::Write, ENGINE, true);
        begun.build(&self.engine, Box::new(FileSystemCommitter::new())).map_err(|error| self.told(error))?;
        Ok(lacking.iter().map(|field| field.name().clone()).collect())
    }

    /// The dataset's columns that the table has not.
    fn lacking(&self, snapshot: &Snapshot) -> Result<Vec<StructField>, DiskError> {
        let other = |what: String| self.failed(TableError::OtherColumns(what));
        let partitions = snapshot.table_configuration().metadata().partition_columns();
        if partitions != [PARTITION_COLUMN] {
            return Err(other(format!("it is parted by {partitions:?}, not by `{PARTITION_COLUMN}`")));
        }
        let has = snapshot.schema();
        let mut lacking = Vec::new();
        for field in self.schema()?.fields() {
            match has.field(field.name()) {
                Some(known) if known.data_type() == field.data_type() => {}
                Some(known) => {
                    let (name, is, expected) = (field.name(), known.data_type(), field.data_type());
                    return Err(other(format!("its column `{name}` is {is}, not {expected}")));
                }
                None if field.is_nullable() => lacking.push(field.clone()),
                None => return Err(other(format!("it has no column `{}`", field.name()))),
            }
        }
        Ok(lacking)
    }

    /// Enters a file that is there, in one step with the removal of what it replaces; nothing is done where that is so already.
    ///
    /// # Errors
    ///
    /// [`TableError::Conflicts`] if other programs were faster each time. Whether the file was entered is not known where the log
    /// could not be written: whoever asks again is told.
    pub(super) fn enter(&self, entry: &Entry, claim: Claim) -> Result<Entered, DiskError> {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let mut before = None;
        for tried in 0..COMMITS_MAX {
            let Some(snapshot) = self.look(seen.take())? else { return Err(self.failed(TableError::Missing)) };
            let change = Change::new(entry, claim, self.active(&snapshot)?);
            if change.is_none() {
                *seen = Some(snapshot);
                return Ok(Entered::Here { removed: BTreeSet::new() });
            }
            if change.adds {
                let version = snapshot.get_app_id_version(&application_of(entry.date), &self.engine);
                let version = version.map_err(|error| self.told(error))?;
                // Of a first try nothing can have been entered; of a further one what has come since.
                let is_ours = if tried == 0 { !claim.is_first } else { version != before };
                before = if tried == 0 { version } else { before };
                let by_others = change.has_others_files(entry.date);
                if let Some(entered) =
                    version.filter(|_| is_ours).and_then(|version| settled(version, claim, by_others))
                {
                    *seen = Some(snapshot);
                    return Ok(entered);
                }
            }
            let removed = change.removed.clone();
            match self.commit(&snapshot, entry, claim, change)? {
                CommitResult::Committed(committed) => {
                    let after = committed.post_commit_snapshot().cloned();
                    *seen = after.map(|after| self.checkpointed(after));
                    return Ok(Entered::Here { removed });
                }
                CommitResult::Conflicted(_) => *seen = Some(snapshot),
                CommitResult::Retryable(retryable) => return Err(self.told(retryable.error)),
            }
        }
        Err(self.failed(TableError::Conflicts))
    }

    /// The version that was seen last, which no power cut takes away any more.
    pub(super) fn seen_version(&self) -> Result<Option<u64>, DiskError> {
        let version =
            self.seen.lock().unwrap_or_else(PoisonError::into_inner).as_ref().map(|snapshot| snapshot.version());
        self.engine.log().sync()?;
        Ok(version)
    }

    /// Whether an intent of a date was entered, and another program has put its rows into files of its own since.
    pub(super) fn is_rewritten(&self, date: NaiveDate, number: i64) -> Result<bool, DiskError> {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(snapshot) = self.look(seen.take())? else { return Err(self.failed(TableError::Missing)) };
        let version = snapshot.get_app_id_version(&application_of(date), &self.engine);
        let is_last = version.map_err(|error| self.told(error))? == Some(number);
        let is_rewritten = is_last && has_others_files(&self.active(&snapshot)?, date);
        *seen = Some(snapshot);
        Ok(is_rewritten)
    }

    /// Tries to commit a change of one date upon what was seen.
    fn commit(
        &self,
        snapshot: &SnapshotRef,
        entry: &Entry,
        claim: Claim,
        change: Change,
    ) -> Result<CommitResult, DiskError> {
        let replaces = || UpdateTableOperation::Custom("REPLACE DATE".into());
        let operation = if claim.replaces { replaces() } else { UpdateTableOperation::Write };
        let transaction = Arc::clone(snapshot)
            .update_table(operation, ENGINE, true)
            .with_transaction_id(application_of(entry.date), claim.number)
            .build(&self.engine, Box::new(FileSystemCommitter::new()));
        let mut transaction = transaction.map_err(|error| self.told(error))?;
        if change.adds {
            transaction.add_files(self.added(std::slice::from_ref(entry))?);
        }
        for (batch, rows) in change.rows {
            if let Some(removal) = without_others(batch, &rows, |row| is_gone(row, entry, claim)) {
                transaction.remove_files(removal);
            }
        }
        transaction.commit(&self.engine).map_err(|error| self.told(error))
    }

    /// Takes the log away: there is no table any more.
    pub(super) fn remove_log(&self) -> Result<(), DiskError> {
        *self.seen.lock().unwrap_or_else(PoisonError::into_inner) = None;
        self.engine.forget();
        self.engine.log().remove()
    }

    /// The latest snapshot; `None`, if there is no log.
    fn look(&self, seen: Option<SnapshotRef>) -> Result<Option<SnapshotRef>, DiskError> {
        // One that was seen says nothing of a log that is no more, or is another's by now.
        let built = match seen {
            Some(seen) => Snapshot::builder_from(seen).build(&self.engine),
            None if self.engine.log().list()?.is_empty() => return Ok(None),
            None => Snapshot::builder_for(ROOT.as_str()).build(&self.engine),
        };
        built.map(Some).map_err(|error| self.told(error))
    }

    /// Writes a checkpoint, if it is due. One that cannot be written is no harm: the commits say the same.
    fn checkpointed(&self, snapshot: SnapshotRef) -> SnapshotRef {
        let since = snapshot.version() - snapshot.log_segment().checkpoint_version.unwrap_or_default();
        if since < COMMITS_PER_CHECKPOINT {
            return snapshot;
        }
        match snapshot.checkpoint(&self.engine, None) {
            Ok((_, after)) => after,
            Err(error) => {
                let log = self.engine.log().path();
                tracing::warn!(log = %log.display(), "a checkpoint of the table was not written: {error}");
                snapshot
            }
        }
    }

    /// The rows of the log that say which files are the table's, batch by batch.
    fn active(&self, snapshot: &SnapshotRef) -> Result<Vec<(ArrowEngineData, Vec<ActiveRow>)>, DiskError> {
        active_rows(snapshot, &self.engine).map_err(|error| self.told(error))
    }

    /// The dataset's columns, then the partition.
    fn schema(&self) -> Result<StructType, DiskError> {
        let columns = Schema::new(self.columns.fields().clone());
        let schema = StructType::try_from_arrow(&columns).map_err(KernelError::from).and_then(|columns| {
            let partition = StructField::nullable(PARTITION_COLUMN, DataType::DATE);
            StructType::try_new(columns.fields().cloned().chain([partition]))
        });
        schema.map_err(|error| self.told(error))
    }

    fn added(&self, entries: &[Entry]) -> Result<Box<dyn delta_kernel::EngineData>, DiskError> {
        let rows = statistics::add_rows(entries, &self.columns).map_err(|error| self.told(error.into()))?;
        Ok(Box::new(ArrowEngineData::new(rows)))
    }

    fn told(&self, error: KernelError) -> DiskError {
        told(self.engine.log(), error)
    }

    fn failed(&self, source: TableError) -> DiskError {
        DiskError::Table { path: self.engine.log().path(), source }
    }
}

/// What an entry changes of a table.
struct Change {
    /// Whether its file is not the table's yet.
    adds: bool,
    /// What it takes the place of, by the names in [`Active`].
    removed: BTreeSet<String>,
    /// What the table has.
    rows: Vec<(ArrowEngineData, Vec<ActiveRow>)>,
}

impl Change {
    fn new(entry: &Entry, claim: Claim, rows: Vec<(ArrowEngineData, Vec<ActiveRow>)>) -> Self {
        let path = path_of(entry);
        let all = || rows.iter().flat_map(|(_, rows)| rows);
        let adds = all().all(|row| row.path != path);
        let gone = all().filter(|row| is_gone(row, entry, claim));
        let removed = gone.map(|row| name_in_folder(entry.date, row.path.clone())).collect();
        Self { adds, removed, rows }
    }

    /// Whether all is as it is to be.
    fn is_none(&self) -> bool {
        !self.adds && self.removed.is_empty()
    }

    fn has_others_files(&self, date: NaiveDate) -> bool {
        has_others_files(&self.rows, date)
    }
}

/// Whether the table has files of a date that another program has put.
fn has_others_files(rows: &[(ArrowEngineData, Vec<ActiveRow>)], date: NaiveDate) -> bool {
    let is_others = |row: &ActiveRow| FileName::parse(&name_in_folder(date, row.path.clone())).is_none();
    rows.iter().flat_map(|(_, rows)| rows).any(|row| row.date == Some(date) && is_others(row))
}

/// Whether a file of the table's is one that the entry takes the place of. Its own is not: one commit never removes what it adds.
fn is_gone(row: &ActiveRow, entry: &Entry, claim: Claim) -> bool {
    claim.replaces && row.date == Some(entry.date) && row.path != path_of(entry)
}

/// The application whose versions are the intents of a date. One for all dates would lose the second of two that were begun in
/// one order and ended in the other.
fn application_of(date: NaiveDate) -> String {
    format!("vcq/{date}")
}

/// What it means that the table has an intent of this version of the date, and not the file of the one that is claimed.
/// `by_others`: it has files of other programs.
fn settled(version: i64, claim: Claim, by_others: bool) -> Option<Entered> {
    match version.cmp(&claim.number) {
        std::cmp::Ordering::Less => None,
        // Without another program's files it was another journal's intent that had this number.
        std::cmp::Ordering::Equal => by_others.then_some(Entered::Rewritten),
        // In a retry the version is above ours only by another journal's.
        std::cmp::Ordering::Greater => (!claim.is_first).then_some(Entered::Superseded),
    }
}

/// A file's path as the log has it.
fn path_of(entry: &Entry) -> String {
    format!("{}/{}", folder_name(entry.date), entry.name)
}

fn name_in_folder(date: NaiveDate, path: String) -> String {
    let folder = format!("{}/", folder_name(date));
    path.strip_prefix(&folder).filter(|name| !name.contains('/')).map(str::to_owned).unwrap_or(path)
}
