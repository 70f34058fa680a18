//! Samples → `RecordBatch`: the dataset's schema, and the columns under construction.

use std::{
    mem::take,
    sync::{Arc, LazyLock},
};

use arrow::{
    array::{
        ArrayBuilder, ArrayRef, Float64Builder, Int32Builder, MapBuilder, MapFieldNames, PrimitiveBuilder, RecordBatch,
        StringBuilder, TimestampMicrosecondBuilder,
    },
    datatypes::{
        ArrowPrimitiveType, DataType, Field as ArrowField, Fields, Float64Type, Int32Type, Schema, SchemaRef, TimeUnit,
        TimestampMicrosecondType,
    },
};
use chrono::FixedOffset;

use super::{
    column::{COLUMN_COUNT, COLUMNS, KEY_COLUMNS, KeyType, Kind, UNPARSED},
    decode::{Field, Sample},
    time::read_time,
    unit::{Reading, read_number, read_resolution},
};
use crate::stay::Stay;

/// Rows after which a batch is full.
const ROWS_MAX: usize = 8192;

/// Bytes of texts that could not be read, after which a batch is full: such texts have no limit of their own.
const UNPARSED_BYTES_MAX: usize = 4 << 20;

/// The schema of every part file: key columns, then the measured ones, then `unparsed`.
pub static SCHEMA: LazyLock<SchemaRef> = LazyLock::new(|| {
    let keys = KEY_COLUMNS.iter().map(|key| ArrowField::new(key.name, key_data_type(key.key_type), key.nullable));
    let metrics = COLUMNS.iter().map(|column| ArrowField::new(column.name, data_type(column.kind), true));
    let unparsed = ArrowField::new(UNPARSED.name, key_data_type(UNPARSED.key_type), UNPARSED.nullable);
    Arc::new(Schema::new(keys.chain(metrics).chain([unparsed]).collect::<Fields>()))
});

fn data_type(kind: Kind) -> DataType {
    match kind {
        Kind::Time => time_type(),
        Kind::Resolution => DataType::Int32,
        Kind::Delay | Kind::BitRate | Kind::Percent | Kind::Volume | Kind::FrameRate => DataType::Float64,
    }
}

fn key_data_type(key_type: KeyType) -> DataType {
    match key_type {
        KeyType::Text => DataType::Utf8,
        KeyType::Time => time_type(),
        KeyType::Index => DataType::Int32,
        KeyType::TextMap => {
            let entry = Fields::from(vec![
                ArrowField::new("key", DataType::Utf8, false),
                ArrowField::new("value", DataType::Utf8, false),
            ]);
            DataType::Map(Arc::new(ArrowField::new("key_value", DataType::Struct(entry), false)), false)
        }
    }
}

fn time_type() -> DataType {
    DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()))
}

/// Takes samples in, row by row, and gives batches out.
#[derive(Debug)]
pub struct Batcher {
    naive_offset: FixedOffset,
    rows: usize,
    unparsed_bytes: usize,
    keys: Keys,
    metrics: Vec<Metric>,
    unparsed: MapBuilder<StringBuilder, StringBuilder>,
    unreadable: Unreadable,
}

#[derive(Debug)]
struct Keys {
    meeting_no: StringBuilder,
    meeting_start_time: TimestampMicrosecondBuilder,
    meeting_end_time: TimestampMicrosecondBuilder,
    join_time: TimestampMicrosecondBuilder,
    user_id: StringBuilder,
    room_id: StringBuilder,
    sample_index: Int32Builder,
    sample_time: TimestampMicrosecondBuilder,
}

#[derive(Debug)]
enum Metric {
    Time(Values<TimestampMicrosecondType>),
    Number(Kind, Values<Float64Type>),
    Resolution(Values<Int32Type>),
}

/// The values of one column. Rows that have none become null when the next value comes: most samples lack some section.
#[derive(Debug)]
struct Values<T: ArrowPrimitiveType>(PrimitiveBuilder<T>);

impl Batcher {
    /// A batcher that reads time texts without a zone as of `naive_offset`.
    pub fn new(naive_offset: FixedOffset) -> Self {
        Self {
            naive_offset,
            rows: 0,
            unparsed_bytes: 0,
            keys: Keys::new(),
            metrics: COLUMNS.iter().map(|column| Metric::new(column.kind)).collect(),
            unparsed: unparsed_builder(),
            unreadable: Unreadable::default(),
        }
    }

    /// Begins the rows of one stay: the samples pushed to it are numbered from 0.
    pub fn stay<'a>(&'a mut self, stay: &'a Stay) -> StayRows<'a> {
        StayRows { batcher: self, stay, sample_index: 0 }
    }

    /// True if a batch should be taken before the next row.
    pub fn is_full(&self) -> bool {
        self.rows >= ROWS_MAX || self.unparsed_bytes >= UNPARSED_BYTES_MAX
    }

    /// The rows so far as a batch of [`SCHEMA`]; the batcher is empty after.
    pub fn take(&mut self) -> RecordBatch {
        let rows = take(&mut self.rows);
        self.unparsed_bytes = 0;
        let mut columns: Vec<ArrayRef> = self.keys.finish();
        columns.extend(self.metrics.iter_mut().map(|metric| metric.finish(rows)));
        columns.push(Arc::new(self.unparsed.finish()));
        RecordBatch::try_new(Arc::clone(&SCHEMA), columns).expect("builders and schema come from the same tables")
    }

    /// The texts that could not be read, in all rows ever pushed.
    pub fn into_unreadable(self) -> Unreadable {
        self.unreadable
    }

    fn push(&mut self, stay: &Stay, sample_index: i32, sample: &Sample<'_>) {
        let mut sample_time_us = None;
        let mut has_unparsed = false;
        for (index, (metric, field)) in self.metrics.iter_mut().zip(sample.fields()).enumerate() {
            let unparsed = match field {
                Field::Absent => continue,
                Field::Other(json) => json,
                Field::Text(text) => match metric.append(self.rows, text, self.naive_offset) {
                    Appended::Unparsed => text.as_ref(),
                    Appended::Other => continue,
                    Appended::Time(time_us) => {
                        sample_time_us = sample_time_us.or(Some(time_us));
                        continue;
                    }
                },
            };
            self.unreadable.add(index, unparsed);
            self.unparsed.keys().append_value(COLUMNS[index].name);
            self.unparsed.values().append_value(unparsed);
            self.unparsed_bytes += unparsed.len();
            has_unparsed = true;
        }
        self.unparsed.append(has_unparsed).expect("each key was appended with its value");
        self.keys.append(stay, sample_index, sample_time_us);
        self.rows += 1;
    }
}

/// The rows of one stay.
#[derive(Debug)]
pub struct StayRows<'a> {
    batcher: &'a mut Batcher,
    stay: &'a Stay,
    sample_index: i32,
}

impl StayRows<'_> {
    /// Adds the stay's next sample.
    pub fn push(&mut self, sample: &Sample<'_>) {
        self.batcher.push(self.stay, self.sample_index, sample);
        self.sample_index += 1;
    }

    /// [`Batcher::is_full`]
    pub fn is_full(&self) -> bool {
        self.batcher.is_full()
    }

    /// [`Batcher::take`]; the stay goes on in the next batch.
    pub fn take(&mut self) -> RecordBatch {
        self.batcher.take()
    }
}

/// What became of one text.
enum Appended {
    Time(i64),
    Other,
    Unparsed,
}

impl Metric {
    fn new(kind: Kind) -> Self {
        match kind {
            Kind::Time => Self::Time(Values(time_builder())),
            Kind::Resolution => Self::Resolution(Values(Int32Builder::with_capacity(ROWS_MAX))),
            number => Self::Number(number, Values(Float64Builder::with_capacity(ROWS_MAX))),
        }
    }

    fn append(&mut self, row: usize, text: &str, naive_offset: FixedOffset) -> Appended {
        match self {
            Self::Number(kind, values) => values.append(row, read_number(*kind, text)),
            Self::Resolution(values) => values.append(row, read_resolution(text)),
            Self::Time(values) => match read_time(text, naive_offset) {
                Reading::Value(seconds) => {
                    let time_us = seconds * 1_000_000;
                    values.append(row, Reading::Value(time_us));
                    Appended::Time(time_us)
                }
                other => values.append(row, other),
            },
        }
    }

    fn finish(&mut self, rows: usize) -> ArrayRef {
        match self {
            Self::Time(values) => values.finish(rows),
            Self::Number(_, values) => values.finish(rows),
            Self::Resolution(values) => values.finish(rows),
        }
    }
}

impl<T: ArrowPrimitiveType> Values<T> {
    fn append(&mut self, row: usize, reading: Reading<T::Native>) -> Appended {
        match reading {
            Reading::Value(value) => {
                self.fill(row);
                self.0.append_value(value);
                Appended::Other
            }
            Reading::Absent => Appended::Other,
            Reading::Unparsed => Appended::Unparsed,
        }
    }

    /// Adds the nulls that make it `rows` long.
    fn fill(&mut self, rows: usize) {
        let missing = rows - self.0.len();
        if missing > 0 {
            self.0.append_nulls(missing);
        }
    }

    fn finish(&mut self, rows: usize) -> ArrayRef {
        self.fill(rows);
        Arc::new(self.0.finish())
    }
}

impl Keys {
    fn new() -> Self {
        Self {
            meeting_no: StringBuilder::new(),
            meeting_start_time: time_builder(),
            meeting_end_time: time_builder(),
            join_time: time_builder(),
            user_id: StringBuilder::new(),
            room_id: StringBuilder::new(),
            sample_index: Int32Builder::with_capacity(ROWS_MAX),
            sample_time: time_builder(),
        }
    }

    fn append(&mut self, stay: &Stay, sample_index: i32, sample_time_us: Option<i64>) {
        self.meeting_no.append_value(stay.meeting_no.as_str());
        self.meeting_start_time.append_value(stay.meeting_start_s * 1_000_000);
        self.meeting_end_time.append_value(stay.meeting_end_s * 1_000_000);
        self.join_time.append_value(stay.join_s * 1_000_000);
        self.user_id.append_option(stay.participant.user_id());
        self.room_id.append_option(stay.participant.room_id());
        self.sample_index.append_value(sample_index);
        self.sample_time.append_option(sample_time_us);
    }

    fn finish(&mut self) -> Vec<ArrayRef> {
        vec![
            Arc::new(self.meeting_no.finish()),
            Arc::new(self.meeting_start_time.finish()),
            Arc::new(self.meeting_end_time.finish()),
            Arc::new(self.join_time.finish()),
            Arc::new(self.user_id.finish()),
            Arc::new(self.room_id.finish()),
            Arc::new(self.sample_index.finish()),
            Arc::new(self.sample_time.finish()),
        ]
    }
}

fn time_builder() -> TimestampMicrosecondBuilder {
    TimestampMicrosecondBuilder::with_capacity(ROWS_MAX).with_timezone("UTC")
}

fn unparsed_builder() -> MapBuilder<StringBuilder, StringBuilder> {
    let names = MapFieldNames { entry: "key_value".into(), key: "key".into(), value: "value".into() };
    MapBuilder::new(Some(names), StringBuilder::new(), StringBuilder::new()).with_values_field(ArrowField::new(
        "value",
        DataType::Utf8,
        false,
    ))
}

/// Counts, by column, of texts that could not be read, with a few of them.
#[derive(Clone, Debug, Default)]
pub struct Unreadable {
    columns: Vec<(u64, Vec<String>)>,
}

impl Unreadable {
    /// Distinct texts kept of each column.
    pub const SAMPLES_MAX: usize = 5;

    /// How much is kept of a text.
    const SAMPLE_CHARS_MAX: usize = 80;

    /// The columns that have such texts, in the dataset's order: name, count, samples.
    pub fn columns(&self) -> impl Iterator<Item = (&'static str, u64, &[String])> {
        let named = COLUMNS.iter().zip(&self.columns);
        named
            .filter(|(_, (count, _))| *count > 0)
            .map(|(column, (count, samples))| (column.name, *count, samples.as_slice()))
    }

    fn add(&mut self, column: usize, text: &str) {
        self.columns.resize_with(COLUMN_COUNT, Default::default);
        let (count, samples) = &mut self.columns[column];
        *count += 1;
        if samples.len() < Self::SAMPLES_MAX {
            let sample: String = text.chars().take(Self::SAMPLE_CHARS_MAX).collect();
            if !samples.contains(&sample) {
                samples.push(sample);
            }
        }
    }
}

#[cfg(test)]
mod tests;
