//! `<sys/shm.h>`: shared memory segments.

use super::{IpcPerm, PAGE_SIZE};

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
/// `shmctl`: keep the segment's pages in memory.
pub const SHM_LOCK: i32 = 11;
/// `shmctl`: undo [`SHM_LOCK`].
pub const SHM_UNLOCK: i32 = 12;
/// `shmctl`: like [`IPC_STAT`](super::IPC_STAT), by index instead of identifier.
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
    assert!(size_of::<ShmidDs>() == 112);
    assert!(size_of::<ShmInfoLimits>() == 72);
    assert!(size_of::<ShmInfoUsage>() == 48);
};
