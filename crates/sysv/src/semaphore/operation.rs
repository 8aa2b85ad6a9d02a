//! One thing to do to one semaphore.

use sysv_engine::abi::{IPC_NOWAIT, SEM_UNDO, SEMVMX, Sembuf};

/// One of the things that [`SemaphoreSet::operate`](crate::SemaphoreSet::operate) does together.
///
/// ```
/// use sysv::{Key, NewSemaphoreSet, Operation, SemaphoreSet};
/// # let namespace = sysv::TemporaryNamespace::create()?;
///
/// // A place in the ring and the right to write there, or neither.
/// let set = SemaphoreSet::create(&namespace, Key::PRIVATE, NewSemaphoreSet::with_units([16, 1]))?;
/// set.operate(&[Operation::acquire(0, 1), Operation::acquire(1, 1).undo()])?;
/// assert_eq!(set.values()?, [15, 0]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[doc(alias = "sembuf")]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub struct Operation {
    semaphore: u16,
    action: Action,
    flags: i32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Action {
    Acquire(u16),
    Release(u16),
    WaitForZero,
}

impl Operation {
    /// Takes so many units, 1 to 32767, from the semaphore with this number; waits until there are as many.
    ///
    /// ```
    /// use sysv::Operation;
    /// # let namespace = sysv::TemporaryNamespace::create()?;
    /// # let new = sysv::NewSemaphoreSet::with_units([5]);
    /// # let set = sysv::SemaphoreSet::create(&namespace, sysv::Key::PRIVATE, new)?;
    /// set.operate(&[Operation::acquire(0, 2)])?;
    /// assert_eq!(set.value(0)?, 3);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub const fn acquire(semaphore: u16, units: u16) -> Operation {
        Operation::new(semaphore, Action::Acquire(units))
    }

    /// Adds so many units, 1 to 32767, to the semaphore with this number. It never waits, and fails if there would be more
    /// than 32767.
    ///
    /// ```
    /// use sysv::Operation;
    /// # let namespace = sysv::TemporaryNamespace::create()?;
    /// # let set = sysv::SemaphoreSet::create(&namespace, sysv::Key::PRIVATE, sysv::NewSemaphoreSet::of(1))?;
    /// set.operate(&[Operation::release(0, 2)])?;
    /// assert_eq!(set.value(0)?, 2);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub const fn release(semaphore: u16, units: u16) -> Operation {
        Operation::new(semaphore, Action::Release(units))
    }

    /// Waits until the semaphore with this number has no units. Read permission is enough.
    ///
    /// ```
    /// use sysv::{OperateError, Operation};
    /// # let namespace = sysv::TemporaryNamespace::create()?;
    /// # let set = sysv::SemaphoreSet::create(&namespace, sysv::Key::PRIVATE, sysv::NewSemaphoreSet::of(1))?;
    /// set.operate(&[Operation::wait_for_zero(0)])?; // At once.
    /// set.release(0, 1)?;
    /// let not_now = set.operate(&[Operation::wait_for_zero(0).no_wait()]);
    /// assert!(matches!(not_now, Err(OperateError::WouldBlock { .. })));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub const fn wait_for_zero(semaphore: u16) -> Operation {
        Operation::new(semaphore, Action::WaitForZero)
    }

    /// To be undone by the system when this process ends, however it does. All threads of a process share this; a forked
    /// child starts with nothing to undo; setting values forgets it. On a namespace it ends with `execve` too, and is
    /// undone then.
    ///
    /// ```
    /// use sysv::Operation;
    /// # let namespace = sysv::TemporaryNamespace::create()?;
    /// # let new = sysv::NewSemaphoreSet::with_units([1]);
    /// # let set = sysv::SemaphoreSet::create(&namespace, sysv::Key::PRIVATE, new)?;
    /// set.operate(&[Operation::acquire(0, 1).undo()])?;
    /// // If the process is killed here, the unit comes back.
    /// set.operate(&[Operation::release(0, 1).undo()])?; // And nothing is left to undo.
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[doc(alias = "SEM_UNDO")]
    pub const fn undo(self) -> Operation {
        Operation {
            flags: self.flags | SEM_UNDO,
            ..self
        }
    }

    /// Not to be waited for: if this one is not possible at once, all fail with
    /// [`OperateError::WouldBlock`](crate::OperateError::WouldBlock).
    ///
    /// ```
    /// use sysv::{OperateError, Operation};
    /// # let namespace = sysv::TemporaryNamespace::create()?;
    /// # let set = sysv::SemaphoreSet::create(&namespace, sysv::Key::PRIVATE, sysv::NewSemaphoreSet::of(1))?;
    /// let not_now = set.operate(&[Operation::acquire(0, 1).no_wait()]);
    /// assert!(matches!(not_now, Err(OperateError::WouldBlock { .. })));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[doc(alias = "IPC_NOWAIT")]
    pub const fn no_wait(self) -> Operation {
        Operation {
            flags: self.flags | IPC_NOWAIT,
            ..self
        }
    }

    const fn new(semaphore: u16, action: Action) -> Operation {
        Operation {
            semaphore,
            action,
            flags: 0,
        }
    }

    /// The semaphore's number.
    pub(super) const fn semaphore(&self) -> u16 {
        self.semaphore
    }

    /// As semop(2) wants it; none for a number of units that it cannot express, or that would mean something else: 0 is
    /// its way to say "wait for zero".
    pub(super) const fn encode(&self) -> Result<Sembuf, u16> {
        let op = match self.action {
            Action::Acquire(units) if units > 0 && units <= SEMVMX as u16 => -(units as i16),
            Action::Release(units) if units > 0 && units <= SEMVMX as u16 => units as i16,
            Action::Acquire(units) | Action::Release(units) => return Err(units),
            Action::WaitForZero => 0,
        };
        Ok(Sembuf {
            num: self.semaphore,
            op,
            flg: self.flags as i16,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn operations_become_those_of_semop_or_are_refused() {
        let sembuf = |num, op, flg: i32| {
            Ok(Sembuf {
                num,
                op,
                flg: flg as i16,
            })
        };
        assert_eq!(Operation::acquire(3, 2).encode(), sembuf(3, -2, 0));
        assert_eq!(
            Operation::acquire(3, 32767).undo().encode(),
            sembuf(3, -32767, SEM_UNDO)
        );
        assert_eq!(Operation::release(65535, 32767).encode(), sembuf(65535, 32767, 0));
        assert_eq!(
            Operation::wait_for_zero(0).no_wait().undo().encode(),
            sembuf(0, 0, IPC_NOWAIT | SEM_UNDO)
        );
        for units in [0, 32768, u16::MAX] {
            assert_eq!(Operation::acquire(0, units).encode(), Err(units));
            assert_eq!(Operation::release(0, units).encode(), Err(units));
        }
    }
}
