//! Real other processes for tests: the test's own executable, started again to play a role.
//!
//! A test binary that uses this has a test named `peer`, which does nothing when the harness runs it. A peer is a
//! process in which it alone runs, told by its environment what to do. It lives until told to go on or killed.

#![allow(dead_code, reason = "each test binary uses its part")]

use std::io::{BufRead, BufReader, Write};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use sysv::Namespace;

const ROLE: &str = "SYSV_TEST_ROLE";
const PLACE: &str = "SYSV_TEST_PLACE";

/// The role of this process, if it is a peer, and the facility that it should use.
pub(crate) fn role() -> Option<(String, Namespace)> {
    let role = std::env::var(ROLE).ok()?;
    let place = std::env::var(PLACE).expect("a peer is told where");
    let namespace = if place == "kernel" {
        Namespace::kernel()
    } else {
        Namespace::open(place).unwrap()
    };
    Some((role, namespace))
}

/// In a peer: tells the test a line and waits until it is told to go on.
pub(crate) fn tell_and_wait(line: &str) {
    tell(line);
    std::io::stdin().read_line(&mut String::new()).unwrap();
}

/// In a peer: tells the test a line.
pub(crate) fn tell(line: &str) {
    // The harness has printed `test peer ... ` on this line.
    println!("\n> {line}");
    std::io::stdout().flush().unwrap();
}

/// So long a peer may live: a test that waits for one that hangs hears that it has ended.
const LIFETIME: Duration = Duration::from_secs(60);

/// A process that plays a role, killed when dropped.
pub(crate) struct Peer {
    child: Arc<Mutex<Child>>,
    pid: u32,
    /// Held for the watchdog, which sleeps until this is gone.
    _alive: Sender<()>,
    input: Option<ChildStdin>,
    output: BufReader<ChildStdout>,
}

impl Peer {
    pub(crate) fn start(role: &str, namespace: &Namespace) -> Peer {
        Peer::spawn(role, namespace, |_| {})
    }

    /// As another user; the caller is root.
    pub(crate) fn start_as(uid: u32, role: &str, namespace: &Namespace) -> Peer {
        Peer::spawn(role, namespace, |command| {
            command.uid(uid).gid(uid);
        })
    }

    fn spawn(role: &str, namespace: &Namespace, prepare: impl FnOnce(&mut Command)) -> Peer {
        let place = namespace
            .location()
            .directory()
            .map_or("kernel".into(), |d| d.as_os_str().to_owned());
        // Not by its path: another user need not be able to enter the directories above.
        let mut command = Command::new("/proc/self/exe");
        command
            .args(["--exact", "peer", "--nocapture", "--test-threads=1"])
            .env(ROLE, role)
            .env(PLACE, place);
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        prepare(&mut command);
        let mut child = command.spawn().unwrap();
        let (input, output) = (child.stdin.take(), BufReader::new(child.stdout.take().unwrap()));
        let pid = child.id();
        let child = Arc::new(Mutex::new(child));
        let (alive, gone) = channel();
        let watched = Arc::clone(&child);
        std::thread::spawn(move || {
            if gone.recv_timeout(LIFETIME) == Err(RecvTimeoutError::Timeout) {
                eprintln!("a peer hangs");
                let _ = watched.lock().unwrap().kill();
            }
        });
        Peer {
            child,
            pid,
            _alive: alive,
            input,
            output,
        }
    }

    pub(crate) fn pid(&self) -> u32 {
        self.pid
    }

    /// The next line that the peer tells; none once it has ended.
    pub(crate) fn hear(&mut self) -> Option<String> {
        let mut line = String::new();
        while self.output.read_line(&mut line).unwrap() > 0 {
            if let Some(told) = line.trim_end().strip_prefix("> ") {
                return Some(told.to_owned());
            }
            line.clear();
        }
        None
    }

    pub(crate) fn go_on(&mut self) {
        self.input.as_mut().unwrap().write_all(b"\n").unwrap();
    }

    /// Waits until the peer has played its role, and insists that it did so.
    pub(crate) fn finish(mut self) {
        drop(self.input.take());
        let status = self.wait();
        assert!(status.success(), "a peer failed: {status}");
    }

    /// SIGKILL, and the process is gone afterwards.
    pub(crate) fn kill(mut self) {
        self.child.lock().unwrap().kill().unwrap();
        assert_eq!(self.wait().signal(), Some(9));
    }

    fn wait(&mut self) -> std::process::ExitStatus {
        // The watchdog sees to it that this ends.
        loop {
            if let Some(status) = self.child.lock().unwrap().try_wait().unwrap() {
                return status;
            }
            std::thread::sleep(Duration::from_millis(1));
        }
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        let mut child = self.child.lock().unwrap();
        let _ = child.kill();
        let _ = child.wait();
    }
}
