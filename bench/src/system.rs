//! The few calls of the C library that more than one module needs: processors, clocks, memory, children.

#![allow(unsafe_code)]

use std::io;
use std::marker::PhantomData;
use std::ops::Deref;
use std::sync::atomic::AtomicU64;

use crate::job::Placement;

/// The last call's error, in words.
pub(crate) fn last_error(call: &str) -> String {
    format!("{call}: {}", io::Error::last_os_error())
}

/// How many processors this process may use.
pub fn processors() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

/// Puts the calling process where the `index`th of its kind belongs.
pub(crate) fn place(placement: Placement, index: usize) {
    let processor = match placement {
        Placement::Free => return,
        Placement::One => 0,
        Placement::Two => index % 2,
    };
    // SAFETY: a set of processors is plain bits, and lives until the call returns.
    unsafe {
        let mut set: libc::cpu_set_t = std::mem::zeroed();
        libc::CPU_SET(processor, &mut set);
        libc::sched_setaffinity(0, size_of_val(&set), &raw const set);
    }
}

fn clock(id: libc::clockid_t) -> u64 {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: `time` is valid for writing.
    unsafe { libc::clock_gettime(id, &raw mut time) };
    time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64
}

/// Nanoseconds since some moment that is the same for all processes.
#[inline]
pub fn now() -> u64 {
    clock(libc::CLOCK_MONOTONIC)
}

/// Nanoseconds of processor time that this process has used.
pub(crate) fn processor_time() -> u64 {
    clock(libc::CLOCK_PROCESS_CPUTIME_ID)
}

/// Ends the process, and with it its children, if a round takes longer than that.
pub(crate) fn watchdog(seconds: u32) {
    // SAFETY: the call takes no pointer.
    unsafe { libc::alarm(seconds) };
}

/// In a process just made: it ends with whoever made it.
pub(crate) fn end_with_parent() {
    // SAFETY: the call takes no pointer.
    unsafe { libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL) };
}

/// Gives this process the kernel's facility for itself, where it may: what it leaves there goes with it.
pub(crate) fn own_kernel_facility() {
    // SAFETY: the call takes no pointer. If it is refused the objects are made among everybody's, and removed.
    unsafe { libc::unshare(libc::CLONE_NEWIPC) };
}

/// Forks a child that does `work` and ends.
pub(crate) fn fork(work: impl FnOnce()) -> libc::pid_t {
    // SAFETY: workers have one thread.
    let pid = unsafe { libc::fork() };
    assert!(pid >= 0, "{}", last_error("fork"));
    if pid == 0 {
        end_with_parent();
        work();
        // SAFETY: always allowed. The parent's destructors are not the child's to run.
        unsafe { libc::_exit(0) };
    }
    pid
}

/// Waits for a child's end, which must be a good one.
pub(crate) fn reap(pid: libc::pid_t) {
    let mut status = 0;
    // SAFETY: `status` is valid for writing.
    let reaped = unsafe { libc::waitpid(pid, &raw mut status, 0) };
    assert!(reaped == pid && status == 0, "a child failed: status {status:#x}");
}

/// Ends a child that would not end by itself.
pub(crate) fn kill(pid: libc::pid_t) {
    // SAFETY: neither call reads or writes memory of ours.
    unsafe {
        libc::kill(pid, libc::SIGKILL);
        libc::waitpid(pid, std::ptr::null_mut(), 0);
    }
}

/// Words that this process shares with the children it forks.
pub struct Words {
    start: *mut AtomicU64,
    count: usize,
    owned: PhantomData<AtomicU64>,
}

impl Words {
    /// Zeroes, in memory that is there already.
    pub fn new(count: usize) -> Words {
        let protection = libc::PROT_READ | libc::PROT_WRITE;
        let flags = libc::MAP_SHARED | libc::MAP_ANONYMOUS | libc::MAP_POPULATE;
        let length = count.max(1) * size_of::<AtomicU64>();
        // SAFETY: a new mapping touches nothing that exists.
        let start = unsafe { libc::mmap(std::ptr::null_mut(), length, protection, flags, -1, 0) };
        assert_ne!(start, libc::MAP_FAILED, "{}", last_error("mmap"));
        Words {
            start: start.cast(),
            count,
            owned: PhantomData,
        }
    }
}

impl Deref for Words {
    type Target = [AtomicU64];

    fn deref(&self) -> &[AtomicU64] {
        // SAFETY: the mapping has so many words, zeroed or written as such atomics, and is kept as long as `self`.
        unsafe { std::slice::from_raw_parts(self.start, self.count) }
    }
}

impl Drop for Words {
    fn drop(&mut self) {
        // SAFETY: our own mapping, to which nothing refers any more.
        unsafe { libc::munmap(self.start.cast(), self.count.max(1) * size_of::<AtomicU64>()) };
    }
}
