//! The manifest's columns: their names, where a header or a schema has them, and the names that are ignored.

use std::fmt;

use super::{
    ManifestError,
    shown::{Shown, cut},
};

/// The most names of ignored columns that are kept for the report; further ones are ignored unnamed.
pub const IGNORED_NAMES_MAX: usize = 64;

/// A column of the manifest, by the API's own name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Column {
    /// The meeting's number: nine digits.
    MeetingNo,
    /// When the meeting began.
    MeetingStartTime,
    /// When the meeting ended.
    MeetingEndTime,
    /// When the participant joined.
    JoinTime,
    /// The participant, if a user.
    UserId,
    /// The participant, if a Rooms device.
    RoomId,
}

impl Column {
    /// All columns, in the order of `rejects.csv` and of the enum's discriminants.
    pub const ALL: [Self; 6] =
        [Self::MeetingNo, Self::MeetingStartTime, Self::MeetingEndTime, Self::JoinTime, Self::UserId, Self::RoomId];

    /// The name in the manifest and in the API.
    pub const fn name(self) -> &'static str {
        match self {
            Self::MeetingNo => "meeting_no",
            Self::MeetingStartTime => "meeting_start_time",
            Self::MeetingEndTime => "meeting_end_time",
            Self::JoinTime => "join_time",
            Self::UserId => "user_id",
            Self::RoomId => "room_id",
        }
    }

    /// The column of exactly this name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|column| column.name() == name)
    }
}

impl fmt::Display for Column {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}`", self.name())
    }
}

/// The six texts of one row, by [`Column`]; empty where the row has none.
#[derive(Clone, Copy, Default)]
pub(crate) struct Fields<'a>([&'a str; Column::ALL.len()]);

impl<'a> Fields<'a> {
    /// The texts that `text` gives for each column.
    pub(crate) fn of(mut text: impl FnMut(Column) -> &'a str) -> Self {
        Self(Column::ALL.map(&mut text))
    }

    pub(super) fn get(&self, column: Column) -> &'a str {
        self.0[column as usize]
    }
}

/// Where a CSV header or a Parquet schema has the columns.
pub(super) struct Header {
    positions: [Option<usize>; Column::ALL.len()],
    /// How many columns there are, ignored ones too.
    pub(super) width: usize,
}

impl Header {
    /// Finds the columns among `names`, and notes the others.
    ///
    /// # Errors
    ///
    /// If a known column is there twice or a needed one is not; of `user_id` and `room_id` one is enough.
    pub(super) fn resolve(names: &[&str], ignored: &mut IgnoredNames) -> Result<Self, ManifestError> {
        let mut positions = [None; Column::ALL.len()];
        for (position, name) in names.iter().enumerate() {
            let Some(column) = Column::from_name(name) else {
                ignored.note(name);
                continue;
            };
            if positions[column as usize].replace(position).is_some() {
                return Err(ManifestError::ColumnTwice(column));
            }
        }
        let header = Self { positions, width: names.len() };
        header.require_columns(names).map(|()| header)
    }

    /// The column's position, from 0.
    pub(super) fn position(&self, column: Column) -> Option<usize> {
        self.positions[column as usize]
    }

    fn require_columns(&self, names: &[&str]) -> Result<(), ManifestError> {
        let has = |column| self.position(column).is_some();
        let is_id = |column| matches!(column, Column::UserId | Column::RoomId);
        let mut missing: Vec<String> =
            Column::ALL.into_iter().filter(|&column| !is_id(column) && !has(column)).map(|c| c.to_string()).collect();
        if !has(Column::UserId) && !has(Column::RoomId) {
            missing.push(format!("{} or {}", Column::UserId, Column::RoomId));
        }
        if missing.is_empty() {
            return Ok(());
        }
        let is_other_case = names.iter().any(|name| {
            !name.is_empty()
                && Column::from_name(name).is_none()
                && Column::from_name(&name.to_ascii_lowercase()).is_some()
        });
        let found = Shown(&names.join(",")).to_string();
        Err(ManifestError::MissingColumns { missing: missing.join(", "), found, is_other_case })
    }
}

/// The names of columns that are not the manifest's, shortened, each once, as far as [`IGNORED_NAMES_MAX`] allows.
#[derive(Default)]
pub(super) struct IgnoredNames(Vec<String>);

impl IgnoredNames {
    pub(super) fn note(&mut self, name: &str) {
        let name = cut(name);
        if self.0.len() < IGNORED_NAMES_MAX && !self.0.iter().any(|known| known == name) {
            self.0.push(name.to_owned());
        }
    }

    pub(super) fn names(&self) -> &[String] {
        &self.0
    }
}
