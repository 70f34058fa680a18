//! Archives as Parquet: one row a page.

use std::{borrow::Cow, fs::File, mem, sync::Arc};

use arrow::{
    array::{
        Array, ArrayRef, AsArray, Int64Array, Int64Builder, RecordBatch, StringBuilder, StringViewArray,
        TimestampMicrosecondBuilder,
    },
    compute::cast,
    datatypes::{DataType, Field, Int64Type, Schema, TimeUnit},
};
use parquet::{
    arrow::{
        ArrowWriter,
        arrow_reader::{ArrowReaderMetadata, ArrowReaderOptions, ParquetRecordBatchReader},
    },
    basic::{Compression, ZstdLevel},
    errors::ParquetError,
    file::properties::{EnabledStatistics, WriterProperties},
    schema::types::ColumnPath,
};

use super::{ArchiveError, NextPage, Page, Refusal};
use crate::{
    manifest::{
        column::Column,
        parquet::{Batch, batches, guarded, is_string, is_usable},
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
pub(super) struct Writer {
    file: ArrowWriter<File>,
    schema: Arc<Schema>,
    rows: Rows,
}

#[derive(Default)]
struct Rows {
    meeting_no: StringBuilder,
    times: [TimestampMicrosecondBuilder; 3],
    ids: [StringBuilder; 2],
    number: Int64Builder,
    body: StringBuilder,
}

impl Writer {
    pub(super) fn new(file: File) -> Result<Self, ParquetError> {
        let schema = Arc::new(schema());
        let body = ColumnPath::from(BODY);
        let properties = WriterProperties::builder()
            .set_compression(Compression::ZSTD(ZstdLevel::try_new(ZSTD_LEVEL)?))
            .set_write_batch_size(BODIES_PER_LOOK)
            .set_column_dictionary_enabled(body.clone(), false)
            .set_column_statistics_enabled(body, EnabledStatistics::None)
            .build();
        let file = ArrowWriter::try_new(file, Arc::clone(&schema), Some(properties))?;
        Ok(Self { file, schema, rows: Rows::default() })
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

impl Rows {
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
pub(super) struct Reader {
    batches: ParquetRecordBatchReader,
    batch: PageBatch,
    /// The row of the batch that comes next.
    next: usize,
    line: u64,
}

#[derive(Default)]
struct PageBatch {
    row_count: usize,
    keys: Batch,
    numbers: Option<Int64Array>,
    bodies: Option<StringViewArray>,
}

impl Reader {
    pub(super) fn new(file: File) -> Result<Self, ArchiveError> {
        let metadata = guarded(|| ArrowReaderMetadata::load(&file, ArrowReaderOptions::new()))?;
        let columns = columns(metadata.schema())?;
        let batches = guarded(|| batches(file, &metadata, &columns))?;
        Ok(Self { batches, batch: PageBatch::default(), next: 0, line: 0 })
    }

    /// The next row: its number, from 1, and the page in it.
    pub(super) fn next_page(&mut self, rules: &Rules) -> NextPage<'_> {
        while self.next == self.batch.row_count {
            let batch = guarded(|| Ok(self.batches.next().transpose()?.as_ref().map(PageBatch::of).transpose()?))?;
            let Some(batch) = batch else { return Ok(None) };
            self.batch = batch;
            self.next = 0;
        }
        let row = self.next;
        self.next += 1;
        self.line += 1;
        Ok(Some((self.line, self.batch.page(row, rules))))
    }
}

impl PageBatch {
    fn of(batch: &RecordBatch) -> Result<Self, arrow::error::ArrowError> {
        let column = |name, to| batch.column_by_name(name).map(|array| cast(array, to)).transpose();
        let numbers = column(PAGE, &DataType::Int64)?.map(|array| array.as_primitive::<Int64Type>().clone());
        let bodies = column(BODY, &DataType::Utf8View)?.map(|array| array.as_string_view().clone());
        Ok(Self { row_count: batch.num_rows(), keys: Batch::of(batch)?, numbers, bodies })
    }

    fn page(&self, row: usize, rules: &Rules) -> Result<Page<'_>, Refusal> {
        let number = self.numbers.as_ref().filter(|numbers| numbers.is_valid(row));
        let number = number.and_then(|numbers| u32::try_from(numbers.value(row)).ok());
        let body = self.bodies.as_ref().filter(|bodies| bodies.is_valid(row));
        let body = body.map(|bodies| Cow::Borrowed(bodies.value(row)));
        Page::checked(&self.keys.fields(row), number, body, rules)
    }
}

/// Where the schema has the columns that are read. Of `user_id` and `room_id` one is enough.
fn columns(schema: &Schema) -> Result<Vec<usize>, ArchiveError> {
    let find = |name: &'static str, is_fit: fn(&DataType) -> bool| {
        let found = schema.column_with_name(name).filter(|(_, field)| is_fit(field.data_type()));
        found.map(|(position, _)| position).ok_or(ArchiveError::Column(name))
    };
    let mut columns = vec![find(PAGE, DataType::is_integer)?, find(BODY, is_string)?];
    for column in [Column::MeetingNo, Column::MeetingStartTime, Column::MeetingEndTime, Column::JoinTime] {
        columns.push(find(column.name(), is_usable)?);
    }
    let ids = [Column::UserId, Column::RoomId].map(|column| find(column.name(), is_usable));
    match ids {
        [Ok(user), Ok(room)] => columns.extend([user, room]),
        [Ok(id), Err(_)] | [Err(_), Ok(id)] => columns.push(id),
        [Err(missing), Err(_)] => return Err(missing),
    }
    Ok(columns)
}
