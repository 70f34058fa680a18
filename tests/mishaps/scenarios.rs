//! Sequences of acts that once lost rows, or requests.

use std::{fs, panic::Location};

use vcq::{command::archive, error::ExitCode};

use crate::{
    frail::Trouble,
    listed, play_all,
    stage::{ALL, Act, Harm, Ill, Mishap, Server, Span, Stage, date_of, of_day},
};

/// The first effect of a run that only a publication has; those before open the dataset.
const PUBLISHING: u64 = 6;

const FULL: Ill = Ill::Disk(Trouble::Full { from: PUBLISHING, count: 1000 });

fn everything() -> Vec<usize> {
    (0..15).collect()
}

fn export(stays: impl IntoIterator<Item = usize>) -> Act {
    Act::Export { stays: stays.into_iter().collect(), ill: Ill::No }
}

fn rebuild(days: Span) -> Act {
    Act::Rebuild { days, ill: Ill::No }
}

fn refresh(server: Server, ill: Ill) -> Act {
    Act::Refresh { days: ALL, server, ill }
}

fn prune() -> Act {
    Act::Prune { before: 3, ill: Ill::No }
}

fn happens(mishap: Mishap) -> Act {
    Act::Mishap(mishap)
}

fn kill(effect: u64) -> Ill {
    Ill::Disk(Trouble::Kill { effect, is_done: true })
}

#[track_caller]
fn plays(acts: &[Act]) {
    if let Err(why) = play_all(1, acts) {
        panic!("{}: {why}\n{}", Location::caller(), listed(acts));
    }
}

#[test]
fn a_rebuild_that_failed_takes_no_later_file_away() {
    plays(&[
        export([0, 1]),
        export([2]),
        happens(Mishap::Stranger { day: 0 }),
        rebuild(ALL),
        export([3, 4]),
        happens(Mishap::StrangersGo),
        export([3, 4]),
        prune(),
    ]);
}

#[test]
fn an_append_and_a_rebuild_that_failed_leave_no_empty_file() {
    plays(&[Act::Export { stays: vec![0, 1], ill: FULL }, Act::Rebuild { days: ALL, ill: FULL }, export(of_day(1))]);
}

#[test]
fn an_append_and_a_rebuild_that_failed_are_mended_by_a_rebuild() {
    plays(&[
        Act::Export { stays: vec![0, 1], ill: FULL },
        Act::Rebuild { days: ALL, ill: FULL },
        rebuild(ALL),
        export([2]),
    ]);
}

#[test]
fn what_is_done_and_not_published_is_told() {
    plays(&[Act::Export { stays: of_day(0), ill: kill(PUBLISHING) }]);
    plays(&[Act::Export { stays: of_day(0), ill: FULL }]);
}

#[test]
fn pages_of_a_file_that_is_not_whole_are_not_pruned() {
    for harm in [Harm::Delete, Harm::Cut, Harm::Flip] {
        plays(&[export(everything()), happens(Mishap::File { day: 1, harm }), prune()]);
    }
}

#[test]
fn a_settled_date_is_published_by_whatever_run_comes_next() {
    plays(&[Act::Export { stays: of_day(0), ill: kill(PUBLISHING) }, export(of_day(1))]);
    plays(&[Act::Export { stays: of_day(0), ill: FULL }, export(of_day(1)), export(of_day(2))]);
}

#[test]
fn a_damaged_first_reading_holds_up_no_refresh() {
    plays(&[export(everything()), happens(Mishap::Page { stay: 0 }), refresh(Server::More, Ill::No)]);
}

#[test]
fn a_damaged_first_reading_gives_way_to_a_sound_second_one() {
    plays(&[export(everything()), happens(Mishap::Page { stay: 0 }), refresh(Server::Same, Ill::No), rebuild(ALL)]);
}

#[test]
fn a_strangers_file_holds_up_the_refresh_of_no_other_date() {
    plays(&[export(everything()), happens(Mishap::Stranger { day: 0 }), refresh(Server::More, Ill::No)]);
}

#[test]
fn a_prune_during_a_refresh_wastes_nothing() {
    for seconds in [0, 1, 4] {
        let again = || Act::RefreshAgain { days: ALL, ill: Ill::No };
        plays(&[export(everything()), refresh(Server::More, Ill::Stop(seconds)), prune(), again()]);
    }
}

#[test]
fn two_refreshes_side_by_side_lose_nothing() {
    for (first, second) in [(ALL, ALL), ((0, 0), ALL), (ALL, (1, 1)), ((0, 1), (1, 2))] {
        plays(&[export(everything()), Act::Refreshes { first, second, server: Server::More, ill: Ill::No }]);
    }
}

#[test]
fn fewer_minutes_replace_no_more_of_them() {
    plays(&[export(everything()), refresh(Server::Fewer, Ill::No), refresh(Server::None, Ill::No)]);
}

/// An interrupted refresh is one piece of work: what it has read it reads no more.
#[test]
fn an_interrupted_refresh_goes_on_after_its_finished_dates() {
    let mut acts = vec![export(everything()), refresh(Server::More, Ill::Stop(4))];
    acts.extend((0..6).map(|_| Act::RefreshAgain { days: ALL, ill: Ill::Stop(4) }));
    plays(&acts);
}

#[test]
fn an_older_journal_stops_the_run() {
    plays(&[export(of_day(0)), happens(Mishap::Copy), export(of_day(1)), happens(Mishap::Restore)]);
    // The same date has a file that the older journal knows, and another.
    plays(&[export([0, 1]), happens(Mishap::Copy), export([2, 3]), happens(Mishap::Restore)]);
}

#[test]
fn a_lost_journal_stops_the_run() {
    plays(&[export(everything()), happens(Mishap::Lose)]);
}

#[test]
fn a_rebuild_removes_no_file_that_the_journal_does_not_name() {
    plays(&[
        export([0, 1]),
        happens(Mishap::Copy),
        export([2, 3]),
        prune(),
        happens(Mishap::Restore),
        rebuild(ALL),
        refresh(Server::More, Ill::No),
    ]);
}

#[test]
fn a_dataset_that_is_gone_stops_the_run() {
    for harm in [Harm::Delete, Harm::Cut] {
        plays(&[export(of_day(0)), happens(Mishap::File { day: 0, harm }), export(of_day(0))]);
    }
}

/// Killed at each effect of a publication, and what was visible then is cut short.
#[test]
fn a_file_that_is_taken_over_is_whole() {
    for effect in PUBLISHING + 4..PUBLISHING + 18 {
        let ill = kill(effect);
        let cut = happens(Mishap::File { day: 0, harm: Harm::Cut });
        plays(&[Act::Export { stays: of_day(0), ill }, cut, export(of_day(0))]);
    }
}

/// Each act killed at each of its effects, the last one before and after it came about.
#[test]
fn what_was_not_synced_may_vanish() {
    for effect in (0..60).step_by(3) {
        for is_done in [false, true] {
            let ill = Ill::Disk(Trouble::Kill { effect, is_done });
            plays(&[Act::Export { stays: of_day(0), ill }, export([1, 2])]);
            plays(&[export([0, 1]), export([2]), Act::Rebuild { days: ALL, ill }, export([3])]);
        }
    }
}

/// What an archive that ends too early has brought stays.
#[test]
fn pages_of_a_cut_archive_stay_landed() {
    let mut donor = Stage::new(1);
    donor.play(&export(everything())).unwrap();
    let cut = donor.world.path("cut.ndjson.zst");
    archive::export::export(&donor.world.config, (date_of(0), date_of(2)), &cut, &donor.world.start()).unwrap();
    let bytes = fs::read(&cut).unwrap();
    fs::write(&cut, &bytes[..bytes.len() - 200]).unwrap();
    let mut stage = Stage::new(1);
    // Who answered for what is in the archive.
    stage.servers.push(donor.world.simulator.clone());
    let mut landed = 0;
    let exit = stage
        .command(Ill::No, |stage, start| {
            let imported = archive::import::import(std::slice::from_ref(&cut), &stage.world.config, start)?;
            landed = imported.landed;
            let exit = imported.exit_code();
            imported.unread.or(imported.failure).map_or(Ok(exit), Err)
        })
        .unwrap();
    assert_ne!(exit, Some(ExitCode::Complete));
    assert!(landed > 4 && landed == stage.landed_pages(), "{landed} pages said, {} landed", stage.landed_pages());
    stage.look().unwrap();
}

/// `--refresh` is the way out where neither the file nor its pages are whole, and says so: it must be open.
#[test]
fn what_is_gone_with_its_pages_is_asked_for_again() {
    for harm in [Harm::Delete, Harm::Cut, Harm::Flip] {
        plays(&[export(everything()), prune(), happens(Mishap::File { day: 1, harm })]);
        plays(&[export(everything()), happens(Mishap::File { day: 1, harm }), happens(Mishap::Page { stay: 5 })]);
    }
}

#[test]
fn fewer_minutes_do_not_replace_what_is_published_alone() {
    plays(&[export(everything()), prune(), refresh(Server::Fewer, Ill::No)]);
    plays(&[export(everything()), happens(Mishap::Page { stay: 5 }), refresh(Server::Fewer, Ill::No)]);
}
