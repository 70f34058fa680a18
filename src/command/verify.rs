//! `vcq verify`: the dataset read back and compared with the journal, partition by partition; and the journal itself, its
//! structure and its landed pages. Nothing is changed and nothing created.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    path::PathBuf,
};

use chrono::NaiveDate;
use serde::{Serialize, Serializer};
use serde_json::json;

use crate::{
    config::Config,
    dataset::Dataset,
    dates::Dates,
    error::{Error, ExitCode},
    journal::{DamagedPages, FileRow, Identity, Journal, Share, State},
    printable::Printable,
    publish::{
        listed::{self, ListedLook},
        look::{Depth, Fault, Look, look},
    },
    start::Start,
    store::disk::IS_STRANGER,
    words::Count,
};

/// What was found.
#[derive(Debug, Default)]
pub struct Verified {
    dates: Vec<(NaiveDate, Look)>,
    /// The datasets that come from listings, date by date.
    listed: Vec<(Dataset, NaiveDate, ListedLook)>,
    /// What stands beside the partitions.
    strangers: Vec<PathBuf>,
    /// Stays that a run has yet to ask for, or to ask for again, by date: nothing is published of them.
    pending: BTreeMap<NaiveDate, u64>,
    /// Done stays of dates that a process at work has yet to publish.
    waiting: Vec<(NaiveDate, u64)>,
    /// What SQLite finds wrong with the journal's structure; none if it was not looked at.
    structure: Option<Vec<String>>,
    /// The landed pages; none if they were not looked at.
    landed: Option<DamagedPages>,
}

/// How much is looked at.
#[derive(Clone, Copy, Debug, Default)]
pub struct Extent {
    /// The dates whose files are compared; none: all.
    pub dates: Option<Dates>,
    /// Whether the dataset is compared with the journal, and the journal itself is not looked at.
    pub is_quick: bool,
    /// Whether files in a bucket are fetched and read too.
    pub is_deep: bool,
}

impl Extent {
    fn depth(&self) -> Depth {
        if self.is_deep { Depth::Rows } else { Depth::Kept }
    }

    fn has(&self, date: NaiveDate) -> bool {
        self.dates.is_none_or(|dates| dates.contain(date))
    }
}

/// Looks at all that there is.
///
/// # Errors
///
/// As those of [`verify_within`].
pub fn verify(config: &Config, start: &Start) -> Result<Verified, Error> {
    verify_within(config, start, Extent::default())
}

/// Compares every file under the dataset's folder with the journal, date by date, and makes sure that each done stay with
/// samples is in one of them; and, unless it is to be quick, that the journal itself is sound.
///
/// # Errors
///
/// If journal or folder cannot be read; what differs is no error but a finding. [`Error::Stopped`] if it was told to stop.
pub fn verify_within(config: &Config, start: &Start, extent: Extent) -> Result<Verified, Error> {
    let mut journal = Journal::read(&config.state, &Identity::of_landed(config))?;
    if extent.is_quick {
        return compare(&journal, config, start, extent);
    }
    let stop = start.stop.clone();
    let stopped = || Error::Stopped("the journal itself was not verified".into());
    let structure = journal.structure_faults(move || stop.is_requested())?.ok_or_else(stopped)?;
    let is_damaged = !structure.is_empty();
    let verify_rest = || -> Result<Verified, Error> {
        let landed = journal.damaged_pages(Share::ALL, || start.stop.is_requested())?.ok_or_else(stopped)?;
        Ok(Verified { landed: Some(landed), ..compare(&journal, config, start, extent)? })
    };
    let verified = match verify_rest() {
        // What cannot be read for damage that has been found is no news.
        Err(Error::Journal(error)) if is_damaged && error.is_corrupt() => Verified::default(),
        verified => verified?,
    };
    Ok(Verified { structure: Some(structure), ..verified })
}

fn compare(journal: &Journal, config: &Config, start: &Start, extent: Extent) -> Result<Verified, Error> {
    let dataset = start.stores(config).existing(&config.output)?;
    // Nothing may be published between the listings.
    let _publishing = journal.lock_publishing()?;
    let dataset = dataset.at_once()?;
    let found = dataset.partitions()?;
    let mut dates: BTreeSet<NaiveDate> = found.dates.into_iter().collect();
    dates.extend(journal.file_dates()?);
    let coverage = journal.coverage()?;
    dates.extend(coverage.iter().filter(|row| row.state == State::Done).map(|row| row.date));
    dates.retain(|date| extent.has(*date));
    let is_fetching = journal.try_lock_fetching()?.is_none();
    let mut verified = Verified { strangers: found.strangers, ..Verified::default() };
    for row in coverage.iter().filter(|row| extent.has(row.date) && is_to_be_asked_for(row.state)) {
        *verified.pending.entry(row.date).or_default() += row.stays;
    }
    let count = dates.len() as u64;
    for (number, date) in (0..).zip(dates) {
        start.count("dates", number, Some(count));
        if start.stop.is_requested() {
            return Err(Error::Stopped(format!("{} dates verified", verified.dates.len())));
        }
        let mut look = look(journal, &dataset, date, dataset.list(date)?, extent.depth())?;
        look.faults.retain(|fault| match fault {
            Fault::Unpublished(stays) if is_fetching => {
                verified.waiting.push((date, *stays));
                false
            }
            _ => true,
        });
        verified.dates.push((date, look));
    }
    for dataset in Dataset::LISTED {
        compare_listed(journal, config, start, (dataset, extent, is_fetching), &mut verified)?;
    }
    Ok(verified)
}

/// The same of a dataset that comes from listings.
fn compare_listed(
    journal: &Journal,
    config: &Config,
    start: &Start,
    (dataset, extent, is_fetching): (Dataset, Extent, bool),
    verified: &mut Verified,
) -> Result<(), Error> {
    let Some(place) = config.discover.place(dataset) else { return Ok(()) };
    let store = start.stores(config).existing(place)?.at_once()?;
    verified.strangers.extend(store.partitions()?.strangers);
    for date in listed::dates(journal, &store, dataset)?.into_iter().filter(|date| extent.has(*date)) {
        if start.stop.is_requested() {
            return Err(Error::Stopped(format!("{} was not verified to its end", dataset.name())));
        }
        let mut look = listed::look(journal, &store, (dataset, date), extent.depth())?;
        // A process that is fetching publishes what it has listed.
        look.faults.retain(|fault| !(is_fetching && *fault == Fault::Outdated));
        verified.listed.push((dataset, date, look));
    }
    Ok(())
}

/// Whether a run has yet to ask for such a stay: it is in no file until then.
fn is_to_be_asked_for(state: State) -> bool {
    matches!(state, State::Pending | State::Young | State::Failed)
}

impl Verified {
    /// 74 if something differs or is damaged.
    pub fn exit_code(&self) -> ExitCode {
        if self.fault_count() == 0 && !self.is_journal_damaged() { ExitCode::Complete } else { ExitCode::Disk }
    }

    /// What is not as it should be, by date.
    pub fn faults(&self) -> impl Iterator<Item = (NaiveDate, &Fault)> {
        self.dates.iter().flat_map(|(date, look)| look.faults.iter().map(|fault| (*date, fault)))
    }

    fn is_journal_damaged(&self) -> bool {
        let structure = self.structure.iter().any(|faults| !faults.is_empty());
        structure || self.landed.iter().any(|pages| !pages.are_sound())
    }

    fn fault_count(&self) -> usize {
        self.faults().count() + self.listed_faults().count() + self.strangers.len()
    }

    fn listed_faults(&self) -> impl Iterator<Item = (Dataset, NaiveDate, &Fault)> {
        self.listed.iter().flat_map(|(dataset, date, look)| look.faults.iter().map(|fault| (*dataset, *date, fault)))
    }
}

/// What is told of a date whose rows are in other files of the table than those that were published.
const BY_OTHERS: &str = ", rewritten by another program";

/// Version of the JSON's form: within one, keys are only added.
const VERIFY_VERSION: u32 = 1;

/// The JSON of `vcq verify`.
impl Serialize for Verified {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let fault = |(date, fault): (&NaiveDate, &Fault)| json!({ "dataset": "quality", "date": date, "problem": fault.to_string(), "remedy": fault.remedy(Dataset::Quality, *date) });
        let listed_fault = |(dataset, date, fault): (Dataset, NaiveDate, &Fault)| {
            let remedy = fault.remedy(dataset, date);
            json!({ "dataset": dataset.name(), "date": date, "problem": fault.to_string(), "remedy": remedy })
        };
        let faults = self.faults().map(|(date, found)| fault((&date, found)));
        let faults: Vec<_> = faults.chain(self.listed_faults().map(listed_fault)).collect();
        let of_date = |(date, look): &(NaiveDate, Look)| {
            let sum = |count: fn(&FileRow) -> u64| look.sound.iter().map(count).sum::<u64>();
            let (stays, rows) = (sum(|file| file.stays), sum(|file| file.samples));
            json!({ "dataset": "quality", "date": date, "files": look.sound.len(), "stays": stays, "rows": rows, "rewritten": look.is_rewritten })
        };
        let of_listed = |(dataset, date, look): &(Dataset, NaiveDate, ListedLook)| {
            let file = look.sound.as_ref()?;
            Some(
                json!({ "dataset": dataset.name(), "date": date, "files": 1, "stays": null, "rows": file.rows, "rewritten": look.is_rewritten }),
            )
        };
        let sound = self.dates.iter().map(of_date).chain(self.listed.iter().filter_map(of_listed)).collect::<Vec<_>>();
        let by_date = |counts: &mut dyn Iterator<Item = (NaiveDate, u64)>| {
            counts.map(|(date, stays)| json!({ "date": date, "stays": stays })).collect::<Vec<_>>()
        };
        let damaged_pages = self.landed.as_ref().map(|pages| pages.damaged.values().sum::<u64>());
        json!({
            "verify_version": VERIFY_VERSION,
            "exit_code": self.exit_code() as u8,
            "sound": sound,
            "problems": faults,
            "strangers": self.strangers,
            "waiting": by_date(&mut self.waiting.iter().copied()),
            "pending": by_date(&mut self.pending.iter().map(|(date, stays)| (*date, *stays))),
            "journal_problems": self.structure,
            "landed_pages": self.landed.as_ref().map(|pages| pages.looked_at),
            "damaged_pages": damaged_pages,
        })
        .serialize(serializer)
    }
}

impl fmt::Display for Verified {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (date, Look { sound, is_rewritten, .. }) in self.dates.iter().filter(|(_, look)| !look.sound.is_empty()) {
            let sum = |count: fn(&FileRow) -> u64| sound.iter().map(count).sum::<u64>();
            let (stays, rows) = (Count(sum(|file| file.stays), "stay"), Count(sum(|file| file.samples), "row"));
            let by_others = if *is_rewritten { BY_OTHERS } else { "" };
            writeln!(f, "ok    date={date}  {}  {stays}  {rows}{by_others}", Count(sound.len(), "file"))?;
        }
        for (dataset, date, look) in &self.listed {
            if let Some(file) = &look.sound {
                let by_others = if look.is_rewritten { BY_OTHERS } else { "" };
                writeln!(f, "ok    {} date={date}  {}{by_others}", dataset.name(), Count(file.rows, "row"))?;
            }
        }
        for (date, stays) in &self.waiting {
            writeln!(
                f,
                "wait  date={date}  {}: the process that is fetching publishes them",
                Count(*stays, "done stay")
            )?;
        }
        if !self.pending.is_empty() {
            let (stays, dates) = (self.pending.values().sum::<u64>(), self.pending.len());
            writeln!(
                f,
                "wait  {} of {} {} pending or failed, and in no file: `vcq status` names the dates",
                Count(stays, "stay"),
                Count(dates, "date"),
                if stays == 1 { "is" } else { "are" }
            )?;
        }
        for path in &self.strangers {
            writeln!(f, "FAIL  `{}` {IS_STRANGER}: move it away", Printable(path.display()))?;
        }
        for (date, fault) in self.faults() {
            writeln!(f, "FAIL  date={date}  {fault}: {}", fault.remedy(Dataset::Quality, date))?;
        }
        for (dataset, date, fault) in self.listed_faults() {
            writeln!(f, "FAIL  {} date={date}  {fault}: {}", dataset.name(), fault.remedy(dataset, date))?;
        }
        if let Some(faults) = &self.structure {
            write_structure(f, faults)?;
        }
        if let Some(pages) = &self.landed {
            write_landed(f, pages)?;
        }
        match self.fault_count() {
            0 if self.is_journal_damaged() => writeln!(f, "the journal is damaged"),
            0 if !self.pending.is_empty() => {
                writeln!(f, "dataset and journal agree; not all that is queued is there yet")
            }
            0 => writeln!(f, "dataset and journal agree"),
            count => writeln!(f, "{}", Count(count, "difference")),
        }
    }
}

/// SQLite's findings, and the remedy of all together.
fn write_structure(f: &mut fmt::Formatter<'_>, faults: &[String]) -> fmt::Result {
    if faults.is_empty() {
        return writeln!(f, "ok    journal  its structure is sound");
    }
    for fault in faults {
        writeln!(f, "FAIL  journal  {}", Printable(fault))?;
    }
    let remedy = "stop all runs, keep a copy of the state folder, and restore the journal from a backup (`vcq adopt` takes in \
                  what was published since)";
    if faults.iter().all(|fault| fault.contains("index")) {
        writeln!(f, "      {remedy}; where only indexes are named, `sqlite3 journal.sqlite REINDEX` mends them")
    } else {
        writeln!(f, "      {remedy}")
    }
}

/// The landed pages by date, each with its remedy.
fn write_landed(f: &mut fmt::Formatter<'_>, pages: &DamagedPages) -> fmt::Result {
    let DamagedPages { looked_at, damaged, damaged_listed } = pages;
    if pages.are_sound() {
        return writeln!(f, "ok    journal  {looked_at} landed pages are what was landed");
    }
    for (date, pages) in damaged {
        match date {
            Some(date) => writeln!(
                f,
                "FAIL  date={date}  {pages} landed pages are damaged: restore the journal from a backup, or `vcq export \
                 --refresh {date}` asks for the date again; what is published of it is not touched"
            )?,
            None => writeln!(
                f,
                "FAIL  journal  {pages} landed pages are damaged and of no stay: restore the journal from a backup"
            )?,
        }
    }
    for (date, pages) in damaged_listed {
        let of = date.map_or_else(|| "journal".into(), |date| format!("date={date}"));
        writeln!(
            f,
            "FAIL  {of}  {pages} landed pages of listings are damaged: restore the journal from a backup; what is published is not \
             touched"
        )?;
    }
    Ok(())
}
