//! A queue's file `msg/<id>`, every byte of it.
//!
//! | bytes | what | mapped |
//! |---|---|---|
//! | 0 … 4 KiB | [`Header`] | always, in the *window* |
//! | 4 KiB … 260 KiB | [`Waiter`] records, allocated as they are needed | always, in the window |
//! | from 260 KiB | *pieces*: the order array, envelopes, heap chunks, in the sequence in which they were needed | one by one |
//!
//! What commits is one word: [`Envelope::state`] says whether a message is in the queue, [`Waiter::state`] whether somebody
//! waits and what for. The order array, the free lists, the heap's chunks' fill and the counters are derived from these
//! and rebuilt by whoever takes the lock over from a dead owner ([`super::rebuild`]).
//!
//! Only atomics of plain integers stand here; each value is untrusted input.

use core::sync::atomic::{AtomicI64, AtomicU32, AtomicU64};

/// The file's first eight bytes.
pub(crate) const MAGIC: u64 = u64::from_le_bytes(*b"SYSVMSG\0");

/// Processes and threads that may wait at once. More than that look again from time to time.
pub(crate) const WAITERS: usize = 4096;

/// Bytes of header and waiter records.
pub(crate) const WINDOW: usize = size_of::<Window>();

/// Header, waiter records, and where the pieces begin.
pub(crate) const PLACES: ((usize, usize), (usize, usize), usize) = (
    (0, size_of::<Header>()),
    (core::mem::offset_of!(Window, waiters), size_of::<Waiter>()),
    WINDOW,
);

/// Of a queue's file, what two builds must agree about.
pub(crate) const FACTS: [usize; 6] = [
    WINDOW,
    core::mem::offset_of!(Header, lock),
    core::mem::offset_of!(Header, heap_chunks),
    core::mem::offset_of!(Header, lane),
    size_of::<Lane>(),
    core::mem::offset_of!(Post, number),
];

/// The heap's granule, in bytes: blocks are whole units.
pub(crate) const UNIT: usize = 64;
/// Units of the heap's first chunk; each following chunk ends at twice its predecessor's end.
pub(crate) const FIRST_CHUNK: u32 = 1024;
/// Heap chunks. The last ends at 2^32 units, 256 GiB.
pub(crate) const HEAP_CHUNKS: usize = 23;
/// Envelopes of the first chunk of them; they double in the same way.
pub(crate) const FIRST_ENVELOPES: u32 = 64;
/// Chunks of envelopes: together 2^29.
pub(crate) const ENVELOPE_CHUNKS: usize = 24;
/// Block sizes, see [`super::heap`].
pub(crate) const CLASSES: usize = 100;

/// Messages that the lane holds.
pub(crate) const POSTS: usize = 16;
/// Bytes of the longest message that the lane takes.
pub(crate) const POST_BYTES: usize = 64;

/// What is always mapped.
#[repr(C)]
pub(crate) struct Window {
    pub header: Header,
    pub waiters: [Waiter; WAITERS],
}

/// The first page. All but `lock` and what is posted in the lane is written by the lock's holder only.
///
/// What most calls write fills two cache lines, and small messages' part of the tally and of the free blocks with it: two
/// processors that share a queue pass these on with each message.
#[repr(C, align(4096))]
pub(crate) struct Header {
    // Seldom written.
    /// [`MAGIC`].
    pub magic: AtomicU64,
    /// The queue's identifier: whoever finds another one here has come too late.
    pub id: AtomicU32,
    /// 1 once the queue is removed.
    pub removed: AtomicU32,
    /// Where the order array is in the file, 0 for nowhere yet.
    pub order_at: AtomicU64,
    /// Its length, in entries.
    pub order_capacity: AtomicU32,
    /// Envelopes that have been used at some time are below this index.
    pub envelope_high: AtomicU32,
    /// 1 while what is derived cannot be relied on: the next holder rebuilds it.
    pub dirty: AtomicU32,
    /// Envelopes with file pages under them are below this index.
    pub envelope_backed: AtomicU32,
    /// Waiter records that have been used at some time are below this index.
    pub waiter_high: AtomicU32,
    /// Waiter records with file pages under them are below this index.
    pub waiter_backed: AtomicU32,
    /// Where the next piece goes in the file.
    pub end: AtomicU64,
    /// How many messages may stand in the lane, 0 while it is closed: see [`super::lane`].
    pub lane_room: AtomicU32,
    /// What `departures` was after the last message that was received alone, for whoever may open the lane.
    pub alone_at: AtomicU32,
    _pad: [AtomicU32; 16],

    // A cache line.
    /// The queue's lock: see [`crate::lock`].
    pub lock: AtomicU32,
    /// First free envelope + 1 (derived).
    pub free_envelope: AtomicU32,
    /// First and last waiting receiver + 1 (derived).
    pub receivers: Ends,
    /// First and last waiting sender + 1 (derived).
    pub senders: Ends,
    /// The next message's place in the sequence of arrivals. Never 0.
    pub next_sequence: AtomicU64,
    /// Entries of the order before this one are holes.
    pub order_head: AtomicU32,
    /// Entries from this one on are unused.
    pub order_tail: AtomicU32,
    /// Entries that are no holes.
    pub order_live: AtomicU32,
    /// Receivers that were given a message and have not taken it yet (derived).
    pub granted: AtomicU32,
    /// Units of blocks in use (derived).
    pub live_units: AtomicU32,
    /// Units freed since free space was last joined.
    pub freed_units: AtomicU32,
    /// Counts messages taken out of the lane. Its store commits a receipt.
    pub posts_taken: AtomicU32,
    /// What [`Posting::posted`] was when a receiver looked last, for what is fetched ahead.
    pub posts_seen: AtomicU32,

    // A cache line, with the smallest blocks of the list that begins in it.
    /// Counts messages put in: what a receiver that spins looks at.
    pub arrivals: AtomicU32,
    /// Counts messages taken out and enlargements: what a sender that spins looks at.
    pub departures: AtomicU32,
    /// The message that was taken last: its sequence number, who took it, and when. Stored before it is taken, so that
    /// recovery can finish the bookkeeping.
    pub taking: AtomicU64,
    pub taker: AtomicU64,
    pub taken_at: AtomicI64,
    /// First free block + 1 of each size (derived).
    pub free_blocks: [AtomicU32; CLASSES],

    /// The next waiter's place in the sequence of arrivals.
    pub next_ticket: AtomicU64,
    /// First free waiter record + 1 (derived).
    pub free_waiter: AtomicU32,
    /// First envelope + 1 of the messages that are read in place (derived).
    pub held: AtomicU32,
    /// Where the chunks of envelopes are in the file, 0 for nowhere yet.
    pub envelope_chunks: [AtomicU64; ENVELOPE_CHUNKS],
    pub heap_chunks: [HeapChunk; HEAP_CHUNKS],
    /// When memory was last given back because the queue was empty, in seconds since the Epoch.
    pub shrunk_at: AtomicI64,

    pub lane: Lane,
}

/// Small messages on their way from one processor to another: see [`super::lane`]. What senders write and what receivers
/// write lie apart, and two cache lines apart, since processors fetch them by twos.
#[repr(C)]
pub(crate) struct Lane {
    pub posting: Posting,
    pub taking: Taking,
    pub posts: [Post; POSTS],
}

/// The senders' side, under a lock of its own.
#[repr(C, align(128))]
pub(crate) struct Posting {
    /// The lock: see [`crate::lock`].
    pub lock: AtomicU32,
    /// Counts messages posted; after the death of a sender there may be one more.
    pub posted: AtomicU32,
    /// What [`Taking::taken`] was when a sender looked last.
    pub taken_seen: AtomicU32,
}

/// What the receivers' side, which is under the queue's lock, lets the senders know.
#[repr(C, align(128))]
pub(crate) struct Taking {
    /// What [`Header::posts_taken`] was a while ago: it is said only now and then, since each time the senders' processor has to
    /// fetch it.
    pub taken: AtomicU32,
    /// While the first message in the lane is moved to the order: its place in the sequence of arrivals there. Else 0.
    pub moving: AtomicU64,
    /// And what `posts_taken` is then.
    pub moving_past: AtomicU32,
}

/// A message in the lane.
#[repr(C, align(128))]
pub(crate) struct Post {
    pub kind: AtomicI64,
    pub sender: AtomicU64,
    pub sent_at: AtomicI64,
    pub len: AtomicU32,
    /// Counts messages posted, up to this one. Its store commits the sending.
    pub number: AtomicU32,
    pub bytes: [AtomicU64; POST_BYTES / 8],
}

/// Both ends of a list of waiters; each is an index + 1, or 0.
#[repr(C)]
pub(crate) struct Ends {
    pub first: AtomicU32,
    pub last: AtomicU32,
}

/// A chunk of the heap.
#[repr(C)]
pub(crate) struct HeapChunk {
    /// Where it is in the file, 0 for nowhere yet.
    pub at: AtomicU64,
    /// Units below this one have been given out since the chunk was last empty (derived).
    pub filled: AtomicU32,
    /// Units with file pages under them are below this one.
    pub backed: AtomicU32,
}

/// One who waits.
///
/// | state | meaning | set by |
/// |---|---|---|
/// | `FREE` | nobody waits here | the owner; anybody for a dead one |
/// | `WAITING` | asleep, or about to be | the owner |
/// | `LOOK` | something changed: look again | whoever changed it |
/// | `GRANTED` | a receiver was given the envelope `grant` | the sender |
/// | `TOO_BIG` | a message came that the receiver wants and has no room for | the sender |
///
/// All changes under the queue's lock; the word is also the futex on which its owner sleeps.
#[repr(C, align(64))]
pub(crate) struct Waiter {
    pub state: AtomicU32,
    /// Owner's [`Tag`](crate::lock::Tag).
    pub owner: AtomicU32,
    /// Place in the sequence of arrivals.
    pub ticket: AtomicU64,
    /// What a receiver selects: see [`super::selection`]; `SENDER` for a sender.
    pub mode: AtomicU32,
    /// The envelope given, + 1.
    pub grant: AtomicU32,
    /// What a receiver selects by.
    pub kind: AtomicI64,
    /// The longest message that a receiver takes, or the length of a sender's, in bytes.
    pub size: AtomicU64,
    /// Neighbours + 1 in the list; `next` also links free records (derived).
    pub prev: AtomicU32,
    pub next: AtomicU32,
    /// Where whoever let it go on last ran: a [`Trace`](crate::patience::Trace).
    pub caller: AtomicU32,
    _pad: [AtomicU32; 3],
}

pub(crate) const FREE: u32 = 0;
pub(crate) const WAITING: u32 = 1;
pub(crate) const LOOK: u32 = 2;
pub(crate) const GRANTED: u32 = 3;
pub(crate) const TOO_BIG: u32 = 4;

/// A message but for its bytes.
#[repr(C, align(64))]
pub(crate) struct Envelope {
    /// 0 free, else the message's place in the sequence of arrivals, with [`HELD`] if it has been received and is read in
    /// place. Its store commits: of a number a sending, of 0 or `HELD` a receipt.
    pub state: AtomicU64,
    /// The message's type.
    pub kind: AtomicI64,
    /// First unit of its block in the heap.
    pub position: AtomicU32,
    /// Units of its block.
    pub units: AtomicU32,
    /// Bytes of the message.
    pub len: AtomicU64,
    /// Who sent it: see [`crate::identity`].
    pub sender: AtomicU64,
    /// When, in seconds since the Epoch.
    pub sent_at: AtomicI64,
    /// Next free envelope + 1, or next held one (derived).
    pub next: AtomicU32,
    /// Previous held envelope + 1 (derived).
    pub prev: AtomicU32,
    /// [`Tag`](crate::lock::Tag) of the process that reads the message in place. Counts only with [`HELD`].
    pub holder: AtomicU32,
    _pad: AtomicU32,
}

/// In [`Envelope::state`]: the message is in the queue no longer, but its bytes are in use by its receiver.
pub(crate) const HELD: u64 = 1 << 63;

/// A message's place in the order of arrival (derived).
#[repr(C)]
pub(crate) struct OrderEntry {
    /// The message's type, 0 for a hole.
    pub kind: AtomicI64,
    pub envelope: AtomicU32,
    _pad: AtomicU32,
}

/// What `IPC_STAT` reports of a queue's contents. It stands in the table, where it can be read without the file.
#[repr(C, align(64))]
pub(crate) struct Tally {
    /// `msg_qbytes`.
    pub capacity: AtomicU64,
    /// Bytes in the queue (derived).
    pub bytes: AtomicU64,
    /// Messages in the queue (derived).
    pub messages: AtomicU64,
    pub sent_at: AtomicI64,
    pub received_at: AtomicI64,
    pub sender: AtomicU64,
    pub receiver: AtomicU64,
    /// Not 0 while there may be messages in the lane, which are not counted here.
    pub lane: AtomicU64,
}

const _: () = {
    assert!(size_of::<Header>() == 4096);
    assert!(core::mem::offset_of!(Header, lock) == 128);
    assert!(core::mem::offset_of!(Header, arrivals) == 192);
    assert!(size_of::<Post>() == 128);
    assert!(POSTS.is_power_of_two());
    assert!(size_of::<Waiter>() == 64);
    assert!(size_of::<Envelope>() == 64);
    assert!(size_of::<OrderEntry>() == 16);
    assert!(size_of::<Tally>() == 64);
    assert!(WINDOW.is_multiple_of(4096));
};

/// Where a number falls in chunks of which the first holds `first` and each next one as many as all before it.
///
/// Returns the chunk, the place in it and the chunk's length.
#[inline]
pub(crate) fn in_chunks(number: u32, first: u32) -> (usize, u32, u32) {
    if number < first {
        return (0, number, first);
    }
    let chunk = (number / first).ilog2();
    let start = first << chunk;
    (chunk as usize + 1, number - start, start)
}

/// The length of a chunk, and the number at which it starts.
pub(crate) fn chunk_extent(chunk: usize, first: u32) -> (u32, u32) {
    match chunk {
        0 => (first, 0),
        k => (first << (k - 1), first << (k - 1)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Asserts that the page has a row for each field, at the field's offset, under the heading.
    macro_rules! documented {
        ($structure:ident under $heading:literal: $($field:ident)*) => {$(
            let heading = concat!("### ", $heading, "\n");
            let page = include_str!("../../../../docs/layout.md");
            let section = page.split_once(heading).expect(heading).1;
            let section = section.split("\n## ").next().unwrap().split("\n### ").next().unwrap();
            let row = format!("| {} | `{}` |", core::mem::offset_of!($structure, $field), stringify!($field));
            assert!(section.contains(&row), "docs/layout.md, {}: no row {row}", $heading);
        )*};
    }

    #[test]
    fn the_documented_offsets_are_true() {
        documented!(Header under "Header of a queue": magic id removed order_at order_capacity envelope_high dirty
            envelope_backed waiter_high waiter_backed end lock free_envelope receivers senders next_sequence
            order_head order_tail order_live granted live_units freed_units arrivals departures taking taker taken_at
            free_blocks next_ticket free_waiter held envelope_chunks heap_chunks lane_room alone_at shrunk_at lane posts_taken posts_seen);
        documented!(Lane under "Lane": posting taking posts);
        documented!(Posting under "Posting": lock posted taken_seen);
        documented!(Taking under "Taking": taken moving moving_past);
        documented!(Post under "Post": kind sender sent_at len number bytes);
        documented!(HeapChunk under "HeapChunk": at filled backed);
        documented!(Waiter under "Waiter": state owner ticket mode grant kind size prev next caller);
        documented!(Envelope under "Envelope": state kind position units len sender sent_at next prev holder);
        assert_eq!(WINDOW, 266_240);
    }

    #[test]
    fn chunks_double() {
        assert_eq!(in_chunks(0, 64), (0, 0, 64));
        assert_eq!(in_chunks(63, 64), (0, 63, 64));
        assert_eq!(in_chunks(64, 64), (1, 0, 64));
        assert_eq!(in_chunks(127, 64), (1, 63, 64));
        assert_eq!(in_chunks(128, 64), (2, 0, 128));
        assert_eq!(in_chunks(u32::MAX, FIRST_CHUNK), (22, (1 << 31) - 1, 1 << 31));
        for chunk in 0..HEAP_CHUNKS {
            let (len, start) = chunk_extent(chunk, FIRST_CHUNK);
            assert_eq!(in_chunks(start, FIRST_CHUNK), (chunk, 0, len));
            assert_eq!(in_chunks(start + (len - 1), FIRST_CHUNK), (chunk, len - 1, len));
        }
    }
}
