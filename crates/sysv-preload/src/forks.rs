//! Children that are not made by `fork(3)`: the engine has that one announced by `pthread_atfork(3)`.
//!
//! A child that shares its parent's memory (`vfork`, `CLONE_VM`) is not the facility's business: whatever it maps or
//! unmaps, it does in its parent's place.

#![allow(unsafe_code)]

use core::ffi::c_int;
#[cfg(feature = "interpose")]
use core::ffi::c_void;

use sysv_engine::process;

/// Runs `make_child`, which returns 0 in a child that has a copy of this process's memory.
pub(crate) fn around(make_child: impl FnOnce() -> c_int) -> c_int {
    process::before_fork();
    let made = make_child();
    if made == 0 {
        process::after_fork_in_child();
    } else {
        process::after_fork_in_parent();
    }
    made
}

/// `_Fork(3)`: `fork` without the handlers of `pthread_atfork`.
///
/// # Safety
/// As _Fork(3).
#[cfg(feature = "interpose")]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn _Fork() -> libc::pid_t {
    match crate::next::next!(fn _Fork() -> libc::pid_t) {
        // SAFETY: the caller's promise.
        Some(next) => around(|| unsafe { next() }),
        None => crate::raw::or_minus_one(Err(sysv_engine::Errno::ENOSYS)),
    }
}

/// What `clone(2)` was asked to run in the child.
#[cfg(feature = "interpose")]
struct Start {
    function: extern "C" fn(*mut c_void) -> c_int,
    argument: *mut c_void,
}

#[cfg(feature = "interpose")]
extern "C" fn start(start: *mut c_void) -> c_int {
    process::after_fork_in_child();
    // SAFETY: the child has a copy of the parent's stack, where `clone` keeps it, and runs on another one.
    let Start { function, argument } = unsafe { start.cast::<Start>().read() };
    function(argument)
}

/// The C library's `clone(2)`. It declares the last three arguments as optional; they travel in the same places.
///
/// # Safety
/// As clone(2).
#[cfg(feature = "interpose")]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn clone(
    function: Option<extern "C" fn(*mut c_void) -> c_int>,
    stack: *mut c_void,
    flags: c_int,
    argument: *mut c_void,
    parent_tid: *mut libc::pid_t,
    tls: *mut c_void,
    child_tid: *mut libc::pid_t,
) -> c_int {
    type Function = extern "C" fn(*mut c_void) -> c_int;
    let next = crate::next::next!(fn clone(Option<Function>, *mut c_void, c_int, *mut c_void, ...) -> c_int);
    let Some(next) = next else {
        return crate::raw::or_minus_one(Err(sysv_engine::Errno::ENOSYS));
    };
    match function {
        Some(function) if flags & libc::CLONE_VM == 0 && !stack.is_null() => {
            let mut wrapped = Start { function, argument };
            let wrapped = (&raw mut wrapped).cast();
            process::before_fork();
            // SAFETY: the caller's promise; `start` finds what it needs in the child's copy of this frame.
            let child = unsafe { next(Some(start), stack, flags, wrapped, parent_tid, tls, child_tid) };
            process::after_fork_in_parent();
            child
        }
        // SAFETY: the caller's promise.
        _ => unsafe { next(function, stack, flags, argument, parent_tid, tls, child_tid) },
    }
}

/// `clone(2)` by its other name.
///
/// # Safety
/// As clone(2).
#[cfg(feature = "interpose")]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn __clone(
    function: Option<extern "C" fn(*mut c_void) -> c_int>,
    stack: *mut c_void,
    flags: c_int,
    argument: *mut c_void,
    parent_tid: *mut libc::pid_t,
    tls: *mut c_void,
    child_tid: *mut libc::pid_t,
) -> c_int {
    // SAFETY: the caller's promise.
    unsafe { clone(function, stack, flags, argument, parent_tid, tls, child_tid) }
}
