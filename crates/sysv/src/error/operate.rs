//! Why `semop` refused.

use std::fmt;
use std::io;
use std::time::Duration;

use super::{ObjectName, Ownership, errno_kind, operation_error, write_ownership};
use crate::Errno;

/// Why operations on semaphores were not done: semop(2). None of them was.
///
/// ```
/// use sysv::OperateError;
/// # let namespace = sysv::TemporaryNamespace::create()?;
/// # let set = sysv::SemaphoreSet::create(&namespace, sysv::Key::PRIVATE, sysv::NewSemaphoreSet::of(1))?;
///
/// let error = set.try_acquire(0).unwrap_err();
/// assert!(matches!(error, OperateError::WouldBlock { .. }));
/// let error = set.acquire(1).unwrap_err();
/// assert!(matches!(error, OperateError::NoSuchSemaphore { semaphore: 1, .. }));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum OperateError {
    /// `EAGAIN`: one is not possible now and was not to be waited for.
    #[non_exhaustive]
    WouldBlock {
        /// The one with the semaphores.
        set: ObjectName,
    },
    /// `EAGAIN`: one was not possible in time.
    #[non_exhaustive]
    TimedOut {
        /// The one with the semaphores.
        set: ObjectName,
        /// How long it was waited for.
        timeout: Duration,
    },
    /// `EINTR`: a signal handler ran while they were waited for. Whoever has nothing to do about that waits anew.
    #[non_exhaustive]
    Interrupted {
        /// The one with the semaphores.
        set: ObjectName,
    },
    /// `EIDRM` or `EINVAL`: the set was removed, meanwhile or before.
    #[non_exhaustive]
    Gone {
        /// The one that was meant.
        set: ObjectName,
        /// Which of the two.
        errno: Errno,
    },
    /// `EACCES`: the set's mode forbids acquiring and releasing, or waiting for zero if that was all.
    #[non_exhaustive]
    Denied {
        /// The one that refused.
        set: ObjectName,
        /// Whether one was to acquire or to release, which needs write permission.
        alter: bool,
        /// Whose it is.
        ownership: Option<Ownership>,
    },
    /// `EFBIG`: the set has no semaphore with this number.
    #[non_exhaustive]
    NoSuchSemaphore {
        /// The one that was meant.
        set: ObjectName,
        /// The number; the highest of them, if there are several.
        semaphore: u16,
    },
    /// `EINVAL`: a number of units that is not 1 to 32767.
    #[non_exhaustive]
    Units {
        /// The one with the semaphores.
        set: ObjectName,
        /// The semaphore's number.
        semaphore: u16,
        /// The number of units.
        units: u16,
    },
    /// `ERANGE`: a semaphore would have more than 32767 units, or more than that would be to undo.
    #[non_exhaustive]
    OutOfRange {
        /// The one with the semaphores.
        set: ObjectName,
    },
    /// `E2BIG`: more operations at once than the limit `semopm` allows.
    #[non_exhaustive]
    TooManyOperations {
        /// The one with the semaphores.
        set: ObjectName,
        /// How many there were.
        operations: usize,
        /// The limit.
        semopm: i32,
    },
    /// `EINVAL`: no operations at all.
    #[non_exhaustive]
    NoOperations {
        /// The one with the semaphores.
        set: ObjectName,
    },
    /// `ENOMEM` or `ENOSPC`: no memory to keep what is to be undone or who waits.
    #[non_exhaustive]
    NoMemory {
        /// The one with the semaphores.
        set: ObjectName,
        /// Which of the two.
        errno: Errno,
    },
    /// What else the facility may return.
    #[non_exhaustive]
    Other {
        /// The one with the semaphores.
        set: ObjectName,
        /// What it returned.
        errno: Errno,
    },
}

impl OperateError {
    /// What semop(2) returns in this case.
    ///
    /// ```
    /// use sysv::Errno;
    /// # let namespace = sysv::TemporaryNamespace::create()?;
    /// # let set = sysv::SemaphoreSet::create(&namespace, sysv::Key::PRIVATE, sysv::NewSemaphoreSet::of(1))?;
    /// assert_eq!(set.try_acquire(0).unwrap_err().errno(), Errno::EAGAIN);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn errno(&self) -> Errno {
        match self {
            OperateError::WouldBlock { .. } | OperateError::TimedOut { .. } => Errno::EAGAIN,
            OperateError::Interrupted { .. } => Errno::EINTR,
            OperateError::Denied { .. } => Errno::EACCES,
            OperateError::NoSuchSemaphore { .. } => Errno::EFBIG,
            OperateError::Units { .. } | OperateError::NoOperations { .. } => Errno::EINVAL,
            OperateError::OutOfRange { .. } => Errno::ERANGE,
            OperateError::TooManyOperations { .. } => Errno::E2BIG,
            OperateError::Gone { errno, .. }
            | OperateError::NoMemory { errno, .. }
            | OperateError::Other { errno, .. } => *errno,
        }
    }

    fn kind(&self) -> io::ErrorKind {
        match self {
            OperateError::TimedOut { .. } => io::ErrorKind::TimedOut,
            other => errno_kind(other.errno()),
        }
    }
}

impl fmt::Display for OperateError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            OperateError::WouldBlock { set } => {
                write!(
                    f,
                    "{set} does not have what is wanted now; try again later, or wait for it"
                )
            }
            OperateError::TimedOut { set, timeout } => {
                write!(
                    f,
                    "{set} did not have what is wanted within {timeout:?}; see who holds it, or wait longer"
                )
            }
            OperateError::Interrupted { set } => {
                write!(f, "a signal interrupted the wait for {set}; wait again")
            }
            OperateError::Gone { set, .. } => {
                write!(f, "{set} does not exist (any more); look it up again by its key")
            }
            OperateError::Denied { set, alter, ownership } => {
                let what = if *alter { "change" } else { "read" };
                write!(f, "permission denied to {what} {set}")?;
                write_ownership(f, ownership)?;
                f.write_str("; its owner can change its mode")
            }
            OperateError::NoSuchSemaphore { set, semaphore } => {
                write!(
                    f,
                    "{set} has no semaphore {semaphore}; they are numbered from 0, see `SemaphoreSet::count`"
                )
            }
            OperateError::Units { set, semaphore, units } => {
                write!(
                    f,
                    "cannot acquire or release {units} units of semaphore {semaphore} of {set}; give 1 to 32767"
                )
            }
            OperateError::OutOfRange { set } => {
                write!(
                    f,
                    "a semaphore of {set} would have more than 32767 units, or more to be undone; "
                )?;
                f.write_str("release what was acquired, and no more")
            }
            OperateError::TooManyOperations {
                set,
                operations,
                semopm,
            } => {
                let raise = set.location.raise_semaphores("SEMOPM");
                write!(
                    f,
                    "{operations} operations at once on {set}: the limit semopm is {semopm}; do fewer, or {raise}"
                )
            }
            OperateError::NoOperations { set } => write!(f, "no operations on {set}; give at least one"),
            OperateError::NoMemory { set, errno } => {
                write!(
                    f,
                    "no memory for operations on {set}: {errno}; end processes that wait or have something to undo"
                )
            }
            OperateError::Other { set, errno } => write!(f, "cannot operate on {set}: {errno}"),
        }
    }
}

operation_error!(OperateError, kind);
