//! Why `shmget` refused.

use std::fmt;

use super::{Location, ObjectName, operation_error};
use crate::Errno;

/// Why a segment could not be opened or created: shmget(2).
///
/// ```
/// use sysv::{GetError, Key, NewSegment, Segment};
/// # let namespace = sysv::TemporaryNamespace::create()?;
///
/// Segment::create(&namespace, Key::new(42), NewSegment::of_size(100))?;
/// match Segment::create(&namespace, Key::new(42), NewSegment::of_size(100)) {
///     Err(GetError::Exists { segment, .. }) => println!("{segment} is taken"),
///     other => panic!("{other:?}"),
/// }
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum GetError {
    /// `ENOENT`: no segment has the key.
    #[non_exhaustive]
    NotFound {
        /// The one that was looked for.
        segment: ObjectName,
    },
    /// `EEXIST`: a segment has the key already, and only a new one would do.
    #[non_exhaustive]
    Exists {
        /// The one that stands in the way.
        segment: ObjectName,
    },
    /// `EACCES`: the segment exists and its mode forbids what was asked, or a new one may not be made here.
    #[non_exhaustive]
    Denied {
        /// The one that was asked for.
        segment: ObjectName,
    },
    /// `EINVAL`: the segment with this key is smaller than was asked for.
    #[non_exhaustive]
    TooSmall {
        /// The one that exists.
        segment: ObjectName,
        /// Bytes that were asked for.
        wanted: usize,
    },
    /// `EINVAL`: the size of a new segment is zero or beyond the limit `shmmax`.
    #[non_exhaustive]
    Size {
        /// The one that was to be made.
        segment: ObjectName,
        /// Bytes that were asked for.
        wanted: usize,
        /// The limit, in bytes.
        shmmax: u64,
    },
    /// `ENOSPC`: there are `shmmni` segments already.
    #[non_exhaustive]
    TooMany {
        /// The one that was to be made.
        segment: ObjectName,
        /// The limit.
        shmmni: u64,
    },
    /// `ENOSPC`: the segment would take the sum of all beyond the limit `shmall`, or the file system that carries
    /// the namespace has no room for it.
    #[non_exhaustive]
    NoSpace {
        /// The one that was to be made.
        segment: ObjectName,
        /// Bytes that were asked for.
        wanted: usize,
    },
    /// `ENOMEM`: the system has no memory for the segment or for the record of it.
    #[non_exhaustive]
    NoMemory {
        /// The one that was to be made.
        segment: ObjectName,
        /// Bytes that were asked for.
        wanted: usize,
    },
    /// Huge pages were asked for and cannot be had; the errno says why.
    #[non_exhaustive]
    HugePages {
        /// The one that was to be made.
        segment: ObjectName,
        /// `EPERM`, `ENOMEM` or what else the facility said.
        errno: Errno,
    },
    /// What else the facility may return.
    #[non_exhaustive]
    Other {
        /// The one that was asked for.
        segment: ObjectName,
        /// What it returned.
        errno: Errno,
    },
}

impl GetError {
    /// What shmget(2) returns in this case.
    ///
    /// ```
    /// use sysv::{Errno, Key, Segment};
    /// # let namespace = sysv::TemporaryNamespace::create()?;
    /// let error = Segment::open(&namespace, Key::new(42)).unwrap_err();
    /// assert_eq!(error.errno(), Errno::ENOENT);
    /// # Ok::<(), sysv::NamespaceError>(())
    /// ```
    pub fn errno(&self) -> Errno {
        match self {
            GetError::NotFound { .. } => Errno::ENOENT,
            GetError::Exists { .. } => Errno::EEXIST,
            GetError::Denied { .. } => Errno::EACCES,
            GetError::TooSmall { .. } | GetError::Size { .. } => Errno::EINVAL,
            GetError::TooMany { .. } | GetError::NoSpace { .. } => Errno::ENOSPC,
            GetError::NoMemory { .. } => Errno::ENOMEM,
            GetError::HugePages { errno, .. } | GetError::Other { errno, .. } => *errno,
        }
    }
}

impl fmt::Display for GetError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            GetError::NotFound { segment } => {
                write!(
                    f,
                    "{segment} does not exist; start the program that creates it, or create it"
                )
            }
            GetError::Exists { segment } => {
                write!(f, "{segment} exists already; open it, remove it, or take another key")
            }
            GetError::Denied { segment } => {
                write!(f, "permission denied for {segment}; its owner can change its mode")
            }
            GetError::TooSmall { segment, wanted } => {
                write!(
                    f,
                    "{segment} is smaller than {wanted} bytes; ask for less, or remove it and create it anew"
                )
            }
            GetError::Size { segment, wanted: 0, .. } => {
                write!(f, "cannot create {segment} with 0 bytes; the smallest segment has 1")
            }
            GetError::Size {
                segment,
                wanted,
                shmmax,
            } => {
                let raise = segment.location.raise("shmmax");
                write!(
                    f,
                    "cannot create {segment} with {wanted} bytes: the limit shmmax is {shmmax}; {raise}"
                )
            }
            GetError::TooMany { segment, shmmni } => {
                let raise = segment.location.raise("shmmni");
                write!(
                    f,
                    "cannot create {segment}: there are {shmmni} already, the limit shmmni; "
                )?;
                write!(f, "remove some, or {raise}")
            }
            GetError::NoSpace { segment, wanted } => {
                write!(f, "no space for {segment} with {wanted} bytes; ")?;
                match &segment.location {
                    Location::Kernel => f.write_str("remove segments, or raise kernel.shmall with sysctl"),
                    Location::Directory(path) => write!(
                        f,
                        "remove segments, raise the limit shmall, or make the file system of {} larger",
                        path.display()
                    ),
                }
            }
            GetError::NoMemory { segment, wanted } => {
                write!(
                    f,
                    "no memory for {segment} with {wanted} bytes; ask for less, or free some"
                )
            }
            GetError::HugePages { segment, errno } => {
                write!(f, "no huge pages for {segment}: {errno}; ")?;
                f.write_str("create it without them, or have root provide some (vm.nr_hugepages, vm.hugetlb_shm_group)")
            }
            GetError::Other { segment, errno } => write!(f, "cannot get {segment}: {errno}"),
        }
    }
}

operation_error!(GetError);
