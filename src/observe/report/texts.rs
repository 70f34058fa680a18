//! What published files hold, or do not hold, of texts that could not be read: nothing is dropped in silence.

use std::{collections::BTreeMap, fmt};

use serde::Serialize;

use crate::{publish::Publication, read::batch::Unreadable, read::decode::Unknown};

/// Texts that could not be read, by column, and keys that no column comes from, by name.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Texts {
    unparsed: BTreeMap<&'static str, Unparsed>,
    unknown_keys: BTreeMap<String, u64>,
}

#[derive(Clone, Debug, Default, Serialize)]
struct Unparsed {
    count: u64,
    samples: Vec<String>,
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

    /// Adds those of one file.
    pub fn add(&mut self, unreadable: &Unreadable, unknown: &Unknown) {
        for (column, count, samples) in unreadable.columns() {
            let unparsed = self.unparsed.entry(column).or_default();
            unparsed.count += count;
            for sample in samples {
                if unparsed.samples.len() < Unreadable::SAMPLES_MAX && !unparsed.samples.contains(sample) {
                    unparsed.samples.push(sample.clone());
                }
            }
        }
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
        for (column, unparsed) in &self.unparsed {
            let samples: Vec<_> = unparsed.samples.iter().map(|sample| format!("{sample:?}")).collect();
            writeln!(f, "unparsed   {column}: {} texts, such as {}", unparsed.count, samples.join(", "))?;
        }
        for (key, count) in &self.unknown_keys {
            writeln!(f, "unknown    {key:?}: {count} times")?;
        }
        Ok(())
    }
}
