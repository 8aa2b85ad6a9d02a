//! System calls past the C library, whose functions we may have interposed ourselves, and the C `errno`.

#![allow(unsafe_code)]

use core::arch::asm;
use core::ffi::{c_int, c_long};
use core::fmt;

use sysv_engine::{Errno, Result};

/// Makes a system call.
///
/// # Safety
/// The call's own conditions: pointers among the arguments must be valid for what the call does.
#[inline]
pub(crate) unsafe fn call(number: c_long, arguments: [usize; 6]) -> Result<usize> {
    let returned: isize;
    // SAFETY: the x86-64 convention: number in rax, arguments in rdi, rsi, rdx, r10, r8, r9; rcx and r11 are lost. What
    // the call does to memory is the caller's promise.
    unsafe {
        asm!(
            "syscall",
            inlateout("rax") number as isize => returned,
            in("rdi") arguments[0], in("rsi") arguments[1], in("rdx") arguments[2],
            in("r10") arguments[3], in("r8") arguments[4], in("r9") arguments[5],
            lateout("rcx") _, lateout("r11") _,
            options(nostack),
        );
    }
    if (-4095..0).contains(&returned) {
        Err(Errno::from_raw(-returned as i32))
    } else {
        Ok(returned as usize)
    }
}

/// `syscall!(SYS_name, a, b, …)`: [`call`] with the missing arguments zero.
macro_rules! syscall {
    ($number:ident $(, $argument:expr)*) => {
        $crate::raw::call(libc::$number, $crate::raw::six(&[$($argument as usize),*]))
    };
}
pub(crate) use syscall;

/// Up to six arguments, the rest zero.
#[inline(always)]
pub(crate) fn six(given: &[usize]) -> [usize; 6] {
    let mut all = [0; 6];
    for (to, from) in all.iter_mut().zip(given) {
        *to = *from;
    }
    all
}

/// The calling thread's `errno`.
pub(crate) fn errno() -> Errno {
    // SAFETY: the C library's own, of this thread.
    Errno::from_raw(unsafe { *libc::__errno_location() })
}

/// Sets the calling thread's `errno`.
pub(crate) fn set_errno(errno: Errno) {
    // SAFETY: the C library's own, of this thread.
    unsafe { *libc::__errno_location() = errno.raw() }
}

/// What a C function returns: the value, leaving `errno` alone, or -1 with `errno` set.
pub(crate) fn or_minus_one(result: Result<c_int>) -> c_int {
    result.unwrap_or_else(|errno| {
        set_errno(errno);
        -1
    })
}

/// The same for calls that return an address: `MAP_FAILED`, which is also what `shmat` returns, on failure.
pub(crate) fn or_map_failed(result: Result<usize>) -> *mut libc::c_void {
    let address = result.unwrap_or_else(|errno| {
        set_errno(errno);
        libc::MAP_FAILED as usize
    });
    address as *mut libc::c_void
}

/// An open file descriptor, closed on drop.
pub(crate) struct Fd(c_int);

impl Fd {
    /// Takes over a descriptor.
    pub(crate) fn from_raw(fd: c_int) -> Fd {
        Fd(fd)
    }

    /// The descriptor, still this value's.
    pub(crate) fn raw(&self) -> c_int {
        self.0
    }

    /// Gives the descriptor away.
    #[cfg(feature = "interpose")]
    pub(crate) fn into_raw(self) -> c_int {
        let fd = self.0;
        core::mem::forget(self);
        fd
    }
}

impl Drop for Fd {
    fn drop(&mut self) {
        // SAFETY: the descriptor is this value's own.
        let _ = unsafe { syscall!(SYS_close, self.0) };
    }
}

/// All of this thread's signals blocked, until it is dropped.
pub(crate) struct SignalsBlocked {
    before: u64,
}

impl SignalsBlocked {
    /// Blocks everything but what a fault raises on the thread itself: blocked, that would kill.
    pub(crate) fn now() -> SignalsBlocked {
        let mut all = u64::MAX;
        for signal in [
            libc::SIGSEGV,
            libc::SIGBUS,
            libc::SIGILL,
            libc::SIGFPE,
            libc::SIGTRAP,
            libc::SIGSYS,
        ] {
            all &= !(1 << (signal - 1));
        }
        let mut before = 0u64;
        // SAFETY: eight bytes are read and eight written.
        let _ = unsafe { syscall!(SYS_rt_sigprocmask, libc::SIG_BLOCK, &raw const all, &raw mut before, 8) };
        SignalsBlocked { before }
    }
}

impl Drop for SignalsBlocked {
    fn drop(&mut self) {
        // SAFETY: eight bytes are read.
        let _ = unsafe { syscall!(SYS_rt_sigprocmask, libc::SIG_SETMASK, &raw const self.before, 0, 8) };
    }
}

/// The process's id in its own pid namespace.
pub(crate) fn getpid() -> u32 {
    // SAFETY: no argument.
    unsafe { syscall!(SYS_getpid) }.unwrap_or(0) as u32
}

/// Text on standard error, written at once and cut off where it does not fit.
pub(crate) fn complain(text: fmt::Arguments<'_>) {
    let mut line = Line {
        bytes: [0; 1024],
        len: 0,
    };
    let _ = fmt::write(&mut line, format_args!("libsysv: {text}"));
    line.bytes[line.len] = b'\n';
    // SAFETY: `len + 1` bytes of the buffer are read.
    let _ = unsafe { syscall!(SYS_write, libc::STDERR_FILENO, line.bytes.as_ptr(), line.len + 1) };
}

/// A line with room for its end.
struct Line {
    bytes: [u8; 1024],
    len: usize,
}

impl fmt::Write for Line {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let room = self.bytes.len() - 1 - self.len;
        let taken = &text.as_bytes()[..text.len().min(room)];
        self.bytes[self.len..][..taken.len()].copy_from_slice(taken);
        self.len += taken.len();
        Ok(())
    }
}
