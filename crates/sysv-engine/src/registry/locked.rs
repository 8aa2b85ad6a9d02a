//! A mechanism's registry, locked: derived data may be changed.

use super::{Mechanism, Registry};
use crate::live::LazyLive;
use crate::lock::{self, Acquired, Tag};
use crate::member::{Member, Private};
use crate::table::Table;
use crate::version;

/// The lock on a mechanism's registry, held. Released on drop.
pub(crate) struct Locked<'m, S: Mechanism> {
    pub member: &'m Member,
    pub live: LazyLive<'m>,
    registry: Registry<'m, S>,
}

impl<'m, S: Mechanism> Locked<'m, S> {
    /// Takes the lock, and recovers first if its last owner died holding it. `_private` proves that signals are blocked
    /// and no other thread of the process is here.
    pub(crate) fn lock(member: &'m Member, _private: &Private) -> Locked<'m, S> {
        let live = member.lazy_live();
        let registry = S::registry(member.table());
        let header = registry.header;
        let acquired = lock::acquire(&header.lock, member.tag(), member.spins(), &|tag| {
            // The threads of a process take turns at the private lock first: its own tag was written by nobody honest.
            tag != member.tag() && member.is_alive(tag, &live)
        });
        let locked = Locked { member, live, registry };
        version::begin_change(&header.version);
        if acquired == Acquired::Takeover {
            locked.recover();
        }
        locked
    }

    pub(crate) fn table(&self) -> &'m Table {
        self.member.table()
    }

    pub(crate) fn registry(&self) -> Registry<'m, S> {
        self.registry
    }

    /// Whether the process with this tag lives.
    pub(crate) fn is_alive(&self, tag: Tag) -> bool {
        self.member.is_alive(tag, &self.live)
    }
}

impl<S: Mechanism> Drop for Locked<'_, S> {
    fn drop(&mut self) {
        let header = self.registry.header;
        version::end_change(&header.version);
        lock::release(&header.lock);
    }
}
