//! The files of a table's log: `_delta_log/<name>` under the dataset, by the same calls to disk and bucket as the dataset's own
//! files. A name, once there, never gets other bytes; only the hint at the last checkpoint is put anew.

use std::{
    fs,
    io::{self, Seek as _, Write as _},
    path::PathBuf,
    sync::Arc,
};

use sha2::{Digest as _, Sha256};

use crate::store::{
    At, OPEN_MODE,
    bucket::Upload,
    disk::{Disk, DiskError, create_folder, found, open_folder},
    folder::Folder,
    objects::Objects,
    staging::{LOG_FILE, OLD_LOG},
};

/// The folder of the log, under the dataset.
pub(in crate::store) const LOG_FOLDER: &str = "_delta_log";

/// A table's log.
#[derive(Clone, Debug)]
pub(super) struct Log {
    at: At,
    staging: PathBuf,
    disk: Arc<dyn Disk>,
}

impl Log {
    /// The log of the dataset at this place, whose files are built in this folder.
    pub(super) fn new(at: At, staging: PathBuf, disk: Arc<dyn Disk>) -> Self {
        Self { at, staging, disk }
    }

    /// Where it lies, for messages.
    pub(super) fn path(&self) -> PathBuf {
        match &self.at {
            At::Folder(folder) => folder.root.join(LOG_FOLDER),
            At::Bucket(objects) => objects.address_of(LOG_FOLDER),
        }
    }

    /// The names and sizes of its files, in the order of their names; nothing, if there is no log.
    pub(super) fn list(&self) -> Result<Vec<(String, u64)>, DiskError> {
        let mut files = match &self.at {
            At::Folder(_) => self.list_folder()?,
            At::Bucket(objects) => objects.list_under(LOG_FOLDER)?,
        };
        files.sort_unstable();
        Ok(files)
    }

    fn list_folder(&self) -> Result<Vec<(String, u64)>, DiskError> {
        let folder = self.path();
        let Some(entries) = found(fs::read_dir(&folder)).map_err(DiskError::io("list", &folder))? else {
            return Ok(Vec::new());
        };
        let mut files = Vec::new();
        for entry in entries {
            let entry = entry.map_err(DiskError::io("list", &folder))?;
            // One that goes meanwhile is not there.
            let metadata = found(entry.metadata()).map_err(DiskError::io("look at", &entry.path()))?;
            let name = entry.file_name().into_string().ok();
            files.extend(
                metadata.filter(fs::Metadata::is_file).zip(name).map(|(metadata, name)| (name, metadata.len())),
            );
        }
        Ok(files)
    }

    /// The content of a file, whose size is `bytes`, if that is known; `None`, if there is none of this name.
    pub(super) fn read(&self, name: &str, bytes: Option<u64>) -> Result<Option<Vec<u8>>, DiskError> {
        match &self.at {
            At::Folder(_) => {
                let path = self.path().join(name);
                found(fs::read(&path)).map_err(DiskError::io("read", &path))
            }
            At::Bucket(objects) => objects.read_whole(&format!("{LOG_FOLDER}/{name}"), bytes),
        }
    }

    /// Puts a file of this name, whole and for good; false, if there is one with other bytes.
    pub(super) fn put_new(&self, name: &str, content: &[u8]) -> Result<bool, DiskError> {
        match &self.at {
            At::Folder(folder) => self.put_in_folder(folder, name, content),
            At::Bucket(objects) => self.put_in_bucket(objects, name, content),
        }
    }

    /// Puts a file that readers can do without for a moment.
    pub(super) fn put_anew(&self, name: &str, content: &[u8]) -> Result<(), DiskError> {
        match &self.at {
            At::Folder(_) => {
                let path = self.path().join(name);
                if found(fs::symlink_metadata(&path)).map_err(DiskError::io("look at", &path))?.is_some() {
                    self.disk.remove(&path).map_err(DiskError::io("remove", &path))?;
                }
            }
            At::Bucket(objects) => objects.delete_under(&format!("{LOG_FOLDER}/{name}"))?,
        }
        self.put_new(name, content).map(drop)
    }

    fn put_in_folder(&self, folder: &Folder, name: &str, content: &[u8]) -> Result<bool, DiskError> {
        let path = folder.root.join(LOG_FOLDER);
        create_folder(&*self.disk, &path, OPEN_MODE)?;
        let staged = self.staging.join(LOG_FILE);
        if found(fs::symlink_metadata(&staged)).map_err(DiskError::io("look at", &staged))?.is_some() {
            self.disk.remove(&staged).map_err(DiskError::io("remove", &staged))?;
        }
        let file = self.disk.create_file(&staged).map_err(DiskError::io("create", &staged))?;
        let mut rest = content;
        while !rest.is_empty() {
            let written = self.disk.write(&file, rest).map_err(DiskError::io("write", &staged))?;
            rest = rest.get(written..).unwrap_or_default();
        }
        self.disk.sync(&file).map_err(DiskError::io("sync", &staged))?;
        let log = open_folder(&path)?;
        match self.disk.rename(&staged, &log, name) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                self.disk.remove(&staged).map_err(DiskError::io("remove", &staged))?;
                return Ok(false);
            }
            renamed => renamed.map_err(DiskError::io("publish", &path.join(name)))?,
        }
        self.disk.sync(&log).map_err(DiskError::io("sync", &path))?;
        Ok(true)
    }

    fn put_in_bucket(&self, objects: &Objects, name: &str, content: &[u8]) -> Result<bool, DiskError> {
        let here = |error| DiskError::io("write in", &self.staging)(error);
        let mut file = tempfile::tempfile().map_err(here)?;
        file.write_all(content).map_err(here)?;
        file.rewind().map_err(here)?;
        let key = objects.key_under(&format!("{LOG_FOLDER}/{name}"));
        let upload =
            Upload { key: &key, file: &file, bytes: content.len() as u64, sha256: Sha256::digest(content).into() };
        match objects.put(&upload) {
            Ok(()) => Ok(true),
            Err(DiskError::Exists { .. }) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Makes sure that what was seen of the log stays: a process before may have failed to.
    pub(super) fn sync(&self) -> Result<(), DiskError> {
        match &self.at {
            At::Folder(_) => {
                let path = self.path();
                self.disk.sync(&open_folder(&path)?).map_err(DiskError::io("sync", &path))
            }
            At::Bucket(_) => Ok(()),
        }
    }

    /// Takes the whole log away: in a folder in one step, in a bucket the oldest first, so that who reads in between, and who finds
    /// what a killed process has left, sees the table as it was or a log that is damaged, never an earlier table.
    pub(super) fn remove(&self) -> Result<(), DiskError> {
        match &self.at {
            At::Folder(folder) => {
                let path = self.path();
                if found(fs::symlink_metadata(&path)).map_err(DiskError::io("look at", &path))?.is_none() {
                    return Ok(());
                }
                let staging = open_folder(&self.staging)?;
                self.disk.rename(&path, &staging, OLD_LOG).map_err(DiskError::io("move away", &path))?;
                folder.sync_folder(&folder.root)?;
                let old = self.staging.join(OLD_LOG);
                self.disk.remove(&old).map_err(DiskError::io("remove", &old))
            }
            At::Bucket(objects) => {
                for (name, _) in self.list()? {
                    objects.delete_under(&format!("{LOG_FOLDER}/{name}"))?;
                }
                Ok(())
            }
        }
    }
}
