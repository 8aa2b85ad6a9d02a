//! Why `msgsnd` and `msgrcv` refused, and why a message is not what was expected.

use std::fmt;
use std::io;
use std::time::Duration;

use super::{ObjectName, Ownership, errno_kind, operation_error, write_ownership};
use crate::Errno;

/// Why a message could not be sent: msgsnd(2). It was not.
///
/// ```
/// use sysv::{Message, SendError};
/// # let namespace = sysv::TemporaryNamespace::create()?;
/// # let queue = sysv::MessageQueue::create(&namespace, sysv::Key::PRIVATE, sysv::NewMessageQueue::new())?;
///
/// let error = queue.send(&Message::new(0, b"of no type")).unwrap_err();
/// assert!(matches!(error, SendError::Kind { kind: 0, .. }));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum SendError {
    /// `EAGAIN`: there is no room now, and it was not to be waited for.
    #[non_exhaustive]
    WouldBlock {
        /// The one that is full.
        queue: ObjectName,
    },
    /// `EAGAIN`: there was no room in time.
    #[non_exhaustive]
    TimedOut {
        /// The one that is full.
        queue: ObjectName,
        /// How long it was waited for.
        timeout: Duration,
    },
    /// `EINTR`: a signal handler ran during the wait.
    #[non_exhaustive]
    Interrupted {
        /// The one that is full.
        queue: ObjectName,
    },
    /// `EIDRM` or `EINVAL`: the queue was removed, meanwhile or before.
    #[non_exhaustive]
    Gone {
        /// The one that was meant.
        queue: ObjectName,
        /// Which of the two.
        errno: Errno,
    },
    /// `EACCES`: the queue's mode forbids sending.
    #[non_exhaustive]
    Denied {
        /// The one that refused.
        queue: ObjectName,
        /// Whose it is.
        ownership: Option<Ownership>,
    },
    /// `EINVAL`: the message's type is not positive.
    #[non_exhaustive]
    Kind {
        /// Where it was to go.
        queue: ObjectName,
        /// The type.
        kind: i64,
    },
    /// `EINVAL`: the message has more bytes than the limit `msgmax` allows.
    #[non_exhaustive]
    TooLong {
        /// Where it was to go.
        queue: ObjectName,
        /// How many it has.
        length: usize,
        /// The limit.
        msgmax: u64,
    },
    /// `ENOMEM`: no memory for the message.
    #[non_exhaustive]
    NoMemory {
        /// Where it was to go.
        queue: ObjectName,
    },
    /// What else the facility may return.
    #[non_exhaustive]
    Other {
        /// Where it was to go.
        queue: ObjectName,
        /// What it returned.
        errno: Errno,
    },
}

impl SendError {
    /// What msgsnd(2) returns in this case; a timeout has the errno of `IPC_NOWAIT`.
    ///
    /// ```
    /// use sysv::{Errno, Message};
    /// # let namespace = sysv::TemporaryNamespace::create()?;
    /// # let queue = sysv::MessageQueue::create(&namespace, sysv::Key::PRIVATE, sysv::NewMessageQueue::new())?;
    /// queue.set_capacity(1)?;
    /// assert_eq!(queue.try_send(&Message::new(1, b"ab")).unwrap_err().errno(), Errno::EAGAIN);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn errno(&self) -> Errno {
        match self {
            SendError::WouldBlock { .. } | SendError::TimedOut { .. } => Errno::EAGAIN,
            SendError::Interrupted { .. } => Errno::EINTR,
            SendError::Denied { .. } => Errno::EACCES,
            SendError::Kind { .. } | SendError::TooLong { .. } => Errno::EINVAL,
            SendError::NoMemory { .. } => Errno::ENOMEM,
            SendError::Gone { errno, .. } | SendError::Other { errno, .. } => *errno,
        }
    }

    fn kind(&self) -> io::ErrorKind {
        match self {
            SendError::TimedOut { .. } => io::ErrorKind::TimedOut,
            other => errno_kind(other.errno()),
        }
    }
}

impl fmt::Display for SendError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            SendError::WouldBlock { queue } => {
                write!(f, "{queue} is full; try again later, wait, or give it more capacity")
            }
            SendError::TimedOut { queue, timeout } => {
                write!(
                    f,
                    "{queue} was full for {timeout:?}; see whether anybody receives, or wait longer"
                )
            }
            SendError::Interrupted { queue } => {
                write!(f, "a signal interrupted the wait for room in {queue}; send again")
            }
            SendError::Gone { queue, .. } => {
                write!(f, "{queue} does not exist (any more); look it up again by its key")
            }
            SendError::Denied { queue, ownership } => {
                write!(f, "permission denied to send to {queue}")?;
                write_ownership(f, ownership)?;
                f.write_str("; its owner can change its mode")
            }
            SendError::Kind { queue, kind } => {
                write!(
                    f,
                    "cannot send a message of type {kind} to {queue}; give a type of 1 or more"
                )
            }
            SendError::TooLong { queue, length, msgmax } => {
                let raise = queue.location.raise("msgmax");
                write!(
                    f,
                    "cannot send {length} bytes to {queue}: the limit msgmax is {msgmax}; send less at once, or {raise}"
                )
            }
            SendError::NoMemory { queue } => {
                write!(f, "no memory for a message to {queue}; receive some first")
            }
            SendError::Other { queue, errno } => write!(f, "cannot send to {queue}: {errno}"),
        }
    }
}

operation_error!(SendError, kind);

/// Why no message was received: msgrcv(2). None left the queue.
///
/// ```
/// use sysv::{ReceiveError, Selection};
/// # let namespace = sysv::TemporaryNamespace::create()?;
/// # let queue = sysv::MessageQueue::create(&namespace, sysv::Key::PRIVATE, sysv::NewMessageQueue::new())?;
///
/// let error = queue.try_receive(Selection::Any).unwrap_err();
/// assert!(matches!(error, ReceiveError::NoMessage { .. }));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ReceiveError {
    /// `ENOMSG`: there is no such message now, and it was not to be waited for.
    #[non_exhaustive]
    NoMessage {
        /// The one without it.
        queue: ObjectName,
    },
    /// `ENOMSG`: there was no such message in time.
    #[non_exhaustive]
    TimedOut {
        /// The one without it.
        queue: ObjectName,
        /// How long it was waited for.
        timeout: Duration,
    },
    /// `EINTR`: a signal handler ran during the wait.
    #[non_exhaustive]
    Interrupted {
        /// The one without a message.
        queue: ObjectName,
    },
    /// `EIDRM` or `EINVAL`: the queue was removed, meanwhile or before.
    #[non_exhaustive]
    Gone {
        /// The one that was meant.
        queue: ObjectName,
        /// Which of the two.
        errno: Errno,
    },
    /// `EACCES`: the queue's mode forbids receiving.
    #[non_exhaustive]
    Denied {
        /// The one that refused.
        queue: ObjectName,
        /// Whose it is.
        ownership: Option<Ownership>,
    },
    /// `EINVAL`: the type to select by is not positive.
    #[non_exhaustive]
    Kind {
        /// The one that was meant.
        queue: ObjectName,
        /// The type.
        kind: i64,
    },
    /// `E2BIG`: the selected message has more bytes than were asked for. It stays.
    #[non_exhaustive]
    TooLong {
        /// The one that has it.
        queue: ObjectName,
        /// How many were asked for.
        limit: usize,
    },
    /// `ENOSYS`: this kernel cannot show a message and leave it in its queue.
    #[non_exhaustive]
    Unsupported {
        /// The one that was meant.
        queue: ObjectName,
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

impl ReceiveError {
    /// What msgrcv(2) returns in this case; a timeout has the errno of `IPC_NOWAIT`.
    ///
    /// ```
    /// use sysv::{Errno, Selection};
    /// # let namespace = sysv::TemporaryNamespace::create()?;
    /// # let queue = sysv::MessageQueue::create(&namespace, sysv::Key::PRIVATE, sysv::NewMessageQueue::new())?;
    /// assert_eq!(queue.try_receive(Selection::Any).unwrap_err().errno(), Errno::ENOMSG);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn errno(&self) -> Errno {
        match self {
            ReceiveError::NoMessage { .. } | ReceiveError::TimedOut { .. } => Errno::ENOMSG,
            ReceiveError::Interrupted { .. } => Errno::EINTR,
            ReceiveError::Denied { .. } => Errno::EACCES,
            ReceiveError::Kind { .. } => Errno::EINVAL,
            ReceiveError::TooLong { .. } => Errno::E2BIG,
            ReceiveError::Unsupported { .. } => Errno::ENOSYS,
            ReceiveError::Gone { errno, .. } | ReceiveError::Other { errno, .. } => *errno,
        }
    }

    /// The standard library has no name for `ENOMSG`.
    fn kind(&self) -> io::ErrorKind {
        match self {
            ReceiveError::TimedOut { .. } => io::ErrorKind::TimedOut,
            ReceiveError::NoMessage { .. } => io::ErrorKind::WouldBlock,
            other => errno_kind(other.errno()),
        }
    }
}

impl fmt::Display for ReceiveError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ReceiveError::NoMessage { queue } => {
                write!(f, "{queue} has no such message; try again later, or wait for one")
            }
            ReceiveError::TimedOut { queue, timeout } => {
                write!(
                    f,
                    "{queue} had no such message for {timeout:?}; see whether anybody sends, or wait longer"
                )
            }
            ReceiveError::Interrupted { queue } => {
                write!(
                    f,
                    "a signal interrupted the wait for a message of {queue}; receive again"
                )
            }
            ReceiveError::Gone { queue, .. } => {
                write!(f, "{queue} does not exist (any more); look it up again by its key")
            }
            ReceiveError::Denied { queue, ownership } => {
                write!(f, "permission denied to receive from {queue}")?;
                write_ownership(f, ownership)?;
                f.write_str("; its owner can change its mode")
            }
            ReceiveError::Kind { queue, kind } => {
                write!(
                    f,
                    "no message of {queue} has type {kind}; select by a type of 1 or more"
                )
            }
            ReceiveError::TooLong { queue, limit } => {
                write!(
                    f,
                    "the selected message of {queue} has more than {limit} bytes; ask for more, or cut it"
                )
            }
            ReceiveError::Unsupported { queue } => {
                write!(f, "this kernel cannot peek into {queue}; ")?;
                f.write_str("it needs one with CONFIG_CHECKPOINT_RESTORE, or a namespace")
            }
            ReceiveError::Other { queue, errno } => write!(f, "cannot receive from {queue}: {errno}"),
        }
    }
}

operation_error!(ReceiveError, kind);

/// Why a message's bytes are not the value that was asked for, or a value has no form as bytes.
///
/// ```
/// use sysv::{Message, PayloadError};
///
/// let error = Message::new(1, b"12345").value::<u32>().unwrap_err();
/// assert!(matches!(error, PayloadError::Size { expected: 4, found: 5, .. }));
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum PayloadError {
    /// Such a value has another number of bytes.
    #[non_exhaustive]
    Size {
        /// The message's type.
        kind: i64,
        /// Bytes that such a value has.
        expected: usize,
        /// Bytes that the message has.
        found: usize,
    },
    /// The bytes are not the serialised form of such a value.
    #[non_exhaustive]
    Decode {
        /// The message's type.
        kind: i64,
        /// What is wrong with them.
        reason: String,
    },
    /// The value has no serialised form.
    #[non_exhaustive]
    Encode {
        /// The message's type.
        kind: i64,
        /// Why not.
        reason: String,
    },
}

impl PayloadError {
    /// `EINVAL`.
    ///
    /// ```
    /// use sysv::{Errno, Message};
    /// assert_eq!(Message::new(1, b"12345").value::<u32>().unwrap_err().errno(), Errno::EINVAL);
    /// ```
    pub fn errno(&self) -> Errno {
        Errno::EINVAL
    }

    fn kind(&self) -> io::ErrorKind {
        io::ErrorKind::InvalidData
    }
}

impl fmt::Display for PayloadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            PayloadError::Size { kind, expected, found } => {
                write!(
                    f,
                    "a message of type {kind} has {found} bytes, not {expected}; see which types its senders use for what"
                )
            }
            PayloadError::Decode { kind, reason } => {
                write!(
                    f,
                    "cannot deserialise a message of type {kind}: {reason}; see which types its senders use for what"
                )
            }
            PayloadError::Encode { kind, reason } => {
                write!(f, "cannot serialise a message of type {kind}: {reason}; send its parts")
            }
        }
    }
}

operation_error!(PayloadError, kind);
