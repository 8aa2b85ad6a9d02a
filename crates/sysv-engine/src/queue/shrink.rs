//! Giving memory back when a queue that was large is empty.
//!
//! Some stays, so that a queue in use does not pay for it at every turn; and no more than once a second, so that very long messages that
//! pass one by one do not either. The order array stays: sixteen bytes for each message of the longest row there was, doubled at
//! most.

use core::sync::atomic::Ordering::Relaxed;

use super::contents::Contents;
use super::ground::Ground;
use super::layout::{Envelope, FIRST_CHUNK, FIRST_ENVELOPES, UNIT, chunk_extent};

/// Units of the heap that stay: 4 MiB.
const KEPT_UNITS: u32 = (4 << 20) / UNIT as u32;
/// Envelopes that stay: 256 KiB of them. Where a chunk begins.
const KEPT_ENVELOPES: u32 = 4096;

impl<G: Ground> Contents<'_, G> {
    /// Gives back what an empty queue need not keep. No block is in use.
    #[inline]
    pub(super) fn shrink(self) {
        let header = self.header();
        let heap_is_large =
            header.heap_chunks.iter().enumerate().any(|(chunk, place)| {
                chunk_extent(chunk, FIRST_CHUNK).1 >= KEPT_UNITS && place.backed.load(Relaxed) != 0
            });
        if (heap_is_large || header.envelope_backed.load(Relaxed) > KEPT_ENVELOPES)
            && header.shrunk_at.load(Relaxed) != header.taken_at.load(Relaxed)
        {
            self.shrink_now();
        }
    }

    #[cold]
    fn shrink_now(self) {
        let header = self.header();
        header.shrunk_at.store(header.taken_at.load(Relaxed), Relaxed);
        for (chunk, place) in header.heap_chunks.iter().enumerate() {
            let (len, start) = chunk_extent(chunk, FIRST_CHUNK);
            let backed = place.backed.load(Relaxed).min(len);
            if start >= KEPT_UNITS && backed != 0 {
                // First said, then done: touching what is not there might find no memory.
                place.backed.store(0, Relaxed);
                self.ground
                    .discard(place.at.load(Relaxed), u64::from(backed) * UNIT as u64);
            }
        }
        let backed = header.envelope_backed.load(Relaxed);
        if backed <= KEPT_ENVELOPES {
            return;
        }
        // None holds a message: they are made anew as they are needed.
        header.free_envelope.store(0, Relaxed);
        header.envelope_high.store(0, Relaxed);
        header.envelope_backed.store(KEPT_ENVELOPES, Relaxed);
        for (chunk, at) in header.envelope_chunks.iter().enumerate() {
            let (len, start) = chunk_extent(chunk, FIRST_ENVELOPES);
            let at = at.load(Relaxed);
            if start >= KEPT_ENVELOPES && at != 0 {
                self.ground.discard(at, u64::from(len) * size_of::<Envelope>() as u64);
            }
        }
    }
}
