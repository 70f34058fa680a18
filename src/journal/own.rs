//! The stays that this process reports and exits for: tables that end with the process.

use chrono::NaiveDate;
use rusqlite::{Connection, params};

use super::{Journal, JournalError, Manifested, StayId, stay::date_from_row};

/// Makes sure that the tables are there.
pub(super) fn create(db: &Connection) -> Result<(), JournalError> {
    // Neither file and line nor discovered: asked for again for an earlier run.
    const OWN_TABLES: &str = "
        CREATE TEMP TABLE IF NOT EXISTS mine (
            stay       INTEGER PRIMARY KEY,
            file       INTEGER,
            line       INTEGER,
            discovered INTEGER NOT NULL DEFAULT 0
        ) STRICT;
        -- The dates that are discovered, and the meetings that their listings have.
        CREATE TEMP TABLE IF NOT EXISTS mine_date (date INTEGER PRIMARY KEY) STRICT;
        CREATE TEMP TABLE IF NOT EXISTS mine_meeting (meeting INTEGER PRIMARY KEY) STRICT;";
    Ok(db.execute_batch(OWN_TABLES)?)
}

/// Makes a stay this process's own, which names it at `at`; the first place of a manifest that names it counts.
pub(super) fn insert(db: &Connection, stay: StayId, at: Manifested) -> Result<(), JournalError> {
    const OWN: &str = "
        INSERT INTO mine (stay, file, line) VALUES (?1, ?2, ?3)
        ON CONFLICT DO UPDATE SET file = excluded.file, line = excluded.line WHERE line IS NULL";
    db.prepare_cached(OWN)?.execute(params![stay, at.file, at.line])?;
    Ok(())
}

impl Journal {
    /// The dates of this process's own stays, and those that it discovers, oldest first.
    pub fn own_dates(&self) -> Result<Vec<NaiveDate>, JournalError> {
        const OWN_DATES: &str = "
            -- A second reading has the negative number of the first, and is of its date.
            SELECT stay.date FROM mine JOIN stay ON stay.id = abs(mine.stay) WHERE stay.date IS NOT NULL
            UNION SELECT date FROM mine_date
            ORDER BY 1";
        let mut statement = self.db.prepare_cached(OWN_DATES)?;
        let dates = statement.query_map([], |row| date_from_row(row, 0))?;
        Ok(dates.collect::<Result<_, _>>()?)
    }

    /// Makes sure that it is known which stays are this process's own: none so far.
    pub fn own_none(&self) -> Result<(), JournalError> {
        create(&self.db)
    }
}
