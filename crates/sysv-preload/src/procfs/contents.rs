//! The descriptors that stand in for the kernel's files.

#![allow(unsafe_code)]

use core::ffi::c_int;
use core::fmt::{self, Write};

use sysv_engine::{Errno, Result, procfs};

use super::{File, path};
use crate::joined;
use crate::raw::{Fd, syscall};
use crate::trace;

/// A descriptor for a program that opens `file` with these flags; `None` where the kernel's own answer stands.
///
/// # Errors
/// Those of joining the namespace; `EACCES` for writing a limit without being the namespace's owner.
pub(super) fn descriptor(file: File, flags: c_int) -> Option<Result<Fd>> {
    let reading = flags & libc::O_ACCMODE == libc::O_RDONLY;
    if flags & (libc::O_PATH | libc::O_DIRECTORY) != 0 || trace::is_of_the_kernel() {
        return None;
    }
    match file {
        _ if reading => Some(text(file)),
        File::Limit(limit) => Some(joined::facility().and_then(|engine| engine.limit_writer(limit).map(Fd::from_raw))),
        File::Segments | File::Sets | File::Queues => None,
    }
}

/// A descriptor from which the file's text is read.
fn text(file: File) -> Result<Fd> {
    let engine = joined::facility()?;
    let mut out = Buffered::new()?;
    match file {
        File::Segments => {
            let _ = procfs::shm_header(&mut out);
            engine.segments(&mut |segment| {
                let _ = procfs::shm_line(&mut out, segment.id, &segment.ds, segment.resident, 0);
            })?;
        }
        File::Sets => {
            let _ = procfs::sem_header(&mut out);
            engine.sets(&mut |set| {
                let _ = procfs::sem_line(&mut out, set.id, &set.ds);
            })?;
        }
        File::Queues => {
            let _ = procfs::msg_header(&mut out);
            engine.queues(&mut |queue| {
                let _ = procfs::msg_line(&mut out, queue.id, &queue.ds);
            })?;
        }
        File::Limit(limit) => {
            let _ = procfs::limit(&mut out, engine.limits().get(limit));
        }
    }
    out.finish()
}

/// A file in memory, written through a buffer.
struct Buffered {
    file: Fd,
    bytes: [u8; 4096],
    len: usize,
    failed: Option<Errno>,
}

impl Buffered {
    fn new() -> Result<Buffered> {
        // SAFETY: a terminated name.
        let fd = unsafe { syscall!(SYS_memfd_create, c"sysvipc".as_ptr(), libc::MFD_CLOEXEC) }?;
        Ok(Buffered {
            file: Fd::from_raw(fd as c_int),
            bytes: [0; 4096],
            len: 0,
            failed: None,
        })
    }

    fn flush(&mut self) {
        let mut done = 0;
        while done < self.len && self.failed.is_none() {
            let rest = &self.bytes[done..self.len];
            // SAFETY: the kernel reads at most `rest.len()` bytes.
            match unsafe { syscall!(SYS_write, self.file.raw(), rest.as_ptr(), rest.len()) } {
                Ok(written) => done += written,
                Err(Errno::EINTR) => {}
                Err(errno) => self.failed = Some(errno),
            }
        }
        self.len = 0;
    }

    /// The file, to be read from its beginning, and not to be written.
    fn finish(mut self) -> Result<Fd> {
        self.flush();
        if let Some(errno) = self.failed {
            return Err(errno);
        }
        let flags = libc::O_RDONLY | libc::O_CLOEXEC;
        let again = path::descriptor_link(self.file.raw())
            .ok_or(Errno::EMFILE)
            .and_then(|link| {
                // SAFETY: a terminated path.
                unsafe { syscall!(SYS_openat, libc::AT_FDCWD, link.as_ptr(), flags) }
            });
        match again {
            Ok(fd) => Ok(Fd::from_raw(fd as c_int)),
            // Without /proc the descriptor that wrote it has to do.
            Err(_) => {
                // SAFETY: no pointer.
                unsafe { syscall!(SYS_lseek, self.file.raw(), 0, libc::SEEK_SET) }?;
                Ok(self.file)
            }
        }
    }
}

impl Write for Buffered {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for chunk in text.as_bytes().chunks(self.bytes.len()) {
            if self.len + chunk.len() > self.bytes.len() {
                self.flush();
            }
            self.bytes[self.len..][..chunk.len()].copy_from_slice(chunk);
            self.len += chunk.len();
        }
        if self.failed.is_some() { Err(fmt::Error) } else { Ok(()) }
    }
}
