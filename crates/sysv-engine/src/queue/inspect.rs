//! What must hold of every queue while no call is in progress on it, though processes may be waiting.

use core::fmt::Arguments;
use core::mem::offset_of;
use core::sync::atomic::Ordering::{Acquire, Relaxed};

use super::contents::Contents;
use super::ground::Ground;
use super::layout::{
    CLASSES, Ends, FIRST_CHUNK, FREE, GRANTED, HELD, Header, LOOK, TOO_BIG, WAITERS, WAITING, Waiter, chunk_extent,
};
use super::locked::LockedQueue;
use super::registry;
use super::selection::SENDER;
use super::window::{Mapped, has_file};
use crate::inspect::Waiters;
use crate::lock::Tag;
use crate::member::{Member, Private};
use crate::page_vec::PageVec;
use crate::registry::Phase;

/// Where the locks are in a queue's file.
pub(crate) const LOCKS: [usize; 2] = [offset_of!(Header, lock), offset_of!(Header, lane.posting.lock)];

/// Calls `each` with every queue that this process can see and that has been used.
fn for_each_queue(member: &Member, private: &mut Private, each: &mut dyn FnMut(&Mapped<'_>)) {
    let registry = registry(member.table());
    for number in registry.used_numbers() {
        let slot = &registry.slots[number];
        let state = slot.head.state();
        if state.phase == Phase::Live
            && has_file(slot)
            && let Ok(mapped) = Mapped::attach(member, private, number, slot, registry.id(number, state))
        {
            each(&mapped);
        }
    }
}

/// Counts the living who wait in queues.
pub(crate) fn count_waiters(member: &Member, private: &mut Private, waiters: &mut Waiters) {
    let live = member.lazy_live();
    for_each_queue(member, private, &mut |mapped| {
        let window = mapped.window();
        let high = (window.header.waiter_high.load(Relaxed) as usize).min(WAITERS);
        let living = |waiter: &&Waiter| {
            let owner = Tag::from_word(waiter.owner.load(Relaxed));
            owner.is_some_and(|owner| member.is_alive(owner, &live))
        };
        for waiter in window.waiters[..high].iter().filter(living) {
            match waiter.state.load(Acquire) {
                FREE => {}
                WAITING => waiters.asleep += 1,
                _ => waiters.going_on += 1,
            }
        }
    });
}

/// Checks every queue.
pub(crate) fn examine(member: &Member, private: &mut Private, complain: &mut dyn FnMut(Arguments<'_>)) {
    let live = member.lazy_live();
    for_each_queue(member, private, &mut |mapped| {
        let (id, header) = (mapped.id, &mapped.window().header);
        let mut complain = |what: Arguments<'_>| complain(format_args!("queue {id}: {what}"));
        let owner = Tag::from_word(header.lock.load(Relaxed));
        if owner.is_some_and(|owner| !member.is_alive(owner, &live)) || header.dirty.load(Relaxed) != 0 {
            complain(format_args!("what its lock's dead owner left has not been recovered"));
        }
        // Those who wait look from time to time.
        let queue = LockedQueue::lock(mapped);
        let Ok(contents) = queue.contents() else {
            return complain(format_args!("it cannot be used"));
        };
        let mut given = PageVec::new();
        contents.examine_waiters(&|tag| queue.is_alive(tag), &mut given, &mut complain);
        contents.examine_messages(given.as_slice(), &mut complain);
        contents.examine_heap(&mut complain);
        if contents.uses_lane() || contents.first_post().is_some() || header.lane.taking.moving.load(Relaxed) != 0 {
            complain(format_args!("the lane is not closed"));
        }
    });
}

impl<G: Ground> Contents<'_, G> {
    fn examine_waiters(
        self,
        alive: &dyn Fn(Tag) -> bool,
        given: &mut PageVec<u32>,
        complain: &mut dyn FnMut(Arguments<'_>),
    ) {
        let header = self.header();
        let high = header.waiter_high.load(Relaxed).min(WAITERS as u32);
        let mut waiting = 0;
        for number in 0..high {
            let Some(waiter) = self.waiter(number) else { continue };
            let state = waiter.state.load(Relaxed);
            if state == FREE {
                continue;
            }
            waiting += 1;
            if !matches!(state, WAITING | LOOK | GRANTED | TOO_BIG) {
                complain(format_args!("waiter {number} is in state {state}"));
            }
            if state == GRANTED {
                let _ = given.push(waiter.grant.load(Relaxed).wrapping_sub(1));
            }
            if !Tag::from_word(waiter.owner.load(Relaxed)).is_some_and(alive) {
                complain(format_args!("waiter {number} is dead"));
            }
        }
        let mut listed = 0;
        for (ends, senders) in [(&header.receivers, false), (&header.senders, true)] {
            listed += self.examine_list(ends, senders, complain);
        }
        let (mut next, mut free) = (header.free_waiter.load(Relaxed), 0);
        while let Some(waiter) = next.checked_sub(1).and_then(|number| self.waiter(number)) {
            free += 1;
            if waiter.state.load(Relaxed) != FREE || free > high {
                complain(format_args!("the list of free waiters is damaged at {next}"));
                break;
            }
            next = waiter.next.load(Relaxed);
        }
        if (listed, free) != (waiting, high - waiting) {
            complain(format_args!(
                "{waiting} of {high} waiters wait: {listed} are listed, {free} are listed as free"
            ));
        }
        let granted = header.granted.load(Relaxed) as usize;
        if granted != given.as_slice().len() {
            complain(format_args!(
                "{granted} counted as given a message, but {} are",
                given.as_slice().len()
            ));
        }
    }

    fn examine_list(self, ends: &Ends, senders: bool, complain: &mut dyn FnMut(Arguments<'_>)) -> u32 {
        let (mut next, mut previous, mut length) = (ends.first.load(Relaxed), 0, 0);
        let mut before = None;
        while let Some(waiter) = next.checked_sub(1).and_then(|number| self.waiter(number)) {
            length += 1;
            let ticket = waiter.ticket.load(Relaxed);
            let fits = waiter.state.load(Relaxed) != FREE
                && (waiter.mode.load(Relaxed) == SENDER) == senders
                && waiter.prev.load(Relaxed) == previous
                && before.is_none_or(|before| before < ticket);
            if !fits || length as usize > WAITERS {
                complain(format_args!("a list of waiters is damaged at {next}"));
                break;
            }
            (before, previous) = (Some(ticket), next);
            next = waiter.next.load(Relaxed);
        }
        if ends.last.load(Relaxed) != previous {
            complain(format_args!("a list of waiters does not end where it should"));
        }
        length
    }

    fn examine_messages(self, given: &[u32], complain: &mut dyn FnMut(Arguments<'_>)) {
        let header = self.header();
        let (mut messages, mut bytes, mut free, mut held) = (0u64, 0u64, 0, 0);
        let mut known = PageVec::new();
        self.for_each_envelope(&mut |number, envelope| {
            if envelope.state.load(Relaxed) == 0 {
                free += 1;
            } else if envelope.state.load(Relaxed) & HELD != 0 {
                held += 1;
                if self.is_abandoned(envelope, &|tag| self.ground().is_alive(tag)) {
                    complain(format_args!("a dead process reads the message in envelope {number}"));
                }
            } else if self.message(number).is_none() {
                complain(format_args!("the message in envelope {number} cannot be"));
            } else if !given.contains(&number) {
                messages += 1;
                bytes += envelope.len.load(Relaxed);
                let _ = known.push(number);
            }
        });
        let mut ordered = PageVec::new();
        let mut before = 0;
        for (number, envelope) in self.in_order() {
            let sequence = envelope.state.load(Relaxed);
            if sequence <= before {
                complain(format_args!("the order is wrong at envelope {number}"));
            }
            before = sequence;
            let _ = ordered.push(number);
        }
        ordered.as_mut_slice().sort_unstable();
        if ordered.as_slice() != known.as_slice() {
            complain(format_args!(
                "{} messages are in the order, {messages} in envelopes",
                ordered.as_slice().len()
            ));
        }
        let (mut next, mut listed) = (header.free_envelope.load(Relaxed), 0);
        while let Some(envelope) = next.checked_sub(1).and_then(|number| self.envelope(number)) {
            listed += 1;
            if envelope.state.load(Relaxed) != 0 || listed > free {
                complain(format_args!("the list of free envelopes is damaged at {next}"));
                break;
            }
            next = envelope.next.load(Relaxed);
        }
        let mut held_listed = 0;
        self.for_each_held(&mut |_, _| {
            held_listed += 1;
            true
        });
        let tally = self.tally();
        for (what, derived, counted) in [
            ("messages", tally.messages.load(Relaxed), messages),
            ("bytes", tally.bytes.load(Relaxed), bytes),
            (
                "live entries of the order",
                u64::from(header.order_live.load(Relaxed)),
                messages,
            ),
            ("envelopes listed as free", listed, free),
            ("messages listed as read in place", held_listed, held),
        ] {
            if derived != counted {
                complain(format_args!("{derived} {what}, but there are {counted}"));
            }
        }
    }

    /// Every unit that was given out is in one message's block, or in one free block.
    fn examine_heap(self, complain: &mut dyn FnMut(Arguments<'_>)) {
        let header = self.header();
        let mut blocks = PageVec::<(u32, u32)>::new();
        let mut live = 0;
        self.for_each_in_use(&mut |_, envelope| {
            let units = envelope.units.load(Relaxed);
            live = u32::saturating_add(live, units);
            let _ = blocks.push((envelope.position.load(Relaxed), units));
        });
        let mut most = 1 << 20;
        for class in 0..CLASSES {
            self.for_each_free_block(class, &mut |block| {
                most -= 1;
                let _ = blocks.push((block.position, block.units));
                most > 0
            });
        }
        blocks.as_mut_slice().sort_unstable();
        let blocks = blocks.as_slice();
        if blocks
            .windows(2)
            .any(|pair| pair[0].0.saturating_add(pair[0].1) > pair[1].0)
        {
            complain(format_args!("two blocks overlap"));
        }
        for (number, chunk) in header.heap_chunks.iter().enumerate() {
            let (len, start) = chunk_extent(number, FIRST_CHUNK);
            let inside = blocks.iter().filter(|block| block.0 >= start && block.0 - start < len);
            let filled = u64::from(chunk.filled.load(Relaxed));
            let known: u64 = inside.map(|block| u64::from(block.1)).sum();
            if chunk.at.load(Relaxed) == 0 && (filled != 0 || known != 0) || filled != known {
                complain(format_args!(
                    "heap chunk {number}: {filled} units were given out, {known} are known"
                ));
            }
        }
        if header.live_units.load(Relaxed) != live {
            complain(format_args!(
                "{} units counted as in use, but {live} are",
                header.live_units.load(Relaxed)
            ));
        }
    }
}
