//! One run of `vcq export`: enqueue, phase 1, phase 2, report.

mod account;
mod end;
mod publishing;
mod refresh;
mod run;
mod spot_check;
mod told;
mod until;

use std::{cell::Cell, path::PathBuf};

pub use self::until::until;
use self::{
    account::{Account, Published},
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
    /// What went wrong after the run had begun, if something did: the report tells what was done all the same.
    pub failure: Option<Error>,
}

/// Runs one export to its end, or to where it has to stop.
///
/// # Errors
///
/// If the run could not begin, or its account could not be written. What has landed stays landed.
pub async fn export(task: &Export, around: &Surroundings<'_>) -> Result<Conclusion, Error> {
    let account = Account::begin(task, around);
    let may_have_sent = Cell::new(false);
    let emit = |event: Event<'_>| {
        may_have_sent.set(may_have_sent.get() || matches!(event, Event::Fetching));
        account.take(&event);
        (around.observe)(event);
    };
    let config = around.config;
    let task = &Export { manifests: task.manifests.listed()?, ..task.clone() };
    let mut rejects = prepare(task, around)?;
    let publisher = Publisher::of(&around.start.stores(config), config)?;
    let mut journal = begin(task, around, &publisher, &emit)?;
    let published_before = Published::by_now(&journal)?;
    // What may have to wait for its writer has nothing to land yet.
    let on_disk = task.manifests.are_on_disk().then(|| around.start.hold());
    let run = Run::new(task, around, publisher, &emit);
    let mut queue = journal.another()?;
    let (enqueued, fetched) =
        tokio::join!(biased; run.enqueue(&mut journal, &mut rejects), run.fetch_queued(&mut queue));
    let enqueued = match enqueued {
        // Nothing has been spent, and nothing of this run is settled: there is nothing else to tell.
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
    let (mut journal, rest) = run.publish_rest(journal).await;
    let is_cut = enqueued.is_err();
    let end = End::of(enqueued, settled, rest);
    let is_night = task.lane == Lane::Nightly && task.fetches_samples;
    let checked = if is_night && matches!(end.ended, Ok(Ended::Complete)) {
        spot_check(&journal, run.publisher(), around)
    } else {
        Ok(None)
    };
    let (spot_check, found) = match checked {
        Ok(check) => {
            let problems = check.as_ref().and_then(SpotCheck::problems);
            (check, problems.map(Error::SpotCheck))
        }
        Err(error) => (None, Some(error)),
    };
    let who = (around.asker.app_id(), config.api.user_id_type);
    if matches!(end.ended, Ok(Ended::Complete)) {
        if around.asker.keep(around.transport, around.start).await {
            emit(Event::TokenRenewed);
        }
        if let Some(ends) = around.asker.ends() {
            let (unless_renewed, at_the_latest) = (ends.unless_renewed, ends.at_the_latest);
            emit(Event::SignedIn { unless_renewed, at_the_latest });
        }
    }
    if let Some(why) = end.stopped(who).filter(|_| !account.is_stopped()) {
        emit(Event::Stopping { why: &why });
    }
    tell_discovered(&mut journal, task, around, &emit)?;
    let tally = journal.tally()?;
    emit(Event::Tallied { tally: &tally });
    let fetched_for = run.fetched_for();
    let (mut report, counted) =
        account.close(&journal, task, &published_before, &mut rejects, (is_cut, fetched_for))?;
    let (exit_code, hint) = end.exit(counted, task.planned_end, who);
    report.spot_checked(spot_check);
    let (exit_code, hint) = match (&found, exit_code) {
        // What is damaged is not looked at again for weeks: nobody may miss it.
        (Some(error), ExitCode::Complete | ExitCode::SomeFailed | ExitCode::Again) => {
            (ExitCode::Disk, error.hint().or(hint))
        }
        _ => (exit_code, hint),
    };
    report.exit_with(exit_code);
    write_report(task, &report)?;
    let command = if task.fetches_samples { "export" } else { "discover" };
    let unmarked = mark_complete(&report, config)
        .and_then(|()| runs::record(config, command, task.lane, (&report, task.report.clone())))
        .err();
    let exit_code = if unmarked.is_some() && exit_code == ExitCode::Complete { ExitCode::Disk } else { exit_code };
    Ok(Conclusion { report, exit_code, hint, failure: end.ended.err().or(end.besides).or(found).or(unmarked) })
}

/// Puts the markers of the run's complete dates in place, and takes those of the others away.
fn mark_complete(report: &Report, config: &Config) -> Result<(), Error> {
    let Some(folder) = &config.complete_markers else { return Ok(()) };
    let marker = |date| folder.join(format!("date={date}")).join("_SUCCESS");
    let (complete, others) = report.dates_by_completeness();
    for date in complete {
        file::prepare(&marker(date))?;
        file::replace(&marker(date), Readers::Everybody, &[])?;
    }
    others.into_iter().map(marker).filter(|marker| marker.exists()).try_for_each(|marker| file::remove(&marker))
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
