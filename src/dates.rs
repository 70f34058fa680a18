//! Spans of dates, and where a date begins.

use std::{fmt, ops::Range};

use chrono::{DateTime, Days, NaiveDate, NaiveTime, TimeDelta, TimeZone as _, Utc};
use chrono_tz::Tz;

/// Dates, the first and the last of them included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Dates {
    /// The first.
    pub first: NaiveDate,
    /// The last.
    pub last: NaiveDate,
}

impl Dates {
    /// Each of them.
    pub fn each(self) -> impl Iterator<Item = NaiveDate> {
        self.first.iter_days().take_while(move |date| *date <= self.last)
    }

    /// Whether a date is one of them.
    pub fn contain(&self, date: NaiveDate) -> bool {
        (self.first..=self.last).contains(&date)
    }
}

/// The first unix second of a date by the clocks of `zone`; where they skip midnight, the one after the gap.
pub fn day_begin_s(date: NaiveDate, zone: Tz) -> i64 {
    /// No zone has ever skipped more than a day.
    const SKIPPED_MINUTES_MAX: i64 = 24 * 60;
    let midnight = date.and_time(NaiveTime::MIN);
    let mut later = (0..=SKIPPED_MINUTES_MAX).map(|minutes| midnight + TimeDelta::minutes(minutes));
    let begin = later.find_map(|local| zone.from_local_datetime(&local).earliest());
    begin.map_or_else(|| midnight.and_utc().timestamp(), |begin| begin.timestamp())
}

/// The unix seconds of a date, from where it begins to where the next one does, by the clocks of `zone`.
pub fn day_span_s(date: NaiveDate, zone: Tz) -> Range<i64> {
    let next = date.checked_add_days(Days::new(1)).unwrap_or(date);
    day_begin_s(date, zone)..day_begin_s(next, zone)
}

/// Dates as a person names them, before it is known what today is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NamedDates {
    /// These.
    Span(Dates),
    /// So many days that are over, counted from yesterday back.
    LastDays(u32),
    /// The day that is not over.
    Today,
}

/// The most days that `Nd` can name.
const LAST_DAYS_MAX: u32 = 3660;

impl NamedDates {
    /// Reads `DATE`, `DATE..DATE`, `yesterday`, `today` or `7d`.
    pub fn parse(text: &str) -> Option<Self> {
        let days = |text: &str| text.strip_suffix('d')?.parse().ok().filter(|days| (1..=LAST_DAYS_MAX).contains(days));
        match text {
            "today" => return Some(Self::Today),
            "yesterday" => return Some(Self::LastDays(1)),
            _ => {}
        }
        if let Some(days) = days(text) {
            return Some(Self::LastDays(days));
        }
        let (first, last) = text.split_once("..").unwrap_or((text, text));
        let dates = Dates { first: first.parse().ok()?, last: last.parse().ok()? };
        (dates.first <= dates.last).then_some(Self::Span(dates))
    }

    /// The dates that are meant at `now`, by the calendar of `zone`.
    pub fn at(self, now: DateTime<Utc>, zone: Tz) -> Dates {
        let today = now.with_timezone(&zone).date_naive();
        let back = |days: u32| today.checked_sub_days(Days::new(days.into())).unwrap_or(today);
        match self {
            Self::Span(dates) => dates,
            Self::LastDays(days) => Dates { first: back(days), last: back(1) },
            Self::Today => Dates { first: today, last: today },
        }
    }
}

impl fmt::Display for Dates {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}..{}", self.first, self.last)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_named_in_five_forms() {
        // 22:30 UTC: in Shanghai it is the next day.
        let now: DateTime<Utc> = "2026-03-08T22:30:00Z".parse().unwrap();
        for (text, zone, expected) in [
            ("2026-03-01", Tz::UTC, "2026-03-01..2026-03-01"),
            ("2026-02-27..2026-03-01", Tz::UTC, "2026-02-27..2026-03-01"),
            ("yesterday", Tz::UTC, "2026-03-07..2026-03-07"),
            ("yesterday", Tz::Asia__Shanghai, "2026-03-08..2026-03-08"),
            ("today", Tz::UTC, "2026-03-08..2026-03-08"),
            ("1d", Tz::UTC, "2026-03-07..2026-03-07"),
            ("7d", Tz::Asia__Shanghai, "2026-03-02..2026-03-08"),
        ] {
            assert_eq!(NamedDates::parse(text).unwrap().at(now, zone).to_string(), expected, "{text} {zone}");
        }
        for text in ["", "0d", "d", "-1d", "3661d", "tomorrow", "2026-03-02..2026-03-01", "2026-03", "..", "7 d"] {
            assert_eq!(NamedDates::parse(text), None, "{text}");
        }
    }

    #[test]
    fn a_date_is_as_long_as_its_clocks_make_it() {
        let hours = |date: &str, zone| {
            let span = day_span_s(date.parse().unwrap(), zone);
            (span.end - span.start) / 3600
        };
        assert_eq!(hours("2026-03-28", Tz::Europe__Berlin), 24);
        assert_eq!(hours("2026-03-29", Tz::Europe__Berlin), 23);
        assert_eq!(hours("2026-10-25", Tz::Europe__Berlin), 25);
        // At midnight the clocks of Santiago go to 01:00.
        assert_eq!(hours("2026-09-06", Tz::America__Santiago), 23);
    }

    #[test]
    fn a_date_whose_midnight_is_skipped_begins_after_the_gap() {
        let begin = |date: &str, zone| DateTime::from_timestamp(day_begin_s(date.parse().unwrap(), zone), 0).unwrap();
        assert_eq!(begin("2026-09-06", Tz::America__Santiago).to_string(), "2026-09-06 04:00:00 UTC");
        assert_eq!(begin("2026-03-08", Tz::Asia__Shanghai).to_string(), "2026-03-07 16:00:00 UTC");
    }
}
