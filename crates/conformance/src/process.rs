//! What a process of a test does to itself.

#![allow(unsafe_code)]

use std::os::fd::AsRawFd;

use crate::channel::Channel;
use crate::child::wait_until_dead;
use crate::trial;

/// Asks for SIGKILL when the parent dies. A change of credentials forgets the wish.
pub(crate) fn die_with_parent() {
    // SAFETY: no pointers.
    unsafe { libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL) };
}

/// Ends this process without running any destructor.
pub fn exit_at_once(status: i32) -> ! {
    // SAFETY: always allowed.
    unsafe { libc::_exit(status) }
}

/// Ends this process as `return` from `main` does: exit handlers and destructors of libraries run.
pub fn exit_in_order() -> ! {
    // SAFETY: a forked child with a single thread; nobody else runs exit handlers.
    unsafe { libc::exit(0) }
}

/// In a child of a child: lives on when the one that made it ends. Whoever calls this must end when its
/// channel does.
pub fn outlive_parent() {
    // SAFETY: no pointers.
    unsafe { libc::prctl(libc::PR_SET_PDEATHSIG, 0) };
}

/// Lets a descriptor stay open when a program is executed.
pub fn keep_open(descriptor: &impl AsRawFd) {
    // SAFETY: changes one flag of a descriptor that is open.
    unsafe { libc::fcntl(descriptor.as_raw_fd(), libc::F_SETFD, 0) };
}

/// Lets the system forget ended children by itself; nobody waits for them.
pub(crate) fn disown_children() {
    // SAFETY: no handler is installed.
    unsafe { libc::signal(libc::SIGCHLD, libc::SIG_IGN) };
}

/// Closes every descriptor but those that carry the test's messages.
pub fn close_all_descriptors(channel: &Channel) {
    let mut kept = [channel.as_raw_fd(), trial::note_descriptor()];
    kept.sort_unstable();
    let [low, high] = kept.map(|fd| fd as u32);
    for (first, last) in [
        (0, low.wrapping_sub(1)),
        (low + 1, high.wrapping_sub(1)),
        (high + 1, u32::MAX),
    ] {
        if first <= last && last.wrapping_add(1) != first {
            // SAFETY: nothing in this process uses the descriptors again.
            unsafe { libc::syscall(libc::SYS_close_range, first, last, 0) };
        }
    }
}

/// Sends a signal to this process.
pub fn raise(signal: i32) {
    // SAFETY: no conditions; if it kills, that is what is wanted.
    unsafe { libc::raise(signal) };
}

/// Ends this process by a signal's default action.
pub fn die_of(signal: i32) {
    // SAFETY: the default action needs nothing from us.
    unsafe { libc::signal(signal, libc::SIG_DFL) };
    raise(signal);
}

/// Tries to execute a file that does not exist; `true` because one comes back from that.
pub fn execute_nothing() -> bool {
    let argv = [c"nothing".as_ptr(), std::ptr::null()];
    // SAFETY: a null-terminated array of strings.
    unsafe { libc::execv(c"/nonexistent/program".as_ptr(), argv.as_ptr()) == -1 }
}

/// From now on the caller's children live in a pid namespace of their own. `false`, with a message, if
/// that is not allowed.
pub fn new_pid_namespace_for_children() -> bool {
    // SAFETY: no conditions.
    let made = unsafe { libc::unshare(libc::CLONE_NEWPID) == 0 };
    if !made {
        trial::skip("needs the right to make a pid namespace");
    }
    made
}

/// In a child: tells the test that it is there, and waits until it may proceed.
pub fn idle(parent: &mut Channel) {
    parent.send(&());
    parent.receive::<()>();
}

/// Sleeps for so many microseconds.
pub fn pause(microseconds: u64) {
    std::thread::sleep(std::time::Duration::from_micros(microseconds));
}

/// Makes this process the parent of its descendants' orphans, so that [`await_orphan`] can wait for them.
pub fn adopt_orphans() {
    // SAFETY: no pointers.
    let set = unsafe { libc::prctl(libc::PR_SET_CHILD_SUBREAPER, 1) };
    assert_eq!(set, 0, "PR_SET_CHILD_SUBREAPER: {}", std::io::Error::last_os_error());
}

/// Waits for the end of an orphan that this process has adopted.
pub fn await_orphan(pid: i32) {
    assert!(wait_until_dead(pid), "process {pid} still lives");
    // SAFETY: a child of ours by adoption; no status is wanted.
    let reaped = unsafe { libc::waitpid(pid, std::ptr::null_mut(), 0) };
    assert_eq!(reaped, pid, "waitpid: {}", std::io::Error::last_os_error());
}
