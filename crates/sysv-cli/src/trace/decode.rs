//! A report's arguments and result, as people and programs read them.

use std::mem::offset_of;

use serde_json::{Map, Value, json};
use sysv_engine::Errno;
use sysv_engine::abi::{
    GETALL, IPC_INFO, IPC_PRIVATE, IPC_RMID, IPC_SET, IPC_STAT, IpcPerm, MsqidDs, SETALL, SETVAL, SHM_LOCK, SHM_UNLOCK,
    Sembuf, SemidDs, ShmInfoUsage, ShmidDs, Timespec,
};
use sysv_engine::trace::{Call, Report};

use super::flags;

/// The most bytes of a message that are shown.
const TEXT: usize = 32;
/// The most operations or values that are shown.
const LIST: usize = 32;

/// One argument.
#[derive(Debug)]
pub(super) struct Argument {
    pub name: &'static str,
    pub text: String,
    pub json: Value,
}

impl Argument {
    fn number(name: &'static str, number: i64) -> Argument {
        Argument {
            name,
            text: number.to_string(),
            json: number.into(),
        }
    }

    fn size(name: &'static str, number: u64) -> Argument {
        Argument {
            name,
            text: number.to_string(),
            json: number.into(),
        }
    }

    fn word(name: &'static str, word: String) -> Argument {
        Argument {
            name,
            json: word.clone().into(),
            text: word,
        }
    }

    fn address(name: &'static str, address: u64) -> Argument {
        match address {
            0 => Argument {
                name,
                text: "NULL".to_owned(),
                json: Value::Null,
            },
            address => Argument::word(name, format!("{address:#x}")),
        }
    }

    fn key(key: i32) -> Argument {
        Argument::word(
            "key",
            match key {
                IPC_PRIVATE => "IPC_PRIVATE".to_owned(),
                key => format!("{key:#x}"),
            },
        )
    }
}

/// The arguments of a call.
pub(super) fn arguments(report: &Report<'_>) -> Vec<Argument> {
    let [a, b, c, d, e] = report.arguments;
    let call = report.call;
    let id = || Argument::number("id", (a as i32).into());
    match call {
        Call::Shmget => vec![
            Argument::key(a as i32),
            Argument::size("size", b),
            Argument::word("flags", flags::of_get(call, c as i32)),
        ],
        Call::Shmat => vec![
            id(),
            Argument::address("address", b),
            Argument::word("flags", flags::of_operation(call, c as i32)),
        ],
        Call::Shmdt => vec![Argument::address("address", a)],
        Call::Semget => vec![
            Argument::key(a as i32),
            Argument::number("nsems", (b as i32).into()),
            Argument::word("flags", flags::of_get(call, c as i32)),
        ],
        Call::Semop => vec![id(), operations(report.memory, b, c), Argument::size("nsops", c)],
        Call::Semtimedop => {
            let (timeout, rest) = timeout(report.memory, d);
            vec![id(), operations(rest, b, c), Argument::size("nsops", c), timeout]
        }
        Call::Msgget => vec![
            Argument::key(a as i32),
            Argument::word("flags", flags::of_get(call, b as i32)),
        ],
        Call::Msgsnd => vec![
            id(),
            message(report.memory, b, c),
            Argument::size("size", c),
            Argument::word("flags", flags::of_operation(call, d as i32)),
        ],
        Call::Msgrcv => vec![
            id(),
            message(report.memory, b, report.result.max(0) as u64),
            Argument::size("size", c),
            Argument::number("type", d as i64),
            Argument::word("flags", flags::of_operation(call, e as i32)),
        ],
        Call::Shmctl | Call::Msgctl => {
            let command = b as i32;
            let shown = flags::command(call, command);
            let mut arguments = vec![id(), Argument::word("command", shown)];
            let locks = call == Call::Shmctl && matches!(command, SHM_LOCK | SHM_UNLOCK);
            if command != IPC_RMID && !locks {
                arguments.push(structure(call, command, report.memory, c));
            }
            arguments
        }
        Call::Semctl => semctl(report),
    }
}

fn semctl(report: &Report<'_>) -> Vec<Argument> {
    let [a, b, c, d, count] = report.arguments;
    let command = c as i32;
    let mut arguments = vec![
        Argument::number("id", (a as i32).into()),
        Argument::number("semnum", (b as i32).into()),
        Argument::word("command", flags::command(report.call, command)),
    ];
    match command {
        SETVAL => arguments.push(Argument::number("value", (d as i32).into())),
        GETALL | SETALL => arguments.push(values(report.memory, d, count)),
        IPC_SET | IPC_STAT | IPC_INFO | 18..=20 => {
            arguments.push(structure(report.call, command, report.memory, d));
        }
        _ => {}
    }
    arguments
}

/// What a call returned, in words: the value, an address, or the error's name and sentence.
pub(super) fn result(report: &Report<'_>) -> String {
    if report.result == -1 && report.errno != 0 {
        let errno = Errno::from_raw(report.errno);
        return match errno.name() {
            Some(name) => format!("-1 {name} ({})", errno.message()),
            None => format!("-1 (error {})", report.errno),
        };
    }
    match report.call {
        Call::Shmat => format!("{:#x}", report.result),
        _ => report.result.to_string(),
    }
}

fn operations(memory: &[u8], address: u64, count: u64) -> Argument {
    const SIZE: usize = size_of::<Sembuf>();
    let shown = (count as usize).min(LIST).min(memory.len() / SIZE);
    if shown == 0 {
        return Argument::address("sops", address);
    }
    let mut texts = Vec::new();
    let mut list = Vec::new();
    for operation in memory.chunks_exact(SIZE).take(shown) {
        let (num, op, flg) = (half(operation, 0), half(operation, 2) as i16, half(operation, 4) as i16);
        let flags = flags::of_operation(Call::Semop, flg.into());
        texts.push(format!("{{{num}, {op}, {flags}}}"));
        list.push(json!({ "semnum": num, "op": op, "flags": flags }));
    }
    listed("sops", texts, list, count)
}

fn values(memory: &[u8], address: u64, count: u64) -> Argument {
    let shown = (count as usize).min(LIST).min(memory.len() / 2);
    if shown == 0 {
        return Argument::address("array", address);
    }
    let values = || memory.chunks_exact(2).take(shown).map(|value| half(value, 0));
    let texts = values().map(|value| value.to_string()).collect();
    listed("array", texts, values().map(Value::from).collect(), count)
}

fn listed(name: &'static str, mut texts: Vec<String>, list: Vec<Value>, count: u64) -> Argument {
    if texts.len() as u64 != count {
        texts.push("...".to_owned());
    }
    Argument {
        name,
        text: format!("[{}]", texts.join(", ")),
        json: list.into(),
    }
}

/// The timeout, and the memory behind it.
fn timeout(memory: &[u8], address: u64) -> (Argument, &[u8]) {
    let timeout = memory.split_at_checked(size_of::<Timespec>()).filter(|_| address != 0);
    let Some((time, rest)) = timeout else {
        return (Argument::address("timeout", address), memory);
    };
    let (sec, nsec) = (long(time, 0), long(time, 8));
    let argument = Argument {
        name: "timeout",
        text: format!("{{tv_sec={sec}, tv_nsec={nsec}}}"),
        json: json!({ "tv_sec": sec, "tv_nsec": nsec }),
    };
    (argument, rest)
}

fn message(memory: &[u8], address: u64, size: u64) -> Argument {
    let Some((kind, bytes)) = memory.split_at_checked(8) else {
        return Argument::address("message", address);
    };
    let shown = &bytes[..bytes.len().min(size as usize).min(TEXT)];
    let text: String = shown
        .iter()
        .flat_map(|byte| byte.escape_ascii())
        .map(char::from)
        .collect();
    let more = if (shown.len() as u64) < size { "..." } else { "" };
    let kind = long(kind, 0);
    Argument {
        name: "message",
        text: format!("{{{kind}, \"{text}\"{more}}}"),
        json: json!({ "type": kind, "text": text, "cut": !more.is_empty() }),
    }
}

/// What a control command's structure says, as far as it matters.
fn structure(call: Call, command: i32, memory: &[u8], address: u64) -> Argument {
    let mut fields: Vec<(&'static str, Value)> = Vec::new();
    let perm = |fields: &mut Vec<(&'static str, Value)>| {
        fields.push(("uid", word(memory, offset_of!(IpcPerm, uid)).into()));
        fields.push(("gid", word(memory, offset_of!(IpcPerm, gid)).into()));
        fields.push(("mode", flags::of_mode(word(memory, offset_of!(IpcPerm, mode))).into()));
    };
    let size = match call {
        Call::Shmctl => size_of::<ShmidDs>(),
        Call::Semctl => size_of::<SemidDs>(),
        _ => size_of::<MsqidDs>(),
    };
    match (call, command) {
        (_, IPC_INFO) => {}
        (Call::Shmctl, 14) if memory.len() >= size_of::<ShmInfoUsage>() => {
            fields.push(("used_ids", word(memory, offset_of!(ShmInfoUsage, used_ids)).into()));
            fields.push(("shm_tot", long(memory, offset_of!(ShmInfoUsage, shm_tot)).into()));
            fields.push(("shm_rss", long(memory, offset_of!(ShmInfoUsage, shm_rss)).into()));
        }
        _ if memory.len() < size => {}
        (_, IPC_SET) => {
            perm(&mut fields);
            if call == Call::Msgctl {
                fields.push(("msg_qbytes", long(memory, offset_of!(MsqidDs, qbytes)).into()));
            }
        }
        (Call::Shmctl, _) => {
            perm(&mut fields);
            fields.push(("shm_segsz", long(memory, offset_of!(ShmidDs, segsz)).into()));
            fields.push(("shm_nattch", long(memory, offset_of!(ShmidDs, nattch)).into()));
        }
        (Call::Semctl, _) => {
            perm(&mut fields);
            fields.push(("sem_nsems", long(memory, offset_of!(SemidDs, nsems)).into()));
        }
        (_, _) => {
            perm(&mut fields);
            fields.push(("msg_qnum", long(memory, offset_of!(MsqidDs, qnum)).into()));
            fields.push(("msg_cbytes", long(memory, offset_of!(MsqidDs, cbytes)).into()));
            fields.push(("msg_qbytes", long(memory, offset_of!(MsqidDs, qbytes)).into()));
        }
    }
    if fields.is_empty() {
        return Argument::address("buf", address);
    }
    let shown = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    let texts: Vec<String> = fields
        .iter()
        .map(|(name, value)| format!("{name}={}", shown(value)))
        .collect();
    Argument {
        name: "buf",
        text: format!("{{{}}}", texts.join(", ")),
        json: fields
            .into_iter()
            .map(|(name, value)| (name.to_owned(), value))
            .collect::<Map<_, _>>()
            .into(),
    }
}

fn half(bytes: &[u8], at: usize) -> u16 {
    bytes
        .get(at..)
        .and_then(<[u8]>::first_chunk)
        .map_or(0, |bytes| u16::from_le_bytes(*bytes))
}

fn word(bytes: &[u8], at: usize) -> u32 {
    bytes
        .get(at..)
        .and_then(<[u8]>::first_chunk)
        .map_or(0, |bytes| u32::from_le_bytes(*bytes))
}

fn long(bytes: &[u8], at: usize) -> i64 {
    bytes
        .get(at..)
        .and_then(<[u8]>::first_chunk)
        .map_or(0, |bytes| i64::from_le_bytes(*bytes))
}

#[cfg(test)]
mod tests {
    use super::*;
    use sysv_engine::trace::Stage;

    fn report(call: Call, arguments: [u64; 5], result: i64, memory: &[u8]) -> Report<'_> {
        Report {
            call,
            stage: Stage::Returned,
            pid: 1,
            tid: 1,
            began: 0,
            took: 0,
            arguments,
            result,
            errno: if result == -1 { 42 } else { 0 },
            lost: 0,
            memory,
        }
    }

    fn text(report: &Report<'_>) -> String {
        let texts: Vec<String> = arguments(report).into_iter().map(|argument| argument.text).collect();
        texts.join(", ")
    }

    #[test]
    fn arguments_read_as_a_c_program_writes_them() {
        let get = report(Call::Shmget, [0x1234, 4096, 0o1600, 0, 0], 49152, &[]);
        assert_eq!(text(&get), "0x1234, 4096, IPC_CREAT|0600");
        let operations = [0, 0, 0xff, 0xff, 0, 0x10, 1, 0, 2, 0, 0, 8];
        let semop = report(Call::Semop, [7, 0x1000, 2, 0, 0], 0, &operations);
        assert_eq!(text(&semop), "7, [{0, -1, SEM_UNDO}, {1, 2, IPC_NOWAIT}], 2");
        let many = report(Call::Semop, [7, 0x1000, 5, 0, 0], 0, &operations);
        assert!(text(&many).ends_with("IPC_NOWAIT}, ...], 5"));
        let mut timed = vec![1, 0, 0, 0, 0, 0, 0, 0, 5, 0, 0, 0, 0, 0, 0, 0];
        timed.extend(&operations[..6]);
        let timed = report(Call::Semtimedop, [7, 0x1000, 1, 0x2000, 0], 0, &timed);
        assert_eq!(text(&timed), "7, [{0, -1, SEM_UNDO}], 1, {tv_sec=1, tv_nsec=5}");
        let received = report(
            Call::Msgrcv,
            [7, 0x1000, 100, -5i64 as u64, 0],
            3,
            b"\x09\0\0\0\0\0\0\0a\"\n",
        );
        assert_eq!(text(&received), r#"7, {9, "a\"\n"}, 100, -5, 0"#);
        let values = report(Call::Semctl, [7, 0, GETALL as u64, 0x1000, 3], 0, &[1, 0, 2, 0, 3, 0]);
        assert_eq!(text(&values), "7, 0, GETALL, [1, 2, 3]");
        assert_eq!(text(&report(Call::Shmctl, [7, 0, 0x1000, 0, 0], 0, &[])), "7, IPC_RMID");
        assert_eq!(text(&report(Call::Shmat, [7, 0, 0, 0, 0], 0x7000, &[])), "7, NULL, 0");
    }

    #[test]
    fn what_could_not_be_read_is_shown_as_an_address() {
        assert_eq!(text(&report(Call::Semop, [7, 1, 2, 0, 0], -1, &[])), "7, 0x1, 2");
        assert_eq!(text(&report(Call::Msgsnd, [7, 1, 5, 0, 0], -1, &[])), "7, 0x1, 5, 0");
        assert_eq!(
            text(&report(Call::Shmctl, [7, 2, 1, 0, 0], -1, &[0; 10])),
            "7, IPC_STAT, 0x1"
        );
    }

    #[test]
    fn results_are_values_addresses_or_errors() {
        assert_eq!(result(&report(Call::Shmget, [0; 5], 49152, &[])), "49152");
        assert_eq!(result(&report(Call::Shmat, [0; 5], 0x7000, &[])), "0x7000");
        assert_eq!(
            result(&report(Call::Msgrcv, [0; 5], -1, &[])),
            "-1 ENOMSG (No message of desired type)"
        );
    }
}
