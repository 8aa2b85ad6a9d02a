//! `shmget`.

use core::sync::atomic::Ordering::Relaxed;

use super::{LockedSegments, registry};
use crate::abi::{IPC_CREAT, IPC_EXCL, IPC_PRIVATE, S_IRWXUGO};
use crate::credentials::Caller;
use crate::errno::{Errno, Result};
use crate::member::Member;
use crate::registry::{Registry, State};
use crate::table::SegmentSlot;

/// `shmget`.
pub(crate) fn shmget(member: &Member, key: i32, size: usize, flags: i32) -> Result<i32> {
    member.enter()?;
    let caller = Caller::current();
    if key != IPC_PRIVATE {
        let registry = registry(member.table());
        // With doomed segments about, every call looks after those whose last user died.
        if registry.header.doomed.load(Relaxed) == 0 {
            let known = registry.read_optimistically(|| {
                let found = registry.find_key(key);
                match found {
                    Some((number, slot, state)) => Some(existing(&registry, number, slot, state, size, flags, &caller)),
                    None if flags & IPC_CREAT == 0 => Some(Err(Errno::ENOENT)),
                    None => None,
                }
            });
            if let Ok(Some(result)) = known {
                return result;
            }
        }
    }
    let private = member.lock_private();
    let locked = LockedSegments::lock(member, &private);
    locked.sweep_doomed();
    if key != IPC_PRIVATE {
        let registry = locked.registry();
        if let Some((number, slot, state)) = registry.find_key(key) {
            return existing(&registry, number, slot, state, size, flags, &caller);
        }
        // "No segment exists for the given key, and IPC_CREAT was not specified."
        if flags & IPC_CREAT == 0 {
            return Err(Errno::ENOENT);
        }
    }
    locked.create(key, size, flags, &caller)
}

/// What Linux checks when the key names a segment, in its order.
fn existing(
    registry: &Registry<'_, SegmentSlot>,
    number: usize,
    slot: &SegmentSlot,
    state: State,
    size: usize,
    flags: i32,
    caller: &Caller,
) -> Result<i32> {
    // "IPC_CREAT and IPC_EXCL were specified in shmflg, but a shared memory segment already exists for key."
    if flags & IPC_CREAT != 0 && flags & IPC_EXCL != 0 {
        return Err(Errno::EEXIST);
    }
    // "A segment for the given key exists, but size is greater than the size of that segment."
    if size as u64 > slot.size.load(Relaxed) {
        return Err(Errno::EINVAL);
    }
    // "The user does not have permission to access the shared memory segment."
    if !caller.permits(&slot.head.ownership(), flags as u32 & S_IRWXUGO) {
        return Err(Errno::EACCES);
    }
    Ok(registry.id(number, state))
}
