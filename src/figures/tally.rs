//! Minutes, and how many of them were bad, and why.

use serde::{Serialize, Serializer, ser::SerializeStruct as _};

use super::distribution::precise;

/// Why a minute is bad: one of its values is beyond the limit of its kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Cause {
    /// Delay of the network, latency of audio, video or the shared screen.
    Delay,
    /// Mean loss of packets.
    Loss,
    /// Jitter of audio, video or the shared screen.
    Jitter,
    /// Mean load of the processor.
    Cpu,
    /// A picture that stutters.
    FrameRate,
}

impl Cause {
    /// All of them, in the order of their counters.
    pub const ALL: [Self; 5] = [Self::Delay, Self::Loss, Self::Jitter, Self::Cpu, Self::FrameRate];

    /// The word in JSON.
    pub fn name(self) -> &'static str {
        match self {
            Self::Delay => "delay",
            Self::Loss => "loss",
            Self::Jitter => "jitter",
            Self::Cpu => "cpu",
            Self::FrameRate => "frame_rate",
        }
    }

    /// Its bit among the causes of a minute.
    pub(super) fn bit(self) -> u8 {
        1 << self as u8
    }
}

/// Minutes, and how many of them were bad.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// All of them.
    pub minutes: u64,
    /// Those with at least one cause.
    pub bad_minutes: u64,
    /// Those with each cause, in the order of [`Cause::ALL`]; a minute may have several.
    pub beyond: [u64; 5],
}

impl Tally {
    /// Takes a minute in, with its causes as bits.
    #[inline]
    pub(super) fn add(&mut self, causes: u8) {
        self.minutes += 1;
        self.bad_minutes += u64::from(causes != 0);
        for (bit, counter) in self.beyond.iter_mut().enumerate() {
            *counter += u64::from(causes >> bit & 1);
        }
    }

    /// Takes the minutes of another one in.
    pub(super) fn merge(&mut self, other: &Self) {
        self.minutes += other.minutes;
        self.bad_minutes += other.bad_minutes;
        for (counter, more) in self.beyond.iter_mut().zip(other.beyond) {
            *counter += more;
        }
    }

    /// The share of bad minutes, from 0 to 1; `None` without a minute.
    pub fn bad_share(&self) -> Option<f64> {
        share(self.bad_minutes, self.minutes)
    }

    /// How many more of its minutes were bad than would be if they were like all: what it adds to what is bad. `None` without a
    /// minute.
    pub fn excess(&self, all: &Self) -> Option<f64> {
        let usual = all.bad_share()?;
        (self.minutes > 0).then(|| precise(self.bad_minutes) - usual * precise(self.minutes))
    }

    /// The share of minutes with a cause, from 0 to 1; `None` without a minute.
    pub fn share_beyond(&self, cause: Cause) -> Option<f64> {
        share(self.beyond[cause as usize], self.minutes)
    }
}

impl Serialize for Tally {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        struct Beyond<'a>(&'a [u64; 5]);
        impl Serialize for Beyond<'_> {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_map(Cause::ALL.iter().map(|cause| cause.name()).zip(self.0))
            }
        }
        let mut object = serializer.serialize_struct("Tally", 4)?;
        object.serialize_field("minutes", &self.minutes)?;
        object.serialize_field("bad_minutes", &self.bad_minutes)?;
        object.serialize_field("bad_share", &self.bad_share())?;
        object.serialize_field("beyond", &Beyond(&self.beyond))?;
        object.end()
    }
}

/// A share as it is told: where anything is missing never more than `most`, however little it is.
pub fn told(share: f64, most: f64) -> f64 {
    if share < 1.0 { share.min(most) } else { share }
}

/// `part` of `whole`, from 0 to 1; `None` of nothing.
pub fn share(part: u64, whole: u64) -> Option<f64> {
    (whole > 0).then(|| precise(part) / precise(whole))
}

/// Its JSON, for the schema.
#[cfg(test)]
mod written {
    use std::{borrow::Cow, collections::BTreeMap};

    use schemars::{JsonSchema, SchemaGenerator};

    use super::Tally;

    /// What a [`Tally`] is written as.
    #[derive(JsonSchema)]
    #[expect(dead_code, reason = "it is there for its form")]
    struct WrittenTally {
        /// All of them.
        minutes: u64,
        /// Those with at least one cause.
        bad_minutes: u64,
        /// The share of bad minutes, from 0 to 1.
        bad_share: Option<f64>,
        /// Those with each cause; a minute may have several.
        beyond: BTreeMap<String, u64>,
    }

    impl JsonSchema for Tally {
        fn schema_name() -> Cow<'static, str> {
            WrittenTally::schema_name()
        }

        fn json_schema(generator: &mut SchemaGenerator) -> schemars::Schema {
            WrittenTally::json_schema(generator)
        }
    }
}
