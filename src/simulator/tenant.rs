//! The tenant: a seed gives meetings and stays by arithmetic, so that a tenant of any size takes no memory.
//!
//! Meetings are numbered; meeting `i` is on day `i % days`. Every eighth meeting of a day belongs to a series, which
//! uses one meeting number on all days, as recurring meetings do. Numbers are found back by inverting a permutation of
//! the nine-digit numbers.

use chrono::{DateTime, FixedOffset, NaiveDate};
use rand::{Rng, rngs::StdRng};

use super::random::{Purpose, stream};

const DAY_S: i64 = 86_400;

/// The tenant's zone is UTC+8: its days and the times in its texts.
const ZONE_S: i64 = 8 * 3600;

const MEETING_NUMBERS: u64 = 1_000_000_000;

/// Shuffles the meeting numbers: 3 to the power of 18, which shares no factor with their count.
const NUMBER_FACTOR: u64 = 387_420_489;

/// The inverse of [`NUMBER_FACTOR`] modulo [`MEETING_NUMBERS`].
const NUMBER_FACTOR_INVERSE: u64 = 513_180_409;

/// One of so many meetings of a day belongs to a series.
const SERIES_SHARE: u64 = 8;

/// The most stays of a tenant.
pub const STAYS_MAX: u64 = 100_000_000;

/// A meeting has fewer stays than this.
const STAYS_PER_MEETING: u32 = 64;

/// What a tenant is made from.
#[derive(Clone, Debug)]
pub struct TenantSettings {
    /// Decides everything that is not said otherwise.
    pub seed: u64,
    /// The first day with meetings, in UTC+8.
    pub first_day: NaiveDate,
    /// How many days have meetings: at least 1.
    pub days: u32,
    /// How many stays there are, exactly: at most [`STAYS_MAX`].
    pub stays: u64,
    /// No meeting is planned for longer than this, in minutes; 1440 leaves the mix as it is.
    pub meeting_minutes_max: u32,
    /// The share of values, 0 to 1, that are written in other than the documented forms.
    pub other_forms: f64,
    /// So many of the last samples of each stay are not there, or not any more.
    pub missing_samples: u32,
    /// Data of a meeting appear so many seconds after its end; before that it is not found.
    pub data_delay_s: u32,
}

impl Default for TenantSettings {
    fn default() -> Self {
        Self {
            seed: 1,
            first_day: NaiveDate::from_ymd_opt(2025, 3, 3).expect("the day is in the calendar"),
            days: 7,
            stays: 1000,
            meeting_minutes_max: 1440,
            other_forms: 0.0,
            missing_samples: 0,
            data_delay_s: 0,
        }
    }
}

/// Names a stay of the tenant: equal for equal stays, and nothing more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StayKey(pub(super) u64);

impl StayKey {
    fn new(meeting: u64, position: u32) -> Self {
        Self(meeting * u64::from(STAYS_PER_MEETING) + u64::from(position))
    }
}

/// The way in which a user is named: `user_id_type` of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UserIdType {
    /// `open_id`, the default.
    OpenId,
    /// `union_id`.
    UnionId,
    /// `user_id`.
    UserId,
}

/// Who stayed: the number of a user or of a room.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Participant {
    User(u32),
    Room(u32),
}

/// One participant's stay in one meeting. Times are unix seconds.
#[derive(Clone, Debug)]
pub struct SimulatedStay {
    /// Names the stay.
    pub key: StayKey,
    /// The meeting's number: nine digits.
    pub meeting_no: String,
    /// When the meeting began.
    pub meeting_start_s: i64,
    /// When the meeting ended.
    pub meeting_end_s: i64,
    /// When the participant joined.
    pub join_s: i64,
    /// How many samples there are of the stay.
    pub sample_count: u32,
    pub(super) participant: Participant,
    seed: u64,
}

impl SimulatedStay {
    /// The user's id of the given type, if a user stayed.
    pub fn user_id(&self, id_type: UserIdType) -> Option<String> {
        let Participant::User(number) = self.participant else { return None };
        let mut rng = stream(self.seed, Purpose::UserId, u64::from(number), id_type as u64);
        Some(match id_type {
            UserIdType::OpenId => format!("ou_{:032x}", rng.random::<u128>()),
            UserIdType::UnionId => format!("on_{:032x}", rng.random::<u128>()),
            UserIdType::UserId => format!("{number:08x}"),
        })
    }

    /// The room's id, if a room stayed.
    pub fn room_id(&self) -> Option<String> {
        let Participant::Room(number) = self.participant else { return None };
        let id: u128 = stream(self.seed, Purpose::RoomId, u64::from(number), 0).random();
        Some(format!("omm_{id:032x}"))
    }
}

/// A meeting. Times are unix seconds.
struct Meeting {
    index: u64,
    number: u64,
    start_s: i64,
    end_s: i64,
}

/// Why the tenant has no such stay.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum NotFound {
    Meeting,
    Device,
}

/// A tenant's meetings and stays.
#[derive(Clone, Debug)]
pub struct Tenant {
    settings: TenantSettings,
    /// How many meetings there are; the last one is cut so that the stays come out exactly.
    meetings: u64,
    last_heads: u32,
}

impl Tenant {
    /// The tenant of the given settings. Takes time in proportion to its meetings, and no memory.
    pub fn new(mut settings: TenantSettings) -> Self {
        settings.days = settings.days.max(1);
        settings.stays = settings.stays.min(STAYS_MAX);
        let (mut meetings, mut left, mut last_heads) = (0, settings.stays, 0);
        while left > 0 {
            last_heads = heads(settings.seed, meetings).min(u32::try_from(left).unwrap_or(u32::MAX));
            left -= u64::from(last_heads);
            meetings += 1;
        }
        Self { settings, meetings, last_heads }
    }

    /// What the tenant is made from.
    pub fn settings(&self) -> &TenantSettings {
        &self.settings
    }

    /// All stays, day by day.
    pub fn stays(&self) -> impl Iterator<Item = SimulatedStay> {
        let days = u64::from(self.settings.days);
        let indexes = (0..days).flat_map(move |day| (day..self.meetings).step_by(self.settings.days as usize));
        indexes.flat_map(|index| self.stays_of(&self.meeting(index)))
    }

    /// The stay of that key, if it is one of this tenant's.
    pub fn stay(&self, key: StayKey) -> Option<SimulatedStay> {
        let per_meeting = u64::from(STAYS_PER_MEETING);
        let (meeting, position) = (key.0 / per_meeting, key.0 % per_meeting);
        let meeting = (meeting < self.meetings).then(|| self.meeting(meeting))?;
        self.stays_of(&meeting).into_iter().nth(usize::try_from(position).ok()?)
    }

    /// The stay that a request names. Meeting times are compared by the minute, the join time by the second.
    pub(super) fn find(
        &self,
        meeting_no: u64,
        (start_s, end_s): (i64, i64),
        is_stay: impl Fn(&SimulatedStay) -> bool,
    ) -> Result<SimulatedStay, NotFound> {
        let same_minute = |a: i64, b: i64| a.div_euclid(60) == b.div_euclid(60);
        let meeting = self
            .index_of(meeting_no, start_s)
            .map(|index| self.meeting(index))
            .filter(|meeting| same_minute(meeting.start_s, start_s) && same_minute(meeting.end_s, end_s))
            .ok_or(NotFound::Meeting)?;
        self.stays_of(&meeting).into_iter().find(is_stay).ok_or(NotFound::Device)
    }

    fn series(&self) -> u64 {
        self.meetings.div_ceil(u64::from(self.settings.days)).div_ceil(SERIES_SHARE)
    }

    fn first_day_s(&self) -> i64 {
        self.settings.first_day.and_time(chrono::NaiveTime::MIN).and_utc().timestamp() - ZONE_S
    }

    fn meeting(&self, index: u64) -> Meeting {
        let seed = self.settings.seed;
        let days = u64::from(self.settings.days);
        let (day, slot) = (index % days, index / days);
        let in_series = slot.is_multiple_of(SERIES_SHARE);
        let id = if in_series { slot / SERIES_SHARE } else { self.series() + index };
        let mut rng = stream(seed, Purpose::Meeting, index, 0);
        let since_midnight_s =
            if in_series { time_of_day_s(&mut stream(seed, Purpose::Series, id, 0)) } else { time_of_day_s(&mut rng) };
        let start_s = self.first_day_s() + day.cast_signed() * DAY_S + since_midnight_s;
        let minutes = planned_minutes(&mut rng).min(i64::from(self.settings.meeting_minutes_max));
        let length_s = (minutes * 60 + rng.random_range(0..240)).min(DAY_S);
        let number = (id * NUMBER_FACTOR + seed % MEETING_NUMBERS) % MEETING_NUMBERS;
        Meeting { index, number, start_s, end_s: start_s + length_s }
    }

    fn index_of(&self, meeting_no: u64, start_s: i64) -> Option<u64> {
        let days = u64::from(self.settings.days);
        let shifted = (meeting_no + MEETING_NUMBERS - self.settings.seed % MEETING_NUMBERS) % MEETING_NUMBERS;
        let id = shifted * NUMBER_FACTOR_INVERSE % MEETING_NUMBERS;
        let index = if id < self.series() {
            let day = u64::try_from((start_s - self.first_day_s()).div_euclid(DAY_S)).ok()?;
            (day < days).then_some(id * SERIES_SHARE * days + day)?
        } else {
            id - self.series()
        };
        (index < self.meetings).then_some(index)
    }

    fn stays_of(&self, meeting: &Meeting) -> Vec<SimulatedStay> {
        let is_last = meeting.index + 1 == self.meetings;
        let heads = if is_last { self.last_heads } else { heads(self.settings.seed, meeting.index) };
        let mut rng = stream(self.settings.seed, Purpose::Stays, meeting.index, 0);
        let people = u32::try_from(self.settings.stays / 20).unwrap_or(u32::MAX).max(200);
        let first_participant = rng.random_range(0..people);
        let mut stays: Vec<SimulatedStay> = Vec::with_capacity(heads as usize);
        let mut left_s = i64::MAX;
        for position in 0..heads {
            let again = left_s.saturating_add(30) < meeting.end_s && rng.random_bool(0.03);
            let (participant, join_s) = match stays.last() {
                Some(before) if again => (before.participant, left_s + 30),
                _ => (participant(&mut rng, first_participant + position), join_s(&mut rng, meeting)),
            };
            left_s = leave_s(&mut rng, join_s, meeting.end_s);
            let minutes = u32::try_from((left_s - join_s) / 60).expect("a stay lasts a day at most");
            let there = (minutes + 1).saturating_sub(self.settings.missing_samples);
            stays.push(SimulatedStay {
                key: StayKey::new(meeting.index, position),
                meeting_no: format!("{:09}", meeting.number),
                meeting_start_s: meeting.start_s,
                meeting_end_s: meeting.end_s,
                join_s,
                sample_count: if rng.random_bool(0.005) { 0 } else { there },
                participant,
                seed: self.settings.seed,
            });
        }
        stays
    }
}

/// How many stays a meeting has: mostly two to twelve, now and then a full room.
fn heads(seed: u64, meeting: u64) -> u32 {
    let mut rng = stream(seed, Purpose::Heads, meeting, 0);
    if rng.random_bool(0.02) {
        return rng.random_range(13..STAYS_PER_MEETING);
    }
    2 + rng.random_range(0..=10).min(rng.random_range(0..=10))
}

/// When a meeting begins: mostly in office hours near a quarter of an hour, sometimes at any time.
fn time_of_day_s(rng: &mut StdRng) -> i64 {
    if rng.random_bool(0.1) {
        return rng.random_range(0..DAY_S);
    }
    8 * 3600 + rng.random_range(0..48) * 900 + rng.random_range(0..300)
}

/// How long a meeting is planned for: a day's usual mix, few long ones, and now and then one of a whole day.
fn planned_minutes(rng: &mut StdRng) -> i64 {
    let share: f64 = rng.random();
    let mix = [
        (0.18, 15),
        (0.52, 30),
        (0.62, 45),
        (0.86, 60),
        (0.93, 90),
        (0.98, 120),
        (0.99, 150),
        (0.997, 300),
        (0.9995, 600),
    ];
    mix.iter().find(|(below, _)| share < *below).map_or(1440, |(_, minutes)| *minutes)
}

fn participant(rng: &mut StdRng, number: u32) -> Participant {
    if rng.random_bool(0.08) { Participant::Room(number) } else { Participant::User(number) }
}

fn join_s(rng: &mut StdRng, meeting: &Meeting) -> i64 {
    let late_s = if rng.random_bool(0.2) { meeting.end_s - meeting.start_s } else { 120 };
    (meeting.start_s + rng.random_range(0..=late_s)).min(meeting.end_s)
}

fn leave_s(rng: &mut StdRng, join_s: i64, end_s: i64) -> i64 {
    let early_s = if rng.random_bool(0.1) { end_s - join_s } else { 240 };
    (end_s - rng.random_range(0..=early_s)).max(join_s)
}

/// A time of the tenant as text, `2022.12.23 11:16:00`, at the given offset from UTC.
pub(super) fn local_time(unix_s: i64, offset_s: i32) -> impl std::fmt::Display {
    let zone = FixedOffset::east_opt(offset_s).expect("an offset is less than a day");
    DateTime::from_timestamp(unix_s, 0).unwrap_or_default().with_timezone(&zone).format("%Y.%m.%d %H:%M:%S")
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    fn tenant(stays: u64) -> Tenant {
        Tenant::new(TenantSettings { stays, ..TenantSettings::default() })
    }

    #[test]
    fn the_number_of_stays_is_exact() {
        for stays in [0, 1, 2, 17, 1000] {
            assert_eq!(tenant(stays).stays().count() as u64, stays);
        }
    }

    #[test]
    fn the_factor_and_its_inverse_cancel() {
        assert_eq!(NUMBER_FACTOR * NUMBER_FACTOR_INVERSE % MEETING_NUMBERS, 1);
    }

    #[test]
    fn every_stay_is_found_by_what_names_it() {
        let tenant = tenant(5000);
        for stay in tenant.stays() {
            let times = (stay.meeting_start_s, stay.meeting_end_s);
            let is_it = |other: &SimulatedStay| (other.join_s, other.participant) == (stay.join_s, stay.participant);
            let found = tenant.find(stay.meeting_no.parse().unwrap(), times, is_it).unwrap();
            assert_eq!(found.key, stay.key);
        }
    }

    #[test]
    fn stays_keep_the_rules_of_the_api_and_differ_from_one_another() {
        let tenant = tenant(20_000);
        let mut seen = HashSet::new();
        let mut numbers = HashSet::new();
        let mut meetings = HashSet::new();
        for stay in tenant.stays() {
            assert_eq!(stay.meeting_no.len(), 9);
            assert!((0..=DAY_S).contains(&(stay.meeting_end_s - stay.meeting_start_s)));
            assert!((stay.meeting_start_s..=stay.meeting_end_s).contains(&stay.join_s));
            assert!(i64::from(stay.sample_count) <= (stay.meeting_end_s - stay.join_s) / 60 + 1);
            let id = stay.user_id(UserIdType::OpenId).or_else(|| stay.room_id()).unwrap();
            assert!(seen.insert((stay.meeting_no.clone(), stay.meeting_start_s, stay.join_s, id)));
            numbers.insert(stay.meeting_no.clone());
            meetings.insert((stay.meeting_no, stay.meeting_start_s));
        }
        assert!(numbers.len() < meetings.len(), "no meeting number comes again");
    }

    #[test]
    fn all_kinds_of_stays_occur() {
        let stays: Vec<_> = tenant(20_000).stays().collect();
        let occurs = |what: &str, is_it: fn(&SimulatedStay) -> bool| assert!(stays.iter().any(is_it), "{what}");
        occurs("a room", |stay| stay.room_id().is_some());
        occurs("no sample", |stay| stay.sample_count == 0);
        occurs("exactly one page and more", |stay| stay.sample_count > 100);
        occurs("many pages", |stay| stay.sample_count > 500);
        occurs("a leading zero", |stay| stay.meeting_no.starts_with('0'));
        occurs("a whole day", |stay| stay.meeting_end_s - stay.meeting_start_s == DAY_S);
    }
}
