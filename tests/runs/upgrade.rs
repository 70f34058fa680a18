//! A journal and a dataset that an older version began go on under this one.
//!
//! `fixtures/format-1` was made by the version before: two files on each of three dates, a second reading of one date that
//! was not concluded, a run that was killed with three stays pending, and a rebuild of the last date that failed after it
//! had recorded its intent.
//!
//! `fixtures/format-2` likewise: two files on each of three dates, a refresh of one date that was stopped half-way, six
//! stays that are pending, and an API that refuses requests for another 20 seconds. `fixtures/format-3` is what the version that
//! wrote format 3 made of it, `fixtures/format-4` the same of the next one, and `fixtures/format-5` of the one after that.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

use chrono::{DateTime, NaiveDate, Utc};
use vcq::{
    command::{status::status, verify::verify},
    dates::Dates,
    endpoint::Endpoint,
    error::{Error, ExitCode},
    journal::{Identity, Journal, JournalError},
    simulator::{
        Settings,
        tenant::{Tenant, TenantSettings},
    },
};

use crate::{
    invariants::check_complete,
    world::{Orders, World},
};

/// What an older version left, and when.
struct Fixture {
    format: u8,
    now: &'static str,
    /// What `verify` says of it besides what is right.
    fault: &'static str,
    /// Which of its dates are complete.
    complete: [bool; 3],
    /// Requests that are left to be sent, for pending stays and second readings.
    left: u64,
}

const FIXTURES: [Fixture; 5] = [
    Fixture {
        format: 1,
        now: "2026-11-25T15:00:00Z",
        fault: "FAIL  date=2026-03-04  a publication was cut",
        complete: [true, false, false],
        left: 3,
    },
    Fixture {
        format: 2,
        now: "2026-11-25T21:00:00Z",
        fault: "dataset and journal agree",
        complete: [false; 3],
        left: 8,
    },
    Fixture {
        format: 3,
        now: "2026-11-25T21:00:00Z",
        fault: "dataset and journal agree",
        complete: [false; 3],
        left: 8,
    },
    Fixture {
        format: 4,
        now: "2026-11-25T21:00:00Z",
        fault: "dataset and journal agree",
        complete: [false; 3],
        left: 8,
    },
    Fixture {
        format: 5,
        now: "2026-11-25T21:00:00Z",
        fault: "dataset and journal agree",
        complete: [false; 3],
        left: 8,
    },
];

fn fixture(format: u8) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/fixtures/format-{format}"))
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &target);
        } else {
            _ = fs::copy(entry.path(), target).unwrap();
        }
    }
}

/// The tenant that the older version asked, and what it left.
fn world(fixture: &Fixture) -> World {
    let first_day = NaiveDate::from_ymd_opt(2026, 3, 2).unwrap();
    let tenant = TenantSettings {
        seed: 7,
        first_day,
        days: 3,
        stays: 18,
        meeting_minutes_max: 40,
        other_forms: 0.02,
        // The fixtures were fetched from a tenant of before.
        good_connections: false,
        ..TenantSettings::default()
    };
    let stays = Tenant::new(tenant.clone()).stays().collect();
    let mut world = World::new(Settings { tenant, ..Settings::default() }, &[], stays);
    copy(&self::fixture(fixture.format), &world.path("."));
    world.now = fixture.now.parse().unwrap();
    world
}

#[test]
fn what_an_older_version_began_goes_on_with_no_request_repeated() {
    for fixture in FIXTURES {
        let mut world = world(&fixture);
        let of_old = fs::read(world.path("state/journal.sqlite")).unwrap();
        let error = status(&world.config, &world.start()).unwrap_err();
        let found = u32::from(fixture.format);
        assert!(matches!(error, Error::Journal(JournalError::Old { found: of, .. }) if of == found), "{error}");
        assert_eq!(fs::read(world.path("state/journal.sqlite")).unwrap(), of_old, "who reads changes nothing");
        assert!(!world.path(&format!("state/journal.sqlite.format-{found}")).exists());
        drop(Journal::open(&world.config.state, &Identity::of(&world.config)).unwrap());
        let faults = |world: &World| verify(&world.config, &world.start()).unwrap().to_string();
        let before = faults(&world);
        assert!(before.contains(fixture.fault), "{before}");
        let statuses = status(&world.config, &world.start()).unwrap().dates;
        assert_eq!(statuses.iter().map(|date| date.complete).collect::<Vec<_>>(), fixture.complete);

        let life = world.export();
        assert_eq!((life.exit, life.sent), (Some(0), fixture.left), "format {}: what was pending", fixture.format);
        assert_eq!(world.sent.iter().map(|sent| &sent.stay).collect::<BTreeSet<_>>().len() as u64, fixture.left);
        check_complete(&world);
        assert_eq!(
            verify(&world.config, &world.start()).unwrap().exit_code(),
            ExitCode::Complete,
            "{}",
            faults(&world)
        );

        let of_refresh = NaiveDate::from_ymd_opt(2026, 3, 3).unwrap();
        let dates = Some(Dates { first: of_refresh, last: of_refresh });
        let life = world.live_one(Orders { refresh: dates, ..world.orders() });
        assert_eq!(
            (life.exit, life.sent, life.count("/refreshed/same")),
            (Some(0), 0, 4),
            "format {}: its second readings were paid for",
            fixture.format
        );
        check_complete(&world);

        let copied = fs::read(world.path(&format!("state/journal.sqlite.format-{}", fixture.format))).unwrap();
        assert_eq!(copied[60..64], [0, 0, 0, fixture.format], "the copy has the format that it had");
    }
}

/// The API would answer a request before with a refusal, for which the whole of the run waits.
#[test]
fn a_refusal_that_an_older_version_recorded_is_waited_for() {
    for fixture in &FIXTURES[1..] {
        let mut world = world(fixture);
        let journal = Journal::open(&world.config.state, &Identity::of(&world.config)).unwrap();
        let refused_until = "2026-11-25T21:00:20Z".parse::<DateTime<Utc>>().unwrap();
        assert_eq!(journal.gate_ms(Endpoint::Quality).unwrap(), Some(refused_until.timestamp_millis()));
        drop(journal);
        world.export();
        assert!(world.sent.iter().all(|sent| sent.at >= refused_until));
    }
}

#[test]
fn an_upgrade_that_fails_leaves_the_journal_as_it_was() {
    let world = world(&FIXTURES[0]);
    // A folder stands where the copy is to be begun.
    let obstacle = world.path("state/journal.sqlite.format-1.unfinished");
    fs::create_dir(&obstacle).unwrap();
    let before = fs::read(world.path("state/journal.sqlite")).unwrap();
    let error = Journal::open(&world.config.state, &Identity::of(&world.config)).err().unwrap();
    assert!(matches!(error, JournalError::BackUp { .. }), "{error}");
    assert!(!error.is_usage() && error.hint().is_some());
    assert_eq!(fs::read(world.path("state/journal.sqlite")).unwrap()[60..64], [0, 0, 0, 1], "it has its old format");
    fs::remove_dir(&obstacle).unwrap();
    // What a process left that was killed while it copied.
    fs::write(&obstacle, &before[..before.len() / 2]).unwrap();
    Journal::open(&world.config.state, &Identity::of(&world.config)).unwrap();
    assert!(!obstacle.exists());
}

/// It knows rows by numbers that an upgrade may change.
#[test]
fn a_journal_in_which_an_older_version_is_at_work_is_left_alone() {
    for (fixture, lock) in FIXTURES.iter().zip(["fetch.lock", "publish.lock"]) {
        let world = world(fixture);
        let held = fs::File::create(world.path("state").join(lock)).unwrap();
        held.lock().unwrap();
        let error = Journal::open(&world.config.state, &Identity::of(&world.config)).err().unwrap();
        assert!(matches!(error, JournalError::AtWork { found, .. } if found == u32::from(fixture.format)), "{error}");
        assert!(error.is_busy() && error.hint().is_some());
        assert!(!world.path(&format!("state/journal.sqlite.format-{}", fixture.format)).exists());
        drop(held);
        Journal::open(&world.config.state, &Identity::of(&world.config)).unwrap();
    }
}

/// What was exported by manifests is known by the time it is discovered: nothing of it is asked for again.
#[test]
fn stays_of_an_older_version_are_not_asked_for_again_when_they_are_discovered() {
    let mut world = world(&FIXTURES[2]);
    assert_eq!(world.export().exit, Some(0));
    let first = NaiveDate::from_ymd_opt(2026, 3, 2).unwrap();
    let dates = Some(Dates { first, last: NaiveDate::from_ymd_opt(2026, 3, 4).unwrap() });
    let life = world.live_one(Orders { discover: dates, ..world.orders() });
    assert_eq!(life.exit, Some(0), "{:#}", life.report);
    assert_eq!(life.count("/requests/by_endpoint/participant_quality_list/sent"), 0);
    assert_eq!(life.count("/discovered/stays"), 18);
    check_complete(&world);
}
