//! Texts such as `8kbps`, `0.8%`, `1080P` → numbers in the unit of their column, exactly or not at all.
//!
//! A text is `[sign] digits [. digits] [blanks] unit`, with blanks around it allowed. Digits are ASCII, blanks are
//! Unicode white space, the sign is `+` or `-`.
//!
//! | kind | units, in any letter case | read as | examples |
//! | --- | --- | --- | --- |
//! | delay | `us`, `µs` (U+00B5 or U+03BC), `ms`, `s` | ms | `53ms` → 53, `1.5 s` → 1500, `250us` → 0.25 |
//! | bit rate | `bps`, `kbps`, `Mbps`, `Gbps`, factor 1000 | kbps | `8kbps` → 8, `1.2Mbps` → 1200 |
//! | percent | `%`, full-width `％` | % | `0.8%` → 0.8 |
//! | volume | `dB`; the sign may be U+2212 too | dB | `-6dB` → -6 |
//! | frame rate | `fps` | fps | `30fps` → 30 |
//! | resolution | `P`; `2K`, `4K`, `8K`; two sides with `x`, `X`, `*`, `×` between | px | `4K` → 2160, `1280x720` → 720 |
//!
//! - Absent: `""`, `-`, `--`, `—`, `N/A`, `n/a`, `null`, `/`, in this case only, blanks around them allowed.
//! - A lone `0` is zero in every kind; zero has no sign in the result.
//! - Not read: any other number without a unit, a unit of another kind, `.5ms`, `5.ms`, `1e3ms`, `1,000ms`, `<1%`,
//!   `8ms/9ms`; bit rates with a capital `B` (`kBps`, `KBPS`, `MB/s`), which means bytes; resolutions with a sign or a
//!   fraction; what does not fit the column's type.
//!
//! The result is the double nearest to the decimal value: mantissa and power of ten stay integers until the one
//! rounding at the end. The value is never NaN or infinite.

use crate::tables::quality::Kind;

/// What a text of the API says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reading<T> {
    /// That there is no value.
    Absent,
    /// This value.
    Value(T),
    /// Nothing we can read: the text belongs into the column `unparsed`.
    Unparsed,
}

impl<T> Reading<T> {
    /// The reading of the trimmed `text` that was read as `value`, if at all.
    pub(super) fn new(text: &str, value: Option<T>) -> Self {
        match value {
            Some(value) => Self::Value(value),
            None if ABSENT.contains(&text) => Self::Absent,
            None => Self::Unparsed,
        }
    }
}

/// The texts that stand for "no value", without the blanks around them.
const ABSENT: [&str; 8] = ["", "-", "--", "—", "N/A", "n/a", "null", "/"];

/// Reads `text` as a value of `kind`, in the unit of [`Kind::unit`]. The value is finite, and zero has no sign.
///
/// Times and resolutions have readers of their own; for their kinds no unit is accepted here.
///
/// ```
/// use vcq::{read::unit::{Reading, read_number}, tables::quality::Kind};
///
/// assert_eq!(read_number(Kind::BitRate, "1.2 Mbps"), Reading::Value(1200.0));
/// assert_eq!(read_number(Kind::Percent, "N/A"), Reading::Absent);
/// assert_eq!(read_number(Kind::Delay, "8kbps"), Reading::Unparsed);
/// ```
pub fn read_number(kind: Kind, text: &str) -> Reading<f64> {
    if let Some(value) = common_number(kind, text) {
        return Reading::Value(value.into());
    }
    let text = trim(text);
    Reading::new(text, number(kind, text))
}

/// The fast path: a few digits with the unit of the column, as the API writes it. Any other text is left to [`number`],
/// which reads these the same way.
fn common_number(kind: Kind, text: &str) -> Option<u32> {
    /// As many digits as surely fit.
    const DIGITS_MAX: usize = 9;
    let digits = match kind {
        Kind::Delay => text.strip_suffix("ms"),
        Kind::BitRate => text.strip_suffix("kbps"),
        Kind::Percent => text.strip_suffix('%'),
        Kind::Volume => text.strip_suffix("dB"),
        Kind::FrameRate => text.strip_suffix("fps"),
        Kind::Time | Kind::Resolution => None,
    }?;
    if !(1..=DIGITS_MAX).contains(&digits.len()) {
        return None;
    }
    digits.bytes().try_fold(0, |value, digit| digit.is_ascii_digit().then(|| value * 10 + u32::from(digit - b'0')))
}

/// Reads `text` as a resolution: the shorter side of the picture in pixels, not negative.
///
/// ```
/// use vcq::read::unit::{Reading, read_resolution};
///
/// assert_eq!(read_resolution("1080P"), Reading::Value(1080));
/// assert_eq!(read_resolution("1280×720"), Reading::Value(720));
/// assert_eq!(read_resolution("3K"), Reading::Unparsed);
/// ```
pub fn read_resolution(text: &str) -> Reading<i32> {
    let text = trim(text);
    Reading::new(text, resolution(text))
}

/// `text` without the white space around it; quick for what the API sends, which has none.
pub(super) fn trim(text: &str) -> &str {
    match text.as_bytes() {
        [b'!'..=b'~'] | [b'!'..=b'~', .., b'!'..=b'~'] => text,
        _ => text.trim(),
    }
}

fn number(kind: Kind, text: &str) -> Option<f64> {
    if text == "0" {
        return Some(0.0);
    }
    let (is_negative, text) = take_sign(kind, text);
    let (decimal, rest) = take_decimal(text)?;
    let magnitude = decimal.scaled(exponent(kind, trim(rest))?)?;
    // Subtracting, because negating would give zero a sign.
    Some(if is_negative { 0.0 - magnitude } else { magnitude })
}

fn resolution(text: &str) -> Option<i32> {
    if text == "0" {
        return Some(0);
    }
    let (first, rest) = take_digits(text, 0)?;
    let shorter = match (first, rest.trim_start()) {
        (lines, "P" | "p") => lines,
        (2, "K" | "k") => 1440,
        (4, "K" | "k") => 2160,
        (8, "K" | "k") => 4320,
        (width, rest) => {
            let rest = rest.strip_prefix(['x', 'X', '*', '×'])?;
            let (height, "") = take_digits(rest.trim_start(), 0)? else { return None };
            i32::try_from(width.max(height)).ok()?;
            width.min(height)
        }
    };
    i32::try_from(shorter).ok()
}

/// The power of ten that leads from `unit` to the unit of `kind`'s columns, if `unit` is one of its units.
///
/// Only the `b` of the bit rates has one letter case, because `B` means bytes.
#[expect(clippy::match_same_arms, reason = "one line a unit, as in the table above")]
fn exponent(kind: Kind, unit: &str) -> Option<isize> {
    match (kind, unit.as_bytes()) {
        (Kind::Delay, [b'm' | b'M', b's' | b'S']) => Some(0),
        (Kind::Delay, [b's' | b'S']) => Some(3),
        (Kind::Delay, [b'u' | b'U', b's' | b'S']) => Some(-3),
        (Kind::Delay, [0xc2, 0xb5, b's' | b'S'] | [0xce, 0xbc, b's' | b'S']) => Some(-3), // U+00B5, U+03BC
        (Kind::BitRate, [prefix @ .., b'b', b'p' | b'P', b's' | b'S']) => match prefix {
            [b'k' | b'K'] => Some(0),
            [b'm' | b'M'] => Some(3),
            [b'g' | b'G'] => Some(6),
            [] => Some(-3),
            _ => None,
        },
        (Kind::Percent, [b'%'] | [0xef, 0xbc, 0x85]) => Some(0), // U+FF05
        (Kind::Volume, [b'd' | b'D', b'b' | b'B']) => Some(0),
        (Kind::FrameRate, [b'f' | b'F', b'p' | b'P', b's' | b'S']) => Some(0),
        _ => None,
    }
}

/// Splits the sign off; returns whether it is a minus, and the rest of `text`.
fn take_sign(kind: Kind, text: &str) -> (bool, &str) {
    if let Some(rest) = text.strip_prefix('-') {
        return (true, rest);
    }
    match text.strip_prefix('\u{2212}') {
        Some(rest) if kind == Kind::Volume => (true, rest),
        _ => (false, text.strip_prefix('+').unwrap_or(text)),
    }
}

/// Splits off `digits [. digits]`; returns it and the rest of `text`.
fn take_decimal(text: &str) -> Option<(Decimal<'_>, &str)> {
    let (whole, rest) = take_digits(text, 0)?;
    let (mantissa, places, rest) = match rest.strip_prefix('.') {
        Some(fraction) => {
            let (mantissa, rest) = take_digits(fraction, whole)?;
            (mantissa, fraction.len() - rest.len(), rest)
        }
        None => (whole, 0, rest),
    };
    let text = text.get(..text.len() - rest.len())?;
    Some((Decimal { text, mantissa, places }, rest))
}

/// Splits off one digit or more; returns `leading` followed by them, at most `u64::MAX`, and the rest of `text`.
fn take_digits(text: &str, leading: u64) -> Option<(u64, &str)> {
    let mut value = leading;
    let mut count = 0;
    for digit in text.bytes().take_while(u8::is_ascii_digit) {
        value = value.saturating_mul(10).saturating_add(u64::from(digit - b'0'));
        count += 1;
    }
    if count == 0 { None } else { Some((value, text.get(count..)?)) }
}

/// A decimal number as it was written, without sign: `mantissa` / 10^`places`.
struct Decimal<'a> {
    /// The digits and the point.
    text: &'a str,
    /// All digits as one integer, `u64::MAX` if they do not fit.
    mantissa: u64,
    /// The digits after the point.
    places: usize,
}

impl Decimal<'_> {
    /// The double nearest to this number times 10^`exponent`, unless it is too large for one.
    ///
    /// A mantissa and a power of ten that are both exact doubles need one operation, which rounds as it should
    /// (Clinger's fast path); this covers what the API sends. The rest is left to the standard library.
    #[expect(clippy::cast_precision_loss, reason = "a mantissa up to 2^53 is exact as a double")]
    fn scaled(&self, exponent: isize) -> Option<f64> {
        let exponent_net = exponent - self.places.cast_signed();
        match POWERS_OF_TEN.get(exponent_net.unsigned_abs()) {
            Some(power) if self.mantissa <= MANTISSA_EXACT_MAX => {
                let mantissa = self.mantissa as f64;
                Some(if exponent_net < 0 { mantissa / power } else { mantissa * power })
            }
            _ => format!("{}e{exponent}", self.text).parse().ok().filter(|value: &f64| value.is_finite()),
        }
    }
}

/// All integers up to here are doubles.
const MANTISSA_EXACT_MAX: u64 = 1 << f64::MANTISSA_DIGITS;

/// The powers of ten that are exact doubles.
const POWERS_OF_TEN: [f64; 23] = [
    1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18, 1e19, 1e20,
    1e21, 1e22,
];

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rand::{Rng, SeedableRng, rngs::StdRng};

    use super::*;

    const NUMBER_KINDS: [Kind; 5] = [Kind::Delay, Kind::BitRate, Kind::Percent, Kind::Volume, Kind::FrameRate];

    #[test]
    fn numbers() {
        for (kind, text, value) in [
            (Kind::Delay, "100ms", 100.0),
            (Kind::Delay, "53.25MS", 53.25),
            (Kind::Delay, "1.5 s", 1500.0),
            (Kind::Delay, "2S", 2000.0),
            (Kind::Delay, "250us", 0.25),
            (Kind::Delay, "250Us", 0.25),
            (Kind::Delay, "7\u{b5}s", 0.007),
            (Kind::Delay, "7\u{3bc}S", 0.007),
            (Kind::Delay, "-5ms", -5.0),
            (Kind::Delay, "+5ms", 5.0),
            (Kind::Delay, "007ms", 7.0),
            (Kind::BitRate, "8kbps", 8.0),
            (Kind::BitRate, "8Kbps", 8.0),
            (Kind::BitRate, "8KbPs", 8.0),
            (Kind::BitRate, "1.2Mbps", 1200.0),
            (Kind::BitRate, "1.2mbps", 1200.0),
            (Kind::BitRate, "0.0025Gbps", 2500.0),
            (Kind::BitRate, "3gbps", 3_000_000.0),
            (Kind::BitRate, "64bps", 0.064),
            (Kind::Percent, "8%", 8.0),
            (Kind::Percent, "0.8%", 0.8),
            (Kind::Percent, "2.3 %", 2.3),
            (Kind::Percent, "30％", 30.0),
            (Kind::Percent, "100.0%", 100.0),
            (Kind::Volume, "6dB", 6.0),
            (Kind::Volume, "6DB", 6.0),
            (Kind::Volume, "6 db", 6.0),
            (Kind::Volume, "-23.5dB", -23.5),
            (Kind::Volume, "\u{2212}23dB", -23.0),
            (Kind::FrameRate, "90fps", 90.0),
            (Kind::FrameRate, "29.97FPS", 29.97),
            (Kind::Delay, "\u{3000}\t8\u{a0}ms \n", 8.0),
            (Kind::Delay, "9007199254740993ms", 9_007_199_254_740_992.0),
            (Kind::Delay, "0.1234567890123456789012345ms", 0.123_456_789_012_345_68),
            (Kind::Delay, "18446744073709551616ms", 18_446_744_073_709_551_616.0),
            (Kind::Delay, "18446744073709551620ms", 18_446_744_073_709_551_616.0),
        ] {
            assert_eq!(read_number(kind, text), Reading::Value(value), "{kind:?} {text}");
        }
    }

    #[test]
    fn zero_needs_no_unit_and_has_no_sign() {
        for kind in NUMBER_KINDS {
            assert_eq!(read_number(kind, " 0 "), Reading::Value(0.0), "{kind:?}");
        }
        assert_eq!(read_resolution("0"), Reading::Value(0));
        for (kind, text) in [
            (Kind::Delay, "-0ms"),
            (Kind::Volume, "\u{2212}0.00dB"),
            (Kind::Delay, "-0.00000000000000000000000000000000000000us"),
            (Kind::Percent, "0"),
        ] {
            let Reading::Value(value) = read_number(kind, text) else { panic!("{text}") };
            assert_eq!(value.to_bits(), 0, "{text}");
        }
    }

    #[test]
    fn texts_that_mean_no_value() {
        for text in ["", "-", "--", "—", "N/A", "n/a", "null", "/", " ", "\u{3000}-\t", " N/A "] {
            for kind in NUMBER_KINDS {
                assert_eq!(read_number(kind, text), Reading::Absent, "{kind:?} {text}");
            }
            assert_eq!(read_resolution(text), Reading::Absent, "{text}");
        }
    }

    #[test]
    fn numbers_that_cannot_be_read() {
        for (kind, texts) in [
            (Kind::Delay, ".5ms|5.ms|1e3ms|1,000ms|<1ms|8ms/9ms|8ms 9ms|8|00|0.0|+0|-0|ms|- 5ms|--5ms|+-5ms|5"),
            (
                Kind::Delay,
                "8kbps|8%|8m|8sec|8min|8ns|8Μs|８ms|\u{2212}8ms|8m s|8ms.|1.2.3ms|1_000ms|0x8ms|٣ms|5\u{200b}ms",
            ),
            (Kind::Delay, "N/a|NULL|none|nan|NaN|inf|infinity|infms|NaNms|———|---|//|\u{feff}8ms|true|{}|8ms\0"),
            (Kind::BitRate, "8kBps|8KBps|8KBPS|8MB/s|8MBps|8Bps|8GBPS|8kb/s|8kbit/s|8tbps|8k|8b|8ps|8kkbps|8ms|8"),
            (Kind::Percent, "<1%|1|1%%|1‰|0.01|1pct|1percent|≈1%|~1%|1-2%|%|８%|1,5%|\u{2212}1%"),
            (Kind::Volume, "6|6dBFS|6dBm|6B|6d|6d B|6 dB 7 dB|\u{2212}\u{2212}6dB|-\u{2212}6dB|\u{2013}6dB"),
            (Kind::FrameRate, "30|30Hz|30f|30 frames|30/s|30fps30fps|30fp s"),
            (Kind::Time, "8ms|8|2022.12.23 11:16:00"),
            (Kind::Resolution, "8px|8|1080P"),
        ] {
            for text in texts.split('|') {
                assert_eq!(read_number(kind, text), Reading::Unparsed, "{kind:?} {text}");
            }
        }
        let too_large = format!("{}ms", "9".repeat(400));
        assert_eq!(read_number(Kind::Delay, &too_large), Reading::Unparsed);
    }

    #[test]
    fn resolutions() {
        for (text, px) in [
            ("720P", 720),
            ("1080p", 1080),
            (" 1080 P ", 1080),
            ("2K", 1440),
            ("2k", 1440),
            ("4K", 2160),
            ("4 k", 2160),
            ("8K", 4320),
            ("1280x720", 720),
            ("720X1280", 720),
            ("1280*720", 720),
            ("1280 × 720", 720),
            ("0x0", 0),
            ("2147483647P", i32::MAX),
            ("2147483647x2147483647", i32::MAX),
        ] {
            assert_eq!(read_resolution(text), Reading::Value(px), "{text}");
        }
        for texts in [
            "1080|00|1080i|P|K|3K|1K|16K|４K|-720P|+720P|720.5P|720.0P|720PP|720P60|<720P|px",
            "1280x|x720|1280x720x3|1280x720P|1280xx720|1280:720|1280х720|1280by720",
            "2147483648P|2147483648x720|720x2147483648|4294967297P|99999999999999999999P",
        ] {
            for text in texts.split('|') {
                assert_eq!(read_resolution(text), Reading::Unparsed, "{text}");
            }
        }
    }

    /// What a decimal times a power of ten must give, from its digits as the standard library reads them.
    fn nearest(number: &str, exponent: i32) -> f64 {
        format!("{number}e{exponent}").parse::<f64>().unwrap() + 0.0
    }

    fn units() -> impl Strategy<Value = (Kind, &'static str, i32)> {
        prop::sample::select(vec![
            (Kind::Delay, "us", -3),
            (Kind::Delay, "\u{b5}s", -3),
            (Kind::Delay, "\u{3bc}s", -3),
            (Kind::Delay, "ms", 0),
            (Kind::Delay, "s", 3),
            (Kind::BitRate, "bps", -3),
            (Kind::BitRate, "kbps", 0),
            (Kind::BitRate, "Mbps", 3),
            (Kind::BitRate, "Gbps", 6),
            (Kind::Percent, "%", 0),
            (Kind::Percent, "％", 0),
            (Kind::Volume, "dB", 0),
            (Kind::FrameRate, "fps", 0),
        ])
    }

    proptest! {
        #[test]
        fn a_value_is_the_double_nearest_to_the_decimal(
            number in "[+-]?[0-9]{1,25}(\\.[0-9]{1,30})?",
            blanks in "[ \t\u{a0}\u{3000}]{0,2}",
            (kind, unit, exponent) in units(),
        ) {
            let expected = nearest(&number, exponent);
            let Reading::Value(value) = read_number(kind, &format!("{number}{blanks}{unit}")) else { panic!() };
            prop_assert_eq!(value.to_bits(), expected.to_bits());
        }

        /// Integers as the oracle, without the standard library's reader: thousandths of a unit, one division.
        #[test]
        fn short_decimals_are_one_exact_division(thousandths in 0_i64..4_000_000_000_000) {
            let text = format!("{}.{:03}ms", thousandths / 1000, thousandths % 1000);
            #[expect(clippy::cast_precision_loss, reason = "less than 2^53")]
            let expected = thousandths as f64 / 1000.0;
            prop_assert_eq!(read_number(Kind::Delay, &text), Reading::Value(expected));
        }

        #[test]
        fn a_thousand_small_units_are_one_large_unit(number in 0_u64..9_000_000_000) {
            for (kind, small, large) in [
                (Kind::Delay, "us", "ms"),
                (Kind::Delay, "ms", "s"),
                (Kind::BitRate, "bps", "kbps"),
                (Kind::BitRate, "kbps", "Mbps"),
                (Kind::BitRate, "Mbps", "Gbps"),
            ] {
                let in_small = read_number(kind, &format!("{number}000{small}"));
                prop_assert_eq!(in_small, read_number(kind, &format!("{number}{large}")));
                prop_assert!(matches!(in_small, Reading::Value(_)));
            }
        }

        #[test]
        fn any_text_is_read_soundly(text in "\\PC*|[ +\u{2212}0-9.kKMGbBpPsSmuµdDfx%-]{0,12}") {
            assert_sound(&text);
        }

        #[test]
        fn the_shorter_side_counts(width in 0..=i32::MAX, height in 0..=i32::MAX, sign in "[xX*×]") {
            let expected = Reading::Value(width.min(height));
            prop_assert_eq!(read_resolution(&format!("{width}{sign}{height}")), expected);
            prop_assert_eq!(read_resolution(&format!(" {width} {sign} {height} ")), expected);
        }
    }

    /// What holds for every text.
    fn assert_sound(text: &str) {
        for kind in NUMBER_KINDS {
            let reading = read_number(kind, text);
            if let Reading::Value(value) = reading {
                assert!(value.is_finite() && (value != 0.0 || value.is_sign_positive()), "{kind:?} {text:?} {value}");
            }
            assert_eq!(read_number(kind, text.trim()), reading, "{kind:?} {text:?}");
            assert_eq!(read_number(kind, &format!("\u{2003}{text}\t")), reading, "{kind:?} {text:?}");
        }
        let resolution = read_resolution(text);
        assert!(!matches!(resolution, Reading::Value(..0)), "{text:?}");
        assert_eq!(read_resolution(text.trim()), resolution, "{text:?}");
    }

    /// The short run of the fuzz target in `tests/fuzz`: a million texts made of the pieces that mean something.
    #[test]
    fn a_million_texts_are_read_soundly() {
        let too_large = "9".repeat(400);
        let numbers = "0|1|8|9|00|18446744073709551615|99999999999999999999|.|,|+|-|--|—|\u{2212}|e| |\u{3000}";
        let units = "ms|s|u|\u{b5}s|\u{3bc}|k|M|G|b|B|ps|bps|%|％|dB|fps|P|K|x|×|*|N/A|/";
        let pieces: Vec<_> = numbers.split('|').chain(units.split('|')).chain([too_large.as_str()]).collect();
        let mut random = StdRng::seed_from_u64(1);
        let mut text = String::new();
        let mut value_count = 0;
        for _ in 0..1_000_000 {
            text.clear();
            for _ in 0..random.random_range(0..6) {
                text.push_str(pieces[random.random_range(0..pieces.len())]);
            }
            for kind in NUMBER_KINDS {
                if let Reading::Value(value) = read_number(kind, &text) {
                    value_count += 1;
                    assert!(
                        value.is_finite() && (value != 0.0 || value.is_sign_positive()),
                        "{kind:?} {text:?} {value}"
                    );
                }
            }
            assert!(!matches!(read_resolution(&text), Reading::Value(..0)), "{text:?}");
        }
        assert!(value_count > 10_000, "the pieces seldom make a value: {value_count}");
    }
}
