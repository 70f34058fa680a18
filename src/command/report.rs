//! `vcq report`: what the published datasets hold, as a page and as JSON. Neither the journal nor the API is asked.

use std::{
    fmt,
    fs::File,
    io::Read as _,
    path::{Path, PathBuf},
    thread,
};

use chrono::{Days, NaiveDate};
use chrono_tz::Tz;

use crate::{
    config::Config,
    dates::{Dates, NamedDates},
    error::Error,
    figures::{DATES_MAX, Datasets, Figures, Terms, figures, told},
    file::{self, Readers},
    page::{Language, page},
    start::Start,
};

/// Dates that are looked at if none are named: the last ones of which anything is published.
const DAYS_UNNAMED: u64 = 31;

/// The fewest dates that others are compared with if none are named: of fewer it cannot be told how much days differ by
/// themselves.
const DAYS_AGAINST_MIN: i64 = 7;

/// Threads that read at the same time, at most.
const WORKERS_MAX: usize = 4;

/// What is to be looked at.
#[derive(Clone, Debug, Default)]
pub struct Report {
    /// The dates; none: the last month of which anything is published.
    pub dates: Option<NamedDates>,
    /// What they are compared with; none: as many dates before them, a week at least.
    pub against: Option<NamedDates>,
}

/// Computes the figures of the dates.
///
/// # Errors
///
/// [`Error::Usage`] for more dates than a page holds, and for dates that are to be compared with themselves. [`Error::Stopped`] if it was told to stop: nothing is written then.
pub fn report(task: &Report, config: &Config, start: &Start) -> Result<Figures, Error> {
    let datasets = Datasets::existing(config, &start.stores(config))?;
    let named = |dates: NamedDates| dates.at(start.now(), config.timezone);
    let dates = match task.dates {
        Some(dates) => named(dates),
        None => last_published(&datasets)?.unwrap_or_else(|| named(NamedDates::LastDays(1))),
    };
    let against = task.against.map_or_else(|| before(dates), named);
    check_length(dates)?;
    check_length(against)?;
    if against.first <= dates.last && dates.first <= against.last {
        return Err(Error::Usage(format!("--against {against} has dates of {dates}: name others to compare with")));
    }
    let zone: Tz = datasets.zone(dates)?.unwrap_or(config.timezone);
    let workers = thread::available_parallelism().map_or(1, usize::from).min(WORKERS_MAX);
    let terms = Terms { limits: &config.report.limits, minutes_min: config.report.minutes_min, zone, workers };
    figures(&datasets, (dates, against), &terms, &start.stop)
}

/// Makes sure, before anything is read or asked for, that the page can be written and takes no other file's place.
pub fn prepare_page(path: &Path, inputs: &[PathBuf], config: &Config) -> Result<(), Error> {
    file::refuse_input("--html", path, inputs, config)?;
    if !is_page_or_nothing(path) {
        let what = format!("--html `{}` is there and is no HTML page: name another file, or remove it", path.display());
        return Err(Error::Usage(what));
    }
    file::prepare(path)
}

/// Whether a page may take the place of what stands there: a page, an empty file, nothing, or what only takes text in (a
/// pipe, a device). What cannot be read is told when it is written.
fn is_page_or_nothing(path: &Path) -> bool {
    const BEGIN: &[u8] = b"<!doctype html";
    if !path.is_file() {
        return true;
    }
    let mut begin = Vec::new();
    let read = File::open(path).and_then(|file| file.take(BEGIN.len() as u64).read_to_end(&mut begin));
    read.is_err() || begin.is_empty() || begin.eq_ignore_ascii_case(BEGIN)
}

/// Writes the page of `figures` to `path`, in one step, readable by its owner alone: it names participants.
pub fn write_page(path: &Path, figures: &Figures, language: Language, start: &Start) -> Result<(), Error> {
    file::replace(path, Readers::Owner, page(figures, start.now(), language).as_bytes())
}

fn check_length(dates: Dates) -> Result<(), Error> {
    if (dates.last - dates.first).num_days() < DATES_MAX {
        return Ok(());
    }
    Err(Error::Usage(format!("{dates} are more than {DATES_MAX} dates, which is the most of one page: name fewer")))
}

fn last_published(datasets: &Datasets) -> Result<Option<Dates>, Error> {
    let month = |last: NaiveDate| last.checked_sub_days(Days::new(DAYS_UNNAMED - 1)).unwrap_or(last);
    Ok(datasets.span()?.map(|Dates { first, last }| Dates { first: first.max(month(last)), last }))
}

/// As many dates, but a week at least, that end before `dates` begin.
fn before(dates: Dates) -> Dates {
    let days = ((dates.last - dates.first).num_days() + 1).max(DAYS_AGAINST_MIN);
    let back = |days: i64| dates.first.checked_sub_days(Days::new(days.unsigned_abs())).unwrap_or(NaiveDate::MIN);
    Dates { first: back(days), last: back(1) }
}

/// What the figures come to, in three lines.
impl fmt::Display for Figures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { first, last, complete, good, .. } = self;
        let percent = |share: Option<f64>| share.map_or("-".to_owned(), |share| format!("{:.1} %", share * 100.0));
        let share = complete.total.share().map(|share| told(share, 0.999));
        writeln!(f, "dates      {first}..{last}, {} minutes in {} files", complete.total.minutes, complete.files)?;
        if complete.other_files > 0 {
            writeln!(
                f,
                "not read   {} other Parquet files beside them, which vcq has not named",
                complete.other_files
            )?;
        }
        if complete.has_participants {
            let [found, expected] =
                [complete.total.stays_found, complete.total.stays_expected].map(Option::unwrap_or_default);
            writeln!(f, "complete   {found} of {expected} stays have minutes ({})", percent(share))?;
        }
        let (bad, share) = (good.tally.bad_minutes, percent(good.tally.bad_share()));
        writeln!(f, "bad        {bad} of {} minutes ({share})", good.tally.minutes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_stand_beside_those_before_them() {
        let span = |first: &str, last: &str| Dates { first: first.parse().unwrap(), last: last.parse().unwrap() };
        assert_eq!(before(span("2026-03-01", "2026-03-31")), span("2026-01-29", "2026-02-28"));
        assert_eq!(before(span("2026-03-08", "2026-03-08")), span("2026-03-01", "2026-03-07"), "a day beside a week");
    }
}
