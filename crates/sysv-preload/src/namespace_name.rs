//! `SYSV_NAMESPACE`: the directory that the program was told to use.

#![allow(unsafe_code)]

use core::ffi::{CStr, c_char};

use sysv_engine::{PathBuf, Result};

use crate::raw::{Fd, syscall};

unsafe extern "C" {
    fn secure_getenv(name: *const c_char) -> *const c_char;
}

/// The directory, if one is named; a program that runs with more privileges than its user's is not told anything.
///
/// The environment is read at the first System V call, and many a daemon has cleared its own by then. So if the variable
/// is not there any more, the one that the process was started with counts.
///
/// # Errors
/// `ENAMETOOLONG` for a name that is none.
pub(crate) fn from_environment() -> Result<Option<PathBuf>> {
    // SAFETY: no pointer.
    if unsafe { libc::getauxval(libc::AT_SECURE) } != 0 {
        return Ok(None);
    }
    let mut path = PathBuf::new();
    // SAFETY: a terminated name.
    let value = unsafe { secure_getenv(c"SYSV_NAMESPACE".as_ptr()) };
    if value.is_null() {
        initial(&mut path)?;
    } else {
        // SAFETY: the C library returned a terminated string.
        path.push(unsafe { CStr::from_ptr(value) }.to_bytes())?;
    }
    Ok(if path.is_empty() { None } else { Some(path) })
}

/// Reads the variable from the environment that `execve` gave the process, as far as the program has left it alone.
fn initial(path: &mut PathBuf) -> Result<()> {
    const WANTED: &[u8] = b"SYSV_NAMESPACE=";
    let flags = libc::O_RDONLY | libc::O_CLOEXEC;
    // SAFETY: a terminated name.
    let opened = unsafe { syscall!(SYS_openat, libc::AT_FDCWD, c"/proc/self/environ".as_ptr(), flags) };
    let Ok(file) = opened.map(|fd| Fd::from_raw(fd as i32)) else {
        return Ok(());
    };
    let mut buffer = [0u8; 1024];
    // How many bytes of the present variable have been seen to be those of WANTED; None once one was not.
    let mut matched = Some(0);
    loop {
        // SAFETY: the kernel writes at most the buffer's length.
        let len = match unsafe { syscall!(SYS_read, file.raw(), buffer.as_mut_ptr(), buffer.len()) } {
            Ok(0) | Err(_) => return Ok(()),
            Ok(len) => len,
        };
        for &byte in &buffer[..len] {
            match (matched, byte) {
                (Some(n), 0) if n == WANTED.len() => return Ok(()),
                (_, 0) => matched = Some(0),
                (Some(n), byte) if n == WANTED.len() => path.push(&[byte])?,
                (Some(n), byte) => matched = (WANTED[n] == byte).then_some(n + 1),
                (None, _) => {}
            }
        }
    }
}
