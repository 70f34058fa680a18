//! Runs that have to end before their work is done.

use std::time::Duration;

use chrono::TimeDelta;
use vcq::simulator::{
    Settings,
    faults::{FaultKind, When},
};

use crate::{
    invariants::{check, check_complete, check_idle},
    seeds::with_seeds,
    settings, some_stays, with_faults, world,
    world::{Orders, World},
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
        (FaultKind::EmptyPage, "not what the API documents"),
    ] {
        let settings = with_faults(18, [(kind, When::Rate(1.0))]);
        let stays = some_stays(&settings, 250, 10);
        let mut world = World::new(settings.clone(), &[], stays.clone());
        let life = world.export();
        assert_eq!(life.exit, Some(75), "{kind:?}");
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

/// Data of young meetings may be late; but if there are none at all, somebody should know.
#[test]
fn a_run_that_finds_nothing_but_young_absent_stays_says_so() {
    let mut settings = settings(18);
    settings.tenant.data_delay_s = 20 * 86_400;
    let stays = some_stays(&settings, 250, 0);
    let end_s = stays.iter().map(|stay| stay.meeting_end_s).max().unwrap();
    for (flag, exit) in [("true", 75), ("false", 0)] {
        let flags = [("retry.stop_on_anomaly", flag), ("absent_retry_for", "10d")];
        let mut world = World::new(settings.clone(), &flags, stays.clone());
        world.now = chrono::DateTime::from_timestamp(end_s + 3600, 0).unwrap();
        let life = world.export();
        assert_eq!((life.exit, life.count("/manifest/pending_young")), (Some(exit), 250), "{flag}");
        check(&world, &life);
    }
}

/// An answer that does not come holds a stopped run for 20 s.
#[test]
fn a_stopped_run_waits_20_s_for_an_answer_that_does_not_come() {
    let mut world = world(with_faults(16, [(FaultKind::Hang, When::Request(5))]), 20, 2);
    let stop_after = Duration::from_secs(8);
    let start = world.now;
    let life = world.live_one(Orders { stop_after: Some(stop_after), ..world.orders() });
    assert_eq!((life.exit, life.count("/requests/without_answer"), world.abandoned), (Some(130), 1, 1));
    assert_eq!((world.now - start).num_seconds(), 28);
    check(&world, &life);
    let life = world.export();
    assert_eq!(life.exit, Some(0));
    check(&world, &life);
    check_complete(&world);
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
