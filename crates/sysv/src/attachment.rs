//! A segment's memory as this process sees it.

use std::fmt;
use std::ops::Range;
use std::ptr::NonNull;
use std::sync::atomic::Ordering;

use bytemuck::{AnyBitPattern, NoUninit};

use crate::atomic::Atomic;
use crate::mapping::Mapping;
use crate::{Access, AccessError, ReadWrite, Segment};

/// A segment's memory, mapped into this process until the attachment is dropped.
///
/// Other processes read and write the same bytes at any moment, so there is never a `&[u8]` or `&mut T` over them.
/// What there is:
///
/// | to | use | others see |
/// |---|---|---|
/// | move bytes | [`copy_out`](Self::copy_out), [`copy_in`](Self::copy_in), [`fill`](Self::fill) | any mixture of old and new bytes |
/// | move a value | [`read`](Self::read), [`write`](Self::write) | the whole of an aligned value of at most 8 bytes, a mixture otherwise |
/// | agree on something | [`atomic`](Self::atomic), [`load`](Self::load) | one value after the other, ordered as the atomic says |
///
/// Copies are not ordered among themselves for another processor to rely on: publish through an atomic. Offsets count
/// bytes from the segment's start; every access is checked against the segment's size.
///
/// Who owns a namespace's files can shorten a segment's, and this process then gets `SIGBUS` on touching the bytes
/// that are gone, as with every mapped file. The kernel's own segments cannot be shortened.
///
/// ```
/// use std::sync::atomic::{AtomicU32, Ordering};
/// use sysv::{Key, NewSegment, Segment};
/// # let namespace = sysv::TemporaryNamespace::create()?;
///
/// let segment = Segment::create(&namespace, Key::new(42), NewSegment::of_size(4096))?;
/// let memory = segment.attach()?;
/// memory.copy_in(4, b"hello")?;
/// memory.atomic::<AtomicU32>(0)?.store(5, Ordering::Release);
///
/// // In another process:
/// let memory = Segment::open(&namespace, Key::new(42))?.attach_read_only()?;
/// let length = memory.load::<AtomicU32>(0, Ordering::Acquire)? as usize;
/// assert_eq!(memory.to_vec(4..4 + length)?, b"hello");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Attachment<A: Access = ReadWrite> {
    mapping: Mapping<A>,
    segment: Segment,
}

impl<A: Access> Attachment<A> {
    pub(crate) fn new(mapping: Mapping<A>, segment: Segment) -> Attachment<A> {
        Attachment { mapping, segment }
    }

    /// The segment.
    ///
    /// ```
    /// # let namespace = sysv::TemporaryNamespace::create()?;
    /// # let segment = sysv::Segment::create(&namespace, sysv::Key::PRIVATE, sysv::NewSegment::of_size(8))?;
    /// assert_eq!(segment.attach()?.segment().id(), segment.id());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn segment(&self) -> &Segment {
        &self.segment
    }

    /// Bytes in the segment.
    ///
    /// ```
    /// # let namespace = sysv::TemporaryNamespace::create()?;
    /// # let segment = sysv::Segment::create(&namespace, sysv::Key::PRIVATE, sysv::NewSegment::of_size(100))?;
    /// assert_eq!(segment.attach()?.len(), 100);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[expect(clippy::len_without_is_empty, reason = "no segment is empty")]
    pub fn len(&self) -> usize {
        self.mapping.len()
    }

    /// Where the memory begins, for code that must use it as raw memory.
    ///
    /// It stays mapped until the attachment is dropped, for reading only if the attachment is; all the bytes may
    /// change at any moment.
    ///
    /// ```
    /// # let namespace = sysv::TemporaryNamespace::create()?;
    /// # let segment = sysv::Segment::create(&namespace, sysv::Key::PRIVATE, sysv::NewSegment::of_size(8))?;
    /// assert_eq!(segment.attach()?.as_ptr().addr().get() % 4096, 0);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn as_ptr(&self) -> NonNull<u8> {
        self.mapping.base()
    }

    /// Whether `length` bytes at `offset` lie within the segment, so that no access to them is out of bounds.
    ///
    /// # Errors
    /// [`AccessError::OutOfBounds`].
    ///
    /// ```
    /// # let namespace = sysv::TemporaryNamespace::create()?;
    /// # let segment = sysv::Segment::create(&namespace, sysv::Key::PRIVATE, sysv::NewSegment::of_size(100))?;
    /// let memory = segment.attach()?;
    /// assert!(memory.check(90, 10).is_ok());
    /// assert!(memory.check(91, 10).is_err());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn check(&self, offset: usize, length: usize) -> Result<(), AccessError> {
        self.mapping.check(offset, length)
    }

    /// Copies bytes of the segment into `buffer`, beginning at `offset`.
    ///
    /// # Errors
    /// [`AccessError::OutOfBounds`].
    ///
    /// ```
    /// # let namespace = sysv::TemporaryNamespace::create()?;
    /// # let segment = sysv::Segment::create(&namespace, sysv::Key::PRIVATE, sysv::NewSegment::of_size(100))?;
    /// let mut buffer = [1; 4];
    /// segment.attach()?.copy_out(96, &mut buffer)?;
    /// assert_eq!(buffer, [0; 4]); // New memory is zero.
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn copy_out(&self, offset: usize, buffer: &mut [u8]) -> Result<(), AccessError> {
        self.mapping.copy_out(offset, buffer)
    }

    /// A copy of the bytes in `range`.
    ///
    /// # Errors
    /// [`AccessError::OutOfBounds`], also if the range ends before it begins.
    ///
    /// ```
    /// # let namespace = sysv::TemporaryNamespace::create()?;
    /// # let segment = sysv::Segment::create(&namespace, sysv::Key::PRIVATE, sysv::NewSegment::of_size(100))?;
    /// let memory = segment.attach()?;
    /// memory.copy_in(10, b"abc")?;
    /// assert_eq!(memory.to_vec(9..14)?, b"\0abc\0");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn to_vec(&self, range: Range<usize>) -> Result<Vec<u8>, AccessError> {
        let length = length(&range).ok_or(self.mapping.out_of_bounds(range.start, 0))?;
        self.check(range.start, length)?;
        let mut bytes = vec![0; length];
        self.copy_out(range.start, &mut bytes)?;
        Ok(bytes)
    }

    /// Reads a value at `offset`, which need not be aligned.
    ///
    /// The memory is read once, now. An aligned value of 1, 2, 4 or 8 bytes is never seen half written.
    ///
    /// # Errors
    /// [`AccessError::OutOfBounds`].
    ///
    /// ```
    /// # let namespace = sysv::TemporaryNamespace::create()?;
    /// # let segment = sysv::Segment::create(&namespace, sysv::Key::PRIVATE, sysv::NewSegment::of_size(100))?;
    /// let memory = segment.attach()?;
    /// memory.copy_in(8, &[1, 2, 3, 4])?;
    /// assert_eq!(memory.read::<u32>(8)?, 0x04030201);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[inline]
    pub fn read<T: AnyBitPattern>(&self, offset: usize) -> Result<T, AccessError> {
        self.mapping.read(offset)
    }

    /// Loads the atomic at `offset`, also where the attachment is read-only.
    ///
    /// # Errors
    /// As [`atomic`](Attachment::atomic).
    ///
    /// # Panics
    /// As `AtomicU64::load`: if `order` is [`Ordering::Release`] or [`Ordering::AcqRel`].
    ///
    /// ```
    /// use std::sync::atomic::{AtomicU64, Ordering};
    /// # let namespace = sysv::TemporaryNamespace::create()?;
    /// # let segment = sysv::Segment::create(&namespace, sysv::Key::PRIVATE, sysv::NewSegment::of_size(100))?;
    ///
    /// segment.attach()?.write(16, &7u64)?;
    /// assert_eq!(segment.attach_read_only()?.load::<AtomicU64>(16, Ordering::Acquire)?, 7);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[inline]
    pub fn load<T: Atomic>(&self, offset: usize, order: Ordering) -> Result<T::Value, AccessError> {
        self.mapping.load::<T>(offset, order)
    }
}

impl Attachment<ReadWrite> {
    /// Copies `bytes` into the segment, beginning at `offset`.
    ///
    /// # Errors
    /// [`AccessError::OutOfBounds`]; nothing is written then.
    ///
    /// ```
    /// # let namespace = sysv::TemporaryNamespace::create()?;
    /// # let segment = sysv::Segment::create(&namespace, sysv::Key::PRIVATE, sysv::NewSegment::of_size(5))?;
    /// let memory = segment.attach()?;
    /// memory.copy_in(0, b"hello")?;
    /// assert!(memory.copy_in(1, b"HELLO").is_err());
    /// assert_eq!(memory.to_vec(0..5)?, b"hello");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn copy_in(&self, offset: usize, bytes: &[u8]) -> Result<(), AccessError> {
        self.mapping.copy_in(offset, bytes)
    }

    /// Sets every byte in `range` to `byte`.
    ///
    /// # Errors
    /// [`AccessError::OutOfBounds`], also if the range ends before it begins; nothing is written then.
    ///
    /// ```
    /// # let namespace = sysv::TemporaryNamespace::create()?;
    /// # let segment = sysv::Segment::create(&namespace, sysv::Key::PRIVATE, sysv::NewSegment::of_size(5))?;
    /// let memory = segment.attach()?;
    /// memory.fill(1..4, b'x')?;
    /// assert_eq!(memory.to_vec(0..5)?, b"\0xxx\0");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn fill(&self, range: Range<usize>, byte: u8) -> Result<(), AccessError> {
        let length = length(&range).ok_or(self.mapping.out_of_bounds(range.start, 0))?;
        self.mapping.fill(range.start, length, byte)
    }

    /// Writes a value at `offset`, which need not be aligned.
    ///
    /// The memory is written once, now. Nobody sees an aligned value of 1, 2, 4 or 8 bytes half written.
    ///
    /// # Errors
    /// [`AccessError::OutOfBounds`]; nothing is written then.
    ///
    /// ```
    /// # let namespace = sysv::TemporaryNamespace::create()?;
    /// # let segment = sysv::Segment::create(&namespace, sysv::Key::PRIVATE, sysv::NewSegment::of_size(100))?;
    /// let memory = segment.attach()?;
    /// memory.write(3, &[1.5f64, 2.5])?;
    /// assert_eq!(memory.read::<f64>(11)?, 2.5);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[inline]
    pub fn write<T: NoUninit>(&self, offset: usize, value: &T) -> Result<(), AccessError> {
        self.mapping.copy_in(offset, bytemuck::bytes_of(value))
    }

    /// The atomic at `offset`, for as long as the segment is attached.
    ///
    /// Take the reference once and keep it: finding it again costs a look-up. It behaves across processes as it does
    /// across threads.
    ///
    /// # Errors
    /// [`AccessError::OutOfBounds`]; [`AccessError::Misaligned`] if the offset is not a multiple of the atomic's
    /// size; [`AccessError::Overlapping`] if some of the bytes have been used through this attachment as an atomic of
    /// another size.
    ///
    /// ```
    /// use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
    /// # let namespace = sysv::TemporaryNamespace::create()?;
    /// # let segment = sysv::Segment::create(&namespace, sysv::Key::PRIVATE, sysv::NewSegment::of_size(100))?;
    ///
    /// let memory = segment.attach()?;
    /// let counter: &AtomicU64 = memory.atomic(8)?;
    /// counter.fetch_add(1, Ordering::Relaxed);
    /// assert!(memory.atomic::<AtomicU32>(12).is_err()); // Half of the counter.
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[inline]
    pub fn atomic<T: Atomic>(&self, offset: usize) -> Result<&T, AccessError> {
        self.mapping.atomic(offset)
    }
}

/// Bytes in a range; none if it ends before it begins.
fn length(range: &Range<usize>) -> Option<usize> {
    range.end.checked_sub(range.start)
}

impl<A: Access> fmt::Debug for Attachment<A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Attachment")
            .field("segment", &self.segment)
            .field("address", &self.mapping.base())
            .field("len", &self.len())
            .field("writable", &A::WRITABLE)
            .finish()
    }
}
