//! Random cases in which calls wait for each other.

use sysv_engine::abi::{
    IPC_CREAT, IPC_EXCL, IPC_NOWAIT, MSG_COPY, MSG_EXCEPT, MSG_NOERROR, MSGMAX_DEFAULT, MSGMNB_DEFAULT, SEM_UNDO,
};

use super::doing::Doing;
use crate::differential::case::{Case, Step};
use crate::differential::generate::{Cast, MODES, owner};
use crate::differential::random::Random;

const NUMBERS_OF_SEMAPHORES: &[i64] = &[1, 1, 2, 3, 3];

const ODD_NUMBERS_OF_SEMAPHORES: &[i64] = &[0, -1, 32001, 5];

const AMOUNTS: &[i64] = &[-1, -1, -1, -2, -3, 0, 0, 1, 1, 1, 2, 3];

const ODD_AMOUNTS: &[i64] = &[32767, -32768, -32767, 20000];

const KINDS: &[i64] = &[1, 1, 2, 3, 5];

const WANTED: &[i64] = &[0, 0, 1, 2, 3, -2, -3, -5, 7];

const LENGTHS: &[i64] = &[0, 1, 8, 100, 1000, 3000, MSGMAX_DEFAULT as i64];

/// A case of `length` steps.
pub(super) fn generate(random: &mut Random, length: usize, cast: &Cast) -> Case<Doing> {
    let step = |random: &mut Random| Step {
        worker: random.below(12),
        action: doing(random, cast),
    };
    Case((0..length).map(|_| step(random)).collect())
}

fn doing(random: &mut Random, cast: &Cast) -> Doing {
    let object = random.small();
    match random.below(100) {
        0..5 => sem_get(random),
        5..28 => sem_op(random, object),
        28..32 => Doing::SemTimedOp {
            object,
            millis: random.pick(&[0, 1, 2, 5, -1]),
            num: random.below(3),
            op: amount(random),
            flags: sem_flags(random)[0],
        },
        32..37 => Doing::SemAsk {
            object,
            num: number(random),
            what: random.below(4),
        },
        37..42 => Doing::SemSetValue {
            object,
            num: number(random),
            value: if random.one_in(12) {
                random.pick(&[-1, 32767, 32768])
            } else {
                random.below(4)
            },
        },
        42..44 => Doing::SemValues { object },
        44..46 => Doing::SemSetValues {
            object,
            first: if random.one_in(12) { 32766 } else { random.below(4) },
        },
        46..48 => Doing::SemStat {
            object,
            by: random.below(3),
        },
        48..50 => Doing::SemSet {
            object,
            user: owner(random),
            group: owner(random),
            mode: i64::from(random.pick(MODES)),
        },
        50..52 => Doing::SemRemove { object },
        52..55 => Doing::MsgGet {
            key: random.below(4),
            flags: get_flags(random),
        },
        55..69 => Doing::Send {
            object,
            kind: if random.one_in(20) {
                random.pick(&[0, -1, i64::MIN])
            } else {
                random.pick(KINDS)
            },
            size: if random.one_in(20) {
                random.pick(&[-1, MSGMAX_DEFAULT as i64 + 1])
            } else {
                random.pick(LENGTHS)
            },
            flags: i64::from(if random.one_in(3) { IPC_NOWAIT } else { 0 }),
        },
        69..83 => receive(random, object),
        83..85 => Doing::MsgStat {
            object,
            by: random.below(3),
        },
        // Never above msgmnb: whoever owns an engine's namespace may do that, and with the kernel only CAP_SYS_RESOURCE.
        85..87 => Doing::MsgSet {
            object,
            user: owner(random),
            group: owner(random),
            mode: i64::from(random.pick(MODES)),
            qbytes: random.pick(&[MSGMNB_DEFAULT as i64, MSGMNB_DEFAULT as i64, 4000, 100, 0]),
        },
        87 => Doing::MsgRemove { object },
        88 => random.pick(&[
            Doing::SemLimits {},
            Doing::SemUsage {},
            Doing::MsgLimits {},
            Doing::MsgUsage {},
        ]),
        89 => Doing::Fork {
            bare: i64::from(random.one_in(3)),
        },
        90 => Doing::Exit {
            orderly: random.below(2),
        },
        91..94 => Doing::Kill {},
        94..97 => Doing::Signal {
            restart: random.below(2),
        },
        _ => Doing::Spawn {
            user: random.below(cast.users.len() as u64),
        },
    }
}

fn get_flags(random: &mut Random) -> i64 {
    let mut flags = random.pick(MODES);
    if !random.one_in(5) {
        flags |= IPC_CREAT;
    }
    if random.one_in(4) {
        flags |= IPC_EXCL;
    }
    i64::from(flags)
}

fn sem_get(random: &mut Random) -> Doing {
    let nsems = if random.one_in(10) {
        random.pick(ODD_NUMBERS_OF_SEMAPHORES)
    } else {
        random.pick(NUMBERS_OF_SEMAPHORES)
    };
    Doing::SemGet {
        key: random.below(4),
        nsems,
        flags: get_flags(random),
    }
}

/// A semaphore's number, now and then of none.
fn number(random: &mut Random) -> i64 {
    if random.one_in(16) {
        random.pick(&[-1, 3, 1000])
    } else {
        random.below(2)
    }
}

fn amount(random: &mut Random) -> i64 {
    if random.one_in(20) {
        random.pick(ODD_AMOUNTS)
    } else {
        random.pick(AMOUNTS)
    }
}

/// Flags of operations that are made together.
fn sem_flags(random: &mut Random) -> [i64; 3] {
    let rarity = random.pick(&[2, 4, 4, 1000]);
    [(); 3].map(|()| {
        let undo = if random.one_in(3) { SEM_UNDO } else { 0 };
        let now = if random.one_in(rarity) { IPC_NOWAIT } else { 0 };
        i64::from(undo | now)
    })
}

fn sem_op(random: &mut Random, object: i64) -> Doing {
    let count = if random.one_in(40) {
        0
    } else {
        random.pick(&[1, 1, 1, 2, 3])
    };
    let [flags0, flags1, flags2] = sem_flags(random);
    let [(num0, op0), (num1, op1), (num2, op2)] = [(); 3].map(|()| (number(random), amount(random)));
    Doing::SemOp {
        object,
        count,
        num0,
        op0,
        flags0,
        num1,
        op1,
        flags1,
        num2,
        op2,
        flags2,
    }
}

fn receive(random: &mut Random, object: i64) -> Doing {
    let mut flags = 0;
    for (flag, rarity) in [(IPC_NOWAIT, 3), (MSG_NOERROR, 3), (MSG_EXCEPT, 6)] {
        if random.one_in(rarity) {
            flags |= flag;
        }
    }
    let mut kind = random.pick(WANTED);
    if random.one_in(12) {
        flags |= MSG_COPY;
        kind = random.below(4);
    }
    if random.one_in(30) {
        kind = i64::MIN;
    }
    Doing::Receive {
        object,
        size: if random.one_in(20) { -1 } else { random.pick(LENGTHS) },
        kind,
        flags: i64::from(flags),
    }
}
