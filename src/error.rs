//! Errors by what the operator does next, with the exit code and the hint of each.
//!
//! A row that breaks a rule, a value that cannot be read or a stay that the API refuses is data: it is counted and
//! reported, never an [`Error`]. An [`Error`] means that the operator must act.

use std::{error, fmt, io, iter};

use chrono::NaiveDate;

use crate::{
    archive::ArchiveError, config::ConfigError, dates::Dates, feishu::answer::Remedy, journal::JournalError,
    manifest::ManifestError, parquet::ParquetFileError, printable::Printable, read::decode::DecodeError,
    store::disk::DiskError,
};

/// Why a command could not do its work.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The command line asks for something that cannot be done.
    #[error("{0}")]
    Usage(String),
    /// The configuration, or what it names, is not usable.
    #[error("configuration")]
    Config(#[from] ConfigError),
    /// A manifest cannot be read at all.
    #[error("manifest `{file}`")]
    Manifest {
        /// The file as given on the command line.
        file: String,
        /// What is wrong with it.
        source: ManifestError,
    },
    /// An archive cannot be read, or not to its end.
    #[error("archive `{file}`")]
    Archive {
        /// The file as given on the command line.
        file: String,
        /// What is wrong with it.
        source: ArchiveError,
    },
    /// The pages on standard input cannot be read, or not to their end.
    #[error("standard input")]
    Input {
        /// What is wrong with them.
        source: ArchiveError,
    },
    /// A page that cannot be read, where one is enough to end the work.
    #[error("{0}")]
    BadPage(String),
    /// Landed pages are needed that have been dropped.
    #[error("the landed pages of {0} have been pruned")]
    Pruned(NaiveDate),
    /// Credentials or rights: nothing is asked until a person has mended them.
    #[error("{what}")]
    Access {
        /// What the API said, with its code.
        what: String,
        /// What to do.
        remedy: Remedy,
    },
    /// The API cannot be used now.
    #[error("{0}")]
    Upstream(String),
    /// The journal refused.
    #[error("journal")]
    Journal(#[from] JournalError),
    /// The journal refused while answers were under way, and some of them are lost.
    #[error(
        "{answers} {} could not be recorded, and will be asked for again: journal",
        if *answers == 1 { "answer that is paid for" } else { "answers that are paid for" }
    )]
    Unrecorded {
        /// How many.
        answers: u32,
        /// What the journal said of the first one.
        source: JournalError,
    },
    /// The dataset or another file on disk.
    #[error("dataset")]
    Disk(#[from] DiskError),
    /// A file beside the dataset and the journal: a report, a list of rejects, standard output.
    #[error("cannot {operation} `{path}`")]
    File {
        /// What was tried.
        operation: &'static str,
        /// On what.
        path: String,
        /// What the system said.
        source: io::Error,
    },
    /// A landed page is not what was landed.
    #[error("a landed page of stay {stay} is damaged")]
    Page {
        /// The stay's number in the journal.
        stay: i64,
        /// Where the page stops making sense.
        source: DecodeError,
    },
    /// A Parquet file could not be written or read back.
    #[error("Parquet file `{name}`")]
    Parquet {
        /// The file's name.
        name: String,
        /// What the writer or reader said.
        source: ParquetFileError,
    },
    /// What is published of the dates that others are compared with cannot be read.
    #[error("the dates that are compared with, {dates} (`--against` names others)")]
    Against {
        /// These dates.
        dates: Dates,
        /// Why not.
        source: Box<Error>,
    },
    /// The dataset and the journal are not of each other.
    #[error("dataset and journal do not agree, so nothing is asked for or published: {what}")]
    Mismatch {
        /// What was found, date by date.
        what: String,
        /// What to do about each kind of it.
        remedies: String,
    },
    /// The dataset is not what the journal says.
    #[error("{0}")]
    Damaged(String),
    /// Some of what was published or has landed before is no longer what it was.
    #[error("{0}")]
    SpotCheck(String),
    /// The stop signal came; the text says how far the work is.
    #[error("interrupted; {0}")]
    Stopped(String),
    /// The stop signal came before all of the manifests was queued.
    #[error(
        "interrupted; {}",
        if *queued == 0 { "nothing was queued".to_owned() } else { format!("{queued} stays of the manifest are queued, the others are not") }
    )]
    Interrupted {
        /// Stays that were.
        queued: u64,
    },
    /// A promise of this program does not hold.
    #[error("{0}")]
    Bug(String),
}

impl Error {
    /// The exit code of design section 3.
    pub fn exit_code(&self) -> ExitCode {
        match self {
            Self::Usage(_) | Self::Config(_) | Self::Manifest { .. } | Self::Pruned(_) => ExitCode::Usage,
            Self::Archive { source, .. } | Self::Input { source } if source.is_usage() => ExitCode::Usage,
            Self::BadPage(_) => ExitCode::SomeFailed,
            Self::Access { .. } => ExitCode::Access,
            Self::Upstream(_) => ExitCode::Again,
            Self::Journal(error) | Self::Unrecorded { source: error, .. } if error.is_usage() => ExitCode::Usage,
            Self::Journal(error) | Self::Unrecorded { source: error, .. } if error.is_busy() => ExitCode::Again,
            Self::Journal(_)
            | Self::Unrecorded { .. }
            | Self::Archive { .. }
            | Self::Input { .. }
            | Self::Disk(_)
            | Self::File { .. }
            | Self::Page { .. }
            | Self::Parquet { .. }
            | Self::Mismatch { .. }
            | Self::Damaged(_)
            | Self::SpotCheck(_) => ExitCode::Disk,
            Self::Against { source, .. } => source.exit_code(),
            Self::Interrupted { .. } | Self::Stopped(_) => ExitCode::Interrupted,
            Self::Bug(_) => ExitCode::Bug,
        }
    }

    /// True if a bucket has not answered: what was asked of it can be asked later.
    pub fn is_away(&self) -> bool {
        matches!(self, Self::Disk(error) if error.is_away())
    }

    /// What the operator can do about it, where that is not plain from the message.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Access { remedy, .. } => Some(remedy.to_string()),
            Self::Upstream(_) => Some("nothing is lost: run the same command again to continue".into()),
            Self::Journal(error) => error.hint().map(Into::into),
            Self::Unrecorded { source, .. } if source.is_busy() => {
                Some("another process holds the journal: end it, or wait for it, and run again".into())
            }
            Self::Unrecorded { .. } => {
                Some("check room and permissions on the state folder's disk, then run again to continue".into())
            }
            Self::Disk(error) => error.hint().map(Into::into),
            Self::Parquet { source, .. } => disk_error_under(source)?.hint().map(Into::into),
            Self::Against { source, .. } => source.hint(),
            Self::Mismatch { remedies, .. } => Some(remedies.clone()),
            Self::Damaged(_) => Some("`vcq rebuild` publishes these dates again from the landed pages".into()),
            Self::SpotCheck(_) => Some("`vcq verify` looks at all of it and says what to do about each; keep backups of the state folder".into()),
            Self::Archive { source, .. } => (!source.is_usage())
                .then(|| "what was read before has landed; an import of the whole archive goes on from there".into()),
            Self::Pruned(_) => Some(
                "`vcq archive import` brings them back from an archive that holds them; name DATES without it to leave it out"
                    .into(),
            ),
            Self::Page { .. } => Some(
                "restore the journal from a backup, or ask again for the date (`vcq export --refresh DATE`); other dates are \
                 not touched"
                    .into(),
            ),
            Self::Interrupted { .. } => Some("run the same command again to continue".into()),
            Self::Bug(_) => Some("please report this; the journal is untouched since its last commit".into()),
            _ => None,
        }
    }
}

/// What the disk said, if that is why another library failed.
fn disk_error_under<'a>(error: &'a (dyn error::Error + 'static)) -> Option<&'a DiskError> {
    let mut chain = iter::successors(Some(error), |error| error.source());
    chain.find_map(|error| error.downcast_ref::<io::Error>())?.get_ref()?.downcast_ref()
}

/// The exit codes of design section 3: a contract with cron, systemd and scripts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum ExitCode {
    /// Everything asked for is there.
    Complete = 0,
    /// Usage or configuration.
    Usage = 2,
    /// The time limit or the month's limit has ended the run, and it was asked to say so: run again when it is time.
    Planned = 3,
    /// Finished, but some rows were rejected or failed for good.
    SomeFailed = 65,
    /// A bug.
    Bug = 70,
    /// Disk or output.
    Disk = 74,
    /// Stopped early: run again to continue.
    Again = 75,
    /// The answers say so little that somebody should look before anything else is asked.
    Suspicious = 76,
    /// Credentials or permission.
    Access = 77,
    /// Interrupted: run again to continue.
    Interrupted = 130,
}

impl ExitCode {
    /// What it says, in some words.
    pub fn meaning(self) -> &'static str {
        match self {
            Self::Complete => "complete",
            Self::Planned => "ended as planned, to be run again when it is time",
            Self::SomeFailed => "finished, but some rows were rejected or failed",
            Self::Usage => "the command or the configuration is wrong",
            Self::Bug => "a bug",
            Self::Disk => "the disk or the dataset needs somebody",
            Self::Again => "stopped early, to be run again",
            Self::Suspicious => "stopped, because the answers need somebody to look",
            Self::Access => "no credentials or no permission",
            Self::Interrupted => "interrupted, to be run again",
        }
    }
}

impl From<ExitCode> for std::process::ExitCode {
    fn from(code: ExitCode) -> Self {
        Self::from(code as u8)
    }
}

/// An error with its causes on one line, whatever stands in them: `journal: cannot open …: disk full`.
pub struct Chain<'a>(pub &'a dyn error::Error);

impl fmt::Display for Chain<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", Printable(self.0))?;
        let mut source = self.0.source();
        while let Some(cause) = source {
            write!(f, ": {}", Printable(cause))?;
            source = cause.source();
        }
        Ok(())
    }
}
