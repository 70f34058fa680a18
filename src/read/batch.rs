//! Samples → columns: the rows of a row group under construction.

use std::mem::take;

use chrono::FixedOffset;

use super::{
    decode::{Field, Sample},
    time::read_time,
    unit::{Reading, read_number, read_resolution},
    unread::Unread,
};
use crate::{
    stay::Stay,
    tables::quality::{COLUMN_COUNT, COLUMNS, Kind},
};

/// Rows after which a batch is full: a day of a large tenant, and no more than stays in tens of megabytes.
pub const ROWS_MAX: usize = 65_536;

/// Bytes of memory for texts that could not be read, after which a batch is full: such texts have no limit of their own.
pub const UNPARSED_BYTES_MAX: usize = 4 << 20;

/// What a text takes besides its bytes, under construction and while its column is encoded.
const UNPARSED_ENTRY_BYTES: usize = 256;

/// Takes samples in, row by row, and holds them column by column.
///
/// Buffers keep their room when a batch is cleared, so that one batch serves row group after row group.
#[derive(Debug)]
pub struct Batch {
    rows_max: usize,
    times: Times,
    rows: usize,
    runs: Vec<Run>,
    sample_time_us: Values<i64>,
    metrics: Vec<Metric>,
    unparsed: Vec<Unparsed>,
    unparsed_bytes: usize,
    unreadable: Unreadable,
}

/// Rows of one stay that follow one another: what is the same in all of them is kept once.
#[derive(Debug)]
pub struct Run {
    /// The stay.
    pub stay: Stay,
    /// The first row's number among the stay's samples.
    pub sample_index: i32,
    /// How many rows there are.
    pub rows: usize,
}

/// The values of one column, without gaps, and where they stand.
#[derive(Debug, Default)]
pub struct Values<T> {
    /// For each row: 1 if it has a value, 0 if it has none. (Parquet's definition levels.)
    pub levels: Vec<i16>,
    /// The values of the rows that have one.
    pub values: Vec<T>,
}

/// A column that comes from texts of a sample.
#[derive(Debug)]
pub enum Metric {
    /// Points in time, in unix microseconds.
    Time(Values<i64>),
    /// Numbers of this kind.
    Number(Kind, Values<f64>),
    /// Resolutions.
    Resolution(Values<i32>),
}

/// A text that could not be read.
#[derive(Debug)]
pub struct Unparsed {
    /// Its row in the batch.
    pub row: usize,
    /// The name of its column.
    pub column: &'static str,
    /// The text.
    pub text: String,
}

impl Batch {
    /// A batch that reads time texts without a zone as of `naive_offset`.
    pub fn new(naive_offset: FixedOffset) -> Self {
        Self::with_rows_max(naive_offset, ROWS_MAX)
    }

    /// The same, full after `rows_max` rows.
    pub fn with_rows_max(naive_offset: FixedOffset, rows_max: usize) -> Self {
        Self {
            rows_max,
            times: Times { naive_offset, last_text: String::new(), last_reading: Reading::Absent },
            rows: 0,
            runs: Vec::new(),
            sample_time_us: Values::default(),
            metrics: COLUMNS.iter().map(|column| Metric::new(column.kind)).collect(),
            unparsed: Vec::new(),
            unparsed_bytes: 0,
            unreadable: Unreadable::default(),
        }
    }

    /// Begins the rows of one stay: the samples pushed to it are numbered from 0.
    pub fn stay<'a>(&'a mut self, stay: &'a Stay) -> StayRows<'a> {
        self.page(stay, 0)
    }

    /// Begins the rows of one page of a stay: the samples pushed to it are numbered from `first_sample`.
    pub fn page<'a>(&'a mut self, stay: &'a Stay, first_sample: i32) -> StayRows<'a> {
        StayRows { batch: self, stay, sample_index: first_sample, has_run: false }
    }

    /// True if the batch should be written and cleared before the next row.
    pub fn is_full(&self) -> bool {
        self.rows >= self.rows_max || self.unparsed_bytes >= UNPARSED_BYTES_MAX
    }

    /// How many rows there are.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// The stays of the rows, in their order.
    pub fn runs(&self) -> &[Run] {
        &self.runs
    }

    /// The time of each row: the first of its section times that could be read.
    pub fn sample_time_us(&self) -> &Values<i64> {
        &self.sample_time_us
    }

    /// The measured columns, in the order of [`COLUMNS`].
    pub fn metrics(&self) -> &[Metric] {
        &self.metrics
    }

    /// The texts that could not be read, by row and column.
    pub fn unparsed(&self) -> &[Unparsed] {
        &self.unparsed
    }

    /// Forgets the rows.
    pub fn clear(&mut self) {
        self.rows = 0;
        self.runs.clear();
        self.sample_time_us.clear();
        self.metrics.iter_mut().for_each(Metric::clear);
        self.unparsed.clear();
        self.unparsed_bytes = 0;
    }

    /// Forgets the rows from `rows` on, as when their page turned out to be damaged. Texts that have been
    /// [counted](Self::take_unreadable) stay counted.
    pub fn truncate(&mut self, rows: usize) {
        while let Some(run) = self.runs.last_mut().filter(|_| self.rows > rows) {
            let excess = run.rows.min(self.rows - rows);
            run.rows -= excess;
            self.rows -= excess;
            self.runs.pop_if(|run| run.rows == 0);
        }
        self.sample_time_us.truncate(rows);
        self.metrics.iter_mut().for_each(|metric| metric.truncate(rows));
        while let Some(unparsed) = self.unparsed.pop_if(|unparsed| unparsed.row >= rows) {
            self.unparsed_bytes -= unparsed.text.len() + UNPARSED_ENTRY_BYTES;
        }
    }

    /// The texts that could not be read, in all rows since the last call.
    pub fn take_unreadable(&mut self) -> Unreadable {
        take(&mut self.unreadable)
    }

    fn push(&mut self, sample: &Sample<'_>) {
        let row = self.rows;
        let mut sample_time_us = None;
        for (index, (metric, field)) in self.metrics.iter_mut().zip(sample.fields()).enumerate() {
            let appended = match field {
                Field::Absent => Appended::Null,
                Field::Other(json) => Appended::Unparsed(json),
                Field::Text(text) => metric.append(text, &mut self.times),
            };
            match appended {
                Appended::Value => {}
                Appended::Time(time_us) => sample_time_us = sample_time_us.or(Some(time_us)),
                Appended::Null => metric.append_null(),
                Appended::Unparsed(text) => {
                    metric.append_null();
                    self.unreadable.add(index, text);
                    self.unparsed.push(Unparsed { row, column: COLUMNS[index].name, text: text.to_owned() });
                    self.unparsed_bytes += text.len() + UNPARSED_ENTRY_BYTES;
                }
            }
        }
        self.sample_time_us.append_option(sample_time_us);
        self.rows += 1;
    }
}

/// The rows of one stay.
#[derive(Debug)]
pub struct StayRows<'a> {
    batch: &'a mut Batch,
    stay: &'a Stay,
    /// Of the next sample.
    sample_index: i32,
    /// Whether the last of the batch's runs is one of this stay.
    has_run: bool,
}

impl StayRows<'_> {
    /// Adds the stay's next sample.
    pub fn push(&mut self, sample: &Sample<'_>) {
        if !self.has_run {
            self.batch.runs.push(Run { stay: self.stay.clone(), sample_index: self.sample_index, rows: 0 });
            self.has_run = true;
        }
        let run = self.batch.runs.last_mut().expect("a run was pushed before the first row");
        run.rows += 1;
        self.batch.push(sample);
        self.sample_index += 1;
    }

    /// The batch, if it should be written and cleared before the next row; the stay goes on in it.
    pub fn full(&mut self) -> Option<&mut Batch> {
        self.batch.is_full().then(|| {
            self.has_run = false;
            &mut *self.batch
        })
    }
}

/// What became of one field.
enum Appended<'a> {
    Value,
    Time(i64),
    Null,
    Unparsed(&'a str),
}

impl Metric {
    fn new(kind: Kind) -> Self {
        match kind {
            Kind::Time => Self::Time(Values::default()),
            Kind::Resolution => Self::Resolution(Values::default()),
            number => Self::Number(number, Values::default()),
        }
    }

    /// Adds the value that `text` says; nothing if it says none.
    fn append<'a>(&mut self, text: &'a str, times: &mut Times) -> Appended<'a> {
        match self {
            Self::Number(kind, values) => values.append(text, read_number(*kind, text)),
            Self::Resolution(values) => values.append(text, read_resolution(text)),
            Self::Time(values) => {
                let reading = times.read_us(text);
                match (values.append(text, reading), reading) {
                    (Appended::Value, Reading::Value(time_us)) => Appended::Time(time_us),
                    (other, _) => other,
                }
            }
        }
    }

    fn append_null(&mut self) {
        match self {
            Self::Time(values) => values.levels.push(0),
            Self::Number(_, values) => values.levels.push(0),
            Self::Resolution(values) => values.levels.push(0),
        }
    }

    fn truncate(&mut self, rows: usize) {
        match self {
            Self::Time(values) => values.truncate(rows),
            Self::Number(_, values) => values.truncate(rows),
            Self::Resolution(values) => values.truncate(rows),
        }
    }

    fn clear(&mut self) {
        match self {
            Self::Time(values) => values.clear(),
            Self::Number(_, values) => values.clear(),
            Self::Resolution(values) => values.clear(),
        }
    }
}

impl<T> Values<T> {
    fn append<'a>(&mut self, text: &'a str, reading: Reading<T>) -> Appended<'a> {
        match reading {
            Reading::Value(value) => {
                self.levels.push(1);
                self.values.push(value);
                Appended::Value
            }
            Reading::Absent => Appended::Null,
            Reading::Unparsed => Appended::Unparsed(text),
        }
    }

    fn append_option(&mut self, value: Option<T>) {
        self.levels.push(value.is_some().into());
        self.values.extend(value);
    }

    fn truncate(&mut self, rows: usize) {
        let excess = self.levels.iter().skip(rows).filter(|level| **level == 1).count();
        self.values.truncate(self.values.len() - excess);
        self.levels.truncate(rows);
    }

    fn clear(&mut self) {
        self.levels.clear();
        self.values.clear();
    }
}

/// Reads time texts; most sections of a sample carry the same one, so the last is remembered.
#[derive(Debug)]
struct Times {
    naive_offset: FixedOffset,
    last_text: String,
    last_reading: Reading<i64>,
}

impl Times {
    /// [`read_time`], in microseconds.
    fn read_us(&mut self, text: &str) -> Reading<i64> {
        if text != self.last_text {
            text.clone_into(&mut self.last_text);
            self.last_reading = match read_time(text, self.naive_offset) {
                Reading::Value(seconds) => Reading::Value(seconds * 1_000_000),
                other => other,
            };
        }
        self.last_reading
    }
}

/// Counts, by column, of texts that could not be read, with a few of them.
#[derive(Clone, Debug, Default)]
pub struct Unreadable {
    columns: Vec<Unread>,
}

impl Unreadable {
    /// The columns that have such texts, in the dataset's order.
    pub fn columns(&self) -> impl Iterator<Item = (&'static str, &Unread)> {
        let named = COLUMNS.iter().zip(&self.columns);
        named.filter(|(_, unread)| unread.count > 0).map(|(column, unread)| (column.name, unread))
    }

    fn add(&mut self, column: usize, text: &str) {
        self.columns.resize_with(COLUMN_COUNT, Default::default);
        self.columns[column].add(text);
    }
}

#[cfg(test)]
mod tests;
