//! What is asked for, of whichever endpoint: the seam between the loop and the landing of each endpoint.
//!
//! An endpoint has a variant of `Work` and an arm in each function here. What the arms do stands in the endpoint's own
//! file.

use tokio::time::Instant;

use super::{Alarm, Loop, WorkId, anomaly::Sign};
use crate::{
    config::Config,
    dates::day_span_s,
    endpoint::Endpoint,
    error::Error,
    event::Subject,
    feishu::{answer::Said, meetings, page::Page, participants, quality, transport::Answer},
    journal::{Lane, Listed, QueuedListing, QueuedStay},
};

/// What is asked for: all pages of one thing.
pub(super) enum Work {
    /// The samples of a stay.
    Quality(QueuedStay),
    /// The meetings of a date, or the participants of a meeting.
    Listing(QueuedListing),
}

impl Work {
    /// Where it is asked for.
    pub(super) fn endpoint(&self) -> Endpoint {
        match self {
            Self::Quality(_) => Endpoint::Quality,
            Self::Listing(listing) => listing.of.endpoint(),
        }
    }

    /// Its number.
    pub(super) fn id(&self) -> WorkId {
        match self {
            Self::Quality(stay) => stay.id,
            Self::Listing(listing) => listing.id,
        }
    }

    /// Its place in the queue of its endpoint; the smallest is the first.
    pub(super) fn place(&self) -> (bool, Lane, WorkId) {
        match self {
            Self::Quality(stay) => (stay.is_suspect, stay.lane, stay.id),
            Self::Listing(listing) => (false, listing.lane, listing.id),
        }
    }

    /// The path and query that ask for its next page.
    pub(super) fn page_request(&self, config: &Config) -> String {
        let ids = config.api.user_id_type;
        match self {
            Self::Quality(stay) => quality::request(&stay.stay, ids, stay.page_token.as_deref()),
            Self::Listing(listing) => match &listing.of {
                Listed::Date(date) => {
                    let span_s = day_span_s(*date, config.timezone);
                    meetings::request(&span_s, &config.discover, ids, listing.page_token.as_deref())
                }
                Listed::Meeting(_, meeting) => participants::request(meeting, ids, listing.page_token.as_deref()),
            },
        }
    }

    /// What it is.
    pub(super) fn subject(&self) -> Subject<'_> {
        match self {
            Self::Quality(stay) => Subject::Stay(&stay.stay),
            Self::Listing(listing) => Subject::from(&listing.of),
        }
    }
}

/// Work that was begun: what went wrong on the way to its current page.
pub(super) struct Task<W = Work> {
    pub(super) work: W,
    pub(super) tries: Tries,
}

/// How often the current page was asked for, and when it may be asked for again.
#[derive(Clone, Copy)]
pub(super) struct Tries {
    /// Attempts that ended in a fault.
    pub(super) attempts: u32,
    /// The token generation with which the page was refused, if it was.
    pub(super) refused_with: Option<u64>,
    pub(super) not_before: Instant,
}

impl Tries {
    /// A page that was not asked for yet.
    pub(super) fn none(now: Instant) -> Self {
        Self { attempts: 0, refused_with: None, not_before: now }
    }
}

impl From<Task<QueuedListing>> for Task {
    fn from(Task { work, tries }: Task<QueuedListing>) -> Self {
        Self { work: Work::Listing(work), tries }
    }
}

impl From<Task<QueuedStay>> for Task {
    fn from(Task { work, tries }: Task<QueuedStay>) -> Self {
        Self { work: Work::Quality(work), tries }
    }
}

impl Loop<'_> {
    /// Whether the scope has work of this endpoint that is not settled.
    pub(super) fn is_pending(&mut self, endpoint: Endpoint) -> Result<bool, Error> {
        match endpoint {
            Endpoint::Quality => self.is_stay_pending(),
            Endpoint::Meetings | Endpoint::Participants => self.is_listing_pending(endpoint),
        }
    }

    /// The first work of this endpoint that is not begun yet.
    pub(super) fn next_fresh(&self, endpoint: Endpoint) -> Result<Option<Work>, Error> {
        Ok(match endpoint {
            Endpoint::Quality => self.next_stay()?.map(Work::Quality),
            Endpoint::Meetings | Endpoint::Participants => self.next_listing(endpoint)?.map(Work::Listing),
        })
    }

    pub(super) fn page(&mut self, task: Task, page: &Page, answer: &Answer) -> Result<(), Error> {
        let Task { work, tries } = task;
        match work {
            Work::Quality(work) => self.page_of_stay(Task { work, tries }, page, answer),
            Work::Listing(work) => self.page_of_listing(Task { work, tries }, page, answer),
        }
    }

    pub(super) fn absent(&mut self, task: Task, said: Said) -> Result<(), Error> {
        let Task { work, tries } = task;
        match work {
            Work::Quality(work) => self.absent_stay(Task { work, tries }, said),
            Work::Listing(work) => self.absent_listing(Task { work, tries }, said),
        }
    }

    pub(super) fn rejected(&mut self, task: Task, said: Said, sign: Sign) -> Result<(), Error> {
        let Task { work, tries } = task;
        match work {
            Work::Quality(work) => self.rejected_stay(Task { work, tries }, said, sign),
            Work::Listing(work) => self.rejected_listing(Task { work, tries }, said),
        }
    }

    /// Settles the work as failed.
    pub(super) fn fail(&mut self, work: &Work, reason: String, log_id: Option<String>) -> Result<(), Error> {
        match work {
            Work::Quality(stay) => self.fail_stay(stay, reason, log_id),
            Work::Listing(listing) => self.fail_listing(listing, reason, log_id),
        }
    }

    /// Takes back that work failed: what failed it was nothing of its own.
    pub(super) fn unsettle(&mut self, endpoint: Endpoint, ids: &[WorkId]) -> Result<(), Error> {
        match endpoint {
            Endpoint::Quality => self.unsettle_stays(ids),
            Endpoint::Meetings | Endpoint::Participants => self.unsettle_listings(endpoint, ids, false),
        }
    }

    /// Takes back what the answers that raised an alarm have settled.
    pub(super) fn unsettle_suspects(&mut self, endpoint: Endpoint, ids: &[WorkId]) -> Result<(), Error> {
        match endpoint {
            Endpoint::Quality => self.unsettle_suspect_stays(ids),
            Endpoint::Meetings | Endpoint::Participants => self.unsettle_listings(endpoint, ids, true),
        }
    }

    /// Sets aside what the alarm casts doubt on.
    pub(super) fn set_aside(&mut self, endpoint: Endpoint, alarm: Alarm) -> Result<(), Error> {
        match endpoint {
            Endpoint::Quality => self.set_stays_aside(alarm),
            Endpoint::Meetings | Endpoint::Participants => self.set_listings_aside(endpoint),
        }
    }
}
