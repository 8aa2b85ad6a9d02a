//! How much a facility gives.

use crate::backend::Backend;
use crate::{Errno, LimitsError, Location, Namespace, kernel_proc};

/// The limits of a facility, which Linux keeps under `/proc/sys/kernel`.
///
/// ```
/// # let namespace = sysv::TemporaryNamespace::create()?;
/// let mut limits = namespace.limits()?;
/// limits.shmmni = 100;
/// namespace.set_limits(&limits)?; // The namespace's owner may, without being root.
/// assert_eq!(namespace.limits()?.shmmni, 100);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[doc(alias = "shminfo")]
#[doc(alias = "seminfo")]
#[doc(alias = "msginfo")]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Limits {
    /// Largest segment, in bytes.
    pub shmmax: u64,
    /// Sum of all segments, in pages of 4096 bytes.
    pub shmall: u64,
    /// Number of segments.
    pub shmmni: u64,
    /// Semaphores of a set.
    pub semmsl: u64,
    /// Semaphores of all sets together.
    pub semmns: u64,
    /// Operations of one semop(2).
    pub semopm: u64,
    /// Number of semaphore sets.
    pub semmni: u64,
    /// Largest message, in bytes.
    pub msgmax: u64,
    /// Bytes that a new message queue may hold.
    pub msgmnb: u64,
    /// Number of message queues.
    pub msgmni: u64,
}

impl Limits {
    /// The names of the limits, as under `/proc/sys/kernel`; of the four numbers of its file `sem`, as proc(5) calls them.
    ///
    /// ```
    /// assert!(sysv::Limits::NAMES.contains(&"shmmax"));
    /// ```
    pub const NAMES: [&str; 10] = [
        "shmmax", "shmall", "shmmni", "semmsl", "semmns", "semopm", "semmni", "msgmax", "msgmnb", "msgmni",
    ];

    /// The limit with this name, if there is one.
    ///
    /// ```
    /// # let namespace = sysv::TemporaryNamespace::create()?;
    /// let mut limits = namespace.limits()?;
    /// *limits.by_name("shmmax").unwrap() = 1 << 30;
    /// assert_eq!(limits.shmmax, 1 << 30);
    /// assert!(limits.by_name("shmseg").is_none());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn by_name(&mut self, name: &str) -> Option<&mut u64> {
        Some(match name {
            "shmmax" => &mut self.shmmax,
            "shmall" => &mut self.shmall,
            "shmmni" => &mut self.shmmni,
            "semmsl" => &mut self.semmsl,
            "semmns" => &mut self.semmns,
            "semopm" => &mut self.semopm,
            "semmni" => &mut self.semmni,
            "msgmax" => &mut self.msgmax,
            "msgmnb" => &mut self.msgmnb,
            "msgmni" => &mut self.msgmni,
            _ => return None,
        })
    }
}

/// How much of a facility is used.
///
/// ```
/// use sysv::{Key, NewSegment, Segment};
/// # let namespace = sysv::TemporaryNamespace::create()?;
///
/// Segment::create(&namespace, Key::PRIVATE, NewSegment::of_size(5000))?;
/// let usage = namespace.usage()?;
/// assert_eq!((usage.segments, usage.segment_pages), (1, 2));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[doc(alias = "shm_info")]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Usage {
    /// Segments that exist.
    pub segments: u64,
    /// The sum of their sizes, in pages of 4096 bytes.
    pub segment_pages: u64,
    /// Semaphore sets that exist.
    pub sets: u64,
    /// Semaphores that exist.
    pub semaphores: u64,
    /// Message queues that exist.
    pub queues: u64,
    /// Messages in them.
    pub messages: u64,
    /// Bytes of those.
    pub message_bytes: u64,
}

impl Usage {
    /// How much is used of the limit with this name: none of one on single objects.
    ///
    /// ```
    /// # let namespace = sysv::TemporaryNamespace::create()?;
    /// let usage = namespace.usage()?;
    /// assert_eq!(usage.of_limit("shmmni"), Some(0));
    /// assert_eq!(usage.of_limit("shmmax"), None);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn of_limit(&self, name: &str) -> Option<u64> {
        match name {
            "shmall" => Some(self.segment_pages),
            "shmmni" => Some(self.segments),
            "semmns" => Some(self.semaphores),
            "semmni" => Some(self.sets),
            "msgmni" => Some(self.queues),
            _ => None,
        }
    }
}

impl Namespace {
    /// The limits in force.
    ///
    /// # Errors
    /// [`LimitsError`] if the facility cannot be asked.
    ///
    /// ```
    /// # let namespace = sysv::TemporaryNamespace::create()?;
    /// println!("a segment may have {} bytes", namespace.limits()?.shmmax);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[doc(alias = "IPC_INFO")]
    pub fn limits(&self) -> Result<Limits, LimitsError> {
        let failed = |errno| self.limits_error("read", errno);
        let backend = self.backend();
        let (_, segments) = backend.segments().shm_limits().map_err(failed)?;
        let (_, semaphores) = backend.semaphores().sem_limits().map_err(failed)?;
        let (_, queues) = backend.queues().msg_limits().map_err(failed)?;
        Ok(Limits {
            shmmax: segments.shmmax,
            shmall: segments.shmall,
            shmmni: segments.shmmni,
            semmsl: number(semaphores.semmsl),
            semmns: number(semaphores.semmns),
            semopm: number(semaphores.semopm),
            semmni: number(semaphores.semmni),
            msgmax: number(queues.msgmax),
            msgmnb: number(queues.msgmnb),
            msgmni: number(queues.msgmni),
        })
    }

    /// How much of the facility is used.
    ///
    /// # Errors
    /// [`LimitsError`] if the facility cannot be asked.
    ///
    /// ```
    /// # let namespace = sysv::TemporaryNamespace::create()?;
    /// println!("{} of {} sets", namespace.usage()?.sets, namespace.limits()?.semmni);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[doc(alias = "SHM_INFO")]
    #[doc(alias = "SEM_INFO")]
    #[doc(alias = "MSG_INFO")]
    pub fn usage(&self) -> Result<Usage, LimitsError> {
        let failed = |errno| self.limits_error("read", errno);
        let backend = self.backend();
        let (_, segments) = backend.segments().shm_usage().map_err(failed)?;
        let (_, semaphores) = backend.semaphores().sem_usage().map_err(failed)?;
        let (_, queues) = backend.queues().msg_usage().map_err(failed)?;
        Ok(Usage {
            segments: number(segments.used_ids),
            segment_pages: segments.shm_tot,
            sets: number(semaphores.semusz),
            semaphores: number(semaphores.semaem),
            queues: number(queues.msgpool),
            messages: number(queues.msgmap),
            message_bytes: number(queues.msgtql),
        })
    }

    /// Sets the limits, for every process from its next call on. Objects that exist stay.
    ///
    /// Those of a namespace its owner may set; the kernel's only root.
    ///
    /// # Errors
    /// [`LimitsError`]: `EACCES` for others, `EINVAL` for a number beyond what the facility can do.
    ///
    /// ```
    /// use sysv::{GetError, Key, NewSegment, Segment};
    /// # let namespace = sysv::TemporaryNamespace::create()?;
    ///
    /// let mut limits = namespace.limits()?;
    /// limits.shmmax = 1 << 20;
    /// namespace.set_limits(&limits)?;
    /// let error = Segment::create(&namespace, Key::PRIVATE, NewSegment::of_size(2 << 20)).unwrap_err();
    /// assert!(matches!(error, GetError::Size { shmmax: 0x100000, .. }));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn set_limits(&self, limits: &Limits) -> Result<(), LimitsError> {
        let set = match self.backend() {
            Backend::Kernel => set_kernel_limits(limits),
            Backend::Engine(engine) => {
                let mut new = engine.limits();
                (new.shmmax, new.shmall, new.shmmni) = (limits.shmmax, limits.shmall, limits.shmmni);
                (new.semmsl, new.semmns, new.semopm) = (limits.semmsl, limits.semmns, limits.semopm);
                new.semmni = limits.semmni;
                (new.msgmax, new.msgmnb, new.msgmni) = (limits.msgmax, limits.msgmnb, limits.msgmni);
                engine.set_limits(&new)
            }
        };
        set.map_err(|errno| self.limits_error("set", errno))
    }

    fn limits_error(&self, action: &'static str, errno: Errno) -> LimitsError {
        LimitsError {
            location: self.location().clone(),
            action,
            errno,
        }
    }
}

/// What the facility counts in an `int` and never lets fall below 0.
fn number(count: i32) -> u64 {
    u64::try_from(count).unwrap_or(0)
}

/// The limits that have a file of their own under `/proc/sys/kernel`.
const FILES: [&str; 6] = ["shmmax", "shmall", "shmmni", "msgmax", "msgmnb", "msgmni"];

/// Writes those that differ, so that a user who changes nothing needs no permission.
fn set_kernel_limits(limits: &Limits) -> Result<(), Errno> {
    let mut limits = *limits;
    for name in FILES {
        let wanted = limits.by_name(name).ok_or(Errno::EINVAL)?.to_string();
        if kernel_proc::limit(name)? != wanted {
            kernel_proc::set_limit(name, &wanted)?;
        }
    }
    let Limits {
        semmsl,
        semmns,
        semopm,
        semmni,
        ..
    } = limits;
    let wanted = format!("{semmsl}\t{semmns}\t{semopm}\t{semmni}");
    if kernel_proc::limit("sem")? != wanted {
        kernel_proc::set_limit("sem", &wanted)?;
    }
    Ok(())
}

impl LimitsError {
    fn remedy(&self) -> &'static str {
        match (self.errno, &self.location) {
            (Errno::EACCES | Errno::EPERM, Location::Kernel) => "; only root can, or raise a namespace's instead",
            (Errno::EACCES | Errno::EPERM, _) => "; only the namespace's owner can",
            (Errno::EINVAL, Location::Kernel) => "; give numbers that the kernel can do",
            (Errno::EINVAL, _) => {
                "; give numbers that a namespace can do: shmmni at most 16384, semmni and msgmni 32768, semmsl 65536"
            }
            _ => "",
        }
    }
}

impl std::fmt::Display for LimitsError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "cannot {} the limits of {}: {}{}",
            self.action,
            self.location,
            self.errno,
            self.remedy()
        )
    }
}
