//! The attendant of plain `sysv run`: a process of its own that gives the memory of a removed segment back when the last process
//! dies that has it attached. The program has taken `sysv`'s place by then, and nobody else may call for long.
//!
//! It is nobody's child, has no terminal and no file of the program's open, and costs some instructions ten times in a second. Of
//! a user's attendants of one namespace one works and the others wait for its end, or that of their own program. It ends
//! when its program has ended and no process is left that uses the namespace.

use std::ffi::{CStr, CString, OsStr, OsString};
use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use std::thread;
use std::time::Duration;

use nix::fcntl::{FcntlArg, fcntl};
use nix::libc;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{PidfdFlags, geteuid, getpid, pidfd_open, setsid};
use rustix::thread::set_name;
use sysv::Namespace;
use sysv_engine::remains::Bystander;

use super::watch;

/// What it is called in a list of processes.
const NAME: &CStr = c"sysv-attendant";
/// The program of every process of ours, also after its file has been replaced.
const OURSELVES: &str = "/proc/self/exe";

/// How often one that waits for another's end looks, and how often whether anybody is left.
const TURN: Duration = Duration::from_secs(1);
/// How often to look whether removed segments wait for their last user, which takes two loads from memory.
const TICK: Duration = Duration::from_millis(100);

/// Starts one for this process, which will be the program. If that cannot be done memory comes back with the next call.
pub(super) fn start(namespace: &Namespace) {
    // The orphans of a container's first process are that process's children, and it may wait for all of those.
    if getpid().is_init() {
        return;
    }
    let Some(directory) = namespace.location().directory() else {
        return;
    };
    // Its standard input tells when the program has ended.
    if let Ok(program) = pidfd_open(getpid(), PidfdFlags::empty()) {
        // The first process ends at once, so that the second is nobody's child.
        let _ = role("start", directory).stdin(Stdio::from(program)).status();
    }
}

fn role(role: &str, directory: &Path) -> Command {
    let mut command = Command::new(OURSELVES);
    command
        .arg0(OsStr::from_bytes(NAME.to_bytes()))
        .args([role.as_ref(), directory.as_os_str()])
        .env_clear()
        .current_dir("/")
        .stdin(Stdio::inherit())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    command
}

/// Is an attendant, if this process was started as one.
pub(crate) fn attend() -> Option<ExitCode> {
    let words: Vec<OsString> = std::env::args_os().collect();
    let [name, role_name, directory] = words.as_slice() else {
        return None;
    };
    if name.as_bytes() != NAME.to_bytes() {
        return None;
    }
    let directory = PathBuf::from(directory);
    if role_name == "start" {
        close_what_was_inherited();
        // Not waited for.
        let _ = role("attend", &directory).spawn();
    } else {
        let _ = setsid();
        let _ = set_name(NAME);
        let _ = watch_over(&directory, io::stdin().as_fd(), role_name == "again");
    }
    Some(ExitCode::SUCCESS)
}

/// Closes every file but the standard ones. Whoever reads from a pipe that the program writes to shall see its end.
fn close_what_was_inherited() {
    let numbers: Vec<i32> = fs::read_dir("/proc/self/fd")
        .into_iter()
        .flatten()
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
        .collect();
    // The one that the names were read from is closed already.
    for number in numbers.into_iter().filter(|&number| number > 2) {
        let _ = nix::unistd::close(number);
    }
}

/// Until the program has ended and nobody uses the namespace any more.
fn watch_over(directory: &Path, program: BorrowedFd<'_>, again: bool) -> io::Result<()> {
    let table = OpenOptions::new()
        .read(true)
        .write(true)
        .open(directory.join("table"))?;
    while !is_the_one(&table) {
        if has_ended(program, TURN)? && !is_the_one(&table) {
            return Ok(());
        }
    }
    let place = CString::new(directory.as_os_str().as_bytes())?;
    let namespace = Bystander::open(&place).map_err(|_| io::ErrorKind::Other)?;
    // What is left of the last time is nobody's that we may free: another user's, who will.
    let mut patience = if again && namespace.removed_segments_wait() {
        TURN
    } else {
        TICK
    };
    loop {
        if has_ended(program, patience)? {
            if namespace.living() == 0 {
                return Ok(());
            }
            thread::sleep(if namespace.removed_segments_wait() { TICK } else { TURN });
        }
        patience = TICK;
        if namespace.removed_segments_wait() {
            watch::while_somebody_has_any(&Namespace::open(directory).map_err(io::Error::other)?);
            // To have asked made this process a member. A new program is none.
            return Err(role("again", directory).exec());
        }
    }
}

/// Takes the lock of the user's attendant at work, if no other has it: the byte of the table that has the user's number.
fn is_the_one(table: &File) -> bool {
    let lock = libc::flock {
        l_type: libc::F_WRLCK as libc::c_short,
        l_whence: libc::SEEK_SET as libc::c_short,
        l_start: geteuid().as_raw().into(),
        l_len: 1,
        l_pid: 0,
    };
    fcntl(table, FcntlArg::F_OFD_SETLK(&lock)).is_ok()
}

/// Whether the program has ended; waits for that so long.
fn has_ended(program: BorrowedFd<'_>, patience: Duration) -> io::Result<bool> {
    let patience = Timespec::try_from(patience).map_err(io::Error::other)?;
    let mut ended = [PollFd::from_borrowed_fd(program, PollFlags::IN)];
    match poll(&mut ended, Some(&patience)) {
        Ok(ready) => Ok(ready > 0),
        Err(rustix::io::Errno::INTR) => Ok(false),
        Err(errno) => Err(errno.into()),
    }
}
