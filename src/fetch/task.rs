//! What is asked for, of whichever endpoint.

use std::time::Duration;

use tokio::time::Instant;

use crate::{
    config::Config,
    endpoint::Endpoint,
    feishu::quality,
    journal::{Lane, QueuedStay, StayId},
    stay::Stay,
};

/// What is being read, page by page: how far it is, and what went wrong on the way.
pub(super) struct Task {
    pub(super) work: Work,
    /// Attempts at the current page that ended in a fault.
    pub(super) attempts: u32,
    /// The token generation with which the current page was refused, if it was.
    pub(super) refused_with: Option<u64>,
    pub(super) not_before: Instant,
}

/// What each endpoint is asked for.
pub(super) enum Work {
    /// The samples of a stay.
    Stay(QueuedStay),
}

impl Work {
    pub(super) fn endpoint(&self) -> Endpoint {
        match self {
            Self::Stay(_) => Endpoint::Quality,
        }
    }

    /// The path and query that ask for its next page.
    pub(super) fn request(&self, config: &Config) -> String {
        match self {
            Self::Stay(queued) => quality::request(&queued.stay, config.api.user_id_type, queued.page_token.as_deref()),
        }
    }

    /// Whose it is, for log lines.
    pub(super) fn stay(&self) -> &Stay {
        match self {
            Self::Stay(queued) => &queued.stay,
        }
    }

    /// Its place in the queue of its endpoint: whatever is smaller comes first.
    pub(super) fn place(&self) -> (bool, Lane, StayId) {
        match self {
            Self::Stay(queued) => (queued.is_suspect, queued.lane, queued.id),
        }
    }
}

impl Task {
    /// One that is not begun yet.
    pub(super) fn begin(work: Work, now: Instant) -> Self {
        Self { work, attempts: 0, refused_with: None, not_before: now }
    }

    /// The next page, after one that has landed.
    pub(super) fn turn_page(&mut self) {
        self.attempts = 0;
        self.refused_with = None;
    }

    /// Not before `wait` is over.
    pub(super) fn put_off(&mut self, wait: Duration) {
        self.not_before = Instant::now() + wait;
    }
}
