//! Samples that end early: what has landed of a young meeting is published, and asked for once more, once.

use std::collections::BTreeSet;

use chrono::{NaiveDate, TimeDelta};
use vcq::{
    command::archive::prune::prune,
    dates::Dates,
    simulator::{
        Settings,
        endpoint::Endpoint,
        faults::{Fault, FaultKind, When},
        tenant::{SimulatedStay, Tenant, TenantSettings},
    },
};

use crate::{
    invariants::{check, check_complete, check_idle},
    world::{Orders, World, name_of},
};

/// An hour after the last meeting of the first day; its stays have a third of their samples for so long.
fn young_world(partial_for_s: u32) -> World {
    let tenant =
        TenantSettings { days: 1, stays: 120, meeting_minutes_max: 240, partial_for_s, ..TenantSettings::default() };
    let settings = Settings { tenant, ..Settings::default() };
    // Of shorter ones no third ends so early that it is noticed.
    let is_long = |stay: &SimulatedStay| partial_for_s == 0 || stay.sample_count == 0 || stay.sample_count >= 20;
    let stays: Vec<_> = Tenant::new(settings.tenant.clone()).stays().filter(is_long).collect();
    let last_end_s = stays.iter().map(|stay| stay.meeting_end_s).max().unwrap();
    let mut world = World::new(settings, &[], stays);
    world.now = chrono::DateTime::from_timestamp(last_end_s + 3600, 0).unwrap();
    world.write_manifest("manifest.csv", world.stays.iter());
    world
}

/// The stays whose first thirds of samples end so long before `meeting_end_s`.
fn early(world: &World, thirds: u32, by_s: i64) -> BTreeSet<String> {
    let ends_early = |stay: &&SimulatedStay| {
        let there = (stay.sample_count * thirds).div_ceil(3);
        there > 0 && stay.meeting_end_s - (stay.join_s + 60 * i64::from(there)) > by_s
    };
    world.stays.iter().filter(ends_early).map(name_of).collect()
}

#[test]
fn a_third_of_the_samples_is_published_and_asked_for_once_more() {
    let mut world = young_world(86_400);
    let life = world.export();
    assert_eq!(life.exit, Some(0), "{:#}", life.report);
    // The minute of the last sample lies within two of what is said here.
    let (surely, perhaps) = (early(&world, 1, 720), early(&world, 1, 480));
    let found = usize::try_from(life.count("/manifest/early_ends")).unwrap();
    assert!(surely.len() > 50 && (surely.len()..=perhaps.len()).contains(&found), "{found}");
    // As long as the meetings are young nothing is asked for, whatever the run is for.
    world.rest(TimeDelta::hours(2));
    assert_eq!(world.export().sent, 0);
    world.rest(TimeDelta::days(3));
    let empty = world.write_manifest("empty.csv", std::iter::empty());
    let before = world.sent.len();
    let life = world.live_one(Orders { manifest: empty.clone(), ..world.orders() });
    assert_eq!(life.exit, Some(0), "{:#}", life.report);
    let asked: BTreeSet<_> = world.sent[before..].iter().map(|sent| sent.stay.clone()).collect();
    assert_eq!(life.report["dates"].as_array().map(Vec::len), Some(1), "its date is told: {:#}", life.report["dates"]);
    assert!(asked.is_superset(&surely) && asked.is_subset(&perhaps) && asked.len() == found, "{asked:?}");
    let life = world.live_one(Orders { manifest: empty, ..world.orders() });
    assert_eq!(life.sent, 0, "it is asked for once");
    let life = world.export();
    check(&world, &life);
    check_complete(&world);
    check_idle(&mut world, &life);
}

/// Who has left before the end, as the list of participants says, has no more samples.
#[test]
fn who_left_early_is_not_asked_for_again() {
    let mut world = young_world(0);
    let first = world.server().tenant().settings().first_day;
    let dates = Dates { first, last: first };
    assert!(early(&world, 3, 720).len() > 2);
    let life = world.live_one(Orders { discover: Some(dates), ..world.orders() });
    assert_eq!((life.exit, life.count("/manifest/early_ends")), (Some(0), 0), "{:#}", life.report);
    world.rest(TimeDelta::days(4));
    let life = world.live_one(Orders { discover: Some(dates), ..world.orders() });
    let asked = life.count("/requests/by_endpoint/participant_quality_list/sent");
    assert_eq!(
        (life.exit, asked),
        (Some(0), life.count("/manifest/absent") + life.count("/manifest/empty")),
        "{:#}",
        life.report
    );
    assert!(world.server().books_of(Endpoint::Quality).most_in_60_s <= 100);
}

/// A run that is cut while it asks once more is gone on with by the next one.
#[test]
fn what_is_asked_once_more_goes_on_after_a_cut() {
    let mut world = young_world(86_400);
    assert_eq!(world.export().exit, Some(0));
    world.rest(TimeDelta::days(4));
    let cut = Orders { stop_after: Some(std::time::Duration::from_secs(20)), ..world.orders() };
    assert_eq!(world.live_one(cut).exit, Some(130));
    let life = world.export();
    assert_eq!(life.exit, Some(0), "{:#}", life.report);
    check(&world, &life);
    check_complete(&world);
    let life = world.export();
    check_idle(&mut world, &life);
}

/// A request that fails is not the once more.
#[test]
fn what_fails_when_it_is_asked_once_more_is_asked_again() {
    let mut world = young_world(86_400);
    world.config.retry.attempts_max = 1;
    assert_eq!(world.export().exit, Some(0));
    // As long as it is to be asked once more, its pages are kept.
    let pruned = prune(&world.config, NaiveDate::MAX, &world.start()).unwrap();
    assert!(pruned.dates.is_empty() && pruned.asked_again.len() == 1, "{pruned}");
    world.rest(TimeDelta::days(4));
    let calm = Settings { tenant: world.server().tenant().settings().clone(), ..Settings::default() };
    let fault = Fault { kind: FaultKind::InternalError, when: When::Rate(0.2) };
    world.serve_anew(Settings { faults: vec![fault], ..calm.clone() });
    let life = world.export();
    assert_eq!(life.exit, Some(65), "{:#}", life.report);
    assert!(life.report["refreshed"]["failed"].as_u64().unwrap() > 3, "{:#}", life.report);
    world.serve_anew(calm);
    let life = world.export();
    assert_eq!(life.exit, Some(0), "{:#}", life.report);
    assert!(life.sent > 3);
    check_complete(&world);
}
