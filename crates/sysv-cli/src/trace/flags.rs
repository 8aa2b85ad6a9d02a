//! Numbers by the names that C programs give them.

use sysv_engine::abi::{
    GETALL, GETNCNT, GETPID, GETVAL, GETZCNT, IPC_CREAT, IPC_EXCL, IPC_INFO, IPC_NOWAIT, IPC_RMID, IPC_SET, IPC_STAT,
    MSG_COPY, MSG_EXCEPT, MSG_INFO, MSG_NOERROR, MSG_STAT, MSG_STAT_ANY, SEM_INFO, SEM_STAT, SEM_STAT_ANY, SEM_UNDO,
    SETALL, SETVAL, SHM_DEST, SHM_EXEC, SHM_HUGETLB, SHM_INFO, SHM_LOCK, SHM_LOCKED, SHM_NORESERVE, SHM_RDONLY,
    SHM_REMAP, SHM_RND, SHM_STAT, SHM_STAT_ANY, SHM_UNLOCK,
};
use sysv_engine::trace::Call;

macro_rules! named {
    ($($name:ident),* $(,)?) => { &[$(($name as u32, stringify!($name))),*] };
}

type Names = &'static [(u32, &'static str)];

const GET: Names = named!(IPC_CREAT, IPC_EXCL);
const SHMGET: Names = named!(IPC_CREAT, IPC_EXCL, SHM_HUGETLB, SHM_NORESERVE);
const SHMAT: Names = named!(SHM_RDONLY, SHM_RND, SHM_REMAP, SHM_EXEC);
const SEMOP: Names = named!(IPC_NOWAIT, SEM_UNDO);
const MSGSND: Names = named!(IPC_NOWAIT);
const MSGRCV: Names = named!(IPC_NOWAIT, MSG_NOERROR, MSG_EXCEPT, MSG_COPY);
const MODE: Names = named!(SHM_DEST, SHM_LOCKED);

const COMMON: Names = named!(IPC_RMID, IPC_SET, IPC_STAT, IPC_INFO);
const SHMCTL: Names = named!(SHM_LOCK, SHM_UNLOCK, SHM_STAT, SHM_INFO, SHM_STAT_ANY);
const SEMCTL: Names = named!(
    GETPID,
    GETVAL,
    GETALL,
    GETNCNT,
    GETZCNT,
    SETVAL,
    SETALL,
    SEM_STAT,
    SEM_INFO,
    SEM_STAT_ANY
);
const MSGCTL: Names = named!(MSG_STAT, MSG_INFO, MSG_STAT_ANY);

/// The flags of a `…get` call: names, and the mode in octal.
pub(super) fn of_get(call: Call, flags: i32) -> String {
    let names = if call == Call::Shmget { SHMGET } else { GET };
    joined(names, flags as u32, Some(0o777))
}

/// The flags of an operation.
pub(super) fn of_operation(call: Call, flags: i32) -> String {
    let names = match call {
        Call::Shmat => SHMAT,
        Call::Msgsnd => MSGSND,
        Call::Msgrcv => MSGRCV,
        _ => SEMOP,
    };
    joined(names, flags as u32, None)
}

/// An object's mode.
pub(super) fn of_mode(mode: u32) -> String {
    joined(MODE, mode, Some(0o777))
}

/// A control command.
pub(super) fn command(call: Call, number: i32) -> String {
    let own = match call {
        Call::Shmctl => SHMCTL,
        Call::Semctl => SEMCTL,
        _ => MSGCTL,
    };
    let found = COMMON.iter().chain(own).find(|(value, _)| *value == number as u32);
    found.map_or_else(|| number.to_string(), |(_, name)| (*name).to_owned())
}

/// The names of the bits that are set, the bits of `mode` in octal, and in hexadecimal what has no name.
fn joined(names: Names, flags: u32, mode: Option<u32>) -> String {
    let mut parts = Vec::new();
    let mut rest = flags;
    for (bit, name) in names.iter().filter(|(bit, _)| flags & bit != 0) {
        parts.push((*name).to_owned());
        rest &= !bit;
    }
    if let Some(mode) = mode {
        parts.push(format!("{:#05o}", rest & mode).replacen("0o", "0", 1));
        rest &= !mode;
    }
    if rest != 0 || parts.is_empty() {
        parts.push(if rest == 0 {
            "0".to_owned()
        } else {
            format!("{rest:#x}")
        });
    }
    parts.join("|")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_are_shown_as_a_c_program_writes_them() {
        assert_eq!(of_get(Call::Shmget, 0o3600), "IPC_CREAT|IPC_EXCL|0600");
        assert_eq!(of_get(Call::Semget, 0), "0000");
        assert_eq!(of_get(Call::Msgget, 0x1000_0000 | 0o7), "0007|0x10000000");
        assert_eq!(of_operation(Call::Semop, 0), "0");
        assert_eq!(of_operation(Call::Semop, 0x1800), "IPC_NOWAIT|SEM_UNDO");
        assert_eq!(of_operation(Call::Shmat, SHM_RDONLY | SHM_RND), "SHM_RDONLY|SHM_RND");
        assert_eq!(of_mode(0o1640), "SHM_DEST|0640");
    }

    #[test]
    fn the_same_number_is_another_command_for_another_call() {
        assert_eq!(command(Call::Shmctl, 11), "SHM_LOCK");
        assert_eq!(command(Call::Semctl, 11), "GETPID");
        assert_eq!(command(Call::Msgctl, 11), "MSG_STAT");
        assert_eq!(command(Call::Msgctl, 0), "IPC_RMID");
        assert_eq!(command(Call::Shmctl, 99), "99");
    }
}
