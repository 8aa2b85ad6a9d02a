//! Where objects live: the kernel, or a directory.

use std::ffi::{CString, OsStr};
use std::fmt;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use sysv_engine::namespace::{Join, default_directory};
use sysv_engine::{Engine, Errno};

use crate::backend::Backend;
use crate::{Location, NamespaceError};

/// A facility that holds objects: one of ours, which is a directory, or the kernel's.
///
/// Whoever opens the same directory has the same objects; that is the whole of what two processes or two containers
/// need to share them. A clone is the same namespace.
///
/// ```
/// use sysv::{Key, Namespace, NewSegment, Segment};
///
/// # let temporary = sysv::TemporaryNamespace::create()?;
/// # let directory = temporary.location().directory().unwrap().join("inner");
/// let namespace = Namespace::create(&directory, sysv::Members::OneUser)?;
/// let segment = Segment::create(&namespace, Key::new(42), NewSegment::of_size(100))?;
///
/// // Elsewhere:
/// let namespace = Namespace::open(&directory)?;
/// assert_eq!(Segment::open(&namespace, Key::new(42))?.id(), segment.id());
/// # Namespace::remove(&directory)?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct Namespace {
    shared: Arc<Shared>,
}

struct Shared {
    backend: Backend,
    location: Location,
}

/// Who may use a new namespace.
///
/// ```
/// # let temporary = sysv::TemporaryNamespace::create()?;
/// # let directory = temporary.location().directory().unwrap().join("inner");
/// let namespace = sysv::Namespace::create(&directory, sysv::Members::SeveralUsers)?;
/// # sysv::Namespace::remove(&directory)?;
/// # Ok::<(), sysv::NamespaceError>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Members {
    /// The user who makes it and root. Nobody else can enter the directory (mode 0700).
    #[default]
    OneUser,
    /// Whoever knows the directory's name and may pass the directories above it (mode 0711). The objects' own
    /// permissions say who may read, write, change and remove them; but members can see each other's objects and
    /// disturb the namespace's names and counts.
    SeveralUsers,
}

impl From<Members> for Join {
    fn from(members: Members) -> Join {
        match members {
            Members::OneUser => Join::Create,
            Members::SeveralUsers => Join::CreateShared,
        }
    }
}

/// The environment variable that names a process's namespace.
const VARIABLE: &str = "SYSV_NAMESPACE";

impl Namespace {
    /// The namespace that a program uses which was told nothing else: the directory that the environment variable
    /// `SYSV_NAMESPACE` names, as under `sysv run`, or else `/dev/shm/sysv-<uid>`. It is made if need be.
    ///
    /// Root's default is a directory with an unguessable name below `/dev/shm/sysv-0`, so that programs which start as
    /// root and go on as another user can pass on the way to objects they may use, and nobody else can.
    ///
    /// # Errors
    /// [`NamespaceError`].
    ///
    /// ```
    /// # use std::process::Command;
    /// # let private = sysv::TemporaryNamespace::create()?;
    /// # if std::env::var_os("SYSV_NAMESPACE").is_none() {
    /// #     let mut again = Command::new(std::env::current_exe()?);
    /// #     let again = again.env("SYSV_NAMESPACE", private.location().directory().unwrap()).status()?;
    /// #     assert!(again.success());
    /// #     return Ok(());
    /// # }
    /// let namespace = sysv::Namespace::current()?;
    /// println!("this process uses {}", namespace.location());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn current() -> Result<Namespace, NamespaceError> {
        let (path, told) = Namespace::current_place()?;
        if told {
            return Namespace::create(path, Members::OneUser);
        }
        // Nobody but root can name root's default, which must serve those that root's programs become.
        let members = if path.starts_with("/dev/shm/sysv-0") {
            Members::SeveralUsers
        } else {
            Members::OneUser
        };
        Namespace::create(path, members)
    }

    /// The directory of [`current`](Namespace::current), which is not joined and need not exist.
    ///
    /// # Errors
    /// [`NamespaceError`], where root's default cannot be looked up.
    ///
    /// ```no_run
    /// let directory = sysv::Namespace::current_directory()?;
    /// println!("there is one: {}", directory.join("table").exists());
    /// # Ok::<(), sysv::NamespaceError>(())
    /// ```
    pub fn current_directory() -> Result<PathBuf, NamespaceError> {
        Namespace::current_place().map(|(path, _)| path)
    }

    /// The directory, and whether the environment names it.
    fn current_place() -> Result<(PathBuf, bool), NamespaceError> {
        if let Some(told) = std::env::var_os(VARIABLE).filter(|told| !told.is_empty()) {
            return Ok((told.into(), true));
        }
        let path = default_directory().map_err(|cause| NamespaceError::join(Path::new("/dev/shm"), cause))?;
        Ok((OsStr::from_bytes(path.as_bytes()).into(), false))
    }

    /// The namespace in a directory.
    ///
    /// # Errors
    /// [`NamespaceError`], if there is none, or one that this process may not use or cannot read.
    ///
    /// ```
    /// # let namespace = sysv::TemporaryNamespace::create()?;
    /// # let directory = namespace.location().directory().unwrap();
    /// let namespace = sysv::Namespace::open(directory)?;
    /// # Ok::<(), sysv::NamespaceError>(())
    /// ```
    pub fn open(directory: impl AsRef<Path>) -> Result<Namespace, NamespaceError> {
        Namespace::join(directory.as_ref(), Join::Existing)
    }

    /// The namespace in a directory, both made if need be. One that exists stays as it is, whomever it is for.
    ///
    /// The directory above must exist. Shared memory belongs on a file system that keeps it in memory, such as
    /// `/dev/shm`; on a disk it works too, persists, and costs writing it out.
    ///
    /// # Errors
    /// [`NamespaceError`].
    ///
    /// ```
    /// use sysv::{Members, Namespace};
    ///
    /// # let temporary = sysv::TemporaryNamespace::create()?;
    /// # let directory = temporary.location().directory().unwrap().join("inner");
    /// let namespace = Namespace::create(&directory, Members::OneUser)?;
    /// assert_eq!(namespace.location().directory(), Some(directory.as_path()));
    /// # Namespace::remove(&directory)?;
    /// # Ok::<(), sysv::NamespaceError>(())
    /// ```
    pub fn create(directory: impl AsRef<Path>, members: Members) -> Result<Namespace, NamespaceError> {
        Namespace::join(directory.as_ref(), members.into())
    }

    /// Removes a namespace with all its objects, and its directory if nothing else is in it.
    ///
    /// Processes that have segments attached keep that memory; they can do nothing else there any more.
    ///
    /// # Errors
    /// [`NamespaceError`], if there is none or it belongs to somebody else.
    ///
    /// ```
    /// use sysv::{Members, Namespace};
    ///
    /// # let temporary = sysv::TemporaryNamespace::create()?;
    /// # let directory = temporary.location().directory().unwrap().join("inner");
    /// Namespace::create(&directory, Members::OneUser)?;
    /// Namespace::remove(&directory)?;
    /// assert!(!directory.exists());
    /// # Ok::<(), sysv::NamespaceError>(())
    /// ```
    pub fn remove(directory: impl AsRef<Path>) -> Result<(), NamespaceError> {
        let directory = directory.as_ref();
        sysv_engine::namespace::remove(&terminated(directory)?).map_err(|cause| NamespaceError::join(directory, cause))
    }

    /// The kernel's own facility, which every process has that this library knows nothing about.
    ///
    /// ```
    /// use sysv::{Key, Namespace, NewSegment, Segment};
    ///
    /// let kernel = Namespace::kernel();
    /// let segment = Segment::create(&kernel, Key::PRIVATE, NewSegment::of_size(100))?.into_temporary();
    /// println!("`ipcs -m` lists it as {}", segment.id());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn kernel() -> Namespace {
        Namespace {
            shared: Arc::new(Shared {
                backend: Backend::Kernel,
                location: Location::Kernel,
            }),
        }
    }

    /// Where this is.
    ///
    /// ```
    /// # let namespace = sysv::TemporaryNamespace::create()?;
    /// if let Some(directory) = namespace.location().directory() {
    ///     println!("set SYSV_NAMESPACE={} for others to join", directory.display());
    /// }
    /// # Ok::<(), sysv::NamespaceError>(())
    /// ```
    pub fn location(&self) -> &Location {
        &self.shared.location
    }

    pub(crate) fn backend(&self) -> &Backend {
        &self.shared.backend
    }

    fn join(directory: &Path, how: Join) -> Result<Namespace, NamespaceError> {
        // Nothing here is async-signal-safe, and Rust's handlers may call only what is.
        sysv_engine::signals::handlers_keep_out();
        let engine =
            Engine::join(&terminated(directory)?, how).map_err(|cause| NamespaceError::join(directory, cause))?;
        let location = Location::of_directory(PathBuf::from(OsStr::from_bytes(engine.directory().to_bytes())));
        Ok(Namespace {
            shared: Arc::new(Shared {
                backend: Backend::Engine(engine),
                location,
            }),
        })
    }
}

pub(crate) fn terminated(directory: &Path) -> Result<CString, NamespaceError> {
    CString::new(directory.as_os_str().as_bytes()).map_err(|_| NamespaceError::system(directory, "name", Errno::EINVAL))
}

impl fmt::Debug for Namespace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Namespace({})", self.location())
    }
}
