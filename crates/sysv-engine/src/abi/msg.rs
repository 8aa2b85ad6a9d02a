//! `<sys/msg.h>`: message queues.

use super::IpcPerm;

/// `msgrcv`: cut a message that is longer than the buffer.
pub const MSG_NOERROR: i32 = 0o10000;
/// `msgrcv`: the first message that is not of the type.
pub const MSG_EXCEPT: i32 = 0o20000;
/// `msgrcv`: copy the message at an index and leave it in the queue.
pub const MSG_COPY: i32 = 0o40000;

/// `msgctl`: like [`IPC_STAT`](super::IPC_STAT), by index instead of identifier.
pub const MSG_STAT: i32 = 11;
/// `msgctl`: read the facility's resource use.
pub const MSG_INFO: i32 = 12;
/// `msgctl`: like [`MSG_STAT`], without a check of read permission.
pub const MSG_STAT_ANY: i32 = 13;

/// The kernel's default for the largest message, in bytes.
pub const MSGMAX_DEFAULT: u64 = 8192;
/// The kernel's default for the bytes of a queue.
pub const MSGMNB_DEFAULT: u64 = 16384;
/// The kernel's default for the number of queues.
pub const MSGMNI_DEFAULT: u64 = 32000;

/// `struct msqid_ds`.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MsqidDs {
    /// Ownership and permissions.
    pub perm: IpcPerm,
    /// Last `msgsnd`, in seconds since the Epoch; 0 if never.
    pub stime: i64,
    /// Last `msgrcv`, in seconds since the Epoch; 0 if never.
    pub rtime: i64,
    /// Creation or last `IPC_SET`, in seconds since the Epoch.
    pub ctime: i64,
    /// Bytes in the queue.
    pub cbytes: u64,
    /// Messages in the queue.
    pub qnum: u64,
    /// Bytes that the queue may hold.
    pub qbytes: u64,
    /// Process that sent last; 0 if none did.
    pub lspid: i32,
    /// Process that received last; 0 if none did.
    pub lrpid: i32,
    #[doc(hidden)]
    pub reserved4: u64,
    #[doc(hidden)]
    pub reserved5: u64,
}

/// `struct msginfo`, the answer to `IPC_INFO` and `MSG_INFO`.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MsgInfo {
    /// `MSG_INFO`: queues that exist.
    pub msgpool: i32,
    /// `MSG_INFO`: messages in all queues.
    pub msgmap: i32,
    /// Largest message, in bytes.
    pub msgmax: i32,
    /// Bytes of a queue.
    pub msgmnb: i32,
    /// Number of queues.
    pub msgmni: i32,
    /// Unused by Linux.
    pub msgssz: i32,
    /// `MSG_INFO`: bytes in all queues.
    pub msgtql: i32,
    /// Unused by Linux.
    pub msgseg: u16,
    #[doc(hidden)]
    pub pad: u16,
}

const _: () = {
    assert!(size_of::<MsqidDs>() == 120);
    assert!(size_of::<MsgInfo>() == 32);
};
