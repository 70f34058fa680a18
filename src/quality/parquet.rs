//! `RecordBatch`es → the bytes of a part file, and back to what the journal can be compared with.

use std::{fs::File, io::Write, sync::Arc};

use arrow::{
    array::{Array, AsArray, Int32Array, RecordBatch, RecordBatchReader, StringArray, TimestampMicrosecondArray},
    error::ArrowError,
};
use chrono::{FixedOffset, NaiveDate};
use parquet::{
    arrow::{
        ArrowWriter, ProjectionMask,
        arrow_reader::{ParquetRecordBatchReader, ParquetRecordBatchReaderBuilder},
        arrow_writer::ArrowWriterOptions,
    },
    basic::{Compression, Encoding, ZstdLevel},
    errors::ParquetError,
    file::{
        metadata::KeyValue,
        properties::{EnabledStatistics, WriterProperties, WriterVersion},
    },
    schema::types::ColumnPath,
};

use super::{
    batch::SCHEMA,
    column::{COLUMNS, KEY_COLUMNS, KeyType, Kind},
};
use crate::stay::{MeetingNo, Participant, Stay};

/// Version of the schema: it rises when a column is added, renamed or means something else.
pub const SCHEMA_VERSION: u32 = 1;

/// Rows of a row group: a day of a large tenant, and no more than a writer holds in a few megabytes.
const ROW_GROUP_ROWS_MAX: usize = 131_072;

/// Rows that the library encodes at a time: a whole batch.
const WRITE_BATCH_ROWS: usize = 8192;

/// zstd's first level: higher ones cost more time than they save space.
const ZSTD_LEVEL: i32 = 1;

/// Rows of a batch on reading back.
const READ_ROWS: usize = 8192;

/// What a file says of itself in its metadata.
#[derive(Clone, Debug)]
pub struct FileFacts<'a> {
    /// The partition.
    pub date: NaiveDate,
    /// IANA name of the zone that decides the partition.
    pub timezone: &'a str,
    /// Offset of time texts without a zone.
    pub naive_offset: FixedOffset,
    /// Stays in the file.
    pub stays: u64,
    /// Rows in the file.
    pub samples: u64,
}

/// Why a file could not be written or read back.
#[derive(Debug, thiserror::Error)]
pub enum ParquetFileError {
    /// The Parquet library, or the disk below it.
    #[error("Parquet")]
    Parquet(#[from] ParquetError),
    /// A batch could not be read.
    #[error("Parquet batch")]
    Arrow(#[from] ArrowError),
    /// The file reads, but is not what was meant to be written.
    #[error("{0}")]
    Contents(String),
}

/// Writes one part file.
pub struct Writer<W: Write + Send>(ArrowWriter<W>);

impl<W: Write + Send> Writer<W> {
    /// Begins a file. The same facts and batches give the same bytes.
    pub fn new(out: W, facts: &FileFacts<'_>) -> Result<Self, ParquetFileError> {
        let options = ArrowWriterOptions::new().with_properties(properties(facts)).with_skip_arrow_metadata(true);
        Ok(Self(ArrowWriter::try_new_with_options(out, Arc::clone(&SCHEMA), options)?))
    }

    /// Adds rows, which must come in the order of the dataset.
    pub fn write(&mut self, batch: &RecordBatch) -> Result<(), ParquetFileError> {
        Ok(self.0.write(batch)?)
    }

    /// Writes what is still buffered and the footer.
    pub fn finish(self) -> Result<(), ParquetFileError> {
        self.0.close()?;
        Ok(())
    }
}

fn properties(facts: &FileFacts<'_>) -> WriterProperties {
    let level = ZstdLevel::try_new(ZSTD_LEVEL).expect("zstd has this level");
    let mut builder = WriterProperties::builder()
        .set_created_by(concat!("vcq version ", env!("CARGO_PKG_VERSION")).to_owned())
        .set_writer_version(WriterVersion::PARQUET_1_0)
        .set_compression(Compression::ZSTD(level))
        .set_max_row_group_row_count(Some(ROW_GROUP_ROWS_MAX))
        .set_write_batch_size(WRITE_BATCH_ROWS)
        .set_statistics_enabled(EnabledStatistics::Chunk)
        .set_key_value_metadata(Some(metadata(facts)));
    for name in delta_encoded() {
        let path = ColumnPath::from(name);
        builder = builder
            .set_column_dictionary_enabled(path.clone(), false)
            .set_column_encoding(path, Encoding::DELTA_BINARY_PACKED);
    }
    builder.build()
}

/// Times and indices rise evenly, so their differences are small.
fn delta_encoded() -> impl Iterator<Item = &'static str> {
    let is_delta = |key_type: KeyType| matches!(key_type, KeyType::Time | KeyType::Index);
    let keys = KEY_COLUMNS.iter().filter(move |key| is_delta(key.key_type)).map(|key| key.name);
    keys.chain(COLUMNS.iter().filter(|column| column.kind == Kind::Time).map(|column| column.name))
}

fn metadata(facts: &FileFacts<'_>) -> Vec<KeyValue> {
    [
        ("vcq.version", env!("CARGO_PKG_VERSION").to_owned()),
        ("vcq.schema_version", SCHEMA_VERSION.to_string()),
        ("vcq.date", facts.date.to_string()),
        ("vcq.timezone", facts.timezone.to_owned()),
        ("vcq.naive_utc_offset", facts.naive_offset.to_string()),
        ("vcq.stays", facts.stays.to_string()),
        ("vcq.samples", facts.samples.to_string()),
    ]
    .into_iter()
    .map(|(key, value)| KeyValue::new(key.to_owned(), value))
    .collect()
}

/// The columns by which a row is known.
const IDENTITY: [&str; 6] = ["meeting_no", "meeting_start_time", "join_time", "user_id", "room_id", "sample_index"];

/// The rows of one stay, as they stand in a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StayRun {
    meeting_no: MeetingNo,
    meeting_start_us: i64,
    join_us: i64,
    participant: Participant,
    /// How many there are.
    pub samples: u64,
}

impl StayRun {
    /// True if these are rows of `stay`.
    pub fn is(&self, stay: &Stay) -> bool {
        self.meeting_no == stay.meeting_no
            && self.meeting_start_us == stay.meeting_start_s * 1_000_000
            && self.join_us == stay.join_s * 1_000_000
            && self.participant == stay.participant
    }
}

/// Reads a file back as the stays in it, in the order of its rows, one batch of rows at a time.
pub struct StayRuns {
    reader: ParquetRecordBatchReader,
    batch: Identities,
    row: usize,
}

impl StayRuns {
    /// Opens a finished file.
    ///
    /// # Errors
    ///
    /// If it is no Parquet file, or one of another schema.
    pub fn open(file: File) -> Result<Self, ParquetFileError> {
        let builder = ParquetRecordBatchReaderBuilder::try_new(file)?;
        check_schema(&builder)?;
        let mask = ProjectionMask::columns(builder.parquet_schema(), IDENTITY);
        let reader = builder.with_projection(mask).with_batch_size(READ_ROWS).build()?;
        let batch = Identities::of(&RecordBatch::new_empty(reader.schema()));
        Ok(Self { reader, batch, row: 0 })
    }

    fn read_run(&mut self) -> Result<Option<StayRun>, ParquetFileError> {
        if !self.has_row()? {
            return Ok(None);
        }
        let mut run = self.batch.run_at(self.row)?;
        while self.has_row()? && self.batch.is_of(&run, self.row) {
            check_index(&run, self.batch.sample_index.value(self.row))?;
            run.samples += 1;
            self.row += 1;
        }
        Ok(Some(run))
    }

    /// Whether there is a row left, and then reads it into the batch.
    fn has_row(&mut self) -> Result<bool, ParquetFileError> {
        while self.row == self.batch.sample_index.len() {
            let Some(batch) = self.reader.next().transpose()? else { return Ok(false) };
            (self.batch, self.row) = (Identities::of(&batch), 0);
        }
        Ok(true)
    }
}

impl Iterator for StayRuns {
    type Item = Result<StayRun, ParquetFileError>;

    fn next(&mut self) -> Option<Self::Item> {
        self.read_run().transpose()
    }
}

fn check_schema(builder: &ParquetRecordBatchReaderBuilder<File>) -> Result<(), ParquetFileError> {
    if builder.schema().fields() == SCHEMA.fields() {
        Ok(())
    } else {
        Err(ParquetFileError::Contents("its columns are not those of this version".into()))
    }
}

fn check_index(run: &StayRun, found: i32) -> Result<(), ParquetFileError> {
    if u64::try_from(found) == Ok(run.samples) {
        return Ok(());
    }
    let expected = run.samples;
    Err(ParquetFileError::Contents(format!("sample_index is {found} where {expected} follows, in {run:?}")))
}

/// The columns of [`IDENTITY`] in one batch of rows.
struct Identities {
    meeting_no: StringArray,
    meeting_start: TimestampMicrosecondArray,
    join: TimestampMicrosecondArray,
    user: StringArray,
    room: StringArray,
    sample_index: Int32Array,
}

impl Identities {
    /// The columns of a batch of [`IDENTITY`], whose types [`check_schema`] has seen.
    fn of(batch: &RecordBatch) -> Self {
        Self {
            meeting_no: batch.column(0).as_string().clone(),
            meeting_start: batch.column(1).as_primitive().clone(),
            join: batch.column(2).as_primitive().clone(),
            user: batch.column(3).as_string().clone(),
            room: batch.column(4).as_string().clone(),
            sample_index: batch.column(5).as_primitive().clone(),
        }
    }

    /// The stay that a row is of, without a sample yet.
    fn run_at(&self, row: usize) -> Result<StayRun, ParquetFileError> {
        let contents = |what: &str| ParquetFileError::Contents(what.into());
        let participant = match (text_at(&self.user, row), text_at(&self.room, row)) {
            (Some(user), None) => Participant::User(user.to_owned()),
            (None, Some(room)) => Participant::Room(room.to_owned()),
            _ => return Err(contents("a row has not exactly one participant")),
        };
        let meeting_no = MeetingNo::parse(self.meeting_no.value(row));
        Ok(StayRun {
            meeting_no: meeting_no.ok_or_else(|| contents("a meeting_no is not nine digits"))?,
            meeting_start_us: self.meeting_start.value(row),
            join_us: self.join.value(row),
            participant,
            samples: 0,
        })
    }

    /// True if a row is one of `run`.
    fn is_of(&self, run: &StayRun, row: usize) -> bool {
        self.meeting_no.value(row) == run.meeting_no.as_str()
            && self.meeting_start.value(row) == run.meeting_start_us
            && self.join.value(row) == run.join_us
            && text_at(&self.user, row) == run.participant.user_id()
            && text_at(&self.room, row) == run.participant.room_id()
    }
}

fn text_at(array: &StringArray, row: usize) -> Option<&str> {
    array.is_valid(row).then(|| array.value(row))
}

#[cfg(test)]
mod tests;
