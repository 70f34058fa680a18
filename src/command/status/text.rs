//! The status as text, for a terminal of 80 columns: a calendar with a line for each month, and a table of dates.

use std::{fmt, time::Duration};

use chrono::Datelike;

use super::{DateStatus, Discovery, Queue, Requests, Status};

/// With more dates than a month has, the table leaves out the complete ones: the calendar shows them.
const DATES_MAX: usize = 31;

/// Dates that the table shows at most, complete or not; `--json` lists all.
const ROWS_MAX: usize = 100;

/// Problems that are told one by one; `vcq verify` tells all.
const PROBLEMS_MAX: usize = 20;

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.write_calendar(f)?;
        self.write_table(f)?;
        self.write_problems(f)?;
        let Queue { nightly, backfill } = self.queue;
        let time = humantime::format_duration(Duration::from_secs(self.seconds_left));
        writeln!(f, "queue       {nightly} nightly, {backfill} backfill: at least {time}")?;
        if let Some(discovery) = &self.discovery {
            let Discovery { closed, open, unlisted, meetings, attendances, .. } = discovery;
            writeln!(f, "discovered  {closed} dates closed, {open} open, {unlisted} not listed as a whole")?;
            writeln!(f, "            {meetings} meetings, {attendances} attendances")?;
            let Discovery { meetings_queued, participants_queued, .. } = discovery;
            if meetings_queued + participants_queued > 0 {
                writeln!(
                    f,
                    "            to be listed: {meetings_queued} dates, participants of {participants_queued} meetings"
                )?;
            }
        }
        let Requests { last_minute, today, this_month, requests_per_month, .. } = &self.requests;
        let limit = requests_per_month.map(|limit| format!(" of {limit}")).unwrap_or_default();
        writeln!(
            f,
            "requests    {last_minute} in the last minute, {today} today, {this_month}{limit} this month (UTC+8)"
        )
    }
}

impl Status {
    /// A line for each month that has stays, a character for each day.
    fn write_calendar(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let month_of = |date: &DateStatus| (date.date.year(), date.date.month());
        if self.dates.is_empty() {
            return writeln!(f, "no stays yet");
        }
        writeln!(f, "            1   5    10   15   20   25   30")?;
        for dates in self.dates.chunk_by(|a, b| month_of(a) == month_of(b)) {
            let first = dates[0].date;
            let days = first.num_days_in_month();
            let mut line = vec!['.'; usize::from(days)];
            for date in dates {
                line[date.date.day0() as usize] = date.mark();
            }
            writeln!(f, "{}     {}", first.format("%Y-%m"), line.iter().collect::<String>())?;
        }
        writeln!(f, "            # complete  o not yet  ! failed or missing  . no stays\n")
    }

    fn write_table(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "date         {:>9} {:>8} {:>8} {:>7} {:>9} {:>11} {:>5}",
            "done", "absent", "rejected", "failed", "pending", "samples", "files"
        )?;
        let leaves_out = self.dates.len() > DATES_MAX;
        let mut hidden = 0;
        let mut shown = 0;
        let mut sum = DateStatus::default();
        for date in &self.dates {
            sum.add(date);
            if shown == ROWS_MAX || (leaves_out && date.complete) {
                hidden += 1;
                continue;
            }
            shown += 1;
            date.write_row(f, &format!("{} {}", date.date, date.mark()))?;
        }
        if hidden > 0 {
            writeln!(f, "            and {hidden} more dates: `vcq status --json` lists all")?;
        }
        if !self.dates.is_empty() {
            sum.write_row(f, "all         ")?;
        }
        if sum.refreshing > 0 {
            writeln!(f, "            {} done stays are asked for again by --refresh", sum.refreshing)?;
        }
        Ok(())
    }
}

impl Status {
    /// What is not on disk as it should be.
    fn write_problems(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut problems = self.dates.iter().flat_map(|date| date.problems.iter().map(|problem| (date.date, problem)));
        for (date, problem) in problems.by_ref().take(PROBLEMS_MAX) {
            writeln!(f, "problem     {date}  {problem}")?;
        }
        match problems.count() {
            0 => Ok(()),
            more => writeln!(f, "            and {more} more: `vcq verify` lists all, with remedies"),
        }
    }
}

impl DateStatus {
    /// The date in the calendar.
    fn mark(&self) -> char {
        match self {
            Self { failed: 1.., .. } => '!',
            Self { problems, files: 0, .. } if !problems.is_empty() => 'o',
            Self { problems, .. } if !problems.is_empty() => '!',
            Self { complete: true, .. } => '#',
            _ => 'o',
        }
    }

    fn add(&mut self, other: &Self) {
        let Self { done, absent, rejected, failed, pending, refreshing, samples, files, .. } = other;
        self.done += done;
        self.absent += absent;
        self.rejected += rejected;
        self.failed += failed;
        self.pending += pending;
        self.refreshing += refreshing;
        self.samples += samples;
        self.files += files;
    }

    fn write_row(&self, f: &mut fmt::Formatter<'_>, name: &str) -> fmt::Result {
        let Self { done, absent, rejected, failed, pending, samples, files, .. } = self;
        writeln!(f, "{name} {done:>9} {absent:>8} {rejected:>8} {failed:>7} {pending:>9} {samples:>11} {files:>5}")
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use chrono::NaiveDate;

    use super::*;

    fn date(text: &str, pending: u64, failed: u64) -> DateStatus {
        let date = text.parse().unwrap();
        let complete = pending + failed == 0;
        DateStatus { date, done: 10, pending, failed, samples: 300, files: 1, complete, ..DateStatus::default() }
    }

    fn status(dates: Vec<DateStatus>) -> Status {
        let requests = Requests {
            last_minute: 99,
            today: 1234,
            this_month: 5678,
            this_month_by_endpoint: BTreeMap::new(),
            requests_per_month: Some(100_000),
        };
        Status { dates, queue: Queue { nightly: 5, backfill: 95 }, discovery: None, requests, seconds_left: 61 }
    }

    #[test]
    fn a_calendar_a_table_and_the_queue_fit_a_terminal() {
        let dates = vec![date("2026-01-31", 0, 0), date("2026-02-01", 3, 0), date("2026-02-28", 1, 2)];
        insta::assert_snapshot!(status(dates), @r"
                    1   5    10   15   20   25   30
        2026-01     ..............................#
        2026-02     o..........................!
                    # complete  o not yet  ! failed or missing  . no stays

        date              done   absent rejected  failed   pending     samples files
        2026-01-31 #        10        0        0       0         0         300     1
        2026-02-01 o        10        0        0       0         3         300     1
        2026-02-28 !        10        0        0       2         1         300     1
        all                 30        0        0       2         4         900     3
        queue       5 nightly, 95 backfill: at least 1m 1s
        requests    99 in the last minute, 1234 today, 5678 of 100000 this month (UTC+8)
        ");
    }

    #[test]
    fn of_many_dates_the_table_has_those_that_are_not_complete() {
        let first: NaiveDate = "2024-01-01".parse().unwrap();
        let pending = |n: usize| u64::from(n % 100 == 50);
        let dates = first.iter_days().take(800).enumerate().map(|(n, day)| date(&day.to_string(), pending(n), 0));
        let text = status(dates.collect()).to_string();
        assert_eq!(text.lines().filter(|line| line.starts_with("202")).count(), 27 + 8, "{text}");
        assert!(text.lines().all(|line| line.len() <= 80), "{text}");
        assert!(text.contains("and 792 more dates"), "{text}");
        let pending = first.iter_days().take(800).map(|day| date(&day.to_string(), 1, 0));
        let text = status(pending.collect()).to_string();
        assert!(text.contains("and 700 more dates") && text.lines().count() < 140, "{text}");
    }
}
