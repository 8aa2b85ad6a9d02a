//! The end of a queue: whoever waits is told, and its memory goes, but for messages that are read in place.

use core::mem::offset_of;
use core::sync::atomic::Ordering::{Relaxed, Release};

use super::lane;
use super::layout::{Envelope, FIRST_CHUNK, FIRST_ENVELOPES, HELD, Header, LOOK, UNIT, WAITING, WINDOW, in_chunks};
use super::window::Brief;
use super::{LockedQueues, USED};
use crate::abi::PAGE_SIZE;
use crate::critical::Section;
use crate::errno::{Errno, Result};
use crate::lock::{self, Acquired, Tag};
use crate::page_vec::PageVec;
use crate::registry::{Phase, State};
use crate::sys::{self, Fd};
use crate::table::QueueSlot;

/// Messages read in place that are looked for, at the most: more than that keep the whole queue's memory until they go.
const MOST_HELD: u32 = 1 << 16;

/// Tells everybody who waits that the queue is removed, and gives its memory back.
pub(super) fn end(locked: &LockedQueues<'_>, number: usize, slot: &QueueSlot, state: State) {
    let id = locked.registry().id(number, state);
    if state.phase == Phase::Making || slot.flags.load(Relaxed) & USED == 0 {
        return;
    }
    // Where this process may not open the file, those who wait find out by themselves.
    let _ = tell(locked, id);
}

fn tell(locked: &LockedQueues<'_>, id: i32) -> Result<()> {
    let member = locked.member;
    let file = member.with_object_path("msg", id, |path| sys::open(path, libc::O_RDWR, 0))?;
    let window = Brief::map(member, &file)?;
    let header = &window.get().header;
    let mine = header.id.load(Relaxed);
    if mine != 0 && mine != id as u32 + 1 {
        return Err(Errno::EIDRM);
    }
    let kept = {
        let _section = Section::enter();
        let acquired = member.acquire(&header.lock);
        if acquired == Acquired::Takeover {
            header.dirty.store(1, Relaxed);
        }
        header.removed.store(1, Release);
        lane::shut(member, header);
        let records = header.waiter_high.load(Relaxed).min(header.waiter_backed.load(Relaxed)) as usize;
        for waiter in window.get().waiters.iter().take(records) {
            let _ = waiter.state.compare_exchange(WAITING, LOOK, Release, Relaxed);
            sys::futex_wake(&waiter.state, 1);
        }
        let kept = held(&file, header, &|tag| locked.is_alive(tag));
        lock::release(&header.lock);
        kept
    };
    // Those who have the file mapped keep it; its pages they need not keep.
    if let Some(mut kept) = kept {
        kept.as_mut_slice().sort_unstable();
        let len = sys::fstat(&file)?.st_size as u64;
        punch_all_but(&file, WINDOW as u64, len, kept.as_slice())?;
    }
    Ok(())
}

/// Punches the range, but for the pages that hold what is kept, in order of its place.
fn punch_all_but(file: &Fd, from: u64, to: u64, kept: &[(u64, u64)]) -> Result<()> {
    let page = PAGE_SIZE as u64;
    let mut from = from;
    for &(start, end) in kept.iter().chain(&[(to, to)]) {
        let gap_end = start.min(to) / page * page;
        if gap_end > from {
            sys::punch_hole(file, from, gap_end - from)?;
        }
        from = from.max(end.next_multiple_of(page));
    }
    Ok(())
}

/// Where in the file the messages are that living processes read in place, from byte to byte; `None` if it cannot be told.
fn held(file: &Fd, header: &Header, alive: &dyn Fn(Tag) -> bool) -> Option<PageVec<(u64, u64)>> {
    if header.dirty.load(Relaxed) != 0 {
        return None;
    }
    let mut ranges = PageVec::new();
    let mut link = header.held.load(Relaxed);
    for _ in 0..MOST_HELD {
        let Some(number) = link.checked_sub(1) else {
            return Some(ranges);
        };
        let envelope = Still::read(file, header, number)?;
        if envelope.state & HELD != 0 && Tag::from_exact_word(envelope.holder).is_some_and(alive) {
            ranges.push(envelope.bytes(header)?).ok()?;
        }
        link = envelope.next;
    }
    None
}

/// What an envelope says, read from the file.
struct Still {
    state: u64,
    position: u32,
    len: u64,
    next: u32,
    holder: u32,
}

impl Still {
    fn read(file: &Fd, header: &Header, number: u32) -> Option<Still> {
        let (chunk, place, _) = in_chunks(number, FIRST_ENVELOPES);
        let at = header.envelope_chunks.get(chunk)?.load(Relaxed);
        let mut bytes = [0u8; size_of::<Envelope>()];
        let at = at.checked_add(u64::from(place) * bytes.len() as u64)?;
        if sys::pread(file, &mut bytes, at).ok()? != bytes.len() {
            return None;
        }
        let word = |at: usize| Some(u32::from_le_bytes(bytes.get(at..at + 4)?.try_into().ok()?));
        let long = |at: usize| Some(u64::from_le_bytes(bytes.get(at..at + 8)?.try_into().ok()?));
        Some(Still {
            state: long(offset_of!(Envelope, state))?,
            position: word(offset_of!(Envelope, position))?,
            len: long(offset_of!(Envelope, len))?,
            next: word(offset_of!(Envelope, next))?,
            holder: word(offset_of!(Envelope, holder))?,
        })
    }

    /// Where its bytes are in the file.
    fn bytes(&self, header: &Header) -> Option<(u64, u64)> {
        let (chunk, place, _) = in_chunks(self.position, FIRST_CHUNK);
        let at = header.heap_chunks.get(chunk)?.at.load(Relaxed);
        let start = at.checked_add(u64::from(place) * UNIT as u64)?;
        Some((
            start,
            start
                .checked_add(self.len)?
                .checked_next_multiple_of(PAGE_SIZE as u64)?,
        ))
    }
}
