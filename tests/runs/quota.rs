//! How much of the quota a run uses while there is work, and what it does when it is refused.

use chrono::TimeDelta;
use vcq::simulator::{
    Settings,
    faults::{FaultKind, When},
    tenant::{Tenant, TenantSettings},
};

use crate::{
    invariants::{check, check_complete},
    settings, with_faults, world,
    world::World,
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
    let minutes = (world.now - start).as_seconds_f64() / 60.0;
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
