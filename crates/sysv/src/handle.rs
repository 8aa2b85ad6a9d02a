//! What handles to segments, semaphore sets and message queues have in common.

use sysv_engine::StatBy;
use sysv_engine::abi::{IPCMNI, IpcPerm};

use crate::error::{Mechanism, ObjectName, Ownership};
use crate::{Errno, Id, Namespace};

/// A handle: an identifier in a namespace, and what errors tell of the object.
pub(crate) trait Handle {
    /// What the facility knows of such an object.
    type Structure;
    /// What it is.
    const MECHANISM: Mechanism;

    /// Where the object is, and what it is called there.
    fn place(&self) -> (&Namespace, Id);

    /// `IPC_STAT` and its relatives, for whatever object has this identifier or index.
    fn look(&self, id: i32, by: StatBy) -> Result<(i32, Self::Structure), Errno>;

    /// The part that all structures have.
    fn perm(structure: &Self::Structure) -> &IpcPerm;

    fn name(&self) -> ObjectName {
        let (namespace, id) = self.place();
        ObjectName::by_id(Self::MECHANISM, id, namespace.location())
    }

    /// Whether it exists at all, whatever its permissions.
    fn exists(&self) -> bool {
        let (_, id) = self.place();
        !matches!(self.look(id.get(), StatBy::Id), Err(Errno::EINVAL | Errno::EIDRM))
    }

    /// What is known of the object, found out without permission to read it. None where the facility numbers its objects in
    /// a way of its own (a kernel with `ipcmni_extend`).
    fn structure_by_index(&self) -> Option<Self::Structure> {
        let (_, id) = self.place();
        let (found, structure) = self.look(id.get().rem_euclid(IPCMNI), StatBy::IndexAny).ok()?;
        (found == id.get()).then_some(structure)
    }

    /// Whose it is, for messages.
    fn ownership(&self) -> Option<Ownership> {
        let structure = self.structure_by_index()?;
        Some(Ownership::of(Self::perm(&structure)))
    }

    /// What a call returned, with an error that says what the errno means for this object.
    fn explained<T, E>(&self, result: Result<T, Errno>, sort: Sort<E>) -> Result<T, E> {
        result.map_err(|errno| sort(errno, self.name(), self.exists(), self.ownership()))
    }
}

/// Finds the error for an errno: of which object, whether that exists, and whose it is.
type Sort<E> = fn(Errno, ObjectName, bool, Option<Ownership>) -> E;
