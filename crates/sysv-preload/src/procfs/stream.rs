//! `fopen(3)` and `freopen(3)`.

#![allow(unsafe_code)]

use core::ffi::{c_char, c_int};

use libc::{AT_FDCWD, FILE};
use sysv_engine::{Errno, Result};

use super::{File, contents, path, path_was_read};
use crate::next::next;
use crate::raw::{self, Fd, syscall};

type Fopen = unsafe extern "C" fn(*const c_char, *const c_char) -> *mut FILE;
type Freopen = unsafe extern "C" fn(*const c_char, *const c_char, *mut FILE) -> *mut FILE;

/// Opens where a stand-in cannot take the kernel's file's place, because there is none: any file that opens for reading
/// and for writing.
const ANY: *const c_char = c"/dev/null".as_ptr();

/// The access mode that `fopen` would open with.
///
/// # Safety
/// `mode` is a string that `fopen` accepts.
unsafe fn access(mode: *const c_char) -> c_int {
    // SAFETY: the caller's promise.
    let mode = unsafe { core::ffi::CStr::from_ptr(mode) }.to_bytes();
    // What follows a comma names a character set.
    let mode = mode.split(|&byte| byte == b',').next().unwrap_or_default();
    match (mode.contains(&b'+'), mode.first()) {
        (true, _) => libc::O_RDWR,
        (false, Some(b'r')) => libc::O_RDONLY,
        (false, _) => libc::O_WRONLY,
    }
}

/// Puts our descriptor under the stream's, before anything has been read through it.
///
/// # Safety
/// `stream` is open.
unsafe fn replace(stream: *mut FILE, ours: Result<Fd>) -> Result<()> {
    // SAFETY: the caller's promise.
    let fd = unsafe { libc::fileno(stream) };
    let ours = ours?;
    // SAFETY: no pointer.
    unsafe {
        let cloexec = syscall!(SYS_fcntl, fd, libc::F_GETFD)? as c_int & libc::FD_CLOEXEC;
        syscall!(SYS_dup3, ours.raw(), fd, if cloexec != 0 { libc::O_CLOEXEC } else { 0 }).map(drop)
    }
}

/// The stream, or null after closing it.
///
/// # Safety
/// `stream` is open, and nobody else's.
unsafe fn replaced_or_closed(stream: *mut FILE, ours: Result<Fd>) -> *mut FILE {
    // SAFETY: the caller's promise.
    match unsafe { replace(stream, ours) } {
        Ok(()) => stream,
        Err(errno) => {
            // SAFETY: the caller's promise.
            unsafe { libc::fclose(stream) };
            raw::set_errno(errno);
            core::ptr::null_mut()
        }
    }
}

/// # Safety
/// As fopen(3); `next` is its next definition.
unsafe fn open(next: Option<Fopen>, name: *const c_char, mode: *const c_char) -> *mut FILE {
    let Some(next) = next else {
        raw::set_errno(Errno::ENOSYS);
        return core::ptr::null_mut();
    };
    // SAFETY: the caller's promise.
    let stream = unsafe { next(name, mode) };
    if !path_was_read(stream.is_null()) {
        return stream;
    }
    // SAFETY: the kernel has just read the path.
    let Some(file) = (unsafe { path::recognise(AT_FDCWD, name) }) else {
        return stream;
    };
    // SAFETY: the kernel was asked, so the mode is one.
    let Some(ours) = contents::descriptor(file, unsafe { access(mode) }) else {
        return stream;
    };
    // SAFETY: the caller's promise about `mode`.
    let elsewhere = || {
        // SAFETY: the caller's promise about `mode`.
        unsafe { next(ANY, mode) }
    };
    let stream = if stream.is_null() { elsewhere() } else { stream };
    if stream.is_null() {
        return stream;
    }
    // SAFETY: just opened.
    unsafe { replaced_or_closed(stream, ours) }
}

/// # Safety
/// As freopen(3); `next` is its next definition.
unsafe fn reopen(next: Option<Freopen>, name: *const c_char, mode: *const c_char, stream: *mut FILE) -> *mut FILE {
    let Some(next) = next else {
        raw::set_errno(Errno::ENOSYS);
        return core::ptr::null_mut();
    };
    // It closes the stream when it fails, so that the path must be known before.
    // SAFETY: the caller's promise about `mode`.
    let ours = named(name).and_then(|file| contents::descriptor(file, unsafe { access(mode) }));
    // SAFETY: the caller's promise.
    unsafe {
        match ours {
            None => next(name, mode, stream),
            Some(ours) => {
                let stream = next(ANY, mode, stream);
                if stream.is_null() {
                    stream
                } else {
                    replaced_or_closed(stream, ours)
                }
            }
        }
    }
}

/// The file that a path names which may be anything: the kernel is made to look at it first.
fn named(name: *const c_char) -> Option<File> {
    // SAFETY: the kernel checks the pointer.
    let asked = unsafe { syscall!(SYS_access, name, libc::F_OK) };
    match asked {
        Ok(_) | Err(Errno::ENOENT) => {
            // SAFETY: the kernel has just read the path.
            unsafe { path::recognise(AT_FDCWD, name) }
        }
        Err(_) => None,
    }
}

/// fopen(3).
///
/// # Safety
/// As fopen(3).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fopen(name: *const c_char, mode: *const c_char) -> *mut FILE {
    // SAFETY: the caller's promise.
    unsafe { open(next!(fn fopen(*const c_char, *const c_char) -> *mut FILE), name, mode) }
}

/// fopen(3), large files.
///
/// # Safety
/// As fopen(3).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fopen64(name: *const c_char, mode: *const c_char) -> *mut FILE {
    // SAFETY: the caller's promise.
    unsafe { open(next!(fn fopen64(*const c_char, *const c_char) -> *mut FILE), name, mode) }
}

/// freopen(3).
///
/// # Safety
/// As freopen(3).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn freopen(name: *const c_char, mode: *const c_char, stream: *mut FILE) -> *mut FILE {
    let next = next!(fn freopen(*const c_char, *const c_char, *mut FILE) -> *mut FILE);
    // SAFETY: the caller's promise.
    unsafe { reopen(next, name, mode, stream) }
}

/// freopen(3), large files.
///
/// # Safety
/// As freopen(3).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn freopen64(name: *const c_char, mode: *const c_char, stream: *mut FILE) -> *mut FILE {
    let next = next!(fn freopen64(*const c_char, *const c_char, *mut FILE) -> *mut FILE);
    // SAFETY: the caller's promise.
    unsafe { reopen(next, name, mode, stream) }
}
