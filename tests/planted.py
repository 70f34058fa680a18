#!/usr/bin/env python3
"""Plants deliberate defects, one at a time, and shows for each the test that fails.

    tests/planted.py [WORD...]      all defects, or those whose names hold one of the words
    tests/planted.py --fit          only whether each of them fits the code, and names a test that is there

Works on the last commit, in a scratch worktree with a target folder of its own (`target/planted`): the first defect
builds everything, each further one what depends on it. A defect is a replacement of exact text, so one that no longer
fits the code is an error, and so is a test that fails without any defect. All of them take about half an hour.
"""

import os
import re
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent

# No test that is named below takes longer, so one that does hangs.
TEST_SECONDS_MAX = 900


@dataclass
class Defect:
    name: str
    # Which tests to build (`lib` or the name of one under `tests/`), and the one that has to fail.
    target: str
    test: str
    # File, text as it stands there once, text that takes its place.
    edits: list[tuple[str, str, str]]
    environment: dict[str, str] = field(default_factory=dict)


def every(calls):
    return {"VCQ_CRASH_EVERY": str(calls)}


DEFECTS = [
    # Publishing.
    Defect(
        "a rename is not synced",
        "lib",
        "store::tests::everything_is_synced_before_the_next_step_relies_on_it",
        [
            (
                "src/store/lock.rs",
                '        disk.sync(&folder).map_err(DiskError::io("sync", &dataset.folder_of(date)))?;\n',
                "",
            )
        ],
    ),
    Defect(
        "a file is published before its content is synced",
        "lib",
        "store::tests::everything_is_synced_before_the_next_step_relies_on_it",
        [
            (
                "src/store/staging.rs",
                '        self.path.disk.sync(&self.file).map_err(DiskError::io("sync", path))?;\n',
                "",
            )
        ],
    ),
    Defect(
        "a sync that fails is passed over",
        "lib",
        "store::tests::a_fault_at_any_effect_leaves_whole_files_and_the_next_run_completes",
        [
            (
                "src/store/staging.rs",
                'self.path.disk.sync(&self.file).map_err(DiskError::io("sync", path))?;',
                "self.path.disk.sync(&self.file).ok();",
            )
        ],
    ),
    Defect(
        "a rename replaces an existing name",
        "lib",
        "store::tests::a_visible_name_never_gets_other_bytes",
        [("src/store/disk.rs", "RenameFlags::NOREPLACE", "RenameFlags::empty()")],
    ),
    Defect(
        "a rebuild removes the old partition before the new one is there",
        "lib",
        "store::tests::a_reader_sees_the_old_partition_or_the_new_one",
        [
            (
                "src/store/lock.rs",
                "let exchanged = disk.exchange(&fresh, &root, &folder_name(date));",
                'disk.remove(&live).map_err(DiskError::io("remove", &live))?;\n'
                "            let exchanged = disk.rename(&fresh, &root, &folder_name(date));",
            )
        ],
    ),
    Defect(
        "an intent is recorded as if it were carried out",
        "crash",
        "kill::killed_at_every_system_call",
        [
            (
                "src/journal/file.rs",
                "INSERT INTO file (date, name, replaces, stays, samples) VALUES (?1, '', ?2, 0, 0)",
                "INSERT INTO file (date, name, replaces, published, stays, samples) VALUES (?1, '', ?2, 1, 0, 0)",
            )
        ],
        every(16),
    ),
    Defect(
        "a file that is visible already is published again",
        "crash",
        "kill::killed_at_every_system_call",
        [
            (
                "src/publish/turn.rs",
                "visible.filter(|_| !is_another) else {",
                "visible.filter(|_| false) else {",
            )
        ],
        every(4),
    ),
    Defect(
        "an append takes stays that are published",
        "runs",
        "limits::a_time_limit_ends_the_run_and_the_next_one_goes_on",
        [
            (
                "src/journal/file.rs",
                "UPDATE stay INDEXED BY stay_unpublished SET intended = ?2\n"
                "        WHERE date = ?1 AND state = 1 /* done */ AND samples > 0 AND file IS NULL",
                "UPDATE stay SET intended = ?2 WHERE date = ?1 AND state = 1 /* done */ AND samples > 0",
            )
        ],
    ),
    # What one act leaves to the next.
    Defect(
        "a date's folder is made and not synced",
        "mishaps",
        "scenarios::what_was_not_synced_may_vanish",
        [
            (
                "src/store/lock.rs",
                "        dataset.sync_folder(&dataset.root)?;\n        open_folder(&path)",
                "        open_folder(&path)",
            )
        ],
    ),
    Defect(
        "stays of a publication that failed go on waiting for it",
        "mishaps",
        "scenarios::an_append_and_a_rebuild_that_failed_leave_no_empty_file",
        [("src/journal/file.rs", "SET intended = NULL WHERE date = ?1 AND state = 1 /* done */ AND intended = ?2", "SET intended = NULL WHERE date = ?1 AND state = 1 AND intended = -?2")],
    ),
    Defect(
        "what a cut publication made visible is published again",
        "mishaps",
        "scenarios::what_was_not_synced_may_vanish",
        [("src/publish/turn.rs", "visible.filter(|_| !is_another) else {", "visible.filter(|_| false) else {")],
    ),
    Defect(
        "dates of other runs are left unpublished",
        "mishaps",
        "scenarios::a_settled_date_is_published_by_whatever_run_comes_next",
        [("src/publish/turn.rs", "if journal.is_ready(date)? || is_due(journal, date)? {", "if is_due(journal, date)? {")],
    ),
    Defect(
        "a file that is visible is taken over unread",
        "mishaps",
        "scenarios::a_file_that_is_taken_over_is_whole",
        [
            (
                "src/publish/turn.rs",
                "let found = self.settings.store.sha256(file.date, part.name, Trust::Kept)?.ok_or_else(|| changed(file))?;\n        match file.sha256 {",
                "let found = self.settings.store.sha256(file.date, part.name, Trust::Kept)?.ok_or_else(|| changed(file))?;\n"
                "        journal.built(file, part.bytes, found)?;\n        match Some(found) {",
            )
        ],
    ),
    Defect(
        "an object is put without a look at what is there",
        "bucket",
        "what_is_put_is_there_whatever_the_store_does_about_conditions",
        [("src/store/objects.rs", "            if self.is_there(upload)? {\n", "            if put > 1 && self.is_there(upload)? {\n")],
    ),
    Defect(
        "an object with other bytes passes for the one that was put",
        "bucket",
        "what_is_put_is_there_whatever_the_store_does_about_conditions",
        [("src/store/objects.rs", "if is_same { Ok(true) }", "if is_same || object.bytes > 0 { Ok(true) }")],
    ),
    Defect(
        "what a put object was to replace stays",
        "runs",
        "buckets::a_rebuild_that_is_killed_at_every_request_is_finished_by_the_next",
        [("src/store/objects.rs", "        self.retire(date, put.name, known)?;\n", "")],
    ),
    Defect(
        "a bucket that is away keeps a run from fetching",
        "bucket",
        "kills::while_the_store_is_away_a_run_fetches_says_so_and_the_next_one_publishes",
        [("src/publish.rs", "Err(error) if error.is_away() => {", "Err(error) if error.is_away() && with_lists => {")],
    ),
    Defect(
        "a folder marker passes for a stranger",
        "bucket",
        "a_listing_tells_files_from_strangers",
        [("src/store/objects.rs", "rest.is_none() && bytes == 0", "rest.is_none() && bytes > 0")],
    ),
    Defect(
        "a run goes on beside a journal that does not know the dataset",
        "mishaps",
        "scenarios::a_lost_journal_stops_the_run",
        [("src/publish/fault.rs", "if what.is_empty() {", "if what.len() < 1000 {")],
    ),
    Defect(
        "a rebuild takes files along that the journal does not name",
        "mishaps",
        "scenarios::a_rebuild_removes_no_file_that_the_journal_does_not_name",
        [("src/store/lock.rs", "if !known.contains(&file.name) {", "if known.len() > 1000 {")],
    ),
    Defect(
        "verify passes over stays that are in no file",
        "mishaps",
        "scenarios::what_is_done_and_not_published_is_told",
        [("src/publish/look.rs", "(unpublished > 0).then_some(Fault::Unpublished", "(unpublished > 1000).then_some(Fault::Unpublished")],
    ),
    Defect(
        "verify compares sizes alone",
        "mishaps",
        "scenarios::pages_of_a_file_that_is_not_whole_are_not_pruned",
        [("src/publish/look.rs", "if depth == Depth::Names {", "if depth != Depth::Names || file.bytes.is_some() {")],
    ),
    Defect(
        "status believes the journal alone",
        "mishaps",
        "scenarios::a_dataset_that_is_gone_stops_the_run",
        [("src/command/standing.rs", "        date.complete &= found.faults.is_empty();\n", "")],
    ),
    Defect(
        "prune believes names and sizes",
        "mishaps",
        "scenarios::pages_of_a_file_that_is_not_whole_are_not_pruned",
        [("src/command/archive/prune.rs", "dataset.list(date)?, Depth::Rows", "dataset.list(date)?, Depth::Names")],
    ),
    Defect(
        "pages of listings come back in the order of the archive",
        "runs",
        "archive::pages_of_many_nights_come_back_in_the_order_in_which_they_landed",
        [("src/journal/listed_import.rs", "ORDER BY since, file, landed, id) AS place", "ORDER BY file, id) AS place")],
    ),
    Defect(
        "what only an archive's listings name is asked for",
        "runs",
        "archive::an_archive_in_each_form_brings_all_three_datasets_back",
        [("src/journal/listed_import.rs", "state = 4 /* failed */, settled_at = ?2, reason = 'no page", "state = 0, settled_at = ?2, reason = 'no page")],
    ),
    Defect(
        "samples that end early are final",
        "runs",
        "early::a_third_of_the_samples_is_published_and_asked_for_once_more",
        [("src/journal/early_end.rs", "SET short = 1 WHERE id = ?1 AND short = 0", "SET short = 0 WHERE id = ?1 AND short = 0")],
    ),
    Defect(
        "prune does not ask what is visible",
        "mishaps",
        "scenarios::pages_of_a_file_that_is_not_whole_are_not_pruned",
        [("src/command/archive/prune.rs", "        if faults.iter().any(Fault::is_lack) {\n", "        if false {\n")],
    ),
    Defect(
        "fewer minutes replace more of them where their pages are pruned",
        "mishaps",
        "scenarios::fewer_minutes_do_not_replace_what_is_published_alone",
        [("src/command/export/refresh.rs", "None if is_visible => reread.first_samples.saturating_sub(second.samples),", "None if is_visible => 0,")],
    ),
    Defect(
        "a refresh begins its finished dates anew",
        "mishaps",
        "scenarios::an_interrupted_refresh_goes_on_after_its_finished_dates",
        [
            (
                "src/journal/reread.rs",
                "    AND date NOT IN (SELECT date FROM refresh WHERE first = ?1 AND last = ?2)\n",
                "",
            )
        ],
    ),
    Defect(
        "an import takes another body for a page that has landed",
        "archive",
        "two_crawls_of_a_stay_are_never_mixed",
        [("src/journal/import.rs", "Some((digest, _)) if digest != *page.frame.digest =>", "Some((digest, _)) if digest.is_empty() =>")],
    ),
    Defect(
        "the last success is forgotten",
        "lib",
        "observe::metrics::tests::the_last_success_outlives_a_run_that_fails",
        [("src/observe/metrics.rs", "success.max(outlived(name, labels))", "success")],
    ),
    Defect(
        "the numbers of samples begin again with each page",
        "runs",
        "calm::every_row_is_there_once_and_every_page_was_asked_for_once",
        [
            (
                "src/publish/build.rs",
                "        let mut rows = batch.stay(stay);\n        bodies.each(id, |_, body| {\n",
                "        bodies.each(id, |_, body| {\n            let mut rows = batch.stay(stay);\n",
            )
        ],
    ),
    # Landing.
    Defect(
        "the journal is synced now and then",
        "crash",
        "sync::every_request_and_every_page_is_synced_before_it_counts",
        [("src/journal.rs", '"synchronous", "FULL"', '"synchronous", "NORMAL"')],
    ),
    Defect(
        "a page is acknowledged before it has landed",
        "crash",
        "kill::killed_at_every_system_call",
        [
            (
                "src/journal/page.rs",
                "        let transaction = self.db.transaction()?;\n"
                "        landing.write(&transaction, now_s)?;\n"
                "        Ok(transaction.commit()?)\n",
                "        landing.write(&self.db, now_s)\n",
            ),
            (
                "src/journal/page.rs",
                "        let page = params![stay, number, samples, next_token, frame.digest, body];\n"
                '        db.prepare_cached(LAND_PAGE)?.execute(page)?;\n',
                "",
            ),
            (
                "src/journal/page.rs",
                '        db.prepare_cached(LAND_STAY)?.execute(progress)?;\n',
                '        db.prepare_cached(LAND_STAY)?.execute(progress)?;\n'
                "        let page = params![stay, number, samples, next_token, frame.digest, body];\n"
                '        db.prepare_cached(LAND_PAGE)?.execute(page)?;\n',
            ),
        ],
        every(4),
    ),
    Defect(
        "answers under way are dropped at a stop",
        "runs",
        "limits::the_stop_signal_lands_the_answers_under_way",
        [("src/fetch.rs", "let drained = self.drain().await;", "let drained: Result<(), Error> = Ok(());")],
    ),
    Defect(
        "a journal that refuses one answer takes those under way with it",
        "runs",
        "journal::a_page_that_cannot_be_recorded_takes_none_of_those_under_way_with_it",
        [
            (
                "src/fetch.rs",
                "        let drained = self.drain().await;\n",
                "        let drained = if worked.is_ok() { self.drain().await } else { Ok(()) };\n",
            )
        ],
    ),
    # Pace.
    Defect(
        "a slot is free a minute after sending",
        "runs",
        "quota::hours_of_work_use_the_quota_and_draw_no_refusal_under_any_window",
        [
            (
                "src/fetch.rs",
                "track.pace.take(slot, now, now + free_after);",
                "track.pace.take(slot, now, now + pace::HOLD);",
            ),
            ("src/fetch/answer.rs", "        self.tracks[endpoint].pace.answered(sent.slot, now);\n", ""),
        ],
    ),
    Defect(
        "a slot is free as soon as its answer is there",
        "lib",
        "fetch::pace::tests::a_slot_is_free_a_minute_after_its_answer",
        [("src/fetch/pace.rs", "slot.arrived_by.min(now), free_at: now + HOLD,", "slot.arrived_by.min(now), free_at: now,")],
    ),
    Defect(
        "an alarm leaves settled what raised it",
        "runs",
        "limits::answers_that_say_nothing_stop_the_run_after_200",
        [("src/fetch/quality.rs", "        self.unsettle_suspect_stays(&suspects)?;\n", "")],
    ),
    Defect(
        "a refresh gives up what has changed",
        "runs",
        "refresh::what_has_changed_is_published_in_the_place_of_what_was_there",
        [
            (
                "src/command/export/refresh.rs",
                "        return Ok(Decision::Adopt);\n",
                "        return Ok(Decision::Forget(Refreshed::Changed, None));\n",
            )
        ],
    ),
    Defect(
        "a stay that is asked for again waits for the backfill",
        "lib",
        "journal::tests::young_stays_are_asked_again_by_a_later_run_and_become_its_own",
        [("src/journal/stay.rs", "lane = min(lane, ?3)", "lane = max(lane, ?3)")],
    ),
    Defect(
        "a restart forgets the slots that are taken",
        "runs",
        "quota::restarts_do_not_overrun_the_quota",
        [("src/fetch/track.rs", "for slot in journal.slots(endpoint)? {", "for slot in journal.slots(endpoint)?.into_iter().take(0) {")],
    ),
    Defect(
        "what waited beside the stays of an alarm goes before the next night",
        "runs",
        "limits::the_night_after_a_wrong_manifest_costs_its_own_requests",
        [("src/fetch/quality.rs", "        self.journal.set_aside(if are_own { Aside::Own } else { Aside::All })?;\n", "")],
    ),
    Defect(
        "success without samples is a good sign",
        "runs",
        "limits::a_run_whose_answers_are_empty_is_not_complete",
        [("src/fetch/quality.rs", "stay.id, Sign::Empty)?", "stay.id, Sign::Known)?")],
    ),
    Defect(
        "refusals are borne for ever",
        "runs",
        "limits::refusals_without_end_end_the_run",
        [("src/fetch/answer.rs", "        let lasted = track.refusals.refusal(now, wait);\n", "        let lasted = Some(Duration::ZERO);\n")],
    ),
    Defect(
        "a stored refusal is believed whatever the clock says",
        "runs",
        "clock::a_refusal_under_a_wrong_clock_does_not_outlive_it",
        [
            (
                "src/fetch/track.rs",
                "Ok(left.filter(|left| (Duration::from_millis(1)..=THROTTLED_MAX).contains(left)))",
                "Ok(left.map(|left| left.min(THROTTLED_MAX)))",
            )
        ],
    ),
    Defect(
        "a refusal leaves the gate open",
        "runs",
        "quota::a_refusal_stops_all_requests_and_costs_no_attempt",
        [("src/fetch/answer.rs", "        track.pace.close_gate(now + wait);\n", "")],
    ),
    Defect(
        "a page of a listing forgets the lane that its listing has by now",
        "runs",
        "discover::a_nightly_discovery_goes_before_a_backfill_in_the_other_process",
        [
            (
                "src/journal/discovered.rs",
                "    Ok(if lane == Lane::Nightly as i64 { Lane::Nightly } else { Lane::Backfill })\n",
                "    Ok(if lane > Lane::Backfill as i64 { Lane::Nightly } else { Lane::Backfill })\n",
            ),
        ],
    ),
    Defect(
        "a meeting that has changed its end is not asked for again",
        "runs",
        "discover::nights_with_late_lists_end_as_one_discovery_afterwards",
        [("src/journal/listing.rs", "Some(last) if last.end_s != Some(end_s) =>", "Some(last) if last.end_s.is_none() =>")],
    ),
    Defect(
        "an item that a page repeats is taken for another",
        "runs",
        "discover::whatever_lists_may_hold_each_meeting_and_attendance_is_there_once",
        [
            (
                "src/listings.rs",
                "known.listing == listing && known.content == content",
                "known.listing == listing && known.content != content",
            ),
        ],
    ),
    Defect(
        "a throttled answer counts as an attempt",
        "runs",
        "quota::a_refusal_stops_all_requests_and_costs_no_attempt",
        [
            ("src/fetch/answer.rs", "fn throttled(&mut self, task: Task,", "fn throttled(&mut self, mut task: Task,"),
            (
                "src/fetch/answer.rs",
                "        (self.terms.emit)(Event::Refused { endpoint, wait });\n",
                "        (self.terms.emit)(Event::Refused { endpoint, wait });\n"
                "        task.tries.attempts += 1;\n"
                "        if task.tries.attempts >= self.terms.config.retry.attempts_max {\n"
                '            return self.fail(&task.work, "throttled".into(), None);\n'
                "        }\n",
            ),
        ],
    ),
    Defect(
        "the lanes are taken in reverse order",
        "runs",
        "lanes::a_nightly_export_goes_before_a_backfill_from_the_next_slot_on",
        [("src/journal/stay.rs", "ORDER BY stay.lane, stay.id", "ORDER BY stay.lane DESC, stay.id")],
    ),
    # Answers.
    Defect(
        "99991403 is taken for 99991400",
        "lib",
        "feishu::answer::tests::every_code_of_the_table_has_its_meaning_whatever_the_status",
        [
            (
                "src/feishu/answer.rs",
                "(99_991_403..=99_991_403, Meaning::MonthUsedUp)",
                "(99_991_403..=99_991_403, Meaning::Throttled)",
            )
        ],
    ),
    Defect(
        "page tokens are followed for ever",
        "runs",
        "faults::a_verdict_concerns_its_stay_alone",
        [
            ("src/fetch/quality.rs", "self.journal.token_seen(stay.id, token)?", "token.is_empty()"),
            ("src/fetch/quality.rs", "stay.pages + 1 >= pages_max", "stay.pages + 1 >= pages_max * 1000"),
        ],
    ),
    Defect(
        "`has_more` is passed over",
        "lib",
        "feishu::quality::tests::a_page_says_what_comes_after_it",
        [
            ("src/feishu/page.rs", "(Some(true) | None, Some(token)) => Next::Token(token),", "(_, Some(_)) => Next::End,")
        ],
    ),
    Defect(
        "a refused token is renewed for ever",
        "runs",
        "faults::what_concerns_the_whole_app_stops_the_run_and_settles_nothing",
        [("src/fetch/answer.rs", "|refused| refused < generation", "|refused| refused > generation")],
    ),
    Defect(
        "an absent stay of a young meeting is settled for good",
        "runs",
        "faults::absent_stays_of_young_meetings_are_asked_for_again",
        [
            (
                "src/fetch/quality.rs",
                "return self.settle(&task.work, State::Young, said.text, said.log_id);",
                "return self.settle(&task.work, State::Absent, said.text, said.log_id);",
            )
        ],
    ),
    Defect(
        "a paging without end leaves its pages behind",
        "runs",
        "matrix::all_requests_of_an_hour_are_struck",
        [("src/fetch/quality.rs", "                    self.journal.restart(task.work.id)?;\n", "")],
    ),
    Defect(
        "a list is taken for an object",
        "lib",
        "feishu::answer::tests::what_is_not_the_documented_json_is_never_a_page",
        [
            (
                "src/feishu/page.rs",
                "json.trim_start().starts_with('{').then(|| serde_json::from_str(json).ok())?",
                "serde_json::from_str(json).ok()",
            )
        ],
    ),
    Defect(
        "a fault of the token endpoint is never borne",
        "runs",
        "matrix::a_request_for_a_token_is_struck",
        [("src/fetch/token.rs", "if is_sat_out { u32::MAX } else { 0 }", "if is_sat_out { 0 } else { 0 }")],
    ),
    Defect(
        "a log line that cannot be written ends the run",
        "cli",
        "surroundings::a_log_that_cannot_be_written_changes_no_byte",
        [
            (
                "src/observe/terminal.rs",
                "self.bar.suspend(|| io::stderr().write_all(line.as_bytes()).ok());",
                "self.bar.suspend(|| io::stderr().write_all(line.as_bytes()))?;",
            )
        ],
    ),
    Defect(
        "bytes are read as bits",
        "lib",
        "read::unit::tests::numbers_that_cannot_be_read",
        [
            (
                "src/read/unit.rs",
                "[prefix @ .., b'b', b'p' | b'P', b's' | b'S']",
                "[prefix @ .., b'b' | b'B', b'p' | b'P', b's' | b'S']",
            )
        ],
    ),
    # Security.
    Defect(
        "redirects are followed",
        "security",
        "no_redirect_is_followed",
        [("src/feishu/transport/http.rs", "redirect::Policy::none()", "redirect::Policy::limited(3)")],
    ),
    Defect(
        "texts of the server are printed as they are",
        "security",
        "texts_of_the_server_are_escaped",
        [("src/feishu/answer.rs", ".take(MESSAGE_CHARS_MAX).flat_map(char::escape_debug)", ".take(MESSAGE_CHARS_MAX)")],
    ),
    Defect(
        "everybody may read the journal",
        "security",
        "state_is_private_whatever_the_umask",
        [("src/journal.rs", ".mode(0o600)", ".mode(0o644)")],
    ),
]


class Scratch:
    """A worktree of the last commit, which is removed in the end."""

    def __init__(self, path):
        self.path = path
        self.environment = dict(os.environ, CARGO_TARGET_DIR=os.environ.get("CARGO_TARGET_DIR", f"{ROOT}/target/planted"))

    def __enter__(self):
        subprocess.run(["git", "worktree", "add", "--quiet", "--detach", self.path, "HEAD"], cwd=ROOT, check=True)
        return self

    def __exit__(self, *_):
        subprocess.run(["git", "worktree", "remove", "--force", self.path], cwd=ROOT, check=True)

    def plant(self, defect):
        for file, old, new in defect.edits:
            path = self.path / file
            text = path.read_text()
            if text.count(old) != 1:
                sys.exit(f"`{defect.name}` no longer fits: {file} has its text {text.count(old)} times\n{old}")
            path.write_text(text.replace(old, new))

    def clear(self):
        subprocess.run(["git", "checkout", "--quiet", "."], cwd=self.path, check=True)

    def fails(self, target, tests, environment):
        """Those of the tests that fail, with the output of the run."""
        select = ["--lib"] if target == "lib" else ["--test", target]
        command = ["cargo", "test", "--quiet", "--locked", *select, "--", "--exact", "--test-threads=2", *tests]
        try:
            done = subprocess.run(
                command,
                cwd=self.path,
                env={**self.environment, **environment},
                timeout=TEST_SECONDS_MAX,
                text=True,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
            )
        except subprocess.TimeoutExpired:
            sys.exit(f"{' '.join(command)} has not ended after {TEST_SECONDS_MAX} s")
        counted = re.search(r"(\d+) passed; (\d+) failed", done.stdout)
        if not counted or sum(map(int, counted.groups())) != len(tests):
            sys.exit(f"{' '.join(command)} did not run its {len(tests)} tests:\n{done.stdout[-4000:]}")
        return {test for test in tests if re.search(rf"^    {re.escape(test)}$", done.stdout, re.M)}, done.stdout


def check_calm(scratch, defects):
    """Without a defect, all tests pass: otherwise a failure would show nothing."""
    for target in sorted({defect.target for defect in defects}):
        tests = sorted({defect.test for defect in defects if defect.target == target})
        failed, output = scratch.fails(target, tests, {})
        if failed:
            sys.exit(f"without any defect, these fail: {failed}\n{output[-4000:]}")


def check_fit():
    """Each text stands once in its file, and each test is there: seconds, without a build."""
    sources = "\n".join(path.read_text() for top in ("src", "tests") for path in (ROOT / top).rglob("*.rs"))
    wrong = []
    for defect in DEFECTS:
        if defect.target == "lib":
            module = defect.test.split("::")[:-2]
            if not (ROOT / "src" / "/".join(module)).with_suffix(".rs").exists():
                wrong.append(f"{defect.name}: there is no module `{'::'.join(module)}`")
        if f"fn {defect.test.rsplit('::', 1)[-1]}(" not in sources:
            wrong.append(f"{defect.name}: there is no test `{defect.test}`")
        for file, text, _ in defect.edits:
            path = ROOT / file
            found = path.read_text().count(text) if path.exists() else 0
            if found != 1:
                wrong.append(f"{defect.name}: {file} has this {found} times: {text.strip()[:100]}")
    sys.exit("\n".join(wrong) or 0)


def main():
    if sys.argv[1:] == ["--fit"]:
        check_fit()
    words = sys.argv[1:]
    defects = [defect for defect in DEFECTS if not words or any(word in defect.name for word in words)]
    width = max(len(defect.name) for defect in defects)
    missed = 0
    with tempfile.TemporaryDirectory() as folder, Scratch(Path(folder) / "planted") as scratch:
        check_calm(scratch, defects)
        for defect in defects:
            start = time.monotonic()
            scratch.plant(defect)
            failed, output = scratch.fails(defect.target, [defect.test], defect.environment)
            scratch.clear()
            missed += not failed
            verdict = "caught by" if failed else "MISSED by"
            seconds = time.monotonic() - start
            print(f"{defect.name:{width}}  {verdict}  {defect.target} {defect.test}  ({seconds:.0f} s)", flush=True)
    print(f"{len(defects) - missed} of {len(defects)} defects caught")
    sys.exit(1 if missed else 0)


if __name__ == "__main__":
    main()
