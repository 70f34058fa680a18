//! `vcq plan --discover`: what a discovery of dates would cost, by what the journal knows of them.

use std::fmt;

use serde::Serialize;

use crate::{
    access::sign_in::{Standing, write_sign_in},
    command::{
        cost::Cost,
        standing::{closes_at_s, sign_in},
    },
    config::Config,
    dates::Dates,
    error::Error,
    journal::{DateListing, Identity, Journal, JournalError},
    start::Start,
};

/// The cost of a discovery, and of the export of what is known by now.
#[derive(Clone, Debug, Serialize)]
pub struct DiscoveryPlan {
    /// Dates that are closed: nothing is asked for.
    pub closed: u64,
    /// Dates that are listed again.
    pub open: u64,
    /// Dates that were never listed as a whole.
    pub unlisted: u64,
    /// Requests for the meetings of the dates that are not closed: as many as the last time, or one.
    pub meeting_requests: u64,
    /// Meetings known by now whose participants are to be asked for, one request for each hundred of them.
    pub participant_requests: u64,
    /// What asking for the samples of the stays that are known and pending costs.
    #[serde(flatten)]
    pub cost: Cost,
    /// How the sign-in stands for all of that time; none: nobody who signs in asks.
    pub sign_in: Option<Standing>,
}

/// Counts; no request is made, and nothing is created.
///
/// # Errors
///
/// If the journal that is there was begun otherwise.
pub fn plan_discovery(dates: Dates, config: &Config, start: &Start) -> Result<DiscoveryPlan, Error> {
    let journal = match Journal::read(&config.state, &Identity::of(config)) {
        Err(JournalError::Missing(_)) => Journal::nowhere(&config.state)?,
        opened => opened?,
    };
    let (mut closed, mut open, mut unlisted, mut meeting_requests) = (0, 0, 0, 0);
    for date in dates.each() {
        match journal.date_listing(date, closes_at_s(date, config))? {
            DateListing::Closed => {
                closed += 1;
                continue;
            }
            DateListing::Open => open += 1,
            DateListing::Unlisted => unlisted += 1,
        }
        meeting_requests += journal.pages_of_date(date)?.max(1);
    }
    let Dates { first, last } = dates;
    let participant_requests = journal.participants_left(first, last)?;
    let cost = Cost::of(journal.requests_left(first, last)?, &journal, config, start)?;
    // Endpoints are asked side by side.
    let listing_s = meeting_requests.max(participant_requests) * 60 / u64::from(config.rate.requests_per_minute);
    Ok(DiscoveryPlan {
        closed,
        open,
        unlisted,
        meeting_requests,
        participant_requests,
        sign_in: sign_in(config, start, cost.seconds.max(listing_s))?,
        cost,
    })
}

impl fmt::Display for DiscoveryPlan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { closed, open, unlisted, meeting_requests, participant_requests, cost, sign_in } = self;
        writeln!(f, "dates      {closed} closed, {open} open, {unlisted} not listed yet")?;
        writeln!(f, "meetings   {meeting_requests} requests at least, by the last listing of each date")?;
        writeln!(
            f,
            "people     {participant_requests} requests at least, and one for each meeting that is found or has changed"
        )?;
        writeln!(f, "samples    of the stays that are known and pending:")?;
        write!(f, "{cost}")?;
        write_sign_in(f, "sign-in    ", sign_in.as_ref())
    }
}
