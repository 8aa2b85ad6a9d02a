//! `SEM_UNDO`: what each process owes to each semaphore when it ends.

use core::sync::atomic::AtomicU32;
use core::sync::atomic::Ordering::{Acquire, Relaxed, Release};

use super::locked::LockedSet;
use super::memory::UNDOS;
use super::word::{HELD, Last, OWED};
use crate::errno::{Errno, Result};
use crate::lock::Tag;
use crate::table::Semaphore;

/// `staged` holds an adjustment.
const STAGED: u32 = 1 << 16;

/// One process's adjustment of one semaphore.
#[repr(C, align(32))]
pub(super) struct UndoRecord {
    /// The process's [`Tag`], 0 for a free record. Its store commits.
    pub owner: AtomicU32,
    /// The semaphore's number.
    pub semaphore: AtomicU32,
    /// What is added to the value when the process ends, in 16 bits.
    adjustment: AtomicU32,
    /// The adjustment that an intent gives it, with `STAGED`; 0 otherwise.
    pub(super) staged: AtomicU32,
    /// Next record + 1 of the semaphore, or of the free list (derived).
    pub(super) next: AtomicU32,
    /// The process's [`Last`].
    last: AtomicU32,
    _pad: [AtomicU32; 2],
}

const _: () = assert!(size_of::<UndoRecord>() == 32);

impl UndoRecord {
    /// What stands here while nothing is staged.
    #[inline]
    pub(super) fn adjustment(&self) -> i32 {
        i32::from(self.adjustment.load(Relaxed) as u16 as i16)
    }

    /// What the semaphore's word must say because of this record.
    #[inline]
    fn flags(&self) -> u64 {
        match self.adjustment() {
            0 => 0,
            1.. => HELD,
            _ => HELD | OWED,
        }
    }

    /// What the word of its semaphore may say after a change of it, the record being number `index`: more than is true where
    /// other processes have records too. Whoever believes the flags looks at the records and puts the flags right
    /// ([`LockedSet::refresh_owed`]).
    #[inline]
    pub(super) fn flags_in(&self, semaphore: &Semaphore, index: usize) -> u64 {
        let alone = semaphore.undos.load(Relaxed) as usize == index + 1 && self.next.load(Relaxed) == 0;
        let others = if alone {
            0
        } else {
            semaphore.word.load(Relaxed) & (HELD | OWED)
        };
        others | self.flags()
    }

    /// What will stand here.
    #[inline]
    pub(super) fn coming(&self) -> i32 {
        let staged = self.staged.load(Relaxed);
        if staged & STAGED != 0 {
            i32::from(staged as u16 as i16)
        } else {
            self.adjustment()
        }
    }

    #[inline]
    pub(super) fn stage(&self, adjustment: i32) {
        self.staged.store(STAGED | u32::from(adjustment as i16 as u16), Relaxed);
    }

    pub(super) fn unstage(&self) {
        self.staged.store(0, Relaxed);
    }

    /// Makes what is staged stand here. May be done again.
    #[inline]
    pub(super) fn settle(&self) {
        let staged = self.staged.load(Relaxed);
        if staged & STAGED != 0 {
            self.adjustment.store(staged & 0xffff, Relaxed);
            self.staged.store(0, Release);
        }
    }

    #[inline]
    pub(super) fn is_of(&self, number: u16, owner: Tag) -> bool {
        self.owner.load(Relaxed) == owner.word() && self.semaphore.load(Relaxed) == u32::from(number)
    }

    pub(super) fn last(&self) -> Last {
        Last::from_bits(self.last.load(Relaxed))
    }

    pub(super) fn owner(&self) -> Option<Tag> {
        Tag::from_word(self.owner.load(Acquire))
    }
}

impl LockedSet<'_> {
    /// A process's record for a semaphore, and its number, if it has one.
    #[inline]
    pub(super) fn undo_of(&self, number: u16, owner: Tag) -> Option<(usize, &UndoRecord)> {
        let hint = self.set.undo_hint(number).map_or(u32::MAX, |hint| hint.load(Relaxed));
        let index = hint as usize;
        match self.set.records?.undos.get(index) {
            Some(record) if record.is_of(number, owner) => Some((index, record)),
            _ => self.find_undo(number, owner),
        }
    }

    #[cold]
    fn find_undo(&self, number: u16, owner: Tag) -> Option<(usize, &UndoRecord)> {
        let mut found = None;
        self.for_each_undo(number, &mut |index, record| {
            if record.is_of(number, owner) {
                found = Some((index, record));
            }
            found.is_none()
        });
        if let (Some((index, _)), true) = (found, owner == self.set.member.tag())
            && let Some(hint) = self.set.undo_hint(number)
        {
            hint.store(index as u32, Relaxed);
        }
        found
    }

    /// Makes sure that a process has a record for a semaphore.
    ///
    /// # Errors
    /// `ENOMEM` when there is no room.
    pub(super) fn reserve_undo(&self, number: u16, owner: Tag, last: Last) -> Result<()> {
        if self.undo_of(number, owner).is_some() {
            return Ok(());
        }
        let records = self.records()?;
        let semaphore = self.set.semaphores.get(number as usize).ok_or(Errno::EFBIG)?;
        let pool = &self.set.head.undos;
        let free = (pool.free.load(Relaxed) as usize).checked_sub(1);
        let index = match free.filter(|&index| index < UNDOS) {
            Some(index) => {
                pool.free.store(records.undos[index].next.load(Relaxed), Relaxed);
                index
            }
            None => {
                let index = pool.high.load(Relaxed) as usize;
                if index >= UNDOS {
                    return Err(Errno::ENOMEM);
                }
                let at = self.set.layout().undos;
                self.set.back(&pool.backed, index, at, size_of::<UndoRecord>(), UNDOS)?;
                pool.high.store(index as u32 + 1, Relaxed);
                if index == 0 {
                    self.hasten_watchers();
                }
                index
            }
        };
        let record = &records.undos[index];
        record.semaphore.store(u32::from(number), Relaxed);
        record.adjustment.store(0, Relaxed);
        record.staged.store(0, Relaxed);
        record.last.store(last.bits(), Relaxed);
        record.owner.store(owner.word(), Release);
        record.next.store(semaphore.undos.load(Relaxed), Relaxed);
        semaphore.undos.store(index as u32 + 1, Relaxed);
        Ok(())
    }

    /// Calls `each` with the records for a semaphore until it returns `false`.
    pub(super) fn for_each_undo<'s>(&'s self, number: u16, each: &mut dyn FnMut(usize, &'s UndoRecord) -> bool) {
        let (Ok(records), Some(semaphore)) = (self.records(), self.set.semaphores.get(number as usize)) else {
            return;
        };
        let mut link = semaphore.undos.load(Relaxed);
        for _ in 0..UNDOS {
            if !self.may_step() {
                return;
            }
            let Some(index) = (link as usize).checked_sub(1) else {
                return;
            };
            let Some(record) = records.undos.get(index) else { return };
            link = record.next.load(Relaxed);
            if !each(index, record) {
                return;
            }
        }
    }

    /// What a semaphore's word should say about undo, and about waiters that mind its changes.
    pub(super) fn undo_flags(&self, number: u16) -> u64 {
        let mut flags = if self.is_minded(number) { OWED } else { 0 };
        self.for_each_undo(number, &mut |_, record| {
            flags |= record.flags();
            flags != HELD | OWED
        });
        flags
    }

    /// Makes the word's flags say what undo will do, and whether somebody minds.
    pub(super) fn refresh_owed(&self, number: u16) {
        let Some(semaphore) = self.set.semaphores.get(number as usize) else {
            return;
        };
        let flags = self.undo_flags(number);
        if semaphore.word.load(Relaxed) & (HELD | OWED) != flags {
            semaphore.word.fetch_or(flags, Relaxed);
            semaphore.word.fetch_and(!(HELD | OWED) | flags, Relaxed);
        }
    }

    /// Frees the records whose owner `gone` names; their adjustments have been made.
    pub(super) fn free_undos(&self, gone: &dyn Fn(Tag) -> bool) {
        let Ok(records) = self.records() else { return };
        let high = (self.set.head.undos.high.load(Relaxed) as usize).min(UNDOS);
        let mut freed = false;
        for record in &records.undos[..high] {
            if record.owner().is_some_and(gone) && record.adjustment() == 0 {
                record.owner.store(0, Release);
                freed = true;
            }
        }
        if freed {
            self.rebuild_undos();
        }
    }

    /// Calls `each` with every record in use, owners that name no process included.
    pub(super) fn for_each_undo_of_all<'s>(&'s self, each: &mut dyn FnMut(&'s UndoRecord, Tag)) {
        let Ok(records) = self.records() else { return };
        let high = (self.set.head.undos.high.load(Relaxed) as usize).min(UNDOS);
        for record in &records.undos[..high] {
            if let Some(owner) = record.owner() {
                each(record, owner);
            }
        }
    }

    /// Rebuilds the lists, the free list and the flags from the records.
    pub(super) fn rebuild_undos(&self) {
        let Ok(records) = self.records() else { return };
        let head = self.set.head;
        for semaphore in self.set.semaphores {
            if semaphore.undos.load(Relaxed) != 0 {
                semaphore.undos.store(0, Relaxed);
            }
        }
        head.undos.free.store(0, Relaxed);
        let high = (head.undos.high.load(Relaxed) as usize).min(UNDOS);
        for (index, record) in records.undos[..high].iter().enumerate().rev() {
            let number = record.semaphore.load(Relaxed) as usize;
            let list = match (record.owner(), self.set.semaphores.get(number)) {
                (Some(_), Some(semaphore)) => &semaphore.undos,
                _ => {
                    record.owner.store(0, Relaxed);
                    &head.undos.free
                }
            };
            record.next.store(list.load(Relaxed), Relaxed);
            list.store(index as u32 + 1, Relaxed);
        }
        for (number, semaphore) in self.set.semaphores.iter().enumerate() {
            if semaphore.undos.load(Relaxed) != 0 || semaphore.word.load(Relaxed) & (HELD | OWED) != 0 {
                self.refresh_owed(number as u16);
            }
        }
    }
}
