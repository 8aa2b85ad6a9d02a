//! Two processes update one segment under locks on ranges of it.
//!
//! Each moves money between accounts: it locks the two accounts, the lower one first so that nobody waits in a circle, and
//! the other process works on other accounts meanwhile. The system releases the locks of a process that is killed.
//!
//! `cargo run -p sysv --example under_a_lock`

use std::error::Error;
use std::process::Command;

use sysv::{Key, LockKind, Namespace, NewSegment, Segment, TemporaryNamespace};

const TRANSFERS: u64 = 20_000;
const ACCOUNTS: u64 = 16;
const START: u64 = 1_000_000;
const KEY: Key = Key::new(42);

fn main() -> Result<(), Box<dyn Error>> {
    match std::env::args_os().nth(1) {
        None => first(),
        Some(directory) => transfer(&Namespace::open(directory)?, 7),
    }
}

fn first() -> Result<(), Box<dyn Error>> {
    let namespace = TemporaryNamespace::create()?;
    let segment = Segment::create(&namespace, KEY, NewSegment::of_size(ACCOUNTS as usize * 8))?;
    let memory = segment.attach()?;
    for account in 0..ACCOUNTS {
        memory.write(account as usize * 8, &START)?;
    }

    let directory = namespace.location().directory().expect("it is no kernel's");
    let mut second = Command::new(std::env::current_exe()?).arg(directory).spawn()?;
    transfer(&namespace, 3)?;
    if !second.wait()?.success() {
        return Err("the second process failed".into());
    }
    // Readers would share this lock, and keep out writers.
    let mut file = segment.lock_file()?;
    let _all = file.lock(LockKind::Shared, ..)?;
    let balances: [u64; ACCOUNTS as usize] = memory.read(0)?;
    println!("{} in {ACCOUNTS} accounts", balances.iter().sum::<u64>());
    Ok(())
}

fn transfer(namespace: &Namespace, step: u64) -> Result<(), Box<dyn Error>> {
    let segment = Segment::open(namespace, KEY)?;
    let memory = segment.attach()?;
    // One party for each of the two locks.
    let (mut low, mut high) = (segment.lock_file()?, segment.lock_file()?);
    for round in 0..TRANSFERS {
        let (from, to) = (round % ACCOUNTS, (round + step) % ACCOUNTS);
        let bytes = |account: u64| account * 8..account * 8 + 8;
        let _low = low.lock(LockKind::Exclusive, bytes(from.min(to)))?;
        let _high = high.lock(LockKind::Exclusive, bytes(from.max(to)))?;
        let (from, to) = (from as usize * 8, to as usize * 8);
        let (debit, credit): (u64, u64) = (memory.read(from)?, memory.read(to)?);
        memory.write(from, &(debit - 1))?;
        memory.write(to, &(credit + 1))?;
    }
    Ok(())
}
