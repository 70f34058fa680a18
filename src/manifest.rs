//! The manifest: bytes → stays and rejects, row by row, in memory that does not grow with the rows.
//!
//! A row that breaks a rule is a [`Reject`], and the rows after it go on; an [`ManifestError`] means that the file as a whole
//! cannot be a manifest. No file is opened here, and no clock is read: the caller brings both. Duplicates are not
//! looked for: only the journal sees all stays.

use std::{
    fmt,
    fs::File,
    io::{self, BufReader, Cursor, Read},
    path::Path,
};

use ::parquet::errors::ParquetError;

use self::{
    column::{Column, Fields, IgnoredNames},
    reason::Reason,
    reject::Reject,
    rules::Rules,
};
use crate::stay::Stay;

pub mod column;
mod compression;
mod csv;
mod id;
mod iso;
pub(crate) mod jsonl;
pub(crate) mod lines;
pub mod parquet;
pub mod reason;
pub mod reject;
pub mod rules;

mod shown;
pub mod write;

/// The longest CSV record or JSON line that is read, in bytes. A longer one is rejected, whatever stands in it.
pub const RECORD_BYTES_MAX: usize = 64 * 1024;

const READ_BUFFER_BYTES: usize = 64 * 1024;

/// A form in which a manifest can come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// Comma-separated, the first line names the columns.
    Csv,
    /// One JSON object a line.
    JsonLines,
    /// Apache Parquet.
    Parquet,
}

impl Format {
    /// The format of this name, in any letter case: `csv`, `jsonl`, `ndjson` or `json`, `parquet` or `parq`.
    pub fn from_name(name: &str) -> Option<Self> {
        let names = [
            ("csv", Self::Csv),
            ("jsonl", Self::JsonLines),
            ("ndjson", Self::JsonLines),
            ("json", Self::JsonLines),
            ("parquet", Self::Parquet),
            ("parq", Self::Parquet),
        ];
        names.into_iter().find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, format)| format)
    }

    /// The format that the ending of the file's name tells; one that says how the file is compressed may come after it.
    ///
    /// # Errors
    ///
    /// [`ManifestError::UnknownEnding`] if it tells none.
    pub fn of_file(path: &Path) -> Result<Self, ManifestError> {
        compression::plain_name(path)
            .unwrap_or(path)
            .extension()
            .and_then(|ending| Self::from_name(ending.to_str()?))
            .ok_or_else(|| ManifestError::UnknownEnding(path.display().to_string()))
    }
}

/// Why a file cannot be a manifest. The texts do not name the file: the caller knows it.
#[derive(Debug, thiserror::Error)]
pub enum ManifestError {
    /// The file's name does not tell its format.
    #[error(
        "`{0}` ends in none of .csv, .jsonl, .ndjson, .json and .parquet, with .gz or .zst after it or not; name its \
         format with --format"
    )]
    UnknownEnding(String),
    /// There is no such file.
    #[error("there is no such file")]
    Missing,
    /// The bytes cannot be read.
    #[error("cannot be read")]
    Read(#[source] io::Error),
    /// The text begins with a byte order mark of UTF-16.
    #[error("is UTF-16, must be UTF-8 (a spreadsheet saves it as `CSV UTF-8`)")]
    Utf16,
    /// The bytes begin like those of a form that is not read, or not read as text.
    #[error("is no text: it begins like {0}; read are CSV and JSON Lines, plain, gzip or zstd, and Parquet")]
    OtherForm(&'static str),
    /// The name says that the file is compressed, and there is nothing in it.
    #[error("is cut off: its name says that it is compressed, but it has {0} bytes")]
    CutOff(u64),
    /// A folder has a file whose format is not that of the files before it.
    #[error("the folder has files of two formats, `{first}` and `{second}`; name the files that are meant")]
    MixedFormats {
        /// The name of its first file.
        first: String,
        /// The name of the first one with another format.
        second: String,
    },
    /// A folder has no file.
    #[error("the folder has no files whose names begin neither with `_` nor with `.`")]
    NoFiles,
    /// A folder has more files than are taken in at a time.
    #[error("the folder has more than {0} files; name some of them at a time")]
    TooManyFiles(usize),
    /// A folder has something that is no file.
    #[error("the folder has `{0}`, which is {1}; name the folders or files that are meant")]
    NoFile(String, &'static str),
    /// There is no row, and there must be some.
    #[error("has no rows, and --require-rows asks for at least one")]
    NoRows,
    /// The names in the first line are separated by something else than commas.
    #[error("the line of column names is separated by {0}, must be by commas")]
    Separator(&'static str),
    /// A CSV file without a line of column names.
    #[error("is empty, must begin with a line of column names")]
    Empty,
    /// The line of column names cannot be taken apart.
    #[error("the line of column names {0}")]
    Header(String),
    /// Needed columns are not there.
    #[error("has no column {missing}; it has {found}{}", if *is_other_case { " (names count in small letters)" } else { "" })]
    MissingColumns {
        /// All of them, as a list for people.
        missing: String,
        /// The names that are there instead.
        found: String,
        /// Whether one of them is a needed one in other letter case.
        is_other_case: bool,
    },
    /// A column is there twice.
    #[error("has column {0} twice")]
    ColumnTwice(Column),
    /// A Parquet column cannot be read.
    #[error(transparent)]
    Column(parquet::ColumnError),
    /// The Parquet file is damaged, or is none.
    #[error("cannot be read as Parquet")]
    Parquet(#[source] ParquetError),
}

/// The lines of a file that a row takes, from 1; of a Parquet file its row. Shown as `3`, or `3-5`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lines {
    /// The first.
    pub first: u64,
    /// The last.
    pub last: u64,
}

impl fmt::Display for Lines {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.first)?;
        if self.last > self.first { write!(f, "-{}", self.last) } else { Ok(()) }
    }
}

/// One row of a manifest.
#[derive(Clone, Debug)]
pub struct Row {
    /// The line on which it begins, from 1; in Parquet its number, from 1.
    pub line: u64,
    /// The line on which it ends.
    pub last_line: u64,
    /// What it asks for, or why it cannot be asked for.
    pub stay: Result<Stay, Box<Reject>>,
}

impl Row {
    fn checked(line: u64, fields: &Fields, rules: &Rules) -> Self {
        let stay = rules.check(fields).map_err(|reason| Box::new(Reject::new(fields, reason)));
        Self { line, last_line: line, stay }
    }

    fn rejected(line: u64, fields: &Fields, reason: Reason) -> Self {
        Self { line, last_line: line, stay: Err(Box::new(Reject::new(fields, reason))) }
    }

    /// The row, which keeps the text that it was read from if it is rejected.
    fn of_text(mut self, bytes: &[u8]) -> Self {
        if let Err(reject) = &mut self.stay {
            reject.keep_text(bytes);
        }
        self
    }

    /// The lines that it takes.
    pub fn lines(&self) -> Lines {
        Lines { first: self.line, last: self.last_line }
    }
}

/// Reads one manifest: an iterator over its rows, which ends after an error.
pub struct ManifestReader {
    rows: Rows,
    rules: Rules,
    ignored: IgnoredNames,
    has_ended: bool,
}

enum Rows {
    Csv(csv::CsvRows),
    JsonLines(jsonl::JsonRows),
    Parquet(Box<parquet::ParquetRows>),
}

impl ManifestReader {
    /// Begins to read CSV, compressed or not: reads the line of column names.
    pub fn csv(input: Box<dyn Read + Send>, rules: Rules) -> Result<Self, ManifestError> {
        let mut ignored = IgnoredNames::default();
        let rows = csv::CsvRows::new(without_bom(input)?, &mut ignored)?;
        Ok(Self::new(Rows::Csv(rows), rules, ignored))
    }

    /// Begins to read JSON Lines, compressed or not.
    pub fn json_lines(input: Box<dyn Read + Send>, rules: Rules) -> Result<Self, ManifestError> {
        let rows = jsonl::JsonRows::new(BufReader::with_capacity(READ_BUFFER_BYTES, without_bom(input)?));
        Ok(Self::new(Rows::JsonLines(rows), rules, IgnoredNames::default()))
    }

    /// Begins to read Parquet: reads the footer, which stands at the end, so that a stream will not do.
    pub fn parquet(file: File, rules: Rules) -> Result<Self, ManifestError> {
        let mut ignored = IgnoredNames::default();
        let rows = parquet::ParquetRows::new(file, &mut ignored, &rules)?;
        Ok(Self::new(Rows::Parquet(Box::new(rows)), rules, ignored))
    }

    fn new(rows: Rows, rules: Rules, ignored: IgnoredNames) -> Self {
        Self { rows, rules, ignored, has_ended: false }
    }

    /// The columns or keys seen so far that are not the manifest's, each once; at most
    /// [`IGNORED_NAMES_MAX`](column::IGNORED_NAMES_MAX) of them.
    pub fn ignored_names(&self) -> &[String] {
        self.ignored.names()
    }
}

impl Iterator for ManifestReader {
    type Item = Result<Row, ManifestError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.has_ended {
            return None;
        }
        let mut row = match &mut self.rows {
            Rows::Csv(rows) => rows.next_row(&self.rules),
            Rows::JsonLines(rows) => rows.next_row(&self.rules, &mut self.ignored),
            Rows::Parquet(rows) => rows.next_row(&self.rules),
        };
        if let Ok(Some(Row { stay: Err(reject), .. })) = &mut row {
            reject.mark_if_it_would_pass(&self.rules);
        }
        self.has_ended = !matches!(row, Ok(Some(_)));
        row.transpose()
    }
}

type Input = BufReader<Box<dyn Read + Send>>;

/// The text, decompressed and without the byte order mark of UTF-8, if it has one.
fn without_bom(input: Box<dyn Read + Send>) -> Result<Box<dyn Read + Send>, ManifestError> {
    let mut input = compression::decompressed(input)?;
    let mut head = Vec::with_capacity(3);
    input.by_ref().take(3).read_to_end(&mut head).map_err(ManifestError::Read)?;
    match head.as_slice() {
        [0xEF, 0xBB, 0xBF] => head.clear(),
        [0xFE, 0xFF, ..] | [0xFF, 0xFE, ..] => return Err(ManifestError::Utf16),
        _ => {}
    }
    Ok(Box::new(Cursor::new(head).chain(input)))
}

/// Whether the name of a file says that it is compressed.
pub(crate) fn is_named_compressed(path: &Path) -> bool {
    compression::plain_name(path).is_some()
}

#[cfg(test)]
mod tests;
