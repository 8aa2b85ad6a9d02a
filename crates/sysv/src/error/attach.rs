//! Why `shmat` refused.

use std::fmt;

use super::{ObjectName, Ownership, operation_error, write_ownership};
use crate::Errno;

/// Why a segment could not be attached: shmat(2).
///
/// ```
/// use sysv::{AttachError, Id, Segment};
/// # let namespace = sysv::TemporaryNamespace::create()?;
///
/// let error = Segment::from_id(&namespace, Id::new(16384)).attach().unwrap_err();
/// assert!(matches!(error, AttachError::Gone { .. }));
/// # Ok::<(), sysv::NamespaceError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum AttachError {
    /// `EACCES`: the segment's mode forbids reading, or writing where that was asked for.
    #[non_exhaustive]
    Denied {
        /// The one that was to be attached.
        segment: ObjectName,
        /// Whether reading alone was asked for.
        read_only: bool,
        /// Whose it is.
        ownership: Option<Ownership>,
    },
    /// `EINVAL` or `EIDRM`: no segment has the identifier any more.
    #[non_exhaustive]
    Gone {
        /// The one that was to be attached.
        segment: ObjectName,
        /// Which of the two.
        errno: Errno,
    },
    /// `EINVAL`: the address is not a multiple of the page size, or zero.
    #[non_exhaustive]
    Misaligned {
        /// The one that was to be attached.
        segment: ObjectName,
        /// The address that was asked for.
        address: usize,
    },
    /// `EINVAL`: something is mapped at the address, or nothing can be.
    #[non_exhaustive]
    Occupied {
        /// The one that was to be attached.
        segment: ObjectName,
        /// The address that was asked for.
        address: usize,
    },
    /// `ENOMEM`: the process's address space has no room, or the system no memory for the mapping.
    #[non_exhaustive]
    NoMemory {
        /// The one that was to be attached.
        segment: ObjectName,
    },
    /// What else the facility may return.
    #[non_exhaustive]
    Other {
        /// The one that was to be attached.
        segment: ObjectName,
        /// What it returned.
        errno: Errno,
    },
}

impl AttachError {
    /// What shmat(2) returns in this case.
    ///
    /// ```
    /// use sysv::{Address, Errno, Key, NewSegment, Segment};
    /// # let namespace = sysv::TemporaryNamespace::create()?;
    ///
    /// let segment = Segment::create(&namespace, Key::PRIVATE, NewSegment::of_size(1))?;
    /// let error = segment.attach_at(Address::Exact(4097)).unwrap_err();
    /// assert_eq!(error.errno(), Errno::EINVAL);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn errno(&self) -> Errno {
        match self {
            AttachError::Denied { .. } => Errno::EACCES,
            AttachError::Misaligned { .. } | AttachError::Occupied { .. } => Errno::EINVAL,
            AttachError::NoMemory { .. } => Errno::ENOMEM,
            AttachError::Gone { errno, .. } | AttachError::Other { errno, .. } => *errno,
        }
    }
}

impl fmt::Display for AttachError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            AttachError::Denied {
                segment,
                read_only,
                ownership,
            } => {
                let what = if *read_only { "reading" } else { "reading and writing" };
                write!(f, "permission denied to attach {segment} for {what}")?;
                write_ownership(f, ownership)?;
                f.write_str("; its owner can change its mode")?;
                if *read_only {
                    Ok(())
                } else {
                    f.write_str(", or attach it read-only")
                }
            }
            AttachError::Gone { segment, .. } => {
                write!(f, "{segment} does not exist (any more); look it up again by its key")
            }
            AttachError::Misaligned { segment, address } => {
                write!(f, "cannot attach {segment} at {address:#x}: not a page's address; ")?;
                f.write_str("round it down to a multiple of 4096 that is not zero, or let the system choose")
            }
            AttachError::Occupied { segment, address } => {
                write!(
                    f,
                    "cannot attach {segment} at {address:#x}: the range is taken or out of bounds; "
                )?;
                f.write_str("choose another, or let the system choose")
            }
            AttachError::NoMemory { segment } => {
                write!(
                    f,
                    "no room to attach {segment}; detach something, or raise the limit on address space"
                )
            }
            AttachError::Other { segment, errno } => write!(f, "cannot attach {segment}: {errno}"),
        }
    }
}

operation_error!(AttachError);
