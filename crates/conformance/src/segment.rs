//! Segments and attachments that a test owns, gone when it ends.

#![allow(unsafe_code)]

use std::sync::atomic::{AtomicU64, Ordering};

use sysv_engine::abi::{IPC_CREAT, IPC_EXCL, IPC_PRIVATE, SHM_REMAP, ShmidDs};
use sysv_engine::{Errno, Result, Segments, StatBy};

use crate::memory::{Room, page_up};
use crate::subject::Subject;

/// A segment, removed on drop by the process that made the guard.
pub struct Segment<'s> {
    subject: &'s Subject,
    id: i32,
    key: i32,
    guardian: u32,
}

impl Subject {
    /// A new private segment of `size` bytes that its creator may read and write.
    #[track_caller]
    pub fn segment(&self, size: usize) -> Segment<'_> {
        self.segment_with_mode(size, 0o600)
    }

    /// A new private segment with these mode bits.
    #[track_caller]
    pub fn segment_with_mode(&self, size: usize, mode: i32) -> Segment<'_> {
        let id = self
            .shmget(IPC_PRIVATE, size, IPC_CREAT | mode)
            .expect("a private segment");
        self.guard(id, IPC_PRIVATE)
    }

    /// A new segment with a key of its own and these mode bits.
    #[track_caller]
    pub fn keyed_segment(&self, size: usize, mode: i32) -> Segment<'_> {
        let key = self.key();
        let id = self
            .shmget(key, size, IPC_CREAT | IPC_EXCL | mode)
            .expect("a segment with a new key");
        self.guard(id, key)
    }

    /// A guard for a segment that exists.
    pub fn guard(&self, id: i32, key: i32) -> Segment<'_> {
        Segment {
            subject: self,
            id,
            key,
            guardian: std::process::id(),
        }
    }
}

impl<'s> Segment<'s> {
    /// Its identifier.
    pub fn id(&self) -> i32 {
        self.id
    }

    /// The key it was made with.
    pub fn key(&self) -> i32 {
        self.key
    }

    /// `IPC_STAT`, which must succeed.
    #[track_caller]
    pub fn stat(&self) -> ShmidDs {
        self.try_stat().expect("IPC_STAT")
    }

    /// `IPC_STAT`.
    pub fn try_stat(&self) -> Result<ShmidDs> {
        self.subject.shm_stat(self.id, StatBy::Id).map(|(_, ds)| ds)
    }

    /// The number of attachments now.
    #[track_caller]
    pub fn nattch(&self) -> u64 {
        self.stat().nattch
    }

    /// Attaches for reading and writing where the system chooses; must succeed.
    #[track_caller]
    pub fn attach(&self) -> Attachment<'s> {
        self.try_attach(0).expect("shmat")
    }

    /// Attaches with these flags where the system chooses.
    pub fn try_attach(&self, flags: i32) -> Result<Attachment<'s>> {
        Attachment::new(self.subject, self.id, 0, flags)
    }

    /// Attaches at an address, but never over anything: [`Segment::attach_over`] does that.
    pub fn try_attach_at(&self, addr: usize, flags: i32) -> Result<Attachment<'s>> {
        Attachment::new(self.subject, self.id, addr, flags)
    }

    /// Attaches with `SHM_REMAP` in place of pages of `room` from `offset` on.
    pub fn attach_over(&self, room: &Room, offset: usize, flags: i32) -> Result<Attachment<'s>> {
        let size = self.subject.shm_stat(self.id, StatBy::Id)?.1.segsz as usize;
        assert!(offset + page_up(size) <= room.len(), "no room");
        // SAFETY: the whole range belongs to `room`, which nobody else uses.
        let address = unsafe { self.subject.shmat(self.id, room.address() + offset, flags | SHM_REMAP) }? as usize;
        Ok(Attachment::at(self.subject, address, size))
    }

    /// `IPC_RMID`, which must succeed.
    #[track_caller]
    pub fn remove(&self) {
        self.try_remove().expect("IPC_RMID");
    }

    /// `IPC_RMID`.
    pub fn try_remove(&self) -> Result<()> {
        self.subject.shm_remove(self.id)
    }

    /// Asserts that the identifier means nothing any more.
    #[track_caller]
    pub fn assert_gone(&self) {
        assert_eq!(
            self.try_stat().map(|ds| ds.nattch),
            Err(Errno::EINVAL),
            "segment {} still exists",
            self.id
        );
    }
}

impl Drop for Segment<'_> {
    fn drop(&mut self) {
        if self.guardian == std::process::id() {
            let _ = self.try_remove();
        }
    }
}

/// An attachment, detached on drop by the process that made it. Forked children have it too, by inheritance.
pub struct Attachment<'s> {
    subject: &'s Subject,
    address: usize,
    size: usize,
    guardian: u32,
}

impl<'s> Attachment<'s> {
    fn new(subject: &'s Subject, id: i32, addr: usize, flags: i32) -> Result<Attachment<'s>> {
        assert!(addr == 0 || flags & SHM_REMAP == 0, "attach_over is for that");
        // SAFETY: with SHM_REMAP the address is null, which the call must refuse; nothing else is replaced.
        let address = unsafe { subject.shmat(id, addr, flags) }? as usize;
        // For a reader without the right to ask, one byte is as much as is known.
        let size = subject.shm_stat(id, StatBy::Id).map_or(1, |(_, ds)| ds.segsz as usize);
        Ok(Attachment::at(subject, address, size))
    }

    fn at(subject: &'s Subject, address: usize, size: usize) -> Attachment<'s> {
        Attachment {
            subject,
            address,
            size,
            guardian: std::process::id(),
        }
    }

    /// Where it starts.
    pub fn address(&self) -> usize {
        self.address
    }

    /// Loads the byte at `offset`, which may lie anywhere in the segment's last page.
    #[track_caller]
    pub fn load(&self, offset: usize) -> u8 {
        assert!(offset < page_up(self.size), "offset {offset} is outside the segment");
        // SAFETY: inside the attachment's pages; volatile, because others write there.
        unsafe { ((self.address + offset) as *const u8).read_volatile() }
    }

    /// Stores a byte at `offset`, as [`Attachment::load`] reads it.
    #[track_caller]
    pub fn store(&self, offset: usize, value: u8) {
        assert!(offset < page_up(self.size), "offset {offset} is outside the segment");
        // SAFETY: inside the attachment's pages; volatile, because others read there.
        unsafe { ((self.address + offset) as *mut u8).write_volatile(value) };
    }

    /// The eight bytes at the start, as a counter.
    fn as_counter(&self) -> &AtomicU64 {
        // SAFETY: the start of a page of the attachment; every process touches it as an atomic.
        unsafe { AtomicU64::from_ptr(self.address as *mut u64) }
    }

    /// Adds one to the counter at the start.
    pub fn add_one(&self) {
        self.as_counter().fetch_add(1, Ordering::Relaxed);
    }

    /// The counter at the start.
    pub fn counter(&self) -> u64 {
        self.as_counter().load(Ordering::Relaxed)
    }

    /// Stores `text` at the start.
    pub fn write(&self, text: &str) {
        text.bytes()
            .enumerate()
            .for_each(|(offset, byte)| self.store(offset, byte));
    }

    /// Loads as many bytes as `text` has from the start and compares.
    pub fn reads(&self, text: &str) -> bool {
        text.bytes().enumerate().all(|(offset, byte)| self.load(offset) == byte)
    }

    /// Whether every byte of every page is zero.
    pub fn is_all_zero(&self) -> bool {
        (0..page_up(self.size)).all(|offset| self.load(offset) == 0)
    }

    /// `munmap` of some of its pages.
    #[track_caller]
    pub fn unmap(&self, offset: usize, len: usize) {
        assert!(offset + len <= page_up(self.size), "outside the attachment");
        // SAFETY: the attachment's own pages; the test does not touch them again.
        unsafe { self.subject.munmap(self.address + offset, len) }.expect("munmap");
    }

    /// `mprotect` of some of its pages.
    pub fn protect(&self, offset: usize, len: usize, protection: i32) -> Result<()> {
        assert!(offset + len <= page_up(self.size), "outside the attachment");
        // SAFETY: the attachment's own pages.
        match unsafe { libc::mprotect((self.address + offset) as *mut _, len, protection) } {
            0 => Ok(()),
            _ => Err(Errno::from_raw(
                std::io::Error::last_os_error().raw_os_error().unwrap_or(0),
            )),
        }
    }

    /// Calls the machine code at the attachment's start, which must be a function that returns a number.
    pub fn execute(&self) -> i32 {
        // SAFETY: the test has put a function there; if the memory is not executable the process dies of it.
        let function: extern "C" fn() -> i32 = unsafe { std::mem::transmute(self.address) };
        function()
    }

    /// `shmdt` of its start, which must succeed.
    #[track_caller]
    pub fn detach(mut self) {
        self.guardian = 0;
        self.subject.detach_at(self.address).expect("shmdt");
    }

    /// Leaves it attached, and tells where.
    pub fn leak(mut self) -> usize {
        self.guardian = 0;
        self.address
    }
}

impl Drop for Attachment<'_> {
    fn drop(&mut self) {
        if self.guardian == std::process::id() {
            let _ = self.subject.detach_at(self.address);
        }
    }
}

impl Subject {
    /// `shmat` for reading and writing where the system chooses, without a guard.
    pub fn attach_any(&self, id: i32) -> Result<usize> {
        // SAFETY: nothing is replaced without SHM_REMAP.
        unsafe { self.shmat(id, 0, 0) }.map(|address| address as usize)
    }

    /// `shmdt` of any address.
    pub fn detach_at(&self, addr: usize) -> Result<()> {
        // SAFETY: only attachments are ever unmapped, and the tests touch them through guards that bring the
        // mapping's end with them.
        unsafe { self.shmdt(addr) }
    }
}
