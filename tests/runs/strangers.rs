//! Files in the dataset that are none of vcq's: what readers take for data stops a run, and what else there is is named.

use std::{fs, path::PathBuf};

use vcq::config::Form;

use crate::world::{Life, World};

fn calm() -> World {
    let mut world = crate::world(crate::settings(51), 20, 0);
    assert_eq!(world.export().exit, Some(0));
    world
}

/// The first date's folder, and a published file in it.
fn published(world: &World) -> (PathBuf, PathBuf) {
    let dates = fs::read_dir(world.config.output.folder().unwrap()).unwrap();
    let is_date = |path: &PathBuf| path.file_name().unwrap().to_str().unwrap().starts_with("date=");
    let date = dates.map(|entry| entry.unwrap().path()).filter(is_date).min().unwrap();
    let part = fs::read_dir(&date).unwrap().next().unwrap().unwrap().path();
    (date, part)
}

/// The run sends nothing and names the path; once that is gone it is complete.
fn stops(world: &mut World, path: &std::path::Path, life: &Life) {
    assert_eq!((life.exit, life.sent), (Some(74), 0), "{}", path.display());
    let name = path.file_name().unwrap().to_str().unwrap();
    assert!(life.error.as_ref().unwrap().contains(name), "{life:?}");
    assert!(life.hint.as_ref().unwrap().contains("move it away"), "{life:?}");
    if path.is_dir() {
        fs::remove_dir_all(path).unwrap();
    } else {
        fs::remove_file(path).unwrap();
    }
    assert_eq!(world.export().exit, Some(0), "{}", path.display());
}

#[test]
fn what_readers_take_for_data_stops_a_run_before_its_first_request() {
    let mut world = calm();
    let (date, part) = published(&world);
    let root = date.parent().unwrap().to_owned();
    let copy = date.join(part.file_name().unwrap().to_str().unwrap().replace(".parquet", " (copy).parquet"));
    let folder_copy = PathBuf::from(format!("{} (copy)", date.display()));
    for path in [copy, root.join("all.parquet"), folder_copy.join("x"), root.join("old/part-1.PARQUET")] {
        let stranger = if path.parent() == Some(&date) {
            path.clone()
        } else {
            root.join(path.strip_prefix(&root).unwrap().iter().next().unwrap())
        };
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        _ = fs::copy(&part, &path).unwrap();
        let life = world.export();
        stops(&mut world, &stranger, &life);
    }
}

#[test]
fn a_stranger_that_no_reader_takes_for_data_is_the_reason_why_a_date_is_not_complete() {
    let mut world = calm();
    let (date, _) = published(&world);
    fs::write(date.join("notes.txt"), "mine").unwrap();
    let life = world.export();
    assert_eq!(life.exit, Some(0));
    let problems: Vec<_> =
        life.report["dates"].as_array().unwrap().iter().map(|date| date["problems"].to_string()).collect();
    assert!(problems[0].contains("notes.txt") && problems[1] == "[]", "{problems:?}");
}

#[test]
fn a_table_does_not_read_strangers() {
    let mut world = crate::world(crate::settings(52), 20, 0);
    world.config.table = Form::Delta;
    assert_eq!(world.export().exit, Some(0));
    let (date, part) = published(&world);
    _ = fs::copy(&part, date.join("copy.parquet")).unwrap();
    let life = world.export();
    assert_eq!(life.exit, Some(0), "{life:?}");
}
