//! Each kind of fault of the simulator, and what the contract makes of it.

use std::collections::BTreeSet;

use chrono::{DateTime, TimeDelta};
use vcq::simulator::{
    Settings,
    faults::{FaultKind, Settling, When},
    tenant::SimulatedStay,
};

use crate::{
    invariants::{check, check_complete, check_idle, check_rebuild},
    seeds::with_seeds,
    settings, with_faults, world,
    world::{Life, Orders, World, name_of},
};

/// Exit code, and done, absent, rejected and failed stays.
fn ending(life: &Life) -> (u8, [u64; 4]) {
    let [_, rejected, done, absent, failed, _] = life.account();
    (life.exit.unwrap(), [done, absent, rejected, failed])
}

fn struck(world: &World, kind: FaultKind) -> u64 {
    world.books().faults.get(kind.name()).copied().unwrap_or(0)
}

/// A fault that strikes every attempt fails its stay after the configured number of them; the next run asks again.
#[test]
fn a_fault_that_does_not_pass_fails_its_stay_until_the_next_run() {
    let (stay, first_sample) = (world(settings(6), 9, 1).stays[9].key, 100);
    let mut world = world(with_faults(6, [(FaultKind::Reset, When::Page { stay, first_sample, times: 8 })]), 9, 1);
    let life = world.export();
    assert_eq!(ending(&life), (65, [9, 0, 0, 1]));
    assert_eq!(life.outcomes("transient"), 8);
    check(&world, &life);
    let life = world.export();
    let pages_left = u64::from(world.stays[9].sample_count.div_ceil(100)) - 1;
    assert_eq!((ending(&life), life.sent), ((0, [10, 0, 0, 0]), pages_left));
    check(&world, &life);
    check_complete(&world);
    check_idle(&mut world, &life);
}

/// Being refused for the quota is no fault of a stay's: it is asked for again as often as it takes.
#[test]
fn throttling_costs_no_attempt() {
    let stay = world(settings(19), 5, 0).stays[2].key;
    let when = When::Page { stay, first_sample: 0, times: 30 };
    let mut world = world(with_faults(19, [(FaultKind::ThrottledNoReset, when)]), 5, 0);
    let start = world.now;
    let life = world.export();
    assert_eq!((ending(&life), life.outcomes("throttled")), ((0, [5, 0, 0, 0]), 30));
    assert!(world.now - start >= TimeDelta::minutes(30), "each refusal holds for a minute");
    check(&world, &life);
    check_complete(&world);
}

/// Exit code, and the most requests for a stay whose length allows so many pages.
type Verdict = (FaultKind, u8, fn(u32) -> u32);

/// What the API says of a stay for good.
#[test]
fn a_verdict_concerns_its_stay_alone() {
    use FaultKind::*;
    let rows: [Verdict; 12] = [
        (AbsentMeeting, 0, |_| 1),
        (AbsentDevice, 0, |_| 1),
        (AbsentData, 0, |_| 1),
        (RejectedRow, 65, |_| 1),
        (UnknownCode, 65, |_| 1),
        (PageTokenRepeated, 65, |_| 2),
        (PageTokenMissing, 65, |_| 1),
        (EndlessEmptyPages, 65, |pages| 2 * pages),
        (EndlessPages, 65, |pages| 2 * pages),
        (ForeignId, 65, |_| 1),
        (NoSamples, 0, |_| 1),
        (EmptyPage, 0, |pages| 2 * pages),
    ];
    for (kind, exit, requests_max) in rows {
        let mut world = world(with_faults(7, [(kind, When::Rate(0.25))]), 20, 6);
        let life = world.export();
        let outcomes: Vec<_> = world.stays.iter().map(|stay| world.server().expected(stay).outcome).collect();
        let count = |outcome| outcomes.iter().filter(|it| **it == outcome).count() as u64;
        let mut expected = [Settling::Done, Settling::Absent, Settling::Rejected, Settling::Failed].map(count);
        assert!(struck(&world, kind) > 0 && (expected[0] < 26 || kind == EmptyPage), "{kind:?} never struck");
        expected[0] += count(Settling::Empty);
        assert_eq!(ending(&life), (exit, expected), "{kind:?}");
        let without_samples = |stay: &&SimulatedStay| world.server().expected(stay).samples.is_empty();
        let empty = world.stays.iter().filter(without_samples).count() as u64 - expected[1..].iter().sum::<u64>();
        assert_eq!(life.count("/manifest/empty"), empty, "{kind:?}");
        check(&world, &life);
        check_complete(&world);
        for (stay, _) in world.stays.iter().zip(&outcomes).filter(|(_, outcome)| **outcome != Settling::Done) {
            let asked = asked(&world, stay);
            assert!(asked <= requests_max(pages_max(stay)), "{kind:?}: {asked} requests for {stay:?}");
        }
        if expected[2] > 0 {
            let again = world.export();
            assert_eq!(
                (ending(&again), again.sent),
                ((exit, expected), expected[2]),
                "{kind:?}: the rejected ones again"
            );
            continue;
        }
        if expected[3] == 0 {
            check_idle(&mut world, &life);
            continue;
        }
        let failures = life.report["failures"].as_array().unwrap();
        assert!(failures.iter().all(|stay| stay["reason"].as_str().is_some_and(|why| !why.contains('\u{1b}'))));
        let failed = world.stays.iter().zip(&outcomes).filter(|(_, outcome)| **outcome == Settling::Failed);
        let asked_for_failed: u64 = failed.map(|(stay, _)| u64::from(asked(&world, stay))).sum();
        let again = world.export();
        assert_eq!(ending(&again), (exit, expected), "{kind:?}");
        assert!((expected[3]..=asked_for_failed).contains(&again.sent), "{kind:?}: the failed ones again");
        check_rebuild(&world);
    }
}

/// Pages that the length of a stay allows.
fn pages_max(stay: &SimulatedStay) -> u32 {
    (u32::try_from(stay.meeting_end_s - stay.join_s).unwrap() / 60 + 1).div_ceil(100)
}

fn asked(world: &World, stay: &SimulatedStay) -> u32 {
    world.books().pages().filter(|(key, ..)| *key == stay.key).map(|(.., page)| page.asked).sum()
}

/// What strikes, and what each run comes to: exit code and failed stays.
type Strike = (&'static str, Vec<(FaultKind, When)>, &'static [(u8, u64)]);

#[test]
fn what_concerns_the_whole_app_stops_the_run_and_settles_nothing() {
    use FaultKind::*;
    let request = |kind, ordinals: std::ops::RangeInclusive<u64>| {
        ordinals.map(|ordinal| (kind, When::Request(ordinal))).collect::<Vec<_>>()
    };
    let token = |kind, ordinals: std::ops::RangeInclusive<u64>| {
        ordinals.map(|ordinal| (kind, When::TokenRequest(ordinal))).collect::<Vec<_>>()
    };
    let rows: [Strike; 12] = [
        ("no scope", request(NoScope, 7..=7), &[(77, 0), (0, 0)]),
        ("the month's quota, by the server", request(MonthUsedUp, 7..=7), &[(75, 0), (0, 0)]),
        ("no permission, first answer", request(NoPermission, 1..=1), &[(77, 0), (0, 0)]),
        ("no permission, one", request(NoPermission, 7..=7), &[(65, 1), (0, 0)]),
        ("no permission, four in a row", request(NoPermission, 7..=10), &[(65, 4), (0, 0)]),
        ("no permission, five in a row", request(NoPermission, 7..=11), &[(77, 0), (0, 0)]),
        ("token refused once", request(TokenRejected, 7..=7), &[(0, 0)]),
        ("token revoked", request(TokenRevoked, 7..=7), &[(0, 0)]),
        ("token dead", request(TokenDead, 7..=7), &[(77, 0)]),
        ("no token for a while", token(TokenUnavailable, 1..=3), &[(0, 0)]),
        ("no token for more tries than a page has", token(TokenUnavailable, 1..=12), &[(0, 0)]),
        ("credentials refused", token(TokenDenied, 1..=1), &[(77, 0), (0, 0)]),
    ];
    for (what, faults, runs) in rows {
        let mut world = world(with_faults(8, faults), 20, 4);
        for (exit, failed) in runs {
            let life = world.export();
            assert_eq!((life.exit, life.account()[4]), (Some(*exit), *failed), "{what}: {:#}", life.report);
            assert!(*exit != 77 || life.hint.as_ref().is_some_and(|remedy| remedy.len() > 20), "{what}");
            check(&world, &life);
            if *exit == 0 {
                check_complete(&world);
            }
        }
        assert!(!world.books().faults.is_empty(), "{what} never struck");
    }
}

/// Tokens that live for a minute are renewed in time, in the middle of a stay too.
#[test]
fn tokens_are_renewed_before_they_end() {
    let mut settings = settings(9);
    settings.token.life_s = 60;
    let mut world = world(settings, 60, 20);
    let life = world.export();
    assert_eq!((life.exit, life.outcomes("token_refused")), (Some(0), 0));
    let issued = world.books().tokens_issued;
    assert!(issued >= 3 && life.count("/requests/token_renewals") == issued, "{issued} tokens");
    check(&world, &life);
    check_complete(&world);
}

/// A page token that the API no longer knows costs the stay's pages once more, once in a run.
#[test]
fn a_stay_whose_page_token_is_refused_starts_over_once_in_a_run() {
    for (times, exits) in [(1, vec![0]), (2, vec![65, 0]), (3, vec![65, 0]), (4, vec![65, 65, 0])] {
        let stay = world(settings(10), 6, 1).stays[6].clone();
        let when = When::Page { stay: stay.key, first_sample: 100, times };
        let mut world = world(with_faults(10, [(FaultKind::PageTokenRefused, when)]), 6, 1);
        world.restarted_pages = times.into();
        for exit in exits {
            let life = world.export();
            assert_eq!(life.exit, Some(exit), "refused {times} times: {:#}", life.report["failures"]);
            check(&world, &life);
        }
        assert_eq!(struck(&world, FaultKind::PageTokenRefused), u64::from(times));
        check_complete(&world);
    }
}

/// All faults that pass, at once.
#[test]
fn a_storm_of_faults_changes_no_row() {
    use FaultKind::*;
    with_seeds(|seed| {
        let passing = [GatewayHtml, InternalError, ThrottledNoReset, Reset, LostAnswer, CutBody, Hang, InvalidJson];
        let lasting = [AbsentDevice, RejectedRow, UnknownCode];
        let passing = passing.map(|kind| (kind, When::Rate(0.02)));
        let lasting = lasting.map(|kind| (kind, When::Rate(0.03)));
        let faults = passing.into_iter().chain(lasting).chain([(TokenUnavailable, When::Rate(0.3))]);
        let faults = with_faults(seed, faults).faults;
        let mut world = world(Settings { faults, ..settings(seed) }, 50, 8);
        let life = world.export();
        assert!(matches!(life.exit, Some(0 | 65)), "{:#}", life.report);
        check(&world, &life);
        check_complete(&world);
    });
}

/// The data of young meetings are not there yet: later runs ask for these stays again, and for no others.
#[test]
fn absent_stays_of_young_meetings_are_asked_for_again() {
    let mut settings = settings(11);
    settings.tenant.data_delay_s = 8 * 3600;
    let mut world = world(settings, 40, 4);
    world.now = "2025-03-05T12:00:00Z".parse().unwrap(); // 20:00 of the tenant's third day
    world.stays.retain(|stay| stay.meeting_end_s < world.now.timestamp());
    world.write_manifest("manifest.csv", world.stays.iter());
    let is_young = |stay: &&SimulatedStay| stay.meeting_end_s + 8 * 3600 > world.now.timestamp();
    let young: Vec<_> = world.stays.iter().filter(is_young).cloned().collect();
    assert!(!young.is_empty() && young.len() < world.stays.len());
    let life = world.export();
    assert_eq!((life.exit, life.outcomes("absent")), (Some(0), young.len() as u64));
    assert_eq!(life.count("/manifest/pending_young"), young.len() as u64);
    check(&world, &life);
    world.rest(TimeDelta::hours(12));
    let before = world.sent.len();
    // Whatever the next run is for.
    let other =
        world.write_manifest("other.csv", world.stays.iter().filter(|stay| !young.iter().any(|it| it.key == stay.key)));
    let life = world.live_one(Orders { manifest: other, ..world.orders() });
    assert_eq!(life.report["asked_again"]["done"], young.len());
    let asked: BTreeSet<_> = world.sent[before..].iter().map(|sent| sent.stay.clone()).collect();
    assert_eq!(asked, young.iter().map(name_of).collect());
    assert_eq!((life.exit, life.sent), (Some(0), (world.sent.len() - before) as u64));
    check(&world, &life);
    check_complete(&world);
    let life = world.export();
    check_idle(&mut world, &life);
}

/// A success without samples says of a young meeting that its samples may still come: nothing is landed, and later runs
/// ask again.
#[test]
fn empty_answers_of_young_meetings_are_asked_for_again() {
    let long_ago = world(settings(33), 30, 3).now.timestamp() - 100 * 86_400;
    let ends = |world: &World| world.stays.iter().map(|stay| stay.meeting_end_s).max().unwrap();
    let over_s = ends(&world(settings(33), 30, 3)) + 6 * 3600;
    let when = When::Between { from_s: long_ago, until_s: over_s };
    let mut world = world(with_faults(33, [(FaultKind::NoSamples, when)]), 30, 3);
    world.now = DateTime::from_timestamp(over_s - 3600, 0).unwrap();
    let young_from_s = world.now.timestamp() - 48 * 3600;
    world.stays.retain(|stay| stay.meeting_end_s > young_from_s);
    world.write_manifest("manifest.csv", world.stays.iter());
    let life = world.export();
    let count = world.stays.len() as u64;
    assert_eq!((life.exit, life.account()), (Some(0), [0, 0, 0, 0, 0, count]));
    assert_eq!((life.count("/manifest/pending_young"), life.count("/landed/pages")), (count, 0));
    check(&world, &life);
    world.rest(TimeDelta::hours(3));
    let other = world.write_manifest("other.csv", std::iter::empty());
    let life = world.live_one(Orders { manifest: other, ..world.orders() });
    assert_eq!((life.exit, &life.report["asked_again"]["done"]), (Some(0), &count.into()));
    check(&world, &life);
    check_complete(&world);
}

/// Absent for longer than `absent_retry_for` is absent for good.
#[test]
fn absent_stays_grow_old() {
    let mut settings = settings(12);
    settings.tenant.data_delay_s = 90 * 86_400;
    let mut world = world(settings, 10, 0);
    world.now = "2025-03-06T00:00:00Z".parse().unwrap();
    let life = world.export();
    assert!(life.count("/manifest/pending_young") > 0);
    world.rest(TimeDelta::hours(48));
    let life = world.export();
    assert_eq!((life.exit, life.account()), (Some(0), [0, 0, 0, 10, 0, 0]));
    check_idle(&mut world, &life);
}
