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

/// Whether so many bytes more can be had of the file system, beside what segments were promised and nobody has touched.
///
/// Asked anew each time: others may take what was free a moment ago.
///
/// # Errors
/// `ENOMEM` if not.
pub(crate) fn spare(member: &Member, bytes: u64) -> Result<()> {
    let st = sys::statfs(member.directory()).map_err(|_| Errno::ENOMEM)?;
    // tmpfs mounted with size=0 has no bound of its own.
    let free = if st.f_blocks == 0 {
        sys::total_memory()
    } else {
        st.f_bavail.saturating_mul(st.f_bsize as u64)
    };
    let promised = super::registry(member.table()).header.promised.load(Relaxed);
    // Cheap and pessimistic first: as if nobody had touched any of what was promised.
    if bytes.saturating_add(promised) <= free || bytes.saturating_add(untouched(member)) <= free {
        Ok(())
    } else {
        Err(Errno::ENOMEM)
    }
}

/// What has been promised and not been touched, in bytes.
#[cold]
fn untouched(member: &Member) -> u64 {
    let registry = super::registry(member.table());
    let mut untouched = 0u64;
    for number in registry.used_numbers() {
        let slot = &registry.slots[number];
        let state = slot.head.state();
        if state.exists() {
            let touched = resident(member, slot, registry.id(number, state));
            untouched = untouched.saturating_add(promised(slot).saturating_sub(touched));
        }
    }
    untouched
}

impl LockedSegments<'_> {
    /// Whether a segment of this size can be promised its memory.
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
        spare(self.member, mapped_length(size) as u64)
    }
}
