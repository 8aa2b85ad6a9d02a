//! Who sleeps in a system call on one of the kernel's sets or queues: `/proc/<pid>/task/<tid>/syscall` tells the call and
//! its arguments, to whoever might trace the process.
//!
//! Calls of 32-bit programs and of other personalities are not decoded.

use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::path::Path;

use super::Seen;

/// A thread asleep in such a call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Sleeper {
    /// The set's or queue's identifier.
    pub(crate) id: i32,
    pub(crate) sleeps: Sleeps,
}

/// What in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Sleeps {
    /// semop(2) or semtimedop(2), with number and change of each operation; none where they could not be read.
    Operating(Vec<(u16, i16)>),
    /// msgsnd(2).
    Sending { size: u64 },
    /// msgrcv(2).
    Receiving { kind: i64, except: bool },
}

const SEMOP: u64 = 65;
const MSGSND: u64 = 69;
const MSGRCV: u64 = 70;
const SEMTIMEDOP: u64 = 220;

/// The most operations that are read: the default of the kernel's limit.
const OPERATIONS: u64 = 500;
/// Size of a `struct sembuf`.
const OPERATION: usize = 6;

/// A process's threads that sleep so; none if it may not be looked at.
pub(crate) fn sleepers_of(process: &Seen) -> Vec<Sleeper> {
    let Ok(tasks) = fs::read_dir(process.path.join("task")) else {
        return Vec::new();
    };
    let call = |path: &Path| fs::read_to_string(path.join("syscall")).ok();
    tasks
        .flatten()
        .filter_map(|task| sleeper(&call(&task.path())?, &process.path))
        .collect()
}

/// A line such as `220 0x8000 0x7ffd5e 0x1 0x0 0x0 0x0 0x7ffd 0x7f3c`: the call's number, its six arguments, stack and
/// instruction pointer.
fn sleeper(line: &str, process: &Path) -> Option<Sleeper> {
    let mut words = line.split_ascii_whitespace();
    let call: u64 = words.next()?.parse().ok()?;
    if !matches!(call, SEMOP | MSGSND | MSGRCV | SEMTIMEDOP) {
        return None;
    }
    let mut argument = || u64::from_str_radix(words.next()?.strip_prefix("0x")?, 16).ok();
    let (id, address, size) = (argument()? as i32, argument()?, argument()?);
    let sleeps = match call {
        MSGSND => Sleeps::Sending { size },
        MSGRCV => Sleeps::Receiving {
            kind: argument()? as i64,
            except: argument()? as i32 & sysv_engine::abi::MSG_EXCEPT != 0,
        },
        _ => Sleeps::Operating(operations(process, address, size).unwrap_or_default()),
    };
    Some(Sleeper { id, sleeps })
}

fn operations(process: &Path, address: u64, count: u64) -> Option<Vec<(u16, i16)>> {
    if count > OPERATIONS {
        return None;
    }
    let mut bytes = vec![0; count as usize * OPERATION];
    File::open(process.join("mem"))
        .ok()?
        .read_exact_at(&mut bytes, address)
        .ok()?;
    let word = |bytes: &[u8]| u16::from_ne_bytes([bytes[0], bytes[1]]);
    let operations = bytes
        .chunks_exact(OPERATION)
        .map(|operation| (word(operation), word(&operation[2..]) as i16));
    Some(operations.collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_other_calls_and_of_running_threads_are_passed_over() {
        let nowhere = Path::new("/nonexistent");
        for other in [
            "running",
            "-1 0x7ffd5e 0x7f3c",
            "0 0x0 0x7ffd 0x1 0x0 0x0 0x0 0x7ffd 0x7f3c",
            "",
            "220",
            "70 0x1",
        ] {
            assert_eq!(sleeper(other, nowhere), None, "{other}");
        }
        let receives = "70 0x8001 0x7ffd 0x2000 0xfffffffffffffffb 0x1000 0x0 0x7ffd 0x7f3c";
        assert_eq!(
            sleeper(receives, nowhere),
            Some(Sleeper {
                id: 0x8001,
                sleeps: Sleeps::Receiving {
                    kind: -5,
                    except: false
                },
            })
        );
        let sends = "69 0x0 0x7ffd 0x2000 0x0 0x0 0x0 0x7ffd 0x7f3c";
        assert_eq!(
            sleeper(sends, nowhere),
            Some(Sleeper {
                id: 0,
                sleeps: Sleeps::Sending { size: 8192 },
            })
        );
        let operates = "220 0x3 0x7ffd 0x1 0x0 0x0 0x0 0x7ffd 0x7f3c";
        assert_eq!(
            sleeper(operates, nowhere),
            Some(Sleeper {
                id: 3,
                sleeps: Sleeps::Operating(Vec::new()),
            })
        );
    }
}
