//! `semop` and `semtimedop`.

use core::sync::atomic::AtomicU64;
use core::sync::atomic::Ordering::{Acquire, Relaxed};
use core::time::Duration;

use super::commit::{Outcome, Party};
use super::locked::LockedSet;
use super::memory::{Set, stands_in_table};
use super::waiters::Operations;
use super::word::{self, FROZEN, Last, OWED, Word};
use super::{brief, registry, wait};
use crate::abi::{IPC_NOWAIT, SEM_UNDO, Sembuf, Timespec};
use crate::credentials::Caller;
use crate::critical;
use crate::errno::{Errno, Result};
use crate::member::Member;
use crate::process;
use crate::registry::State;
use crate::sys;
use crate::table::{Semaphore, SetHead, SetSlot};

/// `semop`, and `semtimedop` with a timeout.
#[inline]
pub(crate) fn semop(member: &Member, id: i32, operations: &[Sembuf], timeout: Option<Timespec>) -> Result<()> {
    if timeout.is_none_or(|timeout| timeout.is_valid())
        && operations.len() as u64 <= member.semopm()
        && member.enter().is_ok()
    {
        let done = match operations {
            [operation] if i32::from(operation.flg) & SEM_UNDO == 0 => swap(member, id, operation),
            _ => brief::operate(member, id, operations),
        };
        if done.is_some() {
            return Ok(());
        }
    }
    semop_in_full(member, id, operations, timeout)
}

/// One operation on a semaphore that nobody waits for: done, or not done for whatever reason.
#[inline]
fn swap(member: &Member, id: i32, operation: &Sembuf) -> Option<()> {
    let (number, slot, state) = registry(member.table()).find_id(id).ok()?;
    let wanted = if operation.op == 0 { 0o444 } else { 0o222 };
    if !Caller::current().permits(&slot.head.ownership(), wanted) {
        return None;
    }
    if !stands_in_table(member, slot) {
        return swap_in_file(member, number, slot, state, operation);
    }
    let semaphore = slot.semaphores.get(operation.num as usize)?;
    if u32::from(operation.num) >= slot.nsems.load(Relaxed) {
        return None;
    }
    swap_word(member, &slot.set, &semaphore.word, state.sequence, operation)
}

/// Whether an operation gives something after a long turn, while others sleep. It is then done under the lock, which looks after
/// them although one has been told already: that one may not get a processor before we leave it.
#[inline]
fn gives_after_long(member: &Member, head: &SetHead, operation: &Sembuf) -> bool {
    operation.op > 0 && head.waiting.load(Relaxed) != 0 && member.turn.is_long()
}

/// As [`swap`], where the set's semaphores stand in its file.
#[inline(never)]
fn swap_in_file(member: &Member, number: usize, slot: &SetSlot, state: State, operation: &Sembuf) -> Option<()> {
    let set = Set::of_slot(member, number, slot, state).ok()?;
    if set.read_only {
        return None;
    }
    let semaphore = set.semaphores.get(operation.num as usize)?;
    swap_word(member, set.head, &semaphore.word, state.sequence, operation)
}

#[inline]
fn swap_word(member: &Member, head: &SetHead, word: &AtomicU64, sequence: u16, operation: &Sembuf) -> Option<()> {
    let last = Last::of(member.identity());
    if gives_after_long(member, head, operation) || !word::swap(word, sequence, operation.op.into(), last) {
        return None;
    }
    note_time(head);
    Some(())
}

/// A `semop` whose arguments have been checked.
pub(super) struct Request<'a> {
    pub operations: &'a [Sembuf],
    pub undo: bool,
    pub party: Party,
    /// When to give up, on the monotonic clock in microseconds.
    pub deadline: Option<u64>,
    /// The program's handlers that had run when the call began.
    pub handlers: u64,
}

#[inline(never)]
fn semop_in_full(member: &Member, id: i32, operations: &[Sembuf], timeout: Option<Timespec>) -> Result<()> {
    // "The argument nsops is greater than SEMOPM"
    if operations.len() as u64 > member.semopm() {
        return Err(Errno::E2BIG);
    }
    if operations.is_empty() || id < 0 {
        return Err(Errno::EINVAL);
    }
    let deadline = match timeout {
        None => None,
        Some(timeout) if timeout.is_valid() => {
            let wait = Duration::new(timeout.sec as u64, timeout.nsec as u32)
                .as_nanos()
                .div_ceil(1000);
            // The part of a microsecond that the clock does not show has passed already.
            let unseen = u64::from(wait > 0);
            Some((sys::monotonic_us() + unseen).saturating_add(u64::try_from(wait).unwrap_or(u64::MAX)))
        }
        Some(_) => return Err(Errno::EINVAL),
    };
    let handlers = critical::handlers_run();
    member.enter()?;
    let undo = operations
        .iter()
        .any(|operation| i32::from(operation.flg) & SEM_UNDO != 0);
    let alter = operations.iter().any(|operation| operation.op != 0);
    let most = operations.iter().map(|operation| operation.num).max().unwrap_or(0);
    let (number, slot, state) = registry(member.table()).find_id(id)?;
    check(slot, most, alter)?;
    let mut set = Set::of_slot(member, number, slot, state)?;
    if set.read_only && alter {
        set.make_writable()?;
    }
    let request = Request {
        operations,
        undo,
        party: Party {
            tag: member.tag(),
            last: Last::of(member.identity()),
            cell: None,
        },
        deadline,
        handlers,
    };
    if set.read_only {
        return wait::for_zero_by_looking(&set, &request);
    }
    if undo {
        if set.records.is_none() {
            set = set.with_records()?;
        }
        super::dead::note_use(member);
        process::note_debts(member);
    }
    // A look or some hundred without the lock, an attempt with it, then a place in the queue.
    if let &[operation] = operations
        && !undo
        && i32::from(operation.flg) & IPC_NOWAIT == 0
        && member.spins()
        && is_possible_soon(&set, &operation)
        && let Some(semaphore) = set.semaphores.get(operation.num as usize)
        && swap_word(member, set.head, &semaphore.word, set.sequence, &operation).is_some()
    {
        return Ok(());
    }
    match attempt(&mut set, &request)? {
        Attempt::Done => return Ok(()),
        Attempt::Blocked(at) if member.spins() && (undo || operations.len() > 1) => {
            let soon = operations
                .get(at)
                .is_some_and(|operation| is_possible_soon(&set, operation));
            if soon && attempt(&mut set, &request)? == Attempt::Done {
                return Ok(());
            }
        }
        Attempt::Blocked(_) => {}
    }
    let again = set.again()?;
    match wait::wait(set.with_records()?, &request) {
        // Its mapping is of a time when it had more rights.
        Err(Errno::ENOMEM) if !alter => wait::for_zero_by_looking(&again, &request),
        result => result,
    }
}

/// What Linux checks once it has the set, in its order.
fn check(slot: &SetSlot, most: u16, alter: bool) -> Result<()> {
    // "For some operation, the value of sem_num is less than 0 or greater than or equal to the number of semaphores"
    if u32::from(most) >= slot.nsems.load(Relaxed) {
        return Err(Errno::EFBIG);
    }
    // "does not have the permissions required to perform the specified semaphore operations"
    if !Caller::current().permits(&slot.head.ownership(), if alter { 0o222 } else { 0o444 }) {
        return Err(Errno::EACCES);
    }
    Ok(())
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Attempt {
    Done,
    /// By the operation with this index.
    Blocked(usize),
}

/// One attempt under the lock, without a place in the queue.
#[inline]
fn attempt(set: &mut Set<'_>, request: &Request<'_>) -> Result<Attempt> {
    set.locked(|locked| attempt_locked(locked, request))?
}

#[inline]
fn attempt_locked(locked: &LockedSet<'_>, request: &Request<'_>) -> Result<Attempt> {
    if request
        .operations
        .iter()
        .any(|operation| is_owed(locked, operation.num))
    {
        settle_debts(locked, request);
    }
    let operations = Operations::Own(request.operations);
    let mut outcome = locked.attempt(operations, request.party, false);
    if outcome == Outcome::Failed(Errno::ENOMEM) {
        // The process's first operation with undo on some semaphore.
        reserve_undos(locked, request)?;
        outcome = locked.attempt(operations, request.party, false);
    }
    if let Outcome::Blocked {
        nowait: true,
        semaphore,
        ..
    } = outcome
        && locked.others_owe(semaphore)
        && locked.bury_the_dead()
    {
        outcome = locked.attempt(operations, request.party, false);
    }
    match outcome {
        Outcome::Done => {
            succeed(locked, request);
            Ok(Attempt::Done)
        }
        // "An operation could not proceed immediately and […] IPC_NOWAIT was specified"
        Outcome::Blocked { nowait: true, .. } => Err(Errno::EAGAIN),
        Outcome::Blocked { semaphore, .. } => {
            let at = request
                .operations
                .iter()
                .position(|operation| operation.num == semaphore);
            Ok(Attempt::Blocked(at.unwrap_or(0)))
        }
        Outcome::Failed(errno) => Err(errno),
    }
}

#[inline]
fn is_owed(locked: &LockedSet<'_>, number: u16) -> bool {
    let semaphore = locked.set.semaphores.get(number as usize);
    semaphore.is_some_and(|semaphore| semaphore.word.load(Relaxed) & OWED != 0)
}

/// A dead process that gave a unit takes it back before we can have it. Flags that say more than is true are put right.
#[cold]
fn settle_debts(locked: &LockedSet<'_>, request: &Request<'_>) {
    let mut owed = false;
    for operation in request.operations {
        if is_owed(locked, operation.num) {
            locked.refresh_owed(operation.num);
            owed |= locked.others_owe(operation.num);
        }
    }
    if owed {
        locked.bury_the_dead();
    }
}

/// What follows operations that have been done.
#[inline]
pub(super) fn succeed(locked: &LockedSet<'_>, request: &Request<'_>) {
    note_time(locked.set.head);
    locked.serve(request.operations);
    // Nobody was there to have what it gave: it goes on for as long again.
    locked.set.member.turn.prolong_if_long();
}

/// Notes that an operation has succeeded now.
#[inline]
pub(super) fn note_time(head: &SetHead) {
    let time = sys::now();
    if head.otime.load(Relaxed) != time {
        head.otime.store(time, Relaxed);
    }
}

/// Makes sure that the process has undo records for all operations that need one.
pub(super) fn reserve_undos(locked: &LockedSet<'_>, request: &Request<'_>) -> Result<()> {
    let with_undo = |operation: &&Sembuf| i32::from(operation.flg) & SEM_UNDO != 0;
    for operation in request.operations.iter().filter(with_undo) {
        locked.reserve_undo(operation.num, request.party.tag, request.party.last)?;
    }
    Ok(())
}

/// Watches a value for as long as that is worth it; whether the operation looks possible.
fn is_possible_soon(set: &Set<'_>, operation: &Sembuf) -> bool {
    let Some(semaphore) = set.semaphores.get(operation.num as usize) else {
        return false;
    };
    let looks_possible = || looks_possible(semaphore, operation);
    if set.member.turn.is_over() {
        return looks_possible();
    }
    match set.patience() {
        Some(patience) => patience.watch(looks_possible),
        None => looks_possible(),
    }
}

/// Whether an operation could be done now, as far as a glance tells.
pub(super) fn looks_possible(semaphore: &Semaphore, operation: &Sembuf) -> bool {
    let word = Word(semaphore.word.load(Acquire));
    let value = word.value() + i32::from(operation.op);
    !word.has(FROZEN) && (operation.op != 0 && value >= 0 || operation.op == 0 && value == 0)
}
