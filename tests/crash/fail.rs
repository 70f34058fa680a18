//! A disk that fails: once, or from some call on.

use std::{
    collections::BTreeMap,
    sync::{
        Mutex,
        atomic::{AtomicUsize, Ordering},
    },
};

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
    let reached = AtomicUsize::new(0);
    each(&chosen, |(act, cut)| {
        let (code, struck) = fail_and_play_again(act, cut);
        reached.fetch_add(usize::from(struck > 0), Ordering::Relaxed);
        *codes.lock().unwrap().entry(format!("{} {:?}: {code}", cut.call, cut.blow)).or_default() += 1;
    });
    let (reached, codes) = (reached.into_inner(), codes.into_inner().unwrap());
    println!("{} faults, {} of them tried, {reached} reached: {codes:#?}", points.len(), chosen.len());
    // From run to run a few calls more or less are made.
    assert!(reached * 10 > chosen.len() * 9, "{reached} of {} trials reached their call", chosen.len());
}

#[test]
fn a_disk_that_fails_from_the_start_is_told() {
    let scene = Scene::new();
    let blows = ERRORS.map(Blow::FailForGood);
    let vital = |blow| {
        let cut = |call| Cut::new(call, 1, blow);
        [cut("pwrite64"), cut("fsync"), cut("renameat2"), cut("write").on(On::Staging)]
    };
    let cuts: Vec<Cut> = blows.into_iter().flat_map(vital).collect();
    let points: Vec<_> = scene.acts.iter().flat_map(|act| cuts.iter().map(move |cut| (act, cut))).collect();
    each(&points, |(act, cut)| {
        let (code, struck) = fail_and_play_again(act, cut);
        assert_eq!((code, struck > 0), (DISK, true), "{}, {cut}", act.name);
    });
}

/// At its first page, which every command needs, and later.
#[test]
fn a_journal_that_cannot_be_read_is_told() {
    let scene = Scene::new();
    let cut = |ordinal, blow| Cut::new("pread64", ordinal, blow).on(On::Journal);
    let of_act = |act: &Act| {
        if act.name == "fresh" { vec![] } else { vec![cut(1, Blow::Fail("EIO")), cut(3, Blow::FailForGood("EIO"))] }
    };
    let points: Vec<(&Act, Cut)> =
        scene.acts.iter().flat_map(|act| of_act(act).into_iter().map(move |cut| (act, cut))).collect();
    each(&points, |(act, cut)| {
        let (code, struck) = fail_and_play_again(act, cut);
        assert_eq!((code, struck > 0), (DISK, true), "{}, {cut}", act.name);
    });
}

/// A signal that ends nothing may end a call.
#[test]
fn an_interrupted_call_is_made_again() {
    let scene = Scene::new();
    let interrupted = |call, ordinal, on| Cut::new(call, ordinal, Blow::Fail("EINTR")).on(on);
    let cuts = [
        // The first one writes the probe with which a disk is tried.
        interrupted("write", 2, On::Staging),
        interrupted("fsync", 1, On::Staging),
        interrupted("pwrite64", 1, On::Journal),
        interrupted("pread64", 1, On::Journal),
    ];
    let acts = scene.acts.iter().filter(|act| act.name != "fresh");
    let points: Vec<(&Act, &Cut)> = acts.flat_map(|act| cuts.iter().map(move |cut| (act, cut))).collect();
    each(&points, |(act, cut)| {
        let (code, struck) = fail_and_play_again(act, cut);
        assert_eq!((code, struck > 0), (act.exit_code, true), "{}, {cut}", act.name);
    });
}

/// Plays the act on a disk that fails, and again on a sound one; returns the first one's exit code, and how many of its
/// calls failed.
fn fail_and_play_again(act: &Act, cut: &Cut) -> (i32, usize) {
    let (output, struck) = Trial::cut_and_play_again(act, cut);
    let (what, said) = (format!("{}, {cut}", act.name), said(&output));
    let code = output.status.code().unwrap_or_else(|| panic!("{what}: {:?}\n{said}", output.status));
    if code == act.exit_code {
        // SQLite ends a transaction without the call, or the file is published by a second attempt.
        return (code, struck);
    }
    assert_eq!(code, DISK, "{what}: {said}");
    let names_path = said.contains("vcq: ") && said.contains('/');
    // "5 answers … could not be recorded …: journal: SQLite: …" is one of the journal, too.
    let names_remedy = said.contains(" journal: ") && said.contains("hint: ");
    assert!(names_path || names_remedy, "{what}: neither path nor remedy\n{said}");
    (code, struck)
}

fn fail_points(act: &Act) -> impl Iterator<Item = (&Act, Cut)> {
    let anywhere = act.count_calls(&CALLS, On::Everything).into_iter().flat_map(cuts);
    let staged = act.count_calls(&["write"], On::Staging).into_iter().flat_map(cuts).map(|cut| cut.on(On::Staging));
    anywhere.chain(staged).map(move |cut| (act, cut))
}

/// Each of so many calls, with each error, once and for good.
fn cuts((call, count): (String, u32)) -> impl Iterator<Item = Cut> {
    let blows = ERRORS.into_iter().flat_map(|error| [Blow::Fail(error), Blow::FailForGood(error)]);
    blows
        .flat_map(move |blow| (1..=count).map(move |ordinal| (ordinal, blow)))
        .map(move |(ordinal, blow)| Cut::new(&call, ordinal, blow))
}
