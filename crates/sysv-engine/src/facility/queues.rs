//! The message queues' part of the facility.

#![allow(unsafe_code)]

use super::{PermChange, StatBy};
use crate::abi::{MsgInfo, MsqidDs};
use crate::errno::Result;

/// Message queues as msgget(2), msgop(2) and msgctl(2) describe them.
///
/// Errors are those of the manual pages, returned in the order in which Linux checks.
pub trait Queues {
    /// `msgget`: the identifier of the queue with this key, made if the flags say so.
    ///
    /// `flags` are `IPC_CREAT`, `IPC_EXCL` and nine mode bits.
    ///
    /// # Errors
    /// `EACCES`, `EEXIST`, `ENOENT`, `ENOMEM`, `ENOSPC`: see msgget(2).
    fn msgget(&self, key: i32, flags: i32) -> Result<i32>;

    /// `msgsnd`: appends a message of `size` bytes. `message` is the address of its type, an `i64`, which the bytes
    /// follow. `flags` may hold `IPC_NOWAIT`.
    ///
    /// # Safety
    /// Nobody writes to the message meanwhile. The address itself may be anything: `EFAULT` is the answer where it
    /// cannot be read.
    ///
    /// # Errors
    /// `EACCES`, `EAGAIN`, `EFAULT`, `EIDRM`, `EINTR`, `EINVAL`, `ENOMEM`: see msgop(2).
    unsafe fn msgsnd(&self, id: i32, message: usize, size: usize, flags: i32) -> Result<()>;

    /// `msgrcv`: takes a message of at most `size` bytes; returns how many it has. `message` is the address where its
    /// type goes, an `i64`, which the bytes follow. `flags` may hold `IPC_NOWAIT`, `MSG_COPY`, `MSG_EXCEPT` and
    /// `MSG_NOERROR`.
    ///
    /// # Safety
    /// What is mapped at `message`, eight bytes and `size` more, is the caller's to overwrite. Where nothing is,
    /// `EFAULT` is the answer.
    ///
    /// # Errors
    /// `E2BIG`, `EACCES`, `EFAULT`, `EIDRM`, `EINTR`, `EINVAL`, `ENOMSG`: see msgop(2).
    unsafe fn msgrcv(&self, id: i32, message: usize, size: usize, kind: i64, flags: i32) -> Result<usize>;

    /// `msgctl` with `IPC_STAT`, `MSG_STAT` or `MSG_STAT_ANY`: identifier and structure.
    ///
    /// # Errors
    /// `EACCES`, `EINVAL`: see msgctl(2).
    fn msg_stat(&self, id: i32, by: StatBy) -> Result<(i32, MsqidDs)>;

    /// `msgctl` with `IPC_SET`: owner, group, mode and `msg_qbytes`.
    ///
    /// # Errors
    /// `EINVAL`, `EPERM`: see msgctl(2).
    fn msg_set(&self, id: i32, change: PermChange, qbytes: u64) -> Result<()>;

    /// `msgctl` with `IPC_RMID`.
    ///
    /// # Errors
    /// `EINVAL`, `EPERM`: see msgctl(2).
    fn msg_remove(&self, id: i32) -> Result<()>;

    /// `msgctl` with `IPC_INFO`: the highest index in use (0 if none) and the limits.
    ///
    /// # Errors
    /// None on Linux; the engine's when its namespace cannot be read.
    fn msg_limits(&self) -> Result<(i32, MsgInfo)>;

    /// `msgctl` with `MSG_INFO`: the highest index in use (0 if none) and the resource use.
    ///
    /// # Errors
    /// As [`msg_limits`](Queues::msg_limits).
    fn msg_usage(&self) -> Result<(i32, MsgInfo)>;
}
