//! Message queues: what an honest process has of them, and does with them.

#![allow(unsafe_code)]

use std::time::{Duration, Instant};

use sysv_engine::abi::{IPC_CREAT, IPC_EXCL, IPC_NOWAIT, IPC_PRIVATE, MSG_COPY, MSG_EXCEPT, MSG_NOERROR};
use sysv_engine::{Engine, Errno, PermChange, Queues, Result, StatBy, inspect};

use super::KEYS;
use super::spoil::{Area, PAGE};
use crate::process::Process;
use crate::random::Random;

/// The longest message here, and what is received into beyond the buffer's end.
const LONGEST: usize = 3000;
const CANARY: u8 = 0xc7;

#[repr(C)]
struct Message {
    kind: i64,
    text: [u8; LONGEST + 64],
}

fn send(engine: &Engine, id: i32, kind: i64, len: usize, flags: i32) -> Result<()> {
    let message = Message {
        kind,
        text: [kind as u8; LONGEST + 64],
    };
    // SAFETY: the message is read, and is that long.
    unsafe { engine.msgsnd(id, (&raw const message) as usize, len.min(LONGEST), flags) }
}

fn receive(engine: &Engine, id: i32, kind: i64, len: usize, flags: i32) -> Result<usize> {
    let mut message = Message {
        kind: 0,
        text: [CANARY; LONGEST + 64],
    };
    let len = len.min(LONGEST);
    // SAFETY: the message may be overwritten, and is that long.
    let got = unsafe { engine.msgrcv(id, (&raw mut message) as usize, len, kind, flags) };
    let rest = &message.text[got.unwrap_or(0).min(len)..];
    assert!(
        got.is_err() || rest.iter().all(|&byte| byte == CANARY),
        "bytes beyond the message were written"
    );
    assert!(
        message.text[len..].iter().all(|&byte| byte == CANARY),
        "bytes beyond the buffer were written"
    );
    got
}

/// Queues that are empty, full and in between, with places of those who were killed waiting, and a message given to one.
pub(super) fn furnish(engine: &Engine) -> Result<Vec<i32>> {
    let mut ids = Vec::new();
    for key in KEYS.start..KEYS.end - 1 {
        ids.push(engine.msgget(key, IPC_CREAT | 0o600)?);
    }
    for n in 0..40 {
        send(engine, ids[0], 1 + n % 5, 7 * n as usize, IPC_NOWAIT)?;
    }
    for kind in [3, 2, -2] {
        receive(engine, ids[0], kind, LONGEST, IPC_NOWAIT)?;
    }
    send(engine, ids[1], 1, 2500, IPC_NOWAIT)?;
    while send(engine, ids[3], 4, 2000, IPC_NOWAIT).is_ok() {}
    let room = |engine: &Engine| i32::from(send(engine, ids[3], 4, 2000, 0).is_err());
    let message = |engine: &Engine| i32::from(receive(engine, ids[4], 9, 100, 0).is_err());
    for wait in [&room as &dyn Fn(&Engine) -> i32, &message, &message] {
        let killed = Process::fork(|| wait(engine));
        // Nothing says that somebody waits; the process is asleep soon enough, and if not, one image is plainer.
        let patience = Instant::now();
        while patience.elapsed() < Duration::from_millis(20) {
            std::thread::sleep(Duration::from_millis(5));
        }
        drop(killed);
    }
    send(engine, ids[4], 9, 50, IPC_NOWAIT)?;
    Ok(ids)
}

/// What lies are told about in the file.
pub(super) fn areas(file: usize) -> Vec<Area> {
    let (header, waiters, pieces) = inspect::QUEUE_FILE;
    vec![
        // Of the header's words those beyond the first 256 bytes are mostly links that nothing uses yet.
        Area::of(file, (header.0, 256), 1, 5),
        Area::of(file, header, 1, 1),
        Area::of(file, waiters, 4, 2),
        Area::of(file, (pieces, PAGE), 3, 3),
    ]
}

/// One call.
pub(super) fn call(engine: &Engine, ids: &[i32], random: &mut Random) -> Result<()> {
    let id = *random.one_of(ids);
    let key = KEYS.start + random.below(KEYS.len() as u64) as i32;
    let len = match random.below(4) {
        0 => random.below(LONGEST as u64) as usize,
        _ => random.below(130) as usize,
    };
    let kind = random.below(13) as i64 - 6;
    match random.below(16) {
        0 => engine.msgget(key, 0).map(drop),
        1 => {
            let id = engine.msgget(IPC_PRIVATE, 0o600)?;
            let sent = send(engine, id, 1 + kind.abs(), len, IPC_NOWAIT);
            engine.msg_remove(id)?;
            sent
        }
        2 => {
            let id = engine.msgget(KEYS.end, IPC_CREAT | IPC_EXCL | 0o600)?;
            let received = send(engine, id, 1 + kind.abs(), len, IPC_NOWAIT)
                .and_then(|()| receive(engine, id, 0, LONGEST, IPC_NOWAIT));
            engine.msg_remove(id)?;
            received.map(drop)
        }
        3..=5 => send(engine, id, 1 + kind.abs(), len, IPC_NOWAIT),
        6 if len % 4 == 0 => {
            let message = engine.receive_in_place(id, LONGEST, kind, IPC_NOWAIT, None)?;
            // SAFETY: the message's bytes can be read as long as it lives.
            let sum = (0..message.len()).fold(0u8, |sum, n| unsafe { sum ^ message.as_ptr().add(n).read_volatile() });
            std::hint::black_box(sum);
            Ok(())
        }
        6..=8 => {
            let flags = [0, MSG_NOERROR, MSG_EXCEPT, MSG_NOERROR | MSG_EXCEPT];
            receive(engine, id, kind, len, IPC_NOWAIT | *random.one_of(&flags)).map(drop)
        }
        9 => receive(engine, id, random.below(9) as i64, LONGEST, IPC_NOWAIT | MSG_COPY).map(drop),
        10 => {
            engine.msg_stat(id, StatBy::Id)?;
            engine.msg_stat(random.below(8) as i32, StatBy::IndexAny).map(drop)
        }
        11 => {
            let (uid, gid) = crate::process::effective_ids();
            let mode = 0o600 | random.below(0o200) as u32;
            engine.msg_set(id, PermChange { uid, gid, mode }, random.below(20_000))
        }
        12 if random.below(8) == 0 => engine.msg_remove(id),
        13 => engine.sweep(),
        14 => {
            let mut seen = 0;
            engine.queues(&mut |_| seen += 1)?;
            engine.msg_limits()?;
            engine.msg_usage().map(drop)
        }
        15 if random.below(8) == 0 => interrupted(|| match random.below(2) {
            0 => send(engine, id, 1 + kind.abs(), len, 0),
            _ => receive(engine, id, kind, len, 0).map(drop),
        }),
        _ => Ok(()),
    }
}

/// A call that a signal interrupts if it waits: queues know no timeouts.
fn interrupted(call: impl FnOnce() -> Result<()>) -> Result<()> {
    extern "C" fn nothing(_signal: i32) {}
    let alarm = |first: i64, next: i64| {
        let time = |tv_usec| libc::timeval { tv_sec: 0, tv_usec };
        let value = libc::itimerval {
            it_value: time(first),
            it_interval: time(next),
        };
        // SAFETY: the structure is read.
        unsafe { libc::setitimer(libc::ITIMER_REAL, &raw const value, std::ptr::null_mut()) };
    };
    // SAFETY: the structure is read, zeros are valid for it, and the handler does nothing. Without SA_RESTART.
    unsafe {
        let mut action: libc::sigaction = std::mem::zeroed();
        action.sa_sigaction = nothing as *const () as usize;
        libc::sigaction(libc::SIGALRM, &raw const action, std::ptr::null_mut());
    }
    // Again and again: the first may come before the call waits.
    alarm(500, 1000);
    let result = call();
    alarm(0, 0);
    match result {
        Err(Errno::EINTR) => Ok(()),
        result => result,
    }
}
