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
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Limits {
    /// Largest segment, in bytes.
    pub shmmax: u64,
    /// Sum of all segments, in pages of 4096 bytes.
    pub shmall: u64,
    /// Number of segments.
    pub shmmni: u64,
}

impl Limits {
    /// The names of the limits, as under `/proc/sys/kernel`.
    ///
    /// ```
    /// assert!(sysv::Limits::NAMES.contains(&"shmmax"));
    /// ```
    pub const NAMES: [&str; 3] = ["shmmax", "shmall", "shmmni"];

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
        match name {
            "shmmax" => Some(&mut self.shmmax),
            "shmall" => Some(&mut self.shmall),
            "shmmni" => Some(&mut self.shmmni),
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
        let (_, info) = self
            .backend()
            .segments()
            .shm_limits()
            .map_err(|errno| self.limits_error("read", errno))?;
        Ok(Limits {
            shmmax: info.shmmax,
            shmall: info.shmall,
            shmmni: info.shmmni,
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

/// Writes those that differ, so that a user who changes nothing needs no permission.
fn set_kernel_limits(limits: &Limits) -> Result<(), Errno> {
    let mut limits = *limits;
    for name in Limits::NAMES {
        let wanted = *limits.by_name(name).ok_or(Errno::EINVAL)?;
        if kernel_proc::limit(name)? != wanted {
            kernel_proc::set_limit(name, wanted)?;
        }
    }
    Ok(())
}

impl LimitsError {
    fn remedy(&self) -> &'static str {
        match (self.errno, &self.location) {
            (Errno::EACCES | Errno::EPERM, Location::Kernel) => "; only root can, or raise a namespace's instead",
            (Errno::EACCES | Errno::EPERM, _) => "; only the namespace's owner can",
            (Errno::EINVAL, _) => "; give numbers that the facility can do: shmmni at most 16384 in a namespace",
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
