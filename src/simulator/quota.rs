//! The server's quotas: so many requests a minute, counted by one of four kinds of window, and so many a month.
//!
//! Written apart from the client's pacer, so that it can convict it. Times are microseconds since the epoch and never
//! go back.

use std::collections::VecDeque;

use chrono::{DateTime, Datelike, FixedOffset};
use rand::Rng;

use super::random::{Purpose, stream};

pub(super) const MINUTE_US: i64 = 60_000_000;

/// How the server counts the requests of a minute. The API's documentation does not say which one it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WindowKind {
    /// The last 60 s before each request.
    Sliding,
    /// Minutes one after the other, with a phase that the seed decides.
    Fixed,
    /// A token bucket that is refilled evenly.
    Bucket,
    /// Fixed minutes, the one before weighted by the share of it that lies in the last 60 s.
    Weighted,
}

/// The quotas of an app.
#[derive(Clone, Debug)]
pub struct QuotaSettings {
    /// How the requests of a minute are counted.
    pub window: WindowKind,
    /// The most requests a minute.
    pub requests_per_minute: u32,
    /// Requests that a full bucket holds; for [`WindowKind::Bucket`] only.
    pub bucket_capacity: u32,
    /// Whether a refused request counts as well; not for [`WindowKind::Bucket`].
    pub count_refused: bool,
    /// The HTTP status of a refusal: 429, or 400 as with older APIs.
    pub refusal_status: u16,
    /// The most successful requests in a calendar month of UTC+8; 0 for no limit.
    pub requests_per_month: u64,
}

impl Default for QuotaSettings {
    fn default() -> Self {
        Self {
            window: WindowKind::Sliding,
            requests_per_minute: 100,
            bucket_capacity: 100,
            count_refused: false,
            refusal_status: 429,
            requests_per_month: 0,
        }
    }
}

/// A refusal: in so many microseconds the next request is let through.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Refused {
    pub(super) wait_us: i64,
}

impl Refused {
    /// The value of `x-ogw-ratelimit-reset`: whole seconds, rounded up.
    pub(super) fn reset_s(&self) -> i64 {
        (self.wait_us + 999_999).div_euclid(1_000_000).max(1)
    }
}

/// Counts the requests of a minute.
pub(super) struct Limiter {
    limit: u32,
    count_refused: bool,
    state: State,
}

enum State {
    Sliding { counted: VecDeque<i64> },
    Minutes { phase_us: i64, minute: i64, count: u32, before: u32, weighted: bool },
    // One request is worth `MINUTE_US` parts; each microsecond adds `limit` of them, so that nothing is rounded.
    Bucket { parts: i64, parts_max: i64, filled_us: i64 },
}

impl Limiter {
    pub(super) fn new(settings: &QuotaSettings, seed: u64) -> Self {
        let phase_us = stream(seed, Purpose::Phase, 0, 0).random_range(0..MINUTE_US);
        let minutes = |weighted| State::Minutes { phase_us, minute: i64::MIN, count: 0, before: 0, weighted };
        let state = match settings.window {
            WindowKind::Sliding => State::Sliding { counted: VecDeque::new() },
            WindowKind::Fixed => minutes(false),
            WindowKind::Weighted => minutes(true),
            WindowKind::Bucket => {
                let parts_max = i64::from(settings.bucket_capacity.max(1)) * MINUTE_US;
                State::Bucket { parts: parts_max, parts_max, filled_us: i64::MIN }
            }
        };
        Self { limit: settings.requests_per_minute.max(1), count_refused: settings.count_refused, state }
    }

    /// Counts a request that arrives now.
    pub(super) fn arrive(&mut self, now_us: i64) -> Result<(), Refused> {
        let (limit, count_refused) = (self.limit, self.count_refused);
        match &mut self.state {
            State::Sliding { counted } => slide(counted, now_us, limit, count_refused),
            State::Minutes { phase_us, minute, count, before, weighted } => {
                let since_phase_us = now_us - *phase_us;
                let this = since_phase_us.div_euclid(MINUTE_US);
                if this != *minute {
                    *before = if minute.checked_add(1) == Some(this) { *count } else { 0 };
                    (*minute, *count) = (this, 0);
                }
                let left_us = MINUTE_US - since_phase_us.rem_euclid(MINUTE_US);
                let carried = if *weighted { i64::from(*before) * left_us } else { 0 };
                let fits = carried + i64::from(*count) * MINUTE_US < i64::from(limit) * MINUTE_US;
                *count = count.saturating_add(u32::from(fits || count_refused));
                if fits { Ok(()) } else { Err(Refused { wait_us: left_us }) }
            }
            State::Bucket { parts, parts_max, filled_us } => {
                let gained = now_us.saturating_sub(*filled_us).saturating_mul(i64::from(limit));
                *parts = parts.saturating_add(gained).min(*parts_max);
                *filled_us = now_us;
                if *parts < MINUTE_US {
                    return Err(Refused { wait_us: (MINUTE_US - *parts).div_euclid(i64::from(limit)) + 1 });
                }
                *parts -= MINUTE_US;
                Ok(())
            }
        }
    }
}

/// The sliding window: `counted` holds the newest requests of the last minute, at most `limit` of them.
fn slide(counted: &mut VecDeque<i64>, now_us: i64, limit: u32, count_refused: bool) -> Result<(), Refused> {
    while counted.front().is_some_and(|first| *first <= now_us - MINUTE_US) {
        counted.pop_front();
    }
    let full = counted.len() >= limit as usize;
    if !full || count_refused {
        counted.push_back(now_us);
    }
    if !full {
        return Ok(());
    }
    if count_refused {
        counted.pop_front();
    }
    let first_us = counted.front().copied().unwrap_or(now_us);
    Err(Refused { wait_us: first_us + MINUTE_US - now_us })
}

/// Counts the successful requests of a calendar month.
#[derive(Default)]
pub(super) struct MonthlyQuota {
    month: (i32, u32),
    used: u64,
}

impl MonthlyQuota {
    /// Whether `limit` requests have succeeded in the month of `now` already.
    pub(super) fn is_used_up(&mut self, now_us: i64, limit: u64) -> bool {
        let zone = FixedOffset::east_opt(8 * 3600).expect("eight hours are a zone's offset");
        let now = DateTime::from_timestamp_micros(now_us).unwrap_or_default().with_timezone(&zone);
        if (now.year(), now.month()) != self.month {
            *self = Self { month: (now.year(), now.month()), used: 0 };
        }
        limit > 0 && self.used >= limit
    }

    /// Counts a request that succeeded.
    pub(super) fn count(&mut self) {
        self.used += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND_US: i64 = 1_000_000;

    fn limiter(window: WindowKind, change: impl FnOnce(&mut QuotaSettings)) -> Limiter {
        let mut settings = QuotaSettings { window, ..QuotaSettings::default() };
        change(&mut settings);
        Limiter::new(&settings, 7)
    }

    fn accepted(limiter: &mut Limiter, times: impl Iterator<Item = i64>) -> usize {
        times.filter(|time| limiter.arrive(*time).is_ok()).count()
    }

    #[test]
    fn a_burst_of_150_is_convicted_by_every_window() {
        for (window, capacity, passes) in [
            (WindowKind::Sliding, 1, 100),
            (WindowKind::Fixed, 1, 100),
            (WindowKind::Weighted, 1, 100),
            (WindowKind::Bucket, 100, 100),
            (WindowKind::Bucket, 10, 10),
        ] {
            let mut limiter = limiter(window, |settings| settings.bucket_capacity = capacity);
            assert_eq!(accepted(&mut limiter, std::iter::repeat_n(0, 150)), passes, "{window:?} {capacity}");
        }
    }

    #[test]
    fn evenly_620_ms_apart_every_window_lets_everything_pass() {
        for window in [WindowKind::Sliding, WindowKind::Fixed, WindowKind::Weighted, WindowKind::Bucket] {
            for count_refused in [false, true] {
                let mut limiter = limiter(window, |settings| settings.count_refused = count_refused);
                assert_eq!(accepted(&mut limiter, (0..5000).map(|k| k * 620_000)), 5000, "{window:?}");
            }
        }
    }

    #[test]
    fn two_bursts_around_a_minute_pass_a_fixed_window_only() {
        let mut fixed = limiter(WindowKind::Fixed, |_| ());
        let State::Minutes { phase_us, .. } = fixed.state else { panic!("a fixed window counts minutes") };
        let burst = |time_us| std::iter::repeat_n(phase_us + time_us, 100);
        let times = || burst(59 * SECOND_US).chain(burst(61 * SECOND_US));
        assert_eq!(accepted(&mut fixed, times()), 200);
        assert_eq!(accepted(&mut limiter(WindowKind::Sliding, |_| ()), times()), 100);
        // 61 s: of the minute before, 59/60 still count.
        assert_eq!(accepted(&mut limiter(WindowKind::Weighted, |_| ()), times()), 102);
        // Two seconds refill three requests and a third.
        assert_eq!(accepted(&mut limiter(WindowKind::Bucket, |_| ()), times()), 103);
    }

    #[test]
    fn refusals_prolong_the_wait_only_where_they_count() {
        for (count_refused, passes) in [(false, 100), (true, 0)] {
            let mut limiter = limiter(WindowKind::Sliding, |settings| settings.count_refused = count_refused);
            assert_eq!(accepted(&mut limiter, std::iter::repeat_n(0, 100)), 100);
            assert_eq!(accepted(&mut limiter, std::iter::repeat_n(30 * SECOND_US, 100)), 0);
            assert_eq!(accepted(&mut limiter, std::iter::repeat_n(60 * SECOND_US, 100)), passes);
        }
    }

    #[test]
    fn the_wait_is_long_enough_and_no_second_too_long() {
        for window in [WindowKind::Sliding, WindowKind::Fixed, WindowKind::Bucket] {
            let mut limiter = limiter(window, |_| ());
            accepted(&mut limiter, std::iter::repeat_n(5 * SECOND_US, 100));
            let refused = limiter.arrive(6 * SECOND_US).map_or_else(|refused| refused, |()| Refused { wait_us: 0 });
            if refused.wait_us > 0 {
                assert!(refused.reset_s() * SECOND_US - refused.wait_us < SECOND_US);
                assert!(limiter.arrive(6 * SECOND_US + refused.wait_us - 2).is_err() || refused.wait_us < 3);
                assert!(limiter.arrive(6 * SECOND_US + refused.wait_us).is_ok(), "{window:?}");
            }
        }
    }

    #[test]
    fn the_month_ends_at_midnight_in_utc_plus_8() {
        let mut quota = MonthlyQuota::default();
        let last_us = 1_740_758_399 * SECOND_US; // 2025-02-28 23:59:59 +08:00
        assert!(!quota.is_used_up(last_us, 2));
        quota.count();
        quota.count();
        assert!(quota.is_used_up(last_us, 2));
        assert!(!quota.is_used_up(last_us, 0));
        assert!(!quota.is_used_up(last_us + SECOND_US, 2));
    }
}
