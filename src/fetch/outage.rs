//! Tells an outage of the API from the faults of single requests. Pure: time is an argument.

use std::time::Duration;

use tokio::time::Instant;

use crate::journal::StayId;

/// Faults in a row, without any other answer, that mean an outage: four minutes of requests.
const FAULTS_MIN: u32 = 400;

/// How often one request tries whether the outage is over.
pub(super) const PROBE_EVERY: Duration = Duration::from_secs(60);

/// The faults since the last useful answer.
#[derive(Debug, Default)]
pub(super) struct Outage {
    since: Option<Instant>,
    faults: u32,
    /// Stays that failed for these faults.
    failed: Vec<StayId>,
}

impl Outage {
    /// Notes a fault. True if this one shows that there is an outage.
    pub(super) fn fault(&mut self, now: Instant) -> bool {
        self.since.get_or_insert(now);
        self.faults = self.faults.saturating_add(1);
        self.faults == FAULTS_MIN
    }

    /// Notes an answer that is no fault: whatever it says, the API is there.
    pub(super) fn answer(&mut self) {
        *self = Self::default();
    }

    /// Notes that a stay failed for its faults, which an outage would excuse.
    pub(super) fn failed(&mut self, stay: StayId) {
        self.failed.push(stay);
    }

    /// The stays that failed for these faults, once.
    pub(super) fn take_failed(&mut self) -> Vec<StayId> {
        std::mem::take(&mut self.failed)
    }

    /// True while there is an outage: faults are nobody's fault, and one request at a time is enough to see its end.
    pub(super) fn is_on(&self) -> bool {
        self.faults >= FAULTS_MIN
    }

    /// How long it has lasted, while it lasts.
    pub(super) fn lasted(&self, now: Instant) -> Option<Duration> {
        self.since.filter(|_| self.is_on()).map(|since| now - since)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn four_hundred_faults_in_a_row_are_an_outage_until_the_next_answer() {
        let start = Instant::now();
        let mut outage = Outage::default();
        for _ in 1..FAULTS_MIN {
            assert!(!outage.fault(start));
        }
        assert_eq!((outage.is_on(), outage.lasted(start)), (false, None));
        outage.failed(7);
        assert!(outage.fault(start + PROBE_EVERY), "the last of them shows it, once");
        assert!(!outage.fault(start + PROBE_EVERY));
        assert_eq!(outage.lasted(start + 2 * PROBE_EVERY), Some(2 * PROBE_EVERY));
        assert_eq!(outage.take_failed(), [7]);
        outage.answer();
        assert!(!outage.is_on());
        assert!(!outage.fault(start), "counting starts over");
    }
}
