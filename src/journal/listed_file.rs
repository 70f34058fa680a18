//! What is published of listings: of each dataset and date at most one file, and the pages that it comes from.

use chrono::NaiveDate;
use rusqlite::{OptionalExtension, Row, TransactionBehavior, params};

use super::{
    Journal, JournalError, ListedPageId, ListingId, MeetingId, listing::meeting_from_row, page::BodyReader,
    stay::date_from_row,
};
use crate::{dataset::Dataset, meeting::Meeting};

/// A file of a dataset that comes from listings.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListedFile {
    /// The dataset.
    pub dataset: Dataset,
    /// The date.
    pub date: NaiveDate,
    /// The 16 hex digits of its name.
    pub name: String,
    /// The last page that it comes from.
    pub last_page: ListedPageId,
    /// False: an intent, of which it is not known whether the file is visible.
    pub published: bool,
    /// Rows in it.
    pub rows: u64,
    /// Its size.
    pub bytes: u64,
    /// SHA-256 of its bytes.
    pub sha256: [u8; 32],
    /// Whether it was there without this journal: it comes from none of its pages, and `last_page` was the last one then.
    pub adopted: bool,
}

const COLUMNS: &str = "dataset, date, name, last_page, published, rows, bytes, sha256, adopted";

impl Journal {
    /// The dates of a dataset of which pages have landed since its file was made, with the last page of each.
    pub fn listed_changes(&self, dataset: Dataset) -> Result<Vec<(NaiveDate, ListedPageId)>, JournalError> {
        const LISTED_CHANGES: &str = "
            SELECT date, last_page FROM listed_date
            WHERE dataset = ?1 AND last_page > coalesce(
                (SELECT file.last_page FROM listed_file AS file
                 WHERE file.dataset = ?1 AND file.date = listed_date.date AND file.published = 1), 0)
            ORDER BY date";
        let mut statement = self.db.prepare_cached(LISTED_CHANGES)?;
        let rows = statement.query_map([dataset.number()], |row| Ok((date_from_row(row, 0)?, row.get(1)?)))?;
        let mut changes: Vec<_> = rows.collect::<Result<_, _>>()?;
        let mut failure = Ok(());
        changes.retain(|(date, _)| match self.is_kept_as_adopted(dataset, *date) {
            Ok(is_kept) => !is_kept,
            Err(error) => {
                failure = Err(error);
                false
            }
        });
        failure.map(|()| changes)
    }

    /// The dates of a dataset of which anything has been listed or is published, in order, with the last page of each.
    pub fn listed_dates(&self, dataset: Dataset) -> Result<Vec<(NaiveDate, ListedPageId)>, JournalError> {
        const LISTED_DATES: &str = "
            SELECT date, max(last_page) FROM (
                SELECT date, last_page FROM listed_date WHERE dataset = ?1
                UNION ALL SELECT date, last_page FROM listed_file WHERE dataset = ?1 AND published = 1
            )
            GROUP BY date ORDER BY date";
        let mut statement = self.db.prepare_cached(LISTED_DATES)?;
        let rows = statement.query_map([dataset.number()], |row| Ok((date_from_row(row, 0)?, row.get(1)?)))?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// Records what is about to become visible, in the place of what is, and gives it a number that no other has.
    ///
    /// # Errors
    ///
    /// If the date has an intent already: it has to be settled first.
    pub fn intend_listed(&self, file: &ListedFile) -> Result<i64, JournalError> {
        const INTEND: &str = "
            INSERT INTO listed_file (dataset, date, name, last_page, rows, bytes, sha256)
            VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)";
        let ListedFile { dataset, date, name, last_page, rows, bytes, sha256, .. } = file;
        let row = params![dataset.number(), date.to_epoch_days(), name, last_page, rows, bytes, sha256];
        self.db.prepare_cached(INTEND)?.execute(row)?;
        Ok(self.db.last_insert_rowid())
    }

    /// The number of what is visible on a date, or is about to become so.
    pub fn listed_number(&self, dataset: Dataset, date: NaiveDate, published: bool) -> Result<i64, JournalError> {
        const NUMBER: &str = "SELECT id FROM listed_file WHERE dataset = ?1 AND date = ?2 AND published = ?3";
        let place = params![dataset.number(), date.to_epoch_days(), published];
        Ok(self.db.prepare_cached(NUMBER)?.query_row(place, |row| row.get(0))?)
    }

    /// Records that an intended file is visible, and what it has replaced is not.
    pub fn published_listed(&mut self, file: &ListedFile) -> Result<(), JournalError> {
        const FORGET: &str = "DELETE FROM listed_file WHERE dataset = ?1 AND date = ?2 AND published = 1";
        const PUBLISHED: &str =
            "UPDATE listed_file SET published = 1 WHERE dataset = ?1 AND date = ?2 AND published = 0";
        let place = params![file.dataset.number(), file.date.to_epoch_days()];
        let transaction = self.db.transaction_with_behavior(TransactionBehavior::Immediate)?;
        transaction.execute(FORGET, place)?;
        transaction.execute(PUBLISHED, place)?;
        Ok(transaction.commit()?)
    }

    /// Forgets an intent whose file is not visible.
    pub fn withdraw_listed(&self, file: &ListedFile) -> Result<(), JournalError> {
        const WITHDRAW: &str = "DELETE FROM listed_file WHERE dataset = ?1 AND date = ?2 AND published = 0";
        self.db.execute(WITHDRAW, params![file.dataset.number(), file.date.to_epoch_days()])?;
        Ok(())
    }

    /// Records that a published file says all that the pages up to `last_page` say, and nothing else.
    pub fn listed_unchanged(&self, file: &ListedFile, last_page: ListedPageId) -> Result<(), JournalError> {
        const UNCHANGED: &str = "
            UPDATE listed_file SET last_page = ?3, adopted = 0 WHERE dataset = ?1 AND date = ?2 AND published = 1";
        self.db.execute(UNCHANGED, params![file.dataset.number(), file.date.to_epoch_days(), last_page])?;
        Ok(())
    }

    /// The published files of a dataset, or what is meant to be published, by date.
    pub fn listed_files(&self, dataset: Dataset, published: bool) -> Result<Vec<ListedFile>, JournalError> {
        let sql = format!("SELECT {COLUMNS} FROM listed_file WHERE dataset = ?1 AND published = ?2 ORDER BY date");
        let mut statement = self.db.prepare_cached(&sql)?;
        let rows = statement.query_map(params![dataset.number(), published], file_from_row)?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// The published file of a date, or what is meant to be published.
    pub fn listed_file(
        &self,
        dataset: Dataset,
        date: NaiveDate,
        published: bool,
    ) -> Result<Option<ListedFile>, JournalError> {
        let sql = format!("SELECT {COLUMNS} FROM listed_file WHERE dataset = ?1 AND date = ?2 AND published = ?3");
        let mut statement = self.db.prepare_cached(&sql)?;
        let place = params![dataset.number(), date.to_epoch_days(), published];
        Ok(statement.query_row(place, file_from_row).optional()?)
    }

    /// Hands every page that has meetings of `date`, up to the page `last`, to `each`, in the order in which they landed, with
    /// the number of its listing.
    ///
    /// # Errors
    ///
    /// [`JournalError::PrunedListing`] or [`JournalError::ListedBody`] if a body is not there as it was landed.
    pub fn each_page_of_meetings<E: From<JournalError>>(
        &self,
        date: NaiveDate,
        last: ListedPageId,
        each: impl FnMut(ListingId, &[u8]) -> Result<(), E>,
    ) -> Result<(), E> {
        const PAGES_OF_DATE: &str = "
            SELECT page.id, page.listing, body.zstd
            FROM listed_page AS page LEFT JOIN body ON body.id = page.body
            WHERE page.id <= ?2 AND page.id IN (
                SELECT sighting.page FROM meeting JOIN sighting ON sighting.meeting = meeting.id WHERE meeting.date = ?1
            )
            ORDER BY page.id";
        self.each_listed(PAGES_OF_DATE, params![date.to_epoch_days(), last], each)
    }

    /// The meetings of a date, in the order of the datasets' rows.
    pub fn meetings_on(&self, date: NaiveDate) -> Result<Vec<(MeetingId, Meeting)>, JournalError> {
        const MEETINGS_ON: &str = "
            SELECT id, start_time, number, end_time FROM meeting WHERE date = ?1 ORDER BY start_time, number";
        let mut statement = self.db.prepare_cached(MEETINGS_ON)?;
        let rows = statement.query_map([date.to_epoch_days()], |row| Ok((row.get(0)?, meeting_from_row(row, 1)?)))?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// Hands every page of a meeting's participants, up to the page `last`, to `each`, in the order in which they landed, with the
    /// number of its listing.
    ///
    /// # Errors
    ///
    /// As [`Journal::each_page_of_meetings`].
    pub fn each_page_of_participants<E: From<JournalError>>(
        &self,
        meeting: MeetingId,
        last: ListedPageId,
        each: impl FnMut(ListingId, &[u8]) -> Result<(), E>,
    ) -> Result<(), E> {
        const PAGES_OF_MEETING: &str = "
            SELECT page.id, page.listing, body.zstd
            FROM listed_page AS page LEFT JOIN body ON body.id = page.body
            WHERE page.id <= ?2 AND page.listing IN (SELECT id FROM listing WHERE meeting = ?1)
            ORDER BY page.id";
        self.each_listed(PAGES_OF_MEETING, params![meeting, last], each)
    }

    /// Takes a visible file for what is published of its date, in the place of what the journal took for it.
    pub fn adopt_listed(&mut self, file: &ListedFile) -> Result<(), JournalError> {
        const FORGET: &str = "DELETE FROM listed_file WHERE dataset = ?1 AND date = ?2 AND published = 1";
        const ADOPT: &str = "
            INSERT INTO listed_file (dataset, date, name, last_page, published, rows, bytes, sha256, adopted)
            VALUES (?1, ?2, ?3, (SELECT coalesce(max(id), 0) FROM listed_page), 1, ?4, ?5, ?6, 1)";
        let ListedFile { dataset, date, name, rows, bytes, sha256, .. } = file;
        let (dataset, date) = (dataset.number(), date.to_epoch_days());
        let transaction = self.db.transaction_with_behavior(TransactionBehavior::Immediate)?;
        transaction.execute(FORGET, params![dataset, date])?;
        transaction.execute(ADOPT, params![dataset, date, name, rows, bytes, sha256])?;
        Ok(transaction.commit()?)
    }

    /// True if what is published of a date was [adopted](Self::adopt_listed), and the date has not been listed as a whole since, with
    /// all of its meetings: the file says more than the pages.
    pub fn is_kept_as_adopted(&self, dataset: Dataset, date: NaiveDate) -> Result<bool, JournalError> {
        const LISTED_SINCE: &str = "
            SELECT EXISTS (
                SELECT 1 FROM listing JOIN listed_page AS page ON page.listing = listing.id
                WHERE listing.date = ?1 AND listing.state = 1 /* done */ AND page.id > ?2
            )";
        let Some(file) = self.listed_file(dataset, date, true)?.filter(|file| file.adopted) else { return Ok(false) };
        let mut statement = self.db.prepare_cached(LISTED_SINCE)?;
        let is_listed: bool = statement.query_row(params![date.to_epoch_days(), file.last_page], |row| row.get(0))?;
        Ok(!is_listed || self.is_listing_queued(date)?)
    }

    /// The dates from `first` to `last` of which a file is published that was [adopted](Self::adopt_listed).
    pub fn adopted_dates(&self, first: NaiveDate, last: NaiveDate) -> Result<Vec<NaiveDate>, JournalError> {
        const ADOPTED_DATES: &str = "
            SELECT DISTINCT date FROM listed_file
            WHERE date BETWEEN ?1 AND ?2 AND published = 1 AND adopted = 1
            ORDER BY date";
        self.dates(ADOPTED_DATES, first, last)
    }

    /// True if bodies of the pages that the date of a dataset comes from have been dropped and not put back since, or were another
    /// journal's.
    pub fn is_listing_pruned(&self, dataset: Dataset, date: NaiveDate) -> Result<bool, JournalError> {
        const PRUNED_MEETINGS: &str = "
            SELECT EXISTS (
                SELECT 1 FROM meeting JOIN sighting ON sighting.meeting = meeting.id
                    JOIN listed_page ON listed_page.id = sighting.page
                WHERE meeting.date = ?1 AND listed_page.body IS NULL
            )";
        const PRUNED_PARTICIPANTS: &str = "
            SELECT EXISTS (
                SELECT 1 FROM meeting JOIN listing ON listing.meeting = meeting.id
                    JOIN listed_page ON listed_page.listing = listing.id
                WHERE meeting.date = ?1 AND listed_page.body IS NULL
            )";
        let is_pruned = |sql| self.exists_on(date, sql);
        Ok(self.is_kept_as_adopted(dataset, date)?
            || is_pruned(PRUNED_MEETINGS)?
            || dataset == Dataset::Participants && is_pruned(PRUNED_PARTICIPANTS)?)
    }

    /// True if listings of the date, or of its meetings, have landed pages after the page `last`.
    pub fn is_listed_after(&self, date: NaiveDate, last: ListedPageId) -> Result<bool, JournalError> {
        const IS_LISTED_AFTER: &str = "
            SELECT EXISTS (
                SELECT 1 FROM listed_page JOIN listing ON listing.id = listed_page.listing
                    LEFT JOIN meeting ON meeting.id = listing.meeting
                WHERE listed_page.id > ?2 AND ?1 IN (listing.date, meeting.date)
            )";
        let mut statement = self.db.prepare_cached(IS_LISTED_AFTER)?;
        Ok(statement.query_row(params![date.to_epoch_days(), last], |row| row.get(0))?)
    }

    /// True if pages of the date have landed since its file was made.
    pub fn is_outdated(&self, dataset: Dataset, date: NaiveDate) -> Result<bool, JournalError> {
        const IS_OUTDATED: &str = "
            SELECT EXISTS (
                SELECT 1 FROM listed_date
                WHERE dataset = ?1 AND date = ?2 AND last_page > coalesce(
                    (SELECT file.last_page FROM listed_file AS file
                     WHERE file.dataset = ?1 AND file.date = ?2 AND file.published = 1), 0)
            )";
        let mut statement = self.db.prepare_cached(IS_OUTDATED)?;
        let is_outdated = statement.query_row(params![dataset.number(), date.to_epoch_days()], |row| row.get(0))?;
        Ok(is_outdated && !self.is_kept_as_adopted(dataset, date)?)
    }

    /// True if all that was asked for of the date's meetings is settled, and something of it is not published yet.
    pub fn is_listed(&self, date: NaiveDate) -> Result<bool, JournalError> {
        const IS_LISTING: &str = "
            SELECT EXISTS (SELECT 1 FROM listing WHERE date = ?1 AND state = 0 /* pending */)
                OR EXISTS (
                    SELECT 1 FROM meeting JOIN listing ON listing.meeting = meeting.id
                    WHERE meeting.date = ?1 AND listing.state = 0 /* pending */
                )";
        const IS_CHANGED: &str = "
            SELECT EXISTS (
                SELECT 1 FROM listed_date LEFT JOIN listed_file AS file
                    ON file.dataset = listed_date.dataset AND file.date = listed_date.date AND file.published = 1
                WHERE listed_date.date = ?1 AND listed_date.last_page > coalesce(file.last_page, 0)
            )";
        Ok(!self.exists_on(date, IS_LISTING)? && self.exists_on(date, IS_CHANGED)?)
    }

    fn each_listed<E: From<JournalError>>(
        &self,
        sql: &str,
        params: &[&dyn rusqlite::ToSql],
        mut each: impl FnMut(ListingId, &[u8]) -> Result<(), E>,
    ) -> Result<(), E> {
        let mut reader = BodyReader::new();
        let mut statement = self.db.prepare_cached(sql).map_err(JournalError::from)?;
        let mut rows = statement.query(params).map_err(JournalError::from)?;
        while let Some(row) = rows.next().map_err(JournalError::from)? {
            let page: ListedPageId = row.get(0).map_err(JournalError::from)?;
            let listing: ListingId = row.get(1).map_err(JournalError::from)?;
            let landed = row.get_ref(2).map_err(JournalError::from)?;
            let landed = landed.as_blob_or_null().unwrap_or_default().ok_or(JournalError::PrunedListing { listing })?;
            each(listing, reader.read(landed).ok_or(JournalError::ListedBody { page })?)?;
        }
        Ok(())
    }
}

fn file_from_row(row: &Row<'_>) -> rusqlite::Result<ListedFile> {
    let number: i64 = row.get(0)?;
    Ok(ListedFile {
        dataset: Dataset::of_number(number).ok_or(rusqlite::Error::IntegralValueOutOfRange(0, number))?,
        date: date_from_row(row, 1)?,
        name: row.get(2)?,
        last_page: row.get(3)?,
        published: row.get(4)?,
        rows: row.get(5)?,
        bytes: row.get(6)?,
        sha256: row.get(7)?,
        adopted: row.get(8)?,
    })
}
