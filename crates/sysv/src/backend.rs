//! The two facilities behind one type.

#![allow(unsafe_code)]

use std::ptr::NonNull;

use sysv_engine::abi::IPC_NOWAIT;
use sysv_engine::{Engine, Errno, Kernel, Queues, Result, Segments, Semaphores, StatBy};

use crate::patience::{Patience, look};

/// Bytes of a message's type, which the C interface puts before its bytes.
pub(crate) const MESSAGE_TYPE: usize = size_of::<i64>();

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

    /// `msgsnd`. A message is its type, eight bytes, and the bytes behind.
    pub(crate) fn send(&self, id: i32, message: &[u8], patience: Patience) -> Result<()> {
        let size = message.len().checked_sub(MESSAGE_TYPE).ok_or(Errno::EINVAL)?;
        let address = message.as_ptr() as usize;
        // SAFETY: for the three calls: nobody writes to the message while it is borrowed.
        let send = |flags| unsafe { self.queues().msgsnd(id, address, size, flags) };
        match (patience, self) {
            (Patience::Forever, _) => send(0),
            (Patience::None, _) => send(IPC_NOWAIT),
            (Patience::Until(timeout), Backend::Kernel) => look(timeout, Errno::EAGAIN, || send(IPC_NOWAIT)),
            (Patience::Until(timeout), Backend::Engine(engine)) => {
                // SAFETY: as above.
                unsafe { engine.msgsnd_timeout(id, address, size, 0, timeout) }
            }
        }
    }

    /// `msgrcv` into a buffer for the type and the bytes: how many of these there are.
    pub(crate) fn receive(&self, id: i32, message: &mut [u8], what: (i64, i32), patience: Patience) -> Result<usize> {
        let size = message.len().checked_sub(MESSAGE_TYPE).ok_or(Errno::EINVAL)?;
        let address = message.as_mut_ptr() as usize;
        let (kind, flags) = what;
        // SAFETY: for the three calls: the buffer is the caller's to overwrite, as long as `size` says.
        let receive = |wait| unsafe { self.queues().msgrcv(id, address, size, kind, flags | wait) };
        match (patience, self) {
            (Patience::Forever, _) => receive(0),
            (Patience::None, _) => receive(IPC_NOWAIT),
            (Patience::Until(timeout), Backend::Kernel) => look(timeout, Errno::ENOMSG, || receive(IPC_NOWAIT)),
            (Patience::Until(timeout), Backend::Engine(engine)) => {
                // SAFETY: as above.
                unsafe { engine.msgrcv_timeout(id, address, size, kind, flags, timeout) }
            }
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
