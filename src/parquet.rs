//! Batches → the bytes of a part file, and back to what the journal can be compared with. Here those of `quality`, in
//! [`listed`] those of the datasets that come from lists.

use std::{
    io::Write,
    sync::{Arc, LazyLock},
};

use arrow::{
    datatypes::{DataType, Field, Fields, Schema, SchemaRef, TimeUnit},
    error::ArrowError,
};
use chrono::{FixedOffset, NaiveDate};
use parquet::{
    arrow::ArrowSchemaConverter,
    errors::ParquetError,
    file::{
        metadata::KeyValue,
        properties::{DEFAULT_CREATED_BY, EnabledStatistics, WriterProperties, WriterPropertiesBuilder, WriterVersion},
        writer::SerializedFileWriter,
    },
    schema::types::{ColumnPath, SchemaDescriptor},
};
use zstd::{bulk::Compressor, zstd_safe::version_string};

use self::row_group::RowGroup;
pub use self::{
    stay_runs::{StayRun, StayRuns},
    whose::{Whose, count_rows},
};
use crate::{
    dataset::Dataset,
    read::batch::{Batch, ROWS_MAX, UNPARSED_BYTES_MAX},
    tables::{
        meetings::MEETINGS,
        participants::PARTICIPANTS,
        quality::{COLUMNS, KEY_COLUMNS, KeyType, Kind, UNPARSED},
    },
};

pub mod listed;
mod row_group;
mod stay_runs;
mod whose;

/// Version of the schema: it rises when a column is added, renamed or means something else.
pub const SCHEMA_VERSION: u32 = 1;

/// Rows that the library encodes at a time; between them it looks whether a page is full.
const WRITE_BATCH_ROWS: usize = 8192;

/// zstd's first level: higher ones cost more time than they save space.
const ZSTD_LEVEL: i32 = 1;

/// The schema of every part file: key columns, then the measured ones, then `unparsed`.
pub static SCHEMA: LazyLock<SchemaRef> = LazyLock::new(|| {
    let keys = KEY_COLUMNS.iter().map(|key| Field::new(key.name, key_data_type(key.key_type), key.nullable));
    let metrics = COLUMNS.iter().map(|column| Field::new(column.name, data_type(column.kind), true));
    let unparsed = Field::new(UNPARSED.name, key_data_type(UNPARSED.key_type), UNPARSED.nullable);
    Arc::new(Schema::new(keys.chain(metrics).chain([unparsed]).collect::<Fields>()))
});

/// The same as Parquet says it, with the leaves of nested columns.
static PARQUET_SCHEMA: LazyLock<SchemaDescriptor> =
    LazyLock::new(|| ArrowSchemaConverter::new().convert(&SCHEMA).expect("Parquet has all types of the schema"));

/// The schema of every file of a dataset, with these personal columns.
pub fn columns(dataset: Dataset, personal: &[String]) -> SchemaRef {
    match dataset {
        Dataset::Quality => Arc::clone(&SCHEMA),
        Dataset::Meetings => listed::schema(&MEETINGS, personal),
        Dataset::Participants => listed::schema(&PARTICIPANTS, personal),
    }
}

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
                Field::new("key", DataType::Utf8, false),
                Field::new("value", DataType::Utf8, false),
            ]);
            DataType::Map(Arc::new(Field::new("key_value", DataType::Struct(entry), false)), false)
        }
    }
}

fn time_type() -> DataType {
    DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()))
}

/// Everything that decides a file's bytes besides its rows and [`FileFacts`]: the encoder's settings and its libraries.
pub fn encoder() -> String {
    settings(&properties(Vec::new()), &PARQUET_SCHEMA)
}

/// The settings that make a difference, as text.
fn settings(properties: &WriterProperties, schema: &SchemaDescriptor) -> String {
    let column = |path: &ColumnPath| {
        let (encoding, statistics) = (properties.encoding(path), properties.statistics_enabled(path));
        let bloom_filter = properties.bloom_filter_properties(path);
        format!("{path} {encoding:?} {} {statistics:?} {bloom_filter:?}", properties.dictionary_enabled(path))
    };
    let columns: Vec<_> = schema.columns().iter().map(|leaf| column(leaf.path())).collect();
    format!(
        "{DEFAULT_CREATED_BY}, zstd {} level {ZSTD_LEVEL}, {:?}, row groups of {:?} rows or {UNPARSED_BYTES_MAX} bytes of texts, \
         pages of {} rows or {} bytes in steps of {}, dictionaries of {} bytes, statistics cut at {:?}, {}",
        version_string(),
        properties.writer_version(),
        properties.max_row_group_row_count(),
        properties.data_page_row_count_limit(),
        properties.data_page_size_limit(),
        properties.write_batch_size(),
        properties.dictionary_page_size_limit(),
        properties.statistics_truncate_length(),
        columns.join(", "),
    )
}

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
    /// Rows could not be read back.
    #[error("Parquet rows")]
    Arrow(#[from] ArrowError),
    /// The file reads, but is not what was meant to be written.
    #[error("{0}")]
    Contents(String),
}

/// Writes one part file.
pub struct PartWriter<W: Write + Send> {
    file: SerializedFileWriter<W>,
    zstd: Compressor<'static>,
}

impl<W: Write + Send> PartWriter<W> {
    /// Begins a file. The same facts and batches give the same bytes.
    pub fn new(out: W, facts: &FileFacts<'_>) -> Result<Self, ParquetFileError> {
        let file =
            SerializedFileWriter::new(out, PARQUET_SCHEMA.root_schema_ptr(), Arc::new(properties(metadata(facts))))?;
        Ok(Self { file, zstd: Compressor::new(ZSTD_LEVEL).map_err(ParquetError::from)? })
    }

    /// Writes the rows of `batch`, which must come in the order of the dataset, as one row group, and clears it.
    pub fn write(&mut self, batch: &mut Batch) -> Result<(), ParquetFileError> {
        if batch.rows() > 0 {
            RowGroup::new(&mut self.file, &mut self.zstd)?.write(batch)?;
            batch.clear();
        }
        Ok(())
    }

    /// Writes the footer.
    pub fn finish(self) -> Result<(), ParquetFileError> {
        self.file.close()?;
        Ok(())
    }
}

fn properties(metadata: Vec<KeyValue>) -> WriterProperties {
    let mut builder = common_properties(plain()).set_key_value_metadata(Some(metadata));
    // Those of keys and times let a reader skip files. Those of measured values do not: nearly every day has both a small
    // delay and a large one.
    for column in COLUMNS.iter().filter(|column| column.kind != Kind::Time) {
        builder = builder.set_column_statistics_enabled(ColumnPath::from(column.name), EnabledStatistics::None);
    }
    builder.build()
}

/// What holds for the files of every dataset. Values are in a dictionary, or plain if their column is named in `plain`: Spark
/// before 3.3 cannot read the encodings of differences and of streams, and other readers bend them.
fn common_properties(plain: impl Iterator<Item = &'static str>) -> WriterPropertiesBuilder {
    let builder = WriterProperties::builder()
        .set_created_by(concat!("vcq version ", env!("CARGO_PKG_VERSION")).to_owned())
        .set_writer_version(WriterVersion::PARQUET_1_0)
        .set_max_row_group_row_count(Some(ROWS_MAX))
        .set_write_batch_size(WRITE_BATCH_ROWS)
        .set_statistics_enabled(EnabledStatistics::Chunk);
    plain.fold(builder, |builder, name| builder.set_column_dictionary_enabled(ColumnPath::from(name), false))
}

/// Times and indices rise evenly: zstd finds more in them as they are than in places of a dictionary. A day of 40,000 rows
/// is 0.1 % larger than with differences, one of 4,000 2.5 %; with dictionaries they would be 1.9 % and 7.2 % larger.
fn plain() -> impl Iterator<Item = &'static str> {
    let is_plain = |key_type: KeyType| matches!(key_type, KeyType::Time | KeyType::Index);
    let keys = KEY_COLUMNS.iter().filter(move |key| is_plain(key.key_type)).map(|key| key.name);
    keys.chain(COLUMNS.iter().filter(|column| column.kind == Kind::Time).map(|column| column.name))
}

fn metadata(facts: &FileFacts<'_>) -> Vec<KeyValue> {
    key_values([
        ("vcq.version", env!("CARGO_PKG_VERSION").to_owned()),
        ("vcq.schema_version", SCHEMA_VERSION.to_string()),
        ("vcq.date", facts.date.to_string()),
        ("vcq.timezone", facts.timezone.to_owned()),
        ("vcq.naive_utc_offset", facts.naive_offset.to_string()),
        ("vcq.stays", facts.stays.to_string()),
        ("vcq.samples", facts.samples.to_string()),
    ])
}

fn key_values<const N: usize>(pairs: [(&str, String); N]) -> Vec<KeyValue> {
    pairs.into_iter().map(|(key, value)| KeyValue::new(key.to_owned(), value)).collect()
}

#[cfg(test)]
mod tests;
