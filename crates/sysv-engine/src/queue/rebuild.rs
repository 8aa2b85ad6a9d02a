//! What is derived, rebuilt from what commits: by whoever takes the lock over from a dead owner, and in part when free space
//! is scattered or a message goes back to its place.
//!
//! Every step may be killed and done again: until the last, [`Header::dirty`](super::layout::Header::dirty) says that it
//! must be.

use core::sync::atomic::Ordering::{Acquire, Relaxed, Release};

use super::contents::{Contents, raise};
use super::ground::Ground;
use super::heap::Block;
use super::lane::POSTED;
use super::layout::{Envelope, FIRST_CHUNK, FREE, GRANTED, HELD, LOOK, WAITERS, chunk_extent, in_chunks};
use crate::errno::{Errno, Result};
use crate::lock::Tag;
use crate::page_vec::PageVec;

impl<'g, G: Ground> Contents<'g, G> {
    /// Brings the queue from any state that a killed process can leave to a consistent one.
    ///
    /// # Errors
    /// `ENOMEM` if there is no memory to sort in; the next holder of the lock tries again.
    #[cold]
    pub(crate) fn rebuild(self, alive: &dyn Fn(Tag) -> bool) -> Result<()> {
        let header = self.header();
        header.dirty.store(1, Relaxed);
        self.finish_moving();
        self.rebuild_waiters(alive)?;
        self.rebuild_envelopes(alive);
        self.join_free_space()?;
        self.rebuild_order()?;
        self.finish_bookkeeping();
        header.dirty.store(0, Release);
        self.rouse_all();
        Ok(())
    }

    fn rebuild_waiters(self, alive: &dyn Fn(Tag) -> bool) -> Result<()> {
        let header = self.header();
        let high = header.waiter_high.load(Relaxed).min(header.waiter_backed.load(Relaxed));
        let high = high.min(WAITERS as u32);
        let mut waiting = PageVec::<(u64, u32)>::new();
        for ends in [&header.receivers, &header.senders] {
            ends.first.store(0, Relaxed);
            ends.last.store(0, Relaxed);
        }
        let (mut free, mut granted) = (0, 0);
        for number in (0..high).rev() {
            let Some(waiter) = self.waiter(number) else { continue };
            let state = waiter.state.load(Acquire);
            if state != FREE && Tag::from_word(waiter.owner.load(Relaxed)).is_some_and(alive) {
                waiting.push((waiter.ticket.load(Relaxed), number))?;
                if self.granted(waiter).is_some() {
                    granted += 1;
                } else if state == GRANTED {
                    waiter.state.store(LOOK, Relaxed);
                }
            } else {
                waiter.state.store(FREE, Relaxed);
                waiter.next.store(free, Relaxed);
                free = number + 1;
            }
        }
        header.free_waiter.store(free, Relaxed);
        header.granted.store(granted, Relaxed);
        waiting.as_mut_slice().sort_unstable();
        for &(ticket, number) in waiting.as_slice() {
            if let Some(waiter) = self.waiter(number) {
                self.link_last(number, waiter);
            }
            let next = header.next_ticket.load(Relaxed).max(ticket.wrapping_add(1));
            header.next_ticket.store(next, Relaxed);
        }
        Ok(())
    }

    fn rebuild_envelopes(self, alive: &dyn Fn(Tag) -> bool) {
        let header = self.header();
        header.free_envelope.store(0, Relaxed);
        header.held.store(0, Relaxed);
        self.for_each_envelope(&mut |number, envelope| {
            let state = envelope.state.load(Acquire);
            if state == 0 || self.believable(number, envelope).is_none() || self.is_abandoned(envelope, alive) {
                envelope.state.store(0, Relaxed);
                envelope.next.store(header.free_envelope.load(Relaxed), Relaxed);
                header.free_envelope.store(number + 1, Relaxed);
            } else if state & HELD != 0 {
                self.link_held(number, envelope);
            }
        });
    }

    /// Makes the heap's lists anew, so that neighbouring free blocks are one.
    ///
    /// # Errors
    /// `ENOMEM` if there is no memory to sort in.
    #[cold]
    pub(super) fn join_free_space(self) -> Result<()> {
        let mut blocks = PageVec::<(u32, u32)>::new();
        let mut failed = false;
        self.for_each_in_use(&mut |_, envelope| {
            let block = (envelope.position.load(Relaxed), envelope.units.load(Relaxed));
            failed |= blocks.push(block).is_err();
        });
        if failed {
            return Err(Errno::ENOMEM);
        }
        blocks.as_mut_slice().sort_unstable();
        let header = self.header();
        let filled: [u32; super::layout::HEAP_CHUNKS] =
            core::array::from_fn(|chunk| header.heap_chunks[chunk].filled.load(Relaxed));
        self.empty_heap();
        let mut live = 0u32;
        let mut blocks = blocks.as_slice().iter().peekable();
        for (number, chunk) in header.heap_chunks.iter().enumerate() {
            let (len, start) = chunk_extent(number, FIRST_CHUNK);
            let backed = chunk.backed.load(Relaxed).min(len);
            let mut cursor = 0;
            while let Some(&&(position, units)) = blocks.peek() {
                let (of, place, _) = in_chunks(position, FIRST_CHUNK);
                if of != number {
                    break;
                }
                blocks.next();
                live = live.saturating_add(units);
                // Pages that nobody has backed stay out of the lists, whatever an envelope says.
                if place > cursor && place <= backed.max(filled[number]) {
                    self.push(Block {
                        position: start + cursor,
                        units: place - cursor,
                    });
                }
                cursor = cursor.max(place.saturating_add(units));
            }
            chunk.filled.store(cursor.min(len), Relaxed);
        }
        header.live_units.store(live, Relaxed);
        Ok(())
    }

    /// Makes the order anew, from all messages but those given to waiting receivers, and counts them.
    ///
    /// # Errors
    /// `ENOMEM` if there is no memory.
    #[cold]
    pub(super) fn rebuild_order(self) -> Result<()> {
        let header = self.header();
        // Pairs, as blocks are: sorting another type would make the library eight thousand bytes larger.
        let mut given = PageVec::<(u32, u32)>::new();
        let mut failed = false;
        for waiter in &self.ground.window().waiters[..(header.waiter_high.load(Relaxed) as usize).min(WAITERS)] {
            if waiter.state.load(Relaxed) == GRANTED
                && let Some(number) = waiter.grant.load(Relaxed).checked_sub(1)
            {
                failed |= given.push((number, 0)).is_err();
            }
        }
        given.as_mut_slice().sort_unstable();
        let mut messages = PageVec::<(u64, u32)>::new();
        self.for_each_in_use(&mut |number, envelope| {
            let state = envelope.state.load(Relaxed);
            if state & HELD == 0 && given.as_slice().binary_search(&(number, 0)).is_err() {
                let entry = (state, number);
                failed |= messages.push(entry).is_err();
            }
        });
        if failed {
            return Err(Errno::ENOMEM);
        }
        messages.as_mut_slice().sort_unstable();
        self.make_order_hold(messages.as_slice().len())?;
        let mut bytes = 0u64;
        let in_order = messages.as_slice().iter().filter_map(|&(_, number)| {
            let envelope: &Envelope = self.envelope(number)?;
            bytes = bytes.saturating_add(envelope.len.load(Relaxed));
            Some((envelope.kind.load(Relaxed), number))
        });
        self.refill_order(in_order);
        let tally = self.tally();
        tally.messages.store(messages.as_slice().len() as u64, Relaxed);
        tally.bytes.store(bytes, Relaxed);
        Ok(())
    }

    /// Says of the last sending and the last receipt what their killed process may have left unsaid.
    fn finish_bookkeeping(self) {
        let header = self.header();
        let tally = self.tally();
        let taking = header.taking.load(Relaxed);
        let taken_in_lane = header.posts_taken.load(Relaxed);
        let (mut taken, mut last) = (
            taking != 0 && taking != POSTED | u64::from(taken_in_lane),
            None::<(u64, u64, i64)>,
        );
        self.for_each_in_use(&mut |_, envelope| {
            let state = envelope.state.load(Relaxed);
            let sequence = state & !HELD;
            taken &= state != taking;
            if last.is_none_or(|(highest, ..)| sequence > highest) {
                let (sender, sent_at) = (envelope.sender.load(Relaxed), envelope.sent_at.load(Relaxed));
                last = Some((sequence, sender, sent_at));
            }
        });
        if taken {
            tally.receiver.store(header.taker.load(Relaxed), Relaxed);
            raise(&tally.received_at, header.taken_at.load(Relaxed));
        } else if taking & POSTED != 0 {
            // Another may take that message, or move it.
            header.taking.store(0, Relaxed);
        }
        if let Some((sequence, sender, sent_at)) = last {
            let next = header.next_sequence.load(Relaxed);
            if sequence.wrapping_add(1) >= next {
                tally.sender.store(sender, Relaxed);
                raise(&tally.sent_at, sent_at);
            }
            header.next_sequence.store(next.max(sequence.wrapping_add(1)), Relaxed);
        }
    }
}
