//! Address space: reserved rooms, places that are free, and what is mapped where.

#![allow(unsafe_code)]

use std::sync::atomic::{AtomicUsize, Ordering};

use sysv_engine::abi::PAGE_SIZE;

/// Far from where the system puts mappings by itself.
const QUIET: usize = 0x1000_0000_0000;

/// The next free address of this process's quiet region.
static NEXT: AtomicUsize = AtomicUsize::new(QUIET);

/// `len` rounded up to whole pages.
pub fn page_up(len: usize) -> usize {
    len.next_multiple_of(PAGE_SIZE)
}

/// The start of `pages` pages of address space where nothing is mapped and nobody maps anything by chance,
/// with unmapped pages on both sides.
pub fn free_place(pages: usize) -> usize {
    NEXT.fetch_add((pages + 2) * PAGE_SIZE, Ordering::Relaxed) + PAGE_SIZE
}

/// Pages of private, readable and writable memory at a place of their own, unmapped on drop together with
/// everything that was attached over them.
pub struct Room {
    address: usize,
    len: usize,
}

impl Room {
    /// Maps them.
    pub fn of_pages(pages: usize) -> Room {
        let (address, len) = (free_place(pages), pages * PAGE_SIZE);
        // SAFETY: a new mapping that replaces nothing.
        let mapped = unsafe {
            libc::mmap(
                address as *mut _,
                len,
                libc::PROT_READ | libc::PROT_WRITE,
                libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_FIXED_NOREPLACE,
                -1,
                0,
            )
        };
        assert_eq!(mapped as usize, address, "mmap: {}", std::io::Error::last_os_error());
        Room { address, len }
    }

    /// Where it starts.
    pub fn address(&self) -> usize {
        self.address
    }

    /// Its length in bytes.
    #[allow(clippy::len_without_is_empty)]
    pub fn len(&self) -> usize {
        self.len
    }

    /// The byte at `offset`.
    pub fn load(&self, offset: usize) -> u8 {
        assert!(offset < self.len);
        // SAFETY: inside the room.
        unsafe { ((self.address + offset) as *const u8).read_volatile() }
    }

    /// Sets the byte at `offset`.
    pub fn store(&self, offset: usize, value: u8) {
        assert!(offset < self.len);
        // SAFETY: inside the room.
        unsafe { ((self.address + offset) as *mut u8).write_volatile(value) }
    }
}

impl Drop for Room {
    fn drop(&mut self) {
        // SAFETY: the room's own pages.
        unsafe { libc::munmap(self.address as *mut _, self.len) };
    }
}

/// Whether anything is mapped at `addr`.
pub fn is_mapped(addr: usize) -> bool {
    let mut resident = 0u8;
    // SAFETY: one byte for one page.
    unsafe { libc::mincore((addr & !(PAGE_SIZE - 1)) as *mut _, PAGE_SIZE, &mut resident) == 0 }
}

/// Reads memory without the risk of a fault: `None` where it is not readable.
pub fn peek(addr: usize, len: usize) -> Option<Vec<u8>> {
    let mut bytes = vec![0; len];
    let local = libc::iovec {
        iov_base: bytes.as_mut_ptr().cast(),
        iov_len: len,
    };
    let remote = libc::iovec {
        iov_base: addr as *mut _,
        iov_len: len,
    };
    // SAFETY: `local` is valid for its length; `remote` is checked by the kernel.
    let read = unsafe { libc::process_vm_readv(libc::getpid(), &local, 1, &remote, 1, 0) };
    (read == len as isize).then_some(bytes)
}

/// Writes memory without the risk of a fault; `false` where it is not writable.
///
/// # Safety
/// If anything is mapped there, it belongs to the caller.
pub unsafe fn poke(addr: usize, bytes: &[u8]) -> bool {
    let local = libc::iovec {
        iov_base: bytes.as_ptr().cast_mut().cast(),
        iov_len: bytes.len(),
    };
    let remote = libc::iovec {
        iov_base: addr as *mut _,
        iov_len: bytes.len(),
    };
    // SAFETY: `local` is valid for its length and only read; what is at `remote` is the caller's.
    let written = unsafe { libc::process_vm_writev(libc::getpid(), &local, 1, &remote, 1, 0) };
    written == bytes.len() as isize
}

/// Leaves this process `more` bytes of address space beyond what it has mapped, for good.
pub fn limit_address_space(more: usize) {
    let statm = std::fs::read_to_string("/proc/self/statm").expect("/proc/self/statm");
    let pages: usize = statm
        .split(' ')
        .next()
        .and_then(|pages| pages.parse().ok())
        .expect("a number of pages");
    let limit = (pages * PAGE_SIZE + more) as u64;
    // SAFETY: a valid structure.
    let set = unsafe {
        libc::setrlimit(
            libc::RLIMIT_AS,
            &libc::rlimit {
                rlim_cur: limit,
                rlim_max: limit,
            },
        )
    };
    assert_eq!(set, 0, "setrlimit: {}", std::io::Error::last_os_error());
}

/// Whether the file behind the mapping at `addr` can be opened for writing, through its entry in
/// `/proc/self/map_files` or by its name.
pub fn reopen_writable(addr: usize) -> bool {
    let maps = std::fs::read_to_string("/proc/self/maps").expect("/proc/self/maps");
    let start = format!("{addr:x}-");
    let line = maps.lines().find(|line| line.starts_with(&start)).expect("the mapping");
    let range = line.split(' ').next().expect("a range");
    let name = line
        .find('/')
        .map(|at| line[at..].trim_end_matches(" (deleted)").to_string());
    let paths = [Some(format!("/proc/self/map_files/{range}")), name];
    paths
        .iter()
        .flatten()
        .any(|path| std::fs::OpenOptions::new().write(true).open(path).is_ok())
}
