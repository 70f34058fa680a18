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
/// use vcq::read::{time::read_time, unit::Reading};
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

/// The local time that `text` names without a zone, in the form of [`read_time`]; none if it has a zone, or another form.
pub fn naive_time(text: &str) -> Option<NaiveDateTime> {
    match local_time_and_offset(trim(text))? {
        (local, None) => Some(local),
        (_, Some(_)) => None,
    }
}

fn unix_s(text: &str, naive_offset: FixedOffset) -> Option<i64> {
    let (local, offset_s) = local_time_and_offset(text)?;
    let offset_s = offset_s.unwrap_or(naive_offset.local_minus_utc());
    Some(local.and_utc().timestamp() - i64::from(offset_s))
}

/// What stands before the zone, and the zone's offset in seconds, if there is one.
fn local_time_and_offset(text: &str) -> Option<(NaiveDateTime, Option<i32>)> {
    let (date, rest) = text.split_at_checked("YYYY.MM.DD".len())?;
    let clock_and_zone = rest.trim_start();
    if clock_and_zone.len() == rest.len() {
        return None;
    }
    let (clock, zone) = clock_and_zone.split_at_checked("HH:MM:SS".len())?;
    let offset_s = match zone.trim_start() {
        "" => None,
        zone => Some(offset_s(zone)?),
    };
    Some((local_time(date.as_bytes(), clock.as_bytes())?, offset_s))
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

#[cfg(test)]
mod tests {
    use chrono::DateTime;
    use proptest::prelude::*;

    use super::*;

    const CHINA_S: i32 = 8 * 3600;

    fn read(text: &str) -> Reading<i64> {
        read_time(text, FixedOffset::east_opt(CHINA_S).unwrap())
    }

    #[test]
    fn zones() {
        const MIDNIGHT_UTC: i64 = 1_671_753_600; // 2022-12-23
        for (zone, offset_minutes) in [
            ("", 480),
            (" ", 480),
            (" (GMT+08:00)", 480),
            ("(GMT+08:00)", 480),
            ("\u{3000}(GMT+08:00)", 480),
            (" (GMT+8:00)", 480),
            (" (GMT+08)", 480),
            (" (GMT+8)", 480),
            (" (UTC+08)", 480),
            (" (GMT)", 0),
            (" (UTC)", 0),
            (" GMT", 0),
            (" UTC+8", 480),
            (" GMT+07:00", 420),
            (" （GMT+08:00）", 480),
            (" (GMT-08:00)", -480),
            (" (GMT\u{2212}08:00)", -480),
            (" (GMT+05:30)", 330),
            (" (GMT-03:30)", -210),
            (" (GMT-00:30)", -30),
            (" (GMT+00:00)", 0),
            (" (GMT-0)", 0),
            (" (GMT+14:00)", 840),
            (" (GMT-14:00)", -840),
        ] {
            let expected = Reading::Value(MIDNIGHT_UTC - offset_minutes * 60);
            assert_eq!(read(&format!("2022.12.23 00:00:00{zone}")), expected, "{zone}");
        }
    }

    #[test]
    fn times() {
        for (text, unix_s) in [
            ("1970.01.01 08:00:00", 0),
            ("2022.12.23 11:16:59 (GMT+08:00)", 1_671_765_419),
            ("\u{3000}2022.12.23 \t11:16:59 ", 1_671_765_419),
            ("2024.02.29 23:59:59 (GMT)", 1_709_251_199),
            ("1969.12.31 23:59:59 (UTC)", -1),
            ("2038.01.19 03:14:08 (UTC)", 2_147_483_648),
            ("9999.12.31 23:59:59 (UTC)", 253_402_300_799),
        ] {
            assert_eq!(read(text), Reading::Value(unix_s), "{text}");
        }
    }

    #[test]
    fn texts_that_mean_no_time() {
        for text in ["", "-", "--", "—", "N/A", "n/a", "null", "/", " \u{3000}", " - "] {
            assert_eq!(read(text), Reading::Absent, "{text}");
        }
    }

    #[test]
    fn texts_that_are_no_time() {
        for text in [
            "0",
            "1671765419",
            "2022.12.23",
            "11:16:59",
            "2022.12.23 11:16",
            "2022.12.2311:16:59",
            "2022.12.23T11:16:59",
            "2022-12-23 11:16:59",
            "2022/12/23 11:16:59",
            "2022.1.23 11:16:59",
            "22.12.23 11:16:59",
            "2022.12.23 1:16:59",
            "2022.12.23 11.16.59",
            "２022.12.23 11:16:59",
            "+022.12.23 11:16:59",
            "2022.13.23 11:16:59",
            "2022.00.23 11:16:59",
            "2022.02.29 11:16:59",
            "2022.04.31 11:16:59",
            "2022.12.00 11:16:59",
            "2022.12.23 24:00:00",
            "2022.12.23 11:60:00",
            "2022.12.23 11:16:60",
            "2022.12.23 11:16:59.5",
            "2022.12.23 11:16:591",
            "2022.12.23 11:16:59 +08:00",
            "2022.12.23 11:16:59 (+08:00)",
            "2022.12.23 11:16:59 ()",
            "2022.12.23 11:16:59 (CST)",
            "2022.12.23 11:16:59 (gmt+8)",
            "2022.12.23 11:16:59 (GMT 8)",
            "2022.12.23 11:16:59 (GMT+)",
            "2022.12.23 11:16:59 (GMT+0800)",
            "2022.12.23 11:16:59 (GMT+008)",
            "2022.12.23 11:16:59 (GMT+8:0)",
            "2022.12.23 11:16:59 (GMT+8:60)",
            "2022.12.23 11:16:59 (GMT+14:01)",
            "2022.12.23 11:16:59 (GMT-15)",
            "2022.12.23 11:16:59 (GMT+-8)",
            "2022.12.23 11:16:59 (GMT*8)",
            "2022.12.23 11:16:59 (GMT+08:00",
            "2022.12.23 11:16:59 GMT+08:00)",
            "2022.12.23 11:16:59 (GMT+08:00）",
            "2022.12.23 11:16:59 （GMT+08:00)",
            "2022.12.23 11:16:59 ((GMT+08:00))",
            "2022.12.23 11:16:59 (GMT+08:00) x",
        ] {
            assert_eq!(read(text), Reading::Unparsed, "{text}");
        }
    }

    proptest! {
        #[test]
        fn a_time_is_read_as_chrono_writes_it(unix_s in 0..253_402_214_400_i64, offset_minutes in -840..=840_i32) {
            let offset = FixedOffset::east_opt(offset_minutes * 60).unwrap();
            let local = DateTime::from_timestamp(unix_s, 0).unwrap().with_timezone(&offset);
            let with_zone = local.format("%Y.%m.%d %H:%M:%S (GMT%:z)").to_string();
            let naive = local.format("%Y.%m.%d %H:%M:%S").to_string();
            prop_assert_eq!(read(&with_zone), Reading::Value(unix_s));
            prop_assert_eq!(read_time(&naive, offset), Reading::Value(unix_s));
        }

        #[test]
        fn blanks_around_change_nothing(
            text in "\\PC*",
            time in "20[0-9]{2}\\.[01][0-9]\\.[0-3][0-9] [0-2][0-9]:[0-5][0-9]:[0-6][0-9]",
            zone in " ?[(（]?(GMT|UTC)?[+-]?[0-9:]{0,5}[)）]?",
        ) {
            for text in [text, format!("{time}{zone}")] {
                prop_assert_eq!(read(text.trim()), read(&text));
                prop_assert_eq!(read(&format!("\u{2003}{text}\t")), read(&text));
            }
        }
    }
}
