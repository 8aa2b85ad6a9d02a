//! Mapped files of ours that another member of the namespace may cut short.
//!
//! Reading past the end of a file is a `SIGBUS`, and one hostile `truncate` must not kill every member. Inside a
//! registered range the handler puts a page of zeros in the file's place, for this process alone, raises the
//! range's flag and goes on: whoever reads the range looks at the flag before believing what was read.

#![allow(unsafe_code)]

use core::sync::atomic::Ordering::{Acquire, Relaxed, Release};
use core::sync::atomic::{AtomicBool, AtomicPtr, AtomicUsize, fence};

use crate::abi::PAGE_SIZE;
use crate::errno::{Errno, Result};
use crate::signals::{self, Protection};
use crate::sys;

/// How many ranges there can be.
const RANGES: usize = 64;

/// One range. Read by the handler at any moment, so that it has no lock:
///
/// | `start` | `len` | meaning |
/// |---|---|---|
/// | 0 | 0 | free |
/// | not 0 | 0 | being registered or removed, by one thread |
/// | not 0 | not 0 | in force; `damaged` is valid |
struct Range {
    start: AtomicUsize,
    len: AtomicUsize,
    damaged: AtomicPtr<AtomicBool>,
}

static TABLE: [Range; RANGES] = [const {
    Range {
        start: AtomicUsize::new(0),
        len: AtomicUsize::new(0),
        damaged: AtomicPtr::new(core::ptr::null_mut()),
    }
}; RANGES];

/// A registration; it ends when this is dropped, which must come before the range is unmapped.
#[derive(Debug)]
pub struct Guarded {
    index: usize,
}

/// Registers a mapped range: from now on a missing page in it reads as zeros and sets `damaged`.
///
/// # Safety
/// The range is a mapping of the caller's, page-aligned, and stays mapped until the registration is dropped.
///
/// # Errors
/// `ENOMEM` if too many ranges are registered; `EINVAL` if the range is empty.
pub unsafe fn guard(start: usize, len: usize, damaged: &'static AtomicBool) -> Result<Guarded> {
    if start == 0 || len == 0 {
        return Err(Errno::EINVAL);
    }
    if Protection::now().is_undecided() {
        signals::take_faults();
    }
    for (index, range) in TABLE.iter().enumerate() {
        if range.start.compare_exchange(0, start, Acquire, Relaxed).is_ok() {
            range.damaged.store(core::ptr::from_ref(damaged).cast_mut(), Relaxed);
            range.len.store(len, Release);
            return Ok(Guarded { index });
        }
    }
    Err(Errno::ENOMEM)
}

impl Drop for Guarded {
    fn drop(&mut self) {
        let range = &TABLE[self.index];
        range.len.store(0, Relaxed);
        range.start.store(0, Release);
    }
}

/// Puts zeros where the file is missing, if `address` lies in a registered range.
pub(crate) fn replace_page(address: usize) -> bool {
    let Some(damaged) = TABLE.iter().find_map(|range| range.flag_for(address)) else {
        return false;
    };
    let page = address & !(PAGE_SIZE - 1);
    let (prot, flags) = (
        libc::PROT_READ | libc::PROT_WRITE,
        libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_FIXED,
    );
    // SAFETY: the page is part of a mapping of ours whose contents cannot be reached; see `guard`.
    let replaced = unsafe { sys::mmap(page, PAGE_SIZE, prot, flags, -1, 0) }.is_ok();
    damaged.store(true, Release);
    replaced
}

impl Range {
    /// The flag to raise, if `address` is inside.
    fn flag_for(&self, address: usize) -> Option<&'static AtomicBool> {
        let len = self.len.load(Acquire);
        let start = self.start.load(Relaxed);
        let damaged = self.damaged.load(Relaxed);
        if len == 0 || address.wrapping_sub(start) >= len {
            return None;
        }
        // The three belong together only if nobody changed the slot in between.
        fence(Acquire);
        if self.len.load(Relaxed) != len || self.start.load(Relaxed) != start {
            return None;
        }
        // SAFETY: `guard` stored a `&'static AtomicBool` before it stored `len`.
        Some(unsafe { &*damaged })
    }
}
