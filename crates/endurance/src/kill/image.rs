//! The table as the tracer sees it: what an instruction changed in it.

#![allow(unsafe_code)]

use std::collections::BTreeSet;
use std::fs::File;
use std::os::fd::AsRawFd;
use std::path::Path;

use sysv_engine::inspect::LAYOUT;

const PAGE: usize = 4096;

/// The namespace's table, mapped for reading, beside a copy of its last state.
pub(crate) struct Image {
    path: std::path::PathBuf,
    file: Option<File>,
    mapped: *const u8,
    pages: BTreeSet<usize>,
    copy: Vec<[u8; PAGE]>,
}

impl Image {
    pub(crate) fn new(directory: &Path) -> Image {
        Image {
            path: directory.join("table"),
            file: None,
            mapped: std::ptr::null(),
            pages: BTreeSet::new(),
            copy: Vec::new(),
        }
    }

    /// Watches all pages that the file has now. After each system call: it may have made the table, or more pages of it.
    pub(crate) fn watch_all(&mut self) {
        if self.open().is_none() {
            return;
        }
        let found = self.file.as_ref().map(allocated_pages).unwrap_or_default();
        if found != self.pages {
            self.watch(found);
        }
    }

    /// Watches these pages, as far as they exist.
    pub(crate) fn watch(&mut self, pages: BTreeSet<usize>) {
        if self.open().is_some() {
            self.copy = pages.iter().map(|&page| self.read(page)).collect();
            self.pages = pages;
        }
    }

    fn open(&mut self) -> Option<()> {
        if self.file.is_none() {
            let file = File::open(&self.path).ok()?;
            // SAFETY: a new mapping.
            let at = unsafe {
                libc::mmap(
                    std::ptr::null_mut(),
                    LAYOUT.len,
                    libc::PROT_READ,
                    libc::MAP_SHARED,
                    file.as_raw_fd(),
                    0,
                )
            };
            if at == libc::MAP_FAILED {
                return None;
            }
            self.mapped = at.cast();
            self.file = Some(file);
        }
        Some(())
    }

    fn read(&self, page: usize) -> [u8; PAGE] {
        // SAFETY: `pages` holds pages inside the mapping; the process that writes them is stopped. Volatile, because the
        // memory changes behind the compiler's back.
        unsafe { std::ptr::read_volatile(self.mapped.add(page * PAGE).cast::<[u8; PAGE]>()) }
    }

    /// The watched pages that have changed since the last time.
    pub(crate) fn changed(&mut self) -> Vec<usize> {
        let mut changed = Vec::new();
        for (&page, copy) in self.pages.iter().zip(&mut self.copy) {
            // SAFETY: as in `read`; both sides are a page long.
            let differs = unsafe { libc::memcmp(self.mapped.add(page * PAGE).cast(), copy.as_ptr().cast(), PAGE) };
            if differs != 0 {
                // SAFETY: as in `read`.
                *copy = unsafe { std::ptr::read_volatile(self.mapped.add(page * PAGE).cast()) };
                changed.push(page);
            }
        }
        changed
    }

    /// A word of the table as it is now; 0 if there is no table.
    pub(crate) fn word(&mut self, offset: usize) -> u32 {
        if self.open().is_none() {
            return 0;
        }
        // SAFETY: inside the mapping.
        unsafe { std::ptr::read_volatile(self.mapped.add(offset).cast::<u32>()) }
    }
}

impl Drop for Image {
    fn drop(&mut self) {
        if !self.mapped.is_null() {
            // SAFETY: mapped by `open`; no reference is left.
            unsafe { libc::munmap(self.mapped.cast_mut().cast(), LAYOUT.len) };
        }
    }
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
