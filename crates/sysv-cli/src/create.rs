//! `sysv create`: a new object.

use std::path::PathBuf;

use clap::Args;
use serde::Serialize;
use sysv::{
    Errno, Id, Intent, Key, Mechanism, MessageQueue, Mode, Namespace, NewMessageQueue, NewSegment, NewSemaphoreSet,
    Segment, SemaphoreSet,
};

use crate::failure::Failure;
use crate::size::Size;
use crate::target::Target;
use crate::{crowd, output};

/// Create a segment, a semaphore set or a queue, and print its identifier
///
/// Without a key it is private: others reach it by its identifier only.
#[derive(Debug, Args)]
#[command(
    group = clap::ArgGroup::new("what").required(true).args(["size", "semaphores", "values", "queue"]),
    after_help = "\
Examples:
  sysv create 64K --key 0x1234
  sysv create --values 1,0,0 --mode 660
  sysv create --queue --key 0x1234 --capacity 64K"
)]
pub(crate) struct Arguments {
    /// A segment of so many bytes
    #[arg(value_name = "SIZE")]
    size: Option<Size>,

    /// A set of so many semaphores, all of them zero
    #[arg(long, visible_alias = "semaphore", value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    semaphores: Option<u16>,

    /// A set of semaphores with these values
    #[arg(long, value_name = "N,N,...", value_delimiter = ',')]
    values: Option<Vec<u16>>,

    /// A message queue
    #[arg(long)]
    queue: bool,

    /// The queue may hold so many bytes
    #[arg(long, value_name = "BYTES", requires = "queue")]
    capacity: Option<Size>,

    /// Its key
    #[arg(long, short = 'K', value_name = "KEY", allow_hyphen_values = true)]
    key: Option<Key>,

    /// Its key is the one that ftok(3) makes of this file and --project
    #[arg(long, value_name = "FILE", conflicts_with = "key")]
    path: Option<PathBuf>,

    /// The project number of --path, from 0 to 255
    #[arg(long, value_name = "N", requires = "path", default_value_t = 1)]
    project: u8,

    /// Its mode
    #[arg(long, short, value_name = "MODE", default_value_t = Mode::OWNER)]
    mode: Mode,

    /// Take the one that has the key already, if it is large enough
    ///
    /// It stays as it is.
    #[arg(long)]
    or_open: bool,

    /// Back a segment with huge pages
    #[arg(long, conflicts_with_all = ["queue", "semaphores", "values"])]
    huge_pages: bool,

    /// Do not set memory aside for a segment
    #[arg(long, conflicts_with_all = ["queue", "semaphores", "values"])]
    no_reserve: bool,

    #[command(flatten)]
    target: Target,

    /// Print JSON
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct Created {
    id: i32,
    key: i32,
}

pub(crate) fn create(arguments: &Arguments) -> Result<(), Failure> {
    let namespace = arguments.target.namespace()?;
    let key = match (&arguments.key, &arguments.path) {
        (Some(key), _) => *key,
        (None, Some(path)) => Key::from_path(path, arguments.project)?,
        (None, None) => Key::PRIVATE,
    };
    let id = if let Some(size) = arguments.size {
        segment(arguments, &namespace, key, size)?
    } else if arguments.queue {
        queue(arguments, &namespace, key)?
    } else {
        set(arguments, &namespace, key)?
    };
    if arguments.json {
        return output::print_json(&Created {
            id: id.get(),
            key: key.get(),
        });
    }
    output::print(format!("{id}\n"))
}

fn segment(arguments: &Arguments, namespace: &Namespace, key: Key, size: Size) -> Result<Id, Failure> {
    let mut new = NewSegment::of_size(size.bytes()).mode(arguments.mode);
    if arguments.huge_pages {
        new = new.huge_pages();
    }
    if arguments.no_reserve {
        new = new.no_reserve();
    }
    let intent = if arguments.or_open {
        Intent::OpenOrCreate(new)
    } else {
        Intent::Create(new)
    };
    match Segment::get(namespace, key, intent) {
        Ok(segment) => Ok(segment.id()),
        Err(error) => Err(refused(namespace, Mechanism::Segment, error.errno(), &error)),
    }
}

fn set(arguments: &Arguments, namespace: &Namespace, key: Key) -> Result<Id, Failure> {
    let new = match (&arguments.values, arguments.semaphores) {
        (Some(values), _) => NewSemaphoreSet::with_units(values.iter().copied()),
        (None, count) => NewSemaphoreSet::of(count.unwrap_or(1)),
    };
    let new = new.mode(arguments.mode);
    let made = if arguments.or_open {
        SemaphoreSet::open_or_create(namespace, key, new)
    } else {
        SemaphoreSet::create(namespace, key, new)
    };
    match made {
        Ok(set) => Ok(set.id()),
        Err(error) => Err(refused(namespace, Mechanism::SemaphoreSet, error.errno(), &error)),
    }
}

fn queue(arguments: &Arguments, namespace: &Namespace, key: Key) -> Result<Id, Failure> {
    let new = NewMessageQueue::new().mode(arguments.mode);
    let made = if arguments.or_open {
        MessageQueue::open_or_create(namespace, key, new)
    } else {
        MessageQueue::create(namespace, key, new)
    };
    let queue = match made {
        Ok(queue) => queue,
        Err(error) => return Err(refused(namespace, Mechanism::MessageQueue, error.errno(), &error)),
    };
    if let Some(capacity) = arguments.capacity {
        queue.set_capacity(capacity.0)?;
    }
    Ok(queue.id())
}

/// The error, and if a limit is exhausted, by whom.
fn refused(namespace: &Namespace, mechanism: Mechanism, errno: Errno, error: &dyn std::error::Error) -> Failure {
    let mut said = vec![error.to_string()];
    if errno == Errno::ENOSPC {
        said.extend(crowd::sentence(namespace, mechanism));
        said.push("`sysv doctor` names every limit that is nearly exhausted".to_owned());
    }
    Failure::Said(said)
}
