//! The handler for `SIGSEGV` and `SIGBUS`.
//!
//! It is reached with the program's own flags and mask (the kernel applied them), so that passing a signal on is a
//! jump: the program's handler finds the stack, the registers and the three arguments as the kernel left them.

#![allow(unsafe_code)]

use core::arch::{global_asm, naked_asm};

use super::disposition::{self, Action, SIG_DFL, SIG_IGN};
use super::{guarded, masks_seen, routine};
use crate::sys::{self, syscall};

/// What the kernel calls.
///
/// # Safety
/// As any signal handler: by the kernel, or by another handler with the arguments it was given.
#[unsafe(naked)]
pub(super) unsafe extern "C" fn on_fault(signal: i32, info: *mut libc::siginfo_t, context: *mut libc::ucontext_t) {
    naked_asm!(
        ".cfi_startproc",
        "push rdi",
        ".cfi_adjust_cfa_offset 8",
        "push rsi",
        ".cfi_adjust_cfa_offset 8",
        "push rdx",
        ".cfi_adjust_cfa_offset 8",
        "call {decide}",
        "pop rdx",
        ".cfi_adjust_cfa_offset -8",
        "pop rsi",
        ".cfi_adjust_cfa_offset -8",
        "pop rdi",
        ".cfi_adjust_cfa_offset -8",
        "test rax, rax",
        "jz 2f",
        "jmp rax",
        "2: ret",
        ".cfi_endproc",
        decide = sym decide,
    )
}

// Where a handler returns to: `mov rax, 15 (rt_sigreturn); syscall`, in the very bytes by which debuggers and
// unwinders know a signal frame where no unwind table covers it. They look one byte earlier, hence the `nop`.
global_asm!(
    ".pushsection .text.sysv_return_from_signal, \"ax\", @progbits",
    ".balign 16",
    "    nop",
    ".globl sysv_return_from_signal",
    ".hidden sysv_return_from_signal",
    ".type sysv_return_from_signal, @function",
    "sysv_return_from_signal:",
    "    .byte 0x48, 0xc7, 0xc0, 0x0f, 0, 0, 0",
    "    .byte 0x0f, 0x05",
    ".size sysv_return_from_signal, . - sysv_return_from_signal",
    ".popsection",
);

unsafe extern "C" {
    fn sysv_return_from_signal();
}

/// Deals with the signal, or returns the program's handler for it.
///
/// # Safety
/// `info` and `context` are what the kernel gave the handler.
unsafe extern "C" fn decide(signal: i32, info: *mut libc::siginfo_t, context: *mut libc::ucontext_t) -> usize {
    // SAFETY: the kernel's own structures, on this thread's stack.
    let (cause, registers) = unsafe { (&*info, &mut (*context).uc_mcontext.gregs) };
    let faulted = cause.si_code > 0 && !(signal == libc::SIGBUS && cause.si_code == libc::BUS_MCEERR_AO);
    if faulted {
        if signal == libc::SIGBUS && cause.si_code == libc::BUS_ADRERR {
            // SAFETY: the kernel fills `si_addr` for a fault.
            let address = unsafe { cause.si_addr() } as usize;
            if guarded::replace_page(address) {
                return 0;
            }
        }
        let instruction = &mut registers[libc::REG_RIP as usize];
        if let Some(way_out) = routine::way_out(*instruction as usize) {
            *instruction = way_out as i64;
            return 0;
        }
    }
    let action = disposition::about_to_run(signal);
    match action.handler {
        SIG_IGN if !faulted => 0,
        SIG_DFL | SIG_IGN => {
            disposition::give_up(signal);
            if !faulted {
                // A fault happens again by itself, at the same instruction; a signal that was sent does not.
                send_again(signal, info);
            }
            0
        }
        handler => {
            if action.flags & libc::SA_NODEFER as u64 == 0 || action.mask & super::SIGNAL_BITS != 0 {
                masks_seen(); // It may leave by siglongjmp(3) without restoring the mask.
            }
            handler
        }
    }
}

/// Queues the same signal, with everything known about its sender, to this thread.
fn send_again(signal: i32, info: *const libc::siginfo_t) {
    let (process, thread) = (sys::getpid(), sys::gettid());
    // SAFETY: the kernel reads the structure that it wrote itself.
    let _ = unsafe { syscall!(SYS_rt_tgsigqueueinfo, process, thread, signal, info) };
}

/// The address for [`Action::restorer`].
pub(super) fn return_address() -> usize {
    sysv_return_from_signal as *const () as usize
}

/// The action to give the kernel so that signals reach [`on_fault`] in the circumstances that the program chose.
pub(super) fn action_for(program: &Action) -> Action {
    // SA_RESETHAND is ours to carry out: the kernel would take this handler away with the program's.
    const KEPT: u64 = !(libc::SA_RESETHAND as u32 as u64);
    let (flags, mask) = match program.handler {
        // Nothing of the program will run, so the alternate stack, if there is one, may serve: a stack overflow
        // then comes through as well.
        SIG_DFL => (libc::SA_ONSTACK as u64, 0),
        _ => (program.flags & KEPT, program.mask),
    };
    Action {
        handler: on_fault as *const () as usize,
        flags: flags | libc::SA_SIGINFO as u64 | disposition::SA_RESTORER,
        restorer: return_address(),
        mask,
    }
}
