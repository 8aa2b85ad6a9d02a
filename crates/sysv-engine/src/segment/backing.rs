//! The memory that segments promise, and what has been touched of it.

use core::sync::atomic::Ordering::Relaxed;

use super::{LockedSegments, NORESERVE};
use crate::abi::{PAGE_SIZE, SHM_NORESERVE};
use crate::attachments::mapped_length;
use crate::errno::{Errno, Result};
use crate::member::Member;
use crate::registry::{BACKING, Mechanism};
use crate::sys;
use crate::table::SegmentSlot;

/// The size that a segment occupies, in pages.
pub(crate) fn pages(slot: &SegmentSlot) -> u64 {
    slot.size.load(Relaxed).div_ceil(PAGE_SIZE as u64)
}

/// The bytes that a segment may take of the file system's free space: none of one made with `SHM_NORESERVE`.
pub(crate) fn promised(slot: &SegmentSlot) -> u64 {
    if slot.flags.load(Relaxed) & NORESERVE != 0 {
        0
    } else {
        // Whatever the size says, a sum's difference.
        pages(slot).saturating_mul(PAGE_SIZE as u64).min(i64::MAX as u64)
    }
}

/// Resident and swapped bytes of a segment together: tmpfs counts both as the file's.
pub(super) fn resident(member: &Member, slot: &SegmentSlot, id: i32) -> u64 {
    if slot.flags.load(Relaxed) & BACKING == 0 {
        return 0;
    }
    member
        .with_object_path(SegmentSlot::DIRECTORY, id, |path| sys::stat(path, false))
        .map_or(0, |st| st.st_blocks as u64 * 512)
}

impl LockedSegments<'_> {
    /// Whether so much memory can be promised.
    ///
    /// # Errors
    /// `ENOMEM` if it cannot be had: refused now, instead of SIGBUS later.
    pub(super) fn check_memory(&self, size: u64, flags: i32) -> Result<()> {
        if flags & SHM_NORESERVE != 0 {
            return Ok(());
        }
        /// From this size on the machine's memory is asked for too: such a request is rare.
        const LARGE: u64 = 1 << 30;
        if size > LARGE && size > sys::total_memory() {
            return Err(Errno::ENOMEM);
        }
        let header = self.registry().header;
        let wanted = (mapped_length(size) as u64).saturating_add(header.promised.load(Relaxed));
        // Cheap and pessimistic first: as if nobody had touched any of what was promised, and with half of what was
        // free a moment ago.
        let now = sys::monotonic_ms();
        let age = now.wrapping_sub(header.free_bytes_at.load(Relaxed));
        if age < 1000 && wanted <= header.free_bytes.load(Relaxed) / 2 {
            return Ok(());
        }
        let st = sys::statfs(self.member.directory()).map_err(|_| Errno::ENOMEM)?;
        // tmpfs mounted with size=0 has no bound of its own.
        let free = if st.f_blocks == 0 {
            sys::total_memory()
        } else {
            st.f_bavail.saturating_mul(st.f_bsize as u64)
        };
        header.free_bytes.store(free, Relaxed);
        header.free_bytes_at.store(now, Relaxed);
        if wanted <= free {
            Ok(())
        } else {
            self.check_memory_exactly(size, free)
        }
    }

    /// Counts what has been touched of what was promised.
    #[cold]
    fn check_memory_exactly(&self, size: u64, free: u64) -> Result<()> {
        let registry = self.registry();
        let mut untouched = 0u64;
        for number in registry.used_numbers() {
            let slot = &registry.slots[number];
            let state = slot.head.state();
            if state.exists() {
                let touched = resident(self.member, slot, registry.id(number, state));
                untouched = untouched.saturating_add(promised(slot).saturating_sub(touched));
            }
        }
        let wanted = untouched.saturating_add(mapped_length(size) as u64);
        if wanted <= free { Ok(()) } else { Err(Errno::ENOMEM) }
    }
}
