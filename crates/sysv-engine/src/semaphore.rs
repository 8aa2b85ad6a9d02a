//! Semaphore sets: `semget`, `semop`, `semtimedop`, `semctl`.
//!
//! A set's memory is a [head](crate::table::SetHead), its [semaphores](crate::table::Semaphore), and the records of who
//! waits ([`waiters`]) and who owes an undo ([`undo`]). In a namespace for several users all of it is the file `sem/<id>`,
//! made with the set, so that the kernel enforces who may touch it. In one for a single user a small set's head and
//! semaphores stand in the table, and the file is made for the first process that waits or uses `SEM_UNDO`.
//!
//! One operation on one semaphore that nobody waits for is one compare-and-swap ([`operate`]). Everything else happens
//! under the set's lock ([`locked`]), and what changes more than one word goes through an intent ([`commit`], and [`brief`]
//! for the common case).
//!
//! Lock order: after a registry's lock. No two sets' locks are held at once.

mod brief;
mod commit;
mod control;
mod dead;
mod get;
pub(crate) mod inspect;
mod locked;
mod memory;
mod operate;
mod report;
mod serve;
pub(crate) mod turn;
mod undo;
mod wait;
mod waiters;
mod watch;
mod word;

pub(crate) use control::{ask, count, limits, remove, set, set_value, set_values, stat, usage, values};
pub(crate) use dead::{drop_of_dead, drop_own, holds_undo, inherit, sweep};
pub(crate) use get::semget;
pub(crate) use memory::{Mappings, places};
pub(crate) use operate::semop;
pub use report::{SetPart, SetReport};
pub(crate) use report::{contents, sets};

use core::mem::offset_of;
use core::sync::atomic::AtomicU32;
use core::sync::atomic::Ordering::Relaxed;

use crate::registry::{Locked, Mechanism, Registry, Slot, State};
use crate::table::{ObjectHead, SetSlot, Table};

/// Slot flag: head and semaphores stand in the slot.
const INLINE: u32 = 1 << 8;

/// The lock on the sets' registry, held.
type LockedSets<'m> = Locked<'m, SetSlot>;

impl Slot for SetSlot {
    fn head(&self) -> &ObjectHead {
        &self.head
    }
}

impl Mechanism for SetSlot {
    const DIRECTORY: &'static str = "sem";
    const SLOTS_AT: usize = offset_of!(Table, sets);

    fn registry(table: &Table) -> Registry<'_, SetSlot> {
        Registry::new(&table.header.sets, &table.set_index, &table.sets, 0)
    }

    fn flags(&self) -> &AtomicU32 {
        &self.flags
    }

    fn file_length(&self) -> usize {
        memory::layout(self.nsems.load(Relaxed) as usize).length
    }

    fn file_eager(&self) -> usize {
        memory::layout(self.nsems.load(Relaxed) as usize).waiters
    }

    /// Whoever may alter must map the file for writing, and that takes both.
    fn file_mode(mode: u32) -> u32 {
        let alter = mode & 0o222;
        (mode & 0o444) | alter | alter << 1
    }

    fn size(&self) -> u64 {
        u64::from(self.nsems.load(Relaxed))
    }

    fn end(locked: &LockedSets<'_>, number: usize, slot: &SetSlot, state: State) {
        control::end(locked.member, number, slot, state);
    }
}

/// The sets' registry in the table.
fn registry(table: &Table) -> Registry<'_, SetSlot> {
    SetSlot::registry(table)
}

#[cfg(test)]
mod tests;
