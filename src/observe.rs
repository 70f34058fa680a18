//! What a run shows while it goes on: log lines, the progress line and the file of metrics.

use std::{cell::RefCell, fs, path::PathBuf, time::Duration};

use tokio::time::Instant;

use crate::{
    error::{Chain, Error, ExitCode},
    event::Event,
    file::{self, Readers},
    log::log,
    metrics::Metrics,
    progress::Progress,
    run::Outcome,
    start::Start,
};

/// Everybody who is told what happens in a run, besides its report.
#[derive(Debug)]
pub struct Observers {
    progress: RefCell<Progress>,
    textfile: RefCell<Textfile>,
}

impl Observers {
    /// The log, `progress`, and the metrics at `textfile` if there is a path.
    pub fn new(progress: Progress, textfile: Option<PathBuf>, requests_per_minute: u32) -> Self {
        let textfile = Textfile::new(textfile, requests_per_minute);
        Self { progress: RefCell::new(progress), textfile: RefCell::new(textfile) }
    }

    /// Tells all of them of one event.
    pub fn take(&self, event: &Event<'_>) {
        log(event);
        self.progress.borrow_mut().take(event);
        self.textfile.borrow_mut().take(event);
    }

    /// Tells them how the run ended.
    pub fn end(&self, outcome: &Result<Outcome, Error>, start: &Start) {
        self.progress.borrow().finish();
        let exit_code = outcome.as_ref().map_or_else(Error::exit_code, |outcome| outcome.exit_code);
        self.textfile.borrow_mut().end(exit_code, start);
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

    fn new(path: Option<PathBuf>, requests_per_minute: u32) -> Self {
        let before = path.as_ref().and_then(|path| fs::read_to_string(path).ok()).unwrap_or_default();
        let metrics = Metrics::new(requests_per_minute, &before);
        Self { path, metrics, written: Instant::now() }
    }

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
        if let Err(error) = file::replace(path, self.metrics.to_text().as_bytes(), Readers::Everybody) {
            tracing::warn!(error = %Chain(&error), "metrics are not written any more");
            self.path = None;
        }
    }
}
