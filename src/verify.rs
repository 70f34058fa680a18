//! `vcq verify`: the dataset read back and compared with the journal, partition by partition.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
};

use chrono::NaiveDate;

use crate::{
    config::Config,
    dataset::{Dataset, FileName},
    error::{Chain, Error, ExitCode},
    journal::{FileRow, Journal},
    publish::{compare, open, sha256},
    run::identity,
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

/// Compares every file under the dataset's folder with the journal.
///
/// # Errors
///
/// If journal or folder cannot be read; what differs is no error but a finding.
pub fn verify(config: &Config) -> Result<Verified, Error> {
    let journal = Journal::open_existing(&config.state, &identity(config))?;
    let dataset = Dataset::open(&config.output)?;
    // Nothing may be published between the two listings.
    let _publishing = journal.lock_publishing()?;
    let listing = dataset.list()?;
    let mut visible: BTreeMap<(NaiveDate, String), u64> =
        listing.files.iter().map(|part| ((part.date, part.name.to_string()), part.bytes)).collect();
    let mut verified = Verified::default();
    for stranger in &listing.strangers {
        verified.faults.push(format!("`{}` is no file of vcq's; readers may take it for data", stranger.display()));
    }
    let files = journal.files()?;
    let unfinished: BTreeSet<NaiveDate> = files.iter().filter(|file| !file.published).map(|file| file.date).collect();
    for date in &unfinished {
        verified.faults.push(format!("date={date}: a publication was cut; `vcq export` and `vcq rebuild` finish it"));
    }
    visible.retain(|(date, _), _| !unfinished.contains(date));
    for file in files.iter().filter(|file| file.published && !unfinished.contains(&file.date)) {
        let fault = verify_file(&journal, &dataset, file, &mut visible);
        match fault {
            None => verified.count(file),
            Some(fault) => verified.faults.push(fault),
        }
    }
    for (date, name) in visible.into_keys() {
        verified.faults.push(format!("`date={date}/{name}` is not in the journal"));
    }
    Ok(verified)
}

fn verify_file(
    journal: &Journal,
    dataset: &Dataset,
    file: &FileRow,
    visible: &mut BTreeMap<(NaiveDate, String), u64>,
) -> Option<String> {
    let Ok(digits) = u64::from_str_radix(&file.name, 16) else {
        return Some(format!("the journal names a file `{}`", file.name));
    };
    let name = FileName::new(digits);
    let Some(bytes) = visible.remove(&(file.date, name.to_string())) else {
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
