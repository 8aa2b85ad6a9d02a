//! What a lying member writes: bit flips, splices, and values that hurt where they are believed.

#![allow(unsafe_code)]

use std::fs::OpenOptions;
use std::os::fd::AsRawFd;
use std::path::Path;

use sysv_engine::inspect::LAYOUT;

use crate::random::Random;

const PAGE: usize = 4096;
const LIMITS: usize = 4096;

/// The table and the limits, mapped for writing, and how they were.
pub(super) struct Spoiler {
    table: *mut u8,
    limits: *mut u8,
    pages: Vec<(usize, [u8; PAGE])>,
    honest_limits: [u8; LIMITS],
}

/// Pages that calls and lies change: the header, the index, and the first records of each array.
fn is_hot(page: usize) -> bool {
    let starts = [0, LAYOUT.processes.0, LAYOUT.segments.0, LAYOUT.attachments.0].map(|at| at / PAGE);
    page < LAYOUT.processes.0 / PAGE && page < 16 || starts.iter().any(|&start| (start..start + 2).contains(&page))
}

impl Spoiler {
    pub(super) fn of(table: &Path) -> Option<Spoiler> {
        Some(Spoiler {
            table: map(table, LAYOUT.len)?,
            limits: map(&table.with_file_name("limits"), LIMITS)?,
            pages: Vec::new(),
            honest_limits: [0; LIMITS],
        })
    }

    /// Keeps the present state, to restore it later.
    pub(super) fn remember(&mut self) {
        let mut resident = vec![0u8; LAYOUT.len / PAGE];
        // SAFETY: a byte for each page of the mapping.
        unsafe { libc::mincore(self.table.cast(), LAYOUT.len, resident.as_mut_ptr()) };
        let there = resident.iter().enumerate().filter(|(_, r)| **r & 1 == 1);
        self.pages = there.map(|(page, _)| (page, self.read(page))).collect();
        // SAFETY: mapped at this size; volatile, because others write there.
        self.honest_limits = unsafe { self.limits.cast::<[u8; LIMITS]>().read_volatile() };
    }

    fn read(&self, page: usize) -> [u8; PAGE] {
        // SAFETY: a page of the mapping; volatile, because others write there.
        unsafe { self.table.add(page * PAGE).cast::<[u8; PAGE]>().read_volatile() }
    }

    /// Takes the lies back: on the pages that calls change, or on all.
    pub(super) fn restore(&self, all: bool) {
        for (page, bytes) in &self.pages {
            if all || is_hot(*page) {
                // SAFETY: a page of the mapping. The honest process uses atomics only, or is this one.
                unsafe { std::ptr::copy_nonoverlapping(bytes.as_ptr(), self.table.add(page * PAGE), PAGE) };
            }
        }
        // SAFETY: as above.
        unsafe { std::ptr::copy_nonoverlapping(self.honest_limits.as_ptr(), self.limits, LIMITS) };
    }

    /// Writes one to eight lies.
    pub(super) fn lie(&mut self, random: &mut Random) {
        for _ in 0..=random.below(8) {
            let at = place(random);
            match random.below(8) {
                0 | 1 => self.write(at, self.word(at) ^ 1 << random.below(32)),
                2 => {
                    let (from, len) = (place(random), [4, 8, 64, 128, 256][random.below(5) as usize]);
                    for offset in (0..len).step_by(4) {
                        self.write(at + offset, self.word(from + offset));
                    }
                }
                3 => {
                    let value = hostile_long(random);
                    self.write(at & !7, value as u32);
                    self.write((at & !7) + 4, (value >> 32) as u32);
                }
                4 if random.below(4) == 0 => {
                    let byte = random.below(LIMITS as u64) as usize;
                    // SAFETY: inside the mapping.
                    unsafe { self.limits.add(byte).write_volatile(random.next() as u8) };
                }
                _ => self.write(at, self.hostile(at, random)),
            }
        }
    }

    /// A value that is an index, a tag, a link or a state, but not the right one.
    fn hostile(&self, at: usize, random: &mut Random) -> u32 {
        const EDGES: [u32; 16] = [
            0,
            1,
            2,
            3,
            4,
            0x8000,
            0x8001,
            16383,
            16384,
            16385,
            32767,
            262_143,
            262_144,
            262_145,
            0x7fff_ffff,
            0xffff_ffff,
        ];
        match random.below(6) {
            // A small index or link: into what is there.
            0 | 1 => random.below(12) as u32,
            2 => *random.one_of(&EDGES),
            // An owner, with or without the waiters' bit; the honest process among them.
            3 => (random.below(3) as u32) << 16 | (random.below(2) as u32) << 15 | random.below(4) as u32,
            // A state word.
            4 => (random.below(4) as u32) << 8 | random.below(6) as u32,
            // What stands elsewhere.
            _ => self.word(place(random)).wrapping_add((at % 3) as u32),
        }
    }

    fn word(&self, at: usize) -> u32 {
        // SAFETY: `clamp` keeps it inside the mapping, on a multiple of four.
        unsafe { self.table.add(clamp(at)).cast::<u32>().read_volatile() }
    }

    fn write(&self, at: usize, value: u32) {
        // SAFETY: as above.
        unsafe { self.table.add(clamp(at)).cast::<u32>().write_volatile(value) };
    }
}

fn clamp(at: usize) -> usize {
    at.min(LAYOUT.len - 4) & !3
}

/// A place that calls read, the more often the more they believe it.
fn place(random: &mut Random) -> usize {
    let record = |(start, size): (usize, usize), count: u64, random: &mut Random| {
        start + random.below(count) as usize * size + random.below(size as u64) as usize
    };
    let at = match random.below(10) {
        0 | 1 => LAYOUT.pools + random.below(224) as usize,
        2 => LAYOUT.index + random.below(4) as usize * 8,
        3 => LAYOUT.index + random.below((LAYOUT.processes.0 - LAYOUT.index).min(6 * PAGE) as u64) as usize,
        4 => record(LAYOUT.processes, 4, random),
        5 | 6 => record(LAYOUT.segments, 9, random),
        7 | 8 => record(LAYOUT.attachments, 16, random),
        _ => random.below(LAYOUT.processes.0 as u64) as usize,
    };
    clamp(at)
}

fn hostile_long(random: &mut Random) -> u64 {
    match random.below(6) {
        0 => u64::MAX,
        1 => 1 << 63,
        2 => u64::MAX - random.below(8192),
        3 => 1 << random.below(64),
        4 => random.below(1 << 20),
        _ => random.next(),
    }
}

fn map(path: &Path, len: usize) -> Option<*mut u8> {
    let file = OpenOptions::new().read(true).write(true).open(path).ok()?;
    // SAFETY: a new mapping.
    let at = unsafe {
        libc::mmap(
            std::ptr::null_mut(),
            len,
            libc::PROT_READ | libc::PROT_WRITE,
            libc::MAP_SHARED,
            file.as_raw_fd(),
            0,
        )
    };
    (at != libc::MAP_FAILED).then_some(at.cast())
}
