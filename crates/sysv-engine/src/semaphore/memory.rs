//! Where a set's memory is, and the process's mappings of sets' files.
//!
//! A mapping is found without a lock by the slot's number, and pinned while it is used. It is unmapped when the slot has
//! another set and nobody has it pinned; one that is pinned then (a thread still waits on the removed set) stays until the
//! process ends.

#![allow(unsafe_code)]

use core::mem::offset_of;
use core::sync::atomic::Ordering::{AcqRel, Acquire, Relaxed, Release};
use core::sync::atomic::{AtomicU32, AtomicUsize};

use super::undo::UndoRecord;
use super::waiters::Cell;
use super::{INLINE, LockedSets, registry};
use crate::abi::PAGE_SIZE;
use crate::errno::{Errno, Result};
use crate::lock::Tag;
use crate::member::{Member, Private};
use crate::patience::Patience;
use crate::registry::{BACKED, Phase, State, file};
use crate::sys::{self, Fd};
use crate::table::{INLINE_SEMAPHORES, SETS, Semaphore, SetHead, SetSlot};
use crate::usercopy;

/// Waiter cells that a set may have.
pub(super) const CELLS: usize = 32767;
/// Undo records that a set may have.
pub(super) const UNDOS: usize = 131_072;

/// Semaphores that a set may have: a semaphore's number has sixteen bits.
const MOST_SEMAPHORES: usize = 1 << 16;

/// Where the semaphores begin in a set's file.
const SEMAPHORES_AT: usize = 128;

const _: () = assert!(size_of::<SetHead>() <= SEMAPHORES_AT);
const _: () = assert!(offset_of!(SetSlot, semaphores) - offset_of!(SetSlot, set) == size_of::<SetHead>());

/// Offsets in the file of a set.
#[derive(Clone, Copy)]
pub(super) struct Layout {
    pub waiters: usize,
    pub undos: usize,
    pub length: usize,
}

pub(super) const fn layout(nsems: usize) -> Layout {
    // The table may say anything; no file is made longer than the largest set's.
    let nsems = if nsems > MOST_SEMAPHORES {
        MOST_SEMAPHORES
    } else {
        nsems
    };
    let waiters = (SEMAPHORES_AT + nsems * size_of::<Semaphore>()).next_multiple_of(PAGE_SIZE);
    let undos = waiters + (CELLS * size_of::<Cell>()).next_multiple_of(PAGE_SIZE);
    let length = undos + UNDOS * size_of::<UndoRecord>();
    Layout { waiters, undos, length }
}

/// Where the parts are in the file of a set of so many semaphores.
pub(crate) fn places(nsems: usize) -> crate::inspect::SetFile {
    let layout = layout(nsems);
    crate::inspect::SetFile {
        head: (0, size_of::<SetHead>()),
        semaphores: (SEMAPHORES_AT, size_of::<Semaphore>()),
        cells: (layout.waiters, size_of::<Cell>()),
        undos: (layout.undos, size_of::<UndoRecord>()),
    }
}

/// One slot's mapping in this process.
struct Mapping {
    /// The set's sequence number + 1; 0 for none.
    owner: AtomicU32,
    /// Threads that may be looking at the memory.
    pins: AtomicU32,
    base: AtomicUsize,
    length: AtomicUsize,
    nsems: AtomicUsize,
    undo_hints: UndoHints,
    patience: Patience,
}

impl Mapping {
    /// Unmaps it, unless somebody has it pinned. The caller has the private lock.
    fn discard(&self) {
        if self.owner.swap(0, AcqRel) != 0 && self.pins.load(Acquire) == 0 {
            // SAFETY: `map_locked` mapped it; the owner is cleared and nobody has it pinned.
            unsafe { unmap(self.base.load(Relaxed), self.length.load(Relaxed)) };
        }
    }
}

/// A set's file, mapped.
#[derive(Clone, Copy)]
struct MappedFile {
    /// The lowest bit says that it is read-only.
    base: usize,
    length: usize,
    /// As the file said when it was mapped: only whoever may alter the set can lie about that.
    nsems: usize,
}

/// Where the process found its undo record for a semaphore last, by the lowest bits of the semaphore's number. Any value
/// will do: what is found there is checked.
pub(super) type UndoHints = [AtomicU32; 4];

/// The mappings of all slots: zeroed memory, made when the process first needs it.
pub(crate) struct Mappings {
    base: AtomicUsize,
}

impl Mappings {
    pub(crate) const fn new() -> Mappings {
        Mappings {
            base: AtomicUsize::new(0),
        }
    }

    fn get(&self, number: usize) -> Option<&Mapping> {
        let base = self.base.load(Acquire) as *const Mapping;
        if base.is_null() || number >= SETS {
            return None;
        }
        // SAFETY: `get_or_make` mapped SETS of them, for as long as the member; all-zero ones are valid.
        Some(unsafe { &*base.add(number) })
    }

    /// `_private` proves that no other thread makes it too.
    fn get_or_make(&self, number: usize, _private: &Private) -> Result<&Mapping> {
        if self.base.load(Relaxed) == 0 {
            let base = sys::map_anonymous(SETS * size_of::<Mapping>()).map_err(|_| Errno::ENOMEM)?;
            self.base.store(base, Release);
        }
        self.get(number).ok_or(Errno::EINVAL)
    }

    /// Unmaps all.
    ///
    /// # Safety
    /// No thread may look at any set's memory.
    pub(crate) unsafe fn unmap(&self, mapped: &[u32]) {
        for &number in mapped {
            if let Some(mapping) = self.get(number as usize)
                && mapping.owner.swap(0, Relaxed) != 0
            {
                // SAFETY: mapped by `map`; the caller vouches that nobody looks.
                unsafe { unmap(mapping.base.load(Relaxed), mapping.length.load(Relaxed)) };
            }
        }
        let base = self.base.swap(0, Relaxed);
        if base != 0 {
            // SAFETY: mapped by `get_or_make`; nobody refers to it.
            let _ = unsafe { sys::munmap(base, SETS * size_of::<Mapping>()) };
        }
    }
}

/// Keeps a mapping from being unmapped.
struct Pin<'m>(&'m Mapping);

impl<'m> Pin<'m> {
    #[inline]
    fn new(mapping: &'m Mapping, sequence: u16) -> Option<Pin<'m>> {
        if mapping.owner.load(Relaxed) != u32::from(sequence) + 1 {
            return None;
        }
        if sys::is_single_threaded() {
            // Handlers that interrupt this have unpinned what they pinned.
            mapping.pins.store(mapping.pins.load(Relaxed) + 1, Relaxed);
            return Some(Pin(mapping));
        }
        mapping.pins.fetch_add(1, AcqRel);
        let pin = Pin(mapping);
        // Whoever unmaps clears the owner first and then looks at the pins.
        (mapping.owner.load(Acquire) == u32::from(sequence) + 1).then_some(pin)
    }
}

impl Drop for Pin<'_> {
    #[inline]
    fn drop(&mut self) {
        let pins = &self.0.pins;
        if sys::is_single_threaded() {
            pins.store(pins.load(Relaxed).wrapping_sub(1), Relaxed);
        } else {
            pins.fetch_sub(1, Release);
        }
    }
}

/// A set's records in its file, mapped.
#[derive(Clone, Copy)]
pub(super) struct Records<'m> {
    pub cells: &'m [Cell],
    pub undos: &'m [UndoRecord],
}

/// A set, and its memory as far as this process sees it.
pub(super) struct Set<'m> {
    pub member: &'m Member,
    pub number: usize,
    pub slot: &'m SetSlot,
    pub sequence: u16,
    pub head: &'m SetHead,
    pub semaphores: &'m [Semaphore],
    pub records: Option<Records<'m>>,
    /// The file could be mapped for reading only: the set may not be altered by this process.
    pub read_only: bool,
    hold: Hold<'m>,
}

/// What keeps a set's records mapped.
enum Hold<'m> {
    Nothing,
    Pin(Pin<'m>),
    /// A mapping for this use only: start and length.
    Own(usize, usize),
}

impl Drop for Hold<'_> {
    fn drop(&mut self) {
        if let Hold::Own(base, length) = *self {
            // SAFETY: mapped by `Set::visit`; the set that shows it goes with this.
            unsafe { unmap(base, length) };
        }
    }
}

/// As much of a set as a brief operation needs.
pub(super) struct Glimpse<'m> {
    pub head: &'m SetHead,
    pub semaphores: &'m [Semaphore],
    /// None where no undo is asked for.
    undos: &'m [UndoRecord],
    pin: Option<Pin<'m>>,
}

impl<'m> Glimpse<'m> {
    /// A set that stands in the table, without its records.
    #[inline(always)]
    pub(super) fn of_table(member: &Member, slot: &'m SetSlot) -> Option<Glimpse<'m>> {
        stands_in_table(member, slot).then(|| Glimpse {
            head: &slot.set,
            semaphores: inline_semaphores(slot),
            undos: &[],
            pin: None,
        })
    }

    /// A set that the process has mapped and may alter.
    #[inline(always)]
    pub(super) fn of_mapped(
        member: &'m Member,
        number: usize,
        slot: &'m SetSlot,
        sequence: u16,
    ) -> Option<Glimpse<'m>> {
        let mapping = member.sets.get(number)?;
        let pin = Pin::new(mapping, sequence)?;
        let (base, nsems) = (mapping.base.load(Relaxed), mapping.nsems.load(Relaxed));
        if base & 1 != 0 {
            return None;
        }
        // SAFETY: `map` mapped the file so, and the pin keeps it. The structures are made of atomics, and any bytes are valid
        // for them.
        let (head, semaphores, undos) = unsafe {
            (
                &*(base as *const SetHead),
                core::slice::from_raw_parts((base + SEMAPHORES_AT) as *const Semaphore, nsems),
                core::slice::from_raw_parts((base + layout(nsems).undos) as *const UndoRecord, UNDOS),
            )
        };
        let inline = stands_in_table(member, slot);
        Some(Glimpse {
            head: if inline { &slot.set } else { head },
            semaphores: if inline { inline_semaphores(slot) } else { semaphores },
            undos,
            pin: Some(pin),
        })
    }

    /// This process's record for a semaphore, and the record's number, if it is where it was last time. The caller has the
    /// set's lock.
    #[inline(always)]
    pub(super) fn known_undo(&self, number: u16, owner: Tag) -> Option<(usize, &'m UndoRecord)> {
        let hints = &self.pin.as_ref()?.0.undo_hints;
        let index = hints[number as usize % hints.len()].load(Relaxed) as usize;
        let record = self.undos.get(index)?;
        record.is_of(number, owner).then_some((index, record))
    }
}

/// The semaphores of a small set, in the table.
#[inline(always)]
fn inline_semaphores(slot: &SetSlot) -> &[Semaphore] {
    &slot.semaphores[..(slot.nsems.load(Relaxed) as usize).min(INLINE_SEMAPHORES)]
}

impl<'m> Set<'m> {
    /// The set with this identifier.
    ///
    /// # Errors
    /// `EINVAL` if there is none; `ENOMEM` and `EACCES` where its file cannot be mapped.
    #[inline]
    pub(super) fn find(member: &'m Member, id: i32) -> Result<Set<'m>> {
        let (number, slot, state) = registry(member.table()).find_id(id)?;
        Set::of_slot(member, number, slot, state)
    }

    /// The set that is in a slot.
    #[inline]
    pub(super) fn of_slot(member: &'m Member, number: usize, slot: &'m SetSlot, state: State) -> Result<Set<'m>> {
        let flags = slot.flags.load(Acquire);
        if flags & BACKED == 0 && stands_in_table(member, slot) {
            return Ok(Set::inline(member, number, slot, state.sequence));
        }
        match Set::mapped(member, number, slot, state.sequence) {
            Some(set) => Ok(set),
            None => Set::map(member, number, slot, state),
        }
    }

    /// The part of a small set that is in the table.
    #[inline]
    pub(super) fn inline(member: &'m Member, number: usize, slot: &'m SetSlot, sequence: u16) -> Set<'m> {
        Set {
            member,
            number,
            slot,
            sequence,
            head: &slot.set,
            semaphores: inline_semaphores(slot),
            records: None,
            read_only: false,
            hold: Hold::Nothing,
        }
    }

    /// The set by the mapping that the process has already.
    #[inline]
    pub(super) fn mapped(member: &'m Member, number: usize, slot: &'m SetSlot, sequence: u16) -> Option<Set<'m>> {
        let mapping = member.sets.get(number)?;
        let pin = Pin::new(mapping, sequence)?;
        let mapped = MappedFile {
            base: mapping.base.load(Relaxed),
            length: mapping.length.load(Relaxed),
            nsems: mapping.nsems.load(Relaxed),
        };
        // SAFETY: `map` mapped the file so, and the pin keeps it.
        Some(unsafe { Set::over(member, number, slot, sequence, mapped, Hold::Pin(pin)) })
    }

    /// The set over its mapped file.
    ///
    /// # Safety
    /// [`open_and_map`] has returned `mapped`, and `hold` keeps it mapped.
    #[inline]
    unsafe fn over(
        member: &'m Member,
        number: usize,
        slot: &'m SetSlot,
        sequence: u16,
        mapped: MappedFile,
        hold: Hold<'m>,
    ) -> Set<'m> {
        let (base, read_only) = (mapped.base & !1, mapped.base & 1 != 0);
        let nsems = mapped.nsems;
        let layout = layout(nsems);
        // SAFETY: the file is mapped with the length that this layout has, whatever table and file say now. The structures
        // are made of atomics, and any bytes are valid for them.
        let (head, semaphores, records) = unsafe {
            let semaphores = core::slice::from_raw_parts((base + SEMAPHORES_AT) as *const Semaphore, nsems);
            let records = Records {
                cells: core::slice::from_raw_parts((base + layout.waiters) as *const Cell, CELLS),
                undos: core::slice::from_raw_parts((base + layout.undos) as *const UndoRecord, UNDOS),
            };
            (&*(base as *const SetHead), semaphores, records)
        };
        let own = Set::inline(member, number, slot, sequence);
        let inline = stands_in_table(member, slot);
        Set {
            head: if inline { own.head } else { head },
            semaphores: if inline { own.semaphores } else { semaphores },
            records: Some(records),
            read_only,
            hold,
            ..own
        }
    }

    /// The set for one use by a caller who has the private lock: by a mapping of its own if the process has none.
    pub(super) fn visit(member: &'m Member, number: usize, slot: &'m SetSlot, state: State) -> Result<Set<'m>> {
        let flags = slot.flags.load(Acquire);
        if flags & BACKED == 0 {
            return stands_in_table(member, slot)
                .then(|| Set::inline(member, number, slot, state.sequence))
                .ok_or(Errno::EIDRM);
        }
        if let Some(set) = Set::mapped(member, number, slot, state.sequence) {
            return Ok(set);
        }
        let mapped = open_and_map(member, number, slot, state)?;
        Ok(Set::mapped_for_now(member, number, slot, state, mapped))
    }

    /// The set in a file that is open, by a mapping for now.
    pub(super) fn in_file(
        member: &'m Member,
        number: usize,
        slot: &'m SetSlot,
        state: State,
        file: &Fd,
    ) -> Result<Set<'m>> {
        let mapped = map_file(member, file, slot, false)?;
        Ok(Set::mapped_for_now(member, number, slot, state, mapped))
    }

    fn mapped_for_now(
        member: &'m Member,
        number: usize,
        slot: &'m SetSlot,
        state: State,
        mapped: MappedFile,
    ) -> Set<'m> {
        let hold = Hold::Own(mapped.base & !1, mapped.length);
        // SAFETY: just mapped; `hold` unmaps it.
        unsafe { Set::over(member, number, slot, state.sequence, mapped, hold) }
    }

    #[cold]
    fn map(member: &'m Member, number: usize, slot: &'m SetSlot, state: State) -> Result<Set<'m>> {
        let private = member.lock_private();
        Set::map_locked(member, number, slot, state, private)
    }

    fn map_locked(
        member: &'m Member,
        number: usize,
        slot: &'m SetSlot,
        state: State,
        mut private: impl core::ops::DerefMut<Target = Private>,
    ) -> Result<Set<'m>> {
        let mapping = member.sets.get_or_make(number, &private)?;
        if mapping.owner.load(Relaxed) != u32::from(state.sequence) + 1 {
            private.sets.reserve_one().map_err(|_| Errno::ENOMEM)?;
            let known = private.sets.as_slice().contains(&(number as u32));
            mapping.discard();
            let mapped = open_and_map(member, number, slot, state)?;
            mapping.base.store(mapped.base, Relaxed);
            mapping.length.store(mapped.length, Relaxed);
            mapping.nsems.store(mapped.nsems, Relaxed);
            mapping.owner.store(u32::from(state.sequence) + 1, Release);
            if !known {
                private.sets.push(number as u32)?;
            }
        }
        drop(private);
        Set::mapped(member, number, slot, state.sequence).ok_or(Errno::EINVAL)
    }

    /// The set with its records, which are made if it has none yet: under the registry's lock, so that nobody removes the
    /// set meanwhile and leaves the file behind.
    ///
    /// # Errors
    /// `EIDRM` if it is gone; `ENOMEM`.
    pub(super) fn with_records(self) -> Result<Set<'m>> {
        if self.records.is_some() {
            return Ok(self);
        }
        let (member, number, slot, sequence) = (self.member, self.number, self.slot, self.sequence);
        drop(self);
        let private = member.lock_private();
        let live = State {
            phase: Phase::Live,
            sequence,
        };
        {
            let locked = LockedSets::lock(member, &private);
            if slot.head.state() != live {
                return Err(Errno::EIDRM);
            }
            let id = locked.registry().id(number, live);
            file::open_or_make(member, slot, id, false).map_err(|_| Errno::ENOMEM)?;
        }
        Set::map_locked(member, number, slot, live, private)
    }

    /// Maps the set anew if its mapping is of a time when the process had only the right to read it.
    ///
    /// # Errors
    /// `EACCES` if it still has no other; those of mapping the set's file.
    #[cold]
    pub(super) fn make_writable(&mut self) -> Result<()> {
        let state = State {
            phase: Phase::Live,
            sequence: self.sequence,
        };
        let (member, number, slot) = (self.member, self.number, self.slot);
        // Its pin goes.
        *self = Set::inline(member, number, slot, self.sequence);
        let private = member.lock_private();
        if let Some(mapping) = member.sets.get(number) {
            mapping.discard();
        }
        *self = Set::map_locked(member, number, slot, state, private)?;
        if self.read_only { Err(Errno::EACCES) } else { Ok(()) }
    }

    /// Whether the set still exists.
    pub(super) fn exists(&self) -> bool {
        self.head.owner.load(Acquire) == u32::from(self.sequence) + 1
            && self.slot.head.state()
                == State {
                    phase: Phase::Live,
                    sequence: self.sequence,
                }
    }

    /// The set once more, with a pin of its own.
    pub(super) fn again(&self) -> Result<Set<'m>> {
        let state = State {
            phase: Phase::Live,
            sequence: self.sequence,
        };
        Set::of_slot(self.member, self.number, self.slot, state)
    }

    /// Makes sure that a record's file pages exist.
    ///
    /// # Errors
    /// `ENOMEM` where the file system is full.
    pub(super) fn back(
        &self,
        backed: &AtomicU32,
        index: usize,
        array: usize,
        record: usize,
        count: usize,
    ) -> Result<()> {
        const STEP: usize = 4096;
        let have = (backed.load(Relaxed) as usize).min(count);
        if index < have {
            return Ok(());
        }
        let want = (index + 1).next_multiple_of(STEP / record).min(count);
        let state = State {
            phase: Phase::Live,
            sequence: self.sequence,
        };
        let id = registry(self.member.table()).id(self.number, state);
        let file = file::open(self.member, self.slot, id, false).map_err(|_| Errno::ENOMEM)?;
        let (at, len) = (array + have * record, (want - have) * record);
        crate::namespace::allocate(&file, at as u64, len as u64).map_err(|_| Errno::ENOMEM)?;
        backed.store(want as u32, Relaxed);
        Ok(())
    }

    /// Where the process's undo record for a semaphore may be.
    #[inline]
    pub(super) fn undo_hint(&self, number: u16) -> Option<&AtomicU32> {
        match &self.hold {
            Hold::Pin(pin) => pin.0.undo_hints.get(number as usize % 4),
            Hold::Nothing | Hold::Own(..) => None,
        }
    }

    /// What the process knows of those for whom it waits at this set, once it has waited.
    pub(super) fn patience(&self) -> Option<&Patience> {
        match &self.hold {
            Hold::Pin(pin) => Some(&pin.0.patience),
            Hold::Nothing | Hold::Own(..) => None,
        }
    }

    pub(super) fn layout(&self) -> Layout {
        layout(self.semaphores.len())
    }
}

/// Whether a set's head and semaphores stand in the table. In a namespace for several users none does, whatever the table
/// says: everybody can write there.
#[inline]
pub(super) fn stands_in_table(member: &Member, slot: &SetSlot) -> bool {
    slot.flags.load(Acquire) & INLINE != 0 && !member.is_shared()
}

/// Unmaps a set's file; the lowest bit of the address does not count.
///
/// # Safety
/// [`open_and_map`] has mapped it, and nobody looks any more.
unsafe fn unmap(base: usize, length: usize) {
    let base = base & !1;
    usercopy::unguard(base);
    // SAFETY: the caller's promise.
    let _ = unsafe { sys::munmap(base, length) };
}

fn open_and_map(member: &Member, number: usize, slot: &SetSlot, state: State) -> Result<MappedFile> {
    let id = registry(member.table()).id(number, state);
    let gone = |errno| match errno {
        Errno::EACCES | Errno::EPERM => Errno::EACCES,
        Errno::ENOENT | Errno::ELOOP | Errno::EIDRM => Errno::EIDRM,
        _ => Errno::ENOMEM,
    };
    let (file, read_only) = match file::open(member, slot, id, false) {
        Err(Errno::EACCES) => (file::open(member, slot, id, true).map_err(gone)?, true),
        other => (other.map_err(gone)?, false),
    };
    map_file(member, &file, slot, read_only)
}

/// Maps a set's file.
fn map_file(member: &Member, file: &Fd, slot: &SetSlot, read_only: bool) -> Result<MappedFile> {
    // A file that says nothing is new, or holds records only.
    let mut word = [0u8; 4];
    let read = sys::pread(file, &mut word, offset_of!(SetHead, nsems) as u64).map_err(|_| Errno::ENOMEM)?;
    let nsems = match u32::from_le_bytes(word) {
        0 => slot.nsems.load(Relaxed),
        nsems => nsems,
    };
    let nsems = (nsems as usize).min(MOST_SEMAPHORES);
    let length = layout(nsems).length;
    if read < word.len() || (sys::fstat(file).map_err(|_| Errno::ENOMEM)?.st_size as usize) < length {
        return Err(Errno::EIDRM);
    }
    let write = if read_only { 0 } else { libc::PROT_WRITE };
    // SAFETY: a new range.
    let base = unsafe { sys::mmap(0, length, libc::PROT_READ | write, libc::MAP_SHARED, file.raw(), 0) };
    let base = base.map_err(|_| Errno::ENOMEM)?;
    if member.is_shared() {
        // SAFETY: just mapped; `unmap` ends the guard first.
        let _ = unsafe { usercopy::guard_quietly(base, length) }.map(core::mem::forget);
    }
    Ok(MappedFile {
        base: base | usize::from(read_only),
        length,
        nsems,
    })
}
