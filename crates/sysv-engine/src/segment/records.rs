//! Attach records: who has which segment attached. The store of a record's owner commits; the lists that link the
//! records of a segment and of a process are derived.

use core::mem::offset_of;
use core::sync::atomic::AtomicU32;
use core::sync::atomic::Ordering::{Acquire, Relaxed, Release};

use super::LockedSegments;
use crate::errno::{Errno, Result};
use crate::lock::Tag;
use crate::table::{ATTACHMENTS, AttachRecord, Links, Table};

/// What a record says.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Attachment {
    pub slot: usize,
    pub sequence: u16,
    pub flags: i32,
    pub address: usize,
    pub length: usize,
}

/// One of the two lists that a record is in.
#[derive(Clone, Copy)]
enum List {
    Segment,
    Process,
}

impl List {
    fn links(self, record: &AttachRecord) -> &Links {
        match self {
            List::Segment => &record.segment_links,
            List::Process => &record.process_links,
        }
    }

    /// The list's head for this record; `None` if the record names no place in the table.
    fn head(self, table: &Table, slot: u32, owner: Tag) -> Option<&AtomicU32> {
        match self {
            List::Segment => table.segments.get(slot as usize).map(|s| &s.attachments),
            List::Process => table.processes.get(owner.index()).map(|p| &p.attachments),
        }
    }
}

/// A list was not as the lock's holders leave it: somebody else wrote there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Inconsistent;

fn record(table: &Table, link: u32) -> Option<(usize, &AttachRecord)> {
    let index = (link as usize).checked_sub(1)?;
    Some((index, table.attachments.get(index)?))
}

impl LockedSegments<'_> {
    /// Makes a record.
    ///
    /// # Errors
    /// `ENOMEM` when there is no room for one; `EIDRM` if the segment is gone, though the process has its memory: it was
    /// forked behind our back, and nobody knew that it had it. A record would fall on the slot's next segment.
    pub(crate) fn new_record(&self, owner: Tag, what: &Attachment) -> Result<usize> {
        let state = self.table().segments.get(what.slot).map(|slot| slot.head.state());
        if !state.is_some_and(|state| state.exists() && state.sequence == what.sequence) {
            return Err(Errno::EIDRM);
        }
        let (index, record) = self.take_free_record()?;
        record.slot.store(what.slot as u32, Relaxed);
        record.sequence.store(u32::from(what.sequence), Relaxed);
        record.flags.store(what.flags as u32, Relaxed);
        record.address.store(what.address as u64, Relaxed);
        record.length.store(what.length as u64, Relaxed);
        record.owner.store(owner.word(), Release);
        self.link(index, record, owner);
        Ok(index)
    }

    fn take_free_record(&self) -> Result<(usize, &AttachRecord)> {
        let table = self.table();
        let pool = &table.header.attachments;
        if let Some((index, found)) = record(table, pool.free.load(Relaxed)) {
            if found.owner.load(Relaxed) == 0 {
                pool.free.store(found.process_links.next.load(Relaxed), Relaxed);
                return Ok((index, found));
            }
            // Not as we leave it. Forget the free list; recovery finds the records again.
            pool.free.store(0, Relaxed);
        }
        let index = pool.high.load(Relaxed) as usize;
        let found = table.attachments.get(index).ok_or(Errno::ENOMEM)?;
        let array = offset_of!(Table, attachments);
        self.member
            .back(&pool.backed, index, array, size_of::<AttachRecord>(), ATTACHMENTS)
            .map_err(|_| Errno::ENOMEM)?;
        pool.high.store(index as u32 + 1, Relaxed);
        Ok((index, found))
    }

    /// Frees a record, if it is this owner's; `false` if it is not.
    pub(crate) fn drop_record(&self, index: usize, owner: Tag) -> bool {
        let Some(found) = self.table().attachments.get(index) else {
            return false;
        };
        if found.owner.load(Relaxed) != owner.word() {
            return false;
        }
        self.unlink(found, owner, List::Segment);
        self.unlink(found, owner, List::Process);
        found.owner.store(0, Release);
        self.link_free(index, found);
        true
    }

    fn link_free(&self, index: usize, found: &AttachRecord) {
        let pool = &self.table().header.attachments;
        found.process_links.next.store(pool.free.load(Relaxed), Relaxed);
        pool.free.store(index as u32 + 1, Relaxed);
    }

    fn link(&self, index: usize, found: &AttachRecord, owner: Tag) {
        let table = self.table();
        for list in [List::Segment, List::Process] {
            let Some(head) = list.head(table, found.slot.load(Relaxed), owner) else {
                continue;
            };
            let first = head.load(Relaxed);
            let links = list.links(found);
            links.prev.store(0, Relaxed);
            links.next.store(first, Relaxed);
            if let Some((_, first)) = record(table, first) {
                list.links(first).prev.store(index as u32 + 1, Relaxed);
            }
            head.store(index as u32 + 1, Relaxed);
        }
    }

    fn unlink(&self, found: &AttachRecord, owner: Tag, list: List) {
        let table = self.table();
        let links = list.links(found);
        let (prev, next) = (links.prev.load(Relaxed), links.next.load(Relaxed));
        match record(table, prev) {
            Some((_, before)) => list.links(before).next.store(next, Relaxed),
            None => {
                if let Some(head) = list.head(table, found.slot.load(Relaxed), owner) {
                    head.store(next, Relaxed);
                }
            }
        }
        if let Some((_, after)) = record(table, next) {
            list.links(after).prev.store(prev, Relaxed);
        }
    }

    /// Calls `each` with every attachment of a segment and its owner; `each` may drop the record it is given.
    pub(crate) fn for_each_of_segment(&self, slot: usize, each: &mut dyn FnMut(usize, Tag, &AttachRecord)) {
        self.for_each(List::Segment, slot, each);
    }

    /// Drops every attachment of the owners of process record `index`, and calls `each` with the segment's slot and the
    /// owner.
    pub(crate) fn drop_records_of_process(&self, index: usize, each: &mut dyn FnMut(usize, Tag)) {
        self.for_each(List::Process, index, &mut |record, owner, found| {
            let slot = found.slot.load(Relaxed) as usize;
            self.drop_record(record, owner);
            each(slot, owner);
        });
    }

    fn for_each(&self, list: List, place: usize, each: &mut dyn FnMut(usize, Tag, &AttachRecord)) {
        // A list that somebody else wrote into is rebuilt, once: then it holds what is committed.
        if self.check(list, place).is_err() {
            self.recover();
        }
        let _ = walk(self.table(), list, place, each);
    }

    fn check(&self, list: List, place: usize) -> core::result::Result<(), Inconsistent> {
        walk(self.table(), list, place, &mut |_, _, _| {})
    }

    /// Rebuilds the lists and the free list from the committed records. Records of segments that do not exist are freed.
    pub(crate) fn rebuild_records(&self) {
        let table = self.table();
        let processes = &table.header.processes;
        for process in &table.processes[..(processes.high.load(Relaxed) as usize).min(table.processes.len())] {
            process.attachments.store(0, Relaxed);
        }
        let registry = self.registry();
        for slot in &registry.slots[..(registry.header.high.load(Relaxed) as usize).min(registry.slots.len())] {
            slot.attachments.store(0, Relaxed);
        }
        let pool = &table.header.attachments;
        pool.free.store(0, Relaxed);
        let high = (pool.high.load(Relaxed) as usize).min(table.attachments.len());
        for (index, found) in table.attachments[..high].iter().enumerate().rev() {
            match self.committed_owner(found) {
                Some(owner) => self.link(index, found, owner),
                None => {
                    found.owner.store(0, Release);
                    self.link_free(index, found);
                }
            }
        }
    }

    /// The record's owner, if the record stands for an attachment of an existing segment.
    fn committed_owner(&self, found: &AttachRecord) -> Option<Tag> {
        let owner = Tag::from_exact_word(found.owner.load(Acquire))?;
        let table = self.table();
        let high = table.header.processes.high.load(Relaxed) as usize;
        let slot = table.segments.get(found.slot.load(Relaxed) as usize)?;
        let state = slot.head.state();
        let fits = owner.index() < high && state.exists() && u32::from(state.sequence) == found.sequence.load(Relaxed);
        fits.then_some(owner)
    }
}

/// Follows a list without the lock's protection against strangers: bounded, every link checked.
fn walk(
    table: &Table,
    list: List,
    place: usize,
    each: &mut dyn FnMut(usize, Tag, &AttachRecord),
) -> core::result::Result<(), Inconsistent> {
    let head = match list {
        List::Segment => table.segments.get(place).map(|s| &s.attachments),
        List::Process => table.processes.get(place).map(|p| &p.attachments),
    };
    let mut link = head.ok_or(Inconsistent)?.load(Relaxed);
    let mut previous = 0;
    for _ in 0..=ATTACHMENTS {
        if link == 0 {
            return Ok(());
        }
        let (index, found) = record(table, link).ok_or(Inconsistent)?;
        let owner = Tag::from_exact_word(found.owner.load(Acquire)).ok_or(Inconsistent)?;
        let belongs = match list {
            List::Segment => found.slot.load(Relaxed) as usize == place,
            List::Process => owner.index() == place,
        };
        let links = list.links(found);
        if !belongs || links.prev.load(Relaxed) != previous {
            return Err(Inconsistent);
        }
        let next = links.next.load(Relaxed);
        // `each` may free the record, and then its successor's `prev` is what ours was.
        each(index, owner, found);
        if found.owner.load(Relaxed) == owner.word() {
            previous = link;
        }
        link = next;
    }
    Err(Inconsistent)
}

/// Counts a segment's attachments without the lock, if all are `own`; `None` if others have to be asked after, or the
/// list changed meanwhile.
pub(super) fn count_own(table: &Table, slot: usize, own: Tag) -> Option<u64> {
    const MOST: u64 = 64;
    let mut link = table.segments.get(slot)?.attachments.load(Relaxed);
    let mut count = 0;
    while link != 0 {
        let (_, found) = record(table, link)?;
        if found.owner.load(Relaxed) != own.word() || count == MOST {
            return None;
        }
        count += 1;
        link = found.segment_links.next.load(Relaxed);
    }
    Some(count)
}
