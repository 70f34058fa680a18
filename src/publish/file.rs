//! A part file between journal and disk: its name, its bytes, its rows.

use std::{fs::File, io};

use chrono::NaiveDate;
use sha2::{Digest, Sha256};

use crate::{
    error::Error,
    journal::{FileRow, Journal},
    parquet::StayRuns,
    store::{FileName, Store, Trust},
};

/// That a published file is not what was built.
pub fn changed(file: &FileRow) -> Error {
    Error::Damaged(format!("`date={}/part-{}.parquet` has been changed", file.date, file.name))
}

/// Makes sure that no landed page of the date has been dropped.
///
/// # Errors
///
/// [`Error::Pruned`] if one has.
pub fn refuse_pruned(journal: &Journal, date: NaiveDate) -> Result<(), Error> {
    if journal.is_pruned(date)? { Err(Error::Pruned(date)) } else { Ok(()) }
}

/// The name that the journal has of a file.
pub fn name_of(file: &FileRow) -> Result<FileName, Error> {
    parse_name(&file.name)
}

/// A name from its digits in the journal.
pub(super) fn parse_name(digits: &str) -> Result<FileName, Error> {
    let parsed = u64::from_str_radix(digits, 16);
    parsed.map(FileName::new).map_err(|_| Error::Bug(format!("the journal names a file `{digits}`")))
}

/// SHA-256 of a file's bytes, which tells `vcq verify` that they are still those that were published; `name` is told if they
/// cannot be read.
pub fn sha256(name: &str, mut written: File) -> Result<[u8; 32], Error> {
    let mut hash = Sha256::new();
    let copied = io::copy(&mut written, &mut hash);
    copied.map_err(|source| Error::File { operation: "read", path: name.to_owned(), source })?;
    Ok(hash.finalize().into())
}

/// Opens a file that the journal knows.
pub fn open(store: &Store, file: &FileRow) -> Result<File, Error> {
    Ok(store.open_file(file.date, name_of(file)?)?)
}

/// Whether a visible file has the bytes that were built.
pub fn has_built_bytes(store: &Store, file: &FileRow, trust: Trust) -> Result<bool, Error> {
    let found = store.sha256(file.date, name_of(file)?, trust)?;
    Ok(found.is_some() && found == file.sha256)
}

/// Whether it is sure that a file whose publishing has failed is not visible and will not be, so that nothing is left of its
/// intent. Where the disk does not say, the next process looks.
pub(super) fn has_left_nothing(error: &Error, store: &Store, (date, name): (NaiveDate, FileName)) -> bool {
    let is_refused = matches!(error, Error::Disk(error) if error.is_refusal());
    let is_unclear = matches!(error, Error::Disk(error) if error.is_unclear());
    is_refused || (!is_unclear && matches!(store.is_visible(date, name), Ok(false)))
}

/// Reads a finished file back and compares it, stay by stay, with what the journal has landed.
///
/// # Errors
///
/// [`Error::Damaged`] naming the first difference.
pub fn compare(journal: &Journal, file: &FileRow, written: File) -> Result<(), Error> {
    let damaged = |what: String| Error::Damaged(format!("file `{}` of {}: {what}", file.name, file.date));
    let failed = |source| Error::Parquet { name: file.name.clone(), source };
    let mut runs = StayRuns::open(written).map_err(failed)?;
    journal.each_member(file, |_, stay, samples| {
        let run = runs.next().transpose().map_err(failed)?;
        let same = run.as_ref().is_some_and(|run| run.is(stay) && run.samples == u64::from(samples));
        if same { Ok(()) } else { Err(damaged(format!("expected {samples} samples of {stay:?}, found {run:?}"))) }
    })?;
    match runs.next().transpose().map_err(failed)? {
        None => Ok(()),
        Some(run) => Err(damaged(format!("unexpected {run:?}"))),
    }
}
