//! `vcq rebuild`: published dates again from their landed pages, without a request.

use std::{collections::BTreeSet, fmt};

use chrono::NaiveDate;
use serde::{Serialize, Serializer};
use serde_json::{Value, json};

use crate::{
    config::Config,
    dataset::Dataset,
    error::{Chain, Error, ExitCode},
    journal::{Identity, Journal},
    observe::report::Texts,
    publish::{Anew, Publication, Publisher, Publishing, listed::ListedPublication},
    start::Start,
    words::Count,
};

/// Skipped dates that are told by name.
const NAMED_MAX: usize = 5;

/// What was rebuilt.
#[derive(Debug, Default)]
pub struct Rebuilt {
    /// Tables that are new, with how many files each was made of; none: its log is sound, and left as it was.
    tables: Vec<(Dataset, Option<u64>)>,
    /// Datasets whose tables lack something, or could not be made anew, and why.
    pub table_failures: Vec<(Dataset, Error)>,
    /// Dates that have a new file.
    pub dates: u64,
    /// Files of meetings and participants that are new; of other dates nothing has changed.
    pub listed: u64,
    texts: Texts,
    /// The files that are visible now.
    files: Vec<Value>,
    /// Dates whose landed pages have been dropped: what is published of them is as it was.
    pub skipped: Vec<NaiveDate>,
    /// Dates that are as they were, and why.
    pub failures: Vec<(NaiveDate, Error)>,
}

/// Builds each date from `from` to `to` that has landed pages anew, puts it in the place of the published one, and tells
/// each file that is visible.
///
/// # Errors
///
/// [`Error::Pruned`], before anything is replaced, if landed pages of one of the dates have been dropped; where no dates are
/// named, such dates are skipped instead. [`Error::Stopped`] if it was told to stop: dates that were told are rebuilt, the others are as they were.
pub fn rebuild(
    config: &Config,
    (from, to): (Option<NaiveDate>, Option<NaiveDate>),
    start: &Start,
    mut told: impl FnMut(&dyn fmt::Display) + Send,
) -> Result<Rebuilt, Error> {
    let is_of_all = from.is_none() && to.is_none();
    let (from, to) = (from.unwrap_or(NaiveDate::MIN), to.unwrap_or(NaiveDate::MAX));
    if from > to {
        return Err(Error::Usage(format!("--from {from} lies after --to {to}")));
    }
    let mut journal = Journal::open_existing(&config.state, &Identity::of_landed(config))?;
    let publisher = Publisher::of(&start.stores(config), config)?;
    let publishing = publisher.begin(&journal)?;
    let mut dates = journal.landed_dates(from, to)?;
    let skipped = if is_of_all { pruned_dates(&journal)? } else { BTreeSet::new() };
    dates.retain(|date| !skipped.contains(date));
    let is_wanted = |date| (from..=to).contains(&date) && !skipped.contains(&date);
    refuse_pruned_listings(&journal, is_wanted)?;
    let is_wanted = |_, date| is_wanted(date);
    let mut rebuilt = Rebuilt { skipped: skipped.iter().copied().collect(), ..Rebuilt::default() };
    replace((&mut journal, &publishing), (&dates, &is_wanted), start, &mut rebuilt, &mut told)?;
    // A signal while the last date was built has cut nothing.
    let is_cut = rebuilt.dates < dates.len() as u64 && start.stop.is_requested();
    if rebuilt.failures.is_empty() && is_cut {
        return Err(Error::Stopped(format!("{} of {} dates rebuilt", rebuilt.dates, dates.len())));
    }
    Ok(rebuilt)
}

/// Puts new files in the place of those of `dates`, and, of what comes from listings, of those that are wanted.
fn replace(
    (journal, publishing): (&mut Journal, &Publishing),
    (dates, is_wanted): (&[NaiveDate], &dyn Fn(Dataset, NaiveDate) -> bool),
    start: &Start,
    rebuilt: &mut Rebuilt,
    told: &mut (dyn FnMut(&dyn fmt::Display) + Send),
) -> Result<(), Error> {
    publishing.replace(journal, dates, &start.stop, |date, replaced| match replaced {
        Ok(publication) => {
            rebuilt.dates += 1;
            start.count("dates", rebuilt.dates, Some(dates.len() as u64));
            rebuilt.texts.add(&publication.unreadable, &publication.unknown);
            let (file, name) = (&publication.file, &publication.name);
            rebuilt.files.push(file_json("quality", file.date, name, (file.samples, publication.bytes)));
            told(&publication);
        }
        Err(error) => rebuilt.failures.push((date, error)),
    })?;
    if !start.stop.is_requested() {
        publishing.replace_listed(journal, is_wanted, &start.stop, |date, replaced| match replaced {
            Ok(publication) => {
                rebuilt.listed += 1;
                let dataset = publication.file.dataset.name();
                rebuilt.texts.add_listed(dataset, &publication.unparsed, &publication.unknown);
                let file = &publication.file;
                rebuilt.files.push(file_json(dataset, file.date, &publication.name, (file.rows, file.bytes)));
                told(&publication);
            }
            Err(error) => rebuilt.failures.push((date, error)),
        })?;
    }
    rebuilt.failures.sort_by_key(|(date, _)| *date);
    Ok(())
}

/// Makes the tables of those datasets anew whose log cannot be gone on with, from the files that the journal has published and that
/// are there; of those that are not, the dates are built from their landed pages. No file is deleted.
///
/// # Errors
///
/// [`Error::Usage`] if datasets are no tables. A dataset whose table cannot be made anew is told, and holds up no other; no date is
/// built then.
pub fn make_tables_anew(
    config: &Config,
    start: &Start,
    mut told: impl FnMut(&dyn fmt::Display) + Send,
) -> Result<Rebuilt, Error> {
    let mut journal = Journal::open_existing(&config.state, &Identity::of_landed(config))?;
    let publisher = Publisher::of(&start.stores(config), config)?;
    let mut rebuilt = Rebuilt::default();
    let mut missing = BTreeSet::new();
    let mut are_all_made = true;
    publisher.make_tables_anew(&journal, |dataset, made| match made {
        Ok(Anew { files, missing: of_dataset, lacking }) => {
            rebuilt.tables.push((dataset, files));
            missing.extend(of_dataset.into_iter().map(|date| (dataset, date)));
            rebuilt.table_failures.extend(lacking.map(|lacking| (dataset, lacking)));
        }
        Err(error) => {
            are_all_made = false;
            rebuilt.table_failures.push((dataset, error));
        }
    })?;
    if missing.is_empty() || !are_all_made {
        return Ok(rebuilt);
    }
    let publishing = publisher.begin(&journal)?;
    let pruned = pruned_dates(&journal)?;
    let refused = missing.iter().filter(|(_, date)| pruned.contains(date));
    rebuilt.failures.extend(refused.map(|(_, date)| (*date, Error::Pruned(*date))));
    let is_wanted = |dataset, date| missing.contains(&(dataset, date)) && !pruned.contains(&date);
    let mut dates = journal.landed_dates(NaiveDate::MIN, NaiveDate::MAX)?;
    dates.retain(|date| is_wanted(Dataset::Quality, *date));
    replace((&mut journal, &publishing), (&dates, &is_wanted), start, &mut rebuilt, &mut told)?;
    Ok(rebuilt)
}

/// Version of the JSON's form: within one, keys are only added.
const REBUILD_VERSION: u32 = 1;

fn file_json(dataset: &str, date: NaiveDate, name: &str, (rows, bytes): (u64, u64)) -> Value {
    json!({ "dataset": dataset, "date": date, "name": name, "rows": rows, "bytes": bytes })
}

impl Rebuilt {
    /// That of the first failure, or 0.
    pub fn exit_code(&self) -> ExitCode {
        let of_tables = self.table_failures.iter().map(|(_, error)| error);
        let mut failures = of_tables.chain(self.failures.iter().map(|(_, error)| error));
        failures.next().map_or(ExitCode::Complete, Error::exit_code)
    }
}

/// The JSON of `vcq rebuild`.
impl Serialize for Rebuilt {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let failure = |(date, error): &(NaiveDate, Error)| json!({ "date": date, "reason": Chain(error).to_string() });
        let failures: Vec<_> = self.failures.iter().map(failure).collect();
        let new_table =
            |(dataset, files): &(Dataset, Option<u64>)| Some(json!({ "dataset": dataset.name(), "files": (*files)? }));
        let table_failure = |(dataset, error): &(Dataset, Error)| json!({ "dataset": dataset.name(), "reason": Chain(error).to_string() });
        json!({
            "rebuild_version": REBUILD_VERSION,
            "exit_code": self.exit_code() as u8,
            "dates": self.dates,
            "files": self.files,
            "tables": self.tables.iter().filter_map(new_table).collect::<Vec<_>>(),
            "tables_kept": self.tables.iter().filter(|(_, files)| files.is_none()).map(|(dataset, _)| dataset.name()).collect::<Vec<_>>(),
            "table_failures": self.table_failures.iter().map(table_failure).collect::<Vec<_>>(),
            "skipped": self.skipped,
            "failures": failures,
            "texts": self.texts,
        })
        .serialize(serializer)
    }
}

/// The dates of which some landed page has been dropped.
fn pruned_dates(journal: &Journal) -> Result<BTreeSet<NaiveDate>, Error> {
    let mut pruned = BTreeSet::new();
    for date in journal.file_dates()? {
        if journal.is_pruned(date)? {
            pruned.insert(date);
        }
    }
    for dataset in Dataset::LISTED {
        for (date, _) in journal.listed_dates(dataset)? {
            if journal.is_listing_pruned(dataset, date)? {
                pruned.insert(date);
            }
        }
    }
    Ok(pruned)
}

/// Makes sure, before anything is replaced, that no page is missing that these dates come from.
fn refuse_pruned_listings(journal: &Journal, is_wanted: impl Fn(NaiveDate) -> bool) -> Result<(), Error> {
    for dataset in Dataset::LISTED {
        for (date, _) in journal.listed_dates(dataset)? {
            if is_wanted(date) && journal.is_listing_pruned(dataset, date)? {
                return Err(Error::Pruned(date));
            }
        }
    }
    Ok(())
}

impl fmt::Display for Rebuilt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (dataset, files) in &self.tables {
            let dataset = dataset.name();
            match files {
                Some(files) => writeln!(f, "{dataset}: a new table of {}", Count(*files, "file"))?,
                None => writeln!(f, "{dataset}: its log is sound, and as it was")?,
            }
        }
        if !(self.tables.is_empty() && self.table_failures.is_empty()) && self.dates + self.listed == 0 {
            return Ok(());
        }
        write!(f, "{}", self.texts)?;
        if !self.skipped.is_empty() {
            let named: Vec<_> = self.skipped.iter().take(NAMED_MAX).map(ToString::to_string).collect();
            let more = self.skipped.len().saturating_sub(NAMED_MAX);
            let more = if more > 0 { format!(" and {more} more") } else { String::new() };
            let named = named.join(", ");
            writeln!(f, "skipped: {named}{more}: their landed pages are dropped, and what is published is as it was")?;
        }
        if self.dates + self.listed == 0 && self.skipped.is_empty() && self.failures.is_empty() {
            return writeln!(f, "there are no landed pages of these dates: nothing is rebuilt");
        }
        write!(f, "{} rebuilt", Count(self.dates, "date"))?;
        match self.listed {
            0 => writeln!(f),
            listed => writeln!(f, ", {} of meetings and participants", Count(listed, "file")),
        }
    }
}

/// The line that tells of a visible file of meetings or participants.
impl fmt::Display for ListedPublication {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { file, name, .. } = self;
        let (rows, bytes) = (Count(file.rows, "row"), file.bytes);
        write!(f, "{}: date={}/{name}  {rows}  {bytes} bytes", file.dataset.name(), file.date)
    }
}

/// The line that tells of a visible file.
impl fmt::Display for Publication {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { file, name, bytes, .. } = self;
        let (stays, rows) = (Count(file.stays, "stay"), Count(file.samples, "row"));
        write!(f, "date={}/{name}  {stays}  {rows}  {bytes} bytes", file.date)
    }
}
