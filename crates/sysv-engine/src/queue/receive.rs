//! `msgrcv`.

#![allow(unsafe_code)]

use core::sync::atomic::Ordering::{Acquire, Relaxed};

use super::contents::{Contents, Message, Party};
use super::deadline::Deadline;
use super::lane::{self, Beside};
use super::layout::{Post, TOO_BIG};
use super::locked::LockedQueue;
use super::selection::Selection;
use super::wait::Waiting;
use super::waiters::Wakes;
use super::window::Mapped;
use crate::abi::{IPC_NOWAIT, MSG_COPY, MSG_NOERROR};
use crate::credentials::Caller;
use crate::errno::{Errno, Result};
use crate::member::Member;
use crate::sys;
use crate::usercopy;

/// What becomes of a message that is received.
pub(super) trait Receipt {
    /// What the call returns.
    type Done;

    /// The longest message that is received.
    fn limit(&self) -> usize;

    /// Receives it. `counted` says that it was in the order, and where.
    ///
    /// # Errors
    /// `E2BIG`: "The message text length is greater than msgsz and MSG_NOERROR isn't specified in msgflg." `EFAULT`. The
    /// message is then where it was.
    fn receive<'g>(
        &self,
        contents: Contents<'g, Mapped<'_>>,
        message: &Message<'g>,
        by: Party,
        counted: Option<u32>,
    ) -> Result<Self::Done>;

    /// Whether it can be received in the lane: else what is there is moved to the order first.
    const IN_LANE: bool = false;

    /// Receives one that stands in the lane, if it can be there.
    ///
    /// # Errors
    /// As [`receive`](Receipt::receive).
    fn receive_post(&self, _: Contents<'_, Mapped<'_>>, _: &Post, _: Party) -> Option<Result<Self::Done>> {
        None
    }
}

/// Where the message goes, and how much of it.
#[derive(Clone, Copy)]
struct Buffer {
    address: usize,
    size: usize,
    cut: bool,
}

impl Buffer {
    /// Copies a message to the program; returns how many bytes.
    ///
    /// # Errors
    /// `E2BIG`, `EFAULT`.
    #[inline(always)]
    fn fill(&self, message: &Message<'_>) -> Result<usize> {
        // SAFETY: `message` vouches for its bytes.
        unsafe { self.copy(message.kind, message.bytes, message.len) }
    }

    /// Copies a type and so many bytes to the program; returns how many bytes.
    ///
    /// # Safety
    /// They are there.
    ///
    /// # Errors
    /// `E2BIG`, `EFAULT`.
    #[inline(always)]
    unsafe fn copy(&self, kind: i64, bytes: *const u8, len: usize) -> Result<usize> {
        if len > self.limit() {
            return Err(Errno::E2BIG);
        }
        let len = len.min(self.size);
        let text = self.address.wrapping_add(size_of::<i64>());
        // SAFETY: the caller vouches for the bytes; the buffer is the program's to overwrite, as `msgrcv` requires.
        unsafe {
            usercopy::copy_out(text, bytes, len)?;
            usercopy::copy_out(self.address, (&raw const kind).cast(), size_of::<i64>())?;
        }
        Ok(len)
    }
}

impl Receipt for Buffer {
    type Done = usize;

    /// Any, for a receiver that takes a part.
    fn limit(&self) -> usize {
        if self.cut { isize::MAX as usize } else { self.size }
    }

    #[inline(always)]
    fn receive<'g>(
        &self,
        contents: Contents<'g, Mapped<'_>>,
        message: &Message<'g>,
        by: Party,
        counted: Option<u32>,
    ) -> Result<usize> {
        let len = self.fill(message)?;
        contents.take(message, by, counted);
        Ok(len)
    }

    const IN_LANE: bool = true;

    #[inline(always)]
    fn receive_post(&self, contents: Contents<'_, Mapped<'_>>, post: &Post, by: Party) -> Option<Result<usize>> {
        let (kind, bytes, len) = lane::read(post)?;
        // SAFETY: the lane has them.
        let copied = unsafe { self.copy(kind, bytes, len) };
        if copied.is_ok() {
            contents.take_post(post, by);
        }
        Some(copied)
    }
}

/// The same of a message that stays in the queue.
struct Copied(Buffer);

impl Receipt for Copied {
    type Done = usize;

    fn limit(&self) -> usize {
        self.0.limit()
    }

    #[inline(never)]
    fn receive<'g>(
        &self,
        contents: Contents<'g, Mapped<'_>>,
        message: &Message<'g>,
        _: Party,
        _: Option<u32>,
    ) -> Result<usize> {
        if message.len > self.0.limit() {
            return Err(Errno::E2BIG);
        }
        // Linux makes a message of the buffer's size, at most MSGMAX, to copy to, and cuts none for it.
        if message.len as u64 > (self.0.size as u64).min(contents.ground().member.msgmax()) {
            return Err(Errno::EINVAL);
        }
        self.0.fill(message)
    }
}

/// `msgrcv`.
///
/// # Safety
/// What is mapped at `message`, eight bytes and `size` more, is the caller's to overwrite.
pub(crate) unsafe fn msgrcv(
    member: &Member,
    id: i32,
    message: usize,
    size: usize,
    kind: i64,
    flags: i32,
    deadline: Deadline,
) -> Result<usize> {
    if id < 0 || size > isize::MAX as usize {
        return Err(Errno::EINVAL);
    }
    let selection = Selection::decode(kind, flags)?;
    let buffer = Buffer {
        address: message,
        size,
        cut: flags & MSG_NOERROR != 0,
    };
    if flags & MSG_COPY != 0 {
        return receive(member, id, selection, &Copied(buffer), flags, deadline);
    }
    receive(member, id, selection, &buffer, flags, deadline)
}

/// Receives a message.
///
/// # Errors
/// As msgop(2).
#[inline(always)]
pub(super) fn receive<R: Receipt>(
    member: &Member,
    id: i32,
    selection: Selection,
    receipt: &R,
    flags: i32,
    deadline: Deadline,
) -> Result<R::Done> {
    member.enter()?;
    let caller = Caller::current();
    let (number, slot, _) = super::registry(member.table()).find_id(id)?;
    let may_receive = || match caller.permits(&slot.head.ownership(), 0o444) {
        true => Ok(()),
        // "The calling process does not have read permission on the message queue"
        false => Err(Errno::EACCES),
    };
    may_receive()?;
    let mapped = Mapped {
        member,
        slot,
        place: Mapped::place(member, number, slot, id)?,
        id,
    };
    let mut watched = None;
    let waiting = loop {
        let arrivals = match receive_at_once(&mapped, selection, receipt, watched.is_some()) {
            Err((Errno::ENOMSG, arrivals)) if flags & IPC_NOWAIT == 0 => arrivals,
            done => return done.map_err(|(errno, _)| errno),
        };
        if let Some(waiting) = watched {
            break waiting;
        }
        let mut waiting = Waiting::new(&mapped, Some(selection), receipt.limit(), deadline);
        // What has come in the lane is taken from there.
        if !waiting.watch(arrivals) || !R::IN_LANE {
            break waiting;
        }
        watched = Some(waiting);
    };
    receive_patiently(waiting, &may_receive, selection, receipt)
}

/// Receives a message that is there, perhaps one that the caller has `watched` for. Where there is none, says how many had come
/// until then.
#[inline(always)]
fn receive_at_once<R: Receipt>(
    mapped: &Mapped<'_>,
    selection: Selection,
    receipt: &R,
    watched: bool,
) -> core::result::Result<R::Done, (Errno, u32)> {
    let mut wakes = Wakes::default();
    // Before the lock is taken, which others wait for.
    let by = party(mapped.member);
    mapped.fetch_ahead();
    let queue = LockedQueue::lock(mapped);
    let contents = match R::IN_LANE {
        true => queue.contents_and_lane(),
        false => queue.contents(),
    };
    let contents = contents.map_err(|errno| (errno, 0))?;
    if R::IN_LANE && contents.uses_lane() {
        match contents.look_beside_lane(selection) {
            Beside::Order => {}
            Beside::Lane(post) => {
                if !watched {
                    contents.fetch_posts_ahead();
                }
                if let Some(done) = receipt.receive_post(contents, post, by) {
                    return done.map_err(|errno| (errno, 0));
                }
                queue.contents().map_err(|errno| (errno, 0))?;
            }
            Beside::Both => drop(queue.contents().map_err(|errno| (errno, 0))?),
        }
    }
    let attempt = take(&queue, contents, selection, receipt, by, None, &mut wakes);
    let arrivals = contents.arrivals();
    queue.end(&mut wakes);
    attempt.map_err(|errno| (errno, arrivals))
}

/// Waits for a message.
#[cold]
fn receive_patiently<R: Receipt>(
    mut waiting: Waiting<'_, '_>,
    may_receive: &dyn Fn() -> Result<()>,
    selection: Selection,
    receipt: &R,
) -> Result<R::Done> {
    let mapped = waiting.mapped;
    let mut wakes = Wakes::default();
    loop {
        let by = party(mapped.member);
        let queue = LockedQueue::lock(mapped);
        let contents = queue.contents()?;
        if !mapped.exists() {
            return Err(Errno::EIDRM);
        }
        let mut attempt = take_given(contents, &mut waiting, receipt, by);
        if matches!(attempt, Err(Errno::ENOMSG)) {
            let record = waiting.record;
            attempt = may_receive().and_then(|()| take(&queue, contents, selection, receipt, by, record, &mut wakes));
        }
        if matches!(attempt, Err(Errno::ENOMSG)) {
            // What the dead had been given may just have been passed on to this very waiter.
            attempt = take_given(contents, &mut waiting, receipt, by);
        }
        match attempt {
            Err(Errno::ENOMSG) if waiting.goes_on() => waiting.wait(queue, contents),
            result => {
                waiting.end(contents);
                if result.is_ok() {
                    queue.open_lane(contents);
                }
                queue.end(&mut wakes);
                return match result {
                    Err(Errno::ENOMSG) if waiting.interrupted => Err(Errno::EINTR),
                    result => result,
                };
            }
        }
    }
}

#[inline(always)]
pub(super) fn party(member: &Member) -> Party {
    Party {
        identity: member.identity().word(),
        now: sys::now(),
    }
}

/// What a sender has left for the call: a message, or word that one was too long.
///
/// # Errors
/// `ENOMSG` if it is nothing.
#[inline]
fn take_given<R: Receipt>(
    contents: Contents<'_, Mapped<'_>>,
    waiting: &mut Waiting<'_, '_>,
    receipt: &R,
    by: Party,
) -> Result<R::Done> {
    let Some(number) = waiting.record else {
        return Err(Errno::ENOMSG);
    };
    let waiter = contents.waiter(number).ok_or(Errno::EIDRM)?;
    if waiter.state.load(Acquire) == TOO_BIG {
        return Err(Errno::E2BIG);
    }
    let message = contents.granted(waiter).ok_or(Errno::ENOMSG)?;
    receipt.receive(contents, &message, by, None).inspect_err(|_| {
        // Back to its place: what cannot be received is not lost.
        waiting.record = None;
        // What fails for want of memory, the next holder of the lock does.
        let _ = contents.return_grant(number);
    })
}

/// Takes a message from the queue. `record` is the caller's own among those who wait.
///
/// # Errors
/// `ENOMSG` if there is none, or if one was given to the caller meanwhile.
#[inline(always)]
fn take<R: Receipt>(
    queue: &LockedQueue<'_, '_>,
    contents: Contents<'_, Mapped<'_>>,
    selection: Selection,
    receipt: &R,
    by: Party,
    record: Option<u32>,
    wakes: &mut Wakes,
) -> Result<R::Done> {
    let (at, message) = match contents.find(selection) {
        Some(found) => found,
        None if contents.has_grants() => find_of_the_dead(queue, contents, selection, record)?,
        None => return Err(Errno::ENOMSG),
    };
    let suits_lane =
        message.envelope.sender.load(Relaxed) != by.identity || (R::IN_LANE && contents.come_alone(message.len));
    let done = receipt.receive(contents, &message, by, Some(at))?;
    contents.invite_senders(wakes);
    if suits_lane {
        queue.open_lane(contents);
    }
    Ok(done)
}

/// Finds a message that somebody was given who has been killed.
///
/// # Errors
/// As [`take`].
#[cold]
fn find_of_the_dead<'g>(
    queue: &LockedQueue<'_, '_>,
    contents: Contents<'g, Mapped<'_>>,
    selection: Selection,
    record: Option<u32>,
) -> Result<(u32, Message<'g>)> {
    contents.bury_granted(&|tag| queue.is_alive(tag))?;
    if record.is_some_and(|number| contents.has_served(number)) {
        return Err(Errno::ENOMSG);
    }
    contents.find(selection).ok_or(Errno::ENOMSG)
}
