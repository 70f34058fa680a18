//! Other acts after one that was killed: what it left behind is theirs to find.

use std::collections::BTreeSet;

use rand::{Rng as _, SeedableRng as _, rngs::StdRng, seq::IndexedRandom as _};

use super::{
    chosen,
    each::each,
    kill::kill_points,
    scene::{Act, Scene, vcq},
    seed,
    strace::{Blow, Cut},
    trial::{Trial, said},
};

/// What may follow, the late stays of the same dates among them.
const FOLLOWING: [&str; 7] = [
    "rebuild",
    "rebuild --from 2025-03-01 --to 2025-03-02",
    "export --manifest second.csv",
    "export --manifest first.csv",
    "verify",
    "status",
    "archive prune --before 2025-03-03",
];

/// The calls by which the dataset and the journal change, and about how many of each there are.
const CALLS: [(&str, u32); 6] =
    [("pwrite64", 120), ("fsync", 30), ("renameat2", 6), ("unlink", 8), ("mkdir", 4), ("openat", 60)];

#[test]
fn killed_and_followed_by_other_acts() {
    let scene = Scene::new();
    let seed = seed();
    let points: Vec<(&Act, Cut)> = scene.acts.iter().flat_map(kill_points).collect();
    let points: Vec<(usize, &(&Act, Cut))> = points.iter().enumerate().collect();
    each(&chosen(&points, 48), |(number, (act, cut))| follow(&scene, act, cut, seed ^ *number as u64));
}

/// Kills `act`, lets two to four others follow, some of which are killed too, and then an export of everything.
fn follow(scene: &Scene, act: &Act, cut: &Cut, seed: u64) {
    let mut random = StdRng::seed_from_u64(seed);
    let whole = act.up_to(&scene.whole);
    let mut trial = Trial::new(&whole, format!("{}, {cut}", act.name));
    trial.play(|trial, url| cut.run(&act.command(&trial.stage, url), &[]).0);
    let mut visible = trial.stage.rows();
    trial.check_words();
    for _ in 0..random.random_range(2..=4) {
        let line = FOLLOWING.choose(&mut random).unwrap();
        let cut = random.random_bool(0.6).then(|| {
            let (call, count) = CALLS.choose(&mut random).unwrap();
            Cut::new(call, random.random_range(1..=*count), Blow::Kill)
        });
        let how = cut.as_ref().map_or("not killed".to_owned(), Cut::to_string);
        trial.what.extend(["; ", line, ", ", &how]);
        let output = trial.play(|trial, url| {
            let command = vcq(trial.stage.path(), url, line);
            let run = |cut: &Cut| cut.run(&command, &[]).0;
            cut.as_ref().map_or_else(|| vcq(trial.stage.path(), url, line).output().unwrap(), run)
        });
        assert!(!matches!(output.status.code(), Some(70 | 101)), "{}: {}", trial.what, said(&output));
        let now = trial.stage.rows();
        let gone: BTreeSet<_> = visible.difference(&now).collect();
        assert!(gone.is_empty(), "{}: {} rows are gone", trial.what, gone.len());
        visible = now;
        trial.check_words();
    }
    trial.play_to_its_end();
}
