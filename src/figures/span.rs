//! The numbers of many dates, date by date.

use std::collections::BTreeMap;

use chrono::NaiveDate;

use super::{
    Against, Complete, Coverage, DateCoverage, DateRead, Figures, Good, MetricFigures, Period, PeriodFigures,
    PeriodHours, Terms,
    minutes::{Measured, Minutes},
    place::Places,
    source::Datasets,
    tally::Tally,
};
use crate::{dates::Dates, error::Error};

/// Dates that are read, in any order.
pub(super) struct Span {
    period: Period,
    complete: BTreeMap<NaiveDate, Coverage>,
    unparsed: BTreeMap<String, u64>,
    files: u64,
    other_files: u64,
    without_time: u64,
    /// What it is compared by with another.
    pub(super) minutes: Minutes,
    periods: BTreeMap<NaiveDate, OfPeriod>,
    places: Places,
}

/// The numbers of one period.
struct OfPeriod {
    tally: Tally,
    hours: [Tally; 24],
    measured: Vec<Measured>,
}

impl Default for OfPeriod {
    fn default() -> Self {
        Self { tally: Tally::default(), hours: [Tally::default(); 24], measured: Measured::none() }
    }
}

impl Span {
    pub(super) fn new(dates: Dates, terms: &Terms<'_>) -> Self {
        Self {
            period: Period::of(dates),
            complete: BTreeMap::new(),
            unparsed: BTreeMap::new(),
            files: 0,
            other_files: 0,
            without_time: 0,
            minutes: Minutes::new(dates),
            periods: BTreeMap::new(),
            places: Places::new(terms),
        }
    }

    /// What is published of all dates.
    pub(super) fn coverage(&self) -> Coverage {
        self.complete.values().fold(Coverage::default(), |total, date| total.plus(date))
    }

    /// Takes a date in.
    pub(super) fn add(&mut self, date: NaiveDate, read: DateRead, terms: &Terms<'_>) {
        let DateRead { figures, other_files, meetings_listed, expected } = read;
        let coverage = Coverage {
            minutes: figures.tally.minutes,
            stays: figures.stays,
            meetings: figures.meetings,
            unparsed: figures.unparsed.values().sum(),
            meetings_listed,
            attendances: expected.map(|expected| expected.attendances),
            attendances_without_id: expected.map(|expected| expected.without_id),
            attendances_too_long: expected.map(|expected| expected.too_long),
            stays_expected: expected.map(|expected| expected.stays),
            stays_found: expected.map(|_| figures.joined_stays),
            minutes_expected: expected.map(|expected| expected.seconds / 60),
        };
        self.complete.insert(date, coverage);
        self.files += figures.files;
        self.other_files += other_files;
        self.without_time += figures.without_time;
        for (column, count) in &figures.unparsed {
            *self.unparsed.entry(column.clone()).or_default() += count;
        }
        if figures.tally.minutes > 0 {
            self.minutes.add(date, figures.tally, &figures.measured);
            let period = self.periods.entry(self.period.first_of(date, self.minutes.dates)).or_default();
            period.tally.merge(&figures.tally);
            for (hour, more) in period.hours.iter_mut().zip(&figures.hours) {
                hour.merge(more);
            }
            Measured::merge_all(&mut period.measured, &figures.measured);
        }
        self.places.add(date, figures, terms);
    }

    /// The last date of the period that begins on `first`.
    fn last_of(&self, first: NaiveDate) -> NaiveDate {
        let is_within = |date: &NaiveDate| self.period.first_of(*date, self.minutes.dates) == first;
        first.iter_days().take_while(is_within).last().map_or(first, |last| last.min(self.minutes.dates.last))
    }

    /// What came of it.
    pub(super) fn into_figures(
        self,
        datasets: &Datasets,
        (other, against): (Dates, Option<Against>),
        terms: &Terms<'_>,
    ) -> Result<Figures, Error> {
        let total = self.coverage();
        let dates = self.minutes.dates.each().map(|date| {
            let coverage = self.complete.get(&date).copied().unwrap_or_default();
            DateCoverage { date, coverage }
        });
        let complete = Complete {
            total,
            files: self.files,
            other_files: self.other_files,
            has_meetings: total.meetings_listed.is_some(),
            has_participants: total.attendances.is_some(),
            unparsed: self.unparsed.clone(),
            dates: dates.collect(),
        };
        let (periods, when) = self
            .periods
            .iter()
            .map(|(first, of)| {
                let (first, last) = (*first, self.last_of(*first));
                let metrics = MetricFigures::all(&of.measured, terms.limits);
                (PeriodFigures { first, last, tally: of.tally, metrics }, PeriodHours { first, last, hours: of.hours })
            })
            .unzip();
        Ok(Figures {
            figures_version: super::FIGURES_VERSION,
            vcq_version: env!("CARGO_PKG_VERSION"),
            first: self.minutes.dates.first,
            last: self.minutes.dates.last,
            timezone: terms.zone.name().to_owned(),
            period: self.period,
            minutes_min: terms.minutes_min,
            limits: *terms.limits,
            complete,
            good: Good { tally: self.minutes.tally(), metrics: self.minutes.metrics(terms.limits), periods },
            when,
            minutes_without_time: self.without_time,
            place: self.places.rank(datasets, terms)?,
            against_first: other.first,
            against_last: other.last,
            against,
        })
    }
}
