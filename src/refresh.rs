//! `vcq export --refresh`: stays that are done are asked for again, and of what comes only the difference is published.
//!
//! The API may know more of a meeting later than on the day after it, and it may know less: what has landed is given up
//! for other samples alone, never for none.

use std::fmt;

use chrono::NaiveDate;
use sha2::{Digest, Sha256};

use crate::{
    error::Error,
    event::{Emit, Event},
    journal::{Journal, Lock, Reread, State, StayId},
    publish::{Publication, Publisher, refuse_pruned},
    quality::decode::{Unknown, decode},
};

/// Dates to be asked for again, both included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Dates {
    /// The first.
    pub first: NaiveDate,
    /// The last.
    pub last: NaiveDate,
}

impl fmt::Display for Dates {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}..{}", self.first, self.last)
    }
}

/// What asking for a stay again came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refreshed {
    /// Other samples: they take the place of those that had landed.
    Changed,
    /// The same samples.
    Same,
    /// No samples, or no such stay any more: what had landed is kept.
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

/// Makes sure that there is something to compare the dates' stays with; before a manifest is taken in, which may bring
/// stays of these dates, none need be known.
///
/// # Errors
///
/// [`Error::Usage`] if there are no stays of these dates and no manifest, [`Error::Pruned`] if landed pages are dropped.
pub fn check(journal: &Journal, dates: Dates, has_manifest: bool) -> Result<(), Error> {
    let known = journal.known_dates(dates.first, dates.last)?;
    if known.is_empty() && !has_manifest {
        return Err(Error::Usage(format!(
            "--refresh {dates}: no stays of these dates are known; `vcq status` lists them"
        )));
    }
    known.into_iter().try_for_each(|date| refuse_pruned(journal, date))
}

/// Compares what this process has asked for again, date by date, and publishes the dates of which something has changed.
///
/// A date of which something is left to be asked for stays as it was.
pub fn conclude(
    journal: &mut Journal,
    publisher: &Publisher,
    publishing: &Lock,
    emit: Emit<'_>,
    mut told: impl FnMut(&Publication),
) -> Result<(), Error> {
    while let Some(date) = journal.reread_date()? {
        let mut last_compared = 0;
        while let Some(reread) = journal.next_reread(date, last_compared)? {
            last_compared = reread.first;
            let (refreshed, reason) = compare(journal, &reread)?;
            emit(Event::Refreshed { stay: &reread.stay, refreshed, reason, log_id: reread.log_id.as_deref() });
            if refreshed != Refreshed::Changed {
                journal.forget_reread(reread.id)?;
            }
        }
        publisher.adopt(journal, date, publishing)?.iter().for_each(&mut told);
    }
    Ok(())
}

fn compare<'reread>(journal: &Journal, reread: &'reread Reread) -> Result<(Refreshed, Option<&'reread str>), Error> {
    let reason = reread.reason.as_deref();
    Ok(match reread.state {
        State::Failed => (Refreshed::Failed, reason),
        State::Done if reread.samples == 0 && reread.first_samples > 0 => {
            (Refreshed::Kept, Some("no samples are left of it"))
        }
        State::Done if samples_digest(journal, reread.first)? == samples_digest(journal, reread.id)? => {
            (Refreshed::Same, None)
        }
        State::Done => (Refreshed::Changed, None),
        State::Pending | State::Absent | State::Young | State::Rejected => (Refreshed::Kept, reason),
    })
}

/// A digest of all that the columns come from: answers differ in page tokens and in how they are cut into pages.
fn samples_digest(journal: &Journal, stay: StayId) -> Result<[u8; 32], Error> {
    let mut hash = Sha256::new();
    let mut bodies = journal.bodies()?;
    bodies.each(stay, |_, body| {
        let decoded = decode(body, &mut Unknown::default(), |sample| hash.update(format!("{sample:?}")));
        decoded.map(drop).map_err(|source| Error::Page { stay, source })
    })?;
    Ok(hash.finalize().into())
}
