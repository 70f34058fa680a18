//! Everything that can happen in a run. Progress, report and log lines are folds over these events; nobody else counts.

use std::{collections::BTreeMap, fmt, time::Duration};

use chrono::{DateTime, NaiveDate, Utc};

use crate::{
    dataset::Dataset,
    endpoint::Endpoint,
    journal::{Brought, DateListing, Discovered, Enqueued, Lane, Left, Listed, Rereading, State, Tally},
    manifest::{Lines, reject::Reject},
    meeting::Meeting,
    read::{batch::Unreadable, decode::Unknown, unread::Unread},
    stay::Stay,
};

/// What is asked for: all pages of one thing.
#[derive(Clone, Copy, Debug)]
pub enum Subject<'a> {
    /// The samples of a stay.
    Stay(&'a Stay),
    /// The meetings of a date.
    Date(NaiveDate),
    /// The participants of a meeting.
    Meeting(&'a Meeting),
}

impl<'a> From<&'a Listed> for Subject<'a> {
    fn from(of: &'a Listed) -> Self {
        match of {
            Listed::Date(date) => Self::Date(*date),
            Listed::Meeting(_, meeting) => Self::Meeting(meeting),
        }
    }
}

impl fmt::Display for Subject<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Stay(stay) => write!(f, "{stay:?}"),
            Self::Date(date) => write!(f, "meetings of {date}"),
            Self::Meeting(meeting) => write!(f, "participants of {meeting}"),
        }
    }
}

/// One thing that happened.
#[derive(Clone, Debug)]
pub enum Event<'a> {
    /// A manifest file was read to its end.
    ManifestRead {
        /// As given on the command line.
        file: &'a str,
        /// Rows in it, without header and blank lines.
        rows: u64,
        /// Columns that mean nothing to vcq.
        ignored_columns: &'a [String],
    },
    /// A manifest, a file or a folder, has no rows.
    NoRows {
        /// As given on the command line.
        manifest: &'a str,
    },
    /// A manifest file could not be read to its end.
    ManifestCut {
        /// As given on the command line.
        file: &'a str,
        /// Rows that were read of it.
        rows: u64,
    },
    /// A manifest row breaks a rule.
    RowRejected {
        /// As given on the command line.
        file: &'a str,
        /// Where it stands.
        lines: Lines,
        /// The row and the rule.
        reject: &'a Reject,
    },
    /// The manifest's rows are in the queue.
    Enqueued {
        /// The lane they went to.
        lane: Lane,
        /// What became of them.
        rows: Enqueued,
    },
    /// Dates are discovered.
    Discovering {
        /// What is left to be asked for of them, so far as it is known.
        left: Left,
    },
    /// Settled stays of chosen dates are asked for again.
    Refreshing {
        /// How many, and how many of them an earlier run has begun with.
        rereading: Rereading,
    },
    /// A stay that was done has been asked for again.
    Refreshed {
        /// Which.
        stay: &'a Stay,
        /// What came of it.
        refreshed: Refreshed,
        /// Why, if what had landed is kept.
        reason: Option<&'a str>,
        /// The `X-Tt-Logid` of the answer that says so.
        log_id: Option<&'a str>,
    },
    /// Another process of this state folder is fetching; this one waits for its stays.
    Queued {
        /// Who that is, as it says itself.
        holder: Option<&'a str>,
        /// Stays in the queue, of both.
        left: u64,
    },
    /// This process fetches.
    Fetching,
    /// A request was sent.
    Sent {
        /// Where to.
        endpoint: Endpoint,
    },
    /// Its answer came, or did not.
    Answered {
        /// Where from.
        endpoint: Endpoint,
        /// The outcome's name.
        outcome: &'static str,
        /// How long it took.
        took: Duration,
    },
    /// All requests of an endpoint wait until the API's refusal ends.
    Refused {
        /// Whose.
        endpoint: Endpoint,
        /// From now on.
        wait: Duration,
    },
    /// A request is made again.
    Retry {
        /// What for.
        subject: Subject<'a>,
        /// Why.
        why: &'a str,
        /// When, from now on.
        wait: Duration,
    },
    /// There is no access token yet; it is asked for again.
    NoToken {
        /// Why.
        why: &'a str,
        /// When, from now on.
        wait: Duration,
    },
    /// What was asked for is read from its first page again: the API no longer knows its page token.
    Restarted {
        /// What.
        subject: Subject<'a>,
    },
    /// The API has given no useful answer for a while; one request a minute tries whether it is back.
    Outage {
        /// Since when.
        lasted: Duration,
        /// The last fault.
        why: &'a str,
    },
    /// A page of samples is durable.
    Landed {
        /// Samples in it.
        samples: u32,
    },
    /// A page of a listing is durable, with all that it brings.
    PageListed {
        /// Meetings or attendances in it.
        items: u32,
        /// Of these, meetings without a number or a start that can be read.
        unreadable: u32,
        /// What is to be asked for, for it.
        brought: Brought,
    },
    /// An attendance has an id, and gives no stay all the same.
    AttendanceRejected {
        /// Of which meeting.
        meeting: &'a Meeting,
        /// Why.
        reason: &'a str,
    },
    /// Nothing more will happen to a listing in this run.
    Listed {
        /// Of what.
        subject: Subject<'a>,
        /// Meetings or attendances that it has.
        items: u32,
        /// How it ended.
        state: State,
        /// Why, if it is not done.
        reason: Option<&'a str>,
        /// The `X-Tt-Logid` of the answer that said so.
        log_id: Option<&'a str>,
    },
    /// What discovery has come to, by what the journal says, and how its dates stand.
    Discovered {
        /// Meetings, attendances and stays.
        found: &'a Discovered,
        /// How each date stands.
        dates: &'a [(NaiveDate, DateListing)],
    },
    /// Nothing more will happen to a stay in this run.
    Settled {
        /// Which.
        stay: &'a Stay,
        /// How it ended.
        state: State,
        /// Why, if it is not done.
        reason: Option<&'a str>,
        /// The `X-Tt-Logid` of the answer that said so.
        log_id: Option<&'a str>,
    },
    /// Stays or listings that this run settled are pending again: what settled them was nothing of theirs.
    Unsettled {
        /// Whose they are.
        endpoint: Endpoint,
        /// How they had ended.
        state: State,
        /// How many.
        count: u64,
    },
    /// A new access token is in use.
    TokenRenewed,
    /// It is that of a sign-in.
    SignedIn {
        /// When the sign-in ends if nothing renews it before.
        unless_renewed: DateTime<Utc>,
        /// When it ends however often it is renewed; none: it cannot be renewed.
        at_the_latest: Option<DateTime<Utc>>,
    },
    /// The fetch loop waited.
    Waited {
        /// For what.
        cause: Wait,
        /// How long.
        time: Duration,
    },
    /// The fetch loop is about to wait.
    Waiting {
        /// For what.
        cause: Wait,
        /// How long at most, if that is known.
        at_most: Option<Duration>,
    },
    /// A part file is visible.
    Published {
        /// The partition.
        date: NaiveDate,
        /// The file's name.
        name: &'a str,
        /// Rows in it.
        samples: u64,
        /// Its size.
        bytes: u64,
        /// Texts in it that could not be read.
        unreadable: &'a Unreadable,
        /// What the API sent that no column comes from.
        unknown: &'a Unknown,
    },
    /// A file of meetings or of participants is visible, in the place of the one before it.
    ListedPublished {
        /// Its dataset.
        dataset: Dataset,
        /// Its date.
        date: NaiveDate,
        /// Its name.
        name: &'a str,
        /// Rows in it.
        rows: u64,
        /// Its size.
        bytes: u64,
        /// Values in it that could not be read, by column.
        unparsed: &'a BTreeMap<&'static str, Unread>,
        /// What the API sent that no column comes from.
        unknown: &'a Unknown,
    },
    /// A date could not be published; it is tried again at the end of the run.
    PublishFailed {
        /// The partition; none if it was what an earlier process had left.
        date: Option<NaiveDate>,
        /// Why.
        why: &'a str,
    },
    /// How all stays of this run stand at its end, by what the journal says.
    Tallied {
        /// By state, and whether they are of earlier manifests.
        tally: &'a [(State, bool, Tally)],
    },
    /// No more requests are sent.
    Stopping {
        /// Why.
        why: &'a str,
    },
}

/// What asking for a stay again came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refreshed {
    /// Other samples: they take the place of those that had landed.
    Changed,
    /// The same samples.
    Same,
    /// Fewer minutes, none, or no such stay any more: what had landed is kept.
    Kept,
    /// Given up after faults: what had landed is kept.
    Failed,
}

impl Refreshed {
    /// The word for reports.
    pub fn name(self) -> &'static str {
        match self {
            Self::Changed => "changed",
            Self::Same => "same",
            Self::Kept => "kept",
            Self::Failed => "failed",
        }
    }
}

/// What the fetch loop waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wait {
    /// The next turn under the quota.
    Quota,
    /// The end of the API's refusal.
    Refusal,
    /// The end of an outage.
    Outage,
    /// A fault's backoff.
    Backoff,
    /// An access token.
    Token,
    /// Answers to requests under way.
    Answers,
}

impl Wait {
    /// The words for a person.
    pub fn name(self) -> &'static str {
        match self {
            Self::Quota => "the quota",
            Self::Refusal => "a refusal to end",
            Self::Outage => "an outage to end",
            Self::Backoff => "another attempt",
            Self::Token => "an access token",
            Self::Answers => "answers",
        }
    }
}

/// Takes events in; the code that emits them does not know what becomes of them.
pub type Emit<'a> = &'a dyn Fn(Event<'_>);
