//! The program's action for a signal.

use core::sync::atomic::Ordering::{Acquire, Relaxed, Release};
use core::sync::atomic::{AtomicU64, AtomicUsize, fence};

use super::action::Action;
use super::lock::Guard;

/// What the program wants done about one signal, while the kernel has our handler.
///
/// The handler reads it at any moment, and a forked child may have been copied in the middle of a change, so no state of it
/// may stop a reader: the slot `version % 2` is valid, the other one is written, then `version` moves.
pub(super) struct Wish {
    version: AtomicUsize,
    slots: [[AtomicU64; 4]; 2],
}

/// One for every signal, from number 1.
static WISHES: [Wish; 64] = [const {
    Wish {
        version: AtomicUsize::new(0),
        slots: [const { [const { AtomicU64::new(0) }; 4] }; 2],
    }
}; 64];

impl Wish {
    /// The wish about `signal`, which is between 1 and 64.
    pub(super) fn of(signal: i32) -> &'static Wish {
        &WISHES[(signal - 1) as usize % WISHES.len()]
    }

    pub(super) fn get(&self) -> Action {
        loop {
            let version = self.version.load(Acquire);
            let [handler, flags, restorer, mask] = self.slots[version % 2].each_ref().map(|word| word.load(Relaxed));
            // The words are this version's only if the version has not moved on meanwhile.
            fence(Acquire);
            if self.version.load(Relaxed) == version {
                return Action {
                    handler: handler as usize,
                    flags,
                    restorer: restorer as usize,
                    mask,
                };
            }
        }
    }

    /// The guard proves that nobody else writes.
    pub(super) fn set(&self, action: &Action, _: &Guard) {
        let version = self.version.load(Relaxed).wrapping_add(1);
        let words = [action.handler as u64, action.flags, action.restorer as u64, action.mask];
        // A reader that sees one of these words also sees that the version has moved since it began.
        fence(Release);
        for (word, value) in self.slots[version % 2].iter().zip(words) {
            word.store(value, Relaxed);
        }
        self.version.store(version, Release);
    }
}
