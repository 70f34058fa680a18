//! Quantities as people write them.

use std::{fmt, time::Duration};

/// How many of something: `1 file`, `3 files`.
#[derive(Clone, Copy, Debug)]
pub struct Count<N>(
    /// The number.
    pub N,
    /// The noun of one of them, to which an `s` makes several.
    pub &'static str,
);

impl<N: fmt::Display + PartialEq + From<u8>> fmt::Display for Count<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(count, noun) = self;
        write!(f, "{count} {noun}{}", if *count == N::from(1) { "" } else { "s" })
    }
}

/// A duration in its two largest units: `2 d 5 h`, `5 min`, `12 s`, `300 ms`.
pub fn duration(duration: Duration) -> String {
    const UNITS: [(u64, &str); 4] = [(86_400, "d"), (3_600, "h"), (60, "min"), (1, "s")];
    let seconds = duration.as_secs();
    let Some(first) = UNITS.iter().position(|(length_s, _)| seconds >= *length_s) else {
        return format!("{} ms", duration.as_millis());
    };
    let (length_s, unit) = UNITS[first];
    let (count, rest) = (seconds / length_s, seconds % length_s);
    match UNITS.get(first + 1).map(|(length_s, unit)| (rest / length_s, unit)) {
        Some((smaller, smaller_unit)) if smaller > 0 => format!("{count} {unit} {smaller} {smaller_unit}"),
        _ => format!("{count} {unit}"),
    }
}

/// A number of bytes in the largest unit of which there is one: `817 B`, `12.3 MB`.
pub fn size(bytes: u64) -> String {
    const UNITS: [(u64, &str); 3] = [(1_000_000_000, "GB"), (1_000_000, "MB"), (1_000, "kB")];
    match UNITS.iter().find(|(unit, _)| bytes >= *unit) {
        None => format!("{bytes} B"),
        Some((unit, name)) => {
            let tenths = bytes / (unit / 10);
            format!("{}.{} {name}", tenths / 10, tenths % 10)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_is_not_several() {
        let counts = [0_u64, 1, 2].map(|count| Count(count, "file").to_string());
        assert_eq!(counts, ["0 files", "1 file", "2 files"]);
    }

    #[test]
    fn sizes_have_one_unit() {
        for (bytes, expected) in
            [(0, "0 B"), (999, "999 B"), (1_000, "1.0 kB"), (12_345_678, "12.3 MB"), (5_000_000_000, "5.0 GB")]
        {
            assert_eq!(size(bytes), expected);
        }
    }

    #[test]
    fn durations_have_two_units_at_most() {
        for (milliseconds, expected) in [
            (0, "0 ms"),
            (87, "87 ms"),
            (1_000, "1 s"),
            (59_999, "59 s"),
            (60_000, "1 min"),
            (87_432, "1 min 27 s"),
            (3_600_000, "1 h"),
            (7_260_000, "2 h 1 min"),
            (190_800_000, "2 d 5 h"),
            (172_859_000, "2 d"),
        ] {
            assert_eq!(duration(Duration::from_millis(milliseconds)), expected);
        }
    }
}
