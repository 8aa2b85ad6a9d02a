//! The functions that block signals, watched for `SIGSEGV` and `SIGBUS`.
//!
//! A thread that has one of them blocked is killed by the fault of a bad pointer, instead of getting `EFAULT`. Programs
//! that block them at all are few (those that block everything in their worker threads), and only they pay for asking
//! which thread does: [`signals::masks_seen`].
//!
//! Not watched: masks that are put in force by `ucontext` functions or for the time of a `ppoll(2)`.

#![allow(unsafe_code)]

use core::ffi::{c_int, c_ulong};

use libc::sigset_t;
use sysv_engine::{Errno, Result, signals};

use crate::next::next;
use crate::raw::{or_minus_one, syscall};

/// The signals of the C library's threads, which no program's mask may hold.
const RESERVED: u64 = 1 << (32 - 1) | 1 << (33 - 1);

/// The part of a `sigset_t` that the kernel knows.
///
/// # Safety
/// `set` points to a set.
pub(crate) unsafe fn bits(set: *const sigset_t) -> u64 {
    // SAFETY: the caller's promise; a set begins with these eight bytes.
    unsafe { set.cast::<u64>().read_unaligned() }
}

/// Takes note of a mask that is about to be in force.
pub(crate) fn watch(mask: u64) {
    if mask & signals::FAULT_BITS != 0 {
        signals::masks_seen();
    }
}

/// # Safety
/// `set` is null or points to a set.
unsafe fn watch_change(how: c_int, set: *const sigset_t) {
    if !set.is_null() && how != libc::SIG_UNBLOCK {
        // SAFETY: the caller's promise.
        watch(unsafe { bits(set) });
    }
}

/// Changes this thread's mask where the C library has no function of that name for us.
///
/// # Safety
/// Both are null or point to sets.
pub(crate) unsafe fn change(how: c_int, set: *const sigset_t, old: *mut sigset_t) -> Result<()> {
    // SAFETY: the caller's promise.
    let new = (!set.is_null()).then(|| unsafe { bits(set) } & !RESERVED);
    let new = new.as_ref().map_or(core::ptr::null(), core::ptr::from_ref);
    // SAFETY: eight bytes are read and eight written.
    unsafe { syscall!(SYS_rt_sigprocmask, how, new, old, 8) }.map(drop)
}

/// sigprocmask(2).
///
/// # Safety
/// As sigprocmask(2).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sigprocmask(how: c_int, set: *const sigset_t, old: *mut sigset_t) -> c_int {
    // SAFETY: the caller's promise, in all three.
    unsafe {
        watch_change(how, set);
        match next!(fn sigprocmask(c_int, *const sigset_t, *mut sigset_t) -> c_int) {
            Some(next) => next(how, set, old),
            None => or_minus_one(change(how, set, old).map(|()| 0)),
        }
    }
}

/// pthread_sigmask(3).
///
/// # Safety
/// As pthread_sigmask(3).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pthread_sigmask(how: c_int, set: *const sigset_t, old: *mut sigset_t) -> c_int {
    // SAFETY: the caller's promise, in all three.
    unsafe {
        watch_change(how, set);
        match next!(fn pthread_sigmask(c_int, *const sigset_t, *mut sigset_t) -> c_int) {
            Some(next) => next(how, set, old),
            None => change(how, set, old).map_or_else(Errno::raw, |()| 0),
        }
    }
}

/// pthread_attr_setsigmask_np(3): the mask of a thread to be.
///
/// # Safety
/// As pthread_attr_setsigmask_np(3).
#[cfg(feature = "interpose")]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pthread_attr_setsigmask_np(
    attributes: *mut libc::pthread_attr_t,
    set: *const sigset_t,
) -> c_int {
    // SAFETY: the caller's promise, in both.
    unsafe {
        watch_change(libc::SIG_SETMASK, set);
        match next!(fn pthread_attr_setsigmask_np(*mut libc::pthread_attr_t, *const sigset_t) -> c_int) {
            Some(next) => next(attributes, set),
            None => libc::ENOSYS,
        }
    }
}

/// sigblock(3), of BSD: 32 signals in an `int`.
///
/// # Safety
/// None.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sigblock(mask: c_int) -> c_int {
    bsd_change(libc::SIG_BLOCK, mask)
}

/// sigsetmask(3), of BSD.
///
/// # Safety
/// None.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sigsetmask(mask: c_int) -> c_int {
    bsd_change(libc::SIG_SETMASK, mask)
}

fn bsd_change(how: c_int, mask: c_int) -> c_int {
    let (set, mut old) = (set_of(mask as u32 as u64), set_of(0));
    // SAFETY: both are sets.
    unsafe { sigprocmask(how, &raw const set, &raw mut old) };
    // SAFETY: filled by the call.
    unsafe { bits(&raw const old) as c_int }
}

/// sighold(3), of System V.
///
/// # Safety
/// None.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sighold(signal: c_int) -> c_int {
    if !(1..=64).contains(&signal) {
        return or_minus_one(Err(Errno::EINVAL));
    }
    let set = set_of(1 << (signal - 1));
    // SAFETY: a set.
    unsafe { sigprocmask(libc::SIG_BLOCK, &raw const set, core::ptr::null_mut()) }
}

/// A set of the signals whose bits are given.
pub(crate) fn set_of(bits: u64) -> sigset_t {
    let words: [c_ulong; size_of::<sigset_t>() / size_of::<c_ulong>()] =
        core::array::from_fn(|word| if word == 0 { bits } else { 0 });
    // SAFETY: a set is that many words.
    unsafe { core::mem::transmute(words) }
}
