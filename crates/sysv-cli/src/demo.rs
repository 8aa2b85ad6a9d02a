//! `sysv demo`: the main job, shown and verified in one command.

mod act;
mod perl;

use clap::Args;
use sysv::{Key, Namespace, NewSegment, Segment, TemporaryNamespace};

use crate::failure::Failure;
use crate::output;
use act::{Actor, COUNT, Role};

/// Show processes sharing a segment, one of them unmodified perl, and verify what they did
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// What one of the demonstration's own processes does
    #[arg(long, hide = true)]
    role: Option<Role>,
}

/// The key that the processes agree on: "demo".
const KEY: Key = Key::new(i32::from_be_bytes(*b"demo"));
const SIZE: usize = 4096;

pub(crate) fn demo(arguments: &Arguments) -> Result<(), Failure> {
    match arguments.role {
        Some(role) => act::act(role),
        None => direct(),
    }
}

/// One line of what happens.
fn say(line: impl std::fmt::Display) -> Result<(), Failure> {
    output::print(format!("{line}\n"))
}

/// Ends the demonstration unless something held.
fn verify(held: bool, what: impl std::fmt::Display) -> Result<(), Failure> {
    if held {
        return say(format_args!("      ok: {what}"));
    }
    Err(Failure::new(format_args!("this did not hold: {what}")))
}

fn direct() -> Result<(), Failure> {
    let before = kernel_segments();
    let namespace = TemporaryNamespace::create()?;
    say(format_args!(
        "The namespace of this demonstration is {}.",
        namespace.location()
    ))?;

    say("\n1. One process creates a segment.")?;
    let segment = Segment::create(&namespace, KEY, NewSegment::of_size(SIZE))?;
    let memory = segment.attach()?;
    say(format_args!(
        "   pid {} (sysv) created segment {} with key {KEY}, {SIZE} bytes",
        std::process::id(),
        segment.id()
    ))?;
    verify(memory.to_vec(0..SIZE)?.iter().all(|&b| b == 0), "it reads as zeros")?;

    say("\n2. Two more processes count in it at the same time.")?;
    let counters = [
        Actor::start(Role::Count, &namespace)?,
        Actor::start(Role::Count, &namespace)?,
    ];
    for counter in counters {
        counter.finish()?;
    }
    let expected = 2 * COUNT;
    let counted = memory.read::<u64>(act::COUNTER)?;
    verify(
        counted == expected,
        format_args!("the counter says {counted}, no increment was lost"),
    )?;

    say("\n3. An unmodified program reads and writes it: perl, with its built-in shmget, shmread and shmwrite.")?;
    memory.copy_in(act::GREETING, b"hello from Rust\0")?;
    perl::converse(&namespace)?;
    let answer = memory.to_vec(act::ANSWER..act::ANSWER + 64)?;
    let answer = String::from_utf8_lossy(answer.split(|&b| b == 0).next().unwrap_or_default()).into_owned();
    verify(
        answer == "HELLO FROM RUST, says perl",
        format_args!("this process reads \"{answer}\""),
    )?;

    say("\n4. A process that holds it is killed.")?;
    let mut holder = Actor::start(Role::Hold, &namespace)?;
    holder.listen()?;
    let holders = segment.attachments()?;
    say(format_args!(
        "   attached by pids {}",
        holders
            .iter()
            .map(|h| h.process.pid.to_string())
            .collect::<Vec<_>>()
            .join(" and ")
    ))?;
    verify(segment.stat()?.attachments == 2, "the segment has 2 attachments")?;
    say(format_args!("   pid {} gets SIGKILL", holder.pid()))?;
    holder.kill()?;
    verify(segment.stat()?.attachments == 1, "the dead one's attachment is gone")?;

    say("\n5. The segment is removed while attached.")?;
    segment.remove()?;
    verify(Segment::open(&namespace, KEY).is_err(), "its key is free")?;
    verify(
        memory.read::<u64>(act::COUNTER)? == expected,
        "its memory is there until the last process detaches",
    )?;
    drop(memory);
    verify(
        segment.stat().is_err() && namespace.report()?.is_empty(),
        "then it is gone",
    )?;
    verify(
        kernel_segments() == before,
        "the kernel's own facility never heard of it",
    )?;
    Ok(())
}

/// The segments of the kernel's facility that have the demonstration's key.
fn kernel_segments() -> Option<sysv::Id> {
    Segment::open(&Namespace::kernel(), KEY)
        .ok()
        .map(|segment| segment.id())
}
