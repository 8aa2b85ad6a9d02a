//! File names without a heap: the engine allocates nothing.

use core::ffi::CStr;
use core::fmt::{self, Write};

use crate::errno::{Errno, Result};

/// The longest name, its terminator included (`PATH_MAX`).
const CAPACITY: usize = 4096;

/// A terminated file name in a fixed buffer.
#[derive(Clone)]
pub struct PathBuf {
    bytes: [u8; CAPACITY],
    len: usize,
}

impl PathBuf {
    /// The empty name.
    pub const fn new() -> PathBuf {
        PathBuf {
            bytes: [0; CAPACITY],
            len: 0,
        }
    }

    /// A name from its parts: `PathBuf::from_args(format_args!("{}/table", dir))`.
    ///
    /// # Errors
    /// `ENAMETOOLONG` if it does not fit.
    pub fn from_args(args: fmt::Arguments<'_>) -> Result<PathBuf> {
        let mut path = PathBuf::new();
        path.write_fmt(args).map_err(|_| Errno::ENAMETOOLONG)?;
        Ok(path)
    }

    /// Appends bytes.
    ///
    /// # Errors
    /// `ENAMETOOLONG` if they do not fit.
    pub fn push(&mut self, bytes: &[u8]) -> Result<()> {
        let end = self.len + bytes.len();
        if end >= CAPACITY || bytes.contains(&0) {
            return Err(Errno::ENAMETOOLONG);
        }
        self.bytes[self.len..end].copy_from_slice(bytes);
        self.bytes[end] = 0;
        self.len = end;
        Ok(())
    }

    /// `directory/name`.
    ///
    /// # Errors
    /// `ENAMETOOLONG` if it does not fit.
    pub fn join(directory: &CStr, name: &[u8]) -> Result<PathBuf> {
        let mut path = PathBuf::new();
        path.push(directory.to_bytes())?;
        path.push(b"/")?;
        path.push(name)?;
        Ok(path)
    }

    /// The name as C wants it.
    pub fn as_c_str(&self) -> &CStr {
        // The bytes up to `len` hold no NUL and the one at `len` is NUL; the empty name otherwise.
        CStr::from_bytes_until_nul(&self.bytes).unwrap_or_default()
    }

    /// The name's bytes without the terminator.
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes[..self.len]
    }

    /// Whether nothing has been pushed.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }
}

impl Default for PathBuf {
    fn default() -> PathBuf {
        PathBuf::new()
    }
}

impl fmt::Write for PathBuf {
    fn write_str(&mut self, s: &str) -> fmt::Result {
        self.push(s.as_bytes()).map_err(|_| fmt::Error)
    }
}

impl fmt::Debug for PathBuf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.as_c_str(), f)
    }
}
