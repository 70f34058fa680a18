//! What published files hold, or do not hold, of texts that could not be read: nothing is dropped in silence.

use std::{collections::BTreeMap, fmt};

use serde::Serialize;

use super::text::{TOLD_MAX, write_rest};

use crate::{
    publish::Publication,
    read::{batch::Unreadable, decode::Unknown, unread::Unread},
    words::Count,
};

/// Texts that could not be read, by column, and keys that no column comes from, by name.
#[derive(Clone, Debug, Default, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Texts {
    unparsed: BTreeMap<String, Unread>,
    unknown_keys: BTreeMap<String, u64>,
}

impl Texts {
    /// Those of some files.
    pub fn of<'a>(publications: impl IntoIterator<Item = &'a Publication>) -> Self {
        let mut texts = Self::default();
        for Publication { unreadable, unknown, .. } in publications {
            texts.add(unreadable, unknown);
        }
        texts
    }

    /// Adds those of one file of a dataset that comes from listings.
    pub fn add_listed(&mut self, dataset: &str, unparsed: &BTreeMap<&'static str, Unread>, unknown: &Unknown) {
        for (column, unread) in unparsed {
            self.unparsed.entry(format!("{dataset}.{column}")).or_default().add_all(unread);
        }
        self.add_unknown(unknown);
    }

    /// Adds those of one file.
    pub fn add(&mut self, unreadable: &Unreadable, unknown: &Unknown) {
        for (column, unread) in unreadable.columns() {
            self.unparsed.entry(column.to_owned()).or_default().add_all(unread);
        }
        self.add_unknown(unknown);
    }

    fn add_unknown(&mut self, unknown: &Unknown) {
        for (name, count) in unknown.counts() {
            *self.unknown_keys.entry(name.to_owned()).or_default() += count;
        }
        if unknown.others() > 0 {
            *self.unknown_keys.entry("(further keys)".to_owned()).or_default() += unknown.others();
        }
    }
}

/// A line for each column and each key.
impl fmt::Display for Texts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (column, unparsed) in self.unparsed.iter().take(TOLD_MAX) {
            let samples: Vec<_> = unparsed.samples.iter().map(|sample| format!("{sample:?}")).collect();
            let such_as = if samples.is_empty() { String::new() } else { format!(", such as {}", samples.join(", ")) };
            writeln!(f, "unparsed   {column}: {}{such_as}", Count(unparsed.count, "text"))?;
        }
        write_rest(f, self.unparsed.len().saturating_sub(TOLD_MAX) as u64)?;
        for (key, count) in self.unknown_keys.iter().take(TOLD_MAX) {
            writeln!(f, "unknown    {key:?}: {}", Count(*count, "time"))?;
        }
        write_rest(f, self.unknown_keys.len().saturating_sub(TOLD_MAX) as u64)
    }
}
