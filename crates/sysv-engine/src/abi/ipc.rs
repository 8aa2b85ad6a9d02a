//! `<sys/ipc.h>`: what the three mechanisms share.

/// The key that never names an existing object: every `shmget` with it makes a new one.
pub const IPC_PRIVATE: i32 = 0;

/// Create the object if its key names none.
pub const IPC_CREAT: i32 = 0o1000;
/// With [`IPC_CREAT`]: fail with `EEXIST` if the key names one.
pub const IPC_EXCL: i32 = 0o2000;
/// Do not wait: fail with `EAGAIN` or `ENOMSG` instead.
pub const IPC_NOWAIT: i32 = 0o4000;

/// Remove the object.
pub const IPC_RMID: i32 = 0;
/// Set owner, group and the nine mode bits.
pub const IPC_SET: i32 = 1;
/// Read the object's `*_ds` structure.
pub const IPC_STAT: i32 = 2;
/// Read the facility's limits.
pub const IPC_INFO: i32 = 3;

/// The nine permission bits of a mode.
pub const S_IRWXUGO: u32 = 0o777;

/// Identifiers are `sequence * IPCMNI + index`.
pub const IPCMNI: i32 = 32768;

/// The size of a memory page, in bytes.
pub const PAGE_SIZE: usize = 4096;

/// `struct timespec`.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Timespec {
    /// Seconds.
    pub sec: i64,
    /// Nanoseconds, below 10⁹.
    pub nsec: i64,
}

impl Timespec {
    /// Whether it is a length of time.
    pub(crate) fn is_valid(self) -> bool {
        self.sec >= 0 && (0..1_000_000_000).contains(&self.nsec)
    }
}

/// `struct ipc_perm`.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct IpcPerm {
    /// The key the object was made with; 0 once it is removed or if it never had one.
    pub key: i32,
    /// Owner.
    pub uid: u32,
    /// Owner's group.
    pub gid: u32,
    /// Creator.
    pub cuid: u32,
    /// Creator's group.
    pub cgid: u32,
    /// Nine permission bits and the mechanism's flags.
    pub mode: u32,
    /// Sequence number: `id / IPCMNI`.
    pub seq: u16,
    #[doc(hidden)]
    pub pad2: u16,
    #[doc(hidden)]
    pub pad3: u32,
    #[doc(hidden)]
    pub reserved1: u64,
    #[doc(hidden)]
    pub reserved2: u64,
}

const _: () = assert!(size_of::<IpcPerm>() == 48);
