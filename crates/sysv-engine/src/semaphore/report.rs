//! Looking at the sets, for people.

use core::sync::atomic::Ordering::Relaxed;

use super::{control, registry};
use crate::abi::SemidDs;
use crate::errno::Result;
use crate::facility::StatBy;
use crate::identity::{Command, Identity};
use crate::member::Member;

/// A semaphore set, as an operator wants to see it.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct SetReport {
    /// Identifier.
    pub id: i32,
    /// What `SEM_STAT_ANY` says.
    pub ds: SemidDs,
    /// Creator's process id in its own pid namespace, whatever the reader's.
    pub creator_pid: u32,
    /// Inode number of the creator's pid namespace; 0 if unknown.
    pub creator_pid_namespace: u32,
    command: [u8; 32],
}

impl SetReport {
    /// The creator's command name.
    pub fn command(&self) -> &[u8] {
        let end = self.command.iter().position(|&b| b == 0).unwrap_or(self.command.len());
        &self.command[..end]
    }
}

/// Calls `each` with every set, lowest index first.
pub(crate) fn sets(member: &Member, each: &mut dyn FnMut(&SetReport)) -> Result<()> {
    member.enter()?;
    let registry = registry(member.table());
    for number in registry.used_numbers() {
        // Index and number are the same here: sets' indexes start at 0.
        let Ok((id, ds)) = control::stat(member, number as i32, StatBy::IndexAny) else {
            continue;
        };
        let head = &registry.slots[number].head;
        let creator = Identity::from_word(head.creator.load(Relaxed));
        each(&SetReport {
            id,
            ds,
            creator_pid: creator.pid(),
            creator_pid_namespace: creator.namespace(),
            command: Command::load(&head.command).bytes(),
        });
    }
    Ok(())
}
