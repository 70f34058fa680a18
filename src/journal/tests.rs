use std::collections::BTreeSet;

use chrono::NaiveDate;
use chrono_tz::Tz;
use proptest::{collection::vec, prelude::*};
use tempfile::TempDir;

use super::*;
use crate::{
    endpoint::Endpoint,
    error::{Error, ExitCode},
    stay::{MeetingNo, Participant, Stay},
};

/// 2025-03-03 00:00 in UTC.
const DAY_S: i64 = 1_740_960_000;

fn identity() -> Identity {
    Identity {
        timezone: "UTC".into(),
        user_id_type: "open_id".into(),
        app_id: "cli_1".into(),
        host: "open.feishu.cn".into(),
    }
}

/// A state folder, whose journal can be opened again as after a crash.
struct Home(TempDir);

impl Home {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn open(&self) -> Journal {
        Journal::open(self.0.path(), &identity()).unwrap()
    }
}

/// The stay of user `who` in an hour's meeting that begins on day `day`.
fn stay_on(day: i64, who: u32) -> Stay {
    let start_s = DAY_S + day * 86_400;
    Stay {
        meeting_no: MeetingNo::parse("012345678").unwrap(),
        meeting_start_s: start_s,
        meeting_end_s: start_s + 3600,
        join_s: start_s,
        participant: Participant::User(format!("ou_{who}")),
    }
}

fn stay(who: u32) -> Stay {
    stay_on(0, who)
}

fn date(day: u64) -> NaiveDate {
    NaiveDate::from_ymd_opt(2025, 3, 3).unwrap() + chrono::Days::new(day)
}

fn stage(journal: &Journal, stays: &[Stay]) -> Staged {
    let mut staging = journal.stage().unwrap();
    for (line, stay) in (1..).zip(stays) {
        staging.push(stay, Manifested { file: 0, line }).unwrap();
    }
    staging.finish().unwrap()
}

fn enqueue(journal: &mut Journal, lane: Lane, stays: &[Stay]) -> Enqueued {
    let staged = stage(journal, stays);
    journal.enqueue(staged, lane, Tz::UTC).unwrap().finish().unwrap()
}

/// The whole queue, in order.
fn queue(journal: &Journal) -> Vec<QueuedStay> {
    let mut taken = BTreeSet::new();
    let mut queue = Vec::new();
    while let Some(next) = journal.next(taken.len() + 1, |id| taken.contains(&id)).unwrap() {
        taken.insert(next.id);
        queue.push(next);
    }
    queue
}

fn ids(journal: &Journal) -> Vec<StayId> {
    queue(journal).iter().map(|queued| queued.id).collect()
}

fn whos(journal: &Journal) -> Vec<String> {
    queue(journal).iter().map(|queued| queued.stay.participant.id().replace("ou_", "")).collect()
}

fn page(stay: StayId, number: u32, next_token: Option<&str>) -> NewPage<'_> {
    NewPage { stay, number, samples: 2, next_token, body: b"{\"code\":0}" }
}

fn land_all(journal: &mut Journal) {
    for id in ids(journal) {
        journal.land(&page(id, 0, None), 0).unwrap();
    }
}

fn settle(journal: &Journal, id: StayId, state: State) {
    journal.settle(id, &Verdict { state, reason: "because".into(), log_id: None }, 100).unwrap();
}

fn states(journal: &Journal) -> Vec<(State, u64)> {
    let mut states: Vec<(State, u64)> = journal.coverage().unwrap().iter().map(|row| (row.state, row.stays)).collect();
    states.sort();
    states
}

#[test]
fn rows_of_one_stay_are_merged_and_the_first_one_counts() {
    let home = Home::new();
    let mut journal = home.open();
    let longer = Stay { meeting_end_s: DAY_S + 7200, ..stay(1) };
    let merged = enqueue(&mut journal, Lane::Nightly, &[stay(1), stay(2), stay(1), longer]);
    let expected = Enqueued { stays: 2, duplicates: 2, contradicting: 1, requests: 2, ..Enqueued::default() };
    assert_eq!(merged, expected);
    assert_eq!(queue(&journal)[0].stay.meeting_end_s, DAY_S + 3600);
}

#[test]
fn a_plan_is_what_an_export_finds_and_changes_nothing() {
    let home = Home::new();
    let mut journal = home.open();
    enqueue(&mut journal, Lane::Nightly, &[stay(1), stay(2)]);
    let first = ids(&journal)[0];
    journal.land(&page(first, 0, None), 0).unwrap();
    let rows = [stay(1), stay(2), stay(3), stay(3)];
    let planned = journal.plan(stage(&journal, &rows)).unwrap();
    assert_eq!(whos(&journal), ["2"]);
    drop(journal);
    let mut journal = home.open();
    assert_eq!(enqueue(&mut journal, Lane::Nightly, &rows), planned);
    assert_eq!((planned.stays, planned.landed, planned.requests, planned.duplicates), (3, 1, 2, 1));
}

#[test]
fn nightly_stays_come_first_and_stay_nightly() {
    let home = Home::new();
    let mut journal = home.open();
    enqueue(&mut journal, Lane::Backfill, &[stay(2), stay(1)]);
    enqueue(&mut journal, Lane::Nightly, &[stay(4), stay(3)]);
    assert_eq!(whos(&journal), ["3", "4", "1", "2"]);
    assert_eq!(journal.queued().unwrap(), [2, 2]);
    enqueue(&mut journal, Lane::Nightly, &[stay(2)]);
    assert_eq!(whos(&journal), ["2", "3", "4", "1"], "by lane, then by number");
    enqueue(&mut journal, Lane::Backfill, &[stay(2), stay(3)]);
    assert_eq!(whos(&journal), ["2", "3", "4", "1"], "a backfill does not take a stay's place");
}

#[test]
fn a_stay_named_again_is_asked_again_only_if_that_can_help() {
    let cases = [
        (State::Pending, State::Pending),
        (State::Done, State::Done),
        (State::Absent, State::Absent),
        (State::Rejected, State::Pending),
        (State::Failed, State::Pending),
        (State::Young, State::Pending),
    ];
    for (before, after) in cases {
        let home = Home::new();
        let mut journal = home.open();
        enqueue(&mut journal, Lane::Nightly, &[stay(1)]);
        let id = ids(&journal)[0];
        match before {
            State::Pending => {}
            State::Done => journal.land(&page(id, 0, None), 0).unwrap(),
            _ => settle(&journal, id, before),
        }
        let merged = enqueue(&mut journal, Lane::Nightly, &[stay(1)]);
        assert_eq!(states(&journal), [(after, 1)], "{before:?}");
        assert_eq!((merged.stays, merged.landed), (1, u64::from(before == State::Done)), "{before:?}");
    }
}

#[test]
fn young_stays_are_asked_again_by_a_later_run_and_become_its_own() {
    let home = Home::new();
    let mut journal = home.open();
    enqueue(&mut journal, Lane::Backfill, &[stay(1), stay(2), stay(4)]);
    let [first, second, _] = ids(&journal)[..] else { panic!("three stays") };
    settle(&journal, first, State::Young);
    settle(&journal, second, State::Absent);
    drop(journal);
    let mut journal = home.open();
    enqueue(&mut journal, Lane::Nightly, &[stay(3)]);
    assert_eq!(journal.ask_earlier_again(100, i64::MAX, Lane::Nightly).unwrap(), 0, "asked at 100, not before it");
    assert_eq!(journal.ask_earlier_again(101, i64::MAX, Lane::Nightly).unwrap(), 1);
    assert_eq!(whos(&journal), ["1", "3", "4"], "a nightly run does not wait for the backfill");
    let mut tally = journal.tally().unwrap();
    tally.sort_by_key(|(_, is_of_earlier_manifest, _)| *is_of_earlier_manifest);
    let one = Tally { stays: 1, ..Tally::default() };
    assert_eq!(tally, [(State::Pending, false, one), (State::Pending, true, one)]);
    assert_eq!(journal.own_pending(0).unwrap(), Some(first));
    assert_eq!(journal.own_pending(first + 1).unwrap(), Some(second + 2));
}

#[test]
fn a_stay_is_read_on_from_its_last_landed_page() {
    let home = Home::new();
    let mut journal = home.open();
    enqueue(&mut journal, Lane::Nightly, &[stay(1)]);
    let id = ids(&journal)[0];
    journal.land(&page(id, 0, Some("a")), 0).unwrap();
    journal.land(&page(id, 1, Some("b")), 0).unwrap();
    drop(journal);
    let mut journal = home.open();
    let queued = queue(&journal).remove(0);
    assert_eq!((queued.pages, queued.samples, queued.page_token.as_deref()), (2, 4, Some("b")));
    assert!(journal.token_seen(id, "a").unwrap() && !journal.token_seen(id, "c").unwrap());
    journal.restart(id).unwrap();
    let queued = queue(&journal).remove(0);
    assert_eq!((queued.pages, queued.samples, queued.restarts, queued.page_token), (0, 0, 1, None));
    assert!(!journal.token_seen(id, "a").unwrap());
    journal.land(&page(id, 0, None), 0).unwrap();
    assert_eq!(states(&journal), [(State::Done, 1)]);
    assert_eq!(bodies(&journal, id).unwrap(), [b"{\"code\":0}"]);
}

fn bodies(journal: &Journal, id: StayId) -> Result<Vec<Vec<u8>>, JournalError> {
    let mut bodies = Vec::new();
    journal.bodies()?.each(id, |_, body| {
        bodies.push(body.to_vec());
        Ok::<_, JournalError>(())
    })?;
    Ok(bodies)
}

#[test]
fn a_verdict_can_be_taken_back() {
    let home = Home::new();
    let mut journal = home.open();
    enqueue(&mut journal, Lane::Nightly, &[stay(1), stay(2)]);
    let all = ids(&journal);
    for id in &all {
        settle(&journal, *id, State::Failed);
    }
    let mut reasons = Vec::new();
    journal
        .each_own(State::Failed, |own| {
            reasons.push((own.manifested.map(|at| at.line), own.reason));
            Ok::<_, JournalError>(())
        })
        .unwrap();
    assert_eq!(reasons, [(Some(1), Some("because".into())), (Some(2), Some("because".into()))]);
    journal.unsettle(&all[1..]).unwrap();
    assert_eq!(whos(&journal), ["2"]);
}

#[test]
fn suspects_are_asked_for_last_and_by_their_own_run_alone() {
    let home = Home::new();
    let mut journal = home.open();
    enqueue(&mut journal, Lane::Nightly, &[stay(1), stay(2), stay(3), stay(4)]);
    let [one, two, three, _] = ids(&journal)[..] else { panic!("four stays") };
    journal.land(&NewPage { samples: 0, ..page(one, 0, None) }, 0).unwrap();
    settle(&journal, two, State::Absent);
    journal.land(&page(three, 0, None), 0).unwrap();
    journal.unsettle_suspects(&[one, two, three]).unwrap();
    assert_eq!(states(&journal), [(State::Pending, 3), (State::Done, 1)], "what has samples stays done");
    assert_eq!(whos(&journal), ["4"]);
    let suspect = journal.next_suspect(|id| id == two).unwrap().unwrap();
    assert_eq!((suspect.id, suspect.pages, suspect.is_suspect), (one, 0, true), "its empty page is forgotten");
    assert!(bodies(&journal, one).unwrap().is_empty());
    assert_eq!(journal.queued_aside().unwrap(), 2);
    journal.set_aside(Aside::Own).unwrap();
    assert_eq!(whos(&journal), [""; 0]);
    assert_eq!((journal.queued().unwrap(), journal.queued_aside().unwrap()), ([3, 0], 3));
    drop(journal);

    let mut journal = home.open();
    enqueue(&mut journal, Lane::Nightly, &[stay(2), stay(5)]);
    journal.take_back_own().unwrap();
    assert_eq!(whos(&journal), ["5"], "none of an earlier run");
    assert_eq!(journal.next_suspect(|_| false).unwrap().unwrap().id, two, "but those that are named again");
    enqueue(&mut journal, Lane::Nightly, &[stay(4)]);
    journal.take_back_own().unwrap();
    assert_eq!(whos(&journal), ["4", "5"]);
    assert_eq!(journal.queued_aside().unwrap(), 2);
    journal.set_aside(Aside::All).unwrap();
    assert_eq!(whos(&journal), [""; 0]);
}

#[test]
fn what_is_taken_out_of_the_queue_leaves_no_number_that_another_stay_gets() {
    let home = Home::new();
    let mut journal = home.open();
    enqueue(&mut journal, Lane::Nightly, &[stay(1), stay(2), stay(3), stay(4), stay(5)]);
    let all = ids(&journal);
    journal.land(&page(all[0], 0, None), 0).unwrap();
    journal.land(&page(all[1], 0, Some("a")), 0).unwrap();
    settle(&journal, all[2], State::Failed);
    let staged = |journal: &Journal| stage(journal, &[stay(1), stay(2), stay(3), stay(3), stay(5), stay(6)]);
    let counted = Unqueued { stays: 5, duplicates: 1, dropped: 2, kept: 2, unknown: 1 };
    let dry = staged(&journal);
    assert_eq!(journal.unqueue(dry, true).unwrap(), counted);
    assert_eq!(whos(&journal), ["2", "4", "5"]);
    let all_of_them = staged(&journal);
    assert_eq!(journal.unqueue(all_of_them, false).unwrap(), counted);
    assert_eq!(whos(&journal), ["2", "4"]);
    enqueue(&mut journal, Lane::Nightly, &[stay(7)]);
    assert!(journal.next(9, |id| id <= all[4]).unwrap().is_some(), "a number of its own");
    enqueue(&mut journal, Lane::Nightly, &[stay(5)]);
    assert_eq!(whos(&journal), ["2", "4", "5", "7"], "named again, it is asked for again");
}

#[test]
fn a_date_is_ready_when_all_its_stays_are_settled_and_some_are_in_no_file() {
    let home = Home::new();
    let mut journal = home.open();
    enqueue(&mut journal, Lane::Nightly, &[stay(1), stay(2), stay_on(1, 3)]);
    let [first, second, third] = ids(&journal)[..] else { panic!("three stays") };
    journal.land(&page(first, 0, None), 0).unwrap();
    assert!(!journal.is_ready(date(0)).unwrap());
    settle(&journal, second, State::Absent);
    assert!(journal.is_ready(date(0)).unwrap());
    settle(&journal, third, State::Absent);
    assert!(!journal.is_ready(date(1)).unwrap(), "there is nothing to publish");
    assert_eq!(journal.unpublished_dates().unwrap(), [date(0)]);
    assert!(journal.is_own_unpublished(date(0)).unwrap() && !journal.is_own_unpublished(date(1)).unwrap());
    assert_eq!(journal.landed_dates(NaiveDate::MIN, NaiveDate::MAX).unwrap(), [date(0)]);
    assert_eq!(journal.known_dates(NaiveDate::MIN, NaiveDate::MAX).unwrap(), [date(0), date(1)]);
    publish(&mut journal, Intent::Append);
    assert!(!journal.is_ready(date(0)).unwrap());
}

fn publish(journal: &mut Journal, intent: Intent<'_>) -> FileRow {
    let file = journal.intend(date(0), intent, b"").unwrap().unwrap();
    publish_intended(journal, file)
}

fn publish_intended(journal: &mut Journal, file: FileRow) -> FileRow {
    journal.built(&file, 1000, [7; 32]).unwrap();
    journal.published(&file).unwrap();
    FileRow { published: true, bytes: Some(1000), sha256: Some([7; 32]), ..file }
}

fn members(journal: &Journal, file: &FileRow) -> Vec<String> {
    let mut members = Vec::new();
    journal
        .each_member(file, |_, stay, _| {
            members.push(stay.participant.id().to_owned());
            Ok::<_, JournalError>(())
        })
        .unwrap();
    members
}

/// The process dies after each step in turn; what the next one finds is what it has to go on with.
#[test]
fn an_intent_outlives_its_process() {
    const NOWHERE: Astray = Astray { unpublished: 0, misfiled: 0 };
    let home = Home::new();
    let mut journal = home.open();
    enqueue(&mut journal, Lane::Nightly, &[stay(2), stay(1)]);
    land_all(&mut journal);
    let intended = journal.intend(date(0), Intent::Append, b"").unwrap().unwrap();
    drop(journal);

    let mut journal = home.open();
    assert_eq!(journal.intent_on(date(0)).unwrap().as_ref(), Some(&intended));
    assert_eq!(journal.astray(date(0)).unwrap(), Astray { unpublished: 2, ..NOWHERE }, "until it is visible");
    assert_eq!(members(&journal, &intended), ["ou_1", "ou_2"]);
    assert!(journal.intend(date(0), Intent::Append, b"").is_err(), "one intent a date");
    let published = publish_intended(&mut journal, intended);
    drop(journal);

    let mut journal = home.open();
    assert_eq!(journal.files().unwrap(), std::slice::from_ref(&published));
    assert_eq!(journal.astray(date(0)).unwrap(), NOWHERE);
    enqueue(&mut journal, Lane::Nightly, &[stay(3)]);
    land_all(&mut journal);
    let replacing = journal.intend(date(0), Intent::Replace, b"").unwrap().unwrap();
    drop(journal);

    let mut journal = home.open();
    assert_eq!(journal.files().unwrap(), [published.clone(), replacing.clone()], "both, until the new one is visible");
    assert_eq!(members(&journal, &replacing), ["ou_1", "ou_2", "ou_3"]);
    assert_eq!(members(&journal, &published), ["ou_1", "ou_2"]);
    let replacing = publish_intended(&mut journal, replacing);
    drop(journal);
    let journal = home.open();
    assert_eq!(members(&journal, &replacing), ["ou_1", "ou_2", "ou_3"]);
    assert_eq!(journal.files().unwrap(), [replacing]);
    assert_eq!(journal.astray(date(0)).unwrap(), NOWHERE);
}

#[test]
fn an_intent_that_is_withdrawn_has_never_been() {
    let home = Home::new();
    let mut journal = home.open();
    enqueue(&mut journal, Lane::Nightly, &[stay(1)]);
    land_all(&mut journal);
    let first = publish(&mut journal, Intent::Append);
    enqueue(&mut journal, Lane::Nightly, &[stay(2)]);
    land_all(&mut journal);
    let mut last_id = first.id;
    for intent in [Intent::Append, Intent::Replace, Intent::Append] {
        let intended = journal.intend(date(0), intent, b"").unwrap().unwrap();
        assert!(intended.id > last_id, "a number is never used again");
        last_id = intended.id;
        journal.withdraw(&intended).unwrap();
        assert_eq!(journal.files().unwrap(), std::slice::from_ref(&first));
        assert_eq!(members(&journal, &first), ["ou_1"]);
        assert_eq!(journal.astray(date(0)).unwrap(), Astray { unpublished: 1, misfiled: 0 });
    }
    let second = publish(&mut journal, Intent::Append);
    assert_eq!((members(&journal, &first), members(&journal, &second)), (vec!["ou_1".into()], vec!["ou_2".into()]));
}

/// A stay that is done while a file is being built is in the next one.
#[test]
fn a_file_holds_what_was_intended_and_nothing_else() {
    let home = Home::new();
    let mut journal = home.open();
    enqueue(&mut journal, Lane::Nightly, &[stay(1), stay(2)]);
    let [first, second] = ids(&journal)[..] else { panic!("two stays") };
    journal.land(&page(first, 0, None), 0).unwrap();
    for intent in [Intent::Append, Intent::Replace] {
        let intended = journal.intend(date(0), intent, b"").unwrap().unwrap();
        if intent == Intent::Append {
            journal.land(&page(second, 0, None), 0).unwrap();
            let file = publish_intended(&mut journal, intended);
            assert_eq!(members(&journal, &file), ["ou_1"]);
            assert_eq!(journal.astray(date(0)).unwrap().unpublished, 1);
        } else {
            let file = publish_intended(&mut journal, intended);
            assert_eq!(members(&journal, &file), ["ou_1", "ou_2"]);
        }
    }
}

/// The dates and numbers of second readings, and what has landed of them.
#[test]
fn second_readings_take_the_place_of_first_ones_when_they_are_published() {
    let home = Home::new();
    let mut journal = home.open();
    enqueue(&mut journal, Lane::Nightly, &[stay(1), stay(2)]);
    land_all(&mut journal);
    publish(&mut journal, Intent::Append);
    let rereading = journal.reread(date(0), date(0), Lane::Nightly).unwrap();
    assert_eq!((rereading.stays, rereading.continued), (2, 0));
    let seconds: BTreeSet<_> = ids(&journal).into_iter().collect();
    assert_eq!(seconds, [-2, -1].into(), "the negative of the first ones' numbers");
    for id in seconds {
        journal.land(&NewPage { samples: 5, body: b"other", ..page(id, 0, None) }, 0).unwrap();
    }
    let intended = journal.intend(date(0), Intent::Adopt(&[-1]), b"").unwrap().unwrap();
    assert_eq!((intended.stays, intended.samples), (2, 7));
    assert_eq!(bodies(&journal, 1).unwrap(), [b"{\"code\":0}".to_vec()], "until it is published");
    journal.withdraw(&intended).unwrap();
    let file = publish(&mut journal, Intent::Adopt(&[-1]));
    assert_eq!(members(&journal, &file), ["ou_1", "ou_2"]);
    assert_eq!((bodies(&journal, 1).unwrap(), bodies(&journal, 2).unwrap().len()), (vec![b"other".to_vec()], 1));
    assert!(bodies(&journal, -1).unwrap().is_empty() && !bodies(&journal, -2).unwrap().is_empty());
    journal.forget_reread(-2).unwrap();
    journal.end_refreshes().unwrap();
    assert_eq!(journal.reread(date(0), date(0), Lane::Nightly).unwrap().continued, 0, "it is a new refresh");
}

/// What a refresh has finished stays finished until all of it is; another span is another refresh.
#[test]
fn a_refresh_is_one_piece_of_work() {
    let home = Home::new();
    let mut journal = home.open();
    enqueue(&mut journal, Lane::Nightly, &[stay_on(0, 1), stay_on(1, 2)]);
    land_all(&mut journal);
    assert_eq!(journal.reread(date(0), date(1), Lane::Nightly).unwrap().stays, 2);
    journal.forget_reread(-1).unwrap();
    journal.end_refreshes().unwrap();
    drop(journal);
    let mut journal = home.open();
    let rereading = journal.reread(date(0), date(1), Lane::Nightly).unwrap();
    assert_eq!((rereading.stays, rereading.continued), (1, 1), "the first date is finished");
    let rereading = journal.reread(date(0), date(0), Lane::Nightly).unwrap();
    assert_eq!((rereading.stays, rereading.continued), (1, 0), "another span");
    for id in [-1, -2] {
        journal.forget_reread(id).unwrap();
    }
    journal.end_refreshes().unwrap();
    drop(journal);
    assert_eq!(home.open().reread(date(0), date(1), Lane::Nightly).unwrap().stays, 2, "it begins anew");
}

#[test]
fn stays_and_pages_and_salt_decide_a_files_name_and_nothing_else_does() {
    let name = |stays: &[Stay], intent, salt: &[u8], body: &[u8]| {
        let home = Home::new();
        let mut journal = home.open();
        enqueue(&mut journal, Lane::Nightly, stays);
        for stay in ids(&journal) {
            journal.land(&NewPage { stay, number: 0, samples: 1, next_token: None, body }, 7).unwrap();
        }
        journal.intend(date(0), intent, salt).unwrap().unwrap().name
    };
    let usual = name(&[stay(1), stay(2)], Intent::Append, b"salt", b"body");
    assert_eq!(name(&[stay(2), stay(1)], Intent::Replace, b"salt", b"body"), usual);
    assert_ne!(name(&[stay(1), stay(3)], Intent::Append, b"salt", b"body"), usual);
    assert_ne!(name(&[stay(1), stay(2)], Intent::Append, b"pepper", b"body"), usual);
    assert_ne!(name(&[stay(1), stay(2)], Intent::Append, b"salt", b"another body"), usual);
}

#[test]
fn a_slot_is_kept_until_a_minute_after_it_is_free() {
    let home = Home::new();
    let mut journal = home.open();
    let first = journal.spend(Endpoint::Quality, 1000, 90_000, 7).unwrap();
    let second = journal.spend(Endpoint::Quality, 2000, 91_000, 7).unwrap();
    let slots = |journal: &Journal| {
        journal.slots(Endpoint::Quality).unwrap().iter().map(|slot| slot.free_ms).collect::<Vec<_>>()
    };
    journal.free_slot(first, 61_000);
    drop(journal);
    let mut journal = home.open();
    assert_eq!(slots(&journal), [90_000, 91_000], "an answer that was not written frees nothing");
    journal.free_slot(first, 61_000);
    journal.write_slots().unwrap();
    journal.free_slot(second, 62_000);
    assert_eq!(slots(&journal), [61_000, 91_000]);
    journal.spend(Endpoint::Quality, 122_000, 211_000, 8).unwrap();
    assert_eq!(slots(&journal), [62_000, 211_000], "written with the next request, and forgotten a minute later");
    for (days, requests) in [((7, 7), 2), ((8, 8), 1), ((7, 8), 3), ((9, 9), 0)] {
        assert_eq!(journal.spent_between(days.0, days.1).unwrap(), requests, "{days:?}");
    }
    assert_eq!(journal.gate_ms(Endpoint::Quality).unwrap(), None);
    journal.set_gate_ms(Endpoint::Quality, 5).unwrap();
    journal.set_gate_ms(Endpoint::Quality, 6).unwrap();
    assert_eq!(home.open().gate_ms(Endpoint::Quality).unwrap(), Some(6));
}

#[test]
fn pruned_bodies_are_gone_and_all_else_is_kept() {
    let home = Home::new();
    let mut journal = home.open();
    enqueue(&mut journal, Lane::Nightly, &[stay(1), stay(2), stay(3)]);
    let [first, second, third] = ids(&journal)[..] else { panic!("three stays") };
    journal.land(&page(first, 0, None), 0).unwrap();
    let empty = NewPage { samples: 0, ..page(second, 0, None) };
    journal.land(&empty, 0).unwrap();
    journal.land(&page(third, 0, Some("a")), 0).unwrap();
    let file = publish(&mut journal, Intent::Append);
    assert_eq!(journal.prune(date(0)).unwrap(), Dropped { stays: 2, pages: 2 });
    assert!(journal.is_pruned(date(0)).unwrap() && !journal.is_pruned(date(1)).unwrap());
    for id in [first, second] {
        assert!(matches!(bodies(&journal, id), Err(JournalError::Pruned { stay }) if stay == id));
    }
    assert_eq!(bodies(&journal, third).unwrap().len(), 1, "a stay that is not done keeps its pages");
    assert_eq!(members(&journal, &file), ["ou_1"]);
    assert_eq!(journal.prune(date(0)).unwrap(), Dropped::default());
    journal.land(&page(third, 1, None), 0).unwrap();
    assert_eq!(journal.prune(date(0)).unwrap(), Dropped::default(), "what is done meanwhile is in no file yet");
}

#[test]
fn space_is_given_back() {
    let home = Home::new();
    let mut journal = home.open();
    enqueue(&mut journal, Lane::Nightly, &(0..50).map(stay).collect::<Vec<_>>());
    let noise: Vec<u8> = (0..20_000_u32).flat_map(|n| n.wrapping_mul(2_654_435_761).to_be_bytes()).collect();
    for stay in ids(&journal) {
        journal.land(&NewPage { stay, number: 0, samples: 1, next_token: None, body: &noise }, 0).unwrap();
    }
    publish(&mut journal, Intent::Append);
    let bytes = |name| fs::metadata(home.0.path().join(name)).unwrap().len();
    let other = home.open();
    journal.prune(date(0)).unwrap();
    journal.db.execute_batch("PRAGMA wal_checkpoint(TRUNCATE)").unwrap();
    assert!(bytes("journal.sqlite") > 3_000_000);
    let (given_back, kept) = journal.shrink().unwrap();
    assert!(given_back > 3_000_000 && kept == 0);
    assert!(bytes("journal.sqlite") < 250_000 && bytes("journal.sqlite-wal") == 0);
    assert_eq!(states(&other), [(State::Done, 50)], "another connection goes on");
}

/// As a database is that was restored from a dump.
#[test]
fn space_that_cannot_be_given_back_is_told_and_waited_for_by_nobody() {
    let home = Home::new();
    let mut journal = home.open();
    enqueue(&mut journal, Lane::Nightly, &(0..50).map(stay).collect::<Vec<_>>());
    let noise: Vec<u8> = (0..20_000_u32).flat_map(|n| n.wrapping_mul(2_654_435_761).to_be_bytes()).collect();
    for stay in ids(&journal) {
        journal.land(&NewPage { stay, number: 0, samples: 1, next_token: None, body: &noise }, 0).unwrap();
    }
    publish(&mut journal, Intent::Append);
    journal.db.execute_batch("PRAGMA journal_mode = DELETE; PRAGMA auto_vacuum = NONE; VACUUM").unwrap();
    journal.prune(date(0)).unwrap();
    let (given_back, kept) = journal.shrink().unwrap();
    assert!(given_back == 0 && kept > 3_000_000, "{given_back} {kept}");
    journal.db.execute_batch("PRAGMA auto_vacuum = INCREMENTAL; VACUUM").unwrap();
    assert_eq!(journal.shrink().unwrap().1, 0, "what the message says helps");
}

#[test]
fn a_damaged_body_is_an_error() {
    let home = Home::new();
    let mut journal = home.open();
    enqueue(&mut journal, Lane::Nightly, &[stay(1)]);
    let id = ids(&journal)[0];
    journal.land(&page(id, 0, None), 0).unwrap();
    for damage in ["zeroblob(10)", "substr(zstd, 1, length(zstd) - 1)", "x''"] {
        journal.db.execute(&format!("UPDATE body SET zstd = {damage}"), []).unwrap();
        assert!(matches!(bodies(&journal, id), Err(JournalError::Body { stay, number: 0 }) if stay == id), "{damage}");
    }
}

#[test]
fn a_journal_begun_otherwise_is_refused() {
    let home = Home::new();
    assert!(matches!(Journal::open_existing(home.0.path(), &identity()), Err(JournalError::Missing(_))));
    let mut journal = home.open();
    enqueue(&mut journal, Lane::Nightly, &[stay(1)]);
    land_all(&mut journal);
    for (identity, refused) in [
        (Identity { timezone: "Asia/Shanghai".into(), ..identity() }, "timezone"),
        (Identity { user_id_type: "union_id".into(), ..identity() }, "api.user_id_type"),
        (Identity { host: "open.larksuite.com".into(), ..identity() }, "api.base_url"),
    ] {
        let error = Journal::open(home.0.path(), &identity).err().unwrap();
        assert!(matches!(&error, JournalError::Identity { key, .. } if *key == refused), "{error}");
        assert!(error.is_usage());
    }
    let other_app = Identity { app_id: "cli_2".into(), ..identity() };
    assert!(matches!(Journal::open(home.0.path(), &other_app), Err(JournalError::OtherApp)));
    journal.db.pragma_update(None, "user_version", FORMAT + 1).unwrap();
    let error = Journal::open(home.0.path(), &identity()).err().unwrap();
    assert!(matches!(error, JournalError::Format { found, .. } if found == FORMAT + 1), "{error}");
}

#[test]
fn the_state_folder_is_its_owners_alone() {
    let home = Home::new();
    let folder = home.0.path().join("deep/state");
    Journal::open(&folder, &identity()).unwrap();
    assert_eq!(fs::metadata(&folder).unwrap().permissions().mode() & 0o777, 0o700);
}

#[test]
fn one_process_fetches_at_a_time() {
    let home = Home::new();
    let (journal, other) = (home.open(), home.open());
    let fetching = journal.try_lock_fetching().unwrap().unwrap();
    assert!(other.try_lock_fetching().unwrap().is_none());
    drop(fetching);
    assert!(other.try_lock_fetching().unwrap().is_some());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    /// Any manifests, one after the other: every stay is queued once, by lane and then in the order in which it came.
    #[test]
    fn every_row_is_accounted_for(manifests in vec((any::<bool>(), vec((0..3_i64, 0..6_u32), 0..12)), 1..5)) {
        let home = Home::new();
        let mut journal = home.open();
        let mut known = BTreeSet::new();
        for (is_backfill, rows) in &manifests {
            let lane = if *is_backfill { Lane::Backfill } else { Lane::Nightly };
            let stays: Vec<Stay> = rows.iter().map(|(day, who)| stay_on(*day, *who)).collect();
            let merged = enqueue(&mut journal, lane, &stays);
            let distinct: BTreeSet<_> = rows.iter().copied().collect();
            prop_assert_eq!(merged.stays, distinct.len() as u64);
            prop_assert_eq!(merged.stays + merged.duplicates, rows.len() as u64);
            known.extend(distinct);
        }
        let queued: Vec<_> = queue(&journal).iter().map(|queued| (queued.lane, queued.id)).collect();
        prop_assert!(queued.is_sorted());
        prop_assert_eq!(queued.len(), known.len());
        prop_assert_eq!(journal.queued().unwrap().iter().sum::<u64>(), known.len() as u64);
        let covered: u64 = journal.coverage().unwrap().iter().map(|row| row.stays).sum();
        prop_assert_eq!(covered, known.len() as u64);
    }
}

/// A journal that was upgraded has the tables and indexes of one that was begun by this version.
#[test]
fn an_upgraded_journal_has_the_schema_of_a_new_one() {
    let schema = |journal: &Journal| {
        let list = |sql: &str| {
            let mut statement = journal.db.prepare(sql).unwrap();
            let columns = statement.column_count();
            let row = |row: &rusqlite::Row<'_>| {
                Ok((0..columns).map(|column| format!("{:?}", row.get_ref(column).unwrap())).collect::<Vec<_>>())
            };
            statement.query_map([], row).unwrap().map(Result::unwrap).collect::<Vec<_>>()
        };
        (
            list(
                "SELECT m.name, c.name, c.type, c.[notnull], c.dflt_value, c.pk FROM sqlite_master AS m, \
                  pragma_table_info(m.name) AS c WHERE m.type = 'table' ORDER BY m.name, c.cid",
            ),
            list(
                "SELECT tbl_name, name, sql FROM sqlite_master WHERE type = 'index' AND sql IS NOT NULL ORDER BY name",
            ),
        )
    };
    let (fresh, old) = (Home::new(), Home::new());
    let fixture = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/format-1/state/journal.sqlite");
    fs::copy(fixture, old.0.path().join("journal.sqlite")).unwrap();
    let identity = Identity { timezone: "Asia/Shanghai".into(), ..identity() };
    let upgraded = Journal::open(old.0.path(), &identity).unwrap();
    assert_eq!(schema(&upgraded), schema(&fresh.open()));
}

/// A manifest that corrects a meeting's end is believed as long as nothing has landed by the old one.
#[test]
fn a_pending_stays_end_can_be_corrected() {
    let home = Home::new();
    let mut journal = home.open();
    enqueue(&mut journal, Lane::Nightly, &[stay(1), stay(2)]);
    let second = ids(&journal)[1];
    journal.land(&page(second, 0, Some("a")), 0).unwrap();
    let longer = |who| Stay { meeting_end_s: DAY_S + 7200, ..stay(who) };
    let merged = enqueue(&mut journal, Lane::Nightly, &[longer(1), longer(2)]);
    assert_eq!((merged.stays, merged.contradicting), (2, 1));
    let ends: Vec<_> = queue(&journal).iter().map(|queued| queued.stay.meeting_end_s - DAY_S).collect();
    assert_eq!(ends, [7200, 3600], "what has landed was asked for with the old one");
}

/// Another process will let go of the journal: the command is to be run again, and nothing on the disk is wrong.
#[test]
fn a_busy_journal_is_to_be_tried_again() {
    for (code, expected) in
        [(rusqlite::ffi::SQLITE_BUSY, ExitCode::Again), (rusqlite::ffi::SQLITE_FULL, ExitCode::Disk)]
    {
        let failure = rusqlite::Error::SqliteFailure(rusqlite::ffi::Error::new(code), None);
        assert_eq!(Error::from(JournalError::from(failure)).exit_code(), expected);
    }
}

#[test]
fn a_journal_is_read_without_a_trace() {
    let home = Home::new();
    assert!(matches!(Journal::read(home.0.path(), &identity()), Err(JournalError::Missing(_))));
    let mut journal = home.open();
    enqueue(&mut journal, Lane::Nightly, &[stay(2)]);
    land_all(&mut journal);
    enqueue(&mut journal, Lane::Nightly, &[stay(1)]);
    drop(journal);
    let names = || {
        let names = fs::read_dir(home.0.path()).unwrap().map(|entry| entry.unwrap().file_name());
        names.collect::<BTreeSet<_>>()
    };
    let before = names();
    let reader = Journal::read(home.0.path(), &identity()).unwrap();
    let _publishing = reader.lock_publishing().unwrap();
    assert!(reader.try_lock_fetching().unwrap().is_some());
    assert_eq!(reader.queued().unwrap(), [1, 0]);
    assert!(reader.db.execute("DELETE FROM stay", []).is_err(), "nothing can be changed");
    drop(reader);
    assert_eq!(names(), before);
    // Whoever only works with what has landed is of no app and asks no host; others are.
    let elsewhere = Identity { app_id: "cli_2".into(), host: "open.larksuite.com".into(), ..identity() };
    assert!(matches!(Journal::read(home.0.path(), &elsewhere), Err(JournalError::OtherApp)));
    let landed = Identity { app_id: String::new(), host: String::new(), ..elsewhere };
    Journal::read(home.0.path(), &landed).unwrap();
    Journal::open_existing(home.0.path(), &landed).unwrap();
    assert!(Journal::open(home.0.path(), &identity()).is_ok(), "and leaves its identity as it was");
}

#[test]
fn readers_share_the_right_to_rely_on_the_dataset() {
    let home = Home::new();
    let writer = home.open();
    drop(writer.lock_publishing().unwrap());
    let read = || Journal::read(home.0.path(), &identity()).unwrap();
    let (one, two) = (read(), read());
    let _reading = (one.lock_publishing().unwrap(), two.lock_publishing().unwrap());
    assert!(writer.try_lock_publishing().unwrap().is_none());
}

#[test]
fn damaged_pages_are_found_by_their_digests() {
    let home = Home::new();
    let mut journal = home.open();
    enqueue(&mut journal, Lane::Nightly, &[stay(1), stay_on(1, 2)]);
    let (first, second) = (1, 2);
    for id in [first, second] {
        journal.land(&page(id, 0, None), 0).unwrap();
    }
    let look = |journal: &Journal| journal.damaged_pages(Share::ALL, || false).unwrap().unwrap();
    assert_eq!(look(&journal), DamagedPages { looked_at: 2, ..DamagedPages::default() });
    assert_eq!(journal.damaged_pages(Share::ALL, || true).unwrap(), None);
    // A frame that is sound, but of another page.
    journal.db.execute("UPDATE page SET digest = zeroblob(16) WHERE stay = ?1", [second]).unwrap();
    assert_eq!(look(&journal).damaged, [(Some(date(1)), 1)].into());
    // A body that is gone, though nobody pruned it.
    journal.db.execute("DELETE FROM body WHERE id = (SELECT body FROM page WHERE stay = ?1)", [first]).unwrap();
    assert_eq!(look(&journal).damaged, [(Some(date(0)), 1), (Some(date(1)), 1)].into());
    // Pruned pages are no damage.
    journal.db.execute("UPDATE page SET body = NULL", []).unwrap();
    assert_eq!(look(&journal), DamagedPages::default());
}

/// What is not in memory as a whole is read a part at a time.
#[test]
fn damage_of_a_large_page_is_found() {
    let home = Home::new();
    let mut journal = home.open();
    enqueue(&mut journal, Lane::Nightly, &[stay(1)]);
    let mut number = 1_u64;
    let body: Vec<u8> = (0..3 << 20)
        .map(|_| {
            number = number.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            b'!' + u8::try_from(number >> 58).unwrap()
        })
        .collect();
    journal.land(&NewPage { body: &body, ..page(1, 0, None) }, 0).unwrap();
    let look = |journal: &Journal| journal.damaged_pages(Share::ALL, || false).unwrap().unwrap();
    assert_eq!(look(&journal), DamagedPages { looked_at: 1, ..DamagedPages::default() });
    for damage in ["digest = zeroblob(16)", "body = body + 1"] {
        journal.db.execute(&format!("UPDATE page SET {damage}"), []).unwrap();
        assert_eq!(look(&journal).damaged, [(Some(date(0)), 1)].into(), "{damage}");
    }
}

#[test]
fn a_damaged_index_is_found() {
    let home = Home::new();
    let mut journal = home.open();
    enqueue(&mut journal, Lane::Nightly, &[stay(1), stay(2)]);
    assert_eq!(journal.structure_faults(|| false).unwrap(), Some(Vec::new()));
    journal.db.execute_batch("PRAGMA writable_schema = ON").unwrap();
    // An index that says it is a partial one no more lacks what it left out.
    let sql = "UPDATE sqlite_schema SET sql = 'CREATE INDEX stay_again ON stay (settled_at)' WHERE name = 'stay_again'";
    journal.db.execute(sql, []).unwrap();
    drop(journal);
    let mut journal = Journal::read(home.0.path(), &identity()).unwrap();
    let faults = journal.structure_faults(|| false).unwrap().unwrap();
    assert!(faults.iter().any(|fault| fault.contains("stay_again")), "{faults:?}");
}

/// Whoever asked in vain with another app, or another host, has bound nobody.
#[test]
fn app_and_host_are_bound_once_something_has_come_of_them() {
    let home = Home::new();
    let wrong = Identity { app_id: "simulatedSECRET99".into(), host: "localhost".into(), ..identity() };
    let mut journal = Journal::open(home.0.path(), &wrong).unwrap();
    enqueue(&mut journal, Lane::Nightly, &[stay(1)]);
    drop(journal);
    Journal::read(home.0.path(), &identity()).unwrap();
    let other_zone = Identity { timezone: "Asia/Shanghai".into(), ..identity() };
    assert!(Journal::open(home.0.path(), &other_zone).is_err(), "the stays have their dates");
    let mut journal = home.open();
    land_all(&mut journal);
    drop(journal);
    let error = Journal::open(home.0.path(), &wrong).err().unwrap();
    assert!(matches!(error, JournalError::OtherApp) && error.is_usage(), "{error}");
    assert!(!error.to_string().contains("SECRET"), "{error}");
}

#[test]
fn a_database_of_another_program_is_left_as_it_is() {
    for (version, table) in [(0, "users"), (1, "users"), (3, "meta"), (-1, "users"), (6, "users")] {
        let home = Home::new();
        let path = home.0.path().join("journal.sqlite");
        let db = Connection::open(&path).unwrap();
        db.execute_batch(&format!("CREATE TABLE {table} (key TEXT, name TEXT)")).unwrap();
        db.pragma_update(None, "user_version", version).unwrap();
        drop(db);
        let before = fs::read(&path).unwrap();
        let opened = Journal::open(home.0.path(), &identity()).map(drop);
        let read = Journal::read(home.0.path(), &identity()).map(drop);
        for error in [opened.unwrap_err(), read.unwrap_err()] {
            assert!(matches!(error, JournalError::Foreign { .. }) && error.is_usage(), "{version}: {error}");
            assert!(error.to_string().contains("not vcq's") && error.hint().is_some(), "{error}");
        }
        assert_eq!(fs::read(&path).unwrap(), before, "{version}");
        assert_eq!(fs::read_dir(home.0.path()).unwrap().count(), 1, "{version}");
    }
    let home = Home::new();
    let id = home.open().db.query_row("PRAGMA application_id", [], |row| row.get::<_, i32>(0)).unwrap();
    assert_eq!(id, foreign::APPLICATION_ID);
}
