//! Which seeds a test runs with: a fixed list, one that is to be replayed, or as many as fit a budget of time.

use std::{
    hash::{BuildHasher as _, RandomState},
    time::{Duration, Instant},
};

/// The seeds of every run of the tests.
const FIXED: [u64; 3] = [1, 20_250_303, 9_007_199_254_740_993];

/// Runs `test` with the fixed seeds, or as the environment says.
pub(crate) fn with_seeds(test: impl Fn(u64)) {
    with_seeds_of(&FIXED, test);
}

/// Runs `test` with `fixed` seeds; with `VCQ_SIM_SEED` alone if that is set; then, while `VCQ_SIM_SECONDS` are not over,
/// with further ones.
#[expect(clippy::disallowed_methods, reason = "the budget is of real time, and the environment chooses the seeds")]
pub(crate) fn with_seeds_of(fixed: &[u64], test: impl Fn(u64)) {
    let number = |name: &str| std::env::var(name).ok().map(|text| text.parse::<u64>().unwrap());
    if let Some(seed) = number("VCQ_SIM_SEED") {
        return with_seed(seed, &test);
    }
    for seed in fixed {
        with_seed(*seed, &test);
    }
    let Some(budget) = number("VCQ_SIM_SECONDS").map(Duration::from_secs) else { return };
    let start = Instant::now();
    while start.elapsed() < budget {
        with_seed(RandomState::new().hash_one(0), &test);
    }
}

fn with_seed(seed: u64, test: impl Fn(u64)) {
    let _telling = TellSeed(seed);
    test(seed);
}

/// Says which seed it was, if the test fails.
struct TellSeed(u64);

impl Drop for TellSeed {
    #[expect(clippy::print_stderr, reason = "beside the failure's own message")]
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("to replay: VCQ_SIM_SEED={} cargo test --test {}", self.0, env!("CARGO_CRATE_NAME"));
        }
    }
}
