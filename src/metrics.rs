//! Metrics of a run as a Prometheus text file: a fold over its events. Pure; `main` writes the text.
//!
//! Two alarms suffice: the last success is too old, and nothing has been landed for long without a reason to wait.
//! Both fire when the process is not even started, because the file stays as it was.

use std::{collections::BTreeMap, fmt::Write as _};

use chrono::{DateTime, Utc};

use crate::{
    error::ExitCode,
    event::{Event, Wait},
    journal::State,
};

/// The name of the metric that outlives a run.
const LAST_SUCCESS: &str = "vcq_last_success_timestamp_seconds";

/// What is counted.
#[derive(Clone, Debug, Default)]
pub struct Metrics {
    last_success_s: Option<i64>,
    exit_code: Option<u8>,
    requests_per_minute: u32,
    stays_pending: u64,
    stays: BTreeMap<&'static str, u64>,
    requests: BTreeMap<&'static str, u64>,
    requests_sent: u64,
    requests_needed: u64,
    pages: u64,
    samples: u64,
    refusals: u64,
    quota_waited_s: f64,
}

impl Metrics {
    /// Metrics of a run that begins. `before` is the text that the last run left, for the time of the last success.
    pub fn new(requests_per_minute: u32, before: &str) -> Self {
        let value = |line: &str| line.strip_prefix(LAST_SUCCESS)?.trim().parse().ok();
        Self { requests_per_minute, last_success_s: before.lines().find_map(value), ..Self::default() }
    }

    /// Takes one event in.
    pub fn take(&mut self, event: &Event<'_>) {
        match event {
            Event::Enqueued { rows, .. } => {
                self.stays_pending = rows.stays + rows.asked_again - rows.landed;
                self.requests_needed = rows.requests + rows.asked_again;
            }
            Event::Sent => self.requests_sent += 1,
            Event::Answered { outcome, .. } => *self.requests.entry(outcome).or_default() += 1,
            Event::Refused { .. } => self.refusals += 1,
            Event::Landed { samples } => {
                self.pages += 1;
                self.samples += u64::from(*samples);
            }
            Event::Settled { state, .. } => {
                self.stays_pending = self.stays_pending.saturating_sub(1);
                *self.stays.entry(state.name()).or_default() += 1;
            }
            Event::Unsettled { stays } => {
                self.stays_pending += stays;
                let failed = self.stays.entry(State::Failed.name()).or_default();
                *failed = failed.saturating_sub(*stays);
            }
            Event::Waited { cause: Wait::Quota, time } => self.quota_waited_s += time.as_secs_f64(),
            _ => {}
        }
    }

    /// Takes the end of the run in.
    pub fn end(&mut self, exit_code: ExitCode, now: DateTime<Utc>) {
        self.exit_code = Some(exit_code as u8);
        if exit_code == ExitCode::Complete {
            self.last_success_s = Some(now.timestamp());
        }
    }

    /// The text of the file.
    pub fn to_text(&self) -> String {
        let mut text = Text(String::new());
        if let Some(last_success_s) = self.last_success_s {
            text.metric(LAST_SUCCESS, "gauge", "End of the last run with exit code 0, unix seconds.");
            text.value(LAST_SUCCESS, "", last_success_s);
        }
        if let Some(exit_code) = self.exit_code {
            text.metric("vcq_exit_code", "gauge", "Exit code of the last run that ended.");
            text.value("vcq_exit_code", "", exit_code);
        }
        text.metric("vcq_stays", "gauge", "Stays of this run by state.");
        text.value("vcq_stays", "{state=\"pending\"}", self.stays_pending);
        for (state, count) in &self.stays {
            text.value("vcq_stays", &format!("{{state=\"{state}\"}}"), count);
        }
        text.metric("vcq_requests_sent_total", "counter", "Requests sent by this run.");
        text.value("vcq_requests_sent_total", "", self.requests_sent);
        text.metric("vcq_answers_total", "counter", "Answers by outcome.");
        for (outcome, count) in &self.requests {
            text.value("vcq_answers_total", &format!("{{outcome=\"{outcome}\"}}"), count);
        }
        self.write_totals(&mut text);
        text.0
    }

    fn write_totals(&self, text: &mut Text) {
        text.metric("vcq_refusals_total", "counter", "Requests that the API refused for its quota.");
        text.value("vcq_refusals_total", "", self.refusals);
        text.metric("vcq_landed_pages_total", "counter", "Pages landed by this run.");
        text.value("vcq_landed_pages_total", "", self.pages);
        text.metric("vcq_landed_samples_total", "counter", "Samples landed by this run.");
        text.value("vcq_landed_samples_total", "", self.samples);
        text.metric("vcq_quota_waited_seconds_total", "counter", "Time spent waiting for the quota.");
        text.value("vcq_quota_waited_seconds_total", "", self.quota_waited_s);
        let left = self.requests_needed.saturating_sub(self.pages);
        text.metric("vcq_seconds_left", "gauge", "Time that the stays still need at the configured rate.");
        text.value("vcq_seconds_left", "", left * 60 / u64::from(self.requests_per_minute.max(1)));
    }
}

/// The exposition format.
struct Text(String);

impl Text {
    fn metric(&mut self, name: &str, kind: &str, help: &str) {
        let _ = writeln!(self.0, "# HELP {name} {help}\n# TYPE {name} {kind}");
    }

    fn value(&mut self, name: &str, labels: &str, value: impl std::fmt::Display) {
        let _ = writeln!(self.0, "{name}{labels} {value}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::journal::{Enqueued, Lane};

    #[test]
    fn the_last_success_outlives_a_run_that_fails() {
        let now: DateTime<Utc> = "2026-11-01T00:00:00Z".parse().unwrap();
        let mut metrics = Metrics::new(100, "");
        assert!(!metrics.to_text().contains("last_success"), "there was none");
        metrics.end(ExitCode::Complete, now);
        let text = metrics.to_text();
        assert!(text.contains("\nvcq_last_success_timestamp_seconds 1793491200\n"), "{text}");
        let mut next = Metrics::new(100, &text);
        next.end(ExitCode::Again, now + chrono::TimeDelta::days(1));
        let text = next.to_text();
        assert!(text.contains("\nvcq_last_success_timestamp_seconds 1793491200\n"), "{text}");
        assert!(text.contains("\nvcq_exit_code 75\n"), "{text}");
    }

    #[test]
    fn time_left_follows_the_pages_that_landed() {
        let mut metrics = Metrics::new(100, "");
        let rows = Enqueued { stays: 300, landed: 100, requests: 250, ..Enqueued::default() };
        metrics.take(&Event::Enqueued { lane: Lane::Nightly, rows });
        for _ in 0..50 {
            metrics.take(&Event::Landed { samples: 10 });
        }
        let text = metrics.to_text();
        assert!(text.contains("\nvcq_seconds_left 120\n"), "{text}");
        assert!(text.contains("\nvcq_stays{state=\"pending\"} 200\n"), "{text}");
        assert!(text.contains("\nvcq_landed_samples_total 500\n"), "{text}");
    }
}
