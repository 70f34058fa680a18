//! How long to wait after a transient fault. Pure: the jitter is drawn by the caller.

use std::time::Duration;

/// The first wait's upper bound; it doubles with each further attempt.
const BACKOFF_FIRST: Duration = Duration::from_secs(1);

/// The upper bound of all waits.
const BACKOFF_MAX: Duration = Duration::from_secs(60);

/// The wait before the next attempt, or `None` if `attempts` made so far are all that `attempts_max` allows.
///
/// Full jitter: `jitter`, drawn from 0..1, is the share of the exponential bound that is waited.
pub fn backoff(attempts: u32, attempts_max: u32, jitter: f64) -> Option<Duration> {
    if attempts >= attempts_max {
        return None;
    }
    let doublings = attempts.saturating_sub(1).min(16);
    let bound = BACKOFF_FIRST.saturating_mul(1 << doublings).min(BACKOFF_MAX);
    Some(bound.mul_f64(jitter.clamp(0.0, 1.0)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bounds_double_from_a_second_to_a_minute() {
        let bounds: Vec<_> = (1..=9).map(|attempts| backoff(attempts, 9, 1.0).map(|wait| wait.as_secs())).collect();
        let expected = [1, 2, 4, 8, 16, 32, 60, 60].map(Some);
        assert_eq!(bounds[..8], expected);
        assert_eq!(bounds[8], None, "the ninth attempt was the last");
    }

    #[test]
    fn jitter_is_a_share_of_the_bound() {
        assert_eq!(backoff(3, 8, 0.25), Some(Duration::from_secs(1)));
        assert_eq!(backoff(3, 8, 0.0), Some(Duration::ZERO));
        assert_eq!(backoff(u32::MAX - 1, u32::MAX, 1.0), Some(BACKOFF_MAX));
    }
}
