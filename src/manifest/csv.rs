//! CSV → rows: where a record stands and how it falls into fields is [`record`]'s, what the fields mean is said here.

mod record;

use std::{borrow::Cow, fmt::Write, io::Read};

use self::record::{Fault, Field, Found, Records};
use super::{
    ManifestError, RECORD_BYTES_MAX, Row,
    column::{Column, Fields, Header, IgnoredNames},
    reason::{Missing, Reason},
    rules::Rules,
    shown::Shown,
};

/// The most columns that a CSV manifest can have, ignored ones too.
const COLUMNS_MAX: usize = 4096;

/// What separates columns in files that call themselves CSV and are not separated by commas.
const OTHER_SEPARATORS: [(char, &str); 4] = [(';', "`;`"), ('\t', "tabs"), ('|', "`|`"), ('\u{1}', "U+0001")];

/// Reads rows of a CSV text.
pub(super) struct CsvRows {
    records: Records,
    header: Header,
    names: Vec<String>,
}

impl CsvRows {
    /// Reads the line of column names.
    pub(super) fn new(input: Box<dyn Read + Send>, ignored: &mut IgnoredNames) -> Result<Self, ManifestError> {
        let mut records = Records::new(input);
        let found = records.next().map_err(ManifestError::Read)?.ok_or(ManifestError::Empty)?;
        let line = records.bytes(&found);
        if let Some(separator) = other_separator(line) {
            return Err(ManifestError::Separator(separator));
        }
        let is_long = found.fault == Some(Fault::TooLong) || records.fields().len() > COLUMNS_MAX;
        if is_long {
            return Err(ManifestError::Header(format!(
                "is longer than {RECORD_BYTES_MAX} bytes or {COLUMNS_MAX} names"
            )));
        }
        if let Some(fault) = found.fault {
            return Err(ManifestError::Header(format!("cannot be taken apart: {}", reason_of(fault))));
        }
        let line = std::str::from_utf8(line).map_err(|_| ManifestError::Header("is not UTF-8".into()))?;
        let names: Vec<String> = records.fields().iter().map(|field| text_of(line, field).trim().to_owned()).collect();
        let header = Header::resolve(&names.iter().map(String::as_str).collect::<Vec<_>>(), ignored)?;
        Ok(Self { records, header, names })
    }

    /// The next row that is not blank.
    pub(super) fn next_row(&mut self, rules: &Rules) -> Result<Option<Row>, ManifestError> {
        let found = self.records.next().map_err(ManifestError::Read)?;
        Ok(found.map(|found| self.row(&found, rules)))
    }

    fn row(&self, found: &Found, rules: &Rules) -> Row {
        let bytes = self.records.bytes(found);
        let row = match self.texts(found, bytes) {
            Ok(texts) => Row::checked(found.lines.first, &Fields::of(|column| &texts[column as usize]), rules),
            Err(reason) => {
                let texts = self.whole_texts(bytes);
                Row::rejected(found.lines.first, &Fields::of(|column| &texts[column as usize]), reason)
            }
        };
        Row { last_line: found.lines.last, ..row }.of_text(bytes)
    }

    /// The six texts of a record that is one.
    fn texts<'a>(&self, found: &Found, bytes: &'a [u8]) -> Result<[Cow<'a, str>; Column::ALL.len()], Reason> {
        if let Some(fault) = found.fault {
            return Err(reason_of(fault));
        }
        let text = std::str::from_utf8(bytes).map_err(|_| Reason::NotUtf8)?;
        let fields = self.records.fields();
        if fields.len() != self.header.width {
            return Err(self.field_count(fields.len()));
        }
        Ok(Column::ALL
            .map(|column| self.header.position(column).map_or(Cow::Borrowed(""), |at| text_of(text, &fields[at]))))
    }

    /// What there is of the six texts in a record that cannot be used: the fields that are whole.
    fn whole_texts(&self, bytes: &[u8]) -> [String; Column::ALL.len()] {
        let fields = self.records.fields();
        Column::ALL.map(|column| {
            let field = self.header.position(column).and_then(|at| fields.get(at));
            field.map_or_else(String::new, |field| {
                let text = String::from_utf8_lossy(&bytes[field.range.clone()]);
                if field.is_doubled { text.replace("\"\"", "\"") } else { text.into_owned() }
            })
        })
    }

    fn field_count(&self, found: usize) -> Reason {
        let missing = self.names.get(found..).unwrap_or_default();
        Reason::FieldCount { found, expected: self.header.width, missing: Missing::of(missing) }
    }
}

fn reason_of(fault: Fault) -> Reason {
    match fault {
        Fault::TooLong => Reason::TooLong,
        Fault::AfterQuote { field, line, byte } => {
            let mut after = String::new();
            // Writing to a string cannot fail.
            let _ = match byte {
                0x20..=0x7E => write!(after, "{}", Shown(&char::from(byte).to_string())),
                _ => write!(after, "byte {byte:#04x}"),
            };
            Reason::AfterQuote { field: field + 1, line, after }
        }
        Fault::QuoteWithin { field } => Reason::QuoteWithin { field: field + 1 },
        Fault::OpenQuote { field } => Reason::OpenQuote { field: field + 1 },
    }
}

/// The text of a field of a record.
fn text_of<'a>(record: &'a str, field: &Field) -> Cow<'a, str> {
    // A field begins and ends beside ASCII bytes, so that no character is cut.
    let text = record.get(field.range.clone()).unwrap_or_default();
    if field.is_doubled { text.replace("\"\"", "\"").into() } else { text.into() }
}

/// What the line of column names is separated by, if that is no comma and all needed names are there.
fn other_separator(line: &[u8]) -> Option<&'static str> {
    let line = String::from_utf8_lossy(line);
    let first_name = Column::MeetingNo.name();
    let is_by = |separator: char| {
        let mut names = line.split(separator).map(|name| name.trim().trim_matches('"'));
        line.contains(separator) && names.any(|name| name.eq_ignore_ascii_case(first_name))
    };
    let by_comma = line.split(',').any(|name| name.trim().trim_matches('"').eq_ignore_ascii_case(first_name));
    (!by_comma)
        .then(|| OTHER_SEPARATORS.into_iter().find(|(separator, _)| is_by(*separator)).map(|(_, name)| name))
        .flatten()
}
