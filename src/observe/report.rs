//! The report of a run: a fold over its events, as text for a person and as JSON for programs.
//!
//! The JSON is a contract, described in `config/REPORT.md`: within one `report_version` keys are only added.

mod discovery;
mod texts;

use std::{collections::BTreeMap, fmt, path::Path, time::Duration};

use chrono::{DateTime, FixedOffset, NaiveDate, Utc};
use serde::Serialize;

use self::discovery::Discovery;
pub use self::texts::Texts;
use crate::{
    dates::Dates,
    endpoint::Endpoint,
    error::ExitCode,
    event::{Event, Refreshed, Wait},
    journal::{State, Tally},
    manifest::{Lines, reject::Reject},
    printable::Printable,
    stay::Stay,
};

/// Version of the JSON's form.
pub const REPORT_VERSION: u32 = 1;

/// Rejects, and stays that failed, that the report lists one by one; the file of rejects lists all of those.
const LISTED_MAX: usize = 100;

/// What happened in a run.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    #[expect(clippy::struct_field_names, reason = "the JSON's key says of what it is the version")]
    report_version: u32,
    vcq_version: &'static str,
    started_at: DateTime<Utc>,
    ended_at: DateTime<Utc>,
    wall_seconds: f64,
    exit_code: u8,
    /// Why the run stopped before its end, if it did.
    stopped: Option<String>,
    manifest: Manifest,
    /// What was discovered; none: the run had no dates to discover.
    discovered: Option<Discovery>,
    /// Stays of earlier manifests, absent so far or failed, that this run asked for again, by state.
    asked_again: BTreeMap<&'static str, u64>,
    /// What became of the done stays that this run asked for again (`--refresh`); none: it was not asked to.
    refreshed: Option<BTreeMap<&'static str, u64>>,
    landed: Landed,
    requests: Requests,
    files: Vec<File>,
    /// Files of meetings and participants that this run published.
    listed_files: Vec<ListedFile>,
    /// Whether no run has published a file so far.
    dataset_is_empty: bool,
    /// Where the files of an empty dataset will be.
    #[serde(skip)]
    empty_dataset: Option<String>,
    #[serde(flatten)]
    texts: Texts,
    rejects: Vec<RejectedRow>,
    rejects_file: Option<String>,
    failures: Vec<FailedStay>,
    #[serde(skip)]
    is_cut: bool,
    /// Whether the run was only to list: its stays are left to another one.
    #[serde(skip)]
    only_lists: bool,
}

/// The account of the manifest's rows, and of the attendances that were discovered; the sum is checked by [`Report::close`].
#[derive(Clone, Debug, Default, Serialize)]
struct Manifest {
    files: Vec<ManifestFile>,
    /// Manifests, files or folders, without a row.
    without_rows: Vec<String>,
    /// What times without a zone were taken for, if anything.
    naive_times: Option<String>,
    rows: u64,
    duplicates: u64,
    contradicting_duplicates: u64,
    rejected: u64,
    done: u64,
    /// Of the done: without a sample.
    empty: u64,
    absent: u64,
    failed: u64,
    pending: u64,
    /// Of the pending: absent or without samples so far, and to be asked for again by later runs.
    pending_young: u64,
    /// Of the pending: read and not queued, because the run ended before; duplicates among them are not told.
    unqueued: u64,
    /// Distinct stays of the manifests.
    #[serde(skip)]
    stays: u64,
    /// Stays that the tally has, but for those that were asked for again for earlier runs.
    #[serde(skip)]
    tallied: u64,
    /// Of the rejected: attendances, and stays of other tenants: nobody can mend them.
    #[serde(skip)]
    beyond_mending: u64,
}

#[derive(Clone, Debug, Serialize)]
struct ManifestFile {
    file: String,
    rows: u64,
    ignored_columns: Vec<String>,
}

#[derive(Clone, Debug, Default, Serialize)]
struct Landed {
    pages: u64,
    samples: u64,
}

#[derive(Clone, Debug, Default, Serialize)]
struct Requests {
    sent: u64,
    by_endpoint: BTreeMap<&'static str, OfEndpoint>,
    by_outcome: BTreeMap<&'static str, u64>,
    without_answer: u64,
    token_renewals: u64,
    refusals_waited_seconds: f64,
    quota_waited_seconds: f64,
    /// Requests sent for samples, of those that the quota allowed while this process fetched.
    quota_used: Option<f64>,
}

/// Requests to one endpoint.
#[derive(Clone, Copy, Debug, Default, Serialize)]
struct OfEndpoint {
    sent: u64,
    /// Of those that its quota allowed while this process fetched.
    quota_used: Option<f64>,
}

#[derive(Clone, Debug, Serialize)]
struct File {
    date: String,
    name: String,
    rows: u64,
    bytes: u64,
    by: By,
}

#[derive(Clone, Debug, Serialize)]
struct ListedFile {
    dataset: &'static str,
    date: String,
    name: String,
    rows: u64,
    bytes: u64,
}

/// Who published a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
enum By {
    #[serde(rename = "this run")]
    ThisRun,
    #[serde(rename = "another run")]
    AnotherRun,
}

#[derive(Clone, Debug, Serialize)]
struct RejectedRow {
    file: String,
    line: u64,
    last_line: u64,
    reason: String,
}

#[derive(Clone, Debug, Serialize)]
struct FailedStay {
    meeting_no: String,
    meeting_start_time: i64,
    join_time: i64,
    user_id: Option<String>,
    room_id: Option<String>,
    reason: String,
    log_id: Option<String>,
}

/// The counts do not add up to the manifest's rows and the attendances.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("there are {given} manifest rows and attendances, but {accounted} are accounted for")]
pub struct Unaccounted {
    given: u64,
    accounted: u64,
}

impl Report {
    /// The report of a run that begins now.
    pub fn new(started_at: DateTime<Utc>) -> Self {
        Self {
            report_version: REPORT_VERSION,
            vcq_version: env!("CARGO_PKG_VERSION"),
            started_at,
            ended_at: started_at,
            wall_seconds: 0.0,
            exit_code: ExitCode::Bug as u8,
            stopped: None,
            manifest: Manifest::default(),
            discovered: None,
            asked_again: BTreeMap::new(),
            refreshed: None,
            landed: Landed::default(),
            requests: Requests::default(),
            files: Vec::new(),
            listed_files: Vec::new(),
            dataset_is_empty: false,
            empty_dataset: None,
            texts: Texts::default(),
            rejects: Vec::new(),
            rejects_file: None,
            failures: Vec::new(),
            is_cut: false,
            only_lists: false,
        }
    }

    /// Says that the run is only to list: its stays are left to another one.
    pub fn only_lists(&mut self) {
        self.only_lists = true;
    }

    /// Says what the manifests' times without a zone are taken for.
    pub fn means_naive_times(&mut self, offset: Option<FixedOffset>) {
        self.manifest.naive_times = offset.map(|offset| offset.to_string());
    }

    /// Takes one event in.
    pub fn take(&mut self, event: &Event<'_>) {
        match event {
            Event::ManifestRead { file, rows, ignored_columns } => {
                self.manifest.rows += rows;
                let ignored_columns = ignored_columns.to_vec();
                self.manifest.files.push(ManifestFile { file: (*file).into(), rows: *rows, ignored_columns });
            }
            Event::NoRows { manifest } => self.manifest.without_rows.push((*manifest).to_owned()),
            Event::ManifestCut { file, rows } => {
                self.manifest.rows += rows;
                let file = (*file).to_owned();
                self.manifest.files.push(ManifestFile { file, rows: *rows, ignored_columns: Vec::new() });
            }
            Event::RowRejected { file, lines, reject } => self.row_rejected(file, *lines, reject),
            Event::Enqueued { rows, .. } => {
                self.manifest.duplicates = rows.duplicates;
                self.manifest.contradicting_duplicates = rows.contradicting;
                self.manifest.stays = rows.stays;
            }
            Event::Refreshing { .. } => self.refreshed = Some(BTreeMap::new()),
            Event::Refreshed { stay, refreshed, reason, log_id } => {
                *self.refreshed.get_or_insert_default().entry(refreshed.name()).or_default() += 1;
                if *refreshed == Refreshed::Failed {
                    self.stay_failed(stay, *reason, *log_id);
                }
            }
            Event::Sent { endpoint } => {
                self.requests.sent += 1;
                self.requests.by_endpoint.entry(endpoint.name()).or_default().sent += 1;
            }
            Event::PageListed { unreadable, .. } => {
                let discovered = self.discovered.get_or_insert_default();
                discovered.pages += 1;
                discovered.unreadable_meetings += u64::from(*unreadable);
            }
            Event::Discovered { found, dates } => self.discovered.get_or_insert_default().take(found, dates),
            Event::ListedPublished { dataset, date, name, rows, bytes, unparsed, unknown } => {
                let (dataset, date, name) = (dataset.name(), date.to_string(), (*name).to_owned());
                self.listed_files.push(ListedFile { dataset, date, name, rows: *rows, bytes: *bytes });
                self.texts.add_listed(dataset, unparsed, unknown);
            }
            Event::Answered { outcome, .. } => *self.requests.by_outcome.entry(outcome).or_default() += 1,
            Event::Landed { samples } => {
                self.landed.pages += 1;
                self.landed.samples += u64::from(*samples);
            }
            Event::TokenRenewed => self.requests.token_renewals += 1,
            Event::Waited { cause: Wait::Quota, time } => self.requests.quota_waited_seconds += time.as_secs_f64(),
            Event::Waited { cause: Wait::Refusal, time } => {
                self.requests.refusals_waited_seconds += time.as_secs_f64();
            }
            Event::Published { date, name, samples, bytes, unreadable, unknown } => {
                let (date, name) = (date.to_string(), (*name).to_owned());
                self.files.push(File { date, name, rows: *samples, bytes: *bytes, by: By::ThisRun });
                self.texts.add(unreadable, unknown);
            }
            Event::Tallied { tally } => self.tally(tally),
            Event::Stopping { why } => self.stopped = Some((*why).to_owned()),
            Event::Waited { .. }
            | Event::Waiting { .. }
            | Event::Queued
            | Event::Fetching
            | Event::Refused { .. }
            | Event::Retry { .. }
            | Event::NoToken { .. }
            | Event::Restarted { .. }
            | Event::Settled { .. }
            | Event::Listed { .. }
            | Event::Discovering { .. }
            | Event::AttendanceRejected { .. }
            | Event::Unsettled { .. }
            | Event::Outage { .. }
            | Event::PublishFailed { .. } => {}
        }
    }

    fn row_rejected(&mut self, file: &str, lines: Lines, reject: &Reject) {
        self.manifest.rejected += 1;
        self.list_reject(file, lines, reject.to_string());
    }

    fn list_reject(&mut self, file: &str, lines: Lines, reason: String) {
        if self.rejects.len() < LISTED_MAX {
            self.rejects.push(RejectedRow { file: file.into(), line: lines.first, last_line: lines.last, reason });
        }
    }

    /// Takes the account of the stays in, which the journal keeps.
    fn tally(&mut self, tally: &[(State, bool, Tally)]) {
        for (state, is_asked_again, Tally { stays, empty, .. }) in tally {
            if *is_asked_again {
                *self.asked_again.entry(state.name()).or_default() += stays;
                continue;
            }
            self.manifest.tallied += stays;
            match state {
                State::Pending => self.manifest.pending += stays,
                State::Done => {
                    self.manifest.done += stays;
                    self.manifest.empty += empty;
                }
                State::Absent => self.manifest.absent += stays,
                State::Rejected => self.manifest.rejected += stays,
                State::Failed => self.manifest.failed += stays,
                State::Young => {
                    self.manifest.pending += stays;
                    self.manifest.pending_young += stays;
                }
            }
        }
    }

    /// Lists a stay that the API rejected: its manifest row is a reject like those that vcq found itself.
    pub fn stay_rejected(&mut self, file: &str, line: u64, reason: &str) {
        self.list_reject(file, Lines { first: line, last: line }, reason.to_owned());
    }

    /// Lists a stay that failed, and why.
    pub fn stay_failed(&mut self, stay: &Stay, reason: Option<&str>, log_id: Option<&str>) {
        if self.failures.len() < LISTED_MAX {
            self.failures.push(FailedStay {
                meeting_no: stay.meeting_no.to_string(),
                meeting_start_time: stay.meeting_start_s,
                join_time: stay.join_s,
                user_id: stay.participant.user_id().map(Into::into),
                room_id: stay.participant.room_id().map(Into::into),
                reason: reason.unwrap_or_default().to_owned(),
                log_id: log_id.map(Into::into),
            });
        }
    }

    /// Says that there is no file in the dataset, which most readers take for a mistake in its name.
    pub fn dataset_is_empty_at(&mut self, folder: &Path) {
        self.dataset_is_empty = true;
        self.empty_dataset = Some(folder.display().to_string());
    }

    /// Lists a file that holds stays of this run and became visible while it ran, unless the run told of it.
    pub fn is_published(&mut self, date: NaiveDate, name: &str, rows: u64, bytes: u64) {
        if !self.files.iter().any(|file| file.name == name) {
            let (date, name) = (date.to_string(), name.to_owned());
            self.files.push(File { date, name, rows, bytes, by: By::AnotherRun });
            self.files.sort_by(|a, b| (&a.date, &a.name).cmp(&(&b.date, &b.name)));
        }
    }

    /// Says that the run ended before all rows that were read were in the queue: those that were not are pending.
    pub fn queueing_was_cut(&mut self) {
        self.is_cut = true;
    }

    /// The first and the last date of which this run published a file.
    pub fn published_dates(&self) -> Option<Dates> {
        let listed = self.listed_files.iter().map(|file| &file.date);
        let dates = self.files.iter().map(|file| &file.date).chain(listed);
        let dates: Vec<NaiveDate> = dates.filter_map(|date| date.parse().ok()).collect();
        Some(Dates { first: *dates.iter().min()?, last: *dates.iter().max()? })
    }

    /// True once the report says why the run stopped.
    pub fn is_stopped(&self) -> bool {
        self.stopped.is_some()
    }

    /// Names the file that lists all rejects.
    pub fn rejects_in(&mut self, path: String) {
        self.rejects_file = Some(path);
    }

    /// Closes the report of a run that took `ran_for` by a clock that nobody sets; for `fetched_for` of it, this process had
    /// the right to send requests.
    ///
    /// # Errors
    ///
    /// [`Unaccounted`] if the manifest's rows and the attendances are not the sum of their parts: a bug, and never a report.
    pub fn close(
        &mut self,
        ended_at: DateTime<Utc>,
        (ran_for, fetched_for): (Duration, Duration),
        requests_per_minute: u32,
    ) -> Result<ExitCode, Unaccounted> {
        self.account_for_attendances();
        let Manifest { rows, duplicates, rejected, done, absent, failed, pending, .. } = self.manifest;
        let discovered = self.discovered.as_ref();
        let (attendances, without_id) = discovered.map_or((0, 0), |found| (found.attendances, found.without_id()));
        // A meeting that is too long stands for attendances that nobody knows, on both sides.
        let given = rows + attendances;
        let accounted = duplicates + rejected + without_id + done + absent + failed + pending;
        if self.is_cut {
            self.manifest.rows = rows.max(accounted.saturating_sub(attendances));
            self.manifest.unqueued = (self.manifest.rows + attendances).saturating_sub(accounted);
            self.manifest.pending += self.manifest.unqueued;
        } else if accounted != given {
            return Err(Unaccounted { given, accounted });
        }
        self.ended_at = ended_at;
        self.wall_seconds = ran_for.as_secs_f64();
        let answered: u64 = self.requests.by_outcome.values().sum();
        self.requests.without_answer = self.requests.sent.saturating_sub(answered);
        let allowed = fetched_for.as_secs_f64() / 60.0 * f64::from(requests_per_minute);
        for of_endpoint in self.requests.by_endpoint.values_mut() {
            of_endpoint.quota_used = (allowed >= 1.0).then(|| share(of_endpoint.sent, allowed));
        }
        let samples = self.requests.by_endpoint.get(Endpoint::Quality.name()).copied().unwrap_or_default();
        self.requests.quota_used = (allowed >= 1.0).then(|| share(samples.sent, allowed));
        let (listings_failed, listings_pending) =
            self.discovered.as_ref().map_or((0, 0), |found| (found.listings_failed, found.listings_pending));
        let failed = failed + self.refreshed_as(Refreshed::Failed) + listings_failed;
        // Whoever asked again for a stay at the last moment, this run has not done it.
        let is_left = pending > self.manifest.pending_young && !self.only_lists || listings_pending > 0;
        Ok(if is_left {
            ExitCode::Again
        } else if rejected - self.manifest.beyond_mending + failed > 0 {
            ExitCode::SomeFailed
        } else {
            ExitCode::Complete
        })
    }

    /// Takes the attendances into the account: several may name one stay, a manifest may name it too, and some give none.
    fn account_for_attendances(&mut self) {
        let Some(found) = &self.discovered else { return };
        let named = found.with_stay + self.manifest.stays;
        self.manifest.duplicates += named.saturating_sub(self.manifest.tallied);
        self.manifest.rejected += found.rejected();
        self.manifest.beyond_mending = found.rejected() + found.external_refused;
    }

    fn refreshed_as(&self, refreshed: Refreshed) -> u64 {
        self.refreshed.as_ref().and_then(|counts| counts.get(refreshed.name())).copied().unwrap_or_default()
    }

    /// Sets the code that the process exits with.
    pub fn exit_with(&mut self, code: ExitCode) {
        self.exit_code = code as u8;
    }

    /// The report as JSON, for `--report`.
    pub fn to_json(&self) -> String {
        let mut json = serde_json::to_string_pretty(self).expect("the report has string keys only");
        json.push('\n');
        json
    }
}

/// The text for a terminal or a cron mail.
impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.write_manifest(f)?;
        self.write_requests(f)?;
        self.write_files(f)?;
        write!(f, "{}", self.texts)?;
        self.write_lists(f)?;
        match &self.stopped {
            Some(why) => writeln!(f, "stopped early: {}", Printable(why)),
            None => Ok(()),
        }
    }
}

impl Report {
    fn write_manifest(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Manifest { rows, duplicates, rejected, done, absent, failed, pending, .. } = self.manifest;
        match &self.discovered {
            None => write!(f, "manifest   {rows} rows = {duplicates} duplicate + {rejected} rejected")?,
            Some(found) => {
                let (attendances, without_id, too_long) = (found.attendances, found.without_id(), found.too_long);
                write!(f, "{found}stays      {rows} manifest rows + {attendances} attendances + {too_long} too long")?;
                write!(f, " = {duplicates} duplicate + {rejected} rejected + {without_id} without id")?;
                write!(f, " + {too_long} too long")?;
            }
        }
        writeln!(f, " + {done} done + {absent} absent + {failed} failed + {pending} pending")?;
        if let Some(offset) = &self.manifest.naive_times {
            writeln!(f, "           times without a zone are taken for {offset}")?;
        }
        if self.manifest.contradicting_duplicates > 0 {
            let count = self.manifest.contradicting_duplicates;
            writeln!(f, "           {count} duplicates give another meeting_end_time; the first row of each counts")?;
        }
        if self.manifest.pending_young > 0 {
            let count = self.manifest.pending_young;
            writeln!(
                f,
                "           {count} of the pending were not found yet, or had no samples; later runs ask again"
            )?;
        }
        if self.manifest.empty > 0 {
            writeln!(f, "           {} of the done have no samples", self.manifest.empty)?;
        }
        for manifest in &self.manifest.without_rows {
            writeln!(f, "           {manifest} has no rows: is it the manifest that was meant?")?;
        }
        if self.manifest.unqueued > 0 {
            let count = self.manifest.unqueued;
            writeln!(f, "           {count} of the pending are not in the queue: the run ended before")?;
        }
        for file in self.manifest.files.iter().filter(|file| !file.ignored_columns.is_empty()) {
            let columns = file.ignored_columns.join(", ");
            writeln!(f, "           {}: columns not used: {}", Printable(&file.file), Printable(columns))?;
        }
        for (state, count) in &self.asked_again {
            writeln!(f, "           {count} of earlier manifests asked for again: {state}")?;
        }
        if let Some(counts) = &self.refreshed {
            write!(f, "refreshed  {} stays", counts.values().sum::<u64>())?;
            for (refreshed, count) in counts {
                write!(f, ", {count} {refreshed}")?;
            }
            writeln!(f)?;
        }
        Ok(())
    }

    fn write_requests(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "landed     {} pages, {} samples", self.landed.pages, self.landed.samples)?;
        write!(f, "requests   {} sent", self.requests.sent)?;
        if self.discovered.is_some() {
            let of_endpoint = |(name, of): (&&str, &OfEndpoint)| format!("{} {name}", of.sent);
            let each: Vec<_> = self.requests.by_endpoint.iter().map(of_endpoint).collect();
            write!(f, " ({})", each.join(", "))?;
        }
        for (outcome, count) in &self.requests.by_outcome {
            write!(f, ", {count} {outcome}")?;
        }
        if self.requests.without_answer > 0 {
            write!(f, ", {} without an answer", self.requests.without_answer)?;
        }
        writeln!(f)?;
        write!(f, "time       {}", seconds(self.wall_seconds))?;
        write!(f, ", waited {} for quota", seconds(self.requests.quota_waited_seconds))?;
        if self.requests.refusals_waited_seconds > 0.0 {
            write!(f, ", {} for refusals to end", seconds(self.requests.refusals_waited_seconds))?;
        }
        if self.discovered.is_some() {
            for (name, of) in &self.requests.by_endpoint {
                let share = of.quota_used.map(|share| format!(", {:.1} % of the quota of {name} used", share * 100.0));
                f.write_str(&share.unwrap_or_default())?;
            }
        } else if let Some(share) = self.requests.quota_used {
            write!(f, ", {:.1} % of the quota used", share * 100.0)?;
        }
        writeln!(f, ", {} access tokens", self.requests.token_renewals)
    }

    fn write_files(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (rows, bytes) =
            self.files.iter().fold((0, 0), |(rows, bytes), file| (rows + file.rows, bytes + file.bytes));
        if !self.only_lists {
            writeln!(f, "published  {} files, {rows} rows, {bytes} bytes", self.files.len())?;
        } else if !self.listed_files.is_empty() {
            writeln!(f, "published  {} files of meetings and participants", self.listed_files.len())?;
        }
        for file in &self.files {
            let by = if file.by == By::ThisRun { "" } else { "  by another run" };
            writeln!(f, "           date={}/{}  {} rows  {} bytes{by}", file.date, file.name, file.rows, file.bytes)?;
        }
        for ListedFile { dataset, date, name, rows, bytes } in &self.listed_files {
            writeln!(f, "           {dataset}: date={date}/{name}  {rows} rows  {bytes} bytes")?;
        }
        match &self.empty_dataset {
            Some(folder) => write_query_of_empty(f, folder),
            None => Ok(()),
        }
    }

    fn write_lists(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for row in &self.rejects {
            let lines = Lines { first: row.line, last: row.last_line };
            writeln!(f, "rejected   {}:{lines}: {}", Printable(&row.file), Printable(&row.reason))?;
        }
        if let Some(path) = &self.rejects_file {
            writeln!(f, "           all rejects: {}; mended, it can be given back as a manifest", Printable(path))?;
        }
        for stay in &self.failures {
            let id = stay.user_id.as_ref().or(stay.room_id.as_ref());
            write!(f, "failed     meeting {} at {}, ", stay.meeting_no, stay.meeting_start_time)?;
            write!(f, "{}: {}", Printable(id.map(String::as_str).unwrap_or_default()), Printable(&stay.reason))?;
            match &stay.log_id {
                Some(log_id) => writeln!(f, " (log id {})", Printable(log_id))?,
                None => writeln!(f)?,
            }
        }
        let failed = self.manifest.failed + self.refreshed_as(Refreshed::Failed);
        let unlisted = failed.saturating_sub(self.failures.len() as u64);
        if unlisted > 0 {
            writeln!(f, "           and {unlisted} more")?;
        }
        Ok(())
    }
}

/// DuckDB fails where no file matches; a query that looks first does not.
fn write_query_of_empty(f: &mut fmt::Formatter<'_>, folder: &str) -> fmt::Result {
    let glob = format!("{folder}/*/*.parquet").replace('\'', "''");
    let within = glob.replace('\'', "''");
    writeln!(
        f,
        "           the dataset is empty so far, where `read_parquet` fails; in DuckDB this works either way:"
    )?;
    writeln!(
        f,
        "           SET VARIABLE quality = (SELECT if(count(*) > 0, 'FROM read_parquet(''{within}'', hive_partitioning = \
         true)', 'SELECT NULL::DATE AS date WHERE false') FROM glob('{glob}'));"
    )?;
    writeln!(f, "           SELECT date, count(*) FROM query(getvariable('quality')) GROUP BY date;")
}

/// `part` of `whole` for a person to read.
#[expect(clippy::cast_precision_loss, reason = "a share needs no more digits than a double has")]
pub fn share(part: u64, whole: f64) -> f64 {
    part as f64 / whole
}

fn seconds(seconds: f64) -> String {
    let duration = Duration::try_from_secs_f64(seconds.max(0.0).round()).unwrap_or(Duration::MAX);
    humantime::format_duration(duration).to_string()
}
