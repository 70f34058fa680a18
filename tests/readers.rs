//! A dataset that vcq published, read by the engines of its users: real ones, pinned, set up by the test itself.
//!
//! What they must find is what the simulated tenant wrote, by its own account.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::{collections::BTreeMap, path::Path, process::Command, time::Duration};

use chrono::{DateTime, NaiveDate};
use serde::Deserialize;
use vcq::{
    simulator::{
        Settings, Simulator,
        forms::Expected,
        latency::Latency,
        manifest,
        quota::QuotaSettings,
        tenant::{SimulatedStay, TenantSettings, UserIdType},
    },
    tables::quality::{COLUMNS, KEY_COLUMNS, UNPARSED},
};

#[path = "support/python.rs"]
mod python;
#[path = "support/server.rs"]
mod server;

/// The most that the configuration allows, so that the export takes a second or two.
const REQUESTS_PER_MINUTE: u32 = 10_000;

/// What a reader finds in the dataset; `readers.py` tells it of an engine in this form.
#[derive(Debug, Default, Deserialize)]
struct Reading {
    types: BTreeMap<String, String>,
    rows: u64,
    values: BTreeMap<String, u64>,
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
    let simulator = export(home.path());
    let mut expected = written_by(&simulator);
    let (day, rows) = expected.dates.first_key_value().unwrap();
    expected.pruned = Pruned { rows: *rows, files_read: 1, files: expected.dates.len() };
    assert!(expected.unparsed.len() > 10 && expected.values.len() == 54, "the tenant leaves columns empty");

    let output = home.path().join("quality");
    let mut readings = read(&output, day, include_str!("python/requirements.txt"), &["duckdb", "polars", "pyarrow"]);
    readings.extend(read(&output, day, include_str!("python/spark.txt"), &["spark"]));
    assert_eq!(readings.len(), TYPE_NAMES.len());
    for (engine, reading) in &readings {
        check_types(engine, reading);
        check_values(engine, reading, &expected);
    }
}

/// Exports the stays of a simulated tenant into `home`.
fn export(home: &Path) -> Simulator {
    let tenant = TenantSettings {
        first_day: NaiveDate::from_ymd_opt(2025, 3, 1).unwrap(),
        days: 4,
        stays: 120,
        meeting_minutes_max: 120,
        other_forms: 0.1,
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
            .args(["--base-url", url, "--requests-per-minute", &REQUESTS_PER_MINUTE.to_string()])
            .args(["export", "--manifest"])
            .arg(&manifest)
            .output()
            .unwrap()
    });
    assert!(exported.status.success(), "{}", String::from_utf8_lossy(&exported.stderr));
    simulator
}

/// What a reader must find, by the tenant's own account, which knows nothing of types and pruning.
fn written_by(simulator: &Simulator) -> Reading {
    let mut reading = Reading::default();
    for stay in simulator.tenant().stays() {
        let day = DateTime::from_timestamp(stay.meeting_start_s + 8 * 3600, 0).unwrap().date_naive().to_string();
        for sample in simulator.expected(&stay).samples {
            reading.rows += 1;
            *reading.dates.entry(day.clone()).or_default() += 1;
            reading.add_keys(&stay);
            reading.add("sample_index", &Expected::Number(f64::from(sample.index)));
            reading.add("sample_time", &sample.sample_time_s.map_or(Expected::Absent, Expected::Time));
            sample.values.iter().for_each(|(column, value)| reading.add(column, value));
            if sample.values.iter().any(|(_, value)| matches!(value, Expected::Unparsed(_))) {
                reading.count("unparsed");
            }
        }
    }
    reading
}

impl Reading {
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
        self.count("date");
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

/// Reads the dataset with `engines`, in an environment of the pins in `requirements`.
fn read(dataset: &Path, day: &str, requirements: &str, engines: &[&str]) -> BTreeMap<String, Reading> {
    let pins: Vec<&str> = requirements.lines().filter(|line| !line.starts_with('#')).collect();
    let python = python::environment(engines[0], &pins);
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/python/readers.py");
    let output = Command::new(python).arg(script).arg(dataset).arg(day).args(engines).output().unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{engines:?} cannot read the dataset:\n{errors}");
    serde_json::from_slice(&output.stdout).unwrap()
}

/// What the engines call the contract's types: text, time, int32, double, date, map.
const TYPE_NAMES: [(&str, [&str; 6]); 4] = [
    ("duckdb", ["VARCHAR", "TIMESTAMP WITH TIME ZONE", "INTEGER", "DOUBLE", "DATE", "MAP(VARCHAR, VARCHAR)"]),
    (
        "polars",
        ["String", "Datetime(time_unit='us', time_zone='UTC')", "Int32", "Float64", "Date", "Map(String, String)"],
    ),
    (
        "pyarrow",
        ["string", "timestamp[us, tz=UTC]", "int32", "double", "date32[day]", "map<string, string ('unparsed')>"],
    ),
    ("spark", ["string", "timestamp", "int", "double", "date", "map<string,string>"]),
];

fn check_types(engine: &str, reading: &Reading) {
    let (_, [text, time, int32, double, date, map]) = TYPE_NAMES.iter().find(|(name, _)| *name == engine).unwrap();
    // By the contract, not by the table of columns, which may be wrong.
    let type_of = |column: &str| match column {
        "meeting_no" | "user_id" | "room_id" => *text,
        "date" => *date,
        "unparsed" => *map,
        "sample_index" => *int32,
        _ if column.ends_with("_time") => *time,
        _ if column.ends_with("_px") => *int32,
        _ => *double,
    };
    let names = KEY_COLUMNS.iter().map(|column| column.name).chain(COLUMNS.iter().map(|column| column.name));
    let mut types = reading.types.clone();
    for column in names.chain([UNPARSED.name, "date"]) {
        assert_eq!(types.remove(column).as_deref(), Some(type_of(column)), "{engine}: `{column}`");
    }
    assert_eq!(types, BTreeMap::new(), "{engine} reads more columns than there are");
}

fn check_values(engine: &str, reading: &Reading, expected: &Reading) {
    assert_eq!(reading.rows, expected.rows, "{engine}");
    assert_eq!(reading.values, expected.values, "{engine}");
    assert_eq!(reading.times, expected.times, "{engine}");
    assert_eq!(reading.texts, expected.texts, "{engine}");
    assert_eq!(reading.unparsed, expected.unparsed, "{engine}");
    assert_eq!(reading.dates, expected.dates, "{engine}");
    assert_eq!(reading.pruned, expected.pruned, "{engine}");
    assert!(reading.sums.keys().eq(expected.sums.keys()), "{engine}");
    for (column, sum) in &reading.sums {
        // Everyone adds up in another order.
        let (expected, slack) = (expected.sums[column], 1e-9 * sum.abs());
        assert!((sum - expected).abs() <= slack, "{engine}: the sum of `{column}` is {sum}, not {expected}");
    }
}
