//! Messages that have been received and are read where they are.
//!
//! Such a message is out of the queue, as any that was received; only its block stays in use, in the name of its receiver.
//! When that is dead the block is free: recovery sees to it, and so does whoever looks for memory.

use core::cell::Cell;
use core::sync::atomic::Ordering::{Acquire, Relaxed, Release};

use super::contents::{Contents, Message, Party};
use super::ground::Ground;
use super::heap::Block;
use super::layout::{Envelope, FIRST_CHUNK, HELD, in_chunks};
use crate::lock::Tag;

/// Steps through the list of those that are held: where it goes on for longer, the rest is looked after another time.
const MOST_HELD: u32 = 1 << 22;

/// A message that is held: what its envelope says as long as it is.
#[derive(Clone, Copy, Debug)]
pub(super) struct Hold {
    pub envelope: u32,
    /// What the envelope's state is.
    pub state: u64,
    pub holder: Tag,
    /// The heap's chunk that its bytes are in.
    pub chunk: usize,
}

impl<'g, G: Ground> Contents<'g, G> {
    /// Receives a message and leaves its bytes in use. `counted` says that it was in the order, and where.
    pub(super) fn hold(self, message: &Message<'g>, by: Party, holder: Tag, counted: Option<u32>) -> Hold {
        let envelope = message.envelope;
        let state = envelope.state.load(Relaxed) | HELD;
        envelope.holder.store(holder.word(), Relaxed);
        self.receive(message, by, counted, state);
        self.link_held(message.number, envelope);
        Hold {
            envelope: message.number,
            state,
            holder,
            chunk: in_chunks(message.block.position, FIRST_CHUNK).0,
        }
    }

    /// Frees what a message that is held no longer has.
    pub(super) fn release(self, hold: &Hold) {
        // Whatever else stands there is not this hold's.
        if let Some(envelope) = self.envelope(hold.envelope)
            && envelope.state.load(Acquire) == hold.state
            && envelope.holder.load(Relaxed) == hold.holder.word()
        {
            self.free_held(hold.envelope, envelope);
        }
    }

    /// As [`release`](Contents::release), where what is derived cannot be made whole: whoever can, frees the block.
    pub(super) fn abandon(self, hold: &Hold) {
        if let Some(envelope) = self.envelope(hold.envelope) {
            let _ = envelope.state.compare_exchange(hold.state, 0, Release, Relaxed);
        }
    }

    fn free_held(self, number: u32, envelope: &Envelope) {
        envelope.state.store(0, Release);
        let (prev, next) = (envelope.prev.load(Relaxed), envelope.next.load(Relaxed));
        let neighbour = |link: u32| link.checked_sub(1).and_then(|number| self.envelope(number));
        match neighbour(prev) {
            Some(neighbour) => neighbour.next.store(next, Relaxed),
            None => self.header().held.store(next, Relaxed),
        }
        if let Some(neighbour) = neighbour(next) {
            neighbour.prev.store(prev, Relaxed);
        }
        self.free(number, envelope, Block::of(envelope), None);
    }

    pub(super) fn link_held(self, number: u32, envelope: &Envelope) {
        let held = &self.header().held;
        let next = held.load(Relaxed);
        envelope.prev.store(0, Relaxed);
        envelope.next.store(next, Relaxed);
        if let Some(next) = next.checked_sub(1).and_then(|number| self.envelope(number)) {
            next.prev.store(number + 1, Relaxed);
        }
        held.store(number + 1, Relaxed);
    }

    /// Whether an envelope's message is held by a dead process.
    pub(super) fn is_abandoned(self, envelope: &Envelope, alive: &dyn Fn(Tag) -> bool) -> bool {
        envelope.state.load(Acquire) & HELD != 0
            && !Tag::from_exact_word(envelope.holder.load(Relaxed)).is_some_and(alive)
    }

    /// Calls `each` with the envelopes that are held until it returns `false`. Bounded, whatever the list holds.
    pub(super) fn for_each_held(self, each: &mut dyn FnMut(u32, &'g Envelope) -> bool) {
        let mut link = self.header().held.load(Relaxed);
        for _ in 0..self.header().envelope_high.load(Relaxed).min(MOST_HELD) {
            let Some(number) = link.checked_sub(1) else { return };
            let Some(envelope) = self.envelope(number) else { return };
            // Before `each`, which may free it.
            link = envelope.next.load(Relaxed);
            // A list that leads elsewhere is not as the lock's holders leave it.
            if envelope.state.load(Acquire) & HELD == 0 || !each(number, envelope) {
                return;
            }
        }
    }

    /// Frees what dead processes hold; says whether that was anything.
    pub(super) fn bury_holders(self) -> bool {
        self.header().held.load(Relaxed) != 0 && self.bury_dead_holders()
    }

    #[cold]
    fn bury_dead_holders(self) -> bool {
        let mut freed = false;
        // Of many messages most are one process's.
        let last = Cell::new(None::<(Tag, bool)>);
        let alive = |tag| match last.get() {
            Some((known, alive)) if known == tag => alive,
            _ => {
                let alive = self.ground.is_alive(tag);
                last.set(Some((tag, alive)));
                alive
            }
        };
        self.for_each_held(&mut |number, envelope| {
            if self.is_abandoned(envelope, &alive) {
                self.free_held(number, envelope);
                freed = true;
            }
            true
        });
        freed
    }
}
