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
    /// The log ends before what the journal has seen of it: it was put back from a backup, or is cut.
    #[error("the table's log ends with version {found}; the journal has seen version {known}")]
    Older {
        /// The latest version that was seen.
        known: u64,
        /// The last one in the log.
        found: u64,
    },
    /// There is a log that the journal does not know, and it lacks what is published.
    #[error("the table's log is not of what is published: of {0} it has other files")]
    Behind(NaiveDate),
    /// Published files that are to be a table's are not there, and cannot be built again.
    #[error(
        "published files of {dates} dates are not there, the first of {first}, and their landed pages have been dropped: a new table \
         lacks their rows"
    )]
    Lacking {
        /// How many dates.
        dates: usize,
        /// The first of them.
        first: NaiveDate,
    },
    /// Another program's file of what was a table is in the place of a dataset of files.
    #[error("a file that another program has put for the table is still there: {0}")]
    LeftByOthers(String),
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
    /// A date of which the table has a file that is not there.
    #[error("a file of {0} that the table has is not there")]
    Absent(NaiveDate),
}

impl TableError {
    /// What the operator can do about it.
    pub fn hint(&self) -> &'static str {
        match self {
            Self::Missing
            | Self::OtherTable { .. }
            | Self::OtherColumns(_)
            | Self::Damaged(_)
            | Self::Older { .. }
            | Self::Behind(_) => {
                "put the log back from a backup, or correct the dataset's place; or `vcq rebuild --new-table` takes the log that \
                 is there away and makes the table anew from the files that the journal knows, and from landed pages where they \
                 are gone"
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
            Self::Lacking { .. } => {
                "put the files that `vcq verify` names back from a backup, or `vcq archive import` an archive of their dates; then run \
                 it again"
            }
            Self::LeftByOthers(_) => {
                "move it away: readers of files count its rows besides those of vcq's own file; then run again"
            }
            Self::Rewritten(_) | Self::Absent(_) => "`vcq rebuild` of the date puts vcq's own file in its place",
        }
    }
}
