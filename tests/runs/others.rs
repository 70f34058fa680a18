//! Tables that another program has changed: what it has rewritten is neither published a second time nor taken for sound when it is
//! gone, and each way out that is named leads out.

use std::{fs, path::Path};

use chrono::TimeDelta;
use serde_json::json;
use vcq::{
    command::{adopt::adopt, archive::prune::prune, rebuild::make_tables_anew, status::status, verify::verify_within},
    dataset::Dataset,
    error::{Chain, Error, ExitCode},
    publish::find_table,
};

use crate::{
    frail_buckets::Ill,
    oracle::{LOG, date_of, read_files},
    tables::{
        ask_for_lists, commit_foreign, copy, expect_sound, lists, optimize_date, publish_twice, rebuild_all, removal,
        verified, world, world_in_bucket,
    },
    world::{Orders, World},
};

/// Another program rewrites every date, and takes away what it has rewritten.
fn optimize_and_vacuum(dataset: &Path) {
    let names: Vec<_> = read_files(dataset).into_keys().collect();
    let mut folders: Vec<_> = names.iter().map(|name| name.split_once('/').unwrap().0).collect();
    folders.dedup();
    for folder in folders {
        for path in optimize_date(dataset, folder, |rows| rows).1 {
            fs::remove_file(dataset.join(path)).unwrap();
        }
    }
}

fn expect_stop(world: &mut World, said: &str, remedy: &str) {
    let life = world.export();
    assert_eq!((life.exit, life.sent), (Some(ExitCode::Disk as u8), 0), "{:?}", life.error);
    assert!(life.error.as_deref().is_some_and(|error| error.contains(said)), "{:?}", life.error);
    assert!(life.hint.as_deref().is_some_and(|hint| hint.contains(remedy)), "{:?}", life.hint);
}

fn expect_fault(world: &World, said: &str) {
    let verified = verified(world);
    assert_eq!(verified.exit_code(), ExitCode::Disk, "{verified}");
    assert!(verified.to_string().contains(said), "{said}: {verified}");
}

/// How many rows the table has, whoever wrote them.
fn rows(world: &World) -> u64 {
    let store = world.start().stores(&world.config).existing(&world.config.output).unwrap();
    let state = store.table_state().unwrap().unwrap();
    let dates: Vec<_> = state.dates().collect();
    dates.into_iter().flat_map(|date| state.on(date).into_values()).map(|file| file.rows.unwrap()).sum()
}

#[test]
fn a_journal_of_before_publishes_nothing_beside_what_another_program_has_rewritten() {
    for is_lost in [false, true] {
        let mut world = world();
        let half = world.write_manifest("half.csv", world.stays.iter().step_by(2));
        let orders = Orders { manifest: half, ..world.orders() };
        assert_eq!(world.live_one(orders).exit, Some(0));
        let backup = world.path("backup");
        copy(&world.config.state, &backup);
        assert_eq!(world.export().exit, Some(0));
        optimize_and_vacuum(&world.output());
        let all = rows(&world);
        fs::remove_dir_all(&world.config.state).unwrap();
        if !is_lost {
            copy(&backup, &world.config.state);
        }
        let store = world.start().stores(&world.config).existing(&world.config.output).unwrap();
        if is_lost {
            let found = find_table(None, &store, Dataset::Quality);
            assert!(matches!(found, Err(Error::Mismatch { .. })), "{found:?}");
        }
        expect_stop(&mut world, "put by another program", "restore the journal that has published them");
        expect_fault(&world, "put by another program");
        let adopted = adopt(&world.config, &world.start()).unwrap();
        assert_eq!(adopted.exit_code(), ExitCode::SomeFailed);
        assert!(adopted.to_string().contains("only vcq's own files can be taken"), "{adopted}");
        assert_eq!(rows(&world), all, "nothing has been published beside them");

        let anew = make_tables_anew(&world.config, &world.start(), |_| ()).unwrap();
        assert_eq!(anew.exit_code(), ExitCode::Complete, "{anew}");
        let life = world.export();
        assert_eq!(life.exit, Some(0), "{:?}", life.error);
        assert_eq!(rows(&world), all);
        expect_sound(&world, "made anew, and asked for again");
    }
}

#[test]
fn a_file_of_another_program_that_cannot_be_read_is_told_and_rebuilt() {
    type Harm = fn(&Path);
    let harms: [(Harm, &str); 3] = [
        (|path| fs::remove_file(path).unwrap(), "of another program, is not there"),
        (|path| fs::write(path, b"cut").unwrap(), "has 3 bytes, not"),
        (
            |path| {
                let mut bytes = fs::read(path).unwrap();
                let middle = bytes.len() / 2;
                bytes[4..middle].fill(0);
                fs::write(path, bytes).unwrap();
            },
            "Parquet",
        ),
    ];
    for (harm, said) in harms {
        let mut world = world();
        publish_twice(&mut world);
        let folder = read_files(&world.output()).into_keys().next().unwrap().split_once('/').unwrap().0.to_owned();
        let (foreign, replaced) = optimize_date(&world.output(), &folder, |rows| rows);
        let verified = verified(&world);
        assert_eq!(verified.exit_code(), ExitCode::Complete, "{verified}");
        assert!(verified.to_string().contains(", rewritten by another program"), "{verified}");
        for path in &replaced {
            fs::remove_file(world.output().join(path)).unwrap();
        }
        let deep = vcq::command::verify::Extent { is_deep: true, ..Default::default() };
        let verified = verify_within(&world.config, &world.start(), deep).unwrap();
        assert_eq!(verified.exit_code(), ExitCode::Complete, "vcq's own files need not be there: {verified}");
        harm(&world.output().join(&foreign));
        expect_fault(&world, said);
        expect_fault(&world, "puts vcq's own file in the place of the other program's");
        rebuild_all(&world);
        expect_sound(&world, said);
    }
}

#[test]
fn rows_of_other_stays_in_as_many_rows_are_told() {
    let mut world = world();
    publish_twice(&mut world);
    let names: Vec<_> = read_files(&world.output()).into_keys().collect();
    let folder = names[0].split_once('/').unwrap().0;
    let published: u64 = status(&world.config, &world.start()).unwrap().dates[0].samples;
    let (foreign, _) = optimize_date(&world.output(), folder, |rows| rows);
    let other = names.iter().find(|name| !name.starts_with(folder)).unwrap();
    // What it says of the file is kept, and the size that it says is that of this one.
    let bytes = fs::read(world.output().join(other)).unwrap();
    fs::write(world.output().join(&foreign), &bytes).unwrap();
    let date = folder.strip_prefix("date=").unwrap();
    commit_foreign(
        &world.output(),
        &[
            removal(&foreign),
            json!({ "add": { "path": format!("{foreign}.2"), "partitionValues": { "date": date }, "size": bytes.len(),
                "modificationTime": 0, "dataChange": false, "stats": json!({ "numRecords": published }).to_string() } }),
        ],
    );
    fs::rename(world.output().join(&foreign), world.output().join(format!("{foreign}.2"))).unwrap();
    expect_fault(&world, "in another program's files");
}

#[test]
fn a_date_that_another_program_has_rewritten_is_not_pruned() {
    let mut world = world();
    publish_twice(&mut world);
    let names: Vec<_> = read_files(&world.output()).into_keys().collect();
    let first = date_of(&names[0]);
    optimize_date(&world.output(), names[0].split_once('/').unwrap().0, |rows| rows);
    let pruned = prune(&world.config, date_of(names.last().unwrap()), &world.start()).unwrap();
    assert_eq!(pruned.rewritten, [first], "{pruned}");
    assert!(!pruned.dates.is_empty() && pruned.dates.iter().all(|(date, _)| *date != first), "{pruned}");
    assert!(pruned.to_string().contains("another program has put its rows into files of its own"), "{pruned}");
}

#[test]
fn a_lost_log_is_made_anew_and_a_sound_one_is_left_alone() {
    let mut world = lists("delta");
    let [meetings, participants] = ["meetings", "participants"].map(|dataset| world.path(dataset));
    optimize_and_vacuum(&meetings);
    let sound = crate::tables::commits(&meetings);
    fs::remove_dir_all(participants.join(LOG)).unwrap();
    let anew = make_tables_anew(&world.config, &world.start(), |_| ()).unwrap();
    assert_eq!(anew.exit_code(), ExitCode::Complete, "{anew}");
    assert!(anew.to_string().contains("meetings: its log is sound"), "{anew}");
    assert_eq!(crate::tables::commits(&meetings), sound);
    assert_eq!(verified(&world).exit_code(), ExitCode::Complete);

    // The only files that had the rows are another program's, and only the log that is lost knew of them.
    optimize_and_vacuum(&participants);
    fs::remove_dir_all(participants.join(LOG)).unwrap();
    let anew = make_tables_anew(&world.config, &world.start(), |_| ()).unwrap();
    assert_eq!((anew.exit_code(), anew.listed), (ExitCode::Complete, 2), "{anew}");
    ask_for_lists(&mut world);
    assert_eq!(read_files(&participants).len(), 2);
}

#[test]
fn a_new_table_has_what_only_landed_pages_have() {
    let mut world = world();
    publish_twice(&mut world);
    optimize_and_vacuum(&world.output());
    fs::remove_dir_all(world.output().join(LOG)).unwrap();
    let anew = make_tables_anew(&world.config, &world.start(), |_| ()).unwrap();
    assert_eq!(anew.exit_code(), ExitCode::Complete, "{anew}");
    for name in fs::read_dir(world.output()).unwrap().map(|entry| entry.unwrap().path()) {
        for file in fs::read_dir(name).unwrap().map(|entry| entry.unwrap().path()) {
            if file.to_str().unwrap().contains("-of-another") {
                fs::remove_file(file).unwrap();
            }
        }
    }
    expect_sound(&world, "made anew from landed pages");
}

#[test]
fn a_date_that_another_program_has_deleted_stops_a_run_until_it_is_rebuilt() {
    let mut world = world();
    publish_twice(&mut world);
    let names: Vec<_> = read_files(&world.output()).into_keys().collect();
    let folder = names[0].split_once('/').unwrap().0;
    let removals: Vec<_> = names.iter().filter(|name| name.starts_with(folder)).map(|name| removal(name)).collect();
    commit_foreign(&world.output(), &removals);
    expect_stop(&mut world, "the table has 0 files", "vcq rebuild --from");
    rebuild_all(&world);
    assert_eq!(world.export().exit, Some(0));
    expect_sound(&world, "rebuilt");
}

/// A date of which vcq has never heard: no advice that does nothing.
#[test]
fn rows_that_another_program_has_added_are_told_with_a_way_out() {
    let mut world = world();
    world.export();
    let before = read_files(&world.output());
    let name = before.keys().next().unwrap();
    let path = "date=2020-01-01/of-another.parquet";
    fs::create_dir(world.output().join("date=2020-01-01")).unwrap();
    fs::copy(world.output().join(name), world.output().join(path)).unwrap();
    commit_foreign(
        &world.output(),
        &[json!({ "add": { "path": path, "partitionValues": { "date": "2020-01-01" }, "size": before[name].len(),
            "modificationTime": 0, "dataChange": true, "stats": "{\"numRecords\":3}" } })],
    );
    expect_stop(&mut world, "date=2020-01-01: the table has 1 file with 3 rows", "--new-table");
    let said = verified(&world).to_string();
    assert!(!said.contains("--from 2020-01-01"), "{said}");
    make_tables_anew(&world.config, &world.start(), |_| ()).unwrap();
    fs::remove_file(world.output().join(path)).unwrap();
    assert_eq!(world.export().exit, Some(0));
    assert_eq!(read_files(&world.output()), before);
}

#[test]
fn a_file_that_was_read_again_for_a_while_is_kept_for_the_whole_retention() {
    let mut world = world();
    publish_twice(&mut world);
    let old = read_files(&world.output());
    rebuild_all(&world);
    let new = read_files(&world.output());
    let folder = old.keys().find(|name| !new.contains_key(*name)).unwrap().split_once('/').unwrap().0;
    let of_date = |files: &crate::oracle::Files| -> Vec<String> {
        files.keys().filter(|name| name.starts_with(folder)).cloned().collect()
    };
    world.rest(TimeDelta::days(7) - TimeDelta::hours(1));
    let date = folder.strip_prefix("date=").unwrap();
    let add = |name: &String| {
        json!({ "add": { "path": name, "partitionValues": { "date": date }, "size": old[name].len(), "modificationTime": 0,
            "dataChange": true } })
    };
    let restored: Vec<_> =
        of_date(&new).iter().map(|name| removal(name)).chain(of_date(&old).iter().map(add)).collect();
    commit_foreign(&world.output(), &restored);
    rebuild_all(&world);
    world.rest(TimeDelta::hours(2));
    let life = world.export();
    assert_eq!(life.exit, Some(0), "{:?}", life.error);
    assert!(of_date(&old).iter().all(|name| world.output().join(name).exists()), "they were read two hours ago");
    world.rest(TimeDelta::days(7));
    assert_eq!(world.export().exit, Some(0));
    assert!(of_date(&old).iter().all(|name| !world.output().join(name).exists()), "swept");
}

#[test]
fn dates_of_a_store_that_is_away_have_what_the_journal_has_published() {
    let (mut world, buckets) = world_in_bucket();
    world.export();
    let seen = status(&world.config, &world.start()).unwrap();
    buckets.meet(Ill::Away { from: 0, count: u64::MAX, is_done: false });
    let away = status(&world.config, &world.start()).unwrap();
    let counts = |status: &vcq::command::status::Status| -> Vec<_> {
        status.dates.iter().map(|date| (date.date, date.files, date.samples)).collect()
    };
    assert_eq!(counts(&away), counts(&seen));
    assert!(away.dates.iter().all(|date| date.unseen && !date.complete));
    assert!(away.to_string().contains("? not seen") && away.to_string().contains("could not be looked at"), "{away}");
    assert_eq!(serde_json::to_value(&away).unwrap()["dates"][0]["unseen"], true);
}

#[test]
fn what_a_table_is_not_made_of_for_good_is_told() {
    let mut world = world();
    publish_twice(&mut world);
    let names: Vec<_> = read_files(&world.output()).into_keys().collect();
    prune(&world.config, date_of(names.last().unwrap()), &world.start()).unwrap();
    let folder = names[0].split_once('/').unwrap().0;
    for name in names.iter().filter(|name| name.starts_with(folder)) {
        fs::remove_file(world.output().join(name)).unwrap();
    }
    fs::remove_dir_all(world.output().join(LOG)).unwrap();
    let anew = make_tables_anew(&world.config, &world.start(), |_| ()).unwrap();
    assert_eq!(anew.exit_code(), ExitCode::Disk);
    let (_, error) = &anew.table_failures[0];
    assert!(Chain(error).to_string().contains("published files of 1 dates are not there"), "{}", Chain(error));
}
