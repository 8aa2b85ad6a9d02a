//! Reading without the lock: a version that is odd while the lock's holder changes something.
//!
//! A reader looks at it before and after, and what it has read counts only if nothing changed. A holder that dies leaves it
//! odd, so that readers take the lock and recover. (Boehm: "Can seqlocks get along with programming language memory
//! models?", 2012, explains the fences.)

use core::sync::atomic::Ordering::{Acquire, Relaxed, Release};

use crate::primitive::{AtomicU64, fence};

/// Begins a change; the caller holds the lock, and its last holder may have died in the middle of one.
pub(crate) fn begin_change(version: &AtomicU64) {
    version.store(version.load(Relaxed) | 1, Relaxed);
    // The changes that follow come after it for every reader.
    fence(Release);
}

/// Ends a change.
pub(crate) fn end_change(version: &AtomicU64) {
    version.store(version.load(Relaxed).wrapping_add(1) & !1, Release);
}

/// What `read` returns, if nobody changed anything meanwhile; `read` must only load.
#[inline]
pub(crate) fn read_unchanged<T>(version: &AtomicU64, read: impl FnOnce() -> T) -> Option<T> {
    let before = version.load(Acquire);
    if before % 2 == 1 {
        return None;
    }
    let value = read();
    // The loads above happen before the second look at the version.
    fence(Acquire);
    (version.load(Relaxed) == before).then_some(value)
}
