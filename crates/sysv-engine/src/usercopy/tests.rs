//! The copies and the guarded ranges inside one process.

use std::io::Write;
use std::os::fd::AsRawFd;
use std::sync::{Mutex, PoisonError};

use super::*;
use crate::abi::PAGE_SIZE;
use crate::signals::FAULT_BITS;

/// A mapping that goes when it is dropped.
struct Map {
    start: usize,
    len: usize,
}

impl Map {
    fn anonymous(pages: usize) -> Map {
        let len = pages * PAGE_SIZE;
        Map {
            start: sys::map_anonymous(len).unwrap(),
            len,
        }
    }

    /// Maps `pages` of a file that is only `file_pages` long, filled with sevens.
    fn of_file(pages: usize, file_pages: usize) -> Map {
        let name = format!(
            "/tmp/sysv-usercopy-{}-{:?}",
            std::process::id(),
            std::thread::current().id()
        );
        let mut file = std::fs::File::options()
            .read(true)
            .write(true)
            .create_new(true)
            .open(&name)
            .unwrap();
        std::fs::remove_file(&name).unwrap();
        file.write_all(&vec![7; file_pages * PAGE_SIZE]).unwrap();
        let len = pages * PAGE_SIZE;
        let prot = libc::PROT_READ | libc::PROT_WRITE;
        // SAFETY: a new range.
        let start = unsafe { sys::mmap(0, len, prot, libc::MAP_SHARED, file.as_raw_fd(), 0) }.unwrap();
        Map { start, len }
    }

    fn protect(&self, page: usize, prot: i32) {
        // SAFETY: the range is this test's own.
        unsafe { syscall!(SYS_mprotect, self.start + page * PAGE_SIZE, PAGE_SIZE, prot) }.unwrap();
    }
}

impl Drop for Map {
    fn drop(&mut self) {
        // SAFETY: the range is this test's own and nothing refers to it any more.
        let _ = unsafe { sys::munmap(self.start, self.len) };
    }
}

fn read(src: usize, len: usize) -> Result<Vec<u8>> {
    let mut bytes = vec![0; len];
    // SAFETY: `bytes` is `len` long.
    unsafe { copy_in(bytes.as_mut_ptr(), src, len) }.map(|()| bytes)
}

fn write(dst: usize, bytes: &[u8]) -> Result<()> {
    // SAFETY: the tests write to their own maps or to addresses that are not mapped.
    unsafe { copy_out(dst, bytes.as_ptr(), bytes.len()) }
}

/// The table of guarded ranges, for one test at a time.
static GUARDED_RANGES: Mutex<()> = Mutex::new(());

/// Lengths on both sides of every branch of the routine.
const LENGTHS: [usize; 12] = [0, 1, 7, 8, 9, 63, 112, 255, 256, 257, 4096, 5000];

#[test]
fn good_pointers_copy_every_length() {
    let map = Map::anonymous(2);
    for len in LENGTHS {
        let bytes: Vec<u8> = (0..len).map(|i| (i * 31 % 251) as u8).collect();
        write(map.start + 1, &bytes).unwrap();
        assert_eq!(read(map.start + 1, len).unwrap(), bytes, "{len} bytes");
    }
}

#[test]
fn bad_pointers_are_efault_in_both_directions() {
    let hole = Map::anonymous(2);
    hole.protect(0, libc::PROT_NONE);
    hole.protect(1, libc::PROT_NONE);
    for address in [
        0,
        1,
        4095,
        hole.start,
        usize::MAX - 8,
        usize::MAX,
        1 << 47,
        0xffff_8000_0000_0000,
    ] {
        for len in LENGTHS.into_iter().skip(1) {
            assert_eq!(read(address, len), Err(Errno::EFAULT), "{address:#x}+{len}");
            assert_eq!(write(address, &vec![0; len]), Err(Errno::EFAULT), "{address:#x}+{len}");
        }
        assert_eq!(read(address, 0), Ok(vec![]), "no byte, no fault");
    }
}

#[test]
fn a_read_only_page_can_be_read_and_not_written() {
    let map = Map::anonymous(1);
    map.protect(0, libc::PROT_READ);
    assert_eq!(read(map.start, 16).unwrap(), [0; 16]);
    assert_eq!(write(map.start, &[1; 16]), Err(Errno::EFAULT));
}

#[test]
fn a_range_over_a_good_and_a_bad_page_is_efault() {
    let map = Map::anonymous(2);
    map.protect(1, libc::PROT_NONE);
    for before in [1, 8, 300] {
        let address = map.start + PAGE_SIZE - before;
        assert_eq!(read(address, before).unwrap().len(), before);
        assert_eq!(read(address, before + 1), Err(Errno::EFAULT));
        assert_eq!(write(address, &vec![9; before + 1]), Err(Errno::EFAULT));
    }
}

#[test]
fn past_the_end_of_a_file_is_efault() {
    let map = Map::of_file(2, 1);
    assert_eq!(read(map.start, 4).unwrap(), [7; 4]);
    assert_eq!(read(map.start + PAGE_SIZE, 4), Err(Errno::EFAULT));
    assert_eq!(write(map.start + PAGE_SIZE - 2, &[1; 4]), Err(Errno::EFAULT));
}

#[test]
fn with_the_signals_blocked_a_bad_pointer_is_efault() {
    signals::masks_seen();
    let (bits, mut old) = (FAULT_BITS, 0u64);
    let map = Map::anonymous(2);
    map.protect(1, libc::PROT_NONE);
    write(map.start, b"before").unwrap();
    // SAFETY: this thread's mask; eight bytes each.
    unsafe { syscall!(SYS_rt_sigprocmask, libc::SIG_BLOCK, &raw const bits, &raw mut old, 8) }.unwrap();
    assert_eq!(read(0, 8), Err(Errno::EFAULT), "the fault would have killed");
    assert_eq!(write(8, &[0; 8]), Err(Errno::EFAULT));
    assert_eq!(read(map.start, 6).unwrap(), b"before");
    assert_eq!(write(map.start + PAGE_SIZE - 4, &[0; 8]), Err(Errno::EFAULT));
    // SAFETY: as above.
    unsafe { syscall!(SYS_rt_sigprocmask, libc::SIG_SETMASK, &raw const old, 0, 8) }.unwrap();
    assert_eq!(read(0, 8), Err(Errno::EFAULT), "unblocked again");
}

#[test]
fn a_guarded_range_reads_zeros_where_its_file_was_cut_and_says_so() {
    static DAMAGED: Alarm = Alarm::new();
    let _alone = GUARDED_RANGES.lock().unwrap_or_else(PoisonError::into_inner);
    let map = Map::of_file(3, 1);
    // SAFETY: the map lives until after the guard.
    let guarded = unsafe { guard(map.start, map.len, &DAMAGED) }.unwrap();
    let byte = |offset: usize| {
        // SAFETY: the range is mapped; a missing page is replaced.
        unsafe { ((map.start + offset) as *const u8).read_volatile() }
    };
    assert_eq!(byte(0), 7);
    assert!(!DAMAGED.is_raised());
    assert_eq!(byte(PAGE_SIZE + 5), 0);
    assert!(DAMAGED.is_raised());
    assert_eq!(
        read(map.start + 2 * PAGE_SIZE, 4).unwrap(),
        [0; 4],
        "also inside the routine"
    );
    drop(guarded);
}

#[test]
fn there_are_as_many_guarded_ranges_as_are_needed() {
    static DAMAGED: Alarm = Alarm::new();
    let _alone = GUARDED_RANGES.lock().unwrap_or_else(PoisonError::into_inner);
    let maps: Vec<Map> = (0..1000).map(|_| Map::of_file(2, 1)).collect();
    // SAFETY: the maps live until after the guards.
    let guards: Vec<_> = maps
        .iter()
        .map(|map| unsafe { guard(map.start, map.len, &DAMAGED) }.unwrap())
        .collect();
    let last = maps.last().unwrap().start + PAGE_SIZE;
    // SAFETY: the range is mapped; a missing page is replaced.
    assert_eq!(unsafe { (last as *const u8).read_volatile() }, 0);
    assert!(DAMAGED.is_raised());
    drop(guards);
}
