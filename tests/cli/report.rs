//! The report's JSON and its documentation have the same keys.

use std::collections::BTreeSet;

use serde_json::Value;
use vcq::simulator::{Settings, faults::parse, lists::Lists, tenant::TenantSettings};

use super::world::{World, small};

const DOCUMENTED: &str = include_str!("../../config/REPORT.md");

/// Objects whose keys are data.
const MAPS: [&str; 6] = [
    "asked_again",
    "discovered.dates",
    "discovered.rejected_attendances",
    "discovered.without_id",
    "requests.by_outcome",
    "unknown_keys",
];

#[test]
fn a_report_has_the_documented_keys_and_no_other() {
    // Rare forms, rejects and failures, so that every list has something in it.
    let faults = ["rejected-row@quality=0.1", "unknown-code@quality=0.1", "absent-data@quality=0.1"]
        .map(|text| parse(text).unwrap())
        .to_vec();
    let tenant = TenantSettings { other_forms: 0.2, lists: Lists::odd(0.1), ..small().tenant };
    let world = World::new(Settings { tenant, faults, ..small() });
    let ran = world.run("export --discover 2025-03-03..2025-03-04 --manifest manifest.csv --report report.json");
    assert_eq!(ran.code, Some(65), "{}{}", ran.out, ran.err);
    let report: Value = serde_json::from_str(&world.read("report.json")).unwrap();
    for list in ["files", "listed_files", "unparsed", "rejects", "failures", "absentees", "dates"] {
        let length = report[list].as_array().map(Vec::len).or(report[list].as_object().map(serde_json::Map::len));
        assert!(length > Some(0), "{list} is empty");
    }
    let mut keys = BTreeSet::new();
    collect(&report, String::new(), &mut keys);
    assert_eq!(keys, documented());
    assert_eq!(report["exit_code"], 65);
}

/// A laptop that has nothing but the files sees what readers of the table see: no row of a file that was replaced.
#[test]
fn figures_of_a_table_are_those_of_its_live_files_without_a_configuration_too() {
    let world = World::new(small());
    world.write("vcq.toml", "table = 'delta'");
    world.out("export --discover 2025-03-03..2025-03-04");
    let figures = || -> Value { serde_json::from_str(&world.out("report 2025-03-03..2025-03-04 --json")).unwrap() };
    let before = figures();
    // Files with other bytes, beside which the old ones stay.
    let rebuilt = world.ran(world.vcq("rebuild").env("VCQ_API_NAIVE_UTC_OFFSET", "+07:00"));
    assert_eq!(rebuilt.code, Some(0), "{}", rebuilt.err);
    let files = std::fs::read_dir(world.path("quality/date=2025-03-03")).unwrap().count();
    assert!(files > 1, "no file was replaced");
    let with = figures();
    assert_eq!(with["complete"], before["complete"]);
    world.write("vcq.toml", "");
    assert_eq!(figures(), with);
}

fn documented() -> BTreeSet<String> {
    let rows = DOCUMENTED.lines().filter_map(|line| line.strip_prefix("| `")?.split('`').next());
    rows.map(str::to_owned).collect()
}

fn collect(value: &Value, path: String, keys: &mut BTreeSet<String>) {
    match value {
        Value::Object(object) if !MAPS.contains(&path.as_str()) => {
            for (key, value) in object {
                let key = match path.as_str() {
                    "unparsed" => "<column>",
                    "requests.by_endpoint" => "<endpoint>",
                    _ => key,
                };
                let separator = if path.is_empty() { "" } else { "." };
                collect(value, format!("{path}{separator}{key}"), keys);
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
