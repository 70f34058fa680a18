//! Bytes → records of CSV, in a window of fixed size, strictly: quotes stand around a whole field or doubled within one.
//!
//! After a closing quote only a separator or a line end may come, and a field that does not begin with a quote has none.
//! A record that breaks this, or is too long, costs its first line alone: reading goes on with the line after it. So a
//! quote that is never closed takes nobody else's lines with it, and every line belongs to exactly one record.

use std::{
    io::{self, Read},
    ops::Range,
};

use memchr::{memchr, memchr2, memchr2_iter};

use super::super::{
    Lines, RECORD_BYTES_MAX,
    lines::{SKIPPED_BYTES_MAX, endless},
};

/// Room for the longest record and the end of its line, and so much more that what is moved is little beside what is read.
const WINDOW_BYTES: usize = 4 * RECORD_BYTES_MAX;

/// Cuts the input into records, of which it holds the last one.
pub(super) struct Records {
    input: Box<dyn Read + Send>,
    window: Box<[u8]>,
    /// What of the window has not been taken yet.
    unread: Range<usize>,
    has_ended: bool,
    /// The line of the first byte that has not been taken, from 1.
    line: u64,
    /// Whether the last byte taken was CR: an LF after it belongs to the same line end.
    is_after_cr: bool,
    /// Whether the rest of a line that is too long still has to be passed over.
    is_within_long_line: bool,
    scan: Scan,
}

/// Where a record stands in the window, and what is wrong with its quotes or its length, if anything is.
pub(super) struct Found {
    /// The record without the end of its last line; of one with a fault its first line, as far as that may go.
    bytes: Range<usize>,
    /// The lines that it takes.
    pub(super) lines: Lines,
    /// What is wrong.
    pub(super) fault: Option<Fault>,
}

/// Why a record cannot be taken apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    /// It is longer than [`RECORD_BYTES_MAX`].
    TooLong,
    /// A field goes on after its closing quote.
    AfterQuote {
        /// Of the field, from 0.
        field: usize,
        /// Of the closing quote.
        line: u64,
        /// What follows instead of a separator.
        byte: u8,
    },
    /// A field that does not begin with a quote has one.
    QuoteWithin {
        /// Of the field, from 0.
        field: usize,
    },
    /// A quote is not closed before the input ends, or the record is too long.
    OpenQuote {
        /// Of the field, from 0.
        field: usize,
    },
}

/// Where a field stands in its record, without the quotes around it.
#[derive(Clone, Debug)]
pub(super) struct Field {
    pub(super) range: Range<usize>,
    /// Whether a quote within it is doubled.
    pub(super) is_doubled: bool,
}

impl Records {
    pub(super) fn new(input: Box<dyn Read + Send>) -> Self {
        Self {
            input,
            window: vec![0; WINDOW_BYTES].into(),
            unread: 0..0,
            has_ended: false,
            line: 1,
            is_after_cr: false,
            is_within_long_line: false,
            scan: Scan::default(),
        }
    }

    /// Goes to the next record that is no blank line.
    ///
    /// # Errors
    ///
    /// If the input cannot be read, or a line or what is blank goes on for more than [`SKIPPED_BYTES_MAX`].
    pub(super) fn next(&mut self) -> io::Result<Option<Found>> {
        if self.is_within_long_line {
            self.skip_to_line_end()?;
            self.is_within_long_line = false;
        }
        let mut blank_bytes = 0;
        loop {
            blank_bytes += self.skip_line_ends()?;
            if self.unread.is_empty() {
                return Ok(None);
            }
            let found = self.take_record()?;
            if !self.is_blank(&found) {
                return Ok(Some(found));
            }
            blank_bytes += found.bytes.len();
            if blank_bytes > SKIPPED_BYTES_MAX {
                return Err(endless());
            }
        }
    }

    /// The record as it stands in the input; see [`Found::bytes`].
    pub(super) fn bytes(&self, found: &Found) -> &[u8] {
        &self.window[found.bytes.clone()]
    }

    /// Its fields: all of them, or of a record with a fault those that are whole on its first line.
    pub(super) fn fields(&self) -> &[Field] {
        &self.scan.fields
    }

    fn is_blank(&self, found: &Found) -> bool {
        found.fault.is_none()
            && self.scan.fields.len() == 1
            && std::str::from_utf8(self.bytes(found)).is_ok_and(|text| text.trim().is_empty())
    }

    fn take_record(&mut self) -> io::Result<Found> {
        self.scan.clear();
        loop {
            let within = &self.window[self.unread.clone()];
            let limited = &within[..within.len().min(RECORD_BYTES_MAX + 1)];
            match self.scan.advance(limited) {
                Some(End::Record(bytes)) => return Ok(self.take(bytes, None)),
                Some(End::Fault(fault)) => return self.take_first_line(fault),
                None if limited.len() > RECORD_BYTES_MAX => {
                    let fault = self.scan.open_quote().unwrap_or(Fault::TooLong);
                    // What is too long on one line is no matter of quotes.
                    let fault = if self.scan.first_line_bytes.is_none() { Fault::TooLong } else { fault };
                    return self.take_first_line(fault);
                }
                None => {}
            }
            if !self.fill()? {
                if let Some(fault) = self.scan.open_quote() {
                    return self.take_first_line(fault);
                }
                let bytes = self.unread.len();
                self.scan.end_field(bytes);
                return Ok(self.take(bytes, None));
            }
        }
    }

    /// Takes the first line alone of a record that has a fault.
    fn take_first_line(&mut self, fault: Fault) -> io::Result<Found> {
        let fault = match fault {
            Fault::AfterQuote { field, line, byte } => Fault::AfterQuote { field, line: self.line + line, byte },
            other => other,
        };
        let bytes = match self.scan.first_line_bytes {
            Some(bytes) => bytes,
            None => self.line_bytes()?,
        };
        self.is_within_long_line = bytes > RECORD_BYTES_MAX;
        let bytes = bytes.min(RECORD_BYTES_MAX);
        self.scan.keep_first_line(bytes);
        Ok(self.take(bytes, Some(fault)))
    }

    /// The bytes of the line that begins here, or one more than are allowed.
    fn line_bytes(&mut self) -> io::Result<usize> {
        let mut seen = 0;
        loop {
            let within = &self.window[self.unread.clone()];
            let limited = &within[..within.len().min(RECORD_BYTES_MAX + 1)];
            if let Some(at) = memchr2(b'\r', b'\n', &limited[seen..]) {
                return Ok(seen + at);
            }
            seen = limited.len();
            if seen > RECORD_BYTES_MAX || !self.fill()? {
                return Ok(seen);
            }
        }
    }

    /// Takes the record and the end of its last line.
    fn take(&mut self, bytes: usize, fault: Option<Fault>) -> Found {
        let record = self.unread.start..self.unread.start + bytes;
        let first = self.line;
        let last = first + if fault.is_none() { self.scan.line_ends } else { 0 };
        self.unread.start = record.end;
        self.line = last;
        self.is_after_cr = false;
        if !self.is_within_long_line {
            self.take_line_end();
        }
        Found { bytes: record, lines: Lines { first, last }, fault }
    }

    /// Takes the byte that ends the line, unless the input ends it.
    fn take_line_end(&mut self) {
        if let Some(&byte) = self.window[self.unread.clone()].first() {
            self.unread.start += 1;
            self.line += 1;
            self.is_after_cr = byte == b'\r';
        }
    }

    /// Passes over what is left of a line that is too long.
    fn skip_to_line_end(&mut self) -> io::Result<()> {
        let mut skipped = 0;
        loop {
            let within = &self.window[self.unread.clone()];
            if let Some(at) = memchr2(b'\r', b'\n', within) {
                self.unread.start += at;
                self.take_line_end();
                return Ok(());
            }
            skipped += within.len();
            self.unread.start = self.unread.end;
            if skipped > SKIPPED_BYTES_MAX {
                return Err(endless());
            }
            if !self.fill()? {
                return Ok(());
            }
        }
    }

    /// Goes to the next byte that is no line end, or to the end of the input; gives how many bytes it passed over.
    fn skip_line_ends(&mut self) -> io::Result<usize> {
        let mut skipped = 0;
        loop {
            while let Some(&byte) = self.window[self.unread.clone()].first() {
                if !is_line_end(byte) {
                    return Ok(skipped);
                }
                self.line += u64::from(byte == b'\r' || !self.is_after_cr);
                self.is_after_cr = byte == b'\r';
                self.unread.start += 1;
                skipped += 1;
            }
            if skipped > SKIPPED_BYTES_MAX {
                return Err(endless());
            }
            if !self.fill()? {
                return Ok(skipped);
            }
        }
    }

    /// Reads some more into the window; false at the end of the input.
    fn fill(&mut self) -> io::Result<bool> {
        if self.has_ended {
            return Ok(false);
        }
        if self.unread.end == self.window.len() {
            self.window.copy_within(self.unread.clone(), 0);
            self.unread = 0..self.unread.len();
        }
        loop {
            match self.input.read(&mut self.window[self.unread.end..]) {
                Ok(0) => {
                    self.has_ended = true;
                    return Ok(false);
                }
                Ok(bytes) => {
                    self.unread.end += bytes;
                    return Ok(true);
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }
}

/// How far a record has been taken apart. It goes on where it stopped when there is more of the record.
#[derive(Default)]
struct Scan {
    at: usize,
    state: State,
    field_start: usize,
    is_doubled: bool,
    fields: Vec<Field>,
    /// Line ends within quotes.
    line_ends: u64,
    /// Where the first of these stands.
    first_line_bytes: Option<usize>,
}

#[derive(Clone, Copy, Default, PartialEq, Eq)]
enum State {
    /// Before the first byte of a field.
    #[default]
    Begin,
    /// Within a field without quotes.
    Plain,
    /// Between quotes.
    Quoted,
    /// After a quote that closes the field or is the first of two.
    Quote,
}

enum End {
    /// A line end stands after so many bytes.
    Record(usize),
    Fault(Fault),
}

impl Scan {
    fn clear(&mut self) {
        let fields = std::mem::take(&mut self.fields);
        *self = Self { fields, ..Self::default() };
        self.fields.clear();
    }

    /// Goes on through `bytes`, which begin with the record; none if they do not hold its end.
    fn advance(&mut self, bytes: &[u8]) -> Option<End> {
        loop {
            let rest = bytes.get(self.at..).filter(|rest| !rest.is_empty())?;
            match self.state {
                State::Begin => self.begin(rest[0]),
                State::Plain => {
                    let length = rest.iter().position(|byte| is_special(*byte));
                    self.at += length.unwrap_or(rest.len());
                    match bytes.get(self.at)? {
                        b'"' => return Some(End::Fault(Fault::QuoteWithin { field: self.fields.len() })),
                        byte => {
                            if let Some(end) = self.end_at(*byte, self.at) {
                                return Some(end);
                            }
                        }
                    }
                }
                State::Quoted => {
                    let length = memchr(b'"', rest).unwrap_or(rest.len());
                    self.count_line_ends(&bytes[..self.at + length]);
                    self.at += length;
                    if self.at < bytes.len() {
                        self.at += 1;
                        self.state = State::Quote;
                    }
                }
                State::Quote => match rest[0] {
                    b'"' => {
                        self.is_doubled = true;
                        self.at += 1;
                        self.state = State::Quoted;
                    }
                    byte if byte == b',' || is_line_end(byte) => {
                        if let Some(end) = self.end_at(byte, self.at - 1) {
                            return Some(end);
                        }
                    }
                    byte => {
                        let fault = Fault::AfterQuote { field: self.fields.len(), line: self.line_ends, byte };
                        return Some(End::Fault(fault));
                    }
                },
            }
        }
    }

    fn begin(&mut self, byte: u8) {
        self.is_doubled = false;
        if byte == b'"' {
            self.at += 1;
            self.state = State::Quoted;
        } else {
            self.state = State::Plain;
        }
        self.field_start = self.at;
    }

    /// Ends the field at `field_end`, where a separator or a line end follows, and the record too if it is a line end.
    fn end_at(&mut self, byte: u8, field_end: usize) -> Option<End> {
        self.fields.push(Field { range: self.field_start..field_end, is_doubled: self.is_doubled });
        if byte == b',' {
            self.at += 1;
            self.state = State::Begin;
            return None;
        }
        Some(End::Record(self.at))
    }

    /// Ends the last field where the input ends.
    fn end_field(&mut self, bytes: usize) {
        let (start, end) = match self.state {
            State::Begin => (bytes, bytes),
            State::Quote => (self.field_start, bytes - 1),
            State::Plain | State::Quoted => (self.field_start, bytes),
        };
        let is_doubled = self.is_doubled && self.state != State::Begin;
        self.fields.push(Field { range: start..end, is_doubled });
    }

    /// The fault of a record that cannot go on, if it stops between quotes.
    fn open_quote(&self) -> Option<Fault> {
        (self.state == State::Quoted).then_some(Fault::OpenQuote { field: self.fields.len() })
    }

    /// Counts the line ends of `bytes` from where the scan is.
    fn count_line_ends(&mut self, bytes: &[u8]) {
        for at in memchr2_iter(b'\r', b'\n', &bytes[self.at..]).map(|at| self.at + at) {
            let is_of_crlf = bytes[at] == b'\n' && bytes[at - 1] == b'\r';
            self.line_ends += u64::from(!is_of_crlf);
            self.first_line_bytes.get_or_insert(at);
        }
    }

    fn keep_first_line(&mut self, bytes: usize) {
        self.fields.retain(|field| field.range.end <= bytes);
    }
}

fn is_special(byte: u8) -> bool {
    matches!(byte, b',' | b'"' | b'\r' | b'\n')
}

fn is_line_end(byte: u8) -> bool {
    matches!(byte, b'\r' | b'\n')
}
