//! Notices that a run asks for the wrong thing, or that the API has changed, before the run has eaten the quota: a manifest
//! in the wrong time zone, of another tenant or another kind of user ids gets "not found" for most of its rows. Pure.

use std::collections::VecDeque;

use super::WorkId;
use crate::{config::UserIdType, endpoint::Endpoint};

/// Answers that are looked at: the first ones of a run, and the last ones at any time.
const ANSWERS: usize = 200;

/// Answers after which a run stops if most of them refuse ids: what the app is does not change from row to row.
const ANSWERS_OF_IDS: usize = 20;

/// Refused ids that are an alarm at the end of a run, if most of its answers refuse ids. Of one or two rows, it may as well
/// be the rows.
const IDS_MIN: usize = 3;

/// Stays without samples that are an alarm at the end of a run, if most of its answers have none: some participants stay
/// for less than the minute of a first sample.
const EMPTY_MIN: usize = 20;

/// What an answer says of the run as a whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sign {
    /// The API knows the stay.
    Known,
    /// The API does not know the stay, or refuses its row.
    Unknown,
    /// The API refuses the row for its id.
    IdRefused,
    /// The API calls it a success, but has no samples of the stay.
    Empty,
    /// The answer is JSON, but not what the API documents: an unknown code, another form, paging without an end.
    OffContract,
}

/// Why somebody should look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Alarm {
    /// Most of what was asked for is not known to the API.
    Unknown,
    /// The API has no samples of most stays.
    Empty,
    /// Most rows are refused for their ids.
    Ids,
    /// Most answers are not what the API documents.
    OffContract,
    /// No stay was known, and all meetings are so young that their data may still come.
    AllYoung,
}

impl Alarm {
    /// What was noticed of an endpoint by a run of this app with ids of this kind.
    pub fn why(self, of: Endpoint, app_id: &str, ids: UserIdType) -> String {
        let (ids, what) = (ids.as_str(), what_is_asked_for(of));
        match self {
            Self::Unknown if of != Endpoint::Quality => {
                format!("most of the last answers refuse {what}, or know none; those lists are left pending")
            }
            Self::Unknown => {
                "most of the last answers say that their stays are not known to the API, or have no samples; they are left \
                 pending"
                    .into()
            }
            Self::Empty => {
                format!("most of the last answers are called a success and have no samples; {what} are left pending")
            }
            Self::Ids => format!(
                "most rows are refused for their ids: they are no `{ids}` of the app `{app_id}`; {what} are left pending"
            ),
            Self::OffContract => format!(
                "most of the last answers about {what} are not what the API documents; what they were about is left pending"
            ),
            Self::AllYoung => "not one of more than 200 stays was known to the API; their meetings are young, so a run whose \
                               manifest names them asks again"
                .into(),
        }
    }

    /// What to look at.
    pub fn remedy(self, of: Endpoint, app_id: &str, ids: UserIdType) -> String {
        let ids = ids.as_str();
        let look = match self {
            Self::Unknown if of != Endpoint::Quality => {
                "check in the admin console whether these dates have meetings and these meetings participants".into()
            }
            Self::Unknown | Self::AllYoung => {
                "check the manifest's times, their zone, and that its ids are of this app, tenant and `user_id_type`"
                    .into()
            }
            Self::Empty => {
                "check one of these meetings in the admin console: whether it has quality data at all, and since \
                            when"
                    .into()
            }
            Self::Ids => format!(
                "check `app_id` (`{app_id}`) and `api.user_id_type` (`{ids}`): an id of a user is another one in each app, \
                 and of each kind"
            ),
            Self::OffContract => {
                "check `api.base_url`, and whether a newer vcq knows these answers (--log debug shows them)".into()
            }
        };
        let again = match of {
            Endpoint::Quality => "a wrong manifest is taken back by `vcq drop --manifest FILE`",
            Endpoint::Meetings | Endpoint::Participants => "a run that names their dates asks for them again",
        };
        format!("{look}; {again}; if all is right, set `retry.stop_on_anomaly` to false and run again")
    }
}

/// What an alarm is about.
fn what_is_asked_for(of: Endpoint) -> &'static str {
    match of {
        Endpoint::Quality => "the stays",
        Endpoint::Meetings => "the meetings of dates",
        Endpoint::Participants => "the participants of meetings",
    }
}

/// The last signs, each with its stay, and the counts of the run.
#[derive(Debug, Default)]
pub(super) struct Anomaly {
    last: VecDeque<(Sign, WorkId)>,
    answers: usize,
    ids_refused: usize,
    empty: usize,
    /// Stays absent or without samples so far: they raise no alarm while the run has other work.
    young: usize,
    is_any_known: bool,
}

impl Anomaly {
    /// Notes a sign. Returns the alarm once most of the last [`ANSWERS`] are bad ones, or most of at least
    /// [`ANSWERS_OF_IDS`] refuse ids.
    pub(super) fn note(&mut self, sign: Sign, stay: WorkId) -> Option<Alarm> {
        self.is_any_known |= sign == Sign::Known;
        self.answers += 1;
        self.ids_refused += usize::from(sign == Sign::IdRefused);
        self.empty += usize::from(sign == Sign::Empty);
        self.last.push_back((sign, stay));
        if self.last.len() > ANSWERS {
            self.last.pop_front();
        }
        if self.answers >= ANSWERS_OF_IDS && self.is_most(self.ids_refused) {
            return Some(Alarm::Ids);
        }
        let count = |wanted| self.last.iter().filter(|(sign, _)| *sign == wanted).count();
        let bad = [
            (count(Sign::Unknown), Alarm::Unknown),
            (count(Sign::OffContract), Alarm::OffContract),
            (count(Sign::Empty), Alarm::Empty),
            (count(Sign::IdRefused), Alarm::Ids),
        ];
        let is_alarm = self.last.len() == ANSWERS && bad.iter().map(|(count, _)| count).sum::<usize>() * 2 > ANSWERS;
        // Of equal counts, the first.
        let most = bad.into_iter().rev().max_by_key(|(count, _)| *count);
        most.filter(|_| is_alarm).map(|(_, alarm)| alarm)
    }

    /// Notes a stay that is absent, or has no samples, so far.
    pub(super) fn note_young(&mut self) {
        self.young += 1;
    }

    /// The alarm of a run that has come to its end, if it deserves one.
    pub(super) fn at_the_end(&self) -> Option<Alarm> {
        if self.ids_refused >= IDS_MIN && self.is_most(self.ids_refused) {
            return Some(Alarm::Ids);
        }
        if self.empty >= EMPTY_MIN && self.is_most(self.empty) {
            return Some(Alarm::Empty);
        }
        (self.young > ANSWERS && !self.is_any_known).then_some(Alarm::AllYoung)
    }

    fn is_most(&self, count: usize) -> bool {
        count * 2 > self.answers
    }

    /// The stays of the bad signs: what they came to was no fault of theirs.
    pub(super) fn suspects(&self) -> Vec<WorkId> {
        self.last.iter().filter(|(sign, _)| *sign != Sign::Known).map(|(_, stay)| *stay).collect()
    }
}

#[cfg(test)]
mod tests {
    use std::iter::repeat_n;

    use super::{Sign::*, *};

    fn first_alarm(signs: impl IntoIterator<Item = Sign>) -> Option<(usize, Alarm)> {
        let mut anomaly = Anomaly::default();
        signs.into_iter().enumerate().find_map(|(answer, sign)| Some((answer, anomaly.note(sign, 1)?)))
    }

    #[test]
    fn most_of_the_first_or_of_the_last_answers_raise_the_alarm() {
        for (bad, alarm) in [(Unknown, Alarm::Unknown), (OffContract, Alarm::OffContract), (Empty, Alarm::Empty)] {
            assert_eq!(first_alarm(repeat_n(bad, 1000)), Some((199, alarm)), "not before there are 200");
            assert_eq!(first_alarm((0..1000).map(|n| if n % 2 == 0 { Known } else { bad })), None, "half is not most");
            assert_eq!(first_alarm(repeat_n(Known, 500).chain(repeat_n(bad, 500))), Some((600, alarm)));
            assert_eq!(first_alarm(repeat_n(bad, 199)), None);
        }
        assert_eq!(first_alarm(repeat_n(Known, 1000)), None);
        assert_eq!(first_alarm((0..1000).map(|n| [Known, Unknown, OffContract][n % 3])), Some((199, Alarm::Unknown)));
        assert_eq!(first_alarm((0..1000).map(|n| [Empty, Known, IdRefused][n % 3])), Some((199, Alarm::Empty)));
    }

    #[test]
    fn refused_ids_raise_the_alarm_after_twenty_answers() {
        assert_eq!(first_alarm(repeat_n(IdRefused, 1000)), Some((19, Alarm::Ids)));
        assert_eq!(
            first_alarm((0..1000).map(|n| if n % 2 == 0 { Known } else { IdRefused })),
            None,
            "half is not most"
        );
        let after_others = repeat_n(Known, 30).chain(repeat_n(IdRefused, 500));
        assert_eq!(first_alarm(after_others), Some((60, Alarm::Ids)), "as soon as they are most of all");
    }

    #[test]
    fn a_run_that_was_told_little_ends_with_an_alarm() {
        let at_the_end = |signs: &[(Sign, usize)]| {
            let mut anomaly = Anomaly::default();
            for (sign, count) in signs {
                (0..*count).for_each(|_| _ = anomaly.note(*sign, 1));
            }
            anomaly.at_the_end()
        };
        for (signs, alarm) in [
            (&[(IdRefused, 2)][..], None),
            (&[(IdRefused, 3)], Some(Alarm::Ids)),
            (&[(IdRefused, 3), (Known, 3)], None),
            (&[(IdRefused, 4), (Known, 3)], Some(Alarm::Ids)),
            (&[(Empty, 19)], None),
            (&[(Empty, 20)], Some(Alarm::Empty)),
            (&[(Empty, 20), (Known, 20)], None),
            (&[(Unknown, 100)], None),
        ] {
            assert_eq!(at_the_end(signs), alarm, "{signs:?}");
        }
    }

    #[test]
    fn an_alarm_over_ids_names_the_app_and_their_kind() {
        let (of, ids) = (Endpoint::Quality, UserIdType::UnionId);
        for text in [Alarm::Ids.why(of, "cli_1", ids), Alarm::Ids.remedy(of, "cli_1", ids)] {
            assert!(text.contains("`cli_1`") && text.contains("`union_id`"), "{text}");
        }
    }

    #[test]
    fn an_alarm_names_what_was_refused() {
        for (of, named, others) in [
            (Endpoint::Quality, "stays", ["meetings of dates", "participants of meetings"]),
            (Endpoint::Meetings, "the meetings of dates", ["stays", "participants of meetings"]),
            (Endpoint::Participants, "the participants of meetings", ["stays", "meetings of dates"]),
        ] {
            for alarm in [Alarm::Unknown, Alarm::OffContract] {
                let (why, remedy) =
                    (alarm.why(of, "cli_1", UserIdType::OpenId), alarm.remedy(of, "cli_1", UserIdType::OpenId));
                assert!(why.contains(named) && others.iter().all(|other| !why.contains(other)), "{why}");
                assert_eq!(remedy.contains("manifest"), of == Endpoint::Quality, "{remedy}");
            }
        }
    }

    #[test]
    fn the_suspects_are_the_stays_of_the_bad_signs_among_the_last() {
        let mut anomaly = Anomaly::default();
        for stay in 0..300 {
            anomaly.note(if stay % 3 == 0 { Known } else { Unknown }, stay);
        }
        let expected: Vec<_> = (100..300).filter(|stay| stay % 3 > 0).collect();
        assert_eq!(anomaly.suspects(), expected);
    }

    #[test]
    fn young_stays_raise_an_alarm_at_the_end_if_there_was_nothing_else() {
        let mut anomaly = Anomaly::default();
        (0..200).for_each(|_| anomaly.note_young());
        assert_eq!(anomaly.at_the_end(), None);
        anomaly.note_young();
        assert_eq!(anomaly.at_the_end(), Some(Alarm::AllYoung));
        anomaly.note(Known, 1);
        assert_eq!(anomaly.at_the_end(), None);
    }
}
