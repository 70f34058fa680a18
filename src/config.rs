//! Text → checked configuration. No file is read here and no environment: `main` hands both in.
//!
//! The defaults are `config/vcq.toml` itself, so that a key, its default and its documentation stand in one place.

use std::{path::PathBuf, time::Duration};

use chrono::FixedOffset;
use chrono_tz::Tz;
use serde::Deserialize;
use toml::Value;

use self::layers::{Layers, path};
pub use self::{
    api::{Api, UserIdType},
    auth::{Auth, AuthAs},
    discover::Discover,
    error::ConfigError,
    notify::{NoticeForm, NoticeOf, Notify},
    report::{Limits, Report},
    store::ObjectStores,
    url::is_private_way,
};
use crate::{
    dataset::Dataset,
    place::{PLACE_RULE, Place},
};

mod api;
mod auth;
mod discover;
mod error;
mod layers;
mod notify;
mod report;
mod store;
mod url;

#[cfg(test)]
mod tests;

/// Every key with its documentation and default: the file that users copy.
pub const DEFAULTS: &str = include_str!("../config/vcq.toml");

/// The highest rate that can be configured: requests a minute.
pub const REQUESTS_PER_MINUTE_MAX: u32 = 10_000;

/// Variables that begin with `VCQ_` and are no key of the configuration; `main` and `cli` read them.
const OTHER_VARIABLES: [&str; 6] =
    ["VCQ_APP_SECRET", "VCQ_CONFIG", "VCQ_LOG", "VCQ_LOG_FORMAT", "VCQ_NOTIFY_SECRET", "VCQ_NOTIFY_URL"];

/// The configuration once checked.
#[derive(Clone, Debug, PartialEq)]
pub struct Config {
    /// The file that it was read from, if there was one.
    pub file: Option<PathBuf>,
    /// Zone whose calendar decides the partition date.
    pub timezone: Tz,
    /// Folder of the journal.
    pub state: PathBuf,
    /// Where the dataset lies.
    pub output: Place,
    /// What every dataset is.
    pub table: Form,
    /// How long a table's files are kept that are no longer read.
    pub table_retention: Duration,
    /// Folder with a marker for each complete date, if they are wanted.
    pub complete_markers: Option<PathBuf>,
    /// How long after a meeting's end an absent stay is asked for again.
    pub absent_retry_for: Duration,
    /// The app's id; empty if none was given.
    pub app_id: String,
    /// The file with the app's secret, if one is named.
    pub app_secret_file: Option<PathBuf>,
    /// Who asks.
    pub auth: Auth,
    /// The API's host.
    pub api: Api,
    /// The quota.
    pub rate: Rate,
    /// What to do about faults that pass.
    pub retry: Retry,
    /// What is discovered, and where it is published.
    pub discover: Discover,
    /// How object stores are reached.
    pub store: ObjectStores,
    /// What a time without a zone in a manifest or an archive means; none: it is refused.
    pub naive_times: Option<FixedOffset>,
    /// Where to write metrics for Prometheus, if anywhere.
    pub metrics_textfile: Option<PathBuf>,
    /// Who is told how runs end.
    pub notify: Notify,
    /// What the page of `vcq report` takes for bad.
    pub report: Report,
}

/// The quota of one app in one tenant.
#[derive(Clone, Debug, PartialEq)]
pub struct Rate {
    /// Requests in any 60 seconds.
    pub requests_per_minute: u32,
    /// Requests in a calendar month (UTC+8), if limited.
    pub requests_per_month: Option<u64>,
    /// Requests under way at the same time.
    pub in_flight_max: usize,
}

/// What a dataset is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Form {
    /// Date folders of files, all of which are read.
    Files,
    /// The same, and the log of a Delta table that says which of them are read.
    Delta,
}

/// What to do about faults that pass.
#[derive(Clone, Debug, PartialEq)]
pub struct Retry {
    /// Attempts at one page before its stay fails in this run.
    pub attempts_max: u32,
    /// How long a run sits an outage of the API out before it stops.
    pub outage_max: Duration,
    /// Whether a run stops when most of the last 200 answers are of stays unknown to the API, or off its contract.
    pub stop_on_anomaly: bool,
}

/// One value given on the command line: the key's path and the text.
pub type Override = (&'static str, String);

impl Config {
    /// Where a dataset lies, if it is published.
    pub fn place(&self, dataset: Dataset) -> Option<&Place> {
        match dataset {
            Dataset::Quality => Some(&self.output),
            Dataset::Meetings | Dataset::Participants => self.discover.place(dataset),
        }
    }

    /// Merges flags over environment over file over defaults, and checks the result.
    ///
    /// `file` is the name and text of the configuration file, if there is one; `environment` may hold any variables,
    /// those that do not begin with `VCQ_` are passed over.
    pub fn load(
        file: Option<(&str, &str)>,
        environment: impl IntoIterator<Item = (String, String)>,
        flags: &[Override],
    ) -> Result<Self, ConfigError> {
        let mut layers = Layers::defaults();
        if let Some((name, text)) = file {
            layers.add_file(name, text)?;
        }
        for (variable, value) in environment {
            if variable.starts_with("VCQ_") && !OTHER_VARIABLES.contains(&variable.as_str()) {
                layers.add_variable(&variable, &value)?;
            }
        }
        for (key, value) in flags {
            layers.set(key, "command line", Value::String(value.clone()));
        }
        layers.check()
    }
}

impl Layers {
    fn check(&self) -> Result<Config, ConfigError> {
        Ok(Config {
            file: self.file.clone(),
            timezone: self
                .read("timezone", "an IANA time zone such as `Asia/Shanghai` or `UTC`", |v| v.as_str()?.parse().ok())?,
            state: self.placed("state", self.read("state", "a folder's path", path)?),
            output: self.placed_at("output", self.read("output", PLACE_RULE, |v| Place::parse(v.as_str()?))?),
            table: self.read("table", "`files` or `delta`", |v| v.clone().try_into().ok())?,
            table_retention: self.duration("table_retention", "a duration of 1h to 3650d", "1h", "3650d")?,
            complete_markers: self.optional_file("complete_markers")?,
            absent_retry_for: self.duration("absent_retry_for", "a duration of 0s to 365d", "0s", "365d")?,
            app_id: self.read("app_id", "a text without blanks", |v| {
                v.as_str().filter(|id| !id.contains(char::is_whitespace)).map(str::to_owned)
            })?,
            app_secret_file: self.optional_file("app_secret_file")?,
            auth: self.check_auth()?,
            api: self.check_api()?,
            rate: self.check_rate()?,
            retry: Retry {
                attempts_max: self.integer("retry.attempts_max", "a number from 1 to 100", 1..=100)?,
                outage_max: self.duration("retry.outage_max", "a duration of 0s to 7d", "0s", "7d")?,
                stop_on_anomaly: self.flag("retry.stop_on_anomaly")?,
            },
            discover: self.check_discover()?,
            store: self.check_store()?,
            naive_times: self.read(
                "manifest.naive_times",
                "`utc`, a UTC offset such as `+08:00`, or empty",
                naive_times,
            )?,
            metrics_textfile: self.optional_file("metrics.textfile")?,
            notify: self.check_notify()?,
            report: self.check_report()?,
        })
    }

    fn check_rate(&self) -> Result<Rate, ConfigError> {
        let per_month: u64 =
            self.integer("rate.requests_per_month", "a number from 0 (no limit) up", 0..=u64::MAX >> 1)?;
        Ok(Rate {
            requests_per_minute: self.integer(
                "rate.requests_per_minute",
                "a number from 1 to 10000",
                1..=REQUESTS_PER_MINUTE_MAX,
            )?,
            requests_per_month: (per_month > 0).then_some(per_month),
            in_flight_max: self.integer("rate.in_flight_max", "a number from 1 to 64", 1..=64)?,
        })
    }
}

#[expect(clippy::option_option, reason = "the outer one says whether the value is acceptable")]
fn naive_times(value: &Value) -> Option<Option<FixedOffset>> {
    match value.as_str()? {
        "" => Some(None),
        text if text.eq_ignore_ascii_case("utc") => Some(FixedOffset::east_opt(0)),
        text => text.parse().ok().map(Some),
    }
}
