//! A part file → the stays in it, to be compared with the journal.

use std::fs::File;

use arrow::array::{
    Array, AsArray, Int32Array, RecordBatch, RecordBatchReader, StringArray, TimestampMicrosecondArray,
};
use parquet::arrow::{
    ProjectionMask,
    arrow_reader::{ParquetRecordBatchReader, ParquetRecordBatchReaderBuilder},
};

use super::{ParquetFileError, SCHEMA};
use crate::stay::{MeetingNo, Participant, Stay};

/// Rows of a batch on reading back.
const READ_ROWS: usize = 8192;

/// The columns by which a row is known.
const IDENTITY: [&str; 7] =
    ["meeting_no", "meeting_start_time", "meeting_end_time", "join_time", "user_id", "room_id", "sample_index"];

/// The rows of one stay, as they stand in a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StayRun {
    meeting_no: MeetingNo,
    meeting_start_us: i64,
    meeting_end_us: i64,
    join_us: i64,
    participant: Participant,
    /// How many there are.
    pub samples: u64,
}

impl StayRun {
    /// True if these are rows of `stay`.
    pub fn is(&self, stay: &Stay) -> bool {
        self.meeting_no == stay.meeting_no
            && self.meeting_start_us == stay.meeting_start_s * 1_000_000
            && self.join_us == stay.join_s * 1_000_000
            && self.participant == stay.participant
    }

    /// The stay whose rows these are; its times were whole seconds when they were written.
    pub fn stay(&self) -> Stay {
        Stay {
            meeting_no: self.meeting_no,
            meeting_start_s: self.meeting_start_us / 1_000_000,
            meeting_end_s: self.meeting_end_us / 1_000_000,
            join_s: self.join_us / 1_000_000,
            participant: self.participant.clone(),
        }
    }
}

/// Reads a file back as the stays in it, in the order of its rows, one batch of rows at a time.
pub struct StayRuns {
    reader: ParquetRecordBatchReader,
    batch: Identities,
    row: usize,
}

impl StayRuns {
    /// Opens a finished file.
    ///
    /// # Errors
    ///
    /// If it is no Parquet file, or one of another schema.
    pub fn open(file: File) -> Result<Self, ParquetFileError> {
        let builder = ParquetRecordBatchReaderBuilder::try_new(file)?;
        check_schema(&builder)?;
        let mask = ProjectionMask::columns(builder.parquet_schema(), IDENTITY);
        let reader = builder.with_projection(mask).with_batch_size(READ_ROWS).build()?;
        let batch = Identities::of(&RecordBatch::new_empty(reader.schema()));
        Ok(Self { reader, batch, row: 0 })
    }

    fn read_run(&mut self) -> Result<Option<StayRun>, ParquetFileError> {
        if !self.has_row()? {
            return Ok(None);
        }
        let mut run = self.batch.run_at(self.row)?;
        while self.has_row()? && self.batch.is_of(&run, self.row) {
            check_index(&run, self.batch.sample_index.value(self.row))?;
            run.samples += 1;
            self.row += 1;
        }
        Ok(Some(run))
    }

    /// Whether there is a row left, and then reads it into the batch.
    fn has_row(&mut self) -> Result<bool, ParquetFileError> {
        while self.row == self.batch.sample_index.len() {
            let Some(batch) = self.reader.next().transpose()? else { return Ok(false) };
            (self.batch, self.row) = (Identities::of(&batch), 0);
        }
        Ok(true)
    }
}

impl Iterator for StayRuns {
    type Item = Result<StayRun, ParquetFileError>;

    fn next(&mut self) -> Option<Self::Item> {
        self.read_run().transpose()
    }
}

fn check_schema(builder: &ParquetRecordBatchReaderBuilder<File>) -> Result<(), ParquetFileError> {
    if builder.schema().fields() == SCHEMA.fields() {
        Ok(())
    } else {
        Err(ParquetFileError::Contents("its columns are not those of this version".into()))
    }
}

fn check_index(run: &StayRun, found: i32) -> Result<(), ParquetFileError> {
    if u64::try_from(found) == Ok(run.samples) {
        return Ok(());
    }
    let expected = run.samples;
    Err(ParquetFileError::Contents(format!("sample_index is {found} where {expected} follows, in {run:?}")))
}

/// The columns of [`IDENTITY`] in one batch of rows.
struct Identities {
    meeting_no: StringArray,
    meeting_start: TimestampMicrosecondArray,
    meeting_end: TimestampMicrosecondArray,
    join: TimestampMicrosecondArray,
    user: StringArray,
    room: StringArray,
    sample_index: Int32Array,
}

impl Identities {
    /// The columns of a batch of [`IDENTITY`], whose types [`check_schema`] has seen.
    fn of(batch: &RecordBatch) -> Self {
        Self {
            meeting_no: batch.column(0).as_string().clone(),
            meeting_start: batch.column(1).as_primitive().clone(),
            meeting_end: batch.column(2).as_primitive().clone(),
            join: batch.column(3).as_primitive().clone(),
            user: batch.column(4).as_string().clone(),
            room: batch.column(5).as_string().clone(),
            sample_index: batch.column(6).as_primitive().clone(),
        }
    }

    /// The stay that a row is of, without a sample yet.
    fn run_at(&self, row: usize) -> Result<StayRun, ParquetFileError> {
        let contents = |what: &str| ParquetFileError::Contents(what.into());
        let participant = match (text_at(&self.user, row), text_at(&self.room, row)) {
            (Some(user), None) => Participant::User(user.to_owned()),
            (None, Some(room)) => Participant::Room(room.to_owned()),
            _ => return Err(contents("a row has not exactly one participant")),
        };
        let meeting_no = MeetingNo::parse(self.meeting_no.value(row));
        Ok(StayRun {
            meeting_no: meeting_no.ok_or_else(|| contents("a meeting_no is not nine digits"))?,
            meeting_start_us: self.meeting_start.value(row),
            meeting_end_us: self.meeting_end.value(row),
            join_us: self.join.value(row),
            participant,
            samples: 0,
        })
    }

    /// True if a row is one of `run`.
    fn is_of(&self, run: &StayRun, row: usize) -> bool {
        self.meeting_no.value(row) == run.meeting_no.as_str()
            && self.meeting_start.value(row) == run.meeting_start_us
            && self.join.value(row) == run.join_us
            && text_at(&self.user, row) == run.participant.user_id()
            && text_at(&self.room, row) == run.participant.room_id()
    }
}

fn text_at(array: &StringArray, row: usize) -> Option<&str> {
    array.is_valid(row).then(|| array.value(row))
}
