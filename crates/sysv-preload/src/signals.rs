//! The functions that set a signal's action.
//!
//! Once the engine stands in front of the program's handlers, they change what the program believes to be in force
//! ([`signals::change`]). Until then they go to the next definition, but for `SIGSEGV` and `SIGBUS`, in front of whose
//! handlers the engine may come to stand earlier.

#![allow(unsafe_code)]

use core::ffi::c_int;
use core::sync::atomic::AtomicU64;
use core::sync::atomic::Ordering::Relaxed;

use libc::{SIG_ERR, SIG_IGN, sighandler_t};
use sysv_engine::signals::{self, Action};
use sysv_engine::{Errno, Result, usercopy};

use crate::masks;
use crate::next::next;
use crate::raw::{self, or_minus_one, syscall};

/// `sigset(3)`: block the signal.
const SIG_HOLD: sighandler_t = 2;

/// Whether the signal's action is the engine's to change.
fn is_kept(signal: c_int) -> bool {
    signals::FAULTS.contains(&signal) || signals::all_are_ours()
}

/// Calls `next`, which sets an action past the engine.
fn past_the_engine<R>(signal: c_int, next: impl FnOnce() -> R) -> R {
    let returned = next();
    // Meanwhile the engine may have come to stand in front of all handlers, and missed this one.
    if signals::all_are_ours() {
        signals::take_late(signal);
    }
    returned
}

/// sigaction(2).
///
/// # Safety
/// As sigaction(2).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sigaction(signal: c_int, new: *const libc::sigaction, old: *mut libc::sigaction) -> c_int {
    // SAFETY: the caller's promise: null or a structure.
    let asked = (!new.is_null()).then(|| unsafe {
        let mask = masks::bits(&raw const (*new).sa_mask);
        Action::new((*new).sa_sigaction, (*new).sa_flags, mask)
    });
    if !is_kept(signal) {
        if let Some(asked) = &asked {
            masks::watch(asked.mask);
        }
        if let Some(next) = next!(fn sigaction(c_int, *const libc::sigaction, *mut libc::sigaction) -> c_int) {
            // SAFETY: the caller's promise.
            return past_the_engine(signal, || unsafe { next(signal, new, old) });
        }
    }
    let done = signals::change(signal, asked.as_ref()).map(|action| {
        if !old.is_null() {
            // SAFETY: the caller's promise. Of the mask, only the part that the kernel knows is written.
            unsafe {
                (*old).sa_sigaction = action.handler;
                (*old).sa_flags = action.flags as c_int;
                (*old).sa_restorer = core::mem::transmute::<usize, Option<extern "C" fn()>>(action.restorer);
                (&raw mut (*old).sa_mask).cast::<u64>().write_unaligned(action.mask);
            }
        }
        0
    });
    or_minus_one(done)
}

/// sigaction(2) by its other name.
///
/// # Safety
/// As sigaction(2).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn __sigaction(signal: c_int, new: *const libc::sigaction, old: *mut libc::sigaction) -> c_int {
    // SAFETY: the caller's promise.
    unsafe { sigaction(signal, new, old) }
}

/// The signals for which `siginterrupt(3)` was asked to let system calls be interrupted, which the next `signal(2)`
/// heeds.
static INTERRUPTING: AtomicU64 = AtomicU64::new(0);

fn bit(signal: c_int) -> u64 {
    1 << (signal - 1)
}

/// Sets a handler, with flags and mask; returns the old one.
fn set_handler(signal: c_int, handler: sighandler_t, flags: c_int, mask: u64) -> sighandler_t {
    if handler == SIG_ERR || !(1..=64).contains(&signal) {
        raw::set_errno(Errno::EINVAL);
        return SIG_ERR;
    }
    match signals::change(signal, Some(&Action::new(handler, flags, mask))) {
        Ok(old) => old.handler,
        Err(errno) => {
            raw::set_errno(errno);
            SIG_ERR
        }
    }
}

/// `signal(2)` as BSD has it.
fn bsd_signal_here(signal: c_int, handler: sighandler_t) -> sighandler_t {
    let restart = !(1..=64).contains(&signal) || INTERRUPTING.load(Relaxed) & bit(signal) == 0;
    let mask = if (1..=64).contains(&signal) { bit(signal) } else { 0 };
    set_handler(signal, handler, if restart { libc::SA_RESTART } else { 0 }, mask)
}

/// signal(2).
///
/// # Safety
/// As signal(2).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn signal(signal: c_int, handler: sighandler_t) -> sighandler_t {
    match next!(fn signal(c_int, sighandler_t) -> sighandler_t) {
        // SAFETY: the caller's promise.
        Some(next) if !is_kept(signal) => past_the_engine(signal, || unsafe { next(signal, handler) }),
        _ => bsd_signal_here(signal, handler),
    }
}

/// signal(2) by the name that says which it is.
///
/// # Safety
/// As signal(2).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn bsd_signal(signal: c_int, handler: sighandler_t) -> sighandler_t {
    // SAFETY: the caller's promise.
    unsafe { self::signal(signal, handler) }
}

/// signal(2) by its oldest other name.
///
/// # Safety
/// As signal(2).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ssignal(signal: c_int, handler: sighandler_t) -> sighandler_t {
    // SAFETY: the caller's promise.
    unsafe { self::signal(signal, handler) }
}

/// `signal(2)` as System V had it: the handler runs once, and may interrupt itself.
///
/// # Safety
/// As sysv_signal(3).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn __sysv_signal(signal: c_int, handler: sighandler_t) -> sighandler_t {
    match next!(fn __sysv_signal(c_int, sighandler_t) -> sighandler_t) {
        // SAFETY: the caller's promise.
        Some(next) if !is_kept(signal) => past_the_engine(signal, || unsafe { next(signal, handler) }),
        _ => set_handler(signal, handler, libc::SA_RESETHAND | libc::SA_NODEFER, 0),
    }
}

/// The same by its other name.
///
/// # Safety
/// As sysv_signal(3).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sysv_signal(signal: c_int, handler: sighandler_t) -> sighandler_t {
    // SAFETY: the caller's promise.
    unsafe { __sysv_signal(signal, handler) }
}

/// siginterrupt(3).
///
/// # Safety
/// As siginterrupt(3).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn siginterrupt(signal: c_int, interrupt: c_int) -> c_int {
    if !(1..=64).contains(&signal) {
        return or_minus_one(Err(Errno::EINVAL));
    }
    // Kept here as well as by the C library, whose own `signal` may be called as long as ours passes on.
    if interrupt != 0 {
        INTERRUPTING.fetch_or(bit(signal), Relaxed);
    } else {
        INTERRUPTING.fetch_and(!bit(signal), Relaxed);
    }
    if let Some(next) = next!(fn siginterrupt(c_int, c_int) -> c_int)
        && !is_kept(signal)
    {
        // SAFETY: the caller's promise.
        return past_the_engine(signal, || unsafe { next(signal, interrupt) });
    }
    or_minus_one(signals::change(signal, None).and_then(|mut action| {
        let restart = libc::SA_RESTART as u64;
        action.flags = if interrupt != 0 {
            action.flags & !restart
        } else {
            action.flags | restart
        };
        signals::change(signal, Some(&action)).map(|_| 0)
    }))
}

/// sigignore(3).
///
/// # Safety
/// None.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sigignore(signal: c_int) -> c_int {
    or_minus_one(signals::change(signal, Some(&Action::new(SIG_IGN, 0, 0))).map(|_| 0))
}

/// sigset(3).
///
/// # Safety
/// As sigset(3).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sigset(signal: c_int, handler: sighandler_t) -> sighandler_t {
    if let Some(next) = next!(fn sigset(c_int, sighandler_t) -> sighandler_t)
        && !is_kept(signal)
    {
        // SAFETY: the caller's promise.
        return past_the_engine(signal, || unsafe { next(signal, handler) });
    }
    if handler == SIG_ERR || !(1..=64).contains(&signal) {
        raw::set_errno(Errno::EINVAL);
        return SIG_ERR;
    }
    let this = masks::set_of(bit(signal));
    let mut before = masks::set_of(0);
    let hold = handler == SIG_HOLD;
    let how = if hold { libc::SIG_BLOCK } else { libc::SIG_UNBLOCK };
    let changed = signals::change(signal, (!hold).then(|| Action::new(handler, 0, 0)).as_ref());
    // SAFETY: both are sets.
    let masked = unsafe { masks::sigprocmask(how, &raw const this, &raw mut before) };
    match changed {
        Ok(_) if masked != 0 => SIG_ERR,
        // SAFETY: filled by the call.
        Ok(_) if unsafe { masks::bits(&raw const before) } & bit(signal) != 0 => SIG_HOLD,
        Ok(old) => old.handler,
        Err(errno) => {
            raw::set_errno(errno);
            SIG_ERR
        }
    }
}

/// `syscall(SYS_rt_sigaction, …)`.
///
/// # Safety
/// As rt_sigaction(2).
pub(crate) unsafe fn rt_sigaction(signal: c_int, new: usize, old: usize, size: usize) -> Result<usize> {
    let direct = || {
        // SAFETY: the caller's promise.
        unsafe { syscall!(SYS_rt_sigaction, signal, new, old, size) }
    };
    if !is_kept(signal) || size != size_of::<u64>() {
        return past_the_engine(signal, direct);
    }
    let mut asked = Action::default();
    if new != 0 {
        // SAFETY: any bytes are an action.
        unsafe { usercopy::copy_in((&raw mut asked).cast(), new, size_of::<Action>()) }?;
        masks::watch(asked.mask);
    }
    let was = match signals::change(signal, (new != 0).then_some(&asked)) {
        Ok(was) => was,
        // Among what the engine leaves alone are the signals of the C library, which is not the caller here.
        Err(_) => return direct(),
    };
    if old != 0 {
        // SAFETY: the caller passed the address of such a structure.
        unsafe { usercopy::copy_out(old, (&raw const was).cast(), size_of::<Action>()) }?;
    }
    Ok(0)
}

/// `syscall(SYS_rt_sigprocmask, …)`.
///
/// # Safety
/// As rt_sigprocmask(2).
pub(crate) unsafe fn rt_sigprocmask(how: c_int, new: usize, old: usize, size: usize) -> Result<usize> {
    if new != 0 && how != libc::SIG_UNBLOCK {
        // Whichever it blocks: they are not worth reading.
        signals::masks_seen();
    }
    // SAFETY: the caller's promise.
    unsafe { syscall!(SYS_rt_sigprocmask, how, new, old, size) }
}
