//! System V IPC as safe Rust: shared memory segments, semaphore sets and message queues, over the kernel's facility or over
//! one in user space that means exactly the same; and locks on files.
//!
//! With the C interface, two processes share a counter like this, and a slip of the pen is undefined behaviour:
//!
//! ```c
//! int id = shmget(42, 4096, IPC_CREAT | 0600);
//! _Atomic uint64_t *counter = shmat(id, NULL, 0);      // or (void *)-1
//! atomic_fetch_add(counter, 1);                        // whatever the segment's size is
//! shmdt(counter);                                      // and nobody touches it afterwards
//! ```
//!
//! With this crate:
//!
//! ```
//! use std::sync::atomic::{AtomicU64, Ordering};
//! use sysv::{Key, Namespace, NewSegment, Segment};
//!
//! # let namespace = sysv::TemporaryNamespace::create()?;
//! # let _ = || -> Result<(), Box<dyn std::error::Error>> {
//! let namespace = Namespace::current()?; // or Namespace::kernel()
//! # Ok(()) };
//! let segment = Segment::open_or_create(&namespace, Key::new(42), NewSegment::of_size(4096))?;
//! let memory = segment.attach()?;
//! memory.atomic::<AtomicU64>(0)?.fetch_add(1, Ordering::Relaxed);
//! # assert_eq!(memory.read::<u64>(0)?, 1);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # What it does
//!
//! - A [`Namespace`] is a directory that holds objects, or the kernel's own facility; everything else works alike on both.
//! - A [`Segment`] is found or made by its [`Key`], changed, removed, and looked at.
//! - An [`Attachment`] is a segment's memory in this process. It is detached when dropped, every access is checked
//!   against the segment's size, and **no safe call can cause undefined behaviour, whatever another process does to the
//!   memory**: there are copies, atomics, and never a reference to bytes that somebody else may write.
//! - A [`SemaphoreSet`] does several [operations](Operation) at once or none, and gives [guards](SemaphoreGuard) that release
//!   what they hold when dropped, and on request also when their process is killed.
//! - A [`LockFile`] locks ranges of a file or of a segment, for readers together or one writer; the system unlocks them when the
//!   holder dies. [It says](LockFile#locks-or-semaphores) when to choose which.
//! - A [`MessageQueue`] moves [messages](Message): bytes, plain values, with the feature `serde` any values; received by
//!   [selection](Selection), one by one or as an iteration, copied or [in place](MessageInPlace).
//! - Whatever may wait can also try, or wait with a timeout.
//! - Each operation has its own error, which names the object and the remedy and converts without loss to the errno
//!   that C programs get, and to [`std::io::Error`].
//! - [`Namespace::report`] shows every segment and [`Segment::attachments`] every process that holds one;
//!   [`Namespace::snapshot`] shows all kinds of objects, with the processes that have to do with each.
//!
//! Unmodified C programs under `sysv run` or with `libsysv.so` preloaded share the same objects.
//!
//! # What it does not do
//!
//! - It does not order accesses for you: whoever writes and whoever reads agree through an atomic, a semaphore or a lock.
//! - It does not remove objects behind your back: System V objects outlive processes. [`TemporarySegment`],
//!   [`TemporarySemaphoreSet`], [`TemporaryMessageQueue`] and [`TemporaryNamespace`] are for those that should not.
//! - It does not hide signals: a wait that a handler interrupted is over, as an error that says so. Whoever has nothing to do
//!   about it waits anew.
//! - It is not for signal handlers, as nothing is that does not say so: a call from a handler fails with `EDEADLK` if it has
//!   interrupted another one. A handler that leaves another call by `longjmp`, from C, leaves its lock held.
//! - The kernel cannot wait for messages or file locks with a timeout. There one looks again and again, soon every 16 ms.
//! - It knows nothing of copies that `fork` makes of guards: let the child forget them.
//! - It offers no `SHM_REMAP` and no `SHM_EXEC`: replacing what is mapped, or running what others can write, is not safe.
//! - x86-64 Linux with the GNU C library only.

mod access;
mod atomic;
mod attachment;
mod backend;
mod claims;
mod creation;
mod error;
mod file_lock;
mod handle;
mod id;
mod kernel_proc;
mod key;
mod limits;
mod mapping;
mod memory;
mod mode;
mod namespace;
mod patience;
mod processes;
mod queue;
mod remains;
mod report;
mod segment;
mod semaphore;
mod snapshot;
mod stat;
mod temporary;

pub use access::{Access, ReadOnly, ReadWrite};
pub use atomic::Atomic;
pub use attachment::Attachment;
pub use creation::{Intent, NewSegment};
pub use error::{
    AccessError, AttachError, CapacityError, FileLockError, GetError, LimitsError, Location, LockError, LockedFile,
    Mechanism, Name, NamespaceError, ObjectName, OperateError, Ownership, PayloadError, QueueGetError, ReceiveError,
    RemoveError, ReportError, SemaphoreGetError, SendError, SetError, StatError, ValueError,
};
pub use file_lock::{FileLockGuard, LockFile, LockKind};
pub use id::Id;
pub use key::{Key, KeyError, ParseKeyError};
pub use limits::{Limits, Usage};
pub use mode::{Mode, ParseModeError, Permissions};
pub use namespace::{Members, Namespace};
pub use processes::Whereabouts;
pub use queue::{
    Message, MessageInPlace, MessageQueue, MessageQueueStat, Messages, NewMessageQueue, Request, Selection,
};
pub use remains::{AbandonedNamespace, Remains, Remnant};
pub use report::{AttachmentReport, Process, SegmentReport};
pub use segment::{Address, Segment};
pub use semaphore::{Hold, NewSemaphoreSet, Operation, SemaphoreGuard, SemaphoreSet, SemaphoreSetStat};
pub use snapshot::{Contents, Filter, Object, Order, Party, Role, Semaphore, Snapshot, State, WaitingMessage};
pub use stat::Stat;
pub use temporary::{TemporaryMessageQueue, TemporaryNamespace, TemporarySegment, TemporarySemaphoreSet};

/// The traits that say which values may be read from and written to shared bytes.
#[doc(no_inline)]
pub use bytemuck::{AnyBitPattern, NoUninit};
/// What a C program gets in `errno`, which every error of this crate converts to.
#[doc(no_inline)]
pub use sysv_engine::Errno;
