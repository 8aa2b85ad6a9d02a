//! The facility as C programs call it: through the C library's names, which `libsysv.so` takes the place of in a worker
//! that has it preloaded.

#![allow(unsafe_code)]

use std::ptr;

use libc::{c_int, c_void};

use crate::message::Message;
use crate::system::last_error;

fn checked(result: c_int, call: &str) -> c_int {
    assert!(result >= 0, "{}", last_error(call));
    result
}

/// A segment that is removed at the end.
pub(crate) struct Segment {
    pub(crate) id: c_int,
}

impl Segment {
    /// With a key that nobody uses yet: what is removed at the end must be ours.
    pub(crate) fn new(key: i32, size: usize) -> Segment {
        // SAFETY: no pointer is passed.
        let id = unsafe { libc::shmget(key, size, libc::IPC_CREAT | libc::IPC_EXCL | 0o600) };
        Segment {
            id: checked(id, "shmget"),
        }
    }

    pub(crate) fn get(key: i32) -> c_int {
        // SAFETY: no pointer is passed.
        checked(unsafe { libc::shmget(key, 0, 0) }, "shmget")
    }

    pub(crate) fn attachments(&self) -> u64 {
        // SAFETY: the structure is plain numbers, and valid for writing.
        unsafe {
            let mut stat: libc::shmid_ds = std::mem::zeroed();
            checked(libc::shmctl(self.id, libc::IPC_STAT, &raw mut stat), "shmctl");
            stat.shm_nattch
        }
    }

    /// Where there is room. It stays until `detach`.
    pub(crate) fn attach(&self) -> *mut u8 {
        // SAFETY: without SHM_REMAP nothing that exists is touched.
        let at = unsafe { libc::shmat(self.id, ptr::null(), 0) };
        assert_ne!(at.addr(), usize::MAX, "{}", last_error("shmat"));
        at.cast()
    }

    /// # Safety
    /// Nothing uses the memory afterwards.
    pub(crate) unsafe fn detach(at: *mut u8) {
        // SAFETY: the caller vouches for it.
        checked(unsafe { libc::shmdt(at.cast::<c_void>()) }, "shmdt");
    }
}

impl Drop for Segment {
    fn drop(&mut self) {
        // SAFETY: IPC_RMID reads no structure.
        unsafe { libc::shmctl(self.id, libc::IPC_RMID, ptr::null_mut()) };
    }
}

/// A semaphore set that is removed at the end.
pub(crate) struct Set {
    id: c_int,
}

/// A change of one semaphore.
pub(crate) const fn by(num: u16, op: i16, flags: c_int) -> libc::sembuf {
    libc::sembuf {
        sem_num: num,
        sem_op: op,
        sem_flg: flags as i16,
    }
}

impl Set {
    pub(crate) fn new(semaphores: c_int, value: c_int) -> Set {
        // SAFETY: no pointer is passed.
        let id = checked(unsafe { libc::semget(libc::IPC_PRIVATE, semaphores, 0o600) }, "semget");
        let set = Set { id };
        for num in 0..semaphores {
            // SAFETY: SETVAL takes a number.
            checked(unsafe { libc::semctl(id, num, libc::SETVAL, value) }, "SETVAL");
        }
        set
    }

    /// One semaphore whose value nobody has set: zero.
    pub(crate) fn bare() -> Set {
        // SAFETY: no pointer is passed.
        let id = unsafe { libc::semget(libc::IPC_PRIVATE, 1, 0o600) };
        Set {
            id: checked(id, "semget"),
        }
    }

    #[inline]
    pub(crate) fn op<const COUNT: usize>(&self, operations: &mut [libc::sembuf; COUNT]) {
        // SAFETY: so many operations stand there.
        checked(unsafe { libc::semop(self.id, operations.as_mut_ptr(), COUNT) }, "semop");
    }

    pub(crate) fn value(&self, num: c_int) -> c_int {
        // SAFETY: GETVAL takes no further argument.
        checked(unsafe { libc::semctl(self.id, num, libc::GETVAL) }, "GETVAL")
    }

    /// How many wait for more of it.
    pub(crate) fn waiting(&self, num: c_int) -> c_int {
        // SAFETY: GETNCNT takes no further argument.
        checked(unsafe { libc::semctl(self.id, num, libc::GETNCNT) }, "GETNCNT")
    }
}

impl Drop for Set {
    fn drop(&mut self) {
        // SAFETY: IPC_RMID takes no further argument.
        unsafe { libc::semctl(self.id, 0, libc::IPC_RMID) };
    }
}

/// A message queue that is removed at the end.
pub(crate) struct Queue {
    id: c_int,
}

impl Queue {
    pub(crate) fn new() -> Queue {
        // SAFETY: no pointer is passed.
        let id = unsafe { libc::msgget(libc::IPC_PRIVATE, 0o600) };
        Queue {
            id: checked(id, "msgget"),
        }
    }

    /// The limit `msgmax`.
    pub(crate) fn longest() -> usize {
        // SAFETY: the structure is plain numbers, and valid for writing; IPC_INFO writes a `msginfo`.
        unsafe {
            let mut info: libc::msginfo = std::mem::zeroed();
            checked(libc::msgctl(0, libc::IPC_INFO, (&raw mut info).cast()), "IPC_INFO");
            info.msgmax as usize
        }
    }

    /// Lets the queue hold two messages of that size, where the limits allow it.
    pub(crate) fn with_room_for(size: usize) -> Queue {
        let queue = Queue::new();
        // SAFETY: the structure is plain numbers, and valid for reading and writing.
        unsafe {
            let mut stat: libc::msqid_ds = std::mem::zeroed();
            checked(libc::msgctl(queue.id, libc::IPC_STAT, &raw mut stat), "IPC_STAT");
            if stat.msg_qbytes < 2 * size as u64 {
                stat.msg_qbytes = 2 * size as u64;
                checked(libc::msgctl(queue.id, libc::IPC_SET, &raw mut stat), "IPC_SET");
            }
        }
        queue
    }

    #[inline]
    pub(crate) fn send(&self, message: &Message) {
        // SAFETY: a message has its type before so many bytes.
        let sent = unsafe { libc::msgsnd(self.id, message.start().cast(), message.len(), 0) };
        checked(sent, "msgsnd");
    }

    #[inline]
    pub(crate) fn receive(&self, message: &mut Message, kind: i64) {
        // SAFETY: a message has room for its type and so many bytes.
        let received = unsafe { libc::msgrcv(self.id, message.start_mut().cast(), message.len(), kind, 0) };
        assert!(received >= 0, "{}", last_error("msgrcv"));
    }

    /// How many messages are in it.
    pub(crate) fn messages(&self) -> u64 {
        // SAFETY: the structure is plain numbers, and valid for writing.
        unsafe {
            let mut stat: libc::msqid_ds = std::mem::zeroed();
            checked(libc::msgctl(self.id, libc::IPC_STAT, &raw mut stat), "IPC_STAT");
            stat.msg_qnum
        }
    }
}

impl Drop for Queue {
    fn drop(&mut self) {
        // SAFETY: IPC_RMID reads no structure.
        unsafe { libc::msgctl(self.id, libc::IPC_RMID, ptr::null_mut()) };
    }
}
