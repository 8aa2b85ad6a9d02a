//! The memory that a queue lives in. The queue's algorithms stand apart from it, so that tests run them over plain memory.

use super::layout::{Envelope, Tally, Window};
use crate::errno::Result;
use crate::lock::Tag;

/// A part of the file that is mapped by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Piece {
    /// The order array.
    Order,
    /// A chunk of envelopes.
    Envelopes(usize),
    /// A chunk of the heap.
    Heap(usize),
}

/// The memory that a queue lives in.
pub(crate) trait Ground {
    /// Header and waiter records.
    fn window(&self) -> &Window;

    /// Counters and times.
    fn tally(&self) -> &Tally;

    /// Where a piece is that never moves, envelopes or heap, if it has been asked for before. As with
    /// [`piece`](Ground::piece), which is to be asked otherwise.
    #[inline(always)]
    fn known(&self, _: Piece) -> Option<*mut u8> {
        None
    }

    /// Where the piece is that lies at `at` in the file and has `len` bytes; `None` if the file does not hold it. The
    /// address is aligned to a page and stays valid for as long as the queue's lock is held.
    fn piece(&self, piece: Piece, at: u64, len: usize) -> Option<*mut u8>;

    /// Makes the file at least so long; it has memory for the last page then.
    ///
    /// # Errors
    /// `ENOMEM` if that cannot be.
    fn extend(&self, len: u64) -> Result<()>;

    /// Bytes of the file that have memory, or more where that cannot be told.
    fn allocated(&self) -> u64;

    /// Gives a range of the file memory, so that touching it cannot fail.
    ///
    /// # Errors
    /// `ENOMEM` if there is none.
    fn back(&self, at: u64, len: u64) -> Result<()>;

    /// Takes the memory of a range back. What stands there is needed no more, and reads as zeros.
    fn discard(&self, at: u64, len: u64);

    /// The next message is likely to have this envelope, and its bytes here.
    #[inline(always)]
    fn expect(&self, _: &Envelope, _: *const u8) {}

    /// Whether the process with this tag lives.
    fn is_alive(&self, tag: Tag) -> bool;
}
