//! `sysv create`: a new object.

use std::path::PathBuf;

use clap::Args;
use serde::Serialize;
use sysv::{Intent, Key, Mode, NewSegment, Segment};

use crate::failure::Failure;
use crate::output;
use crate::size::Size;
use crate::target::Target;

/// Create a segment and print its identifier
///
/// Without a key it is private: others reach it by its identifier only.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// Bytes that it shall have
    #[arg(value_name = "SIZE")]
    size: Size,

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
    #[arg(long)]
    or_open: bool,

    /// Back it with huge pages
    #[arg(long)]
    huge_pages: bool,

    /// Do not set memory aside for it
    #[arg(long)]
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
    let mut new = NewSegment::of_size(arguments.size.bytes()).mode(arguments.mode);
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
    let id = Segment::get(&namespace, key, intent)?.id();
    if arguments.json {
        return output::print_json(&Created {
            id: id.get(),
            key: key.get(),
        });
    }
    output::print(format!("{id}\n"))
}
