//! Pages of samples → batches with the columns of `quality`, and `date`.

use std::{io::Write, iter::repeat_n, sync::Arc};

use arrow::{
    array::{
        ArrayRef, ArrowPrimitiveType, Date32Array, Int32Array, MapBuilder, MapFieldNames, PrimitiveArray, RecordBatch,
        StringBuilder, TimestampMicrosecondArray, new_null_array,
    },
    buffer::{BooleanBuffer, NullBuffer, ScalarBuffer},
    datatypes::{DataType, Date32Type, Field, Float64Type, Int32Type, Schema, SchemaRef, TimestampMicrosecondType},
};
use chrono_tz::Tz;

use super::{
    BadPage, ROWS_MAX, Reading, Why, next_of,
    output::{End, Output},
};
use crate::{
    archive::{Entry, Of},
    feishu::page::Next,
    parquet::SCHEMA,
    read::{
        batch::{Batch, Metric, Run, Unparsed, Values},
        decode::{DecodeError, Unknown, decode},
    },
    stay::{SAMPLES_PER_PAGE, Stay, partition_date},
    tables::quality::UNPARSED,
};

/// The partition's column, which readers of the dataset see as its last.
pub(super) const DATE: &str = "date";

/// The column that says why a page is no rows.
pub(super) const BAD_PAGE: &str = "bad_page";

/// Rows after which a batch is written: a further page of the usual size still fits in it.
const ROWS_FULL: usize = ROWS_MAX - SAMPLES_PER_PAGE as usize;

/// A larger body is read twice, so that its samples need not all be held until its last byte has been found to be whole.
const HELD_BYTES_MAX: usize = 256 << 10;

/// How bodies begin that the API has sent: those that begin otherwise are looked at more closely.
const SUCCESS: &str = r#"{"code":0,"#;

/// Bad pages that are held until they are written.
pub(super) const BAD_PAGES_HELD_MAX: usize = 256;

/// Samples under construction.
pub(super) struct Samples {
    batch: Batch,
    zone: Tz,
    schema: SchemaRef,
    bad_pages: Vec<(Option<Stay>, String)>,
    written: u64,
}

impl Samples {
    pub(super) fn new(reading: &Reading) -> Self {
        Self {
            batch: Batch::with_rows_max(reading.naive_offset, ROWS_FULL),
            zone: reading.zone,
            schema: with_date(&SCHEMA, &[], reading.keeps_bad),
            bad_pages: Vec::new(),
            written: 0,
        }
    }

    pub(super) fn schema(&self) -> SchemaRef {
        Arc::clone(&self.schema)
    }

    /// Samples of all pages that were whole.
    pub(super) fn count(&self) -> u64 {
        self.written + self.batch.rows() as u64
    }

    pub(super) fn push<W: Write>(
        &mut self,
        stay: &Stay,
        entry: &Entry<'_>,
        output: &mut Output<W>,
    ) -> Result<Result<(), Why>, End> {
        let is_held = entry.body.len() <= HELD_BYTES_MAX;
        let checked = first_sample(entry).and_then(|first_sample| {
            if !is_held {
                next_of(entry)?;
            }
            Ok(first_sample)
        });
        let first_sample = match checked {
            Ok(first_sample) => first_sample,
            Err(why) => return Ok(Err(why)),
        };
        let rows_before = self.batch.rows();
        let decoded = self.decode((stay, first_sample), entry.body.as_bytes(), output)?;
        let whole = decoded.map_err(Why::from).and_then(|samples| {
            let is_plain = samples > 0 && entry.body.starts_with(SUCCESS);
            if is_plain || !is_held { Ok(()) } else { next_of(entry).map(drop) }
        });
        if whole.is_err() && is_held {
            self.batch.truncate(rows_before);
        }
        if self.batch.is_full() {
            self.write_samples(output)?;
        }
        Ok(whole)
    }

    /// Takes in a page's samples. What is full is written only if the body is too large to be held.
    fn decode<W: Write>(
        &mut self,
        (stay, first_sample): (&Stay, i32),
        body: &[u8],
        output: &mut Output<W>,
    ) -> Result<Result<u32, DecodeError>, End> {
        let Self { batch, zone, schema, written, .. } = self;
        let mut rows = batch.page(stay, first_sample);
        let mut ended = Ok(());
        let decoded = decode(body, &mut Unknown::default(), |sample| {
            rows.push(sample);
            if let Some(batch) = rows.full().filter(|_| body.len() > HELD_BYTES_MAX && ended.is_ok()) {
                ended = write(batch, *zone, schema, written, output);
            }
        });
        ended.map(|()| decoded)
    }

    pub(super) fn keep<W: Write>(&mut self, bad: &BadPage, output: &mut Output<W>) -> Result<(), End> {
        let stay = bad.of.as_ref().and_then(|(of, _)| if let Of::Stay(stay) = of { Some(stay.clone()) } else { None });
        self.bad_pages.push((stay, bad.why.to_string()));
        if self.bad_pages.len() >= BAD_PAGES_HELD_MAX { self.write_bad_pages(output) } else { Ok(()) }
    }

    /// Writes what is held.
    pub(super) fn write<W: Write>(&mut self, output: &mut Output<W>) -> Result<(), End> {
        self.write_samples(output)?;
        self.write_bad_pages(output)
    }

    fn write_samples<W: Write>(&mut self, output: &mut Output<W>) -> Result<(), End> {
        write(&mut self.batch, self.zone, &self.schema, &mut self.written, output)
    }

    /// A row for each bad page: its keys as far as they are known, and why.
    fn write_bad_pages<W: Write>(&mut self, output: &mut Output<W>) -> Result<(), End> {
        if self.bad_pages.is_empty() {
            return Ok(());
        }
        let stays: Vec<Option<&Stay>> = self.bad_pages.iter().map(|(stay, _)| stay.as_ref()).collect();
        let texts = |text: fn(&Stay) -> Option<&str>| {
            let mut texts = StringBuilder::new();
            for stay in &stays {
                texts.append_option(stay.and_then(text));
            }
            Arc::new(texts.finish()) as ArrayRef
        };
        let times = |time_s: fn(&Stay) -> i64| {
            let times = stays.iter().map(|stay| stay.map(|stay| time_s(stay) * 1_000_000));
            Arc::new(times.collect::<TimestampMicrosecondArray>().with_timezone("UTC")) as ArrayRef
        };
        let days = stays.iter().map(|stay| stay.map(|stay| day(stay, self.zone))).collect::<Date32Array>();
        let mut whys = StringBuilder::new();
        self.bad_pages.iter().for_each(|(_, why)| whys.append_value(why));
        let mut columns = vec![
            texts(|stay| Some(stay.meeting_no.as_str())),
            times(|stay| stay.meeting_start_s),
            times(|stay| stay.meeting_end_s),
            times(|stay| stay.join_s),
            texts(|stay| stay.participant.user_id()),
            texts(|stay| stay.participant.room_id()),
        ];
        let measured = SCHEMA.fields().iter().skip(columns.len());
        columns.extend(measured.map(|field| new_null_array(field.data_type(), stays.len())));
        columns.push(Arc::new(days));
        columns.push(Arc::new(whys.finish()));
        let rows = RecordBatch::try_new(Arc::clone(&self.schema), columns)?;
        self.bad_pages.clear();
        output.write(&rows)
    }
}

/// `columns`, then `more`, then `date`. Where bad pages are rows too, their column comes last, and any column may be null.
pub(super) fn with_date(columns: &Schema, more: &[Field], keeps_bad: bool) -> SchemaRef {
    let date = Field::new(DATE, DataType::Date32, false);
    let bad_page = keeps_bad.then(|| Field::new(BAD_PAGE, DataType::Utf8, true));
    let fields = columns.fields().iter().map(|field| field.as_ref().clone()).chain(more.iter().cloned());
    let fields = fields.chain([date]).map(|field| {
        let is_nullable = field.is_nullable() || keeps_bad;
        field.with_nullable(is_nullable)
    });
    Arc::new(Schema::new(fields.chain(bad_page).collect::<Vec<_>>()))
}

/// Where the page's samples begin among those of its stay.
fn first_sample(entry: &Entry<'_>) -> Result<i32, Why> {
    match entry.first_sample {
        Some(first_sample) => Ok(first_sample.cast_signed()),
        None if entry.number == 0 && next_of(entry)? == Next::End => Ok(0),
        None => Err(Why::NoFirstSample),
    }
}

fn write<W: Write>(
    batch: &mut Batch,
    zone: Tz,
    schema: &SchemaRef,
    written: &mut u64,
    output: &mut Output<W>,
) -> Result<(), End> {
    if batch.rows() == 0 {
        return Ok(());
    }
    let mut columns = columns(batch, zone);
    if schema.fields().len() > columns.len() {
        columns.push(new_null_array(&DataType::Utf8, batch.rows()));
    }
    let rows = RecordBatch::try_new(Arc::clone(schema), columns)?;
    *written += batch.rows() as u64;
    batch.clear();
    output.write(&rows)
}

/// The columns of the dataset, then the date.
fn columns(batch: &Batch, zone: Tz) -> Vec<ArrayRef> {
    let (runs, rows) = (batch.runs(), batch.rows());
    let mut columns = vec![
        texts(runs, rows, |stay| Some(stay.meeting_no.as_str())),
        times(runs, rows, |stay| stay.meeting_start_s),
        times(runs, rows, |stay| stay.meeting_end_s),
        times(runs, rows, |stay| stay.join_s),
        texts(runs, rows, |stay| stay.participant.user_id()),
        texts(runs, rows, |stay| stay.participant.room_id()),
        Arc::new(runs.iter().flat_map(|run| (run.sample_index..).take(run.rows)).collect::<Int32Array>()),
        Arc::new(values::<TimestampMicrosecondType>(batch.sample_time_us()).with_timezone("UTC")),
    ];
    columns.extend(batch.metrics().iter().map(|metric| match metric {
        Metric::Time(times) => Arc::new(values::<TimestampMicrosecondType>(times).with_timezone("UTC")) as ArrayRef,
        Metric::Number(_, numbers) => Arc::new(values::<Float64Type>(numbers)),
        Metric::Resolution(pixels) => Arc::new(values::<Int32Type>(pixels)),
    }));
    columns.push(map(batch.unparsed(), rows));
    columns.push(Arc::new(per_run::<Date32Type>(runs, rows, |stay| day(stay, zone))));
    columns
}

/// Days since 1970 to the stay's partition.
fn day(stay: &Stay, zone: Tz) -> i32 {
    Date32Type::from_naive_date(partition_date(stay.meeting_start_s, zone))
}

/// A value of the stay, the same in all rows of a run.
fn per_run<T: ArrowPrimitiveType>(runs: &[Run], rows: usize, value: impl Fn(&Stay) -> T::Native) -> PrimitiveArray<T> {
    let mut values = Vec::with_capacity(rows);
    for run in runs {
        values.resize(values.len() + run.rows, value(&run.stay));
    }
    PrimitiveArray::new(values.into(), None)
}

fn times(runs: &[Run], rows: usize, seconds: impl Fn(&Stay) -> i64) -> ArrayRef {
    let times = per_run::<TimestampMicrosecondType>(runs, rows, |stay| seconds(stay) * 1_000_000);
    Arc::new(times.with_timezone("UTC"))
}

fn texts(runs: &[Run], rows: usize, text: impl Fn(&Stay) -> Option<&str>) -> ArrayRef {
    let bytes = runs.iter().map(|run| text(&run.stay).map_or(0, str::len) * run.rows).sum();
    let mut texts = StringBuilder::with_capacity(rows, bytes);
    for run in runs {
        let text = text(&run.stay);
        (0..run.rows).for_each(|_| texts.append_option(text));
    }
    Arc::new(texts.finish())
}

/// The values of a column, with gaps where rows have none.
fn values<T: ArrowPrimitiveType>(values: &Values<T::Native>) -> PrimitiveArray<T> {
    let Values { levels, values } = values;
    if values.len() == levels.len() {
        return PrimitiveArray::new(ScalarBuffer::from(values.clone()), None);
    }
    let present = BooleanBuffer::collect_bool(levels.len(), |row| levels[row] == 1);
    let spread: Vec<T::Native> = if values.is_empty() {
        repeat_n(T::default_value(), levels.len()).collect()
    } else {
        let mut values = values.iter();
        let value = |level: &i16| if *level == 1 { values.next().copied() } else { None };
        levels.iter().map(value).map(Option::unwrap_or_default).collect()
    };
    PrimitiveArray::new(spread.into(), Some(NullBuffer::new(present)))
}

/// The map from column name to text.
fn map(texts: &[Unparsed], rows: usize) -> ArrayRef {
    if texts.is_empty() {
        let field = SCHEMA.field_with_name(UNPARSED.name).expect("the schema has all columns");
        return new_null_array(field.data_type(), rows);
    }
    let mut map = map_builder();
    let mut texts = texts.iter().peekable();
    for row in 0..rows {
        let mut has_text = false;
        while let Some(unparsed) = texts.next_if(|unparsed| unparsed.row == row) {
            map.keys().append_value(unparsed.column);
            map.values().append_value(&unparsed.text);
            has_text = true;
        }
        map.append(has_text).expect("there is a value for each key");
    }
    Arc::new(map.finish())
}

fn map_builder() -> MapBuilder<StringBuilder, StringBuilder> {
    let names = MapFieldNames { entry: "key_value".into(), key: "key".into(), value: "value".into() };
    MapBuilder::new(Some(names), StringBuilder::new(), StringBuilder::new()).with_values_field(Field::new(
        "value",
        DataType::Utf8,
        false,
    ))
}
