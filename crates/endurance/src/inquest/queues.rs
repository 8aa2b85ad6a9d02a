//! Message queues at an inquest.

#![allow(unsafe_code)]

use std::fmt::Write;

use sysv_engine::abi::{IPC_CREAT, IPC_EXCL, IPC_NOWAIT, MSG_COPY};
use sysv_engine::{Engine, Errno, Queues, Result};

/// The longest message.
const LONGEST: usize = 8192;

#[repr(C)]
struct Message {
    kind: i64,
    text: [u8; LONGEST],
}

/// `msgsnd` of a message whose bytes follow from its type and its length.
pub(crate) fn send(engine: &Engine, id: i32, kind: i64, len: usize, flags: i32) -> Result<()> {
    let mut message = Message {
        kind,
        text: [0; LONGEST],
    };
    fill(&mut message.text[..len], kind);
    // SAFETY: the message is this long.
    unsafe { engine.msgsnd(id, (&raw const message) as usize, len, flags) }
}

/// `msgrcv`: type and length. The bytes must be those that were sent.
pub(crate) fn receive(engine: &Engine, id: i32, kind: i64, flags: i32) -> Result<(i64, usize)> {
    receive_at_most(engine, id, kind, flags, LONGEST)
}

/// As [`receive`], with a shorter buffer.
pub(crate) fn receive_at_most(engine: &Engine, id: i32, kind: i64, flags: i32, most: usize) -> Result<(i64, usize)> {
    let mut message = Message {
        kind: 0,
        text: [0; LONGEST],
    };
    // SAFETY: the buffer is longer than `most`, and nothing else uses it.
    let len = unsafe { engine.msgrcv(id, (&raw mut message) as usize, most, kind, flags)? };
    if is_filled(&message.text[..len], message.kind) {
        Ok((message.kind, len))
    } else {
        Err(Errno::from_raw(libc::EBADMSG))
    }
}

fn byte(kind: i64, at: usize) -> u8 {
    (kind as usize).wrapping_mul(31).wrapping_add(at) as u8
}

fn fill(text: &mut [u8], kind: i64) {
    text.iter_mut().enumerate().for_each(|(at, b)| *b = byte(kind, at));
}

fn is_filled(text: &[u8], kind: i64) -> bool {
    text.iter().enumerate().all(|(at, &b)| b == byte(kind, at))
}

/// Every queue and its messages, in their order: type and length.
pub(super) fn view(engine: &Engine, view: &mut String) -> std::result::Result<(), String> {
    let mut queues = Vec::new();
    let listed = engine.queues(&mut |queue| queues.push((queue.id, queue.ds)));
    listed.map_err(|errno| format!("listing queues: {errno:?}"))?;
    for (id, ds) in queues {
        let p = &ds.perm;
        let _ = write!(
            view,
            "; queue {id} key {:#x} mode {:o} owner {}:{} capacity {} holds {} bytes:",
            p.key, p.mode, p.uid, p.gid, ds.qbytes, ds.cbytes
        );
        let mut position = 0;
        loop {
            match receive(engine, id, position, MSG_COPY | IPC_NOWAIT) {
                Ok((kind, len)) => drop(write!(view, " {kind}/{len}")),
                Err(Errno::ENOMSG) => break,
                Err(errno) => return Err(format!("looking at message {position} of queue {id}: {errno:?}")),
            }
            position += 1;
        }
        if position as u64 != ds.qnum {
            return Err(format!(
                "queue {id} counts {} messages and has {position}: [{view}]",
                ds.qnum
            ));
        }
    }
    Ok(())
}

/// A queue's whole life, which must go as in a new namespace.
pub(super) fn work(engine: &Engine) -> std::result::Result<(), String> {
    const KEY: i32 = 0x0077_1236;
    let at = |what: &'static str| move |errno| format!("afterwards, {what}: {errno:?}");
    let id = engine
        .msgget(KEY, IPC_CREAT | IPC_EXCL | 0o600)
        .map_err(at("making a queue"))?;
    for kind in 1..=5 {
        send(engine, id, kind, 300 * kind as usize, 0).map_err(at("sending"))?;
    }
    let third = receive(engine, id, 3, IPC_NOWAIT).map_err(at("receiving"))?;
    let first = receive(engine, id, 0, IPC_NOWAIT).map_err(at("receiving the first"))?;
    if (third, first) != ((3, 900), (1, 300)) {
        return Err(format!("a new queue gave {third:?} and {first:?}"));
    }
    engine.msg_remove(id).map_err(at("removing a queue"))?;
    match engine.msgget(KEY, 0) {
        Ok(_) => Err("the key of a removed queue is not free".to_owned()),
        Err(_) => Ok(()),
    }
}
