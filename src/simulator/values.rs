//! The samples of a stay: JSON as the API writes it, and beside it what each column must hold.
//!
//! A sample is a function of seed, stay and index. The column names are the simulator's own knowledge of the contract.

use std::fmt::Write as _;

use rand::{Rng, rngs::StdRng};

use super::{
    forms::{Decimal, Expected, Form, Kind, UNDOCUMENTED_OF_ALL, documented, undocumented},
    random::{Purpose, one_of, stream},
    tenant::{SimulatedStay, local_time},
};

/// Sections of a sample come and go in stretches of so many minutes: nobody shares a screen for one minute only.
const STRETCH_SAMPLES: u32 = 10;

const ZONE_S: i32 = 8 * 3600;

/// The share of stretches in which values are anything; in the others they are those of a good connection.
const STRAINED: f64 = 0.02;

/// The same, where the participant's line is a weak one.
const STRAINED_IF_WEAK: f64 = 0.3;

/// The hours of the day in which there is so many times as much of it.
const BUSY: (std::ops::Range<i64>, f64) = (15..17, 3.0);

/// What a row of the dataset must hold, apart from what the manifest says.
#[derive(Clone, Debug, PartialEq)]
pub struct ExpectedSample {
    /// The position among the stay's samples, from 0.
    pub index: u32,
    /// The first readable time among the sections, in unix seconds.
    pub sample_time_s: Option<i64>,
    /// Each column of sections, times and metrics alike, by its name in the dataset and in its order.
    pub values: Vec<(&'static str, Expected)>,
}

struct Section {
    name: &'static str,
    time_column: &'static str,
    /// The share of stretches that have the section.
    present: f64,
    metrics: &'static [Metric],
}

struct Metric {
    key: &'static str,
    column: &'static str,
    kind: Kind,
    /// The largest number that is written.
    max: u32,
}

const fn metric(key: &'static str, column: &'static str, kind: Kind, max: u32) -> Metric {
    Metric { key, column, kind, max }
}

const SECTIONS: [Section; 5] = [
    Section {
        name: "network",
        time_column: "network_time",
        present: 0.995,
        metrics: &[
            metric("network_delay", "network_delay_ms", Kind::Delay, 400),
            metric("bitrate_received", "network_bitrate_received_kbps", Kind::BitRate, 6000),
            metric("packet_loss_avg_received", "network_packet_loss_avg_received_pct", Kind::Share, 20),
            metric("packet_loss_max_received", "network_packet_loss_max_received_pct", Kind::Share, 40),
            metric("bitrate_sent", "network_bitrate_sent_kbps", Kind::BitRate, 4000),
            metric("packet_loss_avg_sent", "network_packet_loss_avg_sent_pct", Kind::Share, 20),
            metric("packet_loss_max_sent", "network_packet_loss_max_sent_pct", Kind::Share, 40),
        ],
    },
    Section {
        name: "audio",
        time_column: "audio_time",
        present: 0.98,
        metrics: &[
            metric("mic_input_volume", "audio_mic_input_volume_db", Kind::Volume, 60),
            metric("speaker_volume", "audio_speaker_volume_db", Kind::Volume, 60),
            metric("bitrate_received", "audio_bitrate_received_kbps", Kind::BitRate, 192),
            metric("latency_received", "audio_latency_received_ms", Kind::Delay, 400),
            metric("jitter_received", "audio_jitter_received_ms", Kind::Delay, 100),
            metric("bitrate_sent", "audio_bitrate_sent_kbps", Kind::BitRate, 64),
            metric("latency_sent", "audio_latency_sent_ms", Kind::Delay, 400),
            metric("jitter_sent", "audio_jitter_sent_ms", Kind::Delay, 100),
        ],
    },
    Section {
        name: "video",
        time_column: "video_time",
        present: 0.8,
        metrics: &[
            metric("bitrate_received", "video_bitrate_received_kbps", Kind::BitRate, 2800),
            metric("latency_received", "video_latency_received_ms", Kind::Delay, 400),
            metric("jitter_received", "video_jitter_received_ms", Kind::Delay, 100),
            metric("maximum_resolution_received", "video_maximum_resolution_received_px", Kind::Resolution, 1080),
            metric("framerate_received", "video_framerate_received_fps", Kind::FrameRate, 60),
            metric("bitrate_sent", "video_bitrate_sent_kbps", Kind::BitRate, 2000),
            metric("latency_sent", "video_latency_sent_ms", Kind::Delay, 400),
            metric("jitter_sent", "video_jitter_sent_ms", Kind::Delay, 100),
            metric("maximum_resolution_sent", "video_maximum_resolution_sent_px", Kind::Resolution, 1080),
            metric("framerate_sent", "video_framerate_sent_fps", Kind::FrameRate, 60),
        ],
    },
    Section {
        name: "screen_sharing",
        time_column: "screen_sharing_time",
        present: 0.3,
        metrics: &[
            metric("bitrate_received", "screen_sharing_bitrate_received_kbps", Kind::BitRate, 2800),
            metric("latency_received", "screen_sharing_latency_received_ms", Kind::Delay, 400),
            metric("jitter_received", "screen_sharing_jitter_received_ms", Kind::Delay, 100),
            metric(
                "maximum_resolution_received",
                "screen_sharing_maximum_resolution_received_px",
                Kind::Resolution,
                1080,
            ),
            metric("framerate_received", "screen_sharing_framerate_received_fps", Kind::FrameRate, 30),
            metric("bitrate_sent", "screen_sharing_bitrate_sent_kbps", Kind::BitRate, 2000),
            metric("latency_sent", "screen_sharing_latency_sent_ms", Kind::Delay, 400),
            metric("jitter_sent", "screen_sharing_jitter_sent_ms", Kind::Delay, 100),
            metric("maximum_resolution_sent", "screen_sharing_maximum_resolution_sent_px", Kind::Resolution, 1080),
            metric("framerate_sent", "screen_sharing_framerate_sent_fps", Kind::FrameRate, 30),
        ],
    },
    Section {
        name: "cpu_usage",
        time_column: "cpu_usage_time",
        present: 0.95,
        metrics: &[
            metric("client_avg_cpu_usage", "client_avg_cpu_usage_pct", Kind::Share, 60),
            metric("client_max_cpu_usage", "client_max_cpu_usage_pct", Kind::Share, 90),
            metric("system_avg_cpu_usage", "system_avg_cpu_usage_pct", Kind::Share, 80),
            metric("system_max_cpu_usage", "system_max_cpu_usage_pct", Kind::Share, 100),
        ],
    },
];

/// Zones as they can be written, with their offset from UTC in seconds.
pub(super) const ZONES: &[(&str, i32)] = &[
    (" (GMT+08:00)", ZONE_S),
    (" (GMT+8)", ZONE_S),
    (" (GMT+8:00)", ZONE_S),
    (" (GMT+08)", ZONE_S),
    (" \u{ff08}GMT+08:00\u{ff09}", ZONE_S),
    ("", ZONE_S),
    (" (GMT+07:00)", 7 * 3600),
    (" (GMT-05:00)", -5 * 3600),
    (" (GMT+05:45)", 5 * 3600 + 45 * 60),
    (" (GMT-03:30)", -3 * 3600 - 30 * 60),
    (" (GMT)", 0),
    (" (UTC)", 0),
];

/// Texts that name no time.
const NO_TIMES: &[&str] = &["yesterday", "2025.02.30 11:00:00 (GMT+08:00)", "2025-03-03T11:00", "11:16:00"];

/// Writes samples and says what they mean.
#[derive(Clone, Copy)]
pub(super) struct Samples<'a> {
    pub(super) seed: u64,
    pub(super) other_forms: f64,
    pub(super) good_connections: bool,
    pub(super) stay: &'a SimulatedStay,
}

impl Samples<'_> {
    /// What the sample at `index` must become.
    pub(super) fn expected(self, index: u32) -> ExpectedSample {
        let mut values = Vec::with_capacity(44);
        self.write(index, &mut String::new(), |column, value| values.push((column, value)));
        let time = |(_, value): &(_, Expected)| if let Expected::Time(unix_s) = value { Some(*unix_s) } else { None };
        ExpectedSample { index, sample_time_s: values.iter().find_map(time), values }
    }

    /// Appends the sample at `index` as JSON, and tells of each column what it must hold.
    pub(super) fn write(self, index: u32, json: &mut String, mut tell: impl FnMut(&'static str, Expected)) {
        let stretch = &mut stream(self.seed, Purpose::Stretch, self.stay.key.0, u64::from(index / STRETCH_SAMPLES));
        let rng = &mut stream(self.seed, Purpose::Sample, self.stay.key.0, u64::from(index));
        let minute_s = self.stay.join_s.div_euclid(60) * 60 + 60 * i64::from(index);
        let is_bare = rng.random_bool(0.0003);
        let camera_is_off = stretch.random_bool(0.4);
        let is_strained = self.is_strained(index);
        json.push('{');
        for section in &SECTIONS {
            let is_present = stretch.random_bool(section.present) && !is_bare;
            if !is_present {
                tell(section.time_column, Expected::Absent);
                section.metrics.iter().for_each(|metric| tell(metric.column, Expected::Absent));
                continue;
            }
            let _ = write!(json, "\"{}\":{{\"time\":", section.name);
            tell(section.time_column, self.write_time(rng, section, minute_s, json));
            for metric in section.metrics {
                let is_off = camera_is_off && section.name == "video" && metric.key.ends_with("_sent");
                tell(metric.column, self.write_metric(rng, metric, (is_off, is_strained), json));
            }
            if self.is_other(rng) {
                json.push_str(",\"codec\":\"H264\"");
            }
            json.push_str("},");
        }
        if self.is_other(rng) {
            json.push_str("\"device\":{\"battery\":\"80%\"},");
        }
        if json.ends_with(',') {
            json.pop();
        }
        json.push('}');
    }

    fn is_strained(self, index: u32) -> bool {
        if !self.good_connections {
            return true;
        }
        let stretch = index / STRETCH_SAMPLES;
        let begin_s = self.stay.join_s + i64::from(stretch * STRETCH_SAMPLES) * 60;
        let hour = (begin_s + i64::from(ZONE_S)).div_euclid(3600).rem_euclid(24);
        let usual = if self.stay.participant.is_weak(self.seed) { STRAINED_IF_WEAK } else { STRAINED };
        let share = if BUSY.0.contains(&hour) { BUSY.1 * usual } else { usual };
        stream(self.seed, Purpose::Strain, self.stay.key.0, stretch.into()).random_bool(share)
    }

    fn is_other(self, rng: &mut StdRng) -> bool {
        self.other_forms > 0.0 && rng.random_bool(self.other_forms)
    }

    /// Writes a section's time. CPU times lack their zone, and now and then name the next minute, as in the
    /// documentation.
    fn write_time(self, rng: &mut StdRng, section: &Section, minute_s: i64, json: &mut String) -> Expected {
        let is_cpu = section.name == "cpu_usage";
        let unix_s = if is_cpu && rng.random_bool(0.1) { minute_s + 60 } else { minute_s };
        let (zone, offset_s) = match self.is_other(rng) {
            true if rng.random_bool(0.2) => return write_no_time(rng, unix_s, json),
            true => *one_of(rng, ZONES),
            false if is_cpu => ("", ZONE_S),
            false => (" (GMT+08:00)", ZONE_S),
        };
        let _ = write!(json, "\"{}{zone}\"", local_time(unix_s, offset_s));
        Expected::Time(unix_s)
    }

    /// Writes `,"key":value`, or nothing where the key is missing.
    fn write_metric(
        self,
        rng: &mut StdRng,
        metric: &Metric,
        (is_off, is_strained): (bool, bool),
        json: &mut String,
    ) -> Expected {
        let share: f64 = rng.random();
        if share < 0.005 {
            return Expected::Absent;
        }
        let _ = write!(json, ",\"{}\":", metric.key);
        let form = match share {
            share if share < 0.015 => Form::Nothing("\"\""),
            share if share < 0.023 || is_off => Form::Nothing("\"-\""),
            _ if self.is_other(rng) => {
                let of_all = rng.random_bool(0.3);
                *one_of(rng, if of_all { UNDOCUMENTED_OF_ALL } else { undocumented(metric.kind) })
            }
            _ => *one_of(rng, documented(metric.kind)),
        };
        form.write(metric.kind, decimal(rng, metric, is_strained), json)
    }
}

/// A number for the metric: small ones are more frequent, none is zero.
fn decimal(rng: &mut StdRng, metric: &Metric, is_strained: bool) -> Decimal {
    let decimals = match metric.kind {
        Kind::Share => rng.random_range(0..=1),
        _ => 0,
    };
    let (least, most) = match metric.kind {
        _ if is_strained => (1, metric.max),
        Kind::Delay => (1, metric.max / 4),
        Kind::Share if !metric.key.ends_with("cpu_usage") => (1, metric.max / 8),
        Kind::FrameRate => (metric.max / 4, metric.max),
        _ => (1, metric.max),
    };
    let skewed = rng.random::<f64>().powi(3);
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "between 0 and max, which fits")]
    let digits = least + (skewed * f64::from((most - least) * 10_u32.pow(decimals))) as u32;
    Decimal { negative: metric.kind == Kind::Volume && rng.random_bool(0.7), digits, decimals }
}

fn write_no_time(rng: &mut StdRng, unix_s: i64, json: &mut String) -> Expected {
    match rng.random_range(0..4) {
        0 => {
            json.push_str("\"\"");
            Expected::Absent
        }
        1 => {
            json.push_str("null");
            Expected::Absent
        }
        2 => {
            let _ = write!(json, "{unix_s}");
            Expected::Unparsed(unix_s.to_string())
        }
        _ => {
            let text = one_of(rng, NO_TIMES);
            let _ = write!(json, "\"{text}\"");
            Expected::Unparsed((*text).to_owned())
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;
    use crate::simulator::tenant::{Tenant, TenantSettings};

    fn check_samples(other_forms: f64, check: impl Fn(&Section, Option<(&str, Option<Kind>, &Value)>, &Expected)) {
        let tenant = Tenant::new(TenantSettings { stays: 40, ..TenantSettings::default() });
        for stay in tenant.stays() {
            let samples = Samples { seed: 1, other_forms, good_connections: true, stay: &stay };
            for index in 0..stay.sample_count {
                let (mut json, expected) = (String::new(), samples.expected(index));
                samples.write(index, &mut json, |_, _| ());
                let sample: Value = serde_json::from_str(&json).unwrap();
                let mut columns = expected.values.iter();
                for section in &SECTIONS {
                    let keys =
                        [("time", None)].into_iter().chain(section.metrics.iter().map(|m| (m.key, Some(m.kind))));
                    for (key, kind) in keys {
                        let value = sample.get(section.name).and_then(|section| section.get(key));
                        check(section, value.map(|value| (key, kind, value)), &columns.next().unwrap().1);
                    }
                }
                assert!(columns.next().is_none());
            }
        }
    }

    #[test]
    fn without_other_forms_every_text_is_a_documented_one_and_means_its_number() {
        check_samples(0.0, |_, value, expected| {
            let Some((key, kind, value)) = value else { return assert_eq!(*expected, Expected::Absent) };
            let text = value.as_str().unwrap();
            let unit = match kind {
                _ if matches!(text, "" | "-") => return assert_eq!(*expected, Expected::Absent),
                Some(Kind::Delay) => "ms",
                Some(Kind::BitRate) => "kbps",
                Some(Kind::Share) => "%",
                Some(Kind::Volume) => "dB",
                Some(Kind::FrameRate) => "fps",
                Some(Kind::Resolution) => {
                    let pixels = text.strip_suffix('P').map_or(2160, |side| side.parse().unwrap());
                    return assert_eq!(*expected, Expected::Pixels(pixels));
                }
                None => {
                    assert_eq!(key, "time");
                    let local = text.strip_suffix(" (GMT+08:00)").unwrap_or(text);
                    let local = chrono::NaiveDateTime::parse_from_str(local, "%Y.%m.%d %H:%M:%S").unwrap();
                    return assert_eq!(*expected, Expected::Time(local.and_utc().timestamp() - 8 * 3600));
                }
            };
            let number = text.strip_suffix(unit).unwrap().parse().unwrap();
            assert_eq!(*expected, Expected::Number(number), "{text}");
        });
    }

    #[test]
    fn with_other_forms_only_an_original_text_is_expected_back() {
        let unparsed = std::cell::Cell::new(0);
        check_samples(0.8, |section, value, expected| {
            if let Expected::Unparsed(original) = expected {
                let (_, _, value) = value.expect(section.name);
                let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
                assert_eq!(*original, text);
                unparsed.set(unparsed.get() + 1);
            }
        });
        assert!(unparsed.get() > 1000);
    }

    #[test]
    fn there_are_39_metrics_and_5_times_with_names_of_their_own() {
        let columns: Vec<_> = SECTIONS
            .iter()
            .flat_map(|section| std::iter::once(section.time_column).chain(section.metrics.iter().map(|m| m.column)))
            .collect();
        let distinct: std::collections::HashSet<_> = columns.iter().collect();
        assert_eq!((columns.len(), distinct.len()), (44, 44));
    }

    #[test]
    fn a_time_in_another_zone_is_the_same_instant() {
        let unix_s = 1_740_970_800; // 2025-03-03 03:00:00 UTC
        let written: Vec<_> =
            ZONES.iter().map(|(zone, offset_s)| format!("{}{zone}", local_time(unix_s, *offset_s))).collect();
        let expected = [
            "2025.03.03 11:00:00 (GMT+08:00)",
            "2025.03.03 11:00:00 (GMT+8)",
            "2025.03.03 11:00:00 (GMT+8:00)",
            "2025.03.03 11:00:00 (GMT+08)",
            "2025.03.03 11:00:00 （GMT+08:00）",
            "2025.03.03 11:00:00",
            "2025.03.03 10:00:00 (GMT+07:00)",
            "2025.03.02 22:00:00 (GMT-05:00)",
            "2025.03.03 08:45:00 (GMT+05:45)",
            "2025.03.02 23:30:00 (GMT-03:30)",
            "2025.03.03 03:00:00 (GMT)",
            "2025.03.03 03:00:00 (UTC)",
        ];
        assert_eq!(written, expected);
    }
}
