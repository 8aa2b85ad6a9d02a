//! A queue's lock.

use core::sync::atomic::AtomicU32;
use core::sync::atomic::Ordering::{Acquire, Relaxed};

use super::contents::Contents;
use super::ground::Ground;
use super::lane;
use super::layout::FREE;
use super::waiters::Wakes;
use super::window::Mapped;
use crate::critical::Section;
use crate::errno::{Errno, Result};
use crate::lock::{self, Acquired, Tag};
use crate::member::Member;

/// Looks at a lock that somebody has, before the contender sleeps.
const LOOKS: u32 = 40;
/// Turns of the waiting loop between two looks: at first, and at the most.
const FIRST_PAUSE: u32 = 8;
const LONGEST_PAUSE: u32 = 64;

/// A queue, locked. When this goes the lock is given back.
///
/// Small on purpose: it is made and dropped in every call.
pub(super) struct LockedQueue<'c, 'm> {
    mapped: &'c Mapped<'m>,
    // Ends last, with the lock given back.
    _section: Section,
}

impl<'c, 'm> LockedQueue<'c, 'm> {
    /// Takes the lock.
    #[inline(always)]
    pub(super) fn lock(mapped: &'c Mapped<'m>) -> LockedQueue<'c, 'm> {
        let member = mapped.member;
        let section = Section::enter();
        let header = &mapped.window().header;
        if header
            .lock
            .compare_exchange(0, member.tag().word(), Acquire, Relaxed)
            .is_err()
        {
            mapped.place.ahead.share();
            if contend(member, &header.lock) == Acquired::Takeover {
                header.dirty.store(1, Relaxed);
            }
        }
        LockedQueue {
            mapped,
            _section: section,
        }
    }

    /// What the lock guards, made whole first if its last owner died holding it. The lane is closed.
    ///
    /// # Errors
    /// `EIDRM` if the queue has been removed; `ENOMEM` if there is no memory to make it whole with.
    #[inline(always)]
    pub(super) fn contents(&self) -> Result<Contents<'c, Mapped<'m>>> {
        let contents = self.contents_and_lane()?;
        if contents.uses_lane() {
            self.close_lane(contents)?;
        }
        Ok(contents)
    }

    /// As [`contents`](LockedQueue::contents), but there may be more messages in the lane.
    #[inline(always)]
    pub(super) fn contents_and_lane(&self) -> Result<Contents<'c, Mapped<'m>>> {
        self.make_whole()?;
        Ok(Contents::held(self.mapped))
    }

    #[inline(never)]
    fn close_lane(&self, contents: Contents<'_, Mapped<'_>>) -> Result<()> {
        lane::shut(self.mapped.member, contents.header());
        contents.move_posts()
    }

    /// Opens the lane, where another processor can use it.
    #[inline(always)]
    pub(super) fn open_lane(&self, contents: Contents<'_, Mapped<'_>>) {
        if self.mapped.member.spins() {
            contents.open_lane();
        }
    }

    #[inline(always)]
    fn make_whole(&self) -> Result<()> {
        let header = &self.mapped.window().header;
        if header.id.load(Relaxed) != self.mapped.id as u32 + 1 || header.removed.load(Relaxed) != 0 {
            return Err(Errno::EIDRM);
        }
        match header.dirty.load(Relaxed) {
            0 => Ok(()),
            _ => Contents::held(self.mapped).rebuild(&|tag| self.is_alive(tag)),
        }
    }

    /// Whether the window is this queue's still, and not another's by now.
    #[inline(always)]
    pub(super) fn is_named(&self) -> bool {
        self.mapped.window().header.id.load(Relaxed) == self.mapped.id as u32 + 1
    }

    /// Whether the queue has been removed.
    #[inline(always)]
    pub(super) fn is_removed(&self) -> bool {
        self.mapped.window().header.removed.load(Relaxed) != 0
    }

    /// What the lock guards, as it is: for what does not need it whole.
    pub(super) fn contents_unmade(&self) -> Contents<'c, Mapped<'m>> {
        Contents::held(self.mapped)
    }

    /// Whether the process with this tag lives.
    pub(super) fn is_alive(&self, tag: Tag) -> bool {
        self.mapped.member.is_alive(tag, &self.mapped.member.lazy_live())
    }

    /// Gives the lock back and wakes.
    #[inline(always)]
    pub(super) fn end(self, wakes: &mut Wakes) {
        if !wakes.is_empty() {
            self.end_and_wake(wakes);
        }
    }

    /// Of those who were not asleep, returns what the dead were given.
    #[cold]
    fn end_and_wake(self, wakes: &mut Wakes) {
        // A handler that never returns must not keep the wake-ups back.
        let _section = Section::enter();
        let mapped = self.mapped;
        drop(self);
        wakes.wake(mapped.window());
        let live = mapped.member.lazy_live();
        let alive = |tag| mapped.member.is_alive(tag, &live);
        let dead = |number: &u32| {
            mapped.window().waiters.get(*number as usize).is_some_and(|waiter| {
                waiter.state.load(Relaxed) != FREE && !Tag::from_word(waiter.owner.load(Relaxed)).is_some_and(&alive)
            })
        };
        if wakes.numbers().iter().any(dead) {
            let again = LockedQueue::lock(mapped);
            // What fails for want of memory, the next holder of the lock does.
            let _ = again
                .contents()
                .and_then(|contents| contents.bury(wakes.numbers(), &alive));
        }
    }
}

/// Takes a lock that somebody has.
///
/// Whoever has it mostly wants it again for the next message, and has all that it guards in its cache. So it is looked at
/// seldom and ever more seldom: several messages then pass before the cache lines do, and both sides are faster for it.
#[cold]
fn contend(member: &Member, word: &AtomicU32) -> Acquired {
    if member.spins() {
        let mut pause = FIRST_PAUSE;
        for _ in 0..LOOKS {
            for _ in 0..pause {
                core::hint::spin_loop();
            }
            if word.load(Relaxed) == 0 && word.compare_exchange(0, member.tag().word(), Acquire, Relaxed).is_ok() {
                return Acquired::Clean;
            }
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }
    member.acquire(word)
}

impl Drop for LockedQueue<'_, '_> {
    #[inline(always)]
    fn drop(&mut self) {
        lock::release(&self.mapped.window().header.lock);
    }
}
