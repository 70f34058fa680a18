//! The queue of discovery: listings, from a date or a meeting to their last page.
//!
//! A listing is never taken back: what it has landed counts, whatever became of it. One that has to begin anew is given up
//! for another.

use std::collections::BTreeMap;

use chrono::NaiveDate;
use rusqlite::{Connection, OptionalExtension, Row, Transaction, TransactionBehavior, params};

use super::{Journal, JournalError, Lane, State, Verdict, own, stay::date_from_row};
use crate::{
    dates::Dates,
    endpoint::Endpoint,
    meeting::{Askable, Meeting},
    stay::MeetingNo,
};

/// A listing's number in the journal; those of one lane are asked for in this order.
pub type ListingId = i64;

/// A meeting's number in the journal.
pub type MeetingId = i64;

/// What a listing is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Listed {
    /// The meetings of a date.
    Date(NaiveDate),
    /// The participants of a meeting, whose end is the one that is asked with.
    Meeting(MeetingId, Meeting),
}

impl Listed {
    /// Where it is asked for.
    pub fn endpoint(&self) -> Endpoint {
        match self {
            Self::Date(_) => Endpoint::Meetings,
            Self::Meeting(..) => Endpoint::Participants,
        }
    }
}

/// A listing at the head of the queue, with how far it has been read.
#[derive(Clone, Debug)]
pub struct QueuedListing {
    /// Its number.
    pub id: ListingId,
    /// Whose.
    pub of: Listed,
    /// Its place in the queue is by lane, then by number.
    pub lane: Lane,
    /// Pages landed, and so the number of the page to ask for.
    pub pages: u32,
    /// Items landed.
    pub items: u32,
    /// How many items there are by the API's own count, if it said.
    pub expected: Option<u32>,
    /// How often it was begun anew.
    pub restarts: u32,
    /// Pages in a row that brought nothing new, as far as this process has seen.
    pub barren_pages: u32,
    /// The token of the page to ask for; none for the first.
    pub page_token: Option<String>,
}

/// How dates are discovered.
#[derive(Clone, Copy, Debug)]
pub struct Discovery {
    /// The dates.
    pub dates: Dates,
    /// The lane of what is asked for.
    pub lane: Lane,
    /// The dates that are listed again although they are closed.
    pub refresh: Option<Dates>,
}

/// How a date stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DateListing {
    /// Never listed as a whole.
    Unlisted,
    /// Listed, but so early that more may come: a run that names it lists it again.
    Open,
    /// Listed once nothing more was to come.
    Closed,
}

impl DateListing {
    /// The word for reports.
    pub fn name(self) -> &'static str {
        match self {
            Self::Unlisted => "unlisted",
            Self::Open => "open",
            Self::Closed => "closed",
        }
    }
}

/// The last listing of a date.
struct Last {
    id: ListingId,
    state: State,
    begun_at_s: Option<i64>,
    settled_at_s: Option<i64>,
    is_unserved: bool,
}

impl Last {
    fn is_whole(&self) -> bool {
        matches!(self.state, State::Done | State::Absent)
    }
}

/// Puts a listing of a date at the end of its lane.
const LIST_DATE: &str = "INSERT INTO listing (endpoint, date, lane, unserved) VALUES (1, ?1, ?2, 1)";

/// How long after the listing of a run that did not come to its end another run takes it for its own.
const SERVES_FOR_S: i64 = 12 * 3600;

impl Journal {
    /// Makes the dates this process's own, and asks for their meetings: for those of a date that is being listed already no
    /// second time, and for those of a closed one only to refresh it. `closes_at_s` tells when a date closes; a listing that was begun
    /// by then leaves it open.
    ///
    /// What earlier listings left unsettled of these dates' meetings is asked for again.
    pub fn discover(
        &mut self,
        discovery: &Discovery,
        closes_at_s: impl Fn(NaiveDate) -> i64,
        now_s: i64,
    ) -> Result<(), JournalError> {
        const OWN_DATE: &str = "INSERT INTO mine_date (date) VALUES (?1) ON CONFLICT DO NOTHING";
        const TAKE: &str = "UPDATE listing SET suspect = 0, lane = min(lane, ?2) WHERE id = ?1";
        let transaction = self.db.transaction_with_behavior(TransactionBehavior::Immediate)?;
        own::create(&transaction)?;
        let is_refreshed = |date| discovery.refresh.is_some_and(|dates| dates.contain(date));
        for date in discovery.dates.each() {
            transaction.prepare_cached(OWN_DATE)?.execute([date.to_epoch_days()])?;
            match last_of_date(&transaction, date)? {
                Some(last) if last.state == State::Pending => {
                    transaction.prepare_cached(TAKE)?.execute([last.id, discovery.lane as i64])?;
                }
                Some(last) if last.is_whole() && !is_due(&last, is_refreshed(date), closes_at_s(date), now_s) => {}
                _ => {
                    let listing = [i64::from(date.to_epoch_days()), discovery.lane as i64];
                    transaction.prepare_cached(LIST_DATE)?.execute(listing)?;
                }
            }
        }
        transaction.commit()?;
        self.discovers = true;
        self.own_discovered()?;
        self.take_up_own(discovery.lane)
    }

    /// What is left of this process's meetings, after earlier runs: listings and stays that failed, or whose data were not there
    /// yet, are asked for again; what waits does so in `lane` at the latest.
    fn take_up_own(&mut self, lane: Lane) -> Result<(), JournalError> {
        const LISTINGS_AGAIN: &str = "
            UPDATE listing SET state = 0 /* pending */
            WHERE endpoint = 2 AND state IN (3, 4, 5) /* rejected, failed, young */ AND pages = 0
                AND id IN (SELECT max(id) FROM listing WHERE meeting IN (SELECT meeting FROM mine_meeting) GROUP BY meeting)";
        // One that had begun is not read on: its token may have grown too old. Another one is.
        const LISTINGS_ANEW: &str = "
            INSERT INTO listing (endpoint, meeting, meeting_end, participants, lane)
            SELECT endpoint, meeting, meeting_end, participants, lane FROM listing
            WHERE endpoint = 2 AND state IN (3, 4, 5) /* rejected, failed, young */ AND pages > 0
                AND id IN (SELECT max(id) FROM listing WHERE meeting IN (SELECT meeting FROM mine_meeting) GROUP BY meeting)";
        const LISTINGS_LANE: &str = "
            UPDATE listing SET lane = min(lane, ?1), suspect = 0
            WHERE state = 0 /* pending */ AND meeting IN (SELECT meeting FROM mine_meeting)";
        const STAYS_AGAIN: &str = "
            UPDATE stay SET state = 0 /* pending */, restarts = 0, suspect = 0
            WHERE state IN (4, 5) /* failed, young */ AND rereads IS NULL
                AND id IN (SELECT stay FROM mine WHERE discovered)";
        const STAYS_LANE: &str = "
            UPDATE stay SET lane = min(lane, ?1)
            WHERE state = 0 /* pending */ AND id IN (SELECT stay FROM mine WHERE discovered)";
        let transaction = self.db.transaction_with_behavior(TransactionBehavior::Immediate)?;
        transaction.execute(LISTINGS_ANEW, [])?;
        transaction.execute(LISTINGS_AGAIN, [])?;
        transaction.execute(LISTINGS_LANE, [lane as i64])?;
        transaction.execute(STAYS_AGAIN, [])?;
        transaction.execute(STAYS_LANE, [lane as i64])?;
        Ok(transaction.commit()?)
    }

    /// How a date stands, which closes at `closes_at_s`.
    pub fn date_listing(&self, date: NaiveDate, closes_at_s: i64) -> Result<DateListing, JournalError> {
        const WHOLE_BEGUN: &str = "
            SELECT max(begun_at) FROM listing WHERE date = ?1 AND state IN (1, 2) /* done, absent */";
        let begun_at_s: Option<i64> =
            self.db.prepare_cached(WHOLE_BEGUN)?.query_row([date.to_epoch_days()], |row| row.get(0))?;
        Ok(match begun_at_s {
            None => DateListing::Unlisted,
            Some(begun_at_s) if begun_at_s < closes_at_s => DateListing::Open,
            Some(_) => DateListing::Closed,
        })
    }

    /// The dates whose meetings were asked for, whatever came of it.
    pub fn listing_dates(&self) -> Result<Vec<NaiveDate>, JournalError> {
        const LISTING_DATES: &str = "SELECT DISTINCT date FROM listing WHERE date IS NOT NULL ORDER BY 1";
        let mut statement = self.db.prepare_cached(LISTING_DATES)?;
        let rows = statement.query_map([], |row| date_from_row(row, 0))?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// Records that a run which named this process's dates has come to its end: the next one that names them lists those that
    /// are open again.
    pub fn served(&self) -> Result<(), JournalError> {
        const SERVED: &str = "UPDATE listing SET unserved = 0 WHERE unserved AND date IN (SELECT date FROM mine_date)";
        self.db.execute(SERVED, [])?;
        Ok(())
    }

    /// Listings of participants of which nothing had come when they were last asked for, before `asked_before_s`, become pending
    /// and their meetings this process's own.
    pub fn list_young_again(&mut self, asked_before_s: i64, lane: Lane) -> Result<u64, JournalError> {
        const YOUNG: &str = "
            INSERT INTO mine_meeting (meeting)
            SELECT meeting FROM listing AS young
            WHERE state = 5 /* young */ AND settled_at < ?1 AND suspect = 0 AND meeting IS NOT NULL
                AND NOT EXISTS (SELECT 1 FROM listing AS later WHERE later.meeting = young.meeting AND later.id > young.id)
            ON CONFLICT DO NOTHING";
        const YOUNG_AGAIN: &str = "
            UPDATE listing SET state = 0 /* pending */, lane = min(lane, ?2)
            WHERE state = 5 /* young */ AND settled_at < ?1 AND suspect = 0 AND meeting IN (SELECT meeting FROM mine_meeting)
                AND NOT EXISTS (SELECT 1 FROM listing AS later WHERE later.meeting = listing.meeting AND later.id > listing.id)";
        let transaction = self.db.transaction_with_behavior(TransactionBehavior::Immediate)?;
        own::create(&transaction)?;
        transaction.execute(YOUNG, [asked_before_s])?;
        let again = transaction.execute(YOUNG_AGAIN, [asked_before_s, lane as i64])?;
        transaction.commit()?;
        self.discovers |= again > 0;
        Ok(again as u64)
    }

    /// The first listing of the endpoint's queue for which `is_taken` is false; looks at `depth` of them at most.
    pub fn next_listing(
        &self,
        endpoint: Endpoint,
        depth: usize,
        is_taken: impl Fn(ListingId) -> bool,
    ) -> Result<Option<QueuedListing>, JournalError> {
        // The endpoint is no parameter: SQLite would plan the query anew for each call, once for each step of the loop.
        let next_listing = format!(
            "SELECT listing.id, listing.date, listing.meeting, meeting.start_time, meeting.number, listing.meeting_end,
                listing.lane, listing.pages, listing.items, listing.participants, listing.restarts,
                (SELECT next_token FROM listed_page
                 WHERE listed_page.listing = listing.id AND listed_page.number = listing.pages - 1)
            FROM listing LEFT JOIN meeting ON meeting.id = listing.meeting
            WHERE listing.endpoint = {} AND listing.state = 0 /* pending */ AND listing.suspect = 0
            ORDER BY listing.lane, listing.id",
            endpoint.number()
        );
        let mut statement = self.db.prepare_cached(&next_listing)?;
        let mut rows = statement.query([])?;
        for _ in 0..depth {
            match rows.next()? {
                Some(row) if is_taken(row.get(0)?) => {}
                Some(row) => return Ok(Some(queued_from_row(row)?)),
                None => break,
            }
        }
        Ok(None)
    }

    /// The first of this process's listings at the endpoint, from `from` on, that is pending.
    pub fn own_listing_pending(&self, endpoint: Endpoint, from: ListingId) -> Result<Option<ListingId>, JournalError> {
        if !self.discovers {
            return Ok(None);
        }
        // The endpoint is no parameter, as in `next_listing`.
        let own_listing_pending = format!(
            "SELECT id FROM listing
            WHERE id >= ?1 AND endpoint = {} AND state = 0 /* pending */
                AND (date IN (SELECT date FROM mine_date) OR meeting IN (SELECT meeting FROM mine_meeting))
            ORDER BY id LIMIT 1",
            endpoint.number()
        );
        let mut statement = self.db.prepare_cached(&own_listing_pending)?;
        Ok(statement.query_row([from], |row| row.get(0)).optional()?)
    }

    /// Ends a listing.
    pub fn settle_listing(&self, id: ListingId, verdict: &Verdict, now_s: i64) -> Result<(), JournalError> {
        const SETTLE_LISTING: &str = "
            UPDATE listing
            SET state = ?2, settled_at = ?3, begun_at = coalesce(begun_at, ?3), reason = ?4, log_id = ?5
            WHERE id = ?1";
        let mut statement = self.db.prepare_cached(SETTLE_LISTING)?;
        statement.execute(params![id, verdict.state as i64, now_s, verdict.reason, verdict.log_id])?;
        Ok(())
    }

    /// Takes verdicts back: the listings are pending again, and from now on only asked for by runs that name their dates if
    /// `are_suspect`. Counts them by how they had ended.
    pub fn unsettle_listings(
        &mut self,
        ids: &[ListingId],
        are_suspect: bool,
    ) -> Result<BTreeMap<State, u64>, JournalError> {
        const VERDICT: &str =
            "SELECT state FROM listing WHERE id = ?1 AND state > 1 /* absent, rejected, failed, young */";
        const UNSETTLE: &str = "
            UPDATE listing SET state = 0 /* pending */, settled_at = NULL, reason = NULL, log_id = NULL
            WHERE id = ?1 AND state > 1 /* absent, rejected, failed, young */";
        const SUSPECT: &str = "UPDATE listing SET suspect = 1 WHERE id = ?1 AND state = 0 /* pending */";
        let mut counts = BTreeMap::new();
        let transaction = self.db.transaction()?;
        for id in ids {
            let state = |row: &Row<'_>| State::from_row(row, 0);
            if let Some(state) = transaction.query_row(VERDICT, [id], state).optional()? {
                *counts.entry(state).or_default() += 1;
            }
            transaction.execute(UNSETTLE, [id])?;
            if are_suspect {
                transaction.execute(SUSPECT, [id])?;
            }
        }
        transaction.commit()?;
        Ok(counts)
    }

    /// Sets all pending listings of an endpoint aside: they are asked for only by a run that names their dates.
    pub fn set_listings_aside(&self, endpoint: Endpoint) -> Result<(), JournalError> {
        const SET_ASIDE: &str = "UPDATE listing SET suspect = 1 WHERE endpoint = ?1 AND state = 0 /* pending */";
        self.db.execute(SET_ASIDE, [endpoint.number()])?;
        Ok(())
    }

    /// Takes back what another process has set aside of this process's listings.
    pub fn take_back_own_listings(&self) -> Result<(), JournalError> {
        const TAKE_BACK: &str = "
            UPDATE listing SET suspect = 0
            WHERE state = 0 /* pending */ AND suspect
                AND (date IN (SELECT date FROM mine_date) OR meeting IN (SELECT meeting FROM mine_meeting))";
        if self.discovers {
            self.db.execute(TAKE_BACK, [])?;
        }
        Ok(())
    }

    /// Gives a listing up for one of the same that begins with its first page.
    pub fn list_anew(&mut self, id: ListingId, now_s: i64) -> Result<(), JournalError> {
        let transaction = self.db.transaction_with_behavior(TransactionBehavior::Immediate)?;
        begin_anew(&transaction, id, now_s)?;
        Ok(transaction.commit()?)
    }

    /// Pages of the last listing of a date that was read to its end.
    pub fn pages_of_date(&self, date: NaiveDate) -> Result<u64, JournalError> {
        const PAGES_OF_DATE: &str = "
            SELECT coalesce(
                (SELECT pages FROM listing WHERE date = ?1 AND state = 1 /* done */ ORDER BY id DESC LIMIT 1), 0)";
        Ok(self.db.prepare_cached(PAGES_OF_DATE)?.query_row([date.to_epoch_days()], |row| row.get(0))?)
    }

    /// Pending listings of participants of meetings on the dates from `first` to `last`.
    pub fn participants_left(&self, first: NaiveDate, last: NaiveDate) -> Result<u64, JournalError> {
        const PARTICIPANTS_LEFT: &str = "
            SELECT count(*) FROM meeting JOIN listing ON listing.meeting = meeting.id
            WHERE meeting.date BETWEEN ?1 AND ?2 AND listing.state = 0 /* pending */";
        let mut statement = self.db.prepare_cached(PARTICIPANTS_LEFT)?;
        Ok(statement.query_row([first.to_epoch_days(), last.to_epoch_days()], |row| row.get(0))?)
    }

    /// Pending listings of an endpoint.
    pub fn listings_queued(&self, endpoint: Endpoint) -> Result<u64, JournalError> {
        const LISTINGS_QUEUED: &str = "SELECT count(*) FROM listing WHERE endpoint = ?1 AND state = 0 /* pending */";
        let mut statement = self.db.prepare_cached(LISTINGS_QUEUED)?;
        Ok(statement.query_row([endpoint.number()], |row| row.get(0))?)
    }
}

/// Whether a date that has been listed as a whole is to be listed again.
fn is_due(last: &Last, is_refreshed: bool, closes_at_s: i64, now_s: i64) -> bool {
    let is_closed = last.begun_at_s.is_some_and(|begun_at_s| begun_at_s >= closes_at_s);
    let serves = last.is_unserved && last.settled_at_s.is_some_and(|at_s| (0..=SERVES_FOR_S).contains(&(now_s - at_s)));
    (!is_closed || is_refreshed) && !serves
}

fn last_of_date(db: &Connection, date: NaiveDate) -> rusqlite::Result<Option<Last>> {
    const LAST_OF_DATE: &str = "
        SELECT id, state, begun_at, settled_at, unserved FROM listing WHERE date = ?1 ORDER BY id DESC LIMIT 1";
    let last = db.prepare_cached(LAST_OF_DATE)?.query_row([date.to_epoch_days()], |row| {
        Ok(Last {
            id: row.get(0)?,
            state: State::from_row(row, 1)?,
            begun_at_s: row.get(2)?,
            settled_at_s: row.get(3)?,
            is_unserved: row.get(4)?,
        })
    });
    last.optional()
}

/// A settled or pending listing of a meeting's participants.
struct LastOfMeeting {
    id: ListingId,
    state: State,
    end_s: Option<i64>,
    participants: Option<u32>,
    pages: u32,
}

/// Asks for the participants of a meeting, unless they are known: of one that was listed with the same end and the same number
/// of them, they are not asked for again. Returns whether they are.
pub(super) fn list_participants(
    transaction: &Transaction<'_>,
    id: MeetingId,
    meeting: &Meeting,
    participants: Option<u32>,
    (lane, now_s): (Lane, i64),
) -> rusqlite::Result<bool> {
    const LAST_OF_MEETING: &str = "
        SELECT id, state, meeting_end, participants, pages FROM listing WHERE meeting = ?1 ORDER BY id DESC LIMIT 1";
    const LIST_MEETING: &str = "
        INSERT INTO listing (endpoint, meeting, meeting_end, participants, lane) VALUES (2, ?1, ?2, ?3, ?4)";
    const TAKE: &str = "UPDATE listing SET suspect = 0, lane = min(lane, ?2), participants = ?3 WHERE id = ?1";
    const AGAIN: &str = "UPDATE listing SET state = 0 /* pending */, lane = min(lane, ?2) WHERE id = ?1";
    let Askable::Until(end_s) = meeting.askable(now_s) else { return Ok(false) };
    let last = transaction.prepare_cached(LAST_OF_MEETING)?.query_row([id], |row| {
        Ok(LastOfMeeting {
            id: row.get(0)?,
            state: State::from_row(row, 1)?,
            end_s: row.get(2)?,
            participants: row.get(3)?,
            pages: row.get(4)?,
        })
    });
    let last = last.optional()?;
    let begin = || -> rusqlite::Result<bool> {
        let listing = params![id, end_s, participants, lane as i64];
        transaction.prepare_cached(LIST_MEETING)?.execute(listing).map(|_| true)
    };
    match last {
        None => begin(),
        Some(last) if last.end_s != Some(end_s) => {
            if last.state == State::Pending {
                give_up(transaction, last.id, now_s)?;
            }
            begin()
        }
        Some(last) if last.state == State::Pending => {
            let taken = params![last.id, lane as i64, participants];
            transaction.prepare_cached(TAKE)?.execute(taken).map(|_| false)
        }
        Some(last) if last.participants != participants => begin(),
        // The token of one that had begun may have grown too old.
        Some(last) if last.state == State::Failed && last.pages > 0 => begin(),
        Some(last) if matches!(last.state, State::Young | State::Failed) => {
            let again = params![last.id, lane as i64];
            transaction.prepare_cached(AGAIN)?.execute(again).map(|_| true)
        }
        Some(_) => Ok(false),
    }
}

/// Gives a pending listing up: another one takes its place.
fn give_up(db: &Connection, id: ListingId, now_s: i64) -> rusqlite::Result<()> {
    const GIVE_UP: &str = "
        UPDATE listing SET state = 4 /* failed */, settled_at = ?2, reason = 'begun anew' WHERE id = ?1";
    db.prepare_cached(GIVE_UP)?.execute([id, now_s]).map(drop)
}

fn begin_anew(db: &Connection, id: ListingId, now_s: i64) -> rusqlite::Result<()> {
    const BEGIN_ANEW: &str = "
        INSERT INTO listing (endpoint, date, meeting, meeting_end, participants, lane, restarts, unserved)
        SELECT endpoint, date, meeting, meeting_end, participants, lane, restarts + 1, unserved FROM listing WHERE id = ?1";
    give_up(db, id, now_s)?;
    db.prepare_cached(BEGIN_ANEW)?.execute([id]).map(drop)
}

/// Reads a meeting from its start, number and end.
pub(super) fn meeting_from_row(row: &Row<'_>, first: usize) -> rusqlite::Result<Meeting> {
    let number: i64 = row.get(first + 1)?;
    let no =
        MeetingNo::parse(&format!("{number:09}")).ok_or(rusqlite::Error::IntegralValueOutOfRange(first + 1, number))?;
    Ok(Meeting { start_s: row.get(first)?, no, end_s: row.get(first + 2)? })
}

fn queued_from_row(row: &Row<'_>) -> rusqlite::Result<QueuedListing> {
    let of = match row.get::<_, Option<MeetingId>>(2)? {
        Some(id) => Listed::Meeting(id, meeting_from_row(row, 3)?),
        None => Listed::Date(date_from_row(row, 1)?),
    };
    Ok(QueuedListing {
        id: row.get(0)?,
        of,
        lane: if row.get::<_, i64>(6)? == Lane::Nightly as i64 { Lane::Nightly } else { Lane::Backfill },
        pages: row.get(7)?,
        items: row.get(8)?,
        expected: row.get(9)?,
        restarts: row.get(10)?,
        barren_pages: 0,
        page_token: row.get(11)?,
    })
}
