//! Faults on the way to the API, told while they last: the first of a kind at once, then how many there were, once a minute.

use std::{collections::BTreeMap, time::Duration};

use tokio::time::Instant;
use tracing::warn;

use crate::event::Event;

/// How often repeated faults are told.
const EVERY: Duration = Duration::from_secs(60);

/// Kinds that are told apart; what others may be is told as one more.
const KINDS_MAX: usize = 16;

/// Faults of the last minute, by kind.
#[derive(Debug, Default)]
pub(super) struct Faults {
    kinds: BTreeMap<String, Kind>,
    told: Option<Instant>,
    /// Those of the minute that runs.
    recent: u64,
    /// Those of the minute before, if that was one of faults.
    before: u64,
}

/// Faults that the API gives the same code, or whose texts differ in numbers alone.
#[derive(Debug)]
struct Kind {
    /// Those that have not been told.
    count: u64,
    last: String,
}

/// What is to be told of a kind.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Told {
    /// The first one.
    First(String),
    /// How many more there were, and the last of them.
    More(u64, String),
}

impl Faults {
    /// Takes one event in and tells what there is to tell.
    pub(super) fn take(&mut self, event: &Event<'_>) {
        for told in self.told_at(event, Instant::now()) {
            match told {
                Told::First(cause) => warn!(cause, "fault; it is asked again, and more of its kind are counted"),
                Told::More(count, cause) => warn!(count, cause, "faults in the last minute, asked again"),
            }
        }
    }

    /// How many there were in a minute of late, the first of a kind too: of the one that runs, or of the whole one before it.
    pub(super) fn in_last_minute(&self) -> u64 {
        self.recent.max(self.before)
    }

    fn told_at(&mut self, event: &Event<'_>, now: Instant) -> Vec<Told> {
        let mut told = Vec::new();
        if let Event::Retry { why, .. } | Event::NoToken { why, .. } = event {
            self.recent += 1;
            let mut kind = kind_of(why);
            if self.kinds.len() >= KINDS_MAX && !self.kinds.contains_key(&kind) {
                kind = "others".into();
            }
            if let Some(kind) = self.kinds.get_mut(&kind) {
                kind.count += 1;
                (*why).clone_into(&mut kind.last);
            } else {
                self.kinds.insert(kind, Kind { count: 0, last: (*why).to_owned() });
                told.push(Told::First((*why).to_owned()));
            }
        }
        if now.saturating_duration_since(*self.told.get_or_insert(now)) >= EVERY {
            self.told = Some(now);
            self.before = std::mem::take(&mut self.recent);
            let more = self.kinds.values_mut().filter(|kind| kind.count > 0);
            told.extend(more.map(|kind| Told::More(std::mem::take(&mut kind.count), kind.last.clone())));
        }
        told
    }
}

/// What the API says besides its code, it may say in another way each time.
fn kind_of(why: &str) -> String {
    match why.split_once("): ") {
        Some((code, _)) if code.contains("code ") => code.to_owned(),
        _ => why.split(|c: char| c.is_ascii_digit()).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn the_first_of_a_kind_is_told_at_once_and_the_others_once_a_minute() {
        let mut faults = Faults::default();
        let start = Instant::now();
        let at = |second: u64| start + Duration::from_secs(second);
        let fault = |why| Event::NoToken { why, wait: Duration::ZERO };
        assert_eq!(faults.told_at(&fault("HTTP 502 of 31 bytes"), at(0)), [Told::First("HTTP 502 of 31 bytes".into())]);
        assert_eq!(faults.told_at(&fault("HTTP 502 of 99 bytes"), at(1)), [], "numbers make no other kind");
        assert_eq!(faults.told_at(&fault("refused"), at(2)), [Told::First("refused".into())]);
        assert_eq!(faults.told_at(&fault("HTTP 503 of 7 bytes"), at(59)), []);
        assert_eq!(faults.in_last_minute(), 4);
        assert_eq!(faults.told_at(&Event::TokenRenewed, at(60)), [Told::More(2, "HTTP 503 of 7 bytes".into())]);
        assert_eq!(faults.in_last_minute(), 4, "the line that says how far a run is comes at the end of a minute");
        assert_eq!(faults.told_at(&Event::TokenRenewed, at(200)), [], "a minute without faults is not told");
        assert_eq!(faults.in_last_minute(), 0);
        assert_eq!(faults.told_at(&fault("refused"), at(201)), []);
        assert_eq!(faults.told_at(&Event::TokenRenewed, at(260)), [Told::More(1, "refused".into())]);
    }

    #[test]
    fn what_the_api_says_besides_its_code_makes_no_other_kind() {
        assert_eq!(kind_of("code 55001 (HTTP 500): trace 7f3a"), kind_of("code 55001 (HTTP 500): trace 9b21"));
        assert_ne!(kind_of("code 55001 (HTTP 500): busy"), kind_of("code 65001 (HTTP 500): busy"));
        let mut faults = Faults::default();
        let start = Instant::now();
        let texts: Vec<String> = ('a'..='z').map(String::from).collect();
        let told = texts.iter().flat_map(|why| faults.told_at(&Event::NoToken { why, wait: Duration::ZERO }, start));
        assert_eq!(told.count(), KINDS_MAX + 1);
    }
}
