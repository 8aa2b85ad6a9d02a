//! Blocks for messages' bytes.
//!
//! A block is a run of units of 64 bytes within one chunk. Freed blocks wait in a list for each size, so that a block costs
//! a few instructions in the usual case. Sizes are one to eight units, then four sizes for each doubling, so that at most a fifth
//! of a block is wasted. When lists do not serve and half of what was given out is free, free space is joined anew
//! ([`super::rebuild`]); when nothing is left in use, everything is free at once. Which blocks are in use stands in the
//! envelopes alone: nothing here has to survive.

#![allow(unsafe_code)]

use core::sync::atomic::AtomicU32;
use core::sync::atomic::Ordering::Relaxed;

use super::contents::{Contents, add32};
use super::ground::{Ground, Piece};
use super::layout::{CLASSES, Envelope, FIRST_CHUNK, HEAP_CHUNKS, UNIT, chunk_extent, in_chunks};
use crate::abi::PAGE_SIZE;
use crate::errno::{Errno, Result};

/// The longest block, in units: 4 GiB.
const LONGEST: u32 = 1 << 26;
/// Free space is joined once so many units were freed, at the least.
const WORTH_JOINING: u32 = 1024;

/// A block of the heap.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Block {
    /// Its first unit.
    pub position: u32,
    /// Its length in units.
    pub units: u32,
}

impl Block {
    /// The one that an envelope names.
    #[inline(always)]
    pub(super) fn of(envelope: &Envelope) -> Block {
        Block {
            position: envelope.position.load(Relaxed),
            units: envelope.units.load(Relaxed),
        }
    }

    pub(crate) fn bytes(self) -> usize {
        self.units as usize * UNIT
    }
}

/// Which of the file's pages a block may be made of.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Pages {
    /// Those that it has.
    There,
    /// Also those that it must be given.
    New,
}

/// The class of the smallest blocks that have so many units.
#[inline]
fn class_of(units: u32) -> usize {
    if units <= 8 {
        return units.saturating_sub(1) as usize;
    }
    let shift = (units - 1).ilog2() - 2;
    8 + (shift as usize - 1) * 4 + ((units - 1) >> shift) as usize - 4
}

/// The length of a class's blocks, in units.
#[inline]
fn size_of_class(class: usize) -> u32 {
    if class < 8 {
        return class as u32 + 1;
    }
    let shift = (class - 8) / 4 + 1;
    (((class - 8) % 4) as u32 + 5) << shift
}

/// The class of the largest blocks that have at most so many units.
fn class_within(units: u32) -> usize {
    let class = class_of(units.min(LONGEST)).min(CLASSES - 1);
    if size_of_class(class) > units { class - 1 } else { class }
}

impl<'g, G: Ground> Contents<'g, G> {
    /// A block for so many bytes, and where it is.
    ///
    /// # Errors
    /// `ENOMEM` if there is no memory.
    #[inline(always)]
    pub(super) fn allocate(self, bytes: usize) -> Result<(Block, *mut u8)> {
        let wanted = bytes.div_ceil(UNIT);
        if wanted > LONGEST as usize {
            return Err(Errno::ENOMEM);
        }
        let class = class_of(wanted as u32);
        let (block, address) = match self.pop_with_address(class) {
            Some(found) => found,
            None => {
                let block = self.allocate_slowly(class)?;
                (block, self.address(block).ok_or(Errno::ENOMEM)?)
            }
        };
        add32(&self.header().live_units, block.units);
        Ok((block, address))
    }

    #[cold]
    fn allocate_slowly(self, class: usize) -> Result<Block> {
        let units = size_of_class(class);
        if let Some(block) = self.fill_up(units, Pages::There)? {
            return Ok(block);
        }
        if self.bury_holders()
            && let Some(block) = self.pop(class).or_else(|| self.split(class))
        {
            return Ok(block);
        }
        if let Some(block) = self.fill_up(units, Pages::New)? {
            return Ok(block);
        }
        if let Some(block) = self.split(class) {
            return Ok(block);
        }
        let freed = self.header().freed_units.load(Relaxed);
        if freed >= WORTH_JOINING && freed >= self.header().live_units.load(Relaxed) {
            self.join_free_space()?;
            if let Some(block) = self.pop(class) {
                return Ok(block);
            }
            if let Some(block) = self.fill_up(units, Pages::New)? {
                return Ok(block);
            }
            if let Some(block) = self.split(class) {
                return Ok(block);
            }
        }
        self.add_chunk(units)?;
        self.fill_up(units, Pages::New)?.ok_or(Errno::ENOMEM)
    }

    #[inline(always)]
    fn push_at(self, block: Block, class: usize, address: *mut u8) {
        if let Some(head) = self.header().free_blocks.get(class) {
            self.link_at(address).store(head.load(Relaxed), Relaxed);
            head.store(block.position.wrapping_add(1), Relaxed);
        }
    }

    /// Gives a block back; `address` is where it is, if that is known.
    #[inline(always)]
    pub(super) fn give_back(self, block: Block, address: Option<*mut u8>) {
        let header = self.header();
        let live = header.live_units.load(Relaxed).saturating_sub(block.units);
        header.live_units.store(live, Relaxed);
        let freed = header.freed_units.load(Relaxed).wrapping_add(block.units);
        header.freed_units.store(freed, Relaxed);
        if live == 0 && freed >= WORTH_JOINING {
            return self.give_back_all();
        }
        // The usual case: a block of a class's size, as it was given out.
        let class = class_of(block.units.min(LONGEST));
        match address.or_else(|| self.address(block)) {
            Some(address) if size_of_class(class) == block.units => self.push_at(block, class, address),
            _ => self.push(block),
        }
    }

    #[cold]
    fn give_back_all(self) {
        self.empty_heap();
        self.shrink();
    }

    /// Where a block is, if all of it is there.
    #[inline(always)]
    pub(super) fn address(self, block: Block) -> Option<*mut u8> {
        let (chunk, place, len) = in_chunks(block.position, FIRST_CHUNK);
        if block.units > len - place {
            return None;
        }
        let base = match self.ground.known(Piece::Heap(chunk)) {
            Some(base) => base,
            None => self.chunk(chunk, len)?,
        };
        // SAFETY: the ground vouches for `len` units at `base`; `place` is below `len`.
        Some(unsafe { base.add(place as usize * UNIT) })
    }

    #[cold]
    fn chunk(self, chunk: usize, len: u32) -> Option<*mut u8> {
        let at = self.header().heap_chunks.get(chunk)?.at.load(Relaxed);
        self.ground.piece(Piece::Heap(chunk), at, len as usize * UNIT)
    }

    /// A free block's link to the next, by the block's address.
    #[inline(always)]
    fn link_at(self, address: *mut u8) -> &'g AtomicU32 {
        // SAFETY: the address comes from `address`: the block's first bytes, aligned to a unit and there for as long as the
        // lock is held. Whoever else writes there, writes plain bytes that any integer may have.
        unsafe { AtomicU32::from_ptr(address.cast()) }
    }

    fn pop(self, class: usize) -> Option<Block> {
        self.pop_with_address(class).map(|(block, _)| block)
    }

    #[inline(always)]
    fn pop_with_address(self, class: usize) -> Option<(Block, *mut u8)> {
        let head = self.header().free_blocks.get(class)?;
        let block = Block {
            position: head.load(Relaxed).checked_sub(1)?,
            units: size_of_class(class),
        };
        match self.address(block) {
            Some(address) => {
                head.store(self.link_at(address).load(Relaxed), Relaxed);
                Some((block, address))
            }
            None => {
                // Not where an honest member put it.
                head.store(0, Relaxed);
                None
            }
        }
    }

    /// Calls `each` with the free blocks of a size until it returns `false`.
    pub(super) fn for_each_free_block(self, class: usize, each: &mut dyn FnMut(Block) -> bool) {
        let units = size_of_class(class);
        let mut next = self.header().free_blocks[class].load(Relaxed);
        while let Some(position) = next.checked_sub(1) {
            let block = Block { position, units };
            let Some(address) = self.address(block) else { return };
            next = self.link_at(address).load(Relaxed);
            if !each(block) {
                return;
            }
        }
    }

    /// Puts a free run into the lists, in as few blocks as the sizes allow.
    #[inline]
    pub(super) fn push(self, run: Block) {
        let mut rest = run;
        while rest.units > 0 {
            let class = class_within(rest.units);
            let block = Block {
                units: size_of_class(class),
                ..rest
            };
            let Some(address) = self.address(block) else { return };
            self.push_at(block, class, address);
            rest.units -= block.units;
            rest.position = rest.position.wrapping_add(block.units);
        }
    }

    /// A block from the untouched end of a chunk.
    fn fill_up(self, units: u32, pages: Pages) -> Result<Option<Block>> {
        for (number, chunk) in self.header().heap_chunks.iter().enumerate() {
            let at = chunk.at.load(Relaxed);
            let (len, start) = chunk_extent(number, FIRST_CHUNK);
            let filled = chunk.filled.load(Relaxed);
            let after = filled.saturating_add(units);
            if at == 0 || after > len {
                continue;
            }
            let backed = chunk.backed.load(Relaxed).min(len);
            if after > backed {
                if pages == Pages::There {
                    continue;
                }
                const PAGE_UNITS: u32 = (PAGE_SIZE / UNIT) as u32;
                let step = (len / 8).clamp(4 * PAGE_UNITS, 256 * PAGE_UNITS);
                let want = after
                    .saturating_add(step - 1)
                    .min(len)
                    .next_multiple_of(PAGE_UNITS)
                    .min(len);
                let unit = UNIT as u64;
                let from = at.checked_add(u64::from(backed) * unit).ok_or(Errno::ENOMEM)?;
                self.ground.back(from, u64::from(want - backed) * unit)?;
                chunk.backed.store(want, Relaxed);
            }
            chunk.filled.store(after, Relaxed);
            return Ok(Some(Block {
                position: start + filled,
                units,
            }));
        }
        Ok(None)
    }

    /// A block cut from a larger one.
    fn split(self, class: usize) -> Option<Block> {
        let larger = (class + 1..CLASSES).find_map(|class| self.pop(class))?;
        let block = Block {
            units: size_of_class(class),
            ..larger
        };
        self.push(Block {
            position: larger.position + block.units,
            units: larger.units - block.units,
        });
        Some(block)
    }

    /// Makes the next chunk that is long enough.
    fn add_chunk(self, units: u32) -> Result<()> {
        let chunks = &self.header().heap_chunks;
        let missing = chunks
            .iter()
            .enumerate()
            .find(|(number, chunk)| chunk.at.load(Relaxed) == 0 && chunk_extent(*number, FIRST_CHUNK).0 >= units);
        let (number, chunk) = missing.ok_or(Errno::ENOMEM)?;
        debug_assert!(number < HEAP_CHUNKS);
        let bytes = chunk_extent(number, FIRST_CHUNK).0 as usize * UNIT;
        let at = self.new_piece(bytes)?;
        chunk.filled.store(0, Relaxed);
        chunk.backed.store(0, Relaxed);
        chunk.at.store(at, Relaxed);
        Ok(())
    }

    /// Nothing is in use: all of every chunk is free.
    pub(super) fn empty_heap(self) {
        let header = self.header();
        for head in &header.free_blocks {
            head.store(0, Relaxed);
        }
        for chunk in &header.heap_chunks {
            chunk.filled.store(0, Relaxed);
        }
        header.live_units.store(0, Relaxed);
        header.freed_units.store(0, Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_class_holds_what_it_is_for_and_wastes_little() {
        for units in (1..100_000).chain([1 << 20, (1 << 20) + 1, LONGEST - 1, LONGEST]) {
            let class = class_of(units);
            assert!(class < CLASSES);
            let size = size_of_class(class);
            assert!(size >= units && size - units <= units / 4, "{units} in {size}");
            assert!(class == 0 || size_of_class(class - 1) < units);
            assert!(size_of_class(class_within(units)) <= units);
        }
        for class in 0..CLASSES {
            assert_eq!(class_of(size_of_class(class)), class);
        }
    }
}
