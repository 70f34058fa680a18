//! A journal that cannot be written, while answers are under way.

use std::time::Duration;

use chrono::TimeDelta;
use rusqlite::Connection;
use vcq::simulator::{Settings, latency::Latency};

use crate::{
    invariants::{check, check_complete},
    settings, world,
    world::{Orders, World},
};

/// A world in which many answers are under way at a time, and whose journal is there already.
fn begun() -> (World, Connection) {
    let latency = Latency::Constant(Duration::from_secs(20));
    let mut world = world(Settings { latency, ..settings(31) }, 40, 0);
    let orders = world.orders();
    let life = world.live_one(Orders { until: Some(TimeDelta::seconds(2)), ..orders });
    assert_eq!(life.exit, Some(75));
    let journal = Connection::open(world.config.state.join("journal.sqlite")).unwrap();
    (world, journal)
}

/// Requests whose answers were lost: each stay has one page, and is asked for until it has landed.
fn repeated(world: &World) -> u64 {
    world.books().pages().map(|(.., page)| u64::from(page.asked - 1)).sum()
}

#[test]
fn a_page_that_cannot_be_recorded_takes_none_of_those_under_way_with_it() {
    let (mut world, journal) = begun();
    let third = "SELECT id FROM stay WHERE state = 0 ORDER BY lane, id LIMIT 1 OFFSET 2";
    let third: i64 = journal.query_row(third, [], |row| row.get(0)).unwrap();
    let refuse = format!(
        "CREATE TRIGGER refuse BEFORE INSERT ON page WHEN NEW.stay = {third} BEGIN SELECT RAISE(ABORT, 'refused'); END"
    );
    journal.execute_batch(&refuse).unwrap();
    let life = world.export();
    assert_eq!(life.exit, Some(74));
    let stopped = life.report["stopped"].as_str().unwrap();
    assert!(stopped.starts_with("1 answer that is paid for could not be recorded"), "{stopped}");
    assert!(!life.hint.unwrap().contains("nothing is lost"));
    journal.execute_batch("DROP TRIGGER refuse").unwrap();
    world.abandoned += 1;
    let life = world.export();
    assert_eq!(life.exit, Some(0));
    assert_eq!(repeated(&world), 1, "but for it, all that were under way have landed");
    check(&world, &life);
    check_complete(&world);
}

#[test]
fn what_a_full_journal_did_not_take_is_counted() {
    let (mut world, journal) = begun();
    journal
        .execute_batch("CREATE TRIGGER refuse BEFORE INSERT ON page BEGIN SELECT RAISE(ABORT, 'refused'); END")
        .unwrap();
    let life = world.export();
    assert_eq!(life.exit, Some(74));
    let under_way = world.config.rate.in_flight_max as u64;
    let stopped = life.report["stopped"].as_str().unwrap();
    assert!(stopped.starts_with(&format!("{under_way} answers that are paid for could not be recorded")), "{stopped}");
    journal.execute_batch("DROP TRIGGER refuse").unwrap();
    world.abandoned += under_way;
    let life = world.export();
    assert_eq!((life.exit, repeated(&world)), (Some(0), under_way));
    check(&world, &life);
    check_complete(&world);
}
