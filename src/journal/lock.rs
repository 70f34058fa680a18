//! Locks between processes: held by the kernel, so they end with their process however it ends.
//!
//! Who only reads the journal shares a lock with others who do, and creates no file for it.

use std::{
    fs::{File, OpenOptions, TryLockError},
    io::{self, Read as _, Seek as _, Write as _},
    os::unix::fs::OpenOptionsExt,
};

use super::{Journal, JournalError};

const FETCH_LOCK: &str = "fetch.lock";
const PUBLISH_LOCK: &str = "publish.lock";
const WAITING_LOCK: &str = "waiting.lock";

/// How much is read of what the holder of a lock says of itself.
const HOLDER_BYTES_MAX: u64 = 200;

/// Held for as long as the value lives.
#[derive(Debug)]
pub struct Lock {
    /// None if the one who holds it only reads, and nobody has taken it ever.
    file: Option<File>,
}

impl Journal {
    /// The right to send requests, if no other process has it.
    pub fn try_lock_fetching(&self) -> Result<Option<Lock>, JournalError> {
        self.try_lock(FETCH_LOCK)
    }

    /// Says beside the right to send requests who has it, for those who wait.
    pub fn tell_holder(&self, fetching: &Lock, who: &str) {
        // Whoever cannot read it waits all the same.
        let told = fetching.file.as_ref().map(|mut file| {
            file.set_len(0)?;
            file.seek(io::SeekFrom::Start(0))?;
            file.write_all(who.as_bytes())
        });
        drop(told);
    }

    /// Who has the right to send requests, or had it last, as far as it was said.
    pub fn holder(&self) -> Option<String> {
        let mut who = String::new();
        let file = File::open(self.folder().join(FETCH_LOCK)).ok()?;
        file.take(HOLDER_BYTES_MAX).read_to_string(&mut who).ok()?;
        Some(who).filter(|who| !who.is_empty())
    }

    /// The right to change the dataset, if no other process has it.
    pub fn try_lock_publishing(&self) -> Result<Option<Lock>, JournalError> {
        self.try_lock(PUBLISH_LOCK)
    }

    /// The right to change the dataset, or to rely on nobody changing it; waits for a process that is publishing or rebuilding.
    pub fn lock_publishing(&self) -> Result<Lock, JournalError> {
        let file = self.open_lock(PUBLISH_LOCK)?;
        let locked = match &file {
            Some(file) if self.is_read_only => file.lock_shared(),
            Some(file) => file.lock(),
            None => Ok(()),
        };
        locked.map_err(|source| self.lock_error(PUBLISH_LOCK, source))?;
        Ok(Lock { file })
    }

    /// Says, for as long as the lock is held, that this process waits for the one that fetches. Several may.
    pub fn wait_for_fetching(&self) -> Result<Lock, JournalError> {
        let file = self.open_lock(WAITING_LOCK)?;
        let locked = file.as_ref().map_or(Ok(()), File::lock_shared);
        locked.map_err(|source| self.lock_error(WAITING_LOCK, source))?;
        Ok(Lock { file })
    }

    /// Whether another process waits for the one that fetches.
    pub fn is_waited_for(&self) -> Result<bool, JournalError> {
        Ok(self.try_lock(WAITING_LOCK)?.is_none())
    }

    fn try_lock(&self, name: &'static str) -> Result<Option<Lock>, JournalError> {
        let file = self.open_lock(name)?;
        let locked = match &file {
            Some(file) if self.is_read_only => file.try_lock_shared(),
            Some(file) => file.try_lock(),
            None => Ok(()),
        };
        match locked {
            Ok(()) => Ok(Some(Lock { file })),
            Err(TryLockError::WouldBlock) => Ok(None),
            Err(TryLockError::Error(source)) => Err(self.lock_error(name, source)),
        }
    }

    fn open_lock(&self, name: &'static str) -> Result<Option<File>, JournalError> {
        let path = self.folder().join(name);
        let mut options = OpenOptions::new();
        if self.is_read_only {
            options.read(true);
        } else {
            options.create(true).truncate(false).write(true).mode(0o600);
        }
        match options.open(&path) {
            Ok(file) => Ok(Some(file)),
            Err(error) if self.is_read_only && error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(source) => Err(JournalError::Io { operation: "open", path, source }),
        }
    }

    fn lock_error(&self, name: &'static str, source: io::Error) -> JournalError {
        JournalError::Io { operation: "lock", path: self.folder().join(name), source }
    }
}
