//! Memory for one call whose arguments are too many for the stack.

#![allow(unsafe_code)]

use sysv_engine::{Errno, Result, usercopy};

use crate::raw::syscall;
use crate::structure::Plain;

/// An array of integers in a mapping of its own, zeroed at first.
pub(crate) struct Scratch<T: Plain> {
    base: *mut T,
    len: usize,
}

impl<T: Plain> Scratch<T> {
    /// Room for `len` values.
    ///
    /// # Errors
    /// `ENOMEM`.
    pub(crate) fn new(len: usize) -> Result<Scratch<T>> {
        let bytes = len.checked_mul(size_of::<T>()).ok_or(Errno::ENOMEM)?.max(1);
        let protection = libc::PROT_READ | libc::PROT_WRITE;
        let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS;
        // SAFETY: a new range.
        let base = unsafe { syscall!(SYS_mmap, 0, bytes, protection, flags, usize::MAX, 0) };
        let base = base.map_err(|_| Errno::ENOMEM)? as *mut T;
        Ok(Scratch { base, len })
    }

    pub(crate) fn as_slice(&self) -> &[T] {
        // SAFETY: `new` mapped so many, zeroed; every bit pattern of a `Plain` is valid.
        unsafe { core::slice::from_raw_parts(self.base, self.len) }
    }

    pub(crate) fn as_mut_slice(&mut self) -> &mut [T] {
        // SAFETY: as above, and `self` is borrowed exclusively.
        unsafe { core::slice::from_raw_parts_mut(self.base, self.len) }
    }

    /// Fills it from the program's memory.
    ///
    /// # Errors
    /// `EFAULT`.
    pub(crate) fn take(&mut self, address: usize) -> Result<()> {
        // SAFETY: there is room for it, and every bit pattern of a `Plain` is valid.
        unsafe { usercopy::copy_in(self.base.cast(), address, self.len * size_of::<T>()) }
    }

    /// Writes it to the program's memory.
    ///
    /// # Safety
    /// What is mapped at `address` is the caller's to overwrite.
    ///
    /// # Errors
    /// `EFAULT`.
    pub(crate) unsafe fn give(&self, address: usize) -> Result<()> {
        // SAFETY: the caller's promise.
        unsafe { usercopy::copy_out(address, self.base.cast(), self.len * size_of::<T>()) }
    }
}

impl<T: Plain> Drop for Scratch<T> {
    fn drop(&mut self) {
        // SAFETY: mapped by `new` for this value alone.
        let _ = unsafe { syscall!(SYS_munmap, self.base, (self.len * size_of::<T>()).max(1)) };
    }
}
