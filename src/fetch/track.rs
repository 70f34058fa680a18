//! What the loop keeps for each endpoint: its pace, its work that is begun, and what its answers say of it as a whole.
//!
//! Endpoints share the journal, the token, the month and the outage. Nothing here is shared: a refusal, an alarm or a missing
//! permission of one says nothing of another.

use std::{
    collections::BTreeSet,
    ops::{Index, IndexMut},
    time::Duration,
};

use chrono::{DateTime, Utc};
use tokio::time::Instant;

use super::{
    Terms, WorkId,
    anomaly::Anomaly,
    pace::{Pace, slot_time},
    refusals::Refusals,
    work::Task,
};
use crate::{
    endpoint::Endpoint,
    error::Error,
    feishu::answer::THROTTLED_MAX,
    journal::{Journal, JournalError},
};

/// Answers of "no permission" in a row that mean the endpoint, not what was asked for.
const NO_PERMISSION_MAX: usize = 5;

/// One endpoint's state.
pub(super) struct Track {
    pub(super) pace: Pace,
    /// When its last request was sent.
    pub(super) sent_at: Option<Instant>,
    /// Its work between two requests.
    pub(super) waiting: Vec<Task>,
    /// When it was last looked for work, if there was none.
    pub(super) idle_at: Option<Instant>,
    /// Its work in flight or waiting.
    pub(super) taken: BTreeSet<WorkId>,
    /// This process's work before this one is settled.
    pub(super) settled_before: WorkId,
    pub(super) anomaly: Anomaly,
    pub(super) refusals: Refusals,
    /// Work answered with "no permission" since the last answer that was none.
    no_permission: Vec<WorkId>,
    /// True once an answer has shown that the app may ask.
    is_permitted: bool,
}

impl Track {
    /// One whose endpoint was not asked for anything yet, but for what `pace` knows.
    fn new(pace: Pace) -> Self {
        Self {
            pace,
            sent_at: None,
            waiting: Vec::new(),
            idle_at: None,
            taken: BTreeSet::new(),
            settled_before: WorkId::MIN,
            anomaly: Anomaly::default(),
            refusals: Refusals::default(),
            no_permission: Vec::new(),
            is_permitted: false,
        }
    }

    /// Of the work that waits and is due, where the one stands that comes first by its place in the queue.
    pub(super) fn first_due(&self, now: Instant) -> Option<usize> {
        let due = self.waiting.iter().enumerate().filter(|(_, task)| task.tries.not_before <= now);
        due.min_by_key(|(_, task)| task.work.place()).map(|(position, _)| position)
    }

    /// When the next of the work that waits is due.
    pub(super) fn next_due(&self) -> Option<Instant> {
        self.waiting.iter().map(|task| task.tries.not_before).min()
    }

    /// A task that was begun goes back to those that wait; what was not begun stays in the journal's queue.
    pub(super) fn put_back(&mut self, task: Task) {
        if self.taken.contains(&task.work.id()) {
            self.waiting.push(task);
        }
    }

    /// Notes that an answer about what was asked for has come: the app may ask, and a row of "no permission" ends.
    pub(super) fn is_answered(&mut self) {
        self.is_permitted = true;
        self.no_permission.clear();
    }

    /// Notes an answer of "no permission". It means the endpoint when it is the first answer of all or the last of a row;
    /// then this is the work before it in the row, which it failed wrongly.
    pub(super) fn no_permission(&mut self, id: WorkId) -> Option<Vec<WorkId>> {
        if self.is_permitted && self.no_permission.len() + 1 < NO_PERMISSION_MAX {
            self.no_permission.push(id);
            return None;
        }
        Some(std::mem::take(&mut self.no_permission))
    }
}

/// The tracks, by endpoint.
pub(super) struct Tracks([Track; Endpoint::ALL.len()]);

impl Tracks {
    /// With the slots and gates that an earlier process has left.
    pub(super) fn resume(journal: &mut Journal, terms: &Terms<'_>) -> Result<Self, Error> {
        let mut tracks = Self(Endpoint::ALL.map(|_| Track::new(Pace::new(terms.config.rate.requests_per_minute))));
        for endpoint in Endpoint::ALL {
            resume_pace(&mut tracks[endpoint].pace, endpoint, journal, terms)?;
        }
        Ok(tracks)
    }

    /// The endpoints, the one whose last request was sent first before the others: so none waits for ever when fewer
    /// requests may be under way than there are endpoints.
    pub(super) fn longest_silent_first(&self) -> [Endpoint; Endpoint::ALL.len()] {
        let mut endpoints = Endpoint::ALL;
        endpoints.sort_by_key(|endpoint| self[*endpoint].sent_at);
        endpoints
    }

    /// There may be work for any of them now.
    pub(super) fn wake(&mut self) {
        self.0.iter_mut().for_each(|track| track.idle_at = None);
    }

    /// Refuses all turns of all endpoints until `until`.
    pub(super) fn close_gates(&mut self, until: Instant) {
        self.0.iter_mut().for_each(|track| track.pace.close_gate(until));
    }
}

impl Index<Endpoint> for Tracks {
    type Output = Track;

    fn index(&self, endpoint: Endpoint) -> &Track {
        &self.0[endpoint as usize]
    }
}

impl IndexMut<Endpoint> for Tracks {
    fn index_mut(&mut self, endpoint: Endpoint) -> &mut Track {
        &mut self.0[endpoint as usize]
    }
}

/// How long an endpoint still refuses all requests, at `now` by the wall clock, as far as the journal knows.
///
/// No refusal is longer than [`THROTTLED_MAX`]: one that seems to be was recorded under a clock that was wrong, and says
/// nothing of the time that is left.
pub fn refused_for(
    journal: &Journal,
    endpoint: Endpoint,
    now: DateTime<Utc>,
) -> Result<Option<Duration>, JournalError> {
    let left_ms = journal.gate_ms(endpoint)?.map(|gate_ms| gate_ms.saturating_sub(now.timestamp_millis()));
    let left = left_ms.and_then(|left_ms| u64::try_from(left_ms).ok()).map(Duration::from_millis);
    Ok(left.filter(|left| (Duration::from_millis(1)..=THROTTLED_MAX).contains(left)))
}

/// Records that an endpoint refuses all requests for `wait` from `now` on; a shorter refusal does not end a longer one.
pub fn refuse_for(
    journal: &Journal,
    endpoint: Endpoint,
    now: DateTime<Utc>,
    wait: Duration,
) -> Result<(), JournalError> {
    if refused_for(journal, endpoint, now)?.is_none_or(|left| left < wait) {
        journal.set_gate_ms(endpoint, (now + wait).timestamp_millis())?;
    }
    Ok(())
}

/// Takes over the slots and the gate of an endpoint that an earlier process left.
///
/// The wall clock may have been set back meanwhile: no slot is believed to be taken for longer than a new one would be, and
/// that once.
fn resume_pace(pace: &mut Pace, endpoint: Endpoint, journal: &mut Journal, terms: &Terms<'_>) -> Result<(), Error> {
    let (now, wall) = (Instant::now(), terms.start.now());
    let (wall_ms, longest) = (wall.timestamp_millis(), slot_time(&terms.config.api));
    let longest_ms = (wall + longest).timestamp_millis();
    let left = |at_ms: i64| Duration::from_millis(u64::try_from(at_ms - wall_ms).unwrap_or(0));
    let past = |at_ms: i64| Duration::from_millis(u64::try_from(wall_ms - at_ms).unwrap_or(0));
    for slot in journal.slots(endpoint)? {
        let free_at = now + left(slot.free_ms).min(longest);
        let (sent, free_at) = (now.checked_sub(past(slot.sent_ms)), free_at.checked_sub(past(slot.free_ms)));
        pace.take(slot.id, sent.unwrap_or(now), free_at.unwrap_or(now));
        if slot.free_ms > longest_ms {
            journal.free_slot(slot.id, longest_ms);
        }
    }
    if let Some(left) = refused_for(journal, endpoint, wall)? {
        pace.close_gate(now + left);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::fetch::{
        anomaly::Sign,
        pace::{HOLD, Turn},
    };

    #[tokio::test(start_paused = true)]
    async fn no_permission_means_the_endpoint_as_the_first_answer_or_as_the_fifth_in_a_row() {
        let mut track = Track::new(Pace::new(100));
        assert_eq!(track.no_permission(1), Some(vec![]), "the first answer of all");
        track.is_answered();
        for row in 0..3 {
            for id in 2..6 {
                assert_eq!(track.no_permission(id), None, "row {row}, {id}");
            }
            track.is_answered();
        }
        for id in 2..6 {
            assert_eq!(track.no_permission(id), None);
        }
        assert_eq!(track.no_permission(6), Some(vec![2, 3, 4, 5]), "those before it are no failures of their own");
    }

    /// When one track's turns come, while others' requests are sent, answered late or refused beside it.
    async fn turns(others: usize, count: usize, refused_at: Option<usize>) -> Vec<Duration> {
        let start = Instant::now();
        let mut tracks: Vec<_> = (0..=others).map(|_| Track::new(Pace::new(10))).collect();
        let mut turns = Vec::new();
        let mut number = 0;
        while turns.len() < count {
            let now = Instant::now();
            for (index, track) in tracks.iter_mut().enumerate() {
                if track.pace.turn(now) == Turn::Now {
                    number += 1;
                    track.pace.take(number, now, now + HOLD + Duration::from_secs(index as u64 * 30));
                    if index == 0 {
                        turns.push(now - start);
                    } else if refused_at == Some(turns.len()) {
                        track.pace.close_gate(now + Duration::from_secs(600));
                        track.no_permission(1);
                        track.anomaly.note(Sign::Unknown, 1);
                    }
                }
            }
            tokio::time::advance(Duration::from_millis(100)).await;
        }
        turns
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(16))]
        #[test]
        fn no_endpoint_waits_for_another(others in 1_usize..4, refused_at in prop::option::of(0_usize..20)) {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
            let alone = runtime.block_on(turns(0, 25, None));
            prop_assert_eq!(runtime.block_on(turns(others, 25, refused_at)), alone);
        }
    }
}
