//! Which facility and which of its objects a command is about.

use std::path::PathBuf;

use clap::Args;
use sysv::{Filter, Id, Key, Mechanism, Namespace, Object, Snapshot};

use crate::failure::Failure;
use crate::selection::Kinds;

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

    /// The directory of the namespace that a question about all facilities is about, if it is there or was named.
    pub(crate) fn directory(&self) -> Result<Option<PathBuf>, Failure> {
        match &self.namespace {
            _ if self.kernel => Ok(None),
            Some(directory) => Ok(Some(directory.clone())),
            None => {
                let directory = Namespace::current_directory()?;
                Ok(directory.join("table").exists().then_some(directory))
            }
        }
    }

    /// Whether such a question is also about the kernel's.
    pub(crate) fn includes_kernel(&self) -> bool {
        self.namespace.is_none()
    }

    /// The facilities that a question about all of them is about: the one that is named, or else the namespace that
    /// programs use which are told nothing else, if it is there, and the kernel's.
    pub(crate) fn all(&self) -> Result<Vec<Namespace>, Failure> {
        let mut all = Vec::new();
        if let Some(directory) = self.directory()? {
            all.push(Namespace::open(directory)?);
        }
        if self.includes_kernel() {
            all.push(Namespace::kernel());
        }
        Ok(all)
    }
}

/// One object of it.
#[derive(Debug, Args)]
#[command(group = clap::ArgGroup::new("which").required(true).multiple(false))]
pub(crate) struct Which {
    /// The object with this identifier
    #[arg(value_name = "ID", group = "which")]
    id: Option<Id>,

    /// The object with this key
    #[arg(long, short = 'K', value_name = "KEY", allow_hyphen_values = true, group = "which")]
    key: Option<Key>,

    #[command(flatten)]
    kinds: Kinds,
}

impl Which {
    /// It, and the moment at which it was looked at.
    pub(crate) fn find(&self, namespace: &Namespace) -> Result<(Snapshot, Object), Failure> {
        let wanted = self.kinds.wanted();
        let snapshot = namespace.snapshot(&wanted)?;
        let filter = Filter {
            ids: self.id.into_iter().collect(),
            keys: self.key.into_iter().collect(),
            ..Filter::default()
        };
        let admitted = |object: &&Object| filter.admits(object, snapshot.taken_at);
        let mut found = snapshot.objects.iter().filter(admitted);
        if self.key.is_some_and(Key::is_private) {
            return Err(Failure::new(
                "the key 0 names no object: those without a key have identifiers alone",
            ));
        }
        let name = match (self.id, self.key) {
            (Some(id), _) => format!("identifier {id}"),
            (_, Some(key)) => format!("key {key}"),
            (None, None) => "neither identifier nor key".to_owned(),
        };
        match (found.next(), found.next()) {
            (Some(object), None) => {
                let object = object.clone();
                Ok((snapshot, object))
            }
            (None, _) => Err(Failure::new(format_args!(
                "no {} of {} has the {name}; `sysv ls` shows those that exist",
                kinds_in_words(&wanted),
                namespace.location()
            ))),
            (Some(one), Some(other)) => Err(Failure::new(format_args!(
                "the {name} of {} names a {} and a {}; say which: {}",
                namespace.location(),
                one.mechanism,
                other.mechanism,
                Mechanism::ALL.map(option).join(", ")
            ))),
        }
    }
}

/// The option that says what an object is.
pub(crate) fn option(kind: Mechanism) -> &'static str {
    match kind {
        Mechanism::Segment => "--segment",
        Mechanism::SemaphoreSet => "--semaphore",
        Mechanism::MessageQueue => "--queue",
    }
}

/// `segment or queue`; `object` if it may be any.
fn kinds_in_words(kinds: &[Mechanism]) -> String {
    if kinds.len() == Mechanism::ALL.len() {
        return "object".to_owned();
    }
    let words: Vec<String> = kinds.iter().map(Mechanism::to_string).collect();
    words.join(" or ")
}
