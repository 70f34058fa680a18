//! One run of `vcq export`: enqueue, phase 1, phase 2, report.

mod account;
mod end;
mod markers;
mod publishing;
mod refresh;
mod run;
mod spot_check;
mod told;
mod until;

use std::{cell::Cell, path::PathBuf};

pub use self::until::until;
use self::{
    account::{Account, Closed, Published},
    end::End,
    run::Run,
    spot_check::spot_check,
    told::Told,
};
use super::{runs, standing::closes_at_s};
use crate::{
    access::Asker,
    config::Config,
    dates::Dates,
    error::{Error, ExitCode},
    event::{Emit, Event},
    feishu::transport::Transport,
    fetch::{Ended, Until},
    file::{self, Readers},
    intake::{Manifests, rejects::Rejects},
    journal::{Identity, Journal, Lane},
    observe::report::{Report, SpotCheck},
    printable,
    publish::Publisher,
    start::Start,
};

/// What an export is asked to do.
#[derive(Clone, Debug)]
pub struct Export {
    /// The participants to ask for.
    pub manifests: Manifests,
    /// Dates whose meetings and participants are to be discovered.
    pub discover: Option<Dates>,
    /// Whether samples are asked for too; otherwise the stays are left in the queue.
    pub fetches_samples: bool,
    /// Dates whose settled stays are to be asked for again, and that are listed again even if they are closed.
    pub refresh: Option<Dates>,
    /// Whether a refresh takes fewer minutes for more.
    pub accept_fewer: bool,
    /// The priority of all of them.
    pub lane: Lane,
    /// When to send no more requests.
    pub until: Option<Until>,
    /// What the process exits with where a limit of time or of the month has ended the run.
    pub planned_end: ExitCode,
    /// Where to write the report; the rejects stand beside it.
    pub report: Option<PathBuf>,
}

impl Export {
    /// Makes sure that journal and datasets are of each other; see [`Publisher::check`].
    fn compare(&self, journal: &Journal, publisher: &Publisher) -> Result<Option<Error>, Error> {
        let has_manifest = !self.manifests.files.is_empty();
        let refreshed = self.refresh.filter(|_| !has_manifest && self.discover.is_none());
        publisher.check(journal, refreshed, self.discover.is_some())
    }
}

/// What an export works with.
pub struct Surroundings<'a> {
    /// The checked configuration.
    pub config: &'a Config,
    /// Who asks.
    pub asker: &'a Asker,
    /// The network.
    pub transport: &'a dyn Transport,
    /// Wall time, seed and the stop signal.
    pub start: &'a Start,
    /// Told everything that happens, besides the report.
    pub observe: Emit<'a>,
}

/// How an export ended.
#[derive(Debug)]
pub struct Conclusion {
    /// The account.
    pub report: Report,
    /// What the process exits with.
    pub exit_code: ExitCode,
    /// What a person has to do, if anything.
    pub hint: Option<String>,
    /// What went wrong after the run had begun, the gravest first: the report tells what was done all the same.
    pub failures: Vec<Error>,
}

/// Runs one export to its end, or to where it has to stop.
///
/// # Errors
///
/// If the run could not begin, or the journal cannot say what became of it. What has landed stays landed. That its report, its rejects
/// or its markers cannot be written is the failure of a [`Conclusion`], which has the account all the same.
pub async fn export(task: &Export, around: &Surroundings<'_>) -> Result<Conclusion, Error> {
    let account = Account::begin(task, around);
    let may_have_sent = Cell::new(false);
    let emit = |event: Event<'_>| {
        may_have_sent.set(may_have_sent.get() || matches!(event, Event::Fetching));
        account.take(&event);
        (around.observe)(event);
    };
    let task = &Export { manifests: task.manifests.listed()?, ..task.clone() };
    let mut rejects = prepare(task, around)?;
    let publisher = Publisher::of(&around.start.stores(around.config), around.config)?;
    let journal = begin(task, around, &publisher, &emit)?;
    let published_before = Published::by_now(&journal)?;
    let run = Run::new(task, around, publisher, &emit);
    let mut worked = work(&run, journal, &mut rejects, (task, around, &may_have_sent)).await?;
    let checked = check_some(&worked, &run, task, around);
    if matches!(worked.end.ended, Ok(Ended::Complete)) {
        keep_sign_in(around, &emit).await;
    }
    let who = (around.asker.app_id(), around.config.api.user_id_type);
    if let Some(why) = worked.end.stopped(who).filter(|_| !account.is_stopped()) {
        emit(Event::Stopping { why: &why });
    }
    tell_discovered(&mut worked.journal, task, around, &emit)?;
    let tally = worked.journal.tally()?;
    emit(Event::Tallied { tally: &tally });
    let how = (worked.end.is_cut, run.fetched_for());
    let closed = account.close(&worked.journal, task, &published_before, &mut rejects, how)?;
    Ok(conclude(closed, worked.end, checked, (task, around)))
}

/// What is left of a run once it has worked.
struct Worked {
    journal: Journal,
    end: End,
}

/// Queues, fetches and publishes; what comes to an error on the way is part of how the run ends.
///
/// # Errors
///
/// If nothing has been spent and nothing could be queued: there is nothing else to tell.
async fn work(
    run: &Run<'_>,
    mut journal: Journal,
    rejects: &mut Rejects,
    (task, around, may_have_sent): (&Export, &Surroundings<'_>, &Cell<bool>),
) -> Result<Worked, Error> {
    // What may have to wait for its writer has nothing to land yet.
    let on_disk = task.manifests.are_on_disk().then(|| around.start.hold());
    let mut queue = journal.another()?;
    let (enqueued, fetched) = tokio::join!(biased; run.enqueue(&mut journal, rejects), run.fetch_queued(&mut queue));
    let enqueued = match enqueued {
        Err(error) if !may_have_sent.get() => return Err(error),
        enqueued => enqueued,
    };
    // What comes after the run is to tell of it, and that must not be cut off either.
    on_disk.unwrap_or_else(|| around.start.hold()).for_good();
    let settled = match fetched {
        Ok(Ended::Complete) if enqueued.is_ok() => run.settle_own(&mut journal).await,
        ended => ended,
    };
    if matches!(settled, Ok(Ended::Complete)) && enqueued.is_ok() {
        journal.served()?;
    }
    let (journal, rest) = run.publish_rest(journal).await;
    Ok(Worked { journal, end: End::of(enqueued, settled, rest) })
}

/// Looks at some of what earlier runs have published, if this is a night that has come to its end.
fn check_some(
    worked: &Worked,
    run: &Run<'_>,
    task: &Export,
    around: &Surroundings<'_>,
) -> Result<Option<SpotCheck>, Error> {
    let is_night = task.lane == Lane::Nightly && task.fetches_samples;
    if !is_night || !matches!(worked.end.ended, Ok(Ended::Complete)) {
        return Ok(None);
    }
    spot_check(&worked.journal, run.publisher(), around)
}

/// Keeps the sign-in alive for the next run, and tells when it ends.
async fn keep_sign_in(around: &Surroundings<'_>, emit: Emit<'_>) {
    if around.asker.keep(around.transport, around.start).await {
        emit(Event::TokenRenewed);
    }
    if let Some(ends) = around.asker.ends() {
        let (unless_renewed, at_the_latest) = (ends.unless_renewed, ends.at_the_latest);
        emit(Event::SignedIn { unless_renewed, at_the_latest });
    }
}

/// Writes what is kept of a run, whatever of it cannot be written: the report first, for jobs read it when they see a marker; then
/// the markers; then the history, which has the exit code.
fn conclude(
    closed: Closed,
    end: End,
    checked: Result<Option<SpotCheck>, Error>,
    (task, around): (&Export, &Surroundings<'_>),
) -> Conclusion {
    let config = around.config;
    let Closed { mut report, exit_code, unwritten } = closed;
    let (check, found) = match checked {
        Ok(check) => {
            let problems = check.as_ref().and_then(SpotCheck::problems);
            (check, problems.map(Error::SpotCheck))
        }
        Err(error) => (None, Some(error)),
    };
    report.spot_checked(check);
    let who = (around.asker.app_id(), config.api.user_id_type);
    let (exit_code, hint) = end.exit(exit_code, task.planned_end, who);
    // What is damaged is not looked at again for weeks: nobody may miss it.
    let (exit_code, hint) = with_failure(found.as_ref(), exit_code, hint);
    let (exit_code, hint) = with_failure(unwritten.as_ref(), exit_code, hint);
    report.exit_with(exit_code);
    let unreported = write_report(task, &report).err();
    let (exit_code, hint) = with_failure(unreported.as_ref(), exit_code, hint);
    let unmarked = markers::put(&report, config).err();
    let (exit_code, hint) = with_failure(unmarked.as_ref(), exit_code, hint);
    report.exit_with(exit_code);
    let command = if task.fetches_samples { "export" } else { "discover" };
    let unrecorded = runs::record(config, command, task.lane, (&report, task.report.clone())).err();
    let (exit_code, hint) = with_failure(unrecorded.as_ref(), exit_code, hint);
    report.exit_with(exit_code);
    let failures = [end.ended.err(), end.besides, found, unwritten, unreported, unmarked, unrecorded];
    Conclusion { report, exit_code, hint, failures: failures.into_iter().flatten().collect() }
}

/// What a run exits with, and what a person has to do, where `failure` has happened besides: what somebody has to mend, and a signal,
/// say more.
fn with_failure(failure: Option<&Error>, exit_code: ExitCode, hint: Option<String>) -> (ExitCode, Option<String>) {
    match (failure, exit_code) {
        (Some(error), ExitCode::Complete | ExitCode::SomeFailed | ExitCode::Again | ExitCode::Planned) => {
            (ExitCode::Disk, error.hint().or(hint))
        }
        _ => (exit_code, hint),
    }
}

/// Tells what has been discovered, whichever process asked for it.
fn tell_discovered(
    journal: &mut Journal,
    task: &Export,
    around: &Surroundings<'_>,
    emit: Emit<'_>,
) -> Result<(), Error> {
    let Some(dates) = task.discover else { return Ok(()) };
    journal.own_discovered()?;
    let stands = |date| Ok((date, journal.date_listing(date, closes_at_s(date, around.config))?));
    let dates = dates.each().map(stands).collect::<Result<Vec<_>, Error>>()?;
    let found = journal.discovered(around.start.now().timestamp())?;
    emit(Event::Discovered { found: &found, dates: &dates });
    Ok(())
}

/// Opens the journal, settles what an earlier process left of publishing, and makes sure that there is nothing in the way
/// of the run; none of it sends a request.
fn begin(task: &Export, around: &Surroundings<'_>, publisher: &Publisher, emit: Emit<'_>) -> Result<Journal, Error> {
    let mut journal = Journal::open(&around.config.state, &Identity::of(around.config))?;
    let publishing = match publisher.try_begin(&journal) {
        Err(error) if error.is_away() => {
            Told::failed(None, &error).emit(emit);
            None
        }
        begun => begun?,
    };
    if let Some(publishing) = &publishing {
        // A failure is told at the end of the run, when it is tried again.
        drop(publishing.settle_intents(&mut journal));
    }
    // A night's requests are not to be lost to a bucket that does not answer: what they bring is kept in the journal.
    if let Some(away) = task.compare(&journal, publisher)? {
        Told::failed(None, &away).emit(emit);
    }
    if let Some(dates) = task.discover {
        check_begun(dates, around)?;
        // What is listed again is folded over what was listed before, which has to be there.
        if let Some(dates) = task.refresh {
            journal
                .pruned_listing_dates(dates.first, dates.last)?
                .first()
                .map_or(Ok(()), |date| Err(Error::Pruned(*date)))?;
        }
    }
    task.refresh.map(|dates| refresh::check(&journal, publishing.as_ref(), dates)).transpose()?;
    markers::take_back(&journal, around.config)?;
    journal.own_none()?;
    Ok(journal)
}

/// Makes sure that all dates have begun: the API lists no meetings that are still to be held.
fn check_begun(dates: Dates, around: &Surroundings<'_>) -> Result<(), Error> {
    let today = around.start.now().with_timezone(&around.config.timezone).date_naive();
    if dates.last <= today {
        return Ok(());
    }
    Err(Error::Usage(format!("{dates} cannot be discovered: it is {today} in {}", around.config.timezone)))
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

fn write_report(task: &Export, report: &Report) -> Result<(), Error> {
    let Some(path) = &task.report else { return Ok(()) };
    file::replace(path, Readers::Owner, printable::json(&report.to_json()).as_bytes())
}
