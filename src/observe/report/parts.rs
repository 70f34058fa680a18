//! What a report is made of, each part as its JSON has it.

use std::collections::BTreeMap;

use chrono::{DateTime, NaiveDate, Utc};
use serde::{Deserialize, Serialize};

use crate::{
    journal::DateListing,
    manifest::{Lines, column::Column, reject::Reject},
    stay::Stay,
};

/// How a date stands at the end of a run, whoever brought its stays.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Date {
    /// Which.
    pub date: NaiveDate,
    /// Whether all its done stays with samples are in visible files, and nothing is pending, failed or to be listed again.
    pub complete: bool,
    /// `unlisted`, `open` or `closed`; none: nobody has asked for its meetings.
    pub listing: Option<&'static str>,
    /// Stays by state.
    pub done: u64,
    /// See `done`.
    pub absent: u64,
    /// See `done`.
    pub rejected: u64,
    /// See `done`.
    pub failed: u64,
    /// See `done`; to be asked for again are among them.
    pub pending: u64,
    /// What of it is not on disk as it should be, by names and sizes.
    pub problems: Vec<String>,
}

impl Date {
    pub(super) fn is_only_open(&self) -> bool {
        let is_left = self.pending + self.failed > 0 || !self.problems.is_empty();
        !self.complete && self.listing == Some(DateListing::Open.name()) && !is_left
    }
}

/// What a run has verified of what others have published and landed.
#[derive(Clone, Debug, Default, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct SpotCheck {
    /// The dates whose files it compared with the journal.
    pub dates: Vec<NaiveDate>,
    /// The files that are as they should be.
    pub files: u64,
    /// The landed pages that it compared with their digests.
    pub landed_pages: u64,
    /// What is not as it should be.
    pub problems: Vec<String>,
}

impl SpotCheck {
    /// What is not as it should be, in a line; none: nothing.
    pub fn problems(&self) -> Option<String> {
        let others = self.problems.len().checked_sub(1)?;
        let more = if others > 0 { format!("; and {others} more") } else { String::new() };
        Some(format!("what was published or has landed before is not what it was: {}{more}", self.problems[0]))
    }
}

/// What a run came to, in a line.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Account {
    /// When it began.
    pub started_at: DateTime<Utc>,
    /// When it ended.
    pub ended_at: DateTime<Utc>,
    /// What it exited with.
    pub exit_code: u8,
    /// Why it stopped before its end, if it did.
    pub stopped: Option<String>,
    /// Requests that it sent.
    pub requests: u64,
    /// Samples that it landed.
    pub samples: u64,
    /// Rows that were refused, stays that failed, and stays to be asked for later.
    pub rejected: u64,
    /// See `rejected`.
    pub failed: u64,
    /// See `rejected`.
    pub pending: u64,
    /// The dates that it was about.
    pub dates: usize,
    /// Of these, complete.
    pub dates_complete: usize,
}

/// The account of the manifest's rows, and of the attendances that were discovered; the sum is checked by [`Report::close`].
#[derive(Clone, Debug, Default, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(super) struct Manifest {
    pub(super) files: Vec<ManifestFile>,
    /// Manifests, files or folders, without a row.
    pub(super) without_rows: Vec<String>,
    /// What times without a zone were taken for, if anything.
    pub(super) naive_times: Option<String>,
    pub(super) rows: u64,
    pub(super) duplicates: u64,
    pub(super) contradicting_duplicates: u64,
    pub(super) rejected: u64,
    pub(super) done: u64,
    /// Of the done: without a sample.
    pub(super) empty: u64,
    pub(super) absent: u64,
    pub(super) failed: u64,
    /// Of the done: their samples end early, and later runs ask for them once more.
    pub(super) early_ends: u64,
    pub(super) pending: u64,
    /// Of the pending: absent or without samples so far, and to be asked for again by later runs.
    pub(super) pending_young: u64,
    /// Of the pending: read and not queued, because the run ended before; duplicates among them are not told.
    pub(super) unqueued: u64,
    /// Distinct stays of the manifests.
    #[serde(skip)]
    pub(super) stays: u64,
    /// Stays that the tally has, but for those that were asked for again for earlier runs.
    #[serde(skip)]
    pub(super) tallied: u64,
    /// Of the rejected: attendances, and stays of other tenants: nobody can mend them.
    #[serde(skip)]
    pub(super) beyond_mending: u64,
}

#[derive(Clone, Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(super) struct ManifestFile {
    pub(super) file: String,
    pub(super) rows: u64,
    pub(super) ignored_columns: Vec<String>,
}

#[derive(Clone, Debug, Default, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(super) struct Landed {
    pub(super) pages: u64,
    pub(super) samples: u64,
}

#[derive(Clone, Debug, Default, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(super) struct Requests {
    pub(super) sent: u64,
    pub(super) by_endpoint: BTreeMap<&'static str, OfEndpoint>,
    pub(super) by_outcome: BTreeMap<&'static str, u64>,
    pub(super) without_answer: u64,
    pub(super) token_renewals: u64,
    pub(super) refusals_waited_seconds: f64,
    pub(super) outages_waited_seconds: f64,
    pub(super) quota_waited_seconds: f64,
    /// Requests sent for samples, of those that the quota allowed while this process fetched.
    pub(super) quota_used: Option<f64>,
    /// Whether the API has given no access token when it was last asked for one.
    #[serde(skip)]
    pub(super) lacks_token: bool,
}

/// Requests to one endpoint.
#[derive(Clone, Copy, Debug, Default, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(super) struct OfEndpoint {
    pub(super) sent: u64,
    /// Of those that its quota allowed while this process fetched.
    pub(super) quota_used: Option<f64>,
}

#[derive(Clone, Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(super) struct File {
    pub(super) date: String,
    pub(super) name: String,
    pub(super) rows: u64,
    pub(super) bytes: u64,
    pub(super) by: By,
}

#[derive(Clone, Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(super) struct ListedFile {
    pub(super) dataset: &'static str,
    pub(super) date: String,
    pub(super) name: String,
    pub(super) rows: u64,
    pub(super) bytes: u64,
}

/// Who published a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(super) enum By {
    #[serde(rename = "this run")]
    ThisRun,
    #[serde(rename = "another run")]
    AnotherRun,
}

#[derive(Clone, Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(super) struct RejectedRow {
    pub(super) file: String,
    pub(super) line: u64,
    pub(super) last_line: u64,
    pub(super) reason: String,
    /// What the row has of these, as it stands there.
    pub(super) meeting_no: Option<String>,
    /// See `meeting_no`.
    pub(super) meeting_start_time: Option<String>,
    /// See `meeting_no`.
    pub(super) user_id: Option<String>,
    /// See `meeting_no`.
    pub(super) room_id: Option<String>,
}

impl RejectedRow {
    pub(super) fn of_row(file: &str, lines: Lines, reject: &Reject) -> Self {
        let text =
            |column: Column| Some(reject.texts[column as usize].trim().to_owned()).filter(|text| !text.is_empty());
        Self {
            file: file.into(),
            line: lines.first,
            last_line: lines.last,
            reason: reject.to_string(),
            meeting_no: text(Column::MeetingNo),
            meeting_start_time: text(Column::MeetingStartTime),
            user_id: text(Column::UserId),
            room_id: text(Column::RoomId),
        }
    }

    pub(super) fn of_stay(file: &str, line: u64, stay: &Stay, reason: &str) -> Self {
        Self {
            file: file.into(),
            line,
            last_line: line,
            reason: reason.into(),
            meeting_no: Some(stay.meeting_no.to_string()),
            meeting_start_time: Some(stay.meeting_start_s.to_string()),
            user_id: stay.participant.user_id().map(Into::into),
            room_id: stay.participant.room_id().map(Into::into),
        }
    }
}

#[derive(Clone, Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(super) struct FailedStay {
    pub(super) meeting_no: String,
    pub(super) meeting_start_time: i64,
    pub(super) join_time: i64,
    pub(super) user_id: Option<String>,
    pub(super) room_id: Option<String>,
    pub(super) reason: String,
    pub(super) log_id: Option<String>,
}

impl FailedStay {
    pub(super) fn of(stay: &Stay, reason: Option<&str>, log_id: Option<&str>) -> Self {
        Self {
            meeting_no: stay.meeting_no.to_string(),
            meeting_start_time: stay.meeting_start_s,
            join_time: stay.join_s,
            user_id: stay.participant.user_id().map(Into::into),
            room_id: stay.participant.room_id().map(Into::into),
            reason: reason.unwrap_or_default().to_owned(),
            log_id: log_id.map(Into::into),
        }
    }
}
