//! Why a table's log could not be read or written, by what the operator does next.

use delta_kernel::KernelError;

use super::{COMMITS_MAX, log::Log};
use crate::{printable::Printable, store::disk::DiskError};

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
    Rewritten(chrono::NaiveDate),
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

/// What the kernel said, as an error of this log.
pub(super) fn told(log: &Log, error: KernelError) -> DiskError {
    let source = match error {
        KernelError::GenericError { source } => match source.downcast::<DiskError>() {
            Ok(ours) => return *ours,
            Err(other) => TableError::Damaged(on_one_line(&other.to_string())),
        },
        KernelError::Backtraced { source, .. } => return told(log, *source),
        KernelError::Unsupported(what) => TableError::Newer(on_one_line(&what)),
        error => TableError::Damaged(on_one_line(&error.to_string())),
    };
    DiskError::Table { path: log.path(), source }
}

/// The longest text of the kernel that is told, in characters.
const SAID_CHARS_MAX: usize = 300;

fn on_one_line(text: &str) -> String {
    let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    Printable(line.chars().take(SAID_CHARS_MAX).collect::<String>()).to_string()
}
