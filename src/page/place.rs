//! Where was it bad? Meetings, rooms, users, and groups of participants.

use chrono_tz::Tz;

use super::{
    good::cause,
    number::{count, percent},
    table::{Cell, Table},
    texts::{Texts, fill},
};
use crate::{
    figures::{Cause, DIMENSIONS, Figures, ListedMeeting, MeetingFigures, Named, Tally, Worst},
    printable::Printable,
};

/// The columns that follow a group's name.
fn tally_columns(texts: &'static Texts) -> Vec<&'static str> {
    let causes = Cause::ALL.into_iter().map(|of| cause(of, texts));
    [texts.minutes, texts.bad].into_iter().chain(causes).collect()
}

/// Its minutes and shares.
fn tally_cells(tally: &Tally) -> Vec<Cell> {
    cells(tally, Some(tally))
}

/// The minutes of `tally`, and the shares of what has enough of them.
fn cells(tally: &Tally, shared: Option<&Tally>) -> Vec<Cell> {
    let share = shared.and_then(Tally::bad_share);
    let bad = Cell::bar(percent(share), share);
    let causes =
        Cause::ALL.into_iter().map(|cause| Cell::number(percent(shared.and_then(|tally| tally.share_beyond(cause)))));
    [Cell::number(count(tally.minutes)), bad].into_iter().chain(causes).collect()
}

/// What stands below a ranking.
fn notes<T>(worst: &Worst<T>, texts: &'static Texts) -> Vec<String> {
    let mut notes = vec![fill(texts.ranked, &[&count(worst.ranked)])];
    if worst.too_few > 0 {
        notes.push(fill(texts.few, &[&count(worst.too_few), &count(worst.too_few_minutes)]));
    }
    if worst.further_minutes > 0 {
        notes.push(fill(texts.further, &[&count(worst.further_minutes)]));
    }
    notes
}

/// Why nothing is named of a ranking.
fn when_empty(ranked: u64, texts: &'static Texts) -> &'static str {
    if ranked > 0 { texts.nothing_bad } else { texts.none_ranked }
}

/// Whether anything has enough minutes to be ranked.
pub(super) fn is_ranked(figures: &Figures) -> bool {
    let place = &figures.place;
    let named = place.told.values().chain([&place.rooms, &place.users]).any(|worst| worst.ranked > 0);
    named || place.meetings.ranked > 0
}

/// The worst meetings.
pub(super) fn meetings(figures: &Figures, texts: &'static Texts) -> Table {
    let zone: Tz = figures.timezone.parse().unwrap_or(Tz::UTC);
    let mut columns = vec![texts.meeting, texts.begin, texts.size, texts.kind];
    columns.extend(tally_columns(texts));
    let bad = figures.place.meetings.worst.iter().filter(|meeting| meeting.tally.bad_minutes > 0);
    Table {
        heading: texts.worst_meetings.to_owned(),
        columns,
        rows: bad.map(|meeting| meeting_row(meeting, zone, texts)).collect(),
        when_empty: when_empty(figures.place.meetings.ranked, texts),
        notes: notes(&figures.place.meetings, texts),
    }
}

fn meeting_row(meeting: &MeetingFigures, zone: Tz, texts: &'static Texts) -> Vec<Cell> {
    let listed = meeting.listed.as_ref();
    let topic = listed.and_then(|listed| listed.meeting_topic.as_deref()).map(|topic| format!(" {}", Printable(topic)));
    let begin = meeting.meeting_start_time.with_timezone(&zone).format("%Y-%m-%d %H:%M");
    let size = listed.and_then(|listed| listed.number_of_participants).map(|people| people.to_string());
    let mut row = vec![
        Cell::text(format!("{}{}", Printable(&meeting.meeting_no), topic.unwrap_or_default())),
        Cell::text(begin.to_string()).classed("date"),
        Cell::number(size.unwrap_or_else(|| "–".to_owned())),
        Cell::text(listed.map_or("–", |listed| kind(listed, texts))),
    ];
    row.extend(tally_cells(&meeting.tally));
    row
}

/// The API's number of a meeting's type, and of its subtype, as a word.
fn kind(listed: &ListedMeeting, texts: &'static Texts) -> &'static str {
    match (listed.meeting_subtype, listed.meeting_type) {
        (Some(8), _) => texts.webinar,
        (Some(9), _) => texts.offline,
        (Some(1 | 2), _) | (_, Some(3)) => texts.casting,
        (_, Some(2)) => texts.video_meeting,
        _ => "–",
    }
}

/// A ranking by name.
fn named(heading: &str, worst: &Worst<Named>, keeps_good: bool, texts: &'static Texts) -> Table {
    let shown = worst.worst.iter().filter(|named| keeps_good || named.tally.bad_minutes > 0);
    let rows = shown.map(|named| {
        let name = named.name.as_ref().map_or_else(|| texts.null.to_owned(), |name| Printable(name).to_string());
        [Cell::text(name)].into_iter().chain(tally_cells(&named.tally)).collect()
    });
    Table {
        heading: heading.to_owned(),
        columns: [texts.name].into_iter().chain(tally_columns(texts)).collect(),
        rows: rows.collect(),
        when_empty: when_empty(worst.ranked, texts),
        notes: notes(worst, texts),
    }
}

/// Rooms and users.
pub(super) fn people(figures: &Figures, texts: &'static Texts) -> [Table; 2] {
    [
        named(texts.worst_rooms, &figures.place.rooms, false, texts),
        named(texts.worst_users, &figures.place.users, false, texts),
    ]
}

/// Room, computer or mobile; then what `participants` tells apart, if it is there.
pub(super) fn groups(figures: &Figures, texts: &'static Texts) -> Vec<Table> {
    let means = figures.place.means.iter().map(|group| {
        let name = match group.name {
            "room" => texts.room,
            "computer" => texts.computer,
            "mobile" => texts.mobile,
            "other" => texts.other,
            _ => texts.unknown_means,
        };
        let shared = Some(&group.tally).filter(|tally| tally.minutes >= figures.minutes_min);
        [Cell::text(name)].into_iter().chain(cells(&group.tally, shared)).collect()
    });
    let means = Table {
        heading: texts.means.to_owned(),
        columns: [texts.name].into_iter().chain(tally_columns(texts)).collect(),
        rows: means.collect(),
        ..Table::default()
    };
    let headings = [texts.network_type, texts.device, texts.app_version, texts.location, texts.microphone];
    let told = DIMENSIONS.into_iter().zip(headings).filter(|_| figures.complete.has_participants);
    let told = told.filter_map(|(column, heading)| Some(named(heading, figures.place.told.get(column)?, true, texts)));
    [means].into_iter().chain(told).collect()
}

/// What adds most to what is bad: of all rankings the group that has most bad minutes beyond those that it would have if it were like
/// all, else a meeting.
pub(super) fn worst(figures: &Figures, texts: &'static Texts) -> Option<(String, Tally)> {
    let (place, all) = (&figures.place, &figures.good.tally);
    let rankings = place.told.values().chain([&place.rooms, &place.users]);
    let groups = rankings.flat_map(|ranking| &ranking.worst).filter(|group| group.tally.bad_minutes > 0);
    // Of equal ones the first: what `participants` tells, then rooms, then users.
    let named = groups.rev().max_by(|a, b| {
        let excess = |group: &Named| group.tally.excess(all).unwrap_or_default();
        excess(a).total_cmp(&excess(b))
    });
    let named = named.map(|group| {
        let name = group.name.as_ref().map_or_else(|| texts.null.to_owned(), |name| Printable(name).to_string());
        (name, group.tally)
    });
    named.or_else(|| {
        let first = place.meetings.worst.first().filter(|first| first.tally.bad_minutes > 0)?;
        Some((format!("{} {}", texts.meeting, Printable(&first.meeting_no)), first.tally))
    })
}
