//! Times in the forms of RFC 3339, and as databases write them, with a zone → unix seconds.
//!
//! A text is `YYYY-MM-DD`, then `T`, `t` or one blank, `HH:MM:SS`, perhaps a fraction of a second, which is dropped, and
//! a zone: `Z`, `z`, `UTC`, or an offset `+08:00`, `+0800` or `+08`. One blank may stand before the zone. Second 60 is
//! no second here: it has no unix time of its own.

use chrono::{NaiveDate, NaiveDateTime};

/// The time in unix seconds, if `text` is one that says its zone.
pub(super) fn instant_s(text: &str) -> Option<i64> {
    let (date, rest) = text.split_at_checked("YYYY-MM-DD".len())?;
    let (clock, rest) = rest.strip_prefix(['T', 't', ' '])?.split_at_checked("HH:MM:SS".len())?;
    let zone = match rest.strip_prefix('.') {
        Some(fraction) => {
            let zone = fraction.trim_start_matches(|c: char| c.is_ascii_digit());
            (zone.len() < fraction.len()).then_some(zone)?
        }
        None => rest,
    };
    let offset_s = offset_s(zone.strip_prefix(' ').unwrap_or(zone))?;
    Some(local_time(date.as_bytes(), clock.as_bytes())?.and_utc().timestamp() - offset_s)
}

fn local_time(date: &[u8], clock: &[u8]) -> Option<NaiveDateTime> {
    let &[y1, y2, y3, y4, b'-', mo1, mo2, b'-', d1, d2] = date else { return None };
    let &[h1, h2, b':', mi1, mi2, b':', s1, s2] = clock else { return None };
    let year = (number(y1, y2)? * 100 + number(y3, y4)?).cast_signed();
    let date = NaiveDate::from_ymd_opt(year, number(mo1, mo2)?, number(d1, d2)?)?;
    date.and_hms_opt(number(h1, h2)?, number(mi1, mi2)?, number(s1, s2)?)
}

/// The offset from UTC in seconds, east positive.
fn offset_s(zone: &str) -> Option<i64> {
    if matches!(zone, "Z" | "z" | "UTC") {
        return Some(0);
    }
    let (sign, digits) = match zone.strip_prefix('+') {
        Some(digits) => (1, digits),
        None => (-1, zone.strip_prefix(['-', '\u{2212}'])?),
    };
    let (hours, minutes) = match *digits.as_bytes() {
        [h1, h2] => (number(h1, h2)?, 0),
        [h1, h2, m1, m2] | [h1, h2, b':', m1, m2] => (number(h1, h2)?, number(m1, m2)?),
        _ => return None,
    };
    (hours < 24 && minutes < 60).then(|| sign * i64::from(hours * 60 + minutes) * 60)
}

/// The number that two ASCII digits write.
fn number(tens: u8, ones: u8) -> Option<u32> {
    (tens.is_ascii_digit() && ones.is_ascii_digit()).then(|| u32::from(tens - b'0') * 10 + u32::from(ones - b'0'))
}

#[cfg(test)]
mod tests {
    use chrono::{DateTime, FixedOffset};
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn zones_as_tools_write_them() {
        for text in [
            "2025-03-02T13:11:05Z",
            "2025-03-02t13:11:05z",
            "2025-03-02 13:11:05 UTC",
            "2025-03-02 13:11:05.25 UTC",
            "2025-03-02T13:11:05.000000+0000",
            "2025-03-02 13:11:05-00:00",
            "2025-03-02 21:11:05+08",
            "2025-03-02 21:11:05.999999999+08",
            "2025-03-02T21:11:05.000000+0800",
            "2025-03-02 21:11:05.000 +0800",
            "2025-03-02T21:11:05.000+08:00",
            "2025-03-02 18:41:05+0530",
            "2025-03-02 18:41:05+05:30",
            "2025-03-02 09:41:05-03:30",
            "2025-03-02 09:41:05\u{2212}0330",
        ] {
            assert_eq!(instant_s(text), Some(1_740_921_065), "{text}");
        }
    }

    #[test]
    fn texts_that_do_not_say_their_instant() {
        for text in [
            "",
            "2025-03-02",
            "2025-03-02 13:11:05",
            "2025-03-02T13:11:05.000",
            "2025-03-02T13:11:05. Z",
            "2025-03-02T13:11:05,5Z",
            "2025-03-02T13:11Z",
            "2025-03-02  13:11:05Z",
            "2025-03-02T13:11:05  Z",
            "2025-03-02T13:11:05Z ",
            "2025-03-02T13:11:60Z",
            "2025-03-02T23:59:60+08:00",
            "2016-12-31T23:59:60Z",
            "2016-12-31 23:59:60.5+00",
            "2025-03-02T24:00:00Z",
            "2025-03-02T13:60:05Z",
            "2025-02-29T13:11:05Z",
            "2025-3-02T13:11:05Z",
            "20250302T131105Z",
            "2025-03-02T13:11:05+8",
            "2025-03-02T13:11:05+800",
            "2025-03-02T13:11:05+08:0",
            "2025-03-02T13:11:05+24",
            "2025-03-02T13:11:05+0860",
            "2025-03-02T13:11:05+08:00:00",
            "2025-03-02T13:11:05 +08 ",
            "2025-03-02T13:11:05 CST",
            "2025-03-02T13:11:05 Asia/Shanghai",
            "2025-03-02T13:11:05Z+08",
            "２025-03-02T13:11:05Z",
        ] {
            assert_eq!(instant_s(text), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn a_time_is_read_as_chrono_writes_it(unix_s in 0..253_402_214_400_i64, minutes in -1439..=1439_i32) {
            let offset = FixedOffset::east_opt(minutes * 60).unwrap();
            let time = DateTime::from_timestamp(unix_s, 0).unwrap().with_timezone(&offset);
            for form in ["%Y-%m-%dT%H:%M:%S%:z", "%Y-%m-%d %H:%M:%S%z", "%Y-%m-%d %H:%M:%S.000 %z"] {
                prop_assert_eq!(instant_s(&time.format(form).to_string()), Some(unix_s));
            }
        }

        #[test]
        fn what_rfc_3339_allows_is_read_alike(
            text in "20[0-9]{2}-[01][0-9]-[0-3][0-9][Tt ][0-2][0-9]:[0-5][0-9]:[0-5][0-9](\\.[0-9]{1,9})?([Zz]|[+-][0-2][0-9]:[0-6][0-9])"
        ) {
            let expected = DateTime::parse_from_rfc3339(&text).ok().map(|time| time.timestamp());
            prop_assert_eq!(instant_s(&text), expected);
        }
    }
}
