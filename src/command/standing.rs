//! How dates stand: what is queued, landed and published of each, and whether that is all.

use std::collections::BTreeMap;

use chrono::NaiveDate;
use serde::Serialize;

use crate::{
    access::{sign_in::Standing, sign_in_file::SignInFile},
    config::{AuthAs, Config},
    dataset::Dataset,
    dates::day_begin_s,
    error::{Chain, Error},
    journal::{DateListing, Journal, State},
    publish::{
        listed,
        look::{self, Depth},
    },
    start::Start,
    store::{Store, disk::DiskError},
};

/// One partition.
#[derive(Clone, Debug, Default, Serialize)]
pub struct DateStatus {
    /// The date, in the configured zone.
    pub date: NaiveDate,
    /// Stays whose pages have all landed.
    pub done: u64,
    /// Stays that the API does not know.
    pub absent: u64,
    /// Stays that the API refuses.
    pub rejected: u64,
    /// Stays given up by the last run that asked for them.
    pub failed: u64,
    /// Stays to be asked for, or to be asked for again.
    pub pending: u64,
    /// Done stays that `--refresh` asks for again; what is published of them is as it was.
    pub refreshing: u64,
    /// Done stays whose samples end early: they are asked for once more when their meetings are no longer young.
    pub early_ends: u64,
    /// Published samples; by the journal, where the dataset could not be looked at.
    pub samples: u64,
    /// Published files; by the journal, where the dataset could not be looked at.
    pub files: u64,
    /// Whether its meetings are listed: `unlisted`, `open` (a run that names it lists it again) or `closed`; none: nobody has asked
    /// for them.
    pub listing: Option<&'static str>,
    /// Meetings that are known of it.
    pub meetings: u64,
    /// What of it is not on disk as it should be, by names and sizes.
    pub problems: Vec<String>,
    /// True if a dataset could not be looked at: its files and samples are those that the journal has published.
    pub unseen: bool,
    /// True if all done stays with samples are in visible files, and nothing is pending, failed or asked for again.
    pub complete: bool,
}

impl DateStatus {
    /// Says that a bucket has not answered: whether the date is complete, nobody can tell.
    fn is_not_seen(&mut self, error: &DiskError) {
        self.complete = false;
        self.unseen = true;
        self.problems.push(format!("it could not be looked at: {}", Chain(error)));
    }
}

/// How the sign-in stands for work of so many seconds from now on; none: nobody who signs in asks.
///
/// A sign-in that cannot be used is a warning: neither `plan` nor `status` needs one.
///
/// # Errors
///
/// If the disk refuses.
pub fn sign_in(config: &Config, start: &Start, work_s: u64) -> Result<Option<Standing>, Error> {
    if config.auth.identity != AuthAs::User {
        return Ok(None);
    }
    let sign_in = match SignInFile::new(&config.state).read() {
        Err(Error::Access { what, remedy }) => {
            return Ok(Some(Standing::unusable(format!("{what}: {remedy}"), config.timezone)));
        }
        read => read?,
    };
    Ok(Some(Standing::of(sign_in.as_ref(), config.timezone, start.now(), work_s)))
}

/// When a date closes, in unix seconds: a listing that begins from then on is the last.
pub fn closes_at_s(date: NaiveDate, config: &Config) -> i64 {
    let end_s = date.succ_opt().map_or(i64::MAX, |next| day_begin_s(next, config.timezone));
    end_s.saturating_add_unsigned(config.absent_retry_for.as_secs())
}

/// What is known of listings, date by date.
fn add_listings(
    journal: &Journal,
    config: &Config,
    start: &Start,
    is_wanted: &dyn Fn(NaiveDate) -> bool,
    dates: &mut BTreeMap<NaiveDate, DateStatus>,
) -> Result<(), Error> {
    for day in journal.listing_dates()?.into_iter().filter(|day| is_wanted(*day)) {
        let listing = journal.date_listing(day, closes_at_s(day, config))?;
        // Its stays are complete if all that there are is: a date without meetings too.
        let date = dates.entry(day).or_insert_with(|| DateStatus { complete: true, ..DateStatus::default() });
        date.listing = Some(listing.name());
        date.complete &= listing == DateListing::Closed;
    }
    for (day, meetings) in journal.meetings_by_date()?.into_iter().filter(|(day, _)| is_wanted(*day)) {
        dates.entry(day).or_insert_with(|| DateStatus { complete: true, ..DateStatus::default() }).meetings = meetings;
    }
    for dataset in Dataset::LISTED {
        let Some(place) = config.discover.place(dataset) else { continue };
        let store = start.stores(config).existing(place)?;
        let at_once = match store.at_once() {
            Err(error) if error.is_away() => {
                for (day, _) in journal.listed_dates(dataset)?.into_iter().filter(|(day, _)| is_wanted(*day)) {
                    dates.entry(day).or_default().is_not_seen(&error);
                }
                continue;
            }
            at_once => at_once?,
        };
        for day in listed::dates(journal, &at_once, dataset)?.into_iter().filter(|day| is_wanted(*day)) {
            let look = |store| listed::look(journal, store, (dataset, day), Depth::Names);
            let faults = look(&at_once)?.faults;
            // What another process publishes between two looks is no fault.
            let faults = if faults.is_empty() { faults } else { look(&store)?.faults };
            let date = dates.entry(day).or_default();
            date.complete &= faults.is_empty();
            date.problems.extend(faults.iter().map(|fault| format!("{}: {fault}", dataset.name())));
        }
    }
    Ok(())
}

/// What is published of each date, by looking.
fn add_published(
    journal: &Journal,
    dataset: &Store,
    is_wanted: &dyn Fn(NaiveDate) -> bool,
    dates: &mut BTreeMap<NaiveDate, DateStatus>,
) -> Result<(), Error> {
    let at_once = &match dataset.at_once() {
        Err(error) if error.is_away() => {
            for file in journal.files()?.into_iter().filter(|file| file.published && is_wanted(file.date)) {
                let date = dates.entry(file.date).or_default();
                date.files += 1;
                date.samples += file.samples;
            }
            for date in dates.values_mut() {
                date.is_not_seen(&error);
            }
            return Ok(());
        }
        at_once => at_once?,
    };
    for day in look::dates(journal, at_once)?.into_iter().filter(|day| is_wanted(*day)) {
        dates.entry(day).or_default();
    }
    for (day, date) in dates {
        let look = |dataset: &Store| look::look(journal, dataset, *day, dataset.list(*day)?, Depth::Names);
        // What another process publishes between two looks is no fault.
        let found = look(at_once)?;
        let found = if found.faults.is_empty() { found } else { look(dataset)? };
        date.files = found.sound.len() as u64;
        date.samples = found.sound.iter().map(|file| file.samples).sum();
        date.complete &= found.faults.is_empty();
        date.problems = found.faults.iter().map(ToString::to_string).collect();
    }
    Ok(())
}

/// How the dates stand that are wanted, oldest first: what is queued and landed by the journal, what is published by looking.
///
/// # Errors
///
/// If the journal or a dataset's folder cannot be read.
pub fn standing(
    journal: &Journal,
    config: &Config,
    start: &Start,
    is_wanted: impl Fn(NaiveDate) -> bool,
) -> Result<Vec<DateStatus>, Error> {
    let dataset = &start.stores(config).existing(&config.output)?;
    let mut dates: BTreeMap<_, DateStatus> = BTreeMap::new();
    for row in journal.coverage()?.into_iter().filter(|row| is_wanted(row.date)) {
        let date = dates.entry(row.date).or_insert_with(|| DateStatus { complete: true, ..DateStatus::default() });
        match row.state {
            State::Pending | State::Young => date.pending += row.stays,
            State::Done => date.done += row.stays,
            State::Absent => date.absent += row.stays,
            State::Rejected => date.rejected += row.stays,
            State::Failed => date.failed += row.stays,
        }
        date.complete &= row.unpublished == 0 && !matches!(row.state, State::Pending | State::Young | State::Failed);
    }
    for (date, stays) in journal.rereads_by_date()?.into_iter().filter(|(date, _)| is_wanted(*date)) {
        let date = dates.entry(date).or_default();
        date.refreshing = stays;
        date.complete = false;
    }
    for (date, stays) in journal.early_ends_by_date()?.into_iter().filter(|(date, _)| is_wanted(*date)) {
        dates.entry(date).or_default().early_ends = stays;
    }
    add_published(journal, dataset, &is_wanted, &mut dates)?;
    add_listings(journal, config, start, &is_wanted, &mut dates)?;
    Ok(dates.into_iter().map(|(day, date)| DateStatus { date: day, ..date }).collect())
}
