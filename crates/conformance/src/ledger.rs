//! What a test created on the kernel, known to the process that cleans up after it.

#![allow(unsafe_code)]

use std::sync::atomic::{AtomicI32, AtomicUsize, Ordering};

use sysv_engine::{Kernel, Segments};

/// Identifiers that one test can have recorded.
const CAPACITY: usize = 16 * 1024;

/// Identifiers of kernel segments, in memory that a test shares with its supervisor, so that they are
/// removed even when the test is killed.
///
/// | word | meaning | who changes it |
/// |---|---|---|
/// | `next` | entries taken, may exceed the capacity | every process of the test |
/// | `entries[n]` | identifier + 1, or 0 while it is being written | the process that took entry `n` |
pub(crate) struct Ledger {
    shared: *const Entries,
}

struct Entries {
    next: AtomicUsize,
    entries: [AtomicI32; CAPACITY],
}

// SAFETY: the memory is only touched through atomics and lives until `drop`.
unsafe impl Send for Ledger {}
// SAFETY: as above.
unsafe impl Sync for Ledger {}

impl Ledger {
    pub(crate) fn new() -> Ledger {
        // SAFETY: a new anonymous mapping, zeroed, which is a valid `Entries`.
        let shared = unsafe {
            libc::mmap(
                std::ptr::null_mut(),
                size_of::<Entries>(),
                libc::PROT_READ | libc::PROT_WRITE,
                libc::MAP_SHARED | libc::MAP_ANONYMOUS,
                -1,
                0,
            )
        };
        assert_ne!(shared, libc::MAP_FAILED, "mmap: {}", std::io::Error::last_os_error());
        Ledger { shared: shared.cast() }
    }

    fn entries(&self) -> &Entries {
        // SAFETY: mapped in `new`, unmapped only in `drop`.
        unsafe { &*self.shared }
    }

    pub(crate) fn record(&self, id: i32) {
        let entries = self.entries();
        let index = entries.next.fetch_add(1, Ordering::Relaxed);
        if let Some(entry) = entries.entries.get(index) {
            entry.store(id + 1, Ordering::Release);
        }
    }

    /// Removes from the kernel whatever is still there. Identifiers carry a sequence number, so that one
    /// that is gone names nothing else.
    pub(crate) fn remove_all(&self) {
        for entry in &self.entries().entries[..self.entries().next.load(Ordering::Acquire).min(CAPACITY)] {
            let id = entry.load(Ordering::Acquire) - 1;
            if id >= 0 {
                let _ = Kernel.shm_remove(id);
            }
        }
    }
}

impl Drop for Ledger {
    fn drop(&mut self) {
        // SAFETY: mapped in `new` with this size; nobody else holds a reference.
        unsafe { libc::munmap(self.shared.cast_mut().cast(), size_of::<Entries>()) };
    }
}

#[cfg(test)]
mod tests {
    use sysv_engine::abi::IPC_PRIVATE;
    use sysv_engine::{Errno, StatBy};

    use super::*;

    #[test]
    fn what_was_recorded_is_removed_and_nothing_else() {
        let ledger = Ledger::new();
        let [kept, recorded] = [0o600, 0o400].map(|mode| Kernel.shmget(IPC_PRIVATE, 1, mode).unwrap());
        ledger.record(recorded);
        ledger.remove_all();
        assert_eq!(Kernel.shm_stat(recorded, StatBy::Id).map(drop), Err(Errno::EINVAL));
        assert_eq!(Kernel.shm_remove(kept), Ok(()));
    }
}
