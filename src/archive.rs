//! The raw archive: landed pages as files, to be moved, backed up and read by other engines.
//!
//! A page stands there with its stay's keys, under the manifest's names, its number and its body:
//!
//! ```text
//! {"meeting_no":"012345678","meeting_start_time":"1740921000","meeting_end_time":"1740924600",
//!  "join_time":"1740921060","user_id":"ou_1","page":1,"first_sample":100,"body":{"code":0,"msg":"success","data":{…}}}
//! ```
//!
//! as one line of NDJSON, or as a row of Parquet with the keys typed as in the dataset and `body` as a string. `first_sample` is
//! how many samples the stay has in the pages before this one, so that each page can be read by itself. A page of a listing names its endpoint, what was asked for, when its listing began, and its place in the order of landing:
//!
//! ```text
//! {"endpoint":"meeting_list","window_start_time":"1740844800","window_end_time":"1740931200",
//!  "begun_at":"1741000000","landed":0,"page":0,"body":{…}}
//! {"endpoint":"participant_list","meeting_no":"012345678","meeting_start_time":"1740921000",
//!  "meeting_end_time":"1740924600","begun_at":"1741000001","landed":1,"page":0,"body":{…}}
//! ```
//!
//! A body is
//! what the API sent, byte for byte: what is built from it again is the same file under the same name. A body that is
//! not one line, or begins with a byte order mark, stands in `body` without the mark and with blanks for its line ends, and
//! as it was sent in the string `body_text`.
//!
//! | version | since | what it has |
//! | --- | --- | --- |
//! | 1 | 0.1.0 | pages of samples |
//! | 2 | 0.1.0 | pages of listings too, told apart by `endpoint` |
//! | 3 | 0.1.0 | `first_sample` of each page of samples |
//!
//! Every version is read; what a version does not know of a later one means nothing to it. Parquet says its version in its metadata,
//! under `vcq.archive_version`.

mod arrow;
mod keys;
mod ndjson;
mod parquet;

use std::{
    borrow::Cow,
    fs::File,
    io::{self, BufReader, Cursor, Read, Write},
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use ::arrow::error::ArrowError;
use ::parquet::errors::ParquetError;
use chrono_tz::Tz;

pub use self::keys::{ArchivedListing, ListingOf, Of};
use self::{
    arrow::ArrowReader,
    keys::Keys,
    ndjson::{NdjsonReader, NdjsonWriter},
    parquet::{ParquetReader, ParquetWriter},
};
use crate::{
    limits::BODY_BYTES_MAX,
    manifest::{parquet::ColumnError, reject::Reject, rules::Rules},
    stay::Stay,
};

/// The longest line that is read, in bytes: a body of the largest size, and the same body as an escaped string.
pub const LINE_BYTES_MAX: usize = 3 * BODY_BYTES_MAX + (64 << 10);

/// The version of the form in which archives are written.
pub const VERSION: u32 = 3;

/// The largest `first_sample`: far above what a day has, and so far below the largest `sample_index` that no page reaches it.
pub const FIRST_SAMPLE_MAX: u32 = 1_000_000_000;

const BUFFER_BYTES: usize = 256 << 10;

/// The form of an archive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// One JSON object a line.
    Ndjson,
    /// The same, compressed.
    NdjsonZstd,
    /// Apache Parquet.
    Parquet,
}

impl Form {
    /// The form that the ending of the file's name tells, in any letter case; `None` if it tells none.
    pub fn of_file(path: &Path) -> Option<Self> {
        let name = path.file_name().unwrap_or_default().to_string_lossy().to_ascii_lowercase();
        let forms = [(".ndjson", Self::Ndjson), (".ndjson.zst", Self::NdjsonZstd), (".parquet", Self::Parquet)];
        forms.into_iter().find(|(ending, _)| name.ends_with(ending)).map(|(_, form)| form)
    }
}

/// Why an archive cannot be read any further.
#[derive(Debug, thiserror::Error)]
pub enum ArchiveError {
    /// There is no such file.
    #[error("there is no such file")]
    Missing,
    /// The file cannot be opened.
    #[error("cannot be opened")]
    Open(#[source] io::Error),
    /// The file is not what its ending says.
    #[error("is no {0}")]
    OtherForm(&'static str),
    /// The bytes cannot be read, or not be decompressed.
    #[error("cannot be read after line {after_line}")]
    Read {
        /// The last line that was read.
        after_line: u64,
        /// What the system or zstd said.
        source: io::Error,
    },
    /// The text is UTF-16.
    #[error("is UTF-16, must be UTF-8")]
    Utf16,
    /// The Parquet file is damaged.
    #[error("cannot be read as Parquet after row {after_row}")]
    Parquet {
        /// The last row that was read.
        after_row: u64,
        /// What the library said.
        source: ParquetError,
    },
    /// Parquet cannot be read from its beginning on.
    #[error(
        "is Parquet, which no pipe can give: let an engine read the file and hand on its rows as an Arrow stream, or use \
         `vcq archive export FILE.ndjson`"
    )]
    ParquetStream,
    /// The stream is of a form that is not read.
    #[error("is {0}")]
    NotAStream(&'static str),
    /// The stream is no Arrow IPC, is cut, or has a batch that is too large.
    #[error("cannot be read as an Arrow stream after row {after_row}")]
    Arrow {
        /// The last row that was read.
        after_row: u64,
        /// What is wrong with it.
        source: ArrowError,
    },
    /// A column is missing.
    #[error("has no column `{0}`")]
    MissingColumn(&'static str),
    /// A Parquet column cannot be read.
    #[error(transparent)]
    Column(#[from] ColumnError),
}

impl ArchiveError {
    /// Whether the file is not an archive, or not there at all: nothing of it can be read, on no disk.
    pub fn is_usage(&self) -> bool {
        match self {
            Self::Open(error) | Self::Read { source: error, .. } => {
                matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::IsADirectory)
            }
            Self::Missing
            | Self::OtherForm(_)
            | Self::Utf16
            | Self::ParquetStream
            | Self::NotAStream(_)
            | Self::MissingColumn(_)
            | Self::Column(_) => true,
            Self::Parquet { .. } | Self::Arrow { .. } => false,
        }
    }
}

/// Why a page of an archive is not taken.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The line is too long.
    #[error("the line is longer than {LINE_BYTES_MAX} bytes")]
    LineTooLong,
    /// The line is not UTF-8.
    #[error("the line is not UTF-8")]
    NotUtf8,
    /// The archive ends within the line.
    #[error("the archive ends within this line: it is cut")]
    Cut,
    /// A text of the row is not UTF-8.
    #[error("`body` is not UTF-8")]
    BodyNotUtf8,
    /// The line is no JSON object, or has a key twice.
    #[error("the line is not one JSON object with each key once (reading stopped at byte {byte})")]
    NotAnObject {
        /// The byte of the line at which reading stopped, from 1.
        byte: usize,
    },
    /// The keys break a rule of the manifest.
    #[error("{0}")]
    Keys(Box<Reject>),
    /// It is of an endpoint that is not known.
    #[error("`endpoint` must be participant_quality_list, meeting_list or participant_list, or not given")]
    Endpoint,
    /// A key of a listing is not usable.
    #[error("`{0}` must be {1}")]
    Key(&'static str, &'static str),
    /// A key of a listing has a type that is not read.
    #[error("`{key}` is {found}, must be a text or a whole number")]
    KeyType {
        /// Its name.
        key: &'static str,
        /// What it is.
        found: &'static str,
    },
    /// Another page of the archive has its place.
    #[error(
        "place {0} (`landed`) stands twice: archives that were joined are imported as files of their own, in one command"
    )]
    PlaceTwice(u64),
    /// What was listed is no date.
    #[error(
        "`window_start_time` and `window_end_time` are no date in the time zone {0}: the archive is of a journal of another"
    )]
    Window(Tz),
    /// The place of its samples cannot be read.
    #[error("`first_sample` must be a whole number from 0 to {FIRST_SAMPLE_MAX}, or not given")]
    FirstSample,
    /// There is no usable page number.
    #[error("`page` must be a whole number from 0")]
    PageNumber,
    /// There is no body.
    #[error("`body` must be given")]
    NoBody,
    /// The body is too large.
    #[error("`body` has {bytes} bytes, must have at most {BODY_BYTES_MAX}")]
    BodyTooLarge {
        /// Its size.
        bytes: usize,
    },
    /// The body is no answer of the API.
    #[error("`body` is not the documented JSON")]
    Unreadable,
    /// What follows the page cannot be asked for.
    #[error("`has_more` without a `page_token`")]
    TokenMissing,
    /// The paging never ends.
    #[error("page {0} repeats an earlier `page_token`")]
    TokenRepeated(u32),
    /// The journal has another page of this number, and keeps it.
    #[error("page {0} has landed already, with other content")]
    Differs(u32),
    /// What it belongs to is complete without it.
    #[error("page {0} comes after the last page of its stay or listing")]
    AfterLast(u32),
    /// What it says has been listed again since.
    #[error("a later listing of the same has landed already, and counts")]
    OlderListing,
}

/// The next page of an archive with its line or row, from 1; a page that breaks a rule says which.
pub type NextEntry<'a> = Result<Option<(u64, Result<Entry<'a>, Refused>)>, ArchiveError>;

/// A page that is not taken.
#[derive(Debug, PartialEq, Eq)]
pub struct Refused {
    /// Whose it is, and its number, as far as its keys say.
    pub of: Option<(Of, Option<u32>)>,
    /// Why it is not taken.
    pub why: Refusal,
}

impl From<Refusal> for Refused {
    fn from(why: Refusal) -> Self {
        Self { of: None, why }
    }
}

/// A page as it is read from an archive.
pub struct Entry<'a> {
    /// Whose it is.
    pub of: Of,
    /// Its number within the stay or the listing, from 0.
    pub number: u32,
    /// Where its samples begin among those of its stay, from 0; none if the archive is of before version 3, or it is of a listing.
    pub first_sample: Option<u32>,
    /// What the API sent.
    pub body: Cow<'a, str>,
}

impl<'a> Entry<'a> {
    /// Checks the keys by the manifest's rules; `number` is `None` where the archive has none that is usable.
    fn checked(
        keys: &Keys<'_>,
        number: Option<u32>,
        body: Result<Cow<'a, str>, Refusal>,
        rules: &Rules,
    ) -> Result<Self, Refused> {
        let of = keys.check(rules)?;
        let checked = || {
            let first_sample = keys.first_sample()?;
            let number = number.ok_or(Refusal::PageNumber)?;
            let body = body?;
            match body.len() {
                bytes if bytes > BODY_BYTES_MAX => Err(Refusal::BodyTooLarge { bytes }),
                _ => Ok((number, first_sample, body)),
            }
        };
        match checked() {
            Ok((number, first_sample, body)) => Ok(Self { of, number, first_sample, body }),
            Err(why) => Err(Refused { of: Some((of, number)), why }),
        }
    }
}

/// Where an archive is written, which counts the bytes: a pipe has no length.
pub struct Output {
    file: File,
    bytes: Arc<AtomicU64>,
}

impl Output {
    /// Writes to `file` and adds what was written to `bytes`.
    pub fn new(file: File, bytes: Arc<AtomicU64>) -> Self {
        Self { file, bytes }
    }
}

impl Write for Output {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.file.write(bytes)?;
        self.bytes.fetch_add(written as u64, Ordering::Relaxed);
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

/// Writes an archive page by page.
pub enum ArchiveWriter {
    /// As lines.
    Ndjson(NdjsonWriter),
    /// As rows.
    Parquet(Box<ParquetWriter>),
}

impl ArchiveWriter {
    /// Begins an archive of this form.
    pub fn new(form: Form, output: Output) -> io::Result<Self> {
        Ok(match form {
            Form::Ndjson => Self::Ndjson(NdjsonWriter::plain(output)),
            Form::NdjsonZstd => Self::Ndjson(NdjsonWriter::zstd(output)?),
            Form::Parquet => Self::Parquet(Box::new(ParquetWriter::new(output).map_err(io::Error::other)?)),
        })
    }

    /// Writes one page of samples, of which the stay has `first_sample` in the pages before it.
    pub fn write(&mut self, stay: &Stay, (number, first_sample): (u32, u32), body: &str) -> io::Result<()> {
        match self {
            Self::Ndjson(writer) => writer.write(stay, (number, first_sample), body),
            Self::Parquet(writer) => writer.write(stay, (number, first_sample), body).map_err(io::Error::other),
        }
    }

    /// Writes one page of a listing.
    pub fn write_listed(&mut self, listing: &ArchivedListing, number: u32, body: &str) -> io::Result<()> {
        match self {
            Self::Ndjson(writer) => writer.write_listed(listing, number, body),
            Self::Parquet(writer) => writer.write_listed(listing, number, body).map_err(io::Error::other),
        }
    }

    /// Ends the archive.
    pub fn finish(self) -> io::Result<()> {
        match self {
            Self::Ndjson(writer) => writer.finish(),
            Self::Parquet(writer) => writer.finish().map_err(io::Error::other),
        }
    }
}

/// Reads an archive page by page.
pub enum ArchiveReader {
    /// From lines.
    Ndjson(NdjsonReader),
    /// From rows.
    Parquet(Box<ParquetReader>),
    /// From batches of rows.
    Arrow(Box<ArrowReader>),
}

/// The form of an archive that comes through a pipe.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StreamForm {
    /// One JSON object a line, compressed by zstd or not.
    Ndjson,
    /// An Arrow IPC stream, its columns as in Parquet.
    Arrow,
}

impl ArchiveReader {
    /// Opens the file at `path`, which should have this form.
    pub fn open(form: Form, path: &Path, rules: &Rules) -> Result<Self, ArchiveError> {
        let file = File::open(path).map_err(|error| match error.kind() {
            io::ErrorKind::NotFound => ArchiveError::Missing,
            _ => ArchiveError::Open(error),
        })?;
        Ok(match form {
            Form::Ndjson => Self::Ndjson(NdjsonReader::plain(file)),
            Form::NdjsonZstd => Self::Ndjson(NdjsonReader::zstd(file)?),
            Form::Parquet => Self::Parquet(Box::new(ParquetReader::new(file, rules)?)),
        })
    }

    /// Reads what comes through a pipe; if `form` is none, its first bytes tell it. Of an Arrow stream the columns are looked for now.
    pub fn stream(input: impl Read + 'static, form: Option<StreamForm>, rules: &Rules) -> Result<Self, ArchiveError> {
        let failed = |source| ArchiveError::Read { after_line: 0, source };
        let mut input = BufReader::with_capacity(BUFFER_BYTES, input);
        let mut head = Vec::with_capacity(4);
        input.by_ref().take(4).read_to_end(&mut head).map_err(failed)?;
        let told = match head.as_slice() {
            arrow::CONTINUATION => StreamForm::Arrow,
            b"PAR1" => return Err(ArchiveError::ParquetStream),
            [0x1f, 0x8b, ..] => {
                return Err(ArchiveError::NotAStream("gzip: decompress it on the way (`gzip -d | vcq decode`)"));
            }
            b"ARRO" => {
                return Err(ArchiveError::NotAStream(
                    "an Arrow file, which no pipe can give: hand its rows on as an Arrow stream",
                ));
            }
            _ => StreamForm::Ndjson,
        };
        let is_zstd = ndjson::is_zstd(&head);
        let input = Cursor::new(head).chain(input);
        Ok(match form.unwrap_or(told) {
            StreamForm::Ndjson if is_zstd => Self::Ndjson(NdjsonReader::zstd_stream(input)?),
            StreamForm::Ndjson => Self::Ndjson(NdjsonReader::plain(input)),
            StreamForm::Arrow => Self::Arrow(Box::new(ArrowReader::new(input, rules)?)),
        })
    }

    /// The next page, or why it is none.
    pub fn next_entry(&mut self, rules: &Rules) -> NextEntry<'_> {
        match self {
            Self::Ndjson(reader) => reader.next_entry(rules),
            Self::Parquet(reader) => reader.next_entry(rules),
            Self::Arrow(reader) => reader.next_entry(rules),
        }
    }
}
