//! What of the journal itself is damaged: its own structure, and landed pages that are no longer what was landed.

use std::{
    collections::BTreeMap,
    io::{self, Read as _},
};

use chrono::NaiveDate;
use rusqlite::{Connection, Row, params};
use sha2::{Digest, Sha256};
use zstd::stream::read::Decoder;

use super::{
    Journal, JournalError,
    page::{BodyReader, DIGEST_BYTES},
};
use crate::limits::BODY_BYTES_MAX;

/// Landed pages compared in one reading of the database: between two of them its log can be taken in.
const PAGES_PER_READING: i64 = 1000;

/// Faults of the structure that are told one by one.
const FAULTS_MAX: u32 = 20;

/// A larger body is read a part at a time: it would be in memory three times.
const FRAME_BYTES_HELD_MAX: usize = 1 << 20;

/// Steps of SQLite between two looks at whether to go on: some milliseconds.
const STEPS_BETWEEN_LOOKS: i32 = 100_000;

/// One in so many.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Share {
    of: u32,
    turn: u32,
}

impl Share {
    /// All.
    pub const ALL: Self = Self { of: 1, turn: 0 };

    /// One in `of`, which must not be 0: those whose turn it is on `day`. Within `of` days each has its turn.
    pub fn on(day: NaiveDate, of: u32) -> Self {
        Self { of, turn: day.to_epoch_days().rem_euclid(of.cast_signed()).cast_unsigned() }
    }

    /// Whether it is the turn of a date.
    pub fn has(self, date: NaiveDate) -> bool {
        Self::on(date, self.of) == self
    }
}

/// Landed pages that were compared with their digests.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DamagedPages {
    /// Pages whose bodies are there.
    pub looked_at: u64,
    /// Those of stays that are not what was landed, by the date of the stay; none where that is not there.
    pub damaged: BTreeMap<Option<NaiveDate>, u64>,
    /// Those of listings that are not what was landed, by the date, or that of the meeting; none where that is not there.
    pub damaged_listed: BTreeMap<Option<NaiveDate>, u64>,
}

impl Journal {
    /// What SQLite finds wrong with the database, tables and indexes, at most some twenty lines of it; none if `stop` said so.
    pub fn structure_faults(
        &mut self,
        stop: impl Fn() -> bool + Send + 'static,
    ) -> Result<Option<Vec<String>>, JournalError> {
        self.db.progress_handler(STEPS_BETWEEN_LOOKS, Some(stop))?;
        let found = self.integrity();
        self.db.progress_handler(0, None::<fn() -> bool>)?;
        match found {
            Ok(lines) => Ok(Some(lines.into_iter().filter(|line| line != "ok").collect())),
            Err(error) if error.sqlite_error_code() == Some(rusqlite::ErrorCode::OperationInterrupted) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    fn integrity(&self) -> rusqlite::Result<Vec<String>> {
        let mut statement = self.db.prepare(&format!("PRAGMA integrity_check({FAULTS_MAX})"))?;
        statement.query_map([], |row| row.get(0))?.collect()
    }

    /// Reads the landed pages of a share of the stays and of the listings, and compares each with its digest, page after page;
    /// none if `stop` said so.
    pub fn damaged_pages(&self, share: Share, stop: impl Fn() -> bool) -> Result<Option<DamagedPages>, JournalError> {
        // A second reading is of its stay's date.
        const PAGES: &str = "
            SELECT page.stay, page.number, page.digest, iif(length(body.zstd) <= ?6, body.zstd, NULL),
                coalesce(stay.date, first.date), body.id
            FROM page LEFT JOIN body ON body.id = page.body
                LEFT JOIN stay ON stay.id = page.stay
                LEFT JOIN stay AS first ON first.id = stay.rereads
            WHERE (page.stay, page.number) > (?1, ?2) AND page.body IS NOT NULL AND abs(page.stay) % ?4 = ?5
            ORDER BY page.stay, page.number LIMIT ?3";
        const LISTED_PAGES: &str = "
            SELECT page.id, page.number, page.digest, iif(length(body.zstd) <= ?6, body.zstd, NULL),
                coalesce(listing.date, meeting.date), body.id
            FROM listed_page AS page LEFT JOIN body ON body.id = page.body
                LEFT JOIN listing ON listing.id = page.listing
                LEFT JOIN meeting ON meeting.id = listing.meeting
            WHERE (page.id, page.number) > (?1, ?2) AND page.body IS NOT NULL AND page.listing % ?4 = ?5
            ORDER BY page.id LIMIT ?3";
        let mut pages = DamagedPages::default();
        let mut reader = BodyReader::new();
        for (sql, is_listed) in [(PAGES, false), (LISTED_PAGES, true)] {
            let mut last = (i64::MIN, 0_i64);
            loop {
                if stop() {
                    return Ok(None);
                }
                let mut statement = self.db.prepare_cached(sql)?;
                let mut rows = statement.query(params![
                    last.0,
                    last.1,
                    PAGES_PER_READING,
                    share.of,
                    share.turn,
                    FRAME_BYTES_HELD_MAX
                ])?;
                let mut read = 0;
                while let Some(row) = rows.next()? {
                    read += 1;
                    last = (row.get(0)?, row.get(1)?);
                    pages.looked_at += 1;
                    if !is_sound(&self.db, row, &mut reader)? {
                        let date = row.get::<_, Option<i32>>(4)?.and_then(NaiveDate::from_epoch_days);
                        let damaged = if is_listed { &mut pages.damaged_listed } else { &mut pages.damaged };
                        *damaged.entry(date).or_default() += 1;
                    }
                }
                if read < PAGES_PER_READING {
                    break;
                }
            }
        }
        Ok(Some(pages))
    }
}

impl DamagedPages {
    /// True if all of them are what was landed.
    pub fn are_sound(&self) -> bool {
        self.damaged.is_empty() && self.damaged_listed.is_empty()
    }
}

/// Compares a page with its digest, behind which its body stands, or only the body's number if it is a large one.
fn is_sound(db: &Connection, row: &Row<'_>, reader: &mut BodyReader) -> rusqlite::Result<bool> {
    let digest = row.get_ref(2)?.as_blob().unwrap_or_default();
    let is_whole = |found: &[u8]| found[..DIGEST_BYTES] == *digest;
    if let Some(frame) = row.get_ref(3)?.as_blob_or_null().unwrap_or_default() {
        return Ok(reader.read(frame).is_some_and(|body| is_whole(&Sha256::digest(body))));
    }
    let Some(body) = row.get::<_, Option<i64>>(5)? else { return Ok(false) };
    let Ok(frame) = db.blob_open("main", "body", "zstd", body, true) else { return Ok(false) };
    let mut digest_of = Sha256::new();
    let read = Decoder::new(frame).and_then(|body| io::copy(&mut body.take(BODY_BYTES_MAX as u64), &mut digest_of));
    Ok(read.is_ok() && is_whole(&digest_of.finalize()))
}
