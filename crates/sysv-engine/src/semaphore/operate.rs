//! `semop` and `semtimedop`.

use core::sync::atomic::Ordering::{AcqRel, Acquire, Relaxed};
use core::time::Duration;

use super::commit::{Outcome, Party};
use super::locked::LockedSet;
use super::memory::Set;
use super::waiters::Operations;
use super::word::{FROZEN, Last, MORE, OWED, Word, ZERO};
use super::{INLINE, registry, wait};
use crate::abi::{SEM_UNDO, SEMVMX, Sembuf, Timespec};
use crate::credentials::Caller;
use crate::errno::{Errno, Result};
use crate::member::Member;
use crate::sys;
use crate::table::{SetHead, SetSlot};

/// Looks at a semaphore before its process goes to sleep, where another processor can change it meanwhile.
const SPINS: u32 = 400;

/// `semop`, and `semtimedop` with a timeout.
#[inline]
pub(crate) fn semop(member: &Member, id: i32, operations: &[Sembuf], timeout: Option<Timespec>) -> Result<()> {
    if let (&[operation], None) = (operations, timeout)
        && i32::from(operation.flg) & SEM_UNDO == 0
        && member.semopm() >= 1
        && member.enter().is_ok()
        && swap(member, id, &operation).is_some()
    {
        return Ok(());
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
    if slot.flags.load(Acquire) & INLINE != 0 {
        let nsems = slot.nsems.load(Relaxed) as usize;
        let semaphore = slot.semaphores.get(operation.num as usize)?;
        if operation.num as usize >= nsems {
            return None;
        }
        return swap_word(member, &slot.set, &semaphore.word, state.sequence, operation);
    }
    let set = Set::of_slot(member, number, slot, state).ok()?;
    if set.read_only {
        return None;
    }
    let semaphore = set.semaphores.get(operation.num as usize)?;
    swap_word(member, set.head, &semaphore.word, state.sequence, operation)
}

#[inline]
fn swap_word(
    member: &Member,
    head: &SetHead,
    word: &core::sync::atomic::AtomicU64,
    sequence: u16,
    operation: &Sembuf,
) -> Option<()> {
    let op = i32::from(operation.op);
    let last = Last::of(member.identity());
    let mut seen = word.load(Relaxed);
    loop {
        let now = Word(seen);
        let value = now.value() + op;
        let closed = FROZEN | OWED | if op > 0 { MORE } else { 0 } | if op < 0 && value == 0 { ZERO } else { 0 };
        let possible = if op == 0 {
            value == 0
        } else {
            (0..=SEMVMX).contains(&value)
        };
        if !possible || now.has(closed) || now.sequence() != sequence {
            return None;
        }
        match word.compare_exchange_weak(seen, now.after(value, last).0, AcqRel, Relaxed) {
            Ok(_) => break,
            Err(other) => seen = other,
        }
    }
    let time = sys::now();
    if head.otime.load(Relaxed) != time {
        head.otime.store(time, Relaxed);
    }
    Some(())
}

/// A `semop` whose arguments have been checked.
pub(super) struct Request<'a> {
    pub operations: &'a [Sembuf],
    pub undo: bool,
    pub party: Party,
    /// When to give up, on the monotonic clock in microseconds.
    pub deadline: Option<u64>,
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
        Some(Timespec { sec, nsec }) if sec >= 0 && (0..1_000_000_000).contains(&nsec) => {
            let wait = Duration::new(sec as u64, nsec as u32).as_nanos().div_ceil(1000);
            Some(sys::monotonic_us().saturating_add(u64::try_from(wait).unwrap_or(u64::MAX)))
        }
        Some(_) => return Err(Errno::EINVAL),
    };
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
        return Err(Errno::EACCES);
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
    };
    if set.read_only {
        return wait::for_zero_by_looking(&set, &request);
    }
    if undo {
        if set.records.is_none() {
            set = set.with_records()?;
        }
        super::dead::note_use(member);
    }
    // A first attempt with the lock, then a look or two hundred without it, then a place in the queue.
    match attempt(&mut set, &request)? {
        Attempt::Done => return Ok(()),
        Attempt::Blocked if member.spins() => {
            if is_possible_soon(&set, &request) && attempt(&mut set, &request)? == Attempt::Done {
                return Ok(());
            }
        }
        Attempt::Blocked => {}
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
    Blocked,
}

/// One attempt under the lock, without a place in the queue.
#[inline]
fn attempt(set: &mut Set<'_>, request: &Request<'_>) -> Result<Attempt> {
    set.locked(|locked| attempt_locked(locked, request))?
}

#[inline]
fn attempt_locked(locked: &LockedSet<'_>, request: &Request<'_>) -> Result<Attempt> {
    // A dead process that gave a unit takes it back before we can have it.
    let owed = |operation: &Sembuf| {
        let semaphore = locked.set.semaphores.get(operation.num as usize);
        semaphore.is_some_and(|semaphore| semaphore.word.load(Relaxed) & OWED != 0) && locked.others_owe(operation.num)
    };
    if request.operations.iter().any(owed) {
        locked.bury_the_dead(true);
    }
    let operations = Operations::Own(request.operations);
    let mut outcome = locked.attempt(operations, request.party, false);
    if outcome == Outcome::Failed(Errno::ENOMEM) {
        // The process's first operation with undo on some semaphore.
        reserve_undos(locked, request)?;
        outcome = locked.attempt(operations, request.party, false);
    }
    if let Outcome::Blocked { nowait: true, .. } = outcome
        && locked.bury_the_dead(true)
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
        Outcome::Blocked { .. } => Ok(Attempt::Blocked),
        Outcome::Failed(errno) => Err(errno),
    }
}

/// What follows operations that have been done.
pub(super) fn succeed(locked: &LockedSet<'_>, request: &Request<'_>) {
    locked.set.head.otime.store(sys::now(), Relaxed);
    locked.serve(request.operations);
}

/// Makes sure that the process has undo records for all operations that need one.
pub(super) fn reserve_undos(locked: &LockedSet<'_>, request: &Request<'_>) -> Result<()> {
    let with_undo = |operation: &&Sembuf| i32::from(operation.flg) & SEM_UNDO != 0;
    for operation in request.operations.iter().filter(with_undo) {
        locked.reserve_undo(operation.num, request.party.tag, request.party.last)?;
    }
    Ok(())
}

/// Watches the values for a moment; whether all operations look possible.
fn is_possible_soon(set: &Set<'_>, request: &Request<'_>) -> bool {
    let &[operation] = request.operations else { return false };
    let Some(semaphore) = set.semaphores.get(operation.num as usize) else {
        return false;
    };
    for _ in 0..SPINS {
        let word = Word(semaphore.word.load(Acquire));
        let value = word.value() + i32::from(operation.op);
        if !word.has(FROZEN) && (operation.op != 0 && value >= 0 || operation.op == 0 && value == 0) {
            return true;
        }
        core::hint::spin_loop();
    }
    set.member.count_processors();
    false
}
