//! A span of dates.

use std::fmt;

use chrono::NaiveDate;

/// Dates, the first and the last of them included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Dates {
    /// The first.
    pub first: NaiveDate,
    /// The last.
    pub last: NaiveDate,
}

impl Dates {
    /// Whether a date is one of them.
    pub fn contain(&self, date: NaiveDate) -> bool {
        (self.first..=self.last).contains(&date)
    }
}

impl fmt::Display for Dates {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}..{}", self.first, self.last)
    }
}
