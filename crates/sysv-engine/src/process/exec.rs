//! What a process keeps through `execve`: what it owes to semaphores.
//!
//! Everything else of it ends there: its mappings, and with them the [proof of life](crate::live) and its membership. But in Linux
//! `SEM_UNDO` is due when the *process* ends, whatever program it executes meanwhile, and that one may never have heard of us. So who
//! begins to owe notes in its record when it was started, which together with its id is the same for all its programs and nobody
//! else's. As long as such a process is there its record is not buried, though nothing but the debts counts of it any more. A
//! program that uses `SEM_UNDO` itself takes them over.
//!
//! Whoever sees the process by no id, being of another pid namespace, or has no `/proc`, takes it for dead.

use core::sync::atomic::Ordering::{Acquire, Relaxed};

use crate::identity::Identity;
use crate::live::Live;
use crate::lock::Tag;
use crate::member::{Member, Private};
use crate::path::PathBuf;
use crate::semaphore;
use crate::sys;
use crate::table::{PROCESSES, ProcessRecord};

/// In [`ProcessRecord::started`]: nobody knows.
const UNKNOWN: u64 = 1;

/// When the process with this id was started, in ticks since the machine's start; `None` if there is none, or it is dead and only
/// not yet waited for.
fn started(pid: u32) -> Option<u64> {
    let path = PathBuf::from_args(format_args!("/proc/{pid}/stat")).ok()?;
    let file = sys::open(path.as_c_str(), libc::O_RDONLY, 0).ok()?;
    let mut bytes = [0u8; 512];
    let len = sys::pread(&file, &mut bytes, 0).ok()?;
    parse(bytes.get(..len)?)
}

/// The start time in a `/proc/<pid>/stat`: see proc_pid_stat(5).
fn parse(stat: &[u8]) -> Option<u64> {
    // The command's name may contain anything, but what follows has no parenthesis.
    let name_end = stat.iter().rposition(|&byte| byte == b')')?;
    let mut fields = stat.get(name_end + 2..)?.split(|&byte| byte == b' ');
    match fields.next()? {
        b"Z" | b"X" | b"x" => None,
        _ => number(fields.nth(18)?),
    }
}

fn number(digits: &[u8]) -> Option<u64> {
    digits.iter().try_fold(0u64, |number, digit| {
        let digit = digit.checked_sub(b'0').filter(|digit| *digit < 10)?;
        number.checked_mul(10)?.checked_add(digit.into())
    })
}

/// Whether the process that had this record is there still, having executed another program.
#[cold]
#[inline(never)]
pub(crate) fn lives_on(record: &ProcessRecord, observer: Identity) -> bool {
    let identity = Identity::from_word(record.identity.load(Relaxed));
    let noted = record.started.load(Acquire);
    noted > UNKNOWN
        && identity.namespace() == observer.namespace()
        && identity.pid() != 0
        && started(identity.pid()) == Some(noted)
}

/// Notes that the process is about to owe something, and takes over what it owes for its former programs.
pub(crate) fn note_debts(member: &Member) {
    let record = member.table().processes.get(member.tag().index());
    if let Some(record) = record
        && record.started.load(Relaxed) == 0
    {
        note_start(member, record);
    }
}

#[cold]
#[inline(never)]
fn note_start(member: &Member, record: &ProcessRecord) {
    let private = member.lock_private();
    if record.started.load(Relaxed) == 0 {
        let started = started(member.identity().pid()).unwrap_or(UNKNOWN);
        if started != UNKNOWN {
            succeed(member, &private, member.tag(), started);
        }
        record.started.store(started.max(UNKNOWN), Relaxed);
    }
}

fn succeed(member: &Member, private: &Private, own: Tag, started: u64) {
    let table = member.table();
    let pool = &table.header.processes;
    let high = pool.high.load(Relaxed).min(pool.backed.load(Relaxed)) as usize;
    for (index, record) in table.processes[..high.min(PROCESSES)].iter().enumerate() {
        let same = record.identity.load(Relaxed) == member.identity().word() && record.started.load(Acquire) == started;
        if !same || index == own.index() {
            continue;
        }
        let Ok(live) = Live::open(member.directory()) else {
            return;
        };
        // A record of a living process that looks like this one says what is not true.
        if live.holds(index).unwrap_or(true) {
            continue;
        }
        let former = Tag::new(index, record.generation.load(Acquire) & 0xffff);
        semaphore::inherit(member, private, former, own);
        record.started.store(0, Relaxed);
        let _ = super::enrol::bury(member, private, &live, index);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_start_time_is_found_behind_any_name() {
        let line = b"42 (a) R (b) S 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 777 20\n";
        assert_eq!(parse(line), Some(777));
        assert_eq!(
            parse(b"42 (sh) Z 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 777 20\n"),
            None
        );
        assert_eq!(parse(b"42 (sh) S 1 2"), None);
        assert_eq!(parse(b""), None);
        assert!(started(std::process::id()).is_some_and(|started| started > UNKNOWN));
    }
}
