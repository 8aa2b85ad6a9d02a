//! A page that a harness and the processes it forks share: identifiers, process ids, figures.

#![allow(unsafe_code)]

use std::sync::atomic::{AtomicI32, AtomicU64};

/// What the processes of one trial tell each other. Zero at first.
#[repr(C)]
pub(crate) struct Board {
    /// Identifiers of the segments that a trial made.
    pub ids: [AtomicI32; 8],
    /// What has become of a process that waits beside the victim: 0 not begun, 1 in its call, 2 done, or the negative errno.
    pub companion: AtomicI32,
    /// Bumped by a worker at each step, so that a watchdog sees it go on.
    pub progress: AtomicU64,
    /// What a worker was doing, for the report on its death.
    pub seed: AtomicU64,
    /// Figures that a worker hands back.
    pub figures: [AtomicU64; 16],
}

impl Board {
    /// A new board, inherited by every process forked from here. It stays until the process ends or [`free`](Board::free)s it.
    pub(crate) fn new() -> &'static Board {
        // SAFETY: a new shared mapping, large enough, zeroed, of atomics only.
        unsafe {
            let at = libc::mmap(
                std::ptr::null_mut(),
                size_of::<Board>(),
                libc::PROT_READ | libc::PROT_WRITE,
                libc::MAP_SHARED | libc::MAP_ANONYMOUS,
                -1,
                0,
            );
            assert_ne!(at, libc::MAP_FAILED, "no memory for a board");
            &*at.cast::<Board>()
        }
    }

    /// Gives its memory back in this process.
    ///
    /// # Safety
    /// The process must not use it any more.
    pub(crate) unsafe fn free(&'static self) {
        // SAFETY: mapped by `new`; the caller's promise.
        unsafe { libc::munmap(core::ptr::from_ref(self).cast_mut().cast(), size_of::<Board>()) };
    }
}
