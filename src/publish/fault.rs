//! What can be wrong with a date, in words, and what to do about it.

use std::{fmt, path::PathBuf};

use chrono::NaiveDate;

use crate::{
    dataset::Dataset,
    dates::Dates,
    error::Error,
    printable::Printable,
    store::{
        self, FileName,
        disk::{IS_STRANGER, IS_UNKNOWN},
    },
};

/// What is wrong with a date, with its remedy.
#[derive(Debug, PartialEq, Eq)]
pub enum Fault {
    /// A published file is not there.
    Missing {
        /// Its name.
        name: FileName,
        /// Whether its pages are, so that it can be built again.
        can_be_rebuilt: bool,
    },
    /// A published file is there, and is not what was published.
    Changed {
        /// What is wrong with it.
        what: String,
        /// Whether its pages are there, so that it can be built again.
        can_be_rebuilt: bool,
    },
    /// A file of vcq's own form that this journal does not know.
    Unknown(PathBuf),
    /// A file that was the table's, before the dataset was files again.
    Old(PathBuf),
    /// Something else in the folder, which readers may take for data.
    Stranger(PathBuf),
    /// A publication that was begun and not recorded as done.
    Intended,
    /// Done stays that are in no file.
    Unpublished(u64),
    /// Done stays that are said to be in a file that is no more.
    Misfiled(u64),
    /// What was listed since is not published.
    Outdated,
    /// The table has something else of the date than what is published.
    Table {
        /// What, and what not.
        what: String,
        /// Whether what is published can be entered again.
        can_be_rebuilt: bool,
    },
    /// The table has rows of another program's of which the journal knows nothing: published beside them, they would be there twice.
    Unexplained {
        /// What, and what is published.
        what: String,
        /// Whether what the journal has of the date can take their place.
        can_be_rebuilt: bool,
    },
    /// A file of another program that is the table's cannot be read as the log says.
    Others {
        /// What is wrong with it.
        what: String,
        /// Whether vcq's own file can take its place.
        can_be_rebuilt: bool,
    },
}

/// What to do with what is none of vcq's.
pub(super) const MOVE_AWAY: &str = "move it away";

/// How closely to look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Depth {
    /// At names and sizes.
    Names,
    /// At every byte and every row of what lies in a folder; of what is in a bucket at names, sizes and the digests that the
    /// store keeps.
    Kept,
    /// At every byte and every row.
    Rows,
}

impl Fault {
    /// True if it is of none of vcq's files, and read as if it were: by the name that all readers look for.
    fn is_read(&self) -> bool {
        matches!(self, Self::Stranger(path) if store::is_read(path))
    }

    /// Whether a run is not to begin beside it, as it stands on `date`, if it only asks again for the dates `refreshed`.
    pub(super) fn stops(&self, date: NaiveDate, refreshed: Option<Dates>) -> bool {
        match self {
            Self::Missing { .. } | Self::Changed { .. } | Self::Table { .. } | Self::Others { .. } => {
                refreshed.is_none()
            }
            fault if matches!(fault, Self::Unknown(_) | Self::Unexplained { .. }) || fault.is_read() => {
                refreshed.is_none_or(|dates| dates.contain(date))
            }
            _ => false,
        }
    }

    /// True if readers may not get rows that are done.
    pub fn is_lack(&self) -> bool {
        !matches!(self, Self::Stranger(_) | Self::Unknown(_))
    }

    /// What to do about it, on `date` of `dataset`.
    pub fn remedy(&self, dataset: Dataset, date: NaiveDate) -> String {
        match self {
            Self::Missing { can_be_rebuilt: true, .. } | Self::Changed { can_be_rebuilt: true, .. } => {
                format!("`vcq rebuild --from {date} --to {date}` publishes it again from its landed pages")
            }
            Self::Missing { .. } | Self::Changed { .. } => {
                let again = match dataset {
                    Dataset::Quality => format!(", or `vcq export --refresh {date}` asks for it again"),
                    Dataset::Meetings | Dataset::Participants => String::new(),
                };
                format!(
                    "its landed pages have been dropped: put the file back from a backup, or `vcq archive import` an archive \
                     of the date and `vcq rebuild --from {date} --to {date}`{again}"
                )
            }
            Self::Unknown(_) => {
                "restore the journal that knows it, or `vcq adopt` takes what it holds into this one".to_owned()
            }
            Self::Stranger(_) => MOVE_AWAY.to_owned(),
            Self::Old(_) => {
                "the next `vcq export` or `vcq rebuild` deletes what vcq has put; move away what other programs have"
                    .to_owned()
            }
            Self::Intended => "the next `vcq export` or `vcq rebuild` settles it".to_owned(),
            Self::Outdated => {
                format!(
                    "the next `vcq discover` or `vcq export` publishes it, or `vcq rebuild --from {date} --to {date}`"
                )
            }
            Self::Table { can_be_rebuilt: true, .. } => format!(
                "`vcq rebuild --from {date} --to {date}` enters what is published; where other programs are writing to the table, \
                 look again when they are done"
            ),
            Self::Table { .. } => "`vcq rebuild --new-table` makes the table anew from the files that the journal knows; where other \
                 programs are writing to the table, look again when they are done"
                .to_owned(),
            Self::Unexplained { can_be_rebuilt: true, .. } => format!(
                "restore the journal that has published them; or `vcq rebuild --from {date} --to {date}` puts what this journal has of \
                 the date in their place"
            ),
            Self::Unexplained { .. } => "restore the journal that has published them; or RESTORE the table to a version that has vcq's \
                 own files of the date, and `vcq adopt`; or delete the date from the table, or `vcq rebuild --new-table` to have in it \
                 what this journal has published and nothing else: what is missing then is asked for again"
                .to_owned(),
            Self::Others { can_be_rebuilt: true, .. } => {
                format!("`vcq rebuild --from {date} --to {date}` puts vcq's own file in the place of the other program's")
            }
            Self::Others { .. } => format!(
                "put the file back from a backup; the landed pages of the date have been dropped: `vcq archive import` an archive of \
                 the date and `vcq rebuild --from {date} --to {date}` puts vcq's own file in its place"
            ),
            Self::Unpublished(_) | Self::Misfiled(_) => {
                format!("the next `vcq export` publishes them, or `vcq rebuild --from {date} --to {date}`")
            }
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing { name, .. } => write!(f, "`{name}` is missing"),
            Self::Changed { what, .. } | Self::Others { what, .. } => f.write_str(what),
            Self::Unknown(path) => write!(f, "`{}` {IS_UNKNOWN}", Printable(path.display())),
            Self::Old(path) => {
                write!(
                    f,
                    "`{}` was replaced in the table that is no more, and is read again",
                    Printable(path.display())
                )
            }
            Self::Stranger(path) => {
                write!(f, "`{}` {IS_STRANGER}", Printable(path.display()))
            }
            Self::Intended => f.write_str("a publication was cut, or is under way"),
            Self::Unpublished(stays) => write!(f, "{stays} done stays are in no file"),
            Self::Table { what, .. } | Self::Unexplained { what, .. } => write!(f, "the table has {what}"),
            Self::Outdated => f.write_str("more has been listed than is published"),
            Self::Misfiled(stays) => write!(f, "{stays} done stays are said to be in a file that is no more"),
        }
    }
}

/// The error that stops a run before its first request, if anything was found: what, and what to do about it.
pub(super) fn mismatch(found: impl Iterator<Item = (String, String)>) -> Result<(), Error> {
    let (what, remedies): (Vec<_>, Vec<_>) = found.unzip();
    if what.is_empty() {
        return Ok(());
    }
    Err(Error::Mismatch { what: listed(&what), remedies: each_once(remedies) })
}

/// Faults that are told one by one when a run is stopped; `vcq verify` lists all.
const LISTED_MAX: usize = 5;

fn listed(found: &[String]) -> String {
    let more = found.len().saturating_sub(LISTED_MAX);
    let more = (more > 0).then(|| format!("and {more} more"));
    found.iter().take(LISTED_MAX).cloned().chain(more).collect::<Vec<_>>().join("; ")
}

/// What to do, for each kind once.
fn each_once(all: Vec<String>) -> String {
    let mut remedies: Vec<String> = Vec::new();
    for remedy in all {
        if !remedies.contains(&remedy) && remedies.len() < LISTED_MAX {
            remedies.push(remedy);
        }
    }
    format!("{}; `vcq verify` lists all", remedies.join("; "))
}
