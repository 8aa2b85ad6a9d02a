//! `stat(2)` and `access(2)` and their kin: the files are there even if the kernel has none, and the namespace's owner may
//! write the limits.

#![allow(unsafe_code)]

use core::ffi::{c_char, c_int, c_uint};

use libc::AT_FDCWD;
use sysv_engine::{Errno, PathBuf, Result};

use super::{File, path, path_was_read};
use crate::joined;
use crate::next::next;
use crate::raw::{self, or_minus_one, syscall};

/// The file's type and permissions, as the kernel has them.
fn mode(file: File) -> u32 {
    libc::S_IFREG
        | match file {
            File::Segments | File::Sets | File::Queues => 0o444,
            File::Limit(_) => 0o644,
        }
}

/// What the program gets: the next definition's answer, or a description of the file that it did not find.
///
/// # Safety
/// `returned` is the next definition's answer for this path, and `status` is writable.
unsafe fn stand_in(returned: c_int, dir: c_int, path: *const c_char, status: *mut libc::stat) -> c_int {
    // SAFETY: the caller's promise.
    match unsafe { absent(returned, dir, path) } {
        // SAFETY: the caller's promise.
        Some(file) => unsafe { describe(file, status) },
        None => returned,
    }
}

/// The file that a failed call was about, if the kernel does not have it.
///
/// # Safety
/// `returned` is the next definition's answer for this path.
unsafe fn absent(returned: c_int, dir: c_int, path: *const c_char) -> Option<File> {
    if returned == 0 || raw::errno() != Errno::ENOENT {
        return None;
    }
    // SAFETY: the kernel has just read the path.
    unsafe { path::recognise(dir, path) }
}

/// # Safety
/// `status` is writable.
unsafe fn describe(file: File, status: *mut libc::stat) -> c_int {
    // SAFETY: zeros are a `stat`.
    let mut described: libc::stat = unsafe { core::mem::zeroed() };
    described.st_mode = mode(file);
    described.st_nlink = 1;
    described.st_blksize = 1024;
    // SAFETY: the caller's promise: the kernel found nothing to write there, but the program passed it to be written.
    unsafe { status.write(described) };
    0
}

/// Defines functions that take the place of `stat` or `access`: the next one of the same name, then what is said after the
/// arrow about its answer.
macro_rules! asking {
    ($(
        $(#[$doc:meta])*
        fn $name:ident($($argument:ident: $type:ty),*) => |$returned:ident| $answer:expr;
    )*) => {$(
        $(#[$doc])*
        ///
        /// # Safety
        /// As the manual page says.
        #[unsafe(no_mangle)]
        pub unsafe extern "C" fn $name($($argument: $type),*) -> c_int {
            let Some(next) = next!(fn $name($($type),*) -> c_int) else {
                return or_minus_one(Err(Errno::ENOSYS));
            };
            // SAFETY: the caller's promise.
            let $returned = unsafe { next($($argument),*) };
            // SAFETY: the answer for this path.
            unsafe { $answer }
        }
    )*};
}

asking! {
    /// stat(2).
    fn stat(path: *const c_char, status: *mut libc::stat) => |returned| stand_in(returned, AT_FDCWD, path, status.cast());
    /// stat(2), large files.
    fn stat64(path: *const c_char, status: *mut libc::stat64) => |returned| stand_in(returned, AT_FDCWD, path, status.cast());
    /// lstat(2).
    fn lstat(path: *const c_char, status: *mut libc::stat) => |returned| stand_in(returned, AT_FDCWD, path, status.cast());
    /// lstat(2), large files.
    fn lstat64(path: *const c_char, status: *mut libc::stat64) => |returned| stand_in(returned, AT_FDCWD, path, status.cast());
    /// fstatat(2).
    fn fstatat(dir: c_int, path: *const c_char, status: *mut libc::stat, flags: c_int) => |returned| stand_in(returned, dir, path, status.cast());
    /// fstatat(2), large files.
    fn fstatat64(dir: c_int, path: *const c_char, status: *mut libc::stat64, flags: c_int) => |returned| stand_in(returned, dir, path, status.cast());
    /// stat(2) of programs built against an older C library.
    fn __xstat(version: c_int, path: *const c_char, status: *mut libc::stat) => |returned| stand_in(returned, AT_FDCWD, path, status.cast());
    /// stat(2) of programs built against an older C library, large files.
    fn __xstat64(version: c_int, path: *const c_char, status: *mut libc::stat64) => |returned| stand_in(returned, AT_FDCWD, path, status.cast());
    /// lstat(2) of programs built against an older C library.
    fn __lxstat(version: c_int, path: *const c_char, status: *mut libc::stat) => |returned| stand_in(returned, AT_FDCWD, path, status.cast());
    /// lstat(2) of programs built against an older C library, large files.
    fn __lxstat64(version: c_int, path: *const c_char, status: *mut libc::stat64) => |returned| stand_in(returned, AT_FDCWD, path, status.cast());
    /// fstatat(2) of programs built against an older C library.
    fn __fxstatat(version: c_int, dir: c_int, path: *const c_char, status: *mut libc::stat, flags: c_int) => |returned| stand_in(returned, dir, path, status.cast());
    /// fstatat(2) of programs built against an older C library, large files.
    fn __fxstatat64(version: c_int, dir: c_int, path: *const c_char, status: *mut libc::stat64, flags: c_int) => |returned| stand_in(returned, dir, path, status.cast());
}

/// statx(2).
///
/// # Safety
/// As statx(2).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn statx(
    dir: c_int,
    path: *const c_char,
    flags: c_int,
    mask: c_uint,
    status: *mut libc::statx,
) -> c_int {
    let Some(next) = next!(fn statx(c_int, *const c_char, c_int, c_uint, *mut libc::statx) -> c_int) else {
        return or_minus_one(Err(Errno::ENOSYS));
    };
    // SAFETY: the caller's promise, in all; zeros are a `statx`.
    unsafe {
        let returned = next(dir, path, flags, mask, status);
        let Some(file) = absent(returned, dir, path) else {
            return returned;
        };
        let mut described: libc::statx = core::mem::zeroed();
        described.stx_mask = libc::STATX_TYPE | libc::STATX_MODE | libc::STATX_NLINK | libc::STATX_SIZE;
        described.stx_mode = mode(file) as u16;
        described.stx_nlink = 1;
        described.stx_blksize = 1024;
        status.write(described);
        0
    }
}

/// Whether the process may write the namespace's file of limits.
fn may_write_limits() -> Result<()> {
    let path = PathBuf::join(joined::facility()?.directory(), b"limits")?;
    // SAFETY: a terminated path.
    unsafe { syscall!(SYS_access, path.as_c_str().as_ptr(), libc::W_OK) }.map(drop)
}

/// What `access` says about a file of ours where the kernel's differs.
///
/// # Safety
/// `returned` is the next definition's answer for this path.
unsafe fn allowed(returned: c_int, dir: c_int, path: *const c_char, wanted: c_int) -> c_int {
    let writing = wanted & libc::W_OK != 0;
    // The kernel's files can be read by everybody, so that its permission to do so is ours.
    if returned == 0 && !writing || !path_was_read(returned != 0) {
        return returned;
    }
    // SAFETY: the kernel has just read the path.
    let Some(file) = (unsafe { path::recognise(dir, path) }) else {
        return returned;
    };
    let answer = match file {
        _ if wanted & libc::X_OK != 0 => Err(Errno::EACCES),
        File::Limit(_) if writing => may_write_limits(),
        File::Segments | File::Sets | File::Queues if writing => return returned,
        _ => Ok(()),
    };
    or_minus_one(answer.map(|()| 0))
}

asking! {
    /// access(2).
    fn access(path: *const c_char, wanted: c_int) => |returned| allowed(returned, AT_FDCWD, path, wanted);
    /// eaccess(3).
    fn eaccess(path: *const c_char, wanted: c_int) => |returned| allowed(returned, AT_FDCWD, path, wanted);
    /// euidaccess(3).
    fn euidaccess(path: *const c_char, wanted: c_int) => |returned| allowed(returned, AT_FDCWD, path, wanted);
    /// faccessat(2).
    fn faccessat(dir: c_int, path: *const c_char, wanted: c_int, flags: c_int) => |returned| allowed(returned, dir, path, wanted);
}
