//! A process that uses the facility as its manual says, whatever it meets.

use std::ffi::CStr;

use sysv_engine::abi::{IPC_CREAT, IPC_EXCL, IPC_PRIVATE, SHM_NORESERVE, SHM_RDONLY};
use sysv_engine::{Engine, Join, PermChange, Segments, StatBy};

use crate::inquest::{attach, detach};
use crate::process::Process;
use crate::random::Random;

/// Keys in use, and one that is not.
const KEYS: std::ops::Range<i32> = 1..7;

/// The process, with segments of every kind.
pub(super) struct Honest {
    engine: Engine,
    ids: Vec<i32>,
    pub calls: u64,
    pub failed: u64,
}

impl Honest {
    /// Joins a namespace and fills it: segments with and without files, one doomed, and what a killed process left.
    pub(super) fn settle(directory: &CStr, shared: bool) -> Result<Honest, String> {
        let how = if shared { Join::CreateShared } else { Join::Create };
        let engine = Engine::join(directory, how).map_err(|e| e.describe(directory).to_string())?;
        let ids = furnish(&engine).map_err(|errno| format!("{errno:?}"))?;
        let dead = Process::fork(|| {
            // `fork` has attached everything in the child too, and it is killed with that.
            std::thread::sleep(std::time::Duration::from_secs(60));
            0
        });
        drop(dead);
        Ok(Honest {
            engine,
            ids,
            calls: 0,
            failed: 0,
        })
    }

    /// One to three calls.
    pub(super) fn call(&mut self, random: &mut Random) {
        for _ in 0..=random.below(3) {
            self.calls += 1;
            if self.one_call(random).is_err() {
                self.failed += 1;
            }
        }
    }

    fn one_call(&self, random: &mut Random) -> sysv_engine::Result<()> {
        let engine = &self.engine;
        let id = *random.one_of(&self.ids);
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
                let at = super::attach_read_only(engine, id, SHM_RDONLY)?;
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
}

fn furnish(engine: &Engine) -> sysv_engine::Result<Vec<i32>> {
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
    Ok(ids)
}
