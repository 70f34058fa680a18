//! `vcq export --refresh`: stays that are done are asked for again, and of what comes only the difference is published.
//!
//! The API may know more of a meeting later than on the day after it, and it may know less: what has landed is given up
//! for a reading that has all of its minutes, never for fewer, unless that is asked for.

use std::collections::BTreeMap;

use chrono::NaiveDate;
use sha2::{Digest, Sha256};

use super::told::Told;
use crate::{
    dates::Dates,
    error::{Chain, Error},
    event::Refreshed,
    journal::{FileId, Journal, JournalError, Reread, State, StayId},
    publish::{Publication, Publishing, look::Fault},
    read::batch::Batch,
    read::decode::{Unknown, decode},
    stay::Stay,
};

/// Makes sure that what differs could be published.
///
/// # Errors
///
/// [`Error::Usage`] if the file system cannot exchange the folders of these dates.
pub(super) fn check(journal: &Journal, publishing: Option<&Publishing>, dates: Dates) -> Result<(), Error> {
    let known = journal.known_dates(dates.first, dates.last)?;
    let Some(publishing) = publishing else { return Ok(()) };
    known.into_iter().try_for_each(|date| publishing.check_replaceable(date))
}

/// Compares what this process has asked for again, date by date, and publishes the dates of which something has changed;
/// tells what became of each of these.
///
/// A date whose files are missing or damaged is published again too. A date of which something is left to be asked for stays
/// as it was. One that cannot be published keeps its second
/// readings for the next process, and holds up no other. Unless `accept_fewer`, a reading that lacks minutes of the first
/// one does not take its place.
pub(super) fn conclude(
    journal: &mut Journal,
    publishing: &Publishing,
    accept_fewer: bool,
    tell: &dyn Fn(Told),
    mut told: impl FnMut(NaiveDate, Result<Publication, Error>),
) -> Result<(), Error> {
    let mut date = None;
    while let Some(next) = journal.reread_date(date)? {
        date = Some(next);
        let changed = compare_date(journal, publishing, next, accept_fewer, tell)?;
        if !changed.is_empty() || lacks_files(journal, publishing, next)? {
            publishing.adopt(journal, next, &changed).transpose().into_iter().for_each(|adopted| told(next, adopted));
        }
    }
    Ok(journal.end_refreshes()?)
}

/// Whether rows of the date are in no file that is there as it should be, and can be published from what has landed by now.
fn lacks_files(journal: &Journal, publishing: &Publishing, date: NaiveDate) -> Result<bool, Error> {
    let faults = publishing.look(journal, date)?.faults;
    let lacks_file =
        |fault: &Fault| matches!(fault, Fault::Missing { .. } | Fault::Changed { .. } | Fault::Unpublished(_));
    let lacks = |fault: &Fault| lacks_file(fault) || matches!(fault, Fault::Table { .. } | Fault::Others { .. });
    Ok(faults.iter().any(lacks) && !journal.is_pruned(date)?)
}

/// What is to be done with a second reading.
enum Decision {
    /// It takes the place of the first one when the date is published.
    Adopt,
    /// Its pages are those of the first one, which are gone: they are put back.
    Restore,
    /// It is forgotten.
    Forget(Refreshed, Option<String>),
    /// Nothing is left of the first one, and the second has nothing: the stay failed.
    GiveUp(String),
}

/// Compares the date's settled second readings with the first ones, forgets those that change nothing, and returns the
/// others.
fn compare_date(
    journal: &mut Journal,
    publishing: &Publishing,
    date: NaiveDate,
    accept_fewer: bool,
    tell: &dyn Fn(Told),
) -> Result<Vec<StayId>, Error> {
    let mut changed = Vec::new();
    let mut batch = publishing.batch();
    let visible: Vec<FileId> = publishing.look(journal, date)?.sound.iter().map(|file| file.id).collect();
    let mut last_compared = 0;
    while let Some(reread) = journal.next_reread(date, last_compared)? {
        last_compared = reread.first;
        let is_visible = reread.first_file.is_some_and(|file| visible.contains(&file));
        let (refreshed, reason) = match decide(journal, &reread, is_visible, accept_fewer, &mut batch)? {
            Decision::Adopt => {
                changed.push(reread.id);
                (Refreshed::Changed, None)
            }
            Decision::Restore => {
                journal.restore_from_reread(&reread)?;
                (Refreshed::Same, None)
            }
            Decision::Forget(refreshed, reason) => {
                journal.forget_reread(reread.id)?;
                if refreshed == Refreshed::Failed {
                    journal.ask_early_end_again(reread.first)?;
                }
                (refreshed, reason)
            }
            Decision::GiveUp(reason) => {
                journal.give_up(&reread, &reason)?;
                (Refreshed::Failed, Some(reason))
            }
        };
        tell(Told::Refreshed { stay: reread.stay, refreshed, reason, log_id: reread.log_id });
    }
    Ok(changed)
}

/// `is_visible` says whether the rows of the first reading are in a file that is there.
fn decide(
    journal: &Journal,
    reread: &Reread,
    is_visible: bool,
    accept_fewer: bool,
    batch: &mut Batch,
) -> Result<Decision, Error> {
    let first = match read(journal, reread.first, &reread.stay, batch) {
        // Taken over from a published file, without its pages.
        Ok(first) if first.samples == 0 && reread.first_samples > 0 => None,
        Ok(first) => Some(first),
        Err(error) if is_damage(&error) => None,
        Err(error) => return Err(error),
    };
    let is_lost = first.is_none() && !is_visible && reread.first_samples > 0;
    let nothing = |refreshed, why: Option<String>| {
        if !is_lost {
            return Decision::Forget(refreshed, why);
        }
        let why = why.unwrap_or_else(|| "it has no samples".into());
        Decision::GiveUp(format!("its file and its landed pages are gone, and the API has it no longer: {why}"))
    };
    match reread.state {
        State::Failed => return Ok(Decision::Forget(Refreshed::Failed, reread.reason.clone())),
        State::Done if reread.samples == 0 && reread.first_samples > 0 => {
            return Ok(nothing(Refreshed::Kept, Some("no samples are left of it".into())));
        }
        State::Done => {}
        State::Pending | State::Absent | State::Young | State::Rejected => {
            return Ok(nothing(Refreshed::Kept, reread.reason.clone()));
        }
    }
    let second = match read(journal, reread.id, &reread.stay, batch) {
        Ok(second) => second,
        Err(error) if is_damage(&error) => {
            return Ok(Decision::Forget(Refreshed::Failed, Some(Chain(&error).to_string())));
        }
        Err(error) => return Err(error),
    };
    let missing = match &first {
        // The rows name the meeting's end too.
        Some(first) if first.digest == second.digest && reread.has_other_end => return Ok(Decision::Adopt),
        Some(first) if first.digest == second.digest => return Ok(Decision::Forget(Refreshed::Same, None)),
        Some(first) => first.missing_from(&second),
        None if journal.has_same_pages(reread)? && !reread.has_other_end => return Ok(Decision::Restore),
        // All that is known of the rows is how many there are.
        None if is_visible => reread.first_samples.saturating_sub(second.samples),
        None => 0,
    };
    if missing == 0 || accept_fewer {
        return Ok(Decision::Adopt);
    }
    let (now, before) = (second.samples, reread.first_samples);
    let why = format!(
        "the API has {now} of its {before} minutes, and {missing} of them no longer; --accept-fewer takes that"
    );
    Ok(Decision::Forget(Refreshed::Kept, Some(why)))
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
