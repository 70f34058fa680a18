//! Notices that a run asks for the wrong thing, or that the API has changed, before the run has eaten the quota: a manifest
//! in the wrong time zone, of another tenant or another kind of user ids gets "not found" for most of its rows. Pure.

use std::collections::VecDeque;

/// Answers that are looked at: the first ones of a run, and the last ones at any time.
const ANSWERS: usize = 200;

/// What an answer says of the run as a whole. That stays of young meetings are absent so far says nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sign {
    /// The API knows the stay.
    Known,
    /// The API does not know the stay, or refuses its row.
    Unknown,
    /// The answer is JSON, but not what the API documents: an unknown code, another form, paging without an end.
    OffContract,
}

/// The last signs.
#[derive(Debug, Default)]
pub(super) struct Anomaly {
    last: VecDeque<Sign>,
}

impl Anomaly {
    /// Notes a sign. Returns why to stop once most of the last [`ANSWERS`] were bad ones.
    pub(super) fn note(&mut self, sign: Sign) -> Option<&'static str> {
        self.last.push_back(sign);
        if self.last.len() > ANSWERS {
            self.last.pop_front();
        }
        let count = |wanted| self.last.iter().filter(|sign| **sign == wanted).count();
        let (unknown, off_contract) = (count(Sign::Unknown), count(Sign::OffContract));
        let is_alarm = self.last.len() == ANSWERS && (unknown + off_contract) * 2 > ANSWERS;
        is_alarm.then_some(if off_contract > unknown { OFF_CONTRACT } else { UNKNOWN })
    }
}

const UNKNOWN: &str = "most of the last 200 stays are not known to the API: check the manifest's times, their zone, and \
                       that its ids are of this app, tenant and `user_id_type`; \
                       if all is right, set `retry.stop_on_anomaly` to false";

const OFF_CONTRACT: &str = "most of the last 200 answers are not what the API documents: the report's failures say what came; \
                            check `api.base_url`, and whether a newer vcq knows these answers; \
                            to go on all the same, set `retry.stop_on_anomaly` to false";

#[cfg(test)]
mod tests {
    use std::iter::repeat_n;

    use super::{Sign::*, *};

    fn first_alarm(signs: impl IntoIterator<Item = Sign>) -> Option<(usize, &'static str)> {
        let mut anomaly = Anomaly::default();
        signs.into_iter().enumerate().find_map(|(answer, sign)| Some((answer, anomaly.note(sign)?)))
    }

    #[test]
    fn most_of_the_first_or_of_the_last_answers_raise_the_alarm() {
        for bad in [Unknown, OffContract] {
            let why = if bad == Unknown { UNKNOWN } else { OFF_CONTRACT };
            assert_eq!(first_alarm(repeat_n(bad, 1000)), Some((199, why)), "not before there are 200");
            assert_eq!(first_alarm((0..1000).map(|n| if n % 2 == 0 { Known } else { bad })), None, "half is not most");
            assert_eq!(first_alarm(repeat_n(Known, 500).chain(repeat_n(bad, 500))), Some((600, why)));
            assert_eq!(first_alarm(repeat_n(bad, 199)), None);
        }
        assert_eq!(first_alarm(repeat_n(Known, 1000)), None);
        assert_eq!(first_alarm((0..1000).map(|n| [Known, Unknown, OffContract][n % 3])), Some((199, UNKNOWN)));
    }
}
