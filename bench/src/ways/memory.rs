//! Shared memory with something to wait by: a segment with semaphores, POSIX's own, a futex alone, a cache line alone.

#![allow(unsafe_code)]

use std::ffi::CString;
use std::ptr;
use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};
use std::sync::atomic::{AtomicU32, AtomicU64};

use super::posix::Semaphore;
use super::{End, Way};
use crate::c_api::{Segment, Set, by};
use crate::message::Message;
use crate::system::{Words, last_error, processors};

/// Memory for one message, copied in and out, and two semaphores: it is free, it is full.
pub(super) struct Memory {
    start: *mut u8,
    kind: Kind,
}

enum Kind {
    SystemV { _segment: Segment, set: Set },
    Posix { free: Semaphore, full: Semaphore },
}

const FREE: u16 = 0;
const FULL: u16 = 1;

impl Memory {
    pub(super) fn segment(size: usize) -> Memory {
        let segment = Segment::new(libc::IPC_PRIVATE, size.max(1));
        let set = Set::new(2, 0);
        set.op(&mut [by(FREE, 1, 0)]);
        let start = segment.attach();
        // SAFETY: the new attachment has the size.
        unsafe { start.write_bytes(1, size) };
        let kind = Kind::SystemV { _segment: segment, set };
        Memory { start, kind }
    }

    pub(super) fn posix(size: usize) -> Result<Memory, String> {
        let name = CString::new(format!("/sysv-bench-memory-{}", std::process::id())).expect("no NUL");
        let protection = libc::PROT_READ | libc::PROT_WRITE;
        // SAFETY: a terminated name, and a new mapping of the object's size.
        let start = unsafe {
            let fd = libc::shm_open(name.as_ptr(), libc::O_RDWR | libc::O_CREAT | libc::O_EXCL, 0o600);
            if fd < 0 {
                return Err(last_error("shm_open"));
            }
            libc::shm_unlink(name.as_ptr());
            libc::ftruncate(fd, size.max(1) as i64);
            let start = libc::mmap(ptr::null_mut(), size.max(1), protection, libc::MAP_SHARED, fd, 0);
            libc::close(fd);
            if start == libc::MAP_FAILED {
                return Err(last_error("mmap"));
            }
            let start = start.cast::<u8>();
            start.write_bytes(1, size);
            start
        };
        let kind = Kind::Posix {
            free: Semaphore::of(1),
            full: Semaphore::new(),
        };
        Ok(Memory { start, kind })
    }

    #[inline]
    fn take(&self, which: u16) {
        match &self.kind {
            Kind::SystemV { set, .. } => set.op(&mut [by(which, -1, 0)]),
            Kind::Posix { free, full } => if which == FREE { free } else { full }.wait(),
        }
    }

    #[inline]
    fn give(&self, which: u16) {
        match &self.kind {
            Kind::SystemV { set, .. } => set.op(&mut [by(which, 1, 0)]),
            Kind::Posix { free, full } => if which == FREE { free } else { full }.post(),
        }
    }
}

impl Way for Memory {
    fn sender(&self) -> End<'_> {
        Box::new(|message: &mut Message| {
            self.take(FREE);
            let bytes = message.bytes();
            // SAFETY: the memory has the messages' size; the semaphores keep the two copies apart.
            unsafe { ptr::copy_nonoverlapping(bytes.as_ptr(), self.start, bytes.len()) };
            self.give(FULL);
        })
    }

    fn receiver(&self) -> End<'_> {
        Box::new(|message: &mut Message| {
            self.take(FULL);
            let bytes = message.bytes_mut();
            // SAFETY: as above.
            unsafe { ptr::copy_nonoverlapping(self.start, bytes.as_mut_ptr(), bytes.len()) };
            self.give(FREE);
        })
    }
}

/// A word that one side counts up and the other waits for, asleep: what any blocking way costs at least.
pub(super) struct Futex {
    memory: Words,
}

impl Futex {
    pub(super) fn new() -> Futex {
        Futex { memory: Words::new(8) }
    }

    fn word(&self) -> &AtomicU32 {
        // SAFETY: the first half of an atomic word that nobody uses as a whole; it lives as long as `self`.
        unsafe { AtomicU32::from_ptr(self.memory[0].as_ptr().cast()) }
    }
}

impl Way for Futex {
    fn sender(&self) -> End<'_> {
        Box::new(|_| {
            let word = self.word();
            word.fetch_add(1, Release);
            // SAFETY: the word lives.
            unsafe { libc::syscall(libc::SYS_futex, word.as_ptr(), libc::FUTEX_WAKE, 1) };
        })
    }

    fn receiver(&self) -> End<'_> {
        Box::new(move |_| {
            let word = self.word();
            loop {
                let found = word.load(Acquire);
                if found != 0 {
                    word.fetch_sub(1, Relaxed);
                    return;
                }
                let forever = ptr::null::<libc::timespec>();
                // SAFETY: the word lives, and no time is given.
                unsafe { libc::syscall(libc::SYS_futex, word.as_ptr(), libc::FUTEX_WAIT, 0, forever) };
            }
        })
    }
}

/// A word that one side counts up and the other looks at without rest: the physical limit on two processors. On one
/// processor, looking gives it up each time.
pub(super) struct Line {
    memory: Words,
}

impl Line {
    pub(super) fn new() -> Line {
        Line { memory: Words::new(8) }
    }

    fn word(&self) -> &AtomicU64 {
        &self.memory[0]
    }
}

impl Way for Line {
    fn sender(&self) -> End<'_> {
        let mut sent = self.word().load(Relaxed);
        Box::new(move |_| {
            sent += 1;
            self.word().store(sent, Release);
        })
    }

    fn receiver(&self) -> End<'_> {
        let mut seen = self.word().load(Relaxed);
        let shares_processor = processors() == 1;
        Box::new(move |_| {
            let mut looks = 0u32;
            while self.word().load(Acquire) == seen {
                looks += 1;
                if shares_processor || looks.is_multiple_of(100_000) {
                    std::thread::yield_now();
                } else {
                    std::hint::spin_loop();
                }
            }
            seen += 1;
        })
    }
}
