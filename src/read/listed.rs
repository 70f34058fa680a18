//! The items of a list → the values of a table's columns.
//!
//! | kind | JSON | examples |
//! | --- | --- | --- |
//! | text | a string, as it stands; a whole number | `"wifi"`, `705605196` → `705605196` |
//! | time | a string as in [`time`](super::time); unix seconds, as string or number | `"2022.12.23 11:16:59 (GMT+08:00)"`, `"1671765419"` |
//! | duration | a string of hours, minutes and seconds; `0` | `"00:01:52"` → 112, `"1:00:00"` → 3600, `"25:00:00"` → 90000 |
//! | count | a whole number from 0 on, as string or number | `"1"`, `1` |
//! | flag | a truth value, as itself or as string in any letter case | `true`, `"true"` |
//!
//! - Absent, in every kind: a missing key, JSON null, the same texts as in [`unit`](super::unit).
//! - Blanks around a string do not matter; a text keeps them.
//! - Not read: any other JSON, what does not fit the column's type, the unix time 0, times in milliseconds.

mod items;

use std::collections::BTreeMap;

use chrono::FixedOffset;
use serde_json::{Map, Value};

pub use self::items::{PageError, items};
use super::{
    decode::Unknown,
    time::read_time,
    unit::{Reading, trim},
};
use crate::{
    limits::TIME_MAX_S,
    tables::listed::{Column, Kind, Table},
};

/// The value of one column.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Cell {
    /// None.
    Null,
    /// A text.
    Text(String),
    /// A point in time, in unix seconds.
    Time(i64),
    /// A count, or a length of time in seconds; not negative.
    Int(i32),
    /// Yes or no.
    Flag(bool),
}

impl Cell {
    /// The text, if it is one.
    pub fn text(&self) -> Option<&str> {
        if let Self::Text(text) = self { Some(text) } else { None }
    }

    /// The point in time in unix seconds, if it is one.
    pub fn time_s(&self) -> Option<i64> {
        if let Self::Time(unix_s) = self { Some(*unix_s) } else { None }
    }

    /// The count or the seconds, if it is a number.
    pub fn int(&self) -> Option<i32> {
        if let Self::Int(int) = self { Some(*int) } else { None }
    }

    /// Yes or no, if it is a flag.
    pub fn flag(&self) -> Option<bool> {
        if let Self::Flag(flag) = self { Some(*flag) } else { None }
    }

    /// Whether there is no value.
    pub fn is_null(&self) -> bool {
        *self == Self::Null
    }
}

/// One row of a table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Values {
    /// A cell for each of the table's columns, personal ones too.
    pub cells: Vec<Cell>,
    /// The original text of what could not be read, by column: a string as it stands, anything else as JSON.
    pub unparsed: BTreeMap<&'static str, String>,
}

impl Values {
    /// The cell of the column of this name.
    ///
    /// # Panics
    ///
    /// If `table` has no such column, or is not the table of this row.
    pub fn cell(&self, table: &Table, name: &str) -> &Cell {
        &self.cells[position(table, name)]
    }

    /// Puts a value into the column of this name, such as one that comes from the meeting. What was unparsed there is
    /// forgotten.
    ///
    /// # Panics
    ///
    /// If `table` has no such column, or is not the table of this row.
    pub fn set(&mut self, table: &Table, name: &str, cell: Cell) {
        self.cells[position(table, name)] = cell;
        self.unparsed.remove(name);
    }
}

fn position(table: &Table, name: &str) -> usize {
    table.position(name).expect("the code names columns that the table has")
}

/// Reads an item. Columns without a key are null, until they are [set](Values::set). Keys that the table does not know are
/// counted as `list.key`. `naive_offset` counts for time texts that carry no zone.
///
/// ```
/// use chrono::FixedOffset;
/// use vcq::{read::{decode::Unknown, listed::{Cell, items, read}}, tables::participants::PARTICIPANTS};
///
/// let page = br#"{"data": {"participants": [{"device": "windows", "time_in_meeting": "00:01:52", "join_time": "soon"}]}}"#;
/// let item = &items(page, PARTICIPANTS.list_key).unwrap()[0];
/// let offset = FixedOffset::east_opt(8 * 3600).unwrap();
/// let values = read(&PARTICIPANTS, item, offset, &mut Unknown::default());
/// assert_eq!(values.cell(&PARTICIPANTS, "device").text(), Some("windows"));
/// assert_eq!(values.cell(&PARTICIPANTS, "time_in_meeting_s").int(), Some(112));
/// assert_eq!(values.cell(&PARTICIPANTS, "join_time"), &Cell::Null);
/// assert_eq!(values.unparsed["join_time"], "soon");
/// ```
pub fn read(table: &Table, item: &Map<String, Value>, naive_offset: FixedOffset, unknown: &mut Unknown) -> Values {
    for key in item.keys().filter(|key| !is_known(table, key)) {
        unknown.add(&format!("{}.{key}", table.list_key));
    }
    let mut unparsed = BTreeMap::new();
    let mut cell = |column: &Column| {
        let value = Some(column.key).filter(|key| !key.is_empty()).and_then(|key| item.get(key))?;
        match read_value(column.kind, value, naive_offset) {
            Reading::Value(cell) => Some(cell),
            Reading::Absent => None,
            Reading::Unparsed => {
                unparsed.insert(column.name, text_of(value));
                None
            }
        }
    };
    let cells = table.columns.iter().map(|column| cell(column).unwrap_or(Cell::Null)).collect();
    Values { cells, unparsed }
}

fn is_known(table: &Table, key: &str) -> bool {
    let has_column = !key.is_empty() && table.columns.iter().any(|column| column.key == key);
    has_column || table.keys_without_column.contains(&key)
}

/// The value as it stands: a string without its quotes, anything else as JSON.
fn text_of(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

fn read_value(kind: Kind, value: &Value, naive_offset: FixedOffset) -> Reading<Cell> {
    match value {
        Value::Null => Reading::Absent,
        Value::Bool(flag) if kind == Kind::Flag => Reading::Value(Cell::Flag(*flag)),
        Value::String(text) => read_text(kind, text, naive_offset),
        Value::Number(number) if number.is_f64() => Reading::Unparsed,
        Value::Number(number) => read_text(kind, &number.to_string(), naive_offset),
        Value::Bool(_) | Value::Array(_) | Value::Object(_) => Reading::Unparsed,
    }
}

fn read_text(kind: Kind, text: &str, naive_offset: FixedOffset) -> Reading<Cell> {
    let trimmed = trim(text);
    let cell = match kind {
        Kind::Text => return read_plain(text),
        Kind::Time => match read_time(trimmed, naive_offset) {
            Reading::Value(unix_s) => Some(Cell::Time(unix_s)),
            Reading::Absent => None,
            Reading::Unparsed => unix_s(trimmed).map(Cell::Time),
        },
        Kind::Duration => duration_s(trimmed).map(Cell::Int),
        Kind::Count => count(trimmed).map(Cell::Int),
        Kind::Flag => flag(trimmed).map(Cell::Flag),
    };
    Reading::new(trimmed, cell)
}

/// A text as it stands, unless it says that there is none.
fn read_plain(text: &str) -> Reading<Cell> {
    match Reading::new(trim(text), None::<Cell>) {
        Reading::Unparsed => Reading::Value(Cell::Text(text.to_owned())),
        absent => absent,
    }
}

/// The number that these digits write, nothing else around them: no sign, no blank.
fn digits(text: &str) -> Option<u64> {
    text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok())?
}

fn count(text: &str) -> Option<i32> {
    digits(text)?.try_into().ok()
}

/// A second that somebody means: 0 stands for no time wherever it comes from.
fn unix_s(text: &str) -> Option<i64> {
    i64::try_from(digits(text)?).ok().filter(|unix_s| (1..TIME_MAX_S).contains(unix_s))
}

fn flag(text: &str) -> Option<bool> {
    if text.eq_ignore_ascii_case("true") { Some(true) } else { text.eq_ignore_ascii_case("false").then_some(false) }
}

/// The seconds of `H:MM:SS`, with as many digits of the hour as there are, or of `0`.
fn duration_s(text: &str) -> Option<i32> {
    if text == "0" {
        return Some(0);
    }
    let mut parts = text.split(':');
    let (hours, minutes, seconds) = (parts.next()?, parts.next()?, parts.next()?);
    let are_two_digits = minutes.len() == 2 && seconds.len() == 2;
    let (hours, minutes, seconds) = (digits(hours)?, digits(minutes)?, digits(seconds)?);
    let is_clock = are_two_digits && minutes < 60 && seconds < 60 && parts.next().is_none();
    let total_s = hours.checked_mul(3600)?.checked_add(minutes * 60 + seconds)?;
    is_clock.then(|| total_s.try_into().ok())?
}

#[cfg(test)]
mod tests;
