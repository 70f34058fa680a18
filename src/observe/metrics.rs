//! Metrics of a run as a Prometheus text file: a fold over its events. Pure; [`crate::observe`] writes the text.
//!
//! Runs of both lanes write one file: each has its own lines there, told by the label `lane`, and keeps those of the other
//! as they are. Two alarms suffice: the last success of the nightly lane is too old, and nothing has been landed for long
//! without a reason to wait. Both fire when the process is not even started, because the file stays as it was.

use std::{
    collections::BTreeMap,
    fmt::{Display, Write as _},
};

use chrono::{DateTime, Utc};

use crate::{
    config::{AuthAs, Config},
    endpoint::Endpoint,
    error::ExitCode,
    event::{Event, Wait},
    journal::{Lane, State},
};

/// The time of the last success of any lane: without a label, as it has always been, so that alarms that know no lanes ring
/// when they did.
const LAST_SUCCESS: &str = "vcq_last_success_timestamp_seconds";
const LANE_LAST_SUCCESS: &str = "vcq_lane_last_success_timestamp_seconds";
const SIGN_IN_ENDS: &str = "vcq_sign_in_ends_timestamp_seconds";
const CONSENT_ENDS: &str = "vcq_sign_in_consent_ends_timestamp_seconds";
const EXIT_CODE: &str = "vcq_exit_code";

/// Every metric: name, kind and what it says.
const METRICS: [(&str, &str, &str); 21] = [
    (LAST_SUCCESS, "gauge", "End of the last run with exit code 0, of whatever lane, unix seconds."),
    (LANE_LAST_SUCCESS, "gauge", "End of the lane's last run with exit code 0, unix seconds."),
    (EXIT_CODE, "gauge", "Exit code of the lane's last run that ended."),
    ("vcq_run_started_timestamp_seconds", "gauge", "Start of the lane's last run, unix seconds."),
    ("vcq_run_active", "gauge", "1 until the run has ended."),
    ("vcq_stays", "gauge", "Stays of this run by state."),
    ("vcq_requests_sent_total", "counter", "Requests sent by this run."),
    ("vcq_endpoint_requests_sent_total", "counter", "Requests sent by this run, by endpoint of the API."),
    ("vcq_answers_total", "counter", "Answers by outcome."),
    ("vcq_refusals_total", "counter", "Requests that the API refused for its quota."),
    ("vcq_landed_pages_total", "counter", "Pages landed by this run."),
    ("vcq_landed_samples_total", "counter", "Samples landed by this run."),
    ("vcq_published_files_total", "counter", "Files published by this run."),
    ("vcq_listed_pages_total", "counter", "Pages of meetings and participants landed by this run."),
    ("vcq_listed_files_total", "counter", "Files of meetings and participants published by this run."),
    ("vcq_discovered_meetings", "gauge", "Meetings of the dates that this run discovers."),
    ("vcq_discovered_attendances", "gauge", "Attendances of the dates that this run discovers."),
    ("vcq_quota_waited_seconds_total", "counter", "Time spent waiting for the quota."),
    ("vcq_seconds_left", "gauge", "Time that the stays still need at the configured rate."),
    (SIGN_IN_ENDS, "gauge", "When the sign-in ends if no run renews it before, unix seconds."),
    (CONSENT_ENDS, "gauge", "When the person who signed in must consent anew, unix seconds."),
];

/// What is counted.
#[derive(Clone, Debug)]
pub struct Metrics {
    lane: Lane,
    requests_per_minute: u32,
    started_s: i64,
    /// When it ended, and with what.
    ended: Option<(i64, ExitCode)>,
    stays_pending: u64,
    stays: BTreeMap<&'static str, u64>,
    requests: BTreeMap<&'static str, u64>,
    requests_sent: u64,
    sent_by_endpoint: BTreeMap<&'static str, u64>,
    requests_needed: u64,
    listed_pages: u64,
    listed_files: u64,
    /// Meetings and attendances, once the run knows.
    discovered: Option<(u64, u64)>,
    pages: u64,
    samples: u64,
    files: u64,
    refusals: u64,
    quota_waited_s: f64,
    /// When the sign-in ends, and when its consent does, by metric; empty if the run is nobody's who signed in.
    sign_in: BTreeMap<&'static str, i64>,
    /// Whether somebody who signed in asks: otherwise what is known of a sign-in is of no use any more.
    signs_in: bool,
}

impl Metrics {
    /// Metrics of a run of `lane` that begins.
    pub fn new(lane: Lane, config: &Config, now: DateTime<Utc>) -> Self {
        Self {
            lane,
            requests_per_minute: config.rate.requests_per_minute,
            signs_in: config.auth.identity == AuthAs::User,
            started_s: now.timestamp(),
            ended: None,
            stays_pending: 0,
            stays: BTreeMap::new(),
            requests: BTreeMap::new(),
            requests_sent: 0,
            sent_by_endpoint: BTreeMap::new(),
            requests_needed: 0,
            listed_pages: 0,
            listed_files: 0,
            discovered: None,
            pages: 0,
            samples: 0,
            files: 0,
            refusals: 0,
            quota_waited_s: 0.0,
            sign_in: BTreeMap::new(),
        }
    }

    /// Takes one event in.
    pub fn take(&mut self, event: &Event<'_>) {
        match event {
            Event::Enqueued { rows, .. } => {
                self.stays_pending = (rows.stays + rows.asked_again).saturating_sub(rows.landed + rows.settled);
                self.requests_needed = rows.requests + rows.asked_again;
            }
            Event::Discovering { left } => {
                self.stays_pending += left.stays;
                self.requests_needed += left.requests;
            }
            Event::PageListed { brought, .. } => {
                self.listed_pages += 1;
                self.stays_pending += u64::from(brought.stays);
                self.requests_needed += u64::from(brought.requests);
            }
            Event::ListedPublished { .. } => self.listed_files += 1,
            Event::Discovered { found, .. } => self.discovered = Some((found.meetings, found.attendances())),
            Event::Sent { endpoint } => {
                self.requests_sent += 1;
                *self.sent_by_endpoint.entry(endpoint.name()).or_default() += 1;
            }
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
            Event::Unsettled { endpoint: Endpoint::Quality, state, count } => {
                self.stays_pending += count;
                let settled = self.stays.entry(state.name()).or_default();
                *settled = settled.saturating_sub(*count);
            }
            Event::Tallied { tally } => {
                self.stays.clear();
                self.stays_pending = 0;
                for (state, _, tally) in *tally {
                    match state {
                        State::Pending => self.stays_pending += tally.stays,
                        state => *self.stays.entry(state.name()).or_default() += tally.stays,
                    }
                }
            }
            Event::Published { .. } => self.files += 1,
            Event::SignedIn { unless_renewed, at_the_latest } => {
                let ends = unless_renewed.min(at_the_latest.as_ref().unwrap_or(unless_renewed));
                let consent = at_the_latest.as_ref().unwrap_or(unless_renewed);
                self.sign_in = [(SIGN_IN_ENDS, ends.timestamp()), (CONSENT_ENDS, consent.timestamp())].into();
            }
            Event::Waited { cause: Wait::Quota, time } => self.quota_waited_s += time.as_secs_f64(),
            _ => {}
        }
    }

    /// Takes the end of the run in.
    pub fn end(&mut self, exit_code: ExitCode, now: DateTime<Utc>) {
        self.ended = Some((now.timestamp(), exit_code));
    }

    /// The text of the file in the place of `before`, which is what stands there: lines of the other lane stay, and so does
    /// what outlives a run of this one.
    pub fn to_text(&self, before: &str) -> String {
        let lines = self.lines(before);
        let other_lanes = |line: &&str| line.contains("lane=\"") && !line.contains(&self.label());
        let kept: Vec<&str> = before.lines().filter(other_lanes).collect();
        let mut text = String::new();
        for (name, kind, help) in METRICS {
            let of_metric = |line: &&str| line.strip_prefix(name).is_some_and(|rest| rest.starts_with(['{', ' ']));
            let own = lines.iter().map(String::as_str);
            let lines: Vec<&str> = kept.iter().copied().chain(own).filter(of_metric).collect();
            if !lines.is_empty() {
                let _ = writeln!(text, "# HELP {name} {help}\n# TYPE {name} {kind}\n{}", lines.join("\n"));
            }
        }
        text
    }

    /// This run's lines.
    fn lines(&self, before: &str) -> Vec<String> {
        let mut lines = Vec::new();
        let lane = self.label();
        let outlived = |name: &str, labels: &str| {
            let of_metric = |line: &str| line.strip_prefix(name)?.strip_prefix(labels)?.strip_prefix(' ')?.parse().ok();
            before.lines().find_map(of_metric)
        };
        let success = self.ended.filter(|(_, exit_code)| *exit_code == ExitCode::Complete).map(|(at_s, _)| at_s);
        let own = format!("{{{lane}}}");
        for (name, labels) in [(LAST_SUCCESS, ""), (LANE_LAST_SUCCESS, own.as_str())] {
            if let Some(at_s) = success.max(outlived(name, labels)) {
                lines.push(format!("{name}{labels} {at_s}"));
            }
        }
        for name in [SIGN_IN_ENDS, CONSENT_ENDS] {
            // A run that ended before it had a token leaves what the one before it knew: the alarm is to ring all the more.
            let before = || outlived(name, &own).filter(|_| self.signs_in);
            if let Some(at_s) = self.sign_in.get(name).copied().or_else(before) {
                lines.push(format!("{name}{own} {at_s}"));
            }
        }
        let exit_code = self.ended.map(|(_, exit_code)| i64::from(exit_code as u8));
        if let Some(exit_code) = exit_code.or_else(|| outlived(EXIT_CODE, &own)) {
            lines.push(format!("{EXIT_CODE}{own} {exit_code}"));
        }
        let mut value = |name: &str, value: &dyn Display| lines.push(format!("{name}{own} {value}"));
        value("vcq_run_started_timestamp_seconds", &self.started_s);
        value("vcq_run_active", &u8::from(self.ended.is_none()));
        value("vcq_requests_sent_total", &self.requests_sent);
        value("vcq_refusals_total", &self.refusals);
        value("vcq_landed_pages_total", &self.pages);
        value("vcq_landed_samples_total", &self.samples);
        value("vcq_published_files_total", &self.files);
        value("vcq_quota_waited_seconds_total", &self.quota_waited_s);
        let left = self.requests_needed.saturating_sub(self.pages);
        value("vcq_seconds_left", &(left * 60 / u64::from(self.requests_per_minute.max(1))));
        let (pages, files) = (self.listed_pages, self.listed_files);
        if pages > 0 || self.discovered.is_some() {
            lines.push(format!("vcq_listed_pages_total{own} {pages}"));
            lines.push(format!("vcq_listed_files_total{own} {files}"));
        }
        if let Some((meetings, attendances)) = self.discovered {
            lines.push(format!("vcq_discovered_meetings{own} {meetings}"));
            lines.push(format!("vcq_discovered_attendances{own} {attendances}"));
        }
        let of_endpoint =
            |(name, n): (&&str, &u64)| format!("vcq_endpoint_requests_sent_total{{{lane},endpoint=\"{name}\"}} {n}");
        lines.extend(self.sent_by_endpoint.iter().map(of_endpoint));
        lines.push(format!("vcq_stays{{{lane},state=\"pending\"}} {}", self.stays_pending));
        lines.extend(self.stays.iter().map(|(state, n)| format!("vcq_stays{{{lane},state=\"{state}\"}} {n}")));
        lines.extend(self.requests.iter().map(|(o, n)| format!("vcq_answers_total{{{lane},outcome=\"{o}\"}} {n}")));
        lines
    }

    fn label(&self) -> String {
        format!("lane=\"{}\"", self.lane.name())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use chrono::TimeDelta;

    use super::*;
    use crate::journal::{Enqueued, Tally};

    fn now() -> DateTime<Utc> {
        "2026-11-01T00:00:00Z".parse().unwrap()
    }

    fn config(identity: &str) -> Config {
        Config::load(None, [], &[("auth.as", identity.to_owned())]).unwrap()
    }

    fn nightly() -> Metrics {
        Metrics::new(Lane::Nightly, &config("user"), now())
    }

    #[test]
    fn the_last_success_outlives_a_run_that_fails() {
        let mut metrics = nightly();
        assert!(!metrics.to_text("").contains("last_success"), "there was none");
        metrics.end(ExitCode::Complete, now());
        let text = metrics.to_text("");
        assert!(text.contains("\nvcq_last_success_timestamp_seconds 1793491200\n"), "{text}");
        let mut next = nightly();
        let text = next.to_text(&text);
        assert!(text.contains("\nvcq_exit_code{lane=\"nightly\"} 0\n"), "of the last that ended: {text}");
        assert!(text.contains("\nvcq_run_active{lane=\"nightly\"} 1\n"), "{text}");
        next.end(ExitCode::Again, now() + TimeDelta::days(1));
        let text = next.to_text(&text);
        assert!(text.contains("\nvcq_last_success_timestamp_seconds 1793491200\n"), "{text}");
        assert!(text.contains("\nvcq_lane_last_success_timestamp_seconds{lane=\"nightly\"} 1793491200\n"), "{text}");
        assert!(text.contains("\nvcq_exit_code{lane=\"nightly\"} 75\n"), "{text}");
        assert!(text.contains("\nvcq_run_active{lane=\"nightly\"} 0\n"), "{text}");
    }

    #[test]
    fn a_file_of_an_earlier_version_keeps_its_last_success() {
        let before = "# TYPE vcq_last_success_timestamp_seconds gauge\nvcq_last_success_timestamp_seconds 1793491200\nvcq_exit_code 75\nvcq_stays{state=\"pending\"} 9\n";
        let text = nightly().to_text(before);
        assert!(text.contains("\nvcq_last_success_timestamp_seconds 1793491200\n"), "{text}");
        assert!(!text.contains("vcq_exit_code 75") && !text.contains(" 9\n"), "{text}");
    }

    #[test]
    fn the_end_of_a_sign_in_outlives_a_run_that_had_none() {
        let mut metrics = nightly();
        let (unless_renewed, at_the_latest) = (now() + TimeDelta::days(7), Some(now() + TimeDelta::days(365)));
        metrics.take(&Event::SignedIn { unless_renewed, at_the_latest });
        let text = nightly().to_text(&metrics.to_text(""));
        assert!(text.contains("\nvcq_sign_in_ends_timestamp_seconds{lane=\"nightly\"} 1794096000\n"), "{text}");
        assert!(text.contains("\nvcq_sign_in_consent_ends_timestamp_seconds{lane=\"nightly\"} 1825027200\n"), "{text}");
        check_form(&text);
        assert!(!nightly().to_text("").contains("sign_in"));
        let of_app = Metrics::new(Lane::Nightly, &config("tenant"), now()).to_text(&text);
        assert!(!of_app.contains("sign_in_ends_timestamp_seconds{"), "nobody signs in any more: {of_app}");
    }

    #[test]
    fn runs_of_two_lanes_keep_each_others_lines() {
        let mut backfill = Metrics::new(Lane::Backfill, &config("user"), now());
        backfill.take(&Event::Sent { endpoint: Endpoint::Quality });
        let mut text = backfill.to_text("");
        let mut night = nightly();
        night.end(ExitCode::Complete, now() + TimeDelta::hours(1));
        text = night.to_text(&text);
        backfill.take(&Event::Sent { endpoint: Endpoint::Quality });
        text = backfill.to_text(&text);
        backfill.end(ExitCode::Again, now() + TimeDelta::days(3));
        text = backfill.to_text(&text);
        for line in [
            "vcq_last_success_timestamp_seconds 1793494800",
            "vcq_lane_last_success_timestamp_seconds{lane=\"nightly\"} 1793494800",
            "vcq_exit_code{lane=\"nightly\"} 0",
            "vcq_exit_code{lane=\"backfill\"} 75",
            "vcq_requests_sent_total{lane=\"nightly\"} 0",
            "vcq_requests_sent_total{lane=\"backfill\"} 2",
        ] {
            assert_eq!(text.lines().filter(|have| *have == line).count(), 1, "{line}: {text}");
        }
        check_form(&text);
    }

    /// One HELP and one TYPE for each metric, before its lines, and no series twice.
    fn check_form(text: &str) {
        let (mut named, mut series, mut current) = (BTreeSet::new(), BTreeSet::new(), "");
        for line in text.lines() {
            if let Some(rest) = line.strip_prefix("# HELP ") {
                current = rest.split(' ').next().unwrap();
                assert!(named.insert(current), "{line}");
            } else if let Some(rest) = line.strip_prefix("# TYPE ") {
                assert_eq!(rest.split(' ').next(), Some(current));
            } else {
                let (name, value) = line.rsplit_once(' ').unwrap();
                assert_eq!(name.split('{').next(), Some(current), "{line}");
                assert!(series.insert(name) && value.parse::<f64>().is_ok(), "{line}");
            }
        }
    }

    #[test]
    fn time_left_follows_the_pages_that_landed() {
        let mut metrics = nightly();
        let rows = Enqueued { stays: 300, landed: 100, settled: 20, requests: 250, ..Enqueued::default() };
        metrics.take(&Event::Enqueued { lane: Lane::Nightly, rows });
        for _ in 0..50 {
            metrics.take(&Event::Landed { samples: 10 });
        }
        let text = metrics.to_text("");
        assert!(text.contains("\nvcq_seconds_left{lane=\"nightly\"} 120\n"), "{text}");
        assert!(text.contains("\nvcq_stays{lane=\"nightly\",state=\"pending\"} 180\n"), "{text}");
        assert!(text.contains("\nvcq_landed_samples_total{lane=\"nightly\"} 500\n"), "{text}");
    }

    #[test]
    fn what_is_taken_back_is_taken_from_what_it_was() {
        let stay = crate::stay::Stay {
            meeting_no: crate::stay::MeetingNo::parse("012345678").unwrap(),
            meeting_start_s: 1,
            meeting_end_s: 2,
            join_s: 1,
            participant: crate::stay::Participant::User("ou_1".into()),
        };
        let mut metrics = nightly();
        let rows = Enqueued { stays: 5, requests: 5, ..Enqueued::default() };
        metrics.take(&Event::Enqueued { lane: Lane::Nightly, rows });
        for state in [State::Failed, State::Absent, State::Absent] {
            metrics.take(&Event::Settled { stay: &stay, state, reason: None, log_id: None });
        }
        metrics.take(&Event::Unsettled { endpoint: Endpoint::Quality, state: State::Absent, count: 2 });
        let text = metrics.to_text("");
        for (state, count) in [("pending", 4), ("failed", 1), ("absent", 0)] {
            let line = format!("\nvcq_stays{{lane=\"nightly\",state=\"{state}\"}} {count}\n");
            assert!(text.contains(&line), "{line}: {text}");
        }
        // The journal has the last word.
        let tally = [(State::Done, false, Tally { stays: 3, ..Tally::default() })];
        metrics.take(&Event::Tallied { tally: &tally });
        let text = metrics.to_text("");
        assert!(text.contains("state=\"done\"} 3\n") && text.contains("state=\"pending\"} 0\n"), "{text}");
        assert!(!text.contains("state=\"failed\""), "{text}");
    }

    #[test]
    fn the_example_of_alarms_names_metrics_that_are_there() {
        let alerts = include_str!("../../config/alerts.example.yml");
        let is_name = |c: char| c.is_ascii_alphanumeric() || c == '_';
        let names: BTreeSet<&str> = alerts.split(|c| !is_name(c)).filter(|word| word.starts_with("vcq_")).collect();
        assert!(names.len() >= 4, "{names:?}");
        for name in names {
            assert!(METRICS.iter().any(|(known, ..)| *known == name), "{name}");
        }
    }
}
