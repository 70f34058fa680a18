//! Where it was bad: meetings, rooms, users, and what `participants` tells them apart by.

use std::collections::{BTreeMap, HashMap};

use arrow::{array::Array as _, datatypes::Int32Type};
use chrono::{DateTime, NaiveDate, Utc};
use serde::Serialize;

use super::{
    Terms,
    attendances::{DIMENSIONS, MeetingKey, text},
    date::{DateFigures, Means},
    ranking::{Groups, Ranking},
    source::{Batch, Datasets},
    tally::Tally,
};
use crate::{dataset::Dataset, error::Error};

/// Groups of a dimension that are named.
const GROUPS_NAMED_MAX: usize = 20;

/// Where it was bad.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Place {
    /// The worst meetings.
    pub meetings: Worst<MeetingFigures>,
    /// The worst rooms, by `room_id`.
    pub rooms: Worst<Named>,
    /// The worst users, by `user_id`.
    pub users: Worst<Named>,
    /// Rooms, computers (`windows`, `mac`, `linux`), mobiles (`ios`, `android`), other devices, and what is unknown: the
    /// device of a user is told by `participants`.
    pub means: Vec<Group>,
    /// The minutes that `participants` knows: those of all that follows.
    pub joined: Tally,
    /// By column of `participants`.
    #[serde(flatten)]
    pub told: BTreeMap<&'static str, Worst<Named>>,
}

/// The worst first, by the share of bad minutes, of those with enough minutes.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Worst<T> {
    /// The worst.
    pub worst: Vec<T>,
    /// How many have enough minutes.
    pub ranked: u64,
    /// How many have fewer.
    pub too_few: u64,
    /// The minutes of these.
    pub too_few_minutes: u64,
    /// Minutes of further ones, which were more than are told apart.
    pub further_minutes: u64,
}

/// A room, a user, or a value of a column.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Named {
    /// Its name; none: the column is null.
    pub name: Option<String>,
    /// Its minutes.
    #[serde(flatten)]
    pub tally: Tally,
}

/// A group that always has a name.
#[derive(Clone, Copy, Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Group {
    /// Its name.
    pub name: &'static str,
    /// Its minutes.
    #[serde(flatten)]
    pub tally: Tally,
}

/// One meeting.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct MeetingFigures {
    /// Its number.
    pub meeting_no: String,
    /// When it began.
    pub meeting_start_time: DateTime<Utc>,
    /// The date that it belongs to.
    pub date: NaiveDate,
    /// Its minutes.
    #[serde(flatten)]
    pub tally: Tally,
    /// What `meetings` tells of it; none: nothing.
    pub listed: Option<ListedMeeting>,
}

/// What `meetings` tells of a meeting, by the names of its columns.
#[derive(Clone, Debug, Default, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct ListedMeeting {
    /// How many took part.
    pub number_of_participants: Option<i32>,
    /// How many devices joined.
    pub number_of_devices: Option<i32>,
    /// How long it lasted, in seconds.
    pub meeting_duration_s: Option<i32>,
    /// The API's number of its type.
    pub meeting_type: Option<i32>,
    /// The API's number of its subtype.
    pub meeting_subtype: Option<i32>,
    /// What it is called; published only if it is asked for.
    pub meeting_topic: Option<String>,
}

/// Everything of a place, while dates are read.
#[derive(Debug)]
pub(super) struct Places {
    meetings: Ranking<(NaiveDate, MeetingKey)>,
    rooms: Groups<Box<str>>,
    users: Groups<Box<str>>,
    means: BTreeMap<Means, Tally>,
    joined: Tally,
    told: [Groups<Option<Box<str>>>; DIMENSIONS.len()],
}

impl Places {
    pub(super) fn new(terms: &Terms<'_>) -> Self {
        Self {
            meetings: Ranking::new(super::WORST_MAX, terms.minutes_min),
            rooms: Groups::default(),
            users: Groups::default(),
            means: BTreeMap::new(),
            joined: Tally::default(),
            told: Default::default(),
        }
    }

    /// Takes the places of a date in.
    pub(super) fn add(&mut self, date: NaiveDate, figures: DateFigures, terms: &Terms<'_>) {
        let Ranking { worst, ranked, too_few, .. } = figures.worst_meetings;
        let mut meetings = Ranking::new(super::WORST_MAX, terms.minutes_min);
        for (meeting, tally) in worst {
            meetings.add((date, meeting), tally);
        }
        (meetings.ranked, meetings.too_few) = (ranked, too_few);
        self.meetings.merge(meetings);
        self.rooms.merge(figures.rooms);
        self.users.merge(figures.users);
        self.joined.merge(&figures.joined);
        for (means, tally) in figures.means {
            self.means.entry(means).or_default().merge(&tally);
        }
        for (groups, more) in self.told.iter_mut().zip(figures.told) {
            groups.merge(more);
        }
    }

    /// Ranks them, and asks `meetings` for what it knows of the worst.
    pub(super) fn rank(self, datasets: &Datasets, terms: &Terms<'_>) -> Result<Place, Error> {
        let listed = listed(datasets, &self.meetings)?;
        let meetings = Worst::of(self.meetings, 0, |(date, meeting), tally| MeetingFigures {
            listed: listed.get(&meeting).cloned(),
            meeting_start_time: DateTime::from_timestamp_micros(meeting.0).unwrap_or_default(),
            meeting_no: meeting.1,
            date,
            tally,
        });
        let people = |groups: Groups<Box<str>>| named(groups, super::WORST_MAX, terms, |name| Some(String::from(name)));
        let told = self.told.into_iter().zip(DIMENSIONS).map(|(groups, name)| {
            (name, named(groups, GROUPS_NAMED_MAX, terms, |name: Option<Box<str>>| name.map(String::from)))
        });
        Ok(Place {
            meetings,
            rooms: people(self.rooms),
            users: people(self.users),
            means: self.means.into_iter().map(|(means, tally)| Group { name: means.name(), tally }).collect(),
            joined: self.joined,
            told: told.collect(),
        })
    }
}

impl<T> Worst<T> {
    fn of<K: Ord>(ranking: Ranking<K>, further_minutes: u64, make: impl Fn(K, Tally) -> T) -> Self {
        Self {
            ranked: ranking.ranked,
            too_few: ranking.too_few.0,
            too_few_minutes: ranking.too_few.1,
            further_minutes,
            worst: ranking.worst.into_iter().map(|(name, tally)| make(name, tally)).collect(),
        }
    }
}

fn named<K: Ord>(
    groups: Groups<K>,
    most: usize,
    terms: &Terms<'_>,
    name: impl Fn(K) -> Option<String>,
) -> Worst<Named> {
    let mut ranking = Ranking::new(most, terms.minutes_min);
    groups.by_name.into_iter().for_each(|(name, tally)| ranking.add(name, tally));
    Worst::of(ranking, groups.further.minutes, |key, tally| Named { name: name(key), tally })
}

/// What `meetings` knows of those that are ranked.
fn listed(
    datasets: &Datasets,
    ranking: &Ranking<(NaiveDate, MeetingKey)>,
) -> Result<HashMap<MeetingKey, ListedMeeting>, Error> {
    const NUMBERS: [&str; 5] =
        ["number_of_participants", "number_of_devices", "meeting_duration_s", "meeting_type", "meeting_subtype"];
    let mut wanted: BTreeMap<NaiveDate, Vec<&MeetingKey>> = BTreeMap::new();
    for ((date, meeting), _) in &ranking.worst {
        wanted.entry(*date).or_default().push(meeting);
    }
    let mut found = HashMap::new();
    for (date, wanted) in wanted {
        for part in datasets.files(Dataset::Meetings, date)? {
            let names = ["meeting_no", "meeting_start_time", "meeting_topic"];
            for batch in part.read(names.into_iter().chain(NUMBERS))? {
                find(&batch?, &wanted, NUMBERS, &mut found)?;
            }
        }
    }
    Ok(found)
}

fn find(
    batch: &Batch,
    wanted: &[&MeetingKey],
    numbers: [&str; 5],
    found: &mut HashMap<MeetingKey, ListedMeeting>,
) -> Result<(), Error> {
    let (names, starts, topics) =
        (batch.texts("meeting_no")?, batch.times("meeting_start_time")?, batch.texts("meeting_topic")?);
    let mut columns = Vec::new();
    for name in numbers {
        columns.push(batch.primitives::<Int32Type>(name)?);
    }
    for row in 0..batch.len() {
        let Some(meeting) = wanted.iter().find(|wanted| wanted.0 == starts.value(row) && wanted.1 == names.value(row))
        else {
            continue;
        };
        let number = |column: usize| columns[column].is_valid(row).then(|| columns[column].value(row));
        let listed = ListedMeeting {
            number_of_participants: number(0),
            number_of_devices: number(1),
            meeting_duration_s: number(2),
            meeting_type: number(3),
            meeting_subtype: number(4),
            meeting_topic: text(&topics, row).map(str::to_owned),
        };
        found.insert((*meeting).clone(), listed);
    }
    Ok(())
}

/// Rows of `meetings` on a date; `None` if nothing is published of it.
pub(super) fn meetings_listed(datasets: &Datasets, date: NaiveDate) -> Result<Option<u64>, Error> {
    let parts = datasets.files(Dataset::Meetings, date)?;
    let rows = parts.iter().map(super::source::Part::rows).sum::<Result<u64, _>>()?;
    Ok((!parts.is_empty()).then_some(rows))
}
