//! What is kept of each endpoint: its quota, and what its answers have shown. The month, an outage and the access token are
//! those of all of them.

use std::{
    ops::{Index, IndexMut},
    time::Duration,
};

use chrono::{DateTime, Utc};
use tokio::time::Instant;

use super::{
    Terms,
    anomaly::Anomaly,
    pace::{Pace, slot_time},
};
use crate::{
    endpoint::Endpoint,
    error::Error,
    feishu::answer::THROTTLED_MAX,
    journal::{Journal, JournalError, StayId},
};

/// One endpoint.
pub(super) struct Track {
    pub(super) pace: Pace,
    pub(super) anomaly: Anomaly,
    /// What was answered with "no permission" since the last answer that was none.
    pub(super) no_permission: Vec<StayId>,
    /// True once an answer has shown that the app may ask.
    pub(super) permitted: bool,
}

/// All of them.
pub(super) struct Tracks([Track; Endpoint::ALL.len()]);

impl Tracks {
    /// As an earlier process has left them.
    pub(super) fn resume(journal: &mut Journal, terms: &Terms<'_>) -> Result<Self, Error> {
        let mut tracks = Vec::new();
        for endpoint in Endpoint::ALL {
            let pace = resume_pace(endpoint, journal, terms)?;
            tracks.push(Track { pace, anomaly: Anomaly::default(), no_permission: Vec::new(), permitted: false });
        }
        let tracks = tracks.try_into().unwrap_or_else(|_| unreachable!("there is a track for each endpoint"));
        Ok(Self(tracks))
    }

    /// Sends nothing to any endpoint until `until`.
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

/// A pacer with the slots and the gate that an earlier process left.
///
/// The wall clock may have been set back meanwhile: no slot is believed to be taken for longer than a new one would be, and
/// that once.
fn resume_pace(endpoint: Endpoint, journal: &mut Journal, terms: &Terms<'_>) -> Result<Pace, Error> {
    let mut pace = Pace::new(terms.config.rate.requests_per_minute);
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
    Ok(pace)
}
