//! The kernel's message queues.

use super::Kernel;
use crate::abi::{IPC_INFO, IPC_RMID, IPC_SET, IPC_STAT, MSG_INFO, MSG_STAT, MSG_STAT_ANY, MsgInfo, MsqidDs};
use crate::errno::Result;
use crate::facility::{PermChange, Queues, StatBy};
use crate::sys::syscall;

impl Kernel {
    /// `msgctl` with any command; `arg` is the address of the command's structure, or 0.
    ///
    /// # Safety
    /// `arg` must be the address of a structure that `cmd` may write, or an address whose refusal with
    /// `EFAULT` is wanted.
    ///
    /// # Errors
    /// As msgctl(2).
    pub unsafe fn msgctl(&self, id: i32, cmd: i32, arg: usize) -> Result<i32> {
        // SAFETY: the caller's promise about `arg`.
        unsafe { syscall!(SYS_msgctl, id, cmd, arg) }.map(|r| r as i32)
    }
}

impl Queues for Kernel {
    fn msgget(&self, key: i32, flags: i32) -> Result<i32> {
        // SAFETY: msgget takes no pointer.
        unsafe { syscall!(SYS_msgget, key, flags) }.map(|r| r as i32)
    }

    unsafe fn msgsnd(&self, id: i32, message: usize, size: usize, flags: i32) -> Result<()> {
        // SAFETY: the kernel checks the address; it only reads there.
        unsafe { syscall!(SYS_msgsnd, id, message, size, flags) }.map(drop)
    }

    unsafe fn msgrcv(&self, id: i32, message: usize, size: usize, kind: i64, flags: i32) -> Result<usize> {
        // SAFETY: the kernel checks the address; what is there is the caller's to overwrite.
        unsafe { syscall!(SYS_msgrcv, id, message, size, kind, flags) }
    }

    fn msg_stat(&self, id: i32, by: StatBy) -> Result<(i32, MsqidDs)> {
        let cmd = match by {
            StatBy::Id => IPC_STAT,
            StatBy::Index => MSG_STAT,
            StatBy::IndexAny => MSG_STAT_ANY,
        };
        let mut ds = MsqidDs::default();
        // SAFETY: `ds` is the structure that these commands fill.
        let ret = unsafe { self.msgctl(id, cmd, &raw mut ds as usize) }?;
        Ok((if by == StatBy::Id { id } else { ret }, ds))
    }

    fn msg_set(&self, id: i32, change: PermChange, qbytes: u64) -> Result<()> {
        let mut ds = MsqidDs::default();
        ds.perm.uid = change.uid;
        ds.perm.gid = change.gid;
        ds.perm.mode = change.mode;
        ds.qbytes = qbytes;
        // SAFETY: IPC_SET reads `ds`.
        unsafe { self.msgctl(id, IPC_SET, &raw mut ds as usize) }.map(drop)
    }

    fn msg_remove(&self, id: i32) -> Result<()> {
        // SAFETY: IPC_RMID ignores its argument.
        unsafe { self.msgctl(id, IPC_RMID, 0) }.map(drop)
    }

    fn msg_limits(&self) -> Result<(i32, MsgInfo)> {
        let mut info = MsgInfo::default();
        // SAFETY: `info` is the structure that IPC_INFO fills.
        let highest = unsafe { self.msgctl(0, IPC_INFO, &raw mut info as usize) }?;
        Ok((highest, info))
    }

    fn msg_usage(&self) -> Result<(i32, MsgInfo)> {
        let mut info = MsgInfo::default();
        // SAFETY: `info` is the structure that MSG_INFO fills.
        let highest = unsafe { self.msgctl(0, MSG_INFO, &raw mut info as usize) }?;
        Ok((highest, info))
    }
}
