//! An object of any kind, as an operator sees it.

use std::time::{Duration, SystemTime};

use sysv_engine::abi::{IpcPerm, SHM_DEST, SHM_LOCKED};

use super::{Party, Role, State};
use crate::stat::time;
use crate::{Id, Key, Mechanism, Permissions, Process};

/// An object of any kind.
///
/// ```
/// use sysv::{Contents, Key, Mechanism, NewSegment, Segment};
/// # let namespace = sysv::TemporaryNamespace::create()?;
///
/// Segment::create(&namespace, Key::new(42), NewSegment::of_size(100))?;
/// let snapshot = namespace.snapshot(&[Mechanism::Segment])?;
/// let Contents::Segment { size, .. } = snapshot.objects[0].contents else { panic!() };
/// assert_eq!((snapshot.objects[0].key, size), (Key::new(42), 100));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Object {
    /// What it is.
    pub mechanism: Mechanism,
    /// Its identifier, which an object of another kind may have, too.
    pub id: Id,
    /// Its key; [`Key::PRIVATE`] also once it is removed.
    pub key: Key,
    /// Owner, group and mode.
    pub permissions: Permissions,
    /// User that created it.
    pub creator: u32,
    /// Group of the user that created it.
    pub creator_group: u32,
    /// Process that created it, with its name. `None` where nobody kept that: the kernel keeps no names, and of semaphore
    /// sets and queues not even the process.
    pub created_by: Option<Process>,
    /// The creator's process id as this process sees it; 0 if it cannot, or if nobody kept it.
    pub creator_pid: u32,
    /// When it was created or its permissions were last set; for sets also when values were last assigned.
    pub changed_at: SystemTime,
    /// When it was last used: attached or detached, operated on, sent to or received from.
    pub used_at: Option<SystemTime>,
    /// Process that used it last, as this process sees it; 0 if none did or it cannot be told.
    pub last_pid: u32,
    /// What the kinds have for themselves.
    pub contents: Contents,
    /// Processes that have it attached, wait for it or owe it something. On the kernel's facility as far as this process may
    /// look at them.
    pub parties: Vec<Party>,
    /// All that in a word.
    pub state: State,
}

/// What an object has that other kinds have not.
///
/// ```
/// # let namespace = sysv::TemporaryNamespace::create()?;
/// for object in namespace.snapshot(&sysv::Mechanism::ALL)?.objects {
///     if let sysv::Contents::Queue { bytes, capacity, .. } = object.contents {
///         println!("queue {} is filled to {} %", object.id, bytes * 100 / capacity.max(1));
///     }
/// }
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Contents {
    /// A segment's.
    #[non_exhaustive]
    Segment {
        /// Bytes, as they were asked for.
        size: u64,
        /// Bytes that take memory or swap.
        resident: u64,
        /// How many times it is attached.
        attachments: u64,
        /// Whether it is removed and goes with its last attachment.
        removed: bool,
        /// Whether its memory is locked.
        memory_locked: bool,
        /// When it was last attached.
        attached_at: Option<SystemTime>,
        /// When it was last detached.
        detached_at: Option<SystemTime>,
    },
    /// A semaphore set's.
    #[non_exhaustive]
    Set {
        /// How many semaphores it has.
        count: u64,
        /// Each of them; `None` if this process may not read the set.
        semaphores: Option<Vec<Semaphore>>,
    },
    /// A queue's.
    #[non_exhaustive]
    Queue {
        /// Bytes of the messages in it.
        bytes: u64,
        /// Messages in it.
        messages: u64,
        /// Bytes that it may hold.
        capacity: u64,
        /// When a message was last sent.
        sent_at: Option<SystemTime>,
        /// When a message was last received.
        received_at: Option<SystemTime>,
        /// Process that sent last; 0 if none did or it cannot be told.
        sender: u32,
        /// Process that received last; 0 if none did or it cannot be told.
        receiver: u32,
    },
}

/// One semaphore of a set.
///
/// ```
/// # let namespace = sysv::TemporaryNamespace::create()?;
/// for object in namespace.snapshot(&[sysv::Mechanism::SemaphoreSet])?.objects {
///     if let sysv::Contents::Set { semaphores: Some(semaphores), .. } = object.contents {
///         println!("{}", semaphores.iter().map(|s| s.value.to_string()).collect::<Vec<_>>().join(" "));
///     }
/// }
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Semaphore {
    /// Its value.
    #[doc(alias = "GETVAL")]
    pub value: u16,
    /// Process that operated on it last; 0 if none did or it cannot be told.
    #[doc(alias = "GETPID")]
    pub last_pid: u32,
    /// How many wait for the value to rise.
    #[doc(alias = "GETNCNT")]
    pub waiting_for_more: u32,
    /// How many wait for the value to be zero.
    #[doc(alias = "GETZCNT")]
    pub waiting_for_zero: u32,
}

impl Object {
    /// An object of which nothing is known yet but what all have.
    pub(super) fn new(mechanism: Mechanism, id: i32, perm: &IpcPerm, ctime: i64, contents: Contents) -> Object {
        Object {
            mechanism,
            id: Id::new(id),
            key: Key::new(perm.key),
            permissions: Permissions::of(perm),
            creator: perm.cuid,
            creator_group: perm.cgid,
            created_by: None,
            creator_pid: 0,
            changed_at: time(ctime).unwrap_or(SystemTime::UNIX_EPOCH),
            used_at: None,
            last_pid: 0,
            contents,
            parties: Vec::new(),
            state: State::NeverUsed,
        }
    }

    /// How it is called, as in `queue 32768`.
    ///
    /// ```
    /// # use sysv::{Key, Mechanism, NewSegment, Segment};
    /// # let namespace = sysv::TemporaryNamespace::create()?;
    /// # let segment = Segment::create(&namespace, Key::PRIVATE, NewSegment::of_size(1))?;
    /// let object = &namespace.snapshot(&[Mechanism::Segment])?.objects[0];
    /// assert_eq!(object.name(), format!("segment {}", segment.id()));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn name(&self) -> String {
        format!("{} {}", self.mechanism, self.id)
    }

    /// Whether a process has it attached, waits for it, or will change it when it ends.
    ///
    /// ```
    /// # use sysv::{Key, Mechanism, NewSegment, Segment};
    /// # let namespace = sysv::TemporaryNamespace::create()?;
    /// # let segment = Segment::create(&namespace, Key::PRIVATE, NewSegment::of_size(1))?;
    /// let _memory = segment.attach()?;
    /// assert!(namespace.snapshot(&[Mechanism::Segment])?.objects[0].is_in_use());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn is_in_use(&self) -> bool {
        !self.parties.is_empty()
            || match &self.contents {
                Contents::Segment { attachments, .. } => *attachments > 0,
                Contents::Set { semaphores, .. } => semaphores
                    .iter()
                    .flatten()
                    .any(|semaphore| semaphore.waiting_for_more + semaphore.waiting_for_zero > 0),
                Contents::Queue { .. } => false,
            }
    }

    /// For how long nobody has used or changed it; zero while somebody has it in use. A time in the future is no proof of
    /// disuse.
    ///
    /// ```
    /// # use sysv::{Key, Mechanism, NewSegment, Segment};
    /// # let namespace = sysv::TemporaryNamespace::create()?;
    /// # let segment = Segment::create(&namespace, Key::PRIVATE, NewSegment::of_size(1))?;
    /// let snapshot = namespace.snapshot(&[Mechanism::Segment])?;
    /// assert!(snapshot.objects[0].idle(snapshot.taken_at).as_secs() < 3600);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn idle(&self, now: SystemTime) -> Duration {
        if self.is_in_use() {
            return Duration::ZERO;
        }
        let last = self.used_at.map_or(self.changed_at, |used| used.max(self.changed_at));
        now.duration_since(last).unwrap_or_default()
    }

    /// Bytes that it takes, as far as they are the object's own: a segment's resident ones, a queue's messages.
    ///
    /// ```
    /// # use sysv::{Key, Mechanism, NewSegment, Segment};
    /// # let namespace = sysv::TemporaryNamespace::create()?;
    /// # let segment = Segment::create(&namespace, Key::PRIVATE, NewSegment::of_size(1 << 20))?;
    /// assert_eq!(namespace.snapshot(&[Mechanism::Segment])?.objects[0].resident(), 0);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn resident(&self) -> u64 {
        match self.contents {
            Contents::Segment { resident, .. } => resident,
            Contents::Queue { bytes, .. } => bytes,
            Contents::Set { .. } => 0,
        }
    }

    /// The process that operated on a set last, if only one ever did.
    pub(super) fn note_last(&mut self) {
        let Contents::Set {
            semaphores: Some(semaphores),
            ..
        } = &self.contents
        else {
            return;
        };
        let mut pids = semaphores
            .iter()
            .map(|semaphore| semaphore.last_pid)
            .filter(|&pid| pid != 0);
        if let Some(first) = pids.next()
            && pids.all(|pid| pid == first)
        {
            self.last_pid = first;
        }
    }

    /// Notes who waits, where the object counts them itself.
    pub(super) fn count_waiter(&mut self, party: &Party) {
        if let (
            Contents::Set {
                semaphores: Some(semaphores),
                ..
            },
            Role::WaitsForSemaphore {
                semaphore: Some(number),
                change,
            },
        ) = (&mut self.contents, &party.role)
            && let Some(semaphore) = semaphores.get_mut(usize::from(*number))
        {
            match change {
                0 => semaphore.waiting_for_zero += 1,
                _ => semaphore.waiting_for_more += 1,
            }
        }
    }
}

/// The flags of a segment's mode.
pub(super) fn segment_flags(mode: u32) -> (bool, bool) {
    (mode & SHM_DEST != 0, mode & SHM_LOCKED != 0)
}
