//! What a command takes from outside when it starts: wall time, a seed, the stop signal and the dataset's disk.

use std::{
    fmt, mem,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use chrono::{DateTime, Utc};
use tokio::sync::watch;

use crate::{
    config::Config,
    store::{
        Stores,
        bucket::Buckets,
        disk::{Disk, LocalDisk},
        s3::S3Buckets,
    },
};

/// The start of a command. Tests replace its parts; production fills it in `main`.
#[derive(Clone)]
pub struct Start {
    wall: Arc<dyn Fn() -> DateTime<Utc> + Send + Sync>,
    /// Seed of the jitter of retries.
    pub seed: u64,
    /// Asks the command to end.
    pub stop: Stop,
    /// The disk under datasets in folders, and under what is built for buckets.
    pub disk: Arc<dyn Disk>,
    /// The buckets of datasets that are in some.
    pub buckets: Arc<dyn Buckets>,
    holds: Arc<AtomicUsize>,
    count: Arc<Count>,
}

/// Told how far a command is: what is counted, how many, and of how many, where that is known.
type Count = dyn Fn(&str, u64, Option<u64>) + Send + Sync;

/// While one is there, a command ends by itself once it is asked to: it has something to land or to finish.
pub struct Hold(Arc<AtomicUsize>);

impl Hold {
    /// Holds the command until its process ends.
    pub fn for_good(self) {
        mem::forget(self);
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

impl Start {
    /// A command that reads the wall clock by `wall`, on the machine's own disk.
    pub fn new(wall: impl Fn() -> DateTime<Utc> + Send + Sync + 'static, seed: u64, stop: Stop) -> Self {
        Self {
            wall: Arc::new(wall),
            seed,
            stop,
            disk: Arc::new(LocalDisk),
            buckets: Arc::new(S3Buckets::default()),
            holds: Arc::default(),
            count: Arc::new(|_, _, _| ()),
        }
    }

    /// The same on another disk.
    #[must_use]
    pub fn on(self, disk: Arc<dyn Disk>) -> Self {
        Self { disk, ..self }
    }

    /// The same in other buckets.
    #[must_use]
    pub fn in_buckets(self, buckets: Arc<dyn Buckets>) -> Self {
        Self { buckets, ..self }
    }

    /// Opens the datasets of a configuration.
    pub fn stores(&self, config: &Config) -> Stores {
        Stores::new(Arc::clone(&self.disk), Arc::clone(&self.buckets), config).at_time(Arc::clone(&self.wall))
    }

    /// The same, telling `count` how far it is.
    #[must_use]
    pub fn counting(self, count: impl Fn(&str, u64, Option<u64>) + Send + Sync + 'static) -> Self {
        Self { count: Arc::new(count), ..self }
    }

    /// The same, not to be told to stop: for what a command that was told so does last.
    #[must_use]
    pub fn without_stop(&self) -> Self {
        Self { stop: Stop::new().1, ..self.clone() }
    }

    /// Tells how far the command is: `done` of `total`, where that is known, of what is counted.
    pub fn count(&self, what: &str, done: u64, total: Option<u64>) {
        (self.count)(what, done, total);
    }

    /// Says that the command must not be ended from outside, until the hold is dropped.
    pub fn hold(&self) -> Hold {
        self.holds.fetch_add(1, Ordering::SeqCst);
        Hold(Arc::clone(&self.holds))
    }

    /// True while there is a [`Hold`].
    pub fn is_held(&self) -> bool {
        self.holds.load(Ordering::SeqCst) > 0
    }

    /// The wall clock, for time stamps and calendar days; waiting is measured by tokio's clock.
    pub fn now(&self) -> DateTime<Utc> {
        (self.wall)()
    }
}

impl fmt::Debug for Start {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Start").field("seed", &self.seed).finish_non_exhaustive()
    }
}

/// The receiving end of the stop signal.
#[derive(Clone, Debug)]
pub struct Stop(watch::Receiver<bool>);

impl Stop {
    /// A signal that has not been given, and the end that gives it by sending `true`.
    pub fn new() -> (watch::Sender<bool>, Self) {
        let (sender, receiver) = watch::channel(false);
        (sender, Self(receiver))
    }

    /// Returns when the signal is given; never if it cannot be any more.
    pub async fn requested(&mut self) {
        if self.0.wait_for(|requested| *requested).await.is_err() {
            std::future::pending::<()>().await;
        }
    }

    /// True once the signal is given.
    pub fn is_requested(&self) -> bool {
        *self.0.borrow()
    }
}

/// Signals that follow each other sooner are one: a terminal, and `timeout`, signal a process and its group at once.
pub const SIGNAL_ECHO_MAX: Duration = Duration::from_secs(1);

/// What a signal means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Heard {
    /// The first: the command is asked to end.
    First,
    /// The same once more.
    Echo,
    /// A further one: the command is ended.
    Further,
}

/// Tells the first signal from further ones.
#[derive(Debug, Default)]
pub struct Signals {
    first: Option<Duration>,
}

impl Signals {
    /// Takes a signal in that came at `at` on a clock that only goes forward.
    pub fn take(&mut self, at: Duration) -> Heard {
        match self.first {
            None => {
                self.first = Some(at);
                Heard::First
            }
            Some(first) if at.saturating_sub(first) < SIGNAL_ECHO_MAX => Heard::Echo,
            Some(_) => Heard::Further,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signals_at_once_are_one() {
        let mut signals = Signals::default();
        for (at_ms, heard) in [
            (5000, Heard::First),
            (5000, Heard::Echo),
            (5003, Heard::Echo),
            (5999, Heard::Echo),
            (6000, Heard::Further),
            (9000, Heard::Further),
        ] {
            assert_eq!(signals.take(Duration::from_millis(at_ms)), heard, "{at_ms} ms");
        }
    }

    #[test]
    fn a_command_is_held_as_long_as_one_hold_is_there() {
        let (_, stop) = Stop::new();
        let start = Start::new(|| DateTime::UNIX_EPOCH, 0, stop);
        let first = start.clone().hold();
        let second = start.hold();
        drop(first);
        assert!(start.is_held());
        drop(second);
        assert!(!start.is_held());
        start.hold().for_good();
        assert!(start.is_held());
    }
}
