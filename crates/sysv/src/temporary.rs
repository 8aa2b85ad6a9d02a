//! Namespaces and objects that go with the process that made them.

use std::fs::{self, DirBuilder, File};
use std::io::{self, Read};
use std::ops::Deref;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use crate::{Errno, Members, MessageQueue, Namespace, NamespaceError, Segment, SemaphoreSet};

/// A namespace of its own in a fresh directory, removed with everything in it when this handle is dropped by the
/// process that made it.
///
/// For tests, and for programs that need segments among their own processes only.
///
/// ```
/// use sysv::{Key, NewSegment, Segment, TemporaryNamespace};
///
/// let namespace = TemporaryNamespace::create()?;
/// let directory = namespace.location().directory().unwrap().to_owned();
/// Segment::create(&namespace, Key::new(42), NewSegment::of_size(100))?;
///
/// drop(namespace);
/// assert!(!directory.exists());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct TemporaryNamespace {
    namespace: Namespace,
    /// What may be passed but not listed, where the namespace is for several users.
    above: Option<PathBuf>,
    process: u32,
}

impl TemporaryNamespace {
    /// A fresh one for this user.
    ///
    /// # Errors
    /// [`NamespaceError`], as a rule because no memory file system has room.
    ///
    /// ```
    /// let one = sysv::TemporaryNamespace::create()?;
    /// let two = sysv::TemporaryNamespace::create()?;
    /// assert_ne!(one.location(), two.location());
    /// # Ok::<(), sysv::NamespaceError>(())
    /// ```
    pub fn create() -> Result<TemporaryNamespace, NamespaceError> {
        TemporaryNamespace::create_for(Members::OneUser)
    }

    /// A fresh one for this user alone, or for whoever is told its unguessable name as well: the processes that a
    /// program of root's goes on as, under other users.
    ///
    /// # Errors
    /// [`NamespaceError`], as a rule because no memory file system has room.
    ///
    /// ```
    /// let namespace = sysv::TemporaryNamespace::create_for(sysv::Members::SeveralUsers)?;
    /// # Ok::<(), sysv::NamespaceError>(())
    /// ```
    pub fn create_for(members: Members) -> Result<TemporaryNamespace, NamespaceError> {
        let base = base();
        let failed = |directory: &Path, error: io::Error| {
            let errno = error.raw_os_error().map_or(Errno::EIO, Errno::from_raw);
            NamespaceError::system(directory, "make", errno)
        };
        let process = std::process::id();
        // The process id is for people who find the directory after a crash; the rest is what nobody guesses.
        let user = File::open("/proc/self")
            .and_then(|f| f.metadata())
            .map_or(0, |m| m.uid());
        let name = unguessable().map_err(|e| failed(&base, e))?;
        let outer = base.join(format!("sysv-{user}-{process}-{name}"));
        let (directory, above) = match members {
            Members::OneUser => (outer, None),
            Members::SeveralUsers => {
                DirBuilder::new()
                    .mode(0o700)
                    .create(&outer)
                    .map_err(|e| failed(&outer, e))?;
                let inner = unguessable().map_err(|e| failed(&outer, e))?;
                (outer.join(inner), Some(outer))
            }
        };
        let made = above.as_ref().map_or(Ok(()), |above| {
            fs::set_permissions(above, fs::Permissions::from_mode(0o711)).map_err(|e| failed(above, e))
        });
        match made.and_then(|()| Namespace::create(&directory, members)) {
            Ok(namespace) => Ok(TemporaryNamespace {
                namespace,
                above,
                process,
            }),
            Err(error) => {
                remove(&directory, above.as_deref());
                Err(error)
            }
        }
    }
}

/// Where temporary namespaces are made.
pub(crate) fn base() -> PathBuf {
    let memory = Path::new("/dev/shm");
    if memory.is_dir() {
        memory.to_owned()
    } else {
        std::env::temp_dir()
    }
}

/// Whether a directory with this name is a temporary namespace of the user's: `sysv-<uid>-<pid>-<32 hexadecimal digits>`.
pub(crate) fn is_name(name: &str, user: u32) -> bool {
    let rest = name.strip_prefix(&format!("sysv-{user}-"));
    rest.and_then(|rest| rest.split_once('-')).is_some_and(|(pid, random)| {
        pid.parse::<u32>().is_ok() && random.len() == 32 && random.bytes().all(|b| b.is_ascii_hexdigit())
    })
}

fn unguessable() -> io::Result<String> {
    let mut bytes = [0; 16];
    File::open("/dev/urandom")?.read_exact(&mut bytes)?;
    Ok(format!("{:032x}", u128::from_ne_bytes(bytes)))
}

/// Removes what was made, as far as it was.
fn remove(directory: &Path, above: Option<&Path>) {
    let _ = Namespace::remove(directory);
    let _ = fs::remove_dir(directory);
    if let Some(above) = above {
        let _ = fs::remove_dir(above);
    }
}

impl Deref for TemporaryNamespace {
    type Target = Namespace;

    fn deref(&self) -> &Namespace {
        &self.namespace
    }
}

impl Drop for TemporaryNamespace {
    fn drop(&mut self) {
        // A forked child has a copy of the handle, and the namespace is not its own.
        if let Some(directory) = self.namespace.location().directory()
            && std::process::id() == self.process
        {
            remove(directory, self.above.as_deref());
        }
    }
}

/// Defines a handle that removes its object when it is dropped.
macro_rules! temporary {
    ($(#[$doc:meta])* $name:ident, $object:ident) => {
        $(#[$doc])*
        #[derive(Debug)]
        pub struct $name {
            object: $object,
            process: u32,
        }

        impl $name {
            pub(crate) fn new(object: $object) -> $name {
                $name {
                    object,
                    process: std::process::id(),
                }
            }
        }

        impl Deref for $name {
            type Target = $object;

            fn deref(&self) -> &$object {
                &self.object
            }
        }

        impl Drop for $name {
            fn drop(&mut self) {
                // A forked child has a copy of the handle, and the object is not its own.
                if std::process::id() == self.process {
                    // Somebody else may have removed it, which is as well.
                    let _ = self.object.remove();
                }
            }
        }
    };
}

temporary! {
    /// A segment that is removed when this handle is dropped, by the process that made the handle.
    ///
    /// ```
    /// use sysv::{Key, NewSegment, Segment, TemporarySegment};
    /// # let namespace = sysv::TemporaryNamespace::create()?;
    ///
    /// let scratch: TemporarySegment =
    ///     Segment::create(&namespace, Key::PRIVATE, NewSegment::of_size(100))?.into_temporary();
    /// let memory = scratch.attach()?; // All that a segment can do.
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    TemporarySegment, Segment
}

temporary! {
    /// A semaphore set that is removed when this handle is dropped, by the process that made the handle.
    ///
    /// ```
    /// use sysv::{Key, NewSemaphoreSet, SemaphoreSet, TemporarySemaphoreSet};
    /// # let namespace = sysv::TemporaryNamespace::create()?;
    ///
    /// let scratch: TemporarySemaphoreSet =
    ///     SemaphoreSet::create(&namespace, Key::PRIVATE, NewSemaphoreSet::with_units([1]))?.into_temporary();
    /// let turn = scratch.acquire(0)?; // All that a set can do.
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    TemporarySemaphoreSet, SemaphoreSet
}

temporary! {
    /// A message queue that is removed when this handle is dropped, by the process that made the handle.
    ///
    /// ```
    /// use sysv::{Key, MessageQueue, NewMessageQueue, TemporaryMessageQueue};
    /// # let namespace = sysv::TemporaryNamespace::create()?;
    ///
    /// let scratch: TemporaryMessageQueue =
    ///     MessageQueue::create(&namespace, Key::PRIVATE, NewMessageQueue::new())?.into_temporary();
    /// assert_eq!(scratch.stat()?.messages, 0); // All that a queue can do.
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    TemporaryMessageQueue, MessageQueue
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_names_that_are_made_here_are_taken_for_ours() {
        let random = unguessable().unwrap();
        assert!(is_name(&format!("sysv-7-123-{random}"), 7));
        for other in [
            format!("sysv-8-123-{random}"),
            format!("sysv-7-x-{random}"),
            format!("sysv-7-{random}"),
            format!("sysv-7-123-{random}0"),
            format!("sysv-7-123-{}", random.replace(|c: char| c.is_ascii_hexdigit(), "g")),
            "sysv-7".to_owned(),
        ] {
            assert!(!is_name(&other, 7), "{other}");
        }
    }
}
