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
    reason::{Reason, Rule},
    rules::Rules,
    shown::{DAMAGE, Shown},
};

/// The most bytes of one text that a reject keeps.
pub const REJECT_TEXT_BYTES_MAX: usize = 4096;

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

fn is_short_number(text: &str) -> bool {
    let text = text.trim();
    (1..=8).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit())
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
