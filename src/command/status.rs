//! `vcq status`: coverage by date, the queue, and the requests spent. Works while runs are under way, and
//! creates nothing.

mod text;

use std::collections::BTreeMap;

use chrono::NaiveDate;
use serde::Serialize;

use crate::{
    config::Config,
    endpoint::Endpoint,
    error::Error,
    fetch::calendar::{quota_day, quota_month},
    journal::{Identity, Journal, State},
    publish::look::{self, Depth},
    start::Start,
    store::Store,
};

/// What the journal holds.
#[derive(Clone, Debug, Serialize)]
pub struct Status {
    /// By partition, oldest first.
    pub dates: Vec<DateStatus>,
    /// Stays to be asked for, by lane.
    pub queue: Queue,
    /// Requests sent.
    pub requests: Requests,
    /// How long the queue takes at the configured rate, at one request a stay, in seconds.
    pub seconds_left: u64,
}

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
    /// Published samples.
    pub samples: u64,
    /// Published files.
    pub files: u64,
    /// What of it is not on disk as it should be, by names and sizes.
    pub problems: Vec<String>,
    /// True if all done stays with samples are in visible files, and nothing is pending, failed or asked for again.
    pub complete: bool,
}

/// Stays to be asked for.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Queue {
    /// Of the nightly lane.
    pub nightly: u64,
    /// Of the backfill lane.
    pub backfill: u64,
}

/// Requests sent, by span.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Requests {
    /// In the last minute.
    pub last_minute: u64,
    /// Today (UTC+8).
    pub today: u64,
    /// This calendar month (UTC+8).
    pub this_month: u64,
    /// The month's limit, if there is one.
    pub requests_per_month: Option<u64>,
}

/// Reads the journal.
///
/// # Errors
///
/// If there is no journal, or it was begun with another configuration.
pub fn status(config: &Config, start: &Start) -> Result<Status, Error> {
    let journal = Journal::read(&config.state, &Identity::of_landed(config))?;
    let [nightly, backfill] = journal.queued()?;
    let now = start.now();
    let minute_ago_ms = now.timestamp_millis() - 60_000;
    let (first, last, _) = quota_month(now);
    let today = quota_day(now);
    let mut last_minute = 0;
    for endpoint in Endpoint::ALL {
        last_minute += journal.slots(endpoint)?.iter().filter(|slot| slot.sent_ms > minute_ago_ms).count() as u64;
    }
    Ok(Status {
        dates: dates(&journal, &Store::existing(start.disk.clone(), &config.output)?)?,
        queue: Queue { nightly, backfill },
        requests: Requests {
            last_minute,
            today: journal.spent_between(today, today)?,
            this_month: journal.spent_between(first, last)?,
            requests_per_month: config.rate.requests_per_month,
        },
        seconds_left: ((nightly + backfill) * 60).div_ceil(u64::from(config.rate.requests_per_minute)),
    })
}

fn dates(journal: &Journal, dataset: &Store) -> Result<Vec<DateStatus>, Error> {
    let mut dates: BTreeMap<_, DateStatus> = BTreeMap::new();
    for row in journal.coverage()? {
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
    for (date, stays) in journal.rereads_by_date()? {
        let date = dates.entry(date).or_default();
        date.refreshing = stays;
        date.complete = false;
    }
    for day in look::dates(journal, dataset)? {
        dates.entry(day).or_default();
    }
    for (day, date) in &mut dates {
        let look = || look::look(journal, dataset, *day, dataset.list(*day)?, Depth::Names);
        // What another process publishes between two looks is no fault.
        let found = look()?;
        let found = if found.faults.is_empty() { found } else { look()? };
        date.files = found.sound.len() as u64;
        date.samples = found.sound.iter().map(|file| file.samples).sum();
        date.complete &= found.faults.is_empty();
        date.problems = found.faults.iter().map(ToString::to_string).collect();
    }
    Ok(dates.into_iter().map(|(day, date)| DateStatus { date: day, ..date }).collect())
}
