//! The official Python SDK gets a token from the simulated tenant, reads a stay of several pages, and lists meetings and
//! participants.
//!
//! It is a second opinion on the simulator: whoever wrote the SDK knows the API.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::process::Command;

use chrono::{DateTime, FixedOffset};
use serde_json::{Value, json};
use vcq::simulator::{
    Settings, Simulator,
    attendances::SimulatedAttendance,
    endpoint::Endpoint,
    forms::Expected,
    latency::Latency,
    meetings::SimulatedMeeting,
    reply::Request,
    sign_in::SignInSettings,
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
    let simulator = simulator();
    let is_long = |stay: &SimulatedStay| stay.sample_count > 200 && stay.room_id().is_none();
    let stay = simulator.tenant().stays().find(is_long).expect("some meeting is long");
    let expected = simulator.expected(&stay).samples;
    let (simulator, read) = server::serve_while(simulator, |url| read_stay(url, &stay));

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

#[test]
fn the_official_sdk_lists_meetings_and_participants() {
    let simulator = simulator();
    let mut meetings: Vec<_> = simulator.tenant().meetings().collect();
    meetings.sort_by_key(|meeting| (meeting.start_s, meeting.meeting_no.clone()));
    let attendances = meetings.iter().map(|meeting| simulator.tenant().attendances(meeting));
    let has_room = |(_, attendances): &(usize, Vec<_>)| {
        attendances.iter().any(|attendance: &SimulatedAttendance| attendance.room_id().is_some())
    };
    let (chosen, attendances) = attendances.enumerate().find(has_room).expect("some meeting is in a room");
    let (simulator, read) = server::serve_while(simulator, |url| read_lists(url, &meetings, chosen));

    let text = |time_s: i64| {
        let zone = FixedOffset::east_opt(8 * 3600).unwrap();
        let time = DateTime::from_timestamp(time_s, 0).unwrap().with_timezone(&zone);
        time.format("%Y.%m.%d %H:%M:%S (GMT+08:00)").to_string()
    };
    let expected = meetings.iter().map(|meeting| json!([meeting.meeting_no, text(meeting.start_s)]));
    assert_eq!(read["meetings"], expected.collect::<Value>());
    assert_eq!(read["pages"], meetings.len().div_ceil(20));
    let person = |person: &SimulatedAttendance| {
        json!([person.user_id(UserIdType::OpenId), person.room_id(), person.device, text(person.join_s)])
    };
    assert_eq!(read["participants"], attendances.iter().map(person).collect::<Value>());
    assert_eq!(read["unknown_keys"], json!([]));
    let accepted = [Endpoint::Meetings, Endpoint::Participants].map(|endpoint| simulator.books_of(endpoint).accepted);
    assert_eq!(accepted, [meetings.len().div_ceil(20) as u64, 1]);
}

/// With the historic functions, which are what it has: a code for tokens, a renewal, who it is, and a list as that person.
#[test]
fn the_official_sdk_asks_as_a_user() {
    let sign_in = SignInSettings { refuses_tenants: true, ..SignInSettings::default() };
    let latency = Latency::Constant(std::time::Duration::ZERO);
    let mut simulator = Simulator::new(Settings { sign_in, latency, ..Settings::default() });
    let query = "client_id=cli_simulated&response_type=code&redirect_uri=http://127.0.0.1:1/&state=s\
                 &scope=vc:room:readonly%20offline_access";
    let path_and_query = format!("/_sim/consent/allow?{query}");
    let request = Request { method: "GET".into(), path_and_query, ..Request::default() };
    let (_, reply) = simulator.handle("2025-04-10T00:00:00Z".parse().unwrap(), &request);
    let location = reply.headers.into_iter().find(|(name, _)| *name == "location").unwrap().1;
    let code = location.split("code=").nth(1).unwrap().split('&').next().unwrap().to_owned();
    let first_s = simulator.tenant().meetings().map(|meeting| meeting.start_s).min().unwrap();
    let (simulator, read) = server::serve_while(simulator, |url| {
        run_sdk(url, &["user", &code, &first_s.to_string(), &(first_s + 86_400).to_string()])
    });
    assert_eq!(read["name"], "Person 1");
    assert!(read["open_id"].as_str().unwrap().starts_with("ou_") && read["meetings"].as_u64() > Some(0), "{read}");
    assert_eq!((&read["expires_in"], &read["again"], &read["as_app"]), (&json!(7200), &json!(20_073), &json!(121_005)));
    assert_eq!(simulator.sign_in_books().renewals, 1);
}

fn simulator() -> Simulator {
    Simulator::new(Settings { latency: Latency::Constant(std::time::Duration::ZERO), ..Settings::default() })
}

fn read_stay(url: &str, stay: &SimulatedStay) -> Value {
    let user_id = stay.user_id(UserIdType::OpenId).expect("a user stayed");
    let times = [stay.meeting_start_s, stay.meeting_end_s, stay.join_s].map(|time_s| time_s.to_string());
    run_sdk(url, &["stay", &stay.meeting_no, &user_id, &times[0], &times[1], &times[2]])
}

/// Lists the window from the first meeting to the last, and the participants of the chosen one.
fn read_lists(url: &str, meetings: &[SimulatedMeeting], chosen: usize) -> Value {
    let (first, last, chosen) = (&meetings[0], &meetings[meetings.len() - 1], &meetings[chosen]);
    let times = [first.start_s, last.start_s + 1, chosen.start_s, chosen.end_s].map(|time_s| time_s.to_string());
    run_sdk(url, &["lists", &times[0], &times[1], &chosen.meeting_no, &times[2], &times[3]])
}

fn run_sdk(url: &str, arguments: &[&str]) -> Value {
    let python = python::environment("sdk", REQUIREMENTS);
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/python/sdk_reads.py");
    let output = Command::new(python)
        .args([script, url, "cli_simulated", "simulated"])
        .args(arguments)
        .output()
        .expect("the environment's Python can be run");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).expect("the script prints JSON")
}
