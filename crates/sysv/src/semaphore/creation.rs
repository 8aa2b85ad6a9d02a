//! What a new semaphore set is like.

use crate::Mode;

/// What a new semaphore set is like: how many semaphores, how many units each has, and who may use them.
///
/// # Initial units
/// semget(2) makes sets of zeros, and who sets the values afterwards races with who opens the set meanwhile: what the
/// latter did is lost. Here the creator *releases* the initial units, all in one operation if there are at most as many
/// semaphores as `semopm` (500). So somebody who opens the set in between finds nothing to acquire, waits, and gets on as
/// soon as the units are there; what they release meanwhile counts.
///
/// A creator that is killed in between leaves a set of zeros behind that nobody has operated on
/// ([`SemaphoreSetStat::operated_at`](crate::SemaphoreSetStat::operated_at)): such a set is to be removed.
///
/// ```
/// use sysv::{Key, Mode, NewSemaphoreSet, SemaphoreSet};
/// # let namespace = sysv::TemporaryNamespace::create()?;
///
/// // A mutex, and a count of sixteen free places.
/// let new = NewSemaphoreSet::with_units([1, 16]).mode(Mode::new(0o660));
/// let set = SemaphoreSet::create(&namespace, Key::PRIVATE, new)?;
/// assert_eq!(set.values()?, [1, 16]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[must_use]
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewSemaphoreSet {
    pub(super) units: Vec<u16>,
    pub(super) mode: Mode,
}

impl NewSemaphoreSet {
    /// One of so many semaphores, at least one, which have no units and only its owner may use.
    ///
    /// ```
    /// use sysv::{Key, NewSemaphoreSet, SemaphoreSet};
    /// # let namespace = sysv::TemporaryNamespace::create()?;
    ///
    /// let set = SemaphoreSet::create(&namespace, Key::PRIVATE, NewSemaphoreSet::of(2))?;
    /// assert_eq!(set.values()?, [0, 0]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn of(semaphores: u16) -> NewSemaphoreSet {
        NewSemaphoreSet {
            units: vec![0; semaphores.into()],
            mode: Mode::OWNER,
        }
    }

    /// One with a semaphore for each number, which says how many units it has at first: at most 32767.
    ///
    /// ```
    /// # let namespace = sysv::TemporaryNamespace::create()?;
    /// let mutex = sysv::NewSemaphoreSet::with_units([1]);
    /// # let set = sysv::SemaphoreSet::create(&namespace, sysv::Key::PRIVATE, mutex)?;
    /// # assert_eq!(set.value(0)?, 1);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn with_units(units: impl IntoIterator<Item = u16>) -> NewSemaphoreSet {
        NewSemaphoreSet {
            units: units.into_iter().collect(),
            mode: Mode::OWNER,
        }
    }

    /// With this mode, to which no umask applies. Read permission is for looking and waiting for zero; write permission is for
    /// acquiring, releasing and setting.
    ///
    /// ```
    /// # let namespace = sysv::TemporaryNamespace::create()?;
    /// let new = sysv::NewSemaphoreSet::of(1).mode(sysv::Mode::new(0o666));
    /// # let set = sysv::SemaphoreSet::create(&namespace, sysv::Key::PRIVATE, new)?;
    /// # assert_eq!(set.stat()?.permissions.mode.bits(), 0o666);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn mode(self, mode: Mode) -> NewSemaphoreSet {
        NewSemaphoreSet { mode, ..self }
    }
}
