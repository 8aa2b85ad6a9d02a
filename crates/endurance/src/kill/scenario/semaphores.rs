//! Semaphore sets.

use std::sync::atomic::Ordering::SeqCst;

use sysv_engine::abi::{IPC_CREAT, IPC_EXCL, IPC_NOWAIT, SEM_UNDO, Sembuf, Timespec};
use sysv_engine::{Asked, Engine, Errno, Join, PermChange, Result, Semaphores, process};

use super::{Actor, Died, KEY, NOBODY, ORDINARY, OTHER, Scenario, Waits, interrupts, join};
use crate::board::Board;

/// Semaphores of the survivor's set, and what they begin with.
const VALUES: [u16; 4] = [5, 0, 3, 1];
/// Semaphores of a set that stands in a file altogether.
const MANY: i32 = 40;

fn operation(num: u16, op: i16, flg: i32) -> Sembuf {
    Sembuf {
        num,
        op,
        flg: flg as i16,
    }
}

const fn undo(num: u16, op: i16) -> Sembuf {
    Sembuf {
        num,
        op,
        flg: SEM_UNDO as i16,
    }
}

const fn plain(num: u16, op: i16) -> Sembuf {
    Sembuf { num, op, flg: 0 }
}

/// Several semaphores together.
const SEVERAL: [Sembuf; 3] = [plain(0, -2), plain(1, 1), plain(3, -1)];
const SEVERAL_WITH_UNDO: [Sembuf; 3] = [undo(0, -2), undo(1, 1), undo(3, -1)];

/// The survivor's set.
fn small(engine: &Engine, board: &Board) -> Result<()> {
    make(engine, board, VALUES.len() as i32)
}

/// One with a file.
fn large(engine: &Engine, board: &Board) -> Result<()> {
    make(engine, board, MANY)
}

fn make(engine: &Engine, board: &Board, nsems: i32) -> Result<()> {
    let id = engine.semget(KEY, nsems, IPC_CREAT | 0o600)?;
    board.ids[2].store(id, SeqCst);
    for (number, value) in VALUES.into_iter().enumerate() {
        engine.sem_set_value(id, number as i32, value.into())?;
    }
    Ok(())
}

/// A set to which the survivor owes something.
fn owed(engine: &Engine, board: &Board) -> Result<()> {
    small(engine, board)?;
    engine.semop(set(board), &[undo(0, -1), undo(2, 2)], None)
}

/// As [`owed`], with values in the set's file.
fn large_and_owed(engine: &Engine, board: &Board) -> Result<()> {
    large(engine, board)?;
    engine.semop(set(board), &[undo(0, -1), undo(2, 2)], None)
}

/// One with records that nobody needs any more.
fn used(engine: &Engine, board: &Board) -> Result<()> {
    owed(engine, board)?;
    engine.semop(set(board), &[undo(0, 1), undo(2, -2)], None)
}

fn set(board: &Board) -> i32 {
    board.ids[2].load(SeqCst)
}

impl Actor<'_> {
    fn semop(&mut self, operations: &[Sembuf]) -> Result<()> {
        let id = set(self.stage.board);
        self.join().semop(id, operations, None)
    }

    /// Waits in vain.
    fn semop_for_a_while(&mut self, operations: &[Sembuf]) -> Result<()> {
        let patience = Timespec {
            sec: 0,
            nsec: 30_000_000,
        };
        let id = set(self.stage.board);
        match self.join().semop(id, operations, Some(patience)) {
            Err(Errno::EAGAIN) => Ok(()),
            other => other,
        }
    }
}

/// A companion that waits for a semaphore with value 0, and what lets it go on.
fn waits_for_one(engine: &Engine, board: &Board) -> Result<()> {
    engine.semop(set(board), &[plain(1, -1)], None)
}

fn waits_for_one_with_undo(engine: &Engine, board: &Board) -> Result<()> {
    engine.semop(set(board), &[undo(1, -1)], None)
}

/// The program that the process executes finds what it owes for this one.
fn owes_and_executes(a: &mut Actor<'_>) -> Result<()> {
    a.semop(&[undo(0, -1), undo(1, 3), undo(2, -1)])?;
    a.execute()
}

fn waits_for_several(engine: &Engine, board: &Board) -> Result<()> {
    engine.semop(set(board), &[plain(0, -1), undo(1, -2), plain(2, 1)], None)
}

fn gives_two(engine: &Engine, board: &Board) -> Result<()> {
    engine.semop(set(board), &[plain(1, 2)], None)
}

fn waits_for_zero(engine: &Engine, board: &Board) -> Result<()> {
    engine.semop(set(board), &[plain(3, 0)], None)
}

fn makes_zero(engine: &Engine, board: &Board) -> Result<()> {
    engine.sem_set_value(set(board), 3, 0)
}

fn removes(engine: &Engine, board: &Board) -> Result<()> {
    engine.sem_remove(set(board))
}

/// A call that takes the set's lock, and so makes whole what its dead owner left.
fn all_values(a: &mut Actor<'_>) -> Result<()> {
    let id = set(a.stage.board);
    let engine = a.join();
    let mut values = [0; MANY as usize];
    let count = engine.sem_count(id)?;
    engine.sem_values(id, &mut values[..count])
}

/// A call that takes the registry's lock and changes nothing.
fn finds_nothing(a: &mut Actor<'_>) -> Result<()> {
    match a.join().sem_remove(31_000) {
        Err(Errno::EINVAL) => Ok(()),
        other => other,
    }
}

const WITH_SET: Scenario = Scenario {
    prepare: small,
    ready: join,
    ..ORDINARY
};

const WAITING: Scenario = Scenario {
    waits: Waits::Victim,
    release: gives_two,
    ..WITH_SET
};

const SERVING: Scenario = Scenario {
    waits: Waits::Companion(waits_for_one),
    release: gives_two,
    ..WITH_SET
};

/// Every operation on semaphore sets.
pub(super) const ALL: &[Scenario] = &[
    Scenario {
        name: "semget-create",
        ready: join,
        act: |a| a.join().semget(OTHER, 4, IPC_CREAT | IPC_EXCL | 0o600).map(drop),
        ..ORDINARY
    },
    Scenario {
        name: "semget-create-many",
        ready: join,
        act: |a| a.join().semget(OTHER, MANY, IPC_CREAT | IPC_EXCL | 0o600).map(drop),
        ..ORDINARY
    },
    Scenario {
        name: "semget-create-shared",
        how: Join::CreateShared,
        ready: join,
        act: |a| a.join().semget(OTHER, 4, IPC_CREAT | IPC_EXCL | 0o640).map(drop),
        ..ORDINARY
    },
    Scenario {
        name: "semget-existing",
        act: |a| a.join().semget(KEY, 0, 0).map(drop),
        keeps: true,
        ..WITH_SET
    },
    Scenario {
        name: "semop",
        act: |a| a.semop(&[plain(0, -1)]),
        ..WITH_SET
    },
    Scenario {
        name: "semop-in-file",
        prepare: large,
        act: |a| a.semop(&[plain(0, -1)]),
        ..WITH_SET
    },
    Scenario {
        name: "semop-several",
        act: |a| a.semop(&SEVERAL),
        ..WITH_SET
    },
    Scenario {
        name: "semop-several-in-file",
        prepare: large,
        act: |a| a.semop(&SEVERAL),
        ..WITH_SET
    },
    Scenario {
        name: "semop-impossible",
        act: |a| match a.semop(&[plain(0, -2), operation(1, -1, IPC_NOWAIT)]) {
            Err(Errno::EAGAIN) => Ok(()),
            other => other,
        },
        keeps: true,
        ..WITH_SET
    },
    Scenario {
        name: "semop-undo-first",
        act: |a| a.semop(&[undo(0, -1)]),
        keeps: true,
        ..WITH_SET
    },
    Scenario {
        name: "semop-undo",
        prepare: owed,
        ready: |a| a.semop(&[undo(0, -1)]),
        act: |a| a.semop(&[undo(0, -1)]),
        keeps: true,
        ..WITH_SET
    },
    Scenario {
        name: "semop-undo-given-back",
        ready: |a| a.semop(&[undo(0, -1)]),
        act: |a| a.semop(&[undo(0, 1)]),
        keeps: true,
        ..WITH_SET
    },
    Scenario {
        name: "semop-several-undo",
        act: |a| a.semop(&SEVERAL_WITH_UNDO),
        keeps: true,
        ..WITH_SET
    },
    Scenario {
        name: "semop-several-undo-again",
        prepare: large,
        ready: |a| a.semop(&SEVERAL_WITH_UNDO),
        act: |a| a.semop(&[undo(0, -2), undo(1, 1), undo(2, -1)]),
        keeps: true,
        ..WITH_SET
    },
    Scenario {
        name: "semop-undo-inherited",
        prepare: owed,
        ready: owes_and_executes,
        act: |a| a.semop(&[undo(0, -1)]),
        keeps: true,
        ..WITH_SET
    },
    Scenario {
        name: "semop-undo-inherited-large",
        prepare: large_and_owed,
        ready: owes_and_executes,
        act: |a| a.semop(&[undo(0, -1), undo(3, -1)]),
        keeps: true,
        ..WITH_SET
    },
    Scenario {
        name: "semop-waiting-in-vain",
        act: |a| a.semop_for_a_while(&[plain(1, -1)]),
        keeps: true,
        ..WITH_SET
    },
    Scenario {
        name: "semop-waiting-in-vain-many",
        act: |a| a.semop_for_a_while(&[[plain(0, -1); 11], [plain(0, 1); 11], [plain(1, -1); 11]].concat()),
        keeps: true,
        ..WITH_SET
    },
    Scenario {
        name: "semop-waiting-served",
        act: |a| a.semop(&[plain(1, -1)]),
        ..WAITING
    },
    Scenario {
        name: "semop-waiting-served-undo",
        act: |a| a.semop(&[undo(1, -1)]),
        keeps: true,
        ..WAITING
    },
    Scenario {
        name: "semop-waiting-served-several",
        prepare: large,
        act: |a| a.semop(&[plain(0, -1), undo(1, -2), plain(2, -1)]),
        ..WAITING
    },
    Scenario {
        name: "semop-waiting-for-zero",
        act: |a| a.semop(&[plain(3, 0)]),
        release: makes_zero,
        keeps: true,
        ..WAITING
    },
    Scenario {
        name: "semop-waiting-removed",
        act: |a| match a.semop(&[plain(1, -1)]) {
            Err(Errno::EIDRM) => Ok(()),
            other => other,
        },
        release: removes,
        keeps: true,
        ..WAITING
    },
    Scenario {
        name: "semop-waiting-interrupted",
        ready: |a| a.expect_signal(),
        act: |a| match a.semop(&[plain(1, -1)]) {
            Err(Errno::EINTR) => Ok(()),
            other => other,
        },
        release: interrupts,
        keeps: true,
        ..WAITING
    },
    Scenario {
        name: "semop-waiting-interrupted-several-undo",
        prepare: large,
        ready: |a| a.expect_signal(),
        act: |a| match a.semop(&[plain(0, -1), undo(1, -2), plain(2, -1)]) {
            Err(Errno::EINTR) => Ok(()),
            other => other,
        },
        release: interrupts,
        keeps: true,
        ..WAITING
    },
    Scenario {
        name: "semop-serves",
        act: |a| a.semop(&[plain(1, 1)]),
        ..SERVING
    },
    Scenario {
        name: "semop-serves-undo",
        waits: Waits::Companion(waits_for_one_with_undo),
        act: |a| a.semop(&[plain(1, 1)]),
        ..SERVING
    },
    Scenario {
        name: "semop-serves-several",
        waits: Waits::Companion(waits_for_several),
        act: |a| a.semop(&[plain(1, 2), plain(3, 1)]),
        ..SERVING
    },
    Scenario {
        name: "semop-serves-zero",
        waits: Waits::Companion(waits_for_zero),
        release: makes_zero,
        act: |a| a.semop(&[plain(3, -1)]),
        ..SERVING
    },
    Scenario {
        name: "setval",
        prepare: owed,
        act: |a| {
            let id = set(a.stage.board);
            a.join().sem_set_value(id, 0, 9)
        },
        ..WITH_SET
    },
    Scenario {
        name: "setval-in-file",
        prepare: large_and_owed,
        act: |a| {
            let id = set(a.stage.board);
            a.join().sem_set_value(id, 0, 9)
        },
        ..WITH_SET
    },
    Scenario {
        name: "setval-in-file-serves",
        prepare: large,
        act: |a| {
            let id = set(a.stage.board);
            a.join().sem_set_value(id, 1, 1)
        },
        ..SERVING
    },
    Scenario {
        name: "setval-serves",
        act: |a| {
            let id = set(a.stage.board);
            a.join().sem_set_value(id, 1, 1)
        },
        ..SERVING
    },
    Scenario {
        name: "setall",
        prepare: owed,
        act: |a| {
            let id = set(a.stage.board);
            a.join().sem_set_values(id, &[1, 2, 3, 4])
        },
        ..WITH_SET
    },
    Scenario {
        name: "setall-serves",
        waits: Waits::Companion(waits_for_several),
        act: |a| {
            let id = set(a.stage.board);
            a.join().sem_set_values(id, &[7, 7, 7, 7])
        },
        ..SERVING
    },
    Scenario {
        name: "getall",
        prepare: owed,
        act: all_values,
        keeps: true,
        ..WITH_SET
    },
    Scenario {
        name: "getncnt",
        act: |a| {
            let id = set(a.stage.board);
            a.join().sem_ask(id, 1, Asked::WaitingForMore).map(drop)
        },
        keeps: true,
        ..SERVING
    },
    Scenario {
        name: "sem-ipc-set",
        prepare: owed,
        act: |a| change(a, 0o640, None),
        ..WITH_SET
    },
    Scenario {
        name: "sem-ipc-set-owner-shared",
        how: Join::CreateShared,
        act: |a| change(a, 0o666, crate::process::is_root().then_some(NOBODY)),
        ..WITH_SET
    },
    Scenario {
        name: "sem-rmid",
        act: rmid,
        ..WITH_SET
    },
    Scenario {
        name: "sem-rmid-owed",
        prepare: owed,
        act: rmid,
        ..WITH_SET
    },
    Scenario {
        name: "sem-rmid-shared",
        how: Join::CreateShared,
        act: rmid,
        ..WITH_SET
    },
    Scenario {
        name: "sem-rmid-waiters",
        act: rmid,
        ..SERVING
    },
    Scenario {
        name: "sem-exit-undo",
        ready: |a| a.semop(&SEVERAL_WITH_UNDO),
        act: |_| {
            process::exiting();
            Ok(())
        },
        keeps: true,
        ..WITH_SET
    },
    Scenario {
        name: "sem-exit-undo-serves",
        ready: |a| a.semop(&[plain(1, 1), undo(1, -1)]),
        act: |_| {
            process::exiting();
            Ok(())
        },
        ..SERVING
    },
    Scenario {
        name: "sem-bury-undo",
        predecessor: Some(("sem-exit-undo", Died::Before)),
        act: all_values,
        keeps: true,
        ..WITH_SET
    },
    Scenario {
        name: "sem-bury-undo-to-go-on",
        predecessor: Some(("sem-exit-undo", Died::Before)),
        act: |a| a.semop(&[operation(0, -5, IPC_NOWAIT)]),
        ..WITH_SET
    },
    Scenario {
        name: "sem-bury-waiting",
        predecessor: Some(("semop-waiting-served", Died::Waiting)),
        act: all_values,
        keeps: true,
        ..WITH_SET
    },
    Scenario {
        name: "sem-bury-served",
        predecessor: Some(("semop-waiting-served", Died::Served)),
        act: all_values,
        keeps: true,
        ..WITH_SET
    },
    Scenario {
        name: "sem-sweep",
        takes_long: true,
        predecessor: Some(("sem-exit-undo", Died::Before)),
        act: |a| a.join().sweep(),
        keeps: true,
        ..WITH_SET
    },
    recovery("recovery-of-set-several", "semop-several-undo-again", large, all_values),
    recovery("recovery-of-set-all", "setall", owed, all_values),
    recovery("recovery-of-set-undo", "semop-undo", used, all_values),
    recovery("recovery-of-set-inherited", "semop-undo-inherited", owed, all_values),
    recovery(
        "recovery-of-set-waiting",
        "semop-waiting-in-vain-many",
        small,
        all_values,
    ),
    Scenario {
        waits: Waits::Companion(waits_for_several),
        release: gives_two,
        ..recovery("recovery-of-set-serving", "semop-serves-several", small, all_values)
    },
    recovery("recovery-of-sets-create", "semget-create-many", small, finds_nothing),
    recovery("recovery-of-sets-set", "sem-ipc-set", owed, finds_nothing),
    recovery("recovery-of-sets-remove", "sem-rmid-owed", owed, finds_nothing),
    Scenario {
        waits: Waits::Companion(waits_for_one),
        release: gives_two,
        ..recovery(
            "recovery-of-sets-remove-waiters",
            "sem-rmid-waiters",
            small,
            finds_nothing,
        )
    },
];

/// The next call after a process died holding a lock.
const fn recovery(
    name: &'static str,
    of: &'static str,
    prepare: fn(&Engine, &Board) -> Result<()>,
    act: fn(&mut Actor<'_>) -> Result<()>,
) -> Scenario {
    Scenario {
        name,
        predecessor: Some((of, Died::InLock)),
        takes_long: true,
        keeps: true,
        prepare,
        act,
        ..WITH_SET
    }
}

fn rmid(a: &mut Actor<'_>) -> Result<()> {
    let id = set(a.stage.board);
    a.join().sem_remove(id)
}

fn change(a: &mut Actor<'_>, mode: u32, uid: Option<u32>) -> Result<()> {
    let (own, gid) = crate::process::effective_ids();
    let uid = uid.unwrap_or(own);
    let id = set(a.stage.board);
    a.join().sem_set(id, PermChange { uid, gid, mode })
}
