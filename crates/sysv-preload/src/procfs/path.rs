//! Telling from a path whether it names one of the files.
//!
//! By its letters: symbolic links are not followed.

#![allow(unsafe_code)]

use core::ffi::{CStr, c_char, c_int};

use sysv_engine::Limit;

use super::File;
use crate::raw::syscall;

/// The file that `path` names, taken from the directory `dir` (`AT_FDCWD` or a descriptor).
///
/// # Safety
/// `path` is a readable, terminated string.
pub(super) unsafe fn recognise(dir: c_int, path: *const c_char) -> Option<File> {
    // SAFETY: the caller's promise.
    let path = unsafe { CStr::from_ptr(path) }.to_bytes();
    // Nearly every path ends here.
    if !is_candidate(path) {
        return None;
    }
    let mut buffer = [0u8; 256];
    let mut components = Components::new();
    if path.first() != Some(&b'/') {
        components.follow(directory(dir, &mut buffer)?)?;
    }
    components.follow(path)?;
    components.file()
}

/// Whether one of the files may have the path's last component as its name.
fn is_candidate(path: &[u8]) -> bool {
    let name = path.rsplit(|&byte| byte == b'/').next().unwrap_or_default();
    matches!(name.get(..3), Some(b"shm" | b"sem" | b"msg")) && (limit(name).is_some() || objects(name).is_some())
}

/// The file under `/proc/sysvipc` with this name.
fn objects(name: &[u8]) -> Option<File> {
    match name {
        b"shm" => Some(File::Segments),
        b"sem" => Some(File::Sets),
        b"msg" => Some(File::Queues),
        _ => None,
    }
}

/// The file under `/proc/sys/kernel` with this name.
fn limit(name: &[u8]) -> Option<File> {
    Limit::ALL
        .into_iter()
        .find(|limit| limit.name().as_bytes() == name)
        .map(File::Limit)
}

/// The directory's own path.
fn directory(dir: c_int, buffer: &mut [u8; 256]) -> Option<&[u8]> {
    if dir == libc::AT_FDCWD {
        // SAFETY: the kernel writes at most the buffer's length.
        let len = unsafe { syscall!(SYS_getcwd, buffer.as_mut_ptr(), buffer.len()) }.ok()?;
        return buffer[..len].strip_suffix(b"\0");
    }
    let link = descriptor_link(dir)?;
    // SAFETY: a terminated path; the kernel writes at most the buffer's length.
    let len = unsafe { syscall!(SYS_readlink, link.as_ptr(), buffer.as_mut_ptr(), buffer.len()) }.ok()?;
    // A path that fills the buffer may go on.
    (len < buffer.len()).then_some(&buffer[..len])
}

/// `/proc/self/fd/` and the descriptor's number, terminated.
pub(super) fn descriptor_link(fd: c_int) -> Option<[u8; 32]> {
    const PREFIX: &[u8] = b"/proc/self/fd/";
    let mut link = [0; 32];
    link[..PREFIX.len()].copy_from_slice(PREFIX);
    let mut rest = u32::try_from(fd).ok()?;
    let digits = rest.checked_ilog10().unwrap_or(0) as usize + 1;
    for digit in link[PREFIX.len()..][..digits].iter_mut().rev() {
        *digit = b'0' + (rest % 10) as u8;
        rest /= 10;
    }
    Some(link)
}

/// The path from the root so far; the files lie at most four components deep.
struct Components<'p> {
    names: [&'p [u8]; 16],
    len: usize,
}

impl<'p> Components<'p> {
    fn new() -> Components<'p> {
        Components {
            names: [b""; 16],
            len: 0,
        }
    }

    /// Goes where `path` leads; `None` if that is too deep to be one of the files.
    fn follow(&mut self, path: &'p [u8]) -> Option<()> {
        for name in path.split(|&byte| byte == b'/') {
            match name {
                b"" | b"." => {}
                b".." => self.len = self.len.saturating_sub(1),
                name => {
                    *self.names.get_mut(self.len)? = name;
                    self.len += 1;
                }
            }
        }
        Some(())
    }

    fn file(&self) -> Option<File> {
        match self.names[..self.len] {
            [b"proc", b"sysvipc", name] => objects(name),
            [b"proc", b"sys", b"kernel", name] => limit(name),
            _ => None,
        }
    }
}
