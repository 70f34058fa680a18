//! The dataset, read row by row and compared with what the tenant says of each.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs::{self, File},
    path::Path,
};

use arrow::{
    array::{Array as _, ArrayRef, AsArray as _, RecordBatch},
    datatypes::{DataType, Float64Type, Int32Type, TimeUnit, TimestampMicrosecondType},
};
use chrono::{DateTime, NaiveDate};
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use vcq::simulator::{
    faults::Settling,
    forms::Expected,
    tenant::{SimulatedStay, StayKey, UserIdType},
    values::ExpectedSample,
};

use super::world::World;

/// The columns before those of the samples' sections.
const KEYS: [&str; 8] = [
    "meeting_no",
    "meeting_start_time",
    "meeting_end_time",
    "join_time",
    "user_id",
    "room_id",
    "sample_index",
    "sample_time",
];

/// What orders the rows of a file, but for the sample's index: meeting start, number, join time, participant.
pub(crate) type StayOrder = (i64, String, i64, String);

/// Files of the dataset by their path under its folder, with their bytes.
pub(crate) type Files = BTreeMap<String, Vec<u8>>;

/// Every file under `folder`, whatever it is.
pub(crate) fn files(folder: &Path) -> Files {
    let mut files = Files::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(next) = folders.pop() {
        for entry in fs::read_dir(next).unwrap().map(Result::unwrap) {
            if entry.file_type().unwrap().is_dir() {
                folders.push(entry.path());
            } else {
                let name = entry.path().strip_prefix(folder).unwrap().display().to_string();
                files.insert(name, fs::read(entry.path()).unwrap());
            }
        }
    }
    files
}

/// The folder of a table's log, under the dataset.
pub(crate) const LOG: &str = "_delta_log/";

/// The files of a dataset that are read: all of them, or those that the log of a table says, commit by commit, from the first.
pub(crate) fn read_files(folder: &Path) -> Files {
    let mut all = files(folder);
    if !all.keys().any(|name| name.starts_with(LOG)) {
        return all;
    }
    let mut active = BTreeSet::new();
    let is_commit = |name: &&String| name.starts_with(LOG) && name.strip_suffix(".json").is_some();
    for (version, name) in all.keys().filter(is_commit).enumerate() {
        assert_eq!(*name, format!("{LOG}{version:020}.json"), "no commit is missing");
        let actions: Vec<serde_json::Value> = all[name]
            .split(|byte| *byte == b'\n')
            .filter(|line| !line.is_empty())
            .map(|line| serde_json::from_slice(line).unwrap())
            .collect();
        let paths = |action: &str| -> BTreeSet<String> {
            let paths = actions.iter().filter_map(|line| line[action]["path"].as_str());
            paths.map(str::to_owned).collect()
        };
        let (added, removed) = (paths("add"), paths("remove"));
        assert!(added.is_disjoint(&removed), "{name} adds what it removes");
        assert!(removed.is_subset(&active), "{name} removes what is not there");
        assert!(added.is_disjoint(&active), "{name} adds what is there");
        active.retain(|path| !removed.contains(path));
        active.extend(added);
    }
    for path in &active {
        assert!(all.contains_key(path), "the table has `{path}`, which is not there");
    }
    all.retain(|name, _| active.contains(name));
    all
}

/// Compares every row that is read under the dataset's folder with the tenant, and returns the stays that are there.
///
/// Each file has one stay after the other in the dataset's order, all samples of each; no stay is there twice.
pub(crate) fn check_rows(world: &World) -> BTreeSet<StayKey> {
    let stays: BTreeMap<StayOrder, &SimulatedStay> = world.stays.iter().map(|stay| (order_of(stay), stay)).collect();
    let mut found = BTreeSet::new();
    for name in read_files(&world.output()).keys() {
        let date = date_of(name);
        for stay in check_file(world, &world.output().join(name), &stays) {
            let start = DateTime::from_timestamp(stay.meeting_start_s, 0).unwrap();
            assert_eq!(start.with_timezone(&world.config.timezone).date_naive(), date, "partition of {stay:?}");
            assert!(found.insert(stay.key), "twice in the dataset: {stay:?}");
        }
    }
    found
}

/// The date in `date=YYYY-MM-DD/part-<16 hex digits>.parquet`, which is how every name under the dataset looks.
pub(crate) fn date_of(name: &str) -> NaiveDate {
    let parts = name.strip_prefix("date=").and_then(|rest| rest.split_once("/part-"));
    let (date, rest) = parts.unwrap_or_else(|| panic!("`{name}` does not belong under the dataset"));
    let digits = rest.strip_suffix(".parquet").unwrap_or_else(|| panic!("`{name}` is no Parquet file"));
    let is_hex = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
    assert!(digits.len() == 16 && digits.bytes().all(is_hex), "{name}");
    date.parse().unwrap_or_else(|_| panic!("`{name}` names no date"))
}

/// Checks one file, and returns its stays.
fn check_file<'a>(
    world: &World,
    path: &Path,
    stays: &BTreeMap<StayOrder, &'a SimulatedStay>,
) -> Vec<&'a SimulatedStay> {
    let reader = ParquetRecordBatchReaderBuilder::try_new(File::open(path).unwrap()).unwrap().build().unwrap();
    let path = path.display();
    let mut found: Vec<&SimulatedStay> = Vec::new();
    let mut samples: Vec<ExpectedSample> = Vec::new();
    let mut last: Option<StayOrder> = None;
    for batch in reader.map(Result::unwrap) {
        let rows = Rows::new(&batch);
        for row in 0..batch.num_rows() {
            let order = rows.order(row);
            if last.as_ref() != Some(&order) {
                assert!(samples.is_empty(), "{path}: {} samples missing of {:?}", samples.len(), found.last());
                assert!(last.as_ref() < Some(&order), "{path}: {order:?} follows {last:?}");
                let stay = *stays.get(&order).unwrap_or_else(|| panic!("{path}: nobody asked for {order:?}"));
                let expected = world.server().expected(stay);
                assert_eq!(expected.outcome, Settling::Done, "{path}: {stay:?}");
                samples = expected.samples;
                samples.reverse();
                found.push(stay);
                last = Some(order);
            }
            let stay = found.last().unwrap();
            let sample = samples.pop().unwrap_or_else(|| panic!("{path}: too many samples of {stay:?}"));
            rows.check(row, stay, &sample);
        }
    }
    assert!(samples.is_empty(), "{path}: {} samples missing of {:?}", samples.len(), found.last());
    assert!(!found.is_empty(), "{path} has no rows");
    found
}

pub(crate) fn order_of(stay: &SimulatedStay) -> StayOrder {
    let id = stay.user_id(UserIdType::OpenId).or_else(|| stay.room_id()).unwrap();
    (stay.meeting_start_s, stay.meeting_no.clone(), stay.join_s, id)
}

/// One batch, with its columns by position: keys, sections, `unparsed`.
pub(crate) struct Rows<'a> {
    pub(crate) columns: &'a [ArrayRef],
    pub(crate) names: Vec<&'a str>,
}

impl<'a> Rows<'a> {
    /// Checks the names and types of the columns.
    pub(crate) fn new(batch: &'a RecordBatch) -> Self {
        let schema = batch.schema_ref();
        let names: Vec<_> = schema.fields().iter().map(|field| field.name().as_str()).collect();
        assert_eq!((names.len(), &names[..8], names.last()), (8 + 44 + 1, &KEYS[..], Some(&"unparsed")));
        let time = DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()));
        let keys = [
            (DataType::Utf8, false),
            (time.clone(), false),
            (time.clone(), false),
            (time.clone(), false),
            (DataType::Utf8, true),
            (DataType::Utf8, true),
            (DataType::Int32, false),
            (time.clone(), true),
        ];
        let of_section = names[8..52].iter().map(|name| match name.rsplit_once('_').unwrap().1 {
            "time" => (time.clone(), true),
            "px" => (DataType::Int32, true),
            _ => (DataType::Float64, true),
        });
        let found = schema.fields().iter().map(|field| (field.data_type().clone(), field.is_nullable()));
        assert_eq!(found.take(52).collect::<Vec<_>>(), keys.into_iter().chain(of_section).collect::<Vec<_>>());
        Self { columns: batch.columns(), names }
    }

    fn text(&self, column: usize, row: usize) -> Option<&str> {
        let array = self.columns[column].as_string::<i32>();
        array.is_valid(row).then(|| array.value(row))
    }

    /// A time column's value in unix seconds.
    pub(crate) fn time_s(&self, column: usize, row: usize) -> Option<i64> {
        let array = self.columns[column].as_primitive::<TimestampMicrosecondType>();
        let time_us = array.is_valid(row).then(|| array.value(row));
        assert_eq!(time_us.unwrap_or_default() % 1_000_000, 0);
        time_us.map(|time_us| time_us / 1_000_000)
    }

    pub(crate) fn order(&self, row: usize) -> StayOrder {
        let (user, room) = (self.text(4, row), self.text(5, row));
        assert!(user.is_some() != room.is_some(), "row {row} names {user:?} and {room:?}");
        let time_s = |column| self.time_s(column, row).unwrap();
        (time_s(1), self.text(0, row).unwrap().into(), time_s(3), user.or(room).unwrap().into())
    }

    fn check(&self, row: usize, stay: &SimulatedStay, sample: &ExpectedSample) {
        assert_eq!(self.text(4, row), stay.user_id(UserIdType::OpenId).as_deref());
        assert_eq!(self.text(5, row), stay.room_id().as_deref());
        assert_eq!(self.time_s(2, row), Some(stay.meeting_end_s));
        let index = self.columns[6].as_primitive::<Int32Type>().value(row);
        assert_eq!(u32::try_from(index), Ok(sample.index), "{stay:?}");
        assert_eq!(self.time_s(7, row), sample.sample_time_s, "sample {index} of {stay:?}");
        let mut unparsed = Vec::new();
        for ((position, name), (column, expected)) in self.names.iter().enumerate().skip(8).zip(&sample.values) {
            assert_eq!(name, column);
            let found = self.value(position, row);
            let meant = match expected {
                Expected::Unparsed(text) => {
                    unparsed.push(((*column).to_owned(), text.clone()));
                    &Expected::Absent
                }
                meant => meant,
            };
            assert_eq!(found, *meant, "{column} of sample {index} of {stay:?}");
        }
        assert_eq!(self.unparsed(row), unparsed, "sample {index} of {stay:?}");
    }

    pub(crate) fn value(&self, column: usize, row: usize) -> Expected {
        let array = &self.columns[column];
        match array.data_type() {
            _ if array.is_null(row) => Expected::Absent,
            DataType::Timestamp(..) => Expected::Time(self.time_s(column, row).unwrap()),
            DataType::Float64 => Expected::Number(array.as_primitive::<Float64Type>().value(row)),
            DataType::Int32 => Expected::Pixels(array.as_primitive::<Int32Type>().value(row)),
            other => panic!("{} has type {other}", self.names[column]),
        }
    }

    /// The original texts of the row, by column, in the order of the columns.
    pub(crate) fn unparsed(&self, row: usize) -> Vec<(String, String)> {
        let map = self.columns.last().unwrap().as_map();
        if map.is_null(row) {
            return Vec::new();
        }
        let entries = map.value(row);
        assert!(!entries.is_empty(), "an empty map where there should be null");
        let text =
            |column: usize| entries.column(column).as_string::<i32>().iter().map(|text| text.unwrap().to_owned());
        text(0).zip(text(1)).collect()
    }
}
