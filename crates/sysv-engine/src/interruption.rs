//! One thread ends another's wait for a message or for room: `pthread_cancel(3)`, for `msgsnd` and `msgrcv` are cancellation
//! points.
//!
//! The engine does not know what a cancellation is. A thread that [`begin`]s a call remembers how often it had been
//! [interrupted](interrupt); if the count has changed, a wait ends with `EINTR`, and whoever made the call asks the C library.
//! Until the first interruption in a process all this costs one load.
//!
//! Threads share the counts, several to each: a thread may find itself interrupted when another was meant. The address of the
//! word on which a thread sleeps is left so that it can be woken at once. If another of the same count has left its own, the
//! thread finds the interruption at the end of its nap, for nobody sleeps without looking for more than a fraction of a second.

use core::sync::atomic::Ordering::{Relaxed, SeqCst};
use core::sync::atomic::{AtomicU32, AtomicUsize};

use crate::{critical, sys};

/// What some of the threads share.
struct Shared {
    interruptions: AtomicU32,
    /// The address of the word on which one of them sleeps, or 0.
    sleeps_on: AtomicUsize,
}

const BITS: u32 = 6;

static SHARED: [Shared; 1 << BITS] = [const {
    Shared {
        interruptions: AtomicU32::new(0),
        sleeps_on: AtomicUsize::new(0),
    }
}; 1 << BITS];

/// Whether anybody was ever interrupted.
static EVER: AtomicU32 = AtomicU32::new(0);

/// What a thread shares with some others, by its `pthread_t`: an address, whose low bits say nothing.
fn shared(thread: usize) -> &'static Shared {
    let hash = (thread as u64 >> 6).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    &SHARED[(hash >> (u64::BITS - BITS)) as usize]
}

fn own() -> &'static Shared {
    #![allow(unsafe_code)]
    // SAFETY: no argument.
    shared(unsafe { libc::pthread_self() } as usize)
}

/// Begins a call that can be interrupted from now on. Whether somebody may have been interrupted before.
#[inline]
pub fn begin() -> bool {
    let ever = EVER.load(SeqCst) != 0;
    if ever {
        let now = own().interruptions.load(SeqCst);
        critical::interruptions_seen().store(now, Relaxed);
    }
    ever
}

/// Whether the calling thread was interrupted since it [began](begin) its call.
#[inline]
pub(crate) fn is_interrupted() -> bool {
    EVER.load(SeqCst) != 0 && own().interruptions.load(SeqCst) != critical::interruptions_seen().load(Relaxed)
}

/// Makes a request of a thread, and interrupts it. A call that began before the request is interrupted; one that begins after
/// it must look for itself.
pub fn interrupt<R>(thread: usize, request: impl FnOnce() -> R) -> R {
    EVER.store(1, SeqCst);
    let requested = request();
    let shared = shared(thread);
    shared.interruptions.fetch_add(1, SeqCst);
    let word = shared.sleeps_on.load(SeqCst);
    if word != 0 {
        // Everybody who sleeps there looks and sleeps on.
        sys::futex_wake_at(word, i32::MAX);
    }
    requested
}

/// Sleeps, in such a way that [`interrupt`] wakes the calling thread: `sleep` returns when `word` is woken.
pub(crate) fn sleeping_on<R>(word: &AtomicU32, sleep: impl FnOnce() -> R) -> R {
    let sleeps_on = &own().sleeps_on;
    sleeps_on.store(word.as_ptr() as usize, SeqCst);
    let slept = sleep();
    sleeps_on.store(0, Relaxed);
    slept
}
