//! Landed pages of listings, and what they bring: meetings, attendances and stays, all in the transaction that lands the page.

use chrono::NaiveDate;
use chrono_tz::Tz;
use rusqlite::{Connection, OptionalExtension, Transaction, TransactionBehavior, params};

use super::{
    Journal, JournalError, Lane, ListingId, MeetingId, State, StayId,
    listing::list_participants,
    page::{Frame, drop_pages},
    stay::{Found, INSERT, date_from_row, insert, meeting_no_column, stay_from_row},
};
use crate::{
    dataset::Dataset,
    limits::MEETING_LENGTH_MAX_S,
    listings::{SeenAttendance, SeenMeeting},
    meeting::{AttendanceKind, Meeting},
    stay::{Stay, partition_date},
};

/// A page of a listing as the API sent it, to be landed.
#[derive(Clone, Copy, Debug)]
pub struct NewListedPage<'a> {
    /// The listing.
    pub listing: ListingId,
    /// Its number, from 0.
    pub number: u32,
    /// Items in it.
    pub items: u32,
    /// The token of the page after it; none if it is the last.
    pub next_token: Option<&'a str>,
    /// The answer's body.
    pub body: &'a [u8],
}

/// How what a page brings is taken in.
#[derive(Clone, Copy, Debug)]
pub struct Landed {
    /// The zone that decides dates.
    pub zone: Tz,
    /// The wall time.
    pub now_s: i64,
}

/// What a page has brought.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Brought {
    /// Items that no earlier page of its listing has.
    pub items: u32,
    /// Listings of participants to be asked for, for it.
    pub listings: u32,
    /// Stays that nobody had named before.
    pub stays: u32,
    /// Requests that these need at most.
    pub requests: u32,
}

/// What is left to be asked for, of what this process has discovered.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Left {
    /// Listings.
    pub listings: u64,
    /// Stays.
    pub stays: u64,
    /// Requests for these, by their length.
    pub requests: u64,
}

/// What has been discovered of this process's dates.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Discovered {
    /// Meetings.
    pub meetings: u64,
    /// Of these, not over when they were last listed.
    pub not_over: u64,
    /// Of these, longer than a day: the API cannot be asked for them.
    pub too_long: u64,
    /// Of these, with an end before their start.
    pub broken: u64,
    /// Attendances, by what they come to.
    pub attendances: Vec<(AttendanceKind, u64)>,
    /// Distinct stays that the attendances give.
    pub stays: u64,
    /// Of these, of other tenants.
    pub external: u64,
    /// Of these, refused by the API, which lets no app use the ids of another tenant.
    pub external_refused: u64,
    /// Listings that failed, or were refused.
    pub listings_failed: u64,
    /// Listings that are pending.
    pub listings_pending: u64,
    /// Listings of participants of which nothing has come so far.
    pub listings_young: u64,
}

impl Discovered {
    /// All attendances, whatever they come to.
    pub fn attendances(&self) -> u64 {
        self.attendances.iter().map(|(_, count)| count).sum()
    }

    /// Attendances that come to what `is_it` says.
    pub fn attendances_of(&self, is_it: impl Fn(AttendanceKind) -> bool) -> u64 {
        self.attendances.iter().filter(|(kind, _)| is_it(*kind)).map(|(_, count)| count).sum()
    }
}

/// A number of a page, by which the later ones are told from the earlier.
pub type ListedPageId = i64;

impl Journal {
    /// Makes a page of a date's meetings durable, and asks for the participants of those that are new or have changed.
    ///
    /// When this returns, the page survives a power cut and is never asked for again.
    pub fn land_meetings(
        &mut self,
        page: &NewListedPage<'_>,
        meetings: &[SeenMeeting],
        how: &Landed,
    ) -> Result<Brought, JournalError> {
        let frame = Frame::of(page.body)?;
        let transaction = self.db.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let id = write_page(&transaction, page, &frame, how.now_s)?;
        let lane = lane_of(&transaction, page.listing)?;
        let mut brought = Brought::default();
        for seen in meetings {
            let (is_fresh, is_listed) = see(&transaction, seen, (id, page.listing, lane), how)?;
            brought.items += u32::from(is_fresh);
            brought.listings += u32::from(is_listed);
        }
        transaction.commit()?;
        Ok(brought)
    }

    /// Makes a page of a meeting's participants durable, and queues the stays that it gives.
    pub fn land_participants(
        &mut self,
        page: &NewListedPage<'_>,
        (meeting_id, meeting): (MeetingId, &Meeting),
        attendances: &[SeenAttendance],
        how: &Landed,
    ) -> Result<Brought, JournalError> {
        let frame = Frame::of(page.body)?;
        let date = partition_date(meeting.start_s, how.zone);
        let transaction = Transaction::new_unchecked(&self.db, TransactionBehavior::Immediate)?;
        let id = write_page(&transaction, page, &frame, how.now_s)?;
        let lane = lane_of(&transaction, page.listing)?;
        let queue = |seen: &SeenAttendance, stay: &Stay| {
            let is_known = is_known(&transaction, meeting_id, seen)?;
            self.queue(stay, date, (seen.is_external, is_known), lane)
        };
        let brought = bring_attendances(&transaction, attendances, (id, page.listing, meeting_id, date), queue)?;
        transaction.commit()?;
        Ok(brought)
    }

    /// Puts a discovered stay into the queue, or learns what its listing says of one that is there. Returns its number, and whether
    /// it is new.
    fn queue(
        &self,
        stay: &Stay,
        date: NaiveDate,
        (is_external, is_known): (bool, bool),
        lane: Lane,
    ) -> Result<(StayId, bool), JournalError> {
        let mut insertion = self.db.prepare_cached(INSERT)?;
        let is_new = insert(&mut insertion, stay, date, lane)?;
        let id = if is_new {
            self.db.last_insert_rowid()
        } else {
            let found = self.find(stay)?.ok_or(rusqlite::Error::QueryReturnedNoRows)?;
            self.learn(&found, stay, is_known, lane)?;
            found.id
        };
        note_external(&self.db, id, is_external)?;
        Ok((id, is_new))
    }

    /// Where an earlier listing gave another end of the meeting, what is done is asked for again beside what has landed of it. Where
    /// a manifest did, what was paid for stands as it is.
    fn learn(&self, found: &Found, stay: &Stay, is_known: bool, lane: Lane) -> Result<(), JournalError> {
        const MEND: &str = "
            UPDATE stay
            SET meeting_end = ?2, state = 0 /* pending */, suspect = 0, pages = 0, samples = 0, restarts = 0,
                settled_at = NULL, reason = NULL, log_id = NULL, lane = min(lane, ?3)
            WHERE id = ?1";
        const AGAIN: &str = "
            UPDATE stay SET state = 0 /* pending */, restarts = 0, suspect = 0, lane = min(lane, ?2)
            WHERE id = ?1 AND state IN (4, 5) /* failed, young */";
        const LANE: &str = "UPDATE stay SET lane = min(lane, ?2) WHERE id = ?1 AND state = 0 /* pending */";
        const REREAD: &str = "
            INSERT INTO stay (id, meeting_start, meeting_no, join_time, participant, kind, meeting_end, lane, rereads)
            SELECT -id, meeting_start, meeting_no, join_time, participant, kind, ?2, ?3, id FROM stay WHERE id = ?1
            ON CONFLICT (id) DO UPDATE SET meeting_end = excluded.meeting_end WHERE state = 0 /* pending */ AND pages = 0";
        let has_other_end = found.meeting_end_s != stay.meeting_end_s;
        let with_end = params![found.id, stay.meeting_end_s, lane as i64];
        match found.state {
            State::Pending if has_other_end && found.pages == 0 => {
                self.db.prepare_cached(MEND)?.execute(with_end)?;
            }
            State::Pending => {
                self.db.prepare_cached(LANE)?.execute([found.id, lane as i64])?;
            }
            State::Done if has_other_end && is_known => {
                self.db.prepare_cached(REREAD)?.execute(with_end)?;
            }
            State::Absent | State::Rejected | State::Failed | State::Young if has_other_end => {
                drop_pages(&self.db, found.id)?;
                self.db.prepare_cached(MEND)?.execute(with_end)?;
            }
            State::Failed | State::Young => {
                self.db.prepare_cached(AGAIN)?.execute([found.id, lane as i64])?;
            }
            State::Done | State::Absent | State::Rejected => {}
        }
        Ok(())
    }

    /// True if a landed page of the listing was followed by `token`.
    pub fn listing_token_seen(&self, listing: ListingId, token: &str) -> Result<bool, JournalError> {
        const TOKEN_SEEN: &str = "SELECT EXISTS (SELECT 1 FROM listed_page WHERE listing = ?1 AND next_token = ?2)";
        let mut statement = self.db.prepare_cached(TOKEN_SEEN)?;
        Ok(statement.query_row(params![listing, token], |row| row.get(0))?)
    }

    /// Makes what was found of this process's dates since the last call, by whichever process, this process's own: meetings of
    /// these dates, those that their listings have besides, and their stays.
    pub fn own_discovered(&mut self) -> Result<(), JournalError> {
        // What is of a date, and what a listing of it has.
        const OWN_MEETINGS: &str = "
            INSERT INTO mine_meeting (meeting)
            SELECT sighting.meeting
            FROM sighting JOIN listed_page ON listed_page.id = sighting.page
                JOIN listing ON listing.id = listed_page.listing JOIN meeting ON meeting.id = sighting.meeting
            WHERE sighting.id > ?1
                AND (listing.date IN (SELECT date FROM mine_date) OR meeting.date IN (SELECT date FROM mine_date))
            ON CONFLICT DO NOTHING
            RETURNING meeting";
        const OWN_STAYS_OF: &str = "
            INSERT INTO mine (stay, discovered)
            SELECT stay, 1 FROM attendance WHERE meeting = ?1 AND stay IS NOT NULL
            ON CONFLICT DO UPDATE SET discovered = 1";
        const OWN_STAYS: &str = "
            INSERT INTO mine (stay, discovered)
            SELECT stay, 1 FROM attendance
            WHERE id > ?1 AND stay IS NOT NULL AND meeting IN (SELECT meeting FROM mine_meeting)
            ON CONFLICT DO UPDATE SET discovered = 1";
        if !self.discovers {
            return Ok(());
        }
        let last =
            |table| self.db.query_row(&format!("SELECT coalesce(max(id), 0) FROM {table}"), [], |row| row.get(0));
        let upto: (i64, i64) = (last("sighting")?, last("attendance")?);
        if upto == self.owned_upto {
            return Ok(());
        }
        let transaction = self.db.unchecked_transaction()?;
        let meetings: Vec<MeetingId> = transaction
            .prepare_cached(OWN_MEETINGS)?
            .query_map([self.owned_upto.0], |row| row.get(0))?
            .collect::<Result<_, _>>()?;
        let mut own_stays = transaction.prepare_cached(OWN_STAYS_OF)?;
        for meeting in meetings {
            own_stays.execute([meeting])?;
        }
        drop(own_stays);
        transaction.prepare_cached(OWN_STAYS)?.execute([self.owned_upto.1])?;
        transaction.commit()?;
        self.owned_upto = upto;
        Ok(())
    }

    /// Makes the second readings of this process's discovered stays its own: their meetings have another end now.
    pub fn own_discovered_rereads(&self) -> Result<(), JournalError> {
        const OWN_REREADS: &str = "
            INSERT INTO mine (stay, discovered)
            SELECT id, 1 FROM stay
            WHERE rereads IS NOT NULL AND rereads IN (SELECT stay FROM mine WHERE discovered)
            ON CONFLICT DO NOTHING";
        if self.discovers {
            self.db.prepare_cached(OWN_REREADS)?.execute([])?;
        }
        Ok(())
    }

    /// What is left to be asked for, of what this process has discovered.
    pub fn discovered_left(&self) -> Result<Left, JournalError> {
        const LISTINGS_LEFT: &str = "
            SELECT count(*) FROM listing
            WHERE state = 0 /* pending */
                AND (date IN (SELECT date FROM mine_date) OR meeting IN (SELECT meeting FROM mine_meeting))";
        // A sample a minute, a hundred to a page.
        const STAYS_LEFT: &str = "
            SELECT count(*),
                coalesce(sum(max(1, (meeting_end - max(join_time, meeting_start)) / 6000 + 1 - stay.pages)), 0)
            FROM mine JOIN stay ON stay.id = mine.stay
            WHERE mine.discovered AND stay.state = 0 /* pending */";
        if !self.discovers {
            return Ok(Left::default());
        }
        let listings = self.db.query_row(LISTINGS_LEFT, [], |row| row.get(0))?;
        let (stays, requests) = self.db.query_row(STAYS_LEFT, [], |row| Ok((row.get(0)?, row.get(1)?)))?;
        Ok(Left { listings, stays, requests })
    }

    /// What has been discovered of this process's dates, as it stands at `now_s`.
    pub fn discovered(&self, now_s: i64) -> Result<Discovered, JournalError> {
        const MEETINGS: &str = "
            SELECT count(*), sum(end_time IS NULL OR end_time > ?1), sum(end_time <= ?1 AND end_time - start_time > ?2),
                sum(end_time < start_time)
            FROM meeting WHERE id IN (SELECT meeting FROM mine_meeting)";
        const ATTENDANCES: &str = "
            SELECT kind, count(*) FROM attendance WHERE meeting IN (SELECT meeting FROM mine_meeting) GROUP BY kind";
        const STAYS: &str = "
            SELECT count(*), coalesce(sum(external), 0), coalesce(sum(external AND state = 3 /* rejected */), 0) FROM stay
            WHERE id IN (
                SELECT stay FROM attendance WHERE stay IS NOT NULL AND meeting IN (SELECT meeting FROM mine_meeting)
            )";
        const LISTINGS: &str = "
            SELECT coalesce(sum(state IN (3, 4) /* rejected, failed */), 0), coalesce(sum(state = 0 /* pending */), 0),
                coalesce(sum(state = 5 /* young */), 0)
            FROM listing
            WHERE id IN (
                SELECT max(id) FROM listing WHERE meeting IN (SELECT meeting FROM mine_meeting) GROUP BY meeting
                UNION ALL
                SELECT max(id) FROM listing WHERE date IN (SELECT date FROM mine_date) GROUP BY date
            )";
        if !self.discovers {
            return Ok(Discovered::default());
        }
        let number = |value: Option<u64>| value.unwrap_or_default();
        let mut found = Discovered::default();
        let params = params![now_s, MEETING_LENGTH_MAX_S];
        (found.meetings, found.not_over, found.too_long, found.broken) =
            self.db.query_row(MEETINGS, params, |row| {
                Ok((row.get(0)?, number(row.get(1)?), number(row.get(2)?), number(row.get(3)?)))
            })?;
        let mut statement = self.db.prepare_cached(ATTENDANCES)?;
        let mut rows = statement.query([])?;
        while let Some(row) = rows.next()? {
            found.attendances.push((kind_of_number(row.get(0)?)?, row.get(1)?));
        }
        (found.stays, found.external, found.external_refused) =
            self.db.query_row(STAYS, [], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?;
        (found.listings_failed, found.listings_pending, found.listings_young) =
            self.db.query_row(LISTINGS, [], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?;
        Ok(found)
    }
}

impl Journal {
    /// Hands every stay that was discovered of the dates from `first` to `last` to `each`, in the order of the datasets' rows,
    /// and whether a manifest may name it: those of other tenants cannot be asked for, unless the API has shown that they can.
    pub fn each_discovered<E: From<JournalError>>(
        &self,
        first: NaiveDate,
        last: NaiveDate,
        mut each: impl FnMut(&Stay, bool) -> Result<(), E>,
    ) -> Result<(), E> {
        const DISCOVERED: &str = "
            SELECT meeting_start, meeting_no, join_time, participant, kind, meeting_end,
                NOT external OR state = 1 /* done */
            FROM stay
            WHERE date BETWEEN ?1 AND ?2 AND rereads IS NULL AND id IN (
                SELECT attendance.stay FROM meeting JOIN attendance ON attendance.meeting = meeting.id
                WHERE meeting.date BETWEEN ?1 AND ?2 AND attendance.stay IS NOT NULL
            )
            ORDER BY meeting_start, meeting_no, join_time, participant, kind";
        let mut statement = self.db.prepare_cached(DISCOVERED).map_err(JournalError::from)?;
        let span = [first.to_epoch_days(), last.to_epoch_days()];
        let mut rows = statement.query(span).map_err(JournalError::from)?;
        while let Some(row) = rows.next().map_err(JournalError::from)? {
            let can_be_asked_for = row.get(6).map_err(JournalError::from)?;
            each(&stay_from_row(row, 0).map_err(JournalError::from)?, can_be_asked_for)?;
        }
        Ok(())
    }

    /// How many meetings are known of each date.
    pub fn meetings_by_date(&self) -> Result<Vec<(NaiveDate, u64)>, JournalError> {
        const MEETINGS_BY_DATE: &str = "SELECT date, count(*) FROM meeting GROUP BY date";
        let mut statement = self.db.prepare_cached(MEETINGS_BY_DATE)?;
        let rows = statement.query_map([], |row| Ok((date_from_row(row, 0)?, row.get(1)?)))?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// How many attendances are known.
    pub fn attendances(&self) -> Result<u64, JournalError> {
        const ATTENDANCES: &str = "SELECT count(*) FROM attendance";
        Ok(self.db.query_row(ATTENDANCES, [], |row| row.get(0))?)
    }

    /// Requests that the pending stays of the dates from `first` to `last` need at most, after the pages that have landed.
    pub fn requests_left(&self, first: NaiveDate, last: NaiveDate) -> Result<u64, JournalError> {
        const PENDING: &str = "
            SELECT meeting_start, meeting_no, join_time, participant, kind, meeting_end, pages FROM stay
            WHERE date BETWEEN ?1 AND ?2 AND state = 0 /* pending */";
        let mut statement = self.db.prepare_cached(PENDING)?;
        let mut rows = statement.query([first.to_epoch_days(), last.to_epoch_days()])?;
        let mut requests = 0;
        while let Some(row) = rows.next()? {
            let pages: u32 = row.get(6)?;
            requests += u64::from(stay_from_row(row, 0)?.pages_max().saturating_sub(pages).max(1));
        }
        Ok(requests)
    }
}

/// Takes the attendances of a landed page in. `queue` puts the stay of one into the queue, and returns its number and whether it is
/// new.
pub(super) fn bring_attendances(
    db: &Connection,
    attendances: &[SeenAttendance],
    (page, listing, meeting, date): (ListedPageId, ListingId, MeetingId, NaiveDate),
    queue: impl Fn(&SeenAttendance, &Stay) -> Result<(StayId, bool), JournalError>,
) -> Result<Brought, JournalError> {
    let mut brought = Brought::default();
    for seen in attendances {
        let mut id = None;
        if let Some(stay) = &seen.stay {
            let (queued, is_new) = queue(seen, stay)?;
            id = Some(queued);
            brought.stays += u32::from(is_new);
            brought.requests += if is_new { stay.pages_max() } else { 0 };
        }
        brought.items += u32::from(attend(db, meeting, seen, id, listing)?);
    }
    if !attendances.is_empty() {
        note_change(db, Dataset::Participants, date, page)?;
    }
    Ok(brought)
}

/// Writes a page and what it means for its listing.
pub(super) fn write_page(
    db: &Connection,
    page: &NewListedPage<'_>,
    frame: &Frame<'_>,
    now_s: i64,
) -> Result<ListedPageId, JournalError> {
    const LAND_LISTED: &str = "
        INSERT INTO listed_page (listing, number, items, next_token, digest, body) VALUES (?1, ?2, ?3, ?4, ?5, ?6)";
    const LAND_LISTING: &str = "
        UPDATE listing
        SET pages = pages + 1, items = items + ?2, state = ?3, settled_at = ?4, begun_at = coalesce(begun_at, ?5),
            reason = NULL, log_id = NULL
        WHERE id = ?1";
    let body = frame.write(db)?;
    let row = params![page.listing, page.number, page.items, page.next_token, frame.digest, body];
    db.prepare_cached(LAND_LISTED)?.execute(row)?;
    let id = db.last_insert_rowid();
    let is_last = page.next_token.is_none();
    let state = if is_last { State::Done } else { State::Pending };
    let progress = params![page.listing, page.items, state as i64, is_last.then_some(now_s), now_s];
    db.prepare_cached(LAND_LISTING)?.execute(progress)?;
    Ok(id)
}

/// The lane of a listing, which a process may have changed since it was begun.
fn lane_of(db: &Connection, listing: ListingId) -> rusqlite::Result<Lane> {
    const LANE_OF: &str = "SELECT lane FROM listing WHERE id = ?1";
    let lane: i64 = db.prepare_cached(LANE_OF)?.query_row([listing], |row| row.get(0))?;
    Ok(if lane == Lane::Nightly as i64 { Lane::Nightly } else { Lane::Backfill })
}

/// Takes a meeting in. Returns whether its listing had it not yet, and whether its participants are to be asked for, for it.
pub(super) fn see(
    transaction: &Transaction<'_>,
    seen: &SeenMeeting,
    (page, listing, lane): (ListedPageId, ListingId, Lane),
    how: &Landed,
) -> Result<(bool, bool), JournalError> {
    const KNOWN: &str = "SELECT id, end_time FROM meeting WHERE start_time = ?1 AND number = ?2";
    const NEW: &str = "
        INSERT INTO meeting (start_time, number, end_time, participants, date) VALUES (?1, ?2, ?3, ?4, ?5)";
    const CHANGED: &str = "UPDATE meeting SET end_time = ?2, participants = ?3 WHERE id = ?1";
    const IS_SEEN: &str = "
        SELECT EXISTS (
            SELECT 1 FROM sighting JOIN listed_page ON listed_page.id = sighting.page
            WHERE sighting.meeting = ?1 AND listed_page.listing = ?2
        )";
    const SIGHTING: &str = "INSERT INTO sighting (meeting, page) VALUES (?1, ?2) ON CONFLICT DO NOTHING";
    let SeenMeeting { meeting, participants, .. } = seen;
    let date = partition_date(meeting.start_s, how.zone);
    let number = meeting_no_column(meeting.no);
    let known = transaction.prepare_cached(KNOWN)?.query_row(params![meeting.start_s, number], |row| {
        Ok((row.get::<_, MeetingId>(0)?, row.get::<_, Option<i64>>(1)?))
    });
    let (id, is_fresh) = match known.optional()? {
        None => {
            let row = params![meeting.start_s, number, meeting.end_s, participants, date.to_epoch_days()];
            transaction.prepare_cached(NEW)?.execute(row)?;
            (transaction.last_insert_rowid(), true)
        }
        Some((id, end_s)) => {
            let is_seen: bool = transaction.prepare_cached(IS_SEEN)?.query_row([id, listing], |row| row.get(0))?;
            transaction.prepare_cached(CHANGED)?.execute(params![id, meeting.end_s, participants])?;
            if end_s != meeting.end_s {
                // Its attendances name it too.
                note_change(transaction, Dataset::Participants, date, page)?;
            }
            (id, !is_seen)
        }
    };
    transaction.prepare_cached(SIGHTING)?.execute([id, page])?;
    note_change(transaction, Dataset::Meetings, date, page)?;
    let is_listed = list_participants(transaction, id, meeting, *participants, (lane, how.now_s))?;
    Ok((is_fresh, is_listed))
}

/// Whether an earlier page has an attendance that nothing tells from this one.
fn is_known(db: &Connection, meeting: MeetingId, seen: &SeenAttendance) -> rusqlite::Result<bool> {
    const IS_KNOWN: &str = "SELECT EXISTS (SELECT 1 FROM attendance WHERE meeting = ?1 AND identity = ?2)";
    db.prepare_cached(IS_KNOWN)?.query_row(params![meeting, seen.identity], |row| row.get(0))
}

/// Takes an attendance in; false if its listing had it already.
///
/// Those that nothing tells apart are numbered: one of a later listing takes the place of the first that this listing has not
/// named yet. Phase 2 folds the pages by the same rule.
fn attend(
    db: &Connection,
    meeting: MeetingId,
    seen: &SeenAttendance,
    stay: Option<i64>,
    listing: ListingId,
) -> Result<bool, JournalError> {
    const KNOWN: &str = "
        SELECT id, listing = ?3, content = ?4 FROM attendance WHERE meeting = ?1 AND identity = ?2 ORDER BY number";
    const RENEW: &str = "UPDATE attendance SET listing = ?2, content = ?3, kind = ?4, stay = ?5 WHERE id = ?1";
    const NEW: &str = "
        INSERT INTO attendance (meeting, identity, number, listing, content, kind, stay) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)";
    let known: Vec<(i64, bool, bool)> = db
        .prepare_cached(KNOWN)?
        .query_map(params![meeting, seen.identity, listing, seen.content], |row| {
            Ok((row.get(0)?, row.get(1)?, row.get(2)?))
        })?
        .collect::<Result<_, _>>()?;
    if known.iter().any(|(_, is_named, is_same)| *is_named && *is_same) {
        return Ok(false);
    }
    let kind = seen.kind as i64;
    if let Some((id, ..)) = known.iter().find(|(_, is_named, _)| !is_named) {
        db.prepare_cached(RENEW)?.execute(params![id, listing, seen.content, kind, stay])?;
    } else {
        let number = known.len();
        let row = params![meeting, seen.identity, number, listing, seen.content, kind, stay];
        db.prepare_cached(NEW)?.execute(row)?;
    }
    Ok(true)
}

/// Records what the last listing says of whose a stay is.
pub(super) fn note_external(db: &Connection, stay: StayId, is_external: bool) -> rusqlite::Result<()> {
    const EXTERNAL: &str = "UPDATE stay SET external = ?2 WHERE id = ?1 AND external <> ?2";
    db.prepare_cached(EXTERNAL)?.execute(params![stay, is_external]).map(drop)
}

fn note_change(db: &Connection, dataset: Dataset, date: NaiveDate, page: ListedPageId) -> rusqlite::Result<()> {
    const NOTE_CHANGE: &str = "
        INSERT INTO listed_date (dataset, date, last_page) VALUES (?1, ?2, ?3)
        ON CONFLICT (dataset, date) DO UPDATE SET last_page = max(last_page, excluded.last_page)";
    db.prepare_cached(NOTE_CHANGE)?.execute(params![dataset.number(), date.to_epoch_days(), page]).map(drop)
}

fn kind_of_number(number: usize) -> rusqlite::Result<AttendanceKind> {
    let kind = AttendanceKind::ALL.get(number).copied();
    kind.ok_or(rusqlite::Error::IntegralValueOutOfRange(0, number.cast_signed() as i64))
}
