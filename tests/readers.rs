//! The datasets that vcq published, read by the engines of their users: real ones, pinned, set up by the test itself.
//!
//! What they must find is what the simulated tenant wrote, by its own account.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::{
    collections::BTreeMap,
    path::Path,
    process::{Child, Command, Stdio},
    time::Duration,
};

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

use personal::PERSONAL;

#[path = "support/personal.rs"]
mod personal;
#[path = "support/python.rs"]
mod python;
#[path = "support/server.rs"]
mod server;

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
    let mut expected = written_by(&simulator);
    let quality = &expected.quality;
    assert!(quality.unparsed.len() > 10 && quality.values.len() == 54, "the tenant leaves columns empty");
    let (meetings, participants) = (&expected.meetings, &expected.participants);
    assert!(!meetings.unparsed.is_empty() && !participants.unparsed.is_empty(), "all texts of lists can be read");
    let all: u64 = expected.joined.values().sum();
    assert!(expected.joined.len() >= 4 && (quality.rows / 2..=quality.rows).contains(&all), "{:?}", expected.joined);
    let day = quality.dates.keys().next().unwrap().clone();
    for reading in [&mut expected.quality, &mut expected.meetings, &mut expected.participants] {
        reading.pruned = Pruned { rows: reading.dates[&day], files_read: 1, files: reading.dates.len() };
    }

    let mut engines =
        read(home.path(), &day, include_str!("python/requirements.txt"), &["duckdb", "polars", "pyarrow"]);
    engines.extend(read(home.path(), &day, include_str!("python/spark.txt"), &["spark"]));
    assert_eq!(engines.len(), TYPE_NAMES.len());
    let quality_names: Vec<&str> = KEY_COLUMNS
        .iter()
        .chain([&UNPARSED])
        .map(|column| column.name)
        .chain(COLUMNS.iter().map(|column| column.name))
        .collect();
    let [meetings_names, participants_names] = [&MEETINGS, &PARTICIPANTS]
        .map(|table| table.published(&[]).map(|column| column.name).chain([UNPARSED.name]).collect::<Vec<_>>());
    for (engine, found) in &engines {
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

/// What a reader finds in a table, by the log; `tables.py` tells it in this form.
#[derive(Debug, Deserialize)]
struct TableReading {
    rows: u64,
    sums: BTreeMap<String, f64>,
    dates: BTreeMap<String, u64>,
}

/// What `tables.py` saw of a table that others were changing.
#[derive(Debug, Deserialize)]
struct Watched {
    queries: u64,
    seen: Vec<(u64, String, String)>,
}

/// How many rebuilds a reader of the table is at work beside: `VCQ_TABLE_REBUILDS=1000` tries more.
fn rebuilds() -> usize {
    std::env::var("VCQ_TABLE_REBUILDS").map_or(100, |count| count.parse().unwrap())
}

#[test]
fn duckdb_polars_deltalake_and_spark_read_the_tables() {
    let home = tempfile::tempdir().unwrap();
    // Of files with other bytes, old ones among them: a pattern would find each row twice.
    let simulator = export(home.path(), &[("VCQ_TABLE", "delta"), ("VCQ_API_NAIVE_UTC_OFFSET", "+07:00")]);
    vcq(home.path(), &["rebuild"], &[("VCQ_TABLE", "delta")]);
    let old = home.path().join("quality").read_dir().unwrap().map(Result::unwrap);
    let parts = old.filter(|entry| entry.file_name() != "_delta_log").map(|entry| entry.path().read_dir().unwrap().count());
    assert!(parts.sum::<usize>() > 4, "no file was replaced");

    let python = python::environment("tables", &pins(include_str!("python/tables.txt")));
    let mut read: BTreeMap<String, BTreeMap<String, TableReading>> =
        run_tables(&python, &["read", home.path().to_str().unwrap(), "duckdb", "polars", "deltalake"]);
    let files: serde_json::Value = run_tables(&python, &["files", home.path().to_str().unwrap()]);
    let listed = home.path().join("files.json");
    std::fs::write(&listed, files.to_string()).unwrap();
    let spark = python::environment("spark", &pins(include_str!("python/spark.txt")));
    read.extend(run_tables::<BTreeMap<_, _>>(&spark, &["spark", listed.to_str().unwrap()]));
    assert_eq!(read.len(), 4);
    let expected = written_by(&simulator);
    for (engine, tables) in &read {
        for (dataset, expected) in
            [("quality", &expected.quality), ("meetings", &expected.meetings), ("participants", &expected.participants)]
        {
            let (place, found) = (format!("{engine}, {dataset}"), &tables[dataset]);
            assert_eq!((found.rows, &found.dates), (expected.rows, &expected.dates), "{place}");
            check_sums(&place, &found.sums, &expected.sums);
        }
    }
}

/// Rebuilds by turns with one offset and another: the table is one of two, and every query sees one of them.
#[test]
fn a_reader_of_a_table_sees_one_of_two_numbers() {
    let home = tempfile::tempdir().unwrap();
    export(home.path(), &[("VCQ_TABLE", "delta")]);
    let python = python::environment("tables", &pins(include_str!("python/tables.txt")));
    let table = home.path().join("quality");
    let watch = |engine: &str| {
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/python/tables.py");
        let mut watch = Command::new(&python);
        watch.arg(script).arg("watch").arg(&table).arg(engine).stdin(Stdio::piped()).stdout(Stdio::piped());
        watch.spawn().unwrap()
    };
    let seen = |child: Child| -> Watched {
        let output = child.wait_with_output().unwrap();
        assert!(output.status.success(), "the reader's own errors stand above");
        serde_json::from_slice(&output.stdout).unwrap()
    };
    let offsets = ["+07:00", "+08:00"];
    let rebuild = |turn: usize| {
        let environment = [("VCQ_TABLE", "delta"), ("VCQ_API_NAIVE_UTC_OFFSET", offsets[turn % 2])];
        vcq(home.path(), &["rebuild", "2025-03-02"], &environment);
    };
    let states: Vec<_> = (0..2)
        .map(|turn| {
            rebuild(turn);
            let mut seen = seen(watch("duckdb")).seen;
            assert_eq!(seen.len(), 1);
            seen.remove(0)
        })
        .collect();
    assert!(states[0].0 == states[1].0 && states[0] != states[1], "{states:?}");
    let readers = ["duckdb", "deltalake"].map(watch);
    (0..rebuilds()).for_each(rebuild);
    for watched in readers.map(seen) {
        assert!(watched.queries > 2 && watched.seen.iter().all(|seen| states.contains(seen)), "{watched:?}, {states:?}");
    }
}

fn pins(requirements: &str) -> Vec<&str> {
    requirements.lines().filter(|line| !line.starts_with('#')).collect()
}

fn run_tables<T: serde::de::DeserializeOwned>(python: &Path, arguments: &[&str]) -> T {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/python/tables.py");
    let output = Command::new(python).arg(script).args(arguments).output().unwrap();
    assert!(output.status.success(), "{arguments:?}:\n{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

fn vcq(home: &Path, arguments: &[&str], environment: &[(&str, &str)]) {
    let output = Command::new(env!("CARGO_BIN_EXE_vcq"))
        .current_dir(home)
        .envs([("VCQ_APP_ID", "cli_simulated"), ("VCQ_APP_SECRET", "simulated")])
        .envs(environment.iter().copied())
        .args(arguments)
        .output()
        .unwrap();
    assert!(output.status.success(), "{arguments:?}:\n{}", String::from_utf8_lossy(&output.stderr));
}

/// Exports all that a simulated tenant had into `home`: what it lists, and all stays, though some lists do not name them.
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

/// Reads the datasets with `engines`, in an environment of the pins in `requirements`.
fn read(folder: &Path, day: &str, requirements: &str, engines: &[&str]) -> BTreeMap<String, Readings> {
    let python = python::environment(engines[0], &pins(requirements));
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/python/readers.py");
    let output = Command::new(python).arg(script).arg(folder).arg(day).args(engines).output().unwrap();
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
