//! What the system knows about a segment.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use sysv_engine::abi::{SHM_DEST, SHM_LOCKED, ShmidDs};

use crate::{Id, Key, Permissions};

/// A segment's `shmid_ds` (shmctl(2)), as it was when it was asked for.
///
/// ```
/// use sysv::{Key, NewSegment, Segment};
/// # let namespace = sysv::TemporaryNamespace::create()?;
///
/// let segment = Segment::create(&namespace, Key::new(42), NewSegment::of_size(100))?;
/// let memory = segment.attach()?;
/// let stat = segment.stat()?;
/// assert_eq!((stat.key, stat.size, stat.attachments), (Key::new(42), 100, 1));
/// assert_eq!(stat.creator_pid, std::process::id() as i32);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[doc(alias = "shmid_ds")]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Stat {
    /// The segment's identifier.
    #[doc(alias = "shmid")]
    pub id: Id,
    /// The key that it was created with; [`Key::PRIVATE`] also once it is removed.
    pub key: Key,
    /// Bytes, as they were asked for.
    #[doc(alias = "shm_segsz")]
    pub size: u64,
    /// Owner, group and mode.
    pub permissions: Permissions,
    /// User that created it.
    #[doc(alias = "cuid")]
    pub creator: u32,
    /// Group of the user that created it.
    #[doc(alias = "cgid")]
    pub creator_group: u32,
    /// Whether it is removed and goes with its last attachment.
    #[doc(alias = "SHM_DEST")]
    pub removed: bool,
    /// Whether its memory is locked.
    #[doc(alias = "SHM_LOCKED")]
    pub memory_locked: bool,
    /// When it was last attached.
    #[doc(alias = "shm_atime")]
    pub attached_at: Option<SystemTime>,
    /// When it was last detached.
    #[doc(alias = "shm_dtime")]
    pub detached_at: Option<SystemTime>,
    /// When it was created or its permissions were last set.
    #[doc(alias = "shm_ctime")]
    pub changed_at: SystemTime,
    /// Process that created it; 0 if this process cannot see that one.
    #[doc(alias = "shm_cpid")]
    pub creator_pid: i32,
    /// Process that last attached or detached it; 0 if none did or this process cannot see it.
    #[doc(alias = "shm_lpid")]
    pub last_pid: i32,
    /// How many times it is attached, by all processes together.
    #[doc(alias = "shm_nattch")]
    pub attachments: u64,
}

impl Stat {
    pub(crate) fn new(id: i32, ds: &ShmidDs) -> Stat {
        Stat {
            id: Id::new(id),
            key: Key::new(ds.perm.key),
            size: ds.segsz,
            permissions: Permissions::of(&ds.perm),
            creator: ds.perm.cuid,
            creator_group: ds.perm.cgid,
            removed: ds.perm.mode & SHM_DEST != 0,
            memory_locked: ds.perm.mode & SHM_LOCKED != 0,
            attached_at: time(ds.atime),
            detached_at: time(ds.dtime),
            changed_at: time(ds.ctime).unwrap_or(UNIX_EPOCH),
            creator_pid: ds.cpid,
            last_pid: ds.lpid,
            attachments: ds.nattch,
        }
    }
}

/// Seconds since the Epoch, of which 0 and whatever cannot be a time mean never.
pub(crate) fn time(seconds: i64) -> Option<SystemTime> {
    let seconds = u64::try_from(seconds).ok().filter(|&s| s > 0)?;
    UNIX_EPOCH.checked_add(Duration::from_secs(seconds))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_time_that_a_damaged_table_may_hold_is_too_much() {
        for seconds in [0, -1, i64::MIN] {
            assert_eq!(time(seconds), None);
        }
        assert_eq!(time(1), Some(UNIX_EPOCH + Duration::from_secs(1)));
        let _ = time(i64::MAX);
    }
}
