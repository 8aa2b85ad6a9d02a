//! Whether two runs say the same.

use std::collections::BTreeMap;

use crate::results::{Case, Measurement, Results};
use crate::statistics::Summary;

/// The ratios of two runs may differ by so much: a fifth.
pub const TOLERANCE: f64 = 0.2;
/// Two processors are as far from each other as before if a cache line takes at most so many times as long.
const SAME_DISTANCE: f64 = 1.3;

/// One ratio, twice.
#[derive(Clone, Debug, PartialEq)]
pub struct Pair {
    /// What was measured.
    pub case: Case,
    /// Whose.
    pub subject: String,
    /// Each run's ratio.
    pub ratios: [Summary; 2],
    /// Each run's round trip of a cache line in nanoseconds, where several processes took part.
    pub distances: Option<[f64; 2]>,
}

/// What two runs' ratios have to do with each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Agreement {
    /// They are within [`TOLERANCE`].
    Same,
    /// They are not, but each run's middle half of the rounds reaches the other's: this varies more than that.
    Varies,
    /// They are not, and the two processors were not as far from each other in the one run as in the other.
    OtherDistance,
    /// They are not.
    Different,
}

impl Pair {
    /// The greater as a multiple of the lesser, less one.
    pub fn difference(&self) -> f64 {
        times(self.ratios.map(|ratio| ratio.median)) - 1.0
    }

    /// Whether they say the same, and if not, why that may be.
    pub fn agreement(&self) -> Agreement {
        let [first, second] = self.ratios;
        if self.difference() <= TOLERANCE {
            Agreement::Same
        } else if self.distances.is_some_and(|distances| times(distances) > SAME_DISTANCE) {
            Agreement::OtherDistance
        } else if first.lower <= second.upper && second.lower <= first.upper {
            Agreement::Varies
        } else {
            Agreement::Different
        }
    }
}

/// The greater as a multiple of the lesser.
fn times([first, second]: [f64; 2]) -> f64 {
    let (lesser, greater) = (first.min(second), first.max(second));
    if lesser <= 0.0 { f64::INFINITY } else { greater / lesser }
}

/// The ratios that both runs have of a section, in the first one's order.
pub fn section(name: &str, first: &Results, second: &Results) -> Vec<Pair> {
    let of = |m: &Measurement| (m.case.clone(), m.subject.clone());
    let others: BTreeMap<_, _> = second.of(name).iter().map(|m| (of(m), m)).collect();
    let pairs = first.of(name).iter().filter_map(|m| {
        let other = others.get(&of(m))?;
        Some(Pair {
            case: m.case.clone(),
            subject: m.subject.clone(),
            ratios: [m.ratio?, other.ratio?],
            distances: m.mode.zip(other.mode).map(|(one, other)| [one.median, other.median]),
        })
    });
    pairs.collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::job::Placement;

    fn pair(first: f64, second: f64) -> Pair {
        Pair {
            case: Case {
                name: "semop".to_owned(),
                placement: Placement::Two,
                size: None,
                number: None,
            },
            subject: "sysv".to_owned(),
            ratios: [first, second].map(|ratio| Summary::of([ratio]).unwrap()),
            distances: None,
        }
    }

    #[test]
    fn a_fifth_more_or_less_is_the_same() {
        assert_eq!(pair(0.10, 0.12).agreement(), Agreement::Same);
        assert_eq!(pair(0.12, 0.10).agreement(), Agreement::Same);
        assert_eq!(pair(0.10, 0.121).agreement(), Agreement::Different);
        assert_eq!(pair(0.121, 0.10).agreement(), Agreement::Different);
        assert_eq!(pair(0.0, 0.1).agreement(), Agreement::Different);
    }

    #[test]
    fn why_ratios_differ_is_told_where_it_shows() {
        let mut far = pair(0.1, 0.2);
        far.distances = Some([70.0, 210.0]);
        assert_eq!(far.agreement(), Agreement::OtherDistance);
        far.distances = Some([70.0, 80.0]);
        assert_eq!(far.agreement(), Agreement::Different);
        let mut wide = pair(0.1, 0.2);
        wide.ratios = [[0.05, 0.1, 0.25], [0.11, 0.2, 0.3]].map(|values| Summary::of(values).unwrap());
        assert_eq!(wide.agreement(), Agreement::Varies);
    }
}
