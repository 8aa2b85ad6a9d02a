//! `sysv set`: owner, group, mode, and what each kind has for itself.

use std::str::FromStr;

use clap::Args;
use sysv::{Mechanism, MessageQueue, Object, Permissions, Segment, SemaphoreSet};

use crate::failure::Failure;
use crate::size::Size;
use crate::target::{Target, Which};
use crate::users::{parse_group, parse_user};

/// Change who owns an object, who may use it, semaphores' values and a queue's capacity
///
/// What is not named stays as it is. Who waits for a semaphore goes on if its new value allows it; what processes would undo
/// on it is forgotten, as semctl(2) says.
#[derive(Debug, Args)]
#[command(
    group = clap::ArgGroup::new("change").required(true).multiple(true),
    after_help = "\
Examples:
  sysv set 49152 --mode 640
  sysv set --key 0x1234 --semaphore --value 0=1
  sysv set 32768 --queue --capacity 64K"
)]
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
    mode: Option<sysv::Mode>,

    /// Keep a segment's memory from being swapped out
    #[arg(long, group = "change", conflicts_with = "unlock")]
    lock: bool,

    /// Let a segment's memory be swapped out again
    #[arg(long, group = "change")]
    unlock: bool,

    /// Give a semaphore of a set this value; may be given several times
    #[arg(
        long = "value",
        value_name = "SEMAPHORE=N",
        group = "change",
        conflicts_with = "all_values"
    )]
    values: Vec<Value>,

    /// Give all semaphores of a set these values at once
    #[arg(long = "values", value_name = "N,N,...", value_delimiter = ',', group = "change")]
    all_values: Option<Vec<u16>>,

    /// Let a queue hold so many bytes
    #[arg(long, value_name = "BYTES", group = "change")]
    capacity: Option<Size>,

    #[command(flatten)]
    target: Target,
}

/// A semaphore's number and its new value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Value {
    semaphore: u16,
    value: u16,
}

impl FromStr for Value {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Value, Self::Err> {
        let parsed = text
            .split_once('=')
            .and_then(|(semaphore, value)| Some((semaphore.parse().ok()?, value.parse().ok()?)));
        let (semaphore, value) = parsed.ok_or("expected a semaphore's number and its value, as in 0=1")?;
        Ok(Value { semaphore, value })
    }
}

pub(crate) fn set(arguments: &Arguments) -> Result<(), Failure> {
    let namespace = arguments.target.namespace()?;
    let (_, object) = arguments.which.find(&namespace)?;
    check(arguments, &object)?;
    match object.mechanism {
        Mechanism::Segment => {
            let segment = Segment::from_id(&namespace, object.id);
            if let Some(permissions) = permissions(arguments, &object) {
                segment.set_permissions(permissions)?;
            }
            if arguments.lock {
                segment.lock_memory()?;
            }
            if arguments.unlock {
                segment.unlock_memory()?;
            }
        }
        Mechanism::SemaphoreSet => {
            let set = SemaphoreSet::from_id(&namespace, object.id);
            for &Value { semaphore, value } in &arguments.values {
                set.set_value(semaphore, value)?;
            }
            if let Some(values) = &arguments.all_values {
                set.set_values(values)?;
            }
            // Last: a mode may take away what the rest needs.
            if let Some(permissions) = permissions(arguments, &object) {
                set.set_permissions(permissions)?;
            }
        }
        Mechanism::MessageQueue => {
            let queue = MessageQueue::from_id(&namespace, object.id);
            if let Some(capacity) = arguments.capacity {
                queue.set_capacity(capacity.0)?;
            }
            if let Some(permissions) = permissions(arguments, &object) {
                queue.set_permissions(permissions)?;
            }
        }
    }
    Ok(())
}

/// Whether the object has what is to be changed.
fn check(arguments: &Arguments, object: &Object) -> Result<(), Failure> {
    let asked = [
        (
            arguments.lock || arguments.unlock,
            Mechanism::Segment,
            "memory to be locked",
        ),
        (
            !arguments.values.is_empty() || arguments.all_values.is_some(),
            Mechanism::SemaphoreSet,
            "semaphores",
        ),
        (arguments.capacity.is_some(), Mechanism::MessageQueue, "capacity"),
    ];
    for (is_asked, mechanism, what) in asked {
        if is_asked && object.mechanism != mechanism {
            return Err(Failure::new(format_args!(
                "{} has no {what}: that is for a {mechanism}",
                object.name()
            )));
        }
    }
    Ok(())
}

/// The new permissions, if they change.
fn permissions(arguments: &Arguments, object: &Object) -> Option<Permissions> {
    let Arguments { owner, group, mode, .. } = *arguments;
    let now = object.permissions;
    (owner.is_some() || group.is_some() || mode.is_some()).then(|| Permissions {
        owner: owner.unwrap_or(now.owner),
        group: group.unwrap_or(now.group),
        mode: mode.unwrap_or(now.mode),
    })
}
