//! `fork`: the child has its parent's attachments, and they count from the moment it exists.
//!
//! Before a `fork` the parent claims a record for the child, with copies of its attach records. The lock that proves the
//! child alive is held by a mapping which the child inherits and the parent then gives up: it is never free in between,
//! however the two are killed.
//!
//! `fork(3)` itself is seen through `pthread_atfork`. Whoever interposes `_Fork`, `clone` or `syscall` calls the hooks
//! here. A child forked past all of these finds its [`Presence`](crate::member) page wiped at its first call.

#![allow(unsafe_code)]

use core::cell::UnsafeCell;
use core::sync::atomic::AtomicU32;
use core::sync::atomic::Ordering::Relaxed;

use super::MEMBERS;
use super::enrol::{bury, claim, describe};
use crate::critical::Section;
use crate::errno::{Errno, Result};
use crate::identity::Identity;
use crate::live::{Live, ProofOfLife};
use crate::lock::Tag;
use crate::member::{Member, Private};
use crate::page_vec::PageVec;
use crate::private_lock::PrivateGuard;
use crate::segment::LockedSegments;
use crate::semaphore;
use crate::signals;

/// What `fork` has made ready for the child.
#[derive(Clone, Copy)]
pub(crate) struct PreparedChild {
    index: usize,
    tag: Tag,
    proof: ProofOfLife,
}

/// The critical section of the forking thread, while [`MEMBERS`] is held across the fork.
static FORKING: Forking = Forking(UnsafeCell::new(None));

struct Forking(UnsafeCell<Option<Section>>);

// SAFETY: only the holder of `MEMBERS` looks at it.
unsafe impl Sync for Forking {}

/// Has the C library call the hooks around every `fork(3)`.
pub(crate) fn watch_forks() {
    static WATCHED: AtomicU32 = AtomicU32::new(0);
    if WATCHED.swap(1, Relaxed) == 0 {
        // SAFETY: the three functions may be called at any time; pthread_atfork fails only for want of memory, and then
        // children enrol themselves at their first call.
        unsafe { libc::pthread_atfork(Some(prepare), Some(parent), Some(child)) };
    }
}

extern "C" fn prepare() {
    before_fork();
}

extern "C" fn parent() {
    after_fork_in_parent();
}

extern "C" fn child() {
    after_fork_in_child();
}

/// Before a `fork` of the calling process. One of the two that follow must be called by the same thread, or by its copy.
pub fn before_fork() {
    let members = MEMBERS.lock();
    for member in members.as_slice() {
        let mut private = member.lock_private();
        private.child = prepare_child(member, &mut private).ok().flatten();
        // Nested in the section of the lock on MEMBERS, which lasts.
        drop(private.suspend());
    }
    let section = members.suspend();
    // SAFETY: this thread holds MEMBERS.
    unsafe { *FORKING.0.get() = Some(section) };
}

fn prepare_child(member: &Member, private: &mut Private) -> Result<Option<PreparedChild>> {
    if !member.is_present() || private.attachments.as_slice().is_empty() {
        return Ok(None);
    }
    let live = Live::open(member.directory())?;
    let claim = claim(member, &live)?;
    let record = &member.table().processes[claim.index];
    // Until the child says who it is, it is a nameless process of the parent's namespace.
    describe(record, member.identity().with_pid(0));
    let locked = LockedSegments::lock(member, private);
    locked.drop_attachments_of(claim.index);
    drop(locked);
    semaphore::drop_of_dead(member, private, claim.index, Some(claim.tag));
    let locked = LockedSegments::lock(member, private);
    let mut complete = Ok(());
    for piece in private.attachments.as_mut_slice() {
        match locked.new_record(claim.tag, &piece.describe()) {
            Ok(index) => piece.child_record = index,
            // Gone already, and not counted for the parent either.
            Err(Errno::EIDRM) => {
                piece.child_record = usize::MAX;
                continue;
            }
            Err(errno) => complete = Err(errno),
        }
        // As Linux has it: a fork attaches, in the parent's name.
        locked.note_attach(piece.slot, member.identity());
    }
    drop(locked);
    if complete.is_err() {
        claim.proof.release();
        bury(member, private, &live, claim.index)?;
    }
    complete.map(|()| {
        Some(PreparedChild {
            index: claim.index,
            tag: claim.tag,
            proof: claim.proof,
        })
    })
}

fn resume_members() -> PrivateGuard<'static, PageVec<&'static Member>> {
    // SAFETY: this thread, or the one whose copy it is, holds MEMBERS.
    let section = unsafe { (*FORKING.0.get()).take() };
    PrivateGuard::resume(&MEMBERS, section.unwrap_or_else(Section::enter))
}

/// After a `fork`, in the parent, whether or not it succeeded.
pub fn after_fork_in_parent() {
    let members = resume_members();
    for member in members.as_slice() {
        let mut private = PrivateGuard::resume(&member.private, Section::enter());
        let Some(child) = private.child.take() else { continue };
        child.proof.release();
        // If there is no child, nothing holds its byte now. Otherwise this finds it alive and leaves it.
        if let Ok(live) = Live::open(member.directory()) {
            let _ = bury(member, &private, &live, child.index);
        }
    }
}

/// After a `fork`, in the child.
pub fn after_fork_in_child() {
    signals::after_fork_in_child();
    let members = resume_members();
    for member in members.as_slice() {
        let mut private = PrivateGuard::resume(&member.private, Section::enter());
        member.own_lock();
        let Some(child) = private.child.take() else {
            private.proof = None;
            member.set_present(false);
            continue;
        };
        let _ = child.proof.keep_from_children();
        let identity = Identity::own();
        if let Some(record) = member.table().processes.get(child.index) {
            describe(record, identity);
        }
        member.set_tag(child.tag);
        member.set_identity(identity);
        private.proof = Some(child.proof);
        for piece in private.attachments.as_mut_slice() {
            piece.record = piece.child_record;
        }
        member.set_present(true);
    }
}
