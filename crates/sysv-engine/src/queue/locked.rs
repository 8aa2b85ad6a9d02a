//! A queue's lock.

#![allow(unsafe_code)]

use core::sync::atomic::Ordering::{Relaxed, Release};

use super::contents::Contents;
use super::ground::Ground;
use super::layout::{FREE, LOOK, WAITING, WINDOW};
use super::waiters::Wakes;
use super::window::{Brief, Mapped};
use super::{LockedQueues, USED};
use crate::critical::Section;
use crate::errno::{Errno, Result};
use crate::lock::{self, Acquired, Tag};
use crate::registry::{Phase, State};
use crate::sys;
use crate::table::QueueSlot;

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
        let acquired = lock::acquire(&header.lock, member.tag(), member.spins(), &|tag| {
            member.is_alive(tag, &member.lazy_live())
        });
        if acquired == Acquired::Takeover {
            header.dirty.store(1, Relaxed);
        }
        LockedQueue {
            mapped,
            _section: section,
        }
    }

    /// What the lock guards, made whole first if its last owner died holding it.
    ///
    /// # Errors
    /// `EIDRM` if the queue has been removed; `ENOMEM` if there is no memory to make it whole with.
    #[inline(always)]
    pub(super) fn contents(&self) -> Result<Contents<'c, Mapped<'m>>> {
        let header = &self.mapped.window().header;
        // The window may be another queue's by now.
        if header.id.load(Relaxed) != self.mapped.id as u32 + 1 || header.removed.load(Relaxed) != 0 {
            return Err(Errno::EIDRM);
        }
        let contents = Contents::held(self.mapped);
        if header.dirty.load(Relaxed) != 0 {
            contents.rebuild(&|tag| self.is_alive(tag))?;
        }
        Ok(contents)
    }

    /// Whether the process with this tag lives.
    pub(super) fn is_alive(&self, tag: Tag) -> bool {
        self.mapped.member.is_alive(tag, &self.mapped.member.lazy_live())
    }

    /// Gives the lock back and wakes.
    #[inline]
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

impl Drop for LockedQueue<'_, '_> {
    #[inline]
    fn drop(&mut self) {
        lock::release(&self.mapped.window().header.lock);
    }
}

/// Tells everybody who waits that the queue is removed, and gives its memory back.
pub(super) fn end(locked: &LockedQueues<'_>, number: usize, slot: &QueueSlot, state: State) {
    let id = locked.registry().id(number, state);
    if state.phase == Phase::Making || slot.flags.load(Relaxed) & USED == 0 {
        return;
    }
    // Where this process may not open the file, those who wait find out by themselves.
    let _ = tell(locked, id);
}

fn tell(locked: &LockedQueues<'_>, id: i32) -> Result<()> {
    let member = locked.member;
    let file = member.with_object_path("msg", id, |path| sys::open(path, libc::O_RDWR, 0))?;
    let window = Brief::map(&file)?;
    let header = &window.get().header;
    let mine = header.id.load(Relaxed);
    if mine != 0 && mine != id as u32 + 1 {
        return Err(Errno::EIDRM);
    }
    {
        let _section = Section::enter();
        lock::acquire(&header.lock, member.tag(), member.spins(), &|tag| {
            member.is_alive(tag, &locked.live)
        });
        header.removed.store(1, Release);
        let records = header.waiter_high.load(Relaxed).min(header.waiter_backed.load(Relaxed)) as usize;
        for waiter in window.get().waiters.iter().take(records) {
            let _ = waiter.state.compare_exchange(WAITING, LOOK, Release, Relaxed);
            sys::futex_wake(&waiter.state, 1);
        }
        lock::release(&header.lock);
    }
    // Those who have the file mapped keep it; its pages they need not keep.
    let len = sys::fstat(&file)?.st_size as u64;
    if len > WINDOW as u64 {
        sys::punch_hole(&file, WINDOW as u64, len - WINDOW as u64)?;
    }
    Ok(())
}
