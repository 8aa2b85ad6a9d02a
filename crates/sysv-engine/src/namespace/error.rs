//! Why a namespace cannot be joined, in words that name the file and the remedy.

use core::ffi::CStr;
use core::fmt;

use crate::errno::Errno;
use crate::table::LAYOUT_VERSION;

/// Why a namespace cannot be joined.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct JoinError {
    kind: JoinErrorKind,
}

/// The cases of [`JoinError`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum JoinErrorKind {
    /// There is no namespace in the directory, and none was to be made.
    Missing,
    /// The name is a symbolic link.
    Symlink,
    /// The name is no directory.
    NotDirectory,
    /// The directory belongs to another user (named here) and is not made for several.
    Foreign {
        /// The directory's owner.
        owner: u32,
    },
    /// The directory's permissions let others change it.
    Writable {
        /// The directory's permission bits.
        mode: u32,
    },
    /// A file of the namespace is not one of ours.
    NotOurs {
        /// Its name in the directory.
        file: &'static str,
    },
    /// Another version of the layout wrote the table.
    Version {
        /// The version found.
        found: u32,
    },
    /// The same version of the layout, built with other sizes.
    Fingerprint,
    /// A file of the namespace is shorter than it must be or otherwise broken.
    Damaged {
        /// Its name in the directory.
        file: &'static str,
    },
    /// As many processes as a namespace can hold are members.
    TooManyProcesses,
    /// The operating system refused something.
    System {
        /// What was tried.
        action: &'static str,
        /// Its answer.
        errno: Errno,
    },
}

impl JoinError {
    pub(crate) fn new(kind: JoinErrorKind) -> JoinError {
        JoinError { kind }
    }

    pub(crate) fn system(action: &'static str) -> impl FnOnce(Errno) -> JoinError {
        move |errno| JoinError {
            kind: JoinErrorKind::System { action, errno },
        }
    }

    /// Which case it is.
    pub fn kind(&self) -> JoinErrorKind {
        self.kind
    }

    /// The errno that a C program gets from its call: `EACCES`, `ENOMEM`, `ENOSPC`, `ENFILE` where one of these says
    /// it, and otherwise `ENOSYS`, as on a kernel without System V IPC.
    pub fn errno(&self) -> Errno {
        match self.kind {
            JoinErrorKind::Foreign { .. } | JoinErrorKind::Writable { .. } => Errno::EACCES,
            JoinErrorKind::TooManyProcesses => Errno::ENOSPC,
            JoinErrorKind::System { errno, .. } => match errno {
                Errno::EACCES | Errno::EPERM | Errno::EROFS => Errno::EACCES,
                Errno::EMFILE | Errno::ENFILE => Errno::ENFILE,
                Errno::ENOMEM | Errno::ENOSPC => errno,
                Errno::EDQUOT => Errno::ENOSPC,
                _ => Errno::ENOSYS,
            },
            _ => Errno::ENOSYS,
        }
    }

    /// The sentence for a person: which directory, what is wrong, what to do.
    pub fn describe<'a>(&'a self, directory: &'a CStr) -> impl fmt::Display + 'a {
        Description { error: self, directory }
    }
}

struct Description<'a> {
    error: &'a JoinError,
    directory: &'a CStr,
}

struct Name<'a>(&'a CStr);

impl fmt::Display for Name<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for chunk in self.0.to_bytes().utf8_chunks() {
            f.write_str(chunk.valid())?;
            if !chunk.invalid().is_empty() {
                f.write_str("\u{fffd}")?;
            }
        }
        Ok(())
    }
}

impl fmt::Display for Description<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let dir = Name(self.directory);
        match self.error.kind {
            JoinErrorKind::Missing => {
                write!(
                    f,
                    "there is no namespace in {dir}; create an object there first, or name another directory"
                )
            }
            JoinErrorKind::Symlink => {
                write!(
                    f,
                    "{dir} is a symbolic link; name the directory itself in SYSV_NAMESPACE or --namespace"
                )
            }
            JoinErrorKind::NotDirectory => {
                write!(f, "{dir} is not a directory; move it away, or name another directory")
            }
            JoinErrorKind::Foreign { owner } => write!(
                f,
                "the namespace {dir} belongs to user {owner} and is private; use one of your own, or have it made for \
                 several users"
            ),
            JoinErrorKind::Writable { mode } => write!(
                f,
                "others may change the namespace directory {dir} (mode {mode:04o}); remove their write permission, or \
                 name another directory"
            ),
            JoinErrorKind::NotOurs { file } => {
                write!(
                    f,
                    "{dir}/{file} is not a file of a namespace; move it away, or name another directory"
                )
            }
            JoinErrorKind::Version { found } => write!(
                f,
                "the namespace {dir} has layout version {found}, and this program knows version {LAYOUT_VERSION}; run its \
                 programs with the sysv that made it, or end them and remove the directory"
            ),
            JoinErrorKind::Fingerprint => write!(
                f,
                "the namespace {dir} has layout version {LAYOUT_VERSION} but was made by a build with other sizes; run its \
                 programs with the sysv that made it, or end them and remove the directory"
            ),
            JoinErrorKind::Damaged { file } => write!(
                f,
                "{dir}/{file} is damaged; end the programs that use the namespace and remove the directory"
            ),
            JoinErrorKind::TooManyProcesses => {
                write!(
                    f,
                    "the namespace {dir} is full: as many processes as it can hold use it; end some, or use another"
                )
            }
            JoinErrorKind::System { action, errno } => {
                let remedy = match errno {
                    Errno::ENOSPC | Errno::EDQUOT => {
                        "; free some space there, or name a directory on another file system"
                    }
                    Errno::ENOMEM => {
                        "; free some memory, or raise the limits on address space and file size (ulimit -v, ulimit -f)"
                    }
                    Errno::EACCES | Errno::EPERM => "; name a directory that you may use",
                    Errno::EROFS => "; name a directory on a writable file system",
                    Errno::EMFILE | Errno::ENFILE => "; raise the limit on open files (ulimit -n)",
                    Errno::ENOENT => "; make the directory that it lies in, or name another",
                    _ => "",
                };
                write!(f, "the namespace {dir} cannot be used: {action}: {errno}{remedy}")
            }
        }
    }
}

impl fmt::Display for JoinError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.describe(c"(its directory)").fmt(f)
    }
}

impl core::error::Error for JoinError {}
