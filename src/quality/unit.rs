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
//! | resolution | `P`; `K` after 2, 4, 8; two sides with `x`, `X`, `*`, `×` between | px | `1080P` → 1080, `4K` → 2160, `1280x720` → 720 |
//!
//! - Absent: `""`, `-`, `--`, `—`, `N/A`, `n/a`, `null`, `/`, in this case only, blanks around them allowed.
//! - A lone `0` is zero in every kind; zero has no sign in the result.
//! - Not read: any other number without a unit, a unit of another kind, `.5ms`, `5.ms`, `1e3ms`, `1,000ms`, `<1%`,
//!   `8ms/9ms`; bit rates with a capital `B` (`kBps`, `KBPS`, `MB/s`), which means bytes; resolutions with a sign or a
//!   fraction; what does not fit the column's type.
//!
//! The result is the double nearest to the decimal value: mantissa and power of ten stay integers until the one
//! rounding at the end. The value is never NaN or infinite.

use super::column::Kind;

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
/// use vcq::quality::{column::Kind, unit::{Reading, read_number}};
///
/// assert_eq!(read_number(Kind::BitRate, "1.2 Mbps"), Reading::Value(1200.0));
/// assert_eq!(read_number(Kind::Percent, "N/A"), Reading::Absent);
/// assert_eq!(read_number(Kind::Delay, "8kbps"), Reading::Unparsed);
/// ```
pub fn read_number(kind: Kind, text: &str) -> Reading<f64> {
    let text = trim(text);
    Reading::new(text, number(kind, text))
}

/// Reads `text` as a resolution: the shorter side of the picture in pixels, not negative.
///
/// ```
/// use vcq::quality::unit::{Reading, read_resolution};
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
    let magnitude = decimal.scaled(exponent(kind, rest.trim_start())?)?;
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

/// Splits off at least one digit; returns `leading` with the digits appended, at most `u64::MAX`, and the rest of `text`.
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
