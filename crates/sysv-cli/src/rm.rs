//! `sysv rm`: removing objects.

use clap::Args;
use sysv::{Id, Key, Namespace, Segment};

use crate::failure::Failure;
use crate::target::Target;

/// Remove segments, by identifier and by key
///
/// The key is free at once; the memory goes when the last process has detached.
#[derive(Debug, Args)]
#[command(group = clap::ArgGroup::new("what").required(true).multiple(true))]
pub(crate) struct Arguments {
    /// Segments with these identifiers
    #[arg(value_name = "ID", group = "what")]
    ids: Vec<Id>,

    /// The segment with this key; may be given several times
    #[arg(
        long = "key",
        short = 'K',
        value_name = "KEY",
        group = "what",
        allow_hyphen_values = true
    )]
    keys: Vec<Key>,

    #[command(flatten)]
    target: Target,
}

/// Removes all that can be removed, and says at the end what could not.
pub(crate) fn rm(arguments: &Arguments) -> Result<(), Failure> {
    let namespace = arguments.target.namespace()?;
    let by_id = arguments
        .ids
        .iter()
        .map(|&id| remove(Ok(Segment::from_id(&namespace, id))));
    let by_key = arguments.keys.iter().map(|&key| remove(open(&namespace, key)));
    let failed: Vec<String> = by_id.chain(by_key).filter_map(Result::err).collect();
    if failed.is_empty() {
        Ok(())
    } else {
        Err(Failure::Said(failed))
    }
}

fn open(namespace: &Namespace, key: Key) -> Result<Segment, String> {
    Segment::open(namespace, key).map_err(|e| e.to_string())
}

fn remove(segment: Result<Segment, String>) -> Result<(), String> {
    segment?.remove().map_err(|e| e.to_string())
}
