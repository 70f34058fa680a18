//! Making files visible: stage, seal, publish, replace. The only code that changes a dataset.

use std::{
    collections::BTreeSet,
    ffi::OsStr,
    fs::{self, File, TryLockError},
    io::{self, Read, Write},
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use chrono::NaiveDate;

use super::{
    Dataset, FileName, OPEN_MODE, PartFile,
    disk::{Disk, DiskError, found, open_folder},
    entries, folder_name, parse_folder_name,
};

/// The right to make files visible in a dataset, held by one process at a time.
#[derive(Debug)]
pub struct DatasetLock {
    dataset: Dataset,
    /// The staging folder, locked for as long as it is open.
    staging: File,
    /// How many partitions were gathered in staging, to be exchanged.
    gathered_count: AtomicU64,
}

impl DatasetLock {
    /// Locks staging, empties it and tries the disk; see [`Dataset::lock`].
    pub(super) fn acquire(dataset: Dataset) -> Result<Self, DiskError> {
        let staging = open_folder(&dataset.staging)?;
        staging.try_lock().map_err(|error| match error {
            TryLockError::WouldBlock => DiskError::Busy { staging: dataset.staging.clone() },
            TryLockError::Error(source) => DiskError::io("lock", &dataset.staging)(source),
        })?;
        let publisher = Self { dataset, staging, gathered_count: AtomicU64::new(0) };
        publisher.empty_staging()?;
        publisher.probe()?;
        Ok(publisher)
    }

    /// Starts a file that will be published as `name`; until then it stands in staging, and goes if it is dropped.
    pub fn stage(&self, name: FileName) -> Result<Staged, DiskError> {
        let path = self.dataset.staging.join(name.to_string());
        let disk = Arc::clone(&self.dataset.disk);
        let file = disk.create_file(&path).map_err(DiskError::io("create", &path))?;
        Ok(Staged { file, name, path: StagedPath { path, disk } })
    }

    /// Makes a sealed file visible in the partition `date`.
    ///
    /// Returns after the folder entry is synced: a power cut at any moment leaves either no file or the whole file.
    ///
    /// # Errors
    ///
    /// [`DiskError::Exists`] if a file of this name is visible, which stays as it is.
    pub fn publish(&self, part: Sealed, date: NaiveDate) -> Result<PartFile, DiskError> {
        let Sealed { name, bytes, path: staged } = part;
        let target = self.dataset.path_of(date, name);
        let folder = self.date_folder(date)?;
        let disk = &self.dataset.disk;
        disk.rename(&staged.path, &folder, &name.to_string()).map_err(|source| match source.kind() {
            io::ErrorKind::AlreadyExists => DiskError::Exists { path: target.clone() },
            _ => DiskError::io("publish", &target)(source),
        })?;
        disk.sync(&folder).map_err(DiskError::io("sync", &self.dataset.folder_of(date)))?;
        Ok(PartFile { date, name, bytes })
    }

    /// Puts `part` in the place of all that the partition `date` holds, in one step: of the files `known`, and of no other.
    ///
    /// A reader at work sees the old partition or the new one, or gets an error about a missing file. The old files stay
    /// in staging until the dataset is locked again: a reader that had opened the old folder, but not listed it, would find
    /// some of them gone and return a wrong sum without an error. So this needs room for both.
    ///
    /// # Errors
    ///
    /// [`DiskError::Exists`] if the part has the name of a visible file and other bytes, [`DiskError::Stranger`] and
    /// [`DiskError::Unknown`] if the partition holds something else than the files `known`: it would be lost. The
    /// partition stays as it is in these cases.
    pub fn replace(&self, date: NaiveDate, part: Sealed, known: &BTreeSet<FileName>) -> Result<PartFile, DiskError> {
        let disk = &self.dataset.disk;
        let live = self.dataset.folder_of(date);
        let replaces = self.check_replaceable(date, &part, known)?;
        let (fresh, file) = self.gather(date, part)?;
        let root = open_folder(&self.dataset.root)?;
        if replaces {
            disk.exchange(&fresh, &root, &folder_name(date)).map_err(DiskError::io("exchange", &live))?;
        } else {
            disk.rename(&fresh, &root, &folder_name(date)).map_err(DiskError::io("publish", &live))?;
        }
        disk.sync(&root).map_err(DiskError::io("sync", &self.dataset.root))?;
        disk.sync(&self.staging).map_err(DiskError::io("sync", &self.dataset.staging))?;
        Ok(file)
    }

    /// Whether the partition has a folder, all of whose files may go.
    fn check_replaceable(&self, date: NaiveDate, part: &Sealed, known: &BTreeSet<FileName>) -> Result<bool, DiskError> {
        let live = self.dataset.folder_of(date);
        if found(fs::symlink_metadata(&live)).map_err(DiskError::io("look at", &live))?.is_none() {
            return Ok(false);
        }
        open_folder(&live)?;
        let mut listing = self.dataset.list(date)?;
        if let Some(path) = listing.strangers.pop() {
            return Err(DiskError::Stranger { path });
        }
        for file in listing.files {
            let path = live.join(file.name.to_string());
            if !known.contains(&file.name) {
                return Err(DiskError::Unknown { path });
            }
            if file.name == part.name && !same_bytes(&part.path.path, &path)? {
                return Err(DiskError::Exists { path });
            }
        }
        Ok(true)
    }

    /// Moves a sealed file into a folder of its own in staging: the partition as it will be.
    fn gather(&self, date: NaiveDate, part: Sealed) -> Result<(PathBuf, PartFile), DiskError> {
        let disk = &self.dataset.disk;
        // Numbered, because the partition that an earlier call retired may stand there under its name.
        let number = self.gathered_count.fetch_add(1, Ordering::Relaxed);
        let fresh = self.dataset.staging.join(format!("{}.{number}", folder_name(date)));
        disk.create_folder(&fresh, OPEN_MODE).map_err(DiskError::io("create", &fresh))?;
        let folder = open_folder(&fresh)?;
        let Sealed { name, bytes, path: staged } = part;
        disk.rename(&staged.path, &folder, &name.to_string()).map_err(DiskError::io("move", &staged.path))?;
        disk.sync(&folder).map_err(DiskError::io("sync", &fresh))?;
        Ok((fresh, PartFile { date, name, bytes }))
    }

    /// The partition's folder, created if need be. A link in its place is refused: it leads out of the dataset.
    fn date_folder(&self, date: NaiveDate) -> Result<File, DiskError> {
        let path = self.dataset.folder_of(date);
        match self.dataset.disk.create_folder(&path, OPEN_MODE) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
                return Err(DiskError::io("create", &path)(error));
            }
            _ => {}
        }
        // Also if it stands already: whoever created it may have been killed before this.
        self.dataset.sync_folder(&self.dataset.root)?;
        open_folder(&path)
    }

    /// Removes what earlier runs left in staging.
    ///
    /// # Errors
    ///
    /// [`DiskError::Stranger`], before anything is removed, if something in it was not put there by vcq: the folder is
    /// somebody else's, who has happened to name it so.
    fn empty_staging(&self) -> Result<(), DiskError> {
        let left: Vec<_> = entries(&self.dataset.staging)?.into_iter().map(|entry| entry.name).collect();
        if let Some(name) = left.iter().find(|name| !is_name_in_staging(name)) {
            return Err(DiskError::Stranger { path: self.dataset.staging.join(name) });
        }
        left.iter().try_for_each(|name| self.remove(&self.dataset.staging.join(name)))
    }

    /// Writes, syncs, renames and removes a file in staging, so that a disk which cannot do it is found out early.
    fn probe(&self) -> Result<(), DiskError> {
        let probe = self.dataset.staging.join(PROBE);
        let disk = &self.dataset.disk;
        let file = disk.create_file(&probe).map_err(DiskError::io("create", &probe))?;
        disk.write(&file, b"probe").map_err(DiskError::io("write", &probe))?;
        disk.sync(&file).map_err(DiskError::io("sync", &probe))?;
        disk.rename(&probe, &self.staging, PROBED).map_err(DiskError::io("rename", &probe))?;
        self.remove(&self.dataset.staging.join(PROBED))
    }

    fn remove(&self, path: &Path) -> Result<(), DiskError> {
        self.dataset.disk.remove(path).map_err(DiskError::io("remove", path))
    }
}

/// Names of the file that is tried on the disk.
const PROBE: &str = "probe";
const PROBED: &str = "probed";

/// True for the names that vcq gives to what it puts into staging: part files, partitions with a number, the probe.
fn is_name_in_staging(name: &OsStr) -> bool {
    let Some(name) = name.to_str() else { return false };
    let is_partition = |name: &str| {
        let (folder, number) = name.rsplit_once('.').unwrap_or_default();
        parse_folder_name(folder.as_ref()).is_some() && number.parse::<u64>().is_ok()
    };
    name == PROBE || name == PROBED || FileName::parse(name).is_some() || is_partition(name)
}

/// A path in staging; what still stands there when it is dropped was not published, and is removed.
#[derive(Debug)]
struct StagedPath {
    path: PathBuf,
    disk: Arc<dyn Disk>,
}

impl Drop for StagedPath {
    fn drop(&mut self) {
        // Nothing is here any more if it was published. What cannot be removed now, the next publisher removes, or
        // reports what stops it.
        drop(self.disk.remove(&self.path));
    }
}

/// A file under construction, in staging.
#[derive(Debug)]
pub struct Staged {
    file: File,
    name: FileName,
    path: StagedPath,
}

impl Staged {
    /// Ends the file: returns after its content is synced.
    ///
    /// A sync that fails is never tried again, because the system may have forgotten what it could not write.
    pub fn seal(self) -> Result<Sealed, DiskError> {
        let path = &self.path.path;
        self.path.disk.sync(&self.file).map_err(DiskError::io("sync", path))?;
        let bytes = self.file.metadata().map_err(DiskError::io("look at", path))?.len();
        Ok(Sealed { name: self.name, bytes, path: self.path })
    }
}

impl Write for Staged {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        // Whoever writes through a Parquet writer gets this error back without knowing the path.
        let told = |error: io::Error| io::Error::new(error.kind(), DiskError::io("write", &self.path.path)(error));
        self.path.disk.write(&self.file, bytes).map_err(told)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A finished file in staging, its content synced, not visible yet.
#[derive(Debug)]
pub struct Sealed {
    name: FileName,
    bytes: u64,
    path: StagedPath,
}

impl Sealed {
    /// Its size.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Opens it for reading, to compare what arrived with what was meant.
    pub fn reopen(&self) -> Result<File, DiskError> {
        File::open(&self.path.path).map_err(DiskError::io("open", &self.path.path))
    }
}

fn same_bytes(left: &Path, right: &Path) -> Result<bool, DiskError> {
    let open = |path: &Path| File::open(path).map_err(DiskError::io("open", path));
    let (left_file, right_file) = (open(left)?, open(right)?);
    loop {
        let left_bytes = chunk(&left_file).map_err(DiskError::io("read", left))?;
        let right_bytes = chunk(&right_file).map_err(DiskError::io("read", right))?;
        if left_bytes != right_bytes || left_bytes.is_empty() {
            return Ok(left_bytes == right_bytes);
        }
    }
}

/// The next piece of a file, shorter than the others only at its end.
fn chunk(file: &File) -> io::Result<Vec<u8>> {
    const CHUNK_BYTES: u64 = 64 * 1024;
    let mut bytes = Vec::new();
    file.take(CHUNK_BYTES).read_to_end(&mut bytes)?;
    Ok(bytes)
}
