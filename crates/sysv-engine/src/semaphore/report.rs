//! Looking at the sets, for people.

use core::sync::atomic::Ordering::{Acquire, Relaxed};

use super::locked::{Denied, LockedSet};
use super::memory::{CELLS, Set, UNDOS};
use super::waiters::{FOR_ZERO, NOTIFIED, Operations, WAITING};
use super::word::Word;
use super::{LockedSets, control, registry};
use crate::abi::SemidDs;
use crate::credentials::Caller;
use crate::errno::{Errno, Result};
use crate::facility::StatBy;
use crate::identity::{Command, Identity};
use crate::lock::Tag;
use crate::member::Member;
use crate::process::ProcessReport;
use crate::sys;

/// A semaphore set, as an operator wants to see it.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct SetReport {
    /// Identifier.
    pub id: i32,
    /// What `SEM_STAT_ANY` says.
    pub ds: SemidDs,
    /// Creator's process id in its own pid namespace, whatever the reader's.
    pub creator_pid: u32,
    /// Inode number of the creator's pid namespace; 0 if unknown.
    pub creator_pid_namespace: u32,
    command: [u8; 32],
}

impl SetReport {
    /// The creator's command name.
    pub fn command(&self) -> &[u8] {
        let end = self.command.iter().position(|&b| b == 0).unwrap_or(self.command.len());
        &self.command[..end]
    }
}

/// Calls `each` with every set, lowest index first.
pub(crate) fn sets(member: &Member, each: &mut dyn FnMut(&SetReport)) -> Result<()> {
    member.enter()?;
    // What a dead owner of the lock has made is not listed before it is recovered.
    drop(LockedSets::lock(member, &member.lock_private()));
    let registry = registry(member.table());
    for number in registry.used_numbers() {
        // Index and number are the same here: sets' indexes start at 0.
        let Ok((id, ds)) = control::stat(member, number as i32, StatBy::IndexAny) else {
            continue;
        };
        let head = &registry.slots[number].head;
        let creator = Identity::from_word(head.creator.load(Relaxed));
        each(&SetReport {
            id,
            ds,
            creator_pid: creator.pid(),
            creator_pid_namespace: creator.namespace(),
            command: Command::load(&head.command).bytes(),
        });
    }
    Ok(())
}

/// A part of a set, as an operator wants to see it.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub enum SetPart {
    /// A semaphore.
    #[non_exhaustive]
    Semaphore {
        /// Its number in the set.
        number: u16,
        /// Its value.
        value: u16,
        /// Who operated on it last; 0 if nobody did, or if this process cannot see who.
        last_pid: i32,
    },
    /// A process, or one of its threads, that waits.
    #[non_exhaustive]
    Waiter {
        /// Who waits.
        process: ProcessReport,
        /// The semaphore on which the first of its operations is that cannot be done.
        semaphore: u16,
        /// What that operation adds; 0 waits for zero.
        change: i16,
        /// For how long, in milliseconds.
        waited_ms: u64,
    },
    /// A process whose end will change a semaphore's value (`SEM_UNDO`).
    #[non_exhaustive]
    Undo {
        /// Whose end.
        process: ProcessReport,
        /// Which semaphore.
        semaphore: u16,
        /// What is added to the value then.
        adjustment: i16,
    },
}

/// The most operations of a waiter that are looked at: what the table says about their number may be anything.
const OPERATIONS_SEEN: usize = 512;

/// Calls `each` with every part of a set. `each` must not call the facility.
pub(crate) fn contents(member: &Member, id: i32, each: &mut dyn FnMut(&SetPart)) -> Result<()> {
    member.enter()?;
    let _private = member.lock_private();
    // A set may get its file, and with it records, between two looks at it.
    for _ in 0..3 {
        let (number, slot, state) = registry(member.table()).find_id(id)?;
        // As `GETALL`, `GETPID` and `GETNCNT` ask.
        if !Caller::current().permits(&slot.head.ownership(), 0o444) {
            return Err(Errno::EACCES);
        }
        let set = Set::visit(member, number, slot, state)?;
        if set.read_only {
            describe(&set, each);
            return Ok(());
        }
        match LockedSet::lock(&set) {
            Ok(locked) => {
                locked.bury_the_dead();
                describe(locked.set, each);
                return Ok(());
            }
            Err(Denied::Unmapped) => {}
            Err(Denied::ReadOnly) => return Err(Errno::EACCES),
            Err(Denied::Gone) => return Err(Errno::EIDRM),
        }
    }
    Err(Errno::EIDRM)
}

/// Without the lock, where it cannot be had, parts may not belong together; the dead are left out all the same.
fn describe(set: &Set<'_>, each: &mut dyn FnMut(&SetPart)) {
    let member = set.member;
    for (number, semaphore) in set.semaphores.iter().enumerate() {
        let word = Word(semaphore.word.load(Acquire));
        each(&SetPart::Semaphore {
            number: number as u16,
            value: word.value() as u16,
            last_pid: word.last().seen_by(member.identity()),
        });
    }
    let Some(records) = set.records else { return };
    let live = member.lazy_live();
    let process = |word: u32| {
        let tag = Tag::from_word(word).filter(|&tag| member.is_alive(tag, &live) || member.lives_on(tag))?;
        ProcessReport::of(member.table(), tag)
    };
    let now = sys::monotonic_ms();
    let high = (set.head.waiters.high.load(Relaxed) as usize).min(CELLS);
    for (index, cell) in records.cells[..high].iter().enumerate() {
        let semaphore = cell.semaphore.load(Relaxed);
        if !matches!(cell.state.load(Acquire), WAITING | NOTIFIED) || semaphore as usize >= set.semaphores.len() {
            continue;
        }
        let Some(process) = process(cell.owner.load(Relaxed)) else {
            continue;
        };
        let for_zero = cell.kind.load(Relaxed) & FOR_ZERO != 0;
        let wants = Operations::Kept(records, index)
            .iter()
            .take(OPERATIONS_SEEN)
            .find(|operation| operation.num == semaphore && (operation.op == 0) == for_zero && operation.op <= 0);
        each(&SetPart::Waiter {
            process,
            semaphore,
            change: wants.map_or(if for_zero { 0 } else { -1 }, |operation| operation.op),
            waited_ms: now.saturating_sub(cell.since.load(Relaxed)),
        });
    }
    let high = (set.head.undos.high.load(Relaxed) as usize).min(UNDOS);
    for record in &records.undos[..high] {
        let (number, adjustment) = (record.semaphore.load(Relaxed), record.adjustment());
        if adjustment == 0 || number as usize >= set.semaphores.len() {
            continue;
        }
        if let Some(process) = process(record.owner.load(Acquire)) {
            each(&SetPart::Undo {
                process,
                semaphore: number as u16,
                adjustment: adjustment as i16,
            });
        }
    }
}
