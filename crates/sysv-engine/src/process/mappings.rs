//! `munmap`, `mmap` and `mremap` by the program: attachments that these remove, replace or move stop counting or are
//! followed.
//!
//! The system call and the bookkeeping are one step for the process's other threads: both happen under the locks under
//! which `shmat` maps.

#![allow(unsafe_code)]

use core::sync::atomic::AtomicUsize;
use core::sync::atomic::Ordering::Relaxed;

use super::MEMBERS;
use crate::errno::Result;
use crate::member::Member;
use crate::segment;
use crate::sys;

/// Pieces of attachments in this process, in all namespaces.
static ATTACHED: AtomicUsize = AtomicUsize::new(0);
/// Below and above all of them; only ever widened while there are any.
static LOWEST: AtomicUsize = AtomicUsize::new(usize::MAX);
static HIGHEST: AtomicUsize = AtomicUsize::new(0);

/// The process has one piece more.
pub(crate) fn note_attached(start: usize, len: usize) {
    LOWEST.fetch_min(start, Relaxed);
    HIGHEST.fetch_max(start + len, Relaxed);
    ATTACHED.fetch_add(1, Relaxed);
}

/// The process has so many pieces less.
pub(crate) fn note_detached(pieces: usize) {
    ATTACHED.fetch_sub(pieces, Relaxed);
}

#[inline]
fn concerns(start: usize, len: usize) -> bool {
    ATTACHED.load(Relaxed) != 0 && start < HIGHEST.load(Relaxed) && start.saturating_add(len) > LOWEST.load(Relaxed)
}

/// Runs `call` with every member's private lock held, then `follow` for each member.
fn together<R>(
    members: &[&Member],
    call: &mut dyn FnMut() -> Result<R>,
    follow: &mut dyn FnMut(&Member, &mut crate::member::Private, &R),
) -> Result<R> {
    let Some((member, rest)) = members.split_first() else {
        return call();
    };
    let mut private = member.lock_private();
    let result = together(rest, call, follow)?;
    // A child forked behind our back has records of its own to give up first.
    if member.is_present() {
        follow(member, &mut private, &result);
    }
    Ok(result)
}

fn enter_all() {
    let members = MEMBERS.lock();
    for member in members.as_slice() {
        // Failing that, the child's attachments are not counted, and there is nothing to follow.
        let _ = member.enrol_if_forked();
    }
}

/// `munmap(2)`.
///
/// # Safety
/// As for munmap(2).
///
/// # Errors
/// As for munmap(2).
pub unsafe fn munmap(addr: usize, len: usize) -> Result<()> {
    if !concerns(addr, len) {
        // SAFETY: the caller's promise.
        return unsafe { sys::munmap(addr, len) };
    }
    enter_all();
    let members = MEMBERS.lock();
    together(
        members.as_slice(),
        // SAFETY: the caller's promise.
        &mut || unsafe { sys::munmap(addr, len) },
        &mut |member, private, ()| segment::range_gone(member, private, addr, end_of(addr, len)),
    )
}

/// `mmap(2)`, all arguments as they are.
///
/// # Safety
/// As for mmap(2).
///
/// # Errors
/// As for mmap(2).
pub unsafe fn mmap(addr: usize, len: usize, prot: i32, flags: i32, fd: i32, offset: u64) -> Result<usize> {
    let replaces = flags & libc::MAP_FIXED != 0 && flags & libc::MAP_FIXED_NOREPLACE != libc::MAP_FIXED_NOREPLACE;
    if !replaces || !concerns(addr, len) {
        // SAFETY: the caller's promise.
        return unsafe { sys::mmap(addr, len, prot, flags, fd, offset) };
    }
    enter_all();
    let members = MEMBERS.lock();
    together(
        members.as_slice(),
        // SAFETY: the caller's promise.
        &mut || unsafe { sys::mmap(addr, len, prot, flags, fd, offset) },
        &mut |member, private, &at| segment::range_gone(member, private, at, end_of(at, len)),
    )
}

/// `mremap(2)`, all arguments as they are.
///
/// # Safety
/// As for mremap(2).
///
/// # Errors
/// As for mremap(2).
pub unsafe fn mremap(old: usize, old_len: usize, new_len: usize, flags: i32, new: usize) -> Result<usize> {
    let fixed = flags & libc::MREMAP_FIXED != 0;
    if !(concerns(old, old_len.max(1)) || fixed && concerns(new, new_len)) {
        // SAFETY: the caller's promise.
        return unsafe { sys::mremap(old, old_len, new_len, flags, new) };
    }
    enter_all();
    let members = MEMBERS.lock();
    together(
        members.as_slice(),
        // SAFETY: the caller's promise.
        &mut || unsafe { sys::mremap(old, old_len, new_len, flags, new) },
        &mut |member, private, &at| {
            if fixed {
                segment::range_gone(member, private, at, end_of(at, new_len));
            }
            let lengths = [old_len, new_len].map(|len| end_of(0, len));
            let stays = flags & libc::MREMAP_DONTUNMAP != 0;
            segment::move_pieces(member, private, (old, lengths[0]), (at, lengths[1]), stays);
        },
    )
}

/// The end of the whole pages that a range covers.
fn end_of(start: usize, len: usize) -> usize {
    start
        .saturating_add(len)
        .checked_next_multiple_of(crate::abi::PAGE_SIZE)
        .unwrap_or(usize::MAX)
}
