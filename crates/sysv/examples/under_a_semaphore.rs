//! Two processes update one segment under a semaphore.
//!
//! Each adds to a counter that is read and written in two steps, so that without the semaphore additions would be lost.
//! The semaphore is acquired with undo: a process that is killed in its turn does not keep the other waiting.
//!
//! `cargo run -p sysv --example under_a_semaphore`

use std::error::Error;
use std::process::Command;

use sysv::{Hold, Key, Namespace, NewSegment, NewSemaphoreSet, Segment, SemaphoreSet, TemporaryNamespace};

const ADDITIONS: u64 = 100_000;
const KEY: Key = Key::new(42);

fn main() -> Result<(), Box<dyn Error>> {
    match std::env::args_os().nth(1) {
        None => first(),
        Some(directory) => add(&Namespace::open(directory)?),
    }
}

fn first() -> Result<(), Box<dyn Error>> {
    let namespace = TemporaryNamespace::create()?;
    let segment = Segment::create(&namespace, KEY, NewSegment::of_size(8))?;
    SemaphoreSet::create(&namespace, KEY, NewSemaphoreSet::with_units([1]))?;

    let directory = namespace.location().directory().expect("it is no kernel's");
    let mut second = Command::new(std::env::current_exe()?).arg(directory).spawn()?;
    add(&namespace)?;
    if !second.wait()?.success() {
        return Err("the second process failed".into());
    }
    println!("{} additions by two processes", segment.attach()?.read::<u64>(0)?);
    Ok(())
}

fn add(namespace: &Namespace) -> Result<(), Box<dyn Error>> {
    let memory = Segment::open(namespace, KEY)?.attach()?;
    let set = SemaphoreSet::open(namespace, KEY)?;
    for _ in 0..ADDITIONS {
        let _turn = set.acquire(Hold::of(0, 1).with_undo())?;
        let count: u64 = memory.read(0)?;
        memory.write(0, &(count + 1))?;
    }
    Ok(())
}
