//! The error of every facility call: the C `errno` value and nothing else.

use core::fmt;

/// An `errno` value as the Linux kernel returns it.
///
/// A newtype and not an enum, because a call that reaches the kernel may return values that no list
/// foresees, and all of them must pass through unchanged.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Errno(i32);

/// The result of a facility call.
pub type Result<T> = core::result::Result<T, Errno>;

macro_rules! errnos {
    ($($name:ident, $text:literal;)*) => {
        impl Errno {
            $(#[doc = $text] pub const $name: Errno = Errno(libc::$name);)*

            /// The value's symbolic name (`"EACCES"`), or `None` for one that this facility never
            /// originates.
            pub const fn name(self) -> Option<&'static str> {
                match self.0 {
                    $(libc::$name => Some(stringify!($name)),)*
                    _ => None,
                }
            }

            /// The sentence that `strerror(3)` prints for it in the C locale.
            pub const fn message(self) -> &'static str {
                match self.0 {
                    $(libc::$name => $text,)*
                    _ => "Unknown error",
                }
            }
        }
    };
}

errnos! {
    E2BIG, "Argument list too long";
    EACCES, "Permission denied";
    EAGAIN, "Resource temporarily unavailable";
    EBADF, "Bad file descriptor";
    EBUSY, "Device or resource busy";
    EDEADLK, "Resource deadlock avoided";
    EDQUOT, "Disk quota exceeded";
    EEXIST, "File exists";
    EFAULT, "Bad address";
    EFBIG, "File too large";
    EIDRM, "Identifier removed";
    EINTR, "Interrupted system call";
    EINVAL, "Invalid argument";
    EIO, "Input/output error";
    EISDIR, "Is a directory";
    ELOOP, "Too many levels of symbolic links";
    EMFILE, "Too many open files";
    ENAMETOOLONG, "File name too long";
    ENFILE, "Too many open files in system";
    ENODATA, "No data available";
    ENODEV, "No such device";
    ENOENT, "No such file or directory";
    ENOMEM, "Cannot allocate memory";
    ENOMSG, "No message of desired type";
    ENOSPC, "No space left on device";
    ENOSYS, "Function not implemented";
    ENOTDIR, "Not a directory";
    ENXIO, "No such device or address";
    EOPNOTSUPP, "Operation not supported";
    EOVERFLOW, "Value too large for defined data type";
    EPERM, "Operation not permitted";
    ERANGE, "Numerical result out of range";
    EROFS, "Read-only file system";
    ESRCH, "No such process";
    ETIMEDOUT, "Connection timed out";
}

impl Errno {
    /// Wraps a positive `errno` value.
    pub const fn from_raw(value: i32) -> Errno {
        Errno(value)
    }

    /// The positive value to store in the C `errno`.
    pub const fn raw(self) -> i32 {
        self.0
    }
}

impl fmt::Debug for Errno {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.name() {
            Some(name) => f.write_str(name),
            None => write!(f, "Errno({})", self.0),
        }
    }
}

impl fmt::Display for Errno {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.name() {
            Some(name) => write!(f, "{} ({name})", self.message()),
            None => write!(f, "error {}", self.0),
        }
    }
}

impl core::error::Error for Errno {}
