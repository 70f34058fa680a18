//! Published datasets → the numbers of the page, in one pass over the columns that are needed.
//!
//! [`Figures`] is what `vcq report --json` prints and what the page shows. The JSON is a contract, described in
//! `config/FIGURES.md`: within one `figures_version` keys are only added. Memory does not grow with the number of samples;
//! it grows with the number of users, rooms and microphones, up to a limit.

use std::{
    collections::BTreeMap,
    panic::resume_unwind,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
};

use chrono::NaiveDate;
use chrono_tz::Tz;
use serde::Serialize;

pub use self::{
    against::{Against, Changed, Verdict},
    attendances::DIMENSIONS,
    metric::{METRICS, Metric},
    place::{Group, ListedMeeting, MeetingFigures, Named, Place, Worst},
    source::Datasets,
    tally::{Cause, Tally, share, told},
};
use self::{
    attendances::Expected,
    date::DateFigures,
    minutes::{Measured, Minutes},
    span::Span,
};
use crate::{config::Limits, dataset::Dataset, dates::Dates, error::Error, parquet::ParquetFileError, start::Stop};

mod against;
mod attendances;
mod date;
mod distribution;
mod metric;
mod minutes;
mod place;
mod ranking;
mod source;
mod span;
mod tally;

/// Version of the JSON's form.
pub const FIGURES_VERSION: u32 = 1;

/// Meetings, rooms and users that are named, the worst of each.
const WORST_MAX: usize = 10;

/// Dates that are shown one by one; more of them are shown by weeks.
const DAYS_MAX: i64 = 62;

/// Weeks that are shown one by one; more of them are shown by months.
const WEEKS_MAX: i64 = 62;

/// The most dates of one page: ten years.
pub const DATES_MAX: i64 = 3660;

/// What figures are computed by.
#[derive(Clone, Copy, Debug)]
pub struct Terms<'a> {
    /// What is too much.
    pub limits: &'a Limits,
    /// The fewest minutes of what is ranked.
    pub minutes_min: u64,
    /// By whose clocks the hour of the day is told.
    pub zone: Tz,
    /// Dates that are read at the same time.
    pub workers: usize,
}

/// How long what is shown side by side is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Period {
    /// A date.
    Day,
    /// Seven dates, counted from the first.
    Week,
    /// A month of the calendar.
    Month,
}

impl Period {
    /// The one by which so many dates are shown.
    fn of(dates: Dates) -> Self {
        let days = (dates.last - dates.first).num_days() + 1;
        match days {
            _ if days <= DAYS_MAX => Self::Day,
            _ if days <= WEEKS_MAX * 7 => Self::Week,
            _ => Self::Month,
        }
    }

    /// The first date of the period that a date belongs to.
    fn first_of(self, date: NaiveDate, dates: Dates) -> NaiveDate {
        use chrono::{Datelike as _, Days};
        match self {
            Self::Day => date,
            Self::Week => {
                let within = (date - dates.first).num_days().rem_euclid(7).unsigned_abs();
                date.checked_sub_days(Days::new(within)).unwrap_or(date)
            }
            Self::Month => date.with_day(1).map_or(date, |first| first.max(dates.first)),
        }
    }
}

/// The numbers of a span of dates.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Figures {
    /// [`FIGURES_VERSION`].
    pub figures_version: u32,
    /// The version that computed them.
    pub vcq_version: &'static str,
    /// The first date.
    pub first: NaiveDate,
    /// The last date.
    pub last: NaiveDate,
    /// IANA name of the zone by whose clocks the hours are told.
    pub timezone: String,
    /// How long the periods of `good` and `when` are.
    pub period: Period,
    /// The fewest minutes of what is ranked.
    pub minutes_min: u64,
    /// What counts as too much, in the unit of the name; 0: not judged.
    pub limits: Limits,
    /// Is it complete?
    pub complete: Complete,
    /// How good was it?
    pub good: Good,
    /// When was it bad?
    pub when: Vec<PeriodHours>,
    /// Minutes without a time, which are in none of the hours.
    pub minutes_without_time: u64,
    /// Where was it bad?
    #[serde(rename = "where")]
    pub place: Place,
    /// The first date of the span that these are compared with.
    pub against_first: NaiveDate,
    /// Its last date.
    pub against_last: NaiveDate,
    /// The same numbers of another span, beside these; none: of that span nothing is published.
    pub against: Option<Against>,
}

/// What there is, and what could be.
#[derive(Clone, Debug, Default, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Complete {
    /// Of all dates.
    pub total: Coverage,
    /// Files of `quality`.
    pub files: u64,
    /// Other Parquet files that stand beside these, and are not counted.
    pub other_files: u64,
    /// Whether any file of `meetings` is published of these dates.
    pub has_meetings: bool,
    /// Whether any file of `participants` is published of these dates.
    pub has_participants: bool,
    /// Texts that could not be read, by column of `quality`.
    pub unparsed: BTreeMap<String, u64>,
    /// Date by date, those without anything too.
    pub dates: Vec<DateCoverage>,
}

/// What is published of some dates.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Coverage {
    /// Samples: minutes of participants.
    pub minutes: u64,
    /// Stays with samples.
    pub stays: u64,
    /// Meetings with samples.
    pub meetings: u64,
    /// Texts that could not be read.
    pub unparsed: u64,
    /// Rows of `meetings`; none: nothing is published of it.
    pub meetings_listed: Option<u64>,
    /// Rows of `participants`; none, here and in what follows: nothing is published of it.
    pub attendances: Option<u64>,
    /// Of these: without an id, so that the API cannot be asked for their minutes.
    pub attendances_without_id: Option<u64>,
    /// Of these: of meetings longer than a day, for which the API cannot be asked.
    pub attendances_too_long: Option<u64>,
    /// Distinct stays of the others.
    pub stays_expected: Option<u64>,
    /// The stays with samples that are among `attendances`.
    pub stays_found: Option<u64>,
    /// How long the participants of `stays_expected` were there, in whole minutes.
    pub minutes_expected: Option<u64>,
}

impl Coverage {
    /// That of both.
    #[must_use]
    pub fn plus(&self, other: &Self) -> Self {
        let sum = |a: Option<u64>, b: Option<u64>| a.map_or(b, |a| Some(a + b.unwrap_or_default()));
        Self {
            minutes: self.minutes + other.minutes,
            stays: self.stays + other.stays,
            meetings: self.meetings + other.meetings,
            unparsed: self.unparsed + other.unparsed,
            meetings_listed: sum(self.meetings_listed, other.meetings_listed),
            attendances: sum(self.attendances, other.attendances),
            attendances_without_id: sum(self.attendances_without_id, other.attendances_without_id),
            attendances_too_long: sum(self.attendances_too_long, other.attendances_too_long),
            stays_expected: sum(self.stays_expected, other.stays_expected),
            stays_found: sum(self.stays_found, other.stays_found),
            minutes_expected: sum(self.minutes_expected, other.minutes_expected),
        }
    }

    /// The share of the expected stays that have samples, from 0 to 1.
    pub fn share(&self) -> Option<f64> {
        share(self.stays_found?, self.stays_expected?)
    }
}

/// What is published of one date.
#[derive(Clone, Copy, Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct DateCoverage {
    /// The date.
    pub date: NaiveDate,
    /// What is published.
    #[serde(flatten)]
    pub coverage: Coverage,
}

/// How good it was.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Good {
    /// All minutes.
    #[serde(flatten)]
    pub tally: Tally,
    /// Each metric, in the order of the dataset's columns.
    pub metrics: Vec<MetricFigures>,
    /// Period by period, those with minutes.
    pub periods: Vec<PeriodFigures>,
}

/// The numbers of one metric.
#[derive(Clone, Copy, Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct MetricFigures {
    /// The column of `quality`.
    pub column: &'static str,
    /// What is the matter when it is beyond its limit.
    pub cause: Cause,
    /// Its unit.
    pub unit: &'static str,
    /// Its limit; 0: it is not judged.
    pub limit: f64,
    /// Minutes in which it was measured.
    pub minutes: u64,
    /// The value that half of the minutes do not exceed; none without a minute.
    pub median: Option<f64>,
    /// The value that 95 of 100 minutes do not exceed; none without a minute.
    pub p95: Option<f64>,
    /// Minutes in which it was beyond its limit.
    pub beyond: u64,
    /// Their share of `minutes`, from 0 to 1.
    pub share: Option<f64>,
}

impl MetricFigures {
    fn of(metric: Metric, measured: &Measured, limits: &Limits) -> Self {
        let quantiles = measured.values.quantiles([0.5, 0.95]);
        let minutes = measured.values.count();
        Self {
            column: metric.column.name,
            cause: metric.cause,
            unit: metric.column.kind.unit(),
            limit: metric.limit(limits),
            minutes,
            median: quantiles.map(|[median, _]| median),
            p95: quantiles.map(|[_, p95]| p95),
            beyond: measured.beyond,
            share: share(measured.beyond, minutes),
        }
    }

    fn all(measured: &[Measured], limits: &Limits) -> Vec<Self> {
        METRICS.iter().zip(measured).map(|(metric, measured)| Self::of(*metric, measured, limits)).collect()
    }
}

/// The numbers of one period.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct PeriodFigures {
    /// Its first date.
    pub first: NaiveDate,
    /// Its last date.
    pub last: NaiveDate,
    /// Its minutes.
    #[serde(flatten)]
    pub tally: Tally,
    /// As of all dates.
    pub metrics: Vec<MetricFigures>,
}

/// The minutes of one period by hour of the day.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct PeriodHours {
    /// Its first date.
    pub first: NaiveDate,
    /// Its last date.
    pub last: NaiveDate,
    /// From 0 to 23 o'clock, by the clocks of `timezone`: when the minute was, not when its meeting began.
    pub hours: [Tally; 24],
}

/// Computes the figures of `dates`, and beside them those of `against`, if anything is published of it.
///
/// # Errors
///
/// If a file cannot be read, or is not in the order of its dataset; [`Error::Against`] if it is one of the other span.
/// [`Error::Stopped`] if it was told to stop.
pub fn figures(
    datasets: &Datasets,
    (dates, against): (Dates, Dates),
    terms: &Terms<'_>,
    stop: &Stop,
) -> Result<Figures, Error> {
    let mut span = Span::new(dates, terms);
    let published = published(datasets, &[Dataset::Quality, Dataset::Meetings, Dataset::Participants], dates)?;
    let read = |date| read_date(datasets, date, terms);
    side_by_side(&published, (terms.workers, stop), read, |date, read| span.add(date, read, terms))?;
    let before = compared(datasets, against, terms, stop);
    let before = before.map_err(|error| match error {
        stopped @ Error::Stopped(_) => stopped,
        source => Error::Against { dates: against, source: Box::new(source) },
    })?;
    let beside = (!before.by_date.is_empty()).then(|| Against::of(&span.minutes, &before, terms));
    span.into_figures(datasets, (against, beside), terms)
}

/// The minutes of the span that is compared with: of `quality` alone.
fn compared(datasets: &Datasets, dates: Dates, terms: &Terms<'_>, stop: &Stop) -> Result<Minutes, Error> {
    let mut minutes = Minutes::new(dates);
    let published = published(datasets, &[Dataset::Quality], dates)?;
    let read = |date| minutes::of_date(datasets, date, terms);
    side_by_side(&published, (terms.workers, stop), read, |date, (tally, measured)| {
        minutes.add(date, tally, &measured);
    })?;
    Ok(minutes)
}

/// The dates among `dates` of which any of the datasets has a folder, in order.
fn published(datasets: &Datasets, of: &[Dataset], dates: Dates) -> Result<Vec<NaiveDate>, Error> {
    let mut published = Vec::new();
    for dataset in of {
        published.extend(datasets.dates(*dataset)?.into_iter().filter(|date| dates.contain(*date)));
    }
    published.sort_unstable();
    published.dedup();
    Ok(published)
}

/// Reads dates side by side, and gives what is read of each to `take`, one after the other in any order, until one fails.
fn side_by_side<T>(
    dates: &[NaiveDate],
    (workers, stop): (usize, &Stop),
    read: impl Fn(NaiveDate) -> Result<T, Error> + Sync,
    take: impl FnMut(NaiveDate, T) + Send,
) -> Result<(), Error> {
    let taking = Mutex::new(Ok(take));
    let next = AtomicUsize::new(0);
    let read_in_turn = || {
        while let Some(date) = dates.get(next.fetch_add(1, Ordering::Relaxed)) {
            let read = if stop.is_requested() { Err(Error::Stopped("nothing is written".into())) } else { read(*date) };
            let mut taking = taking.lock().unwrap_or_else(PoisonError::into_inner);
            match (taking.as_mut(), read) {
                (Ok(take), Ok(read)) => take(*date, read),
                (Ok(_), Err(error)) => *taking = Err(error),
                (Err(_), _) => return,
            }
        }
    };
    thread::scope(|scope| {
        let workers = workers.clamp(1, dates.len().max(1));
        let threads: Vec<_> = (0..workers).map(|_| scope.spawn(read_in_turn)).collect();
        for thread in threads {
            thread.join().unwrap_or_else(|panic| resume_unwind(panic));
        }
    });
    taking.into_inner().unwrap_or_else(PoisonError::into_inner).map(|_| ())
}

/// What is published of one date.
struct DateRead {
    figures: DateFigures,
    other_files: u64,
    meetings_listed: Option<u64>,
    expected: Option<Expected>,
}

fn read_date(datasets: &Datasets, date: NaiveDate, terms: &Terms<'_>) -> Result<DateRead, Error> {
    Ok(DateRead {
        figures: date::read(datasets, date, terms)?,
        other_files: datasets.other_files(date)?,
        meetings_listed: place::meetings_listed(datasets, date)?,
        expected: Expected::of(datasets, date)?,
    })
}

/// A file is not what vcq publishes.
fn unsorted(path: &str) -> Error {
    let what = "its rows are not in the order of the dataset: it is no file of vcq's".to_owned();
    Error::Parquet { name: path.to_owned(), source: ParquetFileError::Contents(what) }
}
