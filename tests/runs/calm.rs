//! Runs in which nothing goes wrong.

use std::{collections::BTreeMap, fs, path::Path, time::Duration};

use chrono::TimeDelta;
use serde_json::{Value, json};
use vcq::{
    journal::Lane,
    simulator::{
        Settings,
        latency::Latency,
        tenant::{SimulatedStay, Tenant},
    },
};

use crate::{
    invariants::{check, check_complete, check_idle, check_rebuild},
    seeds::with_seeds,
    settings, some_stays, world,
    world::{Orders, World},
};

#[test]
fn every_row_is_there_once_and_every_page_was_asked_for_once() {
    with_seeds(|seed| {
        let mut world = world(settings(seed), 60, 10);
        let life = world.export();
        assert_eq!((life.exit, life.account()), (Some(0), [0, 0, 70, 0, 0, 0]));
        assert!(world.books().pages().all(|(.., page)| page.asked == 1));
        check(&world, &life);
        check_complete(&world);
        check_idle(&mut world, &life);
        check_rebuild(&world);
    });
}

#[test]
fn values_in_other_forms_are_read_as_contracted() {
    with_seeds(|seed| {
        let mut settings = settings(seed);
        settings.tenant.other_forms = 0.7;
        let mut world = world(settings, 12, 2);
        let life = world.export();
        assert_eq!(life.exit, Some(0));
        assert!(life.report["unparsed"].as_object().unwrap().len() > 30);
        assert!(life.report["unknown_keys"].as_object().unwrap().len() >= 6, "{:#}", life.report["unknown_keys"]);
        check(&world, &life);
        check_complete(&world);
    });
}

/// A meeting's number orders rows where its start does not.
#[test]
fn meetings_that_start_in_the_same_second_do_not_mix() {
    let mut settings = settings(20);
    settings.tenant.stays = 20_000;
    let mut by_start: BTreeMap<i64, Vec<SimulatedStay>> = BTreeMap::new();
    for stay in Tenant::new(settings.tenant.clone()).stays().filter(|stay| (1..40).contains(&stay.sample_count)) {
        by_start.entry(stay.meeting_start_s).or_default().push(stay);
    }
    let is_shared = |stays: &&Vec<SimulatedStay>| stays.iter().any(|stay| stay.meeting_no != stays[0].meeting_no);
    let stays: Vec<_> = by_start.values().filter(is_shared).take(6).flatten().cloned().collect();
    assert!(stays.len() >= 24, "{}", stays.len());
    let mut world = World::new(settings, &[], stays);
    let life = world.export();
    assert_eq!(life.exit, Some(0));
    check(&world, &life);
    check_complete(&world);
}

/// What the configuration and the latency may change: when requests are sent and where rows stand, never the rows.
#[test]
fn settings_change_no_row() {
    let flags: [&[(&str, &str)]; 5] = [
        &[("timezone", "America/New_York")],
        &[("timezone", "Pacific/Kiritimati"), ("rate.in_flight_max", "1")],
        &[("rate.in_flight_max", "64")],
        &[("rate.requests_per_minute", "7")],
        &[("retry.attempts_max", "1"), ("absent_retry_for", "0s")],
    ];
    for (flags, milliseconds) in flags.into_iter().zip([0, 40, 350, 3_000, 29_000]) {
        let latency = Latency::Constant(Duration::from_millis(milliseconds));
        let settings = Settings { latency, ..settings(4) };
        let stays = some_stays(&settings, 16, 3);
        let mut world = World::new(settings, flags, stays);
        let life = world.export();
        assert_eq!(life.exit, Some(0), "{flags:?}");
        check(&world, &life);
        check_complete(&world);
    }
}

#[test]
fn rows_named_twice_and_rows_that_break_a_rule_are_accounted_for() {
    let mut world = world(settings(5), 20, 0);
    let text = fs::read_to_string(world.orders().manifest).unwrap();
    let (header, rows) = text.split_once('\n').unwrap();
    let broken = "12345678,1,2,1,ou_1,\n123456789,2,1,1,ou_1,\n123456789,1,2,1,ou_1,omm_1\n";
    let manifest = world.path("messy.csv");
    fs::write(&manifest, format!("{header}\n{rows}{broken}{rows}{rows}")).unwrap();
    let life = world.live_one(Orders { manifest, ..world.orders() });
    assert_eq!((life.exit, life.account()), (Some(65), [40, 3, 20, 0, 0, 0]));
    assert_eq!((life.count("/manifest/rows"), life.sent), (63, 20));
    let rejects = fs::read_to_string(life.report["rejects_file"].as_str().unwrap()).unwrap();
    assert_eq!(rejects.lines().count(), 4);
    check(&world, &life);
    check_complete(&world);
}

/// Damage is found by some night, long before anybody needs what was damaged; whole nights say what they looked at.
#[test]
fn each_date_and_page_is_verified_within_a_month_of_nights() {
    let mut world = world(settings(6), 40, 0);
    assert_eq!(world.export().exit, Some(0));
    let empty = world.write_manifest("empty.csv", std::iter::empty());
    let bad = world.path("bad.csv");
    fs::write(&bad, "meeting_no,meeting_start_time,meeting_end_time,join_time,user_id,room_id\n1,2,3,4,ou_1,\n")
        .unwrap();
    let nights = |world: &mut World, manifest: &Path| -> Vec<_> {
        let night = |_| {
            world.rest(TimeDelta::days(1));
            world.live_one(Orders { manifest: manifest.to_owned(), ..world.orders() })
        };
        (0..29).map(night).map(|life| (life.exit, life.report["spot_check"].clone())).collect()
    };
    let sum = |nights: &[(Option<u8>, Value)], key: &str| -> u64 {
        nights
            .iter()
            .map(|(_, check)| check[key].as_u64().or(check[key].as_array().map(|list| list.len() as u64)).unwrap())
            .sum()
    };
    let sound = nights(&mut world, &empty);
    assert!(sound.iter().all(|(exit, check)| *exit == Some(0) && check["problems"] == json!([])), "{sound:#?}");
    let dates = fs::read_dir(world.config.output.folder().unwrap()).unwrap().map(|date| date.unwrap().path());
    let files: Vec<_> = dates.flat_map(|date| fs::read_dir(date).unwrap()).map(|file| file.unwrap().path()).collect();
    assert_eq!((sum(&sound, "dates"), sum(&sound, "files")), (files.len() as u64, files.len() as u64));
    assert_eq!(sum(&sound, "landed_pages"), world.books().pages().count() as u64);

    let mut bytes = fs::read(&files[0]).unwrap();
    bytes[100] ^= 1;
    fs::write(&files[0], bytes).unwrap();
    let journal = rusqlite::Connection::open(world.config.state.join("journal.sqlite")).unwrap();
    journal.execute("UPDATE page SET digest = zeroblob(16) WHERE stay = 7", []).unwrap();
    // Rows that are rejected besides do not hide it.
    let found = nights(&mut world, &bad);
    assert_eq!(sum(&found, "problems"), 2, "{found:#?}");
    for (exit, check) in found {
        assert_eq!(exit, Some(if check["problems"] == json!([]) { 65 } else { 74 }), "{check}");
    }
    // Another lane's run is not the one to look.
    let life = world.live_one(Orders { manifest: empty.clone(), lane: Lane::Backfill, ..world.orders() });
    assert_eq!(life.report["spot_check"], Value::Null);
}
