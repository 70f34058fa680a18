//! The numbers of `vcq report`: equal to those that DuckDB computes of the same files.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use chrono::NaiveDate;
use serde_json::Value;
use vcq::{
    figures::DIMENSIONS,
    simulator::{
        Settings, Simulator, latency::Latency, lists::Lists, manifest, quota::QuotaSettings, tenant::TenantSettings,
    },
};

#[path = "support/python.rs"]
mod python;
#[path = "support/server.rs"]
mod server;

/// The most that the configuration allows, so that the export takes a second or two.
const REQUESTS_PER_MINUTE: &str = "10000";

/// Exports all that a simulated tenant had on four days into `home`.
fn export(home: &Path, seed: u64) {
    let tenant = TenantSettings {
        seed,
        first_day: NaiveDate::from_ymd_opt(2025, 3, 1).unwrap(),
        days: 4,
        stays: 150,
        meeting_minutes_max: 120,
        other_forms: 0.1,
        lists: Lists { without_id: 0.2, over_a_day: 0.1, odd_forms: 0.1, ..Lists::default() },
        ..TenantSettings::default()
    };
    let quota = QuotaSettings { requests_per_minute: REQUESTS_PER_MINUTE.parse().unwrap(), ..QuotaSettings::default() };
    let simulator =
        Simulator::new(Settings { tenant, quota, latency: Latency::Constant(Duration::ZERO), ..Settings::default() });
    manifest::write_file(simulator.tenant(), &home.join("manifest.csv")).unwrap();
    let (_, exported) = server::serve_while(simulator, |url| {
        vcq(home)
            .envs([("VCQ_APP_ID", "cli_simulated"), ("VCQ_APP_SECRET", "simulated")])
            .args(["--base-url", url, "--requests-per-minute", REQUESTS_PER_MINUTE])
            .args("export --discover 2025-03-01..2025-03-04 --manifest manifest.csv --html night.html".split(' '))
            .output()
            .unwrap()
    });
    assert!(exported.status.success(), "{}", String::from_utf8_lossy(&exported.stderr));
}

fn vcq(home: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_vcq"));
    command.current_dir(home);
    command
}

/// What `vcq report` prints.
fn report(home: &Path, line: &str) -> Value {
    let output = vcq(home).args(["report", "--json"]).args(line.split_whitespace()).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

fn duckdb(home: &Path, [first, last]: [&str; 2], minutes_min: u64) -> Value {
    let requirements: Vec<_> =
        include_str!("python/requirements.txt").lines().filter(|line| !line.starts_with('#')).collect();
    let python = python::environment("readers", &requirements);
    let script = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/python/figures.py");
    let arguments = ["Asia/Shanghai", first, last, &minutes_min.to_string()];
    let output = Command::new(python).arg(script).arg(home).args(arguments).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

/// Everything that DuckDB says, the figures say too.
fn check(path: &str, expected: &Value, found: &Value) {
    match (expected, found) {
        (Value::Object(expected), Value::Object(found)) => {
            for (key, expected) in expected {
                check(&format!("{path}.{key}"), expected, found.get(key).unwrap_or(&Value::Null));
            }
        }
        (Value::Array(expected), Value::Array(found)) => {
            assert_eq!(expected.len(), found.len(), "{path}");
            for (number, (expected, found)) in expected.iter().zip(found).enumerate() {
                check(&format!("{path}[{number}]"), expected, found);
            }
        }
        (Value::Number(expected), Value::Number(found)) => {
            let [expected, found] = [expected, found].map(|number| number.as_f64().unwrap());
            assert!((expected - found).abs() <= 1e-9 * expected.abs().max(1.0), "{path}: {found}, not {expected}");
        }
        _ => assert_eq!(expected, found, "{path}"),
    }
}

#[test]
fn every_number_is_that_of_duckdb() {
    for seed in [1, 7, 2026] {
        let home = tempfile::tempdir().unwrap();
        export(home.path(), seed);
        let figures = report(home.path(), "2025-03-01..2025-03-04");
        check(&format!("seed {seed}: "), &duckdb(home.path(), ["2025-03-01", "2025-03-04"], 30), &figures);
        for dimension in ["network_type", "location", "microphone"] {
            let groups = figures["where"][dimension]["worst"].as_array().unwrap();
            assert!(groups.len() > 1, "{dimension}: {groups:?}");
        }
        let part = report(home.path(), "2025-03-02..2025-03-03 --against 2025-03-01");
        check(&format!("seed {seed}, part: "), &duckdb(home.path(), ["2025-03-02", "2025-03-03"], 30), &part);
        let before = duckdb(home.path(), ["2025-03-01", "2025-03-01"], 30);
        let against = &part["against"];
        assert_eq!(against["minutes"], before["good"]["minutes"]);
        for (number, metric) in before["good"]["metrics"].as_array().unwrap().iter().enumerate() {
            let [share, median] = [&against["metrics"][number]["before"], &against["metrics"][number]["median"]];
            check("against", &metric["share"], share);
            check("against", &metric["median"], median);
        }
        // Without what discovery publishes, the same samples.
        for listed in ["meetings", "participants"] {
            fs::remove_dir_all(home.path().join(listed)).unwrap();
        }
        let alone = report(home.path(), "2025-03-01..2025-03-04");
        check(&format!("seed {seed}, alone: "), &duckdb(home.path(), ["2025-03-01", "2025-03-04"], 30), &alone);
        assert_eq!(alone["complete"]["has_participants"], false);
        assert_eq!(alone["complete"]["total"]["stays_expected"], Value::Null);
    }
}

#[test]
fn the_json_has_the_documented_keys_and_no_other() {
    let home = tempfile::tempdir().unwrap();
    export(home.path(), 3);
    assert!(fs::read_to_string(home.path().join("night.html")).unwrap().contains("2025-03-01 – 2025-03-04"));
    let figures = report(home.path(), "2025-03-02..2025-03-04 --against 2025-03-01");
    let mut keys = BTreeSet::new();
    collect(&figures, String::new(), &mut keys);
    let documented = include_str!("../config/FIGURES.md").lines();
    let documented = documented.filter_map(|line| line.strip_prefix("| `")?.split('`').next());
    assert_eq!(keys, documented.map(str::to_owned).collect());
}

/// The keys. Those of a tally and of a coverage, which stand in many objects, are told once.
fn collect(value: &Value, path: String, keys: &mut BTreeSet<String>) {
    const TALLY: [&str; 4] = ["minutes", "bad_minutes", "bad_share", "beyond"];
    match value {
        Value::Object(object) if path != "complete.unparsed" => {
            let is_tally = object.contains_key("bad_share");
            let is_coverage = object.contains_key("stays_found");
            for (key, value) in object {
                let place = match key.as_str() {
                    key if is_tally && TALLY.contains(&key) => format!("<tally>.{key}"),
                    "date" => format!("{path}.date"),
                    key if is_coverage => format!("<coverage>.{key}"),
                    key if path == "where" && DIMENSIONS.contains(&key) => "where.<column>".to_owned(),
                    key if path.is_empty() => key.to_owned(),
                    key => format!("{path}.{key}"),
                };
                collect(value, place, keys);
            }
        }
        Value::Array(items) if items.iter().any(Value::is_object) => {
            for item in items {
                collect(item, format!("{path}[]"), keys);
            }
        }
        _ => _ = keys.insert(path),
    }
}
