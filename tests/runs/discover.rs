//! Discovery: the manifest comes from the API.

use chrono::NaiveDate;
use vcq::{
    dates::Dates,
    simulator::{
        Settings,
        endpoint::Endpoint,
        lists::Lists,
        tenant::{Tenant, TenantSettings},
    },
};

use crate::{
    invariants::check_report,
    listed::{check_listed, discovered_stays},
    oracle::check_rows,
    world::{Life, Orders, World},
};

fn tenant(lists: Lists) -> TenantSettings {
    TenantSettings { days: 3, stays: 400, meeting_minutes_max: 240, lists, ..TenantSettings::default() }
}

fn world(lists: Lists) -> World {
    let settings = Settings { tenant: tenant(lists), ..Settings::default() };
    let stays = Tenant::new(settings.tenant.clone()).stays().collect();
    World::new(settings, &[], stays)
}

fn all_dates(world: &World) -> Dates {
    let first = world.server().tenant().settings().first_day;
    let days = u64::from(world.server().tenant().settings().days);
    Dates { first, last: first.checked_add_days(chrono::Days::new(days - 1)).unwrap() }
}

fn discover(world: &World) -> Orders {
    Orders { discover: Some(all_dates(world)), ..world.orders() }
}

/// By the books of each endpoint: no request above the quota, and no page paid for twice.
fn check_books(world: &World) {
    let server = world.server();
    for endpoint in Endpoint::ALL {
        let books = server.books_of(endpoint);
        assert!(books.most_in_60_s <= 100 && books.refused == 0, "{endpoint:?}: {books:?}");
    }
    let windows = server.books_of(Endpoint::Meetings).pages_of_windows().map(|(.., page)| page);
    let meetings = server.books_of(Endpoint::Participants).pages_of_meetings().map(|(.., page)| page);
    let twice: u32 = windows.chain(meetings).map(|page| page.answered.saturating_sub(1)).sum();
    assert!(u64::from(twice) <= world.abandoned + world.restarted_pages, "{twice} pages paid for twice");
}

fn check_all(world: &World, life: &Life, seen_early: bool) {
    check_books(world);
    check_listed(world, seen_early);
    let found = check_rows(world);
    let expected = discovered_stays(world, seen_early);
    let differing: Vec<_> = found.symmetric_difference(&expected).take(5).collect();
    assert!(differing.is_empty(), "{differing:?}: {} found, {} expected", found.len(), expected.len());
    let [duplicates, rejected, done, absent, failed, pending] = life.account();
    let discovered = |name: &str| life.count(&format!("/discovered/{name}"));
    let without_id: u64 = life.report["discovered"]["without_id"]
        .as_object()
        .unwrap()
        .values()
        .filter_map(serde_json::Value::as_u64)
        .sum();
    assert_eq!(
        life.count("/manifest/rows") + discovered("attendances"),
        duplicates + rejected + without_id + done + absent + failed + pending
    );
    let _: Option<NaiveDate> = None;
}

#[test]
fn a_discovered_tenant_is_exported_as_a_manifest_of_it_would_be() {
    let mut world = world(Lists::default());
    let life = world.live_one(discover(&world));
    assert_eq!(life.exit, Some(0), "{life:#?}");
    check_all(&world, &life, false);
    let _ = check_report;
}

#[test]
fn whatever_lists_may_hold_each_meeting_and_attendance_is_there_once() {
    for seed in [1, 2] {
        let tenant = TenantSettings { seed, ..tenant(Lists::odd(0.15)) };
        let settings = Settings { tenant, ..Settings::default() };
        let stays = Tenant::new(settings.tenant.clone()).stays().collect();
        let mut world = World::new(
            settings,
            &[("discover.include_webinar", "true"), ("discover.include_external_meetings", "true"), ("discover.personal", "email,phone")],
            stays,
        );
        let life = world.live_one(discover(&world));
        assert!(life.exit == Some(0), "{life:#?}");
        check_all(&world, &life, false);
    }
}
