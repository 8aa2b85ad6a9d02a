//! A queue's lock.

#![allow(unsafe_code)]

use core::sync::atomic::Ordering::{Relaxed, Release};

use super::LockedQueues;
use super::contents::Contents;
use super::ground::Ground;
use super::layout::{FREE, Header, LOOK, WAITING, WINDOW};
use super::waiters::Wakes;
use super::window::{Brief, Mapped};
use crate::critical::Section;
use crate::errno::{Errno, Result};
use crate::live::LazyLive;
use crate::lock::{self, Acquired, Tag};
use crate::registry::{BACKED, Phase, State};
use crate::sys;
use crate::table::QueueSlot;

/// A queue, locked. When this goes the lock is given back, and those in `wakes` are woken.
pub(super) struct LockedQueue<'m> {
    mapped: Mapped<'m>,
    live: LazyLive<'m>,
    pub wakes: Wakes,
    // Ends last, with everything else done.
    _section: Section,
}

impl<'m> LockedQueue<'m> {
    /// Takes the lock, and makes the queue whole first if its last owner died holding it.
    ///
    /// # Errors
    /// `EIDRM` if the queue has been removed; `ENOMEM` if there is no memory to make it whole with.
    #[inline]
    pub(super) fn lock(mapped: &Mapped<'m>) -> Result<LockedQueue<'m>> {
        let locked = Self::take(mapped)?;
        if locked.header().removed.load(Relaxed) != 0 {
            return Err(Errno::EIDRM);
        }
        Ok(locked)
    }

    #[inline]
    fn take(mapped: &Mapped<'m>) -> Result<LockedQueue<'m>> {
        let member = mapped.member;
        let section = Section::enter();
        let live = member.lazy_live();
        let header = &mapped.window().header;
        let acquired = lock::acquire(&header.lock, member.tag(), member.spins(), &|tag| {
            member.is_alive(tag, &live)
        });
        let locked = LockedQueue {
            mapped: *mapped,
            live,
            wakes: Wakes::default(),
            _section: section,
        };
        let header = locked.header();
        if header.id.load(Relaxed) != mapped.id as u32 + 1 {
            // The window is another queue's by now.
            return Err(Errno::EIDRM);
        }
        if acquired == Acquired::Takeover {
            header.dirty.store(1, Relaxed);
        }
        if header.dirty.load(Relaxed) != 0 {
            locked.contents().rebuild(&|tag| locked.is_alive(tag))?;
        }
        Ok(locked)
    }

    #[inline]
    fn header(&self) -> &Header {
        &self.mapped.window().header
    }

    #[inline]
    pub(super) fn contents(&self) -> Contents<'_, Mapped<'m>> {
        Contents::held(&self.mapped)
    }

    /// Whether the process with this tag lives.
    pub(super) fn is_alive(&self, tag: Tag) -> bool {
        self.mapped.member.is_alive(tag, &self.live)
    }

    /// Wakes; of those who were not asleep, returns what the dead were given.
    #[cold]
    fn wake(&mut self) {
        let mapped = self.mapped;
        self.wakes.wake(mapped.window());
        let dead = |number: &u32| {
            mapped.window().waiters.get(*number as usize).is_some_and(|waiter| {
                waiter.state.load(Relaxed) != FREE
                    && !Tag::from_word(waiter.owner.load(Relaxed)).is_some_and(|tag| self.is_alive(tag))
            })
        };
        if !self.wakes.numbers().iter().any(dead) {
            return;
        }
        if let Ok(again) = LockedQueue::lock(&mapped) {
            // What fails for want of memory, the next holder of the lock does.
            let _ = again.contents().bury(self.wakes.numbers(), &|tag| again.is_alive(tag));
        }
    }
}

impl Drop for LockedQueue<'_> {
    #[inline]
    fn drop(&mut self) {
        lock::release(&self.header().lock);
        if !self.wakes.is_empty() {
            self.wake();
        }
    }
}

/// Tells everybody who waits that the queue is removed, and gives its memory back.
pub(super) fn end(locked: &LockedQueues<'_>, number: usize, slot: &QueueSlot, state: State) {
    let id = locked.registry().id(number, state);
    if state.phase == Phase::Making || slot.flags.load(Relaxed) & BACKED == 0 {
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
