//! Shared memory segments.

#![allow(unsafe_code)]

use super::{PermChange, StatBy};
use crate::abi::{ShmInfoLimits, ShmInfoUsage, ShmidDs};
use crate::errno::Result;

/// Shared memory segments as shmget(2), shmop(2) and shmctl(2) describe them.
///
/// Errors are those of the manual pages, returned in the order in which Linux checks.
pub trait Segments {
    /// `shmget`: the identifier of the segment with this key, made if the flags say so.
    ///
    /// `flags` are `IPC_CREAT`, `IPC_EXCL`, `SHM_HUGETLB`, `SHM_NORESERVE` and nine mode bits; `size` is in
    /// bytes.
    ///
    /// # Errors
    /// `EACCES`, `EEXIST`, `EINVAL`, `ENOENT`, `ENOMEM`, `ENOSPC`, `EPERM`: see shmget(2).
    fn shmget(&self, key: i32, size: usize, flags: i32) -> Result<i32>;

    /// `shmat`: attaches the segment and returns where; `addr` 0 lets the system choose.
    ///
    /// # Safety
    /// With `SHM_REMAP` the caller owns whatever is mapped in the range. Without it nothing that
    /// exists is touched, but the memory belongs to every process that may attach it.
    ///
    /// # Errors
    /// `EACCES`, `EIDRM`, `EINVAL`, `ENOMEM`: see shmop(2).
    unsafe fn shmat(&self, id: i32, addr: usize, flags: i32) -> Result<*mut u8>;

    /// `shmdt`: detaches what `shmat` attached at `addr`.
    ///
    /// # Safety
    /// Nothing may use the attachment's memory afterwards.
    ///
    /// # Errors
    /// `EINVAL`: no attachment starts at `addr`.
    unsafe fn shmdt(&self, addr: usize) -> Result<()>;

    /// `shmctl` with `IPC_STAT`, `SHM_STAT` or `SHM_STAT_ANY`: identifier and structure.
    ///
    /// # Errors
    /// `EACCES`, `EIDRM`, `EINVAL`: see shmctl(2).
    fn shm_stat(&self, id: i32, by: StatBy) -> Result<(i32, ShmidDs)>;

    /// `shmctl` with `IPC_SET`.
    ///
    /// # Errors
    /// `EIDRM`, `EINVAL`, `EPERM`: see shmctl(2).
    fn shm_set(&self, id: i32, change: PermChange) -> Result<()>;

    /// `shmctl` with `IPC_RMID`.
    ///
    /// # Errors
    /// `EIDRM`, `EINVAL`, `EPERM`: see shmctl(2).
    fn shm_remove(&self, id: i32) -> Result<()>;

    /// `shmctl` with `SHM_LOCK` (`true`) or `SHM_UNLOCK` (`false`).
    ///
    /// # Errors
    /// `EIDRM`, `EINVAL`, `ENOMEM`, `EPERM`: see shmctl(2).
    fn shm_lock(&self, id: i32, lock: bool) -> Result<()>;

    /// `shmctl` with `IPC_INFO`: the highest index in use (0 if none) and the limits.
    ///
    /// # Errors
    /// None on Linux; the engine's when its namespace cannot be read.
    fn shm_limits(&self) -> Result<(i32, ShmInfoLimits)>;

    /// `shmctl` with `SHM_INFO`: the highest index in use (0 if none) and the resource use.
    ///
    /// # Errors
    /// As [`shm_limits`](Segments::shm_limits).
    fn shm_usage(&self) -> Result<(i32, ShmInfoUsage)>;

    /// `munmap(2)` of any range, so that attachments it covers stop counting.
    ///
    /// The kernel sees its own `munmap`; a user-space facility must be told.
    ///
    /// # Safety
    /// As for `munmap(2)`: nothing may use the range afterwards.
    ///
    /// # Errors
    /// `EINVAL` as munmap(2).
    unsafe fn munmap(&self, addr: usize, len: usize) -> Result<()>;
}
