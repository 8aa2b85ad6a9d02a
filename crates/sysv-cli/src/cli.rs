//! The command line: what is written here is the help, too.

use std::process::ExitCode;

use clap::error::ErrorKind;
use clap::{Parser, Subcommand};

use crate::failure::RUN_FAILED;
use crate::{
    bench, completions, create, demo, doctor, gc, limits, ls, namespace, read, rm, run, set, show, top, trace, who,
    write,
};

const EXIT_STATUSES: &str = "\
Exit status: 0 if all went well, 1 if something did not, 2 if the command line is wrong. `sysv run` and `sysv trace` exit \
as their program does; see their own help.

Sizes are in bytes and may end in K, M, G or T (1024 each). Keys are decimal or 0x hexadecimal.";

/// System V IPC in user space: run programs on it, and look after its objects.
///
/// Objects live in a namespace, which is a directory: the one that --namespace or the environment variable
/// SYSV_NAMESPACE names, or else the user's own in /dev/shm. With --kernel, the commands that look after objects do the
/// same for the kernel's own facility.
#[derive(Debug, Parser)]
#[command(name = "sysv", version, after_help = EXIT_STATUSES, max_term_width = 100)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    Run(run::Arguments),
    Trace(trace::Arguments),
    Ls(ls::Arguments),
    Show(show::Arguments),
    Top(top::Arguments),
    Who(who::Arguments),
    Create(create::Arguments),
    Set(set::Arguments),
    Rm(rm::Arguments),
    Read(read::Arguments),
    Write(write::Arguments),
    Gc(gc::Arguments),
    Doctor(doctor::Arguments),
    Limits(limits::Arguments),
    Namespace(namespace::Arguments),
    Demo(demo::Arguments),
    Bench(bench::Arguments),
    Completions(completions::Arguments),
    Manual(completions::ManualArguments),
}

/// Prints help, the version, or what is wrong with the command line.
pub(crate) fn report_usage(usage: &clap::Error) -> ExitCode {
    // Nobody is left to tell if this fails.
    let _ = usage.print();
    match usage.kind() {
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => ExitCode::SUCCESS,
        // What else they exit with is the program's.
        _ if std::env::args_os()
            .nth(1)
            .is_some_and(|word| word == "run" || word == "trace") =>
        {
            ExitCode::from(RUN_FAILED)
        }
        _ => ExitCode::from(2),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }
}
