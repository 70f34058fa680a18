//! The command line's types. What they mean is checked here; nothing is done here.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

pub use self::args::{
    ArchiveCommand, ArchiveExportArgs, CheckArgs, DecodeArgs, DemoArgs, DiscoverArgs, DropArgs, ExportArgs, LoginArgs,
    ManifestArgs, PlanArgs, RebuildArgs, ReportArgs, RunOptions, RunsArgs, StatusArgs, Times, VerifyArgs,
};
use crate::{
    command::{schema::Schema, simulate::SimulateArgs},
    config::Override,
};

mod args;
mod values;

/// Exports Feishu/Lark meeting-quality data to Parquet.
///
/// Exit codes: 0 complete · 2 usage or configuration · 3 ended by a limit, with --planned-end · 65 finished, but some rows were rejected or failed · 70 bug ·
/// 74 disk or output · 75 stopped early, run again to continue · 76 the answers say so little that somebody should look
/// first · 77 credentials or permission · 130 interrupted, run again to continue.
#[derive(Debug, Parser)]
#[command(name = "vcq", version, max_term_width = 100)]
pub struct Cli {
    // A doc comment on a flattened struct or a subcommand would become the help text of the whole command.
    #[expect(missing_docs, reason = "see above")]
    #[command(flatten)]
    pub global: Global,
    #[expect(missing_docs, reason = "see above")]
    #[command(subcommand)]
    pub command: Command,
}

/// Options of every command.
#[derive(Debug, Args)]
#[command(next_help_heading = "Global options")]
pub struct Global {
    /// Configuration file; without it `vcq.toml` in the current folder, if there is one
    #[arg(long, global = true, value_name = "FILE", env = "VCQ_CONFIG")]
    pub config: Option<PathBuf>,
    /// Folder of the journal, instead of `state` in the configuration
    #[arg(long, global = true, value_name = "DIR")]
    pub state: Option<String>,
    /// Folder of the dataset, instead of `output` in the configuration
    #[arg(long, global = true, value_name = "DIR")]
    pub output: Option<String>,
    /// The API's host, instead of `api.base_url` in the configuration
    #[arg(long, global = true, value_name = "URL")]
    pub base_url: Option<String>,
    /// Requests a minute, instead of `rate.requests_per_minute` in the configuration
    #[arg(long, global = true, value_name = "N")]
    pub requests_per_minute: Option<u32>,
    /// What to log on standard error: error, warn, info, debug, trace, or a filter such as `vcq=debug`
    #[arg(long, global = true, value_name = "LEVEL", env = "VCQ_LOG", default_value = "info")]
    pub log: String,
    /// Log warnings and errors alone, whatever --log says, and show no progress
    #[arg(short, long, global = true, conflicts_with = "verbose")]
    pub quiet: bool,
    /// Log what happens to each stay too, whatever --log says
    #[arg(short, long, global = true)]
    pub verbose: bool,
    /// Colours on standard error; `NO_COLOR` in the environment refuses them too
    #[arg(long, global = true, value_enum, value_name = "WHEN", default_value_t = Color::Auto)]
    pub color: Color,
    /// Form of the log lines
    #[arg(long, global = true, value_enum, env = "VCQ_LOG_FORMAT", default_value_t = LogFormat::Text)]
    pub log_format: LogFormat,
}

impl Cli {
    /// The configuration keys that were given as flags.
    pub fn overrides(&self) -> Vec<Override> {
        let times = match &self.command {
            Command::Export(args) => args.manifest.times.naive_times.clone(),
            Command::Plan(args) => args.manifest.times.naive_times.clone(),
            Command::Archive(ArchiveCommand::Import { times, .. }) => times.naive_times.clone(),
            Command::Decode(args) => args.times.naive_times.clone(),
            _ => None,
        };
        let times = times.map(|meant| ("manifest.naive_times", meant));
        let decoding = if let Command::Decode(args) = &self.command { args.overrides() } else { Vec::new() };
        self.global.overrides().into_iter().chain(times).chain(decoding).collect()
    }
}

impl Global {
    /// The filter of log lines that the options come to.
    pub fn log_filter(&self) -> &str {
        match (self.quiet, self.verbose) {
            (true, _) => "warn",
            (_, true) => "info,vcq=debug",
            _ => &self.log,
        }
    }

    /// Those of every command.
    pub fn overrides(&self) -> Vec<Override> {
        let given = [
            ("state", self.state.clone()),
            ("output", self.output.clone()),
            ("api.base_url", self.base_url.clone()),
            ("rate.requests_per_minute", self.requests_per_minute.map(|n| n.to_string())),
        ];
        given.into_iter().filter_map(|(key, value)| Some((key, value?))).collect()
    }
}

/// When to colour.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Color {
    /// On a terminal
    Auto,
    /// Everywhere
    Always,
    /// Nowhere
    Never,
}

impl Color {
    /// Whether to colour, where the environment refuses it or not; `None`: on a terminal.
    pub fn is_wanted(self, is_refused: bool) -> Option<bool> {
        match self {
            Self::Auto => is_refused.then_some(false),
            Self::Always => Some(true),
            Self::Never => Some(false),
        }
    }
}

/// Form of the log lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// For people
    Text,
    /// One JSON object a line
    Json,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Watch the whole job against a simulated tenant: no account, no configuration
    #[command(after_help = "Example: vcq demo --dir /tmp/vcq-demo")]
    Demo(DemoArgs),
    /// Ask the API for every stay of dates or of a manifest and publish the answers as Parquet; the same command again
    /// continues
    #[command(after_help = "Examples:
  vcq export --discover yesterday --report report.json
  vcq export --manifest participants.csv")]
    Export(ExportArgs),
    /// Ask which meetings dates had and who took part, publish that, and queue the stays without asking for their samples
    #[command(after_help = "Example: vcq discover 2026-03-01..2026-03-31 --write-manifest march.csv")]
    Discover(DiscoverArgs),
    /// Check a manifest, or look at dates, and say what the export costs; no request is made
    #[command(after_help = "Examples:
  vcq plan --manifest participants.csv
  vcq plan --discover 2026-01-01..2026-06-30")]
    Plan(PlanArgs),
    /// Take the stays of a manifest out of the queue again, as after a wrong one; what has landed stays
    #[command(after_help = "Example: vcq drop --dry-run --manifest participants.csv")]
    Drop(DropArgs),
    /// Coverage by date, the queue, and the requests spent
    #[command(after_help = "Examples:
  vcq status
  vcq status 7d
  vcq status --date yesterday --quiet && echo complete")]
    Status(StatusArgs),
    /// A page of pictures of what the datasets hold: was it complete, how good was it, when and where was it bad
    #[command(after_help = "Examples:
  vcq report yesterday --html report.html
  vcq report 2026-03-01..2026-03-31 --against 2026-02-01..2026-02-28 --html march.html --lang zh
  vcq report 7d --json")]
    Report(ReportArgs),
    /// Publish again from landed pages, without a request
    #[command(after_help = "Examples:
  vcq rebuild 2026-03-01..2026-03-31
  vcq rebuild --new-table")]
    Rebuild(RebuildArgs),
    /// Landed pages as files: write them, land them again, or drop what is published
    #[command(subcommand, after_help = "Example: vcq archive export 2026-03-01..2026-03-31 pages-2026-03.ndjson.zst")]
    Archive(ArchiveCommand),
    /// Read raw pages from a pipe, as an archive has them, and write their rows into another: the reader of `rebuild`, to run
    /// where the pages lie. It reads no configuration
    #[command(after_help = "Examples:
  vcq decode --to ndjson < pages-2026-03.ndjson.zst | head
  vcq decode --endpoint meetings < pages-2026-03.ndjson.zst > meetings.arrows

With DuckDB, Polars and Spark: config/DECODE.md")]
    Decode(DecodeArgs),
    /// Read the dataset back and compare it with the journal, and make sure that the journal itself is sound
    #[command(after_help = "Example: vcq verify --quick")]
    Verify(VerifyArgs),
    /// Take the stays of published files that the journal does not know into it, after it was lost or restored
    #[command(after_help = "Example: vcq adopt")]
    Adopt,
    /// Check configuration, credentials, permission and disk, one line each
    #[command(after_help = "Example: vcq check")]
    Check(CheckArgs),
    /// Sign in as a user, for tenants whose apps may not ask for themselves: prints the address of a page on which to consent, and
    /// keeps what that brings in the state folder
    #[command(after_help = "Examples:
  vcq login
  vcq login --paste")]
    Login(LoginArgs),
    /// Remove the sign-in from the state folder
    #[command(after_help = "Example: vcq logout")]
    Logout,
    /// What earlier runs came to, the last ones last
    #[command(after_help = "Example: vcq runs --json")]
    Runs(RunsArgs),
    /// Send a test notice to the address that is told how runs end
    #[command(
        after_help = "The address comes from VCQ_NOTIFY_URL, or from the file that `notify.url_file` names.\n\nExample: vcq notify"
    )]
    Notify,
    /// Run the simulated Feishu tenant as a server
    #[command(after_help = "Example: vcq simulate --stays 200 --write-manifest participants.csv")]
    Simulate(SimulateArgs),
    /// Print the JSON Schema of the configuration, the report or the figures, for editors and for programs
    #[command(after_help = "Example: vcq schema config > vcq.schema.json")]
    Schema {
        /// Of what
        #[arg(value_enum, value_name = "WHAT")]
        of: Schema,
    },
    /// Print the completion script of a shell
    #[command(after_help = "Example: vcq completions bash > /etc/bash_completion.d/vcq")]
    Completions {
        /// The shell
        shell: clap_complete::Shell,
    },
    /// Print the manual page, or write one of each command into a folder
    #[command(after_help = "Examples:
  vcq man | man -l -
  vcq man --dir /usr/local/share/man/man1")]
    Man {
        /// Write `vcq.1`, `vcq-export.1` and so on here
        #[arg(long, value_name = "DIR")]
        dir: Option<PathBuf>,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_definition_holds_together() {
        <Cli as clap::CommandFactory>::command().debug_assert();
    }
}
