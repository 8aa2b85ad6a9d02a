//! The demonstration's own processes: this program, started again to play a role.

use std::io::{BufRead, BufReader};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use clap::ValueEnum;
use sysv::{Namespace, Segment};

use super::{KEY, say};
use crate::failure::Failure;

/// Increments by each process that counts.
pub(super) const COUNT: u64 = 100_000;
/// Where the counter lies.
pub(super) const COUNTER: usize = 0;
/// Where the processes that count say that they are there.
const ATTACHED: usize = 8;
/// Where a text for perl lies, and where its answer goes.
pub(super) const GREETING: usize = 64;
pub(super) const ANSWER: usize = 128;

#[derive(Clone, Copy, Debug, ValueEnum)]
pub(super) enum Role {
    /// Adds to the counter.
    Count,
    /// Attaches and waits to be killed.
    Hold,
}

/// What such a process does.
pub(super) fn act(role: Role) -> Result<(), Failure> {
    let namespace = Namespace::current()?;
    let segment = Segment::open(&namespace, KEY)?;
    let memory = segment.attach()?;
    let pid = std::process::id();
    match role {
        Role::Count => {
            let counter: &AtomicU64 = memory.atomic(COUNTER)?;
            wait_for_both(memory.atomic(ATTACHED)?)?;
            for _ in 0..COUNT {
                counter.fetch_add(1, Ordering::Relaxed);
            }
            say(format_args!(
                "   pid {pid} (sysv) attached segment {} and counted {COUNT} times",
                segment.id()
            ))?;
        }
        Role::Hold => {
            say(format_args!(
                "   pid {pid} (sysv) attached segment {} and waits",
                segment.id()
            ))?;
            // Not for ever: the director may die.
            thread::sleep(Duration::from_secs(60));
        }
    }
    Ok(())
}

/// Returns in both counting processes at about the same time.
fn wait_for_both(attached: &AtomicU64) -> Result<(), Failure> {
    attached.fetch_add(1, Ordering::Relaxed);
    let begun = Instant::now();
    while attached.load(Ordering::Relaxed) < 2 {
        if begun.elapsed() > Duration::from_secs(30) {
            return Err(Failure::new("the other process that counts does not come"));
        }
        thread::yield_now();
    }
    Ok(())
}

/// A process that plays a role. It is killed when dropped.
pub(super) struct Actor {
    child: Child,
    output: BufReader<ChildStdout>,
}

impl Actor {
    pub(super) fn start(role: Role, namespace: &Namespace) -> Result<Actor, Failure> {
        let mut command = Command::new(std::env::current_exe()?);
        let role = role
            .to_possible_value()
            .map_or_else(String::new, |value| value.get_name().to_owned());
        command.args(["demo", "--role", &role]).stdout(Stdio::piped());
        if let Some(directory) = namespace.location().directory() {
            command.env("SYSV_NAMESPACE", directory);
        }
        let mut child = command.spawn()?;
        let output = child
            .stdout
            .take()
            .ok_or_else(|| Failure::new("a process has no standard output"))?;
        Ok(Actor {
            child,
            output: BufReader::new(output),
        })
    }

    pub(super) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Shows the next line that it says.
    pub(super) fn listen(&mut self) -> Result<(), Failure> {
        let mut line = String::new();
        self.output.read_line(&mut line)?;
        if line.is_empty() {
            return Err(Failure::new(format_args!(
                "process {} ended without a word",
                self.pid()
            )));
        }
        say(line.trim_end_matches('\n'))?;
        Ok(())
    }

    /// Shows what it says and waits until it has ended well.
    pub(super) fn finish(mut self) -> Result<(), Failure> {
        self.listen()?;
        let status = self.child.wait()?;
        if status.success() {
            Ok(())
        } else {
            Err(Failure::new(format_args!("process {}: {status}", self.pid())))
        }
    }

    pub(super) fn kill(mut self) -> Result<(), Failure> {
        self.child.kill()?;
        self.child.wait()?;
        Ok(())
    }
}

impl Drop for Actor {
    fn drop(&mut self) {
        // Both fail if it has been waited for.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
