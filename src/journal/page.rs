//! Landed pages: what has been paid for with requests.

use std::borrow::Cow;

use rusqlite::{CachedStatement, Connection, MAIN_DB, blob::ZeroBlob, params};
use sha2::{Digest, Sha256};
use zstd::{
    bulk::{Compressor, Decompressor},
    zstd_safe::get_frame_content_size,
};

use super::{Journal, JournalError, State, StayId};
use crate::limits::BODY_BYTES_MAX;

/// Drops the bodies of a stay's pages.
pub(super) const DROP_BODIES: &str = "DELETE FROM body WHERE id IN (SELECT body FROM page WHERE stay = ?1)";

/// What tells a stay's pages from others.
pub(super) const PAGE_DIGESTS: &str = "SELECT number, samples, digest FROM page WHERE stay = ?1 ORDER BY number";

/// zstd level of a landed body: the first of those that look for the best match. One page at a time is landed, and is kept
/// and read for years: on generated pages its body is 17 % smaller than at level 1, and is decompressed no slower.
const ZSTD_LEVEL: i32 = 7;

/// A frame that is larger is written a part of this size at a time.
const LARGE_FRAME_BYTES: usize = 1 << 20;

/// Bytes kept of a body's SHA-256.
pub(super) const DIGEST_BYTES: usize = 16;

/// Forgets the landed pages of a stay.
pub(super) fn drop_pages(db: &Connection, stay: StayId) -> rusqlite::Result<()> {
    const DROP_PAGES: &str = "DELETE FROM page WHERE stay = ?1";
    db.prepare_cached(DROP_BODIES)?.execute([stay])?;
    db.prepare_cached(DROP_PAGES)?.execute([stay])?;
    Ok(())
}

/// A page as the API sent it, to be landed.
#[derive(Clone, Debug)]
pub struct NewPage<'a> {
    /// The stay.
    pub stay: StayId,
    /// Its number, from 0.
    pub number: u32,
    /// Samples in it.
    pub samples: u32,
    /// The token of the page after it; none if it is the last.
    pub next_token: Option<&'a str>,
    /// The answer's body.
    pub body: &'a [u8],
}

/// Reads the landed bodies of one stay after the other into the same buffer.
pub struct StayPages<'journal> {
    statement: CachedStatement<'journal>,
    reader: BodyReader,
}

impl<'journal> StayPages<'journal> {
    pub(super) fn new(statement: CachedStatement<'journal>) -> Self {
        Self { statement, reader: BodyReader::new() }
    }

    /// Hands every body of `stay` to `each`, first page first.
    ///
    /// # Errors
    ///
    /// [`JournalError::Body`] if a body is not what was landed: zstd's checksum over it fails. [`JournalError::Pruned`]
    /// if it has been dropped.
    pub fn each<E: From<JournalError>>(
        &mut self,
        stay: StayId,
        mut each: impl FnMut(u32, &[u8]) -> Result<(), E>,
    ) -> Result<(), E> {
        self.each_counted(stay, |(number, _), body| each(number, body))
    }

    /// The same, with the number of samples beside the page's own number.
    ///
    /// # Errors
    ///
    /// As [`each`](Self::each).
    pub fn each_counted<E: From<JournalError>>(
        &mut self,
        stay: StayId,
        mut each: impl FnMut((u32, u32), &[u8]) -> Result<(), E>,
    ) -> Result<(), E> {
        let mut rows = self.statement.query([stay]).map_err(JournalError::from)?;
        while let Some(row) = rows.next().map_err(JournalError::from)? {
            let number = row.get(0).map_err(JournalError::from)?;
            let samples = row.get(1).map_err(JournalError::from)?;
            let landed = row.get_ref(2).map_err(JournalError::from)?;
            let landed = landed.as_blob_or_null().unwrap_or_default().ok_or(JournalError::Pruned { stay })?;
            let body = self.reader.read(landed).ok_or(JournalError::Body { stay, number })?;
            each((number, samples), body)?;
        }
        Ok(())
    }
}

/// Reads one landed body after the other into the same buffer.
pub(super) struct BodyReader {
    zstd: Decompressor<'static>,
    body: Vec<u8>,
}

impl BodyReader {
    pub(super) fn new() -> Self {
        let zstd = Decompressor::new().expect("a decompressor without a dictionary needs memory only");
        Self { zstd, body: Vec::new() }
    }

    /// The body of a landed frame; none if its checksum or its size says that it is not what was landed.
    pub(super) fn read(&mut self, landed: &[u8]) -> Option<&[u8]> {
        let bytes = body_bytes(landed).filter(|bytes| *bytes <= BODY_BYTES_MAX)?;
        self.body.clear();
        self.body.reserve(bytes);
        self.zstd.decompress_to_buffer(landed, &mut self.body).ok()?;
        Some(&self.body)
    }
}

impl Journal {
    /// Makes a page durable and advances its stay; the last page ends the stay as done.
    ///
    /// When this returns, the page survives a power cut and is never asked for again.
    pub fn land(&mut self, page: &NewPage<'_>, now_s: i64) -> Result<(), JournalError> {
        let landing = Landing::of(page)?;
        let transaction = self.db.transaction()?;
        landing.write(&transaction, now_s)?;
        Ok(transaction.commit()?)
    }

    /// True if a landed page of the stay was followed by `token`.
    pub fn token_seen(&self, stay: StayId, token: &str) -> Result<bool, JournalError> {
        const TOKEN_SEEN: &str = "SELECT EXISTS (SELECT 1 FROM page WHERE stay = ?1 AND next_token = ?2)";
        let mut statement = self.db.prepare_cached(TOKEN_SEEN)?;
        Ok(statement.query_row(params![stay, token], |row| row.get(0))?)
    }
}

/// A body as it is kept.
pub(super) struct Frame<'a> {
    /// The first bytes of the body's SHA-256.
    pub(super) digest: Cow<'a, [u8]>,
    /// The body as one zstd frame, with its size and checksum in it.
    pub(super) zstd: Cow<'a, [u8]>,
}

impl Frame<'_> {
    pub(super) fn of(body: &[u8]) -> Result<Self, JournalError> {
        let digest = Sha256::digest(body)[..DIGEST_BYTES].to_vec().into();
        let zstd = compress(body).map_err(|source| JournalError::Compress { source })?.into();
        Ok(Self { digest, zstd })
    }

    /// Writes the body, and returns its number.
    ///
    /// SQLite copies a value twice before it writes it: a large one is written into its place, a part at a time.
    pub(super) fn write(&self, db: &Connection) -> Result<i64, JournalError> {
        const LAND_BODY: &str = "INSERT INTO body (zstd) VALUES (?1)";
        let mut insertion = db.prepare_cached(LAND_BODY)?;
        if self.zstd.len() <= LARGE_FRAME_BYTES {
            return Ok(insertion.insert([&self.zstd])?);
        }
        let room = ZeroBlob(self.zstd.len() as u64);
        let body = insertion.insert([room])?;
        let mut place = db.blob_open(MAIN_DB, "body", "zstd", body, false)?;
        for (part, offset) in self.zstd.chunks(LARGE_FRAME_BYTES).zip((0..).step_by(LARGE_FRAME_BYTES)) {
            place.write_all_at(part, offset)?;
        }
        place.close()?;
        Ok(body)
    }
}

/// A page as its row will be.
pub(super) struct Landing<'a> {
    pub(super) stay: StayId,
    pub(super) number: u32,
    pub(super) samples: u32,
    pub(super) next_token: Option<&'a str>,
    pub(super) frame: Frame<'a>,
}

impl<'a> Landing<'a> {
    pub(super) fn of(page: &NewPage<'a>) -> Result<Self, JournalError> {
        let NewPage { stay, number, samples, next_token, body } = *page;
        Ok(Self { stay, number, samples, next_token, frame: Frame::of(body)? })
    }

    /// Writes the page and what it means for its stay, as a part of the caller's transaction.
    pub(super) fn write(&self, db: &Connection, now_s: i64) -> Result<(), JournalError> {
        const LAND_PAGE: &str = "
            INSERT INTO page (stay, number, samples, next_token, digest, body) VALUES (?1, ?2, ?3, ?4, ?5, ?6)";
        const LAND_STAY: &str = "
            UPDATE stay
            SET pages = pages + 1, samples = samples + ?2, state = ?3, settled_at = ?4, reason = NULL, log_id = NULL
            WHERE id = ?1";
        let body = self.frame.write(db)?;
        let Self { stay, number, samples, next_token, frame } = self;
        let page = params![stay, number, samples, next_token, frame.digest, body];
        db.prepare_cached(LAND_PAGE)?.execute(page)?;
        let is_last = next_token.is_none();
        let state = if is_last { State::Done } else { State::Pending };
        let progress = params![stay, samples, state as i64, is_last.then_some(now_s)];
        db.prepare_cached(LAND_STAY)?.execute(progress)?;
        Ok(())
    }
}

fn compress(body: &[u8]) -> std::io::Result<Vec<u8>> {
    let mut zstd = Compressor::new(ZSTD_LEVEL)?;
    zstd.include_checksum(true)?;
    zstd.compress(body)
}

/// The size that a landed frame says its body has.
fn body_bytes(landed: &[u8]) -> Option<usize> {
    get_frame_content_size(landed).ok()?.and_then(|bytes| usize::try_from(bytes).ok())
}
