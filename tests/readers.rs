//! The datasets that vcq published, read by the engines of their users: real ones, pinned, set up by the test itself.
//!
//! What they must find is what the simulated tenant wrote, by its own account.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::{collections::BTreeMap, path::Path, process::Command, time::Duration};

use chrono::{DateTime, NaiveDate};
use serde::Deserialize;
use vcq::{
    simulator::{
        Settings, Simulator,
        attendances::SimulatedAttendance,
        forms::Expected,
        latency::Latency,
        lists::Lists,
        manifest,
        quota::QuotaSettings,
        rows::{Cell, Cells},
        tenant::{SimulatedStay, TenantSettings, UserIdType},
    },
    tables::{
        meetings::MEETINGS,
        participants::PARTICIPANTS,
        quality::{COLUMNS, KEY_COLUMNS, UNPARSED},
    },
};

use moto::Moto;
use personal::PERSONAL;

#[path = "support/moto.rs"]
mod moto;
#[path = "support/personal.rs"]
mod personal;
#[path = "support/python.rs"]
mod python;
#[path = "support/server.rs"]
mod server;
#[path = "readers/tables.rs"]
mod tables;

/// The most that the configuration allows, so that the export takes a second or two.
const REQUESTS_PER_MINUTE: u32 = 10_000;

/// What a reader finds in the datasets; `readers.py` tells it of an engine in this form.
#[derive(Debug, Default, Deserialize)]
struct Readings {
    quality: Reading,
    meetings: Reading,
    participants: Reading,
    /// Minutes of quality by type of network, joined with the two others.
    joined: BTreeMap<String, u64>,
}

/// What a reader finds in a dataset.
#[derive(Debug, Default, Deserialize)]
struct Reading {
    types: BTreeMap<String, String>,
    rows: u64,
    values: BTreeMap<String, u64>,
    truths: BTreeMap<String, u64>,
    sums: BTreeMap<String, f64>,
    times: BTreeMap<String, [i64; 2]>,
    texts: BTreeMap<String, [String; 2]>,
    unparsed: BTreeMap<String, u64>,
    dates: BTreeMap<String, u64>,
    pruned: Pruned,
}

#[derive(Debug, Default, PartialEq, Deserialize)]
struct Pruned {
    rows: u64,
    files_read: usize,
    files: usize,
}

#[test]
fn duckdb_polars_pyarrow_and_spark_read_what_the_tenant_wrote() {
    let home = tempfile::tempdir().unwrap();
    let simulator = export(home.path(), &[]);
    let expected = expected_of(&simulator);
    let place = home.path().display().to_string();
    let mut engines = read(&place, &[], include_str!("python/requirements.txt"), &["duckdb", "polars", "pyarrow"]);
    engines.extend(read(&place, &[], include_str!("python/spark.txt"), &["spark"]));
    check(&engines, &expected);
}

#[test]
fn from_a_bucket_they_read_the_same() {
    let moto = Moto::start();
    let home = tempfile::tempdir().unwrap();
    let credentials = [("AWS_ACCESS_KEY_ID", "simulated"), ("AWS_SECRET_ACCESS_KEY", "simulated")];
    let datasets = [
        ("VCQ_OUTPUT", "s3://lake/vcq/quality"),
        ("VCQ_DISCOVER_MEETINGS", "s3://lake/vcq/meetings"),
        ("VCQ_DISCOVER_PARTICIPANTS", "s3://lake/vcq/participants"),
        ("VCQ_STORE_ENDPOINT", &*moto.address),
        ("VCQ_STORE_ALLOW_HTTP", "true"),
    ];
    let simulator = export(home.path(), &[&credentials[..], &datasets].concat());
    let expected = expected_of(&simulator);
    let store = [&credentials[..], &[("AWS_ENDPOINT_URL", &*moto.address)]].concat();
    let place = "s3://lake/vcq";
    let mut engines = read(place, &store, include_str!("python/lake.txt"), &["duckdb", "polars", "pyarrow"]);
    engines.extend(read(place, &store, include_str!("python/spark.txt"), &["spark"]));
    check(&engines, &expected);
}

/// A date of the tenant.
const DAY: &str = "2025-03-01";

/// What a reader of all files must find, and of a query for [`DAY`] alone.
fn expected_of(simulator: &Simulator) -> Readings {
    let mut expected = written_by(simulator);
    let quality = &expected.quality;
    assert!(quality.unparsed.len() > 10 && quality.values.len() == 54, "the tenant leaves columns empty");
    let (meetings, participants) = (&expected.meetings, &expected.participants);
    assert!(!meetings.unparsed.is_empty() && !participants.unparsed.is_empty(), "all texts of lists can be read");
    let all: u64 = expected.joined.values().sum();
    assert!(expected.joined.len() >= 4 && (quality.rows / 2..=quality.rows).contains(&all), "{:?}", expected.joined);
    assert_eq!(quality.dates.keys().next().unwrap(), DAY);
    for reading in [&mut expected.quality, &mut expected.meetings, &mut expected.participants] {
        reading.pruned = Pruned { rows: reading.dates[DAY], files_read: 1, files: reading.dates.len() };
    }
    expected
}

/// Compares what all engines have found.
fn check(engines: &BTreeMap<String, Readings>, expected: &Readings) {
    assert_eq!(engines.len(), TYPE_NAMES.len());
    let quality_names: Vec<&str> = KEY_COLUMNS
        .iter()
        .chain([&UNPARSED])
        .map(|column| column.name)
        .chain(COLUMNS.iter().map(|column| column.name))
        .collect();
    let [meetings_names, participants_names] = [&MEETINGS, &PARTICIPANTS]
        .map(|table| table.published(&[]).map(|column| column.name).chain([UNPARSED.name]).collect::<Vec<_>>());
    for (engine, found) in engines {
        for (dataset, found, expected, names) in [
            ("quality", &found.quality, &expected.quality, &quality_names),
            ("meetings", &found.meetings, &expected.meetings, &meetings_names),
            ("participants", &found.participants, &expected.participants, &participants_names),
        ] {
            let place = format!("{engine}, {dataset}");
            check_types(engine, &place, found, names);
            check_values(&place, found, expected);
        }
        assert_eq!(found.joined, expected.joined, "{engine}");
    }
}

/// Exports all that a simulated tenant had into `home`, or where the environment says: what it lists, and all stays, though some lists do not name them.
fn export(home: &Path, environment: &[(&str, &str)]) -> Simulator {
    let tenant = TenantSettings {
        first_day: NaiveDate::from_ymd_opt(2025, 3, 1).unwrap(),
        days: 4,
        stays: 120,
        meeting_minutes_max: 120,
        other_forms: 0.1,
        lists: Lists { without_id: 0.2, over_a_day: 0.1, odd_forms: 0.1, ..Lists::default() },
        ..TenantSettings::default()
    };
    let quota = QuotaSettings { requests_per_minute: REQUESTS_PER_MINUTE, ..QuotaSettings::default() };
    let simulator =
        Simulator::new(Settings { tenant, quota, latency: Latency::Constant(Duration::ZERO), ..Settings::default() });
    let manifest = home.join("manifest.csv");
    manifest::write_file(simulator.tenant(), &manifest).unwrap();
    let (simulator, exported) = server::serve_while(simulator, |url| {
        Command::new(env!("CARGO_BIN_EXE_vcq"))
            .current_dir(home)
            .envs([("VCQ_APP_ID", "cli_simulated"), ("VCQ_APP_SECRET", "simulated")])
            .envs(environment.iter().copied())
            .args(["--base-url", url, "--requests-per-minute", &REQUESTS_PER_MINUTE.to_string()])
            .args(["export", "--discover", "2025-03-01..2025-03-04", "--manifest"])
            .arg(&manifest)
            .output()
            .unwrap()
    });
    assert!(exported.status.success(), "{}", String::from_utf8_lossy(&exported.stderr));
    simulator
}

/// What a reader must find, by the tenant's own account, which knows nothing of types and pruning.
fn written_by(simulator: &Simulator) -> Readings {
    let mut readings = Readings::default();
    let tenant = simulator.tenant();
    tenant.stays().for_each(|stay| readings.quality.add_stay(simulator, &stay));
    for meeting in tenant.meetings() {
        let day = day_of(meeting.start_s);
        readings.meetings.add_item(&day, meeting.cells());
        if meeting.is_too_long {
            continue;
        }
        for attendance in tenant.attendances(&meeting) {
            readings.participants.add_item(&day, attendance.cells());
            if let Some(minutes) = minutes_joined(simulator, &attendance) {
                let network = attendance.cells().text("network_type").unwrap_or_else(|| "None".to_owned());
                *readings.joined.entry(network).or_default() += minutes;
            }
        }
    }
    readings
}

/// The minutes of quality that join with an attendance, if its list says enough of it.
fn minutes_joined(simulator: &Simulator, attendance: &SimulatedAttendance) -> Option<u64> {
    let cells = attendance.cells();
    let stay = simulator.tenant().stay(attendance.stay?)?;
    cells.cell("join_time")?;
    cells.cell("user_id").or(cells.cell("room_id"))?;
    let minutes = simulator.expected(&stay).samples.len() as u64;
    (minutes > 0).then_some(minutes)
}

fn day_of(start_s: i64) -> String {
    DateTime::from_timestamp(start_s + 8 * 3600, 0).unwrap().date_naive().to_string()
}

impl Reading {
    fn add_stay(&mut self, simulator: &Simulator, stay: &SimulatedStay) {
        for sample in simulator.expected(stay).samples {
            self.add_row(&day_of(stay.meeting_start_s));
            self.add_keys(stay);
            self.add("sample_index", &Expected::Number(f64::from(sample.index)));
            self.add("sample_time", &sample.sample_time_s.map_or(Expected::Absent, Expected::Time));
            sample.values.iter().for_each(|(column, value)| self.add(column, value));
            if sample.values.iter().any(|(_, value)| matches!(value, Expected::Unparsed(_))) {
                self.count("unparsed");
            }
        }
    }

    /// Adds a row of a list.
    fn add_item(&mut self, day: &str, cells: &Cells) {
        self.add_row(day);
        for (column, cell) in cells.all().iter().filter(|(column, _)| !PERSONAL.contains(column)) {
            let Some(cell) = cell else { continue };
            match cell {
                Cell::Text(text) => extend(&mut self.texts, column, text.clone()),
                Cell::Time(time_s) => extend(&mut self.times, column, time_s * 1_000_000),
                Cell::Boolean(truth) => {
                    if *truth {
                        *self.truths.entry((*column).to_owned()).or_default() += 1;
                    }
                }
                #[expect(clippy::cast_precision_loss, reason = "seconds and counts are small")]
                Cell::Integer(number) => *self.sums.entry((*column).to_owned()).or_default() += *number as f64,
            }
            self.count(column);
        }
        let unparsed = cells.unparsed().iter().filter(|(column, _)| !PERSONAL.contains(column));
        let unparsed: Vec<_> = unparsed.map(|(column, _)| (*column).to_owned()).collect();
        if !unparsed.is_empty() {
            self.count("unparsed");
        }
        for column in unparsed {
            *self.unparsed.entry(column).or_default() += 1;
        }
    }

    fn add_row(&mut self, day: &str) {
        self.rows += 1;
        *self.dates.entry(day.to_owned()).or_default() += 1;
        self.count("date");
    }

    fn add_keys(&mut self, stay: &SimulatedStay) {
        let texts = [
            ("meeting_no", Some(stay.meeting_no.clone())),
            ("user_id", stay.user_id(UserIdType::OpenId)),
            ("room_id", stay.room_id()),
        ];
        for (column, text) in texts.into_iter().filter_map(|(column, text)| Some((column, text?))) {
            self.count(column);
            extend(&mut self.texts, column, text);
        }
        self.add("meeting_start_time", &Expected::Time(stay.meeting_start_s));
        self.add("meeting_end_time", &Expected::Time(stay.meeting_end_s));
        self.add("join_time", &Expected::Time(stay.join_s));
    }

    fn add(&mut self, column: &str, value: &Expected) {
        match value {
            Expected::Absent => return,
            Expected::Unparsed(_) => return *self.unparsed.entry(column.to_owned()).or_default() += 1,
            Expected::Number(number) => *self.sums.entry(column.to_owned()).or_default() += number,
            Expected::Pixels(pixels) => *self.sums.entry(column.to_owned()).or_default() += f64::from(*pixels),
            Expected::Time(time_s) => extend(&mut self.times, column, time_s * 1_000_000),
        }
        self.count(column);
    }

    fn count(&mut self, column: &str) {
        *self.values.entry(column.to_owned()).or_default() += 1;
    }
}

/// Widens the range of a column so that it holds `value`.
fn extend<T: Ord + Clone>(ranges: &mut BTreeMap<String, [T; 2]>, column: &str, value: T) {
    let [first, last] = ranges.entry(column.to_owned()).or_insert_with(|| [value.clone(), value.clone()]);
    if value < *first {
        *first = value;
    } else if value > *last {
        *last = value;
    }
}

/// The pins in a file of requirements.
fn pins(requirements: &str) -> Vec<&str> {
    requirements.lines().filter(|line| !line.starts_with('#')).collect()
}

/// Reads the datasets with `engines`, in an environment of the pins in `requirements` and with these variables.
fn read(place: &str, variables: &[(&str, &str)], requirements: &str, engines: &[&str]) -> BTreeMap<String, Readings> {
    let python = python::environment(engines[0], &pins(requirements));
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/python/readers.py");
    let output = Command::new(python)
        .arg(script)
        .args([place, DAY])
        .args(engines)
        .envs(variables.iter().copied())
        .output()
        .unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{engines:?} cannot read the datasets:\n{errors}");
    serde_json::from_slice(&output.stdout).unwrap()
}

/// What the engines call the contract's types: text, time, int32, double, truth, date, map.
const TYPE_NAMES: [(&str, [&str; 7]); 4] = [
    (
        "duckdb",
        ["VARCHAR", "TIMESTAMP WITH TIME ZONE", "INTEGER", "DOUBLE", "BOOLEAN", "DATE", "MAP(VARCHAR, VARCHAR)"],
    ),
    (
        "polars",
        [
            "String",
            "Datetime(time_unit='us', time_zone='UTC')",
            "Int32",
            "Float64",
            "Boolean",
            "Date",
            "Map(String, String)",
        ],
    ),
    (
        "pyarrow",
        [
            "string",
            "timestamp[us, tz=UTC]",
            "int32",
            "double",
            "bool",
            "date32[day]",
            "map<string, string ('unparsed')>",
        ],
    ),
    ("spark", ["string", "timestamp", "int", "double", "boolean", "date", "map<string,string>"]),
];

fn check_types(engine: &str, place: &str, reading: &Reading, names: &[&str]) {
    let (_, [text, time, int32, double, truth, date, map]) =
        TYPE_NAMES.iter().find(|(name, _)| *name == engine).unwrap();
    // By the contract, not by the tables of columns, which may be wrong.
    let type_of = |column: &str| match column {
        "date" => *date,
        "unparsed" => *map,
        "sample_index" | "meeting_type" | "meeting_subtype" | "accept_status" => *int32,
        "audio"
        | "video"
        | "sharing"
        | "recording"
        | "telephone"
        | "is_external"
        | "has_related_document"
        | "ai_note"
        | "use_rtc_proxy" => *truth,
        _ if column.ends_with("_time") => *time,
        _ if column.ends_with("_px") || column.ends_with("_s") || column.starts_with("number_of_") => *int32,
        _ if ["_ms", "_pct", "_kbps", "_db", "_fps"].iter().any(|unit| column.ends_with(unit)) => *double,
        _ => *text,
    };
    let mut types = reading.types.clone();
    for column in names.iter().copied().chain(["date"]) {
        assert_eq!(types.remove(column).as_deref(), Some(type_of(column)), "{place}: `{column}`");
    }
    assert_eq!(types, BTreeMap::new(), "{place}: more columns than there are");
}

fn check_values(place: &str, reading: &Reading, expected: &Reading) {
    assert_eq!(reading.rows, expected.rows, "{place}");
    assert_eq!(reading.values, expected.values, "{place}");
    assert_eq!(reading.truths, expected.truths, "{place}");
    assert_eq!(reading.times, expected.times, "{place}");
    assert_eq!(reading.texts, expected.texts, "{place}");
    assert_eq!(reading.unparsed, expected.unparsed, "{place}");
    assert_eq!(reading.dates, expected.dates, "{place}");
    assert_eq!(reading.pruned, expected.pruned, "{place}");
    check_sums(place, &reading.sums, &expected.sums);
}

fn check_sums(place: &str, sums: &BTreeMap<String, f64>, expected: &BTreeMap<String, f64>) {
    assert!(sums.keys().eq(expected.keys()), "{place}");
    for (column, sum) in sums {
        // Everyone adds up in another order.
        let (expected, slack) = (expected[column], 1e-9 * sum.abs());
        assert!((sum - expected).abs() <= slack, "{place}: the sum of `{column}` is {sum}, not {expected}");
    }
}
