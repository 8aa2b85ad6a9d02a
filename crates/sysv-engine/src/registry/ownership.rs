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

    /// Makes a change that has been checked, and no less than all of it if this process is killed meanwhile.
    pub(crate) fn change_ownership(&self, number: usize, slot: &S, change: &PermChange) {
        self.change_ownership_and(number, slot, change, 0);
    }

    /// As [`change_ownership`](Self::change_ownership), and with it what `extra` means to the mechanism.
    pub(crate) fn change_ownership_and(&self, number: usize, slot: &S, change: &PermChange, extra: u64) {
        let intent = &self.registry().header.intent;
        intent.state.store(slot.head().state().word(), Relaxed);
        intent.uid.store(change.uid, Relaxed);
        intent.gid.store(change.gid, Relaxed);
        intent.mode.store(change.mode & S_IRWXUGO, Relaxed);
        intent.ctime.store(sys::now(), Relaxed);
        intent.extra.store(extra, Relaxed);
        intent.armed.store(number as u32 + 1, Release);
        self.finish_intent();
    }

    /// Applies an armed change of ownership again.
    pub(super) fn finish_intent(&self) {
        let registry = self.registry();
        let intent = &registry.header.intent;
        let Some(number) = (intent.armed.load(Acquire) as usize).checked_sub(1) else {
            return;
        };
        if let Some(slot) = registry.slots.get(number) {
            let head = slot.head();
            let state = head.state();
            if state.word() == intent.state.load(Relaxed) && state.exists() {
                head.uid.store(intent.uid.load(Relaxed), Relaxed);
                head.gid.store(intent.gid.load(Relaxed), Relaxed);
                head.set_permission_bits(intent.mode.load(Relaxed) & S_IRWXUGO);
                head.ctime.store(intent.ctime.load(Relaxed), Relaxed);
                slot.apply(intent.extra.load(Relaxed));
                self.match_file(number, slot, state);
            }
        }
        intent.armed.store(0, Release);
    }
}
