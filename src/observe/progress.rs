//! Progress on a terminal: a fold over the run's events. Shows nothing when standard error is no terminal.

use std::{collections::VecDeque, time::Duration};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use tokio::time::Instant;

use crate::event::{Event, Wait};

/// One line at the foot of the terminal.
#[derive(Debug)]
pub struct Progress {
    bar: ProgressBar,
    requests_per_minute: u32,
    /// When requests of the last minute were sent.
    sent: VecDeque<Instant>,
    samples: u64,
    stays: u64,
    settled: u64,
    requests_needed: u64,
    pages: u64,
    waiting_for: Option<Wait>,
}

const MINUTE: Duration = Duration::from_secs(60);

impl Progress {
    /// Progress drawn on standard error if that is a terminal, or hidden.
    pub fn new(requests_per_minute: u32) -> Self {
        let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr_with_hz(4));
        bar.set_style(ProgressStyle::with_template("{spinner} {wide_msg}").expect("the template is well formed"));
        Self {
            bar,
            requests_per_minute,
            sent: VecDeque::new(),
            samples: 0,
            stays: 0,
            settled: 0,
            requests_needed: 0,
            pages: 0,
            waiting_for: None,
        }
    }

    /// The bar, for log lines to be written above it.
    pub fn bar(&self) -> ProgressBar {
        self.bar.clone()
    }

    /// Takes one event in.
    pub fn take(&mut self, event: &Event<'_>) {
        match event {
            Event::Enqueued { rows, .. } => {
                self.stays = rows.stays + rows.asked_again;
                self.settled = rows.landed + rows.settled;
                self.requests_needed = rows.requests + rows.asked_again;
            }
            Event::Sent => self.sent.push_back(Instant::now()),
            Event::Landed { samples } => {
                self.samples += u64::from(*samples);
                self.pages += 1;
            }
            Event::Settled { .. } => self.settled += 1,
            Event::Unsettled { stays, .. } => self.settled = self.settled.saturating_sub(*stays),
            Event::Waiting { cause, .. } => self.waiting_for = Some(*cause),
            Event::Queued => {
                self.bar.set_message("waiting: another vcq process of this state folder is fetching");
                self.bar.tick();
                return;
            }
            _ => return,
        }
        self.draw();
    }

    /// Removes the line.
    pub fn finish(&self) {
        self.bar.finish_and_clear();
    }

    fn draw(&mut self) {
        if self.bar.is_hidden() {
            self.sent.clear();
            return;
        }
        while self.sent.front().is_some_and(|at| at.elapsed() > MINUTE) {
            self.sent.pop_front();
        }
        let left = self.requests_needed.saturating_sub(self.pages);
        let seconds_left = left * 60 / u64::from(self.requests_per_minute.max(1));
        let waiting = self.waiting_for.map(|wait| format!(" · waits for {}", wait.name())).unwrap_or_default();
        self.bar.set_message(format!(
            "{}/{} stays · {} samples · {} requests/min · {} left{waiting}",
            self.settled,
            self.stays,
            self.samples,
            self.sent.len(),
            humantime::format_duration(Duration::from_secs(seconds_left)),
        ));
        self.bar.tick();
    }
}
