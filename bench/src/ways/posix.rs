//! POSIX semaphores and message queues.

#![allow(unsafe_code)]

use std::ffi::CString;
use std::ptr;

use super::{End, Way};
use crate::message::Message;
use crate::system::{Words, last_error};

/// An unnamed semaphore in memory that processes share.
pub(crate) struct Semaphore {
    memory: Words,
}

impl Semaphore {
    /// Nobody may pass.
    pub(super) fn new() -> Semaphore {
        Semaphore::of(0)
    }

    /// So many may pass.
    pub(crate) fn of(value: u32) -> Semaphore {
        let memory = Words::new(size_of::<libc::sem_t>().div_ceil(8));
        let semaphore = Semaphore { memory };
        // SAFETY: the memory is large enough, and stays.
        unsafe { libc::sem_init(semaphore.address(), 1, value) };
        semaphore
    }

    fn address(&self) -> *mut libc::sem_t {
        self.memory.as_ptr().cast_mut().cast()
    }

    #[inline]
    pub(crate) fn post(&self) {
        // SAFETY: an initialised semaphore.
        unsafe { libc::sem_post(self.address()) };
    }

    #[inline]
    pub(crate) fn wait(&self) {
        // SAFETY: an initialised semaphore. No signal comes.
        unsafe { libc::sem_wait(self.address()) };
    }
}

impl Way for Semaphore {
    fn sender(&self) -> End<'_> {
        Box::new(|_| self.post())
    }

    fn receiver(&self) -> End<'_> {
        Box::new(|_| self.wait())
    }
}

/// A message queue without a name.
pub(super) struct Queue {
    descriptor: libc::mqd_t,
}

impl Queue {
    /// Of ten messages, which is what anybody may have.
    pub(super) fn new(size: usize) -> Result<Queue, String> {
        let name = CString::new(format!("/sysv-bench-{}", std::process::id())).expect("no NUL");
        // SAFETY: a terminated name and zeroed attributes, of which two are set.
        let descriptor = unsafe {
            let mut attributes: libc::mq_attr = std::mem::zeroed();
            attributes.mq_maxmsg = 10;
            attributes.mq_msgsize = size as i64;
            let flags = libc::O_RDWR | libc::O_CREAT | libc::O_EXCL;
            let descriptor = libc::mq_open(name.as_ptr(), flags, 0o600, &raw mut attributes);
            if descriptor < 0 {
                return Err(last_error("mq_open"));
            }
            libc::mq_unlink(name.as_ptr());
            descriptor
        };
        Ok(Queue { descriptor })
    }
}

impl Drop for Queue {
    fn drop(&mut self) {
        // SAFETY: our own descriptor.
        unsafe { libc::mq_close(self.descriptor) };
    }
}

impl Way for Queue {
    fn sender(&self) -> End<'_> {
        Box::new(|message: &mut Message| {
            let bytes = message.bytes();
            // SAFETY: so many bytes stand there.
            let sent = unsafe { libc::mq_send(self.descriptor, bytes.as_ptr().cast(), bytes.len(), 0) };
            assert_eq!(sent, 0, "{}", last_error("mq_send"));
        })
    }

    fn receiver(&self) -> End<'_> {
        Box::new(|message: &mut Message| {
            let bytes = message.bytes_mut();
            let (start, len) = (bytes.as_mut_ptr().cast(), bytes.len());
            // SAFETY: there is room for so many bytes.
            let received = unsafe { libc::mq_receive(self.descriptor, start, len, ptr::null_mut()) };
            assert!(received >= 0, "{}", last_error("mq_receive"));
        })
    }
}
