//! The datasets that are published, each of date folders of Parquet files under a root of its own.

/// A dataset.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Dataset {
    /// Samples of stays.
    Quality,
    /// Meetings, one row for each.
    Meetings,
    /// Attendances, one row for each.
    Participants,
}

impl Dataset {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Quality, Self::Meetings, Self::Participants];

    /// Those that come from listings.
    pub const LISTED: [Self; 2] = [Self::Meetings, Self::Participants];

    /// The word for reports.
    pub fn name(self) -> &'static str {
        match self {
            Self::Quality => "quality",
            Self::Meetings => "meetings",
            Self::Participants => "participants",
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

    /// The dataset of that number.
    pub fn of_number(number: i64) -> Option<Self> {
        Self::ALL.into_iter().find(|dataset| dataset.number() == number)
    }
}
