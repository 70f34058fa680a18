//! The tenant: a seed gives meetings and stays by arithmetic, so that a tenant of any size takes no memory.
//!
//! Meetings are numbered; meeting `i` is on day `i % days`. Every eighth meeting of a day belongs to a series, which
//! uses one meeting number on all days, as recurring meetings do. Numbers are found back by inverting a permutation of
//! the nine-digit numbers.

use chrono::{DateTime, FixedOffset, NaiveDate};
use rand::{Rng, rngs::StdRng};

use super::{
    lists::{ExtraKind, Extras, Lists},
    random::{Purpose, stream},
};

pub(super) const DAY_S: i64 = 86_400;

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

/// Keys of stays that the lists add begin with bit 62.
const COMPANY_SHIFT: u32 = 62;

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
    /// Whether connections are good but for some participants and some hours; otherwise every value is anything, all of the time.
    pub good_connections: bool,
    /// So many of the last samples of each stay are not there, or not any more.
    pub missing_samples: u32,
    /// Data of a meeting appear so many seconds after its end; before that it is not found.
    pub data_delay_s: u32,
    /// For so many seconds after the end of its meeting a stay has the first third of its samples alone.
    pub partial_for_s: u32,
    /// What the lists of meetings and participants have besides.
    pub lists: Lists,
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
            good_connections: true,
            missing_samples: 0,
            data_delay_s: 0,
            partial_for_s: 0,
            lists: Lists::default(),
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

    /// The key of a stay that the lists add in the company of this one. There are three ranks of them.
    pub(super) fn of_company(self, rank: u64) -> Self {
        Self(self.0 | rank << COMPANY_SHIFT)
    }

    /// The number of its meeting among the tenant's.
    fn meeting(self) -> u64 {
        (self.0 & ((1 << COMPANY_SHIFT) - 1)) / u64::from(STAYS_PER_MEETING)
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

impl Participant {
    /// Whether the line is a weak one: of some participants it is in every meeting, so that there is somewhere to look.
    pub(super) fn is_weak(self, seed: u64) -> bool {
        let (kind, number) = match self {
            Self::User(number) => (0, number),
            Self::Room(number) => (1, number),
        };
        stream(seed, Purpose::Weakness, kind, number.into()).random_bool(0.12)
    }
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
    pub(super) left_s: i64,
    pub(super) participant: Participant,
    pub(super) seed: u64,
}

impl SimulatedStay {
    /// The user's id of the given type, if a user stayed.
    pub fn user_id(&self, id_type: UserIdType) -> Option<String> {
        let Participant::User(number) = self.participant else { return None };
        Some(user_id(self.seed, number, id_type))
    }

    /// The room's id, if a room stayed.
    pub fn room_id(&self) -> Option<String> {
        let Participant::Room(number) = self.participant else { return None };
        Some(room_id(self.seed, number))
    }
}

/// The id of the user of that number.
pub(super) fn user_id(seed: u64, number: u32, id_type: UserIdType) -> String {
    let mut rng = stream(seed, Purpose::UserId, u64::from(number), id_type as u64);
    match id_type {
        UserIdType::OpenId => format!("ou_{:032x}", rng.random::<u128>()),
        UserIdType::UnionId => format!("on_{:032x}", rng.random::<u128>()),
        UserIdType::UserId => format!("{number:08x}"),
    }
}

/// The id of the room of that number.
pub(super) fn room_id(seed: u64, number: u32) -> String {
    let id: u128 = stream(seed, Purpose::RoomId, u64::from(number), 0).random();
    format!("omm_{id:032x}")
}

/// A meeting. Times are unix seconds.
pub(super) struct Meeting {
    pub(super) index: u64,
    pub(super) number: u64,
    pub(super) start_s: i64,
    pub(super) end_s: i64,
    /// What kind it is, if it is one of those that the tenant has besides.
    pub(super) extra: Option<ExtraKind>,
}

/// How a request names a meeting. Times are unix seconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Named {
    pub(super) number: u64,
    pub(super) start_s: i64,
    pub(super) end_s: i64,
}

/// A tenant's meetings and stays.
#[derive(Clone, Debug)]
pub struct Tenant {
    settings: TenantSettings,
    /// How many meetings there are; the last one is cut so that the stays come out exactly.
    meetings: u64,
    last_heads: u32,
    /// Meetings besides, numbered after those.
    extras: Extras,
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
        let extras = Extras::new(&settings.lists, meetings);
        Self { settings, meetings, last_heads, extras }
    }

    /// What the tenant is made from.
    pub fn settings(&self) -> &TenantSettings {
        &self.settings
    }

    /// All stays, day by day; after them those that only the lists have, day by day as well.
    pub fn stays(&self) -> impl Iterator<Item = SimulatedStay> {
        let days = u64::from(self.settings.days);
        let indexes = (0..days).flat_map(move |day| (day..self.meetings).step_by(self.settings.days as usize));
        let planned = indexes.flat_map(|index| self.stays_of(&self.meeting(index)));
        let has_more = self.extras.total() > 0 || !self.settings.lists.has_stays_only();
        let days_with_more = if has_more { days } else { 0 };
        let indexes = (0..days_with_more).flat_map(|day| self.on_day(day));
        planned.chain(indexes.flat_map(|index| self.further_stays(&self.meeting(index))))
    }

    /// The stay of that key, if it is one of this tenant's.
    pub fn stay(&self, key: StayKey) -> Option<SimulatedStay> {
        let meeting = (key.meeting() < self.all_meetings()).then(|| self.meeting(key.meeting()))?;
        self.all_stays_of(&meeting).into_iter().find(|stay| stay.key == key)
    }

    /// The meeting that a request at `now_s` names: with the start and, once it is over, with the end that is listed then.
    pub(super) fn find_meeting(&self, named: Named, now_s: i64) -> Option<Meeting> {
        let same_minute = |a: i64, b: i64| a.div_euclid(60) == b.div_euclid(60);
        let is_named =
            |meeting: &Meeting| meeting.number == named.number && same_minute(meeting.start_s, named.start_s);
        let by_number = self.index_of(named.number, named.start_s);
        let before = self.index_of(named.number, named.start_s - DAY_S);
        let twin = |index: Option<u64>| self.extras.number_of(ExtraKind::TwiceADay, index?);
        let twins = [twin(by_number), twin(before)].map(|number| number.map(|number| self.meetings + number));
        let candidates = std::iter::once(by_number).chain(twins).flatten().map(|index| self.meeting(index));
        candidates.into_iter().find(is_named).filter(|meeting| {
            let end_s = self.listed_end_s(meeting, now_s);
            now_s < meeting.end_s || same_minute(end_s, named.end_s)
        })
    }

    /// How many meetings there are, those besides included.
    fn all_meetings(&self) -> u64 {
        self.meetings + self.extras.total()
    }

    /// The meetings of a day, counted from the first one, in no order of time.
    pub(super) fn on_day(&self, day: u64) -> impl Iterator<Item = u64> {
        let days = u64::from(self.settings.days);
        let planned = (day..self.meetings).step_by(self.settings.days as usize);
        planned.chain(self.extras.on_day(day, days).map(|number| self.meetings + number))
    }

    /// All stays of a meeting, those that the lists add to the planned ones included.
    pub(super) fn all_stays_of(&self, meeting: &Meeting) -> Vec<SimulatedStay> {
        let mut stays = if meeting.extra.is_some() { Vec::new() } else { self.stays_of(meeting) };
        stays.extend(self.further_stays(meeting));
        stays
    }

    /// The stays of a meeting that the tenant has because of the lists.
    fn further_stays(&self, meeting: &Meeting) -> Vec<SimulatedStay> {
        let mut stays = if meeting.extra.is_some() { self.stays_of(meeting) } else { Vec::new() };
        if !self.settings.lists.has_stays_only() {
            stays.extend(self.stays_of_company(meeting));
        }
        stays
    }

    fn series(&self) -> u64 {
        self.meetings.div_ceil(u64::from(self.settings.days)).div_ceil(SERIES_SHARE)
    }

    pub(super) fn first_day_s(&self) -> i64 {
        self.settings.first_day.and_time(chrono::NaiveTime::MIN).and_utc().timestamp() - ZONE_S
    }

    pub(super) fn meeting(&self, index: u64) -> Meeting {
        if let Some((kind, within)) = index.checked_sub(self.meetings).and_then(|number| self.extras.kind_of(number)) {
            return self.extra_meeting(index, kind, within);
        }
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
        Meeting { index, number: self.number(id), start_s, end_s: start_s + length_s, extra: None }
    }

    /// A meeting besides: the one of number `within` of its kind.
    fn extra_meeting(&self, index: u64, kind: ExtraKind, within: u64) -> Meeting {
        let mut rng = stream(self.settings.seed, Purpose::ExtraMeeting, index, 0);
        let day_s = self.first_day_s() + (within % u64::from(self.settings.days)).cast_signed() * DAY_S;
        let usual_s =
            (planned_minutes(&mut rng).min(i64::from(self.settings.meeting_minutes_max)) * 60).min(DAY_S - 240);
        let (start_s, length_s) = match kind {
            ExtraKind::AcrossMidnight => (day_s + 81_000 + rng.random_range(0..5000), 7200 + rng.random_range(0..3600)),
            ExtraKind::OverADay => (day_s + 32_400 + rng.random_range(0..14_400), 108_000 + rng.random_range(0..240)),
            ExtraKind::NotOver => (day_s + 72_000 + rng.random_range(0..10_800), 18_000 + rng.random_range(0..21_600)),
            ExtraKind::TwiceADay => (self.meeting(within).end_s + 600, 900 + rng.random_range(0..1800)),
            _ => (day_s + time_of_day_s(&mut rng), usual_s + rng.random_range(0..240)),
        };
        let number = match kind {
            ExtraKind::TwiceADay => self.meeting(within).number,
            _ => self.number(self.series() + index),
        };
        Meeting { index, number, start_s, end_s: start_s + length_s, extra: Some(kind) }
    }

    fn number(&self, id: u64) -> u64 {
        (id * NUMBER_FACTOR + self.settings.seed % MEETING_NUMBERS) % MEETING_NUMBERS
    }

    fn index_of(&self, meeting_no: u64, start_s: i64) -> Option<u64> {
        let days = u64::from(self.settings.days);
        let shifted = (meeting_no + MEETING_NUMBERS - self.settings.seed % MEETING_NUMBERS) % MEETING_NUMBERS;
        let id = shifted * NUMBER_FACTOR_INVERSE % MEETING_NUMBERS;
        let index = if id < self.series() {
            let day = u64::try_from((start_s - self.first_day_s()).div_euclid(DAY_S)).ok()?;
            (day < days).then_some(id * SERIES_SHARE * days + day).filter(|index| *index < self.meetings)?
        } else {
            id - self.series()
        };
        (index < self.all_meetings()).then_some(index)
    }

    /// The stays that are planned for a meeting.
    pub(super) fn stays_of(&self, meeting: &Meeting) -> Vec<SimulatedStay> {
        if matches!(meeting.extra, Some(ExtraKind::WithoutParticipants | ExtraKind::OverADay)) {
            return Vec::new();
        }
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
            let there = self.samples_between(join_s, left_s);
            stays.push(SimulatedStay {
                key: StayKey::new(meeting.index, position),
                meeting_no: format!("{:09}", meeting.number),
                meeting_start_s: meeting.start_s,
                meeting_end_s: meeting.end_s,
                join_s,
                sample_count: if rng.random_bool(0.005) { 0 } else { there },
                left_s,
                participant,
                seed: self.settings.seed,
            });
        }
        stays
    }

    /// How many samples there are of a stay.
    pub(super) fn samples_between(&self, join_s: i64, left_s: i64) -> u32 {
        let minutes = u32::try_from((left_s - join_s) / 60).expect("a stay lasts a day at most");
        (minutes + 1).saturating_sub(self.settings.missing_samples)
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
            let number = stay.meeting_no.parse().unwrap();
            let named = Named { number, start_s: stay.meeting_start_s, end_s: stay.meeting_end_s };
            let is_it = |other: &SimulatedStay| (other.join_s, other.participant) == (stay.join_s, stay.participant);
            let meeting = tenant.find_meeting(named, i64::MAX).unwrap();
            let found = tenant.all_stays_of(&meeting).into_iter().find(is_it).unwrap();
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
