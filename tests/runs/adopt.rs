//! A journal that is lost, or older than its dataset: nothing is asked for or published twice.

use std::fs;

use vcq::{
    command::{adopt::adopt, verify::verify},
    error::ExitCode,
};

use crate::{
    invariants::{check, check_complete},
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
