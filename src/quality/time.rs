//! The API's time texts → unix seconds.
//!
//! A text is `YYYY.MM.DD HH:MM:SS`, in exactly these widths, with blanks between date and clock; then comes nothing, or
//! a zone after as many blanks as you like. Blanks around the text are allowed.
//!
//! | zone | offset from UTC |
//! | --- | --- |
//! | none | the configured one (`naive_utc_offset`) |
//! | `(GMT)`, `(UTC)` | 0 |
//! | `(GMT+08:00)`, `(GMT+8:00)`, `(GMT+08)`, `(UTC+8)` | 8 hours east |
//! | `(GMT-03:30)`, `(GMT−3:30)` with U+2212 | 3½ hours west |
//! | `GMT+08:00`, `（GMT+08:00）` | the same without parentheses, or with full-width ones |
//!
//! - Absent: the same texts as in [`unit`](super::unit).
//! - Not read: dates that are not in the calendar, 24:00:00, second 60, offsets beyond 14 hours, any other text.

use chrono::{FixedOffset, NaiveDate, NaiveDateTime};

use super::unit::{Reading, trim};

/// The longest offset in use: the Line Islands' +14:00.
const OFFSET_MINUTES_MAX: u32 = 14 * 60;

/// Reads `text` as a time in unix seconds. `naive_offset` counts for texts that carry no zone.
///
/// ```
/// use chrono::FixedOffset;
/// use vcq::quality::{time::read_time, unit::Reading};
///
/// let china = FixedOffset::east_opt(8 * 3600).unwrap();
/// assert_eq!(read_time("2022.12.23 11:16:00", china), Reading::Value(1_671_765_360));
/// assert_eq!(read_time("2022.12.23 11:16:00 (GMT)", china), Reading::Value(1_671_794_160));
/// assert_eq!(read_time("2022.13.23 11:16:00", china), Reading::Unparsed);
/// ```
pub fn read_time(text: &str, naive_offset: FixedOffset) -> Reading<i64> {
    let text = trim(text);
    Reading::new(text, unix_s(text, naive_offset))
}

fn unix_s(text: &str, naive_offset: FixedOffset) -> Option<i64> {
    let (date, rest) = text.split_at_checked("YYYY.MM.DD".len())?;
    let clock_and_zone = rest.trim_start();
    if clock_and_zone.len() == rest.len() {
        return None;
    }
    let (clock, zone) = clock_and_zone.split_at_checked("HH:MM:SS".len())?;
    let offset_s = match zone.trim_start() {
        "" => naive_offset.local_minus_utc(),
        zone => offset_s(zone)?,
    };
    Some(local_time(date.as_bytes(), clock.as_bytes())?.and_utc().timestamp() - i64::from(offset_s))
}

fn local_time(date: &[u8], clock: &[u8]) -> Option<NaiveDateTime> {
    let &[y1, y2, y3, y4, b'.', mo1, mo2, b'.', d1, d2] = date else { return None };
    let &[h1, h2, b':', mi1, mi2, b':', s1, s2] = clock else { return None };
    let year = number([y1, y2, y3, y4])?.cast_signed();
    NaiveDate::from_ymd_opt(year, number([mo1, mo2])?, number([d1, d2])?)?.and_hms_opt(
        number([h1, h2])?,
        number([mi1, mi2])?,
        number([s1, s2])?,
    )
}

/// The offset from UTC in seconds, east positive, that a zone text names.
fn offset_s(zone: &str) -> Option<i32> {
    let zone = without_parentheses(zone)?;
    let offset = zone.strip_prefix("GMT").or_else(|| zone.strip_prefix("UTC"))?;
    let (sign, offset) = match offset.chars().next() {
        None => return Some(0),
        Some('+') => (1, offset.strip_prefix('+')?),
        Some(_) => (-1, offset.strip_prefix(['-', '\u{2212}'])?),
    };
    let (hours, minutes) = match *offset.as_bytes() {
        [h] => (number([h])?, 0),
        [h1, h2] => (number([h1, h2])?, 0),
        [h, b':', m1, m2] => (number([h])?, number([m1, m2])?),
        [h1, h2, b':', m1, m2] => (number([h1, h2])?, number([m1, m2])?),
        _ => return None,
    };
    let minutes_total = hours * 60 + minutes;
    (minutes < 60 && minutes_total <= OFFSET_MINUTES_MAX).then(|| sign * minutes_total.cast_signed() * 60)
}

/// What stands between the parentheses, which are a pair or not there at all.
fn without_parentheses(zone: &str) -> Option<&str> {
    if let Some(inner) = zone.strip_prefix('(') {
        inner.strip_suffix(')')
    } else if let Some(inner) = zone.strip_prefix('（') {
        inner.strip_suffix('）')
    } else {
        Some(zone)
    }
}

/// The number that these ASCII digits write; at most four of them, so that it cannot overflow.
fn number<const N: usize>(digits: [u8; N]) -> Option<u32> {
    const { assert!(N <= 4) };
    digits.iter().try_fold(0, |value, &digit| digit.is_ascii_digit().then(|| value * 10 + u32::from(digit - b'0')))
}
