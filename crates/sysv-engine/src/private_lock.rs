//! A lock among the threads of one process, held in a [critical section](crate::critical). A registry's lock, which other
//! processes wait for, is only taken under this one.

#![allow(unsafe_code)]

use core::cell::UnsafeCell;
use core::ops::{Deref, DerefMut};
use core::sync::atomic::AtomicU32;
use core::sync::atomic::Ordering::{Acquire, Relaxed, Release};
use core::time::Duration;

use crate::critical::Section;
use crate::sys;

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

    /// Takes the lock.
    pub(crate) fn lock(&self) -> PrivateGuard<'_, T> {
        let section = Section::enter();
        if self.word.compare_exchange(0, 1, Acquire, Relaxed).is_err() {
            while self.word.swap(2, Acquire) != 0 {
                sys::futex_wait(&self.word, 2, Duration::from_secs(1));
            }
        }
        PrivateGuard {
            lock: self,
            section: Some(section),
        }
    }

    /// Takes the lock over from a thread that does not exist in this process: for a forked child, which has one
    /// thread and inherited the lock held.
    pub(crate) fn seize(&self) -> PrivateGuard<'_, T> {
        let section = Section::enter();
        self.word.store(1, Relaxed);
        PrivateGuard {
            lock: self,
            section: Some(section),
        }
    }
}

/// The lock, held.
pub(crate) struct PrivateGuard<'l, T> {
    lock: &'l PrivateLock<T>,
    section: Option<Section>,
}

impl<T> PrivateGuard<'_, T> {
    /// Keeps the lock held across a `fork`, and with it the critical section; [`resume`](PrivateGuard::resume) takes both up
    /// again.
    pub(crate) fn suspend(mut self) -> Section {
        let section = self.section.take();
        core::mem::forget(self);
        section.unwrap_or_else(Section::enter)
    }

    /// The guard that [`suspend`](PrivateGuard::suspend) put aside, in the process that did or in its child.
    pub(crate) fn resume(lock: &PrivateLock<T>, section: Section) -> PrivateGuard<'_, T> {
        debug_assert_ne!(lock.word.load(Relaxed), 0);
        PrivateGuard {
            lock,
            section: Some(section),
        }
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
        // The section ends with the field, after the lock has been given back.
    }
}
