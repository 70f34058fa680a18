//! The refusals of one endpoint for its quota: when they last longer than another program's work may. Pure: time is an argument.

use std::time::Duration;

use tokio::time::Instant;

/// Refusals in a row that are more than chance: each may be one of an hour.
const REFUSALS_MIN: u32 = 5;

/// The refusals since the last answer that was none; a fault is no better answer.
#[derive(Debug, Default)]
pub(super) struct Refusals {
    since: Option<Instant>,
    count: u32,
    /// Until when the last one closed the gate.
    until: Option<Instant>,
}

impl Refusals {
    /// Notes that a request was refused for the quota, for `wait` from now on. Returns for how long it has gone on so after
    /// the time that the first refusal named. Those of requests that were under way when the gate was closed say nothing.
    pub(super) fn refusal(&mut self, now: Instant, wait: Duration) -> Option<Duration> {
        let until = self.until.unwrap_or(now);
        self.until = Some(until.max(now + wait));
        if now < until {
            return None;
        }
        let since = *self.since.get_or_insert(now + wait);
        self.count = self.count.saturating_add(1);
        Some(if self.count < REFUSALS_MIN { Duration::ZERO } else { now.saturating_duration_since(since) })
    }

    /// Notes an answer that is neither fault nor refusal.
    pub(super) fn answer(&mut self) {
        *self = Self::default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn refusals_last_until_an_answer_that_is_none() {
        let start = Instant::now();
        let mut refusals = Refusals::default();
        let wait = Duration::from_secs(60);
        for under_way in 1..REFUSALS_MIN {
            assert_eq!(refusals.refusal(start + under_way * wait, wait), Some(Duration::ZERO));
            for _ in 0..REFUSALS_MIN {
                assert_eq!(refusals.refusal(start + under_way * wait, wait), None, "sent before the first");
            }
        }
        assert_eq!(refusals.refusal(start + 9 * wait, wait), Some(7 * wait));
        refusals.answer();
        assert_eq!(refusals.refusal(start + 10 * wait, wait), Some(Duration::ZERO));
    }
}
