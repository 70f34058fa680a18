//! Randomness as a function: every draw is named by what it is for, so nothing depends on the order of requests.

use rand::{Rng, SeedableRng, rngs::StdRng};

/// What a stream of draws decides. The numbers are part of what a seed means.
#[derive(Clone, Copy)]
pub(super) enum Purpose {
    Heads = 1,
    Meeting,
    Series,
    Stays,
    UserId,
    RoomId,
    Stretch,
    Sample,
    Travel,
    Answer,
    Fault,
    FaultForm,
    Token,
    PageToken,
    Phase,
    ExtraMeeting,
    MeetingFacts,
    MeetingForms,
    Changes,
    Company,
    AttendanceFacts,
    AttendanceForms,
    Repeat,
    EmptyList,
    ListToken,
    UserToken,
    SignInFault,
    Weakness,
    Strain,
}

/// The stream of draws that belongs to (`seed`, `purpose`, `a`, `b`): the same one each time it is asked for.
pub(super) fn stream(seed: u64, purpose: Purpose, a: u64, b: u64) -> StdRng {
    let mut key = [0; 32];
    for (bytes, word) in key.chunks_exact_mut(8).zip([seed, purpose as u64, a, b]) {
        bytes.copy_from_slice(&word.to_le_bytes());
    }
    StdRng::from_seed(key)
}

/// A draw from the exponential distribution with the given mean.
pub(super) fn exponential(rng: &mut impl Rng, mean: f64) -> f64 {
    -mean * (1.0 - rng.random::<f64>()).ln()
}

/// One of `choices`, all equally likely.
pub(super) fn one_of<'a, T>(rng: &mut impl Rng, choices: &'a [T]) -> &'a T {
    &choices[rng.random_range(0..choices.len())]
}

/// One of `texts`, all equally likely.
pub(super) fn one_text(rng: &mut impl Rng, texts: &[&'static str]) -> &'static str {
    texts[rng.random_range(0..texts.len())]
}
