//! `msgsnd` and `msgrcv` are cancellation points, as the C library's own are: a thread that has been cancelled does not begin
//! them, and one that waits in them is woken and ends there. A call that has done its work returns, and the thread ends at its
//! next cancellation point.
//!
//! The C library lets nobody ask whether a thread has been cancelled. So `pthread_cancel(3)` is interposed, and the engine told
//! to end the wait; outside the engine, where nothing is held any more, the C library is asked to act.

#![allow(unsafe_code)]

use core::ffi::c_int;

use sysv_engine::{Errno, Result, interruption, signals};

use crate::next::next;

/// Makes a call in which the calling thread may be cancelled.
#[inline]
pub(crate) fn point(call: impl Fn() -> Result<usize>) -> Result<usize> {
    loop {
        if interruption::begin() {
            act_upon_cancellation();
        }
        let handlers = signals::handlers_run();
        let result = call();
        if result != Err(Errno::EINTR) || !interruption::begin() {
            return result;
        }
        act_upon_cancellation();
        // The thread does not let itself be cancelled, or another was meant. From glibc 2.41 on its own signal tells the thread,
        // perhaps before we do.
        if signals::handlers_run() != handlers {
            return result;
        }
    }
}

/// Ends the thread if it has been cancelled and admits it.
#[cold]
fn act_upon_cancellation() {
    if let Some(act) = next!(fn pthread_testcancel()) {
        // SAFETY: no argument. It may unwind, through frames that hold nothing.
        unsafe { act() }
    }
}

/// pthread_cancel(3).
///
/// # Safety
/// As pthread_cancel(3).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pthread_cancel(thread: libc::pthread_t) -> c_int {
    let Some(next) = next!(fn pthread_cancel(libc::pthread_t) -> c_int) else {
        return Errno::ENOSYS.raw();
    };
    // SAFETY: the caller's promise.
    interruption::interrupt(thread as usize, || unsafe { next(thread) })
}
