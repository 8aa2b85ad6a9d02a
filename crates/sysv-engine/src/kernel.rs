//! The kernel's own facility: the reference and the rival.

#![allow(unsafe_code)]

mod queues;

use crate::abi::{
    IPC_INFO, IPC_RMID, IPC_SET, IPC_STAT, SHM_INFO, SHM_LOCK, SHM_STAT, SHM_STAT_ANY, SHM_UNLOCK, ShmInfoLimits,
    ShmInfoUsage, ShmidDs,
};
use crate::errno::Result;
use crate::facility::{PermChange, Segments, StatBy};
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
