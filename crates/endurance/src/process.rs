//! Forked processes: killed and reaped when their handle goes.

#![allow(unsafe_code)]

use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::FromRawFd;
use std::time::Duration;

/// A forked process.
pub(crate) struct Process {
    pid: i32,
}

impl Process {
    /// Runs `body` in a forked process, which then exits without destructors, with status 0 or what `body` says.
    pub(crate) fn fork(body: impl FnOnce() -> i32) -> Process {
        // SAFETY: the harness has one thread, so that the child may do anything.
        match unsafe { libc::fork() } {
            0 => {
                // SAFETY: no memory is involved. The process goes when its parent does.
                unsafe { libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL) };
                let status = body();
                // SAFETY: nothing of the child is needed any more.
                unsafe { libc::_exit(status) }
            }
            pid if pid > 0 => Process { pid },
            _ => panic!("fork: {}", std::io::Error::last_os_error()),
        }
    }

    pub(crate) fn signal(&self, signal: i32) {
        kill(self.pid, signal);
    }

    /// Stops it, and returns when it stands still.
    pub(crate) fn stop(&self) {
        self.signal(libc::SIGSTOP);
        // SAFETY: our own child; no status is written.
        unsafe { libc::waitpid(self.pid, std::ptr::null_mut(), libc::WUNTRACED) };
    }

    /// Waits for its end; returns the wait status.
    pub(crate) fn wait(mut self) -> i32 {
        let status = reap(self.pid);
        self.pid = 0;
        status
    }

    /// What the kernel says that it does: for the report on one that hangs.
    pub(crate) fn occupation(&self) -> String {
        let read = |file: &str| {
            let text = std::fs::read_to_string(format!("/proc/{}/{file}", self.pid)).unwrap_or_default();
            text.trim().to_owned()
        };
        let stat = read("stat");
        let figures: Vec<&str> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
        let figure = |n: usize| figures.get(n).copied().unwrap_or("?");
        format!(
            "state {}, {} ticks of its own and {} of the kernel's, waits in {}, system call {}",
            figure(0),
            figure(11),
            figure(12),
            read("wchan"),
            read("syscall")
        )
    }

    /// Its wait status, if it has ended.
    pub(crate) fn ended(&mut self) -> Option<i32> {
        let mut status = 0;
        // SAFETY: our own child; the status is written.
        if unsafe { libc::waitpid(self.pid, &raw mut status, libc::WNOHANG) } == self.pid {
            self.pid = 0;
            return Some(status);
        }
        None
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if self.pid > 0 {
            kill(self.pid, libc::SIGKILL);
            reap(self.pid);
        }
    }
}

/// Sends a signal to a process that the harness knows; 0 stands for none.
pub(crate) fn kill(pid: i32, signal: i32) {
    if pid > 0 {
        // SAFETY: no memory is involved.
        unsafe { libc::kill(pid, signal) };
    }
}

/// Waits until a child is dead; returns the wait status.
pub(crate) fn reap(pid: i32) -> i32 {
    let mut status = 0;
    loop {
        // SAFETY: our own child; the status is written.
        let done = unsafe { libc::waitpid(pid, &raw mut status, libc::__WALL) };
        if done < 0 || libc::WIFEXITED(status) || libc::WIFSIGNALED(status) {
            return status;
        }
    }
}

/// Becomes another user, for good, if the process is root.
pub(crate) fn become_user(uid: u32) {
    // SAFETY: no memory is involved; other threads there are none.
    unsafe {
        if libc::geteuid() == 0 {
            libc::setgroups(0, std::ptr::null());
            libc::setresgid(uid, uid, uid);
            libc::setresuid(uid, uid, uid);
        }
    }
}

pub(crate) fn is_root() -> bool {
    // SAFETY: no argument.
    unsafe { libc::geteuid() == 0 }
}

/// A forked process that answers questions.
pub(crate) struct Servant {
    _process: Process,
    questions: File,
    answers: File,
}

impl Servant {
    /// Forks; the process answers each question, a byte, with `answer`'s text until the handle goes.
    pub(crate) fn fork(answer: impl FnOnce(&mut dyn FnMut(&mut dyn FnMut(u8) -> String))) -> Servant {
        let (mut ask, questions) = pipe();
        let (answers, mut reply) = pipe();
        let process = Process::fork(|| {
            answer(&mut |each| {
                let mut question = [0];
                while ask.read_exact(&mut question).is_ok() {
                    let text = each(question[0]);
                    let message = [&(text.len() as u32).to_le_bytes()[..], text.as_bytes()].concat();
                    if reply.write_all(&message).is_err() {
                        break;
                    }
                }
            });
            0
        });
        Servant {
            _process: process,
            questions,
            answers,
        }
    }

    /// Asks, and waits for the answer.
    ///
    /// # Errors
    /// What happened instead: the process died, or says nothing for too long.
    pub(crate) fn ask(&mut self, question: u8) -> Result<String, String> {
        self.send(question)?;
        self.answer()
    }

    /// Asks without waiting.
    pub(crate) fn send(&mut self, question: u8) -> Result<(), String> {
        self.questions
            .write_all(&[question])
            .map_err(|_| "the process has died".to_owned())
    }

    /// The answer to a question sent.
    pub(crate) fn answer(&mut self) -> Result<String, String> {
        /// Nobody waits that long who is not stuck, even on a loaded machine.
        const PATIENCE: Duration = Duration::from_secs(60);
        if !readable(&self.answers, PATIENCE) {
            return Err(format!("no answer within {PATIENCE:?}: it hangs"));
        }
        let mut length = [0; 4];
        let gone = |_| "the process died instead of answering".to_owned();
        self.answers.read_exact(&mut length).map_err(gone)?;
        let mut text = vec![0; u32::from_le_bytes(length) as usize];
        self.answers.read_exact(&mut text).map_err(gone)?;
        String::from_utf8(text).map_err(|e| e.to_string())
    }
}

fn readable(file: &File, patience: Duration) -> bool {
    use std::os::fd::AsRawFd;
    let mut poll = libc::pollfd {
        fd: file.as_raw_fd(),
        events: libc::POLLIN,
        revents: 0,
    };
    // SAFETY: one structure, read and written.
    unsafe { libc::poll(&raw mut poll, 1, patience.as_millis() as i32) > 0 }
}

fn pipe() -> (File, File) {
    let mut ends = [0; 2];
    // SAFETY: two descriptors are written, which are then ours alone.
    unsafe {
        assert_eq!(libc::pipe2(ends.as_mut_ptr(), libc::O_CLOEXEC), 0, "no pipe");
        (File::from_raw_fd(ends[0]), File::from_raw_fd(ends[1]))
    }
}

/// The effective user and group.
pub(crate) fn effective_ids() -> (u32, u32) {
    // SAFETY: no argument.
    unsafe { (libc::geteuid(), libc::getegid()) }
}

/// Ends the calling process with `SIGALRM` unless this is called again within `seconds`.
pub(crate) fn end_unless_called_within(seconds: u32) {
    // SAFETY: no memory is involved.
    unsafe { libc::alarm(seconds) };
}

/// Makes the calling process the parent of its descendants' orphans.
pub(crate) fn adopt_orphans() {
    // SAFETY: no memory is involved.
    unsafe { libc::prctl(libc::PR_SET_CHILD_SUBREAPER, 1) };
}

/// Reaps what has died, when no other child is waited for.
pub(crate) fn reap_orphans() {
    // SAFETY: no status is written.
    while unsafe { libc::waitpid(-1, std::ptr::null_mut(), libc::WNOHANG | libc::__WALL) } > 0 {}
}

/// Reaps what has died of others than these.
pub(crate) fn reap_orphans_of(known: &[Process]) {
    loop {
        let mut info = std::mem::MaybeUninit::<libc::siginfo_t>::zeroed();
        // SAFETY: the structure is written; nobody is reaped yet. Zeros are valid for it.
        let (found, pid) = unsafe {
            let options = libc::WEXITED | libc::WNOHANG | libc::WNOWAIT;
            let found = libc::waitid(libc::P_ALL, 0, info.as_mut_ptr(), options);
            (found, info.assume_init().si_pid())
        };
        if found != 0 || pid == 0 || known.iter().any(|process| process.pid == pid) {
            return;
        }
        reap(pid);
    }
}

/// Kills and reaps every child that is left. Those whose parent died before they had asked to die with it are ours too.
pub(crate) fn await_orphans() {
    let id = std::process::id();
    loop {
        let children = std::fs::read_to_string(format!("/proc/{id}/task/{id}/children")).unwrap_or_default();
        children
            .split_whitespace()
            .filter_map(|pid| pid.parse().ok())
            .for_each(|pid| kill(pid, libc::SIGKILL));
        // SAFETY: no status is written.
        if unsafe { libc::waitpid(-1, std::ptr::null_mut(), libc::__WALL) } < 0 {
            return;
        }
    }
}
