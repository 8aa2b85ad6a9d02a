//! Looking at the queues, for people.

use core::sync::atomic::Ordering::{Acquire, Relaxed};

use super::contents::Contents;
use super::layout::{FREE, GRANTED};
use super::locked::LockedQueue;
use super::selection::Selection;
use super::window::{Mapped, has_file};
use super::{LockedQueues, control, registry};
use crate::abi::MsqidDs;
use crate::credentials::Caller;
use crate::errno::{Errno, Result};
use crate::facility::StatBy;
use crate::identity::{Command, Identity};
use crate::lock::Tag;
use crate::member::Member;
use crate::page_vec::PageVec;

/// A queue, as an operator wants to see it.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct QueueReport {
    /// Identifier.
    pub id: i32,
    /// What `MSG_STAT_ANY` says.
    pub ds: MsqidDs,
    /// Creator's process id in its own pid namespace, whatever the reader's.
    pub creator_pid: u32,
    /// Inode number of the creator's pid namespace; 0 if unknown.
    pub creator_pid_namespace: u32,
    command: [u8; 32],
}

impl QueueReport {
    /// The creator's command name.
    pub fn command(&self) -> &[u8] {
        let end = self.command.iter().position(|&b| b == 0).unwrap_or(self.command.len());
        &self.command[..end]
    }
}

/// Calls `each` with every queue, lowest index first.
pub(crate) fn queues(member: &Member, each: &mut dyn FnMut(&QueueReport)) -> Result<()> {
    member.enter()?;
    // What a dead owner of the lock has made is not listed before it is recovered.
    drop(LockedQueues::lock(member, &member.lock_private()));
    let registry = registry(member.table());
    for number in registry.used_numbers() {
        // Index and number are the same here: queues' indexes start at 0.
        let Ok((id, ds)) = control::stat(member, number as i32, StatBy::IndexAny) else {
            continue;
        };
        let head = &registry.slots[number].head;
        let creator = Identity::from_word(head.creator.load(Relaxed));
        each(&QueueReport {
            id,
            ds,
            creator_pid: creator.pid(),
            creator_pid_namespace: creator.namespace(),
            command: Command::load(&head.command).bytes(),
        });
    }
    Ok(())
}

/// A message that waits in its queue, as an operator wants to see it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct MessageReport {
    /// Its type.
    pub kind: i64,
    /// Its length in bytes.
    pub size: u64,
    /// When it was sent, in seconds since the Epoch.
    pub sent_at: i64,
    /// Process id of its sender, in its own pid namespace, whatever the reader's.
    pub sender_pid: u32,
    /// Inode number of that pid namespace; 0 if unknown.
    pub sender_pid_namespace: u32,
}

/// What somebody waits for at a queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Wants {
    /// To send a message, for which there is no room.
    Room,
    /// The first message.
    Any,
    /// The first of this type.
    Exactly(i64),
    /// The first of the lowest type, if that is not above this.
    AtMost(i64),
    /// The first of another type.
    Except(i64),
}

/// One who waits at a queue, as an operator wants to see it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct WaiterReport {
    /// Process id in its own pid namespace, whatever the reader's.
    pub pid: u32,
    /// Inode number of that pid namespace; 0 if unknown.
    pub pid_namespace: u32,
    /// Effective user when the process joined the namespace.
    pub uid: u32,
    /// What for.
    pub wants: Wants,
    /// The length of the message to be sent, or the longest that the receiver takes, in bytes.
    pub size: u64,
    command: [u8; 32],
}

impl WaiterReport {
    /// The process's command name when it joined.
    pub fn command(&self) -> &[u8] {
        let end = self.command.iter().position(|&b| b == 0).unwrap_or(self.command.len());
        &self.command[..end]
    }
}

/// Calls `look` with a queue's contents, its lock held. A queue without a file has none.
fn inside<T: Default>(
    member: &Member,
    id: i32,
    look: impl FnOnce(&LockedQueue<'_, '_>, &Contents<'_, Mapped<'_>>) -> Result<T>,
) -> Result<T> {
    member.enter()?;
    let (number, slot, _) = registry(member.table()).find_id(id)?;
    if !Caller::current().permits(&slot.head.ownership(), 0o444) {
        return Err(Errno::EACCES);
    }
    if !has_file(slot) {
        return Ok(T::default());
    }
    let mapped = Mapped::find(member, number, slot, id)?;
    let queue = LockedQueue::lock(&mapped);
    let contents = queue.contents()?;
    look(&queue, &contents)
}

/// Calls `each` with at most `limit` messages, first come first.
pub(crate) fn messages(member: &Member, id: i32, limit: usize, each: &mut dyn FnMut(&MessageReport)) -> Result<()> {
    let found = inside(member, id, |_, contents| {
        let mut found = PageVec::<MessageReport>::new();
        for (number, envelope) in contents.in_order() {
            if found.as_slice().len() >= limit {
                break;
            }
            let Some(message) = contents.message(number) else {
                continue;
            };
            let sender = Identity::from_word(envelope.sender.load(Relaxed));
            found.push(MessageReport {
                kind: message.kind,
                size: message.len as u64,
                sent_at: envelope.sent_at.load(Relaxed),
                sender_pid: sender.pid(),
                sender_pid_namespace: sender.namespace(),
            })?;
        }
        Ok(found)
    })?;
    found.as_slice().iter().for_each(each);
    Ok(())
}

/// Calls `each` with those who wait, receivers first.
pub(crate) fn waiters(member: &Member, id: i32, each: &mut dyn FnMut(&WaiterReport)) -> Result<()> {
    let found = inside(member, id, |queue, contents| {
        let mut found = PageVec::<WaiterReport>::new();
        let mut full = false;
        contents.for_each_waiting(&mut |waiter| {
            // Those who have been given their message only have to wake up.
            if matches!(waiter.state.load(Acquire), FREE | GRANTED) {
                return;
            }
            let owner = Tag::from_exact_word(waiter.owner.load(Relaxed)).filter(|&tag| queue.is_alive(tag));
            let Some(record) = owner.and_then(|tag| member.table().processes.get(tag.index())) else {
                return;
            };
            let who = Identity::from_word(record.identity.load(Relaxed));
            let wants = match Selection::from_words(waiter.mode.load(Relaxed), waiter.kind.load(Relaxed)) {
                None => Wants::Room,
                Some(Selection::Exactly(kind)) => Wants::Exactly(kind),
                Some(Selection::AtMost(kind)) => Wants::AtMost(kind),
                Some(Selection::Except(kind)) => Wants::Except(kind),
                // Nobody waits for a position.
                Some(Selection::Any | Selection::Position(_)) => Wants::Any,
            };
            full |= found
                .push(WaiterReport {
                    pid: who.pid(),
                    pid_namespace: who.namespace(),
                    uid: record.uid.load(Relaxed),
                    wants,
                    size: waiter.size.load(Relaxed),
                    command: Command::load(&record.command).bytes(),
                })
                .is_err();
        });
        if full { Err(Errno::ENOMEM) } else { Ok(found) }
    })?;
    found.as_slice().iter().for_each(each);
    Ok(())
}
