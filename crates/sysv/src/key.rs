//! Keys: the names by which unrelated processes find the same object.

use std::fmt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use sysv_engine::abi::IPC_PRIVATE;

use crate::Errno;
use crate::error::operation_error;

/// The name of an object: a 32-bit number that its users agree on.
///
/// It displays as `ipcs` prints it and parses from decimal or `0x` hexadecimal.
///
/// ```
/// use sysv::Key;
///
/// let key: Key = "0x2a".parse()?;
/// assert_eq!(key, Key::new(42));
/// assert_eq!(key.to_string(), "0x0000002a");
/// # Ok::<(), sysv::ParseKeyError>(())
/// ```
#[doc(alias = "key_t")]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Key(i32);

impl Key {
    /// The key that names nothing: whoever creates with it gets a new object each time, which others can reach
    /// only by its [`Id`](crate::Id).
    ///
    /// ```
    /// use sysv::{Key, NewSegment, Segment};
    /// # let namespace = sysv::TemporaryNamespace::create()?;
    ///
    /// let one = Segment::create(&namespace, Key::PRIVATE, NewSegment::of_size(1))?;
    /// let two = Segment::create(&namespace, Key::PRIVATE, NewSegment::of_size(1))?;
    /// assert_ne!(one.id(), two.id());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[doc(alias = "IPC_PRIVATE")]
    pub const PRIVATE: Key = Key(IPC_PRIVATE);

    /// The key with this number. Zero is [`Key::PRIVATE`].
    ///
    /// ```
    /// let key = sysv::Key::new(0x5e67);
    /// assert_eq!(key.get(), 0x5e67);
    /// ```
    pub const fn new(number: i32) -> Key {
        Key(number)
    }

    /// The key that `ftok(3)` of the GNU C library makes from an existing file and a project number.
    ///
    /// Its rule, from the lowest bit: sixteen bits of the file's inode number, eight of its device number, eight of
    /// the project. Different files can therefore give the same key, and replacing the file changes it. A project
    /// of zero may give [`Key::PRIVATE`]; choose another.
    ///
    /// # Errors
    /// [`KeyError`] when the file cannot be looked at.
    ///
    /// ```
    /// use sysv::Key;
    ///
    /// let key = Key::from_path("/", b'a')?;
    /// assert_eq!(key.get() >> 24, i32::from(b'a'));
    /// assert!(Key::from_path("/no/such/file", b'a').is_err());
    /// # Ok::<(), sysv::KeyError>(())
    /// ```
    #[doc(alias = "ftok")]
    pub fn from_path(path: impl AsRef<Path>, project: u8) -> Result<Key, KeyError> {
        let path = path.as_ref();
        let file = std::fs::metadata(path).map_err(|e| KeyError {
            path: path.to_owned(),
            // A path with a zero byte is refused before any system call.
            errno: e.raw_os_error().map_or(Errno::EINVAL, Errno::from_raw),
        })?;
        let low = (file.ino() & 0xffff) | ((file.dev() & 0xff) << 16);
        Ok(Key(low as i32 | i32::from(project) << 24))
    }

    /// The key's number.
    ///
    /// ```
    /// assert_eq!(sysv::Key::PRIVATE.get(), 0);
    /// ```
    pub const fn get(self) -> i32 {
        self.0
    }

    /// Whether this is [`Key::PRIVATE`].
    ///
    /// ```
    /// assert!(sysv::Key::new(0).is_private());
    /// ```
    pub const fn is_private(self) -> bool {
        self.0 == IPC_PRIVATE
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:#010x}", self.0)
    }
}

impl FromStr for Key {
    type Err = ParseKeyError;

    fn from_str(text: &str) -> Result<Key, ParseKeyError> {
        let hexadecimal = text.strip_prefix("0x").or_else(|| text.strip_prefix("0X"));
        let number = match hexadecimal {
            Some(digits) if !digits.starts_with(['+', '-']) => u32::from_str_radix(digits, 16).ok().map(|n| n as i32),
            Some(_) => None,
            // Programs print keys as signed and as unsigned numbers; both mean the same 32 bits.
            None => text
                .parse::<i32>()
                .ok()
                .or_else(|| text.parse::<u32>().ok().map(|n| n as i32)),
        };
        number.map(Key).ok_or_else(|| ParseKeyError { text: text.to_owned() })
    }
}

/// Why [`Key::from_path`] found no key.
///
/// ```
/// let error = sysv::Key::from_path("/no/such/file", 1).unwrap_err();
/// assert_eq!(error.errno(), sysv::Errno::ENOENT);
/// assert!(error.to_string().contains("/no/such/file"));
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct KeyError {
    /// The file that should have given the key.
    pub path: PathBuf,
    errno: Errno,
}

impl KeyError {
    /// What stat(2) said.
    ///
    /// ```
    /// let error = sysv::Key::from_path("/no/such/file", 1).unwrap_err();
    /// assert_eq!(error.errno(), sysv::Errno::ENOENT);
    /// ```
    pub fn errno(&self) -> Errno {
        self.errno
    }
}

impl fmt::Display for KeyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path = self.path.display();
        write!(
            f,
            "cannot make a key from {path}: {}; give the path of a file that exists and stays",
            self.errno
        )
    }
}

operation_error!(KeyError);

/// Why a text is no [`Key`].
///
/// ```
/// let error = "forty-two".parse::<sysv::Key>().unwrap_err();
/// assert_eq!(error.to_string(), "`forty-two` is no key: give a 32-bit number, decimal or 0x hexadecimal");
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ParseKeyError {
    /// The text.
    pub text: String,
}

impl fmt::Display for ParseKeyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "`{}` is no key: give a 32-bit number, decimal or 0x hexadecimal",
            self.text
        )
    }
}

impl std::error::Error for ParseKeyError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_parses_from_every_spelling_of_its_bits_and_from_nothing_else() {
        for (text, number) in [
            ("0", 0),
            ("42", 42),
            ("-1", -1),
            ("4294967295", -1),
            ("-2147483648", i32::MIN),
            ("0x2a", 42),
            ("0X2A", 42),
            ("0xffffffff", -1),
            ("0x00000000", 0),
        ] {
            assert_eq!(text.parse(), Ok(Key::new(number)), "{text}");
        }
        for text in [
            "",
            "0x",
            "x",
            "0x1ffffffff",
            "4294967296",
            "-2147483649",
            "0x-1",
            "0x+1",
            " 1",
            "1 ",
        ] {
            assert!(text.parse::<Key>().is_err(), "{text:?}");
        }
    }

    #[test]
    fn a_displayed_key_parses_back() {
        for number in [0, 1, -1, i32::MIN, i32::MAX, 0x1234_5678] {
            assert_eq!(Key::new(number).to_string().parse(), Ok(Key::new(number)));
        }
    }
}
