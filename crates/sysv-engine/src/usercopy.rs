//! Bytes of the program that calls us, by addresses that nobody has checked.
//!
//! A pointer that cannot be read or written must come back as `EFAULT`, as from the kernel, and checking it
//! beforehand would cost a system call. So the bytes are moved by one small routine (`routine`) whose address
//! range is known, and our handler for `SIGSEGV` and `SIGBUS` ([`signals`]) ends that routine early when a fault
//! comes from inside it.
//!
//! A thread that has one of the two blocked would be killed by the fault, so that they are let in for the time of the copy
//! (`unblocked`). Only a program that has been seen to block them at all ([`signals::masks_seen`]) pays the system call
//! for that, and its threads that do, two.
//!
//! Where no handler can be had, the kernel moves the bytes (`process_vm_readv(2)` on ourselves): the program ignores one of
//! the signals, and a handler would be turned into the default action by `execve`, so that the new program would not inherit
//! the `SIG_IGN` that it was meant to get.
//!
//! Under a debugger a bad pointer stops in the routine, before the handler has its turn: `handle SIGSEGV nostop`.

#![allow(unsafe_code)]

use crate::errno::{Errno, Result};
use crate::signals::{self, Protection};
use crate::sys::{self, syscall};

mod guarded;
mod routine;
mod unblocked;

pub(crate) use guarded::replace_page;
pub use guarded::{Alarm, Guarded, guard};
pub(crate) use guarded::{guard_quietly, unguard};
pub(crate) use routine::way_out;
pub(crate) use unblocked::is_letting_in;

use unblocked::Unblocked;

/// Copies `len` bytes from the program's address `src`.
///
/// On failure `dst` may have been written in part.
///
/// # Safety
/// `dst` is valid for `len` bytes. `src` may be anything.
///
/// # Errors
/// `EFAULT` if a byte cannot be read.
#[inline]
pub unsafe fn copy_in(dst: *mut u8, src: usize, len: usize) -> Result<()> {
    if cfg!(miri) {
        // SAFETY: what Miri runs passes valid addresses.
        unsafe { core::ptr::copy_nonoverlapping(core::ptr::with_exposed_provenance(src), dst, len) };
        Ok(())
    } else if Protection::now().is_certain() {
        // SAFETY: the caller's promise about `dst`; a fault on either side ends the routine.
        unsafe { routine::copy(dst, src as *const u8, len) }
    } else {
        // SAFETY: as above.
        unsafe { copy_unready(dst as usize, src, len, Direction::In) }
    }
}

/// Copies `len` bytes to the program's address `dst`.
///
/// On failure a part may have been written, as by the kernel.
///
/// # Safety
/// `src` is valid for `len` bytes. `dst` may be unmapped, but whatever is mapped there is the caller's to overwrite.
///
/// # Errors
/// `EFAULT` if a byte cannot be written.
#[inline]
pub unsafe fn copy_out(dst: usize, src: *const u8, len: usize) -> Result<()> {
    if Protection::now().is_certain() {
        // SAFETY: the caller's promise; a fault on either side ends the routine.
        unsafe { routine::copy(dst as *mut u8, src, len) }
    } else {
        // SAFETY: as above.
        unsafe { copy_unready(dst, src as usize, len, Direction::Out) }
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Direction {
    In,
    Out,
}

/// The first copy, and every copy that the handler alone cannot protect.
///
/// # Safety
/// As [`copy_in`] or [`copy_out`].
#[cold]
unsafe fn copy_unready(dst: usize, src: usize, len: usize, direction: Direction) -> Result<()> {
    let mut protection = Protection::now();
    if protection.is_undecided() {
        protection = signals::take_faults();
    }
    let unblocked = if protection.is_ours() { Unblocked::now() } else { None };
    if unblocked.is_none()
        && let Some(done) = copy_by_kernel(dst, src, len, direction)
    {
        return done;
    }
    // Without the handler and without the kernel (a seccomp filter may refuse the call) the pointer is taken at its
    // word, as every library in user space takes it.
    // SAFETY: the caller's promise about its own side.
    unsafe { routine::copy(dst as *mut u8, src as *const u8, len) }
}

/// Has the kernel copy; `None` if it may not be asked.
fn copy_by_kernel(dst: usize, src: usize, len: usize, direction: Direction) -> Option<Result<()>> {
    if len == 0 {
        return Some(Ok(()));
    }
    let to = libc::iovec {
        iov_base: dst as *mut libc::c_void,
        iov_len: len,
    };
    let from = libc::iovec {
        iov_base: src as *mut libc::c_void,
        iov_len: len,
    };
    let pid = sys::getpid();
    // SAFETY: the kernel checks both sides; the one that is ours is valid by the caller's promise.
    let moved = unsafe {
        match direction {
            Direction::In => syscall!(SYS_process_vm_readv, pid, &raw const to, 1, &raw const from, 1, 0),
            Direction::Out => syscall!(SYS_process_vm_writev, pid, &raw const from, 1, &raw const to, 1, 0),
        }
    };
    match moved {
        Ok(moved) if moved == len => Some(Ok(())),
        Ok(_) | Err(Errno::EFAULT) => Some(Err(Errno::EFAULT)),
        Err(_) => None,
    }
}

#[cfg(test)]
mod tests;
