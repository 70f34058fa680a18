//! Pages of listings → batches with the columns of `meetings` or `participants`, and `date`.
//!
//! A page says what one listing said. Which listing counts is told by all pages of an archive together, so that the rows carry what
//! decides it: when the listing began, and the page's place in the archive's order of landing. Of each meeting, and of each
//! attendance, the latest counts.

use std::{io, io::Write, sync::Arc};

use arrow::{
    array::{
        ArrayRef, Date32Array, Int64Array, RecordBatch, StringArray, StringBuilder, TimestampMicrosecondArray,
        new_null_array,
    },
    datatypes::{DataType, Date32Type, Field, SchemaRef, TimeUnit},
};

use super::{
    BadPage, Reading, Why, next_of,
    output::{End, Output},
    samples::{BAD_PAGES_HELD_MAX, with_date},
};
use crate::{
    archive::{ArchivedListing, Entry, ListingOf},
    endpoint::Endpoint,
    listings::{Attendances, attendances, meetings},
    parquet::listed::{Rows, schema},
    read::{decode::Unknown, listed::Values},
    stay::partition_date,
    tables::{listed::Table, meetings::MEETINGS, participants::PARTICIPANTS},
};

/// Rows of a list under construction.
pub(super) struct ListedRows {
    reading: Reading,
    rows: Rows,
    schema: SchemaRef,
    /// Of each row: where its listing stands, and the day that it belongs to.
    places: Vec<Place>,
    bad_pages: Vec<String>,
    written: u64,
    unreadable_items: u64,
}

struct Place {
    begun_at_s: i64,
    landed: i64,
    day: i32,
}

impl ListedRows {
    pub(super) fn new(endpoint: Endpoint, reading: &Reading) -> Self {
        let table: &Table = if endpoint == Endpoint::Meetings { &MEETINGS } else { &PARTICIPANTS };
        let begun_at = Field::new("begun_at", DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())), false);
        let landed = Field::new("landed", DataType::Int64, false);
        Self {
            rows: Rows::new(table, &reading.personal),
            schema: with_date(&schema(table, &reading.personal), &[begun_at, landed], reading.keeps_bad),
            reading: reading.clone(),
            places: Vec::new(),
            bad_pages: Vec::new(),
            written: 0,
            unreadable_items: 0,
        }
    }

    pub(super) fn schema(&self) -> SchemaRef {
        Arc::clone(&self.schema)
    }

    /// Rows of all pages that were whole, and items that are none.
    pub(super) fn counts(&self) -> (u64, u64) {
        (self.written + self.places.len() as u64, self.unreadable_items)
    }

    pub(super) fn push<W: Write>(
        &mut self,
        listing: &ArchivedListing,
        entry: &Entry<'_>,
        output: &mut Output<W>,
    ) -> Result<Result<(), Why>, End> {
        let rows = match self.read(listing, entry) {
            Ok(rows) => rows,
            Err(why) => return Ok(Err(why)),
        };
        for (start_s, values) in rows {
            self.rows.push(&values).map_err(io::Error::other)?;
            let day = Date32Type::from_naive_date(partition_date(start_s, self.reading.zone));
            self.places.push(Place { begun_at_s: listing.begun_at_s, landed: listing.landed.cast_signed(), day });
            if self.rows.are_many() {
                self.write_rows(output)?;
            }
        }
        Ok(Ok(()))
    }

    pub(super) fn keep<W: Write>(&mut self, bad: &BadPage, output: &mut Output<W>) -> Result<(), End> {
        self.bad_pages.push(bad.to_string());
        if self.bad_pages.len() >= BAD_PAGES_HELD_MAX { self.write_bad_pages(output) } else { Ok(()) }
    }

    /// Writes what is held.
    pub(super) fn write<W: Write>(&mut self, output: &mut Output<W>) -> Result<(), End> {
        self.write_rows(output)?;
        self.write_bad_pages(output)
    }

    /// The rows of a page, each with the start of its meeting.
    fn read(&mut self, listing: &ArchivedListing, entry: &Entry<'_>) -> Result<Vec<(i64, Values)>, Why> {
        next_of(entry)?;
        let (body, offset, unknown) = (entry.body.as_bytes(), self.reading.naive_offset, &mut Unknown::default());
        match &listing.of {
            ListingOf::Window(_) => {
                let page = meetings(body, offset, unknown)?;
                self.unreadable_items += u64::from(page.unreadable);
                Ok(page.meetings.into_iter().map(|seen| (seen.meeting.start_s, seen.values)).collect())
            }
            ListingOf::Meeting(meeting) => {
                let mut page = Attendances::default();
                let seen = attendances(body, meeting, offset, i64::MAX, unknown)?;
                for seen in seen {
                    page.take(0, seen);
                }
                Ok(page.rows(meeting).into_iter().map(|values| (meeting.start_s, values)).collect())
            }
        }
    }

    fn write_rows<W: Write>(&mut self, output: &mut Output<W>) -> Result<(), End> {
        if self.places.is_empty() {
            return Ok(());
        }
        let mut columns = self.rows.take();
        let begun_at = self.places.iter().map(|place| Some(place.begun_at_s * 1_000_000));
        columns.push(Arc::new(begun_at.collect::<TimestampMicrosecondArray>().with_timezone("UTC")));
        columns.push(Arc::new(self.places.iter().map(|place| place.landed).collect::<Int64Array>()));
        columns.push(Arc::new(self.places.iter().map(|place| Some(place.day)).collect::<Date32Array>()));
        if self.reading.keeps_bad {
            columns.push(Arc::new(StringArray::new_null(self.places.len())));
        }
        self.written += self.places.len() as u64;
        self.places.clear();
        output.write(&RecordBatch::try_new(Arc::clone(&self.schema), columns)?)
    }

    fn write_bad_pages<W: Write>(&mut self, output: &mut Output<W>) -> Result<(), End> {
        if self.bad_pages.is_empty() {
            return Ok(());
        }
        let (count, fields) = (self.bad_pages.len(), self.schema.fields());
        let mut columns: Vec<ArrayRef> =
            fields.iter().take(fields.len() - 1).map(|field| new_null_array(field.data_type(), count)).collect();
        let mut whys = StringBuilder::new();
        self.bad_pages.drain(..).for_each(|why| whys.append_value(why));
        columns.push(Arc::new(whys.finish()));
        output.write(&RecordBatch::try_new(Arc::clone(&self.schema), columns)?)
    }
}
