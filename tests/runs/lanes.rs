//! Two exports on one state folder.

use std::{collections::BTreeSet, time::Duration};

use chrono::{DateTime, TimeDelta, Utc};
use vcq::journal::Lane;

use crate::{
    invariants::{check, check_complete},
    seeds::with_seeds,
    settings, world,
    world::{Kill, Life, Orders, World, name_of},
};

const JOINS_AFTER: Duration = Duration::from_secs(15);

/// A backfill of most stays, and a nightly export of the others that starts later.
fn two_exports(seed: u64) -> (World, [Orders; 2], BTreeSet<String>) {
    let world = world(settings(seed), 60, 10);
    let (backfill, nightly): (Vec<_>, Vec<_>) = (0..world.stays.len()).partition(|index| index % 4 != 3);
    let write = |name, picked: &[usize]| world.write_manifest(name, picked.iter().map(|index| &world.stays[*index]));
    let backfill = Orders { manifest: write("backfill.csv", &backfill), lane: Lane::Backfill, ..world.orders() };
    let nightly_stays = nightly.iter().map(|index| name_of(&world.stays[*index])).collect();
    let nightly = Orders { manifest: write("nightly.csv", &nightly), starts_after: JOINS_AFTER, ..world.orders() };
    (world, [backfill, nightly], nightly_stays)
}

fn check_account(life: &Life, stays: u64) {
    assert_eq!((life.exit, life.account()), (Some(0), [0, 0, stays, 0, 0, 0]), "{:#}", life.report);
}

#[test]
fn a_nightly_export_goes_before_a_backfill_from_the_next_slot_on() {
    with_seeds(|seed| {
        let (mut world, orders, nightly_stays) = two_exports(seed);
        let start = world.now;
        let lives = world.live(&orders);
        let nightly_count = nightly_stays.len() as u64;
        check_account(&lives[0], 70 - nightly_count);
        check_account(&lives[1], nightly_count);
        assert_eq!(lives[1].sent, 0, "one process fetches for both");
        assert_eq!(lives[0].sent, world.sent.len() as u64);
        let joined = start + TimeDelta::from_std(JOINS_AFTER).unwrap();
        let last = last_of(&world, &nightly_stays);
        let meanwhile = world.sent.iter().filter(|sent| (joined..=last).contains(&sent.at));
        let of_backfill = meanwhile.filter(|sent| !nightly_stays.contains(&sent.stay)).count();
        // While the last nightly answers are under way, there is nothing else to ask for.
        assert!(of_backfill <= 5, "{of_backfill} requests of the backfill before the last nightly one");
        assert!(world.books().pages().all(|(.., page)| page.asked == 1));
        check(&world, &lives[0]);
        check_complete(&world);
    });
}

fn last_of(world: &World, stays: &BTreeSet<String>) -> DateTime<Utc> {
    world.sent.iter().filter(|sent| stays.contains(&sent.stay)).map(|sent| sent.at).max().unwrap()
}

#[test]
fn a_waiting_export_takes_over_when_the_fetching_one_dies() {
    with_seeds(|seed| {
        let (mut world, [backfill, nightly], nightly_stays) = two_exports(seed);
        let dies_after = JOINS_AFTER + Duration::from_millis(1 + seed % 9_000);
        let died = world.now + TimeDelta::from_std(dies_after).unwrap();
        let lives = world.live(&[Orders { kill: Kill::After(dies_after), ..backfill.clone() }, nightly]);
        assert_eq!(lives[0].exit, None);
        check_account(&lives[1], nightly_stays.len() as u64);
        let taken_over = world.sent.iter().find(|sent| sent.at > died).map(|sent| sent.at - died);
        assert!(taken_over.is_none_or(|wait| wait < TimeDelta::seconds(5)), "{taken_over:?}");
        check(&world, &lives[1]);
        let life = world.live_one(backfill);
        check_account(&life, 70 - nightly_stays.len() as u64);
        check(&world, &life);
        check_complete(&world);
    });
}

#[test]
fn two_exports_of_the_same_stays_share_the_work() {
    let mut world = world(settings(18), 30, 4);
    let second = Orders { starts_after: Duration::from_secs(4), ..world.orders() };
    let lives = world.live(&[world.orders(), second]);
    for life in &lives {
        check_account(life, 34);
    }
    assert!(world.books().pages().all(|(.., page)| page.asked == 1));
    check(&world, &lives[0]);
    check_complete(&world);
}
