//! The clock that System V IPC stamps its structures with.

#![allow(unsafe_code)]

use std::time::Duration;

/// Seconds since the Epoch, as the kernel's bookkeeping sees them: no further than its last tick.
pub fn now() -> i64 {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: `time` is valid.
    unsafe { libc::clock_gettime(libc::CLOCK_REALTIME_COARSE, &mut time) };
    time.tv_sec
}

/// Sleeps until the second has changed, and returns the new one.
pub fn next_second() -> i64 {
    let before = now();
    while now() == before {
        std::thread::sleep(Duration::from_millis(5));
    }
    now()
}
