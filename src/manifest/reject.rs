//! Rejects: rows that break a rule, why, and the file in which they can be mended and given back.

use std::{
    fmt,
    io::{self, Write},
};

use crate::stay::Stay;

use super::{
    RECORD_BYTES_MAX,
    column::{Column, Fields},
    rules::{ID_BYTES_MAX, MEETING_LENGTH_MAX_S, TIME_MAX_S},
};

/// The most bytes of one text that a reject keeps.
pub const REJECT_TEXT_BYTES_MAX: usize = 4096;

/// The most characters of an outside text that a message shows.
const SHOWN_CHARS_MAX: usize = 80;

/// Stands where a text was cut or was not UTF-8. No rule accepts it, so that a damaged text that is given back without
/// having been mended is rejected again instead of naming somebody else.
pub(super) const DAMAGE: char = char::REPLACEMENT_CHARACTER;

/// A row that cannot be asked for, and why. Its `Display` is one line: the column, the value and the rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reject {
    /// The row's texts as they stand in the manifest, in the order of [`Column::ALL`]; empty where the row has none.
    /// One that is longer than [`REJECT_TEXT_BYTES_MAX`] is cut there, and U+FFFD says so.
    pub texts: [String; Column::ALL.len()],
    /// The first rule that the row breaks.
    pub reason: Reason,
}

/// Which rule a row breaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
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
        found: u64,
        /// Names in the header.
        expected: usize,
    },
    /// The record is longer than [`RECORD_BYTES_MAX`].
    TooLong {
        /// The line on which it ends.
        last_line: u64,
    },
    /// A quote is opened and never closed, which makes the rest of the file one record.
    OpenQuote {
        /// The last line of the file.
        last_line: u64,
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

/// A rule that one value breaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rule {
    /// There must be a value.
    Given,
    /// A meeting number is nine digits.
    NineDigits,
    /// A time has one of the three forms.
    TimeForm,
    /// A time is given in seconds, below [`TIME_MAX_S`].
    Seconds,
    /// A time is not before 1970.
    NotNegative,
    /// A meeting has begun.
    NotInFuture {
        /// How far in the future the start lies, in seconds.
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
    /// An id has no control characters, and none that stands for damage.
    IdCharacters,
    /// A JSON value is a string or an integer.
    JsonType {
        /// What it is instead.
        found: &'static str,
    },
}

impl Reject {
    pub(crate) fn new(fields: &Fields, reason: Reason) -> Self {
        Self { texts: Column::ALL.map(|column| kept(fields.get(column))), reason }
    }

    fn text(&self, column: Column) -> &str {
        &self.texts[column as usize]
    }
}

fn kept(text: &str) -> String {
    if text.len() <= REJECT_TEXT_BYTES_MAX {
        return text.to_owned();
    }
    let end = (0..=REJECT_TEXT_BYTES_MAX).rev().find(|&end| text.is_char_boundary(end)).unwrap_or(0);
    format!("{}{DAMAGE}", &text[..end])
}

impl fmt::Display for Reject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.reason {
            Reason::Value { column, rule: rule @ (Rule::Given | Rule::JsonType { .. }) } => {
                write!(f, "{column} {rule}")
            }
            Reason::Value { column, rule } => {
                let text = self.text(column);
                write!(f, "{column} is {}, {rule}", Shown(text))?;
                let is_short_number = rule == Rule::NineDigits && is_short_number(text);
                if is_short_number { f.write_str(" (a leading zero lost by a spreadsheet?)") } else { Ok(()) }
            }
            Reason::NoParticipant => f.write_str("`user_id` and `room_id` are both empty, exactly one must be given"),
            Reason::TwoParticipants => {
                let [user, room] = [Column::UserId, Column::RoomId].map(|column| Shown(self.text(column)));
                write!(f, "`user_id` is {user} and `room_id` is {room}, exactly one must be given")
            }
            Reason::FieldCount { found, expected } => {
                write!(f, "the row has {found} fields, must have {expected} as the line of column names")
            }
            Reason::TooLong { last_line } => {
                write!(f, "the row ends on line {last_line} and is longer than {RECORD_BYTES_MAX} bytes")
            }
            Reason::OpenQuote { last_line } => {
                write!(f, "a quote is never closed, so that all lines to {last_line}, the last, are one row")
            }
            Reason::NotUtf8 => f.write_str("the row is not UTF-8"),
            Reason::NotAnObject { byte } => {
                write!(f, "the line is not one JSON object (reading stopped at byte {byte})")
            }
            Reason::KeyTwice(column) => write!(f, "{column} is there twice"),
        }
    }
}

fn is_short_number(text: &str) -> bool {
    let text = text.trim();
    (1..=8).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit())
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Given => f.write_str("must be given"),
            Self::NineDigits => f.write_str("must be nine digits"),
            Self::TimeForm => {
                f.write_str("must be unix seconds, RFC 3339 or a time such as `2022.12.23 11:16:59 (GMT+08:00)`")
            }
            Self::Seconds => write!(f, "must be in seconds, less than {TIME_MAX_S} (are these milliseconds?)"),
            Self::NotNegative => f.write_str("must not be before 1970"),
            Self::NotInFuture { by_s } => write!(f, "must not be in the future, is by {by_s} s"),
            Self::NotBeforeStart { by_s } => write!(f, "must not be before `meeting_start_time`, is by {by_s} s"),
            Self::LengthMax { length_s } => {
                write!(
                    f,
                    "must be at most {MEETING_LENGTH_MAX_S} s after `meeting_start_time`, is {length_s} s after it"
                )
            }
            Self::IdLength { bytes } => write!(f, "must have at most {ID_BYTES_MAX} bytes, has {bytes}"),
            Self::IdCharacters => f.write_str("must not hold control characters nor U+FFFD"),
            Self::JsonType { found } => write!(f, "must be a string or an integer, is {found}"),
        }
    }
}

/// Outside text in a message: [cut], quoted and escaped.
pub(super) struct Shown<'a>(pub(super) &'a str);

impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = cut(self.0);
        write!(f, "{text:?}{}", if text.len() < self.0.len() { "…" } else { "" })
    }
}

/// The first [`SHOWN_CHARS_MAX`] characters.
pub(super) fn cut(text: &str) -> &str {
    text.char_indices().nth(SHOWN_CHARS_MAX).map_or(text, |(end, _)| &text[..end])
}

/// Writes `rejects.csv`: the manifest's columns, then `file`, `line` and `reason`.
///
/// Mended, it can be given back as a manifest, which ignores the last three columns.
pub struct RejectsWriter<W: Write> {
    writer: csv::Writer<W>,
}

impl<W: Write> RejectsWriter<W> {
    /// Begins the file with the line of column names.
    pub fn new(file: W) -> io::Result<Self> {
        let mut writer = csv::Writer::from_writer(file);
        writer.write_record(Column::ALL.map(Column::name).into_iter().chain(["file", "line", "reason"]))?;
        Ok(Self { writer })
    }

    /// Adds one reject, which stands in `manifest` on `line`.
    pub fn write(&mut self, manifest: &str, line: u64, reject: &Reject) -> io::Result<()> {
        self.write_row(&reject.texts, [manifest, &line.to_string(), &reject.to_string()])
    }

    /// Adds a stay that the API rejected for `reason`.
    pub fn write_stay(&mut self, manifest: &str, line: u64, stay: &Stay, reason: &str) -> io::Result<()> {
        let id = |id: Option<&str>| id.unwrap_or_default().to_owned();
        let texts = Column::ALL.map(|column| match column {
            Column::MeetingNo => stay.meeting_no.to_string(),
            Column::MeetingStartTime => stay.meeting_start_s.to_string(),
            Column::MeetingEndTime => stay.meeting_end_s.to_string(),
            Column::JoinTime => stay.join_s.to_string(),
            Column::UserId => id(stay.participant.user_id()),
            Column::RoomId => id(stay.participant.room_id()),
        });
        self.write_row(&texts, [manifest, &line.to_string(), reason])
    }

    fn write_row(&mut self, texts: &[String], origin: [&str; 3]) -> io::Result<()> {
        Ok(self.writer.write_record(texts.iter().map(String::as_str).chain(origin))?)
    }

    /// Writes what is still buffered, and gives the file back to be synced.
    pub fn finish(self) -> io::Result<W> {
        self.writer.into_inner().map_err(csv::IntoInnerError::into_error)
    }
}
