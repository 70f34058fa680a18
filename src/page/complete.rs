//! Is it complete? A calendar of what is published, and the same as a table.

use chrono::{Datelike as _, NaiveDate, Weekday};

use super::{
    number::{count, percent_complete, whole_percent_complete},
    period_name,
    table::{Cell, Table},
    texts::{Texts, fill},
};
use crate::{
    figures::{Complete, Coverage, Figures, Period},
    printable::Printable,
};

/// A month of the calendar.
pub(super) struct Month {
    pub(super) name: String,
    /// From Monday to Sunday.
    pub(super) weeks: Vec<[Option<Day>; 7]>,
}

/// A date of the calendar.
pub(super) struct Day {
    pub(super) number: u32,
    pub(super) class: &'static str,
    pub(super) below: String,
    pub(super) title: String,
}

/// The months of the dates; empty if there are too many dates to be shown one by one.
pub(super) fn calendar(figures: &Figures, texts: &Texts) -> Vec<Month> {
    let mut months: Vec<Month> = Vec::new();
    if figures.period == Period::Month {
        return months;
    }
    for date in &figures.complete.dates {
        let name = date.date.format("%Y-%m").to_string();
        if months.last().is_none_or(|month| month.name != name) {
            months.push(Month { name, weeks: Vec::new() });
        }
        let Some(month) = months.last_mut() else { continue };
        if month.weeks.is_empty() || date.date.weekday() == Weekday::Mon {
            month.weeks.push(Default::default());
        }
        if let Some(week) = month.weeks.last_mut() {
            week[date.date.weekday().num_days_from_monday() as usize] = Some(day(date.date, &date.coverage, texts));
        }
    }
    months
}

fn day(date: NaiveDate, coverage: &Coverage, texts: &Texts) -> Day {
    let (class, below) = match coverage.share() {
        _ if coverage.minutes == 0 && coverage.stays_expected.unwrap_or_default() == 0 => ("none", String::new()),
        Some(share) => (class(share), whole_percent_complete(share)),
        None => ("some", count(coverage.minutes)),
    };
    let title = format!("{date}: {} {}", count(coverage.minutes), texts.minutes);
    Day { number: date.day(), class, below, title }
}

fn class(share: f64) -> &'static str {
    match share {
        _ if share >= 1.0 => "full",
        _ if share >= 0.9 => "most",
        _ if share >= 0.5 => "half",
        _ => "few",
    }
}

/// What is published, date by date, or of very many dates month by month.
pub(super) fn by_date(figures: &Figures, texts: &Texts) -> Table {
    let Complete { total, has_meetings, has_participants, .. } = figures.complete;
    let by_month = figures.period == Period::Month;
    let mut columns =
        vec![if by_month { texts.period } else { texts.date }, texts.minutes, texts.stays, texts.meetings];
    columns.extend(has_meetings.then_some(texts.meetings_listed));
    if has_participants {
        columns.extend([texts.attendances, texts.without_id, texts.too_long, texts.expected, texts.found, texts.share]);
    }
    columns.push(texts.unparsed);
    let row = |name: String, of: &Coverage| {
        let mut row = vec![Cell::text(name).classed("date")];
        row.extend([of.minutes, of.stays, of.meetings].map(|number| Cell::number(count(number))));
        let optional = |number: Option<u64>| Cell::number(number.map_or_else(String::new, count));
        row.extend(has_meetings.then(|| optional(of.meetings_listed)));
        if has_participants {
            let told =
                [of.attendances, of.attendances_without_id, of.attendances_too_long, of.stays_expected, of.stays_found];
            row.extend(told.map(optional));
            row.push(Cell::number(percent_complete(of.share())));
        }
        row.push(Cell::number(count(of.unparsed)));
        row
    };
    let mut rows = vec![row(texts.total.to_owned(), &total)];
    if by_month {
        rows.extend(by_months(figures).iter().map(|(name, of)| row(name.clone(), of)));
    } else {
        rows.extend(figures.complete.dates.iter().map(|date| row(date.date.to_string(), &date.coverage)));
    }
    let heading = if by_month { texts.by_period } else { texts.by_date }.to_owned();
    Table { heading, columns, rows, ..Table::default() }
}

fn by_months(figures: &Figures) -> Vec<(String, Coverage)> {
    let mut months: Vec<(String, Coverage)> = Vec::new();
    for date in &figures.complete.dates {
        let name = period_name(Period::Month, date.date, date.date);
        match months.last_mut().filter(|(last, _)| *last == name) {
            Some((_, coverage)) => *coverage = coverage.plus(&date.coverage),
            None => months.push((name, date.coverage)),
        }
    }
    months
}

/// Texts that could not be read.
pub(super) fn unparsed(figures: &Figures, texts: &Texts) -> Table {
    let row = |(column, number): (&String, &u64)| {
        vec![Cell::text(Printable(column).to_string()), Cell::number(count(*number))]
    };
    Table {
        heading: texts.unparsed_heading.to_owned(),
        columns: vec![texts.column, texts.unread],
        rows: figures.complete.unparsed.iter().map(row).collect(),
        ..Table::default()
    }
}

/// What files do not tell.
pub(super) fn not_told(complete: &Complete, texts: &Texts) -> Vec<String> {
    let mut told = vec![texts.not_told_queue.to_owned(), texts.not_told_unknown.to_owned()];
    told.extend((complete.other_files > 0).then(|| fill(texts.not_told_others, &[&count(complete.other_files)])));
    told.extend((!complete.has_participants).then(|| texts.not_told_participants.to_owned()));
    told.extend((!complete.has_meetings).then(|| texts.not_told_meetings.to_owned()));
    told
}
