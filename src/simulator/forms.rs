//! The texts in which a value can be written, each with what it means.
//!
//! The number is known before it is written, so its meaning needs no reader: a number of `digits` with `decimals` of
//! them behind the point, in a unit that is a power of ten of the column's unit.

use std::fmt::{self, Write as _};

/// What a column must hold for a value that the tenant wrote.
#[derive(Clone, Debug, PartialEq)]
pub enum Expected {
    /// Null, and nothing in `unparsed`.
    Absent,
    /// This number, in the column's unit.
    Number(f64),
    /// This many pixels.
    Pixels(i32),
    /// This time, in unix seconds.
    Time(i64),
    /// Null, and this original text in `unparsed`.
    Unparsed(String),
}

/// What a metric measures.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// In milliseconds.
    Delay,
    /// In kbps.
    BitRate,
    /// In percent.
    Share,
    /// In dB.
    Volume,
    /// In frames a second.
    FrameRate,
    /// In pixels of the shorter side.
    Resolution,
}

/// A decimal number.
#[derive(Clone, Copy, Debug)]
pub(super) struct Decimal {
    pub(super) negative: bool,
    pub(super) digits: u32,
    pub(super) decimals: u32,
}

impl Decimal {
    /// The double nearest to the number times 10 to the power of `power`.
    fn times_ten_to(self, power: i32) -> f64 {
        let sign = if self.negative { "-" } else { "" };
        let exponent = power - self.decimals.cast_signed();
        if exponent == 0 && !self.negative {
            return f64::from(self.digits);
        }
        format!("{sign}{}e{exponent}", self.digits).parse().expect("digits and an exponent are a number")
    }
}

impl fmt::Display for Decimal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = if self.negative { "-" } else { "" };
        let ten = 10_u32.pow(self.decimals);
        write!(f, "{sign}{}", self.digits / ten)?;
        if self.decimals > 0 {
            write!(f, ".{:0width$}", self.digits % ten, width = self.decimals as usize)?;
        }
        Ok(())
    }
}

/// One way to write a value, as JSON. Texts in it need no escaping.
#[derive(Clone, Copy, Debug)]
pub(super) enum Form {
    /// A text with a number in the unit 10 to the power of `power` of the column's.
    Number { before: &'static str, after: &'static str, power: i32 },
    /// A text with a negative number whose sign is U+2212; a number that is not negative is written plainly.
    Minus { after: &'static str },
    /// A text with a number that does not say what it means.
    Riddle { before: &'static str, after: &'static str },
    /// JSON that is no text, with a number in it.
    NoText { before: &'static str, after: &'static str },
    /// Fixed JSON that means zero.
    Zero(&'static str),
    /// Fixed JSON that means that there is no value.
    Nothing(&'static str),
    /// A fixed text that names a resolution.
    Side(&'static str, i32),
}

impl Form {
    /// Writes `number` in this form, as JSON, and says what it means in a column of kind `kind`.
    pub(super) fn write(self, kind: Kind, number: Decimal, json: &mut String) -> Expected {
        // Writing to a string cannot fail.
        match self {
            Self::Number { before, after, power } => {
                let _ = write!(json, "\"{before}{number}{after}\"");
                Expected::Number(number.times_ten_to(power))
            }
            Self::Minus { after } => {
                let text = number.to_string().replace('-', "\u{2212}");
                let _ = write!(json, "\"{text}{after}\"");
                Expected::Number(number.times_ten_to(0))
            }
            Self::Riddle { before, after } => {
                let text = format!("{before}{number}{after}");
                let _ = write!(json, "\"{text}\"");
                Expected::Unparsed(text)
            }
            Self::NoText { before, after } => {
                let text = format!("{before}{number}{after}");
                json.push_str(&text);
                Expected::Unparsed(text)
            }
            Self::Zero(text) => {
                json.push_str(text);
                if kind == Kind::Resolution { Expected::Pixels(0) } else { Expected::Number(0.0) }
            }
            Self::Nothing(text) => {
                json.push_str(text);
                Expected::Absent
            }
            Self::Side(text, pixels) => {
                let _ = write!(json, "\"{text}\"");
                Expected::Pixels(pixels)
            }
        }
    }
}

const fn number(before: &'static str, after: &'static str, power: i32) -> Form {
    Form::Number { before, after, power }
}

const fn riddle(before: &'static str, after: &'static str) -> Form {
    Form::Riddle { before, after }
}

/// The forms that the API's documentation shows.
pub(super) const fn documented(kind: Kind) -> &'static [Form] {
    match kind {
        Kind::Delay => const { &[number("", "ms", 0)] },
        Kind::BitRate => const { &[number("", "kbps", 0)] },
        Kind::Share => const { &[number("", "%", 0)] },
        Kind::Volume => const { &[number("", "dB", 0)] },
        Kind::FrameRate => const { &[number("", "fps", 0)] },
        Kind::Resolution => {
            const { &[Form::Side("360P", 360), Form::Side("720P", 720), Form::Side("1080P", 1080), Form::Side("4K", 2160)] }
        }
    }
}

/// The other forms that are to be read, and some that are not.
pub(super) const fn undocumented(kind: Kind) -> &'static [Form] {
    match kind {
        Kind::Delay => {
            const {
                &[
                    number("", "us", -3),
                    number("", "\u{b5}s", -3),
                    number("", "s", 3),
                    number("", "MS", 0),
                    number(" ", " Ms ", 0),
                    number("+", "ms", 0),
                    riddle("", "min"),
                    riddle("", "%"),
                    riddle("<", "ms"),
                    riddle("10ms/", "ms"),
                ]
            }
        }
        Kind::BitRate => {
            const {
                &[
                    number("", "bps", -3),
                    number("", "Mbps", 3),
                    number("", "Gbps", 6),
                    number("", " Kbps", 0),
                    number("\\u0020", "kbps", 0),
                    riddle("", "kBps"),
                    riddle("", "KBps"),
                    riddle("", "MB/s"),
                    riddle("", "ms"),
                    riddle("1,", "kbps"),
                ]
            }
        }
        Kind::Share => {
            const {
                &[
                    number("", "\u{ff05}", 0),
                    number("", " %", 0),
                    number(" ", "%", 0),
                    riddle("<", "%"),
                    riddle("", "% avg"),
                    riddle("", "ms"),
                    riddle("1,", "%"),
                ]
            }
        }
        Kind::Volume => {
            const {
                &[
                    Form::Minus { after: "dB" },
                    number("", "DB", 0),
                    number("", " db", 0),
                    riddle("", "dBFS"),
                    riddle("--", "dB"),
                    riddle(">", "dB"),
                ]
            }
        }
        Kind::FrameRate => {
            const {
                &[
                    number("", "FPS", 0),
                    number("", " fps", 0),
                    riddle("", "Hz"),
                    riddle("", "f"),
                    riddle("about ", "fps"),
                ]
            }
        }
        Kind::Resolution => {
            const {
                &[
                    Form::Side("720p", 720),
                    Form::Side("2K", 1440),
                    Form::Side("4k", 2160),
                    Form::Side("8K", 4320),
                    Form::Side("1280x720", 720),
                    Form::Side("1920X1080", 1080),
                    Form::Side("640*360", 360),
                    Form::Side("3840\u{d7}2160", 2160),
                    Form::Side("720x1280", 720),
                    Form::Side(" 1080P ", 1080),
                    riddle("", "0i"),
                    riddle("HD ", ""),
                    riddle("<", "P"),
                ]
            }
        }
    }
}

/// Forms that occur for every kind: no value, zero, and what is not to be guessed at.
pub(super) const UNDOCUMENTED_OF_ALL: &[Form] = &[
    Form::Nothing("\"--\""),
    Form::Nothing("\"\u{2014}\""),
    Form::Nothing("\"N/A\""),
    Form::Nothing("\"n/a\""),
    Form::Nothing("\"null\""),
    Form::Nothing("\"/\""),
    Form::Nothing("null"),
    Form::Zero("\"0\""),
    riddle("", ""),
    riddle("", "?"),
    Form::NoText { before: "", after: "" },
    Form::NoText { before: "{\"value\":", after: "}" },
    Form::NoText { before: "[", after: "]" },
];

#[cfg(test)]
mod tests {
    use super::*;

    /// The forms beside what design and documentation say about the texts they make.
    #[test]
    fn a_form_means_what_is_written_down_for_its_text() {
        let decimal = |negative, digits, decimals| Decimal { negative, digits, decimals };
        let is_number = Expected::Number;
        let is_unparsed = |text: &str| Expected::Unparsed(text.into());
        for (form, number, json, meaning) in [
            (number("", "ms", 0), decimal(false, 100, 0), "\"100ms\"", is_number(100.0)),
            (number("", "%", 0), decimal(false, 8, 1), "\"0.8%\"", is_number(0.8)),
            (number("", "%", 0), decimal(false, 23, 1), "\"2.3%\"", is_number(2.3)),
            (number("", "Mbps", 3), decimal(false, 12, 1), "\"1.2Mbps\"", is_number(1200.0)),
            (number("", "us", -3), decimal(false, 1500, 0), "\"1500us\"", is_number(1.5)),
            (number("", "dB", 0), decimal(true, 6, 0), "\"-6dB\"", is_number(-6.0)),
            (number("", "%", 0), decimal(false, 105, 2), "\"1.05%\"", is_number(1.05)),
            (Form::Minus { after: "dB" }, decimal(true, 6, 0), "\"\u{2212}6dB\"", is_number(-6.0)),
            (riddle("<", "%"), decimal(false, 1, 0), "\"<1%\"", is_unparsed("<1%")),
            (Form::NoText { before: "", after: "" }, decimal(false, 8, 0), "8", is_unparsed("8")),
            (Form::Zero("\"0\""), decimal(false, 8, 0), "\"0\"", is_number(0.0)),
            (Form::Nothing("null"), decimal(false, 8, 0), "null", Expected::Absent),
            (Form::Side("1280x720", 720), decimal(false, 8, 0), "\"1280x720\"", Expected::Pixels(720)),
        ] {
            let mut written = String::new();
            assert_eq!(form.write(Kind::Delay, number, &mut written), meaning, "{json}");
            assert_eq!(written, json);
        }
    }

    /// Every undocumented form of a kind with the number 12.5, or -12.5 for volumes: what is read, and what is not.
    fn written(kind: Kind) -> Vec<(String, Expected)> {
        let number = Decimal { negative: kind == Kind::Volume, digits: 125, decimals: 1 };
        let write = |form: &Form| {
            let mut json = String::new();
            let meaning = form.write(kind, number, &mut json);
            (serde_json::from_str(&json).unwrap(), meaning)
        };
        undocumented(kind).iter().map(write).collect()
    }

    fn read_as<const N: usize>(texts: [(&str, f64); N]) -> Vec<(String, Expected)> {
        texts.map(|(text, number)| (text.to_owned(), Expected::Number(number))).into()
    }

    fn check(kind: Kind, read: Vec<(String, Expected)>, unread: &[&str]) {
        let unread = unread.iter().map(|text| ((*text).to_owned(), Expected::Unparsed((*text).to_owned())));
        assert_eq!(written(kind), read.into_iter().chain(unread).collect::<Vec<_>>());
    }

    #[test]
    fn undocumented_forms_mean_what_the_contract_says() {
        let delays = read_as([
            ("12.5us", 0.0125),
            ("12.5µs", 0.0125),
            ("12.5s", 12_500.0),
            ("12.5MS", 12.5),
            (" 12.5 Ms ", 12.5),
            ("+12.5ms", 12.5),
        ]);
        check(Kind::Delay, delays, &["12.5min", "12.5%", "<12.5ms", "10ms/12.5ms"]);
        let bit_rates = read_as([
            ("12.5bps", 0.0125),
            ("12.5Mbps", 12_500.0),
            ("12.5Gbps", 12_500_000.0),
            ("12.5 Kbps", 12.5),
            (" 12.5kbps", 12.5),
        ]);
        check(Kind::BitRate, bit_rates, &["12.5kBps", "12.5KBps", "12.5MB/s", "12.5ms", "1,12.5kbps"]);
        let shares = read_as([("12.5％", 12.5), ("12.5 %", 12.5), (" 12.5%", 12.5)]);
        check(Kind::Share, shares, &["<12.5%", "12.5% avg", "12.5ms", "1,12.5%"]);
        let volumes = read_as([("−12.5dB", -12.5), ("-12.5DB", -12.5), ("-12.5 db", -12.5)]);
        check(Kind::Volume, volumes, &["-12.5dBFS", "---12.5dB", ">-12.5dB"]);
        let frame_rates = read_as([("12.5FPS", 12.5), ("12.5 fps", 12.5)]);
        check(Kind::FrameRate, frame_rates, &["12.5Hz", "12.5f", "about 12.5fps"]);
        let sides = [
            ("720p", 720),
            ("2K", 1440),
            ("4k", 2160),
            ("8K", 4320),
            ("1280x720", 720),
            ("1920X1080", 1080),
            ("640*360", 360),
            ("3840×2160", 2160),
            ("720x1280", 720),
            (" 1080P ", 1080),
        ];
        let sides = sides.map(|(text, pixels)| (text.to_owned(), Expected::Pixels(pixels)));
        check(Kind::Resolution, sides.into(), &["12.50i", "HD 12.5", "<12.5P"]);
    }
}
