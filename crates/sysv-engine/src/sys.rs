//! System calls, made raw.
//!
//! Nothing here goes through the C library's wrappers: a preloaded library interposes those (`munmap`,
//! `open`, `syscall` and the twelve System V calls), and the engine must neither catch itself nor touch
//! the program's `errno`.

#![allow(unsafe_code)]

use core::arch::asm;

use crate::errno::{Errno, Result};

/// Makes a system call with up to six arguments.
///
/// # Safety
/// The call's own conditions: pointers among the arguments must be valid for what the call does.
#[inline(always)]
pub(crate) unsafe fn call6(nr: i64, a: [usize; 6]) -> Result<usize> {
    let ret: isize;
    // SAFETY: the x86-64 system call convention: number in rax, arguments in rdi, rsi, rdx, r10, r8, r9;
    // rcx and r11 are lost. What the call does to memory is the caller's promise.
    unsafe {
        asm!(
            "syscall",
            inlateout("rax") nr as isize => ret,
            in("rdi") a[0], in("rsi") a[1], in("rdx") a[2],
            in("r10") a[3], in("r8") a[4], in("r9") a[5],
            lateout("rcx") _, lateout("r11") _,
            options(nostack),
        );
    }
    if (-4095..0).contains(&ret) {
        Err(Errno::from_raw(-ret as i32))
    } else {
        Ok(ret as usize)
    }
}

/// `syscall!(SYS_name, a, b, …)`: [`call6`] with the missing arguments zero.
macro_rules! syscall {
    ($nr:ident $(, $arg:expr)*) => {{
        let mut args = [0usize; 6];
        let mut _next = 0;
        $(args[_next] = $arg as usize; _next += 1;)*
        $crate::sys::call6(libc::$nr, args)
    }};
}
pub(crate) use syscall;
