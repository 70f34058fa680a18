//! The fast path: a scanner for pages exactly as the API documents them.
//!
//! Compact JSON, all values plain strings, known names only, sections and keys in the API's order (any of them may be
//! missing). At the first byte that is anything else it gives up, and the page is read as any JSON. So it need know
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
            let section = sections.find(|section| self.key(section.key(), "{").is_some())?;
            self.section(section, sample)?;
            if self.literal(",").is_none() {
                return self.literal("}");
            }
        }
    }

    fn section(&mut self, section: Section, sample: &mut Sample<'a>) -> Option<()> {
        let mut columns = columns_of(section);
        loop {
            let column = columns.find(|&column| self.key(COLUMNS[column].key, "\"").is_some())?;
            sample.fields[column] = Field::Text(Cow::Borrowed(self.text()?));
            if self.literal(",").is_none() {
                return self.literal("}");
            }
        }
    }

    /// A key with its colon and the first byte of its value.
    fn key(&mut self, key: &str, value_start: &str) -> Option<()> {
        let rest = self.rest.strip_prefix('"')?.strip_prefix(key)?.strip_prefix("\":")?;
        self.rest = rest.strip_prefix(value_start)?;
        Some(())
    }

    /// The rest of a string whose opening quote was taken, with its closing quote.
    fn text(&mut self) -> Option<&'a str> {
        let end = self.rest.bytes().position(|byte| matches!(byte, b'"' | b'\\' | ..b' '))?;
        let (text, rest) = self.rest.split_at(end);
        self.rest = rest.strip_prefix('"')?;
        Some(text)
    }

    fn literal(&mut self, literal: &str) -> Option<()> {
        self.rest = self.rest.strip_prefix(literal)?;
        Some(())
    }
}
