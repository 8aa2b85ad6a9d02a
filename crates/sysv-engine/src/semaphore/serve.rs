//! What a change of values does for those who wait.
//!
//! As in Linux, the waiters for what has changed are looked at in order of arrival, those that only read before the others,
//! and one that still cannot go on does not keep the next from going. What can be done is done for the sleeper: handed
//! over, and seen at once by everybody.
//!
//! Under contention that would make every acquisition last as long as it takes to wake a process, so hand-overs of a single
//! semaphore are rationed: [`CREDIT`] at once, one for each [`REFILL`] after that. Without credit the value is left for
//! whoever comes, and the first waiter is *told*: it wakes and tries itself, after those told before it. Until it has come
//! the others need not be looked at, so that `MORE` is taken from the word and operations go on without the lock. A waiter
//! that has waited long gets its hand-over at shorter distance, and in the end always: nobody is passed over for more than
//! a few milliseconds.

use core::sync::atomic::Ordering::{Acquire, Relaxed, Release};

use super::commit::{Outcome, Party};
use super::locked::LockedSet;
use super::operate::note_time;
use super::waiters::{Cell, FAILED, MINDS, NOTIFIED, Operations, READS, WAITING};
use super::word::{Last, MORE, Word, ZERO};
use crate::abi::Sembuf;
use crate::errno::Errno;
use crate::lock::Tag;
use crate::registry::adjust32;
use crate::sys;

/// Hand-overs that may be made at once.
const CREDIT: u32 = 16;
/// Microseconds for one more.
const REFILL: u64 = 250;
/// Milliseconds of waiting after which the distance between hand-overs shrinks to [`URGENT`] microseconds, and to nothing.
const LONG: u64 = 3;
const TOO_LONG: u64 = 8;
const URGENT: u64 = 60;
/// Milliseconds after which one who was told and has not come is passed by: it may have been stopped.
const LATE: u32 = 10;

/// Semaphores whose waiters are looked at in one order of arrival. Where more have changed, all are looked at one by one.
const TOGETHER: usize = 32;

/// A semaphore that has changed.
#[derive(Clone, Copy, Default)]
struct Changed {
    number: u16,
    /// The next waiter to look at: its cell + 1, or 0.
    next: u16,
    /// What those have been promised who were told and have not come yet.
    promised: i32,
}

/// Semaphores that have changed.
struct Pending {
    changed: [Changed; TOGETHER],
    len: usize,
    overflowed: bool,
    /// Whether a semaphore is zero of which only this matters: nobody waits for it, or it was only tested.
    zero: bool,
}

impl Pending {
    fn new() -> Pending {
        Pending {
            changed: [Changed::default(); TOGETHER],
            len: 0,
            overflowed: false,
            zero: false,
        }
    }

    fn all(&mut self) -> &mut [Changed] {
        &mut self.changed[..self.len]
    }

    /// Adds a semaphore; `true` if it was not there.
    fn add(&mut self, number: u16) -> bool {
        if self.all().iter().any(|changed| changed.number == number) {
            return false;
        }
        if self.len < TOGETHER {
            self.changed[self.len] = Changed {
                number,
                ..Changed::default()
            };
            self.len += 1;
        } else {
            self.overflowed = true;
        }
        true
    }
}

impl LockedSet<'_> {
    /// Looks after those who wait for the semaphores that these operations changed.
    #[inline]
    pub(super) fn serve(&self, operations: &[Sembuf]) {
        if self.set.head.waiting.load(Relaxed) != 0 {
            self.serve_changed(operations);
        }
    }

    #[inline(never)]
    fn serve_changed(&self, operations: &[Sembuf]) {
        let mut pending = Pending::new();
        for operation in operations {
            if operation.op != 0 {
                pending.add(operation.num);
            } else {
                pending.zero |= self.is_zero(operation.num);
            }
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
            let mut pending = Pending::new();
            for (number, semaphore) in self.set.semaphores.iter().enumerate() {
                if semaphore.waiters.load(Relaxed) != 0 {
                    pending.add(number as u16);
                }
                pending.zero |= Word(semaphore.word.load(Relaxed)).value() == 0;
            }
            self.serve_pending(pending);
        }
    }

    fn serve_pending(&self, mut pending: Pending) {
        // More rounds than there can be waiters are due to somebody who writes here without the lock.
        for _ in 0..1 << 17 {
            if pending.overflowed {
                self.serve_one_by_one();
            } else if self.serve_round(&mut pending, true) || self.serve_round(&mut pending, false) {
                continue;
            }
            if !self.serve_those_minding(&mut pending) {
                return;
            }
        }
    }

    /// Looks after those who mind changes of semaphores for which they do not wait; `true` if what was done for one may let
    /// another go on.
    fn serve_those_minding(&self, pending: &mut Pending) -> bool {
        if self.set.head.minding.load(Relaxed) == 0 {
            return false;
        }
        let zero = self.any_is_zero(pending);
        let mut others = false;
        self.for_each_first_cell(&mut |index, cell, _| {
            let kind = cell.kind.load(Relaxed);
            if kind & MINDS != 0 && (kind & READS == 0 || zero) {
                others |= self.hand_over(index, cell, pending);
            }
        });
        others
    }

    /// Whether one of the semaphores is zero: Linux looks after those who only read then, and not otherwise.
    fn any_is_zero(&self, pending: &mut Pending) -> bool {
        pending.overflowed || pending.zero || pending.all().iter().any(|changed| self.is_zero(changed.number))
    }

    fn is_zero(&self, number: u16) -> bool {
        let semaphore = self.set.semaphores.get(number as usize);
        semaphore.is_some_and(|semaphore| Word(semaphore.word.load(Relaxed)).value() == 0)
    }

    /// For a set with so many changes at once that they are not looked at together.
    fn serve_one_by_one(&self) {
        for _ in 0..1 << 17 {
            let mut again = false;
            for number in 0..self.set.semaphores.len() {
                let mut pending = Pending::new();
                pending.add(number as u16);
                again |= self.serve_round(&mut pending, true) || self.serve_round(&mut pending, false);
            }
            if !again {
                return;
            }
        }
    }

    /// One pass over the waiters, those that only read or the others; `true` if what was done for one may let another go
    /// that has been looked at already.
    fn serve_round(&self, pending: &mut Pending, reads: bool) -> bool {
        if reads && !self.any_is_zero(pending) {
            return false;
        }
        for changed in pending.all() {
            let semaphore = self.set.semaphores.get(changed.number as usize);
            changed.next = semaphore.map_or(0, |semaphore| semaphore.waiters.load(Relaxed));
            changed.promised = 0;
        }
        for _ in 0..=u16::MAX {
            if !self.may_step() {
                break;
            }
            let Some((place, index, cell)) = self.first_in_line(pending) else {
                break;
            };
            if (cell.kind.load(Relaxed) & READS != 0) == reads && self.serve_waiter(pending, place, index, cell) {
                return true;
            }
        }
        if !reads {
            self.leave_to_those_told(pending);
        }
        false
    }

    /// Of the next waiters for each semaphore the one that came first; it is passed by hereby.
    fn first_in_line(&self, pending: &mut Pending) -> Option<(usize, usize, &Cell)> {
        let records = self.records().ok()?;
        let next = |changed: &Changed| {
            let index = (changed.next as usize).checked_sub(1)?;
            Some((index, records.cells.get(index)?))
        };
        let (place, index, cell) = pending
            .all()
            .iter()
            .enumerate()
            .filter_map(|(place, changed)| next(changed).map(|(index, cell)| (place, index, cell)))
            .min_by_key(|(_, _, cell)| cell.arrival.load(Relaxed))?;
        let changed = &mut pending.changed[place];
        changed.next = self.following(changed.number, cell);
        Some((place, index, cell))
    }

    /// Looks after one waiter; `true` if another that has been looked at may be able to go on now.
    fn serve_waiter(&self, pending: &mut Pending, place: usize, index: usize, cell: &Cell) -> bool {
        let Ok(records) = self.records() else { return false };
        let Some(need) = single_need(records, index) else {
            return self.hand_over(index, cell, pending);
        };
        let changed = &mut pending.changed[place];
        let semaphore = self.set.semaphores.get(changed.number as usize);
        let value = semaphore.map_or(0, |semaphore| Word(semaphore.word.load(Acquire)).value());
        if value - changed.promised < need {
            return false;
        }
        let told = cell.state.load(Relaxed) == NOTIFIED;
        if told && self.is_late(cell) {
            return false;
        }
        if self.take_credit(cell) {
            return self.hand_over(index, cell, pending);
        }
        changed.promised += need;
        if !told {
            cell.result.store(sys::monotonic_ms() as u32, Relaxed);
            cell.state.store(NOTIFIED, Release);
            self.call(index);
        }
        false
    }

    /// Whether one who was told should have come long ago.
    pub(super) fn is_late(&self, cell: &Cell) -> bool {
        (sys::monotonic_ms() as u32).wrapping_sub(cell.result.load(Relaxed)) > LATE
    }

    /// Where somebody has been told, the others need not be looked at until it comes.
    fn leave_to_those_told(&self, pending: &mut Pending) {
        for changed in pending.all().iter().filter(|changed| changed.promised > 0) {
            if let Some(semaphore) = self.set.semaphores.get(changed.number as usize) {
                semaphore.word.fetch_and(!MORE, Relaxed);
            }
        }
    }

    /// Does a waiter's operations for it, if they can be done; `true` if that may let another go on.
    fn hand_over(&self, index: usize, cell: &Cell, pending: &mut Pending) -> bool {
        let Ok(records) = self.records() else { return false };
        let Some(tag) = Tag::from_word(cell.owner.load(Relaxed)) else {
            return false;
        };
        // One in a list that does not wait was put there by nobody honest, and would be served again and again.
        if !matches!(cell.state.load(Acquire), WAITING | NOTIFIED) || !self.may_serve() {
            return false;
        }
        if !self.can_be_taken_back(index) && !self.is_alive(tag) {
            self.dismiss(index);
            return false;
        }
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
                note_time(self.set.head);
                self.call(index);
                let mut others = false;
                for operation in operations.iter() {
                    let semaphore = self.set.semaphores.get(operation.num as usize);
                    let word = semaphore.map_or(0, |semaphore| semaphore.word.load(Relaxed));
                    if operation.op > 0 || operation.op < 0 && word & ZERO != 0 {
                        pending.add(operation.num);
                        others = true;
                    }
                }
                return others;
            }
            Outcome::Blocked {
                semaphore,
                for_zero,
                nowait: false,
            } => self.move_to(index, semaphore, for_zero),
            // It waits for another operation than the one that must not wait.
            Outcome::Blocked { nowait: true, .. } => self.fail(index, cell, Errno::EAGAIN),
            Outcome::Failed(errno) => self.fail(index, cell, errno),
        }
        false
    }

    /// Lets a waiter go on with an error.
    fn fail(&self, index: usize, cell: &Cell, errno: Errno) {
        cell.result.store(errno.raw() as u32, Relaxed);
        self.unlink(index);
        adjust32(&self.set.head.waiting, -1);
        cell.state.store(FAILED, Release);
        self.call(index);
    }

    /// Serves those first who came before this waiter for the same semaphore and have been told as well.
    pub(super) fn serve_those_before(&self, first: usize, number: u16) {
        let Ok(records) = self.records() else { return };
        let arrival = records.cells[first].arrival.load(Relaxed);
        let mut pending = Pending::new();
        for _ in 0..=u16::MAX {
            let mut before = None;
            self.for_each_waiter(number, &mut |index, cell| {
                let earlier = cell.arrival.load(Relaxed) < arrival;
                let told = cell.state.load(Relaxed) == NOTIFIED && !self.is_late(cell);
                if earlier && told && self.can_have(number, single_need(records, index)) {
                    before = Some(index);
                }
                earlier && before.is_none()
            });
            let Some(index) = before else { break };
            self.hand_over(index, &records.cells[index], &mut pending);
        }
        if pending.len > 0 {
            self.serve_pending(pending);
        }
    }

    fn can_have(&self, number: u16, need: Option<i32>) -> bool {
        let semaphore = self.set.semaphores.get(number as usize);
        need.is_some_and(|need| semaphore.is_some_and(|s| Word(s.word.load(Acquire)).value() >= need))
    }

    /// Whether this waiter may be handed what it waits for.
    fn take_credit(&self, cell: &Cell) -> bool {
        let head = self.set.head;
        let credit = head.credit.load(Relaxed).min(CREDIT);
        if credit > 0 {
            head.credit.store(credit - 1, Relaxed);
            return true;
        }
        let now = sys::monotonic_us();
        let elapsed = now.wrapping_sub(head.credit_at.load(Relaxed));
        let gained = (elapsed / REFILL).min(u64::from(CREDIT)) as u32;
        if gained > 0 {
            head.credit.store(gained - 1, Relaxed);
            head.credit_at.store(now, Relaxed);
            return true;
        }
        let turn = &self.set.member.turn;
        if turn.is_long() {
            turn.end();
            head.credit_at.store(now, Relaxed);
            return true;
        }
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
