//! `munmap(2)`, `mmap(2)` and `mremap(2)`: what they take away, replace or move may be an attachment.
//!
//! Not forwarded to the next definition but made as system calls: memory allocators call them while nothing else works
//! yet, and the engine must hold its locks over the call and its own bookkeeping.

#![allow(unsafe_code)]

use core::ffi::{c_int, c_void};

use sysv_engine::process;

use crate::raw::{or_map_failed, or_minus_one};

/// munmap(2).
///
/// # Safety
/// As munmap(2).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn munmap(address: *mut c_void, len: usize) -> c_int {
    // SAFETY: the caller's promise.
    or_minus_one(unsafe { process::munmap(address as usize, len) }.map(|()| 0))
}

/// mmap(2).
///
/// # Safety
/// As mmap(2).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mmap(
    address: *mut c_void,
    len: usize,
    protection: c_int,
    flags: c_int,
    fd: c_int,
    offset: libc::off_t,
) -> *mut c_void {
    // SAFETY: the caller's promise.
    or_map_failed(unsafe { process::mmap(address as usize, len, protection, flags, fd, offset as u64) })
}

/// mmap(2) by its other name.
///
/// # Safety
/// As mmap(2).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mmap64(
    address: *mut c_void,
    len: usize,
    protection: c_int,
    flags: c_int,
    fd: c_int,
    offset: libc::off64_t,
) -> *mut c_void {
    // SAFETY: the caller's promise.
    unsafe { mmap(address, len, protection, flags, fd, offset) }
}

/// mremap(2). The C library declares the last argument as optional; it travels in the same register.
///
/// # Safety
/// As mremap(2).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mremap(
    old: *mut c_void,
    old_len: usize,
    new_len: usize,
    flags: c_int,
    new: *mut c_void,
) -> *mut c_void {
    // SAFETY: the caller's promise.
    or_map_failed(unsafe { process::mremap(old as usize, old_len, new_len, flags, new as usize) })
}
