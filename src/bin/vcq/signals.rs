//! The signals that ask a command to end, and the moment at which it began.

use std::{fs, process, sync::Arc, thread, time::Duration};

use chrono::Utc;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use tokio::time::Instant;
use vcq::{
    error::{Error, ExitCode},
    start::{Heard, Signals, Start, Stop},
};

use crate::{environment::buckets, output::tell};

/// How long a command that has nothing to land may take to end by itself: it may wait for a pipe that nobody fills.
const NOT_HELD_MAX: Duration = Duration::from_secs(1);

/// Listens for signals from here on. The first SIGINT, SIGTERM or SIGHUP asks the command to end, a further one ends the
/// process, and so does the first if the command has nothing to land and does not end by itself.
pub(crate) fn listen() -> Result<Start, Error> {
    let (stopper, stop) = Stop::new();
    let start = start_now(stop);
    let hang_up = (!is_hang_up_ignored()).then_some(SIGHUP);
    let mut arriving = signal_hook::iterator::Signals::new([SIGINT, SIGTERM].into_iter().chain(hang_up))
        .map_err(|error| Error::Bug(format!("no signals: {error}")))?;
    let (began, asked) = (Instant::now(), start.clone());
    // A thread of its own: reading a manifest of millions of rows keeps the runtime busy for longer than a person waits.
    thread::spawn(move || {
        let mut signals = Signals::default();
        for _ in arriving.forever() {
            match signals.take(began.elapsed()) {
                Heard::First => {
                    stopper.send_replace(true);
                    let asked = asked.clone();
                    thread::spawn(move || end_unless_held(&asked));
                }
                Heard::Echo => {}
                Heard::Further => process::exit(ExitCode::Interrupted as i32),
            }
        }
    });
    Ok(start)
}

fn end_unless_held(start: &Start) {
    let asked = Instant::now();
    while asked.elapsed() < NOT_HELD_MAX {
        thread::park_timeout(NOT_HELD_MAX.saturating_sub(asked.elapsed()));
    }
    if !start.is_held() {
        tell("vcq: interrupted");
        process::exit(ExitCode::Interrupted as i32);
    }
}

/// Whether whoever started the process wants it to outlive the terminal, as `nohup` does.
fn is_hang_up_ignored() -> bool {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let ignored = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let ignored = ignored.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
    ignored.is_some_and(|mask| mask >> (SIGHUP - 1) & 1 == 1)
}

#[expect(clippy::disallowed_methods, reason = "main gives everybody else their wall clock")]
fn start_now(stop: Stop) -> Start {
    let seed = Utc::now().timestamp_subsec_nanos();
    Start::new(Utc::now, u64::from(seed) ^ u64::from(process::id()), stop).in_buckets(Arc::new(buckets()))
}
