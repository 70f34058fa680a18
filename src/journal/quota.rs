//! Requests spent: the slots of the last minute and the count of each day.

use rusqlite::{OptionalExtension, Transaction, params};

use super::{Journal, JournalError};
use crate::endpoint::Endpoint;

/// A request's number in the journal.
pub type SlotId = i64;

/// How long a slot is kept after it is free, in milliseconds: a window that weights the minute before looks two minutes
/// back.
const KEPT_MS: i64 = 61_000;

/// A request whose slot is not free yet, or has not been for long. Times are unix milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Slot {
    /// Its number.
    pub id: SlotId,
    /// When it was sent.
    pub sent_ms: i64,
    /// When the slot is free again.
    pub free_ms: i64,
}

impl Journal {
    /// Records a request to an endpoint before it is sent, on day `day` of UTC+8 (days since 1970-01-01); it is on disk when this
    /// returns. Slots that have been free for a minute are forgotten.
    pub fn spend(&mut self, endpoint: Endpoint, sent_ms: i64, free_ms: i64, day: i32) -> Result<SlotId, JournalError> {
        const DROP_FREE_SLOTS: &str = "DELETE FROM slot WHERE free_ms <= ?1";
        const SPEND_SLOT: &str = "INSERT INTO slot (sent_ms, free_ms, endpoint) VALUES (?1, ?2, ?3)";
        const SPEND_DAY: &str = "
            INSERT INTO spent (day, endpoint, requests) VALUES (?1, ?2, 1)
            ON CONFLICT (day, endpoint) DO UPDATE SET requests = requests + 1";
        let freed = std::mem::take(&mut self.freed);
        let transaction = self.db.transaction()?;
        write_freed(&transaction, &freed)?;
        transaction.prepare_cached(DROP_FREE_SLOTS)?.execute([sent_ms - KEPT_MS])?;
        transaction.prepare_cached(SPEND_SLOT)?.execute([sent_ms, free_ms, endpoint.number()])?;
        let id = transaction.last_insert_rowid();
        transaction.prepare_cached(SPEND_DAY)?.execute(params![day, endpoint.number()])?;
        transaction.commit()?;
        Ok(id)
    }

    /// Records when a slot is free, once its answer is there: written with the next request or at
    /// [`Journal::write_slots`]. Lost in a crash, the slot is only free later than it could be.
    pub fn free_slot(&mut self, id: SlotId, free_ms: i64) {
        self.freed.push((id, free_ms));
    }

    /// Writes what [`Journal::free_slot`] recorded.
    pub fn write_slots(&mut self) -> Result<(), JournalError> {
        let freed = std::mem::take(&mut self.freed);
        let transaction = self.db.transaction()?;
        write_freed(&transaction, &freed)?;
        Ok(transaction.commit()?)
    }

    /// The slots of an endpoint that are taken or were in the last minute, oldest first.
    pub fn slots(&self, endpoint: Endpoint) -> Result<Vec<Slot>, JournalError> {
        const SLOTS: &str = "SELECT id, sent_ms, free_ms FROM slot WHERE endpoint = ?1 ORDER BY id";
        let mut statement = self.db.prepare_cached(SLOTS)?;
        let rows = statement.query_map([endpoint.number()], |row| {
            Ok(Slot { id: row.get(0)?, sent_ms: row.get(1)?, free_ms: row.get(2)? })
        })?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// Requests sent to all endpoints on the days `first..=last` of UTC+8 (days since 1970-01-01).
    pub fn spent_between(&self, first: i32, last: i32) -> Result<u64, JournalError> {
        const SPENT_BETWEEN: &str = "SELECT coalesce(sum(requests), 0) FROM spent WHERE day BETWEEN ?1 AND ?2";
        let mut statement = self.db.prepare_cached(SPENT_BETWEEN)?;
        Ok(statement.query_row(params![first, last], |row| row.get(0))?)
    }

    /// Requests sent to one endpoint on the days `first..=last` of UTC+8 (days since 1970-01-01).
    pub fn spent_at(&self, endpoint: Endpoint, first: i32, last: i32) -> Result<u64, JournalError> {
        const SPENT_AT: &str = "
            SELECT coalesce(sum(requests), 0) FROM spent WHERE day BETWEEN ?1 AND ?2 AND endpoint = ?3";
        let mut statement = self.db.prepare_cached(SPENT_AT)?;
        Ok(statement.query_row(params![first, last, endpoint.number()], |row| row.get(0))?)
    }

    /// Until when an endpoint has refused all requests, in unix milliseconds.
    pub fn gate_ms(&self, endpoint: Endpoint) -> Result<Option<i64>, JournalError> {
        const GATE: &str = "SELECT until_ms FROM gate WHERE endpoint = ?1";
        let mut statement = self.db.prepare_cached(GATE)?;
        Ok(statement.query_row([endpoint.number()], |row| row.get(0)).optional()?)
    }

    /// Records until when an endpoint refuses all requests.
    pub fn set_gate_ms(&self, endpoint: Endpoint, until_ms: i64) -> Result<(), JournalError> {
        const SET_GATE: &str = "
            INSERT INTO gate (endpoint, until_ms) VALUES (?1, ?2)
            ON CONFLICT (endpoint) DO UPDATE SET until_ms = excluded.until_ms";
        self.db.prepare_cached(SET_GATE)?.execute([endpoint.number(), until_ms])?;
        Ok(())
    }
}

fn write_freed(transaction: &Transaction<'_>, freed: &[(SlotId, i64)]) -> Result<(), JournalError> {
    const FREE_SLOT: &str = "UPDATE slot SET free_ms = ?2 WHERE id = ?1";
    let mut statement = transaction.prepare_cached(FREE_SLOT)?;
    for (id, free_ms) in freed {
        statement.execute([id, free_ms])?;
    }
    Ok(())
}
