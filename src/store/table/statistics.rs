//! What a table's log says of a file: its size, its rows, and what readers need to pass it over.

use std::{collections::BTreeMap, fs::File, sync::Arc};

use arrow::{
    array::{
        Array, ArrayRef, BooleanArray, Int64Array, MapBuilder, MapFieldNames, RecordBatch, StringArray, StringBuilder,
        StructArray, TimestampMicrosecondArray,
    },
    datatypes::{DataType, Field, Fields, Schema},
    error::ArrowError,
};
use parquet::{
    errors::ParquetError,
    file::{
        reader::{FileReader as _, SerializedFileReader},
        statistics::Statistics,
    },
};

use super::{Entry, PARTITION_COLUMN, path_of};

/// The columns whose range is told: rows are sorted by them, or nearly.
const RANGED: [&str; 4] = ["meeting_no", "meeting_start_time", "meeting_end_time", "join_time"];

/// Microseconds in a millisecond: the log has no finer times.
const MICROS_PER_MILLI: i64 = 1000;

/// What a file holds, by its footer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FileStatistics {
    /// Its rows.
    pub rows: u64,
    /// By column: how many are null, the least value and the greatest.
    ranges: BTreeMap<&'static str, Range>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Range {
    nulls: u64,
    values: Values,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Values {
    /// All are null.
    None,
    Texts(String, String),
    Micros(i64, i64),
}

impl FileStatistics {
    /// Reads the footer of a file. A column of which it does not tell the range is left out.
    pub fn read(file: File) -> Result<Self, ParquetError> {
        let reader = SerializedFileReader::new(file)?;
        let metadata = reader.metadata();
        let rows = metadata.file_metadata().num_rows().max(0).cast_unsigned();
        let columns = metadata.file_metadata().schema_descr().columns();
        let mut ranges = BTreeMap::new();
        for name in RANGED {
            let Some(position) = columns.iter().position(|column| column.path().parts() == [name]) else { continue };
            let groups = metadata.row_groups().iter().map(|group| group.column(position).statistics().and_then(range));
            let whole = groups.reduce(|whole, group| Some(merged(whole?, group?))).flatten();
            ranges.extend(whole.map(|range| (name, range)));
        }
        Ok(Self { rows, ranges })
    }
}

/// The range of one row group.
fn range(statistics: &Statistics) -> Option<Range> {
    let nulls = statistics.null_count_opt()?;
    let values = match statistics {
        Statistics::Int64(values) => match (values.min_opt(), values.max_opt()) {
            (Some(min), Some(max)) => Values::Micros(*min, *max),
            _ => Values::None,
        },
        Statistics::ByteArray(values) => match (values.min_opt(), values.max_opt()) {
            (Some(min), Some(max)) => Values::Texts(min.as_utf8().ok()?.into(), max.as_utf8().ok()?.into()),
            _ => Values::None,
        },
        _ => return None,
    };
    Some(Range { nulls, values })
}

fn merged(left: Range, right: Range) -> Range {
    let values = match (left.values, right.values) {
        (Values::Texts(min, max), Values::Texts(other_min, other_max)) => {
            Values::Texts(min.min(other_min), max.max(other_max))
        }
        (Values::Micros(min, max), Values::Micros(other_min, other_max)) => {
            Values::Micros(min.min(other_min), max.max(other_max))
        }
        (Values::None, values) | (values, _) => values,
    };
    Range { nulls: left.nulls + right.nulls, values }
}

/// The columns of a dataset whose range is told.
pub(super) fn columns_of(columns: &Schema) -> Vec<&'static str> {
    RANGED.into_iter().filter(|name| columns.field_with_name(name).is_ok()).collect()
}

/// The rows with which the kernel is told of files, one for each.
pub(super) fn add_rows(entries: &[Entry], columns: &Schema) -> Result<RecordBatch, ArrowError> {
    let number = |number: fn(&Entry) -> u64| -> ArrayRef {
        Arc::new(Int64Array::from_iter_values(entries.iter().map(|entry| number(entry).cast_signed())))
    };
    let paths: ArrayRef = Arc::new(StringArray::from_iter_values(entries.iter().map(path_of)));
    let modified: ArrayRef = Arc::new(Int64Array::from_iter_values(entries.iter().map(|entry| entry.modified_ms)));
    let fields = [
        ("path", paths, false),
        ("partitionValues", partitions(entries)?, false),
        ("size", number(|entry| entry.bytes), false),
        ("modificationTime", modified, false),
        ("stats", Arc::new(told(entries, &columns_of(columns), columns)?), true),
    ];
    RecordBatch::try_from_iter_with_nullable(fields)
}

fn partitions(entries: &[Entry]) -> Result<ArrayRef, ArrowError> {
    let names = MapFieldNames { entry: "key_value".into(), key: "key".into(), value: "value".into() };
    let mut dates = MapBuilder::new(Some(names), StringBuilder::new(), StringBuilder::new());
    for entry in entries {
        dates.keys().append_value(PARTITION_COLUMN);
        dates.values().append_value(entry.date.to_string());
        dates.append(true)?;
    }
    Ok(Arc::new(dates.finish()))
}

/// The statistics of files, in the form of the log's.
fn told(entries: &[Entry], names: &[&'static str], columns: &Schema) -> Result<StructArray, ArrowError> {
    let rows: ArrayRef =
        Arc::new(Int64Array::from_iter_values(entries.iter().map(|entry| entry.statistics.rows.cast_signed())));
    let (mut nulls, mut least, mut greatest) = (Vec::new(), Vec::new(), Vec::new());
    for name in names {
        let ranges: Vec<_> = entries.iter().map(|entry| entry.statistics.ranges.get(name)).collect();
        let data_type = columns.field_with_name(name)?.data_type();
        let counts: Int64Array = ranges.iter().map(|range| range.map(|range| range.nulls.cast_signed())).collect();
        nulls.push((Field::new(*name, DataType::Int64, true), Arc::new(counts) as ArrayRef));
        least.push((Field::new(*name, data_type.clone(), true), ends(&ranges, data_type, End::Least)));
        greatest.push((Field::new(*name, data_type.clone(), true), ends(&ranges, data_type, End::Greatest)));
    }
    let tight: ArrayRef = Arc::new(entries.iter().map(|_| Some(true)).collect::<BooleanArray>());
    let group = |fields: Vec<(Field, ArrayRef)>| -> ArrayRef {
        let (fields, arrays): (Vec<Field>, Vec<ArrayRef>) = fields.into_iter().unzip();
        Arc::new(StructArray::new(Fields::from(fields), arrays, None))
    };
    let fields = [
        ("numRecords", rows),
        ("nullCount", group(nulls)),
        ("minValues", group(least)),
        ("maxValues", group(greatest)),
        ("tightBounds", tight),
    ];
    let field = |(name, array): &(&str, ArrayRef)| Field::new(*name, array.data_type().clone(), true);
    let schema: Fields = fields.iter().map(field).collect();
    StructArray::try_new(schema, fields.into_iter().map(|(_, array)| array).collect(), None)
}

#[derive(Clone, Copy)]
enum End {
    Least,
    Greatest,
}

fn ends(ranges: &[Option<&Range>], data_type: &DataType, end: End) -> ArrayRef {
    if matches!(data_type, DataType::Timestamp(..)) {
        let times = ranges.iter().map(|range| match (&range.as_ref()?.values, end) {
            (Values::Micros(least, _), End::Least) => Some(*least),
            // The log cuts times to milliseconds: what is cut off must not be missed at this end.
            (Values::Micros(_, greatest), End::Greatest) => Some(
                greatest.div_euclid(MICROS_PER_MILLI) * MICROS_PER_MILLI
                    + if greatest.rem_euclid(MICROS_PER_MILLI) > 0 { MICROS_PER_MILLI } else { 0 },
            ),
            _ => None,
        });
        return Arc::new(times.collect::<TimestampMicrosecondArray>().with_data_type(data_type.clone()));
    }
    let texts = ranges.iter().map(|range| match (&range.as_ref()?.values, end) {
        (Values::Texts(least, _), End::Least) => Some(least.clone()),
        (Values::Texts(_, greatest), End::Greatest) => Some(greatest.clone()),
        _ => None,
    });
    Arc::new(texts.collect::<StringArray>())
}
