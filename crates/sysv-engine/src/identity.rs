//! Who a process is, in one word that other pid namespaces can judge.

use core::sync::atomic::{AtomicU64, Ordering::Relaxed};

use crate::sys;

/// A process id and the namespace in which it counts: the namespace's inode number in the high half, the id in
/// the low.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Identity(u64);

impl Identity {
    /// The calling process. Costs a system call or two; members keep the answer.
    pub(crate) fn own() -> Identity {
        // 0 where /proc is not mounted: such processes take each other's ids at face value.
        let namespace = sys::stat(c"/proc/self/ns/pid", true).map_or(0, |st| st.st_ino as u32);
        Identity(u64::from(namespace) << 32 | u64::from(sys::getpid()))
    }

    pub(crate) fn from_word(word: u64) -> Identity {
        Identity(word)
    }

    pub(crate) fn word(self) -> u64 {
        self.0
    }

    /// The id in its own namespace.
    pub(crate) fn pid(self) -> u32 {
        self.0 as u32
    }

    /// The namespace's inode number, 0 if unknown.
    pub(crate) fn namespace(self) -> u32 {
        (self.0 >> 32) as u32
    }

    /// The same process in the same namespace under another id.
    pub(crate) fn with_pid(self, pid: u32) -> Identity {
        Identity(self.0 & !0xffff_ffff | u64::from(pid))
    }

    /// The id as the process `observer` may use it: 0 if it counts in another namespace, as the kernel shows ids
    /// that a reader cannot see.
    pub(crate) fn seen_by(self, observer: Identity) -> i32 {
        if self.namespace() == observer.namespace() {
            self.pid() as i32
        } else {
            0
        }
    }
}

/// A command's name as the kernel knows it (`/proc/self/comm`), padded with NULs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Command([u64; 4]);

impl Command {
    /// The calling process's.
    pub(crate) fn own() -> Command {
        let mut bytes = [0u8; 32];
        if let Ok(fd) = sys::open(c"/proc/self/comm", libc::O_RDONLY, 0) {
            let read = sys::pread(&fd, &mut bytes[..31], 0).unwrap_or(0);
            if let Some(newline) = bytes[..read].iter().position(|&b| b == b'\n') {
                bytes[newline..].fill(0);
            }
        }
        let mut words = [0u64; 4];
        for (word, chunk) in words.iter_mut().zip(bytes.chunks_exact(8)) {
            *word = u64::from_le_bytes(chunk.try_into().unwrap_or_default());
        }
        Command(words)
    }

    pub(crate) fn load(words: &[AtomicU64; 4]) -> Command {
        Command(core::array::from_fn(|i| words[i].load(Relaxed)))
    }

    pub(crate) fn store(self, words: &[AtomicU64; 4]) {
        for (word, value) in words.iter().zip(self.0) {
            word.store(value, Relaxed);
        }
    }

    /// The name's bytes; what follows the first NUL does not count.
    pub(crate) fn bytes(self) -> [u8; 32] {
        let mut bytes = [0u8; 32];
        for (chunk, word) in bytes.chunks_exact_mut(8).zip(self.0) {
            chunk.copy_from_slice(&word.to_le_bytes());
        }
        bytes
    }
}
