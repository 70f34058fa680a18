//! From manifest rows to the queue: staged as they come, sorted, merged with what the journal knows.
//!
//! Rows are merged in the order of their keys: so the indexes grow at their ends, or are changed from one end to the
//! other, and ten million rows need no more memory than a thousand.

use std::io;

use chrono::NaiveDate;
use chrono_tz::Tz;
use rusqlite::{Transaction, TransactionBehavior, params};

use super::{
    Enqueued, Journal, JournalError, Lane, Manifested, StayId, own,
    page::drop_pages,
    sort::{Sorted, Sorter},
    stay::{INSERT, Known, insert},
};
use crate::stay::{MeetingNo, Participant, Stay, partition_date};

/// Manifest rows merged by one transaction, in less than a tenth of a second: between two of them others get their turn.
const ROWS_PER_TRANSACTION: u64 = 20_000;

impl Journal {
    /// Begins to stage manifest rows: they stand in a file without a name, which ends with this process.
    pub fn stage(&self) -> Result<Staging, JournalError> {
        Ok(Staging { sorter: Sorter::new(&self.spool_folder())?, record: Vec::new() })
    }

    /// Begins to merge the staged rows into the queue and to make them this process's own.
    ///
    /// A stay that is there already keeps what has landed; one that failed, or was absent so far, is asked for again, and
    /// so is one that has no data if its meeting end has been mended.
    pub fn enqueue(&mut self, staged: Staged, lane: Lane, zone: Tz) -> Result<Merging<'_>, JournalError> {
        own::create(&self.db)?;
        Ok(Merging { journal: self, staged, lane, zone, merged: Enqueued::default(), last_date: None })
    }

    /// What merging them would find. Nothing is changed.
    pub fn plan(&self, mut staged: Staged) -> Result<Enqueued, JournalError> {
        let mut merged = Enqueued::default();
        while let Some((stay, _)) = staged.next(&mut merged)? {
            merged.count(stay, Known::of(self.find(stay)?.as_ref(), stay));
        }
        Ok(merged)
    }
}

/// Takes manifest rows in, until [`Staging::finish`].
pub struct Staging {
    sorter: Sorter,
    record: Vec<u8>,
}

impl Staging {
    /// Takes one row in. Its times are those that the manifest's rules admit.
    pub fn push(&mut self, stay: &Stay, at: Manifested) -> Result<(), JournalError> {
        self.record.clear();
        write_record(&mut self.record, stay, at);
        Ok(self.sorter.push(&self.record)?)
    }

    /// Keeps the rows for [`Journal::enqueue`] or [`Journal::plan`].
    pub fn finish(self) -> Result<Staged, JournalError> {
        Ok(Staged { sorted: self.sorter.finish()?, last: None })
    }
}

/// Manifest rows in the order of their stays.
pub struct Staged {
    sorted: Sorted,
    last: Option<Stay>,
}

impl Staged {
    /// The next distinct stay; of duplicates the first row counts, and the others are counted.
    pub(super) fn next(&mut self, merged: &mut Enqueued) -> Result<Option<(&Stay, Manifested)>, JournalError> {
        while let Some(record) = self.sorted.next()? {
            let (stay, at) = from_record(record).ok_or(io::ErrorKind::InvalidData).map_err(io::Error::from)?;
            if let Some(first) = self.last.as_ref().filter(|last| **last == stay) {
                merged.duplicates += 1;
                merged.contradicting += u64::from(first.meeting_end_s != stay.meeting_end_s);
                continue;
            }
            return Ok(Some((self.last.insert(stay), at)));
        }
        Ok(None)
    }
}

/// Staged rows on their way into the queue.
pub struct Merging<'journal> {
    journal: &'journal Journal,
    staged: Staged,
    lane: Lane,
    zone: Tz,
    merged: Enqueued,
    /// The last meeting start and its date: in the order of the keys, stays of one meeting follow each other.
    last_date: Option<(i64, NaiveDate)>,
}

impl Merging<'_> {
    /// Merges the next rows, by one transaction; false if none are left.
    pub fn step(&mut self) -> Result<bool, JournalError> {
        let db = &self.journal.db;
        let transaction = Transaction::new_unchecked(db, TransactionBehavior::Immediate)?;
        let mut insertion = db.prepare_cached(INSERT)?;
        let mut is_left = true;
        for _ in 0..ROWS_PER_TRANSACTION {
            let Some((stay, at)) = self.staged.next(&mut self.merged)? else {
                is_left = false;
                break;
            };
            let date = date_of(stay.meeting_start_s, self.zone, &mut self.last_date);
            let (id, known) = if insert(&mut insertion, stay, date, self.lane)? {
                (db.last_insert_rowid(), Known::New)
            } else {
                merge_known(self.journal, stay, self.lane)?
            };
            self.merged.count(stay, known);
            own::insert(db, id, at)?;
        }
        transaction.commit()?;
        Ok(is_left)
    }

    /// Distinct stays that are in the queue so far.
    pub fn stays(&self) -> u64 {
        self.merged.stays
    }

    /// Merges all rows that are left, and tells what became of all.
    pub fn finish(mut self) -> Result<Enqueued, JournalError> {
        while self.step()? {}
        Ok(self.merged)
    }
}

fn merge_known(journal: &Journal, stay: &Stay, lane: Lane) -> Result<(StayId, Known), JournalError> {
    // The manifest gives a stay that has no data another meeting end: it is asked for as if it were new.
    const MEND: &str = "
        UPDATE stay
        SET meeting_end = ?2, state = 0 /* pending */, suspect = 0 /* to be asked */, pages = 0, samples = 0,
            restarts = 0, settled_at = NULL, reason = NULL, log_id = NULL
        WHERE id = ?1";
    // A stay of an earlier manifest that this one names too: what failed, was rejected or was absent so far is asked for again,
    // and what failed may be read from its first page again: its page token may have grown too old meanwhile.
    const ASK_AGAIN: &str = "
        UPDATE stay
        SET lane = min(lane, ?2),
            restarts = CASE WHEN state = 4 /* failed */ THEN 0 ELSE restarts END,
            suspect = CASE WHEN state = 5 /* young */ THEN 0 ELSE suspect END,
            state = CASE WHEN state IN (3, 4, 5) /* rejected, failed, young */ THEN 0 /* pending */ ELSE state END
        WHERE id = ?1";
    let found = journal.find(stay)?.ok_or(rusqlite::Error::QueryReturnedNoRows)?;
    let known = Known::of(Some(&found), stay);
    if known == Known::Mended {
        drop_pages(&journal.db, found.id)?;
        journal.db.prepare_cached(MEND)?.execute(params![found.id, stay.meeting_end_s])?;
    }
    if matches!(known, Known::Again { .. }) || found.lane > lane as i64 {
        journal.db.prepare_cached(ASK_AGAIN)?.execute([found.id, lane as i64])?;
    }
    Ok((found.id, known))
}

fn date_of(meeting_start_s: i64, zone: Tz, last: &mut Option<(i64, NaiveDate)>) -> NaiveDate {
    match last {
        Some((start_s, date)) if *start_s == meeting_start_s => *date,
        _ => last.insert((meeting_start_s, partition_date(meeting_start_s, zone))).1,
    }
}

/// Writes a row so that its bytes sort as [`Stay`] does, and then by where the row stands. Times are not negative, and
/// ids have no control characters, so that a zero byte ends them.
fn write_record(record: &mut Vec<u8>, stay: &Stay, at: Manifested) {
    let Stay { meeting_no, meeting_start_s, meeting_end_s, join_s, participant } = stay;
    record.extend_from_slice(&meeting_start_s.to_be_bytes());
    record.extend_from_slice(meeting_no.as_str().as_bytes());
    record.extend_from_slice(&join_s.to_be_bytes());
    record.extend_from_slice(participant.id().as_bytes());
    record.extend_from_slice(&[0, u8::from(participant.room_id().is_some())]);
    record.extend_from_slice(&at.file.to_be_bytes());
    record.extend_from_slice(&at.line.to_be_bytes());
    record.extend_from_slice(&meeting_end_s.to_be_bytes());
}

fn from_record(record: &[u8]) -> Option<(Stay, Manifested)> {
    let (meeting_start_s, rest) = record.split_first_chunk()?;
    let (meeting_no, rest) = rest.split_first_chunk::<9>()?;
    let (join_s, rest) = rest.split_first_chunk()?;
    let (rest, meeting_end_s) = rest.split_last_chunk()?;
    let (rest, line) = rest.split_last_chunk()?;
    let (rest, file) = rest.split_last_chunk()?;
    let (id, &[_, is_room]) = rest.split_last_chunk()?;
    let id = str::from_utf8(id).ok()?.to_owned();
    let stay = Stay {
        meeting_no: MeetingNo::parse(str::from_utf8(meeting_no).ok()?)?,
        meeting_start_s: i64::from_be_bytes(*meeting_start_s),
        meeting_end_s: i64::from_be_bytes(*meeting_end_s),
        join_s: i64::from_be_bytes(*join_s),
        participant: if is_room == 0 { Participant::User(id) } else { Participant::Room(id) },
    };
    Some((stay, Manifested { file: u32::from_be_bytes(*file), line: u64::from_be_bytes(*line) }))
}
