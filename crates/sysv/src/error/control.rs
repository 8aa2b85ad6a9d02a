//! Why `shmctl`, `semctl` and `msgctl` refused what they have in common: one error for each command.

use std::fmt;

use super::{ObjectName, Ownership, operation_error, write_ownership};
use crate::Errno;

/// Defines the error of one command. All have the same three cases and differ in the errno of refusal and
/// in the words.
macro_rules! control_error {
    (
        $(#[$doc:meta])*
        $name:ident, $example:literal, denied: $denied:ident $denied_doc:literal,
        cannot: $cannot:literal, remedy: $remedy:literal
    ) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq)]
        #[non_exhaustive]
        pub enum $name {
            #[doc = $denied_doc]
            #[non_exhaustive]
            Denied {
                /// The one that refused.
                object: ObjectName,
                /// Whose it is.
                ownership: Option<Ownership>,
            },
            /// `EINVAL` or `EIDRM`: no such object has the identifier any more.
            #[non_exhaustive]
            Gone {
                /// The one that was meant.
                object: ObjectName,
                /// Which of the two.
                errno: Errno,
            },
            /// What else the facility may return.
            #[non_exhaustive]
            Other {
                /// The one that was meant.
                object: ObjectName,
                /// What it returned.
                errno: Errno,
            },
        }

        impl $name {
            /// What shmctl(2), semctl(2) or msgctl(2) returns in this case.
            ///
            /// ```
            /// use sysv::{Errno, Id, Segment};
            /// # let namespace = sysv::TemporaryNamespace::create()?;
            ///
            /// let gone = Segment::from_id(&namespace, Id::new(16384));
            #[doc = $example]
            /// assert_eq!(error.errno(), Errno::EINVAL);
            /// # Ok::<(), sysv::NamespaceError>(())
            /// ```
            pub fn errno(&self) -> Errno {
                match self {
                    $name::Denied { .. } => Errno::$denied,
                    $name::Gone { errno, .. } | $name::Other { errno, .. } => *errno,
                }
            }

            /// Sorts an errno by what is known of the object.
            pub(crate) fn sort(errno: Errno, object: ObjectName, exists: bool, ownership: Option<Ownership>) -> $name {
                match errno {
                    Errno::$denied => $name::Denied { object, ownership },
                    Errno::EINVAL | Errno::EIDRM if !exists => $name::Gone { object, errno },
                    _ => $name::Other { object, errno },
                }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                match self {
                    $name::Denied { object, ownership } => {
                        write!(f, concat!("permission denied to ", $cannot, " {}"), object)?;
                        write_ownership(f, ownership)?;
                        f.write_str(concat!("; ", $remedy))
                    }
                    $name::Gone { object, .. } => {
                        write!(f, "{object} does not exist (any more); look it up again by its key")
                    }
                    $name::Other { object, errno } => write!(f, concat!("cannot ", $cannot, " {}: {}"), object, errno),
                }
            }
        }

        operation_error!($name);
    };
}

control_error! {
    /// Why an object could not be looked at: shmctl(2), semctl(2) and msgctl(2) with `IPC_STAT`.
    ///
    /// ```
    /// use sysv::{Id, Segment, StatError};
    /// # let namespace = sysv::TemporaryNamespace::create()?;
    ///
    /// let error = Segment::from_id(&namespace, Id::new(16384)).stat().unwrap_err();
    /// assert!(matches!(error, StatError::Gone { .. }));
    /// # Ok::<(), sysv::NamespaceError>(())
    /// ```
    StatError,
    "let error = gone.stat().unwrap_err();",
    denied: EACCES "`EACCES`: the object's mode forbids reading.",
    cannot: "look at", remedy: "its owner can change its mode; `Namespace::report` needs no permission"
}

control_error! {
    /// Why an object's permissions could not be set: shmctl(2), semctl(2) and msgctl(2) with `IPC_SET`.
    ///
    /// ```
    /// use sysv::{Id, Mode, Permissions, Segment, SetError};
    /// # let namespace = sysv::TemporaryNamespace::create()?;
    ///
    /// let gone = Segment::from_id(&namespace, Id::new(16384));
    /// let error = gone.set_permissions(Permissions { owner: 0, group: 0, mode: Mode::OWNER }).unwrap_err();
    /// assert!(matches!(error, SetError::Gone { .. }));
    /// # Ok::<(), sysv::NamespaceError>(())
    /// ```
    SetError,
    "let error = gone.set_permissions(sysv::Permissions { owner: 0, group: 0, mode: sysv::Mode::OWNER }).unwrap_err();",
    denied: EPERM "`EPERM`: the caller is neither owner nor creator, or may not give the object to that user.",
    cannot: "set the permissions of",
    remedy: "its owner, its creator or root can; in a namespace, only root can give it to another user"
}

control_error! {
    /// Why an object could not be removed: shmctl(2), semctl(2) and msgctl(2) with `IPC_RMID`.
    ///
    /// ```
    /// use sysv::{Id, RemoveError, Segment};
    /// # let namespace = sysv::TemporaryNamespace::create()?;
    ///
    /// let error = Segment::from_id(&namespace, Id::new(16384)).remove().unwrap_err();
    /// assert!(matches!(error, RemoveError::Gone { .. }));
    /// # Ok::<(), sysv::NamespaceError>(())
    /// ```
    RemoveError,
    "let error = gone.remove().unwrap_err();",
    denied: EPERM "`EPERM`: the caller is neither owner nor creator.",
    cannot: "remove", remedy: "its owner, its creator or root can"
}

control_error! {
    /// Why a segment's memory could not be locked or unlocked: shmctl(2) with `SHM_LOCK` or `SHM_UNLOCK`.
    ///
    /// `ENOMEM`, as [`LockError::Other`], means that the limit on locked memory (`RLIMIT_MEMLOCK`) forbids it.
    ///
    /// ```
    /// use sysv::{Id, LockError, Segment};
    /// # let namespace = sysv::TemporaryNamespace::create()?;
    ///
    /// let error = Segment::from_id(&namespace, Id::new(16384)).lock_memory().unwrap_err();
    /// assert!(matches!(error, LockError::Gone { .. }));
    /// # Ok::<(), sysv::NamespaceError>(())
    /// ```
    LockError,
    "let error = gone.unlock_memory().unwrap_err();",
    denied: EPERM "`EPERM`: the caller is neither owner nor creator, or may lock no memory at all.",
    cannot: "lock or unlock the memory of", remedy: "its owner, its creator or root can, within `ulimit -l`"
}
