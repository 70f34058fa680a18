//! Lines of a text, one after the other: the reader of manifests in JSON Lines and of archives in NDJSON.

use std::io::{self, BufRead, Read};

/// What some programs put before a text. Files that were joined have it before other lines than the first, too; no JSON
/// begins with it.
const BYTE_ORDER_MARK: &[u8] = "\u{feff}".as_bytes();

/// The most bytes that are passed over in search of the next line, because a line is too long or because all of them are
/// blank. An input without an end comes to one here.
pub(super) const SKIPPED_BYTES_MAX: usize = 64 << 20;

/// The error of an input that goes on and on without a row: a device, or a file of something else.
pub(super) fn endless() -> io::Error {
    let text = format!("more than {SKIPPED_BYTES_MAX} bytes without a usable line");
    io::Error::new(io::ErrorKind::InvalidData, text)
}

/// Reads lines up to a limit; of a longer one it keeps the beginning, and goes to the next.
pub(crate) struct LineReader<R> {
    input: R,
    bytes_max: usize,
    bytes: Vec<u8>,
    /// Bytes before the text of the line: its byte order mark.
    text_at: usize,
    number: u64,
    has_end: bool,
}

impl<R: BufRead> LineReader<R> {
    /// Lines of at most `bytes_max` bytes.
    pub(crate) fn new(input: R, bytes_max: usize) -> Self {
        Self { input, bytes_max, bytes: Vec::new(), text_at: 0, number: 0, has_end: true }
    }

    /// Goes to the next line that is not blank; false at the end of the input.
    ///
    /// # Errors
    ///
    /// If the input cannot be read, or a line or what is blank goes on for more than [`SKIPPED_BYTES_MAX`].
    pub(crate) fn advance(&mut self) -> io::Result<bool> {
        let mut blank_bytes = 0;
        while self.read_line()? {
            self.number += 1;
            if !self.bytes().trim_ascii().is_empty() {
                return Ok(true);
            }
            blank_bytes += self.bytes.len() + 1;
            if blank_bytes > SKIPPED_BYTES_MAX {
                return Err(endless());
            }
        }
        Ok(false)
    }

    /// The line's number, from 1, blank ones counted; 0 before the first.
    pub(crate) fn number(&self) -> u64 {
        self.number
    }

    /// The line without its end and without a byte order mark.
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.bytes[self.text_at..]
    }

    /// Whether the line has more bytes than the limit: they are not there.
    pub(crate) fn is_too_long(&self) -> bool {
        self.bytes.len() > self.bytes_max
    }

    /// Whether the input ends before the line does.
    pub(crate) fn is_unfinished(&self) -> bool {
        !self.has_end
    }

    fn read_line(&mut self) -> io::Result<bool> {
        self.bytes.clear();
        self.text_at = 0;
        self.input.by_ref().take(self.bytes_max as u64 + 1).read_until(b'\n', &mut self.bytes)?;
        self.has_end = self.bytes.pop_if(|byte| *byte == b'\n').is_some();
        if self.is_too_long() {
            self.has_end = true;
            let skipped = self.input.by_ref().take(SKIPPED_BYTES_MAX as u64 + 1).skip_until(b'\n')?;
            if skipped > SKIPPED_BYTES_MAX {
                return Err(endless());
            }
        }
        if self.bytes.starts_with(BYTE_ORDER_MARK) {
            self.text_at = BYTE_ORDER_MARK.len();
        }
        Ok(self.has_end || !self.bytes.is_empty())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Each line that is not blank: its number, its text, whether it is too long, whether it is unfinished.
    fn lines(text: &[u8], bytes_max: usize, buffer_bytes: usize) -> Vec<(u64, Vec<u8>, bool, bool)> {
        let mut lines = LineReader::new(io::BufReader::with_capacity(buffer_bytes, text), bytes_max);
        let mut found = Vec::new();
        while lines.advance().unwrap() {
            found.push((lines.number(), lines.bytes().to_vec(), lines.is_too_long(), lines.is_unfinished()));
        }
        found
    }

    #[test]
    fn blank_lines_and_byte_order_marks_are_passed_over_and_long_lines_cut() {
        let text = "\u{feff}one\r\n\n \t\n\u{feff}\n\u{feff}three\nfour-four\nfive\n\u{feff}six";
        let found = lines(text.as_bytes(), 8, 3);
        let found: Vec<_> =
            found.iter().map(|line| (line.0, str::from_utf8(&line.1).unwrap(), line.2, line.3)).collect();
        assert_eq!(
            found,
            [
                (1, "one\r", false, false),
                (5, "three", false, false),
                (6, "four-four", true, false),
                (7, "five", false, false),
                (8, "six", false, true)
            ]
        );
    }

    proptest! {
        #[test]
        fn lines_are_those_of_the_text(
            pieces in prop::collection::vec(prop::sample::select(vec!["\n", "a", " ", "\u{feff}", "bcd", "\r"]), 0..40),
            buffer_bytes in 1_usize..9
        ) {
            let text = pieces.concat();
            let expected: Vec<(u64, Vec<u8>)> = (1..)
                .zip(text.split('\n'))
                .map(|(number, line)| (number, line.strip_prefix('\u{feff}').unwrap_or(line).as_bytes().to_vec()))
                .filter(|(_, line)| !line.trim_ascii().is_empty())
                .collect();
            let found: Vec<_> = lines(text.as_bytes(), 1000, buffer_bytes).into_iter().map(|line| (line.0, line.1)).collect();
            prop_assert_eq!(found, expected);
        }
    }
}
