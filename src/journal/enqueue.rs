//! From manifest rows to the queue: staged as they come, sorted, merged with what the journal knows.
//!
//! Ten million rows go this way in constant memory: the rows stand in a temporary table, and SQLite sorts them through
//! the disk. It does so by one text, which it compares much faster than the key's columns one after the other.

use std::fmt::Write as _;

use chrono::NaiveDate;
use chrono_tz::Tz;
use rusqlite::{CachedStatement, Transaction, TransactionBehavior, params};

use super::{
    Enqueued, Journal, JournalError, Lane, Manifested, StayId,
    stay::{INSERT, Known, insert},
};
use crate::stay::{MeetingNo, Participant, Stay, partition_date};

/// Manifest rows merged by one transaction: another process that fetches waits no longer than for these.
const ROWS_PER_TRANSACTION: u64 = 20_000;

/// Stands between the parts of a staged key: ids have no control characters, so that it sorts before what they hold.
const SEPARATOR: char = '\u{1}';

impl Journal {
    /// Begins to stage manifest rows: they go to a temporary table that ends with this connection.
    pub fn stage(&mut self) -> Result<Staging<'_>, JournalError> {
        self.db.execute_batch(include_str!("stage_tables.sql"))?;
        let transaction = Transaction::new_unchecked(&self.db, TransactionBehavior::Deferred)?;
        let insert = self.db.prepare_cached(include_str!("stage.sql"))?;
        Ok(Staging { insert, transaction, key: String::new() })
    }

    /// Merges the staged rows into the queue, in the order of their keys, and makes them this process's own.
    ///
    /// A stay that is there already keeps what has landed; one that failed, or was absent so far, is asked for again, and
    /// so is one that has no data if its meeting end has been mended.
    pub fn enqueue(&mut self, lane: Lane, zone: Tz) -> Result<Enqueued, JournalError> {
        let mut merged = Enqueued::default();
        let mut rows_in_transaction = 0;
        self.db.execute_batch("BEGIN IMMEDIATE")?;
        let mut merging = Merging::new(self, lane, zone)?;
        self.each_staged(&mut merged, |merged, stay, at| {
            rows_in_transaction += 1;
            if rows_in_transaction % ROWS_PER_TRANSACTION == 0 {
                self.db.execute_batch("COMMIT; BEGIN IMMEDIATE")?;
            }
            merging.merge(merged, stay, at)
        })?;
        drop(merging);
        self.db.execute_batch("COMMIT; DROP TABLE incoming; PRAGMA wal_checkpoint(TRUNCATE)")?;
        Ok(merged)
    }

    /// What [`Journal::enqueue`] would find, without changing anything that outlives this process.
    pub fn plan(&mut self) -> Result<Enqueued, JournalError> {
        let mut merged = Enqueued::default();
        self.each_staged(&mut merged, |merged, stay, _| {
            merged.count(stay, Known::of(self.find(stay)?.as_ref(), stay));
            Ok(())
        })?;
        Ok(merged)
    }

    /// Hands every distinct staged stay to `each`, in the order of the keys; of duplicates the first row counts.
    fn each_staged(
        &self,
        merged: &mut Enqueued,
        mut each: impl FnMut(&mut Enqueued, &Stay, Manifested) -> Result<(), JournalError>,
    ) -> Result<(), JournalError> {
        let mut statement = self.db.prepare(include_str!("staged.sql"))?;
        let mut rows = statement.query([])?;
        let mut last: Option<Stay> = None;
        while let Some(row) = rows.next()? {
            let key = row.get_ref(0)?.as_str().map_err(rusqlite::Error::from)?;
            let stay = from_key(key, row.get(1)?).ok_or(rusqlite::Error::InvalidQuery)?;
            if let Some(first) = last.as_ref().filter(|last| **last == stay) {
                merged.duplicates += 1;
                merged.contradicting += u64::from(first.meeting_end_s != stay.meeting_end_s);
                continue;
            }
            each(merged, &stay, Manifested { file: row.get(2)?, line: row.get(3)? })?;
            last = Some(stay);
        }
        Ok(())
    }
}

/// What merging needs for every row, made once.
struct Merging<'journal> {
    journal: &'journal Journal,
    insert: CachedStatement<'journal>,
    own: CachedStatement<'journal>,
    lane: Lane,
    zone: Tz,
    /// The last meeting start and its date: in the order of the keys, stays of one meeting follow each other.
    last_date: Option<(i64, NaiveDate)>,
}

impl<'journal> Merging<'journal> {
    fn new(journal: &'journal Journal, lane: Lane, zone: Tz) -> Result<Self, JournalError> {
        let insert = journal.db.prepare_cached(INSERT)?;
        let own = journal.db.prepare_cached(include_str!("own.sql"))?;
        Ok(Self { journal, insert, own, lane, zone, last_date: None })
    }

    fn merge(&mut self, merged: &mut Enqueued, stay: &Stay, at: Manifested) -> Result<(), JournalError> {
        let date = self.date(stay.meeting_start_s);
        let (id, known) = if insert(&mut self.insert, stay, date, self.lane)? {
            (self.journal.db.last_insert_rowid(), Known::New)
        } else {
            self.merge_known(stay)?
        };
        merged.count(stay, known);
        self.own.execute(params![id, at.file, at.line])?;
        Ok(())
    }

    fn merge_known(&self, stay: &Stay) -> Result<(StayId, Known), JournalError> {
        let (journal, lane) = (self.journal, self.lane as i64);
        let found = journal.find(stay)?.ok_or(rusqlite::Error::QueryReturnedNoRows)?;
        let known = Known::of(Some(&found), stay);
        if known == Known::Mended {
            journal.db.prepare_cached(include_str!("drop_bodies.sql"))?.execute([found.id])?;
            journal.db.prepare_cached(include_str!("restart_pages.sql"))?.execute([found.id])?;
            journal.db.prepare_cached(include_str!("mend.sql"))?.execute(params![found.id, stay.meeting_end_s])?;
        }
        if matches!(known, Known::Again { .. }) || found.lane > lane {
            journal.db.prepare_cached(include_str!("ask_again.sql"))?.execute([found.id, lane])?;
        }
        Ok((found.id, known))
    }

    fn date(&mut self, meeting_start_s: i64) -> NaiveDate {
        match self.last_date {
            Some((start_s, date)) if start_s == meeting_start_s => date,
            _ => self.last_date.insert((meeting_start_s, partition_date(meeting_start_s, self.zone))).1,
        }
    }
}

/// Takes manifest rows in, until [`Staging::finish`].
pub struct Staging<'a> {
    insert: CachedStatement<'a>,
    transaction: Transaction<'a>,
    key: String,
}

impl Staging<'_> {
    /// Takes one row in. Its times are those that the manifest's rules admit.
    pub fn push(&mut self, stay: &Stay, at: Manifested) -> Result<(), JournalError> {
        self.key.clear();
        write_key(&mut self.key, stay);
        self.insert.execute(params![self.key, stay.meeting_end_s, at.file, at.line])?;
        Ok(())
    }

    /// Keeps the rows for [`Journal::enqueue`] or [`Journal::plan`].
    pub fn finish(self) -> Result<(), JournalError> {
        Ok(self.transaction.commit()?)
    }
}

/// The key of a stay as one text, which sorts as [`Stay`] does: times in the eleven digits that the rules admit.
fn write_key(key: &mut String, stay: &Stay) {
    let Stay { meeting_no, meeting_start_s, join_s, participant, .. } = stay;
    let kind = u8::from(participant.room_id().is_some());
    let id = participant.id();
    write!(key, "{meeting_start_s:011}{SEPARATOR}{meeting_no}{SEPARATOR}{join_s:011}{SEPARATOR}{id}{SEPARATOR}{kind}")
        .expect("a string takes any text");
}

fn from_key(key: &str, meeting_end_s: i64) -> Option<Stay> {
    let mut parts = key.splitn(4, SEPARATOR);
    let meeting_start_s = parts.next()?.parse().ok()?;
    let meeting_no = MeetingNo::parse(parts.next()?)?;
    let join_s = parts.next()?.parse().ok()?;
    let (id, kind) = parts.next()?.rsplit_once(SEPARATOR)?;
    let participant = if kind == "0" { Participant::User(id.into()) } else { Participant::Room(id.into()) };
    Some(Stay { meeting_no, meeting_start_s, meeting_end_s, join_s, participant })
}
