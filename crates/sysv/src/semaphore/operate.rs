//! Doing operations: all or none, at once, with patience, or until a timeout.

use std::time::{Duration, Instant};

use sysv_engine::Errno;
use sysv_engine::abi::{IPC_NOWAIT, Sembuf, Timespec};

use super::{Operation, SemaphoreSet};
use crate::OperateError;
use crate::handle::Handle;
use crate::patience::Patience;

/// So many operations are encoded without a heap.
const FEW: usize = 8;

impl SemaphoreSet {
    /// Does all the operations at once, or none; waits until all are possible. They count in the order in which they
    /// stand, so that one may stand on what another before it has done.
    ///
    /// # Errors
    /// [`OperateError`]; nothing was done then.
    ///
    /// ```
    /// use sysv::{Key, NewSemaphoreSet, Operation, SemaphoreSet};
    /// # let namespace = sysv::TemporaryNamespace::create()?;
    ///
    /// // Take what there is of nothing less than two, and move one to the other semaphore.
    /// let set = SemaphoreSet::create(&namespace, Key::PRIVATE, NewSemaphoreSet::with_units([2, 0]))?;
    /// set.operate(&[Operation::acquire(0, 2), Operation::wait_for_zero(0), Operation::release(1, 1)])?;
    /// assert_eq!(set.values()?, [0, 1]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[doc(alias = "semop")]
    pub fn operate(&self, operations: &[Operation]) -> Result<(), OperateError> {
        self.encode_and_perform(operations, Patience::Forever)
    }

    /// Does all the operations now, or none.
    ///
    /// # Errors
    /// [`OperateError::WouldBlock`] if one is not possible now, and what else may forbid it; nothing was done then.
    ///
    /// ```
    /// use sysv::{Key, NewSemaphoreSet, OperateError, Operation, SemaphoreSet};
    /// # let namespace = sysv::TemporaryNamespace::create()?;
    ///
    /// let set = SemaphoreSet::create(&namespace, Key::PRIVATE, NewSemaphoreSet::with_units([1, 0]))?;
    /// let both = [Operation::acquire(0, 1), Operation::acquire(1, 1)];
    /// assert!(matches!(set.try_operate(&both), Err(OperateError::WouldBlock { .. })));
    /// assert_eq!(set.values()?, [1, 0]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[doc(alias = "IPC_NOWAIT")]
    pub fn try_operate(&self, operations: &[Operation]) -> Result<(), OperateError> {
        self.encode_and_perform(operations, Patience::None)
    }

    /// Does all the operations at once, or none; waits for as long as the timeout says until all are possible.
    ///
    /// # Errors
    /// [`OperateError::TimedOut`], and what else may forbid it; nothing was done then.
    ///
    /// ```
    /// use std::time::Duration;
    /// use sysv::{Key, NewSemaphoreSet, OperateError, Operation, SemaphoreSet};
    /// # let namespace = sysv::TemporaryNamespace::create()?;
    ///
    /// let set = SemaphoreSet::create(&namespace, Key::PRIVATE, NewSemaphoreSet::of(1))?;
    /// let late = set.operate_timeout(&[Operation::acquire(0, 1)], Duration::from_millis(10));
    /// assert!(matches!(late, Err(OperateError::TimedOut { .. })));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[doc(alias = "semtimedop")]
    pub fn operate_timeout(&self, operations: &[Operation], timeout: Duration) -> Result<(), OperateError> {
        self.encode_and_perform(operations, Patience::Until(timeout))
    }

    /// Adds units to one semaphore: [`Operation::release`] alone.
    ///
    /// # Errors
    /// [`OperateError`].
    ///
    /// ```
    /// # let namespace = sysv::TemporaryNamespace::create()?;
    /// # let set = sysv::SemaphoreSet::create(&namespace, sysv::Key::PRIVATE, sysv::NewSemaphoreSet::of(1))?;
    /// set.release(0, 3)?;
    /// assert_eq!(set.value(0)?, 3);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[doc(alias = "sem_post")]
    pub fn release(&self, semaphore: u16, units: u16) -> Result<(), OperateError> {
        self.operate(&[Operation::release(semaphore, units)])
    }

    /// Waits until a semaphore has no units: [`Operation::wait_for_zero`] alone.
    ///
    /// # Errors
    /// [`OperateError`].
    ///
    /// ```
    /// # let namespace = sysv::TemporaryNamespace::create()?;
    /// # let set = sysv::SemaphoreSet::create(&namespace, sysv::Key::PRIVATE, sysv::NewSemaphoreSet::of(1))?;
    /// set.wait_for_zero(0)?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn wait_for_zero(&self, semaphore: u16) -> Result<(), OperateError> {
        self.operate(&[Operation::wait_for_zero(semaphore)])
    }

    pub(super) fn encode_and_perform(&self, operations: &[Operation], patience: Patience) -> Result<(), OperateError> {
        let encode = |operation: &Operation| {
            operation.encode().map_err(|units| OperateError::Units {
                set: self.name(),
                semaphore: operation.semaphore(),
                units,
            })
        };
        if operations.len() <= FEW {
            let mut few = [Sembuf::default(); FEW];
            for (place, operation) in few.iter_mut().zip(operations) {
                *place = encode(operation)?;
            }
            self.perform(&mut few[..operations.len()], patience)
        } else {
            let mut many: Vec<Sembuf> = operations.iter().map(encode).collect::<Result<_, _>>()?;
            self.perform(&mut many, patience)
        }
    }

    /// `semop` or `semtimedop`.
    fn perform(&self, operations: &mut [Sembuf], patience: Patience) -> Result<(), OperateError> {
        let facility = self.facility();
        let id = self.id.get();
        match patience {
            Patience::Forever => facility.semop(id, operations, None),
            Patience::None => {
                for operation in &mut *operations {
                    operation.flg |= IPC_NOWAIT as i16;
                }
                facility.semop(id, operations, None)
            }
            Patience::Until(timeout) => {
                let begun = Instant::now();
                let done = facility.semop(id, operations, Some(timespec(timeout)));
                // The facility says the same of an operation that was not to wait.
                let waits = !operations.iter().any(|o| i32::from(o.flg) & IPC_NOWAIT != 0);
                if done == Err(Errno::EAGAIN) && (waits || begun.elapsed() >= timeout) {
                    let set = self.name();
                    return Err(OperateError::TimedOut { set, timeout });
                }
                done
            }
        }
        .map_err(|errno| self.explain_operate(operations, errno))
    }

    /// Gives the initial units of a set that was just made; all in one operation, as far as the facility does so many.
    pub(super) fn give(&self, units: &[u16]) -> Result<(), OperateError> {
        let operations: Vec<Operation> = (0..)
            .zip(units)
            .filter(|&(_, &units)| units > 0)
            .map(|(semaphore, &units)| Operation::release(semaphore, units))
            .collect();
        let most = self.facility().sem_limits().map_or(1, |(_, info)| info.semopm.max(1));
        operations.chunks(most as usize).try_for_each(|some| self.operate(some))
    }

    #[cold]
    fn explain_operate(&self, operations: &[Sembuf], errno: Errno) -> OperateError {
        let set = self.name();
        match errno {
            Errno::EAGAIN => OperateError::WouldBlock { set },
            Errno::EINTR => OperateError::Interrupted { set },
            Errno::EACCES => OperateError::Denied {
                set,
                alter: operations.iter().any(|operation| operation.op != 0),
                ownership: self.ownership(),
            },
            Errno::EFBIG => OperateError::NoSuchSemaphore {
                set,
                semaphore: operations.iter().map(|operation| operation.num).max().unwrap_or(0),
            },
            Errno::ERANGE => OperateError::OutOfRange { set },
            Errno::E2BIG => OperateError::TooManyOperations {
                set,
                operations: operations.len(),
                semopm: self.facility().sem_limits().map_or(0, |(_, info)| info.semopm),
            },
            Errno::ENOMEM | Errno::ENOSPC => OperateError::NoMemory { set, errno },
            Errno::EIDRM => OperateError::Gone { set, errno },
            Errno::EINVAL if operations.is_empty() => OperateError::NoOperations { set },
            Errno::EINVAL if !self.exists() => OperateError::Gone { set, errno },
            _ => OperateError::Other { set, errno },
        }
    }
}

/// Longer than the facility can count is as good as for ever.
fn timespec(timeout: Duration) -> Timespec {
    Timespec {
        sec: i64::try_from(timeout.as_secs()).unwrap_or(i64::MAX),
        nsec: timeout.subsec_nanos().into(),
    }
}
