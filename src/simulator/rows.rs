//! One item of a list: JSON as the API writes it, and beside it what each column of its dataset must hold.
//!
//! The value is known before it is written, so its meaning needs no reader.

use std::fmt;

use rand::{Rng, rngs::StdRng};
use serde_json::{Map, Value, json};

use super::{random::one_of, tenant::local_time, values::ZONES};

/// What a column must hold for a value that is there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Cell {
    /// This text.
    Text(String),
    /// This number.
    Integer(i64),
    /// This truth.
    Boolean(bool),
    /// This time, in unix seconds.
    Time(i64),
}

impl fmt::Display for Cell {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(text) => f.write_str(text),
            Self::Integer(number) | Self::Time(number) => write!(f, "{number}"),
            Self::Boolean(truth) => write!(f, "{truth}"),
        }
    }
}

/// What a row of `meetings` or `participants` must hold.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Cells {
    cells: Vec<(&'static str, Option<Cell>)>,
    unparsed: Vec<(&'static str, String)>,
}

impl Cells {
    /// Each column by its name in the dataset, `unparsed` left out, personal ones included; none where it must be null.
    pub fn all(&self) -> &[(&'static str, Option<Cell>)] {
        &self.cells
    }

    /// The columns that are null because their text cannot be read, each with that text.
    pub fn unparsed(&self) -> &[(&'static str, String)] {
        &self.unparsed
    }

    /// The column of that name; none where it must be null.
    pub fn cell(&self, column: &str) -> Option<&Cell> {
        self.cells.iter().find(|(name, _)| *name == column)?.1.as_ref()
    }

    /// The column's text, as far as it is one.
    pub fn text(&self, column: &str) -> Option<String> {
        match self.cell(column)? {
            Cell::Text(text) => Some(text.clone()),
            _ => None,
        }
    }

    /// The column's number, or time in unix seconds, as far as it is one.
    pub fn integer(&self, column: &str) -> Option<i64> {
        match self.cell(column)? {
            Cell::Integer(number) | Cell::Time(number) => Some(*number),
            _ => None,
        }
    }

    /// The column's truth, as far as it is one.
    pub fn boolean(&self, column: &str) -> Option<bool> {
        match self.cell(column)? {
            Cell::Boolean(truth) => Some(*truth),
            _ => None,
        }
    }
}

/// Ways to say that there is no value.
#[derive(Clone, Copy)]
enum Nothing {
    Missing,
    Null,
    Text(&'static str),
}

const NOTHINGS: &[Nothing] = &[Nothing::Missing, Nothing::Null, Nothing::Text(""), Nothing::Text("-")];

/// Writes one item. The same fields in the same order take the same draws, whatever their values.
pub(super) struct Writer {
    rng: StdRng,
    odd_forms: f64,
    item: Map<String, Value>,
    cells: Cells,
}

impl Writer {
    pub(super) fn new(rng: StdRng, odd_forms: f64) -> Self {
        Self { rng, odd_forms, item: Map::new(), cells: Cells::default() }
    }

    /// The item and its meaning.
    pub(super) fn finish(mut self) -> (Value, Cells) {
        if self.is_odd() {
            self.item.insert("client_channel".into(), json!({"name": "beta", "since": 3}));
        }
        (Value::Object(self.item), self.cells)
    }

    /// A column that the item itself does not name.
    pub(super) fn known(&mut self, column: &'static str, cell: Cell) {
        self.cells.cells.push((column, Some(cell)));
    }

    /// A text that is always there as it is.
    pub(super) fn name(&mut self, key: &str, column: &'static str, value: &str) {
        self.item.insert(key.into(), value.into());
        self.known(column, Cell::Text(value.into()));
    }

    /// An id that is there as it is, or absent: then its key is missing, or the value says so.
    pub(super) fn id(&mut self, key: &str, column: &'static str, value: Option<&str>) {
        let nothing = self.nothing();
        match value {
            Some(value) => self.name(key, column, value),
            None => self.nothing_as(nothing.unwrap_or(Nothing::Missing), key, column),
        }
    }

    /// A text.
    pub(super) fn text(&mut self, key: &str, column: &'static str, value: &str) {
        match self.nothing() {
            Some(nothing) => self.nothing_as(nothing, key, column),
            None if value.is_empty() => self.nothing_as(Nothing::Text(""), key, column),
            None => self.name(key, column, value),
        }
    }

    /// A number as the API writes numbers of people: as text. Rarer forms are JSON numbers, and texts that are none.
    pub(super) fn count(&mut self, key: &str, column: &'static str, value: i64) {
        let (is_number, is_riddle) = (self.is_odd(), self.is_odd() && self.rng.random_bool(0.2));
        match self.nothing() {
            Some(nothing) => return self.nothing_as(nothing, key, column),
            None if is_riddle => return self.riddle(key, column, "many"),
            None if is_number => self.item.insert(key.into(), value.into()),
            None => self.item.insert(key.into(), value.to_string().into()),
        };
        self.known(column, Cell::Integer(value));
    }

    /// A JSON number.
    pub(super) fn integer(&mut self, key: &str, column: &'static str, value: i64) {
        if let Some(nothing) = self.nothing() {
            return self.nothing_as(nothing, key, column);
        }
        self.item.insert(key.into(), value.into());
        self.known(column, Cell::Integer(value));
    }

    /// A truth.
    pub(super) fn boolean(&mut self, key: &str, column: &'static str, value: bool) {
        if let Some(nothing) = self.nothing() {
            return self.nothing_as(nothing, key, column);
        }
        self.item.insert(key.into(), value.into());
        self.known(column, Cell::Boolean(value));
    }

    /// A time, which is never left out: rarer forms name another zone or none.
    pub(super) fn time(&mut self, key: &str, column: &'static str, unix_s: i64) {
        let zone = self.zone();
        self.time_in(zone, key, column, unix_s);
    }

    /// A time that there may not be yet, or that the API may leave out.
    pub(super) fn optional_time(&mut self, key: &str, column: &'static str, unix_s: Option<i64>) {
        let (nothing, zone) = (self.nothing(), self.zone());
        match (nothing, unix_s) {
            (None, Some(unix_s)) => self.time_in(zone, key, column, unix_s),
            (nothing, _) => self.nothing_as(nothing.unwrap_or(Nothing::Text("")), key, column),
        }
    }

    /// A time that is not there yet, written as this text.
    pub(super) fn blank_time(&mut self, key: &str, column: &'static str, text: &'static str) {
        let _ = self.zone();
        self.nothing_as(Nothing::Text(text), key, column);
    }

    /// How long something took: `HH:MM:SS`, in rarer forms without leading zeros of the hour, or no length at all.
    pub(super) fn duration(&mut self, key: &str, column: &'static str, seconds: Option<i64>) {
        let (is_short, is_riddle) = (self.is_odd(), self.is_odd() && self.rng.random_bool(0.2));
        let nothing = self.nothing();
        let Some(seconds) = seconds else {
            return self.nothing_as(nothing.unwrap_or(Nothing::Text("")), key, column);
        };
        let (hours, minutes, rest) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
        let text = match nothing {
            Some(nothing) => return self.nothing_as(nothing, key, column),
            None if is_riddle => return self.riddle(key, column, "about an hour"),
            None if is_short => format!("{hours}:{minutes:02}:{rest:02}"),
            None => format!("{hours:02}:{minutes:02}:{rest:02}"),
        };
        self.item.insert(key.into(), text.into());
        self.known(column, Cell::Integer(seconds));
    }

    /// The zone that the next time names, and its offset from UTC in seconds.
    fn zone(&mut self) -> (&'static str, i32) {
        if self.is_odd() { *one_of(&mut self.rng, ZONES) } else { ZONES[0] }
    }

    fn time_in(&mut self, (zone, offset_s): (&str, i32), key: &str, column: &'static str, unix_s: i64) {
        self.item.insert(key.into(), format!("{}{zone}", local_time(unix_s, offset_s)).into());
        self.known(column, Cell::Time(unix_s));
    }

    /// Whether the next value is to have a rarer form.
    fn is_odd(&mut self) -> bool {
        self.odd_forms > 0.0 && self.rng.random_bool(self.odd_forms.min(1.0))
    }

    /// Whether and how the next value is to be left out.
    fn nothing(&mut self) -> Option<Nothing> {
        let is_left_out = self.is_odd() && self.rng.random_bool(0.4);
        is_left_out.then(|| *one_of(&mut self.rng, NOTHINGS))
    }

    fn nothing_as(&mut self, nothing: Nothing, key: &str, column: &'static str) {
        match nothing {
            Nothing::Missing => {}
            Nothing::Null => _ = self.item.insert(key.into(), Value::Null),
            Nothing::Text(text) => _ = self.item.insert(key.into(), text.into()),
        }
        self.cells.cells.push((column, None));
    }

    fn riddle(&mut self, key: &str, column: &'static str, text: &str) {
        self.item.insert(key.into(), text.into());
        self.cells.cells.push((column, None));
        self.cells.unparsed.push((column, text.into()));
    }
}
