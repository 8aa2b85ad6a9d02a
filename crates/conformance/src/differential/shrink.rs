//! Finding the few steps of a case that matter.

use std::time::{Duration, Instant};

use super::case::{Case, Step};

/// Leaves out steps for as long as `fails` says that what remains still finds a difference, halving the
/// stretches that it tries to leave out (Zeller, Hildebrandt: Simplifying and Isolating Failure-Inducing Input,
/// 2002). Stops early after `limit`.
pub(crate) fn shrink<A: Copy>(case: &Case<A>, limit: Duration, mut fails: impl FnMut(&Case<A>) -> bool) -> Case<A> {
    let end = Instant::now() + limit;
    let mut steps = case.0.clone();
    let mut stretch = steps.len().div_ceil(2);
    while stretch > 0 && Instant::now() < end {
        let mut start = 0;
        let mut shorter = false;
        while start < steps.len() && Instant::now() < end {
            let rest = without(&steps, start, stretch);
            if fails(&rest) {
                steps = rest.0;
                shorter = true;
            } else {
                start += stretch;
            }
        }
        // Single steps are tried again for as long as that helps.
        if !(shorter && stretch == 1) {
            stretch /= 2;
        }
    }
    Case(steps)
}

fn without<A: Copy>(steps: &[Step<A>], start: usize, count: usize) -> Case<A> {
    let end = (start + count).min(steps.len());
    Case([&steps[..start], &steps[end..]].concat())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::differential::action::Action;

    #[test]
    fn only_the_steps_that_matter_are_left() {
        let step = |worker| Step {
            worker,
            action: Action::Kill {},
        };
        let case = Case((0..1000).map(step).collect());
        let matters = |case: &Case| [17, 503, 999].iter().all(|worker| case.0.contains(&step(*worker)));
        let shrunk = shrink(&case, Duration::from_secs(60), matters);
        assert_eq!(shrunk.0, [step(17), step(503), step(999)]);
    }
}
