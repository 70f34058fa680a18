//! What `participants` knows of stays: one meeting at a time, for both datasets are in the order of meetings.

use std::{cmp::Ordering, vec};

use arrow::{
    array::{Array as _, PrimitiveArray, StringArray},
    datatypes::{Int32Type, TimestampMicrosecondType},
};
use chrono::NaiveDate;

use super::source::{Batches, Datasets, Part};
use crate::{dataset::Dataset, error::Error, limits::MEETING_LENGTH_MAX_S};

/// What minutes are told apart by, besides room and user: columns of `participants`.
pub const DIMENSIONS: [&str; 5] = ["network_type", "device", "app_version", "location", "microphone"];

const KEY: [&str; 5] = ["meeting_no", "meeting_start_time", "join_time", "user_id", "room_id"];

/// A meeting by its start in microseconds and its number, which is the order of the datasets.
pub(super) type MeetingKey = (i64, String);

/// A row's stay within its meeting: when it began, and who it is of.
type StayKey<'a> = (Option<i64>, Option<&'a str>, Option<&'a str>);

/// One row of `participants`.
#[derive(Clone, Debug, Default)]
pub(super) struct Attendance {
    join_us: Option<i64>,
    user_id: Option<Box<str>>,
    room_id: Option<Box<str>>,
    /// By [`DIMENSIONS`].
    pub(super) told: [Option<Box<str>>; DIMENSIONS.len()],
}

impl Attendance {
    fn key(&self) -> StayKey<'_> {
        (self.join_us, self.user_id.as_deref(), self.room_id.as_deref())
    }
}

/// The attendances of a date, meeting by meeting.
pub(super) struct Attendances {
    cursors: Vec<Cursor>,
    meeting: Vec<Attendance>,
}

impl Attendances {
    /// Those of `date`; `None` if nothing is published of it.
    pub(super) fn of(datasets: &Datasets, date: NaiveDate) -> Result<Option<Self>, Error> {
        let parts = datasets.files(Dataset::Participants, date)?;
        let cursors = parts.iter().map(Cursor::new).collect::<Result<Vec<_>, _>>()?;
        Ok((!cursors.is_empty()).then_some(Self { cursors, meeting: Vec::new() }))
    }

    /// Goes on to a meeting, which must come after all that were gone to before.
    pub(super) fn go_to(&mut self, meeting: &MeetingKey) -> Result<(), Error> {
        self.meeting.clear();
        for cursor in &mut self.cursors {
            cursor.take(meeting, &mut self.meeting)?;
        }
        // Of equal ones the first: two devices that one person joined with in the same second are one stay.
        self.meeting.sort_by(|a, b| a.key().cmp(&b.key()));
        Ok(())
    }

    /// What is known of a stay of the meeting.
    pub(super) fn find(&self, join_us: i64, user_id: Option<&str>, room_id: Option<&str>) -> Option<&Attendance> {
        let wanted = (Some(join_us), user_id, room_id);
        let first = self.meeting.partition_point(|attendance| attendance.key() < wanted);
        self.meeting.get(first).filter(|attendance| attendance.key() == wanted)
    }
}

/// The place that a reader has come to in one file.
struct Cursor {
    batches: Batches,
    rows: vec::IntoIter<(MeetingKey, Attendance)>,
    next: Option<(MeetingKey, Attendance)>,
    path: String,
}

impl Cursor {
    fn new(part: &Part<'_>) -> Result<Self, Error> {
        let batches = part.read(KEY.into_iter().chain(DIMENSIONS))?;
        let mut cursor = Self { batches, rows: Vec::new().into_iter(), next: None, path: part.path() };
        cursor.advance()?;
        Ok(cursor)
    }

    fn take(&mut self, meeting: &MeetingKey, taken: &mut Vec<Attendance>) -> Result<(), Error> {
        while let Some((key, _)) = &self.next {
            match key.cmp(meeting) {
                Ordering::Greater => break,
                Ordering::Equal => taken.extend(self.advance()?),
                Ordering::Less => drop(self.advance()?),
            }
        }
        Ok(())
    }

    /// Gives the attendance that is next, and makes the one after it the next.
    fn advance(&mut self) -> Result<Option<Attendance>, Error> {
        loop {
            if let Some(row) = self.rows.next() {
                let before = self.next.replace(row);
                return match before {
                    Some((key, _)) if self.next.as_ref().is_some_and(|(next, _)| *next < key) => {
                        Err(super::unsorted(&self.path))
                    }
                    before => Ok(before.map(|(_, attendance)| attendance)),
                };
            }
            let Some(batch) = self.batches.next().transpose()? else {
                return Ok(self.next.take().map(|(_, attendance)| attendance));
            };
            let keys = Keys::of(&batch)?;
            let mut told = Vec::new();
            for name in DIMENSIONS {
                told.push(batch.texts(name)?);
            }
            let row = |row| {
                let told = std::array::from_fn(|dimension| text(&told[dimension], row).map(Into::into));
                let (join_us, user_id, room_id) = keys.stay(row);
                let [user_id, room_id] = [user_id, room_id].map(|id| id.map(Into::into));
                (keys.meeting(row), Attendance { join_us, user_id, room_id, told })
            };
            self.rows = (0..batch.len()).map(row).collect::<Vec<_>>().into_iter();
        }
    }
}

/// The columns that name a stay.
struct Keys {
    numbers: StringArray,
    starts: PrimitiveArray<TimestampMicrosecondType>,
    joins: PrimitiveArray<TimestampMicrosecondType>,
    users: StringArray,
    rooms: StringArray,
}

impl Keys {
    fn of(batch: &super::source::Batch) -> Result<Self, Error> {
        let [number, start, join, user, room] = KEY;
        Ok(Self {
            numbers: batch.texts(number)?,
            starts: batch.times(start)?,
            joins: batch.times(join)?,
            users: batch.texts(user)?,
            rooms: batch.texts(room)?,
        })
    }

    fn meeting(&self, row: usize) -> MeetingKey {
        (self.starts.value(row), self.numbers.value(row).to_owned())
    }

    fn stay(&self, row: usize) -> StayKey<'_> {
        let join_us = self.joins.is_valid(row).then(|| self.joins.value(row));
        (join_us, text(&self.users, row), text(&self.rooms, row))
    }
}

/// The text of a row, if it has one.
pub(super) fn text(texts: &StringArray, row: usize) -> Option<&str> {
    texts.is_valid(row).then(|| texts.value(row))
}

/// How many attendances a date has, and of how many of them samples can be had.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Expected {
    pub(super) attendances: u64,
    /// Without an id or a time of joining: the API cannot be asked.
    pub(super) without_id: u64,
    /// Of meetings longer than a day: the API cannot be asked.
    pub(super) too_long: u64,
    /// Distinct stays of the others.
    pub(super) stays: u64,
    /// How long they were there, together.
    pub(super) seconds: u64,
}

impl Expected {
    /// Of a date; `None` if nothing is published of it.
    pub(super) fn of(datasets: &Datasets, date: NaiveDate) -> Result<Option<Self>, Error> {
        let parts = datasets.files(Dataset::Participants, date)?;
        let mut expected = Self::default();
        for part in &parts {
            let mut last: Option<(MeetingKey, Attendance)> = None;
            for batch in part.read(KEY.into_iter().chain(["meeting_end_time", "time_in_meeting_s"]))? {
                let batch = batch?;
                let keys = Keys::of(&batch)?;
                let ends = batch.times("meeting_end_time")?;
                let seconds = batch.primitives::<Int32Type>("time_in_meeting_s")?;
                for row in 0..batch.len() {
                    expected.attendances += 1;
                    let stay = keys.stay(row);
                    if stay.0.is_none() || (stay.1.is_none() && stay.2.is_none()) {
                        expected.without_id += 1;
                        continue;
                    }
                    let meeting = keys.meeting(row);
                    if ends.is_valid(row) && ends.value(row) - meeting.0 > MEETING_LENGTH_MAX_S * 1_000_000 {
                        expected.too_long += 1;
                        continue;
                    }
                    if last.as_ref().is_some_and(|(before, of)| *before == meeting && of.key() == stay) {
                        continue;
                    }
                    expected.stays += 1;
                    expected.seconds +=
                        if seconds.is_valid(row) { seconds.value(row).max(0).cast_unsigned().into() } else { 0 };
                    let [user_id, room_id] = [stay.1, stay.2].map(|id| id.map(Into::into));
                    last = Some((meeting, Attendance { join_us: stay.0, user_id, room_id, ..Attendance::default() }));
                }
            }
        }
        Ok((!parts.is_empty()).then_some(expected))
    }
}
