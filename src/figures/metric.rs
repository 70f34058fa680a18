//! The metrics that are judged, and what is too much of each.

use std::sync::LazyLock;

use super::tally::Cause;
use crate::{
    config::Limits,
    tables::quality::{COLUMNS, Column, Kind, Section},
};

/// A metric that has a limit.
#[derive(Clone, Copy, Debug)]
pub struct Metric {
    /// Its column in the dataset.
    pub column: &'static Column,
    /// What is the matter when it is beyond its limit.
    pub cause: Cause,
}

/// The metrics that are judged, in the order of the table of columns. Of loss and CPU it is the minute's mean, for its highest
/// value says little about a minute.
pub static METRICS: LazyLock<Vec<Metric>> =
    LazyLock::new(|| COLUMNS.iter().filter_map(|column| cause(column).map(|cause| Metric { column, cause })).collect());

fn cause(column: &Column) -> Option<Cause> {
    match column.kind {
        Kind::Delay if column.key.starts_with("jitter") => Some(Cause::Jitter),
        Kind::Delay => Some(Cause::Delay),
        Kind::Percent if column.key.starts_with("packet_loss_avg") => Some(Cause::Loss),
        Kind::Percent if column.key.ends_with("avg_cpu_usage") => Some(Cause::Cpu),
        Kind::FrameRate => Some(Cause::FrameRate),
        Kind::Percent | Kind::Time | Kind::BitRate | Kind::Volume | Kind::Resolution => None,
    }
}

impl Metric {
    /// The limit in the unit of the column; 0: the metric is not judged.
    pub fn limit(self, limits: &Limits) -> f64 {
        match (self.cause, self.column.section) {
            (Cause::Delay, _) => limits.delay_ms,
            (Cause::Loss, _) => limits.loss_pct,
            (Cause::Jitter, _) => limits.jitter_ms,
            (Cause::Cpu, _) => limits.cpu_pct,
            (Cause::FrameRate, Section::ScreenSharing) => limits.screen_sharing_framerate_fps,
            (Cause::FrameRate, _) => limits.video_framerate_fps,
        }
    }

    /// The values that are beyond `limit`.
    ///
    /// A frame rate is too low, others are too high. No frames at all are no picture, and not a bad one.
    pub(super) fn beyond(self, limit: f64) -> Beyond {
        match self.cause {
            _ if limit <= 0.0 => Beyond { above: f64::INFINITY, within: None },
            Cause::FrameRate => Beyond { above: f64::INFINITY, within: Some((0.0, limit)) },
            _ => Beyond { above: limit, within: None },
        }
    }
}

/// Which values are beyond a limit.
#[derive(Clone, Copy, Debug)]
pub(super) struct Beyond {
    above: f64,
    within: Option<(f64, f64)>,
}

impl Beyond {
    #[inline]
    pub(super) fn has(self, value: f64) -> bool {
        value > self.above || self.within.is_some_and(|(low, high)| value > low && value < high)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_section_has_judged_metrics() {
        let names: Vec<_> = METRICS.iter().map(|metric| metric.column.name).collect();
        assert_eq!(names.len(), 21, "{names:?}");
        for section in Section::ALL {
            assert!(METRICS.iter().any(|metric| metric.column.section == section), "{section:?}");
        }
        for cause in Cause::ALL {
            assert!(METRICS.iter().any(|metric| metric.cause == cause), "{cause:?}");
        }
    }

    #[test]
    fn what_is_beyond_a_limit() {
        let metric = |name: &str| *METRICS.iter().find(|metric| metric.column.name == name).unwrap();
        for (name, limit, value, is_beyond) in [
            ("network_delay_ms", 150.0, 150.0, false),
            ("network_delay_ms", 150.0, 150.1, true),
            ("network_delay_ms", 0.0, 1e9, false),
            ("video_framerate_sent_fps", 10.0, 10.0, false),
            ("video_framerate_sent_fps", 10.0, 9.9, true),
            ("video_framerate_sent_fps", 10.0, 0.0, false),
            ("video_framerate_sent_fps", 0.0, 1.0, false),
        ] {
            assert_eq!(metric(name).beyond(limit).has(value), is_beyond, "{name} {limit} {value}");
        }
    }
}
