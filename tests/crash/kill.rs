//! `SIGKILL` at every system call, and at any moment.

use std::{
    os::unix::process::ExitStatusExt as _,
    process::{Command, Output, Stdio},
    sync::atomic::{AtomicUsize, Ordering},
    thread,
    time::Duration,
};

use rand::{Rng as _, SeedableRng as _, rngs::StdRng};

use super::{
    chosen,
    each::each,
    now,
    scene::{Act, Scene},
    seed, soak,
    strace::{Blow, Cut, EFFECTS, On},
    trial::Trial,
};

/// SIGKILL's number.
const KILL: i32 = 9;

/// Random kills come within this time of a start, in microseconds; undisturbed, an act takes about half of it.
const LONGEST_US: u64 = 500_000;

#[test]
fn killed_at_every_system_call() {
    let scene = Scene::new();
    let points: Vec<(&Act, Cut)> = scene.acts.iter().flat_map(kill_points).collect();
    let chosen = chosen(&points, 16);
    let killed = AtomicUsize::new(0);
    each(&chosen, |(act, cut)| {
        let (output, _) = Trial::cut_and_play_again(act, cut);
        killed.fetch_add(usize::from(output.status.signal() == Some(KILL)), Ordering::Relaxed);
    });
    let killed = killed.into_inner();
    println!("{} system calls, {} of them tried, {killed} kills", points.len(), chosen.len());
    // From run to run a few calls more or less are made.
    assert!(killed * 10 > chosen.len() * 9, "{killed} of {} trials reached their call", chosen.len());
}

/// Every call of the act that changes something.
pub(crate) fn kill_points(act: &Act) -> impl Iterator<Item = (&Act, Cut)> {
    let counts = act.count_calls(&EFFECTS, On::Everything);
    println!("{}: {counts:?}", act.name);
    let cuts = |(call, count): (String, u32)| (1..=count).map(move |ordinal| Cut::new(&call, ordinal, Blow::Kill));
    counts.into_iter().flat_map(cuts).map(move |cut| (act, cut))
}

#[test]
fn killed_at_random_moments() {
    let scene = Scene::new();
    let seed = seed();
    let began = now();
    let players: Vec<u64> = (0..4).collect();
    let killed = AtomicUsize::new(0);
    each(&players, |player| {
        let mut random = StdRng::seed_from_u64(seed ^ player);
        while began.elapsed() < soak() {
            let act = &scene.acts[random.random_range(0..scene.acts.len())];
            killed.fetch_add(kill_at_random(act, &mut random, seed), Ordering::Relaxed);
        }
    });
    let killed = killed.into_inner();
    println!("{killed} kills");
    assert!(killed > 0);
}

/// Kills an act up to five times before it is left alone, and says how often it was killed.
fn kill_at_random(act: &Act, random: &mut StdRng, seed: u64) -> usize {
    let mut trial = Trial::new(act, format!("{}, VCQ_CRASH_SEED={seed}", act.name));
    let mut killed = 0;
    for _ in 0..random.random_range(1..=5) {
        let moment = Duration::from_micros(random.random_range(0..LONGEST_US));
        let output = trial.play(|trial, url| kill_after(moment, act.command(&trial.stage, url)));
        killed += usize::from(output.status.signal() == Some(KILL));
    }
    trial.play_to_its_end();
    killed
}

#[expect(clippy::disallowed_methods, reason = "a process of its own is killed in real time")]
fn kill_after(moment: Duration, mut vcq: Command) -> Output {
    let mut vcq = vcq.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    thread::sleep(moment);
    vcq.kill().unwrap();
    vcq.wait_with_output().unwrap()
}
