//! Processes that die at any moment.

use std::{iter, time::Duration};

use rand::{Rng as _, SeedableRng as _, rngs::StdRng};
use vcq::{
    command::rebuild::rebuild,
    simulator::{Settings, latency::Latency},
};

use crate::{
    invariants::{check, check_complete, check_idle},
    oracle::{Files, files},
    seeds::with_seeds,
    settings, world,
    world::{Kill, Orders, World},
};

/// What a run that nobody kills publishes, and what a rebuild makes of it.
struct Calm {
    events: u64,
    duration: Duration,
    published: Files,
    rebuilt: Files,
}

fn calm(mut world: World) -> Calm {
    let start = world.now;
    let life = world.export();
    assert_eq!(life.exit, Some(0));
    let published = files(&world.output());
    rebuild(&world.config, (None, None), &world.start(), |_| ()).unwrap();
    let duration = (world.now - start).to_std().unwrap();
    Calm { events: life.events, duration, published, rebuilt: files(&world.output()) }
}

/// Lets a killed world be finished by one more process, and compares what comes of it with the calm run.
fn finish(mut world: World, calm: &Calm, what: &str) {
    let life = world.export();
    assert_eq!(life.exit, Some(0), "{what}");
    check(&world, &life);
    check_complete(&world);
    for (name, bytes) in files(&world.output()) {
        let same_stays = calm.published.get(&name);
        assert!(same_stays.is_none_or(|calm| *calm == bytes), "{what}: {name} has other bytes");
    }
    check_idle(&mut world, &life);
    rebuild(&world.config, (None, None), &world.start(), |_| ()).unwrap();
    assert!(files(&world.output()) == calm.rebuilt, "{what}: a rebuild gives other bytes");
}

#[test]
fn killed_at_any_moment_and_started_again_a_run_gives_the_same_rows() {
    with_seeds(|seed| {
        let new_world = || world(settings(seed), 14, 3);
        let calm = calm(new_world());
        let mut rng = StdRng::seed_from_u64(seed);
        for _ in 0..17 {
            let moment = rng.random_range(Duration::ZERO..calm.duration);
            let mut world = new_world();
            let life = world.live_one(Orders { kill: Kill::After(moment), ..world.orders() });
            assert_eq!(life.exit, None);
            check(&world, &life);
            finish(world, &calm, &format!("killed after {moment:?}"));
        }
    });
}

/// Between any two effects: an event stands between one and the next.
#[test]
fn killed_at_every_event_and_started_again_a_run_gives_the_same_rows() {
    with_seeds(|seed| {
        let new_world = || world(settings(seed), 4, 1);
        let calm = calm(new_world());
        for event in (seed % 3..calm.events).step_by(3) {
            let mut world = new_world();
            let life = world.live_one(Orders { kill: Kill::AtEvent(event), ..world.orders() });
            assert_eq!(life.exit, None);
            check(&world, &life);
            finish(world, &calm, &format!("killed at event {event}"));
        }
    });
}

#[test]
fn killed_again_and_again_a_run_comes_to_its_end() {
    with_seeds(|seed| {
        let new_world = || world(settings(seed), 40, 8);
        let calm = calm(new_world());
        let mut rng = StdRng::seed_from_u64(seed);
        let mut world = new_world();
        for _ in 0..12 {
            let moment = Duration::from_millis(rng.random_range(0..12_000));
            let life = world.live_one(Orders { kill: Kill::After(moment), ..world.orders() });
            check(&world, &life);
        }
        finish(world, &calm, "killed 12 times");
    });
}

/// Restarts faster than the quota's spacing: the pace outlives the process.
#[test]
fn restarted_in_quick_succession_a_run_keeps_its_pace() {
    with_seeds(|seed| {
        let latency = Latency::Constant(Duration::from_millis(20));
        let mut world = world(Settings { latency, ..settings(seed) }, 120, 0);
        let mut rng = StdRng::seed_from_u64(seed);
        for _ in 0..60 {
            let kill = Kill::After(Duration::from_millis(rng.random_range(10..900)));
            world.live_one(Orders { kill, ..world.orders() });
        }
        let life = world.export();
        assert_eq!(life.exit, Some(0));
        check(&world, &life);
        check_complete(&world);
    });
}

/// The clock stands still while a manifest is read, and answers take no time here: so a process that has its token before
/// its manifest is in the queue waits for the pace alone.
#[test]
fn a_restarted_run_asks_for_what_is_queued_while_it_reads_its_manifest() {
    let latency = Latency::Constant(Duration::ZERO);
    let mut world = world(Settings { latency, ..settings(22) }, 3, 0);
    let fresh = world.live_one(Orders { kill: Kill::After(Duration::from_millis(100)), ..world.orders() });
    assert!(!fresh.ready_early, "nothing was queued");
    let again = iter::repeat_n(&world.stays[0], 100_000).chain(&world.stays[1..]);
    let manifest = world.write_manifest("again.csv", again);
    let life = world.live_one(Orders { manifest, ..world.orders() });
    assert_eq!((life.exit, life.account()), (Some(0), [99_999, 0, 3, 0, 0, 0]));
    assert!(life.ready_early);
    check(&world, &life);
    check_complete(&world);
}
