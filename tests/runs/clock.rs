//! A wall clock that is wrong: pace, back-off and tokens do not look at it, and dates come from the manifest.

use std::time::Duration;

use chrono::TimeDelta;

use crate::{
    invariants::{check, check_complete, check_idle},
    seeds::with_seeds,
    settings, world,
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
