//! What the program was told in its environment: `SYSV_NAMESPACE`, the directory to use, and `SYSV_TRACE`, whom to report
//! to.
//!
//! The environment is read at the first System V call, and many a daemon has cleared its own by then. So if a variable is
//! not there any more, the one that the process was started with counts.

#![allow(unsafe_code)]

use core::ffi::{CStr, c_char};

use sysv_engine::{PathBuf, Result};

use crate::raw::{Fd, syscall};

unsafe extern "C" {
    fn secure_getenv(name: *const c_char) -> *const c_char;
}

/// The directory of the namespace, if one is named; a program that runs with more privileges than its user's is not told
/// anything.
///
/// # Errors
/// `ENAMETOOLONG` for a name that is none.
pub(crate) fn namespace() -> Result<Option<PathBuf>> {
    if is_privileged() {
        return Ok(None);
    }
    let directory = match present(c"SYSV_NAMESPACE")? {
        Some(directory) => directory,
        None => initial(b"SYSV_NAMESPACE=")?,
    };
    Ok(Some(directory).filter(|directory| !directory.is_empty()))
}

/// Where `sysv trace` listens, if it does.
///
/// # Errors
/// `ENAMETOOLONG` for a name that is none.
pub(crate) fn trace() -> Result<Option<PathBuf>> {
    if is_privileged() {
        return Ok(None);
    }
    let listener = match present(c"SYSV_TRACE")? {
        Some(listener) => listener,
        // Nobody pays for a look at what it was started with whose environment is still there.
        None if present(c"SYSV_NAMESPACE")?.is_some() => return Ok(None),
        None => initial(b"SYSV_TRACE=")?,
    };
    Ok(Some(listener).filter(|listener| !listener.is_empty()))
}

fn is_privileged() -> bool {
    // SAFETY: no pointer.
    unsafe { libc::getauxval(libc::AT_SECURE) != 0 }
}

/// A variable as it is now.
fn present(name: &CStr) -> Result<Option<PathBuf>> {
    // SAFETY: a terminated name.
    let value = unsafe { secure_getenv(name.as_ptr()) };
    if value.is_null() {
        return Ok(None);
    }
    let mut path = PathBuf::new();
    // SAFETY: the C library returned a terminated string.
    path.push(unsafe { CStr::from_ptr(value) }.to_bytes())?;
    Ok(Some(path))
}

/// A variable of the environment that `execve` gave the process, as far as the program has left it alone; empty
/// if there is none. `wanted` ends with the equals sign.
fn initial(wanted: &[u8]) -> Result<PathBuf> {
    let flags = libc::O_RDONLY | libc::O_CLOEXEC;
    // SAFETY: a terminated name.
    let opened = unsafe { syscall!(SYS_openat, libc::AT_FDCWD, c"/proc/self/environ".as_ptr(), flags) };
    let mut path = PathBuf::new();
    let Ok(file) = opened.map(|fd| Fd::from_raw(fd as i32)) else {
        return Ok(path);
    };
    let mut buffer = [0u8; 1024];
    // How many bytes of the present variable have been seen to be those of `wanted`; None once one was not.
    let mut matched = Some(0);
    loop {
        // SAFETY: the kernel writes at most the buffer's length.
        let len = match unsafe { syscall!(SYS_read, file.raw(), buffer.as_mut_ptr(), buffer.len()) } {
            Ok(0) | Err(_) => return Ok(path),
            Ok(len) => len,
        };
        for &byte in &buffer[..len] {
            match (matched, byte) {
                (Some(n), 0) if n == wanted.len() => return Ok(path),
                (_, 0) => matched = Some(0),
                (Some(n), byte) if n == wanted.len() => path.push(&[byte])?,
                (Some(n), byte) => matched = (wanted[n] == byte).then_some(n + 1),
                (None, _) => {}
            }
        }
    }
}
