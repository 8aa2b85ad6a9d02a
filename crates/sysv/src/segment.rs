//! Segments: finding, creating, attaching, changing, removing.

use std::fmt;

use sysv_engine::abi::{IpcPerm, PAGE_SIZE, SHM_RND, ShmidDs};
use sysv_engine::{Segments, StatBy};

use crate::error::{Mechanism, ObjectName};
use crate::handle::Handle;
use crate::mapping::Mapping;
use crate::{
    Access, AttachError, Attachment, Errno, GetError, Id, Intent, Key, LockError, Namespace, NewSegment, Permissions,
    ReadOnly, ReadWrite, RemoveError, SetError, Stat, StatError, TemporarySegment,
};

/// A shared memory segment, by its identifier.
///
/// A segment outlives the processes that use it: dropping this handle does nothing to it. It goes when it is
/// [removed](Segment::remove) and nobody has it attached any more. For one that should go with its creator there is
/// [`TemporarySegment`].
///
/// ```
/// use sysv::{Key, NewSegment, Segment};
/// # let namespace = sysv::TemporaryNamespace::create()?;
///
/// let segment = Segment::create(&namespace, Key::new(42), NewSegment::of_size(4096))?;
/// segment.attach()?.copy_in(0, b"to whom it may concern")?;
///
/// let found = Segment::open(&namespace, Key::new(42))?;
/// assert_eq!(found.attach_read_only()?.to_vec(0..7)?, b"to whom");
/// found.remove()?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[doc(alias = "shm")]
#[derive(Clone)]
pub struct Segment {
    namespace: Namespace,
    id: Id,
}

/// Where [`Segment::attach_at`] should map the memory.
///
/// ```
/// use sysv::{Address, Key, NewSegment, Segment};
/// # let namespace = sysv::TemporaryNamespace::create()?;
///
/// let segment = Segment::create(&namespace, Key::PRIVATE, NewSegment::of_size(4096))?;
/// // An address that was free a moment ago is as good as any.
/// let free = segment.attach()?.as_ptr().addr().get();
/// let memory = segment.attach_at(Address::RoundedDown(free + 123))?;
/// assert_eq!(memory.as_ptr().addr().get(), free);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Address {
    /// Where there is room.
    #[default]
    Any,
    /// Here, a page's address, and nowhere else. What is mapped already is never replaced.
    Exact(usize),
    /// At the beginning of the page with this address.
    #[doc(alias = "SHM_RND")]
    RoundedDown(usize),
}

impl Segment {
    /// Finds or makes the segment with the key, as the intent says: shmget(2) as it is.
    ///
    /// # Errors
    /// [`GetError`].
    ///
    /// ```
    /// use sysv::{Intent, Key, NewSegment, Segment};
    /// # let namespace = sysv::TemporaryNamespace::create()?;
    ///
    /// let new = NewSegment::of_size(100);
    /// let segment = Segment::get(&namespace, Key::new(42), Intent::Create(new))?;
    /// let same = Segment::get(&namespace, Key::new(42), Intent::Open { at_least: 50 })?;
    /// assert_eq!(segment.id(), same.id());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[doc(alias = "shmget")]
    pub fn get(namespace: &Namespace, key: Key, intent: Intent) -> Result<Segment, GetError> {
        let (size, flags) = intent.arguments();
        match namespace.backend().segments().shmget(key.get(), size, flags) {
            Ok(id) => Ok(Segment::from_id(namespace, Id::new(id))),
            Err(errno) => Err(explain_get(namespace, key, &intent, errno)),
        }
    }

    /// The segment that has the key, whatever its size.
    ///
    /// # Errors
    /// [`GetError::NotFound`], [`GetError::Denied`].
    ///
    /// ```
    /// use sysv::{Key, NewSegment, Segment};
    /// # let namespace = sysv::TemporaryNamespace::create()?;
    ///
    /// assert!(Segment::open(&namespace, Key::new(42)).is_err());
    /// Segment::create(&namespace, Key::new(42), NewSegment::of_size(100))?;
    /// assert!(Segment::open(&namespace, Key::new(42)).is_ok());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn open(namespace: &Namespace, key: Key) -> Result<Segment, GetError> {
        if key.is_private() {
            // shmget(2) would make a segment.
            return Err(GetError::NotFound {
                segment: ObjectName::by_key(Mechanism::Segment, key, namespace.location()),
            });
        }
        Segment::get(namespace, key, Intent::Open { at_least: 0 })
    }

    /// A new segment. It reads as zeros.
    ///
    /// # Errors
    /// [`GetError::Exists`] if the key is taken, and what else may forbid it.
    ///
    /// ```
    /// use sysv::{GetError, Key, NewSegment, Segment};
    /// # let namespace = sysv::TemporaryNamespace::create()?;
    ///
    /// Segment::create(&namespace, Key::new(42), NewSegment::of_size(100))?;
    /// let again = Segment::create(&namespace, Key::new(42), NewSegment::of_size(100));
    /// assert!(matches!(again, Err(GetError::Exists { .. })));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn create(namespace: &Namespace, key: Key, new: NewSegment) -> Result<Segment, GetError> {
        Segment::get(namespace, key, Intent::Create(new))
    }

    /// The segment that has the key, or else a new one.
    ///
    /// # Errors
    /// [`GetError::TooSmall`] if it exists with fewer bytes, and what else may forbid it.
    ///
    /// ```
    /// use sysv::{Key, NewSegment, Segment};
    /// # let namespace = sysv::TemporaryNamespace::create()?;
    ///
    /// let one = Segment::open_or_create(&namespace, Key::new(42), NewSegment::of_size(100))?;
    /// let two = Segment::open_or_create(&namespace, Key::new(42), NewSegment::of_size(100))?;
    /// assert_eq!(one.id(), two.id());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn open_or_create(namespace: &Namespace, key: Key, new: NewSegment) -> Result<Segment, GetError> {
        Segment::get(namespace, key, Intent::OpenOrCreate(new))
    }

    /// The segment with an identifier that somebody told us. Whether it exists shows at its first use.
    ///
    /// ```
    /// use sysv::{Id, Key, NewSegment, Segment};
    /// # let namespace = sysv::TemporaryNamespace::create()?;
    ///
    /// let told: i32 = Segment::create(&namespace, Key::PRIVATE, NewSegment::of_size(100))?.id().get();
    /// assert_eq!(Segment::from_id(&namespace, Id::new(told)).stat()?.size, 100);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn from_id(namespace: &Namespace, id: Id) -> Segment {
        Segment {
            namespace: namespace.clone(),
            id,
        }
    }

    /// The segment's identifier.
    ///
    /// ```
    /// # let namespace = sysv::TemporaryNamespace::create()?;
    /// # let segment = sysv::Segment::create(&namespace, sysv::Key::PRIVATE, sysv::NewSegment::of_size(8))?;
    /// println!("ask `sysv show {}` about it", segment.id());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn id(&self) -> Id {
        self.id
    }

    /// The segment's namespace.
    ///
    /// ```
    /// # let namespace = sysv::TemporaryNamespace::create()?;
    /// # let segment = sysv::Segment::create(&namespace, sysv::Key::PRIVATE, sysv::NewSegment::of_size(8))?;
    /// assert_eq!(segment.namespace().location(), namespace.location());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn namespace(&self) -> &Namespace {
        &self.namespace
    }

    /// Attaches the segment for reading and writing, where there is room.
    ///
    /// # Errors
    /// [`AttachError`].
    ///
    /// ```
    /// # let namespace = sysv::TemporaryNamespace::create()?;
    /// # let segment = sysv::Segment::create(&namespace, sysv::Key::PRIVATE, sysv::NewSegment::of_size(8))?;
    /// let memory = segment.attach()?;
    /// memory.write(0, &42u64)?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[doc(alias = "shmat")]
    pub fn attach(&self) -> Result<Attachment<ReadWrite>, AttachError> {
        self.attach_at(Address::Any)
    }

    /// Attaches the segment for reading, where there is room. Read permission is enough.
    ///
    /// # Errors
    /// [`AttachError`].
    ///
    /// ```
    /// # let namespace = sysv::TemporaryNamespace::create()?;
    /// # let segment = sysv::Segment::create(&namespace, sysv::Key::PRIVATE, sysv::NewSegment::of_size(8))?;
    /// assert_eq!(segment.attach_read_only()?.read::<u64>(0)?, 0);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[doc(alias = "SHM_RDONLY")]
    pub fn attach_read_only(&self) -> Result<Attachment<ReadOnly>, AttachError> {
        self.attach_read_only_at(Address::Any)
    }

    /// Attaches the segment for reading and writing at an address.
    ///
    /// # Errors
    /// [`AttachError::Occupied`] or [`AttachError::Misaligned`] for an address that will not do, and what else may
    /// forbid it.
    ///
    /// ```
    /// use sysv::{Address, AttachError};
    /// # let namespace = sysv::TemporaryNamespace::create()?;
    /// # let segment = sysv::Segment::create(&namespace, sysv::Key::PRIVATE, sysv::NewSegment::of_size(8))?;
    ///
    /// let memory = segment.attach()?;
    /// let taken = memory.as_ptr().addr().get();
    /// let error = segment.attach_at(Address::Exact(taken)).unwrap_err();
    /// assert!(matches!(error, AttachError::Occupied { .. }));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn attach_at(&self, address: Address) -> Result<Attachment<ReadWrite>, AttachError> {
        self.map(address)
    }

    /// Attaches the segment for reading at an address.
    ///
    /// # Errors
    /// As [`attach_at`](Segment::attach_at).
    ///
    /// ```
    /// use sysv::Address;
    /// # let namespace = sysv::TemporaryNamespace::create()?;
    /// # let segment = sysv::Segment::create(&namespace, sysv::Key::PRIVATE, sysv::NewSegment::of_size(8))?;
    ///
    /// assert!(segment.attach_read_only_at(Address::Exact(1)).is_err());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn attach_read_only_at(&self, address: Address) -> Result<Attachment<ReadOnly>, AttachError> {
        self.map(address)
    }

    fn map<A: Access>(&self, address: Address) -> Result<Attachment<A>, AttachError> {
        let (at, flags) = match address {
            Address::Any => (0, 0),
            // To the facility, address zero would mean any.
            Address::Exact(address @ 0) | Address::RoundedDown(address @ 0..PAGE_SIZE) => {
                return Err(AttachError::Misaligned {
                    segment: self.name(),
                    address,
                });
            }
            Address::Exact(address) => (address, 0),
            Address::RoundedDown(address) => (address, SHM_RND),
        };
        let mapping = Mapping::attach(&self.namespace, self.id.get(), at, flags)
            .map_err(|errno| self.explain_attach(address, !A::WRITABLE, errno))?;
        Ok(Attachment::new(mapping, self.clone()))
    }

    /// What the system knows about the segment.
    ///
    /// # Errors
    /// [`StatError`].
    ///
    /// ```
    /// # let namespace = sysv::TemporaryNamespace::create()?;
    /// # let segment = sysv::Segment::create(&namespace, sysv::Key::PRIVATE, sysv::NewSegment::of_size(8))?;
    /// let _memory = segment.attach()?;
    /// assert_eq!(segment.stat()?.attachments, 1);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[doc(alias = "IPC_STAT")]
    pub fn stat(&self) -> Result<Stat, StatError> {
        let found = self.look(self.id.get(), StatBy::Id);
        let (id, ds) = self.explained(found, StatError::sort)?;
        Ok(Stat::new(id, &ds))
    }

    /// Sets owner, group and mode, all three.
    ///
    /// # Errors
    /// [`SetError`].
    ///
    /// ```
    /// use sysv::{Mode, Permissions};
    /// # let namespace = sysv::TemporaryNamespace::create()?;
    /// # let segment = sysv::Segment::create(&namespace, sysv::Key::PRIVATE, sysv::NewSegment::of_size(8))?;
    ///
    /// let now = segment.stat()?.permissions;
    /// segment.set_permissions(Permissions { mode: Mode::new(0o400), ..now })?;
    /// assert_eq!(segment.stat()?.permissions.mode, Mode::new(0o400));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[doc(alias = "IPC_SET")]
    pub fn set_permissions(&self, permissions: Permissions) -> Result<(), SetError> {
        let set = self.facility().shm_set(self.id.get(), permissions.change());
        self.explained(set, SetError::sort)
    }

    /// Removes the segment: its key is free at once, its memory goes with the last attachment.
    ///
    /// # Errors
    /// [`RemoveError`].
    ///
    /// ```
    /// # let namespace = sysv::TemporaryNamespace::create()?;
    /// # let segment = sysv::Segment::create(&namespace, sysv::Key::PRIVATE, sysv::NewSegment::of_size(8))?;
    /// let memory = segment.attach()?;
    /// segment.remove()?;
    /// memory.write(0, &1u8)?; // Still there.
    /// assert!(segment.stat()?.removed);
    ///
    /// drop(memory);
    /// assert!(segment.stat().is_err());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[doc(alias = "IPC_RMID")]
    pub fn remove(&self) -> Result<(), RemoveError> {
        let removed = self.facility().shm_remove(self.id.get());
        self.explained(removed, RemoveError::sort)
    }

    /// Keeps the segment's memory from being swapped out.
    ///
    /// # Errors
    /// [`LockError`].
    ///
    /// ```
    /// # let namespace = sysv::TemporaryNamespace::create()?;
    /// # let segment = sysv::Segment::create(&namespace, sysv::Key::PRIVATE, sysv::NewSegment::of_size(8))?;
    /// segment.lock_memory()?;
    /// assert!(segment.stat()?.memory_locked);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[doc(alias = "SHM_LOCK")]
    pub fn lock_memory(&self) -> Result<(), LockError> {
        self.lock(true)
    }

    /// Undoes [`lock_memory`](Segment::lock_memory).
    ///
    /// # Errors
    /// [`LockError`].
    ///
    /// ```
    /// # let namespace = sysv::TemporaryNamespace::create()?;
    /// # let segment = sysv::Segment::create(&namespace, sysv::Key::PRIVATE, sysv::NewSegment::of_size(8))?;
    /// segment.lock_memory()?;
    /// segment.unlock_memory()?;
    /// assert!(!segment.stat()?.memory_locked);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[doc(alias = "SHM_UNLOCK")]
    pub fn unlock_memory(&self) -> Result<(), LockError> {
        self.lock(false)
    }

    fn lock(&self, lock: bool) -> Result<(), LockError> {
        let locked = self.facility().shm_lock(self.id.get(), lock);
        self.explained(locked, LockError::sort)
    }

    /// Makes the segment go with the returned handle.
    ///
    /// ```
    /// use sysv::{Key, NewSegment, Segment};
    /// # let namespace = sysv::TemporaryNamespace::create()?;
    ///
    /// let scratch = Segment::create(&namespace, Key::new(42), NewSegment::of_size(100))?.into_temporary();
    /// drop(scratch);
    /// assert!(Segment::open(&namespace, Key::new(42)).is_err());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn into_temporary(self) -> TemporarySegment {
        TemporarySegment::new(self)
    }

    fn facility(&self) -> &dyn Segments {
        self.namespace.backend().segments()
    }

    fn explain_attach(&self, address: Address, read_only: bool, errno: Errno) -> AttachError {
        let segment = self.name();
        match (errno, address) {
            (Errno::EACCES, _) => AttachError::Denied {
                segment,
                read_only,
                ownership: self.ownership(),
            },
            (Errno::EIDRM, _) => AttachError::Gone { segment, errno },
            (Errno::EINVAL, Address::Exact(address)) if !address.is_multiple_of(PAGE_SIZE) => {
                AttachError::Misaligned { segment, address }
            }
            (Errno::EINVAL, _) if !self.exists() => AttachError::Gone { segment, errno },
            (Errno::EINVAL, Address::Exact(address) | Address::RoundedDown(address)) => {
                AttachError::Occupied { segment, address }
            }
            (Errno::ENOMEM, _) => AttachError::NoMemory { segment },
            _ => AttachError::Other { segment, errno },
        }
    }
}

/// Which of the reasons that share an errno it was, found out afterwards: the hot path asks once.
fn explain_get(namespace: &Namespace, key: Key, intent: &Intent, errno: Errno) -> GetError {
    let facility = namespace.backend().segments();
    let segment = ObjectName::by_key(Mechanism::Segment, key, namespace.location());
    let wanted = intent.size();
    match errno {
        Errno::ENOENT => GetError::NotFound { segment },
        Errno::EEXIST => GetError::Exists { segment },
        Errno::EACCES => GetError::Denied { segment },
        _ if intent.huge_pages() && matches!(errno, Errno::EPERM | Errno::ENOMEM | Errno::ENOSYS) => {
            GetError::HugePages { segment, errno }
        }
        Errno::ENOMEM => GetError::NoMemory { segment, wanted },
        Errno::EINVAL => {
            let exists = !key.is_private() && facility.shmget(key.get(), 0, 0).is_ok();
            match facility.shm_limits() {
                _ if exists => GetError::TooSmall { segment, wanted },
                Ok((_, limits)) => GetError::Size {
                    segment,
                    wanted,
                    shmmax: limits.shmmax,
                },
                Err(_) => GetError::Other { segment, errno },
            }
        }
        Errno::ENOSPC => match (facility.shm_limits(), facility.shm_usage()) {
            (Ok((_, limits)), Ok((_, usage))) if usage.used_ids as u64 >= limits.shmmni => GetError::TooMany {
                segment,
                shmmni: limits.shmmni,
            },
            _ => GetError::NoSpace { segment, wanted },
        },
        _ => GetError::Other { segment, errno },
    }
}

impl Handle for Segment {
    type Structure = ShmidDs;
    const MECHANISM: Mechanism = Mechanism::Segment;

    fn place(&self) -> (&Namespace, Id) {
        (&self.namespace, self.id)
    }

    fn look(&self, id: i32, by: StatBy) -> Result<(i32, ShmidDs), Errno> {
        self.facility().shm_stat(id, by)
    }

    fn perm(structure: &ShmidDs) -> &IpcPerm {
        &structure.perm
    }
}

impl fmt::Debug for Segment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Segment({} of {})", self.id, self.namespace.location())
    }
}
