//! A process that reads while others export and rebuild.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

use chrono::{DateTime, TimeDelta};
use serde::Deserialize;
use vcq::simulator::{Simulator, tenant::SimulatedStay};

use super::{
    now, python,
    scene::{csv, settings, vcq},
    server::serve_while,
    soak,
    trial::said,
};

/// As for the other tests of readers, so that one environment is enough.
const REQUIREMENTS: &str = include_str!("../python/requirements.txt");

/// How many manifests are exported one after the other, each with stays on every date.
const NIGHTS: usize = 5;

/// How many stays each of them has on a date.
const STAYS_OF_DATE: usize = 3;

/// Readers at a time.
const READERS: usize = 2;

/// A date's rows, and the exclusive or of their hashes.
type State = (u64, String);

/// What `watch.py` prints.
#[derive(Debug, Deserialize)]
struct Watched {
    queries: u64,
    errors: BTreeMap<String, u64>,
    seen: BTreeMap<String, Vec<State>>,
}

#[test]
fn a_reader_at_work_sees_no_wrong_sum() {
    let home = tempfile::tempdir().unwrap();
    let watch = Watch::new(&home.path().join("quality"));
    let simulator = Simulator::new(settings());
    let nights = nights(&simulator);
    for (night, stays) in nights.iter().enumerate() {
        fs::write(home.path().join(format!("{night}.csv")), csv(stays)).unwrap();
    }
    let (_, (states, watched)) = serve_while(simulator, |url| {
        let vcq = |line: &str| {
            let output = vcq(home.path(), url, line).output().unwrap();
            assert_eq!(output.status.code(), Some(0), "{line}: {}", said(&output));
        };
        let export = |night: usize| {
            vcq(&format!("export --manifest {night}.csv"));
            Watch::stop(watch.start()).seen
        };
        let mut states = vec![export(0)];
        let readers: Vec<Child> = (0..READERS).map(|_| watch.start()).collect();
        states.extend((1..NIGHTS).map(export));
        let began = now();
        while began.elapsed() < soak() {
            vcq("rebuild");
        }
        (states, readers.into_iter().map(Watch::stop).collect::<Vec<_>>())
    });
    check_states(&states, &nights);
    for watched in &watched {
        check_watched(watched, &states);
    }
}

/// Short stays on every date for each night.
fn nights(simulator: &Simulator) -> Vec<Vec<SimulatedStay>> {
    let mut nights = vec![Vec::new(); NIGHTS];
    let mut of_date = BTreeMap::<String, usize>::new();
    for stay in simulator.tenant().stays().filter(|stay| (1..=60).contains(&stay.sample_count)) {
        let count = of_date.entry(date_of(&stay)).or_default();
        if let Some(night) = nights.get_mut(*count / STAYS_OF_DATE) {
            night.push(stay);
        }
        *count += 1;
    }
    assert!(of_date.len() == 3 && of_date.values().all(|count| *count >= NIGHTS * STAYS_OF_DATE));
    nights
}

fn date_of(stay: &SimulatedStay) -> String {
    let in_utc_8 = DateTime::from_timestamp(stay.meeting_start_s, 0).unwrap() + TimeDelta::hours(8);
    in_utc_8.date_naive().to_string()
}

/// The states of each date after each night, with nobody writing, have as many rows as the tenant has samples.
fn check_states(states: &[BTreeMap<String, Vec<State>>], nights: &[Vec<SimulatedStay>]) {
    let mut rows = BTreeMap::<String, u64>::new();
    for (state, stays) in states.iter().zip(nights) {
        for stay in stays {
            *rows.entry(date_of(stay)).or_default() += u64::from(stay.sample_count);
        }
        let counted = state.iter().map(|(date, states)| (date.clone(), states[0].0)).collect();
        assert_eq!(rows, counted);
    }
}

/// Each date was seen in states that it had, in the order in which it had them; rebuilds change none.
fn check_watched(watched: &Watched, states: &[BTreeMap<String, Vec<State>>]) {
    for (date, seen) in &watched.seen {
        let mut had = states.iter().map(|state| &state[date][0]);
        let unknown = seen.iter().find(|seen| !had.any(|had| had == *seen));
        assert_eq!(unknown, None, "{date} was seen as {seen:?}, but was {states:?}");
    }
    let errors: u64 = watched.errors.values().sum();
    println!("{} queries, {errors} errors: {:#?}", watched.queries, watched.errors);
    assert!(watched.queries > 10 && watched.seen.len() == 3, "the reader was at work");
    assert!(errors * 2 < watched.queries, "most queries succeed: {:#?}", watched.errors);
}

/// A DuckDB that reads one dataset.
struct Watch {
    python: PathBuf,
    dataset: PathBuf,
}

impl Watch {
    fn new(dataset: &Path) -> Self {
        let pins: Vec<&str> = REQUIREMENTS.lines().filter(|line| !line.starts_with('#')).collect();
        Self { python: python::environment("duckdb", &pins), dataset: dataset.to_owned() }
    }

    /// Starts to read, until [`Watch::stop`].
    fn start(&self) -> Child {
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/python/watch.py");
        let mut python = Command::new(&self.python);
        python.arg(script).arg(&self.dataset).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap()
    }

    /// Lets it end its query and tell.
    fn stop(child: Child) -> Watched {
        // This closes its standard input.
        let output = child.wait_with_output().unwrap();
        assert!(output.status.success(), "the reader's own errors stand above");
        serde_json::from_slice(&output.stdout).unwrap()
    }
}
