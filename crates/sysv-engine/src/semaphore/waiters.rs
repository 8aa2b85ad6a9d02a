//! Who waits: a chain of cells for each waiter, in its set's file.
//!
//! A first cell's `state` commits; it is also the word on which the waiter sleeps:
//!
//! | state | meaning | who stores it |
//! |---|---|---|
//! | `FREE` | nobody's, or being filled | the waiter at its end; whoever finds it dead |
//! | `WAITING` | asleep until its operations can be done | the waiter |
//! | `NOTIFIED` | may try again itself | a releaser |
//! | `DONE` | its operations were done for it | a releaser, by an intent |
//! | `FAILED` | they never can be: `result` says why | a releaser |
//! | `REMOVED` | the set is gone | whoever removes it |
//! | `MORE` | holds further operations of another cell | the waiter |
//!
//! Each semaphore's list holds those whose first operation that cannot be done is on it, in order of arrival: only a change
//! of that value can help them. Lists are derived from the cells and rebuilt by recovery.

use core::sync::atomic::Ordering::{Acquire, Relaxed, Release};
use core::sync::atomic::{AtomicU16, AtomicU32, AtomicU64};

use super::locked::LockedSet;
use super::memory::{CELLS, Records};
use super::word::{Last, MORE, ZERO};
use crate::abi::{IPC_NOWAIT, Sembuf};
use crate::errno::{Errno, Result};
use crate::lock::Tag;
use crate::registry::adjust32;

pub(super) const FREE: u32 = 0;
pub(super) const WAITING: u32 = 1;
pub(super) const NOTIFIED: u32 = 2;
pub(super) const DONE: u32 = 3;
pub(super) const FAILED: u32 = 4;
pub(super) const REMOVED: u32 = 5;
pub(super) const CHAINED: u32 = 6;

/// Operations in a cell.
pub(super) const OPERATIONS: usize = 10;

/// `kind`: waits for zero, not for more.
pub(super) const FOR_ZERO: u16 = 1;
/// `kind`: alters nothing.
pub(super) const READS: u16 = 2;
/// `kind`: an operation before the one that is waited for must not wait, or adds: if it cannot be done any more, the wait is
/// over.
pub(super) const MINDS: u16 = 4;

/// One cell.
#[repr(C, align(128))]
pub(super) struct Cell {
    pub state: AtomicU32,
    /// The waiter's [`Tag`].
    pub owner: AtomicU32,
    /// Its place in the order of arrival.
    pub arrival: AtomicU64,
    /// Its [`Last`].
    pub last: AtomicU32,
    /// The errno of `FAILED`; when `NOTIFIED` was stored, in milliseconds of the monotonic clock.
    pub result: AtomicU32,
    /// When it came, in milliseconds of the monotonic clock.
    pub since: AtomicU64,
    /// Neighbours + 1 in its semaphore's list (derived).
    pub(super) prev: AtomicU16,
    pub(super) next: AtomicU16,
    /// The semaphore that it waits for.
    pub semaphore: AtomicU16,
    /// `FOR_ZERO`, `READS`, `MINDS`.
    pub kind: AtomicU16,
    /// Operations in the whole chain.
    pub(super) count: AtomicU32,
    /// Next cell + 1 of the chain, or of the free list.
    pub(super) chain: AtomicU16,
    /// Where the one ran that let it go on: see [`crate::patience`]. 0 as long as nobody has.
    pub(super) caller: AtomicU16,
    operations: [AtomicU64; OPERATIONS],
}

const _: () = assert!(size_of::<Cell>() == 128);

fn pack(operation: &Sembuf) -> u64 {
    u64::from(operation.num) | u64::from(operation.op as u16) << 16 | u64::from(operation.flg as u16) << 32
}

fn unpack(word: u64) -> Sembuf {
    Sembuf {
        num: word as u16,
        op: (word >> 16) as i16,
        flg: (word >> 32) as i16,
    }
}

/// The operations of a waiter, wherever they are.
#[derive(Clone, Copy)]
pub(super) enum Operations<'a> {
    /// In the caller's memory.
    Own(&'a [Sembuf]),
    /// In a chain of cells.
    Kept(Records<'a>, usize),
}

impl<'a> Operations<'a> {
    pub(super) fn iter(self) -> impl Iterator<Item = Sembuf> + Clone + use<'a> {
        let (own, kept) = match self {
            Operations::Own(operations) => (operations, None),
            Operations::Kept(records, cell) => (&[][..], Some((records, cell))),
        };
        own.iter().copied().chain(kept.into_iter().flat_map(|(records, first)| {
            // No more than there are places, whatever the cell says.
            let count = (records.cells[first].count.load(Relaxed) as usize).min(CELLS * OPERATIONS);
            let mut cell = Some(&records.cells[first]);
            (0..count).map_while(move |n| {
                let operation = unpack(cell?.operations[n % OPERATIONS].load(Relaxed));
                if n % OPERATIONS == OPERATIONS - 1 {
                    let next = cell?.chain.load(Relaxed) as usize;
                    cell = next.checked_sub(1).and_then(|next| records.cells.get(next));
                }
                Some(operation)
            })
        }))
    }
}

impl LockedSet<'_> {
    /// Takes cells for a waiter's operations and fills them; the waiter does not count yet.
    ///
    /// # Errors
    /// `ENOMEM` when there is no room.
    pub(super) fn new_waiter(&self, operations: &[Sembuf], last: Last) -> Result<usize> {
        let records = self.records()?;
        let first = self.take_cell()?;
        let cell = &records.cells[first];
        cell.owner.store(self.set.member.tag().word(), Relaxed);
        cell.last.store(last.bits(), Relaxed);
        cell.result.store(0, Relaxed);
        cell.since.store(crate::sys::monotonic_ms(), Relaxed);
        cell.count.store(operations.len() as u32, Relaxed);
        cell.chain.store(0, Relaxed);
        cell.caller.store(0, Relaxed);
        let reads = operations.iter().all(|operation| operation.op == 0);
        cell.kind.store(if reads { READS } else { 0 }, Relaxed);
        let mut at = cell;
        for (n, chunk) in operations.chunks(OPERATIONS).enumerate() {
            if n > 0 {
                let next = match self.take_cell() {
                    Ok(next) => next,
                    Err(errno) => {
                        self.free_cells(first);
                        return Err(errno);
                    }
                };
                at.chain.store(next as u16 + 1, Relaxed);
                at = &records.cells[next];
                at.chain.store(0, Relaxed);
                at.owner.store(self.set.member.tag().word(), Relaxed);
                at.state.store(CHAINED, Relaxed);
            }
            for (kept, operation) in at.operations.iter().zip(chunk) {
                kept.store(pack(operation), Relaxed);
            }
        }
        Ok(first)
    }

    fn take_cell(&self) -> Result<usize> {
        let records = self.records()?;
        let pool = &self.set.head.waiters;
        let free = (pool.free.load(Relaxed) as usize).checked_sub(1);
        if let Some(index) = free.filter(|&index| index < CELLS) {
            pool.free
                .store(u32::from(records.cells[index].chain.load(Relaxed)), Relaxed);
            return Ok(index);
        }
        let index = pool.high.load(Relaxed) as usize;
        if index >= CELLS {
            return Err(Errno::ENOMEM);
        }
        let at = self.set.layout().waiters;
        self.set.back(&pool.backed, index, at, size_of::<Cell>(), CELLS)?;
        pool.high.store(index as u32 + 1, Relaxed);
        Ok(index)
    }

    /// Frees a waiter's cells; it is in no list.
    pub(super) fn free_cells(&self, first: usize) {
        let Ok(records) = self.records() else { return };
        let pool = &self.set.head.waiters;
        let mut next = first + 1;
        for _ in 0..CELLS {
            let Some(cell) = next.checked_sub(1).and_then(|index| records.cells.get(index)) else {
                return;
            };
            let following = cell.chain.load(Relaxed) as usize;
            cell.state.store(FREE, Release);
            cell.chain.store(pool.free.load(Relaxed) as u16, Relaxed);
            pool.free.store(next as u32, Relaxed);
            next = following;
        }
    }

    /// Makes a waiter wait for a semaphore. Its flag is in the word already.
    pub(super) fn enqueue(&self, first: usize, semaphore: u16, for_zero: bool) {
        let Ok(records) = self.records() else { return };
        let cell = &records.cells[first];
        let arrivals = &self.set.head.arrivals;
        let arrival = arrivals.load(Relaxed);
        arrivals.store(arrival.wrapping_add(1), Relaxed);
        cell.arrival.store(arrival, Relaxed);
        self.set_interest(first, semaphore, for_zero);
        cell.state.store(WAITING, Release);
        self.link(first);
        adjust32(&self.set.head.waiting, 1);
    }

    pub(super) fn set_interest(&self, first: usize, semaphore: u16, for_zero: bool) {
        let Ok(records) = self.records() else { return };
        let cell = &records.cells[first];
        cell.semaphore.store(semaphore, Relaxed);
        self.end_minding(cell);
        let reads = cell.kind.load(Relaxed) & READS;
        cell.kind.store(reads | if for_zero { FOR_ZERO } else { 0 }, Relaxed);
        if self.minded(records, first).next().is_some() {
            cell.kind.fetch_or(MINDS, Relaxed);
            adjust32(&self.set.head.minding, 1);
        }
    }

    fn end_minding(&self, cell: &Cell) {
        if cell.kind.load(Relaxed) & MINDS != 0 {
            cell.kind.fetch_and(!MINDS, Relaxed);
            adjust32(&self.set.head.minding, -1);
        }
    }

    /// Those of a waiter's operations that come before the one which is waited for and can end the wait.
    fn minded<'s>(&'s self, records: Records<'s>, first: usize) -> impl Iterator<Item = Sembuf> + 's {
        let cell = &records.cells[first];
        let (semaphore, for_zero) = (cell.semaphore.load(Relaxed), cell.kind.load(Relaxed) & FOR_ZERO != 0);
        let operations = Operations::Kept(records, first).iter();
        let operations = operations.take_while(|_| self.may_step());
        let is_awaited = move |operation: &Sembuf| operation.num == semaphore && (operation.op == 0) == for_zero;
        // It may be any of those: rather too many before it than too few.
        let awaited = operations
            .clone()
            .enumerate()
            .filter(move |(_, operation)| is_awaited(operation));
        let before = awaited.last().map_or(0, |(at, _)| at);
        operations.take(before).filter(ends_waits)
    }

    /// Whether some waiter minds changes of this semaphore without waiting for it.
    pub(super) fn is_minded(&self, number: u16) -> bool {
        let Ok(records) = self.records() else { return false };
        let mut is_minded = false;
        if self.set.head.minding.load(Relaxed) != 0 {
            self.for_each_first_cell(&mut |index, cell, _| {
                is_minded |= cell.kind.load(Relaxed) & MINDS != 0
                    && self.minded(records, index).any(|operation| operation.num == number);
            });
        }
        is_minded
    }

    /// Puts a waiter into its semaphore's list, behind those that came before it.
    pub(super) fn link(&self, first: usize) {
        let Ok(records) = self.records() else { return };
        let cell = &records.cells[first];
        let Some(semaphore) = self.set.semaphores.get(cell.semaphore.load(Relaxed) as usize) else {
            return;
        };
        let own = first as u16 + 1;
        let head = semaphore.waiters.load(Relaxed);
        let cell_at = |link: u16| {
            (link as usize)
                .checked_sub(1)
                .and_then(|index| records.cells.get(index))
        };
        let Some(oldest) = cell_at(head) else {
            cell.prev.store(own, Relaxed);
            cell.next.store(own, Relaxed);
            semaphore.waiters.store(own, Relaxed);
            return;
        };
        // From the newest backwards: most come last.
        let arrival = cell.arrival.load(Relaxed);
        let mut before = oldest.prev.load(Relaxed);
        let mut first_of_all = false;
        for _ in 0..CELLS {
            let Some(other) = cell_at(before) else { return };
            if other.arrival.load(Relaxed) <= arrival {
                break;
            }
            if before == head {
                first_of_all = true;
                before = oldest.prev.load(Relaxed);
                break;
            }
            before = other.prev.load(Relaxed);
        }
        let Some(other) = cell_at(before) else { return };
        let after = other.next.load(Relaxed);
        cell.prev.store(before, Relaxed);
        cell.next.store(after, Relaxed);
        other.next.store(own, Relaxed);
        if let Some(after) = cell_at(after) {
            after.prev.store(own, Relaxed);
        }
        if first_of_all {
            semaphore.waiters.store(own, Relaxed);
        }
    }

    /// Takes a waiter out of its semaphore's list.
    pub(super) fn unlink(&self, first: usize) {
        let Ok(records) = self.records() else { return };
        let number = records.cells[first].semaphore.load(Relaxed);
        self.end_minding(&records.cells[first]);
        self.take_out(first);
        self.refresh_flags(number);
    }

    /// Makes a waiter wait for another semaphore, or for another reason. Its flag is in the new one's word already, and stays
    /// there throughout: a change of the value without the lock would go unnoticed otherwise.
    pub(super) fn move_to(&self, first: usize, semaphore: u16, for_zero: bool) {
        let Ok(records) = self.records() else { return };
        let cell = &records.cells[first];
        let number = cell.semaphore.load(Relaxed);
        if number == semaphore && (cell.kind.load(Relaxed) & FOR_ZERO != 0) == for_zero {
            return;
        }
        self.take_out(first);
        self.set_interest(first, semaphore, for_zero);
        self.link(first);
        self.refresh_flags(number);
        self.refresh_flags(semaphore);
    }

    /// As [`unlink`](Self::unlink), without a look at the word's flags.
    fn take_out(&self, first: usize) {
        let Ok(records) = self.records() else { return };
        let cell = &records.cells[first];
        let number = cell.semaphore.load(Relaxed);
        let Some(semaphore) = self.set.semaphores.get(number as usize) else {
            return;
        };
        let own = first as u16 + 1;
        let (prev, next) = (cell.prev.load(Relaxed), cell.next.load(Relaxed));
        let cell_at = |link: u16| {
            (link as usize)
                .checked_sub(1)
                .and_then(|index| records.cells.get(index))
        };
        if next == own || next == 0 {
            semaphore.waiters.store(0, Relaxed);
        } else {
            if let Some(before) = cell_at(prev) {
                before.next.store(next, Relaxed);
            }
            if let Some(after) = cell_at(next) {
                after.prev.store(prev, Relaxed);
            }
            if semaphore.waiters.load(Relaxed) == own {
                semaphore.waiters.store(next, Relaxed);
            }
        }
        cell.prev.store(0, Relaxed);
        cell.next.store(0, Relaxed);
    }

    /// Calls `each` with the waiters for a semaphore, oldest first, until it returns `false`. `each` may unlink the one it is
    /// given.
    pub(super) fn for_each_waiter(&self, number: u16, each: &mut dyn FnMut(usize, &Cell) -> bool) {
        let (Ok(records), Some(semaphore)) = (self.records(), self.set.semaphores.get(number as usize)) else {
            return;
        };
        let mut link = semaphore.waiters.load(Relaxed) as usize;
        let newest = |link: usize| {
            records
                .cells
                .get(link.wrapping_sub(1))
                .map(|cell| cell.prev.load(Relaxed) as usize)
        };
        let Some(last) = newest(link) else { return };
        for _ in 0..CELLS {
            if !self.may_step() {
                return;
            }
            let Some(cell) = link.checked_sub(1).and_then(|index| records.cells.get(index)) else {
                return;
            };
            let next = cell.next.load(Relaxed) as usize;
            let at_end = link == last;
            if !each(link - 1, cell) || at_end {
                return;
            }
            link = next;
        }
    }

    /// The neighbour behind a waiter in a semaphore's list, as a cell's number + 1; 0 at the end.
    pub(super) fn following(&self, number: u16, cell: &Cell) -> u16 {
        let head = self
            .set
            .semaphores
            .get(number as usize)
            .map_or(0, |s| s.waiters.load(Relaxed));
        let next = cell.next.load(Relaxed);
        if next == head { 0 } else { next }
    }

    /// Makes the word's flags say who waits for the semaphore.
    pub(super) fn refresh_flags(&self, number: u16) {
        let Some(semaphore) = self.set.semaphores.get(number as usize) else {
            return;
        };
        let mut flags = 0;
        self.for_each_waiter(number, &mut |_, cell| {
            flags |= if cell.kind.load(Relaxed) & FOR_ZERO != 0 {
                ZERO
            } else {
                MORE
            };
            flags != ZERO | MORE
        });
        let word = semaphore.word.load(Relaxed);
        if word & (ZERO | MORE) != flags {
            semaphore.word.fetch_or(flags, Relaxed);
            semaphore.word.fetch_and(!(ZERO | MORE) | flags, Relaxed);
        }
    }

    /// Takes a waiter away that goes on, whatever became of it. Its cells are free then.
    pub(super) fn dismiss(&self, first: usize) {
        let Ok(records) = self.records() else { return };
        match records.cells[first].state.load(Acquire) {
            WAITING | NOTIFIED => {
                self.unlink(first);
                adjust32(&self.set.head.waiting, -1);
            }
            DONE => adjust32(&self.set.head.served, -1),
            _ => {}
        }
        self.end_watch(first);
        self.free_cells(first);
    }

    /// The waiters' owners and states, for every first cell in use.
    pub(super) fn for_each_first_cell(&self, each: &mut dyn FnMut(usize, &Cell, Option<Tag>)) {
        let Ok(records) = self.records() else { return };
        let high = (self.set.head.waiters.high.load(Relaxed) as usize).min(CELLS);
        for (index, cell) in records.cells[..high].iter().enumerate() {
            if matches!(cell.state.load(Acquire), WAITING | NOTIFIED | DONE | FAILED) {
                each(index, cell, Tag::from_word(cell.owner.load(Relaxed)));
            }
        }
    }

    /// Rebuilds the lists, the free list and the counts from the cells.
    pub(super) fn rebuild_waiters(&self) {
        let Ok(records) = self.records() else { return };
        let head = self.set.head;
        for semaphore in self.set.semaphores {
            semaphore.waiters.store(0, Relaxed);
        }
        head.waiting.store(0, Relaxed);
        head.served.store(0, Relaxed);
        head.minding.store(0, Relaxed);
        let high = (head.waiters.high.load(Relaxed) as usize).min(CELLS);
        // Chained cells of waiters that do not exist are free; first mark those that do.
        for cell in &records.cells[..high] {
            let state = cell.state.load(Relaxed);
            if state >= CHAINED {
                cell.state.store(FREE, Relaxed);
            }
        }
        for first in 0..high {
            let cell = &records.cells[first];
            let state = cell.state.load(Relaxed);
            if !matches!(state, WAITING | NOTIFIED | DONE | FAILED) {
                continue;
            }
            let mut next = cell.chain.load(Relaxed) as usize;
            let mut cells = (cell.count.load(Relaxed) as usize).div_ceil(OPERATIONS).min(CELLS);
            while cells > 1 {
                let Some(more) = next.checked_sub(1).and_then(|index| records.cells.get(index)) else {
                    break;
                };
                if more.state.load(Relaxed) != FREE {
                    break;
                }
                more.state.store(CHAINED, Relaxed);
                next = more.chain.load(Relaxed) as usize;
                cells -= 1;
            }
            match state {
                WAITING | NOTIFIED => {
                    self.link(first);
                    adjust32(&head.waiting, 1);
                    if cell.kind.load(Relaxed) & MINDS != 0 {
                        adjust32(&head.minding, 1);
                    }
                }
                DONE => adjust32(&head.served, 1),
                _ => {}
            }
        }
        head.waiters.free.store(0, Relaxed);
        for (index, cell) in records.cells[..high].iter().enumerate().rev() {
            if cell.state.load(Relaxed) == FREE {
                cell.chain.store(head.waiters.free.load(Relaxed) as u16, Relaxed);
                head.waiters.free.store(index as u32 + 1, Relaxed);
            }
        }
        for number in 0..self.set.semaphores.len() {
            self.refresh_flags(number as u16);
            if head.minding.load(Relaxed) != 0 {
                self.refresh_owed(number as u16);
            }
        }
    }
}

/// Whether it matters, while a later operation is waited for, that this one cannot be done any more: it must not wait, or could
/// exceed the greatest value. What would only have to wait is noticed in time.
pub(super) fn ends_waits(operation: &Sembuf) -> bool {
    operation.op > 0 || i32::from(operation.flg) & IPC_NOWAIT != 0
}
