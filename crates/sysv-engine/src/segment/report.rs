//! Looking at the segments and who has them, for people.

use core::sync::atomic::Ordering::Relaxed;

use super::{LockedSegments, backing, control};
use crate::abi::{SHM_RDONLY, ShmidDs};
use crate::errno::Result;
use crate::identity::{Command, Identity};
use crate::member::Member;
use crate::registry::Slot;

/// A segment, as an operator wants to see it.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct SegmentReport {
    /// Identifier.
    pub id: i32,
    /// What `IPC_STAT` says.
    pub ds: ShmidDs,
    /// Bytes in memory or swap.
    pub resident: u64,
    /// Creator's process id in its own pid namespace, whatever the reader's.
    pub creator_pid: u32,
    /// Inode number of the creator's pid namespace; 0 if unknown.
    pub creator_pid_namespace: u32,
    command: [u8; 32],
}

impl SegmentReport {
    /// The creator's command name.
    pub fn command(&self) -> &[u8] {
        until_nul(&self.command)
    }
}

/// An attachment, as an operator wants to see it.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct AttachmentReport {
    /// Process id in its own pid namespace.
    pub pid: u32,
    /// Inode number of that pid namespace; 0 if unknown.
    pub pid_namespace: u32,
    /// Effective user when the process joined the namespace.
    pub uid: u32,
    /// Address in that process.
    pub address: u64,
    /// Length in bytes.
    pub length: u64,
    /// Attached with `SHM_RDONLY`.
    pub read_only: bool,
    command: [u8; 32],
}

impl AttachmentReport {
    /// The process's command name when it joined.
    pub fn command(&self) -> &[u8] {
        until_nul(&self.command)
    }
}

fn until_nul(bytes: &[u8]) -> &[u8] {
    &bytes[..bytes.iter().position(|&b| b == 0).unwrap_or(bytes.len())]
}

/// Calls `each` with every segment, lowest index first.
pub(crate) fn segments(member: &Member, each: &mut dyn FnMut(&SegmentReport)) -> Result<()> {
    segments_and_holders(member, &mut |_, _| {}, each)
}

/// Segments that are looked at without giving the lock back. Each time the file `live` is opened anew.
const AT_ONCE: usize = 16;

/// As [`segments`], and calls `holder` with each segment's identifier and attachments before `each` with the segment. `holder`
/// must not call the facility.
pub(crate) fn segments_and_holders(
    member: &Member,
    holder: &mut dyn FnMut(i32, &AttachmentReport),
    each: &mut dyn FnMut(&SegmentReport),
) -> Result<()> {
    member.enter()?;
    // Whoever died in the middle of a change may have left segments unmarked: taking the lock recovers them.
    drop(LockedSegments::lock(member, &member.lock_private()));
    let mut numbers = super::registry(member.table()).used_numbers();
    loop {
        let mut reports = [const { None }; AT_ONCE];
        let mut any = false;
        {
            let private = member.lock_private();
            let locked = LockedSegments::lock(member, &private);
            for (place, number) in reports.iter_mut().zip(&mut numbers) {
                *place = report(&locked, number, holder);
                any = true;
            }
        }
        if !any {
            return Ok(());
        }
        // Without the lock: `each` may be slow and may call us.
        reports.iter().flatten().for_each(&mut *each);
    }
}

fn report(
    locked: &LockedSegments<'_>,
    number: usize,
    holder: &mut dyn FnMut(i32, &AttachmentReport),
) -> Option<SegmentReport> {
    let member = locked.member;
    let registry = locked.registry();
    locked.destroy_if_unused(number);
    let slot = registry.slots.get(number)?;
    let state = slot.head().state();
    if !state.exists() {
        return None;
    }
    let nattch = locked.reap(number);
    let id = registry.id(number, state);
    holders(locked, number, &mut |attachment| holder(id, attachment));
    let creator = Identity::from_word(slot.head.creator.load(Relaxed));
    Some(SegmentReport {
        id,
        ds: control::describe(slot, state, nattch, member.identity()),
        resident: backing::resident(member, slot, id),
        creator_pid: creator.pid(),
        creator_pid_namespace: creator.namespace(),
        command: Command::load(&slot.head.command).bytes(),
    })
}

/// Calls `each` with every attachment of a segment.
pub(crate) fn attachments(member: &Member, id: i32, each: &mut dyn FnMut(&AttachmentReport)) -> Result<()> {
    member.enter()?;
    let private = member.lock_private();
    let locked = LockedSegments::lock(member, &private);
    let (number, _, _) = locked.registry().find_id(id)?;
    locked.reap(number);
    holders(&locked, number, each);
    Ok(())
}

fn holders(locked: &LockedSegments<'_>, number: usize, each: &mut dyn FnMut(&AttachmentReport)) {
    locked.for_each_of_segment(number, &mut |_, owner, record| {
        let Some(process) = locked.table().processes.get(owner.index()) else {
            return;
        };
        let identity = Identity::from_word(process.identity.load(Relaxed));
        each(&AttachmentReport {
            pid: identity.pid(),
            pid_namespace: identity.namespace(),
            uid: process.uid.load(Relaxed),
            address: record.address.load(Relaxed),
            length: record.length.load(Relaxed),
            read_only: record.flags.load(Relaxed) as i32 & SHM_RDONLY != 0,
            command: Command::load(&process.command).bytes(),
        });
    });
}

/// Frees the memory of removed segments that only the dead had, and calls `each` with every process that still has one
/// attached: its id and its pid namespace's inode number. `each` must not call the facility.
pub(crate) fn holders_of_removed(member: &Member, each: &mut dyn FnMut(u32, u32)) -> Result<()> {
    member.enter()?;
    let private = member.lock_private();
    let locked = LockedSegments::lock(member, &private);
    for number in locked.registry().doomed_numbers() {
        locked.destroy_if_unused(number);
        // Of a segment that is gone no record is left.
        locked.for_each_of_segment(number, &mut |_, owner, _| {
            if let Some(process) = locked.table().processes.get(owner.index()) {
                let identity = Identity::from_word(process.identity.load(Relaxed));
                each(identity.pid(), identity.namespace());
            }
        });
    }
    Ok(())
}

/// A number that changes with every change to a segment, while removed segments wait for their last user; `None` while
/// none does.
pub(crate) fn removed_waiting(member: &Member) -> Option<u64> {
    let header = super::registry(member.table()).header;
    (header.doomed.load(Relaxed) != 0).then(|| header.version.load(Relaxed))
}
