//! Archives of a discovered tenant: what leaves a journal comes back whole, with nothing asked for again.

use std::{
    fs,
    path::{Path, PathBuf},
};

use chrono::{NaiveDate, TimeDelta};
use rand::{SeedableRng as _, rngs::StdRng, seq::SliceRandom as _};
use serde_json::Value;
use vcq::{
    command::{
        archive::{
            export::{Exported, export},
            import::{Imported, import},
            prune::prune,
        },
        rebuild::rebuild,
        verify::verify,
    },
    dates::Dates,
    error::{Error, ExitCode},
    simulator::{Settings, lists::Lists, tenant::TenantSettings},
};

use crate::{
    discover::{all_dates, check_samples, datasets, discover, last_days, night_after, world_of},
    listed::check_listed,
    world::{Orders, World},
};

fn settings(seed: u64) -> Settings {
    let lists = Lists { lost_participants: 0.0, across_midnight: 0.2, ..Lists::odd(0.1) };
    let tenant =
        TenantSettings { seed, days: 3, stays: 200, meeting_minutes_max: 240, lists, ..TenantSettings::default() };
    Settings { tenant, ..Settings::default() }
}

/// A tenant that has been discovered and exported.
fn exported(seed: u64) -> World {
    let mut world = world_of(settings(seed));
    let life = world.live_one(discover(&world));
    assert_eq!(life.exit, Some(0), "{:#}", life.report);
    world
}

fn archive_of(world: &World, dates: Dates, name: &str) -> (PathBuf, Exported) {
    let path = world.path(name);
    let exported = export(&world.config, (dates.first, dates.last), &path, &world.start()).unwrap();
    (path, exported)
}

fn imported(world: &World, archives: &[PathBuf]) -> Imported {
    import(archives, &world.config, &world.start()).unwrap()
}

/// The same tenant, of which nothing is known yet.
fn fresh(world: &World, seed: u64) -> World {
    let mut fresh = world_of(settings(seed));
    fresh.now = world.now;
    fresh
}

fn lines(path: &Path) -> Vec<String> {
    fs::read_to_string(path).unwrap().lines().map(str::to_owned).collect()
}

#[test]
fn an_archive_in_each_form_brings_all_three_datasets_back() {
    let world = exported(1);
    let before = datasets(&world);
    for name in ["all.ndjson", "all.ndjson.zst", "all.parquet"] {
        let (path, exported) = archive_of(&world, all_dates(&world), name);
        let mut other = fresh(&world, 1);
        let account = imported(&other, &[path]);
        assert_eq!(account.exit_code(), ExitCode::Complete, "{account}");
        assert_eq!((account.landed, account.refused), (exported.pages + exported.listed, 0), "{account}");
        assert!(account.failure.is_none() && account.listings.incomplete == 0, "{account}");
        assert!(datasets(&other) == before, "{name}: other bytes; {account}");
        let again = archive_of(&other, all_dates(&other), name).0;
        assert!(fs::read(world.path(name)).unwrap() == fs::read(again).unwrap(), "{name}: another archive");
        // Only what has no page is asked for: stays without data and what the API refused, once.
        let life = other.live_one(discover(&other));
        let asked = life.count("/requests/by_endpoint/participant_quality_list/sent");
        assert_eq!((life.exit, asked), (Some(0), account.stays_without_pages), "{:#}", life.report);
        assert_eq!(life.count("/requests/by_endpoint/meeting_list/sent"), 0);
        assert_eq!(life.count("/requests/by_endpoint/participant_list/sent"), account.listings.without_participants);
        assert!(datasets(&other) == before, "{name}: other bytes after an export");
        check_listed(&other, false);
        check_samples(&other, false);
    }
}

/// Listed night after night, while meetings change their ends and participants come late.
#[test]
fn pages_of_many_nights_come_back_in_the_order_in_which_they_landed() {
    let mut settings = settings(2);
    settings.tenant.data_delay_s = 3_600;
    let mut world = world_of(settings.clone());
    for night in 0..7 {
        world.now = night_after(&world, night);
        let life = world.live_one(Orders { discover: Some(last_days(&world, 3)), ..world.orders() });
        assert_eq!(life.exit, Some(0), "{:#}", life.report);
    }
    let (path, _) = archive_of(&world, all_dates(&world), "all.ndjson");
    let mut shuffled = lines(&path);
    shuffled.shuffle(&mut StdRng::seed_from_u64(7));
    fs::write(&path, shuffled.join("\n")).unwrap();
    let mut other = world_of(settings);
    other.now = world.now;
    let account = imported(&other, std::slice::from_ref(&path));
    assert_eq!((account.exit_code(), account.unreached), (ExitCode::Complete, 0), "{account}");
    let [_, meetings, participants] = datasets(&world);
    let [_, other_meetings, other_participants] = datasets(&other);
    assert!(meetings == other_meetings && participants == other_participants, "other bytes");
    let life = other.live_one(discover(&other));
    assert_eq!(life.exit, Some(0), "{:#}", life.report);
    assert_eq!(life.count("/requests/by_endpoint/meeting_list/sent"), 0, "{:#}", life.report);
    check_listed(&other, false);
    check_samples(&other, false);
    // The same archive again changes nothing.
    let again = imported(&other, &[path]);
    assert_eq!((again.landed, again.restored, again.refused), (0, 0, 0), "{again}");
    assert_eq!(again.known, account.landed);
}

/// A meeting across midnight is in the archives of both dates.
#[test]
fn archives_of_single_dates_come_back_in_any_order() {
    let world = exported(3);
    let before = datasets(&world);
    let mut archives: Vec<PathBuf> = Vec::new();
    for (number, date) in all_dates(&world).each().enumerate() {
        archives.push(archive_of(&world, Dates { first: date, last: date }, &format!("{number}.ndjson")).0);
    }
    for rotation in 0..archives.len() {
        archives.rotate_left(1);
        let other = fresh(&world, 3);
        let account = imported(&other, &archives);
        assert_eq!(account.exit_code(), ExitCode::Complete, "{rotation}: {account}");
        assert!(datasets(&other) == before, "{rotation}: other bytes; {account}");
    }
    // One after the other as well.
    let other = fresh(&world, 3);
    for archive in &archives {
        assert_eq!(imported(&other, std::slice::from_ref(archive)).exit_code(), ExitCode::Complete);
    }
    assert!(datasets(&other) == before, "other bytes");
}

#[test]
fn what_is_pruned_is_refused_until_an_archive_brings_it_back() {
    let mut world = exported(4);
    let before = datasets(&world);
    let dates = all_dates(&world);
    let (path, exported) = archive_of(&world, dates, "all.parquet");
    let after: NaiveDate = dates.last.succ_opt().unwrap();
    let pruned = prune(&world.config, after, &world.start()).unwrap();
    assert!(pruned.listed_kept.is_empty() && pruned.unpublished.is_empty(), "{pruned}");
    assert_eq!(pruned.listed.values().sum::<u64>(), exported.listed, "{pruned}");
    let span = (Some(dates.first), Some(dates.last));
    let is_pruned = |refused: Result<(), Error>| matches!(refused, Err(Error::Pruned(_)));
    assert!(is_pruned(rebuild(&world.config, span, &world.start(), |_| ()).map(drop)));
    assert!(is_pruned(
        export(&world.config, (dates.first, dates.last), &world.path("no.ndjson"), &world.start()).map(drop)
    ));
    let refreshed = world.live_one(Orders { refresh: Some(dates), fetches_samples: false, ..discover(&world) });
    assert_eq!((refreshed.exit, refreshed.sent), (Some(2), 0), "{refreshed:#?}");
    // What is known stays known.
    let idle = world.live_one(discover(&world));
    assert_eq!((idle.exit, idle.sent), (Some(0), 0), "{:#}", idle.report);
    assert!(datasets(&world) == before, "a prune changed a dataset");
    let account = imported(&world, &[path]);
    assert_eq!((account.restored, account.landed), (exported.pages + exported.listed, 0), "{account}");
    rebuild(&world.config, span, &world.start(), |_| ()).unwrap();
    assert!(datasets(&world) == before, "other bytes after a rebuild");
    let verified = verify(&world.config, &world.start()).unwrap();
    assert_eq!(verified.exit_code(), ExitCode::Complete, "{verified}");
}

/// Dates that are open, or of which something is pending, keep their pages.
#[test]
fn pages_that_more_may_come_to_are_not_pruned() {
    let mut world = world_of(settings(5));
    world.now = night_after(&world, 2);
    let life = world.live_one(Orders { discover: Some(last_days(&world, 3)), ..world.orders() });
    assert_eq!(life.exit, Some(0), "{:#}", life.report);
    let pruned = prune(&world.config, NaiveDate::MAX, &world.start()).unwrap();
    let dates: Vec<_> = all_dates(&world).each().collect();
    assert_eq!(pruned.listed.keys().collect::<Vec<_>>(), [&dates[0]], "only the first one is closed: {pruned}");
    assert_eq!(pruned.listed_kept.iter().map(|(date, _)| *date).collect::<Vec<_>>(), dates[1..], "{pruned}");
}

/// What an archive says that is not as it should be, told with its line; all other pages land.
#[test]
fn pages_of_listings_that_are_not_taken_are_told() {
    let world = exported(6);
    let (path, _) = archive_of(&world, all_dates(&world), "all.ndjson");
    let whole = lines(&path);
    let listed = |endpoint: &str| whole.iter().position(|line| line.contains(&format!("\"{endpoint}\""))).unwrap();
    let (window, meeting) = (listed("meeting_list"), listed("participant_list"));
    let value = |line: usize, key: &str| {
        let line: Value = serde_json::from_str(&whole[line]).unwrap();
        line[key].as_str().unwrap().to_owned()
    };
    for (line, from, to, refusal) in [
        (meeting, "\"participant_list\"".into(), "\"user_list\"", "`endpoint` must be participant_quality_list"),
        (meeting, "\"participant_list\"".into(), "7", "`endpoint` must be participant_quality_list"),
        (meeting, "\"participant_list\"".into(), "[7]", "`endpoint` is a list, must be a text or a whole number"),
        (meeting, value(meeting, "meeting_no"), "12", "`meeting_no` is \"12\", must be nine digits"),
        (meeting, value(meeting, "begun_at"), "soon", "`begun_at` must be a time in unix seconds"),
        (window, "\"landed\":".into(), "\"landed\":-", "`landed` must be a whole number from 0"),
        (window, value(window, "window_end_time"), "1740999999", "are no date in the time zone Asia/Shanghai"),
        (window, "\"meeting_list\":[".into(), "\"meeting_list\":[7,", "`body` is not the documented JSON"),
    ] {
        let mut archive = whole.clone();
        let broken = archive[line].replacen(&from, to, 1);
        assert_ne!(broken, archive[line], "{from}");
        archive[line] = broken;
        let other = fresh(&world, 6);
        fs::write(other.path("broken.ndjson"), archive.join("\n")).unwrap();
        let account = imported(&other, &[other.path("broken.ndjson")]);
        assert_eq!((account.exit_code(), account.refused), (ExitCode::SomeFailed, 1), "{from}: {account}");
        let told = &account.refusals[0];
        assert!(told.contains(refusal) && told.contains(&format!(".ndjson:{}: ", line + 1)), "{told}");
        let sum = account.landed + account.known + account.restored + account.unreached + account.refused;
        assert_eq!((account.pages, sum), (whole.len() as u64, whole.len() as u64), "{account}");
        assert!(account.failure.is_none(), "{account}");
    }
}

/// An old archive brings nothing back over what was listed since.
#[test]
fn what_was_listed_later_counts() {
    let world = exported(7);
    let (path, exported) = archive_of(&world, all_dates(&world), "all.ndjson");
    let mut other = fresh(&world, 7);
    other.rest(TimeDelta::days(1));
    assert_eq!(other.live_one(discover(&other)).exit, Some(0));
    let before = datasets(&other);
    let account = imported(&other, &[path]);
    assert_eq!((account.refused, account.known, account.landed), (exported.listed, exported.pages, 0), "{account}");
    assert!(account.refusals[0].ends_with("a later listing of the same has landed already, and counts"), "{account}");
    assert!(datasets(&other) == before, "an archive changed a dataset");
}

#[test]
fn a_page_of_a_listing_that_has_changed_in_the_journal_is_found() {
    let world = exported(8);
    let journal = rusqlite::Connection::open(world.config.state.join("journal.sqlite")).unwrap();
    let body = "(SELECT body FROM listed_page WHERE number = 0 ORDER BY id LIMIT 1)";
    let change = format!("UPDATE body SET zstd = zeroblob(length(zstd)) WHERE id = {body}");
    assert_eq!(journal.execute(&change, []).unwrap(), 1);
    drop(journal);
    let verified = verify(&world.config, &world.start()).unwrap();
    let first = all_dates(&world).first;
    assert_eq!(verified.exit_code(), ExitCode::Disk, "{verified}");
    let told = format!("FAIL  date={first}  1 landed pages of listings are damaged: restore the journal");
    assert!(verified.to_string().contains(&told), "{verified}");
}

/// Each archive counts its places from the first on: of two that were joined nobody knows which page came first.
#[test]
fn archives_that_were_joined_are_refused_page_by_page() {
    let world = exported(9);
    let dates: Vec<_> = all_dates(&world).each().take(2).collect();
    let halves =
        dates.iter().map(|date| archive_of(&world, Dates { first: *date, last: *date }, &format!("{date}.ndjson")));
    let joined: Vec<String> = halves.flat_map(|(path, _)| lines(&path)).collect();
    let other = fresh(&world, 9);
    fs::write(other.path("joined.ndjson"), joined.join("\n")).unwrap();
    let account = imported(&other, &[other.path("joined.ndjson")]);
    assert_eq!(account.exit_code(), ExitCode::SomeFailed, "{account}");
    assert!(account.refusals[0].contains("stands twice: archives that were joined"), "{account}");
}
