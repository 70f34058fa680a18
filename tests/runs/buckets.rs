//! Datasets in a bucket: killed at every request to it, without answers, without conditions, nothing is lost, doubled or left.

use std::{
    collections::{BTreeMap, BTreeSet},
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
    time::Duration,
};

use chrono::{NaiveDate, TimeDelta};
use rand::{Rng as _, SeedableRng as _, rngs::StdRng};
use vcq::{
    command::{
        adopt::adopt,
        archive::{self, prune::prune},
        rebuild::rebuild,
        verify::verify,
    },
    error::ExitCode,
    simulator::{
        Settings,
        tenant::{SimulatedStay, Tenant, TenantSettings},
    },
};

use crate::{
    discover::discover,
    frail_buckets::{FrailBuckets, Ill},
    invariants::{check, check_complete, check_idle, check_rebuild},
    oracle::{Files, files},
    refresh::all_dates,
    seeds::with_seeds,
    settings, some_stays,
    world::{Kill, Life, Orders, World, until_killed},
};

const SEED: u64 = 1;

/// A world whose dataset is in a bucket.
fn world(puts_only_new: bool) -> (World, FrailBuckets) {
    world_of(settings(SEED), (5, 1), puts_only_new)
}

/// The same, of so many short and long stays.
fn world_of(settings: Settings, (short, long): (usize, usize), puts_only_new: bool) -> (World, FrailBuckets) {
    let stays = some_stays(&settings, short, long);
    world_with(settings, stays, puts_only_new)
}

/// The same, of these stays.
fn world_with(settings: Settings, stays: Vec<SimulatedStay>, puts_only_new: bool) -> (World, FrailBuckets) {
    let flags = [("output", "s3://lake/vcq/quality"), ("discover.meetings", ""), ("discover.participants", "")];
    let mut world = World::new(settings, &flags, stays);
    let buckets = FrailBuckets::new(world.path("buckets"), puts_only_new);
    std::fs::create_dir_all(world.output()).unwrap();
    world.buckets = Arc::new(buckets.clone());
    (world, buckets)
}

/// The same once half of the stays are published, and then the others: most dates have two files.
fn world_of_two_runs() -> (World, FrailBuckets) {
    let (mut world, buckets) = world(true);
    let half = world.write_manifest("half.csv", world.stays.iter().step_by(2));
    let orders = Orders { manifest: half, ..world.orders() };
    assert_eq!(world.live_one(orders).exit, Some(0));
    assert_eq!(world.export().exit, Some(0));
    (world, buckets)
}

/// What a run publishes that nothing happens to, and how often it asks the bucket.
fn calm() -> (Files, u64) {
    let (mut world, buckets) = world(true);
    assert_eq!(world.export().exit, Some(0));
    (files(&world.output()), buckets.calls())
}

#[test]
fn a_run_publishes_to_a_bucket_what_it_publishes_to_a_folder() {
    let (mut world, _) = world(true);
    let life = world.export();
    assert_eq!((life.exit, life.error.as_deref()), (Some(0), None));
    check(&world, &life);
    check_complete(&world);
    check_idle(&mut world, &life);
    check_rebuild(&world);
    let mut local = World::new(settings(SEED), &[], some_stays(&settings(SEED), 5, 1));
    assert_eq!(local.export().exit, Some(0));
    let (mut again, _) = self::world(true);
    again.export();
    assert_eq!(files(&again.output()), files(&local.output()));
}

/// How often each kind of call was made since the last time.
fn asked(buckets: &FrailBuckets) -> BTreeMap<&'static str, usize> {
    let mut counted = BTreeMap::new();
    for (kind, _) in buckets.asked() {
        *counted.entry(kind).or_default() += 1;
    }
    buckets.meet(Ill::None);
    counted
}

/// A call is a request, but for listings of more than a thousand objects, and for objects of more than 16 MiB or, when they are
/// read, of 8.
#[test]
fn the_store_is_asked_as_often_as_is_documented() {
    let is_documented = |what: &str, count: usize| {
        let line = format!("| {what} | {count} |");
        assert!(include_str!("../../config/BUCKETS.md").contains(&line), "{line}");
    };
    let (mut world, buckets) = world(true);
    // A date on which the spot check looks at none of these files.
    assert_eq!(world.export().exit, Some(0));
    let files = files(&world.output()).len();
    assert_eq!(asked(&buckets), BTreeMap::from([("list_all", 2), ("look", 2 * files), ("put_new", files)]));
    is_documented("a run, for each dataset that it publishes", 2);
    is_documented("a file that is published, of at most 16 MiB", 3);
    assert_eq!(world.export().exit, Some(0));
    assert_eq!(asked(&buckets), BTreeMap::from([("list_all", 2)]), "a night without anything new");

    let (world, buckets) = world_of_two_runs();
    let before = self::files(&world.output());
    buckets.meet(Ill::None);
    rebuild(&world.config, (None, None), &world.start(), |_| ()).unwrap();
    let after = self::files(&world.output());
    let replaced = before.keys().filter(|name| !after.contains_key(*name)).count();
    let (dates, new) = (after.len(), after.keys().filter(|name| !before.contains_key(*name)).count());
    let looks = before.len() + (dates - new) + 2 * new;
    let counted = BTreeMap::from([("look", looks), ("put_new", new), ("delete", replaced)]);
    assert_eq!(asked(&buckets), counted, "{} files of {dates} dates", before.len());
    is_documented("besides, for each file that it replaces", 2);

    verify(&world.config, &world.start()).unwrap();
    assert_eq!(asked(&buckets), BTreeMap::from([("list_all", 1), ("look", dates)]));
    is_documented("`verify`, besides a listing, for each file", 1);
}

/// What the journal knows is not listed.
#[test]
fn a_rebuild_of_a_year_lists_nothing() {
    let mut settings = settings(SEED);
    (settings.tenant.days, settings.tenant.stays) = (365, 4000);
    let mut dates = BTreeSet::new();
    let date = |stay: &SimulatedStay| (stay.meeting_start_s + 8 * 3600) / 86_400;
    let short = |stay: &SimulatedStay| (1..40).contains(&stay.sample_count);
    let tenant = Tenant::new(settings.tenant.clone());
    let stays = tenant.stays().filter(|stay| short(stay) && dates.insert(date(stay))).collect();
    let (mut world, buckets) = world_with(settings, stays, true);
    world.now += TimeDelta::days(365);
    assert_eq!(world.export().exit, Some(0));
    let files = files(&world.output()).len();
    assert!(files > 300, "{files} dates");
    buckets.meet(Ill::None);
    rebuild(&world.config, (None, None), &world.start(), |_| ()).unwrap();
    assert_eq!(asked(&buckets), BTreeMap::from([("look", 2 * files)]));
    let line = "| a date that a rebuild finds as it would make it | 2 |";
    assert!(include_str!("../../config/BUCKETS.md").contains(line));
}

#[test]
fn killed_at_every_request_to_the_bucket_and_started_again_a_run_gives_the_same_files() {
    let (expected, calls) = calm();
    for (call, is_done) in (0..calls).flat_map(|call| [(call, false), (call, true)]) {
        let (mut world, buckets) = world(true);
        buckets.meet(Ill::Kill { call, is_done });
        assert_eq!(world.export().exit, None, "call {call}");
        buckets.meet(Ill::None);
        let life = world.export();
        assert_eq!(life.exit, Some(0), "call {call}, done: {is_done}");
        check(&world, &life);
        check_complete(&world);
        assert!(files(&world.output()) == expected, "call {call}, done: {is_done}");
    }
}

#[test]
fn a_request_without_an_answer_is_settled_by_the_bytes() {
    let (expected, calls) = calm();
    for (call, is_done) in (0..calls).flat_map(|call| [(call, false), (call, true)]) {
        let (mut world, buckets) = world(true);
        buckets.meet(Ill::Away { from: call, count: 1, is_done });
        let first = world.export();
        buckets.meet(Ill::None);
        let life = if first.exit == Some(0) { first } else { world.export() };
        assert_eq!(life.exit, Some(0), "call {call}, done: {is_done}");
        check(&world, &life);
        check_complete(&world);
        assert!(files(&world.output()) == expected, "call {call}, done: {is_done}");
    }
}

#[test]
fn while_the_bucket_is_away_a_run_fetches_and_the_next_one_publishes() {
    let (mut world, buckets) = world(true);
    // The listing that the run begins with is answered.
    buckets.meet(Ill::Away { from: 1, count: 10_000, is_done: false });
    let life = world.export();
    assert_eq!(life.exit, Some(ExitCode::Disk as u8), "{:?}", life.error);
    assert!(life.sent > 0 && files(&world.output()).is_empty());
    buckets.meet(Ill::None);
    let life = world.export();
    assert_eq!((life.exit, life.sent), (Some(0), 0));
    check(&world, &life);
    check_complete(&world);
}

/// What was published by a journal that is no more is looked at once the store answers, before anything is published.
#[test]
fn a_store_that_was_away_when_a_run_began_is_looked_at_before_anything_is_published() {
    let (mut world, buckets) = world_of_two_runs();
    let before = files(&world.output());
    std::fs::remove_dir_all(&world.config.state).unwrap();
    world.rest(TimeDelta::minutes(2));
    buckets.meet(Ill::Away { from: 0, count: 2, is_done: false });
    let life = world.export();
    assert_eq!(life.exit, Some(ExitCode::Disk as u8), "{:#}", life.report);
    assert!(life.sent > 0 && life.report["stopped"].as_str().is_some_and(|why| why.contains("is not in this journal")));
    assert!(files(&world.output()) == before, "published beside what the journal does not know");
}

#[test]
fn an_object_that_arrives_after_its_sender_gave_it_up_is_the_one_that_was_meant() {
    let (expected, calls) = calm();
    for call in 0..calls {
        let (mut world, buckets) = world(true);
        buckets.meet(Ill::Late { call });
        world.export();
        buckets.arrive();
        buckets.meet(Ill::None);
        let life = world.export();
        assert_eq!(life.exit, Some(0), "call {call}");
        check(&world, &life);
        check_complete(&world);
        assert!(files(&world.output()) == expected, "call {call}");
    }
}

#[test]
fn a_store_that_puts_over_what_is_there_is_looked_at_first() {
    let (mut world, _) = world(false);
    let life = world.export();
    assert_eq!(life.exit, Some(0));
    check(&world, &life);
    check_complete(&world);
    check_idle(&mut world, &life);
    check_rebuild(&world);
}

#[test]
fn a_rebuild_that_is_killed_at_every_request_is_finished_by_the_next() {
    let (world, buckets) = world_of_two_runs();
    let before = files(&world.output());
    buckets.meet(Ill::None);
    rebuild(&world.config, (None, None), &world.start(), |_| ()).unwrap();
    let (expected, calls) = (files(&world.output()), buckets.calls());
    assert!(expected.len() < before.len(), "no date had two files");
    for (call, is_done) in (0..calls).flat_map(|call| [(call, false), (call, true)]) {
        let (world, buckets) = world_of_two_runs();
        buckets.meet(Ill::Kill { call, is_done });
        let killed = catch_unwind(AssertUnwindSafe(|| rebuild(&world.config, (None, None), &world.start(), |_| ())));
        assert!(until_killed(killed).is_none(), "call {call}");
        buckets.meet(Ill::None);
        let rebuilt = rebuild(&world.config, (None, None), &world.start(), |_| ()).unwrap();
        assert_eq!(rebuilt.exit_code(), ExitCode::Complete, "call {call}, done: {is_done}");
        assert!(files(&world.output()) == expected, "call {call}, done: {is_done}");
        let verified = verify(&world.config, &world.start()).unwrap();
        assert_eq!(verified.exit_code(), ExitCode::Complete, "call {call}, done: {is_done}: {verified}");
        check_complete(&world);
    }
}

/// Kills what is done to a world at each of its calls, does it again, and compares the bucket with what a calm one leaves.
fn killed_at_each_call(what: &str, begin: impl Fn() -> (World, FrailBuckets), act: impl Fn(&World)) {
    let (world, buckets) = begin();
    buckets.meet(Ill::None);
    act(&world);
    let (expected, calls) = (files(&world.output()), buckets.calls());
    assert!(calls > 0 && !expected.is_empty(), "{what}: {calls} calls");
    for call in 0..calls {
        let (world, buckets) = begin();
        buckets.meet(Ill::Kill { call, is_done: call % 2 == 0 });
        let killed = until_killed(catch_unwind(AssertUnwindSafe(|| act(&world))));
        assert!(killed.is_none(), "{what}, call {call}");
        buckets.meet(Ill::None);
        act(&world);
        assert!(files(&world.output()) == expected, "{what}, call {call}");
        let verified = verify(&world.config, &world.start()).unwrap();
        assert_eq!(verified.exit_code(), ExitCode::Complete, "{what}, call {call}: {verified}");
    }
}

#[test]
fn adopt_import_and_prune_are_finished_by_the_next_wherever_they_are_killed() {
    let exported = || {
        let (mut world, buckets) = world(true);
        assert_eq!(world.export().exit, Some(0));
        (world, buckets)
    };
    let without_journal = || {
        let (world, buckets) = exported();
        std::fs::remove_dir_all(&world.config.state).unwrap();
        (world, buckets)
    };
    killed_at_each_call("adopt", without_journal, |world| drop(adopt(&world.config, &world.start()).unwrap()));
    let (source, _) = exported();
    let archive = source.path("pages.ndjson");
    archive::export::export(&source.config, (NaiveDate::MIN, NaiveDate::MAX), &archive, &source.start()).unwrap();
    let import = |world: &World| {
        drop(archive::import::import(std::slice::from_ref(&archive), &world.config, &world.start()).unwrap());
    };
    killed_at_each_call("import", || world(true), import);
    let prune = |world: &World| drop(prune(&world.config, "2025-04-01".parse().unwrap(), &world.start()).unwrap());
    killed_at_each_call("prune", exported, prune);
}

/// What may happen to the calls of one process.
pub(crate) fn some_ill(rng: &mut StdRng) -> Ill {
    let (call, is_done) = (rng.random_range(0..16), rng.random());
    match rng.random_range(0..4) {
        0 => Ill::None,
        1 => Ill::Kill { call, is_done },
        2 => Ill::Away { from: call, count: rng.random_range(1..12), is_done },
        _ => Ill::Late { call },
    }
}

/// How one process may die besides.
pub(crate) fn some_kill(rng: &mut StdRng) -> Kill {
    match rng.random_range(0..3) {
        0 => Kill::After(Duration::from_millis(rng.random_range(0..30_000))),
        1 => Kill::AtEvent(rng.random_range(0..60)),
        _ => Kill::Never,
    }
}

/// Processes that publish, publish a half, rebuild or ask again, each of them killed or its store away at some moment, and what was
/// on its way there arrives once they have gone.
#[test]
fn after_random_kills_and_outages_every_row_is_there_once() {
    with_seeds(|seed| {
        let mut rng = StdRng::seed_from_u64(seed);
        let mut settings = settings(seed);
        settings.tenant.other_forms = 0.0005;
        let (mut world, buckets) = world_of(settings.clone(), (12, 2), rng.random());
        let half = world.write_manifest("half.csv", world.stays.iter().step_by(2));
        let half = Orders { manifest: half, ..world.orders() };
        for _ in 0..14 {
            buckets.meet(some_ill(&mut rng));
            let orders = if rng.random() { half.clone() } else { world.orders() };
            match rng.random_range(0..3) {
                0 => {
                    let work = AssertUnwindSafe(|| rebuild(&world.config, (None, None), &world.start(), |_| ()));
                    drop(until_killed(catch_unwind(work)));
                }
                _ => drop(world.live_one(Orders { kill: some_kill(&mut rng), ..orders })),
            }
            buckets.arrive();
        }
        let orders = world.orders();
        let life = finish(&mut world, &buckets, orders);
        check(&world, &life);
        settings.tenant.other_forms = 0.01;
        world.serve_anew(settings);
        let again = Orders { refresh: Some(all_dates()), ..world.orders() };
        for _ in 0..8 {
            buckets.meet(some_ill(&mut rng));
            world.live_one(Orders { kill: some_kill(&mut rng), ..again.clone() });
            buckets.arrive();
        }
        // Whoever asks again after that was done asks for everything again: what was paid for twice says nothing here.
        finish(&mut world, &buckets, again);
        check_rebuild(&world);
    });
}

/// Nothing happens any more: all is there, cell by cell, and nothing else.
fn finish(world: &mut World, buckets: &FrailBuckets, orders: Orders) -> Life {
    buckets.meet(Ill::None);
    let life = world.live_one(orders);
    assert_eq!((life.exit, life.error.as_deref()), (Some(0), None), "{:#}", life.report);
    check_complete(world);
    let verified = verify(&world.config, &world.start()).unwrap();
    assert_eq!(verified.exit_code(), ExitCode::Complete, "{verified}");
    life
}

#[test]
fn an_object_of_somebody_else_stops_a_run_and_is_left_alone() {
    let (mut world, buckets) = world(true);
    assert_eq!(world.export().exit, Some(0));
    let (name, _) = files(&world.output()).pop_first().unwrap();
    let (date, _) = name.split_once('/').unwrap();
    let foreign = format!("lake/vcq/quality/{date}/part-0000000000000001.parquet");
    buckets.put_foreign(&foreign, b"not ours");
    let life = world.export();
    assert_eq!(life.exit, Some(ExitCode::Disk as u8));
    assert!(life.error.as_deref().is_some_and(|error| error.contains(&format!("s3://{foreign}"))), "{:?}", life.error);
    rebuild(&world.config, (None, None), &world.start(), |_| ()).unwrap();
    assert_eq!(std::fs::read(world.path("buckets").join(&foreign)).unwrap(), b"not ours");
}

/// A world all of whose datasets are in one bucket, and that only lists.
fn world_of_listings() -> (World, FrailBuckets, Orders) {
    let settings =
        Settings { tenant: TenantSettings { days: 2, stays: 40, ..TenantSettings::default() }, ..Settings::default() };
    let places = [
        ("output", "s3://lake/quality"),
        ("discover.meetings", "s3://lake/meetings"),
        ("discover.participants", "s3://lake/participants"),
    ];
    let mut world = World::new(settings, &places, Vec::new());
    let buckets = FrailBuckets::new(world.path("buckets"), true);
    std::fs::create_dir_all(world.path("buckets")).unwrap();
    world.buckets = Arc::new(buckets.clone());
    let orders = Orders { fetches_samples: false, ..discover(&world) };
    (world, buckets, orders)
}

#[test]
fn killed_at_any_request_a_discovery_gives_the_same_datasets() {
    let (mut world, buckets, orders) = world_of_listings();
    assert_eq!(world.live_one(orders).exit, Some(0));
    let (expected, calls) = (files(&world.path("buckets")), buckets.calls());
    assert_eq!(expected.len(), 4, "a file of each dataset and date");
    for (call, is_done) in (0..calls).map(|call| (call, call % 2 == 0)) {
        let (mut world, buckets, orders) = world_of_listings();
        buckets.meet(Ill::Kill { call, is_done });
        assert_eq!(world.live_one(orders.clone()).exit, None, "call {call}");
        buckets.meet(Ill::None);
        assert_eq!(world.live_one(orders).exit, Some(0), "call {call}, done: {is_done}");
        assert!(files(&world.path("buckets")) == expected, "call {call}, done: {is_done}");
        let verified = verify(&world.config, &world.start()).unwrap();
        assert_eq!(verified.exit_code(), ExitCode::Complete, "call {call}, done: {is_done}: {verified}");
    }
}
