//! Why `semget`, and what `semctl` does with values, refused.

use std::fmt;

use super::{ObjectName, Ownership, operation_error, write_ownership};
use crate::Errno;

/// Why a semaphore set could not be opened or created: semget(2).
///
/// ```
/// use sysv::{Key, NewSemaphoreSet, SemaphoreGetError, SemaphoreSet};
/// # let namespace = sysv::TemporaryNamespace::create()?;
///
/// SemaphoreSet::create(&namespace, Key::new(42), NewSemaphoreSet::of(1))?;
/// match SemaphoreSet::create(&namespace, Key::new(42), NewSemaphoreSet::of(1)) {
///     Err(SemaphoreGetError::Exists { set, .. }) => println!("{set} is taken"),
///     other => panic!("{other:?}"),
/// }
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum SemaphoreGetError {
    /// `ENOENT`: no set has the key.
    #[non_exhaustive]
    NotFound {
        /// The one that was looked for.
        set: ObjectName,
    },
    /// `EEXIST`: a set has the key already, and only a new one would do.
    #[non_exhaustive]
    Exists {
        /// The one that stands in the way.
        set: ObjectName,
    },
    /// `EACCES`: the set exists and its mode forbids what was asked, or a new one may not be made here, or its mode would
    /// forbid its creator to give it its units.
    #[non_exhaustive]
    Denied {
        /// The one that was asked for.
        set: ObjectName,
    },
    /// `EINVAL`: the set with this key has fewer semaphores than were asked for.
    #[non_exhaustive]
    TooSmall {
        /// The one that exists.
        set: ObjectName,
        /// Semaphores that were asked for.
        wanted: usize,
    },
    /// `EINVAL`: a new set was to have no semaphores, or more than the limit `semmsl` allows.
    #[non_exhaustive]
    Count {
        /// The one that was to be made.
        set: ObjectName,
        /// Semaphores that were asked for.
        wanted: usize,
        /// The limit.
        semmsl: i32,
    },
    /// `ERANGE`: a semaphore was to have more than 32767 units.
    #[non_exhaustive]
    Units {
        /// The one that was to be made.
        set: ObjectName,
        /// The semaphore's number.
        semaphore: usize,
        /// Units that it was to have.
        units: u16,
    },
    /// `ENOSPC`: there are `semmni` sets already.
    #[non_exhaustive]
    TooMany {
        /// The one that was to be made.
        set: ObjectName,
        /// The limit.
        semmni: i32,
    },
    /// `ENOSPC`: all sets together would have more semaphores than the limit `semmns` allows.
    #[non_exhaustive]
    TooManySemaphores {
        /// The one that was to be made.
        set: ObjectName,
        /// Semaphores that were asked for.
        wanted: usize,
        /// The limit.
        semmns: i32,
    },
    /// `ENOMEM`: the system has no memory for the set.
    #[non_exhaustive]
    NoMemory {
        /// The one that was to be made.
        set: ObjectName,
        /// Semaphores that were asked for.
        wanted: usize,
    },
    /// What else the facility may return.
    #[non_exhaustive]
    Other {
        /// The one that was asked for.
        set: ObjectName,
        /// What it returned.
        errno: Errno,
    },
}

impl SemaphoreGetError {
    /// What semget(2) returns in this case.
    ///
    /// ```
    /// use sysv::{Errno, Key, SemaphoreSet};
    /// # let namespace = sysv::TemporaryNamespace::create()?;
    /// let error = SemaphoreSet::open(&namespace, Key::new(42)).unwrap_err();
    /// assert_eq!(error.errno(), Errno::ENOENT);
    /// # Ok::<(), sysv::NamespaceError>(())
    /// ```
    pub fn errno(&self) -> Errno {
        match self {
            SemaphoreGetError::NotFound { .. } => Errno::ENOENT,
            SemaphoreGetError::Exists { .. } => Errno::EEXIST,
            SemaphoreGetError::Denied { .. } => Errno::EACCES,
            SemaphoreGetError::TooSmall { .. } | SemaphoreGetError::Count { .. } => Errno::EINVAL,
            SemaphoreGetError::Units { .. } => Errno::ERANGE,
            SemaphoreGetError::TooMany { .. } | SemaphoreGetError::TooManySemaphores { .. } => Errno::ENOSPC,
            SemaphoreGetError::NoMemory { .. } => Errno::ENOMEM,
            SemaphoreGetError::Other { errno, .. } => *errno,
        }
    }
}

impl fmt::Display for SemaphoreGetError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            SemaphoreGetError::NotFound { set } => {
                write!(
                    f,
                    "{set} does not exist; start the program that creates it, or create it"
                )
            }
            SemaphoreGetError::Exists { set } => {
                write!(f, "{set} exists already; open it, remove it, or take another key")
            }
            SemaphoreGetError::Denied { set } => {
                write!(f, "permission denied for {set}; its owner can change its mode")
            }
            SemaphoreGetError::TooSmall { set, wanted } => {
                write!(
                    f,
                    "{set} has fewer than {wanted} semaphores; ask for fewer, or remove it and create it anew"
                )
            }
            SemaphoreGetError::Count { set, wanted: 0, .. } => {
                write!(f, "cannot create {set} without semaphores; the smallest set has 1")
            }
            SemaphoreGetError::Count { set, wanted, semmsl } => {
                let raise = set.location.raise_semaphores("SEMMSL");
                write!(
                    f,
                    "cannot create {set} with {wanted} semaphores: the limit semmsl is {semmsl}; {raise}"
                )
            }
            SemaphoreGetError::Units { set, semaphore, units } => {
                write!(
                    f,
                    "cannot create {set} with {units} units of semaphore {semaphore}; give at most 32767"
                )
            }
            SemaphoreGetError::TooMany { set, semmni } => {
                let raise = set.location.raise_semaphores("SEMMNI");
                write!(f, "cannot create {set}: there are {semmni} already, the limit semmni; ")?;
                write!(f, "remove some, or {raise}")
            }
            SemaphoreGetError::TooManySemaphores { set, wanted, semmns } => {
                let raise = set.location.raise_semaphores("SEMMNS");
                write!(
                    f,
                    "cannot create {set} with {wanted} semaphores: all together may have {semmns}, the limit semmns; "
                )?;
                write!(f, "remove some, or {raise}")
            }
            SemaphoreGetError::NoMemory { set, wanted } => {
                write!(
                    f,
                    "no memory for {set} with {wanted} semaphores; ask for fewer, or free some"
                )
            }
            SemaphoreGetError::Other { set, errno } => write!(f, "cannot get {set}: {errno}"),
        }
    }
}

operation_error!(SemaphoreGetError);

/// Why semaphores could not be looked at or set: semctl(2).
///
/// ```
/// use sysv::ValueError;
/// # let namespace = sysv::TemporaryNamespace::create()?;
/// # let set = sysv::SemaphoreSet::create(&namespace, sysv::Key::PRIVATE, sysv::NewSemaphoreSet::of(1))?;
///
/// let error = set.value(1).unwrap_err();
/// assert!(matches!(error, ValueError::NoSuchSemaphore { semaphore: 1, semaphores: 1, .. }));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ValueError {
    /// `EACCES`: the set's mode forbids reading, or setting.
    #[non_exhaustive]
    Denied {
        /// The one that refused.
        set: ObjectName,
        /// Whether a value was to be set, which needs write permission.
        alter: bool,
        /// Whose it is.
        ownership: Option<Ownership>,
    },
    /// `EINVAL`: the set has no semaphore with this number.
    #[non_exhaustive]
    NoSuchSemaphore {
        /// The one that was meant.
        set: ObjectName,
        /// The number.
        semaphore: u16,
        /// How many it has.
        semaphores: usize,
    },
    /// `ERANGE`: more than 32767 units.
    #[non_exhaustive]
    OutOfRange {
        /// The one with the semaphores.
        set: ObjectName,
        /// The number of units.
        value: u16,
    },
    /// `EINVAL`: not as many values as there are semaphores.
    #[non_exhaustive]
    WrongCount {
        /// The one with the semaphores.
        set: ObjectName,
        /// How many values were given.
        given: usize,
        /// How many semaphores it has.
        semaphores: usize,
    },
    /// `EINVAL` or `EIDRM`: no set has the identifier any more.
    #[non_exhaustive]
    Gone {
        /// The one that was meant.
        set: ObjectName,
        /// Which of the two.
        errno: Errno,
    },
    /// What else the facility may return.
    #[non_exhaustive]
    Other {
        /// The one that was meant.
        set: ObjectName,
        /// What it returned.
        errno: Errno,
    },
}

impl ValueError {
    /// What semctl(2) returns in this case.
    ///
    /// ```
    /// use sysv::Errno;
    /// # let namespace = sysv::TemporaryNamespace::create()?;
    /// # let set = sysv::SemaphoreSet::create(&namespace, sysv::Key::PRIVATE, sysv::NewSemaphoreSet::of(1))?;
    /// assert_eq!(set.set_value(0, 40_000).unwrap_err().errno(), Errno::ERANGE);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn errno(&self) -> Errno {
        match self {
            ValueError::Denied { .. } => Errno::EACCES,
            ValueError::NoSuchSemaphore { .. } | ValueError::WrongCount { .. } => Errno::EINVAL,
            ValueError::OutOfRange { .. } => Errno::ERANGE,
            ValueError::Gone { errno, .. } | ValueError::Other { errno, .. } => *errno,
        }
    }
}

impl fmt::Display for ValueError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ValueError::Denied { set, alter, ownership } => {
                let what = if *alter { "set" } else { "read" };
                write!(f, "permission denied to {what} the values of {set}")?;
                write_ownership(f, ownership)?;
                f.write_str("; its owner can change its mode")
            }
            ValueError::NoSuchSemaphore {
                set,
                semaphore,
                semaphores,
            } => {
                write!(
                    f,
                    "{set} has no semaphore {semaphore}; the last of its {semaphores} is {}",
                    semaphores.saturating_sub(1)
                )
            }
            ValueError::OutOfRange { set, value } => {
                write!(f, "cannot set a semaphore of {set} to {value}; give at most 32767")
            }
            ValueError::WrongCount { set, given, semaphores } => {
                write!(
                    f,
                    "{given} values for {set}; give one for each of its {semaphores} semaphores"
                )
            }
            ValueError::Gone { set, .. } => {
                write!(f, "{set} does not exist (any more); look it up again by its key")
            }
            ValueError::Other { set, errno } => write!(f, "cannot read or set the values of {set}: {errno}"),
        }
    }
}

operation_error!(ValueError);
