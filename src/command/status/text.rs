//! The status as text, for a terminal of 80 columns: a calendar with a line for each month, and a table of dates.

use std::{fmt, time::Duration};

use chrono::Datelike;

use super::{DateStatus, Discovery, Queue, Requests, Status};
use crate::{access::sign_in::write_sign_in, words::Count};

/// Dates that the table shows at most, complete or not; `--json` lists all.
const ROWS_MAX: usize = 100;

/// Problems that are told one by one; `vcq verify` tells all.
const PROBLEMS_MAX: usize = 20;

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.write_calendar(f)?;
        self.write_table(f)?;
        self.write_problems(f)?;
        let Queue { nightly, backfill, aside } = self.queue;
        let time = humantime::format_duration(Duration::from_secs(self.seconds_left));
        writeln!(f, "queue       {nightly} nightly, {backfill} backfill: at least {time}")?;
        if aside > 0 {
            writeln!(f, "            of these, {aside} set aside by an alarm, for a run that names them")?;
        }
        if let Some(discovery) = &self.discovery {
            let Discovery { closed, open, unlisted, meetings, attendances, .. } = discovery;
            writeln!(
                f,
                "discovered  {} closed, {open} open, {unlisted} not listed as a whole",
                Count(*closed, "date")
            )?;
            let attendances = Count(*attendances, "attendance");
            writeln!(f, "            {}, {attendances}", Count(*meetings, "meeting"))?;
            let Discovery { meetings_queued, participants_queued, .. } = discovery;
            if meetings_queued + participants_queued > 0 {
                writeln!(
                    f,
                    "            to be listed: {meetings_queued} dates, participants of {participants_queued} meetings"
                )?;
            }
        }
        write_sign_in(f, "sign-in     ", self.sign_in.as_ref())?;
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
        let unseen = if self.dates.iter().any(|date| date.unseen) { "  ? not seen" } else { "" };
        writeln!(f, "            # complete  o not yet  ! failed or missing  . no stays{unseen}\n")
    }

    /// A row for each date that is not complete, and for all if that is asked for; columns of zeros are left out.
    fn write_table(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut sum = DateStatus::default();
        self.dates.iter().for_each(|date| sum.add(date));
        let columns: Vec<_> = COLUMNS.iter().filter(|column| column.is_told || (column.of)(&sum) > 0).collect();
        let told: Vec<_> = self.dates.iter().filter(|date| self.tells_all || !date.complete).collect();
        if !self.dates.is_empty() {
            write!(f, "date        ")?;
            columns.iter().try_for_each(|Column { name, width, .. }| write!(f, " {name:>width$}"))?;
            writeln!(f)?;
        }
        for date in told.iter().take(ROWS_MAX) {
            date.write_row(f, &format!("{} {}", date.date, date.mark()), &columns)?;
        }
        if told.len() > ROWS_MAX {
            writeln!(f, "            and {} more dates: `vcq status --json` lists all", told.len() - ROWS_MAX)?;
        }
        if told.len() > 1 || told.len() < self.dates.len() {
            sum.write_row(f, "all         ", &columns)?;
        }
        if !self.dates.is_empty() {
            let complete = self.dates.iter().filter(|date| date.complete).count();
            let hint = if told.len() < self.dates.len() { "; `--all` shows them too" } else { "" };
            let are = if self.dates.len() == 1 { "is" } else { "are" };
            writeln!(f, "            {complete} of {} {are} complete{hint}", Count(self.dates.len(), "date"))?;
        }
        if sum.refreshing > 0 {
            writeln!(f, "            {} done stays are asked for again", sum.refreshing)?;
        }
        if sum.early_ends > 0 {
            writeln!(
                f,
                "            {} done stays have samples that end early: they are asked for once more when their meetings are no \
                 longer young",
                sum.early_ends
            )?;
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
            Self { unseen: true, .. } => '?',
            Self { problems, files: 0, .. } if !problems.is_empty() => 'o',
            Self { problems, .. } if !problems.is_empty() => '!',
            Self { complete: true, .. } => '#',
            _ => 'o',
        }
    }

    fn add(&mut self, other: &Self) {
        let Self { done, absent, rejected, failed, pending, refreshing, early_ends, samples, files, .. } = other;
        self.done += done;
        self.absent += absent;
        self.rejected += rejected;
        self.failed += failed;
        self.pending += pending;
        self.refreshing += refreshing;
        self.early_ends += early_ends;
        self.samples += samples;
        self.files += files;
    }

    fn write_row(&self, f: &mut fmt::Formatter<'_>, name: &str, columns: &[&Column]) -> fmt::Result {
        write!(f, "{name}")?;
        for Column { width, of, .. } in columns {
            write!(f, " {:>width$}", of(self))?;
        }
        writeln!(f)
    }
}

/// A column of the table of dates.
struct Column {
    name: &'static str,
    width: usize,
    of: fn(&DateStatus) -> u64,
    /// Whether it is there although all of it is zero.
    is_told: bool,
}

const COLUMNS: [Column; 7] = [
    Column { name: "done", width: 9, of: |date| date.done, is_told: true },
    Column { name: "absent", width: 8, of: |date| date.absent, is_told: false },
    Column { name: "rejected", width: 8, of: |date| date.rejected, is_told: false },
    Column { name: "failed", width: 7, of: |date| date.failed, is_told: false },
    Column { name: "pending", width: 9, of: |date| date.pending, is_told: true },
    Column { name: "samples", width: 11, of: |date| date.samples, is_told: true },
    Column { name: "files", width: 5, of: |date| date.files, is_told: true },
];

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use chrono::NaiveDate;

    use super::*;
    use crate::{dates::Dates, error::ExitCode};

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
        let queue = Queue { nightly: 5, backfill: 95, aside: 2 };
        Status { dates, queue, discovery: None, requests, seconds_left: 61, sign_in: None, tells_all: false }
    }

    #[test]
    fn a_calendar_a_table_and_the_queue_fit_a_terminal() {
        let dates = vec![date("2026-01-31", 0, 0), date("2026-02-01", 3, 0), date("2026-02-28", 1, 2)];
        insta::assert_snapshot!(status(dates), @r"
                    1   5    10   15   20   25   30
        2026-01     ..............................#
        2026-02     o..........................!
                    # complete  o not yet  ! failed or missing  . no stays

        date              done  failed   pending     samples files
        2026-02-01 o        10       0         3         300     1
        2026-02-28 !        10       2         1         300     1
        all                 30       2         4         900     3
                    1 of 3 dates are complete; `--all` shows them too
        queue       5 nightly, 95 backfill: at least 1m 1s
                    of these, 2 set aside by an alarm, for a run that names them
        requests    99 in the last minute, 1234 today, 5678 of 100000 this month (UTC+8)
        ");
    }

    #[test]
    fn the_exit_code_says_whether_dates_are_complete() {
        let dates = || vec![date("2026-01-01", 0, 0), date("2026-01-02", 0, 3), date("2026-01-03", 1, 0)];
        for (named, code) in [
            ("2026-01-01..2026-01-01", ExitCode::Complete),
            ("2026-01-02..2026-01-02", ExitCode::SomeFailed),
            ("2026-01-01..2026-01-02", ExitCode::SomeFailed),
            ("2026-01-03..2026-01-03", ExitCode::Again),
            ("2026-01-01..2026-01-03", ExitCode::Again),
            ("2026-01-04..2026-01-04", ExitCode::Again),
        ] {
            let (first, last) = named.split_once("..").unwrap();
            let named_dates = Dates { first: first.parse().unwrap(), last: last.parse().unwrap() };
            let shown = status(dates()).showing(Some(named_dates), false);
            assert_eq!(shown.exit_code(), code, "{named}");
            assert_eq!(shown.dates.len(), named_dates.each().count(), "{named}");
        }
    }

    #[test]
    fn of_many_dates_the_table_has_those_that_are_not_complete() {
        let first: NaiveDate = "2024-01-01".parse().unwrap();
        let pending = |n: usize| u64::from(n % 100 == 50);
        let dates = first.iter_days().take(800).enumerate().map(|(n, day)| date(&day.to_string(), pending(n), 0));
        let text = status(dates.collect()).to_string();
        assert_eq!(text.lines().filter(|line| line.starts_with("202")).count(), 27 + 8, "{text}");
        assert!(text.lines().all(|line| line.len() <= 80), "{text}");
        assert!(text.contains("792 of 800 dates are complete; `--all` shows them too"), "{text}");
        let pending = first.iter_days().take(800).map(|day| date(&day.to_string(), 1, 0));
        let text = status(pending.collect()).to_string();
        assert!(text.contains("and 700 more dates") && text.lines().count() < 140, "{text}");
    }
}
