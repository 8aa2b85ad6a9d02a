//! Programs run to their end, with a watchdog.

#![allow(unsafe_code)]

use std::io::{self, Read};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Command, ExitStatus, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

/// How long a program may take that is not told otherwise.
const PATIENCE: Duration = Duration::from_secs(120);

/// What became of a program.
#[derive(Debug)]
pub struct Finished {
    /// Everything that it and its children wrote, standard error included, in order.
    pub output: String,
    /// How it ended.
    pub status: ExitStatus,
}

impl Finished {
    /// The output of a program that must have succeeded.
    #[track_caller]
    pub fn success(self) -> String {
        assert!(self.status.success(), "{}:\n{}", self.status, self.output);
        self.output
    }

    /// The output of a program that must have failed by itself.
    #[track_caller]
    pub fn failure(self) -> String {
        assert!(
            !self.status.success() && self.status.signal().is_none(),
            "{}:\n{}",
            self.status,
            self.output
        );
        self.output
    }
}

/// Runs a program to its end, and returns when nobody holds its output any more.
///
/// # Panics
/// When it cannot be started, or takes longer than two minutes: it and what it started is killed then.
#[track_caller]
pub fn finish(command: &mut Command) -> Finished {
    finish_within(PATIENCE, command)
}

/// [`finish`] with a time of its own.
#[track_caller]
pub fn finish_within(patience: Duration, command: &mut Command) -> Finished {
    let (mut output, theirs) = io::pipe().expect("pipe");
    command
        .stdin(Stdio::null())
        .stdout(theirs.try_clone().expect("dup"))
        .stderr(theirs);
    command.process_group(0);
    die_with_us(command);
    let mut child = command.spawn().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    // Or this process would hold the pipe's other end.
    command.stdout(Stdio::null()).stderr(Stdio::null());
    let (sender, receiver) = mpsc::channel();
    thread::spawn(move || {
        let mut bytes = Vec::new();
        let _ = output.read_to_end(&mut bytes);
        // Nobody listens if it was too late.
        let _ = sender.send(String::from_utf8_lossy(&bytes).into_owned());
    });
    let output = receiver.recv_timeout(patience);
    if output.is_err() {
        // SAFETY: the process group is that of our own child, which has not been waited for.
        unsafe { libc::killpg(child.id() as i32, libc::SIGKILL) };
    }
    let status = child.wait().expect("wait");
    Finished {
        output: output.unwrap_or_else(|_| panic!("{command:?} did not end in {patience:?}")),
        status,
    }
}

/// Lets the kernel kill the program when the thread dies that starts it.
pub(crate) fn die_with_us(command: &mut Command) {
    // SAFETY: the closure makes one system call, which takes no pointer.
    unsafe {
        command.pre_exec(|| match libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL) {
            0 => Ok(()),
            _ => Err(io::Error::last_os_error()),
        })
    };
}
