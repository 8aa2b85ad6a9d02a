//! The one interface to System V IPC, with Linux's arguments and errnos.
//!
//! Two implementations stand behind it: [`Engine`](crate::Engine), ours, and [`Kernel`](crate::Kernel),
//! the real system calls. What a conformance test learns about one it can ask of the other.

mod queues;
mod segments;
mod semaphores;

pub use queues::Queues;
pub use segments::Segments;
pub use semaphores::{Asked, Semaphores};

/// How `shmctl` and its kin find the object to report on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StatBy {
    /// `IPC_STAT`: by identifier; needs read permission.
    Id,
    /// `SHM_STAT`, `SEM_STAT`, `MSG_STAT`: by index; needs read permission.
    Index,
    /// `SHM_STAT_ANY`, `SEM_STAT_ANY`, `MSG_STAT_ANY`: by index; needs none.
    IndexAny,
}

/// What `IPC_SET` changes. Nothing else of the structure counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PermChange {
    /// New owner.
    pub uid: u32,
    /// New owner's group.
    pub gid: u32,
    /// New mode; only the nine permission bits count.
    pub mode: u32,
}
