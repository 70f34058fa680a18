//! The report of a run: a fold over its events, as text for a person and as JSON for programs.
//!
//! The JSON is a contract, described in `config/REPORT.md`: within one `report_version` keys are only added.

mod discovery;
mod parts;
mod text;
mod texts;

use std::{collections::BTreeMap, fmt, time::Duration};

use chrono::{DateTime, FixedOffset, NaiveDate, Utc};
use chrono_tz::Tz;
use serde::Serialize;

use self::{
    discovery::Discovery,
    parts::{By, FailedStay, File, Landed, ListedFile, Manifest, ManifestFile, RejectedRow, Requests},
};
pub use self::{
    parts::{Account, Date, SpotCheck},
    texts::Texts,
};
use crate::{
    dates::Dates,
    endpoint::Endpoint,
    error::ExitCode,
    event::{Event, Refreshed, Wait},
    journal::{State, Tally},
    manifest::{Lines, reject::Reject},
    place::Place,
    stay::Stay,
};

/// Version of the JSON's form.
pub const REPORT_VERSION: u32 = 1;

/// Rejects, and stays that failed, that the report lists one by one; the file of rejects lists all of those.
const LISTED_MAX: usize = 100;

/// What happened in a run.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Report {
    #[serde(skip)]
    zone: Tz,
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
    /// The dates of this run's stays, and those that it discovered, oldest first.
    dates: Vec<Date>,
    landed: Landed,
    requests: Requests,
    /// What of earlier runs' work this run has looked at; none: it was no nightly run that came to its end.
    spot_check: Option<SpotCheck>,
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
    /// Stays that the API does not know.
    absentees: Vec<FailedStay>,
    #[serde(skip)]
    is_cut: bool,
    /// Whether the run was only to list: its stays are left to another one.
    #[serde(skip)]
    only_lists: bool,
}

/// The counts do not add up to the manifest's rows and the attendances.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("there are {given} manifest rows and attendances, but {accounted} are accounted for")]
pub struct Unaccounted {
    given: u64,
    accounted: u64,
}

impl Report {
    /// The report of a run that begins now; its text tells times by the clocks of `zone`.
    pub fn new(started_at: DateTime<Utc>, zone: Tz) -> Self {
        Self {
            zone,
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
            dates: Vec::new(),
            landed: Landed::default(),
            requests: Requests::default(),
            spot_check: None,
            files: Vec::new(),
            listed_files: Vec::new(),
            dataset_is_empty: false,
            empty_dataset: None,
            texts: Texts::default(),
            rejects: Vec::new(),
            rejects_file: None,
            failures: Vec::new(),
            absentees: Vec::new(),
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
            Event::TokenRenewed => {
                self.requests.token_renewals += 1;
                self.requests.lacks_token = false;
            }
            Event::NoToken { .. } => self.requests.lacks_token = true,
            Event::Waited { cause: Wait::Quota, time } => self.requests.quota_waited_seconds += time.as_secs_f64(),
            Event::Waited { cause: Wait::Refusal, time } => {
                self.requests.refusals_waited_seconds += time.as_secs_f64();
            }
            Event::Waited { cause: Wait::Outage, time } => self.requests.outages_waited_seconds += time.as_secs_f64(),
            // Where the API gives none, that is an outage too.
            Event::Waited { cause: Wait::Token, time } if self.requests.lacks_token => {
                self.requests.outages_waited_seconds += time.as_secs_f64();
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
            | Event::Queued { .. }
            | Event::Fetching
            | Event::Refused { .. }
            | Event::Retry { .. }
            | Event::SignedIn { .. }
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
        self.list_reject(RejectedRow::of_row(file, lines, reject));
    }

    /// Lists the first ones by their place in the manifests.
    fn list_reject(&mut self, row: RejectedRow) {
        fn place(row: &RejectedRow) -> (&str, u64) {
            (&row.file, row.line)
        }
        let at = self.rejects.partition_point(|before| place(before) <= place(&row));
        if at < LISTED_MAX {
            self.rejects.insert(at, row);
            self.rejects.truncate(LISTED_MAX);
        }
    }

    /// Takes the account of the stays in, which the journal keeps.
    fn tally(&mut self, tally: &[(State, bool, Tally)]) {
        for (state, is_asked_again, Tally { stays, empty, early_ends, .. }) in tally {
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
                    self.manifest.early_ends += early_ends;
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
    pub fn stay_rejected(&mut self, file: &str, line: u64, stay: &Stay, reason: &str) {
        self.list_reject(RejectedRow::of_stay(file, line, stay, reason));
    }

    /// Lists a stay that failed, and why.
    pub fn stay_failed(&mut self, stay: &Stay, reason: Option<&str>, log_id: Option<&str>) {
        if self.failures.len() < LISTED_MAX {
            self.failures.push(FailedStay::of(stay, reason, log_id));
        }
    }

    /// Lists a stay that the API does not know, and what it said.
    pub fn stay_absent(&mut self, stay: &Stay, reason: Option<&str>, log_id: Option<&str>) {
        if self.absentees.len() < LISTED_MAX {
            self.absentees.push(FailedStay::of(stay, reason, log_id));
        }
    }

    /// What the run came to.
    pub fn account(&self) -> Account {
        let Manifest { rejected, failed, pending, .. } = self.manifest;
        Account {
            started_at: self.started_at,
            ended_at: self.ended_at,
            exit_code: self.exit_code,
            stopped: self.stopped.clone(),
            requests: self.requests.sent,
            samples: self.landed.samples,
            rejected,
            failed,
            pending,
            dates: self.dates.len(),
            dates_complete: self.dates.iter().filter(|date| date.complete).count(),
        }
    }

    /// Says how a date of the run stands at its end.
    pub fn date_stands(&mut self, date: Date) {
        self.dates.push(date);
    }

    /// The dates of the run that are complete, and those that are not.
    pub fn dates_by_completeness(&self) -> (Vec<NaiveDate>, Vec<NaiveDate>) {
        let (complete, others): (Vec<&Date>, Vec<_>) = self.dates.iter().partition(|date| date.complete);
        let days = |dates: Vec<&Date>| dates.into_iter().map(|date| date.date).collect();
        (days(complete), days(others))
    }

    /// Says that there is no file in the dataset, which most readers take for a mistake in its name.
    pub fn dataset_is_empty_at(&mut self, place: &Place) {
        self.dataset_is_empty = true;
        self.empty_dataset = Some(place.to_string());
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

    /// Why the run stopped before its end, if it did.
    pub fn stopped(&self) -> Option<&str> {
        self.stopped.as_deref()
    }

    /// The last lines of the text: what a person has to know who reads nothing else.
    pub fn verdict(&self) -> impl fmt::Display {
        text::Verdict(self)
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

    /// Takes in what the run has verified of earlier work.
    pub fn spot_checked(&mut self, check: Option<SpotCheck>) {
        self.spot_check = check;
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

/// `part` of `whole` for a person to read.
#[expect(clippy::cast_precision_loss, reason = "a share needs no more digits than a double has")]
pub fn share(part: u64, whole: f64) -> f64 {
    part as f64 / whole
}
