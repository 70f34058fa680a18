//! What the two lists have besides the tenant's stays: more attendances, more meetings, changes, and rarer texts.
//!
//! By default there is nothing of all that: each meeting has an attendance for each of its stays, both lists are final
//! when the meeting ends, and every text is as the documentation shows it.

/// What the lists have besides. Shares lie between 0 and 1.
#[derive(Clone, Debug, PartialEq)]
pub struct Lists {
    /// Attendances of telephones, SIP devices, guests and document users, which have no id: as a share of the stays.
    pub without_id: f64,
    /// Attendances of people of other organisations, whose ids the quality endpoint refuses: as a share of the stays.
    pub external_participants: f64,
    /// Second devices of the same user, half of them with the same time of joining: as a share of the stays of users.
    pub second_devices: f64,
    /// Attendances with the ids of a user and of a room: as a share of the stays.
    pub both_ids: f64,
    /// Attendances that the list has no more [`Self::lost_after_s`] after the meeting's end: as a share of the stays.
    pub lost_participants: f64,
    /// See [`Self::lost_participants`].
    pub lost_after_s: u32,

    /// Meetings that begin in the evening and end the next day: as a share of the meetings, like all that follow.
    pub across_midnight: f64,
    /// Meetings of thirty hours, which neither `participant_list` nor the quality endpoint can be asked for.
    pub over_a_day: f64,
    /// Meetings in which nobody took part.
    pub without_participants: f64,
    /// Long meetings that are listed as ended from their start on: without an end, or with one in the future.
    pub not_over: f64,
    /// Webinars: listed on demand only.
    pub webinars: f64,
    /// External meetings: listed on demand only.
    pub external_meetings: f64,
    /// Second meetings of the same number on the same day.
    pub twice_a_day: f64,
    /// Meetings with 100 to 300 guests.
    pub crowded: f64,

    /// Meetings that are listed [`Self::late_by_s`] after their end: as a share of all meetings, like the next.
    pub late_listings: f64,
    /// See [`Self::late_listings`].
    pub late_by_s: u32,
    /// Meetings that are listed with an earlier end until [`Self::changed_after_s`] after their end.
    pub changed_ends: f64,
    /// See [`Self::changed_ends`].
    pub changed_after_s: u32,

    /// Values that are written in other than the documented forms, or not at all, as a share of all.
    pub odd_forms: f64,
    /// Pages that begin with the last item of the page before, as a share of all.
    pub repeated_items: f64,
    /// Of the meetings without participants, the share that is no failure: `participants` is null, missing or empty.
    pub null_participants: f64,
    /// Whether both lists refuse `room_id` with 126015.
    pub refuses_room_filter: bool,
}

impl Default for Lists {
    fn default() -> Self {
        Self::odd(0.0)
    }
}

impl Lists {
    /// Everything of this kind at the same share; lists that change do so for half a day at most.
    pub fn odd(share: f64) -> Self {
        Self {
            without_id: share,
            external_participants: share,
            second_devices: share,
            both_ids: share,
            lost_participants: share,
            lost_after_s: 12 * 3600,
            across_midnight: share,
            over_a_day: share,
            without_participants: share,
            not_over: share,
            webinars: share,
            external_meetings: share,
            twice_a_day: share,
            crowded: share,
            late_listings: share,
            late_by_s: 6 * 3600,
            changed_ends: share,
            changed_after_s: 6 * 3600,
            odd_forms: share,
            repeated_items: share,
            null_participants: if share > 0.0 { 0.5 } else { 0.0 },
            refuses_room_filter: share > 0.0,
        }
    }

    /// Whether meetings have no other attendances than those of their stays.
    pub(super) fn has_stays_only(&self) -> bool {
        let shares = [
            self.without_id,
            self.external_participants,
            self.second_devices,
            self.both_ids,
            self.lost_participants,
            self.crowded,
        ];
        shares.iter().all(|share| *share <= 0.0)
    }
}

/// A kind of meeting that the tenant has besides.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ExtraKind {
    AcrossMidnight,
    OverADay,
    WithoutParticipants,
    NotOver,
    Webinar,
    External,
    TwiceADay,
    Crowded,
}

/// How many meetings there are besides, of each kind. They are numbered kind by kind.
#[derive(Clone, Copy, Debug)]
pub(super) struct Extras([(ExtraKind, u64); 8]);

impl Extras {
    /// What the shares come to for so many meetings.
    pub(super) fn new(lists: &Lists, meetings: u64) -> Self {
        #[expect(
            clippy::cast_precision_loss,
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "at most as many as there are meetings"
        )]
        let count = |share: f64| ((meetings as f64 * share.clamp(0.0, 1.0)).ceil() as u64).min(meetings);
        Self([
            (ExtraKind::AcrossMidnight, count(lists.across_midnight)),
            (ExtraKind::OverADay, count(lists.over_a_day)),
            (ExtraKind::WithoutParticipants, count(lists.without_participants)),
            (ExtraKind::NotOver, count(lists.not_over)),
            (ExtraKind::Webinar, count(lists.webinars)),
            (ExtraKind::External, count(lists.external_meetings)),
            (ExtraKind::TwiceADay, count(lists.twice_a_day)),
            (ExtraKind::Crowded, count(lists.crowded)),
        ])
    }

    /// How many there are in all.
    pub(super) fn total(&self) -> u64 {
        self.0.iter().map(|(_, count)| count).sum()
    }

    /// The kind of the meeting of that number, and its number within the kind.
    pub(super) fn kind_of(&self, number: u64) -> Option<(ExtraKind, u64)> {
        let mut left = number;
        for (kind, count) in self.0 {
            if left < count {
                return Some((kind, left));
            }
            left -= count;
        }
        None
    }

    /// The number of the kind's meeting of that number within the kind.
    pub(super) fn number_of(&self, kind: ExtraKind, within: u64) -> Option<u64> {
        let before = self.0.iter().take_while(|(other, _)| *other != kind).map(|(_, count)| count).sum::<u64>();
        let count = self.0.iter().find(|(other, _)| *other == kind).map_or(0, |(_, count)| *count);
        (within < count).then_some(before + within)
    }

    /// The numbers of the meetings that fall on a day, when each kind goes round the days.
    pub(super) fn on_day(self, day: u64, days: u64) -> impl Iterator<Item = u64> {
        let firsts = self.0.into_iter().scan(0, |next, (_, count)| {
            let first = *next;
            *next += count;
            Some((first, count))
        });
        let step = usize::try_from(days).unwrap_or(usize::MAX);
        firsts.flat_map(move |(first, count)| (day..count).step_by(step).map(move |within| first + within))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn extras_are_numbered_kind_by_kind() {
        let lists = Lists { over_a_day: 0.02, twice_a_day: 0.1, ..Lists::default() };
        let extras = Extras::new(&lists, 100);
        assert_eq!(extras.total(), 12);
        assert_eq!(extras.kind_of(1), Some((ExtraKind::OverADay, 1)));
        assert_eq!(extras.kind_of(2), Some((ExtraKind::TwiceADay, 0)));
        assert_eq!(extras.kind_of(12), None);
        assert_eq!(extras.number_of(ExtraKind::TwiceADay, 9), Some(11));
        assert_eq!(extras.number_of(ExtraKind::TwiceADay, 10), None);
        assert_eq!(extras.number_of(ExtraKind::Webinar, 0), None);
        assert_eq!(extras.on_day(1, 4).collect::<Vec<_>>(), [1, 3, 7, 11]);
        assert_eq!(Extras::new(&Lists::default(), 100).total(), 0);
    }
}
