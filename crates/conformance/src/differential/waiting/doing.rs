//! What a worker can be told to do with semaphore sets and message queues.

use sysv_engine::abi::SEM_UNDO;

use crate::differential::action::actions;

actions! { Doing
    /// `semget` with the key of that number, 0 for `IPC_PRIVATE`.
    SemGet "semget" { key, nsems, flags }
    /// `semop` with up to three operations.
    SemOp "semop" { object, count, num0, op0, flags0, num1, op1, flags1, num2, op2, flags2 }
    /// `semtimedop` with one operation; -1 milliseconds stand for a time that is none.
    SemTimedOp "semtimedop" { object, millis, num, op, flags }
    /// `GETVAL` (0), `GETPID` (1), `GETNCNT` (2) or `GETZCNT` (3).
    SemAsk "semask" { object, num, what }
    /// `SETVAL`.
    SemSetValue "setval" { object, num, value }
    /// `GETALL`.
    SemValues "getall" { object }
    /// `SETALL`: each semaphore one more than the one before it, modulo five.
    SemSetValues "setall" { object, first }
    /// `IPC_STAT` (0), `SEM_STAT` (1) or `SEM_STAT_ANY` (2).
    SemStat "semstat" { object, by }
    /// `IPC_SET`; user and group are numbers of their lists.
    SemSet "semset" { object, user, group, mode }
    /// `IPC_RMID`.
    SemRemove "semremove" { object }
    /// `IPC_INFO`.
    SemLimits "semlimits" {}
    /// `SEM_INFO`.
    SemUsage "semusage" {}
    /// `msgget`.
    MsgGet "msgget" { key, flags }
    /// `msgsnd`.
    Send "msgsnd" { object, kind, size, flags }
    /// `msgrcv`.
    Receive "msgrcv" { object, size, kind, flags }
    /// `IPC_STAT` (0), `MSG_STAT` (1) or `MSG_STAT_ANY` (2).
    MsgStat "msgstat" { object, by }
    /// `IPC_SET`.
    MsgSet "msgset" { object, user, group, mode, qbytes }
    /// `IPC_RMID`.
    MsgRemove "msgremove" { object }
    /// `IPC_INFO`.
    MsgLimits "msglimits" {}
    /// `MSG_INFO`.
    MsgUsage "msgusage" {}
    /// The worker forks a new one, by the bare system call if `bare` is 1.
    Fork "fork" { bare }
    /// The worker exits, through destructors if `orderly` is 1.
    Exit "exit" { orderly }
    /// The worker is killed, be it waiting or not.
    Kill "kill" {}
    /// A worker that waits gets a signal that it handles, with `SA_RESTART` if `restart` is 1.
    Signal "signal" { restart }
    /// A new worker starts, as this user.
    Spawn "spawn" { user }
}

impl Doing {
    /// Which object it names by number, and whether that is a set.
    pub(super) fn object(&self) -> Option<(Kind, i64)> {
        match *self {
            Doing::SemOp { object, .. }
            | Doing::SemTimedOp { object, .. }
            | Doing::SemAsk { object, .. }
            | Doing::SemSetValue { object, .. }
            | Doing::SemValues { object }
            | Doing::SemSetValues { object, .. }
            | Doing::SemStat { object, .. }
            | Doing::SemSet { object, .. }
            | Doing::SemRemove { object } => Some((Kind::Set, object)),
            Doing::Send { object, .. }
            | Doing::Receive { object, .. }
            | Doing::MsgStat { object, .. }
            | Doing::MsgSet { object, .. }
            | Doing::MsgRemove { object } => Some((Kind::Queue, object)),
            _ => None,
        }
    }

    /// Whether any of its operations is to be undone.
    pub(super) fn asks_for_undo(&self) -> bool {
        let flags = match *self {
            Doing::SemOp {
                flags0, flags1, flags2, ..
            } => flags0 | flags1 | flags2,
            Doing::SemTimedOp { flags, .. } => flags,
            _ => 0,
        };
        flags & i64::from(SEM_UNDO) != 0
    }

    /// Whether any of its operations changes a value.
    pub(super) fn alters(&self) -> bool {
        match *self {
            Doing::SemOp {
                count, op0, op1, op2, ..
            } => [op0, op1, op2][..count as usize % 4].iter().any(|op| *op != 0),
            Doing::SemTimedOp { op, .. } => op != 0,
            _ => false,
        }
    }

    /// Whether it may return only after a while by itself.
    pub(super) fn is_timed(&self) -> bool {
        matches!(self, Doing::SemTimedOp { .. })
    }
}

/// What an object is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Set,
    Queue,
}
