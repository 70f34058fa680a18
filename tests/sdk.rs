//! The official Python SDK gets a token from the simulated tenant and reads a stay of several pages.
//!
//! It is a second opinion on the simulator: whoever wrote the SDK knows the API.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::process::Command;

use serde_json::{Value, json};
use vcq::simulator::{
    Settings, Simulator,
    forms::Expected,
    latency::Latency,
    tenant::{SimulatedStay, UserIdType},
};

#[path = "support/python.rs"]
mod python;
#[path = "support/server.rs"]
mod server;

/// The SDK imports `pkg_resources`, which newer Pythons and setuptools no longer bring along.
const REQUIREMENTS: &[&str] = &["lark-oapi==1.7.5", "setuptools==80.9.0"];

#[test]
fn the_official_sdk_reads_a_stay_of_several_pages() {
    let python = python::environment("sdk", REQUIREMENTS);
    let settings = Settings { latency: Latency::Constant(std::time::Duration::ZERO), ..Settings::default() };
    let simulator = Simulator::new(settings);
    let is_long = |stay: &SimulatedStay| stay.sample_count > 200 && stay.room_id().is_none();
    let stay = simulator.tenant().stays().find(is_long).expect("some meeting is long");
    let expected = simulator.expected(&stay).samples;
    let (simulator, read) = server::serve_while(simulator, |url| run_sdk(&python, url, &stay));

    assert_eq!(read["samples"], stay.sample_count);
    assert_eq!(read["pages"], stay.sample_count.div_ceil(100));
    let delays: Vec<Value> = expected.iter().map(|sample| delay_text(&sample.values)).collect();
    assert_eq!(read["network_delays"], json!(delays));
    let books = simulator.books();
    assert_eq!((books.tokens_issued, books.refused), (1, 0));
    assert_eq!(books.accepted, u64::from(stay.sample_count.div_ceil(100)));
    assert!(books.pages().all(|(key, _, page)| key == stay.key && (page.asked, page.answered) == (1, 1)));
}

/// The delay as the SDK must have read it; what is absent was missing, empty or a dash.
fn delay_text(values: &[(&'static str, Expected)]) -> Value {
    match values.iter().find(|(column, _)| *column == "network_delay_ms") {
        Some((_, Expected::Number(number))) => json!(format!("{number}ms")),
        _ => Value::Null,
    }
}

fn run_sdk(python: &std::path::Path, url: &str, stay: &SimulatedStay) -> Value {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/python/sdk_reads.py");
    let user_id = stay.user_id(UserIdType::OpenId).expect("a user stayed");
    let (start, end, join) = (stay.meeting_start_s, stay.meeting_end_s, stay.join_s);
    let output = Command::new(python)
        .args([script, url, "cli_simulated", "simulated", &stay.meeting_no, &user_id])
        .args([start, end, join].map(|time_s| time_s.to_string()))
        .output()
        .expect("the environment's Python can be run");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).expect("the script prints JSON")
}
