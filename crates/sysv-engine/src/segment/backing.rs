//! A segment's file: made, given its owner and mode, opened, removed, and the memory that it promises.

use core::ffi::CStr;
use core::sync::atomic::Ordering::Relaxed;

use super::{BACKED, BACKING, FILE_LAGS, LockedSegments, NORESERVE};
use crate::abi::{PAGE_SIZE, SHM_NORESERVE};
use crate::attachments::mapped_length;
use crate::credentials::Ownership;
use crate::errno::{Errno, Result};
use crate::member::Member;
use crate::registry::{Phase, State};
use crate::sys::{self, Fd};
use crate::table::SegmentSlot;

/// The size that a segment occupies, in pages.
pub(crate) fn pages(slot: &SegmentSlot) -> u64 {
    slot.size.load(Relaxed).div_ceil(PAGE_SIZE as u64)
}

/// The bytes that a segment may take of the file system's free space: none of one made with `SHM_NORESERVE`.
pub(crate) fn promised(slot: &SegmentSlot) -> u64 {
    if slot.flags.load(Relaxed) & NORESERVE != 0 {
        0
    } else {
        pages(slot).saturating_mul(PAGE_SIZE as u64)
    }
}

/// The permissions of a segment's file.
fn file_mode(owner: &Ownership) -> u32 {
    owner.mode & 0o666
}

fn with_path<T>(member: &Member, id: i32, f: impl FnOnce(&CStr) -> Result<T>) -> Result<T> {
    member.with_object_path("shm", id, f)
}

/// Makes the file of a new segment in a namespace for several users: it must belong to the creator from the start.
pub(super) fn make_exclusively(member: &Member, slot: &SegmentSlot, id: i32) -> Result<()> {
    slot.flags.fetch_or(BACKING, Relaxed);
    let file = with_path(member, id, |path| {
        sys::open(path, libc::O_RDWR | libc::O_CREAT | libc::O_EXCL, 0o600)
    })?;
    give_form(&file, slot)
}

/// Opens the file for an attachment, and makes it first if the segment has none yet.
pub(super) fn open(member: &Member, slot: &SegmentSlot, id: i32, read_only: bool) -> Result<Fd> {
    let access = if read_only { libc::O_RDONLY } else { libc::O_RDWR };
    with_path(member, id, |path| {
        if slot.flags.load(Relaxed) & BACKED != 0 {
            let file = sys::open(path, access, 0)?;
            // Others may have cut the file short, and touching what is missing would raise SIGBUS.
            if member.is_shared() && (sys::fstat(&file)?.st_size as usize) < mapped_length(slot.size.load(Relaxed)) {
                return Err(Errno::EIDRM);
            }
            return Ok(file);
        }
        if member.is_shared() {
            return Err(Errno::EIDRM);
        }
        // Said before it is done, so that whoever removes the segment looks for a file.
        slot.flags.fetch_or(BACKING, Relaxed);
        let file = sys::open(path, libc::O_RDWR | libc::O_CREAT, 0o600)?;
        give_form(&file, slot)?;
        if read_only {
            sys::open(path, access, 0)
        } else {
            Ok(file)
        }
    })
}

/// Length and mode, then the word that both are right. The mode last: until then the owner can open the file again.
fn give_form(file: &Fd, slot: &SegmentSlot) -> Result<()> {
    sys::ftruncate(file, mapped_length(slot.size.load(Relaxed)) as u64)?;
    let mode = file_mode(&slot.head.ownership());
    if mode != 0o600 {
        sys::fchmod(file, mode)?;
    }
    slot.flags.fetch_or(BACKED, Relaxed);
    Ok(())
}

/// Resident and swapped bytes of a segment together: tmpfs counts both as the file's.
pub(super) fn resident(member: &Member, slot: &SegmentSlot, id: i32) -> u64 {
    if slot.flags.load(Relaxed) & BACKING == 0 {
        return 0;
    }
    with_path(member, id, |path| sys::stat(path, false)).map_or(0, |st| st.st_blocks as u64 * 512)
}

impl LockedSegments<'_> {
    /// Whether so much memory can be promised.
    ///
    /// # Errors
    /// `ENOMEM` if it cannot be had: refused now, instead of SIGBUS later.
    pub(super) fn check_memory(&self, size: u64, flags: i32) -> Result<()> {
        if flags & SHM_NORESERVE != 0 {
            return Ok(());
        }
        /// From this size on the machine's memory is asked for too: such a request is rare.
        const LARGE: u64 = 1 << 30;
        if size > LARGE && size > sys::total_memory() {
            return Err(Errno::ENOMEM);
        }
        let header = self.registry().header;
        let wanted = (mapped_length(size) as u64).saturating_add(header.promised.load(Relaxed));
        // Cheap and pessimistic first: as if nobody had touched any of what was promised, and with half of what was
        // free a moment ago.
        let now = sys::monotonic_ms();
        let age = now.wrapping_sub(header.free_bytes_at.load(Relaxed));
        if age < 1000 && wanted <= header.free_bytes.load(Relaxed) / 2 {
            return Ok(());
        }
        let st = sys::statfs(self.member.directory()).map_err(|_| Errno::ENOMEM)?;
        // tmpfs mounted with size=0 has no bound of its own.
        let free = if st.f_blocks == 0 {
            sys::total_memory()
        } else {
            st.f_bavail.saturating_mul(st.f_bsize as u64)
        };
        header.free_bytes.store(free, Relaxed);
        header.free_bytes_at.store(now, Relaxed);
        if wanted <= free {
            Ok(())
        } else {
            self.check_memory_exactly(size, free)
        }
    }

    /// Counts what has been touched of what was promised.
    #[cold]
    fn check_memory_exactly(&self, size: u64, free: u64) -> Result<()> {
        let registry = self.registry();
        let mut untouched = 0u64;
        for number in registry.used_numbers() {
            let slot = &registry.slots[number];
            let state = slot.head.state();
            if state.exists() {
                let touched = resident(self.member, slot, registry.id(number, state));
                untouched = untouched.saturating_add(promised(slot).saturating_sub(touched));
            }
        }
        let wanted = untouched.saturating_add(mapped_length(size) as u64);
        if wanted <= free { Ok(()) } else { Err(Errno::ENOMEM) }
    }

    /// Gives the file the owner and the mode that the slot says, as far as this process may.
    pub(super) fn match_file(&self, number: usize, slot: &SegmentSlot, state: State) {
        if slot.flags.load(Relaxed) & BACKED == 0 {
            return;
        }
        let owner = slot.head.ownership();
        let matched = with_path(self.member, self.registry().id(number, state), |path| {
            let st = sys::stat(path, false)?;
            if (st.st_uid, st.st_gid) != (owner.uid, owner.gid) {
                sys::chown(path, owner.uid, owner.gid)?;
            }
            if st.st_mode & 0o7777 != file_mode(&owner) {
                sys::chmod(path, file_mode(&owner))
            } else {
                Ok(())
            }
        });
        if matched.is_ok() {
            slot.flags.fetch_and(!FILE_LAGS, Relaxed);
        } else {
            slot.flags.fetch_or(FILE_LAGS, Relaxed);
        }
    }

    /// Removes the file of a slot that is being made or dying, and frees the slot. Where this process may not remove
    /// the file, the slot stays as it is until somebody comes who may.
    pub(super) fn finish_dying(&self, number: usize, slot: &SegmentSlot, state: State) {
        let registry = self.registry();
        if slot.flags.load(Relaxed) & BACKING != 0 {
            let removed = with_path(self.member, registry.id(number, state), sys::unlink);
            match removed {
                Ok(()) | Err(Errno::ENOENT) => {}
                Err(_) => return,
            }
        }
        slot.head.set_state(State {
            phase: Phase::Free,
            ..state
        });
        registry.mark_used(number, false);
    }
}
