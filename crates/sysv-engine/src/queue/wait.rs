//! Waiting: for a message, or for room.
//!
//! First a short while without sleeping, where another processor can make progress meanwhile: as long as that has lately been
//! worth it on this queue ([`patience`](crate::patience)). Then in the list, asleep. Nobody sleeps for long without looking: a process may have been
//! killed that had been told to go on.

use core::sync::atomic::AtomicU32;
use core::sync::atomic::Ordering::{Acquire, Relaxed};
use core::time::Duration;

use super::contents::Contents;
use super::deadline::Deadline;
use super::ground::Ground;
use super::lane;
use super::layout::WAITING;
use super::locked::LockedQueue;
use super::selection::Selection;
use super::window::Mapped;
use crate::critical;
use crate::errno::Errno;
use crate::patience::Trace;
use crate::{interruption, sys};

/// The longest sleep without a look.
const NAP: Duration = Duration::from_millis(200);
/// The longest sleep of one for whom there was no record.
const CROWDED_NAP: Duration = Duration::from_millis(1);

/// A call that may have to wait.
pub(super) struct Waiting<'c, 'm> {
    pub mapped: &'c Mapped<'m>,
    /// What a receiver wants; `None` for a sender.
    selection: Option<Selection>,
    size: usize,
    deadline: Deadline,
    /// The record in the list, once there is one.
    pub record: Option<u32>,
    /// Handlers that had run when the call began.
    handlers: u64,
    pub interrupted: bool,
}

impl<'c, 'm> Waiting<'c, 'm> {
    pub(super) fn new(mapped: &'c Mapped<'m>, selection: Option<Selection>, size: usize, deadline: Deadline) -> Self {
        Waiting {
            mapped,
            selection,
            size,
            deadline,
            record: None,
            handlers: critical::handlers_run(),
            interrupted: false,
        }
    }

    /// Whether it goes on: nothing has interrupted it, and its time is not up.
    pub(super) fn goes_on(&self) -> bool {
        !self.interrupted && !self.deadline.is_over()
    }

    /// Watches the counter of what it waits for, which was `seen` with the lock held, for as long as that is worth it; whether
    /// it has changed.
    #[cold]
    pub(super) fn watch(&mut self, seen: u32) -> bool {
        let mapped = self.mapped;
        if !mapped.member.spins() || !self.goes_on() {
            return false;
        }
        let header = &mapped.window().header;
        let has_changed = || match self.selection {
            Some(_) => header.arrivals.load(Relaxed) != seen || lane::is_used(header),
            None => header.departures.load(Relaxed) != seen,
        };
        let happened = || has_changed() || self.is_interrupted();
        if mapped.place.patience.watch(happened) {
            mapped.place.ahead.share();
        }
        self.interrupted = self.is_interrupted();
        mapped.fetch_ahead();
        !self.interrupted && has_changed()
    }

    /// Strikes the call's record.
    #[inline]
    pub(super) fn end<G: Ground>(&mut self, contents: Contents<'_, G>) {
        if let Some(number) = self.record.take() {
            contents.delist(number);
        }
    }

    /// Waits until it is worth looking again, or a handler has run. The lock is given back meanwhile.
    #[cold]
    pub(super) fn wait(&mut self, queue: LockedQueue<'_, 'm>, contents: Contents<'_, Mapped<'m>>) {
        let mapped = self.mapped;
        if self.record.is_none() {
            let owner = mapped.member.tag();
            self.record = contents.enlist(owner, self.selection, self.size);
        }
        let number = self.record;
        if let Some(waiter) = number.and_then(|number| contents.waiter(number)) {
            waiter.state.store(WAITING, Relaxed);
        }
        drop(queue);
        match number.and_then(|number| mapped.window().waiters.get(number as usize)) {
            Some(waiter) => {
                self.sleep(&waiter.state, WAITING, NAP);
                if waiter.state.load(Relaxed) != WAITING {
                    mapped.place.patience.met(waiter.caller.load(Relaxed) as Trace);
                }
            }
            None => {
                let word = &mapped.window().header.arrivals;
                self.sleep(word, word.load(Relaxed), CROWDED_NAP);
            }
        }
    }

    fn is_interrupted(&self) -> bool {
        critical::handlers_run() != self.handlers || interruption::is_interrupted()
    }

    fn sleep(&mut self, word: &AtomicU32, asleep: u32, nap: Duration) {
        while word.load(Acquire) == asleep {
            let nap = self.deadline.shorten(nap);
            let slept = interruption::sleeping_on(word, || {
                if self.is_interrupted() {
                    return Err(Errno::EINTR);
                }
                sys::futex_wait_interruptibly(word, asleep, nap)
            });
            match slept {
                Err(Errno::EINTR) => {
                    self.interrupted = true;
                    return;
                }
                Err(Errno::ETIMEDOUT) => return,
                _ => {}
            }
        }
    }
}
