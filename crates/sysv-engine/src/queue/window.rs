//! A queue's file in this process: header and waiters in a *window*, the rest piece by piece.
//!
//! There is one window for each index of the table, at an address that it keeps: a thread that comes too late, with the
//! identifier of a queue that has been removed, finds another queue's lock there, sees the other identifier under it and
//! goes away. So nothing has to be counted on the way in and out.

#![allow(unsafe_code)]

use core::sync::atomic::Ordering::{Acquire, Relaxed, Release};
use core::sync::atomic::{AtomicU32, AtomicU64, AtomicUsize};

use super::ahead::{self, Ahead};
use super::ground::{Ground, Piece};
use super::layout::{
    ENVELOPE_CHUNKS, Envelope, FIRST_CHUNK, FIRST_ENVELOPES, HEAP_CHUNKS, Header, MAGIC, Tally, UNIT, WINDOW, Window,
    chunk_extent,
};
use super::{LockedQueues, USED};
use crate::abi::{IPCMNI, PAGE_SIZE};
use crate::errno::{Errno, Result};
use crate::lock::{self, Tag};
use crate::member::{Member, Private};
use crate::namespace;
use crate::page_vec::PageVec;
use crate::patience::Patience;
use crate::registry::{self, BACKED};
use crate::sys::{self, Fd};
use crate::table::{QUEUES, QueueSlot};
use crate::usercopy;

/// Each order array is twice as long as its predecessor, so that there are no more.
const FORMER_ORDERS: usize = 24;
const PIECES: usize = 1 + ENVELOPE_CHUNKS + HEAP_CHUNKS;

/// Where this process has the queues, by their index.
pub(crate) struct Windows {
    /// Address of [`QUEUES`] places, 0 before the first use.
    base: AtomicUsize,
}

/// A piece of a queue that is no longer in its place, because another queue is: still mapped for those who read messages
/// in it.
#[derive(Clone, Copy)]
pub(crate) struct Orphan {
    address: usize,
    len: usize,
    pins: u32,
}

/// Where this process has the queue of one index. Changed under the process's private lock, but for the pieces: those under
/// the queue's lock.
pub(super) struct Place {
    /// Identifier + 1 of the queue in the window, 0 for none yet.
    named: AtomicU32,
    /// What the process knows of those for whom it waits here: see [`super::wait`].
    pub(super) patience: Patience,
    /// What the next call will need that another processor may have.
    pub(super) ahead: Ahead,
    /// Address of the window, which stays; 0 before the first use.
    window: AtomicUsize,
    /// Bytes of the order array that are mapped.
    order_len: AtomicUsize,
    /// Former order arrays, address and length. They stay mapped as long as the queue is here: whoever lies about the lock
    /// can make two threads believe that they hold it, and one of them may be reading there.
    former: [[AtomicUsize; 2]; FORMER_ORDERS],
    pieces: [PiecePlace; PIECES],
}

struct PiecePlace {
    /// Where the piece is in the file, 0 if it is not mapped.
    at: AtomicU64,
    address: AtomicUsize,
    /// Messages in it that this process reads in place: as long as there are any, it stays mapped.
    pins: AtomicU32,
}

impl Windows {
    pub(crate) const fn new() -> Windows {
        Windows {
            base: AtomicUsize::new(0),
        }
    }

    /// The place of an index.
    #[inline]
    fn place(&self, number: usize) -> Option<&Place> {
        let base = self.base.load(Acquire) as *const Place;
        if base.is_null() || number >= QUEUES {
            return None;
        }
        // SAFETY: `prepare` mapped so many places, zeroed, which are valid; they stay until `unmap`.
        Some(unsafe { &*base.add(number) })
    }

    fn prepare(&self) -> Result<()> {
        if self.base.load(Relaxed) == 0 {
            let base = sys::map_anonymous(QUEUES * size_of::<Place>()).map_err(|_| Errno::ENOMEM)?;
            self.base.store(base, Release);
        }
        Ok(())
    }

    /// Unmaps all queues.
    ///
    /// # Safety
    /// No thread may be in a call on one of them, or come again, or read a message in place.
    pub(crate) unsafe fn unmap(&self, orphans: &mut PageVec<Orphan>) {
        for place in (0..QUEUES).map_while(|number| self.place(number)) {
            let window = place.window.load(Relaxed);
            if window != 0 {
                place.drop_pieces(orphans);
                // SAFETY: mapped by `attach`; the caller vouches that nothing refers to it.
                unsafe { unmap(window, WINDOW) };
            }
        }
        for orphan in orphans.as_slice() {
            // SAFETY: mapped by `map_piece`; as above.
            unsafe { unmap(orphan.address, orphan.len) };
        }
        let base = self.base.swap(0, Relaxed);
        if base != 0 {
            // SAFETY: mapped by `prepare`; as above.
            let _ = unsafe { sys::munmap(base, QUEUES * size_of::<Place>()) };
        }
    }
}

impl Place {
    fn window(&self) -> Option<&Window> {
        let window = self.window.load(Relaxed) as *const Window;
        // SAFETY: null, or mapped by `attach` for as long as the place is; atomics only.
        unsafe { window.as_ref() }
    }

    /// Unmaps the pieces; those in which messages are read go to the orphans.
    fn drop_pieces(&self, orphans: &mut PageVec<Orphan>) {
        for [address, len] in &self.former {
            let address = address.swap(0, Relaxed);
            if address != 0 {
                // SAFETY: mapped by `map_piece` with this length; whoever uses a piece holds the queue's lock, as the caller
                // does.
                unsafe { unmap(address, len.load(Relaxed)) };
            }
        }
        for (index, piece) in self.pieces.iter().enumerate() {
            let address = piece.address.swap(0, Relaxed);
            piece.at.store(0, Relaxed);
            let pins = piece.pins.swap(0, Relaxed);
            if pins != 0 {
                let len = self.length(index);
                // Without memory to remember it, it stays mapped.
                let _ = orphans.push(Orphan { address, len, pins });
            } else if address != 0 {
                // SAFETY: mapped by `map_piece` with this length; whoever uses a piece holds the queue's lock, as the
                // caller does.
                unsafe { unmap(address, self.length(index)) };
            }
        }
    }

    fn length(&self, index: usize) -> usize {
        match index {
            0 => self.order_len.load(Relaxed),
            n if n <= ENVELOPE_CHUNKS => chunk_extent(n - 1, FIRST_ENVELOPES).0 as usize * size_of::<Envelope>(),
            n => chunk_extent(n - 1 - ENVELOPE_CHUNKS, FIRST_CHUNK).0 as usize * UNIT,
        }
    }
}

/// A queue, mapped in this process.
#[derive(Clone, Copy)]
pub(super) struct Mapped<'m> {
    pub member: &'m Member,
    pub slot: &'m QueueSlot,
    pub place: &'m Place,
    pub id: i32,
}

impl<'m> Mapped<'m> {
    /// The queue with this identifier, mapped if it is not yet.
    ///
    /// # Errors
    /// `EIDRM` where its file is gone or is not what it should be, `EACCES`, `ENOMEM`.
    pub(super) fn find(member: &'m Member, number: usize, slot: &'m QueueSlot, id: i32) -> Result<Mapped<'m>> {
        let place = Self::place(member, number, slot, id)?;
        Ok(Mapped {
            member,
            slot,
            place,
            id,
        })
    }

    /// Where [`find`](Mapped::find) has it. By itself, for the calls that must be fast: it is returned in registers.
    #[inline(always)]
    pub(super) fn place(member: &'m Member, number: usize, slot: &'m QueueSlot, id: i32) -> Result<&'m Place> {
        match member.queues.place(number) {
            Some(place) if place.named.load(Acquire) == id as u32 + 1 => Ok(place),
            _ => Self::attach(member, &mut member.lock_private(), number, slot, id).map(|mapped| mapped.place),
        }
    }

    /// As [`find`](Mapped::find), for whoever holds the private lock; whoever holds the registry's too asks for queues that
    /// [have a file](has_file) only.
    #[cold]
    pub(super) fn attach(
        member: &'m Member,
        private: &mut Private,
        number: usize,
        slot: &'m QueueSlot,
        id: i32,
    ) -> Result<Mapped<'m>> {
        member.queues.prepare()?;
        let place = member.queues.place(number).ok_or(Errno::EINVAL)?;
        let mapped = Mapped {
            member,
            slot,
            place,
            id,
        };
        if place.named.load(Acquire) == id as u32 + 1 {
            return Ok(mapped);
        }
        // Said before it is done, so that whoever removes the queue tells those who wait.
        slot.flags.fetch_or(USED, Relaxed);
        let file = if has_file(slot) {
            mapped.open()?
        } else {
            mapped.make(private)?
        };
        if (sys::fstat(&file)?.st_size as usize) < WINDOW {
            return Err(Errno::EIDRM);
        }
        // SAFETY: a new range.
        let new = unsafe { sys::mmap(0, WINDOW, PROT, libc::MAP_SHARED, file.raw(), 0) }.map_err(|_| Errno::ENOMEM)?;
        guard(member, new, WINDOW);
        // SAFETY: just mapped; atomics only.
        let header = unsafe { &(*(new as *const Window)).header };
        // A new file is zeros; whoever opens it first says whose it is. All say the same.
        let named = header
            .id
            .compare_exchange(0, id as u32 + 1, Relaxed, Relaxed)
            .unwrap_or_else(|found| found);
        let magic = header
            .magic
            .compare_exchange(0, MAGIC, Relaxed, Relaxed)
            .unwrap_or_else(|found| found);
        if !matches!(named, 0) && named != id as u32 + 1 || !matches!(magic, 0 | MAGIC) {
            // SAFETY: nobody knows the mapping.
            unsafe { unmap(new, WINDOW) };
            return Err(Errno::EIDRM);
        }
        match place.window() {
            None => place.window.store(new, Relaxed),
            Some(old) => replace(member, private, place, old, new)?,
        }
        place.named.store(id as u32 + 1, Release);
        Ok(mapped)
    }

    /// The queue with this identifier, or the one that has its window now, if this process has ever mapped it.
    pub(super) fn known(member: &'m Member, id: i32) -> Option<Mapped<'m>> {
        let number = usize::try_from(id % IPCMNI).ok()?;
        let slot = super::registry(member.table()).slots.get(number)?;
        let place = member.queues.place(number)?;
        place.window()?;
        Some(Mapped {
            member,
            slot,
            place,
            id,
        })
    }

    /// Fetches what a message's way needs from the other processor that uses the queue, if there is one: all at once, where the
    /// lock would have the one wait for the other.
    #[inline(always)]
    pub(super) fn fetch_ahead(&self) {
        if self.place.ahead.is_shared() && self.window().header.lane_room.load(Relaxed) == 0 {
            self.fetch_all();
        }
    }

    #[inline(never)]
    fn fetch_all(&self) {
        let header = &self.window().header;
        ahead::fetch(&raw const header.arrivals);
        ahead::fetch(&raw const self.slot.tally);
        ahead::fetch(self.place.pieces[index_of(Piece::Order)].address.load(Relaxed) as *const u8);
        self.place.ahead.fetch();
    }

    /// Keeps a chunk of the heap mapped where it is, for one who reads a message in it; returns its address. For whoever
    /// holds the queue's lock.
    pub(super) fn pin(&self, chunk: usize) -> usize {
        let piece = &self.place.pieces[index_of(Piece::Heap(chunk))];
        piece.pins.store(piece.pins.load(Relaxed) + 1, Relaxed);
        piece.address.load(Relaxed)
    }

    /// Takes back one [`pin`](Mapped::pin), for whoever holds the lock of the queue in the window; `false` if the chunk is no
    /// longer here.
    pub(super) fn unpin(&self, chunk: usize, address: usize) -> bool {
        let piece = &self.place.pieces[index_of(Piece::Heap(chunk))];
        let pins = piece.pins.load(Relaxed);
        let here = piece.address.load(Relaxed) == address && pins > 0;
        if here {
            piece.pins.store(pins - 1, Relaxed);
        }
        here
    }

    /// Whether the queue is still there. Who waits asks: its end may have been told to nobody, if the process that
    /// removed it was killed or may not open its file.
    pub(super) fn exists(&self) -> bool {
        let state = self.slot.head.state();
        state.exists() && i32::from(state.sequence) == self.id / IPCMNI
    }

    fn open(&self) -> Result<Fd> {
        self.member
            .with_object_path("msg", self.id, |path| sys::open(path, libc::O_RDWR, 0))
            .map_err(errno_of_file)
    }

    /// Makes the queue's file, at its first use. Under the registry's lock: processes that make it at once would cut it
    /// short for each other, and a removal might miss it.
    #[cold]
    fn make(&self, private: &Private) -> Result<Fd> {
        let _locked = LockedQueues::lock(self.member, private);
        if !self.exists() {
            return Err(Errno::EIDRM);
        }
        registry::file::open_or_make(self.member, self.slot, self.id, false).map_err(errno_of_file)
    }

    #[cold]
    fn map_piece(&self, index: usize, at: u64, len: usize) -> Option<*mut u8> {
        let end = at.checked_add(len as u64)?;
        if len == 0 || at < WINDOW as u64 || !at.is_multiple_of(PAGE_SIZE as u64) {
            return None;
        }
        let piece = &self.place.pieces[index];
        let old = piece.address.load(Relaxed);
        // Only the order array ever moves; nobody honest says so of another piece, which may be in use besides.
        let former = if old == 0 {
            None
        } else if index == 0 {
            Some(
                self.place
                    .former
                    .iter()
                    .find(|[address, _]| address.load(Relaxed) == 0)?,
            )
        } else {
            return None;
        };
        let file = self.open().ok()?;
        let st = sys::fstat(&file).ok()?;
        // An order array has all its pages: what has not would get them by being searched.
        if (st.st_size as u64) < end || index == 0 && (st.st_blocks as u64).saturating_mul(512) < len as u64 {
            return None;
        }
        // SAFETY: a new range.
        let address = unsafe { sys::mmap(0, len, PROT, libc::MAP_SHARED, file.raw(), at) }.ok()?;
        if let Some([address, len]) = former {
            address.store(old, Relaxed);
            len.store(self.place.length(index), Relaxed);
        }
        if index == 0 {
            self.place.order_len.store(len, Relaxed);
        }
        guard(self.member, address, len);
        piece.address.store(address, Relaxed);
        piece.at.store(at, Relaxed);
        Some(address as *mut u8)
    }
}

/// In a namespace for several users whoever may use a queue may cut its file short, and whoever else uses it must not be
/// killed by that: zeros stand there then, and no queue has such a header.
fn guard(member: &Member, start: usize, len: usize) {
    if member.is_shared() {
        // SAFETY: just mapped; `unmap` ends the guard first.
        let _ = unsafe { usercopy::guard_quietly(start, len) }.map(core::mem::forget);
    }
}

/// Unmaps what this module mapped.
///
/// # Safety
/// Nobody may look at it any more.
unsafe fn unmap(start: usize, len: usize) {
    usercopy::unguard(start);
    // SAFETY: the caller's promise.
    let _ = unsafe { sys::munmap(start, len) };
}

/// Whether the queue has a file yet: without one it is empty, and nobody waits. In a namespace for several users it always
/// has.
pub(super) fn has_file(slot: &QueueSlot) -> bool {
    slot.flags.load(Relaxed) & BACKED != 0
}

fn errno_of_file(errno: Errno) -> Errno {
    match errno {
        Errno::EACCES | Errno::EPERM => Errno::EACCES,
        Errno::ENOENT | Errno::ELOOP | Errno::EIDRM => Errno::EIDRM,
        _ => Errno::ENOMEM,
    }
}

const PROT: i32 = libc::PROT_READ | libc::PROT_WRITE;

/// Puts another queue's header in the place of one that was removed.
///
/// Threads that came too late may be about to take or give back an old lock, at the same address. So the change happens
/// with both old locks held: nobody gives back a lock that is not the one he took.
fn replace(member: &Member, private: &mut Private, place: &Place, old: &Window, new: usize) -> Result<()> {
    member.acquire(&old.header.lock);
    member.acquire(&old.header.lane.posting.lock);
    place.drop_pieces(&mut private.orphans);
    let window = core::ptr::from_ref(old) as usize;
    // SAFETY: an old length of 0 duplicates a shared mapping to a new range.
    let copy = unsafe { sys::mremap(window, 0, PAGE_SIZE, libc::MREMAP_MAYMOVE, 0) };
    let moved = copy.and_then(|copy| {
        guard(member, copy, PAGE_SIZE);
        // The window itself stays guarded.
        usercopy::unguard(new);
        let flags = libc::MREMAP_MAYMOVE | libc::MREMAP_FIXED;
        // SAFETY: the window is this module's; both ranges hold atomics only, so that late comers may go on reading.
        let moved = unsafe { sys::mremap(new, WINDOW, WINDOW, flags, window) };
        if moved.is_ok() {
            // SAFETY: the old header, mapped above.
            release_both(unsafe { &(*(copy as *const Window)).header });
        }
        // SAFETY: nobody else knows the copy.
        unsafe { unmap(copy, PAGE_SIZE) };
        moved
    });
    if moved.is_err() {
        release_both(&old.header);
        // SAFETY: nobody else knows the new mapping.
        unsafe { unmap(new, WINDOW) };
        return Err(Errno::ENOMEM);
    }
    Ok(())
}

fn release_both(header: &Header) {
    lock::release(&header.lane.posting.lock);
    lock::release(&header.lock);
}

impl Ground for Mapped<'_> {
    #[inline(always)]
    fn window(&self) -> &Window {
        // SAFETY: a `Mapped` exists only once `attach` has stored the window's address, which stays mapped as long as the
        // member; atomics only.
        unsafe { &*(self.place.window.load(Relaxed) as *const Window) }
    }

    #[inline(always)]
    fn tally(&self) -> &Tally {
        &self.slot.tally
    }

    #[inline(always)]
    fn known(&self, piece: Piece) -> Option<*mut u8> {
        let address = self.place.pieces.get(index_of(piece))?.address.load(Relaxed);
        (address != 0).then_some(address as *mut u8)
    }

    #[inline(always)]
    fn piece(&self, piece: Piece, at: u64, len: usize) -> Option<*mut u8> {
        let index = index_of(piece);
        let known = self.place.pieces.get(index)?;
        if known.at.load(Relaxed) == at && at != 0 && (index != 0 || self.place.order_len.load(Relaxed) == len) {
            return Some(known.address.load(Relaxed) as *mut u8);
        }
        self.map_piece(index, at, len)
    }

    fn extend(&self, len: u64) -> Result<()> {
        // Never shorter: whoever lies about the lock can have two do this at once.
        sys::lengthen(&self.open()?, len).map_err(|_| Errno::ENOMEM)
    }

    fn back(&self, at: u64, len: u64) -> Result<()> {
        namespace::allocate(&self.open()?, at, len).map_err(|_| Errno::ENOMEM)
    }

    fn allocated(&self) -> u64 {
        let st = self.open().and_then(|file| sys::fstat(&file));
        st.map_or(u64::MAX, |st| (st.st_blocks as u64).saturating_mul(512))
    }

    fn discard(&self, at: u64, len: u64) {
        // What cannot be given back stays the queue's.
        let _ = self.open().and_then(|file| sys::punch_hole(&file, at, len));
    }

    #[inline(always)]
    fn expect(&self, envelope: &Envelope, bytes: *const u8) {
        if self.place.ahead.is_shared() {
            self.place.ahead.expect(envelope, bytes);
        }
    }

    fn is_alive(&self, tag: Tag) -> bool {
        self.member.is_alive(tag, &self.member.lazy_live())
    }
}

/// The number of a piece's place.
#[inline(always)]
fn index_of(piece: Piece) -> usize {
    match piece {
        Piece::Order => 0,
        Piece::Envelopes(chunk) => 1 + chunk,
        Piece::Heap(chunk) => 1 + ENVELOPE_CHUNKS + chunk,
    }
}

/// Takes back a pin of a chunk that another queue has displaced.
pub(super) fn unpin_orphan(private: &mut Private, address: usize) {
    let orphans = &mut private.orphans;
    let Some(index) = orphans.as_slice().iter().position(|orphan| orphan.address == address) else {
        return;
    };
    let orphan = &mut orphans.as_mut_slice()[index];
    orphan.pins -= 1;
    if orphan.pins == 0 {
        // SAFETY: mapped by `map_piece`; nobody reads there any more.
        unsafe { unmap(orphan.address, orphan.len) };
        orphans.swap_remove(index);
    }
}

/// The window of a queue that is being removed, for a moment.
pub(super) struct Brief(usize);

impl Brief {
    pub(super) fn map(member: &Member, file: &Fd) -> Result<Brief> {
        if (sys::fstat(file)?.st_size as usize) < WINDOW {
            return Err(Errno::EIDRM);
        }
        // SAFETY: a new range.
        unsafe { sys::mmap(0, WINDOW, PROT, libc::MAP_SHARED, file.raw(), 0) }.map(|start| {
            guard(member, start, WINDOW);
            Brief(start)
        })
    }

    pub(super) fn get(&self) -> &Window {
        // SAFETY: mapped until this is dropped; atomics only.
        unsafe { &*(self.0 as *const Window) }
    }
}

impl Drop for Brief {
    fn drop(&mut self) {
        // SAFETY: mapped by `map`; references to it end before this.
        unsafe { unmap(self.0, WINDOW) };
    }
}
