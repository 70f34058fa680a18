//! The binary, cut off at every system call, at random moments, and by a disk that fails; then started again.
//!
//! | cut by | where | test |
//! | --- | --- | --- |
//! | `SIGKILL` | at every system call that changes something, of every act | `kill::killed_at_every_system_call` |
//! | `SIGKILL` | at every such call, and then other acts follow that may be killed too | `vary::killed_and_followed_by_other_acts` |
//! | `SIGKILL` | at every such call of a discovery, and of a rebuild of what it has published | `listed::killed_at_system_calls_discovery_publishes_whole_lists` |
//! | `SIGKILL` | at every such call of a renewal of a sign-in | `renewal::a_renewal_killed_at_every_system_call_goes_on_or_says_so` |
//! | `ENOSPC`, `EIO` | at such calls of a renewal | `renewal::a_renewal_on_a_disk_that_fails_goes_on_or_says_so` |
//! | `SIGKILL` | at random moments, over and over | `kill::killed_at_random_moments` |
//! | `ENOSPC`, `EIO` | at every such call on a disk, once, and from then on | `fail::every_call_on_a_disk_fails_once_and_for_good` |
//! | `ENOSPC`, `EIO` | at the first such call and all later ones | `fail::a_disk_that_fails_from_the_start_is_told` |
//! | nothing | a DuckDB process reads all the time | `readers::a_reader_at_work_sees_no_wrong_sum` |
//! | nothing | the syncs of the journal are counted | `sync::every_request_and_every_page_is_synced_before_it_counts` |
//!
//! The acts are those of [`scene`]: a fresh export, one that finds the intents of an earlier one, one that only
//! publishes, and a rebuild. After each cut: under the dataset stand whole files of true rows, and nothing else. After the
//! same command again: all rows are those of a run that nobody disturbed, each once; `vcq verify` agrees; staging is
//! empty; and by the simulator's books no page was asked for that had landed, and no other one twice.
//!
//! strace does the cutting; it counts calls by thread, so a call that two threads make is cut at the k-th of whichever
//! comes first. The acts that have one thread make up for it.
//!
//! `cargo test --test crash` cuts at some of the calls, at others each time. All of them, and a soak by random kills:
//!
//! ```sh
//! VCQ_CRASH_EVERY=1 cargo test --test crash every
//! VCQ_CRASH_SECONDS=3600 cargo test --test crash random
//! ```

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]
#![expect(clippy::print_stdout, reason = "what was tried, for whoever asks by `--nocapture`")]

mod each;
mod fail;
mod kill;
mod listed;
mod readers;
mod renewal;
mod scene;
mod strace;
mod sync;
mod trial;
mod vary;

#[path = "../support/python.rs"]
mod python;
#[path = "../support/server.rs"]
mod server;

use std::{
    hash::{BuildHasher as _, RandomState},
    time::{Duration, Instant},
};

use rand::{Rng as _, SeedableRng as _, rngs::StdRng};

/// How long random kills go on without `VCQ_CRASH_SECONDS`.
const SOAK: Duration = Duration::from_secs(10);

/// One of so many points as `VCQ_CRASH_EVERY` says, or else of so many as is usual.
fn chosen<T>(points: &[T], usual: usize) -> Vec<&T> {
    let every = number("VCQ_CRASH_EVERY").map_or(usual, |every| usize::try_from(every).unwrap().max(1));
    let first = StdRng::seed_from_u64(seed()).random_range(0..every);
    points.iter().skip(first).step_by(every).collect()
}

/// How long to go on with random kills.
fn soak() -> Duration {
    number("VCQ_CRASH_SECONDS").map_or(SOAK, Duration::from_secs)
}

/// Where points and moments come from: another one each time, unless `VCQ_CRASH_SEED` says it.
fn seed() -> u64 {
    let seed = number("VCQ_CRASH_SEED").unwrap_or_else(|| RandomState::new().hash_one(0));
    println!("VCQ_CRASH_SEED={seed}");
    seed
}

#[expect(clippy::disallowed_methods, reason = "how thorough a test is, is said by the environment")]
fn number(variable: &str) -> Option<u64> {
    let text = std::env::var(variable).ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("`{variable}` is `{text}`, but must be a number")))
}

#[expect(clippy::disallowed_methods, reason = "a soak is as long as the environment says, in real time")]
fn now() -> Instant {
    Instant::now()
}
