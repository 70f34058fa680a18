//! A disk that fails: once, or from some call on.

use std::{collections::BTreeMap, sync::Mutex};

use super::{
    chosen,
    each::each,
    scene::{Act, Scene},
    strace::{Blow, Cut, On},
    trial::{Trial, said},
};

/// The calls that change a disk; `write` is tried apart, because it also wakes threads, which is no matter of disks.
const CALLS: [&str; 7] = ["pwrite64", "fsync", "renameat2", "mkdir", "ftruncate", "unlink", "unlinkat"];

const ERRORS: [&str; 2] = ["ENOSPC", "EIO"];

/// The exit code for disk or output.
const DISK: i32 = 74;

#[test]
fn every_call_on_a_disk_fails_once_and_for_good() {
    let scene = Scene::new();
    let points: Vec<(&Act, Cut)> = scene.acts.iter().flat_map(fail_points).collect();
    let chosen = chosen(&points, 64);
    let codes = Mutex::new(BTreeMap::<String, usize>::new());
    each(&chosen, |(act, cut)| {
        let code = fail_and_play_again(act, cut);
        *codes.lock().unwrap().entry(format!("{} {:?}: {code}", cut.call, cut.blow)).or_default() += 1;
    });
    println!("{} faults, {} of them tried: {:#?}", points.len(), chosen.len(), codes.into_inner().unwrap());
}

#[test]
fn a_disk_that_fails_from_the_start_is_told() {
    let scene = Scene::new();
    let blows = ERRORS.map(Blow::FailForGood);
    let vital = |blow| {
        let cut = |call| Cut::new(call, 1, blow);
        [cut("pwrite64"), cut("fsync"), cut("renameat2"), cut("write").in_staging()]
    };
    let cuts: Vec<Cut> = blows.into_iter().flat_map(vital).collect();
    let points: Vec<_> = scene.acts.iter().flat_map(|act| cuts.iter().map(move |cut| (act, cut))).collect();
    each(&points, |(act, cut)| assert_eq!(fail_and_play_again(act, cut), DISK, "{}, {cut}", act.name));
}

/// Plays the act on a disk that fails, and again on a sound one; returns the first one's exit code.
fn fail_and_play_again(act: &Act, cut: &Cut) -> i32 {
    let output = Trial::cut_and_play_again(act, cut);
    let (what, said) = (format!("{}, {cut}", act.name), said(&output));
    let code = output.status.code().unwrap_or_else(|| panic!("{what}: {:?}\n{said}", output.status));
    if code == act.exit_code {
        // SQLite ends a transaction without the call, or the file is published by a second attempt.
        return code;
    }
    assert_eq!(code, DISK, "{what}: {said}");
    let names_path = said.contains("vcq: ") && said.contains('/');
    let names_remedy = said.contains("vcq: journal: ") && said.contains("hint: ");
    assert!(names_path || names_remedy, "{what}: neither path nor remedy\n{said}");
    code
}

fn fail_points(act: &Act) -> impl Iterator<Item = (&Act, Cut)> {
    let anywhere = act.count_calls(&CALLS, On::Everything).into_iter().flat_map(cuts);
    let staged = act.count_calls(&["write"], On::Staging).into_iter().flat_map(cuts).map(Cut::in_staging);
    anywhere.chain(staged).map(move |cut| (act, cut))
}

/// Each of so many calls, with each error, once and for good.
fn cuts((call, count): (String, u32)) -> impl Iterator<Item = Cut> {
    let blows = ERRORS.into_iter().flat_map(|error| [Blow::Fail(error), Blow::FailForGood(error)]);
    blows
        .flat_map(move |blow| (1..=count).map(move |ordinal| (ordinal, blow)))
        .map(move |(ordinal, blow)| Cut::new(&call, ordinal, blow))
}
