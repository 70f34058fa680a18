//! `vcq status`: coverage by date, the queue, and the requests spent. Works while runs are under way, and
//! creates nothing.

mod text;

use std::collections::BTreeMap;

use serde::Serialize;

pub use super::standing::DateStatus;
use super::standing::{sign_in, standing};
use crate::{
    access::sign_in::Standing,
    config::Config,
    dates::Dates,
    endpoint::Endpoint,
    error::{Error, ExitCode},
    fetch::calendar::{quota_day, quota_month},
    journal::{DateListing, Identity, Journal},
    start::Start,
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
    /// How long the queue takes at the configured rate, by the length of each stay, in seconds: what `vcq plan` says of it.
    pub seconds_left: u64,
    /// How the sign-in stands for that time; none: nobody who signs in asks.
    pub sign_in: Option<Standing>,
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
    /// Of both, those that no run asks for by itself: an alarm has set them aside, and a run whose manifest names them asks for them.
    pub aside: u64,
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
    let dates = standing(&journal, config, start, |_| true)?;
    let seconds_left = (journal.requests_queued()? * 60).div_ceil(u64::from(config.rate.requests_per_minute));
    Ok(Status {
        discovery: discovery(&journal, &dates)?,
        dates,
        queue: Queue { nightly, backfill, aside: journal.queued_aside()? },
        requests: Requests {
            last_minute,
            today: journal.spent_between(today, today)?,
            this_month: journal.spent_between(first, last)?,
            this_month_by_endpoint,
            requests_per_month: config.rate.requests_per_month,
        },
        sign_in: sign_in(config, start, seconds_left)?,
        seconds_left,
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
