//! A case: steps, and their text.

use std::fmt;
use std::str::FromStr;

use super::action::{Act, Action};

/// Who does what: the worker is a number modulo the workers that live.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Step<A = Action> {
    /// Whose turn it is.
    pub worker: i64,
    /// What it does.
    pub action: A,
}

/// A sequence of steps from a fresh start.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Case<A = Action>(pub Vec<Step<A>>);

impl<A: Act> fmt::Display for Case<A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0
            .iter()
            .try_for_each(|step| writeln!(f, "{}: {}", step.worker, step.action))
    }
}

impl<A: Act> FromStr for Case<A> {
    type Err = String;

    /// Reads what `Display` writes; empty lines and lines that begin with `#` do not count.
    fn from_str(text: &str) -> Result<Self, String> {
        let steps = text
            .lines()
            .map(str::trim)
            .filter(|line| !line.is_empty() && !line.starts_with('#'));
        let step = |line: &str| {
            let (worker, action) = line.split_once(": ").ok_or_else(|| format!("not a step: {line:?}"))?;
            let worker = worker.parse().map_err(|error| format!("{worker:?}: {error}"))?;
            Ok(Step {
                worker,
                action: action.parse()?,
            })
        };
        steps.map(step).collect::<Result<_, String>>().map(Case)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::differential::generate::{Cast, generate};
    use crate::differential::random::Random;
    use crate::wire::Wire;

    #[test]
    fn a_case_is_read_as_it_was_written() {
        let case = generate(&mut Random::new(7), 2000, &Cast::EVERYBODY);
        assert_eq!(case.to_string().parse(), Ok(case.clone()));
        for step in &case.0 {
            assert_eq!(Action::from_bytes(&step.action.to_bytes()), step.action);
        }
    }

    #[test]
    fn comments_do_not_count_and_mistakes_are_found() {
        let case: Case = "# why\n\n0: kill\n".parse().unwrap();
        assert_eq!(
            case.0,
            [Step {
                worker: 0,
                action: Action::Kill {}
            }]
        );
        for mistake in ["0: dance", "0: fork", "fork bare=1", "x: kill"] {
            assert!(mistake.parse::<Case>().is_err(), "{mistake}");
        }
    }
}
