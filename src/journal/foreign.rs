//! Whose a database is: other programs keep theirs under any name, and what is theirs is neither read nor changed.

use std::path::Path;

use rusqlite::Connection;

use super::{JournalError, database_path};

/// What SQLite keeps in the head of each journal from format 6 on: `vcqj`.
pub(super) const APPLICATION_ID: i32 = i32::from_be_bytes(*b"vcqj");

/// Makes sure that an open database in `folder` is a journal, or nothing yet.
///
/// # Errors
///
/// [`JournalError::Foreign`] if it is not.
pub(super) fn check(db: &Connection, folder: &Path) -> Result<(), JournalError> {
    const HAS_TABLES: &str = "SELECT EXISTS (SELECT 1 FROM sqlite_schema)";
    // Older formats have no mark, but the table of what each journal was begun with.
    const HAS_META: &str = "
        SELECT count(*) = 2 FROM sqlite_schema JOIN pragma_table_info(sqlite_schema.name) AS column
        WHERE sqlite_schema.type = 'table' AND sqlite_schema.name = 'meta' AND column.name IN ('key', 'value')";
    const HAS_ZONE: &str = "SELECT EXISTS (SELECT 1 FROM meta WHERE key = 'timezone')";
    let foreign = || JournalError::Foreign { path: database_path(folder) };
    let is = |sql| db.query_row(sql, [], |row| row.get::<_, bool>(0));
    let number = |sql| db.query_row(sql, [], |row| row.get::<_, i32>(0));
    let is_ours = match (number("PRAGMA application_id")?, number("PRAGMA user_version")?) {
        (APPLICATION_ID, _) => true,
        (0, 0) if !is(HAS_TABLES)? => true,
        (0, 1..) => is(HAS_META)? && is(HAS_ZONE)?,
        _ => false,
    };
    if is_ours { Ok(()) } else { Err(foreign()) }
}
