//! Mutual exclusion between processes: the facility's and its rivals'.

#![allow(unsafe_code)]

use crate::c_api::{Set, by};
use crate::job::Api;
use crate::system::Words;
use crate::ways::Semaphore;

/// Something that one process at a time holds.
pub trait Lock {
    /// Waits until it is free and takes it.
    fn lock(&self);
    /// Gives it back.
    fn unlock(&self);
}

/// Makes the lock of that name, or says why it cannot be had.
pub fn lock(name: &str, api: Api) -> Result<Box<dyn Lock>, String> {
    Ok(match (name, api) {
        ("semaphore", Api::C) => Box::new(SystemV::new(0)),
        ("semaphore with undo", Api::C) => Box::new(SystemV::new(libc::SEM_UNDO)),
        ("semaphore" | "semaphore with undo", Api::Rust) => crate::rust_api::lock(name)?,
        ("POSIX semaphore", _) => Box::new(Semaphore::of(1)),
        ("pthread mutex", _) => Box::new(Pthread::new(false)),
        ("robust pthread mutex", _) => Box::new(Pthread::new(true)),
        _ => return Err(format!("there is no lock called {name:?}")),
    })
}

struct SystemV {
    set: Set,
    flags: i32,
}

impl SystemV {
    fn new(flags: i32) -> SystemV {
        let set = Set::new(1, 1);
        SystemV { set, flags }
    }
}

impl Lock for SystemV {
    #[inline]
    fn lock(&self) {
        self.set.op(&mut [by(0, -1, self.flags)]);
    }

    #[inline]
    fn unlock(&self) {
        self.set.op(&mut [by(0, 1, self.flags)]);
    }
}

impl Lock for Semaphore {
    #[inline]
    fn lock(&self) {
        self.wait();
    }

    #[inline]
    fn unlock(&self) {
        self.post();
    }
}

/// The C library's mutex between processes.
struct Pthread {
    memory: Words,
}

impl Pthread {
    fn new(robust: bool) -> Pthread {
        let memory = Words::new(size_of::<libc::pthread_mutex_t>().div_ceil(8));
        let mutex = Pthread { memory };
        // SAFETY: the memory is large enough and stays; the attributes are initialised before they are used.
        unsafe {
            let mut attributes: libc::pthread_mutexattr_t = std::mem::zeroed();
            libc::pthread_mutexattr_init(&raw mut attributes);
            libc::pthread_mutexattr_setpshared(&raw mut attributes, libc::PTHREAD_PROCESS_SHARED);
            if robust {
                libc::pthread_mutexattr_setrobust(&raw mut attributes, libc::PTHREAD_MUTEX_ROBUST);
            }
            libc::pthread_mutex_init(mutex.address(), &raw const attributes);
        }
        mutex
    }

    fn address(&self) -> *mut libc::pthread_mutex_t {
        self.memory.as_ptr().cast_mut().cast()
    }
}

impl Lock for Pthread {
    #[inline]
    fn lock(&self) {
        // SAFETY: an initialised mutex.
        unsafe { libc::pthread_mutex_lock(self.address()) };
    }

    #[inline]
    fn unlock(&self) {
        // SAFETY: an initialised mutex, which this process holds.
        unsafe { libc::pthread_mutex_unlock(self.address()) };
    }
}
