//! A stretch of a thread with the faults let in that it has blocked.
//!
//! A fault that is blocked kills. Letting it in lets in as well what somebody has sent and the thread keeps waiting. Such a
//! signal arrives on the return from the system call that unblocks it, at a known instruction: by that the handler knows it,
//! sends it to wait again, and has the call return 1.

#![allow(unsafe_code)]

use core::arch::global_asm;

use crate::signals::FAULT_BITS;
use crate::sys::syscall;

// rdi the set to unblock, rsi where the old mask goes; returns 0, or 1 when a signal had to be blocked again.
global_asm!(
    ".pushsection .text.sysv_let_faults_in, \"ax\", @progbits",
    ".balign 16",
    ".globl sysv_let_faults_in",
    ".hidden sysv_let_faults_in",
    ".globl sysv_faults_let_in",
    ".hidden sysv_faults_let_in",
    ".type sysv_let_faults_in, @function",
    "sysv_let_faults_in:",
    ".cfi_startproc",
    "    mov rdx, rsi",
    "    mov rsi, rdi",
    "    mov edi, {unblock}",
    "    mov r10d, 8",
    "    mov eax, {sigprocmask}",
    "    syscall",
    "sysv_faults_let_in:",
    "    ret",
    ".cfi_endproc",
    ".size sysv_let_faults_in, . - sysv_let_faults_in",
    ".popsection",
    unblock = const libc::SIG_UNBLOCK,
    sigprocmask = const libc::SYS_rt_sigprocmask,
);

unsafe extern "C" {
    fn sysv_let_faults_in(set: *const u64, old: *mut u64) -> isize;
    static sysv_faults_let_in: u8;
}

/// Whether a signal that arrived at `instruction` was let in for our sake.
pub(crate) fn is_letting_in(instruction: usize) -> bool {
    instruction == &raw const sysv_faults_let_in as usize
}

/// The faults unblocked for this thread; blocked again on drop, if they were.
pub(super) struct Unblocked {
    before: u64,
}

impl Unblocked {
    /// Lets the faults in; `None` if one of them must stay blocked.
    pub(super) fn now() -> Option<Unblocked> {
        let (faults, mut before) = (FAULT_BITS, 0u64);
        // SAFETY: eight bytes are read and eight written.
        let refused = unsafe { sysv_let_faults_in(&raw const faults, &raw mut before) };
        let unblocked = Unblocked { before };
        (refused == 0).then_some(unblocked)
    }
}

impl Drop for Unblocked {
    fn drop(&mut self) {
        if self.before & FAULT_BITS != 0 {
            // SAFETY: eight bytes are read.
            let _ = unsafe {
                syscall!(
                    SYS_rt_sigprocmask,
                    libc::SIG_SETMASK,
                    &raw const self.before,
                    0,
                    size_of::<u64>()
                )
            };
        }
    }
}
