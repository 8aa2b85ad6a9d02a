//! Semaphore sets: finding, creating, changing, removing.

mod creation;
mod guard;
mod operate;
mod operation;
mod stat;
mod values;

use std::fmt;

use sysv_engine::abi::{IPC_CREAT, IPC_EXCL, IpcPerm, SEMVMX, SemidDs};
use sysv_engine::{Semaphores, StatBy};

pub use creation::NewSemaphoreSet;
pub use guard::{Hold, SemaphoreGuard};
pub use operation::Operation;
pub use stat::SemaphoreSetStat;

use crate::error::{Mechanism, ObjectName};
use crate::handle::Handle;
use crate::{
    Errno, Id, Key, Namespace, Permissions, RemoveError, SemaphoreGetError, SetError, StatError, TemporarySemaphoreSet,
};

/// A set of semaphores, by its identifier.
///
/// A semaphore is a number of units, 0 to 32767, that processes acquire and release; who wants more than there are waits.
/// Operations on several semaphores of a set are done [all at once or not at all](SemaphoreSet::operate). Most
/// programs want a [guard](SemaphoreSet::acquire), which gives back what it took.
///
/// A set outlives the processes that use it: dropping this handle does nothing to it. For one that should go with its
/// creator there is [`TemporarySemaphoreSet`].
///
/// ```
/// use sysv::{Key, NewSemaphoreSet, SemaphoreSet};
/// # let namespace = sysv::TemporaryNamespace::create()?;
///
/// let set = SemaphoreSet::open_or_create(&namespace, Key::new(42), NewSemaphoreSet::with_units([1]))?;
/// {
///     let _turn = set.acquire(0)?;
///     // Nobody else is here.
///     assert!(set.try_acquire(0).is_err());
/// }
/// assert_eq!(set.value(0)?, 1);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[doc(alias = "sem")]
#[derive(Clone)]
pub struct SemaphoreSet {
    namespace: Namespace,
    id: Id,
}

impl SemaphoreSet {
    /// The set that has the key, however many semaphores it has.
    ///
    /// # Errors
    /// [`SemaphoreGetError::NotFound`], [`SemaphoreGetError::Denied`].
    ///
    /// ```
    /// use sysv::{Key, NewSemaphoreSet, SemaphoreSet};
    /// # let namespace = sysv::TemporaryNamespace::create()?;
    ///
    /// assert!(SemaphoreSet::open(&namespace, Key::new(42)).is_err());
    /// SemaphoreSet::create(&namespace, Key::new(42), NewSemaphoreSet::of(1))?;
    /// assert!(SemaphoreSet::open(&namespace, Key::new(42)).is_ok());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[doc(alias = "semget")]
    pub fn open(namespace: &Namespace, key: Key) -> Result<SemaphoreSet, SemaphoreGetError> {
        if key.is_private() {
            // semget(2) would make a set.
            return Err(SemaphoreGetError::NotFound {
                set: ObjectName::by_key(Mechanism::SemaphoreSet, key, namespace.location()),
            });
        }
        SemaphoreSet::get(namespace, key, 0, 0)
    }

    /// A new set.
    ///
    /// # Errors
    /// [`SemaphoreGetError::Exists`] if the key is taken, and what else may forbid it.
    ///
    /// ```
    /// use sysv::{Key, NewSemaphoreSet, SemaphoreGetError, SemaphoreSet};
    /// # let namespace = sysv::TemporaryNamespace::create()?;
    ///
    /// SemaphoreSet::create(&namespace, Key::new(42), NewSemaphoreSet::of(1))?;
    /// let again = SemaphoreSet::create(&namespace, Key::new(42), NewSemaphoreSet::of(1));
    /// assert!(matches!(again, Err(SemaphoreGetError::Exists { .. })));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[doc(alias = "semget")]
    pub fn create(namespace: &Namespace, key: Key, new: NewSemaphoreSet) -> Result<SemaphoreSet, SemaphoreGetError> {
        let count = new.units.len();
        if let Some(semaphore) = new.units.iter().position(|&units| i32::from(units) > SEMVMX) {
            return Err(SemaphoreGetError::Units {
                set: ObjectName::by_key(Mechanism::SemaphoreSet, key, namespace.location()),
                semaphore,
                units: new.units[semaphore],
            });
        }
        let set = SemaphoreSet::get(namespace, key, count, IPC_CREAT | IPC_EXCL | new.mode.bits() as i32)?;
        set.give(&new.units).map_err(|error| {
            // It has no units yet that anybody could have taken.
            let _ = set.remove();
            explain_get(namespace, key, count, error.errno())
        })?;
        Ok(set)
    }

    /// The set that has the key, or else a new one.
    ///
    /// # Errors
    /// [`SemaphoreGetError::TooSmall`] if it exists with fewer semaphores, and what else may forbid it.
    ///
    /// ```
    /// use sysv::{Key, NewSemaphoreSet, SemaphoreSet};
    /// # let namespace = sysv::TemporaryNamespace::create()?;
    ///
    /// let one = SemaphoreSet::open_or_create(&namespace, Key::new(42), NewSemaphoreSet::with_units([5]))?;
    /// let two = SemaphoreSet::open_or_create(&namespace, Key::new(42), NewSemaphoreSet::with_units([5]))?;
    /// assert_eq!(one.id(), two.id());
    /// assert_eq!(two.value(0)?, 5); // The units of who came first.
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[doc(alias = "semget")]
    #[doc(alias = "IPC_CREAT")]
    pub fn open_or_create(
        namespace: &Namespace,
        key: Key,
        new: NewSemaphoreSet,
    ) -> Result<SemaphoreSet, SemaphoreGetError> {
        // Who creates it must know that, to give it its units.
        loop {
            match SemaphoreSet::create(namespace, key, new.clone()) {
                Err(SemaphoreGetError::Exists { .. }) => {}
                created => return created,
            }
            match SemaphoreSet::get(namespace, key, new.units.len(), new.mode.bits() as i32) {
                // Removed in between: there was progress, if not ours.
                Err(SemaphoreGetError::NotFound { .. }) => {}
                opened => return opened,
            }
        }
    }

    /// The set with an identifier that somebody told us. Whether it exists shows at its first use.
    ///
    /// ```
    /// use sysv::{Id, Key, NewSemaphoreSet, SemaphoreSet};
    /// # let namespace = sysv::TemporaryNamespace::create()?;
    ///
    /// let told: i32 = SemaphoreSet::create(&namespace, Key::PRIVATE, NewSemaphoreSet::of(7))?.id().get();
    /// assert_eq!(SemaphoreSet::from_id(&namespace, Id::new(told)).stat()?.semaphores, 7);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn from_id(namespace: &Namespace, id: Id) -> SemaphoreSet {
        SemaphoreSet {
            namespace: namespace.clone(),
            id,
        }
    }

    /// The set's identifier.
    ///
    /// ```
    /// # let namespace = sysv::TemporaryNamespace::create()?;
    /// # let set = sysv::SemaphoreSet::create(&namespace, sysv::Key::PRIVATE, sysv::NewSemaphoreSet::of(1))?;
    /// println!("`ipcs -s -i {}` tells about it", set.id());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[doc(alias = "semid")]
    pub fn id(&self) -> Id {
        self.id
    }

    /// The set's namespace.
    ///
    /// ```
    /// # let namespace = sysv::TemporaryNamespace::create()?;
    /// # let set = sysv::SemaphoreSet::create(&namespace, sysv::Key::PRIVATE, sysv::NewSemaphoreSet::of(1))?;
    /// assert_eq!(set.namespace().location(), namespace.location());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn namespace(&self) -> &Namespace {
        &self.namespace
    }

    /// What the system knows about the set.
    ///
    /// # Errors
    /// [`StatError`].
    ///
    /// ```
    /// # let namespace = sysv::TemporaryNamespace::create()?;
    /// # let set = sysv::SemaphoreSet::create(&namespace, sysv::Key::PRIVATE, sysv::NewSemaphoreSet::of(1))?;
    /// assert_eq!(set.stat()?.operated_at, None);
    /// set.release(0, 1)?;
    /// assert!(set.stat()?.operated_at.is_some());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[doc(alias = "IPC_STAT")]
    pub fn stat(&self) -> Result<SemaphoreSetStat, StatError> {
        let found = self.look(self.id.get(), StatBy::Id);
        let (id, ds) = self.explained(found, StatError::sort)?;
        Ok(SemaphoreSetStat::new(id, &ds))
    }

    /// Sets owner, group and mode, all three.
    ///
    /// # Errors
    /// [`SetError`].
    ///
    /// ```
    /// use sysv::{Mode, Permissions};
    /// # let namespace = sysv::TemporaryNamespace::create()?;
    /// # let set = sysv::SemaphoreSet::create(&namespace, sysv::Key::PRIVATE, sysv::NewSemaphoreSet::of(1))?;
    ///
    /// let now = set.stat()?.permissions;
    /// set.set_permissions(Permissions { mode: Mode::new(0o400), ..now })?;
    /// assert_eq!(set.stat()?.permissions.mode, Mode::new(0o400));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[doc(alias = "IPC_SET")]
    pub fn set_permissions(&self, permissions: Permissions) -> Result<(), SetError> {
        let set = self.facility().sem_set(self.id.get(), permissions.change());
        self.explained(set, SetError::sort)
    }

    /// Removes the set at once. Who waits for its semaphores fails.
    ///
    /// # Errors
    /// [`RemoveError`].
    ///
    /// ```
    /// # let namespace = sysv::TemporaryNamespace::create()?;
    /// # let set = sysv::SemaphoreSet::create(&namespace, sysv::Key::PRIVATE, sysv::NewSemaphoreSet::of(1))?;
    /// set.remove()?;
    /// assert!(set.stat().is_err());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[doc(alias = "IPC_RMID")]
    pub fn remove(&self) -> Result<(), RemoveError> {
        let removed = self.facility().sem_remove(self.id.get());
        self.explained(removed, RemoveError::sort)
    }

    /// Makes the set go with the returned handle.
    ///
    /// ```
    /// use sysv::{Key, NewSemaphoreSet, SemaphoreSet};
    /// # let namespace = sysv::TemporaryNamespace::create()?;
    ///
    /// let scratch = SemaphoreSet::create(&namespace, Key::new(42), NewSemaphoreSet::of(1))?.into_temporary();
    /// drop(scratch);
    /// assert!(SemaphoreSet::open(&namespace, Key::new(42)).is_err());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn into_temporary(self) -> TemporarySemaphoreSet {
        TemporarySemaphoreSet::new(self)
    }

    fn get(namespace: &Namespace, key: Key, at_least: usize, flags: i32) -> Result<SemaphoreSet, SemaphoreGetError> {
        // No facility has so many that the number would not fit.
        let count = i32::try_from(at_least).unwrap_or(i32::MAX);
        match namespace.backend().semaphores().semget(key.get(), count, flags) {
            Ok(id) => Ok(SemaphoreSet::from_id(namespace, Id::new(id))),
            Err(errno) => Err(explain_get(namespace, key, at_least, errno)),
        }
    }

    fn facility(&self) -> &dyn Semaphores {
        self.namespace.backend().semaphores()
    }
}

/// Which of the reasons that share an errno it was, found out afterwards: the hot path asks once.
fn explain_get(namespace: &Namespace, key: Key, wanted: usize, errno: Errno) -> SemaphoreGetError {
    let facility = namespace.backend().semaphores();
    let set = ObjectName::by_key(Mechanism::SemaphoreSet, key, namespace.location());
    match errno {
        Errno::ENOENT => SemaphoreGetError::NotFound { set },
        Errno::EEXIST => SemaphoreGetError::Exists { set },
        Errno::EACCES => SemaphoreGetError::Denied { set },
        Errno::ENOMEM => SemaphoreGetError::NoMemory { set, wanted },
        Errno::EINVAL => {
            let exists = !key.is_private() && facility.semget(key.get(), 0, 0).is_ok();
            match facility.sem_limits() {
                _ if exists => SemaphoreGetError::TooSmall { set, wanted },
                Ok((_, limits)) => SemaphoreGetError::Count {
                    set,
                    wanted,
                    semmsl: limits.semmsl,
                },
                Err(_) => SemaphoreGetError::Other { set, errno },
            }
        }
        Errno::ENOSPC => match (facility.sem_limits(), facility.sem_usage()) {
            (Ok((_, limits)), Ok((_, usage))) if usage.semusz >= limits.semmni => SemaphoreGetError::TooMany {
                set,
                semmni: limits.semmni,
            },
            (Ok((_, limits)), _) => SemaphoreGetError::TooManySemaphores {
                set,
                wanted,
                semmns: limits.semmns,
            },
            (Err(_), _) => SemaphoreGetError::Other { set, errno },
        },
        _ => SemaphoreGetError::Other { set, errno },
    }
}

impl Handle for SemaphoreSet {
    type Structure = SemidDs;
    const MECHANISM: Mechanism = Mechanism::SemaphoreSet;

    fn place(&self) -> (&Namespace, Id) {
        (&self.namespace, self.id)
    }

    fn look(&self, id: i32, by: StatBy) -> Result<(i32, SemidDs), Errno> {
        self.facility().sem_stat(id, by)
    }

    fn perm(structure: &SemidDs) -> &IpcPerm {
        &structure.perm
    }
}

impl fmt::Debug for SemaphoreSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SemaphoreSet({} of {})", self.id, self.namespace.location())
    }
}
