//! Whether two runs say the same.

use std::collections::BTreeMap;

use crate::results::{Case, Results};

/// The ratios of two runs may differ by so much: a fifth.
pub const TOLERANCE: f64 = 0.2;

/// One ratio, twice.
#[derive(Clone, Debug, PartialEq)]
pub struct Pair {
    /// What was measured.
    pub case: Case,
    /// Whose.
    pub subject: String,
    /// The first run's ratio.
    pub first: f64,
    /// The second run's.
    pub second: f64,
}

impl Pair {
    /// The greater as a multiple of the lesser, less one.
    pub fn difference(&self) -> f64 {
        let (lesser, greater) = (self.first.min(self.second), self.first.max(self.second));
        if lesser <= 0.0 {
            f64::INFINITY
        } else {
            greater / lesser - 1.0
        }
    }

    /// Whether they are within [`TOLERANCE`].
    pub fn agrees(&self) -> bool {
        self.difference() <= TOLERANCE
    }
}

/// The ratios that both runs have, in the order of the cases.
pub fn compare(first: &Results, second: &Results) -> Vec<Pair> {
    let of = |results: &Results| -> BTreeMap<(Case, String), f64> {
        let measurements = results.measurements();
        let ratios = measurements.filter_map(|m| Some(((m.case.clone(), m.subject.clone()), m.ratio?.median)));
        ratios.collect()
    };
    let second = of(second);
    let pairs = of(first).into_iter().filter_map(|((case, subject), ratio)| {
        let key = (case, subject);
        let other = *second.get(&key)?;
        let (case, subject) = key;
        Some(Pair {
            case,
            subject,
            first: ratio,
            second: other,
        })
    });
    pairs.collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::job::Placement;

    #[test]
    fn a_fifth_more_or_less_is_the_same() {
        let pair = |first, second| Pair {
            case: Case {
                name: "semop".to_owned(),
                placement: Placement::One,
                size: None,
                number: None,
            },
            subject: "sysv".to_owned(),
            first,
            second,
        };
        assert!(pair(0.10, 0.12).agrees() && pair(0.12, 0.10).agrees());
        assert!(!pair(0.10, 0.121).agrees() && !pair(0.121, 0.10).agrees());
        assert!(!pair(0.0, 0.1).agrees());
    }
}
