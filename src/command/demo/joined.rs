//! What the demo ends with: the samples of `quality`, each with what `participants` knows of its stay.

use std::{
    collections::{BTreeMap, HashMap},
    fs::File,
    path::Path,
    sync::Arc,
};

use arrow::{
    array::{Array as _, AsArray as _, RecordBatch},
    datatypes::{Float64Type, TimestampMicrosecondType},
};
use parquet::arrow::{ProjectionMask, arrow_reader::ParquetRecordBatchReaderBuilder};

use crate::{
    error::Error,
    store::{Store, disk::LocalDisk},
};

/// What names a stay in both datasets.
const KEY: [&str; 5] = ["meeting_no", "meeting_start_time", "join_time", "user_id", "room_id"];

const NETWORK: &str = "network_type";

const MEASURED: [&str; 2] = ["network_delay_ms", "network_packet_loss_avg_received_pct"];

/// A stay: its meeting's number and start, when the participant joined, and the user or the room.
type Key = (String, i64, i64, Option<String>, Option<String>);

/// The samples of one type of network.
#[derive(Default)]
pub(super) struct Samples {
    /// How many there are.
    pub(super) rows: usize,
    measured: [Vec<f64>; 2],
}

impl Samples {
    /// The medians of delay in milliseconds and of loss in percent; of no value they are NaN.
    pub(super) fn medians(self) -> [f64; 2] {
        self.measured.map(median)
    }
}

/// The samples of the datasets in `folder`, by the type of network of their stay.
///
/// # Errors
///
/// If a file cannot be read.
pub(super) fn by_network(folder: &Path) -> Result<BTreeMap<String, Samples>, Error> {
    let mut networks: HashMap<Key, String> = HashMap::new();
    each_batch(&folder.join("participants"), &[&KEY[..], &[NETWORK]].concat(), |batch| {
        for row in 0..batch.num_rows() {
            if let (Some(key), Some(network)) = (key(batch, row), text(batch, NETWORK, row)) {
                networks.insert(key, network);
            }
        }
    })?;
    let mut samples: BTreeMap<String, Samples> = BTreeMap::new();
    each_batch(&folder.join("quality"), &[KEY.as_slice(), &MEASURED].concat(), |batch| {
        for row in 0..batch.num_rows() {
            let Some(network) = key(batch, row).and_then(|key| networks.get(&key)) else { continue };
            let samples = samples.entry(network.clone()).or_default();
            samples.rows += 1;
            for (values, name) in samples.measured.iter_mut().zip(MEASURED) {
                values.extend(number(batch, name, row));
            }
        }
    })?;
    Ok(samples)
}

fn each_batch(dataset: &Path, columns: &[&str], mut each: impl FnMut(&RecordBatch)) -> Result<(), Error> {
    let store = Store::open(Arc::new(LocalDisk), dataset)?;
    for date in store.partitions()?.dates {
        for part in store.list(date)?.files {
            let path = store.path_of(date, part.name);
            read(&path, columns, &mut each).map_err(super::file_error("read", &path))?;
        }
    }
    Ok(())
}

fn read(path: &Path, columns: &[&str], each: &mut impl FnMut(&RecordBatch)) -> std::io::Result<()> {
    let builder = ParquetRecordBatchReaderBuilder::try_new(File::open(path)?)?;
    let mask = ProjectionMask::columns(builder.parquet_schema(), columns.iter().copied());
    for batch in builder.with_projection(mask).build()? {
        each(&batch.map_err(std::io::Error::other)?);
    }
    Ok(())
}

fn key(batch: &RecordBatch, row: usize) -> Option<Key> {
    let [number, start, join, user, room] = KEY;
    let (start, join) = (time(batch, start, row)?, time(batch, join, row)?);
    Some((text(batch, number, row)?, start, join, text(batch, user, row), text(batch, room, row)))
}

fn text(batch: &RecordBatch, name: &str, row: usize) -> Option<String> {
    let column = batch.column_by_name(name)?.as_string_opt::<i32>()?;
    column.is_valid(row).then(|| column.value(row).to_owned())
}

fn time(batch: &RecordBatch, name: &str, row: usize) -> Option<i64> {
    let column = batch.column_by_name(name)?.as_primitive_opt::<TimestampMicrosecondType>()?;
    column.is_valid(row).then(|| column.value(row))
}

fn number(batch: &RecordBatch, name: &str, row: usize) -> Option<f64> {
    let column = batch.column_by_name(name)?.as_primitive_opt::<Float64Type>()?;
    column.is_valid(row).then(|| column.value(row))
}

/// The median as databases compute it: of an even number of values the mean of the two in the middle.
fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    let middle = |index: usize| values.get(index).copied().unwrap_or(f64::NAN);
    let half = values.len() / 2;
    if values.len() % 2 == 1 { middle(half) } else { f64::midpoint(middle(half.saturating_sub(1)), middle(half)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_of_an_even_number_of_values_lies_between_two() {
        assert_eq!([median(vec![3.0, 1.0, 2.0]), median(vec![4.0, 1.0, 2.0, 3.0])], [2.0, 2.5]);
        assert!(median(Vec::new()).is_nan());
    }
}
