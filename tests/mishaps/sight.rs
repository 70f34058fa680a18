//! What stands in the dataset, read with the Parquet crate alone.

use std::{fs::File, path::Path};

use arrow::{array::AsArray as _, datatypes::Int32Type};
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use vcq::simulator::{forms::Expected, values::ExpectedSample};

use crate::oracle::{Rows, StayOrder};

/// A stay as it stands in a file.
pub(crate) struct FoundStay {
    pub(crate) order: StayOrder,
    pub(crate) samples: Vec<FoundSample>,
}

/// A row, as far as it comes from the API.
pub(crate) struct FoundSample {
    index: i32,
    sample_time_s: Option<i64>,
    values: Vec<Expected>,
    unparsed: Vec<(String, String)>,
}

/// The stays of a file in their order, with their rows; or why it cannot be read.
pub(crate) fn read_file(path: &Path) -> Result<Vec<FoundStay>, String> {
    let file = File::open(path).map_err(|error| error.to_string())?;
    let reader = ParquetRecordBatchReaderBuilder::try_new(file).and_then(ParquetRecordBatchReaderBuilder::build);
    let mut found: Vec<FoundStay> = Vec::new();
    for batch in reader.map_err(|error| error.to_string())? {
        let batch = batch.map_err(|error| error.to_string())?;
        let rows = Rows::new(&batch);
        for row in 0..batch.num_rows() {
            let order = rows.order(row);
            if found.last().is_none_or(|stay| stay.order != order) {
                found.push(FoundStay { order, samples: Vec::new() });
            }
            let sample = FoundSample {
                index: rows.columns[6].as_primitive::<Int32Type>().value(row),
                sample_time_s: rows.time_s(7, row),
                values: (8..rows.names.len() - 1).map(|column| rows.value(column, row)).collect(),
                unparsed: rows.unparsed(row),
            };
            found.last_mut().unwrap().samples.push(sample);
        }
    }
    Ok(found)
}

impl FoundStay {
    /// Whether these are the stay's rows, all of them and in their order.
    pub(crate) fn is(&self, samples: &[ExpectedSample]) -> bool {
        self.samples.len() == samples.len() && self.samples.iter().zip(samples).all(|(found, sample)| found.is(sample))
    }
}

impl FoundSample {
    fn is(&self, sample: &ExpectedSample) -> bool {
        let unparsed = sample.values.iter().filter_map(|(column, value)| match value {
            Expected::Unparsed(text) => Some(((*column).to_owned(), text.clone())),
            _ => None,
        });
        let values = sample.values.iter().map(|(_, value)| match value {
            Expected::Unparsed(_) => &Expected::Absent,
            value => value,
        });
        u32::try_from(self.index) == Ok(sample.index)
            && self.sample_time_s == sample.sample_time_s
            && self.values.iter().eq(values)
            && self.unparsed.iter().cloned().eq(unparsed)
    }
}
