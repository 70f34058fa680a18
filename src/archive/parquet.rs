//! Archives as Parquet: one row a page.

use std::{borrow::Cow, fs::File, io::Seek, mem, sync::Arc};

use arrow::{
    array::{ArrayRef, Int64Builder, RecordBatch, StringBuilder, TimestampMicrosecondBuilder},
    datatypes::{DataType, Field, Schema, TimeUnit},
};
use parquet::{
    arrow::ArrowWriter,
    basic::{Compression, ZstdLevel},
    errors::ParquetError,
    file::properties::{EnabledStatistics, WriterProperties},
    schema::types::ColumnPath,
};

use super::{ArchiveError, Entry, NextEntry, Output, Refusal};
use crate::{
    manifest::{
        column::Column,
        parquet::{Batches, BeginError, RowBatch, Values, Wanted, begins_as_parquet, metadata},
        reject::Reject,
        rules::Rules,
    },
    stay::Stay,
};

const PAGE: &str = "page";
const BODY: &str = "body";

/// zstd's own default.
const ZSTD_LEVEL: i32 = 3;

/// Bodies of one batch: it is written once it has so many bytes.
const BATCH_BYTES: usize = 4 << 20;

/// Compressed bytes of one row group: so much the writer keeps in memory.
const ROW_GROUP_BYTES: usize = 32 << 20;

/// Bodies that the writer looks at before it asks whether a data page is full.
const BODIES_PER_LOOK: usize = 8;

/// Writes pages as rows.
pub struct ParquetWriter {
    file: ArrowWriter<Output>,
    schema: Arc<Schema>,
    rows: Builders,
}

#[derive(Default)]
struct Builders {
    meeting_no: StringBuilder,
    times: [TimestampMicrosecondBuilder; 3],
    ids: [StringBuilder; 2],
    number: Int64Builder,
    body: StringBuilder,
}

impl ParquetWriter {
    pub(super) fn new(output: Output) -> Result<Self, ParquetError> {
        let schema = Arc::new(schema());
        let body = ColumnPath::from(BODY);
        let properties = WriterProperties::builder()
            .set_compression(Compression::ZSTD(ZstdLevel::try_new(ZSTD_LEVEL)?))
            .set_write_batch_size(BODIES_PER_LOOK)
            .set_column_dictionary_enabled(body.clone(), false)
            .set_column_statistics_enabled(body, EnabledStatistics::None)
            .build();
        let file = ArrowWriter::try_new(output, Arc::clone(&schema), Some(properties))?;
        Ok(Self { file, schema, rows: Builders::default() })
    }

    pub(super) fn write(&mut self, stay: &Stay, number: u32, body: &str) -> Result<(), ParquetError> {
        self.rows.push(stay, number, body);
        if self.rows.body.values_slice().len() < BATCH_BYTES {
            return Ok(());
        }
        self.write_rows()?;
        if self.file.in_progress_size() >= ROW_GROUP_BYTES { self.file.flush() } else { Ok(()) }
    }

    pub(super) fn finish(mut self) -> Result<(), ParquetError> {
        self.write_rows()?;
        self.file.close().map(drop)
    }

    fn write_rows(&mut self) -> Result<(), ParquetError> {
        let columns = mem::take(&mut self.rows).into_columns();
        self.file.write(&RecordBatch::try_new(Arc::clone(&self.schema), columns)?)
    }
}

impl Builders {
    fn push(&mut self, stay: &Stay, number: u32, body: &str) {
        self.meeting_no.append_value(stay.meeting_no.as_str());
        for (times, time_s) in self.times.iter_mut().zip([stay.meeting_start_s, stay.meeting_end_s, stay.join_s]) {
            times.append_value(time_s * 1_000_000);
        }
        for (ids, id) in self.ids.iter_mut().zip([stay.participant.user_id(), stay.participant.room_id()]) {
            ids.append_option(id);
        }
        self.number.append_value(number.into());
        self.body.append_value(body);
    }

    /// The columns in the order of [`schema`].
    fn into_columns(mut self) -> Vec<ArrayRef> {
        let mut columns: Vec<ArrayRef> = vec![Arc::new(self.meeting_no.finish())];
        columns.extend(self.times.map(|times| Arc::new(times.with_timezone("UTC").finish()) as ArrayRef));
        columns.extend(self.ids.map(|mut ids| Arc::new(ids.finish()) as ArrayRef));
        columns.push(Arc::new(self.number.finish()));
        columns.push(Arc::new(self.body.finish()));
        columns
    }
}

/// The manifest's columns, typed as in the dataset, then the page.
fn schema() -> Schema {
    let time = DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()));
    let keys = Column::ALL.map(|column| match column {
        Column::MeetingNo => Field::new(column.name(), DataType::Utf8, false),
        Column::MeetingStartTime | Column::MeetingEndTime | Column::JoinTime => {
            Field::new(column.name(), time.clone(), false)
        }
        Column::UserId | Column::RoomId => Field::new(column.name(), DataType::Utf8, true),
    });
    let page = [Field::new(PAGE, DataType::Int64, false), Field::new(BODY, DataType::Utf8, false)];
    Schema::new(keys.into_iter().chain(page).collect::<Vec<_>>())
}

/// Reads pages from rows.
pub struct ParquetReader {
    batches: Batches,
    batch: RowBatch,
    /// The row of the batch that comes next.
    next: usize,
    line: u64,
}

/// Where the page's number and its body stand among the wanted columns, which begin with the manifest's.
const PAGE_AT: usize = Column::ALL.len();
const BODY_AT: usize = PAGE_AT + 1;

impl ParquetReader {
    pub(super) fn new(mut file: File, rules: &Rules) -> Result<Self, ArchiveError> {
        let failed = |source| ArchiveError::Parquet { after_row: 0, source };
        let is_parquet = begins_as_parquet(&file).and_then(|is_parquet| file.rewind().map(|()| is_parquet));
        if !is_parquet.map_err(|source| ArchiveError::Read { after_line: 0, source })? {
            return Err(ArchiveError::OtherForm("Parquet"));
        }
        let metadata = metadata(&file).map_err(failed)?;
        let wanted = wanted(metadata.schema())?;
        let batches = Batches::begin(file, &metadata, &wanted, rules.naive_times).map_err(|error| match error {
            BeginError::Column(error) => ArchiveError::Column(error),
            BeginError::Parquet(error) => failed(error),
        })?;
        Ok(Self { batches, batch: RowBatch::default(), next: 0, line: 0 })
    }

    /// The next row: its number, from 1, and the page in it.
    pub(super) fn next_entry(&mut self, rules: &Rules) -> NextEntry<'_> {
        while self.next == self.batch.row_count {
            let batch = self.batches.next();
            let batch = batch.map_err(|source| ArchiveError::Parquet { after_row: self.line, source })?;
            let Some(batch) = batch else { return Ok(None) };
            self.batch = batch;
            self.next = 0;
        }
        let row = self.next;
        self.next += 1;
        self.line += 1;
        Ok(Some((self.line, page(&self.batch, row, rules))))
    }
}

fn page<'a>(batch: &'a RowBatch, row: usize, rules: &Rules) -> Result<Entry<'a>, Refusal> {
    let keys = batch.fields(row);
    if let Some(reason) = batch.broken_field(row) {
        return Err(Refusal::Keys(Box::new(Reject::new(&keys, reason))));
    }
    if batch.broken(BODY_AT, row).is_some() {
        return Err(Refusal::BodyNotUtf8);
    }
    let number = batch.text(PAGE_AT, row).and_then(|number| number.parse().ok());
    Entry::checked(&keys, number, batch.text(BODY_AT, row).map(Cow::Borrowed), rules)
}

/// The columns that are read, and where the schema has them. Of `user_id` and `room_id` one is enough.
fn wanted(schema: &Schema) -> Result<Vec<Wanted>, ArchiveError> {
    let find = |name: &'static str, values| (name, values, schema.column_with_name(name).map(|(position, _)| position));
    let keys = Column::ALL.map(|column| find(column.name(), Values::Any));
    let wanted: Vec<Wanted> = keys.into_iter().chain([find(PAGE, Values::Number), find(BODY, Values::Text)]).collect();
    let has = |column: Column| wanted[column as usize].2.is_some();
    let has_id = has(Column::UserId) || has(Column::RoomId);
    let is_needed = |name| !has_id || ![Column::UserId.name(), Column::RoomId.name()].contains(&name);
    match wanted.iter().find(|(name, _, position)| position.is_none() && is_needed(name)) {
        Some((missing, ..)) => Err(ArchiveError::MissingColumn(missing)),
        None => Ok(wanted),
    }
}
