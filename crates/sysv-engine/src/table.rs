//! The table: what all members of a namespace share, every byte of it.
//!
//! Only atomics stand here, so that a reference to the mapped table stays sound whatever other
//! processes write, and only plain integers, so that every bit pattern is a value. Each value is
//! *untrusted input*: indexes and lengths are checked where they are used.
//!
//! What commits and what is derived, and how recovery rebuilds it, is drawn in `docs/layout.md`.

use core::mem::offset_of;
use core::sync::atomic::{AtomicI64, AtomicU16, AtomicU32, AtomicU64};

use crate::queue::{self, Tally};

/// The table's first eight bytes.
pub(crate) const MAGIC: u64 = u64::from_le_bytes(*b"SYSVIPC\0");

/// The version of this layout. Any change of a size, an offset or a rule takes the next number.
pub const LAYOUT_VERSION: u32 = 1;

/// Processes that may be members at once.
pub(crate) const PROCESSES: usize = 16384;
/// Segments that may exist at once: the indexes that the kernel's default limit leaves free.
pub(crate) const SEGMENTS: usize = 16384;
/// Semaphore sets that may exist at once: the next power of two above the kernel's default limit.
pub(crate) const SETS: usize = 32768;
/// Message queues that may exist at once.
pub(crate) const QUEUES: usize = 32768;
/// Attachments of all processes together.
pub(crate) const ATTACHMENTS: usize = 262_144;
/// Hash buckets of a key index.
pub(crate) const BUCKETS: usize = 4096;

/// The index part of the first segment's identifier. A kernel with its default limits hands out none
/// that high, so an identifier that strays to the other facility fails cleanly.
pub(crate) const FIRST_SEGMENT_INDEX: i32 = 16384;

/// Header flag: made for several users.
pub(crate) const FLAG_SHARED: u32 = 1;

/// The first page: what a joining process checks before it believes anything else.
#[repr(C, align(4096))]
pub(crate) struct Header {
    /// [`MAGIC`].
    pub magic: AtomicU64,
    /// [`LAYOUT_VERSION`] of the writer.
    pub version: AtomicU32,
    /// [`FLAG_SHARED`].
    pub flags: AtomicU32,
    /// [`FINGERPRINT`] of the writer.
    pub fingerprint: AtomicU64,
    /// Creation, in seconds since the Epoch.
    pub created: AtomicI64,
    /// User who made the namespace.
    pub creator: AtomicU32,
    _pad0: AtomicU32,
    /// Process records.
    pub processes: PoolHeader,
    /// Attach records. Changed under the segments' lock.
    pub attachments: PoolHeader,
    _pad1: [AtomicU64; 2],
    /// Segments.
    pub segments: RegistryHeader,
    /// Semaphore sets.
    pub sets: RegistryHeader,
    /// Message queues.
    pub queues: RegistryHeader,
}

/// Bookkeeping of an array of records.
#[repr(C)]
pub(crate) struct PoolHeader {
    /// Records that have been used at some time are below this index. Never falls.
    pub high: AtomicU32,
    /// Records whose file pages have been allocated are below this index: touching them cannot raise
    /// SIGBUS on a full file system. Never falls.
    pub backed: AtomicU32,
    /// First free record + 1, 0 for none (derived; attach records only).
    pub free: AtomicU32,
    /// Where the search for dead members goes on (process records only).
    pub hand: AtomicU32,
}

/// What a mechanism's registry keeps beside its slots. All but `lock` is written by the lock's holder only.
#[repr(C)]
pub(crate) struct RegistryHeader {
    /// The registry's lock: see [`crate::lock`].
    pub lock: AtomicU32,
    /// Objects that have an identifier (derived).
    pub in_use: AtomicU32,
    /// Odd while the lock's holder changes something: optimistic readers check it before and after.
    pub version: AtomicU64,
    /// Slots whose file pages have been allocated are below this index.
    pub backed: AtomicU32,
    /// Slots that have been used at some time are below this index.
    pub high: AtomicU32,
    /// Objects that wait for their last user to go (derived).
    pub doomed: AtomicU32,
    _pad: AtomicU32,
    /// Sum of the objects' sizes: pages, semaphores or bytes (derived).
    pub total: AtomicU64,
    /// The change of ownership in progress.
    pub intent: Intent,
    /// Bytes promised to all live segments together, touched or not (derived).
    pub promised: AtomicU64,
}

/// An `IPC_SET` in progress: armed once the new values stand here, disarmed when all of them stand in the slot.
/// Recovery does the rest of an armed one if the object's file has been changed already.
#[repr(C)]
pub(crate) struct Intent {
    /// 0, or the slot's index + 1. Its store commits the change of an object that has no file; else the file's change does.
    pub armed: AtomicU32,
    /// The slot's state word, so that the intent cannot fall on a later object.
    pub state: AtomicU32,
    pub uid: AtomicU32,
    pub gid: AtomicU32,
    pub mode: AtomicU32,
    _pad: AtomicU32,
    pub ctime: AtomicI64,
    /// The mechanism's own part: a queue's `msg_qbytes`.
    pub extra: AtomicU64,
}

/// Where keys and free slots are found; derived from the slots.
#[repr(C, align(4096))]
pub(crate) struct RegistryIndex<const WORDS: usize> {
    /// A bit for each slot in use.
    pub used: [AtomicU64; WORDS],
    /// A bit for each doomed slot.
    pub doomed: [AtomicU64; WORDS],
    /// First slot + 1 of each chain of keys, 0 for none.
    pub buckets: [AtomicU32; BUCKETS],
}

/// A member process.
#[repr(C, align(128))]
pub(crate) struct ProcessRecord {
    /// Counts this record's owners; its low 16 bits are part of their [`Tag`](crate::lock::Tag)s. The store of
    /// a new value ends the predecessor's claim to everything that carries its tag.
    pub generation: AtomicU32,
    /// 0 free, 1 in use. Whether the process *lives*, only the lock on its byte of `live` tells.
    pub state: AtomicU32,
    /// Process id and its namespace: see [`crate::identity`].
    pub identity: AtomicU64,
    /// When it joined, in seconds since the Epoch.
    pub joined: AtomicI64,
    /// Effective user when it joined.
    pub uid: AtomicU32,
    /// First attach record + 1 (derived).
    pub attachments: AtomicU32,
    /// The command's name, padded with NULs.
    pub command: [AtomicU64; 4],
    /// Not 0 once the process has waited for a semaphore or used `SEM_UNDO`.
    pub semaphores: AtomicU32,
    _pad0: AtomicU32,
    /// When the process was started, once it may owe something to semaphores: see [`crate::process`]. 0 before that.
    pub started: AtomicU64,
    _pad: [AtomicU64; 5],
}

/// What the objects of all three mechanisms have in common.
#[repr(C, align(64))]
pub(crate) struct ObjectHead {
    /// Phase in the low 8 bits, sequence number above: see [`crate::registry`]. Its store commits.
    pub state: AtomicU32,
    pub key: AtomicU32,
    pub uid: AtomicU32,
    pub gid: AtomicU32,
    pub cuid: AtomicU32,
    pub cgid: AtomicU32,
    /// Nine permission bits and the mechanism's flags.
    pub mode: AtomicU32,
    /// Next slot + 1 in the key's chain (derived).
    pub next: AtomicU32,
    /// Creation or last `IPC_SET`, in seconds since the Epoch.
    pub ctime: AtomicI64,
    /// Creator.
    pub creator: AtomicU64,
    /// Creator's command, padded with NULs.
    pub command: [AtomicU64; 4],
    _pad: [AtomicU64; 6],
}

/// A shared memory segment.
#[repr(C, align(256))]
pub(crate) struct SegmentSlot {
    pub head: ObjectHead,
    /// Size in bytes, as it was asked for.
    pub size: AtomicU64,
    /// Last attach, in seconds since the Epoch.
    pub atime: AtomicI64,
    /// Last detach, in seconds since the Epoch.
    pub dtime: AtomicI64,
    /// Who attached or detached last.
    pub last: AtomicU64,
    /// `BACKING`, `BACKED`, `NORESERVE`: see [`crate::registry`] and [`crate::segment`].
    pub flags: AtomicU32,
    /// First attach record + 1 (derived).
    pub attachments: AtomicU32,
    _pad: [AtomicU64; 11],
}

/// Semaphores of a set that may stand in its slot.
pub(crate) const INLINE_SEMAPHORES: usize = 16;

/// A semaphore set. In a namespace for one user a small set's semaphores stand here, and only who waits or uses `SEM_UNDO`
/// needs the set's file. Everywhere else `set` and `semaphores` stand in the file.
#[repr(C, align(512))]
pub(crate) struct SetSlot {
    pub head: ObjectHead,
    /// `BACKING`, `BACKED`, and [`crate::semaphore`]'s.
    pub flags: AtomicU32,
    /// Number of semaphores.
    pub nsems: AtomicU32,
    _pad: [AtomicU64; 1],
    pub set: SetHead,
    pub semaphores: [Semaphore; INLINE_SEMAPHORES],
}

/// What a set's users change beside its semaphores. All but `lock` and `otime` under the set's lock.
#[repr(C)]
pub(crate) struct SetHead {
    /// The set's lock: see [`crate::lock`]. Outlives the set: the slot's next one uses it too.
    pub lock: AtomicU32,
    /// The sequence number of the set that this belongs to, + 1; 0 when there is none.
    pub owner: AtomicU32,
    /// Last successful `semop`, in seconds since the Epoch.
    pub otime: AtomicI64,
    /// Armed with the new `last` of all semaphores whose `next` says so; its store commits. 0 otherwise.
    pub intent: AtomicU32,
    /// The waiter cell + 1 whose operations the intent does; 0 for none.
    pub serving: AtomicU32,
    /// The next waiter's place in the order of arrival.
    pub arrivals: AtomicU64,
    /// Hand-overs that may be made at once.
    pub credit: AtomicU32,
    /// Waiters whose operations were done for them and who have not noticed yet (derived).
    pub served: AtomicU32,
    /// When `credit` was topped up last, in microseconds of the monotonic clock.
    pub credit_at: AtomicU64,
    /// When somebody looked for dead processes last, in milliseconds of the monotonic clock.
    pub looked_at: AtomicU64,
    /// Waiters (derived).
    pub waiting: AtomicU32,
    /// Not 0 from the death of the lock's owner until what it left has been recovered.
    pub dirty: AtomicU32,
    /// Waiter cells.
    pub waiters: PoolHeader,
    /// Undo records.
    pub undos: PoolHeader,
    /// The cells + 1 of the waiter who looks for the dead on behalf of all, and of its deputy; 0 for none.
    pub watchers: [AtomicU16; 2],
    /// Number of semaphores, in a set that stands in a file.
    pub nsems: AtomicU32,
    /// Waiters that mind changes of other semaphores than the one that they wait for (derived).
    pub minding: AtomicU32,
    _pad2: AtomicU32,
}

/// One semaphore.
#[repr(C)]
pub(crate) struct Semaphore {
    /// Value, flags, the last process and the set's sequence number: see [`crate::semaphore`].
    pub word: AtomicU64,
    /// First undo record + 1 of those for this semaphore (derived).
    pub undos: AtomicU32,
    /// First waiter cell + 1 of those that wait for this semaphore (derived).
    pub waiters: AtomicU16,
    /// The value that an intent gives it, with the highest bit set; 0 otherwise.
    pub next: AtomicU16,
}

/// A message queue.
#[repr(C, align(256))]
pub(crate) struct QueueSlot {
    pub head: ObjectHead,
    /// Capacity, counters and times.
    pub tally: Tally,
    /// `BACKING`, `BACKED`: see [`crate::registry`].
    pub flags: AtomicU32,
    _pad: [AtomicU32; 15],
}

/// One attachment of one segment in one process.
#[repr(C, align(64))]
pub(crate) struct AttachRecord {
    /// The owner's [`Tag`](crate::lock::Tag), 0 for a free record. Its store commits.
    pub owner: AtomicU32,
    /// Index of the segment's slot.
    pub slot: AtomicU32,
    /// The slot's sequence number.
    pub sequence: AtomicU32,
    /// `SHM_RDONLY` and `SHM_EXEC` of the attachment.
    pub flags: AtomicU32,
    /// Address in the owner, 0 while it is being mapped.
    pub address: AtomicU64,
    /// Length in bytes.
    pub length: AtomicU64,
    /// Neighbours + 1 in the segment's list (derived).
    pub segment_links: Links,
    /// Neighbours + 1 in the process's list (derived); `next` also links free records.
    pub process_links: Links,
    _pad: [AtomicU64; 2],
}

/// Neighbours in a list; each is an index + 1, or 0.
#[repr(C)]
pub(crate) struct Links {
    pub prev: AtomicU32,
    pub next: AtomicU32,
}

/// The whole file `table`. Sparse: arrays cost what has been used of them.
#[repr(C)]
pub(crate) struct Table {
    pub header: Header,
    /// A bit for each process record that is in use or was when its owner died.
    pub process_bits: [AtomicU64; PROCESSES / 64],
    _pad: [AtomicU64; 256],
    pub segment_index: RegistryIndex<{ SEGMENTS / 64 }>,
    pub set_index: RegistryIndex<{ SETS / 64 }>,
    pub queue_index: RegistryIndex<{ QUEUES / 64 }>,
    pub processes: [ProcessRecord; PROCESSES],
    pub segments: [SegmentSlot; SEGMENTS],
    pub attachments: [AttachRecord; ATTACHMENTS],
    pub sets: [SetSlot; SETS],
    pub queues: [QueueSlot; QUEUES],
}

/// Bytes from the table's start that are allocated with it: header and indexes.
pub(crate) const EAGER_BYTES: usize = offset_of!(Table, processes);

/// Stands for the layout's sizes and offsets, so that two builds of one version that differ notice it.
pub(crate) const FINGERPRINT: u64 = {
    let facts = [
        size_of::<Table>(),
        offset_of!(Header, processes),
        offset_of!(Header, segments),
        size_of::<RegistryHeader>(),
        offset_of!(Table, segment_index),
        offset_of!(Table, processes),
        offset_of!(Table, segments),
        offset_of!(Table, attachments),
        size_of::<ProcessRecord>(),
        size_of::<SegmentSlot>(),
        size_of::<AttachRecord>(),
        size_of::<ObjectHead>(),
        offset_of!(Table, sets),
        offset_of!(Table, queues),
        size_of::<SetSlot>(),
        offset_of!(SetSlot, set),
        offset_of!(SetHead, waiters),
        offset_of!(SetHead, undos),
        offset_of!(SetHead, watchers),
        offset_of!(SetHead, nsems),
        offset_of!(SetHead, minding),
        size_of::<SetHead>(),
        size_of::<Semaphore>(),
        size_of::<QueueSlot>(),
        queue::FACTS[0],
        queue::FACTS[1],
        queue::FACTS[2],
        queue::FACTS[3],
        queue::FACTS[4],
        BUCKETS,
    ];
    // FNV-1a over the facts' words.
    let mut hash = 0xcbf2_9ce4_8422_2325_u64;
    let mut i = 0;
    while i < facts.len() {
        hash = (hash ^ facts[i] as u64).wrapping_mul(0x0000_0100_0000_01b3);
        i += 1;
    }
    hash
};

const _: () = {
    assert!(size_of::<Header>() == 4096);
    assert!(size_of::<ProcessRecord>() == 128);
    assert!(size_of::<ObjectHead>() == 128);
    assert!(size_of::<SegmentSlot>() == 256);
    assert!(size_of::<AttachRecord>() == 64);
    assert!(size_of::<SetSlot>() == 512);
    assert!(offset_of!(SetSlot, semaphores) == 256);
    assert!(size_of::<Semaphore>() == 16);
    assert!(size_of::<QueueSlot>() == 256);
    assert!(offset_of!(Table, process_bits) == 4096);
    assert!(offset_of!(Table, segment_index) == 8192);
    assert!(EAGER_BYTES.is_multiple_of(4096));
    assert!(offset_of!(Table, segments) % 4096 == 0);
    assert!(offset_of!(Table, attachments) % 4096 == 0);
    assert!(offset_of!(Table, sets) % 4096 == 0);
    assert!(offset_of!(Table, queues) % 4096 == 0);
};

#[cfg(test)]
mod tests {
    use super::*;

    /// Asserts that the page has a row for each field, at the field's offset, under the structure's heading.
    macro_rules! documented {
        ($structure:ident: $($field:ident)*) => {$(
            let heading = concat!("### ", stringify!($structure), "\n");
            let page = include_str!("../../../docs/layout.md");
            let section = page.split_once(heading).expect(heading).1;
            let section = section.split("\n## ").next().unwrap().split("\n### ").next().unwrap();
            let row = format!("| {} | `{}` |", offset_of!($structure, $field), stringify!($field));
            assert!(section.contains(&row), "docs/layout.md, {}: no row {row}", stringify!($structure));
        )*};
    }

    #[test]
    fn the_documented_offsets_are_true() {
        documented!(Header: magic version flags fingerprint created creator processes attachments segments);
        documented!(PoolHeader: high backed free hand);
        documented!(RegistryHeader: lock in_use version backed high doomed total intent promised);
        documented!(Intent: armed state uid gid mode ctime extra);
        documented!(ProcessRecord: generation state identity joined uid attachments command semaphores started);
        documented!(ObjectHead: state key uid gid cuid cgid mode next ctime creator command);
        documented!(SegmentSlot: size atime dtime last flags attachments);
        documented!(QueueSlot: tally flags);
        documented!(Tally: capacity bytes messages sent_at received_at sender receiver lane);
        documented!(SetSlot: flags nsems set semaphores);
        documented!(SetHead: lock owner otime intent serving arrivals credit served credit_at looked_at waiting dirty waiters undos watchers nsems minding);
        documented!(Semaphore: word undos waiters next);
        documented!(AttachRecord: owner slot sequence flags address length segment_links process_links);
    }
}
