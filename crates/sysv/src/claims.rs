//! Which bytes of an attachment are in use as atomics of which size.
//!
//! Rust leaves atomics of different sizes that overlap without meaning ("mixed-size accesses", `std::sync::atomic`),
//! so safe code must not come by two such references. An attachment remembers what it has handed out. It never
//! forgets, for a reference may live as long as the attachment.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU16, Ordering::Relaxed};
use std::sync::{PoisonError, RwLock};

/// Atomics lie within naturally aligned cells of eight bytes.
const CELL: usize = 8;
/// Cells are kept by blocks of this many, allocated when the first of them is claimed.
const BLOCK: usize = 512;

/// The claims on one attachment.
///
/// A cell's claims are a bit set over the places that an atomic may have in it, numbered as the nodes of a binary
/// tree: 1 is the eight bytes, 2 and 3 the halves, 4 to 7 the quarters, 8 to 15 the bytes. Two places overlap exactly
/// if one is the other's ancestor. A cell only ever gains bits, and each by a compare-and-swap that saw no conflict.
#[derive(Debug, Default)]
pub(crate) struct Claims {
    blocks: RwLock<BTreeMap<usize, Box<[AtomicU16; BLOCK]>>>,
}

impl Claims {
    /// Claims the `size` bytes (1, 2, 4 or 8) at `offset`, a multiple of `size`, as one atomic. False if some of them
    /// are claimed as another.
    #[must_use]
    pub(crate) fn claim(&self, offset: usize, size: usize) -> bool {
        debug_assert!(matches!(size, 1 | 2 | 4 | 8) && offset.is_multiple_of(size));
        let node = CELL / size + offset % CELL / size;
        let (block, cell) = (offset / CELL / BLOCK, offset / CELL % BLOCK);

        let blocks = self.blocks.read().unwrap_or_else(PoisonError::into_inner);
        if let Some(cells) = blocks.get(&block) {
            return claim_node(&cells[cell], node);
        }
        drop(blocks);
        let mut blocks = self.blocks.write().unwrap_or_else(PoisonError::into_inner);
        let cells = blocks
            .entry(block)
            .or_insert_with(|| Box::new([const { AtomicU16::new(0) }; BLOCK]));
        claim_node(&cells[cell], node)
    }
}

/// Relaxed throughout: the set guards nothing but itself.
fn claim_node(cell: &AtomicU16, node: usize) -> bool {
    let bit = 1 << node;
    let mut claimed = cell.load(Relaxed);
    loop {
        if claimed & bit != 0 {
            return true;
        }
        if claimed & OVERLAPPING[node] != 0 {
            return false;
        }
        match cell.compare_exchange_weak(claimed, claimed | bit, Relaxed, Relaxed) {
            Ok(_) => return true,
            Err(now) => claimed = now,
        }
    }
}

/// For each node the bit set of its ancestors and descendants.
const OVERLAPPING: [u16; 16] = {
    let mut sets = [0u16; 16];
    let mut node = 1;
    while node < 16 {
        let mut ancestor = node >> 1;
        while ancestor > 0 {
            sets[node] |= 1 << ancestor;
            sets[ancestor] |= 1 << node;
            ancestor >>= 1;
        }
        node += 1;
    }
    sets
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_claims_go_together_exactly_if_equal_or_disjoint() {
        let places: Vec<(usize, usize)> = [1, 2, 4, 8]
            .into_iter()
            .flat_map(|size| (0..16).step_by(size).map(move |at| (at, size)))
            .collect();
        for &(at, size) in &places {
            for &(at2, size2) in &places {
                let claims = Claims::default();
                assert!(claims.claim(at, size));
                let fine = (at, size) == (at2, size2) || at + size <= at2 || at2 + size2 <= at;
                assert_eq!(
                    claims.claim(at2, size2),
                    fine,
                    "{size} bytes at {at}, then {size2} at {at2}"
                );
                assert!(claims.claim(at, size), "the first claim stands");
            }
        }
    }

    #[test]
    fn far_apart_cells_do_not_meet() {
        let claims = Claims::default();
        for offset in [0, 4088, 4096, 1 << 40, usize::MAX - 7] {
            assert!(claims.claim(offset, 8));
            assert!(!claims.claim(offset, 4));
            assert!(claims.claim(offset, 8));
        }
    }

    #[test]
    fn of_threads_that_race_for_a_cell_one_size_wins() {
        for round in 0..200 {
            let claims = Claims::default();
            let won: Vec<bool> = std::thread::scope(|scope| {
                let sizes = [8, 4, 8, 4];
                let threads: Vec<_> = sizes
                    .map(|size| {
                        scope.spawn({
                            let claims = &claims;
                            move || claims.claim(8, size)
                        })
                    })
                    .into_iter()
                    .collect();
                threads.into_iter().map(|t| t.join().unwrap()).collect()
            });
            assert_eq!(won[0], won[2], "round {round}");
            assert_eq!(won[1], won[3], "round {round}");
            assert_ne!(won[0], won[1], "round {round}");
        }
    }
}
