//! What vcq writes keeps to its JSON Schemas, by a validator of somebody else's, and what it refuses does not.

use std::process::Command;

use serde_json::{Value, json};
use vcq::{
    config::{Config, DEFAULTS},
    simulator::{Settings, faults::parse, lists::Lists, tenant::TenantSettings},
};

use super::{
    python,
    world::{World, small},
};

/// Prints the first fault of each document, or nothing in its line.
const VALIDATE: &str = "
import json, sys
from jsonschema import Draft7Validator, FormatChecker
for schema, document in json.load(sys.stdin):
    Draft7Validator.check_schema(schema)
    errors = Draft7Validator(schema, format_checker=FormatChecker()).iter_errors(document)
    print(next((error.json_path + ': ' + error.message for error in errors), ''))
";

/// The faults of documents by their schemas.
fn faults(world: &World, documents: &[(Value, Value)]) -> Vec<String> {
    let python = python::environment("schema", &["jsonschema==4.26.0"]);
    world.write("documents.json", &serde_json::to_string(documents).unwrap());
    let documents = std::fs::File::open(world.path("documents.json")).unwrap();
    let ran = world.ran(Command::new(python).args(["-c", VALIDATE]).stdin(documents));
    assert_eq!(ran.code, Some(0), "{}", ran.err);
    ran.out.lines().map(str::to_owned).collect()
}

fn configuration(text: &str) -> Value {
    serde_json::to_value(text.parse::<toml::Table>().unwrap()).unwrap()
}

#[test]
fn what_is_written_keeps_to_its_schema_and_what_is_refused_does_not() {
    let faulty = ["rejected-row@quality=0.1", "unknown-code@quality=0.1", "absent-data@quality=0.1"];
    let faulty = faulty.map(|text| parse(text).unwrap()).to_vec();
    let tenant = TenantSettings { other_forms: 0.2, lists: Lists::odd(0.1), ..small().tenant };
    let world = World::new(Settings { tenant, faults: faulty, ..small() });
    let [config, report, figures] = ["config", "report", "figures"]
        .map(|of| serde_json::from_str::<Value>(&world.out(&format!("schema {of}"))).unwrap());

    let mut written = vec![
        (config.clone(), configuration(DEFAULTS)),
        (config.clone(), configuration(&super::readme::blocks(super::readme::README, "toml").concat())),
        (config.clone(), configuration("[report]\ndelay_ms = 0.5\n[discover]\npersonal = [\"email\"]")),
    ];
    for line in [
        "export --manifest manifest.csv --until 1ms --report report.json",
        "discover 2025-03-03 --report report.json",
        "export --discover 2025-03-03..2025-03-04 --manifest manifest.csv --report report.json",
        "export --refresh 2025-03-03 --report report.json",
    ] {
        world.run(line);
        written.push((report.clone(), serde_json::from_str(&world.read("report.json")).unwrap()));
    }
    for dates in ["2025-03-03..2025-03-04", "2020-01-01"] {
        written.push((figures.clone(), serde_json::from_str(&world.out(&format!("report {dates} --json"))).unwrap()));
    }
    let valid = faults(&world, &written);
    assert!(valid.len() == written.len() && valid.iter().all(String::is_empty), "{valid:#?}");

    let refused = [
        "timezone = 1",
        "time_zone = 'UTC'",
        "[rate]\nrequests_per_minute = 0",
        "[rate]\nrequests_per_minute = 10001",
        "[retry]\nstop_on_anomaly = 'perhaps'",
        "[api]\nuser_id_type = 'email'",
        "[discover]\npersonal = ['user_id']",
        "[report]\ndelay_ms = -1",
        "[quota]\nrequests = 1",
    ];
    for text in refused {
        assert!(Config::load(Some(("vcq.toml", text)), [], &[]).is_err(), "{text}");
    }
    let mut broken: Vec<_> = refused.iter().map(|text| (config.clone(), configuration(text))).collect();
    broken.push((report, json!({ "report_version": 1 })));
    broken.push((figures, json!({ "figures_version": "1" })));
    let found = faults(&world, &broken);
    assert!(found.len() == broken.len() && found.iter().all(|fault| !fault.is_empty()), "{found:#?}");
}
