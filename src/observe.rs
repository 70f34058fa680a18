//! What a run shows while it goes on: log lines, the progress line and the file of metrics.

mod faults;
pub mod log;
pub mod metrics;
pub mod progress;
pub mod report;
pub mod terminal;

use std::{cell::RefCell, path::PathBuf, time::Duration};

use tokio::time::Instant;

use crate::{
    config::Config,
    error::{Chain, ExitCode},
    event::Event,
    file::{self, Readers},
    journal::Lane,
    observe::{faults::Faults, log::log, metrics::Metrics, progress::Progress},
    start::Start,
};

/// Everybody who is told what happens in a run, besides its report.
#[derive(Debug)]
pub struct Observers {
    progress: RefCell<Progress>,
    faults: RefCell<Faults>,
    textfile: RefCell<Option<Textfile>>,
}

impl Observers {
    /// The log and `progress`.
    pub fn new(progress: Progress) -> Self {
        Self { progress: RefCell::new(progress), faults: RefCell::default(), textfile: RefCell::new(None) }
    }

    /// The metrics of a run of `lane` at `path` besides; they are written at once, so that it can be seen that it runs.
    #[must_use]
    pub fn with_metrics(self, path: PathBuf, lane: Lane, config: &Config, start: &Start) -> Self {
        let metrics = Metrics::new(lane, config, start.now());
        let mut textfile = Textfile { path: Some(path), metrics, written: Instant::now() };
        textfile.write();
        Self { textfile: RefCell::new(Some(textfile)), ..self }
    }

    /// Tells all of them of one event.
    pub fn take(&self, event: &Event<'_>) {
        log(event);
        self.faults.borrow_mut().take(event);
        self.progress.borrow_mut().take(event, self.faults.borrow().in_last_minute());
        if let Some(textfile) = self.textfile.borrow_mut().as_mut() {
            textfile.take(event);
        }
    }

    /// Tells them how the run ended.
    pub fn end(&self, exit_code: ExitCode, start: &Start) {
        self.progress.borrow().finish();
        if let Some(textfile) = self.textfile.borrow_mut().as_mut() {
            textfile.end(exit_code, start);
        }
    }
}

/// The metrics of a run in their file. A file that cannot be written is told once and stops nothing.
#[derive(Debug)]
struct Textfile {
    path: Option<PathBuf>,
    metrics: Metrics,
    written: Instant,
}

impl Textfile {
    const EVERY: Duration = Duration::from_secs(60);

    fn take(&mut self, event: &Event<'_>) {
        self.metrics.take(event);
        if self.written.elapsed() >= Self::EVERY {
            self.write();
        }
    }

    fn end(&mut self, exit_code: ExitCode, start: &Start) {
        self.metrics.end(exit_code, start.now());
        self.write();
    }

    fn write(&mut self) {
        self.written = Instant::now();
        let Some(path) = &self.path else { return };
        if let Err(error) = file::update(path, Readers::Everybody, |before| self.metrics.to_text(before)) {
            tracing::warn!(error = %Chain(&error), "metrics are not written any more");
            self.path = None;
        }
    }
}
