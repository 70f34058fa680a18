//! CSV → rows: csv-core takes the records apart, into buffers of fixed size.

use std::{
    io::{self, BufRead},
    ops::Range,
};

use csv_core::ReadRecordResult;

use super::{
    Error, Input, RECORD_BYTES_MAX, Row,
    column::{Column, Fields, Header, IgnoredNames},
    reject::{DAMAGE, Reason},
    rules::Rules,
};

/// The most columns that a CSV manifest can have, ignored ones too.
const COLUMNS_MAX: usize = 4096;

/// Reads rows of a CSV text.
pub(super) struct Rows {
    records: Records,
    header: Header,
}

impl Rows {
    /// Reads the line of column names.
    pub(super) fn new(input: Input, ignored: &mut IgnoredNames) -> Result<Self, Error> {
        let mut records = Records::new(input);
        let extent = records.next().map_err(Error::Read)?.ok_or(Error::Empty)?;
        let splitter = &records.splitter;
        if extent.is_quote_open {
            return Err(Error::Header("has a quote that is never closed".into()));
        }
        if splitter.is_full {
            return Err(Error::Header(format!("is longer than {RECORD_BYTES_MAX} bytes or {COLUMNS_MAX} names")));
        }
        let names = splitter.names().ok_or_else(|| Error::Header("is not UTF-8".into()))?;
        let header = Header::resolve(&names, ignored)?;
        Ok(Self { records, header })
    }

    /// The next row that is not blank.
    pub(super) fn next_row(&mut self, rules: &Rules) -> Result<Option<Row>, Error> {
        while let Some(extent) = self.records.next().map_err(Error::Read)? {
            if !self.is_blank(&extent) {
                return Ok(Some(self.row(&extent, rules)));
            }
        }
        Ok(None)
    }

    /// Whether the record is a line of blanks only. (Lines without even blanks are no records.)
    fn is_blank(&self, extent: &Extent) -> bool {
        let splitter = &self.records.splitter;
        !extent.is_quote_open
            && splitter.fields_found == 1
            && splitter.bytes_found <= RECORD_BYTES_MAX as u64
            && splitter.text().is_some_and(|text| text.trim().is_empty())
    }

    fn row(&self, extent: &Extent, rules: &Rules) -> Row {
        match self.fields(extent) {
            Ok(fields) => Row::checked(extent.first_line, &fields, rules),
            Err(reason) => {
                let mut texts = Column::ALL.map(|column| self.damaged_text(column, extent));
                if matches!(reason, Reason::FieldCount { .. }) {
                    // Which text belongs to which column is not known: given back as it is, the row must not pass.
                    texts[Column::MeetingNo as usize].push(DAMAGE);
                }
                let fields = Fields::of(|column| &texts[column as usize]);
                Row::rejected(extent.first_line, &fields, reason)
            }
        }
    }

    fn fields(&self, extent: &Extent) -> Result<Fields<'_>, Reason> {
        let splitter = &self.records.splitter;
        if extent.is_quote_open {
            return Err(Reason::OpenQuote { last_line: extent.last_line });
        }
        if splitter.bytes_found > RECORD_BYTES_MAX as u64 {
            return Err(Reason::TooLong { last_line: extent.last_line });
        }
        if splitter.fields_found != self.header.width as u64 {
            return Err(Reason::FieldCount { found: splitter.fields_found, expected: self.header.width });
        }
        let text = splitter.text().ok_or(Reason::NotUtf8)?;
        let mut fields = Fields::default();
        for column in Column::ALL {
            if let Some(index) = self.header.position(column) {
                fields.set(column, text.get(splitter.range(index)).ok_or(Reason::NotUtf8)?);
            }
        }
        Ok(fields)
    }

    /// What there is of the column in a record that cannot be used; damage is marked as such.
    fn damaged_text(&self, column: Column, extent: &Extent) -> String {
        let splitter = &self.records.splitter;
        let Some(index) = self.header.position(column) else {
            return String::new();
        };
        if index < splitter.fields_kept {
            return String::from_utf8_lossy(&splitter.bytes[splitter.range(index)]).into_owned();
        }
        let is_cut = extent.is_quote_open || splitter.is_full;
        if !is_cut {
            return String::new();
        }
        let rest = if index == splitter.fields_kept { splitter.range(index) } else { 0..0 };
        format!("{}{DAMAGE}", String::from_utf8_lossy(&splitter.bytes[rest]))
    }
}

/// Where a record stands, and how it ended.
struct Extent {
    first_line: u64,
    last_line: u64,
    is_quote_open: bool,
}

/// Cuts the input into records, of which the splitter holds the last one.
struct Records {
    input: Input,
    splitter: Splitter,
    lines: LineCounter,
}

impl Records {
    fn new(input: Input) -> Self {
        Self { input, splitter: Splitter::new(), lines: LineCounter { line: 1, last_byte: b'\n' } }
    }

    fn next(&mut self) -> io::Result<Option<Extent>> {
        if !self.skip_line_ends()? {
            return Ok(None);
        }
        let first_line = self.lines.line;
        self.splitter.clear();
        let mut is_complete = false;
        while !is_complete && self.fill()? {
            let (result, byte_count) = self.splitter.feed(self.input.buffer());
            self.consume(byte_count);
            is_complete = result == ReadRecordResult::Record;
        }
        let is_quote_open = !is_complete && !self.splitter.end_record();
        Ok(Some(Extent { first_line, last_line: self.lines.last(), is_quote_open }))
    }

    /// Goes to the next byte that is no line end; there is none if this gives `false`.
    fn skip_line_ends(&mut self) -> io::Result<bool> {
        while self.fill()? {
            let byte_count = self.input.buffer().iter().take_while(|byte| is_line_end(**byte)).count();
            if byte_count == 0 {
                return Ok(true);
            }
            self.consume(byte_count);
        }
        Ok(false)
    }

    /// Makes the buffer hold at least one byte, unless the input has ended.
    fn fill(&mut self) -> io::Result<bool> {
        loop {
            match self.input.fill_buf() {
                Ok(bytes) => return Ok(!bytes.is_empty()),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }

    fn consume(&mut self, byte_count: usize) {
        self.lines.count(&self.input.buffer()[..byte_count]);
        self.input.consume(byte_count);
    }
}

/// One record, taken apart. What does not fit is counted and dropped; what fits stays as it was.
struct Splitter {
    parser: csv_core::Reader,
    bytes: Box<[u8]>,
    ends: Box<[usize]>,
    bytes_kept: usize,
    fields_kept: usize,
    bytes_found: u64,
    fields_found: u64,
    is_full: bool,
}

impl Splitter {
    /// The buffers have room for one more than is allowed, so that a full buffer always means too much.
    fn new() -> Self {
        Self {
            parser: csv_core::Reader::new(),
            bytes: vec![0; RECORD_BYTES_MAX + 1].into(),
            ends: vec![0; COLUMNS_MAX + 1].into(),
            bytes_kept: 0,
            fields_kept: 0,
            bytes_found: 0,
            fields_found: 0,
            is_full: false,
        }
    }

    fn clear(&mut self) {
        (self.bytes_kept, self.fields_kept) = (0, 0);
        (self.bytes_found, self.fields_found) = (0, 0);
        self.is_full = false;
    }

    /// Takes in some of `input`: whether the record ended with it, and how many bytes it was.
    fn feed(&mut self, input: &[u8]) -> (ReadRecordResult, usize) {
        let (result, read, byte_count, field_count) = if self.is_full {
            let (mut dropped_bytes, mut dropped_ends) = ([0; 4096], [0; 512]);
            self.parser.read_record(input, &mut dropped_bytes, &mut dropped_ends)
        } else {
            let (bytes, ends) = (&mut self.bytes[self.bytes_kept..], &mut self.ends[self.fields_kept..]);
            let taken = self.parser.read_record(input, bytes, ends);
            self.bytes_kept += taken.2;
            self.fields_kept += taken.3;
            taken
        };
        self.bytes_found += byte_count as u64;
        self.fields_found += field_count as u64;
        self.is_full |= matches!(result, ReadRecordResult::OutputFull | ReadRecordResult::OutputEndsFull);
        (result, read)
    }

    /// Ends the record where the input ends. Gives `false` if a quote is still open there, in which case a line end
    /// does not end the record: the parser itself does not tell.
    fn end_record(&mut self) -> bool {
        loop {
            match self.feed(b"\n") {
                (ReadRecordResult::Record, _) => return true,
                (_, 0) => {}
                _ => return false,
            }
        }
    }

    /// All fields, one after the other.
    fn text(&self) -> Option<&str> {
        std::str::from_utf8(&self.bytes[..self.bytes_kept]).ok()
    }

    /// All fields, each without blanks around it.
    fn names(&self) -> Option<Vec<&str>> {
        let text = self.text()?;
        (0..self.fields_kept).map(|index| Some(text.get(self.range(index))?.trim())).collect()
    }

    /// Where the field of this index stands in the text, for `index` ≤ `fields_kept`; the last one of these is cut.
    fn range(&self, index: usize) -> Range<usize> {
        let end_of = |index: usize| if index < self.fields_kept { self.ends[index] } else { self.bytes_kept };
        index.checked_sub(1).map_or(0, end_of)..end_of(index)
    }
}

fn is_line_end(byte: u8) -> bool {
    matches!(byte, b'\r' | b'\n')
}

/// Counts lines that end in LF, CR or CRLF.
struct LineCounter {
    /// The line of the next byte, from 1.
    line: u64,
    last_byte: u8,
}

impl LineCounter {
    fn count(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            self.line += u64::from(byte == b'\r' || (byte == b'\n' && self.last_byte != b'\r'));
            self.last_byte = byte;
        }
    }

    /// The line of the last byte.
    fn last(&self) -> u64 {
        if is_line_end(self.last_byte) { self.line - 1 } else { self.line }
    }
}
