//! The one place where a segment's memory enters and leaves the process, and where addresses in it are made.

#![allow(unsafe_code)]

use std::marker::PhantomData;
use std::ptr::NonNull;
use std::sync::atomic::Ordering;

use bytemuck::AnyBitPattern;
use sysv_engine::Errno;
use sysv_engine::abi::{SHM_RDONLY, SHM_REMAP};

use crate::atomic::{self, Atomic};
use crate::claims::Claims;
use crate::{Access, AccessError, Namespace, ReadWrite, memory};

/// An attached segment: `len` bytes from `base` are mapped until this is dropped, for reading, and for writing if `A`
/// says so.
///
/// No reference to these bytes is ever made but to atomics, and of those never two that overlap in part: `claims`
/// remembers them. Everything else goes through `memory`, into which the compiler does not see.
#[derive(Debug)]
pub(crate) struct Mapping<A: Access> {
    namespace: Namespace,
    base: NonNull<u8>,
    len: usize,
    claims: Claims,
    access: PhantomData<A>,
}

// SAFETY: a mapping belongs to the process, not to a thread, and any thread may detach it.
unsafe impl<A: Access> Send for Mapping<A> {}
// SAFETY: threads may access the memory at once as other processes may; the claims are `Sync`.
unsafe impl<A: Access> Sync for Mapping<A> {}

impl<A: Access> Mapping<A> {
    /// `shmat`, with what `A` asks for. Never with `SHM_REMAP`: what is mapped already stays.
    pub(crate) fn attach(namespace: &Namespace, id: i32, address: usize, flags: i32) -> Result<Mapping<A>, Errno> {
        let access = if A::WRITABLE { 0 } else { SHM_RDONLY };
        // SAFETY: without SHM_REMAP the call replaces nothing.
        let (base, len) = unsafe { namespace.backend().attach(id, address, flags & !SHM_REMAP | access) }?;
        Ok(Mapping {
            namespace: namespace.clone(),
            base,
            len,
            claims: Claims::default(),
            access: PhantomData,
        })
    }

    /// Where the memory begins.
    pub(crate) fn base(&self) -> NonNull<u8> {
        self.base
    }

    /// Bytes in the segment, all of them mapped.
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    pub(crate) fn out_of_bounds(&self, offset: usize, length: usize) -> AccessError {
        AccessError::OutOfBounds {
            offset,
            length,
            size: self.len,
        }
    }

    pub(crate) fn check(&self, offset: usize, length: usize) -> Result<(), AccessError> {
        self.at(offset, length).map(drop)
    }

    pub(crate) fn copy_out(&self, offset: usize, buffer: &mut [u8]) -> Result<(), AccessError> {
        let src = self.at(offset, buffer.len())?;
        // SAFETY: `at` keeps the range within the mapping, which is readable; the buffer is ours alone, and cannot lie
        // within the mapping, over which no slice is ever made.
        unsafe { memory::copy(src.as_ptr(), buffer.as_mut_ptr(), buffer.len()) };
        Ok(())
    }

    #[inline]
    pub(crate) fn read<T: AnyBitPattern>(&self, offset: usize) -> Result<T, AccessError> {
        let src = self.at(offset, size_of::<T>())?;
        // SAFETY: `at` keeps the range within the mapping, which is readable.
        Ok(unsafe { memory::read(src.as_ptr()) })
    }

    #[inline]
    pub(crate) fn load<T: Atomic>(&self, offset: usize, order: Ordering) -> Result<T::Value, AccessError> {
        let at = self.at_aligned::<T>(offset)?;
        // Loads alone do not conflict, so a read-only mapping has nothing to remember.
        if A::WRITABLE {
            self.claim::<T>(offset)?;
        }
        // SAFETY: within the mapping and aligned, as checked; what else the compiler knows to touch these bytes
        // through this mapping are loads, or atomics of this place and size.
        Ok(unsafe { atomic::load::<T>(at, order) })
    }

    /// The address of `length` bytes at `offset`, all within the segment.
    #[inline]
    fn at(&self, offset: usize, length: usize) -> Result<NonNull<u8>, AccessError> {
        match offset.checked_add(length) {
            // SAFETY: at most one past the end of one mapping.
            Some(end) if end <= self.len => Ok(unsafe { self.base.add(offset) }),
            _ => Err(self.out_of_bounds(offset, length)),
        }
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
        if self.claims.claim(offset, length) {
            Ok(())
        } else {
            Err(AccessError::Overlapping { offset, length })
        }
    }
}

impl Mapping<ReadWrite> {
    #[inline]
    pub(crate) fn copy_in(&self, offset: usize, bytes: &[u8]) -> Result<(), AccessError> {
        let dst = self.at(offset, bytes.len())?;
        // SAFETY: `at` keeps the range within the mapping, which is writable; the bytes cannot lie within the mapping,
        // over which no slice is ever made.
        unsafe { memory::copy(bytes.as_ptr(), dst.as_ptr(), bytes.len()) };
        Ok(())
    }

    pub(crate) fn fill(&self, offset: usize, length: usize, byte: u8) -> Result<(), AccessError> {
        let dst = self.at(offset, length)?;
        // SAFETY: `at` keeps the range within the mapping, which is writable.
        unsafe { memory::fill(dst.as_ptr(), byte, length) };
        Ok(())
    }

    #[inline]
    pub(crate) fn atomic<T: Atomic>(&self, offset: usize) -> Result<&T, AccessError> {
        let at = self.at_aligned::<T>(offset)?;
        self.claim::<T>(offset)?;
        // SAFETY: within the mapping, aligned and claimed for this place and size, as checked; the reference borrows
        // the mapping.
        Ok(unsafe { atomic::reference(at) })
    }
}

impl<A: Access> Drop for Mapping<A> {
    fn drop(&mut self) {
        // SAFETY: whoever took a reference into the memory borrows the owner of this mapping, so none is left.
        // The call fails if the program has unmapped the range behind our back; then there is nothing to detach.
        let _ = unsafe { self.namespace.backend().segments().shmdt(self.base.as_ptr() as usize) };
    }
}
