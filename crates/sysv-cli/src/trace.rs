//! `sysv trace`: a program's System V calls, as they happen.

mod decode;
mod flags;
mod listener;
mod print;
mod summary;

use std::ffi::OsString;
use std::fs::File;
use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;
use std::thread;

use clap::Args;
use sysv::{Members, Namespace, TemporaryNamespace};
use sysv_engine::trace::Call;

use crate::run::{self, Refusal, supervise};
use listener::Listener;
use print::Printer;

/// Show the System V calls of a program and its children
///
/// Each call stands on a line when it returns: since when the trace runs, who called, the arguments decoded, the result or
/// the error, and how long it took. A call that waits for more than a fifth of a second is shown while it waits, too. What
/// outlives the program is not shown any more.
///
/// Reporting costs a call some microseconds; that is not in the times.
#[derive(Debug, Args)]
#[command(after_help = "\
Exit status: as that of `sysv run`: the program's own, 125 if sysv fails, 126 if the program cannot be run on a namespace, \
127 if it is not found.

Examples:
  sysv trace -- ipcmk -Q                     every call, on standard error
  sysv trace -o calls.txt -- make test       the same in a file
  sysv trace --summary -- pg_ctl -w start    how often, how long, how many errors
  sysv trace --calls semop,semtimedop -- ./server
  sysv trace --json -o calls.jsonl -- ./server   one JSON object a line
  sysv trace --kernel -- ipcs                what it asks of the kernel's own facility")]
pub(crate) struct Arguments {
    /// The namespace in this directory, made if it does not exist [default: $SYSV_NAMESPACE, or the user's own]
    #[arg(long, short, value_name = "DIR")]
    namespace: Option<PathBuf>,

    /// A fresh namespace, removed when the program ends
    #[arg(long, short, conflicts_with = "namespace")]
    ephemeral: bool,

    /// No namespace: the program stays on the kernel's facility, and its calls are shown
    #[arg(long, short, conflicts_with_all = ["namespace", "ephemeral"])]
    kernel: bool,

    /// Write to this file instead of standard error
    #[arg(long, short, value_name = "FILE")]
    output: Option<PathBuf>,

    /// One JSON object a line
    #[arg(long)]
    json: bool,

    /// Only a summary, at the end: time, calls and errors of each function
    #[arg(long, short = 'c')]
    summary: bool,

    /// Only these calls
    #[arg(long, value_name = "NAMES", value_delimiter = ',', value_parser = call)]
    calls: Vec<Call>,

    /// The program, looked for in $PATH, and its arguments
    #[arg(
        value_name = "PROGRAM",
        required = true,
        trailing_var_arg = true,
        allow_hyphen_values = true
    )]
    program: Vec<OsString>,
}

fn call(name: &str) -> Result<Call, String> {
    Call::ALL.into_iter().find(|call| call.name() == name).ok_or_else(|| {
        let names = Call::ALL.map(Call::name);
        format!("there is no such call; the calls are {}", names.join(", "))
    })
}

pub(crate) fn trace(arguments: &Arguments) -> ExitCode {
    try_trace(arguments).unwrap_or_else(|refusal| refusal.report("trace"))
}

fn try_trace(arguments: &Arguments) -> Result<ExitCode, Refusal> {
    let mut command = run::prepare(&arguments.program)?;
    let output: Box<dyn Write + Send> = match &arguments.output {
        Some(path) => Box::new(
            File::create(path).map_err(|e| Refusal::failed(format_args!("cannot write to {}: {e}", path.display())))?,
        ),
        None => Box::new(io::stderr()),
    };
    let namespace = namespace(arguments)?;
    let listener = Listener::new().map_err(|e| Refusal::failed(format_args!("cannot listen for reports: {e}")))?;
    let mut name = listener.path().as_os_str().to_owned();
    if let Some(namespace) = &namespace {
        run::set_namespace(&mut command, namespace.get());
    } else {
        name = [OsString::from("kernel:"), name].into_iter().collect();
    }
    command.env("SYSV_TRACE", name);

    let mut printer = Printer::new(output, arguments.json, arguments.summary);
    let wanted = arguments.calls.clone();
    let mut signals = supervise::catch().map_err(Refusal::no_signals)?;
    let mut child = supervise::spawn(&mut command)?;
    let end = listener
        .end()
        .map_err(|e| Refusal::failed(format_args!("cannot listen for reports: {e}")))?;
    let listening = thread::spawn(move || {
        listener.listen(&mut printer, &wanted);
        printer.finish()
    });
    let status = supervise::wait(&mut child, &mut signals).map_err(Refusal::not_waited_for)?;
    end.send();
    match listening.join() {
        Ok(Ok(())) => {}
        Ok(Err(e)) if e.kind() == io::ErrorKind::BrokenPipe => {}
        Ok(Err(e)) => return Err(Refusal::failed(format_args!("cannot write the trace: {e}"))),
        Err(_) => return Err(Refusal::failed("the trace broke off")),
    }
    drop(namespace);
    Ok(supervise::end_as(status, false))
}

/// Where the program's objects are.
enum Place {
    Named(Namespace),
    Fresh(TemporaryNamespace),
}

impl Place {
    fn get(&self) -> &Namespace {
        match self {
            Place::Named(namespace) => namespace,
            Place::Fresh(namespace) => namespace,
        }
    }
}

fn namespace(arguments: &Arguments) -> Result<Option<Place>, Refusal> {
    let place = if arguments.kernel {
        return Ok(None);
    } else if arguments.ephemeral {
        run::ephemeral().map(Place::Fresh)
    } else if let Some(directory) = &arguments.namespace {
        Namespace::create(directory, Members::OneUser).map(Place::Named)
    } else {
        Namespace::current().map(Place::Named)
    };
    place.map(Some).map_err(Refusal::failed)
}
