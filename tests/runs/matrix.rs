//! The fault matrix: the first table of `tests/FAULTS.md` is run here, cell by cell.
//!
//! A cell is a world in which the row's fault strikes in the column's phase, and two exports, one after the other: the
//! first one ends as the cell says, so does the second one, and in between and after them holds what always holds.

#![expect(clippy::print_stdout, reason = "how often each fault struck, for whoever asks by `--nocapture`")]

use std::{collections::BTreeSet, panic::catch_unwind};

use chrono::TimeDelta;
use vcq::simulator::{
    faults::{Fault, FaultKind, When},
    tenant::SimulatedStay,
};

use crate::{
    invariants::{check, check_complete},
    seeds::with_seeds_of,
    settings, table, tests, with_faults, world,
    world::{Life, World},
};

const FAULTS: &str = include_str!("../FAULTS.md");

/// Attempts at one page that a run makes by default.
const ATTEMPTS_MAX: u32 = 8;

/// More requests for a token than a run makes while it sits an outage out.
const TOKEN_TRIES_MAX: u64 = 400;

/// How long a fault that strikes all requests goes on.
const SPELL: TimeDelta = TimeDelta::hours(1);

/// When a fault strikes: a column of the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// The first request for a token.
    Token,
    /// All requests for a token of one run, which sits that out for as long as an outage.
    TokenAlways,
    /// One request for the first page of a stay.
    FirstPage,
    /// One request for the second page of a stay.
    LaterPage,
    /// All requests for the second page of a stay: for good, or in one run if the next one is to succeed.
    OnePage,
    /// One request in three, or one stay in three if the fault is one of stays.
    Third,
    /// All requests of an hour, from the fifth second on.
    All,
}

impl Phase {
    /// The phases in the order of the columns.
    const COLUMNS: [Self; 7] =
        [Self::Token, Self::TokenAlways, Self::FirstPage, Self::LaterPage, Self::OnePage, Self::Third, Self::All];

    /// Short stays, and stays of several pages, in the world of this phase.
    fn stays(self, first: &Ending<'_>) -> (usize, usize) {
        match self {
            Self::Third => (16, 3),
            // So many answers that a run becomes suspicious.
            Self::All if first.has("alarm") => (207, 3),
            // So many attempts that a run sees an outage.
            Self::All => (57, 3),
            _ => (5, 2),
        }
    }

    /// Whether requests for tokens are struck, and no others.
    fn is_of_tokens(self) -> bool {
        matches!(self, Self::Token | Self::TokenAlways)
    }

    /// Whether more than one stay can be struck.
    fn strikes_many(self) -> bool {
        matches!(self, Self::Third | Self::All)
    }
}

/// A row of the table.
struct Row<'a> {
    id: &'a str,
    fault: &'a str,
    kind: FaultKind,
    /// What the report counts the struck answers as; none for answers of the token endpoint.
    counted_as: Option<&'a str>,
}

impl<'a> Row<'a> {
    fn read(cells: &[&'a str]) -> Self {
        let name = cells[2].trim_matches('`');
        let kind = FaultKind::by_name(name).unwrap_or_else(|| panic!("there is no fault `{name}`"));
        Self { id: cells[0], fault: cells[1], kind, counted_as: Some(cells[3]).filter(|outcome| *outcome != "-") }
    }
}

/// How one export ends: `65 failed`.
#[derive(Clone, Debug, PartialEq)]
struct Ending<'a> {
    exit: u8,
    /// What some stays came to, when not all of them are done.
    words: Vec<&'a str>,
}

impl<'a> Ending<'a> {
    fn read(text: &'a str) -> Self {
        let mut parts = text.split(' ');
        let exit = parts.next().unwrap().parse().unwrap_or_else(|_| panic!("`{text}` begins with no exit code"));
        let words: Vec<_> = parts.collect();
        let unknown =
            words.iter().find(|word| !["absent", "empty", "rejected", "failed", "restarted", "alarm"].contains(word));
        assert_eq!(unknown, None, "`{text}`");
        Self { exit, words }
    }

    fn has(&self, word: &str) -> bool {
        self.words.contains(&word)
    }

    /// Whether nothing is left to be done or to be told.
    fn is_calm(&self) -> bool {
        self.exit == 0 && !self.has("absent") && !self.has("empty")
    }
}

fn all_rows() -> Vec<Vec<&'static str>> {
    table::rows(FAULTS, "Faults of the network and of the API")
}

fn run_column(phase: Phase) {
    let column = 4 + Phase::COLUMNS.iter().position(|it| *it == phase).unwrap();
    with_seeds_of(&[1], |seed| {
        let mut failed = Vec::new();
        for cells in &all_rows() {
            let row = Row::read(cells);
            let cell = cells[column];
            // One cell that fails does not hide the others.
            if !cell.starts_with('(') && catch_unwind(|| run_cell(&row, phase, cell, seed)).is_err() {
                failed.push(format!("{} {}: {cell}", row.id, row.kind.name()));
            }
        }
        assert!(failed.is_empty(), "{phase:?}: {failed:#?}");
    });
}

/// Runs two exports in a world where the fault strikes in the phase.
fn run_cell(row: &Row<'_>, phase: Phase, cell: &str, seed: u64) {
    let (first, next) = cell.split_once(" → ").unwrap_or((cell, cell));
    let (first, next) = (Ending::read(first), Ending::read(next));
    let what = format!("{} {} ({}), {phase:?}", row.id, row.kind.name(), row.fault);
    // A stay that starts over reads its pages again, in the next run the rest of them.
    let starts_over = first.has("restarted") || row.kind == FaultKind::EndlessPages;
    let mut world = world_of(row.kind, phase, (&first, &next), seed);
    let end_of_spell = world.now + SPELL;
    let life = world.export();
    let strikes = struck(&world, row.kind);
    println!("{what}: struck {strikes} times, exit {}, {} requests", life.exit.unwrap(), life.sent);
    assert!(strikes > 0, "{what}: never struck");
    if !phase.is_of_tokens() {
        check_counted(row, &life, strikes, &what);
    }
    if first.exit == 75 && row.counted_as == Some("transient") {
        let [outages, refusals] =
            ["outages", "refusals"].map(|of| life.report["requests"][format!("{of}_waited_seconds")].as_f64());
        assert!(
            outages > Some(600.0) && refusals == Some(0.0),
            "{what}: waited for outages {outages:?}, for refusals {refusals:?}"
        );
    }
    allow_repeats(&mut world, starts_over);
    check_ending(&world, &life, (&first, phase), &what);
    world.now = world.now.max(end_of_spell);
    if phase == Phase::TokenAlways && first.exit == 75 {
        // However often the first run has asked, the fault is over.
        world.serve_anew(settings(seed));
    }
    let life = world.export();
    allow_repeats(&mut world, starts_over);
    check_ending(&world, &life, (&next, phase), &what);
    if first.exit == 0 {
        assert_eq!(life.sent, 0, "{what}: nothing was left to ask for");
    }
    if next.is_calm() {
        check_complete(&world);
        check_price(&world, row, phase, &what);
    }
}

/// A world in which two runs end so. A fault strikes one page in the first run only, if the second one is to succeed.
fn world_of(kind: FaultKind, phase: Phase, (first, next): (&Ending<'_>, &Ending<'_>), seed: u64) -> World {
    let (short, long) = phase.stays(first);
    let calm = world(settings(seed), short, long);
    // Not the one that is asked for first: what the first answer means for the run stands elsewhere.
    let brief = calm.stays[..short].iter().max_by_key(|stay| stay.meeting_start_s).unwrap();
    let page = |stay: &SimulatedStay, first_sample, times| When::Page { stay: stay.key, first_sample, times };
    let start_s = calm.now.timestamp();
    let is_of_tokens = matches!(kind, FaultKind::TokenUnavailable | FaultKind::TokenDenied | FaultKind::TokenOddLife);
    let whens = match phase {
        Phase::Token => vec![When::TokenRequest(1)],
        Phase::FirstPage => vec![page(brief, 0, 1)],
        Phase::LaterPage => vec![page(&calm.stays[short], 100, 1)],
        Phase::OnePage => vec![page(&calm.stays[short], 100, if next.is_calm() { ATTEMPTS_MAX } else { u32::MAX })],
        Phase::Third => vec![When::Rate(1.0 / 3.0)],
        Phase::TokenAlways => (1..=TOKEN_TRIES_MAX).map(When::TokenRequest).collect(),
        Phase::All => {
            // The token of such a run is asked for in its first second and holds.
            let from_s = start_s + if is_of_tokens { 0 } else { 5 };
            vec![When::Between { from_s, until_s: start_s + SPELL.num_seconds() }]
        }
    };
    let mut settings = with_faults(seed, []);
    settings.faults = whens.into_iter().map(|when| Fault { kind, when }).collect();
    world(settings, short, long)
}

fn struck(world: &World, kind: FaultKind) -> u64 {
    world.books().faults.get(kind.name()).copied().unwrap_or(0)
}

/// The report counts what the server's books say.
fn check_counted(row: &Row<'_>, life: &Life, strikes: u64, what: &str) {
    let Some(outcome) = row.counted_as else { return };
    let counted = life.outcomes(outcome) + life.count("/requests/without_answer");
    assert!(counted >= strikes, "{what}: {counted} counted as {outcome}, {strikes} strikes");
}

/// Tells the invariants how many pages were answered again, if they may be.
fn allow_repeats(world: &mut World, starts_over: bool) {
    let again = world.books().pages().map(|(.., page)| u64::from(page.answered.saturating_sub(1))).sum();
    world.restarted_pages = if starts_over { again } else { 0 };
}

fn check_ending(world: &World, life: &Life, (ending, phase): (&Ending<'_>, Phase), what: &str) {
    let [_, rejected, done, absent, failed, pending] = life.account();
    assert_eq!(life.exit, Some(ending.exit), "{what}: {:#}", life.report);
    for (word, stays) in [("absent", absent), ("rejected", rejected), ("failed", failed)] {
        assert_eq!(stays > 0, ending.has(word), "{what}: {stays} {word}: {:#}", life.report);
        assert!(stays <= 1 || phase.strikes_many(), "{what}: {stays} {word}");
    }
    let empty = life.count("/manifest/empty");
    let natural = world.stays.iter().filter(|stay| stay.sample_count == 0).count() as u64;
    assert_eq!(empty > natural, ending.has("empty"), "{what}: {empty} without samples: {:#}", life.report);
    let is_stopped = matches!(ending.exit, 75..=77);
    assert_eq!(pending > 0, is_stopped, "{what}: {done} done, {pending} pending");
    let is_alarm = life.hint.as_ref().is_some_and(|hint| hint.contains("stop_on_anomaly"));
    assert_eq!(is_alarm, ending.has("alarm"), "{what}: {:?}", life.hint);
    assert!(world.restarted_pages > 0 || !ending.has("restarted"), "{what}: no stay started over");
    check(world, life);
}

/// A fault that passed cost the requests that it struck, and pages of stays that started over: no request more.
fn check_price(world: &World, row: &Row<'_>, phase: Phase, what: &str) {
    let books = world.books();
    let strikes = match row.counted_as {
        None => 0,
        Some("page") => return,
        Some(_) if phase.is_of_tokens() => 0,
        Some(_) => struck(world, row.kind),
    };
    let expected = books.pages().count() as u64 + strikes + world.restarted_pages;
    assert_eq!(books.arrivals, expected, "{what}: requests");
}

#[test]
fn a_request_for_a_token_is_struck() {
    run_column(Phase::Token);
}

#[test]
fn every_request_for_a_token_is_struck() {
    run_column(Phase::TokenAlways);
}

#[test]
fn a_first_page_is_struck() {
    run_column(Phase::FirstPage);
}

#[test]
fn a_later_page_is_struck() {
    run_column(Phase::LaterPage);
}

#[test]
fn one_page_is_struck_again_and_again() {
    run_column(Phase::OnePage);
}

#[test]
fn one_request_in_three_is_struck() {
    run_column(Phase::Third);
}

#[test]
fn all_requests_of_an_hour_are_struck() {
    run_column(Phase::All);
}

/// The ids of the list of faults: a letter and how many there are.
const IDS: [(char, u32); 8] = [('N', 20), ('A', 34), ('D', 6), ('P', 17), ('S', 18), ('I', 12), ('C', 4), ('M', 1)];

/// The headings of the tables whose rows name tests.
const ELSEWHERE: [&str; 6] = [
    "Faults of the network and of the API that are shown elsewhere",
    "Faults of values",
    "Faults of process and time",
    "Faults of the disk",
    "Faults of object storage",
    "Faults of input, coordination and monitoring",
];

#[test]
fn every_fault_has_a_row() {
    let rows = ELSEWHERE.iter().flat_map(|heading| table::rows(FAULTS, heading)).chain(all_rows());
    let ids: BTreeSet<&str> =
        rows.flat_map(|cells| cells[0].split([',', '-']).map(str::trim).collect::<Vec<_>>()).collect();
    let missing: Vec<_> = IDS
        .into_iter()
        .flat_map(|(letter, count)| (1..=count).map(move |number| format!("{letter}{number}")))
        .filter(|id| !ids.contains(id.as_str()))
        .collect();
    assert_eq!(missing, Vec::<String>::new());
    let known: BTreeSet<_> = all_rows().iter().map(|cells| cells[2].trim_matches('`')).collect();
    let unused: Vec<_> = FaultKind::ALL.iter().map(|kind| kind.name()).filter(|name| !known.contains(name)).collect();
    assert_eq!(unused, Vec::<&str>::new(), "faults that the simulator knows and no row uses");
}

/// A cell that does not apply says why below the table, and a row without a test in its text.
#[test]
fn every_empty_cell_has_a_reason() {
    for cells in all_rows() {
        for reason in cells[4..].iter().filter(|cell| cell.starts_with('(')) {
            assert!(FAULTS.contains(&format!("\n- {reason} ")), "{}: {reason}", cells[0]);
        }
    }
    for cells in ELSEWHERE.iter().flat_map(|heading| table::rows(FAULTS, heading)) {
        assert!(!cells[3].is_empty() && (!cells[5].is_empty() || cells[4].is_empty()), "{}: {}", cells[0], cells[1]);
    }
}

#[test]
fn every_test_that_is_named_exists() {
    for (file, text) in [("FAULTS.md", FAULTS), ("README.md", include_str!("../README.md"))] {
        let unknown: Vec<_> = tests::named_in(text).filter(|name| !tests::exists(name)).collect();
        assert_eq!(unknown, Vec::<&str>::new(), "{file}");
    }
}
