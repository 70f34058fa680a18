//! The faults of the two lists: the table of them in `tests/FAULTS.md` is run here, cell by cell.
//!
//! A cell is a world in which the row's fault strikes one endpoint, and two discoveries, one after the other, the second one
//! when the fault is over: the first one ends as the cell says, so does the second one.

#![expect(clippy::print_stdout, reason = "how often each fault struck, for whoever asks by `--nocapture`")]

use std::{
    collections::BTreeSet,
    panic::{AssertUnwindSafe, catch_unwind},
};

use vcq::simulator::{
    Settings,
    endpoint::Endpoint,
    faults::{Fault, FaultKind, Strike, When},
    lists::Lists,
    tenant::TenantSettings,
};

use crate::{
    discover::{all_dates, check_books, check_samples, world_of},
    listed::check_listed,
    table,
    world::{Orders, World},
};

const FAULTS: &str = include_str!("../FAULTS.md");

/// Where and how often the fault strikes, in the order of the table's columns.
const COLUMNS: [(Endpoint, Strike); 4] = [
    (Endpoint::Meetings, Strike::Request(2)),
    (Endpoint::Meetings, Strike::Rate(1.0)),
    (Endpoint::Participants, Strike::Request(2)),
    (Endpoint::Participants, Strike::Rate(1.0)),
];

fn rows() -> Vec<Vec<&'static str>> {
    table::rows(FAULTS, "Faults of lists")
}

/// Faults that are an alarm where they strike the participants of more than 200 meetings.
const ALARMING: [FaultKind; 4] =
    [FaultKind::RejectedRow, FaultKind::AbsentMeeting, FaultKind::UnknownCode, FaultKind::OtherForm];

/// Whether there are so many meetings that there can be an alarm; of so many only lists are asked for.
fn is_large(kind: FaultKind, place: (Endpoint, Strike)) -> bool {
    place == (Endpoint::Participants, Strike::Rate(1.0)) && ALARMING.contains(&kind)
}

/// A tenant of three days.
fn settings(kind: FaultKind, place: (Endpoint, Strike), faults: Vec<Fault>) -> Settings {
    let stays = if is_large(kind, place) { 1_300 } else { 15 };
    let lists = Lists::default();
    let tenant = TenantSettings { days: 3, stays, meeting_minutes_max: 60, lists, ..TenantSettings::default() };
    Settings { tenant, faults, ..Settings::default() }
}

/// Runs two discoveries, and says how they end: `65 → 0`, `0` where the first one leaves nothing to the second.
fn endings(kind: FaultKind, place: (Endpoint, Strike)) -> String {
    let (endpoint, strike) = place;
    let faults = vec![Fault { kind, when: When::Only(endpoint, strike) }];
    let mut world = world_of(settings(kind, place, faults));
    let life = discover(&mut world, !is_large(kind, place));
    let struck = world.server().books_of(endpoint).faults.get(kind.name()).copied().unwrap_or(0);
    println!("{} at {endpoint:?}, {strike:?}: struck {struck} times, exit {}", kind.name(), life.0);
    if struck == 0 {
        return "-".into();
    }
    check_books(&world);
    world.serve_anew(settings(kind, place, Vec::new()));
    let again = discover(&mut world, !is_large(kind, place));
    // What the API says that there is not is believed until the date is listed anew.
    let is_whole = catch_unwind(AssertUnwindSafe(|| {
        check_listed(&world, false);
        if !is_large(kind, place) {
            check_samples(&world, false);
        }
    }));
    let missing = if is_whole.is_ok() { "" } else { " absent" };
    let ending = match (life.0, again.0) {
        (0, 0) => "0".to_owned(),
        (first, next) => format!("{first} → {next}"),
    };
    format!("{ending}{missing}{}", if life.1 { " alarm" } else { "" })
}

/// The exit code of a discovery, and whether it ended in an alarm.
fn discover(world: &mut World, fetches_samples: bool) -> (u8, bool) {
    let orders = Orders { discover: Some(all_dates(world)), fetches_samples, ..world.orders() };
    let life = world.live_one(orders);
    let is_alarm = life.hint.as_ref().is_some_and(|hint| hint.contains("stop_on_anomaly"));
    (life.exit.unwrap(), is_alarm)
}

#[test]
fn each_fault_of_a_list_ends_as_the_table_says() {
    let mut wrong = Vec::new();
    for cells in rows() {
        let name = cells[1].trim_matches('`');
        let kind = FaultKind::by_name(name).unwrap_or_else(|| panic!("there is no fault `{name}`"));
        let found: Vec<_> = COLUMNS.into_iter().map(|place| endings(kind, place)).collect();
        if found[..] != cells[2..6] {
            wrong.push(format!("| {} | `{name}` | {} |", cells[0], found.join(" | ")));
        }
    }
    assert!(wrong.is_empty(), "found:\n{}", wrong.join("\n"));
}

#[test]
fn every_fault_of_a_page_has_a_row_among_those_of_lists() {
    let of_tokens = [FaultKind::TokenUnavailable, FaultKind::TokenDenied, FaultKind::TokenOddLife];
    let rows = rows();
    let known: BTreeSet<_> = rows.iter().map(|cells| cells[1].trim_matches('`')).collect();
    let missing: Vec<_> = FaultKind::ALL
        .iter()
        .filter(|kind| !of_tokens.contains(kind))
        .map(|kind| kind.name())
        .filter(|name| !known.contains(name))
        .collect();
    assert_eq!(missing, Vec::<&str>::new());
}
