//! `sysv run`: a program and its children on a namespace.

pub(crate) mod attendant;
mod interpreter;
mod leaks;
pub(crate) mod library;
mod program;
pub(crate) mod supervise;
mod watch;

use std::ffi::{OsStr, OsString};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Command, ExitCode};

use clap::Args;
use sysv::{Members, Namespace, TemporaryNamespace};

use crate::failure::{CANNOT_RUN, NOT_FOUND, RUN_FAILED};
use crate::output;

/// Run a program and its children on a namespace
///
/// What they do with System V IPC happens there, unknown to the kernel's own facility. The program needs no change, but
/// it must be dynamically linked with the GNU C library and must not gain privileges by being run.
///
/// Without --ephemeral the program takes this command's place, so that nothing stands between it and whoever started it. A
/// process beside it, sysv-attendant, which ends with the last process on the namespace, gives the memory of removed
/// segments back when the last process that used them is killed. A container's first process has none: there that
/// memory is back with the next call of anybody.
#[derive(Debug, Args)]
#[command(after_help = "\
Exit status: the program's own; a signal that ends the program ends sysv, too. 125 if sysv fails, 126 if the program \
cannot be run on a namespace, 127 if it is not found.

Examples:
  sysv run -- ipcmk -M 4096           on the user's own namespace, where the segment stays
  sysv run -n /srv/ipc -- httpd       on a namespace that others share by naming it, too
  sysv run --ephemeral -- make test   on a fresh one, gone afterwards")]
pub(crate) struct Arguments {
    /// The namespace in this directory, made if it does not exist [default: $SYSV_NAMESPACE, or the user's own]
    ///
    /// It is made for this user alone. For programs that go on as other users make it first, with `sysv namespace
    /// create --shared DIR`; root's own serves them as it is.
    #[arg(long, short, value_name = "DIR")]
    namespace: Option<PathBuf>,

    /// A fresh namespace, removed when the program ends
    ///
    /// What the program left behind is reported on standard error. Children that still run keep what they have attached
    /// and can do nothing else there. Root's is open to those users that the program's processes become. The memory of a
    /// segment that was removed while in use is back as soon as the last process dies that uses it.
    #[arg(long, short, conflicts_with = "namespace")]
    ephemeral: bool,

    /// Exit with status 1 if the program succeeds and leaves something behind
    #[arg(long, requires = "ephemeral")]
    fail_on_leak: bool,

    /// The program, looked for in $PATH, and its arguments
    #[arg(
        value_name = "PROGRAM",
        required = true,
        trailing_var_arg = true,
        allow_hyphen_values = true
    )]
    program: Vec<OsString>,
}

/// Why the program was not run.
#[derive(Debug)]
pub(crate) struct Refusal {
    message: String,
    status: u8,
}

impl Refusal {
    /// Says on standard error why.
    pub(crate) fn report(&self, command: &str) -> ExitCode {
        output::complain(format_args!("sysv {command}: {}", self.message));
        ExitCode::from(self.status)
    }

    /// sysv itself failed.
    pub(crate) fn failed(message: impl std::fmt::Display) -> Refusal {
        Refusal {
            message: message.to_string(),
            status: RUN_FAILED,
        }
    }

    /// The signals that are meant for the program could not be caught.
    pub(crate) fn no_signals(error: io::Error) -> Refusal {
        Refusal::failed(format_args!("cannot catch signals: {error}"))
    }

    /// The program runs, and nobody knows how it ends.
    pub(crate) fn not_waited_for(error: io::Error) -> Refusal {
        Refusal::failed(format_args!("cannot wait for the program: {error}"))
    }

    /// The program is there and cannot be run.
    fn cannot_run(message: impl std::fmt::Display) -> Refusal {
        Refusal {
            message: message.to_string(),
            status: CANNOT_RUN,
        }
    }

    /// The program is not there.
    fn not_found(message: impl std::fmt::Display) -> Refusal {
        Refusal {
            message: message.to_string(),
            status: NOT_FOUND,
        }
    }
}

pub(crate) fn run(arguments: &Arguments) -> ExitCode {
    try_run(arguments).unwrap_or_else(|refusal| refusal.report("run"))
}

fn try_run(arguments: &Arguments) -> Result<ExitCode, Refusal> {
    let mut command = prepare(&arguments.program)?;
    if arguments.ephemeral {
        let namespace = ephemeral().map_err(Refusal::failed)?;
        set_namespace(&mut command, &namespace);
        return supervise::supervise(command, namespace, arguments.fail_on_leak);
    }
    let namespace = match &arguments.namespace {
        Some(directory) => Namespace::create(directory, Members::OneUser),
        None => Namespace::current(),
    };
    let namespace = namespace.map_err(Refusal::failed)?;
    set_namespace(&mut command, &namespace);
    attendant::start(&namespace);
    // The program takes this process's place: it has its id, its parent and its terminal.
    let error = command.exec();
    Err(not_started(command.get_program(), &error))
}

/// The command that starts a program, looked for in `$PATH`, with our library.
pub(crate) fn prepare(program: &[OsString]) -> Result<Command, Refusal> {
    let (name, rest) = program
        .split_first()
        .ok_or_else(|| Refusal::failed("no program is named"))?;
    if name.as_bytes().starts_with(b"-") {
        return Err(Refusal::failed(format_args!(
            "there is no option {0}; see the help, and write ./{0} for a program with this name",
            name.display()
        )));
    }
    // In this order, so that nothing is made for a program that cannot be run.
    let path = program::find(name)?;
    let start = program::check(&path)?;
    let library = library::place().map_err(Refusal::failed)?;

    let mut command = program::command(name, &path, start);
    command
        .args(rest)
        .env("LD_PRELOAD", preloaded(library.into_os_string()))
        .env("ASAN_OPTIONS", address_sanitizer_admits_us());
    Ok(command)
}

/// A namespace for one run. Programs that root runs may go on as any user.
pub(crate) fn ephemeral() -> Result<TemporaryNamespace, sysv::NamespaceError> {
    let root = rustix::process::geteuid().is_root();
    TemporaryNamespace::create_for(if root { Members::SeveralUsers } else { Members::OneUser })
}

pub(crate) fn set_namespace(command: &mut Command, namespace: &Namespace) {
    if let Some(directory) = namespace.location().directory() {
        command.env("SYSV_NAMESPACE", directory);
    }
}

/// Our library before those that are preloaded anyhow.
fn preloaded(library: OsString) -> OsString {
    let Some(others) = std::env::var_os("LD_PRELOAD").filter(|others| !others.is_empty()) else {
        return library;
    };
    [library, others].join(OsStr::new(":"))
}

/// A program made with `-fsanitize=address` ends at once if another library was loaded before the sanitizer's, unless it is
/// told that this is meant. The program's own options come after, and count more.
fn address_sanitizer_admits_us() -> OsString {
    let admitted = OsString::from("verify_asan_link_order=0");
    match std::env::var_os("ASAN_OPTIONS").filter(|options| !options.is_empty()) {
        Some(options) => [admitted, options].join(OsStr::new(":")),
        None => admitted,
    }
}

/// Why the system did not start what looked fine.
fn not_started(name: &OsStr, error: &io::Error) -> Refusal {
    let message = format!("cannot run {}: {error}", name.display());
    match error.kind() {
        io::ErrorKind::NotFound => Refusal::not_found(message),
        _ => Refusal::cannot_run(message),
    }
}
