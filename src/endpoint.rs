//! The API's endpoints that pages are read from.

/// An endpoint. Each has a quota of its own, and refuses requests by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Endpoint {
    /// The samples of a participant's stay.
    Quality = 0,
    /// The meetings of a date.
    Meetings = 1,
    /// Who took part in a meeting.
    Participants = 2,
}

impl Endpoint {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Quality, Self::Meetings, Self::Participants];

    /// Its name in the API's documentation, the last part of its path.
    pub fn name(self) -> &'static str {
        match self {
            Self::Quality => "participant_quality_list",
            Self::Meetings => "meeting_list",
            Self::Participants => "participant_list",
        }
    }

    /// Its number in journals, which never changes.
    pub fn number(self) -> i64 {
        match self {
            Self::Quality => 0,
            Self::Meetings => 1,
            Self::Participants => 2,
        }
    }
}
