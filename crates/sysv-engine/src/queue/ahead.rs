//! What is fetched before it is needed.
//!
//! Two processes on two processors pass half a dozen cache lines to each other with each message: lock, counters, tally, order,
//! envelope, bytes. Taking a lock waits for all that was begun before it, and what it guards is looked for only afterwards, one line
//! after the other. So where a queue is used from two processors a call asks for all of them first. It only asks: where it guesses
//! wrong nothing is lost but time.

#![allow(unsafe_code)]

use core::arch::x86_64::{_MM_HINT_ET0, _MM_HINT_T0, _mm_prefetch};
use core::sync::atomic::Ordering::Relaxed;
use core::sync::atomic::{AtomicU32, AtomicUsize};

/// Asks for a cache line, to write to it. Any address will do.
#[inline(always)]
pub(super) fn fetch<T>(line: *const T) {
    // SAFETY: a prefetch of any address is without effect on the program.
    unsafe { _mm_prefetch::<_MM_HINT_ET0>(line.cast()) };
}

/// Asks for a message's cache lines, to read them.
#[inline(always)]
pub(super) fn fetch_to_read<T>(line: *const T) {
    // SAFETY: a prefetch of any address is without effect on the program.
    unsafe {
        _mm_prefetch::<_MM_HINT_T0>(line.cast());
        _mm_prefetch::<_MM_HINT_T0>(line.cast::<i8>().wrapping_add(64));
    };
}

/// What a process expects of its next call on a queue. All zeros expects nothing.
pub(super) struct Ahead {
    /// Whether somebody on another processor uses the queue.
    shared: AtomicU32,
    /// Addresses of the envelope and of the bytes.
    envelope: AtomicUsize,
    bytes: AtomicUsize,
}

impl Ahead {
    #[inline(always)]
    pub(super) fn is_shared(&self) -> bool {
        self.shared.load(Relaxed) != 0
    }

    /// Somebody on another processor uses the queue.
    pub(super) fn share(&self) {
        self.shared.store(1, Relaxed);
    }

    /// The next message is likely to have these.
    #[inline(always)]
    pub(super) fn expect<T>(&self, envelope: *const T, bytes: *const u8) {
        self.envelope.store(envelope.addr(), Relaxed);
        self.bytes.store(bytes.addr(), Relaxed);
    }

    pub(super) fn fetch(&self) {
        fetch(self.envelope.load(Relaxed) as *const u8);
        fetch(self.bytes.load(Relaxed) as *const u8);
    }
}
