//! A pipe, and a pair of Unix sockets.

use std::fs::File;
use std::io::{Read, Write, pipe};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;

use super::{End, Way};
use crate::message::Message;

/// Both ends.
pub(super) struct Descriptors {
    read: File,
    write: File,
}

impl Descriptors {
    /// With room for a message, where the system gives a pipe so much.
    pub(super) fn pipe(size: usize) -> Result<Descriptors, String> {
        let (read, write) = pipe().map_err(|e| format!("pipe: {e}"))?;
        let _ = rustix::pipe::fcntl_setpipe_size(&write, size.clamp(1 << 16, 1 << 20));
        Ok(Descriptors {
            read: OwnedFd::from(read).into(),
            write: OwnedFd::from(write).into(),
        })
    }

    /// A stream in both directions, of which one is used.
    pub(super) fn sockets() -> Result<Descriptors, String> {
        let (read, write) = UnixStream::pair().map_err(|e| format!("socketpair: {e}"))?;
        Ok(Descriptors {
            read: OwnedFd::from(read).into(),
            write: OwnedFd::from(write).into(),
        })
    }
}

impl Way for Descriptors {
    fn sender(&self) -> End<'_> {
        Box::new(|message: &mut Message| (&self.write).write_all(message.bytes()).expect("writing"))
    }

    fn receiver(&self) -> End<'_> {
        Box::new(|message: &mut Message| (&self.read).read_exact(message.bytes_mut()).expect("reading"))
    }
}
