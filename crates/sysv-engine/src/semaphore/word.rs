//! A semaphore's word: everything that one compare-and-swap must change together.
//!
//! | bits | meaning | who may change it |
//! |---|---|---|
//! | 0–14 | value | anybody, while `FROZEN` is clear |
//! | 15 `FROZEN` | the holder of the set's lock is changing several words | the lock's holder |
//! | 16 `MORE` | somebody waits for the value to rise (derived) | the lock's holder |
//! | 17 `ZERO` | somebody waits for zero (derived) | the lock's holder |
//! | 18 `OWED` | an undo will lower the value (derived) | the lock's holder |
//! | 19 `HELD` | an undo will change the value (derived) | the lock's holder |
//! | 20–35 | the set's sequence number | whoever makes or removes the set |
//! | 36–63 | the process that operated last: 22 bits of its id, 6 of its pid namespace's inode | with the value |
//!
//! The sequence number makes the swap of a process fail that was stopped since before the set was removed.

use crate::identity::Identity;

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

#[cfg(test)]
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
