//! Permissions: who owns an object and who may do what with it.

use std::fmt;
use std::str::FromStr;

use sysv_engine::PermChange;
use sysv_engine::abi::{IpcPerm, S_IRWXUGO};

/// The nine permission bits of an object: read and write for its owner, its group and everybody else.
///
/// The process's umask does not apply to them. The execute bits exist but mean nothing for segments.
///
/// ```
/// use sysv::Mode;
///
/// let mode = Mode::new(0o640);
/// assert_eq!(mode.to_string(), "640");
/// assert_eq!("0640".parse(), Ok(mode));
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Mode(u32);

impl Mode {
    /// Read and write for the owner, nothing for others: what new objects have unless told otherwise.
    ///
    /// ```
    /// assert_eq!(sysv::Mode::OWNER, sysv::Mode::new(0o600));
    /// ```
    pub const OWNER: Mode = Mode(0o600);

    /// The mode with these bits. As in shmget(2), bits beyond the nine do not count.
    ///
    /// ```
    /// assert_eq!(sysv::Mode::new(0o100644).bits(), 0o644);
    /// ```
    pub const fn new(bits: u32) -> Mode {
        Mode(bits & S_IRWXUGO)
    }

    /// The nine bits.
    ///
    /// ```
    /// assert_eq!(sysv::Mode::OWNER.bits(), 0o600);
    /// ```
    pub const fn bits(self) -> u32 {
        self.0
    }
}

impl fmt::Display for Mode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:03o}", self.0)
    }
}

impl fmt::Debug for Mode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Mode({:#05o})", self.0)
    }
}

impl FromStr for Mode {
    type Err = ParseModeError;

    fn from_str(text: &str) -> Result<Mode, ParseModeError> {
        let digits = text.strip_prefix("0o").unwrap_or(text);
        let error = || ParseModeError { text: text.to_owned() };
        if digits.starts_with('+') {
            return Err(error());
        }
        match u32::from_str_radix(digits, 8) {
            Ok(bits) if bits <= S_IRWXUGO => Ok(Mode(bits)),
            _ => Err(error()),
        }
    }
}

/// Why a text is no [`Mode`].
///
/// ```
/// let error = "rw".parse::<sysv::Mode>().unwrap_err();
/// assert_eq!(error.to_string(), "`rw` is no mode: give at most three octal digits, as in 640");
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ParseModeError {
    /// The text.
    pub text: String,
}

impl fmt::Display for ParseModeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "`{}` is no mode: give at most three octal digits, as in 640",
            self.text
        )
    }
}

impl std::error::Error for ParseModeError {}

/// Owner, group and mode of an object: what [`Segment::set_permissions`](crate::Segment::set_permissions) changes.
///
/// ```
/// use sysv::{Key, Mode, NewSegment, Permissions, Segment};
/// # let namespace = sysv::TemporaryNamespace::create()?;
///
/// let segment = Segment::create(&namespace, Key::PRIVATE, NewSegment::of_size(1))?;
/// let now = segment.stat()?.permissions;
/// segment.set_permissions(Permissions { mode: Mode::new(0o644), ..now })?;
/// assert_eq!(segment.stat()?.permissions.mode, Mode::new(0o644));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[doc(alias = "ipc_perm")]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Permissions {
    /// User that owns the object.
    pub owner: u32,
    /// Group that the mode's middle three bits are for.
    pub group: u32,
    /// What owner, group and others may do.
    pub mode: Mode,
}

impl Permissions {
    pub(crate) fn of(perm: &IpcPerm) -> Permissions {
        Permissions {
            owner: perm.uid,
            group: perm.gid,
            mode: Mode::new(perm.mode),
        }
    }

    /// As `IPC_SET` wants them.
    pub(crate) fn change(self) -> PermChange {
        PermChange {
            uid: self.owner,
            gid: self.group,
            mode: self.mode.bits(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mode_parses_from_octal_only() {
        for (text, bits) in [("0", 0), ("600", 0o600), ("0640", 0o640), ("0o777", 0o777), ("7", 7)] {
            assert_eq!(text.parse(), Ok(Mode::new(bits)), "{text}");
        }
        for text in ["", "8", "1000", "-1", "+7", "0o+7", "0x1ff", "rw-"] {
            assert!(text.parse::<Mode>().is_err(), "{text:?}");
        }
    }
}
