//! When the next request may be sent: the slots, the gate and the spacing. The only file that names governor.
//!
//! The API counts requests in a window of unknown kind, at their arrival, which the client does not see. So a request
//! takes one of `requests_per_minute` slots when it is sent, and the slot is free again [`HOLD`] after its answer came
//! (after its timeout, if none did). The server counted it before it answered, so by then it has left every window of
//! 60 seconds: the server can never see more. Governor spaces the requests within that, so that a small token bucket
//! or a weighted window is not overrun by a burst. A refusal closes the gate for all requests.

use std::{num::NonZeroU32, time::Duration};

use governor::{
    Quota, RateLimiter,
    clock::Clock,
    middleware::NoOpMiddleware,
    nanos::Nanos,
    state::{InMemoryState, NotKeyed},
};
use tokio::time::Instant;

use crate::{config::Api, journal::SlotId};

/// How long a slot stays taken after its answer: the API's minute, and a little for the drift between two clocks.
pub const HOLD: Duration = Duration::from_millis(60_010);

/// How long a slot stays taken at most, after its request was sent: no answer comes later than the timeouts allow.
pub fn slot_time(api: &Api) -> Duration {
    api.connect_timeout + api.request_timeout + HOLD
}

/// How long all slots take at the even pace: a little longer than a minute, because slots come back an answer's time
/// late all the same, and a weighted window takes a request that its way has delayed for one too many in its minute.
const ROUND: Duration = Duration::from_millis(60_400);

/// Parts of the even pace's period; a request that had to wait for a slot makes up one of them.
const PARTS: NonZeroU32 = NonZeroU32::new(4).expect("four is not zero");

/// tokio's clock, which tests pause, for governor.
#[derive(Clone, Copy, Debug)]
struct TokioClock(Instant);

impl Clock for TokioClock {
    type Instant = Nanos;

    fn now(&self) -> Nanos {
        Nanos::from(self.0.elapsed())
    }
}

/// The pacer of one process.
#[derive(Debug)]
pub struct Pace {
    spacing: RateLimiter<NotKeyed, InMemoryState, TokioClock, NoOpMiddleware<Nanos>>,
    clock: TokioClock,
    /// From one request to the next at the even pace.
    period: Duration,
    slots_max: usize,
    /// Slots taken, each with the moment from which it is free.
    slots: Vec<(SlotId, Instant)>,
    gate: Option<Instant>,
}

/// What a request has to wait for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Turn {
    /// Nothing: the spacing has been taken, the request must be sent.
    Now,
    /// The spacing or a slot.
    Quota(Instant),
    /// The end of a refusal.
    Gate(Instant),
}

impl Pace {
    /// A pacer with all slots free and the gate open.
    pub fn new(requests_per_minute: u32) -> Self {
        let clock = TokioClock(Instant::now());
        let per_minute = NonZeroU32::new(requests_per_minute).unwrap_or(NonZeroU32::MIN);
        let period = ROUND / per_minute.get();
        let quota = Quota::with_period(period / PARTS.get())
            .expect("a minute over some thousands is not zero")
            .allow_burst(PARTS.saturating_add(1));
        Self {
            spacing: RateLimiter::direct_with_clock(quota, clock),
            clock,
            period,
            slots_max: per_minute.get() as usize,
            slots: Vec::new(),
            gate: None,
        }
    }

    /// Goes on where an earlier process ended, which sent its last request so long ago: less than a period ago, the
    /// first turn comes after a whole one.
    pub fn resume(&mut self, sent_ago: Duration) {
        if sent_ago < self.period {
            // All that a new limiter holds; of one that is not full any more nothing is taken.
            let _ = self.spacing.check_n(PARTS.saturating_add(1));
        }
    }

    /// Takes the next turn if it is there, or says when to ask again.
    pub fn turn(&mut self, now: Instant) -> Turn {
        if let Some(gate) = self.gate.filter(|gate| *gate > now) {
            return Turn::Gate(gate);
        }
        self.slots.retain(|(_, free_at)| *free_at > now);
        if self.slots.len() >= self.slots_max {
            let first_free = self.slots.iter().map(|(_, free_at)| *free_at).min();
            return Turn::Quota(first_free.expect("there is at least one slot, and all are taken"));
        }
        match self.spacing.check_n(PARTS).expect("the burst has room for a request") {
            Ok(()) => Turn::Now,
            Err(not_until) => Turn::Quota(now + not_until.wait_time_from(self.clock.now())),
        }
    }

    /// Marks a slot as taken until `free_at` at the latest: the request's timeout and [`HOLD`].
    pub fn take(&mut self, slot: SlotId, free_at: Instant) {
        self.slots.push((slot, free_at));
    }

    /// The slot's answer came: it is free [`HOLD`] from now on.
    pub fn answered(&mut self, slot: SlotId, now: Instant) {
        if let Some((_, free_at)) = self.slots.iter_mut().find(|(id, _)| *id == slot) {
            *free_at = now + HOLD;
        }
    }

    /// Refuses all turns until `until`, or longer if the gate is closed for longer already.
    pub fn close_gate(&mut self, until: Instant) {
        self.gate = self.gate.max(Some(until));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: Duration = Duration::from_secs(60);
    const PERIOD: Duration = Duration::from_millis(604);

    /// When the next turns come, each taken when it is there.
    async fn next_turns(pace: &mut Pace, count: usize) -> Vec<Instant> {
        let mut turns = Vec::new();
        while turns.len() < count {
            match pace.turn(Instant::now()) {
                Turn::Now => turns.push(Instant::now()),
                Turn::Quota(at) | Turn::Gate(at) => tokio::time::sleep_until(at).await,
            }
        }
        turns
    }

    #[tokio::test(start_paused = true)]
    async fn turns_are_spaced_evenly_and_a_quarter_is_made_up() {
        let mut pace = Pace::new(100);
        for idle in [Duration::ZERO, MINUTE / 2] {
            tokio::time::advance(idle).await;
            let turns = next_turns(&mut pace, 100).await;
            for (number, turn) in (1..).zip(&turns[1..]) {
                assert_eq!(*turn - turns[0] + PERIOD / 4, PERIOD * number, "idle time gives no burst");
            }
        }
    }

    #[tokio::test(start_paused = true)]
    async fn the_spacing_outlives_a_process() {
        for (sent_ago, wait) in [(Duration::ZERO, PERIOD), (PERIOD / 2, PERIOD), (PERIOD, Duration::ZERO)] {
            let start = Instant::now();
            let mut pace = Pace::new(100);
            pace.resume(sent_ago);
            let turns = next_turns(&mut pace, 2).await;
            assert_eq!(turns[0] - start, wait, "{sent_ago:?}");
            assert!(turns[1] - start >= wait + PERIOD * 3 / 4, "{sent_ago:?}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_slot_is_free_a_minute_after_its_answer() {
        let mut pace = Pace::new(1);
        let sent = next_turns(&mut pace, 1).await[0];
        pace.take(1, sent + 90 * Duration::from_secs(1));
        tokio::time::advance(MINUTE + MINUTE / 4).await;
        assert_eq!(pace.turn(Instant::now()), Turn::Quota(sent + Duration::from_secs(90)), "no answer yet");
        let answered = Instant::now();
        pace.answered(1, answered);
        assert_eq!(pace.turn(answered), Turn::Quota(answered + HOLD));
        tokio::time::advance(HOLD).await;
        assert_eq!(pace.turn(Instant::now()), Turn::Now);
    }

    #[tokio::test(start_paused = true)]
    async fn a_refusal_closes_the_gate_for_all() {
        let mut pace = Pace::new(100);
        let now = next_turns(&mut pace, 1).await[0];
        pace.close_gate(now + MINUTE);
        pace.close_gate(now + MINUTE / 2);
        assert_eq!(pace.turn(now), Turn::Gate(now + MINUTE), "a shorter refusal does not open it");
        tokio::time::advance(MINUTE).await;
        assert_eq!(pace.turn(Instant::now()), Turn::Now);
    }
}
