//! What the three mechanisms have in common: slots, identifiers, keys, ownership and removal.
//!
//! A slot's state word holds its phase and its sequence number; its store commits:
//!
//! | phase | meaning | recovery |
//! |---|---|---|
//! | `Free` | no object | nothing |
//! | `Making` | being created; nobody can name it | its file is removed, then `Free` |
//! | `Live` | named by key and identifier | derived data is rebuilt from it |
//! | `Doomed` | removed, but used by somebody: named by identifier only | the same |
//! | `Dying` | gone; its file is being removed | its file is removed, then `Free` |
//!
//! The key index, the bit maps and the counters are derived: the holder of the registry's lock keeps them, and a
//! takeover rebuilds them.
//!
//! [`Mechanism`] is what a mechanism adds: its slots, its limits and its own rules where the common ones ask for them.

mod creation;
pub(crate) mod file;
mod locked;
mod mechanism;
mod ownership;
mod recovery;
mod removal;

pub(crate) use creation::errno_of_new_file;
pub(crate) use locked::Locked;
pub(crate) use mechanism::{BACKED, BACKING, Mechanism, Slot};

use core::sync::atomic::Ordering::{Acquire, Relaxed, Release};
use core::sync::atomic::{AtomicU32, AtomicU64};

use crate::abi::{IPC_PRIVATE, IPCMNI, IpcPerm, S_IRWXUGO};
use crate::credentials::Ownership;
use crate::errno::{Errno, Result};
use crate::table::{BUCKETS, ObjectHead, RegistryHeader, RegistryIndex};
use crate::version;

/// Where an object stands in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Phase {
    Free,
    Making,
    Live,
    Doomed,
    Dying,
}

/// A slot's state word: phase and sequence number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct State {
    pub phase: Phase,
    pub sequence: u16,
}

impl State {
    pub(crate) fn from_word(word: u32) -> State {
        let phase = match word & 0xff {
            1 => Phase::Making,
            2 => Phase::Live,
            3 => Phase::Doomed,
            4 => Phase::Dying,
            // Also what nobody honest writes: such a slot is as good as free.
            _ => Phase::Free,
        };
        State {
            phase,
            sequence: (word >> 8) as u16,
        }
    }

    pub(crate) fn word(self) -> u32 {
        u32::from(self.sequence) << 8 | self.phase as u32
    }

    /// Whether an identifier names the object.
    pub(crate) fn exists(self) -> bool {
        matches!(self.phase, Phase::Live | Phase::Doomed)
    }
}

impl ObjectHead {
    pub(crate) fn state(&self) -> State {
        State::from_word(self.state.load(Acquire))
    }

    /// Commits: whatever was stored before is visible to whoever sees the new state.
    pub(crate) fn set_state(&self, state: State) {
        self.state.store(state.word(), Release);
    }

    /// The key; `IPC_PRIVATE` once the object is doomed.
    pub(crate) fn key(&self, state: State) -> i32 {
        if state.phase == Phase::Live {
            self.key.load(Relaxed) as i32
        } else {
            IPC_PRIVATE
        }
    }

    pub(crate) fn ownership(&self) -> Ownership {
        Ownership {
            uid: self.uid.load(Relaxed),
            gid: self.gid.load(Relaxed),
            cuid: self.cuid.load(Relaxed),
            cgid: self.cgid.load(Relaxed),
            mode: self.mode.load(Relaxed),
        }
    }

    /// `struct ipc_perm`; `flags` are the mechanism's mode bits that are not stored.
    pub(crate) fn perm(&self, state: State, flags: u32) -> IpcPerm {
        let owner = self.ownership();
        IpcPerm {
            key: self.key(state),
            uid: owner.uid,
            gid: owner.gid,
            cuid: owner.cuid,
            cgid: owner.cgid,
            mode: owner.mode | flags,
            seq: state.sequence,
            ..IpcPerm::default()
        }
    }

    /// Sets the nine permission bits and leaves the flags.
    pub(crate) fn set_permission_bits(&self, mode: u32) {
        let flags = self.mode.load(Relaxed) & !S_IRWXUGO;
        self.mode.store(flags | mode & S_IRWXUGO, Relaxed);
    }
}

/// One mechanism's registry: a view of its parts of the table.
pub(crate) struct Registry<'t, S> {
    pub header: &'t RegistryHeader,
    used: &'t [AtomicU64],
    doomed: &'t [AtomicU64],
    buckets: &'t [AtomicU32; BUCKETS],
    pub slots: &'t [S],
    first_index: i32,
}

impl<S> Clone for Registry<'_, S> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<S> Copy for Registry<'_, S> {}

/// What an optimistic reader found out of date: it must take the lock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Changed;

impl<'t, S: Slot> Registry<'t, S> {
    pub(crate) fn new<const WORDS: usize>(
        header: &'t RegistryHeader,
        index: &'t RegistryIndex<WORDS>,
        slots: &'t [S],
        first_index: i32,
    ) -> Self {
        Registry {
            header,
            used: &index.used,
            doomed: &index.doomed,
            buckets: &index.buckets,
            slots,
            first_index,
        }
    }

    /// The identifier of the object in a slot.
    pub(crate) fn id(&self, index: usize, state: State) -> i32 {
        i32::from(state.sequence) * IPCMNI + self.first_index + index as i32
    }

    /// The slot that an index of `SHM_STAT` and its kin names, or the index part of an identifier: not negative.
    #[inline]
    fn slot_of_index(&self, index: i32) -> Result<(usize, &'t S)> {
        let number = ((index as u32 % IPCMNI as u32) as usize).wrapping_sub(self.first_index as usize);
        Ok((number, self.slots.get(number).ok_or(Errno::EINVAL)?))
    }

    /// The object with this index; `id` may also be a whole identifier, whose sequence number does not count.
    ///
    /// # Errors
    /// `EINVAL` if there is none.
    #[inline]
    pub(crate) fn find_index(&self, id: i32) -> Result<(usize, &'t S, State)> {
        if id < 0 {
            return Err(Errno::EINVAL);
        }
        let (number, slot) = self.slot_of_index(id)?;
        if !self.bit(self.used, number) {
            return Err(Errno::EINVAL);
        }
        let state = slot.head().state();
        if state.exists() {
            Ok((number, slot, state))
        } else {
            Err(Errno::EINVAL)
        }
    }

    /// The object with this identifier.
    ///
    /// # Errors
    /// `EINVAL` if there is none: "shmid is not a valid identifier". Linux answers `EIDRM` only while a removal is in
    /// progress on another processor.
    #[inline]
    pub(crate) fn find_id(&self, id: i32) -> Result<(usize, &'t S, State)> {
        let found = self.find_index(id)?;
        if u32::from(found.2.sequence) == id as u32 / IPCMNI as u32 {
            Ok(found)
        } else {
            Err(Errno::EINVAL)
        }
    }

    /// The live object with this key. Bounded, whatever the chain holds.
    pub(crate) fn find_key(&self, key: i32) -> Option<(usize, &'t S, State)> {
        let mut next = self.bucket(key).load(Relaxed);
        for _ in 0..self.slots.len() {
            let number = (next as usize).checked_sub(1)?;
            let slot = self.slots.get(number)?;
            let head = slot.head();
            let state = head.state();
            if state.phase == Phase::Live && head.key.load(Relaxed) as i32 == key {
                return Some((number, slot, state));
            }
            next = head.next.load(Relaxed);
        }
        None
    }

    /// Reads without the lock: `read` must only load, and what it returns counts only if nobody changed the registry
    /// meanwhile.
    #[inline]
    pub(crate) fn read_optimistically<T>(&self, read: impl FnOnce() -> T) -> core::result::Result<T, Changed> {
        version::read_unchanged(&self.header.version, read).ok_or(Changed)
    }

    /// The highest index in use as Linux reports it: an index, not a count; 0 if there is none.
    pub(crate) fn highest_index(&self) -> i32 {
        match self.numbers(self.used).last() {
            Some(number) => self.first_index + number as i32,
            None => 0,
        }
    }

    /// The slots in use, lowest first.
    pub(crate) fn used_numbers(&self) -> impl Iterator<Item = usize> + use<'t, S> {
        self.numbers(self.used)
    }

    /// The doomed slots, lowest first.
    pub(crate) fn doomed_numbers(&self) -> impl Iterator<Item = usize> + use<'t, S> {
        self.numbers(self.doomed)
    }

    fn numbers(&self, bits: &'t [AtomicU64]) -> impl Iterator<Item = usize> + use<'t, S> {
        let end = self.slots.len();
        bits.iter()
            .enumerate()
            .flat_map(|(w, word)| {
                let mut rest = word.load(Relaxed);
                core::iter::from_fn(move || {
                    let bit = rest.trailing_zeros();
                    rest &= rest.wrapping_sub(1);
                    (bit < 64).then_some(w * 64 + bit as usize)
                })
            })
            .take_while(move |&number| number < end)
    }

    #[inline]
    fn bit(&self, bits: &[AtomicU64], number: usize) -> bool {
        bits.get(number / 64)
            .is_some_and(|word| word.load(Relaxed) >> (number % 64) & 1 == 1)
    }

    fn set_bit(&self, bits: &[AtomicU64], number: usize, value: bool) {
        if let Some(word) = bits.get(number / 64) {
            let bit = 1 << (number % 64);
            // Only the lock's holder writes, so load and store need not be one.
            let old = word.load(Relaxed);
            word.store(if value { old | bit } else { old & !bit }, Relaxed);
        }
    }

    fn bucket(&self, key: i32) -> &'t AtomicU32 {
        // Fibonacci hashing: the upper bits of the product mix all bits of the key.
        let hash = (key as u32).wrapping_mul(0x9e37_79b9) >> 20;
        &self.buckets[hash as usize % BUCKETS]
    }

    // What follows changes derived data: the caller holds the registry's lock.

    /// The lowest free slot.
    pub(crate) fn free_number(&self) -> Option<usize> {
        self.used
            .iter()
            .enumerate()
            .find_map(|(w, word)| {
                let bit = word.load(Relaxed).trailing_ones();
                (bit < 64).then_some(w * 64 + bit as usize)
            })
            .filter(|&number| number < self.slots.len())
    }

    pub(crate) fn mark_used(&self, number: usize, used: bool) {
        self.set_bit(self.used, number, used);
    }

    pub(crate) fn mark_doomed(&self, number: usize, doomed: bool) {
        if self.bit(self.doomed, number) != doomed {
            self.set_bit(self.doomed, number, doomed);
            adjust32(&self.header.doomed, if doomed { 1 } else { -1 });
        }
    }

    /// Makes a key name the slot.
    pub(crate) fn link_key(&self, number: usize, key: i32) {
        if key == IPC_PRIVATE {
            return;
        }
        let bucket = self.bucket(key);
        self.slots[number].head().next.store(bucket.load(Relaxed), Relaxed);
        bucket.store(number as u32 + 1, Relaxed);
    }

    /// Makes a key no longer name the slot.
    pub(crate) fn unlink_key(&self, number: usize, key: i32) {
        if key == IPC_PRIVATE {
            return;
        }
        let own_next = self.slots[number].head().next.load(Relaxed);
        let mut link = self.bucket(key);
        for _ in 0..self.slots.len() {
            let next = link.load(Relaxed) as usize;
            if next == number + 1 {
                link.store(own_next, Relaxed);
                return;
            }
            match next.checked_sub(1).and_then(|n| self.slots.get(n)) {
                Some(slot) => link = &slot.head().next,
                None => return,
            }
        }
    }

    /// Empties everything derived, before recovery fills it again. But for the bits of slots that have been used: by these others
    /// find their objects meanwhile, without the lock.
    pub(crate) fn clear_derived(&self) {
        let high = self.header.high.load(Relaxed) as usize;
        for (index, word) in self.used.iter().enumerate() {
            let kept = match high.saturating_sub(index * 64) {
                below @ 0..64 => (1 << below) - 1,
                _ => u64::MAX,
            };
            word.store(word.load(Relaxed) & kept, Relaxed);
        }
        for word in self.doomed {
            word.store(0, Relaxed);
        }
        for bucket in self.buckets {
            bucket.store(0, Relaxed);
        }
        let header = self.header;
        header.in_use.store(0, Relaxed);
        header.doomed.store(0, Relaxed);
        header.total.store(0, Relaxed);
        header.promised.store(0, Relaxed);
    }
}

/// Adds to a counter that only the lock's holder writes; never wraps.
pub(crate) fn adjust32(counter: &AtomicU32, by: i32) {
    counter.store(counter.load(Relaxed).saturating_add_signed(by), Relaxed);
}

/// As [`adjust32`].
pub(crate) fn adjust64(counter: &AtomicU64, by: i64) {
    counter.store(counter.load(Relaxed).saturating_add_signed(by), Relaxed);
}
