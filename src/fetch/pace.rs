//! When the next request may be sent: the slots, the gate and the spacing. The only file that names governor.
//!
//! The API counts requests in a window of unknown kind, at their arrival, which the client does not see. So a request
//! takes one of `requests_per_minute` slots when it is sent, and the slot is free again [`HOLD`] after its answer came
//! (after its timeout, if none did). The server counted it before it answered, so by then it has left every window of
//! 60 seconds: the server can never see more.
//!
//! A server that weights the minute before by the share of it that is not over yet takes requests that came in clumps
//! for more than there were. Where its minutes begin is unknown, so a request waits until no beginning gives it too many
//! ([`weighted_room`]). Governor spaces the requests within that, so that a small token bucket is not overrun by a burst.
//! A refusal closes the gate for all requests.

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

/// The API's minute.
const MINUTE: Duration = Duration::from_secs(60);

/// A request that waits for its answer longer than this has arrived: what is slow then is the answer. Only
/// [`weighted_room`] relies on it, because a single slow answer would cost every minute that it overlaps a request.
const ARRIVES_WITHIN: Duration = Duration::from_secs(2);

/// Requests that may be sent at once with another one, after an idle time: one that had to wait for a slot makes up for
/// it.
const MADE_UP: NonZeroU32 = NonZeroU32::new(1).expect("one is not zero");

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
    slots_max: usize,
    /// The slots taken, and those that have been free for less than [`HOLD`], by the arrival of their requests.
    slots: Vec<Slot>,
    gate: Option<Instant>,
}

/// A request's slot.
#[derive(Clone, Copy, Debug)]
struct Slot {
    id: SlotId,
    /// When the request has arrived at the latest, as far as [`weighted_room`] is concerned.
    arrived_by: Instant,
    free_at: Instant,
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
        let period = MINUTE / per_minute.get();
        let quota = Quota::with_period(period)
            .expect("a minute over some thousands is not zero")
            .allow_burst(MADE_UP.saturating_add(1));
        let spacing = RateLimiter::direct_with_clock(quota, clock);
        // The first turn comes after a whole period, with nothing to be made up: processes that start one after the other
        // would send a burst each, and what the journal says of the last one may be wrong by a clock that has jumped.
        let _ = spacing.check_n(MADE_UP.saturating_add(1));
        Self { spacing, clock, slots_max: per_minute.get() as usize, slots: Vec::new(), gate: None }
    }

    /// Takes the next turn if it is there, or says when to ask again.
    pub fn turn(&mut self, now: Instant) -> Turn {
        if let Some(gate) = self.gate.filter(|gate| *gate > now) {
            return Turn::Gate(gate);
        }
        self.slots.retain(|slot| slot.free_at + HOLD > now);
        let taken = self.slots.iter().map(|slot| slot.free_at).filter(|free_at| *free_at > now);
        if taken.clone().count() >= self.slots_max {
            return Turn::Quota(taken.min().expect("there is at least one slot, and all are taken"));
        }
        let arrived_by: Vec<Instant> = self.slots.iter().map(|slot| slot.arrived_by).collect();
        if let Some(room) = weighted_room(&arrived_by, self.slots_max).filter(|room| *room > now) {
            return Turn::Quota(room);
        }
        match self.spacing.check() {
            Ok(()) => Turn::Now,
            Err(not_until) => Turn::Quota(now + not_until.wait_time_from(self.clock.now())),
        }
    }

    /// Marks a slot as taken by a request sent at `sent`, until `free_at` at the latest: its timeout and [`HOLD`].
    pub fn take(&mut self, id: SlotId, sent: Instant, free_at: Instant) {
        let answered = free_at.checked_sub(HOLD).unwrap_or(sent);
        self.insert(Slot { id, arrived_by: answered.min(sent + ARRIVES_WITHIN), free_at });
    }

    /// The slot's answer came: it is free [`HOLD`] from now on.
    pub fn answered(&mut self, id: SlotId, now: Instant) {
        if let Some(position) = self.slots.iter().rposition(|slot| slot.id == id) {
            let slot = self.slots.remove(position);
            self.insert(Slot { arrived_by: slot.arrived_by.min(now), free_at: now + HOLD, ..slot });
        }
    }

    fn insert(&mut self, slot: Slot) {
        let position = self.slots.partition_point(|other| other.arrived_by <= slot.arrived_by);
        self.slots.insert(position, slot);
    }

    /// Refuses all turns until `until`, or longer if the gate is closed for longer already.
    pub fn close_gate(&mut self, until: Instant) {
        self.gate = self.gate.max(Some(until));
    }
}

/// From when on fewer than `limit` requests count, wherever the minutes of a weighted window begin; `arrived_by` says of
/// each request, in order, when it has arrived at the latest.
///
/// With `count` requests after the beginning of a minute and `before` in the minute before it, such a window counts
/// `count + before * (1 - age / 60 s)`, `age` being that of the minute. A request that may have arrived on either side
/// of the beginning counts most as one after it. So the count is largest for a beginning just before a moment of
/// `arrived_by`, or just before such a moment leaves the minute before; it falls below `limit` as the minute grows older.
fn weighted_room(arrived_by: &[Instant], limit: usize) -> Option<Instant> {
    let mut room = None;
    let (mut first, mut begin) = (0, 0);
    while let Some(oldest) = arrived_by.get(first) {
        let leaves = *oldest + HOLD;
        let next = arrived_by.get(begin).filter(|next| **next <= leaves);
        let (before, count) = (begin - first, arrived_by.len() - begin);
        if let Some(excess) = (before + count).checked_sub(limit).filter(|excess| (1..=before).contains(excess)) {
            let part = |count: usize| u32::try_from(count).unwrap_or(u32::MAX);
            let minute = next.copied().unwrap_or(leaves);
            room = room.max(Some(minute + HOLD / part(before) * part(excess)));
        }
        if next.is_some() { begin += 1 } else { first += 1 }
    }
    room
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const PERIOD: Duration = Duration::from_millis(600);

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
    async fn turns_are_spaced_evenly_and_one_is_made_up() {
        let mut pace = Pace::new(100);
        for (idle, made_up) in [(Duration::ZERO, 0), (MINUTE / 2, 1)] {
            tokio::time::advance(idle).await;
            let turns = next_turns(&mut pace, 100).await;
            for (number, turn) in (1..).zip(&turns[1..]) {
                assert_eq!(*turn - turns[0], PERIOD * (number - made_up), "idle time gives no burst");
            }
        }
    }

    /// Whatever an earlier process has sent, and when.
    #[tokio::test(start_paused = true)]
    async fn the_first_turn_comes_after_a_whole_period() {
        for idle in [Duration::ZERO, PERIOD / 2] {
            let start = Instant::now();
            let mut pace = Pace::new(100);
            tokio::time::advance(idle).await;
            assert_eq!(next_turns(&mut pace, 3).await, [1, 2, 3].map(|periods| start + PERIOD * periods));
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_slot_is_free_a_minute_after_its_answer() {
        let mut pace = Pace::new(1);
        let sent = next_turns(&mut pace, 1).await[0];
        pace.take(1, sent, sent + 90 * Duration::from_secs(1));
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

    /// What a weighted window counts at `now_ms` at most, wherever its minutes begin, in parts of `HOLD`.
    fn counted_at_most(arrived_by_ms: &[u64], now_ms: u64) -> u64 {
        let hold_ms = u64::try_from(HOLD.as_millis()).unwrap();
        let beginnings = arrived_by_ms.iter().flat_map(|by_ms| [*by_ms, by_ms + hold_ms]);
        let counted = |begin_ms: u64| {
            let count = arrived_by_ms.iter().filter(|by_ms| **by_ms >= begin_ms).count() as u64;
            let is_before = |by_ms: &&u64| **by_ms < begin_ms && **by_ms + hold_ms >= begin_ms;
            let before = arrived_by_ms.iter().filter(is_before).count() as u64;
            count * hold_ms + before * (begin_ms + hold_ms - now_ms)
        };
        beginnings
            .filter(|begin_ms| (now_ms..now_ms + hold_ms).contains(&(begin_ms + hold_ms)))
            .map(counted)
            .max()
            .unwrap_or(0)
    }

    proptest! {
        #[test]
        fn a_request_waits_until_no_weighted_window_is_full_and_no_longer(
            mut arrived_by_ms in prop::collection::vec(0_u64..120_000, 1..30), limit in 2_usize..20,
        ) {
            arrived_by_ms.sort_unstable();
            let start = Instant::now();
            let arrived_by: Vec<_> = arrived_by_ms.iter().map(|by_ms| start + Duration::from_millis(*by_ms)).collect();
            let last_ms = arrived_by_ms.last().unwrap();
            let slot_free_ms = arrived_by_ms.len().checked_sub(limit).map_or(0, |taken| arrived_by_ms[taken] + 60_010);
            let others_ms = slot_free_ms.max(*last_ms);
            let room_ms = weighted_room(&arrived_by, limit).map_or(0, |room| (room - start).as_micros().div_ceil(1000));
            let room_ms = u64::try_from(room_ms).unwrap();
            let full = limit as u64 * 60_010;
            prop_assert!(counted_at_most(&arrived_by_ms, room_ms.max(others_ms) + 1) < full);
            if room_ms > others_ms + 1 {
                prop_assert!(counted_at_most(&arrived_by_ms, room_ms - 1) >= full);
            }
        }
    }
}
