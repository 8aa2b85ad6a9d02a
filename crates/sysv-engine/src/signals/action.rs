//! Signal actions: the program's and the kernel's.

#![allow(unsafe_code)]

use core::sync::atomic::Ordering::{AcqRel, Relaxed};

use super::guest::{is_guest, mark_memory, memory_is_marked};
use super::lock::Guard;
use super::wish::Wish;
use super::{
    ALL_OURS, DECIDED, FAULT_BITS, FAULTS, FAULTS_NOT_OURS, FAULTS_OURS, Protection, STATE, decide_faults, handler,
    masks_seen,
};
use crate::critical;
use crate::sys::syscall;

pub(super) const SIG_DFL: usize = libc::SIG_DFL;
pub(super) const SIG_IGN: usize = libc::SIG_IGN;
pub(super) const SA_RESETHAND: u64 = libc::SA_RESETHAND as u32 as u64;
/// The kernel's flag, absent from the C library's headers on x86-64, that `restorer` is valid.
const SA_RESTORER: u64 = 0x0400_0000;
/// The kernel's flag, absent from the C library's headers, that unknown address bits are wanted.
const SA_EXPOSE_TAGBITS: u64 = 0x800;
/// The flags that the kernel keeps; it clears what it does not know.
const KNOWN_FLAGS: u64 = (libc::SA_NOCLDSTOP
    | libc::SA_NOCLDWAIT
    | libc::SA_SIGINFO
    | libc::SA_ONSTACK
    | libc::SA_RESTART
    | libc::SA_NODEFER) as u64
    | SA_RESETHAND
    | SA_RESTORER
    | SA_EXPOSE_TAGBITS;
/// Signals that no mask holds.
const UNBLOCKABLE: u64 = 1 << (libc::SIGKILL - 1) | 1 << (libc::SIGSTOP - 1);
/// The signals of the C library's threads, whose handlers are its own.
const RESERVED: [i32; 2] = [32, 33];

/// A signal's action in the kernel's layout (`struct kernel_sigaction`).
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Action {
    /// `SIG_DFL`, `SIG_IGN` or a function.
    pub handler: usize,
    /// `SA_*`.
    pub flags: u64,
    /// Where the handler returns to.
    pub restorer: usize,
    /// What is blocked while it runs.
    pub mask: u64,
}

impl Action {
    /// An action as a C program states it: the way back from the handler is supplied here.
    pub fn new(handler: usize, flags: i32, mask: u64) -> Action {
        let flags = flags as u32 as u64 & KNOWN_FLAGS | SA_RESTORER;
        Action {
            handler,
            flags,
            restorer: handler::return_address(),
            mask: mask & !UNBLOCKABLE,
        }
    }

    /// Whether the program has a function of its own to be called.
    pub(super) fn is_function(&self) -> bool {
        !matches!(self.handler, SIG_DFL | SIG_IGN)
    }

    fn is_ours(&self) -> bool {
        self.handler == handler::address()
    }

    /// The action to give the kernel so that the signal reaches our handler in the circumstances that the program chose
    /// for its own.
    fn through_ours(&self) -> Action {
        let (flags, mask) = if self.is_function() {
            // SA_RESETHAND is ours to carry out: the kernel would take our handler away with the program's.
            (self.flags & !SA_RESETHAND, self.mask)
        } else {
            // Nothing of the program will run, so that the alternate stack, if there is one, may serve: a stack overflow
            // then comes through as well.
            (libc::SA_ONSTACK as u64, 0)
        };
        Action {
            handler: handler::address(),
            flags: flags | libc::SA_SIGINFO as u64 | SA_RESTORER,
            restorer: handler::return_address(),
            mask,
        }
    }
}

fn is_fault(signal: i32) -> bool {
    FAULTS.contains(&signal)
}

/// Asks for the kernel's action, and gives it a new one.
///
/// Fails for signals that do not exist or have no action, and then changes nothing.
fn kernel_action(signal: i32, new: Option<&Action>) -> crate::Result<Action> {
    let mut old = Action::default();
    let new = new.map_or(core::ptr::null(), core::ptr::from_ref);
    // SAFETY: the kernel reads one structure and writes the other; the function is the program's or ours, which serve for
    // as long as the process lives.
    unsafe { syscall!(SYS_rt_sigaction, signal, new, &raw mut old, size_of::<u64>()) }.map(|_| old)
}

/// Takes the faults, as far as the program's actions allow it.
#[cold]
pub(crate) fn take_faults() -> Protection {
    if !is_guest() {
        let guard = Guard::take();
        if Protection::now().is_undecided() {
            take_faults_locked(&guard);
        }
    }
    Protection::now()
}

fn take_faults_locked(guard: &Guard) {
    if guard.mask & FAULT_BITS != 0 {
        masks_seen();
    }
    let taken = mark_memory(guard) && FAULTS.map(|signal| take(signal, guard)) == [true; 2];
    decide_faults(if taken { FAULTS_OURS } else { FAULTS_NOT_OURS });
}

/// Puts our handler in front of every handler that the program has, has had set from now on by [`change`], and tells the
/// critical sections that they may rely on it.
///
/// To be called by a C ABI that interposes every function by which a program sets a handler.
pub fn take_all() {
    if is_guest() {
        return;
    }
    let guard = Guard::take();
    take_faults_locked(&guard);
    if !memory_is_marked() {
        return;
    }
    STATE.fetch_or(ALL_OURS, AcqRel);
    for signal in 1..=64 {
        take(signal, &guard);
    }
    critical::handlers_defer();
}

/// Takes a handler that was set past [`change`] while another thread called [`take_all`].
pub fn take_late(signal: i32) {
    if !is_guest() {
        take(signal, &Guard::take());
    }
}

/// Puts our handler in place of the action that the kernel has, unless there is nothing to be gained or the program ignores
/// the signal; returns whether it is ours then.
fn take(signal: i32, guard: &Guard) -> bool {
    if RESERVED.contains(&signal) {
        return false;
    }
    let Ok(mut current) = kernel_action(signal, None) else {
        return false;
    };
    // In a program whose `sigaction` is not ours, another thread may change the action in between.
    loop {
        if current.is_ours() {
            return true;
        }
        if current.handler == SIG_IGN || !current.is_function() && !is_fault(signal) {
            return false;
        }
        Wish::of(signal).set(&current, guard);
        let Ok(replaced) = kernel_action(signal, Some(&current.through_ours())) else {
            return false;
        };
        if replaced == current || replaced.is_ours() {
            return true;
        }
        if !replaced.is_function() {
            let _ = kernel_action(signal, Some(&replaced));
        }
        current = replaced;
    }
}

/// What `sigaction(2)` does: returns the action in force for the program, after putting `new` in its place.
///
/// # Errors
/// `EINVAL` for a signal that does not exist, has no action or is the C library's own.
pub fn change(signal: i32, new: Option<&Action>) -> crate::Result<Action> {
    if RESERVED.contains(&signal) || !(1..=64).contains(&signal) {
        return Err(crate::Errno::EINVAL);
    }
    let wish = Wish::of(signal);
    if is_guest() {
        let current = kernel_action(signal, new)?;
        return Ok(if current.is_ours() { wish.get() } else { current });
    }
    let guard = Guard::take();
    let wished = wish.get();
    let ours = memory_is_marked() && STATE.load(Relaxed) & if is_fault(signal) { DECIDED } else { ALL_OURS } != 0;
    let replaced = match new {
        Some(new) if ours => put(signal, new, &guard)?,
        _ => kernel_action(signal, new)?,
    };
    Ok(if replaced.is_ours() { wished } else { replaced })
}

/// Gives a signal that is ours a new action.
fn put(signal: i32, new: &Action, guard: &Guard) -> crate::Result<Action> {
    let through_ours = new.is_function() || new.handler == SIG_DFL && is_fault(signal);
    if !through_ours && is_fault(signal) {
        decide_faults(FAULTS_NOT_OURS);
    }
    let for_kernel = if through_ours { new.through_ours() } else { *new };
    // The wish comes first, so that our handler never runs on the old one after the kernel's change.
    let before = Wish::of(signal).get();
    Wish::of(signal).set(new, guard);
    let replaced = kernel_action(signal, Some(&for_kernel)).inspect_err(|_| Wish::of(signal).set(&before, guard))?;
    if through_ours && is_fault(signal) {
        take_faults_locked(guard);
    }
    Ok(replaced)
}

/// The program's action for a signal that has arrived in our handler; carries out `SA_RESETHAND`.
pub(super) fn about_to_run(signal: i32) -> Action {
    let wish = Wish::of(signal);
    let action = wish.get();
    if action.is_function() && action.flags & SA_RESETHAND != 0 && !is_guest() {
        let guard = Guard::take();
        // Another thread's signal may have reset it meanwhile; then both run, as they do on the kernel.
        if wish.get() == action {
            let _ = put(
                signal,
                &Action {
                    handler: SIG_DFL,
                    ..action
                },
                &guard,
            );
        }
    }
    action
}

/// Leaves a fault to the kernel's default, of which the process dies.
pub(super) fn give_up(signal: i32) {
    // Should it live on (a debugger may see to that), the next copy takes the faults again.
    decide_faults(0);
    let _ = kernel_action(signal, Some(&Action::default()));
}
