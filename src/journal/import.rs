//! Landing without a request: the pages of an archive, in whatever order they stand in it.
//!
//! An archive's pages of one stay belong together: the journal takes page n only after it has agreed with the archive on
//! the pages before it, because another crawl may have cut the same stay into other pages. A page that stands too early
//! in the archive is parked in a temporary table until all others have been seen.

use std::borrow::Cow;

use chrono_tz::Tz;
use rusqlite::{OptionalExtension, Row, Transaction, TransactionBehavior, params};

use super::{
    ArchivedListedPage, Journal, JournalError, Lane, ListedImport, Manifested, NewPage, StayId, listed_import, own,
    page::{Frame, Landing},
};
use crate::stay::Stay;

/// Pages landed by one transaction: another process that enqueues waits no longer than for these.
const PAGES_PER_TRANSACTION: u32 = 500;

/// A page of an archive, checked as an answer is.
#[derive(Clone, Debug)]
pub struct ArchivedPage<'a> {
    /// Whose page it is.
    pub stay: &'a Stay,
    /// Its number, from 0.
    pub number: u32,
    /// Samples in it.
    pub samples: u32,
    /// The token of the page after it; none if it is the last.
    pub next_token: Option<&'a str>,
    /// The answer's body.
    pub body: &'a [u8],
    /// Which archive, and the line in it.
    pub at: Manifested,
}

/// What became of an archived page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Taken {
    /// It has landed.
    Landed,
    /// It had landed already.
    Known,
    /// It had landed already, and its body, which had been pruned, is there again.
    Restored,
    /// Pages before it have not been seen yet: what becomes of it is told by [`Import::finish`], and there it means that
    /// they are not in the archive.
    Parked,
    /// A page of this number has landed already, with another body, which stays.
    Differs,
    /// The page before it is the stay's last one.
    AfterLast,
    /// Its `page_token` is that of an earlier page of the stay.
    TokenRepeated,
}

/// Takes archived pages in, until [`Import::finish`]. Dropped before, it loses at most the pages of one transaction.
pub struct Import<'journal> {
    journal: &'journal Journal,
    transaction: Option<Transaction<'journal>>,
    pages_in_transaction: u32,
    zone: Tz,
    now_s: i64,
}

impl Journal {
    /// Begins to take archived pages in. New stays join the lane `backfill`, their dates decided by `zone`; all stays
    /// become this process's own.
    ///
    /// The caller holds the right to fetch: who lands pages of a stay must be the only one.
    pub fn import(&mut self, zone: Tz, now_s: i64) -> Result<Import<'_>, JournalError> {
        const IMPORT_TABLES: &str = "
            -- What an import knows of its archive: temporary, so that it ends with the process.
            -- Of each stay, how many pages, from the first on without a gap, archive and journal have in common.
            CREATE TEMP TABLE imported (
                stay   INTEGER PRIMARY KEY,
                agreed INTEGER NOT NULL
            ) STRICT;
            -- Pages that stand in the archive before those that come before them, in the order of the archive.
            CREATE TEMP TABLE parked (
                id         INTEGER PRIMARY KEY,
                stay       INTEGER NOT NULL,
                number     INTEGER NOT NULL,
                samples    INTEGER NOT NULL,
                next_token TEXT,
                digest     BLOB    NOT NULL,
                body       BLOB    NOT NULL,               -- zstd
                file       INTEGER NOT NULL,
                line       INTEGER NOT NULL
            ) STRICT;";
        own::create(&self.db)?;
        self.db.execute_batch(IMPORT_TABLES)?;
        listed_import::create(&self.db)?;
        Ok(Import { journal: self, transaction: None, pages_in_transaction: 0, zone, now_s })
    }
}

impl<'journal> Import<'journal> {
    /// Takes one page of samples in.
    pub fn take(&mut self, page: &ArchivedPage<'_>) -> Result<Taken, JournalError> {
        self.ensure_transaction()?;
        let stay = match self.journal.find(page.stay)? {
            Some(found) => found.id,
            None => self
                .journal
                .insert(page.stay, Lane::Backfill, self.zone)?
                .ok_or(rusqlite::Error::QueryReturnedNoRows)?,
        };
        own::insert(&self.journal.db, stay, page.at)?;
        let ArchivedPage { number, samples, next_token, body, .. } = *page;
        let landing = Landing::of(&NewPage { stay, number, samples, next_token, body })?;
        let taken = self.compare_and_land(&landing)?;
        if taken == Taken::Parked {
            self.park(&landing, page.at)?;
        }
        Ok(taken)
    }

    /// Lets a page of a listing wait until all have been seen; false if its archive has another one in its place.
    pub fn park_listed(&mut self, page: &ArchivedListedPage<'_>) -> Result<bool, JournalError> {
        self.ensure_transaction()?;
        listed_import::park(&self.journal.db, page)
    }

    /// Takes the parked pages of samples in, and tells `each` what became of them: where one stands, its number, its samples.
    /// What is left are the pages of listings.
    pub fn finish<E: From<JournalError>>(
        mut self,
        mut each: impl FnMut(Manifested, u32, u32, Taken) -> Result<(), E>,
    ) -> Result<ListedImport<'journal>, E> {
        const PARKED: &str = "
            SELECT stay, number, samples, next_token, digest, body, file, line FROM parked ORDER BY stay, number, id";
        let journal = self.journal;
        let mut parked = journal.db.prepare(PARKED).map_err(JournalError::from)?;
        let mut rows = parked.query([]).map_err(JournalError::from)?;
        while let Some(row) = rows.next().map_err(JournalError::from)? {
            self.ensure_transaction()?;
            let (landing, at) = parked_from_row(row).map_err(JournalError::from)?;
            each(at, landing.number, landing.samples, self.compare_and_land(&landing)?)?;
        }
        drop(rows);
        drop(parked);
        self.commit()?;
        let tidy = "DROP TABLE imported; DROP TABLE parked; PRAGMA wal_checkpoint(TRUNCATE)";
        journal.db.execute_batch(tidy).map_err(JournalError::from)?;
        Ok(ListedImport { journal, zone: self.zone })
    }

    /// Lands the page if it is the next one of its stay, or compares it with the one that has landed.
    fn compare_and_land(&self, page: &Landing<'_>) -> Result<Taken, JournalError> {
        const AGREED: &str = "SELECT agreed FROM imported WHERE stay = ?1";
        const RESTORE_PAGE: &str = "UPDATE page SET body = ?3 WHERE stay = ?1 AND number = ?2";
        const AGREE: &str = "
            INSERT INTO imported (stay, agreed) VALUES (?1, ?2)
            ON CONFLICT (stay) DO UPDATE SET agreed = excluded.agreed";
        let db = &self.journal.db;
        let agreed = db.prepare_cached(AGREED)?.query_row([page.stay], |row| row.get(0));
        let agreed: u32 = agreed.optional()?.unwrap_or(0);
        if page.number > agreed {
            return Ok(Taken::Parked);
        }
        let taken = match self.landed(page)? {
            Some((digest, _)) if digest != *page.frame.digest => return Ok(Taken::Differs),
            Some((_, false)) => Taken::Known,
            Some((_, true)) => {
                let row = params![page.stay, page.number, page.frame.write(db)?];
                db.prepare_cached(RESTORE_PAGE)?.execute(row)?;
                Taken::Restored
            }
            None if self.is_done(page.stay)? => return Ok(Taken::AfterLast),
            None if self.repeats_token(page)? => return Ok(Taken::TokenRepeated),
            None => {
                page.write(db, self.now_s)?;
                Taken::Landed
            }
        };
        if page.number == agreed {
            db.prepare_cached(AGREE)?.execute([page.stay, i64::from(agreed) + 1])?;
        }
        Ok(taken)
    }

    /// The digest of the landed page of this number, and whether it has been pruned.
    fn landed(&self, page: &Landing<'_>) -> Result<Option<(Vec<u8>, bool)>, JournalError> {
        const PAGE_DIGEST: &str = "SELECT digest, body IS NULL FROM page WHERE stay = ?1 AND number = ?2";
        let mut statement = self.journal.db.prepare_cached(PAGE_DIGEST)?;
        let landed = statement.query_row(params![page.stay, page.number], |row| Ok((row.get(0)?, row.get(1)?)));
        Ok(landed.optional()?)
    }

    fn is_done(&self, stay: StayId) -> Result<bool, JournalError> {
        const IS_DONE: &str = "SELECT state = 1 /* done */ FROM stay WHERE id = ?1";
        Ok(self.journal.db.prepare_cached(IS_DONE)?.query_row([stay], |row| row.get(0))?)
    }

    fn repeats_token(&self, page: &Landing<'_>) -> Result<bool, JournalError> {
        page.next_token.map_or(Ok(false), |token| self.journal.token_seen(page.stay, token))
    }

    fn park(&self, page: &Landing<'_>, at: Manifested) -> Result<(), JournalError> {
        const PARK: &str = "
            INSERT INTO parked (stay, number, samples, next_token, digest, body, file, line)
            VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)";
        let Landing { stay, number, samples, next_token, frame } = page;
        let row = params![stay, number, samples, next_token, frame.digest, frame.zstd, at.file, at.line];
        self.journal.db.prepare_cached(PARK)?.execute(row)?;
        Ok(())
    }

    /// Ends a transaction that is full, and begins one if there is none.
    fn ensure_transaction(&mut self) -> Result<(), JournalError> {
        if self.pages_in_transaction == PAGES_PER_TRANSACTION {
            self.commit()?;
        }
        if self.transaction.is_none() {
            self.transaction = Some(Transaction::new_unchecked(&self.journal.db, TransactionBehavior::Immediate)?);
        }
        self.pages_in_transaction += 1;
        Ok(())
    }

    fn commit(&mut self) -> Result<(), JournalError> {
        self.pages_in_transaction = 0;
        Ok(self.transaction.take().map_or(Ok(()), Transaction::commit)?)
    }
}

fn parked_from_row<'row>(row: &'row Row<'_>) -> rusqlite::Result<(Landing<'row>, Manifested)> {
    let landing = Landing {
        stay: row.get(0)?,
        number: row.get(1)?,
        samples: row.get(2)?,
        next_token: row.get_ref(3)?.as_str_or_null()?,
        frame: Frame {
            digest: Cow::Borrowed(row.get_ref(4)?.as_blob()?),
            zstd: Cow::Borrowed(row.get_ref(5)?.as_blob()?),
        },
    };
    Ok((landing, Manifested { file: row.get(6)?, line: row.get(7)? }))
}
