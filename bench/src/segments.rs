//! Segments: `shmget`, `shmat`, `shmdt`, `shmctl`, first touch and copying.

#![allow(unsafe_code)]

use sysv_engine::abi::{IPC_CREAT, IPC_PRIVATE, PAGE_SIZE};
use sysv_engine::{Engine, Kernel, Segments, StatBy};

use crate::measure::{in_turns, line};

/// A segment that is removed at the end.
struct Segment<'f> {
    facility: &'f dyn Segments,
    id: i32,
}

impl<'f> Segment<'f> {
    fn get(&self, key: i32) -> i32 {
        self.facility.shmget(key, 0, 0).expect("shmget")
    }

    fn stat(&self) -> u64 {
        self.facility.shm_stat(self.id, StatBy::Id).expect("IPC_STAT").1.nattch
    }

    fn new(facility: &'f dyn Segments, key: i32, size: usize) -> Segment<'f> {
        let id = facility.shmget(key, size, IPC_CREAT | 0o600).expect("shmget");
        Segment { facility, id }
    }

    fn attach(&self) -> *mut u8 {
        // SAFETY: without SHM_REMAP nothing that exists is touched.
        unsafe { self.facility.shmat(self.id, 0, 0) }.expect("shmat")
    }

    fn detach(&self, at: *mut u8) {
        // SAFETY: the callers of `attach` here let nothing use the memory after this.
        unsafe { self.facility.shmdt(at as usize) }.expect("shmdt");
    }
}

impl Drop for Segment<'_> {
    fn drop(&mut self) {
        let _ = self.facility.shm_remove(self.id);
    }
}

/// One operation, made ready on a facility.
type Prepared<'f> = Box<dyn FnMut() + 'f>;

/// Measures what has `filter` in its name.
pub(crate) fn run(kernel: &Kernel, engine: &Engine, filter: &str) {
    let each = |name: &str, count: u32, prepare: &dyn Fn(&'_ dyn Segments) -> Prepared<'_>| {
        let name = format!("segments: {name}");
        if name.contains(filter) {
            line(&name, in_turns(count, &mut *prepare(kernel), &mut *prepare(engine)));
        }
    };
    let key = 0x5359_0000_u32 as i32 + std::process::id() as i32;

    each("shmget of an existing key", 20_000, &|facility| {
        let segment = Segment::new(facility, key, PAGE_SIZE);
        Box::new(move || {
            assert_eq!(segment.get(key), segment.id);
        })
    });
    each("IPC_STAT", 20_000, &|facility| {
        let segment = Segment::new(facility, IPC_PRIVATE, PAGE_SIZE);
        Box::new(move || {
            std::hint::black_box(segment.stat());
        })
    });
    each("IPC_STAT, attached", 20_000, &|facility| {
        let segment = Segment::new(facility, IPC_PRIVATE, PAGE_SIZE);
        let _stays = segment.attach();
        Box::new(move || {
            std::hint::black_box(segment.stat());
        })
    });
    each("shmat + shmdt, already attached", 3000, &|facility| {
        let segment = Segment::new(facility, IPC_PRIVATE, PAGE_SIZE);
        let _stays = segment.attach();
        Box::new(move || segment.detach(segment.attach()))
    });
    each("shmat + shmdt, first attachment", 3000, &|facility| {
        let segment = Segment::new(facility, IPC_PRIVATE, PAGE_SIZE);
        segment.detach(segment.attach());
        Box::new(move || segment.detach(segment.attach()))
    });
    each("create + remove", 3000, &|facility| {
        Box::new(move || drop(Segment::new(facility, IPC_PRIVATE, PAGE_SIZE)))
    });
    each("create + attach + detach + remove", 3000, &|facility| {
        Box::new(move || {
            let segment = Segment::new(facility, IPC_PRIVATE, PAGE_SIZE);
            segment.detach(segment.attach());
        })
    });
    each("first touch of a page", 200, &|facility| {
        const PAGES: usize = 64;
        Box::new(move || {
            let segment = Segment::new(facility, IPC_PRIVATE, PAGES * PAGE_SIZE);
            let at = segment.attach();
            for page in 0..PAGES {
                // SAFETY: within the attachment.
                unsafe { at.add(page * PAGE_SIZE).write_volatile(1) };
            }
            segment.detach(at);
        })
    });
    each("copy 1 MiB into it", 200, &|facility| {
        const SIZE: usize = 1 << 20;
        let segment = Segment::new(facility, IPC_PRIVATE, SIZE);
        let at = segment.attach();
        let source = vec![7u8; SIZE];
        Box::new(move || {
            let _lives = &segment;
            // SAFETY: the attachment is as long as the source, and apart from it.
            unsafe { std::ptr::copy_nonoverlapping(std::hint::black_box(source.as_ptr()), at, SIZE) };
        })
    });
}
