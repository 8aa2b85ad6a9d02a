//! What many measured values say: the middle, how far they lie apart, and the tail.

use serde::{Deserialize, Serialize};

/// The middle of some values and their spread.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Summary {
    /// The least value: the least disturbed round.
    pub minimum: f64,
    /// A quarter of the values lie below.
    pub lower: f64,
    /// The middle value.
    pub median: f64,
    /// A quarter of the values lie above.
    pub upper: f64,
}

impl Summary {
    /// Of at least one value.
    pub fn of(values: impl IntoIterator<Item = f64>) -> Option<Summary> {
        let mut values: Vec<f64> = values.into_iter().collect();
        values.sort_by(f64::total_cmp);
        Some(Summary {
            minimum: quantile(&values, 0.0)?,
            lower: quantile(&values, 0.25)?,
            median: quantile(&values, 0.5)?,
            upper: quantile(&values, 0.75)?,
        })
    }

    /// The distance between the quartiles as a part of the median.
    pub fn spread(&self) -> f64 {
        if self.median == 0.0 {
            return 0.0;
        }
        (self.upper - self.lower) / self.median
    }
}

/// The value below which a part of the sorted values lies, interpolated between neighbours.
pub fn quantile(sorted: &[f64], part: f64) -> Option<f64> {
    let last = sorted.len().checked_sub(1)?;
    let place = part.clamp(0.0, 1.0) * last as f64;
    let (below, above) = (sorted[place.floor() as usize], sorted[place.ceil() as usize]);
    Some(below + (above - below) * place.fract())
}

/// How long single operations took, in nanoseconds.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Latency {
    /// Half of them were faster.
    pub median: f64,
    /// 99 of 100 were faster.
    pub p99: f64,
    /// 999 of 1000 were faster.
    pub p999: f64,
    /// The slowest.
    pub maximum: f64,
}

impl Latency {
    /// Of at least one operation. A percentile is the smallest value that so many do not exceed: one that was measured.
    pub fn of(mut nanoseconds: Vec<u64>) -> Option<Latency> {
        nanoseconds.sort_unstable();
        let maximum = *nanoseconds.last()?;
        let at = |thousandths: usize| {
            let rank = (nanoseconds.len() * thousandths).div_ceil(1000);
            nanoseconds[rank.saturating_sub(1)] as f64
        };
        Some(Latency {
            median: at(500),
            p99: at(990),
            p999: at(999),
            maximum: maximum as f64,
        })
    }

    /// The middle of several rounds' distributions, percentile by percentile; the maximum is that of all.
    pub fn middle(rounds: &[Latency]) -> Option<Latency> {
        let middle = |of: fn(&Latency) -> f64| Summary::of(rounds.iter().map(of)).map(|summary| summary.median);
        Some(Latency {
            median: middle(|l| l.median)?,
            p99: middle(|l| l.p99)?,
            p999: middle(|l| l.p999)?,
            maximum: rounds.iter().map(|l| l.maximum).fold(0.0, f64::max),
        })
    }
}

/// Each round's value as a part of the reference's in the same round: what drifts with the machine falls out.
pub fn ratios(of: &[f64], reference: &[f64]) -> Option<Summary> {
    let pairs = of.iter().zip(reference).filter(|(_, reference)| **reference > 0.0);
    Summary::of(pairs.map(|(of, reference)| of / reference))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_of_an_even_number_lies_between_the_middle_two() {
        let summary = Summary::of([4.0, 1.0, 3.0, 2.0]).unwrap();
        assert_eq!((summary.minimum, summary.median), (1.0, 2.5));
        assert_eq!((summary.lower, summary.upper), (1.75, 3.25));
        assert_eq!(summary.spread(), 0.6);
    }

    #[test]
    fn one_value_is_its_own_summary_and_none_has_none() {
        let summary = Summary::of([7.0]).unwrap();
        assert_eq!(
            (summary.minimum, summary.lower, summary.median, summary.upper),
            (7.0, 7.0, 7.0, 7.0)
        );
        assert_eq!(Summary::of([]), None);
        assert_eq!(Latency::of(Vec::new()), None);
        assert_eq!(Latency::middle(&[]), None);
    }

    #[test]
    fn one_wild_round_moves_neither_median_nor_quartiles_much() {
        let calm = Summary::of((0..15).map(|_| 10.0)).unwrap();
        let wild = Summary::of((0..14).map(|_| 10.0).chain([1e9])).unwrap();
        assert_eq!(calm, wild);
    }

    #[test]
    fn percentiles_are_values_that_were_measured() {
        let latency = Latency::of((1..=1000).rev().collect()).unwrap();
        assert_eq!((latency.median, latency.p99, latency.p999), (500.0, 990.0, 999.0));
        assert_eq!(latency.maximum, 1000.0);
        let few = Latency::of(vec![5, 9]).unwrap();
        assert_eq!((few.median, few.p99, few.p999, few.maximum), (5.0, 9.0, 9.0, 9.0));
    }

    #[test]
    fn the_middle_of_distributions_keeps_the_slowest_of_all() {
        let of = |median, maximum| Latency {
            median,
            p99: 2.0 * median,
            p999: 3.0 * median,
            maximum,
        };
        let middle = Latency::middle(&[of(1.0, 50.0), of(3.0, 9.0), of(2.0, 7.0)]).unwrap();
        assert_eq!((middle.median, middle.p99, middle.p999), (2.0, 4.0, 6.0));
        assert_eq!(middle.maximum, 50.0);
    }

    #[test]
    fn ratios_are_taken_round_by_round() {
        // The machine became twice as slow in the middle; the ratio never changed.
        let summary = ratios(&[1.0, 2.0, 2.0], &[10.0, 20.0, 20.0]).unwrap();
        assert_eq!((summary.minimum, summary.median, summary.upper), (0.1, 0.1, 0.1));
        assert_eq!(ratios(&[1.0], &[0.0]), None);
    }
}
