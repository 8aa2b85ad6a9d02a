//! Two subjects, measured in turns.

use std::time::Instant;

/// Rounds in which the two take turns.
pub(crate) const ROUNDS: usize = 15;

/// Nanoseconds for one execution, the minimum and the median over the rounds.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Time {
    /// The least disturbed round.
    pub(crate) minimum: f64,
    /// The middle round.
    pub(crate) median: f64,
}

/// Runs `kernel` and `engine` in turns, `count` times each a round.
pub(crate) fn in_turns<'a>(count: u32, kernel: &'a mut dyn FnMut(), engine: &'a mut dyn FnMut()) -> (Time, Time) {
    let mut times = [Vec::new(), Vec::new()];
    for _ in 0..ROUNDS {
        for (which, times) in times.iter_mut().enumerate() {
            let subject = if which == 0 { &mut *kernel } else { &mut *engine };
            let start = Instant::now();
            for _ in 0..count {
                subject();
            }
            times.push(start.elapsed().as_nanos() as f64 / f64::from(count));
        }
    }
    let [kernel, engine] = times.map(|mut times| {
        times.sort_by(f64::total_cmp);
        Time {
            minimum: times[0],
            median: times[times.len() / 2],
        }
    });
    (kernel, engine)
}

/// The table's head.
pub(crate) fn header() {
    println!(
        "{:<44} {:>10} {:>10} {:>8} {:>8}",
        "operation", "kernel ns", "sysv ns", "ratio", "median"
    );
}

/// One line: minimum times, their ratio, and the ratio of the medians.
pub(crate) fn line(name: &str, (kernel, engine): (Time, Time)) {
    let ratio = engine.minimum / kernel.minimum;
    let median = engine.median / kernel.median;
    println!(
        "{name:<44} {:>10.1} {:>10.1} {ratio:>8.3} {median:>8.3}",
        kernel.minimum, engine.minimum
    );
}
