//! `semget`.

use core::sync::atomic::Ordering::{Relaxed, Release};

use super::memory::Set;
use super::word::Word;
use super::{INLINE, LockedSets, registry};
use crate::abi::{IPC_CREAT, IPC_EXCL, IPC_PRIVATE, S_IRWXUGO};
use crate::credentials::Caller;
use crate::critical::Section;
use crate::errno::{Errno, Result};
use crate::limits::Limits;
use crate::lock;
use crate::member::Member;
use crate::registry::{Phase, Registry, State, errno_of_new_file, file};
use crate::table::{INLINE_SEMAPHORES, SetSlot};

/// `semget`.
pub(crate) fn semget(member: &Member, key: i32, nsems: i32, flags: i32) -> Result<i32> {
    member.enter()?;
    let limits = member.limits();
    // "nsems is less than 0 or greater than the limit on the number of semaphores per semaphore set"
    if nsems < 0 || nsems as u64 > limits.semmsl {
        return Err(Errno::EINVAL);
    }
    let caller = Caller::current();
    let wanted = Wanted {
        nsems: nsems as u32,
        flags,
    };
    if key != IPC_PRIVATE {
        let registry = registry(member.table());
        let known = registry.read_optimistically(|| match registry.find_key(key) {
            Some((number, slot, state)) => Some(wanted.existing(&registry, number, slot, state, &caller)),
            None if flags & IPC_CREAT == 0 => Some(Err(Errno::ENOENT)),
            None => None,
        });
        if let Ok(Some(result)) = known {
            return result;
        }
    }
    let private = member.lock_private();
    let locked = LockedSets::lock(member, &private);
    if key != IPC_PRIVATE {
        let registry = locked.registry();
        if let Some((number, slot, state)) = registry.find_key(key) {
            return wanted.existing(&registry, number, slot, state, &caller);
        }
        // "No semaphore set exists for key and semflg did not specify IPC_CREAT."
        if flags & IPC_CREAT == 0 {
            return Err(Errno::ENOENT);
        }
    }
    wanted.create(&locked, key, &limits, &caller)
}

/// The set that the caller asks for.
struct Wanted {
    nsems: u32,
    flags: i32,
}

impl Wanted {
    /// What Linux checks when the key names a set, in its order.
    fn existing(
        &self,
        registry: &Registry<'_, SetSlot>,
        number: usize,
        slot: &SetSlot,
        state: State,
        caller: &Caller,
    ) -> Result<i32> {
        // "IPC_CREAT and IPC_EXCL were specified in semflg, but a semaphore set already exists for key."
        if self.flags & IPC_CREAT != 0 && self.flags & IPC_EXCL != 0 {
            return Err(Errno::EEXIST);
        }
        // "A semaphore set corresponding to key already exists, but nsems is larger than the number of semaphores in that
        // set."
        if self.nsems > slot.nsems.load(Relaxed) {
            return Err(Errno::EINVAL);
        }
        // "A semaphore set exists for key, but the calling process does not have permission to access the set".
        if !caller.permits(&slot.head.ownership(), self.flags as u32 & S_IRWXUGO) {
            return Err(Errno::EACCES);
        }
        Ok(registry.id(number, state))
    }

    /// Makes a set.
    fn create(&self, locked: &LockedSets<'_>, key: i32, limits: &Limits, caller: &Caller) -> Result<i32> {
        if self.nsems == 0 {
            return Err(Errno::EINVAL);
        }
        let member = locked.member;
        // "A semaphore set has to be created but the system limit […] would be exceeded."
        let total = locked.registry().header.total.load(Relaxed);
        if total.saturating_add(u64::from(self.nsems)) > limits.semmns {
            return Err(Errno::ENOSPC);
        }
        let new = locked.reserve(key, limits.semmni)?;
        let slot = new.slot;
        slot.nsems.store(self.nsems, Relaxed);
        let inline = !member.is_shared() && self.nsems as usize <= INLINE_SEMAPHORES;
        slot.flags.store(if inline { INLINE } else { 0 }, Relaxed);
        locked.occupy(&new, self.flags, caller);
        let state = State {
            phase: Phase::Making,
            ..slot.head.state()
        };
        // By the file as it was made: its mode may keep its owner from opening it again.
        let made = if inline {
            begin(&Set::inline(member, new.number, slot, state.sequence), self.nsems)
        } else {
            let file = if member.is_shared() {
                file::make_exclusively(member, slot, new.id, self.flags as u32)
            } else {
                file::open_or_make(member, slot, new.id, false)
            };
            file.and_then(|file| begin(&Set::in_file(member, new.number, slot, state, &file)?, self.nsems))
        };
        if let Err(errno) = made {
            locked.abandon(&new);
            return Err(errno_of_new_file(errno));
        }
        Ok(locked.publish(&new))
    }
}

/// Fills a new set's memory. Under the set's lock: whoever still waits for the slot's former set holds it for a moment.
fn begin(set: &Set<'_>, nsems: u32) -> Result<()> {
    // Somebody has changed the slot in between.
    if set.semaphores.len() != nsems as usize {
        return Err(Errno::ENOMEM);
    }
    let _section = Section::enter();
    let (member, head) = (set.member, set.head);
    member.acquire(&head.lock);
    for semaphore in set.semaphores {
        semaphore.undos.store(0, Relaxed);
        semaphore.waiters.store(0, Relaxed);
        semaphore.next.store(0, Relaxed);
        semaphore.word.store(Word::new(set.sequence).0, Relaxed);
    }
    for word in [
        &head.intent,
        &head.serving,
        &head.credit,
        &head.served,
        &head.waiting,
        &head.dirty,
    ] {
        word.store(0, Relaxed);
    }
    for pool in [&head.waiters, &head.undos] {
        for word in [&pool.high, &pool.backed, &pool.free] {
            word.store(0, Relaxed);
        }
    }
    for watcher in &head.watchers {
        watcher.store(0, Relaxed);
    }
    head.nsems.store(nsems, Relaxed);
    head.otime.store(0, Relaxed);
    head.credit_at.store(0, Relaxed);
    head.owner.store(u32::from(set.sequence) + 1, Release);
    lock::release(&head.lock);
    Ok(())
}
