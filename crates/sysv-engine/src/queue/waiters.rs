//! Those who wait for a message or for room, in the sequence of their arrival.
//!
//! A message that a waiting receiver wants is given to it by the sender, so that nobody who comes later takes it away. A
//! receiver that makes room tells the waiting senders that can go on, first come first. The dead stay in the lists until
//! somebody notices: what they were given goes back into the queue at its place.

use core::sync::atomic::AtomicU32;
use core::sync::atomic::Ordering::{Acquire, Relaxed, Release};

use super::contents::{Contents, add32, subtract32};
use super::ground::Ground;
use super::layout::{Ends, FREE, GRANTED, LOOK, TOO_BIG, WAITERS, WAITING, Waiter, Window};
use super::selection::{SENDER, Selection};
use crate::abi::PAGE_SIZE;
use crate::errno::Result;
use crate::lock::Tag;
use crate::patience;
use crate::sys;

/// Waiters to be woken once the lock has been given back.
#[derive(Debug, Default)]
pub(crate) struct Wakes {
    numbers: [u32; Wakes::CAPACITY],
    count: usize,
}

impl Wakes {
    const CAPACITY: usize = 8;

    fn add(&mut self, number: u32, waiter: &Waiter) {
        waiter.caller.store(patience::trace().into(), Relaxed);
        match self.numbers.get_mut(self.count) {
            Some(place) => {
                *place = number;
                self.count += 1;
            }
            // So many at once are rare: woken at once, they wait for the lock instead.
            None => drop(sys::futex_wake(&waiter.state, 1)),
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Wakes them; what is left are those who were not asleep: on their way to it, or dead.
    pub(crate) fn wake(&mut self, window: &Window) {
        let mut left = 0;
        for place in 0..self.count {
            let number = self.numbers[place];
            if let Some(waiter) = window.waiters.get(number as usize)
                && sys::futex_wake(&waiter.state, 1) == 0
            {
                self.numbers[left] = number;
                left += 1;
            }
        }
        self.count = left;
    }

    pub(crate) fn numbers(&self) -> &[u32] {
        &self.numbers[..self.count]
    }
}

impl<'g, G: Ground> Contents<'g, G> {
    pub(crate) fn waiter(self, number: u32) -> Option<&'g Waiter> {
        self.ground.window().waiters.get(number as usize)
    }

    /// Enters one who waits for a message or, without a selection, for room. `None` if all records are taken.
    pub(crate) fn enlist(self, owner: Tag, selection: Option<Selection>, size: usize) -> Option<u32> {
        let header = self.header();
        let number = match header.free_waiter.load(Relaxed).checked_sub(1) {
            Some(number) => number,
            None => self.new_waiter().ok()??,
        };
        let waiter = self.waiter(number)?;
        header.free_waiter.store(waiter.next.load(Relaxed), Relaxed);
        let (mode, kind) = selection.map_or((SENDER, 0), Selection::words);
        let ticket = header.next_ticket.load(Relaxed);
        header.next_ticket.store(ticket.wrapping_add(1), Relaxed);
        waiter.owner.store(owner.word(), Relaxed);
        waiter.ticket.store(ticket, Relaxed);
        waiter.mode.store(mode, Relaxed);
        waiter.kind.store(kind, Relaxed);
        waiter.size.store(size as u64, Relaxed);
        waiter.grant.store(0, Relaxed);
        waiter.state.store(WAITING, Release);
        self.link_last(number, waiter);
        Some(number)
    }

    /// A record that has never been used, at the head of the free list.
    #[cold]
    fn new_waiter(self) -> Result<Option<u32>> {
        let header = self.header();
        let number = header.waiter_high.load(Relaxed);
        let Some(waiter) = self.waiter(number) else {
            return Ok(None);
        };
        let backed = header.waiter_backed.load(Relaxed);
        if number >= backed {
            const STEP: u32 = (PAGE_SIZE / size_of::<Waiter>()) as u32;
            let at = core::mem::offset_of!(Window, waiters) + number as usize * size_of::<Waiter>();
            self.ground.back(at as u64, PAGE_SIZE as u64)?;
            header.waiter_backed.store(number + STEP, Relaxed);
        }
        waiter.state.store(FREE, Relaxed);
        waiter.next.store(0, Relaxed);
        header.waiter_high.store(number + 1, Release);
        header.free_waiter.store(number + 1, Relaxed);
        Ok(Some(number))
    }

    /// How many waiter records have been used, as far as they have file pages.
    fn waiters_used(self) -> usize {
        let header = self.header();
        let used = header.waiter_high.load(Relaxed).min(header.waiter_backed.load(Relaxed));
        (used as usize).min(WAITERS)
    }

    /// Strikes one who waits no longer. A message given to it stays given.
    pub(crate) fn delist(self, number: u32) {
        let Some(waiter) = self.waiter(number) else { return };
        self.unlink(waiter);
        if waiter.state.load(Relaxed) == GRANTED {
            subtract32(&self.header().granted, 1);
        }
        waiter.state.store(FREE, Release);
        waiter.next.store(self.header().free_waiter.load(Relaxed), Relaxed);
        self.header().free_waiter.store(number + 1, Relaxed);
    }

    fn ends(self, waiter: &Waiter) -> &'g Ends {
        if waiter.mode.load(Relaxed) == SENDER {
            &self.header().senders
        } else {
            &self.header().receivers
        }
    }

    pub(super) fn link_last(self, number: u32, waiter: &Waiter) {
        let ends = self.ends(waiter);
        let last = ends.last.load(Relaxed);
        waiter.prev.store(last, Relaxed);
        waiter.next.store(0, Relaxed);
        match last.checked_sub(1).and_then(|last| self.waiter(last)) {
            Some(last) => last.next.store(number + 1, Relaxed),
            None => ends.first.store(number + 1, Relaxed),
        }
        ends.last.store(number + 1, Relaxed);
    }

    fn unlink(self, waiter: &Waiter) {
        let ends = self.ends(waiter);
        let (prev, next) = (waiter.prev.load(Relaxed), waiter.next.load(Relaxed));
        let neighbour = |link: u32| link.checked_sub(1).and_then(|number| self.waiter(number));
        match neighbour(prev) {
            Some(neighbour) => neighbour.next.store(next, Relaxed),
            None => ends.first.store(next, Relaxed),
        }
        match neighbour(next) {
            Some(neighbour) => neighbour.prev.store(prev, Relaxed),
            None => ends.last.store(prev, Relaxed),
        }
    }

    /// Calls `each` with those who wait, first come first, until it returns `false`. Bounded, whatever the list holds.
    fn for_each_waiter(self, ends: &Ends, mut each: impl FnMut(u32, &'g Waiter) -> bool) {
        let mut next = ends.first.load(Relaxed);
        for _ in 0..WAITERS {
            let Some(number) = next.checked_sub(1) else { return };
            let Some(waiter) = self.waiter(number) else { return };
            next = waiter.next.load(Relaxed);
            if !each(number, waiter) {
                return;
            }
        }
    }

    /// Calls `each` with the receivers and then with the senders that wait.
    pub(super) fn for_each_waiting(self, each: &mut dyn FnMut(&Waiter)) {
        for ends in [&self.header().receivers, &self.header().senders] {
            self.for_each_waiter(ends, |_, waiter| {
                each(waiter);
                true
            });
        }
    }

    /// Offers a message to the waiting receivers; `true` if one has it now. Those that want it and cannot hold it learn so,
    /// as in Linux.
    #[inline(always)]
    pub(crate) fn offer(self, envelope: u32, kind: i64, len: usize, wakes: &mut Wakes) -> bool {
        if self.header().receivers.first.load(Relaxed) == 0 {
            return false;
        }
        self.offer_to_waiters(envelope, kind, len, wakes)
    }

    fn offer_to_waiters(self, envelope: u32, kind: i64, len: usize, wakes: &mut Wakes) -> bool {
        let mut given = false;
        self.for_each_waiter(&self.header().receivers, |number, waiter| {
            let selection = Selection::from_words(waiter.mode.load(Relaxed), waiter.kind.load(Relaxed));
            if !matches!(waiter.state.load(Relaxed), WAITING | LOOK) || !selection.is_some_and(|s| s.admits(kind)) {
                return true;
            }
            given = waiter.size.load(Relaxed) >= len as u64;
            if given {
                waiter.grant.store(envelope + 1, Relaxed);
                add32(&self.header().granted, 1);
            }
            waiter.state.store(if given { GRANTED } else { TOO_BIG }, Release);
            wakes.add(number, waiter);
            !given
        });
        given
    }

    /// Whether a receiver was given a message, or told of one that is too long for it.
    pub(crate) fn has_served(self, number: u32) -> bool {
        self.waiter(number)
            .is_some_and(|waiter| matches!(waiter.state.load(Relaxed), GRANTED | TOO_BIG))
    }

    /// The message that a waiter was given.
    pub(crate) fn granted(self, waiter: &Waiter) -> Option<super::contents::Message<'g>> {
        if waiter.state.load(Acquire) != GRANTED {
            return None;
        }
        let selection = Selection::from_words(waiter.mode.load(Relaxed), waiter.kind.load(Relaxed))?;
        let message = self.message(waiter.grant.load(Relaxed).checked_sub(1)?)?;
        selection.admits(message.kind).then_some(message)
    }

    /// Tells the waiting senders that can go on together to look, first come first.
    #[inline(always)]
    pub(crate) fn invite_senders(self, wakes: &mut Wakes) {
        if self.header().senders.first.load(Relaxed) != 0 {
            self.invite_waiting_senders(wakes);
        }
    }

    fn invite_waiting_senders(self, wakes: &mut Wakes) {
        let tally = self.tally();
        let capacity = tally.capacity.load(Relaxed);
        let mut bytes = capacity.saturating_sub(tally.bytes.load(Relaxed));
        let mut messages = capacity.saturating_sub(tally.messages.load(Relaxed));
        self.for_each_waiter(&self.header().senders, |number, waiter| {
            let size = waiter.size.load(Relaxed);
            if size <= bytes && messages > 0 {
                bytes -= size;
                messages -= 1;
                if waiter.state.load(Relaxed) == WAITING {
                    waiter.state.store(LOOK, Release);
                    wakes.add(number, waiter);
                }
            }
            messages > 0
        });
    }

    /// Tells everybody who waits to look.
    pub(crate) fn rouse_all(self) {
        for ends in [&self.header().receivers, &self.header().senders] {
            self.for_each_waiter(ends, |_, waiter| {
                if waiter.state.load(Relaxed) == WAITING {
                    waiter.state.store(LOOK, Release);
                }
                sys::futex_wake(&waiter.state, 1);
                true
            });
        }
        let departures: &AtomicU32 = &self.header().departures;
        departures.store(departures.load(Relaxed).wrapping_add(1), Relaxed);
        let arrivals: &AtomicU32 = &self.header().arrivals;
        arrivals.store(arrivals.load(Relaxed).wrapping_add(1), Relaxed);
    }

    /// Strikes a waiter; what it was given goes to the next who waits for it, or back into the queue, at its place.
    ///
    /// # Errors
    /// `ENOMEM`: the next holder of the lock does it.
    #[cold]
    pub(crate) fn return_grant(self, number: u32) -> Result<()> {
        self.header().dirty.store(1, Relaxed);
        self.pass_on(number);
        self.rebuild_order()?;
        self.header().dirty.store(0, Relaxed);
        self.rouse_all();
        Ok(())
    }

    /// Strikes a waiter and offers what it was given to the others, first come first: if they only looked for themselves, the
    /// first to look would be told of a message that is another's. The order is to be made anew, and all are to be roused.
    fn pass_on(self, number: u32) {
        let Some(waiter) = self.waiter(number) else { return };
        let returned = self.granted(waiter).and_then(|message| {
            let envelope = waiter.grant.load(Relaxed).checked_sub(1)?;
            Some((envelope, message.kind, message.len))
        });
        self.delist(number);
        if let Some((envelope, kind, len)) = returned {
            self.offer(envelope, kind, len, &mut Wakes::default());
        }
    }

    /// Strikes those of the waiters given who are dead, and returns what they were given.
    #[cold]
    pub(crate) fn bury(self, numbers: &[u32], alive: &dyn Fn(Tag) -> bool) -> Result<()> {
        for &number in numbers {
            let Some(waiter) = self.waiter(number) else { continue };
            if waiter.state.load(Relaxed) == FREE || Tag::from_word(waiter.owner.load(Relaxed)).is_some_and(alive) {
                continue;
            }
            if waiter.state.load(Relaxed) == GRANTED {
                self.return_grant(number)?;
            } else {
                let sender = waiter.mode.load(Relaxed) == SENDER;
                self.delist(number);
                if sender {
                    let mut wakes = Wakes::default();
                    self.invite_senders(&mut wakes);
                    wakes.wake(self.ground.window());
                }
            }
        }
        Ok(())
    }

    /// Returns what dead receivers were given.
    ///
    /// # Errors
    /// As [`return_grant`](Contents::return_grant).
    #[cold]
    pub(crate) fn bury_granted(self, alive: &dyn Fn(Tag) -> bool) -> Result<()> {
        let mut any = false;
        // All at once: the order is made anew only once.
        for (number, waiter) in (0..).zip(&self.ground.window().waiters[..self.waiters_used()]) {
            let dead = || !Tag::from_word(waiter.owner.load(Relaxed)).is_some_and(alive);
            if waiter.state.load(Relaxed) == GRANTED && dead() {
                self.header().dirty.store(1, Relaxed);
                any = true;
                self.pass_on(number);
            }
        }
        if any {
            self.rebuild_order()?;
            self.header().dirty.store(0, Relaxed);
            self.rouse_all();
        }
        Ok(())
    }
}
