//! Message queues.

use std::sync::atomic::Ordering::SeqCst;

use sysv_engine::abi::{IPC_CREAT, IPC_EXCL, IPC_NOWAIT, MSG_COPY, MSG_NOERROR};
use sysv_engine::{Engine, Errno, Join, PermChange, Queues, Result, StatBy, process};

use super::{Actor, Died, KEY, NOBODY, ORDINARY, OTHER, Scenario, Waits, interrupts, join};
use crate::board::Board;
use crate::inquest::{receive, send};

/// More messages than the first order array has entries.
const FILLING: i64 = 256;
/// Bytes of a message that takes a heap chunk's largest part.
const BIG: usize = 8000;

fn queue(board: &Board) -> i32 {
    board.ids[3].load(SeqCst)
}

fn empty(engine: &Engine, board: &Board) -> Result<()> {
    board.ids[3].store(engine.msgget(KEY, IPC_CREAT | 0o600)?, SeqCst);
    Ok(())
}

fn three(engine: &Engine, board: &Board) -> Result<()> {
    empty(engine, board)?;
    (1..=3).try_for_each(|kind| send(engine, queue(board), kind, 100 * kind as usize, 0))
}

/// One in which the next message needs a longer order array.
fn filled(engine: &Engine, board: &Board) -> Result<()> {
    empty(engine, board)?;
    (0..FILLING).try_for_each(|n| send(engine, queue(board), 1 + n % 3, 3, 0))
}

/// One without room.
fn full(engine: &Engine, board: &Board) -> Result<()> {
    empty(engine, board)?;
    (1..=2).try_for_each(|kind| send(engine, queue(board), kind, 8192, 0))
}

/// One with blocks of all sizes and holes between them.
fn holey(engine: &Engine, board: &Board) -> Result<()> {
    empty(engine, board)?;
    (1..=12).try_for_each(|n| send(engine, queue(board), n, 50 * n as usize, 0))?;
    [2, 5, 6, 11]
        .into_iter()
        .try_for_each(|kind| receive(engine, queue(board), kind, 0).map(drop))
}

fn receives_five(engine: &Engine, board: &Board) -> Result<()> {
    receive(engine, queue(board), 5, 0).map(drop)
}

fn receives_little(engine: &Engine, board: &Board) -> Result<()> {
    crate::inquest::receive_at_most(engine, queue(board), 5, 0, 10).map(drop)
}

fn sends_five(engine: &Engine, board: &Board) -> Result<()> {
    send(engine, queue(board), 5, 300, 0)
}

fn sends_more(engine: &Engine, board: &Board) -> Result<()> {
    send(engine, queue(board), 7, 700, 0)
}

fn receives_first(engine: &Engine, board: &Board) -> Result<()> {
    receive(engine, queue(board), 0, IPC_NOWAIT).map(drop)
}

fn removes(engine: &Engine, board: &Board) -> Result<()> {
    engine.msg_remove(queue(board))
}

/// A call that takes the queue's lock, and so makes whole what its dead owner left.
fn asks(a: &mut Actor<'_>) -> Result<()> {
    let id = queue(a.stage.board);
    a.join().msg_stat(id, StatBy::Id).map(drop)
}

/// A call that takes the registry's lock and changes nothing.
fn finds_nothing(a: &mut Actor<'_>) -> Result<()> {
    match a.join().msg_remove(31_000) {
        Err(Errno::EINVAL) => Ok(()),
        other => other,
    }
}

/// One with a message of the survivor's, whose receipt opens the lane.
fn one(engine: &Engine, board: &Board) -> Result<()> {
    empty(engine, board)?;
    send(engine, queue(board), 1, 10, 0)
}

/// The victim has received it.
fn opens(a: &mut Actor<'_>) -> Result<()> {
    a.receive(0, 0)
}

/// And has posted two messages since.
fn posts_two(a: &mut Actor<'_>) -> Result<()> {
    opens(a)?;
    a.send(2, 20)?;
    a.send(3, 30)
}

impl Actor<'_> {
    fn send(&mut self, kind: i64, len: usize) -> Result<()> {
        let id = queue(self.stage.board);
        send(&self.join(), id, kind, len, 0)
    }

    fn receive(&mut self, kind: i64, flags: i32) -> Result<()> {
        let id = queue(self.stage.board);
        receive(&self.join(), id, kind, flags).map(drop)
    }
}

const WITH_QUEUE: Scenario = Scenario {
    prepare: three,
    // It has used the queue before.
    ready: asks,
    ..ORDINARY
};

/// The lane is open, with two messages.
const WITH_LANE: Scenario = Scenario {
    prepare: one,
    ready: posts_two,
    ..ORDINARY
};

const WAITING: Scenario = Scenario {
    waits: Waits::Victim,
    release: sends_five,
    ..WITH_QUEUE
};

/// Beside a process that waits for a message.
const GIVING: Scenario = Scenario {
    waits: Waits::Companion(receives_five),
    release: sends_five,
    ..WITH_QUEUE
};

/// Beside a process that waits for room.
const MAKING_ROOM: Scenario = Scenario {
    prepare: full,
    waits: Waits::Companion(sends_more),
    release: receives_first,
    ..WITH_QUEUE
};

/// Every operation on message queues.
pub(super) const ALL: &[Scenario] = &[
    Scenario {
        name: "msgget-create",
        ready: join,
        act: |a| a.join().msgget(OTHER, IPC_CREAT | IPC_EXCL | 0o600).map(drop),
        ..ORDINARY
    },
    Scenario {
        name: "msgget-create-shared",
        how: Join::CreateShared,
        ready: join,
        act: |a| a.join().msgget(OTHER, IPC_CREAT | IPC_EXCL | 0o640).map(drop),
        ..ORDINARY
    },
    Scenario {
        name: "msgget-existing",
        act: |a| a.join().msgget(KEY, 0).map(drop),
        keeps: true,
        ..WITH_QUEUE
    },
    Scenario {
        name: "msgsnd-first",
        prepare: empty,
        ready: join,
        act: |a| a.send(9, 500),
        ..WITH_QUEUE
    },
    Scenario {
        name: "msgsnd-first-shared",
        how: Join::CreateShared,
        prepare: empty,
        ready: join,
        act: |a| a.send(9, 500),
        ..WITH_QUEUE
    },
    Scenario {
        name: "msgsnd",
        act: |a| a.send(9, 500),
        ..WITH_QUEUE
    },
    Scenario {
        name: "msgsnd-empty",
        act: |a| a.send(9, 0),
        ..WITH_QUEUE
    },
    Scenario {
        name: "msgsnd-big",
        act: |a| a.send(9, BIG),
        ..WITH_QUEUE
    },
    Scenario {
        name: "msgsnd-growing",
        prepare: filled,
        act: |a| a.send(9, BIG),
        ..WITH_QUEUE
    },
    Scenario {
        name: "msgsnd-into-a-hole",
        prepare: holey,
        act: |a| a.send(9, 220),
        ..WITH_QUEUE
    },
    Scenario {
        name: "msgsnd-to-receiver",
        act: |a| a.send(5, 300),
        ..GIVING
    },
    Scenario {
        name: "msgsnd-too-big-for-receiver",
        waits: Waits::Companion(receives_little),
        release: |engine, board| send(engine, queue(board), 5, 5, 0),
        act: |a| a.send(5, 300),
        ..GIVING
    },
    Scenario {
        name: "msgsnd-waiting-for-room",
        prepare: full,
        release: receives_first,
        act: |a| a.send(7, 700),
        ..WAITING
    },
    Scenario {
        name: "msgsnd-waiting-interrupted",
        prepare: full,
        ready: |a| a.expect_signal(),
        release: interrupts,
        act: |a| match a.send(7, 700) {
            Err(Errno::EINTR) => Ok(()),
            other => other,
        },
        keeps: true,
        ..WAITING
    },
    Scenario {
        name: "msgsnd-waiting-removed",
        prepare: full,
        release: removes,
        act: |a| match a.send(7, 700) {
            Err(Errno::EIDRM) => Ok(()),
            other => other,
        },
        keeps: true,
        ..WAITING
    },
    Scenario {
        name: "msgsnd-posting",
        ready: opens,
        act: |a| a.send(9, 60),
        ..WITH_LANE
    },
    Scenario {
        name: "msgsnd-past-posts",
        act: |a| a.send(9, 500),
        ..WITH_LANE
    },
    Scenario {
        name: "msgrcv-posted",
        act: |a| a.receive(0, 0),
        ..WITH_LANE
    },
    Scenario {
        name: "msgrcv-among-posts",
        act: |a| a.receive(-3, 0),
        ..WITH_LANE
    },
    Scenario {
        name: "msg-stat-posts",
        act: asks,
        keeps: true,
        ..WITH_LANE
    },
    Scenario {
        name: "msg-rmid-posts",
        act: rmid,
        ..WITH_LANE
    },
    Scenario {
        name: "msgrcv",
        act: |a| a.receive(0, 0),
        ..WITH_QUEUE
    },
    Scenario {
        name: "msgrcv-in-the-middle",
        prepare: holey,
        act: |a| a.receive(7, 0),
        ..WITH_QUEUE
    },
    Scenario {
        name: "msgrcv-last",
        prepare: |engine, board| {
            empty(engine, board)?;
            send(engine, queue(board), 1, BIG, 0)
        },
        act: |a| a.receive(-4, 0),
        ..WITH_QUEUE
    },
    Scenario {
        name: "msgrcv-a-part",
        act: |a| {
            let id = queue(a.stage.board);
            crate::inquest::receive_at_most(&a.join(), id, 3, MSG_NOERROR, 10).map(drop)
        },
        ..WITH_QUEUE
    },
    Scenario {
        name: "msgrcv-too-big",
        act: |a| {
            let id = queue(a.stage.board);
            match crate::inquest::receive_at_most(&a.join(), id, 3, 0, 10) {
                Err(Errno::E2BIG) => Ok(()),
                other => other.map(drop),
            }
        },
        keeps: true,
        ..WITH_QUEUE
    },
    Scenario {
        name: "msgrcv-copy",
        act: |a| a.receive(1, MSG_COPY | IPC_NOWAIT),
        keeps: true,
        ..WITH_QUEUE
    },
    Scenario {
        name: "msgrcv-nothing",
        act: |a| match a.receive(44, IPC_NOWAIT) {
            Err(Errno::ENOMSG) => Ok(()),
            other => other,
        },
        keeps: true,
        ..WITH_QUEUE
    },
    Scenario {
        name: "msgrcv-waiting-given",
        act: |a| a.receive(5, 0),
        ..WAITING
    },
    Scenario {
        name: "msgrcv-waiting-interrupted",
        ready: |a| a.expect_signal(),
        release: interrupts,
        act: |a| match a.receive(5, 0) {
            Err(Errno::EINTR) => Ok(()),
            other => other,
        },
        keeps: true,
        ..WAITING
    },
    Scenario {
        name: "msgrcv-waiting-too-big",
        act: |a| {
            let id = queue(a.stage.board);
            match crate::inquest::receive_at_most(&a.join(), id, 5, 0, 10) {
                Err(Errno::E2BIG) => Ok(()),
                other => other.map(drop),
            }
        },
        keeps: true,
        ..WAITING
    },
    Scenario {
        name: "msgrcv-waiting-removed",
        release: removes,
        act: |a| match a.receive(5, 0) {
            Err(Errno::EIDRM) => Ok(()),
            other => other,
        },
        keeps: true,
        ..WAITING
    },
    Scenario {
        name: "msgrcv-makes-room",
        act: |a| a.receive(1, 0),
        ..MAKING_ROOM
    },
    Scenario {
        name: "msg-stat",
        act: asks,
        keeps: true,
        ..WITH_QUEUE
    },
    Scenario {
        name: "msg-ipc-set",
        act: |a| change(a, 0o640, None, 16384),
        ..WITH_QUEUE
    },
    Scenario {
        name: "msg-ipc-set-owner-shared",
        how: Join::CreateShared,
        act: |a| change(a, 0o666, crate::process::is_root().then_some(NOBODY), 16384),
        ..WITH_QUEUE
    },
    Scenario {
        name: "msg-ipc-set-makes-room",
        naps: true,
        act: |a| change(a, 0o600, None, 30_000),
        ..MAKING_ROOM
    },
    Scenario {
        name: "msg-rmid",
        act: rmid,
        ..WITH_QUEUE
    },
    Scenario {
        name: "msg-rmid-unused",
        prepare: empty,
        ready: join,
        act: rmid,
        ..WITH_QUEUE
    },
    Scenario {
        name: "msg-rmid-shared",
        how: Join::CreateShared,
        act: rmid,
        ..WITH_QUEUE
    },
    Scenario {
        name: "msg-rmid-receiver",
        act: rmid,
        ..GIVING
    },
    Scenario {
        name: "msg-rmid-sender",
        act: rmid,
        ..MAKING_ROOM
    },
    Scenario {
        name: "msg-exit",
        act: |_| {
            process::exiting();
            Ok(())
        },
        keeps: true,
        ..WITH_QUEUE
    },
    Scenario {
        name: "msg-bury-waiting",
        predecessor: Some(("msgrcv-waiting-given", Died::Waiting)),
        act: |a| a.send(5, 300),
        ..WITH_QUEUE
    },
    Scenario {
        name: "msg-bury-given",
        predecessor: Some(("msgrcv-waiting-given", Died::Served)),
        act: |a| a.receive(5, IPC_NOWAIT),
        ..WITH_QUEUE
    },
    Scenario {
        name: "msg-bury-invited",
        prepare: full,
        predecessor: Some(("msgsnd-waiting-for-room", Died::Served)),
        act: |a| a.send(8, 800),
        ..WITH_QUEUE
    },
    Scenario {
        name: "msg-sweep",
        takes_long: true,
        predecessor: Some(("msgrcv-waiting-given", Died::Waiting)),
        act: |a| a.join().sweep(),
        keeps: true,
        ..WITH_QUEUE
    },
    recovery("recovery-of-queue-send", "msgsnd", three, asks),
    recovery("recovery-of-queue-posting", "msgsnd-posting", one, asks),
    recovery("recovery-of-queue-taking-posts", "msgrcv-posted", one, asks),
    recovery("recovery-of-queue-moving-posts", "msg-stat-posts", one, asks),
    recovery("recovery-of-queue-growing", "msgsnd-growing", filled, asks),
    recovery("recovery-of-queue-receive", "msgrcv-in-the-middle", holey, asks),
    Scenario {
        waits: Waits::Companion(receives_five),
        release: sends_five,
        ..recovery("recovery-of-queue-giving", "msgsnd-to-receiver", three, asks)
    },
    Scenario {
        waits: Waits::Companion(sends_more),
        release: receives_first,
        ..recovery("recovery-of-queue-making-room", "msgrcv-makes-room", full, asks)
    },
    recovery("recovery-of-queues-create", "msgget-create", three, finds_nothing),
    recovery("recovery-of-queues-set", "msg-ipc-set", three, finds_nothing),
    recovery("recovery-of-queues-remove", "msg-rmid", three, finds_nothing),
    Scenario {
        waits: Waits::Companion(receives_five),
        release: sends_five,
        ..recovery(
            "recovery-of-queues-remove-receiver",
            "msg-rmid-receiver",
            three,
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
        ..WITH_QUEUE
    }
}

fn rmid(a: &mut Actor<'_>) -> Result<()> {
    let id = queue(a.stage.board);
    a.join().msg_remove(id)
}

fn change(a: &mut Actor<'_>, mode: u32, uid: Option<u32>, qbytes: u64) -> Result<()> {
    let (own, gid) = crate::process::effective_ids();
    let uid = uid.unwrap_or(own);
    let id = queue(a.stage.board);
    a.join().msg_set(id, PermChange { uid, gid, mode }, qbytes)
}
