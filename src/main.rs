//! Arguments and environment in, exit code out; nothing else.

use std::{
    env,
    ffi::OsString,
    fs,
    future::Future,
    io::{self, ErrorKind, Write},
    mem,
    panic::{self, AssertUnwindSafe},
    path::PathBuf,
    process, thread,
};

use chrono::Utc;
use clap::{CommandFactory, Parser};
use indicatif::ProgressBar;
use secrecy::SecretString;
use signal_hook::{
    consts::{SIGINT, SIGTERM},
    iterator::Signals,
};
use tracing_subscriber::{EnvFilter, fmt::MakeWriter};
use vcq::{
    adopt::adopt,
    archive,
    check::check,
    cli::{ArchiveCommand, Cli, Command, ExportArgs, Global, LogFormat},
    config::Config,
    credentials::credentials,
    demo,
    drop::drop,
    error::{Chain, Error, ExitCode},
    event::Emit,
    feishu::transport::HttpTransport,
    observe::Observers,
    plan::plan,
    progress::Progress,
    rebuild::rebuild,
    run::{Export, Outcome, Surroundings, export, until},
    simulator::command as simulate,
    start::{Start, Stop},
    status::status,
    verify::verify,
};

fn main() -> process::ExitCode {
    let cli = Cli::parse();
    // A panic has printed its message by then; what is left is to exit as the contract says for a bug.
    let done = panic::catch_unwind(AssertUnwindSafe(|| run(cli)));
    let code = match done.unwrap_or_else(|_| Err(Error::Bug("panicked".into()))) {
        Ok(code) => code,
        Err(error) => {
            tell(&format!("vcq: {}", Chain(&error)));
            if let Some(hint) = error.hint() {
                tell(&format!("hint: {hint}"));
            }
            error.exit_code()
        }
    };
    code.into()
}

fn run(cli: Cli) -> Result<ExitCode, Error> {
    let config = match &cli.command {
        // Neither asks the real API: they must run where no configuration is, or a broken one.
        Command::Demo(_) | Command::Simulate(_) | Command::Completions { .. } => Config::load(None, [], &[])?,
        _ => load_config(&cli.global)?,
    };
    let progress = Progress::new(config.rate.requests_per_minute);
    start_log(&cli.global, progress.bar())?;
    match cli.command {
        Command::Demo(_) if !cli.global.overrides().is_empty() => Err(Error::Usage(
            "the demo has a folder, an API and a rate of its own: of these it takes `--dir` alone".into(),
        )),
        Command::Demo(args) => with_signals(|start| async move {
            let observers = Observers::new(progress, None, config.rate.requests_per_minute);
            let outcome = demo::demo(&args.dir, &start, &|event| observers.take(&event)).await;
            observers.end(&outcome, &start);
            let outcome = outcome?;
            let summary = demo::summary(&args.dir, &outcome)?;
            print(&summary)?;
            Ok(conclude(&outcome))
        }),
        Command::Export(args) => with_signals(|start| async move {
            let textfile = config.metrics_textfile.clone();
            let observers = Observers::new(progress, textfile, config.rate.requests_per_minute);
            let outcome = run_export(&args, &config, &start, &|event| observers.take(&event)).await;
            observers.end(&outcome, &start);
            let outcome = outcome?;
            print(&outcome.report.to_string())?;
            Ok(conclude(&outcome))
        }),
        Command::Plan(args) => {
            let plan = plan(&args.manifests(), &config, &idle_start())?;
            print(&if args.json { json(&plan) } else { plan.to_string() })?;
            Ok(plan.exit_code())
        }
        Command::Drop(args) => {
            print(&drop(&args.manifests(), &config, &idle_start(), args.dry_run)?.to_string())?;
            Ok(ExitCode::Complete)
        }
        Command::Status(args) => {
            let status = status(&config, &idle_start())?;
            print(&if args.json { json(&status) } else { status.to_string() })?;
            Ok(ExitCode::Complete)
        }
        Command::Rebuild(args) => {
            let mut printed = Ok(());
            let rebuilt = rebuild(&config, (args.from, args.to), &idle_start(), |publication| {
                let line = format!("{publication}\n");
                printed = mem::replace(&mut printed, Ok(())).and_then(|()| print(&line));
            });
            printed?;
            let mut rebuilt = rebuilt?;
            print(&rebuilt.to_string())?;
            for (date, error) in rebuilt.failures.iter().skip(1) {
                tell(&format!("vcq: date={date}: {}", Chain(error)));
            }
            rebuilt.failures.drain(..).next().map_or(Ok(ExitCode::Complete), |(_, error)| Err(error))
        }
        Command::Archive(command) => run_archive(&command, &config),
        Command::Verify => {
            let verified = verify(&config, &idle_start())?;
            print(&verified.to_string())?;
            Ok(verified.exit_code())
        }
        Command::Adopt => {
            let adopted = adopt(&config, &idle_start())?;
            print(&adopted.to_string())?;
            Ok(adopted.exit_code())
        }
        Command::Check => with_signals(|start| async move {
            let checked = check(&config, app_secret(), &start).await;
            print(&checked.to_string())?;
            Ok(checked.exit_code())
        }),
        Command::Simulate(args) => with_signals(|start| async move {
            let mut stop = start.stop.clone();
            let mut out = io::stdout();
            let serving = simulate::run(&args, move || start.now(), &mut out, stop.requested());
            serving.await.map_err(|error| Error::Usage(Chain(&error).to_string()))?;
            Ok(ExitCode::Complete)
        }),
        Command::Completions { shell } => {
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut Cli::command(), "vcq", &mut script);
            print(&String::from_utf8_lossy(&script))?;
            Ok(ExitCode::Complete)
        }
    }
}

fn run_archive(command: &ArchiveCommand, config: &Config) -> Result<ExitCode, Error> {
    match command {
        ArchiveCommand::Export(args) => {
            print(&archive::export::export(config, args.from, args.to, &args.file)?.to_string())?;
            Ok(ExitCode::Complete)
        }
        ArchiveCommand::Import { files } => {
            let imported = archive::import::import(files, config, &idle_start())?;
            print(&imported.to_string())?;
            let exit_code = imported.exit_code();
            imported.failure.map_or(Ok(exit_code), Err)
        }
        ArchiveCommand::Prune { before } => {
            print(&archive::prune::prune(config, *before, &idle_start())?.to_string())?;
            Ok(ExitCode::Complete)
        }
    }
}

async fn run_export(args: &ExportArgs, config: &Config, start: &Start, observe: Emit<'_>) -> Result<Outcome, Error> {
    let credentials = credentials(config, app_secret())?;
    let transport = HttpTransport::new(&config.api).map_err(|error| Error::Usage(Chain(&error).to_string()))?;
    let limit = args.until.as_deref().map(|text| until(text, start.now(), config.timezone)).transpose()?;
    let task = Export {
        manifests: args.manifests(),
        refresh: args.refresh,
        accept_fewer: args.accept_fewer,
        lane: args.lane,
        until: limit,
        report: args.report.clone(),
    };
    export(&task, &Surroundings { config, credentials: &credentials, transport: &transport, start, observe }).await
}

fn conclude(outcome: &Outcome) -> ExitCode {
    if let Some(error) = &outcome.failure {
        tell(&format!("vcq: {}", Chain(error)));
    }
    if let Some(hint) = &outcome.hint {
        tell(&format!("hint: {hint}"));
    }
    outcome.exit_code
}

/// Reads `--config`, or `vcq.toml` in the current folder if it is there.
fn load_config(global: &Global) -> Result<Config, Error> {
    let path = global.config.clone().unwrap_or_else(|| PathBuf::from("vcq.toml"));
    let text = match fs::read_to_string(&path) {
        Ok(text) => Some(text),
        Err(error) if error.kind() == ErrorKind::NotFound && global.config.is_none() => None,
        Err(source) => {
            return Err(Error::Usage(format!("cannot read configuration file `{}`: {source}", path.display())));
        }
    };
    let name = path.display().to_string();
    let file = text.as_deref().map(|text| (name.as_str(), text));
    #[expect(clippy::disallowed_methods, reason = "main reads the environment for all others")]
    let environment = env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("VCQ_"));
    let unreadable =
        |text: OsString| Error::Usage(format!("the environment has `{}`, which is not UTF-8", text.display()));
    let environment = environment
        .map(|(name, value)| Ok((name.into_string().map_err(unreadable)?, value.into_string().map_err(unreadable)?)))
        .collect::<Result<Vec<_>, Error>>()?;
    Ok(Config::load(file, environment, &global.overrides())?)
}

fn app_secret() -> Option<SecretString> {
    #[expect(clippy::disallowed_methods, reason = "main reads the environment for all others")]
    let secret = env::var("VCQ_APP_SECRET").ok();
    secret.filter(|secret| !secret.is_empty()).map(SecretString::from)
}

/// Log lines go above the progress line, so that neither tears the other.
fn start_log(global: &Global, bar: ProgressBar) -> Result<(), Error> {
    let filter = EnvFilter::try_new(&global.log)
        .map_err(|error| Error::Usage(format!("--log `{}` is no level and no filter: {error}", global.log)))?;
    let writer = AboveProgress(bar);
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(writer).with_target(false);
    match global.log_format {
        LogFormat::Text => builder.with_ansi(false).init(),
        LogFormat::Json => builder.json().init(),
    }
    Ok(())
}

struct AboveProgress(ProgressBar);

impl<'a> MakeWriter<'a> for AboveProgress {
    type Writer = LogLine;

    fn make_writer(&'a self) -> Self::Writer {
        LogLine(self.0.clone())
    }
}

struct LogLine(ProgressBar);

impl Write for LogLine {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        // A line that is lost must not end a run: the subscriber would panic over it.
        self.0.suspend(|| io::stderr().write_all(bytes).ok());
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Runs `work` on one thread. The first SIGINT or SIGTERM asks it to stop, the second ends the process.
fn with_signals<F: Future<Output = Result<ExitCode, Error>>>(work: impl FnOnce(Start) -> F) -> Result<ExitCode, Error> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Error::Bug(format!("no runtime: {error}")))?;
    let (stopper, stop) = Stop::new();
    // A thread of its own: reading a manifest of millions of rows keeps the runtime busy for longer than a person waits.
    let mut signals = Signals::new([SIGINT, SIGTERM]).map_err(|error| Error::Bug(format!("no signals: {error}")))?;
    thread::spawn(move || {
        for _ in signals.forever() {
            if stopper.send_replace(true) {
                process::exit(ExitCode::Interrupted as i32);
            }
        }
    });
    runtime.block_on(work(start_now(stop)))
}

#[expect(clippy::disallowed_methods, reason = "main gives everybody else their wall clock")]
fn start_now(stop: Stop) -> Start {
    let seed = Utc::now().timestamp_subsec_nanos();
    Start::new(Utc::now, u64::from(seed) ^ u64::from(process::id()), stop)
}

fn idle_start() -> Start {
    let (_, stop) = Stop::new();
    start_now(stop)
}

/// Writes a line to standard error, if that can be written: the exit code says the same.
fn tell(line: &str) {
    // On a full disk there is nobody left to tell.
    let _ = writeln!(io::stderr(), "{line}");
}

/// Prints data. A reader that has gone away, such as `head`, is no error.
fn print(text: &str) -> Result<(), Error> {
    let mut out = io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
        done => done.map_err(|source| Error::File { operation: "write to", path: "standard output".into(), source }),
    }
}

fn json(value: &impl serde::Serialize) -> String {
    let mut text = serde_json::to_string_pretty(value).expect("reports have string keys only");
    text.push('\n');
    text
}
