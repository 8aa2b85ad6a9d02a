//! What the tests are about: a facility, and how processes come to it.

#![allow(unsafe_code)]

use std::collections::hash_map::RandomState;
use std::ffi::{CStr, CString};
use std::hash::BuildHasher;
use std::path::Path;
use std::sync::Arc;

use sysv_engine::abi::{ShmInfoLimits, ShmInfoUsage, ShmidDs};
use sysv_engine::{Engine, Join, Kernel, Limits, PermChange, Result, Segments, StatBy, process};

use crate::ledger::Ledger;
use crate::place::{c_path, rust_path};
use crate::trial;
use crate::user::User;

/// The calls of a facility, whichever it is.
pub(crate) type Calls = Box<dyn Segments + Send + Sync>;

/// The facilities that the suite runs on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Facility {
    /// The kernel's, in an IPC namespace of its own where we may make one.
    Kernel,
    /// The engine in a namespace for one user.
    EnginePrivate,
    /// The engine in a namespace for several users.
    EngineShared,
    /// The same, told of every change of credentials, as the C ABI tells it, instead of asking each time.
    EngineAnnounced,
}

impl Facility {
    const ALL: [Facility; 4] = [
        Facility::Kernel,
        Facility::EnginePrivate,
        Facility::EngineShared,
        Facility::EngineAnnounced,
    ];

    /// The name by which a program is told of it.
    fn name(self) -> &'static CStr {
        match self {
            Facility::Kernel => c"kernel",
            Facility::EnginePrivate => c"private",
            Facility::EngineShared => c"shared",
            Facility::EngineAnnounced => c"announced",
        }
    }

    /// The calls, as a process finds them that has inherited nothing.
    fn open(self, directory: &CStr, private: Join, shared: Join) -> Calls {
        let how = match self {
            Facility::Kernel => return Box::new(Kernel),
            Facility::EnginePrivate => private,
            Facility::EngineShared => shared,
            Facility::EngineAnnounced => {
                process::credential_changes_will_be_announced();
                shared
            }
        };
        match Engine::join(directory, how) {
            Ok(engine) => Box::new(engine),
            Err(error) => panic!("{}", error.describe(directory)),
        }
    }
}

/// A facility under test, as the test body and its forked children see it.
pub struct Subject {
    facility: Facility,
    directory: CString,
    calls: Calls,
    alone: bool,
    ledger: Arc<Ledger>,
}

impl Subject {
    /// In a fresh process: a namespace that nobody has used, owned by `user` if one is named, and this
    /// process turned into that user.
    pub(crate) fn begin(facility: Facility, user: Option<User>, place: &Path, ledger: Arc<Ledger>) -> Subject {
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
        // SAFETY: this process has one thread and no semaphore adjustments.
        let alone = facility != Facility::Kernel || unsafe { libc::unshare(libc::CLONE_NEWIPC) == 0 };
        if let Some(user) = user {
            user.become_for_good();
        }
        let directory = c_path(&place.join("namespace"));
        let calls = facility.open(&directory, Join::Create, Join::CreateShared);
        Subject {
            facility,
            directory,
            calls,
            alone,
            ledger,
        }
    }

    /// The kernel and another facility for one more process: both fresh, the kernel in an IPC namespace of its
    /// own if that is allowed, the other one in a directory of that name.
    pub(crate) fn pair(&self, other: Facility, name: &str) -> [Subject; 2] {
        // SAFETY: the test's processes have one thread each and no semaphore adjustments.
        let alone = unsafe { libc::unshare(libc::CLONE_NEWIPC) == 0 } || self.alone;
        let place = rust_path(&self.directory)
            .parent()
            .expect("a directory in the place")
            .to_path_buf();
        let directory = c_path(&place.join(name));
        [Facility::Kernel, other].map(|facility| Subject {
            facility,
            directory: directory.clone(),
            calls: facility.open(&directory, Join::Create, Join::CreateShared),
            alone,
            ledger: self.ledger.clone(),
        })
    }

    /// Removes the directory of a [`Subject::pair`].
    pub(crate) fn remove_pair(&self, name: &str) {
        let place = rust_path(&self.directory)
            .parent()
            .expect("a directory in the place")
            .to_path_buf();
        let _ = std::fs::remove_dir_all(place.join(name));
    }

    /// The same facility seen through a layer that changes it.
    #[cfg(test)]
    pub(crate) fn distort(&mut self, layer: impl FnOnce(Calls) -> Calls) {
        let calls = std::mem::replace(&mut self.calls, Box::new(Kernel));
        self.calls = layer(calls);
    }

    /// Which facility it is.
    pub fn facility(&self) -> Facility {
        self.facility
    }

    /// Whether nobody else creates or removes objects, so that counts and indexes are the test's own. If not,
    /// says so.
    pub fn is_alone(&self) -> bool {
        if !self.alone {
            trial::skip("needs the right to make an IPC namespace");
        }
        self.alone
    }

    /// [`Subject::is_alone`] without a word.
    pub(crate) fn is_certainly_alone(&self) -> bool {
        self.alone
    }

    /// Whether children can be other users and reach the facility. If not, says so.
    pub fn admits_other_users(&self) -> bool {
        let can = User::can_be_changed() && self.facility != Facility::EnginePrivate;
        if !can {
            trial::skip("needs root, and a facility that is open to other users");
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
    pub fn address(&self) -> [CString; 2] {
        [self.facility.name().into(), self.directory.clone()]
    }

    /// The facility as a process finds it that has inherited nothing.
    pub fn at(address: &[CString]) -> Subject {
        let [name, directory] = address else {
            panic!("no facility at {address:?}")
        };
        let facility = Facility::ALL
            .into_iter()
            .find(|facility| facility.name() == name.as_c_str());
        let facility = facility.unwrap_or_else(|| panic!("no facility {name:?}"));
        let calls = facility.open(directory, Join::Existing, Join::Existing);
        // Whoever started the program cleans up.
        Subject {
            facility,
            directory: directory.clone(),
            calls,
            alone: true,
            ledger: Arc::new(Ledger::new()),
        }
    }

    /// Tells the facility that this process's credentials changed behind its back.
    pub fn credentials_changed(&self) {
        if self.facility == Facility::EngineAnnounced {
            process::credentials_changed();
        }
    }

    /// Sets the facility's limits `shmmax`, `shmall` and `shmmni`, where nobody else lives under them. If
    /// that cannot be done, says so and returns `false`.
    pub fn set_limits(&self, limits: &ShmInfoLimits) -> bool {
        let ShmInfoLimits {
            shmmax, shmall, shmmni, ..
        } = *limits;
        if self.facility != Facility::Kernel {
            let engine = Engine::join(&self.directory, Join::Existing).expect("the namespace we are in");
            engine
                .set_limits(&Limits {
                    shmmax,
                    shmall,
                    shmmni,
                    ..engine.limits()
                })
                .expect("the owner sets limits");
            return true;
        }
        let write = |name: &str, value: u64| {
            let file = format!("/proc/sys/kernel/{name}");
            std::fs::write(&file, value.to_string()).unwrap_or_else(|error| panic!("{file}: {error}"));
        };
        if self.is_alone() {
            write("shmmax", shmmax);
            write("shmall", shmall);
            write("shmmni", shmmni);
        }
        self.alone
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
