//! What must hold of every set while no call is in progress on it, though processes may be waiting.

use core::fmt::Arguments;
use core::sync::atomic::Ordering::{Acquire, Relaxed};

use super::locked::LockedSet;
use super::memory::{CELLS, Records, Set, UNDOS};
use super::registry;
use super::waiters::{CHAINED, Cell, DONE, FAILED, FOR_ZERO, FREE, NOTIFIED, OPERATIONS, REMOVED, WAITING};
use super::word::{FROZEN, MORE, Word, ZERO};
use crate::inspect::Waiters;
use crate::lock::Tag;
use crate::member::{Member, Private};
use crate::page_vec::PageVec;
use crate::registry::Phase;

/// Calls `each` with every live set that this process can see.
fn for_each_set(member: &Member, _private: &Private, each: &mut dyn FnMut(&Set<'_>)) {
    let registry = registry(member.table());
    for number in registry.used_numbers() {
        let slot = &registry.slots[number];
        let state = slot.head.state();
        if state.phase == Phase::Live
            && let Ok(set) = Set::visit(member, number, slot, state)
        {
            each(&set);
        }
    }
}

fn used_cells<'s>(set: &Set<'_>, records: &Records<'s>) -> &'s [Cell] {
    &records.cells[..(set.head.waiters.high.load(Relaxed) as usize).min(CELLS)]
}

/// Counts the living who wait in sets.
pub(crate) fn count_waiters(member: &Member, private: &Private, waiters: &mut Waiters) {
    let live = member.lazy_live();
    for_each_set(member, private, &mut |set| {
        let Some(records) = set.records else { return };
        let living = |cell: &&Cell| {
            let owner = Tag::from_word(cell.owner.load(Relaxed));
            owner.is_some_and(|owner| member.is_alive(owner, &live))
        };
        for cell in used_cells(set, &records).iter().filter(living) {
            match cell.state.load(Acquire) {
                WAITING => waiters.asleep += 1,
                NOTIFIED | DONE | FAILED | REMOVED => waiters.going_on += 1,
                _ => {}
            }
        }
    });
}

/// Checks every set.
pub(crate) fn examine(member: &Member, private: &Private, complain: &mut dyn FnMut(Arguments<'_>)) {
    let live = member.lazy_live();
    for_each_set(member, private, &mut |set| {
        let (number, head) = (set.number, set.head);
        let mut complain = |what: Arguments<'_>| complain(format_args!("set {number}: {what}"));
        let owner = Tag::from_word(head.lock.load(Relaxed));
        if owner.is_some_and(|owner| !member.is_alive(owner, &live)) || head.dirty.load(Relaxed) != 0 {
            complain(format_args!("what its lock's dead owner left has not been recovered"));
        }
        // Those who wait look from time to time.
        let Ok(locked) = LockedSet::lock(set) else {
            return complain(format_args!("it cannot be locked"));
        };
        let examination = Examination { locked: &locked, set };
        examination.semaphores(&mut complain);
        if let Some(records) = set.records {
            examination.waiters(&records, &mut complain);
            examination.undos(&records, &mut complain);
        }
    });
}

/// A set that stands still.
struct Examination<'s, 'm> {
    locked: &'s LockedSet<'s>,
    set: &'s Set<'m>,
}

impl Examination<'_, '_> {
    fn semaphores(&self, complain: &mut dyn FnMut(Arguments<'_>)) {
        let head = self.set.head;
        for (what, value) in [
            ("intent", head.intent.load(Relaxed)),
            ("serving", head.serving.load(Relaxed)),
        ] {
            if value != 0 {
                complain(format_args!("{what} is {value:#x}"));
            }
        }
        if head.owner.load(Relaxed) != u32::from(self.set.sequence) + 1 {
            complain(format_args!("its memory is another's"));
        }
        for (number, semaphore) in self.set.semaphores.iter().enumerate() {
            let word = Word(semaphore.word.load(Relaxed));
            if word.has(FROZEN) || semaphore.next.load(Relaxed) != 0 || word.sequence() != self.set.sequence {
                complain(format_args!("semaphore {number} is left in the middle of a change"));
            }
            // A flag too many only costs time.
            let mut flags = self.locked.undo_flags(number as u16);
            self.locked.for_each_waiter(number as u16, &mut |_, cell| {
                let for_zero = cell.kind.load(Relaxed) & FOR_ZERO != 0;
                flags |= if for_zero { ZERO } else { MORE };
                true
            });
            if word.0 & flags != flags {
                complain(format_args!(
                    "semaphore {number}: its word does not say who waits, or what undo will do"
                ));
            }
        }
    }

    fn waiters(&self, records: &Records<'_>, complain: &mut dyn FnMut(Arguments<'_>)) {
        let (head, cells) = (self.set.head, used_cells(self.set, records));
        let (mut waiting, mut served, mut chained, mut free, mut expected) = (0, 0, 0, 0, 0);
        for (index, cell) in cells.iter().enumerate() {
            let state = cell.state.load(Relaxed);
            match state {
                FREE => free += 1,
                CHAINED => chained += 1,
                WAITING | NOTIFIED => waiting += 1,
                DONE => served += 1,
                FAILED => {}
                _ => complain(format_args!("waiter {index} is in state {state}")),
            }
            if matches!(state, WAITING | NOTIFIED | DONE | FAILED) {
                expected += (cell.count.load(Relaxed) as usize).div_ceil(OPERATIONS).max(1) - 1;
                let owner = Tag::from_word(cell.owner.load(Relaxed));
                if !owner.is_some_and(|owner| self.locked.is_alive(owner)) {
                    complain(format_args!("waiter {index} is dead"));
                }
            }
        }
        let mut listed = 0;
        for number in 0..self.set.semaphores.len() {
            let mut before = None;
            self.locked.for_each_waiter(number as u16, &mut |index, cell| {
                listed += 1;
                let arrival = cell.arrival.load(Relaxed);
                let waits = matches!(cell.state.load(Relaxed), WAITING | NOTIFIED);
                if !waits
                    || usize::from(cell.semaphore.load(Relaxed)) != number
                    || before.is_some_and(|before| before >= arrival)
                {
                    complain(format_args!(
                        "waiter {index} is in the wrong place in semaphore {number}'s list"
                    ));
                }
                before = Some(arrival);
                true
            });
        }
        let free_listed = list_length(head.waiters.free.load(Relaxed), cells.len(), |index| {
            let cell = cells.get(index)?;
            (cell.state.load(Relaxed) == FREE).then(|| u32::from(cell.chain.load(Relaxed)))
        });
        for (what, derived, counted) in [
            ("listed as waiting", listed, waiting),
            ("counted as waiting", head.waiting.load(Relaxed) as usize, waiting),
            ("counted as served", head.served.load(Relaxed) as usize, served),
            ("further cells of waiters", chained, expected),
            ("cells listed as free", free_listed, free),
        ] {
            if derived != counted {
                complain(format_args!("{derived} {what}, but there are {counted}"));
            }
        }
    }

    fn undos(&self, records: &Records<'_>, complain: &mut dyn FnMut(Arguments<'_>)) {
        let head = self.set.head;
        let undos = &records.undos[..(head.undos.high.load(Relaxed) as usize).min(UNDOS)];
        let (mut used, mut names) = (0, PageVec::<(u32, u32)>::new());
        for (index, record) in undos.iter().enumerate() {
            if record.staged.load(Relaxed) != 0 {
                complain(format_args!("undo record {index} is left in the middle of a change"));
            }
            let Some(owner) = record.owner() else { continue };
            used += 1;
            if self.locked.has_ended(owner) {
                complain(format_args!("undo record {index} is a dead process's"));
            }
            let _ = names.push((owner.word(), record.semaphore.load(Relaxed)));
        }
        names.as_mut_slice().sort_unstable();
        if names.as_slice().windows(2).any(|pair| pair[0] == pair[1]) {
            complain(format_args!("a process has two undo records for one semaphore"));
        }
        let mut listed = 0;
        for number in 0..self.set.semaphores.len() {
            self.locked.for_each_undo(number as u16, &mut |index, record| {
                listed += 1;
                if record.owner().is_none() || record.semaphore.load(Relaxed) as usize != number {
                    complain(format_args!("undo record {index} is in semaphore {number}'s list"));
                }
                listed <= UNDOS
            });
        }
        let free = list_length(head.undos.free.load(Relaxed), undos.len(), |index| {
            let record = undos.get(index)?;
            record.owner().is_none().then(|| record.next.load(Relaxed))
        });
        if (listed, free) != (used, undos.len() - used) {
            complain(format_args!(
                "{used} undo records of {} in use: {listed} listed, {free} listed as free",
                undos.len()
            ));
        }
    }
}

/// The length of a list of links that are an index + 1; `most + 1` where it has no end, or leads to what it should not.
fn list_length(first: u32, most: usize, next: impl Fn(usize) -> Option<u32>) -> usize {
    let (mut link, mut length) = (first, 0);
    while let Some(index) = (link as usize).checked_sub(1) {
        length += 1;
        match next(index) {
            Some(following) if length <= most => link = following,
            _ => return most + 1,
        }
    }
    length
}
