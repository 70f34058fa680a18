//! Which rule a row breaks, in words for whoever has to mend it.

use std::fmt;

use chrono::DateTime;

#[cfg(doc)]
use super::rules::Rules;
use super::{RECORD_BYTES_MAX, column::Column, id::name_of, shown::cut};
use crate::limits::{ID_BYTES_MAX, MEETING_LENGTH_MAX_S, TIME_MAX_S};

/// The most names of missing columns that a message shows.
const MISSING_SHOWN_MAX: usize = 6;

/// Which rule a row breaks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reason {
    /// One value breaks a rule.
    Value {
        /// The value's column.
        column: Column,
        /// The rule it breaks.
        rule: Rule,
    },
    /// Neither `user_id` nor `room_id` is given.
    NoParticipant,
    /// `user_id` and `room_id` are both given.
    TwoParticipants,
    /// The record has more or fewer fields than the header has names.
    FieldCount {
        /// Fields in the record.
        found: usize,
        /// Names in the header.
        expected: usize,
        /// The names for which there are no fields.
        missing: Missing,
    },
    /// The record, or the line, is longer than [`RECORD_BYTES_MAX`].
    TooLong,
    /// A field goes on after its closing quote. The record is its first line alone; so it is with the next two.
    AfterQuote {
        /// The field, from 1.
        field: usize,
        /// The line of the closing quote.
        line: u64,
        /// What comes after it.
        after: String,
    },
    /// A field that does not begin with a quote has one.
    QuoteWithin {
        /// The field, from 1.
        field: usize,
    },
    /// A quote is opened and not closed before the end of the file, or of what a record may have.
    OpenQuote {
        /// The field, from 1.
        field: usize,
    },
    /// The record is not UTF-8.
    NotUtf8,
    /// The line is not one whole JSON object.
    NotAnObject {
        /// The byte of the line at which reading stopped, from 1.
        byte: usize,
    },
    /// A JSON object has a key twice.
    KeyTwice(Column),
}

/// Names of columns for which a record has no fields.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Missing {
    /// The first of them, as a list for people.
    listed: String,
    /// How many more there are.
    more: usize,
}

impl Missing {
    pub(super) fn of(names: &[String]) -> Self {
        let listed: Vec<String> = names.iter().take(MISSING_SHOWN_MAX).map(|name| format!("`{}`", cut(name))).collect();
        Self { listed: listed.join(", "), more: names.len() - listed.len() }
    }
}

impl fmt::Display for Missing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self { listed, .. } if listed.is_empty() => Ok(()),
            Self { listed, more: 0 } => write!(f, "; missing: {listed}"),
            Self { listed, more } => write!(f, "; missing: {listed} and {more} more"),
        }
    }
}

/// A rule that one value breaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rule {
    /// There must be a value.
    Given,
    /// A meeting number is nine digits.
    NineDigits,
    /// A time has one of the three forms.
    TimeForm,
    /// A time names its zone, unless [`Rules::naive_times`](super::rules::Rules::naive_times) does.
    Zone,
    /// A time is given in seconds, below [`TIME_MAX_S`].
    Seconds,
    /// A time is not before 1970.
    NotNegative,
    /// A meeting has begun.
    NotInFuture {
        /// The start, in unix seconds.
        start_s: i64,
        /// How far in the future it lies, in seconds.
        by_s: i64,
    },
    /// A meeting does not end before it starts.
    NotBeforeStart {
        /// How far before the start the end lies, in seconds.
        by_s: i64,
    },
    /// A meeting lasts at most [`MEETING_LENGTH_MAX_S`].
    LengthMax {
        /// The meeting's length, in seconds.
        length_s: i64,
    },
    /// An id has at most [`ID_BYTES_MAX`] bytes.
    IdLength {
        /// The id's length.
        bytes: usize,
    },
    /// An id has no control characters, none that stands for damage, and none that nobody sees.
    IdCharacter {
        /// The first of them.
        character: char,
        /// Its place in the id, from 1.
        place: usize,
    },
    /// An id is no text that a tool has written for a missing value.
    NullText,
    /// Nobody joins a meeting after its end.
    NotAfterEnd {
        /// How far after the end the time lies, in seconds.
        by_s: i64,
    },
    /// A number has no fraction, and can be told from its neighbours.
    Whole,
    /// An INT96 lies within 64 bits of nanoseconds around 1970.
    Int96Range,
    /// A JSON value is a string or an integer.
    JsonType {
        /// What it is instead.
        found: &'static str,
    },
}

/// What is wrong with the row as a whole; of one value the rule alone.
impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Value { rule, .. } => rule.fmt(f),
            Self::NoParticipant | Self::TwoParticipants => {
                f.write_str("exactly one of `user_id` and `room_id` must be given")
            }
            Self::FieldCount { found, expected, missing } => {
                write!(f, "the row has {found} fields, must have {expected} as the line of column names{missing}")
            }
            Self::TooLong => write!(f, "the row is longer than {RECORD_BYTES_MAX} bytes"),
            Self::AfterQuote { field, line, after } => write!(
                f,
                "field {field} goes on with {after} after its closing quote on line {line}, where only a separator or a line \
                 end may come (quotes within a field are doubled)"
            ),
            Self::QuoteWithin { field } => write!(
                f,
                "field {field} has a quote but does not begin with one (a field with quotes stands in quotes, and those \
                 within it are doubled)"
            ),
            Self::OpenQuote { field } => write!(
                f,
                "field {field} opens a quote that is not closed before the end of the file, or within {RECORD_BYTES_MAX} bytes"
            ),
            Self::NotUtf8 => f.write_str("the row is not UTF-8"),
            Self::NotAnObject { byte } => {
                write!(f, "the line is not one JSON object (reading stopped at byte {byte})")
            }
            Self::KeyTwice(column) => write!(f, "{column} is there twice"),
        }
    }
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Given => f.write_str("must be given"),
            Self::NineDigits => f.write_str("must be nine digits"),
            Self::TimeForm => {
                f.write_str("must be unix seconds, RFC 3339 or a time such as `2022.12.23 11:16:59 (GMT+08:00)`")
            }
            Self::Zone => f.write_str(
                "must name its zone as `+08:00` does; or say what is meant: --naive-times utc, or --naive-times +08:00",
            ),
            Self::Seconds => write!(f, "must be in seconds, less than {TIME_MAX_S} (are these milliseconds?)"),
            Self::NotNegative => f.write_str("must not be before 1970"),
            Self::NotInFuture { start_s, by_s } => {
                write!(f, "must not be in the future, is by {}", lasting(*by_s))?;
                // Seconds alone do not say that a year is wrong.
                DateTime::from_timestamp(*start_s, 0).map_or(Ok(()), |start| write!(f, " ({start})"))
            }
            Self::NotBeforeStart { by_s } => {
                write!(f, "must not be before `meeting_start_time`, is by {}", lasting(*by_s))
            }
            Self::LengthMax { length_s } => {
                write!(
                    f,
                    "must be at most {MEETING_LENGTH_MAX_S} s after `meeting_start_time`, is {length_s} s after it"
                )
            }
            Self::IdLength { bytes } => write!(f, "must have at most {ID_BYTES_MAX} bytes, has {bytes}"),
            Self::IdCharacter { character, place } => {
                let (code, name) = (u32::from(*character), name_of(*character));
                write!(f, "must not hold U+{code:04X} ({name}), its character {place}")
            }
            Self::NullText => f.write_str("looks like a missing value that was written as a text; must be an id"),
            Self::NotAfterEnd { by_s } => write!(f, "must not be after `meeting_end_time`, is by {}", lasting(*by_s)),
            Self::Whole => f.write_str("must be a whole number, exactly"),
            Self::Int96Range => f.write_str("out of the range of INT96: must lie between 1677-09-21 and 2262-04-11"),
            Self::JsonType { found } => write!(f, "must be a string or an integer, is {found}"),
        }
    }
}

/// A duration for people: of hours and years nobody counts the seconds.
fn lasting(seconds: i64) -> String {
    const HOUR_S: i64 = 3_600;
    const DAY_S: i64 = 24 * HOUR_S;
    const YEAR_S: i64 = 365 * DAY_S;
    if seconds < 2 * HOUR_S {
        format!("{seconds} s")
    } else if seconds < 2 * DAY_S {
        format!("{} h", seconds / HOUR_S)
    } else if seconds < 2 * YEAR_S {
        format!("{} days", seconds / DAY_S)
    } else {
        format!("{} years", seconds / YEAR_S)
    }
}
