//! Which facility and which of its objects a command is about.

use std::fmt;
use std::path::PathBuf;

use clap::Args;
use sysv::{Id, Key, Mechanism, Namespace, Object, Snapshot};

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
        // The command line requires one of them.
        let name = match (self.id, self.key) {
            (Some(id), _) => Name::Id(id),
            (None, key) => Name::Key(key.unwrap_or(Key::PRIVATE)),
        };
        let kinds = self.kinds.wanted();
        let snapshot = namespace.snapshot(&kinds)?;
        let object = name.find(&kinds, namespace, &snapshot).map_err(Failure::new)?.clone();
        Ok((snapshot, object))
    }
}

/// What an object is called by.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Name {
    Id(Id),
    Key(Key),
}

impl Name {
    /// The one object of these kinds that has it, or in words why there is not one.
    pub(crate) fn find<'s>(
        self,
        kinds: &[Mechanism],
        namespace: &Namespace,
        snapshot: &'s Snapshot,
    ) -> Result<&'s Object, String> {
        let has_it = |object: &&Object| match self {
            Name::Id(id) => object.id == id,
            Name::Key(key) => object.key == key,
        };
        if matches!(self, Name::Key(key) if key.is_private()) {
            return Err("the key 0 names no object: those without a key have identifiers alone".to_owned());
        }
        let location = namespace.location();
        let mut found = snapshot.objects.iter().filter(has_it);
        match (found.next(), found.next()) {
            (Some(object), None) => Ok(object),
            (None, _) => Err(format!(
                "no {} of {location} has the {self}; `sysv ls` shows those that exist",
                kinds_in_words(kinds)
            )),
            (Some(one), Some(other)) => Err(format!(
                "the {self} of {location} names a {} and a {}; say which: {}",
                one.mechanism,
                other.mechanism,
                Mechanism::ALL.map(option).join(", ")
            )),
        }
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Name::Id(id) => write!(f, "identifier {id}"),
            Name::Key(key) => write!(f, "key {key}"),
        }
    }
}

/// The option that says what an object is.
fn option(kind: Mechanism) -> &'static str {
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
