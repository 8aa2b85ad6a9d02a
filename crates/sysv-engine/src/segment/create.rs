//! New segments.

use core::mem::offset_of;
use core::sync::atomic::Ordering::Relaxed;

use super::{LockedSegments, NORESERVE, backing};
use crate::abi::{PAGE_SIZE, S_IRWXUGO, SHM_HUGETLB, SHM_NORESERVE, SHMMIN};
use crate::credentials::Caller;
use crate::errno::{Errno, Result};
use crate::identity::Command;
use crate::registry::{Phase, State, adjust32, adjust64};
use crate::sys;
use crate::table::{SegmentSlot, Table};

/// Bits of the `shmget` flags that hold the logarithm of the huge page size.
const HUGE_SHIFT: u32 = 26;
const HUGE_MASK: u32 = 0x3f;

impl LockedSegments<'_> {
    /// Makes a segment and returns its identifier.
    ///
    /// # Errors
    /// In Linux's order: `EINVAL` for a size below `SHMMIN` or above `SHMMAX`; `ENOSPC` beyond `SHMALL`; those of
    /// `SHM_HUGETLB`; `ENOMEM` for memory that cannot be had; `ENOSPC` beyond `SHMMNI`.
    pub(super) fn create(&self, key: i32, size: usize, flags: i32, caller: &Caller) -> Result<i32> {
        let size = size as u64;
        let limits = self.member.limits();
        if size < SHMMIN || size > limits.shmmax {
            return Err(Errno::EINVAL);
        }
        let registry = self.registry();
        let pages = size.div_ceil(PAGE_SIZE as u64);
        if pages.checked_mul(PAGE_SIZE as u64).is_none() {
            return Err(Errno::ENOSPC);
        }
        match registry.header.total.load(Relaxed).checked_add(pages) {
            Some(total) if total <= limits.shmall => {}
            _ => return Err(Errno::ENOSPC),
        }
        if flags & SHM_HUGETLB != 0 {
            return Err(huge_pages_refused(flags, caller));
        }
        self.check_memory(size, flags)?;
        if u64::from(registry.header.in_use.load(Relaxed)) >= limits.shmmni {
            return Err(Errno::ENOSPC);
        }
        let number = registry.free_number().ok_or(Errno::ENOSPC)?;
        let array = offset_of!(Table, segments);
        let slot_size = size_of::<SegmentSlot>();
        self.member
            .back(&registry.header.backed, number, array, slot_size, registry.slots.len())
            .map_err(memory)?;
        if registry.header.high.load(Relaxed) as usize <= number {
            registry.header.high.store(number as u32 + 1, Relaxed);
        }
        let slot = &registry.slots[number];
        // Every use of a slot has a sequence number of its own, the first one too: identifier 0 names nothing.
        let state = State {
            phase: Phase::Making,
            sequence: slot.head.state().sequence.wrapping_add(1),
        };
        slot.flags
            .store(if flags & SHM_NORESERVE != 0 { NORESERVE } else { 0 }, Relaxed);
        slot.head.set_state(state);
        self.fill(slot, key, size, flags, caller);
        let id = registry.id(number, state);
        if self.member.is_shared()
            && let Err(errno) = backing::make_exclusively(self.member, slot, id)
        {
            registry.mark_used(number, true);
            self.finish_dying(number, slot, state);
            return Err(memory(errno));
        }
        slot.head.set_state(State {
            phase: Phase::Live,
            ..state
        });
        registry.mark_used(number, true);
        registry.link_key(number, key);
        adjust32(&registry.header.in_use, 1);
        adjust64(&registry.header.total, pages as i64);
        adjust64(&registry.header.promised, backing::promised(slot) as i64);
        Ok(id)
    }

    fn fill(&self, slot: &SegmentSlot, key: i32, size: u64, flags: i32, caller: &Caller) {
        let head = &slot.head;
        let gid = caller.gid();
        head.key.store(key as u32, Relaxed);
        head.uid.store(caller.uid, Relaxed);
        head.gid.store(gid, Relaxed);
        head.cuid.store(caller.uid, Relaxed);
        head.cgid.store(gid, Relaxed);
        head.mode.store(flags as u32 & S_IRWXUGO, Relaxed);
        head.ctime.store(sys::now(), Relaxed);
        head.creator.store(self.member.identity().word(), Relaxed);
        let command = self
            .table()
            .processes
            .get(self.member.tag().index())
            .map(|p| Command::load(&p.command));
        command.unwrap_or_default().store(&head.command);
        slot.size.store(size, Relaxed);
        slot.atime.store(0, Relaxed);
        slot.dtime.store(0, Relaxed);
        slot.last.store(0, Relaxed);
        slot.attachments.store(0, Relaxed);
    }
}

/// Huge pages cannot be had here: a file on tmpfs has none to give. Linux's answers in that case.
fn huge_pages_refused(flags: i32, caller: &Caller) -> Errno {
    match flags as u32 >> HUGE_SHIFT & HUGE_MASK {
        // The default size, 2 MiB and 1 GiB: the sizes of x86-64.
        0 | 21 | 30 => {}
        _ => return Errno::EINVAL,
    }
    // "The caller was not privileged to do so (did not have the CAP_IPC_LOCK capability)"
    if caller.may_lock_memory() {
        Errno::ENOMEM
    } else {
        Errno::EPERM
    }
}

/// The documented errno for a file that cannot be made.
fn memory(errno: Errno) -> Errno {
    match errno {
        Errno::EMFILE | Errno::ENFILE => Errno::ENFILE,
        Errno::EACCES | Errno::EPERM | Errno::EROFS => Errno::EACCES,
        _ => Errno::ENOMEM,
    }
}
