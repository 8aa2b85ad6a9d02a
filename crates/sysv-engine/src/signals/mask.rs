//! The signals that a thread has blocked.

#![allow(unsafe_code)]

use crate::sys::syscall;

/// A set of blocked signals, as the kernel has it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct SignalMask(u64);

impl SignalMask {
    /// All but those that a fault raises on the thread itself: blocked, they would kill.
    pub(crate) const ALL: SignalMask = SignalMask(
        !((1 << (libc::SIGSEGV - 1))
            | (1 << (libc::SIGBUS - 1))
            | (1 << (libc::SIGILL - 1))
            | (1 << (libc::SIGFPE - 1))
            | (1 << (libc::SIGTRAP - 1))
            | (1 << (libc::SIGSYS - 1))),
    );

    /// Blocks all signals for this thread and returns what was blocked before.
    pub(crate) fn block_all() -> SignalMask {
        let (all, mut old) = (SignalMask::ALL.0, 0u64);
        // SAFETY: eight bytes are read from one mask and written to the other.
        let _ = unsafe {
            syscall!(
                SYS_rt_sigprocmask,
                libc::SIG_BLOCK,
                &raw const all,
                &raw mut old,
                size_of::<u64>()
            )
        };
        SignalMask(old)
    }

    /// The set that [`word`](SignalMask::word) gave.
    pub(crate) fn from_word(word: u64) -> SignalMask {
        SignalMask(word)
    }

    /// A bit for each signal.
    pub(crate) fn word(self) -> u64 {
        self.0
    }

    /// Whether a signal is pending that this mask does not block and that has a handler.
    pub(crate) fn admits_handled_signal(self) -> bool {
        let mut pending = 0u64;
        // SAFETY: the kernel writes eight bytes.
        let _ = unsafe { syscall!(SYS_rt_sigpending, &raw mut pending, size_of::<u64>()) };
        let mut rest = pending & !self.0;
        while rest != 0 {
            let signal = rest.trailing_zeros() + 1;
            rest &= rest - 1;
            // The kernel's `struct sigaction` begins with the handler.
            let mut action = [0usize; 4];
            // SAFETY: the kernel writes the four words of its structure.
            let asked = unsafe { syscall!(SYS_rt_sigaction, signal, 0, action.as_mut_ptr(), size_of::<u64>()) };
            if asked.is_ok() && action[0] != libc::SIG_DFL && action[0] != libc::SIG_IGN {
                return true;
            }
        }
        false
    }

    /// Makes this mask the thread's again.
    pub(crate) fn restore(self) {
        // SAFETY: eight bytes are read.
        let _ = unsafe {
            syscall!(
                SYS_rt_sigprocmask,
                libc::SIG_SETMASK,
                &raw const self.0,
                0,
                size_of::<u64>()
            )
        };
    }
}
