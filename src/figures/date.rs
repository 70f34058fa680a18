//! The samples of one date → its numbers, in one pass over its files.

use std::{collections::BTreeMap, mem};

use arrow::{
    array::{Array as _, AsArray as _, PrimitiveArray, StringArray},
    datatypes::TimestampMicrosecondType,
};
use chrono::{DateTime, NaiveDate, Timelike as _};
use chrono_tz::Tz;

use super::{
    Terms, WORST_MAX,
    attendances::{Attendance, Attendances, DIMENSIONS, MeetingKey, text},
    minutes::{Judge, Measured, each},
    ranking::{Groups, Ranking},
    source::{Batch, Datasets, Part},
    tally::Tally,
};
use crate::{dataset::Dataset, error::Error, tables::quality::UNPARSED};

/// Columns besides those of the metrics.
const KEYS: [&str; 6] = ["meeting_no", "meeting_start_time", "join_time", "user_id", "room_id", "sample_time"];

/// What a participant took part with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Means {
    Room,
    Computer,
    Mobile,
    Other,
    Unknown,
}

impl Means {
    /// The word in JSON.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Room => "room",
            Self::Computer => "computer",
            Self::Mobile => "mobile",
            Self::Other => "other",
            Self::Unknown => "unknown",
        }
    }

    fn of(room_id: Option<&str>, attendance: Option<&Attendance>) -> Self {
        const DEVICE: usize = 1;
        let device = attendance.and_then(|attendance| attendance.told[DEVICE].as_deref()).map(str::to_lowercase);
        match device.as_deref() {
            _ if room_id.is_some() => Self::Room,
            None => Self::Unknown,
            Some("windows" | "mac" | "linux") => Self::Computer,
            Some("ios" | "android") => Self::Mobile,
            Some(_) => Self::Other,
        }
    }
}

/// The numbers of the samples of one date.
#[derive(Debug)]
pub(super) struct DateFigures {
    pub(super) files: u64,
    pub(super) tally: Tally,
    pub(super) stays: u64,
    pub(super) meetings: u64,
    /// Texts that could not be read, by column.
    pub(super) unparsed: BTreeMap<String, u64>,
    /// By [`METRICS`].
    pub(super) measured: Vec<Measured>,
    /// By the hour of the day in which a minute was.
    pub(super) hours: [Tally; 24],
    /// Minutes that have no time.
    pub(super) without_time: u64,
    pub(super) worst_meetings: Ranking<MeetingKey>,
    pub(super) rooms: Groups<Box<str>>,
    pub(super) users: Groups<Box<str>>,
    pub(super) means: BTreeMap<Means, Tally>,
    /// By [`DIMENSIONS`]; of the stays that `participants` knows.
    pub(super) told: [Groups<Option<Box<str>>>; DIMENSIONS.len()],
    /// The stays that `participants` knows.
    pub(super) joined_stays: u64,
    pub(super) joined: Tally,
}

/// Reads the samples of a date.
///
/// # Errors
///
/// If a file cannot be read, or is not in the order of its dataset.
pub(super) fn read(datasets: &Datasets, date: NaiveDate, terms: &Terms<'_>) -> Result<DateFigures, Error> {
    let parts = datasets.files(Dataset::Quality, date)?;
    let mut fold = Fold::new(terms, parts.len());
    for part in &parts {
        fold.attendances = Attendances::of(datasets, date)?;
        fold.file(part)?;
    }
    Ok(fold.finish())
}

/// A stay under way.
#[derive(Debug)]
struct OpenStay {
    meeting: MeetingKey,
    join_us: i64,
    user_id: Option<String>,
    room_id: Option<String>,
    tally: Tally,
}

struct Fold {
    hour: HourOf,
    attendances: Option<Attendances>,
    stay: Option<OpenStay>,
    /// The meeting of that stay, so far.
    meeting: Tally,
    /// Meetings that may go on in another file; empty if there is one file.
    meetings: Option<Groups<MeetingKey>>,
    judge: Judge,
    figures: DateFigures,
}

impl Fold {
    fn new(terms: &Terms<'_>, files: usize) -> Self {
        let figures = DateFigures {
            files: files as u64,
            tally: Tally::default(),
            stays: 0,
            meetings: 0,
            unparsed: BTreeMap::new(),
            measured: Vec::new(),
            hours: [Tally::default(); 24],
            without_time: 0,
            worst_meetings: Ranking::new(WORST_MAX, terms.minutes_min),
            rooms: Groups::default(),
            users: Groups::default(),
            means: BTreeMap::new(),
            told: Default::default(),
            joined_stays: 0,
            joined: Tally::default(),
        };
        Self {
            hour: HourOf { zone: terms.zone, quarter: i64::MIN, hour: 0 },
            attendances: None,
            stay: None,
            meeting: Tally::default(),
            meetings: (files > 1).then(Groups::default),
            judge: Judge::new(terms.limits),
            figures,
        }
    }

    fn file(&mut self, part: &Part<'_>) -> Result<(), Error> {
        for batch in part.read(KEYS.into_iter().chain(self.judge.columns()).chain([UNPARSED.name]))? {
            let batch = batch?;
            self.judge.judge(&batch)?;
            self.hours(&batch)?;
            self.stays(&batch, part)?;
            self.unparsed(&batch);
        }
        self.end_stay();
        self.end_meeting();
        Ok(())
    }

    fn hours(&mut self, batch: &Batch) -> Result<(), Error> {
        let times = batch.times("sample_time")?;
        self.figures.without_time += times.null_count() as u64;
        each(&times, |row, time_us| {
            let hour = self.hour.of(time_us);
            self.figures.hours[hour].add(self.judge.causes[row]);
        });
        Ok(())
    }

    /// Goes through the rows stay by stay.
    fn stays(&mut self, batch: &Batch, part: &Part<'_>) -> Result<(), Error> {
        let columns = Columns {
            numbers: batch.texts("meeting_no")?,
            starts: batch.times("meeting_start_time")?,
            joins: batch.times("join_time")?,
            users: batch.texts("user_id")?,
            rooms: batch.texts("room_id")?,
        };
        for row in 0..batch.len() {
            if !self.stay.as_ref().is_some_and(|stay| columns.is_of(row, stay)) {
                self.end_stay();
                self.begin_stay(&columns, row, part)?;
            }
            if let Some(stay) = &mut self.stay {
                stay.tally.add(self.judge.causes[row]);
            }
        }
        Ok(())
    }

    fn begin_stay(&mut self, columns: &Columns, row: usize, part: &Part<'_>) -> Result<(), Error> {
        let meeting = (columns.starts.value(row), columns.numbers.value(row).to_owned());
        let [user_id, room_id] = [&columns.users, &columns.rooms].map(|ids| text(ids, row).map(str::to_owned));
        let stay = OpenStay { meeting, join_us: columns.joins.value(row), user_id, room_id, tally: Tally::default() };
        if let Some(before) = self.stay.take_if(|before| before.meeting != stay.meeting) {
            if stay.meeting < before.meeting {
                return Err(super::unsorted(&part.path()));
            }
            self.stay = Some(before);
            self.end_meeting();
        }
        if self.stay.is_none()
            && let Some(attendances) = &mut self.attendances
        {
            attendances.go_to(&stay.meeting)?;
        }
        self.stay = Some(stay);
        Ok(())
    }

    /// Gives the minutes of the stay to all groups that it belongs to. It stays the last one.
    fn end_stay(&mut self) {
        let Some(stay) = &mut self.stay else { return };
        let tally = mem::take(&mut stay.tally);
        let figures = &mut self.figures;
        figures.stays += 1;
        figures.tally.merge(&tally);
        self.meeting.merge(&tally);
        if let Some(id) = &stay.room_id {
            figures.rooms.add(id.as_str().into(), &tally);
        } else if let Some(id) = &stay.user_id {
            figures.users.add(id.as_str().into(), &tally);
        }
        let (user_id, room_id) = (stay.user_id.as_deref(), stay.room_id.as_deref());
        let attendance =
            self.attendances.as_ref().and_then(|attendances| attendances.find(stay.join_us, user_id, room_id));
        figures.means.entry(Means::of(room_id, attendance)).or_default().merge(&tally);
        if let Some(attendance) = attendance {
            figures.joined_stays += 1;
            figures.joined.merge(&tally);
            for (groups, name) in figures.told.iter_mut().zip(&attendance.told) {
                groups.add(name.clone(), &tally);
            }
        }
    }

    fn end_meeting(&mut self) {
        let Some(stay) = self.stay.take() else { return };
        let tally = mem::take(&mut self.meeting);
        if let Some(meetings) = &mut self.meetings {
            meetings.add(stay.meeting, &tally);
        } else {
            self.figures.meetings += 1;
            self.figures.worst_meetings.add(stay.meeting, tally);
        }
    }

    fn unparsed(&mut self, batch: &Batch) {
        let Some(map) = batch.unparsed() else { return };
        let Some(names) = map.keys().as_string_opt::<i32>() else { return };
        for name in (0..names.len()).filter_map(|entry| text(names, entry)) {
            match self.figures.unparsed.get_mut(name) {
                Some(count) => *count += 1,
                None => drop(self.figures.unparsed.insert(name.to_owned(), 1)),
            }
        }
    }

    fn finish(mut self) -> DateFigures {
        for (meeting, tally) in self.meetings.take().into_iter().flat_map(|meetings| meetings.by_name) {
            self.figures.meetings += 1;
            self.figures.worst_meetings.add(meeting, tally);
        }
        self.figures.measured = self.judge.measured;
        self.figures
    }
}

/// The columns that name a stay.
struct Columns {
    numbers: StringArray,
    starts: PrimitiveArray<TimestampMicrosecondType>,
    joins: PrimitiveArray<TimestampMicrosecondType>,
    users: StringArray,
    rooms: StringArray,
}

impl Columns {
    #[inline]
    fn is_of(&self, row: usize, stay: &OpenStay) -> bool {
        self.joins.value(row) == stay.join_us
            && self.starts.value(row) == stay.meeting.0
            && self.numbers.value(row) == stay.meeting.1
            && text(&self.users, row) == stay.user_id.as_deref()
            && text(&self.rooms, row) == stay.room_id.as_deref()
    }
}

/// The hour of the day by the clocks of a zone.
struct HourOf {
    zone: Tz,
    quarter: i64,
    hour: usize,
}

impl HourOf {
    /// Clocks have only ever been set at quarters of an hour since there are meetings to measure, so that the hour is looked
    /// up once for each.
    #[inline]
    fn of(&mut self, time_us: i64) -> usize {
        const QUARTER_US: i64 = 15 * 60 * 1_000_000;
        let quarter = time_us.div_euclid(QUARTER_US);
        if quarter != self.quarter {
            self.quarter = quarter;
            let time = DateTime::from_timestamp_micros(time_us).unwrap_or_default();
            self.hour = time.with_timezone(&self.zone).hour() as usize;
        }
        self.hour
    }
}
