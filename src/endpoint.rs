//! The API's endpoints that pages are read from.

/// An endpoint. Each has a quota of its own, and refuses requests by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Endpoint {
    /// The samples of a participant's stay.
    Quality = 0,
}

impl Endpoint {
    /// All of them.
    pub const ALL: [Self; 1] = [Self::Quality];

    /// Its name in the API's documentation, the last part of its path.
    pub fn name(self) -> &'static str {
        match self {
            Self::Quality => "participant_quality_list",
        }
    }

    /// Its number in journals, which never changes.
    pub fn number(self) -> i64 {
        self as i64
    }
}
