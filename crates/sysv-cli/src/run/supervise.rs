//! A program that is waited for: its signals, its end, and what comes after.

use std::fs;
use std::io;
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, Command, ExitCode, ExitStatus};
use std::thread;

use rustix::process::{DumpableBehavior, Pid, Signal, getpid, kill_process, set_dumpable_behavior};
use signal_hook::consts::{
    SIGALRM, SIGCHLD, SIGCONT, SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGTSTP, SIGUSR1, SIGUSR2, SIGWINCH,
};
use signal_hook::iterator::SignalsInfo;
use signal_hook::iterator::exfiltrator::raw::WithRawSiginfo;
use signal_hook::low_level::emulate_default_handler;
use sysv::{Namespace, TemporaryNamespace};

use super::{Refusal, leaks, not_started, watch};
use crate::failure::RUN_FAILED;
use crate::output;

/// Signals that are meant for the program when they are sent to us.
const FORWARDED: [i32; 10] = [
    SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGUSR1, SIGUSR2, SIGALRM, SIGWINCH, SIGTSTP, SIGCONT,
];

pub(crate) type Signals = SignalsInfo<WithRawSiginfo>;

/// Runs the program, waits for it, removes the namespace, and ends as the program did.
pub(super) fn supervise(
    mut command: Command,
    namespace: TemporaryNamespace,
    fail_on_leak: bool,
) -> Result<ExitCode, Refusal> {
    // From here on no signal that can be caught keeps the namespace from being removed.
    let mut signals = catch().map_err(Refusal::no_signals)?;
    let mut child = spawn(&mut command)?;
    // A thread of its own, which ends with us. Without one, memory comes back with the program's next call.
    let watched = Namespace::clone(&namespace);
    let _ = thread::Builder::new().spawn(move || watch::for_ever(&watched));
    let status = wait(&mut child, &mut signals).map_err(Refusal::not_waited_for)?;

    let left = leaks::find(&namespace).unwrap_or_else(|e| vec![e.to_string()]);
    drop(namespace);
    if !left.is_empty() {
        output::complain("sysv run: the program left behind, now removed:");
        left.iter().for_each(|line| output::complain(format_args!("  {line}")));
    }
    Ok(end_as(status, fail_on_leak && !left.is_empty()))
}

/// Starts the program.
pub(crate) fn spawn(command: &mut Command) -> Result<Child, Refusal> {
    command.spawn().map_err(|e| not_started(command.get_program(), &e))
}

/// Catches what is to be forwarded, except what is ignored: the program inherits that, and nohup(1) means it.
pub(crate) fn catch() -> io::Result<Signals> {
    let ignored = ignored_signals();
    let caught = FORWARDED.into_iter().filter(|signal| ignored & 1 << (signal - 1) == 0);
    Signals::new(caught.chain([SIGCHLD]))
}

/// The set of signals that this process was told to ignore, as `/proc` shows it.
fn ignored_signals() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    line.and_then(|set| u64::from_str_radix(set.trim(), 16).ok())
        .unwrap_or(0)
}

pub(crate) fn wait(child: &mut Child, signals: &mut Signals) -> io::Result<ExitStatus> {
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(status);
        }
        // SIGCHLD ends the wait at the latest when the child does.
        for signal in signals.wait() {
            match signal.si_signo {
                SIGCHLD => {}
                number => forward(child, number, sent_by_a_process(signal.si_code)),
            }
        }
    }
}

/// Whether a signal is from kill(2) and its kin. What the terminal sends reaches the program by itself: it is in our
/// process group.
fn sent_by_a_process(code: i32) -> bool {
    code <= 0
}

fn forward(child: &Child, number: i32, sent_by_a_process: bool) {
    if sent_by_a_process
        && let Some(signal) = Signal::from_named_raw(number)
        && let Some(pid) = Pid::from_raw(child.id() as i32)
    {
        // The child has not been waited for, so the id is still its own.
        let _ = kill_process(pid, signal);
    }
    if number == SIGTSTP {
        // The shell that made the program a job waits for us to stop.
        let _ = emulate_default_handler(SIGTSTP);
    }
}

/// Ends this process as the program ended, so that whoever waits cannot tell the difference.
pub(crate) fn end_as(status: ExitStatus, leaked: bool) -> ExitCode {
    if let Some(signal) = status.signal() {
        // Signals do not end a container's first process.
        if !getpid().is_init() {
            // The program has dumped its core already, if that was to be.
            let _ = set_dumpable_behavior(DumpableBehavior::NotDumpable);
            let _ = emulate_default_handler(signal);
        }
        // Still here: as shells say it.
        return ExitCode::from(128u8.saturating_add(signal as u8));
    }
    match status.code() {
        Some(0) if leaked => ExitCode::FAILURE,
        Some(code) => ExitCode::from(code as u8),
        None => ExitCode::from(RUN_FAILED),
    }
}
