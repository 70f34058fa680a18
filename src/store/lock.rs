//! The right to change a store, and its two ways of change: a file where none of its name is, and a file in the place of
//! known ones.

use std::{
    collections::BTreeSet,
    fs::{self, File, TryLockError},
    io::{self, Read},
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use chrono::NaiveDate;

use super::{
    At, FileName, OPEN_MODE, PartFile, Store,
    disk::{DiskError, found, open_folder},
    folder::Folder,
    folder_name,
    staging::{PROBE, PROBED, Sealed, Staged},
    table::{Claim, Entered, Entry, Table, TableState},
    table_error::TableError,
};

/// The right to make files visible in a dataset, held by one process at a time.
#[derive(Debug)]
pub struct StoreLock {
    store: Store,
    /// The staging folder, locked for as long as it is open.
    staging: File,
    /// How many partitions were gathered in staging, to be exchanged.
    gathered_count: AtomicU64,
}

impl StoreLock {
    /// Locks staging, empties it and tries the disk; see [`Store::lock`].
    pub(super) fn acquire(store: Store) -> Result<Self, DiskError> {
        let staging = open_folder(&store.staging)?;
        staging.try_lock().map_err(|error| match error {
            TryLockError::WouldBlock => DiskError::Busy { staging: store.staging.clone() },
            TryLockError::Error(source) => DiskError::io("lock", &store.staging)(source),
        })?;
        let lock = Self { store, staging, gathered_count: AtomicU64::new(0) };
        lock.empty_staging()?;
        lock.probe()?;
        Ok(lock)
    }

    /// Starts a file that will be published as `name`; until then it stands in staging, and goes if it is dropped.
    pub fn stage(&self, name: FileName) -> Result<Staged, DiskError> {
        Staged::create(Arc::clone(&self.store.disk), &self.store.staging, name)
    }

    /// Makes a sealed file visible in the partition `date`.
    ///
    /// Returns after the folder entry is synced: a power cut at any moment leaves either no file or the whole file.
    ///
    /// # Errors
    ///
    /// [`DiskError::Exists`] if a file of this name is visible, which stays as it is; in a bucket, if it has other bytes.
    pub fn put_if_absent(&self, date: NaiveDate, part: Sealed) -> Result<PartFile, DiskError> {
        match &self.store.at {
            At::Folder(dataset) => self.put_in_folder(dataset, date, part),
            At::Bucket(objects) => objects.put_if_absent(date, &part),
        }
    }

    fn put_in_folder(&self, dataset: &Folder, date: NaiveDate, part: Sealed) -> Result<PartFile, DiskError> {
        let (name, bytes) = (part.name(), part.bytes());
        let target = dataset.path_of(date, name);
        let folder = self.date_folder(dataset, date)?;
        let disk = &self.store.disk;
        part.move_into(&folder).map_err(|source| match source.kind() {
            io::ErrorKind::AlreadyExists => DiskError::Exists { path: target.clone() },
            _ => DiskError::io("publish", &target)(source),
        })?;
        disk.sync(&folder).map_err(DiskError::io("sync", &dataset.folder_of(date)))?;
        Ok(PartFile { date, name, bytes })
    }

    /// Puts `part` in the place of the files `known` of the partition `date`: in a folder of all that it holds, in one step; in a
    /// bucket by putting it and then taking them away, which [`StoreLock::finish_replace`] finishes where it was cut.
    ///
    /// A reader at work sees the old partition or the new one, or gets an error about a missing file. The old files stay
    /// in staging until the dataset is locked again: a reader that had opened the old folder, but not listed it, would find
    /// some of them gone and return a wrong sum without an error. So this needs room for both.
    ///
    /// # Errors
    ///
    /// [`DiskError::Exists`] if the part has the name of a visible file and other bytes, [`DiskError::Stranger`] and
    /// [`DiskError::Unknown`] if the partition holds something else than the files `known`: it would be lost. The
    /// partition stays as it is in these cases. In a bucket what is not known stays where it is.
    pub fn replace(&self, date: NaiveDate, part: Sealed, known: &BTreeSet<FileName>) -> Result<PartFile, DiskError> {
        match &self.store.at {
            At::Folder(dataset) => self.exchange(dataset, date, part, known),
            At::Bucket(objects) => objects.replace(date, &part, known),
        }
    }

    /// Makes a sealed file visible beside what its partition holds, whatever that is; that it is there already is a success.
    ///
    /// # Errors
    ///
    /// [`DiskError::Exists`] if a file of this name and other bytes is visible, which stays as it is.
    pub fn put_beside(&self, date: NaiveDate, part: Sealed) -> Result<PartFile, DiskError> {
        let At::Folder(dataset) = &self.store.at else { return self.put_if_absent(date, part) };
        let (name, bytes) = (part.name(), part.bytes());
        if let Some(visible) = dataset.confirm(date, name)? {
            let path = dataset.path_of(date, name);
            let is_same = visible.bytes == bytes && same_bytes(part.path(), &path)?;
            return if is_same { Ok(visible) } else { Err(DiskError::Exists { path }) };
        }
        self.put_in_folder(dataset, date, part)
    }

    /// Which files are the table's, now; none: there is no log.
    pub fn table_state(&self) -> Result<Option<TableState>, DiskError> {
        self.store.table_state()
    }

    /// Makes the table, with these files.
    pub fn create_table(&self, entries: &[Entry]) -> Result<(), DiskError> {
        self.table()?.create(entries)
    }

    /// Makes sure that the table has the dataset's columns; see [`TableError::OtherColumns`].
    pub fn check_columns(&self) -> Result<(), DiskError> {
        self.table()?.check_columns()
    }

    /// Enters a visible file into the table; asks first whether that is done.
    pub fn enter(&self, entry: &Entry, claim: Claim) -> Result<Entered, DiskError> {
        self.table()?.enter(entry, claim)
    }

    /// The version of the table that was seen last, which no power cut takes away any more.
    pub fn seen_version(&self) -> Result<Option<u64>, DiskError> {
        self.store.table.as_deref().map_or(Ok(None), Table::seen_version)
    }

    /// Whether an intent of a date was entered into the table, and another program has rewritten the date since; false, if there is
    /// no table.
    pub fn is_rewritten(&self, date: NaiveDate, number: i64) -> Result<bool, DiskError> {
        self.store.table.as_deref().map_or(Ok(false), |table| table.is_rewritten(date, number))
    }

    /// Takes the table's log away.
    pub fn remove_log(&self) -> Result<(), DiskError> {
        self.table()?.remove_log()
    }

    fn table(&self) -> Result<&Table, DiskError> {
        let missing = || DiskError::Table { path: self.store.log_path(), source: TableError::Missing };
        self.store.table.as_deref().ok_or_else(missing)
    }

    /// Deletes a file that nobody reads any more. That it is gone already is no error.
    pub fn delete(&self, date: NaiveDate, name: FileName) -> Result<(), DiskError> {
        match &self.store.at {
            At::Folder(dataset) => {
                if !dataset.is_visible(date, name)? {
                    return Ok(());
                }
                self.remove(&dataset.path_of(date, name))?;
                dataset.sync_folder(&dataset.folder_of(date))
            }
            At::Bucket(objects) => objects.delete_under(&format!("{}/{name}", folder_name(date))),
        }
    }

    /// Takes away what the file `name`, which is visible, was to replace and has not yet. In a folder nothing is left of that.
    pub fn finish_replace(&self, date: NaiveDate, name: FileName, known: &BTreeSet<FileName>) -> Result<(), DiskError> {
        match &self.store.at {
            At::Folder(_) => Ok(()),
            At::Bucket(objects) => objects.retire(date, name, known),
        }
    }

    fn exchange(
        &self,
        dataset: &Folder,
        date: NaiveDate,
        part: Sealed,
        known: &BTreeSet<FileName>,
    ) -> Result<PartFile, DiskError> {
        let disk = &self.store.disk;
        let live = dataset.folder_of(date);
        let replaces = check_replaceable(dataset, date, &part, known)?;
        let (fresh, file) = self.gather(date, part)?;
        let root = open_folder(&dataset.root)?;
        if replaces {
            let exchanged = disk.exchange(&fresh, &root, &folder_name(date));
            if exchanged.as_ref().is_err_and(|error| error.kind() == io::ErrorKind::CrossesDevices) {
                // It has not come about, and never will: what was to come in has no use.
                drop(disk.remove(&fresh));
            }
            exchanged.map_err(DiskError::io("exchange", &live))?;
        } else {
            disk.rename(&fresh, &root, &folder_name(date)).map_err(DiskError::io("publish", &live))?;
        }
        disk.sync(&root).map_err(DiskError::io("sync", &dataset.root))?;
        disk.sync(&self.staging).map_err(DiskError::io("sync", &self.store.staging))?;
        Ok(file)
    }

    /// Makes sure that the partition's folder can be exchanged, without doing it: one that lies in a lower layer of an
    /// overlay file system cannot, which has to be known before requests are spent on what is to take its place.
    pub fn check_exchangeable(&self, date: NaiveDate) -> Result<(), DiskError> {
        let At::Folder(dataset) = &self.store.at else { return Ok(()) };
        let live = dataset.folder_of(date);
        if found(fs::symlink_metadata(&live)).map_err(DiskError::io("look at", &live))?.is_none() {
            return Ok(());
        }
        let disk = &self.store.disk;
        let probe = self.store.staging.join(PROBE);
        disk.create_folder(&probe, OPEN_MODE).map_err(DiskError::io("create", &probe))?;
        let within = probe.join(PROBED);
        disk.create_file(&within).map_err(DiskError::io("create", &within))?;
        // No folder takes the place of one that is not empty, so nothing is moved; but whether it could be is asked first.
        let tried = fs::rename(&live, &probe);
        if tried.is_ok() {
            // A file system that lets it come about all the same.
            fs::rename(&probe, &live).map_err(DiskError::io("put back", &live))?;
            return Err(DiskError::io("exchange", &live)(io::ErrorKind::Unsupported.into()));
        }
        self.remove(&probe)?;
        match tried {
            Err(error) if error.kind() == io::ErrorKind::CrossesDevices => Err(DiskError::io("exchange", &live)(error)),
            _ => Ok(()),
        }
    }

    /// Moves a sealed file into a folder of its own in staging: the partition as it will be.
    fn gather(&self, date: NaiveDate, part: Sealed) -> Result<(PathBuf, PartFile), DiskError> {
        let disk = &self.store.disk;
        // Numbered, because the partition that an earlier call retired may stand there under its name.
        let number = self.gathered_count.fetch_add(1, Ordering::Relaxed);
        let fresh = self.store.staging.join(format!("{}.{number}", folder_name(date)));
        disk.create_folder(&fresh, OPEN_MODE).map_err(DiskError::io("create", &fresh))?;
        let folder = open_folder(&fresh)?;
        let (name, bytes) = (part.name(), part.bytes());
        part.move_into(&folder).map_err(DiskError::io("move to", &fresh))?;
        disk.sync(&folder).map_err(DiskError::io("sync", &fresh))?;
        Ok((fresh, PartFile { date, name, bytes }))
    }

    /// The partition's folder, created if need be. A link in its place is refused: it leads out of the dataset.
    fn date_folder(&self, dataset: &Folder, date: NaiveDate) -> Result<File, DiskError> {
        let path = dataset.folder_of(date);
        match self.store.disk.create_folder(&path, OPEN_MODE) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
                return Err(DiskError::io("create", &path)(error));
            }
            _ => {}
        }
        // Also if it stands already: whoever created it may have been killed before this.
        dataset.sync_folder(&dataset.root)?;
        open_folder(&path)
    }

    /// Removes what earlier runs left in staging.
    ///
    /// # Errors
    ///
    /// [`DiskError::InStaging`], before anything is removed, if something in it was not put there by vcq.
    fn empty_staging(&self) -> Result<(), DiskError> {
        let left = self.store.staged()?;
        left.iter().try_for_each(|name| self.remove(&self.store.staging.join(name)))
    }

    /// Writes, syncs, renames and removes a file in staging, so that a disk which cannot do it is found out early.
    fn probe(&self) -> Result<(), DiskError> {
        let probe = self.store.staging.join(PROBE);
        let disk = &self.store.disk;
        let file = disk.create_file(&probe).map_err(DiskError::io("create", &probe))?;
        disk.write(&file, b"probe").map_err(DiskError::io("write", &probe))?;
        disk.sync(&file).map_err(DiskError::io("sync", &probe))?;
        disk.rename(&probe, &self.staging, PROBED).map_err(DiskError::io("rename", &probe))?;
        self.remove(&self.store.staging.join(PROBED))
    }

    fn remove(&self, path: &Path) -> Result<(), DiskError> {
        self.store.disk.remove(path).map_err(DiskError::io("remove", path))
    }
}

/// Whether the partition has a folder, all of whose files may go.
fn check_replaceable(
    dataset: &Folder,
    date: NaiveDate,
    part: &Sealed,
    known: &BTreeSet<FileName>,
) -> Result<bool, DiskError> {
    let live = dataset.folder_of(date);
    if found(fs::symlink_metadata(&live)).map_err(DiskError::io("look at", &live))?.is_none() {
        return Ok(false);
    }
    open_folder(&live)?;
    let mut listing = dataset.list(date)?;
    if let Some(path) = listing.strangers.pop() {
        return Err(DiskError::Stranger { path });
    }
    for file in listing.files {
        let path = live.join(file.name.to_string());
        if !known.contains(&file.name) {
            return Err(DiskError::Unknown { path });
        }
        if file.name == part.name() && !same_bytes(part.path(), &path)? {
            return Err(DiskError::Exists { path });
        }
    }
    Ok(true)
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
