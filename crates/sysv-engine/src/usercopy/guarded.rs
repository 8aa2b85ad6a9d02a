//! Mapped files of ours that another member of the namespace may cut short.
//!
//! Reading past the end of a file is a `SIGBUS`, and one hostile `truncate` must not kill every member. Inside a
//! registered range the handler puts a page of zeros in the file's place, for this process alone, raises the
//! range's alarm and goes on. A table's alarm makes every later call of the process fail with `EIO`. Sets and queues have
//! none: zeros are the head of no set and of no queue, and whoever finds them there takes the object for removed.
//!
//! Only in namespaces for several users, so that no other process has our handler for this alone: in others every member
//! could as well kill every other.

#![allow(unsafe_code)]

use core::sync::atomic::Ordering::{AcqRel, Acquire, Relaxed, Release};
use core::sync::atomic::{AtomicBool, AtomicPtr, AtomicU32, AtomicUsize, fence};

use crate::abi::PAGE_SIZE;
use crate::errno::{Errno, Result};
use crate::signals::{self, Protection};
use crate::sys;

/// What the handler does when a range has lost pages.
#[derive(Debug)]
pub struct Alarm {
    raised: AtomicBool,
    /// A word that whoever uses the range looks at anyway; set to 0. Null for none.
    gate: AtomicPtr<AtomicU32>,
}

impl Alarm {
    /// One that only says so.
    pub const fn new() -> Alarm {
        Alarm {
            raised: AtomicBool::new(false),
            gate: AtomicPtr::new(core::ptr::null_mut()),
        }
    }

    /// Has the word set to 0 as well.
    ///
    /// # Safety
    /// The word stays as long as a range is registered with this alarm.
    pub(crate) unsafe fn close(&self, gate: &AtomicU32) {
        self.gate.store(core::ptr::from_ref(gate).cast_mut(), Release);
    }

    /// Whether a page has been missed.
    pub fn is_raised(&self) -> bool {
        self.raised.load(Acquire)
    }

    fn raise(&self) {
        self.raised.store(true, Release);
        // SAFETY: null, or what `close` was given.
        if let Some(gate) = unsafe { self.gate.load(Acquire).as_ref() } {
            gate.store(0, Release);
        }
    }
}

impl Default for Alarm {
    fn default() -> Alarm {
        Alarm::new()
    }
}

/// Ranges in a chunk of the list.
const RANGES: usize = 126;

/// One range. Read by the handler at any moment, so that it has no lock:
///
/// | `start` | `len` | meaning |
/// |---|---|---|
/// | 0 | 0 | free |
/// | not 0 | 0 | being registered or removed, by one thread |
/// | not 0 | not 0 | in force; `alarm` is valid, or null |
struct Range {
    start: AtomicUsize,
    len: AtomicUsize,
    alarm: AtomicPtr<Alarm>,
}

/// The list of ranges grows and never shrinks.
struct Chunk {
    ranges: [Range; RANGES],
    next: AtomicPtr<Chunk>,
}

static LIST: Chunk = Chunk {
    ranges: [const {
        Range {
            start: AtomicUsize::new(0),
            len: AtomicUsize::new(0),
            alarm: AtomicPtr::new(core::ptr::null_mut()),
        }
    }; RANGES],
    next: AtomicPtr::new(core::ptr::null_mut()),
};

fn chunks() -> impl Iterator<Item = &'static Chunk> {
    // SAFETY: null, or a chunk that stays.
    core::iter::successors(Some(&LIST), |chunk| unsafe { chunk.next.load(Acquire).as_ref() })
}

fn ranges() -> impl Iterator<Item = &'static Range> {
    chunks().flat_map(|chunk| &chunk.ranges)
}

/// A registration; it ends when this is dropped, which must come before the range is unmapped.
#[derive(Debug)]
pub struct Guarded {
    start: usize,
}

/// Registers a mapped range: from now on a missing page in it reads as zeros and raises the alarm.
///
/// # Safety
/// The range is a mapping of the caller's, page-aligned, and stays mapped until the registration is dropped.
///
/// # Errors
/// `ENOMEM` if there is no memory to remember the range in; `EINVAL` if it is empty.
pub unsafe fn guard(start: usize, len: usize, alarm: &'static Alarm) -> Result<Guarded> {
    // SAFETY: the caller's promise.
    unsafe { register(start, len, core::ptr::from_ref(alarm).cast_mut()) }
}

/// As [`guard`], for a range whose readers take zeros for what they are.
///
/// # Safety
/// As [`guard`].
pub(crate) unsafe fn guard_quietly(start: usize, len: usize) -> Result<Guarded> {
    // SAFETY: the caller's promise.
    unsafe { register(start, len, core::ptr::null_mut()) }
}

unsafe fn register(start: usize, len: usize, alarm: *mut Alarm) -> Result<Guarded> {
    if start == 0 || len == 0 {
        return Err(Errno::EINVAL);
    }
    if Protection::now().is_undecided() {
        signals::take_faults();
    }
    loop {
        for range in ranges() {
            if range.start.load(Relaxed) == 0 && range.start.compare_exchange(0, start, Acquire, Relaxed).is_ok() {
                range.alarm.store(alarm, Relaxed);
                range.len.store(len, Release);
                return Ok(Guarded { start });
            }
        }
        add_chunk()?;
    }
}

#[cold]
fn add_chunk() -> Result<()> {
    let memory = sys::map_anonymous(size_of::<Chunk>()).map_err(|_| Errno::ENOMEM)?;
    let mut last = &LIST;
    // Zeros are a chunk of free ranges.
    while let Err(next) = last
        .next
        .compare_exchange(core::ptr::null_mut(), memory as *mut Chunk, AcqRel, Acquire)
    {
        // SAFETY: not null, and a chunk that stays.
        last = unsafe { &*next };
    }
    Ok(())
}

/// Ends a registration that was [forgotten](core::mem::forget), if there is one of a range that begins here.
pub(crate) fn unguard(start: usize) {
    let registered = ranges().find(|range| range.start.load(Relaxed) == start && range.len.load(Relaxed) != 0);
    if let Some(range) = registered {
        range.len.store(0, Relaxed);
        range.start.store(0, Release);
    }
}

impl Drop for Guarded {
    fn drop(&mut self) {
        unguard(self.start);
    }
}

/// Puts zeros where the file is missing, if `address` lies in a registered range.
pub(crate) fn replace_page(address: usize) -> bool {
    let Some(alarm) = ranges().find_map(|range| range.alarm_for(address)) else {
        return false;
    };
    let page = address & !(PAGE_SIZE - 1);
    let (prot, flags) = (
        libc::PROT_READ | libc::PROT_WRITE,
        libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_FIXED,
    );
    // SAFETY: the page is part of a mapping of ours whose contents cannot be reached; see `guard`.
    let replaced = unsafe { sys::mmap(page, PAGE_SIZE, prot, flags, -1, 0) }.is_ok();
    if let Some(alarm) = alarm {
        alarm.raise();
    }
    replaced
}

impl Range {
    /// The alarm to raise, if there is one, if `address` is inside.
    fn alarm_for(&self, address: usize) -> Option<Option<&'static Alarm>> {
        let len = self.len.load(Acquire);
        let start = self.start.load(Relaxed);
        let alarm = self.alarm.load(Relaxed);
        if len == 0 || address.wrapping_sub(start) >= len {
            return None;
        }
        // The three belong together only if nobody changed the slot in between.
        fence(Acquire);
        if self.len.load(Relaxed) != len || self.start.load(Relaxed) != start {
            return None;
        }
        // SAFETY: `guard` stored a `&'static Alarm`, or null, before it stored `len`.
        Some(unsafe { alarm.as_ref() })
    }
}
