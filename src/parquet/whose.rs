//! Whose rows a file has that another program has written, in whatever order they stand.

use std::fs::File;

use arrow::{
    array::{Array as _, ArrayRef, AsArray as _, RecordBatch, StringArray, TimestampMicrosecondArray},
    compute::cast,
    datatypes::DataType,
};
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use sha2::{Digest as _, Sha256};

use super::{ParquetFileError, time_type};
use crate::stay::Stay;

/// Rows of a batch on reading.
const READ_ROWS: usize = 8192;

/// How many rows there are, and of which stays: equal for the same rows in another order, or in other files.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Whose {
    /// How many there are.
    pub rows: u64,
    /// The sum of a digest of each row's stay.
    sum: u64,
}

impl Whose {
    /// Adds the rows of a stay.
    pub fn add(&mut self, stay: &Stay, samples: u64) {
        let digest = digest(
            stay.meeting_no.as_str(),
            [stay.meeting_start_s, stay.join_s].map(|seconds| seconds * 1_000_000),
            [stay.participant.user_id(), stay.participant.room_id()],
        );
        self.rows += samples;
        self.sum = self.sum.wrapping_add(digest.wrapping_mul(samples));
    }

    /// Adds the rows of a file of samples, every column of which is read.
    ///
    /// # Errors
    ///
    /// If it cannot be read to its end, or lacks a column by which a stay is known.
    pub fn add_file(&mut self, file: File) -> Result<(), ParquetFileError> {
        each_batch(file, |batch| {
            let texts =
                |name| Ok::<StringArray, ParquetFileError>(column(batch, name, &DataType::Utf8)?.as_string().clone());
            let times = |name| {
                Ok::<TimestampMicrosecondArray, ParquetFileError>(
                    column(batch, name, &time_type())?.as_primitive().clone(),
                )
            };
            let (numbers, users, rooms) = (texts("meeting_no")?, texts("user_id")?, texts("room_id")?);
            let (starts, joins) = (times("meeting_start_time")?, times("join_time")?);
            for row in 0..batch.num_rows() {
                let times = [starts.value(row), joins.value(row)];
                let who = [&users, &rooms].map(|ids| ids.is_valid(row).then(|| ids.value(row)));
                self.sum = self.sum.wrapping_add(digest(numbers.value(row), times, who));
            }
            self.rows += batch.num_rows() as u64;
            Ok(())
        })
    }
}

/// How many rows a file has, every column of which is read.
///
/// # Errors
///
/// If it cannot be read to its end.
pub fn count_rows(file: File) -> Result<u64, ParquetFileError> {
    let mut rows = 0;
    each_batch(file, |batch| {
        rows += batch.num_rows() as u64;
        Ok(())
    })?;
    Ok(rows)
}

fn each_batch(
    file: File,
    mut each: impl FnMut(&RecordBatch) -> Result<(), ParquetFileError>,
) -> Result<(), ParquetFileError> {
    let builder = ParquetRecordBatchReaderBuilder::try_new(file)?;
    for batch in builder.with_batch_size(READ_ROWS).build()? {
        each(&batch?)?;
    }
    Ok(())
}

/// A column of a batch, as values of this type.
fn column(batch: &RecordBatch, name: &str, wanted: &DataType) -> Result<ArrayRef, ParquetFileError> {
    let column = batch.column_by_name(name);
    let column = column.ok_or_else(|| ParquetFileError::Contents(format!("it has no column `{name}`")))?;
    Ok(cast(column, wanted)?)
}

/// The digest of a row's stay.
fn digest(meeting_no: &str, times_us: [i64; 2], who: [Option<&str>; 2]) -> u64 {
    let digest = Sha256::digest(format!("{meeting_no} {times_us:?} {who:?}"));
    let first: [u8; 8] = digest[..8].try_into().expect("SHA-256 has 32 bytes");
    u64::from_be_bytes(first)
}
