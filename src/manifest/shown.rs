//! Texts from outside, as far as messages show them.

use std::fmt;

/// The most characters of an outside text that a message shows.
const SHOWN_CHARS_MAX: usize = 80;

/// Stands where a text was cut or was not UTF-8. No rule accepts it, so that a damaged text that is given back without
/// having been mended is rejected again instead of naming somebody else.
pub(super) const DAMAGE: char = char::REPLACEMENT_CHARACTER;

/// Outside text in a message: [cut], quoted and escaped.
pub(super) struct Shown<'a>(pub(super) &'a str);

impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = cut(self.0);
        write!(f, "{text:?}{}", if text.len() < self.0.len() { "…" } else { "" })
    }
}

/// The first [`SHOWN_CHARS_MAX`] characters.
pub(super) fn cut(text: &str) -> &str {
    text.char_indices().nth(SHOWN_CHARS_MAX).map_or(text, |(end, _)| &text[..end])
}
