//! The real binary, in a namespace that goes with the test.

#![allow(dead_code, reason = "each test binary uses its part")]

use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, ExitStatus, Output, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use sysv::TemporaryNamespace;

/// The command, which finds the user's own namespace nowhere.
pub(crate) fn sysv() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_sysv"));
    command
        .env_remove("SYSV_NAMESPACE")
        .env_remove("LD_PRELOAD")
        .stdin(Stdio::null());
    command
}

/// A namespace and a scratch directory.
pub(crate) struct Place {
    pub(crate) namespace: TemporaryNamespace,
    scratch: PathBuf,
}

impl Place {
    pub(crate) fn new() -> Place {
        let namespace = TemporaryNamespace::create().unwrap();
        let name = namespace
            .location()
            .directory()
            .unwrap()
            .file_name()
            .unwrap()
            .to_owned();
        let scratch = std::env::temp_dir().join(name);
        std::fs::create_dir(&scratch).unwrap();
        Place { namespace, scratch }
    }

    pub(crate) fn directory(&self) -> &Path {
        self.namespace.location().directory().unwrap()
    }

    /// A file's name that nobody else uses.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.scratch.join(name)
    }

    /// The command in this namespace.
    pub(crate) fn sysv(&self, arguments: &[&str]) -> Command {
        let mut command = sysv();
        command.args(arguments).env("SYSV_NAMESPACE", self.directory());
        command
    }

    /// What it prints, when all goes well.
    pub(crate) fn prints(&self, arguments: &[&str]) -> String {
        succeeds(self.sysv(arguments))
    }

    /// What it says on standard error, when it exits with a status.
    pub(crate) fn complains(&self, status: i32, arguments: &[&str]) -> String {
        complains(status, self.sysv(arguments))
    }

    /// What it prints as JSON when it exits with a status.
    pub(crate) fn json_with_status(&self, status: i32, arguments: &[&str]) -> serde_json::Value {
        let output = self.sysv(arguments).output().unwrap();
        assert_eq!(output.status.code(), Some(status), "{arguments:?}: {output:?}");
        serde_json::from_slice(&output.stdout).unwrap()
    }

    /// What it prints as JSON.
    pub(crate) fn json(&self, arguments: &[&str]) -> serde_json::Value {
        serde_json::from_str(&self.prints(arguments)).unwrap()
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.scratch);
    }
}

pub(crate) fn succeeds(mut command: Command) -> String {
    let Output { status, stdout, stderr } = command.output().unwrap();
    let complaint = String::from_utf8(stderr).unwrap();
    assert!(
        status.success() && complaint.is_empty(),
        "{command:?}: {status}: {complaint}"
    );
    String::from_utf8(stdout).unwrap()
}

pub(crate) fn complains(expected: i32, mut command: Command) -> String {
    let Output { status, stdout, stderr } = command.output().unwrap();
    let complaint = String::from_utf8(stderr).unwrap();
    assert_eq!(status.code(), Some(expected), "{command:?}: {complaint}");
    assert!(stdout.is_empty() && !complaint.is_empty(), "{command:?}");
    complaint
}

/// A command in progress, killed when dropped.
pub(crate) struct Running {
    child: Child,
    output: BufReader<ChildStdout>,
}

impl Running {
    pub(crate) fn start(mut command: Command) -> Running {
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let output = BufReader::new(child.stdout.take().unwrap());
        Running { child, output }
    }

    pub(crate) fn pid(&self) -> i32 {
        self.child.id() as i32
    }

    /// The next line that it prints.
    pub(crate) fn line(&mut self) -> String {
        let mut line = String::new();
        self.output.read_line(&mut line).unwrap();
        line.trim_end().to_owned()
    }

    pub(crate) fn write(&mut self, text: &str) {
        self.child.stdin.as_mut().unwrap().write_all(text.as_bytes()).unwrap();
    }

    pub(crate) fn signal(&self, signal: Signal) {
        kill_process(Pid::from_raw(self.pid()).unwrap(), signal).unwrap();
    }

    /// How it ends, and what it said on standard error.
    pub(crate) fn end(mut self) -> (ExitStatus, String) {
        drop(self.child.stdin.take());
        let mut status = None;
        wait_until("the command ends", || {
            status = self.child.try_wait().unwrap();
            status.is_some()
        });
        let mut complaint = String::new();
        std::io::Read::read_to_string(&mut self.child.stderr.take().unwrap(), &mut complaint).unwrap();
        (status.unwrap(), complaint)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Looks again and again; fails after a minute.
pub(crate) fn wait_until(what: &str, mut holds: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !holds() {
        assert!(begun.elapsed() < Duration::from_secs(60), "in vain: {what}");
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// Whether tests may do what only root can.
pub(crate) fn am_root() -> bool {
    let root = rustix::process::geteuid().is_root();
    if !root {
        eprintln!("skipped: only root can do this");
    }
    root
}
