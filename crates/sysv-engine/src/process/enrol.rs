//! Process records: how a process gets one, and how the dead lose theirs.

use core::mem::offset_of;
use core::sync::atomic::AtomicU32;
use core::sync::atomic::Ordering::{AcqRel, Acquire, Relaxed, Release};

use super::MEMBERS;
use super::exec::lives_on;
use crate::errno::{Errno, Result};
use crate::identity::{Command, Identity};
use crate::live::{Live, ProofOfLife};
use crate::lock::Tag;
use crate::member::{Member, Private};
use crate::namespace::{JoinError, JoinErrorKind};
use crate::segment::LockedSegments;
use crate::semaphore;
use crate::sys;
use crate::table::{PROCESSES, ProcessRecord, Table};

/// Records of possibly dead members that each newcomer looks at: cheap for it, and the dead do not pile up.
const LOOKED_AT: usize = 2;

/// A record that has just become somebody's.
pub(super) struct Claim {
    pub index: usize,
    pub tag: Tag,
    pub proof: ProofOfLife,
}

/// Gives the process a record.
pub(crate) fn enrol(member: &Member, private: &mut Private) -> core::result::Result<(), JoinError> {
    let live = Live::open(member.directory()).map_err(|errno| match errno {
        Errno::ENOENT | Errno::ELOOP => JoinError::new(JoinErrorKind::Damaged { file: "live" }),
        errno => JoinError::system("opening its file live")(errno),
    })?;
    let identity = Identity::own();
    // It tells which of the dead have only executed another program.
    member.set_identity(identity);
    let claim = claim(member, &live).map_err(|errno| match errno {
        Errno::EAGAIN => JoinError::new(JoinErrorKind::TooManyProcesses),
        // Something that cannot be locked or mapped stands in the file's place.
        Errno::ENODEV | Errno::EINVAL | Errno::EBADF => JoinError::new(JoinErrorKind::Damaged { file: "live" }),
        errno => JoinError::system("becoming a member")(errno),
    })?;
    let _ = claim.proof.keep_from_children();
    describe(&member.table().processes[claim.index], identity);
    member.set_tag(claim.tag);
    private.proof = Some(claim.proof);
    LockedSegments::lock(member, private).drop_attachments_of(claim.index);
    semaphore::drop_of_dead(member, private, claim.index, Some(claim.tag));
    member.own_lock();
    member.set_present(true);
    look_at_some(member, private, &live);
    Ok(())
}

/// Fills a record in for the calling process.
pub(super) fn describe(record: &ProcessRecord, identity: Identity) {
    record.started.store(0, Relaxed);
    record.identity.store(identity.word(), Relaxed);
    record.joined.store(sys::now(), Relaxed);
    record.uid.store(sys::geteuid(), Relaxed);
    Command::own().store(&record.command);
    record.state.store(1, Release);
}

/// Makes a free record, or a dead process's, somebody's: its byte is locked and its tag is new.
///
/// # Errors
/// `EAGAIN` if all records belong to living processes.
pub(super) fn claim(member: &Member, live: &Live) -> Result<Claim> {
    let bits = &member.table().process_bits;
    for (w, word) in bits.iter().enumerate() {
        loop {
            let bit = word.load(Relaxed).trailing_ones();
            if bit == 64 {
                break;
            }
            word.fetch_or(1 << bit, AcqRel);
            if let Some(claim) = try_claim(member, live, w * 64 + bit as usize)? {
                return Ok(claim);
            }
        }
    }
    for index in 0..PROCESSES {
        if let Some(claim) = try_claim(member, live, index)? {
            return Ok(claim);
        }
    }
    Err(Errno::EAGAIN)
}

fn try_claim(member: &Member, live: &Live, index: usize) -> Result<Option<Claim>> {
    let table = member.table();
    let pool = &table.header.processes;
    member.back(
        &pool.backed,
        index,
        offset_of!(Table, processes),
        size_of::<ProcessRecord>(),
        PROCESSES,
    )?;
    pool.high.fetch_max(index as u32 + 1, Relaxed);
    let record = &table.processes[index];
    if !live.begin_transition(index)? {
        return Ok(None);
    }
    let claimed = take_over(member, live, index, record);
    live.end_transition(index);
    claimed
}

/// The transition of a record to a living owner; the caller has begun it.
fn take_over(member: &Member, live: &Live, index: usize, record: &ProcessRecord) -> Result<Option<Claim>> {
    if live.holds(index)? || lives_on(record, member.identity()) {
        return Ok(None);
    }
    let tag = Tag::new(index, advance(&record.generation));
    match live.hold(index) {
        Ok(proof) => {
            // Once more: whoever buried the predecessor may have cleared it.
            member.table().process_bits[index / 64].fetch_or(1 << (index % 64), AcqRel);
            Ok(Some(Claim { index, tag, proof }))
        }
        Err(Errno::EAGAIN) => Ok(None),
        Err(errno) => Err(errno),
    }
}

/// Ends the predecessor's claim to everything that carries its tag.
fn advance(generation: &AtomicU32) -> u32 {
    generation.fetch_add(1, AcqRel).wrapping_add(1) & 0xffff
}

/// Takes a dead process's record from it, with what it held. `false` if the process lives or another does this already.
pub(super) fn bury(member: &Member, private: &Private, live: &Live, index: usize) -> Result<bool> {
    let table = member.table();
    let Some(record) = table.processes.get(index) else {
        return Ok(false);
    };
    if index == member.tag().index() || !live.begin_transition(index)? {
        return Ok(false);
    }
    let dead = !live.holds(index)?;
    let mut buried = dead;
    if dead && index >= table.header.processes.backed.load(Relaxed) as usize {
        // Its claimant died before it had touched the record, whose page may not even exist.
        clear_bit(table, index);
    } else if dead {
        buried = !lives_on(record, member.identity());
        if buried {
            advance(&record.generation);
        }
        LockedSegments::lock(member, private).drop_attachments_of(index);
        if buried {
            semaphore::drop_of_dead(member, private, index, None);
            free(member, index, record);
        }
    }
    live.end_transition(index);
    Ok(buried)
}

fn free(member: &Member, index: usize, record: &ProcessRecord) {
    // Who has had it may go on for a while, at its exit, and owes nothing any more.
    record.started.store(0, Release);
    record.state.store(0, Release);
    clear_bit(member.table(), index);
}

fn clear_bit(table: &Table, index: usize) {
    if let Some(word) = table.process_bits.get(index / 64) {
        word.fetch_and(!(1 << (index % 64)), AcqRel);
    }
}

/// Whether somebody has the record, had it until death, or died about to claim it. The record's own state would not do: a
/// claimant sets the bit first.
fn is_marked(table: &Table, index: usize) -> bool {
    let word = table.process_bits.get(index / 64);
    word.is_some_and(|word| word.load(Acquire) >> (index % 64) & 1 == 1)
}

fn look_at_some(member: &Member, private: &Private, live: &Live) {
    let pool = &member.table().header.processes;
    let high = (pool.high.load(Relaxed) as usize).min(PROCESSES);
    for _ in 0..LOOKED_AT {
        let index = pool.hand.fetch_add(1, Relaxed) as usize % high.max(1);
        if is_marked(member.table(), index) {
            let _ = bury(member, private, live, index);
        }
    }
}

/// Takes from all dead processes what they held.
pub(crate) fn sweep_members(member: &Member, private: &Private) -> Result<()> {
    let live = Live::open(member.directory())?;
    for index in 0..PROCESSES {
        if is_marked(member.table(), index) {
            bury(member, private, &live, index)?;
        }
    }
    Ok(())
}

/// Gives the process's record back, with its attachments; their memory stays mapped.
pub(crate) fn retire(member: &Member, private: &mut Private) {
    let tag = member.tag();
    {
        let locked = LockedSegments::lock(member, private);
        for piece in private.attachments.as_slice() {
            locked.detach(piece.slot, piece.record, tag, member.identity());
        }
    }
    semaphore::drop_own(member, private);
    member.set_present(false);
    if let Some(record) = member.table().processes.get(tag.index()) {
        free(member, tag.index(), record);
    }
    if let Some(proof) = private.proof.take() {
        proof.release();
    }
}

/// Enrols a process that has no record: a child forked behind our back, one that `fork` could prepare nothing for, or one
/// that calls once more while it exits. What it has attached counts again from here.
#[cold]
pub(crate) fn enrol_again(member: &Member) -> Result<()> {
    if member.is_damaged() {
        return Err(Errno::EIO);
    }
    let forked = member.inherit_lock();
    let mut private = if forked {
        // Forked behind our back: the lock may be held by a thread that exists only in the parent.
        drop(MEMBERS.seize());
        member.private.seize()
    } else {
        member.lock_private()
    };
    if member.is_present() {
        return Ok(());
    }
    let parent = member.identity();
    private.proof = None;
    private.child = None;
    enrol(member, &mut private).map_err(|error| error.errno())?;
    let locked = LockedSegments::lock(member, &private);
    for piece in private.attachments.as_mut_slice() {
        piece.record = locked.new_record(member.tag(), &piece.describe()).unwrap_or(usize::MAX);
        if forked {
            locked.note_attach(piece.slot, parent);
        }
    }
    Ok(())
}
