//! `msgsnd`.

#![allow(unsafe_code)]

use super::contents::Party;
use super::locked::LockedQueue;
use super::wait::Waiting;
use super::window::Mapped;
use crate::abi::{IPC_NOWAIT, PAGE_SIZE};
use crate::credentials::Caller;
use crate::errno::{Errno, Result};
use crate::member::Member;
use crate::sys;
use crate::usercopy;

/// Messages up to this length are copied before the lock is taken.
const SMALL: usize = 256;

/// The bytes of a message that is being sent.
struct Text {
    /// In the program.
    address: usize,
    len: usize,
    /// A copy, if they are few.
    copy: [u8; SMALL],
}

impl Text {
    /// Reads them, or tries whether they can be read.
    ///
    /// # Errors
    /// `EFAULT` if they cannot.
    #[inline]
    fn read(address: usize, len: usize) -> Result<Text> {
        let mut text = Text {
            address,
            len,
            copy: [0; SMALL],
        };
        if len <= SMALL {
            // SAFETY: `copy` has room for them.
            unsafe { usercopy::copy_in(text.copy.as_mut_ptr(), address, len)? };
        } else {
            text.probe()?;
        }
        Ok(text)
    }

    /// Touches each page: nobody waits for the lock while one is fetched, and a bad pointer is found before anything else.
    fn probe(&self) -> Result<()> {
        let last = self.address.checked_add(self.len - 1).ok_or(Errno::EFAULT)?;
        let mut at = self.address;
        loop {
            let mut byte = 0u8;
            // SAFETY: one byte.
            unsafe { usercopy::copy_in(&raw mut byte, at, 1)? };
            if at == last {
                return Ok(());
            }
            at = at.saturating_add(PAGE_SIZE).min(last);
        }
    }

    /// Writes them to `to`, which has room.
    #[inline]
    fn write(&self, to: *mut u8) -> Result<()> {
        if self.len <= SMALL {
            // SAFETY: `put` made room for `len` bytes at `to`, which nobody else refers to by reference.
            unsafe { core::ptr::copy_nonoverlapping(self.copy.as_ptr(), to, self.len) };
            Ok(())
        } else {
            // SAFETY: as above.
            unsafe { usercopy::copy_in(to, self.address, self.len) }
        }
    }
}

/// `msgsnd`.
pub(crate) fn msgsnd(member: &Member, id: i32, message: usize, size: usize, flags: i32) -> Result<()> {
    let mut kind = 0i64;
    // SAFETY: eight bytes.
    unsafe { usercopy::copy_in((&raw mut kind).cast(), message, size_of::<i64>())? };
    // "Invalid msqid value, or nonpositive mtype value, or invalid msgsz value (less than 0 or greater than the system
    // value MSGMAX)."
    if id < 0 || size as u64 > member.msgmax() || size > isize::MAX as usize || kind < 1 {
        return Err(Errno::EINVAL);
    }
    let text = Text::read(message.wrapping_add(size_of::<i64>()), size)?;
    member.enter()?;
    let caller = Caller::current();
    let (number, slot, _) = super::registry(member.table()).find_id(id)?;
    let may_send = || match caller.permits(&slot.head.ownership(), 0o222) {
        true => Ok(()),
        // "The calling process does not have write permission on the message queue"
        false => Err(Errno::EACCES),
    };
    may_send()?;
    let mapped = Mapped::find(member, number, slot, id)?;
    let mut waiting = Waiting::new(&mapped, None, size);
    loop {
        let mut queue = LockedQueue::lock(&mapped)?;
        let attempt = match may_send() {
            Ok(()) => put(&mut queue, &mapped, kind, &text),
            Err(errno) => Err(errno),
        };
        match attempt {
            Err(Errno::EAGAIN) if flags & IPC_NOWAIT == 0 && !waiting.interrupted => waiting.wait(queue),
            result => {
                if waiting.record.is_some() {
                    waiting.end(&queue.contents());
                    let mut wakes = core::mem::take(&mut queue.wakes);
                    queue.contents().invite_senders(&mut wakes);
                    queue.wakes = wakes;
                }
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
#[inline]
fn put(queue: &mut LockedQueue<'_>, mapped: &Mapped<'_>, kind: i64, text: &Text) -> Result<()> {
    let mut wakes = core::mem::take(&mut queue.wakes);
    let contents = queue.contents();
    if !contents.has_room(text.len) {
        return Err(Errno::EAGAIN);
    }
    let from = Party {
        identity: mapped.member.identity().word(),
        now: sys::now(),
    };
    let done = contents.put(
        kind,
        text.len,
        from,
        |to| text.write(to),
        |envelope| !contents.offer(envelope, kind, text.len, &mut wakes),
    );
    queue.wakes = wakes;
    done
}
