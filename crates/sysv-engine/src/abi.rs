//! The numbers and structures of the Linux ABI, as `<sys/ipc.h>` and `<sys/shm.h>` give them on
//! x86-64 with the GNU C library. Facts only: nothing here computes. Padding is spelled out, so that a copy of a
//! structure holds no byte that nobody set.

mod msg;

pub use msg::*;

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

/// `shmget`: back the segment with huge pages.
pub const SHM_HUGETLB: i32 = 0o4000;
/// `shmget`: do not reserve memory for the segment.
pub const SHM_NORESERVE: i32 = 0o10000;

/// `shmat`: attach for reading only.
pub const SHM_RDONLY: i32 = 0o10000;
/// `shmat`: round the address down to a multiple of [`SHMLBA`].
pub const SHM_RND: i32 = 0o20000;
/// `shmat`: replace what is mapped in the range.
pub const SHM_REMAP: i32 = 0o40000;
/// `shmat`: make the attachment executable.
pub const SHM_EXEC: i32 = 0o100000;
/// The multiple to which attach addresses are aligned, in bytes.
pub const SHMLBA: usize = PAGE_SIZE;
/// The size of a memory page, in bytes.
pub const PAGE_SIZE: usize = 4096;

/// `shmctl`: keep the segment's pages in memory.
pub const SHM_LOCK: i32 = 11;
/// `shmctl`: undo [`SHM_LOCK`].
pub const SHM_UNLOCK: i32 = 12;
/// `shmctl`: like [`IPC_STAT`], by index instead of identifier.
pub const SHM_STAT: i32 = 13;
/// `shmctl`: read the facility's resource use.
pub const SHM_INFO: i32 = 14;
/// `shmctl`: like [`SHM_STAT`], without a check of read permission.
pub const SHM_STAT_ANY: i32 = 15;

/// Mode flag: the segment goes when its last attachment goes.
pub const SHM_DEST: u32 = 0o1000;
/// Mode flag: [`SHM_LOCK`] is in force.
pub const SHM_LOCKED: u32 = 0o2000;

/// The smallest size of a segment, in bytes.
pub const SHMMIN: u64 = 1;
/// The kernel's default for the largest segment, in bytes.
pub const SHMMAX_DEFAULT: u64 = u64::MAX - (1 << 24);
/// The kernel's default for the sum of all segments, in pages.
pub const SHMALL_DEFAULT: u64 = u64::MAX - (1 << 24);
/// The kernel's default for the number of segments.
pub const SHMMNI_DEFAULT: u64 = 4096;

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

/// `struct shmid_ds`.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ShmidDs {
    /// Ownership and permissions.
    pub perm: IpcPerm,
    /// Size in bytes, as it was asked for.
    pub segsz: u64,
    /// Last attach, in seconds since the Epoch; 0 if never.
    pub atime: i64,
    /// Last detach, in seconds since the Epoch; 0 if never.
    pub dtime: i64,
    /// Creation or last `IPC_SET`, in seconds since the Epoch.
    pub ctime: i64,
    /// Process that created it.
    pub cpid: i32,
    /// Process that attached or detached last; 0 if none did.
    pub lpid: i32,
    /// Number of attachments.
    pub nattch: u64,
    #[doc(hidden)]
    pub reserved4: u64,
    #[doc(hidden)]
    pub reserved5: u64,
}

/// `struct shminfo`, the answer to `IPC_INFO`.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ShmInfoLimits {
    /// Largest segment, in bytes.
    pub shmmax: u64,
    /// Smallest segment, in bytes.
    pub shmmin: u64,
    /// Number of segments.
    pub shmmni: u64,
    /// Segments a process may attach (not enforced, as in Linux).
    pub shmseg: u64,
    /// Sum of all segments, in pages.
    pub shmall: u64,
    #[doc(hidden)]
    pub reserved: [u64; 4],
}

/// `struct shm_info`, the answer to `SHM_INFO`.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ShmInfoUsage {
    /// Number of segments.
    pub used_ids: i32,
    #[doc(hidden)]
    pub pad: u32,
    /// Sum of their sizes, in pages.
    pub shm_tot: u64,
    /// Pages in memory.
    pub shm_rss: u64,
    /// Pages in swap.
    pub shm_swp: u64,
    /// Always 0, as in Linux since 2.4.
    pub swap_attempts: u64,
    /// Always 0, as in Linux since 2.4.
    pub swap_successes: u64,
}

const _: () = {
    assert!(size_of::<IpcPerm>() == 48);
    assert!(size_of::<ShmidDs>() == 112);
    assert!(size_of::<ShmInfoLimits>() == 72);
    assert!(size_of::<ShmInfoUsage>() == 48);
};
