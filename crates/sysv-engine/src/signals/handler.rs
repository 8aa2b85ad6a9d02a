//! The handler that the kernel knows.
//!
//! It is reached with the program's own flags and mask (the kernel applied them), so that passing a signal on is a jump: the
//! program's handler finds the stack, the registers and the three arguments as the kernel left them.

#![allow(unsafe_code)]

use core::arch::{global_asm, naked_asm};

use super::FAULT_BITS;
use super::action::{SIG_DFL, SIG_IGN, about_to_run, give_up};
use super::mask::SignalMask;
use super::masks_seen;
use crate::errno::Result;
use crate::sys::{self, syscall};
use crate::{critical, usercopy};

/// What the kernel calls.
///
/// # Safety
/// As any signal handler: by the kernel, or by another handler with the arguments it was given.
#[unsafe(naked)]
unsafe extern "C" fn on_signal(signal: i32, info: *mut libc::siginfo_t, context: *mut libc::ucontext_t) {
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

/// The address by which our handler is known.
pub(super) fn address() -> usize {
    on_signal as *const () as usize
}

// Where a handler returns to: `mov rax, 15 (rt_sigreturn); syscall`, in the very bytes by which debuggers and unwinders
// know a signal frame where no unwind table covers it. They look one byte earlier, hence the `nop`; and gdb looks only at
// functions with `sigaction` in their names.
global_asm!(
    ".pushsection .text.sysv_sigaction_return, \"ax\", @progbits",
    ".balign 16",
    "    nop",
    ".globl sysv_sigaction_return",
    ".hidden sysv_sigaction_return",
    ".type sysv_sigaction_return, @function",
    "sysv_sigaction_return:",
    "    .byte 0x48, 0xc7, 0xc0, 0x0f, 0, 0, 0",
    "    .byte 0x0f, 0x05",
    ".size sysv_sigaction_return, . - sysv_sigaction_return",
    ".popsection",
);

unsafe extern "C" {
    fn sysv_sigaction_return();
}

/// The address for [`Action::restorer`](super::Action::restorer).
pub(super) fn return_address() -> usize {
    sysv_sigaction_return as *const () as usize
}

/// Deals with the signal, or returns the program's handler for it.
///
/// # Safety
/// `info` and `context` are what the kernel gave the handler.
unsafe extern "C" fn decide(signal: i32, info: *mut libc::siginfo_t, context: *mut libc::ucontext_t) -> usize {
    // SAFETY: the kernel's own structures, on this thread's stack.
    let (cause, context) = unsafe { (&*info, &mut *context) };
    let faulted = is_fault(signal, cause);
    if faulted && is_repaired(signal, cause, context) {
        return 0;
    }
    if !faulted && (was_blocked(signal, info, &raw mut *context) || has_to_wait(signal, info, context)) {
        return 0;
    }
    let action = about_to_run(signal);
    match action.handler {
        SIG_IGN if !faulted => 0,
        SIG_DFL | SIG_IGN => {
            if faulted {
                // It happens again by itself, at the same instruction, and then the kernel deals with it.
                give_up(signal);
            } else {
                if FAULT_BITS >> (signal - 1) & 1 == 1 {
                    give_up(signal);
                }
                let _ = send_again(signal, info);
            }
            0
        }
        handler => {
            critical::note_handler();
            let blocks_itself = action.flags & libc::SA_NODEFER as u64 == 0;
            if blocks_itself && FAULT_BITS >> (signal - 1) & 1 == 1 {
                masks_seen(); // It may leave by siglongjmp(3) without restoring the mask.
            }
            handler
        }
    }
}

/// Whether an instruction of this thread raised the signal, and will again if nothing is done about it.
fn is_fault(signal: i32, cause: &libc::siginfo_t) -> bool {
    match signal {
        libc::SIGSEGV => cause.si_code > 0,
        // The kernel may also say, in passing, that some page has gone bad.
        libc::SIGBUS => cause.si_code > 0 && cause.si_code != libc::BUS_MCEERR_AO,
        _ => false,
    }
}

/// Ends the copying routine, or puts a page in place of what a guarded range has lost.
fn is_repaired(signal: i32, cause: &libc::siginfo_t, context: &mut libc::ucontext_t) -> bool {
    if signal == libc::SIGBUS && cause.si_code == libc::BUS_ADRERR {
        // SAFETY: the kernel fills `si_addr` for a fault.
        let address = unsafe { cause.si_addr() } as usize;
        if usercopy::replace_page(address) {
            return true;
        }
    }
    let instruction = &mut context.uc_mcontext.gregs[libc::REG_RIP as usize];
    match usercopy::way_out(*instruction as usize) {
        Some(way_out) => {
            *instruction = way_out as i64;
            true
        }
        None => false,
    }
}

/// Sends a signal to wait again that the thread has blocked, and that came in with the faults.
fn was_blocked(signal: i32, info: *const libc::siginfo_t, context: *mut libc::ucontext_t) -> bool {
    let faults = FAULT_BITS;
    let Some(outermost) = levels(context).last() else {
        return false;
    };
    if faults >> (signal - 1) & 1 == 0 || !usercopy::is_letting_in(instruction(outermost)) {
        return false;
    }
    // Blocked already here, or it would arrive at once where the program's flags allow that.
    // SAFETY: eight bytes are read.
    let _ = unsafe {
        syscall!(
            SYS_rt_sigprocmask,
            libc::SIG_BLOCK,
            &raw const faults,
            0,
            size_of::<u64>()
        )
    };
    if send_again(signal, info).is_err() {
        return false;
    }
    for level in levels(context) {
        // SAFETY: `levels` yields contexts; the mask begins with the eight bytes that the kernel knows.
        unsafe { *(&raw mut (*level).uc_sigmask).cast::<u64>() |= 1 << (signal - 1) };
    }
    // SAFETY: as above.
    unsafe { (*outermost).uc_mcontext.gregs[libc::REG_RAX as usize] = 1 };
    true
}

/// The interrupted contexts from this one outwards, as far as handlers of ours were interrupted that had not begun: the
/// kernel enters the handlers of signals that arrive at once without running any, the last of them on top.
fn levels(context: *mut libc::ucontext_t) -> impl Iterator<Item = *mut libc::ucontext_t> {
    core::iter::successors(Some(context), |&level| {
        // At its entry a handler's third argument is the context that the kernel gave it.
        (instruction(level) == address()).then(|| {
            // SAFETY: `level` is a context: the first is the kernel's, the others are found here.
            unsafe { (*level).uc_mcontext.gregs[libc::REG_RDX as usize] as *mut libc::ucontext_t }
        })
    })
}

/// Where a context goes on.
fn instruction(context: *const libc::ucontext_t) -> usize {
    // SAFETY: the callers pass contexts that the kernel made, and that stay until their handlers return.
    unsafe { (*context).uc_mcontext.gregs[libc::REG_RIP as usize] as usize }
}

/// Puts a signal off that arrived in a critical section, to its end.
fn has_to_wait(signal: i32, info: *const libc::siginfo_t, context: &mut libc::ucontext_t) -> bool {
    let mask = (&raw mut context.uc_sigmask).cast::<u64>();
    // SAFETY: the mask begins with the eight bytes that the kernel knows.
    let interrupted = unsafe { &mut *mask };
    let before = *interrupted;
    if !critical::defers(signal, interrupted) {
        return false;
    }
    // Blocked already here, or it would arrive at once where the program's flags and mask allow that.
    let here = SignalMask::block_all();
    if send_again(signal, info).is_err() {
        // Its queue is full. Better in the middle of a section than never.
        *interrupted = before;
        here.restore();
        return false;
    }
    true
}

/// Queues the same signal, with everything known about its sender, to this thread.
fn send_again(signal: i32, info: *const libc::siginfo_t) -> Result<()> {
    let (process, thread) = (sys::getpid(), sys::gettid());
    // SAFETY: the kernel reads the structure that it wrote itself.
    unsafe { syscall!(SYS_rt_tgsigqueueinfo, process, thread, signal, info) }.map(drop)
}
