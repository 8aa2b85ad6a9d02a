//! What the program does to its attachments with `munmap`, `mmap` and `mremap`.
//!
//! The kernel drops a part of an attachment by splitting its mapping in two, which it counts as an attach, and dropping one,
//! which it counts as a detach: times and process are noted accordingly.

use super::LockedSegments;
use super::attach::drop_templates;
use crate::attachments::LocalAttachment;
use crate::member::{Member, Private};
use crate::process;

/// The range `start..end` of the process is no longer what it was.
pub(crate) fn range_gone(member: &Member, private: &mut Private, start: usize, end: usize) {
    while let Some(index) = private
        .attachments
        .as_slice()
        .iter()
        .position(|a| a.overlaps(start, end))
    {
        let Some(piece) = private.attachments.swap_remove(index) else {
            return;
        };
        process::note_detached(1);
        let (head, tail) = piece.without(start, end);
        let locked = LockedSegments::lock(member, private);
        if head.is_some() || tail.is_some() {
            locked.note_attach(piece.slot, member.identity());
            locked.note_detach(piece.slot, member.identity());
        }
        match (head, tail) {
            (None, None) => locked.detach(piece.slot, piece.record, member.tag(), member.identity()),
            (Some(left), None) | (None, Some(left)) => keep(&locked, private, left),
            (Some(head), Some(tail)) => {
                keep(&locked, private, head);
                add(&locked, private, tail);
            }
        }
        drop(locked);
        drop_templates(private, piece.slot, piece.sequence);
    }
}

/// `mremap` has moved or resized `old..old + old_len` to `new..new + new_len`, or with an `old_len` of 0 or `stays` has
/// made a second mapping of it there.
pub(crate) fn move_pieces(
    member: &Member,
    private: &mut Private,
    (old, old_len): (usize, usize),
    (new, new_len): (usize, usize),
    stays: bool,
) {
    let source = old..old + old_len.max(1);
    let pieces = private.attachments.as_slice();
    let Some(index) = pieces.iter().position(|a| a.overlaps(source.start, source.end)) else {
        return;
    };
    let Some(piece) = private.attachments.swap_remove(index) else {
        return;
    };
    process::note_detached(1);
    let moved = LocalAttachment {
        start: new,
        len: new_len,
        base: new.wrapping_sub(old.wrapping_sub(piece.base)),
        ..piece
    };
    let locked = LockedSegments::lock(member, private);
    // Growing in place makes no second mapping; everything else does, and all but a mere copy drops one.
    let copied = old_len == 0 || stays;
    if new != old || new_len < old_len {
        locked.note_attach(piece.slot, member.identity());
        if !copied {
            locked.note_detach(piece.slot, member.identity());
        }
    }
    if copied {
        keep(&locked, private, piece);
        add(&locked, private, moved);
        return;
    }
    let (head, tail) = piece.without(source.start, source.end);
    keep(&locked, private, moved);
    for left in [head, tail].into_iter().flatten() {
        add(&locked, private, left);
    }
}

/// The piece keeps its record, with its new place.
fn keep(locked: &LockedSegments<'_>, private: &mut Private, piece: LocalAttachment) {
    use core::sync::atomic::Ordering::Relaxed;
    if let Some(record) = locked.table().attachments.get(piece.record) {
        record.address.store(piece.start as u64, Relaxed);
        record.length.store(piece.len as u64, Relaxed);
    }
    remember(private, piece);
}

/// The piece gets a record of its own, as Linux counts the parts of a split mapping.
fn add(locked: &LockedSegments<'_>, private: &mut Private, piece: LocalAttachment) {
    // Without room for a record the piece stays mapped and is not counted: the program's call has succeeded already.
    if let Ok(record) = locked.new_record(locked.member.tag(), &piece.describe()) {
        remember(private, LocalAttachment { record, ..piece });
    }
}

fn remember(private: &mut Private, piece: LocalAttachment) {
    if private.attachments.push(piece).is_ok() {
        process::note_attached(piece.start, piece.len);
    }
}
