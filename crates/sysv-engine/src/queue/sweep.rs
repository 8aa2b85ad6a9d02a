//! What the dead left in queues: places in the lists of those who wait, messages that they were given, and messages that
//! they read in place.

use core::sync::atomic::Ordering::Relaxed;

use super::ground::Ground;
use super::layout::{FREE, WAITERS};
use super::locked::LockedQueue;
use super::window::{Mapped, has_file};
use super::{LockedQueues, registry};
use crate::lock::Tag;
use crate::member::{Member, Private};
use crate::registry::Phase;

/// Settles what all dead processes left in all queues, and in making and removing them.
pub(crate) fn sweep(member: &Member, private: &mut Private) {
    LockedQueues::lock(member, private).finish_all_dying();
    let registry = registry(member.table());
    for number in registry.used_numbers() {
        let Some(slot) = registry.slots.get(number) else {
            continue;
        };
        let state = slot.head.state();
        if state.phase != Phase::Live || !has_file(slot) {
            continue;
        }
        // What cannot be opened is another user's: its users look after it.
        if let Ok(mapped) = Mapped::attach(member, private, number, slot, registry.id(number, state)) {
            sweep_one(&mapped);
        }
    }
}

fn sweep_one(mapped: &Mapped<'_>) {
    let queue = LockedQueue::lock(mapped);
    let Ok(contents) = queue.contents() else { return };
    let live = mapped.member.lazy_live();
    let alive = |tag: Tag| mapped.member.is_alive(tag, &live);
    let header = &mapped.window().header;
    let high = header.waiter_high.load(Relaxed).min(header.waiter_backed.load(Relaxed));
    contents.bury_holders();
    for number in 0..high.min(WAITERS as u32) {
        let waits = contents.waiter(number).is_some_and(|w| w.state.load(Relaxed) != FREE);
        // What fails for want of memory, the next holder of the lock does.
        if waits && contents.bury(&[number], &alive).is_err() {
            return;
        }
    }
}
