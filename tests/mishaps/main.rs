//! No mishap loses a row.
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
    acts.iter().map(|act| format!("{act:?}\n")).collect()
}
