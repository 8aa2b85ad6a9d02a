//! Semaphore sets.

use super::{PermChange, StatBy};
use crate::abi::{SemInfo, Sembuf, SemidDs, Timespec};
use crate::errno::Result;

/// What `semctl` tells of one semaphore.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Asked {
    /// `GETVAL`: the value.
    Value,
    /// `GETPID`: the process that operated on it last; 0 if none did.
    Pid,
    /// `GETNCNT`: how many processes wait for the value to rise.
    WaitingForMore,
    /// `GETZCNT`: how many processes wait for the value to be zero.
    WaitingForZero,
}

/// Semaphore sets as semget(2), semop(2) and semctl(2) describe them.
///
/// Errors are those of the manual pages, returned in the order in which Linux checks.
pub trait Semaphores {
    /// `semget`: the identifier of the set with this key, made if the flags say so.
    ///
    /// # Errors
    /// `EACCES`, `EEXIST`, `EINVAL`, `ENOENT`, `ENOMEM`, `ENOSPC`: see semget(2).
    fn semget(&self, key: i32, nsems: i32, flags: i32) -> Result<i32>;

    /// `semop`, and `semtimedop` with a timeout: all operations or none; waits until all can be done.
    ///
    /// # Errors
    /// `E2BIG`, `EACCES`, `EAGAIN`, `EFBIG`, `EIDRM`, `EINTR`, `EINVAL`, `ENOMEM`, `ERANGE`: see semop(2).
    fn semop(&self, id: i32, operations: &[Sembuf], timeout: Option<Timespec>) -> Result<()>;

    /// `semctl` with `GETVAL`, `GETPID`, `GETNCNT` or `GETZCNT`.
    ///
    /// # Errors
    /// `EACCES`, `EIDRM`, `EINVAL`: see semctl(2).
    fn sem_ask(&self, id: i32, num: i32, what: Asked) -> Result<i32>;

    /// `semctl` with `SETVAL`.
    ///
    /// # Errors
    /// `EACCES`, `EIDRM`, `EINVAL`, `ERANGE`: see semctl(2).
    fn sem_set_value(&self, id: i32, num: i32, value: i32) -> Result<()>;

    /// The number of semaphores of a set, which never changes; needs no permission.
    ///
    /// # Errors
    /// `EINVAL` if there is no such set.
    fn sem_count(&self, id: i32) -> Result<usize>;

    /// `semctl` with `GETALL`: all values as they are at one moment.
    ///
    /// # Errors
    /// `EACCES`, `EIDRM`, `EINVAL`: see semctl(2); `EINVAL` also unless `values` has a place for each semaphore and no more.
    fn sem_values(&self, id: i32, values: &mut [u16]) -> Result<()>;

    /// `semctl` with `SETALL`.
    ///
    /// # Errors
    /// `EACCES`, `EIDRM`, `EINVAL`, `ERANGE`: see semctl(2); `EINVAL` also unless `values` has one for each semaphore.
    fn sem_set_values(&self, id: i32, values: &[u16]) -> Result<()>;

    /// `semctl` with `IPC_STAT`, `SEM_STAT` or `SEM_STAT_ANY`: identifier and structure.
    ///
    /// # Errors
    /// `EACCES`, `EIDRM`, `EINVAL`: see semctl(2).
    fn sem_stat(&self, id: i32, by: StatBy) -> Result<(i32, SemidDs)>;

    /// `semctl` with `IPC_SET`.
    ///
    /// # Errors
    /// `EIDRM`, `EINVAL`, `EPERM`: see semctl(2).
    fn sem_set(&self, id: i32, change: PermChange) -> Result<()>;

    /// `semctl` with `IPC_RMID`: whoever waits fails with `EIDRM`.
    ///
    /// # Errors
    /// `EIDRM`, `EINVAL`, `EPERM`: see semctl(2).
    fn sem_remove(&self, id: i32) -> Result<()>;

    /// `semctl` with `IPC_INFO`: the highest index in use (0 if none) and the limits.
    ///
    /// # Errors
    /// None on Linux; the engine's when its namespace cannot be read.
    fn sem_limits(&self) -> Result<(i32, SemInfo)>;

    /// `semctl` with `SEM_INFO`: the highest index in use (0 if none) and the resource use.
    ///
    /// # Errors
    /// As [`sem_limits`](Semaphores::sem_limits).
    fn sem_usage(&self) -> Result<(i32, SemInfo)>;
}
