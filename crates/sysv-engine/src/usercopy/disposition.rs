//! What the program wants done about `SIGSEGV` and `SIGBUS`, and what the kernel has been told instead.
//!
//! Until the first copy nothing is ours: [`change`] hands the program's wishes to the kernel. From [`install`] on
//! the kernel has our handler and the program's action is kept here, except that an ignored signal stays ignored
//! at the kernel, so that `execve` passes it on.

#![allow(unsafe_code)]

use core::sync::atomic::Ordering::{AcqRel, Acquire, Relaxed, Release};
use core::sync::atomic::{AtomicPtr, AtomicU32, AtomicU64, AtomicUsize, fence};
use core::time::Duration;

use super::{BY_KERNEL, HANDLED, MASKS_SEEN, PROTECTION, SIGNAL_BITS, SIGNALS, fault};
use crate::abi::PAGE_SIZE;
use crate::sys::{self, syscall};

pub(super) const SIG_DFL: usize = libc::SIG_DFL;
pub(super) const SIG_IGN: usize = libc::SIG_IGN;
/// The kernel's flag, absent from the C library's headers on x86-64, that `restorer` is valid.
pub(super) const SA_RESTORER: u64 = 0x0400_0000;
/// The flags that the kernel keeps; it clears what it does not know.
const KNOWN_FLAGS: u64 = (libc::SA_NOCLDSTOP
    | libc::SA_NOCLDWAIT
    | libc::SA_SIGINFO
    | libc::SA_ONSTACK
    | libc::SA_RESTART
    | libc::SA_NODEFER) as u64
    | libc::SA_RESETHAND as u32 as u64
    | SA_RESTORER
    | 0x800; // SA_EXPOSE_TAGBITS
/// Signals that no mask holds.
const UNBLOCKABLE: u64 = 1 << (libc::SIGKILL - 1) | 1 << (libc::SIGSTOP - 1);

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
            restorer: fault::return_address(),
            mask: mask & !UNBLOCKABLE,
        }
    }

    fn is_ours(&self) -> bool {
        self.handler == fault::on_fault as *const () as usize
    }
}

/// The program's action for one signal.
///
/// The handler reads it at any moment, and a forked child may have been copied in the middle of a change, so no
/// state of it may stop a reader: the slot `version % 2` is valid, the other one is written, then `version` moves.
struct Wish {
    version: AtomicUsize,
    slots: [[AtomicU64; 4]; 2],
}

static WISHES: [Wish; SIGNALS.len()] = [const {
    Wish {
        version: AtomicUsize::new(0),
        slots: [const { [const { AtomicU64::new(0) }; 4] }; 2],
    }
}; 2];

impl Wish {
    fn of(signal: i32) -> &'static Wish {
        &WISHES[usize::from(signal == SIGNALS[1])]
    }

    fn get(&self) -> Action {
        loop {
            let version = self.version.load(Acquire);
            let [handler, flags, restorer, mask] = self.slots[version % 2].each_ref().map(|word| word.load(Relaxed));
            fence(Acquire);
            if self.version.load(Relaxed) == version {
                return Action {
                    handler: handler as usize,
                    flags,
                    restorer: restorer as usize,
                    mask,
                };
            }
        }
    }

    /// The guard proves that nobody else writes.
    fn set(&self, action: &Action, _: &Guard) {
        let version = self.version.load(Relaxed).wrapping_add(1);
        let words = [action.handler as u64, action.flags, action.restorer as u64, action.mask];
        for (word, value) in self.slots[version % 2].iter().zip(words) {
            word.store(value, Relaxed);
        }
        self.version.store(version, Release);
    }
}

/// The id of the process whose memory this is, on a page that reads zero in a forked child.
///
/// A `vfork` child runs in its parent's memory with signal actions of its own: it must not touch the parent's
/// wishes, and is known by an id that differs from the page's.
static MEMORY_OWNER: AtomicPtr<AtomicU32> = AtomicPtr::new(core::ptr::null_mut());

/// Whether this process is a guest in another's memory.
fn is_guest() -> bool {
    let page = MEMORY_OWNER.load(Acquire);
    if page.is_null() {
        return false;
    }
    // SAFETY: the page is never unmapped.
    let owner = unsafe { &*page };
    let me = sys::getpid();
    match owner.compare_exchange(0, me, AcqRel, Acquire) {
        Ok(_) => false,
        Err(owner) => owner != me,
    }
}

/// Makes the page; false if it cannot be had.
fn mark_memory(_: &Guard) -> bool {
    if !MEMORY_OWNER.load(Acquire).is_null() {
        return true;
    }
    let Ok(page) = sys::map_anonymous(PAGE_SIZE) else {
        return false;
    };
    if sys::madvise_fork(page, PAGE_SIZE, libc::MADV_WIPEONFORK).is_err() {
        // SAFETY: the page was mapped above and nobody knows it.
        let _ = unsafe { sys::munmap(page, PAGE_SIZE) };
        return false;
    }
    let page = page as *mut AtomicU32;
    // SAFETY: a fresh page, aligned and zeroed.
    unsafe { &*page }.store(sys::getpid(), Relaxed);
    MEMORY_OWNER.store(page, Release);
    true
}

/// To be called in a child that has a copy of its parent's memory, before it makes children of its own.
pub fn after_fork_in_child() {
    let page = MEMORY_OWNER.load(Acquire);
    if !page.is_null() {
        // SAFETY: the page is never unmapped.
        unsafe { &*page }.store(sys::getpid(), Relaxed);
    }
}

/// To be called in a child made with `CLONE_CLEAR_SIGHAND`: the kernel has dropped every handler.
pub fn handlers_cleared() {
    PROTECTION.fetch_and(MASKS_SEEN, AcqRel);
}

/// The lock on both wishes and on the kernel's actions for them: 0, or the holder's process id.
///
/// The id, because a child may be forked while a thread that it does not have holds the lock: a foreign id is
/// nobody's. Nothing protected by it needs repair after that.
static LOCK: AtomicU32 = AtomicU32::new(0);

/// The lock, held, with every signal blocked: a handler that changes an action would wait for itself.
struct Guard {
    mask: u64,
}

impl Guard {
    fn take() -> Guard {
        let all = u64::MAX;
        let mut mask = 0u64;
        // SAFETY: eight bytes are read and eight written.
        let _ = unsafe {
            syscall!(
                SYS_rt_sigprocmask,
                libc::SIG_BLOCK,
                &raw const all,
                &raw mut mask,
                size_of::<u64>()
            )
        };
        let me = sys::getpid();
        let mut free = 0;
        while let Err(holder) = LOCK.compare_exchange(free, me, Acquire, Relaxed) {
            if holder == me {
                sys::futex_wait(&LOCK, me, Duration::from_millis(100));
                free = 0;
            } else {
                free = holder;
            }
        }
        Guard { mask }
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        LOCK.store(0, Release);
        sys::futex_wake(&LOCK, 1);
        // SAFETY: eight bytes are read.
        let _ = unsafe {
            syscall!(
                SYS_rt_sigprocmask,
                libc::SIG_SETMASK,
                &raw const self.mask,
                0,
                size_of::<u64>()
            )
        };
    }
}

/// Asks for the kernel's action, and gives it a new one.
fn kernel_action(signal: i32, new: Option<&Action>) -> Action {
    let mut old = Action::default();
    let new = new.map_or(core::ptr::null(), core::ptr::from_ref);
    // SAFETY: the kernel reads one structure and writes the other; the handler is the program's or `on_fault`,
    // which serve for as long as the process lives.
    let _ = unsafe { syscall!(SYS_rt_sigaction, signal, new, &raw mut old, size_of::<u64>()) };
    old
}

/// Puts our handler in place, as far as the program's actions allow, and returns the new state.
#[cold]
pub(super) fn install() -> u32 {
    if is_guest() {
        return BY_KERNEL;
    }
    let guard = Guard::take();
    if guard.mask & SIGNAL_BITS != 0 {
        super::masks_seen();
    }
    if PROTECTION.load(Relaxed) & (HANDLED | BY_KERNEL) == 0 {
        let marked = mark_memory(&guard);
        enter(if marked { take_over_both(&guard) } else { BY_KERNEL });
    }
    PROTECTION.load(Relaxed)
}

/// Makes `state` (`HANDLED` or `BY_KERNEL`) the state; `MASKS_SEEN` stays as it is.
fn enter(state: u32) {
    let _ = PROTECTION.fetch_update(AcqRel, Relaxed, |old| Some(old & MASKS_SEEN | state));
}

/// The state after our handler has been put in place wherever the program's actions allow it.
fn take_over_both(guard: &Guard) -> u32 {
    let taken = SIGNALS.map(|signal| take_over(signal, guard));
    if taken == [true; 2] { HANDLED } else { BY_KERNEL }
}

/// Replaces the kernel's action by ours; false if the program ignores the signal.
fn take_over(signal: i32, guard: &Guard) -> bool {
    let mut current = kernel_action(signal, None);
    // In a program whose `sigaction` is not ours, another thread may change the action in between.
    loop {
        if current.is_ours() {
            return true;
        }
        if current.handler == SIG_IGN {
            return false;
        }
        Wish::of(signal).set(&current, guard);
        let replaced = kernel_action(signal, Some(&fault::action_for(&current)));
        if replaced == current || replaced.is_ours() {
            return true;
        }
        if replaced.handler == SIG_IGN {
            kernel_action(signal, Some(&replaced));
        }
        current = replaced;
    }
}

/// What `sigaction(2)` does for one of [`SIGNALS`]: returns the action in force for the program, after putting
/// `new` in its place.
pub fn change(signal: i32, new: Option<&Action>) -> Action {
    debug_assert!(SIGNALS.contains(&signal));
    let wish = Wish::of(signal);
    if is_guest() {
        let current = kernel_action(signal, new);
        return if current.is_ours() { wish.get() } else { current };
    }
    let guard = Guard::take();
    let was_wished = wish.get();
    let handling = PROTECTION.load(Relaxed) & (HANDLED | BY_KERNEL) != 0 && !MEMORY_OWNER.load(Relaxed).is_null();
    let replaced = match new {
        Some(new) if handling => {
            // The wish comes first, so that the handler never runs on the old one after the kernel's change.
            wish.set(new, &guard);
            if new.handler == SIG_IGN {
                enter(BY_KERNEL);
                kernel_action(signal, Some(new))
            } else {
                let replaced = kernel_action(signal, Some(&fault::action_for(new)));
                enter(take_over_both(&guard));
                replaced
            }
        }
        _ => kernel_action(signal, new),
    };
    if replaced.is_ours() { was_wished } else { replaced }
}

/// The program's action for a signal that has arrived; carries out `SA_RESETHAND`.
pub(super) fn about_to_run(signal: i32) -> Action {
    let wish = Wish::of(signal);
    let action = wish.get();
    if action.flags & libc::SA_RESETHAND as u32 as u64 != 0
        && !matches!(action.handler, SIG_DFL | SIG_IGN)
        && !is_guest()
    {
        let guard = Guard::take();
        // Another thread's signal may have reset it meanwhile; the kernel lets both run, too.
        if wish.get() == action {
            let reset = Action {
                handler: SIG_DFL,
                ..action
            };
            wish.set(&reset, &guard);
            kernel_action(signal, Some(&fault::action_for(&reset)));
        }
    }
    action
}

/// Leaves the signal to the kernel's default, of which the process dies.
pub(super) fn give_up(signal: i32) {
    // Should it live on (it may be a pid namespace's first process, or held by a debugger), the next copy installs
    // the handler again.
    PROTECTION.fetch_and(MASKS_SEEN, AcqRel);
    kernel_action(signal, Some(&Action::default()));
}
