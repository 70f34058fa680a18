//! What a command takes from outside when it starts: wall time, a seed, the stop signal and the dataset's disk.

use std::{fmt, sync::Arc};

use chrono::{DateTime, Utc};
use tokio::sync::watch;

use crate::dataset::disk::{Disk, LocalDisk};

/// The start of a command. Tests replace its parts; production fills it in `main`.
#[derive(Clone)]
pub struct Start {
    wall: Arc<dyn Fn() -> DateTime<Utc> + Send + Sync>,
    /// Seed of the jitter of retries.
    pub seed: u64,
    /// Asks the command to end.
    pub stop: Stop,
    /// The disk under the dataset.
    pub disk: Arc<dyn Disk>,
}

impl Start {
    /// A command that reads the wall clock by `wall`, on the machine's own disk.
    pub fn new(wall: impl Fn() -> DateTime<Utc> + Send + Sync + 'static, seed: u64, stop: Stop) -> Self {
        Self { wall: Arc::new(wall), seed, stop, disk: Arc::new(LocalDisk) }
    }

    /// The same on another disk.
    #[must_use]
    pub fn on(self, disk: Arc<dyn Disk>) -> Self {
        Self { disk, ..self }
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
