//! The two facilities behind one type.

#![allow(unsafe_code)]

use std::ptr::NonNull;

use sysv_engine::{Engine, Errno, Kernel, Queues, Result, Segments, Semaphores, StatBy};

/// Whose objects these are.
#[derive(Clone)]
pub(crate) enum Backend {
    /// The kernel's.
    Kernel,
    /// Those of a namespace.
    Engine(Engine),
}

impl Backend {
    /// The calls on segments that both have.
    pub(crate) fn segments(&self) -> &dyn Segments {
        match self {
            Backend::Kernel => &Kernel,
            Backend::Engine(engine) => engine,
        }
    }

    /// Those of semaphore sets.
    pub(crate) fn semaphores(&self) -> &dyn Semaphores {
        match self {
            Backend::Kernel => &Kernel,
            Backend::Engine(engine) => engine,
        }
    }

    /// Those of message queues.
    pub(crate) fn queues(&self) -> &dyn Queues {
        match self {
            Backend::Kernel => &Kernel,
            Backend::Engine(engine) => engine,
        }
    }

    /// `shmat`: where the segment is mapped now and how many bytes it has.
    ///
    /// The length is that of the mapping, never what shared bookkeeping says: others may write that.
    ///
    /// # Safety
    /// As [`Segments::shmat`].
    pub(crate) unsafe fn attach(&self, id: i32, address: usize, flags: i32) -> Result<(NonNull<u8>, usize)> {
        match self {
            Backend::Kernel => {
                // SAFETY: the caller's promise.
                let base = unsafe { Kernel.shmat(id, address, flags) }?;
                // While it is attached the id cannot pass to another segment. Its size never changes, and the
                // kernel does not lie about it.
                let size = Kernel.shm_stat(id, StatBy::Id).map(|(_, ds)| ds.segsz as usize);
                match (NonNull::new(base), size) {
                    (Some(base), Ok(size)) => Ok((base, size)),
                    (_, size) => {
                        // SAFETY: nobody has seen the address yet.
                        let _ = unsafe { Kernel.shmdt(base as usize) };
                        Err(size.err().unwrap_or(Errno::EINVAL))
                    }
                }
            }
            Backend::Engine(engine) => {
                // SAFETY: the caller's promise.
                let (base, len) = unsafe { engine.attach(id, address, flags) }?;
                Ok((NonNull::new(base).ok_or(Errno::EINVAL)?, len))
            }
        }
    }
}
