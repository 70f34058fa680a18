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
    publish::{Publication, Publisher, listed::ListedPublication},
    start::Start,
    words::Count,
};

/// Skipped dates that are told by name.
const NAMED_MAX: usize = 5;

/// What was rebuilt.
#[derive(Debug, Default)]
pub struct Rebuilt {
    /// Tables that are new, with how many files each has.
    tables: Vec<(Dataset, u64)>,
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
    let mut rebuilt = Rebuilt { skipped: skipped.iter().copied().collect(), ..Rebuilt::default() };
    publishing.replace(&mut journal, &dates, &start.stop, |date, replaced| match replaced {
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
        publishing.replace_listed(&mut journal, is_wanted, &start.stop, |date, replaced| match replaced {
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
    // A signal while the last date was built has cut nothing.
    let is_cut = rebuilt.dates < dates.len() as u64 && start.stop.is_requested();
    if rebuilt.failures.is_empty() && is_cut {
        return Err(Error::Stopped(format!("{} of {} dates rebuilt", rebuilt.dates, dates.len())));
    }
    Ok(rebuilt)
}

/// Makes the tables of the datasets anew from the files that the journal has published and that are there. No file is built and
/// none deleted.
///
/// # Errors
///
/// [`Error::Usage`] if datasets are no tables.
pub fn make_tables_anew(config: &Config, start: &Start) -> Result<Rebuilt, Error> {
    let journal = Journal::open_existing(&config.state, &Identity::of_landed(config))?;
    let publisher = Publisher::of(&start.stores(config), config)?;
    let mut rebuilt = Rebuilt::default();
    publisher.make_tables_anew(&journal, |dataset, files| rebuilt.tables.push((dataset, files)))?;
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
        self.failures.first().map_or(ExitCode::Complete, |(_, error)| error.exit_code())
    }
}

/// The JSON of `vcq rebuild`.
impl Serialize for Rebuilt {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let failure = |(date, error): &(NaiveDate, Error)| json!({ "date": date, "reason": Chain(error).to_string() });
        let failures: Vec<_> = self.failures.iter().map(failure).collect();
        json!({
            "rebuild_version": REBUILD_VERSION,
            "exit_code": self.exit_code() as u8,
            "dates": self.dates,
            "files": self.files,
            "tables": self.tables.iter().map(|(dataset, files)| json!({ "dataset": dataset.name(), "files": files })).collect::<Vec<_>>(),
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
        if !self.tables.is_empty() {
            return self.tables.iter().try_for_each(|(dataset, files)| {
                writeln!(f, "{}: a new table of {}", dataset.name(), Count(*files, "file"))
            });
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
