//! How often each value of a metric was measured: quantiles without the values in their order.

use std::collections::HashMap;

/// Whole numbers below this have a counter each: delays, jitter, frame rates.
const WHOLE_MAX: usize = 4096;

/// Hundredths below this have a counter each: percentages.
const HUNDREDTHS_MAX: usize = 10_100;

/// Distinct values besides those above that are counted one by one; with more of them, all are rounded.
const OTHERS_MAX: usize = 4096;

/// Bits of the fraction that a rounded value keeps: it is off by 1/512 at most, 0.2 %.
const FRACTION_BITS_KEPT: u32 = 8;

/// The counts of the values of a metric. Memory does not grow with how many are measured.
///
/// Quantiles are exact, unless a metric has more than 4,096 distinct values that are neither whole numbers below 4,096 nor
/// hundredths below 101: then those are rounded, by 0.2 % at most. The order of the values makes no difference.
#[derive(Clone, Debug)]
pub(super) struct Distribution {
    whole: Vec<u64>,
    hundredths: Vec<u64>,
    /// By the bits of the value.
    others: HashMap<u64, u64>,
    is_rounded: bool,
    count: u64,
}

impl Default for Distribution {
    fn default() -> Self {
        Self {
            whole: vec![0; WHOLE_MAX],
            hundredths: vec![0; HUNDREDTHS_MAX],
            others: HashMap::new(),
            is_rounded: false,
            count: 0,
        }
    }
}

impl Distribution {
    /// Takes one value in.
    #[inline]
    pub(super) fn add(&mut self, value: f64) {
        self.count += 1;
        // A negative value, and one that is too large, saturates and differs from what it came from.
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "compared with the value next")]
        let (whole, hundredths) = (value as u32, (value * 100.0 + 0.5) as u32);
        if f64::from(whole) == value
            && let Some(counter) = self.whole.get_mut(whole as usize)
        {
            *counter += 1;
        } else if f64::from(hundredths) / 100.0 == value
            && let Some(counter) = self.hundredths.get_mut(hundredths as usize)
        {
            *counter += 1;
        } else {
            self.add_other(value, 1);
        }
    }

    #[cold]
    fn add_other(&mut self, value: f64, count: u64) {
        let key = if self.is_rounded { rounded(value) } else { value };
        *self.others.entry(key.to_bits()).or_default() += count;
        if !self.is_rounded && self.others.len() > OTHERS_MAX {
            self.is_rounded = true;
            for (bits, count) in std::mem::take(&mut self.others) {
                *self.others.entry(rounded(f64::from_bits(bits)).to_bits()).or_default() += count;
            }
        }
    }

    /// Takes all values of another one in.
    pub(super) fn merge(&mut self, other: &Self) {
        self.count += other.count;
        for (counter, more) in self.whole.iter_mut().zip(&other.whole) {
            *counter += more;
        }
        for (counter, more) in self.hundredths.iter_mut().zip(&other.hundredths) {
            *counter += more;
        }
        if other.is_rounded && !self.is_rounded {
            let exact = std::mem::take(&mut self.others);
            self.is_rounded = true;
            for (bits, count) in exact {
                self.add_other(f64::from_bits(bits), count);
            }
        }
        other.others.iter().for_each(|(bits, count)| self.add_other(f64::from_bits(*bits), *count));
    }

    /// How many values there are.
    pub(super) fn count(&self) -> u64 {
        self.count
    }

    /// The quantiles at `shares`, each from 0 to 1, as databases compute them: between two values, in proportion
    /// (`quantile_cont`). `None` without a value.
    pub(super) fn quantiles<const N: usize>(&self, shares: [f64; N]) -> Option<[f64; N]> {
        let last = self.count.checked_sub(1)?;
        let counted = self.counted();
        Some(shares.map(|share| {
            let place = share * precise(last);
            #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a place from 0 to the last")]
            let below = (place.floor() as u64).min(last);
            let (low, high) = (value_at(&counted, below), value_at(&counted, (below + 1).min(last)));
            low + (high - low) * (place - precise(below))
        }))
    }

    /// The values in their order, with the number of values up to and with each.
    fn counted(&self) -> Vec<(f64, u64)> {
        let whole = (0_u32..).map(f64::from).zip(self.whole.iter().copied());
        let hundredths = (0_u32..).map(|number| f64::from(number) / 100.0).zip(self.hundredths.iter().copied());
        let others = self.others.iter().map(|(bits, count)| (f64::from_bits(*bits), *count));
        let mut counted: Vec<_> = whole.chain(hundredths).chain(others).filter(|(_, count)| *count > 0).collect();
        counted.sort_by(|a, b| a.0.total_cmp(&b.0));
        let mut up_to = 0;
        for (_, count) in &mut counted {
            up_to += *count;
            *count = up_to;
        }
        counted
    }
}

fn value_at(counted: &[(f64, u64)], place: u64) -> f64 {
    let index = counted.partition_point(|(_, up_to)| *up_to <= place);
    counted.get(index).map_or(f64::NAN, |(value, _)| *value)
}

/// The value in the middle of those that share the sign, the exponent and the first bits of the fraction.
fn rounded(value: f64) -> f64 {
    let dropped = 52 - FRACTION_BITS_KEPT;
    f64::from_bits(value.to_bits() >> dropped << dropped | 1 << (dropped - 1))
}

/// Exact up to 2^53: more minutes than there will be.
#[expect(clippy::cast_precision_loss, reason = "see above")]
pub(super) fn precise(count: u64) -> f64 {
    count as f64
}

#[cfg(test)]
mod tests {
    use rand::{Rng, SeedableRng, rngs::StdRng};

    use super::*;

    fn of(values: &[f64]) -> Distribution {
        let mut distribution = Distribution::default();
        for value in values {
            distribution.add(*value);
        }
        distribution
    }

    fn exact(mut values: Vec<f64>, share: f64) -> f64 {
        values.sort_by(f64::total_cmp);
        let place = share * precise(values.len() as u64 - 1);
        let after = (0..values.len()).find(|index| precise(*index as u64) >= place).unwrap();
        let (low, high) = (values[if place.fract() > 0.0 { after - 1 } else { after }], values[after]);
        low + (high - low) * place.fract()
    }

    #[test]
    fn quantiles_lie_between_two_values() {
        assert_eq!(of(&[]).quantiles([0.5]), None);
        assert_eq!(of(&[7.0]).quantiles([0.0, 0.5, 1.0]), Some([7.0, 7.0, 7.0]));
        assert_eq!(of(&[4.0, 1.0, 2.0, 3.0]).quantiles([0.5]), Some([2.5]));
        assert_eq!(of(&[-3.0, 0.1, 0.0, 5000.0, 0.123]).quantiles([0.0, 0.5, 1.0]), Some([-3.0, 0.1, 5000.0]));
    }

    #[test]
    fn what_the_datasets_hold_is_exact_and_merges() {
        let mut random = StdRng::seed_from_u64(1);
        let values: Vec<f64> = (0..20_000)
            .map(|number| match number % 4 {
                0 => f64::from(random.random_range(0..5000)),
                1 => f64::from(random.random_range(0..1000)) / 10.0,
                2 => f64::from(random.random_range(0..10_000)) / 100.0,
                _ => f64::from(random.random_range(0..2000)) / 1000.0,
            })
            .collect();
        let mut merged = of(&values[..7000]);
        merged.merge(&of(&values[7000..]));
        for share in [0.0, 0.25, 0.5, 0.95, 1.0] {
            let expected = exact(values.clone(), share);
            assert_eq!(merged.quantiles([share]), Some([expected]), "{share}");
            assert_eq!(of(&values).quantiles([share]), Some([expected]), "{share}");
        }
    }

    #[test]
    fn more_distinct_values_than_are_counted_are_rounded() {
        let mut random = StdRng::seed_from_u64(2);
        let values: Vec<f64> = (0..50_000).map(|_| random.random_range(0.0_f64..8.0).exp()).collect();
        let whole = of(&values);
        let mut merged = of(&values[..20]);
        merged.merge(&of(&values[20..]));
        assert!(whole.others.len() < 8192, "{}", whole.others.len());
        for share in [0.05, 0.5, 0.95] {
            let expected = exact(values.clone(), share);
            let [found] = whole.quantiles([share]).unwrap();
            assert!((found - expected).abs() <= expected / 512.0, "{share}: {found}, not {expected}");
            assert_eq!(merged.quantiles([share]), Some([found]), "the order makes no difference");
        }
    }
}
