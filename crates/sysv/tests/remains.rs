//! What the dead left half made.

use std::fs::OpenOptions;
use std::os::unix::fs::FileExt;

use sysv::{Key, Namespace, NewSegment, Remnant, Segment, TemporaryNamespace};
use sysv_engine::inspect::LAYOUT;

/// Phase `Making` of a slot's state word: docs/layout.md.
const MAKING: u32 = 1;
/// The tag of a process whose record nobody has.
const NOBODY: u32 = 101;

#[test]
fn what_a_dead_process_was_making_is_told_and_cleared_away() {
    let namespace = TemporaryNamespace::create().unwrap();
    let directory = namespace.location().directory().unwrap();
    let segment = Segment::create(&namespace, Key::PRIVATE, NewSegment::of_size(100)).unwrap();
    let file = format!("shm/{}", segment.id());
    segment.remove().unwrap();

    // As if somebody had died in the middle of creating the next one: the slot is in the making, and the lock is held.
    let table = OpenOptions::new()
        .read(true)
        .write(true)
        .open(directory.join("table"))
        .unwrap();
    let mut state = [0; 4];
    table.read_exact_at(&mut state, LAYOUT.segments.0 as u64).unwrap();
    let making = u32::from_le_bytes(state) & !0xff | MAKING;
    table
        .write_all_at(&making.to_le_bytes(), LAYOUT.segments.0 as u64)
        .unwrap();
    table
        .write_all_at(&NOBODY.to_le_bytes(), LAYOUT.segments_lock as u64)
        .unwrap();

    let remains = Namespace::remains(directory).unwrap();
    assert_eq!(remains.living, 1);
    assert_eq!(remains.dead, [Remnant::HalfMade { file: file.into() }]);
    namespace.sweep().unwrap();
    assert_eq!(Namespace::remains(directory).unwrap().dead, []);

    // Held by a living process, it is in the making and nothing else.
    let engine = sysv_engine::Engine::join(
        &std::ffi::CString::new(directory.to_str().unwrap()).unwrap(),
        sysv_engine::Join::Existing,
    )
    .unwrap();
    let own = sysv_engine::inspect::own_tag(&engine);
    table
        .write_all_at(&making.to_le_bytes(), LAYOUT.segments.0 as u64)
        .unwrap();
    table
        .write_all_at(&own.to_le_bytes(), LAYOUT.segments_lock as u64)
        .unwrap();
    assert_eq!(Namespace::remains(directory).unwrap().dead, []);
    // Undone before anybody waits for it.
    table.write_all_at(&state, LAYOUT.segments.0 as u64).unwrap();
    table.write_all_at(&[0; 4], LAYOUT.segments_lock as u64).unwrap();
}
