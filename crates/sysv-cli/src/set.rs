//! `sysv set`: owner, group, mode and memory lock.

use clap::Args;
use sysv::{Mode, Permissions};

use crate::failure::Failure;
use crate::target::{Target, Which};
use crate::users::{parse_group, parse_user};

/// Change who owns a segment and who may use it
///
/// What is not named stays as it is.
#[derive(Debug, Args)]
#[command(group = clap::ArgGroup::new("change").required(true).multiple(true))]
pub(crate) struct Arguments {
    #[command(flatten)]
    which: Which,

    /// Give it to this user
    #[arg(long, short, value_name = "USER", value_parser = parse_user, group = "change")]
    owner: Option<u32>,

    /// Give it to this group
    #[arg(long, short, value_name = "GROUP", value_parser = parse_group, group = "change")]
    group: Option<u32>,

    /// Give it this mode
    #[arg(long, short, value_name = "MODE", group = "change")]
    mode: Option<Mode>,

    /// Keep its memory from being swapped out
    #[arg(long, group = "change", conflicts_with = "unlock")]
    lock: bool,

    /// Let its memory be swapped out again
    #[arg(long, group = "change")]
    unlock: bool,

    #[command(flatten)]
    target: Target,
}

pub(crate) fn set(arguments: &Arguments) -> Result<(), Failure> {
    let namespace = arguments.target.namespace()?;
    let segment = arguments.which.segment(&namespace)?;
    let Arguments { owner, group, mode, .. } = *arguments;
    if owner.is_some() || group.is_some() || mode.is_some() {
        let now = segment.stat()?.permissions;
        segment.set_permissions(Permissions {
            owner: owner.unwrap_or(now.owner),
            group: group.unwrap_or(now.group),
            mode: mode.unwrap_or(now.mode),
        })?;
    }
    if arguments.lock {
        segment.lock_memory()?;
    }
    if arguments.unlock {
        segment.unlock_memory()?;
    }
    Ok(())
}
