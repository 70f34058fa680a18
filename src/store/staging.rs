//! Files under construction, beside the folder that readers see: built and synced here, then moved there in one step.

use std::{
    ffi::OsStr,
    fs::File,
    io::{self, Write},
    path::{Path, PathBuf},
    sync::Arc,
};

use super::{
    FileName,
    disk::{Disk, DiskError},
    parse_folder_name,
};

/// Names of the file that is tried on the disk.
pub(super) const PROBE: &str = "probe";
pub(super) const PROBED: &str = "probed";
/// The name of what is about to go into a table's log.
pub(super) const LOG_FILE: &str = "log";
/// The name of a log that was taken away.
pub(super) const OLD_LOG: &str = "log.old";

/// True for the names that vcq gives to what it puts into staging: part files, partitions with a number, the probe, a table's log.
pub(super) fn is_name_in_staging(name: &OsStr) -> bool {
    let Some(name) = name.to_str() else { return false };
    let is_partition = |name: &str| {
        let (folder, number) = name.rsplit_once('.').unwrap_or_default();
        parse_folder_name(folder.as_ref()).is_some() && number.parse::<u64>().is_ok()
    };
    [PROBE, PROBED, LOG_FILE, OLD_LOG].contains(&name) || FileName::parse(name).is_some() || is_partition(name)
}

/// A path in staging; what still stands there when it is dropped was not published, and is removed.
#[derive(Debug)]
struct StagedPath {
    path: PathBuf,
    disk: Arc<dyn Disk>,
    is_moved: bool,
}

impl Drop for StagedPath {
    fn drop(&mut self) {
        if !self.is_moved {
            // What cannot be removed now, the next process that publishes removes, or reports what stops it.
            drop(self.disk.remove(&self.path));
        }
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
    /// Begins the file `name` in the folder `staging`.
    pub(super) fn create(disk: Arc<dyn Disk>, staging: &Path, name: FileName) -> Result<Self, DiskError> {
        let path = staging.join(name.to_string());
        let file = disk.create_file(&path).map_err(DiskError::io("create", &path))?;
        Ok(Self { file, name, path: StagedPath { path, disk, is_moved: false } })
    }

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
    /// The name that it is to have.
    pub(super) fn name(&self) -> FileName {
        self.name
    }

    /// Moves it into `folder` in one step; fails with `AlreadyExists` if its name is taken there.
    pub(super) fn move_into(mut self, folder: &File) -> io::Result<()> {
        self.path.disk.rename(&self.path.path, folder, &self.name.to_string())?;
        self.path.is_moved = true;
        Ok(())
    }

    /// Where it stands.
    pub(super) fn path(&self) -> &Path {
        &self.path.path
    }

    /// Its size.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Opens it for reading, to compare what arrived with what was meant.
    pub fn reopen(&self) -> Result<File, DiskError> {
        File::open(&self.path.path).map_err(DiskError::io("open", &self.path.path))
    }
}
