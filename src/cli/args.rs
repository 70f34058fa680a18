//! The options of each command.

use std::path::PathBuf;

use chrono::{DateTime, NaiveDate, Utc};
use chrono_tz::Tz;
use clap::{ArgGroup, Args, Subcommand};

use crate::{
    archive::StreamForm,
    command::decode::{BadPages, Decoding, OutputForm},
    config::Override,
    dates::NamedDates,
    endpoint::Endpoint,
    error::ExitCode,
    intake::Manifests,
    journal::Lane,
    manifest::Format,
    page::Language,
};

/// How times are meant in the files of a command.
#[derive(Debug, Args)]
pub struct Times {
    /// What times without a zone mean: `utc`, or an offset such as `+08:00` or `-03:30`; without it they are refused
    #[arg(long, value_name = "ZONE", allow_hyphen_values = true)]
    pub naive_times: Option<String>,
}

/// Which manifests are read, and how.
#[derive(Debug, Args)]
pub struct ManifestArgs {
    /// CSV or JSON Lines, plain, gzip or zstd, or Parquet: one row per participant of an ended meeting. A folder stands for
    /// its files, `-` for standard input
    #[arg(long = "manifest", value_name = "FILE", num_args = 1..)]
    pub files: Vec<PathBuf>,
    /// Form of the manifests whose names do not tell it
    #[arg(long, value_enum)]
    pub format: Option<Format>,
    /// A manifest without rows is an error; otherwise it is said and no more
    #[arg(long)]
    pub require_rows: bool,
    #[expect(missing_docs, reason = "a doc comment on a flattened struct becomes help text")]
    #[command(flatten)]
    pub times: Times,
}

impl ManifestArgs {
    /// The manifests that are named.
    pub fn manifests(&self) -> Manifests {
        let Self { files, format, require_rows, .. } = self;
        Manifests { files: files.clone(), format: *format, require_rows: *require_rows, ..Manifests::default() }
    }
}

/// How a run that fetches goes, and what it leaves.
#[derive(Debug, Args)]
pub struct RunOptions {
    /// What is nightly is asked for before what is backfill, whichever process brought it
    #[arg(long, value_enum, default_value_t = Lane::Nightly)]
    pub lane: Lane,
    /// Send no more requests from this time on: a time of day in the configured zone (`06:00`) or a duration (`8h`)
    #[arg(long, value_name = "TIME")]
    pub until: Option<String>,
    /// Exit with 3 instead of 75 where --until or the month's limit has ended the run, so that a unit that starts again on 75
    /// leaves it alone
    #[arg(long)]
    pub planned_end: bool,
    /// Print the report as JSON, in place of its text
    #[arg(long)]
    pub json: bool,
    /// Write the report as JSON, and the rejected rows as `NAME.rejects.csv` beside `NAME.json`; `{date}` in the name stands for
    /// today's date in the configured zone, `{lane}` for the lane
    #[arg(long, value_name = "FILE")]
    pub report: Option<PathBuf>,
}

impl RunOptions {
    /// What the run exits with if a limit has ended it.
    pub fn exit_at_limit(&self) -> ExitCode {
        if self.planned_end { ExitCode::Planned } else { ExitCode::Again }
    }

    /// Where its report is to be written: `{date}` and `{lane}` in the name are those of the run.
    pub fn report_at(&self, now: DateTime<Utc>, zone: Tz) -> Option<PathBuf> {
        let date = now.with_timezone(&zone).date_naive().to_string();
        let named = |name: &str| name.replace("{date}", &date).replace("{lane}", self.lane.name()).into();
        // A name that is no text has none of the two.
        self.report.as_ref().map(|path| path.to_str().map_or_else(|| path.clone(), named))
    }
}

/// Options of `vcq demo`.
#[derive(Debug, Args)]
pub struct DemoArgs {
    /// Where to put the journal and the datasets
    #[arg(long, value_name = "DIR", default_value = "vcq-demo")]
    pub dir: PathBuf,
}

/// Options of `vcq export`.
#[derive(Debug, Args)]
#[command(group = ArgGroup::new("of what").required(true).multiple(true).args(["files", "discover", "refresh"]))]
pub struct ExportArgs {
    #[expect(missing_docs, reason = "a doc comment on a flattened struct becomes help text")]
    #[command(flatten)]
    pub manifest: ManifestArgs,
    /// Ask which meetings these dates had and who took part, and export their stays: DATE, DATE..DATE with both included,
    /// yesterday, today, or 7d for the last seven days that are over
    #[arg(long, value_name = "DATES", value_parser = dates)]
    pub discover: Option<NamedDates>,
    /// Ask again for the stays of these dates, list them again even if they are closed, and publish what differs
    #[arg(long, value_name = "DATES", value_parser = dates)]
    pub refresh: Option<NamedDates>,
    /// With --refresh: take an answer that has fewer minutes than have landed, too
    #[arg(long, requires = "refresh")]
    pub accept_fewer: bool,
    #[expect(missing_docs, reason = "a doc comment on a flattened struct becomes help text")]
    #[command(flatten)]
    pub run: RunOptions,
    /// Write the page of the run's dates at its end, as `vcq report` does
    #[arg(long, value_name = "FILE")]
    pub html: Option<PathBuf>,
    /// Language of the page
    #[arg(long, value_enum, default_value_t = Language::English, requires = "html")]
    pub lang: Language,
}

/// Options of `vcq discover`.
#[derive(Debug, Args)]
pub struct DiscoverArgs {
    /// DATE, DATE..DATE with both included, yesterday, today, or 7d for the last seven days that are over
    #[arg(value_name = "DATES", value_parser = dates)]
    pub dates: NamedDates,
    /// List them again even if they are closed: listed so long after their end that nothing more was to come
    #[arg(long)]
    pub refresh: bool,
    /// Write the manifest of their stays, as `vcq export --manifest` takes it: .csv, .jsonl or .parquet
    #[arg(long, value_name = "FILE")]
    pub write_manifest: Option<PathBuf>,
    #[expect(missing_docs, reason = "a doc comment on a flattened struct becomes help text")]
    #[command(flatten)]
    pub run: RunOptions,
}

/// Options of `vcq check`.
#[derive(Debug, Args)]
pub struct CheckArgs {
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

/// Options of `vcq login`.
#[derive(Debug, Args)]
pub struct LoginArgs {
    /// Listen nowhere: read the address at which the browser ends from the terminal or standard input
    #[arg(long)]
    pub paste: bool,
}

/// Options of `vcq runs`.
#[derive(Debug, Args)]
pub struct RunsArgs {
    /// Show all that are kept, not only the last twenty
    #[arg(long)]
    pub all: bool,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

/// Options of `vcq verify`.
#[derive(Debug, Args)]
pub struct VerifyArgs {
    /// Compare these dates alone: DATE, DATE..DATE with both included, yesterday, today, or 7d for the last seven days that are
    /// over. The journal itself is looked at as a whole
    #[arg(value_name = "DATES", value_parser = dates)]
    pub dates: Option<NamedDates>,
    /// Compare the dataset with the journal only; without this, the journal's structure and its landed pages are read too
    #[arg(long)]
    pub quick: bool,
    /// Fetch and read the files of a dataset in a bucket too; without this, of these the names, the sizes and the digests are
    /// compared that the store keeps
    #[arg(long)]
    pub deep: bool,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

/// Options of `vcq plan`.
#[derive(Debug, Args)]
#[command(group = ArgGroup::new("of what").required(true).args(["files", "discover"]))]
pub struct PlanArgs {
    #[expect(missing_docs, reason = "a doc comment on a flattened struct becomes help text")]
    #[command(flatten)]
    pub manifest: ManifestArgs,
    /// Instead of a manifest: what a discovery of these dates would cost, by what is known of them
    #[arg(long, value_name = "DATES", value_parser = dates)]
    pub discover: Option<NamedDates>,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

/// Options of `vcq drop`.
#[derive(Debug, Args)]
pub struct DropArgs {
    /// CSV, JSON Lines or Parquet, one row per participant of an ended meeting; `-` reads standard input
    #[arg(long = "manifest", value_name = "FILE", required = true, num_args = 1..)]
    pub files: Vec<PathBuf>,
    /// Form of the manifests whose names do not tell it
    #[arg(long, value_enum)]
    pub format: Option<Format>,
    /// Only say what would be dropped
    #[arg(long)]
    pub dry_run: bool,
}

impl DropArgs {
    /// The manifests that are named.
    pub fn manifests(&self) -> Manifests {
        Manifests { files: self.files.clone(), format: self.format, ..Manifests::default() }
    }
}

/// Options of `vcq status`.
#[derive(Debug, Args)]
pub struct StatusArgs {
    /// Show these dates alone, complete ones too: DATE, DATE..DATE with both included, yesterday, today, or 7d for the last
    /// seven days that are over
    #[arg(value_name = "DATES", value_parser = dates, conflicts_with = "date")]
    pub dates: Option<NamedDates>,
    /// Show all dates, not only those that are not complete
    #[arg(long)]
    pub all: bool,
    /// Show these dates alone, and say by the exit code whether they are complete: 0 if they are, 65 if all is asked for and
    /// some of it failed, 75 if a run has yet to do something
    #[arg(long, value_name = "DATES", value_parser = dates)]
    pub date: Option<NamedDates>,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

/// Options of `vcq report`.
#[derive(Debug, Args)]
pub struct ReportArgs {
    /// DATE, DATE..DATE with both included, yesterday, today, or 7d for the last seven days that are over; without it the last
    /// month of which anything is published
    #[arg(value_name = "DATES", value_parser = dates)]
    pub dates: Option<NamedDates>,
    /// Write the page: one file that needs nothing else
    #[arg(long, value_name = "FILE", required_unless_present = "json")]
    pub html: Option<PathBuf>,
    /// Print the same numbers as JSON
    #[arg(long)]
    pub json: bool,
    /// Language of the page
    #[arg(long, value_enum, default_value_t = Language::English, requires = "html")]
    pub lang: Language,
    /// Dates to compare with, none of which is one of the others; without it as many dates as there are, a week at least, before them
    #[arg(long, value_name = "DATES", value_parser = dates)]
    pub against: Option<NamedDates>,
}

/// Options of `vcq rebuild`.
#[derive(Debug, Args)]
pub struct RebuildArgs {
    /// DATE, DATE..DATE with both included, yesterday, today, or 7d for the last seven days that are over; without them all
    /// that have landed pages
    #[arg(value_name = "DATES", value_parser = dates, conflicts_with_all = ["from", "to"])]
    pub dates: Option<NamedDates>,
    /// First date to rebuild; without it the first that has landed pages
    #[arg(long, value_name = "DATE", value_parser = date)]
    pub from: Option<NaiveDate>,
    /// Last date to rebuild; without it the last that has landed pages
    #[arg(long, value_name = "DATE", value_parser = date)]
    pub to: Option<NaiveDate>,
    /// With `table = "delta"`, take logs away that cannot be gone on with, and make their tables anew from the files that the journal
    /// knows; of dates whose files are gone, build new ones
    #[arg(long, conflicts_with_all = ["dates", "from", "to"])]
    pub new_table: bool,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

impl RebuildArgs {
    /// The first and the last date that are meant at `now`; none: from the first, or to the last that there is.
    pub fn span(&self, now: DateTime<Utc>, zone: Tz) -> (Option<NaiveDate>, Option<NaiveDate>) {
        let named = self.dates.map(|dates| dates.at(now, zone));
        named.map_or((self.from, self.to), |dates| (Some(dates.first), Some(dates.last)))
    }
}

/// What to do with landed pages.
#[derive(Debug, Subcommand)]
pub enum ArchiveCommand {
    /// Write the landed pages of a span of dates to one file
    #[command(after_help = "Example: vcq archive export 2026-03-01..2026-03-31 pages-2026-03.ndjson.zst")]
    Export(ArchiveExportArgs),
    /// Land the pages of archives without a request, and publish the dates that they complete
    #[command(after_help = "Example: vcq archive import pages-2026-03.ndjson.zst")]
    Import {
        /// Archives: .ndjson, .ndjson.zst or .parquet
        #[arg(value_name = "FILE", required = true)]
        files: Vec<PathBuf>,
        #[expect(missing_docs, reason = "a doc comment on a flattened struct becomes help text")]
        #[command(flatten)]
        times: Times,
    },
    /// Drop the landed pages of published dates, and give their space back to the disk
    #[command(after_help = "Examples:
  vcq archive prune --before 2026-01-01
  vcq archive prune --before 90d")]
    Prune {
        /// The first date whose pages are kept: a date, yesterday, today, or 90d to keep the last ninety days that are over
        #[arg(long, value_name = "DATE", value_parser = one_date)]
        before: NamedDates,
    },
}

/// Options of `vcq archive export`.
#[derive(Debug, Args)]
#[command(allow_missing_positional = true)]
pub struct ArchiveExportArgs {
    /// DATE, DATE..DATE with both included, yesterday, today, or 7d for the last seven days that are over
    #[arg(value_name = "DATES", value_parser = dates, required_unless_present_any = ["from", "to"])]
    pub dates: Option<NamedDates>,
    /// First date, instead of DATES
    #[arg(long, value_name = "DATE", value_parser = date, requires = "to", conflicts_with = "dates")]
    pub from: Option<NaiveDate>,
    /// Last date, instead of DATES
    #[arg(long, value_name = "DATE", value_parser = date, requires = "from", conflicts_with = "dates")]
    pub to: Option<NaiveDate>,
    /// Where to write them: .ndjson, .ndjson.zst or .parquet; a file that is there is replaced
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
}

impl ArchiveExportArgs {
    /// The first and the last date that are meant at `now`.
    pub fn span(&self, now: DateTime<Utc>, zone: Tz) -> Option<(NaiveDate, NaiveDate)> {
        let named = self.dates.map(|dates| dates.at(now, zone));
        named.map_or(self.from.zip(self.to), |dates| Some((dates.first, dates.last)))
    }
}

/// Options of `vcq decode`.
#[derive(Debug, Args)]
pub struct DecodeArgs {
    /// Whose pages to decode; those of the others are passed over and counted
    #[arg(long, value_enum, default_value_t = Endpoint::Quality)]
    pub endpoint: Endpoint,
    /// Form of standard input; without it its first bytes tell it
    #[arg(long, value_enum, value_name = "FORM")]
    pub from: Option<StreamForm>,
    /// Form of standard output
    #[arg(long, value_enum, value_name = "FORM", default_value_t = OutputForm::Arrow)]
    pub to: OutputForm,
    /// End at the first page that cannot be read
    #[arg(long)]
    pub strict: bool,
    /// Write a row for each page that cannot be read, with its keys and in a column `bad_page` the reason, and exit with 0; any
    /// column may be null then
    #[arg(long, conflicts_with = "strict")]
    pub keep_bad: bool,
    /// The time zone that decides `date`, as `timezone` in the configuration; without it Asia/Shanghai
    #[arg(long, value_name = "ZONE")]
    pub timezone: Option<String>,
    /// The offset of time texts without a zone in the pages, as `api.naive_utc_offset` in the configuration; without it +08:00
    #[arg(long, value_name = "OFFSET", allow_hyphen_values = true)]
    pub naive_utc_offset: Option<String>,
    #[expect(missing_docs, reason = "a doc comment on a flattened struct becomes help text")]
    #[command(flatten)]
    pub times: Times,
    /// Personal columns of meetings and participants that are wanted too, with commas between them, as `discover.personal` in the
    /// configuration
    #[arg(long, value_name = "COLUMNS")]
    pub personal: Option<String>,
}

impl DecodeArgs {
    /// What to decode, and how.
    pub fn decoding(&self) -> Decoding {
        let bad_pages = match (self.strict, self.keep_bad) {
            (true, _) => BadPages::Strict,
            (_, true) => BadPages::Kept,
            _ => BadPages::Told,
        };
        Decoding { endpoint: self.endpoint, from: self.from, to: self.to, bad_pages }
    }

    /// The configuration keys that its flags stand for.
    pub(super) fn overrides(&self) -> Vec<Override> {
        let given = [
            ("timezone", &self.timezone),
            ("api.naive_utc_offset", &self.naive_utc_offset),
            ("discover.personal", &self.personal),
        ];
        given.into_iter().filter_map(|(key, value)| Some((key, value.clone()?))).collect()
    }
}

/// A date, in the forms that name one alone; so many days stand for the first of them.
fn one_date(text: &str) -> Result<NamedDates, &'static str> {
    let named = NamedDates::parse(text).filter(|_| !text.contains(".."));
    named.ok_or("must be a date such as 2026-03-31, yesterday, today, or days such as 90d")
}

fn date(text: &str) -> Result<NaiveDate, &'static str> {
    text.parse().map_err(|_| "must be a date such as 2026-03-31")
}

fn dates(text: &str) -> Result<NamedDates, &'static str> {
    NamedDates::parse(text).ok_or(
        "must be a date such as 2026-03-31, a span of dates such as 2026-03-01..2026-03-31, yesterday, today, or days such as 7d",
    )
}
