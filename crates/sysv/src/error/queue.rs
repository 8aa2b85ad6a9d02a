//! Why `msgget`, and what `msgctl` does for queues alone, refused.

use std::fmt;

use super::{ObjectName, operation_error};
use crate::Errno;

/// Why a message queue could not be opened or created: msgget(2).
///
/// ```
/// use sysv::{Key, MessageQueue, NewMessageQueue, QueueGetError};
/// # let namespace = sysv::TemporaryNamespace::create()?;
///
/// MessageQueue::create(&namespace, Key::new(42), NewMessageQueue::new())?;
/// match MessageQueue::create(&namespace, Key::new(42), NewMessageQueue::new()) {
///     Err(QueueGetError::Exists { queue, .. }) => println!("{queue} is taken"),
///     other => panic!("{other:?}"),
/// }
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum QueueGetError {
    /// `ENOENT`: no queue has the key.
    #[non_exhaustive]
    NotFound {
        /// The one that was looked for.
        queue: ObjectName,
    },
    /// `EEXIST`: a queue has the key already, and only a new one would do.
    #[non_exhaustive]
    Exists {
        /// The one that stands in the way.
        queue: ObjectName,
    },
    /// `EACCES`: the queue exists and its mode forbids what was asked, or a new one may not be made here.
    #[non_exhaustive]
    Denied {
        /// The one that was asked for.
        queue: ObjectName,
    },
    /// `ENOSPC`: there are `msgmni` queues already.
    #[non_exhaustive]
    TooMany {
        /// The one that was to be made.
        queue: ObjectName,
        /// The limit.
        msgmni: i32,
    },
    /// `ENOMEM`, or `ENOSPC` below the limit: no memory, or no room in the file system that carries the namespace.
    #[non_exhaustive]
    NoMemory {
        /// The one that was to be made.
        queue: ObjectName,
        /// Which of the two.
        errno: Errno,
    },
    /// What else the facility may return.
    #[non_exhaustive]
    Other {
        /// The one that was asked for.
        queue: ObjectName,
        /// What it returned.
        errno: Errno,
    },
}

impl QueueGetError {
    /// What msgget(2) returns in this case.
    ///
    /// ```
    /// use sysv::{Errno, Key, MessageQueue};
    /// # let namespace = sysv::TemporaryNamespace::create()?;
    /// let error = MessageQueue::open(&namespace, Key::new(42)).unwrap_err();
    /// assert_eq!(error.errno(), Errno::ENOENT);
    /// # Ok::<(), sysv::NamespaceError>(())
    /// ```
    pub fn errno(&self) -> Errno {
        match self {
            QueueGetError::NotFound { .. } => Errno::ENOENT,
            QueueGetError::Exists { .. } => Errno::EEXIST,
            QueueGetError::Denied { .. } => Errno::EACCES,
            QueueGetError::TooMany { .. } => Errno::ENOSPC,
            QueueGetError::NoMemory { errno, .. } | QueueGetError::Other { errno, .. } => *errno,
        }
    }
}

impl fmt::Display for QueueGetError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            QueueGetError::NotFound { queue } => {
                write!(
                    f,
                    "{queue} does not exist; start the program that creates it, or create it"
                )
            }
            QueueGetError::Exists { queue } => {
                write!(f, "{queue} exists already; open it, remove it, or take another key")
            }
            QueueGetError::Denied { queue } => {
                write!(f, "permission denied for {queue}; its owner can change its mode")
            }
            QueueGetError::TooMany { queue, msgmni } => {
                let raise = queue.location.raise("msgmni");
                write!(
                    f,
                    "cannot create {queue}: there are {msgmni} already, the limit msgmni; remove some, or {raise}"
                )
            }
            QueueGetError::NoMemory { queue, errno } => {
                write!(f, "no memory for {queue}: {errno}; remove some objects")
            }
            QueueGetError::Other { queue, errno } => write!(f, "cannot get {queue}: {errno}"),
        }
    }
}

operation_error!(QueueGetError);

/// Why a queue's capacity could not be set: msgctl(2) with `IPC_SET`.
///
/// ```
/// use sysv::{CapacityError, Id, MessageQueue};
/// # let namespace = sysv::TemporaryNamespace::create()?;
///
/// let gone = MessageQueue::from_id(&namespace, Id::new(0));
/// assert!(matches!(gone.set_capacity(100), Err(CapacityError::Gone { .. })));
/// # Ok::<(), sysv::NamespaceError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum CapacityError {
    /// `EPERM`: the caller is neither owner nor creator, or it is more than the limit `msgmnb` allows to who has no privilege:
    /// root on the kernel's facility, the namespace's owner elsewhere.
    #[non_exhaustive]
    Denied {
        /// The one that refused.
        queue: ObjectName,
        /// Bytes that were asked for.
        wanted: u64,
        /// The limit.
        msgmnb: i32,
    },
    /// `EINVAL` or `EIDRM`: no queue has the identifier any more.
    #[non_exhaustive]
    Gone {
        /// The one that was meant.
        queue: ObjectName,
        /// Which of the two.
        errno: Errno,
    },
    /// What else the facility may return.
    #[non_exhaustive]
    Other {
        /// The one that was meant.
        queue: ObjectName,
        /// What it returned.
        errno: Errno,
    },
}

impl CapacityError {
    /// What msgctl(2) returns in this case.
    ///
    /// ```
    /// use sysv::{Errno, Id, MessageQueue};
    /// # let namespace = sysv::TemporaryNamespace::create()?;
    ///
    /// let gone = MessageQueue::from_id(&namespace, Id::new(0));
    /// assert_eq!(gone.set_capacity(100).unwrap_err().errno(), Errno::EINVAL);
    /// # Ok::<(), sysv::NamespaceError>(())
    /// ```
    pub fn errno(&self) -> Errno {
        match self {
            CapacityError::Denied { .. } => Errno::EPERM,
            CapacityError::Gone { errno, .. } | CapacityError::Other { errno, .. } => *errno,
        }
    }
}

impl fmt::Display for CapacityError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            CapacityError::Denied { queue, wanted, msgmnb } => {
                write!(f, "permission denied to let {queue} hold {wanted} bytes; ")?;
                write!(
                    f,
                    "its owner, its creator or root can, within the limit msgmnb of {msgmnb}; {}",
                    queue.location.raise("msgmnb")
                )
            }
            CapacityError::Gone { queue, .. } => {
                write!(f, "{queue} does not exist (any more); look it up again by its key")
            }
            CapacityError::Other { queue, errno } => write!(f, "cannot set the capacity of {queue}: {errno}"),
        }
    }
}

operation_error!(CapacityError);
