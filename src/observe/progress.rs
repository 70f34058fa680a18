//! Progress of a run: a fold over its events. On a terminal a bar at its foot; elsewhere a log line a minute.

use std::{collections::VecDeque, fmt, time::Duration};

use chrono::{DateTime, Utc};
use chrono_tz::Tz;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use tokio::time::Instant;
use tracing::info;

use crate::{
    endpoint::Endpoint,
    event::{Event, Wait},
    journal::State,
    start::Start,
    words::duration,
};

const MINUTE: Duration = Duration::from_secs(60);

/// From so much time left on, people want to know the clock time at which a run will be done.
const CLOCK_FROM: Duration = Duration::from_secs(3_600);

/// A run's progress, and where it is shown.
#[derive(Debug)]
pub struct Progress {
    bar: ProgressBar,
    start: Start,
    zone: Tz,
    requests_per_minute: u32,
    /// When requests of the last minute were sent.
    sent: VecDeque<Instant>,
    state: Shown,
    /// When the last log line said how far the run is.
    logged: Option<Instant>,
}

/// What is shown.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Shown {
    stays: u64,
    settled: u64,
    failed: u64,
    samples: u64,
    pages: u64,
    requests_needed: u64,
    /// Listings to be asked for.
    listings: u64,
    requests_in_last_minute: usize,
    faults: u64,
    left: Duration,
    done_at: Option<String>,
    waiting_for: Option<Wait>,
}

impl Progress {
    /// Progress drawn on standard error if that is a terminal, with clock times of `zone`.
    pub fn new(requests_per_minute: u32, start: &Start, zone: Tz) -> Self {
        let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr_with_hz(4));
        let style = ProgressStyle::with_template("{bar:12} {percent:>3}% {wide_msg}");
        bar.set_style(style.expect("the template is well formed").progress_chars("=> "));
        Self {
            bar,
            start: start.clone(),
            zone,
            requests_per_minute,
            sent: VecDeque::new(),
            state: Shown::default(),
            logged: None,
        }
    }

    /// The bar, for log lines to be written above it.
    pub fn bar(&self) -> ProgressBar {
        self.bar.clone()
    }

    /// Takes one event in; `faults` is how many there were in the last minute.
    pub(super) fn take(&mut self, event: &Event<'_>, faults: u64) {
        self.state.faults = faults;
        match event {
            Event::Enqueued { rows, .. } => {
                self.state.stays = rows.stays + rows.asked_again;
                self.state.settled = rows.landed + rows.settled;
                // What has landed so far is not among them.
                self.state.requests_needed = rows.requests + rows.asked_again;
                self.state.pages = 0;
            }
            Event::Discovering { left } => {
                self.state.stays += left.stays;
                self.state.requests_needed += left.requests;
                self.state.listings = left.listings;
            }
            Event::PageListed { brought, .. } => {
                self.state.stays += u64::from(brought.stays);
                self.state.requests_needed += u64::from(brought.requests);
                self.state.listings += u64::from(brought.listings);
            }
            Event::Listed { .. } => self.state.listings = self.state.listings.saturating_sub(1),
            Event::Sent { .. } => self.sent.push_back(Instant::now()),
            Event::Landed { samples } => {
                self.state.samples += u64::from(*samples);
                self.state.pages += 1;
            }
            Event::Settled { state, .. } => {
                self.state.settled += 1;
                self.state.failed += u64::from(matches!(state, State::Failed | State::Rejected));
            }
            Event::Unsettled { endpoint: Endpoint::Quality, state, count } => {
                self.state.settled = self.state.settled.saturating_sub(*count);
                if matches!(state, State::Failed | State::Rejected) {
                    self.state.failed = self.state.failed.saturating_sub(*count);
                }
            }
            Event::Unsettled { count, .. } => self.state.listings += count,
            Event::Waiting { cause, .. } => self.state.waiting_for = Some(*cause),
            Event::Waited { .. } => self.state.waiting_for = None,
            Event::Queued { holder, left } => {
                let who = holder.unwrap_or("another vcq process of this state folder");
                self.bar.set_message(format!("waiting: {who} is fetching, {left} stays are queued"));
                self.bar.tick();
                return;
            }
            _ => return,
        }
        self.show();
    }

    /// Removes the bar.
    pub fn finish(&self) {
        self.bar.finish_and_clear();
    }

    fn show(&mut self) {
        while self.sent.front().is_some_and(|at| at.elapsed() > MINUTE) {
            self.sent.pop_front();
        }
        let now = Instant::now();
        let is_due = now - *self.logged.get_or_insert(now) >= MINUTE;
        if self.bar.is_hidden() && !is_due {
            return;
        }
        self.measure();
        if self.bar.is_hidden() {
            self.logged = Some(now);
            info!("{}", self.state);
            return;
        }
        self.bar.set_length(self.state.requests_needed.max(self.state.pages));
        self.bar.set_position(self.state.pages);
        self.bar.set_message(self.state.to_string());
        self.bar.tick();
    }

    fn measure(&mut self) {
        let state = &mut self.state;
        state.requests_in_last_minute = self.sent.len();
        let left = state.requests_needed.saturating_sub(state.pages);
        state.left = Duration::from_secs(left * 60 / u64::from(self.requests_per_minute.max(1)));
        state.done_at = (state.left >= CLOCK_FROM).then(|| done_at(self.start.now(), state.left, self.zone));
    }
}

/// Shows on `bar` how far a command is that has no events.
pub fn counts(bar: ProgressBar) -> impl Fn(&str, u64, Option<u64>) + Send + Sync + 'static {
    move |what, done, total| {
        if let Some(total) = total {
            bar.set_length(total);
            bar.set_position(done);
        }
        bar.set_message(counted(what, done, total));
    }
}

fn counted(what: &str, done: u64, total: Option<u64>) -> String {
    total.map_or_else(|| format!("{done} {what}"), |total| format!("{done}/{total} {what}"))
}

/// When a run will be done, by the clocks of `zone`.
fn done_at(now: DateTime<Utc>, left: Duration, zone: Tz) -> String {
    let now = now.with_timezone(&zone);
    let done = now + left;
    let form = if done.date_naive() == now.date_naive() { "%H:%M" } else { "%a %d %b %H:%M" };
    done.format(form).to_string()
}

/// The most important first: a narrow terminal shows no more.
impl fmt::Display for Shown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { stays, settled, failed, samples, listings, requests_in_last_minute, faults, .. } = self;
        if !self.left.is_zero() {
            write!(f, "{} left", duration(self.left))?;
            if let Some(done_at) = &self.done_at {
                write!(f, ", done {done_at}")?;
            }
            f.write_str(" · ")?;
        }
        write!(f, "{settled}/{stays} stays")?;
        if *listings > 0 {
            write!(f, " · {listings} to list")?;
        }
        for (count, what) in [(failed, "failed"), (faults, "faults/min")] {
            if *count > 0 {
                write!(f, " · {count} {what}")?;
            }
        }
        write!(f, " · {requests_in_last_minute} requests/min")?;
        if let Some(wait) = self.waiting_for {
            write!(f, " · waits for {}", wait.name())?;
        }
        write!(f, " · {samples} samples")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_matters_most_comes_first() {
        let calm = Shown { stays: 40, settled: 12, samples: 360, left: Duration::from_secs(17), ..Shown::default() };
        let busy = Shown {
            failed: 2,
            faults: 7,
            requests_in_last_minute: 99,
            left: Duration::from_secs(7_260),
            done_at: Some("14:05".into()),
            waiting_for: Some(Wait::Quota),
            ..calm.clone()
        };
        assert_eq!(calm.to_string(), "17 s left · 12/40 stays · 0 requests/min · 360 samples");
        let discovering = Shown { listings: 3, ..calm.clone() };
        assert_eq!(discovering.to_string(), "17 s left · 12/40 stays · 3 to list · 0 requests/min · 360 samples");
        assert_eq!(
            busy.to_string(),
            "2 h 1 min left, done 14:05 · 12/40 stays · 2 failed · 7 faults/min · 99 requests/min · waits for the quota \
             · 360 samples"
        );
    }

    #[test]
    fn a_total_is_told_where_it_is_known() {
        assert_eq!(counted("dates", 3, Some(31)), "3/31 dates");
        assert_eq!(counted("rows", 20_000, None), "20000 rows");
    }

    #[test]
    fn a_day_is_told_where_it_is_another_one() {
        let now = "2026-03-08T01:30:00Z".parse().unwrap();
        for (hours, zone, expected) in [
            (2, Tz::UTC, "03:30"),
            (2, Tz::Asia__Shanghai, "11:30"),
            (30, Tz::UTC, "Mon 09 Mar 07:30"),
            (23, Tz::UTC, "Mon 09 Mar 00:30"),
        ] {
            assert_eq!(done_at(now, Duration::from_secs(hours * 3_600), zone), expected);
        }
    }
}
