//! `vcq verify`: the dataset read back and compared with the journal, partition by partition.

use std::{collections::BTreeSet, fmt, path::PathBuf};

use chrono::NaiveDate;

use crate::{
    config::Config,
    error::{Error, ExitCode},
    journal::{FileRow, Identity, Journal, State},
    printable::Printable,
    publish::look::{Depth, Fault, Look, look},
    start::Start,
    store::{Store, disk::IS_STRANGER},
};

/// What was found.
#[derive(Debug, Default)]
pub struct Verified {
    dates: Vec<(NaiveDate, Look)>,
    /// What stands beside the partitions.
    strangers: Vec<PathBuf>,
    /// Done stays of dates that a process at work has yet to publish.
    waiting: Vec<(NaiveDate, u64)>,
}

/// Compares every file under the dataset's folder with the journal, date by date, and makes sure that each done stay with
/// samples is in one of them.
///
/// # Errors
///
/// If journal or folder cannot be read; what differs is no error but a finding. [`Error::Stopped`] if it was told to stop.
pub fn verify(config: &Config, start: &Start) -> Result<Verified, Error> {
    let journal = Journal::open_existing(&config.state, &Identity::of(config))?;
    let dataset = Store::existing(start.disk.clone(), &config.output)?;
    // Nothing may be published between the listings.
    let _publishing = journal.lock_publishing()?;
    let found = dataset.partitions()?;
    let mut dates: BTreeSet<NaiveDate> = found.dates.into_iter().collect();
    dates.extend(journal.file_dates()?);
    dates.extend(journal.coverage()?.iter().filter(|row| row.state == State::Done).map(|row| row.date));
    let is_fetching = journal.try_lock_fetching()?.is_none();
    let mut verified = Verified { strangers: found.strangers, ..Verified::default() };
    for date in dates {
        if start.stop.is_requested() {
            return Err(Error::Stopped(format!("{} dates verified", verified.dates.len())));
        }
        let mut look = look(&journal, &dataset, date, dataset.list(date)?, Depth::Rows)?;
        look.faults.retain(|fault| match fault {
            Fault::Unpublished(stays) if is_fetching => {
                verified.waiting.push((date, *stays));
                false
            }
            _ => true,
        });
        verified.dates.push((date, look));
    }
    Ok(verified)
}

impl Verified {
    /// 74 if something differs.
    pub fn exit_code(&self) -> ExitCode {
        if self.fault_count() == 0 { ExitCode::Complete } else { ExitCode::Disk }
    }

    /// What is not as it should be, by date.
    pub fn faults(&self) -> impl Iterator<Item = (NaiveDate, &Fault)> {
        self.dates.iter().flat_map(|(date, look)| look.faults.iter().map(|fault| (*date, fault)))
    }

    fn fault_count(&self) -> usize {
        self.faults().count() + self.strangers.len()
    }
}

impl fmt::Display for Verified {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (date, Look { sound, .. }) in self.dates.iter().filter(|(_, look)| !look.sound.is_empty()) {
            let sum = |count: fn(&FileRow) -> u64| sound.iter().map(count).sum::<u64>();
            let (files, stays, samples) = (sound.len(), sum(|file| file.stays), sum(|file| file.samples));
            writeln!(f, "ok    date={date}  {files} files  {stays} stays  {samples} rows")?;
        }
        for (date, stays) in &self.waiting {
            writeln!(f, "wait  date={date}  {stays} done stays: the process that is fetching publishes them")?;
        }
        for path in &self.strangers {
            writeln!(f, "FAIL  `{}` {IS_STRANGER}: move it away", Printable(path.display()))?;
        }
        for (date, fault) in self.faults() {
            writeln!(f, "FAIL  date={date}  {fault}: {}", fault.remedy(date))?;
        }
        match self.fault_count() {
            0 => writeln!(f, "dataset and journal agree"),
            1 => writeln!(f, "1 difference"),
            count => writeln!(f, "{count} differences"),
        }
    }
}
