//! Processes that a test starts.
//!
//! A test body is a process of its own with a single thread (see [`trial`](crate::trial)), so that its
//! children may do anything. They are killed when their guard is dropped, and by the operating system when
//! the test dies first.

#![allow(unsafe_code)]

use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::panic::{AssertUnwindSafe, catch_unwind};

use crate::channel::{Channel, PATIENCE};
use crate::process::{die_with_parent, exit_at_once};
use crate::subject::Subject;
use crate::user::User;
use crate::wire::Wire;

/// How a process ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// `exit` with this status.
    Exited(i32),
    /// Death by this signal.
    Killed(i32),
}

/// Exit status of a child whose body panicked.
const PANICKED: i32 = 101;

/// A child process, killed and reaped on drop.
pub struct Child {
    pid: libc::pid_t,
    channel: Channel,
    ending: Option<Ending>,
}

/// Which system call makes the child.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum By {
    /// The C library's `fork`, which runs `pthread_atfork` handlers.
    Fork,
    /// The bare system call, which does not.
    BareFork,
}

impl By {
    /// Forks: 0 in the child, whose only thread this must be.
    pub fn fork(self) -> libc::pid_t {
        // SAFETY: the calling process has one thread, so that the child's memory is consistent.
        let pid = unsafe {
            match self {
                By::Fork => libc::fork(),
                By::BareFork => libc::syscall(libc::SYS_fork) as libc::pid_t,
            }
        };
        assert!(pid >= 0, "fork: {}", std::io::Error::last_os_error());
        pid
    }
}

impl Child {
    /// Forks a child that runs `body` with its end of the channel and then calls `_exit(0)`.
    pub fn fork(body: impl FnOnce(&mut Channel)) -> Child {
        Child::fork_by(By::Fork, body)
    }

    /// [`Child::fork`] as another user, who goes on with the facility as a program does that drops its
    /// privileges.
    pub fn fork_as(user: User, subject: &Subject, body: impl FnOnce(&mut Channel)) -> Child {
        Child::fork(|channel| {
            user.become_for_good();
            die_with_parent();
            subject.credentials_changed();
            body(channel);
        })
    }

    /// [`Child::fork`] by the call of choice.
    pub fn fork_by(by: By, body: impl FnOnce(&mut Channel)) -> Child {
        let (ours, mut theirs) = Channel::pair();
        let pid = by.fork();
        if pid == 0 {
            drop(ours);
            die_with_parent();
            let outcome = catch_unwind(AssertUnwindSafe(|| body(&mut theirs)));
            exit_at_once(if outcome.is_ok() { 0 } else { PANICKED });
        }
        Child {
            pid,
            channel: ours,
            ending: None,
        }
    }

    /// Runs `body` in a child and returns what it computed, after the child has ended.
    #[track_caller]
    pub fn compute<T: Wire>(body: impl FnOnce() -> T) -> T {
        Child::fork(|channel| channel.send(&body())).answer()
    }

    /// [`Child::compute`] as another user.
    #[track_caller]
    pub fn compute_as<T: Wire>(user: User, subject: &Subject, body: impl FnOnce() -> T) -> T {
        Child::fork_as(user, subject, |channel| channel.send(&body())).answer()
    }

    #[track_caller]
    fn answer<T: Wire>(mut self) -> T {
        let value = self.receive();
        self.finish();
        value
    }

    /// The process id.
    pub fn pid(&self) -> i32 {
        self.pid
    }

    /// Sends a value to the body.
    pub fn send<T: Wire>(&mut self, value: &T) {
        self.channel.send(value);
    }

    /// Lets a body go on that waits for `()`.
    pub fn proceed(&mut self) {
        self.channel.send(&());
    }

    /// The next value that the body sends.
    #[track_caller]
    pub fn receive<T: Wire>(&mut self) -> T {
        self.channel.receive()
    }

    /// The next value that the body sends, or `None` if it ends first.
    pub fn try_receive<T: Wire>(&mut self) -> Option<T> {
        self.channel.try_receive()
    }

    /// Waits until the body has sent `()`.
    #[track_caller]
    pub fn arrived(&mut self) {
        self.channel.receive::<()>();
    }

    /// Sends a signal.
    pub fn signal(&self, signal: i32) {
        assert!(self.ending.is_none(), "the child has been reaped");
        // SAFETY: our own child, not yet reaped, so that the number is still its.
        let sent = unsafe { libc::kill(self.pid, signal) };
        assert_eq!(sent, 0, "kill: {}", std::io::Error::last_os_error());
    }

    /// Stops the child and waits until it has stopped.
    pub fn stop(&mut self) {
        self.signal(libc::SIGSTOP);
        // SAFETY: our own child; no status is wanted.
        let stopped = unsafe { libc::waitpid(self.pid, std::ptr::null_mut(), libc::WUNTRACED) };
        assert_eq!(stopped, self.pid, "waitpid: {}", std::io::Error::last_os_error());
    }

    /// Kills with SIGKILL and waits until the child is dead, leaving it unreaped: a zombie.
    pub fn kill_to_zombie(&mut self) {
        self.signal(libc::SIGKILL);
        self.await_death();
    }

    /// Kills with SIGKILL and reaps.
    pub fn kill(&mut self) {
        self.signal(libc::SIGKILL);
        assert_eq!(self.wait(), Ending::Killed(libc::SIGKILL));
    }

    /// Waits for the child's end.
    ///
    /// # Panics
    /// When it does not come in time.
    pub fn wait(&mut self) -> Ending {
        if let Some(ending) = self.ending {
            return ending;
        }
        self.await_death();
        let mut status = 0;
        // SAFETY: our own child, and `status` is valid.
        let reaped = unsafe { libc::waitpid(self.pid, &mut status, 0) };
        assert_eq!(reaped, self.pid, "waitpid: {}", std::io::Error::last_os_error());
        let ending = if libc::WIFSIGNALED(status) {
            Ending::Killed(libc::WTERMSIG(status))
        } else {
            Ending::Exited(libc::WEXITSTATUS(status))
        };
        self.ending = Some(ending);
        ending
    }

    /// Waits for the child, which must end by itself and well.
    #[track_caller]
    pub fn finish(mut self) {
        assert_eq!(self.wait(), Ending::Exited(0), "a child failed");
    }

    fn await_death(&self) {
        assert!(
            wait_until_dead(self.pid),
            "process {} still lives after {PATIENCE:?}",
            self.pid
        );
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        if self.ending.is_none() {
            // SAFETY: our own child, not yet reaped.
            unsafe {
                libc::kill(self.pid, libc::SIGKILL);
                libc::waitpid(self.pid, std::ptr::null_mut(), 0);
            }
        }
    }
}

/// Waits for the death of a process that cannot be reaped by anybody else; `false` if it outlives our
/// patience.
pub(crate) fn wait_until_dead(pid: libc::pid_t) -> bool {
    let process = watch(pid).unwrap_or_else(|error| panic!("pidfd_open: {error}"));
    // SAFETY: one valid entry.
    unsafe { libc::poll(&mut readable(&process), 1, PATIENCE.as_millis() as i32) == 1 }
}

/// A descriptor that becomes readable when the process has ended.
pub(crate) fn watch(pid: libc::pid_t) -> std::io::Result<OwnedFd> {
    // SAFETY: the call takes no pointer.
    match unsafe { libc::syscall(libc::SYS_pidfd_open, pid, 0) } as i32 {
        -1 => Err(std::io::Error::last_os_error()),
        // SAFETY: a descriptor that the call just made for us.
        fd => Ok(unsafe { OwnedFd::from_raw_fd(fd) }),
    }
}

/// The question to poll(2) whether something can be read.
pub(crate) fn readable(from: &impl AsRawFd) -> libc::pollfd {
    libc::pollfd {
        fd: from.as_raw_fd(),
        events: libc::POLLIN,
        revents: 0,
    }
}
