//! `msgget(2)`, `msgsnd(2)`, `msgrcv(2)` and `msgctl(2)`.

#![allow(unsafe_code)]

use core::ffi::{c_int, c_long, c_void};

use sysv_engine::abi::{IPC_INFO, IPC_RMID, IPC_SET, IPC_STAT, MSG_INFO, MSG_STAT, MSG_STAT_ANY, MsqidDs};
use sysv_engine::trace::Call;
use sysv_engine::{Errno, PermChange, Queues, Result, StatBy};

#[cfg(feature = "interpose")]
use crate::cancellation::point as cancellation_point;
use crate::joined;
use crate::raw::{or_minus_one, set_errno};
use crate::structure::{give, take};
use crate::trace;

/// A program that has the library linked in has its threads cancelled past it.
#[cfg(not(feature = "interpose"))]
fn cancellation_point<R>(call: impl Fn() -> R) -> R {
    call()
}

/// msgget(2).
///
/// # Safety
/// None: it takes no pointer.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn msgget(key: libc::key_t, flags: c_int) -> c_int {
    trace::call(Call::Msgget, [key as usize, flags as usize, 0, 0, 0], || {
        or_minus_one(joined::facility().and_then(|facility| facility.msgget(key, flags)))
    })
}

/// msgsnd(2).
///
/// # Safety
/// Nobody writes to the message meanwhile; a bad pointer is `EFAULT`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn msgsnd(id: c_int, message: *const c_void, size: usize, flags: c_int) -> c_int {
    let arguments = [id as usize, message as usize, size, flags as usize, 0];
    let send = || {
        let facility = joined::facility()?;
        // SAFETY: the caller's promise.
        unsafe { facility.msgsnd(id, message as usize, size, flags) }.map(|()| 0)
    };
    let sent = cancellation_point(|| trace::call(Call::Msgsnd, arguments, send));
    or_minus_one(sent.map(|_| 0))
}

/// msgrcv(2).
///
/// # Safety
/// What is mapped at `message`, a `long` and `size` bytes, is the caller's to overwrite; a bad pointer is `EFAULT`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn msgrcv(id: c_int, message: *mut c_void, size: usize, kind: c_long, flags: c_int) -> isize {
    let arguments = [id as usize, message as usize, size, kind as usize, flags as usize];
    let receive = || {
        let facility = joined::facility()?;
        // SAFETY: the caller's promise.
        unsafe { facility.msgrcv(id, message as usize, size, kind, flags) }
    };
    match cancellation_point(|| trace::call(Call::Msgrcv, arguments, receive)) {
        Ok(len) => len as isize,
        Err(errno) => {
            set_errno(errno);
            -1
        }
    }
}

/// msgctl(2).
///
/// # Safety
/// `argument` is what the command wants; a bad pointer is `EFAULT`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn msgctl(id: c_int, command: c_int, argument: *mut c_void) -> c_int {
    trace::call(
        Call::Msgctl,
        [id as usize, command as usize, argument as usize, 0, 0],
        || {
            // SAFETY: the caller's promise.
            or_minus_one(unsafe { control(id, command, argument as usize) })
        },
    )
}

/// # Safety
/// As [`msgctl`].
unsafe fn control(id: c_int, command: c_int, argument: usize) -> Result<c_int> {
    let facility = joined::facility()?;
    if id < 0 || command < 0 {
        return Err(Errno::EINVAL);
    }
    match command {
        IPC_STAT | MSG_STAT | MSG_STAT_ANY => {
            let by = match command {
                IPC_STAT => StatBy::Id,
                MSG_STAT => StatBy::Index,
                _ => StatBy::IndexAny,
            };
            let (found, ds) = facility.msg_stat(id, by)?;
            // SAFETY: the caller passed the address of a `msqid_ds`.
            unsafe { give(argument, &ds) }?;
            Ok(if by == StatBy::Id { 0 } else { found })
        }
        IPC_SET => {
            let MsqidDs { perm, qbytes, .. } = take(argument)?;
            let change = PermChange {
                uid: perm.uid,
                gid: perm.gid,
                mode: perm.mode,
            };
            facility.msg_set(id, change, qbytes).map(|()| 0)
        }
        IPC_RMID => facility.msg_remove(id).map(|()| 0),
        IPC_INFO | MSG_INFO => {
            let (highest, info) = if command == IPC_INFO {
                facility.msg_limits()?
            } else {
                facility.msg_usage()?
            };
            // SAFETY: the caller passed the address of a `msginfo`.
            unsafe { give(argument, &info) }?;
            Ok(highest)
        }
        _ => Err(Errno::EINVAL),
    }
}
