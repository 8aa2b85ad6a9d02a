//! A set, locked: its waiters and undo records may be changed, and several of its semaphores together.

use core::cell::Cell as Kept;
use core::sync::atomic::Ordering::{Acquire, Relaxed, Release};

use super::memory::{Records, Set};
use super::waiters::REMOVED;
use crate::critical::Section;
use crate::errno::{Errno, Result};
use crate::live::LazyLive;
use crate::lock::{self, Acquired, Tag};
use crate::patience;
use crate::registry::BACKED;
use crate::sys;

/// Sleepers that are woken after the lock has been given back.
const WAKES_KEPT: usize = 16;

/// Steps through lists that the lock's holder may take. Loops over loops have bounds of their own, but those multiply: links
/// that an honest member would not write could keep a holder for hours.
const MOST_STEPS: u32 = 1 << 25;
/// As many steps as doing a waiter's operations for it takes.
const SERVING: u32 = 64;

/// Looks at a set's flags that say something else each time.
const MOST_LOOKS: usize = 16;

/// Why a set cannot be locked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Denied {
    /// It has been removed.
    Gone,
    /// It has records that this view of it does not show: look again.
    Unmapped,
    /// This process could only read it when it mapped it.
    ReadOnly,
}

impl<'m> Set<'m> {
    /// Does something under the set's lock, in a view that shows the set's records if it has any.
    ///
    /// # Errors
    /// `EIDRM` if the set is gone, `EACCES` if this process may not lock it; those of mapping its file.
    #[inline]
    pub(super) fn locked<T>(&mut self, act: impl FnOnce(&LockedSet<'_>) -> T) -> Result<T> {
        for _ in 0..MOST_LOOKS {
            let denied = match LockedSet::lock(self) {
                Ok(locked) => return Ok(act(&locked)),
                Err(denied) => denied,
            };
            match denied {
                Denied::Gone => return Err(Errno::EIDRM),
                Denied::ReadOnly => self.make_writable()?,
                Denied::Unmapped => *self = self.again()?,
            }
        }
        Err(Errno::EIDRM)
    }
}

/// The lock on one set, held. Released on drop.
pub(super) struct LockedSet<'s> {
    pub set: &'s Set<'s>,
    pub live: LazyLive<'s>,
    wakes: Kept<[u16; WAKES_KEPT]>,
    wake_count: Kept<usize>,
    steps: Kept<u32>,
    pub section: Section,
}

impl<'s> LockedSet<'s> {
    /// Takes the lock, and recovers first if its last owner died holding it.
    #[inline(always)]
    pub(super) fn lock(set: &'s Set<'s>) -> core::result::Result<LockedSet<'s>, Denied> {
        if set.read_only {
            return Err(Denied::ReadOnly);
        }
        let section = Section::enter();
        let member = set.member;
        let live = member.lazy_live();
        let head = set.head;
        let acquired = member.acquire(&head.lock);
        if acquired == Acquired::Takeover {
            head.dirty.store(1, Relaxed);
        }
        let denied = if head.owner.load(Acquire) != u32::from(set.sequence) + 1 {
            Some(Denied::Gone)
        } else if set.records.is_none() && set.slot.flags.load(Acquire) & BACKED != 0 {
            Some(Denied::Unmapped)
        } else {
            None
        };
        if let Some(denied) = denied {
            lock::release(&head.lock);
            return Err(denied);
        }
        let locked = LockedSet {
            set,
            live,
            wakes: Kept::new([0; WAKES_KEPT]),
            wake_count: Kept::new(0),
            steps: Kept::new(0),
            section,
        };
        if head.dirty.load(Relaxed) != 0 {
            locked.recover();
            head.dirty.store(0, Release);
        }
        Ok(locked)
    }

    /// Brings the set from any state that a killed process can leave to a consistent one. Every step may be killed and done
    /// again.
    #[cold]
    fn recover(&self) {
        self.finish_intent();
        self.rebuild_undos();
        self.rebuild_waiters();
        self.serve_all();
    }

    /// The set's records.
    ///
    /// # Errors
    /// `ENOMEM` where the set has none.
    pub(super) fn records(&self) -> Result<Records<'s>> {
        self.set.records.ok_or(Errno::ENOMEM)
    }

    /// Counts a step through a list; `false` if that was one too many, and the list is to be taken as ended.
    #[inline]
    pub(super) fn may_step(&self) -> bool {
        self.steps.set(self.steps.get().saturating_add(1));
        self.steps.get() <= MOST_STEPS
    }

    /// As [`may_step`](Self::may_step), before a waiter is served.
    pub(super) fn may_serve(&self) -> bool {
        self.steps.set(self.steps.get().saturating_add(SERVING));
        self.may_step()
    }

    /// Whether the process with this tag lives.
    pub(super) fn is_alive(&self, tag: Tag) -> bool {
        self.set.member.is_alive(tag, &self.live)
    }

    /// Whether the process with this tag has ended: it is dead, and has not only executed another program.
    pub(super) fn has_ended(&self, tag: Tag) -> bool {
        !self.is_alive(tag) && !self.set.member.lives_on(tag)
    }

    /// Lets a waiter go on that has been served or told, as soon as the lock has been given back.
    pub(super) fn call(&self, first: usize) {
        if let Ok(records) = self.records() {
            records.cells[first].caller.store(patience::trace(), Relaxed);
        }
        self.wake(first);
    }

    /// Wakes a waiter, as soon as the lock has been given back.
    pub(super) fn wake(&self, first: usize) {
        let count = self.wake_count.get();
        if count < WAKES_KEPT {
            let mut wakes = self.wakes.get();
            wakes[count] = first as u16;
            self.wakes.set(wakes);
            self.wake_count.set(count + 1);
        } else if let Ok(records) = self.records() {
            sys::futex_wake(&records.cells[first].state, 1);
        }
    }

    /// Tells all waiters that the set is gone.
    pub(super) fn dismiss_all(&self) {
        let Ok(records) = self.records() else { return };
        self.for_each_first_cell(&mut |index, _, _| {
            records.cells[index].state.store(REMOVED, Release);
            sys::futex_wake(&records.cells[index].state, 1);
        });
    }
}

impl Drop for LockedSet<'_> {
    #[inline]
    fn drop(&mut self) {
        lock::release(&self.set.head.lock);
        if self.wake_count.get() > 0 {
            self.wake_all();
        }
    }
}

impl LockedSet<'_> {
    /// The lock has been given back. Killed before the end, we leave sleepers to those who watch.
    #[cold]
    fn wake_all(&self) {
        let Some(records) = self.set.records else { return };
        let mut missed = false;
        for &first in &self.wakes.get()[..self.wake_count.get()] {
            let cell = &records.cells[first as usize];
            // Nobody sleeps there: it is just going to, or coming, or it was killed asleep.
            missed |= sys::futex_wake(&cell.state, 1) == 0
                && Tag::from_word(cell.owner.load(Relaxed)).is_some_and(|owner| !self.is_alive(owner));
        }
        if missed && let Ok(locked) = LockedSet::lock(self.set) {
            locked.bury_the_dead();
        }
    }
}
