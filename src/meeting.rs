//! One occurrence of a meeting, and who was in it: what discovery finds.

use std::fmt;

use chrono::{DateTime, Utc};

use crate::{
    limits::{MEETING_LENGTH_MAX_S, TIME_MAX_S},
    stay::MeetingNo,
};

/// One occurrence of a meeting. Times are unix seconds.
///
/// Two are the same one when number and start agree: a number alone is used again and again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Meeting {
    /// When it began; decides its date.
    pub start_s: i64,
    /// Its number.
    pub no: MeetingNo,
    /// When it ended; none if the API does not say.
    pub end_s: Option<i64>,
}

/// Whether the API can be asked who took part in a meeting.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Askable {
    /// Yes, with this end.
    Until(i64),
    /// Not before it is over.
    NotOver,
    /// Never: it lasted longer than a day.
    TooLong,
    /// Never: it ended before it began.
    EndsBeforeStart,
}

impl Meeting {
    /// One whose times the API takes; none for a start that is negative or beyond [`TIME_MAX_S`].
    pub fn new(no: MeetingNo, start_s: i64, end_s: Option<i64>) -> Option<Self> {
        (0..TIME_MAX_S).contains(&start_s).then_some(Self { start_s, no, end_s })
    }

    /// Whether the API can be asked who took part, at `now_s`.
    pub fn askable(&self, now_s: i64) -> Askable {
        match self.end_s {
            None => Askable::NotOver,
            Some(end_s) if end_s > now_s => Askable::NotOver,
            Some(end_s) if end_s < self.start_s => Askable::EndsBeforeStart,
            Some(end_s) if end_s - self.start_s > MEETING_LENGTH_MAX_S => Askable::TooLong,
            Some(end_s) => Askable::Until(end_s),
        }
    }
}

impl fmt::Display for Meeting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let start = DateTime::<Utc>::from_timestamp(self.start_s, 0).unwrap_or_default();
        write!(f, "meeting {} of {}", self.no, start.format("%Y-%m-%dT%H:%M:%SZ"))
    }
}

/// What an attendance, one row of `participant_list`, comes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum AttendanceKind {
    /// A user or a room: it gives a stay.
    Stay = 0,
    /// By telephone, without an id.
    Telephone = 1,
    /// By SIP or H.323, without an id.
    Sip = 2,
    /// Out of a document, without an id.
    Document = 3,
    /// Somebody else without an id.
    Guest = 4,
    /// With the ids of a user and of a room: whose it is cannot be told.
    TwoIds = 5,
    /// Its join time or its id cannot be read, or breaks a rule of the manifest.
    Broken = 6,
}

impl AttendanceKind {
    /// All of them, in the order of their numbers in the journal.
    pub const ALL: [Self; 7] =
        [Self::Stay, Self::Telephone, Self::Sip, Self::Document, Self::Guest, Self::TwoIds, Self::Broken];

    /// The word for reports.
    pub fn name(self) -> &'static str {
        match self {
            Self::Stay => "stay",
            Self::Telephone => "telephone",
            Self::Sip => "sip",
            Self::Document => "document",
            Self::Guest => "guest",
            Self::TwoIds => "two_ids",
            Self::Broken => "broken",
        }
    }

    /// True if it has no id, so that its quality cannot be asked for.
    pub fn is_without_id(self) -> bool {
        matches!(self, Self::Telephone | Self::Sip | Self::Document | Self::Guest)
    }

    /// What somebody without an id took part with, by the device that the API names, or else by whether it names a telephone
    /// number: it says nothing else of what they are.
    pub fn without_id(device: Option<&str>, phone: Option<&str>) -> Self {
        let Some(device) = device.map(str::to_ascii_lowercase) else {
            return if phone.is_some() { Self::Telephone } else { Self::Guest };
        };
        let has = |words: &[&str]| words.iter().any(|word| device.contains(word));
        if has(&["sip", "h323", "h.323"]) {
            Self::Sip
        } else if has(&["pstn", "telephone", "phone call"]) {
            Self::Telephone
        } else if has(&["doc"]) {
            Self::Document
        } else {
            Self::Guest
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_can_be_asked_for_is_over_and_no_longer_than_a_day() {
        let meeting = |end_s| Meeting::new(MeetingNo::parse("012345678").unwrap(), 1000, end_s).unwrap();
        for (end_s, askable) in [
            (None, Askable::NotOver),
            (Some(100_001), Askable::NotOver),
            (Some(100_000), Askable::TooLong),
            (Some(87_401), Askable::TooLong),
            (Some(87_400), Askable::Until(87_400)),
            (Some(1000), Askable::Until(1000)),
            (Some(999), Askable::EndsBeforeStart),
        ] {
            assert_eq!(meeting(end_s).askable(100_000), askable, "{end_s:?}");
        }
        assert_eq!(Meeting::new(MeetingNo::parse("012345678").unwrap(), -1, None), None);
    }

    #[test]
    fn who_has_no_id_is_told_by_device_and_number() {
        for (device, phone, kind) in [
            (Some("PSTN"), None, AttendanceKind::Telephone),
            (None, Some("+86 *** 1234"), AttendanceKind::Telephone),
            (Some("SIP"), Some("1234"), AttendanceKind::Sip),
            (Some("H323"), None, AttendanceKind::Sip),
            (Some("doc"), None, AttendanceKind::Document),
            (Some("iPhone"), None, AttendanceKind::Guest),
            (Some("web"), Some("+86 *** 1234"), AttendanceKind::Guest),
            (None, None, AttendanceKind::Guest),
        ] {
            assert_eq!(AttendanceKind::without_id(device, phone), kind, "{device:?} {phone:?}");
        }
    }
}
