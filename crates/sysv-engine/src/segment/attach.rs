//! `shmat` and `shmdt`.

#![allow(unsafe_code)]

use core::sync::atomic::Ordering::Relaxed;

use super::LockedSegments;
use super::records::Attachment;
use crate::abi::{PAGE_SIZE, SHM_EXEC, SHM_LOCKED, SHM_RDONLY, SHM_REMAP, SHM_RND, SHMLBA};
use crate::attachments::{LocalAttachment, Template, mapped_length};
use crate::credentials::Caller;
use crate::errno::{Errno, Result};
use crate::member::{Member, Private};
use crate::process;
use crate::registry::{State, file};
use crate::sys;
use crate::table::SegmentSlot;

/// Where an attachment shall be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    /// Where the system likes.
    Anywhere,
    /// Here, if nothing is.
    Free(usize),
    /// Here, whatever is.
    Replace(usize),
}

/// The arguments of `shmat`, checked as far as Linux checks them before it looks for the segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Request {
    place: Place,
    read_only: bool,
    executable: bool,
}

impl Request {
    fn decode(addr: usize, flags: i32) -> Result<Request> {
        let remap = flags & SHM_REMAP != 0;
        let place = if addr == 0 {
            // "Invalid shmid value, unaligned or invalid shmaddr value, or …, or SHM_REMAP was specified and shmaddr
            // was NULL."
            if remap {
                return Err(Errno::EINVAL);
            }
            Place::Anywhere
        } else {
            let rounded = if addr.is_multiple_of(SHMLBA) {
                addr
            } else if flags & SHM_RND != 0 {
                addr - addr % SHMLBA
            } else {
                return Err(Errno::EINVAL);
            };
            match (rounded, remap) {
                (0, true) => return Err(Errno::EINVAL),
                (_, true) => Place::Replace(rounded),
                (_, false) => Place::Free(rounded),
            }
        };
        Ok(Request {
            place,
            read_only: flags & SHM_RDONLY != 0,
            executable: flags & SHM_EXEC != 0,
        })
    }

    /// The permission bits that it needs.
    fn access(self) -> u32 {
        let read_write = if self.read_only { 0o444 } else { 0o666 };
        if self.executable {
            read_write | 0o111
        } else {
            read_write
        }
    }

    fn protection(self) -> i32 {
        let write = if self.read_only { 0 } else { libc::PROT_WRITE };
        let execute = if self.executable { libc::PROT_EXEC } else { 0 };
        libc::PROT_READ | write | execute
    }

    fn record_flags(self) -> i32 {
        let read_only = if self.read_only { SHM_RDONLY } else { 0 };
        let execute = if self.executable { SHM_EXEC } else { 0 };
        read_only | execute
    }
}

/// The segment being attached.
#[derive(Clone, Copy)]
struct Target<'m> {
    slot: &'m SegmentSlot,
    number: usize,
    state: State,
    id: i32,
    /// Bytes of the segment, and of the mapping.
    size: usize,
    len: usize,
}

/// `shmat`. Returns the address and how many bytes of the segment are mapped there.
///
/// # Safety
/// With `SHM_REMAP` the caller owns whatever is mapped in the range.
pub(crate) unsafe fn shmat(member: &Member, id: i32, addr: usize, flags: i32) -> Result<(usize, usize)> {
    if id < 0 {
        return Err(Errno::EINVAL);
    }
    let request = Request::decode(addr, flags)?;
    member.enter().map_err(documented)?;
    let caller = Caller::current();
    let mut private = member.lock_private();
    private.attachments.reserve_one().map_err(|_| Errno::ENOMEM)?;
    let (target, record) = claim(member, &private, id, request, &caller)?;
    // The record counts from here, so that nobody destroys the segment while it is being mapped.
    // SAFETY: the caller's promise about SHM_REMAP.
    let mapped = unsafe { map(member, &mut private, &target, request) };
    let address = match mapped {
        Ok(address) => address,
        Err(errno) => {
            let locked = LockedSegments::lock(member, &private);
            locked.drop_record(record, member.tag());
            locked.destroy_if_unused(target.number);
            return Err(errno);
        }
    };
    if let Some(record) = member.table().attachments.get(record) {
        record.address.store(address as u64, Relaxed);
    }
    target.slot.atime.store(sys::now(), Relaxed);
    target.slot.last.store(member.identity().word(), Relaxed);
    if let Place::Replace(at) = request.place {
        super::range_gone(member, &mut private, at, at + target.len);
    }
    let piece = LocalAttachment {
        start: address,
        len: target.len,
        base: address,
        slot: target.number,
        sequence: target.state.sequence,
        flags: request.record_flags(),
        record,
        child_record: usize::MAX,
    };
    private.attachments.push(piece)?;
    // Room for the next one is made now: before it, a new mapping could take the very address that the program wants.
    let _ = private.attachments.reserve_one();
    process::note_attached(address, target.len);
    if target.slot.head.mode.load(Relaxed) & SHM_LOCKED != 0 {
        // As far as the process's limit on locked memory goes: the kernel's own attachments do not fail by it either.
        let _ = sys::mlock_on_fault(address, target.len);
    }
    Ok((address, target.size))
}

/// Want of descriptors, which the kernel's `shmat` does not have, as the want that it documents.
fn documented(errno: Errno) -> Errno {
    match errno {
        Errno::EMFILE | Errno::ENFILE => Errno::ENOMEM,
        errno => errno,
    }
}

/// Finds the segment, checks the permission, and makes the attachment count.
fn claim<'m>(
    member: &'m Member,
    private: &Private,
    id: i32,
    request: Request,
    caller: &Caller,
) -> Result<(Target<'m>, usize)> {
    let locked = LockedSegments::lock(member, private);
    locked.sweep_doomed();
    let (number, slot, state) = locked.registry().find_id(id)?;
    // "The calling process does not have the required permissions for the requested attach type".
    if !caller.permits(&slot.head.ownership(), request.access()) {
        return Err(Errno::EACCES);
    }
    // Read once: what is mapped is what bounds are checked against.
    let size = slot.size.load(Relaxed);
    let len = mapped_length(size);
    // Linux's own test for a range that ends beyond all addresses counts the segment's bytes, and spares SHM_REMAP.
    if let Place::Free(at) = request.place
        && at.checked_add(size as usize).is_none()
    {
        return Err(Errno::EINVAL);
    }
    let what = Attachment {
        slot: number,
        sequence: state.sequence,
        flags: request.record_flags(),
        address: 0,
        length: len,
    };
    let record = locked.new_record(member.tag(), &what)?;
    Ok((
        Target {
            slot,
            number,
            state,
            id,
            size: (size as usize).min(len),
            len,
        },
        record,
    ))
}

/// Maps the segment.
///
/// # Safety
/// With [`Place::Replace`] the caller owns whatever is mapped in the range.
unsafe fn map(member: &Member, private: &mut Private, target: &Target<'_>, request: Request) -> Result<usize> {
    if request.place == Place::Anywhere
        && !request.executable
        && let Some(address) = duplicate(private, target, request.read_only)
    {
        return Ok(address);
    }
    let file = file::open_or_make(member, target.slot, target.id, request.read_only).map_err(|errno| match errno {
        Errno::EACCES | Errno::EPERM => Errno::EACCES,
        // Somebody removed the segment's file from under it.
        Errno::ENOENT | Errno::ELOOP | Errno::EIDRM => Errno::EIDRM,
        _ => Errno::ENOMEM,
    })?;
    let (at, fixed) = match request.place {
        Place::Anywhere => (0, 0),
        Place::Free(at) => (at, libc::MAP_FIXED_NOREPLACE),
        Place::Replace(at) => (at, libc::MAP_FIXED),
    };
    let flags = libc::MAP_SHARED | fixed;
    // SAFETY: only `Replace` touches what exists, and that is the caller's promise.
    let mapped = unsafe { sys::mmap(at, target.len, request.protection(), flags, file.raw(), 0) };
    let address = mapped.map_err(|errno| match errno {
        // "the address range is already mapped": SHM_REMAP was not specified.
        Errno::EEXIST => Errno::EINVAL,
        Errno::ENOMEM if matches!(request.place, Place::Free(_)) && is_occupied(at, target.len) => Errno::EINVAL,
        errno => errno,
    })?;
    keep_template(private, target, request, file.raw());
    Ok(address)
}

/// Whether something is mapped in a range that cannot be mapped because it reaches beyond the address space: Linux looks for
/// that first.
#[cold]
fn is_occupied(start: usize, len: usize) -> bool {
    /// The end of a process's address space on x86-64, less the last page, which is never mapped.
    const END: usize = 0x7fff_ffff_f000;
    let len = len.min(END.saturating_sub(start));
    let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE | libc::MAP_FIXED_NOREPLACE;
    // SAFETY: nothing that exists is touched; a new mapping goes at once.
    match unsafe { sys::mmap(start, len, libc::PROT_NONE, flags, -1, 0) } {
        Ok(address) => {
            // SAFETY: just mapped; nobody knows it.
            let _ = unsafe { sys::munmap(address, len) };
            false
        }
        Err(errno) => errno == Errno::EEXIST,
    }
}

/// A further attachment without opening anything.
fn duplicate(private: &Private, target: &Target<'_>, read_only: bool) -> Option<usize> {
    let template = private
        .templates
        .as_slice()
        .iter()
        .find(|t| (t.slot, t.sequence, t.read_only) == (target.number, target.state.sequence, read_only))?;
    // SAFETY: an old length of 0 duplicates a shared mapping to a new range and leaves the old one as it is.
    unsafe { sys::mremap(template.address, 0, target.len, libc::MREMAP_MAYMOVE, 0) }.ok()
}

/// On the second attachment of a segment, keeps a page from which the next ones are duplicated. Does without where that
/// fails.
fn keep_template(private: &mut Private, target: &Target<'_>, request: Request, fd: i32) {
    let (slot, sequence) = (target.number, target.state.sequence);
    let attached = private
        .attachments
        .as_slice()
        .iter()
        .any(|a| a.same_segment(slot, sequence));
    if request.executable || !attached || private.templates.reserve_one().is_err() {
        return;
    }
    // SAFETY: a new range.
    let page = unsafe { sys::mmap(0, PAGE_SIZE, request.protection(), libc::MAP_SHARED, fd, 0) };
    if let Ok(address) = page {
        let template = Template {
            slot,
            sequence,
            read_only: request.read_only,
            address,
        };
        let _ = private.templates.push(template);
    }
}

/// Unmaps the templates of a segment that the process no longer has attached.
pub(super) fn drop_templates(private: &mut Private, slot: usize, sequence: u16) {
    if private
        .attachments
        .as_slice()
        .iter()
        .any(|a| a.same_segment(slot, sequence))
    {
        return;
    }
    while let Some(index) = private
        .templates
        .as_slice()
        .iter()
        .position(|t| (t.slot, t.sequence) == (slot, sequence))
    {
        if let Some(template) = private.templates.swap_remove(index) {
            // SAFETY: only this library knows the page.
            let _ = unsafe { sys::munmap(template.address, PAGE_SIZE) };
        }
    }
}

/// `shmdt`.
///
/// # Safety
/// Nothing may use the attachment's memory afterwards.
pub(crate) unsafe fn shmdt(member: &Member, addr: usize) -> Result<()> {
    member.enter()?;
    let mut private = member.lock_private();
    // "There is no shared memory segment attached at shmaddr". The attachment is known by its first piece; pieces behind
    // a hole go with it.
    let pieces = private.attachments.as_slice();
    let first = pieces.iter().filter(|a| a.base == addr).min_by_key(|a| a.start);
    let (slot, sequence) = first.map(|a| (a.slot, a.sequence)).ok_or(Errno::EINVAL)?;
    let mut gone = [0usize; 8];
    loop {
        let mut count = 0;
        while count < gone.len() {
            let pieces = private.attachments.as_slice();
            let Some(index) = pieces
                .iter()
                .position(|a| a.base == addr && a.same_segment(slot, sequence))
            else {
                break;
            };
            let Some(piece) = private.attachments.swap_remove(index) else {
                break;
            };
            process::note_detached(1);
            // SAFETY: the caller's promise.
            let _ = unsafe { sys::munmap(piece.start, piece.len) };
            gone[count] = piece.record;
            count += 1;
        }
        if count == 0 {
            break;
        }
        let locked = LockedSegments::lock(member, &private);
        for &record in &gone[..count] {
            locked.detach(slot, record, member.tag(), member.identity());
        }
    }
    drop_templates(&mut private, slot, sequence);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(addr: usize, flags: i32) -> Result<Place> {
        Request::decode(addr, flags).map(|r| r.place)
    }

    #[test]
    fn addresses_are_judged_as_by_linux() {
        assert_eq!(place(0, 0), Ok(Place::Anywhere));
        assert_eq!(place(0, SHM_REMAP), Err(Errno::EINVAL));
        assert_eq!(place(0x5001, 0), Err(Errno::EINVAL));
        assert_eq!(place(0x5001, SHM_RND), Ok(Place::Free(0x5000)));
        assert_eq!(place(100, SHM_RND), Ok(Place::Free(0)));
        assert_eq!(place(100, SHM_RND | SHM_REMAP), Err(Errno::EINVAL));
        assert_eq!(place(0x5000, SHM_REMAP), Ok(Place::Replace(0x5000)));
    }
}
