//! Waiting: a place in the queue, and sleep.
//!
//! Known gap: a process that is stopped and continued while it waits goes on waiting; Linux's own `semop` returns `EINTR`
//! (signal(7)). The futex call does not tell.

use core::sync::atomic::AtomicU32;
use core::sync::atomic::Ordering::{Acquire, Relaxed, Release};
use core::time::Duration;

use super::commit::Outcome;
use super::locked::LockedSet;
use super::memory::Set;
use super::operate::{Request, looks_possible, reserve_undos, succeed};
use super::waiters::{Cell, DONE, FAILED, NOTIFIED, Operations, REMOVED, WAITING};
use super::watch;
use super::word::Word;
use crate::abi::IPC_NOWAIT;
use crate::critical;
use crate::errno::{Errno, Result};
use crate::sys;

/// Why a sleeper woke.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Woken {
    /// Somebody woke it, or the word had changed.
    Called,
    /// The time was up.
    TimedOut,
    /// A signal handler ran.
    Interrupted,
}

fn sleep(word: &AtomicU32, expected: u32, timeout: Duration) -> Woken {
    match sys::futex_wait_interruptibly(word, expected, timeout) {
        Err(Errno::ETIMEDOUT) => Woken::TimedOut,
        Err(Errno::EINTR) => Woken::Interrupted,
        _ => Woken::Called,
    }
}

/// What a waiter does next.
enum Next {
    Sleep,
    Return(Result<()>),
}

/// Waits until the operations are done.
pub(super) fn wait(mut set: Set<'_>, request: &Request<'_>) -> Result<()> {
    super::dead::note_use(set.member);
    let first = match set.locked(|locked| enter_queue(locked, request))? {
        Entry::Waits(first) => first,
        Entry::Returns(result) => return result,
    };
    let records = set.records.ok_or(Errno::ENOMEM)?;
    let cell = &records.cells[first];
    let mut has_slept = false;
    loop {
        let nap = watch::nap(&set, first, has_slept);
        let left = request
            .deadline
            .map(|deadline| deadline.saturating_sub(sys::monotonic_us()));
        let nap = left.map_or(nap, |left| nap.min(Duration::from_micros(left)));
        let woken = match cell.state.load(Acquire) {
            WAITING if critical::handlers_run() != request.handlers => Woken::Interrupted,
            WAITING if nap.is_zero() => Woken::TimedOut,
            WAITING => sleep(&cell.state, WAITING, nap),
            state => {
                if state == NOTIFIED && set.member.spins() {
                    glance(&set, request);
                }
                Woken::Called
            }
        };
        if woken == Woken::Called && cell.state.load(Acquire) == WAITING {
            // To watch, or for nothing.
            continue;
        }
        let expired = left.is_some_and(|left| Duration::from_micros(left) <= nap);
        let watched = woken == Woken::TimedOut
            && !expired
            && cell.state.load(Acquire) == WAITING
            && (has_slept || watch::has_watchers(&set))
            && watch::is_watched(&set, first)
            && set.exists();
        has_slept |= woken == Woken::TimedOut;
        if watched {
            continue;
        }
        if let Next::Return(result) = look(&set, request, first, cell, woken) {
            set.member.turn.begin();
            return result;
        }
    }
}

/// Looks at the value of which one has been told, before it takes the lock.
fn glance(set: &Set<'_>, request: &Request<'_>) {
    if let [operation] = request.operations
        && let Some(semaphore) = set.semaphores.get(operation.num as usize)
        && let Some(patience) = set.patience()
    {
        patience.glance(|| looks_possible(semaphore, operation));
    }
}

/// What a place in the queue was good for.
enum Entry {
    Waits(usize),
    Returns(Result<()>),
}

/// Takes a place in the queue, unless the operations can be done after all.
fn enter_queue(locked: &LockedSet<'_>, request: &Request<'_>) -> Entry {
    if request.undo
        && let Err(errno) = reserve_undos(locked, request)
    {
        return Entry::Returns(Err(errno));
    }
    let first = match locked.new_waiter(request.operations, request.party.last) {
        Ok(first) => first,
        Err(errno) => return Entry::Returns(Err(errno)),
    };
    match locked.attempt(Operations::Own(request.operations), request.party, true) {
        Outcome::Blocked {
            nowait: false,
            semaphore,
            for_zero,
        } => locked.enqueue(first, semaphore, for_zero),
        outcome => {
            locked.free_cells(first);
            return Entry::Returns(ended(locked, request, outcome));
        }
    }
    if locked.section.is_interrupted() {
        return Entry::Returns(give_up(locked, request, first, Errno::EINTR));
    }
    Entry::Waits(first)
}

/// Awake, for whatever reason: looks what has become of us.
fn look(set: &Set<'_>, request: &Request<'_>, first: usize, cell: &Cell, woken: Woken) -> Next {
    if cell.state.load(Acquire) == REMOVED || !set.exists() {
        return Next::Return(Err(Errno::EIDRM));
    }
    let Ok(locked) = LockedSet::lock(set) else {
        return Next::Return(Err(Errno::EIDRM));
    };
    let caller = cell.caller.load(Relaxed);
    if caller != 0
        && let Some(patience) = set.patience()
    {
        patience.met(caller);
    }
    if let Some(result) = outcome_of(&locked, first, cell) {
        return Next::Return(result);
    }
    if woken == Woken::Interrupted {
        return Next::Return(give_up(&locked, request, first, Errno::EINTR));
    }
    let expired = request.deadline.is_some_and(|deadline| sys::monotonic_us() >= deadline);
    if woken == Woken::TimedOut {
        locked.watch(first);
        if expired && locked.others_owe(cell.semaphore.load(Relaxed)) {
            locked.bury_the_dead();
        }
        if let Some(result) = outcome_of(&locked, first, cell) {
            return Next::Return(result);
        }
    }
    if cell.state.load(Acquire) == NOTIFIED {
        locked.serve_those_before(first, cell.semaphore.load(Relaxed));
        match locked.attempt(Operations::Own(request.operations), request.party, true) {
            Outcome::Blocked {
                semaphore, for_zero, ..
            } => {
                cell.state.store(WAITING, Release);
                locked.move_to(first, semaphore, for_zero);
                // What was too little for us may be enough for the next.
                locked.serve_one(semaphore);
                if let Some(result) = outcome_of(&locked, first, cell) {
                    return Next::Return(result);
                }
            }
            outcome => {
                locked.dismiss(first);
                return Next::Return(ended(&locked, request, outcome));
            }
        }
    }
    if expired {
        return Next::Return(give_up(&locked, request, first, Errno::EAGAIN));
    }
    if locked.section.is_interrupted() {
        return Next::Return(give_up(&locked, request, first, Errno::EINTR));
    }
    Next::Sleep
}

/// What others have made of us, if they have; our cells are free then.
fn outcome_of(locked: &LockedSet<'_>, first: usize, cell: &Cell) -> Option<Result<()>> {
    let result = match cell.state.load(Acquire) {
        WAITING | NOTIFIED => return None,
        DONE => Ok(()),
        FAILED => Err(Errno::from_raw(cell.result.load(Relaxed) as i32)),
        _ => return Some(Err(Errno::EIDRM)),
    };
    locked.dismiss(first);
    Some(result)
}

/// Leaves the queue. What was offered to us is offered to the next.
fn give_up(locked: &LockedSet<'_>, request: &Request<'_>, first: usize, errno: Errno) -> Result<()> {
    let notified = locked
        .records()
        .is_ok_and(|records| records.cells[first].state.load(Relaxed) == NOTIFIED);
    locked.dismiss(first);
    if notified {
        locked.serve(request.operations);
    }
    Err(errno)
}

/// The end of a wait by one's own attempt.
fn ended(locked: &LockedSet<'_>, request: &Request<'_>, outcome: Outcome) -> Result<()> {
    match outcome {
        Outcome::Done => {
            succeed(locked, request);
            Ok(())
        }
        Outcome::Blocked { .. } => Err(Errno::EAGAIN),
        Outcome::Failed(errno) => Err(errno),
    }
}

/// A process that may only read a set of another user's waits for zero without a place in the queue: it cannot write there.
/// `GETZCNT` does not count it.
pub(super) fn for_zero_by_looking(set: &Set<'_>, request: &Request<'_>) -> Result<()> {
    const NAP: Duration = Duration::from_millis(2);
    loop {
        if !set.exists() {
            return Err(Errno::EIDRM);
        }
        let blocked = request.operations.iter().find(|operation| {
            let semaphore = set.semaphores.get(operation.num as usize);
            semaphore.is_some_and(|semaphore| Word(semaphore.word.load(Acquire)).value() != 0)
        });
        let Some(blocked) = blocked else { return Ok(()) };
        let left = request
            .deadline
            .map(|deadline| deadline.saturating_sub(sys::monotonic_us()));
        if i32::from(blocked.flg) & IPC_NOWAIT != 0 || left == Some(0) {
            return Err(Errno::EAGAIN);
        }
        let nap = left.map_or(NAP, |left| NAP.min(Duration::from_micros(left)));
        // Nobody wakes us: a word of our own.
        if sleep(&AtomicU32::new(0), 0, nap) == Woken::Interrupted {
            return Err(Errno::EINTR);
        }
    }
}
