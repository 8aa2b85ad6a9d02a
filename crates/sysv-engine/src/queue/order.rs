//! The order in which messages arrived, as an array that is searched from its start.
//!
//! A message taken from the middle leaves a hole; holes at both ends go at once, the others when there are more of them than
//! messages, or the array is full. The array is derived from the envelopes' sequence numbers.

#![allow(unsafe_code)]

use core::sync::atomic::Ordering::Relaxed;

use super::contents::{Contents, Message, add32};
use super::ground::{Ground, Piece};
use super::layout::{Envelope, OrderEntry};
use super::selection::Selection;
use crate::abi::PAGE_SIZE;
use crate::errno::{Errno, Result};

/// Entries of the first array: one page.
const FIRST_CAPACITY: usize = PAGE_SIZE / size_of::<OrderEntry>();
/// Entries that lead nowhere, in one search, before the order is made anew.
const MOST_STRUCK: usize = 64;
/// Holes that a search may pass, where there are not more messages than that.
const MOST_HOLES: usize = 64;
/// No queue has more messages.
const LARGEST_CAPACITY: usize = 1 << 30;

impl<'g, G: Ground> Contents<'g, G> {
    /// The array, as long as it is mapped.
    #[inline(always)]
    fn order(self) -> &'g [OrderEntry] {
        let header = self.header();
        let capacity = header.order_capacity.load(Relaxed) as usize;
        self.order_at(header.order_at.load(Relaxed), capacity)
    }

    #[inline(always)]
    fn order_at(self, at: u64, capacity: usize) -> &'g [OrderEntry] {
        if at == 0 || capacity > LARGEST_CAPACITY {
            return &[];
        }
        match self.ground.piece(Piece::Order, at, capacity * size_of::<OrderEntry>()) {
            // SAFETY: `piece` vouches for `capacity` entries at `base`, aligned, as long as the lock is held. Entries are
            // atomics, which any bytes are values of.
            Some(base) => unsafe { core::slice::from_raw_parts(base.cast::<OrderEntry>(), capacity) },
            None => &[],
        }
    }

    /// The entries in use, and the number of the first.
    #[inline(always)]
    fn used(self) -> (usize, &'g [OrderEntry]) {
        let order = self.order();
        let tail = (self.header().order_tail.load(Relaxed) as usize).min(order.len());
        let head = (self.header().order_head.load(Relaxed) as usize).min(tail);
        (head, &order[head..tail])
    }

    /// Makes sure that the next [`append`](Contents::append) finds room.
    ///
    /// # Errors
    /// `ENOMEM` if there is no memory.
    #[inline(always)]
    pub(super) fn reserve_order(self) -> Result<()> {
        if (self.header().order_tail.load(Relaxed) as usize) < self.order().len() {
            return Ok(());
        }
        self.make_room_in_order()
    }

    #[cold]
    fn make_room_in_order(self) -> Result<()> {
        let header = self.header();
        let order = self.order();
        let live = (header.order_live.load(Relaxed) as usize).min(order.len());
        if live < order.len() / 2 {
            self.close_holes(order);
            return Ok(());
        }
        // Mapping a longer array unmaps this one, so the entries come from the envelopes again.
        header.dirty.store(1, Relaxed);
        self.make_order_hold(order.len() + 1)?;
        self.rebuild_order()?;
        header.dirty.store(0, Relaxed);
        if (header.order_tail.load(Relaxed) as usize) < self.order().len() {
            Ok(())
        } else {
            Err(Errno::ENOMEM)
        }
    }

    /// Makes sure that the array has more entries than that; if it was too short, the new one is empty.
    pub(super) fn make_order_hold(self, count: usize) -> Result<()> {
        if count < self.order().len() {
            return Ok(());
        }
        let capacity = (count + 1).next_power_of_two().max(FIRST_CAPACITY);
        if capacity > LARGEST_CAPACITY {
            return Err(Errno::ENOMEM);
        }
        let bytes = capacity * size_of::<OrderEntry>();
        let at = self.new_piece(bytes)?;
        self.ground.back(at, bytes as u64)?;
        let header = self.header();
        header.order_tail.store(0, Relaxed);
        header.order_capacity.store(0, Relaxed);
        header.order_at.store(at, Relaxed);
        header.order_capacity.store(capacity as u32, Relaxed);
        Ok(())
    }

    fn close_holes(self, order: &[OrderEntry]) {
        let header = self.header();
        let tail = (header.order_tail.load(Relaxed) as usize).min(order.len());
        let mut to = 0;
        for from in 0..tail {
            let kind = order[from].kind.load(Relaxed);
            if kind != 0 {
                let envelope = order[from].envelope.load(Relaxed);
                order[to].envelope.store(envelope, Relaxed);
                order[to].kind.store(kind, Relaxed);
                to += 1;
            }
        }
        header.order_head.store(0, Relaxed);
        header.order_tail.store(to as u32, Relaxed);
        header.order_live.store(to as u32, Relaxed);
    }

    /// Puts an envelope at the end.
    #[inline(always)]
    pub(super) fn append(self, kind: i64, envelope: u32) {
        let header = self.header();
        let tail = header.order_tail.load(Relaxed);
        if let Some(entry) = self.order().get(tail as usize) {
            entry.envelope.store(envelope, Relaxed);
            entry.kind.store(kind, Relaxed);
            header.order_tail.store(tail + 1, Relaxed);
            add32(&header.order_live, 1);
        }
    }

    /// Makes a hole.
    #[inline(always)]
    pub(super) fn strike_out(self, at: u32) {
        let header = self.header();
        let order = self.order();
        let Some(entry) = order.get(at as usize) else { return };
        entry.kind.store(0, Relaxed);
        let live = header.order_live.load(Relaxed).saturating_sub(1);
        header.order_live.store(live, Relaxed);
        if live == 0 {
            header.order_head.store(0, Relaxed);
            header.order_tail.store(0, Relaxed);
            return;
        }
        self.skip_holes(order, at, live);
    }

    /// Leaves out the holes at the ends, one of which may be at `at`, and closes the others if there are many.
    fn skip_holes(self, order: &[OrderEntry], at: u32, live: u32) {
        let header = self.header();
        let tail = (header.order_tail.load(Relaxed) as usize).min(order.len());
        let mut head = (header.order_head.load(Relaxed) as usize).min(tail);
        if at as usize == head {
            while head < tail && order[head].kind.load(Relaxed) == 0 {
                head += 1;
            }
            header.order_head.store(head as u32, Relaxed);
        } else if at as usize + 1 == tail {
            let mut tail = tail;
            while tail > head && order[tail - 1].kind.load(Relaxed) == 0 {
                tail -= 1;
            }
            header.order_tail.store(tail as u32, Relaxed);
        } else if (tail - head).saturating_sub(live as usize) > MOST_HOLES.max(live as usize) {
            // Paid for by as many receipts, so that nobody searches a long row of holes each time.
            self.close_holes(order);
        }
    }

    /// The message that a receiver wants, and its place in the order.
    #[inline(always)]
    pub(crate) fn find(self, selection: Selection) -> Option<(u32, Message<'g>)> {
        // The first entry is no hole, as a rule.
        if selection == Selection::Any
            && let (first, [entry, ..]) = self.used()
            && entry.kind.load(Relaxed) != 0
            && let Some(message) = self.message(entry.envelope.load(Relaxed))
        {
            return Some((first as u32, message));
        }
        self.find_by_search(selection)
    }

    fn find_by_search(self, selection: Selection) -> Option<(u32, Message<'g>)> {
        for _ in 0..MOST_STRUCK {
            let at = self.search(selection)?;
            let entry = self.order().get(at)?;
            match self.message(entry.envelope.load(Relaxed)) {
                Some(message) if selection.admits(message.kind) || matches!(selection, Selection::Position(_)) => {
                    return Some((at as u32, message));
                }
                // Not what an honest member wrote.
                _ => self.strike_out(at as u32),
            }
        }
        // Each entry that is struck costs a search. The whole order is no good.
        self.header().dirty.store(1, Relaxed);
        None
    }

    /// The envelopes in the order, first come first.
    pub(super) fn in_order(self) -> impl Iterator<Item = (u32, &'g Envelope)> {
        let (_, entries) = self.used();
        entries
            .iter()
            .filter(|entry| entry.kind.load(Relaxed) != 0)
            .filter_map(move |entry| {
                let number = entry.envelope.load(Relaxed);
                Some((number, self.envelope(number)?))
            })
    }

    #[inline]
    fn search(self, selection: Selection) -> Option<usize> {
        let (first, entries) = self.used();
        let kinds = || entries.iter().map(|entry| entry.kind.load(Relaxed));
        let place = match selection {
            Selection::Any => kinds().position(|kind| kind != 0),
            Selection::Exactly(wanted) => kinds().position(|kind| kind == wanted),
            Selection::Except(unwanted) => kinds().position(|kind| kind != 0 && kind != unwanted),
            Selection::AtMost(bound) => {
                let mut best: Option<(usize, i64)> = None;
                for (place, kind) in kinds().enumerate() {
                    if kind != 0 && kind <= bound && best.is_none_or(|(_, lowest)| kind < lowest) {
                        best = Some((place, kind));
                        if kind == 1 {
                            break;
                        }
                    }
                }
                best.map(|(place, _)| place)
            }
            Selection::Position(number) => {
                let number = usize::try_from(number).ok()?;
                kinds()
                    .enumerate()
                    .filter(|(_, kind)| *kind != 0)
                    .nth(number)
                    .map(|(place, _)| place)
            }
        };
        place.map(|place| first + place)
    }

    /// Replaces the order by these envelopes.
    pub(super) fn refill_order(self, envelopes: impl Iterator<Item = (i64, u32)>) {
        let header = self.header();
        header.order_head.store(0, Relaxed);
        header.order_tail.store(0, Relaxed);
        header.order_live.store(0, Relaxed);
        for (kind, envelope) in envelopes {
            self.append(kind, envelope);
        }
    }
}
