//! Notices that a run asks for the wrong thing, or that the API has changed, before the run has eaten the quota: a manifest
//! in the wrong time zone, of another tenant or another kind of user ids gets "not found" for most of its rows. Pure.

use std::collections::VecDeque;

use crate::journal::StayId;

/// Answers that are looked at: the first ones of a run, and the last ones at any time.
const ANSWERS: usize = 200;

/// What an answer says of the run as a whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sign {
    /// The API knows the stay.
    Known,
    /// The API does not know the stay, or refuses its row.
    Unknown,
    /// The answer is JSON, but not what the API documents: an unknown code, another form, paging without an end.
    OffContract,
}

/// Why somebody should look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Alarm {
    /// Most stays are not known to the API.
    Unknown,
    /// Most answers are not what the API documents.
    OffContract,
    /// No stay was known, and all meetings are so young that their data may still come.
    AllYoung,
}

impl Alarm {
    /// What was noticed.
    pub fn why(self) -> &'static str {
        match self {
            Self::Unknown => "most of the last 200 stays are not known to the API; they are left pending",
            Self::OffContract => {
                "most of the last 200 answers are not what the API documents; their stays are left pending"
            }
            Self::AllYoung => {
                "not one of more than 200 stays was known to the API; their meetings are young, so later runs \
                               ask again"
            }
        }
    }

    /// What to look at.
    pub fn remedy(self) -> &'static str {
        match self {
            Self::Unknown | Self::AllYoung => {
                "check the manifest's times, their zone, and that its ids are of this app, tenant and `user_id_type`; \
                 if all is right, set `retry.stop_on_anomaly` to false and run again"
            }
            Self::OffContract => {
                "check `api.base_url`, and whether a newer vcq knows these answers (--log debug shows them); \
                 to go on all the same, set `retry.stop_on_anomaly` to false and run again"
            }
        }
    }
}

/// The last signs, each with its stay.
#[derive(Debug, Default)]
pub(super) struct Anomaly {
    last: VecDeque<(Sign, StayId)>,
    /// Stays absent so far: they raise no alarm while the run has other work.
    young: usize,
    is_any_known: bool,
}

impl Anomaly {
    /// Notes a sign. Returns the alarm once most of the last [`ANSWERS`] are bad ones.
    pub(super) fn note(&mut self, sign: Sign, stay: StayId) -> Option<Alarm> {
        self.is_any_known |= sign == Sign::Known;
        self.last.push_back((sign, stay));
        if self.last.len() > ANSWERS {
            self.last.pop_front();
        }
        let count = |wanted| self.last.iter().filter(|(sign, _)| *sign == wanted).count();
        let (unknown, off_contract) = (count(Sign::Unknown), count(Sign::OffContract));
        let is_alarm = self.last.len() == ANSWERS && (unknown + off_contract) * 2 > ANSWERS;
        is_alarm.then_some(if off_contract > unknown { Alarm::OffContract } else { Alarm::Unknown })
    }

    /// Notes a stay that is absent so far.
    pub(super) fn note_young(&mut self) {
        self.young += 1;
    }

    /// The alarm of a run that has come to its end, if it deserves one.
    pub(super) fn at_the_end(&self) -> Option<Alarm> {
        (self.young > ANSWERS && !self.is_any_known).then_some(Alarm::AllYoung)
    }

    /// The stays of the bad signs: what they came to was no fault of theirs.
    pub(super) fn suspects(&self) -> Vec<StayId> {
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
        for (bad, alarm) in [(Unknown, Alarm::Unknown), (OffContract, Alarm::OffContract)] {
            assert_eq!(first_alarm(repeat_n(bad, 1000)), Some((199, alarm)), "not before there are 200");
            assert_eq!(first_alarm((0..1000).map(|n| if n % 2 == 0 { Known } else { bad })), None, "half is not most");
            assert_eq!(first_alarm(repeat_n(Known, 500).chain(repeat_n(bad, 500))), Some((600, alarm)));
            assert_eq!(first_alarm(repeat_n(bad, 199)), None);
        }
        assert_eq!(first_alarm(repeat_n(Known, 1000)), None);
        assert_eq!(first_alarm((0..1000).map(|n| [Known, Unknown, OffContract][n % 3])), Some((199, Alarm::Unknown)));
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
