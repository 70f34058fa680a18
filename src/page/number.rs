//! Numbers as they are read in every language: a point before the decimals, a small space between thousands.

use crate::figures::told;

/// Keeps a number and its unit, and its thousands, on one line.
const NARROW_SPACE: char = '\u{202f}';

/// What stands for a number that there is not.
const NONE: &str = "–";

/// A whole number: `1 234 567`.
pub(super) fn count(number: u64) -> String {
    let digits = number.to_string();
    let mut spaced = String::with_capacity(digits.len() * 2);
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            spaced.push(NARROW_SPACE);
        }
        spaced.push(digit);
    }
    spaced
}

/// A whole number in no more than four characters up to 9.9 milliards: `950`, `12k`, `3.4M`.
pub(super) fn short(number: u64) -> String {
    let (unit, sign) = match number {
        0..1_000 => return number.to_string(),
        1_000..1_000_000 => (1_000, 'k'),
        1_000_000..1_000_000_000 => (1_000_000, 'M'),
        _ => (1_000_000_000, 'G'),
    };
    let tenths = number / (unit / 10);
    if tenths < 100 { format!("{}.{}{sign}", tenths / 10, tenths % 10) } else { format!("{}{sign}", tenths / 10) }
}

/// A share from 0 to 1 in percent: `12.3 %`.
pub(super) fn percent(share: Option<f64>) -> String {
    share.map_or_else(|| NONE.to_owned(), |share| format!("{:.1}{NARROW_SPACE}%", share * 100.0))
}

/// The same, but never 100.0 % where anything is missing.
pub(super) fn percent_complete(share: Option<f64>) -> String {
    percent(share.map(|share| told(share, 0.999)))
}

/// The same in whole percent: `97%`, and never `100%` where anything is missing.
pub(super) fn whole_percent_complete(share: f64) -> String {
    whole_percent(told(share, 0.99)) + "%"
}

/// A share from 0 to 1 in whole percent, without the sign.
pub(super) fn whole_percent(share: f64) -> String {
    format!("{:.0}", share * 100.0)
}

/// A value in its unit: `148.5 ms`.
pub(super) fn value(value: Option<f64>, unit: &str) -> String {
    value.map_or_else(|| NONE.to_owned(), |value| format!("{}{NARROW_SPACE}{unit}", decimal(value)))
}

/// From here on a number is told by its power of ten.
const WRITTEN_OUT_MAX: f64 = 1e12;

/// A number with no more decimals than it needs, two at most.
pub(super) fn decimal(value: f64) -> String {
    if value.abs() >= WRITTEN_OUT_MAX {
        return format!("{value:.2e}");
    }
    let text = format!("{value:.2}");
    let text = text.trim_end_matches('0').trim_end_matches('.');
    if text == "-0" { "0".to_owned() } else { text.to_owned() }
}

/// A difference of shares in percentage points, with its sign: `+1.2`.
pub(super) fn points(difference: Option<f64>) -> String {
    difference.map_or_else(|| NONE.to_owned(), |difference| format!("{:+.1}", difference * 100.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_language_neutral() {
        let narrow = |text: &str| text.replace(' ', "\u{202f}");
        for (number, expected) in [(0, "0"), (999, "999"), (1000, "1 000"), (1_234_567, "1 234 567")] {
            assert_eq!(count(number), narrow(expected));
        }
        for (number, expected) in
            [(999, "999"), (1000, "1.0k"), (12_999, "12k"), (3_456_789, "3.4M"), (u64::MAX, "18446744073G")]
        {
            assert_eq!(short(number), expected);
        }
        assert_eq!([percent(Some(0.1234)), percent(None)], [narrow("12.3 %"), "–".into()]);
        for (share, percent, whole) in [(0.977, "97.7 %", "98%"), (0.999_9, "99.9 %", "99%"), (1.0, "100.0 %", "100%")]
        {
            assert_eq!([percent_complete(Some(share)), whole_percent_complete(share)], [narrow(percent), whole.into()]);
        }
        for (number, expected) in
            [(150.0, "150"), (2.5, "2.5"), (0.123_4, "0.12"), (-0.001, "0"), (100.0, "100"), (1.7e308, "1.70e308")]
        {
            assert_eq!(decimal(number), expected);
        }
        assert_eq!(value(Some(148.5), "ms"), narrow("148.5 ms"));
        assert_eq!([points(Some(0.012)), points(Some(-0.5)), points(None)], ["+1.2", "-50.0", "–"]);
    }
}
