//! A journal that is only read: nothing is created in its folder, which may be one that cannot be written.
//!
//! To read a database with a log, SQLite needs two files beside it. Where it can make them, it does, and takes them away
//! again. Where the folder cannot be written there are three cases: they are there, as another user's process is at work; there
//! is no log, so that the database alone is everything; or there is a log that nobody has taken in, which is refused.

use std::{
    env,
    ffi::OsString,
    fs,
    os::unix::ffi::{OsStrExt, OsStringExt},
    path::{Path, PathBuf},
};

use rusqlite::{Connection, OpenFlags, config::DbConfig};
use rustix::fs::Access;

use super::{
    BUSY_TIMEOUT, CACHE_KIB, FORMAT, Identity, Journal, JournalError, STATEMENTS_MAX, database_path, foreign, look_for,
};

impl Journal {
    /// Opens the journal in `folder` to read it.
    ///
    /// # Errors
    ///
    /// [`JournalError::Missing`] if there is none, [`JournalError::Foreign`] if it is another program's, [`JournalError::Identity`] if
    /// it was begun otherwise, and [`JournalError::Old`] or [`JournalError::Log`] if it would have to be written to be read.
    pub fn read(folder: &Path, identity: &Identity) -> Result<Self, JournalError> {
        look_for(folder)?;
        let journal = Self::reading(connect(folder)?, folder)?;
        foreign::check(&journal.db, folder)?;
        let found: u32 = journal.db.query_row("PRAGMA user_version", [], |row| row.get(0))?;
        let path = database_path(folder);
        match found {
            FORMAT => {}
            0 => return Err(JournalError::Missing(folder.to_owned())),
            1..FORMAT => return Err(JournalError::Old { path, found }),
            _ => return Err(JournalError::Format { path, found }),
        }
        let has_answers = journal.has_answers()?;
        if journal.has_stays()? {
            let is_bound = |key| has_answers || !identity.of_the_api().iter().any(|(free, _)| *free == key);
            let keys = identity.keys().into_iter().filter(|(key, _)| is_bound(*key));
            keys.into_iter().try_for_each(|(key, value)| journal.check(key, value))?;
        }
        Ok(journal)
    }

    /// An empty journal that is in no folder, in place of the one that there will be in `folder`.
    pub fn nowhere(folder: &Path) -> Result<Self, JournalError> {
        let db = Connection::open_in_memory()?;
        db.execute_batch(include_str!("schema.sql"))?;
        Self::reading(db, folder)
    }

    /// Where files without a name stand: the state folder, or the system's where that cannot be written.
    pub fn spool_folder(&self) -> PathBuf {
        if self.has_folder() { self.folder.clone() } else { env::temp_dir() }
    }

    /// True if files can be created in the state folder.
    pub fn has_folder(&self) -> bool {
        is_writable(&self.folder)
    }

    fn reading(db: Connection, folder: &Path) -> Result<Self, JournalError> {
        db.busy_timeout(BUSY_TIMEOUT)?;
        db.set_prepared_statement_cache_capacity(STATEMENTS_MAX);
        db.pragma_update(None, "cache_size", -CACHE_KIB)?;
        db.pragma_update(None, "query_only", true)?;
        Ok(Self {
            db,
            folder: folder.to_owned(),
            is_read_only: true,
            freed: Vec::new(),
            discovers: false,
            owned_upto: (0, 0),
        })
    }
}

fn connect(folder: &Path) -> Result<Connection, JournalError> {
    let path = database_path(folder);
    let log = folder.join("journal.sqlite-wal");
    if is_writable(folder) && is_writable(&path) {
        return Ok(Connection::open_with_flags(&path, OpenFlags::SQLITE_OPEN_READ_WRITE)?);
    }
    let has_log = fs::metadata(&log).is_ok_and(|log| log.len() > 0);
    if !has_log {
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_URI;
        return Ok(Connection::open_with_flags(immutable(&path), flags)?);
    }
    let db = Connection::open_with_flags(&path, OpenFlags::SQLITE_OPEN_READ_ONLY)?;
    match db.query_row("SELECT count(*) FROM sqlite_schema", [], |_| Ok(())) {
        Err(error) if error.sqlite_error_code() == Some(rusqlite::ErrorCode::CannotOpen) => {
            Err(JournalError::Log { path: log })
        }
        read => Ok(read.map(|()| db)?),
    }
}

/// Makes sure that the database in `folder` is a journal, or nothing yet.
///
/// # Errors
///
/// [`JournalError::Foreign`] if it is not.
pub(super) fn refuse_foreign(folder: &Path) -> Result<(), JournalError> {
    if fs::metadata(database_path(folder)).is_ok_and(|metadata| metadata.len() == 0) {
        return Ok(());
    }
    let db = connect(folder)?;
    // Nor is what another program has left in a log to be taken in.
    db.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)?;
    foreign::check(&db, folder)
}

fn is_writable(path: &Path) -> bool {
    rustix::fs::access(path, Access::WRITE_OK).is_ok()
}

/// The name of a database that nobody changes, as SQLite takes it.
fn immutable(path: &Path) -> PathBuf {
    let mut uri = b"file:".to_vec();
    for byte in path.as_os_str().as_bytes() {
        match byte {
            b'%' | b'?' | b'#' => uri.extend_from_slice(format!("%{byte:02X}").as_bytes()),
            byte => uri.push(*byte),
        }
    }
    uri.extend_from_slice(b"?immutable=1");
    OsString::from_vec(uri).into()
}
