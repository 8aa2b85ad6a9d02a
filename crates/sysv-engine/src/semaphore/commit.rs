//! Operations done all together or not at all, by whoever has the set's lock.
//!
//! What changes more than one word is *staged* first: each semaphore concerned is frozen, so that nobody swaps its word, and
//! gets its coming value in `next`; undo records get their coming adjustment beside the present one. The store of the
//! head's `intent` commits. Then everything staged is carried over, each semaphore's `next` cleared before it is thawed, and
//! the intent is disarmed. Recovery carries over what an armed intent left staged, and drops what an unarmed one did.

use core::sync::atomic::Ordering::{AcqRel, Acquire, Relaxed, Release};

use super::locked::LockedSet;
use super::waiters::{DONE, FAILED, Operations, ends_waits};
use super::word::{self, FROZEN, HELD, Last, MORE, OWED, Possible, Word, ZERO};
use crate::abi::{IPC_NOWAIT, SEM_UNDO, SEMAEM, SEMVMX, Sembuf};
use crate::errno::Errno;
use crate::lock::Tag;
use crate::table::Semaphore;

/// `next` holds a value.
pub(super) const STAGED: u16 = 1 << 15;
/// `intent` is armed.
pub(super) const ARMED: u32 = 1 << 31;
/// `serving`: the waiter's operations are taken back, not done.
const TAKEN_BACK: u32 = 1 << 31;

/// What became of an attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    Done,
    /// An operation on this semaphore cannot be done now.
    Blocked {
        semaphore: u16,
        for_zero: bool,
        nowait: bool,
    },
    /// It never can be.
    Failed(Errno),
}

/// For whom operations are done.
#[derive(Clone, Copy)]
pub(super) struct Party {
    pub tag: Tag,
    pub last: Last,
    /// The cell in which it waits.
    pub cell: Option<usize>,
}

/// Whether an operation on a semaphore with this value can be done, or why not.
#[inline(always)]
fn operate(value: i32, operation: &Sembuf) -> Outcome {
    outcome_of(word::judge(value, operation.op.into()), operation)
}

#[inline(always)]
fn outcome_of(possible: Possible, operation: &Sembuf) -> Outcome {
    match possible {
        Possible::Now => Outcome::Done,
        Possible::Later => Outcome::Blocked {
            semaphore: operation.num,
            for_zero: operation.op == 0,
            nowait: i32::from(operation.flg) & IPC_NOWAIT != 0,
        },
        // "For some operation, semop+semval is greater than SEMVMX"
        Possible::TooLarge => Outcome::Failed(Errno::ERANGE),
    }
}

/// Keeps everybody from swapping the word, and returns the value.
#[inline]
pub(super) fn freeze(semaphore: &Semaphore) -> i32 {
    Word(semaphore.word.fetch_or(FROZEN, AcqRel)).value()
}

impl LockedSet<'_> {
    /// Does the operations, if all of them can be done now. With `mark`, the semaphore on which they are blocked gets the flag
    /// that somebody waits, so that no change of it goes unnoticed from here on.
    pub(super) fn attempt(&self, operations: Operations<'_>, party: Party, mark: bool) -> Outcome {
        if let Operations::Own(&[operation]) = operations
            && i32::from(operation.flg) & SEM_UNDO == 0
        {
            return self.attempt_one(&operation, party.last, mark);
        }
        match operations {
            Operations::Own(operations) => self.attempt_all(operations.iter().copied(), party, mark),
            kept => self.attempt_all(kept.iter(), party, mark),
        }
    }

    #[inline]
    fn attempt_all(&self, operations: impl Iterator<Item = Sembuf> + Clone, party: Party, mark: bool) -> Outcome {
        let mut outcome = Outcome::Done;
        let mut touched = 0;
        for operation in operations.clone() {
            touched += 1;
            outcome = self.stage(&operation, party.tag);
            if outcome != Outcome::Done {
                break;
            }
        }
        if outcome != Outcome::Done {
            for operation in operations.take(touched) {
                self.unstage(&operation, party.tag, if mark { outcome } else { Outcome::Done });
            }
            return outcome;
        }
        let serving = party.cell.map_or(0, |cell| cell as u32 + 1);
        self.commit(party.last, serving);
        for operation in operations {
            self.carry_over(&operation, party.last, party.tag);
        }
        if serving != 0 {
            self.finish_serving();
        }
        self.set.head.intent.store(0, Release);
        outcome
    }

    /// One operation without undo: no more than a swap.
    fn attempt_one(&self, operation: &Sembuf, last: Last, mark: bool) -> Outcome {
        let Some(semaphore) = self.set.semaphores.get(operation.num as usize) else {
            return Outcome::Failed(Errno::EFBIG);
        };
        outcome_of(
            word::operate(&semaphore.word, operation.op.into(), last, mark),
            operation,
        )
    }

    #[inline]
    fn stage(&self, operation: &Sembuf, tag: Tag) -> Outcome {
        let Some(semaphore) = self.set.semaphores.get(operation.num as usize) else {
            return Outcome::Failed(Errno::EFBIG);
        };
        let next = semaphore.next.load(Relaxed);
        let value = if next & STAGED == 0 {
            freeze(semaphore)
        } else {
            i32::from(next & !STAGED)
        };
        let outcome = operate(value, operation);
        if outcome != Outcome::Done {
            return outcome;
        }
        let op = i32::from(operation.op);
        if i32::from(operation.flg) & SEM_UNDO != 0 {
            let Some((_, record)) = self.undo_of(operation.num, tag) else {
                return Outcome::Failed(Errno::ENOMEM);
            };
            let adjustment = record.coming() - op;
            if !(-SEMAEM - 1..=SEMAEM).contains(&adjustment) {
                return Outcome::Failed(Errno::ERANGE);
            }
            record.stage(adjustment);
        }
        semaphore.next.store(STAGED | (value + op) as u16, Relaxed);
        Outcome::Done
    }

    /// Drops what was staged for an operation; marks the semaphore if it is the one that `outcome` says is blocked, or is minded
    /// by who waits for that.
    fn unstage(&self, operation: &Sembuf, tag: Tag, outcome: Outcome) {
        let Some(semaphore) = self.set.semaphores.get(operation.num as usize) else {
            return;
        };
        if i32::from(operation.flg) & SEM_UNDO != 0
            && let Some((_, record)) = self.undo_of(operation.num, tag)
        {
            record.unstage();
        }
        if let Outcome::Blocked {
            semaphore: blocked,
            for_zero,
            ..
        } = outcome
        {
            if blocked == operation.num {
                semaphore.word.fetch_or(if for_zero { ZERO } else { MORE }, Relaxed);
            }
            if ends_waits(operation) {
                semaphore.word.fetch_or(OWED, Relaxed);
            }
        }
        semaphore.next.store(0, Relaxed);
        semaphore.word.fetch_and(!FROZEN, Release);
    }

    fn commit(&self, last: Last, serving: u32) {
        let head = self.set.head;
        head.serving.store(serving, Relaxed);
        head.intent.store(ARMED | last.bits(), Release);
    }

    #[inline]
    fn carry_over(&self, operation: &Sembuf, last: Last, tag: Tag) {
        let Some(semaphore) = self.set.semaphores.get(operation.num as usize) else {
            return;
        };
        let mut flags = semaphore.word.load(Relaxed) & (HELD | OWED);
        if i32::from(operation.flg) & SEM_UNDO != 0
            && let Some((index, record)) = self.undo_of(operation.num, tag)
        {
            record.settle();
            flags = record.flags_in(semaphore, index) | flags & self.minded_flags();
        }
        carry_over(semaphore, last, flags);
    }

    /// The flags that do not go with the undo records, where somebody may mind.
    fn minded_flags(&self) -> u64 {
        match self.set.head.minding.load(Relaxed) {
            0 => 0,
            _ => OWED,
        }
    }

    fn finish_serving(&self) {
        let head = self.set.head;
        let serving = head.serving.load(Relaxed);
        if let (Ok(records), Some(cell)) = (self.records(), ((serving & !TAKEN_BACK) as usize).checked_sub(1))
            && let Some(cell) = records.cells.get(cell)
        {
            let state = if serving & TAKEN_BACK != 0 { FAILED } else { DONE };
            cell.state.store(state, Release);
        }
        head.serving.store(0, Relaxed);
    }

    /// After the death of the lock's owner: carries over what was committed, drops what was not.
    pub(super) fn finish_intent(&self) {
        let head = self.set.head;
        let intent = head.intent.load(Acquire);
        let committed = intent & ARMED != 0;
        let last = Last::from_bits(intent);
        self.for_each_undo_of_all(&mut |record, _| {
            if committed {
                record.settle();
            } else {
                record.unstage();
            }
        });
        for semaphore in self.set.semaphores {
            if committed {
                let flags = semaphore.word.load(Relaxed) & (HELD | OWED);
                carry_over(semaphore, last, flags);
            }
            semaphore.next.store(0, Relaxed);
            if semaphore.word.load(Relaxed) & FROZEN != 0 {
                semaphore.word.fetch_and(!FROZEN, Release);
            }
        }
        if committed {
            self.finish_serving();
        }
        head.serving.store(0, Relaxed);
        head.intent.store(0, Release);
    }

    /// Gives a semaphore a new value, in the name of `last`, and drops every process's adjustment of it.
    pub(super) fn assign(&self, number: u16, value: u16, last: Last) {
        let Some(semaphore) = self.set.semaphores.get(number as usize) else {
            return;
        };
        self.stage_assignment(semaphore, number, value);
        self.commit(last, 0);
        self.for_each_undo(number, &mut |_, record| {
            record.settle();
            true
        });
        carry_over(semaphore, last, self.minded_flags());
        self.set.head.intent.store(0, Release);
        self.refresh_owed(number);
    }

    /// As [`assign`](Self::assign), for all semaphores together.
    pub(super) fn assign_all(&self, values: &[u16], last: Last) {
        for (number, (semaphore, &value)) in self.set.semaphores.iter().zip(values).enumerate() {
            self.stage_assignment(semaphore, number as u16, value);
        }
        self.commit(last, 0);
        self.finish_intent();
        for number in 0..self.set.semaphores.len() {
            self.refresh_owed(number as u16);
        }
    }

    fn stage_assignment(&self, semaphore: &Semaphore, number: u16, value: u16) {
        freeze(semaphore);
        semaphore.next.store(STAGED | value & !STAGED, Relaxed);
        self.for_each_undo(number, &mut |_, record| {
            record.stage(0);
            true
        });
    }

    /// All values as they are at one moment.
    pub(super) fn snapshot(&self, values: &mut [u16]) {
        for semaphore in self.set.semaphores {
            semaphore.word.fetch_or(FROZEN, AcqRel);
        }
        for (value, semaphore) in values.iter_mut().zip(self.set.semaphores) {
            *value = Word(semaphore.word.load(Relaxed)).value() as u16;
        }
        for semaphore in self.set.semaphores {
            semaphore.word.fetch_and(!FROZEN, Release);
        }
    }

    /// Makes a dead process's adjustment.
    pub(super) fn make_adjustment(&self, record: &super::undo::UndoRecord, number: u16) {
        let Some(semaphore) = self.set.semaphores.get(number as usize) else {
            return;
        };
        let value = (freeze(semaphore) + record.adjustment()).clamp(0, SEMVMX);
        semaphore.next.store(STAGED | value as u16, Relaxed);
        record.stage(0);
        self.commit(record.last(), 0);
        record.settle();
        let flags = semaphore.word.load(Relaxed) & (HELD | OWED);
        carry_over(semaphore, record.last(), flags);
        self.set.head.intent.store(0, Release);
        self.refresh_owed(number);
    }

    /// Takes back what was done for a waiter that died before it noticed.
    pub(super) fn take_back(&self, cell: usize, tag: Tag, last: Last) {
        let Ok(records) = self.records() else { return };
        let operations = Operations::Kept(records, cell);
        for operation in operations.iter() {
            let Some(semaphore) = self.set.semaphores.get(operation.num as usize) else {
                continue;
            };
            let next = semaphore.next.load(Relaxed);
            let value = if next & STAGED == 0 {
                freeze(semaphore)
            } else {
                i32::from(next & !STAGED)
            };
            let value = (value - i32::from(operation.op)).clamp(0, SEMVMX);
            semaphore.next.store(STAGED | value as u16, Relaxed);
            if i32::from(operation.flg) & SEM_UNDO != 0
                && let Some((_, record)) = self.undo_of(operation.num, tag)
            {
                record.stage((record.coming() + i32::from(operation.op)).clamp(-SEMAEM - 1, SEMAEM));
            }
        }
        self.commit(last, TAKEN_BACK | (cell as u32 + 1));
        for operation in operations.iter() {
            self.carry_over(&operation, last, tag);
        }
        self.finish_serving();
        self.set.head.intent.store(0, Release);
    }
}

/// Gives a semaphore its staged value, and its flags about undo. May be done again: once `next` is clear, nothing is left
/// to do but to thaw.
#[inline]
pub(super) fn carry_over(semaphore: &Semaphore, last: Last, flags: u64) {
    let next = semaphore.next.load(Relaxed);
    if next & STAGED == 0 {
        return;
    }
    let word = Word(semaphore.word.load(Relaxed))
        .after(i32::from(next & !STAGED), last)
        .0;
    let word = word & !(HELD | OWED) | flags;
    semaphore.word.store(word | FROZEN, Release);
    semaphore.next.store(0, Release);
    semaphore.word.store(word & !FROZEN, Release);
}
