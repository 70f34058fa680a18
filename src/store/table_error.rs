//! What can be wrong with the log of a table, by what the operator does next.

use chrono::NaiveDate;

/// How often a commit is tried while other programs are faster.
pub(super) const COMMITS_MAX: u32 = 10;

/// What is wrong with a table.
#[derive(Debug, thiserror::Error)]
pub enum TableError {
    /// The journal has entered files into it, and there is no log.
    #[error("the table's log is missing")]
    Missing,
    /// The log is of another table than the one that the journal has entered files into.
    #[error("the log is of another table: its id is {found}, not {known}")]
    OtherTable {
        /// The id that the journal knows.
        known: String,
        /// The id in the log.
        found: String,
    },
    /// The table's columns are not the dataset's.
    #[error("the log is of another table: {0}")]
    OtherColumns(String),
    /// The log is not whole, or not one.
    #[error("the table's log cannot be read: {0}")]
    Damaged(String),
    /// The log asks of its readers or writers what this version cannot do.
    #[error("the table asks for more than this version of vcq can do: {0}")]
    Newer(String),
    /// Other programs were always first.
    #[error("other programs have changed the table {COMMITS_MAX} times in between")]
    Conflicts,
    /// A dataset that is no table has a log.
    #[error("there is a table's log, and `table` is \"files\"")]
    NoTable,
    /// A date that another program has rewritten, where only vcq's own files can be read.
    #[error("another program has rewritten {0} in the table")]
    Rewritten(NaiveDate),
}

impl TableError {
    /// What the operator can do about it.
    pub fn hint(&self) -> &'static str {
        match self {
            Self::Missing | Self::OtherTable { .. } | Self::OtherColumns(_) | Self::Damaged(_) => {
                "put the log back from a backup, or correct the dataset's place; or `vcq rebuild --new-table` takes the log that \
                 is there away and makes the table anew from the files that the journal knows"
            }
            Self::Newer(_) => {
                "use a newer version of vcq; or `vcq rebuild --new-table` takes the log away and makes the table anew from the \
                 files that the journal knows"
            }
            Self::Conflicts => "run again when the other programs are done with it: nothing is lost",
            Self::NoTable => {
                "set `table` to \"delta\"; or remove the folder `_delta_log` once nobody reads the table, and run again: vcq then \
                 removes the old files too"
            }
            Self::Rewritten(_) => "`vcq rebuild` of the date puts vcq's own file in its place",
        }
    }
}
