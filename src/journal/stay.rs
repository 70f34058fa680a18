//! The queue: stays by lane and state, from the manifest to their verdict.

use std::collections::BTreeMap;

use chrono::NaiveDate;
use chrono_tz::Tz;
use rusqlite::{OptionalExtension, Row, Statement, TransactionBehavior, params};

use super::{Journal, JournalError, page::drop_pages};
use crate::stay::{MeetingNo, Participant, Stay, partition_date};

/// A stay's number in the journal; stays of one lane are asked for in this order.
pub type StayId = i64;

/// Takes a stay in unless the journal knows it.
pub(super) const INSERT: &str = "
    INSERT INTO stay (meeting_start, meeting_no, join_time, participant, kind, meeting_end, date, lane)
    VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)
    ON CONFLICT (meeting_start, meeting_no, join_time, participant, kind) WHERE rereads IS NULL DO NOTHING";

/// Priority in the queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Lane {
    /// Before everything else.
    Nightly,
    /// When no nightly stay waits.
    Backfill,
}

impl Lane {
    /// The word on the command line, in reports and in metrics.
    pub fn name(self) -> &'static str {
        match self {
            Self::Nightly => "nightly",
            Self::Backfill => "backfill",
        }
    }
}

/// What is known of a stay.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum State {
    /// To be asked for.
    Pending,
    /// All pages landed.
    Done,
    /// The API knows no such participant.
    Absent,
    /// The API refuses the row.
    Rejected,
    /// Given up in this run; the next run that names it asks again.
    Failed,
    /// Not found, but the meeting is so young that a later run asks again.
    Young,
}

impl State {
    /// All states, in the order of their numbers in the journal.
    pub const ALL: [Self; 6] = [Self::Pending, Self::Done, Self::Absent, Self::Rejected, Self::Failed, Self::Young];

    /// The word for reports.
    pub fn name(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Done => "done",
            Self::Absent => "absent",
            Self::Rejected => "rejected",
            Self::Failed => "failed",
            Self::Young => "absent_so_far",
        }
    }

    pub(super) fn from_row(row: &Row<'_>, column: usize) -> rusqlite::Result<Self> {
        let number: usize = row.get(column)?;
        Self::ALL
            .get(number)
            .copied()
            .ok_or(rusqlite::Error::IntegralValueOutOfRange(column, number.cast_signed() as i64))
    }
}

/// Where a manifest row stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Manifested {
    /// Position of the file on the command line, from 0.
    pub file: u32,
    /// The line, from 1.
    pub line: u64,
}

/// What became of the staged manifest rows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Enqueued {
    /// Distinct stays.
    pub stays: u64,
    /// Rows that named a stay a second time.
    pub duplicates: u64,
    /// Rows that gave another meeting end than the first one, or than the landed stay; those count.
    pub contradicting: u64,
    /// Distinct stays that are done already.
    pub landed: u64,
    /// Distinct stays that ended without data before, and are not asked for again.
    pub settled: u64,
    /// Requests that the stays need at most, after the pages that have landed.
    pub requests: u64,
    /// Stays of earlier manifests, absent so far or failed, that are asked for again.
    pub asked_again: u64,
}

impl Enqueued {
    pub(super) fn count(&mut self, stay: &Stay, known: Known) {
        self.stays += 1;
        let pages = match known {
            Known::New | Known::Mended => 0,
            Known::Pending { pages, contradicts } => {
                self.contradicting += u64::from(contradicts);
                pages
            }
            Known::Again { pages } => pages,
            Known::Settled { is_done, contradicts } => {
                self.landed += u64::from(is_done);
                self.settled += u64::from(!is_done);
                self.contradicting += u64::from(contradicts);
                return;
            }
        };
        self.requests += u64::from(stay.pages_max().saturating_sub(pages).max(1));
    }
}

/// What a manifest row means for what the journal knows of its stay.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Known {
    /// Nothing is known.
    New,
    /// It waits already, with so many pages landed; a row that gives another meeting end contradicts these.
    Pending { pages: u32, contradicts: bool },
    /// It failed, was rejected, perhaps for a mistake in the app's settings, or was absent so far: it is asked for again.
    Again { pages: u32 },
    /// It has no data, and the row gives another meeting end: it is asked for with that.
    Mended,
    /// It stays as it is; a row that gives a done stay another meeting end contradicts it.
    Settled { is_done: bool, contradicts: bool },
}

impl Known {
    pub(super) fn of(found: Option<&Found>, stay: &Stay) -> Self {
        let Some(found) = found else { return Self::New };
        let has_other_end = found.meeting_end_s != stay.meeting_end_s;
        match found.state {
            State::Pending if has_other_end && found.pages == 0 => Self::Mended,
            State::Pending => Self::Pending { pages: found.pages, contradicts: has_other_end },
            State::Done => Self::Settled { is_done: true, contradicts: has_other_end },
            _ if has_other_end => Self::Mended,
            State::Failed | State::Young | State::Rejected => Self::Again { pages: found.pages },
            State::Absent => Self::Settled { is_done: false, contradicts: false },
        }
    }
}

/// A stay at the head of the queue, with how far it has been read.
#[derive(Clone, Debug)]
pub struct QueuedStay {
    /// Its number.
    pub id: StayId,
    /// The stay.
    pub stay: Stay,
    /// The partition it belongs to.
    pub date: NaiveDate,
    /// Its place in the queue is by lane, then by number.
    pub lane: Lane,
    /// Whether its answer was one of those that raised an alarm: it comes after all others.
    pub is_suspect: bool,
    /// Whether it was settled before, and a manifest has it asked for again.
    pub is_asked_again: bool,
    /// Whether it is of another tenant, by its listing.
    pub is_external: bool,
    /// Pages landed, and so the number of the page to ask for.
    pub pages: u32,
    /// Samples landed.
    pub samples: u32,
    /// Times it was read from its first page again.
    pub restarts: u32,
    /// The token of the page to ask for; none for the first.
    pub page_token: Option<String>,
}

/// How a stay ends without a last page.
#[derive(Clone, Debug)]
pub struct Verdict {
    /// [`State::Absent`], [`State::Young`], [`State::Rejected`] or [`State::Failed`].
    pub state: State,
    /// What the API said.
    pub reason: String,
    /// The `X-Tt-Logid` of the answer.
    pub log_id: Option<String>,
}

/// This process's stays in one state.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Stays.
    pub stays: u64,
    /// Pages landed of them.
    pub pages: u64,
    /// Samples landed of them.
    pub samples: u64,
    /// Of these, done without a sample.
    pub empty: u64,
    /// Of these, done with samples that end early, and to be asked for once more.
    pub early_ends: u64,
}

/// A stay of this process with where it stands in the manifest and why it ended as it did.
#[derive(Clone, Debug)]
pub struct OwnStay {
    /// The stay.
    pub stay: Stay,
    /// Where the manifest names it; none if it was discovered, or is asked for again for an earlier run.
    pub manifested: Option<Manifested>,
    /// What the API said.
    pub reason: Option<String>,
    /// The `X-Tt-Logid` of the answer.
    pub log_id: Option<String>,
}

/// One date's stays in one state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DateCoverage {
    /// The partition.
    pub date: NaiveDate,
    /// The state.
    pub state: State,
    /// Stays.
    pub stays: u64,
    /// Of these, done with samples and in no file yet.
    pub unpublished: u64,
}

impl Journal {
    /// Stays of earlier manifests that were last asked for before `asked_before_s` and were absent so far, or failed
    /// although their meeting ended after `young_from_s`, become pending and this process's own, in `lane` at the latest.
    pub fn ask_earlier_again(
        &mut self,
        asked_before_s: i64,
        young_from_s: i64,
        lane: Lane,
    ) -> Result<u64, JournalError> {
        // What an earlier manifest left: absent so far, or failed while its meeting is young.
        const OWN_AGAIN: &str = "
            INSERT INTO mine (stay)
            SELECT id FROM first_reading
            WHERE state IN (4, 5) /* failed, young */ AND settled_at < ?1
                AND (state = 5 /* young */ OR meeting_end >= ?2) AND suspect = 0 /* to be asked */
            ON CONFLICT DO NOTHING";
        // Into the lane of the run that has them for its own: a nightly one must not wait for a whole backfill. What failed may be
        // read from its first page again: its page token may have grown too old meanwhile.
        const ASK_EARLIER_AGAIN: &str = "
            UPDATE stay
            SET state = 0 /* pending */, lane = min(lane, ?3),
                restarts = CASE WHEN state = 4 /* failed */ THEN 0 ELSE restarts END
            WHERE state IN (4, 5) /* failed, young */ AND settled_at < ?1
                AND (state = 5 /* young */ OR meeting_end >= ?2) AND rereads IS NULL AND suspect = 0 /* to be asked */";
        let transaction = self.db.transaction_with_behavior(TransactionBehavior::Immediate)?;
        transaction.execute(OWN_AGAIN, [asked_before_s, young_from_s])?;
        let again = [asked_before_s, young_from_s, lane as i64];
        let count = transaction.execute(ASK_EARLIER_AGAIN, again)?;
        transaction.commit()?;
        Ok(count as u64)
    }

    /// The first stay of the queue for which `is_taken` is false; looks at `depth` stays at most.
    pub fn next(&self, depth: usize, is_taken: impl Fn(StayId) -> bool) -> Result<Option<QueuedStay>, JournalError> {
        // No LIMIT: SQLite would plan the query anew for each value of it. The reader takes as many rows as it needs.
        const NEXT: &str = "
            SELECT stay.id, stay.meeting_start, stay.meeting_no, stay.join_time, stay.participant, stay.kind,
                stay.meeting_end, coalesce(stay.date, (SELECT date FROM stay AS first WHERE first.id = stay.rereads)),
                stay.lane, stay.pages, stay.samples, stay.restarts,
                (SELECT next_token FROM page WHERE page.stay = stay.id AND page.number = stay.pages - 1),
                stay.suspect = 1 /* suspect */, stay.settled_at IS NOT NULL, stay.external
            FROM stay
            WHERE stay.state = 0 /* pending */ AND stay.suspect = 0 /* to be asked */
            ORDER BY stay.lane, stay.id";
        let mut statement = self.db.prepare_cached(NEXT)?;
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

    /// The first of this process's stays from `from` on that is still pending.
    pub fn own_pending(&self, from: StayId) -> Result<Option<StayId>, JournalError> {
        const OWN_PENDING: &str = "
            SELECT mine.stay FROM mine JOIN stay ON stay.id = mine.stay
            WHERE mine.stay >= ?1 AND stay.state = 0 /* pending */
            ORDER BY mine.stay LIMIT 1";
        let mut statement = self.db.prepare_cached(OWN_PENDING)?;
        Ok(statement.query_row([from], |row| row.get(0)).optional()?)
    }

    /// Ends a stay.
    pub fn settle(&self, id: StayId, verdict: &Verdict, now_s: i64) -> Result<(), JournalError> {
        const SETTLE: &str = "UPDATE stay SET state = ?2, settled_at = ?3, reason = ?4, log_id = ?5 WHERE id = ?1";
        let mut statement = self.db.prepare_cached(SETTLE)?;
        statement.execute(params![id, verdict.state as i64, now_s, verdict.reason, verdict.log_id])?;
        Ok(())
    }

    /// Takes verdicts back: the stays are pending again. Counts them by how they had ended.
    pub fn unsettle(&mut self, ids: &[StayId]) -> Result<BTreeMap<State, u64>, JournalError> {
        const VERDICT: &str = "
            SELECT state FROM stay WHERE id = ?1 AND state > 1 /* absent, rejected, failed, young */";
        // What has been read to its end stays so.
        const UNSETTLE: &str = "
            UPDATE stay SET state = 0 /* pending */, settled_at = NULL, reason = NULL, log_id = NULL
            WHERE id = ?1 AND state > 1 /* absent, rejected, failed, young */";
        let mut counts = BTreeMap::new();
        let transaction = self.db.transaction()?;
        for id in ids {
            let state = |row: &Row<'_>| State::from_row(row, 0);
            let verdict = transaction.query_row(VERDICT, [id], state).optional()?;
            if let Some(state) = verdict {
                transaction.execute(UNSETTLE, [id])?;
                *counts.entry(state).or_default() += 1;
            }
        }
        transaction.commit()?;
        Ok(counts)
    }

    /// Forgets the landed pages of a stay that is read from its first page again.
    pub fn restart(&mut self, id: StayId) -> Result<(), JournalError> {
        const RESTART: &str = "UPDATE stay SET pages = 0, samples = 0, restarts = restarts + 1 WHERE id = ?1";
        let transaction = self.db.transaction()?;
        drop_pages(&transaction, id)?;
        transaction.execute(RESTART, [id])?;
        Ok(transaction.commit()?)
    }

    /// Counts this process's stays by state, and by whether they were only asked for again for an earlier run.
    pub fn tally(&self) -> Result<Vec<(State, bool, Tally)>, JournalError> {
        const TALLY: &str = "
            SELECT stay.state, mine.line IS NULL AND NOT mine.discovered, count(*), sum(stay.pages), sum(stay.samples),
                sum(stay.state = 1 /* done */ AND stay.samples = 0), sum(stay.short = 1)
            FROM mine JOIN first_reading AS stay ON stay.id = mine.stay
            GROUP BY 1, 2";
        let mut statement = self.db.prepare_cached(TALLY)?;
        let rows = statement.query_map([], |row| {
            let tally = Tally {
                stays: row.get(2)?,
                pages: row.get(3)?,
                samples: row.get(4)?,
                empty: row.get(5)?,
                early_ends: row.get(6)?,
            };
            Ok((State::from_row(row, 0)?, row.get(1)?, tally))
        })?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// Hands each of this process's stays in `state` to `each`, in the order of the queue.
    pub fn each_own<E: From<JournalError>>(
        &self,
        state: State,
        mut each: impl FnMut(OwnStay) -> Result<(), E>,
    ) -> Result<(), E> {
        const OWN_IN_STATE: &str = "
            SELECT stay.id, stay.meeting_start, stay.meeting_no, stay.join_time, stay.participant, stay.kind,
                stay.meeting_end, mine.file, mine.line, stay.reason, stay.log_id
            FROM mine JOIN first_reading AS stay ON stay.id = mine.stay
            WHERE stay.state = ?1
            ORDER BY stay.id";
        let mut statement = self.db.prepare_cached(OWN_IN_STATE).map_err(JournalError::from)?;
        let mut rows = statement.query([state as i64]).map_err(JournalError::from)?;
        while let Some(row) = rows.next().map_err(JournalError::from)? {
            each(own_from_row(row).map_err(JournalError::from)?)?;
        }
        Ok(())
    }

    /// Stays by date and state.
    pub fn coverage(&self) -> Result<Vec<DateCoverage>, JournalError> {
        // Two counts, each from an index alone: stays are many, and those in no file are few.
        const COVERAGE: &str = "
            SELECT date, state, stays, coalesce(unpublished, 0)
            FROM (SELECT date, state, count(*) AS stays FROM stay WHERE date IS NOT NULL GROUP BY date, state)
            LEFT JOIN (
                SELECT date, 1 /* done */ AS state, count(*) AS unpublished FROM stay
                WHERE state = 1 /* done */ AND samples > 0 AND file IS NULL
                GROUP BY date
            ) USING (date, state)
            ORDER BY date, state";
        let mut statement = self.db.prepare_cached(COVERAGE)?;
        let rows = statement.query_map([], |row| {
            Ok(DateCoverage {
                date: date_from_row(row, 0)?,
                state: State::from_row(row, 1)?,
                stays: row.get(2)?,
                unpublished: row.get(3)?,
            })
        })?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// Requests that all pending stays need at most, after the pages that have landed.
    pub fn requests_queued(&self) -> Result<u64, JournalError> {
        // A sample a minute, a hundred to a page.
        const REQUESTS: &str = "
            SELECT coalesce(sum(max(1, (meeting_end - max(join_time, meeting_start)) / 6000 + 1 - pages)), 0) FROM stay
            WHERE state = 0 /* pending */";
        Ok(self.db.prepare_cached(REQUESTS)?.query_row([], |row| row.get(0))?)
    }

    /// Pending stays by lane.
    pub fn queued(&self) -> Result<[u64; 2], JournalError> {
        const QUEUED: &str = "SELECT lane, count(*) FROM stay WHERE state = 0 /* pending */ GROUP BY lane";
        let mut counts = [0; 2];
        let mut statement = self.db.prepare_cached(QUEUED)?;
        let mut rows = statement.query([])?;
        while let Some(row) = rows.next()? {
            counts[usize::from(row.get::<_, i64>(0)? != Lane::Nightly as i64)] = row.get(1)?;
        }
        Ok(counts)
    }

    /// Puts a stay at the end of its lane; `None` if the journal knows it already.
    pub(super) fn insert(&self, stay: &Stay, lane: Lane, zone: Tz) -> Result<Option<StayId>, JournalError> {
        let date = partition_date(stay.meeting_start_s, zone);
        let mut statement = self.db.prepare_cached(INSERT)?;
        Ok(insert(&mut statement, stay, date, lane)?.then(|| self.db.last_insert_rowid()))
    }

    pub(super) fn find(&self, stay: &Stay) -> Result<Option<Found>, JournalError> {
        const FIND: &str = "
            SELECT id, state, lane, pages, meeting_end FROM first_reading
            WHERE meeting_start = ?1 AND meeting_no = ?2 AND join_time = ?3 AND participant = ?4 AND kind = ?5";
        let (participant, kind) = participant_columns(&stay.participant);
        let key = params![stay.meeting_start_s, meeting_no_column(stay.meeting_no), stay.join_s, participant, kind];
        let mut statement = self.db.prepare_cached(FIND)?;
        let found = statement.query_row(key, |row| {
            Ok(Found {
                id: row.get(0)?,
                state: State::from_row(row, 1)?,
                lane: row.get(2)?,
                pages: row.get(3)?,
                meeting_end_s: row.get(4)?,
            })
        });
        Ok(found.optional()?)
    }
}

pub(super) struct Found {
    pub(super) id: StayId,
    pub(super) state: State,
    pub(super) lane: i64,
    pub(super) pages: u32,
    pub(super) meeting_end_s: i64,
}

impl Found {
    /// True if it is to be asked for, or asked for again, and no page of it has landed.
    pub(super) fn is_unread(&self) -> bool {
        self.pages == 0 && matches!(self.state, State::Pending | State::Failed | State::Young)
    }
}

/// Puts a stay at the end of its lane; false if the journal knows it already.
pub(super) fn insert(
    statement: &mut Statement<'_>,
    stay: &Stay,
    date: NaiveDate,
    lane: Lane,
) -> Result<bool, JournalError> {
    let (participant, kind) = participant_columns(&stay.participant);
    let inserted = statement.execute(params![
        stay.meeting_start_s,
        meeting_no_column(stay.meeting_no),
        stay.join_s,
        participant,
        kind,
        stay.meeting_end_s,
        date.to_epoch_days(),
        lane as i64
    ])?;
    Ok(inserted > 0)
}

fn participant_columns(participant: &Participant) -> (&str, i64) {
    match participant {
        Participant::User(id) => (id, 0),
        Participant::Room(id) => (id, 1),
    }
}

pub(super) fn meeting_no_column(meeting_no: MeetingNo) -> i64 {
    meeting_no.as_str().parse().expect("nine digits fit an i64")
}

/// Reads the six key columns from `first` on: start, number, join, participant, kind, end.
pub(super) fn stay_from_row(row: &Row<'_>, first: usize) -> rusqlite::Result<Stay> {
    let number: i64 = row.get(first + 1)?;
    let meeting_no =
        MeetingNo::parse(&format!("{number:09}")).ok_or(rusqlite::Error::IntegralValueOutOfRange(first + 1, number))?;
    let id: String = row.get(first + 3)?;
    let participant = match row.get::<_, i64>(first + 4)? {
        0 => Participant::User(id),
        _ => Participant::Room(id),
    };
    Ok(Stay {
        meeting_no,
        meeting_start_s: row.get(first)?,
        join_s: row.get(first + 2)?,
        participant,
        meeting_end_s: row.get(first + 5)?,
    })
}

pub(super) fn date_from_row(row: &Row<'_>, column: usize) -> rusqlite::Result<NaiveDate> {
    let days: i32 = row.get(column)?;
    NaiveDate::from_epoch_days(days).ok_or(rusqlite::Error::IntegralValueOutOfRange(column, days.into()))
}

pub(super) fn queued_from_row(row: &Row<'_>) -> rusqlite::Result<QueuedStay> {
    Ok(QueuedStay {
        id: row.get(0)?,
        stay: stay_from_row(row, 1)?,
        date: date_from_row(row, 7)?,
        lane: if row.get::<_, i64>(8)? == Lane::Nightly as i64 { Lane::Nightly } else { Lane::Backfill },
        pages: row.get(9)?,
        samples: row.get(10)?,
        restarts: row.get(11)?,
        page_token: row.get(12)?,
        is_suspect: row.get(13)?,
        is_asked_again: row.get(14)?,
        is_external: row.get(15)?,
    })
}

fn own_from_row(row: &Row<'_>) -> rusqlite::Result<OwnStay> {
    let manifested = match (row.get(7)?, row.get(8)?) {
        (Some(file), Some(line)) => Some(Manifested { file, line }),
        _ => None,
    };
    Ok(OwnStay { stay: stay_from_row(row, 1)?, manifested, reason: row.get(9)?, log_id: row.get(10)? })
}
