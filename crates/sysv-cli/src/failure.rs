//! How a command ends that could not do what it was asked.

use std::fmt;
use std::io;
use std::process::ExitCode;

use crate::output;

/// What `sysv run` exits with when it fails itself, as `env` and `timeout` do: the program has the other numbers.
pub(crate) const RUN_FAILED: u8 = 125;
/// The program was found and cannot be run.
pub(crate) const CANNOT_RUN: u8 = 126;
/// The program was not found.
pub(crate) const NOT_FOUND: u8 = 127;

/// Why a command failed.
#[derive(Debug)]
pub(crate) enum Failure {
    /// In words for standard error, one line for each thing that went wrong.
    Said(Vec<String>),
    /// Whoever read the output has had enough: nothing is wrong, and there is nothing to say.
    OutputClosed,
}

impl Failure {
    pub(crate) fn new(message: impl fmt::Display) -> Failure {
        Failure::Said(vec![message.to_string()])
    }

    /// Standard output could not be written.
    pub(crate) fn output(error: &io::Error) -> Failure {
        match error.kind() {
            io::ErrorKind::BrokenPipe => Failure::OutputClosed,
            _ => Failure::new(format_args!("cannot write to standard output: {error}")),
        }
    }

    /// Says on standard error what went wrong.
    pub(crate) fn report(&self, command: &str) -> ExitCode {
        match self {
            Failure::Said(messages) => {
                for message in messages {
                    output::complain(format_args!("sysv {command}: {message}"));
                }
                ExitCode::FAILURE
            }
            Failure::OutputClosed => ExitCode::SUCCESS,
        }
    }
}

/// Errors of the library say all that a user needs to know.
impl<E: std::error::Error> From<E> for Failure {
    fn from(error: E) -> Failure {
        Failure::new(error)
    }
}
