//! Receiving a message where it lies in the queue's file.

#![allow(unsafe_code)]

use core::time::Duration;

use super::contents::{Contents, Message, Party};
use super::deadline::Deadline;
use super::held::Hold;
use super::locked::LockedQueue;
use super::receive::{self, Receipt};
use super::selection::Selection;
use super::window::{self, Mapped};
use crate::abi::{MSG_COPY, MSG_NOERROR, PAGE_SIZE};
use crate::errno::{Errno, Result};
use crate::member::Member;
use crate::sys;

/// A message that has been received and is read where it lies, in memory that it shares with the queue's other users; see
/// [`Engine::receive_in_place`](crate::Engine::receive_in_place). When this is dropped the memory is the queue's again.
///
/// The message is this process's: it is not in the queue any more, nobody else receives it, and no honest member writes to its
/// bytes, also when the queue is removed meanwhile. But whoever may use the queue *can* write to them. So they are reached
/// by pointer only, to be copied out or read as volatile: a reference to them would be unsound.
///
/// Forgotten (`mem::forget`), it keeps its memory until the process ends. In a forked child, the copy of it may be read as
/// long as the parent has not dropped its own; dropping the copy changes nothing.
pub struct InPlace<'e> {
    member: &'e Member,
    id: i32,
    hold: Hold,
    /// Address of the chunk that the bytes are in.
    chunk: usize,
    kind: i64,
    bytes: *const u8,
    len: usize,
}

// SAFETY: the bytes may be read, and the message freed, on any thread of the process: both go through the queue's lock or
// touch nothing that belongs to a thread.
unsafe impl Send for InPlace<'_> {}
// SAFETY: shared, it only tells what it is.
unsafe impl Sync for InPlace<'_> {}

impl InPlace<'_> {
    /// The message's type.
    pub fn kind(&self) -> i64 {
        self.kind
    }

    /// Where the bytes are: [`len`](InPlace::len) of them can be read there for as long as this lives. Other processes may
    /// write to them.
    pub fn as_ptr(&self) -> *const u8 {
        self.bytes
    }

    /// How many bytes there are.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }
}

impl core::fmt::Debug for InPlace<'_> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("InPlace")
            .field("kind", &self.kind)
            .field("len", &self.len)
            .finish_non_exhaustive()
    }
}

/// How a message is received that stays where it is.
struct Stay<'e> {
    member: &'e Member,
    id: i32,
    size: usize,
    cut: bool,
}

impl<'e> Receipt for Stay<'e> {
    type Done = InPlace<'e>;

    fn limit(&self) -> usize {
        if self.cut { isize::MAX as usize } else { self.size }
    }

    fn receive<'g>(
        &self,
        contents: Contents<'g, Mapped<'_>>,
        message: &Message<'g>,
        by: Party,
        counted: Option<u32>,
    ) -> Result<InPlace<'e>> {
        if message.len > self.limit() {
            return Err(Errno::E2BIG);
        }
        let hold = contents.hold(message, by, self.member.tag(), counted);
        Ok(InPlace {
            member: self.member,
            id: self.id,
            chunk: contents.ground().pin(hold.chunk),
            hold,
            kind: message.kind,
            bytes: message.bytes,
            len: message.len.min(self.size),
        })
    }
}

/// Receives a message and leaves it where it is.
pub(crate) fn receive_in_place(
    member: &Member,
    id: i32,
    size: usize,
    kind: i64,
    flags: i32,
    timeout: Option<Duration>,
) -> Result<InPlace<'_>> {
    if id < 0 || size > isize::MAX as usize || flags & MSG_COPY != 0 {
        return Err(Errno::EINVAL);
    }
    let stay = Stay {
        member,
        id,
        size,
        cut: flags & MSG_NOERROR != 0,
    };
    let selection = Selection::decode(kind, flags)?;
    receive::receive(member, id, selection, &stay, flags, Deadline::after(timeout))
}

impl Drop for InPlace<'_> {
    fn drop(&mut self) {
        let member = self.member;
        // A forked child has a copy of its parent's: what is the parent's stays.
        let own = member.enter().is_ok() && member.tag() == self.hold.holder;
        let Some(mapped) = Mapped::known(member, self.id) else {
            return;
        };
        {
            let queue = LockedQueue::lock(&mapped);
            if queue.is_named() {
                if own {
                    match queue.contents() {
                        Ok(contents) => contents.release(&self.hold),
                        Err(_) => self.give_back_removed(&queue),
                    }
                }
                mapped.unpin(self.hold.chunk, self.chunk);
                return;
            }
        }
        window::unpin_orphan(&mut member.lock_private(), self.chunk);
    }
}

impl InPlace<'_> {
    /// Gives back what a removed queue, or one that cannot be made whole for want of memory, still has for this message.
    #[cold]
    fn give_back_removed(&self, queue: &LockedQueue<'_, '_>) {
        queue.contents_unmade().abandon(&self.hold);
        if !queue.is_removed() {
            return;
        }
        // Nobody else gives the pages back: whoever removed the queue left them for this message.
        let from = (self.bytes as usize).next_multiple_of(PAGE_SIZE);
        let to = (self.bytes as usize + self.len) / PAGE_SIZE * PAGE_SIZE;
        if from < to {
            // SAFETY: whole pages of this message alone, in a chunk that is pinned here. The queue is gone: nobody makes
            // new messages of them.
            let _ = unsafe { sys::remove_pages(from, to - from) };
        }
    }
}
