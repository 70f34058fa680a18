//! Stopped and killed at any moment, and started again.

use std::{
    fs::{self, File},
    io::{BufRead, BufReader, Lines},
    process::{ChildStderr, Stdio},
    thread,
    time::Duration,
};

use rand::{Rng, SeedableRng, rngs::StdRng};
use rustix::process::Signal;
use tokio::time::Instant;
use vcq::simulator::{
    Settings,
    faults::parse,
    latency::Latency,
    quota::{QuotaSettings, WindowKind},
    tenant::TenantSettings,
};
use vcq::start::SIGNAL_ECHO_MAX;

use super::world::{Running, World, small};

/// The quota of these runs: 20 ms from one request to the next.
const PER_MINUTE: u32 = 3000;
const IN_FLIGHT_MAX: u32 = 4;

/// A server that refuses whatever comes faster than the quota allows, but for a few requests.
fn strict() -> Settings {
    Settings {
        quota: QuotaSettings {
            window: WindowKind::Bucket,
            requests_per_minute: PER_MINUTE,
            bucket_capacity: 10,
            ..QuotaSettings::default()
        },
        latency: Latency::Constant(Duration::from_millis(30)),
        tenant: tenant(),
        ..small()
    }
}

/// Enough for twenty runs that are cut off.
fn tenant() -> TenantSettings {
    TenantSettings { stays: 150, ..small().tenant }
}

fn export(world: &World) -> (Running, Lines<BufReader<ChildStderr>>) {
    let mut command = world.vcq("export --manifest manifest.csv --log vcq=trace --report report.json");
    command.env("VCQ_RATE_REQUESTS_PER_MINUTE", PER_MINUTE.to_string());
    command.env("VCQ_RATE_IN_FLIGHT_MAX", IN_FLIGHT_MAX.to_string());
    let mut export = Running(command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap());
    let log = BufReader::new(export.0.stderr.take().unwrap()).lines();
    (export, log)
}

fn calm_rows() -> Vec<String> {
    let calm = World::new(Settings { tenant: tenant(), ..small() });
    calm.out("export --manifest manifest.csv");
    calm.rows()
}

#[test]
fn a_signal_lands_what_is_in_flight_and_the_next_run_goes_on() {
    let expected = calm_rows();
    for signal in [Signal::INT, Signal::TERM] {
        let world = World::new(strict());
        let (mut interrupted, mut log) = export(&world);
        assert_eq!(log.by_ref().map(Result::unwrap).filter(|line| line.contains("page landed")).take(5).count(), 5);
        interrupted.signal(signal);
        let rest: Vec<_> = log.map(Result::unwrap).collect();
        assert_eq!(interrupted.0.wait().unwrap().code(), Some(130), "{signal:?}\n{}", rest.join("\n"));
        assert_eq!(rest.last().unwrap(), "hint: run the same command again to continue");
        let report: serde_json::Value = serde_json::from_str(&world.read("report.json")).unwrap();
        assert_eq!((&report["exit_code"], &report["stopped"]), (&130.into(), &"interrupted".into()));
        let (sent, landed) = (&report["requests"]["sent"], &report["landed"]["pages"]);
        assert_eq!(sent, landed, "what was in flight was waited for and landed");
        assert!((5..150).contains(&landed.as_u64().unwrap()), "{report}");
        assert!(!world.files("quality").is_empty(), "what is there at the end of a run is published");
        world.out("verify");

        let (mut rest_of_it, log) = export(&world);
        log.for_each(drop);
        assert_eq!(rest_of_it.0.wait().unwrap().code(), Some(0));
        assert_eq!(world.rows(), expected);
        assert!(world.simulator().books().pages().all(|(_, _, page)| page.asked == 1), "nothing was asked for twice");
        assert_eq!(world.simulator().books().refused, 0);
    }
}

/// As a long rebuild does.
#[test]
fn a_signal_ends_a_run_that_waits_for_another_process_to_publish() {
    let world = World::new(strict());
    world.out("plan --manifest manifest.csv");
    fs::create_dir_all(world.path("state")).unwrap();
    let publishing = File::create(world.path("state/publish.lock")).unwrap();
    publishing.lock().unwrap();
    let (mut interrupted, mut log) = export(&world);
    assert_eq!(log.by_ref().map(Result::unwrap).filter(|line| line.contains("page landed")).take(5).count(), 5);
    interrupted.signal(Signal::TERM);
    log.for_each(drop);
    assert_eq!(interrupted.0.wait().unwrap().code(), Some(130));
    assert!(world.files("quality").is_empty(), "it was not its turn");
    drop(publishing);
    let (mut rest, log) = export(&world);
    log.for_each(drop);
    assert_eq!(rest.0.wait().unwrap().code(), Some(0));
    assert_eq!(world.rows(), calm_rows());
}

#[test]
fn a_second_signal_ends_the_process_at_once() {
    let world = World::new(Settings { faults: vec![parse("hang=1").unwrap()], ..small() });
    let (mut export, mut log) = export(&world);
    assert!(log.by_ref().any(|line| line.unwrap().contains("access token renewed")));
    while world.simulator().books().arrivals == 0 {
        thread::yield_now();
    }
    export.signal(Signal::INT);
    let first = Instant::now();
    assert!(log.by_ref().any(|line| line.unwrap().contains("no more requests")));
    // Those of the first second are the first one's echo, however many there are.
    let ended = loop {
        export.signal(Signal::INT);
        if let Some(ended) = export.0.try_wait().unwrap() {
            break ended;
        }
        thread::yield_now();
    };
    assert_eq!(ended.code(), Some(130));
    assert!(first.elapsed() >= SIGNAL_ECHO_MAX, "after {:?}", first.elapsed());
    assert!(!world.path("report.json").exists(), "it did not wait for the answers");
}

#[test]
fn killed_twenty_times_and_started_again() {
    const KILLS: u32 = 20;
    let expected = calm_rows();
    let world = World::new(strict());
    let mut random = StdRng::seed_from_u64(1);
    for _ in 0..KILLS {
        let (mut export, log) = export(&world);
        // Any moment: between the first log lines, in the middle of a page, while something is published.
        let lines = random.random_range(0..20);
        log.map(Result::unwrap).take(lines).for_each(drop);
        export.signal(Signal::KILL);
        assert_eq!(export.0.wait().unwrap().code(), None, "there is work left for {KILLS} runs");
    }
    let (mut last, log) = export(&world);
    let log: Vec<_> = log.map(Result::unwrap).collect();
    assert_eq!(last.0.wait().unwrap().code(), Some(0), "{}", log.join("\n"));
    assert_eq!(world.rows(), expected, "the rows of a calm run");
    world.out("verify");
    let simulator = world.simulator();
    let books = simulator.books();
    let again: u32 = books.pages().map(|(_, _, page)| page.asked - 1).sum();
    assert!(again <= KILLS * IN_FLIGHT_MAX, "{again} requests repeated after {KILLS} kills");
    assert_eq!(books.refused, 0, "the quota holds over all processes: {books:?}");
    assert!(books.most_in_60_s <= PER_MINUTE as usize);
}
