//! Why a namespace, its limits or its list of objects cannot be had.

use std::ffi::CString;
use std::fmt;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use sysv_engine::namespace::JoinError;

use super::{Location, operation_error};
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

/// Why a facility's objects or their attachments could not be listed.
///
/// ```
/// fn count(namespace: &sysv::Namespace) -> Result<usize, sysv::ReportError> {
///     Ok(namespace.report()?.len())
/// }
/// # let namespace = sysv::TemporaryNamespace::create()?;
/// assert_eq!(count(&namespace)?, 0);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ReportError {
    /// What was to be listed.
    pub location: Location,
    pub(crate) file: &'static str,
    pub(crate) errno: Errno,
}

impl ReportError {
    /// What the operating system said.
    ///
    /// ```
    /// # let namespace = sysv::TemporaryNamespace::create()?;
    /// if let Err(error) = namespace.report() {
    ///     eprintln!("{error} ({})", error.errno().raw());
    /// }
    /// # Ok::<(), sysv::NamespaceError>(())
    /// ```
    pub fn errno(&self) -> Errno {
        self.errno
    }
}

impl fmt::Display for ReportError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "cannot list the objects of {}: {}: {}; ",
            self.location, self.file, self.errno
        )?;
        f.write_str("mount /proc, and use a kernel with System V IPC")
    }
}

operation_error!(ReportError);
