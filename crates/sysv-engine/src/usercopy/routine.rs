//! The one routine that may fault, and the way out of it.

#![allow(unsafe_code)]

use core::arch::global_asm;

use crate::errno::{Errno, Result};

// rdi destination, rsi source, rdx length; returns 0, or 1 when it was ended by a fault. It keeps nothing on the
// stack, so that the handler ends it by moving the instruction pointer to `sysv_usercopy_failed` and nothing else.
// It goes in steps of 64 and 16 bytes, however many there are. `rep movsb` is no faster, and ten times slower on some processors
// where the source lies a few bytes past the destination, modulo 4096: as a message behind its type and a block do.
// The vector registers that it uses are the caller's to save.
global_asm!(
    ".pushsection .text.sysv_usercopy, \"ax\", @progbits",
    ".balign 64",
    ".globl sysv_usercopy",
    ".hidden sysv_usercopy",
    ".globl sysv_usercopy_end",
    ".hidden sysv_usercopy_end",
    ".globl sysv_usercopy_failed",
    ".hidden sysv_usercopy_failed",
    ".type sysv_usercopy, @function",
    "sysv_usercopy:",
    ".cfi_startproc",
    "    cmp rdx, 16",
    "    jb 3f",
    "    cmp rdx, 64",
    "    jb 2f",
    "6:  movups xmm0, [rsi]",
    "    movups xmm1, [rsi + 16]",
    "    movups xmm2, [rsi + 32]",
    "    movups xmm3, [rsi + 48]",
    "    movups [rdi], xmm0",
    "    movups [rdi + 16], xmm1",
    "    movups [rdi + 32], xmm2",
    "    movups [rdi + 48], xmm3",
    "    add rsi, 64",
    "    add rdi, 64",
    "    sub rdx, 64",
    "    cmp rdx, 64",
    "    jae 6b",
    "    test rdx, rdx",
    "    je 5f",
    // Less than 64 are left, of at least 16: the last step may repeat bytes of the one before.
    "2:  cmp rdx, 16",
    "    jbe 8f",
    "    movups xmm0, [rsi]",
    "    movups [rdi], xmm0",
    "    add rsi, 16",
    "    add rdi, 16",
    "    sub rdx, 16",
    "    jmp 2b",
    "8:  movups xmm0, [rsi + rdx - 16]",
    "    movups [rdi + rdx - 16], xmm0",
    "    xor eax, eax",
    "    ret",
    "3:  cmp rdx, 8",
    "    jb 4f",
    "    mov rax, [rsi]",
    "    mov rcx, [rsi + rdx - 8]",
    "    mov [rdi], rax",
    "    mov [rdi + rdx - 8], rcx",
    "    xor eax, eax",
    "    ret",
    "4:  test dl, 4",
    "    je 9f",
    "    mov eax, [rsi]",
    "    mov [rdi], eax",
    "    add rsi, 4",
    "    add rdi, 4",
    "9:  test dl, 2",
    "    je 20f",
    "    movzx eax, word ptr [rsi]",
    "    mov [rdi], ax",
    "    add rsi, 2",
    "    add rdi, 2",
    "20: test dl, 1",
    "    je 5f",
    "    movzx eax, byte ptr [rsi]",
    "    mov [rdi], al",
    "    jmp 5f",
    "5:  xor eax, eax",
    "    ret",
    "sysv_usercopy_end:",
    "sysv_usercopy_failed:",
    "    mov eax, 1",
    "    ret",
    ".cfi_endproc",
    ".size sysv_usercopy, . - sysv_usercopy",
    ".popsection",
);

unsafe extern "C" {
    fn sysv_usercopy(dst: *mut u8, src: *const u8, len: usize) -> usize;
    static sysv_usercopy_end: u8;
    static sysv_usercopy_failed: u8;
}

/// Copies, and reports a fault that the handler caught.
///
/// # Safety
/// Without the handler in force both sides must be valid; with it, neither need be, but what is mapped at `dst` is
/// overwritten.
#[inline]
pub(super) unsafe fn copy(dst: *mut u8, src: *const u8, len: usize) -> Result<()> {
    // SAFETY: the caller's promise.
    match unsafe { sysv_usercopy(dst, src, len) } {
        0 => Ok(()),
        _ => Err(Errno::EFAULT),
    }
}

/// Where a thread that faulted at `instruction` is to go on, if it was in the routine.
pub(crate) fn way_out(instruction: usize) -> Option<usize> {
    let start = sysv_usercopy as *const () as usize;
    let end = &raw const sysv_usercopy_end as usize;
    (start..end)
        .contains(&instruction)
        .then_some(&raw const sysv_usercopy_failed as usize)
}
