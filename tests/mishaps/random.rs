//! Acts and mishaps as a seed has them.

use std::{
    cell::RefCell,
    ops::Range,
    panic::{AssertUnwindSafe, catch_unwind},
};

use rand::{Rng as _, SeedableRng as _, rngs::StdRng, seq::IndexedRandom as _};

use crate::{
    frail::Trouble,
    listed, play_all,
    seeds::with_seeds_of,
    stage::{Act, DAYS, Harm, Ill, Mishap, STAYS_PER_DAY, Server, Span},
};

/// The most acts of a sequence.
const ACTS_MAX: usize = 9;

/// Sequences of each of the tests below, which run side by side.
const SEQUENCES: u64 = 100;

/// Failures that are looked into, of each of the tests.
const FAILURES_MAX: usize = 8;

/// The acts of a seed.
fn acts(seed: u64) -> Vec<Act> {
    let mut rng = StdRng::seed_from_u64(seed);
    let count = rng.random_range(2..=ACTS_MAX);
    (0..count).map(|number| act(&mut rng, number)).collect()
}

fn act(rng: &mut StdRng, number: usize) -> Act {
    // Nothing can be done before something is there.
    match if number == 0 { 0 } else { rng.random_range(0..100) } {
        0..28 => Act::Export { stays: stays(rng), ill: ill(rng) },
        28..34 => Act::Exports { first: stays(rng), second: stays(rng), ill: ill(rng) },
        34..44 => Act::Refresh { days: span(rng), server: server(rng), ill: ill(rng) },
        44..49 => Act::RefreshAgain { days: span(rng), ill: ill(rng) },
        49..52 => Act::Refreshes { first: span(rng), second: span(rng), server: server(rng), ill: ill(rng) },
        52..65 => Act::Rebuild { days: span(rng), ill: ill(rng) },
        65..69 => Act::Archive { days: span(rng), ill: ill(rng) },
        69..75 => Act::Prune { before: rng.random_range(1..=DAYS), ill: ill(rng) },
        _ => Act::Mishap(mishap(rng)),
    }
}

fn stays(rng: &mut StdRng) -> Vec<usize> {
    // Some of a day, of which others come later; or a whole one; or some of all.
    let day = rng.random_range(0..DAYS) * STAYS_PER_DAY;
    let of_day = (day, day + STAYS_PER_DAY);
    let (first, end, share) =
        *[(of_day.0, of_day.1, 0.5), (of_day.0, of_day.1, 1.0), (0, DAYS * STAYS_PER_DAY, 0.4)].choose(rng).unwrap();
    let chosen: Vec<usize> = (first..end).filter(|_| rng.random_bool(share)).collect();
    if chosen.is_empty() { vec![first] } else { chosen }
}

fn span(rng: &mut StdRng) -> Span {
    let (one, other) = (rng.random_range(0..DAYS), rng.random_range(0..DAYS));
    (one.min(other), one.max(other))
}

fn server(rng: &mut StdRng) -> Server {
    *[Server::Same, Server::More, Server::More, Server::Fewer, Server::None, Server::Other].choose(rng).unwrap()
}

fn ill(rng: &mut StdRng) -> Ill {
    let effect = rng.random_range(0..60);
    match rng.random_range(0..20) {
        0..9 => Ill::No,
        9..12 => Ill::Event(rng.random_range(0..80)),
        12 => Ill::Stop(rng.random_range(0..6)),
        13..16 => Ill::Disk(Trouble::Kill { effect, is_done: rng.random() }),
        16..19 => Ill::Disk(Trouble::Full { from: effect, count: *[1, 3, 1000].choose(rng).unwrap() }),
        _ => Ill::Disk(Trouble::Sync { from: effect }),
    }
}

fn mishap(rng: &mut StdRng) -> Mishap {
    let day = rng.random_range(0..DAYS);
    match rng.random_range(0..20) {
        0..5 => Mishap::Stranger { day },
        5..8 => Mishap::StrangersGo,
        8..11 => Mishap::Page { stay: rng.random_range(0..DAYS * STAYS_PER_DAY) },
        11..16 => Mishap::File { day, harm: *[Harm::Cut, Harm::Flip, Harm::Delete].choose(rng).unwrap() },
        16..18 => Mishap::Copy,
        18 => Mishap::Restore,
        _ => Mishap::Lose,
    }
}

/// What went wrong, a panic too.
fn failure(seed: u64, acts: &[Act]) -> Option<String> {
    match catch_unwind(AssertUnwindSafe(|| play_all(seed, acts))) {
        Ok(played) => played.err(),
        Err(_) => Some("a panic".into()),
    }
}

/// Leaves out whatever is not needed to fail.
fn shrunk(seed: u64, mut acts: Vec<Act>, mut why: String) -> (Vec<Act>, String) {
    let mut position = acts.len();
    while position > 0 {
        position -= 1;
        let mut fewer = acts.clone();
        fewer.remove(position);
        if let Some(failure) = failure(seed, &fewer) {
            (acts, why) = (fewer, failure);
            position = acts.len();
        }
    }
    (acts, why)
}

/// The same acts, of which none is ill.
fn calm_acts(seed: u64) -> Vec<Act> {
    let acts = acts(seed).into_iter().filter(|act| !matches!(act, Act::Mishap(_)));
    acts.map(Act::calm).collect()
}

/// Plays the acts of each seed, and tells what went wrong with the first few that fail.
fn play(seeds: Range<u64>, acts_of: fn(u64) -> Vec<Act>) {
    let failures = RefCell::new(Vec::new());
    let seeds: Vec<u64> = seeds.collect();
    with_seeds_of(&seeds, |seed| {
        let acts = acts_of(seed);
        let mut failures = failures.borrow_mut();
        if failures.len() < FAILURES_MAX
            && let Some(why) = failure(seed, &acts)
        {
            let (acts, why) = shrunk(seed, acts, why);
            failures.push(format!("VCQ_SIM_SEED={seed}: {why}\n{}", listed(&acts)));
        }
    });
    let failures = failures.into_inner();
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

#[test]
fn without_a_mishap_all_is_well() {
    play(1..1 + SEQUENCES / 2, calm_acts);
}

#[test]
fn no_mishap_loses_a_row() {
    play(1..1 + SEQUENCES, acts);
}

#[test]
fn no_mishap_loses_a_row_of_another_hundred() {
    play(1 + SEQUENCES..1 + 2 * SEQUENCES, acts);
}
