//! Why a namespace, its limits or its list of objects cannot be had.

use std::ffi::CString;
use std::fmt;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use sysv_engine::namespace::JoinError;

use super::{Location, Mechanism, ObjectName, operation_error};
use crate::Errno;

/// Why a namespace could not be opened, created or removed.
///
/// ```
/// use sysv::{Errno, Namespace};
///
/// let error = Namespace::open("/no/such/directory").unwrap_err();
/// assert!(error.to_string().contains("/no/such/directory"));
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct NamespaceError {
    /// The namespace's directory.
    pub directory: PathBuf,
    cause: Cause,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Cause {
    /// The engine could not join it.
    Join(JoinError),
    /// The operating system refused a step of making or removing it.
    System { action: &'static str, errno: Errno },
}

impl NamespaceError {
    pub(crate) fn join(directory: &Path, cause: JoinError) -> NamespaceError {
        NamespaceError {
            directory: directory.to_owned(),
            cause: Cause::Join(cause),
        }
    }

    pub(crate) fn system(directory: &Path, action: &'static str, errno: Errno) -> NamespaceError {
        NamespaceError {
            directory: directory.to_owned(),
            cause: Cause::System { action, errno },
        }
    }

    /// What a C program gets from the call that needed the namespace.
    ///
    /// ```
    /// # let namespace = sysv::TemporaryNamespace::create()?;
    /// let error = sysv::Namespace::open("/no/such/directory").unwrap_err();
    /// assert_ne!(error.errno().raw(), 0);
    /// # Ok::<(), sysv::NamespaceError>(())
    /// ```
    pub fn errno(&self) -> Errno {
        match &self.cause {
            Cause::Join(error) => error.errno(),
            Cause::System { errno, .. } => *errno,
        }
    }
}

impl fmt::Display for NamespaceError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.cause {
            // Refused paths with a zero byte never reach the engine.
            Cause::Join(error) => match CString::new(self.directory.as_os_str().as_bytes()) {
                Ok(directory) => error.describe(&directory).fmt(f),
                Err(_) => error.fmt(f),
            },
            Cause::System { action, errno } => {
                write!(f, "cannot {action} the namespace {}: {errno}", self.directory.display())?;
                match *errno {
                    Errno::EACCES | Errno::EPERM => f.write_str("; only its owner can"),
                    Errno::ENOSPC => f.write_str("; free some space there, or name a directory on another file system"),
                    _ => f.write_str("; name another directory"),
                }
            }
        }
    }
}

operation_error!(NamespaceError);

/// Why the limits could not be read or set.
///
/// ```
/// # let namespace = sysv::TemporaryNamespace::create()?;
/// let mut limits = namespace.limits()?;
/// limits.shmmni = u64::MAX;
/// let error = namespace.set_limits(&limits).unwrap_err();
/// assert_eq!(error.errno(), sysv::Errno::EINVAL);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct LimitsError {
    /// Whose limits.
    pub location: Location,
    pub(crate) action: &'static str,
    pub(crate) errno: Errno,
}

impl LimitsError {
    /// What the facility said.
    ///
    /// ```
    /// # let namespace = sysv::TemporaryNamespace::create()?;
    /// # let mut limits = namespace.limits()?;
    /// limits.shmmni = u64::MAX;
    /// assert_eq!(namespace.set_limits(&limits).unwrap_err().errno(), sysv::Errno::EINVAL);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn errno(&self) -> Errno {
        self.errno
    }
}

operation_error!(LimitsError);

/// Why a facility's objects or an object's attachments could not be listed.
///
/// ```
/// use sysv::{Id, Segment};
/// # let namespace = sysv::TemporaryNamespace::create()?;
///
/// let error = Segment::from_id(&namespace, Id::new(16384)).attachments().unwrap_err();
/// assert!(error.to_string().contains("segment 16384 of namespace"));
/// # Ok::<(), sysv::NamespaceError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ReportError {
    /// The facility that was asked.
    pub location: Location,
    /// The object that was to be looked at; none if it was all of them.
    pub object: Option<ObjectName>,
    pub(crate) errno: Errno,
}

impl ReportError {
    /// What the facility said: `EINVAL` or `EIDRM` if the object does not exist.
    ///
    /// ```
    /// use sysv::{Errno, Id, Segment};
    /// # let namespace = sysv::TemporaryNamespace::create()?;
    ///
    /// let error = Segment::from_id(&namespace, Id::new(16384)).attachments().unwrap_err();
    /// assert_eq!(error.errno(), Errno::EINVAL);
    /// # Ok::<(), sysv::NamespaceError>(())
    /// ```
    pub fn errno(&self) -> Errno {
        self.errno
    }
}

impl fmt::Display for ReportError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.object, self.errno) {
            (Some(object), Errno::EINVAL | Errno::EIDRM) => {
                return write!(f, "{object} does not exist (any more); look it up again by its key");
            }
            (Some(object), Errno::EACCES) => {
                return write!(
                    f,
                    "permission denied to look into {object}; its owner can change its mode"
                );
            }
            (Some(object), Errno::ENOSYS) if object.mechanism == Mechanism::MessageQueue => {
                return write!(
                    f,
                    "cannot look into {object}: this kernel was built without MSG_COPY (CONFIG_CHECKPOINT_RESTORE)"
                );
            }
            (Some(object), errno) => write!(f, "cannot look into {object}: {errno}")?,
            (None, errno) => write!(f, "cannot list the objects of {}: {errno}", self.location)?,
        }
        match self.location {
            Location::Kernel => f.write_str("; mount /proc, and use a kernel with System V IPC"),
            Location::Directory(_) => Ok(()),
        }
    }
}

operation_error!(ReportError);
