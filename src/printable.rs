//! Text from outside made printable: it steers no terminal and forges no line.
//!
//! What others have written, such as column names, file names and answers, may hold anything: escape sequences of a
//! terminal, line ends, characters that turn the direction of writing. Wherever a message shows such a text, it stands in
//! [`Printable`]. What is printed as a whole goes through [`lines`] or [`json`] besides.

use std::fmt::{self, Display, Write};

/// Shows a text with all that steers written out, as `\u{1b}`: on one line.
#[derive(Clone, Copy, Debug)]
pub struct Printable<T>(pub T);

impl<T: Display> Display for Printable<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(Escaping { f, keeps_line_ends: false }, "{}", self.0)
    }
}

/// Lines of text with all that steers written out, but for the line ends and tabs.
pub fn lines(text: &str) -> String {
    let mut printable = String::with_capacity(text.len());
    let _ = Escaping { f: &mut printable, keeps_line_ends: true }.write_str(text);
    printable
}

/// JSON that means the same, with all that steers written as JSON writes it: such characters stand in its strings alone.
pub fn json(text: &str) -> String {
    let mut printable = String::with_capacity(text.len());
    for c in text.chars() {
        if !steers(c) || c == '\n' {
            printable.push(c);
            continue;
        }
        for unit in c.encode_utf16(&mut [0; 2]) {
            let _ = write!(printable, "\\u{unit:04x}");
        }
    }
    printable
}

/// Characters of an app's id that are shown.
const SHOWN_OF_APP_ID: usize = 8;

/// Shows the beginning of an app's id, and nothing of what is none: what stands in its place by mistake may be the secret.
#[derive(Clone, Copy, Debug)]
pub struct AppId<'a>(pub &'a str);

impl Display for AppId<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.0.starts_with("cli_") {
            return f.write_str("…, which does not begin with `cli_`");
        }
        let shown: String = self.0.chars().take(SHOWN_OF_APP_ID).collect();
        let rest = if shown.len() < self.0.len() { "…" } else { "" };
        write!(f, "{}{rest}", Printable(shown))
    }
}

struct Escaping<'a, W: ?Sized> {
    f: &'a mut W,
    keeps_line_ends: bool,
}

impl<W: Write + ?Sized> Write for Escaping<'_, W> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let mut plain_from = 0;
        for (at, c) in text.char_indices().filter(|(_, c)| steers(*c)) {
            if matches!(c, '\n' | '\t') && self.keeps_line_ends {
                continue;
            }
            self.f.write_str(&text[plain_from..at])?;
            write!(self.f, "{}", c.escape_default())?;
            plain_from = at + c.len_utf8();
        }
        self.f.write_str(&text[plain_from..])
    }
}

/// Whether a character does something else than to stand where it is: controls (C0, DEL, C1), line and paragraph ends,
/// marks of direction, and what is not seen at all.
fn steers(c: char) -> bool {
    c.is_control()
        || matches!(c,
            '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_steers_is_written_out() {
        for (text, expected) in [
            ("", ""),
            ("participants.csv", "participants.csv"),
            ("会议 é `\"' \\ 🎉", "会议 é `\"' \\ 🎉"),
            ("\u{1b}[2J", "\\u{1b}[2J"),
            ("a\u{7}b", "a\\u{7}b"),
            ("a\r\nvcq: b\tc", "a\\r\\nvcq: b\\tc"),
            ("\0\u{7f}\u{9b}31m", "\\u{0}\\u{7f}\\u{9b}31m"),
            ("\u{202e}vsc.\u{2066}", "\\u{202e}vsc.\\u{2066}"),
            ("\u{2028}\u{feff}\u{e0041}", "\\u{2028}\\u{feff}\\u{e0041}"),
        ] {
            assert_eq!(Printable(text).to_string(), expected);
            assert_eq!(lines(text), expected.replace("\\n", "\n").replace("\\t", "\t"), "lines end, and nothing else");
        }
    }

    #[test]
    fn json_means_the_same_afterwards() {
        let text = "a\u{9b}\u{7f}\u{202e}\u{e0041}\u{1b}\n\"";
        let printed = json(&serde_json::to_string_pretty(&[text]).unwrap());
        assert!(printed.chars().all(|c| !steers(c) || c == '\n'), "{printed:?}");
        assert_eq!(serde_json::from_str::<[String; 1]>(&printed).unwrap(), [text]);
    }
}
