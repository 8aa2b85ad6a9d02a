//! A growing array in memory of its own: the engine may be called where the program's allocator may not.

#![allow(unsafe_code)]

use crate::abi::PAGE_SIZE;
use crate::errno::{Errno, Result};
use crate::sys;

/// A vector of plain integers, or structures of them, in anonymous memory.
pub(crate) struct PageVec<T: Copy> {
    base: *mut T,
    len: usize,
    capacity: usize,
}

// SAFETY: the vector owns its memory.
unsafe impl<T: Copy + Send> Send for PageVec<T> {}

impl<T: Copy> PageVec<T> {
    pub(crate) const fn new() -> PageVec<T> {
        PageVec {
            base: core::ptr::null_mut(),
            len: 0,
            capacity: 0,
        }
    }

    pub(crate) fn as_slice(&self) -> &[T] {
        if self.len == 0 {
            return &[];
        }
        // SAFETY: the first `len` values at `base` are initialised and ours.
        unsafe { core::slice::from_raw_parts(self.base, self.len) }
    }

    pub(crate) fn as_mut_slice(&mut self) -> &mut [T] {
        if self.len == 0 {
            return &mut [];
        }
        // SAFETY: as above, and `self` is borrowed exclusively.
        unsafe { core::slice::from_raw_parts_mut(self.base, self.len) }
    }

    /// Makes room for one more value, so that the next push cannot fail.
    pub(crate) fn reserve_one(&mut self) -> Result<()> {
        if self.len < self.capacity {
            return Ok(());
        }
        let bytes = (self.capacity * 2 * size_of::<T>()).max(PAGE_SIZE);
        let base = sys::map_anonymous(bytes)? as *mut T;
        if self.capacity > 0 {
            // SAFETY: both hold at least `len` values and do not overlap; the old memory is then unused.
            unsafe {
                core::ptr::copy_nonoverlapping(self.base, base, self.len);
                let _ = sys::munmap(
                    self.base as usize,
                    (self.capacity * size_of::<T>()).next_multiple_of(PAGE_SIZE),
                );
            }
        }
        self.base = base;
        self.capacity = bytes / size_of::<T>();
        Ok(())
    }

    /// Appends a value.
    ///
    /// # Errors
    /// `ENOMEM` if there is no memory; never after [`reserve_one`](PageVec::reserve_one).
    pub(crate) fn push(&mut self, value: T) -> Result<()> {
        self.reserve_one().map_err(|_| Errno::ENOMEM)?;
        // SAFETY: `len < capacity`.
        unsafe { self.base.add(self.len).write(value) };
        self.len += 1;
        Ok(())
    }

    /// Removes a value; the last one takes its place.
    pub(crate) fn swap_remove(&mut self, index: usize) -> Option<T> {
        let value = *self.as_slice().get(index)?;
        let last = self.len - 1;
        self.as_mut_slice().swap(index, last);
        self.len = last;
        Some(value)
    }

    /// Replaces the contents by `len` values of zero bytes.
    pub(crate) fn resize_zeroed(&mut self, len: usize) -> Result<()> {
        let bytes = (len * size_of::<T>()).max(PAGE_SIZE).next_multiple_of(PAGE_SIZE);
        let base = sys::map_anonymous(bytes)? as *mut T;
        *self = PageVec {
            base,
            len,
            capacity: bytes / size_of::<T>(),
        };
        Ok(())
    }
}

impl<T: Copy> Default for PageVec<T> {
    fn default() -> PageVec<T> {
        PageVec::new()
    }
}

impl<T: Copy> Drop for PageVec<T> {
    fn drop(&mut self) {
        if self.capacity > 0 {
            let bytes = (self.capacity * size_of::<T>()).next_multiple_of(PAGE_SIZE);
            // SAFETY: the memory is ours and no borrow outlives the vector.
            let _ = unsafe { sys::munmap(self.base as usize, bytes) };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_grows_and_keeps_its_values() {
        let mut v = PageVec::<[u64; 3]>::new();
        for i in 0..10_000 {
            v.push([i; 3]).unwrap();
        }
        assert!(v.as_slice().iter().enumerate().all(|(i, x)| *x == [i as u64; 3]));
        assert_eq!(v.swap_remove(0), Some([0; 3]));
        assert_eq!(v.as_slice()[0], [9999; 3]);
        assert_eq!(v.swap_remove(9999), None);
    }
}
