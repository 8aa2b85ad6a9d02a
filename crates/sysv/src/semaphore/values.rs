//! Looking at semaphores and setting them: semctl(2).

use sysv_engine::{Asked, Errno};

use super::SemaphoreSet;
use crate::ValueError;
use crate::handle::Handle;

impl SemaphoreSet {
    /// How many semaphores the set has, which never changes. It needs no permission.
    ///
    /// # Errors
    /// [`ValueError::Gone`].
    ///
    /// ```
    /// # let namespace = sysv::TemporaryNamespace::create()?;
    /// # let set = sysv::SemaphoreSet::create(&namespace, sysv::Key::PRIVATE, sysv::NewSemaphoreSet::of(3))?;
    /// assert_eq!(set.count()?, 3);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[doc(alias = "sem_nsems")]
    pub fn count(&self) -> Result<usize, ValueError> {
        self.facility()
            .sem_count(self.id.get())
            .map_err(|errno| self.explain_value(false, errno))
    }

    /// How many units a semaphore has at this moment.
    ///
    /// # Errors
    /// [`ValueError`].
    ///
    /// ```
    /// # let namespace = sysv::TemporaryNamespace::create()?;
    /// # let new = sysv::NewSemaphoreSet::with_units([1, 8]);
    /// # let set = sysv::SemaphoreSet::create(&namespace, sysv::Key::PRIVATE, new)?;
    /// assert_eq!(set.value(1)?, 8);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[doc(alias = "GETVAL")]
    pub fn value(&self, semaphore: u16) -> Result<u16, ValueError> {
        // 0 to 32767.
        self.ask(semaphore, Asked::Value).map(|value| value as u16)
    }

    /// Sets how many units a semaphore has, whoever holds any, and forgets what was to be undone there. Who waits for it goes
    /// on if it can.
    ///
    /// # Errors
    /// [`ValueError`].
    ///
    /// ```
    /// # let namespace = sysv::TemporaryNamespace::create()?;
    /// # let set = sysv::SemaphoreSet::create(&namespace, sysv::Key::PRIVATE, sysv::NewSemaphoreSet::of(1))?;
    /// set.set_value(0, 5)?;
    /// assert_eq!(set.value(0)?, 5);
    /// assert!(set.set_value(0, 32768).is_err());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[doc(alias = "SETVAL")]
    pub fn set_value(&self, semaphore: u16, value: u16) -> Result<(), ValueError> {
        self.facility()
            .sem_set_value(self.id.get(), semaphore.into(), value.into())
            .map_err(|errno| match errno {
                Errno::ERANGE => ValueError::OutOfRange {
                    set: self.name(),
                    value,
                },
                _ => self.explain_number(semaphore, true, errno),
            })
    }

    /// All values as they were at one moment.
    ///
    /// # Errors
    /// [`ValueError`].
    ///
    /// ```
    /// # let namespace = sysv::TemporaryNamespace::create()?;
    /// # let new = sysv::NewSemaphoreSet::with_units([1, 8]);
    /// # let set = sysv::SemaphoreSet::create(&namespace, sysv::Key::PRIVATE, new)?;
    /// assert_eq!(set.values()?, [1, 8]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[doc(alias = "GETALL")]
    pub fn values(&self) -> Result<Vec<u16>, ValueError> {
        let mut values = vec![0; self.count()?];
        self.facility()
            .sem_values(self.id.get(), &mut values)
            .map_err(|errno| self.explain_value(false, errno))?;
        Ok(values)
    }

    /// Sets all values at one moment, as [`set_value`](SemaphoreSet::set_value) sets one.
    ///
    /// # Errors
    /// [`ValueError`], also unless there is a value for each semaphore.
    ///
    /// ```
    /// # let namespace = sysv::TemporaryNamespace::create()?;
    /// # let set = sysv::SemaphoreSet::create(&namespace, sysv::Key::PRIVATE, sysv::NewSemaphoreSet::of(2))?;
    /// set.set_values(&[3, 4])?;
    /// assert_eq!(set.values()?, [3, 4]);
    /// assert!(set.set_values(&[3]).is_err());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[doc(alias = "SETALL")]
    pub fn set_values(&self, values: &[u16]) -> Result<(), ValueError> {
        self.facility()
            .sem_set_values(self.id.get(), values)
            .map_err(|errno| match errno {
                Errno::ERANGE => ValueError::OutOfRange {
                    set: self.name(),
                    value: values.iter().copied().max().unwrap_or(0),
                },
                Errno::EINVAL => match self.count() {
                    Ok(semaphores) if semaphores != values.len() => ValueError::WrongCount {
                        set: self.name(),
                        given: values.len(),
                        semaphores,
                    },
                    _ => self.explain_value(true, errno),
                },
                _ => self.explain_value(true, errno),
            })
    }

    /// Id of the process that last operated on a semaphore or set it; 0 if none did or this process cannot see it.
    ///
    /// # Errors
    /// [`ValueError`].
    ///
    /// ```
    /// # let namespace = sysv::TemporaryNamespace::create()?;
    /// # let set = sysv::SemaphoreSet::create(&namespace, sysv::Key::PRIVATE, sysv::NewSemaphoreSet::of(1))?;
    /// set.release(0, 1)?;
    /// assert_eq!(set.last_pid(0)?, std::process::id() as i32);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[doc(alias = "GETPID")]
    #[doc(alias = "sempid")]
    pub fn last_pid(&self, semaphore: u16) -> Result<i32, ValueError> {
        self.ask(semaphore, Asked::Pid)
    }

    /// How many wait for a semaphore to have more units.
    ///
    /// # Errors
    /// [`ValueError`].
    ///
    /// ```
    /// # let namespace = sysv::TemporaryNamespace::create()?;
    /// # let set = sysv::SemaphoreSet::create(&namespace, sysv::Key::PRIVATE, sysv::NewSemaphoreSet::of(1))?;
    /// assert_eq!(set.waiting_for_more(0)?, 0);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[doc(alias = "GETNCNT")]
    pub fn waiting_for_more(&self, semaphore: u16) -> Result<usize, ValueError> {
        self.ask(semaphore, Asked::WaitingForMore).map(as_count)
    }

    /// How many wait for a semaphore to have no units.
    ///
    /// # Errors
    /// [`ValueError`].
    ///
    /// ```
    /// # let namespace = sysv::TemporaryNamespace::create()?;
    /// # let set = sysv::SemaphoreSet::create(&namespace, sysv::Key::PRIVATE, sysv::NewSemaphoreSet::of(1))?;
    /// assert_eq!(set.waiting_for_zero(0)?, 0);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[doc(alias = "GETZCNT")]
    pub fn waiting_for_zero(&self, semaphore: u16) -> Result<usize, ValueError> {
        self.ask(semaphore, Asked::WaitingForZero).map(as_count)
    }

    fn ask(&self, semaphore: u16, what: Asked) -> Result<i32, ValueError> {
        self.facility()
            .sem_ask(self.id.get(), semaphore.into(), what)
            .map_err(|errno| self.explain_number(semaphore, false, errno))
    }

    fn explain_number(&self, semaphore: u16, alter: bool, errno: Errno) -> ValueError {
        match (errno, self.count()) {
            (Errno::EINVAL, Ok(semaphores)) if usize::from(semaphore) >= semaphores => ValueError::NoSuchSemaphore {
                set: self.name(),
                semaphore,
                semaphores,
            },
            _ => self.explain_value(alter, errno),
        }
    }

    fn explain_value(&self, alter: bool, errno: Errno) -> ValueError {
        let set = self.name();
        match errno {
            Errno::EACCES => ValueError::Denied {
                set,
                alter,
                ownership: self.ownership(),
            },
            Errno::EINVAL | Errno::EIDRM if !self.exists() => ValueError::Gone { set, errno },
            _ => ValueError::Other { set, errno },
        }
    }
}

fn as_count(number: i32) -> usize {
    usize::try_from(number).unwrap_or(0)
}
