//! `vcq verify`: the dataset read back and compared with the journal, partition by partition.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    path::PathBuf,
};

use chrono::NaiveDate;

use crate::{
    config::Config,
    dataset::{Dataset, FileName, Listing, PartFile},
    error::{Chain, Error, ExitCode},
    journal::{FileRow, Journal},
    publish::{compare, open, sha256},
    run::identity,
    start::Start,
};

/// What was found.
#[derive(Debug, Default)]
pub struct Verified {
    dates: BTreeMap<NaiveDate, Date>,
    /// What does not belong under the dataset's folder, or is missing from it.
    faults: Vec<String>,
}

#[derive(Debug, Default)]
struct Date {
    files: u64,
    stays: u64,
    samples: u64,
}

/// Compares every file under the dataset's folder with the journal, date by date.
///
/// # Errors
///
/// If journal or folder cannot be read; what differs is no error but a finding.
pub fn verify(config: &Config, start: &Start) -> Result<Verified, Error> {
    let journal = Journal::open_existing(&config.state, &identity(config))?;
    let dataset = Dataset::open(start.disk.clone(), &config.output)?;
    // Nothing may be published between the listings.
    let _publishing = journal.lock_publishing()?;
    let found = dataset.dates()?;
    let mut verified = Verified::default();
    verified.add_strangers(&found.strangers);
    let dates: BTreeSet<NaiveDate> = found.dates.iter().copied().chain(journal.file_dates()?).collect();
    for date in dates {
        let has_folder = found.dates.binary_search(&date).is_ok();
        let listing = if has_folder { dataset.list(date)? } else { Listing::default() };
        verified.add_strangers(&listing.strangers);
        let files = journal.files_on(date)?;
        if files.iter().all(|file| file.published) {
            verify_date(&journal, &dataset, &files, listing, &mut verified);
        } else {
            let cut = "a publication was cut; `vcq export` and `vcq rebuild` finish it";
            verified.faults.push(format!("date={date}: {cut}"));
        }
    }
    Ok(verified)
}

/// Compares the files that the journal has of a date with those that are there.
fn verify_date(journal: &Journal, dataset: &Dataset, files: &[FileRow], listing: Listing, verified: &mut Verified) {
    let mut visible: BTreeMap<FileName, PartFile> = listing.files.into_iter().map(|part| (part.name, part)).collect();
    for file in files {
        match verify_file(journal, dataset, file, &mut visible) {
            None => verified.count(file),
            Some(fault) => verified.faults.push(fault),
        }
    }
    for PartFile { date, name, .. } in visible.into_values() {
        verified.faults.push(format!("`date={date}/{name}` is not in the journal"));
    }
}

fn verify_file(
    journal: &Journal,
    dataset: &Dataset,
    file: &FileRow,
    visible: &mut BTreeMap<FileName, PartFile>,
) -> Option<String> {
    let Ok(digits) = u64::from_str_radix(&file.name, 16) else {
        return Some(format!("the journal names a file `{}`", file.name));
    };
    let name = FileName::new(digits);
    let Some(PartFile { bytes, .. }) = visible.remove(&name) else {
        return Some(format!("`date={}/{name}` is missing", file.date));
    };
    if file.bytes != Some(bytes) {
        let expected = file.bytes.unwrap_or_default();
        return Some(format!("`date={}/{name}` has {bytes} bytes, not {expected}", file.date));
    }
    read_back(journal, dataset, file).err().map(|error| Chain(&error).to_string())
}

/// The digest finds any byte that was changed; the rows tell whether the journal still means the same.
fn read_back(journal: &Journal, dataset: &Dataset, file: &FileRow) -> Result<(), Error> {
    if file.sha256 != Some(sha256(file, open(dataset, file)?)?) {
        return Err(Error::Damaged(format!("`date={}/part-{}.parquet` has been changed", file.date, file.name)));
    }
    compare(journal, file, open(dataset, file)?)
}

impl Verified {
    fn add_strangers(&mut self, strangers: &[PathBuf]) {
        let fault = |path: &PathBuf| format!("`{}` is no file of vcq's; readers may take it for data", path.display());
        self.faults.extend(strangers.iter().map(fault));
    }

    fn count(&mut self, file: &FileRow) {
        let date = self.dates.entry(file.date).or_default();
        date.files += 1;
        date.stays += file.stays;
        date.samples += file.samples;
    }

    /// 74 if something differs.
    pub fn exit_code(&self) -> ExitCode {
        if self.faults.is_empty() { ExitCode::Complete } else { ExitCode::Disk }
    }
}

impl fmt::Display for Verified {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (date, Date { files, stays, samples }) in &self.dates {
            writeln!(f, "ok    date={date}  {files} files  {stays} stays  {samples} rows")?;
        }
        for fault in &self.faults {
            writeln!(f, "FAIL  {fault}")?;
        }
        match self.faults.len() {
            0 => writeln!(f, "dataset and journal agree"),
            count => writeln!(f, "{count} differences; `vcq rebuild` publishes a date again from its landed pages"),
        }
    }
}
