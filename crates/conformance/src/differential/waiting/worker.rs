//! Half of a worker: one process that does one call at a time on its side.

#![allow(unsafe_code)]

use std::rc::Rc;

use sysv_engine::abi::{MSGMAX_DEFAULT, Sembuf, Timespec};
use sysv_engine::{Asked, PermChange, StatBy};

use super::doing::Doing;
use super::fact::{self, Fact, Outcome};
use super::side::{Phases, Side};
use crate::channel::Channel;
use crate::child::By;
use crate::differential::generate::{GROUPS, OWNERS};
use crate::process;
use crate::semaphores::{handle, sembuf};
use crate::wire::Wire;

/// Workers that there can be at a time.
pub(super) const SLOTS: usize = 6;

/// The longest that a call may take: a process that waits does not notice that the driver is gone.
const LONGEST: u32 = 100;

/// The signals that a worker handles: one with `SA_RESTART` and one without.
pub(super) const SIGNALS: [i32; 2] = [libc::SIGUSR1, libc::SIGUSR2];

/// A call as the driver sends it to one side.
#[derive(Clone, Copy, Debug)]
pub(super) struct Call {
    pub(super) doing: Doing,
    pub(super) id: i32,
    pub(super) key: i32,
    /// How many semaphores the set has.
    pub(super) nsems: usize,
    /// Which call of the play it is, so that each message is another.
    pub(super) serial: u64,
    /// For `fork`: the slot of the new worker.
    pub(super) slot: usize,
}

impl Wire for Call {
    fn put(&self, out: &mut Vec<u8>) {
        self.doing.put(out);
        self.id.put(out);
        self.key.put(out);
        self.nsems.put(out);
        self.serial.put(out);
        self.slot.put(out);
    }
    fn take(input: &mut &[u8]) -> Self {
        Call {
            doing: Doing::take(input),
            id: i32::take(input),
            key: i32::take(input),
            nsems: usize::take(input),
            serial: u64::take(input),
            slot: usize::take(input),
        }
    }
}

/// One process of a worker.
pub(super) struct Half {
    pub(super) side: Rc<Side>,
    pub(super) number: usize,
    pub(super) phases: Rc<Phases>,
    /// Every slot's end for its worker.
    pub(super) channels: Vec<Channel>,
    pub(super) slot: usize,
}

impl Half {
    /// Announces itself to the driver and does as it is told until the driver is gone.
    pub(super) fn serve(mut self) -> ! {
        handle(SIGNALS[0], 0);
        handle(SIGNALS[1], libc::SA_RESTART);
        self.announce();
        while let Some(call) = self.channels[self.slot].try_receive::<Call>() {
            let outcome = match call.doing {
                Doing::Fork { bare } => {
                    let by = if bare == 1 { By::BareFork } else { By::Fork };
                    if by.fork() == 0 {
                        self.slot = call.slot;
                        self.announce();
                        continue;
                    }
                    Ok(Vec::new())
                }
                Doing::Exit { orderly: 1 } => process::exit_in_order(),
                Doing::Exit { .. } => process::exit_at_once(0),
                _ => {
                    // SAFETY: the default action of SIGALRM ends this process, which is what is wanted.
                    unsafe { libc::alarm(LONGEST) };
                    self.phases.enter(self.number, self.slot);
                    let outcome = self.perform(&call);
                    self.phases.leave(self.number, self.slot);
                    // SAFETY: as above.
                    unsafe { libc::alarm(0) };
                    outcome
                }
            };
            self.channels[self.slot].send(&outcome);
        }
        process::exit_at_once(0)
    }

    /// Tells the process id. Asks something first, so that a worker forked by the bare system call has made itself
    /// known.
    fn announce(&mut self) {
        self.side.calls().sem_limits().expect("IPC_INFO");
        self.channels[self.slot].send(&std::process::id());
    }

    fn perform(&self, call: &Call) -> Outcome {
        let (calls, id) = (self.side.calls(), call.id);
        let nothing = |()| Vec::new();
        match call.doing {
            Doing::SemGet { nsems, flags, .. } => calls
                .semget(call.key, nsems as i32, flags as i32)
                .map(|id| vec![Fact::Identifier(id)]),
            Doing::SemOp {
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
                ..
            } => {
                let operations = [
                    operation(num0, op0, flags0),
                    operation(num1, op1, flags1),
                    operation(num2, op2, flags2),
                ];
                calls.semop(id, &operations[..count as usize % 4], None).map(nothing)
            }
            Doing::SemTimedOp {
                millis, num, op, flags, ..
            } => {
                let nsec = if millis < 0 { 1_000_000_000 } else { millis * 1_000_000 };
                let timeout = Timespec { sec: 0, nsec };
                calls
                    .semop(id, &[operation(num, op, flags)], Some(timeout))
                    .map(nothing)
            }
            Doing::SemAsk { num, what, .. } => ask(calls, id, num as i32, what),
            Doing::SemSetValue { num, value, .. } => calls.sem_set_value(id, num as i32, value as i32).map(nothing),
            Doing::SemValues { .. } => {
                let mut values = vec![0; call.nsems];
                calls
                    .sem_values(id, &mut values)
                    .map(|()| values.iter().map(|value| Fact::Number(i64::from(*value))).collect())
            }
            Doing::SemSetValues { first, .. } => {
                let value = |n: usize| (first as u16).wrapping_add(n as u16 % 5);
                let values: Vec<u16> = (0..call.nsems).map(value).collect();
                calls.sem_set_values(id, &values).map(nothing)
            }
            Doing::SemStat { by, .. } => calls.sem_stat(id, stat_by(by)).map(|found| fact::of_set(id, found)),
            Doing::SemSet { user, group, mode, .. } => calls.sem_set(id, change(user, group, mode)).map(nothing),
            Doing::SemRemove { .. } => calls.sem_remove(id).map(nothing),
            Doing::SemLimits {} => calls.sem_limits().map(|(_, info)| {
                let limits = [
                    info.semmni,
                    info.semmns,
                    info.semmsl,
                    info.semopm,
                    info.semvmx,
                    info.semaem,
                ];
                limits.map(|limit| Fact::Number(i64::from(limit))).to_vec()
            }),
            Doing::SemUsage {} => calls.sem_usage().map(|(_, info)| {
                [info.semusz, info.semaem]
                    .map(|count| Fact::Number(i64::from(count)))
                    .to_vec()
            }),
            Doing::MsgGet { flags, .. } => calls
                .msgget(call.key, flags as i32)
                .map(|id| vec![Fact::Identifier(id)]),
            Doing::Send { kind, size, flags, .. } => {
                let mut message = kind.to_ne_bytes().to_vec();
                let written = size.clamp(0, MSGMAX_DEFAULT as i64 + 1) as u64;
                message.extend((0..written).map(|n| (n + call.serial * 7) as u8));
                // SAFETY: nobody writes to the message, and a size that is not its own is refused unread.
                unsafe { calls.msgsnd(id, message.as_ptr() as usize, size as usize, flags as i32) }.map(nothing)
            }
            Doing::Receive { size, kind, flags, .. } => {
                let mut buffer = vec![0; 8 + size.clamp(0, MSGMAX_DEFAULT as i64) as usize];
                // SAFETY: the buffer has room for the size; one below zero is refused.
                unsafe { calls.msgrcv(id, buffer.as_mut_ptr() as usize, size as usize, kind, flags as i32) }.map(
                    |len| {
                        buffer.truncate(8 + len);
                        vec![Fact::Text(buffer)]
                    },
                )
            }
            Doing::MsgStat { by, .. } => calls.msg_stat(id, stat_by(by)).map(|found| fact::of_queue(id, found)),
            Doing::MsgSet {
                user,
                group,
                mode,
                qbytes,
                ..
            } => calls.msg_set(id, change(user, group, mode), qbytes as u64).map(nothing),
            Doing::MsgRemove { .. } => calls.msg_remove(id).map(nothing),
            Doing::MsgLimits {} => calls.msg_limits().map(|(_, info)| {
                [info.msgmax, info.msgmnb, info.msgmni]
                    .map(|limit| Fact::Number(i64::from(limit)))
                    .to_vec()
            }),
            Doing::MsgUsage {} => calls.msg_usage().map(|(_, info)| {
                [info.msgpool, info.msgmap, info.msgtql]
                    .map(|count| Fact::Number(i64::from(count)))
                    .to_vec()
            }),
            Doing::Fork { .. } | Doing::Exit { .. } | Doing::Kill {} | Doing::Signal { .. } | Doing::Spawn { .. } => {
                unreachable!("{} is not a call", call.doing)
            }
        }
    }
}

/// What `semctl` tells of a semaphore.
pub(super) fn ask(calls: &dyn super::side::Calls, id: i32, num: i32, what: i64) -> Outcome {
    let what = [Asked::Value, Asked::Pid, Asked::WaitingForMore, Asked::WaitingForZero][what as usize % 4];
    let answer = calls.sem_ask(id, num, what)?;
    Ok(vec![match what {
        Asked::Pid => Fact::Process(answer),
        _ => Fact::Number(i64::from(answer)),
    }])
}

fn operation(num: i64, op: i64, flags: i64) -> Sembuf {
    sembuf(num as u16, op as i16, flags as i32)
}

fn stat_by(by: i64) -> StatBy {
    [StatBy::Id, StatBy::Index, StatBy::IndexAny][by as usize % 3]
}

/// Resolved by the driver: numbers of users and groups, or the numbers themselves.
fn change(user: i64, group: i64, mode: i64) -> PermChange {
    let resolved = |list: &[u32], number: i64| match number {
        number if number < 0 => (-1 - number) as u32,
        number => list[number as usize],
    };
    PermChange {
        uid: resolved(OWNERS, user),
        gid: resolved(GROUPS, group),
        mode: mode as u32,
    }
}
