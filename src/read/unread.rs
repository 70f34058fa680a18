//! Texts that could not be read: how many there were, and a few of them.

use serde::Serialize;

/// The texts of one column.
#[derive(Clone, Debug, Default, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Unread {
    /// How many there were.
    pub count: u64,
    /// The first of them, each once, cut to [`Unread::SAMPLE_CHARS_MAX`].
    pub samples: Vec<String>,
}

impl Unread {
    /// Distinct texts that are kept.
    pub const SAMPLES_MAX: usize = 5;

    /// How much is kept of a text.
    pub const SAMPLE_CHARS_MAX: usize = 80;

    /// Counts one.
    pub fn add(&mut self, text: &str) {
        self.count += 1;
        if self.samples.len() < Self::SAMPLES_MAX {
            self.keep(text.chars().take(Self::SAMPLE_CHARS_MAX).collect());
        }
    }

    /// Counts those of another file.
    pub fn add_all(&mut self, others: &Self) {
        self.count += others.count;
        others.samples.iter().for_each(|sample| self.keep(sample.clone()));
    }

    fn keep(&mut self, sample: String) {
        if self.samples.len() < Self::SAMPLES_MAX && !self.samples.contains(&sample) {
            self.samples.push(sample);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_are_counted_and_a_few_are_kept() {
        let mut unread = Unread::default();
        for text in ["soon", "soon", &"é".repeat(100), "a", "b", "c", "d"] {
            unread.add(text);
        }
        assert_eq!((unread.count, unread.samples.len()), (7, 5));
        assert_eq!(unread.samples[1].chars().count(), Unread::SAMPLE_CHARS_MAX);
        let mut both = Unread { count: 2, samples: vec!["a".into(), "later".into()] };
        both.add_all(&unread);
        assert_eq!((both.count, both.samples.len()), (9, 5));
        assert_eq!(both.samples[..3], ["a", "later", "soon"]);
    }
}
