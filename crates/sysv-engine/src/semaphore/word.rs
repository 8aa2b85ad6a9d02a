//! A semaphore's word: everything that one compare-and-swap must change together.
//!
//! | bits | meaning | who may change it |
//! |---|---|---|
//! | 0–14 | value | anybody, while `FROZEN` is clear |
//! | 15 `FROZEN` | the holder of the set's lock is changing several words | the lock's holder |
//! | 16 `MORE` | somebody waits for the value to rise (derived) | the lock's holder |
//! | 17 `ZERO` | somebody waits for zero (derived) | the lock's holder |
//! | 18 `OWED` | an undo will lower the value, or a change can end the wait of somebody who waits for another semaphore (derived) | the lock's holder |
//! | 19 `HELD` | an undo will change the value (derived) | the lock's holder |
//! | 20–35 | the set's sequence number | whoever makes or removes the set |
//! | 36–63 | the process that operated last: 22 bits of its id, 6 of its pid namespace's inode | with the value |
//!
//! The sequence number makes the swap of a process fail that was stopped since before the set was removed.
//!
//! The steps on a word stand here by themselves, so that the model checker can take them with others' steps in every sequence
//! (`crates/endurance/tests/semaphore_model.rs`).

use core::sync::atomic::Ordering::{AcqRel, Relaxed};

use crate::abi::SEMVMX;
use crate::identity::Identity;
use crate::primitive::AtomicU64;

pub(super) const FROZEN: u64 = 1 << 15;
pub(super) const MORE: u64 = 1 << 16;
pub(super) const ZERO: u64 = 1 << 17;
pub(super) const OWED: u64 = 1 << 18;
pub(super) const HELD: u64 = 1 << 19;
const VALUE: u64 = 0x7fff;
const SEQUENCE_SHIFT: u32 = 20;
const LAST_SHIFT: u32 = 36;

/// Who operated on a semaphore last; 0 for nobody.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Last(u32);

impl Last {
    /// The bits that it takes.
    pub(super) const BITS: u32 = 28;
    const PID_BITS: u32 = 22;

    #[inline]
    pub(super) fn of(identity: Identity) -> Last {
        Last((identity.namespace() & 0x3f) << Self::PID_BITS | identity.pid() & ((1 << Self::PID_BITS) - 1))
    }

    pub(super) fn from_bits(bits: u32) -> Last {
        Last(bits & ((1 << Self::BITS) - 1))
    }

    pub(super) fn bits(self) -> u32 {
        self.0
    }

    /// The process id, 0 where `observer` lives in another pid namespace.
    pub(super) fn seen_by(self, observer: Identity) -> i32 {
        if self.0 >> Self::PID_BITS == Last::of(observer).0 >> Self::PID_BITS {
            (self.0 & ((1 << Self::PID_BITS) - 1)) as i32
        } else {
            0
        }
    }
}

/// The word's value at one moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Word(pub u64);

impl Word {
    /// A new set's semaphore: zero, operated on by nobody.
    pub(super) fn new(sequence: u16) -> Word {
        Word(u64::from(sequence) << SEQUENCE_SHIFT)
    }

    #[inline]
    pub(super) fn value(self) -> i32 {
        (self.0 & VALUE) as i32
    }

    #[inline]
    pub(super) fn sequence(self) -> u16 {
        (self.0 >> SEQUENCE_SHIFT) as u16
    }

    #[inline]
    pub(super) fn has(self, flags: u64) -> bool {
        self.0 & flags != 0
    }

    pub(super) fn last(self) -> Last {
        Last((self.0 >> LAST_SHIFT) as u32)
    }

    /// Whether it belongs to the set with this sequence number and has none of these flags.
    #[inline]
    pub(super) fn is_open(self, sequence: u16, closed: u64) -> bool {
        let wanted = u64::from(sequence) << SEQUENCE_SHIFT;
        (self.0 ^ wanted) & (closed | 0xffff << SEQUENCE_SHIFT) == 0
    }

    /// The same semaphore after an operation of `last` that left this value.
    #[inline]
    pub(super) fn after(self, value: i32, last: Last) -> Word {
        let kept = self.0 & ((1 << LAST_SHIFT) - 1) & !VALUE;
        Word(kept | value as u64 & VALUE | u64::from(last.0) << LAST_SHIFT)
    }
}

/// Whether a value can have an operation done on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Possible {
    Now,
    /// Once the value has changed.
    Later,
    /// "semop+semval is greater than SEMVMX"
    TooLarge,
}

/// Whether the operation can be done.
#[inline(always)]
pub(super) fn judge(value: i32, op: i32) -> Possible {
    if op == 0 && value != 0 || value + op < 0 {
        Possible::Later
    } else if value + op > SEMVMX {
        Possible::TooLarge
    } else {
        Possible::Now
    }
}

/// Does an operation without the set's lock, if nobody but the caller is concerned; `false` leaves everything as it was.
#[inline(always)]
pub(super) fn swap(word: &AtomicU64, sequence: u16, op: i32, last: Last) -> bool {
    let closed = if op > 0 { FROZEN | OWED | MORE } else { FROZEN | OWED };
    // The greatest value that the operation may leave; what is below zero is greater still.
    let most = if op == 0 { 0 } else { SEMVMX as u32 };
    let mut seen = word.load(Relaxed);
    loop {
        let now = Word(seen);
        let value = now.value() + op;
        let ends_a_wait = op < 0 && value == 0 && now.has(ZERO);
        if value as u32 > most || ends_a_wait || !now.is_open(sequence, closed) {
            return false;
        }
        match word.compare_exchange_weak(seen, now.after(value, last).0, AcqRel, Relaxed) {
            Ok(_) => return true,
            Err(other) => seen = other,
        }
    }
}

/// Does an operation for the holder of the set's lock, if it can be done. If not, and with `mark`, the word says in the same
/// step that somebody waits: no change that lets it be done goes unnoticed from here on.
#[inline(always)]
pub(super) fn operate(word: &AtomicU64, op: i32, last: Last, mark: bool) -> Possible {
    let mut seen = word.load(Relaxed);
    loop {
        let now = Word(seen);
        let possible = judge(now.value(), op);
        let new = match possible {
            Possible::Now => now.after(now.value() + op, last).0,
            Possible::Later if mark => seen | if op == 0 { ZERO } else { MORE },
            _ => return possible,
        };
        match word.compare_exchange_weak(seen, new, AcqRel, Relaxed) {
            Ok(_) => return possible,
            Err(other) => seen = other,
        }
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn an_operation_changes_value_and_last_and_nothing_else() {
        let here = Identity::from_word(0xf000_0005 << 32 | 4_194_303);
        let before = Word(Word::new(0xabcd).0 | MORE | OWED);
        let after = before.after(32767, Last::of(here));
        assert_eq!(after.value(), 32767);
        assert_eq!(after.sequence(), 0xabcd);
        assert!(after.has(MORE) && after.has(OWED) && !after.has(ZERO | FROZEN));
        assert_eq!(after.last().seen_by(here), 4_194_303);
        assert_eq!(after.last().seen_by(Identity::from_word(0xf000_0006 << 32 | 1)), 0);
        assert_eq!(Last::from_bits(after.last().bits()), after.last());
    }
}
