//! A member process, for people.

use core::sync::atomic::Ordering::{Acquire, Relaxed};

use crate::identity::{Command, Identity};
use crate::lock::Tag;
use crate::table::Table;

/// A member of the namespace, as an operator wants to see it.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct ProcessReport {
    /// Process id in its own pid namespace.
    pub pid: u32,
    /// Inode number of that pid namespace; 0 if unknown.
    pub pid_namespace: u32,
    /// Effective user when the process joined the namespace.
    pub uid: u32,
    command: [u8; 32],
}

impl ProcessReport {
    /// The process's command name when it joined.
    pub fn command(&self) -> &[u8] {
        let end = self.command.iter().position(|&b| b == 0).unwrap_or(self.command.len());
        &self.command[..end]
    }

    /// The process that a tag names, unless its record has passed to another.
    pub(crate) fn of(table: &Table, tag: Tag) -> Option<ProcessReport> {
        let record = table.processes.get(tag.index())?;
        let identity = Identity::from_word(record.identity.load(Relaxed));
        let report = ProcessReport {
            pid: identity.pid(),
            pid_namespace: identity.namespace(),
            uid: record.uid.load(Relaxed),
            command: Command::load(&record.command).bytes(),
        };
        tag.is_of_generation(record.generation.load(Acquire)).then_some(report)
    }
}
