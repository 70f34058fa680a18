//! What must hold after every run, whatever happened in it.

use std::collections::BTreeSet;

use vcq::{
    command::{rebuild::rebuild, verify::verify},
    error::ExitCode,
    simulator::{
        faults::Settling,
        tenant::{SimulatedStay, StayKey},
    },
};

use super::{
    oracle::{check_rows, files, read_files},
    world::{Life, World},
};

/// Checks report, books and dataset after `life`, which is the last one so far.
pub(crate) fn check(world: &World, life: &Life) {
    check_books(world);
    let found = check_rows(world);
    let Some(exit) = life.exit else { return };
    check_report(life, exit);
    check_published(world, life, &found);
    let staging = world.staging();
    // What a refresh has replaced stays in folders of staging until the next publication begins.
    let replaced = |name: &String| name.contains('/') && life.report["refreshed"].is_object();
    assert!(files(&staging).keys().all(replaced), "staging is not empty");
    let verified = verify(&world.config, &world.start()).unwrap();
    assert_eq!(verified.exit_code(), ExitCode::Complete, "{verified}");
}

/// Everything that can be had is there, every row once.
pub(crate) fn check_complete(world: &World) {
    let found = check_rows(world);
    let has_rows = |stay: &&SimulatedStay| !world.server().expected(stay).samples.is_empty();
    let expected: BTreeSet<StayKey> = world.stays.iter().filter(has_rows).map(|stay| stay.key).collect();
    assert_eq!(found.len(), expected.len(), "stays in the dataset");
    assert_eq!(found, expected);
}

/// The same command again asks for nothing and changes no file.
pub(crate) fn check_idle(world: &mut World, life: &Life) {
    let before = (files(&world.output()), world.books().token_requests);
    let again = world.export();
    assert_eq!((again.sent, again.exit, again.account()), (0, life.exit, life.account()));
    assert!(before == (files(&world.output()), world.books().token_requests), "an idle run left a trace");
    check(world, &again);
}

/// A rebuild gives the same rows, and the same bytes each time.
pub(crate) fn check_rebuild(world: &World) {
    let before = check_rows(world);
    let rebuilt = [(); 2].map(|()| {
        rebuild(&world.config, (None, None), &world.start(), |_| ()).unwrap();
        read_files(&world.output())
    });
    assert!(rebuilt[0] == rebuilt[1], "two rebuilds differ");
    let dates: BTreeSet<_> = rebuilt[0].keys().map(|name| name.split_once('/').unwrap().0).collect();
    assert_eq!(rebuilt[0].len(), dates.len(), "a rebuilt date has one file");
    assert_eq!(check_rows(world), before);
    assert_eq!(verify(&world.config, &world.start()).unwrap().exit_code(), ExitCode::Complete);
}

/// By the books of the server, which know nothing of what the client believes.
fn check_books(world: &World) {
    let books = world.books();
    assert!(books.most_in_60_s <= 100, "{} requests in 60 s", books.most_in_60_s);
    assert_eq!(books.refused, 0, "refused by the minute's quota");
    for witness in &world.witnesses {
        let witness = witness.lock().unwrap();
        let seen = witness.books();
        assert_eq!((seen.arrivals, seen.refused), (books.arrivals, 0), "a witness would have refused");
    }
    let sent = world.sent_count;
    // A killed client's request may have been on its way.
    assert!((sent.saturating_sub(world.abandoned)..=sent).contains(&books.arrivals), "{sent} sent, {books:?}");
    // An answer without samples is no page while its meeting is young: later runs ask again.
    let has_samples = |key: StayKey| {
        let stay = world.stays.iter().find(|stay| stay.key == key);
        stay.is_none_or(|stay| !world.server().expected(stay).samples.is_empty())
    };
    // One whose samples end ten minutes before its meeting is asked for once more, if its meeting was young.
    let ends_early = |key: StayKey| {
        let stay = world.stays.iter().find(|stay| stay.key == key);
        let is_partial = world.server().tenant().settings().partial_for_s > 0;
        is_partial
            || stay.is_some_and(|stay| stay.meeting_end_s - stay.join_s - 60 * i64::from(stay.sample_count) > 400)
    };
    let again: u64 = books
        .pages()
        .filter(|(key, _, page)| page.answered > 1 && has_samples(*key))
        .map(|(key, _, page)| u64::from(page.answered - 1 - u32::from(ends_early(key))))
        .sum();
    let restarted = world.restarted_pages;
    assert!(again <= world.abandoned + restarted, "{again} pages paid for twice, {} abandoned", world.abandoned);
}

/// The report adds up, and says the same as transport and exit code.
pub(crate) fn check_report(life: &Life, exit: u8) {
    let account: u64 = life.account().iter().sum();
    assert_eq!(life.count("/manifest/rows"), account, "{:#}", life.report);
    assert_eq!(life.count("/exit_code"), u64::from(exit));
    let [.., rejected, _done, _absent, failed, pending] = life.account();
    let young = life.count("/manifest/pending_young");
    match exit {
        0 => assert_eq!((rejected + failed, pending), (0, young), "exit 0"),
        65 => assert!(rejected + failed > 0 && pending == young, "exit 65"),
        75 | 76 | 77 | 130 => assert!(life.report["stopped"].is_string(), "{:#}", life.report),
        _ => panic!("exit {exit}: {:#}", life.report),
    }
    assert_eq!(life.count("/requests/sent"), life.sent);
    let by_outcome = life.report["requests"]["by_outcome"].as_object().unwrap();
    let answered: u64 = by_outcome.values().filter_map(serde_json::Value::as_u64).sum();
    assert_eq!(answered + life.count("/requests/without_answer"), life.sent);
}

/// A run that ends by itself publishes every stay that is done, and nothing of the others.
fn check_published(world: &World, life: &Life, found: &BTreeSet<StayKey>) {
    let books = world.books();
    let is_read = |stay: &&SimulatedStay| {
        let mut pages = (0..stay.sample_count).step_by(100);
        stay.sample_count > 0
            && world.server().expected(stay).outcome == Settling::Done
            && pages.all(|first| books.page(stay.key, first).answered > 0)
    };
    let read: BTreeSet<StayKey> = world.stays.iter().filter(is_read).map(|stay| stay.key).collect();
    assert!(found.is_subset(&read));
    // What was on its way to a killed client was answered, but has not landed; and a stay that failed may have failed
    // after its last sample.
    let [.., failed, _pending] = life.account();
    let (read, found) = (read.len() as u64, found.len() as u64);
    assert!(read - found <= world.abandoned + failed, "{read} read, {found} there");
}
