//! Segments: what an honest process has of them, and does with them.

#![allow(unsafe_code)]

use sysv_engine::abi::{IPC_CREAT, IPC_EXCL, IPC_PRIVATE, SHM_NORESERVE, SHM_RDONLY};
use sysv_engine::inspect::LAYOUT;
use sysv_engine::{Engine, PermChange, Result, Segments, StatBy};

use super::KEYS;
use super::spoil::{Area, TABLE};
use crate::inquest::{attach, detach};
use crate::process::Process;
use crate::random::Random;

/// Segments with and without files, one doomed, and what a killed process left.
pub(super) fn furnish(engine: &Engine) -> Result<Vec<i32>> {
    let mut ids = Vec::new();
    for key in KEYS.start..KEYS.end - 1 {
        ids.push(engine.shmget(key, 4096 * key as usize, IPC_CREAT | 0o600)?);
    }
    for _ in 0..3 {
        attach(engine, ids[0])?;
    }
    attach(engine, ids[1])?;
    attach(engine, ids[2])?;
    engine.shm_remove(ids[2])?;
    // `fork` attaches everything in the child too, and it is killed with that.
    drop(Process::fork(|| {
        std::thread::sleep(std::time::Duration::from_secs(60));
        0
    }));
    Ok(ids)
}

/// What lies are told about, beside what all mechanisms have.
pub(super) fn areas() -> Vec<Area> {
    vec![Area::of(TABLE, LAYOUT.attachments, 16, 4)]
}

/// One call.
pub(super) fn call(engine: &Engine, ids: &[i32], random: &mut Random) -> Result<()> {
    let id = *random.one_of(ids);
    let key = KEYS.start + random.below(KEYS.len() as u64) as i32;
    match random.below(14) {
        0 => engine.shmget(key, 0, 0).map(drop),
        1 => {
            let id = engine.shmget(IPC_PRIVATE, 5000, 0o600 | SHM_NORESERVE)?;
            engine.shm_remove(id)
        }
        2 => {
            let id = engine.shmget(KEYS.end, 1 + random.below(9000) as usize, IPC_CREAT | IPC_EXCL | 0o600)?;
            let at = attach(engine, id)?;
            let removed = engine.shm_remove(id);
            detach(engine, at)?;
            removed
        }
        3 => engine.shm_stat(id, StatBy::Id).map(drop),
        4 => engine
            .shm_stat(random.below(8) as i32 + 16384, StatBy::IndexAny)
            .map(drop),
        5 | 6 => {
            let at = attach(engine, id)?;
            detach(engine, at)
        }
        7 => {
            // SAFETY: without SHM_REMAP nothing that exists is touched.
            let at = unsafe { engine.shmat(id, 0, SHM_RDONLY) }? as usize;
            detach(engine, at)
        }
        8 => {
            let (uid, gid) = crate::process::effective_ids();
            let mode = 0o600 | random.below(0o200) as u32;
            engine.shm_set(id, PermChange { uid, gid, mode })
        }
        9 if random.below(8) == 0 => engine.shm_remove(id),
        10 => engine.sweep(),
        11 => {
            let mut seen = 0;
            engine.segments(&mut |_| seen += 1)?;
            engine.attachments(id, &mut |_| seen += 1)
        }
        12 => engine.shm_lock(id, random.below(2) == 0),
        _ => {
            engine.shm_limits()?;
            engine.shm_usage().map(drop)
        }
    }
}
