//! A test body in a process of its own.
//!
//! The test harness runs tests as threads of one process. A body that forks, attaches at exact
//! addresses, counts its own attachments or dies of SIGSEGV needs a process that it shares with nobody.
//! So the harness's thread becomes a supervisor: it forks the body, waits with a watchdog, removes what is
//! left on the kernel and in the file system, and fails in its place.

#![allow(unsafe_code)]

use std::fs::File;
use std::io::{Read, Write};
use std::mem::ManuallyDrop;
use std::os::fd::{AsRawFd, FromRawFd};
use std::panic::{AssertUnwindSafe, PanicHookInfo, catch_unwind};
use std::sync::atomic::{AtomicI32, Ordering};
use std::sync::{Arc, Once};
use std::time::{Duration, Instant};

use crate::child::{readable, watch};
use crate::ledger::Ledger;
use crate::place::Place;
use crate::process::{die_with_parent, exit_at_once};
use crate::subject::{Facility, Subject};
use crate::user::User;

/// How long a test may take.
const LIMIT: Duration = Duration::from_secs(120);

/// How the note of a test begins that did not take place.
const SKIPPED: &str = "skipped: ";

/// In a body and its children: where messages for the supervisor go. -1 elsewhere.
static SUPERVISOR: AtomicI32 = AtomicI32::new(-1);

/// Runs `body` on a fresh subject with the rights of whoever runs the tests.
pub fn run(facility: Facility, body: fn(&Subject)) {
    run_within(LIMIT, facility, body);
}

/// Runs `body` with the rights of an ordinary user, who is also the one that owns the facility's
/// namespace: Alice if root runs the tests, otherwise whoever does.
pub fn run_unprivileged(facility: Facility, body: fn(&Subject)) {
    run_unprivileged_within(LIMIT, facility, body);
}

/// [`run`] for a body that the engine is known to fail: a limit that stays.
///
/// # Panics
/// When it passes, for then the limit is gone.
pub fn run_beyond(facility: Facility, body: fn(&Subject)) {
    expect_failure(|| supervise(facility, None, LIMIT, body));
}

/// [`run_with_users`] likewise.
pub fn run_with_users_beyond(facility: Facility, body: fn(&Subject)) {
    expect_failure(|| supervise(facility, None, LIMIT, with_users(body)));
}

fn expect_failure(trial: impl FnOnce() -> String) {
    if let Ok(said) = catch_unwind(AssertUnwindSafe(trial)) {
        let excuse = "this was a limit of the engine and no longer is: the test belongs with the others";
        assert!(said.contains(SKIPPED), "{excuse}");
        print!("{said}");
    }
}

/// [`run`] for a body that needs other users; skipped with a message where there can be none.
pub fn run_with_users(facility: Facility, body: fn(&Subject)) {
    print!("{}", supervise(facility, None, LIMIT, with_users(body)));
}

fn with_users(body: fn(&Subject)) -> impl FnOnce(&Subject) {
    move |subject| {
        if subject.admits_other_users() {
            body(subject);
        }
    }
}

/// [`run`] with a time limit of one's own.
pub fn run_within(limit: Duration, facility: Facility, body: impl FnOnce(&Subject)) {
    print!("{}", supervise(facility, None, limit, body));
}

/// [`run_unprivileged`] with a time limit of one's own.
pub fn run_unprivileged_within(limit: Duration, facility: Facility, body: impl FnOnce(&Subject)) {
    let user = User::can_be_changed().then_some(User::ALICE);
    print!("{}", supervise(facility, user, limit, body));
}

/// Runs `body` in a process of its own, and returns what it noted.
fn supervise(facility: Facility, user: Option<User>, limit: Duration, body: impl FnOnce(&Subject)) -> String {
    install_panic_hook();
    let place = Place::new(user);
    let ledger = Arc::new(Ledger::new());
    let (mut messages, ours) = std::io::pipe().expect("pipe");
    // SAFETY: our own descriptor. Nobody reads before the body has ended, so that it must not be small.
    unsafe { libc::fcntl(ours.as_raw_fd(), libc::F_SETPIPE_SZ, 1 << 20) };
    // SAFETY: in the child only this thread goes on. It allocates, which the C library makes safe after
    // fork, and takes no lock that another thread of the harness may have held.
    let pid = unsafe { libc::fork() };
    assert!(pid >= 0, "fork: {}", std::io::Error::last_os_error());
    if pid == 0 {
        drop(messages);
        SUPERVISOR.store(ours.as_raw_fd(), Ordering::Relaxed);
        let outcome = catch_unwind(AssertUnwindSafe(|| {
            let subject = Subject::begin(facility, user, place.path(), ledger.clone());
            die_with_parent();
            body(&subject);
        }));
        exit_at_once(i32::from(outcome.is_err()));
    }
    drop(ours);
    let ending = wait_within(pid, limit);
    ledger.remove_all();
    let said = drain(&mut messages);
    match ending {
        Some(0) => said,
        Some(status) if libc::WIFSIGNALED(status) => panic!("{said}the test died of signal {}", libc::WTERMSIG(status)),
        Some(_) => panic!("{said}"),
        None => panic!("{said}the test did not end in {limit:?}"),
    }
}

/// Waits for a child and reaps it; after `limit` kills it and returns `None`.
fn wait_within(pid: libc::pid_t, limit: Duration) -> Option<i32> {
    let process = watch(pid).expect("pidfd_open");
    let end = Instant::now() + limit;
    let mut in_time = false;
    while !in_time && Instant::now() < end {
        let left = end.saturating_duration_since(Instant::now()).as_millis();
        // SAFETY: one valid entry.
        in_time = unsafe { libc::poll(&mut readable(&process), 1, left.min(60_000) as i32) } == 1;
    }
    let mut status = 0;
    // SAFETY: our own child, not yet reaped, and `status` is valid.
    unsafe {
        if !in_time {
            libc::kill(pid, libc::SIGKILL);
        }
        assert_eq!(libc::waitpid(pid, &mut status, 0), pid);
    }
    in_time.then_some(status)
}

/// What has been written so far. The body's children may outlive it for a moment with the pipe open, so
/// that its end is not waited for.
fn drain(messages: &mut std::io::PipeReader) -> String {
    // SAFETY: our own descriptor.
    unsafe { libc::fcntl(messages.as_raw_fd(), libc::F_SETFL, libc::O_NONBLOCK) };
    let mut said = Vec::new();
    let _ = messages.read_to_end(&mut said);
    String::from_utf8_lossy(&said).into_owned()
}

/// From a test body or a child of it: a line for the person who reads the test's output.
pub fn note(line: &str) {
    let fd = SUPERVISOR.load(Ordering::Relaxed);
    if fd < 0 {
        println!("{line}");
        return;
    }
    // SAFETY: the descriptor stays open for as long as this process lives; it is not closed here.
    let mut pipe = ManuallyDrop::new(unsafe { File::from_raw_fd(fd) });
    let _ = pipe.write_all(format!("{line}\n").as_bytes());
}

/// [`note`] that the test does not take place, and why.
pub fn skip(why: &str) {
    note(&format!("{SKIPPED}{why}"));
}

/// The descriptor that [`note`] writes to, for tests that close all others.
pub fn note_descriptor() -> i32 {
    SUPERVISOR.load(Ordering::Relaxed)
}

fn install_panic_hook() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let harness = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info: &PanicHookInfo<'_>| {
            if SUPERVISOR.load(Ordering::Relaxed) < 0 {
                harness(info);
            } else {
                note(&format!("process {}: {info}", std::process::id()));
            }
        }));
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::child::{Child, Ending};

    fn message_of(limit: Duration, body: impl FnOnce(&Subject)) -> String {
        let caught = catch_unwind(AssertUnwindSafe(|| run_within(limit, Facility::Kernel, body)));
        *caught
            .expect_err("the trial must fail")
            .downcast::<String>()
            .expect("a message")
    }

    #[test]
    fn a_failing_body_fails_the_test_with_its_message() {
        let message = message_of(LIMIT, |_| assert_eq!(1 + 1, 3, "arithmetic"));
        assert!(
            message.contains("arithmetic") && message.contains("trial.rs"),
            "{message}"
        );
    }

    #[test]
    fn a_failing_child_fails_the_test_with_its_message() {
        let message = message_of(LIMIT, |_| Child::fork(|_| panic!("in the child")).finish());
        assert!(
            message.contains("in the child") && message.contains("a child failed"),
            "{message}"
        );
    }

    #[test]
    fn a_body_that_hangs_is_killed() {
        let message = message_of(Duration::from_millis(50), |_| std::thread::sleep(LIMIT));
        assert!(message.contains("did not end"), "{message}");
    }

    #[test]
    fn a_body_that_dies_is_reported() {
        let message = message_of(LIMIT, |_| {
            // SAFETY: a signal to this process, which exists to die of it.
            unsafe { libc::raise(libc::SIGKILL) };
        });
        assert!(message.contains("signal 9"), "{message}");
    }

    #[test]
    fn children_do_not_outlive_the_test() {
        let (mut reader, writer) = std::io::pipe().unwrap();
        message_of(LIMIT, |_| {
            let child = std::mem::ManuallyDrop::new(Child::fork(|_| std::thread::sleep(LIMIT)));
            (&writer).write_all(&child.pid().to_le_bytes()).unwrap();
            panic!();
        });
        drop(writer);
        let mut pid = [0; 4];
        reader.read_exact(&mut pid).unwrap();
        // The child had the other end of the pipe too: it is closed when the child is dead.
        assert_eq!(reader.read(&mut pid).unwrap(), 0);
    }

    #[test]
    fn a_child_that_dies_is_told_from_one_that_ends() {
        run(Facility::Kernel, |_| {
            let mut killed = Child::fork(|_| std::thread::sleep(LIMIT));
            killed.signal(libc::SIGTERM);
            assert_eq!(killed.wait(), Ending::Killed(libc::SIGTERM));
            assert_eq!(
                Child::fork(|_| crate::process::exit_at_once(3)).wait(),
                Ending::Exited(3)
            );
        });
    }
}
