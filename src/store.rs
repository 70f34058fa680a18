//! Published files: `date=YYYY-MM-DD/part-<16 hex digits>.parquet` under a folder or a prefix of a bucket, and nothing else there
//! but the log of the table, where the dataset is one.
//!
//! A file is built in a staging folder of this machine, sealed, and becomes visible in one step, whole and durable. A visible name
//! never gets other bytes: DuckDB and Spark return mixed or missing rows, and no error, when a file is renamed over another
//! that they are reading. All IO of the dataset is here; what the files hold is not known here, nor which files there should
//! be: that is the journal's.

use std::{
    collections::BTreeMap,
    ffi::{OsStr, OsString},
    fmt,
    fs::{self, File},
    io::{self, Seek},
    ops::Range,
    path::{self, Component, Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use arrow::datatypes::SchemaRef;
use chrono::{DateTime, NaiveDate, Utc};
use rustix::fs::Access;
use sha2::{Digest, Sha256};

use self::{
    bucket::Buckets,
    disk::{Disk, DiskError, check_one_file_system, create_folder, create_folders, found, open_folder},
    folder::Folder,
    lock::StoreLock,
    objects::{Objects, Tried},
    table::{Active, LOG_FOLDER, Table, TableState},
    table_error::TableError,
};
use crate::{
    config::{Config, Form, ObjectStores},
    dataset::Dataset,
    parquet::columns,
    place::Place,
};

pub mod bucket;
pub mod disk;
mod folder;
pub mod lock;
mod objects;
pub mod s3;
pub mod staging;
pub mod table;
pub mod table_error;

/// Permissions of the folders that readers see, less the umask.
const OPEN_MODE: u32 = 0o777;
/// The folder, in that of the state, of what is to go into buckets.
const STAGING: &str = "staging";
/// Permissions of the staging folder: what is not sealed yet is nobody else's business.
const PRIVATE_MODE: u32 = 0o700;

/// The name of a published file: `part-<16 hex digits>.parquet`, in lower case.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FileName(u64);

impl FileName {
    /// The name with these sixteen digits.
    pub const fn new(digits: u64) -> Self {
        Self(digits)
    }

    /// The sixteen digits.
    pub fn digits(self) -> u64 {
        self.0
    }

    /// Reads a name exactly as [`fmt::Display`] writes it; anything else is `None`.
    pub fn parse(name: &str) -> Option<Self> {
        let digits = name.strip_prefix("part-")?.strip_suffix(".parquet")?;
        let parsed = Self(u64::from_str_radix(digits, 16).ok()?);
        (parsed.to_string() == name).then_some(parsed)
    }
}

impl fmt::Display for FileName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "part-{:016x}.parquet", self.0)
    }
}

/// A published file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct PartFile {
    /// The partition it belongs to.
    pub date: NaiveDate,
    /// Its name, unique in the dataset.
    pub name: FileName,
    /// Its size in bytes.
    pub bytes: u64,
}

/// What stands in the dataset's folder, in order.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Partitions {
    /// The partitions.
    pub dates: Vec<NaiveDate>,
    /// Everything that is no partition; readers may take it for data.
    pub strangers: Vec<PathBuf>,
}

/// What stands in one partition, in order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Listing {
    /// The published files, by name.
    pub files: Vec<PartFile>,
    /// Everything that is no published file; readers may take it for data.
    pub strangers: Vec<PathBuf>,
    /// The sizes of those of them that are files, by name.
    pub sizes: BTreeMap<String, u64>,
    /// What the table has of it; none: the dataset is no table.
    pub active: Option<Active>,
}

/// A dataset, and the staging folder in which its files are built.
#[derive(Clone, Debug)]
pub struct Store {
    at: At,
    staging: PathBuf,
    disk: Arc<dyn Disk>,
    /// Its table, if it is one.
    table: Option<Arc<Table>>,
    /// What the table was at one moment, if listings are answered from that.
    seen: Option<Arc<TableState>>,
}

/// A visible file, of which some bytes are read: of one in a bucket these alone are fetched.
#[derive(Debug)]
pub struct Parts {
    part: PartFile,
    file: File,
    /// Where it is, if that is not here.
    away: Option<Objects>,
}

impl Parts {
    /// Its size, in bytes.
    pub fn bytes(&self) -> u64 {
        self.part.bytes
    }

    /// Brings these bytes here, unless all are.
    pub fn bring(&self, range: Range<u64>) -> Result<(), DiskError> {
        self.away.as_ref().map_or(Ok(()), |objects| objects.bring(&self.part, range, &self.file))
    }

    /// The file. What was not brought of it reads as zeros.
    pub fn file(&self) -> &File {
        &self.file
    }
}

/// Where a dataset lies.
#[derive(Clone, Debug)]
enum At {
    Folder(Folder),
    Bucket(Objects),
}

/// How far the digest that an object store keeps of a file is trusted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trust {
    /// It is taken for that of the bytes. Of a file in a folder nothing is kept, so its bytes are read.
    Kept,
    /// Every byte is read.
    Bytes,
}

/// Opens datasets wherever they lie.
#[derive(Clone, Debug)]
pub struct Stores {
    disk: Arc<dyn Disk>,
    buckets: Arc<dyn Buckets>,
    settings: ObjectStores,
    /// The state folder, in which what is to go into a bucket is built.
    state: PathBuf,
    /// The places of datasets that are tables, with the columns of their files; none, if datasets are files alone.
    tables: Vec<(Place, SchemaRef)>,
    /// How long a table's files are kept that are no longer read.
    retention: Duration,
    wall: Wall,
}

/// The wall clock.
#[derive(Clone)]
struct Wall(Arc<dyn Fn() -> DateTime<Utc> + Send + Sync>);

impl fmt::Debug for Wall {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Wall")
    }
}

impl Stores {
    /// On this disk, and in these buckets as the configuration says that they are reached.
    pub fn new(disk: Arc<dyn Disk>, buckets: Arc<dyn Buckets>, config: &Config) -> Self {
        let all = Dataset::ALL.into_iter();
        let placed = |dataset| Some((config.place(dataset)?.clone(), columns(dataset, &config.discover.personal)));
        let is_table = |_: &Dataset| config.table == Form::Delta;
        Self {
            disk,
            buckets,
            settings: config.store.clone(),
            state: config.state.clone(),
            tables: all.filter(is_table).filter_map(placed).collect(),
            retention: config.table_retention,
            wall: Wall(Arc::new(|| DateTime::UNIX_EPOCH)),
        }
    }

    /// The same, told the time by `wall`.
    #[must_use]
    pub fn at_time(self, wall: Arc<dyn Fn() -> DateTime<Utc> + Send + Sync>) -> Self {
        Self { wall: Wall(wall), ..self }
    }

    /// The time, in unix seconds.
    pub fn now_s(&self) -> i64 {
        (self.wall.0)().timestamp()
    }

    /// Opens a dataset that is to be changed; see [`Store::open`]. Of a bucket nothing is asked yet.
    pub fn open(&self, place: &Place) -> Result<Store, DiskError> {
        if let Place::Folder(root) = place {
            return Ok(self.with_table(place, Store::open(Arc::clone(&self.disk), root)?));
        }
        let store = self.existing(place)?;
        create_folders(&*self.disk, &store.staging, PRIVATE_MODE)?;
        Ok(store)
    }

    /// A dataset, to be read: nothing is created, and where there is nothing it is empty.
    pub fn existing(&self, place: &Place) -> Result<Store, DiskError> {
        let place = match place {
            Place::Folder(root) => return Ok(self.with_table(place, Store::existing(Arc::clone(&self.disk), root)?)),
            Place::Bucket(place) => place,
        };
        let failed = |source| DiskError::Bucket { operation: "use", path: place.to_string().into(), source };
        let bucket = self.buckets.open(place.bucket(), &self.settings).map_err(failed)?;
        let state = path::absolute(&self.state).map_err(DiskError::io("find", &self.state))?;
        let staging = state.join(STAGING).join(place.folder_name());
        let objects = Objects::new(place.clone(), bucket, &state);
        let store = Store { at: At::Bucket(objects), staging, disk: Arc::clone(&self.disk), table: None, seen: None };
        Ok(self.with_table(&Place::Bucket(place.clone()), store))
    }

    /// A dataset as its readers see it: where there is a table's log, that says which files are read, whatever the configuration
    /// says of tables. It is looked at once.
    pub fn as_read(&self, dataset: Dataset, place: &Place) -> Result<Store, DiskError> {
        let store = self.existing(place)?;
        if store.table.is_none() && !store.has_log()? {
            return Ok(store);
        }
        let new = || Arc::new(Table::new(store.parts(), columns(dataset, &[]), self.retention));
        let table = store.table.clone().unwrap_or_else(new);
        let seen = Some(Arc::new(table.state()?.unwrap_or_default()));
        Ok(Store { table: Some(table), seen, ..store })
    }

    /// The dataset at this place as a table, if it is one.
    fn with_table(&self, place: &Place, store: Store) -> Store {
        let Some((_, columns)) = self.tables.iter().find(|(of, _)| of == place) else { return store };
        let table = Table::new(store.parts(), Arc::clone(columns), self.retention);
        Store { table: Some(Arc::new(table)), ..store }
    }
}

impl Store {
    /// Opens the dataset under `root` on `disk`, creating its folder and its staging folder where they are missing.
    ///
    /// Returns only if both can be written to and are on one file system, so that a run which could not publish
    /// stops before its first request.
    pub fn open(disk: Arc<dyn Disk>, root: &Path) -> Result<Self, DiskError> {
        let root = path::absolute(root).map_err(DiskError::io("find", root))?;
        create_folders(&*disk, &root, OPEN_MODE)?;
        // Where the output is a link, staging has to stand beside what it leads to.
        let root = fs::canonicalize(&root).map_err(DiskError::io("find", &root))?;
        let staging = staging_of(&root);
        create_folder(&*disk, &staging, PRIVATE_MODE)?;
        for folder in [&root, &staging] {
            open_folder(folder)?;
            rustix::fs::access(folder, Access::WRITE_OK | Access::EXEC_OK)
                .map_err(|errno| DiskError::io("write in", folder)(errno.into()))?;
        }
        check_one_file_system(&root, &staging)?;
        Ok(Self { at: At::Folder(Folder { root, disk: Arc::clone(&disk) }), staging, disk, table: None, seen: None })
    }

    /// The dataset under `root`, to be read: nothing is created, and a folder that is missing holds nothing.
    pub fn existing(disk: Arc<dyn Disk>, root: &Path) -> Result<Self, DiskError> {
        let root = path::absolute(root).map_err(DiskError::io("find", root))?;
        let root = found(fs::canonicalize(&root)).map_err(DiskError::io("find", &root))?.unwrap_or(root);
        let staging = staging_of(&root);
        Ok(Self { at: At::Folder(Folder { root, disk: Arc::clone(&disk) }), staging, disk, table: None, seen: None })
    }

    /// What a table is made over.
    fn parts(&self) -> (At, PathBuf, Arc<dyn Disk>) {
        (self.at.clone(), self.staging.clone(), Arc::clone(&self.disk))
    }

    /// How long files are kept that are no longer read; none: the dataset is no table.
    pub fn retention(&self) -> Option<Duration> {
        self.table.as_ref().map(|table| table.retention())
    }

    /// Which files are the table's, now; none: there is no log, or the dataset is no table.
    pub fn table_state(&self) -> Result<Option<TableState>, DiskError> {
        self.table.as_ref().map_or(Ok(None), |table| table.state())
    }

    /// Makes sure that the table can be gone on with, and changes nothing. Returns the dataset's columns that it lacks, which the
    /// next run gives it; none, if the dataset is no table.
    ///
    /// # Errors
    ///
    /// [`DiskError::Table`] if it cannot be, or if there is none.
    pub fn lacking_columns(&self) -> Result<Vec<String>, DiskError> {
        self.table.as_ref().map_or(Ok(Vec::new()), |table| table.lacking_columns())
    }

    /// Whether there is a table's log, whatever the dataset is to be.
    pub fn has_log(&self) -> Result<bool, DiskError> {
        Ok(match &self.at {
            At::Folder(folder) => folder.root.join(LOG_FOLDER).exists(),
            At::Bucket(objects) => !objects.list_under(LOG_FOLDER)?.is_empty(),
        })
    }

    /// Where the table's log is, or would be.
    pub fn log_path(&self) -> PathBuf {
        match &self.at {
            At::Folder(folder) => folder.root.join(LOG_FOLDER),
            At::Bucket(objects) => objects.address_of(LOG_FOLDER),
        }
    }

    /// Whether there is a staging folder.
    pub fn has_staging(&self) -> bool {
        self.staging.exists()
    }

    /// The names of what stands in the staging folder.
    ///
    /// # Errors
    ///
    /// [`DiskError::InStaging`] if something in it was not put there by vcq.
    pub fn staged(&self) -> Result<Vec<OsString>, DiskError> {
        let staged: Vec<_> = folder::entries(&self.staging)?.into_iter().map(|entry| entry.name).collect();
        match staged.iter().find(|name| !staging::is_name_in_staging(name)) {
            Some(name) => Err(DiskError::InStaging { path: self.staging.join(name) }),
            None => Ok(staged),
        }
    }

    /// Whether it is in a bucket: there a reader can see a date while it is replaced with its new file and its old ones, and
    /// to read a file is to fetch it.
    pub fn is_in_bucket(&self) -> bool {
        matches!(self.at, At::Bucket(_))
    }

    /// Tries out all that a run does to a bucket, under a name of its own; `None` of a folder, which [`Store::open`] tries.
    pub fn try_out(&self) -> Result<Option<Tried>, DiskError> {
        match &self.at {
            At::Folder(_) => Ok(None),
            At::Bucket(objects) => objects.try_out(self.table.is_some()).map(Some),
        }
    }

    /// The right to change this dataset, on this machine, until it is dropped or its process ends.
    ///
    /// Staging is emptied of what earlier runs left there, and a probe file goes the way of a real one.
    ///
    /// # Errors
    ///
    /// [`DiskError::Busy`], at once, while another process has it.
    pub fn lock(&self) -> Result<StoreLock, DiskError> {
        StoreLock::acquire(self.clone())
    }

    /// Looks for a file whose publication was cut at an unknown moment.
    ///
    /// If it is visible, it is whole, and is made as durable as [`StoreLock::put_if_absent`] would have made it: the cut
    /// may have come between the rename and its sync.
    pub fn confirm(&self, date: NaiveDate, name: FileName) -> Result<Option<PartFile>, DiskError> {
        match &self.at {
            At::Folder(folder) => folder.confirm(date, name),
            At::Bucket(objects) => {
                Ok(objects.look(date, name)?.map(|object| PartFile { date, name, bytes: object.bytes }))
            }
        }
    }

    /// Whether anything stands where a file of this name would.
    pub fn is_visible(&self, date: NaiveDate, name: FileName) -> Result<bool, DiskError> {
        match &self.at {
            At::Folder(folder) => folder.is_visible(date, name),
            At::Bucket(objects) => Ok(objects.look(date, name)?.is_some()),
        }
    }

    /// Opens a file that is visible. One in a bucket is fetched for it.
    pub fn open_file(&self, date: NaiveDate, name: FileName) -> Result<File, DiskError> {
        match &self.at {
            At::Folder(folder) => folder.open_file(date, name),
            At::Bucket(objects) => objects.fetch(date, name),
        }
    }

    /// The size of what stands at a path under the dataset, by whomever it was put; `None`, if no file does.
    pub fn size_at(&self, path: &str) -> Result<Option<u64>, DiskError> {
        match &self.at {
            _ if !is_under(path) => Ok(None),
            At::Folder(folder) => folder.size_at(path),
            At::Bucket(objects) => objects.size_at(path),
        }
    }

    /// Opens what stands at a path under the dataset. One in a bucket is fetched for it.
    pub fn open_at(&self, path: &str) -> Result<File, DiskError> {
        match &self.at {
            At::Folder(folder) => {
                let path = folder.root.join(path);
                File::open(&path).map_err(DiskError::io("open", &path))
            }
            At::Bucket(objects) => objects.fetch_at(path),
        }
    }

    /// Where a path under the dataset leads, for messages; an address elsewhere as it is.
    pub fn address_at(&self, path: &str) -> PathBuf {
        match &self.at {
            _ if !is_under(path) => path.into(),
            At::Folder(folder) => folder.root.join(path),
            At::Bucket(objects) => objects.address_of(path),
        }
    }

    /// Opens a file that is visible, to read some of its bytes.
    pub fn open_parts(&self, part: PartFile) -> Result<Parts, DiskError> {
        Ok(match &self.at {
            At::Folder(folder) => Parts { file: folder.open_file(part.date, part.name)?, part, away: None },
            At::Bucket(objects) => Parts { file: objects.unread(&part)?, part, away: Some(objects.clone()) },
        })
    }

    /// SHA-256 of a file; none if it is not visible.
    pub fn sha256(&self, date: NaiveDate, name: FileName, trust: Trust) -> Result<Option<[u8; 32]>, DiskError> {
        match &self.at {
            At::Bucket(objects) if trust == Trust::Kept => objects.kept_sha256(date, name),
            _ if !self.is_visible(date, name)? => Ok(None),
            _ => {
                let path = self.path_of(date, name);
                sha256_of(&self.open_file(date, name)?).map(Some).map_err(DiskError::io("read", &path))
            }
        }
    }

    /// Where a published file stands, whether it does or not; of one in a bucket the address.
    pub fn path_of(&self, date: NaiveDate, name: FileName) -> PathBuf {
        match &self.at {
            At::Folder(folder) => folder.path_of(date, name),
            At::Bucket(objects) => objects.path_of(date, name),
        }
    }

    /// The same dataset for a look at many of its dates: in a bucket its listings tell what is there at this moment, for the price
    /// of one. What seems wrong by them is looked at again, for another process may have published since.
    pub fn at_once(&self) -> Result<Self, DiskError> {
        let at = match &self.at {
            At::Folder(folder) => At::Folder(folder.clone()),
            At::Bucket(objects) => At::Bucket(objects.at_once()?),
        };
        let seen = self.table.is_some().then(|| self.table_state()).transpose()?;
        Ok(Self { at, seen: seen.map(|seen| Arc::new(seen.unwrap_or_default())), ..self.clone() })
    }

    /// The partitions of the dataset, empty ones too, and what is neither in them nor one of them. Of a dataset that is
    /// [looked at](Store::at_once) also those that only the table has.
    pub fn partitions(&self) -> Result<Partitions, DiskError> {
        let mut found = match &self.at {
            At::Folder(folder) => folder.partitions()?,
            At::Bucket(objects) => objects.partitions()?,
        };
        if self.table.is_some() {
            let log = self.log_path();
            found.strangers.retain(|stranger| *stranger != log);
        }
        if let Some(seen) = &self.seen {
            found.dates.extend(seen.dates());
            found.dates.sort_unstable();
            found.dates.dedup();
        }
        Ok(found)
    }

    /// What stands beside the partitions and is read as if it were one: files with the name of data, and folders that hold such files
    /// or are named as a partition is. Of a table nothing is read but what its log names.
    pub fn strangers_read(&self) -> Result<Vec<PathBuf>, DiskError> {
        if self.table.is_some() {
            return Ok(Vec::new());
        }
        let mut strangers = self.partitions()?.strangers;
        strangers.retain(|path| is_read(path) || is_named_as_partition(path) || folder::holds_data(path));
        Ok(strangers)
    }

    /// Everything in the partition `date`.
    ///
    /// An empty date folder, which a publication cut half-way can leave, is no stranger: readers see nothing in it.
    pub fn list(&self, date: NaiveDate) -> Result<Listing, DiskError> {
        let mut listing = match &self.at {
            At::Folder(folder) => folder.list(date)?,
            At::Bucket(objects) => objects.list(date)?,
        };
        listing.active = match (&self.table, &self.seen) {
            (None, _) => None,
            (Some(_), Some(seen)) => Some(seen.on(date)),
            (Some(table), None) => Some(table.state()?.unwrap_or_default().on(date)),
        };
        Ok(listing)
    }

    /// The files that are read of the partition `date`: all that stand there, or the table's.
    ///
    /// # Errors
    ///
    /// [`TableError::Rewritten`] if another program's files are the table's, [`TableError::Absent`] if one of the table's files is not
    /// there.
    pub fn readable(&self, date: NaiveDate) -> Result<Vec<PartFile>, DiskError> {
        let Listing { mut files, active, .. } = self.list(date)?;
        let Some(active) = active else { return Ok(files) };
        files.retain(|file| active.contains_key(&file.name.to_string()));
        if files.len() == active.len() {
            return Ok(files);
        }
        let is_others = active.keys().any(|name| FileName::parse(name).is_none());
        let source = if is_others { TableError::Rewritten(date) } else { TableError::Absent(date) };
        Err(DiskError::Table { path: self.log_path(), source })
    }
}

/// Whether a path of a log is one under its dataset, and no address.
fn is_under(path: &str) -> bool {
    let is_plain = |part| matches!(part, Component::Normal(_));
    !path.contains("://") && Path::new(path).components().all(is_plain)
}

/// Whether readers take something for data by its name.
pub fn is_read(path: &Path) -> bool {
    path.extension().is_some_and(|ending| ending.eq_ignore_ascii_case("parquet"))
}

fn is_named_as_partition(path: &Path) -> bool {
    path.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b"date="))
}

/// SHA-256 of a file's bytes from where it stands, which is put back to its beginning.
fn sha256_of(mut file: &File) -> io::Result<[u8; 32]> {
    let mut hash = Sha256::new();
    io::copy(&mut file, &mut hash)?;
    file.rewind()?;
    Ok(hash.finalize().into())
}

fn folder_name(date: NaiveDate) -> String {
    format!("date={date}")
}

fn parse_folder_name(name: &OsStr) -> Option<NaiveDate> {
    let name = name.to_str()?;
    let date = name.strip_prefix("date=")?.parse().ok()?;
    (folder_name(date) == name).then_some(date)
}

/// The staging folder of the dataset under `root`: `<root>.staging`.
pub fn staging_of(root: &Path) -> PathBuf {
    let mut staging = root.as_os_str().to_owned();
    staging.push(".staging");
    staging.into()
}

#[cfg(test)]
mod tests;
