//! Semaphore sets at an inquest.

use std::fmt::Write;

use sysv_engine::abi::{IPC_CREAT, IPC_EXCL, IPC_NOWAIT, SEM_UNDO, Sembuf};
use sysv_engine::{Asked, Engine, Errno, Semaphores};

/// Every set: its values, and how many wait.
pub(super) fn view(engine: &Engine, view: &mut String) -> Result<(), String> {
    let mut sets = Vec::new();
    let listed = engine.sets(&mut |set| sets.push((set.id, set.ds)));
    listed.map_err(|errno| format!("listing sets: {errno:?}"))?;
    for (id, ds) in sets {
        let at = |errno: Errno| format!("asking after set {id}: {errno:?}");
        let mut values = vec![0; ds.nsems as usize];
        engine.sem_values(id, &mut values).map_err(at)?;
        let p = &ds.perm;
        let _ = write!(
            view,
            "; set {id} key {:#x} mode {:o} owner {}:{} values {values:?}",
            p.key, p.mode, p.uid, p.gid
        );
        for number in 0..values.len() as i32 {
            for what in [Asked::WaitingForMore, Asked::WaitingForZero] {
                let waiting = engine.sem_ask(id, number, what).map_err(at)?;
                if waiting != 0 {
                    let _ = write!(view, " {waiting} at {number} {what:?}");
                }
            }
        }
    }
    Ok(())
}

/// A set's whole life, which must go as in a new namespace.
pub(super) fn work(engine: &Engine) -> Result<(), String> {
    const KEY: i32 = 0x0077_1235;
    let at = |what: &'static str| move |errno| format!("afterwards, {what}: {errno:?}");
    // One in the table and one in a file.
    for nsems in [3, 30] {
        let id = engine
            .semget(KEY, nsems, IPC_CREAT | IPC_EXCL | 0o600)
            .map_err(at("making a set"))?;
        let operation = |num, op, flg: i32| Sembuf {
            num,
            op,
            flg: flg as i16,
        };
        engine.sem_set_value(id, 1, 7).map_err(at("setting a value"))?;
        let done = engine.semop(id, &[operation(0, 2, SEM_UNDO), operation(1, -3, 0)], None);
        done.map_err(at("operating"))?;
        let refused = engine.semop(id, &[operation(1, -5, IPC_NOWAIT)], None);
        let mut values = vec![0; nsems as usize];
        engine.sem_values(id, &mut values).map_err(at("reading all values"))?;
        if refused != Err(Errno::EAGAIN) || values[..2] != [2, 4] || values[2..].iter().any(|&value| value != 0) {
            return Err(format!("a new set holds {values:?}, and refused {refused:?}"));
        }
        engine.sem_remove(id).map_err(at("removing a set"))?;
        if engine.semget(KEY, 0, 0).is_ok() {
            return Err("the key of a removed set is not free".to_owned());
        }
    }
    Ok(())
}
