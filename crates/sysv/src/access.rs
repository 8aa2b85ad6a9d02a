//! What an attachment may do, as types, so that the compiler refuses the rest.

/// What an [`Attachment`](crate::Attachment) may do with the memory: [`ReadWrite`] or [`ReadOnly`].
///
/// ```
/// use sysv::{Access, Attachment};
///
/// fn checksum<A: Access>(memory: &Attachment<A>) -> u8 {
///     memory.to_vec(0..memory.len()).unwrap().iter().fold(0, |sum, byte| sum ^ byte)
/// }
/// # let namespace = sysv::TemporaryNamespace::create()?;
/// # let segment = sysv::Segment::create(&namespace, sysv::Key::PRIVATE, sysv::NewSegment::of_size(8))?;
/// assert_eq!(checksum(&segment.attach()?), checksum(&segment.attach_read_only()?));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub trait Access: sealed::Sealed {}

mod sealed {
    pub trait Sealed {
        /// Whether the memory is mapped for writing.
        const WRITABLE: bool;
    }
}

/// Reading and writing.
///
/// ```
/// # let namespace = sysv::TemporaryNamespace::create()?;
/// # let segment = sysv::Segment::create(&namespace, sysv::Key::PRIVATE, sysv::NewSegment::of_size(8))?;
/// let memory: sysv::Attachment<sysv::ReadWrite> = segment.attach()?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub enum ReadWrite {}

/// Reading.
///
/// ```
/// # let namespace = sysv::TemporaryNamespace::create()?;
/// # let segment = sysv::Segment::create(&namespace, sysv::Key::PRIVATE, sysv::NewSegment::of_size(8))?;
/// let memory: sysv::Attachment<sysv::ReadOnly> = segment.attach_read_only()?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// What writes does not compile:
///
/// ```compile_fail,E0599
/// # let namespace = sysv::TemporaryNamespace::create()?;
/// # let segment = sysv::Segment::create(&namespace, sysv::Key::PRIVATE, sysv::NewSegment::of_size(8))?;
/// segment.attach_read_only()?.fill(0..8, 1)?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub enum ReadOnly {}

impl sealed::Sealed for ReadWrite {
    const WRITABLE: bool = true;
}
impl sealed::Sealed for ReadOnly {
    const WRITABLE: bool = false;
}
impl Access for ReadWrite {}
impl Access for ReadOnly {}
