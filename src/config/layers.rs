//! The layers of a configuration, one over the other, and the readers of one value.

use std::{path::PathBuf, sync::LazyLock, time::Duration};

use toml::{Table, Value};
use url::Url;

use super::{ConfigError, DEFAULTS};
use crate::{place::Place, printable::Printable};

/// The keys of [`DEFAULTS`] in their order, by path.
static DEFAULT_KEYS: LazyLock<Vec<(String, Value)>> =
    LazyLock::new(|| flatten(DEFAULTS.parse().expect("config/vcq.toml is TOML")));

/// One key: its path, its value and where that came from.
struct Entry {
    key: &'static str,
    value: Value,
    origin: String,
}

/// All keys in the order of `config/vcq.toml`, each with its value of the highest layer so far.
pub(super) struct Layers {
    entries: Vec<Entry>,
    /// The file that was read, if there is one.
    pub(super) file: Option<PathBuf>,
}

impl Layers {
    /// Those of `config/vcq.toml`.
    pub(super) fn defaults() -> Self {
        let entry =
            |(key, value): &'static (String, Value)| Entry { key, value: value.clone(), origin: "default".into() };
        Self { entries: DEFAULT_KEYS.iter().map(entry).collect(), file: None }
    }

    /// What a file says goes over what is there; its relative paths are relative to it.
    pub(super) fn add_file(&mut self, name: &str, text: &str) -> Result<(), ConfigError> {
        let table: Table = text.parse().map_err(|error| syntax_error(name, text, &error))?;
        for (key, value) in flatten(table) {
            let known = self.known(&key, name, str::to_owned)?;
            self.set(known, name, value);
        }
        self.file = Some(name.into());
        Ok(())
    }

    pub(super) fn add_variable(&mut self, variable: &str, value: &str) -> Result<(), ConfigError> {
        let known = self.known(variable, "environment", variable_of)?;
        self.set(known, variable, Value::String(value.into()));
        Ok(())
    }

    /// The known key that `written` names, in the spelling that `spell` gives to known keys.
    fn known(&self, written: &str, origin: &str, spell: impl Fn(&str) -> String) -> Result<&'static str, ConfigError> {
        if let Some(entry) = self.entries.iter().find(|entry| spell(entry.key) == written) {
            return Ok(entry.key);
        }
        let last_part = |key: &str| key.rsplit('.').next().unwrap_or(key).to_owned();
        let nearest = self
            .entries
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

    pub(super) fn set(&mut self, key: &'static str, origin: &str, value: Value) {
        let entry = self.entries.iter_mut().find(|entry| entry.key == key).expect("only known keys are set");
        entry.value = value;
        entry.origin = origin.into();
    }

    /// A relative path that the configuration file gives is relative to that file; others are to the working directory.
    pub(super) fn placed(&self, key: &str, path: PathBuf) -> PathBuf {
        let is_of_file =
            |file: &&PathBuf| self.entries.iter().any(|entry| entry.key == key && file.as_os_str() == &*entry.origin);
        let folder = self.file.as_ref().filter(is_of_file).and_then(|file| file.parent());
        folder.map_or(path.clone(), |folder| folder.join(path))
    }

    /// The same of what may be in a bucket.
    pub(super) fn placed_at(&self, key: &str, place: Place) -> Place {
        match place {
            Place::Folder(folder) => Place::Folder(self.placed(key, folder)),
            place @ Place::Bucket(_) => place,
        }
    }

    pub(super) fn optional_file(&self, key: &'static str) -> Result<Option<PathBuf>, ConfigError> {
        Ok(self.read(key, "a file's path, or empty", optional_path)?.map(|file| self.placed(key, file)))
    }

    pub(super) fn flag(&self, key: &'static str) -> Result<bool, ConfigError> {
        self.read(key, "true or false", |value| value.as_bool().or_else(|| value.as_str()?.parse().ok()))
    }

    pub(super) fn integer<T>(
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

    pub(super) fn decimal(
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

    pub(super) fn duration(
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

    pub(super) fn read<T>(
        &self,
        key: &'static str,
        rule: &'static str,
        reader: impl Fn(&Value) -> Option<T>,
    ) -> Result<T, ConfigError> {
        let entry = self.entries.iter().find(|entry| entry.key == key).expect("config/vcq.toml has every key");
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

pub(super) fn path(value: &Value) -> Option<PathBuf> {
    value.as_str().filter(|text| !text.is_empty() && !text.contains('\0')).map(PathBuf::from)
}

#[expect(clippy::option_option, reason = "the outer one says whether the value is acceptable")]
fn optional_path(value: &Value) -> Option<Option<PathBuf>> {
    value.as_str().map(|text| (!text.is_empty()).then(|| PathBuf::from(text)))
}

/// `None` inside for an empty text; `None` outside for what `parse` does not take.
#[expect(clippy::option_option, reason = "the outer one says whether the value is acceptable")]
pub(super) fn optional<T>(value: &Value, parse: impl Fn(&str) -> Option<T>) -> Option<Option<T>> {
    match value.as_str()? {
        "" => Some(None),
        text => parse(text).map(Some),
    }
}
