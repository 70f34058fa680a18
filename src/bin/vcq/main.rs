//! Arguments and environment in, exit code out; nothing else.

use std::{
    fmt,
    future::Future,
    io::{self, BufRead, IsTerminal, Read, Write},
    mem,
    panic::{self, AssertUnwindSafe},
    path::Path,
    process, thread,
};

use clap::{CommandFactory, Parser};
use indicatif::ProgressDrawTarget;
use rustix::process::{DumpableBehavior, set_dumpable_behavior};
use tokio::sync::mpsc;
use vcq::{
    cli::{ArchiveCommand, Cli, Command, DecodeArgs, LogFormat, LoginArgs, PlanArgs, RebuildArgs, ReportArgs},
    command::{
        adopt::adopt,
        archive,
        check::check,
        decode::{Decoded, decode},
        demo,
        drop::drop,
        login::{self, Login},
        notify::{Notice, Notifier},
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
    error::{Chain, Error, ExitCode},
    feishu::transport::HttpTransport,
    guard::silence_guarded_panics,
    journal::JournalError,
    observe::{
        Observers,
        progress::{Progress, counts},
        terminal::{Form, start_log},
    },
    printable::Printable,
    start::Start,
};

use self::{
    arguments::{is_config_flag_given, refuse},
    environment::{app_secret, folder_without_config, is_color_refused, load_config, notify_secrets},
    output::{json, print, tell},
    runs::{code_of, conclude, discover_observed, export_observed},
    signals::listen,
};

mod arguments;
mod environment;
mod output;
mod runs;
mod signals;

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
            if let Some(folder) = folder_without_config().filter(|_| is_for_want_of_config(&error)) {
                tell(&format!("hint: there is no vcq.toml in `{}`, and no VCQ_CONFIG", Printable(folder.display())));
            }
            error.exit_code()
        }
    };
    code.into()
}

/// Whether a configuration file may be what is missing.
fn is_for_want_of_config(error: &Error) -> bool {
    match error {
        Error::Access { what, .. } => what.starts_with("no app "),
        // Its default name: nobody has said where it is.
        Error::Journal(JournalError::Missing(folder)) => folder == Path::new("state"),
        _ => false,
    }
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
    let bar = output::above(progress.bar());
    let start = &start.clone().counting(counts(bar.clone()));
    let ended = carry_out(cli, config, start, progress);
    bar.finish_and_clear();
    ended
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
            let plan = plan(&args.manifest.manifests(), &config, start)?;
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
    output::color(is_colored && io::stdout().is_terminal());
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

fn run_rebuild(args: &RebuildArgs, config: &Config, start: &Start) -> Result<ExitCode, Error> {
    // A date that is begun is finished.
    let _held = start.hold();
    let mut printed = Ok(());
    let told = |publication: &dyn fmt::Display| {
        if args.json {
            return;
        }
        let line = format!("{publication}\n");
        printed = mem::replace(&mut printed, Ok(())).and_then(|()| print(&line));
    };
    let rebuilt = if args.new_table {
        make_tables_anew(config, start, told)
    } else {
        rebuild(config, args.span(start.now(), config.timezone), start, told)
    };
    printed?;
    let mut rebuilt = rebuilt?;
    print(&if args.json { json(&rebuilt) } else { rebuilt.to_string() })?;
    let of_tables = rebuilt.table_failures.drain(..).map(|(dataset, error)| (dataset.name().to_owned(), error));
    let of_dates = rebuilt.failures.drain(..).map(|(date, error)| (format!("date={date}"), error));
    let mut failures = of_tables.chain(of_dates);
    let first = failures.next();
    for (what, error) in failures {
        tell(&format!("vcq: {what}: {}", Chain(&error)));
    }
    first.map_or(Ok(ExitCode::Complete), |(_, error)| Err(error))
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

/// Runs `work` on one thread.
fn block_on(work: impl Future<Output = Result<ExitCode, Error>>) -> Result<ExitCode, Error> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Error::Bug(format!("no runtime: {error}")))?;
    runtime.block_on(work)
}
