//! `vcq export --refresh`: stays that are done are asked for again, and of what comes only the difference is published.
//!
//! The API may know more of a meeting later than on the day after it, and it may know less: what has landed is given up
//! for a reading that has all of its minutes, never for fewer, unless that is asked for.

use std::{collections::BTreeMap, fmt};

use chrono::NaiveDate;
use sha2::{Digest, Sha256};

use crate::{
    error::{Chain, Error},
    event::{Emit, Event},
    journal::{Journal, JournalError, Reread, State, StayId},
    publish::{Publication, Publishing},
    quality::{
        batch::Batch,
        decode::{Unknown, decode},
    },
    stay::Stay,
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

/// Makes sure that there is something to compare the dates' stays with; before a manifest is taken in, which may bring
/// stays of these dates, none need be known.
///
/// # Errors
///
/// [`Error::Usage`] if there are no stays of these dates and no manifest.
pub fn check(journal: &Journal, dates: Dates, has_manifest: bool) -> Result<(), Error> {
    if journal.known_dates(dates.first, dates.last)?.is_empty() && !has_manifest {
        return Err(Error::Usage(format!(
            "--refresh {dates}: no stays of these dates are known; `vcq status` lists them"
        )));
    }
    Ok(())
}

/// Compares what this process has asked for again, date by date, and publishes the dates of which something has changed;
/// tells what became of each of these.
///
/// A date of which something is left to be asked for stays as it was. One that cannot be published keeps its second
/// readings for the next process, and holds up no other. Unless `accept_fewer`, a reading that lacks minutes of the first
/// one does not take its place.
pub fn conclude(
    journal: &mut Journal,
    publishing: &Publishing,
    accept_fewer: bool,
    emit: Emit<'_>,
    mut told: impl FnMut(NaiveDate, Result<Publication, Error>),
) -> Result<(), Error> {
    let mut date = None;
    while let Some(next) = journal.reread_date(date)? {
        date = Some(next);
        let changed = compare_date(journal, publishing, next, accept_fewer, emit)?;
        if !changed.is_empty() {
            publishing.adopt(journal, next, &changed).transpose().into_iter().for_each(|adopted| told(next, adopted));
        }
    }
    Ok(journal.end_refreshes()?)
}

/// Compares the date's settled second readings with the first ones, forgets those that change nothing, and returns the
/// others.
fn compare_date(
    journal: &mut Journal,
    publishing: &Publishing,
    date: NaiveDate,
    accept_fewer: bool,
    emit: Emit<'_>,
) -> Result<Vec<StayId>, Error> {
    let mut changed = Vec::new();
    let mut batch = publishing.batch();
    let mut last_compared = 0;
    while let Some(reread) = journal.next_reread(date, last_compared)? {
        last_compared = reread.first;
        let (refreshed, reason) = compare(journal, &reread, accept_fewer, &mut batch)?;
        emit(Event::Refreshed {
            stay: &reread.stay,
            refreshed,
            reason: reason.as_deref(),
            log_id: reread.log_id.as_deref(),
        });
        if refreshed == Refreshed::Changed {
            changed.push(reread.id);
        } else {
            journal.forget_reread(reread.id)?;
        }
    }
    Ok(changed)
}

fn compare(
    journal: &Journal,
    reread: &Reread,
    accept_fewer: bool,
    batch: &mut Batch,
) -> Result<(Refreshed, Option<String>), Error> {
    let said = || reread.reason.clone();
    match reread.state {
        State::Failed => return Ok((Refreshed::Failed, said())),
        State::Done if reread.samples == 0 && reread.first_samples > 0 => {
            return Ok((Refreshed::Kept, Some("no samples are left of it".into())));
        }
        State::Done => {}
        State::Pending | State::Absent | State::Young | State::Rejected => return Ok((Refreshed::Kept, said())),
    }
    let second = match read(journal, reread.id, &reread.stay, batch) {
        Ok(second) => second,
        Err(error) if is_damage(&error) => return Ok((Refreshed::Failed, Some(Chain(&error).to_string()))),
        Err(error) => return Err(error),
    };
    let first = match read(journal, reread.first, &reread.stay, batch) {
        Ok(first) => first,
        // What has landed of the first reading is gone or damaged: the second one is all there is.
        Err(error) if is_damage(&error) => return Ok((Refreshed::Changed, None)),
        Err(error) => return Err(error),
    };
    let missing = first.missing_from(&second);
    Ok(if first.samples == 0 && reread.first_samples > 0 {
        // It was taken over from a published file, without its pages.
        (Refreshed::Changed, None)
    } else if first.digest == second.digest {
        (Refreshed::Same, None)
    } else if missing == 0 || accept_fewer {
        (Refreshed::Changed, None)
    } else {
        let why = format!(
            "the API has {} of its {} minutes, and {missing} of them no longer; --accept-fewer takes that",
            second.samples, first.samples
        );
        (Refreshed::Kept, Some(why))
    })
}

fn is_damage(error: &Error) -> bool {
    matches!(error, Error::Page { .. } | Error::Journal(JournalError::Body { .. } | JournalError::Pruned { .. }))
}

/// What the samples of one reading come to.
struct Minutes {
    samples: u64,
    /// Of all that the columns come from: answers differ in page tokens and in how they are cut into pages.
    digest: [u8; 32],
    /// How many samples there are of each time.
    times: BTreeMap<Option<i64>, u64>,
}

impl Minutes {
    /// How many samples the other reading has not, by their times.
    fn missing_from(&self, other: &Self) -> u64 {
        let missing = |(time, count): (&Option<i64>, &u64)| {
            count.saturating_sub(other.times.get(time).copied().unwrap_or_default())
        };
        self.times.iter().map(missing).sum()
    }
}

fn read(journal: &Journal, reading: StayId, stay: &Stay, batch: &mut Batch) -> Result<Minutes, Error> {
    let mut hash = Sha256::new();
    let mut minutes = Minutes { samples: 0, digest: [0; 32], times: BTreeMap::new() };
    batch.clear();
    let mut rows = batch.stay(stay);
    journal.bodies()?.each(reading, |_, body| {
        let decoded = decode(body, &mut Unknown::default(), |sample| {
            hash.update(format!("{sample:?}"));
            rows.push(sample);
            if let Some(full) = rows.full() {
                minutes.take(full);
            }
        });
        decoded.map(drop).map_err(|source| Error::Page { stay: reading, source })
    })?;
    minutes.take(batch);
    Ok(Minutes { digest: hash.finalize().into(), ..minutes })
}

impl Minutes {
    fn take(&mut self, batch: &mut Batch) {
        let times = batch.sample_time_us();
        let mut values = times.values.iter();
        for level in &times.levels {
            let time = (*level > 0).then(|| values.next().copied()).flatten();
            *self.times.entry(time).or_default() += 1;
            self.samples += 1;
        }
        batch.clear();
        batch.take_unreadable();
    }
}
