//! A run's report as text for a person.

use std::{fmt, time::Duration};

use chrono::{DateTime, Datelike as _};

use super::{
    Report,
    parts::{By, Date, ListedFile, Manifest, OfEndpoint, RejectedRow, SpotCheck},
};
use crate::{
    event::Refreshed,
    journal::DateListing,
    manifest::Lines,
    printable::Printable,
    words::{Count, size},
};

/// How many items of a list are told; the JSON has more of them.
pub(super) const TOLD_MAX: usize = 5;

/// The text for a terminal or a cron mail.
impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.write_manifest(f)?;
        self.write_requests(f)?;
        self.write_files(f)?;
        write!(f, "{}", self.texts)?;
        self.write_lists(f)?;
        if let Some(why) = &self.stopped {
            writeln!(f, "stopped early: {}", Printable(why))?;
        }
        if let Some(check) = self.spot_check.as_ref().filter(|check| !check.dates.is_empty() || check.landed_pages > 0)
        {
            let SpotCheck { dates, landed_pages, problems, .. } = check;
            let found = if problems.is_empty() { "sound".into() } else { Count(problems.len(), "PROBLEM").to_string() };
            let (dates, pages) = (Count(dates.len(), "date"), Count(*landed_pages, "landed page"));
            writeln!(f, "verified   {dates} and {pages}, as every night some others: {found}")?;
        }
        self.write_verdict(f)
    }
}

/// The last lines alone.
pub(super) struct Verdict<'a>(pub(super) &'a Report);

impl fmt::Display for Verdict<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.write_verdict(f)
    }
}

impl Report {
    fn write_manifest(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Manifest { rows, duplicates, rejected, done, absent, failed, pending, .. } = self.manifest;
        let found = self.discovered.as_ref();
        let (attendances, without_id) = found.map_or((0, 0), |found| (found.attendances, found.without_id()));
        let too_long = found.map_or(0, |found| found.too_long);
        let of = [(rows, "manifest rows"), (attendances, "attendances"), (too_long, "too long")];
        let parts = [
            (duplicates, "duplicate"),
            (rejected, "rejected"),
            (without_id, "without id"),
            (too_long, "too long"),
            (done, "done"),
            (absent, "absent"),
            (failed, "failed"),
            (pending, "pending"),
        ];
        match found {
            None => write!(f, "manifest   {}", Count(rows, "row"))?,
            Some(found) => write!(f, "{found}stays      {}", sum(&of).unwrap_or_else(|| "none".into()))?,
        }
        match sum(&parts) {
            Some(parts) => writeln!(f, " = {parts}")?,
            None => writeln!(f)?,
        }
        if let Some(offset) = &self.manifest.naive_times {
            writeln!(f, "           times without a zone are taken for {offset}")?;
        }
        if self.manifest.contradicting_duplicates > 0 {
            let count = self.manifest.contradicting_duplicates;
            writeln!(f, "           {count} duplicates give another meeting_end_time; the first row of each counts")?;
        }
        if self.manifest.pending_young > 0 {
            let count = self.manifest.pending_young;
            writeln!(
                f,
                "           {count} of the pending were not found yet, or had no samples; later runs ask again"
            )?;
        }
        if self.manifest.empty > 0 {
            writeln!(f, "           {} of the done have no samples", self.manifest.empty)?;
        }
        if self.manifest.early_ends > 0 {
            writeln!(
                f,
                "           {} of the done have samples that end early: later runs ask for them once more",
                self.manifest.early_ends
            )?;
        }
        for manifest in &self.manifest.without_rows {
            writeln!(f, "           {manifest} has no rows: is it the manifest that was meant?")?;
        }
        if self.manifest.unqueued > 0 {
            let count = self.manifest.unqueued;
            writeln!(f, "           {count} of the pending are not in the queue: the run ended before")?;
        }
        for file in self.manifest.files.iter().filter(|file| !file.ignored_columns.is_empty()) {
            let columns = file.ignored_columns.join(", ");
            writeln!(f, "           {}: columns not used: {}", Printable(&file.file), Printable(columns))?;
        }
        for (state, count) in &self.asked_again {
            writeln!(f, "           {count} of earlier manifests asked for again: {state}")?;
        }
        if let Some(counts) = &self.refreshed {
            let stays = counts.values().sum::<u64>();
            if stays == 0 && self.stopped.is_none() {
                writeln!(f, "refreshed  nothing: no settled stays of these dates are known")?;
                return Ok(());
            }
            write!(f, "refreshed  {}", Count(stays, "stay"))?;
            for (refreshed, count) in counts {
                write!(f, ", {count} {refreshed}")?;
            }
            writeln!(f)?;
        }
        Ok(())
    }

    fn write_requests(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "landed     {}, {}", Count(self.landed.pages, "page"), Count(self.landed.samples, "sample"))?;
        write!(f, "requests   {} sent", self.requests.sent)?;
        if self.discovered.is_some() {
            let of_endpoint = |(name, of): (&&str, &OfEndpoint)| format!("{} {name}", of.sent);
            let each: Vec<_> = self.requests.by_endpoint.iter().map(of_endpoint).collect();
            write!(f, " ({})", each.join(", "))?;
        }
        for (outcome, count) in &self.requests.by_outcome {
            write!(f, ", {count} {outcome}")?;
        }
        if self.requests.without_answer > 0 {
            write!(f, ", {} without an answer", self.requests.without_answer)?;
        }
        writeln!(f)?;
        write!(f, "time       {}", seconds(self.wall_seconds))?;
        write!(f, ", waited {} for quota", seconds(self.requests.quota_waited_seconds))?;
        if self.requests.refusals_waited_seconds > 0.0 {
            write!(f, ", {} for refusals to end", seconds(self.requests.refusals_waited_seconds))?;
        }
        if self.requests.outages_waited_seconds > 0.0 {
            write!(f, ", {} for outages to end", seconds(self.requests.outages_waited_seconds))?;
        }
        if self.discovered.is_some() {
            for (name, of) in &self.requests.by_endpoint {
                let share = of.quota_used.map(|share| format!(", {:.1} % of the quota of {name} used", share * 100.0));
                f.write_str(&share.unwrap_or_default())?;
            }
        } else if let Some(share) = self.requests.quota_used {
            write!(f, ", {:.1} % of the quota used", share * 100.0)?;
        }
        writeln!(f, ", {}", Count(self.requests.token_renewals, "access token"))
    }

    fn write_files(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (rows, bytes) =
            self.files.iter().fold((0, 0), |(rows, bytes), file| (rows + file.rows, bytes + file.bytes));
        if !self.only_lists {
            let (files, rows) = (Count(self.files.len(), "file"), Count(rows, "row"));
            writeln!(f, "published  {files}, {rows}, {}", size(bytes))?;
        } else if !self.listed_files.is_empty() {
            writeln!(f, "published  {} of meetings and participants", Count(self.listed_files.len(), "file"))?;
        }
        for file in self.files.iter().take(TOLD_MAX) {
            let by = if file.by == By::ThisRun { "" } else { ", by another run" };
            writeln!(f, "           date={}: {}{by}", file.date, Count(file.rows, "row"))?;
        }
        for ListedFile { dataset, date, rows, .. } in self.listed_files.iter().take(TOLD_MAX) {
            writeln!(f, "           {dataset} date={date}: {}", Count(*rows, "row"))?;
        }
        let told = self.files.len().min(TOLD_MAX) + self.listed_files.len().min(TOLD_MAX);
        write_rest(f, (self.files.len() + self.listed_files.len() - told) as u64)?;
        match &self.empty_dataset {
            Some(folder) => write_query_of_empty(f, folder),
            None => Ok(()),
        }
    }

    fn write_lists(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for row in self.rejects.iter().take(TOLD_MAX) {
            let lines = Lines { first: row.line, last: row.last_line };
            write!(f, "rejected   {}:{lines}: {}", Printable(&row.file), Printable(&row.reason))?;
            writeln!(f, "{}", Printable(self.whose(row)))?;
        }
        write_rest(f, self.rejects.len().saturating_sub(TOLD_MAX) as u64)?;
        if let Some(path) = &self.rejects_file {
            writeln!(f, "           all rejects: {}; mended, it can be given back as a manifest", Printable(path))?;
        }
        for stay in self.failures.iter().take(TOLD_MAX) {
            let id = stay.user_id.as_ref().or(stay.room_id.as_ref());
            let begin = self.local_time(stay.meeting_start_time);
            write!(f, "failed     meeting {} of {begin}, ", stay.meeting_no)?;
            write!(f, "{}: {}", Printable(id.map(String::as_str).unwrap_or_default()), Printable(&stay.reason))?;
            match &stay.log_id {
                Some(log_id) => writeln!(f, " (log id {})", Printable(log_id))?,
                None => writeln!(f)?,
            }
        }
        let failed = self.manifest.failed + self.refreshed_as(Refreshed::Failed);
        write_rest(f, failed.saturating_sub(self.failures.len().min(TOLD_MAX) as u64))
    }

    /// The row's meeting and participant, so far as it has them.
    fn whose(&self, row: &RejectedRow) -> String {
        let begin = row
            .meeting_start_time
            .as_deref()
            .map(|text| text.parse().map_or_else(|_| text.to_owned(), |begin_s| self.local_time(begin_s)));
        let meeting = row.meeting_no.as_ref().map(|number| match begin {
            Some(begin) => format!("meeting {number} of {begin}"),
            None => format!("meeting {number}"),
        });
        let parts: Vec<_> =
            [meeting.as_ref(), row.user_id.as_ref(), row.room_id.as_ref()].into_iter().flatten().cloned().collect();
        if parts.is_empty() { String::new() } else { format!(" ({})", parts.join(", ")) }
    }

    /// A time by the clocks of the report's zone, or in seconds where no calendar has it.
    fn local_time(&self, unix_s: i64) -> String {
        let time = DateTime::from_timestamp(unix_s, 0).filter(|time| (1970..=9999).contains(&time.year()));
        time.map_or_else(
            || format!("{unix_s} s"),
            |time| time.with_timezone(&self.zone).format("%Y-%m-%d %H:%M").to_string(),
        )
    }

    /// The last lines: what a person has to know who reads nothing else.
    fn write_verdict(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.only_lists {
            let is_listed = |date: &&Date| date.listing.is_some_and(|listing| listing != DateListing::Unlisted.name());
            let listed = self.dates.iter().filter(is_listed).count();
            return writeln!(f, "verdict    {listed} of {}", are_dates(self.dates.len(), "listed"));
        }
        if self.dates.is_empty() {
            let why = if self.manifest.rejected > 0 { "" } else { ": nothing was to be done" };
            writeln!(f, "verdict    no stays{why}")?;
        } else {
            self.write_completeness(f)?;
        }
        let refused = self.manifest.rejected - self.manifest.beyond_mending.min(self.manifest.rejected);
        if refused > 0 {
            let at = self.rejects_file.as_ref().map(|path| format!(": mend {}", Printable(path))).unwrap_or_default();
            let were = if refused == 1 { "was" } else { "were" };
            writeln!(f, "           {} {were} refused{at}", Count(refused, "row"))?;
        }
        Ok(())
    }

    /// How many dates are complete, and which are not.
    fn write_completeness(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let complete = self.dates.iter().filter(|date| date.complete).count();
        write!(f, "verdict    {complete} of {}", are_dates(self.dates.len(), "complete"))?;
        let open = self.dates.iter().filter(|date| date.is_only_open()).count();
        if open > 0 {
            let are = if open == 1 { "is open: later runs list it" } else { "are open: later runs list them" };
            write!(f, ", {open} {are} again")?;
        }
        let others = self.dates.iter().filter(|date| !date.complete && !date.is_only_open());
        let others: Vec<_> = others.collect();
        if !others.is_empty() {
            let named: Vec<_> = others.iter().take(TOLD_MAX).map(|date| date.date.to_string()).collect();
            write!(f, "; not complete: {}", named.join(", "))?;
            if others.len() > TOLD_MAX {
                write!(f, " and {} more, in the report", others.len() - TOLD_MAX)?;
            }
        }
        writeln!(f)?;
        write_reasons(f, &others)
    }
}

/// Why dates are not complete.
fn write_reasons(f: &mut fmt::Formatter<'_>, dates: &[&Date]) -> fmt::Result {
    for date in dates.iter().take(TOLD_MAX) {
        let left = [(date.pending, "pending"), (date.failed, "failed")];
        let problems = date.problems.first().map(|problem| Printable(problem).to_string());
        let reasons: Vec<_> = problems.into_iter().chain(sum(&left)).collect();
        if !reasons.is_empty() {
            writeln!(f, "           {}: {}", date.date, reasons.join("; "))?;
        }
    }
    Ok(())
}

fn are_dates(count: usize, what: &str) -> String {
    if count == 1 { format!("1 date is {what}") } else { format!("{count} dates are {what}") }
}

/// The terms that are not zero; none if all of them are.
fn sum(terms: &[(u64, &str)]) -> Option<String> {
    let there = terms.iter().filter(|(count, _)| *count > 0);
    let there: Vec<_> = there.map(|(count, what)| format!("{count} {what}")).collect();
    (!there.is_empty()).then(|| there.join(" + "))
}

/// Says that a list goes on.
pub(super) fn write_rest(f: &mut fmt::Formatter<'_>, more: u64) -> fmt::Result {
    if more == 0 { Ok(()) } else { writeln!(f, "           … {more} more in the report") }
}

/// DuckDB fails where no file matches; a query that looks first does not.
fn write_query_of_empty(f: &mut fmt::Formatter<'_>, folder: &str) -> fmt::Result {
    let glob = format!("{folder}/*/*.parquet").replace('\'', "''");
    let within = glob.replace('\'', "''");
    writeln!(
        f,
        "           the dataset is empty so far, where `read_parquet` fails; in DuckDB this works either way:"
    )?;
    writeln!(
        f,
        "           SET VARIABLE quality = (SELECT if(count(*) > 0, 'FROM read_parquet(''{within}'', hive_partitioning = \
         true)', 'SELECT NULL::DATE AS date WHERE false') FROM glob('{glob}'));"
    )?;
    writeln!(f, "           SELECT date, count(*) FROM query(getvariable('quality')) GROUP BY date;")
}

fn seconds(seconds: f64) -> String {
    let duration = Duration::try_from_secs_f64(seconds.max(0.0).round()).unwrap_or(Duration::MAX);
    humantime::format_duration(duration).to_string()
}
