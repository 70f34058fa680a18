//! The domain's keys: the stay, which is the unit of work, and the date of the partition it belongs to.

use std::{cmp::Ordering, fmt};

use chrono::{DateTime, NaiveDate};
use chrono_tz::Tz;

/// The page size of every request: the most the API allows, so that a stay costs the fewest requests.
pub const SAMPLES_PER_PAGE: u32 = 100;

/// A meeting number: exactly nine ASCII digits, kept as text because a leading zero counts.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MeetingNo([u8; 9]);

impl MeetingNo {
    /// Reads exactly nine ASCII digits; anything else is `None`.
    pub fn parse(text: &str) -> Option<Self> {
        let digits: [u8; 9] = text.as_bytes().try_into().ok()?;
        digits.iter().all(u8::is_ascii_digit).then_some(Self(digits))
    }

    /// The nine digits.
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).expect("a meeting number holds ASCII digits only")
    }
}

impl fmt::Display for MeetingNo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for MeetingNo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Who stayed in the meeting: a user of the tenant or a meeting room's device.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Participant {
    /// A user, by the id type that the configuration names.
    User(String),
    /// A Rooms device.
    Room(String),
}

impl Participant {
    /// The id alone, without its kind.
    pub fn id(&self) -> &str {
        match self {
            Self::User(id) | Self::Room(id) => id,
        }
    }

    /// The user's id, if a user stayed.
    pub fn user_id(&self) -> Option<&str> {
        match self {
            Self::User(id) => Some(id),
            Self::Room(_) => None,
        }
    }

    /// The room's id, if a room stayed.
    pub fn room_id(&self) -> Option<&str> {
        match self {
            Self::User(_) => None,
            Self::Room(id) => Some(id),
        }
    }
}

/// One manifest row once validated: who was in which meeting from when on. All times are unix seconds.
///
/// Two stays are the same one when meeting number, meeting start, join time and participant agree; the meeting's end
/// is not part of the key. The order is the dataset's: meeting start, meeting number, join time, participant.
#[derive(Clone, Debug)]
pub struct Stay {
    /// The meeting's number.
    pub meeting_no: MeetingNo,
    /// When the meeting began; decides the partition.
    pub meeting_start_s: i64,
    /// When the meeting ended: at most a day after it began.
    pub meeting_end_s: i64,
    /// When the participant joined.
    pub join_s: i64,
    /// Who it was.
    pub participant: Participant,
}

impl Stay {
    /// The most samples that the stay's length allows: one a minute, and a stay of m minutes can touch m + 1 of them.
    ///
    /// A join time outside the meeting says nothing about the length, so the whole meeting counts then.
    pub fn samples_max(&self) -> u32 {
        let meeting_s = self.meeting_end_s - self.meeting_start_s;
        let stay_s = self.meeting_end_s - self.join_s;
        let length_s = if (0..=meeting_s).contains(&stay_s) { stay_s } else { meeting_s };
        u32::try_from(length_s / 60 + 1).unwrap_or(u32::MAX)
    }

    /// The most pages that the stay's length allows, and so the requests to plan for it: at least one.
    pub fn pages_max(&self) -> u32 {
        self.samples_max().div_ceil(SAMPLES_PER_PAGE)
    }

    fn key(&self) -> (i64, MeetingNo, i64, &str, bool) {
        let is_room = matches!(self.participant, Participant::Room(_));
        (self.meeting_start_s, self.meeting_no, self.join_s, self.participant.id(), is_room)
    }
}

impl PartialEq for Stay {
    fn eq(&self, other: &Self) -> bool {
        self.key() == other.key()
    }
}

impl Eq for Stay {}

impl PartialOrd for Stay {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Stay {
    fn cmp(&self, other: &Self) -> Ordering {
        self.key().cmp(&other.key())
    }
}

/// The date of the partition that holds meetings starting at `meeting_start_s`, in the configured time zone.
///
/// # Panics
///
/// If the time is outside of what a validated manifest row can hold (years 1970 to 262142).
pub fn partition_date(meeting_start_s: i64, zone: Tz) -> NaiveDate {
    DateTime::from_timestamp(meeting_start_s, 0)
        .expect("the manifest admits no start in the future, so it fits a date")
        .with_timezone(&zone)
        .date_naive()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stay(start: i64, end: i64, join: i64) -> Stay {
        Stay {
            meeting_no: MeetingNo::parse("012345678").unwrap(),
            meeting_start_s: start,
            meeting_end_s: end,
            join_s: join,
            participant: Participant::User("ou_1".into()),
        }
    }

    #[test]
    fn a_meeting_number_is_nine_digits() {
        assert_eq!(MeetingNo::parse("012345678").unwrap().as_str(), "012345678");
        for wrong in ["", "12345678", "1234567890", "12345678a", " 12345678", "１２３"] {
            assert!(MeetingNo::parse(wrong).is_none(), "{wrong}");
        }
    }

    #[test]
    fn pages_follow_the_length_of_the_stay() {
        for (start, end, join, pages) in [
            (0, 0, 0, 1),
            (0, 3600, 0, 1),
            (0, 99 * 60, 0, 1),
            (0, 100 * 60, 0, 2),
            (0, 100 * 60, 60, 1),
            (0, 86_400, 0, 15),
            (0, 100 * 60, -1, 2),
            (0, 100 * 60, 100 * 60 + 1, 2),
        ] {
            assert_eq!(stay(start, end, join).pages_max(), pages, "{start} {end} {join}");
        }
    }

    #[test]
    fn the_partition_is_the_date_in_the_configured_zone() {
        let start = 1_740_930_000; // 2025-03-02 15:40 UTC
        assert_eq!(partition_date(start, Tz::UTC).to_string(), "2025-03-02");
        assert_eq!(partition_date(start, Tz::Asia__Shanghai).to_string(), "2025-03-02");
        assert_eq!(partition_date(start + 1200, Tz::Asia__Shanghai).to_string(), "2025-03-03");
    }

    #[test]
    fn the_meeting_end_is_not_part_of_the_key() {
        assert_eq!(stay(0, 60, 0), stay(0, 120, 0));
        assert_ne!(stay(0, 60, 0), stay(0, 60, 1));
    }
}
