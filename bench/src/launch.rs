//! Starting worker processes, each on the facility that it is to measure.

use std::ffi::{CString, OsString};
use std::io::{BufRead, BufReader, Write};
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use sysv::TemporaryNamespace;
use sysv_engine::{Engine, Join};

use crate::job::{Answer, Job, Request, Sample};

/// How workers are started.
pub struct Launcher {
    /// The program that calls [`serve`](crate::worker::serve) when started so.
    pub program: PathBuf,
    /// Its arguments, before the job.
    pub arguments: Vec<OsString>,
    /// `libsysv.so`.
    pub library: PathBuf,
    /// The program with other people's ways, or why there is none.
    pub peers: Result<PathBuf, String>,
}

/// What a worker runs on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Host {
    /// The kernel's facility, or none.
    Kernel,
    /// Ours under the C library's names.
    Library,
    /// Ours by way of the crate `sysv`.
    Crate,
    /// The program with other people's ways.
    Peers,
}

/// A worker process. It ends when this is dropped.
pub struct Worker {
    child: Child,
    requests: Option<ChildStdin>,
    answers: BufReader<ChildStdout>,
    _namespace: Option<TemporaryNamespace>,
}

/// Messages of that size are allowed in the workers' namespaces, as their owner may.
pub const LONGEST_MESSAGE: u64 = 64 << 20;

impl Launcher {
    /// Starts a worker, which sets its job up.
    ///
    /// # Errors
    /// In words, when it cannot do the job.
    pub fn start(&self, host: Host, job: &Job) -> Result<Worker, String> {
        let mut command = match host {
            Host::Peers => Command::new(self.peers.as_ref().map_err(Clone::clone)?),
            _ => Command::new(&self.program),
        };
        if host != Host::Peers {
            command.args(&self.arguments);
        }
        command.arg(serde_json::to_string(job).map_err(|e| e.to_string())?);
        command.env_remove("LD_PRELOAD").env_remove("SYSV_NAMESPACE");
        let mut namespace = None;
        if let Host::Library | Host::Crate = host {
            let fresh = namespace_with_room()?;
            command.env("SYSV_NAMESPACE", fresh.location().directory().expect("a directory"));
            namespace = Some(fresh);
        }
        if host == Host::Library {
            command.env("LD_PRELOAD", &self.library);
        }
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command
            .spawn()
            .map_err(|e| format!("{}: {e}", command.get_program().display()))?;
        let (requests, answers) = (child.stdin.take(), child.stdout.take());
        let mut worker = Worker {
            child,
            requests,
            answers: BufReader::new(answers.expect("a pipe")),
            _namespace: namespace,
        };
        match worker.answer()? {
            Answer::Ready => Ok(worker),
            Answer::Cannot(why) => Err(why),
            Answer::Done(_) => Err("the worker answered before it was asked".to_owned()),
        }
    }
}

/// A fresh namespace with limits that leave room for every case.
fn namespace_with_room() -> Result<TemporaryNamespace, String> {
    let namespace = TemporaryNamespace::create().map_err(|e| e.to_string())?;
    let directory = namespace.location().directory().expect("a directory");
    let name = CString::new(directory.as_os_str().as_bytes()).map_err(|e| e.to_string())?;
    let engine = Engine::join(&name, Join::Create).map_err(|e| e.describe(&name).to_string())?;
    let mut limits = engine.limits();
    limits.msgmax = LONGEST_MESSAGE;
    let set = engine.set_limits(&limits);
    set.map_err(|errno| format!("{}: setting limits: {errno}", directory.display()))?;
    Ok(namespace)
}

impl Worker {
    /// Asks for a round.
    ///
    /// # Errors
    /// In words, when the worker has ended.
    pub fn ask(&mut self, request: &Request) -> Result<Sample, String> {
        let line = serde_json::to_string(request).map_err(|e| e.to_string())?;
        let requests = self.requests.as_mut().expect("open until the end");
        // A worker that has ended is noticed by its missing answer.
        let _ = writeln!(requests, "{line}");
        match self.answer()? {
            Answer::Done(sample) => Ok(sample),
            Answer::Ready => Err("the worker answered out of turn".to_owned()),
            Answer::Cannot(why) => Err(why),
        }
    }

    fn answer(&mut self) -> Result<Answer, String> {
        let mut line = String::new();
        let read = self.answers.read_line(&mut line);
        if matches!(read, Ok(length) if length > 0) {
            return serde_json::from_str(&line).map_err(|e| format!("the worker said {line:?}: {e}"));
        }
        let status = self.child.wait().map_err(|e| e.to_string())?;
        Err(format!("the worker ended: {status}"))
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        // It ends when there is nothing more to read.
        self.requests = None;
        let _ = self.child.wait();
    }
}
