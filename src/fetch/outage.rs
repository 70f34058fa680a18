//! Tells an outage of the API from the faults of single requests and single connections. Pure: time is an argument.
//!
//! What is lost with a connection that is known to be lost says nothing of the API, and is not counted. In an outage only a
//! request that was sent since it began, a probe, shows that it goes on; what was under way at its beginning does not.

use std::time::Duration;

use tokio::time::Instant;

use crate::journal::StayId;

/// Faults in a row, without any other answer, that mean an outage: four minutes of requests.
const FAULTS_MIN: u32 = 400;

/// Refusals in a row that are more than chance: each may be one of an hour.
const REFUSALS_MIN: u32 = 5;

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

/// The faults and the refusals since the last useful answer.
#[derive(Debug, Default)]
pub(super) struct Outage {
    since: Option<Instant>,
    refused_since: Option<Instant>,
    refusals: u32,
    /// Until when the last refusal closed the gate.
    refused_until: Option<Instant>,
    faults: u32,
    /// When the last of these faults showed that there is an outage.
    declared: Option<Instant>,
    /// Stays that failed for these faults.
    failed: Vec<StayId>,
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

    /// Notes an answer that is neither fault nor refusal: whatever it says, the API is there.
    pub(super) fn answer(&mut self) {
        *self = Self::default();
    }

    /// Notes that a request was refused for the quota, for `wait` from now on: the API is there, but for somebody else.
    /// Returns for how long it has gone on so after the time that the first refusal named. Those of requests that were under
    /// way when the gate was closed say nothing more.
    pub(super) fn refusal(&mut self, now: Instant, wait: Duration) -> Duration {
        let until = self.refused_until.unwrap_or(now);
        self.refused_until = Some(until.max(now + wait));
        if now < until {
            return Duration::ZERO;
        }
        let since = *self.refused_since.get_or_insert(now + wait);
        *self = Self {
            refused_since: Some(since),
            refusals: self.refusals.saturating_add(1),
            refused_until: self.refused_until,
            ..Self::default()
        };
        if self.refusals < REFUSALS_MIN { Duration::ZERO } else { now.saturating_duration_since(since) }
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
        outage.failed(7);
        assert_eq!(outage.fault(start + PROBE_EVERY, start, false), Sign::Begins, "the last of them shows it, once");
        assert_eq!(outage.lasted(start + 2 * PROBE_EVERY), Some(2 * PROBE_EVERY));
        assert_eq!(outage.take_failed(), [7]);
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

    #[tokio::test(start_paused = true)]
    async fn refusals_last_until_an_answer_that_is_none() {
        let start = Instant::now();
        let mut outage = Outage::default();
        let wait = PROBE_EVERY;
        for under_way in 1..REFUSALS_MIN {
            assert_eq!(outage.refusal(start + under_way * wait, wait), Duration::ZERO);
            for _ in 0..REFUSALS_MIN {
                assert_eq!(outage.refusal(start + under_way * wait, wait), Duration::ZERO, "sent before the first");
            }
        }
        outage.fault(start, start, false);
        assert_eq!(outage.refusal(start + 9 * wait, wait), 7 * wait, "a fault is no better answer");
        outage.answer();
        assert_eq!(outage.refusal(start + 10 * wait, wait), Duration::ZERO);
    }
}
