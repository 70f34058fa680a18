//! Rows of a [`Table`] → the bytes of a part file, and back to what it says of itself.

use std::{collections::BTreeMap, fs::File, io::Write, sync::Arc};

use arrow::{
    array::{
        ArrayRef, BooleanBuilder, Int32Builder, MapBuilder, MapFieldNames, RecordBatch, StringBuilder,
        TimestampMicrosecondBuilder,
    },
    datatypes::{DataType, Field, Fields, Schema, SchemaRef},
};
use chrono::{FixedOffset, NaiveDate};
use parquet::{
    arrow::{
        ArrowSchemaConverter, ArrowWriter, arrow_reader::ParquetRecordBatchReaderBuilder,
        arrow_writer::ArrowWriterOptions,
    },
    basic::{Compression, ZstdLevel},
    file::{metadata::KeyValue, properties::WriterProperties},
};

use super::{ParquetFileError, ZSTD_LEVEL, common_properties, key_data_type, key_values, settings, time_type};
use crate::{
    read::listed::{Cell, Values},
    tables::{
        listed::{Column, Kind, Table},
        quality::{KeyType, UNPARSED},
    },
};

/// Version of the schema of each table: it rises when a column is added, renamed or means something else.
pub const SCHEMA_VERSION: u32 = 1;

/// Rows that are collected before they are encoded.
pub const ROWS_PER_BATCH: usize = 8192;

/// Bytes of texts after which rows are encoded, however few: a text has no limit of its own.
const TEXT_BYTES_PER_BATCH: usize = 4 << 20;

/// Encoded bytes after which a row group ends: so much the writer keeps in memory.
const ROW_GROUP_BYTES_MAX: usize = 32 << 20;

/// The schema of every file of `table` with these personal columns: what is published, then `unparsed`.
pub fn schema(table: &'static Table, personal: &[String]) -> SchemaRef {
    let columns = table.published(personal).map(|column| {
        let data_type = match column.kind {
            Kind::Text => DataType::Utf8,
            Kind::Time => time_type(),
            Kind::Duration | Kind::Count => DataType::Int32,
            Kind::Flag => DataType::Boolean,
        };
        Field::new(column.name, data_type, column.is_nullable)
    });
    let unparsed = Field::new(UNPARSED.name, key_data_type(KeyType::TextMap), UNPARSED.nullable);
    Arc::new(Schema::new(columns.chain([unparsed]).collect::<Fields>()))
}

/// Everything that decides a file's bytes besides its rows and [`ListedFacts`]: the columns, the encoder's settings and its
/// libraries.
pub fn encoder(table: &'static Table, personal: &[String]) -> String {
    let schema = ArrowSchemaConverter::new().convert(&schema(table, personal));
    let schema = schema.expect("Parquet has all types of the schema");
    let properties = properties(table, Vec::new());
    format!(
        "{} schema {SCHEMA_VERSION}, {}, batches of {ROWS_PER_BATCH} rows or {TEXT_BYTES_PER_BATCH} bytes of texts, row groups \
         of {ROW_GROUP_BYTES_MAX} bytes",
        table.name,
        settings(&properties, &schema),
    )
}

/// What a file says of itself in its metadata.
#[derive(Clone, Debug)]
pub struct ListedFacts<'a> {
    /// The partition.
    pub date: NaiveDate,
    /// IANA name of the zone that decides the partition.
    pub timezone: &'a str,
    /// Offset of time texts without a zone.
    pub naive_offset: FixedOffset,
    /// Rows in the file.
    pub rows: u64,
}

/// Writes one part file.
pub struct ListedWriter<W: Write + Send> {
    file: ArrowWriter<W>,
    schema: SchemaRef,
    rows: Rows,
    rows_promised: u64,
    rows_written: u64,
}

impl<W: Write + Send> ListedWriter<W> {
    /// Begins a file. The same facts and rows give the same bytes.
    pub fn new(
        sink: W,
        table: &'static Table,
        personal: &[String],
        facts: &ListedFacts<'_>,
    ) -> Result<Self, ParquetFileError> {
        let schema = schema(table, personal);
        let options = ArrowWriterOptions::new()
            .with_properties(properties(table, metadata(facts)))
            .with_skip_arrow_metadata(true);
        let file = ArrowWriter::try_new_with_options(sink, Arc::clone(&schema), options)?;
        let rows = Rows::new(table, personal);
        Ok(Self { file, schema, rows, rows_promised: facts.rows, rows_written: 0 })
    }

    /// Adds a row of the table, in the order of the dataset. Of what could not be read it keeps what belongs to published
    /// columns.
    ///
    /// # Errors
    ///
    /// If a column that cannot be null has no value, or one of another kind stands in it.
    pub fn push(&mut self, values: &Values) -> Result<(), ParquetFileError> {
        self.rows.push(values)?;
        if self.rows.are_many() { self.write_rows() } else { Ok(()) }
    }

    /// Writes the footer.
    ///
    /// # Errors
    ///
    /// Also if there are not as many rows as the facts say.
    pub fn finish(mut self) -> Result<(), ParquetFileError> {
        self.write_rows()?;
        let Self { rows_promised, rows_written, .. } = self;
        if rows_written != rows_promised {
            return Err(contents(format!("{rows_written} rows were written where {rows_promised} were promised")));
        }
        self.file.close()?;
        Ok(())
    }

    fn write_rows(&mut self) -> Result<(), ParquetFileError> {
        self.rows_written += self.rows.count as u64;
        let columns = self.rows.take();
        self.file.write(&RecordBatch::try_new(Arc::clone(&self.schema), columns)?)?;
        if self.file.in_progress_size() >= ROW_GROUP_BYTES_MAX {
            self.file.flush()?;
        }
        Ok(())
    }
}

fn contents(what: String) -> ParquetFileError {
    ParquetFileError::Contents(what)
}

/// Times are plain, as in `quality`.
fn properties(table: &Table, metadata: Vec<KeyValue>) -> WriterProperties {
    let times = table.columns.iter().filter(|column| column.kind == Kind::Time).map(|column| column.name);
    let zstd = ZstdLevel::try_new(ZSTD_LEVEL).expect("zstd has this level");
    common_properties(times).set_compression(Compression::ZSTD(zstd)).set_key_value_metadata(Some(metadata)).build()
}

fn metadata(facts: &ListedFacts<'_>) -> Vec<KeyValue> {
    key_values([
        ("vcq.version", env!("CARGO_PKG_VERSION").to_owned()),
        ("vcq.schema_version", SCHEMA_VERSION.to_string()),
        ("vcq.date", facts.date.to_string()),
        ("vcq.timezone", facts.timezone.to_owned()),
        ("vcq.naive_utc_offset", facts.naive_offset.to_string()),
        (ROWS, facts.rows.to_string()),
    ])
}

const ROWS: &str = "vcq.rows";

/// Rows under construction, column by column.
pub(crate) struct Rows {
    columns: Vec<(usize, &'static Column, Builder)>,
    unparsed: MapBuilder<StringBuilder, StringBuilder>,
    count: usize,
    text_bytes: usize,
}

impl Rows {
    pub(crate) fn new(table: &'static Table, personal: &[String]) -> Self {
        let published = table.published(personal);
        let columns =
            published.filter_map(|column| Some((table.position(column.name)?, column, Builder::of(column.kind))));
        let names = MapFieldNames { entry: "key_value".into(), key: "key".into(), value: "value".into() };
        let unparsed = MapBuilder::new(Some(names), StringBuilder::new(), StringBuilder::new())
            .with_values_field(Field::new("value", DataType::Utf8, false));
        Self { columns: columns.collect(), unparsed, count: 0, text_bytes: 0 }
    }

    /// Adds a row, as [`ListedWriter::push`] does.
    pub(crate) fn push(&mut self, values: &Values) -> Result<(), ParquetFileError> {
        let mut has_unparsed = false;
        for (position, column, builder) in &mut self.columns {
            let cell = values.cells.get(*position).unwrap_or(&Cell::Null);
            if cell.is_null() && !column.is_nullable {
                return Err(contents(format!("`{}` has no value", column.name)));
            }
            self.text_bytes += cell.text().map_or(0, str::len);
            builder.append(cell).map_err(|Mismatch| contents(format!("`{}` cannot be {cell:?}", column.name)))?;
            if let Some(text) = values.unparsed.get(column.name) {
                self.unparsed.keys().append_value(column.name);
                self.unparsed.values().append_value(text);
                self.text_bytes += text.len();
                has_unparsed = true;
            }
        }
        self.unparsed.append(has_unparsed)?;
        self.count += 1;
        Ok(())
    }

    /// Whether they should be [taken](Self::take) before the next one.
    pub(crate) fn are_many(&self) -> bool {
        self.count >= ROWS_PER_BATCH || self.text_bytes >= TEXT_BYTES_PER_BATCH
    }

    /// The columns in the order of [`schema`]; no rows are left.
    pub(crate) fn take(&mut self) -> Vec<ArrayRef> {
        (self.count, self.text_bytes) = (0, 0);
        let columns = self.columns.iter_mut().map(|(_, _, builder)| builder.finish());
        columns.chain([Arc::new(self.unparsed.finish()) as ArrayRef]).collect()
    }
}

/// A column under construction.
enum Builder {
    Text(StringBuilder),
    Time(TimestampMicrosecondBuilder),
    Int(Int32Builder),
    Flag(BooleanBuilder),
}

/// A cell of another kind than its column.
struct Mismatch;

impl Builder {
    fn of(kind: Kind) -> Self {
        match kind {
            Kind::Text => Self::Text(StringBuilder::new()),
            Kind::Time => Self::Time(TimestampMicrosecondBuilder::new().with_timezone("UTC")),
            Kind::Duration | Kind::Count => Self::Int(Int32Builder::new()),
            Kind::Flag => Self::Flag(BooleanBuilder::new()),
        }
    }

    fn append(&mut self, cell: &Cell) -> Result<(), Mismatch> {
        match (self, cell) {
            (Self::Text(texts), Cell::Text(text)) => texts.append_value(text),
            (Self::Text(texts), Cell::Null) => texts.append_null(),
            (Self::Time(times), Cell::Time(unix_s)) => {
                let microseconds = unix_s.checked_mul(1_000_000).ok_or(Mismatch)?;
                times.append_value(microseconds);
            }
            (Self::Time(times), Cell::Null) => times.append_null(),
            (Self::Int(ints), Cell::Int(int)) => ints.append_value(*int),
            (Self::Int(ints), Cell::Null) => ints.append_null(),
            (Self::Flag(flags), Cell::Flag(flag)) => flags.append_value(*flag),
            (Self::Flag(flags), Cell::Null) => flags.append_null(),
            _ => return Err(Mismatch),
        }
        Ok(())
    }

    fn finish(&mut self) -> ArrayRef {
        match self {
            Self::Text(texts) => Arc::new(texts.finish()),
            Self::Time(times) => Arc::new(times.finish()),
            Self::Int(ints) => Arc::new(ints.finish()),
            Self::Flag(flags) => Arc::new(flags.finish()),
        }
    }
}

/// What stands in a finished file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListedContents {
    /// How many rows could be read.
    pub rows: u64,
    /// What it says of itself, by name.
    pub metadata: BTreeMap<String, String>,
}

/// Reads a finished file of `table` from its first row to its last, whichever personal columns it has.
///
/// # Errors
///
/// If it is no Parquet file, one of another schema, damaged, or has not as many rows as it says.
pub fn read_back(file: File, table: &'static Table) -> Result<ListedContents, ParquetFileError> {
    let builder = ParquetRecordBatchReaderBuilder::try_new(file)?;
    let names: Vec<_> = builder.schema().fields().iter().map(|field| field.name().clone()).collect();
    if builder.schema().fields() != schema(table, &names).fields() {
        return Err(contents("its columns are not those of this version".into()));
    }
    let pairs = builder.metadata().file_metadata().key_value_metadata().into_iter().flatten();
    let metadata: BTreeMap<_, _> = pairs.filter_map(|pair| Some((pair.key.clone(), pair.value.clone()?))).collect();
    let mut rows = 0;
    for batch in builder.with_batch_size(ROWS_PER_BATCH).build()? {
        rows += batch?.num_rows() as u64;
    }
    if metadata.get(ROWS) != Some(&rows.to_string()) {
        let said = metadata.get(ROWS).map_or("nothing", String::as_str);
        return Err(contents(format!("it has {rows} rows and says {said}")));
    }
    Ok(ListedContents { rows, metadata })
}

#[cfg(test)]
mod tests;
