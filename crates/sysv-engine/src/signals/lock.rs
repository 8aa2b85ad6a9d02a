//! The lock on the wishes and on the kernel's actions for them.

#![allow(unsafe_code)]

use core::sync::atomic::AtomicU32;
use core::sync::atomic::Ordering::{Acquire, Relaxed, Release};
use core::time::Duration;

use crate::sys::{self, syscall};

/// 0, or the holder's process id.
///
/// The id, because a child may be forked while a thread that it does not have holds the lock: a foreign id is nobody's.
/// Nothing that the lock protects needs repair after that.
static HOLDER: AtomicU32 = AtomicU32::new(0);

/// The lock, held, with every signal blocked: a handler that changes an action would wait for itself.
pub(super) struct Guard {
    /// What the thread had blocked before.
    pub(super) mask: u64,
}

impl Guard {
    pub(super) fn take() -> Guard {
        let all = u64::MAX;
        let mut mask = 0u64;
        // SAFETY: eight bytes are read and eight written.
        let _ = unsafe {
            syscall!(
                SYS_rt_sigprocmask,
                libc::SIG_BLOCK,
                &raw const all,
                &raw mut mask,
                size_of::<u64>()
            )
        };
        let me = sys::getpid();
        let mut free = 0;
        while let Err(holder) = HOLDER.compare_exchange(free, me, Acquire, Relaxed) {
            if holder == me {
                sys::futex_wait(&HOLDER, me, Duration::from_millis(100));
                free = 0;
            } else {
                free = holder;
            }
        }
        Guard { mask }
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        HOLDER.store(0, Release);
        sys::futex_wake(&HOLDER, 1);
        // SAFETY: eight bytes are read.
        let _ = unsafe {
            syscall!(
                SYS_rt_sigprocmask,
                libc::SIG_SETMASK,
                &raw const self.mask,
                0,
                size_of::<u64>()
            )
        };
    }
}
