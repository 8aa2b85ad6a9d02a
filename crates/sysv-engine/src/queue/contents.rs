//! A queue's contents, its lock held: messages in order, the envelopes and blocks they are made of.

#![allow(unsafe_code)]

use core::sync::atomic::Ordering::{Acquire, Relaxed, Release};
use core::sync::atomic::{AtomicI64, AtomicU32, AtomicU64};

use super::ground::{Ground, Piece};
use super::heap::Block;
use super::layout::{ENVELOPE_CHUNKS, Envelope, FIRST_ENVELOPES, HELD, Header, Tally, WINDOW, chunk_extent, in_chunks};
use crate::abi::PAGE_SIZE;
use crate::errno::{Errno, Result};

/// A queue whose lock the holder of this has.
pub(crate) struct Contents<'g, G: Ground> {
    pub(super) ground: &'g G,
    // Of the ground, where it would have to be looked up each time.
    header: &'g Header,
}

// By hand: a ground need not be `Copy`. Two words, passed by value, so that they stay in registers.
impl<G: Ground> Clone for Contents<'_, G> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<G: Ground> Copy for Contents<'_, G> {}

/// A message as it stands in the queue. What its envelope says has been checked: the bytes are there.
#[derive(Clone, Copy)]
pub(crate) struct Message<'g> {
    /// Its envelope, by its number.
    pub number: u32,
    pub envelope: &'g Envelope,
    /// Its type.
    pub kind: i64,
    /// Bytes.
    pub len: usize,
    /// The block that they are in.
    pub block: Block,
    /// Where they are, for as long as the lock is held and the message stays.
    pub bytes: *mut u8,
}

/// Who sends or receives, and when, for the queue's bookkeeping.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Party {
    /// [`Identity`](crate::identity::Identity) as a word.
    pub identity: u64,
    /// Seconds since the Epoch.
    pub now: i64,
}

impl<'g, G: Ground> Contents<'g, G> {
    /// The contents, for whoever holds the queue's lock.
    #[inline(always)]
    pub(crate) fn held(ground: &'g G) -> Self {
        Contents {
            ground,
            header: &ground.window().header,
        }
    }

    #[inline(always)]
    pub(super) fn header(self) -> &'g Header {
        self.header
    }

    #[inline(always)]
    pub(crate) fn tally(self) -> &'g Tally {
        self.ground.tally()
    }

    /// Where the queue is.
    #[inline]
    pub(super) fn ground(self) -> &'g G {
        self.ground
    }

    /// Whether a message of so many bytes fits: by bytes, and by number of messages, as Linux has it.
    #[inline]
    pub(crate) fn has_room(self, len: usize) -> bool {
        let tally = self.tally();
        let capacity = tally.capacity.load(Relaxed);
        let fits = |used: u64, more: u64| used.checked_add(more).is_some_and(|sum| sum <= capacity);
        fits(tally.bytes.load(Relaxed), len as u64) && fits(tally.messages.load(Relaxed), 1)
    }

    /// Counts messages put in.
    pub(super) fn arrivals(self) -> u32 {
        self.header().arrivals.load(Relaxed)
    }

    /// Counts messages taken out.
    pub(super) fn departures(self) -> u32 {
        self.header().departures.load(Relaxed)
    }

    /// Whether receivers were given messages that they have not taken yet.
    #[inline]
    pub(crate) fn has_grants(self) -> bool {
        self.header().granted.load(Relaxed) != 0
    }

    /// Makes a message of `len` bytes that `fill` writes, and puts it into the queue in one store: `deliver` then sees it
    /// and says whether it goes to the end of the order.
    ///
    /// # Errors
    /// `ENOMEM` if there is no memory; `fill`'s.
    #[inline(always)]
    pub(crate) fn put(
        self,
        kind: i64,
        len: usize,
        from: Party,
        fill: impl FnOnce(*mut u8) -> Result<()>,
        deliver: impl FnOnce(u32) -> bool,
    ) -> Result<()> {
        let header = self.header();
        self.reserve_order()?;
        let (number, envelope) = self.free_envelope()?;
        let (block, bytes) = self.allocate(len)?;
        if let Err(errno) = fill(bytes) {
            self.give_back(block, Some(bytes));
            return Err(errno);
        }
        header.free_envelope.store(envelope.next.load(Relaxed), Relaxed);
        envelope.kind.store(kind, Relaxed);
        envelope.position.store(block.position, Relaxed);
        envelope.units.store(block.units, Relaxed);
        envelope.len.store(len as u64, Relaxed);
        envelope.sender.store(from.identity, Relaxed);
        envelope.sent_at.store(from.now, Relaxed);
        let sequence = self.next_sequence();
        header.next_sequence.store(sequence.wrapping_add(1), Relaxed);
        // The message is in the queue from here, with its bytes.
        envelope.state.store(sequence, Release);
        let tally = self.tally();
        tally.sender.store(from.identity, Relaxed);
        tally.sent_at.store(from.now, Relaxed);
        if deliver(number) {
            self.append(kind, number);
            add(&tally.messages, 1);
            add(&tally.bytes, len as u64);
        }
        add32(&header.arrivals, 1);
        self.ground.expect(envelope, bytes);
        Ok(())
    }

    /// The next message's place in the sequence of arrivals.
    #[inline(always)]
    pub(super) fn next_sequence(self) -> u64 {
        (self.header().next_sequence.load(Relaxed) & !HELD).max(1)
    }

    /// Takes a message for good: one store. Its bytes must have been copied. `counted` says that it was in the order, and
    /// where.
    #[inline(always)]
    pub(crate) fn take(self, message: &Message<'g>, by: Party, counted: Option<u32>) {
        self.receive(message, by, counted, 0);
        self.free(message.number, message.envelope, message.block, Some(message.bytes));
        self.ground.expect(message.envelope, message.bytes);
    }

    /// The receipt of a message: its envelope's state becomes 0, or says that the message is held.
    #[inline(always)]
    pub(super) fn receive(self, message: &Message<'g>, by: Party, counted: Option<u32>, state: u64) {
        let header = self.header();
        self.begin_taking(by, message.envelope.state.load(Relaxed));
        // The message is out of the queue from here.
        message.envelope.state.store(state, Release);
        let tally = self.tally();
        tally.receiver.store(by.identity, Relaxed);
        tally.received_at.store(by.now, Relaxed);
        if let Some(at) = counted {
            self.strike_out(at);
            subtract(&tally.messages, 1);
            subtract(&tally.bytes, message.len as u64);
            add32(&header.departures, 1);
        }
    }

    /// Says who is about to take which message, so that recovery can finish the bookkeeping. Each store after the one before
    /// it: of nobody it is said that he took another's.
    #[inline(always)]
    pub(super) fn begin_taking(self, by: Party, taking: u64) {
        let header = self.header();
        header.taking.store(0, Relaxed);
        header.taker.store(by.identity, Release);
        header.taken_at.store(by.now, Release);
        header.taking.store(taking, Release);
    }

    /// Frees an envelope that holds no message, and the block that it had.
    #[inline(always)]
    pub(super) fn free(self, number: u32, envelope: &Envelope, block: Block, bytes: Option<*mut u8>) {
        let header = self.header();
        envelope.next.store(header.free_envelope.load(Relaxed), Relaxed);
        header.free_envelope.store(number + 1, Relaxed);
        self.give_back(block, bytes);
    }

    /// An envelope by its number, if it has been used.
    #[inline(always)]
    pub(super) fn envelope(self, number: u32) -> Option<&'g Envelope> {
        if number >= self.header().envelope_high.load(Relaxed) {
            return None;
        }
        let (chunk, place, len) = in_chunks(number, FIRST_ENVELOPES);
        self.envelope_at(chunk, len, place)
    }

    #[inline(always)]
    fn envelope_at(self, chunk: usize, len: u32, place: u32) -> Option<&'g Envelope> {
        let piece = Piece::Envelopes(chunk);
        let base = match self.ground.known(piece) {
            Some(base) => base,
            None => self.envelopes(chunk, len)?,
        };
        // SAFETY: the ground vouches for `len` envelopes at `base`, aligned, as long as the lock is held; `place` is below
        // `len`. An envelope holds atomics only, which any bytes are values of.
        Some(unsafe { &*base.cast::<Envelope>().add(place as usize) })
    }

    #[cold]
    fn envelopes(self, chunk: usize, len: u32) -> Option<*mut u8> {
        let at = self.header().envelope_chunks.get(chunk)?.load(Relaxed);
        let bytes = len as usize * size_of::<Envelope>();
        self.ground.piece(Piece::Envelopes(chunk), at, bytes)
    }

    /// The message in an envelope, if its envelope can be believed.
    #[inline(always)]
    pub(crate) fn message(self, number: u32) -> Option<Message<'g>> {
        let envelope = self.envelope(number)?;
        let state = envelope.state.load(Acquire);
        if state == 0 || state & HELD != 0 {
            return None;
        }
        self.believable(number, envelope)
    }

    /// What an envelope says, if its block is inside the heap.
    #[inline(always)]
    pub(super) fn believable(self, number: u32, envelope: &'g Envelope) -> Option<Message<'g>> {
        let block = Block::of(envelope);
        let len = envelope.len.load(Relaxed) as usize;
        if len > block.bytes() {
            return None;
        }
        Some(Message {
            number,
            envelope,
            kind: envelope.kind.load(Relaxed),
            len,
            block,
            bytes: self.address(block)?,
        })
    }

    /// The first free envelope, which the caller takes from the list.
    #[inline(always)]
    fn free_envelope(self) -> Result<(u32, &'g Envelope)> {
        match self.known_free_envelope() {
            Some(free) => Ok(free),
            None => self.new_envelope(),
        }
    }

    #[inline(always)]
    fn known_free_envelope(self) -> Option<(u32, &'g Envelope)> {
        let number = self.header().free_envelope.load(Relaxed).checked_sub(1)?;
        let envelope = self.envelope(number)?;
        (envelope.state.load(Relaxed) == 0).then_some((number, envelope))
    }

    /// An envelope that has never been used, at the head of the free list.
    #[cold]
    fn new_envelope(self) -> Result<(u32, &'g Envelope)> {
        let header = self.header();
        let number = header.envelope_high.load(Relaxed);
        if number >= header.envelope_backed.load(Relaxed)
            && self.bury_holders()
            && let Some(freed) = self.known_free_envelope()
        {
            return Ok(freed);
        }
        let (chunk, place, len) = in_chunks(number, FIRST_ENVELOPES);
        let at = header.envelope_chunks.get(chunk).ok_or(Errno::ENOMEM)?;
        if at.load(Relaxed) == 0 {
            at.store(self.new_piece(len as usize * size_of::<Envelope>())?, Relaxed);
        }
        let at = at.load(Relaxed);
        let backed = header.envelope_backed.load(Relaxed);
        if number >= backed {
            const STEP: u32 = (PAGE_SIZE / size_of::<Envelope>()) as u32;
            let from = at.checked_add(u64::from(place) * size_of::<Envelope>() as u64);
            self.ground.back(from.ok_or(Errno::ENOMEM)?, PAGE_SIZE as u64)?;
            header.envelope_backed.store(number + STEP, Relaxed);
        }
        let envelope = self.envelope_at(chunk, len, place).ok_or(Errno::ENOMEM)?;
        envelope.state.store(0, Relaxed);
        envelope.next.store(header.free_envelope.load(Relaxed), Relaxed);
        header.envelope_high.store(number + 1, Release);
        header.free_envelope.store(number + 1, Relaxed);
        Ok((number, envelope))
    }

    /// Room in the file for a piece that nobody has yet.
    pub(super) fn new_piece(self, bytes: usize) -> Result<u64> {
        let end = &self.header().end;
        let at = end.load(Relaxed).max(WINDOW as u64);
        let at = at.checked_next_multiple_of(PAGE_SIZE as u64).ok_or(Errno::ENOMEM)?;
        let after = at.checked_add(bytes as u64).ok_or(Errno::ENOMEM)?;
        if after > i64::MAX as u64 {
            return Err(Errno::ENOMEM);
        }
        self.ground.extend(after)?;
        end.store(after, Relaxed);
        Ok(at)
    }

    /// Calls `each` with every envelope whose block is in use, in no order.
    pub(super) fn for_each_in_use(self, each: &mut dyn FnMut(u32, &'g Envelope)) {
        self.for_each_envelope(&mut |number, envelope| {
            if envelope.state.load(Acquire) != 0 {
                each(number, envelope);
            }
        });
    }

    /// Calls `each` with every envelope that has been used, in no order. Bounded by what the file holds.
    pub(super) fn for_each_envelope(self, each: &mut dyn FnMut(u32, &'g Envelope)) {
        let header = self.header();
        let mut left = header
            .envelope_high
            .load(Relaxed)
            .min(header.envelope_backed.load(Relaxed));
        // A file that only says that it is long would get pages by being read.
        let held = self.ground.allocated() / size_of::<Envelope>() as u64;
        left = left.min(u32::try_from(held).unwrap_or(u32::MAX));
        for chunk in 0..ENVELOPE_CHUNKS {
            let (len, start) = chunk_extent(chunk, FIRST_ENVELOPES);
            for place in 0..len.min(left) {
                let Some(envelope) = self.envelope_at(chunk, len, place) else {
                    break;
                };
                each(start + place, envelope);
            }
            left = left.saturating_sub(len);
            if left == 0 {
                break;
            }
        }
    }
}

/// Adds to a counter that only the lock's holder writes.
#[inline(always)]
pub(super) fn add(counter: &AtomicU64, by: u64) {
    counter.store(counter.load(Relaxed).wrapping_add(by), Relaxed);
}

/// Takes from a counter that only the lock's holder writes, at most what is there.
#[inline(always)]
pub(super) fn subtract(counter: &AtomicU64, by: u64) {
    counter.store(counter.load(Relaxed).saturating_sub(by), Relaxed);
}

/// As [`add`].
#[inline(always)]
pub(super) fn add32(counter: &AtomicU32, by: u32) {
    counter.store(counter.load(Relaxed).wrapping_add(by), Relaxed);
}

/// As [`subtract`].
#[inline(always)]
pub(super) fn subtract32(counter: &AtomicU32, by: u32) {
    counter.store(counter.load(Relaxed).saturating_sub(by), Relaxed);
}

/// The later of two times.
pub(super) fn raise(time: &AtomicI64, to: i64) {
    time.store(time.load(Relaxed).max(to), Relaxed);
}
