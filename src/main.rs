//! Arguments and environment in, exit code out; nothing else.

use std::{
    env,
    ffi::OsString,
    fs,
    future::Future,
    io::{self, BufRead, ErrorKind, IsTerminal, Read, Write},
    mem,
    panic::{self, AssertUnwindSafe},
    path::{self, Path, PathBuf},
    process,
    sync::{Arc, OnceLock},
    thread,
    time::Duration,
};

use chrono::Utc;
use clap::{CommandFactory, Parser};
use indicatif::{ProgressBar, ProgressDrawTarget};
use rustix::process::{DumpableBehavior, set_dumpable_behavior};
use secrecy::SecretString;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use tokio::{sync::mpsc, time::Instant};
use vcq::{
    access::asker,
    cli::{
        ArchiveCommand, Cli, Command, DecodeArgs, DiscoverArgs, ExportArgs, LogFormat, LoginArgs, PlanArgs,
        RebuildArgs, ReportArgs, planned_end, report_path,
    },
    command::{
        adopt::adopt,
        archive,
        check::check,
        decode::{Decoded, decode},
        demo,
        discover::{Discovered, Discovery, discover},
        drop::drop,
        export::{Conclusion, Export, Surroundings, export, until},
        login::{self, Login},
        notify::{Notice, Notifier, NotifySecrets},
        plan::{discovery::plan_discovery, plan},
        rebuild::{make_tables_anew, rebuild},
        report::{Report, prepare_page, report, write_page},
        runs::runs,
        simulate::{self, SimulateArgs},
        status::status,
        verify::{Extent, verify_within},
    },
    config::Config,
    credentials::credentials,
    dates::NamedDates,
    error::{Chain, Error, ExitCode},
    event::Emit,
    feishu::transport::HttpTransport,
    file,
    guard::silence_guarded_panics,
    journal::{JournalError, Lane},
    observe::{
        Observers,
        progress::{Progress, counts},
        terminal::{Form, start_log},
    },
    printable::{self, Printable},
    start::{Heard, Signals, Start, Stop},
    store::s3::S3Buckets,
};

fn main() -> process::ExitCode {
    // The app's secret must not stand in a dump of this process. Where that cannot be had, vcq works all the same.
    let _ = set_dumpable_behavior(DumpableBehavior::NotDumpable);
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(refused) => return refuse(&refused),
    };
    silence_guarded_panics();
    // A panic has printed its message by then; what is left is to exit as the contract says for a bug.
    let done = panic::catch_unwind(AssertUnwindSafe(|| run(cli, &listen()?)));
    let code = match done.unwrap_or_else(|_| Err(Error::Bug("panicked".into()))) {
        Ok(code) => code,
        Err(error) => {
            tell(&format!("vcq: {}", Chain(&error)));
            if let Some(hint) = error.hint() {
                tell(&format!("hint: {}", Printable(hint)));
            }
            if let Some(folder) = WITHOUT_CONFIG.get().filter(|_| is_for_want_of_config(&error)) {
                tell(&format!("hint: there is no vcq.toml in `{}`, and no VCQ_CONFIG", Printable(folder.display())));
            }
            error.exit_code()
        }
    };
    code.into()
}

/// The folder in which a configuration file was looked for and is not.
static WITHOUT_CONFIG: OnceLock<PathBuf> = OnceLock::new();

/// Whether a configuration file may be what is missing.
fn is_for_want_of_config(error: &Error) -> bool {
    match error {
        Error::Access { what, .. } => what.starts_with("no app "),
        // Its default name: nobody has said where it is.
        Error::Journal(JournalError::Missing(folder)) => folder == Path::new("state"),
        _ => false,
    }
}

/// Variables that stand for an argument; their values are told no more than those of others.
const OF_ENVIRONMENT: [(&str, &str); 3] =
    [("VCQ_LOG", "--log"), ("VCQ_LOG_FORMAT", "--log-format"), ("VCQ_CONFIG", "--config")];

/// Tells what is wrong with the arguments, which may hold anything. Help is told, too, by this way.
fn refuse(refused: &clap::Error) -> process::ExitCode {
    let text = refused.render().to_string();
    #[expect(clippy::disallowed_methods, reason = "main reads the environment for all others")]
    let of_environment = OF_ENVIRONMENT.into_iter().find(|(variable, option)| {
        let is_argument = env::args_os().any(|argument| argument.to_string_lossy().starts_with(option));
        text.contains(&format!("'{option} <")) && !is_argument && env::var_os(variable).is_some()
    });
    if let Some((variable, _)) = of_environment {
        tell(&format!("vcq: the value of `{variable}` in the environment is none that it takes; see `vcq --help`"));
    } else if env::args_os().any(|argument| argument.to_string_lossy().contains(char::is_control)) {
        tell(
            "vcq: an argument holds line ends or other control characters, and is none that vcq takes; see `vcq --help`",
        );
    } else if printable::lines(&text) == text {
        refused.exit();
    } else {
        tell(text.trim_end());
    }
    ExitCode::Usage.into()
}

fn run(cli: Cli, start: &Start) -> Result<ExitCode, Error> {
    let config = match &cli.command {
        // None asks the real API: they must run where no configuration is, or a broken one.
        Command::Demo(_)
        | Command::Simulate(_)
        | Command::Schema { .. }
        | Command::Completions { .. }
        | Command::Man { .. } => Config::load(None, [], &[])?,
        Command::Decode(_) if !cli.global.overrides().is_empty() || is_config_flag_given() => {
            return Err(Error::Usage(
                "`vcq decode` reads no configuration: what decides how pages are read are its own flags, as --timezone, \
                 --naive-utc-offset and --personal"
                    .into(),
            ));
        }
        // Nothing but its flags: it must do the same on every machine.
        Command::Decode(_) => Config::load(None, [], &cli.overrides())?,
        _ => load_config(&cli)?,
    };
    let progress = show(&cli, &config, start)?;
    let bar = BAR.get_or_init(|| progress.bar());
    let start = &start.clone().counting(counts(bar.clone()));
    let ended = carry_out(cli, config, start, progress);
    bar.finish_and_clear();
    ended
}

/// The bar at the foot of the terminal, above which everything is printed.
static BAR: OnceLock<ProgressBar> = OnceLock::new();

fn above_bar<T>(print: impl FnOnce() -> T) -> T {
    match BAR.get() {
        Some(bar) => bar.suspend(print),
        None => print(),
    }
}

fn carry_out(cli: Cli, config: Config, start: &Start, progress: Progress) -> Result<ExitCode, Error> {
    match cli.command {
        Command::Demo(_) if !cli.global.overrides().is_empty() => Err(Error::Usage(
            "the demo has a folder, an API and a rate of its own: of these it takes `--dir` alone".into(),
        )),
        Command::Demo(args) => block_on(async move {
            let observers = Observers::new(progress);
            let outcome = Box::pin(demo::demo(&args.dir, start, &|event| observers.take(&event))).await;
            observers.end(code_of(&outcome), start);
            let outcome = outcome?;
            let summary = demo::summary(&args.dir, &outcome, start)?;
            print(&summary)?;
            Ok(conclude(&outcome))
        }),
        Command::Export(args) => block_on(export_observed(&args, &config, start, progress)),
        Command::Discover(args) => block_on(discover_observed(&args, &config, start, progress)),
        Command::Plan(PlanArgs { discover: Some(dates), json: as_json, .. }) => {
            let plan = plan_discovery(dates.at(start.now(), config.timezone), &config, start)?;
            print(&if as_json { json(&plan) } else { plan.to_string() })?;
            Ok(ExitCode::Complete)
        }
        Command::Plan(args) => {
            let plan = plan(&args.manifests(), &config, start)?;
            print(&if args.json { json(&plan) } else { plan.to_string() })?;
            Ok(plan.exit_code())
        }
        Command::Drop(args) => {
            print(&drop(&args.manifests(), &config, start, args.dry_run)?.to_string())?;
            Ok(ExitCode::Complete)
        }
        Command::Status(args) => {
            let status = status(&config, start)?;
            let dates = args.dates.or(args.date).map(|dates| dates.at(start.now(), config.timezone));
            let status = status.showing(dates, args.all);
            print(&if args.json { json(&status) } else { status.to_string() })?;
            Ok(args.date.map_or(ExitCode::Complete, |_| status.exit_code()))
        }
        Command::Report(args) => run_report(&args, &config, start),
        Command::Rebuild(args) => run_rebuild(&args, &config, start),
        Command::Archive(command) => run_archive(&command, &config, start),
        Command::Verify(args) => {
            let dates = args.dates.map(|dates| dates.at(start.now(), config.timezone));
            let verified = verify_within(&config, start, Extent { dates, is_quick: args.quick, is_deep: args.deep })?;
            print(&if args.json { json(&verified) } else { verified.to_string() })?;
            Ok(verified.exit_code())
        }
        Command::Adopt => {
            let adopted = adopt(&config, start)?;
            print(&adopted.to_string())?;
            Ok(adopted.exit_code())
        }
        Command::Runs(args) => {
            let runs = runs(&config, args.all)?;
            print(&if args.json { json(&runs) } else { runs.to_string() })?;
            Ok(ExitCode::Complete)
        }
        Command::Check(args) => block_on(async move {
            let checked = check(&config, app_secret(), start).await;
            print(&if args.json { json(&checked) } else { checked.to_string() })?;
            Ok(checked.exit_code())
        }),
        Command::Login(args) => block_on(run_login(&args, &config, start)),
        Command::Logout => block_on(run_logout(&config, start)),
        Command::Notify => block_on(async move {
            let none = || Error::Usage("nobody is told how runs end: set VCQ_NOTIFY_URL, or `notify.url_file`".into());
            let notifier = Notifier::new(&config, notify_secrets())?.ok_or_else(none)?;
            notifier.tell(&Notice::of_test(), start).await.map_err(Error::Upstream)?;
            print(&format!("{} has taken the notice\n", notifier.target()))?;
            Ok(ExitCode::Complete)
        }),
        Command::Simulate(args) => block_on(run_simulate(&args, cli.global.quiet, start)),
        Command::Schema { of } => {
            print(of.text())?;
            Ok(ExitCode::Complete)
        }
        Command::Decode(args) => run_decode(&args, &config),
        Command::Man { dir } => man(dir.as_deref()),
        Command::Completions { shell } => {
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut Cli::command(), "vcq", &mut script);
            print(&String::from_utf8_lossy(&script))?;
            Ok(ExitCode::Complete)
        }
    }
}

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
async fn export_observed(
    args: &ExportArgs,
    config: &Config,
    start: &Start,
    progress: Progress,
) -> Result<ExitCode, Error> {
    let observers = observers(progress, (args.lane, &args.files), config, start)?;
    let notifier = Notifier::new(config, notify_secrets())?;
    let prepared = args.html.as_ref().map_or(Ok(()), |path| prepare_page(path, &args.files, config));
    let outcome = match prepared {
        Ok(()) => run_export(args, config, start, &|event| observers.take(&event)).await,
        Err(error) => Err(error),
    };
    observers.end(code_of(&outcome), start);
    let text = |outcome: &Conclusion| if args.json { json(&outcome.report) } else { outcome.report.to_string() };
    let exited = match &outcome {
        Ok(outcome) => print(&text(outcome)).and_then(|()| conclude_with_page(args, outcome, config, start)),
        Err(error) => Ok(error.exit_code()),
    };
    notify(notifier.as_ref(), &Notice::of_run("export", args.lane, outcome.as_ref(), exited.as_ref()), start).await;
    outcome.and(exited)
}

/// Runs a discovery, shows it, and tells how it has ended.
async fn discover_observed(
    args: &DiscoverArgs,
    config: &Config,
    start: &Start,
    progress: Progress,
) -> Result<ExitCode, Error> {
    let observers = observers(progress, (args.lane, &[]), config, start)?;
    let notifier = Notifier::new(config, notify_secrets())?;
    let discovered = run_discover(args, config, start, &|event| observers.take(&event)).await;
    let ended = discovered.as_ref().map(|found| &found.outcome);
    observers.end(ended.map_or_else(Error::exit_code, |outcome| outcome.exit_code), start);
    let text = |found: &Discovered| if args.json { json(&found.outcome.report) } else { found.to_string() };
    let exited = match &discovered {
        Ok(found) => print(&text(found)).map(|()| conclude(&found.outcome)),
        Err(error) => Ok(error.exit_code()),
    };
    notify(notifier.as_ref(), &Notice::of_run("discover", args.lane, ended, exited.as_ref()), start).await;
    discovered.and(exited)
}

/// Whether `--config` stands on the command line; the environment may have it for other commands.
fn is_config_flag_given() -> bool {
    env::args_os().any(|argument| argument.to_string_lossy().starts_with("--config"))
}

/// Begins to show what happens: log lines, and the progress above which they stand.
fn show(cli: &Cli, config: &Config, start: &Start) -> Result<Progress, Error> {
    let progress = Progress::new(config.rate.requests_per_minute, start, config.timezone);
    if cli.global.quiet {
        progress.bar().set_draw_target(ProgressDrawTarget::hidden());
    }
    let form = Form {
        is_json: cli.global.log_format == LogFormat::Json,
        is_colored: cli.global.color.is_wanted(is_color_refused()),
        zone: config.timezone,
    };
    let is_colored = form.is_colored.unwrap_or_else(|| io::stdout().is_terminal());
    // Who asks for colours everywhere means the log lines; data that go to a file or a pipe have none.
    IS_COLORED.get_or_init(|| is_colored && io::stdout().is_terminal());
    start_log(cli.global.log_filter(), form, start, progress.bar())?;
    Ok(progress)
}

fn run_report(args: &ReportArgs, config: &Config, start: &Start) -> Result<ExitCode, Error> {
    args.html.as_ref().map(|path| prepare_page(path, &[], config)).transpose()?;
    let task = Report { dates: args.dates, against: args.against };
    let figures = report(&task, config, start)?;
    if figures.complete.files == 0 {
        let output = Printable(&config.output).to_string();
        tell(&format!("vcq: nothing is published of these dates in `{output}`: is that the `output` that was meant?"));
    }
    if args.json {
        print(&json(&figures))?;
    }
    if let Some(path) = &args.html {
        write_page(path, &figures, args.lang, start)?;
    }
    if let Some(path) = args.html.as_ref().filter(|_| !args.json) {
        print(&format!("{figures}page       {}\n", path.display()))?;
    }
    Ok(ExitCode::Complete)
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
    if args.json { Ok(()) } else { print(&format!("page       {}\n", path.display())) }
}

fn run_rebuild(args: &RebuildArgs, config: &Config, start: &Start) -> Result<ExitCode, Error> {
    // A date that is begun is finished.
    let _held = start.hold();
    if args.new_table {
        let rebuilt = make_tables_anew(config, start)?;
        print(&if args.json { json(&rebuilt) } else { rebuilt.to_string() })?;
        return Ok(ExitCode::Complete);
    }
    let mut printed = Ok(());
    let rebuilt = rebuild(config, args.span(start.now(), config.timezone), start, |publication| {
        if args.json {
            return;
        }
        let line = format!("{publication}\n");
        printed = mem::replace(&mut printed, Ok(())).and_then(|()| print(&line));
    });
    printed?;
    let mut rebuilt = rebuilt?;
    print(&if args.json { json(&rebuilt) } else { rebuilt.to_string() })?;
    for (date, error) in rebuilt.failures.iter().skip(1) {
        tell(&format!("vcq: date={date}: {}", Chain(error)));
    }
    rebuilt.failures.drain(..).next().map_or(Ok(ExitCode::Complete), |(_, error)| Err(error))
}

fn run_archive(command: &ArchiveCommand, config: &Config, start: &Start) -> Result<ExitCode, Error> {
    match command {
        ArchiveCommand::Export(args) => {
            let span = args.span(start.now(), config.timezone);
            let span = span.ok_or_else(|| Error::Bug("the command line has neither dates nor a span".into()))?;
            print(&archive::export::export(config, span, &args.file, start)?.to_string())?;
            Ok(ExitCode::Complete)
        }
        ArchiveCommand::Import { files, .. } => {
            let imported = archive::import::import(files, config, start)?;
            print(&imported.to_string())?;
            let exit_code = imported.exit_code();
            if let (Some(_), Some(failure)) = (&imported.unread, &imported.failure) {
                tell(&format!("vcq: {}", Chain(failure)));
            }
            imported.unread.or(imported.failure).map_or(Ok(exit_code), Err)
        }
        ArchiveCommand::Prune { before } => {
            let before = before.at(start.now(), config.timezone).first;
            print(&archive::prune::prune(config, before, start)?.to_string())?;
            Ok(ExitCode::Complete)
        }
    }
}

fn run_decode(args: &DecodeArgs, config: &Config) -> Result<ExitCode, Error> {
    let streams = (io::stdin(), io::stdout().lock());
    let decoded = decode(&args.decoding(), config, streams, |bad| tell(&format!("vcq: {bad}")))?;
    let Decoded { pages, decoded: read, other, bad, rows, unreadable_items, is_closed, .. } = decoded;
    tracing::info!(pages, decoded = read, other, bad, rows, unreadable_items, is_closed, "decoded");
    Ok(decoded.exit_code())
}

/// Prints the manual page, or writes those of all commands.
fn man(folder: Option<&Path>) -> Result<ExitCode, Error> {
    let Some(folder) = folder else {
        let mut page = Vec::new();
        let rendered = clap_mangen::Man::new(Cli::command()).render(&mut page);
        rendered.map_err(|error| Error::Bug(format!("no manual page: {error}")))?;
        print(&String::from_utf8_lossy(&page))?;
        return Ok(ExitCode::Complete);
    };
    clap_mangen::generate_to(Cli::command(), folder).map_err(|source| Error::File {
        operation: "write manual pages into",
        path: folder.display().to_string(),
        source,
    })?;
    Ok(ExitCode::Complete)
}

async fn run_discover(
    args: &DiscoverArgs,
    config: &Config,
    start: &Start,
    observe: Emit<'_>,
) -> Result<Discovered, Error> {
    let asker = asker(config, app_secret())?;
    let transport = HttpTransport::new(&config.api).map_err(|error| Error::Usage(Chain(&error).to_string()))?;
    let limit = args.until.as_deref().map(|text| until(text, start.now(), config.timezone)).transpose()?;
    let task = Discovery {
        dates: args.dates.at(start.now(), config.timezone),
        refresh: args.refresh,
        lane: args.lane,
        until: limit,
        planned_end: planned_end(args.planned_end),
        report: args.report.as_deref().map(|name| report_path(name, args.lane, start.now(), config.timezone)),
        write_manifest: args.write_manifest.clone(),
    };
    discover(&task, &Surroundings { config, asker: &asker, transport: &transport, start, observe }).await
}

async fn run_export(args: &ExportArgs, config: &Config, start: &Start, observe: Emit<'_>) -> Result<Conclusion, Error> {
    let asker = asker(config, app_secret())?;
    let transport = HttpTransport::new(&config.api).map_err(|error| Error::Usage(Chain(&error).to_string()))?;
    let limit = args.until.as_deref().map(|text| until(text, start.now(), config.timezone)).transpose()?;
    let task = Export {
        manifests: args.manifests(),
        discover: args.discover.map(|dates| dates.at(start.now(), config.timezone)),
        fetches_samples: true,
        refresh: args.refresh.map(|dates| dates.at(start.now(), config.timezone)),
        accept_fewer: args.accept_fewer,
        planned_end: planned_end(args.planned_end),
        lane: args.lane,
        until: limit,
        report: args.report.as_deref().map(|name| report_path(name, args.lane, start.now(), config.timezone)),
    };
    export(&task, &Surroundings { config, asker: &asker, transport: &transport, start, observe }).await
}

async fn run_login(args: &LoginArgs, config: &Config, start: &Start) -> Result<ExitCode, Error> {
    let credentials = credentials(config, app_secret())?;
    let transport = HttpTransport::new(&config.api).map_err(|error| Error::Usage(Chain(&error).to_string()))?;
    let listener = if args.paste { None } else { login::listen(config).await? };
    let (sender, pasted) = mpsc::channel(1);
    // A thread of its own: what nobody types keeps nothing waiting, and ends with the process.
    thread::spawn(move || send_lines(&sender));
    let tell = |line: &str| tell(line);
    let task = Login { config, credentials: &credentials, transport: &transport, start, tell: &tell, print: &print };
    print(&login::login(&task, listener, pasted).await?.to_string())?;
    Ok(ExitCode::Complete)
}

async fn run_logout(config: &Config, start: &Start) -> Result<ExitCode, Error> {
    print(&login::logout(config, start).await?.to_string())?;
    Ok(ExitCode::Complete)
}

async fn run_simulate(args: &SimulateArgs, is_quiet: bool, start: &Start) -> Result<ExitCode, Error> {
    // A signal is how it is meant to end.
    let _held = start.hold();
    let (mut stop, wall, now) = (start.stop.clone(), start.clone(), start.now());
    let announce = |address| {
        let mut out = io::stdout().lock();
        writeln!(out, "{address}").and_then(|()| out.flush())?;
        if !is_quiet {
            tell(&args.next_steps(address, now));
        }
        Ok(())
    };
    let serving = simulate::run(args, move || wall.now(), announce, stop.requested());
    serving.await.map_err(|error| Error::Usage(Chain(&error).to_string()))?;
    Ok(ExitCode::Complete)
}

/// Sends the lines of standard input, until it ends or nobody wants them any more.
fn send_lines(to: &mpsc::Sender<String>) {
    let mut lines = io::stdin().lock();
    loop {
        let mut line = String::new();
        match lines.by_ref().take(PASTED_BYTES_MAX).read_line(&mut line) {
            Ok(1..) if to.blocking_send(line).is_ok() => {}
            _ => return,
        }
    }
}

/// The longest line that is read as a pasted address.
const PASTED_BYTES_MAX: u64 = 64 << 10;

/// What the process will exit with.
fn code_of(outcome: &Result<Conclusion, Error>) -> ExitCode {
    outcome.as_ref().map_or_else(Error::exit_code, |outcome| outcome.exit_code)
}

fn conclude(outcome: &Conclusion) -> ExitCode {
    if let Some(error) = &outcome.failure {
        tell(&format!("vcq: {}", Chain(error)));
    }
    if let Some(hint) = &outcome.hint {
        tell(&format!("hint: {}", Printable(hint)));
    }
    outcome.exit_code
}

/// Reads `--config`, or `vcq.toml` in the current folder if it is there.
fn load_config(cli: &Cli) -> Result<Config, Error> {
    let global = &cli.global;
    let path = global.config.clone().unwrap_or_else(|| PathBuf::from("vcq.toml"));
    let text = match fs::read_to_string(&path) {
        Ok(text) => Some(text),
        Err(error) if error.kind() == ErrorKind::NotFound && global.config.is_none() => {
            if let Some(folder) = path::absolute(&path).ok().as_deref().and_then(Path::parent) {
                WITHOUT_CONFIG.get_or_init(|| folder.to_owned());
            }
            None
        }
        Err(source) => {
            return Err(Error::Usage(format!(
                "cannot read configuration file `{}`: {source}",
                Printable(path.display())
            )));
        }
    };
    let name = path.display().to_string();
    let file = text.as_deref().map(|text| (name.as_str(), text));
    #[expect(clippy::disallowed_methods, reason = "main reads the environment for all others")]
    let environment = env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("VCQ_"));
    let environment = environment.map(variable).collect::<Result<Vec<_>, Error>>()?;
    let config = Config::load(file, environment, &cli.overrides())?;
    file::refuse_overlap(&config)?;
    Ok(config)
}

/// A variable as text; the value of one that is none is not told, for it may be the secret.
fn variable((name, value): (OsString, OsString)) -> Result<(String, String), Error> {
    let shown = Printable(name.display()).to_string();
    match (name.into_string(), value.into_string()) {
        (Ok(name), Ok(value)) => Ok((name, value)),
        (Ok(_), Err(_)) => Err(Error::Usage(format!("the value of `{shown}` in the environment is not UTF-8"))),
        (Err(_), _) => Err(Error::Usage(format!("the environment has a variable `{shown}`, which is not UTF-8"))),
    }
}

/// Whether the environment wants no colours (<https://no-color.org>).
fn is_color_refused() -> bool {
    #[expect(clippy::disallowed_methods, reason = "main reads the environment for all others")]
    let no_color = env::var_os("NO_COLOR");
    no_color.is_some_and(|value| !value.is_empty())
}

fn app_secret() -> Option<SecretString> {
    secret_of_environment("VCQ_APP_SECRET")
}

fn notify_secrets() -> NotifySecrets {
    let [url, secret] = ["VCQ_NOTIFY_URL", "VCQ_NOTIFY_SECRET"].map(secret_of_environment);
    NotifySecrets { url, secret }
}

fn secret_of_environment(variable: &str) -> Option<SecretString> {
    #[expect(clippy::disallowed_methods, reason = "main reads the environment for all others")]
    let secret = env::var(variable).ok();
    secret.filter(|secret| !secret.is_empty()).map(SecretString::from)
}

/// Tells how a run has ended, to whom it is to be told; that it cannot be told changes nothing of how it has ended.
async fn notify(notifier: Option<&Notifier>, notice: &Notice, start: &Start) {
    let Some(notifier) = notifier else { return };
    if let Err(why) = notifier.tell(notice, start).await {
        tell(&format!("vcq: nobody was told how this run ended: {why}"));
    }
}

/// Runs `work` on one thread.
fn block_on(work: impl Future<Output = Result<ExitCode, Error>>) -> Result<ExitCode, Error> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Error::Bug(format!("no runtime: {error}")))?;
    runtime.block_on(work)
}

/// How long a command that has nothing to land may take to end by itself: it may wait for a pipe that nobody fills.
const NOT_HELD_MAX: Duration = Duration::from_secs(1);

/// Listens for signals from here on. The first SIGINT, SIGTERM or SIGHUP asks the command to end, a further one ends the
/// process, and so does the first if the command has nothing to land and does not end by itself.
fn listen() -> Result<Start, Error> {
    let (stopper, stop) = Stop::new();
    let start = start_now(stop);
    let hang_up = (!is_hang_up_ignored()).then_some(SIGHUP);
    let mut arriving = signal_hook::iterator::Signals::new([SIGINT, SIGTERM].into_iter().chain(hang_up))
        .map_err(|error| Error::Bug(format!("no signals: {error}")))?;
    let (began, asked) = (Instant::now(), start.clone());
    // A thread of its own: reading a manifest of millions of rows keeps the runtime busy for longer than a person waits.
    thread::spawn(move || {
        let mut signals = Signals::default();
        for _ in arriving.forever() {
            match signals.take(began.elapsed()) {
                Heard::First => {
                    stopper.send_replace(true);
                    let asked = asked.clone();
                    thread::spawn(move || end_unless_held(&asked));
                }
                Heard::Echo => {}
                Heard::Further => process::exit(ExitCode::Interrupted as i32),
            }
        }
    });
    Ok(start)
}

fn end_unless_held(start: &Start) {
    let asked = Instant::now();
    while asked.elapsed() < NOT_HELD_MAX {
        thread::park_timeout(NOT_HELD_MAX.saturating_sub(asked.elapsed()));
    }
    if !start.is_held() {
        tell("vcq: interrupted");
        process::exit(ExitCode::Interrupted as i32);
    }
}

/// Whether whoever started the process wants it to outlive the terminal, as `nohup` does.
fn is_hang_up_ignored() -> bool {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let ignored = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let ignored = ignored.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
    ignored.is_some_and(|mask| mask >> (SIGHUP - 1) & 1 == 1)
}

#[expect(clippy::disallowed_methods, reason = "main gives everybody else their wall clock")]
fn start_now(stop: Stop) -> Start {
    let seed = Utc::now().timestamp_subsec_nanos();
    Start::new(Utc::now, u64::from(seed) ^ u64::from(process::id()), stop).in_buckets(Arc::new(buckets()))
}

/// Buckets, with what the environment says of credentials.
#[expect(clippy::disallowed_methods, reason = "main reads the environment for all others")]
fn buckets() -> S3Buckets {
    S3Buckets::new(
        env::vars_os().filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?))),
    )
}

/// Writes a line to standard error, if that can be written: the exit code says the same.
fn tell(line: &str) {
    // On a full disk there is nobody left to tell.
    let _ = above_bar(|| writeln!(io::stderr(), "{}", printable::lines(line)));
}

/// Whether what is printed is coloured.
static IS_COLORED: OnceLock<bool> = OnceLock::new();

/// The text with its verdict in colour: green where all is complete, yellow where it is not.
fn colored(text: &str) -> String {
    let color = |line: &str| match line.starts_with("verdict ") {
        true if line.contains("not complete") => format!("\x1b[1;33m{line}\x1b[0m"),
        true => format!("\x1b[1;32m{line}\x1b[0m"),
        false => line.to_owned(),
    };
    text.split('\n').map(color).collect::<Vec<_>>().join("\n")
}

/// Prints data. A reader that has gone away, such as `head`, is no error.
fn print(text: &str) -> Result<(), Error> {
    let write = || {
        let mut out = io::stdout().lock();
        let text = printable::lines(text);
        let text = if IS_COLORED.get() == Some(&true) { colored(&text) } else { text };
        out.write_all(text.as_bytes()).and_then(|()| out.flush())
    };
    match above_bar(write) {
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
        done => done.map_err(|source| Error::File { operation: "write to", path: "standard output".into(), source }),
    }
}

fn json(value: &impl serde::Serialize) -> String {
    let mut text = serde_json::to_string_pretty(value).expect("reports have string keys only");
    text.push('\n');
    printable::json(&text)
}
