//! New segments.

use core::sync::atomic::Ordering::Relaxed;

use super::{LockedSegments, NORESERVE};
use crate::abi::{PAGE_SIZE, SHM_HUGETLB, SHM_NORESERVE, SHMMIN};
use crate::credentials::Caller;
use crate::errno::{Errno, Result};
use crate::registry::{errno_of_new_file, file};

/// Bits of the `shmget` flags that hold the logarithm of the huge page size.
const HUGE_SHIFT: u32 = 26;
const HUGE_MASK: u32 = 0x3f;

impl LockedSegments<'_> {
    /// Makes a segment and returns its identifier.
    ///
    /// # Errors
    /// In Linux's order: `EINVAL` for a size below `SHMMIN` or above `SHMMAX`; `ENOSPC` beyond `SHMALL`; those of
    /// `SHM_HUGETLB`; `ENOMEM` for memory that cannot be had; `ENOSPC` beyond `SHMMNI`.
    pub(super) fn create(&self, key: i32, size: usize, flags: i32, caller: &Caller) -> Result<i32> {
        let size = size as u64;
        let limits = self.member.limits();
        if size < SHMMIN || size > limits.shmmax {
            return Err(Errno::EINVAL);
        }
        let registry = self.registry();
        let pages = size.div_ceil(PAGE_SIZE as u64);
        if pages.checked_mul(PAGE_SIZE as u64).is_none() {
            return Err(Errno::ENOSPC);
        }
        match registry.header.total.load(Relaxed).checked_add(pages) {
            Some(total) if total <= limits.shmall => {}
            _ => return Err(Errno::ENOSPC),
        }
        if flags & SHM_HUGETLB != 0 {
            return Err(huge_pages_refused(flags, caller));
        }
        // No file is so long, and Linux says so before it looks for memory.
        if size > i64::MAX as u64 {
            return Err(Errno::EINVAL);
        }
        // What the bookkeeping needs is taken before the rest is promised; but want of memory is told before that of slots.
        let new = self.reserve(key, limits.shmmni);
        self.check_memory(size, flags)?;
        let new = new?;
        let slot = new.slot;
        if flags & SHM_NORESERVE != 0 {
            slot.flags.store(NORESERVE, Relaxed);
        }
        self.occupy(&new, flags, caller);
        slot.size.store(size, Relaxed);
        slot.atime.store(0, Relaxed);
        slot.dtime.store(0, Relaxed);
        slot.last.store(0, Relaxed);
        slot.attachments.store(0, Relaxed);
        if self.member.is_shared()
            && let Err(errno) = file::make_exclusively(self.member, slot, new.id, flags as u32)
        {
            self.abandon(&new);
            return Err(errno_of_new_file(errno));
        }
        Ok(self.publish(&new))
    }
}

/// Huge pages cannot be had here: a file on tmpfs has none to give. Linux's answers in that case.
fn huge_pages_refused(flags: i32, caller: &Caller) -> Errno {
    match flags as u32 >> HUGE_SHIFT & HUGE_MASK {
        // The default size, 2 MiB and 1 GiB: the sizes of x86-64.
        0 | 21 | 30 => {}
        _ => return Errno::EINVAL,
    }
    // "The caller was not privileged to do so (did not have the CAP_IPC_LOCK capability)"
    if caller.may_lock_memory() {
        Errno::ENOMEM
    } else {
        Errno::EPERM
    }
}
