//! What must hold of a namespace while no call is in progress in it, for the tests of process death and of lies.
//!
//! Not part of the interface.

use core::fmt::Arguments;
use core::mem::offset_of;
use core::sync::atomic::Ordering::Relaxed;

use crate::engine::Engine;
use crate::live::Live;
use crate::lock::Tag;
use crate::member::Member;
use crate::registry::{Phase, Slot};
use crate::segment;
use crate::table::{
    ATTACHMENTS, Header, Links, PROCESSES, QUEUES, QueueSlot, RegistryHeader, RegistryIndex, SEGMENTS, SETS,
    SegmentSlot, SetSlot, Table,
};

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
    crate::semaphore::places(nsems)
}

/// Where a queue's file has its parts: the header, the waiters' records, and from where on the pieces.
pub const QUEUE_FILE: (Records, Records, usize) = crate::queue::PLACES;

/// The word by which locks and attach records name the calling process.
pub fn own_tag(engine: &Engine) -> u32 {
    engine.member().tag().word()
}

/// Calls `each` with every segment: its identifier, whether it may have a file, whether it must have one, and the
/// file's length.
pub fn files(engine: &Engine, each: &mut dyn FnMut(i32, bool, bool, u64)) {
    let registry = segment::registry(engine.member().table());
    for (number, slot) in registry.slots.iter().enumerate() {
        let state = slot.head.state();
        if state.exists() {
            let (may, must) = segment::file_flags(slot);
            let len = crate::attachments::mapped_length(slot.size.load(Relaxed)) as u64;
            each(registry.id(number, state), may, must, len);
        }
    }
}

/// Checks every invariant that `docs/layout.md` states, after a sweep, and calls `complain` for each that does not hold.
pub fn examine(engine: &Engine, complain: &mut dyn FnMut(Arguments<'_>)) {
    let member = engine.member();
    processes(member, complain);
    segments(member.table(), complain);
    attachments(member.table(), complain);
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
        let held = index < high && live.holds(index) == Ok(true);
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

fn segments(table: &Table, complain: &mut dyn FnMut(Arguments<'_>)) {
    let registry = segment::registry(table);
    let (header, index) = (registry.header, &table.segment_index);
    for (what, value) in [
        ("lock", u64::from(header.lock.load(Relaxed))),
        ("odd version", header.version.load(Relaxed) % 2),
        ("intent", u64::from(header.intent.armed.load(Relaxed))),
    ] {
        if value != 0 {
            complain(format_args!("segments: {what} is {value:#x}"));
        }
    }
    let high = header.high.load(Relaxed) as usize;
    let (mut in_use, mut doomed, mut total, mut promised, mut keyed) = (0u32, 0u32, 0u64, 0u64, 0u64);
    for (number, slot) in registry.slots.iter().enumerate() {
        let bit = |bits: &[core::sync::atomic::AtomicU64; SEGMENTS / 64]| {
            bits[number / 64].load(Relaxed) >> (number % 64) & 1 == 1
        };
        let (used_bit, doomed_bit) = (bit(&index.used), bit(&index.doomed));
        if number >= high {
            if used_bit || doomed_bit {
                complain(format_args!("segment {number} is marked, but was never used"));
            }
            continue;
        }
        let state = slot.head().state();
        if matches!(state.phase, Phase::Making | Phase::Dying) {
            complain(format_args!("segment {number} stays {:?}", state.phase));
        }
        if used_bit != state.exists() || doomed_bit != (state.phase == Phase::Doomed) {
            complain(format_args!(
                "segment {number}: {:?}, used bit {used_bit}, doomed bit {doomed_bit}",
                state.phase
            ));
        }
        if !state.exists() {
            continue;
        }
        in_use += 1;
        doomed += u32::from(state.phase == Phase::Doomed);
        total += segment::pages(slot);
        promised += segment::promised(slot);
        if state.phase == Phase::Doomed && slot.attachments.load(Relaxed) == 0 {
            complain(format_args!("segment {number} is doomed and nobody has it"));
        }
        let key = slot.head.key(state);
        if key != crate::abi::IPC_PRIVATE {
            keyed += 1;
            if registry.find_key(key).map(|found| found.0) != Some(number) {
                complain(format_args!("segment {number} is not found by its key {key:#x}"));
            }
        }
    }
    let chained: usize = index
        .buckets
        .iter()
        .map(|bucket| chain_length(table, bucket.load(Relaxed)))
        .sum();
    for (what, derived, counted) in [
        ("in use", u64::from(header.in_use.load(Relaxed)), u64::from(in_use)),
        ("doomed", u64::from(header.doomed.load(Relaxed)), u64::from(doomed)),
        ("pages", header.total.load(Relaxed), total),
        ("bytes promised", header.promised.load(Relaxed), promised),
        ("keys chained", chained as u64, keyed),
    ] {
        if derived != counted {
            complain(format_args!("segments: {what} {derived}, but {counted} are there"));
        }
    }
}

fn chain_length(table: &Table, first: u32) -> usize {
    let (mut next, mut length) = (first, 0);
    while next != 0 && length <= SEGMENTS {
        length += 1;
        next = table
            .segments
            .get(next as usize - 1)
            .map_or(0, |slot| slot.head.next.load(Relaxed));
    }
    length
}

fn attachments(table: &Table, complain: &mut dyn FnMut(Arguments<'_>)) {
    let pool = &table.header.attachments;
    let high = (pool.high.load(Relaxed) as usize).min(ATTACHMENTS);
    let mut committed = 0;
    for (index, record) in table.attachments[..high].iter().enumerate() {
        let word = record.owner.load(Relaxed);
        if word == 0 {
            continue;
        }
        committed += 1;
        let owner = Tag::from_word(word).and_then(|tag| Some((tag, table.processes.get(tag.index())?)));
        let lives = owner.is_some_and(|(tag, process)| tag.is_of_generation(process.generation.load(Relaxed)));
        let state = table
            .segments
            .get(record.slot.load(Relaxed) as usize)
            .map(|slot| slot.head.state());
        let names = state.is_some_and(|s| s.exists() && u32::from(s.sequence) == record.sequence.load(Relaxed));
        if !lives || !names {
            complain(format_args!(
                "attach record {index} of {word:#x}: owner current {lives}, segment exists {names}"
            ));
        }
    }
    let mut of_segments = 0;
    for slot in &table.segments[..(table.header.segments.high.load(Relaxed) as usize).min(SEGMENTS)] {
        of_segments += list_length(table, slot.attachments.load(Relaxed), |r| &r.segment_links, complain);
    }
    let mut of_processes = 0;
    for process in &table.processes[..(table.header.processes.high.load(Relaxed) as usize).min(PROCESSES)] {
        of_processes += list_length(table, process.attachments.load(Relaxed), |r| &r.process_links, complain);
    }
    let (mut next, mut free) = (pool.free.load(Relaxed), 0);
    while let Some(record) = (next as usize).checked_sub(1).and_then(|i| table.attachments.get(i)) {
        free += 1;
        if record.owner.load(Relaxed) != 0 || free > high {
            complain(format_args!("the list of free attach records is damaged at {next}"));
            break;
        }
        next = record.process_links.next.load(Relaxed);
    }
    if (of_segments, of_processes, free) != (committed, committed, high - committed) {
        complain(format_args!(
            "{committed} attach records of {high}: {of_segments} listed by segment, {of_processes} by process, {free} free"
        ));
    }
}

fn list_length(
    table: &Table,
    first: u32,
    links: fn(&crate::table::AttachRecord) -> &Links,
    complain: &mut dyn FnMut(Arguments<'_>),
) -> usize {
    let (mut link, mut previous, mut length) = (first, 0, 0);
    while let Some(record) = (link as usize).checked_sub(1).and_then(|i| table.attachments.get(i)) {
        length += 1;
        if record.owner.load(Relaxed) == 0 || links(record).prev.load(Relaxed) != previous || length > ATTACHMENTS {
            complain(format_args!("a list of attach records is damaged at {link}"));
            break;
        }
        previous = link;
        link = links(record).next.load(Relaxed);
    }
    length
}
