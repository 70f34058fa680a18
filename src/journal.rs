//! The journal: the SQLite database that holds stays, landed pages, requests spent and part files.
//!
//! It outlives every process. Each change is one transaction that is on disk when the call returns (WAL,
//! `synchronous = FULL`), so a process may die anywhere between two calls. Several processes may have the journal open;
//! which of them fetches and which publishes is decided by [`Lock`]s, which the system drops with their process.
//!
//! Each statement stands beside the function that runs it; schema and upgrades are files.

mod adopt;
mod damage;
mod discovered;
mod early_end;
mod enqueue;
mod file;
mod foreign;
mod import;
mod listed_archive;
mod listed_file;
mod listed_import;
mod listing;
mod lock;
mod old_file;
mod own;
mod page;
mod prune;
mod quota;
mod reader;
mod reread;
mod sort;
mod stay;
mod suspect;
mod upgrade;

use std::{
    fs::{self, DirBuilder, OpenOptions},
    io,
    os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt},
    path::{Path, PathBuf},
    time::Duration,
};

use rusqlite::{Connection, OptionalExtension, Transaction, TransactionBehavior};

use self::upgrade::{BackUpError, upgrade};
use crate::config::Config;

pub use self::{
    adopt::NewFile,
    damage::{DamagedPages, Share},
    discovered::{Brought, Discovered, Landed, Left, ListedPageId, NewListedPage},
    enqueue::{Merging, Staged, Staging},
    file::{Astray, FileId, FileRow, Intent},
    import::{ArchivedPage, Import, Taken},
    listed_archive::{LandedListedPage, ListedOf},
    listed_file::ListedFile,
    listed_import::{ArchivedListedPage, Contents, ListedImport, ListingsTaken, TakenListed},
    listing::{DateListing, Discovery, Listed, ListingId, MeetingId, QueuedListing},
    lock::Lock,
    page::{NewPage, StayPages},
    prune::Dropped,
    quota::{Slot, SlotId},
    reread::{Reread, Rereading},
    stay::{DateCoverage, Enqueued, Lane, Manifested, OwnStay, QueuedStay, State, StayId, Tally, Verdict},
    suspect::{Aside, Unqueued},
};

/// The format of the journal that this version writes; older ones are upgraded when they are opened.
const FORMAT: u32 = 6;

/// How long a call waits for another process's transaction.
const BUSY_TIMEOUT: Duration = Duration::from_secs(60);

/// SQLite's page cache of one connection.
const CACHE_KIB: i64 = 16 * 1024;

/// The page cache of a further connection.
const CACHE_ANOTHER_KIB: i64 = 4 * 1024;

/// The log's pages are written to the database once there are so many: 16 MiB, as the page cache has.
const LOG_PAGES: i64 = 4096;

/// Prepared statements kept by one connection: more than the journal has.
const STATEMENTS_MAX: usize = 160;

/// The journal's names of what may be given anew until something has come of it.
const APP_ID: &str = "app_id";
const HOST: &str = "host";

/// What must stay the same for as long as the journal has stays; app and host, for as long as anything has come from them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// IANA name of the zone that decides partition dates.
    pub timezone: String,
    /// Kind of the user ids.
    pub user_id_type: String,
    /// Whose open ids they are; empty where no app is configured, as on a machine that only reads.
    pub app_id: String,
    /// The API's host, without its port; empty where nothing is asked.
    pub host: String,
}

impl Identity {
    /// What the configuration says.
    pub fn of(config: &Config) -> Self {
        Self {
            timezone: config.timezone.name().to_owned(),
            user_id_type: config.api.user_id_type.as_str().to_owned(),
            app_id: config.app_id.clone(),
            host: config.api.base_url.host_str().unwrap_or_default().to_owned(),
        }
    }

    /// What binds those who ask for nothing, and only work with what has landed: not whose ids they are, nor which host was asked.
    pub fn of_landed(config: &Config) -> Self {
        Self { app_id: String::new(), host: String::new(), ..Self::of(config) }
    }

    /// What the journal records of it.
    fn keys(&self) -> [(&'static str, &str); 4] {
        let Self { timezone, user_id_type, app_id, host } = self;
        [("timezone", timezone), ("user_id_type", user_id_type), (APP_ID, app_id), (HOST, host)]
    }

    /// What of it says who is asked, and for whom.
    fn of_the_api(&self) -> [(&'static str, &str); 2] {
        [(APP_ID, &self.app_id), (HOST, &self.host)]
    }

    /// The configuration's key of what the journal records.
    fn configured_as(key: &'static str) -> &'static str {
        match key {
            "user_id_type" => "api.user_id_type",
            HOST => "api.base_url",
            key => key,
        }
    }
}

/// Why the journal cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum JournalError {
    /// SQLite refused.
    #[error("SQLite")]
    Sql(#[from] rusqlite::Error),
    /// A folder or lock file.
    #[error("cannot {operation} `{path}`")]
    Io {
        /// What was tried.
        operation: &'static str,
        /// On what.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Written by another version.
    #[error("`{path}` has format {found}, this version reads formats 1 to {FORMAT}")]
    Format {
        /// The database.
        path: PathBuf,
        /// What it says.
        found: u32,
    },
    /// Another program's, which happens to stand there.
    #[error("`{path}` is a database of another program, and not vcq's")]
    Foreign {
        /// The database.
        path: PathBuf,
    },
    /// An older version is at work in it, so that it cannot be upgraded now.
    #[error("`{path}` has format {found}, and a run of the older version is at work in it")]
    AtWork {
        /// The database.
        path: PathBuf,
        /// What it says.
        found: u32,
    },
    /// The copy that comes before an upgrade could not be made; the journal is as it was.
    #[error("cannot copy the journal to `{copy}` before upgrading it")]
    BackUp {
        /// The copy.
        copy: PathBuf,
        /// Why.
        source: Box<BackUpError>,
    },
    /// The configuration no longer fits the stays that are there.
    #[error("the journal was begun with {key} `{journal}`, the configuration says `{configured}`")]
    Identity {
        /// The configuration's key.
        key: &'static str,
        /// The journal's value.
        journal: String,
        /// The configuration's value.
        configured: String,
    },
    /// The same of the app: neither id is told, for what stands in its place by mistake may be the secret.
    #[error("the journal was begun with another `app_id` than that of the configuration")]
    OtherApp,
    /// Written by an older version, and only to be read.
    #[error("`{path}` has format {found} and has to be brought to {FORMAT}, which what only reads it does not do")]
    Old {
        /// The database.
        path: PathBuf,
        /// What it says.
        found: u32,
    },
    /// What was written last stands in the log, which cannot be taken in.
    #[error("the journal's log `{path}` has to be taken in, but its folder cannot be written")]
    Log {
        /// The log.
        path: PathBuf,
    },
    /// There is no journal where a command needs one.
    #[error("there is no journal at `{0}`")]
    Missing(PathBuf),
    /// Manifest rows could not be sorted through the disk.
    #[error("cannot sort the manifest's rows in the state folder")]
    Sort(#[from] io::Error),
    /// A body could not be compressed.
    #[error("cannot compress a page")]
    Compress {
        /// What zstd said.
        source: io::Error,
    },
    /// A body is asked for that has been dropped.
    #[error("the landed pages of stay {stay} have been pruned")]
    Pruned {
        /// The stay.
        stay: StayId,
    },
    /// A page of a listing is asked for that has been dropped.
    #[error("landed pages of listing {listing} have been pruned")]
    PrunedListing {
        /// The listing.
        listing: ListingId,
    },
    /// A landed body of a listing does not decompress to what was landed.
    #[error("page {page} of the listings is damaged")]
    ListedBody {
        /// The page.
        page: ListedPageId,
    },
    /// A landed body does not decompress to what was landed.
    #[error("page {number} of stay {stay} is damaged")]
    Body {
        /// The stay.
        stay: StayId,
        /// The page.
        number: u32,
    },
}

impl JournalError {
    /// True if the operator has to change the command or the configuration.
    pub fn is_usage(&self) -> bool {
        matches!(
            self,
            Self::Format { .. }
                | Self::Identity { .. }
                | Self::OtherApp
                | Self::Foreign { .. }
                | Self::Missing(_)
                | Self::Pruned { .. }
                | Self::PrunedListing { .. }
        )
    }

    /// True if SQLite found its own file damaged.
    pub fn is_corrupt(&self) -> bool {
        matches!(self, Self::Sql(error) if error.sqlite_error_code() == Some(rusqlite::ErrorCode::DatabaseCorrupt))
    }

    /// True if another process holds the journal: that passes by itself.
    pub fn is_busy(&self) -> bool {
        match self {
            Self::Sql(error) => error.sqlite_error_code() == Some(rusqlite::ErrorCode::DatabaseBusy),
            Self::AtWork { .. } => true,
            _ => false,
        }
    }

    /// What to do, where the message does not say it.
    pub fn hint(&self) -> Option<&'static str> {
        match self {
            Self::Sql(error) => match error.sqlite_error_code()? {
                rusqlite::ErrorCode::DiskFull => {
                    Some("free space on the journal's disk and run again: nothing is lost")
                }
                rusqlite::ErrorCode::DatabaseBusy => Some("another process holds the journal: run again"),
                rusqlite::ErrorCode::DatabaseCorrupt | rusqlite::ErrorCode::NotADatabase => {
                    Some("restore the journal from a backup; nothing was overwritten")
                }
                _ => Some("check the state folder's disk and permissions, then run again: nothing is lost"),
            },
            Self::AtWork { .. } => Some("run again when that run has ended: the journal is upgraded then"),
            Self::BackUp { .. } => {
                Some("the copy needs as much room as the journal: free space and run again: nothing has changed")
            }
            Self::Sort(_) => Some("free space on the state folder's disk and run again: nothing is lost"),
            Self::Io { .. } => Some("check `state` in the configuration and the folder's permissions"),
            Self::Format { .. } => {
                Some("use a version of vcq that is as new as the one that wrote it, or another `state` folder")
            }
            Self::Old { .. } => Some(
                "any run brings it up and keeps the old one beside it, as does `vcq adopt`: as the user who owns the folder, or on a \
                 copy of all its files that can be written",
            ),
            Self::Log { .. } => Some(
                "run `vcq status` as the user who owns the folder, or on a copy of all its files that can be written",
            ),
            Self::Foreign { .. } => {
                Some("name another `state` folder, or move the file away; nothing in it was changed")
            }
            Self::Identity { .. } | Self::OtherApp => {
                Some("put the key back, or use other `state` and `output` folders")
            }
            Self::Missing(_) => Some("check `state` in the configuration, or run `vcq export` first"),
            Self::Compress { .. } => None,
            Self::ListedBody { .. } => {
                Some("restore the journal from a backup; what is published is not touched, and other dates go on")
            }
            Self::Pruned { .. } | Self::PrunedListing { .. } => {
                Some("`vcq archive import` brings pages back from an archive that holds them")
            }
            Self::Body { .. } => Some(
                "restore the journal from a backup, or ask again for the date (`vcq export --refresh DATE`); other pages are \
                 not touched",
            ),
        }
    }
}

/// An open journal: one connection, for one thread.
pub struct Journal {
    db: Connection,
    folder: PathBuf,
    /// True if nothing may be changed: in the folder nothing is created either.
    is_read_only: bool,
    /// Slots whose answer is there, not yet written.
    freed: Vec<(SlotId, i64)>,
    /// True if this process has dates to discover.
    discovers: bool,
    /// The last sighting and the last attendance that were looked at for what is this process's own.
    owned_upto: (i64, i64),
}

impl Journal {
    /// Opens the journal in `folder`, which is created with mode 0700 if need be.
    ///
    /// # Errors
    ///
    /// [`JournalError::Format`] and [`JournalError::Identity`] if this journal was begun otherwise.
    pub fn open(folder: &Path, identity: &Identity) -> Result<Self, JournalError> {
        create_private(folder)?;
        create_database(folder)?;
        reader::refuse_foreign(folder)?;
        let journal = Self::connect(folder)?;
        journal.begin(identity)?;
        Ok(journal)
    }

    /// Whether there is a journal in `folder`.
    pub fn exists(folder: &Path) -> Result<bool, JournalError> {
        match look_for(folder) {
            Err(JournalError::Missing(_)) => Ok(false),
            looked => looked.map(|()| true),
        }
    }

    /// Opens the journal in `folder` only if there is one.
    pub fn open_existing(folder: &Path, identity: &Identity) -> Result<Self, JournalError> {
        look_for(folder)?;
        Self::open(folder, identity)
    }

    /// One more connection to the same journal, for another thread: with less memory, for it reads page after page once.
    pub fn another(&self) -> Result<Self, JournalError> {
        let journal = Self::connect(&self.folder)?;
        journal.db.pragma_update(None, "cache_size", -CACHE_ANOTHER_KIB)?;
        Ok(journal)
    }

    /// The state folder.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    fn connect(folder: &Path) -> Result<Self, JournalError> {
        let db = Connection::open(database_path(folder))?;
        db.busy_timeout(BUSY_TIMEOUT)?;
        db.set_prepared_statement_cache_capacity(STATEMENTS_MAX);
        // Only before the first table: space that is no longer used can then be given back without writing all anew.
        db.pragma_update(None, "auto_vacuum", "INCREMENTAL")?;
        db.pragma_update(None, "journal_mode", "WAL")?;
        db.pragma_update(None, "synchronous", "FULL")?;
        db.pragma_update(None, "wal_autocheckpoint", LOG_PAGES)?;
        db.pragma_update(None, "cache_size", -CACHE_KIB)?;
        db.pragma_update(None, "temp_store", "FILE")?;
        Ok(Self {
            db,
            folder: folder.to_owned(),
            is_read_only: false,
            freed: Vec::new(),
            discovers: false,
            owned_upto: (0, 0),
        })
    }

    fn begin(&self, identity: &Identity) -> Result<(), JournalError> {
        let transaction = Transaction::new_unchecked(&self.db, TransactionBehavior::Immediate)?;
        let found: u32 = self.db.query_row("PRAGMA user_version", [], |row| row.get(0))?;
        if found == 0 {
            self.db.execute_batch(include_str!("journal/schema.sql"))?;
            self.db.pragma_update(None, "user_version", FORMAT)?;
            self.db.pragma_update(None, "application_id", foreign::APPLICATION_ID)?;
        } else if found < FORMAT {
            // A run of the older version that is still at work knows rows by numbers that an upgrade may change.
            let at_work = || JournalError::AtWork { path: database_path(&self.folder), found };
            let _fetching = self.try_lock_fetching()?.ok_or_else(at_work)?;
            let _publishing = self.try_lock_publishing()?.ok_or_else(at_work)?;
            upgrade(&self.db, &self.folder, found)?;
        } else if found > FORMAT {
            return Err(JournalError::Format { path: database_path(&self.folder), found });
        }
        // One without stays may be begun anew, by another configuration.
        if !self.has_stays()? {
            for (key, value) in identity.keys() {
                self.set_meta(key, value)?;
            }
        }
        // Whom nothing has come from yet, nothing is owed.
        if !self.has_answers()? {
            for (key, value) in identity.of_the_api().into_iter().filter(|(_, value)| !value.is_empty()) {
                self.set_meta(key, value)?;
            }
        }
        // What an older version did not record, or a command that knew of no app, is what the first that knows it says.
        for (key, value) in identity.keys().into_iter().filter(|(_, value)| !value.is_empty()) {
            if self.meta(key)?.is_none_or(|recorded| recorded.is_empty()) {
                self.set_meta(key, value)?;
            }
        }
        transaction.commit()?;
        identity.keys().into_iter().try_for_each(|(key, value)| self.check(key, value))
    }

    fn check(&self, key: &'static str, configured: &str) -> Result<(), JournalError> {
        match self.meta(key)? {
            Some(journal) if !journal.is_empty() && !configured.is_empty() && journal != configured => {
                if key == APP_ID {
                    return Err(JournalError::OtherApp);
                }
                let key = Identity::configured_as(key);
                Err(JournalError::Identity { key, journal, configured: configured.into() })
            }
            _ => Ok(()),
        }
    }

    fn has_stays(&self) -> Result<bool, JournalError> {
        const HAS_STAYS: &str = "SELECT EXISTS (SELECT 1 FROM stay)";
        Ok(self.db.query_row(HAS_STAYS, [], |row| row.get(0))?)
    }

    /// Whether anything has come of what was asked, or is published.
    fn has_answers(&self) -> Result<bool, JournalError> {
        const HAS_ANSWERS: &str = "
            SELECT EXISTS (SELECT 1 FROM page) OR EXISTS (SELECT 1 FROM listed_page) OR EXISTS (SELECT 1 FROM file)
                OR EXISTS (SELECT 1 FROM listed_file) OR EXISTS (SELECT 1 FROM stay WHERE state <> 0 /* pending */)
                OR EXISTS (SELECT 1 FROM listing WHERE state <> 0 /* pending */)";
        Ok(self.db.query_row(HAS_ANSWERS, [], |row| row.get(0))?)
    }

    fn meta(&self, key: &str) -> Result<Option<String>, JournalError> {
        const META_GET: &str = "SELECT value FROM meta WHERE key = ?1";
        let mut statement = self.db.prepare_cached(META_GET)?;
        Ok(statement.query_row([key], |row| row.get(0)).optional()?)
    }

    fn set_meta(&self, key: &str, value: &str) -> Result<(), JournalError> {
        const META_SET: &str = "
            INSERT INTO meta (key, value) VALUES (?1, ?2) ON CONFLICT (key) DO UPDATE SET value = excluded.value";
        self.db.prepare_cached(META_SET)?.execute([key, value])?;
        Ok(())
    }
}

fn database_path(folder: &Path) -> PathBuf {
    folder.join("journal.sqlite")
}

/// That there is a journal in `folder`.
fn look_for(folder: &Path) -> Result<(), JournalError> {
    let path = database_path(folder);
    match fs::metadata(&path) {
        Ok(_) => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Err(JournalError::Missing(folder.to_owned())),
        Err(source) => Err(JournalError::Io { operation: "look at", path, source }),
    }
}

/// Creates `folder` for its owner alone: it holds personal data.
fn create_private(folder: &Path) -> Result<(), JournalError> {
    let failed = |operation| move |source| JournalError::Io { operation, path: folder.to_owned(), source };
    if !folder.exists() {
        DirBuilder::new().recursive(true).mode(0o700).create(folder).map_err(failed("create the state folder"))?;
        fs::set_permissions(folder, fs::Permissions::from_mode(0o700)).map_err(failed("make private"))?;
    }
    Ok(())
}

/// Creates the database unless it is there, for its owner alone; SQLite gives the files beside it the same permissions.
fn create_database(folder: &Path) -> Result<(), JournalError> {
    let path = database_path(folder);
    let created = OpenOptions::new().create(true).truncate(false).write(true).mode(0o600).open(&path);
    created.map(drop).map_err(|source| JournalError::Io { operation: "open", path, source })
}

#[cfg(test)]
mod tests;
