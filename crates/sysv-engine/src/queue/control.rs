//! `msgctl`.

use core::sync::atomic::Ordering::{Acquire, Relaxed};

use super::locked::LockedQueue;
use super::window::{Mapped, has_file};
use super::{LockedQueues, registry};
use crate::abi::{MsgInfo, MsqidDs};
use crate::credentials::Caller;
use crate::errno::{Errno, Result};
use crate::facility::{PermChange, StatBy};
use crate::identity::Identity;
use crate::member::Member;
use crate::registry::State;
use crate::sys;
use crate::table::QueueSlot;

/// `IPC_STAT`, `MSG_STAT` and `MSG_STAT_ANY`.
pub(crate) fn stat(member: &Member, id: i32, by: StatBy) -> Result<(i32, MsqidDs)> {
    member.enter()?;
    let caller = Caller::current();
    let registry = registry(member.table());
    let (number, slot, state) = match by {
        StatBy::Id => registry.find_id(id)?,
        StatBy::Index | StatBy::IndexAny => registry.find_index(id)?,
    };
    // "The argument cmd is equal to IPC_STAT or MSG_STAT, but the calling process does not have read permission"
    if by != StatBy::IndexAny && !caller.permits(&slot.head.ownership(), 0o444) {
        return Err(Errno::EACCES);
    }
    let id = registry.id(number, state);
    // With the queue's lock held, so that the counters belong together. Who may not open the file reads them as they are.
    let mapped = has_file(slot).then(|| Mapped::find(member, number, slot, id));
    let locked = mapped
        .as_ref()
        .and_then(|mapped| mapped.as_ref().ok())
        .map(LockedQueue::lock);
    // Made whole, if that is needed and can be done: a message that was given to a process which is dead is in the queue.
    let _ = locked.as_ref().map(|queue| {
        let contents = queue.contents()?;
        contents.bury_granted(&|tag| queue.is_alive(tag))
    });
    let ds = describe(slot, state, member.identity());
    drop(locked);
    Ok((id, ds))
}

/// `struct msqid_ds`, as the process `observer` sees it.
pub(super) fn describe(slot: &QueueSlot, state: State, observer: Identity) -> MsqidDs {
    let tally = &slot.tally;
    MsqidDs {
        perm: slot.head.perm(state, 0),
        stime: tally.sent_at.load(Relaxed),
        rtime: tally.received_at.load(Relaxed),
        ctime: slot.head.ctime.load(Relaxed),
        cbytes: tally.bytes.load(Relaxed),
        qnum: tally.messages.load(Relaxed),
        qbytes: tally.capacity.load(Relaxed),
        lspid: Identity::from_word(tally.sender.load(Relaxed)).seen_by(observer),
        lrpid: Identity::from_word(tally.receiver.load(Relaxed)).seen_by(observer),
        ..MsqidDs::default()
    }
}

/// `IPC_SET`.
pub(crate) fn set(member: &Member, id: i32, change: PermChange, qbytes: u64) -> Result<()> {
    member.enter()?;
    let caller = Caller::current();
    let mut private = member.lock_private();
    let locked = LockedQueues::lock(member, &private);
    let (number, slot, _) = locked.registry().find_id(id)?;
    if !caller.controls(&slot.head.ownership()) {
        return Err(Errno::EPERM);
    }
    // "An attempt […] was made to increase msg_qbytes beyond the system parameter MSGMNB, but the caller is not privileged
    // (Linux: does not have the CAP_SYS_RESOURCE capability)". Here the namespace's owner is privileged too.
    if qbytes > member.limits().msgmnb && !caller.may_exceed_limits() && !owns_namespace(member, &caller) {
        return Err(Errno::EPERM);
    }
    locked.check_change(slot, &change, &caller)?;
    locked.change_ownership_and(number, slot, &change, qbytes, &caller)?;
    // Receivers may have lost their permission, senders may have room now: all look again.
    if has_file(slot)
        && let Ok(mapped) = Mapped::attach(member, &mut private, number, slot, id)
    {
        let queue = LockedQueue::lock(&mapped);
        if let Ok(contents) = queue.contents() {
            contents.rouse_all();
        }
    }
    Ok(())
}

fn owns_namespace(member: &Member, caller: &Caller) -> bool {
    sys::stat(member.directory(), false).is_ok_and(|st| st.st_uid == caller.uid)
}

/// `IPC_RMID`.
pub(crate) fn remove(member: &Member, id: i32) -> Result<()> {
    member.enter()?;
    let caller = Caller::current();
    let private = member.lock_private();
    let locked = LockedQueues::lock(member, &private);
    let (number, slot, state) = locked.registry().find_id(id)?;
    if !caller.controls(&slot.head.ownership()) {
        return Err(Errno::EPERM);
    }
    locked.destroy(number, slot, state);
    Ok(())
}

fn int(value: u64) -> i32 {
    i32::try_from(value).unwrap_or(i32::MAX)
}

/// `IPC_INFO`.
pub(crate) fn limits(member: &Member) -> Result<(i32, MsgInfo)> {
    member.enter()?;
    Ok((registry(member.table()).highest_index(), info(member)))
}

/// The limits, and the numbers that Linux computes from them and enforces nowhere.
fn info(member: &Member) -> MsgInfo {
    let limits = member.limits();
    MsgInfo {
        msgpool: int(limits.msgmni.saturating_mul(limits.msgmnb) / 1024),
        msgmap: int(limits.msgmnb),
        msgmax: int(limits.msgmax),
        msgmnb: int(limits.msgmnb),
        msgmni: int(limits.msgmni),
        msgssz: 16,
        msgtql: int(limits.msgmnb),
        msgseg: 0xffff,
        ..MsgInfo::default()
    }
}

/// `MSG_INFO`.
pub(crate) fn usage(member: &Member) -> Result<(i32, MsgInfo)> {
    member.enter()?;
    // What a dead owner of the lock has made does not count before it is recovered.
    drop(LockedQueues::lock(member, &member.lock_private()));
    let registry = registry(member.table());
    let (mut queues, mut messages, mut bytes) = (0, 0u64, 0u64);
    for number in registry.used_numbers() {
        let slot = &registry.slots[number];
        if slot.tally.lane.load(Acquire) != 0 {
            // For its effect: what is in the lane is counted. What cannot be opened is another user's.
            let _ = stat(member, number as i32, StatBy::IndexAny);
        }
        if slot.head.state().exists() {
            queues += 1;
            messages = messages.saturating_add(slot.tally.messages.load(Relaxed));
            bytes = bytes.saturating_add(slot.tally.bytes.load(Relaxed));
        }
    }
    let usage = MsgInfo {
        msgpool: queues,
        msgmap: int(messages),
        msgtql: int(bytes),
        ..info(member)
    };
    Ok((registry.highest_index(), usage))
}
