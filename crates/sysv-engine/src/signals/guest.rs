//! Whose memory this is.
//!
//! A `vfork` child runs in its parent's memory with signal actions of its own. It must not touch the parent's wishes, and
//! is known by an id that differs from the owner's.

#![allow(unsafe_code)]

use core::sync::atomic::Ordering::{AcqRel, Acquire, Relaxed, Release};
use core::sync::atomic::{AtomicPtr, AtomicU32};

use super::lock::Guard;
use crate::abi::PAGE_SIZE;
use crate::sys;

/// The owner's process id, on a page that reads zero in a forked child.
static OWNER: AtomicPtr<AtomicU32> = AtomicPtr::new(core::ptr::null_mut());

fn owner() -> Option<&'static AtomicU32> {
    // SAFETY: null, or the page, which is never unmapped.
    unsafe { OWNER.load(Acquire).as_ref() }
}

/// Whether this process is a guest in another's memory.
pub(super) fn is_guest() -> bool {
    let Some(owner) = owner() else { return false };
    let me = sys::getpid();
    match owner.compare_exchange(0, me, AcqRel, Acquire) {
        Ok(_) => false,
        Err(owner) => owner != me,
    }
}

/// Whether guests can be told from the owner.
pub(super) fn memory_is_marked() -> bool {
    !OWNER.load(Relaxed).is_null()
}

/// Makes the page; false if it cannot be had.
pub(super) fn mark_memory(_: &Guard) -> bool {
    if memory_is_marked() {
        return true;
    }
    let Ok(page) = sys::map_anonymous(PAGE_SIZE) else {
        return false;
    };
    if sys::madvise_fork(page, PAGE_SIZE, libc::MADV_WIPEONFORK).is_err() {
        // SAFETY: the page was mapped above and nobody knows it.
        let _ = unsafe { sys::munmap(page, PAGE_SIZE) };
        return false;
    }
    OWNER.store(page as *mut AtomicU32, Release);
    after_fork_in_child();
    true
}

/// To be called in a child that has a copy of its parent's memory, before it makes children of its own.
pub(crate) fn after_fork_in_child() {
    if let Some(owner) = owner() {
        owner.store(sys::getpid(), Relaxed);
    }
}
