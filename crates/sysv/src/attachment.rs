//! A segment's memory as this process sees it.

#![allow(unsafe_code)]

use std::fmt;
use std::marker::PhantomData;
use std::ops::Range;
use std::ptr::NonNull;
use std::sync::atomic::Ordering;

use bytemuck::{AnyBitPattern, NoUninit};

use crate::atomic::{self, Atomic};
use crate::claims::Claims;
use crate::mapping::Mapping;
use crate::{AccessError, Segment, memory};

/// What an [`Attachment`] may do with the memory: [`ReadWrite`] or [`ReadOnly`].
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
    mapping: Mapping,
    segment: Segment,
    claims: Claims,
    access: PhantomData<A>,
}

impl<A: Access> Attachment<A> {
    pub(crate) fn new(mapping: Mapping, segment: Segment) -> Attachment<A> {
        Attachment {
            mapping,
            segment,
            claims: Claims::default(),
            access: PhantomData,
        }
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
        self.at(offset, length).map(drop)
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
        let src = self.at(offset, buffer.len())?;
        // SAFETY: `at` keeps the range within the mapping, which is readable; the buffer is ours alone, and a
        // private buffer cannot lie within the mapping, over which no slice is ever made.
        unsafe { memory::copy(src.as_ptr(), buffer.as_mut_ptr(), buffer.len()) };
        Ok(())
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
        self.at_range(&range)?;
        let mut bytes = vec![0; range.len()];
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
        let src = self.at(offset, size_of::<T>())?;
        // SAFETY: `at` keeps the range within the mapping, which is readable.
        Ok(unsafe { memory::read(src.as_ptr()) })
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
        let at = self.at_aligned::<T>(offset)?;
        // Loads alone do not conflict, so a read-only attachment has nothing to remember.
        if <A as sealed::Sealed>::WRITABLE {
            self.claim::<T>(offset)?;
        }
        // SAFETY: within the mapping and aligned, as checked; what else the compiler knows to touch these bytes
        // through this mapping are loads, or atomics of this place and size.
        Ok(unsafe { atomic::load::<T>(at, order) })
    }

    /// The address of `length` bytes at `offset`, all within the segment.
    #[inline]
    fn at(&self, offset: usize, length: usize) -> Result<NonNull<u8>, AccessError> {
        let size = self.len();
        match offset.checked_add(length) {
            // SAFETY: at most one past the end of one mapping.
            Some(end) if end <= size => Ok(unsafe { self.mapping.base().add(offset) }),
            _ => Err(AccessError::OutOfBounds { offset, length, size }),
        }
    }

    fn at_range(&self, range: &Range<usize>) -> Result<NonNull<u8>, AccessError> {
        let size = self.len();
        let length = range.end.checked_sub(range.start);
        let length = length.ok_or(AccessError::OutOfBounds {
            offset: range.start,
            length: 0,
            size,
        })?;
        self.at(range.start, length)
    }

    #[inline]
    fn at_aligned<T: Atomic>(&self, offset: usize) -> Result<NonNull<u8>, AccessError> {
        let at = self.at(offset, size_of::<T>())?;
        // The mapping begins at a page, so the offset's alignment is the address's.
        if !offset.is_multiple_of(align_of::<T>()) {
            return Err(AccessError::Misaligned {
                offset,
                alignment: align_of::<T>(),
            });
        }
        Ok(at)
    }

    fn claim<T: Atomic>(&self, offset: usize) -> Result<(), AccessError> {
        let length = size_of::<T>();
        self.claims
            .claim(offset, length)
            .then_some(())
            .ok_or(AccessError::Overlapping { offset, length })
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
        let dst = self.at(offset, bytes.len())?;
        // SAFETY: `at` keeps the range within the mapping, which is writable; a private slice cannot lie within
        // the mapping, over which no slice is ever made.
        unsafe { memory::copy(bytes.as_ptr(), dst.as_ptr(), bytes.len()) };
        Ok(())
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
        let dst = self.at_range(&range)?;
        // SAFETY: `at_range` keeps the range within the mapping, which is writable.
        unsafe { memory::fill(dst.as_ptr(), byte, range.len()) };
        Ok(())
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
        let dst = self.at(offset, size_of::<T>())?;
        // SAFETY: `at` keeps the range within the mapping, which is writable; `NoUninit` says that all bytes of
        // the value are initialised, and the value is not within the mapping, over which no reference to such a type
        // is ever made.
        unsafe { memory::copy((&raw const *value).cast(), dst.as_ptr(), size_of::<T>()) };
        Ok(())
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
        let at = self.at_aligned::<T>(offset)?;
        self.claim::<T>(offset)?;
        // SAFETY: within the mapping, aligned and claimed for this place and size, as checked; the reference borrows
        // the attachment, and with it the mapping. Copies are opaque to the compiler (see `memory`).
        Ok(unsafe { atomic::reference(at) })
    }
}

impl<A: Access> fmt::Debug for Attachment<A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Attachment")
            .field("segment", &self.segment)
            .field("address", &self.mapping.base())
            .field("len", &self.len())
            .field("writable", &<A as sealed::Sealed>::WRITABLE)
            .finish()
    }
}
