//! A journal that is lost, or older than its dataset: nothing is asked for or published twice.

use std::fs;

use chrono::TimeDelta;
use vcq::{
    command::{adopt::adopt, rebuild::rebuild, status::status, verify::verify},
    config::Form,
    dataset::Dataset,
    dates::Dates,
    error::ExitCode,
    simulator::{
        Settings,
        lists::Lists,
        tenant::{Tenant, TenantSettings},
    },
};

use crate::{
    discover::{all_dates, check_samples, discover},
    invariants::{check, check_complete},
    listed::check_listed,
    oracle::files,
    settings,
    world::{Orders, World},
};

fn run(world: &World) -> (u64, usize) {
    let adopted = adopt(&world.config, &world.start()).unwrap();
    (adopted.files, adopted.refused.len())
}

#[test]
fn a_lost_journal_stops_the_run_until_the_files_are_adopted() {
    let mut world = crate::world(settings(31), 20, 2);
    assert_eq!(world.export().exit, Some(0));
    fs::remove_dir_all(&world.config.state).unwrap();
    let sent = world.sent.len();
    let life = world.export();
    assert_eq!((life.exit, world.sent.len()), (Some(74), sent), "before the first request");
    assert!(life.error.unwrap().contains("is not in this journal"));
    let verified = verify(&world.config, &world.start()).unwrap().to_string();
    assert!(
        verified.contains("is not in this journal: restore the journal that knows it, or `vcq adopt`"),
        "{verified}"
    );

    assert_eq!(run(&world), (3, 0));
    assert_eq!(run(&world), (0, 0), "it is done");
    assert_eq!(verify(&world.config, &world.start()).unwrap().exit_code(), ExitCode::Complete);
    let life = world.export();
    let without_samples = life.sent;
    assert_eq!(life.exit, Some(0));
    assert!(without_samples < 5, "only stays without a row are asked for again: {without_samples}");
    check_complete(&world);
}

/// The backup is older than a part of the dataset.
#[test]
fn a_restored_journal_goes_on_after_the_newer_files_are_adopted() {
    let mut world = crate::world(settings(32), 24, 2);
    let (first, late): (Vec<_>, Vec<_>) = world.stays.iter().cloned().enumerate().partition(|(n, _)| n % 2 == 0);
    let write = |name, stays: &[(usize, _)]| world.write_manifest(name, stays.iter().map(|(_, stay)| stay));
    let (first, late) = (write("first.csv", &first), write("late.csv", &late));
    world.live_one(Orders { manifest: first, ..world.orders() });
    let backup = fs::read(world.config.state.join("journal.sqlite")).unwrap();
    let life = world.live_one(Orders { manifest: late.clone(), ..world.orders() });
    assert_eq!(life.exit, Some(0));
    for file in ["journal.sqlite-wal", "journal.sqlite-shm"] {
        drop(fs::remove_file(world.config.state.join(file)));
    }
    fs::write(world.config.state.join("journal.sqlite"), backup).unwrap();
    let life = world.live_one(Orders { manifest: late.clone(), ..world.orders() });
    assert_eq!((life.exit, life.sent), (Some(74), 0));
    let (files, refused) = run(&world);
    assert!(files > 0 && refused == 0);
    let life = world.export();
    assert_eq!(life.exit, Some(0));
    check_complete(&world);
    assert_eq!(verify(&world.config, &world.start()).unwrap().exit_code(), ExitCode::Complete);
}

/// A file is taken whole or not at all.
#[test]
fn a_file_that_cannot_be_read_or_doubles_rows_is_refused() {
    let mut world = crate::world(settings(33), 20, 0);
    let life = world.export();
    check(&world, &life);
    let date = fs::read_dir(world.config.output.folder().unwrap()).unwrap().next().unwrap().unwrap().path();
    let part = fs::read_dir(&date).unwrap().next().unwrap().unwrap().path();
    let bytes = fs::read(&part).unwrap();
    fs::write(date.join("part-00000000000000aa.parquet"), &bytes).unwrap();
    fs::write(date.join("part-00000000000000bb.parquet"), &bytes[..100]).unwrap();
    assert_eq!(world.export().exit, Some(74));
    assert_eq!(run(&world), (0, 2));
    for name in ["aa", "bb"] {
        fs::remove_file(date.join(format!("part-00000000000000{name}.parquet"))).unwrap();
    }
    assert_eq!(world.export().exit, Some(0));
    check_complete(&world);
}

/// A tenant of three days that is discovered.
fn discovered(seed: u64) -> World {
    discovered_into("files", seed)
}

fn discovered_into(table: &str, seed: u64) -> World {
    let lists = Lists::default();
    let tenant =
        TenantSettings { seed, days: 3, stays: 60, meeting_minutes_max: 60, lists, ..TenantSettings::default() };
    let stays = Tenant::new(tenant.clone()).stays().collect();
    World::new(Settings { tenant, ..Settings::default() }, &[("table", table)], stays)
}

fn of(world: &World, dates: Dates) -> Orders {
    Orders { discover: Some(dates), ..discover(world) }
}

/// The names of the published files of meetings and participants.
fn listed_files(world: &World) -> Vec<String> {
    let places = Dataset::LISTED.into_iter().filter_map(|dataset| world.config.place(dataset));
    let names = places.flat_map(|place| files(place.folder().unwrap()).into_keys());
    names.filter(|name| name.starts_with("date=")).collect()
}

/// Adopts, and makes sure that all is as it was before: each dataset of discovery has so many files more.
fn adopt_listed(world: &World, files_of_each: u64) {
    let adopted = adopt(&world.config, &world.start()).unwrap();
    let taken: Vec<_> = adopted.listed.iter().map(|(dataset, (files, _))| (*dataset, *files)).collect();
    assert_eq!(taken, [(Dataset::Meetings, files_of_each), (Dataset::Participants, files_of_each)], "{adopted}");
    assert_eq!(adopted.exit_code(), ExitCode::Complete, "{adopted}");
    let verified = verify(&world.config, &world.start()).unwrap();
    assert_eq!(verified.exit_code(), ExitCode::Complete, "{verified}");
}

#[test]
fn a_lost_journal_of_discovered_dates_goes_on_with_the_adopted_files() {
    for table in ["files", "delta"] {
        goes_on_without_its_journal(discovered_into(table, 41));
    }
}

fn goes_on_without_its_journal(mut world: World) {
    let all = all_dates(&world);
    assert_eq!(world.live_one(discover(&world)).exit, Some(0));
    let before = listed_files(&world);
    fs::remove_dir_all(&world.config.state).unwrap();
    let life = world.live_one(of(&world, all));
    assert_eq!((life.exit, life.sent), (Some(74), 0));
    adopt_listed(&world, 3);
    assert!(status(&world.config, &world.start()).unwrap().dates.iter().all(|date| date.complete));
    let rebuilt = rebuild(&world.config, (None, None), &world.start(), |_| {}).unwrap();
    assert_eq!((rebuilt.skipped.len(), rebuilt.listed), (3, 0), "their pages are dropped");

    let last = Dates { first: all.last, last: all.last };
    assert_eq!(world.live_one(of(&world, last)).exit, Some(0));
    assert_eq!(listed_files(&world), before, "what was listed anew says the same");
    let rebuilt = rebuild(&world.config, (Some(all.last), Some(all.last)), &world.start(), |_| {});
    assert!(rebuilt.is_err(), "its samples' pages are dropped");
    let life = world.live_one(Orders { refresh: Some(last), ..of(&world, last) });
    assert_eq!(life.exit, Some(0), "it can be listed once more");
    let life = world.live_one(of(&world, all));
    assert_eq!(life.exit, Some(0));
    assert_eq!(listed_files(&world), before);
    assert_eq!(verify(&world.config, &world.start()).unwrap().exit_code(), ExitCode::Complete);
    if world.config.table == Form::Files {
        check_listed(&world, false);
        check_samples(&world, false);
    }
}

#[test]
fn a_backup_of_the_first_discovered_date_goes_on_with_the_adopted_files() {
    let mut world = discovered(42);
    let all = all_dates(&world);
    let first = Dates { first: all.first, last: all.first };
    assert_eq!(world.live_one(of(&world, first)).exit, Some(0));
    let backup = fs::read(world.config.state.join("journal.sqlite")).unwrap();
    assert_eq!(world.live_one(of(&world, all)).exit, Some(0));
    for file in ["journal.sqlite-wal", "journal.sqlite-shm"] {
        drop(fs::remove_file(world.config.state.join(file)));
    }
    fs::write(world.config.state.join("journal.sqlite"), backup).unwrap();
    let life = world.live_one(of(&world, all));
    assert_eq!((life.exit, life.sent), (Some(74), 0));
    adopt_listed(&world, 2);
    let life = world.live_one(of(&world, all));
    assert_eq!(life.exit, Some(0), "{life:#?}");
    check_listed(&world, false);
    check_samples(&world, false);
    assert_eq!(verify(&world.config, &world.start()).unwrap().exit_code(), ExitCode::Complete);
}

/// An adopted file is replaced by what was listed of its date anew, as a whole, and by nothing less.
#[test]
fn an_adopted_file_stays_until_its_date_is_listed_as_a_whole() {
    let mut world = discovered(43);
    let all = all_dates(&world);
    assert_eq!(world.live_one(discover(&world)).exit, Some(0));
    fs::remove_dir_all(&world.config.state).unwrap();
    adopt_listed(&world, 3);
    let before = listed_files(&world);
    // The next night's configuration publishes more columns: what is listed anew has another name.
    world.config.discover.personal = vec!["participant_name".into()];
    let until = Some(TimeDelta::seconds(2));
    let life = world.live_one(Orders { until, ..of(&world, all) });
    assert_ne!(life.exit, Some(0), "cut in between");
    let changed = listed_files(&world).iter().filter(|name| !before.contains(name)).count();
    let verified = verify(&world.config, &world.start()).unwrap();
    assert_eq!(verified.exit_code(), ExitCode::Complete, "{changed} files are new: {verified}");
    assert_eq!(world.live_one(of(&world, all)).exit, Some(0));
    assert_eq!(listed_files(&world).len(), before.len(), "one file for each date");
    assert_ne!(listed_files(&world), before);
    check_listed(&world, false);
}

/// What cannot be taken is named, with what to do; and doing it helps.
#[test]
fn files_of_other_columns_or_two_of_one_date_are_refused_by_name() {
    let mut world = discovered(44);
    assert_eq!(world.live_one(discover(&world)).exit, Some(0));
    fs::remove_dir_all(&world.config.state).unwrap();
    let place = |dataset| world.config.place(dataset).unwrap().folder().unwrap().to_owned();
    let part = |folder: &std::path::Path| {
        let date = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).min().unwrap();
        fs::read_dir(date).unwrap().next().unwrap().unwrap().path()
    };
    let (meetings, participants) = (part(&place(Dataset::Meetings)), part(&place(Dataset::Participants)));
    _ = fs::copy(&participants, &meetings).unwrap();
    let twin = participants.with_file_name("part-00000000000000aa.parquet");
    _ = fs::copy(&participants, &twin).unwrap();
    let adopted = adopt(&world.config, &world.start()).unwrap();
    assert_eq!((adopted.refused_listed.len(), adopted.exit_code()), (3, ExitCode::SomeFailed), "{adopted}");
    let text = adopted.to_string();
    assert!(text.contains("columns") && text.contains("another visible file") && text.contains("move those"), "{text}");
    let life = world.live_one(discover(&world));
    assert_eq!((life.exit, life.sent), (Some(74), 0));
    for path in [&meetings, &twin] {
        fs::remove_file(path).unwrap();
    }
    assert_eq!(adopt(&world.config, &world.start()).unwrap().exit_code(), ExitCode::Complete);
    assert_eq!(world.live_one(discover(&world)).exit, Some(0));
    check_listed(&world, false);
}
