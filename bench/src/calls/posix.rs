//! What POSIX offers in the place of a segment, and what measuring itself costs.

#![allow(unsafe_code)]

use std::ffi::CString;
use std::hint::black_box;
use std::ptr;

use super::Operation;

pub(super) fn prepare(call: &str, size: usize) -> Option<Operation> {
    Some(match call {
        "nothing" => Box::new(|| _ = black_box(0)),
        "shm_open + mmap + munmap + shm_unlink" => {
            let name = CString::new(format!("/sysv-bench-{}", std::process::id())).expect("no NUL");
            Box::new(move || {
                let mapped = mapped(&name, 4096);
                // SAFETY: our own mapping, which nobody knows.
                unsafe { libc::munmap(mapped.cast(), 4096) };
            })
        }
        "copy into POSIX shared memory" => {
            let name = CString::new(format!("/sysv-bench-{}", std::process::id())).expect("no NUL");
            let at = mapped(&name, size);
            let source = vec![7u8; size];
            // SAFETY: the mapping has the size.
            unsafe { at.write_bytes(1, size) };
            Box::new(move || {
                // SAFETY: the mapping is as long as the source, and apart from it.
                unsafe { ptr::copy_nonoverlapping(black_box(source.as_ptr()), at, source.len()) };
            })
        }
        _ => return None,
    })
}

/// New shared memory whose name is free again.
fn mapped(name: &CString, size: usize) -> *mut u8 {
    let protection = libc::PROT_READ | libc::PROT_WRITE;
    // SAFETY: a terminated name, and a new mapping of the object's size.
    let at = unsafe {
        let fd = libc::shm_open(name.as_ptr(), libc::O_RDWR | libc::O_CREAT, 0o600);
        libc::ftruncate(fd, size as i64);
        let at = libc::mmap(ptr::null_mut(), size, protection, libc::MAP_SHARED, fd, 0);
        libc::close(fd);
        libc::shm_unlink(name.as_ptr());
        at
    };
    assert_ne!(at, libc::MAP_FAILED, "{}", crate::system::last_error("mmap"));
    at.cast()
}
