//! The namespace's files as the tracer sees them: what an instruction changed in them.

#![allow(unsafe_code)]

use std::collections::BTreeSet;
use std::fs::File;
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use sysv_engine::inspect::LAYOUT;

const PAGE: usize = 4096;

/// Directories whose files are memory that calls change. What is in `shm` is the programs'.
const DIRECTORIES: [&str; 2] = ["sem", "msg"];

/// A page of one of the namespace's files: the file's name and the page's number.
pub(crate) type Page = (String, usize);

/// The table and the files of sets and queues, mapped for reading, beside a copy of their last state.
pub(crate) struct Image {
    directory: PathBuf,
    files: Vec<Mapped>,
}

struct Mapped {
    name: String,
    file: File,
    at: *const u8,
    len: usize,
    pages: BTreeSet<usize>,
    copy: Vec<[u8; PAGE]>,
}

impl Image {
    pub(crate) fn new(directory: &Path) -> Image {
        Image {
            directory: directory.to_owned(),
            files: Vec::new(),
        }
    }

    /// Watches all pages that the files have now. After each system call: it may have made a file, or more pages of one.
    pub(crate) fn watch_all(&mut self) {
        self.find("table");
        for directory in DIRECTORIES {
            let Ok(entries) = std::fs::read_dir(self.directory.join(directory)) else {
                continue;
            };
            for name in entries.filter_map(|e| e.ok()?.file_name().into_string().ok()) {
                self.find(&format!("{directory}/{name}"));
            }
        }
        for file in &mut self.files {
            file.map_again_if_longer();
            let found = allocated_pages(&file.file);
            if found != file.pages {
                file.watch(found);
            }
        }
    }

    /// Watches these pages, as far as they exist.
    pub(crate) fn watch(&mut self, pages: &BTreeSet<Page>) {
        let mut names: Vec<&str> = pages.iter().map(|(name, _)| name.as_str()).collect();
        names.dedup();
        for name in names {
            let wanted = pages.iter().filter(|page| page.0 == name).map(|page| page.1);
            if let Some(file) = self.find(name) {
                file.map_again_if_longer();
                let there = allocated_pages(&file.file);
                file.watch(wanted.filter(|page| there.contains(page)).collect());
            }
        }
    }

    fn find(&mut self, name: &str) -> Option<&mut Mapped> {
        if let Some(known) = self.files.iter().position(|file| file.name == name) {
            return Some(&mut self.files[known]);
        }
        let file = Mapped::open(&self.directory, name)?;
        self.files.push(file);
        self.files.last_mut()
    }

    /// The watched pages that have changed since the last time. That a time became a later one is no change: whether it does
    /// depends on when a second ends, and the same instruction would be another change then.
    pub(crate) fn changed(&mut self) -> Vec<Page> {
        let mut changed = Vec::new();
        for file in &mut self.files {
            let name = &file.name;
            let mut note = |page| changed.push((name.clone(), page));
            for (&page, copy) in file.pages.iter().zip(&mut file.copy) {
                // SAFETY: the page is inside the mapping; both sides are a page long.
                let differs = unsafe { libc::memcmp(file.at.add(page * PAGE).cast(), copy.as_ptr().cast(), PAGE) };
                if differs != 0 {
                    let before = std::mem::replace(copy, read_page(file.at, page));
                    if !differ_in_times_only(&before, copy) {
                        note(page);
                    }
                }
            }
        }
        changed
    }

    /// Every lock that is taken, by the word that says so: the registries', and those of the sets and queues.
    pub(crate) fn locks(&mut self) -> Vec<u32> {
        if self.files.is_empty() {
            self.watch_all();
        }
        let mut words = Vec::new();
        for file in &self.files {
            let mut look = |offset: usize| {
                if file.pages.contains(&(offset / PAGE)) {
                    // SAFETY: a watched page is inside the mapping; the words are aligned.
                    words.push(unsafe { file.at.add(offset).cast::<u32>().read_volatile() });
                }
            };
            match file.name.as_str() {
                "table" => {
                    // A registry's header begins with its lock.
                    LAYOUT.registries.iter().for_each(|places| look(places.header.0));
                    let (first, distance) = LAYOUT.set_locks;
                    (0..8).for_each(|set| look(first + set * distance));
                }
                name if name.starts_with("sem/") => look(0),
                _ => LAYOUT.queue_locks.into_iter().for_each(&mut look),
            }
        }
        words.retain(|&word| word != 0);
        words
    }
}

impl Mapped {
    fn open(directory: &Path, name: &str) -> Option<Mapped> {
        let mut mapped = Mapped {
            name: name.to_owned(),
            file: File::open(directory.join(name)).ok()?,
            at: std::ptr::null(),
            len: 0,
            pages: BTreeSet::new(),
            copy: Vec::new(),
        };
        mapped.map_again_if_longer();
        Some(mapped)
    }

    fn map_again_if_longer(&mut self) {
        let len = self.file.metadata().map_or(0, |m| m.len() as usize);
        if len <= self.len {
            return;
        }
        self.unmap();
        // SAFETY: a new mapping.
        let at = unsafe {
            let (protection, flags) = (libc::PROT_READ, libc::MAP_SHARED);
            libc::mmap(std::ptr::null_mut(), len, protection, flags, self.file.as_raw_fd(), 0)
        };
        assert_ne!(at, libc::MAP_FAILED, "{} cannot be mapped", self.name);
        (self.at, self.len) = (at.cast(), len);
    }

    fn watch(&mut self, pages: BTreeSet<usize>) {
        self.copy = pages.iter().map(|&page| read_page(self.at, page)).collect();
        self.pages = pages;
    }

    fn unmap(&mut self) {
        if !self.at.is_null() {
            // SAFETY: mapped by `map_again_if_longer`; no reference is left.
            unsafe { libc::munmap(self.at.cast_mut().cast(), self.len) };
        }
    }
}

impl Drop for Mapped {
    fn drop(&mut self) {
        self.unmap();
    }
}

fn read_page(at: *const u8, page: usize) -> [u8; PAGE] {
    // SAFETY: the callers' pages are inside the mapping; the process that writes them is stopped. Volatile, because the
    // memory changes behind the compiler's back.
    unsafe { at.add(page * PAGE).cast::<[u8; PAGE]>().read_volatile() }
}

/// Whether each word that differs is a time around now on both pages, in seconds since the Epoch.
fn differ_in_times_only(before: &[u8; PAGE], after: &[u8; PAGE]) -> bool {
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| since.as_secs());
    let is_time = |word: &[u8; 8]| u64::from_le_bytes(*word).abs_diff(now) < 3600;
    let (before, after) = (before.as_chunks::<8>().0, after.as_chunks::<8>().0);
    let mut pairs = before.iter().zip(after);
    pairs.all(|(before, after)| before == after || is_time(before) && is_time(after))
}

/// The pages of a sparse file that hold data.
fn allocated_pages(file: &File) -> BTreeSet<usize> {
    let mut pages = BTreeSet::new();
    let mut at = 0;
    loop {
        // SAFETY: no memory is involved.
        let (data, hole) = unsafe {
            let data = libc::lseek(file.as_raw_fd(), at, libc::SEEK_DATA);
            (data, libc::lseek(file.as_raw_fd(), data.max(0), libc::SEEK_HOLE))
        };
        if data < 0 || hole < 0 {
            return pages;
        }
        pages.extend(data as usize / PAGE..(hole as usize).div_ceil(PAGE));
        at = hole;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A receipt in the same second as the last one was a change less than one a second later, and the process was killed one
    /// change further on: with its message taken instead of there.
    #[test]
    fn the_end_of_a_second_is_no_change() {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
        let page = |words: [u64; 2]| {
            let mut page = [0; PAGE];
            page[64..72].copy_from_slice(&words[0].to_le_bytes());
            page[72..80].copy_from_slice(&words[1].to_le_bytes());
            page
        };
        assert!(differ_in_times_only(&page([now, 7]), &page([now + 1, 7])));
        assert!(!differ_in_times_only(&page([0, 7]), &page([now, 7])));
        assert!(!differ_in_times_only(&page([now, 7]), &page([now + 1, 8])));
        assert!(!differ_in_times_only(&page([now, 7]), &page([now, 8])));
    }
}
