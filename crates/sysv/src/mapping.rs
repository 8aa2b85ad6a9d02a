//! The one place where a segment's memory enters and leaves the process.

#![allow(unsafe_code)]

use std::ptr::NonNull;

use sysv_engine::Result;

use crate::Namespace;

/// An attached segment: `len` bytes from `base` are mapped until this is dropped.
#[derive(Debug)]
pub(crate) struct Mapping {
    namespace: Namespace,
    base: NonNull<u8>,
    len: usize,
}

// SAFETY: a mapping belongs to the process, not to a thread, and any thread may detach it.
unsafe impl Send for Mapping {}
// SAFETY: shared access gives out the address and the length only, which never change.
unsafe impl Sync for Mapping {}

impl Mapping {
    /// `shmat`. Never with `SHM_REMAP`: what is mapped already stays.
    pub(crate) fn attach(namespace: &Namespace, id: i32, address: usize, flags: i32) -> Result<Mapping> {
        debug_assert!(flags & sysv_engine::abi::SHM_REMAP == 0);
        // SAFETY: without SHM_REMAP the call replaces nothing.
        let (base, len) = unsafe { namespace.backend().attach(id, address, flags) }?;
        Ok(Mapping {
            namespace: namespace.clone(),
            base,
            len,
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
}

impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: whoever took a reference into the memory borrows the owner of this mapping, so none is left.
        // The call fails if the program has unmapped the range behind our back; then there is nothing to detach.
        let _ = unsafe { self.namespace.backend().segments().shmdt(self.base.as_ptr() as usize) };
    }
}
