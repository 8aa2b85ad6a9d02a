//! Which facility and which of its objects a command is about.

use std::path::PathBuf;

use clap::Args;
use sysv::{Id, Key, Namespace, Segment};

use crate::failure::Failure;

/// The facility.
#[derive(Debug, Args)]
pub(crate) struct Target {
    /// The namespace in this directory [default: $SYSV_NAMESPACE, or the user's own in /dev/shm]
    #[arg(long, short, value_name = "DIR")]
    namespace: Option<PathBuf>,

    /// The kernel's own facility
    #[arg(long, short, conflicts_with = "namespace")]
    kernel: bool,
}

impl Target {
    pub(crate) fn namespace(&self) -> Result<Namespace, Failure> {
        Ok(match &self.namespace {
            _ if self.kernel => Namespace::kernel(),
            Some(directory) => Namespace::open(directory)?,
            None => Namespace::current()?,
        })
    }
}

/// One segment of it.
#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
pub(crate) struct Which {
    /// The segment with this identifier
    #[arg(value_name = "ID")]
    id: Option<Id>,

    /// The segment with this key
    #[arg(long, short = 'K', value_name = "KEY", allow_hyphen_values = true)]
    key: Option<Key>,
}

impl Which {
    pub(crate) fn segment(&self, namespace: &Namespace) -> Result<Segment, Failure> {
        match (self.id, self.key) {
            (Some(id), _) => Ok(Segment::from_id(namespace, id)),
            (None, Some(key)) => Ok(Segment::open(namespace, key)?),
            (None, None) => Err(Failure::new("name a segment by its identifier or --key")),
        }
    }
}
