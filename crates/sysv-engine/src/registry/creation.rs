//! New objects: a slot is reserved, described, and published by one store.

use core::sync::atomic::Ordering::Relaxed;

use super::{Locked, Mechanism, Phase, State, adjust32, adjust64};
use crate::abi::S_IRWXUGO;
use crate::credentials::Caller;
use crate::errno::{Errno, Result};
use crate::identity::Command;
use crate::sys;

/// An object that is being made: nobody can name it yet.
pub(crate) struct New<'m, S> {
    pub number: usize,
    pub slot: &'m S,
    state: State,
    pub id: i32,
    key: i32,
}

impl<'m, S: Mechanism> Locked<'m, S> {
    /// Takes a free slot. Until [`occupy`](Self::occupy) it stays free, and the caller sets the mechanism's own fields
    /// that recovery of a half-made object looks at.
    ///
    /// # Errors
    /// `ENOSPC` with `limit` objects in existence; `ENOMEM` where the file system is full.
    pub(crate) fn reserve(&self, key: i32, limit: u64) -> Result<New<'m, S>> {
        let registry = self.registry();
        if u64::from(registry.header.in_use.load(Relaxed)) >= limit {
            return Err(Errno::ENOSPC);
        }
        let number = registry.free_number().ok_or(Errno::ENOSPC)?;
        let backed = &registry.header.backed;
        self.member
            .back(backed, number, S::SLOTS_AT, size_of::<S>(), registry.slots.len())
            .map_err(errno_of_new_file)?;
        if registry.header.high.load(Relaxed) as usize <= number {
            registry.header.high.store(number as u32 + 1, Relaxed);
        }
        let slot = &registry.slots[number];
        // Every use of a slot has a sequence number of its own, and never 0: identifier 0 names nothing.
        let state = State {
            phase: Phase::Making,
            sequence: slot.head().state().sequence.wrapping_add(1).max(1),
        };
        let id = registry.id(number, state);
        slot.flags().store(0, Relaxed);
        Ok(New {
            number,
            slot,
            state,
            id,
            key,
        })
    }

    /// Marks the slot as being made, with an object of the caller's; of `flags` the nine mode bits count.
    pub(crate) fn occupy(&self, new: &New<'m, S>, flags: i32, caller: &Caller) {
        let head = new.slot.head();
        head.set_state(new.state);
        let gid = caller.gid();
        head.key.store(new.key as u32, Relaxed);
        head.uid.store(caller.uid, Relaxed);
        head.gid.store(gid, Relaxed);
        head.cuid.store(caller.uid, Relaxed);
        head.cgid.store(gid, Relaxed);
        head.mode.store(flags as u32 & S_IRWXUGO, Relaxed);
        head.ctime.store(sys::now(), Relaxed);
        head.creator.store(self.member.identity().word(), Relaxed);
        let own = self.table().processes.get(self.member.tag().index());
        own.map(|p| Command::load(&p.command))
            .unwrap_or_default()
            .store(&head.command);
    }

    /// Makes the object nameable, and returns its identifier.
    pub(crate) fn publish(&self, new: &New<'m, S>) -> i32 {
        let registry = self.registry();
        new.slot.head().set_state(State {
            phase: Phase::Live,
            ..new.state
        });
        registry.mark_used(new.number, true);
        registry.link_key(new.number, new.key);
        adjust32(&registry.header.in_use, 1);
        adjust64(&registry.header.total, new.slot.size() as i64);
        adjust64(&registry.header.promised, new.slot.promised() as i64);
        new.id
    }

    /// Takes an occupied slot back.
    pub(crate) fn abandon(&self, new: &New<'m, S>) {
        self.registry().mark_used(new.number, true);
        self.finish_dying(new.number, new.slot, new.state);
    }
}

/// The documented errno for a file that cannot be made.
pub(crate) fn errno_of_new_file(errno: Errno) -> Errno {
    match errno {
        Errno::EMFILE | Errno::ENFILE => Errno::ENFILE,
        Errno::EACCES | Errno::EPERM | Errno::EROFS => Errno::EACCES,
        _ => Errno::ENOMEM,
    }
}
