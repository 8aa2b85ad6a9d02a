//! Why an access to an attachment's memory was refused.

use std::fmt;

use super::operation_error;
use crate::Errno;

/// Why bytes of an attachment, or of a message in place, cannot be accessed as asked. Nothing was read or written.
///
/// ```
/// use std::sync::atomic::AtomicU32;
/// use sysv::{AccessError, Key, NewSegment, Segment};
/// # let namespace = sysv::TemporaryNamespace::create()?;
///
/// let memory = Segment::create(&namespace, Key::PRIVATE, NewSegment::of_size(100))?.attach()?;
/// assert!(matches!(memory.write(98, &1u32), Err(AccessError::OutOfBounds { size: 100, .. })));
/// assert!(matches!(memory.atomic::<AtomicU32>(2), Err(AccessError::Misaligned { offset: 2, .. })));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum AccessError {
    /// The range reaches beyond the segment.
    #[non_exhaustive]
    OutOfBounds {
        /// First byte of the range, counted from the segment's start.
        offset: usize,
        /// Bytes in the range.
        length: usize,
        /// Bytes in the segment.
        size: usize,
    },
    /// The range reaches beyond the message.
    #[non_exhaustive]
    BeyondMessage {
        /// First byte of the range, counted from the message's start.
        offset: usize,
        /// Bytes in the range.
        length: usize,
        /// Bytes in the message.
        size: usize,
    },
    /// An atomic's offset is not a multiple of its size.
    #[non_exhaustive]
    Misaligned {
        /// The offset.
        offset: usize,
        /// What it must be a multiple of.
        alignment: usize,
    },
    /// Some of these bytes have been used through this attachment as an atomic of another size or offset. Rust gives
    /// overlapping atomics of different sizes no meaning.
    #[non_exhaustive]
    Overlapping {
        /// The atomic's offset.
        offset: usize,
        /// The atomic's size in bytes.
        length: usize,
    },
}

impl AccessError {
    /// `EFAULT` beyond the segment or the message, `EINVAL` otherwise.
    ///
    /// ```
    /// use sysv::{Errno, Key, NewSegment, Segment};
    /// # let namespace = sysv::TemporaryNamespace::create()?;
    ///
    /// let memory = Segment::create(&namespace, Key::PRIVATE, NewSegment::of_size(1))?.attach()?;
    /// assert_eq!(memory.read::<u16>(0).unwrap_err().errno(), Errno::EFAULT);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn errno(&self) -> Errno {
        match self {
            AccessError::OutOfBounds { .. } | AccessError::BeyondMessage { .. } => Errno::EFAULT,
            AccessError::Misaligned { .. } | AccessError::Overlapping { .. } => Errno::EINVAL,
        }
    }
}

impl fmt::Display for AccessError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            AccessError::OutOfBounds { offset, length, size } => {
                write!(
                    f,
                    "{length} bytes at offset {offset} reach beyond the segment's {size} bytes; "
                )?;
                f.write_str("access less, or create a larger segment")
            }
            AccessError::BeyondMessage { offset, length, size } => {
                write!(
                    f,
                    "{length} bytes at offset {offset} reach beyond the message's {size} bytes; "
                )?;
                f.write_str("look at its length first")
            }
            AccessError::Misaligned { offset, alignment } => {
                write!(
                    f,
                    "offset {offset} is not a multiple of {alignment}; place the atomic at one"
                )
            }
            AccessError::Overlapping { offset, length } => {
                write!(
                    f,
                    "the {length} bytes at offset {offset} overlap an atomic of another size or place; "
                )?;
                f.write_str("use one type for the same bytes, or attach the segment once more")
            }
        }
    }
}

operation_error!(AccessError);
