//! Locks between processes: held by the kernel, so they end with their process however it ends.

use std::{
    fs::{File, OpenOptions, TryLockError},
    os::unix::fs::OpenOptionsExt,
};

use super::{Journal, JournalError};

const PUBLISH_LOCK: &str = "publish.lock";

/// Held for as long as the value lives.
#[derive(Debug)]
pub struct Lock {
    _file: File,
}

impl Journal {
    /// The right to send requests, if no other process has it.
    pub fn try_lock_fetching(&self) -> Result<Option<Lock>, JournalError> {
        self.try_lock("fetch.lock")
    }

    /// The right to change the dataset, if no other process has it.
    pub fn try_lock_publishing(&self) -> Result<Option<Lock>, JournalError> {
        self.try_lock(PUBLISH_LOCK)
    }

    /// The right to change the dataset; waits for a process that is publishing or rebuilding.
    pub fn lock_publishing(&self) -> Result<Lock, JournalError> {
        let file = self.open_lock(PUBLISH_LOCK)?;
        file.lock().map_err(|source| self.lock_error(PUBLISH_LOCK, source))?;
        Ok(Lock { _file: file })
    }

    fn try_lock(&self, name: &'static str) -> Result<Option<Lock>, JournalError> {
        let file = self.open_lock(name)?;
        match file.try_lock() {
            Ok(()) => Ok(Some(Lock { _file: file })),
            Err(TryLockError::WouldBlock) => Ok(None),
            Err(TryLockError::Error(source)) => Err(self.lock_error(name, source)),
        }
    }

    fn open_lock(&self, name: &'static str) -> Result<File, JournalError> {
        let path = self.folder().join(name);
        OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .mode(0o600)
            .open(&path)
            .map_err(|source| JournalError::Io { operation: "open", path, source })
    }

    fn lock_error(&self, name: &'static str, source: std::io::Error) -> JournalError {
        JournalError::Io { operation: "lock", path: self.folder().join(name), source }
    }
}
