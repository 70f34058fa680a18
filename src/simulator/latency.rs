//! How long requests and answers travel.

use std::time::Duration;

use rand::{Rng, rngs::StdRng};

use super::random::exponential;

/// How long it takes from sending a request to its whole answer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Latency {
    /// Drawn: a median of about 0.35 s, about 50 ms of it before the request arrives; one request in 100 arrives
    /// 0.4 s later on average, one answer in 200 takes up to 8 s longer.
    #[default]
    Drawn,
    /// Always the same, a quarter of it before the request arrives.
    Constant(Duration),
}

impl Latency {
    /// From the client's sending to the request's arrival.
    pub(super) fn travel(self, rng: &mut StdRng) -> Duration {
        match self {
            Self::Constant(whole) => whole / 4,
            Self::Drawn => {
                let late_s = if rng.random_bool(0.01) { exponential(rng, 0.4) } else { 0.0 };
                seconds(0.02 + exponential(rng, 0.03) + late_s)
            }
        }
    }

    /// From the request's arrival to the answer's.
    pub(super) fn answer(self, rng: &mut StdRng) -> Duration {
        match self {
            Self::Constant(whole) => whole.saturating_sub(whole / 4),
            Self::Drawn => {
                let slow_s = if rng.random_bool(0.005) { rng.random_range(0.0..8.0) } else { 0.0 };
                seconds(0.2 + exponential(rng, 0.1) + exponential(rng, 0.03) + slow_s)
            }
        }
    }
}

fn seconds(seconds: f64) -> Duration {
    Duration::try_from_secs_f64(seconds).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::simulator::random::{Purpose, stream};

    #[test]
    fn the_median_is_about_350_ms_with_a_tail_of_seconds() {
        let rng = &mut stream(1, Purpose::Travel, 0, 0);
        let mut times: Vec<_> = (0..10_000).map(|_| Latency::Drawn.travel(rng) + Latency::Drawn.answer(rng)).collect();
        times.sort();
        let milliseconds = |share: usize| times[times.len() * share / 1000].as_millis();
        assert!((330..390).contains(&milliseconds(500)), "{}", milliseconds(500));
        assert!(milliseconds(998) > 2000);
        assert!(milliseconds(999) < 9000);
    }
}
