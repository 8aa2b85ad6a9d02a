//! Locks on files and on parts of them.

mod record;

use std::fmt;
use std::fs::{File, OpenOptions};
use std::io;
use std::ops::RangeBounds;
use std::os::fd::AsRawFd;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use record::Record;

use crate::handle::Handle;
use crate::patience::look;
use crate::{AttachError, Errno, FileLockError, LockedFile, Segment};

/// A file that can be locked, wholly or in parts: any file, or a segment's.
///
/// Locks are advisory: they keep out who locks, and nobody else. They go with the guard, and if the process dies before
/// it drops that, however it dies, the system releases them at once; nothing need be undone. Nobody is told, though, that
/// the dead may have left work half done.
///
/// # Locks or semaphores
/// | | file locks | [semaphores](crate::SemaphoreSet) |
/// |---|---|---|
/// | the holder is killed | released at once | released with undo, some tens of milliseconds later at most |
/// | several may hold it | readers together, or one writer | as many as there are units |
/// | what they are for | any range of bytes of any file | whatever you agree on |
/// | several at once, all or none | no: lock in an agreed order, nothing detects deadlock | yes |
/// | taken by one, released by another | no | yes |
/// | taken and released, nobody waiting | two system calls | none, in a namespace |
/// | wait with timeout | by looking up to 60 times a second | by the system |
/// | other programs | all that use `fcntl` locks | all that use System V semaphores |
///
/// So: a semaphore, with undo, to take turns often and briefly; a file lock for what must be right first of all when
/// somebody dies, for readers that should not keep each other out, and for parts of something large.
///
/// # Which of Linux's locks
/// Locks of the open file description (`F_OFD_SETLK`, fcntl(2)), because the others have traps. Of a process's traditional
/// `fcntl` locks *all* on a file go as soon as *any* part of the program closes *any* descriptor of it, and they do not
/// keep its threads apart; `flock` knows no ranges, and on network file systems turns into the former. These are kept apart
/// even within one process: each `LockFile` is a party of its own. All three kinds but `flock`'s see each other.
///
/// A party holds one lock at a time, which the compiler sees to; [`reopen`](LockFile::reopen) makes another party, for
/// another thread or a second range. A child that is forked, and does not execute another program, has a copy of the same
/// party: the lock lasts until both are gone, and is released for both if either drops its guard.
///
/// ```
/// use sysv::{Key, LockKind, NewSegment, Segment};
/// # let namespace = sysv::TemporaryNamespace::create()?;
///
/// let accounts = Segment::create(&namespace, Key::new(42), NewSegment::of_size(4096))?;
/// let memory = accounts.attach()?;
/// let mut file = accounts.lock_file()?;
/// {
///     // The second account; others work on the rest meanwhile.
///     let _locked = file.lock(LockKind::Exclusive, 8..16)?;
///     let balance = memory.read::<u64>(8)?;
///     memory.write(8, &(balance + 1))?;
/// }
/// # assert_eq!(memory.read::<u64>(8)?, 1);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[doc(alias = "flock")]
#[doc(alias = "lockf")]
#[derive(Debug)]
pub struct LockFile {
    file: File,
    name: LockedFile,
}

/// Whether others may hold a lock on the same bytes.
///
/// ```
/// use sysv::{LockFile, LockKind};
/// # let namespace = sysv::TemporaryNamespace::create()?;
/// # let path = namespace.location().directory().unwrap().join("table");
///
/// let (mut one, mut two) = (LockFile::open(&path)?, LockFile::open(&path)?);
/// let reading = one.lock(LockKind::Shared, ..)?;
/// assert!(two.try_lock(LockKind::Shared, ..).is_ok());
/// assert!(two.try_lock(LockKind::Exclusive, ..).is_err());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum LockKind {
    /// Others may hold shared locks too. The file must be open for reading.
    #[doc(alias = "F_RDLCK")]
    Shared,
    /// Nobody else may hold any. The file must be open for writing.
    #[doc(alias = "F_WRLCK")]
    Exclusive,
}

impl LockFile {
    /// Opens an existing file for locking it: for reading and writing, or only for reading if the process may not write
    /// it; then shared locks can be had.
    ///
    /// # Errors
    /// [`FileLockError::Open`].
    ///
    /// ```
    /// use sysv::{LockFile, LockKind};
    /// # let namespace = sysv::TemporaryNamespace::create()?;
    /// # let path = namespace.location().directory().unwrap().join("a file");
    ///
    /// std::fs::write(&path, "one at a time")?;
    /// let mut file = LockFile::open(&path)?;
    /// let guard = file.lock(LockKind::Exclusive, ..)?;
    /// # drop(guard);
    /// # std::fs::remove_file(path)?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn open(path: impl AsRef<Path>) -> Result<LockFile, FileLockError> {
        let path = path.as_ref();
        LockFile::open_as(path, LockedFile::Path(path.to_owned()), 0)
    }

    /// A file that is open already. No other descriptor of it may have come about by `dup` or `fork`: all of them would be
    /// the same party.
    ///
    /// ```
    /// use sysv::{LockFile, LockKind};
    /// # let namespace = sysv::TemporaryNamespace::create()?;
    /// # let path = namespace.location().directory().unwrap().join("a file");
    ///
    /// let mut file = LockFile::from_file(std::fs::File::create(&path)?);
    /// let guard = file.lock(LockKind::Exclusive, ..)?;
    /// # drop(guard);
    /// # std::fs::remove_file(path)?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn from_file(file: File) -> LockFile {
        let name = LockedFile::Path(descriptor_path(&file));
        LockFile { file, name }
    }

    /// The same file once more, as another party: for another thread, or to lock a second range meanwhile.
    ///
    /// # Errors
    /// [`FileLockError::Open`]: the file's permissions forbid it by now, or `/proc` is not mounted.
    ///
    /// ```
    /// use sysv::{LockFile, LockKind};
    /// # let namespace = sysv::TemporaryNamespace::create()?;
    /// # let path = namespace.location().directory().unwrap().join("table");
    ///
    /// let mut file = LockFile::open(&path)?;
    /// let mut again = file.reopen()?;
    /// let (low, high) = (file.lock(LockKind::Exclusive, ..8)?, again.lock(LockKind::Exclusive, 8..)?);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn reopen(&self) -> Result<LockFile, FileLockError> {
        LockFile::open_as(&descriptor_path(&self.file), self.name.clone(), 0)
    }

    /// Locks the bytes in the range, `..` for the whole file however long it gets; waits until nobody else's lock stands
    /// in the way. The bytes need not exist.
    ///
    /// # Errors
    /// [`FileLockError`].
    ///
    /// ```
    /// use sysv::{LockFile, LockKind};
    /// # let namespace = sysv::TemporaryNamespace::create()?;
    /// # let path = namespace.location().directory().unwrap().join("table");
    ///
    /// let mut file = LockFile::open(&path)?;
    /// let guard = file.lock(LockKind::Shared, 0..100)?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[doc(alias = "F_OFD_SETLKW")]
    pub fn lock(&mut self, kind: LockKind, range: impl RangeBounds<u64>) -> Result<FileLockGuard<'_>, FileLockError> {
        let record = self.record(&range)?;
        match record.lock(&self.file, kind, true) {
            Ok(()) => Ok(FileLockGuard::new(self, record, kind)),
            Err(errno) => Err(self.explain(kind, errno)),
        }
    }

    /// Locks the bytes in the range if nobody else's lock stands in the way now.
    ///
    /// # Errors
    /// [`FileLockError::WouldBlock`] if one does, and what else may forbid it.
    ///
    /// ```
    /// use sysv::{FileLockError, LockFile, LockKind};
    /// # let namespace = sysv::TemporaryNamespace::create()?;
    /// # let path = namespace.location().directory().unwrap().join("table");
    ///
    /// let (mut one, mut two) = (LockFile::open(&path)?, LockFile::open(&path)?);
    /// let guard = one.try_lock(LockKind::Exclusive, 0..8)?;
    /// let late = two.try_lock(LockKind::Shared, 7..9);
    /// assert!(matches!(late, Err(FileLockError::WouldBlock { .. })));
    /// # drop(late);
    /// assert!(two.try_lock(LockKind::Shared, 8..9).is_ok());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[doc(alias = "F_OFD_SETLK")]
    pub fn try_lock(
        &mut self,
        kind: LockKind,
        range: impl RangeBounds<u64>,
    ) -> Result<FileLockGuard<'_>, FileLockError> {
        let record = self.record(&range)?;
        match record.lock(&self.file, kind, false) {
            Ok(()) => Ok(FileLockGuard::new(self, record, kind)),
            Err(errno) => Err(self.explain(kind, errno)),
        }
    }

    /// Locks the bytes in the range; waits for as long as the timeout says until nobody else's lock stands in the way.
    ///
    /// Linux has no timed wait for these locks. So this looks again and again, after 0.1 ms at first and every 16 ms soon:
    /// that costs next to nothing, but who waits with [`lock`](LockFile::lock) is told first and may come in between.
    ///
    /// # Errors
    /// [`FileLockError::TimedOut`], and what else may forbid it.
    ///
    /// ```
    /// use std::time::Duration;
    /// use sysv::{FileLockError, LockFile, LockKind};
    /// # let namespace = sysv::TemporaryNamespace::create()?;
    /// # let path = namespace.location().directory().unwrap().join("table");
    ///
    /// let (mut one, mut two) = (LockFile::open(&path)?, LockFile::open(&path)?);
    /// let guard = one.lock(LockKind::Exclusive, ..)?;
    /// let late = two.lock_timeout(LockKind::Exclusive, .., Duration::from_millis(10));
    /// assert!(matches!(late, Err(FileLockError::TimedOut { .. })));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn lock_timeout(
        &mut self,
        kind: LockKind,
        range: impl RangeBounds<u64>,
        timeout: Duration,
    ) -> Result<FileLockGuard<'_>, FileLockError> {
        let record = self.record(&range)?;
        let attempt = || match record.lock(&self.file, kind, false) {
            // fcntl(2) may say either.
            Err(Errno::EACCES) => Err(Errno::EAGAIN),
            done => done,
        };
        match look(timeout, Errno::EAGAIN, attempt) {
            Ok(()) => Ok(FileLockGuard::new(self, record, kind)),
            Err(Errno::EAGAIN) => Err(FileLockError::TimedOut {
                file: self.name.clone(),
                timeout,
            }),
            Err(errno) => Err(self.explain(kind, errno)),
        }
    }

    fn open_as(path: &Path, name: LockedFile, flags: i32) -> Result<LockFile, FileLockError> {
        let open = |write| {
            OpenOptions::new()
                .read(true)
                .write(write)
                .custom_flags(flags)
                .open(path)
        };
        let opened = open(true).or_else(|error| match error.kind() {
            io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => open(false),
            _ => Err(error),
        });
        match opened {
            Ok(file) => Ok(LockFile { file, name }),
            Err(error) => Err(FileLockError::Open {
                file: name,
                errno: error.raw_os_error().map_or(Errno::EINVAL, Errno::from_raw),
            }),
        }
    }

    fn record(&self, range: &impl RangeBounds<u64>) -> Result<Record, FileLockError> {
        Record::of(range).ok_or_else(|| FileLockError::Range {
            file: self.name.clone(),
        })
    }

    fn explain(&self, kind: LockKind, errno: Errno) -> FileLockError {
        let file = self.name.clone();
        match errno {
            Errno::EAGAIN | Errno::EACCES => FileLockError::WouldBlock { file },
            Errno::EINTR => FileLockError::Interrupted { file },
            Errno::EBADF => FileLockError::NotOpenFor { file, kind },
            _ => FileLockError::Other { file, errno },
        }
    }
}

/// A locked range, unlocked when this is dropped.
///
/// ```
/// use sysv::{LockFile, LockKind};
/// # let namespace = sysv::TemporaryNamespace::create()?;
/// # let path = namespace.location().directory().unwrap().join("table");
///
/// let (mut one, mut two) = (LockFile::open(&path)?, LockFile::open(&path)?);
/// let guard = one.lock(LockKind::Exclusive, ..)?;
/// assert_eq!(guard.kind(), LockKind::Exclusive);
/// drop(guard);
/// assert!(two.try_lock(LockKind::Exclusive, ..).is_ok());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[must_use = "the range is unlocked at once if the guard is not kept"]
pub struct FileLockGuard<'f> {
    file: &'f mut LockFile,
    record: Record,
    kind: LockKind,
}

impl<'f> FileLockGuard<'f> {
    fn new(file: &'f mut LockFile, record: Record, kind: LockKind) -> FileLockGuard<'f> {
        FileLockGuard { file, record, kind }
    }

    /// Whether others may hold locks on the range too.
    ///
    /// ```
    /// # let namespace = sysv::TemporaryNamespace::create()?;
    /// # let path = namespace.location().directory().unwrap().join("table");
    /// let mut file = sysv::LockFile::open(&path)?;
    /// assert_eq!(file.lock(sysv::LockKind::Shared, ..)?.kind(), sysv::LockKind::Shared);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn kind(&self) -> LockKind {
        self.kind
    }
}

impl Drop for FileLockGuard<'_> {
    fn drop(&mut self) {
        // Unlocking what is locked fails only where the system has no memory to split a lock in two, and a party has one.
        let _ = self.record.unlock(&self.file.file);
    }
}

impl fmt::Debug for FileLockGuard<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FileLockGuard")
            .field("file", &self.file.name)
            .field("range", &self.record)
            .field("kind", &self.kind)
            .finish()
    }
}

impl Segment {
    /// The segment's file, for locking ranges of it: an offset into the file is one into the segment. Each call gives
    /// another party.
    ///
    /// # Errors
    /// [`FileLockError::NoFile`] on the kernel's facility, whose segments have none that could be opened: lock a file that
    /// all know, or use a [`SemaphoreSet`](crate::SemaphoreSet). [`FileLockError::Attach`] or [`FileLockError::Open`] if
    /// the segment is gone or may not be used.
    ///
    /// ```
    /// use sysv::{FileLockError, Key, LockKind, Namespace, NewSegment, Segment};
    /// # let namespace = sysv::TemporaryNamespace::create()?;
    ///
    /// let segment = Segment::create(&namespace, Key::PRIVATE, NewSegment::of_size(4096))?;
    /// let mut file = segment.lock_file()?;
    /// let guard = file.lock(LockKind::Exclusive, 0..64)?;
    ///
    /// let other = Segment::create(&Namespace::kernel(), Key::PRIVATE, NewSegment::of_size(4096))?.into_temporary();
    /// assert!(matches!(other.lock_file(), Err(FileLockError::NoFile { .. })));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn lock_file(&self) -> Result<LockFile, FileLockError> {
        let segment = self.name();
        let Some(directory) = self.namespace().location().directory() else {
            return Err(FileLockError::NoFile { segment });
        };
        // The first attachment makes the file, and while one lasts nobody removes it.
        let refused = |error| FileLockError::Attach { error: Box::new(error) };
        let writing = self.attach();
        let reading = match &writing {
            Ok(_) => None,
            Err(AttachError::Denied { .. }) => Some(self.attach_read_only().map_err(refused)?),
            Err(error) => return Err(refused(error.clone())),
        };
        let path = directory.join("shm").join(self.id().to_string());
        let file = LockFile::open_as(&path, LockedFile::Segment(segment), libc::O_NOFOLLOW);
        drop((writing, reading));
        file
    }
}

/// A name for the same file that opens it anew.
fn descriptor_path(file: &File) -> PathBuf {
    format!("/proc/self/fd/{}", file.as_raw_fd()).into()
}
