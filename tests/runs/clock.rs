//! A wall clock that is wrong: pace, back-off and tokens do not look at it, and dates come from the manifest.

use std::time::Duration;

use chrono::TimeDelta;

use vcq::simulator::faults::{FaultKind, When};

use crate::{
    invariants::{check, check_complete, check_idle},
    seeds::with_seeds,
    settings, with_faults, world,
    world::{Kill, Orders},
};

/// Not so far back that the meetings have not taken place.
const JUMPS: [TimeDelta; 5] =
    [TimeDelta::hours(-1), TimeDelta::hours(1), TimeDelta::hours(8), TimeDelta::days(-30), TimeDelta::days(365)];

#[test]
fn a_clock_that_jumps_during_a_run_changes_no_row_and_no_pace() {
    for jump in JUMPS {
        let mut world = world(settings(22), 60, 6);
        let clock_jump = Some((Duration::from_secs(20), jump));
        let life = world.live_one(Orders { clock_jump, ..world.orders() });
        assert_eq!(life.exit, Some(0), "{jump}");
        check(&world, &life);
        check_complete(&world);
        check_idle(&mut world, &life);
    }
}

/// The slots that are taken stand in the journal by wall time.
#[test]
fn a_clock_that_jumps_between_two_runs_changes_no_row_and_no_pace() {
    with_seeds(|seed| {
        for jump in JUMPS {
            let mut world = world(settings(seed), 150, 6);
            for clock_jump in [None, Some((Duration::ZERO, jump)), None] {
                let kill = Kill::After(Duration::from_millis(20_000 + seed % 997));
                world.live_one(Orders { kill, clock_jump, ..world.orders() });
            }
            let life = world.export();
            assert_eq!(life.exit, Some(0), "{jump}");
            check(&world, &life);
            check_complete(&world);
        }
    });
}

/// A refusal of an hour at most, recorded under a clock that is a year ahead or behind, binds nobody for longer.
#[test]
fn a_refusal_under_a_wrong_clock_does_not_outlive_it() {
    for jump in [TimeDelta::days(365), TimeDelta::hours(2), TimeDelta::days(-365)] {
        let faults = [(FaultKind::ThrottledNoReset, When::Request(5))];
        let mut world = world(with_faults(24, faults), 20, 0);
        let orders = world.orders();
        let clock_jump = Some((Duration::from_millis(1500), jump));
        let kill = Kill::After(Duration::from_secs(6));
        world.live_one(Orders { kill, clock_jump, ..orders });
        assert_eq!(world.books().faults[FaultKind::ThrottledNoReset.name()], 1, "{jump}");
        for _ in 0..2 {
            world.rest(TimeDelta::minutes(3));
            let start = world.now;
            let life = world.export();
            assert_eq!(life.exit, Some(0), "{jump}");
            // Slots that were taken under the other clock are believed for once.
            assert!(world.now - start < TimeDelta::minutes(3), "{jump}: {}", world.now - start);
            check(&world, &life);
        }
        check_complete(&world);
    }
}

/// A time limit is a span of time, whatever the clock shows meanwhile; so is what the report says of the run.
#[test]
fn a_clock_that_is_set_back_prolongs_no_run() {
    for jump in JUMPS {
        let mut world = world(settings(25), 60, 8);
        let (clock_jump, start) = (Some((Duration::from_secs(5), jump)), world.now);
        let life = world.live_one(Orders { until: Some(TimeDelta::seconds(20)), clock_jump, ..world.orders() });
        assert_eq!(life.exit, Some(75), "{jump}");
        let lasted = world.now - start;
        assert!((TimeDelta::seconds(20)..TimeDelta::seconds(25)).contains(&lasted), "{jump}: {lasted}");
        let seconds = life.report["wall_seconds"].as_f64().unwrap();
        assert!((20.0..25.0).contains(&seconds), "{jump}: {seconds}");
        check(&world, &life);
    }
}

/// As on a machine that has lost its battery: by its clock all meetings lie in the future.
#[test]
fn a_clock_that_shows_1970_costs_no_request() {
    let mut world = world(settings(23), 10, 0);
    let since_1970 = world.now.signed_duration_since(chrono::DateTime::UNIX_EPOCH);
    let life = world.live_one(Orders { clock_jump: Some((Duration::ZERO, -since_1970)), ..world.orders() });
    assert_eq!((life.exit, life.account(), life.sent), (Some(65), [0, 10, 0, 0, 0, 0], 0));
    check(&world, &life);
    let life = world.export();
    assert_eq!(life.exit, Some(0));
    check(&world, &life);
    check_complete(&world);
}
