//! Tables whose processes are killed at random, in a folder and in a bucket: at every moment the files that the log names hold each
//! row once at most, as the tenant has it, and in the end all.

use std::{
    fs,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
};

use chrono::TimeDelta;
use rand::{Rng as _, SeedableRng as _, rngs::StdRng};
use vcq::command::rebuild::rebuild;

use crate::{
    buckets::{some_ill, some_kill},
    frail::{FrailDisk, Trouble},
    frail_buckets::{FrailBuckets, Ill},
    invariants::{check, check_rebuild},
    oracle::check_rows,
    refresh::all_dates,
    seeds::with_seeds,
    settings, some_stays,
    tables::expect_sound,
    world::{Life, Orders, World, until_killed},
};

/// What a table stands on.
enum Ground {
    Folder(Arc<FrailDisk>),
    Bucket(FrailBuckets),
}

impl Ground {
    /// Chooses what happens to the next process.
    fn meet_some(&self, rng: &mut StdRng) {
        match self {
            Self::Folder(disk) => disk.meet(some_trouble(rng)),
            Self::Bucket(buckets) => buckets.meet(some_ill(rng)),
        }
    }

    /// The process is gone: what was not synced may be, too, and what was on its way arrives.
    fn come_to_rest(&self) {
        match self {
            Self::Folder(disk) => {
                disk.cut_power();
                disk.meet(Trouble::None);
            }
            Self::Bucket(buckets) => {
                buckets.arrive();
                buckets.meet(Ill::None);
            }
        }
    }
}

/// What may happen to the effects of one process on its disk.
fn some_trouble(rng: &mut StdRng) -> Trouble {
    let effect = rng.random_range(0..80);
    match rng.random_range(0..4) {
        0 => Trouble::None,
        1 => Trouble::Full { from: effect, count: rng.random_range(1..12) },
        2 => Trouble::Sync { from: effect },
        _ => Trouble::Kill { effect, is_done: rng.random() },
    }
}

/// A process that publishes all, publishes a half, or rebuilds, killed or not; some days later, maybe, when old files are to go.
fn live_some(world: &mut World, ground: &Ground, rng: &mut StdRng, orders: &[Orders]) {
    if rng.random_ratio(1, 4) {
        world.rest(TimeDelta::days(rng.random_range(1..9)));
    }
    ground.meet_some(rng);
    if rng.random_ratio(1, 3) {
        let work = AssertUnwindSafe(|| rebuild(&world.config, (None, None), &world.start(), |_| ()));
        drop(until_killed(catch_unwind(work)));
    } else {
        let orders = orders[rng.random_range(0..orders.len())].clone();
        drop(world.live_one(Orders { kill: some_kill(rng), ..orders }));
    }
    ground.come_to_rest();
}

/// Nothing happens any more: all is there, and nothing else.
fn finish(world: &mut World, orders: Orders) -> Life {
    let life = world.live_one(orders);
    assert_eq!((life.exit, life.error.as_deref()), (Some(0), None), "{:#}", life.report);
    expect_sound(world, "in the end");
    life
}

fn kill_at_random(seed: u64, output: &str, ground: impl Fn(&mut World) -> Ground) {
    let mut rng = StdRng::seed_from_u64(seed);
    let mut settings = settings(seed);
    settings.tenant.other_forms = 0.0005;
    let flags = [("table", "delta"), ("output", output), ("discover.meetings", ""), ("discover.participants", "")];
    let flags = flags.into_iter().filter(|(key, value)| *key != "output" || !value.is_empty()).collect::<Vec<_>>();
    let mut world = World::new(settings.clone(), &flags, some_stays(&settings, 12, 2));
    let ground = ground(&mut world);
    let half = world.write_manifest("half.csv", world.stays.iter().step_by(2));
    let orders = [world.orders(), Orders { manifest: half, ..world.orders() }];
    for _ in 0..14 {
        live_some(&mut world, &ground, &mut rng, &orders);
        if world.output().exists() {
            check_rows(&world);
        }
    }
    let life = finish(&mut world, orders[0].clone());
    check(&world, &life);
    settings.tenant.other_forms = 0.01;
    world.serve_anew(settings);
    // What of it was asked again and what was not, nobody can say before the end.
    let again = Orders { refresh: Some(all_dates()), ..world.orders() };
    for _ in 0..8 {
        live_some(&mut world, &ground, &mut rng, std::slice::from_ref(&again));
    }
    finish(&mut world, again);
    check_rebuild(&world);
}

#[test]
fn after_random_kills_a_table_in_a_folder_has_every_row_once() {
    with_seeds(|seed| {
        kill_at_random(seed, "", |world| {
            let disk = Arc::new(FrailDisk::new(world.path("limbo"), seed));
            world.disk = disk.clone();
            Ground::Folder(disk)
        });
    });
}

#[test]
fn after_random_kills_and_outages_a_table_in_a_bucket_has_every_row_once() {
    with_seeds(|seed| {
        kill_at_random(seed, "s3://lake/vcq/quality", |world| {
            let buckets = FrailBuckets::new(world.path("buckets"), true);
            fs::create_dir_all(world.output()).unwrap();
            world.buckets = Arc::new(buckets.clone());
            Ground::Bucket(buckets)
        });
    });
}
