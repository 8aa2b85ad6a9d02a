//! What a lying member writes: bit flips, splices, and values that hurt where they are believed.

#![allow(unsafe_code)]

use std::fs::OpenOptions;
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};

use sysv_engine::inspect::LAYOUT;

use super::Mechanism;
use super::image::Image;
use crate::random::Random;

pub(super) const PAGE: usize = 4096;

/// The numbers of the files; objects' files follow.
pub(super) const TABLE: usize = 0;
const LIMITS: usize = 1;
const FIRST_OBJECT: usize = 2;

/// Records of one kind in a file, about which lies are told.
pub(super) struct Area {
    file: usize,
    start: usize,
    size: usize,
    count: usize,
    weight: u64,
}

impl Area {
    /// The first `count` of the records; the larger the weight, the more lies.
    pub(super) fn of(file: usize, (start, size): (usize, usize), count: usize, weight: u64) -> Area {
        Area {
            file,
            start,
            size,
            count,
            weight,
        }
    }
}

/// A file, mapped for writing, and how it was.
struct Mapped {
    path: PathBuf,
    at: *mut u8,
    len: usize,
    pages: Vec<(usize, [u8; PAGE])>,
}

/// The files of a namespace that members can write.
pub(super) struct Spoiler {
    mechanism: Mechanism,
    files: Vec<Mapped>,
    areas: Vec<Area>,
    weight: u64,
}

impl Spoiler {
    /// Of the namespace in a directory, as it is now.
    pub(super) fn of(directory: &Path, mechanism: Mechanism) -> Option<Spoiler> {
        let mut files = vec![
            Mapped::open(directory.join("table"))?,
            Mapped::open(directory.join("limits"))?,
        ];
        let mut areas = mechanism.areas();
        if mechanism != Mechanism::Segments {
            let mut paths: Vec<PathBuf> = std::fs::read_dir(directory.join(mechanism.directory()))
                .ok()?
                .filter_map(|entry| Some(entry.ok()?.path()))
                .filter(|path| path.extension().is_none())
                .collect();
            paths.sort();
            for path in paths {
                let number = path.file_name()?.to_str()?.parse::<usize>().ok()? % 32768;
                areas.extend(mechanism.areas_of_file(files.len(), number));
                files.push(Mapped::open(path)?);
            }
        }
        let mut spoiler = Spoiler {
            mechanism,
            weight: areas.iter().map(|area| area.weight).sum(),
            files,
            areas,
        };
        spoiler.files.iter_mut().for_each(Mapped::remember);
        Some(spoiler)
    }

    /// Takes the lies back: on the pages that calls change, or on all.
    pub(super) fn restore(&self, all: bool) {
        for (number, file) in self.files.iter().enumerate() {
            file.restore(|page| all || number != TABLE || self.is_hot(page));
        }
        if all {
            self.tidy();
        }
    }

    /// Whether calls and lies change a page of the table: the header, the index, and the first records of each array.
    fn is_hot(&self, page: usize) -> bool {
        let registry = LAYOUT.registries[self.mechanism as usize];
        let index = registry.index.0 / PAGE;
        let starts = [0, LAYOUT.processes.0, registry.slots.0, LAYOUT.attachments.0].map(|at| at / PAGE);
        (index..index + 16).contains(&page) || starts.iter().any(|&start| (start..start + 2).contains(&page))
    }

    /// Puts objects' files back that were removed, and removes what lies have made others leave behind.
    fn tidy(&self) {
        for file in &self.files[FIRST_OBJECT..] {
            let _ = std::fs::hard_link(file.path.with_extension("kept"), &file.path);
            file.drop_the_rest();
        }
        let directory = self.files[TABLE].path.with_file_name(self.mechanism.directory());
        for entry in std::fs::read_dir(directory).into_iter().flatten().flatten() {
            let path = entry.path();
            let known = self.files.iter().any(|file| file.path == path.with_extension(""));
            if !known && self.mechanism != Mechanism::Segments {
                let _ = std::fs::remove_file(path);
            }
        }
    }

    /// Writes one to eight lies, and notes them.
    pub(super) fn lie(&self, random: &mut Random, image: &Image) {
        image.clear();
        for _ in 0..=random.below(8) {
            let (file, at) = self.place(random);
            match random.below(8) {
                0 | 1 => self.write((file, at), self.word(file, at) ^ 1 << random.below(32), image),
                2 => {
                    let ((from_file, from), len) = (self.place(random), [4, 8, 64, 128, 256][random.below(5) as usize]);
                    for offset in (0..len).step_by(4) {
                        self.write((file, at + offset), self.word(from_file, from + offset), image);
                    }
                }
                3 => {
                    let value = hostile_long(random);
                    self.write((file, at & !7), value as u32, image);
                    self.write((file, (at & !7) + 4), (value >> 32) as u32, image);
                }
                4 if random.below(4) == 0 => {
                    let at = random.below(PAGE as u64) as usize;
                    let byte = (random.next() as u8 as u32) << (random.below(4) * 8);
                    self.write((LIMITS, at), self.word(LIMITS, at) ^ byte, image);
                }
                _ => self.write((file, at), self.hostile(at, random), image),
            }
        }
    }

    /// Tells the lies of an image.
    pub(super) fn tell(&self, image: &Image) {
        for (file, at, value) in image.lies() {
            if let Some(file) = self.files.get(file) {
                file.write(at, value);
            }
        }
    }

    /// A place that calls read, the more often the more they believe it.
    fn place(&self, random: &mut Random) -> (usize, usize) {
        let mut left = random.below(self.weight);
        for area in &self.areas {
            if left < area.weight {
                let record = area.start + random.below(area.count as u64) as usize * area.size;
                return (area.file, record + random.below(area.size as u64) as usize);
            }
            left -= area.weight;
        }
        (TABLE, 0)
    }

    /// A value that is an index, a tag, a link or a state, but not the right one.
    fn hostile(&self, at: usize, random: &mut Random) -> u32 {
        const EDGES: [u32; 20] = [
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
            32766,
            32767,
            131_071,
            131_072,
            262_143,
            262_144,
            262_145,
            0x7fff_ffff,
            0x8000_0001,
            0xffff_ffff,
        ];
        match random.below(6) {
            // A small index or link: into what is there.
            0 | 1 => random.below(12) as u32,
            2 => *random.one_of(&EDGES),
            // An owner, with or without the waiters' bit; the honest process among them.
            3 => (random.below(3) as u32) << 16 | (random.below(2) as u32) << 15 | random.below(5) as u32,
            // A state word.
            4 => (random.below(4) as u32) << 8 | random.below(6) as u32,
            // What stands elsewhere.
            _ => {
                let (file, from) = self.place(random);
                self.word(file, from).wrapping_add((at % 3) as u32)
            }
        }
    }

    fn word(&self, file: usize, at: usize) -> u32 {
        self.files.get(file).map_or(0, |file| file.word(at))
    }

    fn write(&self, (file, at): (usize, usize), value: u32, image: &Image) {
        image.note(file, at & !3, value);
        self.files[file].write(at, value);
    }
}

/// What all mechanisms have, and lies are told about.
pub(super) fn common_areas(mechanism: Mechanism) -> Vec<Area> {
    let registry = LAYOUT.registries[mechanism as usize];
    let (index, len) = registry.index;
    vec![
        Area::of(TABLE, (LAYOUT.pools, 48), 1, 1),
        Area::of(TABLE, registry.header, 1, 3),
        Area::of(TABLE, (index, 8), 4, 2),
        Area::of(TABLE, (index, len.min(6 * PAGE)), 1, 1),
        Area::of(TABLE, LAYOUT.processes, 5, 2),
        Area::of(TABLE, registry.slots, 9, 4),
        Area::of(TABLE, (0, LAYOUT.processes.0), 1, 1),
    ]
}

impl Mapped {
    fn open(path: PathBuf) -> Option<Mapped> {
        let file = OpenOptions::new().read(true).write(true).open(&path).ok()?;
        let len = file.metadata().ok()?.len() as usize;
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
        (at != libc::MAP_FAILED).then_some(Mapped {
            path,
            at: at.cast(),
            len,
            pages: Vec::new(),
        })
    }

    /// Keeps the present state, to restore it later.
    fn remember(&mut self) {
        let pages = self.len.div_ceil(PAGE);
        let mut resident = vec![0u8; pages];
        // SAFETY: a byte for each page of the mapping.
        unsafe { libc::mincore(self.at.cast(), self.len, resident.as_mut_ptr()) };
        let there = resident.iter().enumerate().filter(|(_, r)| **r & 1 == 1);
        self.pages = there.map(|(page, _)| (page, self.read(page))).collect();
        let in_namespace = !matches!(
            self.path.file_name().and_then(|name| name.to_str()),
            Some("table" | "limits")
        );
        if in_namespace {
            let _ = std::fs::hard_link(&self.path, self.path.with_extension("kept"));
        }
    }

    fn read(&self, page: usize) -> [u8; PAGE] {
        // SAFETY: a page of the mapping; volatile, because others write there.
        unsafe { self.at.add(page * PAGE).cast::<[u8; PAGE]>().read_volatile() }
    }

    fn restore(&self, wanted: impl Fn(usize) -> bool) {
        for (page, bytes) in self.pages.iter().filter(|(page, _)| wanted(*page)) {
            // SAFETY: a page of the mapping. The honest process uses atomics only, or is this one.
            unsafe { std::ptr::copy_nonoverlapping(bytes.as_ptr(), self.at.add(page * PAGE), PAGE) };
        }
    }

    /// Gives back the memory of what the file has grown by. Its length stays: others have it mapped.
    fn drop_the_rest(&self) {
        let Ok(file) = OpenOptions::new().write(true).open(&self.path) else {
            return;
        };
        let Ok(now) = file.metadata().map(|metadata| metadata.len()) else {
            return;
        };
        let (from, mode) = (self.len as u64, libc::FALLOC_FL_PUNCH_HOLE | libc::FALLOC_FL_KEEP_SIZE);
        if now > from {
            // SAFETY: no memory is involved.
            unsafe { libc::fallocate(file.as_raw_fd(), mode, from as i64, (now - from) as i64) };
        }
    }

    fn clamp(&self, at: usize) -> usize {
        at.min(self.len - 4) & !3
    }

    fn word(&self, at: usize) -> u32 {
        // SAFETY: `clamp` keeps it inside the mapping, on a multiple of four.
        unsafe { self.at.add(self.clamp(at)).cast::<u32>().read_volatile() }
    }

    fn write(&self, at: usize, value: u32) {
        // SAFETY: as above.
        unsafe { self.at.add(self.clamp(at)).cast::<u32>().write_volatile(value) };
    }
}

impl Drop for Mapped {
    fn drop(&mut self) {
        // SAFETY: mapped by `open`; nothing refers to it.
        unsafe { libc::munmap(self.at.cast(), self.len) };
    }
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
