//! Runs that have to end before their work is done.

use std::{collections::BTreeSet, fs, path::PathBuf, time::Duration};

use chrono::{DateTime, TimeDelta};
use vcq::simulator::{
    Settings,
    faults::{FaultKind, When},
    latency::Latency,
    tenant::SimulatedStay,
};

use crate::{
    invariants::{check, check_complete, check_idle},
    seeds::with_seeds,
    settings, some_stays, with_faults, world,
    world::{Kill, Orders, World},
};

#[test]
fn a_time_limit_ends_the_run_and_the_next_one_goes_on() {
    let mut world = world(settings(13), 60, 8);
    let limit = TimeDelta::seconds(20);
    let start = world.now;
    let life = world.live_one(Orders { until: Some(limit), ..world.orders() });
    assert_eq!(life.exit, Some(75));
    assert!((25..=34).contains(&life.sent), "{} requests in 20 s", life.sent);
    assert!(world.sent.iter().all(|sent| sent.at < start + limit));
    check(&world, &life);
    let life = world.export();
    assert_eq!(life.exit, Some(0));
    check(&world, &life);
    check_complete(&world);
    assert_eq!(world.books().arrivals, world.books().pages().count() as u64);
}

#[test]
fn the_configured_months_limit_ends_the_run_before_the_api_does() {
    let settings = settings(14);
    let stays = some_stays(&settings, 40, 6);
    let mut world = World::new(settings, &[("rate.requests_per_month", "30")], stays);
    let life = world.export();
    assert_eq!((life.exit, life.sent), (Some(75), 30));
    assert!(life.report["stopped"].as_str().unwrap().contains("2025-05-01"), "{}", life.report["stopped"]);
    check(&world, &life);
    let life = world.export();
    assert_eq!((life.exit, life.sent), (Some(75), 0));
    world.now = "2025-04-30T16:00:00Z".parse().unwrap(); // midnight in UTC+8
    let life = world.export();
    assert_eq!(life.exit, Some(0));
    check(&world, &life);
    check_complete(&world);
}

#[test]
fn the_months_limit_of_the_api_ends_the_run() {
    let mut settings = settings(15);
    settings.quota.requests_per_month = 30;
    let mut world = world(settings, 40, 2);
    let life = world.export();
    assert_eq!((life.exit, life.outcomes("page")), (Some(75), 30));
    assert!((1..=4).contains(&life.outcomes("month_used_up")), "{:#}", life.report);
    check(&world, &life);
    world.now = "2025-04-30T16:00:00Z".parse().unwrap();
    let life = world.export();
    assert_eq!(life.exit, Some(0));
    check(&world, &life);
    check_complete(&world);
}

#[test]
fn the_stop_signal_lands_the_answers_under_way() {
    with_seeds(|seed| {
        let mut world = world(settings(seed), 40, 6);
        for second in [0, 3, 11] {
            let stop_after = Duration::from_millis(second * 1000 + seed % 997);
            let start = world.now;
            let life = world.live_one(Orders { stop_after: Some(stop_after), ..world.orders() });
            assert_eq!((life.exit, world.abandoned), (Some(130), 0));
            let last = world.sent.last().map_or(start, |sent| sent.at);
            assert!(last <= start + stop_after, "a request after the signal");
            assert!(world.now - start - TimeDelta::from_std(stop_after).unwrap() <= TimeDelta::seconds(20));
            check(&world, &life);
        }
        let life = world.export();
        assert_eq!(life.exit, Some(0));
        assert!(world.books().pages().all(|(.., page)| page.asked == 1));
        check(&world, &life);
        check_complete(&world);
        check_idle(&mut world, &life);
    });
}

/// A manifest of another tenant, or an API that has changed, must not eat the quota.
#[test]
fn answers_that_say_nothing_stop_the_run_after_200() {
    for (kind, why) in [
        (FaultKind::AbsentMeeting, "not known to the API"),
        (FaultKind::RejectedRow, "not known to the API"),
        (FaultKind::UnknownCode, "not what the API documents"),
        (FaultKind::OtherForm, "not what the API documents"),
        (FaultKind::PageTokenMissing, "not what the API documents"),
        (FaultKind::NoSamples, "have no samples"),
    ] {
        let settings = with_faults(18, [(kind, When::Rate(1.0))]);
        let stays = some_stays(&settings, 250, 10);
        let mut world = World::new(settings.clone(), &[], stays.clone());
        let life = world.export();
        assert_eq!(life.exit, Some(76), "{kind:?}");
        assert!((200..=204).contains(&life.sent), "{kind:?}: {} requests", life.sent);
        assert!(life.report["stopped"].as_str().unwrap().contains(why), "{kind:?}: {}", life.report["stopped"]);
        assert!(life.hint.as_ref().unwrap().contains("stop_on_anomaly"), "{kind:?}: {:?}", life.hint);
        assert_eq!(life.account(), [0, 0, 0, 0, 0, 260], "{kind:?}: nothing is decided by such answers");
        check(&world, &life);
        world.serve_anew(Settings { faults: Vec::new(), ..settings.clone() });
        let life = world.export();
        assert_eq!(life.exit, Some(0), "{kind:?}");
        check(&world, &life);
        check_complete(&world);
        let mut world = World::new(settings, &[("retry.stop_on_anomaly", "false")], stays);
        let life = world.export();
        assert!(matches!(life.exit, Some(0 | 65)) && life.sent >= 260, "{kind:?}: {} {:?}", life.sent, life.exit);
        check(&world, &life);
    }
}

/// Stays that the tenant does not have: as if their times were read in a wrong zone.
fn wrong_manifest(world: &World, count: usize) -> PathBuf {
    let settings = settings(34);
    let shifted = |mut stay: SimulatedStay| {
        // Within the meeting, or the row would be rejected.
        stay.join_s += if stay.join_s + 7 > stay.meeting_end_s { -7 } else { 7 };
        stay
    };
    let stays: Vec<_> = some_stays(&settings, count, 0).into_iter().map(shifted).collect();
    world.write_manifest("wrong.csv", stays.iter())
}

/// What a wrong manifest has left in the queue is nobody's business but its own.
#[test]
fn the_night_after_a_wrong_manifest_costs_its_own_requests() {
    let mut world = world(settings(34), 60, 6);
    let wrong = Orders { manifest: wrong_manifest(&world, 500), ..world.orders() };
    let life = world.live_one(wrong.clone());
    assert_eq!((life.exit, life.account()), (Some(76), [0, 0, 0, 0, 0, 500]));
    assert!((200..=204).contains(&life.sent), "{} requests", life.sent);
    check(&world, &life);
    world.rest(TimeDelta::days(1));
    let life = world.export();
    assert_eq!((life.exit, life.sent), (Some(0), world.books().pages().count() as u64));
    check(&world, &life);
    check_complete(&world);
    check_idle(&mut world, &life);
    // Whoever names them again has them back, those last that have been asked for.
    world.rest(TimeDelta::days(1));
    let before = world.sent.len();
    let life = world.live_one(wrong);
    assert_eq!((life.exit, life.account()[5]), (Some(76), 500));
    let asked = |range: std::ops::Range<usize>| -> BTreeSet<String> {
        world.sent[range].iter().map(|sent| sent.stay.clone()).collect()
    };
    assert_eq!(asked(0..200).intersection(&asked(before..before + 200)).count(), 0, "others come first");
    check(&world, &life);
}

/// A run that was killed has left them in the queue before they could raise an alarm: that costs one run, and its 200.
#[test]
fn a_wrong_manifest_whose_run_was_killed_stops_one_run() {
    let mut world = world(settings(34), 60, 6);
    let manifest = wrong_manifest(&world, 500);
    world.live_one(Orders { manifest, kill: Kill::After(Duration::from_secs(20)), ..world.orders() });
    let life = world.export();
    assert_eq!(life.exit, Some(76), "{:#}", life.report["requests"]);
    assert!(life.sent <= 204, "{} requests", life.sent);
    check(&world, &life);
    let pages = world.books().pages().count();
    let life = world.export();
    assert_eq!((life.exit, life.sent), (Some(0), (world.books().pages().count() - pages) as u64));
    check(&world, &life);
    check_complete(&world);
}

/// Good rows beside wrong ones: after the alarm they come first.
#[test]
fn suspects_come_after_the_good_rows_of_their_own_manifest() {
    let mut world = world(settings(34), 60, 6);
    let wrong = fs::read_to_string(wrong_manifest(&world, 300)).unwrap();
    let good = fs::read_to_string(world.path("manifest.csv")).unwrap();
    let manifest = world.path("mixed.csv");
    fs::write(&manifest, wrong + good.split_once('\n').unwrap().1).unwrap();
    let orders = Orders { manifest, ..world.orders() };
    for run in 0..3 {
        let life = world.live_one(orders.clone());
        assert_eq!(life.exit, Some(76), "{run}");
        check(&world, &life);
        world.rest(TimeDelta::days(1));
    }
    check_complete(&world);
}

/// What was rejected for a mistake in the app's settings is asked for again when a manifest names it again.
#[test]
fn rejected_rows_that_are_named_again_are_asked_again() {
    let settings = with_faults(35, [(FaultKind::ForeignId, When::Rate(0.3))]);
    let stays = some_stays(&settings, 30, 0);
    let mut world = World::new(settings.clone(), &[], stays);
    let life = world.export();
    let rejected = life.account()[1];
    assert!(rejected > 0);
    assert_eq!(life.exit, Some(65));
    let again = world.export();
    assert_eq!((again.exit, again.sent, again.account()), (Some(65), rejected, life.account()));
    world.serve_anew(Settings { faults: Vec::new(), ..settings });
    let life = world.export();
    assert_eq!((life.exit, life.sent), (Some(0), rejected));
    check_complete(&world);
}

/// Data of young meetings may be late; but if there are none at all, somebody should know.
#[test]
fn a_run_that_finds_nothing_but_young_absent_stays_says_so() {
    let mut settings = settings(18);
    settings.tenant.data_delay_s = 20 * 86_400;
    let stays = some_stays(&settings, 250, 0);
    let end_s = stays.iter().map(|stay| stay.meeting_end_s).max().unwrap();
    for (flag, exit) in [("true", 76), ("false", 0)] {
        let flags = [("retry.stop_on_anomaly", flag), ("absent_retry_for", "10d")];
        let mut world = World::new(settings.clone(), &flags, stays.clone());
        world.now = DateTime::from_timestamp(end_s + 3600, 0).unwrap();
        let life = world.export();
        assert_eq!((life.exit, life.count("/manifest/pending_young")), (Some(exit), 250), "{flag}");
        check(&world, &life);
        // After an alarm the next night pays for none of them, unless it names them.
        world.rest(TimeDelta::days(1));
        let other = world.write_manifest("other.csv", std::iter::empty());
        let life = world.live_one(Orders { manifest: other, ..world.orders() });
        assert_eq!(life.sent, if exit == 76 { 0 } else { 250 }, "{flag}");
        let life = world.export();
        assert_eq!((life.exit, life.sent), (Some(exit), 250), "{flag}");
        check(&world, &life);
    }
}

/// How a run ends in which every answer takes 27 s: what is ordered of it, what strikes, and the exit code.
struct Slow {
    what: &'static str,
    orders: fn(Orders) -> Orders,
    flags: &'static [(&'static str, &'static str)],
    fault: Option<(FaultKind, When)>,
    exit: u8,
}

/// What is paid for is landed, and 16 answers that take nearly as long as a request may are under way at any time.
#[test]
fn answers_under_way_land_whatever_ends_the_run() {
    let calm = |orders| orders;
    let slow = |what, exit| Slow { what, orders: calm, flags: &[], fault: None, exit };
    let striking = |what, fault, exit| Slow { fault: Some(fault), ..slow(what, exit) };
    let endings = [
        slow("complete", 0),
        Slow { orders: |orders| Orders { until: Some(TimeDelta::seconds(60)), ..orders }, ..slow("until", 75) },
        Slow { flags: &[("rate.requests_per_month", "40")], ..slow("the configured month", 75) },
        striking("the month", (FaultKind::MonthUsedUp, When::Request(40)), 75),
        striking("an alarm", (FaultKind::ForeignId, When::Rate(0.8)), 76),
        striking("denied", (FaultKind::NoScope, When::Request(40)), 77),
        Slow {
            orders: |orders| Orders { stop_after: Some(Duration::from_secs(60)), ..orders },
            ..slow("interrupted", 130)
        },
    ];
    for Slow { what, orders, flags, fault, exit } in endings {
        let mut settings = with_faults(29, fault);
        settings.latency = Latency::Constant(Duration::from_secs(27));
        let stays = some_stays(&settings, 80, 6);
        let mut world = World::new(settings, flags, stays);
        let life = world.live_one(orders(world.orders()));
        assert_eq!((life.exit, life.count("/requests/without_answer"), world.abandoned), (Some(exit), 0, 0), "{what}");
        let landed = life.count("/landed/pages");
        assert_eq!(landed, life.outcomes("page"), "{what}");
        assert!(landed + life.outcomes("rejected") + 1 >= life.sent, "{what}: {landed} of {} landed", life.sent);
        check(&world, &life);
    }
}

/// An answer that does not come holds a stopped run for as long as its request may take.
#[test]
fn an_answer_that_does_not_come_is_waited_for_until_its_time_is_over() {
    let mut world = world(with_faults(16, [(FaultKind::Hang, When::Request(5))]), 20, 2);
    let stop_after = Duration::from_secs(8);
    let start = world.now;
    let life = world.live_one(Orders { stop_after: Some(stop_after), ..world.orders() });
    assert_eq!((life.exit, life.count("/requests/without_answer"), world.abandoned), (Some(130), 0, 0));
    let sent = world.sent[4].at - start;
    assert_eq!((world.now - start).num_seconds(), sent.num_seconds() + 30);
    check(&world, &life);
    let life = world.export();
    assert_eq!(life.exit, Some(0));
    check(&world, &life);
    check_complete(&world);
}

/// A server that refuses whatever it is asked is not asked for ever.
#[test]
fn refusals_without_end_end_the_run() {
    for kind in [FaultKind::ThrottledNoReset, FaultKind::ThrottledBriefly, FaultKind::ThrottledEmpty] {
        let from_s = world(settings(30), 20, 2).now.timestamp() + 5;
        let over_s = from_s + 7200;
        let mut world = world(with_faults(30, [(kind, When::Between { from_s, until_s: over_s })]), 20, 2);
        let start = world.now;
        let life = world.export();
        assert_eq!(life.exit, Some(75), "{kind:?}");
        let why = life.report["stopped"].as_str().unwrap();
        assert!(why.contains("refused all requests for 30m"), "{kind:?}: {why}");
        let lasted = world.now - start;
        assert!((TimeDelta::minutes(30)..TimeDelta::minutes(33)).contains(&lasted), "{kind:?}: {lasted}");
        check(&world, &life);
        world.now = DateTime::from_timestamp(over_s, 0).unwrap();
        let life = world.export();
        assert_eq!(life.exit, Some(0), "{kind:?}");
        check(&world, &life);
        check_complete(&world);
    }
}

/// With ids of another app every row is refused: the run stops before it has spent the quota, and settles nothing.
#[test]
fn ids_of_another_app_stop_the_run() {
    for (short, sent_max) in [(3, 3), (19, 19), (250, 23)] {
        let settings = with_faults(31, [(FaultKind::ForeignId, When::Rate(1.0))]);
        let stays = some_stays(&settings, short, 0);
        let mut world = World::new(settings.clone(), &[], stays);
        let life = world.export();
        assert_eq!((life.exit, life.account()), (Some(76), [0, 0, 0, 0, 0, short as u64]), "{short}");
        assert!(life.sent <= sent_max, "{short}: {} requests", life.sent);
        let said = format!("{} {}", life.report["stopped"], life.hint.as_ref().unwrap());
        assert!(said.contains("cli_simulated") && said.contains("open_id"), "{said}");
        check(&world, &life);
        world.serve_anew(Settings { faults: Vec::new(), ..settings });
        let life = world.export();
        assert_eq!(life.exit, Some(0), "{short}");
        check(&world, &life);
        check_complete(&world);
    }
    // Of one or two rows, it may as well be the rows.
    let mut world = world(with_faults(31, [(FaultKind::ForeignId, When::Rate(1.0))]), 2, 0);
    let life = world.export();
    assert_eq!((life.exit, life.account()), (Some(65), [0, 2, 0, 0, 0, 0]));
    check(&world, &life);
}

/// Nothing in the dress of success: of few stays it is told at the end, of many before the quota is eaten.
#[test]
fn a_run_whose_answers_are_empty_is_not_complete() {
    for (short, exit) in [(10, 0), (30, 76), (400, 76)] {
        let settings = with_faults(32, [(FaultKind::NoSamples, When::Rate(1.0))]);
        let stays = some_stays(&settings, short, 0);
        let mut world = World::new(settings, &[], stays);
        let life = world.export();
        assert_eq!(life.exit, Some(exit), "{short}");
        let empty = if exit == 0 { short as u64 } else { 0 };
        assert_eq!(life.count("/manifest/empty"), empty, "{short}: {:#}", life.report["manifest"]);
        assert_eq!(life.account()[5], short as u64 - empty, "{short}: nothing is decided by such answers");
        check(&world, &life);
    }
}

/// From a second to three days: what is left when it is over is asked for at the full rate.
#[test]
fn an_outage_of_any_length_loses_nothing() {
    // A minute takes some stays all their attempts; of few stays, there are not faults enough to see an outage.
    let outages = [(90, 1, 0), (90, 60, 65), (90, 1200, 0), (90, 3600, 75), (90, 259_200, 75), (20, 3600, 65)];
    for (short, seconds, exit) in outages {
        let from_s = world(settings(17), short, 2).now.timestamp() + 5;
        let over_s = from_s + seconds;
        let when = When::Between { from_s, until_s: over_s };
        let mut world = world(with_faults(17, [(FaultKind::NoConnection, when)]), short, 2);
        let mut life = world.export();
        assert_eq!(life.exit, Some(exit), "{seconds} s: {:#}", life.report["manifest"]);
        check(&world, &life);
        while life.exit != Some(0) {
            world.rest(TimeDelta::hours(10));
            let expected = if world.now.timestamp() < over_s { 75 } else { 0 };
            life = world.export();
            assert_eq!(life.exit, Some(expected), "{seconds} s: {:#}", life.report["manifest"]);
            check(&world, &life);
        }
        check_complete(&world);
        assert!(world.books().faults[FaultKind::NoConnection.name()] > 0);
        if exit == 0 {
            check_recovery(&world, over_s);
        }
    }
}

/// Within a minute of the end of an outage the first request gets through, and those after it come at the full rate.
fn check_recovery(world: &World, over_s: i64) {
    let since: Vec<_> = world.sent.iter().map(|sent| sent.at).filter(|at| at.timestamp() >= over_s).collect();
    let (first, last) = (since[0], since[since.len() - 1]);
    assert!(first.timestamp() - over_s <= 61, "the first request came at {first}");
    let longest = TimeDelta::seconds(60) + TimeDelta::milliseconds(604) * i32::try_from(since.len()).unwrap();
    assert!(last - first <= longest, "{} requests took {}", since.len(), last - first);
}
