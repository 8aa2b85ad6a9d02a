//! `semget(2)`, `semop(2)`, `semtimedop(2)` and `semctl(2)`.

#![allow(unsafe_code)]

use core::ffi::{c_int, c_void};
use core::mem::MaybeUninit;

use sysv_engine::abi::{
    GETALL, GETNCNT, GETPID, GETVAL, GETZCNT, IPC_INFO, IPC_RMID, IPC_SET, IPC_STAT, SEM_INFO, SEM_STAT, SEM_STAT_ANY,
    SETALL, SETVAL, Sembuf, SemidDs, Timespec,
};
use sysv_engine::trace::Call;
use sysv_engine::{Asked, Errno, PermChange, Result, Semaphores, StatBy, usercopy};

use crate::joined;
use crate::raw::or_minus_one;
use crate::scratch::Scratch;
use crate::structure::{give, take};
use crate::trace;

/// Operations that are copied to the stack: Linux's default for the most.
const ON_STACK: usize = 500;

/// semget(2).
///
/// # Safety
/// None: it takes no pointer.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn semget(key: libc::key_t, nsems: c_int, flags: c_int) -> c_int {
    trace::call(
        Call::Semget,
        [key as usize, nsems as usize, flags as usize, 0, 0],
        || or_minus_one(joined::facility().and_then(|facility| facility.semget(key, nsems, flags))),
    )
}

/// semop(2).
///
/// # Safety
/// None of its own: a bad pointer is `EFAULT`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn semop(id: c_int, operations: *mut c_void, count: usize) -> c_int {
    trace::call(Call::Semop, [id as usize, operations as usize, count, 0, 0], || {
        or_minus_one(operate(id, operations as usize, count, None).map(|()| 0))
    })
}

/// semtimedop(2).
///
/// # Safety
/// None of its own: a bad pointer is `EFAULT`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn semtimedop(id: c_int, operations: *mut c_void, count: usize, timeout: *const c_void) -> c_int {
    let arguments = [id as usize, operations as usize, count, timeout as usize, 0];
    trace::call(Call::Semtimedop, arguments, || {
        let timeout = match timeout as usize {
            0 => Ok(None),
            address => take::<Timespec>(address).map(Some),
        };
        or_minus_one(timeout.and_then(|timeout| operate(id, operations as usize, count, timeout).map(|()| 0)))
    })
}

#[inline]
fn operate(id: c_int, operations: usize, count: usize, timeout: Option<Timespec>) -> Result<()> {
    let facility = joined::facility()?;
    if count == 1 {
        let operation = take::<Sembuf>(operations)?;
        return facility.semop(id, &[operation], timeout);
    }
    operate_many(id, operations, count, timeout)
}

#[inline(never)]
fn operate_many(id: c_int, operations: usize, count: usize, timeout: Option<Timespec>) -> Result<()> {
    let facility = joined::facility()?;
    // "The argument nsops is greater than SEMOPM": before anything is read.
    if count > ON_STACK && count as u64 > facility.limits().semopm {
        return Err(Errno::E2BIG);
    }
    if count > ON_STACK {
        let mut scratch = Scratch::<Sembuf>::new(count)?;
        scratch.take(operations)?;
        return facility.semop(id, scratch.as_slice(), timeout);
    }
    let mut copies = [MaybeUninit::<Sembuf>::uninit(); ON_STACK];
    // SAFETY: there is room for `count`, and then so many are initialised: any bytes are a `Sembuf`.
    let copies = unsafe {
        usercopy::copy_in(copies.as_mut_ptr().cast(), operations, count * size_of::<Sembuf>())?;
        core::slice::from_raw_parts(copies.as_ptr().cast::<Sembuf>(), count)
    };
    facility.semop(id, copies, timeout)
}

/// semctl(2). The C library declares the fourth argument as optional; it travels in the same place.
///
/// # Safety
/// `argument` is what the command wants; a bad pointer is `EFAULT`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn semctl(id: c_int, num: c_int, command: c_int, argument: usize) -> c_int {
    let arguments = [id as usize, num as usize, command as usize, argument, 0];
    trace::call(Call::Semctl, arguments, || {
        let asked = match command {
            GETVAL => Asked::Value,
            GETPID => Asked::Pid,
            GETNCNT => Asked::WaitingForMore,
            GETZCNT => Asked::WaitingForZero,
            // SAFETY: the caller's promise.
            _ => return or_minus_one(unsafe { control(id, num, command, argument) }),
        };
        or_minus_one(joined::facility().and_then(|facility| facility.sem_ask(id, num, asked)))
    })
}

/// # Safety
/// As [`semctl`].
unsafe fn control(id: c_int, num: c_int, command: c_int, argument: usize) -> Result<c_int> {
    let facility = joined::facility()?;
    if id < 0 {
        return Err(Errno::EINVAL);
    }
    match command {
        // The union's member is an int: the other half of the word is whatever it was.
        SETVAL => facility.sem_set_value(id, num, argument as c_int).map(|()| 0),
        GETALL => {
            let mut values = Scratch::<u16>::new(facility.sem_count(id)?)?;
            facility.sem_values(id, values.as_mut_slice())?;
            // SAFETY: the caller passed an array with a place for each semaphore.
            unsafe { values.give(argument) }.map(|()| 0)
        }
        SETALL => {
            let mut values = Scratch::<u16>::new(facility.sem_count(id)?)?;
            if values.take(argument).is_err() {
                // Whether the caller may alter the set comes first. Such a value is never set.
                values.as_mut_slice().fill(u16::MAX);
                return match facility.sem_set_values(id, values.as_slice()) {
                    Err(Errno::ERANGE) | Ok(()) => Err(Errno::EFAULT),
                    Err(errno) => Err(errno),
                };
            }
            facility.sem_set_values(id, values.as_slice()).map(|()| 0)
        }
        IPC_STAT | SEM_STAT | SEM_STAT_ANY => {
            let by = match command {
                IPC_STAT => StatBy::Id,
                SEM_STAT => StatBy::Index,
                _ => StatBy::IndexAny,
            };
            let (found, ds) = facility.sem_stat(id, by)?;
            // SAFETY: the caller passed the address of a `semid_ds`.
            unsafe { give(argument, &ds) }?;
            Ok(if by == StatBy::Id { 0 } else { found })
        }
        IPC_SET => {
            let SemidDs { perm, .. } = take(argument)?;
            let change = PermChange {
                uid: perm.uid,
                gid: perm.gid,
                mode: perm.mode,
            };
            facility.sem_set(id, change).map(|()| 0)
        }
        IPC_RMID => facility.sem_remove(id).map(|()| 0),
        IPC_INFO | SEM_INFO => {
            let (highest, info) = if command == IPC_INFO {
                facility.sem_limits()?
            } else {
                facility.sem_usage()?
            };
            // SAFETY: the caller passed the address of a `seminfo`.
            unsafe { give(argument, &info) }?;
            Ok(highest)
        }
        _ => Err(Errno::EINVAL),
    }
}
