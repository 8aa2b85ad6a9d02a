//! Looking at the queues, for people.

use core::sync::atomic::Ordering::Relaxed;

use super::{control, registry};
use crate::abi::MsqidDs;
use crate::errno::Result;
use crate::facility::StatBy;
use crate::identity::{Command, Identity};
use crate::member::Member;

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
