//! Shared memory segments: `shmget`, `shmat`, `shmdt`, `shmctl`.
//!
//! A segment's file `shm/<id>` is exactly its memory, rounded up to whole pages. In a namespace for several users it is
//! made with the segment, so that it belongs to the creator and the kernel enforces the segment's permissions on its
//! bytes. In one for a single user the first attachment makes it, and a segment that nobody attaches costs no file.

mod attach;
mod backing;
mod control;
mod create;
mod get;
mod moved;
mod records;
mod report;
mod sweep;

pub(crate) use attach::{shmat, shmdt};
pub(crate) use backing::spare;
pub(crate) use control::{limits, lock, remove, set, stat, usage};
pub(crate) use get::shmget;
pub(crate) use moved::{move_pieces, range_gone};
pub(crate) use records::Attachment;
pub use report::{AttachmentReport, SegmentReport};
pub(crate) use report::{attachments, holders_of_removed, removed_waiting, segments, segments_and_holders};

use core::mem::offset_of;
use core::sync::atomic::AtomicU32;
use core::sync::atomic::Ordering::Relaxed;

use crate::attachments::mapped_length;
use crate::registry::{Locked, Mechanism, Registry, Slot};
use crate::table::{FIRST_SEGMENT_INDEX, ObjectHead, SegmentSlot, Table};

/// Slot flag: `SHM_NORESERVE`.
const NORESERVE: u32 = 1 << 8;

/// The lock on the segments' registry, held: attach records may be changed too.
pub(crate) type LockedSegments<'m> = Locked<'m, SegmentSlot>;

impl Slot for SegmentSlot {
    fn head(&self) -> &ObjectHead {
        &self.head
    }
}

impl Mechanism for SegmentSlot {
    const DIRECTORY: &'static str = "shm";
    const SLOTS_AT: usize = offset_of!(Table, segments);

    fn registry(table: &Table) -> Registry<'_, SegmentSlot> {
        Registry::new(
            &table.header.segments,
            &table.segment_index,
            &table.segments,
            FIRST_SEGMENT_INDEX,
        )
    }

    fn flags(&self) -> &AtomicU32 {
        &self.flags
    }

    fn file_length(&self) -> usize {
        // No file is longer, as none of the kernel's is that stands behind its segments.
        mapped_length(self.size.load(Relaxed)).min(i64::MAX as usize)
    }

    fn size(&self) -> u64 {
        backing::pages(self)
    }

    fn promised(&self) -> u64 {
        backing::promised(self)
    }

    fn rebuild(locked: &LockedSegments<'_>) {
        locked.rebuild_records();
    }
}

/// The segments' registry in the table.
pub(crate) fn registry(table: &Table) -> Registry<'_, SegmentSlot> {
    SegmentSlot::registry(table)
}
