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
mod locked;
mod moved;
mod records;
mod recovery;
mod report;
mod sweep;

pub(crate) use attach::{shmat, shmdt};
pub(crate) use backing::{pages, promised};
pub(crate) use control::{limits, lock, remove, set, stat, usage};
pub(crate) use get::shmget;
pub(crate) use locked::LockedSegments;
pub(crate) use moved::{move_pieces, range_gone};
pub(crate) use records::Attachment;
pub use report::{AttachmentReport, SegmentReport};
pub(crate) use report::{attachments, segments};

use core::sync::atomic::Ordering::Relaxed;

use crate::registry::{Registry, Slot};
use crate::table::{FIRST_SEGMENT_INDEX, ObjectHead, SegmentSlot, Table};

/// Slot flag: the file may exist. Stored before it is made.
const BACKING: u32 = 1;
/// Slot flag: the file exists, with its full length and its permissions.
const BACKED: u32 = 2;
/// Slot flag: `SHM_NORESERVE`.
const NORESERVE: u32 = 4;
/// Slot flag: an `IPC_SET` changed owner or mode here, but the file's could not be changed; its owner's next call does it.
const FILE_LAGS: u32 = 8;

impl Slot for SegmentSlot {
    fn head(&self) -> &ObjectHead {
        &self.head
    }
}

/// Whether the segment's file may exist, and whether it must.
pub(crate) fn file_flags(slot: &SegmentSlot) -> (bool, bool) {
    let flags = slot.flags.load(Relaxed);
    (flags & BACKING != 0, flags & BACKED != 0)
}

/// The segments' registry in the table.
pub(crate) fn registry(table: &Table) -> Registry<'_, SegmentSlot> {
    Registry::new(
        &table.header.segments,
        &table.segment_index,
        &table.segments,
        FIRST_SEGMENT_INDEX,
    )
}
