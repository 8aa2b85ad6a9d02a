//! How long a process may go on taking what others wait for.
//!
//! Whoever runs takes a free unit before a sleeper that is still being woken, and again after the next release: that is what makes
//! it fast. But some would go on so for milliseconds, and get ten times as much as others. So a process has a *turn*, from its last
//! wake-up on. When that has been long, what it gives goes to a sleeper, and it goes to the end of the queue itself instead of
//! watching for the unit to come back.

use core::sync::atomic::Ordering::Relaxed;
use core::sync::atomic::{AtomicU32, AtomicU64};

use crate::patience::cycles;

/// Cycles of a turn: about half a millisecond, ten times what it takes to wake a sleeper.
const LENGTH: u64 = 1_000_000;

/// A process's turn at all sets. All zeros has not begun. Threads share it.
pub(crate) struct Turn {
    /// When it began, by the processor's clock.
    began: AtomicU64,
    over: AtomicU32,
}

impl Turn {
    pub(crate) const fn new() -> Turn {
        Turn {
            began: AtomicU64::new(0),
            over: AtomicU32::new(0),
        }
    }

    /// The process has slept, and may take.
    pub(super) fn begin(&self) {
        self.restart();
        self.over.store(0, Relaxed);
    }

    /// Whether it has been long.
    pub(super) fn is_long(&self) -> bool {
        let now = cycles();
        match self.began.load(Relaxed) {
            0 => {
                self.began.store(now, Relaxed);
                false
            }
            began => now.saturating_sub(began) > LENGTH,
        }
    }

    /// Lets it go on for as long again, if it has been long.
    pub(super) fn prolong_if_long(&self) {
        if self.is_long() {
            self.restart();
        }
    }

    fn restart(&self) {
        self.began.store(cycles(), Relaxed);
    }

    /// Ends it: a sleeper has what it would have taken.
    pub(super) fn end(&self) {
        self.restart();
        self.over.store(1, Relaxed);
    }

    /// Whether it is over, and the next has not begun.
    pub(super) fn is_over(&self) -> bool {
        self.over.load(Relaxed) != 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_turn_ends_once_it_was_long_and_begins_with_the_next_sleep() {
        let turn = Turn::new();
        assert!(!turn.is_long(), "one that has not begun begins");
        turn.began.store(cycles() - LENGTH - 1, Relaxed);
        assert!(turn.is_long() && !turn.is_over());
        turn.prolong_if_long();
        assert!(!turn.is_long() && !turn.is_over());
        turn.end();
        assert!(turn.is_over() && !turn.is_long());
        turn.begin();
        assert!(!turn.is_over());
    }
}
