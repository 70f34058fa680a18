//! Minutes by metric and by date: what one span of dates is compared by with another.

use std::collections::BTreeMap;

use arrow::{
    array::{Array as _, ArrowPrimitiveType, PrimitiveArray},
    datatypes::Float64Type,
};
use chrono::NaiveDate;

use super::{
    MetricFigures, Terms,
    distribution::Distribution,
    metric::{Beyond, METRICS},
    source::{Batch, Datasets},
    tally::Tally,
};
use crate::{config::Limits, dataset::Dataset, dates::Dates, error::Error};

/// The numbers of one metric.
#[derive(Clone, Debug, Default)]
pub(super) struct Measured {
    pub(super) values: Distribution,
    pub(super) beyond: u64,
}

impl Measured {
    /// Nothing yet of each of [`METRICS`].
    pub(super) fn none() -> Vec<Self> {
        METRICS.iter().map(|_| Self::default()).collect()
    }

    /// Takes what was measured of each metric in.
    pub(super) fn merge_all(all: &mut [Self], more: &[Self]) {
        for (whole, part) in all.iter_mut().zip(more) {
            whole.values.merge(&part.values);
            whole.beyond += part.beyond;
        }
    }
}

/// Judges the minutes of batches of `quality`.
pub(super) struct Judge {
    /// By [`METRICS`]: the column, what is beyond its limit, and the bit of its cause.
    rules: Vec<(&'static str, Beyond, u8)>,
    /// By [`METRICS`].
    pub(super) measured: Vec<Measured>,
    /// The causes of each minute of the last batch, as bits; none: it was not bad.
    pub(super) causes: Vec<u8>,
}

impl Judge {
    pub(super) fn new(limits: &Limits) -> Self {
        let rule =
            |metric: &super::Metric| (metric.column.name, metric.beyond(metric.limit(limits)), metric.cause.bit());
        Self { rules: METRICS.iter().map(rule).collect(), measured: Measured::none(), causes: Vec::new() }
    }

    /// The columns that it needs.
    pub(super) fn columns(&self) -> impl Iterator<Item = &'static str> {
        self.rules.iter().map(|(column, ..)| *column)
    }

    /// Takes the values of a batch in, and finds the causes of its minutes.
    pub(super) fn judge(&mut self, batch: &Batch) -> Result<(), Error> {
        self.causes.clear();
        self.causes.resize(batch.len(), 0);
        for ((column, beyond, bit), measured) in self.rules.iter().zip(&mut self.measured) {
            each(&batch.primitives::<Float64Type>(column)?, |row, value| {
                measured.values.add(value);
                let is_beyond = beyond.has(value);
                measured.beyond += u64::from(is_beyond);
                self.causes[row] |= if is_beyond { *bit } else { 0 };
            });
        }
        Ok(())
    }
}

/// Calls `take` with the row and the value of each value that there is.
#[inline]
pub(super) fn each<T: ArrowPrimitiveType>(column: &PrimitiveArray<T>, mut take: impl FnMut(usize, T::Native)) {
    let values = column.values();
    match column.nulls().filter(|nulls| nulls.null_count() > 0) {
        Some(nulls) => nulls.valid_indices().for_each(|row| take(row, values[row])),
        None => values.iter().enumerate().for_each(|(row, value)| take(row, *value)),
    }
}

/// The minutes of one date and what was measured in them, and nothing else: a fraction of the columns, in constant memory.
pub(super) fn of_date(
    datasets: &Datasets,
    date: NaiveDate,
    terms: &Terms<'_>,
) -> Result<(Tally, Vec<Measured>), Error> {
    let (mut judge, mut tally) = (Judge::new(terms.limits), Tally::default());
    for part in datasets.files(Dataset::Quality, date)? {
        for batch in part.read(judge.columns())? {
            judge.judge(&batch?)?;
            judge.causes.iter().for_each(|causes| tally.add(*causes));
        }
    }
    Ok((tally, judge.measured))
}

/// What one date is compared by with another.
pub(super) struct OfDate {
    pub(super) tally: Tally,
    /// By metric, the minutes in which it was measured, and those beyond the limit.
    pub(super) beyond: Vec<(u64, u64)>,
}

/// The minutes of some dates.
pub(super) struct Minutes {
    pub(super) dates: Dates,
    measured: Vec<Measured>,
    /// Those that have any.
    pub(super) by_date: BTreeMap<NaiveDate, OfDate>,
}

impl Minutes {
    pub(super) fn new(dates: Dates) -> Self {
        Self { dates, measured: Measured::none(), by_date: BTreeMap::new() }
    }

    /// Takes a date in.
    pub(super) fn add(&mut self, date: NaiveDate, tally: Tally, measured: &[Measured]) {
        if tally.minutes == 0 {
            return;
        }
        let beyond = measured.iter().map(|measured| (measured.values.count(), measured.beyond)).collect();
        self.by_date.insert(date, OfDate { tally, beyond });
        Measured::merge_all(&mut self.measured, measured);
    }

    /// All of them.
    pub(super) fn tally(&self) -> Tally {
        let mut tally = Tally::default();
        self.by_date.values().for_each(|date| tally.merge(&date.tally));
        tally
    }

    /// Each metric over all dates.
    pub(super) fn metrics(&self, limits: &Limits) -> Vec<MetricFigures> {
        MetricFigures::all(&self.measured, limits)
    }
}
