//! One question: is each done stay with samples in exactly one visible file? Asked of the journal and of the disk; `verify`,
//! `status`, `prune` and the start of a run answer from here.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    path::PathBuf,
};

use chrono::NaiveDate;

use super::{
    active::TableLook,
    file::{compare, has_built_bytes, name_of, open},
    table,
};
use crate::{
    dataset::Dataset,
    dates::Dates,
    error::{Chain, Error},
    journal::{Astray, FileRow, Journal},
    printable::Printable,
    store::{
        self, FileName, Listing, PartFile, Store, Trust,
        disk::{IS_STRANGER, IS_UNKNOWN},
        table::Active,
    },
    words::Count,
};

/// What was found of one date.
#[derive(Debug, Default)]
pub struct Look {
    /// The published files that are as they should be, as far as was looked.
    pub sound: Vec<FileRow>,
    /// What is not as it should be.
    pub faults: Vec<Fault>,
    /// Whether another program has put the rows of published files into files of its own in the table.
    pub is_rewritten: bool,
}

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

/// What is wrong with files of vcq's own form, and with others, that are not published: nothing, if they were a table's, or are files
/// of others, which a table's readers see only where it has them. Where there is no table any more, readers take what was one's for
/// data.
pub(super) fn unexplained<'a>(
    own: Vec<PathBuf>,
    others: Vec<PathBuf>,
    active: Option<&'a Active>,
    old: &'a BTreeSet<String>,
) -> impl Iterator<Item = Fault> + use<'a> {
    let own = own.into_iter().map(|path| (Fault::Unknown as fn(PathBuf) -> Fault, path));
    let others = others.into_iter().map(|path| (Fault::Stranger as fn(PathBuf) -> Fault, path));
    own.chain(others).filter_map(move |(fault, path)| {
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default().to_owned();
        let is_old = old.contains(&name);
        match active {
            None if is_old => Some(Fault::Old(path)),
            None => Some(fault(path)),
            Some(_) => (!is_old && FileName::parse(&name).is_some()).then(|| fault(path)),
        }
    })
}

/// What to do with what is none of vcq's.
const MOVE_AWAY: &str = "move it away";

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

/// Looks at one date. `listing` is what its folder holds.
pub fn look(journal: &Journal, store: &Store, date: NaiveDate, listing: Listing, depth: Depth) -> Result<Look, Error> {
    let mut look = Look::default();
    let can_be_rebuilt = !journal.is_pruned(date)?;
    let mut visible: BTreeMap<FileName, PartFile> = listing.files.into_iter().map(|part| (part.name, part)).collect();
    let files = journal.files_on(date)?;
    let old = journal.old_names(Dataset::Quality, date)?;
    let published = || files.iter().filter(|file| file.published);
    let names = published().map(name_of).collect::<Result<_, _>>()?;
    let rows = published().map(|file| file.samples).sum();
    let in_table = TableLook::new((listing.active.as_ref(), &listing.sizes), (&names, rows), can_be_rebuilt);
    look.is_rewritten = in_table.is_rewritten();
    let others_faults = in_table.others_faults(store, Some((journal, &files)), depth)?;
    for file in files {
        let name = name_of(&file)?;
        let part = visible.remove(&name);
        if file.published && in_table.is_in_others(name) {
            look.sound.extend(others_faults.is_empty().then_some(file));
            continue;
        }
        let Some(part) = part else {
            let missing = Fault::Missing { name, can_be_rebuilt };
            look.faults.push(if file.published { missing } else { Fault::Intended });
            continue;
        };
        if !file.published {
            look.faults.push(Fault::Intended);
        } else if let Some(what) = difference(journal, store, &file, part.bytes, depth)? {
            look.faults.push(Fault::Changed { what, can_be_rebuilt });
        } else {
            look.sound.push(file);
        }
    }
    let paths = visible.into_keys().map(|name| store.path_of(date, name)).collect();
    look.faults.extend(unexplained(paths, listing.strangers, listing.active.as_ref(), &old));
    look.faults.extend(others_faults);
    look.faults.extend(in_table.fault(&look.faults));
    let Astray { unpublished, misfiled } = journal.astray(date)?;
    look.faults.extend((unpublished > 0).then_some(Fault::Unpublished(unpublished)));
    look.faults.extend((misfiled > 0).then_some(Fault::Misfiled(misfiled)));
    Ok(look)
}

/// How a visible file differs from what was published.
fn difference(
    journal: &Journal,
    store: &Store,
    file: &FileRow,
    bytes: u64,
    depth: Depth,
) -> Result<Option<String>, Error> {
    if file.bytes != Some(bytes) {
        let expected = file.bytes.unwrap_or_default();
        return Ok(Some(format!("`part-{}.parquet` has {bytes} bytes, not {expected}", file.name)));
    }
    if depth == Depth::Names {
        return Ok(None);
    }
    let is_changed = || format!("`part-{}.parquet` has been changed", file.name);
    if depth == Depth::Kept && store.is_in_bucket() {
        return Ok((!has_built_bytes(store, file, Trust::Kept)?).then(is_changed));
    }
    // The digest finds any byte that was changed; the rows tell whether the journal still means the same.
    let read_back = || {
        if !has_built_bytes(store, file, Trust::Bytes)? {
            return Err(Error::Damaged(is_changed()));
        }
        compare(journal, file, open(store, file)?)
    };
    match read_back() {
        Ok(()) => Ok(None),
        Err(error @ Error::Journal(_)) => Err(error),
        Err(error) => {
            // The digest that the store keeps says that it is as it was: whatever goes by that takes it for sound.
            let first = if store.is_in_bucket() && has_built_bytes(store, file, Trust::Kept)? {
                ", though the digest beside it has not: delete this object first; then"
            } else {
                ""
            };
            Ok(Some(format!("{}{first}", Chain(&error))))
        }
    }
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

/// Makes sure, before a request is spent, that dataset and journal are of each other: by names and sizes, without reading
/// a row. Dates on which another process is publishing are left out.
///
/// A run that only asks again for the dates `refreshed` may be the way out of files that are missing or changed: it is
/// stopped by files on these dates alone that are not known.
///
/// # Errors
///
/// [`Error::Mismatch`] with what is missing, changed or not known; [`DiskError::Table`](crate::store::disk::DiskError::Table) if the
/// table's log cannot be gone on with.
pub fn check(journal: &Journal, store: &Store, refreshed: Option<Dates>) -> Result<(), Error> {
    let mut found = Vec::new();
    // A table that is still to be made has nothing yet.
    let is_begun = table::check(journal, store, Dataset::Quality)?.is_some();
    let at_once = store.at_once()?;
    for date in dates(journal, &at_once)? {
        if look(journal, &at_once, date, at_once.list(date)?, Depth::Names)?.faults.is_empty() {
            continue;
        }
        let before = journal.files_on(date)?;
        let look = look(journal, store, date, store.list(date)?, Depth::Names)?;
        let is_at_work = journal.intent_on(date)?.is_some() || journal.files_on(date)? != before;
        let stops = |fault: &Fault| {
            !is_at_work && (is_begun || !matches!(fault, Fault::Table { .. })) && fault.stops(date, refreshed)
        };
        let told = |fault: Fault| (format!("date={date}: {fault}"), fault.remedy(Dataset::Quality, date));
        found.extend(look.faults.into_iter().filter(stops).map(told));
    }
    if !found.is_empty() && at_once.partitions()?.dates.is_empty() {
        return Err(gone(store, found.len()));
    }
    if refreshed.is_none() {
        found.extend(beside(store)?);
    }
    mismatch(found.into_iter())
}

/// That nothing at all is there of a dataset of which so many files are published.
pub(super) fn gone(store: &Store, files: usize) -> Error {
    let log = store.log_path();
    let root = Printable(log.parent().unwrap_or(&log).display()).to_string();
    Error::Mismatch {
        what: format!("none of its {} is in `{root}`", Count(files, "published file")),
        remedies: "was the dataset moved, was `output` (or `discover.meetings`, `discover.participants`) changed, or is a mount \
                   missing? Put that right and run again; if the files are lost, `vcq rebuild` publishes them again from the landed \
                   pages that were not dropped"
            .into(),
    }
}

/// What stands beside the dates of a dataset and is read as if it were one: what, and what to do about it.
pub(super) fn beside(store: &Store) -> Result<impl Iterator<Item = (String, String)>, Error> {
    let strangers = store.strangers_read()?.into_iter().map(Fault::Stranger);
    Ok(strangers.map(|fault| (fault.to_string(), MOVE_AWAY.to_owned())))
}

/// The error that stops a run before its first request, if anything was found: what, and what to do about it.
pub(super) fn mismatch(found: impl Iterator<Item = (String, String)>) -> Result<(), Error> {
    let (what, remedies): (Vec<_>, Vec<_>) = found.unzip();
    if what.is_empty() {
        return Ok(());
    }
    Err(Error::Mismatch { what: listed(&what), remedies: each_once(remedies) })
}

/// The dates that have a folder, or files by the journal, in order.
pub fn dates(journal: &Journal, store: &Store) -> Result<Vec<NaiveDate>, Error> {
    let mut dates = store.partitions()?.dates;
    dates.extend(journal.file_dates()?);
    dates.sort_unstable();
    dates.dedup();
    Ok(dates)
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
