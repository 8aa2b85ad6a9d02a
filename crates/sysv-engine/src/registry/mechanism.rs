//! What a mechanism adds to the common ground.

use core::sync::atomic::AtomicU32;

use super::{Locked, Registry, State};
use crate::table::{ObjectHead, Table};

/// Flag of an object: its file may exist. Stored before it is made.
pub(crate) const BACKING: u32 = 1;
/// Flag of an object: its file exists, with its full length and its permissions.
pub(crate) const BACKED: u32 = 2;

/// An array element that begins with an [`ObjectHead`].
pub(crate) trait Slot {
    fn head(&self) -> &ObjectHead;
}

/// The slot of a mechanism's objects, and its own rules where the common ones ask for them.
pub(crate) trait Mechanism: Slot + Sized + 'static {
    /// The directory of the objects' files.
    const DIRECTORY: &'static str;
    /// Where the slots begin in the table.
    const SLOTS_AT: usize;

    /// The mechanism's registry in the table.
    fn registry(table: &Table) -> Registry<'_, Self>;

    /// [`BACKING`], [`BACKED`] and, from bit 8 on, the mechanism's own.
    fn flags(&self) -> &AtomicU32;

    /// The length of the object's file.
    fn file_length(&self) -> usize;

    /// Bytes from the file's start that are allocated with it, so that touching them cannot raise `SIGBUS`.
    fn file_eager(&self) -> usize {
        0
    }

    /// The permissions of the object's file; `mode` is the object's.
    fn file_mode(mode: u32) -> u32 {
        mode & 0o666
    }

    /// What the object adds to [`RegistryHeader::total`](crate::table::RegistryHeader::total).
    fn size(&self) -> u64;

    /// What the object adds to [`RegistryHeader::promised`](crate::table::RegistryHeader::promised).
    fn promised(&self) -> u64 {
        0
    }

    /// Applies the mechanism's own part of an `IPC_SET`.
    fn apply(&self, _extra: u64) {}

    /// Tells whoever uses the object that it is gone. Its state has said so already; its file is still there. May be done
    /// again, for an object that was never whole too.
    fn end(_locked: &Locked<'_, Self>, _number: usize, _slot: &Self, _state: State) {}

    /// The last step of recovery: rebuilds whatever else is derived. Slots, keys and counters are right already.
    fn rebuild(_locked: &Locked<'_, Self>) {}
}
