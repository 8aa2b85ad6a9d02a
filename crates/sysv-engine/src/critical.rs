//! Stretches of code that no signal handler of the program may interrupt: where a lock is held that others wait for.
//!
//! A handler may call into the facility again, or `longjmp` away. In the middle of a critical section the first would wait
//! for itself, and the second would leave a lock held by a living process for ever.
//!
//! Blocking signals at the kernel costs two system calls, more than many of our calls take. Where every handler of the
//! program is entered through a wrapper (the preloaded library interposes `sigaction` and its kin), a counter in
//! thread-local memory does: a wrapper that finds it above zero blocks all signals in the interrupted context, sends the
//! signal to the thread once more, and returns; the section's end then lets it in. Where the caller promises that no handler
//! does either ([`handlers_keep_out`]) nothing need be done. Elsewhere signals are blocked.

#![allow(unsafe_code)]

use core::sync::atomic::Ordering::{Relaxed, SeqCst};
use core::sync::atomic::{AtomicU32, AtomicU64, compiler_fence};

use crate::errno::{Errno, Result};
use crate::signals::SignalMask;

/// | value | the program's handlers | sections |
/// |---|---|---|
/// | `UNKNOWN` | may do anything | block signals |
/// | `KEEP_OUT` | neither call the facility nor leave by `longjmp` | do nothing |
/// | `DEFER` | are entered through a wrapper that calls [`defers`] | do nothing |
static HANDLERS: AtomicU32 = AtomicU32::new(UNKNOWN);
const UNKNOWN: u32 = 0;
const KEEP_OUT: u32 = 1;
const DEFER: u32 = 2;

/// What a thread and its own signal handlers share.
#[repr(C)]
#[cfg_attr(miri, derive(Default))]
struct Thread {
    /// Critical sections that the thread is in.
    depth: AtomicU32,
    /// Whether a signal waits for their end.
    deferred: AtomicU32,
    /// The signals that the thread had blocked when they were deferred, or when the outermost section blocked all.
    mask: AtomicU64,
    /// Counts the program's handlers that were entered on the thread.
    handled: AtomicU64,
    /// Whether the outermost section blocked all signals at the kernel.
    blocked: AtomicU32,
    /// What [`interruption`](crate::interruption) remembers of the thread.
    interruptions_seen: AtomicU32,
}

// A thread-local variable without the standard library: zeroed memory in every thread's static block.
core::arch::global_asm!(
    ".pushsection .tbss.sysv_critical,\"awT\",@nobits",
    ".p2align 4",
    ".hidden sysv_critical_thread",
    ".globl sysv_critical_thread",
    ".type sysv_critical_thread, @object",
    ".size sysv_critical_thread, 32",
    "sysv_critical_thread:",
    ".zero 32",
    ".popsection",
);

const _: () = assert!(size_of::<Thread>() == 32);

/// As below, for Miri, which does not know such variables.
#[cfg(miri)]
fn thread() -> &'static Thread {
    std::thread_local! {
        static THREAD: &'static Thread = Box::leak(Box::default());
    }
    THREAD.with(|thread| *thread)
}

#[cfg(not(miri))]
#[inline(always)]
fn thread() -> &'static Thread {
    let address: *const Thread;
    // SAFETY: the initial-exec access sequence for the variable above. Its memory lives as long as the thread, starts zeroed
    // and holds atomics; the reference does not leave the thread.
    unsafe {
        core::arch::asm!(
            "mov {0}, qword ptr [rip + sysv_critical_thread@GOTTPOFF]",
            "add {0}, qword ptr fs:[0]",
            out(reg) address,
            options(nostack, pure, readonly),
        );
        &*address
    }
}

/// A critical section of the calling thread, which ends on drop. Sections nest, and may end in another sequence than that
/// in which they began: what counts is the end of the last.
pub(crate) struct Section(());

impl Section {
    /// Begins a critical section.
    #[inline(always)]
    pub(crate) fn enter() -> Section {
        let thread = thread();
        let depth = thread.depth.load(Relaxed);
        if depth == 0 && HANDLERS.load(Relaxed) == UNKNOWN {
            thread.mask.store(SignalMask::block_all().word(), Relaxed);
            thread.blocked.store(1, Relaxed);
        }
        thread.depth.store(depth + 1, Relaxed);
        // A handler of this thread sees the depth before anything that the section does.
        compiler_fence(SeqCst);
        Section(())
    }

    /// Whether a signal for which the program has a handler came since the section began, and waits for its end.
    pub(crate) fn is_interrupted(&self) -> bool {
        let thread = thread();
        if thread.blocked.load(Relaxed) != 0 {
            SignalMask::from_word(thread.mask.load(Relaxed)).admits_handled_signal()
        } else {
            thread.deferred.load(Relaxed) != 0
        }
    }
}

impl Drop for Section {
    #[inline(always)]
    fn drop(&mut self) {
        let thread = thread();
        compiler_fence(SeqCst);
        let depth = thread.depth.load(Relaxed).saturating_sub(1);
        thread.depth.store(depth, Relaxed);
        compiler_fence(SeqCst);
        if depth == 0 && (thread.deferred.load(Relaxed) | thread.blocked.load(Relaxed)) != 0 {
            let_in(thread);
        }
    }
}

/// Lets the signals in that came during the section.
#[cold]
fn let_in(thread: &Thread) {
    thread.deferred.store(0, Relaxed);
    thread.blocked.store(0, Relaxed);
    SignalMask::from_word(thread.mask.load(Relaxed)).restore();
}

/// Promises that every handler which the program installs, has installed or will install is entered through a wrapper that
/// asks [`defers`] first. Sections then cost two stores instead of two system calls.
pub(crate) fn handlers_defer() {
    HANDLERS.store(DEFER, Relaxed);
}

/// Promises that no handler of the program calls the facility or leaves by `longjmp`. Nothing keeps handlers out of sections
/// then; a call from a handler that has interrupted one fails with `EDEADLK`.
///
/// As Rust has it for every function that does not say otherwise: a handler may only call what is async-signal-safe, and a
/// jump over frames that have something to drop is undefined.
pub fn handlers_keep_out() {
    let _ = HANDLERS.compare_exchange(UNKNOWN, KEEP_OUT, Relaxed, Relaxed);
}

/// Begins a call of the facility.
///
/// # Errors
/// `EDEADLK` in a handler that has interrupted a section, against the promise: it would wait for itself.
#[inline]
pub(crate) fn begin_call() -> Result<()> {
    if HANDLERS.load(Relaxed) == KEEP_OUT && thread().depth.load(Relaxed) != 0 {
        return Err(Errno::EDEADLK);
    }
    Ok(())
}

/// For the wrapper of the program's signal handlers: whether the signal that has just interrupted the calling thread must
/// wait. `mask` is the interrupted context's signal mask (`uc_sigmask`).
///
/// If it must, all signals are now blocked in `mask`; the caller sends the signal to its own thread again, with the same
/// `siginfo`, and returns from its handler. It is delivered when the critical section ends. Signals that a fault raises on
/// the thread itself cannot wait and are never deferred.
#[must_use]
pub(crate) fn defers(signal: i32, mask: &mut u64) -> bool {
    let thread = thread();
    if thread.depth.load(Relaxed) == 0 || SignalMask::ALL.word() >> (signal - 1) & 1 == 0 {
        return false;
    }
    // Of several signals the outermost found the section's own mask, and it need not have come here first: what the others
    // found includes that and what the wrappers they interrupted had blocked.
    if thread.deferred.swap(1, Relaxed) == 0 {
        thread.mask.store(*mask, Relaxed);
    } else {
        thread.mask.fetch_and(*mask, Relaxed);
    }
    *mask |= SignalMask::ALL.word();
    true
}

/// For the wrapper: one of the program's handlers is about to run on the calling thread.
pub(crate) fn note_handler() {
    let handled = &thread().handled;
    handled.store(handled.load(Relaxed).wrapping_add(1), Relaxed);
}

/// How many of the program's handlers have run on the calling thread, as far as they are entered through a wrapper. A call
/// that waits looks at it before each sleep: a handler that ran just before is an interruption too.
#[inline]
pub fn handlers_run() -> u64 {
    thread().handled.load(Relaxed)
}

/// The calling thread's word for [`interruption`](crate::interruption).
#[inline]
pub(crate) fn interruptions_seen() -> &'static AtomicU32 {
    &thread().interruptions_seen
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Tests that change or rely on `HANDLERS` take turns.
    static TURN: std::sync::Mutex<()> = std::sync::Mutex::new(());

    #[test]
    fn a_signal_waits_for_the_end_of_the_outermost_section() {
        let _turn = TURN.lock();
        std::thread::spawn(|| {
            handlers_defer();
            let mut mask = 0;
            assert!(!defers(libc::SIGUSR1, &mut mask));
            let outer = Section::enter();
            let inner = Section::enter();
            assert!(defers(libc::SIGUSR1, &mut mask));
            assert_eq!(mask, SignalMask::ALL.word());
            assert!(!defers(libc::SIGSEGV, &mut mask));
            drop(inner);
            assert_eq!(thread().deferred.load(Relaxed), 1);
            drop(outer);
            assert_eq!(thread().deferred.load(Relaxed), 0);
            HANDLERS.store(UNKNOWN, Relaxed);
        })
        .join()
        .unwrap();
    }

    /// Lies found it: a section that began inside another and outlived it, as when a lock is given back and somebody is to be
    /// woken then, found all signals blocked, and left them so for good. No wait could be interrupted after that.
    #[test]
    fn signals_come_in_again_at_the_end_of_the_section_that_ends_last() {
        let _turn = TURN.lock();
        let blocked = std::thread::spawn(|| {
            let before = SignalMask::block_all();
            before.restore();
            let first = Section::enter();
            let second = Section::enter();
            drop(first);
            assert_eq!(SignalMask::block_all().word() & 1, 1, "the second section goes on");
            drop(second);
            SignalMask::block_all().word() & !before.word()
        });
        assert_eq!(blocked.join().unwrap(), 0);
    }

    #[test]
    fn a_call_from_a_handler_that_interrupted_a_section_is_refused() {
        let _turn = TURN.lock();
        let thread = std::thread::spawn(|| {
            handlers_keep_out();
            assert_eq!(begin_call(), Ok(()));
            let section = Section::enter();
            assert_eq!(thread().blocked.load(Relaxed), 0);
            assert_eq!(begin_call(), Err(Errno::EDEADLK));
            drop(section);
            assert_eq!(begin_call(), Ok(()));
            handlers_defer();
            let _section = Section::enter();
            // The wrapper keeps it out.
            assert_eq!(begin_call(), Ok(()));
            HANDLERS.store(UNKNOWN, Relaxed);
        });
        thread.join().unwrap();
    }

    #[test]
    fn each_thread_has_a_counter_of_its_own() {
        thread().depth.store(7, Relaxed);
        let other = std::thread::spawn(|| thread().depth.load(Relaxed)).join().unwrap();
        assert_eq!(other, 0);
        thread().depth.store(0, Relaxed);
    }
}
