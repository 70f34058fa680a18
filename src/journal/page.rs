//! Landed pages: what has been paid for with requests.

use rusqlite::{CachedStatement, params};
use sha2::{Digest, Sha256};

use zstd::{
    bulk::{Compressor, Decompressor},
    zstd_safe::get_frame_content_size,
};

use super::{Journal, JournalError, State, StayId};
use crate::feishu::transport::BODY_BYTES_MAX;

/// zstd level of a landed body: higher levels do not make these bodies smaller.
const ZSTD_LEVEL: i32 = 1;

/// Bytes kept of a body's SHA-256.
const DIGEST_BYTES: usize = 16;

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
    zstd: Decompressor<'static>,
    body: Vec<u8>,
}

impl<'journal> StayPages<'journal> {
    pub(super) fn new(statement: CachedStatement<'journal>) -> Self {
        let zstd = Decompressor::new().expect("a decompressor without a dictionary needs memory only");
        Self { statement, zstd, body: Vec::new() }
    }

    /// Hands every body of `stay` to `each`, first page first.
    ///
    /// # Errors
    ///
    /// [`JournalError::Body`] if a body is not what was landed: zstd's checksum over it fails.
    pub fn each<E: From<JournalError>>(
        &mut self,
        stay: StayId,
        mut each: impl FnMut(u32, &[u8]) -> Result<(), E>,
    ) -> Result<(), E> {
        let mut rows = self.statement.query([stay]).map_err(JournalError::from)?;
        while let Some(row) = rows.next().map_err(JournalError::from)? {
            let number = row.get(0).map_err(JournalError::from)?;
            let landed = row.get_ref(1).map_err(JournalError::from)?.as_blob().unwrap_or_default();
            let damaged = || JournalError::Body { stay, number };
            self.body.clear();
            let bytes = body_bytes(landed).filter(|bytes| *bytes <= BODY_BYTES_MAX).ok_or_else(damaged)?;
            self.body.reserve(bytes);
            self.zstd.decompress_to_buffer(landed, &mut self.body).map_err(|_| damaged())?;
            each(number, &self.body)?;
        }
        Ok(())
    }
}

impl Journal {
    /// Makes a page durable and advances its stay; the last page ends the stay as done.
    ///
    /// When this returns, the page survives a power cut and is never asked for again.
    pub fn land(&mut self, page: &NewPage<'_>, now_s: i64) -> Result<(), JournalError> {
        let is_last = page.next_token.is_none();
        let body = compress(page.body).map_err(|source| JournalError::Compress { source })?;
        let digest = Sha256::digest(page.body);
        let transaction = self.db.transaction()?;
        transaction.prepare_cached(include_str!("land_page.sql"))?.execute(params![
            page.stay,
            page.number,
            page.samples,
            page.next_token,
            &digest[..DIGEST_BYTES],
            body
        ])?;
        let state = if is_last { State::Done } else { State::Pending };
        transaction.prepare_cached(include_str!("land_stay.sql"))?.execute(params![
            page.stay,
            page.samples,
            state as i64,
            is_last.then_some(now_s)
        ])?;
        Ok(transaction.commit()?)
    }

    /// True if a landed page of the stay was followed by `token`.
    pub fn token_seen(&self, stay: StayId, token: &str) -> Result<bool, JournalError> {
        let mut statement = self.db.prepare_cached(include_str!("token_seen.sql"))?;
        Ok(statement.query_row(params![stay, token], |row| row.get(0))?)
    }
}

/// One zstd frame with the body's size and checksum in it.
fn compress(body: &[u8]) -> std::io::Result<Vec<u8>> {
    let mut zstd = Compressor::new(ZSTD_LEVEL)?;
    zstd.include_checksum(true)?;
    zstd.compress(body)
}

/// The size that a landed frame says its body has.
fn body_bytes(landed: &[u8]) -> Option<usize> {
    get_frame_content_size(landed).ok()?.and_then(|bytes| usize::try_from(bytes).ok())
}
