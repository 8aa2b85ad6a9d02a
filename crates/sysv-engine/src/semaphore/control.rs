//! `semctl`.

use core::sync::atomic::Ordering::{Acquire, Relaxed, Release};

use super::locked::LockedSet;
use super::memory::{Set, stands_in_table};
use super::waiters::{FOR_ZERO, NOTIFIED, WAITING};
use super::word::{FROZEN, HELD, Last, Word};
use super::{LockedSets, registry};
use crate::abi::{SEMAEM, SEMOPM_DEFAULT, SEMVMX, SemInfo, SemidDs};
use crate::credentials::Caller;
use crate::critical::Section;
use crate::errno::{Errno, Result};
use crate::facility::{Asked, PermChange, StatBy};
use crate::limits::Limits;
use crate::lock;
use crate::member::Member;
use crate::registry::State;
use crate::sys;
use crate::table::SetSlot;

/// The set with this identifier, if the caller may read it (`0o444`) or alter it (`0o222`).
#[inline]
fn find(member: &Member, id: i32, access: u32) -> Result<(usize, &SetSlot, State)> {
    member.enter()?;
    let found = registry(member.table()).find_id(id)?;
    if Caller::current().permits(&found.1.head.ownership(), access) {
        Ok(found)
    } else {
        Err(Errno::EACCES)
    }
}

/// A semaphore's number, if the set has it.
fn number(slot: &SetSlot, num: i32) -> Result<u16> {
    match u16::try_from(num) {
        Ok(number) if u32::from(number) < slot.nsems.load(Relaxed) => Ok(number),
        _ => Err(Errno::EINVAL),
    }
}

/// `GETVAL`, `GETPID`, `GETNCNT` and `GETZCNT`.
#[inline]
pub(crate) fn ask(member: &Member, id: i32, num: i32, what: Asked) -> Result<i32> {
    let (index, slot, state) = find(member, id, 0o444)?;
    let number = number(slot, num)?;
    if stands_in_table(member, slot)
        && let Some(semaphore) = slot.semaphores.get(number as usize)
    {
        let word = Word(semaphore.word.load(Acquire));
        let quiet = slot.set.served.load(Relaxed) == 0;
        if quiet && !word.has(FROZEN | HELD) && word.sequence() == state.sequence {
            match what {
                Asked::Value => return Ok(word.value()),
                Asked::Pid => return Ok(word.last().seen_by(member.identity())),
                Asked::WaitingForMore | Asked::WaitingForZero => {}
            }
        }
    }
    ask_locked(Set::of_slot(member, index, slot, state)?, number, what)
}

#[inline(never)]
fn ask_locked(mut set: Set<'_>, number: u16, what: Asked) -> Result<i32> {
    let member = set.member;
    let semaphore = set.semaphores.get(number as usize).ok_or(Errno::EIDRM)?;
    let word = Word(semaphore.word.load(Acquire));
    let quiet = set.head.served.load(Relaxed) == 0;
    if matches!(what, Asked::Value | Asked::Pid) && (set.read_only || quiet && !word.has(FROZEN | HELD)) {
        return Ok(match what {
            Asked::Value => word.value(),
            _ => word.last().seen_by(member.identity()),
        });
    }
    if set.read_only {
        return Ok(count_waiters(&set, number, what));
    }
    set.locked(|locked| {
        if locked.set.head.waiting.load(Relaxed) != 0 || locked.others_owe(number) {
            locked.bury_the_dead();
        }
        locked.refresh_owed(number);
        // This view of the set may be another than the one above.
        let semaphore = locked.set.semaphores.get(number as usize).ok_or(Errno::EIDRM)?;
        let word = Word(semaphore.word.load(Acquire));
        Ok(match what {
            Asked::Value => word.value(),
            Asked::Pid => word.last().seen_by(member.identity()),
            Asked::WaitingForMore | Asked::WaitingForZero => count_waiters(locked.set, number, what),
        })
    })?
}

fn count_waiters(set: &Set<'_>, number: u16, what: Asked) -> i32 {
    let Some(records) = set.records else { return 0 };
    let high = (set.head.waiters.high.load(Relaxed) as usize).min(records.cells.len());
    let counted = records.cells[..high].iter().filter(|cell| {
        let waits = matches!(cell.state.load(Acquire), WAITING | NOTIFIED);
        let for_zero = cell.kind.load(Relaxed) & FOR_ZERO != 0;
        waits && cell.semaphore.load(Relaxed) == number && for_zero == (what == Asked::WaitingForZero)
    });
    counted.count() as i32
}

/// `SETVAL`.
pub(crate) fn set_value(member: &Member, id: i32, num: i32, value: i32) -> Result<()> {
    if id < 0 {
        return Err(Errno::EINVAL);
    }
    // "The value […] is less than 0 or greater than the implementation limit SEMVMX"
    if !(0..=SEMVMX).contains(&value) {
        return Err(Errno::ERANGE);
    }
    member.enter()?;
    let (_, slot, _) = registry(member.table()).find_id(id)?;
    let number = number(slot, num)?;
    find(member, id, 0o222)?;
    let mut set = Set::find(member, id)?;
    set.locked(|locked| {
        locked.bury_the_dead();
        locked.assign(number, value as u16, Last::of(member.identity()));
        slot.head.ctime.store(sys::now(), Relaxed);
        locked.serve_one(number);
    })
}

/// The number of semaphores.
pub(crate) fn count(member: &Member, id: i32) -> Result<usize> {
    member.enter()?;
    let (number, slot, state) = registry(member.table()).find_id(id)?;
    // Programs have arrays of this length: in a namespace for several users only the set's file is believed. Who may not open
    // it gets nothing to put there.
    let set = Set::of_slot(member, number, slot, state);
    Ok(set.map_or(slot.nsems.load(Relaxed) as usize, |set| set.semaphores.len()))
}

/// `GETALL`.
pub(crate) fn values(member: &Member, id: i32, values: &mut [u16]) -> Result<()> {
    find(member, id, 0o444)?;
    let mut set = Set::find(member, id)?;
    if values.len() != set.semaphores.len() {
        return Err(Errno::EINVAL);
    }
    if set.read_only {
        for (value, semaphore) in values.iter_mut().zip(set.semaphores) {
            *value = Word(semaphore.word.load(Acquire)).value() as u16;
        }
        return Ok(());
    }
    set.locked(|locked| {
        locked.bury_the_dead();
        locked.snapshot(values);
    })
}

/// `SETALL`.
pub(crate) fn set_values(member: &Member, id: i32, values: &[u16]) -> Result<()> {
    let (number, slot, state) = find(member, id, 0o222)?;
    let mut set = Set::of_slot(member, number, slot, state)?;
    if values.len() != set.semaphores.len() {
        return Err(Errno::EINVAL);
    }
    if values.iter().any(|&value| i32::from(value) > SEMVMX) {
        return Err(Errno::ERANGE);
    }
    set.locked(|locked| {
        locked.bury_the_dead();
        locked.assign_all(values, Last::of(member.identity()));
        slot.head.ctime.store(sys::now(), Relaxed);
        locked.serve_all();
    })
}

/// `IPC_STAT`, `SEM_STAT` and `SEM_STAT_ANY`.
pub(crate) fn stat(member: &Member, id: i32, by: StatBy) -> Result<(i32, SemidDs)> {
    member.enter()?;
    let registry = registry(member.table());
    let (number, slot, state) = match by {
        StatBy::Id => registry.find_id(id)?,
        StatBy::Index | StatBy::IndexAny => registry.find_index(id)?,
    };
    // "the calling process does not have the required permissions"
    if by != StatBy::IndexAny && !Caller::current().permits(&slot.head.ownership(), 0o444) {
        return Err(Errno::EACCES);
    }
    // SEM_STAT_ANY may ask for a set whose file this process may not open; then only its last operation is unknown.
    let (otime, nsems) = if stands_in_table(member, slot) {
        (slot.set.otime.load(Relaxed), slot.nsems.load(Relaxed) as usize)
    } else {
        match Set::of_slot(member, number, slot, state) {
            Ok(set) => (set.head.otime.load(Relaxed), set.semaphores.len()),
            Err(_) => (0, slot.nsems.load(Relaxed) as usize),
        }
    };
    let ds = SemidDs {
        perm: slot.head.perm(state, 0),
        otime,
        ctime: slot.head.ctime.load(Relaxed),
        nsems: nsems as u64,
        ..SemidDs::default()
    };
    Ok((registry.id(number, state), ds))
}

/// `IPC_SET`.
pub(crate) fn set(member: &Member, id: i32, change: PermChange) -> Result<()> {
    member.enter()?;
    let caller = Caller::current();
    let private = member.lock_private();
    let locked = LockedSets::lock(member, &private);
    let (number, slot, _) = locked.registry().find_id(id)?;
    locked.check_change(slot, &change, &caller)?;
    locked.change_ownership(number, slot, &change, &caller)
}

/// `IPC_RMID`.
pub(crate) fn remove(member: &Member, id: i32) -> Result<()> {
    member.enter()?;
    let caller = Caller::current();
    let private = member.lock_private();
    let locked = LockedSets::lock(member, &private);
    let (number, slot, state) = locked.registry().find_id(id)?;
    if !caller.controls(&slot.head.ownership()) {
        return Err(Errno::EPERM);
    }
    locked.destroy(number, slot, state);
    Ok(())
}

/// A set has been removed: nobody shall operate on it any more, and those who wait shall know.
///
/// Where its file cannot be opened (it is another user's) they find out when they look next.
pub(super) fn end(member: &Member, number: usize, slot: &SetSlot, state: State) {
    let Ok(set) = Set::visit(member, number, slot, state) else {
        return;
    };
    if set.read_only {
        return;
    }
    if set.records.is_some()
        && set.head.waiting.load(Acquire) | set.head.served.load(Acquire) != 0
        && let Ok(locked) = LockedSet::lock(&set)
    {
        set.head.owner.store(0, Release);
        locked.dismiss_all();
    }
    let _section = Section::enter();
    let head = set.head;
    member.acquire(&head.lock);
    head.owner.store(0, Release);
    for semaphore in set.semaphores {
        semaphore.word.store(FROZEN, Release);
    }
    lock::release(&head.lock);
}

fn info(limits: &Limits) -> SemInfo {
    SemInfo {
        semmap: limits.semmns as i32,
        semmni: limits.semmni as i32,
        semmns: limits.semmns as i32,
        semmnu: limits.semmns as i32,
        semmsl: limits.semmsl as i32,
        semopm: limits.semopm as i32,
        semume: SEMOPM_DEFAULT as i32,
        // Sizes of structures that Linux has long lost.
        semusz: 20,
        semvmx: SEMVMX,
        semaem: SEMAEM,
    }
}

/// `IPC_INFO`.
pub(crate) fn limits(member: &Member) -> Result<(i32, SemInfo)> {
    member.enter()?;
    Ok((registry(member.table()).highest_index(), info(&member.limits())))
}

/// `SEM_INFO`.
pub(crate) fn usage(member: &Member) -> Result<(i32, SemInfo)> {
    member.enter()?;
    // What a dead owner of the lock has made does not count before it is recovered.
    drop(LockedSets::lock(member, &member.lock_private()));
    let registry = registry(member.table());
    let usage = SemInfo {
        semusz: registry.header.in_use.load(Relaxed) as i32,
        semaem: registry.header.total.load(Relaxed) as i32,
        ..info(&member.limits())
    };
    Ok((registry.highest_index(), usage))
}
