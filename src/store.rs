//! Published files on disk: `<output>/date=YYYY-MM-DD/part-<16 hex digits>.parquet`, and nothing else under `<output>`.
//!
//! A file is built in the staging folder beside the dataset, sealed, and becomes visible by one rename, whole and
//! synced. A visible name never gets other bytes: DuckDB and Spark return mixed or missing rows, and no error, when a
//! file is renamed over another that they are reading. All IO of the dataset is here; what the files hold is not known
//! here, nor which files there should be: that is the journal's.

use std::{
    ffi::{OsStr, OsString},
    fmt,
    fs::{self, File, FileType},
    io,
    path::{self, Path, PathBuf},
    sync::Arc,
};

use chrono::NaiveDate;
use rustix::fs::Access;

use self::{
    disk::{Disk, DiskError, check_one_file_system, create_folder, create_folders, found, open_folder},
    lock::StoreLock,
};

pub mod disk;
pub mod lock;
pub mod staging;

/// Permissions of the folders that readers see, less the umask.
const OPEN_MODE: u32 = 0o777;
/// Permissions of the staging folder: what is not sealed yet is nobody else's business.
const PRIVATE_MODE: u32 = 0o700;

/// The name of a published file: `part-<16 hex digits>.parquet`, in lower case.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FileName(u64);

impl FileName {
    /// The name with these sixteen digits.
    pub fn new(digits: u64) -> Self {
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
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Listing {
    /// The published files, by name.
    pub files: Vec<PartFile>,
    /// Everything that is no published file; readers may take it for data.
    pub strangers: Vec<PathBuf>,
}

/// The dataset's folder, and the staging folder beside it.
#[derive(Clone, Debug)]
pub struct Store {
    root: PathBuf,
    staging: PathBuf,
    disk: Arc<dyn Disk>,
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
        Ok(Self { root, staging, disk })
    }

    /// The dataset under `root`, to be read: nothing is created, and a folder that is missing holds nothing.
    pub fn existing(disk: Arc<dyn Disk>, root: &Path) -> Result<Self, DiskError> {
        let root = path::absolute(root).map_err(DiskError::io("find", root))?;
        let root = found(fs::canonicalize(&root)).map_err(DiskError::io("find", &root))?.unwrap_or(root);
        Ok(Self { staging: staging_of(&root), root, disk })
    }

    /// The disk that it lies on.
    pub fn disk(&self) -> Arc<dyn Disk> {
        Arc::clone(&self.disk)
    }

    /// Whether there is a staging folder.
    pub fn has_staging(&self) -> bool {
        self.staging.exists()
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
        let path = self.path_of(date, name);
        let Some(metadata) = found(fs::symlink_metadata(&path)).map_err(DiskError::io("look at", &path))? else {
            return Ok(None);
        };
        if !metadata.is_file() {
            return Err(DiskError::Stranger { path });
        }
        self.sync_folder(&self.folder_of(date))?;
        self.sync_folder(&self.root)?;
        Ok(Some(PartFile { date, name, bytes: metadata.len() }))
    }

    /// Whether anything stands where a file of this name would.
    pub fn is_visible(&self, date: NaiveDate, name: FileName) -> Result<bool, DiskError> {
        let path = self.path_of(date, name);
        Ok(found(fs::symlink_metadata(&path)).map_err(DiskError::io("look at", &path))?.is_some())
    }

    /// Opens a file that is visible.
    pub fn open_file(&self, date: NaiveDate, name: FileName) -> Result<File, DiskError> {
        let path = self.path_of(date, name);
        File::open(&path).map_err(DiskError::io("open", &path))
    }

    /// Where a published file stands, whether it does or not.
    pub fn path_of(&self, date: NaiveDate, name: FileName) -> PathBuf {
        self.folder_of(date).join(name.to_string())
    }

    /// The partitions under the dataset's folder, empty ones too, and what is neither in them nor one of them.
    pub fn partitions(&self) -> Result<Partitions, DiskError> {
        let mut found = Partitions::default();
        for entry in entries(&self.root)? {
            match parse_folder_name(&entry.name).filter(|_| entry.kind.is_dir()) {
                Some(date) => found.dates.push(date),
                None => found.strangers.push(self.root.join(&entry.name)),
            }
        }
        found.dates.sort_unstable();
        found.strangers.sort_unstable();
        Ok(found)
    }

    /// Everything in the partition `date`.
    ///
    /// An empty date folder, which a publication cut half-way can leave, is no stranger: readers see nothing in it.
    pub fn list(&self, date: NaiveDate) -> Result<Listing, DiskError> {
        let mut listing = Listing::default();
        let folder = self.folder_of(date);
        for entry in entries(&folder)? {
            let path = folder.join(&entry.name);
            match entry.name.to_str().and_then(FileName::parse).filter(|_| entry.kind.is_file()) {
                Some(name) => {
                    let bytes = fs::metadata(&path).map_err(DiskError::io("look at", &path))?.len();
                    listing.files.push(PartFile { date, name, bytes });
                }
                None => listing.strangers.push(path),
            }
        }
        listing.files.sort_unstable();
        listing.strangers.sort_unstable();
        Ok(listing)
    }

    fn folder_of(&self, date: NaiveDate) -> PathBuf {
        self.root.join(folder_name(date))
    }

    fn sync_folder(&self, path: &Path) -> Result<(), DiskError> {
        self.disk.sync(&open_folder(path)?).map_err(DiskError::io("sync", path))
    }
}

struct Entry {
    name: OsString,
    /// Of the entry itself: a link is a link, wherever it leads.
    kind: FileType,
}

/// What a folder holds: nothing, if it is not there.
fn entries(folder: &Path) -> Result<Vec<Entry>, DiskError> {
    let entry = |entry: io::Result<fs::DirEntry>| {
        let entry = entry?;
        Ok(Entry { name: entry.file_name(), kind: entry.file_type()? })
    };
    let listed = found(fs::read_dir(folder)).and_then(|entries| entries.into_iter().flatten().map(entry).collect());
    listed.map_err(DiskError::io("list", folder))
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
