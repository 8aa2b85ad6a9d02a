//! What the tests are about: a facility, and how processes come to it.

#![allow(unsafe_code)]

use std::collections::hash_map::RandomState;
use std::ffi::{CStr, CString};
use std::hash::BuildHasher;
use std::path::Path;
use std::sync::Arc;

use sysv_engine::abi::{ShmInfoLimits, ShmInfoUsage, ShmidDs};
use sysv_engine::{Kernel, PermChange, Result, Segments, StatBy};

use crate::ledger::Ledger;
use crate::trial;
use crate::user::User;

/// The facilities that the suite runs on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Facility {
    /// The kernel's, in an IPC namespace of its own where we may make one.
    Kernel,
}

/// A facility under test, as the test body and its forked children see it.
pub struct Subject {
    facility: Facility,
    calls: Box<dyn Segments + Send + Sync>,
    alone: bool,
    ledger: Arc<Ledger>,
}

impl Subject {
    /// In a fresh process: a namespace that nobody has used, owned by `user` if one is named, and this
    /// process turned into that user.
    pub(crate) fn begin(facility: Facility, user: Option<User>, _place: &Path, ledger: Arc<Ledger>) -> Subject {
        // SAFETY: a core dump of a test that dies on purpose helps nobody; no other conditions.
        unsafe {
            libc::setrlimit(
                libc::RLIMIT_CORE,
                &libc::rlimit {
                    rlim_cur: 0,
                    rlim_max: 0,
                },
            )
        };
        let alone = match facility {
            // SAFETY: this process has one thread and no semaphore adjustments.
            Facility::Kernel => unsafe { libc::unshare(libc::CLONE_NEWIPC) == 0 },
        };
        if let Some(user) = user {
            user.become_for_good();
        }
        let calls: Box<dyn Segments + Send + Sync> = match facility {
            Facility::Kernel => Box::new(Kernel),
        };
        Subject {
            facility,
            calls,
            alone,
            ledger,
        }
    }

    /// Which facility it is.
    pub fn facility(&self) -> Facility {
        self.facility
    }

    /// Whether nobody else creates or removes objects, so that counts and indexes are the test's own. If not,
    /// says so.
    pub fn is_alone(&self) -> bool {
        if !self.alone {
            trial::note("skipped: needs the right to make an IPC namespace");
        }
        self.alone
    }

    /// Whether children can be other users and reach the facility. If not, says so.
    pub fn admits_other_users(&self) -> bool {
        let can = User::can_be_changed();
        if !can {
            trial::note("skipped: needs root to act as other users");
        }
        can
    }

    /// Whether this process may give a segment to another user. The kernel lets every owner do so, a
    /// user-space facility only root.
    pub fn may_give_away(&self) -> bool {
        self.facility == Facility::Kernel || User::can_be_changed()
    }

    /// A key that names nothing.
    pub fn key(&self) -> i32 {
        // A fresh `RandomState` hashes differently from every other.
        let keys = (0u32..).map(|n| RandomState::new().hash_one(n) as i32);
        let mut free = keys.filter(|&key| key != 0 && self.shmget(key, 0, 0).is_err());
        free.next().expect("keys are many")
    }

    /// What a program must be told to find the same facility, see [`Subject::at`].
    pub fn address(&self) -> Vec<CString> {
        match self.facility {
            Facility::Kernel => vec![c"kernel".into()],
        }
    }

    /// The facility as a process finds it that has inherited nothing.
    pub fn at(address: &[&CStr]) -> Subject {
        let (facility, calls): (_, Box<dyn Segments + Send + Sync>) = match address {
            [kind] if *kind == c"kernel" => (Facility::Kernel, Box::new(Kernel)),
            _ => panic!("no facility at {address:?}"),
        };
        // Whoever started the program cleans up.
        Subject {
            facility,
            calls,
            alone: true,
            ledger: Arc::new(Ledger::new()),
        }
    }

    /// Tells the facility that this process's credentials changed behind its back.
    pub fn credentials_changed(&self) {
        match self.facility {
            Facility::Kernel => {}
        }
    }

    /// Sets the facility's limits `shmmax`, `shmall` and `shmmni`, where nobody else lives under them. If
    /// that cannot be done, says so and returns `false`.
    pub fn set_limits(&self, limits: &ShmInfoLimits) -> bool {
        match self.facility {
            Facility::Kernel => {
                let write = |name: &str, value: u64| {
                    std::fs::write(format!("/proc/sys/kernel/{name}"), value.to_string()).is_ok()
                };
                self.is_alone()
                    && write("shmmax", limits.shmmax)
                    && write("shmall", limits.shmall)
                    && write("shmmni", limits.shmmni)
            }
        }
    }
}

/// The facility's calls, with a note of everything that is created.
impl Segments for Subject {
    fn shmget(&self, key: i32, size: usize, flags: i32) -> Result<i32> {
        let id = self.calls.shmget(key, size, flags)?;
        if self.facility == Facility::Kernel && !self.alone && (key == 0 || flags & libc::IPC_CREAT != 0) {
            self.ledger.record(id);
        }
        Ok(id)
    }

    unsafe fn shmat(&self, id: i32, addr: usize, flags: i32) -> Result<*mut u8> {
        // SAFETY: the caller's promise.
        unsafe { self.calls.shmat(id, addr, flags) }
    }

    unsafe fn shmdt(&self, addr: usize) -> Result<()> {
        // SAFETY: the caller's promise.
        unsafe { self.calls.shmdt(addr) }
    }

    fn shm_stat(&self, id: i32, by: StatBy) -> Result<(i32, ShmidDs)> {
        self.calls.shm_stat(id, by)
    }

    fn shm_set(&self, id: i32, change: PermChange) -> Result<()> {
        self.calls.shm_set(id, change)
    }

    fn shm_remove(&self, id: i32) -> Result<()> {
        self.calls.shm_remove(id)
    }

    fn shm_lock(&self, id: i32, lock: bool) -> Result<()> {
        self.calls.shm_lock(id, lock)
    }

    fn shm_limits(&self) -> Result<(i32, ShmInfoLimits)> {
        self.calls.shm_limits()
    }

    fn shm_usage(&self) -> Result<(i32, ShmInfoUsage)> {
        self.calls.shm_usage()
    }

    unsafe fn munmap(&self, addr: usize, len: usize) -> Result<()> {
        // SAFETY: the caller's promise.
        unsafe { self.calls.munmap(addr, len) }
    }
}
