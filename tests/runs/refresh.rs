//! `--refresh`: what the API says of a stay later than it said first.

use std::{collections::BTreeSet, time::Duration};

use vcq::{
    command::status::status,
    dates::Dates,
    journal::Lane,
    simulator::{
        Settings,
        faults::{Fault, FaultKind, When},
        tenant::SimulatedStay,
    },
};

use crate::{
    invariants::{check, check_complete, check_idle, check_rebuild},
    oracle::files,
    seeds::with_seeds,
    settings, some_stays, world,
    world::{Kill, Life, Orders, World},
};

/// All dates of the tenant.
pub(crate) fn all_dates() -> Dates {
    Dates { first: "2025-03-03".parse().unwrap(), last: "2025-03-05".parse().unwrap() }
}

/// Few of the values are written in other than the documented forms.
fn before(seed: u64) -> Settings {
    let mut settings = settings(seed);
    settings.tenant.other_forms = 0.0005;
    settings
}

/// The same stays: about half of them have further values of this kind now.
fn changed(seed: u64) -> Settings {
    let mut settings = settings(seed);
    settings.tenant.other_forms = 0.001;
    settings
}

/// A world whose stays have been exported.
fn exported(seed: u64) -> World {
    let mut world = world(before(seed), 40, 6);
    let life = world.export();
    assert_eq!(life.exit, Some(0));
    check(&world, &life);
    world
}

fn refresh(world: &mut World, orders: Orders) -> Life {
    world.live_one(Orders { refresh: Some(all_dates()), ..orders })
}

fn refreshed(life: &Life) -> [u64; 4] {
    ["changed", "same", "kept", "failed"].map(|result| life.count(&format!("/refreshed/{result}")))
}

#[test]
fn what_has_changed_is_published_in_the_place_of_what_was_there() {
    with_seeds(|seed| {
        let mut world = exported(seed);
        world.serve_anew(changed(seed));
        let orders = world.orders();
        let life = refresh(&mut world, orders);
        let [changed, same, ..] = refreshed(&life);
        assert_eq!((life.exit, refreshed(&life)), (Some(0), [changed, same, 0, 0]));
        assert!(changed > 5 && same > 5 && changed + same == 46, "{changed} changed, {same} the same");
        check(&world, &life);
        check_complete(&world);
        check_rebuild(&world);
        let again = world.export();
        assert_eq!((again.sent, again.exit), (0, Some(0)), "nothing is left of it");
    });
}

#[test]
fn what_is_the_same_changes_no_file() {
    let mut world = exported(21);
    let files_before = files(world.config.output.folder().unwrap());
    world.serve_anew(before(21));
    let orders = world.orders();
    let life = refresh(&mut world, orders);
    assert_eq!((life.exit, refreshed(&life)), (Some(0), [0, 46, 0, 0]));
    assert!(life.sent > 46 && life.report["files"].as_array().unwrap().is_empty());
    assert!(files(world.config.output.folder().unwrap()) == files_before);
    check(&world, &life);
    let life = world.export();
    check_idle(&mut world, &life);
}

/// What has been paid for is not given up for nothing.
#[test]
fn what_the_api_no_longer_has_is_kept() {
    for (kind, exit, expected) in [
        (FaultKind::AbsentMeeting, 0, [0, 0, 46, 0]),
        (FaultKind::AbsentData, 0, [0, 0, 46, 0]),
        (FaultKind::RejectedRow, 0, [0, 0, 46, 0]),
        (FaultKind::UnknownCode, 65, [0, 0, 0, 46]),
        (FaultKind::Reset, 65, [0, 0, 0, 46]),
    ] {
        let mut world = exported(22);
        let files_before = files(world.config.output.folder().unwrap());
        world.serve_anew(Settings { faults: vec![Fault { kind, when: When::Rate(1.0) }], ..before(22) });
        let orders = world.orders();
        let life = refresh(&mut world, orders);
        assert_eq!((life.exit, refreshed(&life)), (Some(exit), expected), "{kind:?}");
        assert_eq!(life.report["failures"].as_array().unwrap().len() as u64, expected[3], "{kind:?}");
        assert!(files(world.config.output.folder().unwrap()) == files_before, "{kind:?}");
        world.serve_anew(before(22));
        let life = world.export();
        assert_eq!((life.sent, life.exit), (0, Some(0)), "{kind:?}: no stay is undone by it");
    }
}

/// Cut anywhere, the same command again asks for what is left alone, and ends at the same rows.
#[test]
fn a_refresh_that_is_cut_goes_on_where_it_was() {
    with_seeds(|seed| {
        let mut world = exported(seed);
        world.serve_anew(changed(seed));
        let mut cuts = 0;
        let life = loop {
            let stop_after = (cuts == 0).then_some(Duration::from_secs(9));
            let kill = if cuts == 0 { Kill::Never } else { Kill::AtEvent(seed % 61 + cuts * 40) };
            let orders = Orders { stop_after, kill, ..world.orders() };
            let life = refresh(&mut world, orders);
            cuts += 1;
            if life.exit.is_some_and(|exit| exit != 130) {
                break life;
            }
        };
        assert!(cuts > 2, "{cuts} cuts");
        assert_eq!(life.exit, Some(0));
        let asked: BTreeSet<_> = world.sent.iter().map(|sent| &sent.stay).collect();
        assert_eq!(asked.len(), 46);
        check(&world, &life);
        check_complete(&world);
        check_rebuild(&world);
    });
}

/// Absent, rejected and failed stays of the dates are asked for as if they were new.
#[test]
fn stays_without_data_are_asked_for_too() {
    let faults = [FaultKind::AbsentMeeting, FaultKind::RejectedRow, FaultKind::UnknownCode];
    let faults = faults.map(|kind| Fault { kind, when: When::Rate(0.2) }).to_vec();
    let mut world = world(Settings { faults, ..settings(23) }, 40, 6);
    let life = world.export();
    let [_, rejected, done, absent, failed, _] = life.account();
    assert!(rejected > 0 && absent > 0 && failed > 0 && done > 0);
    world.serve_anew(settings(23));
    let orders = world.orders();
    let life = refresh(&mut world, orders);
    assert_eq!((life.exit, refreshed(&life)), (Some(0), [0, done, 0, 0]));
    assert_eq!(life.report["asked_again"]["done"], rejected + absent + failed);
    check(&world, &life);
    check_complete(&world);
}

/// Only the chosen dates.
#[test]
fn a_refresh_asks_for_its_dates_alone() {
    let stays = some_stays(&settings(24), 40, 6);
    let mut world = World::new(settings(24), &[], stays);
    world.export();
    world.serve_anew(changed(24));
    let first_date = Dates { last: all_dates().first, ..all_dates() };
    let life = world.live_one(Orders { refresh: Some(first_date), ..world.orders() });
    let of_date = world.stays.iter().filter(|stay| stay.meeting_start_s < 1_741_017_600).count() as u64;
    assert_eq!(refreshed(&life).iter().sum::<u64>(), of_date);
    assert!(of_date > 5 && of_date < 40);
    assert_eq!(life.exit, Some(0));
}

/// Each process reports what it has asked for itself, and a wider span asks for the dates that no other has begun with.
#[test]
fn two_refreshes_share_the_work_and_account_for_their_own() {
    let mut world = exported(25);
    world.serve_anew(changed(25));
    let first_date = Dates { last: all_dates().first, ..all_dates() };
    let of_first_date = world.stays.iter().filter(|stay| stay.meeting_start_s < 1_741_017_600).count() as u64;
    let stop_after = Some(Duration::from_secs(4));
    let life = world.live_one(Orders { refresh: Some(first_date), stop_after, ..world.orders() });
    assert_eq!((life.exit, refreshed(&life)), (Some(130), [0; 4]), "no date of it is complete");
    let status = status(&world.config, &world.start()).unwrap();
    let refreshing: Vec<_> = status.dates.iter().map(|date| (date.refreshing, date.complete)).collect();
    assert_eq!(refreshing, [(of_first_date, false), (0, true), (0, true)]);
    let idle = world.export();
    assert_eq!((idle.exit, idle.sent), (Some(0), 0));
    assert!(idle.report["refreshed"].is_null(), "it is not this run's: {}", idle.report["refreshed"]);
    let life = world.live_one(Orders { refresh: Some(all_dates()), ..world.orders() });
    assert_eq!((life.exit, refreshed(&life).iter().sum::<u64>()), (Some(0), 46), "of {of_first_date} some were left");
    check(&world, &life);
    check_complete(&world);
    assert!(world.books().pages().all(|(.., page)| page.answered == 1));
}

/// A nightly run's refresh does not wait for a backfill of the same dates.
#[test]
fn a_refresh_in_the_nightly_lane_goes_before_a_backfill() {
    let all = some_stays(&settings(26), 120, 0);
    let mut world = World::new(settings(26), &[], all);
    let first_date = Dates { last: all_dates().first, ..all_dates() };
    let is_of_first_date = |stay: &&SimulatedStay| stay.meeting_start_s < 1_741_017_600;
    let of_first_date: Vec<_> = world.stays.iter().filter(is_of_first_date).cloned().collect();
    let some = world.write_manifest("some.csv", of_first_date.iter().take(5));
    assert_eq!(world.live_one(Orders { manifest: some, ..world.orders() }).exit, Some(0));
    // Last in the backfill's queue: what the nightly run has for its own.
    let others = world.stays.iter().filter(|stay| stay.meeting_start_s >= 1_741_017_600);
    let manifest = world.write_manifest("others.csv", others);
    let later = world.write_manifest("later.csv", of_first_date.iter());
    let stop_after = Some(Duration::from_secs(1));
    world.live_one(Orders { manifest: manifest.clone(), lane: Lane::Backfill, stop_after, ..world.orders() });
    world.live_one(Orders { manifest: later, lane: Lane::Backfill, stop_after, ..world.orders() });
    let before = world.sent.len();
    let life = world.live_one(Orders { refresh: Some(first_date), ..world.orders() });
    assert_eq!(life.exit, Some(0));
    let asked: BTreeSet<_> = world.sent[before..].iter().map(|sent| sent.stay.clone()).collect();
    assert!(asked.len() <= of_first_date.len() + 4, "{} stays asked for", asked.len());
    assert_eq!(refreshed(&life), [0, 5, 0, 0]);
}
