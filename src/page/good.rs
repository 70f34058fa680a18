//! How good was it? By cause, by metric, and over time.

use super::{
    number::{count, decimal, percent, points, value},
    period_name, period_short,
    plot::{self, Lines},
    table::{Cell, Table},
    texts::{Texts, fill},
};
use crate::{
    figures::{Cause, Changed, Figures, METRICS, Metric, MetricFigures, Verdict},
    tables::quality::Section,
};

/// A picture and its numbers.
pub(super) struct Plot {
    pub(super) name: String,
    /// What it shows, for who does not see it.
    pub(super) alternative: String,
    pub(super) svg: String,
    pub(super) numbers: Table,
}

/// The minutes with each cause.
pub(super) fn causes(figures: &Figures, texts: &Texts) -> Table {
    let tally = &figures.good.tally;
    let mut columns = vec![texts.cause, texts.bad_minutes, texts.share];
    columns.extend(figures.against.as_ref().map(|_| texts.change));
    let row = |name: &str, minutes: u64, share: Option<f64>, changed: Option<&Changed>| {
        let mut row = vec![Cell::text(name), Cell::number(count(minutes)), Cell::bar(percent(share), share)];
        row.extend(changed.map(|changed| change(changed, texts)));
        row
    };
    let against = figures.against.as_ref();
    let mut rows =
        vec![row(texts.any_cause, tally.bad_minutes, tally.bad_share(), against.map(|against| &against.bad))];
    for (number, of) in Cause::ALL.into_iter().enumerate() {
        let changed = against.and_then(|against| against.causes.get(number)).map(|changed| &changed.changed);
        rows.push(row(cause(of, texts), tally.beyond[of as usize], tally.share_beyond(of), changed));
    }
    Table { heading: texts.causes.to_owned(), columns, rows, ..Table::default() }
}

/// The name of a cause.
pub(super) fn cause(cause: Cause, texts: &Texts) -> &'static str {
    match cause {
        Cause::Delay => texts.delay,
        Cause::Loss => texts.loss,
        Cause::Jitter => texts.jitter,
        Cause::Cpu => texts.cpu,
        Cause::FrameRate => texts.frame_rate,
    }
}

fn change(changed: &Changed, texts: &Texts) -> Cell {
    if changed.difference.is_none() {
        return Cell::text(points(None)).classed("noise");
    }
    let (verdict, class) = match changed.verdict {
        Verdict::Better => (texts.better, "better"),
        Verdict::Worse => (texts.worse, "worse"),
        Verdict::Noise => (texts.noise, "noise"),
        Verdict::Unknown => (texts.unknown, "noise"),
    };
    Cell::text(format!("{} ({verdict})", points(changed.difference))).classed(class)
}

/// All metrics.
pub(super) fn metrics(figures: &Figures, texts: &Texts) -> Table {
    let mut columns = vec![texts.metric, texts.minutes, texts.median, texts.p95, texts.limit, texts.beyond];
    columns.extend(figures.against.as_ref().map(|_| texts.change));
    let rows = METRICS.iter().zip(&figures.good.metrics).enumerate().map(|(number, (metric, of))| {
        let mut row = vec![Cell::text(name(*metric, texts)), Cell::number(count(of.minutes))];
        row.extend([value(of.median, of.unit), value(of.p95, of.unit), limit(of, texts)].map(Cell::number));
        row.push(Cell::bar(percent(of.share), of.share));
        let against = figures.against.as_ref().and_then(|against| against.metrics.get(number));
        row.extend(against.map(|against| change(&against.changed, texts)));
        row
    });
    Table { heading: texts.metrics.to_owned(), columns, rows: rows.collect(), ..Table::default() }
}

fn limit(of: &MetricFigures, texts: &Texts) -> String {
    let sign = if of.cause == Cause::FrameRate { '<' } else { '>' };
    if of.limit > 0.0 {
        format!("{sign}\u{202f}{}", value(Some(of.limit), of.unit))
    } else {
        texts.not_judged.to_owned()
    }
}

/// The name of a metric: `Audio: jitter, received`.
fn name(metric: Metric, texts: &Texts) -> String {
    let column = metric.column;
    let section = match column.section {
        Section::Network => texts.network,
        Section::Audio => texts.audio,
        Section::Video => texts.video,
        Section::ScreenSharing => texts.screen_sharing,
        Section::CpuUsage if column.key.starts_with("client") => return texts.client_cpu.to_owned(),
        Section::CpuUsage => return texts.system_cpu.to_owned(),
    };
    let quantity = match metric.cause {
        Cause::Delay if column.section == Section::Network => texts.delay,
        Cause::Delay => texts.latency,
        Cause::Loss => texts.packet_loss,
        Cause::Jitter => texts.jitter,
        Cause::FrameRate => texts.frame_rate,
        Cause::Cpu => texts.cpu,
    };
    let direction = match column.key.rsplit('_').next() {
        Some("received") => texts.received,
        Some("sent") => texts.sent,
        _ => return format!("{section}: {quantity}"),
    };
    format!("{section}: {quantity}, {direction}")
}

/// A picture of each metric that was measured.
pub(super) fn plots(figures: &Figures, texts: &Texts) -> Vec<Plot> {
    let measured = METRICS.iter().enumerate().filter(|(number, _)| figures.good.metrics[*number].minutes > 0);
    measured.map(|(number, metric)| plot(figures, number, *metric, texts)).collect()
}

fn plot(figures: &Figures, number: usize, metric: Metric, texts: &Texts) -> Plot {
    let periods = &figures.good.periods;
    let of = |period: usize| &periods[period].metrics[number];
    let labels = periods.iter().map(|period| period_short(figures.period, period.first)).collect();
    let lines = Lines {
        labels,
        medians: (0..periods.len()).map(|period| of(period).median).collect(),
        p95s: (0..periods.len()).map(|period| of(period).p95).collect(),
        // What is too low does not go with the highest values.
        limit: figures.good.metrics[number].limit,
    };
    let rows = periods.iter().map(|period| {
        let of = &period.metrics[number];
        let name = Cell::text(period_name(figures.period, period.first, period.last)).classed("date");
        let value = |value: Option<f64>| value.map_or_else(String::new, decimal);
        let numbers = [count(of.minutes), value(of.median), value(of.p95), percent(of.share)];
        [name].into_iter().chain(numbers.map(Cell::number)).collect()
    });
    let name = name(metric, texts);
    Plot {
        alternative: fill(texts.plot, &[&name]),
        svg: plot::draw(&lines),
        numbers: Table {
            heading: String::new(),
            columns: vec![texts.period, texts.minutes, texts.median, texts.p95, texts.beyond],
            rows: rows.collect(),
            ..Table::default()
        },
        name: format!("{name}, {}", metric.column.kind.unit()),
    }
}
