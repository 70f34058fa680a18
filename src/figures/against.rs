//! One span beside another: better or worse, and whether that is more than days differ by themselves.

use chrono::NaiveDate;
use serde::Serialize;

use super::{
    Cause, MetricFigures, Terms,
    distribution::precise,
    metric::METRICS,
    minutes::{Minutes, OfDate},
    tally::Tally,
};

/// The fewest dates, of both spans together, from which the noise of days can be told.
const DATES_MIN: usize = 5;

/// The least difference of shares that is told as one: less is shown as 0.0 percentage points.
const DIFFERENCE_MIN: f64 = 0.000_5;

/// Student's t for 95 %, both sides, by degrees of freedom from 1 on; beyond the last it is 1.96 to 2.04.
const T_95: [f64; 30] = [
    12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228, 2.201, 2.179, 2.160, 2.145, 2.131, 2.120,
    2.110, 2.101, 2.093, 2.086, 2.080, 2.074, 2.069, 2.064, 2.060, 2.056, 2.052, 2.048, 2.045, 2.042,
];

/// Another span beside this one.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Against {
    /// The first date of the other span.
    pub first: NaiveDate,
    /// Its last date.
    pub last: NaiveDate,
    /// Its minutes.
    #[serde(flatten)]
    pub tally: Tally,
    /// How the share of bad minutes changed.
    pub bad: Changed,
    /// How the share of minutes with each cause changed, in the order of [`Cause::ALL`].
    pub causes: Vec<CauseChanged>,
    /// Each metric of the other span, and how the share beyond its limit changed, in the order of the metrics.
    pub metrics: Vec<MetricChanged>,
}

/// A change, from the other span to this one.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Changed {
    /// The share in the other span, from 0 to 1.
    pub before: Option<f64>,
    /// The share in this one.
    pub now: Option<f64>,
    /// `now` less `before`: below 0 it is better.
    pub difference: Option<f64>,
    /// How much days make a difference by themselves: the difference of the mean days is more than this in one of twenty pairs
    /// of spans between which nothing has changed. None: there are too few days to tell.
    pub noise: Option<f64>,
    /// What that comes to.
    pub verdict: Verdict,
}

/// What a change comes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// Better, by more than days differ by themselves.
    Better,
    /// Worse, by more than days differ by themselves.
    Worse,
    /// No more than days differ by themselves, less than 0.05 percentage points, or the mean of the days changed one way and the share
    /// of all minutes another.
    Noise,
    /// There are too few days, or nothing was measured.
    Unknown,
}

/// How the share of minutes with a cause changed.
#[derive(Clone, Copy, Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct CauseChanged {
    /// The cause.
    pub cause: Cause,
    /// The change.
    #[serde(flatten)]
    pub changed: Changed,
}

/// A metric in the other span.
#[derive(Clone, Copy, Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct MetricChanged {
    /// The column of `quality`.
    pub column: &'static str,
    /// Its median in the other span.
    pub median: Option<f64>,
    /// The value that 95 of 100 minutes did not exceed there.
    pub p95: Option<f64>,
    /// How the share beyond its limit changed.
    #[serde(flatten)]
    pub changed: Changed,
}

impl Against {
    /// `now` as it has become since `before`. A date counts among the days if it has enough minutes to be ranked.
    pub(super) fn of(now: &Minutes, before: &Minutes, terms: &Terms<'_>) -> Self {
        let changed = |shares: (Option<f64>, Option<f64>), share: &dyn Fn(&OfDate) -> (u64, u64)| {
            let days = |minutes: &Minutes| daily(minutes, terms.minutes_min, share);
            Changed::of(shares, &days(before), &days(now))
        };
        let (tally_before, tally_now) = (before.tally(), now.tally());
        let causes = Cause::ALL.map(|cause| CauseChanged {
            cause,
            changed: changed((tally_before.share_beyond(cause), tally_now.share_beyond(cause)), &|date| {
                (date.tally.minutes, date.tally.beyond[cause as usize])
            }),
        });
        let metrics = before.metrics(terms.limits).into_iter().zip(now.metrics(terms.limits)).enumerate();
        let metrics = metrics.map(|(number, (before, now)): (usize, (MetricFigures, MetricFigures))| MetricChanged {
            column: METRICS[number].column.name,
            median: before.median,
            p95: before.p95,
            changed: changed((before.share, now.share), &|date| date.beyond[number]),
        });
        Self {
            first: before.dates.first,
            last: before.dates.last,
            tally: tally_before,
            bad: changed((tally_before.bad_share(), tally_now.bad_share()), &|date| {
                (date.tally.minutes, date.tally.bad_minutes)
            }),
            causes: causes.to_vec(),
            metrics: metrics.collect(),
        }
    }
}

/// The share of each date that has enough minutes.
fn daily(minutes: &Minutes, minutes_min: u64, share: &dyn Fn(&OfDate) -> (u64, u64)) -> Vec<f64> {
    let shares = minutes.by_date.values().map(share).filter(|(minutes, _)| *minutes >= minutes_min.max(1));
    shares.map(|(minutes, part)| precise(part) / precise(minutes)).collect()
}

impl Changed {
    /// By Student's test of two samples of days, of equal variance.
    fn of((before, now): (Option<f64>, Option<f64>), days_before: &[f64], days_now: &[f64]) -> Self {
        let difference = before.zip(now).map(|(before, now)| now - before);
        let noise = noise(days_before, days_now);
        let apart = mean(days_now) - mean(days_before);
        let verdict = match (difference, noise) {
            // Where few long days change the sum of the minutes another way than most days changed, nothing is clear.
            (Some(difference), Some(noise))
                if apart.abs() <= noise || difference.abs() < DIFFERENCE_MIN || apart * difference <= 0.0 =>
            {
                Verdict::Noise
            }
            (Some(_), Some(_)) if apart < 0.0 => Verdict::Better,
            (Some(_), Some(_)) => Verdict::Worse,
            _ => Verdict::Unknown,
        };
        Self { before, now, difference, noise, verdict }
    }
}

/// How far the means of so many days are apart by chance, at most in 95 cases of 100.
fn noise(a: &[f64], b: &[f64]) -> Option<f64> {
    if a.is_empty() || b.is_empty() || a.len() + b.len() < DATES_MIN {
        return None;
    }
    let freedom = a.len() + b.len() - 2;
    let squares = |days: &[f64]| days.iter().map(|day| (day - mean(days)).powi(2)).sum::<f64>();
    let variance = (squares(a) + squares(b)) / precise(freedom as u64);
    let t = T_95.get(freedom - 1).copied().unwrap_or(T_95[T_95.len() - 1]);
    Some(t * (variance * (1.0 / precise(a.len() as u64) + 1.0 / precise(b.len() as u64))).sqrt())
}

fn mean(days: &[f64]) -> f64 {
    days.iter().sum::<f64>() / precise(days.len() as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn verdict(before: &[f64], now: &[f64]) -> Verdict {
        Changed::of((Some(mean(before)), Some(mean(now))), before, now).verdict
    }

    #[test]
    fn what_days_differ_by_themselves_is_no_change() {
        let calm = [0.10, 0.11, 0.09, 0.10, 0.12, 0.10, 0.09];
        assert_eq!(verdict(&calm, &[0.11, 0.10, 0.12, 0.09, 0.10]), Verdict::Noise);
        assert_eq!(verdict(&calm, &[0.15, 0.16, 0.14, 0.15]), Verdict::Worse);
        assert_eq!(verdict(&calm, &[0.05, 0.06, 0.04, 0.05]), Verdict::Better);
        assert_eq!(verdict(&calm, &[0.30]), Verdict::Worse, "one day beside a week");
        assert_eq!(verdict(&calm, &[0.12]), Verdict::Noise);
        assert_eq!(verdict(&[0.1, 0.2], &[0.9, 0.8]), Verdict::Unknown, "too few days");
        assert_eq!(verdict(&[0.0; 5], &[0.0; 5]), Verdict::Noise);
        assert_eq!(verdict(&[0.0; 7], &[0.000_3]), Verdict::Noise, "+0.0 points");
        assert_eq!(verdict(&[0.0; 7], &[0.001]), Verdict::Worse);
    }

    #[test]
    fn noise_is_that_of_the_textbook() {
        // t of 4.303 for two degrees of freedom would need four days; with five it is 3.182.
        let found = noise(&[1.0, 2.0, 3.0], &[4.0, 6.0]).unwrap();
        assert!((found - 3.182 * (4.0_f64 / 3.0 * (1.0 / 3.0 + 0.5)).sqrt()).abs() < 1e-12, "{found}");
    }
}
