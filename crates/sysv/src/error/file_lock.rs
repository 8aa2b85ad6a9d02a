//! Why a file could not be locked.

use std::fmt;
use std::io;
use std::path::PathBuf;
use std::time::Duration;

use super::{ObjectName, errno_kind, operation_error};
use crate::{AttachError, Errno, LockKind};

/// Which file an error about a lock names.
///
/// ```
/// let error = sysv::LockFile::open("/no/such/file").unwrap_err();
/// assert!(error.to_string().contains("/no/such/file"));
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum LockedFile {
    /// The one that has, or when it was given to us had, this name.
    Path(PathBuf),
    /// A segment's.
    Segment(ObjectName),
}

impl fmt::Display for LockedFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            LockedFile::Path(path) => path.display().fmt(f),
            LockedFile::Segment(segment) => segment.fmt(f),
        }
    }
}

/// Why a file, or a range of it, could not be locked: open(2), fcntl(2).
///
/// ```
/// use sysv::{FileLockError, LockFile};
///
/// let error = LockFile::open("/no/such/file").unwrap_err();
/// assert!(matches!(error, FileLockError::Open { .. }));
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum FileLockError {
    /// The file could not be opened; the errno says why.
    #[non_exhaustive]
    Open {
        /// The one that was to be locked.
        file: LockedFile,
        /// What open(2) returned.
        errno: Errno,
    },
    /// `EOPNOTSUPP`: the kernel's own segments have no file that could be opened.
    #[non_exhaustive]
    NoFile {
        /// The one that was to be locked.
        segment: ObjectName,
    },
    /// The segment whose file was to be locked cannot be attached.
    #[non_exhaustive]
    Attach {
        /// Why not.
        error: Box<AttachError>,
    },
    /// `EAGAIN`: somebody's lock stands in the way, and it was not to be waited for.
    #[non_exhaustive]
    WouldBlock {
        /// The one that was to be locked.
        file: LockedFile,
    },
    /// `EAGAIN`: somebody's lock stood in the way all the time.
    #[non_exhaustive]
    TimedOut {
        /// The one that was to be locked.
        file: LockedFile,
        /// How long it was waited for.
        timeout: Duration,
    },
    /// `EINTR`: a signal handler ran during the wait.
    #[non_exhaustive]
    Interrupted {
        /// The one that was to be locked.
        file: LockedFile,
    },
    /// `EBADF`: the file is not open for writing, which an exclusive lock needs, or not for reading, which a shared one needs.
    #[non_exhaustive]
    NotOpenFor {
        /// The one that was to be locked.
        file: LockedFile,
        /// The lock that was asked for.
        kind: LockKind,
    },
    /// `EINVAL`: the range is empty, ends before it begins, or begins beyond what a file can have.
    #[non_exhaustive]
    Range {
        /// The one that was to be locked.
        file: LockedFile,
    },
    /// What else the system may return.
    #[non_exhaustive]
    Other {
        /// The one that was to be locked.
        file: LockedFile,
        /// What it returned.
        errno: Errno,
    },
}

impl FileLockError {
    /// What the system returns in this case.
    ///
    /// ```
    /// let error = sysv::LockFile::open("/no/such/file").unwrap_err();
    /// assert_eq!(error.errno(), sysv::Errno::ENOENT);
    /// ```
    pub fn errno(&self) -> Errno {
        match self {
            FileLockError::NoFile { .. } => Errno::EOPNOTSUPP,
            FileLockError::Attach { error } => error.errno(),
            FileLockError::WouldBlock { .. } | FileLockError::TimedOut { .. } => Errno::EAGAIN,
            FileLockError::Interrupted { .. } => Errno::EINTR,
            FileLockError::NotOpenFor { .. } => Errno::EBADF,
            FileLockError::Range { .. } => Errno::EINVAL,
            FileLockError::Open { errno, .. } | FileLockError::Other { errno, .. } => *errno,
        }
    }

    fn kind(&self) -> io::ErrorKind {
        match self {
            FileLockError::TimedOut { .. } => io::ErrorKind::TimedOut,
            other => errno_kind(other.errno()),
        }
    }
}

impl fmt::Display for FileLockError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            FileLockError::Open { file, errno } => {
                write!(
                    f,
                    "cannot open {file} to lock it: {errno}; create it, or ask its owner for permission"
                )
            }
            FileLockError::NoFile { segment } => {
                write!(f, "{segment} has no file to lock; ")?;
                f.write_str("lock a file that all know, use a semaphore set, or a namespace's segment")
            }
            FileLockError::Attach { error } => write!(f, "cannot lock a segment: {error}"),
            FileLockError::WouldBlock { file } => {
                write!(f, "{file} is locked by somebody else; try again later, or wait for it")
            }
            FileLockError::TimedOut { file, timeout } => {
                write!(f, "{file} was locked by somebody else for {timeout:?}; ")?;
                f.write_str("see who holds it with lslocks(8), or wait longer")
            }
            FileLockError::Interrupted { file } => {
                write!(f, "a signal interrupted the wait for a lock on {file}; wait again")
            }
            FileLockError::NotOpenFor { file, kind } => match kind {
                LockKind::Shared => write!(
                    f,
                    "{file} is not open for reading, which a shared lock needs; open it so"
                ),
                LockKind::Exclusive => {
                    write!(f, "{file} is not open for writing, which an exclusive lock needs; ")?;
                    f.write_str("ask its owner for permission, or take a shared lock")
                }
            },
            FileLockError::Range { file } => {
                write!(
                    f,
                    "cannot lock an empty range of {file}; give at least one byte, or `..` for all"
                )
            }
            FileLockError::Other { file, errno } => write!(f, "cannot lock {file}: {errno}"),
        }
    }
}

operation_error!(FileLockError, kind);
