//! A run of a program, and what came of it.

#![allow(unsafe_code)]

use std::ffi::{OsStr, OsString};
use std::fmt::Write as _;
use std::fs;
use std::io::Read;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::Path;
use std::process::{Command, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use crate::{LIBRARY, Namespace, isolation, seccomp};

/// A program that has not ended by then is killed, and its test fails.
const DEADLINE: Duration = Duration::from_secs(60);

/// A run of a program, to be started on one of the facilities.
#[derive(Debug)]
pub struct Run {
    command: Command,
    preload: Vec<OsString>,
    kernel_calls: bool,
    user: Option<(u32, Reachable)>,
}

/// Copies of files that other users need, where they can reach them: they need not be able to enter the checkout.
#[derive(Debug)]
struct Reachable(Namespace);

impl Reachable {
    fn new() -> Reachable {
        let place = Namespace::fresh();
        fs::create_dir(place.directory()).expect("a directory for copies");
        Reachable(place)
    }

    /// The copy of a file that has a path; the name of any other program.
    fn copy(&self, file: &OsStr) -> OsString {
        let file = Path::new(file);
        let Some(name) = file.file_name().filter(|_| file.is_absolute()) else {
            return file.into();
        };
        let copy = self.0.directory().join(name);
        fs::copy(file, &copy).expect("a copy of the file");
        copy.into()
    }
}

/// What a program printed, and how it ended.
#[derive(Debug, PartialEq, Eq)]
pub struct Outcome {
    /// Standard output.
    pub stdout: String,
    /// Standard error.
    pub stderr: String,
    /// Exit status.
    pub code: Option<i32>,
    /// The signal that ended it.
    pub signal: Option<i32>,
}

impl Outcome {
    /// Asserts that the library made the program do what it does on the kernel.
    ///
    /// # Panics
    /// If not, with the lines that differ.
    #[track_caller]
    pub fn assert_is(&self, on_kernel: &Outcome, what: &str) {
        if self == on_kernel {
            return;
        }
        let mut difference = String::new();
        let (mut ours, mut theirs) = (self.stdout.lines(), on_kernel.stdout.lines());
        loop {
            let (our, their) = match (ours.next(), theirs.next()) {
                (None, None) => break,
                lines => lines,
            };
            if our != their {
                let _ = writeln!(
                    difference,
                    "  library: {}\n  kernel:  {}",
                    our.unwrap_or("-"),
                    their.unwrap_or("-")
                );
            }
        }
        let end = |outcome: &Outcome| {
            format!(
                "exit {:?}, signal {:?}, {:?}",
                outcome.code, outcome.signal, outcome.stderr
            )
        };
        panic!(
            "{what}\n{difference}  library: {}\n  kernel:  {}",
            end(self),
            end(on_kernel)
        );
    }
}

impl Run {
    /// A run of the program at `path`, or of that name.
    pub fn of(path: impl AsRef<OsStr>) -> Run {
        let mut command = Command::new(path);
        command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command
            .env_remove("LD_PRELOAD")
            .env_remove("SYSV_NAMESPACE")
            .env("LC_ALL", "C");
        Run {
            command,
            preload: Vec::new(),
            kernel_calls: false,
            user: None,
        }
    }

    /// An argument.
    #[must_use]
    pub fn arg(mut self, argument: impl AsRef<OsStr>) -> Run {
        self.command.arg(argument);
        self
    }

    /// An environment variable.
    #[must_use]
    pub fn env(mut self, name: &str, value: impl AsRef<OsStr>) -> Run {
        self.command.env(name, value);
        self
    }

    /// A working directory.
    #[must_use]
    pub fn directory(mut self, directory: impl AsRef<Path>) -> Run {
        self.command.current_dir(directory);
        self
    }

    /// A user and group to run as; needs root.
    #[must_use]
    pub fn user(self, id: u32) -> Run {
        let files = Reachable::new();
        let mut run = Run::of(files.copy(self.command.get_program()));
        run.command.args(self.command.get_args());
        for (name, value) in self.command.get_envs() {
            match value {
                Some(value) => run.command.env(name, value),
                None => run.command.env_remove(name),
            };
        }
        if let Some(directory) = self.command.get_current_dir() {
            run.command.current_dir(directory);
        }
        run.preload = self.preload;
        run.kernel_calls = self.kernel_calls;
        run.user = Some((id, files));
        run
    }

    /// Another library to preload, before ours.
    #[must_use]
    pub fn preload(mut self, library: impl AsRef<OsStr>) -> Run {
        self.preload.push(library.as_ref().to_owned());
        self
    }

    /// Leaves the kernel's own calls usable, for a program that needs those that the library does not have yet.
    #[must_use]
    pub fn with_kernel_calls(mut self) -> Run {
        self.kernel_calls = true;
        self
    }

    /// Runs it on the kernel, on a facility of its own.
    pub fn on_kernel(mut self) -> Outcome {
        self.set_preload(&[]);
        self.arrange();
        finish(&mut self.command)
    }

    /// Runs it under the library, on a namespace.
    pub fn on_library(mut self, namespace: &Namespace) -> Outcome {
        finish(self.library_command(namespace))
    }

    /// Runs it under the library, on whatever namespace that name means.
    pub fn named(mut self, name: &str) -> Outcome {
        self.set_preload(&[LIBRARY.into()]);
        self.command.env("SYSV_NAMESPACE", name);
        finish(self.without_kernel_calls())
    }

    /// Starts it under the library and leaves it running.
    ///
    /// # Panics
    /// If it cannot be started.
    pub fn start_on_library(mut self, namespace: &Namespace) -> Running {
        let child = self.library_command(namespace).spawn().expect("the program starts");
        Running { child, _run: self }
    }

    fn library_command(&mut self, namespace: &Namespace) -> &mut Command {
        self.set_preload(&[LIBRARY.into()]);
        self.command.env("SYSV_NAMESPACE", namespace.directory());
        self.without_kernel_calls()
    }

    /// Runs a program that brings the facility along, on a namespace.
    pub fn alone(mut self, namespace: &Namespace) -> Outcome {
        self.command.env("SYSV_NAMESPACE", namespace.directory());
        finish(self.without_kernel_calls())
    }

    /// What comes between fork and exec: first the place, for which root's rights serve, then the user.
    fn arrange(&mut self) {
        isolation::arrange(&mut self.command);
        let Some((user, _)) = self.user else { return };
        let become_user = move || {
            // SAFETY: no group is read, and the rest are numbers.
            let done = unsafe {
                libc::setgroups(0, std::ptr::null()) == 0 && libc::setgid(user) == 0 && libc::setuid(user) == 0
            };
            if done {
                Ok(())
            } else {
                Err(std::io::Error::last_os_error())
            }
        };
        // SAFETY: between fork and exec only system calls are made.
        unsafe { self.command.pre_exec(become_user) };
    }

    fn without_kernel_calls(&mut self) -> &mut Command {
        self.arrange();
        if !self.kernel_calls {
            // SAFETY: between fork and exec only system calls are made, and nothing is allocated.
            unsafe { self.command.pre_exec(seccomp::forbid_kernel_calls) };
        }
        &mut self.command
    }

    fn set_preload(&mut self, ours: &[OsString]) {
        let reachable = |library: &OsString| match &self.user {
            Some((_, files)) => files.copy(library),
            None => library.clone(),
        };
        let all: Vec<OsString> = self.preload.iter().chain(ours).map(reachable).collect();
        if !all.is_empty() {
            self.command.env("LD_PRELOAD", all.join(OsStr::new(":")));
        }
    }
}

/// A program that runs; killed if it is dropped.
#[derive(Debug)]
pub struct Running {
    child: std::process::Child,
    // Its files stay as long as it runs.
    _run: Run,
}

impl Running {
    /// Its process id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Waits for a line of its output.
    ///
    /// # Panics
    /// If its output ends first.
    pub fn line(&mut self) -> String {
        let stdout = self.child.stdout.as_mut().expect("its output is a pipe");
        let mut line = String::new();
        loop {
            let mut byte = [0];
            assert_eq!(
                stdout.read(&mut byte).expect("its output can be read"),
                1,
                "it says no more than {line:?}"
            );
            match byte[0] {
                b'\n' => return line,
                byte => line.push(char::from(byte)),
            }
        }
    }

    /// Kills it.
    pub fn kill(mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn finish(command: &mut Command) -> Outcome {
    let mut child = command
        .process_group(0)
        .spawn()
        .unwrap_or_else(|e| panic!("{command:?}: {e}"));
    let stdout = child.stdout.take().map(read_all).expect("its output is a pipe");
    let stderr = child.stderr.take().map(read_all).expect("its output is a pipe");
    let started = Instant::now();
    let status: ExitStatus = loop {
        match child.try_wait().expect("the program is ours to wait for") {
            Some(status) => break status,
            None if started.elapsed() > DEADLINE => {
                // It leads a group of its own, and its children have its output open.
                // SAFETY: no pointer; the group is the program's, which has not been waited for.
                unsafe { libc::kill(-(child.id() as i32), libc::SIGKILL) };
                let _ = child.wait();
                let (stdout, stderr) = (stdout.join(), stderr.join());
                panic!("{command:?} did not end in {DEADLINE:?}: {stdout:?} {stderr:?}");
            }
            None => thread::sleep(Duration::from_millis(2)),
        }
    };
    Outcome {
        stdout: stdout.join().expect("the reader ends"),
        stderr: stderr.join().expect("the reader ends"),
        code: status.code(),
        signal: status.signal(),
    }
}

fn read_all(mut pipe: impl Read + Send + 'static) -> thread::JoinHandle<String> {
    thread::spawn(move || {
        let mut bytes = Vec::new();
        let _ = pipe.read_to_end(&mut bytes);
        String::from_utf8_lossy(&bytes).into_owned()
    })
}
