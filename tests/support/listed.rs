//! The datasets of meetings and participants, read row by row and compared with what the tenant says of each.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs::File,
    path::Path,
};

use arrow::{
    array::{Array as _, AsArray as _, RecordBatch},
    datatypes::{DataType, Int32Type, TimeUnit, TimestampMicrosecondType},
};
use chrono::{DateTime, NaiveDate};
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use vcq::simulator::{
    attendances::SimulatedAttendance,
    meetings::SimulatedMeeting,
    rows::{Cell, Cells},
    tenant::StayKey,
};

use super::{
    oracle::{date_of, files},
    personal::PERSONAL,
    world::World,
};

/// A row: its date, and its columns by name, each as text; `unparsed` among them.
pub(crate) type Row = (NaiveDate, BTreeMap<String, String>);

/// Every row of a dataset, in the order of its files.
pub(crate) fn rows(folder: &Path) -> Vec<Row> {
    let mut rows = Vec::new();
    for name in files(folder).keys() {
        let file = File::open(folder.join(name)).unwrap();
        for batch in ParquetRecordBatchReaderBuilder::try_new(file).unwrap().build().unwrap() {
            let batch = batch.unwrap();
            rows.extend((0..batch.num_rows()).map(|row| (date_of(name), columns(&batch, row))));
        }
    }
    rows
}

fn columns(batch: &RecordBatch, row: usize) -> BTreeMap<String, String> {
    let schema = batch.schema();
    let fields = schema.fields().iter().zip(batch.columns());
    let present = fields.filter(|(_, column)| !column.is_null(row));
    present
        .map(|(field, column)| {
            let text = match field.data_type() {
                DataType::Utf8 => column.as_string::<i32>().value(row).to_owned(),
                DataType::Boolean => column.as_boolean().value(row).to_string(),
                DataType::Int32 => column.as_primitive::<Int32Type>().value(row).to_string(),
                DataType::Timestamp(TimeUnit::Microsecond, Some(zone)) if &**zone == "UTC" => {
                    (column.as_primitive::<TimestampMicrosecondType>().value(row) / 1_000_000).to_string()
                }
                DataType::Map(..) => {
                    let entries = column.as_map().value(row);
                    let [keys, values] = [0, 1].map(|part| entries.column(part).as_string::<i32>().clone());
                    let pairs = keys.iter().zip(values.iter());
                    format!("{:?}", pairs.collect::<BTreeMap<_, _>>())
                }
                other => panic!("{} has the type {other}", field.name()),
            };
            (field.name().clone(), text)
        })
        .collect()
}

/// The row that must be there for an item: what is personal is in no file unless it is named.
fn expected(world: &World, cells: &Cells, date: NaiveDate) -> Row {
    let is_published =
        |name: &str| !PERSONAL.contains(&name) || world.config.discover.personal.iter().any(|named| named == name);
    let cells_there = cells.all().iter().filter(|(name, _)| is_published(name));
    let mut row: BTreeMap<String, String> = cells_there
        .filter_map(|(name, cell)| Some(((*name).to_owned(), cell.as_ref().map(Cell::to_string)?)))
        .collect();
    let unparsed: BTreeMap<_, _> = cells
        .unparsed()
        .iter()
        .filter(|(name, _)| is_published(name))
        .map(|(name, text)| (Some(*name), Some(text.as_str())))
        .collect();
    if !unparsed.is_empty() {
        row.insert("unparsed".into(), format!("{unparsed:?}"));
    }
    (date, row)
}

fn date(world: &World, start_s: i64) -> NaiveDate {
    DateTime::from_timestamp(start_s, 0).unwrap().with_timezone(&world.config.timezone).date_naive()
}

/// The meetings that listings by the world's configuration show in the end.
pub(crate) fn listed_meetings(world: &World) -> Vec<SimulatedMeeting> {
    let server = world.server();
    let discover = &world.config.discover;
    let is_listed = |meeting: &SimulatedMeeting| {
        (!meeting.is_external || discover.include_external_meetings)
            && (!meeting.is_webinar || discover.include_webinar)
    };
    server.tenant().meetings().filter(is_listed).collect()
}

/// Compares both datasets with the tenant, cell by cell: of each meeting that is listed in the end one row, and of each of its
/// attendances one; those that the list has lost meanwhile only if they were `seen_early`.
pub(crate) fn check_listed(world: &World, seen_early: bool) {
    let meetings = listed_meetings(world);
    let expected_meetings: Vec<Row> =
        meetings.iter().map(|meeting| expected(world, meeting.cells(), date(world, meeting.start_s))).collect();
    let mut expected_participants: Vec<Row> = Vec::new();
    for meeting in meetings.iter().filter(|meeting| !meeting.is_too_long) {
        let attendances = world.server().tenant().attendances(meeting);
        for attendance in attendances.iter().filter(|attendance| seen_early || attendance.lost_at_s.is_none()) {
            expected_participants.push(expected(world, attendance.cells(), date(world, meeting.start_s)));
        }
    }
    compare("meetings", &rows(world.config.discover.meetings.as_ref().unwrap().folder().unwrap()), &expected_meetings);
    compare(
        "participants",
        &rows(world.config.discover.participants.as_ref().unwrap().folder().unwrap()),
        &expected_participants,
    );
}

/// Tells the first rows that are on one side alone.
fn compare(dataset: &str, found: &[Row], expected: &[Row]) {
    let mut counts = BTreeMap::<&Row, i64>::new();
    for row in found {
        *counts.entry(row).or_default() += 1;
    }
    for row in expected {
        *counts.entry(row).or_default() -= 1;
    }
    let differing: Vec<_> = counts.into_iter().filter(|(_, count)| *count != 0).collect();
    let shown: Vec<_> = differing.iter().take(6).collect();
    assert!(
        differing.is_empty(),
        "{} rows of {dataset} differ (1: too much, -1: missing): {shown:#?}",
        differing.len()
    );
}

/// The attendances of all meetings that can be asked for; those that the list has lost meanwhile only if they were `seen_early`.
pub(crate) fn listed_attendances(world: &World, seen_early: bool) -> Vec<SimulatedAttendance> {
    let meetings = listed_meetings(world);
    let server = world.server();
    let asked = meetings.iter().filter(|meeting| !meeting.is_too_long);
    let all = asked.flat_map(|meeting| server.tenant().attendances(meeting));
    all.filter(|attendance| seen_early || attendance.lost_at_s.is_none()).collect()
}

/// The stays with samples that discovery gives.
pub(crate) fn discovered_stays(world: &World, seen_early: bool) -> BTreeSet<StayKey> {
    let keys = listed_attendances(world, seen_early).into_iter().filter_map(|attendance| attendance.stay);
    let server = world.server();
    let has_samples = |key: &StayKey| {
        let stay = server.tenant().stay(*key).unwrap();
        !server.expected(&stay).samples.is_empty()
    };
    keys.collect::<BTreeSet<_>>().into_iter().filter(has_samples).collect()
}
