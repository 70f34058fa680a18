//! Text → checked configuration. No file is read here and no environment: `main` hands both in.
//!
//! The defaults are `config/vcq.toml` itself, so that a key, its default and its documentation stand in one place.

use std::{path::PathBuf, sync::LazyLock, time::Duration};

use chrono::FixedOffset;
use chrono_tz::Tz;
use serde::{Deserialize, Serialize};
use toml::{Table, Value};
use url::Url;

pub use self::{
    auth::{Auth, AuthAs},
    notify::{NoticeForm, NoticeOf, Notify},
};
use crate::{
    dataset::Dataset,
    place::{PLACE_RULE, Place},
    printable::Printable,
    tables::personal_columns,
};

mod auth;
mod notify;

/// Every key with its documentation and default: the file that users copy.
pub const DEFAULTS: &str = include_str!("../config/vcq.toml");

/// The keys of [`DEFAULTS`] in their order, by path.
static DEFAULT_KEYS: LazyLock<Vec<(String, Value)>> =
    LazyLock::new(|| flatten(DEFAULTS.parse().expect("config/vcq.toml is TOML")));

/// What is accepted as `discover.personal`.
static PERSONAL_RULE: LazyLock<String> = LazyLock::new(|| format!("a list of {}", personal_columns().join(", ")));

/// What is accepted as the place of a dataset that need not be published.
static OPTIONAL_PLACE_RULE: LazyLock<String> = LazyLock::new(|| format!("{PLACE_RULE}, or empty"));

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

/// The API's host and how to talk to it.
#[derive(Clone, Debug, PartialEq)]
pub struct Api {
    /// Scheme and host, without a path.
    pub base_url: Url,
    /// Kind of the manifest's user ids.
    pub user_id_type: UserIdType,
    /// Offset of the API's time texts without a zone.
    pub naive_utc_offset: FixedOffset,
    /// Longest wait for a connection.
    pub connect_timeout: Duration,
    /// Longest wait for a whole answer.
    pub request_timeout: Duration,
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

/// What discovery asks for, and what is published of it.
#[derive(Clone, Debug, PartialEq)]
pub struct Discover {
    /// Where the dataset of meetings lies, if it is published.
    pub meetings: Option<Place>,
    /// Where the dataset of participants lies, if it is published.
    pub participants: Option<Place>,
    /// Whether meetings of other tenants are listed too.
    pub include_external_meetings: bool,
    /// Whether webinars are listed too.
    pub include_webinar: bool,
    /// Columns published besides those that everybody gets, each one of [`personal_columns`].
    pub personal: Vec<String>,
}

impl Discover {
    /// Where a dataset that comes from listings lies, if it is published.
    pub fn place(&self, dataset: Dataset) -> Option<&Place> {
        match dataset {
            Dataset::Quality => None,
            Dataset::Meetings => self.meetings.as_ref(),
            Dataset::Participants => self.participants.as_ref(),
        }
    }
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

/// How object stores are reached. Credentials are never part of it: they come from the environment, a web identity, the
/// container or the instance.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ObjectStores {
    /// The store's address, without the bucket; none: AWS.
    pub endpoint: Option<Url>,
    /// The region that requests are signed for; none: the environment's, or `us-east-1`.
    pub region: Option<String>,
    /// Whether the bucket is part of the host's name and not of the path.
    pub virtual_hosted: bool,
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

/// The three ways in which the API names a user.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum UserIdType {
    /// A user within one app.
    OpenId,
    /// A user within one developer's apps.
    UnionId,
    /// A user within the tenant.
    UserId,
}

impl UserIdType {
    /// The API's word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::OpenId => "open_id",
            Self::UnionId => "union_id",
            Self::UserId => "user_id",
        }
    }
}

/// Why the configuration cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file is not TOML. The line is not quoted: a secret may stand there by mistake.
    #[error(
        "`{}` is not TOML: line {line}, column {column}{}: {why}",
        Printable(name),
        key.as_ref().map(|key| format!(", the value of `{key}`")).unwrap_or_default()
    )]
    Syntax {
        /// The file.
        name: String,
        /// From 1.
        line: usize,
        /// From 1, in characters.
        column: usize,
        /// The known key whose line that is, if it is one.
        key: Option<&'static str>,
        /// What was expected.
        why: String,
    },
    /// A key that does not exist.
    #[error("{}: there is no key `{}`{}", Printable(origin), Printable(key), nearest.as_ref().map(|n| format!("; did you mean `{n}`?")).unwrap_or_default())]
    UnknownKey {
        /// The file or the environment.
        origin: String,
        /// The key as written.
        key: String,
        /// The known key that looks most like it.
        nearest: Option<String>,
    },
    /// A value of the wrong kind or out of range.
    #[error("{}: `{key}` {value}, but must be {rule}", Printable(origin))]
    Value {
        /// The file, the environment or a flag.
        origin: String,
        /// The key's path.
        key: &'static str,
        /// What the value is, as far as it can be shown.
        value: String,
        /// What is accepted.
        rule: &'static str,
    },
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
            layers.1 = Some(name.into());
        }
        for (variable, value) in environment {
            if variable.starts_with("VCQ_") && !OTHER_VARIABLES.contains(&variable.as_str()) {
                layers.add_variable(&variable, &value)?;
            }
        }
        for (key, value) in flags {
            layers.set(key, "command line", Value::String(value.clone()));
        }
        Ok(Config { file: file.map(|(name, _)| name.into()), ..layers.check()? })
    }
}

/// One key: its path, its value and where that came from.
struct Entry {
    key: &'static str,
    value: Value,
    origin: String,
}

/// All keys in the order of `config/vcq.toml`, each with its value of the highest layer so far, and the file that was read.
struct Layers(Vec<Entry>, Option<PathBuf>);

impl Layers {
    fn defaults() -> Self {
        let entry =
            |(key, value): &'static (String, Value)| Entry { key, value: value.clone(), origin: "default".into() };
        Self(DEFAULT_KEYS.iter().map(entry).collect(), None)
    }

    fn add_file(&mut self, name: &str, text: &str) -> Result<(), ConfigError> {
        let table: Table = text.parse().map_err(|error| syntax_error(name, text, &error))?;
        for (key, value) in flatten(table) {
            let known = self.known(&key, name, str::to_owned)?;
            self.set(known, name, value);
        }
        Ok(())
    }

    fn add_variable(&mut self, variable: &str, value: &str) -> Result<(), ConfigError> {
        let known = self.known(variable, "environment", variable_of)?;
        self.set(known, variable, Value::String(value.into()));
        Ok(())
    }

    /// The known key that `written` names, in the spelling that `spell` gives to known keys.
    fn known(&self, written: &str, origin: &str, spell: impl Fn(&str) -> String) -> Result<&'static str, ConfigError> {
        if let Some(entry) = self.0.iter().find(|entry| spell(entry.key) == written) {
            return Ok(entry.key);
        }
        let last_part = |key: &str| key.rsplit('.').next().unwrap_or(key).to_owned();
        let nearest = self
            .0
            .iter()
            .map(|entry| spell(entry.key))
            .map(|key| {
                let whole = strsim::normalized_damerau_levenshtein(&key, written);
                let last = strsim::normalized_damerau_levenshtein(&last_part(&key), &last_part(written));
                (whole.max(last), key)
            })
            .filter(|(similarity, _)| *similarity > 0.5)
            .max_by(|a, b| a.0.total_cmp(&b.0))
            .map(|(_, key)| key);
        Err(ConfigError::UnknownKey { origin: origin.into(), key: written.into(), nearest })
    }

    fn set(&mut self, key: &'static str, origin: &str, value: Value) {
        let entry = self.0.iter_mut().find(|entry| entry.key == key).expect("only known keys are set");
        entry.value = value;
        entry.origin = origin.into();
    }

    fn check(&self) -> Result<Config, ConfigError> {
        Ok(Config {
            file: None,
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
                outage_max: self.duration("retry.outage_max", "a duration of 1m to 7d", "1m", "7d")?,
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

    fn check_report(&self) -> Result<Report, ConfigError> {
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

    fn check_api(&self) -> Result<Api, ConfigError> {
        Ok(Api {
            base_url: self.read("api.base_url", BASE_URL_RULE, base_url)?,
            user_id_type: self
                .read("api.user_id_type", "`open_id`, `union_id` or `user_id`", |v| v.clone().try_into().ok())?,
            naive_utc_offset: self
                .read("api.naive_utc_offset", "a UTC offset such as `+08:00`", |v| v.as_str()?.parse().ok())?,
            connect_timeout: self.duration("api.connect_timeout", "a duration of 1s to 2m", "1s", "2m")?,
            request_timeout: self.duration("api.request_timeout", "a duration of 1s to 5m", "1s", "5m")?,
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

    fn check_discover(&self) -> Result<Discover, ConfigError> {
        let place = |key: &'static str| {
            let read = |value: &Value| optional(value, Place::parse);
            self.read(key, &OPTIONAL_PLACE_RULE, read).map(|place| place.map(|place| self.placed_at(key, place)))
        };
        Ok(Discover {
            meetings: place("discover.meetings")?,
            participants: place("discover.participants")?,
            include_external_meetings: self.flag("discover.include_external_meetings")?,
            include_webinar: self.flag("discover.include_webinar")?,
            personal: self.read("discover.personal", &PERSONAL_RULE, personal)?,
        })
    }

    fn check_store(&self) -> Result<ObjectStores, ConfigError> {
        let allows_http = self.flag("store.allow_http")?;
        let endpoint = |value: &Value| {
            optional(value, |text| {
                let url = bare_url(text)?;
                (url.scheme() == "https" || (allows_http && is_private_way(&url))).then_some(url)
            })
        };
        let is_region = |text: &str| text.chars().all(|c| c.is_ascii_alphanumeric() || c == '-');
        Ok(ObjectStores {
            endpoint: self.read(
                "store.endpoint",
                "an https URL of a host without bucket, path, query or user, or empty (http on a loopback address only, with \
                 `store.allow_http`)",
                endpoint,
            )?,
            region: self.read("store.region", "a region such as `cn-hangzhou`, or empty", |value| {
                optional(value, |text| is_region(text).then(|| text.to_owned()))
            })?,
            virtual_hosted: self.flag("store.virtual_hosted")?,
        })
    }

    /// A relative path that the configuration file gives is relative to that file; others are to the working directory.
    fn placed(&self, key: &str, path: PathBuf) -> PathBuf {
        let is_of_file =
            |file: &&PathBuf| self.0.iter().any(|entry| entry.key == key && file.as_os_str() == &*entry.origin);
        let folder = self.1.as_ref().filter(is_of_file).and_then(|file| file.parent());
        folder.map_or(path.clone(), |folder| folder.join(path))
    }

    /// The same of what may be in a bucket.
    fn placed_at(&self, key: &str, place: Place) -> Place {
        match place {
            Place::Folder(folder) => Place::Folder(self.placed(key, folder)),
            place @ Place::Bucket(_) => place,
        }
    }

    fn optional_file(&self, key: &'static str) -> Result<Option<PathBuf>, ConfigError> {
        Ok(self.read(key, "a file's path, or empty", optional_path)?.map(|file| self.placed(key, file)))
    }

    fn flag(&self, key: &'static str) -> Result<bool, ConfigError> {
        self.read(key, "true or false", |value| value.as_bool().or_else(|| value.as_str()?.parse().ok()))
    }

    fn integer<T>(
        &self,
        key: &'static str,
        rule: &'static str,
        range: std::ops::RangeInclusive<T>,
    ) -> Result<T, ConfigError>
    where
        T: TryFrom<i64> + PartialOrd,
    {
        self.read(key, rule, |value| {
            let number = value.as_integer().or_else(|| value.as_str()?.trim().parse().ok())?;
            T::try_from(number).ok().filter(|number| range.contains(number))
        })
    }

    fn decimal(
        &self,
        key: &'static str,
        rule: &'static str,
        range: std::ops::RangeInclusive<f64>,
    ) -> Result<f64, ConfigError> {
        self.read(key, rule, |value| {
            #[expect(clippy::cast_precision_loss, reason = "a limit of 2^53 is out of range")]
            let whole = || value.as_integer().map(|number| number as f64);
            let number = value.as_float().or_else(whole).or_else(|| value.as_str()?.trim().parse().ok())?;
            Some(number).filter(|number| range.contains(number))
        })
    }

    fn duration(
        &self,
        key: &'static str,
        rule: &'static str,
        least: &str,
        most: &str,
    ) -> Result<Duration, ConfigError> {
        let parse = |text: &str| humantime::parse_duration(text).ok();
        self.read(key, rule, |value| {
            parse(value.as_str()?).filter(|duration| (parse(least)..=parse(most)).contains(&Some(*duration)))
        })
    }

    fn read<T>(
        &self,
        key: &'static str,
        rule: &'static str,
        reader: impl Fn(&Value) -> Option<T>,
    ) -> Result<T, ConfigError> {
        let entry = self.0.iter().find(|entry| entry.key == key).expect("config/vcq.toml has every key");
        reader(&entry.value).ok_or_else(|| ConfigError::Value {
            origin: entry.origin.clone(),
            key: entry.key,
            value: shown(key, &entry.value),
            rule,
        })
    }
}

/// Where the text stops being TOML, and what was expected there.
fn syntax_error(name: &str, text: &str, error: &toml::de::Error) -> ConfigError {
    let at = error.span().map_or(0, |span| span.start.min(text.len()));
    let before = text.get(..at).unwrap_or_default();
    let line_start = before.rfind('\n').map_or(0, |end| end + 1);
    let line = text[line_start..].lines().next().unwrap_or_default();
    let table = before[..line_start].lines().rev().find_map(|line| line.trim().strip_prefix('[')?.strip_suffix(']'));
    let written = line.split_once('=').map(|(key, _)| key.trim());
    let path = written.map(|key| table.map_or(key.to_owned(), |table| format!("{}.{key}", table.trim())));
    let known = path.and_then(|path| DEFAULT_KEYS.iter().find(|(key, _)| *key == path));
    ConfigError::Syntax {
        name: name.into(),
        line: before.matches('\n').count() + 1,
        column: before[line_start..].chars().count() + 1,
        key: known.map(|(key, _)| key.as_str()),
        why: error.message().lines().next().unwrap_or_default().to_owned(),
    }
}

/// Keys beside which a secret is at hand: it may stand in their place by mistake, so what stands there is not shown.
const BESIDE_SECRETS: [&str; 7] = [
    "app_id",
    "app_secret_file",
    "api.base_url",
    "auth.as",
    "auth.access_token_file",
    "auth.redirect_uri",
    "auth.accounts_url",
];

/// The longest value that a message shows, in characters.
const SHOWN_CHARS_MAX: usize = 40;

/// What a message says of a value that is not accepted.
fn shown(key: &str, value: &Value) -> String {
    let is_plain_host = |text: &str| {
        text.parse::<Url>().is_ok_and(|url| {
            url.username().is_empty() && url.password().is_none() && url.query().is_none() && url.fragment().is_none()
        }) && text.chars().all(|c| c.is_ascii_alphanumeric() || ":/.-[]".contains(c))
    };
    match value {
        Value::Array(_) => "is a list".into(),
        Value::Table(_) => "is a table".into(),
        Value::String(text) if text.chars().count() > SHOWN_CHARS_MAX => "is a long text".into(),
        // Whoever writes an address may write a key into it.
        Value::String(text) if (BESIDE_SECRETS.contains(&key) || text.contains("://")) && !is_plain_host(text) => {
            "is a text that is not shown here".into()
        }
        Value::String(text) => format!("is {}", Printable(format!("{text:?}"))),
        value => format!("is {}", Printable(value)),
    }
}

/// `a.b` for the key `b` in the table `[a]`.
fn flatten(table: Table) -> Vec<(String, Value)> {
    let mut keys = Vec::new();
    for (key, value) in table {
        match value {
            Value::Table(inner) => {
                keys.extend(flatten(inner).into_iter().map(|(rest, value)| (format!("{key}.{rest}"), value)));
            }
            value => keys.push((key, value)),
        }
    }
    keys
}

fn variable_of(key: &str) -> String {
    format!("VCQ_{}", key.replace('.', "_").to_ascii_uppercase())
}

fn path(value: &Value) -> Option<PathBuf> {
    value.as_str().filter(|text| !text.is_empty() && !text.contains('\0')).map(PathBuf::from)
}

#[expect(clippy::option_option, reason = "the outer one says whether the value is acceptable")]
fn optional_path(value: &Value) -> Option<Option<PathBuf>> {
    value.as_str().map(|text| (!text.is_empty()).then(|| PathBuf::from(text)))
}

/// `None` inside for an empty text; `None` outside for what `parse` does not take.
#[expect(clippy::option_option, reason = "the outer one says whether the value is acceptable")]
fn optional<T>(value: &Value, parse: impl Fn(&str) -> Option<T>) -> Option<Option<T>> {
    match value.as_str()? {
        "" => Some(None),
        text => parse(text).map(Some),
    }
}

/// A list of columns, or a text with commas between them, as the environment gives it; each once, in the order of the table.
fn personal(value: &Value) -> Option<Vec<String>> {
    let named: Vec<&str> = match value {
        Value::Array(values) => values.iter().map(Value::as_str).collect::<Option<_>>()?,
        Value::String(text) => text.split(',').map(str::trim).filter(|name| !name.is_empty()).collect(),
        _ => return None,
    };
    let known = personal_columns();
    let are_known = named.iter().all(|name| known.contains(name));
    let in_order = known.into_iter().filter(|column| named.contains(column));
    are_known.then(|| in_order.map(str::to_owned).collect())
}

#[expect(clippy::option_option, reason = "the outer one says whether the value is acceptable")]
fn naive_times(value: &Value) -> Option<Option<FixedOffset>> {
    match value.as_str()? {
        "" => Some(None),
        text if text.eq_ignore_ascii_case("utc") => Some(FixedOffset::east_opt(0)),
        text => text.parse().ok().map(Some),
    }
}

/// What is accepted as `api.base_url`.
const BASE_URL_RULE: &str = "an https URL of a host without path, query or user (http on a loopback address only)";

fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(url::Host::Domain(name)) => name == "localhost",
        Some(url::Host::Ipv4(address)) => address.is_loopback(),
        Some(url::Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    }
}

/// Whether nobody can listen on the way there: https, or http that does not leave this machine.
pub fn is_private_way(url: &Url) -> bool {
    url.host().is_some() && (url.scheme() == "https" || (url.scheme() == "http" && is_loopback(url)))
}

/// A token must not leave over plain http, so that is accepted on a loopback address alone.
fn base_url(value: &Value) -> Option<Url> {
    bare_url(value.as_str()?).filter(is_private_way)
}

/// A URL of a host and nothing else.
fn bare_url(text: &str) -> Option<Url> {
    let url: Url = text.parse().ok()?;
    let is_bare = url.path() == "/"
        && url.query().is_none()
        && url.fragment().is_none()
        && url.username().is_empty()
        && url.password().is_none();
    is_bare.then_some(url)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn load(file: &str) -> Result<Config, String> {
        Config::load(Some(("vcq.toml", file)), [], &[]).map_err(|error| error.to_string())
    }

    #[test]
    fn defaults_are_those_of_the_contract() {
        let config = Config::load(None, [], &[]).unwrap();
        let expected = Config {
            file: None,
            timezone: Tz::Asia__Shanghai,
            state: "state".into(),
            output: "quality".into(),
            table: Form::Files,
            table_retention: Duration::from_secs(7 * 24 * 3600),
            complete_markers: None,
            absent_retry_for: Duration::from_secs(48 * 3600),
            app_id: String::new(),
            app_secret_file: None,
            auth: Auth {
                identity: AuthAs::Tenant,
                access_token_file: None,
                redirect_uri: "http://127.0.0.1:8360/".parse().unwrap(),
                accounts_url: Some("https://accounts.feishu.cn".parse().unwrap()),
                scopes: vec!["vc:room:readonly".into(), "vc:rooms.room.detailinfo:read".into()],
            },
            api: Api {
                base_url: "https://open.feishu.cn".parse().unwrap(),
                user_id_type: UserIdType::OpenId,
                naive_utc_offset: FixedOffset::east_opt(8 * 3600).unwrap(),
                connect_timeout: Duration::from_secs(10),
                request_timeout: Duration::from_secs(30),
            },
            rate: Rate { requests_per_minute: 100, requests_per_month: None, in_flight_max: 16 },
            retry: Retry { attempts_max: 8, outage_max: Duration::from_secs(1800), stop_on_anomaly: true },
            discover: Discover {
                meetings: Some("meetings".into()),
                participants: Some("participants".into()),
                include_external_meetings: false,
                include_webinar: false,
                personal: Vec::new(),
            },
            store: ObjectStores::default(),
            naive_times: None,
            metrics_textfile: None,
            notify: Notify { url_file: None, secret_file: None, form: NoticeForm::Json, of: NoticeOf::Problems },
            report: Report {
                minutes_min: 30,
                limits: Limits {
                    delay_ms: 150.0,
                    loss_pct: 3.0,
                    jitter_ms: 30.0,
                    cpu_pct: 90.0,
                    video_framerate_fps: 10.0,
                    screen_sharing_framerate_fps: 5.0,
                },
            },
        };
        assert_eq!(config, expected);
        let expected = Config { file: Some("vcq.toml".into()), ..expected };
        assert_eq!(load(DEFAULTS).unwrap(), expected, "the documented file says the same as no file");
    }

    #[test]
    fn flag_beats_environment_beats_file() {
        let environment = || {
            [("VCQ_TIMEZONE", "UTC"), ("VCQ_RATE_REQUESTS_PER_MINUTE", "50"), ("PATH", "/bin")]
                .map(|(name, value)| (name.to_owned(), value.to_owned()))
        };
        let file = Some(("vcq.toml", "timezone = 'Asia/Tokyo'\nstate = 's'\n[rate]\nrequests_per_minute = 7"));
        let config = Config::load(file, environment(), &[("timezone", "Asia/Seoul".into())]).unwrap();
        assert_eq!(config.timezone, Tz::Asia__Seoul);
        assert_eq!(config.rate.requests_per_minute, 50);
        assert_eq!(config.state, PathBuf::from("s"));
    }

    #[test]
    fn relative_paths_of_a_file_are_relative_to_it_and_others_to_the_working_directory() {
        let text = "state = 's'\noutput = '/data/q'\napp_secret_file = 'secret'\n[discover]\nmeetings = '../m'";
        let file = Some(("/etc/vcq/vcq.toml", text));
        let config = Config::load(file, [], &[]).unwrap();
        assert_eq!(config.state, PathBuf::from("/etc/vcq/s"));
        assert_eq!(config.output, "/data/q".into());
        assert_eq!(config.app_secret_file, Some("/etc/vcq/secret".into()));
        assert_eq!(config.discover.meetings, Some("/etc/vcq/../m".into()));
        assert_eq!(config.discover.participants, Some("participants".into()), "a default");
        let variable = [("VCQ_OUTPUT".to_owned(), "q".to_owned())];
        let config = Config::load(file, variable, &[("state", "here".into())]).unwrap();
        assert_eq!((config.state, config.output), ("here".into(), "q".into()));
        let config = Config::load(Some(("vcq.toml", text)), [], &[]).unwrap();
        assert_eq!(config.state, PathBuf::from("s"), "beside it");
    }

    #[test]
    fn a_place_in_a_bucket_is_relative_to_nothing() {
        let text =
            "output = 's3://lake/q'\n[discover]\nmeetings = 's3://lake/m'\n[store]\nendpoint = 'https://oss.example'";
        let config = Config::load(Some(("/etc/vcq/vcq.toml", text)), [], &[]).unwrap();
        assert_eq!(config.output.to_string(), "s3://lake/q");
        assert_eq!(config.discover.meetings.map(|place| place.to_string()).as_deref(), Some("s3://lake/m"));
        assert_eq!(config.store.endpoint.unwrap().as_str(), "https://oss.example/");
    }

    #[test]
    fn an_address_of_another_kind_is_refused_with_the_way_to_say_it() {
        for (file, expected) in [
            (
                "output = 'oss://lake/q'",
                "`output` is \"oss://lake/q\", but must be a folder's path other than `/`, or `s3://B",
            ),
            ("output = 's3://AK:s3cret@lake/q'", "`output` is a text that is not shown here"),
            ("[discover]\nmeetings = 's3a://lake/m'", "`discover.meetings` is \"s3a://lake/m\", but must be"),
            (
                "[store]\nendpoint = 'https://AK:s3cret@oss.example'",
                "`store.endpoint` is a text that is not shown here",
            ),
            ("[store]\nendpoint = 'https://oss.example/lake'", "must be an https URL of a host without bucket"),
            ("[store]\nendpoint = 'http://127.0.0.1:9000'", "http on a loopback address only, with `store.allow_http`"),
            ("[store]\nendpoint = 'http://oss.example'\nallow_http = true", "must be an https URL"),
            ("[store]\nregion = 'cn hangzhou'", "must be a region such as `cn-hangzhou`, or empty"),
        ] {
            let error = load(file).unwrap_err();
            assert!(error.contains(expected), "{file}: {error}");
            assert!(!error.contains("s3cret"), "{file}: {error}");
        }
        assert!(load("[store]\nendpoint = 'http://127.0.0.1:9000'\nallow_http = true").is_ok());
    }

    #[test]
    fn an_unknown_key_names_the_nearest_known_one() {
        assert_eq!(
            load("[rate]\nrequest_per_minute = 1").unwrap_err(),
            "vcq.toml: there is no key `rate.request_per_minute`; did you mean `rate.requests_per_minute`?"
        );
        assert_eq!(
            load("base_url = 'https://open.feishu.cn'").unwrap_err(),
            "vcq.toml: there is no key `base_url`; did you mean `api.base_url`?"
        );
        assert_eq!(load("zzz = 1").unwrap_err(), "vcq.toml: there is no key `zzz`");
        let variable = [("VCQ_TIME_ZONE".to_owned(), "UTC".to_owned())];
        assert_eq!(
            Config::load(None, variable, &[]).unwrap_err().to_string(),
            "environment: there is no key `VCQ_TIME_ZONE`; did you mean `VCQ_TIMEZONE`?"
        );
    }

    #[test]
    fn values_out_of_range_name_the_rule() {
        for (file, expected) in [
            ("timezone = 'Mars'", "`timezone` is \"Mars\", but must be an IANA time zone"),
            (
                "[rate]\nrequests_per_minute = 0",
                "`rate.requests_per_minute` is 0, but must be a number from 1 to 10000",
            ),
            ("[rate]\nrequests_per_month = -1", "`rate.requests_per_month` is -1, but must be"),
            ("[api]\nrequest_timeout = '30'", "`api.request_timeout` is \"30\", but must be a duration of 1s to 5m"),
            ("[api]\nrequest_timeout = 30", "`api.request_timeout` is 30, but must be a duration of 1s to 5m"),
            ("[api]\nuser_id_type = 'email'", "must be `open_id`, `union_id` or `user_id`"),
            ("[api]\nnaive_utc_offset = 'x'", "must be a UTC offset such as `+08:00`"),
            ("[manifest]\nnaive_times = 'Asia/Shanghai'", "must be `utc`, a UTC offset such as `+08:00`, or empty"),
            ("table = 'iceberg'", "`table` is \"iceberg\", but must be `files` or `delta`"),
            ("table_retention = '1m'", "`table_retention` is \"1m\", but must be a duration of 1h to 3650d"),
            ("state = ''", "`state` is \"\", but must be a folder's path"),
            ("[retry]\nattempts_max = 'many'", "must be a number from 1 to 100"),
            ("[report]\ndelay_ms = -1", "`report.delay_ms` is -1, but must be a number from 0 (not judged) to 100000"),
            ("[report]\nloss_pct = nan", "`report.loss_pct` is nan, but must be"),
            ("[report]\nminutes_min = 0", "`report.minutes_min` is 0, but must be a number from 1 to 1000000"),
        ] {
            let error = load(file).unwrap_err();
            assert!(error.contains(expected), "{file}: {error}");
        }
    }

    #[test]
    fn nothing_that_may_be_a_secret_is_quoted() {
        for (file, expected) in [
            ("app_id = 'cli_1 s3cret'", "`app_id` is a text that is not shown here, but must be a text without blanks"),
            ("app_id = ['s3cret']", "`app_id` is a list"),
            ("app_id = 3", "`app_id` is 3"),
            ("state = ['s3cret']", "`state` is a list"),
            ("api.base_url = 'https://u:s3cret@open.feishu.cn'", "`api.base_url` is a text that is not shown here"),
            ("api.base_url = 's3cret'", "`api.base_url` is a text that is not shown here"),
            ("api.base_url = 'https://open.feishu.cn?app_secret=s3cret'", "is a text that is not shown here"),
            ("api.base_url = 'http://open.feishu.cn'", "is \"http://open.feishu.cn\", but must be an https URL"),
            ("timezone = 'a text of more than forty characters: s3cret'", "`timezone` is a long text"),
            ("timezone = 'UTC'\napp_id = s3cret", "is not TOML: line 2, column 10, the value of `app_id`: "),
            ("[api]\nbase_url = s3cret", "is not TOML: line 2, column 12, the value of `api.base_url`: "),
            ("s3cret", "is not TOML: line 1, column 7: "),
            ("app_id = 's3cret", "is not TOML: line 1, column "),
            ("app_id = 's3cret' s3cret", "is not TOML: line 1, column "),
            ("'s3cret' = 1\n's3cret' = 2", "is not TOML: line 2, column 1: duplicate key"),
        ] {
            let error = load(file).unwrap_err();
            assert!(error.contains(expected), "{file}: {error}");
            assert!(!error.contains("s3cret"), "{file}: {error}");
        }
    }

    #[test]
    fn who_asks_is_one_of_three_and_answers_go_where_nobody_listens() {
        for (file, expected) in [
            ("as = 'users'", "`auth.as` is a text that is not shown here, but must be `tenant`, `user` or `given`"),
            ("redirect_uri = 'http://example.com/'", "must be an https URL without a fragment"),
            ("redirect_uri = 'http://127.0.0.1/'", "must be an https URL without a fragment"),
            ("scopes = []", "must be a list of scopes"),
            ("accounts_url = 'http://accounts.feishu.cn'", "must be an https URL of a host"),
        ] {
            let error = load(&format!("[auth]\n{file}")).unwrap_err();
            assert!(error.contains(expected), "{file}: {error}");
        }
        let config = load("[auth]\nas = 'given'\naccess_token_file = 'token'").unwrap();
        assert_eq!((config.auth.identity, config.auth.access_token_file), (AuthAs::Given, Some("token".into())));
        let scopes = [("VCQ_AUTH_SCOPES".to_owned(), "vc:room:readonly, a:b".to_owned())];
        assert_eq!(Config::load(None, scopes, &[]).unwrap().auth.scopes, ["vc:room:readonly", "a:b"]);
        for (base_url, accounts) in [
            ("https://open.larksuite.com", Some("https://accounts.larksuite.com/")),
            ("http://127.0.0.1:8350", Some("http://127.0.0.1:8350/")),
            ("https://open.example.com", None),
        ] {
            let config = load(&format!("[api]\nbase_url = '{base_url}'")).unwrap();
            assert_eq!(config.auth.accounts_url.as_ref().map(Url::as_str), accounts, "{base_url}");
        }
    }

    #[test]
    fn naive_times_are_refused_or_have_an_offset() {
        for (value, seconds) in [
            ("", None),
            ("utc", Some(0)),
            ("UTC", Some(0)),
            ("+08:00", Some(28_800)),
            ("-03:30", Some(-12_600)),
            ("+00:00", Some(0)),
        ] {
            let config = load(&format!("[manifest]\nnaive_times = '{value}'")).unwrap();
            assert_eq!(config.naive_times.map(|offset| offset.local_minus_utc()), seconds, "{value}");
        }
    }

    #[test]
    fn plain_http_is_for_loopback_alone() {
        for (url, accepted) in [
            ("https://open.larksuite.com", true),
            ("https://feishu.example.com:8443/", true),
            ("http://127.0.0.1:8350", true),
            ("http://localhost:1", true),
            ("http://[::1]:1", true),
            ("http://open.feishu.cn", false),
            ("http://127.0.0.1.example.com", false),
            ("http://localhost@example.com", false),
            ("https://user@open.feishu.cn", false),
            ("https://open.feishu.cn/open-apis", false),
            ("https://open.feishu.cn?x=1", false),
            ("ftp://open.feishu.cn", false),
            ("open.feishu.cn", false),
        ] {
            assert_eq!(load(&format!("[api]\nbase_url = '{url}'")).is_ok(), accepted, "{url}");
        }
    }
}
