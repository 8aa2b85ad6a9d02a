//! `msgget`.

use core::sync::atomic::Ordering::Relaxed;

use super::{LockedQueues, registry};
use crate::abi::{IPC_CREAT, IPC_EXCL, IPC_PRIVATE, S_IRWXUGO};
use crate::credentials::Caller;
use crate::errno::{Errno, Result};
use crate::member::Member;
use crate::registry::{Registry, State, errno_of_new_file, file};
use crate::table::QueueSlot;

/// `msgget`.
pub(crate) fn msgget(member: &Member, key: i32, flags: i32) -> Result<i32> {
    member.enter()?;
    let caller = Caller::current();
    if key != IPC_PRIVATE {
        let registry = registry(member.table());
        let known = registry.read_optimistically(|| match registry.find_key(key) {
            Some((number, slot, state)) => Some(existing(&registry, number, slot, state, flags, &caller)),
            None if flags & IPC_CREAT == 0 => Some(Err(Errno::ENOENT)),
            None => None,
        });
        if let Ok(Some(result)) = known {
            return result;
        }
    }
    let private = member.lock_private();
    let locked = LockedQueues::lock(member, &private);
    if key != IPC_PRIVATE {
        let registry = locked.registry();
        if let Some((number, slot, state)) = registry.find_key(key) {
            return existing(&registry, number, slot, state, flags, &caller);
        }
        // "No message queue exists for key and msgflg did not specify IPC_CREAT."
        if flags & IPC_CREAT == 0 {
            return Err(Errno::ENOENT);
        }
    }
    locked.create(key, flags, &caller)
}

/// What Linux checks when the key names a queue, in its order.
fn existing(
    registry: &Registry<'_, QueueSlot>,
    number: usize,
    slot: &QueueSlot,
    state: State,
    flags: i32,
    caller: &Caller,
) -> Result<i32> {
    // "A message queue exists for key and msgflg specified both IPC_CREAT and IPC_EXCL."
    if flags & IPC_CREAT != 0 && flags & IPC_EXCL != 0 {
        return Err(Errno::EEXIST);
    }
    // "A message queue exists for key, but the calling process does not have permission to access the queue"
    if !caller.permits(&slot.head.ownership(), flags as u32 & S_IRWXUGO) {
        return Err(Errno::EACCES);
    }
    Ok(registry.id(number, state))
}

impl LockedQueues<'_> {
    /// Makes a queue and returns its identifier.
    ///
    /// # Errors
    /// `ENOSPC` beyond `MSGMNI`; `ENOMEM` for memory that cannot be had.
    fn create(&self, key: i32, flags: i32, caller: &Caller) -> Result<i32> {
        let limits = self.member.limits();
        let new = self.reserve(key, limits.msgmni)?;
        let slot = new.slot;
        self.occupy(&new, flags, caller);
        let tally = &slot.tally;
        tally.capacity.store(limits.msgmnb, Relaxed);
        for word in [
            &tally.bytes,
            &tally.messages,
            &tally.sender,
            &tally.receiver,
            &tally.lane,
        ] {
            word.store(0, Relaxed);
        }
        tally.sent_at.store(0, Relaxed);
        tally.received_at.store(0, Relaxed);
        // In a namespace for one user the first use makes the file: many a queue is removed without one.
        if self.member.is_shared()
            && let Err(errno) = file::make_exclusively(self.member, slot, new.id, flags as u32)
        {
            self.abandon(&new);
            return Err(errno_of_new_file(errno));
        }
        Ok(self.publish(&new))
    }
}
