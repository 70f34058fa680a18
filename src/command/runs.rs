//! `vcq runs`: what earlier runs came to. Each run leaves a line in the state folder, when it ends.

use std::{fmt, fs, io::ErrorKind, path::PathBuf};

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::{
    config::Config,
    error::Error,
    file::{self, Readers},
    journal::Lane,
    observe::report::{Account, Report},
    printable::Printable,
};

/// Version of the lines' form, and of the JSON of `vcq runs`: within one, keys are only added.
pub const RUNS_VERSION: u32 = 1;

/// Runs that are kept, the last ones: two years of nights and some.
const KEPT_MAX: usize = 1_000;

/// Runs that the text shows.
const SHOWN: usize = 20;

/// One run that has ended.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Run {
    /// `export` or `discover`.
    pub command: String,
    /// Its lane.
    pub lane: String,
    /// Where its report is, if it wrote one.
    pub report: Option<PathBuf>,
    /// What it came to.
    #[serde(flatten)]
    pub account: Account,
}

/// Earlier runs.
#[derive(Clone, Debug, Serialize)]
pub struct Runs {
    #[expect(clippy::struct_field_names, reason = "the JSON's key says of what it is the version")]
    runs_version: u32,
    /// Oldest first.
    pub runs: Vec<Run>,
    #[serde(skip)]
    tells_all: bool,
}

/// Keeps what a run came to for [`runs`].
///
/// # Errors
///
/// If the line cannot be written.
pub fn record(config: &Config, command: &str, lane: Lane, written: (&Report, Option<PathBuf>)) -> Result<(), Error> {
    let (report, path) = written;
    let account = report.account();
    let run = Run { command: command.into(), lane: lane.name().into(), report: path, account };
    let of_run = serde_json::to_string(&run).expect("a run has string keys only");
    file::update(&of_state(config), Readers::Owner, |before| {
        let kept: Vec<_> = before.lines().collect();
        let from = (kept.len() + 1).saturating_sub(KEPT_MAX);
        kept[from.min(kept.len())..].iter().map(|line| format!("{line}\n")).chain([format!("{of_run}\n")]).collect()
    })
}

/// The runs that have ended, of this state folder.
///
/// # Errors
///
/// If what they left cannot be read. A line that is none, as of a newer version, is passed over.
pub fn runs(config: &Config, tells_all: bool) -> Result<Runs, Error> {
    let path = of_state(config);
    let text = match fs::read_to_string(&path) {
        Err(error) if error.kind() == ErrorKind::NotFound => String::new(),
        read => read.map_err(|source| Error::File { operation: "read", path: path.display().to_string(), source })?,
    };
    let runs = text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
    Ok(Runs { runs_version: RUNS_VERSION, runs, tells_all })
}

fn of_state(config: &Config) -> PathBuf {
    config.state.join("runs.jsonl")
}

impl fmt::Display for Runs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.runs.is_empty() {
            return writeln!(f, "no run has ended yet");
        }
        writeln!(
            f,
            "{:<16} {:<8} {:<8} {:>4} {:>9} {:>10} {:>9}  stopped",
            "ended (UTC)", "command", "lane", "exit", "requests", "samples", "dates"
        )?;
        let hidden = if self.tells_all { 0 } else { self.runs.len().saturating_sub(SHOWN) };
        for Run { command, lane, account, .. } in &self.runs[hidden..] {
            let Account { ended_at, exit_code, requests, samples, dates_complete, dates, stopped, .. } = account;
            let ended: DateTime<Utc> = *ended_at;
            let (ended, dates) = (ended.format("%Y-%m-%d %H:%M"), format!("{dates_complete}/{dates}"));
            write!(f, "{ended} {command:<8} {lane:<8} {exit_code:>4} {requests:>9} {samples:>10} {dates:>9}")?;
            match stopped {
                Some(why) => writeln!(f, "  {}", Printable(why))?,
                None => writeln!(f)?,
            }
        }
        if hidden > 0 { writeln!(f, "… {hidden} earlier ones: `vcq runs --all`") } else { Ok(()) }
    }
}
