//! Page bytes → samples, borrowed from the page.
//!
//! A page is the body of one answer; its samples stand in `data.participant_quality_list`. A page exactly as the API
//! documents it is read by a scanner made for that shape (`decode/fast.rs`). Wherever a page differs, it is read as any
//! JSON (`decode/any.rs`): blanks, escapes, other orders, other types, unknown names. Both give the same samples; a list that
//! stands twice is read twice, so that no sample is dropped.
//!
//! Nothing here reads the texts: that is the business of [`unit`](super::unit) and [`time`](super::time).

mod any;
mod fast;
mod unknown;

use std::{borrow::Cow, ops::Range};

pub use self::unknown::Unknown;
use crate::tables::quality::{COLUMN_COUNT, COLUMNS, Section};

/// What a sample holds for one column.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Field<'a> {
    /// Nothing: the section or the key is missing, or JSON null.
    #[default]
    Absent,
    /// A string, borrowed from the page unless it had to be unescaped.
    Text(Cow<'a, str>),
    /// A value that is no string where the API promises one, or a string that is no Unicode: the JSON as it stands.
    Other(&'a str),
}

/// One item of `participant_quality_list`: a field for each of [`COLUMNS`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sample<'a> {
    fields: [Field<'a>; COLUMN_COUNT],
}

impl<'a> Sample<'a> {
    const EMPTY: Self = Self { fields: [const { Field::Absent }; COLUMN_COUNT] };

    /// The fields, in the order of [`COLUMNS`].
    pub fn fields(&self) -> &[Field<'a>; COLUMN_COUNT] {
        &self.fields
    }
}

/// A page that is not JSON. Pages are checked before they land, so this one was damaged afterwards.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("page is not valid JSON at byte {offset}")]
pub struct DecodeError {
    /// How many bytes of the page had been read when the damage was noticed.
    pub offset: usize,
}

/// Calls `each` with every sample of `page`, in the page's order, and returns how many there are.
///
/// - `page` is any JSON text, with a byte order mark before it or not. Without `data`, or without a list in it, it has no samples.
/// - Every item of the list is a sample, an empty or odd one too.
/// - Where a sample repeats a section, or a section a key, the last one counts.
/// - Names that no column comes from, and other values where objects belong, are counted in `unknown`.
/// - A lone surrogate (`\ud800`) in a value is kept as [`Field::Other`]; in a name, or in a string where an object belongs,
///   it makes the page no JSON.
///
/// After an error `each` may have seen some of the page's samples.
pub fn decode<'a>(
    page: &'a [u8],
    unknown: &mut Unknown,
    mut each: impl FnMut(&Sample<'a>),
) -> Result<u32, DecodeError> {
    let json = without_bom(page);
    let damaged = |offset| DecodeError { offset: page.len() - json.len() + offset };
    let json = str::from_utf8(json).map_err(|error| damaged(error.valid_up_to()))?;
    match fast::decode(json, &mut each) {
        Ok(samples) => Ok(samples),
        Err(fast::GaveUp { samples }) => {
            any::decode(json, unknown, samples, each).map_err(|error| damaged(error.offset))
        }
    }
}

/// The text of a page without the byte order mark that some gateways put before it.
pub fn without_bom(page: &[u8]) -> &[u8] {
    page.strip_prefix("\u{feff}".as_bytes()).unwrap_or(page)
}

/// Where each section's columns begin in [`COLUMNS`], and the end of the last.
const SECTION_STARTS: [usize; Section::ALL.len() + 1] = {
    let mut starts = [0; Section::ALL.len() + 1];
    let mut index = 0;
    while index < COLUMN_COUNT {
        index += 1;
        starts[COLUMNS[index - 1].section as usize + 1] = index;
    }
    starts
};

/// Where the columns of `section` stand in [`COLUMNS`].
fn columns_of(section: Section) -> Range<usize> {
    SECTION_STARTS[section as usize]..SECTION_STARTS[section as usize + 1]
}

#[cfg(test)]
mod tests;
