//! A journal and a dataset that an older version began go on under this one.
//!
//! `fixtures/format-1` was made by the version before: two files on each of three dates, a second reading of one date that
//! was not concluded, a run that was killed with three stays pending, and a rebuild of the last date that failed after it
//! had recorded its intent.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

use chrono::NaiveDate;
use vcq::{
    command::{status::status, verify::verify},
    dates::Dates,
    error::ExitCode,
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

fn fixture() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/format-1")
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
fn world() -> World {
    let first_day = NaiveDate::from_ymd_opt(2026, 3, 2).unwrap();
    let tenant = TenantSettings {
        seed: 7,
        first_day,
        days: 3,
        stays: 18,
        meeting_minutes_max: 40,
        other_forms: 0.02,
        ..TenantSettings::default()
    };
    let stays = Tenant::new(tenant.clone()).stays().collect();
    let mut world = World::new(Settings { tenant, ..Settings::default() }, &[], stays);
    copy(&fixture(), &world.path("."));
    world.now = "2026-11-25T15:00:00Z".parse().unwrap();
    world
}

#[test]
fn what_an_older_version_began_goes_on_with_no_request_repeated() {
    let mut world = world();
    let faults = |world: &World| verify(&world.config, &world.start()).unwrap().to_string();
    let before = faults(&world);
    assert!(before.contains("FAIL  date=2026-03-04  a publication was cut"), "{before}");
    let statuses = status(&world.config, &world.start()).unwrap().dates;
    assert_eq!(statuses.iter().map(|date| date.complete).collect::<Vec<_>>(), [true, false, false]);

    let life = world.export();
    assert_eq!((life.exit, life.sent), (Some(0), 3), "those that were pending");
    assert_eq!(world.sent.iter().map(|sent| &sent.stay).collect::<BTreeSet<_>>().len(), 3);
    check_complete(&world);
    assert_eq!(verify(&world.config, &world.start()).unwrap().exit_code(), ExitCode::Complete, "{}", faults(&world));

    let of_refresh = NaiveDate::from_ymd_opt(2026, 3, 3).unwrap();
    let dates = Some(Dates { first: of_refresh, last: of_refresh });
    let life = world.live_one(Orders { refresh: dates, ..world.orders() });
    assert_eq!(
        (life.exit, life.sent, life.count("/refreshed/same")),
        (Some(0), 0, 4),
        "its second readings were paid for"
    );
    check_complete(&world);

    let copied = fs::read(world.path("state/journal.sqlite.format-1")).unwrap();
    assert_eq!(&copied[60..64], [0, 0, 0, 1], "the copy has the format that it had");
}

#[test]
fn an_upgrade_that_fails_leaves_the_journal_as_it_was() {
    let world = world();
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
