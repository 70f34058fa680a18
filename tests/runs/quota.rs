//! How much of the quota a run uses while there is work.

use vcq::simulator::{
    Settings,
    tenant::{Tenant, TenantSettings},
};

use crate::{
    invariants::{check, check_complete},
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
