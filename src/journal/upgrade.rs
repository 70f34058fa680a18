//! Journals of older formats: upgraded in place when they are opened, after a copy of the old one has been made.
//!
//! The upgrade is one transaction: cut anywhere, the next start finds the old journal, or the new one. The copy is made by
//! a second connection, which reads the state before the transaction, page by page in constant memory.

use std::{
    fs::{self, File},
    io,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    time::Duration,
};

use rusqlite::{Connection, backup::Backup};

use super::{FORMAT, JournalError, database_path, foreign::APPLICATION_ID};

/// What brings a journal of each older format, from 1 on, to the next one.
const UPGRADES: [&str; FORMAT as usize - 1] = [
    include_str!("upgrade_2.sql"),
    include_str!("upgrade_3.sql"),
    include_str!("upgrade_4.sql"),
    include_str!("upgrade_5.sql"),
    include_str!("upgrade_6.sql"),
];

/// Database pages copied at a time.
const COPY_PAGES: i32 = 4096;

/// Brings a journal of format `found` to this version's, within the transaction that `db` has begun.
pub(super) fn upgrade(db: &Connection, folder: &Path, found: u32) -> Result<(), JournalError> {
    let path = database_path(folder);
    let upgrades =
        (found as usize).checked_sub(1).and_then(|done| UPGRADES.get(done..)).filter(|left| !left.is_empty());
    let Some(upgrades) = upgrades else { return Err(JournalError::Format { path, found }) };
    let copy = folder.join(format!("journal.sqlite.format-{found}"));
    tracing::info!(copy = %copy.display(), "upgrading the journal from format {found} to {FORMAT}");
    back_up(&path, &copy).map_err(|source| JournalError::BackUp { copy, source: Box::new(source) })?;
    for upgrade in upgrades {
        db.execute_batch(upgrade)?;
    }
    db.pragma_update(None, "user_version", FORMAT)?;
    db.pragma_update(None, "application_id", APPLICATION_ID)?;
    Ok(())
}

/// Copies the database as it was before the transaction; the copy has its name once it is whole and synced. What could not be
/// copied whole is taken away: on a full disk it would keep the next attempt from its room.
fn back_up(path: &Path, copy: &Path) -> Result<(), BackUpError> {
    let unfinished = PathBuf::from(format!("{}.unfinished", copy.display()));
    let copied = copy_whole(path, &unfinished, copy);
    if copied.is_err() {
        drop(fs::remove_file(&unfinished));
        drop(fs::remove_file(format!("{}-journal", unfinished.display())));
    }
    copied
}

fn copy_whole(path: &Path, unfinished: &Path, copy: &Path) -> Result<(), BackUpError> {
    match fs::remove_file(unfinished) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error.into()),
        _ => {}
    }
    let source = Connection::open(path)?;
    let mut target = Connection::open(unfinished)?;
    fs::set_permissions(unfinished, fs::Permissions::from_mode(0o600))?;
    Backup::new(&source, &mut target)?.run_to_completion(COPY_PAGES, Duration::ZERO, None)?;
    target.close().map_err(|(_, error)| error)?;
    File::open(unfinished)?.sync_all()?;
    fs::rename(unfinished, copy)?;
    let folder = copy.parent().unwrap_or(Path::new("."));
    Ok(File::open(folder)?.sync_all()?)
}

/// Why the copy could not be made.
#[derive(Debug, thiserror::Error)]
pub enum BackUpError {
    /// SQLite refused.
    #[error(transparent)]
    Sql(#[from] rusqlite::Error),
    /// The system refused.
    #[error(transparent)]
    Io(#[from] io::Error),
}
