//! `shmctl`.

use core::sync::atomic::Ordering::Relaxed;

use super::records::count_own;
use super::{LockedSegments, backing, registry};
use crate::abi::{SHM_DEST, SHM_LOCKED, SHMMIN, ShmInfoLimits, ShmInfoUsage, ShmidDs};
use crate::credentials::Caller;
use crate::errno::{Errno, Result};
use crate::facility::{PermChange, StatBy};
use crate::identity::Identity;
use crate::member::Member;
use crate::registry::{Phase, Registry, State};
use crate::sys;
use crate::table::SegmentSlot;

/// `IPC_STAT`, `SHM_STAT` and `SHM_STAT_ANY`.
pub(crate) fn stat(member: &Member, id: i32, by: StatBy) -> Result<(i32, ShmidDs)> {
    member.enter()?;
    let caller = Caller::current();
    let registry = registry(member.table());
    if registry.header.doomed.load(Relaxed) == 0 {
        let known = registry.read_optimistically(|| {
            let (number, slot, state) = match find(&registry, id, by, &caller) {
                Ok(found) => found,
                Err(errno) => return Some(Err(errno)),
            };
            let count = count_own(member.table(), number, member.tag())?;
            Some(Ok((
                registry.id(number, state),
                describe(slot, state, count, member.identity()),
            )))
        });
        if let Ok(Some(result)) = known {
            return result;
        }
    }
    let private = member.lock_private();
    let locked = LockedSegments::lock(member, &private);
    locked.sweep_doomed();
    let (number, slot, state) = find(&locked.registry(), id, by, &caller)?;
    let count = locked.reap(number);
    Ok((
        locked.registry().id(number, state),
        describe(slot, state, count, member.identity()),
    ))
}

fn find<'t>(
    registry: &Registry<'t, SegmentSlot>,
    id: i32,
    by: StatBy,
    caller: &Caller,
) -> Result<(usize, &'t SegmentSlot, State)> {
    let found = match by {
        StatBy::Id => registry.find_id(id)?,
        StatBy::Index | StatBy::IndexAny => registry.find_index(id)?,
    };
    // "shm_perm.mode does not allow read access for shmid"
    if by != StatBy::IndexAny && !caller.permits(&found.1.head.ownership(), 0o444) {
        return Err(Errno::EACCES);
    }
    Ok(found)
}

/// `struct shmid_ds`, as the process `observer` sees it.
pub(super) fn describe(slot: &SegmentSlot, state: State, nattch: u64, observer: Identity) -> ShmidDs {
    let head = &slot.head;
    ShmidDs {
        perm: head.perm(state, if state.phase == Phase::Doomed { SHM_DEST } else { 0 }),
        segsz: slot.size.load(Relaxed),
        atime: slot.atime.load(Relaxed),
        dtime: slot.dtime.load(Relaxed),
        ctime: head.ctime.load(Relaxed),
        cpid: Identity::from_word(head.creator.load(Relaxed)).seen_by(observer),
        lpid: Identity::from_word(slot.last.load(Relaxed)).seen_by(observer),
        nattch,
        ..ShmidDs::default()
    }
}

/// `IPC_SET`.
pub(crate) fn set(member: &Member, id: i32, change: PermChange) -> Result<()> {
    member.enter()?;
    let caller = Caller::current();
    let private = member.lock_private();
    let locked = LockedSegments::lock(member, &private);
    locked.sweep_doomed();
    let (number, slot, _) = locked.registry().find_id(id)?;
    locked.check_change(slot, &change, &caller)?;
    locked.change_ownership(number, slot, &change, &caller)
}

/// `IPC_RMID`.
pub(crate) fn remove(member: &Member, id: i32) -> Result<()> {
    member.enter()?;
    let caller = Caller::current();
    let private = member.lock_private();
    let locked = LockedSegments::lock(member, &private);
    locked.sweep_doomed();
    let registry = locked.registry();
    let (number, slot, state) = registry.find_id(id)?;
    if !caller.controls(&slot.head.ownership()) {
        return Err(Errno::EPERM);
    }
    if locked.reap(number) == 0 {
        locked.destroy(number, slot, state);
    } else if state.phase == Phase::Live {
        registry.unlink_key(number, slot.head.key(state));
        slot.head.set_state(State {
            phase: Phase::Doomed,
            ..state
        });
        registry.mark_doomed(number, true);
    }
    Ok(())
}

/// `SHM_LOCK` and `SHM_UNLOCK`.
///
/// The mode shows it at once. Pages are kept in memory in the processes that have the segment attached: in the caller's
/// present attachments and in whatever anybody attaches later, up to each process's `RLIMIT_MEMLOCK`.
pub(crate) fn lock(member: &Member, id: i32, lock: bool) -> Result<()> {
    member.enter()?;
    let caller = Caller::current();
    let private = member.lock_private();
    let locked = LockedSegments::lock(member, &private);
    locked.sweep_doomed();
    let (number, slot, state) = locked.registry().find_id(id)?;
    if !caller.owns(&slot.head.ownership()) && !caller.may_lock_memory() {
        return Err(Errno::EPERM);
    }
    let locked_already = slot.head.mode.load(Relaxed) & SHM_LOCKED != 0;
    if lock && !caller.may_lock_memory() {
        // A limit of 0: EPERM. Beyond it: ENOMEM, but what is locked already costs nothing more.
        match sys::memlock_limit() {
            0 => return Err(Errno::EPERM),
            limit if !locked_already && slot.size.load(Relaxed) > limit => return Err(Errno::ENOMEM),
            _ => {}
        }
    }
    for piece in private
        .attachments
        .as_slice()
        .iter()
        .filter(|a| a.same_segment(number, state.sequence))
    {
        if lock {
            let done = sys::mlock_on_fault(piece.start, piece.len);
            if done.is_err() && !locked_already {
                return Err(Errno::ENOMEM);
            }
        } else {
            let _ = sys::munlock(piece.start, piece.len);
        }
    }
    let mode = slot.head.mode.load(Relaxed);
    slot.head
        .mode
        .store(if lock { mode | SHM_LOCKED } else { mode & !SHM_LOCKED }, Relaxed);
    Ok(())
}

/// `IPC_INFO`.
pub(crate) fn limits(member: &Member) -> Result<(i32, ShmInfoLimits)> {
    member.enter()?;
    let limits = member.limits();
    let info = ShmInfoLimits {
        shmmax: limits.shmmax,
        shmmin: SHMMIN,
        shmmni: limits.shmmni,
        shmseg: limits.shmmni,
        shmall: limits.shmall,
        ..ShmInfoLimits::default()
    };
    let registry = registry(member.table());
    let highest = registry
        .read_optimistically(|| registry.highest_index())
        .unwrap_or_else(|_| {
            // Somebody changes the segments, or died doing so.
            drop(LockedSegments::lock(member, &member.lock_private()));
            registry.highest_index()
        });
    Ok((highest, info))
}

/// `SHM_INFO`.
pub(crate) fn usage(member: &Member) -> Result<(i32, ShmInfoUsage)> {
    member.enter()?;
    let private = member.lock_private();
    let locked = LockedSegments::lock(member, &private);
    locked.sweep_doomed();
    let registry = locked.registry();
    let mut rss = 0;
    for number in registry.used_numbers() {
        let slot = &registry.slots[number];
        let state = slot.head.state();
        if state.exists() {
            rss += backing::resident(member, slot, registry.id(number, state)).div_ceil(crate::abi::PAGE_SIZE as u64);
        }
    }
    let usage = ShmInfoUsage {
        used_ids: registry.header.in_use.load(Relaxed) as i32,
        shm_tot: registry.header.total.load(Relaxed),
        shm_rss: rss,
        ..ShmInfoUsage::default()
    };
    Ok((registry.highest_index(), usage))
}
