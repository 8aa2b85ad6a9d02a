//! Boost.Interprocess: its message queue, semaphore and mutex.

use std::ffi::{CString, c_char, c_void};

use sysv_bench::locks::Lock;
use sysv_bench::message::Message;
use sysv_bench::ways::{End, Way};

unsafe extern "C" {
    fn boost_queue_new(name: *const c_char, messages: usize, size: usize) -> *mut c_void;
    fn boost_queue_send(queue: *mut c_void, bytes: *const u8, size: usize);
    fn boost_queue_receive(queue: *mut c_void, bytes: *mut u8, room: usize) -> usize;
    fn boost_semaphore_new(value: u32) -> *mut c_void;
    fn boost_semaphore_post(semaphore: *mut c_void);
    fn boost_semaphore_wait(semaphore: *mut c_void);
    fn boost_mutex_new() -> *mut c_void;
    fn boost_mutex_lock(mutex: *mut c_void);
    fn boost_mutex_unlock(mutex: *mut c_void);
}

/// A message queue that children inherit.
pub(crate) struct Queue {
    queue: *mut c_void,
}

impl Queue {
    /// With room for as many messages of 64 bytes as a System V queue has by default.
    pub(crate) fn new(size: usize) -> Queue {
        let name = CString::new(format!("sysv-bench-{}", std::process::id())).expect("no NUL");
        // SAFETY: a terminated name.
        let queue = unsafe { boost_queue_new(name.as_ptr(), 256, size) };
        Queue { queue }
    }
}

impl Way for Queue {
    fn sender(&self) -> End<'_> {
        Box::new(|message: &mut Message| {
            let bytes = message.bytes();
            // SAFETY: a queue, and so many bytes.
            unsafe { boost_queue_send(self.queue, bytes.as_ptr(), bytes.len()) };
        })
    }

    fn receiver(&self) -> End<'_> {
        Box::new(|message: &mut Message| {
            let bytes = message.bytes_mut();
            // SAFETY: a queue, and room for so many bytes.
            let received = unsafe { boost_queue_receive(self.queue, bytes.as_mut_ptr(), bytes.len()) };
            assert_eq!(received, bytes.len());
        })
    }
}

/// A semaphore that children share.
pub(crate) struct Semaphore {
    semaphore: *mut c_void,
}

impl Semaphore {
    /// Nobody may pass.
    pub(crate) fn new() -> Semaphore {
        // SAFETY: no pointer is passed.
        let semaphore = unsafe { boost_semaphore_new(0) };
        Semaphore { semaphore }
    }
}

impl Way for Semaphore {
    fn sender(&self) -> End<'_> {
        // SAFETY: a semaphore.
        Box::new(|_| unsafe { boost_semaphore_post(self.semaphore) })
    }

    fn receiver(&self) -> End<'_> {
        // SAFETY: a semaphore.
        Box::new(|_| unsafe { boost_semaphore_wait(self.semaphore) })
    }
}

/// A mutex that children share.
pub(crate) struct Mutex {
    mutex: *mut c_void,
}

impl Mutex {
    /// Nobody has it.
    pub(crate) fn new() -> Mutex {
        // SAFETY: no pointer is passed.
        let mutex = unsafe { boost_mutex_new() };
        Mutex { mutex }
    }
}

impl Lock for Mutex {
    fn lock(&self) {
        // SAFETY: a mutex.
        unsafe { boost_mutex_lock(self.mutex) };
    }

    fn unlock(&self) {
        // SAFETY: a mutex, which this process holds.
        unsafe { boost_mutex_unlock(self.mutex) };
    }
}
