//! What is discovered, and where it is published: the section `[discover]`.

use std::sync::LazyLock;

use toml::Value;

use super::{
    ConfigError,
    layers::{Layers, optional},
};
use crate::{
    dataset::Dataset,
    place::{PLACE_RULE, Place},
    tables::personal_columns,
};

/// What is accepted as `discover.personal`.
static PERSONAL_RULE: LazyLock<String> = LazyLock::new(|| format!("a list of {}", personal_columns().join(", ")));

/// What is accepted as the place of a dataset that need not be published.
static OPTIONAL_PLACE_RULE: LazyLock<String> = LazyLock::new(|| format!("{PLACE_RULE}, or empty"));

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

impl Layers {
    pub(super) fn check_discover(&self) -> Result<Discover, ConfigError> {
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
