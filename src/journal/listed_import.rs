//! Pages of listings out of an archive, without a request.
//!
//! What was listed later counts, so that pages are taken in in the order in which they once landed, whatever order they stand in
//! and however many archives they come from: they wait in a temporary table until all have been seen, and until all pages of samples
//! have been taken in, so that of a stay that is complete nothing is asked for again.
//!
//! What an archive does not hold is not asked for because of it: it counts as failed, which a run that names its date tries
//! again. What waits for the next run are second readings of stays that are complete with an end of their meeting which a later
//! listing has changed, as they did where the archive was written.

use chrono::NaiveDate;
use chrono_tz::Tz;
use rusqlite::{Connection, OptionalExtension, Row, Transaction, TransactionBehavior, params, types::ValueRef};

use super::{
    Journal, JournalError, Landed, LandedListedPage, Lane, ListedOf, ListingId, Manifested, MeetingId, NewListedPage,
    State, StayId,
    discovered::{bring_attendances, note_external, see, write_page},
    listing::meeting_from_row,
    page::{BodyReader, Frame},
    stay::{INSERT, date_from_row, insert, meeting_no_column},
};
use crate::{
    endpoint::Endpoint,
    listings::{SeenAttendance, SeenMeeting},
    meeting::Meeting,
    stay::{Stay, partition_date},
};

/// Pages taken in by one transaction: another process waits no longer than for these.
const PAGES_PER_TRANSACTION: usize = 500;

/// Puts all pages of the archives into the order in which they landed. Within one archive that is told by their places; between two
/// by when their listings began.
const ORDER: &str = "
    CREATE TEMP TABLE listed_order AS
    SELECT id, row_number() OVER (ORDER BY since, file, landed, id) AS place
    FROM (
        SELECT id, file, landed, max(begun_at) OVER (PARTITION BY file ORDER BY landed, id) AS since FROM parked_listed
    );
    CREATE UNIQUE INDEX temp.listed_order_place ON listed_order (place);";

/// A page of a listing out of an archive, checked as an answer is.
#[derive(Clone, Copy, Debug)]
pub struct ArchivedListedPage<'a> {
    /// The page.
    pub page: LandedListedPage<'a>,
    /// Its place in the order in which the pages of its archive landed.
    pub landed: u64,
    /// Items in it.
    pub items: u32,
    /// The token of the page after it; none if it is the last.
    pub next_token: Option<&'a str>,
    /// Which archive, and the line in it.
    pub at: Manifested,
}

/// What a page of a listing says.
pub enum Contents {
    /// Meetings.
    Meetings(Vec<SeenMeeting>),
    /// Who took part in one.
    Attendances(Vec<SeenAttendance>),
}

/// What became of a page of a listing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TakenListed {
    /// It has landed, and so many stays are known by it of which there is no page.
    Landed {
        /// How many.
        stays: u32,
    },
    /// It had landed already.
    Known,
    /// It had landed already, and its body, which had been pruned, is there again.
    Restored,
    /// A page before it is not in the archive.
    Unreached,
    /// A page of this number has landed already, with another body, which stays.
    Differs,
    /// The page before it is the listing's last one.
    AfterLast,
    /// Its `page_token` is that of an earlier page of the listing.
    TokenRepeated,
    /// The same was listed later, and that has landed already.
    Older,
    /// Its items cannot be read.
    Unreadable,
}

/// Listings that came out of archives.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ListingsTaken {
    /// Those that have all their pages.
    pub whole: u64,
    /// Those that have not.
    pub incomplete: u64,
    /// Meetings whose participants the archives do not hold.
    pub without_participants: u64,
}

/// Makes the tables of an import: temporary, so that they end with the process.
pub(super) fn create(db: &Connection) -> Result<(), JournalError> {
    const TABLES: &str = "
        -- Pages that wait until all have been seen.
        CREATE TEMP TABLE parked_listed (
            id         INTEGER PRIMARY KEY,
            date       INTEGER,                        -- whose meetings, or
            start_time INTEGER,                        -- whose participants: the meeting
            meeting_no INTEGER,
            end_time   INTEGER,
            begun_at   INTEGER NOT NULL,
            landed     INTEGER NOT NULL,
            number     INTEGER NOT NULL,
            items      INTEGER NOT NULL,
            next_token TEXT,
            digest     BLOB    NOT NULL,
            body       BLOB    NOT NULL,               -- zstd
            file       INTEGER NOT NULL,
            line       INTEGER NOT NULL,
            UNIQUE (file, landed)
        ) STRICT;
        -- The journal's listings of those that are in the archives; null: it has a later one.
        CREATE TEMP TABLE imported_listing (
            id          INTEGER PRIMARY KEY,
            file        INTEGER NOT NULL,
            date        INTEGER,
            meeting     INTEGER,
            meeting_end INTEGER,
            begun_at    INTEGER NOT NULL,
            listing     INTEGER
        ) STRICT;
        CREATE INDEX temp.imported_listing_of ON imported_listing (date, meeting);
        CREATE INDEX temp.imported_listing_number ON imported_listing (listing);
        -- The ends that the archives' listings gave the meeting of a stay; the last one counts.
        CREATE TEMP TABLE told_end (
            id   INTEGER PRIMARY KEY,
            stay INTEGER NOT NULL,
            end  INTEGER NOT NULL,
            UNIQUE (stay, end)
        ) STRICT;";
    Ok(db.execute_batch(TABLES)?)
}

/// Lets a page wait; false if its archive has another one in its place.
pub(super) fn park(db: &Connection, archived: &ArchivedListedPage<'_>) -> Result<bool, JournalError> {
    const PARK: &str = "
        INSERT INTO parked_listed
            (date, start_time, meeting_no, end_time, begun_at, landed, number, items, next_token, digest, body, file, line)
        VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13)
        ON CONFLICT DO NOTHING";
    let ArchivedListedPage { page, landed, items, next_token, at } = archived;
    let (date, meeting) = match page.of {
        ListedOf::Date(date) => (Some(date.to_epoch_days()), None),
        ListedOf::Meeting(meeting) => (None, Some(meeting)),
    };
    let frame = Frame::of(page.body)?;
    let parked = db.prepare_cached(PARK)?.execute(params![
        date,
        meeting.map(|meeting| meeting.start_s),
        meeting.map(|meeting| meeting_no_column(meeting.no)),
        meeting.and_then(|meeting| meeting.end_s),
        page.begun_at_s,
        landed,
        page.number,
        items,
        next_token,
        frame.digest,
        frame.zstd,
        at.file,
        at.line
    ])?;
    Ok(parked > 0)
}

/// Pages of listings that wait, to be taken in by [`ListedImport::finish`].
pub struct ListedImport<'journal> {
    pub(super) journal: &'journal Journal,
    pub(super) zone: Tz,
}

impl ListedImport<'_> {
    /// Takes all pages in, in the order in which they once landed. `contents` reads a page of a listing that was begun at a wall
    /// time; `told` is handed where a page stands, its number, and what became of it.
    pub fn finish<E: From<JournalError>>(
        self,
        contents: impl Fn(&ListedOf, i64, &[u8]) -> Option<Contents>,
        mut told: impl FnMut(Manifested, u32, TakenListed) -> Result<(), E>,
    ) -> Result<ListingsTaken, E> {
        const WAITING: &str = "
            SELECT parked.date, parked.start_time, parked.meeting_no, parked.end_time, parked.begun_at, parked.number,
                parked.items, parked.next_token, parked.digest, parked.body, parked.file, parked.line
            FROM listed_order JOIN parked_listed AS parked ON parked.id = listed_order.id
            WHERE listed_order.place > ?1
            ORDER BY listed_order.place LIMIT ?2";
        let db = &self.journal.db;
        db.execute_batch(ORDER).map_err(JournalError::from)?;
        let mut reader = BodyReader::new();
        let mut place = 0;
        loop {
            let transaction =
                Transaction::new_unchecked(db, TransactionBehavior::Immediate).map_err(JournalError::from)?;
            let mut waiting = db.prepare_cached(WAITING).map_err(JournalError::from)?;
            let mut rows = waiting.query(params![place, PAGES_PER_TRANSACTION]).map_err(JournalError::from)?;
            let mut taken = 0;
            while let Some(row) = rows.next().map_err(JournalError::from)? {
                taken += 1;
                let parked = Parked::from_row(row).map_err(JournalError::from)?;
                let became = self.take(&transaction, &parked, &mut reader, &contents)?;
                told(parked.at, parked.number, became)?;
            }
            drop(rows);
            transaction.commit().map_err(JournalError::from)?;
            place += taken;
            if taken < PAGES_PER_TRANSACTION {
                return Ok(self.end()?);
            }
        }
    }
}

/// A page that waits.
struct Parked<'row> {
    of: ListedOf,
    begun_at_s: i64,
    number: u32,
    items: u32,
    next_token: Option<&'row str>,
    frame: Frame<'row>,
    at: Manifested,
}

impl<'row> Parked<'row> {
    fn from_row(row: &'row Row<'_>) -> rusqlite::Result<Self> {
        let of = match row.get_ref(0)? {
            ValueRef::Null => ListedOf::Meeting(meeting_from_row(row, 1)?),
            _ => ListedOf::Date(date_from_row(row, 0)?),
        };
        Ok(Self {
            of,
            begun_at_s: row.get(4)?,
            number: row.get(5)?,
            items: row.get(6)?,
            next_token: row.get_ref(7)?.as_str_or_null()?,
            frame: Frame { digest: row.get_ref(8)?.as_blob()?.into(), zstd: row.get_ref(9)?.as_blob()?.into() },
            at: Manifested { file: row.get(10)?, line: row.get(11)? },
        })
    }
}

/// What a listing is of, in this journal.
#[derive(Clone, Copy)]
struct Target {
    date: Option<i32>,
    meeting: Option<MeetingId>,
    end_s: Option<i64>,
}

impl Target {
    /// The column that names what is listed.
    fn column(self) -> &'static str {
        if self.meeting.is_some() { "meeting" } else { "date" }
    }

    fn key(self) -> Option<i64> {
        self.meeting.or(self.date.map(i64::from))
    }
}

/// What the journal has of an archived listing.
enum Mapped {
    /// This listing.
    Listing(ListingId),
    /// One that was begun later.
    Later,
    /// Nothing: its first page is not in the archive.
    Nothing,
}

impl ListedImport<'_> {
    fn take(
        &self,
        transaction: &Transaction<'_>,
        parked: &Parked<'_>,
        reader: &mut BodyReader,
        contents: impl Fn(&ListedOf, i64, &[u8]) -> Option<Contents>,
    ) -> Result<TakenListed, JournalError> {
        const LANDED: &str = "SELECT digest, body IS NULL FROM listed_page WHERE listing = ?1 AND number = ?2";
        const RESTORE: &str = "UPDATE listed_page SET body = ?3 WHERE listing = ?1 AND number = ?2";
        const PROGRESS: &str = "SELECT pages, state FROM listing WHERE id = ?1";
        let Some(body) = reader.read(&parked.frame.zstd) else { return Ok(TakenListed::Unreadable) };
        let Some(contents) = contents(&parked.of, parked.begun_at_s, body) else { return Ok(TakenListed::Unreadable) };
        let Some(target) = self.target(transaction, parked)? else { return Ok(TakenListed::Unreached) };
        let listing = match mapped(transaction, parked, target)? {
            Mapped::Listing(listing) => listing,
            Mapped::Later => return Ok(TakenListed::Older),
            Mapped::Nothing => return Ok(TakenListed::Unreached),
        };
        let place = params![listing, parked.number];
        let landed: Option<(Vec<u8>, bool)> =
            transaction.prepare_cached(LANDED)?.query_row(place, |row| Ok((row.get(0)?, row.get(1)?))).optional()?;
        match landed {
            Some((digest, _)) if digest != *parked.frame.digest => return Ok(TakenListed::Differs),
            Some((_, false)) => {
                self.tell_ends(&contents)?;
                return Ok(TakenListed::Known);
            }
            Some((_, true)) => {
                self.tell_ends(&contents)?;
                let row = params![listing, parked.number, parked.frame.write(transaction)?];
                transaction.prepare_cached(RESTORE)?.execute(row)?;
                return Ok(TakenListed::Restored);
            }
            None => {}
        }
        let (pages, state): (u32, State) = transaction
            .prepare_cached(PROGRESS)?
            .query_row([listing], |row| Ok((row.get(0)?, State::from_row(row, 1)?)))?;
        if state == State::Done {
            return Ok(TakenListed::AfterLast);
        }
        if parked.number > pages {
            return Ok(TakenListed::Unreached);
        }
        if parked.next_token.map_or(Ok(false), |token| self.journal.listing_token_seen(listing, token))? {
            return Ok(TakenListed::TokenRepeated);
        }
        self.land(transaction, parked, (listing, target), (&contents, body))
    }

    /// Lands a page that no journal has had.
    fn land(
        &self,
        transaction: &Transaction<'_>,
        parked: &Parked<'_>,
        (listing, target): (ListingId, Target),
        (contents, body): (&Contents, &[u8]),
    ) -> Result<TakenListed, JournalError> {
        const INCOMPLETE: &str = "
            UPDATE listing SET state = 4 /* failed */, settled_at = ?2, reason = 'its last page is not in the archive'
            WHERE id = ?1 AND state = 0 /* pending */";
        let Parked { of, begun_at_s, number, items, next_token, frame, .. } = parked;
        let (number, items, next_token) = (*number, *items, *next_token);
        let page =
            write_page(transaction, &NewListedPage { listing, number, items, next_token, body }, frame, *begun_at_s)?;
        transaction.prepare_cached(INCOMPLETE)?.execute(params![listing, begun_at_s])?;
        let how = Landed { zone: self.zone, now_s: *begun_at_s };
        let stays = match (of, contents, target.meeting) {
            (ListedOf::Meeting(meeting), Contents::Attendances(attendances), Some(meeting_id)) => {
                let date = partition_date(meeting.start_s, self.zone);
                let queue = |seen: &SeenAttendance, stay: &Stay| self.queue(stay, date, seen.is_external);
                bring_attendances(transaction, attendances, (page, listing, meeting_id, date), queue)?.stays
            }
            (_, Contents::Meetings(meetings), _) => {
                for seen in meetings {
                    let (_, is_listed) = see(transaction, seen, (page, listing, Lane::Backfill), &how)?;
                    if is_listed {
                        without_page(transaction, &seen.meeting)?;
                    }
                }
                0
            }
            (_, Contents::Attendances(_), _) => return Ok(TakenListed::Unreadable),
        };
        Ok(TakenListed::Landed { stays })
    }

    /// The number of a discovered stay, and whether it is new. Nothing is asked for: one of which there is no page counts as failed,
    /// with the end that its last listing gives.
    fn queue(&self, stay: &Stay, date: NaiveDate, is_external: bool) -> Result<(StayId, bool), JournalError> {
        const NO_PAGE: &str = "
            UPDATE stay SET state = 4 /* failed */, settled_at = ?2, reason = 'no page of it is in the archive' WHERE id = ?1";
        const MEND: &str =
            "UPDATE stay SET meeting_end = ?2 WHERE id = ?1 AND pages = 0 AND state IN (0, 4) /* pending, failed */";
        let db = &self.journal.db;
        let mut insertion = db.prepare_cached(INSERT)?;
        let is_new = insert(&mut insertion, stay, date, Lane::Backfill)?;
        let id = if is_new {
            let id = db.last_insert_rowid();
            db.prepare_cached(NO_PAGE)?.execute([id, stay.meeting_end_s])?;
            id
        } else {
            let found = self.journal.find(stay)?.ok_or(rusqlite::Error::QueryReturnedNoRows)?;
            db.prepare_cached(MEND)?.execute([found.id, stay.meeting_end_s])?;
            found.id
        };
        self.tell_end(id, stay)?;
        note_external(db, id, is_external)?;
        Ok((id, is_new))
    }

    fn tell_end(&self, id: StayId, stay: &Stay) -> Result<(), JournalError> {
        const TOLD_END: &str = "INSERT OR REPLACE INTO told_end (stay, end) VALUES (?1, ?2)";
        self.journal.db.prepare_cached(TOLD_END)?.execute([id, stay.meeting_end_s])?;
        Ok(())
    }

    /// What a page says that had landed before: an import that was cut may not have come to its end.
    fn tell_ends(&self, contents: &Contents) -> Result<(), JournalError> {
        let Contents::Attendances(attendances) = contents else { return Ok(()) };
        for stay in attendances.iter().filter_map(|seen| seen.stay.as_ref()) {
            if let Some(found) = self.journal.find(stay)? {
                self.tell_end(found.id, stay)?;
            }
        }
        Ok(())
    }

    /// What the listing is of, in this journal. A meeting that it does not know is taken in with the first page of its
    /// participants; none for a later one.
    fn target(&self, db: &Connection, parked: &Parked<'_>) -> Result<Option<Target>, JournalError> {
        const KNOWN: &str = "SELECT id FROM meeting WHERE start_time = ?1 AND number = ?2";
        const NEW: &str = "INSERT INTO meeting (start_time, number, end_time, date) VALUES (?1, ?2, ?3, ?4)";
        let meeting = match &parked.of {
            ListedOf::Date(date) => {
                return Ok(Some(Target { date: Some(date.to_epoch_days()), meeting: None, end_s: None }));
            }
            ListedOf::Meeting(meeting) => meeting,
        };
        let number = meeting_no_column(meeting.no);
        let known = db.prepare_cached(KNOWN)?.query_row([meeting.start_s, number], |row| row.get(0)).optional()?;
        let id = match known {
            Some(id) => id,
            None if parked.number > 0 => return Ok(None),
            None => {
                let date = partition_date(meeting.start_s, self.zone).to_epoch_days();
                db.prepare_cached(NEW)?.insert(params![meeting.start_s, number, meeting.end_s, date])?
            }
        };
        Ok(Some(Target { date: None, meeting: Some(id), end_s: meeting.end_s }))
    }

    /// What is left when all pages have been taken in: stays that are complete with an end that a listing gave their meeting, and
    /// whose meeting has another one now, are asked for again beside what has landed of them.
    fn end(&self) -> Result<ListingsTaken, JournalError> {
        const REREAD: &str = "
            INSERT INTO stay (id, meeting_start, meeting_no, join_time, participant, kind, meeting_end, lane, rereads)
            SELECT -stay.id, meeting_start, meeting_no, join_time, participant, kind, last.end, 1 /* backfill */, stay.id
            FROM told_end AS last JOIN stay ON stay.id = last.stay
            WHERE last.id = (SELECT max(id) FROM told_end WHERE stay = last.stay) AND last.end <> stay.meeting_end
                AND stay.state = 1 /* done */ AND stay.rereads IS NULL
                AND EXISTS (SELECT 1 FROM told_end AS told WHERE told.stay = stay.id AND told.end = stay.meeting_end)
            ON CONFLICT (id) DO NOTHING";
        const TAKEN: &str = "
            SELECT count(*) FILTER (WHERE state = 1 /* done */), count(*) FILTER (WHERE state <> 1 /* done */) FROM listing
            WHERE id IN (SELECT listing FROM imported_listing)";
        const WITHOUT_PARTICIPANTS: &str = "
            SELECT count(DISTINCT meeting) FROM listing
            WHERE state = 4 /* failed */ AND pages = 0
                AND id = (SELECT max(id) FROM listing AS last WHERE last.meeting = listing.meeting)
                AND meeting IN (
                    SELECT sighting.meeting FROM sighting JOIN listed_page ON listed_page.id = sighting.page
                    WHERE listed_page.listing IN (SELECT listing FROM imported_listing)
                )";
        let db = &self.journal.db;
        db.execute(REREAD, [])?;
        let (whole, incomplete) = db.query_row(TAKEN, [], |row| Ok((row.get(0)?, row.get(1)?)))?;
        let without_participants = db.query_row(WITHOUT_PARTICIPANTS, [], |row| row.get(0))?;
        db.execute_batch(
            "DROP TABLE listed_order; DROP TABLE parked_listed; DROP TABLE imported_listing; DROP TABLE told_end",
        )?;
        Ok(ListingsTaken { whole, incomplete, without_participants })
    }
}

/// The listing that the page belongs to: its first page begins one, unless the journal has it already.
fn mapped(db: &Connection, parked: &Parked<'_>, target: Target) -> Result<Mapped, JournalError> {
    const MAPPED: &str = "
        SELECT listing FROM imported_listing
        WHERE file = ?1 AND date IS ?2 AND meeting IS ?3 AND meeting_end IS ?4 AND begun_at = ?5
        ORDER BY id DESC LIMIT 1";
    const MAP: &str = "
        INSERT INTO imported_listing (file, date, meeting, meeting_end, begun_at, listing)
        VALUES (?1, ?2, ?3, ?4, ?5, ?6)";
    let Target { date, meeting, end_s } = target;
    let (file, begun_at_s) = (parked.at.file, parked.begun_at_s);
    if parked.number > 0 {
        let of = params![file, date, meeting, end_s, begun_at_s];
        let mapped: Option<Option<ListingId>> =
            db.prepare_cached(MAPPED)?.query_row(of, |row| row.get(0)).optional()?;
        return Ok(mapped.map_or(Mapped::Nothing, |mapped| mapped.map_or(Mapped::Later, Mapped::Listing)));
    }
    let listing = match same(db, parked, target)? {
        Some(listing) => Some(listing),
        None if has_later(db, target, begun_at_s)? => None,
        None => Some(begin(db, target, begun_at_s)?),
    };
    db.prepare_cached(MAP)?.execute(params![file, date, meeting, end_s, begun_at_s, listing])?;
    Ok(listing.map_or(Mapped::Later, Mapped::Listing))
}

/// The listing that the journal has with the same first page, if it is not one that an earlier page of the same archive has begun.
fn same(db: &Connection, parked: &Parked<'_>, target: Target) -> Result<Option<ListingId>, JournalError> {
    // `=` and not `IS`, for which SQLite would read all listings.
    let same = format!(
        "SELECT listing.id FROM listing JOIN listed_page AS page ON page.listing = listing.id AND page.number = 0
        WHERE listing.{} = ?1 AND listing.meeting_end IS ?2 AND listing.begun_at = ?3 AND page.digest = ?4
            AND NOT EXISTS (SELECT 1 FROM imported_listing AS other WHERE other.listing = listing.id AND other.file = ?5)
        ORDER BY listing.id LIMIT 1",
        target.column()
    );
    let of = params![target.key(), target.end_s, parked.begun_at_s, parked.frame.digest, parked.at.file];
    Ok(db.prepare_cached(&same)?.query_row(of, |row| row.get(0)).optional()?)
}

/// Whether the journal has pages of the same that were listed later, and not by this import.
fn has_later(db: &Connection, target: Target, begun_at_s: i64) -> Result<bool, JournalError> {
    let has_later = format!(
        "SELECT EXISTS (
            SELECT 1 FROM listing WHERE {} = ?1 AND begun_at > ?2 AND pages > 0
                AND NOT EXISTS (SELECT 1 FROM imported_listing AS other WHERE other.listing = listing.id)
        )",
        target.column()
    );
    Ok(db.prepare_cached(&has_later)?.query_row(params![target.key(), begun_at_s], |row| row.get(0))?)
}

/// Begins a listing, in the place of the last one of its meeting if nothing has come of that one yet.
fn begin(db: &Connection, target: Target, begun_at_s: i64) -> Result<ListingId, JournalError> {
    const WAITING: &str = "
        SELECT id FROM listing
        WHERE meeting = ?1 AND meeting_end IS ?2 AND pages = 0 AND state IN (0, 4) /* pending, failed */
            AND id = (SELECT max(id) FROM listing WHERE meeting = ?1)";
    const TAKE_OVER: &str = "
        UPDATE listing SET begun_at = ?2, suspect = 0, state = 0 /* pending */, reason = NULL WHERE id = ?1";
    const BEGIN: &str = "
        INSERT INTO listing (endpoint, date, meeting, meeting_end, lane, begun_at) VALUES (?1, ?2, ?3, ?4, 1 /* backfill */, ?5)";
    let Target { date, meeting, end_s } = target;
    let waiting = db.prepare_cached(WAITING)?.query_row(params![meeting, end_s], |row| row.get(0)).optional()?;
    if let Some(waiting) = waiting {
        db.prepare_cached(TAKE_OVER)?.execute(params![waiting, begun_at_s])?;
        return Ok(waiting);
    }
    let endpoint = if meeting.is_some() { Endpoint::Participants } else { Endpoint::Meetings };
    Ok(db.prepare_cached(BEGIN)?.insert(params![endpoint.number(), date, meeting, end_s, begun_at_s])?)
}

/// The listing of participants that a page of meetings has asked for is not asked for because of an archive.
fn without_page(db: &Connection, meeting: &Meeting) -> Result<(), JournalError> {
    const WITHOUT_PAGE: &str = "
        UPDATE listing SET state = 4 /* failed */, reason = 'no page of it is in the archive'
        WHERE state = 0 /* pending */ AND pages = 0
            AND meeting = (SELECT id FROM meeting WHERE start_time = ?1 AND number = ?2)";
    let key = params![meeting.start_s, meeting_no_column(meeting.no)];
    db.prepare_cached(WITHOUT_PAGE)?.execute(key)?;
    Ok(())
}
