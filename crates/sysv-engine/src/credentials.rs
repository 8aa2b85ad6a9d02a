//! Who asks: effective user, groups and the capabilities that count, and what they may do.

use core::cell::OnceCell;
use core::sync::atomic::Ordering::{Acquire, Relaxed, Release};
use core::sync::atomic::{AtomicBool, AtomicU64};

use crate::sys;

/// Supplementary groups kept without asking again. A process in more has its whole list read for each check.
const GROUPS_KEPT: usize = 64;

const CAP_IPC_LOCK: u32 = 14;
const CAP_IPC_OWNER: u32 = 15;
const CAP_SYS_ADMIN: u32 = 21;
const CAP_SYS_RESOURCE: u32 = 24;

/// The effective user, if somebody tells us of every change: 0 while unknown, else the id with bit 32 set.
static KNOWN_UID: AtomicU64 = AtomicU64::new(0);
/// Whether somebody does.
static CHANGES_ARE_ANNOUNCED: AtomicBool = AtomicBool::new(false);

const KNOWN: u64 = 1 << 32;

/// Promises that [`changed`] will be called after every change of the process's credentials, so that the effective
/// user need not be asked for at each call. A C library that interposes `setuid(2)` and its kin can promise that.
pub(crate) fn changes_will_be_announced() {
    CHANGES_ARE_ANNOUNCED.store(true, Relaxed);
}

/// The process's credentials may have changed.
pub(crate) fn changed() {
    KNOWN_UID.store(0, Release);
}

#[inline]
fn effective_user() -> u32 {
    let known = KNOWN_UID.load(Acquire);
    if known & KNOWN != 0 {
        return known as u32;
    }
    ask_effective_user()
}

#[cold]
fn ask_effective_user() -> u32 {
    let uid = sys::geteuid();
    if CHANGES_ARE_ANNOUNCED.load(Relaxed) {
        KNOWN_UID.store(u64::from(uid) | KNOWN, Release);
    }
    uid
}

/// The calling process as it stands at one call: its effective user, and the rest once a check needs it.
pub(crate) struct Caller {
    pub uid: u32,
    rest: OnceCell<Rest>,
}

#[derive(Clone, Copy, Debug)]
struct Rest {
    gid: u32,
    groups: [u32; GROUPS_KEPT],
    group_count: Option<usize>,
    capabilities: u64,
}

/// Owner, group and mode of an object, as permission checks need them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Ownership {
    pub uid: u32,
    pub gid: u32,
    pub cuid: u32,
    pub cgid: u32,
    pub mode: u32,
}

impl Caller {
    #[inline]
    pub(crate) fn current() -> Caller {
        Caller {
            uid: effective_user(),
            rest: OnceCell::new(),
        }
    }

    fn rest(&self) -> &Rest {
        self.rest.get_or_init(|| {
            let mut groups = [0; GROUPS_KEPT];
            let group_count = sys::getgroups(&mut groups);
            Rest {
                gid: sys::getegid(),
                groups,
                group_count,
                capabilities: sys::effective_capabilities(),
            }
        })
    }

    /// The effective group.
    pub(crate) fn gid(&self) -> u32 {
        self.rest().gid
    }

    /// Whether `gid` is the effective group or a supplementary one.
    pub(crate) fn in_group(&self, gid: u32) -> bool {
        let rest = self.rest();
        if gid == rest.gid {
            return true;
        }
        match rest.group_count {
            Some(count) => rest.groups[..count.min(GROUPS_KEPT)].contains(&gid),
            None => group_list::contains(gid),
        }
    }

    fn capable(&self, capability: u32) -> bool {
        self.rest().capabilities >> capability & 1 == 1
    }

    /// Whether the access that `requested` names in any of its three octal digits is granted: `ipcperms()`.
    ///
    /// Owner and creator fall into the first class, their groups into the second; a class's bits count even where
    /// a later class would grant more.
    #[inline]
    pub(crate) fn permits(&self, object: &Ownership, requested: u32) -> bool {
        let wanted = (requested >> 6 | requested >> 3 | requested) & 0o7;
        self.owns(object) && wanted & !(object.mode >> 6) == 0 || self.permits_otherwise(object, wanted)
    }

    /// As [`permits`](Self::permits), where the owner's digit is not the answer.
    #[cold]
    fn permits_otherwise(&self, object: &Ownership, wanted: u32) -> bool {
        let granted = if self.owns(object) {
            object.mode >> 6
        } else if self.in_group(object.cgid) || self.in_group(object.gid) {
            object.mode >> 3
        } else {
            object.mode
        };
        wanted & !granted == 0 || self.capable(CAP_IPC_OWNER)
    }

    /// Whether `IPC_SET` and `IPC_RMID` are allowed.
    pub(crate) fn controls(&self, object: &Ownership) -> bool {
        self.owns(object) || self.capable(CAP_SYS_ADMIN)
    }

    /// Whether the process is the object's owner or creator.
    #[inline]
    pub(crate) fn owns(&self, object: &Ownership) -> bool {
        self.uid == object.uid || self.uid == object.cuid
    }

    /// Whether the process may go beyond limits.
    pub(crate) fn may_exceed_limits(&self) -> bool {
        self.capable(CAP_SYS_RESOURCE)
    }

    /// Whether memory may be locked regardless of ownership and limits.
    pub(crate) fn may_lock_memory(&self) -> bool {
        self.capable(CAP_IPC_LOCK)
    }
}

mod group_list {
    //! Processes in more groups than [`GROUPS_KEPT`](super::GROUPS_KEPT).

    use crate::page_vec::PageVec;
    use crate::sys;

    /// Linux's own bound (`NGROUPS_MAX`).
    const ALL: usize = 65536;

    pub(super) fn contains(gid: u32) -> bool {
        let mut groups = PageVec::<u32>::new();
        if groups.resize_zeroed(ALL).is_err() {
            return false;
        }
        let count = sys::getgroups(groups.as_mut_slice()).unwrap_or(0);
        groups.as_slice()[..count.min(ALL)].contains(&gid)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn caller(uid: u32, gid: u32, supplementary: &[u32], capabilities: u64) -> Caller {
        let mut groups = [0; GROUPS_KEPT];
        groups[..supplementary.len()].copy_from_slice(supplementary);
        let rest = Rest {
            gid,
            groups,
            group_count: Some(supplementary.len()),
            capabilities,
        };
        Caller {
            uid,
            rest: OnceCell::from(rest),
        }
    }

    const OBJECT: Ownership = Ownership {
        uid: 10,
        gid: 20,
        cuid: 11,
        cgid: 21,
        mode: 0o640,
    };

    #[test]
    fn owner_and_creator_use_the_first_digit() {
        for uid in [10, 11] {
            assert!(caller(uid, 99, &[], 0).permits(&OBJECT, 0o600));
            assert!(!caller(uid, 99, &[], 0).permits(&OBJECT, 0o100));
        }
    }

    #[test]
    fn groups_use_the_second_digit() {
        assert!(caller(1, 20, &[], 0).permits(&OBJECT, 0o400));
        assert!(caller(1, 2, &[5, 21], 0).permits(&OBJECT, 0o040));
        assert!(!caller(1, 20, &[], 0).permits(&OBJECT, 0o200));
    }

    #[test]
    fn an_owner_is_not_helped_by_a_later_class() {
        let object = Ownership { mode: 0o066, ..OBJECT };
        assert!(!caller(10, 20, &[], 0).permits(&object, 0o400));
    }

    #[test]
    fn the_capability_overrides_the_bits() {
        assert!(caller(1, 2, &[], 1 << CAP_IPC_OWNER).permits(&OBJECT, 0o777));
        assert!(!caller(1, 2, &[], 1 << CAP_SYS_ADMIN).permits(&OBJECT, 0o400));
        assert!(caller(1, 2, &[], 1 << CAP_SYS_ADMIN).controls(&OBJECT));
    }
}
