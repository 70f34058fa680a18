//! A time limit as `--until` gives it: a duration from now, or a time of day.

use chrono::{DateTime, LocalResult, NaiveDateTime, NaiveTime, TimeDelta, TimeZone as _, Timelike as _, Utc};
use chrono_tz::Tz;

use crate::{error::Error, fetch::Until};

/// Reads a time limit: a duration from now, or a time of day whose next occurrence in `zone` counts.
///
/// # Errors
///
/// [`Error::Usage`] naming both forms.
pub fn until(text: &str, now: DateTime<Utc>, zone: Tz) -> Result<Until, Error> {
    let wrong = || {
        Error::Usage(format!("--until `{text}` is neither a time of day such as `06:00` nor a duration such as `8h`"))
    };
    if let Ok(duration) = humantime::parse_duration(text) {
        return Until::after(duration, now).ok_or_else(wrong);
    }
    let time =
        ["%H:%M", "%H:%M:%S"].iter().find_map(|form| NaiveTime::parse_from_str(text, form).ok()).ok_or_else(wrong)?;
    let today = now.with_timezone(&zone).date_naive();
    let at = today.iter_days().take(3).flat_map(|day| shown_at(day.and_time(time), zone)).find(|at| *at > now);
    at.map(|at| Until::at(at, now)).ok_or_else(wrong)
}

/// When the zone's clocks show `local`: twice where they are set back over it. Where they skip it, the moment in which they
/// do takes its place.
fn shown_at(local: NaiveDateTime, zone: Tz) -> Vec<DateTime<Utc>> {
    const SKIPPED_MINUTES_MAX: i64 = 24 * 60;
    let whole_minute = local.with_second(0).unwrap_or(local);
    let later = (0..=SKIPPED_MINUTES_MAX).map(|minutes| whole_minute + TimeDelta::minutes(minutes));
    let shown = match zone.from_local_datetime(&local) {
        LocalResult::None => {
            later.map(|later| zone.from_local_datetime(&later)).find(|shown| shown.earliest().is_some())
        }
        shown => Some(shown),
    };
    let shown = shown.map(|shown| [shown.earliest(), shown.latest()]);
    shown.into_iter().flatten().flatten().map(|at| at.with_timezone(&Utc)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_limit_is_a_duration_or_the_next_time_of_day() {
        let now: DateTime<Utc> = "2026-03-08T01:30:00Z".parse().unwrap();
        for (text, zone, expected) in [
            ("8h", Tz::UTC, "2026-03-08T09:30:00Z"),
            ("90m", Tz::UTC, "2026-03-08T03:00:00Z"),
            ("06:00", Tz::UTC, "2026-03-08T06:00:00Z"),
            ("01:30", Tz::UTC, "2026-03-09T01:30:00Z"),
            ("01:30:01", Tz::UTC, "2026-03-08T01:30:01Z"),
            ("06:00", Tz::Asia__Shanghai, "2026-03-08T22:00:00Z"),
            // New York has no 02:30 on this day: its clocks go from 02:00 to 03:00.
            ("02:30", Tz::America__New_York, "2026-03-08T07:00:00Z"),
            ("02:00:01", Tz::America__New_York, "2026-03-08T07:00:00Z"),
            ("03:00", Tz::America__New_York, "2026-03-08T07:00:00Z"),
            ("03:01", Tz::America__New_York, "2026-03-08T07:01:00Z"),
        ] {
            assert_eq!(
                until(text, now, zone).unwrap().time(),
                expected.parse::<DateTime<Utc>>().unwrap(),
                "{text} {zone}"
            );
        }
        for text in ["", "soon", "25:00", "8", "-1h"] {
            assert!(until(text, now, Tz::UTC).is_err(), "{text}");
        }
    }

    /// On this day Berlin's clocks show 02:30 at 00:30 UTC and, set back by an hour, at 01:30 UTC.
    #[test]
    fn a_time_of_day_that_comes_twice_is_the_next_of_the_two() {
        let next = |now: &str, text| until(text, now.parse().unwrap(), Tz::Europe__Berlin).unwrap().time();
        for (now, text, expected) in [
            ("2026-10-24T22:00:00Z", "02:30", "2026-10-25T00:30:00Z"),
            ("2026-10-25T00:30:00Z", "02:30", "2026-10-25T01:30:00Z"),
            ("2026-10-25T01:30:00Z", "02:30", "2026-10-26T01:30:00Z"),
            ("2026-10-25T00:45:00Z", "03:00", "2026-10-25T02:00:00Z"),
        ] {
            assert_eq!(next(now, text), expected.parse::<DateTime<Utc>>().unwrap(), "{now} {text}");
        }
    }

    /// Samoa had no 30 December 2011.
    #[test]
    fn a_time_of_a_day_that_is_left_out_is_the_end_of_that_day() {
        let now = "2011-12-30T09:59:00Z".parse().unwrap();
        let noon = until("00:00", now, Tz::Pacific__Apia).unwrap().time();
        assert_eq!(noon, "2011-12-30T10:00:00Z".parse::<DateTime<Utc>>().unwrap());
    }
}
