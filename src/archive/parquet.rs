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
    file::{
        metadata::KeyValue,
        properties::{EnabledStatistics, WriterProperties},
    },
    schema::types::ColumnPath,
};

use super::{
    ArchiveError, ArchivedListing, Entry, ListingOf, NextEntry, Output, Refusal, Refused, VERSION,
    keys::{Key, Keys},
};
use crate::{
    endpoint::Endpoint,
    manifest::{
        column::Column,
        parquet::{Batches, BeginError, RowBatch, Values, Wanted, begins_as_parquet, metadata},
        reject::Reject,
        rules::Rules,
    },
    stay::{MeetingNo, Participant, Stay},
};

pub(super) const PAGE: &str = "page";
pub(super) const BODY: &str = "body";

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
    endpoint: StringBuilder,
    listed_times: [TimestampMicrosecondBuilder; 3],
    landed: Int64Builder,
    first_sample: Int64Builder,
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
            .set_key_value_metadata(Some(vec![KeyValue::new("vcq.archive_version".into(), VERSION.to_string())]))
            .build();
        let file = ArrowWriter::try_new(output, Arc::clone(&schema), Some(properties))?;
        Ok(Self { file, schema, rows: Builders::default() })
    }

    pub(super) fn write(
        &mut self,
        stay: &Stay,
        (number, first_sample): (u32, u32),
        body: &str,
    ) -> Result<(), ParquetError> {
        self.rows.push(stay, first_sample);
        self.end_row(number, body)
    }

    pub(super) fn write_listed(
        &mut self,
        listing: &ArchivedListing,
        number: u32,
        body: &str,
    ) -> Result<(), ParquetError> {
        self.rows.push_listed(listing);
        self.end_row(number, body)
    }

    fn end_row(&mut self, number: u32, body: &str) -> Result<(), ParquetError> {
        self.rows.number.append_value(number.into());
        self.rows.body.append_value(body);
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
    fn push(&mut self, stay: &Stay, first_sample: u32) {
        let times = [stay.meeting_start_s, stay.meeting_end_s, stay.join_s].map(Some);
        self.push_keys(Some(stay.meeting_no), times, &stay.participant);
        self.endpoint.append_value(Endpoint::Quality.name());
        append_times(&mut self.listed_times, [None; 3]);
        self.landed.append_null();
        self.first_sample.append_value(first_sample.into());
    }

    fn push_listed(&mut self, listing: &ArchivedListing) {
        let [window_start_s, window_end_s] = match &listing.of {
            ListingOf::Window(span_s) => {
                self.push_keys(None, [None; 3], None);
                [Some(span_s.start), Some(span_s.end)]
            }
            ListingOf::Meeting(meeting) => {
                self.push_keys(Some(meeting.no), [Some(meeting.start_s), meeting.end_s, None], None);
                [None, None]
            }
        };
        self.endpoint.append_value(listing.of.endpoint().name());
        append_times(&mut self.listed_times, [window_start_s, window_end_s, Some(listing.begun_at_s)]);
        self.landed.append_value(listing.landed.cast_signed());
        self.first_sample.append_null();
    }

    fn push_keys<'a>(
        &mut self,
        meeting_no: Option<MeetingNo>,
        times_s: [Option<i64>; 3],
        participant: impl Into<Option<&'a Participant>>,
    ) {
        self.meeting_no.append_option(meeting_no.as_ref().map(MeetingNo::as_str));
        append_times(&mut self.times, times_s);
        let participant = participant.into();
        let ids = [participant.and_then(Participant::user_id), participant.and_then(Participant::room_id)];
        for (builder, id) in self.ids.iter_mut().zip(ids) {
            builder.append_option(id);
        }
    }

    /// The columns in the order of [`schema`].
    fn into_columns(mut self) -> Vec<ArrayRef> {
        let times = |times: [TimestampMicrosecondBuilder; 3]| {
            times.map(|times| Arc::new(times.with_timezone("UTC").finish()) as ArrayRef)
        };
        let mut columns: Vec<ArrayRef> = vec![Arc::new(self.meeting_no.finish())];
        columns.extend(times(self.times));
        columns.extend(self.ids.map(|mut ids| Arc::new(ids.finish()) as ArrayRef));
        columns.push(Arc::new(self.endpoint.finish()));
        columns.extend(times(self.listed_times));
        columns.push(Arc::new(self.landed.finish()));
        columns.push(Arc::new(self.first_sample.finish()));
        columns.push(Arc::new(self.number.finish()));
        columns.push(Arc::new(self.body.finish()));
        columns
    }
}

fn append_times(builders: &mut [TimestampMicrosecondBuilder; 3], times_s: [Option<i64>; 3]) {
    for (builder, time_s) in builders.iter_mut().zip(times_s) {
        builder.append_option(time_s.map(|time_s| time_s * 1_000_000));
    }
}

/// The manifest's columns, typed as in the dataset, and the other keys; then the page. Each kind of page has keys of its own, and
/// nulls in the others.
fn schema() -> Schema {
    let time = || DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()));
    let keys = Column::ALL.map(|column| {
        let kind = match column {
            Column::MeetingNo | Column::UserId | Column::RoomId => DataType::Utf8,
            Column::MeetingStartTime | Column::MeetingEndTime | Column::JoinTime => time(),
        };
        Field::new(column.name(), kind, true)
    });
    let others = Key::ALL.map(|key| match key {
        Key::Endpoint => Field::new(key.name(), DataType::Utf8, false),
        Key::WindowStart | Key::WindowEnd | Key::BegunAt => Field::new(key.name(), time(), true),
        Key::Landed | Key::FirstSample => Field::new(key.name(), DataType::Int64, true),
    });
    let page = [Field::new(PAGE, DataType::Int64, false), Field::new(BODY, DataType::Utf8, false)];
    Schema::new(keys.into_iter().chain(others).chain(page).collect::<Vec<_>>())
}

/// Reads pages from rows.
pub struct ParquetReader {
    batches: Batches,
    batch: RowBatch,
    /// The row of the batch that comes next.
    next: usize,
    line: u64,
}

/// Where the other keys, the page's number and its body stand among the wanted columns, which begin with the manifest's.
const OTHERS_AT: usize = Column::ALL.len();
const PAGE_AT: usize = OTHERS_AT + Key::ALL.len();
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

/// The page in a row of the [`wanted`] columns.
pub(super) fn page<'a>(batch: &'a RowBatch, row: usize, rules: &Rules) -> Result<Entry<'a>, Refused> {
    let fields = batch.fields(row);
    if let Some(reason) = batch.broken_field(row) {
        return Err(Refusal::Keys(Box::new(Reject::new(&fields, reason))).into());
    }
    let others = Key::ALL.map(|key| batch.text(OTHERS_AT + key as usize, row).unwrap_or_default());
    let keys = Keys { fields, others };
    let number = batch.text(PAGE_AT, row).and_then(|number| number.parse().ok());
    let body = match batch.broken(BODY_AT, row) {
        Some(_) => Err(Refusal::BodyNotUtf8),
        None => batch.text(BODY_AT, row).map(Cow::Borrowed).ok_or(Refusal::NoBody),
    };
    Entry::checked(&keys, number, body, rules)
}

/// The columns that are read, and where the schema has them. Of `user_id` and `room_id` one is enough.
pub(super) fn wanted(schema: &Schema) -> Result<Vec<Wanted>, ArchiveError> {
    let find = |name: &'static str, values| (name, values, schema.column_with_name(name).map(|(position, _)| position));
    let keys = Column::ALL.map(|column| find(column.name(), Values::Any));
    // Archives of before there were listings have no other keys.
    let others = Key::ALL.map(|key| find(key.name(), Values::Any));
    let page = [find(PAGE, Values::Number), find(BODY, Values::Text)];
    let wanted: Vec<Wanted> = keys.into_iter().chain(others).chain(page).collect();
    let has = |column: Column| wanted[column as usize].2.is_some();
    let has_id = has(Column::UserId) || has(Column::RoomId);
    let is_other = |name| Key::ALL.iter().any(|key| key.name() == name);
    let is_id = |name| [Column::UserId.name(), Column::RoomId.name()].contains(&name);
    let is_optional = |name| is_other(name) || has_id && is_id(name);
    match wanted.iter().find(|(name, _, position)| position.is_none() && !is_optional(name)) {
        Some((missing, ..)) => Err(ArchiveError::MissingColumn(missing)),
        None => Ok(wanted),
    }
}
