//! What a change of values does for those who wait.
//!
//! As in Linux, the waiters for a semaphore are looked at in order of arrival, those that only read before the others, and
//! one that still cannot go on does not keep the next from going. What can be done is done for the sleeper: handed over,
//! and seen at once by everybody.
//!
//! Under contention that would make every acquisition last as long as it takes to wake a process, so hand-overs are
//! rationed: [`CREDIT`] at once, one for each [`REFILL`] after that. Without credit the value is left for whoever comes, the
//! waiter is told, and it tries itself. One that has waited long gets its hand-over at shorter distance, and in the end
//! always: nobody is passed over for more than a few milliseconds.

use core::sync::atomic::Ordering::{Acquire, Relaxed, Release};

use super::commit::{Outcome, Party};
use super::locked::LockedSet;
use super::waiters::{Cell, FAILED, NOTIFIED, Operations, READS, WAITING};
use super::word::{Last, Word, ZERO};
use crate::abi::Sembuf;
use crate::lock::Tag;
use crate::registry::adjust32;
use crate::sys;

/// Hand-overs that may be made at once.
const CREDIT: u32 = 16;
/// Microseconds for one more.
const REFILL: u64 = 250;
/// Milliseconds of waiting after which the distance between hand-overs shrinks to [`URGENT`] microseconds, and to nothing.
const LONG: u64 = 4;
const TOO_LONG: u64 = 12;
const URGENT: u64 = 60;

/// Semaphores that have changed.
struct Pending {
    numbers: [u16; 32],
    len: usize,
    /// More than `numbers` holds: the next of all.
    all_from: Option<usize>,
}

impl Pending {
    fn new() -> Pending {
        Pending {
            numbers: [0; 32],
            len: 0,
            all_from: None,
        }
    }

    fn add(&mut self, number: u16) {
        if self.numbers[..self.len].contains(&number) {
            return;
        }
        if self.len < self.numbers.len() {
            self.numbers[self.len] = number;
            self.len += 1;
        } else {
            self.all_from = Some(0);
        }
    }

    fn take(&mut self, count: usize) -> Option<u16> {
        if let Some(next) = self.all_from {
            self.len = 0;
            self.all_from = (next + 1 < count).then_some(next + 1);
            return (next < count).then_some(next as u16);
        }
        self.len = self.len.checked_sub(1)?;
        Some(self.numbers[self.len])
    }
}

impl LockedSet<'_> {
    /// Looks after those who wait for the semaphores that these operations changed.
    pub(super) fn serve(&self, operations: &[Sembuf]) {
        if self.set.head.waiting.load(Relaxed) == 0 {
            return;
        }
        let mut pending = Pending::new();
        for operation in operations.iter().filter(|operation| operation.op != 0) {
            pending.add(operation.num);
        }
        self.serve_pending(pending);
    }

    /// As [`serve`](Self::serve), for one semaphore.
    pub(super) fn serve_one(&self, number: u16) {
        let mut pending = Pending::new();
        pending.add(number);
        self.serve_pending(pending);
    }

    /// As [`serve`](Self::serve), for all semaphores.
    pub(super) fn serve_all(&self) {
        if self.set.head.waiting.load(Relaxed) != 0 {
            self.serve_pending(Pending {
                all_from: Some(0),
                ..Pending::new()
            });
        }
    }

    fn serve_pending(&self, mut pending: Pending) {
        // More rounds than there can be waiters are due to somebody who writes here without the lock.
        for _ in 0..1 << 20 {
            let Some(number) = pending.take(self.set.semaphores.len()) else {
                return;
            };
            let has_waiters = self
                .set
                .semaphores
                .get(number as usize)
                .is_some_and(|s| s.waiters.load(Relaxed) != 0);
            if has_waiters {
                self.serve_semaphore(number, true, &mut pending);
                self.serve_semaphore(number, false, &mut pending);
            }
        }
    }

    /// One pass over the waiters for a semaphore: those that only read, or the others.
    fn serve_semaphore(&self, number: u16, reads: bool, pending: &mut Pending) {
        let Ok(records) = self.records() else { return };
        let mut after = None;
        // What those have been promised who were told and have not come yet.
        let mut promised = 0;
        loop {
            let mut found = None;
            self.for_each_waiter(number, &mut |index, cell| {
                let arrival = cell.arrival.load(Relaxed);
                if after.is_none_or(|after| arrival > after) && (cell.kind.load(Relaxed) & READS != 0) == reads {
                    found = Some((index, arrival));
                }
                found.is_none()
            });
            let Some((index, arrival)) = found else { return };
            after = Some(arrival);
            let cell = &records.cells[index];
            let need = single_need(records, index);
            let value = self
                .set
                .semaphores
                .get(number as usize)
                .map_or(0, |s| Word(s.word.load(Acquire)).value());
            if !reads && need.is_some_and(|need| value - promised < need) {
                continue;
            }
            if reads || self.take_credit(cell) {
                self.hand_over(index, cell, pending);
            } else {
                promised += need.unwrap_or(0);
                if cell.state.load(Relaxed) == WAITING {
                    cell.state.store(NOTIFIED, Release);
                    self.wake(index);
                }
            }
        }
    }

    /// Does a waiter's operations for it, if they can be done.
    fn hand_over(&self, index: usize, cell: &Cell, pending: &mut Pending) {
        let Ok(records) = self.records() else { return };
        let Some(tag) = Tag::from_word(cell.owner.load(Relaxed)) else {
            return;
        };
        let operations = Operations::Kept(records, index);
        let party = Party {
            tag,
            last: Last::from_bits(cell.last.load(Relaxed)),
            cell: Some(index),
        };
        match self.attempt(operations, party, true) {
            Outcome::Done => {
                self.unlink(index);
                adjust32(&self.set.head.waiting, -1);
                adjust32(&self.set.head.served, 1);
                self.set.head.otime.store(sys::now(), Relaxed);
                self.wake(index);
                for operation in operations.iter() {
                    let word = self
                        .set
                        .semaphores
                        .get(operation.num as usize)
                        .map_or(0, |s| s.word.load(Relaxed));
                    if operation.op > 0 || operation.op < 0 && word & ZERO != 0 {
                        pending.add(operation.num);
                    }
                }
            }
            Outcome::Blocked {
                semaphore, for_zero, ..
            } => self.move_to(index, semaphore, for_zero),
            Outcome::Failed(errno) => {
                cell.result.store(errno.raw() as u32, Relaxed);
                self.unlink(index);
                adjust32(&self.set.head.waiting, -1);
                cell.state.store(FAILED, Release);
                self.wake(index);
            }
        }
    }

    /// Whether this waiter may be handed what it waits for.
    fn take_credit(&self, cell: &Cell) -> bool {
        let head = self.set.head;
        let now = sys::monotonic_us();
        let elapsed = now.wrapping_sub(head.credit_at.load(Relaxed));
        let gained = elapsed / REFILL;
        let mut credit = head.credit.load(Relaxed).min(CREDIT);
        if gained > 0 {
            credit = (u64::from(credit) + gained).min(u64::from(CREDIT)) as u32;
            head.credit_at.store(now, Relaxed);
        }
        if credit > 0 {
            head.credit.store(credit - 1, Relaxed);
            return true;
        }
        head.credit.store(0, Relaxed);
        let waited = (now / 1000).saturating_sub(cell.since.load(Relaxed));
        if waited > TOO_LONG || waited > LONG && elapsed >= URGENT {
            head.credit_at.store(now, Relaxed);
            return true;
        }
        false
    }
}

/// What a waiter with one operation needs of its semaphore; `None` for others and for those that wait for zero.
fn single_need(records: super::memory::Records<'_>, index: usize) -> Option<i32> {
    let mut operations = Operations::Kept(records, index).iter();
    let first = operations.next()?;
    (operations.next().is_none() && first.op < 0).then(|| -i32::from(first.op))
}
