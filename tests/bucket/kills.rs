//! The binary killed at requests to the store, the store away and back: nothing is lost, doubled or left.

use std::collections::BTreeSet;

use rand::{Rng as _, SeedableRng as _, rngs::StdRng};

use crate::{
    calm,
    lake::{EXPORT, Objects, check_nothing_else, in_folders, objects, out, run, run_as_victim, tiny},
    seeds::with_seeds_of,
    server::{Condition, Fault, Faults, Server},
    world::World,
};

/// Kills whoever sends the request of this number, counted from here.
fn killer(at: usize, is_done: bool) -> Faults {
    Box::new(move |number, _, _| (number == at).then_some(Fault::Kill { is_done }))
}

/// What the dataset of samples is, in each of its two forms, by the files that a calm run publishes.
struct Form {
    name: &'static str,
    check: fn(&Server, &Objects),
}

const FILES: Form = Form { name: "files", check: check_files };
const DELTA: Form = Form { name: "delta", check: check_table };

/// A dataset of files is these, and nothing is in the store that nobody has explained.
fn check_files(store: &Server, expected: &Objects) {
    assert!(objects(store, "quality") == *expected);
    check_nothing_else(store);
}

/// A table is these files: its log is read here as its specification says, and files that it no longer has may still be there.
fn check_table(store: &Server, expected: &Objects) {
    let (log, files): (Objects, Objects) =
        objects(store, "quality").into_iter().partition(|(name, _)| name.starts_with("_delta_log/"));
    let mut active = BTreeSet::new();
    for (name, content) in &log {
        let name = name.strip_prefix("_delta_log/").unwrap();
        if let Some(version) = name.strip_suffix(".json") {
            assert!(version.len() == 20 && version.bytes().all(|b| b.is_ascii_digit()), "nothing explains `{name}`");
            for line in std::str::from_utf8(content).unwrap().lines() {
                let action: serde_json::Value = serde_json::from_str(line).unwrap();
                let path = |kind: &str| Some(action[kind]["path"].as_str()?.replace("%3D", "="));
                active.extend(path("add"));
                path("remove").map(|path| active.remove(&path));
            }
        } else {
            assert!(name == "_last_checkpoint" || name.ends_with(".checkpoint.parquet"), "nothing explains `{name}`");
        }
    }
    assert_eq!(active.iter().collect::<Vec<_>>(), expected.keys().collect::<Vec<_>>());
    assert!(expected.iter().all(|(name, content)| files.get(name) == Some(content)));
    assert_eq!(store.parts(), 0, "parts that nobody put together");
}

fn home(form: &Form) -> World {
    let world = World::new(tiny());
    world.write("vcq.toml", &format!("table = '{}'", form.name));
    world
}

#[test]
fn killed_at_each_request_and_started_again_the_binary_publishes_what_a_calm_one_does() {
    check_killed_at_each_request(&FILES);
}

#[test]
fn killed_at_each_request_and_started_again_the_binary_has_the_table_of_a_calm_one() {
    check_killed_at_each_request(&DELTA);
}

fn check_killed_at_each_request(form: &Form) {
    let expected = in_folders(tiny(), EXPORT, "quality");
    let mut at = 0;
    loop {
        let (world, store) = (home(form), Server::start(Condition::Kept, calm()));
        // Whether it has come about makes a difference to what changes something.
        store.meet(killer(at, at % 2 == 0));
        if !run_as_victim(&world, &store, EXPORT) {
            break;
        }
        store.meet(calm());
        out(&world, &store, EXPORT);
        println!("killed at request {at}");
        (form.check)(&store, &expected);
        at += 1;
    }
    assert!(at >= 3 * expected.len(), "there were {at} requests");
}

#[test]
fn after_random_kills_and_restarts_of_the_store_every_cell_is_there_once() {
    check_random_kills(&FILES);
}

#[test]
fn after_random_kills_and_restarts_of_the_store_the_table_has_every_cell_once() {
    check_random_kills(&DELTA);
}

/// Exports of a part, of all and rebuilds, each killed at some request, and the store is started anew in between.
fn check_random_kills(form: &Form) {
    with_seeds_of(&[1], |seed| {
        let expected = World::new(tiny());
        expected.out(EXPORT);
        expected.out("rebuild");
        let expected = expected.files("quality").into_iter().collect();
        let (world, mut store) = (home(form), Server::start(Condition::Kept, calm()));
        let manifest = world.read("manifest.csv");
        world.write("half.csv", &manifest.lines().step_by(2).collect::<Vec<_>>().join("\n"));
        let mut rng = StdRng::seed_from_u64(seed);
        for _ in 0..12 {
            let line = ["export --manifest half.csv", EXPORT, "rebuild"][rng.random_range(0..3)];
            store.meet(killer(rng.random_range(0..14), rng.random()));
            run_as_victim(&world, &store, line);
            if rng.random() {
                store.stop();
                store.restart();
            }
        }
        store.meet(calm());
        out(&world, &store, EXPORT);
        out(&world, &store, "rebuild");
        (form.check)(&store, &expected);
        out(&world, &store, "verify --deep");
    });
}

#[test]
fn while_the_store_is_away_a_run_fetches_says_so_and_the_next_one_publishes() {
    let expected = in_folders(tiny(), EXPORT, "quality");
    let (world, mut store) = (World::new(tiny()), Server::start(Condition::Kept, calm()));
    store.stop();
    let ran = run(&world, &store, &format!("{EXPORT} --report report.json"));
    assert_eq!(ran.code, Some(74), "{}", ran.err);
    let away = |text: &str| text.contains("s3://lake/vcq/quality");
    assert!(ran.err.contains("could not be published, to be tried again"), "{}", ran.err);
    assert!(ran.messages().lines().any(|line| line.starts_with("vcq: ") && away(line)), "{}", ran.messages());
    assert!(ran.err.contains("run again when the store answers: nothing is lost"), "{}", ran.err);
    let report: serde_json::Value = serde_json::from_str(&world.read("report.json")).unwrap();
    assert_eq!(report["exit_code"], 74);
    assert!(report["stopped"].as_str().is_some_and(away), "{report:#}");
    let status = run(&world, &store, "status");
    assert_eq!(status.code, Some(0), "{}{}", status.out, status.err);
    assert!(status.out.contains("could not be looked at"), "{}", status.out);
    store.restart();
    let asked = world.simulator().books().arrivals;
    out(&world, &store, EXPORT);
    assert_eq!(world.simulator().books().arrivals, asked, "nothing is asked for again");
    assert!(objects(&store, "quality") == expected);
    check_nothing_else(&store);
}

/// The bucket stands in the host's name, which nothing but a proxy need know.
#[test]
fn a_store_is_reached_by_the_bucket_s_own_host() {
    let expected = in_folders(tiny(), EXPORT, "quality");
    let (world, store) = (World::new(tiny()), Server::start(Condition::Kept, calm()));
    let port = store.address.rsplit(':').next().unwrap().to_owned();
    for line in [EXPORT, "verify", "check"] {
        let mut command = crate::lake::vcq(&world, &store, line);
        command.env("VCQ_STORE_ENDPOINT", format!("http://localhost:{port}")).env("VCQ_STORE_VIRTUAL_HOSTED", "true");
        command.env("HTTP_PROXY", &store.address).env("http_proxy", &store.address).env("NO_PROXY", "127.0.0.1");
        let ran = world.ran(&mut command);
        assert_eq!(ran.code, Some(0), "{line}\n{}{}", ran.out, ran.err);
    }
    assert!(objects(&store, "quality") == expected);
    check_nothing_else(&store);
}
