//! `vcq status`: coverage by date, the queue, and the requests spent. Works while runs are under way, and
//! creates nothing.

mod text;

use std::collections::BTreeMap;

use chrono::NaiveDate;
use serde::Serialize;

use super::export::closes_at_s;
use crate::{
    config::Config,
    dataset::Dataset,
    dates::Dates,
    endpoint::Endpoint,
    error::{Error, ExitCode},
    fetch::calendar::{quota_day, quota_month},
    journal::{DateListing, Identity, Journal, State},
    publish::{
        listed,
        look::{self, Depth},
    },
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
    /// What has been discovered; none: nothing was.
    pub discovery: Option<Discovery>,
    /// Requests sent.
    pub requests: Requests,
    /// How long the queue takes at the configured rate, at one request a stay, in seconds.
    pub seconds_left: u64,
    /// Whether the text tells of complete dates too.
    #[serde(skip)]
    tells_all: bool,
}

impl Status {
    /// Of these dates alone, with a row for each that nobody has ever named; otherwise of all dates, complete ones too if
    /// `tells_all`.
    #[must_use]
    pub fn showing(mut self, dates: Option<Dates>, tells_all: bool) -> Self {
        self.tells_all = tells_all || dates.is_some();
        if let Some(dates) = dates {
            let known = std::mem::take(&mut self.dates);
            let mut known: BTreeMap<_, _> = known.into_iter().map(|date| (date.date, date)).collect();
            let of = |day| known.remove(&day).unwrap_or(DateStatus { date: day, ..DateStatus::default() });
            self.dates = dates.each().map(of).collect();
        }
        self
    }

    /// 0 if all dates are complete, 65 if some of them failed and nothing else is left to do, 75 otherwise.
    pub fn exit_code(&self) -> ExitCode {
        let is_left = |date: &&DateStatus| !date.complete;
        let is_failed = |date: &DateStatus| date.failed > 0 && date.pending + date.refreshing == 0;
        if !self.dates.iter().any(|date| is_left(&date)) {
            ExitCode::Complete
        } else if self.dates.iter().filter(is_left).all(is_failed) {
            ExitCode::SomeFailed
        } else {
            ExitCode::Again
        }
    }
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
    /// Whether its meetings are listed: `unlisted`, `open` (a run that names it lists it again) or `closed`; none: nobody has asked
    /// for them.
    pub listing: Option<&'static str>,
    /// Meetings that are known of it.
    pub meetings: u64,
    /// What of it is not on disk as it should be, by names and sizes.
    pub problems: Vec<String>,
    /// True if all done stays with samples are in visible files, and nothing is pending, failed or asked for again.
    pub complete: bool,
}

/// What has been discovered of all dates.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub struct Discovery {
    /// Dates listed once nothing more was to come.
    pub closed: u64,
    /// Dates listed before that, which a run that names them lists again.
    pub open: u64,
    /// Dates asked for and not listed as a whole.
    pub unlisted: u64,
    /// Meetings.
    pub meetings: u64,
    /// Attendances.
    pub attendances: u64,
    /// Listings of meetings to be asked for.
    pub meetings_queued: u64,
    /// Listings of participants to be asked for.
    pub participants_queued: u64,
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
#[derive(Clone, Debug, Serialize)]
pub struct Requests {
    /// In the last minute.
    pub last_minute: u64,
    /// Today (UTC+8).
    pub today: u64,
    /// This calendar month (UTC+8).
    pub this_month: u64,
    /// Of these, to each endpoint.
    pub this_month_by_endpoint: BTreeMap<&'static str, u64>,
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
    let mut this_month_by_endpoint = BTreeMap::new();
    for endpoint in Endpoint::ALL {
        this_month_by_endpoint.insert(endpoint.name(), journal.spent_at(endpoint, first, last)?);
        last_minute += journal.slots(endpoint)?.iter().filter(|slot| slot.sent_ms > minute_ago_ms).count() as u64;
    }
    let dates = dates(&journal, config, start)?;
    Ok(Status {
        discovery: discovery(&journal, &dates)?,
        dates,
        queue: Queue { nightly, backfill },
        requests: Requests {
            last_minute,
            today: journal.spent_between(today, today)?,
            this_month: journal.spent_between(first, last)?,
            this_month_by_endpoint,
            requests_per_month: config.rate.requests_per_month,
        },
        seconds_left: ((nightly + backfill) * 60).div_ceil(u64::from(config.rate.requests_per_minute)),
        tells_all: false,
    })
}

/// The dates as a whole, if anybody has asked for their meetings.
fn discovery(journal: &Journal, dates: &[DateStatus]) -> Result<Option<Discovery>, Error> {
    let stand = |listing: DateListing| dates.iter().filter(|date| date.listing == Some(listing.name())).count() as u64;
    let discovery = Discovery {
        closed: stand(DateListing::Closed),
        open: stand(DateListing::Open),
        unlisted: stand(DateListing::Unlisted),
        meetings: dates.iter().map(|date| date.meetings).sum(),
        attendances: journal.attendances()?,
        meetings_queued: journal.listings_queued(Endpoint::Meetings)?,
        participants_queued: journal.listings_queued(Endpoint::Participants)?,
    };
    Ok((discovery.closed + discovery.open + discovery.unlisted > 0).then_some(discovery))
}

/// What is known of listings, date by date.
fn add_listings(
    journal: &Journal,
    config: &Config,
    start: &Start,
    dates: &mut BTreeMap<NaiveDate, DateStatus>,
) -> Result<(), Error> {
    for day in journal.listing_dates()? {
        let listing = journal.date_listing(day, closes_at_s(day, config))?;
        // Its stays are complete if all that there are is: a date without meetings too.
        let date = dates.entry(day).or_insert_with(|| DateStatus { complete: true, ..DateStatus::default() });
        date.listing = Some(listing.name());
        date.complete &= listing == DateListing::Closed;
    }
    for (day, meetings) in journal.meetings_by_date()? {
        dates.entry(day).or_insert_with(|| DateStatus { complete: true, ..DateStatus::default() }).meetings = meetings;
    }
    for dataset in Dataset::LISTED {
        let Some(folder) = config.discover.folder(dataset) else { continue };
        let store = Store::existing(start.disk.clone(), folder)?;
        for day in listed::dates(journal, &store, dataset)? {
            let faults = listed::look(journal, &store, (dataset, day), Depth::Names)?.faults;
            let date = dates.entry(day).or_default();
            date.complete &= faults.is_empty();
            date.problems.extend(faults.iter().map(|fault| format!("{}: {fault}", dataset.name())));
        }
    }
    Ok(())
}

fn dates(journal: &Journal, config: &Config, start: &Start) -> Result<Vec<DateStatus>, Error> {
    let dataset = &Store::existing(start.disk.clone(), &config.output)?;
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
    add_listings(journal, config, start, &mut dates)?;
    Ok(dates.into_iter().map(|(day, date)| DateStatus { date: day, ..date }).collect())
}
