//! What the dead leave: adjustments that nobody made, and places in queues.
//!
//! Whoever's answer depends on it asks first whether those who owe something live: an operation that cannot be done, a
//! report, a sleeper from time to time. A process that ends in order makes its adjustments itself.

use core::sync::atomic::Ordering::{Acquire, Relaxed, Release};

use super::locked::{Denied, LockedSet};
use super::memory::Set;
use super::undo::UndoRecord;
use super::waiters::{DONE, NOTIFIED, Operations};
use super::word::Last;
use super::{LockedSets, registry};
use crate::lock::Tag;
use crate::member::{Member, Private};
use crate::registry::{BACKED, Phase};
use crate::sys;

impl LockedSet<'_> {
    /// Makes the adjustments of dead processes and takes them out of the queues; `true` if there were any.
    pub(super) fn bury_the_dead(&self) -> bool {
        self.set.records.is_some() && self.bury(&|tag| !self.is_alive(tag), &|tag| self.has_ended(tag))
    }

    /// Makes the adjustments of dead processes, and takes back what was done for waiters that died. Asks only after those whose
    /// death would change something for others: `at_rest` says that no waiter's would.
    pub(super) fn look_for_the_dead(&self, at_rest: bool) {
        self.set.head.looked_at.store(sys::monotonic_ms(), Relaxed);
        let mut found = false;
        if !at_rest {
            self.for_each_first_cell(&mut |_, cell, owner| {
                if matches!(cell.state.load(Acquire), DONE | NOTIFIED) {
                    found = found || owner.is_some_and(|owner| !self.is_alive(owner));
                }
            });
        }
        let minding = self.set.head.minding.load(Relaxed) != 0;
        let is_awaited = |record: &UndoRecord| {
            let semaphore = self.set.semaphores.get(record.semaphore.load(Relaxed) as usize);
            minding || semaphore.is_some_and(|semaphore| semaphore.waiters.load(Relaxed) != 0)
        };
        self.for_each_undo_of_all(&mut |record, owner| {
            if record.adjustment() != 0 && is_awaited(record) {
                found = found || self.has_ended(owner);
            }
        });
        if found {
            self.bury_the_dead();
        }
    }

    /// Whether a served waiter's operations only took: what they gave may have been taken by others since. Those of others are done
    /// for the living only.
    pub(super) fn can_be_taken_back(&self, index: usize) -> bool {
        self.records().is_ok_and(|records| {
            Operations::Kept(records, index)
                .iter()
                .all(|operation| operation.op <= 0)
        })
    }

    /// Whether some other process could owe something to a semaphore.
    pub(super) fn others_owe(&self, number: u16) -> bool {
        let own = self.set.member.tag();
        let mut owed = self.set.head.served.load(Relaxed) != 0;
        self.for_each_undo(number, &mut |_, record| {
            owed |= record.adjustment() != 0 && record.owner() != Some(own);
            !owed
        });
        owed
    }

    /// As [`bury_the_dead`](Self::bury_the_dead), for the waiters that are `gone` and the debtors that have `ended`.
    fn bury(&self, gone: &dyn Fn(Tag) -> bool, ended: &dyn Fn(Tag) -> bool) -> bool {
        let (gone, ended) = (asked_once(gone), asked_once(ended));
        let mut found = false;
        self.for_each_first_cell(&mut |index, cell, owner| {
            if owner.is_some_and(&gone) {
                found = true;
                if let (DONE, Some(tag)) = (cell.state.load(Acquire), owner)
                    && self.can_be_taken_back(index)
                {
                    self.take_back(index, tag, Last::from_bits(cell.last.load(Relaxed)));
                    crate::registry::adjust32(&self.set.head.served, -1);
                }
                self.dismiss(index);
            }
        });
        let mut owed = false;
        self.for_each_undo_of_all(&mut |record, owner| {
            if !ended(owner) {
                return;
            }
            owed = true;
            if record.adjustment() != 0 {
                found = true;
                self.make_adjustment(record, record.semaphore.load(Relaxed) as u16);
            }
        });
        if owed {
            self.free_undos(&ended);
        }
        if found {
            self.serve_all();
        }
        found
    }
}

/// Asks only once for neighbours: records of one process often are.
fn asked_once(ask: &dyn Fn(Tag) -> bool) -> impl Fn(Tag) -> bool {
    let known = core::cell::Cell::new(None);
    move |tag| match known.get() {
        Some((other, answer)) if other == tag => answer,
        _ => {
            let answer = ask(tag);
            known.set(Some((tag, answer)));
            answer
        }
    }
}

/// Makes what one process owes the debt of another.
pub(crate) fn inherit(member: &Member, private: &Private, from: Tag, to: Tag) {
    for_each_with_records(member, private, &mut |locked| {
        locked.for_each_undo_of_all(&mut |record, owner| {
            if owner == from {
                record.owner.store(to.word(), Release);
            }
        });
    });
    note_use(member);
}

/// Notes that the process may leave something to sets when it dies.
pub(super) fn note_use(member: &Member) {
    if let Some(record) = member.table().processes.get(member.tag().index())
        && record.semaphores.load(Relaxed) == 0
    {
        record.semaphores.store(1, Relaxed);
    }
}

/// Calls `each` with every set that has records, locked. `_private` proves that the private lock is held.
#[inline(never)]
fn for_each_with_records(member: &Member, _private: &Private, each: &mut dyn FnMut(&LockedSet<'_>)) {
    let registry = registry(member.table());
    for number in registry.used_numbers() {
        let Some(slot) = registry.slots.get(number) else {
            continue;
        };
        let state = slot.head.state();
        if state.phase != Phase::Live || slot.flags.load(Acquire) & BACKED == 0 {
            continue;
        }
        // What cannot be opened is another user's: its users look after it.
        let Ok(set) = Set::visit(member, number, slot, state) else {
            continue;
        };
        match LockedSet::lock(&set) {
            Ok(locked) => each(&locked),
            Err(Denied::Gone | Denied::Unmapped | Denied::ReadOnly) => {}
        }
    }
}

/// Settles what all dead processes left in all sets, and in making and removing them.
pub(crate) fn sweep(member: &Member, private: &Private) {
    LockedSets::lock(member, private).finish_all_dying();
    for_each_with_records(member, private, &mut |locked| {
        locked.bury_the_dead();
    });
}

/// Settles what the dead owners of process record `index` left; `heir` is the record's living owner, if it has one.
pub(crate) fn drop_of_dead(member: &Member, private: &Private, index: usize, heir: Option<Tag>) {
    let Some(record) = member.table().processes.get(index) else {
        return;
    };
    if record.semaphores.load(Relaxed) != 0 {
        for_each_with_records(member, private, &mut |locked| {
            let of_dead = |tag: Tag| tag.index() == index && Some(tag) != heir;
            locked.bury(&of_dead, &of_dead);
        });
        record.semaphores.store(0, Relaxed);
    }
}

/// The process ends, or leaves: makes its adjustments.
pub(crate) fn drop_own(member: &Member, private: &Private) {
    let own = member.tag();
    drop_of_dead(member, private, own.index(), None);
}

/// Whether the process owes an adjustment to any set.
pub(crate) fn holds_undo(member: &Member, private: &Private) -> bool {
    let own = member.tag();
    let used = member.table().processes.get(own.index());
    let mut holds = false;
    if used.is_some_and(|record| record.semaphores.load(Relaxed) != 0) {
        for_each_with_records(member, private, &mut |locked| {
            locked.for_each_undo_of_all(&mut |record, owner| holds |= owner == own && record.adjustment() != 0);
        });
    }
    holds
}
