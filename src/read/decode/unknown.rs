//! What the API said that no column comes from.

use std::collections::BTreeMap;

/// How many names are told apart: a server's text must not fill the memory.
const NAMES_MAX: usize = 256;

/// How much of a name is kept.
const NAME_CHARS_MAX: usize = 64;

/// Counts, by name, of what no column comes from: `section`, `section.key`, `list.key`, and `section (type)` where another
/// value stands in the place of an object.
///
/// Holds at most 256 names of at most 64 characters; what comes after them is counted together.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Unknown {
    counts: BTreeMap<String, u64>,
    others: u64,
}

impl Unknown {
    /// The names with their counts, in the order of the names.
    pub fn counts(&self) -> impl Iterator<Item = (&str, u64)> {
        self.counts.iter().map(|(name, &count)| (name.as_str(), count))
    }

    /// The count of all names that came after the first 256.
    pub fn others(&self) -> u64 {
        self.others
    }

    /// Whether nothing was unknown.
    pub fn is_empty(&self) -> bool {
        self.counts.is_empty() && self.others == 0
    }

    /// Adds the counts of `other`.
    pub fn merge(&mut self, other: Self) {
        self.others += other.others;
        for (name, count) in other.counts {
            self.add_count(name, count);
        }
    }

    pub(in crate::read) fn add(&mut self, name: &str) {
        self.add_count(name.chars().take(NAME_CHARS_MAX).collect(), 1);
    }

    fn add_count(&mut self, name: String, count: u64) {
        if let Some(sum) = self.counts.get_mut(&name) {
            *sum += count;
        } else if self.counts.len() < NAMES_MAX {
            self.counts.insert(name, count);
        } else {
            self.others += count;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_told_apart_up_to_a_limit() {
        let mut unknown = Unknown::default();
        for number in 0..300 {
            unknown.add(&format!("key {number}"));
        }
        unknown.add("key 7");
        unknown.add("key 299");
        assert_eq!(unknown.counts().count(), NAMES_MAX);
        assert_eq!(unknown.counts().find(|&(name, _)| name == "key 7"), Some(("key 7", 2)));
        assert_eq!(unknown.others(), 45);
    }

    #[test]
    fn a_long_name_is_cut_between_characters() {
        let mut unknown = Unknown::default();
        unknown.add(&"é".repeat(65));
        assert_eq!(unknown.counts().collect::<Vec<_>>(), [("é".repeat(64).as_str(), 1)]);
    }

    #[test]
    fn merging_adds_up() {
        let mut left = Unknown::default();
        left.add("a");
        let mut right = left.clone();
        right.add("b");
        left.merge(right);
        assert_eq!(left.counts().collect::<Vec<_>>(), [("a", 2), ("b", 1)]);
        assert!(Unknown::default().is_empty() && !left.is_empty());
    }
}
