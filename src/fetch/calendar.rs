//! The calendar of the quota: days and months as the API counts them.

use chrono::{DateTime, Datelike, FixedOffset, Months, NaiveDate, Utc};

/// The API counts months in China's time.
const QUOTA_OFFSET: FixedOffset = FixedOffset::east_opt(8 * 3600).expect("eight hours are an offset");

/// The day of the quota's calendar, as days since 1970-01-01.
pub fn quota_day(now: DateTime<Utc>) -> i32 {
    now.with_timezone(&QUOTA_OFFSET).date_naive().to_epoch_days()
}

/// The first and the last day of the quota's month, as days since 1970-01-01, and the date on which the next begins.
pub fn quota_month(now: DateTime<Utc>) -> (i32, i32, NaiveDate) {
    let today = now.with_timezone(&QUOTA_OFFSET).date_naive();
    let first = today.with_day(1).expect("every month has a first day");
    let next = first.checked_add_months(Months::new(1)).expect("the calendar goes on after this month");
    (first.to_epoch_days(), next.to_epoch_days() - 1, next)
}
