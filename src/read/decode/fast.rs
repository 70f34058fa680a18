//! The fast path: a scanner for pages exactly as the API documents them.
//!
//! Compact JSON, all values plain strings, known names only, sections and keys in the API's order (any of them may be
//! missing), `data` and its list as often as they stand there. At the first byte that is anything else it gives up, and the page is read as any JSON. So it need know
//! nothing of escapes, types, repeated names or errors: what it does take, the general path reads the same way.

use std::borrow::Cow;

use super::{COLUMNS, Field, Sample, Section, columns_of};

/// The page is not exactly of the documented shape; `each` has seen this many of its samples.
pub(super) struct GaveUp {
    pub(super) samples: u32,
}

/// Calls `each` with every sample of `page` and returns how many there are, or gives up on the way.
pub(super) fn decode<'a>(page: &'a str, each: &mut impl FnMut(&Sample<'a>)) -> Result<u32, GaveUp> {
    let mut samples = 0;
    let whole = Scanner { rest: page }.page(&mut |sample| {
        samples += 1;
        each(sample);
    });
    whole.map(|()| samples).ok_or(GaveUp { samples })
}

/// What is left to read. Every method takes what it is named after from the front, or gives up with `None`.
struct Scanner<'a> {
    rest: &'a str,
}

impl<'a> Scanner<'a> {
    fn page(mut self, each: &mut impl FnMut(&Sample<'a>)) -> Option<()> {
        self.literal("{")?;
        loop {
            if self.literal(r#""data":{"#).is_some() {
                self.data(each)?;
            } else if self.literal(r#""msg":""#).is_some() {
                self.text()?;
            } else {
                self.literal(r#""code":0"#)?;
            }
            if self.literal(",").is_none() {
                self.literal("}")?;
                return self.rest.is_empty().then_some(());
            }
        }
    }

    fn data(&mut self, each: &mut impl FnMut(&Sample<'a>)) -> Option<()> {
        loop {
            if self.literal(r#""participant_quality_list":["#).is_some() {
                self.list(each)?;
            } else if self.literal(r#""page_token":""#).is_some() {
                self.text()?;
            } else {
                self.literal(r#""has_more":true"#).or_else(|| self.literal(r#""has_more":false"#))?;
            }
            if self.literal(",").is_none() {
                return self.literal("}");
            }
        }
    }

    fn list(&mut self, each: &mut impl FnMut(&Sample<'a>)) -> Option<()> {
        if self.literal("]").is_some() {
            return Some(());
        }
        let mut sample = Sample::EMPTY;
        loop {
            self.item(&mut sample)?;
            each(&sample);
            if self.literal(",").is_none() {
                return self.literal("]");
            }
        }
    }

    fn item(&mut self, sample: &mut Sample<'a>) -> Option<()> {
        sample.fields.fill(Field::Absent);
        self.literal("{")?;
        if self.literal("}").is_some() {
            return Some(());
        }
        let mut sections = Section::ALL.into_iter();
        loop {
            let section = sections.find(|section| self.section_start(*section).is_some())?;
            self.section(section, sample)?;
            if self.literal(",").is_none() {
                return self.literal("}");
            }
        }
    }

    fn section(&mut self, section: Section, sample: &mut Sample<'a>) -> Option<()> {
        let mut columns = columns_of(section);
        loop {
            let column = columns.find(|&column| self.literal(COLUMNS[column].key_json).is_some())?;
            sample.fields[column] = Field::Text(Cow::Borrowed(self.text()?));
            if self.literal(",").is_none() {
                return self.literal("}");
            }
        }
    }

    fn section_start(&mut self, section: Section) -> Option<()> {
        self.rest = self.rest.strip_prefix('"')?.strip_prefix(section.key())?.strip_prefix("\":{")?;
        Some(())
    }

    /// The rest of a string whose opening quote was taken, with its closing quote.
    fn text(&mut self) -> Option<&'a str> {
        let (text, rest) = self.rest.split_at(plain_length(self.rest.as_bytes()));
        self.rest = rest.strip_prefix('"')?;
        Some(text)
    }

    fn literal(&mut self, literal: &str) -> Option<()> {
        self.rest = self.rest.strip_prefix(literal)?;
        Some(())
    }
}

/// How many bytes come before the first that ends a string or may not stand in one as it is: a quote, a backslash, a
/// control character.
///
/// Eight bytes at a time, because most texts are no longer than that.
fn plain_length(bytes: &[u8]) -> usize {
    let mut length = 0;
    while let Some(word) = bytes[length..].first_chunk() {
        let stops = stops(u64::from_le_bytes(*word));
        if stops != 0 {
            return length + stops.trailing_zeros() as usize / 8;
        }
        length += size_of::<u64>();
    }
    let is_plain = |&byte: &u8| !matches!(byte, b'"' | b'\\' | ..b' ');
    length + bytes[length..].iter().copied().take_while(is_plain).count()
}

/// The high bit of each byte of `word` that is a quote, a backslash or a control character, and zeros elsewhere, up to
/// the first of them; what comes above that may be wrong, for the subtraction borrows from it.
fn stops(word: u64) -> u64 {
    const EACH: u64 = u64::MAX / 0xff;
    const HIGH_BITS: u64 = EACH * 0x80;
    let below = |word: u64, bound: u8| word.wrapping_sub(EACH * u64::from(bound)) & !word & HIGH_BITS;
    let equal = |byte: u8| below(word ^ (EACH * u64::from(byte)), 1);
    equal(b'"') | equal(b'\\') | below(word, b' ')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_ends_at_its_first_special_byte_wherever_it_stands() {
        for byte in 0..=u8::MAX {
            let is_special = byte == b'"' || byte == b'\\' || byte < b' ';
            for at in 0..20 {
                let mut bytes = [b'!', 0x7f, 0x80, 0xff, b'~'].repeat(4);
                bytes[at] = byte;
                assert_eq!(plain_length(&bytes), if is_special { at } else { bytes.len() }, "{byte:#x} at {at}");
                bytes[19] = b'"';
                assert_eq!(plain_length(&bytes), if is_special { at } else { 19 }, "{byte:#x} at {at}");
            }
        }
    }
}
