//! Semaphore sets: what an honest process has of them, and does with them.

use std::time::{Duration, Instant};

use sysv_engine::abi::{IPC_CREAT, IPC_EXCL, IPC_NOWAIT, IPC_PRIVATE, SEM_UNDO, Sembuf, Timespec};
use sysv_engine::{Asked, Engine, Errno, PermChange, Result, Semaphores, StatBy, inspect};

use super::KEYS;
use super::spoil::{Area, TABLE};
use crate::process::Process;
use crate::random::Random;

/// How many semaphores the sets have: in the table, in a page of a file, in more than one.
const SIZES: [i32; 5] = [3, 16, 40, 300, 1];

fn op(num: u16, op: i16, flags: i32) -> Sembuf {
    Sembuf {
        num,
        op,
        flg: flags as i16,
    }
}

/// Sets in the table and in files, with adjustments owed by the living and the dead, and one who was killed waiting.
pub(super) fn furnish(engine: &Engine) -> Result<Vec<i32>> {
    let mut ids = Vec::new();
    for (key, nsems) in KEYS.zip(SIZES) {
        let id = engine.semget(key, nsems, IPC_CREAT | 0o600)?;
        for num in 0..nsems.min(3) {
            engine.sem_set_value(id, num, 1 + num)?;
        }
        ids.push(id);
    }
    for &id in &ids[1..] {
        engine.semop(id, &[op(0, 3, SEM_UNDO)], None)?;
    }
    for &id in &ids[1..] {
        let killed = Process::fork(|| {
            let owes = engine.semop(id, &[op(0, 2, SEM_UNDO)], None);
            // Twelve operations take two cells.
            let waits = owes.and_then(|()| engine.semop(id, &[op(0, -1000, 0); 12], None));
            i32::from(waits.is_err())
        });
        let patience = Instant::now();
        while engine.sem_ask(id, 0, Asked::WaitingForMore)? == 0 {
            if patience.elapsed() > Duration::from_secs(20) {
                return Err(Errno::ETIMEDOUT);
            }
            std::thread::sleep(Duration::from_millis(1));
        }
        drop(killed);
    }
    Ok(ids)
}

/// What lies are told about in the file with this name, the `number`th object's.
pub(super) fn areas(file: usize, number: usize) -> Vec<Area> {
    let nsems = SIZES[number % SIZES.len()] as usize;
    let places = inspect::set_file(nsems);
    vec![
        Area::of(file, places.head, 1, 2),
        Area::of(file, places.semaphores, nsems.min(4), 2),
        Area::of(file, places.cells, 4, 2),
        Area::of(file, places.undos, 4, 2),
        Area::of(TABLE, (inspect::LAYOUT.registries[1].slots.0 + 128, 384), 1, 1),
    ]
}

fn some_operations(random: &mut Random, flags: i32) -> Vec<Sembuf> {
    let count = match random.below(8) {
        0 => 15,
        n => n.min(4) as usize,
    };
    (0..count)
        .map(|_| {
            let undo = if random.below(3) == 0 { SEM_UNDO } else { 0 };
            op(random.below(4) as u16, random.below(5) as i16 - 2, flags | undo)
        })
        .collect()
}

/// One call.
pub(super) fn call(engine: &Engine, ids: &[i32], random: &mut Random) -> Result<()> {
    let id = *random.one_of(ids);
    let key = KEYS.start + random.below(KEYS.len() as u64) as i32;
    let num = random.below(4) as u16;
    match random.below(20) {
        0 => engine.semget(key, 0, 0).map(drop),
        1 => {
            let id = engine.semget(IPC_PRIVATE, 1 + random.below(40) as i32, 0o600)?;
            engine.sem_remove(id)
        }
        2 => {
            let id = engine.semget(KEYS.end, 1 + random.below(20) as i32, IPC_CREAT | IPC_EXCL | 0o600)?;
            let done = engine.semop(id, &some_operations(random, IPC_NOWAIT), None);
            engine.sem_remove(id)?;
            done
        }
        3 | 4 => engine.semop(id, &[op(num, 1, 0)], None),
        5 | 6 => engine.semop(id, &[op(num, -1, IPC_NOWAIT)], None),
        7 => engine.semop(id, &[op(num, 0, IPC_NOWAIT)], None),
        8..=10 => engine.semop(id, &some_operations(random, IPC_NOWAIT), None),
        11 => {
            for what in [Asked::Value, Asked::Pid, Asked::WaitingForMore, Asked::WaitingForZero] {
                engine.sem_ask(id, num.into(), what)?;
            }
            Ok(())
        }
        12 => engine.sem_set_value(id, num.into(), random.below(4) as i32),
        13 => {
            let mut values = vec![0; engine.sem_count(id)?];
            engine.sem_values(id, &mut values)?;
            values.iter_mut().for_each(|value| *value &= 3);
            engine.sem_set_values(id, &values)
        }
        14 => {
            engine.sem_stat(id, StatBy::Id)?;
            engine.sem_stat(random.below(8) as i32, StatBy::IndexAny).map(drop)
        }
        15 => {
            let (uid, gid) = crate::process::effective_ids();
            let mode = 0o600 | random.below(0o200) as u32;
            engine.sem_set(id, PermChange { uid, gid, mode })
        }
        16 if random.below(8) == 0 => engine.sem_remove(id),
        17 => engine.sweep(),
        18 => {
            let mut seen = 0;
            engine.sets(&mut |_| seen += 1)?;
            engine.sem_limits()?;
            engine.sem_usage().map(drop)
        }
        19 if random.below(8) == 0 => {
            let wait = Timespec {
                sec: 0,
                nsec: random.below(1_000_000) as i64,
            };
            engine.semop(id, &some_operations(random, 0), Some(wait))
        }
        _ => Ok(()),
    }
}
