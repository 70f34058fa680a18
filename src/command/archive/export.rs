//! `vcq archive export`: the landed pages of a span of dates as one file.

use std::{
    fmt,
    fs::File,
    io,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use chrono::NaiveDate;
use chrono_tz::Tz;

use crate::{
    archive::{ArchiveWriter, ArchivedListing, Form, ListingOf, Output},
    config::Config,
    dates::day_span_s,
    error::Error,
    file::{self, Readers},
    journal::{Identity, Journal, JournalError, ListedOf, StayId, StayPages},
    printable::Printable,
    publish::file::refuse_pruned,
    start::{Start, Stop},
    stay::Stay,
    words::Count,
};

/// What was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Exported {
    /// The archive.
    pub path: PathBuf,
    /// Dates that have pages in it.
    pub dates: u64,
    /// Stays that have pages in it.
    pub stays: u64,
    /// Pages.
    pub pages: u64,
    /// Samples in them.
    pub samples: u64,
    /// Pages of listings.
    pub listed: u64,
    /// Size of the archive.
    pub bytes: u64,
}

/// Writes every landed page of the meetings that start on the dates `from` to `to`: first those of listings, in the order in which
/// they landed, then those of samples, in the order of the dataset's rows.
///
/// The file becomes visible whole, in the place of one that is there; what is no file, such as a pipe, is written through.
/// The same landed pages give the same bytes.
///
/// # Errors
///
/// [`Error::Pruned`] if pages of one of the dates have been dropped. [`Error::Usage`] if the file would lie where vcq's own
/// files lie. [`Error::Stopped`] if it was told to stop: what stood there before stands there still.
pub fn export(
    config: &Config,
    (from, to): (NaiveDate, NaiveDate),
    path: &Path,
    start: &Start,
) -> Result<Exported, Error> {
    if from > to {
        return Err(Error::Usage(format!("--from {from} lies after --to {to}")));
    }
    let form = super::form_of(path)?;
    file::refuse_input("the archive", path, &[], config)?;
    let journal = Journal::open_existing(&config.state, &Identity::of_landed(config))?;
    let dates = journal.known_dates(from, to)?;
    for date in &dates {
        refuse_pruned(&journal, *date)?;
    }
    let listings = [journal.pruned_listing_dates(from, to)?, journal.adopted_dates(from, to)?];
    if let Some(date) = listings.iter().flatten().min() {
        return Err(Error::Pruned(*date));
    }
    // What is under construction has personal data in it, and is taken away. Whoever reads a pipe may never read on.
    let _held = file::is_file(path).then(|| start.hold());
    let mut failure = None;
    let exported = file::replace_with(path, Readers::Owner, |file| {
        let sources = Sources { journal: &journal, span: (from, to), dates: &dates, zone: config.timezone };
        write(path, form, file, &sources, start).map_err(|error| {
            failure = Some(error);
            io::ErrorKind::Other.into()
        })
    });
    exported.map_err(|source| failure.unwrap_or_else(|| write_error(path, source)))
}

fn write_error(path: &Path, source: io::Error) -> Error {
    Error::File { operation: "write", path: path.display().to_string(), source }
}

/// What is archived.
struct Sources<'a> {
    journal: &'a Journal,
    /// The first and the last date.
    span: (NaiveDate, NaiveDate),
    /// Those that are known.
    dates: &'a [NaiveDate],
    zone: Tz,
}

/// Writes the pages of these dates to `file`, which will stand at `path`.
fn write(path: &Path, form: Form, file: &mut File, sources: &Sources<'_>, start: &Start) -> Result<Exported, Error> {
    let failed = |source| write_error(path, source);
    let bytes = Arc::new(AtomicU64::new(0));
    let output = Output::new(file.try_clone().map_err(failed)?, Arc::clone(&bytes));
    let mut archive = Archive {
        writer: ArchiveWriter::new(form, output).map_err(failed)?,
        exported: Exported { path: path.to_owned(), dates: 0, stays: 0, pages: 0, samples: 0, listed: 0, bytes: 0 },
    };
    archive.add_listings(sources, &start.stop)?;
    for (number, date) in (0..).zip(sources.dates) {
        start.count("dates", number, Some(sources.dates.len() as u64));
        archive.add_date(sources.journal, *date, &start.stop)?;
    }
    let Archive { writer, mut exported } = archive;
    writer.finish().map_err(failed)?;
    exported.bytes = bytes.load(Ordering::Relaxed);
    Ok(exported)
}

struct Archive {
    writer: ArchiveWriter,
    exported: Exported,
}

impl Archive {
    fn add_listings(&mut self, Sources { journal, span, zone, .. }: &Sources<'_>, stop: &Stop) -> Result<(), Error> {
        journal.each_listed_page(span.0, span.1, |page| {
            self.refuse_to_go_on(stop)?;
            let of = match page.of {
                ListedOf::Date(date) => ListingOf::Window(day_span_s(date, *zone)),
                ListedOf::Meeting(meeting) => ListingOf::Meeting(meeting),
            };
            let listing = ArchivedListing { of, begun_at_s: page.begun_at_s, landed: self.exported.listed };
            self.exported.listed += 1;
            let unreadable = |_| Error::Bug("a page that was read as JSON is not UTF-8".into());
            let body = str::from_utf8(page.body).map_err(unreadable)?;
            let written = self.writer.write_listed(&listing, page.number, body);
            written.map_err(|source| write_error(&self.exported.path, source))
        })
    }

    fn refuse_to_go_on(&self, stop: &Stop) -> Result<(), Error> {
        if stop.is_requested() {
            let Exported { dates, pages, listed, .. } = self.exported;
            let pages = pages + listed;
            return Err(Error::Stopped(format!("{dates} dates, {pages} pages were written, and no archive is there")));
        }
        Ok(())
    }

    fn add_date(&mut self, journal: &Journal, date: NaiveDate, stop: &Stop) -> Result<(), Error> {
        let mut bodies = journal.bodies()?;
        let stays_before = self.exported.stays;
        journal.each_landed(date, |id, stay, samples| {
            self.refuse_to_go_on(stop)?;
            self.exported.stays += 1;
            self.exported.samples += u64::from(samples);
            self.add_stay(&mut bodies, id, stay)
        })?;
        self.exported.dates += u64::from(self.exported.stays > stays_before);
        Ok(())
    }

    fn add_stay(&mut self, bodies: &mut StayPages<'_>, id: StayId, stay: &Stay) -> Result<(), Error> {
        let mut first_sample = 0;
        bodies.each_counted(id, |(number, samples), body| {
            self.exported.pages += 1;
            let body = str::from_utf8(body).map_err(|_| JournalError::Body { stay: id, number })?;
            let written = self.writer.write(stay, (number, first_sample), body);
            first_sample += samples;
            written.map_err(|source| write_error(&self.exported.path, source))
        })
    }
}

impl fmt::Display for Exported {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { path, dates, stays, pages, samples, listed, bytes } = self;
        let (dates, stays, samples) = (Count(*dates, "date"), Count(*stays, "stay"), Count(*samples, "sample"));
        write!(f, "{}  {dates}  {stays}  {}  {samples}  ", Printable(path.display()), Count(*pages, "page"))?;
        if *listed > 0 {
            write!(f, "{} of listings  ", Count(*listed, "page"))?;
        }
        writeln!(f, "{bytes} bytes")?;
        match pages + listed {
            0 => writeln!(f, "there are no landed pages of these dates: the archive holds nothing"),
            _ => Ok(()),
        }
    }
}
