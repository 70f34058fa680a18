//! No mishap loses a row: commands one after the other and side by side, and what goes wrong within them and between.
//!
//! [`stage`] plays acts (exports of some stays and of late ones, refreshes of a server that has changed, rebuilds, archives,
//! prunes) in simulated time; each may be killed at an event or at an effect of its disk, be told to stop, or find its disk
//! full or failing. Between them strangers put files into the dataset, published files and landed pages are harmed, and an
//! older journal takes the place of the last one. [`judge`] looks after every act, by its own reading of the files and of
//! the servers' books: what was visible still is, what is missing is told by `verify` and `status`, nothing was paid for
//! twice, and no landed page is gone whose rows are not visible. In the end the obstacles are taken away and one more run
//! is made, `verify` is followed to the letter, and then every row is there, once.
//!
//! `VCQ_SIM_SEED=…` replays one sequence of [`random`], `VCQ_SIM_SECONDS=…` goes on with further ones. What they have found
//! stays among the [`scenarios`].

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use stage::{Act, Stage};

mod judge;
mod random;
mod scenarios;
mod sight;
mod stage;

#[path = "../support/frail.rs"]
mod frail;
#[path = "../support/oracle.rs"]
#[expect(dead_code, reason = "other tests need more of it")]
mod oracle;
#[path = "../support/seeds.rs"]
#[expect(dead_code, reason = "other tests need more of it")]
mod seeds;
#[path = "../support/world.rs"]
#[expect(dead_code, reason = "other tests need more of it")]
mod world;

/// Plays the acts and looks after each of them.
fn play_all(seed: u64, acts: &[Act]) -> Result<(), String> {
    let mut stage = Stage::new(seed);
    for (number, act) in acts.iter().enumerate() {
        let played = stage.play(act).and_then(|()| stage.look());
        played.map_err(|why| format!("after act {number}: {why}"))?;
    }
    stage.end().map_err(|why| format!("in the end: {why}"))
}

/// The acts, one a line.
fn listed(acts: &[Act]) -> String {
    let lines: Vec<_> = acts.iter().map(|act| format!("{act:?}")).collect();
    lines.join("\n")
}
