//! `shmget(2)`, `shmat(2)`, `shmdt(2)` and `shmctl(2)`.

#![allow(unsafe_code)]

use core::ffi::{c_int, c_void};

use sysv_engine::abi::{
    IPC_INFO, IPC_RMID, IPC_SET, IPC_STAT, SHM_INFO, SHM_LOCK, SHM_STAT, SHM_STAT_ANY, SHM_UNLOCK, ShmidDs,
};
use sysv_engine::trace::Call;
use sysv_engine::{Errno, PermChange, Result, Segments, StatBy};

use crate::joined;
use crate::raw::{or_map_failed, or_minus_one};
use crate::structure::{give, take};
use crate::trace;

/// shmget(2).
///
/// # Safety
/// None: it takes no pointer.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shmget(key: libc::key_t, size: usize, flags: c_int) -> c_int {
    trace::call(Call::Shmget, [key as usize, size, flags as usize, 0, 0], || {
        or_minus_one(joined::facility().and_then(|facility| facility.shmget(key, size, flags)))
    })
}

/// shmat(2).
///
/// # Safety
/// With `SHM_REMAP`, whatever is mapped in the range is the caller's.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shmat(id: c_int, address: *const c_void, flags: c_int) -> *mut c_void {
    trace::call(
        Call::Shmat,
        [id as usize, address as usize, flags as usize, 0, 0],
        || {
            or_map_failed(joined::facility().and_then(|facility| {
                // SAFETY: the caller's promise.
                unsafe { facility.shmat(id, address as usize, flags) }.map(|address| address as usize)
            }))
        },
    )
}

/// shmdt(2).
///
/// # Safety
/// Nothing uses the attachment's memory afterwards.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shmdt(address: *const c_void) -> c_int {
    trace::call(Call::Shmdt, [address as usize, 0, 0, 0, 0], || {
        or_minus_one(joined::facility().and_then(|facility| {
            // SAFETY: the caller's promise.
            unsafe { facility.shmdt(address as usize) }.map(|()| 0)
        }))
    })
}

/// shmctl(2).
///
/// # Safety
/// `argument` is what the command wants; a bad pointer is `EFAULT`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shmctl(id: c_int, command: c_int, argument: *mut c_void) -> c_int {
    trace::call(
        Call::Shmctl,
        [id as usize, command as usize, argument as usize, 0, 0],
        || {
            // SAFETY: the caller's promise.
            or_minus_one(unsafe { control(id, command, argument as usize) })
        },
    )
}

/// # Safety
/// As [`shmctl`].
unsafe fn control(id: c_int, command: c_int, argument: usize) -> Result<c_int> {
    let facility = joined::facility()?;
    if id < 0 || command < 0 {
        return Err(Errno::EINVAL);
    }
    match command {
        IPC_STAT | SHM_STAT | SHM_STAT_ANY => {
            let by = match command {
                IPC_STAT => StatBy::Id,
                SHM_STAT => StatBy::Index,
                _ => StatBy::IndexAny,
            };
            let (found, ds) = facility.shm_stat(id, by)?;
            // SAFETY: the caller passed the address of a `shmid_ds`.
            unsafe { give(argument, &ds) }?;
            Ok(if by == StatBy::Id { 0 } else { found })
        }
        IPC_SET => {
            let ShmidDs { perm, .. } = take(argument)?;
            facility.shm_set(
                id,
                PermChange {
                    uid: perm.uid,
                    gid: perm.gid,
                    mode: perm.mode,
                },
            )?;
            Ok(0)
        }
        IPC_RMID => facility.shm_remove(id).map(|()| 0),
        SHM_LOCK | SHM_UNLOCK => facility.shm_lock(id, command == SHM_LOCK).map(|()| 0),
        IPC_INFO => {
            let (highest, limits) = facility.shm_limits()?;
            // SAFETY: the caller passed the address of a `shminfo`.
            unsafe { give(argument, &limits) }?;
            Ok(highest)
        }
        SHM_INFO => {
            let (highest, usage) = facility.shm_usage()?;
            // SAFETY: the caller passed the address of a `shm_info`.
            unsafe { give(argument, &usage) }?;
            Ok(highest)
        }
        _ => Err(Errno::EINVAL),
    }
}
