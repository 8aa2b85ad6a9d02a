//! What the errors have in common: the object that they name and their way back to an errno.
//!
//! Each operation has its own error type. Its variants say what went wrong in the terms of that operation, its
//! message names the object and the remedy, and `errno()` returns exactly what the facility returned.

mod attach;
mod control;
mod file_lock;
mod get;
mod memory;
mod message;
mod namespace;
mod operate;
mod queue;
mod semaphore;

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

pub use attach::AttachError;
pub use control::{LockError, RemoveError, SetError, StatError};
pub use file_lock::{FileLockError, LockedFile};
pub use get::GetError;
pub use memory::AccessError;
pub use message::{PayloadError, ReceiveError, SendError};
pub use namespace::{LimitsError, NamespaceError, ReportError};
pub use operate::OperateError;
pub use queue::{CapacityError, QueueGetError};
pub use semaphore::{SemaphoreGetError, ValueError};

use sysv_engine::abi::IpcPerm;

use crate::{Errno, Id, Key, Mode};

/// Implements what every operation's error owes beside `Display` and `errno()`.
///
/// The conversion to `io::Error` keeps the whole error as the inner one, so that nothing is lost:
/// `io::Error::get_ref` gives it back. Its kind is the errno's, unless the error has a method that knows better.
macro_rules! operation_error {
    ($name:ident) => {
        operation_error!($name, |error: &$name| $crate::error::errno_kind(error.errno()));
    };
    ($name:ident, $kind:ident) => {
        operation_error!($name, $name::$kind);
    };
    ($name:ident, $kind:expr) => {
        impl std::error::Error for $name {}

        impl From<$name> for $crate::Errno {
            fn from(error: $name) -> $crate::Errno {
                error.errno()
            }
        }

        impl From<$name> for std::io::Error {
            fn from(error: $name) -> std::io::Error {
                let kind: fn(&$name) -> std::io::ErrorKind = $kind;
                std::io::Error::new(kind(&error), error)
            }
        }
    };
}
pub(crate) use operation_error;

/// What the standard library calls an errno.
pub(crate) fn errno_kind(errno: Errno) -> io::ErrorKind {
    io::Error::from_raw_os_error(errno.raw()).kind()
}

/// Where objects live: in the kernel, or in the namespace of a directory.
///
/// ```
/// use sysv::{Location, Namespace};
///
/// assert_eq!(Namespace::kernel().location(), &Location::Kernel);
/// assert_eq!(Location::Kernel.to_string(), "the kernel's facility");
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Location {
    /// The kernel's own facility, one for each IPC namespace of the system.
    Kernel,
    /// The namespace in this directory.
    Directory(Arc<Path>),
}

impl Location {
    /// The namespace's directory; none for the kernel.
    ///
    /// ```
    /// # let namespace = sysv::TemporaryNamespace::create()?;
    /// assert!(namespace.location().directory().is_some_and(|d| d.is_absolute()));
    /// # Ok::<(), sysv::NamespaceError>(())
    /// ```
    pub fn directory(&self) -> Option<&Path> {
        match self {
            Location::Kernel => None,
            Location::Directory(path) => Some(path),
        }
    }

    pub(crate) fn of_directory(path: PathBuf) -> Location {
        Location::Directory(path.into())
    }

    /// How to raise a limit of this facility.
    fn raise(&self, limit: &str) -> String {
        match self {
            Location::Kernel => format!("root can raise it with `sysctl kernel.{limit}=NUMBER`"),
            Location::Directory(path) => {
                format!(
                    "its owner can raise it with `sysv limits --namespace {} {limit}=NUMBER`",
                    path.display()
                )
            }
        }
    }

    /// How to raise a limit of semaphores, of which the kernel has four in one file.
    fn raise_semaphores(&self, limit: &str) -> String {
        match self {
            Location::Kernel => {
                format!("root can raise {limit} with `sysctl kernel.sem=\"SEMMSL SEMMNS SEMOPM SEMMNI\"`")
            }
            Location::Directory(_) => self.raise(&limit.to_ascii_lowercase()),
        }
    }
}

impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Location::Kernel => f.write_str("the kernel's facility"),
            Location::Directory(path) => write!(f, "namespace {}", path.display()),
        }
    }
}

/// Which object an error is about.
///
/// ```
/// use sysv::{Key, Segment};
/// # let namespace = sysv::TemporaryNamespace::create()?;
///
/// let error = Segment::open(&namespace, Key::new(42)).unwrap_err();
/// assert!(error.to_string().starts_with("the segment with key 0x0000002a of namespace"));
/// # Ok::<(), sysv::NamespaceError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ObjectName {
    /// What it is.
    pub mechanism: Mechanism,
    /// Its key or identifier, whichever the failed operation used.
    pub name: Name,
    /// Where it was looked for.
    pub location: Location,
}

/// The three kinds of object.
///
/// ```
/// assert_eq!(sysv::Mechanism::SemaphoreSet.to_string(), "semaphore set");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Mechanism {
    /// A [`Segment`](crate::Segment).
    Segment,
    /// A [`SemaphoreSet`](crate::SemaphoreSet).
    SemaphoreSet,
    /// A [`MessageQueue`](crate::MessageQueue).
    MessageQueue,
}

impl fmt::Display for Mechanism {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Mechanism::Segment => "segment",
            Mechanism::SemaphoreSet => "semaphore set",
            Mechanism::MessageQueue => "message queue",
        })
    }
}

/// What an object was called by when an operation on it failed.
///
/// ```
/// use sysv::{Id, Key, Name};
///
/// assert_ne!(Name::Key(Key::new(7)), Name::Id(Id::new(7)));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Name {
    /// By key.
    Key(Key),
    /// By identifier.
    Id(Id),
}

impl ObjectName {
    pub(crate) fn by_key(mechanism: Mechanism, key: Key, location: &Location) -> ObjectName {
        ObjectName {
            mechanism,
            name: Name::Key(key),
            location: location.clone(),
        }
    }

    pub(crate) fn by_id(mechanism: Mechanism, id: Id, location: &Location) -> ObjectName {
        ObjectName {
            mechanism,
            name: Name::Id(id),
            location: location.clone(),
        }
    }
}

impl fmt::Display for ObjectName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ObjectName {
            mechanism,
            name,
            location,
        } = self;
        match name {
            Name::Key(key) if key.is_private() => write!(f, "the new private {mechanism} of {location}"),
            Name::Key(key) => write!(f, "the {mechanism} with key {key} of {location}"),
            Name::Id(id) => write!(f, "{mechanism} {id} of {location}"),
        }
    }
}

/// Whom an object belongs to and what its mode allows, as far as an error could still find out.
///
/// ```
/// use sysv::{Key, Mode, NewSegment, Segment};
/// # let namespace = sysv::TemporaryNamespace::create()?;
///
/// let private = NewSegment::of_size(1).mode(Mode::new(0o000));
/// let segment = Segment::create(&namespace, Key::PRIVATE, private)?;
/// if let Err(sysv::StatError::Denied { ownership: Some(whose), .. }) = segment.stat() {
///     assert_eq!(whose.mode, Mode::new(0o000)); // Everybody but root comes here.
/// }
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Ownership {
    /// User that owns the object.
    pub owner: u32,
    /// User that created it, who keeps an owner's rights.
    pub creator: u32,
    /// What owner, group and others may do.
    pub mode: Mode,
}

impl Ownership {
    pub(crate) fn of(perm: &IpcPerm) -> Ownership {
        Ownership {
            owner: perm.uid,
            creator: perm.cuid,
            mode: Mode::new(perm.mode),
        }
    }
}

impl fmt::Display for Ownership {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "it belongs to user {}", self.owner)?;
        if self.creator != self.owner {
            write!(f, ", was created by user {}", self.creator)?;
        }
        write!(f, " and has mode {}", self.mode)
    }
}

/// Writes `: it belongs to …` where that is known.
fn write_ownership(f: &mut fmt::Formatter<'_>, ownership: &Option<Ownership>) -> fmt::Result {
    ownership.as_ref().map_or(Ok(()), |o| write!(f, ": {o}"))
}
