//! Pages of listings out to an archive.

use chrono::NaiveDate;
use rusqlite::{Row, types::ValueRef};

use super::{
    Journal, JournalError, ListedPageId, ListingId, listing::meeting_from_row, page::BodyReader, stay::date_from_row,
};
use crate::meeting::Meeting;

/// What a listing is of, where its meeting is not a number of one journal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ListedOf {
    /// The meetings of a date.
    Date(NaiveDate),
    /// The participants of a meeting, whose end is the one that was asked with.
    Meeting(Meeting),
}

/// A landed page of a listing, to be archived.
#[derive(Clone, Copy, Debug)]
pub struct LandedListedPage<'a> {
    /// What was listed.
    pub of: ListedOf,
    /// When its listing began, in unix seconds.
    pub begun_at_s: i64,
    /// Its number, from 0.
    pub number: u32,
    /// The answer's body.
    pub body: &'a [u8],
}

impl Journal {
    /// Hands every page that the meetings of the dates from `first` to `last` come from, and every page of those dates' listings,
    /// to `each`, in the order in which they landed: of each listing all of its pages.
    ///
    /// # Errors
    ///
    /// [`JournalError::PrunedListing`] or [`JournalError::ListedBody`] if a body is not there as it was landed.
    pub fn each_listed_page<E: From<JournalError>>(
        &self,
        first: NaiveDate,
        last: NaiveDate,
        mut each: impl FnMut(&LandedListedPage<'_>) -> Result<(), E>,
    ) -> Result<(), E> {
        const LISTED_PAGES: &str = "
            SELECT page.id, page.number, body.zstd, listing.id, listing.date, listing.begun_at,
                meeting.start_time, meeting.number, listing.meeting_end
            FROM listed_page AS page JOIN listing ON listing.id = page.listing
                LEFT JOIN meeting ON meeting.id = listing.meeting
                LEFT JOIN body ON body.id = page.body
            WHERE page.listing IN (
                SELECT id FROM listing WHERE date BETWEEN ?1 AND ?2
                UNION
                SELECT listing.id FROM meeting JOIN listing ON listing.meeting = meeting.id
                WHERE meeting.date BETWEEN ?1 AND ?2
                UNION
                SELECT seen.listing FROM meeting JOIN sighting ON sighting.meeting = meeting.id
                    JOIN listed_page AS seen ON seen.id = sighting.page
                WHERE meeting.date BETWEEN ?1 AND ?2
            )
            ORDER BY page.id";
        let mut reader = BodyReader::new();
        let mut statement = self.db.prepare(LISTED_PAGES).map_err(JournalError::from)?;
        let span = [first.to_epoch_days(), last.to_epoch_days()];
        let mut rows = statement.query(span).map_err(JournalError::from)?;
        while let Some(row) = rows.next().map_err(JournalError::from)? {
            let (page, listing): (ListedPageId, ListingId) =
                row.get(0).and_then(|page| Ok((page, row.get(3)?))).map_err(JournalError::from)?;
            let frame = row.get_ref(2).map_err(JournalError::from)?;
            let frame = frame.as_blob_or_null().unwrap_or_default().ok_or(JournalError::PrunedListing { listing })?;
            let body = reader.read(frame).ok_or(JournalError::ListedBody { page })?;
            each(&landed_from_row(row, body).map_err(JournalError::from)?)?;
        }
        Ok(())
    }
}

fn landed_from_row<'a>(row: &Row<'_>, body: &'a [u8]) -> rusqlite::Result<LandedListedPage<'a>> {
    let of = match row.get_ref(4)? {
        ValueRef::Null => ListedOf::Meeting(meeting_from_row(row, 6)?),
        _ => ListedOf::Date(date_from_row(row, 4)?),
    };
    Ok(LandedListedPage { of, begun_at_s: row.get(5)?, number: row.get(1)?, body })
}
