//! What the dead left in a namespace, looked at without joining it: a newcomer begins to clear away at once, and could
//! not tell what was there before.
//!
//! Nothing is locked, so that what living processes do meanwhile may be missed or counted; nothing that a living
//! process holds is called the dead's.

#![allow(unsafe_code)]

use core::ffi::CStr;
use core::sync::atomic::Ordering::{Acquire, Relaxed};

use crate::errno::Errno;
use crate::identity::{Command, Identity};
use crate::live::Live;
use crate::lock::Tag;
use crate::namespace::{self, Join, JoinError};
use crate::process;
use crate::registry::{Mechanism, Phase};
use crate::table::{ATTACHMENTS, PROCESSES, PoolHeader, QueueSlot, SEGMENTS, SegmentSlot, SetSlot, Table};

/// Something that only the dead hold.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub enum Remnant {
    /// A dead process's record.
    Process {
        /// Process id in its own pid namespace.
        pid: u32,
        /// Inode number of that pid namespace; 0 if unknown.
        pid_namespace: u32,
        /// Its command's name, padded with NULs.
        command: [u8; 32],
        /// How many attachments it held.
        attachments: u32,
        /// Whether it may owe adjustments to semaphores.
        semaphores: bool,
    },
    /// A removed segment that no living process has attached.
    Segment {
        /// Identifier.
        id: i32,
        /// Size in bytes, as it was asked for.
        size: u64,
    },
    /// An object whose making or removal its process did not live to finish.
    HalfMade {
        /// The directory of its mechanism's files: `shm`, `sem` or `msg`.
        directory: &'static str,
        /// The identifier that it would have or had.
        id: i32,
    },
}

/// Calls `each` with everything in the namespace that only dead processes hold; returns how many processes live.
///
/// # Errors
/// Those of joining an existing namespace.
pub fn remains(directory: &CStr, each: &mut dyn FnMut(&Remnant)) -> Result<usize, JoinError> {
    let mapped = namespace::open(directory, Join::Existing)?;
    // SAFETY: mapped by `namespace::open` at the table's full size; atomics only.
    let table = unsafe { &*mapped.table };
    let result = match Live::open(mapped.directory.as_c_str()) {
        Ok(live) => {
            let living = Living::find(table, &live);
            living.report(table, each);
            Ok(living.count())
        }
        Err(errno) => Err(JoinError::system("opening its file live")(errno)),
    };
    // SAFETY: nothing refers to the table any more: what `each` was given are copies.
    unsafe { mapped.unmap() };
    result
}

/// A namespace that is looked at for long by a process that is no member of it.
#[derive(Debug)]
pub struct Bystander {
    mapped: namespace::Mapped,
}

impl Bystander {
    /// # Errors
    /// Those of joining an existing namespace.
    pub fn open(directory: &CStr) -> Result<Bystander, JoinError> {
        let mapped = namespace::open(directory, Join::Existing)?;
        Ok(Bystander { mapped })
    }

    fn table(&self) -> &Table {
        // SAFETY: mapped by `namespace::open` at the table's full size until `self` is dropped; atomics only.
        unsafe { &*self.mapped.table }
    }

    /// Whether removed segments wait for their last user to go. It costs next to nothing to ask.
    pub fn removed_segments_wait(&self) -> bool {
        self.table().header.segments.doomed.load(Relaxed) != 0
    }

    /// How many members live; one too many where that cannot be found out.
    pub fn living(&self) -> usize {
        match Live::open(self.mapped.directory.as_c_str()) {
            Ok(live) => Living::find(self.table(), &live).count(),
            Err(Errno::ENOENT) => 0,
            Err(_) => 1,
        }
    }
}

impl Drop for Bystander {
    fn drop(&mut self) {
        // SAFETY: nothing refers to the table any more.
        unsafe { self.mapped.unmap() }
    }
}

/// The records that have pages under them: touching others would allocate some.
fn touchable(pool: &PoolHeader, count: usize) -> usize {
    let (high, backed) = (pool.high.load(Relaxed), pool.backed.load(Relaxed));
    (high.min(backed) as usize).min(count)
}

/// A set of record numbers.
struct Numbers<const WORDS: usize>([u64; WORDS]);

impl<const WORDS: usize> Numbers<WORDS> {
    fn insert(&mut self, number: usize) {
        if let Some(word) = self.0.get_mut(number / 64) {
            *word |= 1 << (number % 64);
        }
    }

    fn contains(&self, number: usize) -> bool {
        self.0
            .get(number / 64)
            .is_some_and(|word| word >> (number % 64) & 1 == 1)
    }
}

/// Which process records belong to living processes.
struct Living(Numbers<{ PROCESSES / 64 }>);

impl Living {
    fn find(table: &Table, live: &Live) -> Living {
        let mut living = Numbers([0; PROCESSES / 64]);
        for index in 0..PROCESSES {
            // Death needs proof.
            if is_marked(table, index) && live.holds(index).unwrap_or(true) {
                living.insert(index);
            }
        }
        Living(living)
    }

    fn count(&self) -> usize {
        self.0.0.iter().map(|word| word.count_ones() as usize).sum()
    }

    fn includes(&self, table: &Table, tag: Tag) -> bool {
        let generation = |index: usize| table.processes.get(index).map(|record| record.generation.load(Acquire));
        self.0.contains(tag.index()) && generation(tag.index()).is_some_and(|now| tag.is_of_generation(now))
    }

    fn report(&self, table: &Table, each: &mut dyn FnMut(&Remnant)) {
        let observer = Identity::own();
        let mut held = [0u16; PROCESSES];
        let mut in_use = Numbers([0; SEGMENTS / 64]);
        let attachments = touchable(&table.header.attachments, ATTACHMENTS);
        for record in &table.attachments[..attachments] {
            let Some(owner) = Tag::from_word(record.owner.load(Acquire)) else {
                continue;
            };
            if self.includes(table, owner) {
                in_use.insert(record.slot.load(Relaxed) as usize);
            } else if let Some(count) = held.get_mut(owner.index()) {
                *count = count.saturating_add(1);
            }
        }
        let processes = touchable(&table.header.processes, PROCESSES);
        for (index, record) in table.processes[..processes].iter().enumerate() {
            let ended = || !process::lives_on(record, observer);
            if is_marked(table, index) && !self.0.contains(index) && record.state.load(Acquire) != 0 && ended() {
                let identity = Identity::from_word(record.identity.load(Relaxed));
                each(&Remnant::Process {
                    pid: identity.pid(),
                    pid_namespace: identity.namespace(),
                    command: Command::load(&record.command).bytes(),
                    attachments: held[index].into(),
                    semaphores: record.semaphores.load(Relaxed) != 0,
                });
            }
        }
        let registry = SegmentSlot::registry(table);
        for number in registry.doomed_numbers().filter(|&number| !in_use.contains(number)) {
            let slot = &registry.slots[number];
            let state = slot.head.state();
            if state.phase == Phase::Doomed {
                let (id, size) = (registry.id(number, state), slot.size.load(Relaxed));
                each(&Remnant::Segment { id, size });
            }
        }
        self.report_half_made::<SegmentSlot>(table, each);
        self.report_half_made::<SetSlot>(table, each);
        self.report_half_made::<QueueSlot>(table, each);
    }

    fn report_half_made<S: Mechanism>(&self, table: &Table, each: &mut dyn FnMut(&Remnant)) {
        let registry = S::registry(table);
        let header = registry.header;
        let high = header.high.load(Relaxed).min(header.backed.load(Relaxed)) as usize;
        for (number, slot) in registry.slots.iter().take(high).enumerate() {
            let state = slot.head().state();
            if !matches!(state.phase, Phase::Making | Phase::Dying) {
                continue;
            }
            // Whoever makes or removes something holds the lock until it is done: without a living holder, what is still
            // half made stays so.
            let owner = Tag::from_word(header.lock.load(Acquire));
            if !owner.is_some_and(|owner| self.includes(table, owner)) && slot.head().state() == state {
                each(&Remnant::HalfMade {
                    directory: S::DIRECTORY,
                    id: registry.id(number, state),
                });
            }
        }
    }
}

/// Whether somebody has the record, or had it until death.
fn is_marked(table: &Table, index: usize) -> bool {
    let word = table.process_bits.get(index / 64);
    word.is_some_and(|word| word.load(Acquire) >> (index % 64) & 1 == 1)
}
