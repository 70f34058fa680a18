//! Notices that a run asks for the wrong thing before it has eaten the quota: a manifest in the wrong time zone, of
//! another tenant or another kind of user ids gets "not found" for most of its rows. Pure.

use std::collections::VecDeque;

/// Answers that are looked at: the first ones of a run, and the last ones at any time.
const ANSWERS: usize = 200;

/// The last answers that settled something: true where the API knew the stay. Stays of young meetings do not count: that
/// they are absent so far says nothing about the manifest.
#[derive(Debug, Default)]
pub(super) struct Anomaly {
    last: VecDeque<bool>,
    unknown: usize,
}

impl Anomaly {
    /// Notes whether the API knew a stay. True once most of the last [`ANSWERS`] were not known to it.
    pub(super) fn note(&mut self, is_known: bool) -> bool {
        self.last.push_back(is_known);
        self.unknown += usize::from(!is_known);
        if self.last.len() > ANSWERS && self.last.pop_front() == Some(false) {
            self.unknown -= 1;
        }
        self.last.len() == ANSWERS && self.unknown * 2 > ANSWERS
    }
}

/// What a run says when it stops for this.
pub(super) const STOPPED: &str = "most of the last 200 stays are not known to the API: check the manifest's times, their zone, \
                           and that its ids are of this app, tenant and `user_id_type`; \
                           if all is right, set `retry.stop_on_anomaly` to false";

#[cfg(test)]
mod tests {
    use super::*;

    fn first_alarm(answers: impl IntoIterator<Item = bool>) -> Option<usize> {
        let mut anomaly = Anomaly::default();
        answers.into_iter().position(|is_known| anomaly.note(is_known))
    }

    #[test]
    fn most_of_the_first_or_of_the_last_answers_raise_the_alarm() {
        use std::iter::repeat_n;
        assert_eq!(first_alarm(repeat_n(false, 1000)), Some(199), "not before there are 200");
        assert_eq!(first_alarm(repeat_n(true, 1000)), None);
        assert_eq!(first_alarm((0..1000).map(|n| n % 2 == 0)), None, "half is not most");
        assert_eq!(first_alarm(repeat_n(true, 500).chain(repeat_n(false, 500))), Some(600));
        assert_eq!(first_alarm(repeat_n(false, 199)), None);
    }
}
