//! Message queues: `msgget`, `msgsnd`, `msgrcv`, `msgctl`.
//!
//! Each queue has a file `msg/<id>`, which every process that uses the queue maps ([`layout`] draws it). It is made with the queue
//! in a namespace for several users, else by the first who sends or receives. Whoever
//! may send or receive may change the file; the kernel keeps all others out. Capacity, counters and times stand in the
//! table, where `IPC_STAT` finds them.
//!
//! | module | what |
//! |---|---|
//! | [`layout`], [`ground`] | the file's structures, and the memory they lie in |
//! | [`contents`], [`heap`], [`order`], [`held`], [`waiters`] | what the lock's holder does: envelopes, blocks, the order, messages read in place, those who wait |
//! | [`rebuild`] | what is derived, made anew after a death |
//! | [`shrink`] | what an empty queue gives back |
//! | [`lane`] | how small messages pass between two processors without the queue's lock |
//! | [`window`], [`locked`], [`ahead`] | a queue's file in this process; its lock; what is fetched before it |
//! | [`send`], [`receive`], [`wait`], [`deadline`] | `msgsnd` and `msgrcv` |
//! | [`in_place`] | `msgrcv` without a copy |
//! | [`get`], [`control`], [`end`] | `msgget` and `msgctl`; the end of a queue |
//! | [`report`] | what people want to see |
//!
//! Lock order: a queue's lock is taken alone or under the lock of the queues' registry, and only the lock of its lane's senders is taken
//! under it. The locks of a removed queue are taken under the process's private lock when its window passes to another queue.
//!
//! What departs from Linux, on purpose: a message that cannot be written to the receiver's buffer (`EFAULT`) stays in the
//! queue, where Linux has dropped it; `msg_qbytes` has all its 64 bits, where Linux keeps 32; the namespace's owner may raise
//! it beyond `MSGMNB`.
//!
//! What remains: a message's bytes are copied with the queue's lock held, so that a process that is stopped, or waits for a
//! page of its own, in the middle of that delays the queue's others; the memory of the order array stays
//! until the queue's removal; whoever may receive may also write the file, and so forge messages; a handler that runs in the first instants of a wait goes unnoticed where handlers
//! are not [entered through ours](crate::signals), as between Rust and a C library that nobody interposes.

mod ahead;
mod contents;
mod control;
mod deadline;
mod end;
mod get;
mod ground;
mod heap;
mod held;
mod in_place;
pub(crate) mod inspect;
mod lane;
mod layout;
mod locked;
mod order;
mod rebuild;
mod receive;
mod report;
mod selection;
mod send;
mod shrink;
mod sweep;
#[cfg(test)]
mod tests;
mod wait;
mod waiters;
mod window;

pub(crate) use control::{limits, remove, set, stat, usage};
pub(crate) use deadline::Deadline;
pub(crate) use get::msgget;
pub use in_place::InPlace;
pub(crate) use in_place::receive_in_place;
pub(crate) use layout::{FACTS, PLACES, Tally};
pub(crate) use receive::msgrcv;
pub use report::{MessageReport, QueueReport, WaiterReport, Wants};
pub(crate) use report::{messages, queues, waiters};
pub(crate) use send::msgsnd;
pub(crate) use sweep::sweep;
pub(crate) use window::{Orphan, Windows};

use core::mem::offset_of;
use core::sync::atomic::AtomicU32;
use core::sync::atomic::Ordering::Relaxed;

use crate::registry::{Locked, Mechanism, Registry, Slot, State};
use crate::table::{ObjectHead, QueueSlot, Table};

/// Slot flag: somebody may have the file mapped.
const USED: u32 = 1 << 8;

/// The lock on the queues' registry, held.
pub(crate) type LockedQueues<'m> = Locked<'m, QueueSlot>;

impl Slot for QueueSlot {
    fn head(&self) -> &ObjectHead {
        &self.head
    }
}

impl Mechanism for QueueSlot {
    const DIRECTORY: &'static str = "msg";
    const SLOTS_AT: usize = offset_of!(Table, queues);

    fn registry(table: &Table) -> Registry<'_, QueueSlot> {
        Registry::new(&table.header.queues, &table.queue_index, &table.queues, 0)
    }

    fn flags(&self) -> &AtomicU32 {
        &self.flags
    }

    fn file_length(&self) -> usize {
        layout::WINDOW
    }

    fn file_eager(&self) -> usize {
        size_of::<layout::Header>()
    }

    /// Who may send or receive must write: the lock, at the least. The owner always may, to tell those who wait of the
    /// queue's end.
    fn file_mode(mode: u32) -> u32 {
        let group = if mode & 0o060 != 0 { 0o060 } else { 0 };
        let others = if mode & 0o006 != 0 { 0o006 } else { 0 };
        0o600 | group | others
    }

    fn size(&self) -> u64 {
        0
    }

    fn apply(&self, extra: u64) {
        self.tally.capacity.store(extra, Relaxed);
    }

    fn end(locked: &LockedQueues<'_>, number: usize, slot: &QueueSlot, state: State) {
        end::end(locked, number, slot, state);
    }
}

/// The queues' registry in the table.
pub(crate) fn registry(table: &Table) -> Registry<'_, QueueSlot> {
    QueueSlot::registry(table)
}
