//! The proof of life: a lock on a byte of the file `live`, which the kernel drops when its holder dies.
//!
//! Each member process holds an open-file-description write lock on the byte with its record's number. The
//! description has no descriptor: only a mapping keeps it open, so that a program which closes all descriptors
//! does not lose it, and `MADV_DONTFORK` keeps a forked child from inheriting it. `execve` and death of any kind
//! unmap it, and the lock goes.
//!
//! A second byte for each record, [`TRANSITION`] above, is held for a moment by whoever hands the record from a
//! dead owner to the next or to nobody. It makes them exclusive without making the dead look alive: the
//! generation changes before the first byte is locked again.

use core::cell::OnceCell;

use crate::abi::PAGE_SIZE;
use crate::errno::{Errno, Result};
use crate::path::PathBuf;
use crate::sys::{self, ByteLock, Fd};

/// Distance between a record's two bytes.
const TRANSITION: u64 = 1 << 20;

/// The file `live`, open.
pub(crate) struct Live {
    fd: Fd,
}

impl Live {
    pub(crate) fn open(directory: &core::ffi::CStr) -> Result<Live> {
        let path = PathBuf::join(directory, b"live")?;
        Ok(Live {
            fd: sys::open(path.as_c_str(), libc::O_RDWR, 0)?,
        })
    }

    /// Whether the owner of record `index` lives.
    pub(crate) fn holds(&self, index: usize) -> Result<bool> {
        Ok(sys::probe_byte(&self.fd, index as u64)? == ByteLock::Held)
    }

    /// Claims the right to hand the record on; `false` if somebody else is doing that.
    pub(crate) fn begin_transition(&self, index: usize) -> Result<bool> {
        Ok(sys::lock_byte(&self.fd, TRANSITION + index as u64)? == ByteLock::Free)
    }

    pub(crate) fn end_transition(&self, index: usize) {
        sys::unlock_byte(&self.fd, TRANSITION + index as u64);
    }

    /// Locks the record's byte for as long as the returned mapping, or a forked child's copy of it, exists.
    pub(crate) fn hold(&self, index: usize) -> Result<ProofOfLife> {
        if sys::lock_byte(&self.fd, index as u64)? == ByteLock::Held {
            return Err(Errno::EAGAIN);
        }
        let address = proof::map(&self.fd)?;
        Ok(ProofOfLife { address })
    }
}

/// The mapping that keeps a record's byte locked. Plain data: dropping it does nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ProofOfLife {
    address: usize,
}

impl ProofOfLife {
    /// Keeps a forked child from inheriting the lock.
    pub(crate) fn keep_from_children(self) -> Result<()> {
        sys::madvise_fork(self.address, PAGE_SIZE, libc::MADV_DONTFORK)
    }

    /// Gives the lock up, unless a forked child has a copy.
    pub(crate) fn release(self) {
        proof::unmap(self.address);
    }
}

mod proof {
    #![allow(unsafe_code)]

    use super::{Fd, PAGE_SIZE, Result, sys};

    pub(super) fn map(fd: &Fd) -> Result<usize> {
        // SAFETY: a new range; the page is never touched, so that the file may be empty.
        unsafe { sys::mmap(0, PAGE_SIZE, libc::PROT_READ, libc::MAP_SHARED, fd.raw(), 0) }
    }

    pub(super) fn unmap(address: usize) {
        // SAFETY: `address` came from `map`; nothing refers to the page.
        let _ = unsafe { sys::munmap(address, PAGE_SIZE) };
    }
}

/// The file `live`, opened when the first question needs it and kept for one call's questions.
///
/// No descriptor is kept between calls: the program may close any of them, or put another file under its number,
/// and an answer read from that would be a false death.
pub(crate) struct LazyLive<'d> {
    directory: &'d PathBuf,
    live: OnceCell<Live>,
}

impl<'d> LazyLive<'d> {
    #[inline]
    pub(crate) fn new(directory: &'d PathBuf) -> LazyLive<'d> {
        LazyLive {
            directory,
            live: OnceCell::new(),
        }
    }

    /// Whether the owner of record `index` lives. `true` also where the question cannot be asked (no descriptor is
    /// to be had): death needs proof.
    pub(crate) fn holds(&self, index: usize) -> bool {
        self.get().is_none_or(|live| live.holds(index).unwrap_or(true))
    }

    pub(crate) fn get(&self) -> Option<&Live> {
        if self.live.get().is_none() {
            // A failure is not kept: whoever waits for a lock asks again, and there may be a descriptor by then.
            let _ = self.live.set(Live::open(self.directory.as_c_str()).ok()?);
        }
        self.live.get()
    }
}
