//! Discovery: the manifest comes from the API.

use std::{collections::BTreeMap, time::Duration};

use chrono::{DateTime, Days, TimeDelta, Utc};
use rand::{Rng as _, SeedableRng as _, rngs::StdRng};
use serde_json::Value;
use vcq::{
    dates::{Dates, NamedDates},
    journal::Lane,
    simulator::{
        Settings,
        endpoint::Endpoint,
        faults::{Fault, FaultKind, Strike, When},
        lists::Lists,
        quota::{QuotaSettings, WindowKind},
        tenant::{Tenant, TenantSettings},
    },
};

use crate::{
    listed::{check_listed, discovered_stays},
    oracle::{Files, check_rows, files},
    seeds::with_seeds,
    world::{Kill, Life, Orders, World},
};

fn tenant(lists: Lists) -> TenantSettings {
    TenantSettings { days: 3, stays: 400, meeting_minutes_max: 240, lists, ..TenantSettings::default() }
}

/// A month after the meetings.
pub(crate) fn world_of(settings: Settings) -> World {
    let stays = Tenant::new(settings.tenant.clone()).stays().collect();
    World::new(settings, &[], stays)
}

fn world(lists: Lists) -> World {
    world_of(Settings { tenant: tenant(lists), ..Settings::default() })
}

pub(crate) fn all_dates(world: &World) -> Dates {
    let first = world.server().tenant().settings().first_day;
    let days = u64::from(world.server().tenant().settings().days);
    Dates { first, last: first.checked_add_days(Days::new(days - 1)).unwrap() }
}

pub(crate) fn discover(world: &World) -> Orders {
    Orders { discover: Some(all_dates(world)), ..world.orders() }
}

/// By the books of each endpoint: no request above the quota, and no page paid for twice.
pub(crate) fn check_books(world: &World) {
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

/// Every sample of every discovered stay is there, once.
pub(crate) fn check_samples(world: &World, seen_early: bool) {
    let found = check_rows(world);
    let expected = discovered_stays(world, seen_early);
    let differing: Vec<_> = found.symmetric_difference(&expected).take(5).collect();
    assert!(differing.is_empty(), "{differing:?}: {} found, {} expected", found.len(), expected.len());
}

fn check_all(world: &World, life: &Life, seen_early: bool) {
    check_books(world);
    check_listed(world, seen_early);
    check_samples(world, seen_early);
    let [duplicates, rejected, done, absent, failed, pending] = life.account();
    let discovered = |name: &str| life.count(&format!("/discovered/{name}"));
    let without_id: u64 =
        life.report["discovered"]["without_id"].as_object().unwrap().values().filter_map(Value::as_u64).sum();
    assert_eq!(
        life.count("/manifest/rows") + discovered("attendances"),
        duplicates + rejected + without_id + done + absent + failed + pending
    );
}

#[test]
fn a_discovered_tenant_is_exported_as_a_manifest_of_it_would_be() {
    let mut world = world(Lists::default());
    let life = world.live_one(discover(&world));
    assert_eq!(life.exit, Some(0), "{life:#?}");
    check_all(&world, &life, false);
    let found = |name: &str| life.count(&format!("/discovered/{name}"));
    assert_eq!((found("stays"), found("attendances")), (400, 400));
    let sent = |endpoint: &str| life.count(&format!("/requests/by_endpoint/{endpoint}/sent"));
    assert_eq!((sent("meeting_list"), sent("participant_list")), (3, found("meetings")), "one page of each");
}

#[test]
fn whatever_lists_may_hold_each_meeting_and_attendance_is_there_once() {
    for seed in [1, 2] {
        let tenant = TenantSettings { seed, ..tenant(Lists::odd(0.15)) };
        let settings = Settings { tenant, ..Settings::default() };
        let stays = Tenant::new(settings.tenant.clone()).stays().collect();
        let all = [
            ("discover.include_webinar", "true"),
            ("discover.include_external_meetings", "true"),
            ("discover.personal", "email,phone"),
        ];
        let mut world = World::new(settings, &all, stays);
        let life = world.live_one(discover(&world));
        assert!(life.exit == Some(0), "{life:#?}");
        check_all(&world, &life, false);
    }
}

/// The night after the `day`-th day of the tenant, at two o'clock.
pub(crate) fn night_after(world: &World, day: u64) -> DateTime<Utc> {
    let first = world.server().tenant().settings().first_day;
    let morning = first.checked_add_days(Days::new(day + 1)).unwrap().and_hms_opt(2, 0, 0).unwrap();
    morning.and_utc() - TimeDelta::hours(8)
}

pub(crate) fn last_days(world: &World, days: u32) -> Dates {
    NamedDates::LastDays(days).at(world.now, world.config.timezone)
}

#[test]
fn nights_with_late_lists_end_as_one_discovery_afterwards() {
    for seed in [1, 2] {
        let lists = Lists { lost_participants: 0.0, ..Lists::odd(0.1) };
        let days = 6;
        let tenant = TenantSettings {
            seed,
            days,
            stays: 600,
            meeting_minutes_max: 240,
            data_delay_s: 3600,
            lists,
            ..TenantSettings::default()
        };
        let mut world = world_of(Settings { tenant, ..Settings::default() });
        for night in 0..u64::from(days) + 4 {
            world.now = night_after(&world, night);
            let life = world.live_one(Orders { discover: Some(last_days(&world, 3)), ..world.orders() });
            assert_eq!(life.exit, Some(0), "night {night}: {:#}", life.report);
        }
        check_listed(&world, false);
        check_samples(&world, false);
    }
}

/// Thirty nights, each beside a part of the backfill of the year before, which goes on for as long as the night has.
#[test]
fn a_month_of_nights_beside_the_backfill_of_a_year_loses_nothing() {
    const DAYS: u32 = 365;
    const NIGHTS: u32 = 30;
    let lists = Lists { lost_participants: 0.0, ..Lists::odd(0.05) };
    let (stays, data_delay_s) = (900, 3600);
    let tenant =
        TenantSettings { days: DAYS, stays, meeting_minutes_max: 60, data_delay_s, lists, ..TenantSettings::default() };
    let settings = Settings { tenant, ..Settings::default() };
    let stays = Tenant::new(settings.tenant.clone()).stays().collect();
    // So slow that the backfill takes many nights.
    let mut world = World::new(settings, &[("rate.requests_per_minute", "3")], stays);
    let first = world.server().tenant().settings().first_day;
    let year = Dates { first, last: first.checked_add_days(Days::new((DAYS - NIGHTS - 1).into())).unwrap() };
    let mut cut_nights = 0;
    for night in DAYS - NIGHTS..DAYS + 4 {
        world.now = night_after(&world, night.into());
        let until = Some(TimeDelta::minutes(20));
        let backfill = Orders { lane: Lane::Backfill, discover: Some(year), until, ..world.orders() };
        let starts_after = Duration::from_secs(30);
        let nightly = Orders { starts_after, discover: Some(last_days(&world, 3)), ..world.orders() };
        let lives = world.live(&[backfill, nightly]);
        cut_nights += u32::from(lives[0].exit == Some(75));
        assert!(matches!(lives[0].exit, Some(0 | 75)), "night {night}: {:#}", lives[0].report);
        assert_eq!(lives[1].exit, Some(0), "night {night}: {:#}", lives[1].report);
    }
    assert!((5..NIGHTS).contains(&cut_nights), "the backfill took {cut_nights} nights");
    let server = world.server();
    for endpoint in Endpoint::ALL {
        let books = server.books_of(endpoint);
        assert!(books.most_in_60_s <= 3 && books.refused == 0, "{endpoint:?}: {books:?}");
    }
    drop(server);
    check_listed(&world, false);
    check_samples(&world, false);
}

/// What the three datasets hold.
pub(crate) fn datasets(world: &World) -> [Files; 3] {
    let listed = [&world.config.discover.meetings, &world.config.discover.participants];
    let [meetings, participants] = listed.map(|place| files(place.as_ref().unwrap().folder().unwrap()));
    [files(world.config.output.folder().unwrap()), meetings, participants]
}

#[test]
fn a_second_discovery_of_closed_dates_asks_for_nothing() {
    let mut world = world(Lists::odd(0.1));
    let life = world.live_one(discover(&world));
    assert_eq!(life.exit, Some(0));
    let before = datasets(&world);
    let again = world.live_one(discover(&world));
    assert_eq!((again.sent, again.exit, again.account()), (0, Some(0), life.account()));
    assert!(datasets(&world) == before, "an idle run left a trace");
    assert_eq!(again.report["discovered"]["dates"], life.report["discovered"]["dates"]);
}

/// Of three open days a night costs the pages of their meetings, and the participants of what is new or has changed.
#[test]
fn listing_again_costs_the_pages_of_meetings_and_what_has_changed() {
    let mut world = world(Lists::default());
    world.now = night_after(&world, 2);
    let nightly = |world: &World| Orders { discover: Some(last_days(world, 3)), ..world.orders() };
    let first = world.live_one(nightly(&world));
    let asked = |life: &Life, endpoint: &str| life.count(&format!("/requests/by_endpoint/{endpoint}/sent"));
    let meetings = first.count("/discovered/meetings");
    assert_eq!((asked(&first, "meeting_list"), asked(&first, "participant_list")), (3, meetings));
    world.rest(TimeDelta::days(1));
    let second = world.live_one(Orders { discover: Some(all_dates(&world)), ..world.orders() });
    assert_eq!(asked(&second, "meeting_list"), 2, "the first of the days is closed by now");
    assert_eq!(asked(&second, "participant_list"), 0);
    assert_eq!(asked(&second, "participant_quality_list"), first.count("/manifest/pending_young"));
    let refreshed = Orders { discover: Some(all_dates(&world)), fetches_samples: false, ..world.orders() };
    let refreshed = world.live_one(Orders { refresh: Some(all_dates(&world)), ..refreshed });
    assert_eq!(refreshed.exit, Some(0), "{:#}", refreshed.report);
    assert_eq!((asked(&refreshed, "meeting_list"), asked(&refreshed, "participant_list")), (3, 0));
}

#[test]
fn killed_again_and_again_a_discovery_ends_with_the_same_datasets() {
    with_seeds(|seed| {
        let new_world = || {
            let tenant = TenantSettings { seed, stays: 200, ..tenant(Lists::odd(0.1)) };
            world_of(Settings { tenant, ..Settings::default() })
        };
        let mut calm = new_world();
        assert_eq!(calm.live_one(discover(&calm)).exit, Some(0));
        let mut rng = StdRng::seed_from_u64(seed);
        let mut world = new_world();
        for _ in 0..15 {
            let moment = Duration::from_millis(rng.random_range(0..15_000));
            let life = world.live_one(Orders { kill: Kill::After(moment), ..discover(&world) });
            assert_eq!(life.exit, None);
        }
        let life = world.live_one(discover(&world));
        assert_eq!(life.exit, Some(0), "{:#}", life.report);
        check_all(&world, &life, false);
        let [_, meetings, participants] = datasets(&world);
        let [_, calm_meetings, calm_participants] = datasets(&calm);
        assert!(meetings == calm_meetings && participants == calm_participants, "other bytes");
    });
}

/// Between any two effects.
#[test]
fn killed_at_any_event_a_discovery_asks_for_no_page_twice() {
    with_seeds(|seed| {
        let new_world = || {
            let tenant = TenantSettings { seed, stays: 40, days: 1, ..tenant(Lists::odd(0.1)) };
            world_of(Settings { tenant, ..Settings::default() })
        };
        let mut calm = new_world();
        let events = calm.live_one(discover(&calm)).events;
        for event in (seed % 23..events).step_by(23) {
            let mut world = new_world();
            let life = world.live_one(Orders { kill: Kill::AtEvent(event), ..discover(&world) });
            assert_eq!(life.exit, None);
            let life = world.live_one(discover(&world));
            assert_eq!(life.exit, Some(0), "killed at event {event}: {:#}", life.report);
            check_all(&world, &life, false);
        }
    });
}

#[test]
fn three_endpoints_side_by_side_use_each_its_whole_quota_and_none_is_refused() {
    for window in [WindowKind::Sliding, WindowKind::Fixed, WindowKind::Bucket, WindowKind::Weighted] {
        let quota = QuotaSettings { window, count_refused: true, ..QuotaSettings::default() };
        let tenant = TenantSettings { stays: 9_000, days: 120, meeting_minutes_max: 60, ..tenant(Lists::default()) };
        let mut world = world_of(Settings { tenant, quota, ..Settings::default() });
        world.now += TimeDelta::days(800);
        let ten_minutes = Some(TimeDelta::minutes(10));
        // The days are listed by then, and what they have is more than enough.
        let life = world.live_one(Orders { until: ten_minutes, ..discover(&world) });
        assert_eq!(life.exit, Some(75), "{:#}", life.report["stopped"]);
        check_books(&world);
        for endpoint in ["participant_list", "participant_quality_list"] {
            let used = life.report["requests"]["by_endpoint"][endpoint]["quota_used"].as_f64().unwrap();
            assert!(used >= 0.96, "{endpoint} used {used} of its quota under {window:?}");
        }
    }
}

#[test]
fn each_kind_of_fault_at_each_endpoint_loses_nothing() {
    // What lasts is no fault that passes: what it makes of a listing is told elsewhere.
    let passing = FaultKind::ALL.iter().filter(|kind| kind.lasting().is_none());
    let ends_run = [FaultKind::MonthUsedUp, FaultKind::TokenDead, FaultKind::TokenDenied, FaultKind::NoScope];
    for (kind, seed) in passing.filter(|kind| !ends_run.contains(kind)).zip(1..) {
        let tenant = TenantSettings { seed, stays: 60, days: 1, ..tenant(Lists::odd(0.05)) };
        // The same page refused twice for its token ends a run.
        let is_of_token = matches!(kind, FaultKind::TokenRejected | FaultKind::TokenRevoked);
        let strike = if is_of_token { Strike::Request(2) } else { Strike::Rate(0.1) };
        let faults = Endpoint::ALL.map(|endpoint| Fault { kind: *kind, when: When::Only(endpoint, strike) });
        let mut world = world_of(Settings { tenant, faults: faults.to_vec(), ..Settings::default() });
        // What fails for its faults is asked for by the next run that names its date.
        let mut exits = (0..4).map(|_| world.live_one(discover(&world)).exit);
        assert!(exits.any(|exit| exit == Some(0)), "{}", kind.name());
        check_listed(&world, false);
        check_samples(&world, false);
    }
}

#[test]
fn a_permission_that_one_endpoint_lacks_is_told_with_its_name_and_scope() {
    for (endpoint, name) in [(Endpoint::Meetings, "meeting_list"), (Endpoint::Participants, "participant_list")] {
        let faults = vec![Fault { kind: FaultKind::NoPermission, when: When::Only(endpoint, Strike::Rate(1.0)) }];
        let mut world = world_of(Settings { tenant: tenant(Lists::default()), faults, ..Settings::default() });
        let life = world.live_one(discover(&world));
        assert_eq!(life.exit, Some(77));
        let hint = life.hint.clone().unwrap();
        assert!(hint.contains(name) && hint.contains("vc:rooms.room.detailinfo:read"), "{hint}");
        // Once it is granted, the same command goes on.
        world.serve_anew(Settings { tenant: tenant(Lists::default()), ..Settings::default() });
        let life = world.live_one(discover(&world));
        assert_eq!(life.exit, Some(0), "{:#}", life.report);
        check_listed(&world, false);
        check_samples(&world, false);
    }
}

#[test]
fn a_discovery_beside_a_manifest_names_each_stay_once() {
    let mut world = world(Lists::default());
    let some: Vec<_> = world.stays.iter().step_by(3).cloned().collect();
    let manifest = world.write_manifest("some.csv", some.iter());
    let life = world.live_one(Orders { keeps_manifest: true, manifest, ..discover(&world) });
    assert_eq!(life.exit, Some(0), "{:#}", life.report);
    assert_eq!(life.count("/manifest/duplicates"), some.len() as u64);
    check_all(&world, &life, false);
}

/// What was paid for under another end of the meeting, as a manifest had it, is not asked for again.
#[test]
fn a_discovery_after_a_manifest_with_other_ends_asks_for_nothing_again() {
    let mut world = world(Lists::default());
    assert_eq!(world.export().exit, Some(0));
    let state = world.config.state.join("journal.sqlite");
    let journal = rusqlite::Connection::open(state).unwrap();
    journal.execute("UPDATE stay SET meeting_end = meeting_end + 60 WHERE state = 1 AND id % 2", []).unwrap();
    drop(journal);
    let life = world.live_one(discover(&world));
    assert_eq!(life.exit, Some(0), "{:#}", life.report);
    assert_eq!(life.count("/requests/by_endpoint/participant_quality_list/sent"), 0);
}

#[test]
fn a_nightly_discovery_goes_before_a_backfill_in_the_other_process() {
    let tenant = TenantSettings { days: 8, stays: 900, ..tenant(Lists::default()) };
    let mut world = world_of(Settings { tenant, ..Settings::default() });
    let all = all_dates(&world);
    let night = Dates { first: all.last, last: all.last };
    let backfill = Orders { lane: Lane::Backfill, discover: Some(all), ..world.orders() };
    let starts_after = Duration::from_secs(90);
    let nightly = Orders { starts_after, discover: Some(night), manifest: world.path("nightly.csv"), ..world.orders() };
    let lives = world.live(&[backfill, nightly]);
    assert_eq!(lives.iter().map(|life| life.exit).collect::<Vec<_>>(), [Some(0); 2], "{lives:#?}");
    let ended = [lives[0].ended, lives[1].ended];
    assert!(ended[1] < ended[0], "the nightly one came first: {ended:?}");
    check_books(&world);
    check_listed(&world, false);
    check_samples(&world, false);
}

#[test]
fn a_discovery_alone_leaves_the_stays_to_an_export() {
    let mut world = world(Lists::odd(0.1));
    let life = world.live_one(Orders { fetches_samples: false, ..discover(&world) });
    assert_eq!(life.exit, Some(0), "{:#}", life.report);
    assert_eq!(life.count("/requests/by_endpoint/participant_quality_list/sent"), 0);
    check_listed(&world, false);
    let life = world.live_one(discover(&world));
    assert_eq!(life.exit, Some(0), "{:#}", life.report);
    let by_endpoint: BTreeMap<String, Value> =
        serde_json::from_value(life.report["requests"]["by_endpoint"].clone()).unwrap();
    assert_eq!(by_endpoint.keys().collect::<Vec<_>>(), ["participant_quality_list"], "nothing is listed twice");
    check_all(&world, &life, false);
}

#[test]
fn a_signal_the_month_and_an_outage_end_a_discovery_that_goes_on_later() {
    let outage_s = "2025-04-10T00:00:20Z".parse::<DateTime<Utc>>().unwrap().timestamp();
    let outage = When::Between { from_s: outage_s, until_s: outage_s + 3_600 };
    let cases = [
        (Some(Duration::from_secs(20)), vec![], 0, 130),
        (None, vec![], 60, 75),
        (None, vec![Fault { kind: FaultKind::GatewayHtml, when: outage }], 0, 75),
    ];
    for (stop_after, faults, per_month, exit) in cases {
        let settings = Settings { tenant: tenant(Lists::default()), faults, ..Settings::default() };
        let stays = Tenant::new(settings.tenant.clone()).stays().collect();
        let month = per_month.to_string();
        let mut world = World::new(settings, &[("rate.requests_per_month", month.as_str())], stays);
        let life = world.live_one(Orders { stop_after, ..discover(&world) });
        assert_eq!(life.exit, Some(exit), "{:#}", life.report);
        check_books(&world);
        world.rest(TimeDelta::hours(2));
        world.config.rate.requests_per_month = None;
        let life = world.live_one(discover(&world));
        assert_eq!(life.exit, Some(0), "{:#}", life.report);
        check_listed(&world, false);
        check_samples(&world, false);
    }
}

/// Nights that come at any hour and name any dates, some of them again and again: one discovery afterwards finds what is left.
#[test]
fn any_order_and_timing_of_listings_ends_in_the_same_datasets() {
    with_seeds(|seed| {
        let lists = Lists { lost_participants: 0.0, ..Lists::odd(0.1) };
        let tenant = TenantSettings { seed, stays: 200, days: 4, data_delay_s: 7_200, ..tenant(lists) };
        let mut world = world_of(Settings { tenant, ..Settings::default() });
        let afterwards = world.now;
        let mut rng = StdRng::seed_from_u64(seed);
        let all = all_dates(&world);
        world.now = night_after(&world, 0);
        for _ in 0..8 {
            world.rest(TimeDelta::minutes(rng.random_range(30..1_200)));
            let today = NamedDates::Today.at(world.now, world.config.timezone).last.min(all.last);
            let begun: Vec<_> = Dates { first: all.first, last: today }.each().collect();
            let first = begun[rng.random_range(0..begun.len())];
            let dates = Dates { first, last: today };
            let fetches_samples = rng.random_bool(0.7);
            let life = world.live_one(Orders { discover: Some(dates), fetches_samples, ..world.orders() });
            assert_eq!(life.exit, Some(0), "{:#}", life.report);
        }
        world.now = afterwards;
        let life = world.live_one(discover(&world));
        assert_eq!(life.exit, Some(0), "{:#}", life.report);
        check_listed(&world, false);
        check_samples(&world, false);
    });
}

/// A discovery of many dates holds the right to fetch for long: who waits for it is served meanwhile.
#[test]
fn a_night_does_not_wait_until_a_year_is_listed() {
    let tenant = TenantSettings { days: 300, stays: 6_000, meeting_minutes_max: 30, ..tenant(Lists::default()) };
    let mut world = world_of(Settings { tenant, ..Settings::default() });
    world.now += TimeDelta::days(300);
    let all = all_dates(&world);
    let year = Orders { lane: Lane::Backfill, fetches_samples: false, discover: Some(all), ..world.orders() };
    let night = Dates { first: all.last, last: all.last };
    let nightly = Orders {
        starts_after: Duration::from_secs(60),
        discover: Some(night),
        manifest: world.path("nightly.csv"),
        ..world.orders()
    };
    let lives = world.live(&[year, nightly]);
    assert_eq!(lives.iter().map(|life| life.exit).collect::<Vec<_>>(), [Some(0); 2], "{lives:#?}");
    let ended = [lives[0].ended, lives[1].ended];
    assert!(ended[1] < ended[0] - TimeDelta::minutes(3), "{ended:?}");
    check_books(&world);
}

/// What an alarm has set aside is asked for by the run that names its date, and by none that waits for ever.
#[test]
fn listings_that_were_set_aside_are_taken_back_by_who_names_their_dates() {
    let mut world = world(Lists { across_midnight: 0.2, ..Lists::default() });
    let life = world.live_one(Orders { stop_after: Some(Duration::from_secs(5)), ..discover(&world) });
    assert_eq!(life.exit, Some(130));
    let state = world.config.state.join("journal.sqlite");
    let journal = rusqlite::Connection::open(state).unwrap();
    assert!(journal.execute("UPDATE listing SET suspect = 1 WHERE state = 0", []).unwrap() > 0);
    drop(journal);
    let all = all_dates(&world);
    let last = Orders { discover: Some(Dates { first: all.last, ..all }), ..world.orders() };
    assert_eq!(world.live_one(last).exit, Some(0));
    let life = world.live_one(discover(&world));
    assert_eq!(life.exit, Some(0), "{:#}", life.report);
    check_listed(&world, false);
    check_samples(&world, false);
}
