//! Which files are a table's: the rows of a scan, as they are, for the kernel wants them back to remove one.

use arrow::{
    array::{Array as _, AsArray as _, RecordBatch},
    datatypes::Int64Type,
    error::ArrowError,
};
use chrono::NaiveDate;
use delta_kernel::{
    Engine, FilteredEngineData, KernelError, KernelResult, SnapshotRef, engine::arrow_data::ArrowEngineData,
};
use percent_encoding::percent_decode_str;
use serde::Deserialize;

use super::PARTITION_COLUMN;

/// A file that is a table's.
#[derive(Clone, Debug)]
pub(super) struct ActiveRow {
    /// Its row in the batch.
    index: usize,
    /// Its path, without what the log escapes.
    pub(super) path: String,
    /// Its partition; none: the log does not say.
    pub(super) date: Option<NaiveDate>,
    /// Its size.
    pub(super) bytes: u64,
    /// Its rows, less those that are deleted, where the log tells them.
    pub(super) rows: Option<u64>,
}

/// What is read of a file's statistics.
#[derive(Deserialize)]
struct Statistics {
    #[serde(rename = "numRecords")]
    rows: Option<u64>,
}

/// All files that are the table's, with the batches that say so.
pub(super) fn active_rows(
    snapshot: &SnapshotRef,
    engine: &dyn Engine,
) -> KernelResult<Vec<(ArrowEngineData, Vec<ActiveRow>)>> {
    let scan = SnapshotRef::clone(snapshot).scan_builder().build()?;
    let mut batches = Vec::new();
    for metadata in scan.scan_metadata(engine)? {
        let (data, selected) = metadata?.scan_files.into_parts();
        let batch = *ArrowEngineData::try_from_engine_data(data)?;
        let rows = rows_of(batch.record_batch(), &selected)?;
        if !rows.is_empty() {
            batches.push((batch, rows));
        }
    }
    Ok(batches)
}

fn rows_of(batch: &RecordBatch, selected: &[bool]) -> KernelResult<Vec<ActiveRow>> {
    let lacks = |name: &str| KernelError::from(ArrowError::SchemaError(format!("a scan has no column `{name}`")));
    let text = |name: &str| {
        batch.column_by_name(name).and_then(|column| column.as_string_opt::<i32>()).ok_or_else(|| lacks(name))
    };
    let (paths, statistics) = (text("path")?, text("stats")?);
    let sizes = batch.column_by_name("size").and_then(|column| column.as_primitive_opt::<Int64Type>());
    let sizes = sizes.ok_or_else(|| lacks("size"))?;
    let constants = batch.column_by_name("fileConstantValues").and_then(|column| column.as_struct_opt());
    let partitions = constants.and_then(|constants| constants.column_by_name("partitionValues")?.as_map_opt());
    let partitions = partitions.ok_or_else(|| lacks("partitionValues"))?;
    let mut rows = Vec::new();
    for index in (0..batch.num_rows()).filter(|index| selected.get(*index).copied().unwrap_or(true)) {
        let values = partitions.value(index);
        let (names, values) = (values.column(0).as_string::<i32>(), values.column(1).as_string::<i32>());
        let date = names.iter().zip(values).find(|(name, _)| *name == Some(PARTITION_COLUMN));
        let statistics = statistics.is_valid(index).then(|| statistics.value(index));
        let all = statistics.and_then(|text| serde_json::from_str::<Statistics>(text).ok()?.rows);
        rows.push(ActiveRow {
            index,
            path: percent_decode_str(paths.value(index)).decode_utf8_lossy().into_owned(),
            date: date.and_then(|(_, date)| date?.parse().ok()),
            bytes: sizes.value(index).max(0).cast_unsigned(),
            rows: all.map(|all| all.saturating_sub(deleted_rows(batch, index))),
        });
    }
    Ok(rows)
}

/// How many rows of a file are deleted without a new file: those of its deletion vector.
fn deleted_rows(batch: &RecordBatch, index: usize) -> u64 {
    let vectors = batch.column_by_name("deletionVector").and_then(|column| column.as_struct_opt());
    let counts = vectors
        .filter(|vectors| vectors.is_valid(index))
        .and_then(|vectors| vectors.column_by_name("cardinality")?.as_primitive_opt::<Int64Type>());
    let count = counts.filter(|counts| counts.is_valid(index)).map_or(0, |counts| counts.value(index));
    count.max(0).cast_unsigned()
}

/// A batch with those of its files selected that are to go; none, if none are.
pub(super) fn without_others(
    batch: ArrowEngineData,
    rows: &[ActiveRow],
    is_gone: impl Fn(&ActiveRow) -> bool,
) -> Option<FilteredEngineData> {
    let mut selected = vec![false; batch.record_batch().num_rows()];
    for row in rows.iter().filter(|row| is_gone(row)) {
        *selected.get_mut(row.index)? = true;
    }
    let has_any = selected.contains(&true);
    has_any.then(|| FilteredEngineData::try_new(Box::new(batch), selected).ok()).flatten()
}
