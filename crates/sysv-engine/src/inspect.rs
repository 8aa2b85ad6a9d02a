//! What must hold of a namespace while no call is in progress in it, for the tests of process death and of lies.
//!
//! Not part of the interface.

mod attachments;
mod registry;

use core::fmt::Arguments;
use core::mem::offset_of;
use core::sync::atomic::Ordering::Relaxed;

use crate::engine::Engine;
use crate::live::Live;
use crate::member::Member;
use crate::registry::{BACKED, BACKING, Mechanism, Phase};
use crate::table::{
    Header, PROCESSES, QUEUES, QueueSlot, RegistryHeader, RegistryIndex, SEGMENTS, SETS, SegmentSlot, SetHead, SetSlot,
    Table,
};
use crate::{process, queue, semaphore};

/// Where the parts of the table are, in bytes from its start, for whoever wants to spoil them.
#[derive(Clone, Copy, Debug)]
pub struct Layout {
    /// Bytes of the whole.
    pub len: usize,
    /// The segments' lock.
    pub segments_lock: usize,
    /// First byte of the header that a joined process still reads.
    pub pools: usize,
    /// First bit of the segments' index.
    pub index: usize,
    /// First process record, and their size.
    pub processes: (usize, usize),
    /// First segment slot, and their size.
    pub segments: (usize, usize),
    /// First attach record, and their size.
    pub attachments: (usize, usize),
    /// The three registries, in the order segments, sets, queues.
    pub registries: [RegistryPlaces; 3],
    /// The lock of the first semaphore set in the table, and the distance to the next.
    pub set_locks: (usize, usize),
    /// The locks in a queue's file, its own and that of its lane's senders; in a set's it is the first word.
    pub queue_locks: [usize; 2],
}

/// Where a mechanism's parts of the table are.
#[derive(Clone, Copy, Debug)]
pub struct RegistryPlaces {
    /// Its header, and how long that is.
    pub header: (usize, usize),
    /// Its index, and how long that is: a bit for each slot in use, a bit for each doomed one, the buckets of keys.
    pub index: (usize, usize),
    /// First slot, and their size.
    pub slots: (usize, usize),
}

const REGISTRY: usize = size_of::<RegistryHeader>();

/// The layout of this build.
pub const LAYOUT: Layout = Layout {
    len: size_of::<Table>(),
    segments_lock: offset_of!(Header, segments) + offset_of!(RegistryHeader, lock),
    pools: offset_of!(Header, processes),
    index: offset_of!(Table, segment_index),
    processes: (offset_of!(Table, processes), size_of::<crate::table::ProcessRecord>()),
    segments: (offset_of!(Table, segments), size_of::<SegmentSlot>()),
    attachments: (offset_of!(Table, attachments), size_of::<crate::table::AttachRecord>()),
    registries: [
        RegistryPlaces {
            header: (offset_of!(Header, segments), REGISTRY),
            index: (
                offset_of!(Table, segment_index),
                size_of::<RegistryIndex<{ SEGMENTS / 64 }>>(),
            ),
            slots: (offset_of!(Table, segments), size_of::<SegmentSlot>()),
        },
        RegistryPlaces {
            header: (offset_of!(Header, sets), REGISTRY),
            index: (offset_of!(Table, set_index), size_of::<RegistryIndex<{ SETS / 64 }>>()),
            slots: (offset_of!(Table, sets), size_of::<SetSlot>()),
        },
        RegistryPlaces {
            header: (offset_of!(Header, queues), REGISTRY),
            index: (
                offset_of!(Table, queue_index),
                size_of::<RegistryIndex<{ QUEUES / 64 }>>(),
            ),
            slots: (offset_of!(Table, queues), size_of::<QueueSlot>()),
        },
    ],
    set_locks: (
        offset_of!(Table, sets) + offset_of!(SetSlot, set) + offset_of!(SetHead, lock),
        size_of::<SetSlot>(),
    ),
    queue_locks: queue::inspect::LOCKS,
};

/// A run of records of one kind in a file: where the first is, and the size of each.
pub type Records = (usize, usize);

/// Where a set's file has its parts.
#[derive(Clone, Copy, Debug)]
pub struct SetFile {
    /// The head.
    pub head: Records,
    /// The semaphores.
    pub semaphores: Records,
    /// The cells of those who wait.
    pub cells: Records,
    /// What processes owe.
    pub undos: Records,
}

/// The parts of the file of a set of `nsems` semaphores.
pub fn set_file(nsems: usize) -> SetFile {
    semaphore::places(nsems)
}

/// Where a queue's file has its parts: the header, the waiters' records, and from where on the pieces.
pub const QUEUE_FILE: (Records, Records, usize) = queue::PLACES;

/// The word by which locks and attach records name the calling process.
pub fn own_tag(engine: &Engine) -> u32 {
    engine.member().tag().word()
}

/// The file of an object: what must be true of it.
#[derive(Clone, Copy, Debug)]
pub struct File {
    /// The directory that it is in: `shm`, `sem` or `msg`.
    pub directory: &'static str,
    /// The object's identifier, which is its name.
    pub id: i32,
    /// Whether it may be there.
    pub may: bool,
    /// Whether it must be there, at its full length.
    pub must: bool,
    /// Its least length.
    pub len: u64,
    /// Whether it may be longer.
    pub grows: bool,
}

/// Calls `each` with the file of every object.
pub fn files(engine: &Engine, each: &mut dyn FnMut(&File)) {
    let table = engine.member().table();
    files_of::<SegmentSlot>(table, false, each);
    files_of::<SetSlot>(table, false, each);
    files_of::<QueueSlot>(table, true, each);
}

fn files_of<S: Mechanism>(table: &Table, grows: bool, each: &mut dyn FnMut(&File)) {
    let registry = S::registry(table);
    let high = registry.header.high.load(Relaxed) as usize;
    for (number, slot) in registry.slots.iter().enumerate().take(high) {
        let state = slot.head().state();
        if state.exists() {
            let flags = slot.flags().load(Relaxed);
            each(&File {
                directory: S::DIRECTORY,
                id: registry.id(number, state),
                may: flags & BACKING != 0,
                must: flags & BACKED != 0,
                len: slot.file_length() as u64,
                grows,
            });
        }
    }
}

/// Those who wait in semaphore sets and queues.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Waiters {
    /// Asleep, and nobody has told them anything.
    pub asleep: usize,
    /// Told to look, given something, or done: they go on by themselves.
    pub going_on: usize,
}

/// Counts those who wait.
pub fn waiters(engine: &Engine) -> Waiters {
    let (member, mut waiters) = (engine.member(), Waiters::default());
    let mut private = member.lock_private();
    semaphore::inspect::count_waiters(member, &private, &mut waiters);
    queue::inspect::count_waiters(member, &mut private, &mut waiters);
    waiters
}

/// Checks every invariant that `docs/layout.md` states, after a sweep, and calls `complain` for each that does not hold.
pub fn examine(engine: &Engine, complain: &mut dyn FnMut(Arguments<'_>)) {
    let member = engine.member();
    let table = member.table();
    processes(member, complain);
    registry::examine::<SegmentSlot, _>(table, &table.segment_index, complain);
    registry::examine::<SetSlot, _>(table, &table.set_index, complain);
    registry::examine::<QueueSlot, _>(table, &table.queue_index, complain);
    segments(table, complain);
    attachments::examine(table, complain);
    let mut private = member.lock_private();
    semaphore::inspect::examine(member, &private, complain);
    queue::inspect::examine(member, &mut private, complain);
}

/// No segment waits for a last user that it does not have.
fn segments(table: &Table, complain: &mut dyn FnMut(Arguments<'_>)) {
    let high = (table.header.segments.high.load(Relaxed) as usize).min(SEGMENTS);
    for (number, slot) in table.segments[..high].iter().enumerate() {
        if slot.head.state().phase == Phase::Doomed && slot.attachments.load(Relaxed) == 0 {
            complain(format_args!("shm {number} is doomed and nobody has it"));
        }
    }
}

fn processes(member: &Member, complain: &mut dyn FnMut(Arguments<'_>)) {
    let Ok(live) = Live::open(member.directory()) else {
        complain(format_args!("live cannot be opened"));
        return;
    };
    let table = member.table();
    let high = table.header.processes.high.load(Relaxed) as usize;
    for index in 0..PROCESSES {
        let bit = table.process_bits[index / 64].load(Relaxed) >> (index % 64) & 1 == 1;
        let used = index < high && table.processes[index].state.load(Relaxed) != 0;
        let held = index < high
            && (live.holds(index) == Ok(true) || process::lives_on(&table.processes[index], member.identity()));
        if bit != used || used != held {
            complain(format_args!(
                "process record {index}: bit {bit}, in use {used}, alive {held}"
            ));
        }
        if index < high {
            match live.begin_transition(index) {
                Ok(true) => live.end_transition(index),
                _ => complain(format_args!("process record {index} is held in transition")),
            }
        }
    }
}
