//! The facility in user space: a handle on a namespace, and the calls on it.

#![allow(unsafe_code)]

use core::ffi::CStr;
use core::sync::atomic::Ordering::Relaxed;
use core::time::Duration;

use crate::abi::{MsgInfo, MsqidDs, SemInfo, Sembuf, SemidDs, ShmInfoLimits, ShmInfoUsage, ShmidDs, Timespec};
use crate::errno::Result;
use crate::facility::{Asked, PermChange, Queues, Segments, Semaphores, StatBy};
use crate::limits::{self, Limit, Limits};
use crate::member::{self, Member};
use crate::namespace::{Join, JoinError};
use crate::process::{self, MEMBERS};
use crate::queue::{self, Deadline, InPlace, MessageReport, QueueReport, WaiterReport};
use crate::segment::{self, AttachmentReport, LockedSegments, SegmentReport};
use crate::semaphore::{self, SetPart, SetReport};

/// System V IPC in user space, in one namespace.
///
/// A handle: cloning it is cheap, and all handles of a process on one namespace are one membership. When the last one
/// is dropped and nothing is attached, the process leaves.
pub struct Engine {
    member: &'static Member,
}

impl Engine {
    /// Joins the namespace in a directory; relative names are taken from the working directory, once.
    ///
    /// # Errors
    /// Everything that [`JoinError`] tells apart; nothing is left half made.
    pub fn join(directory: &CStr, how: Join) -> core::result::Result<Engine, JoinError> {
        Ok(Engine {
            member: member::find_or_join(directory, how)?,
        })
    }

    pub(crate) fn member(&self) -> &'static Member {
        self.member
    }

    /// The namespace's directory, from the root.
    pub fn directory(&self) -> &CStr {
        self.member.directory()
    }

    /// Whether the namespace was made for several users.
    pub fn is_shared(&self) -> bool {
        self.member.is_shared()
    }

    /// The limits in force.
    pub fn limits(&self) -> Limits {
        self.member.limits()
    }

    /// Changes the limits, for every process from its next call on.
    ///
    /// # Errors
    /// `EACCES` for others than the namespace's owner; `EINVAL` if one is beyond what the layout can hold.
    pub fn set_limits(&self, limits: &Limits) -> Result<()> {
        limits::store(self.member.directory(), limits)
    }

    /// A descriptor, open for writing, for a program that opened the limit's file under `/proc/sys/kernel`: what it
    /// writes there becomes the limit.
    ///
    /// # Errors
    /// `EACCES` for others than the namespace's owner.
    pub fn limit_writer(&self, limit: Limit) -> Result<i32> {
        limits::writer(self.member.directory(), limit, &self.member.limits())
    }

    /// Takes from all dead processes what they held: attachments, and removed segments that only they had.
    ///
    /// # Errors
    /// When the namespace's files cannot be opened.
    pub fn sweep(&self) -> Result<()> {
        self.member.enter()?;
        let mut private = self.member.lock_private();
        process::sweep_members(self.member, &private)?;
        LockedSegments::lock(self.member, &private).sweep_all();
        semaphore::sweep(self.member, &private);
        queue::sweep(self.member, &mut private);
        Ok(())
    }

    /// Whether removed segments wait for their last user to go: if so, a number that changes with every change to a
    /// segment. Costs two loads, so that it may be asked often.
    pub fn removed_waiting(&self) -> Option<u64> {
        segment::removed_waiting(self.member)
    }

    /// Frees the memory of removed segments that only the dead had, and calls `each` with every process that still has
    /// one attached: its id and its pid namespace's inode number, once for each attachment. `each` must not call the
    /// facility.
    ///
    /// # Errors
    /// When the process cannot become a member again after a fork.
    pub fn holders_of_removed(&self, each: &mut dyn FnMut(u32, u32)) -> Result<()> {
        segment::holders_of_removed(self.member, each)
    }

    /// `shmat` that also says how many bytes of the segment are mapped at the address. The length was read before the
    /// segment was mapped and is that of the mapping: nothing that another member writes changes it.
    ///
    /// # Safety
    /// As [`Segments::shmat`].
    ///
    /// # Errors
    /// As [`Segments::shmat`].
    pub unsafe fn attach(&self, id: i32, addr: usize, flags: i32) -> Result<(*mut u8, usize)> {
        // SAFETY: the caller's promise about SHM_REMAP.
        unsafe { segment::shmat(self.member, id, addr, flags) }.map(|(at, len)| (at as *mut u8, len))
    }

    /// Calls `each` with every segment, lowest index first.
    ///
    /// # Errors
    /// When the process cannot become a member again after a fork.
    pub fn segments(&self, each: &mut dyn FnMut(&SegmentReport)) -> Result<()> {
        segment::segments(self.member, each)
    }

    /// As [`Queues::msgsnd`], but waits at most for the timeout: `EAGAIN` is the answer when it has passed, as with
    /// `IPC_NOWAIT`. `EINTR` after a handler: whoever goes on waiting asks for what is left.
    ///
    /// # Safety
    /// As [`Queues::msgsnd`].
    ///
    /// # Errors
    /// As [`Queues::msgsnd`].
    pub unsafe fn msgsnd_timeout(
        &self,
        id: i32,
        message: usize,
        size: usize,
        flags: i32,
        timeout: Duration,
    ) -> Result<()> {
        queue::msgsnd(self.member, id, message, size, flags, Deadline::after(Some(timeout)))
    }

    /// As [`Queues::msgrcv`], but waits at most for the timeout: `ENOMSG` is the answer when it has passed, as with
    /// `IPC_NOWAIT`. `EINTR` after a handler: whoever goes on waiting asks for what is left.
    ///
    /// # Safety
    /// As [`Queues::msgrcv`].
    ///
    /// # Errors
    /// As [`Queues::msgrcv`].
    pub unsafe fn msgrcv_timeout(
        &self,
        id: i32,
        message: usize,
        size: usize,
        kind: i64,
        flags: i32,
        timeout: Duration,
    ) -> Result<usize> {
        // SAFETY: the caller's promise about what is mapped at `message`.
        unsafe {
            queue::msgrcv(
                self.member,
                id,
                message,
                size,
                kind,
                flags,
                Deadline::after(Some(timeout)),
            )
        }
    }

    /// Receives a message without copying it: what is returned says where it lies, and gives the memory back to the queue
    /// when it is dropped. The message itself is received by this call, for good: it is in the queue no longer, does not
    /// count in `msg_cbytes`, and is gone if the process dies, as if `msgrcv` had returned it. Its memory is then found by
    /// whoever looks for some.
    ///
    /// `kind` and `flags` select as in `msgrcv`; of a message longer than `size` bytes the first so many are shown with
    /// `MSG_NOERROR`. Waits at most for the timeout, if there is one: then `ENOMSG`, as with `IPC_NOWAIT`.
    ///
    /// What is held so takes room in the queue's file beyond `msg_qbytes`.
    ///
    /// # Errors
    /// As [`Queues::msgrcv`], but never `EFAULT`; `EINVAL` with `MSG_COPY`.
    pub fn receive_in_place(
        &self,
        id: i32,
        size: usize,
        kind: i64,
        flags: i32,
        timeout: Option<Duration>,
    ) -> Result<InPlace<'_>> {
        queue::receive_in_place(self.member, id, size, kind, flags, timeout)
    }

    /// Calls `each` with the messages that wait in a queue, first come first, but with no more than `limit` of them. They stay
    /// there, and the queue is not locked while `each` runs.
    ///
    /// # Errors
    /// `EINVAL` if there is no such queue; `EACCES` without permission to read it; `ENOMEM`.
    pub fn messages(&self, id: i32, limit: usize, each: &mut dyn FnMut(&MessageReport)) -> Result<()> {
        queue::messages(self.member, id, limit, each)
    }

    /// Calls `each` with those who wait for a message of a queue, and then with those who wait for room in it, first come
    /// first. The queue is not locked while `each` runs.
    ///
    /// # Errors
    /// As [`messages`](Engine::messages).
    pub fn queue_waiters(&self, id: i32, each: &mut dyn FnMut(&WaiterReport)) -> Result<()> {
        queue::waiters(self.member, id, each)
    }

    /// Calls `each` with every message queue, lowest index first.
    ///
    /// # Errors
    /// When the process cannot become a member again after a fork.
    pub fn queues(&self, each: &mut dyn FnMut(&QueueReport)) -> Result<()> {
        queue::queues(self.member, each)
    }

    /// Calls `each` with every semaphore set, lowest index first.
    ///
    /// # Errors
    /// When the process cannot become a member again after a fork.
    pub fn sets(&self, each: &mut dyn FnMut(&SetReport)) -> Result<()> {
        semaphore::sets(self.member, each)
    }

    /// Calls `each` with every part of a set: its semaphores, who waits, and whose end will change a value. `each` must not
    /// call the facility.
    ///
    /// # Errors
    /// `EINVAL` if there is no such set, `EACCES` if this process may not read it.
    pub fn set_parts(&self, id: i32, each: &mut dyn FnMut(&SetPart)) -> Result<()> {
        semaphore::contents(self.member, id, each)
    }

    /// As [`segments`](Engine::segments), and calls `holder` with each segment's identifier and attachments before `each` with the
    /// segment. `holder` must not call the facility.
    ///
    /// # Errors
    /// As [`segments`](Engine::segments).
    pub fn segments_and_holders(
        &self,
        holder: &mut dyn FnMut(i32, &AttachmentReport),
        each: &mut dyn FnMut(&SegmentReport),
    ) -> Result<()> {
        segment::segments_and_holders(self.member, holder, each)
    }

    /// Calls `each` with every attachment of a segment. `each` must not call the facility.
    ///
    /// # Errors
    /// `EINVAL` if there is no such segment.
    pub fn attachments(&self, id: i32, each: &mut dyn FnMut(&AttachmentReport)) -> Result<()> {
        segment::attachments(self.member, id, each)
    }
}

impl Clone for Engine {
    fn clone(&self) -> Engine {
        self.member.handles.fetch_add(1, Relaxed);
        Engine { member: self.member }
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        // Under the lock under which `join` hands out further handles.
        let mut members = MEMBERS.lock();
        if self.member.handles.fetch_sub(1, Relaxed) > 1 {
            return;
        }
        {
            let mut private = self.member.lock_private();
            // What is attached stays counted, and what is owed to semaphores stays owed: the membership stays until the
            // process ends.
            let owes = self.member.is_present() && semaphore::holds_undo(self.member, &private);
            if owes || !private.attachments.as_slice().is_empty() {
                return;
            }
            if self.member.is_present() {
                process::retire(self.member, &mut private);
            }
        }
        if let Some(index) = members.as_slice().iter().position(|m| core::ptr::eq(*m, self.member)) {
            members.swap_remove(index);
            // SAFETY: no handle is left, and the list no longer leads to the member.
            unsafe { self.member.free() };
        }
    }
}

impl core::fmt::Debug for Engine {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Engine")
            .field("directory", &self.directory())
            .finish_non_exhaustive()
    }
}

impl Segments for Engine {
    fn shmget(&self, key: i32, size: usize, flags: i32) -> Result<i32> {
        segment::shmget(self.member, key, size, flags)
    }

    unsafe fn shmat(&self, id: i32, addr: usize, flags: i32) -> Result<*mut u8> {
        // SAFETY: the caller's promise about SHM_REMAP.
        unsafe { self.attach(id, addr, flags) }.map(|(at, _)| at)
    }

    unsafe fn shmdt(&self, addr: usize) -> Result<()> {
        // SAFETY: the caller's promise that nothing uses the memory afterwards.
        unsafe { segment::shmdt(self.member, addr) }
    }

    fn shm_stat(&self, id: i32, by: StatBy) -> Result<(i32, ShmidDs)> {
        segment::stat(self.member, id, by)
    }

    fn shm_set(&self, id: i32, change: PermChange) -> Result<()> {
        segment::set(self.member, id, change)
    }

    fn shm_remove(&self, id: i32) -> Result<()> {
        segment::remove(self.member, id)
    }

    fn shm_lock(&self, id: i32, lock: bool) -> Result<()> {
        segment::lock(self.member, id, lock)
    }

    fn shm_limits(&self) -> Result<(i32, ShmInfoLimits)> {
        segment::limits(self.member)
    }

    fn shm_usage(&self) -> Result<(i32, ShmInfoUsage)> {
        segment::usage(self.member)
    }

    unsafe fn munmap(&self, addr: usize, len: usize) -> Result<()> {
        // SAFETY: the caller's promise that nothing uses the range afterwards.
        unsafe { process::munmap(addr, len) }
    }
}

impl Semaphores for Engine {
    fn semget(&self, key: i32, nsems: i32, flags: i32) -> Result<i32> {
        semaphore::semget(self.member, key, nsems, flags)
    }

    #[inline]
    fn semop(&self, id: i32, operations: &[Sembuf], timeout: Option<Timespec>) -> Result<()> {
        semaphore::semop(self.member, id, operations, timeout)
    }

    #[inline]
    fn sem_ask(&self, id: i32, num: i32, what: Asked) -> Result<i32> {
        semaphore::ask(self.member, id, num, what)
    }

    fn sem_set_value(&self, id: i32, num: i32, value: i32) -> Result<()> {
        semaphore::set_value(self.member, id, num, value)
    }

    fn sem_count(&self, id: i32) -> Result<usize> {
        semaphore::count(self.member, id)
    }

    fn sem_values(&self, id: i32, values: &mut [u16]) -> Result<()> {
        semaphore::values(self.member, id, values)
    }

    fn sem_set_values(&self, id: i32, values: &[u16]) -> Result<()> {
        semaphore::set_values(self.member, id, values)
    }

    fn sem_stat(&self, id: i32, by: StatBy) -> Result<(i32, SemidDs)> {
        semaphore::stat(self.member, id, by)
    }

    fn sem_set(&self, id: i32, change: PermChange) -> Result<()> {
        semaphore::set(self.member, id, change)
    }

    fn sem_remove(&self, id: i32) -> Result<()> {
        semaphore::remove(self.member, id)
    }

    fn sem_limits(&self) -> Result<(i32, SemInfo)> {
        semaphore::limits(self.member)
    }

    fn sem_usage(&self) -> Result<(i32, SemInfo)> {
        semaphore::usage(self.member)
    }
}

impl Queues for Engine {
    fn msgget(&self, key: i32, flags: i32) -> Result<i32> {
        queue::msgget(self.member, key, flags)
    }

    #[inline]
    unsafe fn msgsnd(&self, id: i32, message: usize, size: usize, flags: i32) -> Result<()> {
        queue::msgsnd(self.member, id, message, size, flags, Deadline::NEVER)
    }

    #[inline]
    unsafe fn msgrcv(&self, id: i32, message: usize, size: usize, kind: i64, flags: i32) -> Result<usize> {
        // SAFETY: the caller's promise about what is mapped at `message`.
        unsafe { queue::msgrcv(self.member, id, message, size, kind, flags, Deadline::NEVER) }
    }

    fn msg_stat(&self, id: i32, by: StatBy) -> Result<(i32, MsqidDs)> {
        queue::stat(self.member, id, by)
    }

    fn msg_set(&self, id: i32, change: PermChange, qbytes: u64) -> Result<()> {
        queue::set(self.member, id, change, qbytes)
    }

    fn msg_remove(&self, id: i32) -> Result<()> {
        queue::remove(self.member, id)
    }

    fn msg_limits(&self) -> Result<(i32, MsgInfo)> {
        queue::limits(self.member)
    }

    fn msg_usage(&self) -> Result<(i32, MsgInfo)> {
        queue::usage(self.member)
    }
}
