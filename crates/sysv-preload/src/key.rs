//! `ftok(3)`.

#![allow(unsafe_code)]

use core::ffi::{c_char, c_int};
use core::mem::MaybeUninit;

use crate::raw::{or_minus_one, syscall};

/// The key that stands for a file and a project: the project's low eight bits, the low eight of the device and the low
/// sixteen of the inode, from the top down.
///
/// # Safety
/// As ftok(3); a bad pointer is `EFAULT`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ftok(path: *const c_char, project: c_int) -> libc::key_t {
    let mut status = MaybeUninit::<libc::stat>::uninit();
    // SAFETY: the kernel checks `path` and fills the structure on success.
    let asked = unsafe { syscall!(SYS_newfstatat, libc::AT_FDCWD, path, status.as_mut_ptr(), 0) };
    or_minus_one(asked.map(|_| {
        // SAFETY: filled by the call.
        let status = unsafe { status.assume_init() };
        (project & 0xff) << 24 | (status.st_dev as c_int & 0xff) << 16 | (status.st_ino as c_int & 0xffff)
    }))
}
