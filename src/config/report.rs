//! What the page of `vcq report` takes for bad: the section `[report]`.

use serde::Serialize;

use super::{ConfigError, layers::Layers};

/// What the page of `vcq report` takes for bad.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Report {
    /// The fewest minutes of what is ranked.
    pub minutes_min: u64,
    /// What is too much.
    pub limits: Limits,
}

/// What is too much, in the unit of the name, or too little of a frame rate; 0: not judged.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Limits {
    /// Delay of the network, latency of audio, video and shared screens.
    pub delay_ms: f64,
    /// Mean loss of packets, received or sent.
    pub loss_pct: f64,
    /// Jitter of audio, video and shared screens.
    pub jitter_ms: f64,
    /// Mean load of the processor, by the client or in all.
    pub cpu_pct: f64,
    /// The least frame rate of a camera's video.
    pub video_framerate_fps: f64,
    /// The least frame rate of a shared screen.
    pub screen_sharing_framerate_fps: f64,
}

impl Layers {
    pub(super) fn check_report(&self) -> Result<Report, ConfigError> {
        const RULE: &str = "a number from 0 (not judged) to 100000";
        let limit = |key| self.decimal(key, RULE, 0.0..=100_000.0);
        Ok(Report {
            minutes_min: self.integer("report.minutes_min", "a number from 1 to 1000000", 1..=1_000_000)?,
            limits: Limits {
                delay_ms: limit("report.delay_ms")?,
                loss_pct: limit("report.loss_pct")?,
                jitter_ms: limit("report.jitter_ms")?,
                cpu_pct: limit("report.cpu_pct")?,
                video_framerate_fps: limit("report.video_framerate_fps")?,
                screen_sharing_framerate_fps: limit("report.screen_sharing_framerate_fps")?,
            },
        })
    }
}
