//! A whole facility at one moment: every object, who has to do with it, and what may be said of it in a word.

mod engine;
mod kernel;
mod mechanism;
mod messages;
mod object;
mod party;
mod selection;
mod state;

use std::time::SystemTime;

use crate::backend::Backend;
use crate::{Location, Mechanism, Namespace, ReportError};

pub use messages::WaitingMessage;
pub use object::{Contents, Object, Semaphore};
pub use party::{Party, Role};
pub use selection::{Filter, Order};
pub use state::State;

/// Every object of a facility, as an operator sees it. It is taken without any object's permission, except that the
/// values of semaphores and who waits for them need that to read.
///
/// ```
/// use sysv::{Key, Mechanism, NewSegment, Segment};
/// # let namespace = sysv::TemporaryNamespace::create()?;
///
/// let segment = Segment::create(&namespace, Key::new(42), NewSegment::of_size(100))?;
/// let memory = segment.attach()?;
/// let snapshot = namespace.snapshot(&Mechanism::ALL)?;
/// let object = &snapshot.objects[0];
/// assert_eq!((object.mechanism, object.id), (Mechanism::Segment, segment.id()));
/// assert_eq!(object.parties[0].process.pid, std::process::id());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Snapshot {
    /// Which facility it is of.
    pub location: Location,
    /// When it was taken.
    pub taken_at: SystemTime,
    /// The objects: by kind, and of each kind by index, which is nearly the order of creation.
    pub objects: Vec<Object>,
    /// How many processes could not be looked at, so that they may have to do with some of the objects. Only root can
    /// look at other users' processes, and only the kernel's facility asks for it.
    pub unseen: usize,
}

impl Snapshot {
    /// One of a facility that nobody has looked at yet.
    ///
    /// ```
    /// let snapshot = sysv::Snapshot::empty(sysv::Location::Kernel);
    /// assert!(snapshot.objects.is_empty());
    /// ```
    pub fn empty(location: Location) -> Snapshot {
        Snapshot {
            location,
            taken_at: SystemTime::now(),
            objects: Vec::new(),
            unseen: 0,
        }
    }
}

impl Namespace {
    /// Every object of these mechanisms, whatever its permissions. What only dead processes held is gone from it.
    ///
    /// # Errors
    /// [`ReportError`].
    ///
    /// ```
    /// # let namespace = sysv::TemporaryNamespace::create()?;
    /// for object in namespace.snapshot(&sysv::Mechanism::ALL)?.objects {
    ///     println!("{} {}: {}", object.mechanism, object.id, object.state);
    /// }
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[doc(alias = "ipcs")]
    pub fn snapshot(&self, of: &[Mechanism]) -> Result<Snapshot, ReportError> {
        let mut snapshot = Snapshot::empty(self.location().clone());
        let taken = match self.backend() {
            Backend::Kernel => kernel::take(of, &mut snapshot),
            Backend::Engine(engine) => engine::take(engine, of, &mut snapshot),
        };
        taken.map_err(|errno| self.report_error(None, errno))?;
        Ok(snapshot)
    }
}
