//! Tells an outage of the API from the faults of single requests and single connections. Pure: time is an argument.
//!
//! What is lost with a connection that is known to be lost says nothing of the API, and is not counted. In an outage only a
//! request that was sent since it began, a probe, shows that it goes on; what was under way at its beginning does not.

use std::time::Duration;

use tokio::time::Instant;

use super::WorkId;
use crate::endpoint::Endpoint;

/// Faults in a row, without any other answer, that mean an outage: four minutes of requests.
const FAULTS_MIN: u32 = 400;

/// How often one request tries whether the outage is over.
pub(super) const PROBE_EVERY: Duration = Duration::from_secs(60);

/// What a fault says of the API.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sign {
    /// Nothing by itself.
    Fault,
    /// That there is an outage: said once.
    Begins,
    /// That the outage goes on: a probe has failed.
    GoesOn,
    /// Nothing new: its request was on the way when the outage began, or was lost with a connection that is known to be.
    Nothing,
}

/// The faults of all endpoints since the last answer.
#[derive(Debug, Default)]
pub(super) struct Outage {
    since: Option<Instant>,
    faults: u32,
    /// When the last of these faults showed that there is an outage.
    declared: Option<Instant>,
    /// What failed for these faults.
    failed: Vec<(Endpoint, WorkId)>,
}

impl Outage {
    /// Notes the fault of a request that was sent at `sent`; `is_known` if it was lost with a connection that is known to
    /// be lost.
    pub(super) fn fault(&mut self, now: Instant, sent: Instant, is_known: bool) -> Sign {
        if let Some(declared) = self.declared {
            return if sent > declared { Sign::GoesOn } else { Sign::Nothing };
        }
        if is_known {
            return Sign::Nothing;
        }
        self.since.get_or_insert(now);
        self.faults = self.faults.saturating_add(1);
        if self.faults < FAULTS_MIN {
            return Sign::Fault;
        }
        self.declared = Some(now);
        Sign::Begins
    }

    /// Notes an answer: whatever it says, the API is there.
    pub(super) fn answer(&mut self) {
        *self = Self::default();
    }

    /// Notes what failed for its faults, which an outage would excuse.
    pub(super) fn failed(&mut self, endpoint: Endpoint, id: WorkId) {
        self.failed.push((endpoint, id));
    }

    /// What of this endpoint failed for these faults, once.
    pub(super) fn take_failed(&mut self, endpoint: Endpoint) -> Vec<WorkId> {
        self.failed.extract_if(.., |(of, _)| *of == endpoint).map(|(_, id)| id).collect()
    }

    /// True while there is an outage: faults are nobody's fault, and one request at a time is enough to see its end.
    pub(super) fn is_on(&self) -> bool {
        self.declared.is_some()
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
            assert_eq!(outage.fault(start, start, false), Sign::Fault);
        }
        assert_eq!((outage.is_on(), outage.lasted(start)), (false, None));
        outage.failed(Endpoint::Quality, 7);
        assert_eq!(outage.fault(start + PROBE_EVERY, start, false), Sign::Begins, "the last of them shows it, once");
        assert_eq!(outage.lasted(start + 2 * PROBE_EVERY), Some(2 * PROBE_EVERY));
        assert_eq!(outage.take_failed(Endpoint::Quality), [7]);
        assert!(outage.take_failed(Endpoint::Quality).is_empty(), "once");
        outage.answer();
        assert!(!outage.is_on());
        assert_eq!(outage.fault(start, start, false), Sign::Fault, "counting starts over");
    }

    #[tokio::test(start_paused = true)]
    async fn only_probes_say_that_an_outage_goes_on() {
        let start = Instant::now();
        let mut outage = Outage::default();
        while outage.fault(start, start, false) != Sign::Begins {}
        for under_way in 0..15 {
            assert_eq!(
                outage.fault(start + PROBE_EVERY / 2, start, false),
                Sign::Nothing,
                "{under_way} was on its way"
            );
        }
        let probed = start + PROBE_EVERY;
        for is_known in [false, true] {
            assert_eq!(outage.fault(probed + PROBE_EVERY / 2, probed, is_known), Sign::GoesOn);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_lost_connection_is_no_outage_however_many_requests_are_lost_with_it() {
        let start = Instant::now();
        let mut outage = Outage::default();
        assert_eq!(outage.fault(start, start, false), Sign::Fault, "the first one tells of the loss");
        for _ in 0..2 * FAULTS_MIN {
            assert_eq!(outage.fault(start, start, true), Sign::Nothing);
        }
        assert!(!outage.is_on());
    }
}
