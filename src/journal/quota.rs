//! Requests spent: the slots of the last minute and the count of each day.

use rusqlite::{Transaction, params};

use super::{Journal, JournalError};

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
    /// Records a request before it is sent, on day `day` of UTC+8 (days since 1970-01-01); it is on disk when this
    /// returns. Slots that have been free for a minute are forgotten.
    pub fn spend(&mut self, sent_ms: i64, free_ms: i64, day: i32) -> Result<SlotId, JournalError> {
        let freed = std::mem::take(&mut self.freed);
        let transaction = self.db.transaction()?;
        write_freed(&transaction, &freed)?;
        transaction.prepare_cached(include_str!("drop_free_slots.sql"))?.execute([sent_ms - KEPT_MS])?;
        transaction.prepare_cached(include_str!("spend_slot.sql"))?.execute([sent_ms, free_ms])?;
        let id = transaction.last_insert_rowid();
        transaction.prepare_cached(include_str!("spend_day.sql"))?.execute([day])?;
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

    /// The slots that are taken or were in the last minute, oldest first.
    pub fn slots(&self) -> Result<Vec<Slot>, JournalError> {
        let mut statement = self.db.prepare_cached(include_str!("slots.sql"))?;
        let rows =
            statement.query_map([], |row| Ok(Slot { id: row.get(0)?, sent_ms: row.get(1)?, free_ms: row.get(2)? }))?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// Requests sent on the days `first..=last` of UTC+8 (days since 1970-01-01).
    pub fn spent_between(&self, first: i32, last: i32) -> Result<u64, JournalError> {
        let mut statement = self.db.prepare_cached(include_str!("spent_between.sql"))?;
        Ok(statement.query_row(params![first, last], |row| row.get(0))?)
    }

    /// Until when the API has refused all requests, in unix milliseconds.
    pub fn gate_ms(&self) -> Result<Option<i64>, JournalError> {
        Ok(self.meta("gate_ms")?.and_then(|text| text.parse().ok()))
    }

    /// Records until when the API refuses all requests.
    pub fn set_gate_ms(&self, until_ms: i64) -> Result<(), JournalError> {
        self.set_meta("gate_ms", &until_ms.to_string())
    }
}

fn write_freed(transaction: &Transaction<'_>, freed: &[(SlotId, i64)]) -> Result<(), JournalError> {
    let mut statement = transaction.prepare_cached(include_str!("free_slot.sql"))?;
    for (id, free_ms) in freed {
        statement.execute([id, free_ms])?;
    }
    Ok(())
}
