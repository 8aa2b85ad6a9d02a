//! What this process has attached, and where: the only place that knows addresses' meaning.
//!
//! The kernel counts mappings, so a range that the program unmaps, replaces or moves must be followed here. An
//! attachment of which the middle was unmapped is two pieces, each with a record of its own, as Linux counts it.

use crate::abi::PAGE_SIZE;
use crate::segment::Attachment;

/// A piece of an attachment that is still mapped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct LocalAttachment {
    /// First address of the piece.
    pub start: usize,
    /// Bytes of the piece, whole pages.
    pub len: usize,
    /// Where the segment's first byte is, or was: what `shmdt` is given.
    pub base: usize,
    /// The segment's slot.
    pub slot: usize,
    /// The slot's sequence number.
    pub sequence: u16,
    /// `SHM_RDONLY` and `SHM_EXEC`.
    pub flags: i32,
    /// The piece's attach record.
    pub record: usize,
    /// The record that a `fork` in progress has made for the child's copy; `usize::MAX` if none.
    pub child_record: usize,
}

impl LocalAttachment {
    /// What its attach record says.
    pub(crate) fn describe(&self) -> Attachment {
        Attachment {
            slot: self.slot,
            sequence: self.sequence,
            flags: self.flags,
            address: self.start,
            length: self.len,
        }
    }

    pub(crate) fn end(&self) -> usize {
        self.start + self.len
    }

    /// Whether both are pieces of attachments of one segment.
    pub(crate) fn same_segment(&self, slot: usize, sequence: u16) -> bool {
        self.slot == slot && self.sequence == sequence
    }

    /// What is left of the piece when a range goes: nothing, a head, a tail, or both.
    pub(crate) fn without(&self, start: usize, end: usize) -> (Option<LocalAttachment>, Option<LocalAttachment>) {
        let head = (start > self.start).then(|| LocalAttachment {
            len: start.min(self.end()) - self.start,
            ..*self
        });
        let tail = (end < self.end()).then(|| {
            let start = end.max(self.start);
            LocalAttachment {
                start,
                len: self.end() - start,
                ..*self
            }
        });
        (head, tail)
    }

    pub(crate) fn overlaps(&self, start: usize, end: usize) -> bool {
        self.start < end && start < self.end()
    }
}

/// A page of a segment that the library keeps mapped while the process has the segment attached. Further attachments
/// are duplicated from it with `mremap`, which needs neither a descriptor nor the file's name. It is none of the
/// program's attachments, so that nothing the program does to those (`mprotect`, `madvise`) is inherited.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Template {
    pub slot: usize,
    pub sequence: u16,
    /// As the attachments duplicated from it.
    pub read_only: bool,
    pub address: usize,
}

/// The length of a mapping of `size` bytes; one that no mapping has where `size` is beyond all bounds.
pub(crate) fn mapped_length(size: u64) -> usize {
    const TOO_LONG: usize = usize::MAX - (PAGE_SIZE - 1);
    (size as usize).checked_next_multiple_of(PAGE_SIZE).unwrap_or(TOO_LONG)
}

#[cfg(test)]
mod tests {
    use super::*;

    const PIECE: LocalAttachment = LocalAttachment {
        start: 0x10000,
        len: 0x4000,
        base: 0x10000,
        slot: 0,
        sequence: 1,
        flags: 0,
        record: 5,
        child_record: usize::MAX,
    };

    fn left(start: usize, end: usize) -> [Option<(usize, usize)>; 2] {
        let (head, tail) = PIECE.without(start, end);
        [head, tail].map(|p| p.map(|p| (p.start, p.end())))
    }

    #[test]
    fn unmapping_leaves_what_it_does_not_cover() {
        assert_eq!(left(0x10000, 0x14000), [None, None]);
        assert_eq!(left(0x0, 0x20000), [None, None]);
        assert_eq!(left(0x10000, 0x11000), [None, Some((0x11000, 0x14000))]);
        assert_eq!(left(0x13000, 0x20000), [Some((0x10000, 0x13000)), None]);
        assert_eq!(
            left(0x11000, 0x12000),
            [Some((0x10000, 0x11000)), Some((0x12000, 0x14000))]
        );
    }
}
