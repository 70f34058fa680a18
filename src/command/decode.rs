//! `vcq decode`: phase 2 as a filter, to run where the pages lie.
//!
//! ```text
//! pages: Arrow or NDJSON ─► envelope ─► the reader of `vcq rebuild` ─► columns ─► samples: Arrow or NDJSON
//! ```
//!
//! Each page is decoded by itself, in any order, so that an engine that is distributed already can run it over years of pages. It
//! reads no journal, no clock and no file, and holds one batch of what it reads and one of what it writes.

mod listed;
mod output;
mod samples;

use std::{
    fmt,
    io::{Read, Write},
};

use arrow::datatypes::SchemaRef;
use chrono::{DateTime, FixedOffset};
use chrono_tz::Tz;
use serde::Serialize;

use self::{
    listed::ListedRows,
    output::{End, Output},
    samples::Samples,
};
use crate::{
    archive::{ArchiveReader, Entry, ListingOf, Of, Refusal, Refused, StreamForm},
    config::Config,
    endpoint::Endpoint,
    error::{Error, ExitCode},
    feishu::{Unusable, page::Next, read_stored},
    manifest::rules::Rules,
    read::{decode::DecodeError, listed::PageError},
};

/// Rows of a batch that is written, at most.
pub const ROWS_MAX: usize = 16_384;

/// What standard input is called in messages.
const INPUT: &str = "standard input";

/// The form of what is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OutputForm {
    /// An Arrow IPC stream.
    Arrow,
    /// One JSON object a line.
    Ndjson,
}

/// What becomes of a page that cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BadPages {
    /// It is told and counted, and the others go on.
    Told,
    /// The first one ends it.
    Strict,
    /// It becomes a row that says why, and nothing else of it.
    Kept,
}

/// What to decode, and how.
#[derive(Clone, Copy, Debug)]
pub struct Decoding {
    /// Pages of the others are passed over.
    pub endpoint: Endpoint,
    /// The form of the pages; none: their first bytes tell it.
    pub from: Option<StreamForm>,
    /// The form of the rows.
    pub to: OutputForm,
    /// What becomes of pages that cannot be read.
    pub bad_pages: BadPages,
}

/// What the pages came to. They are `decoded + other + bad`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Decoded {
    /// Pages that came in.
    pub pages: u64,
    /// Pages that were decoded.
    pub decoded: u64,
    /// Pages of other endpoints, which were passed over.
    pub other: u64,
    /// Pages that could not be read.
    pub bad: u64,
    /// Rows of the decoded pages.
    pub rows: u64,
    /// Items of lists that no row can be made of: they do not say which meeting they are.
    pub unreadable_items: u64,
    /// Whether whoever read the rows went away before the end.
    pub is_closed: bool,
    /// Whether bad pages are rows now.
    #[serde(skip)]
    pub is_kept: bool,
}

impl Decoded {
    /// 65 if some pages could not be read and are in no row.
    pub fn exit_code(&self) -> ExitCode {
        if self.bad > 0 && !self.is_kept { ExitCode::SomeFailed } else { ExitCode::Complete }
    }
}

/// A page that could not be read. Its `Display` is one line: its place in the input, its keys, and why.
#[derive(Debug)]
pub struct BadPage {
    /// Its line or row in the input, from 1.
    pub line: u64,
    /// Whose it is, and its number, as far as its keys say.
    pub of: Option<(Of, Option<u32>)>,
    /// What is wrong with it.
    pub why: Why,
}

/// Why a page could not be read.
#[derive(Debug, thiserror::Error)]
pub enum Why {
    /// It is no page of an archive.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// An error of the API stands in the place of a page.
    #[error("`body` is the API's error {0}")]
    ApiError(i64),
    /// Its body is damaged.
    #[error("`body`: {0}")]
    Damaged(#[from] DecodeError),
    /// Its list cannot be told.
    #[error("`body`: {0}")]
    List(#[from] PageError),
    /// Where its samples stand cannot be told.
    #[error(
        "no `first_sample`, and its stay has more pages than one: the archive is of before version 3; import it into a journal and \
         export it from there"
    )]
    NoFirstSample,
}

impl fmt::Display for BadPage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{INPUT}:{}: ", self.line)?;
        if let Some((of, number)) = &self.of {
            write!(f, "{}", Key(of))?;
            number.map(|number| write!(f, " page={number}")).transpose()?;
            write!(f, ": ")?;
        }
        write!(f, "{}", self.why)
    }
}

/// Whose a page is, as text.
struct Key<'a>(&'a Of);

impl fmt::Display for Key<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let time = |time_s: i64| {
            DateTime::from_timestamp(time_s, 0).map_or_else(|| time_s.to_string(), |time| time.to_rfc3339())
        };
        match self.0 {
            Of::Stay(stay) => write!(
                f,
                "meeting_no={} meeting_start_time={} join_time={} id={}",
                stay.meeting_no,
                time(stay.meeting_start_s),
                time(stay.join_s),
                stay.participant.id()
            ),
            Of::Listing(listing) => {
                write!(f, "endpoint={} landed={}", listing.of.endpoint().name(), listing.landed)?;
                match &listing.of {
                    ListingOf::Window(span_s) => write!(f, " window_start_time={}", time(span_s.start)),
                    ListingOf::Meeting(meeting) => {
                        write!(f, " meeting_no={} meeting_start_time={}", meeting.no, time(meeting.start_s))
                    }
                }
            }
        }
    }
}

/// What decides how texts are read, besides the reader itself.
#[derive(Clone, Debug)]
struct Reading {
    /// Decides the partition.
    zone: Tz,
    /// Of time texts without a zone.
    naive_offset: FixedOffset,
    /// Personal columns that are wanted.
    personal: Vec<String>,
    keeps_bad: bool,
}

/// Decodes the pages of `input` to `output`, and tells each that cannot be read. Of `config` only the zone, the offset of texts
/// without one and the personal columns count.
///
/// # Errors
///
/// [`Error::Input`] if the input is no archive or cannot be read to its end, [`Error::BadPage`] with
/// [`BadPages::Strict`], [`Error::File`] if the output cannot be written. One that nobody reads any more is none of these.
pub fn decode(
    task: &Decoding,
    config: &Config,
    (input, output): (impl Read + 'static, impl Write),
    mut told: impl FnMut(&BadPage),
) -> Result<Decoded, Error> {
    // Whoever has answered has judged the times.
    let rules = Rules { now_s: i64::MAX, naive_times: config.naive_times };
    let unread = |source| Error::Input { source };
    let reading = Reading {
        zone: config.timezone,
        naive_offset: config.api.naive_utc_offset,
        personal: config.discover.personal.clone(),
        keeps_bad: task.bad_pages == BadPages::Kept,
    };
    let mut pages = ArchiveReader::stream(input, task.from, &rules).map_err(unread)?;
    let mut rows = Rows::new(task.endpoint, &reading);
    let mut decoded = Decoded { is_kept: reading.keeps_bad, ..Decoded::default() };
    let filter = || {
        let mut output = Output::new(output, &rows.schema(), task.to)?;
        while let Some((line, page)) = pages.next_entry(&rules).map_err(unread)? {
            decoded.pages += 1;
            if endpoint_of(&page).is_some_and(|endpoint| endpoint != task.endpoint) {
                decoded.other += 1;
                continue;
            }
            let bad = match page {
                Ok(page) => match rows.push(&page, &mut output)? {
                    Ok(()) => continue,
                    Err(why) => BadPage { line, of: Some((page.of, Some(page.number))), why },
                },
                Err(Refused { of, why }) => BadPage { line, of, why: why.into() },
            };
            decoded.bad += 1;
            match task.bad_pages {
                BadPages::Told => told(&bad),
                BadPages::Strict => return Err(Error::BadPage(bad.to_string()).into()),
                BadPages::Kept => rows.keep(&bad, &mut output)?,
            }
        }
        rows.end(&mut output)?;
        output.finish()
    };
    decoded.is_closed = match filter() {
        Ok(()) => false,
        Err(End::Closed) => true,
        Err(End::Failed(error)) => return Err(error),
    };
    decoded.decoded = decoded.pages - decoded.other - decoded.bad;
    (decoded.rows, decoded.unreadable_items) = rows.counts();
    Ok(decoded)
}

fn endpoint_of(page: &Result<Entry<'_>, Refused>) -> Option<Endpoint> {
    match page {
        Ok(page) => Some(page.of.endpoint()),
        Err(refused) => refused.of.as_ref().map(|(of, _)| of.endpoint()),
    }
}

/// Rows under construction.
enum Rows {
    Samples(Box<Samples>),
    Listed(Box<ListedRows>),
}

impl Rows {
    fn new(endpoint: Endpoint, reading: &Reading) -> Self {
        match endpoint {
            Endpoint::Quality => Self::Samples(Box::new(Samples::new(reading))),
            Endpoint::Meetings | Endpoint::Participants => Self::Listed(Box::new(ListedRows::new(endpoint, reading))),
        }
    }

    fn schema(&self) -> SchemaRef {
        match self {
            Self::Samples(samples) => samples.schema(),
            Self::Listed(rows) => rows.schema(),
        }
    }

    /// Adds the rows of a page, or says why it has none; what is full is written.
    fn push<W: Write>(&mut self, entry: &Entry<'_>, output: &mut Output<W>) -> Result<Result<(), Why>, End> {
        match (self, &entry.of) {
            (Self::Samples(samples), Of::Stay(stay)) => samples.push(stay, entry, output),
            (Self::Listed(rows), Of::Listing(listing)) => rows.push(listing, entry, output),
            // Endpoints were compared.
            _ => Ok(Ok(())),
        }
    }

    fn keep<W: Write>(&mut self, bad: &BadPage, output: &mut Output<W>) -> Result<(), End> {
        match self {
            Self::Samples(samples) => samples.keep(bad, output),
            Self::Listed(rows) => rows.keep(bad, output),
        }
    }

    fn end<W: Write>(&mut self, output: &mut Output<W>) -> Result<(), End> {
        match self {
            Self::Samples(samples) => samples.write(output),
            Self::Listed(rows) => rows.write(output),
        }
    }

    /// Rows of pages, and items that are none.
    fn counts(&self) -> (u64, u64) {
        match self {
            Self::Samples(samples) => (samples.count(), 0),
            Self::Listed(rows) => rows.counts(),
        }
    }
}

/// What comes after a page, as strictly as an import reads it.
fn next_of(entry: &Entry<'_>) -> Result<Next, Why> {
    match read_stored(entry.of.endpoint(), entry.body.as_bytes()) {
        Ok(page) => Ok(page.next),
        Err(Unusable::Error(code)) => Err(Why::ApiError(code)),
        Err(Unusable::Unreadable) => Err(Refusal::Unreadable.into()),
    }
}
