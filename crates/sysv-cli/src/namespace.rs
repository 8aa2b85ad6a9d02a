//! `sysv namespace`: where objects are.

mod list;

use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

use clap::{Args, Subcommand};
use sysv::{Members, Namespace};

use crate::failure::Failure;
use crate::output;

/// Find, create and remove namespaces
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Show the namespaces in /dev/shm, and the one that programs use which are told nothing else
    ///
    /// Those whose directories this user may not list are not found, unless they are the user's own.
    List {
        /// Print JSON
        #[arg(long)]
        json: bool,
    },

    /// Print the directory of the namespace that programs use which are told nothing else
    ///
    /// It is made if it does not exist.
    Path,

    /// Create a namespace in a directory, which is made if it does not exist
    Create {
        directory: PathBuf,

        /// For several users
        ///
        /// Whoever can reach the directory is a member. What a member may read, write and remove, each object's
        /// permissions say; but members see each other's objects and can disturb the namespace's names and counts.
        #[arg(long)]
        shared: bool,
    },

    /// Remove a namespace with everything in it
    ///
    /// Processes that have segments attached keep that memory and can do nothing else there any more.
    Remove { directory: PathBuf },
}

pub(crate) fn namespace(arguments: &Arguments) -> Result<(), Failure> {
    match &arguments.action {
        Action::List { json } => list::list(*json),
        Action::Path => {
            let namespace = Namespace::current()?;
            let directory = namespace
                .location()
                .directory()
                .map_or(&[][..], |d| d.as_os_str().as_bytes());
            output::print([directory, b"\n"].concat())
        }
        Action::Create { directory, shared } => {
            let members = if *shared {
                Members::SeveralUsers
            } else {
                Members::OneUser
            };
            Namespace::create(directory, members)?;
            Ok(())
        }
        Action::Remove { directory } => Ok(Namespace::remove(directory)?),
    }
}
