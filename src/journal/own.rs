//! The stays that this process reports and exits for: a table that ends with the process.

use rusqlite::{Connection, params};

use super::{Journal, JournalError, Manifested, StayId};

/// Makes sure that the table is there.
pub(super) fn create(db: &Connection) -> Result<(), JournalError> {
    // No file and line: asked for again for an earlier manifest.
    const OWN_TABLE: &str = "
        CREATE TEMP TABLE IF NOT EXISTS mine (
            stay INTEGER PRIMARY KEY,
            file INTEGER,
            line INTEGER
        ) STRICT;";
    Ok(db.execute_batch(OWN_TABLE)?)
}

/// Makes a stay this process's own, which names it at `at`; the first place that names it counts.
pub(super) fn insert(db: &Connection, stay: StayId, at: Manifested) -> Result<(), JournalError> {
    const OWN: &str = "INSERT INTO mine (stay, file, line) VALUES (?1, ?2, ?3) ON CONFLICT DO NOTHING";
    db.prepare_cached(OWN)?.execute(params![stay, at.file, at.line])?;
    Ok(())
}

impl Journal {
    /// Makes sure that it is known which stays are this process's own: none so far.
    pub fn own_none(&self) -> Result<(), JournalError> {
        create(&self.db)
    }
}
