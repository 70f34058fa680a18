//! What an id cannot be, although it is a text: a null that a tool has written out, or a text with characters that nobody
//! sees. Either would cost a request and be refused.

/// Texts that tools write for a missing value, in small letters: pandas, Spark, databases and their terminals, spreadsheets.
/// None has the form of an id of the API.
const NULL_TEXTS: [&str; 34] = [
    "nan",
    "-nan",
    "+nan",
    "none",
    "null",
    "nil",
    "na",
    "n/a",
    "<na>",
    "<n/a>",
    "nat",
    "<null>",
    "<nil>",
    "<none>",
    "(null)",
    "(none)",
    "[null]",
    "{null}",
    "\\n",
    "\\\\n",
    "undefined",
    "missing",
    "-",
    "--",
    "—",
    "/",
    "1.#qnan",
    "-1.#ind",
    "#n/a",
    "#na",
    "#n/a n/a",
    "#null!",
    "#ref!",
    "#value!",
];

/// Ranges of characters that take no room or only room: Unicode's formats, blanks other than the space, fillers and
/// variation selectors.
const UNSEEN: [(char, char); 26] = [
    ('\u{A0}', '\u{A0}'),
    ('\u{AD}', '\u{AD}'),
    ('\u{34F}', '\u{34F}'),
    ('\u{600}', '\u{605}'),
    ('\u{61C}', '\u{61C}'),
    ('\u{6DD}', '\u{6DD}'),
    ('\u{70F}', '\u{70F}'),
    ('\u{890}', '\u{891}'),
    ('\u{8E2}', '\u{8E2}'),
    ('\u{115F}', '\u{1160}'),
    ('\u{1680}', '\u{1680}'),
    ('\u{17B4}', '\u{17B5}'),
    ('\u{180B}', '\u{180F}'),
    ('\u{2000}', '\u{200F}'),
    ('\u{2028}', '\u{202F}'),
    ('\u{205F}', '\u{206F}'),
    ('\u{2800}', '\u{2800}'),
    ('\u{3000}', '\u{3000}'),
    ('\u{3164}', '\u{3164}'),
    ('\u{FE00}', '\u{FE0F}'),
    ('\u{FEFF}', '\u{FEFF}'),
    ('\u{FFA0}', '\u{FFA0}'),
    ('\u{FFF0}', '\u{FFFB}'),
    ('\u{1BCA0}', '\u{1BCA3}'),
    ('\u{1D173}', '\u{1D17A}'),
    ('\u{E0000}', '\u{E0FFF}'),
];

/// Whether the text is what a tool writes for a missing value, in any letter case.
pub(super) fn is_null_text(text: &str) -> bool {
    text.len() <= 16 && NULL_TEXTS.contains(&text.to_lowercase().as_str())
}

/// The first character that an id cannot have because nobody sees it, and its place, from 1.
pub(super) fn first_refused(text: &str) -> Option<(char, usize)> {
    if text.is_ascii() {
        return None;
    }
    text.chars().zip(1..).find(|(character, _)| is_unseen(*character))
}

fn is_unseen(character: char) -> bool {
    UNSEEN.iter().any(|(first, last)| (*first..=*last).contains(&character))
}

/// What people call the character, if it often comes into ids unseen.
pub(super) fn name_of(character: char) -> &'static str {
    match character {
        '\u{A0}' => "no-break space",
        '\u{AD}' => "soft hyphen",
        '\u{200B}' => "zero-width space",
        '\u{200C}' => "zero-width non-joiner",
        '\u{200D}' => "zero-width joiner",
        '\u{200E}' => "left-to-right mark",
        '\u{200F}' => "right-to-left mark",
        '\u{202F}' => "narrow no-break space",
        '\u{2007}' => "figure space",
        '\u{2060}' => "word joiner",
        '\u{3000}' => "ideographic space",
        '\u{FEFF}' => "byte order mark",
        '\u{FFFD}' => "stands for damage",
        '\t' => "tab",
        '\n' => "line feed",
        '\r' => "carriage return",
        character if character.is_control() => "control character",
        _ => "cannot be seen",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_for_null_in_any_letter_case() {
        for text in [
            "nan",
            "NaN",
            "NAN",
            "None",
            "none",
            "NULL",
            "null",
            "Null",
            "\\N",
            "<NA>",
            "NaT",
            "N/A",
            "n/a",
            "NA",
            "nil",
            "(null)",
            "[NULL]",
            "#N/A",
            "undefined",
            "-",
            "--",
            "—",
        ] {
            assert!(is_null_text(text), "{text}");
        }
        for text in ["", "ou_nan", "nano", "nullify", "none1", "n", "0", "ou_1", "NaN NaN", "空"] {
            assert!(!is_null_text(text), "{text}");
        }
    }

    #[test]
    fn characters_that_nobody_sees_and_their_place() {
        for character in [
            '\u{A0}',
            '\u{AD}',
            '\u{61C}',
            '\u{180E}',
            '\u{2007}',
            '\u{200B}',
            '\u{200D}',
            '\u{202E}',
            '\u{202F}',
            '\u{2060}',
            '\u{2066}',
            '\u{3000}',
            '\u{3164}',
            '\u{FE0F}',
            '\u{FEFF}',
            '\u{FFF9}',
            '\u{E0041}',
        ] {
            for (text, place) in [(format!("{character}ou_1"), 1), (format!("ou_é{character}1"), 5)] {
                assert_eq!(first_refused(&text), Some((character, place)), "{character:?}");
            }
        }
        for text in ["ou_1", "ou 1", "用户一", "é", "Ω", "한글"] {
            assert_eq!(first_refused(text), None, "{text}");
        }
    }

    /// What the standard library calls white space or does not print is covered, the space apart.
    #[test]
    fn every_blank_of_unicode_is_refused() {
        let blanks = ('\u{80}'..=char::MAX).filter(|character| character.is_whitespace() && !character.is_control());
        let passed: Vec<char> = blanks.filter(|character| !is_unseen(*character)).collect();
        assert_eq!(passed, Vec::<char>::new());
    }
}
