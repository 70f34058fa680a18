//! How much of the quota a run uses while there is work, that it never uses more, and what it does when it is refused.

use std::time::Duration;

use chrono::TimeDelta;
use vcq::simulator::{
    Settings,
    faults::{FaultKind, When},
    tenant::{Tenant, TenantSettings},
};

use rand::{Rng as _, SeedableRng as _, rngs::StdRng};

use crate::{
    invariants::{check, check_complete},
    seeds::with_seeds,
    settings, with_faults, world,
    world::{Kill, Orders, World},
};

/// Many stays of a few samples: what counts here is the pattern of the requests.
fn busy_world(seed: u64, stays: u64) -> World {
    let tenant = TenantSettings { seed, stays, meeting_minutes_max: 1, ..TenantSettings::default() };
    let stays = Tenant::new(tenant.clone()).stays().collect();
    World::new(Settings { tenant, ..Settings::default() }, &[], stays)
}

#[test]
fn hours_of_work_use_the_quota_and_draw_no_refusal_under_any_window() {
    let mut world = busy_world(21, 6000);
    let start = world.now;
    let life = world.export();
    assert_eq!(life.exit, Some(0));
    let minutes = (life.ended - start).as_seconds_f64() / 60.0;
    let share = f64::from(u32::try_from(world.books().arrivals).unwrap()) / minutes / 100.0;
    assert!(share >= 0.985, "{:.2} % of the quota used", share * 100.0);
    check(&world, &life);
    check_complete(&world);
}

/// More refusals of one page than it has attempts, each for the default of a minute.
#[test]
fn a_refusal_stops_all_requests_and_costs_no_attempt() {
    const REFUSALS: u32 = 12;
    let stay = world(settings(8), 20, 1).stays[10].key;
    let throttled = (FaultKind::ThrottledNoReset, When::Page { stay, first_sample: 0, times: REFUSALS });
    let mut world = world(with_faults(8, [throttled]), 20, 1);
    assert!(world.config.retry.attempts_max < REFUSALS);
    let life = world.export();
    assert_eq!((life.exit, life.outcomes("throttled")), (Some(0), u64::from(REFUSALS)));
    let pauses = world.sent.windows(2).filter(|pair| pair[1].at - pair[0].at >= TimeDelta::seconds(60)).count();
    assert_eq!(pauses, REFUSALS as usize, "nobody asked for anything before a refusal was over");
    check(&world, &life);
    check_complete(&world);
}

/// The slots outlive the process: the server's last minute began before it.
#[test]
fn restarts_do_not_overrun_the_quota() {
    with_seeds(|seed| {
        let mut world = busy_world(seed, 700);
        let mut rng = StdRng::seed_from_u64(seed);
        let kills = (0..8).map(|_| Kill::After(Duration::from_millis(rng.random_range(5_000..90_000))));
        for kill in kills.collect::<Vec<_>>() {
            let life = world.live_one(Orders { kill, ..world.orders() });
            assert_eq!(life.exit, None);
        }
        let life = world.export();
        assert_eq!(life.exit, Some(0));
        check(&world, &life);
        check_complete(&world);
    });
}
