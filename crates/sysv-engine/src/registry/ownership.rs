//! `IPC_SET`: owner, group and the nine mode bits, all or none.

use core::sync::atomic::Ordering::{Acquire, Relaxed, Release};

use super::{Locked, Mechanism};
use crate::abi::S_IRWXUGO;
use crate::credentials::Caller;
use crate::errno::{Errno, Result};
use crate::facility::PermChange;
use crate::sys;

impl<S: Mechanism> Locked<'_, S> {
    /// Whether the caller may change the object's owner and mode so.
    ///
    /// # Errors
    /// `EPERM`, `EINVAL`: as shmctl(2) and its kin.
    pub(crate) fn check_change(&self, slot: &S, change: &PermChange, caller: &Caller) -> Result<()> {
        let owner = slot.head().ownership();
        // "The effective user ID of the calling process is not that of the owner or creator"
        if !caller.controls(&owner) {
            return Err(Errno::EPERM);
        }
        if change.uid == u32::MAX || change.gid == u32::MAX {
            return Err(Errno::EINVAL);
        }
        // The file system's rule, which Linux does not have: only root gives away, and a group must be one's own.
        let gives = change.uid != owner.uid || change.gid != owner.gid && !caller.in_group(change.gid);
        if gives && caller.uid != 0 {
            return Err(Errno::EPERM);
        }
        Ok(())
    }

    /// Makes a change that has been checked, wholly or not at all if this process is killed meanwhile.
    ///
    /// # Errors
    /// `EIO` if the object's file is not as it must be; nothing is changed then.
    pub(crate) fn change_ownership(&self, number: usize, slot: &S, change: &PermChange, caller: &Caller) -> Result<()> {
        self.change_ownership_and(number, slot, change, 0, caller)
    }

    /// As [`change_ownership`](Self::change_ownership), and with it what `extra` means to the mechanism.
    pub(crate) fn change_ownership_and(
        &self,
        number: usize,
        slot: &S,
        change: &PermChange,
        extra: u64,
        caller: &Caller,
    ) -> Result<()> {
        let intent = &self.registry().header.intent;
        intent.state.store(slot.head().state().word(), Relaxed);
        intent.uid.store(change.uid, Relaxed);
        intent.gid.store(change.gid, Relaxed);
        intent.mode.store(change.mode & S_IRWXUGO, Relaxed);
        intent.ctime.store(sys::now(), Relaxed);
        intent.extra.store(extra, Relaxed);
        intent.armed.store(number as u32 + 1, Release);
        // The file comes first, and gets what the caller said, not what stands in the table by now.
        let changed = self.change_file(number, slot, change, caller);
        if changed.is_ok() {
            self.apply_intent(slot);
        }
        intent.armed.store(0, Release);
        changed
    }

    /// Finishes a change of ownership that a dead process began, if its file has been changed; the file itself is left alone:
    /// only the table says what the change was, and that is everybody's to write.
    pub(super) fn finish_intent(&self) {
        let registry = self.registry();
        let intent = &registry.header.intent;
        let Some(number) = (intent.armed.load(Acquire) as usize).checked_sub(1) else {
            return;
        };
        if let Some(slot) = registry.slots.get(number) {
            let state = slot.head().state();
            let change = PermChange {
                uid: intent.uid.load(Relaxed),
                gid: intent.gid.load(Relaxed),
                mode: intent.mode.load(Relaxed),
            };
            if state.word() == intent.state.load(Relaxed)
                && state.exists()
                && self.has_reached_file(number, slot, &change)
            {
                self.apply_intent(slot);
            }
        }
        intent.armed.store(0, Release);
    }

    /// Has the slot say what the intent says.
    fn apply_intent(&self, slot: &S) {
        let intent = &self.registry().header.intent;
        let head = slot.head();
        head.uid.store(intent.uid.load(Relaxed), Relaxed);
        head.gid.store(intent.gid.load(Relaxed), Relaxed);
        head.set_permission_bits(intent.mode.load(Relaxed) & S_IRWXUGO);
        head.ctime.store(intent.ctime.load(Relaxed), Relaxed);
        slot.apply(intent.extra.load(Relaxed));
    }
}
