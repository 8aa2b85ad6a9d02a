//! How long it is worth watching a value before going to sleep: as long as it has lately been.
//!
//! A process that runs on another processor changes it within a fraction of a microsecond; one that has to wait for this
//! processor cannot while we watch. Nothing tells beforehand who will make the change, and where that process runs.

use core::sync::atomic::AtomicU32;
use core::sync::atomic::Ordering::Relaxed;

/// Looks at the most: about as long as waking a sleeper takes.
const MOST: u32 = 400;
/// Looks by which it is found out whether watching has become worth it again, once in [`SELDOM`] times.
const TRIAL: u32 = 64;
const SELDOM: u32 = 32;

/// Looks at a value before sleeping. Learnt anew by each process, whose threads may spoil each other's counts.
pub(crate) struct Patience {
    /// 0 when watching has been in vain for long.
    looks: AtomicU32,
    /// Times that it was 0.
    refused: AtomicU32,
}

impl Patience {
    pub(crate) const fn new() -> Patience {
        Patience {
            looks: AtomicU32::new(MOST),
            refused: AtomicU32::new(0),
        }
    }

    /// How often to look now.
    pub(crate) fn looks(&self) -> u32 {
        let looks = self.looks.load(Relaxed);
        if looks > 0 {
            return looks.min(MOST);
        }
        let refused = self.refused.load(Relaxed).wrapping_add(1);
        self.refused.store(refused, Relaxed);
        if refused.is_multiple_of(SELDOM) { TRIAL } else { 1 }
    }

    /// Whether it was worth it.
    pub(crate) fn learn(&self, worth_it: bool) {
        let looks = self.looks.load(Relaxed);
        let next = match (worth_it, looks) {
            (true, looks) => looks.max(TRIAL).saturating_mul(2).min(MOST),
            (false, 0..TRIAL) => 0,
            (false, looks) => looks / 2,
        };
        if next != looks {
            self.looks.store(next, Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patience_is_lost_soon_and_found_again() {
        let patience = Patience::new();
        for _ in 0..5 {
            patience.learn(false);
        }
        let looks: u32 = (0..SELDOM).map(|_| patience.looks()).sum();
        assert_eq!(looks, SELDOM - 1 + TRIAL);
        for _ in 0..5 {
            patience.learn(true);
        }
        assert_eq!(patience.looks(), MOST);
    }
}
