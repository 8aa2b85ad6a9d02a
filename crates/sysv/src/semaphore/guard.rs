//! Units that come back by themselves.

use std::fmt;
use std::mem;
use std::time::Duration;

use super::{Operation, SemaphoreSet};
use crate::OperateError;
use crate::patience::Patience;

/// What a [`SemaphoreGuard`] should hold: units of one semaphore or of several, all or none.
///
/// A semaphore's number is a hold of one unit of it:
///
/// ```
/// use sysv::{Hold, Key, NewSemaphoreSet, SemaphoreSet};
/// # let namespace = sysv::TemporaryNamespace::create()?;
///
/// let forks = SemaphoreSet::create(&namespace, Key::PRIVATE, NewSemaphoreSet::with_units([1; 5]))?;
/// let left = forks.acquire(0)?;
/// drop(left);
/// let both = forks.acquire(Hold::of(0, 1).and(1, 1).with_undo())?;
/// assert_eq!(forks.values()?, [0, 0, 1, 1, 1]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use]
pub struct Hold {
    first: (u16, u16),
    more: Vec<(u16, u16)>,
    undo: bool,
}

impl Hold {
    /// So many units, 1 to 32767, of the semaphore with this number.
    ///
    /// ```
    /// use sysv::Hold;
    /// # let namespace = sysv::TemporaryNamespace::create()?;
    /// # let new = sysv::NewSemaphoreSet::with_units([10]);
    /// # let set = sysv::SemaphoreSet::create(&namespace, sysv::Key::PRIVATE, new)?;
    /// let seven = set.acquire(Hold::of(0, 7))?;
    /// assert_eq!(set.value(0)?, 3);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub const fn of(semaphore: u16, units: u16) -> Hold {
        Hold {
            first: (semaphore, units),
            more: Vec::new(),
            undo: false,
        }
    }

    /// And so many of another semaphore.
    ///
    /// ```
    /// use sysv::Hold;
    /// # let namespace = sysv::TemporaryNamespace::create()?;
    /// # let new = sysv::NewSemaphoreSet::with_units([1, 2]);
    /// # let set = sysv::SemaphoreSet::create(&namespace, sysv::Key::PRIVATE, new)?;
    /// let all = set.acquire(Hold::of(0, 1).and(1, 2))?;
    /// assert_eq!(set.values()?, [0, 0]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn and(mut self, semaphore: u16, units: u16) -> Hold {
        self.more.push((semaphore, units));
        self
    }

    /// To come back also when this process ends without dropping the guard, however it ends:
    /// [`Operation::undo`] in both directions.
    ///
    /// ```
    /// use sysv::Hold;
    /// # let namespace = sysv::TemporaryNamespace::create()?;
    /// # let new = sysv::NewSemaphoreSet::with_units([1]);
    /// # let set = sysv::SemaphoreSet::create(&namespace, sysv::Key::PRIVATE, new)?;
    /// let turn = set.acquire(Hold::of(0, 1).with_undo())?;
    /// // Killed here, the process would give the unit back all the same.
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[doc(alias = "SEM_UNDO")]
    pub fn with_undo(self) -> Hold {
        Hold { undo: true, ..self }
    }

    fn perform(
        &self,
        set: &SemaphoreSet,
        operation: fn(u16, u16) -> Operation,
        patience: Patience,
    ) -> Result<(), OperateError> {
        let make = |&(semaphore, units): &(u16, u16)| match operation(semaphore, units) {
            operation if self.undo => operation.undo(),
            operation => operation,
        };
        if self.more.is_empty() {
            set.encode_and_perform(&[make(&self.first)], patience)
        } else {
            let all: Vec<Operation> = [self.first].iter().chain(&self.more).map(make).collect();
            set.encode_and_perform(&all, patience)
        }
    }
}

impl From<u16> for Hold {
    fn from(semaphore: u16) -> Hold {
        Hold::of(semaphore, 1)
    }
}

/// Units of a set's semaphores that are released when this is dropped.
///
/// What the guard of a process that was killed held stays taken, unless the [`Hold`] was
/// [`with_undo`](Hold::with_undo). A forked child has a copy of the guard without having acquired anything: let it
/// [`keep`](SemaphoreGuard::keep) the copy, which releases nothing.
///
/// ```
/// # let namespace = sysv::TemporaryNamespace::create()?;
/// # let new = sysv::NewSemaphoreSet::with_units([1]);
/// # let set = sysv::SemaphoreSet::create(&namespace, sysv::Key::PRIVATE, new)?;
/// let turn = set.acquire(0)?;
/// assert_eq!(set.value(0)?, 0);
/// drop(turn);
/// assert_eq!(set.value(0)?, 1);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[must_use = "the units are released at once if the guard is not kept"]
pub struct SemaphoreGuard<'s> {
    set: &'s SemaphoreSet,
    hold: Hold,
}

impl SemaphoreSet {
    /// Acquires what is to be held; waits until all of it is there.
    ///
    /// # Errors
    /// [`OperateError`].
    ///
    /// ```
    /// use sysv::{Hold, Key, NewSemaphoreSet, SemaphoreSet};
    /// # let namespace = sysv::TemporaryNamespace::create()?;
    ///
    /// let set = SemaphoreSet::create(&namespace, Key::PRIVATE, NewSemaphoreSet::with_units([1, 4]))?;
    /// let one = set.acquire(0)?;
    /// let three = set.acquire(Hold::of(1, 3).with_undo())?;
    /// assert_eq!(set.values()?, [0, 1]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[doc(alias = "semop")]
    #[doc(alias = "sem_wait")]
    pub fn acquire(&self, hold: impl Into<Hold>) -> Result<SemaphoreGuard<'_>, OperateError> {
        self.hold(hold.into(), Patience::Forever)
    }

    /// Acquires what is to be held, if all of it is there now.
    ///
    /// # Errors
    /// [`OperateError::WouldBlock`] if it is not, and what else may forbid it.
    ///
    /// ```
    /// use sysv::OperateError;
    /// # let namespace = sysv::TemporaryNamespace::create()?;
    /// # let new = sysv::NewSemaphoreSet::with_units([1]);
    /// # let set = sysv::SemaphoreSet::create(&namespace, sysv::Key::PRIVATE, new)?;
    /// let turn = set.try_acquire(0)?;
    /// assert!(matches!(set.try_acquire(0), Err(OperateError::WouldBlock { .. })));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[doc(alias = "sem_trywait")]
    pub fn try_acquire(&self, hold: impl Into<Hold>) -> Result<SemaphoreGuard<'_>, OperateError> {
        self.hold(hold.into(), Patience::None)
    }

    /// Acquires what is to be held; waits for as long as the timeout says until all of it is there.
    ///
    /// # Errors
    /// [`OperateError::TimedOut`], and what else may forbid it.
    ///
    /// ```
    /// use std::time::Duration;
    /// use sysv::OperateError;
    /// # let namespace = sysv::TemporaryNamespace::create()?;
    /// # let set = sysv::SemaphoreSet::create(&namespace, sysv::Key::PRIVATE, sysv::NewSemaphoreSet::of(1))?;
    /// let late = set.acquire_timeout(0, Duration::from_millis(10));
    /// assert!(matches!(late, Err(OperateError::TimedOut { .. })));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[doc(alias = "semtimedop")]
    #[doc(alias = "sem_timedwait")]
    pub fn acquire_timeout(
        &self,
        hold: impl Into<Hold>,
        timeout: Duration,
    ) -> Result<SemaphoreGuard<'_>, OperateError> {
        self.hold(hold.into(), Patience::Until(timeout))
    }

    fn hold(&self, hold: Hold, patience: Patience) -> Result<SemaphoreGuard<'_>, OperateError> {
        hold.perform(self, Operation::acquire, patience)?;
        Ok(SemaphoreGuard { set: self, hold })
    }
}

impl SemaphoreGuard<'_> {
    /// Releases the units, as dropping does, and says whether that went well.
    ///
    /// # Errors
    /// [`OperateError`]: the set is gone, the right to change it is lost, or others have released what was not theirs, so
    /// that there would be more than 32767 units.
    ///
    /// ```
    /// # let namespace = sysv::TemporaryNamespace::create()?;
    /// # let new = sysv::NewSemaphoreSet::with_units([1]);
    /// # let set = sysv::SemaphoreSet::create(&namespace, sysv::Key::PRIVATE, new)?;
    /// let turn = set.acquire(0)?;
    /// set.remove()?;
    /// assert!(turn.release().is_err());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn release(self) -> Result<(), OperateError> {
        let released = self.give_back();
        self.keep();
        released
    }

    /// Keeps the units: nothing is released, now or later, but by undo where that was asked for.
    ///
    /// ```
    /// # let namespace = sysv::TemporaryNamespace::create()?;
    /// # let new = sysv::NewSemaphoreSet::with_units([1]);
    /// # let set = sysv::SemaphoreSet::create(&namespace, sysv::Key::PRIVATE, new)?;
    /// set.acquire(0)?.keep();
    /// assert_eq!(set.value(0)?, 0);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn keep(mut self) {
        self.hold.more = Vec::new();
        mem::forget(self);
    }

    /// A release never waits.
    fn give_back(&self) -> Result<(), OperateError> {
        self.hold.perform(self.set, Operation::release, Patience::None)
    }
}

impl Drop for SemaphoreGuard<'_> {
    fn drop(&mut self) {
        // Nobody is there to be told; `release` tells.
        let _ = self.give_back();
    }
}

impl fmt::Debug for SemaphoreGuard<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SemaphoreGuard")
            .field("set", &self.set)
            .field("hold", &self.hold)
            .finish()
    }
}
