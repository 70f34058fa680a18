//! Groups of minutes, the worst first: never of fewer minutes than are asked for.

use std::{cmp::Ordering, collections::HashMap, hash::Hash};

use super::tally::Tally;

/// The worst of many groups, and what is said of those that are not ranked.
#[derive(Clone, Debug)]
pub(super) struct Ranking<T> {
    most: usize,
    minutes_min: u64,
    /// The worst first.
    pub(super) worst: Vec<(T, Tally)>,
    /// Groups with enough minutes.
    pub(super) ranked: u64,
    /// Groups with fewer, and their minutes.
    pub(super) too_few: (u64, u64),
}

impl<T: Ord> Ranking<T> {
    /// Of at most `most` groups, each with at least `minutes_min` minutes.
    pub(super) fn new(most: usize, minutes_min: u64) -> Self {
        Self { most, minutes_min, worst: Vec::new(), ranked: 0, too_few: (0, 0) }
    }

    /// Takes a group in.
    pub(super) fn add(&mut self, group: T, tally: Tally) {
        if tally.minutes < self.minutes_min {
            self.too_few.0 += 1;
            self.too_few.1 += tally.minutes;
            return;
        }
        self.ranked += 1;
        self.place((group, tally));
    }

    /// Takes another ranking in.
    pub(super) fn merge(&mut self, other: Self) {
        self.ranked += other.ranked;
        self.too_few.0 += other.too_few.0;
        self.too_few.1 += other.too_few.1;
        other.worst.into_iter().for_each(|group| self.place(group));
    }

    fn place(&mut self, group: (T, Tally)) {
        let at = self.worst.partition_point(|other| order(other, &group) == Ordering::Less);
        if at < self.most {
            self.worst.insert(at, group);
            self.worst.truncate(self.most);
        }
    }
}

/// The larger share of bad minutes first; of equal ones the one with more minutes; then by name.
fn order<T: Ord>((a_name, a): &(T, Tally), (b_name, b): &(T, Tally)) -> Ordering {
    let product = |bad: u64, minutes: u64| u128::from(bad) * u128::from(minutes);
    let shares = product(b.bad_minutes, a.minutes).cmp(&product(a.bad_minutes, b.minutes));
    shares.then_with(|| b.minutes.cmp(&a.minutes)).then_with(|| a_name.cmp(b_name))
}

/// The most groups of one kind that are told apart: users, say, or microphones. What further ones have is counted together.
pub(super) const GROUPS_MAX: usize = 400_000;

/// Minutes by group.
#[derive(Clone, Debug)]
pub(super) struct Groups<K> {
    pub(super) by_name: HashMap<K, Tally>,
    /// Minutes of groups that came when there were [`GROUPS_MAX`] already.
    pub(super) further: Tally,
}

impl<K> Default for Groups<K> {
    fn default() -> Self {
        Self { by_name: HashMap::new(), further: Tally::default() }
    }
}

impl<K: Eq + Hash> Groups<K> {
    /// Takes the minutes of a group in.
    pub(super) fn add(&mut self, name: K, tally: &Tally) {
        if self.by_name.len() < GROUPS_MAX || self.by_name.contains_key(&name) {
            self.by_name.entry(name).or_default().merge(tally);
        } else {
            self.further.merge(tally);
        }
    }

    /// Takes all groups of another one in.
    pub(super) fn merge(&mut self, other: Self) {
        self.further.merge(&other.further);
        other.by_name.into_iter().for_each(|(name, tally)| self.add(name, &tally));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tally(bad_minutes: u64, minutes: u64) -> Tally {
        Tally { minutes, bad_minutes, beyond: [0; 5] }
    }

    #[test]
    fn the_larger_share_comes_first_and_few_minutes_never() {
        let mut ranking = Ranking::new(3, 30);
        let groups = [("a", 10, 100), ("b", 29, 29), ("c", 20, 100), ("d", 40, 200), ("e", 0, 30), ("f", 30, 30)];
        for (name, bad, minutes) in groups {
            ranking.add(name, tally(bad, minutes));
        }
        let names: Vec<_> = ranking.worst.iter().map(|(name, _)| *name).collect();
        assert_eq!((names, ranking.ranked, ranking.too_few), (vec!["f", "d", "c"], 5, (1, 29)));
    }

    #[test]
    fn the_order_in_which_groups_come_makes_no_difference() {
        let groups: Vec<_> = (0..50_u64).map(|name| (name, tally(name % 7, 7 + name % 3))).collect();
        let rank = |groups: &mut dyn Iterator<Item = &(u64, Tally)>| {
            let mut ranking = Ranking::new(10, 8);
            groups.for_each(|(name, tally)| ranking.add(*name, *tally));
            ranking
        };
        let whole = rank(&mut groups.iter().rev());
        let mut merged = rank(&mut groups[..20].iter());
        merged.merge(rank(&mut groups[20..].iter()));
        assert_eq!((whole.worst, whole.too_few), (merged.worst, merged.too_few));
    }
}
