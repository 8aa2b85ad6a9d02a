//! Standing in front of the program's signal handlers without the program noticing.
//!
//! There are two reasons to. A fault in [`usercopy`](crate::usercopy)'s routine, or in a range that
//! [`guard`](crate::usercopy::guard) knows, is ours and not the program's; and a handler of the program's must not run in
//! the middle of a critical section. So the kernel gets our `handler`, with the flags and the mask that
//! the program chose for its own, and the program's action is kept as a `wish`: `sigaction(2)`, interposed, reads and
//! changes that ([`change`]).
//!
//! Which signals: `SIGSEGV` and `SIGBUS` from the first copy or guarded range on (`take_faults`), with the default action
//! in force as well as with a handler. The rest only where the C ABI interposes everything that sets a handler and says so
//! ([`take_all`]), and only while the program has a handler for them. A signal that the program ignores is ignored at the
//! kernel, so that `execve` passes that on; then the faults are not ours, and `usercopy` has the kernel copy.
//!
//! What remains: a program that sets actions by a system call of its own, past the C library, takes our handler away; and a
//! thread that is cancelled asynchronously inside a call leaves its locks held.

mod action;
mod guest;
mod handler;
mod lock;
mod mask;
mod wish;

pub use crate::critical::{handlers_keep_out, handlers_run};
pub(crate) use action::take_faults;
pub use action::{Action, change, take_all, take_late};
pub(crate) use guest::after_fork_in_child;
pub(crate) use mask::SignalMask;

use core::sync::atomic::AtomicU32;
use core::sync::atomic::Ordering::{AcqRel, Acquire, Relaxed};

/// The signals that a bad pointer raises.
pub const FAULTS: [i32; 2] = [libc::SIGSEGV, libc::SIGBUS];

/// Their bits in a kernel signal mask.
pub const FAULT_BITS: u64 = 1 << (libc::SIGSEGV - 1) | 1 << (libc::SIGBUS - 1);

/// What is ours; a set of the bits below.
///
/// | bit | meaning | set | cleared |
/// |---|---|---|---|
/// | `FAULTS_OURS` | both faults arrive in our handler | under the lock | under the lock; by the handler, before it lets the process die |
/// | `FAULTS_NOT_OURS` | one of them does not, and cannot | under the lock | likewise |
/// | `ALL_OURS` | every handler of the program's is entered through ours | under the lock, by [`take_all`] | never |
/// | `MASKS_SEEN` | some thread may have a fault blocked | by whoever sees it | never |
static STATE: AtomicU32 = AtomicU32::new(0);
pub(crate) const FAULTS_OURS: u32 = 1;
const FAULTS_NOT_OURS: u32 = 2;
const ALL_OURS: u32 = 4;
const MASKS_SEEN: u32 = 8;
const DECIDED: u32 = FAULTS_OURS | FAULTS_NOT_OURS;

/// How faults are caught now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Protection(u32);

impl Protection {
    /// One load, on the way of every copy.
    #[inline]
    pub(crate) fn now() -> Protection {
        Protection(STATE.load(Acquire))
    }

    /// Both faults arrive in our handler, and no thread has been seen to block them.
    #[inline]
    pub(crate) fn is_certain(self) -> bool {
        self.0 & !ALL_OURS == FAULTS_OURS
    }

    /// Nobody has asked for the faults yet.
    pub(crate) fn is_undecided(self) -> bool {
        self.0 & DECIDED == 0
    }

    /// Both faults arrive in our handler, unless the thread has them blocked.
    pub(crate) fn is_ours(self) -> bool {
        self.0 & FAULTS_OURS != 0
    }
}

/// Reports that a thread of this program has blocked, or is about to block, one of [`FAULTS`].
///
/// From then on every copy sees to it that they are not: blocked, the fault of a bad pointer would kill.
pub fn masks_seen() {
    if STATE.load(Relaxed) & MASKS_SEEN == 0 {
        STATE.fetch_or(MASKS_SEEN, AcqRel);
    }
}

/// Whether every handler that the program sets is entered through ours.
pub fn all_are_ours() -> bool {
    STATE.load(Acquire) & ALL_OURS != 0
}

/// Decides about the faults anew: `FAULTS_OURS`, `FAULTS_NOT_OURS`, or neither.
fn decide_faults(decision: u32) {
    let _ = STATE.fetch_update(AcqRel, Relaxed, |state| Some(state & !DECIDED | decision));
}

/// To be called in a child made with `CLONE_CLEAR_SIGHAND`: the kernel has dropped every handler.
pub fn handlers_cleared() {
    decide_faults(0);
}

#[cfg(test)]
mod tests;
