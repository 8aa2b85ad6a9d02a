//! What the dead left: looking at it and clearing it away.

use std::fs::{self, File};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use sysv_engine::remains;

use crate::backend::Backend;
use crate::namespace::terminated;
use crate::report::{own_pid_namespace, process};
use crate::{Errno, Id, Namespace, NamespaceError, Process, ReportError, temporary};

/// What only dead processes hold in a namespace, and how many live there.
///
/// ```
/// let namespace = sysv::TemporaryNamespace::create()?;
/// let remains = sysv::Namespace::remains(namespace.location().directory().unwrap())?;
/// assert_eq!(remains.living, 1); // This process.
/// assert!(remains.dead.is_empty());
/// # Ok::<(), sysv::NamespaceError>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Remains {
    /// How many living processes are members of the namespace.
    pub living: usize,
    /// What only dead ones hold.
    pub dead: Vec<Remnant>,
}

/// Something that only dead processes hold.
///
/// ```
/// use sysv::{Namespace, Remnant};
///
/// # let temporary = sysv::TemporaryNamespace::create()?;
/// # let directory = temporary.location().directory().unwrap();
/// for remnant in Namespace::remains(directory)?.dead {
///     if let Remnant::Segment { id, size } = remnant {
///         println!("{size} bytes of segment {id} come back when somebody sweeps");
///     }
/// }
/// # Ok::<(), sysv::NamespaceError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Remnant {
    /// What the namespace knows of a dead process.
    Process {
        /// The process.
        process: Process,
        /// How many attachments it held.
        attachments: u32,
    },
    /// A removed segment that no living process has attached: its memory waits for somebody to free it.
    Segment {
        /// Its identifier.
        id: Id,
        /// Bytes, as they were asked for.
        size: u64,
    },
    /// An object whose making or removal its process did not live to finish.
    HalfMade {
        /// Where its file would be in the namespace's directory: `shm/<id>`, `sem/<id>` or `msg/<id>`.
        file: PathBuf,
    },
}

impl Namespace {
    /// What only the dead hold in the namespace in a directory. The namespace is looked at and not joined: joining
    /// already clears some of it away.
    ///
    /// # Errors
    /// [`NamespaceError`], if there is none, or one that this process may not use or cannot read.
    ///
    /// ```
    /// # let namespace = sysv::TemporaryNamespace::create()?;
    /// # let directory = namespace.location().directory().unwrap();
    /// assert!(sysv::Namespace::remains(directory)?.dead.is_empty());
    /// # Ok::<(), sysv::NamespaceError>(())
    /// ```
    pub fn remains(directory: impl AsRef<Path>) -> Result<Remains, NamespaceError> {
        let directory = directory.as_ref();
        let own = own_pid_namespace();
        let mut dead = Vec::new();
        let living = remains::remains(&terminated(directory)?, &mut |remnant| {
            dead.push(match *remnant {
                remains::Remnant::Process {
                    pid,
                    pid_namespace,
                    ref command,
                    attachments,
                    ..
                } => Remnant::Process {
                    process: process(pid, pid_namespace, until_nul(command), own),
                    attachments,
                },
                remains::Remnant::Segment { id, size } => Remnant::Segment { id: Id::new(id), size },
                remains::Remnant::HalfMade { directory, id } => Remnant::HalfMade {
                    file: Path::new(directory).join(id.to_string()),
                },
                _ => return,
            });
        });
        let living = living.map_err(|cause| NamespaceError::join(directory, cause))?;
        Ok(Remains { living, dead })
    }

    /// Clears away what only the dead held: their attachments, their debts to semaphores, the memory of removed
    /// segments, and objects that they left half made. Other calls do that too, as far as their answers depend on it.
    ///
    /// The kernel's facility never needs it.
    ///
    /// # Errors
    /// [`ReportError`], if the namespace's files cannot be opened.
    ///
    /// ```
    /// # let namespace = sysv::TemporaryNamespace::create()?;
    /// namespace.sweep()?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn sweep(&self) -> Result<(), ReportError> {
        match self.backend() {
            Backend::Kernel => Ok(()),
            Backend::Engine(engine) => engine.sweep().map_err(|errno| self.report_error(None, errno)),
        }
    }

    /// Whether removed segments wait for their last user to go: if so, a number that changes with every change to a
    /// segment. It costs next to nothing to ask. `None` for the kernel, which waits for nobody.
    ///
    /// ```
    /// use sysv::{Key, NewSegment, Segment};
    /// # let namespace = sysv::TemporaryNamespace::create()?;
    ///
    /// let segment = Segment::create(&namespace, Key::PRIVATE, NewSegment::of_size(100))?;
    /// let memory = segment.attach()?;
    /// assert_eq!(namespace.removed_waiting(), None);
    /// segment.remove()?;
    /// assert!(namespace.removed_waiting().is_some());
    /// drop(memory);
    /// assert_eq!(namespace.removed_waiting(), None);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn removed_waiting(&self) -> Option<u64> {
        match self.backend() {
            Backend::Kernel => None,
            Backend::Engine(engine) => engine.removed_waiting(),
        }
    }

    /// Frees the memory of removed segments that only the dead had attached. Returns the ids of the processes that still
    /// have others attached; `None` stands for one in another pid namespace.
    ///
    /// # Errors
    /// [`ReportError`].
    ///
    /// ```
    /// use sysv::{Key, NewSegment, Segment};
    /// # let namespace = sysv::TemporaryNamespace::create()?;
    ///
    /// let segment = Segment::create(&namespace, Key::PRIVATE, NewSegment::of_size(100))?;
    /// let memory = segment.attach()?;
    /// segment.remove()?;
    /// assert_eq!(namespace.holders_of_removed()?, [Some(std::process::id())]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn holders_of_removed(&self) -> Result<Vec<Option<u32>>, ReportError> {
        let Backend::Engine(engine) = self.backend() else {
            return Ok(Vec::new());
        };
        let own = own_pid_namespace();
        let mut holders = Vec::new();
        let listed = engine.holders_of_removed(&mut |pid, pid_namespace| {
            holders.push((pid_namespace == own).then_some(pid));
        });
        listed.map_err(|errno| self.report_error(None, errno))?;
        holders.sort_unstable();
        holders.dedup();
        Ok(holders)
    }
}

fn until_nul(bytes: &[u8]) -> &[u8] {
    &bytes[..bytes.iter().position(|&b| b == 0).unwrap_or(bytes.len())]
}

/// A temporary namespace whose maker died before it could remove it.
///
/// The proof: a [`TemporaryNamespace`](crate::TemporaryNamespace) makes the process that has it a member, and the kernel
/// tells of each member whether it lives. Of an abandoned one no member does.
///
/// ```
/// for left in sysv::AbandonedNamespace::find()? {
///     println!("{}", left.directory().display());
/// }
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AbandonedNamespace {
    directory: PathBuf,
    above: Option<PathBuf>,
}

impl AbandonedNamespace {
    /// This user's.
    ///
    /// # Errors
    /// When the directory that temporary namespaces are made in cannot be read.
    ///
    /// ```
    /// let mine = sysv::TemporaryNamespace::create()?;
    /// let left = sysv::AbandonedNamespace::find()?;
    /// assert!(left.iter().all(|left| Some(left.directory()) != mine.location().directory()));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn find() -> std::io::Result<Vec<AbandonedNamespace>> {
        // The file system's own user, which is what a directory made here belongs to.
        let user = File::open("/proc/self")?.metadata()?.uid();
        let mut found = Vec::new();
        for entry in fs::read_dir(temporary::base())? {
            let outer = entry?.path();
            let named = outer.file_name().and_then(|name| name.to_str());
            let ours = fs::symlink_metadata(&outer).is_ok_and(|m| m.is_dir() && m.uid() == user);
            if ours && named.is_some_and(|name| temporary::is_name(name, user)) {
                found.extend(AbandonedNamespace::in_directory(outer));
            }
        }
        Ok(found)
    }

    fn in_directory(outer: PathBuf) -> Option<AbandonedNamespace> {
        let left = if outer.join("table").exists() {
            AbandonedNamespace {
                directory: outer,
                above: None,
            }
        } else {
            let inner = fs::read_dir(&outer).ok()?.flatten().next()?.path();
            AbandonedNamespace {
                directory: inner,
                above: Some(outer),
            }
        };
        left.is_abandoned().then_some(left)
    }

    fn is_abandoned(&self) -> bool {
        Namespace::remains(&self.directory).is_ok_and(|remains| remains.living == 0)
    }

    /// The namespace's directory.
    ///
    /// ```
    /// for left in sysv::AbandonedNamespace::find()? {
    ///     assert!(left.directory().is_absolute());
    /// }
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// Removes it with everything in it, unless somebody has joined it meanwhile.
    ///
    /// # Errors
    /// [`NamespaceError`]; `EBUSY` if somebody has joined it.
    ///
    /// ```no_run
    /// for left in sysv::AbandonedNamespace::find()? {
    ///     left.remove()?;
    /// }
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn remove(&self) -> Result<(), NamespaceError> {
        if !self.is_abandoned() {
            return Err(NamespaceError::system(&self.directory, "remove", Errno::EBUSY));
        }
        Namespace::remove(&self.directory)?;
        match self.above.as_deref().map_or(Ok(()), fs::remove_dir) {
            Ok(()) => Ok(()),
            Err(error) => {
                let errno = error.raw_os_error().map_or(Errno::EIO, Errno::from_raw);
                Err(NamespaceError::system(
                    self.above.as_deref().unwrap_or(&self.directory),
                    "remove",
                    errno,
                ))
            }
        }
    }
}
