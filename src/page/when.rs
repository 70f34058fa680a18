//! When was it bad? Hours of the day by date.

use super::{
    number::{count, percent, short, whole_percent},
    period_name,
    texts::Texts,
};
use crate::figures::{Figures, Tally};

/// A row of the table of hours.
pub(super) struct HeatRow {
    pub(super) name: String,
    pub(super) cells: Vec<HeatCell>,
    /// All minutes of the row.
    pub(super) minutes: String,
}

/// The minutes of an hour.
pub(super) struct HeatCell {
    pub(super) class: &'static str,
    pub(super) text: String,
    pub(super) title: String,
}

/// All dates together, the minutes of each hour, then each period.
pub(super) fn heat(figures: &Figures, texts: &Texts) -> Vec<HeatRow> {
    let mut all = [Tally::default(); 24];
    for period in &figures.when {
        for (all, hour) in all.iter_mut().zip(&period.hours) {
            all.minutes += hour.minutes;
            all.bad_minutes += hour.bad_minutes;
        }
    }
    let row = |name: String, hours: &[Tally; 24]| {
        let cell = |hour: &Tally| cell(hour, figures.minutes_min, texts);
        let minutes = short(hours.iter().map(|hour| hour.minutes).sum());
        HeatRow { name, cells: hours.iter().map(cell).collect(), minutes }
    };
    let minutes_of = |hour: &Tally| {
        let text = if hour.minutes == 0 { String::new() } else { short(hour.minutes) };
        HeatCell { class: "n", text, title: format!("{} {}", count(hour.minutes), texts.minutes) }
    };
    let by_hour =
        HeatRow { name: texts.minutes.to_owned(), cells: all.iter().map(minutes_of).collect(), minutes: String::new() };
    let periods =
        figures.when.iter().map(|period| row(period_name(figures.period, period.first, period.last), &period.hours));
    [row(texts.total.to_owned(), &all), by_hour].into_iter().chain(periods).collect()
}

fn cell(hour: &Tally, minutes_min: u64, texts: &Texts) -> HeatCell {
    let minutes = format!("{} {}", count(hour.minutes), texts.minutes);
    match hour.bad_share() {
        None => HeatCell { class: "n", text: String::new(), title: String::new() },
        Some(_) if hour.minutes < minutes_min => HeatCell { class: "n", text: "·".to_owned(), title: minutes },
        share @ Some(bad) => {
            HeatCell { class: class(bad), text: whole_percent(bad), title: format!("{} / {minutes}", percent(share)) }
        }
    }
}

/// The class of a share of bad minutes, from calm to bad.
fn class(share: f64) -> &'static str {
    const STEPS: [(f64, &str); 7] =
        [(0.02, "h0"), (0.05, "h1"), (0.1, "h2"), (0.2, "h3"), (0.4, "h4"), (0.6, "h5"), (0.8, "h6")];
    STEPS.iter().find(|(below, _)| share < *below).map_or("h7", |(_, class)| class)
}

/// Whether an hour has enough minutes, and bad ones among them.
fn is_worth_it(tally: &Tally, figures: &Figures) -> bool {
    tally.minutes >= figures.minutes_min && tally.bad_minutes > 0
}

/// Whether any hour has enough minutes.
pub(super) fn is_ranked(figures: &Figures) -> bool {
    figures.when.iter().flat_map(|period| &period.hours).any(|hour| hour.minutes >= figures.minutes_min)
}

/// The hour of a date, or of a longer period, that adds most to what is bad, of those with enough minutes: its name and its minutes.
pub(super) fn worst(figures: &Figures) -> Option<(String, Tally)> {
    let mut worst: Option<(String, Tally)> = None;
    for period in &figures.when {
        for (hour, tally) in period.hours.iter().enumerate().filter(|(_, tally)| is_worth_it(tally, figures)) {
            let all = &figures.good.tally;
            let is_worse = |than: &Tally| tally.excess(all) > than.excess(all);
            if worst.as_ref().is_none_or(|(_, than)| is_worse(than)) {
                let name = period_name(figures.period, period.first, period.last);
                worst = Some((format!("{name} {hour:02}:00–{:02}:00", hour + 1), *tally));
            }
        }
    }
    worst
}
