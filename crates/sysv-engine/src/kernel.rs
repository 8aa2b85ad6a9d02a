//! The kernel's own facility: the reference and the rival.

#![allow(unsafe_code)]

mod queues;

use crate::abi::{
    GETALL, GETNCNT, GETPID, GETVAL, GETZCNT, IPC_INFO, IPC_RMID, IPC_SET, IPC_STAT, IPCMNI, SEM_INFO, SEM_STAT,
    SEM_STAT_ANY, SETALL, SETVAL, SHM_INFO, SHM_LOCK, SHM_STAT, SHM_STAT_ANY, SHM_UNLOCK, SemInfo, Sembuf, SemidDs,
    ShmInfoLimits, ShmInfoUsage, ShmidDs, Timespec,
};
use crate::errno::Errno;
use crate::errno::Result;
use crate::facility::{Asked, PermChange, Segments, Semaphores, StatBy};
use crate::sys::syscall;

/// Linux's System V IPC, through raw system calls that no preloaded library can catch.
#[derive(Clone, Copy, Debug, Default)]
pub struct Kernel;

impl Kernel {
    /// `shmctl` with any command; `arg` is the address of the command's structure, or 0.
    ///
    /// # Safety
    /// `arg` must be the address of a structure that `cmd` may write, or an address whose refusal with
    /// `EFAULT` is wanted.
    ///
    /// # Errors
    /// As shmctl(2).
    pub unsafe fn shmctl(&self, id: i32, cmd: i32, arg: usize) -> Result<i32> {
        // SAFETY: the caller's promise about `arg`.
        unsafe { syscall!(SYS_shmctl, id, cmd, arg) }.map(|r| r as i32)
    }
}

impl Kernel {
    /// `semctl` with any command; `arg` is the command's fourth argument as a word.
    ///
    /// # Safety
    /// As [`shmctl`](Kernel::shmctl).
    ///
    /// # Errors
    /// As semctl(2).
    pub unsafe fn semctl(&self, id: i32, num: i32, cmd: i32, arg: usize) -> Result<i32> {
        // SAFETY: the caller's promise about `arg`.
        unsafe { syscall!(SYS_semctl, id, num, cmd, arg) }.map(|r| r as i32)
    }

    /// `semtimedop` with arguments as they are.
    ///
    /// # Safety
    /// None of its own: the kernel checks every address.
    ///
    /// # Errors
    /// As semop(2).
    pub unsafe fn semtimedop(&self, id: i32, operations: usize, count: usize, timeout: usize) -> Result<()> {
        // SAFETY: the kernel only reads, and checks what it reads.
        unsafe { syscall!(SYS_semtimedop, id, operations, count, timeout) }.map(drop)
    }
}

impl Segments for Kernel {
    fn shmget(&self, key: i32, size: usize, flags: i32) -> Result<i32> {
        // SAFETY: shmget takes no pointer.
        unsafe { syscall!(SYS_shmget, key, size, flags) }.map(|r| r as i32)
    }

    unsafe fn shmat(&self, id: i32, addr: usize, flags: i32) -> Result<*mut u8> {
        // SAFETY: the caller's promise about SHM_REMAP.
        unsafe { syscall!(SYS_shmat, id, addr, flags) }.map(|r| r as *mut u8)
    }

    unsafe fn shmdt(&self, addr: usize) -> Result<()> {
        // SAFETY: the caller's promise that nothing uses the memory afterwards.
        unsafe { syscall!(SYS_shmdt, addr) }.map(drop)
    }

    fn shm_stat(&self, id: i32, by: StatBy) -> Result<(i32, ShmidDs)> {
        let cmd = match by {
            StatBy::Id => IPC_STAT,
            StatBy::Index => SHM_STAT,
            StatBy::IndexAny => SHM_STAT_ANY,
        };
        let mut ds = ShmidDs::default();
        // SAFETY: `ds` is the structure that these commands fill.
        let ret = unsafe { self.shmctl(id, cmd, &raw mut ds as usize) }?;
        Ok((if by == StatBy::Id { id } else { ret }, ds))
    }

    fn shm_set(&self, id: i32, change: PermChange) -> Result<()> {
        let mut ds = ShmidDs::default();
        ds.perm.uid = change.uid;
        ds.perm.gid = change.gid;
        ds.perm.mode = change.mode;
        // SAFETY: IPC_SET reads `ds`.
        unsafe { self.shmctl(id, IPC_SET, &raw mut ds as usize) }.map(drop)
    }

    fn shm_remove(&self, id: i32) -> Result<()> {
        // SAFETY: IPC_RMID ignores its argument.
        unsafe { self.shmctl(id, IPC_RMID, 0) }.map(drop)
    }

    fn shm_lock(&self, id: i32, lock: bool) -> Result<()> {
        // SAFETY: both commands ignore their argument.
        unsafe { self.shmctl(id, if lock { SHM_LOCK } else { SHM_UNLOCK }, 0) }.map(drop)
    }

    fn shm_limits(&self) -> Result<(i32, ShmInfoLimits)> {
        let mut info = ShmInfoLimits::default();
        // SAFETY: `info` is the structure that IPC_INFO fills.
        let highest = unsafe { self.shmctl(0, IPC_INFO, &raw mut info as usize) }?;
        Ok((highest, info))
    }

    fn shm_usage(&self) -> Result<(i32, ShmInfoUsage)> {
        let mut info = ShmInfoUsage::default();
        // SAFETY: `info` is the structure that SHM_INFO fills.
        let highest = unsafe { self.shmctl(0, SHM_INFO, &raw mut info as usize) }?;
        Ok((highest, info))
    }

    unsafe fn munmap(&self, addr: usize, len: usize) -> Result<()> {
        // SAFETY: the caller's promise that nothing uses the range afterwards.
        unsafe { syscall!(SYS_munmap, addr, len) }.map(drop)
    }
}

impl Semaphores for Kernel {
    fn semget(&self, key: i32, nsems: i32, flags: i32) -> Result<i32> {
        // SAFETY: semget takes no pointer.
        unsafe { syscall!(SYS_semget, key, nsems, flags) }.map(|r| r as i32)
    }

    fn semop(&self, id: i32, operations: &[Sembuf], timeout: Option<Timespec>) -> Result<()> {
        let timeout = timeout
            .as_ref()
            .map_or(0, |timeout| core::ptr::from_ref(timeout) as usize);
        // SAFETY: both addresses are valid for reading.
        unsafe { self.semtimedop(id, operations.as_ptr() as usize, operations.len(), timeout) }
    }

    fn sem_ask(&self, id: i32, num: i32, what: Asked) -> Result<i32> {
        let cmd = match what {
            Asked::Value => GETVAL,
            Asked::Pid => GETPID,
            Asked::WaitingForMore => GETNCNT,
            Asked::WaitingForZero => GETZCNT,
        };
        // SAFETY: these commands ignore their argument.
        unsafe { self.semctl(id, num, cmd, 0) }
    }

    fn sem_set_value(&self, id: i32, num: i32, value: i32) -> Result<()> {
        // SAFETY: the argument is a number.
        unsafe { self.semctl(id, num, SETVAL, value as usize) }.map(drop)
    }

    fn sem_count(&self, id: i32) -> Result<usize> {
        if id < 0 {
            return Err(Errno::EINVAL);
        }
        // By index, which needs no permission; the identifier must be that of the set found there.
        let (found, ds) = self.sem_stat(id % IPCMNI, StatBy::IndexAny)?;
        if found == id {
            Ok(ds.nsems as usize)
        } else {
            Err(Errno::EINVAL)
        }
    }

    fn sem_values(&self, id: i32, values: &mut [u16]) -> Result<()> {
        if values.len() != self.sem_count(id)? {
            return Err(Errno::EINVAL);
        }
        // SAFETY: there is a place for each semaphore, and their number never changes.
        unsafe { self.semctl(id, 0, GETALL, values.as_mut_ptr() as usize) }.map(drop)
    }

    fn sem_set_values(&self, id: i32, values: &[u16]) -> Result<()> {
        if values.len() != self.sem_count(id)? {
            return Err(Errno::EINVAL);
        }
        // SAFETY: there is a value for each semaphore, and their number never changes.
        unsafe { self.semctl(id, 0, SETALL, values.as_ptr() as usize) }.map(drop)
    }

    fn sem_stat(&self, id: i32, by: StatBy) -> Result<(i32, SemidDs)> {
        let cmd = match by {
            StatBy::Id => IPC_STAT,
            StatBy::Index => SEM_STAT,
            StatBy::IndexAny => SEM_STAT_ANY,
        };
        let mut ds = SemidDs::default();
        // SAFETY: `ds` is the structure that these commands fill.
        let ret = unsafe { self.semctl(id, 0, cmd, &raw mut ds as usize) }?;
        Ok((if by == StatBy::Id { id } else { ret }, ds))
    }

    fn sem_set(&self, id: i32, change: PermChange) -> Result<()> {
        let mut ds = SemidDs::default();
        ds.perm.uid = change.uid;
        ds.perm.gid = change.gid;
        ds.perm.mode = change.mode;
        // SAFETY: IPC_SET reads `ds`.
        unsafe { self.semctl(id, 0, IPC_SET, &raw mut ds as usize) }.map(drop)
    }

    fn sem_remove(&self, id: i32) -> Result<()> {
        // SAFETY: IPC_RMID ignores its argument.
        unsafe { self.semctl(id, 0, IPC_RMID, 0) }.map(drop)
    }

    fn sem_limits(&self) -> Result<(i32, SemInfo)> {
        let mut info = SemInfo::default();
        // SAFETY: `info` is the structure that IPC_INFO fills.
        let highest = unsafe { self.semctl(0, 0, IPC_INFO, &raw mut info as usize) }?;
        Ok((highest, info))
    }

    fn sem_usage(&self) -> Result<(i32, SemInfo)> {
        let mut info = SemInfo::default();
        // SAFETY: `info` is the structure that SEM_INFO fills.
        let highest = unsafe { self.semctl(0, 0, SEM_INFO, &raw mut info as usize) }?;
        Ok((highest, info))
    }
}
