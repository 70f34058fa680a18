//! Figures → the page: one file of HTML that needs nothing else. Pure.
//!
//! The page is whole without a script, has none, and lets nothing be loaded. The template escapes whatever it is given but
//! the style sheet and the pictures, and pictures hold dates and numbers alone.

use askama::Template;
use chrono::{DateTime, NaiveDate, Utc};
use chrono_tz::Tz;

use self::{
    complete::Month,
    good::Plot,
    number::{count, decimal, percent, percent_complete, points},
    table::{Cell, Table},
    texts::{Texts, fill},
    when::HeatRow,
};
use crate::{
    config::{DEFAULTS, Limits},
    figures::{Cause, Figures, Period, Verdict},
};

mod complete;
mod good;
mod number;
mod place;
mod plot;
mod table;
mod texts;
mod when;

/// The language of the page's texts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Language {
    /// English.
    #[default]
    English,
    /// Chinese, simplified.
    Chinese,
}

/// Everything that stands on the page.
#[derive(Template)]
#[template(path = "page.html")]
struct Page {
    texts: &'static Texts,
    style: &'static str,
    dates: String,
    zone: String,
    written: String,
    answers: Vec<Answer>,
    has_minutes: bool,
    bad_means: String,
    months: Vec<Month>,
    weekdays: Vec<&'static str>,
    calendar_note: &'static str,
    by_date: Table,
    unparsed: Table,
    not_told: Vec<String>,
    against: String,
    is_compared: bool,
    causes: Table,
    metrics: Table,
    plots: Vec<Plot>,
    heat: Vec<HeatRow>,
    without_time: Option<String>,
    meetings: Table,
    people: [Table; 2],
    joined: Option<String>,
    groups: Vec<Table>,
    limits: Table,
    about: String,
    version: &'static str,
}

/// The answer to one of the four questions, in short.
struct Answer {
    anchor: &'static str,
    question: &'static str,
    short: String,
    lines: Vec<String>,
}

/// Writes the page of `figures`, as of `written_at`.
pub fn page(figures: &Figures, written_at: DateTime<Utc>, language: Language) -> String {
    let texts = Texts::of(language);
    let complete = &figures.complete;
    let zone: Tz = figures.timezone.parse().unwrap_or(Tz::UTC);
    let [joined, all] = [figures.place.joined.minutes, figures.good.tally.minutes].map(count);
    let page = Page {
        texts,
        style: include_str!("page/page.css"),
        dates: period_name(Period::Week, figures.first, figures.last),
        zone: figures.timezone.clone(),
        written: written_at.with_timezone(&zone).format("%Y-%m-%d %H:%M").to_string(),
        answers: answers(figures, texts),
        has_minutes: figures.good.tally.minutes > 0,
        bad_means: fill(texts.bad_means, &[&count(figures.minutes_min)]),
        months: complete::calendar(figures, texts),
        weekdays: texts.weekdays.split(' ').collect(),
        calendar_note: if complete.has_participants { texts.calendar_share } else { texts.calendar_minutes },
        by_date: complete::by_date(figures, texts),
        unparsed: complete::unparsed(figures, texts),
        not_told: complete::not_told(complete, texts),
        against: against(figures, texts),
        is_compared: figures.against.is_some(),
        causes: good::causes(figures, texts),
        metrics: good::metrics(figures, texts),
        plots: good::plots(figures, texts),
        heat: when::heat(figures, texts),
        without_time: (figures.minutes_without_time > 0)
            .then(|| fill(texts.without_time, &[&count(figures.minutes_without_time)])),
        meetings: place::meetings(figures, texts),
        people: place::people(figures, texts),
        joined: complete.has_participants.then(|| fill(texts.joined, &[&joined, &all])),
        groups: place::groups(figures, texts),
        limits: limits(&figures.limits, texts),
        about: fill(texts.about_text, &[&count(complete.files)]),
        version: figures.vcq_version,
    };
    page.render().expect("a string takes all there is memory for")
}

/// The four answers.
fn answers(figures: &Figures, texts: &'static Texts) -> Vec<Answer> {
    let answer = |anchor, question, found: Option<(String, Vec<String>)>| {
        let (short, lines) = found.unwrap_or_else(|| ("–".to_owned(), vec![texts.nothing.to_owned()]));
        Answer { anchor, question, short, lines }
    };
    let none = |is_ranked: bool| {
        let few = || fill(texts.too_few, &[&count(figures.minutes_min)]);
        ("–".to_owned(), vec![if is_ranked { texts.nothing_bad.to_owned() } else { few() }])
    };
    let has_minutes = figures.good.tally.minutes > 0;
    let when = when::worst(figures).map(|(name, tally)| {
        let shares = [tally, figures.good.tally].map(|tally| percent(tally.bad_share()));
        (name, vec![fill(texts.when_worst, &[&shares[0], &count(tally.minutes), &shares[1]])])
    });
    let place = place::worst(figures, texts).map(|(name, tally)| {
        let shares = [tally, figures.good.tally].map(|tally| percent(tally.bad_share()));
        (name, vec![fill(texts.where_worst, &[&shares[0], &count(tally.minutes), &shares[1]])])
    });
    vec![
        answer("complete", texts.question_complete, complete_answer(figures, texts)),
        answer("good", texts.question_good, has_minutes.then(|| good_answer(figures, texts))),
        answer(
            "when",
            texts.question_when,
            has_minutes.then(|| when.unwrap_or_else(|| none(when::is_ranked(figures)))),
        ),
        answer(
            "where",
            texts.question_where,
            has_minutes.then(|| place.unwrap_or_else(|| none(place::is_ranked(figures)))),
        ),
    ]
}

fn complete_answer(figures: &Figures, texts: &Texts) -> Option<(String, Vec<String>)> {
    let total = &figures.complete.total;
    let dates = &figures.complete.dates;
    let with_minutes = dates.iter().filter(|date| date.coverage.minutes > 0).count() as u64;
    let [minutes, with_minutes, all] = [total.minutes, with_minutes, dates.len() as u64].map(count);
    let mut lines = vec![fill(texts.complete_minutes, &[&minutes, &with_minutes, &all])];
    if total.unparsed > 0 {
        lines.push(fill(texts.complete_unparsed, &[&count(total.unparsed)]));
    }
    let short = match (total.stays_found, total.stays_expected) {
        (Some(found), Some(expected)) if expected > 0 => {
            lines.insert(0, fill(texts.complete_share, &[&count(found), &count(expected)]));
            // Dates without any minutes may lack participations, too.
            let of_dates = if with_minutes == all { String::new() } else { format!(" · {with_minutes} / {all}") };
            format!("{}{of_dates}", percent_complete(total.share()))
        }
        _ if total.minutes == 0 => return None,
        _ => format!("{with_minutes} / {all}"),
    };
    Some((short, lines))
}

fn good_answer(figures: &Figures, texts: &Texts) -> (String, Vec<String>) {
    let tally = &figures.good.tally;
    let mut lines = vec![fill(texts.good_share, &[&count(tally.bad_minutes), &count(tally.minutes)])];
    let most = Cause::ALL.into_iter().max_by_key(|cause| tally.beyond[*cause as usize]);
    if let Some(most) = most.filter(|most| tally.beyond[*most as usize] > 0) {
        lines.push(fill(texts.good_most, &[good::cause(most, texts), &percent(tally.share_beyond(most))]));
    }
    if let Some(against) = &figures.against {
        let verdict = match against.bad.verdict {
            Verdict::Better => texts.better,
            Verdict::Worse => texts.worse,
            Verdict::Noise => texts.noise,
            Verdict::Unknown => texts.unknown,
        };
        let span = fill(texts.against, &[&against.first.to_string(), &against.last.to_string()]);
        lines.push(format!("{span}: {} {} ({verdict})", points(against.bad.difference), texts.points));
    }
    (fill(texts.good_short, &[&percent(tally.bad_share())]), lines)
}

fn against(figures: &Figures, texts: &Texts) -> String {
    match &figures.against {
        Some(against) => fill(texts.against, &[&against.first.to_string(), &against.last.to_string()]),
        None => fill(texts.no_against, &[&figures.against_first.to_string(), &figures.against_last.to_string()]),
    }
}

/// The limits, with where their defaults come from.
fn limits(limits: &Limits, texts: &Texts) -> Table {
    let rows = [
        ("delay_ms", limits.delay_ms, texts.source_delay),
        ("loss_pct", limits.loss_pct, texts.source_loss),
        ("jitter_ms", limits.jitter_ms, texts.source_jitter),
        ("cpu_pct", limits.cpu_pct, texts.source_cpu),
        ("video_framerate_fps", limits.video_framerate_fps, texts.source_video),
        ("screen_sharing_framerate_fps", limits.screen_sharing_framerate_fps, texts.source_sharing),
    ];
    let row = |(key, limit, source): (&str, f64, &str)| {
        let default = default_of(key);
        let limit = match limit {
            limit if limit <= 0.0 => format!("{} ({})", texts.not_judged, fill(texts.default, &[default])),
            limit if decimal(limit) == default => decimal(limit),
            limit => format!("{} ({})", decimal(limit), fill(texts.default, &[default])),
        };
        vec![Cell::text(key), Cell::number(limit), Cell::text(source).classed("prose")]
    };
    let columns = vec![texts.key, texts.limit, texts.source];
    Table { heading: texts.limits.to_owned(), columns, rows: rows.map(row).into(), ..Table::default() }
}

/// The default of a key of `[report]`, as `config/vcq.toml` writes it.
fn default_of(key: &str) -> &'static str {
    let mut lines = DEFAULTS.lines().skip_while(|line| *line != "[report]");
    let value = |line: &'static str| line.strip_prefix(key)?.strip_prefix(" = ");
    lines.find_map(value).unwrap_or_default()
}

/// The dates of a period: `2026-03-02`, `2026-03-02 – 2026-03-08`, `2026-03`.
fn period_name(period: Period, first: NaiveDate, last: NaiveDate) -> String {
    match period {
        Period::Month => first.format("%Y-%m").to_string(),
        _ if first == last => first.to_string(),
        Period::Day | Period::Week => format!("{first} – {last}"),
    }
}

/// The same, as short as can be.
fn period_short(period: Period, first: NaiveDate) -> String {
    let format = if period == Period::Month { "%Y-%m" } else { "%m-%d" };
    first.format(format).to_string()
}
