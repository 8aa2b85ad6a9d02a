//! `msgsnd`.

#![allow(unsafe_code)]

use super::contents::{Contents, Party};
use super::deadline::Deadline;
use super::lane;
use super::locked::LockedQueue;
use super::receive::party;
use super::wait::Waiting;
use super::waiters::Wakes;
use super::window::Mapped;
use crate::abi::{IPC_NOWAIT, PAGE_SIZE};
use crate::credentials::Caller;
use crate::errno::{Errno, Result};
use crate::member::Member;
use crate::usercopy;

/// Of longer messages each page is touched before the lock is taken.
const SMALL: usize = 2048;

/// The bytes of a message that is being sent, in the program.
#[derive(Clone, Copy)]
struct Text {
    address: usize,
    len: usize,
}

impl Text {
    /// Touches each page, so that nobody waits for the lock while one is fetched.
    ///
    /// # Errors
    /// `EFAULT` if one cannot be read.
    #[cold]
    fn probe(&self) -> Result<()> {
        let mut byte = 0u8;
        let mut touch = |at| {
            // SAFETY: one byte.
            unsafe { usercopy::copy_in(&raw mut byte, at, 1) }
        };
        for offset in (0..self.len).step_by(PAGE_SIZE) {
            touch(self.address.wrapping_add(offset))?;
        }
        match self.len.checked_sub(1) {
            Some(last) => touch(self.address.wrapping_add(last)),
            None => Ok(()),
        }
    }

    /// What a call that fails for this reason answers: Linux reads the message before it looks at anything else.
    #[cold]
    fn or_fault(&self, errno: Errno) -> Errno {
        self.probe().err().unwrap_or(errno)
    }

    /// Writes them to `to`, which has room.
    #[inline(always)]
    fn write(&self, to: *mut u8) -> Result<()> {
        // SAFETY: `put` made room for `len` bytes at `to`, which nobody refers to by reference.
        unsafe { usercopy::copy_in(to, self.address, self.len) }
    }
}

/// `msgsnd`.
pub(crate) fn msgsnd(
    member: &Member,
    id: i32,
    message: usize,
    size: usize,
    flags: i32,
    deadline: Deadline,
) -> Result<()> {
    let mut kind = 0i64;
    // SAFETY: eight bytes.
    unsafe { usercopy::copy_in((&raw mut kind).cast(), message, size_of::<i64>())? };
    // "Invalid msqid value, or nonpositive mtype value, or invalid msgsz value (less than 0 or greater than the system
    // value MSGMAX)."
    if id < 0 || size as u64 > member.msgmax() || size > isize::MAX as usize || kind < 1 {
        return Err(Errno::EINVAL);
    }
    let text = Text {
        address: message.wrapping_add(size_of::<i64>()),
        len: size,
    };
    if size > SMALL {
        text.probe()?;
    }
    send(member, id, kind, &text, flags, deadline).map_err(|errno| text.or_fault(errno))
}

#[inline(always)]
fn send(member: &Member, id: i32, kind: i64, text: &Text, flags: i32, deadline: Deadline) -> Result<()> {
    member.enter()?;
    let caller = Caller::current();
    let (number, slot, _) = super::registry(member.table()).find_id(id)?;
    let may_send = || match caller.permits(&slot.head.ownership(), 0o222) {
        true => Ok(()),
        // "The calling process does not have write permission on the message queue"
        false => Err(Errno::EACCES),
    };
    may_send()?;
    let mapped = Mapped {
        member,
        slot,
        place: Mapped::place(member, number, slot, id)?,
        id,
    };
    let mut wakes = Wakes::default();
    // Before the lock is taken, which others wait for.
    let from = party(member);
    let post = || match lane::takes(&mapped, text.len) {
        true => lane::post(&mapped, kind, text.len, from, |to| text.write(to)),
        false => None,
    };
    if let Some(done) = post() {
        return done;
    }
    mapped.fetch_ahead();
    let departures = {
        let mut queue = LockedQueue::lock(&mapped);
        if lane::takes(&mapped, text.len) {
            // It has been opened while this call waited for the lock.
            drop(queue);
            if let Some(done) = post() {
                return done;
            }
            queue = LockedQueue::lock(&mapped);
        }
        let contents = queue.contents()?;
        match put(contents, from, kind, text, &mut wakes) {
            Err(Errno::EAGAIN) if flags & IPC_NOWAIT == 0 => contents.departures(),
            done => {
                queue.end(&mut wakes);
                return done;
            }
        }
    };
    text.probe()?;
    let mut waiting = Waiting::new(&mapped, None, text.len, deadline);
    if waiting.watch(departures)
        && let Some(done) = post()
    {
        return done;
    }
    send_patiently(waiting, &may_send, kind, text)
}

/// Waits for room.
#[cold]
fn send_patiently(
    mut waiting: Waiting<'_, '_>,
    may_send: &dyn Fn() -> Result<()>,
    kind: i64,
    text: &Text,
) -> Result<()> {
    let mapped = waiting.mapped;
    let mut wakes = Wakes::default();
    loop {
        let from = party(mapped.member);
        let queue = LockedQueue::lock(mapped);
        let contents = queue.contents()?;
        if !mapped.exists() {
            return Err(Errno::EIDRM);
        }
        // Linux asks for permission once more only when there is room: who has lost it waits on until then.
        let attempt = match contents.has_room(text.len) {
            true => may_send().and_then(|()| put(contents, from, kind, text, &mut wakes)),
            false => Err(Errno::EAGAIN),
        };
        match attempt {
            Err(Errno::EAGAIN) if waiting.goes_on() => waiting.wait(queue, contents),
            result => {
                waiting.end(contents);
                // It had room for itself; perhaps there is more.
                contents.invite_senders(&mut wakes);
                queue.end(&mut wakes);
                return match result {
                    Err(Errno::EAGAIN) if waiting.interrupted => Err(Errno::EINTR),
                    result => result,
                };
            }
        }
    }
}

/// Puts the message into the queue, or into the hands of a receiver.
///
/// # Errors
/// `EAGAIN` if there is no room.
#[inline(always)]
fn put(contents: Contents<'_, Mapped<'_>>, from: Party, kind: i64, text: &Text, wakes: &mut Wakes) -> Result<()> {
    if !contents.has_room(text.len) {
        return Err(Errno::EAGAIN);
    }
    contents.put(
        kind,
        text.len,
        from,
        |to| text.write(to),
        |envelope| !contents.offer(envelope, kind, text.len, wakes),
    )
}
