//! `open(2)` and its kin.

#![allow(unsafe_code)]

use core::ffi::{c_char, c_int};

use libc::{AT_FDCWD, mode_t};
use sysv_engine::{Errno, Result};

use super::{contents, path, path_was_read};
use crate::next::next;
use crate::raw::{self, Fd, or_minus_one, syscall};

/// What the program gets: the next definition's descriptor, or one that stands in for it.
///
/// # Safety
/// `opened` is the next definition's answer for this path.
unsafe fn stand_in(opened: c_int, dir: c_int, path: *const c_char, flags: c_int) -> c_int {
    if !path_was_read(opened < 0) {
        return opened;
    }
    // SAFETY: the kernel has just read the path.
    let Some(file) = (unsafe { path::recognise(dir, path) }) else {
        return opened;
    };
    let errno = raw::errno();
    let Some(ours) = contents::descriptor(file, flags) else {
        return opened;
    };
    let kernels = (opened >= 0).then(|| Fd::from_raw(opened));
    let placed = ours.and_then(|ours| place(ours, kernels, flags & libc::O_CLOEXEC));
    if placed.is_ok() {
        raw::set_errno(errno);
    }
    or_minus_one(placed)
}

/// Gives the program our descriptor under the number that the kernel's has, or the lowest that is free.
pub(super) fn place(ours: Fd, kernels: Option<Fd>, cloexec: c_int) -> Result<c_int> {
    if let Some(kernels) = kernels {
        // SAFETY: no pointer.
        unsafe { syscall!(SYS_dup3, ours.raw(), kernels.raw(), cloexec) }?;
        return Ok(kernels.into_raw());
    }
    let duplicate = if cloexec != 0 {
        libc::F_DUPFD_CLOEXEC
    } else {
        libc::F_DUPFD
    };
    // SAFETY: no pointer.
    let fd = unsafe { syscall!(SYS_fcntl, ours.raw(), duplicate, 0) }? as c_int;
    if fd < ours.raw() {
        return Ok(fd);
    }
    let duplicate = Fd::from_raw(fd);
    if cloexec == 0 {
        // SAFETY: no pointer.
        unsafe { syscall!(SYS_fcntl, ours.raw(), libc::F_SETFD, 0) }?;
    }
    drop(duplicate);
    Ok(ours.into_raw())
}

/// Defines functions that take the place of `open`: the next one of the same name, then what is said after the arrow
/// about its answer.
macro_rules! opening {
    ($(
        $(#[$doc:meta])*
        fn $name:ident($($argument:ident: $type:ty),*) => |$opened:ident| $answer:expr;
    )*) => {$(
        $(#[$doc])*
        ///
        /// # Safety
        /// As open(2).
        #[unsafe(no_mangle)]
        pub unsafe extern "C" fn $name($($argument: $type),*) -> c_int {
            let Some(next) = next!(fn $name($($type),*) -> c_int) else {
                return or_minus_one(Err(Errno::ENOSYS));
            };
            // SAFETY: the caller's promise. An argument that it left out is passed on unread.
            let $opened = unsafe { next($($argument),*) };
            // SAFETY: the answer for this path.
            unsafe { $answer }
        }
    )*};
}

/// The flags that `creat(2)` stands for.
const CREAT: c_int = libc::O_WRONLY | libc::O_CREAT | libc::O_TRUNC;

opening! {
    /// open(2).
    fn open(path: *const c_char, flags: c_int, mode: mode_t) => |opened| stand_in(opened, AT_FDCWD, path, flags);
    /// open(2), large files.
    fn open64(path: *const c_char, flags: c_int, mode: mode_t) => |opened| stand_in(opened, AT_FDCWD, path, flags);
    /// open(2) by its other name.
    fn __open(path: *const c_char, flags: c_int, mode: mode_t) => |opened| stand_in(opened, AT_FDCWD, path, flags);
    /// open(2) by its other name, large files.
    fn __open64(path: *const c_char, flags: c_int, mode: mode_t) => |opened| stand_in(opened, AT_FDCWD, path, flags);
    /// open(2), with the flags checked by `_FORTIFY_SOURCE`.
    fn __open_2(path: *const c_char, flags: c_int) => |opened| stand_in(opened, AT_FDCWD, path, flags);
    /// open(2), with the flags checked by `_FORTIFY_SOURCE`, large files.
    fn __open64_2(path: *const c_char, flags: c_int) => |opened| stand_in(opened, AT_FDCWD, path, flags);
    /// openat(2).
    fn openat(dir: c_int, path: *const c_char, flags: c_int, mode: mode_t) => |opened| stand_in(opened, dir, path, flags);
    /// openat(2), large files.
    fn openat64(dir: c_int, path: *const c_char, flags: c_int, mode: mode_t) => |opened| stand_in(opened, dir, path, flags);
    /// openat(2), with the flags checked by `_FORTIFY_SOURCE`.
    fn __openat_2(dir: c_int, path: *const c_char, flags: c_int) => |opened| stand_in(opened, dir, path, flags);
    /// openat(2), with the flags checked by `_FORTIFY_SOURCE`, large files.
    fn __openat64_2(dir: c_int, path: *const c_char, flags: c_int) => |opened| stand_in(opened, dir, path, flags);
    /// creat(2).
    fn creat(path: *const c_char, mode: mode_t) => |opened| stand_in(opened, AT_FDCWD, path, CREAT);
    /// creat(2), large files.
    fn creat64(path: *const c_char, mode: mode_t) => |opened| stand_in(opened, AT_FDCWD, path, CREAT);
}
