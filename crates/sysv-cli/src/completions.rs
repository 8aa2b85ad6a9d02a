//! `sysv completions` and `sysv manual`: what else follows from the command line's one definition.

use std::fs;
use std::path::PathBuf;

use clap::{Args, CommandFactory};
use clap_complete::{Shell, generate};

use crate::cli::Cli;
use crate::failure::Failure;
use crate::output;

/// Print a script that completes this command's line in a shell
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  sysv completions bash > ~/.local/share/bash-completion/completions/sysv
  sysv completions fish > ~/.config/fish/completions/sysv.fish
  sysv completions zsh > ~/.zfunc/_sysv    with ~/.zfunc in $fpath before compinit")]
pub(crate) struct Arguments {
    shell: Shell,
}

pub(crate) fn completions(arguments: &Arguments) -> Result<(), Failure> {
    let mut script = Vec::new();
    generate(arguments.shell, &mut Cli::command(), "sysv", &mut script);
    output::print(script)
}

/// Write this command's manual pages into a directory
///
/// One page for the command, and one for each of its commands: sysv.1, sysv-run.1 and so on. What is there under these names
/// is replaced. The directory is made if it does not exist.
#[derive(Debug, Args)]
#[command(after_help = "\
Example:
  sysv manual ~/.local/share/man/man1 && man sysv-run")]
pub(crate) struct ManualArguments {
    #[arg(value_name = "DIR")]
    directory: PathBuf,
}

pub(crate) fn manual(arguments: &ManualArguments) -> Result<(), Failure> {
    let directory = &arguments.directory;
    let written = fs::create_dir_all(directory)
        .and_then(|()| clap_mangen::generate_to(Cli::command().disable_help_subcommand(true), directory));
    written.map_err(|error| Failure::new(format_args!("cannot write to {}: {error}", directory.display())))
}
