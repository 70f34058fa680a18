//! When a run sends no more requests.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use tokio::time::Instant;

/// A time limit, as `--until` gives it.
///
/// A duration is measured by a clock that nobody sets. A time of day is that of the wall clock; but should that be set
/// back, the run ends no later than the time of day was away when the run began.
#[derive(Clone, Copy, Debug)]
pub struct Until {
    at: DateTime<Utc>,
    is_time_of_day: bool,
    deadline: Instant,
}

impl Until {
    /// So long from now on, which is `now` by the wall clock; none if that is beyond the calendar.
    pub fn after(duration: Duration, now: DateTime<Utc>) -> Option<Self> {
        let at = now.checked_add_signed(TimeDelta::from_std(duration).ok()?)?;
        Some(Self { at, is_time_of_day: false, deadline: Instant::now().checked_add(duration)? })
    }

    /// When the wall clock, which shows `now`, shows `at`.
    pub fn at(at: DateTime<Utc>, now: DateTime<Utc>) -> Self {
        let away = (at - now).to_std().unwrap_or_default();
        Self { at, is_time_of_day: true, deadline: Instant::now() + away }
    }

    /// The limit by the wall clock as it was when the run began.
    pub fn time(&self) -> DateTime<Utc> {
        self.at
    }

    /// Whether the limit is reached, at `now` by the wall clock.
    pub fn is_reached(&self, now: DateTime<Utc>) -> bool {
        self.deadline <= Instant::now() || self.is_time_of_day && self.at <= now
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: Duration = Duration::from_secs(3600);

    #[tokio::test(start_paused = true)]
    async fn a_clock_that_is_set_back_prolongs_no_run() {
        let now: DateTime<Utc> = "2026-03-08T01:30:00Z".parse().unwrap();
        let limits = [Until::after(HOUR, now).unwrap(), Until::at(now + HOUR, now)];
        let back = now - TimeDelta::days(1);
        tokio::time::advance(Duration::from_millis(3_599_999)).await;
        assert!(limits.iter().all(|limit| !limit.is_reached(back)));
        tokio::time::advance(Duration::from_millis(1)).await;
        assert!(limits.iter().all(|limit| limit.is_reached(back)));
    }

    #[tokio::test(start_paused = true)]
    async fn a_clock_that_is_set_forward_ends_a_run_with_a_time_of_day_alone() {
        let now: DateTime<Utc> = "2026-03-08T01:30:00Z".parse().unwrap();
        assert!(!Until::after(HOUR, now).unwrap().is_reached(now + 2 * HOUR));
        assert!(Until::at(now + HOUR, now).is_reached(now + 2 * HOUR));
        assert!(Until::after(Duration::MAX, now).is_none());
    }
}
