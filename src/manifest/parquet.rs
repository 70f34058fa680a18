//! Parquet → rows: strings, integers and timestamps, each turned into the text that the rules read.

use std::{
    fs::File,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
};

use arrow::{
    array::{Array, ArrayRef, AsArray, Int64Array, RecordBatch, StringViewArray},
    compute::cast,
    datatypes::{DataType, Field, Int64Type, Schema, TimeUnit},
};
use parquet::{
    arrow::{
        ProjectionMask,
        arrow_reader::{
            ArrowReaderMetadata, ArrowReaderOptions, ParquetRecordBatchReader, ParquetRecordBatchReaderBuilder,
        },
    },
    errors::ParquetError,
    file::metadata::ParquetMetaData,
};

use super::{
    Error, Row,
    column::{Column, Fields, Header, IgnoredNames},
    rules::Rules,
};

const BATCH_ROWS_MAX: usize = 8192;

/// Batches have fewer rows where these are so long that more of them would take more memory than this.
const BATCH_BYTES: usize = 8 << 20;

/// Reads rows of a Parquet file.
pub(super) struct Rows {
    batches: ParquetRecordBatchReader,
    batch: Batch,
    /// The row of the batch that comes next.
    next: usize,
    line: u64,
}

impl Rows {
    /// Reads the footer.
    pub(super) fn new(file: File, ignored: &mut IgnoredNames) -> Result<Self, Error> {
        let metadata =
            guarded(|| ArrowReaderMetadata::load(&file, ArrowReaderOptions::new())).map_err(Error::Parquet)?;
        let schema = metadata.schema();
        let names: Vec<&str> = schema.fields().iter().map(|field| field.name().as_str()).collect();
        let header = Header::resolve(&names, ignored)?;
        let roots: Vec<usize> = Column::ALL.into_iter().filter_map(|column| header.position(column)).collect();
        for column in Column::ALL {
            if let Some(position) = header.position(column) {
                require_usable(column, schema.field(position).data_type())?;
            }
        }
        let batches = guarded(|| batches(file, &metadata, &roots)).map_err(Error::Parquet)?;
        Ok(Self { batches, batch: Batch::default(), next: 0, line: 0 })
    }

    /// The next row.
    pub(super) fn next_row(&mut self, rules: &Rules) -> Result<Option<Row>, Error> {
        while self.next == self.batch.row_count {
            let batch = guarded(|| Ok(self.batches.next().transpose()?.as_ref().map(Batch::of).transpose()?));
            let Some(batch) = batch.map_err(Error::Parquet)? else {
                return Ok(None);
            };
            self.batch = batch;
            self.next = 0;
        }
        let fields = self.batch.fields(self.next);
        self.next += 1;
        self.line += 1;
        Ok(Some(Row::checked(self.line, &fields, rules)))
    }
}

/// What `read` gives; its panic is an error. The crates that read Parquet panic over some damaged files: one flipped bit
/// is enough. Nothing is used again after an error, so that no half-made state is seen.
pub(crate) fn guarded<T>(read: impl FnOnce() -> Result<T, ParquetError>) -> Result<T, ParquetError> {
    let damaged = |_| Err(ParquetError::General("the file is damaged".into()));
    catch_unwind(AssertUnwindSafe(read)).unwrap_or_else(damaged)
}

/// Reads the `roots` alone. Strings come as views, which do not repeat the values of a dictionary.
pub(crate) fn batches(
    file: File,
    metadata: &ArrowReaderMetadata,
    roots: &[usize],
) -> Result<ParquetRecordBatchReader, ParquetError> {
    let fields: Vec<Field> = metadata.schema().fields().iter().map(|field| with_views(field)).collect();
    let options = ArrowReaderOptions::new().with_schema(Arc::new(Schema::new(fields)));
    let metadata = ArrowReaderMetadata::try_new(Arc::clone(metadata.metadata()), options)?;
    let mask = ProjectionMask::roots(metadata.parquet_schema(), roots.iter().copied());
    let batch_rows = batch_rows(metadata.metadata(), &mask);
    ParquetRecordBatchReaderBuilder::new_with_metadata(file, metadata)
        .with_projection(mask)
        .with_batch_size(batch_rows)
        .build()
}

fn with_views(field: &Field) -> Field {
    if is_string(field.data_type()) { field.clone().with_data_type(DataType::Utf8View) } else { field.clone() }
}

/// How many rows of the columns fit in [`BATCH_BYTES`], by the average of the row group with the longest ones.
fn batch_rows(metadata: &ParquetMetaData, mask: &ProjectionMask) -> usize {
    let row_bytes = metadata.row_groups().iter().map(|group| {
        let columns = group.columns().iter().enumerate().filter(|(leaf, _)| mask.leaf_included(*leaf));
        let bytes: i64 = columns.map(|(_, column)| column.uncompressed_size()).fold(0, i64::saturating_add);
        usize::try_from(bytes / group.num_rows().max(1)).unwrap_or(BATCH_BYTES)
    });
    (BATCH_BYTES / row_bytes.max().unwrap_or(1).max(1)).clamp(1, BATCH_ROWS_MAX)
}

pub(crate) fn is_string(data_type: &DataType) -> bool {
    match data_type {
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => true,
        DataType::Dictionary(_, values) => is_string(values),
        _ => false,
    }
}

fn require_usable(column: Column, data_type: &DataType) -> Result<(), Error> {
    if is_usable(data_type) { Ok(()) } else { Err(Error::ColumnType { column, found: data_type.to_string() }) }
}

/// True if the rules can read the column. One without any value has the type null in files of some writers.
pub(crate) fn is_usable(data_type: &DataType) -> bool {
    is_string(data_type) || data_type.is_integer() || matches!(data_type, DataType::Timestamp(_, _) | DataType::Null)
}

/// The texts of a batch's rows.
#[derive(Default)]
pub(crate) struct Batch {
    row_count: usize,
    columns: [Option<StringViewArray>; Column::ALL.len()],
}

impl Batch {
    pub(crate) fn of(batch: &RecordBatch) -> Result<Self, arrow::error::ArrowError> {
        let mut columns: [Option<StringViewArray>; Column::ALL.len()] = Default::default();
        for column in Column::ALL {
            if let Some(array) = batch.column_by_name(column.name()) {
                let texts = cast(&whole_seconds(array)?, &DataType::Utf8View)?;
                columns[column as usize] = Some(texts.as_string_view().clone());
            }
        }
        Ok(Self { row_count: batch.num_rows(), columns })
    }

    pub(crate) fn fields(&self, row: usize) -> Fields<'_> {
        Fields::of(|column| match &self.columns[column as usize] {
            Some(texts) if texts.is_valid(row) => texts.value(row),
            _ => "",
        })
    }
}

/// Timestamps as unix seconds, their fraction dropped; other columns as they are.
///
/// A timestamp without a zone counts from 1970 in UTC, as those do that were made from unix seconds.
fn whole_seconds(array: &ArrayRef) -> Result<ArrayRef, arrow::error::ArrowError> {
    let DataType::Timestamp(unit, _) = array.data_type() else {
        return Ok(Arc::clone(array));
    };
    let units_per_second = match unit {
        TimeUnit::Second => 1,
        TimeUnit::Millisecond => 1_000,
        TimeUnit::Microsecond => 1_000_000,
        TimeUnit::Nanosecond => 1_000_000_000,
    };
    let counts = cast(array, &DataType::Int64)?;
    let seconds: Int64Array = counts.as_primitive::<Int64Type>().unary(|count: i64| count.div_euclid(units_per_second));
    Ok(Arc::new(seconds))
}
