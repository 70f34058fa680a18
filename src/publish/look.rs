//! One question: is each done stay with samples in exactly one visible file? Asked of the journal and of the disk; `verify`,
//! `status`, `prune` and the start of a run answer from here.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::PathBuf,
};

use chrono::NaiveDate;

pub use super::fault::{Depth, Fault};
use super::{
    active::TableLook,
    fault::{MOVE_AWAY, mismatch},
    file::{compare, has_built_bytes, name_of, open},
    table,
};
use crate::{
    dataset::Dataset,
    dates::Dates,
    error::{Chain, Error},
    journal::{Astray, FileRow, Journal},
    printable::Printable,
    store::{FileName, Listing, PartFile, Store, Trust, table::Active},
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
        found.extend(beside(&at_once)?);
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

/// The dates that have a folder, or files by the journal, in order.
pub fn dates(journal: &Journal, store: &Store) -> Result<Vec<NaiveDate>, Error> {
    let mut dates = store.partitions()?.dates;
    dates.extend(journal.file_dates()?);
    dates.sort_unstable();
    dates.dedup();
    Ok(dates)
}
