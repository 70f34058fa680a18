//! One run of `vcq export`: enqueue, phase 1, phase 2, report.

pub mod refresh;

mod end;
mod publishing;

use std::{
    cell::{Cell, RefCell},
    collections::BTreeSet,
    path::PathBuf,
    time::Duration,
};

use chrono::{DateTime, LocalResult, NaiveDateTime, NaiveTime, TimeDelta, TimeZone as _, Timelike as _, Utc};
use chrono_tz::Tz;
use tokio::{
    sync::mpsc,
    task::yield_now,
    time::{Instant, sleep},
};

use self::{end::End, publishing::publish_ready};
use crate::{
    config::Config,
    dates::Dates,
    error::{Error, ExitCode},
    event::{Emit, Event},
    feishu::{auth::tenant::Credentials, transport::Transport},
    fetch::{Ended, Scope, Terms, Until, fetch},
    file::{self, Readers},
    intake::{Intake, Manifests, rejects::Rejects},
    journal::{Enqueued, Identity, Journal, Lane, State, StayId},
    observe::report::Report,
    printable,
    publish::{Publisher, file::name_of, look},
    start::Start,
    store::Store,
};

/// Dates that are ready and wait to be published; one more is published at the end of the run.
const DATES_READY_MAX: usize = 1024;

/// How often a process that waits for another one looks whether its turn has come.
const TURN_POLL: Duration = Duration::from_millis(500);

/// A stay of an earlier manifest is asked for again once its last answer is this old.
const ASKED_AGAIN_AFTER: TimeDelta = TimeDelta::hours(1);

/// What an export is asked to do.
#[derive(Clone, Debug)]
pub struct Export {
    /// The participants to ask for.
    pub manifests: Manifests,
    /// Dates whose settled stays are to be asked for again.
    pub refresh: Option<Dates>,
    /// Whether a refresh takes fewer minutes for more.
    pub accept_fewer: bool,
    /// The priority of all of them.
    pub lane: Lane,
    /// When to send no more requests.
    pub until: Option<Until>,
    /// Where to write the report; the rejects stand beside it.
    pub report: Option<PathBuf>,
}

/// What an export works with.
pub struct Surroundings<'a> {
    /// The checked configuration.
    pub config: &'a Config,
    /// Who asks.
    pub credentials: &'a Credentials,
    /// The network.
    pub transport: &'a dyn Transport,
    /// Wall time, seed and the stop signal.
    pub start: &'a Start,
    /// Told everything that happens, besides the report.
    pub observe: Emit<'a>,
}

/// How an export ended.
#[derive(Debug)]
pub struct Outcome {
    /// The account.
    pub report: Report,
    /// What the process exits with.
    pub exit_code: ExitCode,
    /// What a person has to do, if anything.
    pub hint: Option<String>,
    /// What went wrong after the run had begun, if something did: the report tells what was done all the same.
    pub failure: Option<Error>,
}

/// Runs one export to its end, or to where it has to stop.
///
/// # Errors
///
/// If the run could not begin, or its account could not be written. What has landed stays landed.
pub async fn export(task: &Export, around: &Surroundings<'_>) -> Result<Outcome, Error> {
    let began = Instant::now();
    let report = RefCell::new(Report::new(around.start.now()));
    report.borrow_mut().means_naive_times(around.config.naive_times);
    let may_have_sent = Cell::new(false);
    let emit = |event: Event<'_>| {
        may_have_sent.set(may_have_sent.get() || matches!(event, Event::Fetching));
        report.borrow_mut().take(&event);
        (around.observe)(event);
    };
    let config = around.config;
    let task = &Export { manifests: task.manifests.listed()?, ..task.clone() };
    // A report that cannot be written must be known before the first request, not after a week of them.
    let mut rejects = prepare(task, around)?;
    let publisher = Publisher::new(Store::open(around.start.disk.clone(), &config.output)?, config);
    let mut journal = Journal::open(&config.state, &Identity::of(config))?;
    if let Some(publishing) = publisher.try_begin(&journal)? {
        // A failure is told at the end of the run, when it is tried again.
        drop(publishing.settle_intents(&mut journal));
    }
    let has_manifest = !task.manifests.files.is_empty();
    look::check(&journal, publisher.store(), task.refresh.filter(|_| !has_manifest))?;
    task.refresh.map(|dates| refresh::check(&journal, dates, has_manifest)).transpose()?;
    journal.own_none()?;
    let published_before = journal.files()?.into_iter().filter(|file| file.published).map(|file| file.name);
    let published_before: BTreeSet<String> = published_before.collect();
    // What may have to wait for its writer has nothing to land yet.
    let on_disk = task.manifests.are_on_disk().then(|| around.start.hold());
    let mut fetched_for = Duration::ZERO;
    let mut queue = journal.again()?;
    let is_enqueuing = Cell::new(true);
    let (enqueued, fetched) = tokio::join!(
        biased;
        enqueue(&mut journal, task, around, &mut rejects, (&emit, &is_enqueuing)),
        fetch_queued(&mut queue, task, around, &publisher, (&emit, &is_enqueuing, &mut fetched_for)),
    );
    let enqueued = match enqueued {
        // Nothing has been spent, and nothing of this run is settled: there is nothing else to tell.
        Err(error) if !may_have_sent.get() => return Err(error),
        enqueued => enqueued,
    };
    // What comes after the run is to tell of it, and that must not be cut off either.
    on_disk.unwrap_or_else(|| around.start.hold()).for_good();
    let settled = match fetched {
        Ok(Ended::Complete) if enqueued.is_ok() => {
            settle_own(&mut journal, task, around, &publisher, (&emit, &mut fetched_for)).await
        }
        ended => ended,
    };
    let rest = publishing::publish_rest(&mut journal, &publisher, (task.accept_fewer, &around.start.stop), &emit).await;
    let who = (around.credentials.app_id.as_str(), config.api.user_id_type);
    let is_cut = enqueued.is_err();
    let end = End::of(enqueued, settled, rest);
    if let Some(why) = end.stopped(who).filter(|_| !report.borrow().is_stopped()) {
        emit(Event::Stopping { why: &why });
    }
    let tally = journal.tally()?;
    emit(Event::Tallied { tally: &tally });
    let mut report = report.into_inner();
    if is_cut {
        report.queueing_was_cut();
    }
    for file in journal.own_files()?.iter().filter(|file| !published_before.contains(&file.name)) {
        report.is_published(file.date, &name_of(file)?.to_string(), file.samples, file.bytes.unwrap_or_default());
    }
    account(&journal, (task, config), &mut rejects, &mut report)?;
    let account = report
        .close(around.start.now(), (began.elapsed(), fetched_for), config.rate.requests_per_minute)
        .map_err(|error| Error::Bug(error.to_string()))?;
    let (exit_code, hint) = end.exit(account, who);
    report.exit_with(exit_code);
    write_report(task, &report)?;
    Ok(Outcome { report, exit_code, hint, failure: end.ended.err().or(end.besides) })
}

/// Makes sure, before the first request and not after a week of them, that the account of the run can be written and takes
/// no other file's place.
fn prepare(task: &Export, around: &Surroundings<'_>) -> Result<Rejects, Error> {
    let (config, inputs) = (around.config, task.manifests.files.as_slice());
    if let Some(path) = &task.report {
        file::refuse_input("--report", path, inputs, config)?;
        file::prepare(path)?;
    }
    let run = (around.start.now(), around.start.seed);
    let rejects = Rejects::of_run(task.report.as_deref(), &config.state, run, inputs);
    if task.report.is_some() && !rejects.is_input() && !rejects.path().starts_with(&config.state) {
        file::refuse_input("the file of rejects", rejects.path(), &[], config)?;
    }
    Ok(rejects)
}

/// Reads a time limit: a duration from now, or a time of day whose next occurrence in `zone` counts.
///
/// # Errors
///
/// [`Error::Usage`] naming both forms.
pub fn until(text: &str, now: DateTime<Utc>, zone: Tz) -> Result<Until, Error> {
    let wrong = || {
        Error::Usage(format!("--until `{text}` is neither a time of day such as `06:00` nor a duration such as `8h`"))
    };
    if let Ok(duration) = humantime::parse_duration(text) {
        return Until::after(duration, now).ok_or_else(wrong);
    }
    let time =
        ["%H:%M", "%H:%M:%S"].iter().find_map(|form| NaiveTime::parse_from_str(text, form).ok()).ok_or_else(wrong)?;
    let today = now.with_timezone(&zone).date_naive();
    let at = today.iter_days().take(3).flat_map(|day| shown_at(day.and_time(time), zone)).find(|at| *at > now);
    at.map(|at| Until::at(at, now)).ok_or_else(wrong)
}

/// When the zone's clocks show `local`: twice where they are set back over it. Where they skip it, the moment in which they
/// do takes its place.
fn shown_at(local: NaiveDateTime, zone: Tz) -> Vec<DateTime<Utc>> {
    const SKIPPED_MINUTES_MAX: i64 = 24 * 60;
    let whole_minute = local.with_second(0).unwrap_or(local);
    let later = (0..=SKIPPED_MINUTES_MAX).map(|minutes| whole_minute + TimeDelta::minutes(minutes));
    let shown = match zone.from_local_datetime(&local) {
        LocalResult::None => {
            later.map(|later| zone.from_local_datetime(&later)).find(|shown| shown.earliest().is_some())
        }
        shown => Some(shown),
    };
    let shown = shown.map(|shown| [shown.earliest(), shown.latest()]);
    shown.into_iter().flatten().flatten().map(|at| at.with_timezone(&Utc)).collect()
}

/// Takes the manifests in and merges them into the queue, a little at a time: in between, what is queued is fetched.
///
/// `is_enqueuing` is false when this returns.
async fn enqueue(
    journal: &mut Journal,
    task: &Export,
    around: &Surroundings<'_>,
    rejects: &mut Rejects,
    (emit, is_enqueuing): (Emit<'_>, &Cell<bool>),
) -> Result<(), Error> {
    let enqueued = async {
        let mut intake = Intake::begin(journal, &task.manifests, around.config, around.start, emit)?;
        loop {
            match intake.step(rejects) {
                Ok(true) => yield_now().await,
                Ok(false) => break,
                Err(error) => {
                    intake.cut();
                    return Err(error);
                }
            }
        }
        let mut merging = journal.enqueue(intake.finish(rejects)?, task.lane, around.config.timezone)?;
        while merging.step()? {
            if around.start.stop.is_requested() {
                return Err(Error::Interrupted { queued: merging.stays() });
            }
            yield_now().await;
        }
        let merged = merging.finish()?;
        own_earlier(journal, task, around, merged, emit)
    };
    let enqueued = enqueued.await;
    is_enqueuing.set(false);
    enqueued
}

/// What the manifests do not name and this run asks for all the same.
fn own_earlier(
    journal: &mut Journal,
    task: &Export,
    around: &Surroundings<'_>,
    merged: Enqueued,
    emit: Emit<'_>,
) -> Result<(), Error> {
    let asked_before = around.start.now() - ASKED_AGAIN_AFTER;
    let young_from = around.start.now() - around.config.absent_retry_for;
    let asked_again = journal.ask_earlier_again(asked_before.timestamp(), young_from.timestamp(), task.lane)?;
    let rereading = task.refresh.map(|dates| journal.reread(dates.first, dates.last, task.lane)).transpose()?;
    let reread = rereading.map_or(0, |rereading| rereading.stays);
    journal.take_back_own()?;
    emit(Event::Enqueued { lane: task.lane, rows: Enqueued { asked_again: asked_again + reread, ..merged } });
    if let Some(rereading) = rereading {
        emit(Event::Refreshing { rereading });
    }
    Ok(())
}

/// Fetches what an earlier process left in the queue until this one's manifests are merged into it: a restarted run need
/// not read ten million rows before its first request.
///
/// A manifest that is no file on a disk is waited for: its writer might keep answers under way from being taken in.
async fn fetch_queued(
    queue: &mut Journal,
    task: &Export,
    around: &Surroundings<'_>,
    publisher: &Publisher,
    (emit, is_enqueuing, fetched_for): (Emit<'_>, &Cell<bool>, &mut Duration),
) -> Result<Ended, Error> {
    if !is_enqueuing.get() || !task.manifests.are_on_disk() || queue.next(1, |_| false)?.is_none() {
        return Ok(Ended::Complete);
    }
    let Some(_fetching) = queue.try_lock_fetching()? else { return Ok(Ended::Complete) };
    emit(Event::Fetching);
    let began = Instant::now();
    let scope = Scope::Queued(is_enqueuing);
    let ended = fetch_and_publish(queue, task, around, publisher, (emit, scope)).await;
    *fetched_for += began.elapsed();
    ended
}

/// Waits for the right to fetch, and fetches, until this process's stays are settled.
async fn settle_own(
    journal: &mut Journal,
    task: &Export,
    around: &Surroundings<'_>,
    publisher: &Publisher,
    (emit, fetched_for): (Emit<'_>, &mut Duration),
) -> Result<Ended, Error> {
    let mut stop = around.start.stop.clone();
    let mut is_queued = false;
    let mut settled_before = StayId::MIN;
    loop {
        let first_pending = match journal.own_pending(settled_before)? {
            // The process that fetches may have asked again for stays that were settled.
            None => journal.own_pending(StayId::MIN)?,
            first_pending => first_pending,
        };
        let Some(first_pending) = first_pending else { return Ok(Ended::Complete) };
        settled_before = first_pending;
        if let Some(_fetching) = journal.try_lock_fetching()? {
            emit(Event::Fetching);
            let began = Instant::now();
            let ended = fetch_and_publish(journal, task, around, publisher, (emit, Scope::Own)).await;
            *fetched_for += began.elapsed();
            return ended;
        }
        if !is_queued {
            emit(Event::Queued);
            is_queued = true;
        }
        if task.until.is_some_and(|until| until.is_reached(around.start.now())) {
            return Ok(Ended::Early("the time limit is reached while another process fetches".into()));
        }
        tokio::select! {
            biased;
            () = stop.requested() => return Ok(Ended::Interrupted),
            () = sleep(TURN_POLL) => {}
        }
    }
}

/// Phase 1, with phase 2 at its side for each date that becomes ready.
async fn fetch_and_publish(
    journal: &mut Journal,
    task: &Export,
    around: &Surroundings<'_>,
    publisher: &Publisher,
    (emit, scope): (Emit<'_>, Scope<'_>),
) -> Result<Ended, Error> {
    let (sender, receiver) = mpsc::channel(DATES_READY_MAX);
    let publishing = publish_ready(receiver, journal.again()?, publisher.clone(), (around.start.stop.clone(), emit));
    let sender = Cell::new(Some(sender));
    let date_ready = |date| {
        if let Some(open) = sender.take() {
            // A full channel loses nothing: what is not published now is at the end of the run.
            let _ = open.try_send(date);
            sender.set(Some(open));
        }
    };
    let fetching = async {
        let terms = Terms {
            transport: around.transport,
            config: around.config,
            credentials: around.credentials,
            until: task.until,
            scope,
            start: around.start,
            emit,
            date_ready: &date_ready,
        };
        let ended = fetch(journal, &terms).await;
        sender.take();
        ended
    };
    let (ended, ()) = tokio::join!(fetching, publishing);
    ended
}

/// Completes the report from the journal, which knows how every stay ended.
fn account(
    journal: &Journal,
    (task, config): (&Export, &Config),
    rejects: &mut Rejects,
    report: &mut Report,
) -> Result<(), Error> {
    journal.each_own(State::Rejected, |own| {
        if let Some(at) = own.manifested {
            let (file, reason) = (task.manifests.name(at.file), own.reason.unwrap_or_default());
            report.stay_rejected(&file, at.line, &reason);
            rejects.write_stay(&file, at.line, &own.stay, &reason)?;
        }
        Ok::<_, Error>(())
    })?;
    journal.each_own(State::Failed, |own| {
        report.stay_failed(&own.stay, own.reason.as_deref(), own.log_id.as_deref());
        Ok::<_, Error>(())
    })?;
    if let Some(path) = rejects.finish()? {
        report.rejects_in(path.display().to_string());
    }
    if journal.file_dates()?.is_empty() {
        report.dataset_is_empty_at(&config.output);
    }
    Ok(())
}

fn write_report(task: &Export, report: &Report) -> Result<(), Error> {
    let Some(path) = &task.report else { return Ok(()) };
    file::replace(path, Readers::Owner, printable::json(&report.to_json()).as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_limit_is_a_duration_or_the_next_time_of_day() {
        let now: DateTime<Utc> = "2026-03-08T01:30:00Z".parse().unwrap();
        for (text, zone, expected) in [
            ("8h", Tz::UTC, "2026-03-08T09:30:00Z"),
            ("90m", Tz::UTC, "2026-03-08T03:00:00Z"),
            ("06:00", Tz::UTC, "2026-03-08T06:00:00Z"),
            ("01:30", Tz::UTC, "2026-03-09T01:30:00Z"),
            ("01:30:01", Tz::UTC, "2026-03-08T01:30:01Z"),
            ("06:00", Tz::Asia__Shanghai, "2026-03-08T22:00:00Z"),
            // New York has no 02:30 on this day: its clocks go from 02:00 to 03:00.
            ("02:30", Tz::America__New_York, "2026-03-08T07:00:00Z"),
            ("02:00:01", Tz::America__New_York, "2026-03-08T07:00:00Z"),
            ("03:00", Tz::America__New_York, "2026-03-08T07:00:00Z"),
            ("03:01", Tz::America__New_York, "2026-03-08T07:01:00Z"),
        ] {
            assert_eq!(
                until(text, now, zone).unwrap().time(),
                expected.parse::<DateTime<Utc>>().unwrap(),
                "{text} {zone}"
            );
        }
        for text in ["", "soon", "25:00", "8", "-1h"] {
            assert!(until(text, now, Tz::UTC).is_err(), "{text}");
        }
    }

    /// On this day Berlin's clocks show 02:30 at 00:30 UTC and, set back by an hour, at 01:30 UTC.
    #[test]
    fn a_time_of_day_that_comes_twice_is_the_next_of_the_two() {
        let next = |now: &str, text| until(text, now.parse().unwrap(), Tz::Europe__Berlin).unwrap().time();
        for (now, text, expected) in [
            ("2026-10-24T22:00:00Z", "02:30", "2026-10-25T00:30:00Z"),
            ("2026-10-25T00:30:00Z", "02:30", "2026-10-25T01:30:00Z"),
            ("2026-10-25T01:30:00Z", "02:30", "2026-10-26T01:30:00Z"),
            ("2026-10-25T00:45:00Z", "03:00", "2026-10-25T02:00:00Z"),
        ] {
            assert_eq!(next(now, text), expected.parse::<DateTime<Utc>>().unwrap(), "{now} {text}");
        }
    }

    /// Samoa had no 30 December 2011.
    #[test]
    fn a_time_of_a_day_that_is_left_out_is_the_end_of_that_day() {
        let now = "2011-12-30T09:59:00Z".parse().unwrap();
        let noon = until("00:00", now, Tz::Pacific__Apia).unwrap().time();
        assert_eq!(noon, "2011-12-30T10:00:00Z".parse::<DateTime<Utc>>().unwrap());
    }
}
