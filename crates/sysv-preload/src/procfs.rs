//! `/proc/sysvipc/{shm,sem,msg}` and `/proc/sys/kernel/{shmmax,shmall,shmmni,sem,msgmax,msgmnb,msgmni}`, as this namespace
//! has them.
//!
//! The functions that open a file or ask about one go to the next definition first: then the kernel has looked at the
//! path, and it can be read here without fear. Only if its last component is one of ours does anything else happen.
//!
//! What a program reads is a copy made when it opened the file; going back to the beginning does not refresh it. What it
//! writes goes to the namespace's own file of limits, whose owner may write it, and needs no function of ours on the way:
//! the descriptor may be handed to any program. A text that is no number is not refused there, as the kernel refuses it,
//! but counts for nothing.
//!
//! Opened past all this: by `posix_spawn(3)`'s file actions, by `openat2(2)`, by way of a symbolic link.

mod contents;
mod open;
mod path;
mod status;
mod stream;

use sysv_engine::{Errno, Limit};

use crate::raw;

/// A file of the kernel's that the namespace has its own version of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum File {
    /// `/proc/sysvipc/shm`.
    Segments,
    /// `/proc/sysvipc/sem`.
    Sets,
    /// `/proc/sysvipc/msg`.
    Queues,
    /// `/proc/sys/kernel/` and the limit's name.
    Limit(Limit),
}

/// Whether the kernel has read the path, as its answer shows.
fn path_was_read(failed: bool) -> bool {
    !failed
        || matches!(
            raw::errno(),
            Errno::ENOENT | Errno::EACCES | Errno::ENOTDIR | Errno::EROFS
        )
}
