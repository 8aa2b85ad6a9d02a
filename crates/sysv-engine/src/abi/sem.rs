//! `<sys/sem.h>`: semaphore sets.

use super::IpcPerm;

/// `semop`: reverse the operation when the process exits.
pub const SEM_UNDO: i32 = 0x1000;

/// `semctl`: the process that operated on the semaphore last.
pub const GETPID: i32 = 11;
/// `semctl`: the semaphore's value.
pub const GETVAL: i32 = 12;
/// `semctl`: all values.
pub const GETALL: i32 = 13;
/// `semctl`: how many processes wait for the value to rise.
pub const GETNCNT: i32 = 14;
/// `semctl`: how many processes wait for the value to be zero.
pub const GETZCNT: i32 = 15;
/// `semctl`: set the semaphore's value.
pub const SETVAL: i32 = 16;
/// `semctl`: set all values.
pub const SETALL: i32 = 17;
/// `semctl`: like [`IPC_STAT`](super::IPC_STAT), by index instead of identifier.
pub const SEM_STAT: i32 = 18;
/// `semctl`: read the facility's resource use.
pub const SEM_INFO: i32 = 19;
/// `semctl`: like [`SEM_STAT`], without a check of read permission.
pub const SEM_STAT_ANY: i32 = 20;

/// The largest value of a semaphore.
pub const SEMVMX: i32 = 32767;
/// The largest adjustment on exit; the smallest is one further from zero.
pub const SEMAEM: i32 = SEMVMX;

/// The kernel's default for the semaphores of a set.
pub const SEMMSL_DEFAULT: u64 = 32000;
/// The kernel's default for the semaphores of all sets together.
pub const SEMMNS_DEFAULT: u64 = 32000 * 32000;
/// The kernel's default for the operations of one `semop`.
pub const SEMOPM_DEFAULT: u64 = 500;
/// The kernel's default for the number of sets.
pub const SEMMNI_DEFAULT: u64 = 32000;

/// `struct sembuf`.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sembuf {
    /// Index in the set.
    pub num: u16,
    /// What is added; 0 waits until the value is zero.
    pub op: i16,
    /// [`IPC_NOWAIT`](super::IPC_NOWAIT) and [`SEM_UNDO`].
    pub flg: i16,
}

/// `struct semid_ds`.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SemidDs {
    /// Ownership and permissions.
    pub perm: IpcPerm,
    /// Last `semop`, in seconds since the Epoch; 0 if never.
    pub otime: i64,
    #[doc(hidden)]
    pub reserved1: u64,
    /// Creation or last change by `semctl`, in seconds since the Epoch.
    pub ctime: i64,
    #[doc(hidden)]
    pub reserved2: u64,
    /// Number of semaphores.
    pub nsems: u64,
    #[doc(hidden)]
    pub reserved3: u64,
    #[doc(hidden)]
    pub reserved4: u64,
}

/// `struct seminfo`, the answer to `IPC_INFO` and `SEM_INFO`.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SemInfo {
    /// As `semmns`; unused by Linux.
    pub semmap: i32,
    /// Number of sets.
    pub semmni: i32,
    /// Semaphores of all sets.
    pub semmns: i32,
    /// As `semmns`; unused by Linux.
    pub semmnu: i32,
    /// Semaphores of a set.
    pub semmsl: i32,
    /// Operations of one `semop`.
    pub semopm: i32,
    /// As the default of `semopm`; unused by Linux.
    pub semume: i32,
    /// `IPC_INFO`: 20; `SEM_INFO`: sets that exist.
    pub semusz: i32,
    /// Largest value.
    pub semvmx: i32,
    /// `IPC_INFO`: largest adjustment on exit; `SEM_INFO`: semaphores that exist.
    pub semaem: i32,
}

const _: () = {
    assert!(size_of::<Sembuf>() == 6);
    assert!(size_of::<SemidDs>() == 104);
    assert!(size_of::<SemInfo>() == 40);
};
