//! Runs that fetch: observed, told of, and concluded.

use std::path::PathBuf;

use vcq::{
    access::asker,
    cli::{DiscoverArgs, ExportArgs},
    command::{
        discover::{Discovered, Discovery, discover},
        export::{Conclusion, Export, Surroundings, export, until},
        notify::{Notice, Notifier},
        report::{Report, prepare_page, report, write_page},
    },
    config::Config,
    dates::NamedDates,
    error::{Chain, Error, ExitCode},
    event::Emit,
    feishu::transport::HttpTransport,
    file,
    journal::Lane,
    observe::{Observers, progress::Progress},
    printable::Printable,
    start::Start,
};

use crate::{
    environment::{app_secret, notify_secrets},
    output::{json, print, tell},
};

/// Who is told what happens in a run of a lane, which reads `inputs`.
fn observers(
    progress: Progress,
    (lane, inputs): (Lane, &[PathBuf]),
    config: &Config,
    start: &Start,
) -> Result<Observers, Error> {
    let observers = Observers::new(progress);
    let Some(path) = config.metrics_textfile.clone() else { return Ok(observers) };
    file::refuse_input("metrics.textfile", &path, inputs, config)?;
    Ok(observers.with_metrics(path, lane, config, start))
}

/// Runs an export, shows it, and tells how it has ended.
pub(crate) async fn export_observed(
    args: &ExportArgs,
    config: &Config,
    start: &Start,
    progress: Progress,
) -> Result<ExitCode, Error> {
    let observers = observers(progress, (args.run.lane, &args.manifest.files), config, start)?;
    let notifier = Notifier::new(config, notify_secrets())?;
    let prepared = args.html.as_ref().map_or(Ok(()), |path| prepare_page(path, &args.manifest.files, config));
    let outcome = match prepared {
        Ok(()) => run_export(args, config, start, &|event| observers.take(&event)).await,
        Err(error) => Err(error),
    };
    observers.end(code_of(&outcome), start);
    let text = |outcome: &Conclusion| if args.run.json { json(&outcome.report) } else { outcome.report.to_string() };
    let exited = match &outcome {
        Ok(outcome) => print(&text(outcome)).and_then(|()| conclude_with_page(args, outcome, config, start)),
        Err(error) => Ok(error.exit_code()),
    };
    notify(notifier.as_ref(), &Notice::of_run("export", args.run.lane, outcome.as_ref(), exited.as_ref()), start).await;
    outcome.and(exited)
}

/// Runs a discovery, shows it, and tells how it has ended.
pub(crate) async fn discover_observed(
    args: &DiscoverArgs,
    config: &Config,
    start: &Start,
    progress: Progress,
) -> Result<ExitCode, Error> {
    let observers = observers(progress, (args.run.lane, &[]), config, start)?;
    let notifier = Notifier::new(config, notify_secrets())?;
    let discovered = run_discover(args, config, start, &|event| observers.take(&event)).await;
    let ended = discovered.as_ref().map(|found| &found.outcome);
    observers.end(ended.map_or_else(Error::exit_code, |outcome| outcome.exit_code), start);
    let text = |found: &Discovered| if args.run.json { json(&found.outcome.report) } else { found.to_string() };
    let exited = match &discovered {
        Ok(found) => print(&text(found)).map(|()| conclude(&found.outcome)),
        Err(error) => Ok(error.exit_code()),
    };
    notify(notifier.as_ref(), &Notice::of_run("discover", args.run.lane, ended, exited.as_ref()), start).await;
    discovered.and(exited)
}

async fn run_discover(
    args: &DiscoverArgs,
    config: &Config,
    start: &Start,
    observe: Emit<'_>,
) -> Result<Discovered, Error> {
    let asker = asker(config, app_secret())?;
    let transport = HttpTransport::new(&config.api).map_err(|error| Error::Usage(Chain(&error).to_string()))?;
    let limit = args.run.until.as_deref().map(|text| until(text, start.now(), config.timezone)).transpose()?;
    let task = Discovery {
        dates: args.dates.at(start.now(), config.timezone),
        refresh: args.refresh,
        lane: args.run.lane,
        until: limit,
        planned_end: args.run.exit_at_limit(),
        report: args.run.report_at(start.now(), config.timezone),
        write_manifest: args.write_manifest.clone(),
    };
    discover(&task, &Surroundings { config, asker: &asker, transport: &transport, start, observe }).await
}

async fn run_export(args: &ExportArgs, config: &Config, start: &Start, observe: Emit<'_>) -> Result<Conclusion, Error> {
    let asker = asker(config, app_secret())?;
    let transport = HttpTransport::new(&config.api).map_err(|error| Error::Usage(Chain(&error).to_string()))?;
    let limit = args.run.until.as_deref().map(|text| until(text, start.now(), config.timezone)).transpose()?;
    let task = Export {
        manifests: args.manifest.manifests(),
        discover: args.discover.map(|dates| dates.at(start.now(), config.timezone)),
        fetches_samples: true,
        refresh: args.refresh.map(|dates| dates.at(start.now(), config.timezone)),
        accept_fewer: args.accept_fewer,
        planned_end: args.run.exit_at_limit(),
        lane: args.run.lane,
        until: limit,
        report: args.run.report_at(start.now(), config.timezone),
    };
    export(&task, &Surroundings { config, asker: &asker, transport: &transport, start, observe }).await
}

/// Concludes a run, and writes its page.
fn conclude_with_page(
    args: &ExportArgs,
    outcome: &Conclusion,
    config: &Config,
    start: &Start,
) -> Result<ExitCode, Error> {
    let code = conclude(outcome);
    match write_run_page(args, outcome, config, start) {
        // What the run came to says more than that its page is missing.
        Err(error) if code != ExitCode::Complete => tell(&format!("vcq: the page: {}", Chain(&error))),
        written => written?,
    }
    Ok(code)
}

/// Writes the page, if there is to be one, of the dates that a run discovered, asked for again or published; of a run that did none
/// of it, of the last month.
fn write_run_page(args: &ExportArgs, outcome: &Conclusion, config: &Config, start: &Start) -> Result<(), Error> {
    let Some(path) = &args.html else { return Ok(()) };
    let published = outcome.report.published_dates().map(NamedDates::Span);
    let dates = args.discover.or(args.refresh).or(published);
    let figures = report(&Report { dates, ..Report::default() }, config, &start.without_stop())?;
    write_page(path, &figures, args.lang, start)?;
    if args.run.json { Ok(()) } else { print(&format!("page       {}\n", path.display())) }
}

/// What the process will exit with.
pub(crate) fn code_of(outcome: &Result<Conclusion, Error>) -> ExitCode {
    outcome.as_ref().map_or_else(Error::exit_code, |outcome| outcome.exit_code)
}

pub(crate) fn conclude(outcome: &Conclusion) -> ExitCode {
    for error in &outcome.failures {
        tell(&format!("vcq: {}", Chain(error)));
    }
    if let Some(hint) = &outcome.hint {
        tell(&format!("hint: {}", Printable(hint)));
    }
    outcome.exit_code
}

/// Tells how a run has ended, to whom it is to be told; that it cannot be told changes nothing of how it has ended.
async fn notify(notifier: Option<&Notifier>, notice: &Notice, start: &Start) {
    let Some(notifier) = notifier else { return };
    if let Err(why) = notifier.tell(notice, start).await {
        tell(&format!("vcq: nobody was told how this run ended: {why}"));
    }
}
