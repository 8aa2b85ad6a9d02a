//! A lock among the threads of one process, with signals blocked while it is held.
//!
//! Signals are blocked because a handler may call into the facility again, or `longjmp` away: in the middle of a
//! critical section the first would wait for itself and the second leave the lock held for ever. A registry's
//! lock, which other processes wait for, is only taken under this one.

#![allow(unsafe_code)]

use core::cell::UnsafeCell;
use core::ops::{Deref, DerefMut};
use core::sync::atomic::AtomicU32;
use core::sync::atomic::Ordering::{Acquire, Relaxed, Release};
use core::time::Duration;

use crate::sys::{self, SignalMask};

/// 0 free, 1 held, 2 held and somebody may sleep.
pub(crate) struct PrivateLock<T> {
    word: AtomicU32,
    value: UnsafeCell<T>,
}

// SAFETY: the value is reached through a guard only, and one guard exists at a time.
unsafe impl<T: Send> Sync for PrivateLock<T> {}

impl<T> PrivateLock<T> {
    pub(crate) const fn new(value: T) -> PrivateLock<T> {
        PrivateLock {
            word: AtomicU32::new(0),
            value: UnsafeCell::new(value),
        }
    }

    /// Blocks signals, then takes the lock.
    pub(crate) fn lock(&self) -> PrivateGuard<'_, T> {
        let mask = SignalMask::block_all();
        if self.word.compare_exchange(0, 1, Acquire, Relaxed).is_err() {
            while self.word.swap(2, Acquire) != 0 {
                sys::futex_wait(&self.word, 2, Duration::from_secs(1));
            }
        }
        PrivateGuard { lock: self, mask }
    }

    /// Takes the lock over from a thread that does not exist in this process: for a forked child, which has one
    /// thread and inherited the lock held.
    pub(crate) fn seize(&self) -> PrivateGuard<'_, T> {
        let mask = SignalMask::block_all();
        self.word.store(1, Relaxed);
        PrivateGuard { lock: self, mask }
    }
}

/// The lock, held.
pub(crate) struct PrivateGuard<'l, T> {
    lock: &'l PrivateLock<T>,
    mask: SignalMask,
}

impl<T> PrivateGuard<'_, T> {
    /// Keeps the lock held across a `fork`; [`resume`](PrivateGuard::resume) takes it up again.
    pub(crate) fn suspend(self) -> SignalMask {
        let mask = self.mask;
        core::mem::forget(self);
        mask
    }

    /// The guard that [`suspend`](PrivateGuard::suspend) put aside, in the process that did or in its child.
    pub(crate) fn resume(lock: &PrivateLock<T>, mask: SignalMask) -> PrivateGuard<'_, T> {
        debug_assert_ne!(lock.word.load(Relaxed), 0);
        PrivateGuard { lock, mask }
    }
}

impl<T> Deref for PrivateGuard<'_, T> {
    type Target = T;
    fn deref(&self) -> &T {
        // SAFETY: the guard is the lock's only holder.
        unsafe { &*self.lock.value.get() }
    }
}

impl<T> DerefMut for PrivateGuard<'_, T> {
    fn deref_mut(&mut self) -> &mut T {
        // SAFETY: the guard is the lock's only holder.
        unsafe { &mut *self.lock.value.get() }
    }
}

impl<T> Drop for PrivateGuard<'_, T> {
    fn drop(&mut self) {
        if self.lock.word.swap(0, Release) == 2 {
            sys::futex_wake(&self.lock.word, 1);
        }
        self.mask.restore();
    }
}
