//! What the system knows about a semaphore set.

use std::time::{SystemTime, UNIX_EPOCH};

use sysv_engine::abi::SemidDs;

use crate::stat::time;
use crate::{Id, Key, Permissions};

/// A semaphore set's `semid_ds` (semctl(2)), as it was when it was asked for.
///
/// ```
/// use sysv::{Key, NewSemaphoreSet, SemaphoreSet};
/// # let namespace = sysv::TemporaryNamespace::create()?;
///
/// let set = SemaphoreSet::create(&namespace, Key::new(42), NewSemaphoreSet::of(3))?;
/// let stat = set.stat()?;
/// assert_eq!((stat.key, stat.semaphores, stat.operated_at), (Key::new(42), 3, None));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[doc(alias = "semid_ds")]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct SemaphoreSetStat {
    /// The set's identifier.
    #[doc(alias = "semid")]
    pub id: Id,
    /// The key that it was created with.
    pub key: Key,
    /// How many semaphores it has.
    #[doc(alias = "sem_nsems")]
    pub semaphores: u64,
    /// Owner, group and mode.
    pub permissions: Permissions,
    /// User that created it.
    #[doc(alias = "cuid")]
    pub creator: u32,
    /// Group of the user that created it.
    #[doc(alias = "cgid")]
    pub creator_group: u32,
    /// When operations were last done on it.
    #[doc(alias = "sem_otime")]
    pub operated_at: Option<SystemTime>,
    /// When it was created, its permissions were set, or values were set otherwise than by operations.
    #[doc(alias = "sem_ctime")]
    pub changed_at: SystemTime,
}

impl SemaphoreSetStat {
    pub(crate) fn new(id: i32, ds: &SemidDs) -> SemaphoreSetStat {
        SemaphoreSetStat {
            id: Id::new(id),
            key: Key::new(ds.perm.key),
            semaphores: ds.nsems,
            permissions: Permissions::of(&ds.perm),
            creator: ds.perm.cuid,
            creator_group: ds.perm.cgid,
            operated_at: time(ds.otime),
            changed_at: time(ds.ctime).unwrap_or(UNIX_EPOCH),
        }
    }
}
