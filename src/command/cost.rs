//! What asking for stays costs: requests, time at the configured rate, and the share of the month.

use std::{fmt, time::Duration};

use serde::Serialize;

use crate::{
    config::Config,
    error::Error,
    fetch::calendar::{quota_day, quota_month},
    journal::Journal,
    observe::report::share,
    start::Start,
};

/// The cost of some requests.
#[derive(Clone, Debug, Serialize)]
pub struct Cost {
    /// Requests that are needed, by the length of each stay; faults and refusals come on top.
    pub requests: u64,
    /// How long these take at the configured rate, in seconds.
    pub seconds: u64,
    /// Requests sent in this calendar month (UTC+8) so far.
    pub spent_this_month: u64,
    /// The month's limit, if there is one.
    pub requests_per_month: Option<u64>,
    /// The requests as a share of the month's limit.
    pub share_of_month: Option<f64>,
}

impl Cost {
    /// Of so many requests, from now on.
    pub fn of(requests: u64, journal: &Journal, config: &Config, start: &Start) -> Result<Self, Error> {
        let (first, last, _) = quota_month(start.now());
        let requests_per_month = config.rate.requests_per_month;
        Ok(Self {
            requests,
            seconds: (requests * 60).div_ceil(u64::from(config.rate.requests_per_minute)),
            spent_this_month: journal.spent_between(first, last.max(quota_day(start.now())))?,
            requests_per_month,
            share_of_month: requests_per_month.map(|limit| share(requests, share(limit, 1.0))),
        })
    }
}

impl fmt::Display for Cost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { requests, spent_this_month: spent, .. } = self;
        let time = humantime::format_duration(Duration::from_secs(self.seconds));
        writeln!(f, "requests   {requests} needed: {time} at the configured rate")?;
        match (self.requests_per_month, self.share_of_month) {
            (Some(limit), Some(share)) => {
                writeln!(f, "month      {:.1} % of {limit} requests; {spent} sent this month", share * 100.0)
            }
            _ => writeln!(f, "month      no limit configured; {spent} sent this month"),
        }
    }
}
