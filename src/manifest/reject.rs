//! Rejects: rows that break a rule, why, and the file in which they can be mended and given back.

use std::{
    borrow::Cow,
    fmt,
    io::{self, Write},
};

use crate::stay::Stay;

use super::{
    Lines, RECORD_BYTES_MAX,
    column::{Column, Fields},
    id::name_of,
    rules::{ID_BYTES_MAX, MEETING_LENGTH_MAX_S, Rules, TIME_MAX_S},
};

/// The most bytes of one text that a reject keeps.
pub const REJECT_TEXT_BYTES_MAX: usize = 4096;

/// The most names of missing columns that a message shows.
const MISSING_SHOWN_MAX: usize = 6;

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
    ///
    /// Texts that would make a good row by themselves have U+FFFD added, where the fault is: given back without having
    /// been mended, no row may pass.
    pub texts: [String; Column::ALL.len()],
    /// The row as it stands in a text, or the first [`RECORD_BYTES_MAX`] bytes of it and U+FFFD; empty for Parquet.
    pub as_read: String,
    /// The first rule that the row breaks.
    pub reason: Reason,
}

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

impl Reject {
    pub(crate) fn new(fields: &Fields, reason: Reason) -> Self {
        Self { texts: Column::ALL.map(|column| kept(fields.get(column))), as_read: String::new(), reason }
    }

    /// Keeps the row as it was read.
    pub(super) fn keep_text(&mut self, bytes: &[u8]) {
        let kept = &bytes[..bytes.len().min(RECORD_BYTES_MAX)];
        self.as_read = String::from_utf8_lossy(kept).into_owned();
        if kept.len() < bytes.len() || self.reason == Reason::TooLong {
            self.as_read.push(DAMAGE);
        }
    }

    /// Sees to it that the texts do not make a good row. The mark stands at the text that is to be mended, or where that
    /// is the whole row in the empty one of the two ids, so that all texts stay as they were.
    pub(super) fn mark_if_it_would_pass(&mut self, rules: &Rules) {
        let texts = &self.texts;
        if rules.check(&Fields::of(|column| &texts[column as usize])).is_err() {
            return;
        }
        let is_user = !self.text(Column::UserId).trim().is_empty();
        let marked = match self.reason {
            Reason::Value { column, .. } | Reason::KeyTwice(column) => column,
            _ if is_user => Column::RoomId,
            _ => Column::UserId,
        };
        self.texts[marked as usize].push(DAMAGE);
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
        match &self.reason {
            Reason::Value { column, rule: rule @ (Rule::Given | Rule::JsonType { .. }) } => {
                write!(f, "{column} {rule}")
            }
            Reason::Value { column, rule } => {
                let text = self.text(*column);
                write!(f, "{column} is {}, {rule}", Shown(text))?;
                let is_short_number = *rule == Rule::NineDigits && is_short_number(text);
                if is_short_number { f.write_str(" (a leading zero lost by a spreadsheet?)") } else { Ok(()) }
            }
            Reason::NoParticipant => f.write_str("`user_id` and `room_id` are both empty, exactly one must be given"),
            Reason::TwoParticipants => {
                let [user, room] = [Column::UserId, Column::RoomId].map(|column| Shown(self.text(column)));
                write!(f, "`user_id` is {user} and `room_id` is {room}, exactly one must be given")
            }
            reason => reason.fmt(f),
        }
    }
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
            Self::Zone => f.write_str(
                "must name its zone as `+08:00` does; or say what is meant: --naive-times utc, or --naive-times +08:00",
            ),
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
            Self::IdCharacter { character, place } => {
                let (code, name) = (u32::from(*character), name_of(*character));
                write!(f, "must not hold U+{code:04X} ({name}), its character {place}")
            }
            Self::NullText => f.write_str("looks like a missing value that was written as a text; must be an id"),
            Self::NotAfterEnd { by_s } => write!(f, "must not be after `meeting_end_time`, is by {by_s} s"),
            Self::Whole => f.write_str("must be a whole number, exactly"),
            Self::Int96Range => f.write_str("out of the range of INT96: must lie between 1677-09-21 and 2262-04-11"),
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

/// Writes `rejects.csv`: the manifest's columns, then `file`, `line`, `reason`, and the row as it stands in a text file.
///
/// Mended, it can be given back as a manifest, which ignores the last four columns. Every row is shorter than what a
/// manifest may have, so that one that is given back is one row again.
pub struct RejectsWriter<W: Write> {
    writer: csv::Writer<W>,
}

impl<W: Write> RejectsWriter<W> {
    /// Begins the file with the line of column names.
    pub fn new(file: W) -> io::Result<Self> {
        let mut writer = csv::Writer::from_writer(file);
        writer.write_record(Column::ALL.map(Column::name).into_iter().chain(["file", "line", "reason", "text"]))?;
        Ok(Self { writer })
    }

    /// Adds one reject, which stands in `manifest` on these lines.
    pub fn write(&mut self, manifest: &str, lines: Lines, reject: &Reject) -> io::Result<()> {
        self.write_row(&reject.texts, [manifest, &lines.to_string(), &reject.to_string()], &reject.as_read)
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
        self.write_row(&texts, [manifest, &line.to_string(), reason], "")
    }

    fn write_row(&mut self, texts: &[String], origin: [&str; 3], as_read: &str) -> io::Result<()> {
        let before = texts.iter().map(String::as_str).chain(origin);
        let bytes_left = RECORD_BYTES_MAX.saturating_sub(before.clone().map(written_bytes).sum());
        Ok(self.writer.write_record(before.chain([fitting(as_read, bytes_left).as_ref()]))?)
    }

    /// Writes what is still buffered, and gives the file back to be synced.
    pub fn finish(self) -> io::Result<W> {
        self.writer.into_inner().map_err(csv::IntoInnerError::into_error)
    }
}

/// The most bytes that a text takes as a field: quotes around it, those within it doubled, and a separator.
fn written_bytes(text: &str) -> usize {
    text.len() + text.bytes().filter(|byte| *byte == b'"').count() + 3
}

/// The text, or as much of it as can be written in `bytes_left`, and U+FFFD.
fn fitting(text: &str, bytes_left: usize) -> Cow<'_, str> {
    if written_bytes(text) <= bytes_left {
        return text.into();
    }
    let mut bytes = written_bytes("") + DAMAGE.len_utf8();
    let fits = |character: &char| {
        bytes += character.len_utf8() + usize::from(*character == '"');
        bytes <= bytes_left
    };
    let mut kept: String = text.chars().take_while(fits).collect();
    kept.push(DAMAGE);
    kept.into()
}
