//! What holds for every text that the API might send, whatever stands in it.

#![no_main]

use std::fmt::Debug;

use chrono::FixedOffset;
use libfuzzer_sys::fuzz_target;
use vcq::{read::{time::read_time, unit::{Reading, read_number, read_resolution}}, tables::quality::Kind};

/// The times that four digits of a year and the offsets in use can make.
const UNIX_S_MIN: i64 = -62_167_219_200 - 14 * 3600;
const UNIX_S_MAX: i64 = 253_402_300_799 + 14 * 3600;

fuzz_target!(|text: &str| {
    for kind in [Kind::Delay, Kind::BitRate, Kind::Percent, Kind::Volume, Kind::FrameRate] {
        if let Reading::Value(value) = check(text, |text| read_number(kind, text)) {
            assert!(value.is_finite() && (value != 0.0 || value.is_sign_positive()), "{kind:?} {value}");
        }
    }
    if let Reading::Value(px) = check(text, read_resolution) {
        assert!(px >= 0, "{px}");
    }
    let utc = FixedOffset::east_opt(0).expect("no offset is an offset");
    if let Reading::Value(unix_s) = check(text, |text| read_time(text, utc)) {
        assert!((UNIX_S_MIN..=UNIX_S_MAX).contains(&unix_s), "{unix_s}");
    }
});

/// The reading of `text`, which must not depend on the blanks around it.
fn check<T: PartialEq + Debug>(text: &str, read: impl Fn(&str) -> Reading<T>) -> Reading<T> {
    let reading = read(text);
    assert_eq!(read(text.trim()), reading);
    assert_eq!(read(&format!("\u{2003}{text}\t")), reading);
    reading
}
